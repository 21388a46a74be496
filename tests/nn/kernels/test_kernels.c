/* Fast f32 kernels against the reference: the same graph is planned in f64, with the reference
 * kernels in f32 and with whatever is fastest, on the same numbers. Results of the three agree
 * to 2e-5 of the largest element; the shapes are those of the models, and awkward ones. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/kernels/blas.h"
#include "nn/kernels/few.h"
#include "nn/kernels/reference.h"
#include "tests/nn/support.h"

const char suite_name[] = "kernels";

static const double tolerance = 2e-5;

/* Compare the values of `outputs` nodes in all three arithmetics, and free the graph. */
static void compare(const char *what, tdo_graph *g, int outputs, const tdo_node *output)
{
    double *v[ARITHMETICS];
    for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
        v[how] = probe_values(g, outputs, output, how, NULL);
    }
    int64_t at = 0;
    for (int k = 0; k < outputs; k++) {
        const int64_t n = probe_count(g, output[k]);
        const double reference = probe_gap(n, v[REFERENCE] + at, v[F64] + at);
        const double fast = probe_gap(n, v[FAST] + at, v[REFERENCE] + at);
        if (!(reference <= tolerance && fast <= tolerance)) {
            printf("%s, result %d: reference %.1e, fast %.1e\n", what, k, reference, fast);
        }
        CU_ASSERT_TRUE(reference <= tolerance && fast <= tolerance);
        at += n;
    }
    for (int how = 0; how < ARITHMETICS; how++) {
        free(v[how]);
    }
    tdo_graph_free(&g);
}

/* ---- convolutions ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int64_t x[4], w[4];
    struct tdo_conv conv;
} convolutions[] = {
    {"lenet 1", {2, 28, 28, 1}, {20, 1, 5, 5}, {{1, 1}, {0}, 1, {0}}},
    {"lenet 2", {2, 12, 12, 20}, {50, 20, 5, 5}, {{1, 1}, {0}, 1, {0}}},
    {"lenet fc1", {5, 1, 1, 800}, {500, 800, 1, 1}, {{1, 1}, {0}, 1, {0}}},
    {"lenet fc2", {5, 1, 1, 500}, {10, 500, 1, 1}, {{1, 1}, {0}, 1, {0}}},
    {"zcnn 1", {2, 28, 28, 1}, {64, 1, 8, 8}, {{2, 2}, {3, 3, 3, 3}, 1, {0}}},
    {"zcnn 2", {1, 14, 14, 64}, {128, 64, 6, 6}, {{2, 2}, {0}, 1, {0}}},
    {"zcnn 3", {3, 5, 5, 128}, {128, 128, 5, 5}, {{1, 1}, {0}, 1, {0}}},
    {"resnet20 stem", {2, 32, 32, 3}, {16, 3, 3, 3}, {{1, 1}, {1, 1, 1, 1}, 1, {0}}},
    {"resnet20 1", {1, 32, 32, 16}, {16, 16, 3, 3}, {{1, 1}, {1, 1, 1, 1}, 1, {0}}},
    {"resnet20 2", {2, 32, 32, 16}, {32, 16, 3, 3}, {{2, 2}, {1, 1, 1, 1}, 1, {0}}},
    {"resnet20 3", {2, 8, 8, 64}, {64, 64, 3, 3}, {{1, 1}, {1, 1, 1, 1}, 1, {0}}},
    {"projection", {2, 16, 16, 32}, {64, 32, 1, 1}, {{2, 2}, {0}, 1, {0}}},
    {"unequal", {3, 9, 7, 5}, {6, 5, 3, 2}, {{2, 1}, {1, 0, 2, 1}, 1, {0}}},
    {"grouped", {3, 9, 7, 8}, {12, 4, 3, 3}, {{2, 2}, {1, 1, 1, 1}, 2, {0}}},
    {"grouped unequal", {2, 8, 9, 6}, {9, 2, 2, 3}, {{1, 2}, {0, 1, 1, 0}, 3, {0}}},
    {"depthwise", {2, 10, 10, 16}, {16, 1, 3, 3}, {{1, 1}, {1, 1, 1, 1}, 16, {0}}},
    {"unread", {2, 10, 11, 3}, {4, 3, 2, 2}, {{3, 3}, {0}, 1, {0}}},
};

static void convolutions_and_their_gradients_agree(void)
{
    for (size_t k = 0; k < sizeof convolutions / sizeof *convolutions; k++) {
        const struct tdo_conv *c = &convolutions[k].conv;
        const int64_t *xd = convolutions[k].x, *wd = convolutions[k].w;
        tdo_graph *g = NULL;
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(xd[0], xd[1], xd[2], xd[3]));
        tdo_node w = tdo_op_input(g, "w", TDO_SHAPE(wd[0], wd[1], wd[2], wd[3]));
        tdo_node y = tdo_op_conv(g, x, w, c);
        tdo_node gy = tdo_op_input(g, "gy", tdo_graph_shape(g, y));
        tdo_node out[3] = {y, tdo_op_conv_dx(g, gy, w, c, xd[1], xd[2]),
                           tdo_op_conv_dw(g, x, gy, c, wd[2], wd[3])};
        compare(convolutions[k].name, g, 3, out);
    }
}

static float *numbers(const tdo_shape *s, uint32_t seed)
{
    float *v = calloc((size_t)tdo_shape_count(s), sizeof *v);
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    for (int64_t i = 0; i < tdo_shape_count(s); i++) {
        v[i] = (float)probe_number(seed, i);
    }
    return v;
}

/* One kernel against the reference; scratch and results are full of NaN before, and the float
 * behind the scratch is not touched. */
