/* The denoising autoencoder, dunet without its laterals: see denoiser.h.
 *
 * Initialisation is PyTorch's default.
 * Source: Liao et al. 2018 (HGD), section 3.2. */
#include "nn/models/denoiser.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    return tdo_denoiser_build(b, x, spec, false);
}

const struct tdo_model tdo_model_dae = {
    .name = "dae",
    .help = "denoiser: as dunet, without laterals",
    .cite = "Liao et al. 2018 (HGD), section 3.2",
    .output = TDO_MODEL_IMAGE,
    .width = true,
    .usual = {299, 299, 3},
    .weight_init = TDO_INIT_FAN_IN_UNIFORM,
    .bias_init = TDO_INIT_FAN_IN_UNIFORM,
    .build = build,
};
