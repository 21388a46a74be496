/* Nodes: equal ones are one, errors stick and say what is wrong, shapes follow the rules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/nn/support.h"

const char suite_name[] = "graph/graph";

static void equal_nodes_are_one_node(void)
{
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    const tdo_shape s = TDO_SHAPE(2, 3);
    tdo_node a = tdo_op_input(g, "a", s), b = tdo_op_input(g, "a", s);
    CU_ASSERT_NOT_EQUAL(a, b); /* two inputs, whatever their names and shapes */
    CU_ASSERT_NOT_EQUAL(tdo_op_key(g, "k", 2), tdo_op_key(g, "k", 2));
    CU_ASSERT_EQUAL(tdo_op_add(g, a, b), tdo_op_add(g, a, b));
    CU_ASSERT_NOT_EQUAL(tdo_op_add(g, a, b), tdo_op_add(g, b, a));
    CU_ASSERT_NOT_EQUAL(tdo_op_add(g, a, b), tdo_op_mul(g, a, b));
    CU_ASSERT_EQUAL(tdo_op_affine(g, a, 2, 1), tdo_op_affine(g, a, 2, 1));
    CU_ASSERT_NOT_EQUAL(tdo_op_affine(g, a, 2, 1), tdo_op_affine(g, a, 2, 2));
    CU_ASSERT_EQUAL(tdo_op_param(g, 3, "w", s), tdo_op_param(g, 3, "w", s));
    CU_ASSERT_NOT_EQUAL(tdo_op_param(g, 3, "w", s), tdo_op_param(g, 4, "w", s));
    CU_ASSERT_EQUAL(tdo_op_constant(g, s, 0.5), tdo_op_constant(g, s, 0.5));
    CU_ASSERT_NOT_EQUAL(tdo_op_constant(g, s, 0.5), tdo_op_constant(g, TDO_SHAPE(3, 2), 0.5));
    tdo_graph_free(&g);
}

static void sharing_holds_while_the_graph_grows(void)
{
    enum { MANY = 3000 };
    tdo_graph *g = NULL;
    tdo_node first[MANY];
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(2));
    for (int i = 0; i < MANY; i++) {
        first[i] = tdo_op_affine(g, x, 1, i);
    }
    const int size = tdo_graph_size(g);
    for (int i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL(tdo_op_affine(g, x, 1, i), first[i]);
    }
    CU_ASSERT_EQUAL(tdo_graph_size(g), size);
    tdo_graph_free(&g);
}

/* However often the table of nodes has grown in between. */
static void a_node_can_be_made_again(void)
{
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(3));
    const tdo_node first = tdo_op_exp(g, x);
    const tdo_node again = tdo_graph_add_again(g, &tdo_row_exp, 1, &x, NULL);
    CU_ASSERT_NOT_EQUAL(again, first);
    CU_ASSERT_EQUAL(tdo_op_exp(g, x), first);
    for (int i = 0; i < 300; i++) {
        (void)tdo_op_affine(g, x, i, 1);
        CU_ASSERT_EQUAL(tdo_op_exp(g, x), first);
    }
    CU_ASSERT_NOT_EQUAL(tdo_op_tanh(g, first), tdo_op_tanh(g, again));
    tdo_node v[2] = {first, again};
    double *got = probe_values(g, 2, v, F64, NULL);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_TRUE(got[i] == got[3 + i] && got[i] > 0);
    }
    free(got);
    /* one that is nowhere else yet can be shared */
    const tdo_node only = tdo_graph_add_again(g, &tdo_row_sqrt, 1, &x, NULL);
    CU_ASSERT_EQUAL(tdo_op_sqrt(g, x), only);
    tdo_graph_free(&g);
}

static void the_same_draw_is_one_node(void)
{
    tdo_graph *g = NULL;
    struct tdo_random how = {.stream = {1, TDO_PURPOSE_TEST, 0}, .shape = TDO_SHAPE(2, 3)};
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node key = tdo_op_key(g, "k", 2), a = tdo_op_random(g, key, &how);
    CU_ASSERT_EQUAL(a, tdo_op_random(g, key, &how));
    how.stream.layer = 1;
    CU_ASSERT_NOT_EQUAL(a, tdo_op_random(g, key, &how));
    tdo_graph_free(&g);
}

static void nothing_is_built_for_a_shape_that_is_there(void)
{
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(2, 3));
    CU_ASSERT_EQUAL(tdo_op_reshape(g, x, TDO_SHAPE(2, 3)), x);
    CU_ASSERT_EQUAL(tdo_op_sum(g, x, TDO_SHAPE(2, 3)), x);
    CU_ASSERT_EQUAL(tdo_op_broadcast(g, x, TDO_SHAPE(2, 3)), x);
    tdo_graph_free(&g);
}

