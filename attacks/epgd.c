/* EPGD: PGD against a randomised classifier, along the mean of the gradients over m draws of its
 * noise, new in each step.
 *
 *     g = 1/m sum_i grad CE(Z(x'; noise_i), y),     u = project(u + eps/4 sign g)
 *
 * `accumulate` is what the published code does, which never sets the gradient back: it steps along
 * the sum of all gradients so far.
 * Source: Nemcovsky et al. 2019, section 3. */
#include "attacks/ascent.h"

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("linf|l2", "linf"),
    TDO_ATTACK_EPS("8/255"),
    TDO_ATTACK_RANGE,
    TDO_ATTACK_SPACE("pixel"),
    TDO_ATTACK_INT("steps", 1, 1000000, "7", "steps", "gradient steps"),
    TDO_ATTACK_REAL("step", 0, 1e6, "0", "in units", "length of a step; 0: eps / 4"),
    TDO_ATTACK_START("uniform"),
    TDO_ATTACK_BOOL("accumulate", "false", "climb the sum of all gradients so far"),
    TDO_ATTACK_LABEL_ONE("true"),
    TDO_ATTACK_CHOICE("keep", "last|best", "last",
                      "return the last point, or the best that was met"),
    TDO_ATTACK_DRAWS("8", "loss", "step"),
    TDO_ATTACK_SOURCE,
    {0}};

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    struct tdo_ascent a = tdo_ascent_read(use, tdo_target_classes(t));
    a.share = a.steps / 4.0;
    return tdo_ascend(use, &a, t, s);
}

const struct tdo_attack tdo_attack_epgd = {
    .name = "epgd",
    .help = "PGD along the mean gradient over draws of a random classifier",
    .cite = "Nemcovsky et al. 2019, section 3",
    .options = options,
    .needs = TDO_NEEDS_GRADIENT,
    .returns = TDO_RETURNS_LAST,
    .ball = true,
    .iterative = true,
    .check = tdo_ascent_check,
    .run = run,
};
