/* Ties and kinks: the table of nn/README.md, exactly, in every arithmetic. Values are given by
 * hand; where they agree with PyTorch the README says so. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/nn/support.h"

const char suite_name[] = "graph/ops";

#define NOT_A_NUMBER ((double)NAN)

static bool equal(double a, double b)
{
    return isnan(a) ? isnan(b) : a == b && (a != 0 || !signbit(a) == !signbit(b));
}

/* The value of y, and its gradient by x, where x [n] holds `at`; either expectation may be NULL. */
static void expect(tdo_graph *g, tdo_node x, tdo_node y, int n, const double *at,
                   const double *value, const double *slope)
{
    tdo_node out[2] = {y, TDO_NONE};
    tdo_grad(g, y, TDO_NONE, 1, &x, &out[1]);
    for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
        double got[2][16];
        tdo_plan *p = probe_plan(g, 2, out, how, NULL);
        probe_set(p, x, how, n, at);
        ASSERT_OK_FATAL(tdo_plan_run(p));
        for (int k = 0; k < 2; k++) {
            const double *want = k ? slope : value;
            const int64_t count = probe_count(g, out[k]);
            CU_ASSERT_FATAL(count <= 16);
            probe_get(p, k, how, count, got[k]);
            for (int64_t i = 0; want && i < count; i++) {
                if (!equal(got[k][i], want[i])) {
                    printf("%s, %s %lld: %g, expected %g\n", arithmetic_name[how],
                           k ? "slope" : "value", (long long)i, got[k][i], want[i]);
                }
                CU_ASSERT_TRUE(equal(got[k][i], want[i]));
            }
        }
        tdo_plan_free(&p);
    }
}

static tdo_graph *begin(int64_t n, tdo_node *x)
{
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    *x = tdo_op_input(g, "x", TDO_SHAPE(n));
    return g;
}

#define LIST(...) ((const double[]){__VA_ARGS__})

/* By hand: with corners the ends lie on each other; without, the halves of a place do. */
static void resizing_interpolates(void)
{
    static const double to[2][5] = {{0, 0.5, 1, 2.5, 4}, {0, 0.25, 0.75, 1}};
    tdo_node x;
    tdo_graph *g = begin(3, &x);
    tdo_node image = tdo_op_reshape(g, x, TDO_SHAPE(1, 1, 3, 1));
    tdo_node y = tdo_op_reshape(g, tdo_op_upsample(g, image, 1, 5, true), TDO_SHAPE(5));
    expect(g, x, y, 3, LIST(0, 1, 4), to[0], LIST(1.5, 2, 1.5));
    tdo_graph_free(&g);
    g = begin(2, &x);
    image = tdo_op_reshape(g, x, TDO_SHAPE(1, 2, 1, 1));
    y = tdo_op_reshape(g, tdo_op_upsample(g, image, 4, 1, false), TDO_SHAPE(4));
    expect(g, x, y, 2, LIST(0, 1), to[1], LIST(2, 2));
    tdo_graph_free(&g);
}

static void relu_has_slope_0_at_0(void)
{
    tdo_node x;
    tdo_graph *g = begin(4, &x);
    expect(g, x, tdo_op_relu(g, x), 4, LIST(-1, 0, 2, NOT_A_NUMBER),
           LIST(0, 0, 2, NOT_A_NUMBER), LIST(0, 0, 1, 0));
    tdo_graph_free(&g);
}

static void clip_has_slope_1_at_both_ends(void)
{
    tdo_node x;
    tdo_graph *g = begin(6, &x);
    expect(g, x, tdo_op_clip(g, x, -1, 2), 6, LIST(-2, -1, 0.5, 2, 3, NOT_A_NUMBER),
           LIST(-1, -1, 0.5, 2, 2, NOT_A_NUMBER), LIST(0, 1, 1, 1, 0, 0));
    tdo_graph_free(&g);
}

static void sign_of_0_is_0_and_its_slope_too(void)
{
    tdo_node x;
    tdo_graph *g = begin(4, &x);
    expect(g, x, tdo_op_sign(g, x), 4, LIST(-3, 0, -0.0, 1e-30), LIST(-1, 0, 0, 1),
           LIST(0, 0, 0, 0));
    /* |x| as x sign(x): slope 0 at 0 */
    expect(g, x, tdo_op_mul(g, x, tdo_op_sign(g, x)), 4, LIST(-3, 0, 5, 1), LIST(3, 0, 5, 1),
           LIST(-1, 0, 1, 1));
    tdo_graph_free(&g);
}

static void comparisons_are_strict_where_they_say_so(void)
{
    tdo_node x;
    tdo_graph *g = begin(4, &x);
    tdo_node one = tdo_op_constant(g, TDO_SHAPE(4), 1);
    expect(g, x, tdo_op_greater(g, x, one), 4, LIST(0, 1, 2, NOT_A_NUMBER), LIST(0, 0, 1, 0),
           NULL);
    expect(g, x, tdo_op_inside(g, x, 0, 1), 4, LIST(0, 1, 2, NOT_A_NUMBER), LIST(1, 1, 0, 0),
           NULL);
    tdo_graph_free(&g);
}

static void sqrt_is_infinitely_steep_at_0(void)
{
    tdo_node x;
    tdo_graph *g = begin(3, &x);
    expect(g, x, tdo_op_sqrt(g, x), 3, LIST(0, 4, -1), LIST(0, 2, NOT_A_NUMBER),
           LIST(HUGE_VAL, 0.25, NOT_A_NUMBER));
    tdo_graph_free(&g);
}

