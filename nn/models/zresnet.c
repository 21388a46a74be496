/* The residual network of the bounded-ReLU paper: two strided convolutions, one bottleneck block.
 *
 *     32x32 -> conv 8x8, 64, stride 2, same -> 16 -> conv 6x6, 128, stride 2 -> 6
 *           -> conv 1x1, 64 -> conv 3x3, 64, same -> conv 1x1, 128, plus the block's input
 *           -> max pooling 3x3, stride 3 -> 2 -> linear
 *
 * An activation follows every convolution, in the block's last one behind the sum.
 * Source: Zantedeschi et al. 2017, section 5.1; Glorot uniform initialisation, bias 0. */
#include "nn/models/models.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    const struct tdo_layer_conv first = tdo_layer_same(8, 2, spec->height, spec->width, true);
    const struct tdo_layer_conv second = tdo_layer_square(6, 2, 0, true);
    const struct tdo_layer_conv one = tdo_layer_square(1, 1, 0, true);
    const struct tdo_layer_conv three = tdo_layer_square(3, 1, 1, true);
    x = tdo_layer_activation(b, tdo_layer_conv(b, "conv1", x, 64, &first));
    x = tdo_layer_conv(b, "conv2", tdo_layer_tap(b, "conv1", x), 128, &second);
    x = tdo_layer_tap(b, "conv2", tdo_layer_activation(b, x));
    tdo_node y = tdo_layer_activation(b, tdo_layer_conv(b, "conv3", x, 64, &one));
    y = tdo_layer_activation(b, tdo_layer_conv(b, "conv4", y, 64, &three));
    y = tdo_layer_conv(b, "conv5", y, 128, &one);
    x = tdo_layer_activation(b, tdo_op_add(b->g, y, x));
    x = tdo_layer_maxpool(b, tdo_layer_tap(b, "conv5", x), 3, 3);
    x = tdo_layer_flatten(b, tdo_layer_tap(b, "features", x));
    return tdo_layer_linear(b, "fc1", x, spec->classes);
}

const struct tdo_model tdo_model_zresnet = {
    .name = "zresnet",
    .help = "two strided convolutions (64, 128), one bottleneck block, a linear layer",
    .cite = "Zantedeschi et al. 2017, section 5.1",
    .usual = {32, 32, 3},
    .weight_init = TDO_INIT_GLOROT_UNIFORM,
    .bias_init = TDO_INIT_ZERO,
    .build = build,
};
