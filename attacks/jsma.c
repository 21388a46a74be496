/* The Jacobian-based saliency map attack: two pixels at a time, until the class is reached.
 *
 *     a_p = dz_t/dx_p,   c_p = -sum over other classes dz_j/dx_p
 *     the pair p, q with the largest (a_p + a_q) (c_p + c_q), both sums positive, moves by theta
 *
 * A pixel at the end of its range leaves the search; at most a share gamma of the pixels changes
 * (when no two new ones are left, those that have changed go on). With theta < 0 pixels fall, and
 * a and c change their signs.
 *
 * `pairs` is the published search over all pairs, `simplified` takes the two largest a. `saliency`
 * is of logits, as the attack was first run, or of probabilities. The probabilities add up to 1,
 * so there c = a: the best pair is then that of the largest a too.
 * Source: Papernot et al. 2016, algorithms 2 and 3; Carlini and Wagner 2017, section III-C (logits
 * or probabilities). */
#include <math.h>
#include <string.h>

#include "attacks/aim.h"
#include "attacks/saliency.h"

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("l0", "l0"),
    TDO_ATTACK_SPACE("pixel"),
    TDO_ATTACK_REAL("theta", -1e6, 1e6, "0.1", "in units",
                    "what a pixel changes by at a time; below 0 pixels fall"),
    TDO_ATTACK_REAL("gamma", 0, 1, "1", NULL, "share of the pixels that may change"),
    TDO_ATTACK_CHOICE("form", "pairs|simplified", "pairs",
                      "search all pairs, or take the two largest gradients"),
    TDO_ATTACK_CHOICE("saliency", "logits|probability", "logits", "whose Jacobian it is"),
    TDO_ATTACK_LABEL("random"),
    TDO_ATTACK_TARGETS,
    TDO_ATTACK_DRAWS("1", "logits", "step"),
    TDO_ATTACK_SOURCE,
    {0}};

/* The state of one run; s->found is the point. */
struct jsma {
    const struct tdo_attack_use *use;
    tdo_target *t;
    struct tdo_samples *s;
    int64_t size, most; /* pixels; how many may change */
    int classes, columns;
    double theta;
    bool pairs, probability;
    bool *open, *changed; /* [count,P] still in the search; not as in x */
    int64_t *changes;     /* [count] */
    bool *came;           /* [count] */
    int32_t *column;      /* [count,columns] classes of the Jacobian */
    float *clean;         /* [count,K] logits at x */
    float *p;             /* [K] probabilities of one sample */
    double *of_a, *of_c;  /* [K] weights of the logits in a and c */
    struct tdo_saliency map;
    /* Of the classes that were tried: the point that came with the fewest changes. */
    float *best;
    int64_t *fewest; /* [count] its changes; beyond P as long as none came */
    int32_t *goal;
};

/* ---- one sample --------------------------------------------------------------------------------- */

/* May pixel p move? It has to be open, and new ones to fit the share. */
static bool in_search(const struct jsma *j, int64_t i, int64_t p)
{
    const int64_t at = i * j->size + p;
    return j->open[at] && (j->changed[at] || j->changes[i] + 2 <= j->most);
}

/* a and c as sums over classes: a_p = sum_k a[k] dz_k/dx_p. Of probabilities it is
 * dp_t = p_t (dz_t - sum_k p_k dz_k), without the factor p_t, which changes no order. */
static void fill_weights(struct jsma *j, int64_t i, const float *z)
{
    const int target = j->s->aim[i];
    tdo_target_softmax(z, 1, j->classes, j->p);
    for (int k = 0; k < j->columns; k++) {
        const double own = j->columns == 1 || k == target;
        j->of_a[k] = j->probability ? own - (double)j->p[k] : own;
        j->of_c[k] = j->probability ? j->of_a[k] : own - 1;
    }
}

/* The map of sample i: pixels in the search, a and c as for a rising pixel. g [columns,P]. */
static void fill_map(struct jsma *j, int64_t i, const float *g)
{
    const double sign = j->theta > 0 ? 1 : -1;
    int64_t n = 0;
    for (int64_t p = 0; p < j->size; p++) {
        if (in_search(j, i, p)) {
            double a = 0, c = 0;
            for (int k = 0; k < j->columns; k++) {
                a += j->of_a[k] * (double)g[k * j->size + p];
                c += j->of_c[k] * (double)g[k * j->size + p];
            }
            j->map.index[n] = (int32_t)p;
            j->map.a[n] = sign * a;
            j->map.c[n++] = sign * c;
        }
    }
    j->map.count = n;
}

