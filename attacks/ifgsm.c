/* Iterative FGSM: n steps that add up to eps, without a random start.
 *
 *     dIFGSM    steps fall by a factor `decay` and still add up to eps
 *     MI-FGSM   `momentum`
 *     adaIFGSM  a `ladder` of step counts: an image goes on to the next, from its clean form, while
 *               a member of the ensemble is not fooled; `decay` has one number for each rung, or one
 *
 * With `models` it is crafted on their mean logits, with weight `auxiliary` on the loss of their
 * auxiliary heads; the class to leave is the likeliest by the sum of their probabilities.
 * Source: Kurakin et al. 2017, section 2.2; Dong et al. 2018; Liao et al. 2018, section 4.1 and
 * appendix A. */
#include <string.h>

#include "attacks/ascent.h"

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("linf|l2", "linf"),
    TDO_ATTACK_EPS("16/255"),
    TDO_ATTACK_RANGE,
    TDO_ATTACK_SPACE("pixel"),
    TDO_ATTACK_INT("steps", 1, 1000000, "4", "steps", "gradient steps"),
    TDO_ATTACK_REAL("step", 0, 1e6, "0", "in units",
                    "length of the first step; 0: such that all add up to eps"),
    {.key = "ladder",
     .type = TDO_OPTION_REALS,
     .min = 0,
     .max = 1e6,
     .value = "0",
     .unit = "steps",
     .help =
         "step counts, the next for images that do not fool every member; 0: `steps` alone"},
    {.key = "decay",
     .type = TDO_OPTION_REALS,
     .min = 1e-6,
     .max = 1,
     .value = "1",
     .help = "each step is so much of the one before"},
    TDO_ATTACK_REAL("momentum", 0, 1, "0", NULL, "of the gradient, normalised to mean size 1"),
    TDO_ATTACK_LABEL("predicted"),
    TDO_ATTACK_TARGETS,
    TDO_ATTACK_LOSS("ce"),
    TDO_ATTACK_DRAWS("1", "loss", "step"),
    TDO_ATTACK_SOURCE,
    {0}};

static tdo_err check(const struct tdo_attack_use *use, const tdo_target *t)
{
    const struct tdo_attack_list *ladder = tdo_attack_list(use, "ladder");
    const struct tdo_attack_list *decay = tdo_attack_list(use, "decay");
    if (decay->count != 1 && decay->count != ladder->count) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s.decay has %d numbers, expected 1, or %d as ladder",
                        use->key, decay->count, ladder->count);
    }
    return tdo_ascent_check(use, t);
}

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    const struct tdo_attack_list *ladder = tdo_attack_list(use, "ladder");
    const struct tdo_attack_list *decay = tdo_attack_list(use, "decay");
    struct tdo_ascent a = tdo_ascent_read(use, tdo_target_classes(t));
    a.share = 1;
    a.all = true;
    for (int rung = 0; rung < ladder->count; rung++) {
        a.steps = ladder->of[rung] >= 1 ? (int)ladder->of[rung] : a.steps;
        a.decay = decay->of[decay->count > 1 ? rung : 0];
        a.looks = rung + 1 < ladder->count;
        TDO_TRY(tdo_ascend(use, &a, t, s));
    }
    return TDO_OK;
}

const struct tdo_attack tdo_attack_ifgsm = {
    .name = "ifgsm",
    .help = "iterative FGSM with decayed steps, momentum, or a ladder of growing strength",
    .cite = "Kurakin et al. 2017; Dong et al. 2018; Liao et al. 2018, appendix A",
    .options = options,
    .needs = TDO_NEEDS_GRADIENT,
    .returns = TDO_RETURNS_LAST,
    .ball = true,
    .iterative = true,
    .check = check,
    .run = run,
};
