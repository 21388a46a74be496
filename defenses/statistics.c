/* Bounds, tests and radii from vote counts. See statistics.h.
 *
 * A bound is found in two steps. First a guess: the root of log P(Bin(n,p) >= k) = log alpha as
 * a function of log p, by the Illinois variant of regula falsi (Dowell and Jarratt 1971); in
 * these coordinates the function is nearly straight (for k = n it is a line). Then the proof:
 * exact decisions at doubles around the guess, until two neighbours enclose the root. The guess
 * saves time only; a bad one cannot make a bound wrong. */
#include "defenses/statistics.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/base/exact.h"

static tdo_err check(int64_t k, int64_t n, double alpha)
{
    if (k < 0 || k > n || !(alpha > 0.0 && alpha < 1.0)) {
        return TDO_FAIL(TDO_ERR_NUMERIC,
                        "statistics: got %lld of %lld at alpha %.17g, want 0 <= k <= n and "
                        "0 < alpha < 1",
                        (long long)k, (long long)n, alpha);
    }
    return TDO_OK;
}

/* About where P(Bin(n,p) >= k) = alpha, for 1 <= k <= n. */
static tdo_err guess_bound(int64_t k, int64_t n, double alpha, double *p)
{
    const double level = log(alpha), kk = (double)k, nn = (double)n;
    /* P(Bin(n,p) >= k) <= C(n,k) p^k <= (e n p / k)^k is alpha at a; and it is 1 at p = 1. */
    double a = log(kk / nn) - 1.0 + level / kk, b = 0.0, fa, fb = -level;
    if (alpha < 0.5 && k < n) { /* k is a median of Bin(n,k/n): the tail there is over 1/2 */
        b = log(kk / nn);
        TDO_TRY(tdo_exact_upper_tail_log(k, n, exp(b), &fb));
        fb -= level;
    }
    TDO_TRY(tdo_exact_upper_tail_log(k, n, exp(a), &fa));
    fa -= level;
    double x = a;
    for (int side = 0, i = 0; i < 60 && isfinite(fa) && fa < 0.0 && fb > 0.0; i++) {
        double f, last = x;
        x = (fb * a - fa * b) / (fb - fa);
        TDO_TRY(tdo_exact_upper_tail_log(k, n, exp(x), &f));
        f -= level;
        if (f > 0.0) {
            b = x;
            fb = f;
            fa = side > 0 ? 0.5 * fa : fa;
            side = 1;
        } else {
            a = x;
            fa = f;
            fb = side < 0 ? 0.5 * fb : fb;
            side = -1;
        }
        if (fabs(f) < 1e-12 || fabs(x - last) < 1e-16) {
            break;
        }
    }
    *p = exp(x);
    return TDO_OK;
}

/* Widen [*low, *high] around a guess until the tail is <= alpha at *low and > alpha at *high.
 * The steps grow, so a few suffice even if the guess is poor; 0 and 1 end them. */
static tdo_err enclose(int64_t k, int64_t n, double alpha, double guess, double *low,
                       double *high)
{
    bool le = false;
    double step = 0x1p-51;
    *high = fmin(fmax(guess, DBL_MIN), 1.0);
    for (;;) {
        TDO_TRY(tdo_exact_upper_tail_le(k, n, *high, alpha, &le));
        if (!le) {
            break;
        }
        *low = *high;
        *high = fmin(*high * (1.0 + step), 1.0);
        step *= 16.0;
    }
    if (*low > 0.0) {
        return TDO_OK;
    }
    *low = *high;
    while (!le) {
        *high = *low;
        *low = step < 1.0 ? *low * (1.0 - step) : 0.0;
        TDO_TRY(tdo_exact_upper_tail_le(k, n, *low, alpha, &le));
        step *= 16.0;
    }
    return TDO_OK;
}

