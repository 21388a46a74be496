/* The fast gradient sign method: one step of the full size.
 *
 *     x' = x + eps sign(dJ/dx)          L2: x + eps g / |g|_2
 *
 * The minimal form takes the smallest of eps_step, 2 eps_step, ... up to eps whose point is not
 * classified as the label that is left (or is classified as the class that is reached); if none is,
 * the last.
 * Source: Goodfellow et al. 2015, section 4; Zantedeschi et al. 2017, section 4.1 (minimal form). */
#include <math.h>
#include <string.h>

#include "attacks/ascent.h"

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("linf|l2", "linf"),
    TDO_ATTACK_EPS("0.1"),
    TDO_ATTACK_RANGE,
    TDO_ATTACK_SPACE("pixel"),
    TDO_ATTACK_LABEL_ONE("true"),
    TDO_ATTACK_BOOL("minimal", "false",
                    "take the smallest multiple of eps_step that changes the class"),
    TDO_ATTACK_REAL("eps_step", 1e-9, 1e6, "0.05", "in units", "minimal: steps of the search"),
    TDO_ATTACK_DRAWS("1", "loss", "step"),
    TDO_ATTACK_SOURCE,
    {0}};

/* One step of length eps from x along the gradient. */
static void place(const struct tdo_attack_use *use, const tdo_target *t, double eps,
                  const float *x, const float *g, float *u)
{
    const int64_t P = tdo_target_size(t);
    memcpy(u, x, (size_t)P * sizeof *u);
    tdo_threat_climb(use->threat.norm, eps, g, P, u);
    tdo_threat_project(use->threat.norm, eps, tdo_target_box(t), x, u);
}

/* Samples whose class has changed are done. */
static tdo_err look(tdo_target *t, struct tdo_samples *s, bool targeted)
{
    const int K = tdo_target_classes(t);
    struct tdo_answer answer;
    TDO_TRY(tdo_target_logits(t, s, s->found, &answer));
    for (int64_t i = 0; i < s->count; i++) {
        if (!s->done[i]) {
            const float *z = answer.logits + i * K;
            s->done[i] = (tdo_target_argmax(z, K, -1) == s->aim[i]) == targeted;
        }
    }
    return TDO_OK;
}

static tdo_err search(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s,
                      const float *gradient, bool targeted)
{
    const int64_t P = tdo_target_size(t);
    const double step = tdo_attack_value(use, "eps_step", 0.05);
    const int steps = (int)ceil(use->threat.eps / step - 1e-9);
    for (int k = 1; k <= steps; k++) {
        for (int64_t i = 0; i < s->count; i++) {
            if (!s->done[i]) {
                const double most = tdo_attack_eps(use, s->id[i]);
                const double eps = k < (int)ceil(most / step - 1e-9) ? k * step : most;
                place(use, t, eps, s->x + i * P, gradient + i * P, s->found + i * P);
            }
        }
        TDO_TRY(look(t, s, targeted));
    }
    return TDO_OK;
}

static tdo_err minimal(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    const enum tdo_aim aim = tdo_aim_read(use);
    const bool targeted = tdo_aim_targeted(aim);
    const int64_t floats = s->count * tdo_target_size(t);
    const struct tdo_objective objective = {.kind = TDO_LOSS_CE, .targeted = targeted};
    struct tdo_answer answer;
    float *gradient = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(floats, &gradient));
    TDO_GOTO(tdo_target_logits(t, s, s->x, &answer));
    tdo_aim_choose(use, aim, 0, answer.logits, tdo_target_classes(t), s);
    TDO_GOTO(tdo_target_gradient(t, &objective, s, s->x, NULL, &answer));
    memcpy(gradient, answer.gradient, (size_t)floats * sizeof *gradient);
    TDO_GOTO(look(t, s, targeted)); /* misclassified as it is: nothing is to be done */
    err = search(use, t, s, gradient, targeted);
done:
    tdo_memory_free(&gradient);
    return err;
}

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    if (tdo_attack_value(use, "minimal", 0) != 0) {
        return minimal(use, t, s);
    }
    struct tdo_ascent a = tdo_ascent_read(use, tdo_target_classes(t));
    a.share = 1;
    return tdo_ascend(use, &a, t, s);
}

const struct tdo_attack tdo_attack_fgsm = {
    .name = "fgsm",
    .help = "one gradient step of the full size; or the smallest that changes the class",
    .cite = "Goodfellow et al. 2015, section 4; Zantedeschi et al. 2017, section 4.1",
    .options = options,
    .needs = TDO_NEEDS_GRADIENT,
    .returns = TDO_RETURNS_LAST,
    .ball = true,
    .run = run,
};
