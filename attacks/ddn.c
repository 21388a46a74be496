/* The attack that decouples direction and norm. See ddn.h.
 * Source: Rony et al. 2019, algorithm 1 and section 4 (training: max_norm). */
#include "attacks/ddn.h"

#include <math.h>
#include <string.h>

enum { DIRECTION_LAYER };

/* Arrays are [count,P] or [count]. */
struct ddn {
    const struct tdo_attack_use *use;
    const struct tdo_ddn *o;
    tdo_target *t;
    struct tdo_samples *s;
    int64_t size;
    int classes;
    float *point, *best;
    float *row, *pixels, *clean; /* [P] scratch */
    double *norm;                /* r */
    double *most;                /* the longest that the box allows */
    double *least;               /* length of `best`; HUGE_VAL without one */
};

/* ---- geometry ------------------------------------------------------------------------------------ */

static double longest(const struct tdo_box *box, const float *x)
{
    double sum = 0;
    for (int64_t p = 0; p < box->size; p++) {
        const double down = (double)x[p] - (double)box->low[p];
        const double up = (double)box->high[p] - (double)x[p];
        sum += down > up ? down * down : up * up;
    }
    return sqrt(sum);
}

/* Pixels of u to their nearest level. */
static void quantise(struct ddn *c, float *u)
{
    const double top = c->o->levels - 1;
    if (c->o->levels < 2) {
        return;
    }
    tdo_target_to_pixels(c->t, u, 1, c->pixels);
    for (int64_t p = 0; p < c->size; p++) {
        c->pixels[p] = (float)(nearbyint((double)c->pixels[p] * top) / top);
    }
    tdo_target_from_pixels(c->t, c->pixels, 1, u);
}

/* u to the border of the ball around x, by whole levels towards x. */
static void shorten(struct ddn *c, const float *x, float *u)
{
    const double top = c->o->levels - 1;
    if (tdo_threat_norms(u, x, c->size).of[TDO_NORM_L2] <= c->o->max_norm) {
        return;
    }
    tdo_threat_project(TDO_NORM_L2, c->o->max_norm, tdo_target_box(c->t), x, u);
    if (c->o->levels >= 2) {
        tdo_target_to_pixels(c->t, u, 1, c->pixels);
        tdo_target_to_pixels(c->t, x, 1, c->clean);
        for (int64_t p = 0; p < c->size; p++) {
            const double d = (double)c->pixels[p] - (double)c->clean[p];
            c->pixels[p] = (float)((double)c->clean[p] + trunc(d * top) / top);
        }
        tdo_target_from_pixels(c->t, c->pixels, 1, u);
    }
}

/* ---- steps ------------------------------------------------------------------------------------------ */

/* Has sample i come through at its point? Keep the shortest that has. */
static bool consider(struct ddn *c, const float *logits, int64_t i)
{
    const int64_t P = c->size;
    const double length =
        tdo_threat_norms(c->point + i * P, c->s->x + i * P, P).of[TDO_NORM_L2];
    const bool came =
        tdo_target_margin(logits, c->classes, c->s->aim[i], tdo_aim_targeted(c->o->aim)) > 0;
    if (came && length < c->least[i]) {
        c->least[i] = length;
        memcpy(c->best + i * P, c->point + i * P, (size_t)P * sizeof *c->best);
    }
    return came;
}

static void move(struct ddn *c, const float *g, int64_t i, int k, bool came)
{
    const int64_t P = c->size;
    const double rate = 0.01 + 0.99 * (1 + cos(acos(-1.0) * k / c->o->steps)) / 2;
    const float *x = c->s->x + i * P;
    float *u = c->point + i * P;
    if (tdo_threat_norms(g, NULL, P).of[TDO_NORM_L2] <= 0) {
        tdo_attack_normals(c->use, DIRECTION_LAYER, c->s->id[i], (uint32_t)k, P, c->row);
        g = c->row;
    }
    tdo_threat_climb(TDO_NORM_L2, rate, g, P, u);
    c->norm[i] = fmin(c->norm[i] * (came ? 1 - c->o->gamma : 1 + c->o->gamma), c->most[i]);
    const double length = tdo_threat_norms(u, x, P).of[TDO_NORM_L2];
    const double part = length > 0 ? c->norm[i] / length : 0;
    for (int64_t p = 0; p < P; p++) {
        u[p] = (float)((double)x[p] + part * ((double)u[p] - (double)x[p]));
    }
    tdo_threat_clip(tdo_target_box(c->t), u);
    quantise(c, u);
}

