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
    [SHARE] = {.key = "share",
               .type = TDO_OPTION_REAL,
               .min = 0,
               .max = 1,
               .value = "1",
               .help = "how much of the training is on attacked images"},
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
    const double share = use->value[SHARE];
    tdo_node attacked = tdo_op_xent(s->g, tdo_defense_attacked_logits(s), s->goal);
    if ((int)use->value[MIX] == 1 || share >= 1) {
        return attacked; /* a clean step has the clean image in its place */
    }
    tdo_node clean = tdo_op_xent(s->g, tdo_defense_clean_logits(s), s->goal);
    return tdo_op_add(s->g, tdo_op_affine(s->g, clean, 1 - share, 0),
                      tdo_op_affine(s->g, attacked, share, 0));
}

const struct tdo_defense tdo_defense_adversarial = {
    .name = "adversarial",
    .help = "training on what an inner attack makes of the images",
    .cite = "Goodfellow et al. 2015, section 6; Madry et al. 2018, section 2.1",
    .options = options,
    .inner = true,
    .loss = loss,
};