static double kernel_gap(tdo_prepare_fn *prepare, tdo_kernel_fn *reference,
                         struct tdo_call call)
{
    const int64_t n = tdo_shape_count(call.out_shape);
    struct tdo_kernel kernel = {0};
    ASSERT_OK_FATAL(prepare(&call, &kernel));
    CU_ASSERT_PTR_NOT_NULL_FATAL(kernel.run);
    const size_t bytes = ((size_t)kernel.scratch / 64 + 1) * 64;
    float *a = numbers(call.in_shape[0], 1), *b = numbers(call.in_shape[1], 2);
    float *got = calloc((size_t)n, sizeof *got), *want = calloc((size_t)n, sizeof *want);
    double *wide[2] = {calloc((size_t)n, sizeof **wide), calloc((size_t)n, sizeof **wide)};
    unsigned char *scratch = aligned_alloc(64, bytes);
    CU_ASSERT_FATAL(got && want && wide[0] && wide[1] && scratch);
    memset(got, 0xff, (size_t)n * sizeof *got);
    memset(scratch, 0xff, bytes);
    call.in[0] = a;
    call.in[1] = b;
    call.out = want;
    reference(&call);
    call.out = got;
    call.scratch = scratch;
    kernel.run(&call);
    CU_ASSERT_EQUAL(scratch[kernel.scratch], 0xff);
    for (int64_t i = 0; i < n; i++) {
        wide[0][i] = (double)got[i];
        wide[1][i] = (double)want[i];
    }
    const double gap = probe_gap(n, wide[0], wide[1]);
    free(a);
    free(b);
    free(got);
    free(want);
    free(wide[0]);
    free(wide[1]);
    free(scratch);
    return gap;
}