static void round_takes_ties_to_even(void)
{
    tdo_node x;
    tdo_graph *g = begin(6, &x);
    expect(g, x, tdo_op_round(g, x), 6, LIST(0.5, 1.5, 2.5, -0.5, -1.5, 0.49),
           LIST(0, 2, 2, -0.0, -2, 0), LIST(0, 0, 0, 0, 0, 0));
    tdo_graph_free(&g);
}

static void select_is_constant_in_its_mask(void)
{
    tdo_node x;
    tdo_graph *g = begin(3, &x);
    tdo_node a = tdo_op_affine(g, x, 2, 0), b = tdo_op_affine(g, x, 3, 0);
    expect(g, x, tdo_op_select(g, x, a, b), 3, LIST(-1, 0, 2), LIST(-2, 0, 4), LIST(2, 3, 2));
    /* the branch that is not taken may be anything */
    tdo_node root = tdo_op_log(g, x), zero = tdo_op_constant(g, TDO_SHAPE(3), 0);
    expect(g, x, tdo_op_select(g, tdo_op_greater(g, x, zero), root, zero), 3, LIST(-1, 0, 1),
           LIST(0, 0, 0), NULL);
    tdo_graph_free(&g);
}

static void argmax_takes_the_lowest_index(void)
{
    tdo_node x;
    tdo_graph *g = begin(9, &x);
    tdo_node rows = tdo_op_reshape(g, x, TDO_SHAPE(3, 3));
    expect(g, x, tdo_op_argmax(g, rows), 9, LIST(1, 1, 1, 0, 2, 2, -1, -3, -1), LIST(0, 1, 0),
           LIST(0, 0, 0, 0, 0, 0, 0, 0, 0));
    tdo_graph_free(&g);
}

static void maxpool_takes_the_first_in_scan_order(void)
{
    const struct tdo_pool two = {.window = {2, 2}, .stride = {2, 2}};
    const struct tdo_pool padded = {.window = {2, 2}, .stride = {2, 2}, .pad = {1, 1, 1, 1}};
    tdo_node x;
    tdo_graph *g = begin(8, &x);
    tdo_node image = tdo_op_reshape(g, x, TDO_SHAPE(1, 2, 4, 1));
    expect(g, x, tdo_op_maxpool(g, image, &two), 8, LIST(1, 5, 3, 3, 5, 5, 3, 3), LIST(5, 3),
           LIST(0, 1, 1, 0, 0, 0, 0, 0));
    /* a NaN wins and stays */
    expect(g, x, tdo_op_maxpool(g, image, &two), 8, LIST(1, NOT_A_NUMBER, 3, 3, 5, 5, 7, 3),
           LIST(NOT_A_NUMBER, 7), LIST(0, 1, 0, 0, 0, 0, 1, 0));
    /* padding never wins, even against minus infinity */
    expect(g, x, tdo_op_maxpool(g, image, &padded), 8,
           LIST(-HUGE_VAL, -1, -1, -2, -3, -4, -5, -6), LIST(-HUGE_VAL, -1, -2, -3, -4, -6),
           LIST(1, 1, 0, 1, 1, 1, 0, 1));
    tdo_graph_free(&g);
}

static void average_counts_padding_only_if_asked(void)
{
    struct tdo_pool p = {.window = {2, 2}, .stride = {2, 2}, .pad = {1, 1, 1, 1}};
    tdo_node x;
    tdo_graph *g = begin(4, &x);
    tdo_node image = tdo_op_reshape(g, x, TDO_SHAPE(1, 2, 2, 1));
    expect(g, x, tdo_op_avgpool(g, image, &p), 4, LIST(4, 8, 12, 16), LIST(4, 8, 12, 16),
           LIST(1, 1, 1, 1));
    p.count_pad = 1;
    expect(g, x, tdo_op_avgpool(g, image, &p), 4, LIST(4, 8, 12, 16), LIST(1, 2, 3, 4),
           LIST(0.25, 0.25, 0.25, 0.25));
    tdo_graph_free(&g);
}

static void cross_entropy_ignores_classes_of_mass_0(void)
{
    tdo_node x;
    tdo_graph *g = begin(3, &x);
    tdo_node z = tdo_op_reshape(g, x, TDO_SHAPE(1, 3));
    tdo_node t = tdo_op_one_hot(g, tdo_op_constant(g, TDO_SHAPE(1), 1), 3);
    /* an infinitely unlikely class of mass 0 costs nothing; huge logits do not overflow */
    expect(g, x, tdo_op_xent(g, z, t), 3, LIST(-HUGE_VAL, 1e30, -1e30), LIST(0), LIST(0, 0, 0));
    tdo_graph_free(&g);
}

CU_TestInfo suite_tests[] = {
    {"bilinear resizing interpolates, with corners aligned or not", resizing_interpolates},
    {"relu has slope 0 at 0 and passes NaN", relu_has_slope_0_at_0},
    {"clip has slope 1 at both ends and passes NaN", clip_has_slope_1_at_both_ends},
    {"sign of 0 is 0", sign_of_0_is_0_and_its_slope_too},
    {"greater is strict, inside holds its ends", comparisons_are_strict_where_they_say_so},
    {"sqrt is infinitely steep at 0", sqrt_is_infinitely_steep_at_0},
    {"round takes ties to even", round_takes_ties_to_even},
    {"select is constant in its mask", select_is_constant_in_its_mask},
    {"argmax takes the lowest index", argmax_takes_the_lowest_index},
    {"maxpool takes the first in scan order", maxpool_takes_the_first_in_scan_order},
    {"an average counts padding only if asked", average_counts_padding_only_if_asked},
    {"cross entropy ignores classes of mass 0", cross_entropy_ignores_classes_of_mass_0},
    CU_TEST_INFO_NULL,
};
