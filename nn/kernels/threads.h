#ifndef TDO_KERNELS_THREADS_H
#define TDO_KERNELS_THREADS_H
/* How many threads a kernel may use in this process: one, unless run.threads says more. OpenBLAS
 * always uses one (blas.h). */
void tdo_threads_set(int threads);
int tdo_threads_get(void);

#endif
