/* Every derivative against central differences in f64, first and second order.
 *
 * For a case y(x_1, ..., x_n) with a cotangent c,
 *     L = <y + y y / 2, c>,   g_i = dL/dx_i,   S = sum_i <g_i, d_i>,   h_i = dS/dx_i
 * with random directions d_i, where x_0 = c counts as an operand too. L and S are evaluated at
 * x_i +- 1e-5 in every element of every operand and compared with g_i and h_i. The gap is
 * relative to the largest element: at most 3e-9 at first order, 1e-8 at second. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/nn/support.h"

const char suite_name[] = "graph/grad";

static const double first_tolerance = 3e-9, second_tolerance = 1e-8, step = 1e-5;

enum data {
    ANY,      /* in [-1,1) */
    AWAY,     /* not within 0.03 of a multiple of 1/2, where the kinks are */
    POSITIVE, /* in [0.5,1.5) */
    CLASSES,  /* 0, 1, 2 in turn; not differentiated */
    MASK,     /* 0 or 1; not differentiated */
    WEIGHTS   /* of rows, unequal, the last one 0; not differentiated */
};

enum { MAX_OPERANDS = 5 };

struct grad_case {
    const struct tdo_op *row;
    int variant;
    tdo_node (*build)(tdo_graph *g, const tdo_node *x, int variant);
    int operands;
    struct {
        tdo_shape shape;
        enum data data;
    } operand[MAX_OPERANDS];
};

/* ---- pointwise ------------------------------------------------------------------------------ */

static tdo_node pointwise(tdo_graph *g, const tdo_node *x, int variant)
{
    switch (variant) {
    case 0:
        return tdo_op_add(g, x[0], x[1]);
    case 1:
        return tdo_op_mul(g, x[0], x[1]);
    case 2:
        return tdo_op_div(g, x[0], x[1]);
    case 3:
        return tdo_op_affine(g, x[0], -1.7, 0.3);
    case 4:
        return tdo_op_exp(g, x[0]);
    case 5:
        return tdo_op_log(g, x[0]);
    case 6:
        return tdo_op_sqrt(g, x[0]);
    case 7:
        return tdo_op_tanh(g, x[0]);
    case 8:
        return tdo_op_relu(g, x[0]);
    case 9:
        return tdo_op_clip(g, x[0], -0.5, 0.5);
    case 10:
        return tdo_op_select(g, x[0], x[1], x[2]);
    case 11: /* the same operand twice */
        return tdo_op_mul(g, x[0], x[0]);
    default:
        return tdo_op_div(g, x[0], x[0]);
    }
}

/* ---- the trilinear form ------------------------------------------------------------------------ */

/* Geometry, and H,W of x and w. */
static const struct {
    struct tdo_conv conv;
    int64_t x[2], w[2];
} geometries[] = {
    {{.stride = {1, 1}, .pad = {1, 1, 1, 1}, .groups = 1}, {4, 5}, {3, 3}},
    {{.stride = {2, 1}, .pad = {1, 0, 2, 1}, .groups = 1}, {5, 4}, {3, 2}}, /* unequal sides */
    {{.stride = {2, 2}, .pad = {0, 1, 1, 0}, .groups = 2}, {5, 5}, {2, 3}},
    {{.stride = {1, 2}, .pad = {1, 1, 1, 1}, .groups = 3}, {4, 5}, {3, 3}}, /* depthwise */
    {{.stride = {1, 1}, .groups = 1}, {1, 1}, {1, 1}},                      /* a linear layer */
    {{.stride = {3, 3}, .groups = 1}, {6, 7}, {2, 2}}, /* some of x is never read */
};

static tdo_node conv(tdo_graph *g, const tdo_node *x, int k)
{
    return tdo_op_conv(g, x[0], x[1], &geometries[k].conv);
}

static tdo_node conv_dx(tdo_graph *g, const tdo_node *x, int k)
{
    const int64_t *size = geometries[k].x;
    return tdo_op_conv_dx(g, x[0], x[1], &geometries[k].conv, size[0], size[1]);
}

static tdo_node conv_dw(tdo_graph *g, const tdo_node *x, int k)
{
    const int64_t *size = geometries[k].w;
    return tdo_op_conv_dw(g, x[0], x[1], &geometries[k].conv, size[0], size[1]);
}

