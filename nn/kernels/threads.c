/* The OpenMP runtime that oneDNN and OpenBLAS share is told once. See threads.h.
 *
 * libgomp is linked by name and its functions declared here, so that any compiler will do. */
#include "nn/kernels/threads.h"

void omp_set_num_threads(int threads);
int omp_get_max_threads(void);

void tdo_threads_set(int threads)
{
    omp_set_num_threads(threads);
}

int tdo_threads_get(void)
{
    return omp_get_max_threads();
}
