/* Families of certificates. See multiplicity.h. */
#include "defenses/multiplicity.h"

#include <math.h>
#include <stdlib.h>

#include "nn/base/exact.h"
#include "nn/base/memory.h"

static tdo_err check_levels(int64_t images, double alpha, double rho)
{
    if (images < 1 || images > 10000000 || !(alpha > 0.0 && alpha < 1.0) ||
        !(rho > 0.0 && rho < 1.0)) {
        return TDO_FAIL(TDO_ERR_NUMERIC,
                        "multiplicity: %lld images, alpha %g, rho %g; want 1 to 10^7 images, "
                        "levels in 0..1",
                        (long long)images, alpha, rho);
    }
    return TDO_OK;
}

/* ---- Bonferroni and Holm ----------------------------------------------------------------- */

struct ranked {
    double log_p; /* about: it only orders */
    int64_t image;
};

static int by_p(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->log_p < y->log_p || x->log_p > y->log_p) {
        return x->log_p < y->log_p ? -1 : 1;
    }
    return (x->image > y->image) - (x->image < y->image);
}

static tdo_err rank_images(int64_t images, const struct tdo_evidence *e, double p0,
                           struct ranked *order)
{
    for (int64_t i = 0; i < images; i++) {
        if (!(e[i].share > 0.0 && e[i].share <= 1.0)) {
            return TDO_FAIL(TDO_ERR_NUMERIC, "multiplicity: share %g of image %lld, want 0..1",
                            e[i].share, (long long)i);
        }
        order[i].image = i;
        TDO_TRY(tdo_exact_upper_tail_log(e[i].k, e[i].n, p0, &order[i].log_p));
        order[i].log_p -= log(e[i].share);
    }
    qsort(order, (size_t)images, sizeof *order, by_p);
    return TDO_OK;
}

/* Step down: the i-th smallest p-value against alpha / (images - i) for Holm, alpha / images
 * for Bonferroni; rounded towards less. */
static tdo_err step_down(enum tdo_multiplicity_method method, int64_t images,
                         const struct tdo_evidence *e, double p0, double alpha,
                         const struct ranked *order, bool *above)
{
    bool yes = true;
    for (int64_t i = 0; i < images && yes; i++) {
        const struct tdo_evidence *x = &e[order[i].image];
        const int64_t left = method == TDO_MULTIPLICITY_HOLM ? images - i : images;
        const double level = alpha / (double)left * x->share * (1.0 - 0x1p-50);
        TDO_TRY(tdo_exact_upper_tail_le(x->k, x->n, p0, level, &yes));
        above[order[i].image] = yes;
    }
    return TDO_OK;
}

tdo_err tdo_multiplicity_above(enum tdo_multiplicity_method method, int64_t images,
                               const struct tdo_evidence *e, double p0, double alpha,
                               bool *above)
{
    struct ranked *order = NULL;
    TDO_TRY(check_levels(images, alpha, 0.5));
    for (int64_t i = 0; i < images; i++) {
        above[i] = false;
    }
    TDO_TRY(tdo_memory_new(images, &order));
    tdo_err err = rank_images(images, e, p0, order);
    if (err == TDO_OK) {
        err = step_down(method, images, e, p0, alpha, order, above);
    }
    tdo_memory_free(&order);
    return err;
}

/* ---- the data set ------------------------------------------------------------------------ */

tdo_err tdo_multiplicity_wrong_any(int64_t images, double alpha, double rho, int64_t *wrong)
{
    *wrong = images;
    TDO_TRY(check_levels(images, alpha, rho));
    int64_t w = 0; /* w + 1 or more with probability at most images alpha / (w + 1) */
    while (w < images &&
           (double)images * alpha * (1.0 + 0x1p-50) > rho * (double)(w + 1) * (1.0 - 0x1p-50)) {
        w++;
    }
    *wrong = w;
    return TDO_OK;
}

tdo_err tdo_multiplicity_wrong_independent(int64_t images, double alpha, double rho,
                                           int64_t *wrong)
{
    *wrong = images;
    TDO_TRY(check_levels(images, alpha, rho));
    for (int64_t w = 0; w < images; w++) {
        bool rare = false;
        TDO_TRY(tdo_exact_upper_tail_le(w + 1, images, alpha, rho, &rare));
        if (rare) {
            *wrong = w;
            break;
        }
    }
    return TDO_OK;
}

/* ---- a subset ---------------------------------------------------------------------------- */

/* The least number K of marked images for which k or more in the draw is not rarer than alpha:
 * fewer are ruled out. */
static tdo_err fewest(const struct tdo_subset *s, int64_t k, double alpha, int64_t *least)
{
    int64_t low = k - 1, high = s->total - (s->drawn - k); /* ruled out; not ruled out */
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        const struct tdo_exact_draw d = {.N = s->total, .K = middle, .n = s->drawn};
        bool rare = false;
        TDO_TRY(tdo_exact_marked_tail_le(&d, k, alpha, &rare));
        if (rare) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *least = high;
    return TDO_OK;
}

tdo_err tdo_multiplicity_subset(const struct tdo_subset *s, int64_t k, double alpha,
                                int64_t *lower, int64_t *upper)
{
    *lower = 0;
    *upper = s->total;
    TDO_TRY(check_levels(s->total, alpha, 0.5));
    if (s->drawn < 0 || s->drawn > s->total || k < 0 || k > s->drawn) {
        return TDO_FAIL(TDO_ERR_NUMERIC, "subset: %lld of %lld drawn of %lld", (long long)k,
                        (long long)s->drawn, (long long)s->total);
    }
    int64_t without = 0;
    TDO_TRY(fewest(s, k, alpha, lower));
    TDO_TRY(fewest(s, s->drawn - k, alpha, &without));
    *upper = s->total - without;
    return TDO_OK;
}

tdo_err tdo_multiplicity_dataset(const struct tdo_subset *s, int64_t certified, double alpha,
                                 double rho, bool independent, int64_t *lower)
{
    const bool all = s->drawn == s->total;
    const double part = all ? rho : 0.5 * rho;
    int64_t wrong = 0, upper = 0;
    *lower = 0;
    if (independent) {
        TDO_TRY(tdo_multiplicity_wrong_independent(s->drawn, alpha, part, &wrong));
    } else {
        TDO_TRY(tdo_multiplicity_wrong_any(s->drawn, alpha, part, &wrong));
    }
    const int64_t true_ones = certified > wrong ? certified - wrong : 0;
    if (all) {
        *lower = true_ones;
        return TDO_OK;
    }
    return tdo_multiplicity_subset(s, true_ones, part, lower, &upper);
}

tdo_err tdo_multiplicity_linf(double radius, int64_t d, double *linf)
{
    return tdo_exact_over_root_down(radius, d, linf);
}
