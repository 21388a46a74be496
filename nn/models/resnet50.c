/* ResNet-50 for large images: the stem of resnet18, then four stages of 3, 4, 6 and 3 bottleneck
 * blocks whose 3x3 convolutions have 64, 128, 256 and 512 channels, four times as many behind them.
 *
 * Any size of image is taken. Names and initialisation are torchvision's; so is the stride, which
 * sits in the 3x3 convolution ("v1.5"; the paper has it in the 1x1 before).
 * Source: He et al. 2016, table 1 and section 4.1. */
#include "nn/models/bottleneck.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    const struct tdo_layer_conv seven = tdo_layer_square(7, 2, 3, false);
    const struct tdo_pool pool = {.window = {3, 3}, .stride = {2, 2}, .pad = {1, 1, 1, 1}};
    const struct tdo_bottleneck stages = {
        .stages = 4, .blocks = {3, 4, 6, 3}, .groups = 1, .channels = 64, .expansion = 4};
    x = tdo_layer_conv(b, "conv1", x, tdo_model_channels(spec, 64), &seven);
    x = tdo_layer_activation(b, tdo_layer_batchnorm(b, "bn1", x));
    return tdo_bottleneck_stages(b, tdo_op_maxpool(b->g, x, &pool), spec, &stages);
}

const struct tdo_model tdo_model_resnet50 = {
    .name = "resnet50",
    .help = "residual network of depth 50 for large images, 256 to 2048 channels",
    .cite = "He et al. 2016, table 1",
    .width = true,
    .usual = {224, 224, 3},
    .weight_init = TDO_INIT_KAIMING_NORMAL,
    .bias_init = TDO_INIT_FAN_IN_UNIFORM,
    .build = build,
};
