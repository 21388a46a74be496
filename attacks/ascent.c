/* The loop of gradient attacks. See ascent.h. */
#include "attacks/ascent.h"

#include <math.h>
#include <string.h>

enum { START_LAYER, LENGTH_LAYER = 2 };

/* The state of one run; arrays are [count,P] or [count]. */
struct ascent {
    const struct tdo_attack_use *use;
    const struct tdo_ascent *a;
    tdo_target *t;
    struct tdo_samples *s;
    int64_t size;
    int classes, members;
    float *point, *momentum;
    float *best;
    double *most; /* margin of `best` */
    double *eps;
    bool *came;    /* is it where it should be? */
    bool *out;     /* was done before we began */
    int32_t *goal; /* target of the best point */
    float *clean;  /* [count,K] logits at x, or the distribution that loss = kl leaves */
};

/* ---- options --------------------------------------------------------------------------------------- */

struct tdo_ascent tdo_ascent_read(const struct tdo_attack_use *use, int classes)
{
    static const enum tdo_loss_kind kinds[] = {TDO_LOSS_CE, TDO_LOSS_MARGIN, TDO_LOSS_DLR,
                                               TDO_LOSS_CE};
    const int loss = (int)tdo_attack_value(use, "loss", TDO_ASCENT_CE);
    const enum tdo_aim aim = tdo_aim_read(use);
    return (struct tdo_ascent){
        .objective = {.kind = kinds[loss],
                      .targeted = tdo_aim_targeted(aim),
                      .confidence = tdo_attack_value(use, "confidence", 50)},
        .kl = loss == TDO_ASCENT_KL,
        .aim = aim,
        .rounds = tdo_aim_rounds(use, aim, classes),
        .steps = (int)tdo_attack_value(use, "steps", 1),
        .restarts = (int)tdo_attack_value(use, "restarts", 1),
        .step = tdo_attack_value(use, "step", 0),
        .decay = tdo_attack_value(use, "decay", 1),
        .momentum = tdo_attack_value(use, "momentum", 0),
        .accumulate = tdo_attack_value(use, "accumulate", 0) != 0,
        .start = (enum tdo_start)(int)tdo_attack_value(use, "start", TDO_START_NONE),
        .spread = tdo_attack_value(use, "spread", 0),
        .best = tdo_attack_value(use, "keep", use->row->returns) != 0,
        .early = tdo_attack_value(use, "early", 0) != 0};
}

tdo_err tdo_ascent_check(const struct tdo_attack_use *use, const tdo_target *t)
{
    const struct tdo_ascent a = tdo_ascent_read(use, tdo_target_classes(t));
    if (a.kl && a.objective.targeted) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s.loss = kl leaves the clean prediction and reaches no class: "
                        "label = true or predicted",
                        use->key);
    }
    if (a.kl && a.start == TDO_START_NONE) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s.start = none: the divergence has no gradient at the image itself; "
                        "start = normal or uniform",
                        use->key);
    }
    return TDO_OK;
}

/* ---- starts ----------------------------------------------------------------------------------------- */

/* A random perturbation d [P] (room for P + 4): L-inf uniform in the cube, L2 of uniform direction
 * and uniform length. */
static void random_start(const struct ascent *c, int64_t i, int restart, float *d)
{
    const uint64_t id = c->s->id[i];
    const double eps = c->eps[i];
    const uint32_t draw = (uint32_t)restart;
    if (c->a->start == TDO_START_NORMAL) {
        tdo_attack_normals(c->use, START_LAYER, id, draw, c->size, d);
        for (int64_t p = 0; p < c->size; p++) {
            d[p] *= (float)c->a->spread;
        }
    } else if (c->use->threat.norm == TDO_NORM_LINF) {
        tdo_attack_uniforms(c->use, START_LAYER, id, draw, c->size, d);
        for (int64_t p = 0; p < c->size; p++) {
            d[p] = (2 * d[p] - 1) * (float)eps;
        }
    } else {
        float u[4];
        tdo_attack_uniforms(c->use, LENGTH_LAYER, id, draw, 4, u);
        tdo_attack_normals(c->use, START_LAYER, id, draw, c->size, d);
        const double length = tdo_threat_norms(d, NULL, c->size).of[TDO_NORM_L2];
        for (int64_t p = 0; p < c->size; p++) {
            d[p] *= (float)(eps * (double)u[0] / length);
        }
    }
}

