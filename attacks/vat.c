/* The virtual adversarial direction: where the prediction changes fastest, whatever the label.
 *
 *     D(r) = KL(p(x) || p(x + r)) = r' H r / 2 + ...        its gradient at 0 is zero
 *     d ~ N(0,I);  repeat:  d = g / |g|_2,  g = dD/dr at r = xi d  (= xi H d)
 *     x' = x + eps d
 *
 * This is the power method for the dominant eigenvector of H = J' (diag p - p p') J. xi makes a
 * finite difference of it. As published, 1e-6, it is below the last bit of a pixel in f32 and the
 * direction mostly noise; too large, and it is no derivative any more. Mean cosine of one step with
 * H d in double, over ten small networks of 36 to 3072 pixels: xi = 1e-6 0.73, 1e-3 0.989, 1e-2
 * 0.999, 0.1 0.994, 1 0.95; after 50 steps with the eigenvector: 0.96, 0.9999, 0.9998, 0.994, 0.84.
 * Source: Miyato et al. 2016, section 3.3 and algorithm 2; Zantedeschi et al. 2017, section 4.1
 * (eps, power). */
#include <string.h>

#include "attacks/attack.h"

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("l2", "l2"),
    TDO_ATTACK_EPS("2.1"),
    TDO_ATTACK_SPACE("pixel"),
    TDO_ATTACK_INT("power", 0, 10000, "5", "steps",
                   "of the power method; 0: a random direction"),
    TDO_ATTACK_REAL(
        "xi", 1e-9, 1e6, "0.01", "in units",
        "length at which the gradient is taken; f32 rounds the published 1e-6 away"),
    TDO_ATTACK_DRAWS("1", "probability", "attack"),
    TDO_ATTACK_SOURCE,
    {0}};

/* u = x + length d, into the box or as it is. */
static void place(const tdo_target *t, double length, const struct tdo_samples *s,
                  const float *d, float *u)
{
    const int64_t P = tdo_target_size(t);
    memcpy(u, s->x, (size_t)(s->count * P) * sizeof *u);
    for (int64_t i = 0; i < s->count; i++) {
        tdo_threat_climb(TDO_NORM_L2, length, d + i * P, P, u + i * P);
    }
}

/* d takes the place of the gradient at x + xi d, where that is not zero. */
static tdo_err turn(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s,
                    const float *goal, float *d)
{
    static const struct tdo_objective ce = {.kind = TDO_LOSS_CE};
    const int64_t P = tdo_target_size(t);
    struct tdo_answer answer;
    place(t, tdo_attack_value(use, "xi", 0.01), s, d, s->found);
    TDO_TRY(tdo_target_gradient(t, &ce, s, s->found, goal, &answer));
    for (int64_t i = 0; i < s->count; i++) {
        const float *g = answer.gradient + i * P;
        if (tdo_threat_norms(g, NULL, P).of[TDO_NORM_LINF] > 0) {
            memcpy(d + i * P, g, (size_t)P * sizeof *d);
        }
    }
    return TDO_OK;
}

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    const int64_t P = tdo_target_size(t);
    const int classes = tdo_target_classes(t), power = (int)tdo_attack_value(use, "power", 5);
    struct tdo_answer answer;
    float *d = NULL, *goal = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(s->count * P, &d));
    TDO_GOTO(tdo_memory_new(s->count * classes, &goal));
    for (int64_t i = 0; i < s->count; i++) {
        tdo_attack_normals(use, 0, s->id[i], 0, P, d + i * P);
    }
    if (power > 0) {
        TDO_GOTO(tdo_target_logits(t, s, s->x, &answer));
        tdo_target_softmax(answer.logits, s->count, classes, goal);
    }
    for (int k = 0; k < power; k++) {
        TDO_GOTO(turn(use, t, s, goal, d));
    }
    place(t, use->threat.eps, s, d, s->found);
    for (int64_t i = 0; i < s->count; i++) {
        tdo_threat_project(TDO_NORM_L2, use->threat.eps, tdo_target_box(t), s->x + i * P,
                           s->found + i * P);
    }
done:
    tdo_memory_free(&d);
    tdo_memory_free(&goal);
    return err;
}

const struct tdo_attack tdo_attack_vat = {
    .name = "vat",
    .help = "the virtual adversarial direction: where the prediction changes fastest",
    .cite = "Miyato et al. 2016, section 3.3; Zantedeschi et al. 2017, section 4.1",
    .options = options,
    .needs = TDO_NEEDS_GRADIENT,
    .returns = TDO_RETURNS_LAST,
    .ball = true,
    .run = run,
};
