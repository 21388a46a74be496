/* Thresholds against plain sums, steps against the bounds they stand for. Coverage has a suite of its
 * own. */
#include "defenses/sequential.h"

#include <math.h>

#include "defenses/statistics.h"
#include "nn/base/exact.h"
#include "tests/runner.h"

static struct tdo_schedule made(enum tdo_schedule_mode mode, enum tdo_schedule_test test,
                                int64_t n)
{
    const bool radii = mode == TDO_SCHEDULE_RADII;
    const struct tdo_schedule_options o = {
        .mode = mode,
        .test = test,
        .n = n,
        .alpha = 0.01,
        .beta = 0.01,
        .sigma = 0.5,
        .slack = 1e-9,
        .tolerance = mode >= TDO_SCHEDULE_TOLERANCE ? 0.12 : 0.0,
        .targets = radii ? 3 : 0,
        .target = {radii ? 0.125 : 0.0, radii ? 0.5 : 0.0, radii ? 1.0 : 0.0}};
    struct tdo_schedule s;
    ASSERT_OK_FATAL(tdo_schedule_make(&o, &s));
    return s;
}

/* P(Bin(n,p) >= k) for all k, from the small end upwards; at [n+1]: 0. */
static void tails(int64_t n, double p, long double *tail)
{
    tail[n + 1] = 0.0L;
    for (int64_t k = n; k >= 0; k--) {
        const long double log_term = lgammal((long double)n + 1) - lgammal((long double)k + 1) -
                                     lgammal((long double)(n - k) + 1) +
                                     (long double)k * logl((long double)p) +
                                     (long double)(n - k) * logl(1.0L - (long double)p);
        tail[k] = tail[k + 1] + expl(log_term);
    }
}

