/* SGD against numbers by hand, which are PyTorch's torch.optim.SGD with the same options. */
#include <math.h>
#include <stdbool.h>

#include "nn/optim.h"
#include "tests/runner.h"

const char suite_name[] = "optim";

static bool near(float a, double b)
{
    return fabs((double)a - b) <= 1e-6 * fabs(b);
}

/* lr 0.1, momentum 0.9, weight decay 0.01, p = 1, then gradients 2 and -1:
 *   d = 2.01,      v = 2.01,                   p = 1 - 0.201          = 0.799
 *   d = -0.99201,  v = 1.809 - 0.99201 = .81699, p = 0.799 - 0.081699 = 0.717301 */
static void two_steps_by_hand(void)
{
    const struct tdo_sgd o = {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01};
    float p[1] = {1}, v[1] = {0}, g[1] = {2};
    tdo_optim_sgd(&o, 1, p, v, g);
    CU_ASSERT_TRUE(near(v[0], 2.01));
    CU_ASSERT_TRUE(near(p[0], 0.799));
    g[0] = -1;
    tdo_optim_sgd(&o, 1, p, v, g);
    CU_ASSERT_TRUE(near(v[0], 0.81699));
    CU_ASSERT_TRUE(near(p[0], 0.717301));
}

static void the_rate_stands_outside_the_velocity(void)
{
    struct tdo_sgd o = {.lr = 1, .momentum = 0.5};
    float p[1] = {0}, v[1] = {0}, g[1] = {8}, none[1] = {0};
    tdo_optim_sgd(&o, 1, p, v, g);
    o.lr = 0.25; /* acts on the whole velocity at once */
    tdo_optim_sgd(&o, 1, p, v, none);
    CU_ASSERT_EQUAL(v[0], 4);
    CU_ASSERT_EQUAL(p[0], -9);
}

static void elements_do_not_mix(void)
{
    enum { N = 37 }; /* no multiple of a vector */
    const struct tdo_sgd o = {.lr = 0.5, .momentum = 0.9, .weight_decay = 0.1};
    float p[N + 1], v[N + 1], g[N];
    for (int i = 0; i < N; i++) {
        p[i] = (float)i;
        v[i] = (float)(i % 5);
        g[i] = (float)(i % 7) - 3;
    }
    p[N] = v[N] = 99;
    tdo_optim_sgd(&o, N, p, v, g);
    for (int i = 0; i < N; i++) {
        float a[1] = {(float)i}, b[1] = {(float)(i % 5)};
        tdo_optim_sgd(&o, 1, a, b, &g[i]);
        CU_ASSERT_TRUE(p[i] == a[0] && v[i] == b[0]);
    }
    CU_ASSERT_TRUE(p[N] == 99 && v[N] == 99);
}

CU_TestInfo suite_tests[] = {
    {"two steps of SGD come out as by hand", two_steps_by_hand},
    {"the learning rate stands outside the velocity", the_rate_stands_outside_the_velocity},
    {"elements do not mix, and none beyond n is touched", elements_do_not_mix},
    CU_TEST_INFO_NULL,
};
