/* Wide residual networks for 32x32 images: model.depth layers, 6n + 4, and model.width times 16,
 * 32 and 64 channels in three groups of n blocks; WRN-34-10 is model.depth = 34, model.width = 10.
 *
 *     block:  a = ReLU(norm(x));  y = conv(dropout(ReLU(norm(conv(a)))));  x + y, or, where
 *             channels or size change, conv 1x1(a) + y
 *
 * The first convolution has 16 channels at any width. Parameter names are those that TRADES uses:
 * conv1, block<g>.layer.<i>.{bn1,conv1,bn2,conv2,convShortcut}, bn1, fc. Its files hold one more
 * group, sub_block1, that no image passes through: it is no part of this network and has to be
 * taken out of such a file. Kaiming normal by fan-out, no biases but the last, which starts at 0.
 *
 * The CIFAR-10 network that Madry et al. 2018 train is of this family, five units a group and ten
 * times as wide: model.depth = 34, model.width = 10.
 * Source: Zagoruyko and Komodakis 2016, section 2 and table 1. */
#include <stdio.h>

#include "nn/models/models.h"

static tdo_node norm(struct tdo_build *b, const char *prefix, const char *part, tdo_node x)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", prefix, part);
    return tdo_layer_activation(b, tdo_layer_batchnorm(b, name, x));
}

static tdo_node convolve(struct tdo_build *b, const char *prefix, const char *part, tdo_node x,
                         int64_t channels, const struct tdo_layer_conv *spec)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", prefix, part);
    return tdo_layer_conv(b, name, x, channels, spec);
}

static tdo_node wide_block(struct tdo_build *b, const char *prefix, tdo_node x,
                           int64_t channels, int stride)
{
    const struct tdo_layer_conv first = tdo_layer_square(3, stride, 1, false);
    const struct tdo_layer_conv second = tdo_layer_square(3, 1, 1, false);
    const struct tdo_layer_conv one = tdo_layer_square(1, stride, 0, false);
    const tdo_node a = norm(b, prefix, "bn1", x);
    tdo_node y = norm(b, prefix, "bn2", convolve(b, prefix, "conv1", a, channels, &first));
    y = convolve(b, prefix, "conv2", tdo_layer_dropout(b, y), channels, &second);
    if (stride != 1 || tdo_graph_shape(b->g, x).dim[3] != channels) {
        x = convolve(b, prefix, "convShortcut", a, channels, &one);
    }
    return tdo_op_add(b->g, y, x);
}

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    const struct tdo_layer_conv stem = tdo_layer_square(3, 1, 1, false);
    const int depth = spec->depth ? spec->depth : tdo_model_wrn.depth;
    x = tdo_layer_conv(b, "conv1", x, 16, &stem);
    for (int group = 0; group < 3; group++) {
        const int64_t channels = tdo_model_channels(spec, INT64_C(16) << group);
        for (int block = 0; block < (depth - 4) / 6; block++) {
            char prefix[48];
            snprintf(prefix, sizeof prefix, "block%d.layer.%d.", group + 1, block);
            x = wide_block(b, prefix, x, channels, group > 0 && block == 0 ? 2 : 1);
            tdo_model_tap_block(b, prefix, x, block + 1 == (depth - 4) / 6);
        }
    }
    x = tdo_layer_tap(b, "features", norm(b, "", "bn1", x));
    b->weight_init = TDO_INIT_FAN_IN_UNIFORM;
    return tdo_layer_linear(b, "fc", tdo_layer_global_mean(b, x), spec->classes);
}

const struct tdo_model tdo_model_wrn = {
    .name = "wrn",
    .help = "wide residual network of model.depth layers, 16-32-64 channels times model.width",
    .cite = "Zagoruyko and Komodakis 2016, section 2",
    .width = true,
    .depth = 28,
    .dropout = true,
    .usual = {32, 32, 3},
    .weight_init = TDO_INIT_KAIMING_NORMAL,
    .bias_init = TDO_INIT_ZERO,
    .build = build,
};
