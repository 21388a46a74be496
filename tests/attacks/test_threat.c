/* Balls, boxes and steepest directions against their closed forms in double. */
#include <math.h>
#include <string.h>

#include "tests/attacks/support.h"

const char suite_name[] = "threat";

enum { P = 50 };

/* A point of the box, and one somewhere around it, of spread up to `far` in each pixel. */
static void points(uint32_t seed, double far, float *x, float *u)
{
    for (int p = 0; p < P; p++) {
        x[p] = (float)toy_number(seed, p);
        u[p] = x[p] + (float)(far * (2 * toy_number(seed, 1000 + p) - 1));
    }
}

static struct tdo_box unit_box(float *low, float *high, float reach)
{
    for (int p = 0; p < P; p++) {
        low[p] = reach > 0 ? -reach : 0;
        high[p] = reach > 0 ? reach : 1;
    }
    return (struct tdo_box){.size = P, .low = low, .high = high};
}

static void norms_agree_with_sums_in_double(void)
{
    float x[P], u[P];
    double sum = 0, most = 0;
    int count = 0;
    points(1, 0.5, x, u);
    u[3] = x[3];
    u[7] = x[7];
    for (int p = 0; p < P; p++) {
        const double d = (double)u[p] - (double)x[p];
        sum += d * d;
        most = fmax(most, fabs(d));
        count += u[p] != x[p];
    }
    const struct tdo_norms n = tdo_threat_norms(u, x, P);
    CU_ASSERT_EQUAL(n.of[TDO_NORM_L0], count);
    CU_ASSERT_EQUAL(count, P - 2);
    CU_ASSERT_TRUE(fabs(n.of[TDO_NORM_L2] - sqrt(sum)) <= 1e-14);
    CU_ASSERT_EQUAL(n.of[TDO_NORM_LINF], most);
    const float alone[3] = {3, 0, -4};
    CU_ASSERT_EQUAL(tdo_threat_norms(alone, NULL, 3).of[TDO_NORM_L2], 5);
    CU_ASSERT_EQUAL(tdo_threat_norms(alone, NULL, 3).of[TDO_NORM_L0], 2);
    CU_ASSERT_EQUAL(tdo_threat_norms(alone, NULL, 3).of[TDO_NORM_LINF], 4);
}

/* The nearest point of the ball: clipped in each pixel, or scaled; then into the box. */
static void projection_is_the_closed_form(void)
{
    float x[P], u[P], v[P], low[P], high[P];
    const double eps[] = {0, 0.03, 0.4, 2, 100};
    const struct tdo_box box = unit_box(low, high, 0);
    for (int k = 0; k < 10; k++) {
        const enum tdo_norm norm = k % 2 ? TDO_NORM_L2 : TDO_NORM_LINF;
        const double e = eps[k / 2];
        points((uint32_t)k, 0.7, x, u);
        const double length = tdo_threat_norms(u, x, P).of[norm];
        memcpy(v, u, sizeof v);
        tdo_threat_project(norm, e, &box, x, v);
        for (int p = 0; p < P; p++) {
            const double d = (double)u[p] - (double)x[p];
            const double in =
                norm == TDO_NORM_L2 ? d * fmin(1, e / length) : fmax(-e, fmin(e, d));
            const double want = fmax(0, fmin(1, (double)x[p] + in));
            CU_ASSERT_TRUE(fabs((double)v[p] - want) <= 2e-7);
            CU_ASSERT_TRUE(v[p] >= 0 && v[p] <= 1);
        }
        CU_ASSERT_TRUE(tdo_threat_norms(v, x, P).of[norm] <= e + 1e-6);
    }
}

static void projecting_twice_changes_nothing_more(void)
{
    float x[P], u[P], v[P], low[P], high[P];
    const struct tdo_box box = unit_box(low, high, 0);
    for (uint32_t k = 0; k < 40; k++) {
        const enum tdo_norm norm = k % 2 ? TDO_NORM_L2 : TDO_NORM_LINF;
        points(k, 0.7, x, u);
        tdo_threat_project(norm, 0.25, &box, x, u);
        memcpy(v, u, sizeof v);
        tdo_threat_project(norm, 0.25, &box, x, v);
        for (int p = 0; p < P; p++) { /* L2: the length was rounded */
            CU_ASSERT_TRUE(fabsf(u[p] - v[p]) <= (norm == TDO_NORM_L2 ? 1.2e-7F : 0));
        }
    }
}

