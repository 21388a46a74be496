/* AlexNet in one column, as torchvision has it: five convolutions, three linear layers.
 *
 *     224x224 -> conv 11x11, 64, stride 4 -> 55 -> max pooling 3, stride 2 -> 27
 *             -> conv 5x5, 192 -> max pooling -> 13 -> conv 3x3, 384, 256, 256 -> max pooling -> 6
 *             -> means of 6x6 parts -> dropout, linear 4096 -> dropout, linear 4096 -> linear
 *
 * An activation follows all layers but the last. Images of other sizes have features that are not
 * 6x6; the means bring them there (63 pixels a side is the least). PyTorch's default
 * initialisation and torchvision's names: features.<i>, classifier.<i>.
 * Source: Krizhevsky 2014, section 5.1. */
#include "nn/models/models.h"

static tdo_node convolve(struct tdo_build *b, const char *name, tdo_node x, int64_t channels,
                         int kernel)
{
    const struct tdo_layer_conv first = tdo_layer_square(kernel, 4, 2, true);
    const struct tdo_layer_conv later = tdo_layer_square(kernel, 1, kernel / 2, true);
    x = tdo_layer_conv(b, name, x, channels, kernel == 11 ? &first : &later);
    return tdo_layer_tap(b, name, tdo_layer_activation(b, x));
}

static tdo_node connect(struct tdo_build *b, const char *name, tdo_node x, int64_t units)
{
    x = tdo_layer_linear(b, name, tdo_layer_dropout(b, x), units);
    return tdo_layer_tap(b, name, tdo_layer_activation(b, x));
}

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    const int64_t units = tdo_model_channels(spec, 4096);
    if (spec->height < 63 || spec->width < 63) {
        return tdo_graph_fail(b->g, TDO_ERR_SHAPE, "it wants 63 pixels a side or more");
    }
    x = convolve(b, "features.0", x, tdo_model_channels(spec, 64), 11);
    x = tdo_layer_maxpool(b, x, 3, 2);
    x = convolve(b, "features.3", x, tdo_model_channels(spec, 192), 5);
    x = tdo_layer_maxpool(b, x, 3, 2);
    x = convolve(b, "features.6", x, tdo_model_channels(spec, 384), 3);
    x = convolve(b, "features.8", x, tdo_model_channels(spec, 256), 3);
    x = convolve(b, "features.10", x, tdo_model_channels(spec, 256), 3);
    x = tdo_layer_tap(b, "features", tdo_layer_maxpool(b, x, 3, 2));
    x = tdo_layer_avgpool_to(b, x, (int[]){6, 6});
    x = connect(b, "classifier.1", tdo_layer_flatten(b, x), units);
    x = connect(b, "classifier.4", x, units);
    return tdo_layer_linear(b, "classifier.6", x, spec->classes);
}

const struct tdo_model tdo_model_alexnet = {
    .name = "alexnet",
    .help = "five convolutions (64 to 384) with max pooling, twice 4096 units",
    .cite = "Krizhevsky 2014, section 5.1",
    .width = true,
    .dropout = true,
    .usual = {224, 224, 3},
    .weight_init = TDO_INIT_FAN_IN_UNIFORM,
    .bias_init = TDO_INIT_FAN_IN_UNIFORM,
    .build = build,
};
