/* Optimisers against PyTorch 2.13: torch.optim.SGD and Adam, torch.nn.utils.clip_grad_norm_, three
 * steps on the weights 1, -2, 0.5; and against numbers by hand. */
#include <math.h>

#include "nn/optim.h"
#include "tests/runner.h"

const char suite_name[] = "optim";

static tdo_params *one_entry(const char *name, tdo_shape shape, bool no_decay, tdo_params *to)
{
    int64_t index = 0;
    const struct tdo_param entry = {.name = name, .shape = shape, .no_decay = no_decay};
    if (!to) {
        ASSERT_OK_FATAL(tdo_params_new(&to));
    }
    ASSERT_OK_FATAL(tdo_params_add(to, &entry, &index));
    return to;
}

static bool near(float a, double b)
{
    return fabs((double)a - b) <= 1e-6 * fabs(b);
}

/* Weights 1, -2, 0.5 after three steps of rate 0.1, beside what is expected. */
static void compare(const struct tdo_optim_options *options, const double expected[3])
{
    static const float g[3][3] = {{2, -1, .3F}, {-1, 4, 0}, {.25F, .5F, -2}};
    float w[3] = {1, -2, .5F};
    tdo_optim *o = NULL;
    tdo_params *p = one_entry("w", TDO_SHAPE(3), false, NULL);
    ASSERT_OK_FATAL(tdo_optim_new(options, p, &o));
    for (int step = 0; step < 3; step++) {
        tdo_optim_step(o, 0.1, w, g[step]);
    }
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_TRUE(near(w[i], expected[i]));
    }
    CU_ASSERT_EQUAL(*tdo_optim_steps(o), 3);
    tdo_optim_free(&o);
    tdo_params_free(&p);
}

static void nesterov(void)
{
    const struct tdo_optim_options o = {
        .momentum = 0.9, .weight_decay = 0.01, .nesterov = true};
    compare(&o, (double[]){0.52936214, -2.81861496, 0.77312118});
}

static void clipped(void)
{
    const struct tdo_optim_options o = {.momentum = 0.9, .weight_decay = 0.01, .clip = 1.5};
    compare(&o, (double[]){0.68557262, -2.12132502, 0.58768278});
}

static void adam(void)
{
    struct tdo_optim_options o = {.kind = TDO_OPTIM_ADAM,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .epsilon = 1e-8,
                                  .weight_decay = 0.01};
    compare(&o, (double[]){0.84462833, -2.00546980, 0.38724634});
    o = (struct tdo_optim_options){
        .kind = TDO_OPTIM_ADAM, .beta1 = 0.5, .beta2 = 0.9, .epsilon = 1e-3};
    compare(&o, (double[]){0.88858736, -2.03211784, 0.44178778});
}

/* lr 0.1, momentum 0.9, weight decay 0.01, p = 1, then gradients 2 and -1:
 *   d = 2.01,      v = 2.01,                   p = 1 - 0.201          = 0.799
 *   d = -0.99201,  v = 1.809 - 0.99201 = .81699, p = 0.799 - 0.081699 = 0.717301 */
static void two_steps_by_hand(void)
{
    const struct tdo_optim_options options = {.momentum = 0.9, .weight_decay = 0.01};
    float w[1] = {1};
    tdo_optim *o = NULL;
    int64_t count = 0;
    tdo_params *p = one_entry("w", TDO_SHAPE(1), false, NULL);
    ASSERT_OK_FATAL(tdo_optim_new(&options, p, &o));
    const float *v = tdo_optim_state(o, &count);
    CU_ASSERT_EQUAL(count, 1);
    tdo_optim_step(o, 0.1, w, (float[]){2});
    CU_ASSERT_TRUE(near(v[0], 2.01) && near(w[0], 0.799));
    tdo_optim_step(o, 0.1, w, (float[]){-1});
    CU_ASSERT_TRUE(near(v[0], 0.81699) && near(w[0], 0.717301));
    tdo_optim_reset(o);
    CU_ASSERT_TRUE(v[0] == 0 && *tdo_optim_steps(o) == 0);
    tdo_optim_free(&o);
    tdo_params_free(&p);
}

/* Weights of a vector, a matrix, and a matrix with the switch, after a step without gradient. */
static void decay_of(bool kernels, float w[6])
{
    const struct tdo_optim_options options = {.weight_decay = 0.5, .decay_kernels = kernels};
    tdo_optim *o = NULL;
    tdo_params *p = one_entry("bias", TDO_SHAPE(2), false, NULL);
    p = one_entry("kernel", TDO_SHAPE(1, 2), false, p);
    p = one_entry("alpha", TDO_SHAPE(1, 2), true, p);
    for (int i = 0; i < 6; i++) {
        w[i] = 4;
    }
    ASSERT_OK_FATAL(tdo_optim_new(&options, p, &o));
    tdo_optim_step(o, 1, w, (float[6]){0});
    tdo_optim_free(&o);
    tdo_params_free(&p);
}

static void decay_by_parameter(void)
{
    float w[6];
    decay_of(false, w);
    CU_ASSERT_TRUE(w[0] == 2 && w[1] == 2 && w[2] == 2 && w[3] == 2 && w[4] == 4 && w[5] == 4);
    decay_of(true, w);
    CU_ASSERT_TRUE(w[0] == 4 && w[1] == 4 && w[2] == 2 && w[3] == 2 && w[4] == 4 && w[5] == 4);
}

