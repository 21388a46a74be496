#ifndef TDO_KERNELS_FEW_H
#define TDO_KERNELS_FEW_H
/* The input gradient of a first layer: conv_dx for images of at most four channels.
 *
 * Blocked kernels work on 16 channels at a time and waste most of them here. This one puts
 * neighbouring pixels into the lanes: each line of gy is turned from [OW,K] to [K,OW] once, with
 * zeros on both sides, and then read KH KW times at shifted places:
 *
 *     gx[h, r + s l, c] = sum over taps (i,j), k of  line(oh)[k, l + (r + pad - j) / s] w[k,c,i,j]
 *
 * for the pixels r, r + s, r + 2s, ... that the stride s treats alike. A pixel's bits do not depend
 * on the batch, its place in it, or the number of threads. */
#include <stdbool.h>

#include "nn/kernels/kernel.h"

/* Is it for this convolution? w [K,C/groups,KH,KW]. */
bool tdo_few_takes(const struct tdo_conv *conv, const tdo_shape *w);

/* Kernel of the node conv_dx; declines what tdo_few_takes does not take. */
tdo_prepare_fn tdo_few_conv_dx;

#endif
