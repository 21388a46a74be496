/* SmoothAdv: an attack on a smoothed classifier. It climbs the loss of the mean probability over
 * m draws of the noise,
 *
 *     J = -log( 1/m sum_i softmax(Z(x' + noise_i))_y ),
 *
 * and the draws stay the same in all steps.
 *
 *     form = pgd    L2 steps of 2 eps / steps from the image itself
 *     form = ddn    direction and norm apart (ddn.h), shortened to eps; init_norm 0 begins with eps.
 *                   Whether it has come through is read off the mean probability.
 *
 * Source: Salman et al. 2019, equation 6, algorithm 1 and section 3.1. */
#include "attacks/ascent.h"
#include "attacks/ddn.h"

enum form { PGD, DDN };

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("l2", "l2"),
    TDO_ATTACK_EPS("127/256"),
    TDO_ATTACK_SPACE("pixel"),
    TDO_ATTACK_INT("steps", 1, 1000000, "10", "steps", "gradient steps"),
    TDO_ATTACK_CHOICE("form", "pgd|ddn", "pgd",
                      "climb inside the ball, or let direction and norm find a short one"),
    TDO_ATTACK_DDN("0", "form = ddn: norm to begin with; 0: eps"),
    TDO_ATTACK_LABEL_ONE("true"),
    TDO_ATTACK_DRAWS("8", "probability", "attack"),
    TDO_ATTACK_SOURCE,
    {0}};

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    if (tdo_attack_value(use, "form", PGD) == PGD) {
        struct tdo_ascent a = tdo_ascent_read(use, tdo_target_classes(t));
        a.share = 2;
        return tdo_ascend(use, &a, t, s);
    }
    const double init_norm = tdo_attack_value(use, "init_norm", 0);
    const struct tdo_ddn d = {.steps = (int)tdo_attack_value(use, "steps", 10),
                              .init_norm = init_norm > 0 ? init_norm : use->threat.eps,
                              .gamma = tdo_attack_value(use, "gamma", 0.05),
                              .max_norm = use->threat.eps,
                              .levels = (int)tdo_attack_value(use, "levels", 256),
                              .aim = tdo_aim_read(use)};
    return tdo_ddn(use, &d, t, s);
}

const struct tdo_attack tdo_attack_smoothadv = {
    .name = "smoothadv",
    .help = "an attack on a smoothed classifier, through the mean probability of fixed draws",
    .cite = "Salman et al. 2019, equation 6 and algorithm 1",
    .options = options,
    .needs = TDO_NEEDS_GRADIENT,
    .returns = TDO_RETURNS_LAST,
    .ball = true,
    .iterative = true,
    .run = run,
};
