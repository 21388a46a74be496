/* The MNIST network of TRADES: four 3x3 convolutions, twice 200 units.
 *
 *     28x28 -> conv 3x3, 32 -> conv 3x3, 32 -> max pooling 2 -> 12
 *           -> conv 3x3, 64 -> conv 3x3, 64 -> max pooling 2 -> 4 -> linear 200, dropout
 *           -> linear 200 -> linear
 *
 * An activation follows all layers but the last. Convolutions: Kaiming normal by fan-in, bias 0;
 * linear: PyTorch's default, but the last one starts at 0. Parameter names are TRADES'.
 * Source: Zhang et al. 2019 (TRADES), section 5.2. */
#include "nn/models/models.h"

static tdo_node convolve(struct tdo_build *b, const char *name, tdo_node x, int64_t channels)
{
    const struct tdo_layer_conv three = tdo_layer_square(3, 1, 0, true);
    x = tdo_layer_activation(b, tdo_layer_conv(b, name, x, channels, &three));
    return tdo_layer_tap(b, name, x);
}

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    x = convolve(b, "feature_extractor.conv1", x, 32);
    x = convolve(b, "feature_extractor.conv2", x, 32);
    x = tdo_layer_maxpool(b, x, 2, 2);
    x = convolve(b, "feature_extractor.conv3", x, 64);
    x = convolve(b, "feature_extractor.conv4", x, 64);
    x = tdo_layer_tap(b, "features", tdo_layer_maxpool(b, x, 2, 2));
    x = tdo_layer_flatten(b, x);
    b->weight_init = b->bias_init = TDO_INIT_FAN_IN_UNIFORM;
    x = tdo_layer_activation(b, tdo_layer_linear(b, "classifier.fc1", x, 200));
    x = tdo_layer_tap(b, "classifier.fc1", x);
    x = tdo_layer_linear(b, "classifier.fc2", tdo_layer_dropout(b, x), 200);
    b->weight_init = b->bias_init = TDO_INIT_ZERO;
    x = tdo_layer_tap(b, "classifier.fc2", tdo_layer_activation(b, x));
    return tdo_layer_linear(b, "classifier.fc3", x, spec->classes);
}

const struct tdo_model tdo_model_small_cnn = {
    .name = "small_cnn",
    .help = "four 3x3 convolutions (32, 32, 64, 64) with max pooling, twice 200 units",
    .cite = "Zhang et al. 2019 (TRADES), section 5.2",
    .dropout = true,
    .usual = {28, 28, 1},
    .weight_init = TDO_INIT_KAIMING_IN,
    .bias_init = TDO_INIT_ZERO,
    .build = build,
};