static void begin(struct ascent *c, int restart)
{
    const int64_t P = c->size, count = c->s->count;
    memcpy(c->point, c->s->x, (size_t)(count * P) * sizeof *c->point);
    memset(c->momentum, 0, (size_t)(count * P) * sizeof *c->momentum);
    for (int64_t i = 0; c->a->start != TDO_START_NONE && i < count; i++) {
        float *d = c->momentum; /* the first row serves as scratch, and is zeroed again */
        random_start(c, i, restart, d);
        for (int64_t p = 0; p < P; p++) {
            c->point[i * P + p] += d[p];
        }
        memset(d, 0, (size_t)P * sizeof *d);
        tdo_threat_project(c->use->threat.norm, c->eps[i], tdo_target_box(c->t),
                           c->s->x + i * P, c->point + i * P);
    }
}

/* ---- steps ------------------------------------------------------------------------------------------ */

/* Length of step k; shares of a decayed sequence add up to share * eps. */
static double step_length(const struct tdo_ascent *a, double eps, int k)
{
    double weight = pow(a->decay, k), sum = 0;
    if (a->step > 0) {
        return a->step * weight;
    }
    if (a->share <= 0) {
        return 2.5 * eps / a->steps * weight;
    }
    for (int j = 0; j < a->steps; j++) {
        sum += pow(a->decay, j);
    }
    return a->share * eps * weight / sum;
}

/* What is climbed: g, or the momentum that it is added to. */
static const float *direction(struct ascent *c, int64_t i, const float *g)
{
    const int64_t P = c->size;
    float *m = c->momentum + i * P;
    double mean = 0;
    if (!c->a->accumulate && c->a->momentum <= 0) {
        return g;
    }
    for (int64_t p = 0; p < P; p++) {
        mean += fabs((double)g[p]) / (double)P;
    }
    const float keep = c->a->accumulate ? 1 : (float)c->a->momentum;
    const float scale = c->a->accumulate ? 1 : mean > 0 ? (float)(1 / mean) : 0;
    for (int64_t p = 0; p < P; p++) {
        m[p] = keep * m[p] + scale * g[p];
    }
    return m;
}

/* Is the point where it should be, for the target together or for each member? */
static bool has_come(const struct ascent *c, const struct tdo_answer *answer, int64_t i,
                     double margin)
{
    const int K = c->classes;
    bool came = margin > 0;
    for (int j = 0; c->a->all && answer->members && j < c->members; j++) {
        const float *z = answer->members + (i * c->members + j) * K;
        came = came && tdo_target_margin(z, K, c->s->aim[i], c->a->objective.targeted) > 0;
    }
    return came;
}

/* Is the best point returned, and not the last? */
static bool keeps(const struct tdo_ascent *a)
{
    return a->best || a->early || a->restarts * a->rounds > 1;
}

/* Look at the answers about c->point: keep what is best, leave alone what has come. */
static void consider(struct ascent *c, const struct tdo_answer *answer)
{
    const int64_t P = c->size;
    for (int64_t i = 0; i < c->s->count; i++) {
        const float *z = answer->logits + i * c->classes;
        if (c->s->done[i]) {
            continue;
        }
        const double margin =
            tdo_target_margin(z, c->classes, c->s->aim[i], c->a->objective.targeted);
        const bool came = has_come(c, answer, i, margin);
        if (margin > c->most[i]) {
            c->most[i] = margin;
            c->goal[i] = c->s->target[i];
            memcpy(c->best + i * P, c->point + i * P, (size_t)P * sizeof *c->best);
        }
        c->came[i] = came || (keeps(c->a) && c->came[i]);
        c->s->done[i] = c->a->early && came;
    }
}

static tdo_err climb(struct ascent *c, int k)
{
    const int64_t P = c->size;
    struct tdo_answer answer;
    TDO_TRY(tdo_target_gradient(c->t, &c->a->objective, c->s, c->point,
                                c->a->kl ? c->clean : NULL, &answer));
    consider(c, &answer);
    for (int64_t i = 0; i < c->s->count; i++) {
        if (!c->s->done[i]) {
            float *u = c->point + i * P;
            tdo_threat_climb(c->use->threat.norm, step_length(c->a, c->eps[i], k),
                             direction(c, i, answer.gradient + i * P), P, u);
            tdo_threat_project(c->use->threat.norm, c->eps[i], tdo_target_box(c->t),
                               c->s->x + i * P, u);
        }
    }
    return TDO_OK;
}

