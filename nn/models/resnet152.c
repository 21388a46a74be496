/* ResNet-152 for large images: stages of 3, 8, 36 and 3 bottleneck blocks. See bottleneck.h.
 *
 * Any size of image is taken. Names and initialisation are torchvision's.
 * Source: He et al. 2016, table 1 and section 4.1. */
#include "nn/models/bottleneck.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    return tdo_bottleneck_large(b, x, spec, (int[]){3, 8, 36, 3});
}

const struct tdo_model tdo_model_resnet152 = {
    .name = "resnet152",
    .help = "residual network of depth 152 for large images, 256 to 2048 channels",
    .cite = "He et al. 2016, table 1",
    .width = true,
    .usual = {224, 224, 3},
    .weight_init = TDO_INIT_KAIMING_NORMAL,
    .bias_init = TDO_INIT_FAN_IN_UNIFORM,
    .build = build,
};
