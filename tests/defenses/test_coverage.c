/* How often is a certificate wrong? Exactly, by dynamic programming over the count of votes.
 *
 * The distribution of the count at each look, among the images that have not stopped, is a sum of
 * binomial convolutions in 64-bit floating point, all terms positive: its relative error is below
 * 1e-12, and what is trimmed weighs less than 1e-20. Whoever stops with a lower bound above the true
 * probability p0 is counted. TESTUDO_COVERAGE=n prints the table for at most n draws. */
#include "defenses/sequential.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/base/exact.h"
#include "nn/base/memory.h"
#include "tests/runner.h"

static const double TRUTH[] = {.55, .84, .977, .9987, .9999};
static const double ALPHA[] = {.01, .001};
enum { TRUTHS = 5, ALPHAS = 2, DRAWS = 12800 };
static const long double DUST = 1e-28L; /* weights below are dropped */

static int64_t draws(void)
{
    const char *text = getenv("TESTUDO_COVERAGE");
    return text ? strtoll(text, NULL, 10) : DRAWS;
}

/* ---- the distribution of a count ------------------------------------------------------------- */

struct counts { /* weight[i] is of first + i */
    int64_t first, size;
    long double *weight;
};

static void counts_new(struct counts *c, int64_t first, int64_t size)
{
    c->first = first;
    c->size = size;
    ASSERT_OK_FATAL(tdo_memory_new(size, &c->weight));
}

/* Bin(n, p) without its far tails, from the mode outwards by ratios, then scaled to weigh 1. */
static void binomial(int64_t n, double p, struct counts *out)
{
    const long double odds = (long double)p / (1.0L - (long double)p);
    const int64_t mode =
        (int64_t)floor((double)(n + 1) * p) > n ? n : (int64_t)floor((double)(n + 1) * p);
    int64_t low = mode, high = mode;
    long double w = 1.0L, sum = 0.0L;
    while (low > 0 && w > DUST) {
        w *= (long double)low / (long double)(n - low + 1) / odds;
        low--;
    }
    w = 1.0L;
    while (high < n && w > DUST) {
        w *= (long double)(n - high) / (long double)(high + 1) * odds;
        high++;
    }
    counts_new(out, low, high - low + 1);
    long double *at = out->weight - low;
    at[mode] = 1.0L;
    for (int64_t k = mode; k > low; k--) {
        at[k - 1] = at[k] * ((long double)k / (long double)(n - k + 1) / odds);
    }
    for (int64_t k = mode; k < high; k++) {
        at[k + 1] = at[k] * ((long double)(n - k) / (long double)(k + 1) * odds);
    }
    for (int64_t i = 0; i < out->size; i++) {
        sum += out->weight[i];
    }
    for (int64_t i = 0; i < out->size; i++) {
        out->weight[i] /= sum;
    }
}

/* c becomes the distribution of its count plus an independent one. */
static void add_draws(struct counts *c, int64_t n, double p)
{
    struct counts more, sum;
    binomial(n, p, &more);
    counts_new(&sum, c->first + more.first, c->size + more.size - 1);
    for (int64_t i = 0; i < c->size; i++) {
        for (int64_t j = 0; c->weight[i] > DUST && j < more.size; j++) {
            sum.weight[i + j] += c->weight[i] * more.weight[j];
        }
    }
    tdo_memory_free(&c->weight);
    tdo_memory_free(&more.weight);
    *c = sum;
}

/* ---- an image ------------------------------------------------------------------------------------ */

struct way { /* of stopping; wrong[j]: least count at look j whose bound is above p0 */
    const struct tdo_schedule *s;
    const tdo_sequential *q; /* NULL: stop where the bound is above p0, and at the end */
    int64_t wrong[TDO_SCHEDULE_LOOKS];
    bool stubborn; /* q, but never stop for futility */
};

struct fate {
    double wrong, futile, draws; /* probabilities; the mean number of draws */
};

static bool stops(const struct way *w, int look, int64_t k)
{
    if (!w->q) {
        return k >= w->wrong[look] || look == w->s->looks - 1;
    }
    const enum tdo_sequential_action a = tdo_sequential_look(w->q, look, k).action;
    return a == TDO_SEQUENTIAL_CERTIFIED || a == TDO_SEQUENTIAL_ABSTAIN ||
           (a == TDO_SEQUENTIAL_FUTILE && !w->stubborn);
}

