/* DeepFool: to the nearest boundary of the linearised network, step by step.
 *
 *     f_l = z_l - z_c,  w_l = dz_l/du - dz_c/du        for candidates l, c the class that is left
 *     l* = argmin |f_l| / |w_l|_q                      q dual to the norm: 2, or 1 for L-inf
 *     r += |f| / |w|_q * direction(w)                  w / |w|_2, or sign(w)
 *
 * until x + (1 + overshoot) r has another class; that point is returned. `python` makes each step
 * longer by `extra`: where the box cuts steps short, they would else shrink towards the boundary
 * and never cross it. Candidates are the likeliest classes at the clean point, in that order for
 * good. The two published forms also differ in where the next step is linearised: `python` at
 * x + (1 + overshoot) r, `matlab` at x + r, which Deep Defense follows (5 steps, all classes,
 * small = 5e-6 or 1e-5 added to each element of w).
 *
 * With `correct` a misclassified sample walks to its true label instead. Its only candidate is
 * that label, and c the likeliest other class, chosen anew for each step: published code kept the
 * c of the step before in f, but not in w; here both have the new one.
 * Source: Moosavi-Dezfooli et al. 2016, algorithm 2, section 3.3 (norms) and published code; Yan
 * et al. 2018 (Deep Defense), section 3.1. */
#include <math.h>
#include <string.h>

#include "attacks/aim.h"

enum form { FORM_PYTHON, FORM_MATLAB };

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("l2|linf", "l2"),
    TDO_ATTACK_SPACE("none"),
    TDO_ATTACK_CHOICE("form", "python|matlab", "python",
                      "linearise at x + (1 + overshoot) r, or at x + r"),
    TDO_ATTACK_INT("steps", 1, 1000000, "50", "steps", "at most"),
    TDO_ATTACK_REAL("overshoot", 0, 1000, "0.02", NULL, "share that is added to cross over"),
    TDO_ATTACK_REAL("extra", 0, 1000, "1e-4", "in units",
                    "form = python: added to the length of each step"),
    TDO_ATTACK_INT("candidates", 0, 65536, "10", "classes",
                   "likeliest classes that are compared, with the one that is left; 0: all"),
    TDO_ATTACK_REAL("small", 0, 1, "0", NULL, "added to each element of a gradient difference"),
    TDO_ATTACK_CHOICE("label", "true|predicted", "predicted",
                      "leave the predicted class; or the true one, where nothing is to be done "
                      "for misclassified images"),
    TDO_ATTACK_BOOL("correct", "false", "misclassified images walk to their true label"),
    TDO_ATTACK_DRAWS("1", "logits", "step"),
    TDO_ATTACK_SOURCE,
    {0}};

/* The state of one run. */
struct deepfool {
    const struct tdo_attack_use *use;
    tdo_target *t;
    struct tdo_samples *s;
    int64_t size;
    int classes, columns; /* columns: candidates, the class that is left first */
    enum tdo_norm norm;
    double beyond, small, extra; /* beyond = 1 + overshoot */
    float *r;                    /* [count,P] */
    float *point;                /* [count,P] where it is linearised */
    int32_t *column;             /* [count,columns] classes */
    bool *walks;                 /* [count] to its true label */
};

/* ---- candidates ------------------------------------------------------------------------------- */

/* The likeliest classes at the clean point, equals by index. */
static void rank_classes(const float *z, int classes, int n, int32_t *out)
{
    for (int i = 0; i < n; i++) {
        int best = -1;
        for (int k = 0; k < classes; k++) {
            const bool after =
                i == 0 || z[k] < z[out[i - 1]] || (z[k] == z[out[i - 1]] && k > out[i - 1]);
            best = after && (best < 0 || z[k] > z[best]) ? k : best;
        }
        out[i] = best;
    }
}

static void begin(struct deepfool *d, const float *logits)
{
    const bool correct = tdo_attack_value(d->use, "correct", 0) != 0;
    const bool truth = tdo_aim_read(d->use) == TDO_AIM_TRUE;
    for (int64_t i = 0; i < d->s->count; i++) {
        int32_t *column = d->column + i * d->columns;
        rank_classes(logits + i * d->classes, d->classes, d->columns, column);
        const bool wrong = column[0] != d->s->label[i];
        d->walks[i] = correct && wrong;
        d->s->aim[i] = column[0];
        if (d->walks[i]) {
            d->s->aim[i] = d->s->target[i] = d->s->label[i];
            column[1] = d->s->label[i];
        }
        d->s->done[i] = truth && wrong && !correct;
    }
}

/* ---- one step ---------------------------------------------------------------------------------- */

/* |w|_q of the difference of two gradients, w_p = g_p - own_p + small. */
static double dual_norm(const struct deepfool *d, const float *g, const float *own)
{
    double sum = 0;
    for (int64_t p = 0; p < d->size; p++) {
        const double w = (double)g[p] - (double)own[p] + d->small;
        sum += d->norm == TDO_NORM_L2 ? w * w : fabs(w);
    }
    return d->norm == TDO_NORM_L2 ? sqrt(sum) : sum;
}

/* r += a step of this length along w, whose dual norm is `norm`. */
static void advance(const struct deepfool *d, double length, double norm, const float *g,
                    const float *own, float *r)
{
    for (int64_t p = 0; p < d->size; p++) {
        const double w = (double)g[p] - (double)own[p] + d->small;
        const double along = d->norm == TDO_NORM_L2 ? w / norm : (w > 0) - (w < 0);
        r[p] = (float)((double)r[p] + length * along);
    }
}