static tdo_err run_steps(struct ddn *c)
{
    const struct tdo_objective objective = {.kind = TDO_LOSS_CE,
                                            .targeted = tdo_aim_targeted(c->o->aim)};
    struct tdo_answer answer;
    for (int k = 0; k < c->o->steps; k++) {
        TDO_TRY(tdo_target_gradient(c->t, &objective, c->s, c->point, NULL, &answer));
        for (int64_t i = 0; i < c->s->count; i++) {
            if (c->s->done[i]) {
                continue;
            }
            const bool came = consider(c, answer.logits + i * c->classes, i);
            c->s->done[i] = c->least[i] <= 0; /* nothing is shorter */
            if (!c->s->done[i]) {
                move(c, answer.gradient + i * c->size, i, k, came);
            }
        }
    }
    return TDO_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static void hand_over(struct ddn *c)
{
    const int64_t P = c->size;
    const bool bounded = c->o->max_norm < HUGE_VAL;
    for (int64_t i = 0; i < c->s->count; i++) {
        const bool came = c->least[i] < HUGE_VAL;
        float *u = came ? c->best + i * P : c->point + i * P;
        if (came || bounded) {
            shorten(c, c->s->x + i * P, u);
            memcpy(c->s->found + i * P, u, (size_t)P * sizeof *u);
        }
        c->s->done[i] = came;
    }
}

static tdo_err make(struct ddn *c)
{
    const int64_t n = c->s->count, P = c->size;
    TDO_TRY(tdo_memory_new(n * P, &c->point));
    TDO_TRY(tdo_memory_new(n * P, &c->best));
    TDO_TRY(tdo_memory_new(P, &c->row));
    TDO_TRY(tdo_memory_new(P, &c->pixels));
    TDO_TRY(tdo_memory_new(P, &c->clean));
    TDO_TRY(tdo_memory_new(n, &c->norm));
    TDO_TRY(tdo_memory_new(n, &c->most));
    TDO_TRY(tdo_memory_new(n, &c->least));
    memcpy(c->point, c->s->x, (size_t)(n * P) * sizeof *c->point);
    for (int64_t i = 0; i < n; i++) {
        c->norm[i] = c->o->init_norm;
        c->most[i] = longest(tdo_target_box(c->t), c->s->x + i * P);
        c->least[i] = HUGE_VAL;
    }
    return TDO_OK;
}

tdo_err tdo_ddn(const struct tdo_attack_use *use, const struct tdo_ddn *d, tdo_target *t,
                struct tdo_samples *s)
{
    struct ddn c = {.use = use,
                    .o = d,
                    .t = t,
                    .s = s,
                    .size = tdo_target_size(t),
                    .classes = tdo_target_classes(t)};
    tdo_err err = TDO_OK;
    TDO_GOTO(make(&c));
    TDO_GOTO(tdo_aim_once(use, d->aim, t, s));
    TDO_GOTO(run_steps(&c));
    hand_over(&c);
done:
    tdo_memory_free(&c.point);
    tdo_memory_free(&c.best);
    tdo_memory_free(&c.row);
    tdo_memory_free(&c.pixels);
    tdo_memory_free(&c.clean);
    tdo_memory_free(&c.norm);
    tdo_memory_free(&c.most);
    tdo_memory_free(&c.least);
    return err;
}

/* ---- the row ------------------------------------------------------------------------------------------ */

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("l2", "l2"),
    TDO_ATTACK_SPACE("pixel"),
    TDO_ATTACK_INT("steps", 1, 1000000, "100", "steps", "gradient steps"),
    TDO_ATTACK_DDN("1", "norm of the perturbation to begin with"),
    TDO_ATTACK_REAL("max_norm", 0, 1e6, "0", "in units",
                    "what is found is shortened to this norm, for training; 0: it is not"),
    TDO_ATTACK_LABEL_ONE("true"),
    TDO_ATTACK_DRAWS("1", "loss", "step"),
    TDO_ATTACK_SOURCE,
    {0}};

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    const double max_norm = tdo_attack_value(use, "max_norm", 0);
    const struct tdo_ddn d = {.steps = (int)tdo_attack_value(use, "steps", 100),
                              .init_norm = tdo_attack_value(use, "init_norm", 1),
                              .gamma = tdo_attack_value(use, "gamma", 0.05),
                              .max_norm = max_norm > 0 ? max_norm : HUGE_VAL,
                              .levels = (int)tdo_attack_value(use, "levels", 256),
                              .aim = tdo_aim_read(use)};
    return tdo_ddn(use, &d, t, s);
}

const struct tdo_attack tdo_attack_ddn = {
    .name = "ddn",
    .help = "a small L2 perturbation: direction from the gradient, norm by success",
    .cite = "Rony et al. 2019, algorithm 1",
    .options = options,
    .needs = TDO_NEEDS_GRADIENT,
    .returns = TDO_RETURNS_BEST,
    .iterative = true,
    .run = run,
};
