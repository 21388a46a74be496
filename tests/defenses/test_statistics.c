/* Bounds, radii and tests against published numbers, exact integer arithmetic and plain sums.
 * */
#include "defenses/statistics.h"

#include <math.h>
#include <string.h>

#include "nn/base/exact.h"
#include "tests/runner.h"

__extension__ typedef unsigned __int128 wide;

static double lower(int64_t k, int64_t n, double alpha)
{
    double p = -1.0;
    ASSERT_OK(tdo_statistics_lower_bound(k, n, alpha, &p));
    return p;
}

static double upper(int64_t k, int64_t n, double alpha)
{
    double p = -1.0;
    ASSERT_OK(tdo_statistics_upper_bound(k, n, alpha, &p));
    return p;
}

static bool tail_le(int64_t k, int64_t n, double p, double alpha)
{
    bool le = false;
    ASSERT_OK(tdo_exact_upper_tail_le(k, n, p, alpha, &le));
    return le;
}

static void bounds_and_radii_match_the_formulae(void)
{
    static const struct {
        int64_t k, n;
        double p, radius; /* Beta quantile and sigma = 1 radius at alpha = 0.001 */
    } want[] = {
        {100000, 100000, .99993092, 3.81146}, {99900, 100000, .99865099, 3.00020},
        {99000, 100000, .98898934, 2.29000},  {90000, 100000, .89703650, 1.26484},
        {75000, 100000, .74574684, .66117},   {50500, 100000, .50010895, .00027},
        {100, 100, .93325430, 1.50048},       {990, 1000, .97603619, 1.97801},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        double p = lower(want[i].k, want[i].n, 0.001), radius = -1.0;
        CU_ASSERT_DOUBLE_EQUAL(p, want[i].p, 0.51e-8);
        ASSERT_OK(tdo_statistics_radius(p, 1.0, &radius));
        CU_ASSERT_DOUBLE_EQUAL(radius, want[i].radius, 0.51e-5);
        /* never above the real bound, and the neighbour is above it */
        CU_ASSERT_TRUE(tail_le(want[i].k, want[i].n, p, 0.001));
        CU_ASSERT_FALSE(tail_le(want[i].k, want[i].n, nextafter(p, 2.0), 0.001));
        CU_ASSERT_FALSE(tail_le(want[i].k, want[i].n, p * (1.0 + 1e-12), 0.001));
    }
}

static void bounds_match_400_bit_arithmetic(void)
{
    static const struct {
        int64_t k, n;
        double alpha, lower, upper;
    } want[] = {
        {9123, 10000, 1e-06, 0.8981670980590257577, 0.9251575909077433255},
        {555, 1000, 0.05, 0.5285549809080856986, 0.5812044934131299452},
        {64, 65, 0.001, 0.8666056611874382927, 0.9999846078056366772},
        {33, 65, 0.001, 0.3158470130457623924, 0.6979479696033532008},
        {1, 100000, 0.001, 1.00050032857852895e-8, 0.00009233033373455402272},
        {65, 100, 0.01, 0.5297609487013199847, 0.7579570292594260345},
        {999000, 1000000, 0.001, 0.998898429045623131, 0.9990948367110312483},
        {900, 1000, 1e-12, 0.8197232190954568585, 0.9538440541181143908},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        double l = lower(want[i].k, want[i].n, want[i].alpha);
        double u = upper(want[i].k, want[i].n, want[i].alpha);
        CU_ASSERT_DOUBLE_EQUAL(l, want[i].lower, 1e-13 * want[i].lower);
        CU_ASSERT_DOUBLE_EQUAL(u, want[i].upper, 0x1p-52);
    }
}

/* 64^n P(Bin(n, a/64) >= k), an integer below 2^126 for n <= 21. */
static wide scaled_tail(int k, int n, unsigned a)
{
    wide sum = 0;
    for (int j = k; j <= n; j++) {
        wide term = 1;
        for (int i = 1; i <= n - j; i++) {
            term *= (unsigned)(n - i + 1); /* C(n, i) is whole */
            term /= (unsigned)i;
        }
        for (int i = 0; i < n; i++) {
            term *= i < j ? a : 64 - a;
        }
        sum += term;
    }
    return sum;
}

