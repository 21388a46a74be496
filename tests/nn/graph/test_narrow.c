/* bf16 plans: rounding by its definition, results near the reference, and no conversion where a
 * convolution hands on to the next one. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/graph/lower.h"
#include "nn/graph/ops.h"
#include "nn/kernels/narrow.h"
#include "nn/kernels/onednn.h"
#include "nn/models/models.h"
#include "tests/nn/support.h"

const char suite_name[] = "narrow";

static uint16_t narrow_one(float x)
{
    const tdo_shape one = TDO_SHAPE(1);
    uint16_t y = 0;
    const struct tdo_call call = {.nin = 1, .in = {&x}, .out = &y, .out_shape = &one};
    tdo_narrow_run(&call);
    return y;
}

static float widen_one(uint16_t x)
{
    const tdo_shape one = TDO_SHAPE(1);
    float y = 0;
    const struct tdo_call call = {.nin = 1, .in = {&x}, .out = &y, .out_shape = &one};
    tdo_widen_run(&call);
    return y;
}

static void numbers_of_eight_bits_stay(void)
{
    for (int i = -256; i <= 256; i++) {
        for (int e = -100; e <= 100; e += 25) {
            const float x = ldexpf((float)i, e);
            CU_ASSERT_TRUE(widen_one(narrow_one(x)) == x);
        }
    }
    CU_ASSERT_TRUE(isinf(widen_one(narrow_one(HUGE_VALF))));
    CU_ASSERT_TRUE(isnan(widen_one(narrow_one(NAN))));
    CU_ASSERT_TRUE(isnan(widen_one(narrow_one(-NAN))));
    CU_ASSERT_TRUE(signbit(widen_one(narrow_one(-0.0F))));
}

/* Near 1 the numbers of bf16 lie 2^-7 apart. */
static void others_go_to_the_nearest_ties_to_even(void)
{
    const double step = 0x1p-7, little = 0x1p-20;
    for (int k = 0; k < 100; k++) {
        const double low = 1 + k * step, middle = low + step / 2;
        const double even = k % 2 ? low + step : low;
        CU_ASSERT_TRUE((double)widen_one(narrow_one((float)middle)) == even);
        CU_ASSERT_TRUE((double)widen_one(narrow_one((float)(middle - little))) == low);
        CU_ASSERT_TRUE((double)widen_one(narrow_one((float)(middle + little))) == low + step);
    }
    CU_ASSERT_TRUE(isinf(widen_one(narrow_one(FLT_MAX)))); /* nearer to the next power of two */
}

enum { ROWS = 3 };

static tdo_node build(const struct tdo_model *m, char shortcut, tdo_graph **g, tdo_params **p)
{
    const int64_t side = m->usual[0] < 96 ? m->usual[0] : 96;
    const struct tdo_model_spec spec = {.height = side,
                                        .width = side,
                                        .channels = m->usual[2],
                                        .classes = 10,
                                        .shortcut = shortcut,
                                        .wide = 0.25};
    ASSERT_OK_FATAL(tdo_graph_new(g));
    ASSERT_OK_FATAL(tdo_params_new(p));
    struct tdo_build b = {.g = *g,
                          .params = *p,
                          .norm = TDO_NORM_RUNNING,
                          .row_weights = TDO_NONE,
                          .keys = TDO_NONE};
    const tdo_shape x = TDO_SHAPE(ROWS, spec.height, spec.width, spec.channels);
    tdo_node z = tdo_model_build(&b, m, &spec, tdo_op_input(*g, "x", x));
    if (m->output == TDO_MODEL_IMAGE) { /* a fresh one changes the image by next to nothing */
        z = tdo_layer_tapped(&b, "features");
    }
    ASSERT_OK_FATAL(tdo_graph_check(*g));
    ASSERT_OK_FATAL(tdo_params_init(*p, 4));
    for (int64_t i = 0; i < tdo_params_entries(*p); i++) { /* no layer that gives nothing */
        const struct tdo_param *e = tdo_params_at(*p, i);
        const bool nothing = e->shape.rank > 1 && e->init == TDO_INIT_ZERO;
        for (int64_t k = 0; nothing && k < e->count; k++) {
            tdo_params_values(*p, i)[k] = (float)probe_number(9, k);
        }
    }
    return z;
}

static void compare(const struct tdo_model *m, char shortcut)
{
    tdo_graph *g = NULL;
    tdo_params *p = NULL;
    tdo_node z = build(m, shortcut, &g, &p);
    double *want = probe_values(g, 1, &z, F64, p), *got = probe_values(g, 1, &z, BF16, p);
    const double gap = probe_gap(probe_count(g, z), got, want);
    /* an untrained denoiser's layers give less and less, of growing relative error */
    const double most = m->output == TDO_MODEL_IMAGE ? 1e-1 : 2e-2;
    if (gap > most) {
        fprintf(stderr, "%s: bf16 is off by %.1e\n", m->name, gap);
    }
    CU_ASSERT_TRUE(gap <= most);
    CU_ASSERT_TRUE(gap > 1e-6); /* it is bf16 indeed */
    free(want);
    free(got);
    tdo_params_free(&p);
    tdo_graph_free(&g);
}

static void every_model_is_near_the_reference(void)
{
    for (int i = 0; tdo_onednn_bf16() && tdo_model_table[i]; i++) {
        compare(tdo_model_table[i], 'B');
        if (tdo_model_table[i]->shortcut) {
            compare(tdo_model_table[i], 'A');
        }
    }
}

static int count(const tdo_graph *g, const struct tdo_op *op)
{
    int n = 0;
    for (tdo_node i = 0; i < tdo_graph_size(g); i++) {
        n += tdo_graph_at(g, i)->op == op;
    }
    return n;
}

/* Image in, mean over the places, linear layer: two conversions to bf16; the last residual sum and
 * nothing else goes back. */
static void convolutions_hand_on_bf16(void)
{
    tdo_graph *g = NULL;
    tdo_params *p = NULL;
    struct tdo_lowered l;
    tdo_node z = build(tdo_model_find("resnet20"), 'B', &g, &p);
    if (tdo_onednn_bf16()) {
        ASSERT_OK_FATAL(tdo_lower(g, 1, &z, TDO_LOWER_BF16, &l));
        CU_ASSERT_EQUAL(count(l.graph, &tdo_row_narrow), 2);
        CU_ASSERT_EQUAL(count(l.graph, &tdo_row_widen), 1);
        CU_ASSERT_EQUAL(tdo_lower_missed(&l, 1), 0);
        tdo_lower_free(&l);
    } else {
        CU_ASSERT_EQUAL(tdo_lower(g, 1, &z, TDO_LOWER_BF16, &l), TDO_ERR_CONFIG);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "bf16 needs"));
    }
    tdo_params_free(&p);
    tdo_graph_free(&g);
}

CU_TestInfo suite_tests[] = {
    {"numbers of eight significant bits, infinities and NaN stay", numbers_of_eight_bits_stay},
    {"other numbers go to the nearest, ties to even", others_go_to_the_nearest_ties_to_even},
    {"every model in bf16 is within 2e-2 of the reference", every_model_is_near_the_reference},
    {"convolutions hand on bf16 without conversions; without bf16 it is refused",
     convolutions_hand_on_bf16},
    CU_TEST_INFO_NULL,
};