/* Has the pixel a way to go? Within a hundredth of the end of its range it counts as there: a change
 * that changes next to nothing is not worth one. */
static bool can_move(const struct jsma *j, float u, int64_t p)
{
    const struct tdo_box *box = tdo_target_box(j->t);
    const float end = 0.01F * (box->high[p] - box->low[p]);
    return j->theta > 0 ? u < box->high[p] - end : u > box->low[p] + end;
}

static void move(struct jsma *j, int64_t i, int64_t p)
{
    const struct tdo_box *box = tdo_target_box(j->t);
    const int64_t at = i * j->size + p;
    float *u = j->s->found + at;
    *u += (float)j->theta;
    *u = *u < box->low[p] ? box->low[p] : *u > box->high[p] ? box->high[p] : *u;
    j->changes[i] += !j->changed[at];
    j->changed[at] = true;
    j->open[at] = can_move(j, *u, p);
}

/* One pair of sample i; a sample without a pair is done. */
static void step(struct jsma *j, int64_t i, const float *z, const float *g)
{
    int32_t pair[2];
    fill_weights(j, i, z);
    fill_map(j, i, g);
    if (j->pairs ? tdo_saliency_pair(&j->map, pair) : tdo_saliency_top(&j->map, pair)) {
        move(j, i, pair[0]);
        move(j, i, pair[1]);
    } else {
        j->s->done[i] = true;
    }
}

/* ---- all samples -------------------------------------------------------------------------------- */

/* Ask, and move a pair of each sample that is not where it should be. */
static tdo_err advance(struct jsma *j)
{
    struct tdo_answer answer;
    TDO_TRY(tdo_target_jacobian(j->t, j->s, j->s->found, j->columns, j->column, &answer));
    for (int64_t i = 0; i < j->s->count; i++) {
        if (!j->s->done[i]) {
            const float *z = answer.logits + i * j->classes;
            j->came[i] = tdo_target_argmax(z, j->classes, -1) == j->s->aim[i];
            j->s->done[i] = j->came[i];
        }
        if (!j->s->done[i]) {
            step(j, i, answer.logits + i * j->classes,
                 answer.gradient + i * j->columns * j->size);
        }
    }
    return TDO_OK;
}

static void begin(struct jsma *j)
{
    const int64_t n = j->s->count;
    memcpy(j->s->found, j->s->x, (size_t)(n * j->size) * sizeof *j->s->found);
    for (int64_t i = 0; i < n; i++) {
        j->changes[i] = 0;
        j->came[i] = j->s->done[i] = false;
        for (int k = 0; k < j->columns; k++) {
            j->column[i * j->columns + k] = j->columns == 1 ? j->s->aim[i] : k;
        }
        for (int64_t p = 0; p < j->size; p++) {
            j->changed[i * j->size + p] = false;
            j->open[i * j->size + p] = can_move(j, j->s->x[i * j->size + p], p);
        }
    }
}

/* Keep what came with fewer changes than before, or anything before one came. */
static void keep(struct jsma *j)
{
    const int64_t P = j->size;
    for (int64_t i = 0; i < j->s->count; i++) {
        const int64_t changes = j->came[i] ? j->changes[i] : P + 1;
        if (changes < j->fewest[i] || j->fewest[i] > P) {
            j->fewest[i] = changes;
            j->goal[i] = j->s->target[i];
            memcpy(j->best + i * P, j->s->found + i * P, (size_t)P * sizeof *j->best);
        }
    }
}

static tdo_err run_all(struct jsma *j)
{
    const enum tdo_aim aim = tdo_aim_read(j->use);
    const int rounds = tdo_aim_rounds(j->use, aim, j->classes);
    struct tdo_samples *s = j->s;
    struct tdo_answer answer;
    if (tdo_aim_looks(aim)) {
        TDO_TRY(tdo_target_logits(j->t, s, s->x, &answer));
        memcpy(j->clean, answer.logits, (size_t)(s->count * j->classes) * sizeof *j->clean);
    }
    for (int round = 0; round < rounds; round++) {
        tdo_aim_choose(j->use, aim, round, j->clean, j->classes, s);
        begin(j);
        while (!tdo_attack_all_done(s)) {
            TDO_TRY(advance(j));
        }
        keep(j);
    }
    memcpy(s->found, j->best, (size_t)(s->count * j->size) * sizeof *s->found);
    memcpy(s->target, j->goal, (size_t)s->count * sizeof *s->target);
    return TDO_OK;
}

