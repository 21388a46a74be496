#ifndef TDO_KERNELS_ONEDNN_H
#define TDO_KERNELS_ONEDNN_H
/* Convolutions by oneDNN, on NHWC images. The only file that includes dnnl.h is onednn.c; a build
 * without oneDNN links onednn_absent.c, where nothing is available and every case is declined.
 *
 * Weights are packed: once per parameter version they are reordered into the blocked order that
 * the chosen kernel wants. A pack node and the convolution that reads it describe that kernel by
 * the same struct tdo_conv_pack.
 *
 * Forward and backward-data give an image the same bits whatever the batch, its position in it
 * and the number of threads; backward-weights depend on the number of threads. */
#include "nn/kernels/kernel.h"

bool tdo_onednn_available(void);

/* "oneDNN 2.6.3", or "none". A static string. */
const char *tdo_onednn_version(void);

/* The instruction set that oneDNN will use, as an ordinal that grows with the set, and its name;
 * limit: use no more than that, before the first kernel is made (later calls fail). */
int tdo_onednn_isa(void);
const char *tdo_onednn_isa_name(void);
TDO_MUST tdo_err tdo_onednn_limit_isa(int isa);

/* Does this processor compute in bf16 (within the limit)? */
bool tdo_onednn_bf16(void);

/* How many floats the packed weights take; 0 when this convolution is declined. */
TDO_MUST tdo_err tdo_onednn_pack_floats(const struct tdo_conv_pack *pack, int64_t *floats);

/* Take out of *pack what does not change the order of its weights (bias, sum, activation), so that
 * convolutions that differ in it alone share the packed weights. */
TDO_MUST tdo_err tdo_onednn_pack_share(struct tdo_conv_pack *pack);

/* Kernels of the nodes pack, conv_fused, conv_dx_packed (attr->pack) and conv_dw (attr->conv). */
tdo_prepare_fn tdo_onednn_pack, tdo_onednn_conv, tdo_onednn_conv_dx, tdo_onednn_conv_dw;

#endif