/* OpenBLAS and the kernel for few channels by name, as a plan may prefer oneDNN's. */
static void convolutions_by_name_agree(void)
{
    for (size_t k = 0; k < sizeof convolutions / sizeof *convolutions; k++) {
        union tdo_attr attr = {{0}};
        attr.conv = convolutions[k].conv;
        const struct tdo_conv *c = &attr.conv;
        const int64_t *xd = convolutions[k].x, *wd = convolutions[k].w;
        const tdo_shape x = TDO_SHAPE(xd[0], xd[1], xd[2], xd[3]);
        const tdo_shape w = TDO_SHAPE(wd[0], wd[1], wd[2], wd[3]);
        const tdo_shape y = TDO_SHAPE(
            xd[0], tdo_kernel_places(xd[1], wd[2], c->stride[0], c->pad[0] + c->pad[2]),
            tdo_kernel_places(xd[2], wd[3], c->stride[1], c->pad[1] + c->pad[3]), wd[0]);
        const double gap[3] = {
            kernel_gap(tdo_blas_conv, tdo_reference_conv_f32,
                       (struct tdo_call){
                           .nin = 2, .in_shape = {&x, &w}, .out_shape = &y, .attr = &attr}),
            kernel_gap(tdo_blas_conv_dx, tdo_reference_conv_dx_f32,
                       (struct tdo_call){
                           .nin = 2, .in_shape = {&y, &w}, .out_shape = &x, .attr = &attr}),
            kernel_gap(tdo_blas_conv_dw, tdo_reference_conv_dw_f32,
                       (struct tdo_call){
                           .nin = 2, .in_shape = {&x, &y}, .out_shape = &w, .attr = &attr})};
        if (tdo_few_takes(c, &w)) {
            const double few =
                kernel_gap(tdo_few_conv_dx, tdo_reference_conv_dx_f32,
                           (struct tdo_call){
                               .nin = 2, .in_shape = {&y, &w}, .out_shape = &x, .attr = &attr});
            CU_ASSERT_TRUE(few <= tolerance);
        }
        if (!(gap[0] <= tolerance && gap[1] <= tolerance && gap[2] <= tolerance)) {
            printf("%s: %.1e, %.1e, %.1e\n", convolutions[k].name, gap[0], gap[1], gap[2]);
        }
        CU_ASSERT_TRUE(gap[0] <= tolerance && gap[1] <= tolerance && gap[2] <= tolerance);
    }
    CU_ASSERT_TRUE(strlen(tdo_blas_core()) > 0);
}

static void matrix_products_agree(void)
{
    for (int k = 0; k < 4; k++) { /* which operands are transposed */
        tdo_graph *g = NULL;
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        const bool ta = k & 1, tb = k & 2;
        tdo_node a = tdo_op_input(g, "a", ta ? TDO_SHAPE(70, 33) : TDO_SHAPE(33, 70));
        tdo_node b = tdo_op_input(g, "b", tb ? TDO_SHAPE(9, 70) : TDO_SHAPE(70, 9));
        tdo_node y = tdo_op_matmul(g, a, b, ta, tb);
        compare("matmul", g, 1, &y);
    }
}

/* All scalar products of rows, within the bound that blas.h gives, parts of longer rows too. */
static void row_products_are_within_their_bound(void)
{
    enum { LONG = 2100, M = 7, N = 33 };
    static float a[M * LONG], b[N * LONG], out[M * N];
    static const int64_t lengths[] = {1, 5, 64, 2048, LONG};
    double most = 0;
    for (int i = 0; i < N * LONG; i++) {
        a[i % (M * LONG)] = (float)probe_number(1, i % (M * LONG));
        b[i] = (float)probe_number(2, i);
    }
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        const int64_t n = lengths[k], from = LONG - n;
        tdo_blas_products(&(struct tdo_blas_rows){a + from, M, LONG},
                          &(struct tdo_blas_rows){b + from, N, LONG}, n, out);
        for (int i = 0; i < M * N; i++) {
            const float *x = a + i / N * LONG + from, *y = b + i % N * LONG + from;
            double sum = 0, xx = 0, yy = 0;
            for (int64_t p = 0; p < n; p++) {
                sum += (double)x[p] * (double)y[p];
                xx += (double)x[p] * (double)x[p];
                yy += (double)y[p] * (double)y[p];
            }
            const double bound = 1.01 * (double)n * 0x1p-24 * sqrt(xx * yy);
            most = fmax(most, fabs((double)out[i] - sum) / bound);
        }
    }
    CU_ASSERT_TRUE(most <= 1);
    CU_ASSERT_TRUE(most > 0); /* f32 does round */
}

static void fused_convolutions_agree(void)
{
    for (int mode = 0; mode < 12; mode++) { /* bias, sum: bits; activation: none, relu, clip */
        const struct tdo_conv c = {.stride = {1, 1}, .pad = {1, 1, 1, 1}, .groups = 1};
        const tdo_shape s = TDO_SHAPE(3, 7, 6, 20);
        tdo_graph *g = NULL;
        char what[32];
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node x = tdo_op_input(g, "x", s), w = tdo_op_input(g, "w", TDO_SHAPE(20, 20, 3, 3));
        tdo_node bias = tdo_op_input(g, "b", TDO_SHAPE(20)), r = tdo_op_input(g, "r", s);
        tdo_node y = tdo_op_conv(g, x, w, &c);
        if (mode & 1) {
            bias = tdo_op_reshape(g, bias, TDO_SHAPE(1, 1, 1, 20));
            y = tdo_op_add(g, y, tdo_op_broadcast(g, bias, s));
        }
        y = mode & 2 ? tdo_op_add(g, y, r) : y;
        y = mode / 4 == 1 ? tdo_op_relu(g, y) : mode / 4 == 2 ? tdo_op_clip(g, y, 0, 1.5) : y;
        snprintf(what, sizeof what, "fused %d", mode);
        compare(what, g, 1, &y);
    }
}

