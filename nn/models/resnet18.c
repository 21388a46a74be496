/* ResNet-18 for large images: a 7x7 convolution and max pooling, both with stride 2, then four
 * stages of two basic blocks with 64, 128, 256, 512 channels and projection shortcuts.
 *
 * Any size of image is taken; below 32 pixels the last stages see one place. Names and
 * initialisation are torchvision's: see resnet.c.
 * Source: He et al. 2016, table 1 and section 4.1. */
#include "nn/models/resnet.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    const struct tdo_layer_conv seven = tdo_layer_square(7, 2, 3, false);
    const struct tdo_pool pool = {.window = {3, 3}, .stride = {2, 2}, .pad = {1, 1, 1, 1}};
    const struct tdo_resnet stages = {
        .stages = 4, .blocks = 2, .channels = 64, .shortcut = 'B'};
    x = tdo_layer_conv(b, "conv1", x, tdo_model_channels(spec, 64), &seven);
    x = tdo_layer_activation(b, tdo_layer_batchnorm(b, "bn1", x));
    x = tdo_resnet_stages(b, tdo_op_maxpool(b->g, x, &pool), spec, &stages);
    b->weight_init = TDO_INIT_FAN_IN_UNIFORM;
    return tdo_layer_linear(b, "fc", tdo_layer_global_mean(b, x), spec->classes);
}

const struct tdo_model tdo_model_resnet18 = {
    .name = "resnet18",
    .help = "residual network of depth 18 for large images, 64 to 512 channels",
    .cite = "He et al. 2016, table 1",
    .width = true,
    .usual = {224, 224, 3},
    .weight_init = TDO_INIT_KAIMING_NORMAL,
    .bias_init = TDO_INIT_FAN_IN_UNIFORM,
    .build = build,
};
