/* LeNet as MatConvNet and Deep Defense have it: no activation behind the convolutions.
 * Source: Yan et al. 2018 (Deep Defense), section 4.1; PyTorch's default initialisation. */
#include "nn/models/models.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    const struct tdo_layer_conv five = tdo_layer_square(5, 1, 0, true);
    x = tdo_layer_maxpool(b, tdo_layer_conv(b, "conv1", x, 20, &five), 2, 2);
    x = tdo_layer_conv(b, "conv2", tdo_layer_tap(b, "conv1", x), 50, &five);
    x = tdo_layer_tap(b, "conv2", tdo_layer_maxpool(b, x, 2, 2));
    x = tdo_layer_flatten(b, tdo_layer_tap(b, "features", x));
    x = tdo_layer_tap(b, "fc1", tdo_layer_activation(b, tdo_layer_linear(b, "fc1", x, 500)));
    x = tdo_layer_dropout(b, x);
    return tdo_layer_linear(b, "fc2", x, spec->classes);
}

const struct tdo_model tdo_model_lenet = {
    .name = "lenet",
    .help = "two 5x5 convolutions (20, 50) with max pooling, 500 units; no ReLU behind "
            "convolutions",
    .cite = "Yan et al. 2018 (Deep Defense), section 4.1",
    .dropout = true,
    .usual = {28, 28, 1},
    .weight_init = TDO_INIT_FAN_IN_UNIFORM,
    .bias_init = TDO_INIT_FAN_IN_UNIFORM,
    .build = build,
};
