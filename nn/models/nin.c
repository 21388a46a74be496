/* Network in network for CIFAR-10, as Deep Defense has it: three convolutions, each followed by two
 * of 1x1, and the mean of the last one's image as score of a class.
 *
 * Parameter names are Deep Defense's (conv<i>, cccp<i>). Its pooling windows are 2x2 and the whole
 * image; those of MatConvNet, from which it comes, are 3x3 and 7x7. Dropout follows the first two
 * poolings. Kaiming normal by fan-in, bias 0.
 * Source: Lin et al. 2014; Yan et al. 2018 (Deep Defense), section 4.1. */
#include "nn/models/models.h"

static tdo_node convolve(struct tdo_build *b, const char *name, tdo_node x, int64_t channels,
                         int kernel)
{
    const struct tdo_layer_conv spec = tdo_layer_square(kernel, 1, kernel / 2, true);
    x = tdo_layer_activation(b, tdo_layer_conv(b, name, x, channels, &spec));
    return tdo_layer_tap(b, name, x);
}

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    const struct tdo_layer_conv one = tdo_layer_square(1, 1, 0, true);
    x = convolve(b, "conv1", x, 192, 5);
    x = convolve(b, "cccp1", x, 160, 1);
    x = convolve(b, "cccp2", x, 96, 1);
    x = tdo_layer_dropout(b, tdo_layer_maxpool(b, x, 2, 2));
    x = convolve(b, "conv2", x, 192, 5);
    x = convolve(b, "cccp3", x, 192, 1);
    x = convolve(b, "cccp4", x, 192, 1);
    x = tdo_layer_dropout(b, tdo_layer_avgpool(b, x, 2, 2));
    x = convolve(b, "conv3", x, 192, 3);
    x = tdo_layer_tap(b, "features", convolve(b, "cccp5", x, 192, 1));
    return tdo_layer_global_mean(b, tdo_layer_conv(b, "cccp6", x, spec->classes, &one));
}

const struct tdo_model tdo_model_nin = {
    .name = "nin",
    .help = "network in network: three convolutions, two of 1x1 behind each, and a global mean",
    .cite = "Lin et al. 2014; Yan et al. 2018 (Deep Defense), section 4.1",
    .dropout = true,
    .usual = {32, 32, 3},
    .weight_init = TDO_INIT_KAIMING_IN,
    .bias_init = TDO_INIT_ZERO,
    .build = build,
};
