/* Decisions and one-sided bounds by ball arithmetic. See exact.h.
 *
 * Every question has the form "is this real number below that double?". A ball is computed at
 * rising precision until it lies on one side. Nothing here depends on rounding modes or libm.
 * */
#include "nn/base/exact.h"

#include <math.h>

#include <arb.h>
#include <arb_hypgeom.h>

enum {
    FIRST_BITS = 64, /* enough for most decisions */
    TAIL_BITS = 96,  /* the same about a tail, whose terms are powers of n */
    MORE_BITS = 128, /* for a threshold of 64 bits */
    LAST_BITS = 8192,
    POLYNOMIAL_N = 64,  /* up to here a binomial tail is summed without any rounding: */
    EXACT_BITS = 100000 /* its terms are multiples of 2^-(1074 * 64), so this is enough */
};

static void one_minus(arb_t y, const arb_t x, slong bits)
{
    arb_sub_ui(y, x, 1, bits);
    arb_neg(y, y);
}

/* C(n,k) p^k q^(n-k), by logarithms; q = 1 - p. */
static void binomial_term(arb_t term, int64_t k, int64_t n, const arb_t p, const arb_t q,
                          slong bits)
{
    arb_t y;
    arb_init(y);
    arb_set_si(y, n + 1);
    arb_lgamma(term, y, bits);
    arb_set_si(y, k + 1);
    arb_lgamma(y, y, bits);
    arb_sub(term, term, y, bits);
    arb_set_si(y, n - k + 1);
    arb_lgamma(y, y, bits);
    arb_sub(term, term, y, bits);
    arb_log(y, p, bits);
    arb_addmul_si(term, y, k, bits);
    arb_log(y, q, bits);
    arb_addmul_si(term, y, n - k, bits);
    arb_exp(term, term, bits);
    arb_clear(y);
}

/* What follows a term x is at most x r / (1 - r), for a ratio r < 1 to the next that falls from
 * there on: add that to the error of sum. False if r < 1 is not sure. */
static bool end_sum(arb_t sum, const arb_t x, const arb_t r, slong bits)
{
    arb_t rest, less;
    arb_init(rest);
    arb_init(less);
    one_minus(less, r, bits);
    arb_mul(rest, x, r, bits);
    arb_div(rest, rest, less, bits);
    const bool sure = arb_is_positive(less);
    if (sure) {
        arb_add_error(sum, rest);
    }
    arb_clear(rest);
    arb_clear(less);
    return sure;
}

/* P(Bin(n,p) >= k) / P(Bin(n,p) = k): terms fall by (n-j)/(j+1) p/q, a ratio that falls itself.
 * The sum ends where they are below 2^-bits. */
static void tail_in_terms(arb_t sum, int64_t k, int64_t n, const arb_t p, const arb_t q,
                          slong bits)
{
    arb_t odds, x, r;
    mag_t size;
    bool ended = false;
    arb_init(odds);
    arb_init(x);
    arb_init(r);
    mag_init(size);
    arb_div(odds, p, q, bits);
    arb_one(x);
    arb_one(sum);
    for (int64_t j = k; !ended && j < n; j++) {
        arb_mul_si(r, odds, n - j, bits);
        arb_div_si(r, r, j + 1, bits);
        arb_get_mag(size, x);
        ended = mag_cmp_2exp_si(size, -bits) < 0 && end_sum(sum, x, r, bits);
        if (!ended) {
            arb_mul(x, x, r, bits);
            arb_add(sum, sum, x, bits);
        }
    }
    arb_clear(odds);
    arb_clear(x);
    arb_clear(r);
    mag_clear(size);
}

/* P(Bin(n,p) >= k) for 1 <= k <= n, 0 < p < 1; of the two tails the one without the mean is
 * summed, some 10 sqrt(n p q) terms at most. */
static void upper_tail(arb_t tail, int64_t k, int64_t n, const arb_t p, slong bits)
{
    const bool above = arf_get_d(arb_midref(p), ARF_RND_NEAR) * (double)n <= (double)k;
    arb_t q, term;
    arb_init(q);
    arb_init(term);
    one_minus(q, p, bits);
    if (above) {
        binomial_term(term, k, n, p, q, bits);
        tail_in_terms(tail, k, n, p, q, bits);
    } else { /* P(Bin(n,q) >= n-k+1), which is all but the tail */
        binomial_term(term, n - k + 1, n, q, p, bits);
        tail_in_terms(tail, n - k + 1, n, q, p, bits);
    }
    arb_mul(tail, tail, term, bits);
    if (!above) {
        one_minus(tail, tail, bits);
    }
    arb_clear(q);
    arb_clear(term);
}

