/* The CNN of the bounded-ReLU paper: three strided convolutions and a linear layer.
 *
 *     28x28 -> conv 8x8, 64, stride 2, same -> 14 -> conv 6x6, 128, stride 2 -> 5
 *           -> conv 5x5, 128 -> 1 -> linear
 *
 * Source: Zantedeschi et al. 2017, section 5.1; Glorot uniform initialisation, bias 0. */
#include "nn/models/models.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    const struct tdo_layer_conv first = tdo_layer_same(8, 2, spec->height, spec->width, true);
    const struct tdo_layer_conv second = tdo_layer_square(6, 2, 0, true);
    const struct tdo_layer_conv third = tdo_layer_square(5, 1, 0, true);
    x = tdo_layer_activation(b, tdo_layer_conv(b, "conv1", x, 64, &first));
    x = tdo_layer_conv(b, "conv2", tdo_layer_tap(b, "conv1", x), 128, &second);
    x = tdo_layer_tap(b, "conv2", tdo_layer_activation(b, x));
    x = tdo_layer_activation(b, tdo_layer_conv(b, "conv3", x, 128, &third));
    x = tdo_layer_tap(b, "features", tdo_layer_tap(b, "conv3", x));
    return tdo_layer_linear(b, "fc1", tdo_layer_flatten(b, x), spec->classes);
}

const struct tdo_model tdo_model_zcnn = {
    .name = "zcnn",
    .help = "three strided convolutions (64, 128, 128) and a linear layer",
    .cite = "Zantedeschi et al. 2017, section 5.1",
    .usual = {28, 28, 1},
    .weight_init = TDO_INIT_GLOROT_UNIFORM,
    .bias_init = TDO_INIT_ZERO,
    .build = build,
};
