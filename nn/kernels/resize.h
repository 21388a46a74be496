#ifndef TDO_KERNELS_RESIZE_H
#define TDO_KERNELS_RESIZE_H
/* Bilinear resizing in f32, vectorised over channels. Meaning: the reference kernels of these names. */
#include "nn/kernels/kernel.h"

tdo_prepare_fn tdo_resize_upsample, tdo_resize_upsample_dx;

#endif