static struct fate fate_of(const struct way *w, double p)
{
    struct counts c;
    long double wrong = 0.0L, futile = 0.0L, mean = 0.0L, all = 0.0L;
    counts_new(&c, 0, 1);
    c.weight[0] = 1.0L;
    for (int look = 0; look < w->s->looks; look++) {
        const int64_t n = w->s->look[look].n;
        add_draws(&c, n - (look > 0 ? w->s->look[look - 1].n : 0), p);
        for (int64_t i = 0; i < c.size; i++) {
            const int64_t k = c.first + i;
            if (c.weight[i] > 0.0L && stops(w, look, k)) {
                wrong += k >= w->wrong[look] ? c.weight[i] : 0.0L;
                futile += look < w->s->looks - 1 && k < w->wrong[look] ? c.weight[i] : 0.0L;
                mean += c.weight[i] * (long double)n;
                all += c.weight[i];
                c.weight[i] = 0.0L;
            }
        }
    }
    tdo_memory_free(&c.weight);
    CU_ASSERT_TRUE(fabsl(all - 1.0L) < 1e-12L);
    return (struct fate){(double)wrong, (double)futile, (double)mean};
}

static void find_wrong(struct way *w, double p0)
{
    for (int look = 0; look < w->s->looks; look++) {
        ASSERT_OK(tdo_sequential_threshold(w->s, look, nextafter(p0, 2.0), &w->wrong[look]));
    }
}

/* The probability that an image of vote probability p0 gets a lower bound above p0. */
static struct fate fate_under(const struct tdo_schedule *s, const tdo_sequential *q, double p0)
{
    struct way w = {.s = s, .q = q};
    find_wrong(&w, p0);
    return fate_of(&w, p0);
}

/* ---- schedules ---------------------------------------------------------------------------------- */

static struct tdo_schedule_options options(enum tdo_schedule_mode mode,
                                           enum tdo_schedule_test test, double alpha)
{
    const bool tolerant = mode == TDO_SCHEDULE_TOLERANCE || mode == TDO_SCHEDULE_MILLION;
    return (struct tdo_schedule_options){.mode = mode,
                                         .test = test,
                                         .n = draws(),
                                         .alpha = alpha,
                                         .beta = 0.001,
                                         .sigma = 1.0,
                                         .tolerance = tolerant ? 0.25 : 0.0};
}

/* The least radius that wants a probability above p0. */
static double radius_above(double p0)
{
    double r = 0.0, p = 0.0;
    ASSERT_OK(tdo_exact_normal_quantile_down(p0, &r));
    while (p <= p0) {
        r = nextafter(r, 10.0);
        ASSERT_OK(tdo_exact_normal_cdf_up(r, 1.0, 0.0, &p));
    }
    return r;
}

static void add_targets(struct tdo_schedule_options *o, double p0, bool three)
{
    const double r = radius_above(p0);
    o->targets = three ? 3 : 1;
    o->target[0] = three ? 0.9 * r : r;
    o->target[1] = r;
    o->target[2] = 1.05 * r;
}

static void report(const char *name, double p0, double alpha, const struct fate *f)
{
    if (getenv("TESTUDO_COVERAGE")) {
        printf("%-16s n %7lld  p0 %.4f  alpha %.3f  wrong %.3e = %.3f alpha  mean draws %.0f\n",
               name, (long long)draws(), p0, alpha, f->wrong, f->wrong / alpha, f->draws);
        fflush(stdout);
    }
}

static bool covered(const struct fate *f, double alpha)
{
    return f->wrong * (1.0 + 1e-9) + 1e-20 <= alpha;
}

/* ---- the tests ------------------------------------------------------------------------------------ */

