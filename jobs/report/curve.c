/* Curves over images that give way. See curve.h. */
#include "jobs/report/curve.h"

#include <math.h>
#include <stdlib.h>

#include "nn/base/memory.h"

enum { MOST_STEPS = 400 };

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void tdo_curve_sort(double *limit, int64_t n)
{
    if (n > 0) {
        qsort(limit, (size_t)n, sizeof *limit, by_size);
    }
}

int64_t tdo_curve_stand(const double *limit, int64_t n, double x, bool holds)
{
    int64_t low = 0, high = n; /* of the first one that stands */
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (holds ? limit[middle] >= x : limit[middle] > x) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return n - low;
}

static void add(struct tdo_curve *c, const double *limit, int64_t n, double x)
{
    c->x[c->points] = x;
    c->y[c->points++] = (double)tdo_curve_stand(limit, n, x, false) / (double)n;
}

/* Limits in (0, INFINITY) that differ from their neighbour; the largest one. */
static int64_t count_steps(const double *limit, int64_t n, double *last)
{
    int64_t steps = 0;
    *last = 0;
    for (int64_t i = 0; i < n; i++) {
        if (limit[i] > *last && !isinf(limit[i])) {
            *last = limit[i];
            steps++;
        }
    }
    return steps;
}

tdo_err tdo_curve_steps(const double *limit, int64_t n, struct tdo_curve *out)
{
    double last = 0;
    const int64_t steps = count_steps(limit, n, &last);
    const int64_t points = 1 + (steps > MOST_STEPS ? MOST_STEPS : steps);
    *out = (struct tdo_curve){0};
    TDO_TRY(tdo_memory_new(points, &out->x));
    TDO_TRY(tdo_memory_new(points, &out->y));
    add(out, limit, n, 0);
    for (int64_t i = 1; steps > MOST_STEPS && i < points; i++) {
        add(out, limit, n, i < MOST_STEPS ? last * (double)i / MOST_STEPS : last);
    }
    for (int64_t i = 0; steps <= MOST_STEPS && i < n; i++) {
        if (limit[i] > out->x[out->points - 1] && !isinf(limit[i])) {
            add(out, limit, n, limit[i]);
        }
    }
    return TDO_OK;
}

void tdo_curve_free(struct tdo_curve *c)
{
    tdo_memory_free(&c->x);
    tdo_memory_free(&c->y);
    c->points = 0;
}

double tdo_curve_round_step(double high, int most)
{
    static const double round[] = {1, 2, 2.5, 5};
    const int power = (int)floor(log10(fmax(high / most, 1e-300)));
    for (int p = power;; p++) {
        for (int i = 0; i < 4; i++) {
            const double step = p < 0 ? round[i] / pow(10, -p) : round[i] * pow(10, p);
            if (step * most * (1 + 1e-9) >= high) {
                return step;
            }
        }
    }
}

double tdo_curve_at(double step, int i)
{
    const double ten = pow(10, 3 - floor(log10(step))); /* makes a whole number of the step */
    return ten >= 1 ? rint(step * ten) * i / ten : step * i;
}

double tdo_curve_quantile(const double *limit, int64_t n, double share)
{
    int64_t first = 0, end = n;
    while (first < n && limit[first] < 0) {
        first++;
    }
    while (end > first && isinf(limit[end - 1])) {
        end--;
    }
    if (first == end) {
        return 0;
    }
    const int64_t rank = (int64_t)ceil(share * (double)(end - first));
    return limit[first + (rank > 0 ? rank - 1 : 0)];
}
