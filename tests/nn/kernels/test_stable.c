/* The bits of an image do not depend on its company: a batch of 1, 16, 17 or 64 rows and any
 * position in it give the same result, and so does any number of threads. Votes rest on this. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/kernels/onednn.h"
#include "nn/kernels/threads.h"
#include "tests/nn/support.h"

const char suite_name[] = "kernels/stable";

/* A layer on images [H,W,C]: activation(conv + bias + sum). */
struct layer {
    const char *name;
    int64_t image[3], w[4];
    struct tdo_conv conv;
    bool bias, sum, relu, adjoint;
};

static const struct layer layers[] = {
    {"3x3",
     {16, 16, 16},
     {16, 16, 3, 3},
     {{1, 1}, {1, 1, 1, 1}, 1, {0}},
     false,
     false,
     false,
     0},
    {"stem", {32, 32, 3}, {16, 3, 3, 3}, {{1, 1}, {1, 1, 1, 1}, 1, {0}}, true, false, true, 0},
    {"block", {8, 8, 64}, {64, 64, 3, 3}, {{1, 1}, {1, 1, 1, 1}, 1, {0}}, true, true, true, 0},
    {"stride",
     {16, 16, 32},
     {64, 32, 3, 3},
     {{2, 2}, {1, 1, 1, 1}, 1, {0}},
     true,
     false,
     true,
     0},
    {"projection", {16, 16, 16}, {32, 16, 1, 1}, {{2, 2}, {0}, 1, {0}}, true, false, false, 0},
    {"digits", {28, 28, 1}, {20, 1, 5, 5}, {{1, 1}, {0}, 1, {0}}, true, false, false, 0},
    {"same", {28, 28, 1}, {64, 1, 8, 8}, {{2, 2}, {3, 3, 3, 3}, 1, {0}}, true, false, true, 0},
    {"wide", {14, 14, 64}, {128, 64, 6, 6}, {{2, 2}, {0}, 1, {0}}, true, false, true, 0},
    {"linear", {1, 1, 800}, {500, 800, 1, 1}, {{1, 1}, {0}, 1, {0}}, true, false, true, 0},
    {"last", {1, 1, 64}, {10, 64, 1, 1}, {{1, 1}, {0}, 1, {0}}, true, false, false, 0},
    {"large", {1, 1, 784}, {500, 784, 1, 1}, {{1, 1}, {0}, 1, {0}}, true, true, false, 0},
    {"grouped", {9, 7, 8}, {16, 4, 3, 3}, {{2, 1}, {1, 0, 0, 1}, 2, {0}}, true, false, true, 0},
    {"dx", {16, 16, 16}, {16, 16, 3, 3}, {{1, 1}, {1, 1, 1, 1}, 1, {0}}, 0, 0, 0, true},
    {"dx stride", {16, 16, 32}, {64, 32, 3, 3}, {{2, 2}, {1, 1, 1, 1}, 1, {0}}, 0, 0, 0, true},
    {"dx linear", {1, 1, 800}, {500, 800, 1, 1}, {{1, 1}, {0}, 1, {0}}, 0, 0, 0, true},
};

struct built {
    tdo_graph *g;
    tdo_plan *plan;
    tdo_node x, sum;
    int64_t rows, x_row, y_row; /* floats a row of x and of the result */
};

/* The geometry's other side, as an image of n rows. */
static tdo_shape result_of(const struct layer *l, int64_t n)
{
    tdo_shape y = TDO_SHAPE(n, 0, 0, l->w[0]);
    for (int i = 0; i < 2; i++) {
        y.dim[1 + i] = (l->image[i] + l->conv.pad[i] + l->conv.pad[2 + i] - l->w[2 + i]) /
                           l->conv.stride[i] +
                       1;
    }
    return y;
}

/* Weights and bias are inputs here, and the same in every plan. */
static void build(const struct layer *l, int64_t n, enum arithmetic how, struct built *b)
{
    ASSERT_OK_FATAL(tdo_graph_new(&b->g));
    const tdo_shape x = TDO_SHAPE(n, l->image[0], l->image[1], l->image[2]),
                    y = result_of(l, n);
    tdo_node w = tdo_op_input(b->g, "w", TDO_SHAPE(l->w[0], l->w[1], l->w[2], l->w[3]));
    tdo_node bias = tdo_op_input(b->g, "b", TDO_SHAPE(l->w[0])), out;
    b->x = tdo_op_input(b->g, "x", l->adjoint ? y : x);
    b->sum = l->sum ? tdo_op_input(b->g, "r", y) : TDO_NONE;
    if (l->adjoint) {
        out = tdo_op_conv_dx(b->g, b->x, w, &l->conv, l->image[0], l->image[1]);
    } else {
        out = tdo_op_conv(b->g, b->x, w, &l->conv);
    }
    if (l->bias) {
        tdo_node column = tdo_op_reshape(b->g, bias, TDO_SHAPE(1, 1, 1, l->w[0]));
        out = tdo_op_add(b->g, out, tdo_op_broadcast(b->g, column, y));
    }
    out = l->sum ? tdo_op_add(b->g, out, b->sum) : out;
    out = l->relu ? tdo_op_relu(b->g, out) : out;
    b->rows = n;
    b->x_row = probe_count(b->g, b->x) / n;
    b->y_row = probe_count(b->g, out) / n;
    b->plan = probe_plan(b->g, 1, &out, how, NULL);
    probe_fill(b->plan, b->g, w, FAST, 1);
    probe_fill(b->plan, b->g, bias, FAST, 2);
}