static void what_lies_inside_stays_bit_for_bit(void)
{
    float x[P], u[P], v[P], low[P], high[P];
    const struct tdo_box box = unit_box(low, high, 4);
    for (enum tdo_norm norm = TDO_NORM_L0; norm < TDO_NORMS; norm++) {
        points(9, 0.1, x, u);
        memcpy(v, u, sizeof v);
        tdo_threat_project(norm, norm == TDO_NORM_LINF ? 0.2 : 3, &box, x, v);
        CU_ASSERT_EQUAL(memcmp(u, v, sizeof u), 0);
        tdo_threat_project(norm, HUGE_VAL, &box, x, v);
        CU_ASSERT_EQUAL(memcmp(u, v, sizeof u), 0);
    }
}

static void a_ball_without_end_leaves_the_box_alone_to_bound(void)
{
    float x[P], u[P], v[P], low[P], high[P];
    const struct tdo_box box = unit_box(low, high, 0);
    points(4, 3, x, u);
    memcpy(v, u, sizeof v);
    tdo_threat_project(TDO_NORM_L2, HUGE_VAL, &box, x, v);
    for (int p = 0; p < P; p++) {
        CU_ASSERT_EQUAL(v[p], u[p] < 0 ? 0 : u[p] > 1 ? 1 : u[p]);
    }
}

/* Of all directions of unit norm none climbs g by more: sum |g| for L-inf, |g|_2 for L2. */
static void climbing_reaches_the_dual_norm_and_keeps_the_length(void)
{
    float g[P], x[P], u[P];
    double one = 0, two = 0;
    points(5, 1, x, g);
    g[11] = 0;
    for (int p = 0; p < P; p++) {
        one += fabs((double)g[p]);
        two += (double)g[p] * (double)g[p];
    }
    const double dual[TDO_NORMS] = {0, sqrt(two), one};
    for (enum tdo_norm norm = TDO_NORM_L2; norm < TDO_NORMS; norm++) {
        memset(u, 0, sizeof u);
        tdo_threat_climb(norm, 0.5, g, P, u);
        double gain = 0;
        for (int p = 0; p < P; p++) {
            gain += (double)g[p] * (double)u[p];
        }
        CU_ASSERT_TRUE(fabs(gain - 0.5 * dual[norm]) <= 1e-6 * dual[norm]);
        CU_ASSERT_TRUE(fabs(tdo_threat_norms(u, NULL, P).of[norm] - 0.5) <= 1e-6);
    }
}

static void a_gradient_of_zero_moves_nothing(void)
{
    float g[P] = {0}, x[P], u[P], v[P];
    points(6, 0.3, x, u);
    memcpy(v, u, sizeof v);
    tdo_threat_climb(TDO_NORM_L2, 1, g, P, v);
    CU_ASSERT_EQUAL(memcmp(u, v, sizeof u), 0);
    tdo_threat_climb(TDO_NORM_LINF, 1, g, P, v);
    CU_ASSERT_EQUAL(memcmp(u, v, sizeof u), 0);
}

/* Gradients of attacks are often tiny: their squares must not vanish. */
static void a_tiny_gradient_still_has_a_direction(void)
{
    float g[P], u[P] = {0};
    for (int p = 0; p < P; p++) {
        g[p] = 1e-30F * (float)(1 + p % 3);
    }
    tdo_threat_climb(TDO_NORM_L2, 1, g, P, u);
    CU_ASSERT_TRUE(fabs(tdo_threat_norms(u, NULL, P).of[TDO_NORM_L2] - 1) <= 1e-6);
    memset(u, 0, sizeof u);
    for (int p = 0; p < P; p++) {
        g[p] = 1e-42F * (float)(1 + p % 3); /* 1 / |g| is no float any more */
    }
    tdo_threat_climb(TDO_NORM_L2, 1, g, P, u);
    CU_ASSERT_TRUE(fabs(tdo_threat_norms(u, NULL, P).of[TDO_NORM_L2] - 1) <= 1e-2);
}

CU_TestInfo suite_tests[] = {
    {"norms agree with sums in double", norms_agree_with_sums_in_double},
    {"projection is the closed form", projection_is_the_closed_form},
    {"projecting twice changes nothing more", projecting_twice_changes_nothing_more},
    {"what lies inside stays, bit for bit", what_lies_inside_stays_bit_for_bit},
    {"a ball without end leaves the box alone to bound",
     a_ball_without_end_leaves_the_box_alone_to_bound},
    {"climbing reaches the dual norm and keeps the length",
     climbing_reaches_the_dual_norm_and_keeps_the_length},
    {"a gradient of zero moves nothing", a_gradient_of_zero_moves_nothing},
    {"a tiny gradient still has a direction", a_tiny_gradient_still_has_a_direction},
    CU_TEST_INFO_NULL,
};
