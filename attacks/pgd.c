/* Projected gradient descent: gradient steps from a random point, back into the ball each time.
 * Source: Madry et al. 2018, section 2.1; Carlini and Wagner 2017 (margin); Croce and Hein 2020
 * (difference of logits ratio, targeted form). */
#include "attacks/ascent.h"

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("linf|l2", "linf"),
    TDO_ATTACK_EPS("8/255"),
    TDO_ATTACK_RANGE,
    TDO_ATTACK_SPACE("pixel"),
    TDO_ATTACK_STEPS("20", "0"),
    TDO_ATTACK_START("uniform"),
    TDO_ATTACK_INT("restarts", 1, 1000000, "1", "starts",
                   "as long as an image is not misclassified"),
    TDO_ATTACK_LOSS("ce"),
    TDO_ATTACK_LABEL("true"),
    TDO_ATTACK_TARGETS,
    TDO_ATTACK_REAL("momentum", 0, 1, "0", NULL, "of the gradient, normalised to mean size 1"),
    TDO_ATTACK_KEEP("best"),
    TDO_ATTACK_DRAWS("1", "loss", "step"),
    TDO_ATTACK_SOURCE,
    {0}};

const struct tdo_attack tdo_attack_pgd = {
    .name = "pgd",
    .help = "projected gradient descent with random starts",
    .cite = "Madry et al. 2018, section 2.1",
    .options = options,
    .needs = TDO_NEEDS_GRADIENT,
    .returns = TDO_RETURNS_BEST,
    .ball = true,
    .iterative = true,
    .check = tdo_ascent_check,
    .run = tdo_ascent_run,
};