static void cover_fixed(void)
{
    for (int a = 0; a < ALPHAS; a++) {
        const struct tdo_schedule_options o =
            options(TDO_SCHEDULE_FIXED, TDO_SCHEDULE_GROUP, ALPHA[a]);
        struct tdo_schedule s;
        tdo_sequential *q = NULL;
        double most = 0.0;
        ASSERT_OK(tdo_schedule_make(&o, &s));
        ASSERT_OK(tdo_sequential_new(&s, &q));
        for (int i = 0; i < TRUTHS; i++) {
            const struct fate f = fate_under(&s, q, TRUTH[i]);
            report("fixed", TRUTH[i], ALPHA[a], &f);
            CU_ASSERT_TRUE(covered(&f, ALPHA[a]));
            most = fmax(most, f.wrong);
        }
        CU_ASSERT_TRUE(most > 0.85 * ALPHA[a]); /* exact bounds waste little */
        tdo_sequential_free(&q);
    }
}

/* One target at p0, or three around it. */
static void cover_radii(enum tdo_schedule_test test, bool three, const char *name)
{
    for (int i = 0; i < TRUTHS * ALPHAS; i++) {
        const double p0 = TRUTH[i % TRUTHS], alpha = ALPHA[i / TRUTHS];
        struct tdo_schedule_options o = options(TDO_SCHEDULE_RADII, test, alpha);
        struct tdo_schedule s;
        tdo_sequential *q = NULL;
        add_targets(&o, p0, three);
        ASSERT_OK(tdo_schedule_make(&o, &s));
        ASSERT_OK(tdo_sequential_new(&s, &q));
        const struct fate f = fate_under(&s, q, p0);
        report(name, p0, alpha, &f);
        CU_ASSERT_TRUE(covered(&f, alpha));
        if (!three && test == TDO_SCHEDULE_GROUP && p0 < .98) {
            CU_ASSERT_TRUE(f.wrong > 0.7 * alpha);
        }
        tdo_sequential_free(&q);
    }
}

static void cover_tolerance(enum tdo_schedule_mode mode, enum tdo_schedule_test test,
                            const char *name)
{
    for (int a = 0; a < ALPHAS; a++) {
        const struct tdo_schedule_options o = options(mode, test, ALPHA[a]);
        struct tdo_schedule s;
        tdo_sequential *q = NULL;
        ASSERT_OK(tdo_schedule_make(&o, &s));
        ASSERT_OK(tdo_sequential_new(&s, &q));
        for (int i = 0; i < TRUTHS; i++) {
            const struct fate f = fate_under(&s, q, TRUTH[i]);
            report(name, TRUTH[i], ALPHA[a], &f);
            CU_ASSERT_TRUE(covered(&f, ALPHA[a]));
            CU_ASSERT_TRUE(f.draws < 0.9 * (double)o.n || TRUTH[i] > .9);
        }
        tdo_sequential_free(&q);
    }
}

static void fixed_n_covers(void)
{
    cover_fixed();
}

static void target_radii_cover(void)
{
    cover_radii(TDO_SCHEDULE_GROUP, false, "radii");
    cover_radii(TDO_SCHEDULE_GROUP, true, "radii, three");
}

static void target_radii_cover_with_the_confidence_sequence(void)
{
    cover_radii(TDO_SCHEDULE_KT, false, "radii kt");
    cover_radii(TDO_SCHEDULE_KT, true, "radii kt, three");
}

static void a_tolerance_covers(void)
{
    cover_tolerance(TDO_SCHEDULE_TOLERANCE, TDO_SCHEDULE_GROUP, "tolerance");
    cover_tolerance(TDO_SCHEDULE_TOLERANCE, TDO_SCHEDULE_KT, "tolerance kt");
}

static void million_votes_cover(void)
{
    cover_tolerance(TDO_SCHEDULE_MILLION, TDO_SCHEDULE_GROUP, "million");
}

/* What the same machinery says of tests that are wrong. p0 up to .977; beyond, early looks cannot
 * certify. */
