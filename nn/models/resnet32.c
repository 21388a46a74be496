/* ResNet-32: five basic blocks a stage. See resnet.c.
 * Source: He et al. 2016, section 4.2. */
#include "nn/models/resnet.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    return tdo_resnet_build(b, x, spec, 5);
}

const struct tdo_model tdo_model_resnet32 = {
    .name = "resnet32",
    .help = "residual network of depth 32 for small images, 16-32-64 channels",
    .cite = "He et al. 2016, section 4.2",
    .shortcut = true,
    .width = true,
    .usual = {32, 32, 3},
    .weight_init = TDO_INIT_KAIMING_NORMAL,
    .bias_init = TDO_INIT_FAN_IN_UNIFORM,
    .build = build,
};
