/* The denoising U-net: see denoiser.h.
 *
 * Initialisation is PyTorch's default.
 * Source: Liao et al. 2018 (HGD), section 3.2. */
#include "nn/models/denoiser.h"

static tdo_node build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec)
{
    return tdo_denoiser_build(b, x, spec, true);
}

const struct tdo_model tdo_model_dunet = {
    .name = "dunet",
    .help = "denoiser: convolutions down to a sixteenth and up again, with laterals",
    .cite = "Liao et al. 2018 (HGD), section 3.2",
    .output = TDO_MODEL_IMAGE,
    .width = true,
    .usual = {299, 299, 3},
    .weight_init = TDO_INIT_FAN_IN_UNIFORM,
    .bias_init = TDO_INIT_FAN_IN_UNIFORM,
    .build = build,
};
