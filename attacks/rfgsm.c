/* FGSM after a random step, which leaves the neighbourhood where a masked gradient is small.
 *
 *     x0 = x + alpha sign(N),   x' = x0 + (eps - alpha) sign(dJ/dx at x0)
 *
 * `at = clean` takes the gradient at x instead, as the code published with RSE does. alpha is half
 * of eps there; Zantedeschi et al. use 0.05.
 * Source: Tramer et al. 2018, section 3.4; Liu et al. 2018 (code); Zantedeschi et al. 2017. */
#include <string.h>

#include "attacks/ascent.h"

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("linf|l2", "linf"),
    TDO_ATTACK_EPS("0.1"),
    TDO_ATTACK_RANGE,
    TDO_ATTACK_SPACE("pixel"),
    TDO_ATTACK_REAL("alpha", 0, 1e6, "0", "in units", "length of the random step; 0: eps / 2"),
    TDO_ATTACK_CHOICE("at", "shifted|clean", "shifted", "where the gradient is taken"),
    TDO_ATTACK_LABEL_ONE("true"),
    TDO_ATTACK_DRAWS("1", "loss", "step"),
    TDO_ATTACK_SOURCE,
    {0}};

/* The length of the random step of a sample with this eps, which is not left by it. */
static double alpha_of(const struct tdo_attack_use *use, double eps)
{
    const double given = tdo_attack_value(use, "alpha", 0);
    return given <= 0 ? eps / 2 : given < eps ? given : eps;
}

/* s->found = x + alpha sign(N), in ball and box. */
static tdo_err shift(const struct tdo_attack_use *use, const tdo_target *t,
                     struct tdo_samples *s)
{
    const int64_t P = tdo_target_size(t);
    float *noise = NULL;
    TDO_TRY(tdo_memory_new(P, &noise));
    for (int64_t i = 0; i < s->count; i++) {
        float *u = s->found + i * P;
        const double alpha = alpha_of(use, tdo_attack_eps(use, s->id[i]));
        tdo_attack_normals(use, 0, s->id[i], 0, P, noise);
        tdo_threat_climb(use->threat.norm, alpha, noise, P, u);
        tdo_threat_project(use->threat.norm, alpha, tdo_target_box(t), s->x + i * P, u);
    }
    tdo_memory_free(&noise);
    return TDO_OK;
}

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    const int64_t P = tdo_target_size(t);
    const enum tdo_aim aim = tdo_aim_read(use);
    const struct tdo_objective objective = {.kind = TDO_LOSS_CE,
                                            .targeted = tdo_aim_targeted(aim)};
    const bool clean = tdo_attack_value(use, "at", 0) != 0;
    struct tdo_answer answer;
    TDO_TRY(tdo_aim_once(use, aim, t, s));
    TDO_TRY(shift(use, t, s));
    TDO_TRY(tdo_target_gradient(t, &objective, s, clean ? s->x : s->found, NULL, &answer));
    for (int64_t i = 0; i < s->count; i++) {
        float *u = s->found + i * P;
        const double eps = tdo_attack_eps(use, s->id[i]);
        tdo_threat_climb(use->threat.norm, eps - alpha_of(use, eps), answer.gradient + i * P, P,
                         u);
        tdo_threat_project(use->threat.norm, eps, tdo_target_box(t), s->x + i * P, u);
    }
    return TDO_OK;
}

const struct tdo_attack tdo_attack_rfgsm = {
    .name = "rfgsm",
    .help = "FGSM after a random step",
    .cite = "Tramer et al. 2018, section 3.4; Liu et al. 2018; Zantedeschi et al. 2017",
    .options = options,
    .needs = TDO_NEEDS_GRADIENT,
    .returns = TDO_RETURNS_LAST,
    .ball = true,
    .run = run,
};
