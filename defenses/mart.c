/* MART: adversarial training that looks closer at images which are misclassified as they are.
 *
 *     L = -log p_y(x') - log(1.0001 - max_{k != y} p_k(x'))
 *         + beta KL(p(x) || p(x')) (1 - p_y(x)),    x' from an inner attack on CE
 *
 * Gradients flow through p(x) and through the weight. Source: Wang et al. 2020, equations 8 and 9
 * (the paper's lambda is beta here); 1.0001 from the published code. */
#include "defenses/defense.h"
#include "defenses/divergence.h"
#include "defenses/inner.h"

enum { BETA };

static const struct tdo_option options[] = {[BETA] = {.key = "beta",
                                                      .type = TDO_OPTION_REAL,
                                                      .min = 0,
                                                      .max = 1e6,
                                                      .value = "5",
                                                      .help = "weight of the divergence"},
                                            TDO_DEFENSE_INNER,
                                            {0}};

/* max_{k != y} p_k, [N]. */
static tdo_node runner_up(tdo_graph *g, tdo_node p, tdo_node own)
{
    tdo_node low = tdo_op_constant(g, tdo_graph_shape(g, p), -1);
    tdo_node other = tdo_op_select(g, own, low, p);
    return tdo_op_gather(g, other, tdo_op_argmax(g, other));
}

static tdo_node loss(const struct tdo_defense_use *use, struct tdo_defense_step *s)
{
    tdo_graph *g = s->g;
    tdo_node clean = tdo_defense_clean_logits(s), attacked = tdo_defense_attacked_logits(s);
    const int64_t K = tdo_graph_shape(g, clean).dim[1];
    tdo_node own = tdo_op_one_hot(g, s->labels, K);
    tdo_node p = tdo_op_exp(g, tdo_divergence_log_softmax(g, attacked));
    tdo_node margin = tdo_op_log(g, tdo_op_affine(g, runner_up(g, p, own), -1, 1.0001));
    tdo_node boosted = tdo_op_sub(g, tdo_op_xent(g, attacked, s->goal), margin);
    tdo_node q = tdo_op_exp(g, tdo_divergence_log_softmax(g, clean));
    tdo_node doubt = tdo_op_affine(g, tdo_op_gather(g, q, s->labels), -1, 1);
    tdo_node kl = tdo_op_mul(g, tdo_divergence_kl(g, clean, attacked), doubt);
    return tdo_op_add(g, boosted, tdo_op_affine(g, kl, use->value[BETA], 0));
}

const struct tdo_defense tdo_defense_mart = {
    .name = "mart",
    .help = "boosted cross entropy of what an inner attack makes, and a divergence weighted by "
            "doubt",
    .cite = "Wang et al. 2020, equations 8 and 9",
    .options = options,
    .inner = true,
    .loss = loss,
};
