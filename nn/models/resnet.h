#ifndef TDO_MODELS_RESNET_H
#define TDO_MODELS_RESNET_H
/* Residual networks for small images, shared by the rows of depth 6n+2. */
#include "nn/models/models.h"

/* Three stages of `blocks` basic blocks with 16, 32, 64 channels, times spec->wide. */
tdo_node tdo_resnet_build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec,
                          int blocks);

#endif
