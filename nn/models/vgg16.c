/* VGG-16 with batch norm for small images: thirteen 3x3 convolutions in five groups, each group
 * ended by max pooling, then the mean over what is left (one place for 32x32) and one linear layer.
 *
 * Parameter names of the convolutions are those of torchvision's vgg16_bn: features.<i>, where i
 * counts convolution, norm, activation and pooling alike. Kaiming normal by fan-out, bias 0. The
 * linear layer starts as PyTorch's default.
 * Source: Simonyan and Zisserman 2015, table 1, column D; batch norm: Ioffe and Szegedy 2015. */
#include <stdio.h>

#include "nn/models/models.h"

enum { POOL = 0 };

static tdo_node norm_conv(struct tdo_build *b, int place, tdo_node x, int64_t channels)
{
    const struct tdo_layer_conv three = tdo_layer_square(3, 1, 1, true);
    char name[32];
    snprintf(name, sizeof name, "features.%d", place);
    x = tdo_layer_conv(b, name, x, channels, &three);
    snprintf(name, sizeof name, "features.%d", place + 1);
    x = tdo_layer_activation(b, tdo_layer_batchnorm(b, name, x));
    snprintf(name, sizeof name, "features.%d", place + 2);
    return tdo_layer_tap(b, name, x);
}

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    static const int parts[] = {64,   64,  POOL, 128, 128,  POOL, 256, 256, 256,
                                POOL, 512, 512,  512, POOL, 512,  512, 512, POOL};
    int place = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i] == POOL) {
            char name[32];
            snprintf(name, sizeof name, "features.%d", place++);
            x = tdo_layer_tap(b, name, tdo_layer_maxpool(b, x, 2, 2));
        } else {
            x = norm_conv(b, place, x, tdo_model_channels(spec, parts[i]));
            place += 3;
        }
    }
    b->weight_init = b->bias_init = TDO_INIT_FAN_IN_UNIFORM;
    x = tdo_layer_global_mean(b, tdo_layer_tap(b, "features", x));
    x = tdo_layer_dropout(b, x);
    return tdo_layer_linear(b, "classifier", x, spec->classes);
}

const struct tdo_model tdo_model_vgg16 = {
    .name = "vgg16",
    .help = "thirteen 3x3 convolutions with batch norm, 64 to 512 channels, and a linear layer",
    .cite = "Simonyan and Zisserman 2015, table 1, D",
    .width = true,
    .dropout = true,
    .usual = {32, 32, 3},
    .weight_init = TDO_INIT_KAIMING_NORMAL,
    .bias_init = TDO_INIT_ZERO,
    .build = build,
};
