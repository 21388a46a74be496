/* The MNIST network of PGD adversarial training: two 5x5 convolutions and 1024 units.
 *
 *     28x28 -> conv 5x5, 32, same -> max pooling 2 -> 14 -> conv 5x5, 64, same -> max pooling 2 -> 7
 *           -> linear 1024 -> linear
 *
 * An activation follows all layers but the last. Weights start from a normal law of deviation 0.1
 * cut off at 0.2, biases at 0.1.
 * Source: Madry et al. 2018, section 5, and their MNIST challenge. */
#include "nn/models/models.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    const struct tdo_layer_conv five = tdo_layer_square(5, 1, 2, true);
    x = tdo_layer_activation(b, tdo_layer_conv(b, "conv1", x, 32, &five));
    x = tdo_layer_tap(b, "conv1", tdo_layer_maxpool(b, x, 2, 2));
    x = tdo_layer_activation(b, tdo_layer_conv(b, "conv2", x, 64, &five));
    x = tdo_layer_tap(b, "conv2", tdo_layer_maxpool(b, x, 2, 2));
    x = tdo_layer_flatten(b, tdo_layer_tap(b, "features", x));
    x = tdo_layer_tap(b, "fc1", tdo_layer_activation(b, tdo_layer_linear(b, "fc1", x, 1024)));
    return tdo_layer_linear(b, "fc2", x, spec->classes);
}

const struct tdo_model tdo_model_madry_mnist = {
    .name = "madry_mnist",
    .help = "two 5x5 convolutions (32, 64) with max pooling, 1024 units",
    .cite = "Madry et al. 2018, section 5",
    .usual = {28, 28, 1},
    .weight_init = TDO_INIT_TRUNCATED,
    .bias_init = TDO_INIT_TENTH,
    .build = build,
};
