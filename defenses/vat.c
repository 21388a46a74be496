/* Virtual adversarial training: the prediction should not change along the direction in which it
 * changes most. No label is looked at for that.
 *
 *     L = CE(Z(x), y) + alpha KL(p(x) || p(x + r)),    r from the inner attack { name = "vat"; ... }
 *
 * p(x) is held constant in the divergence. Source: Miyato et al. 2015, equations 3 to 5. */
#include "defenses/defense.h"
#include "defenses/divergence.h"
#include "defenses/inner.h"

enum { ALPHA };

static const struct tdo_option options[] = {[ALPHA] = {.key = "alpha",
                                                       .type = TDO_OPTION_REAL,
                                                       .min = 0,
                                                       .max = 1e6,
                                                       .value = "1",
                                                       .help = "weight of the divergence"},
                                            TDO_DEFENSE_INNER,
                                            {0}};

static tdo_node loss(const struct tdo_defense_use *use, struct tdo_defense_step *s)
{
    tdo_node clean = tdo_defense_clean_logits(s);
    tdo_node kl =
        tdo_divergence_kl(s->g, tdo_op_detach(s->g, clean), tdo_defense_attacked_logits(s));
    return tdo_op_add(s->g, tdo_op_xent(s->g, clean, s->goal),
                      tdo_op_affine(s->g, kl, use->value[ALPHA], 0));
}

const struct tdo_defense tdo_defense_vat = {
    .name = "vat",
    .help = "cross entropy, and the divergence along the virtual adversarial direction",
    .cite = "Miyato et al. 2015, equations 3 to 5",
    .options = options,
    .inner = true,
    .loss = loss,
};
