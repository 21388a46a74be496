/* Perturbations in numbers. See perturbation.h. Sums are made in double, in the order of the elements,
 * so an image has one value whoever computes it. */
#include "jobs/evaluate/perturbation.h"

#include <math.h>

void tdo_perturbation_add(struct tdo_perturbation *s, const float *clean, const float *changed,
                          const float *denoised, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)changed[i] - (double)clean[i];
        const double p = denoised ? (double)changed[i] - (double)denoised[i] : 0;
        s->n++;
        s->d += d;
        s->p += p;
        s->dd += d * d;
        s->dp += d * p;
        s->before += fabs(d);
        s->after += fabs(d - p);
    }
}

void tdo_perturbation_join(struct tdo_perturbation *s, const struct tdo_perturbation *other)
{
    s->n += other->n;
    s->d += other->d;
    s->p += other->p;
    s->dd += other->dd;
    s->dp += other->dp;
    s->before += other->before;
    s->after += other->after;
}

double tdo_perturbation_slope(const struct tdo_perturbation *s)
{
    const double spread = s->n * s->dd - s->d * s->d;
    return s->n > 0 && spread > 0 ? (s->n * s->dp - s->d * s->p) / spread : (double)NAN;
}

double tdo_perturbation_offset(const struct tdo_perturbation *s)
{
    return (s->p - tdo_perturbation_slope(s) * s->d) / s->n;
}

double tdo_perturbation_level(const float *f, const float *changed, int64_t n)
{
    double size = 0, difference = 0;
    for (int64_t i = 0; i < n; i++) {
        size += fabs((double)f[i]);
        difference += fabs((double)changed[i] - (double)f[i]);
    }
    return size > 0 ? difference / size : difference > 0 ? (double)NAN : 0;
}

static int bin_of(double v, double width, int reach)
{
    const double k = width > 0 ? rint(v / width) : 0;
    return (k < -reach ? -reach : k > reach ? reach : (int)k) + reach;
}

void tdo_histogram_add(struct tdo_histogram *h, const float *clean, const float *changed,
                       const float *denoised, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)changed[i] - (double)clean[i];
        const double p = (double)changed[i] - (double)denoised[i];
        h->count[bin_of(p, h->width, TDO_HISTOGRAM_P) * TDO_HISTOGRAM_COLUMNS +
                 bin_of(d, h->width, TDO_HISTOGRAM_D)]++;
    }
}

double tdo_histogram_middle(const struct tdo_histogram *h, int k, int reach)
{
    return (k - reach) * h->width;
}
