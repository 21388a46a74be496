/* Voting rules: by hand where rules disagree and where classes tie, and against plain loops over
 * sorted classes on logits with many ties. */
#include <math.h>
#include <string.h>

#include "defenses/vote.h"
#include "tests/nn/support.h"

const char suite_name[] = "vote";

enum { RULES = 5, K = 6, DRAWS = 9 };

static void tally(enum tdo_vote_rule rule, double second, int draws, int classes,
                  const float *z, double *score)
{
    const struct tdo_vote v = {.rule = rule, .second = second};
    memset(score, 0, (size_t)classes * sizeof *score);
    for (int i = 0; i < draws; i++) {
        tdo_vote_add(&v, z + i * classes, classes, score);
    }
}

static int answer(enum tdo_vote_rule rule, double second, int draws, int classes,
                  const float *z)
{
    double score[K];
    tally(rule, second, draws, classes, z, score);
    return tdo_vote_class(score, classes);
}

/* ---- by hand -------------------------------------------------------------------------------------- */

static void rules_disagree_where_they_should(void)
{
    /* Class 1 is second in both draws: the most frequent first classes are 0 and 2, once each. */
    const float second[] = {1, 0.9F, -9, -9, 0.9F, 1};
    CU_ASSERT_EQUAL(answer(TDO_VOTE_PREDICTION, 0, 2, 3, second), 0);
    CU_ASSERT_EQUAL(answer(TDO_VOTE_WEIGHTED, 0, 2, 3, second), 0);    /* 5/4, 1, 5/4 */
    CU_ASSERT_EQUAL(answer(TDO_VOTE_TOP_TWO, 0.4, 2, 3, second), 0);   /* 1, 0.8, 1 */
    CU_ASSERT_EQUAL(answer(TDO_VOTE_TOP_TWO, 0.625, 2, 3, second), 1); /* 1, 1.25, 1 */
    CU_ASSERT_EQUAL(answer(TDO_VOTE_SOFT, 0, 2, 3, second), 1);        /* 0.525, 0.95, 0.525 */
    CU_ASSERT_EQUAL(answer(TDO_VOTE_LOGITS, 0, 2, 3, second), 1);      /* -8, 1.8, -8 */
    /* One draw with an enormous logit: it moves the mean logit, not the mean probability. */
    const float one[] = {30, 0, 0, 2, 0, 2, 0, 2};
    CU_ASSERT_EQUAL(answer(TDO_VOTE_LOGITS, 0, 4, 2, one), 0);
    CU_ASSERT_EQUAL(answer(TDO_VOTE_SOFT, 0, 4, 2, one), 1);
    CU_ASSERT_EQUAL(answer(TDO_VOTE_PREDICTION, 0, 4, 2, one), 1);
    /* One sure draw outweighs two that hardly know. */
    const float sure[] = {9, 0, 0, 0.1F, 0, 0.1F};
    CU_ASSERT_EQUAL(answer(TDO_VOTE_PREDICTION, 0, 3, 2, sure), 1);
    CU_ASSERT_EQUAL(answer(TDO_VOTE_SOFT, 0, 3, 2, sure), 0);
}

static void scores_are_those_of_the_formulas(void)
{
    const float z[] = {2, 5, 5, -1}; /* order 1, 2, 0, 3 */
    double s[4];
    tally(TDO_VOTE_WEIGHTED, 0, 1, 4, z, s);
    CU_ASSERT(s[0] == 0.25 && s[1] == 1 && s[2] == 0.5 && s[3] == 0.125);
    tally(TDO_VOTE_TOP_TWO, 0.75, 1, 4, z, s);
    CU_ASSERT(s[0] == 0 && s[1] == 1 && s[2] == 0.75 && s[3] == 0);
    tally(TDO_VOTE_PREDICTION, 0, 1, 4, z, s);
    CU_ASSERT(s[0] == 0 && s[1] == 1 && s[2] == 0 && s[3] == 0);
    const float third[] = {0, (float)log(2)};
    tally(TDO_VOTE_SOFT, 0, 1, 2, third, s);
    CU_ASSERT_DOUBLE_EQUAL(s[0], 1.0 / 3, 1e-7);
    CU_ASSERT_DOUBLE_EQUAL(s[1], 2.0 / 3, 1e-7);
    const float huge[] = {1000, -1000, 1000};
    tally(TDO_VOTE_SOFT, 0, 1, 3, huge, s);
    CU_ASSERT(s[0] == 0.5 && s[1] == 0 && s[2] == 0.5);
}