/* Every way to a wrong shape; x is [2,5,4,3], m [4,3]. */
static tdo_node wrong(tdo_graph *g, int k, tdo_node x, tdo_node m)
{
    const struct tdo_conv c = {.stride = {1, 1}, .groups = 1}, none = {.groups = 1};
    const struct tdo_pool p = {.window = {6, 1}, .stride = {1, 1}};
    const struct tdo_random how = {.stream = {1, TDO_PURPOSE_TEST, 0},
                                   .shape = TDO_SHAPE(2, 3)};
    switch (k) {
    case 0:
        return tdo_op_add(g, x, m);
    case 1:
        return tdo_op_conv(g, x, tdo_op_constant(g, TDO_SHAPE(2, 4, 1, 1), 0), &c);
    case 2:
        return tdo_op_conv(g, x, tdo_op_constant(g, TDO_SHAPE(2, 3, 6, 1), 0), &c);
    case 3:
        return tdo_op_conv(g, x, tdo_op_constant(g, TDO_SHAPE(2, 3, 1, 1), 0), &none);
    case 4:
        return tdo_op_conv_dx(g, x, tdo_op_constant(g, TDO_SHAPE(3, 3, 1, 1), 0), &c, 5, 5);
    case 5:
        return tdo_op_matmul(g, m, m, false, false);
    case 6:
        return tdo_op_sum(g, x, TDO_SHAPE(2, 5, 2, 1));
    case 7:
        return tdo_op_broadcast(g, m, TDO_SHAPE(8, 3));
    case 8:
        return tdo_op_reshape(g, m, TDO_SHAPE(13));
    case 9:
        return tdo_op_slice(g, m, (int64_t[]){2, 0}, (int64_t[]){2, 0});
    case 10:
        return tdo_op_pad(g, m, (int64_t[]){-1, 0}, (int64_t[]){0, 0});
    case 11:
        return tdo_op_concat(g, 2, (tdo_node[]){x, m}, 0);
    case 12:
        return tdo_op_concat(g, 2, (tdo_node[]){m, m}, 2);
    case 13:
        return tdo_op_permute(g, m, (int[]){0, 0});
    case 14:
        return tdo_op_gather(g, m, m);
    case 15:
        return tdo_op_maxpool(g, x, &p);
    case 16:
        return tdo_op_upsample(g, m, 4, 4, false);
    case 17:
        return tdo_op_random(g, m, &how);
    case 18:
        return tdo_op_random(g, tdo_op_key(g, "k", 3), &how);
    case 19:
        return tdo_op_bn_stats(g, x, m);
    case 20:
        return tdo_op_xent(g, m, x);
    case 21:
        return tdo_op_input(g, "empty", TDO_SHAPE(2, 0));
    case 22:
        return tdo_op_avgpool(g, m, &p);
    case 23:
        return tdo_op_window_gather(g, x, m, &(struct tdo_pool){{1, 1}, {1, 1}, {0}, 0, {0}});
    default:
        return TDO_NONE;
    }
}

static void wrong_shapes_are_refused_with_a_reason(void)
{
    for (int k = 0; k < 24; k++) {
        tdo_graph *g = NULL;
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(2, 5, 4, 3));
        tdo_node m = tdo_op_input(g, "m", TDO_SHAPE(4, 3));
        tdo_node y = wrong(g, k, x, m);
        if (y != TDO_NONE || tdo_graph_check(g) != TDO_ERR_SHAPE) {
            printf("case %d was accepted\n", k);
        }
        CU_ASSERT_EQUAL(y, TDO_NONE);
        CU_ASSERT_EQUAL(tdo_graph_check(g), TDO_ERR_SHAPE);
        CU_ASSERT_TRUE(strlen(tdo_error_last()->message) > 10);
        tdo_graph_free(&g);
    }
}

static void the_first_error_stays(void)
{
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node m = tdo_op_input(g, "m", TDO_SHAPE(4, 3)), gx;
    tdo_node bad = tdo_op_matmul(g, m, m, false, false);
    bad = tdo_op_total(g, tdo_op_relu(g, tdo_op_add(g, bad, m)));
    CU_ASSERT_EQUAL(bad, TDO_NONE);
    tdo_op_reshape(g, m, TDO_SHAPE(5)); /* another error, too late */
    tdo_grad(g, bad, TDO_NONE, 1, &m, &gx);
    CU_ASSERT_EQUAL(gx, TDO_NONE);
    CU_ASSERT_EQUAL(tdo_graph_check(g), TDO_ERR_SHAPE);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "matmul"));
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "[4,3]"));
    tdo_graph_free(&g);
}

CU_TestInfo suite_tests[] = {
    {"a node can be made again where it is asked for", a_node_can_be_made_again},
    {"equal nodes are one node, different inputs are not", equal_nodes_are_one_node},
    {"sharing holds while the graph grows", sharing_holds_while_the_graph_grows},
    {"the same draw is one node", the_same_draw_is_one_node},
    {"nothing is built for a shape that is there", nothing_is_built_for_a_shape_that_is_there},
    {"wrong shapes are refused with a reason", wrong_shapes_are_refused_with_a_reason},
    {"the first error stays", the_first_error_stays},
    CU_TEST_INFO_NULL,
};
