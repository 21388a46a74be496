/* TRADES: natural error and the distance between the predictions at x and near it, traded by beta.
 *
 *     L = CE(Z(x), y) + beta KL(p(x) || p(x')),    x' from an inner attack that climbs the same KL
 *
 * Gradients flow through both predictions. The published inner attack is
 * { name = "pgd"; loss = "kl"; start = "normal"; spread = 0.001; keep = "last"; ... }.
 * Source: Zhang et al. 2019, equation 5 and algorithm 1. */
#include "defenses/defense.h"
#include "defenses/divergence.h"
#include "defenses/inner.h"

enum { BETA };

static const struct tdo_option options[] = {[BETA] = {.key = "beta",
                                                      .type = TDO_OPTION_REAL,
                                                      .min = 0,
                                                      .max = 1e6,
                                                      .value = "6",
                                                      .help = "weight of the divergence"},
                                            TDO_DEFENSE_INNER,
                                            {0}};

static tdo_node loss(const struct tdo_defense_use *use, struct tdo_defense_step *s)
{
    tdo_node clean = tdo_defense_clean_logits(s);
    tdo_node kl = tdo_divergence_kl(s->g, clean, tdo_defense_attacked_logits(s));
    return tdo_op_add(s->g, tdo_op_xent(s->g, clean, s->goal),
                      tdo_op_affine(s->g, kl, use->value[BETA], 0));
}

const struct tdo_defense tdo_defense_trades = {
    .name = "trades",
    .help = "cross entropy, and beta times the divergence of what an inner attack reaches",
    .cite = "Zhang et al. 2019, equation 5",
    .options = options,
    .inner = true,
    .loss = loss,
};
