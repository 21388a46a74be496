/* The CIFAR-10 ConvNet of Deep Defense: five convolutions, no linear layer.
 *
 *     32x32 -> conv 5x5, 32 -> max pooling 2, then ReLU -> 16
 *           -> conv 5x5, 32, ReLU, average pooling 2 -> 8
 *           -> conv 5x5, 64, ReLU, average pooling 2 -> 4 -> conv 4x4, 64, ReLU -> 1 -> conv 1x1
 *
 * Deep Defense's PyTorch form, with its parameter names; MatConvNet's, from which it comes, pools
 * over 3x3. Kaiming normal by fan-in, bias 0.
 * Source: Yan et al. 2018 (Deep Defense), section 4.1. */
#include "nn/models/models.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    const struct tdo_layer_conv five = tdo_layer_square(5, 1, 2, true);
    const struct tdo_layer_conv four = tdo_layer_square(4, 1, 0, true);
    const struct tdo_layer_conv one = tdo_layer_square(1, 1, 0, true);
    if (spec->height / 8 != 4 || spec->width / 8 != 4) {
        return tdo_graph_fail(b->g, TDO_ERR_SHAPE,
                              "its last convolutions want 32 to 39 pixels a side");
    }
    x = tdo_layer_maxpool(b, tdo_layer_conv(b, "conv1", x, 32, &five), 2, 2);
    x = tdo_layer_tap(b, "conv1", tdo_layer_activation(b, x));
    x = tdo_layer_activation(b, tdo_layer_conv(b, "conv2", x, 32, &five));
    x = tdo_layer_tap(b, "conv2", tdo_layer_avgpool(b, x, 2, 2));
    x = tdo_layer_activation(b, tdo_layer_conv(b, "conv3", x, 64, &five));
    x = tdo_layer_tap(b, "conv3", tdo_layer_avgpool(b, x, 2, 2));
    x = tdo_layer_activation(b, tdo_layer_conv(b, "conv4", x, 64, &four));
    x = tdo_layer_tap(b, "features", tdo_layer_tap(b, "conv4", x));
    return tdo_layer_flatten(b, tdo_layer_conv(b, "conv5", x, spec->classes, &one));
}

const struct tdo_model tdo_model_convnet = {
    .name = "convnet",
    .help = "five convolutions (32, 32, 64, 64, classes), max and average pooling",
    .cite = "Yan et al. 2018 (Deep Defense), section 4.1",
    .usual = {32, 32, 3},
    .weight_init = TDO_INIT_KAIMING_IN,
    .bias_init = TDO_INIT_ZERO,
    .build = build,
};
