/* Decisions and bounds against values computed with 400 bits elsewhere (mpmath), against plain
 * sums, and at ties and ends. */
#include "nn/base/exact.h"

#include <math.h>

#include "tests/runner.h"

/* P(Bin(n,p) >= k) term by term; good to about 1e-15 relative. */
static long double tail_sum(int64_t k, int64_t n, double p)
{
    long double sum = 0.0L, x = (long double)p;
    for (int64_t j = n; j >= k; j--) {
        long double choose = 1.0L;
        for (int64_t i = 1; i <= n - j; i++) {
            choose = choose * (long double)(n - i + 1) / (long double)i;
        }
        sum += choose * powl(x, (long double)j) * powl(1.0L - x, (long double)(n - j));
    }
    return sum;
}

static bool tail_le(int64_t k, int64_t n, double p, double alpha)
{
    bool le = false;
    ASSERT_OK(tdo_exact_upper_tail_le(k, n, p, alpha, &le));
    return le;
}

/* The number of wrong answers about one tail; *asked counts the tails that a double can hold.
 * */
static int wrong_answers(int64_t k, int64_t n, double p, int *asked)
{
    double tail = (double)tail_sum(k, n, p), log_tail = 0.0;
    if (tail < 1e-280 || tail > 1.0 - 1e-9) {
        return 0;
    }
    ++*asked;
    ASSERT_OK(tdo_exact_upper_tail_log(k, n, p, &log_tail));
    return !tail_le(k, n, p, tail * (1.0 + 1e-12)) + tail_le(k, n, p, tail * (1.0 - 1e-12)) +
           (fabs(log_tail - log(tail)) > 1e-11 * (1.0 + fabs(log_tail)));
}