/* ---- pooling, norm, programs -------------------------------------------------------------------- */

static const struct {
    int64_t x[4];
    struct tdo_pool pool;
} poolings[] = {
    {{2, 24, 24, 20}, {.window = {2, 2}, .stride = {2, 2}}},
    {{2, 8, 8, 50}, {.window = {2, 2}, .stride = {2, 2}}},
    {{2, 9, 8, 7}, {.window = {3, 3}, .stride = {2, 2}, .pad = {1, 1, 1, 1}}},
    {{3, 7, 9, 3}, {.window = {3, 2}, .stride = {1, 2}, .pad = {2, 0, 1, 1}, .count_pad = 1}},
    {{2, 8, 8, 64}, {.window = {8, 8}, .stride = {1, 1}}},
    {{2, 8, 8, 16}, {.window = {1, 1}, .stride = {2, 2}}},
};

static void poolings_and_their_gradients_agree(void)
{
    for (size_t k = 0; k < sizeof poolings / sizeof *poolings; k++) {
        const struct tdo_pool *p = &poolings[k].pool;
        const int64_t *d = poolings[k].x;
        tdo_graph *g = NULL;
        tdo_node gx[2];
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(d[0], d[1], d[2], d[3]));
        tdo_node most = tdo_op_maxpool(g, x, p), mean = tdo_op_avgpool(g, x, p);
        tdo_node gy = tdo_op_input(g, "gy", tdo_graph_shape(g, most));
        tdo_node arg = tdo_op_maxpool_arg(g, x, p), at = tdo_op_window_gather(g, x, arg, p);
        tdo_grad(g, most, gy, 1, &x, &gx[0]);
        tdo_grad(g, mean, gy, 1, &x, &gx[1]);
        compare("pooling", g, 6, (tdo_node[]){most, mean, arg, at, gx[0], gx[1]});
    }
}

static void batch_norm_and_its_gradients_agree(void)
{
    static const int64_t shapes[][4] = {
        {5, 8, 8, 16}, {4, 3, 5, 130}, {3, 1, 1, 64}, {2, 17, 3, 3}};
    for (int k = 0; k < 4; k++) {
        const int64_t *d = shapes[k];
        tdo_graph *g = NULL;
        tdo_node gx[3];
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(d[0], d[1], d[2], d[3]));
        tdo_node gamma = tdo_op_input(g, "gamma", TDO_SHAPE(d[3]));
        tdo_node beta = tdo_op_input(g, "beta", TDO_SHAPE(d[3]));
        /* weights (1 + u)^2 / 4 >= 0, and x far from zero mean */
        tdo_node v = tdo_op_affine(g, tdo_op_input(g, "v", TDO_SHAPE(d[0])), 0.5, 0.5);
        v = tdo_op_mul(g, v, v);
        x = tdo_op_affine(g, x, 1, 3);
        tdo_node stats = tdo_op_bn_stats(g, x, v),
                 y = tdo_op_bn_train(g, x, gamma, beta, v, 1e-5);
        tdo_node gy = tdo_op_input(g, "gy", tdo_graph_shape(g, y));
        tdo_grad(g, y, gy, 3, (tdo_node[]){x, gamma, beta}, gx);
        compare("norm", g, 5, (tdo_node[]){stats, y, gx[0], gx[1], gx[2]});
    }
}

