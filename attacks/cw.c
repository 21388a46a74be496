/* The attack of Carlini and Wagner for L2: a small perturbation by gradient descent on
 *
 *     |x' - x|_2^2 + c max(z_y - max_other + confidence, 0),     x' in tanh space (squash.h)
 *
 * with Adam, and a search for the c that gives the smallest perturbation:
 *
 *     search = n    n times: it came through: upper = min(upper, c);   else lower = max(lower, c)
 *                   next c: the middle; 10 c while upper is not known
 *                   with n of 10 and more the last run takes c = upper
 *     search = 0    one run with c as it is
 *
 * Published forms:
 *     Carlini and Wagner    search = 9, steps = 10000, lr = 0.01, c = 0.001 (usual here: 1000
 *                           steps; most runs stop early anyway)
 *     Zantedeschi et al.    search = 5, steps = 1000, lr = 0.005, c = 0.01, confidence = 2.3
 *     Liu et al. (RSE)      search = 0, steps = 300, lr = 0.001, c of a grid, keep = last,
 *                           abort_early = false; one draw of the noise in each step
 *
 * An image that has come through at once is returned as it is; one that never does too, unless
 * keep = last.
 * Source: Carlini and Wagner 2017, sections V and VI-A; Kingma and Ba 2015, algorithm 1. */
#include <math.h>
#include <string.h>

#include "attacks/aim.h"
#include "attacks/squash.h"

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("l2", "l2"),
    TDO_ATTACK_SPACE("pixel"),
    TDO_ATTACK_INT("search", 0, 100, "9", "runs",
                   "of the search for c; 0: one run with this c"),
    TDO_ATTACK_REAL("c", 0, 1e10, "0.001", NULL,
                    "weight of the margin, where the search begins"),
    TDO_ATTACK_INT("steps", 1, 1000000, "1000", "steps", "of Adam in a run"),
    TDO_ATTACK_REAL("lr", 1e-9, 1000, "0.01", NULL, "length of Adam's steps in tanh space"),
    TDO_ATTACK_REAL("confidence", 0, 1e6, "0", "logits", "margin that is wanted"),
    TDO_ATTACK_BOOL("abort_early", "true",
                    "end a run when a tenth of its steps has brought less than 0.01 percent"),
    TDO_ATTACK_LABEL("true"),
    TDO_ATTACK_TARGETS,
    TDO_ATTACK_CHOICE("keep", "last|best", "best",
                      "return the last point, or the nearest that came through"),
    TDO_ATTACK_DRAWS("1", "logits", "step"),
    TDO_ATTACK_SOURCE,
    {0}};

static const double unknown = 1e10,
                    known = 1e9; /* upper: where it starts; below this it is set */
static const double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
enum { STEPS_OF_KEYS = 1 << 24 };

/* The search of one sample. */
struct search {
    double c, lower, upper;
    double before; /* objective at the last look of abort_early */
    double least;  /* squared length of the best perturbation; HUGE_VAL without one */
    int32_t goal;  /* the class that it reaches */
    bool came;     /* in this run? */
};

struct cw {
    const struct tdo_attack_use *use;
    tdo_target *t;
    struct tdo_samples *s;
    int64_t size;
    int classes;
    enum tdo_aim aim;
    struct tdo_objective objective;
    int search, steps;
    double rate;
    bool best, abort_early;
    float *w, *m, *v;     /* [count,P] tanh space, Adam's moments */
    float *point, *found; /* [count,P] */
    float *g;             /* [P] */
    float *clean;         /* [count,K] logits at x */
    struct search *at;    /* [count] */
};

static int runs_of(const struct cw *c)
{
    return c->search > 0 ? c->search : 1;
}

static tdo_err check(const struct tdo_attack_use *use, const tdo_target *t)
{
    const double runs = fmax(1, tdo_attack_value(use, "search", 0));
    const double rounds = tdo_aim_rounds(use, tdo_aim_read(use), tdo_target_classes(t));
    const double steps = tdo_attack_value(use, "steps", 1);
    if (runs * rounds * steps >= STEPS_OF_KEYS - 1) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s: %.0f classes to reach, %.0f runs of %.0f steps are more than the "
                        "%d steps that randomness has keys for",
                        use->key, rounds, runs, steps, STEPS_OF_KEYS);
    }
    return tdo_squash_check(use);
}