static tdo_node matmul(tdo_graph *g, const tdo_node *x, int k)
{
    return tdo_op_matmul(g, x[0], x[1], k & 1, k & 2);
}

/* ---- shapes -------------------------------------------------------------------------------------- */

/* Small sides of sum and broadcast, of [2,3,2,4]. */
static const tdo_shape small_sides[] = {
    {.rank = 4, .dim = {1, 1, 1, 4}}, {.rank = 4, .dim = {2, 1, 1, 1}},
    {.rank = 4, .dim = {1, 3, 1, 4}}, {.rank = 4, .dim = {1, 1, 1, 1}},
    {.rank = 4, .dim = {2, 1, 2, 1}},
};

static tdo_node sum(tdo_graph *g, const tdo_node *x, int k)
{
    return tdo_op_sum(g, x[0], small_sides[k]);
}

static tdo_node broadcast(tdo_graph *g, const tdo_node *x, int k)
{
    (void)k;
    return tdo_op_broadcast(g, x[0], TDO_SHAPE(2, 3, 2, 4));
}

static tdo_node moving(tdo_graph *g, const tdo_node *x, int k)
{
    switch (k) {
    case 0:
        return tdo_op_pad(g, x[0], (int64_t[]){0, 1, 2, 0}, (int64_t[]){1, 0, 1, 3});
    case 1:
        return tdo_op_slice(g, x[0], (int64_t[]){1, 0, 0, 2}, (int64_t[]){0, 1, 0, 1});
    case 2:
        return tdo_op_concat(g, 3, (tdo_node[]){x[0], x[1], x[0]}, 0);
    case 3:
        return tdo_op_concat(g, 2, x, 2);
    case 4:
        return tdo_op_concat(g, 2, x, 3);
    case 5:
        return tdo_op_reshape(g, x[0], TDO_SHAPE(3, 4, 4));
    case 6:
        return tdo_op_permute(g, x[0], (int[]){0, 3, 1, 2});
    case 7:
        return tdo_op_permute(g, x[0], (int[]){3, 2, 0, 1});
    default:
        return tdo_op_copy(g, x[0]);
    }
}

static tdo_node classes(tdo_graph *g, const tdo_node *x, int k)
{
    return k ? tdo_op_scatter(g, x[0], x[1], 3) : tdo_op_gather(g, x[0], x[1]);
}

/* ---- pooling ------------------------------------------------------------------------------------- */

static const struct tdo_pool pools[] = {
    {.window = {2, 2}, .stride = {2, 2}},
    {.window = {3, 3}, .stride = {2, 2}, .pad = {1, 1, 1, 1}}, /* windows overlap */
    {.window = {3, 2}, .stride = {1, 2}, .pad = {2, 0, 1, 1}},
    {.window = {3, 3}, .stride = {2, 2}, .pad = {1, 1, 1, 1}, .count_pad = 1},
    {.window = {1, 1}, .stride = {2, 2}}, /* subsampling */
};
/* x [2,5,4,2] pooled */
static tdo_node pooling(tdo_graph *g, const tdo_node *x, int k)
{
    const struct tdo_pool *p = &pools[k % 10];
    switch (k / 10) {
    case 0:
        return tdo_op_maxpool(g, x[0], p);
    case 1: /* at the places that win in another image */
        return tdo_op_window_gather(g, x[0], tdo_op_maxpool_arg(g, x[1], p), p);
    case 2:
        return tdo_op_window_scatter(g, x[0], tdo_op_maxpool_arg(g, x[1], p), p, 5, 4);
    case 3:
        return tdo_op_avgpool(g, x[0], p);
    default:
        return tdo_op_avgpool_dx(g, x[0], p, 5, 4);
    }
}

static tdo_node resizing(tdo_graph *g, const tdo_node *x, int k)
{
    static const int64_t sizes[3][2] = {{6, 8}, {5, 7}, {2, 3}}; /* of [2,3,4,2] */
    const bool corners = k & 1;
    return k < 10 ? tdo_op_upsample(g, x[0], sizes[k / 2][0], sizes[k / 2][1], corners)
                  : tdo_op_upsample_dx(g, x[0], 3, 4, corners);
}

/* ---- composites ---------------------------------------------------------------------------------- */