/* To the nearest boundary of sample i; false if there is none. g [columns,P]. */
static bool step(struct deepfool *d, int64_t i, const float *z, const float *g)
{
    const int32_t *column = d->column + i * d->columns;
    const int last = d->walks[i] ? 2 : d->columns;
    double least = HUGE_VAL, norm = 0;
    int to = 0;
    for (int k = 1; k < last; k++) {
        const double gap = fabs((double)z[column[k]] - (double)z[column[0]]);
        const double w = dual_norm(d, g + k * d->size, g);
        if (w > 0 && gap / w < least) {
            least = gap / w;
            to = k;
            norm = w;
        }
    }
    if (to > 0) {
        advance(d, least + d->extra, norm, g + to * d->size, g, d->r + i * d->size);
    }
    return to > 0;
}

/* r stays where x + r is in the box; s->found = x + (1 + overshoot) r, also in it. */
static void place(struct deepfool *d, int64_t i)
{
    const struct tdo_box *box = tdo_target_box(d->t);
    const float *x = d->s->x + i * d->size;
    float *r = d->r + i * d->size, *found = d->s->found + i * d->size;
    for (int64_t p = 0; p < d->size; p++) {
        const float low = box->low[p] - x[p], high = box->high[p] - x[p];
        r[p] = r[p] < low ? low : r[p] > high ? high : r[p];
        found[p] = (float)((double)x[p] + d->beyond * (double)r[p]);
        d->point[i * d->size + p] = (float)((double)x[p] + (double)r[p]);
    }
    tdo_threat_clip(box, found);
}

/* ---- the walk ---------------------------------------------------------------------------------- */

/* Ask about s->found: what has come is done. */
static tdo_err look(struct deepfool *d)
{
    struct tdo_answer answer;
    TDO_TRY(tdo_target_logits(d->t, d->s, d->s->found, &answer));
    for (int64_t i = 0; i < d->s->count; i++) {
        if (!d->s->done[i]) {
            const float *z = answer.logits + i * d->classes;
            const int32_t best = tdo_target_argmax(z, d->classes, -1);
            d->s->done[i] = (best == d->s->aim[i]) == d->walks[i];
            if (d->walks[i]) {
                d->column[i * d->columns] = tdo_target_argmax(z, d->classes, d->s->aim[i]);
            }
        }
    }
    return TDO_OK;
}

static tdo_err walk(struct deepfool *d, enum form form)
{
    struct tdo_answer answer;
    TDO_TRY(tdo_target_jacobian(d->t, d->s, form == FORM_PYTHON ? d->s->found : d->point,
                                d->columns, d->column, &answer));
    for (int64_t i = 0; i < d->s->count; i++) {
        if (!d->s->done[i]) {
            const int64_t width = d->columns * d->size;
            if (step(d, i, answer.logits + i * d->classes, answer.gradient + i * width)) {
                place(d, i);
            } else {
                d->s->done[i] = true; /* flat all around: it stays here */
            }
        }
    }
    return TDO_OK;
}

static tdo_err run_all(struct deepfool *d)
{
    const enum form form = (enum form)(int)tdo_attack_value(d->use, "form", FORM_PYTHON);
    const int steps = (int)tdo_attack_value(d->use, "steps", 50);
    struct tdo_answer answer;
    TDO_TRY(tdo_target_logits(d->t, d->s, d->s->x, &answer));
    begin(d, answer.logits);
    for (int k = 0; k < steps && !tdo_attack_all_done(d->s); k++) {
        TDO_TRY(walk(d, form));
        TDO_TRY(look(d));
    }
    return TDO_OK;
}

static tdo_err make(struct deepfool *d)
{
    const int64_t n = d->s->count;
    TDO_TRY(tdo_memory_new(n * d->size, &d->r));
    TDO_TRY(tdo_memory_new(n * d->size, &d->point));
    TDO_TRY(tdo_memory_new(n * d->columns, &d->column));
    TDO_TRY(tdo_memory_new(n, &d->walks));
    memcpy(d->point, d->s->x, (size_t)(n * d->size) * sizeof *d->point);
    return TDO_OK;
}

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    const int classes = tdo_target_classes(t);
    const int wanted = (int)tdo_attack_value(use, "candidates", 10);
    struct deepfool d = {.use = use,
                         .t = t,
                         .s = s,
                         .size = tdo_target_size(t),
                         .classes = classes,
                         .columns = wanted > 0 && wanted < classes ? wanted : classes,
                         .norm = use->threat.norm,
                         .beyond = 1 + tdo_attack_value(use, "overshoot", 0.02),
                         .small = tdo_attack_value(use, "small", 0)};
    if (tdo_attack_value(use, "form", FORM_PYTHON) == FORM_PYTHON) {
        d.extra = tdo_attack_value(use, "extra", 0);
    }
    tdo_err err = TDO_OK;
    TDO_GOTO(make(&d));
    err = run_all(&d);
done:
    tdo_memory_free(&d.r);
    tdo_memory_free(&d.point);
    tdo_memory_free(&d.column);
    tdo_memory_free(&d.walks);
    return err;
}

static tdo_err check(const struct tdo_attack_use *use, const tdo_target *t)
{
    const int wanted = (int)tdo_attack_value(use, "candidates", 10);
    if (wanted == 1 || tdo_target_classes(t) < 2) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s.candidates leaves no class to go to: expected 0, or 2 and more",
                        use->key);
    }
    return TDO_OK;
}

const struct tdo_attack tdo_attack_deepfool = {
    .name = "deepfool",
    .help = "to the nearest boundary of the linearised network, until it is crossed",
    .cite = "Moosavi-Dezfooli et al. 2016, algorithm 2",
    .options = options,
    .needs = TDO_NEEDS_GRADIENT,
    .returns = TDO_RETURNS_LAST,
    .check = check,
    .run = run,
};
