/* Random noise of the size of an attack, looking at nothing: an attack that is not stronger than
 * this has failed.
 *
 *     sign      x + eps sign(N)
 *     gaussian  x + N, scaled to the ball's border for L2, with standard deviation eps and clipped
 *               to the ball for L-inf
 *
 * Source: Liao et al. 2018, section 4.1 (the set "random noise"). */
#include "attacks/attack.h"

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("linf|l2", "linf"),
    TDO_ATTACK_EPS("0.1"),
    TDO_ATTACK_RANGE,
    TDO_ATTACK_SPACE("pixel"),
    TDO_ATTACK_CHOICE("law", "sign|gaussian", "sign", "signs of equal size, or normal numbers"),
    {0}};

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    const int64_t P = tdo_target_size(t);
    const bool gaussian = tdo_attack_value(use, "law", 0) != 0;
    const struct tdo_threat *threat = &use->threat;
    float *noise = NULL;
    TDO_TRY(tdo_memory_new(P, &noise));
    for (int64_t i = 0; i < s->count; i++) {
        float *u = s->found + i * P;
        const double eps = tdo_attack_eps(use, s->id[i]);
        tdo_attack_normals(use, 0, s->id[i], 0, P, noise);
        for (int64_t p = 0; p < P && !gaussian; p++) {
            noise[p] = noise[p] < 0 ? -1.0F : 1.0F;
        }
        if (gaussian && threat->norm == TDO_NORM_LINF) {
            for (int64_t p = 0; p < P; p++) {
                u[p] += (float)eps * noise[p];
            }
        } else {
            tdo_threat_climb(threat->norm, eps, noise, P, u);
        }
        tdo_threat_project(threat->norm, eps, tdo_target_box(t), s->x + i * P, u);
    }
    tdo_memory_free(&noise);
    return TDO_OK;
}

const struct tdo_attack tdo_attack_random_noise = {
    .name = "random_noise",
    .help = "random noise of a given size, without looking at the target",
    .cite = "Liao et al. 2018, section 4.1",
    .options = options,
    .needs = TDO_NEEDS_NOTHING,
    .returns = TDO_RETURNS_LAST,
    .ball = true,
    .run = run,
};