/* Chains over shapes that are no multiple of a tile, with operands broadcast in every way. */
static void programs_agree(void)
{
    static const int64_t shapes[][4] = {
        {2, 5, 7, 3}, {3, 16, 16, 16}, {1, 1, 1, 5}, {4, 9, 11, 130}};
    for (int k = 0; k < 4; k++) {
        const tdo_shape s = TDO_SHAPE(shapes[k][0], shapes[k][1], shapes[k][2], shapes[k][3]);
        tdo_graph *g = NULL;
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node x = tdo_op_input(g, "x", s);
        tdo_node rows = tdo_op_input(g, "rows", TDO_SHAPE(s.dim[0], 1, 1, 1));
        tdo_node columns = tdo_op_input(g, "columns", TDO_SHAPE(1, 1, 1, s.dim[3]));
        tdo_node image = tdo_op_input(g, "image", TDO_SHAPE(1, s.dim[1], s.dim[2], s.dim[3]));
        tdo_node middle = tdo_op_input(g, "middle", TDO_SHAPE(1, s.dim[1], 1, 1));
        tdo_node one = tdo_op_input(g, "one", TDO_SHAPE(1, 1, 1, 1));
        tdo_node y = tdo_op_mul(g, x, tdo_op_broadcast(g, rows, s));
        y = tdo_op_add(g, tdo_op_tanh(g, y), tdo_op_broadcast(g, columns, s));
        y = tdo_op_sub(g, y, tdo_op_broadcast(g, image, s));
        y = tdo_op_mul(g, y, tdo_op_exp(g, tdo_op_broadcast(g, middle, s)));
        y = tdo_op_div(g, y, tdo_op_affine(g, tdo_op_broadcast(g, one, s), 0.1, 2));
        tdo_node z = tdo_op_select(g, tdo_op_greater(g, y, x), tdo_op_relu(g, y),
                                   tdo_op_clip(g, x, -0.5, 0.25));
        z = tdo_op_mul(g, z, tdo_op_sqrt(g, tdo_op_affine(g, tdo_op_mul(g, x, x), 1, 1)));
        z = tdo_op_add(
            g, z, tdo_op_broadcast(g, tdo_op_constant(g, tdo_graph_shape(g, columns), 0.5), s));
        compare("program", g, 2, (tdo_node[]){y, z});
    }
}

static void sums_and_the_rest_agree(void)
{
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    const tdo_shape s = TDO_SHAPE(3, 9, 8, 5);
    tdo_node x = tdo_op_input(g, "x", s), z = tdo_op_input(g, "z", TDO_SHAPE(6, 10));
    tdo_node t = tdo_op_input(g, "t", TDO_SHAPE(6, 10)), gz;
    tdo_node loss = tdo_op_xent(g, tdo_op_affine(g, z, 30, 0), t);
    tdo_grad(g, loss, TDO_NONE, 1, &z, &gz);
    tdo_node out[] = {tdo_op_sum(g, x, TDO_SHAPE(1, 1, 1, 5)),
                      tdo_op_sum(g, x, TDO_SHAPE(3, 1, 1, 1)),
                      tdo_op_sum(g, x, TDO_SHAPE(1, 9, 1, 5)),
                      tdo_op_permute(g, x, (int[]){0, 3, 1, 2}),
                      tdo_op_matmul(g, z, t, true, false),
                      loss,
                      gz};
    compare("the rest", g, 7, out);
}

/* Up, down, to one place, from one place; corners aligned or not; channels that fill lanes or not. */
static void resizings_agree(void)
{
    static const int64_t to[][2] = {{17, 13}, {9, 8}, {1, 1}, {4, 3}, {1, 20}, {18, 16}};
    static const tdo_shape from[] = {{4, 0, {3, 9, 8, 5}},
                                     {4, 0, {2, 5, 3, 64}},
                                     {4, 0, {1, 1, 1, 19}},
                                     {4, 0, {2, 2, 7, 1}}};
    for (int k = 0; k < 4 * 6 * 2; k++) {
        const int64_t h = to[k % 6][0], w = to[k % 6][1];
        tdo_graph *g = NULL;
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node x = tdo_op_input(g, "x", from[k / 6 % 4]);
        tdo_node out[] = {tdo_op_upsample(g, x, h, w, k / 24),
                          tdo_op_upsample_dx(g, x, h, w, k / 24)};
        compare("resizing", g, 2, out);
    }
}

