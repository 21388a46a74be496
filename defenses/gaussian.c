/* Gaussian data augmentation: fresh noise on every training image in every step.
 *
 * The draw is keyed by (image, step), so training is the same whatever ranks, threads or restarts
 * there are. The certificate of randomized smoothing wants the same sigma at test time.
 * Source: Zantedeschi et al. 2017, section 4.2; Cohen et al. 2019, section 3.3. */
#include "defenses/defense.h"

enum { SIGMA, NOISE };

static const struct tdo_option options[] = {
    [SIGMA] = {.key = "sigma",
               .type = TDO_OPTION_REAL,
               .min = 0,
               .max = 16,
               .value = "0.25",
               .unit = "pixels in 0..1",
               .help = "standard deviation of the noise"},
    [NOISE] = {.key = "noise",
               .type = TDO_OPTION_CHOICE,
               .choices = "rounded|real",
               .value = "real",
               .help =
                   "the law: real Gaussian, or rounded to whole grey levels of 8-bit images"},
    {0}};

static tdo_err prepare(struct tdo_defense_use *use)
{
    const bool rounded = (int)use->value[NOISE] == TDO_NOISE_ROUNDED;
    return rounded && use->value[SIGMA] > 0 ? tdo_rounded_new(use->value[SIGMA], &use->table)
                                            : TDO_OK;
}

static tdo_node augment(const struct tdo_defense_use *use, tdo_graph *g, tdo_node raw, bool u8,
                        tdo_node keys)
{
    const struct tdo_noise noise = {.law = (enum tdo_noise_law)(int)use->value[NOISE],
                                    .sigma = use->value[SIGMA],
                                    .stream = {.seed = use->seed,
                                               .purpose = TDO_PURPOSE_TRAIN_NOISE,
                                               .layer = (uint32_t)use->index},
                                    .table = use->table};
    return noise.sigma > 0 ? tdo_noise_add(g, &noise, raw, u8, keys)
                           : tdo_noise_pixels(g, raw, u8);
}

const struct tdo_defense tdo_defense_gaussian = {
    .name = "gaussian",
    .help = "Gaussian noise on training images, fresh in every step",
    .cite = "Zantedeschi et al. 2017, section 4.2; Cohen et al. 2019, section 3.3",
    .options = options,
    .prepare = prepare,
    .augment = augment,
};
