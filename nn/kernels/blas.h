#ifndef TDO_KERNELS_BLAS_H
#define TDO_KERNELS_BLAS_H
/* Convolution and matrix product by OpenBLAS, in f32. The only file that includes cblas.h is
 * blas.c. Meaning: the reference kernels of these names; images NHWC, weights [K,C/groups,KH,KW].
 *
 * A convolution is im2col and one product an image, whose shape, operands' alignment and single
 * thread never depend on the batch: an image has the same bits in any batch and at any position.
 * (Rows of one product over a batch would not.) These kernels serve builds without oneDNN, and
 * the convolutions that oneDNN declines. Rows of a matmul do depend on the number of rows: nothing
 * that a vote depends on may use it. */
#include "nn/kernels/kernel.h"

tdo_prepare_fn tdo_blas_conv, tdo_blas_conv_dx, tdo_blas_conv_dw, tdo_blas_matmul;

/* Some rows of floats; `step` floats from row to row. */
struct tdo_blas_rows {
    const float *at;
    int64_t rows, step;
};

/* out[i,j] = the scalar product of the first n floats of row i of a and row j of b, on one thread.
 * The sum is made in f32, in an order that depends on the shapes and on the processor: it is within
 * 1.01 n 2^-24 |a_i| |b_j| of the real one. Shapes: out [a->rows,b->rows]; all sizes and steps
 * below 2^31. Source: Higham 2002, equation 3.5. */
void tdo_blas_products(const struct tdo_blas_rows *a, const struct tdo_blas_rows *b, int64_t n,
                       float *out);

/* sum += x' x, on one thread: the upper triangle, j >= i, of sum [n,n] alone. x [rows,n]. */
void tdo_blas_add_squares(const double *x, int64_t rows, int64_t n, double *sum);

/* Eigenvalues, ascending, and eigenvectors, as rows of a, of the symmetric a [n,n], whose upper
 * triangle is read; on one thread. n < 2^14. Errors: TDO_ERR_MEMORY; TDO_ERR_NUMERIC when a
 * holds a NaN or an infinity, or they are not found. Source: LAPACK, dsyevd. */
TDO_MUST tdo_err tdo_blas_eigen(int64_t n, double *a, double *values);

/* "Haswell", "SkylakeX": the kernels that OpenBLAS chose for this processor. Results of two cores
 * differ in their last bits. A static string. */
const char *tdo_blas_core(void);

#endif
