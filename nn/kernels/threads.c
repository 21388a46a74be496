/* The OpenMP runtime that oneDNN and OpenBLAS share is told once. See threads.h.
 *
 * libgomp is linked by name and its one function declared here, so that any compiler will do. */
#include "nn/kernels/threads.h"

void omp_set_num_threads(int threads);

void tdo_threads_set(int threads)
{
    omp_set_num_threads(threads);
}