/* x, v | x, gamma, beta, v | x, gamma, beta, v, gy */
static tdo_node norm(tdo_graph *g, const tdo_node *x, int k)
{
    if (k == 0) {
        return tdo_op_bn_stats(g, x[0], x[1]);
    }
    tdo_node y = tdo_op_bn_train(g, x[0], x[1], x[2], x[3], 1e-2), gx[3];
    if (k == 1) {
        return y;
    }
    tdo_grad(g, y, x[4], 3, x, gx);
    return gx[k - 2];
}

/* z, t | z, t, gy */
static tdo_node entropy(tdo_graph *g, const tdo_node *x, int k)
{
    tdo_node y = tdo_op_xent(g, x[0], x[1]), gz;
    if (k == 0) {
        return y;
    }
    if (k == 2) {
        return tdo_op_log_sum_exp(g, x[0]);
    }
    tdo_grad(g, y, x[2], 1, x, &gz);
    return gz;
}

#define S(...)                                                                                 \
    {                                                                                          \
        .rank = (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), .dim = { __VA_ARGS__ }      \
    }
#define ONE(row, build, k, shape, data) {&tdo_row_##row, k, build, 1, {{shape, data}}},
#define TWO(row, build, k, shape0, data0, shape1, data1)                                       \
    {&tdo_row_##row, k, build, 2, {{shape0, data0}, {shape1, data1}}},
#define P35   S(3, 5)
#define X4    S(2, 3, 2, 4)
#define IMAGE S(2, 5, 4, 2)

/* clang-format off */
static const struct grad_case cases[] = {
    TWO(add, pointwise, 0, P35, ANY, P35, ANY)
    TWO(mul, pointwise, 1, P35, ANY, P35, ANY)
    TWO(div, pointwise, 2, P35, ANY, P35, POSITIVE)
    ONE(affine, pointwise, 3, P35, ANY)
    ONE(exp, pointwise, 4, P35, ANY)
    ONE(log, pointwise, 5, P35, POSITIVE)
    ONE(sqrt, pointwise, 6, P35, POSITIVE)
    ONE(tanh, pointwise, 7, P35, ANY)
    ONE(relu, pointwise, 8, P35, AWAY)
    ONE(clip, pointwise, 9, P35, AWAY)
    {&tdo_row_select, 10, pointwise, 3, {{P35, MASK}, {P35, ANY}, {P35, ANY}}},
    ONE(mul, pointwise, 11, P35, ANY)
    ONE(div, pointwise, 12, P35, POSITIVE)
#define TRILINEAR(k, x, w, y)                                                                    \
    {&tdo_row_conv, k, conv, 2, {{x, ANY}, {w, ANY}}},                                           \
    {&tdo_row_conv_dx, k, conv_dx, 2, {{y, ANY}, {w, ANY}}},                                     \
    {&tdo_row_conv_dw, k, conv_dw, 2, {{x, ANY}, {y, ANY}}},
    TRILINEAR(0, S(2, 4, 5, 2), S(3, 2, 3, 3), S(2, 4, 5, 3))
    TRILINEAR(1, S(2, 5, 4, 2), S(2, 2, 3, 2), S(2, 3, 4, 2))
    TRILINEAR(2, S(2, 5, 5, 4), S(6, 2, 2, 3), S(2, 3, 2, 6))
    TRILINEAR(3, S(1, 4, 5, 3), S(6, 1, 3, 3), S(1, 4, 3, 6))
    TRILINEAR(4, S(3, 1, 1, 5), S(4, 5, 1, 1), S(3, 1, 1, 4))
    TRILINEAR(5, S(2, 6, 7, 2), S(2, 2, 2, 2), S(2, 2, 2, 2))
    TWO(matmul, matmul, 0, S(3, 4), ANY, S(4, 5), ANY)
    TWO(matmul, matmul, 1, S(4, 3), ANY, S(4, 5), ANY)
    TWO(matmul, matmul, 2, S(3, 4), ANY, S(5, 4), ANY)
    TWO(matmul, matmul, 3, S(4, 3), ANY, S(5, 4), ANY)
    ONE(sum, sum, 0, X4, ANY)
    ONE(sum, sum, 1, X4, ANY)
    ONE(sum, sum, 2, X4, ANY)
    ONE(sum, sum, 3, X4, ANY)
    ONE(sum, sum, 4, X4, ANY)
    ONE(broadcast, broadcast, 0, S(1, 1, 1, 4), ANY)
    ONE(broadcast, broadcast, 1, S(2, 1, 1, 1), ANY)
    ONE(broadcast, broadcast, 2, S(1, 3, 1, 4), ANY)
    ONE(broadcast, broadcast, 3, S(1, 1, 1, 1), ANY)
    ONE(broadcast, broadcast, 4, S(2, 1, 2, 1), ANY)
    ONE(pad, moving, 0, X4, ANY)
    ONE(slice, moving, 1, X4, ANY)
    TWO(concat, moving, 2, X4, ANY, S(3, 3, 2, 4), ANY)
    TWO(concat, moving, 3, X4, ANY, S(2, 3, 1, 4), ANY)
    TWO(concat, moving, 4, X4, ANY, S(2, 3, 2, 5), ANY)
    ONE(reshape, moving, 5, X4, ANY)
    ONE(permute, moving, 6, X4, ANY)
    ONE(permute, moving, 7, X4, ANY)
    ONE(copy, moving, 8, X4, ANY)
    TWO(gather, classes, 0, S(5, 3), ANY, S(5), CLASSES)
    TWO(scatter, classes, 1, S(5), ANY, S(5), CLASSES)
    ONE(maxpool, pooling, 0, IMAGE, ANY)
    ONE(maxpool, pooling, 1, IMAGE, ANY)
    ONE(maxpool, pooling, 2, IMAGE, ANY)
    TWO(window_gather, pooling, 10, IMAGE, ANY, IMAGE, ANY)
    TWO(window_gather, pooling, 11, IMAGE, ANY, IMAGE, ANY)
    TWO(window_gather, pooling, 12, IMAGE, ANY, IMAGE, ANY)
    TWO(window_scatter, pooling, 20, S(2, 2, 2, 2), ANY, IMAGE, ANY)
    TWO(window_scatter, pooling, 21, S(2, 3, 2, 2), ANY, IMAGE, ANY)
    TWO(window_scatter, pooling, 22, S(2, 6, 2, 2), ANY, IMAGE, ANY)
    ONE(avgpool, pooling, 30, IMAGE, ANY)
    ONE(avgpool, pooling, 31, IMAGE, ANY)
    ONE(avgpool, pooling, 32, IMAGE, ANY)
    ONE(avgpool, pooling, 33, IMAGE, ANY)
    ONE(avgpool, pooling, 34, IMAGE, ANY)
    ONE(avgpool_dx, pooling, 40, S(2, 2, 2, 2), ANY)
    ONE(avgpool_dx, pooling, 41, S(2, 3, 2, 2), ANY)
    ONE(avgpool_dx, pooling, 42, S(2, 6, 2, 2), ANY)
    ONE(avgpool_dx, pooling, 43, S(2, 3, 2, 2), ANY)
    ONE(avgpool_dx, pooling, 44, S(2, 3, 2, 2), ANY)
    ONE(upsample, resizing, 0, S(2, 3, 4, 2), ANY)
    ONE(upsample, resizing, 1, S(2, 3, 4, 2), ANY)
    ONE(upsample, resizing, 2, S(2, 3, 4, 2), ANY)
    ONE(upsample, resizing, 3, S(2, 3, 4, 2), ANY)
    ONE(upsample, resizing, 4, S(2, 3, 4, 2), ANY)
    ONE(upsample, resizing, 5, S(2, 3, 4, 2), ANY)
    ONE(upsample_dx, resizing, 10, S(2, 6, 8, 2), ANY)
    ONE(upsample_dx, resizing, 11, S(2, 5, 7, 2), ANY)
    ONE(upsample_dx, resizing, 12, S(2, 2, 3, 2), ANY)
    TWO(bn_stats, norm, 0, S(4, 2, 2, 3), ANY, S(4), WEIGHTS)
    TWO(bn_stats, norm, 0, S(5, 3), ANY, S(5), WEIGHTS)
#define NORM(row, k, x, n)                                                                       \
    {&tdo_row_##row, k, norm, (k) == 1 ? 4 : 5,                                                  \
     {{x, ANY}, {S(3), ANY}, {S(3), ANY}, {S(n), WEIGHTS}, {x, ANY}}},
    NORM(bn_train, 1, S(4, 2, 2, 3), 4)
    NORM(bn_train, 1, S(5, 3), 5)
    NORM(bn_dx, 2, S(4, 2, 2, 3), 4)
    NORM(bn_dx, 2, S(5, 3), 5)
    NORM(bn_reduce, 3, S(4, 2, 2, 3), 4)
    NORM(bn_reduce, 4, S(4, 2, 2, 3), 4)
    TWO(xent, entropy, 0, S(4, 5), ANY, S(4, 5), POSITIVE)
    {&tdo_row_xent_dz, 1, entropy, 3, {{S(4, 5), ANY}, {S(4, 5), POSITIVE}, {S(4), ANY}}},
    TWO(log, entropy, 2, S(4, 5), ANY, S(4, 5), POSITIVE) /* log sum exp */
};
/* clang-format on */
enum { CASES = sizeof cases / sizeof *cases };

/* ---- the check ---------------------------------------------------------------------------------- */

enum { SLOTS = MAX_OPERANDS + 1 }; /* operand 0 is the cotangent */

struct check {
    tdo_graph *g;
    tdo_plan *plan;
    const struct grad_case *c;
    int n;             /* slots */
    tdo_node x[SLOTS]; /* inputs */
    tdo_node d[SLOTS]; /* directions, TDO_NONE where nothing is differentiated */
    tdo_node g1[SLOTS], g2[SLOTS];
};

static bool differentiated(const struct check *k, int slot)
{
    const enum data data = slot ? k->c->operand[slot - 1].data : ANY;
    return data != CLASSES && data != MASK && data != WEIGHTS;
}

static double number_of(enum data data, uint32_t seed, int64_t i, int64_t n)
{
    static const double weights[] = {0.25, 0.1, 0.4, 0.05, 0.2};
    const double v = probe_number(seed, i), off = v - rint(2 * v) / 2;
    switch (data) {
    case AWAY:
        return fabs(off) < 0.03 ? v + 0.06 : v;
    case POSITIVE:
        return 1 + v / 2;
    case CLASSES:
        return (double)(i % 3);
    case MASK:
        return v > 0;
    case WEIGHTS:
        return i + 1 == n ? 0 : weights[i % 5];
    default:
        return v;
    }
}

/* The graph of L, S and their gradients; the row must be in it before anything is derived. */
static void build(struct check *k)
{
    tdo_graph *g = k->g;
    tdo_node wrt[SLOTS], got[SLOTS];
    int n = 0;
    k->n = k->c->operands + 1;
    for (int i = 1; i < k->n; i++) {
        k->x[i] = tdo_op_input(g, "x", k->c->operand[i - 1].shape);
    }
    tdo_node y = k->c->build(g, k->x + 1, k->c->variant);
    bool there = false;
    for (tdo_node i = 0; i < tdo_graph_size(g); i++) {
        there = there || tdo_graph_at(g, i)->op == k->c->row;
    }
    CU_ASSERT_TRUE(there);
    ASSERT_OK_FATAL(tdo_graph_check(g));
    k->x[0] = tdo_op_input(g, "c", tdo_graph_shape(g, y));
    tdo_node bent = tdo_op_add(g, y, tdo_op_affine(g, tdo_op_mul(g, y, y), 0.5, 0));
    tdo_node L = tdo_op_total(g, tdo_op_mul(g, bent, k->x[0])), S = TDO_NONE;
    for (int i = 0; i < k->n; i++) {
        if (differentiated(k, i)) {
            wrt[n++] = k->x[i];
        }
    }
    tdo_grad(g, L, TDO_NONE, n, wrt, got);
    for (int i = 0, j = 0; i < k->n; i++) {
        k->d[i] = k->g1[i] = k->g2[i] = TDO_NONE;
        if (differentiated(k, i)) {
            k->g1[i] = got[j++];
            k->d[i] = tdo_op_input(g, "d", tdo_graph_shape(g, k->x[i]));
            tdo_node part = tdo_op_total(g, tdo_op_mul(g, k->g1[i], k->d[i]));
            S = S == TDO_NONE ? part : tdo_op_add(g, S, part);
        }
    }
    tdo_grad(g, S, TDO_NONE, n, wrt, got);
    tdo_node output[2 + 2 * SLOTS] = {L, S};
    int outputs = 2;
    for (int i = 0, j = 0; i < k->n; i++) {
        if (differentiated(k, i)) {
            k->g2[i] = got[j++];
            output[outputs++] = k->g1[i];
            output[outputs++] = k->g2[i];
        }
    }
    k->plan = probe_plan(g, outputs, output, F64, NULL);
}

static void set_data(struct check *k)
{
    for (int i = 0; i < k->n; i++) {
        double *to = tdo_plan_input(k->plan, k->x[i]);
        const int64_t n = probe_count(k->g, k->x[i]);
        for (int64_t e = 0; to && e < n; e++) {
            to[e] = number_of(i ? k->c->operand[i - 1].data : ANY, (uint32_t)(10 + i), e, n);
        }
        if (k->d[i] != TDO_NONE) {
            probe_fill(k->plan, k->g, k->d[i], F64, (uint32_t)(20 + i));
        }
    }
}

static void values(struct check *k, double v[2])
{
    ASSERT_OK_FATAL(tdo_plan_run(k->plan));
    probe_get(k->plan, 0, F64, 1, &v[0]);
    probe_get(k->plan, 1, F64, 1, &v[1]);
}

enum { MOST = 512 };

/* The worst gaps over all operands. */
static void compare(struct check *k, double gap[2])
{
    double slope[2][MOST], found[2][MOST];
    int output = 2;
    for (int i = 0; i < k->n; i++) {
        double *x = tdo_plan_input(k->plan, k->x[i]);
        const int64_t n = probe_count(k->g, k->x[i]);
        CU_ASSERT_FATAL(n <= MOST);
        if (!differentiated(k, i)) {
            continue;
        }
        memset(slope, 0, sizeof slope); /* an input that is not read has no influence */
        for (int64_t e = 0; x && e < n; e++) {
            const double keep = x[e];
            double up[2], down[2];
            x[e] = keep + step;
            values(k, up);
            x[e] = keep - step;
            values(k, down);
            x[e] = keep;
            slope[0][e] = (up[0] - down[0]) / (2 * step);
            slope[1][e] = (up[1] - down[1]) / (2 * step);
        }
        ASSERT_OK_FATAL(tdo_plan_run(k->plan));
        for (int order = 0; order < 2; order++) {
            probe_get(k->plan, output++, F64, n, found[order]);
            gap[order] = fmax(gap[order], probe_gap(n, found[order], slope[order]));
        }
    }
}

static void every_derivative_agrees_with_central_differences(void)
{
    double worst[2] = {0, 0};
    for (int i = 0; i < CASES; i++) {
        struct check k = {.c = &cases[i]};
        double gap[2] = {0, 0};
        ASSERT_OK_FATAL(tdo_graph_new(&k.g));
        build(&k);
        set_data(&k);
        compare(&k, gap);
        const bool fine = gap[0] <= first_tolerance && gap[1] <= second_tolerance;
        if (!fine) {
            printf("%s (variant %d): gap %.1e at first order, %.1e at second\n",
                   cases[i].row->name, cases[i].variant, gap[0], gap[1]);
        }
        CU_ASSERT_TRUE(fine);
        worst[0] = fmax(worst[0], gap[0]);
        worst[1] = fmax(worst[1], gap[1]);
        tdo_plan_free(&k.plan);
        tdo_graph_free(&k.g);
    }
    printf("%d cases, worst gaps %.1e and %.1e ", CASES, worst[0], worst[1]);
}

/* ---- declared zeros ------------------------------------------------------------------------------- */

static tdo_node flat_node(tdo_graph *g, const struct tdo_op *row, tdo_node x, tdo_node rows)
{
    const struct tdo_random noise = {.stream = {.purpose = TDO_PURPOSE_TEST},
                                     .law = TDO_LAW_NORMAL,
                                     .shape = TDO_SHAPE(3, 4)};
    const struct tdo_pool pool = {.window = {2, 1}, .stride = {1, 1}};
    tdo_node image = tdo_op_reshape(g, x, TDO_SHAPE(1, 3, 4, 1));
    return row == &tdo_row_sign          ? tdo_op_sign(g, x)
           : row == &tdo_row_greater     ? tdo_op_greater(g, x, tdo_op_affine(g, x, 2, 0.1))
           : row == &tdo_row_inside      ? tdo_op_inside(g, x, -0.5, 0.5)
           : row == &tdo_row_round       ? tdo_op_round(g, tdo_op_affine(g, x, 5, 0))
           : row == &tdo_row_detach      ? tdo_op_detach(g, x)
           : row == &tdo_row_argmax      ? tdo_op_argmax(g, x)
           : row == &tdo_row_one_hot     ? tdo_op_one_hot(g, rows, 3)
           : row == &tdo_row_maxpool_arg ? tdo_op_maxpool_arg(g, image, &pool)
           : row == &tdo_row_random
               ? tdo_op_mul(g, tdo_op_detach(g, x),
                            tdo_op_random(g, tdo_op_key(g, "k", 3), &noise))
               : TDO_NONE;
}

static void flat_rows_have_exactly_zero_gradient(void)
{
    for (int i = 0; tdo_op_table[i]; i++) {
        tdo_graph *g = NULL;
        tdo_node gx[2];
        if (!(tdo_op_table[i]->flags & TDO_OP_FLAT)) {
            continue;
        }
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(3, 4)),
                 rows = tdo_op_input(g, "r", TDO_SHAPE(3));
        tdo_node y = flat_node(g, tdo_op_table[i], x, rows);
        CU_ASSERT_NOT_EQUAL_FATAL(y, TDO_NONE); /* a flat row without a case */
        tdo_grad(g, tdo_op_total(g, y), TDO_NONE, 2, (tdo_node[]){x, rows}, gx);
        double *v = probe_values(g, 2, gx, F64, NULL);
        for (int e = 0; e < 15; e++) {
            CU_ASSERT_EQUAL(v[e], 0);
        }
        free(v);
        tdo_graph_free(&g);
    }
}

