/* Adversarial training: the network is shown what an attack on itself makes of the images.
 *
 *     share = 1                     CE of the attacked image (Madry et al.)
 *     0 < share < 1, mix = weight       (1 - share) CE(clean) + share CE(attacked)
 *                    mix = probability  a step is attacked with probability share, else clean
 *
 * With eps_from the eps of a step is uniform between that and the attack's.
 * Source: Goodfellow et al. 2015, section 6; Madry et al. 2018, equation 2.1; Liu et al. 2018
 * (code: half of the batches by FGSM, eps from 0.1 to 0.3); Rakin et al. 2019 (both halves). */
#include "defenses/defense.h"
#include "defenses/inner.h"

enum { SHARE, MIX, EPS_FROM };

static const struct tdo_option options[] = {
    [SHARE] = TDO_DEFENSE_SHARE("1"),
    [MIX] = {.key = "mix",
             .type = TDO_OPTION_CHOICE,
             .choices = "weight|probability",
             .value = "weight",
             .help = "both losses in each step, weighted; or one of them, drawn by step"},
    [EPS_FROM] = {.key = "eps_from",
                  .type = TDO_OPTION_REAL,
                  .min = 0,
                  .max = 1e6,
                  .value = "0",
                  .unit = "in units",
                  .help = "each step draws its eps from here to that of the attack; 0: that of "
                          "the attack"},
    TDO_DEFENSE_INNER,
    {0}};

static tdo_node loss(const struct tdo_defense_use *use, struct tdo_defense_step *s)
{
    const bool drawn =
        (int)use->value[MIX] == 1; /* a clean step has the clean image in its place */
    return tdo_inner_loss(s, drawn ? 1 : use->value[SHARE]);
}

const struct tdo_defense tdo_defense_adversarial = {
    .name = "adversarial",
    .help = "training on what an inner attack makes of the images",
    .cite = "Goodfellow et al. 2015, section 6; Madry et al. 2018, section 2.1",
    .options = options,
    .inner = true,
    .loss = loss,
};
