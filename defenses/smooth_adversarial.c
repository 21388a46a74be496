/* SmoothAdv training: the smoothed network is attacked, and learns what comes of that behind the very
 * noise that the attack saw.
 *
 *     x' = attack of x on the network behind m draws d_i of the noise, the same in all its steps
 *     L = mean_i CE(Z(x' + d_i), y),    i = 1..m
 *
 * The noise is that of the rows that augment. The inner attack of the paper is { name = "smoothadv"; }, which
 * climbs the loss of the mean probability, in form pgd or ddn; pgd and epgd climb the mean loss of the
 * draws. eps may rise over the first epochs: in epoch e of E it is e / E of it, and so are the steps.
 * Source: Salman et al. 2019, algorithm 1; their code can do either (train). */
#include "defenses/defense.h"
#include "defenses/inner.h"

enum { DRAWS, TRAIN, EPS_WARMUP };
enum { ALL, FIRST }; /* choices of train */

static const struct tdo_option options[] = {
    [DRAWS] = {.key = "draws",
               .type = TDO_OPTION_INT,
               .min = 1,
               .max = TDO_DEFENSE_DRAWS,
               .value = "2",
               .unit = "draws",
               .help = "of the noise on an image in a step, for the attack and for the loss"},
    [TRAIN] = {.key = "train",
               .type = TDO_OPTION_CHOICE,
               .choices = "all|first",
               .value = "all",
               .help = "the loss has every draw, or the first alone; each is a forward pass"},
    [EPS_WARMUP] = {.key = "eps_warmup",
                    .type = TDO_OPTION_REAL,
                    .min = 0,
                    .max = 1e6,
                    .value = "0",
                    .unit = "epochs",
                    .help = "eps and the steps of the attack rise for so long, epoch by epoch"},
    TDO_DEFENSE_INNER,
    {0}};

static tdo_node loss(const struct tdo_defense_use *use, struct tdo_defense_step *s)
{
    const int draws = (int)use->value[TRAIN] == FIRST ? 1 : (int)use->value[DRAWS];
    tdo_node sum = TDO_NONE;
    for (int i = 0; i < draws; i++) {
        tdo_node z = tdo_defense_attacked_draw_logits(s, i);
        tdo_node xent = tdo_op_xent(s->g, z, s->goal);
        sum = i ? tdo_op_add(s->g, sum, xent) : xent;
    }
    return tdo_op_affine(s->g, sum, 1.0 / draws, 0);
}

static tdo_err check(const struct tdo_defense_use *use, const struct tdo_defenses *d)
{
    if (tdo_defense_draws_differ(d)) {
        return TDO_OK;
    }
    return TDO_FAIL(TDO_ERR_CONFIG,
                    "defense.%d (smooth_adversarial) attacks the network behind noise, and no "
                    "row of the list adds any in each step: gaussian with copies = 0 expected "
                    "beside it",
                    use->index);
}

const struct tdo_defense tdo_defense_smooth_adversarial = {
    .name = "smooth_adversarial",
    .help = "training on an inner attack on the smoothed network, behind the same noise",
    .cite = "Salman et al. 2019, algorithm 1",
    .options = options,
    .inner = true,
    .smoothed = true,
    .check = check,
    .loss = loss,
};