/* The same as a sum of dyadic numbers, without error: decides ties too. */
static void upper_tail_sum(arb_t tail, int64_t k, int64_t n, const arb_t p)
{
    arb_t q, term, power;
    fmpz_t choose;
    arb_init(q);
    arb_init(term);
    arb_init(power);
    fmpz_init(choose);
    one_minus(q, p, EXACT_BITS);
    arb_zero(tail);
    for (int64_t j = k; j <= n; j++) {
        fmpz_bin_uiui(choose, (ulong)n, (ulong)j);
        arb_pow_ui(term, p, (ulong)j, EXACT_BITS);
        arb_pow_ui(power, q, (ulong)(n - j), EXACT_BITS);
        arb_mul(term, term, power, EXACT_BITS);
        arb_addmul_fmpz(tail, term, choose, EXACT_BITS);
    }
    arb_clear(q);
    arb_clear(term);
    arb_clear(power);
    fmpz_clear(choose);
}

static tdo_err check_binomial(int64_t k, int64_t n, double p)
{
    if (k < 0 || k > n || !(p >= 0.0 && p <= 1.0)) {
        return TDO_FAIL(
            TDO_ERR_NUMERIC,
            "binomial tail: got k %lld, n %lld, p %.17g, want 0 <= k <= n, 0 <= p <= 1",
            (long long)k, (long long)n, p);
    }
    return TDO_OK;
}

static tdo_err check_level(double alpha)
{
    if (!(alpha > 0.0 && alpha < 1.0)) {
        return TDO_FAIL(TDO_ERR_NUMERIC, "tail: alpha is %.17g, want 0 < alpha < 1", alpha);
    }
    return TDO_OK;
}

tdo_err tdo_exact_upper_tail_le(int64_t k, int64_t n, double p, double alpha, bool *le)
{
    *le = false;
    TDO_TRY(check_binomial(k, n, p));
    TDO_TRY(check_level(alpha));
    if (k == 0 || p >= 1.0) { /* the tail is 1 */
        return TDO_OK;
    }
    if (p <= 0.0) {
        *le = true;
        return TDO_OK;
    }
    arb_t x, level, tail;
    arb_init(x);
    arb_init(level);
    arb_init(tail);
    arb_set_d(x, p);
    arb_set_d(level, alpha);
    if (n <= POLYNOMIAL_N) {
        upper_tail_sum(tail, k, n, x);
        *le = arb_le(tail, level);
    } else {
        bool decided = false;
        for (slong bits = TAIL_BITS; !decided && bits <= LAST_BITS; bits *= 2) {
            upper_tail(tail, k, n, x, bits);
            *le = arb_le(tail, level);
            decided = *le || arb_gt(tail, level);
        }
    }
    arb_clear(x);
    arb_clear(level);
    arb_clear(tail);
    return TDO_OK;
}

tdo_err tdo_exact_upper_tail_log(int64_t k, int64_t n, double p, double *log_tail)
{
    *log_tail = 0.0;
    TDO_TRY(check_binomial(k, n, p));
    if (k == 0 || p >= 1.0) {
        return TDO_OK;
    }
    if (p <= 0.0) {
        *log_tail = -(double)INFINITY;
        return TDO_OK;
    }
    arb_t x, tail;
    arb_init(x);
    arb_init(tail);
    arb_set_d(x, p);
    for (slong bits = TAIL_BITS; bits <= LAST_BITS; bits *= 2) {
        upper_tail(tail, k, n, x, bits);
        if (arb_rel_accuracy_bits(tail) >= 40) {
            break;
        }
    }
    arb_log(tail, tail, FIRST_BITS);
    *log_tail = arf_get_d(arb_midref(tail), ARF_RND_NEAR);
    arb_clear(x);
    arb_clear(tail);
    return TDO_OK;
}