/* ---- one run ------------------------------------------------------------------------------------ */

static void begin(struct cw *c)
{
    const int64_t P = c->size, count = c->s->count;
    const size_t bytes = (size_t)(count * P) * sizeof *c->w;
    memset(c->m, 0, bytes);
    memset(c->v, 0, bytes);
    memcpy(c->point, c->s->x, bytes); /* the guard aside, where w is */
    for (int64_t i = 0; i < count; i++) {
        tdo_squash_from(tdo_target_box(c->t), c->s->x + i * P, c->w + i * P);
        c->at[i].came = false;
        c->at[i].before = HUGE_VAL;
        c->s->done[i] = c->best && c->at[i].least <= 0;
    }
}

/* Look at the answer about sample i in step k: keep what is best, and end what stands still. */
static void consider(struct cw *c, const struct tdo_answer *answer, int64_t i, int k)
{
    const int64_t P = c->size;
    struct search *at = &c->at[i];
    const double length =
        tdo_threat_norms(c->point + i * P, c->s->x + i * P, P).of[TDO_NORM_L2];
    const double margin = tdo_target_margin(answer->logits + i * c->classes, c->classes,
                                            c->s->aim[i], c->objective.targeted);
    const double value = length * length - at->c * (double)answer->value[i];
    if (margin > 0 && margin >= c->objective.confidence) {
        at->came = true;
        if (length * length < at->least) {
            at->least = length * length;
            at->goal = c->s->target[i];
            memcpy(c->found + i * P, c->point + i * P, (size_t)P * sizeof *c->found);
        }
        c->s->done[i] = c->best && at->least <= 0;
    }
    if (c->abort_early && k % (c->steps >= 10 ? c->steps / 10 : 1) == 0) {
        c->s->done[i] = c->s->done[i] || value > 0.9999 * at->before;
        at->before = value;
    }
}

/* One step of Adam for sample i; g [P] is dJ/du. */
static void descend(struct cw *c, int64_t i, const float *g, int k)
{
    const int64_t P = c->size, first = i * P;
    const double correct1 = 1 - pow(beta1, k + 1), correct2 = 1 - pow(beta2, k + 1);
    float *w = c->w + first, *m = c->m + first, *v = c->v + first;
    for (int64_t p = 0; p < P; p++) {
        const double d = (double)c->point[first + p] - (double)c->s->x[first + p];
        c->g[p] = (float)(2 * d - c->at[i].c * (double)g[p]);
    }
    tdo_squash_chain(tdo_target_box(c->t), w, c->g);
    for (int64_t p = 0; p < P; p++) {
        const double d = (double)c->g[p];
        m[p] = (float)(beta1 * (double)m[p] + (1 - beta1) * d);
        v[p] = (float)(beta2 * (double)v[p] + (1 - beta2) * d * d);
        w[p] -= (float)(c->rate * ((double)m[p] / correct1) /
                        (sqrt((double)v[p] / correct2) + epsilon));
    }
    tdo_squash_to(tdo_target_box(c->t), w, c->point + first);
}

/* A run of all samples; `first` is the step of its keys, so that what other samples of the batch
 * do has no part in it. */
static tdo_err run_once(struct cw *c, uint32_t first)
{
    struct tdo_samples *s = c->s;
    struct tdo_answer answer;
    begin(c);
    for (int k = 0; k < c->steps && !tdo_attack_all_done(s); k++) {
        s->question = first + (uint32_t)k;
        TDO_TRY(tdo_target_gradient(c->t, &c->objective, s, c->point, NULL, &answer));
        for (int64_t i = 0; i < s->count; i++) {
            if (!s->done[i]) {
                consider(c, &answer, i, k);
            }
            if (!s->done[i]) {
                descend(c, i, answer.gradient + i * c->size, k);
            }
        }
    }
    return TDO_OK;
}

/* ---- the search ------------------------------------------------------------------------------------ */

static void next_c(struct search *at)
{
    if (at->came) {
        at->upper = fmin(at->upper, at->c);
    } else {
        at->lower = fmax(at->lower, at->c);
    }
    if (at->upper < known) {
        at->c = (at->lower + at->upper) / 2;
    } else if (!at->came) {
        at->c *= 10;
    }
}

