#ifndef TDO_MODELS_RESNET_H
#define TDO_MODELS_RESNET_H
/* Residual networks for small images, shared by the rows of depth 6n+2. */
#include "nn/models/models.h"

/* Stages of basic blocks, which end in "features", named layer<stage>.<block>.{conv1,bn1,conv2,bn2,downsample}; each stage
 * has twice the channels of the one before and halves the image. */
struct tdo_resnet {
    int stages, blocks; /* blocks a stage */
    int64_t channels;   /* of the first stage, times spec->wide */
    char shortcut;      /* 'A' or 'B' */
};
tdo_node tdo_resnet_stages(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec,
                           const struct tdo_resnet *r);

/* Three stages of `blocks` basic blocks with 16, 32, 64 channels, times spec->wide. */
tdo_node tdo_resnet_build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec,
                          int blocks);

/* The row of the network with `blocks` blocks a stage, whose depth is 6 blocks + 2. */
#define TDO_RESNET_ROW(depth, blocks)                                                          \
    static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)  \
    {                                                                                          \
        _Static_assert((depth) == 6 * (blocks) + 2, "depth is 6 blocks + 2");                  \
        return tdo_resnet_build(b, x, spec, (blocks));                                         \
    }                                                                                          \
    const struct tdo_model tdo_model_resnet##depth = {                                         \
        .name = "resnet" #depth,                                                               \
        .help = "residual network of depth " #depth " for small images, 16-32-64 channels",    \
        .cite = "He et al. 2016, section 4.2",                                                 \
        .shortcut = true,                                                                      \
        .width = true,                                                                         \
        .usual = {32, 32, 3},                                                                  \
        .weight_init = TDO_INIT_KAIMING_NORMAL,                                                \
        .bias_init = TDO_INIT_FAN_IN_UNIFORM,                                                  \
        .build = build,                                                                        \
    }

#endif