static void thresholds_agree_with_plain_sums(void)
{
    static long double tail[3302];
    const struct tdo_schedule s = made(TDO_SCHEDULE_RADII, TDO_SCHEDULE_GROUP, 3300);
    tdo_sequential *q = NULL;
    int wrong = 0;
    ASSERT_OK_FATAL(tdo_sequential_new(&s, &q));
    for (int look = 0; look < s.looks; look++) {
        const int64_t n = s.look[look].n;
        int64_t certify[3] = {0, 0, 0}, keep[3] = {0, 0, 0};
        for (int i = 0; i < 3; i++) {
            double p = 0.0;
            ASSERT_OK(tdo_exact_normal_cdf_up(s.o.target[i], s.o.sigma, s.o.slack, &p));
            tails(n, p, tail);
            while (tail[certify[i]] > (long double)s.look[look].alpha) {
                certify[i]++;
            }
            while (1.0L - tail[keep[i] + 1] <= (long double)s.look[look].beta) {
                keep[i]++;
            }
        }
        for (int64_t k = 0; k <= n; k++) {
            const struct tdo_sequential_step step = tdo_sequential_look(q, look, k);
            const int reached = (k >= certify[0]) + (k >= certify[1]) + (k >= certify[2]);
            const bool last = look == s.looks - 1;
            const bool stop = last || reached == 3 || k < keep[reached];
            wrong += step.targets != reached;
            wrong += (step.action != TDO_SEQUENTIAL_GO_ON) != stop;
            wrong += stop && (step.action == TDO_SEQUENTIAL_CERTIFIED) != (reached > 0);
            wrong += (step.action == TDO_SEQUENTIAL_ABSTAIN) != (last && reached == 0);
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    tdo_sequential_free(&q);
}

/* Steps and reports are two ways to the same answer. */
static void steps_agree_with_the_bounds_behind_them(void)
{
    int wrong = 0, seen[4] = {0, 0, 0, 0};
    for (int m = 0; m < 6; m++) {
        static const enum tdo_schedule_mode mode[] = {
            TDO_SCHEDULE_FIXED, TDO_SCHEDULE_RADII,     TDO_SCHEDULE_TOLERANCE,
            TDO_SCHEDULE_RADII, TDO_SCHEDULE_TOLERANCE, TDO_SCHEDULE_MILLION};
        const struct tdo_schedule s = made(mode[m], m == 3 || m == 4, 2000);
        tdo_sequential *q = NULL;
        ASSERT_OK_FATAL(tdo_sequential_new(&s, &q));
        for (int look = 0; look<s.looks; look += s.looks> 4 ? 3 : 1) {
            const int64_t n = s.look[look].n;
            for (int64_t k = 0; k <= n; k += k < n / 2 ? 97 : k + 3 + n / 30 > n ? 1 : n / 30) {
                const struct tdo_sequential_step step = tdo_sequential_look(q, look, k);
                struct tdo_sequential_report r;
                ASSERT_OK(tdo_sequential_report(&s, look, k, &r));
                const bool stop = step.action != TDO_SEQUENTIAL_GO_ON;
                const bool any = s.o.targets > 0 ? r.target > 0.0 : r.p_lower > 0.5;
                seen[step.action]++;
                wrong += stop && any != (step.action == TDO_SEQUENTIAL_CERTIFIED);
                wrong +=
                    r.target > 0.0 && s.o.target[step.targets - 1] != r.target; /* NOLINT */
                wrong += !(r.radius >= r.target && r.radius <= r.radius_upper);
                wrong += mode[m] == TDO_SCHEDULE_TOLERANCE && look < s.looks - 1 &&
                         stop != (r.radius_upper - r.radius <= s.o.tolerance);
            }
        }
        tdo_sequential_free(&q);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    for (int a = 0; a < 4; a++) {
        CU_ASSERT_TRUE(seen[a] > 5);
    }
}

/* The count from which a tolerance goes on is the only one at which the answer changes. */
static void the_radius_is_known_below_the_stop_and_not_above(void)
{
    const struct tdo_schedule s = made(TDO_SCHEDULE_TOLERANCE, TDO_SCHEDULE_GROUP, 3000);
    tdo_sequential *q = NULL;
    int wrong = 0, changes = 0;
    ASSERT_OK_FATAL(tdo_sequential_new(&s, &q));
    for (int look = 0; look < 2; look++) {
        bool last = true;
        for (int64_t k = 0; k <= s.look[look].n; k++) {
            struct tdo_sequential_report r;
            ASSERT_OK(tdo_sequential_report(&s, look, k, &r));
            const bool known = r.radius_upper - r.radius <= s.o.tolerance;
            wrong += known != (tdo_sequential_look(q, look, k).action != TDO_SEQUENTIAL_GO_ON);
            changes += known != last;
            last = known;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(changes, 2);
    tdo_sequential_free(&q);
}

/* As the thresholds were when tails were incomplete beta functions by Arb, and bounds of the
 * sequence were bisected over all doubles. */
static void stops_of_a_tolerance_are_those_of_other_arithmetic(void)
{
    static const int64_t group[] = {81, 178, 378, 788, 1621, 3305, 10152, 24092, 50118};
    static const int64_t kt[] = {
        75,    169,   266,   365,   464,   565,   666,   767,   869,   971,   1074,  1177,
        1280,  1383,  1486,  1589,  1797,  2004,  2212,  2421,  2734,  3048,  3362,  3781,
        4202,  4728,  5254,  5887,  6626,  7472,  9488,  13164, 16098, 18978, 22151, 25649,
        29491, 33691, 38258, 43405, 49133, 55648, 62951, 71042, 80124, 90400};
    for (int t = 0; t < 2; t++) {
        const struct tdo_schedule_options o = {.mode = TDO_SCHEDULE_TOLERANCE,
                                               .test = (enum tdo_schedule_test)t,
                                               .n = 100000,
                                               .alpha = 0.001,
                                               .beta = 0.001,
                                               .sigma = 0.5,
                                               .slack = 1e-9,
                                               .tolerance = 0.05};
        struct tdo_schedule s;
        tdo_sequential *q = NULL;
        ASSERT_OK_FATAL(tdo_schedule_make(&o, &s));
        ASSERT_OK_FATAL(tdo_sequential_new(&s, &q));
        const int early = (int)(t ? sizeof kt / sizeof kt[0] : sizeof group / sizeof group[0]);
        CU_ASSERT_EQUAL_FATAL(s.looks, early + 1);
        for (int look = 0; look < early; look++) {
            const int64_t stop = t ? kt[look] : group[look];
            CU_ASSERT_NOT_EQUAL(tdo_sequential_look(q, look, stop).action,
                                TDO_SEQUENTIAL_GO_ON);
            CU_ASSERT_EQUAL(tdo_sequential_look(q, look, stop + 1).action,
                            TDO_SEQUENTIAL_GO_ON);
        }
        tdo_sequential_free(&q);
    }
}

static void million_votes_go_to_images_that_their_number_limits(void)
{
    const struct tdo_schedule_options o = {.mode = TDO_SCHEDULE_MILLION,
                                           .n = 1000000,
                                           .alpha = 0.001,
                                           .beta = 0.001,
                                           .sigma = 1.0,
                                           .tolerance = 0.1};
    struct tdo_schedule s;
    tdo_sequential *q = NULL;
    struct tdo_sequential_report r;
    ASSERT_OK_FATAL(tdo_schedule_make(&o, &s));
    ASSERT_OK_FATAL(tdo_sequential_new(&s, &q));
    CU_ASSERT_EQUAL(tdo_sequential_look(q, 0, 100000).action, TDO_SEQUENTIAL_GO_ON);
    CU_ASSERT_EQUAL(tdo_sequential_look(q, 0, 99990).action, TDO_SEQUENTIAL_GO_ON);
    CU_ASSERT_EQUAL(tdo_sequential_look(q, 0, 99000).action, TDO_SEQUENTIAL_CERTIFIED);
    CU_ASSERT_EQUAL(tdo_sequential_look(q, 0, 80000).action, TDO_SEQUENTIAL_CERTIFIED);
    CU_ASSERT_EQUAL(tdo_sequential_look(q, 0, 50000).action, TDO_SEQUENTIAL_FUTILE);
    CU_ASSERT_EQUAL(tdo_sequential_look(q, 1, 1000000).action, TDO_SEQUENTIAL_CERTIFIED);
    CU_ASSERT_EQUAL(tdo_sequential_look(q, 1, 500000).action, TDO_SEQUENTIAL_ABSTAIN);
    ASSERT_OK(tdo_sequential_report(&s, 1, 1000000, &r));
    /* (.9 alpha)^(1/n) as a quantile: 4.3434 against 3.8115 for 100,000 draws at alpha */
    CU_ASSERT_DOUBLE_EQUAL(r.radius, 4.34345, 0.51e-5);
    tdo_sequential_free(&q);
}

static void fixed_n_is_the_bound_of_clopper_and_pearson(void)
{
    const struct tdo_schedule s = made(TDO_SCHEDULE_FIXED, TDO_SCHEDULE_GROUP, 1000);
    struct tdo_sequential_report r;
    double p = 0.0, radius = 0.0;
    CU_ASSERT_EQUAL(s.looks, 1);
    for (int64_t k = 450; k <= 1000; k += 50) {
        ASSERT_OK(tdo_statistics_lower_bound(k, 1000, 0.01, &p));
        p = nextafter(p - 1e-9, -1.0);
        ASSERT_OK(tdo_statistics_radius(p, 0.5, &radius));
        ASSERT_OK(tdo_sequential_report(&s, 0, k, &r));
        CU_ASSERT_TRUE(r.p_lower == p && r.radius == radius);
    }
    CU_ASSERT_EQUAL(tdo_sequential_report(&s, 1, 1000, &r), TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(tdo_sequential_report(&s, 0, 1001, &r), TDO_ERR_NUMERIC);
}

static void the_confidence_sequence_matches_40_digit_arithmetic(void)
{
    static const struct {
        int64_t k, n;
        double alpha, p;
    } want[] = {
        {9, 10, 0.05, 0.4559913238931764341685},
        {990, 1000, 0.001, 0.9680350759854947988314},
        {1000, 1000, 0.001, 0.989125437382652297851},
        {100000, 100000, 0.001, 0.9998676429179276392175}, /* 3.6476 standard deviations */
        {60, 100, 0.01, 0.4121001064534417373307},
        {999000, 1000000, 0.0005, 0.9988184816723185985927},
        {1, 50, 0.3, 0.0002440816894662133117157},
    };
    double p = -1.0;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        ASSERT_OK(tdo_sequential_kt_bound(want[i].k, want[i].n, want[i].alpha, &p));
        CU_ASSERT_TRUE(p <= want[i].p);
        CU_ASSERT_DOUBLE_EQUAL(p, want[i].p, 1e-15);
    }
    ASSERT_OK(tdo_sequential_kt_bound(0, 50, 0.3, &p));
    CU_ASSERT_TRUE(p == 0.0);
    CU_ASSERT_EQUAL(tdo_sequential_kt_bound(51, 50, 0.3, &p), TDO_ERR_NUMERIC);
}

const char suite_name[] = "sequential";
CU_TestInfo suite_tests[] = {
    {"thresholds agree with plain sums", thresholds_agree_with_plain_sums},
    {"steps agree with the bounds behind them", steps_agree_with_the_bounds_behind_them},
    {"the radius is known below the stop and not above",
     the_radius_is_known_below_the_stop_and_not_above},
    {"stops of a tolerance are those of other arithmetic",
     stops_of_a_tolerance_are_those_of_other_arithmetic},
    {"million votes go to images that their number limits",
     million_votes_go_to_images_that_their_number_limits},
    {"fixed n is the bound of Clopper and Pearson",
     fixed_n_is_the_bound_of_clopper_and_pearson},
    {"the confidence sequence matches 40-digit arithmetic",
     the_confidence_sequence_matches_40_digit_arithmetic},
    CU_TEST_INFO_NULL,
};