/* From one start to its end. */
static tdo_err run_once(struct ascent *c, int restart)
{
    struct tdo_answer answer;
    begin(c, restart);
    for (int k = 0; k < c->a->steps && !tdo_attack_all_done(c->s); k++) {
        TDO_TRY(climb(c, k));
    }
    if ((keeps(c->a) || c->a->looks) && !tdo_attack_all_done(c->s)) {
        TDO_TRY(tdo_target_logits(c->t, c->s, c->point, &answer));
        consider(c, &answer);
    }
    return TDO_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static tdo_err look_at_clean(struct ascent *c)
{
    const enum tdo_aim aim = c->a->kl ? TDO_AIM_TRUE : c->a->aim; /* of kl: a distribution */
    struct tdo_answer answer;
    if (!tdo_aim_looks(c->a->aim) && !c->a->kl) {
        return TDO_OK;
    }
    TDO_TRY(tdo_target_logits(c->t, c->s, c->s->x, &answer));
    tdo_aim_scores(c->t, aim, c->s->count, &answer, c->clean);
    return TDO_OK;
}

/* Every class to reach, every restart; what has come is tried no more. */
static tdo_err run_all(struct ascent *c)
{
    struct tdo_samples *s = c->s;
    TDO_TRY(look_at_clean(c));
    for (int round = 0; round < c->a->rounds; round++) {
        tdo_aim_choose(c->use, c->a->aim, round, c->clean, c->classes, s);
        if (c->a->kl) {
            tdo_target_softmax(c->clean, s->count, c->classes, c->clean);
        }
        for (int restart = 0; restart < c->a->restarts; restart++) {
            for (int64_t i = 0; i < s->count; i++) {
                s->done[i] = c->out[i] || c->came[i];
            }
            if (!tdo_attack_all_done(s)) {
                TDO_TRY(run_once(c, restart));
            }
        }
    }
    return TDO_OK;
}

static void hand_over(struct ascent *c)
{
    const int64_t P = c->size;
    for (int64_t i = 0; i < c->s->count; i++) {
        if (c->out[i]) {
            continue;
        }
        const float *from = keeps(c->a) && c->most[i] > -HUGE_VAL ? c->best : c->point;
        memcpy(c->s->found + i * P, from + i * P, (size_t)P * sizeof *c->point);
        c->s->target[i] = from == c->best ? c->goal[i] : c->s->target[i];
        c->s->done[i] = c->came[i];
    }
}

static tdo_err make(struct ascent *c)
{
    const int64_t n = c->s->count, P = c->size;
    TDO_TRY(tdo_memory_new(n * P, &c->point));
    TDO_TRY(tdo_memory_new(n * P + 4, &c->momentum));
    TDO_TRY(tdo_memory_new(n * P, &c->best));
    TDO_TRY(tdo_memory_new(n, &c->most));
    TDO_TRY(tdo_memory_new(n, &c->eps));
    TDO_TRY(tdo_memory_new(n, &c->came));
    TDO_TRY(tdo_memory_new(n, &c->out));
    TDO_TRY(tdo_memory_new(n, &c->goal));
    TDO_TRY(tdo_memory_new(n * c->classes, &c->clean));
    for (int64_t i = 0; i < n; i++) {
        c->most[i] = -HUGE_VAL;
        c->out[i] = c->s->done[i];
        c->eps[i] = tdo_attack_eps(c->use, c->s->id[i]);
    }
    return TDO_OK;
}

tdo_err tdo_ascend(const struct tdo_attack_use *use, const struct tdo_ascent *a, tdo_target *t,
                   struct tdo_samples *s)
{
    struct ascent c = {.use = use,
                       .a = a,
                       .t = t,
                       .s = s,
                       .size = tdo_target_size(t),
                       .classes = tdo_target_classes(t),
                       .members = tdo_target_members(t)};
    tdo_err err = TDO_OK;
    TDO_GOTO(make(&c));
    TDO_GOTO(run_all(&c));
    hand_over(&c);
done:
    tdo_memory_free(&c.point);
    tdo_memory_free(&c.momentum);
    tdo_memory_free(&c.best);
    tdo_memory_free(&c.most);
    tdo_memory_free(&c.eps);
    tdo_memory_free(&c.came);
    tdo_memory_free(&c.out);
    tdo_memory_free(&c.goal);
    tdo_memory_free(&c.clean);
    return err;
}

tdo_err tdo_ascent_run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    const struct tdo_ascent a = tdo_ascent_read(use, tdo_target_classes(t));
    return tdo_ascend(use, &a, t, s);
}