/* At alpha = level/1024: p = a/64 is at most the bound exactly if the tail there is <= alpha.
 * Returns the number of a for which it is not so; both[] counts the answers. */
static int wrong_grid(int k, int n, unsigned level, int both[2])
{
    double alpha = level / 1024.0, l = lower(k, n, alpha), u = upper(n - k, n, alpha);
    int wrong = 0;
    for (unsigned a = 1; a < 64; a++) {
        bool le = scaled_tail(k, n, a) << 10 <= (wide)level << (6 * n);
        wrong += le != (a / 64.0 <= l);
        wrong += le != (1.0 - a / 64.0 >= u);
        both[le]++;
    }
    return wrong;
}

static void bounds_agree_with_integer_arithmetic_for_small_n(void)
{
    static const unsigned level[] = {1, 10, 51, 256};
    int wrong = 0, both[2] = {0, 0};
    for (int n = 1; n <= 19; n += 3) {
        for (int k = 1; k <= n; k++) {
            for (int m = 0; m < 4; m++) {
                wrong += wrong_grid(k, n, level[m], both);
            }
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(both[0] > 1000 && both[1] > 1000);
}

static void bounds_are_tight_for_all_counts(void)
{
    int wrong = 0;
    double last = -1.0;
    for (int64_t k = 0; k <= 200; k++) {
        double l = lower(k, 200, 0.01), u = upper(k, 200, 0.01);
        wrong +=
            k > 0 && !(tail_le(k, 200, l, 0.01) && !tail_le(k, 200, nextafter(l, 2), 0.01));
        wrong += !(l > last && l <= (double)k / 200.0 && u >= (double)k / 200.0);
        /* exact in 64 bits: a bound that was rounded to below 1 - p would show */
        wrong += !((long double)u + (long double)lower(200 - k, 200, 0.01) >= 1.0L);
        last = l;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void bounds_are_monotone(void)
{
    /* more draws at the same share, a larger alpha: a higher bound */
    CU_ASSERT_TRUE(lower(90, 100, 0.001) < lower(900, 1000, 0.001));
    CU_ASSERT_TRUE(lower(900, 1000, 0.001) < lower(9000, 10000, 0.001));
    double last = 0.0;
    for (int i = 40; i > 0; i--) {
        double l = lower(800, 1000, ldexp(0.9, -i + 1));
        CU_ASSERT_TRUE(l > last);
        last = l;
    }
    CU_ASSERT_TRUE(upper(900, 1000, 0.001) > upper(900, 1000, 0.01));
}

static void bounds_at_the_ends_are_right(void)
{
    CU_ASSERT_TRUE(lower(0, 1000, 0.001) == 0.0);
    CU_ASSERT_TRUE(lower(0, 0, 0.001) == 0.0);
    CU_ASSERT_TRUE(upper(1000, 1000, 0.001) == 1.0);
    CU_ASSERT_TRUE(upper(0, 0, 0.001) == 1.0);
    CU_ASSERT_TRUE(lower(1, 1, 0.001) == 0.001);
    CU_ASSERT_TRUE(lower(2, 2, 0.25) == 0.5);
    CU_ASSERT_TRUE(upper(0, 1, 0.25) == 0.75);
    CU_ASSERT_TRUE(upper(0, 1, 0x1p-60) == 1.0); /* 1 - 2^-60 is no double */
    CU_ASSERT_TRUE(lower(1, 1, 5e-324) == 5e-324);
    CU_ASSERT_TRUE(lower(3, 100000, 1e-300) > 0.0);
    CU_ASSERT_TRUE(lower(1, 100000, 1e-320) >= 0.0);
    CU_ASSERT_TRUE(lower(99, 100, 0.999) > 0.99);
    double p = -1.0;
    CU_ASSERT_EQUAL(tdo_statistics_lower_bound(11, 10, 0.001, &p), TDO_ERR_NUMERIC);
    CU_ASSERT_TRUE(p == 0.0);
    CU_ASSERT_EQUAL(tdo_statistics_upper_bound(5, 10, 0.0, &p), TDO_ERR_NUMERIC);
    CU_ASSERT_TRUE(p == 1.0);
    CU_ASSERT_EQUAL(tdo_statistics_upper_bound(-1, 10, 0.5, &p), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_statistics_lower_bound(5, 10, (double)NAN, &p), TDO_ERR_NUMERIC);
}

static void radii_are_rounded_down(void)
{
    /* Phi(r/sigma) <= p must hold at r, and the bound must be tight */
    static const double p[] = {0.5000001, 0.6, 0.75, 0.9, 0.99, 0.999, 0.99993092};
    static const double sigma[] = {0.12, 0.25, 0.5, 1.0, 0.3};
    double r = -1.0, q = 0.0;
    int wrong = 0;
    for (size_t i = 0; i < sizeof p / sizeof p[0]; i++) {
        ASSERT_OK(tdo_exact_normal_quantile_down(p[i], &q));
        for (size_t j = 0; j < sizeof sigma / sizeof sigma[0]; j++) {
            ASSERT_OK(tdo_statistics_radius(p[i], sigma[j], &r));
            long double exact = (long double)sigma[j] * (long double)q; /* 106 bits into 64 */
            wrong += (long double)r > exact * (1.0L + 0x1p-63L);
            wrong += (long double)nextafter(r, 1e9) < exact * (1.0L - 0x1p-63L);
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    ASSERT_OK(tdo_statistics_radius(0.5, 1.0, &r));
    CU_ASSERT_TRUE(r == 0.0);
    ASSERT_OK(tdo_statistics_radius(0.2, 1.0, &r));
    CU_ASSERT_TRUE(r == 0.0);
    ASSERT_OK(tdo_statistics_radius(-1e-9, 1.0, &r)); /* a bound less its slack */
    CU_ASSERT_TRUE(r == 0.0);
    CU_ASSERT_EQUAL(tdo_statistics_radius(1.0, 1.0, &r), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_statistics_radius((double)NAN, 1.0, &r), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_statistics_radius(0.9, 0.0, &r), TDO_ERR_NUMERIC);
}

static void the_fewest_samples_certify_and_one_less_does_not(void)
{
    static const double alpha[] = {0.9, 0.3, 0.1, 0.05, 0.01, 0.001, 1e-6, 1e-12};
    for (size_t i = 0; i < sizeof alpha / sizeof alpha[0]; i++) {
        int64_t n = tdo_statistics_min_samples(alpha[i]);
        CU_ASSERT_TRUE(lower(n, n, alpha[i]) > 0.5);
        CU_ASSERT_TRUE(n == 1 || lower(n - 1, n - 1, alpha[i]) <= 0.5);
    }
    CU_ASSERT_EQUAL(tdo_statistics_min_samples(0.001), 10);
    CU_ASSERT_EQUAL(tdo_statistics_min_samples(0x1p-10), 11); /* a tie gives exactly 1/2 */
    CU_ASSERT_EQUAL(tdo_statistics_min_samples(5e-324), 1075);
}

/* 2^n times the p-value: 2 sum_{j >= max(k,n-k)} C(n,j); exact in a double for n <= 50. */
static double scaled_p_value(int k, int n)
{
    double choose = 1.0, sum = 0.0;
    for (int j = n; j >= k && j >= n - k; j--) {
        sum += choose;
        choose = choose * j / (n - j + 1);
    }
    return fmin(2.0 * sum, ldexp(1.0, n));
}

static void the_two_sided_test_is_exact(void)
{
    static const double alpha[] = {0.001, 0.0625, 0.25, 0.5};
    int wrong = 0, count = 0;
    for (int n = 0; n <= 50; n++) {
        for (int i = 0; i < 4 * (n + 1); i++) {
            bool reject = false, want = scaled_p_value(i / 4, n) <= ldexp(alpha[i % 4], n);
            ASSERT_OK(tdo_statistics_two_sided(i / 4, n, alpha[i % 4], &reject));
            wrong += reject != want;
            count += want;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(count > 500);
    bool reject = true; /* p-values from 400-bit arithmetic: 0.00101753..., 0.000994925... */
    ASSERT_OK(tdo_statistics_two_sided(50520, 100000, 0.001, &reject));
    CU_ASSERT_FALSE(reject);
    ASSERT_OK(tdo_statistics_two_sided(50521, 100000, 0.001, &reject));
    CU_ASSERT_TRUE(reject);
    CU_ASSERT_EQUAL(tdo_statistics_two_sided(2, 1, 0.001, &reject), TDO_ERR_NUMERIC);
}

static void text_is_cut_never_rounded_up(void)
{
    static const struct {
        double value;
        int decimals;
        const char *text;
    } want[] = {
        {0.0, 6, "0.000000"},
        {1.9999999, 6, "1.999999"},
        {0.9999999999, 3, "0.999"},
        {0.3, 20, "0.29999999999999998889"},
        {0.3, 6, "0.299999"}, /* the double is below 3/10 */
        {0.1, 6, "0.100000"},
        {0.5, 6, "0.500000"},
        {2.5, 0, "2"},
        {3.811456563389914, 6, "3.811456"},
        {9.7402710288928984e-14, 16, "0.0000000000000974"},
        {5e-324, 6, "0.000000"},
        {1e22, 1, "10000000000000000000000.0"},
        {-0.0, 2, "0.00"},
    };
    char text[64];
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        ASSERT_OK(
            tdo_statistics_format_down(want[i].value, want[i].decimals, text, sizeof text));
        CU_ASSERT_STRING_EQUAL(text, want[i].text);
    }
    char large[400];
    ASSERT_OK(tdo_statistics_format_down(1.7976931348623157e308, 6, large, sizeof large));
    CU_ASSERT_EQUAL(strlen(large), 309 + 7);
    CU_ASSERT_EQUAL(tdo_statistics_format_down(1.5, 6, text, 8), TDO_ERR_NUMERIC);
    ASSERT_OK(tdo_statistics_format_down(1.5, 6, text, 9));
    CU_ASSERT_EQUAL(tdo_statistics_format_down(-1e-9, 6, text, 64), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_statistics_format_down((double)NAN, 6, text, 64), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_statistics_format_down((double)INFINITY, 6, text, 64), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_statistics_format_down(1.0, 101, text, 64), TDO_ERR_NUMERIC);
}

/* Clopper and Pearson's interval, with one trial to either side at least. */
static void the_interval_of_a_mean_is_no_narrower_than_hoeffding_allows(void)
{
    double low = 0, high = 0, p = 0, q = 0;
    ASSERT_OK(tdo_statistics_mean_interval(50, 100, 0.025, &low, &high));
    CU_ASSERT_DOUBLE_EQUAL(low, 0.3983211, 1e-7); /* the published table for 50 of 100 */
    CU_ASSERT_DOUBLE_EQUAL(high, 0.6016789, 1e-7);
    ASSERT_OK(tdo_statistics_mean_interval(3, 100, 0.4, &low, &high));
    ASSERT_OK(tdo_statistics_lower_bound(3, 100, 0.4, &p));
    ASSERT_OK(tdo_statistics_upper_bound(3, 100, 0.4, &q));
    CU_ASSERT_TRUE(p > 0.02);
    CU_ASSERT_EQUAL(low, 0.02);
    CU_ASSERT_EQUAL(high, q > 0.04 ? q : 0.04);
    ASSERT_OK(tdo_statistics_mean_interval(0, 7, 0.025, &low, &high));
    CU_ASSERT_TRUE(low == 0 && high < 1 && high > 1.0 / 7);
    ASSERT_OK(tdo_statistics_mean_interval(7, 7, 0.025, &low, &high));
    CU_ASSERT_TRUE(high == 1 && low > 0 && low < 6.0 / 7);
}

const char suite_name[] = "statistics";
CU_TestInfo suite_tests[] = {
    {"bounds and radii match the formulae to all published digits",
     bounds_and_radii_match_the_formulae},
    {"bounds match 400-bit arithmetic", bounds_match_400_bit_arithmetic},
    {"bounds agree with integer arithmetic for small n",
     bounds_agree_with_integer_arithmetic_for_small_n},
    {"bounds are tight for all counts", bounds_are_tight_for_all_counts},
    {"bounds are monotone", bounds_are_monotone},
    {"bounds at the ends are right", bounds_at_the_ends_are_right},
    {"radii are rounded down", radii_are_rounded_down},
    {"the fewest samples certify and one less does not",
     the_fewest_samples_certify_and_one_less_does_not},
    {"the two-sided test is exact", the_two_sided_test_is_exact},
    {"the interval of a mean is no narrower than Hoeffding allows",
     the_interval_of_a_mean_is_no_narrower_than_hoeffding_allows},
    {"text is cut, never rounded up", text_is_cut_never_rounded_up},
    CU_TEST_INFO_NULL,
};