static void unsound_schedules_are_caught(void)
{
    for (int i = 0; i < 3 * ALPHAS; i++) {
        const double p0 = TRUTH[i % 3], alpha = ALPHA[i / 3];
        struct tdo_schedule_options o = options(TDO_SCHEDULE_RADII, TDO_SCHEDULE_GROUP, alpha);
        struct tdo_schedule peeking, twice;
        add_targets(&o, p0, false);
        o.n = o.n < 2 * DRAWS ? 2 * DRAWS : o.n; /* eight looks */
        ASSERT_OK(tdo_schedule_make(&o, &peeking));
        twice = peeking;
        for (int j = 0; j < peeking.looks; j++) {
            const bool last = j == peeking.looks - 1;
            peeking.look[j].alpha = alpha;
            twice.look[j].alpha = last ? alpha : alpha / (peeking.looks - 1);
        }
        CU_ASSERT_EQUAL(tdo_schedule_check(&peeking), TDO_ERR_CONFIG);
        CU_ASSERT_EQUAL(tdo_schedule_check(&twice), TDO_ERR_CONFIG);
        struct fate f = fate_under(&peeking, NULL, p0);
        report("peeking", p0, alpha, &f);
        CU_ASSERT_TRUE(f.wrong > 3.0 * alpha);
        f = fate_under(&twice, NULL, p0);
        report("spending twice", p0, alpha, &f);
        CU_ASSERT_TRUE(f.wrong > 1.4 * alpha);
    }
}

static void giving_up_costs_at_most_beta_and_no_coverage(void)
{
    for (int i = 0; i < 4; i++) {
        const double p0 = TRUTH[i % 2 + 1];
        struct tdo_schedule_options o =
            options(TDO_SCHEDULE_RADII, (enum tdo_schedule_test)(i / 2), .01);
        struct tdo_schedule s;
        tdo_sequential *q = NULL;
        add_targets(&o, p0, false);
        ASSERT_OK(tdo_schedule_make(&o, &s));
        ASSERT_OK(tdo_sequential_new(&s, &q));
        struct way w = {.s = &s, .q = q};
        find_wrong(&w, p0);
        const struct fate f = fate_of(&w, p0);
        w.stubborn = true;
        const struct fate stubborn = fate_of(&w, p0);
        CU_ASSERT_TRUE(f.wrong <= stubborn.wrong * (1.0 + 1e-12));
        CU_ASSERT_TRUE(covered(&stubborn, .01));
        CU_ASSERT_TRUE(f.futile > 0.0 && f.futile <= .001); /* at the target itself */
        tdo_sequential_free(&q);
    }
}

/* The dynamic program against plain enumeration of all sequences of votes. */
static void the_program_agrees_with_enumeration(void)
{
    struct tdo_schedule s = {.looks = 3, .look = {{4, .1, 0}, {8, .1, 0}, {12, .1, 0}}};
    struct way w = {.s = &s, .wrong = {4, 7, 10}};
    const double p = 0.7;
    double wrong = 0.0, mean = 0.0;
    for (unsigned votes = 0; votes < 1u << 12; votes++) {
        int count = 0, look = 0;
        double weight = 1.0;
        bool above = false;
        for (int t = 1; t <= 12; t++) {
            const bool vote = votes >> (t - 1) & 1;
            weight *= vote ? p : 1.0 - p;
            count += vote;
            if (!above && t % 4 == 0) {
                look = t / 4 - 1;
                above = count >= w.wrong[look];
            }
        }
        wrong += above ? weight : 0.0;
        mean += weight * (double)s.look[look].n;
    }
    const struct fate f = fate_of(&w, p);
    CU_ASSERT_DOUBLE_EQUAL(f.wrong, wrong, 1e-14);
    CU_ASSERT_DOUBLE_EQUAL(f.draws, mean, 1e-12);
}

const char suite_name[] = "coverage";
CU_TestInfo suite_tests[] = {
    {"the dynamic program agrees with enumeration", the_program_agrees_with_enumeration},
    {"fixed n is wrong with probability at most alpha", fixed_n_covers},
    {"target radii are wrong with probability at most alpha", target_radii_cover},
    {"so they are with the confidence sequence",
     target_radii_cover_with_the_confidence_sequence},
    {"a tolerance is wrong with probability at most alpha", a_tolerance_covers},
    {"million votes are wrong with probability at most alpha", million_votes_cover},
    {"peeking and spending alpha twice are caught", unsound_schedules_are_caught},
    {"giving up costs at most beta and no coverage",
     giving_up_costs_at_most_beta_and_no_coverage},
    CU_TEST_INFO_NULL,
};