static void elements_do_not_mix(void)
{
    enum { N = 37 }; /* no multiple of a vector */
    for (int kind = 0; kind < 3; kind++) {
        const struct tdo_optim_options options = {.kind = kind == 2 ? TDO_OPTIM_ADAM
                                                                    : TDO_OPTIM_SGD,
                                                  .nesterov = kind == 1,
                                                  .momentum = 0.9,
                                                  .beta1 = 0.9,
                                                  .beta2 = 0.99,
                                                  .epsilon = 1e-8,
                                                  .weight_decay = 0.1};
        float w[N + 1], g[N];
        tdo_optim *all = NULL, *one = NULL;
        tdo_params *p = one_entry("w", TDO_SHAPE(N), false, NULL);
        tdo_params *q = one_entry("w", TDO_SHAPE(1), false, NULL);
        ASSERT_OK_FATAL(tdo_optim_new(&options, p, &all));
        ASSERT_OK_FATAL(tdo_optim_new(&options, q, &one));
        for (int i = 0; i < N; i++) {
            w[i] = (float)i;
            g[i] = (float)(i % 7) - 3;
        }
        w[N] = 99;
        tdo_optim_step(all, 0.5, w, g);
        tdo_optim_step(all, 0.5, w, g);
        for (int i = 0; i < N; i++) {
            float alone[1] = {(float)i};
            tdo_optim_reset(one);
            tdo_optim_step(one, 0.5, alone, &g[i]);
            tdo_optim_step(one, 0.5, alone, &g[i]);
            CU_ASSERT_TRUE(w[i] == alone[0]);
        }
        CU_ASSERT_TRUE(w[N] == 99);
        tdo_optim_free(&all);
        tdo_optim_free(&one);
        tdo_params_free(&p);
        tdo_params_free(&q);
    }
}

/* LARS: a matrix (3, 4) and a bias 1; momentum 0.9, decay 0.01, trust 0.02, rate 0.5; gradients (1, -2),
 * 0.5, then (0.5, 0.25), -1. By hand, step 1: |w| = 5, |g| = sqrt(5), r = 0.1 / (sqrt(5) + 0.05) =
 * 0.0437433; w = w - 0.5 r (1.03, -1.96) = (2.9774722, 4.0428684). The bias has r = 1:
 * 1 - 0.5 (0.5 + 0.01) = 0.745. */
static void lars(void)
{
    const struct tdo_optim_options options = {
        .kind = TDO_OPTIM_LARS, .momentum = 0.9, .weight_decay = 0.01, .trust = 0.02};
    float w[3] = {3, 4, 1};
    tdo_optim *o = NULL;
    tdo_params *p = one_entry("kernel", TDO_SHAPE(1, 2), false, NULL);
    p = one_entry("bias", TDO_SHAPE(1), false, p);
    ASSERT_OK_FATAL(tdo_optim_new(&options, p, &o));
    tdo_optim_step(o, 0.5, w, (float[]){1, -2, .5F});
    CU_ASSERT_TRUE(near(w[0], 2.977472236) && near(w[1], 4.042868367) && near(w[2], 0.745));
    tdo_optim_step(o, 0.5, w, (float[]){.5F, .25F, -1});
    CU_ASSERT_TRUE(near(w[0], 2.913535631) && near(w[1], 4.057514088) && near(w[2], 1.011775));
    tdo_optim_free(&o);
    tdo_params_free(&p);
}

/* The length of a step of LARS is trust |w|, whatever the gradient's scale: two matrices side by side
 * do not share a rate. */
static void lars_scale(void)
{
    const struct tdo_optim_options options = {.kind = TDO_OPTIM_LARS, .trust = 0.01};
    float w[6] = {3, 4, 0, 0, 6, 8};
    tdo_optim *o = NULL;
    tdo_params *p = one_entry("a", TDO_SHAPE(1, 2), false, NULL);
    p = one_entry("zero", TDO_SHAPE(1, 2), false, p);
    p = one_entry("b", TDO_SHAPE(1, 2), false, p);
    ASSERT_OK_FATAL(tdo_optim_new(&options, p, &o));
    tdo_optim_step(o, 1, w, (float[]){1000, 0, .5F, 0, 0, 1e-4F});
    CU_ASSERT_TRUE(near(w[0], 3 - 0.05) && near(w[1], 4));
    CU_ASSERT_TRUE(near(w[2], -0.5) && near(w[4], 6) && near(w[5], 8 - 0.1));
    tdo_optim_free(&o);
    tdo_params_free(&p);
}

CU_TestInfo suite_tests[] = {
    {"two steps of SGD come out as by hand, and a reset forgets them", two_steps_by_hand},
    {"Nesterov's momentum is PyTorch's", nesterov},
    {"a long gradient is scaled down as PyTorch does it", clipped},
    {"Adam is PyTorch's", adam},
    {"weight decay is switched by kind and by parameter", decay_by_parameter},
    {"elements do not mix, and none beyond n is touched", elements_do_not_mix},
    {"LARS takes the steps of its definition", lars},
    {"LARS gives each layer a step in proportion to its weights", lars_scale},
    CU_TEST_INFO_NULL,
};
