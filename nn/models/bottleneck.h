#ifndef TDO_MODELS_BOTTLENECK_H
#define TDO_MODELS_BOTTLENECK_H
/* Residual networks of bottleneck blocks, plain or in groups, shared by resnet50, resnet152 and
 * resnext29.
 * Source: He et al. 2016, figure 5; Xie et al. 2017, figure 3 (c). */
#include "nn/models/models.h"

/* Stages named layer<stage>.<block>.{conv1,bn1,conv2,bn2,conv3,bn3,downsample}; each has twice the
 * channels of the one before, and all but the first halve the image. */
struct tdo_bottleneck {
    int stages, blocks[4]; /* blocks of a stage */
    int groups;            /* of the 3x3 convolutions */
    int64_t channels;      /* of a group in the first stage, times spec->wide */
    int expansion;         /* a block returns so many times what its 3x3 convolution has */
};

/* x [N,H,W,C] -> logits [N,classes]: the stages, the mean over the image, and the layer fc. */
tdo_node tdo_bottleneck_stages(struct tdo_build *b, tdo_node x,
                               const struct tdo_model_spec *spec,
                               const struct tdo_bottleneck *r);

/* The networks for large images: the stem of resnet18, then four stages of so many blocks whose 3x3
 * convolutions have 64, 128, 256 and 512 channels, four times as many behind them. Any size of image
 * is taken. Names and initialisation are torchvision's; so is the stride, which sits in the 3x3
 * convolution ("v1.5"; the paper has it in the 1x1 before).
 * Source: He et al. 2016, table 1 and section 4.1. */
tdo_node tdo_bottleneck_large(struct tdo_build *b, tdo_node x,
                              const struct tdo_model_spec *spec, const int blocks[4]);

#endif