static void binomial_tails_agree_with_plain_sums(void)
{
    static const int64_t draws[] = {1, 2, 3, 10, 64, 65, 66, 150, 300};
    static const double p[] = {1e-6, 0.1, 0.375, 0.5, 0.7, 0.999};
    int wrong = 0, asked = 0;
    for (size_t a = 0; a < sizeof draws / sizeof draws[0]; a++) {
        for (int64_t k = 1; k <= draws[a]; k += 1 + draws[a] / 7) {
            for (size_t b = 0; b < sizeof p / sizeof p[0]; b++) {
                wrong += wrong_answers(k, draws[a], p[b], &asked);
            }
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(asked > 150);
}

/* Far beyond plain sums, on both sides of the mean. */
static void binomial_tails_match_500_bit_arithmetic(void)
{
    static const struct {
        int64_t k, n;
        double p, tail;
    } want[] = {
        {33, 65, 0.25, 7.081055132038671212e-6},
        {90000, 100000, 0.897, 0.0008798764298457490103},
        {99000, 100000, 0.989, 0.001112553035776295089},
        {50500, 100000, 0.501, 0.005757193850172178767},
        {50000, 100000, 0.503, 0.9713195559600491985},
        {899000, 1000000, 0.9, 0.9995665827970211281},
        {999000, 1000000, 0.9989, 0.001168866404937241387},
        {999999, 1000000, 0.99999, 0.0004993787977157831577},
        {3, 1000000, 1e-7, 0.0001546526404671102692},
        {510000, 1000000, 0.5, 2.772181643849612302e-89},
        {2147500000, 4294967295, 0.5, 0.3088814364016643071},
        {4294960000, 4294967295, 0.999998, 6.204481486753406718e-47},
    };
    int wrong = 0;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const double above = nextafter(want[i].tail, 1.0), below = nextafter(want[i].tail, 0.0);
        wrong += !tail_le(want[i].k, want[i].n, want[i].p, above);
        wrong += tail_le(want[i].k, want[i].n, want[i].p, below);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void binomial_ties_are_decided(void)
{
    /* P(Bin(5,1/2) >= 5) = 1/32, P(Bin(4,1/2) >= 3) = 5/16, P(Bin(1,p) >= 1) = p,
     * P(Bin(2,3/4) >= 1) = 15/16, P(Bin(64,1/2) >= 64) = 2^-64 */
    static const struct {
        int64_t k, n;
        double p, tail;
    } tie[] = {{5, 5, 0.5, 1.0 / 32}, {3, 4, 0.5, 5.0 / 16},  {1, 1, 0.001, 0.001},
               {1, 2, 0.75, 0.9375},  {64, 64, 0.5, 0x1p-64}, {1, 1, 5e-324, 5e-324}};
    for (size_t i = 0; i < sizeof tie / sizeof tie[0]; i++) {
        CU_ASSERT_TRUE(tail_le(tie[i].k, tie[i].n, tie[i].p, tie[i].tail));
        if (tie[i].tail > 5e-324) {
            CU_ASSERT_FALSE(tail_le(tie[i].k, tie[i].n, tie[i].p, nextafter(tie[i].tail, 0.0)));
        }
    }
    /* a tie beyond n = 64 answers false, the safe side, and its neighbours are right */
    CU_ASSERT_FALSE(tail_le(70, 70, 0.5, 0x1p-70));
    CU_ASSERT_TRUE(tail_le(70, 70, 0.5, nextafter(0x1p-70, 1.0)));
}

static void binomial_tails_are_right_at_the_ends(void)
{
    double log_tail = 0.0;
    CU_ASSERT_FALSE(tail_le(0, 100, 0.3, 0.999));
    CU_ASSERT_FALSE(tail_le(0, 0, 0.3, 0.999));
    CU_ASSERT_TRUE(tail_le(1, 100, 0.0, 1e-300));
    CU_ASSERT_FALSE(tail_le(0, 100, 0.0, 0.5));
    CU_ASSERT_FALSE(tail_le(100, 100, 1.0, 0.999));
    ASSERT_OK(tdo_exact_upper_tail_log(3, 10, 0.0, &log_tail));
    CU_ASSERT_TRUE(isinf(log_tail) && log_tail < 0.0);
    ASSERT_OK(tdo_exact_upper_tail_log(0, 10, 0.5, &log_tail));
    CU_ASSERT_TRUE(log_tail == 0.0);
    ASSERT_OK(
        tdo_exact_upper_tail_log(1000000, 1000000, 0.5, &log_tail)); /* far below double */
    CU_ASSERT_DOUBLE_EQUAL(log_tail, -693147.18055994530942, 1e-6);
}

static void arguments_out_of_range_are_refused(void)
{
    bool le = true;
    double q = 1.0;
    uint64_t word = 1;
    CU_ASSERT_EQUAL(tdo_exact_upper_tail_le(3, 2, 0.5, 0.1, &le), TDO_ERR_NUMERIC);
    CU_ASSERT_FALSE(le);
    CU_ASSERT_EQUAL(tdo_exact_upper_tail_le(-1, 2, 0.5, 0.1, &le), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_exact_upper_tail_le(1, 2, 1.5, 0.1, &le), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_exact_upper_tail_le(1, 2, (double)NAN, 0.1, &le), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_exact_upper_tail_le(1, 2, 0.5, 0.0, &le), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_exact_upper_tail_le(1, 2, 0.5, 1.0, &le), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_exact_upper_tail_log(3, 2, 0.5, &q), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_exact_normal_quantile_down(0.0, &q), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_exact_normal_quantile_down(1.0, &q), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_exact_normal_threshold(0, 0.0, &word), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_exact_normal_threshold(0, (double)NAN, &word), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_exact_normal_tail_up(INT64_MAX, 1.0, &q), TDO_ERR_NUMERIC);
}

static void quantiles_are_the_largest_doubles_below(void)
{
    /* p, the largest double <= Phi^-1(p) */
    static const double want[][2] = {
        {0x1.56e1fc2f8f359p-997, -0x1.286074064c26ep+5},
        {0x1.70ef54646d497p-57, -0x1.0fcd277291302p+3},
        {0x1.0624dd2f1a9fcp-10, -0x1.8b8cbb7204471p+1},
        {0x1.0000000000000p-2, -0x1.5956b87528a4ap-1},
        {0x1.fffff94a03595p-2, -0x1.0d25ac61904efp-22},
        {0x1.fffffffffffffp-2, -0x1.40d931ff62706p-53},
        {0x1.0000000000000p-1, 0.0},
        {0x1.0000000000001p-1, 0x1.40d931ff62705p-52},
        {0x1.0000218def417p-1, 0x1.506f1779f5e21p-19},
        {0x1.3333333333333p-1, 0x1.036d6c4a04b59p-2},
        {0x1.8000000000000p-1, 0x1.5956b87528a49p-1},
        {0x1.ccccccccccccdp-1, 0x1.4813c36e26d33p+0},
        {0x1.fae147ae147aep-1, 0x1.29c5c4630ff0ep+1},
        {0x1.fff6f163850a9p-1, 0x1.e7dae5cfc85ebp+1},
        {0x1.fffffffffffffp-1, 0x1.06b48528cea51p+3},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        double q = 1e9;
        ASSERT_OK(tdo_exact_normal_quantile_down(want[i][0], &q));
        CU_ASSERT_TRUE(q == want[i][1]);
    }
}

static void thresholds_are_rounded_to_nearest_and_saturate(void)
{
    static const struct {
        int64_t k;
        double scale;
        uint64_t word;
    } want[] = {
        {-1, 63.75, UINT64_C(0x7f32f150f009f7c7)},
        {0, 63.75, UINT64_C(0x80cd0eaf0ff60839)},
        {-300, 63.75, UINT64_C(0x1608d11fd0fb)},
        {-584, 63.75, 1},
        {-585, 63.75, 0},
        {584, 63.75, UINT64_MAX},
        {100, 0x1.e999999999999p+4, UINT64_C(0xffde803cdbd75dfb)},
        {-2000, 255.0, UINT64_C(0xa0d0)},
        {5, 0.5, UINT64_MAX},
        {-3, 1.0, UINT64_C(0x0196f4e57e49ce46)},
        {1, 1e-3, UINT64_MAX},
        {-20000, 4080.0, UINT64_C(0x7f6e8306e1b)},
        {-1000, 1e-3, 0},
        {584, 63.0, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        uint64_t word = 77;
        ASSERT_OK(tdo_exact_normal_threshold(want[i].k, want[i].scale, &word));
        CU_ASSERT_EQUAL(word, want[i].word);
    }
}

static void tails_are_tight_upper_bounds(void)
{
    /* the smallest double >= 1 - Phi((k + 1/2) / scale); one more step up is allowed */
    static const struct {
        int64_t k;
        double scale, tail;
    } want[] = {
        {0, 63.75, 0x1.fccbc543c027ep-2},     {583, 63.75, 0x1.05a382990b1aep-65},
        {2000, 255.0, 0x1.37bb73ac4307ep-49}, {-4, 2.0, 0x1.eb7d5dbebaa93p-1},
        {100, 3.0, 0x1.0d97238b948c3p-816},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        double tail = 0.0;
        ASSERT_OK(tdo_exact_normal_tail_up(want[i].k, want[i].scale, &tail));
        CU_ASSERT_TRUE(tail >= want[i].tail && tail <= nextafter(want[i].tail, 1.0));
    }
}

/* The levels at which the sequence just leaves p out, from 60-digit arithmetic. */
static void the_mixture_leaves_out_what_it_should(void)
{
    static const struct {
        int64_t k, n;
        double p, level;
    } want[] = {
        {9, 10, 0.5, 0.10530645824763471822},
        {990, 1000, 0.96875, 0.0016564519429605070083},
        {100000, 100000, 0.9999, 0.025433931568863723237},
        {5, 1000, 0.0625, 2.3106269629457996714e-19},
        {900000, 1000000, 0.8984375, 0.0018258531672713354501},
    };
    bool yes = false;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const int64_t k = want[i].k, n = want[i].n;
        const double p = want[i].p, level = want[i].level;
        ASSERT_OK(tdo_exact_kt_excludes(k, n, p, level * (1.0 + 1e-12), &yes));
        CU_ASSERT_TRUE(yes);
        ASSERT_OK(tdo_exact_kt_excludes(k, n, p, level * (1.0 - 1e-12), &yes));
        CU_ASSERT_FALSE(yes);
        if (p == 0.5) { /* NOLINT: the mixture is symmetric */
            ASSERT_OK(tdo_exact_kt_excludes(n - k, n, p, level * (1.0 + 1e-12), &yes));
            CU_ASSERT_TRUE(yes);
        }
    }
    ASSERT_OK(tdo_exact_kt_excludes(1, 2, 0.0, 0.01, &yes));
    CU_ASSERT_TRUE(yes);
    ASSERT_OK(tdo_exact_kt_excludes(0, 2, 0.0, 0.01, &yes));
    CU_ASSERT_FALSE(yes);
    ASSERT_OK(tdo_exact_kt_excludes(2, 2, 1.0, 0.01, &yes));
    CU_ASSERT_FALSE(yes);
    CU_ASSERT_EQUAL(tdo_exact_kt_excludes(3, 2, 0.5, 0.01, &yes), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_exact_kt_excludes(1, 2, 0.5, 1.0, &yes), TDO_ERR_NUMERIC);
}

static void probabilities_of_radii_are_tight_upper_bounds(void)
{
    static const struct {
        double r, sigma, slack;
        long double p;
    } want[] = {
        {0.0, 0.5, 0.0, 0.5L},
        {0.5, 0.5, 0.0, 0.8413447460685429485852325L},
        {1.5, 0.25, 1e-12, 0.9999999990144123549623019L},
        {0.25, 0.12, 0.0, 0.9813895748101136548985126L},
        {3.0, 1.0, 1e-9, 0.9986501029683699054733482L},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        double p = 0.0;
        ASSERT_OK(tdo_exact_normal_cdf_up(want[i].r, want[i].sigma, want[i].slack, &p));
        CU_ASSERT_TRUE((long double)p >= want[i].p);
        CU_ASSERT_TRUE((long double)nextafter(p, 0.0) <= want[i].p);
    }
    double p = 0.0;
    ASSERT_OK(tdo_exact_normal_cdf_up(40.0, 1.0, 0.0, &p));
    CU_ASSERT_TRUE(p == 1.0);
    CU_ASSERT_EQUAL(tdo_exact_normal_cdf_up(-1.0, 1.0, 0.0, &p), TDO_ERR_NUMERIC);
}

/* Choices of n balls of N one after the other, K marked: how many give k or more, recursively. */
static int64_t ways(int N, int K, int n, int k)
{
    if (n == 0) {
        return k <= 0;
    }
    return (K > 0 ? K * ways(N - 1, K - 1, n - 1, k - 1) : 0) +
           (N > K ? (N - K) * ways(N - 1, K, n - 1, k) : 0);
}

static void draws_without_replacement_agree_with_enumeration(void)
{
    int wrong = 0, both[2] = {0, 0};
    for (int i = 0; i < 8 * 8 * 8; i++) {
        const struct tdo_exact_draw d = {.N = 7, .K = i % 8, .n = i / 8 % 8};
        const int64_t all = ways(7, (int)d.K, (int)d.n, 0);
        for (int level = 1; level < 64; level += 3) {
            bool le = false;
            const bool want = 64 * ways(7, (int)d.K, (int)d.n, i / 64) <= level * all;
            ASSERT_OK(tdo_exact_marked_tail_le(&d, i / 64, level / 64.0, &le));
            wrong += le != want;
            both[want]++;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(both[0] > 1000 && both[1] > 1000);
    bool le = false;
    const struct tdo_exact_draw tie = {.N = 2, .K = 1, .n = 1}, bad = {.N = 2, .K = 3, .n = 1};
    ASSERT_OK(tdo_exact_marked_tail_le(&tie, 1, 0.5, &le));
    CU_ASSERT_TRUE(le);
    ASSERT_OK(tdo_exact_marked_tail_le(&tie, 1, nextafter(0.5, 0.0), &le));
    CU_ASSERT_FALSE(le);
    CU_ASSERT_EQUAL(tdo_exact_marked_tail_le(&bad, 1, 0.5, &le), TDO_ERR_NUMERIC);
}

static void a_radius_over_a_root_is_the_largest_double_below(void)
{
    double q = -1.0;
    ASSERT_OK(tdo_exact_over_root_down(3.0, 9, &q));
    CU_ASSERT_TRUE(q == 1.0);
    ASSERT_OK(tdo_exact_over_root_down(0.0, 9, &q));
    CU_ASSERT_TRUE(q == 0.0);
    int wrong = 0;
    for (int i = 1; i < 200; i++) { /* 64 bits of root: half an ulp of them is the doubt */
        const double r = 0.01 * i;
        const int64_t d = 784 + 13 * i;
        const long double root = (long double)r / sqrtl((long double)d);
        ASSERT_OK(tdo_exact_over_root_down(r, d, &q));
        wrong += (long double)q > root * (1.0L + 0x1p-62L);
        wrong += (long double)nextafter(q, 1.0) < root * (1.0L - 0x1p-62L);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(tdo_exact_over_root_down(1.0, 0, &q), TDO_ERR_NUMERIC);
}

const char suite_name[] = "exact";
CU_TestInfo suite_tests[] = {
    {"binomial tails agree with plain sums", binomial_tails_agree_with_plain_sums},
    {"binomial tails match 500-bit arithmetic", binomial_tails_match_500_bit_arithmetic},
    {"binomial ties are decided", binomial_ties_are_decided},
    {"binomial tails are right at the ends", binomial_tails_are_right_at_the_ends},
    {"arguments out of range are refused", arguments_out_of_range_are_refused},
    {"quantiles are the largest doubles below", quantiles_are_the_largest_doubles_below},
    {"thresholds are rounded to nearest and saturate",
     thresholds_are_rounded_to_nearest_and_saturate},
    {"tails are tight upper bounds", tails_are_tight_upper_bounds},
    {"the mixture leaves out what it should", the_mixture_leaves_out_what_it_should},
    {"probabilities of radii are tight upper bounds",
     probabilities_of_radii_are_tight_upper_bounds},
    {"draws without replacement agree with enumeration",
     draws_without_replacement_agree_with_enumeration},
    {"a radius over a root is the largest double below",
     a_radius_over_a_root_is_the_largest_double_below},
    CU_TEST_INFO_NULL,
};
