/* Consistency: the network should say the same of an image under any draw of the noise, which is what
 * the certificate of randomized smoothing lives on.
 *
 *     L = mean_i CE(Z(x + d_i), y) + lambda mean_i KL(q || p_i) + eta H(q),    q = mean_i p_i
 *
 * i = 1..copies draws d_i of the rows that augment, in one step; p_i = softmax Z(x + d_i); gradients
 * flow through q as well. Source: Jeong and Shin 2020, section 3; lambda 10 and eta 0.5 from
 * the published code, whose runs on CIFAR-10 at sigma 0.25 have lambda 20. */
#include <math.h>

#include "defenses/defense.h"
#include "defenses/divergence.h"

enum { COPIES, LAMBDA, ETA };

static const struct tdo_option options[] = {
    [COPIES] = {.key = "copies",
                .type = TDO_OPTION_INT,
                .min = 1,
                .max = TDO_DEFENSE_DRAWS,
                .value = "2",
                .unit = "draws",
                .help = "noisy copies of an image in a step; each is a forward pass"},
    [LAMBDA] = {.key = "lambda",
                .type = TDO_OPTION_REAL,
                .min = 0,
                .max = 1e6,
                .value = "10",
                .help = "weight of the mean divergence of a copy from the mean prediction"},
    [ETA] = {.key = "eta",
             .type = TDO_OPTION_REAL,
             .min = 0,
             .max = 1e6,
             .value = "0.5",
             .help = "weight of the entropy of the mean prediction"},
    {0}};

/* log of the mean of exp(a_i), entry by entry; finite wherever one a_i is. */
static tdo_node log_mean_exp(tdo_graph *g, const tdo_node *a, int n)
{
    tdo_node most = a[0], sum = TDO_NONE;
    for (int i = 1; i < n; i++) {
        most = tdo_op_select(g, tdo_op_greater(g, a[i], most), a[i], most);
    }
    most = tdo_op_detach(g, most); /* it cancels out */
    for (int i = 0; i < n; i++) {
        tdo_node term = tdo_op_exp(g, tdo_op_sub(g, a[i], most));
        sum = i ? tdo_op_add(g, sum, term) : term;
    }
    return tdo_op_add(g, most, tdo_op_affine(g, tdo_op_log(g, sum), 1, -log((double)n)));
}

static tdo_node loss(const struct tdo_defense_use *use, struct tdo_defense_step *s)
{
    const int copies = (int)use->value[COPIES];
    tdo_graph *g = s->g;
    tdo_node p[TDO_DEFENSE_DRAWS] = {0}, each = TDO_NONE, mean = TDO_NONE;
    for (int i = 0; i < copies; i++) {
        tdo_node z = tdo_defense_draw_logits(s, i);
        tdo_node xent = tdo_op_xent(g, z, s->goal);
        p[i] = tdo_divergence_log_softmax(g, z);
        each = i ? tdo_op_add(g, each, xent) : xent;
        mean = i ? tdo_op_add(g, mean, p[i]) : p[i];
    }
    each = tdo_op_affine(g, each, 1.0 / copies, 0);
    mean = tdo_op_affine(g, mean, 1.0 / copies, 0);
    /* mean_i KL(q || p_i) = sum_k q_k (log q_k - mean_i log p_ik) */
    tdo_node log_q = log_mean_exp(g, p, copies), q = tdo_op_exp(g, log_q);
    tdo_node kl = tdo_divergence_rows(g, tdo_op_mul(g, q, tdo_op_sub(g, log_q, mean)));
    tdo_node entropy = tdo_divergence_rows(g, tdo_op_mul(g, q, log_q)); /* its negative */
    kl = tdo_op_sub(g, tdo_op_affine(g, kl, use->value[LAMBDA], 0),
                    tdo_op_affine(g, entropy, use->value[ETA], 0));
    return tdo_op_add(g, each, kl);
}

/* Draws differ by what rows add afresh in each step. */
static tdo_err check(const struct tdo_defense_use *use, const struct tdo_defenses *d)
{
    if (tdo_defense_draws_differ(d)) {
        return TDO_OK;
    }
    return TDO_FAIL(
        TDO_ERR_CONFIG,
        "defense.%d (consistency) compares draws of the noise on an image, and no row of "
        "the list adds any in each step: gaussian with copies = 0 expected beside it",
        use->index);
}

const struct tdo_defense tdo_defense_consistency = {
    .name = "consistency",
    .help = "cross entropy of several noisy copies, and their divergence from their mean",
    .cite = "Jeong and Shin 2020, section 3",
    .options = options,
    .check = check,
    .loss = loss,
};