/* ---- life ------------------------------------------------------------------------------------------ */

static tdo_err make(struct jsma *j)
{
    const int64_t n = j->s->count, P = j->size;
    TDO_TRY(tdo_memory_new(n * P, &j->open));
    TDO_TRY(tdo_memory_new(n * P, &j->changed));
    TDO_TRY(tdo_memory_new(n, &j->changes));
    TDO_TRY(tdo_memory_new(n, &j->came));
    TDO_TRY(tdo_memory_new(n * j->columns, &j->column));
    TDO_TRY(tdo_memory_new(n * j->classes, &j->clean));
    TDO_TRY(tdo_memory_new(j->classes, &j->p));
    TDO_TRY(tdo_memory_new(j->classes, &j->of_a));
    TDO_TRY(tdo_memory_new(j->classes, &j->of_c));
    TDO_TRY(tdo_memory_new(P, &j->map.index));
    TDO_TRY(tdo_memory_new(P, &j->map.a));
    TDO_TRY(tdo_memory_new(P, &j->map.c));
    TDO_TRY(tdo_memory_new(n * P, &j->best));
    TDO_TRY(tdo_memory_new(n, &j->fewest));
    TDO_TRY(tdo_memory_new(n, &j->goal));
    for (int64_t i = 0; i < n; i++) {
        j->fewest[i] = P + 1;
    }
    return TDO_OK;
}

static void free_all(struct jsma *j)
{
    tdo_memory_free(&j->open);
    tdo_memory_free(&j->changed);
    tdo_memory_free(&j->changes);
    tdo_memory_free(&j->came);
    tdo_memory_free(&j->column);
    tdo_memory_free(&j->clean);
    tdo_memory_free(&j->p);
    tdo_memory_free(&j->of_a);
    tdo_memory_free(&j->of_c);
    tdo_memory_free(&j->map.index);
    tdo_memory_free(&j->map.a);
    tdo_memory_free(&j->map.c);
    tdo_memory_free(&j->best);
    tdo_memory_free(&j->fewest);
    tdo_memory_free(&j->goal);
}

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    const int classes = tdo_target_classes(t);
    const bool pairs = tdo_attack_value(use, "form", 0) == 0;
    const bool probability = tdo_attack_value(use, "saliency", 0) != 0;
    struct jsma j = {.use = use,
                     .t = t,
                     .s = s,
                     .size = tdo_target_size(t),
                     .classes = classes,
                     .columns = pairs || probability ? classes : 1,
                     .theta = tdo_attack_value(use, "theta", 0.1),
                     .pairs = pairs,
                     .probability = probability};
    j.most = (int64_t)(tdo_attack_value(use, "gamma", 1) * (double)j.size + 1e-9);
    tdo_err err = make(&j);
    if (err == TDO_OK) {
        err = run_all(&j);
    }
    free_all(&j);
    return err;
}

static tdo_err check(const struct tdo_attack_use *use, const tdo_target *t)
{
    (void)t;
    if (!tdo_aim_targeted(tdo_aim_read(use))) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s.label = true or predicted leaves a class, and jsma reaches one: "
                        "expected random, least or each",
                        use->key);
    }
    if (!use->threat.boxed) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s.box = none: jsma moves pixels to the end of their range; "
                        "expected pixel",
                        use->key);
    }
    if (fabs(tdo_attack_value(use, "theta", 0.1)) < 1e-4) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s.theta = %g, expected at least 1e-4 up or down",
                        use->key, tdo_attack_value(use, "theta", 0.1));
    }
    return TDO_OK;
}

const struct tdo_attack tdo_attack_jsma = {
    .name = "jsma",
    .help = "two pixels at a time, ranked by the Jacobian, until a class is reached",
    .cite = "Papernot et al. 2016, algorithms 2 and 3",
    .options = options,
    .needs = TDO_NEEDS_GRADIENT,
    .returns = TDO_RETURNS_LAST,
    .check = check,
    .run = run,
};
