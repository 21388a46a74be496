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
    FIRST_BITS = 64, /* enough for most decisions about a tail */
    MORE_BITS = 128, /* for a threshold of 64 bits */
    LAST_BITS = 8192,
    POLYNOMIAL_N = 64,  /* up to here a binomial tail is summed without any rounding: */
    EXACT_BITS = 100000 /* its terms are multiples of 2^-(1074 * 64), so this is enough */
};

/* P(Bin(n,p) >= k) for 1 <= k <= n, 0 < p < 1. */
static void upper_tail(arb_t tail, int64_t k, int64_t n, const arb_t p, slong bits)
{
    arb_t a, b;
    arb_init(a);
    arb_init(b);
    arb_set_si(a, k);
    arb_set_si(b, n - k + 1);
    arb_hypgeom_beta_lower(tail, a, b, p, 1, bits);
    arb_clear(a);
    arb_clear(b);
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
    arb_sub_ui(q, p, 1, EXACT_BITS);
    arb_neg(q, q);
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

tdo_err tdo_exact_upper_tail_le(int64_t k, int64_t n, double p, double alpha, bool *le)
{
    *le = false;
    TDO_TRY(check_binomial(k, n, p));
    if (!(alpha > 0.0 && alpha < 1.0)) {
        return TDO_FAIL(TDO_ERR_NUMERIC, "binomial tail: alpha is %.17g, want 0 < alpha < 1",
                        alpha);
    }
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
        for (slong bits = FIRST_BITS; !decided && bits <= LAST_BITS; bits *= 2) {
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
    for (slong bits = FIRST_BITS; bits <= LAST_BITS; bits *= 2) {
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

void tdo_exact_cleanup(void)
{
    flint_cleanup();
}
