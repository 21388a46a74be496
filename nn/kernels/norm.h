#ifndef TDO_KERNELS_NORM_H
#define TDO_KERNELS_NORM_H
/* Training-mode batch normalisation in f32: one pass over memory each, vectorised over channels,
 * sums in double. Meaning: the reference kernels bn_stats, bn_train, bn_reduce, bn_dx. */
#include "nn/kernels/kernel.h"

tdo_prepare_fn tdo_norm_stats, tdo_norm_train, tdo_norm_reduce, tdo_norm_dx;

#endif
