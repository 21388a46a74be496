/* The search over pairs. See saliency.h. */
#include "attacks/saliency.h"

#include <math.h>

/* The value of a pair, 0 if it is not allowed. Rising in each operand, also as it is rounded: a
 * bound made of maxima holds for the computed numbers. */
static double value_of(double a, double c, double b, double d)
{
    const double up = a + b, down = c + d;
    return up > 0 && down > 0 ? up * down : 0;
}

/* The largest of n numbers. */
static double largest(const double *x, int64_t n)
{
    double most = -HUGE_VAL;
    for (int64_t i = 0; i < n; i++) {
        most = x[i] > most ? x[i] : most;
    }
    return most;
}

/* What is known while pixels are dropped. */
struct bounds {
    double a, c; /* the largest */
    double good; /* value of one pair */
    double
        ratio; /* of its sums: the square root of (c_p + c_q) / (a_p + a_q); 0 without a pair */
    double s;  /* the largest s */
};

/* s_i = r a_i + c_i / r, from above: r is the ratio. */
static double slope(const struct tdo_saliency *s, int64_t i, double ratio)
{
    const double x = ratio * s->a[i], y = s->c[i] / ratio;
    return x + y + 1e-12 * (fabs(x) + fabs(y));
}

/* The best pair of pixel `lead`. */
static void pair_up(const struct tdo_saliency *s, int64_t lead, struct bounds *b)
{
    for (int64_t i = 0; i < s->count; i++) {
        const double value = value_of(s->a[i], s->c[i], s->a[lead], s->c[lead]);
        if (i != lead && value > b->good) {
            b->good = value;
            b->ratio = sqrt((s->c[i] + s->c[lead]) / (s->a[i] + s->a[lead]));
        }
    }
}

/* Good pairs are those of the pixels with the largest bounds. */
static void find_good(const struct tdo_saliency *s, struct bounds *b)
{
    double most = -1;
    int64_t lead = 0;
    for (int64_t i = 0; i < s->count; i++) {
        const double bound = value_of(s->a[i], s->c[i], b->a, b->c);
        lead = bound > most ? i : lead;
        most = bound > most ? bound : most;
    }
    pair_up(s, lead, b);
    for (int k = 0; k < 3 && b->ratio > 0; k++) {
        most = -HUGE_VAL;
        for (int64_t i = 0; i < s->count; i++) {
            const double bound = slope(s, i, b->ratio);
            lead = bound > most ? i : lead;
            most = bound > most ? bound : most;
        }
        pair_up(s, lead, b);
    }
}

/* Can pixel i have a pair as good as the one that is known? */
static bool promises(const struct tdo_saliency *s, int64_t i, const struct bounds *b)
{
    const double bound = value_of(s->a[i], s->c[i], b->a, b->c);
    if (b->ratio <= 0 || bound <= 0) {
        return bound > 0;
    }
    const double half = (slope(s, i, b->ratio) + b->s) / 2;
    return bound >= b->good && half > 0 && half * half >= b->good * (1 - 1e-12);
}

/* Drop the pixels without a pair that is as good as one pair that there is. */
static void prune(struct tdo_saliency *s)
{
    struct bounds b = {
        .a = largest(s->a, s->count), .c = largest(s->c, s->count), .s = -HUGE_VAL};
    int64_t kept = 0;
    find_good(s, &b);
    for (int64_t i = 0; i < s->count && b.ratio > 0; i++) {
        b.s = fmax(b.s, slope(s, i, b.ratio));
    }
    for (int64_t i = 0; i < s->count; i++) {
        if (promises(s, i, &b)) {
            s->index[kept] = s->index[i];
            s->a[kept] = s->a[i];
            s->c[kept++] = s->c[i];
        }
    }
    s->count = kept;
}

bool tdo_saliency_pair(struct tdo_saliency *s, int32_t pair[2])
{
    double best = 0;
    for (int64_t before = s->count + 1; s->count < before;) {
        before = s->count;
        prune(s);
    }
    for (int64_t i = 0; i < s->count; i++) {
        for (int64_t j = i + 1; j < s->count; j++) {
            const double value = value_of(s->a[i], s->c[i], s->a[j], s->c[j]);
            if (value > best) {
                best = value;
                pair[0] = s->index[i];
                pair[1] = s->index[j];
            }
        }
    }
    return best > 0;
}

bool tdo_saliency_top(const struct tdo_saliency *s, int32_t pair[2])
{
    int64_t first = 0, second = -1;
    for (int64_t i = 1; i < s->count; i++) {
        if (s->a[i] > s->a[first]) {
            second = first;
            first = i;
        } else if (second < 0 || s->a[i] > s->a[second]) {
            second = i;
        }
    }
    if (second < 0) {
        return false;
    }
    pair[0] = s->index[first];
    pair[1] = s->index[second];
    return true;
}