static void put_image(struct built *b, int64_t row, int64_t image)
{
    float *x = (float *)tdo_plan_input(b->plan, b->x) + row * b->x_row;
    for (int64_t e = 0; e < b->x_row; e++) {
        x[e] = (float)probe_number(100 + (uint32_t)image, e);
    }
    float *r =
        b->sum != TDO_NONE ? (float *)tdo_plan_input(b->plan, b->sum) + row * b->y_row : NULL;
    for (int64_t e = 0; r && e < b->y_row; e++) {
        r[e] = (float)probe_number(200 + (uint32_t)image, e);
    }
}

static void drop(struct built *b)
{
    tdo_plan_free(&b->plan);
    tdo_graph_free(&b->g);
}

enum { IMAGES = 3 };

static void check_layer(const struct layer *l, enum arithmetic how)
{
    static const int64_t batches[] = {16, 17, 64};
    struct built one, many;
    build(l, 1, how, &one);
    float *alone = calloc((size_t)(IMAGES * one.y_row), sizeof *alone);
    CU_ASSERT_PTR_NOT_NULL_FATAL(alone);
    for (int64_t i = 0; i < IMAGES; i++) {
        put_image(&one, 0, i);
        ASSERT_OK_FATAL(tdo_plan_run(one.plan));
        memcpy(alone + i * one.y_row, tdo_plan_output(one.plan, 0),
               (size_t)one.y_row * sizeof(float));
    }
    for (int k = 0; k < 3; k++) {
        int differ = 0;
        build(l, batches[k], how, &many);
        for (int64_t row = 0; row < many.rows; row++) {
            put_image(&many, row, row * 7 % 5 % IMAGES);
        }
        ASSERT_OK_FATAL(tdo_plan_run(many.plan));
        const float *y = tdo_plan_output(many.plan, 0);
        for (int64_t row = 0; row < many.rows; row++) {
            const float *want = alone + row * 7 % 5 % IMAGES * one.y_row;
            differ += memcmp(y + row * many.y_row, want, (size_t)many.y_row * sizeof *y) != 0;
        }
        if (differ) {
            printf("%s%s: %d of %lld rows have other bits\n", l->name,
                   how == BF16 ? " in bf16" : "", differ, (long long)many.rows);
        }
        CU_ASSERT_EQUAL(differ, 0);
        drop(&many);
    }
    free(alone);
    drop(&one);
}

static void an_image_has_the_same_bits_in_any_batch(void)
{
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        check_layer(&layers[i], FAST);
        if (tdo_onednn_bf16()) {
            check_layer(&layers[i], BF16);
        }
    }
}

static void check_threads(const struct layer *l, enum arithmetic how)
{
    struct built b[2];
    for (int k = 0; k < 2; k++) {
        tdo_threads_set(k ? 3 : 1);
        build(l, 2, how, &b[k]);
        put_image(&b[k], 0, 0);
        put_image(&b[k], 1, 1);
        ASSERT_OK_FATAL(tdo_plan_run(b[k].plan));
        CU_ASSERT_EQUAL(tdo_threads_get(), k ? 3 : 1); /* a kernel leaves it alone */
    }
    const bool same = memcmp(tdo_plan_output(b[0].plan, 0), tdo_plan_output(b[1].plan, 0),
                             (size_t)(2 * b[0].y_row) * sizeof(float)) == 0;
    if (!same) {
        printf("%s: other bits with three threads\n", l->name);
    }
    CU_ASSERT_TRUE(same);
    drop(&b[0]);
    drop(&b[1]);
}

static void an_image_has_the_same_bits_with_any_threads(void)
{
    const int before = tdo_threads_get();
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        check_threads(&layers[i], FAST);
        if (tdo_onednn_bf16()) {
            check_threads(&layers[i], BF16);
        }
    }
    tdo_threads_set(before);
}

CU_TestInfo suite_tests[] = {
    {"an image has the same bits in batches of 1, 16, 17 and 64, at any position",
     an_image_has_the_same_bits_in_any_batch},
    {"an image has the same bits with one thread and with three",
     an_image_has_the_same_bits_with_any_threads},
    CU_TEST_INFO_NULL,
};
