/* Gaussian data augmentation, in one of two ways.
 *
 *     copies = 0   fresh noise on every training image in every step
 *     copies = N   N noisy copies of every image, drawn once, stand behind the images themselves,
 *                  which stay as they are; an epoch goes over all of them
 *
 * A draw is keyed by (image, step), or by (image, copy), so training is the same whatever ranks,
 * threads or restarts there are. The certificate of randomized smoothing wants the same sigma, fresh
 * Gaussian noise and no clipping. Uniform noise is of the same standard deviation.
 * Source: Zantedeschi et al. 2017, section 4.2 (copies); Cohen et al. 2019, section 3.3 (fresh). */
#include "defenses/defense.h"

enum { SIGMA, NOISE, COPIES, CLIP };

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
               .choices = "rounded|real|uniform",
               .value = "real",
               .help =
                   "the law: real Gaussian, rounded to whole grey levels of 8-bit images, or "
                   "uniform on [-sqrt(3) sigma, sqrt(3) sigma]"},
    [COPIES] = {.key = "copies",
                .type = TDO_OPTION_INT,
                .min = 0,
                .max = 1000,
                .value = "0",
                .help =
                    "noisy copies of every image, drawn once and stacked behind the images, "
                    "which stay without noise; 0: fresh noise in every step instead"},
    [CLIP] = {.key = "clip",
              .type = TDO_OPTION_BOOL,
              .value = "false",
              .help = "clip noisy pixels to 0..1"},
    {0}};

static tdo_err prepare(struct tdo_defense_use *use)
{
    const bool rounded = (int)use->value[NOISE] == TDO_NOISE_ROUNDED;
    return rounded && use->value[SIGMA] > 0 ? tdo_rounded_new(use->value[SIGMA], &use->table)
                                            : TDO_OK;
}

static struct tdo_noise noise_of(const struct tdo_defense_use *use)
{
    return (struct tdo_noise){.law = (enum tdo_noise_law)(int)use->value[NOISE],
                              .sigma = use->value[SIGMA],
                              .stream = {.seed = use->seed,
                                         .purpose = TDO_PURPOSE_TRAIN_NOISE,
                                         .layer = (uint32_t)use->index},
                              .table = use->table};
}

static tdo_node augment(const struct tdo_defense_use *use, tdo_graph *g, tdo_node raw, bool u8,
                        tdo_node keys)
{
    const struct tdo_noise noise = noise_of(use);
    if (noise.sigma <= 0 || use->value[COPIES] > 0) {
        return tdo_noise_pixels(g, raw, u8);
    }
    tdo_node noisy = tdo_noise_add(g, &noise, raw, u8, keys);
    return use->value[CLIP] != 0 ? tdo_op_clip(g, noisy, 0, 1) : noisy;
}

static int64_t copies(const struct tdo_defense_use *use)
{
    return (int64_t)use->value[COPIES];
}

static tdo_err copy(const struct tdo_defense_use *use, const struct tdo_key *key, bool u8,
                    int64_t n, float *x)
{
    const struct tdo_noise noise = noise_of(use);
    const float most = u8 ? 255 : 1;
    if (noise.sigma > 0) {
        TDO_TRY(tdo_noise_draw(&noise, key, u8, n, x));
    }
    for (int64_t i = 0; use->value[CLIP] != 0 && i < n; i++) {
        x[i] = x[i] < 0 ? 0 : x[i] > most ? most : x[i];
    }
    return TDO_OK;
}

const struct tdo_defense tdo_defense_gaussian = {
    .name = "gaussian",
    .help = "Gaussian (or uniform) noise on training images, fresh in every step or in copies",
    .cite = "Zantedeschi et al. 2017, section 4.2; Cohen et al. 2019, section 3.3",
    .options = options,
    .prepare = prepare,
    .augment = augment,
    .copies = copies,
    .copy = copy,
};
