/* The sampler against a plain search in the full table of 64-bit thresholds, and against the
 * exact probabilities of rounded Gaussian noise. */
#include "nn/base/rounded.h"

#include <math.h>
#include <string.h>

#include "nn/base/exact.h"
#include "nn/base/memory.h"
#include "tests/runner.h"

static const struct tdo_stream stream = {21, TDO_PURPOSE_TEST, 0};

/* Every threshold from -reach to reach-1, straight from the exact function. */
static uint64_t *all_thresholds(double scale, int64_t reach)
{
    uint64_t *t = NULL;
    ASSERT_OK_FATAL(tdo_memory_new(2 * reach, &t));
    for (int64_t i = 0; i < 2 * reach; i++) {
        ASSERT_OK(tdo_exact_normal_threshold(i - reach, scale, &t[i]));
    }
    return t;
}

/* How many of t [n] are <= word, by halving. */
static int64_t at_or_below(const uint64_t *t, int64_t n, uint64_t word)
{
    int64_t low = 0, high = n;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (t[middle] <= word) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct tally {
    int64_t wrong;      /* draws that differ from the search */
    int64_t refined[2]; /* draws that 32 bits leave open, ended below / above */
};

/* One draw of n elements against the search in 64-bit words. */
static void compare(const tdo_rounded *r, const uint64_t *t, int64_t reach, uint32_t draw,
                    struct tally *tally)
{
    enum { N = 1 << 16 };
    static uint32_t high[N], low[N];
    static float z[N];
    const struct tdo_key k = {5, draw, 0, 0};
    struct tdo_stream refine = stream;
    refine.purpose |= TDO_PURPOSE_REFINE;
    tdo_rng_words(&stream, &k, 0, N, high);
    tdo_rng_words(&refine, &k, 0, N, low);
    tdo_rounded_draw(r, &stream, &k, 0, N, z);
    for (int i = 0; i < N; i++) {
        uint64_t first = (uint64_t)high[i] << 32;
        int64_t value = at_or_below(t, 2 * reach, first | low[i]) - reach;
        tally->wrong += value != (int64_t)z[i];
        int64_t floor = at_or_below(t, 2 * reach, first) - reach;
        int64_t ceiling = at_or_below(t, 2 * reach, first | UINT32_MAX) - reach;
        if (floor != ceiling) {
            tally->refined[value != floor]++;
        }
    }
}

static void draws_equal_a_search_in_64_bit_words(void)
{
    /* sigma 16 has 75,000 thresholds: about one draw in 57,000 needs its lower 32 bits */
    const int64_t reach = 37354;
    tdo_rounded *r = NULL;
    ASSERT_OK_FATAL(tdo_rounded_new(16.0, &r));
    uint64_t *t = all_thresholds(16.0 * 255.0, reach);
    CU_ASSERT_TRUE(t[0] > 0); /* the table is whole: one further out would be 0 */
    struct tally tally = {0};
    for (uint32_t draw = 0; draw < 160; draw++) {
        compare(r, t, reach, draw, &tally);
    }
    CU_ASSERT_EQUAL(tally.wrong, 0);
    CU_ASSERT_TRUE(tally.refined[0] > 40 && tally.refined[1] > 40);
    tdo_memory_free(&t);
    tdo_rounded_free(&r);
}

static void draws_equal_the_search_for_usual_sigmas(void)
{
    static const double sigma[] = {0.002, 0.12, 0.25, 0.5, 1.0};
    for (size_t i = 0; i < sizeof sigma / sizeof sigma[0]; i++) {
        const int64_t reach = (int64_t)(9.2 * 255.0 * sigma[i]) + 1;
        tdo_rounded *r = NULL;
        ASSERT_OK_FATAL(tdo_rounded_new(sigma[i], &r));
        uint64_t *t = all_thresholds(255.0 * sigma[i], reach);
        for (int64_t j = 0; j < 2 * reach; j++) { /* those that saturate are no thresholds */
            CU_ASSERT_TRUE(j == 0 || t[j] >= t[j - 1]);
        }
        struct tally tally = {0};
        for (uint32_t draw = 0; draw < 8; draw++) {
            compare(r, t, reach, draw, &tally);
        }
        CU_ASSERT_EQUAL(tally.wrong, 0);
        tdo_memory_free(&t);
        tdo_rounded_free(&r);
    }
}

/* Pearson's statistic minus its mean, in its standard deviations. Cells that expect fewer than
 * 20 draws are put together. */
static double chi_square(const double *count, int reach, double scale, double total)
{
    double chi = 0.0, degrees = -1.0, rest_count = 0.0, rest_want = 0.0;
    for (int v = -reach; v <= reach; v++) {
        double below = v == -reach ? 0.0 : 0.5 * erfc(-(v - 0.5) / scale / sqrt(2.0));
        double above = v == reach ? 0.0 : 0.5 * erfc((v + 0.5) / scale / sqrt(2.0));
        rest_want += total * (1.0 - below - above);
        rest_count += count[v + reach];
        if (rest_want >= 20.0 || v == reach) {
            chi += pow(rest_count - rest_want, 2.0) / fmax(rest_want, 1e-9);
            degrees += 1.0;
            rest_count = rest_want = 0.0;
        }
    }
    return (chi - degrees) / sqrt(2.0 * degrees);
}

static void thresholds_are_those_of_the_exact_function(void)
{
    static const double sigma[] = {0.001, 0.12, 0.25, 0.3, 1.0};
    for (size_t i = 0; i < sizeof sigma / sizeof sigma[0]; i++) {
        const long double product = 255.0L * (long double)sigma[i]; /* exact */
        double scale = (double)product;
        if ((long double)scale < product) { /* the smallest double that is not below */
            scale = nextafter(scale, 1e9);
        }
        tdo_rounded *r = NULL;
        ASSERT_OK_FATAL(tdo_rounded_new(sigma[i], &r));
        int64_t count = -1, wrong = 0;
        const uint64_t *t = tdo_rounded_thresholds(r, &count);
        uint64_t word = 1;
        for (int64_t j = 0; j < count; j++) {
            ASSERT_OK(tdo_exact_normal_threshold(j - count / 2, scale, &word));
            wrong += t[j] != word;
        }
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT_TRUE(count > 0 && count % 2 == 0);
        ASSERT_OK(tdo_exact_normal_threshold(-1 - count / 2, scale, &word));
        CU_ASSERT_EQUAL(word, 0); /* the table ends where thresholds are 0 */
        tdo_rounded_free(&r);
    }
}

static void integers_have_the_exact_probabilities(void)
{
    enum { N = 1 << 16, TIMES = 32, REACH = 2400 };
    static const double sigma[] = {0.002, 0.01, 0.25, 1.0};
    static float z[N];
    static double count[2 * REACH + 1];
    for (size_t i = 0; i < sizeof sigma / sizeof sigma[0]; i++) {
        int reach = (int)(4.0 * 255.0 * sigma[i]) + 1, whole = 1;
        tdo_rounded *r = NULL;
        ASSERT_OK_FATAL(tdo_rounded_new(sigma[i], &r));
        memset(count, 0, sizeof count);
        for (uint32_t draw = 0; draw < TIMES; draw++) {
            const struct tdo_key k = {1, draw, 0, 0};
            tdo_rounded_draw(r, &stream, &k, 0, N, z);
            for (int j = 0; j < N; j++) {
                int v = (int)z[j];
                whole &= (float)v == z[j] && v >= -REACH && v <= REACH;
                v = v > reach ? reach : v < -reach ? -reach : v;
                count[v + reach]++;
            }
        }
        CU_ASSERT_TRUE(whole);
        CU_ASSERT_TRUE(fabs(chi_square(count, reach, 255.0 * sigma[i], (double)N * TIMES)) <
                       5.0);
        tdo_rounded_free(&r);
    }
}

static void an_element_does_not_depend_on_first_and_n(void)
{
    enum { N = 5000 };
    static float whole[N], part[N + 1];
    const struct tdo_key k = {8, 9, 0, 0};
    tdo_rounded *r = NULL;
    ASSERT_OK_FATAL(tdo_rounded_new(16.0, &r));
    tdo_rounded_draw(r, &stream, &k, 0, N, whole);
    int wrong = 0;
    for (int first = 0; first < N; first += 4 * (1 + first % 5)) {
        for (int n = 0; n <= N - first; n += 1 + n / 2) {
            part[n] = 0.5F;
            tdo_rounded_draw(r, &stream, &k, first, n, part);
            wrong += memcmp(part, whole + first, sizeof(float) * (size_t)n) != 0;
            wrong += part[n] != 0.5F;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    tdo_rounded_free(&r);
}

static void the_slack_is_thresholds_and_tails(void)
{
    /* 3072 (thresholds 2^-65 + both tails), from 400-bit arithmetic */
    static const double want[][2] = {{0.12, 4.6779241173233691647e-14},
                                     {0.25, 9.7402710288928984065e-14},
                                     {1.0, 3.8901679042465094718e-13},
                                     {16.0, 6.2208568222986054544e-12}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        tdo_rounded *r = NULL;
        ASSERT_OK_FATAL(tdo_rounded_new(want[i][0], &r));
        double slack = tdo_rounded_slack(r, 3072);
        CU_ASSERT_TRUE(slack >= want[i][1] && slack <= want[i][1] * (1.0 + 1e-14));
        CU_ASSERT_TRUE(tdo_rounded_slack(r, 1) >= slack / 3072.0 * (1.0 - 1e-14));
        CU_ASSERT_TRUE(tdo_rounded_slack(r, 0) < 1e-300);
        tdo_rounded_free(&r);
    }
}

static void a_tiny_sigma_gives_zeros_and_a_wrong_one_an_error(void)
{
    float z[100];
    const struct tdo_key k = {0, 0, 0, 0};
    tdo_rounded *r = NULL;
    ASSERT_OK_FATAL(tdo_rounded_new(1e-5, &r));
    tdo_rounded_draw(r, &stream, &k, 0, 100, z);
    for (int i = 0; i < 100; i++) {
        CU_ASSERT_TRUE(z[i] == 0.0F);
    }
    CU_ASSERT_TRUE(tdo_rounded_slack(r, 1000) < 1e-300);
    tdo_rounded_free(&r);
    static const double bad[] = {0.0, -0.25, 16.01, (double)NAN, (double)INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_EQUAL(tdo_rounded_new(bad[i], &r), TDO_ERR_CONFIG);
        CU_ASSERT_PTR_NULL(r);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "sigma"));
    }
}

static void every_failed_allocation_is_reported_and_leaks_nothing(void)
{
    int failures = 0;
    for (int64_t at = 1; at < 20; at++) {
        tdo_rounded *r = NULL;
        tdo_memory_fail_after(at);
        tdo_err err = tdo_rounded_new(0.01, &r);
        tdo_memory_fail_after(0);
        if (err == TDO_OK) {
            tdo_rounded_free(&r);
            break;
        }
        failures++;
        CU_ASSERT_EQUAL(err, TDO_ERR_MEMORY);
        CU_ASSERT_PTR_NULL(r);
    }
    CU_ASSERT_EQUAL(failures, 4);
}

const char suite_name[] = "rounded";
CU_TestInfo suite_tests[] = {
    {"draws equal a search in 64-bit words, also where 32 bits do not decide",
     draws_equal_a_search_in_64_bit_words},
    {"draws equal the search for usual sigmas", draws_equal_the_search_for_usual_sigmas},
    {"thresholds are those of the exact function", thresholds_are_those_of_the_exact_function},
    {"integers have the exact probabilities", integers_have_the_exact_probabilities},
    {"an element does not depend on first and n", an_element_does_not_depend_on_first_and_n},
    {"the slack is thresholds and tails", the_slack_is_thresholds_and_tails},
    {"a tiny sigma gives zeros and a wrong one an error",
     a_tiny_sigma_gives_zeros_and_a_wrong_one_an_error},
    {"every failed allocation is reported and leaks nothing",
     every_failed_allocation_is_reported_and_leaks_nothing},
    CU_TEST_INFO_NULL,
};