/* Phi(x) = erfc(-x / sqrt(2)) / 2 */
static void normal_cdf(arb_t phi, const arb_t x, slong bits)
{
    arb_t root;
    arb_init(root);
    arb_sqrt_ui(root, 2, bits);
    arb_div(phi, x, root, bits);
    arb_neg(phi, phi);
    arb_hypgeom_erfc(phi, phi, bits);
    arb_mul_2exp_si(phi, phi, -1);
    arb_clear(root);
}

/* Is Phi(q) <= p? Only q = 0 is a tie with a double, see the caller. */
static bool normal_cdf_le(double q, double p)
{
    bool le = false, decided = false;
    arb_t x, level, phi;
    arb_init(x);
    arb_init(level);
    arb_init(phi);
    arb_set_d(x, q);
    arb_set_d(level, p);
    for (slong bits = FIRST_BITS; !decided && bits <= LAST_BITS; bits *= 2) {
        normal_cdf(phi, x, bits);
        le = arb_le(phi, level);
        decided = le || arb_gt(phi, level);
    }
    arb_clear(x);
    arb_clear(level);
    arb_clear(phi);
    return le;
}

tdo_err tdo_exact_normal_quantile_down(double p, double *q)
{
    *q = 0.0;
    if (!(p > 0.0 && p < 1.0)) {
        return TDO_FAIL(TDO_ERR_NUMERIC, "normal quantile: p is %.17g, want 0 < p < 1", p);
    }
    double low = p < 0.5 ? -40.0 : 0.0; /* Phi(low) <= p < Phi(high) throughout */
    double high = p < 0.5 ? 0.0 : 10.0;
    if (p == 0.5) { /* NOLINT: exactly */
        return TDO_OK;
    }
    for (;;) {
        double middle = 0.5 * (low + high);
        if (middle <= low || middle >= high) {
            break;
        }
        if (normal_cdf_le(middle, p)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *q = low;
    return TDO_OK;
}

/* (k + 1/2) / scale */
static void edge(arb_t x, int64_t k, double scale, slong bits)
{
    arb_t divisor;
    arb_init(divisor);
    arb_set_d(divisor, scale);
    arb_set_si(x, k);
    arb_mul_2exp_si(x, x, 1);
    arb_add_ui(x, x, 1, FIRST_BITS);
    arb_mul_2exp_si(x, x, -1);
    arb_div(x, x, divisor, bits);
    arb_clear(divisor);
}

static tdo_err check_scale(int64_t k, double scale)
{
    const int64_t most = INT64_C(1) << 52;
    if (!(scale > 0.0 && scale <= 1e15) || k < -most || k > most) {
        return TDO_FAIL(
            TDO_ERR_NUMERIC,
            "rounded normal: got integer %lld, scale %.17g, want |integer| <= 2^52, "
            "0 < scale <= 1e15",
            (long long)k, scale);
    }
    return TDO_OK;
}

tdo_err tdo_exact_normal_threshold(int64_t k, double scale, uint64_t *word)
{
    *word = 0;
    TDO_TRY(check_scale(k, scale));
    if (fabs((double)k + 0.5) > 16.0 * scale) { /* 1 - Phi(16) < 2^-190: too far out to round */
        *word = k < 0 ? 0 : UINT64_MAX;
        return TDO_OK;
    }
    arb_t x;
    fmpz_t nearest;
    bool decided = false;
    arb_init(x);
    fmpz_init(nearest);
    for (slong bits = MORE_BITS; !decided && bits <= LAST_BITS; bits *= 2) {
        edge(x, k, scale, bits);
        normal_cdf(x, x, bits);
        arb_mul_2exp_si(x, x, 65); /* floor(2y + 1) >> 1 is floor(y + 1/2) */
        arb_add_ui(x, x, 1, bits);
        arb_floor(x, x, bits);
        decided = arb_get_unique_fmpz(nearest, x);
    }
    fmpz_fdiv_q_2exp(nearest, nearest, 1);
    *word = fmpz_bits(nearest) > 64 ? UINT64_MAX : fmpz_get_ui(nearest);
    arb_clear(x);
    fmpz_clear(nearest);
    if (!decided) {
        return TDO_FAIL(TDO_ERR_NUMERIC, "rounded normal: %d bits do not decide threshold %lld",
                        LAST_BITS, (long long)k);
    }
    return TDO_OK;
}

tdo_err tdo_exact_normal_tail_up(int64_t k, double scale, double *tail)
{
    *tail = 1.0;
    TDO_TRY(check_scale(k, scale));
    arb_t x;
    arf_t up;
    arb_init(x);
    arf_init(up);
    edge(x, -k - 1, scale, MORE_BITS); /* 1 - Phi(x) = Phi(-x) */
    normal_cdf(x, x, MORE_BITS);
    arb_get_ubound_arf(up, x, MORE_BITS);
    *tail = arf_get_d(up, ARF_RND_CEIL);
    arb_clear(x);
    arf_clear(up);
    return TDO_OK;
}

tdo_err tdo_exact_normal_cdf_up(double r, double sigma, double slack, double *p)
{
    *p = 1.0;
    if (!(r >= 0.0 && r <= 1e6) || !(sigma >= 1e-6 && sigma <= 1e6) ||
        !(slack >= 0.0 && slack <= 1.0)) {
        return TDO_FAIL(TDO_ERR_NUMERIC,
                        "normal probability: got r %.17g, sigma %.17g, slack %.17g, want r in "
                        "0..1e6, sigma in 1e-6..1e6, slack in 0..1",
                        r, sigma, slack);
    }
    arb_t x, divisor;
    arf_t up;
    arb_init(x);
    arb_init(divisor);
    arf_init(up);
    arb_set_d(x, r);
    arb_set_d(divisor, sigma);
    arb_div(x, x, divisor, MORE_BITS);
    normal_cdf(x, x, MORE_BITS);
    arb_set_d(divisor, slack);
    arb_add(x, x, divisor, MORE_BITS);
    arb_get_ubound_arf(up, x, MORE_BITS);
    *p = fmin(arf_get_d(up, ARF_RND_CEIL), 1.0);
    arb_clear(x);
    arb_clear(divisor);
    arf_clear(up);
    return TDO_OK;
}

/* ---- the mixture of Krichevsky and Trofimov ---------------------------------------------- */

/* log Gamma(k + 1/2) */
static void log_gamma_half(arb_t out, int64_t k, slong bits)
{
    arb_set_si(out, 2 * k + 1);
    arb_mul_2exp_si(out, out, -1);
    arb_lgamma(out, out, bits);
}

/* x += log Q - k log p - (n-k) log(1-p); B(1/2, 1/2) = pi */
static void add_log_ratio(arb_t x, int64_t k, int64_t n, const arb_t p, slong bits)
{
    arb_t y;
    arb_init(y);
    log_gamma_half(y, k, bits);
    arb_add(x, x, y, bits);
    log_gamma_half(y, n - k, bits);
    arb_add(x, x, y, bits);
    arb_set_si(y, n + 1);
    arb_lgamma(y, y, bits);
    arb_sub(x, x, y, bits);
    arb_const_pi(y, bits);
    arb_log(y, y, bits);
    arb_sub(x, x, y, bits);
    arb_log(y, p, bits);
    arb_mul_si(y, y, k, bits);
    arb_sub(x, x, y, bits);
    arb_neg(y, p);
    arb_log1p(y, y, bits);
    arb_mul_si(y, y, n - k, bits);
    arb_sub(x, x, y, bits);
    arb_clear(y);
}

tdo_err tdo_exact_kt_excludes(int64_t k, int64_t n, double p, double alpha, bool *yes)
{
    *yes = false;
    TDO_TRY(check_binomial(k, n, p));
    TDO_TRY(check_level(alpha));
    if (p <= 0.0 || p >= 1.0) { /* the likelihood is 0 or 1 */
        *yes = p <= 0.0 ? k > 0 : k < n;
        return TDO_OK;
    }
    arb_t x, level;
    bool decided = false;
    arb_init(x);
    arb_init(level);
    arb_set_d(level, p);
    for (slong bits = FIRST_BITS; !decided && bits <= LAST_BITS; bits *= 2) {
        arb_set_d(x, alpha);
        arb_log(x, x, bits);
        add_log_ratio(x, k, n, level, bits);
        *yes = arb_is_nonnegative(x);
        decided = *yes || arb_is_negative(x);
    }
    arb_clear(x);
    arb_clear(level);
    return TDO_OK;
}

/* ---- draws without replacement ----------------------------------------------------------- */

/* sum over j >= k of C(K,j) C(N-K,n-j); k is at least the least possible j. */
static void marked_ways(fmpz_t sum, const struct tdo_exact_draw *d, int64_t k)
{
    const int64_t plain = d->N - d->K, most = d->K < d->n ? d->K : d->n;
    fmpz_t term, other;
    fmpz_init(term);
    fmpz_init(other);
    fmpz_bin_uiui(term, (ulong)d->K, (ulong)k);
    fmpz_bin_uiui(other, (ulong)plain, (ulong)(d->n - k));
    fmpz_mul(term, term, other);
    fmpz_zero(sum);
    for (int64_t j = k; j <= most; j++) {
        fmpz_add(sum, sum, term);
        fmpz_mul_ui(term, term, (ulong)((d->K - j) * (d->n - j)));
        fmpz_divexact_ui(term, term, (ulong)((j + 1) * (plain - d->n + j + 1)));
    }
    fmpz_clear(term);
    fmpz_clear(other);
}

tdo_err tdo_exact_marked_tail_le(const struct tdo_exact_draw *d, int64_t k, double alpha,
                                 bool *le)
{
    *le = false;
    TDO_TRY(check_level(alpha));
    if (d->N > 10000000 || d->K < 0 || d->K > d->N || d->n < 0 || d->n > d->N || k < 0) {
        return TDO_FAIL(TDO_ERR_NUMERIC,
                        "draw: got %lld of %lld, %lld of them marked, %lld drawn; want 0 <= "
                        "each <= total <= 10^7",
                        (long long)k, (long long)d->N, (long long)d->K, (long long)d->n);
    }
    if (k > d->K || k > d->n) { /* impossible */
        *le = true;
        return TDO_OK;
    }
    if (k == 0 || k <= d->n - (d->N - d->K)) { /* certain */
        return TDO_OK;
    }
    int exponent = 0;
    const double mantissa = ldexp(frexp(alpha, &exponent), 53); /* an integer */
    fmpz_t ways, all;
    fmpz_init(ways);
    fmpz_init(all);
    marked_ways(ways, d, k);
    fmpz_bin_uiui(all, (ulong)d->N, (ulong)d->n);
    fmpz_mul_ui(all, all, (ulong)mantissa);
    fmpz_mul_2exp(ways, ways, (ulong)(53 - exponent));
    *le = fmpz_cmp(ways, all) <= 0;
    fmpz_clear(ways);
    fmpz_clear(all);
    return TDO_OK;
}

/* ---- a root ------------------------------------------------------------------------------ */

/* Is q^2 d <= r^2? Without rounding. */
static bool root_fits(double q, int64_t d, double r)
{
    arf_t left, right, factor;
    arf_init(left);
    arf_init(right);
    arf_init(factor);
    arf_set_d(left, q);
    arf_set_d(right, r);
    arf_set_si(factor, d);
    arf_mul(left, left, left, ARF_PREC_EXACT, ARF_RND_DOWN);
    arf_mul(left, left, factor, ARF_PREC_EXACT, ARF_RND_DOWN);
    arf_mul(right, right, right, ARF_PREC_EXACT, ARF_RND_DOWN);
    const bool fits = arf_cmp(left, right) <= 0;
    arf_clear(left);
    arf_clear(right);
    arf_clear(factor);
    return fits;
}

tdo_err tdo_exact_over_root_down(double r, int64_t d, double *q)
{
    *q = 0.0;
    if (!(r >= 0.0 && isfinite(r)) || d < 1) {
        return TDO_FAIL(TDO_ERR_NUMERIC, "radius %.17g in %lld dimensions, want r >= 0, d >= 1",
                        r, (long long)d);
    }
    double x = r / sqrt((double)d);
    while (!root_fits(x, d, r)) {
        x = nextafter(x, 0.0);
    }
    while (root_fits(nextafter(x, (double)INFINITY), d, r)) {
        x = nextafter(x, (double)INFINITY);
    }
    *q = x;
    return TDO_OK;
}

void tdo_exact_cleanup(void)
{
    flint_cleanup();
}