tdo_err tdo_statistics_lower_bound(int64_t k, int64_t n, double alpha, double *p)
{
    *p = 0.0;
    TDO_TRY(check(k, n, alpha));
    if (k == 0) {
        return TDO_OK;
    }
    double guess = 0.0, low = 0.0, high = 1.0;
    TDO_TRY(guess_bound(k, n, alpha, &guess));
    TDO_TRY(enclose(k, n, alpha, guess, &low, &high));
    for (;;) {
        double middle = low + 0.5 * (high - low);
        if (middle <= low || middle >= high) {
            break;
        }
        bool le = false;
        TDO_TRY(tdo_exact_upper_tail_le(k, n, middle, alpha, &le));
        if (le) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *p = low;
    return TDO_OK;
}

tdo_err tdo_statistics_upper_bound(int64_t k, int64_t n, double alpha, double *p)
{
    double failures = 0.0;
    *p = 1.0;
    TDO_TRY(check(k, n, alpha));
    TDO_TRY(tdo_statistics_lower_bound(n - k, n, alpha, &failures));
    double up = 1.0 - failures;
    /* Exact for failures >= 1/2; below, 1 - up is exact and shows whether up was rounded down.
     * */
    if (1.0 - up > failures) {
        up = nextafter(up, 2.0);
    }
    *p = up;
    return TDO_OK;
}

tdo_err tdo_statistics_radius(double p_lower, double sigma, double *radius)
{
    *radius = 0.0;
    if (!(p_lower < 1.0) || !(sigma > 0.0 && sigma <= 1e100)) {
        return TDO_FAIL(TDO_ERR_NUMERIC,
                        "radius: got p %.17g, sigma %.17g, want p < 1 and 0 < sigma <= 1e100",
                        p_lower, sigma);
    }
    if (p_lower <= 0.5) {
        return TDO_OK;
    }
    double q = 0.0;
    TDO_TRY(tdo_exact_normal_quantile_down(p_lower, &q));
    double r = sigma * q;
    if (fma(sigma, q, -r) < 0.0) { /* the product was rounded up */
        r = nextafter(r, 0.0);
    }
    *radius = r;
    return TDO_OK;
}

int64_t tdo_statistics_min_samples(double alpha)
{
    TDO_ASSERT(alpha > 0.0 && alpha < 1.0);
    int64_t n = 1;
    while (ldexp(1.0, (int)-n) >= alpha) { /* powers of two are exact; 0 below 2^-1074 */
        n++;
    }
    return n;
}

tdo_err tdo_statistics_two_sided(int64_t k, int64_t n, double alpha, bool *reject)
{
    *reject = false;
    TDO_TRY(check(k, n, alpha));
    int64_t larger = k > n - k ? k : n - k;
    if (larger == n - larger) { /* the p-value is 1 */
        return TDO_OK;
    }
    return tdo_exact_upper_tail_le(larger, n, 0.5, 0.5 * alpha, reject);
}

tdo_err tdo_statistics_format_down(double value, int decimals, char *text, size_t size)
{
    enum { EXACT = 1074, ROOM = 1500 }; /* no double needs more digits behind the point */
    char full[ROOM];
    if (!(value >= 0.0 && isfinite(value)) || decimals < 0 || decimals > 100) {
        return TDO_FAIL(TDO_ERR_NUMERIC,
                        "format: got %.17g with %d decimals, want a finite value >= 0 and "
                        "0 to 100 decimals",
                        value, decimals);
    }
    snprintf(full, sizeof full, "%.*f", EXACT, fabs(value)); /* all digits, hence no rounding */
    char *point = strchr(full, '.');
    TDO_ASSERT(point);
    point[decimals > 0 ? decimals + 1 : 0] = '\0';
    if (strlen(full) + 1 > size) {
        return TDO_FAIL(TDO_ERR_NUMERIC, "format: %zu bytes wanted, got %zu", strlen(full) + 1,
                        size);
    }
    memcpy(text, full, strlen(full) + 1);
    return TDO_OK;
}

/* ---- trials of different probabilities --------------------------------------------------------- */

tdo_err tdo_statistics_mean_interval(int64_t k, int64_t n, double alpha, double *lower,
                                     double *upper)
{
    TDO_TRY(tdo_statistics_lower_bound(k, n, alpha, lower));
    TDO_TRY(tdo_statistics_upper_bound(k, n, alpha, upper));
    *lower = fmax(0, fmin(*lower, (double)(k - 1) / (double)n));
    *upper = fmin(1, fmax(*upper, (double)(k + 1) / (double)n));
    return TDO_OK;
}
