#ifndef TDO_KERNELS_POOL_H
#define TDO_KERNELS_POOL_H
/* Pooling in f32, vectorised over channels. Meaning: the reference kernels of these names. */
#include "nn/kernels/kernel.h"

tdo_prepare_fn tdo_pool_maxpool, tdo_pool_maxpool_arg, tdo_pool_window_scatter;
tdo_prepare_fn tdo_pool_window_gather;
tdo_prepare_fn tdo_pool_avgpool, tdo_pool_avgpool_dx;

#endif
