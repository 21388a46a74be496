#ifndef TDO_KERNELS_PERMUTE_H
#define TDO_KERNELS_PERMUTE_H
/* Transposed tensors in f32, an odometer over the result instead of divisions for each element.
 * Meaning: the reference kernel of this name. */
#include "nn/kernels/kernel.h"

tdo_prepare_fn tdo_permute;

#endif
