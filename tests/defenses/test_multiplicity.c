/* Families of certificates against enumeration, and against values computed elsewhere (SciPy). */
#include "defenses/multiplicity.h"

#include <math.h>
#include <string.h>

#include "tests/runner.h"

/* P(Bin(n,p) = k) */
static double point(int k, int n, double p)
{
    double w = 1.0;
    for (int i = 1; i <= n; i++) {
        w *= i <= k ? p * (double)(n - k + i) / (double)i : 1.0 - p;
    }
    return w;
}

static int found(enum tdo_multiplicity_method method, int64_t images,
                 const struct tdo_evidence *e, double alpha, bool *above)
{
    int count = 0;
    ASSERT_OK(tdo_multiplicity_above(method, images, e, 0.75, alpha, above));
    for (int64_t i = 0; i < images; i++) {
        count += above[i];
    }
    return count;
}

/* p-values at p0 = 3/4, from exact fractions: 30/30: 1.786e-4, 28/30: 1.060e-2, 27/30: 3.745e-2,
 * 29/30: 1.964e-3, 20/30: 0.894. */
static void holm_and_bonferroni_choose_as_by_hand(void)
{
    const struct tdo_evidence e[] = {
        {28, 30, 1.0}, {20, 30, 1.0}, {30, 30, 1.0}, {27, 30, 1.0}, {29, 30, 1.0}};
    bool above[5];
    /* .05/5 = .01: two */
    CU_ASSERT_EQUAL(found(TDO_MULTIPLICITY_BONFERRONI, 5, e, 0.05, above), 2);
    CU_ASSERT_TRUE(above[2] && above[4]);
    /* .01, .0125, .0167, then .025 < .0375: three */
    CU_ASSERT_EQUAL(found(TDO_MULTIPLICITY_HOLM, 5, e, 0.05, above), 3);
    CU_ASSERT_TRUE(above[0] && above[2] && above[4]);
    /* .0375 < .08/2: four */
    CU_ASSERT_EQUAL(found(TDO_MULTIPLICITY_HOLM, 5, e, 0.08, above), 4);
    /* the first step fails: nothing, though others would pass later */
    CU_ASSERT_EQUAL(found(TDO_MULTIPLICITY_HOLM, 5, e, 0.0008, above), 0);
    /* a look that may spend a tenth of alpha */
    struct tdo_evidence early[5];
    memcpy(early, e, sizeof e);
    early[4].share = 0.1;
    CU_ASSERT_EQUAL(found(TDO_MULTIPLICITY_BONFERRONI, 5, early, 0.05, above), 1);
    CU_ASSERT_TRUE(above[2] && !above[4]);
    early[0].share = 0.0;
    CU_ASSERT_EQUAL(tdo_multiplicity_above(TDO_MULTIPLICITY_HOLM, 5, early, 0.75, 0.05, above),
                    TDO_ERR_NUMERIC);
}

/* Two images: one at p0 itself, where every claim is wrong, and one at it or far above; independent or
 * with the same draws. All pairs of counts. */
static void no_answer_is_wrong_with_probability_over_alpha(void)
{
    enum { N = 25 };
    const double alpha = 0.1;
    double most = 0.0;
    for (int c = 0; c < 6; c++) {
        const bool both = c % 3 == 0, shared = c % 3 == 2;
        const double other = both || shared ? 0.75 : 0.97;
        double wrong = 0.0;
        for (int i = 0; i < (N + 1) * (N + 1); i++) {
            const int a = i % (N + 1), b = shared ? a : i / (N + 1);
            if (shared && i > N) {
                break;
            }
            const struct tdo_evidence e[] = {{a, N, 1.0}, {b, N, 1.0}};
            bool above[2];
            found((enum tdo_multiplicity_method)(c / 3), 2, e, alpha, above);
            const bool bad = above[0] || ((both || shared) && above[1]);
            wrong += bad ? point(a, N, 0.75) * (shared ? 1.0 : point(b, N, other)) : 0.0;
        }
        CU_ASSERT_TRUE(wrong <= alpha);
        most = fmax(most, wrong);
    }
    CU_ASSERT_TRUE(most > 0.05); /* and not because nothing is ever found */
}

