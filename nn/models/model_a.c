/* Model A of Random Self-Ensemble, for the 96x96 images of STL-10: four 3x3 convolutions of 32 to
 * 128 channels, each followed by max pooling, two of 256 channels without padding, max pooling, and
 * a linear layer on the one place that is left.
 *
 * Its batch norm has no scale and shift of its own: of bn<i> there are running statistics alone.
 * Names are conv<i>, bn<i>, fc. Larger images leave more places, of which the mean is taken.
 * Kaiming normal by fan-out, bias 0; the linear layer starts as PyTorch's default. `aaron` is its
 * later form.
 * Source: Liu et al. 2018 (RSE), section 4, and their published code. */
#include <stdio.h>

#include "nn/models/models.h"

/* number counts from 1; below 5 the image keeps its size, and pooling follows. */
static tdo_node norm_conv(struct tdo_build *b, int number, tdo_node x, int64_t channels)
{
    const struct tdo_layer_conv three = tdo_layer_square(3, 1, number < 5, true);
    char name[16];
    snprintf(name, sizeof name, "conv%d", number);
    x = tdo_layer_conv(b, name, x, channels, &three);
    snprintf(name, sizeof name, "bn%d", number);
    x = tdo_layer_activation(b, tdo_layer_batchnorm_plain(b, name, x));
    x = number == 5 ? x : tdo_layer_maxpool(b, x, 2, 2);
    snprintf(name, sizeof name, "conv%d", number);
    return tdo_layer_tap(b, name, x);
}

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    static const int channels[] = {32, 64, 128, 128, 256, 256};
    if (spec->height < 96 || spec->width < 96) {
        return tdo_graph_fail(b->g, TDO_ERR_SHAPE, "it wants 96 pixels a side or more");
    }
    for (int i = 0; i < 6; i++) {
        x = norm_conv(b, i + 1, x, tdo_model_channels(spec, channels[i]));
    }
    tdo_layer_tap(b, "features", x);
    b->weight_init = b->bias_init = TDO_INIT_FAN_IN_UNIFORM;
    return tdo_layer_linear(b, "fc", tdo_layer_global_mean(b, x), spec->classes);
}

const struct tdo_model tdo_model_model_a = {
    .name = "model_a",
    .help =
        "STL-10 network of RSE: six 3x3 convolutions, 32 to 256 channels, norm without scale",
    .cite = "Liu et al. 2018 (RSE), section 4",
    .width = true,
    .usual = {96, 96, 3},
    .weight_init = TDO_INIT_KAIMING_NORMAL,
    .bias_init = TDO_INIT_ZERO,
    .build = build,
};
