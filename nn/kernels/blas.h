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

/* "Haswell", "SkylakeX": the kernels that OpenBLAS chose for this processor. Results of two cores
 * differ in their last bits. A static string. */
const char *tdo_blas_core(void);

#endif