static tdo_err run_round(struct cw *c, int round)
{
    const int runs = runs_of(c);
    for (int64_t i = 0; i < c->s->count; i++) {
        c->at[i].c = tdo_attack_value(c->use, "c", 0);
        c->at[i].lower = 0;
        c->at[i].upper = unknown;
    }
    for (int k = 0; k < runs; k++) {
        for (int64_t i = 0; runs >= 10 && k + 1 == runs && i < c->s->count; i++) {
            c->at[i].c = c->at[i].upper;
        }
        TDO_TRY(run_once(c, 1 + (uint32_t)((round * runs + k) * c->steps)));
        for (int64_t i = 0; i < c->s->count; i++) {
            next_c(&c->at[i]);
        }
    }
    return TDO_OK;
}

static tdo_err run_all(struct cw *c)
{
    const int K = c->classes, rounds = tdo_aim_rounds(c->use, c->aim, K);
    if (tdo_aim_looks(c->aim)) {
        struct tdo_answer answer;
        TDO_TRY(tdo_target_logits(c->t, c->s, c->s->x, &answer));
        memcpy(c->clean, answer.logits, (size_t)(c->s->count * K) * sizeof *c->clean);
    }
    for (int round = 0; round < rounds; round++) {
        tdo_aim_choose(c->use, c->aim, round, c->clean, K, c->s);
        TDO_TRY(run_round(c, round));
    }
    return TDO_OK;
}

static void hand_over(struct cw *c)
{
    const int64_t P = c->size;
    for (int64_t i = 0; i < c->s->count; i++) {
        const bool came = c->at[i].least < HUGE_VAL;
        if (!c->best || came) {
            memcpy(c->s->found + i * P, (c->best ? c->found : c->point) + i * P,
                   (size_t)P * sizeof *c->found);
        }
        c->s->target[i] = c->best && came ? c->at[i].goal : c->s->target[i];
        c->s->done[i] = came;
    }
}

static tdo_err make(struct cw *c)
{
    const int64_t n = c->s->count, P = c->size;
    TDO_TRY(tdo_memory_new(n * P, &c->w));
    TDO_TRY(tdo_memory_new(n * P, &c->m));
    TDO_TRY(tdo_memory_new(n * P, &c->v));
    TDO_TRY(tdo_memory_new(n * P, &c->point));
    TDO_TRY(tdo_memory_new(n * P, &c->found));
    TDO_TRY(tdo_memory_new(P, &c->g));
    TDO_TRY(tdo_memory_new(n * c->classes, &c->clean));
    TDO_TRY(tdo_memory_new(n, &c->at));
    for (int64_t i = 0; i < n; i++) {
        c->at[i].least = HUGE_VAL;
    }
    return TDO_OK;
}

static void drop(struct cw *c)
{
    tdo_memory_free(&c->w);
    tdo_memory_free(&c->m);
    tdo_memory_free(&c->v);
    tdo_memory_free(&c->point);
    tdo_memory_free(&c->found);
    tdo_memory_free(&c->g);
    tdo_memory_free(&c->clean);
    tdo_memory_free(&c->at);
}

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    const enum tdo_aim aim = tdo_aim_read(use);
    struct cw c = {
        .use = use,
        .t = t,
        .s = s,
        .size = tdo_target_size(t),
        .classes = tdo_target_classes(t),
        .aim = aim,
        .objective = {.kind = TDO_LOSS_MARGIN,
                      .targeted = tdo_aim_targeted(aim),
                      .confidence = tdo_attack_value(use, "confidence", 0)},
        .search = (int)tdo_attack_value(use, "search", 0),
        .steps = (int)tdo_attack_value(use, "steps", 1),
        .rate = tdo_attack_value(use, "lr", 0),
        .best = tdo_attack_value(use, "keep", TDO_RETURNS_BEST) != 0,
        .abort_early = tdo_attack_value(use, "abort_early", 0) != 0,
    };
    tdo_err err = TDO_OK;
    TDO_GOTO(make(&c));
    TDO_GOTO(run_all(&c));
    hand_over(&c);
done:
    drop(&c);
    return err;
}

const struct tdo_attack tdo_attack_cw = {
    .name = "cw",
    .help = "a small L2 perturbation: Adam on distance and margin in tanh space",
    .cite = "Carlini and Wagner 2017, sections V and VI-A",
    .options = options,
    .needs = TDO_NEEDS_GRADIENT,
    .returns = TDO_RETURNS_BEST,
    .iterative = true,
    .check = check,
    .run = run,
};
