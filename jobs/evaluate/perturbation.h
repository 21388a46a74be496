#ifndef TDO_JOBS_PERTURBATION_H
#define TDO_JOBS_PERTURBATION_H
/* Numbers about a perturbation, and about what a denoiser takes for it. Pure functions.
 *
 *     x clean, x* adversarial, x^ denoised
 *     d = x* - x    the perturbation that is there        p = x* - x^   the one that is predicted
 *
 *     loss       mean |d|, and behind a denoiser mean |x^ - x|
 *     slope      of the least-squares line p = slope d + offset: 1 takes all of it away, 0 none
 *     level      of a layer: |f(x*) - f(x)|_1 / |f(x)|_1
 *
 * Source: Liao et al. 2018, section 3.3 (loss), 5.1 (level) and 5.4 (histogram and line). */
#include <stdint.h>

/* Sums over elements; those of several images are added up. */
struct tdo_perturbation {
    double n, d, p, dd, dp; /* of 1, d, p, d d, d p */
    double before, after;   /* of |d|, of |x^ - x| */
};

/* One image of n elements. denoised NULL: there is no denoiser, and p stays 0. */
void tdo_perturbation_add(struct tdo_perturbation *s, const float *clean, const float *changed,
                          const float *denoised, int64_t n);
void tdo_perturbation_join(struct tdo_perturbation *s, const struct tdo_perturbation *other);
/* NaN where all d are equal, or there are none. */
double tdo_perturbation_slope(const struct tdo_perturbation *s);
double tdo_perturbation_offset(const struct tdo_perturbation *s);

/* NaN where f is 0 and changed is not; 0 where both are. */
double tdo_perturbation_level(const float *f, const float *changed, int64_t n);

/* Pairs (d, p): bins of one width around multiples of it, TDO_HISTOGRAM_D to each side of 0 for d,
 * TDO_HISTOGRAM_P for p. What lies further out counts in the outermost bin. */
enum { TDO_HISTOGRAM_D = 16, TDO_HISTOGRAM_P = 32 };
enum {
    TDO_HISTOGRAM_COLUMNS = 2 * TDO_HISTOGRAM_D + 1,
    TDO_HISTOGRAM_ROWS = 2 * TDO_HISTOGRAM_P + 1
};

struct tdo_histogram {
    double width;
    uint64_t count[TDO_HISTOGRAM_ROWS * TDO_HISTOGRAM_COLUMNS]; /* by p, then d */
};

void tdo_histogram_add(struct tdo_histogram *h, const float *clean, const float *changed,
                       const float *denoised, int64_t n);
/* The middle of bin k of one side's `reach`: TDO_HISTOGRAM_D or _P. */
double tdo_histogram_middle(const struct tdo_histogram *h, int k, int reach);

#endif
