/* The multi-layer perceptron of Deep Defense: inputs-500-150-classes.
 * Source: Yan et al. 2018 (Deep Defense), section 4.1; PyTorch's default initialisation. */
#include "nn/models/models.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    x = tdo_layer_flatten(b, x);
    x = tdo_layer_activation(b, tdo_layer_linear(b, "fc1", x, 500));
    x = tdo_layer_dropout(b, tdo_layer_tap(b, "fc1", x));
    x = tdo_layer_tap(b, "fc2", tdo_layer_activation(b, tdo_layer_linear(b, "fc2", x, 150)));
    x = tdo_layer_dropout(b, tdo_layer_tap(b, "features", x));
    return tdo_layer_linear(b, "fc3", x, spec->classes);
}

const struct tdo_model tdo_model_mlp = {
    .name = "mlp",
    .help = "two hidden layers of 500 and 150 units",
    .cite = "Yan et al. 2018 (Deep Defense), section 4.1",
    .dropout = true,
    .usual = {28, 28, 1},
    .weight_init = TDO_INIT_FAN_IN_UNIFORM,
    .bias_init = TDO_INIT_FAN_IN_UNIFORM,
    .build = build,
};