static void wrong_certificates_are_counted(void)
{
    static const struct {
        int64_t images;
        double alpha, rho;
        int64_t any, independent;
    } want[] = {
        {500, .001, .0011, 454, 4},     {10000, .001, .001, 9999, 21}, {500, .001, .01, 49, 3},
        {10000, .01, .001, 10000, 132}, {1, .001, .01, 0, 0},          {500, .00088, .05, 8, 2},
        {500, 1.9e-6, .001, 0, 0},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        int64_t w = -1;
        ASSERT_OK(
            tdo_multiplicity_wrong_independent(want[i].images, want[i].alpha, want[i].rho, &w));
        CU_ASSERT_EQUAL(w, want[i].independent);
        ASSERT_OK(tdo_multiplicity_wrong_any(want[i].images, want[i].alpha, want[i].rho, &w));
        CU_ASSERT_TRUE(w == want[i].any || w == want[i].any + 1); /* ties go to the safe side */
    }
    int64_t w = -1;
    CU_ASSERT_EQUAL(tdo_multiplicity_wrong_any(0, .001, .01, &w), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_multiplicity_wrong_independent(5, .001, 1.0, &w), TDO_ERR_NUMERIC);
}

static void subsets_match_hypergeometric_tables(void)
{
    static const struct {
        int64_t total, drawn, k;
        double alpha;
        int64_t lower, upper;
    } want[] = {
        {10000, 500, 245, .025, 4465, 5336},
        {10000, 500, 500, .025, 9929, 10000},
        {10000, 500, 0, .025, 0, 71},
        {50000, 500, 300, .005, 27106, 32798},
        {100, 10, 7, .1, 46, 87},
        {10000, 10000, 4321, .01, 4321, 4321},
        {10, 0, 0, .01, 0, 10},
    };
    int64_t lower = -1, upper = -1;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const struct tdo_subset s = {want[i].total, want[i].drawn};
        ASSERT_OK(tdo_multiplicity_subset(&s, want[i].k, want[i].alpha, &lower, &upper));
        CU_ASSERT_EQUAL(lower, want[i].lower);
        CU_ASSERT_EQUAL(upper, want[i].upper);
    }
    const struct tdo_subset bad = {10, 11};
    CU_ASSERT_EQUAL(tdo_multiplicity_subset(&bad, 3, .01, &lower, &upper), TDO_ERR_NUMERIC);
}

static void a_data_set_is_bounded_by_both_errors(void)
{
    const struct tdo_subset all = {500, 500}, some = {10000, 500};
    int64_t lower = -1, wrong = -1, upper = -1, want = -1;
    ASSERT_OK(tdo_multiplicity_dataset(&all, 245, .001, .01, true, &lower));
    CU_ASSERT_EQUAL(lower, 242);
    ASSERT_OK(tdo_multiplicity_dataset(&all, 245, .00088, .05, false, &lower));
    CU_ASSERT_EQUAL(lower, 237);
    ASSERT_OK(tdo_multiplicity_dataset(&all, 2, .001, .01, true, &lower));
    CU_ASSERT_EQUAL(lower, 0);
    ASSERT_OK(tdo_multiplicity_dataset(&some, 245, .001, .01, true, &lower));
    ASSERT_OK(tdo_multiplicity_wrong_independent(500, .001, .005, &wrong));
    ASSERT_OK(tdo_multiplicity_subset(&some, 245 - wrong, .005, &want, &upper));
    CU_ASSERT_TRUE(wrong == 3 && lower == want && lower > 4000 && lower < 4465);
}

static void an_l_infinity_radius_is_rounded_down(void)
{
    double r = 0.0;
    ASSERT_OK(tdo_multiplicity_linf(0.5, 3072, &r));
    CU_ASSERT_DOUBLE_EQUAL(r, 0.0090210979560879, 1e-16);
    CU_ASSERT_TRUE((long double)r * sqrtl(3072.0L) <= 0.5L);
}

const char suite_name[] = "multiplicity";
CU_TestInfo suite_tests[] = {
    {"Holm and Bonferroni choose as by hand", holm_and_bonferroni_choose_as_by_hand},
    {"no answer is wrong with probability over alpha",
     no_answer_is_wrong_with_probability_over_alpha},
    {"wrong certificates are counted", wrong_certificates_are_counted},
    {"subsets match hypergeometric tables", subsets_match_hypergeometric_tables},
    {"a data set is bounded by both errors", a_data_set_is_bounded_by_both_errors},
    {"an l-infinity radius is rounded down", an_l_infinity_radius_is_rounded_down},
    CU_TEST_INFO_NULL,
};