static void the_lowest_of_equals_wins(void)
{
    const float flat[] = {1, 1, 1, 1, 1, 1}, pair[] = {0, 3, 1, 0, 1, 3};
    for (int rule = 0; rule < RULES; rule++) {
        CU_ASSERT_EQUAL(answer((enum tdo_vote_rule)rule, 0.5, 2, 3, flat), 0);
        CU_ASSERT_EQUAL(answer((enum tdo_vote_rule)rule, 0.5, 2, 3, pair), 1);
    }
    const double score[] = {1, 4, 4, 0, 4};
    CU_ASSERT_EQUAL(tdo_vote_class(score, 5), 1);
    const int place[] = {3, 0, 1, 4, 2};
    for (int k = 0; k < 5; k++) {
        CU_ASSERT_EQUAL(tdo_vote_place(score, 5, k), place[k]);
    }
}

/* ---- against loops -------------------------------------------------------------------------------- */

/* Classes by falling logit, stable: insertion. */
static void sort_classes(const float *z, int order[K])
{
    for (int k = 0; k < K; k++) {
        int at = k;
        while (at > 0 && z[order[at - 1]] < z[k]) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = k;
    }
}

static void direct(enum tdo_vote_rule rule, double second, const float *z, double s[K])
{
    for (int i = 0; i < DRAWS; i++, z += K) {
        int order[K] = {0};
        double sum = 0;
        sort_classes(z, order);
        for (int k = 0; k < K; k++) {
            sum += exp((double)z[k]);
        }
        for (int r = 0; r < K; r++) {
            const int k = order[r];
            const double weight = ldexp(1, -r);
            const double of[RULES] = {r == 0, exp((double)z[k]) / sum, (double)z[k], weight,
                                      r == 0   ? 1
                                      : r == 1 ? second
                                               : 0};
            s[k] += of[rule];
        }
    }
}

static void every_rule_is_its_plain_loop(void)
{
    for (uint32_t round = 0; round < 40; round++) {
        float z[DRAWS * K];
        for (int i = 0; i < DRAWS * K; i++) { /* every second round has many ties */
            const double u = 2 * probe_number(round, i);
            z[i] = (float)(round % 2 ? u : floor(u));
        }
        for (int rule = 0; rule < RULES; rule++) {
            double got[K], want[K] = {0};
            tally((enum tdo_vote_rule)rule, 0.375, DRAWS, K, z, got);
            direct((enum tdo_vote_rule)rule, 0.375, z, want);
            for (int k = 0; k < K; k++) {
                CU_ASSERT_DOUBLE_EQUAL(got[k], want[k], 1e-13);
            }
        }
    }
}

static void shares_are_parts_of_one(void)
{
    float z[DRAWS * K];
    for (int i = 0; i < DRAWS * K; i++) {
        z[i] = (float)(3 * probe_number(77, i));
    }
    for (int rule = 0; rule < RULES; rule++) {
        const struct tdo_vote v = {.rule = (enum tdo_vote_rule)rule, .second = 0.5};
        double score[K], sum = 0, most = 0;
        tally(v.rule, v.second, DRAWS, K, z, score);
        const int best = tdo_vote_class(score, K);
        for (int k = 0; k < K; k++) {
            const double part = tdo_vote_share(&v, score, K, DRAWS, k);
            sum += part;
            most = fmax(most, part);
        }
        CU_ASSERT_DOUBLE_EQUAL(sum, 1, 1e-12);
        CU_ASSERT_EQUAL(tdo_vote_share(&v, score, K, DRAWS, best), most);
        const double loss = tdo_vote_loss(&v, score, K, DRAWS, 3);
        if (rule == TDO_VOTE_SOFT || rule == TDO_VOTE_LOGITS) {
            CU_ASSERT_DOUBLE_EQUAL(loss, -log(tdo_vote_share(&v, score, K, DRAWS, 3)), 1e-12);
        } else {
            CU_ASSERT_TRUE(isnan(loss));
        }
    }
    double mean[K] = {0}, sum = 0; /* softmax of the mean logits */
    for (int i = 0; i < DRAWS * K; i++) {
        mean[i % K] += (double)z[i] / DRAWS;
    }
    for (int k = 0; k < K; k++) {
        sum += exp(mean[k]);
    }
    const double far[] = {2000, -2000}; /* of 2 draws: no probability in double, but a loss */
    const struct tdo_vote v = {.rule = TDO_VOTE_LOGITS};
    CU_ASSERT_EQUAL(tdo_vote_loss(&v, far, 2, 2, 1), 2000);
    double score[K];
    tally(v.rule, 0, DRAWS, K, z, score);
    CU_ASSERT_DOUBLE_EQUAL(tdo_vote_share(&v, score, K, DRAWS, 2), exp(mean[2]) / sum, 1e-12);
}

CU_TestInfo suite_tests[] = {
    {"rules disagree where they should", rules_disagree_where_they_should},
    {"scores are those of the formulas", scores_are_those_of_the_formulas},
    {"the lowest of equals wins", the_lowest_of_equals_wins},
    {"every rule is its plain loop", every_rule_is_its_plain_loop},
    {"shares are parts of one", shares_are_parts_of_one},
    CU_TEST_INFO_NULL,
};
