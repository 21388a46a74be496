/* Tanh space: there and back, at the borders too, and its slope against central differences. */
#include <math.h>

#include "attacks/squash.h"
#include "tests/attacks/support.h"

const char suite_name[] = "squash";

enum { P = 64 };

/* A box of different intervals, and points in it: the borders, then any. */
static struct tdo_box box_and_points(float *low, float *high, float *u)
{
    for (int p = 0; p < P; p++) {
        low[p] = p % 3 ? (float)(-2 * toy_number(1, p)) : 0;
        high[p] = p % 3 ? (float)(0.5 + toy_number(2, p)) : 1;
        const double at = p < 6 ? 0 : p < 12 ? 1 : toy_number(3, p);
        u[p] = p < 6    ? low[p]
               : p < 12 ? high[p]
                        : (float)((double)low[p] + at * ((double)high[p] - (double)low[p]));
    }
    return (struct tdo_box){.size = P, .low = low, .high = high};
}

static void points_come_back_and_border_points_are_finite(void)
{
    float low[P], high[P], u[P], w[P], back[P];
    const struct tdo_box box = box_and_points(low, high, u);
    tdo_squash_from(&box, u, w);
    tdo_squash_to(&box, w, back);
    for (int p = 0; p < P; p++) {
        const double range = (double)high[p] - (double)low[p];
        CU_ASSERT_TRUE(isfinite(w[p]) && fabs((double)w[p]) < 8);
        CU_ASSERT_TRUE(fabs((double)back[p] - (double)u[p]) <= 1e-6 * range);
        CU_ASSERT_TRUE(back[p] >= low[p] && back[p] <= high[p]);
    }
}

static void the_chain_rule_agrees_with_central_differences(void)
{
    float low[P], high[P], u[P], w[P], g[P];
    const struct tdo_box box = box_and_points(low, high, u);
    tdo_squash_from(&box, u, w);
    for (int p = 0; p < P; p++) {
        g[p] = (float)(1 + p);
    }
    tdo_squash_chain(&box, w, g);
    for (int p = 0; p < P; p++) {
        const double half = ((double)high[p] - (double)low[p]) / 2, h = 1e-4, at = (double)w[p];
        const double slope = half * (tanh(at + h) - tanh(at - h)) / (2 * h);
        CU_ASSERT_TRUE(fabs((double)g[p] - (1 + p) * slope) <= 1e-6 * (1 + p) * slope);
        CU_ASSERT_TRUE(g[p] > 0);
    }
}

CU_TestInfo suite_tests[] = {
    {"points come back, and border points are finite",
     points_come_back_and_border_points_are_finite},
    {"the chain rule agrees with central differences",
     the_chain_rule_agrees_with_central_differences},
    CU_TEST_INFO_NULL,
};
