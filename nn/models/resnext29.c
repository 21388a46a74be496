/* ResNeXt-29 (2x64d) for 32x32 images: three stages of three bottleneck blocks whose 3x3
 * convolutions come in two groups of 64, 128 and 256 channels, twice as many behind them.
 *
 * The first convolution is 1x1, as in the published code of Random Self-Ensemble (Xie et al. have
 * 3x3). Names are torchvision's for a residual network: conv1, bn1, layer<stage>.<block>.*, fc.
 * model.width multiplies the channels of a group, so that two groups always fit. Kaiming normal by
 * fan-out; linear: PyTorch's.
 * Source: Xie et al. 2017, section 5.2; Liu et al. 2018 (RSE), section 4. */
#include "nn/models/bottleneck.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    const struct tdo_layer_conv one = tdo_layer_square(1, 1, 0, false);
    const struct tdo_bottleneck stages = {
        .stages = 3, .blocks = {3, 3, 3}, .groups = 2, .channels = 64, .expansion = 2};
    x = tdo_layer_conv(b, "conv1", x, tdo_model_channels(spec, 64), &one);
    x = tdo_layer_activation(b, tdo_layer_batchnorm(b, "bn1", x));
    return tdo_bottleneck_stages(b, x, spec, &stages);
}

const struct tdo_model tdo_model_resnext29 = {
    .name = "resnext29",
    .help = "ResNeXt of depth 29 for small images, two groups of 64 channels at first (2x64d)",
    .cite = "Xie et al. 2017, section 5.2; Liu et al. 2018 (RSE)",
    .width = true,
    .usual = {32, 32, 3},
    .weight_init = TDO_INIT_KAIMING_NORMAL,
    .bias_init = TDO_INIT_FAN_IN_UNIFORM,
    .build = build,
};