/* Any choice of axes, one of them of length 1, against the loop over all elements. */
static void sums_over_any_axes_are_the_plain_loop(void)
{
    const tdo_shape s = TDO_SHAPE(3, 4, 1, 2, 5);
    for (int mask = 0; mask < 32; mask++) {
        tdo_graph *g = NULL;
        tdo_shape to = s;
        double want[120] = {0};
        for (int axis = 0; axis < 5; axis++) {
            to.dim[axis] = mask >> axis & 1 ? 1 : s.dim[axis];
        }
        for (int64_t i = 0; i < 120; i++) {
            int64_t left = i, at = 0, stride = 1;
            for (int axis = 4; axis >= 0; axis--) {
                at += to.dim[axis] == 1 ? 0 : left % s.dim[axis] * stride;
                stride *= to.dim[axis];
                left /= s.dim[axis];
            }
            want[at] += probe_number(1, i);
        }
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node y = tdo_op_sum(g, tdo_op_input(g, "x", s), to);
        for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
            double *got = probe_values(g, 1, &y, how, NULL);
            CU_ASSERT_TRUE(probe_gap(tdo_shape_count(&to), got, want) <= 1e-7);
            free(got);
        }
        tdo_graph_free(&g);
    }
}

/* Second moments of rows against plain loops; then A V' = V' diag(d) and V V' = 1 of their matrix,
 * and a NaN has no eigenvalues. */
static void eigenvectors_are_what_they_are_called(void)
{
    enum { SIZE = 37, MOMENTS = 50 };
    static double x[MOMENTS * SIZE], a[SIZE * SIZE], v[SIZE * SIZE], d[SIZE];
    double worst = 0;
    for (int i = 0; i < MOMENTS * SIZE; i++) {
        x[i] = probe_number(1, i);
    }
    tdo_blas_add_squares(x, MOMENTS / 2, SIZE, v);
    tdo_blas_add_squares(x + MOMENTS / 2 * SIZE, MOMENTS / 2, SIZE, v);
    for (int i = 0; i < SIZE * SIZE; i++) {
        for (int r = 0; r < MOMENTS; r++) {
            a[i] += x[r * SIZE + i / SIZE] * x[r * SIZE + i % SIZE];
        }
        worst = fmax(worst, i % SIZE < i / SIZE ? fabs(v[i]) : fabs(v[i] - a[i]));
    }
    CU_ASSERT_TRUE(worst <= 1e-12); /* 0 below the diagonal */
    ASSERT_OK_FATAL(tdo_blas_eigen(SIZE, v, d));
    for (int i = 0; i < SIZE; i++) {
        CU_ASSERT_TRUE(i == 0 || d[i] >= d[i - 1]);
        for (int k = 0; k < SIZE; k++) {
            double product = 0, scalar = 0;
            for (int j = 0; j < SIZE; j++) {
                product += a[k * SIZE + j] * v[i * SIZE + j];
                scalar += v[k * SIZE + j] * v[i * SIZE + j];
            }
            worst = fmax(worst, fabs(product - d[i] * v[i * SIZE + k]));
            worst = fmax(worst, fabs(scalar - (i == k)));
        }
    }
    CU_ASSERT_TRUE(worst <= 1e-12);
    a[1] = (double)NAN;
    CU_ASSERT_EQUAL(tdo_blas_eigen(SIZE, a, d), TDO_ERR_NUMERIC);
}

CU_TestInfo suite_tests[] = {
    {"convolutions and their gradients agree", convolutions_and_their_gradients_agree},
    {"OpenBLAS convolutions and their gradients agree", convolutions_by_name_agree},
    {"matrix products agree, transposed or not", matrix_products_agree},
    {"scalar products of rows are within their bound", row_products_are_within_their_bound},
    {"convolutions with bias, sum and activation agree", fused_convolutions_agree},
    {"poolings and their gradients agree", poolings_and_their_gradients_agree},
    {"bilinear resizings and their adjoints agree", resizings_agree},
    {"batch norm and its gradients agree", batch_norm_and_its_gradients_agree},
    {"pointwise programs agree", programs_agree},
    {"eigenvectors are what they are called", eigenvectors_are_what_they_are_called},
    {"sums and the rest agree", sums_and_the_rest_agree},
    {"sums over any axes are the plain loop", sums_over_any_axes_are_the_plain_loop},
    CU_TEST_INFO_NULL,
};