/* ---- completeness and the rest -------------------------------------------------------------------- */

static void every_row_is_a_leaf_flat_lowered_or_has_a_case(void)
{
    static const struct tdo_op *const lowered[] = {
        &tdo_row_program, &tdo_row_narrow,     &tdo_row_widen,
        &tdo_row_pack,    &tdo_row_conv_fused, &tdo_row_conv_dx_packed};
    for (int i = 0; tdo_op_table[i]; i++) {
        const struct tdo_op *row = tdo_op_table[i];
        bool covered = row->flags & (TDO_OP_LEAF | TDO_OP_FLAT);
        for (int k = 0; k < 6; k++) {
            covered = covered || row == lowered[k];
        }
        for (int k = 0; k < CASES; k++) {
            covered = covered || row == cases[k].row;
        }
        if (!covered) {
            printf("%s has no gradient case\n", row->name);
        }
        CU_ASSERT_TRUE(covered);
    }
}

static void nodes_differentiated_by_are_independent(void)
{
    tdo_graph *g = NULL;
    tdo_node gx[3];
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(3)), far = tdo_op_input(g, "z", TDO_SHAPE(2));
    tdo_node h = tdo_op_mul(g, x, x), y = tdo_op_mul(g, h, x);
    tdo_grad(g, y, TDO_NONE, 3, (tdo_node[]){x, h, far}, gx);
    double *v = probe_values(g, 3, gx, F64, NULL);
    for (int e = 0; e < 3; e++) {
        const double at = probe_number(1, e);
        CU_ASSERT_EQUAL(v[e], at * at); /* not 3 x^2: h counts as given */
        CU_ASSERT_EQUAL(v[3 + e], at);
    }
    CU_ASSERT_TRUE(v[6] == 0 && v[7] == 0); /* y does not depend on it */
    free(v);
    tdo_graph_free(&g);
}

static void an_operation_without_derivative_is_an_error(void)
{
    static const struct tdo_op *row;
    tdo_graph *g = NULL;
    tdo_node gx;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(3));
    struct tdo_op broken = tdo_row_exp;
    broken.name = "broken";
    broken.grad = NULL;
    row = &broken;
    tdo_grad(g, tdo_graph_add(g, row, 1, &x, NULL), TDO_NONE, 1, &x, &gx);
    CU_ASSERT_EQUAL(tdo_graph_check(g), TDO_ERR_BUG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "broken"));
    tdo_graph_free(&g);
}

CU_TestInfo suite_tests[] = {
    {"every derivative agrees with central differences, first and second order",
     every_derivative_agrees_with_central_differences},
    {"flat rows have exactly zero gradient", flat_rows_have_exactly_zero_gradient},
    {"every row of the table is a leaf, flat, made by lowering, or has a case",
     every_row_is_a_leaf_flat_lowered_or_has_a_case},
    {"the nodes that one differentiates by are independent",
     nodes_differentiated_by_are_independent},
    {"an operation without derivative is an error that names it",
     an_operation_without_derivative_is_an_error},
    CU_TEST_INFO_NULL,
};
