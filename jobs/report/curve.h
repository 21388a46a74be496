#ifndef TDO_JOBS_REPORT_CURVE_H
#define TDO_JOBS_REPORT_CURVE_H
/* Curves over images that give way one after the other.
 *
 * Every image has a limit: the distance of the nearest adversarial example that was found, or
 * the certified radius. The share of images whose limit is beyond x, over x, is the curve: it
 * falls from the share of images that are right at all (the others have a limit below 0). An image
 * that never gives way has the limit INFINITY.
 *
 * An image whose nearest adversarial example is at distance x is lost at x (limit > x stands); a
 * certificate of radius x still holds at x (limit >= x stands). */
#include <stdbool.h>
#include <stdint.h>

#include "nn/base/error.h"

struct tdo_curve {
    int64_t points;
    double *x, *y; /* y [points]: what stands just beyond x; the first x is 0 */
};

/* Sort limits upwards; none is a NaN. */
void tdo_curve_sort(double *limit, int64_t n);
/* Of n sorted limits, how many stand at x: are > x, or >= x if `holds`. */
int64_t tdo_curve_stand(const double *limit, int64_t n, double x, bool holds);
/* The curve of n sorted limits, in shares of 1, as steps: its value at x[i] holds up to x[i + 1].
 * Each step is there, or, where there are more than a picture shows, 400 evenly spaced.
 * Errors: TDO_ERR_MEMORY. Owner: caller, tdo_curve_free. */
TDO_MUST tdo_err tdo_curve_steps(const double *limit, int64_t n, struct tdo_curve *out);
void tdo_curve_free(struct tdo_curve *c);

/* A round step (1, 2, 2.5 or 5 times a power of ten), the smallest with which `most` steps reach
 * `high`; high > 0. */
double tdo_curve_round_step(double high, int most);
/* i steps of such a size, without the error of adding them up. */
double tdo_curve_at(double step, int i);
/* The share-th quantile of n sorted numbers (nearest rank), INFINITY and what is below 0 left out;
 * 0 of none. */
double tdo_curve_quantile(const double *limit, int64_t n, double share);

#endif
