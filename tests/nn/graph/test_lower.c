/* Lowering changes how, never what: the same values with and without fusion; what should be fused
 * is (missed is 0 for every model), and what must not be is not. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "nn/graph/lower.h"
#include "nn/kernels/onednn.h"
#include "nn/losses.h"
#include "nn/models/models.h"
#include "tests/nn/support.h"

const char suite_name[] = "graph/lower";

static int count_rows(const tdo_graph *g, const struct tdo_op *op)
{
    int n = 0;
    for (tdo_node i = 0; i < tdo_graph_size(g); i++) {
        n += tdo_graph_at(g, i)->op == op;
    }
    return n;
}

static void lower(const tdo_graph *g, int outputs, const tdo_node *out, struct tdo_lowered *l)
{
    ASSERT_OK_FATAL(tdo_graph_check(g));
    ASSERT_OK_FATAL(tdo_lower(g, outputs, out, TDO_LOWER_FAST, l));
}

/* Every value of a graph as an output of its own (nothing can be fused), against the fused run. */
static void same_without_fusion(const tdo_graph *g, tdo_node y, enum arithmetic how,
                                double limit)
{
    enum { MOST = 64 };
    tdo_node all[MOST];
    int n = 0;
    for (tdo_node i = 0; i <= y && n < MOST; i++) {
        if (tdo_graph_at(g, i)->op != &tdo_row_input) {
            all[n++] = i;
        }
    }
    CU_ASSERT_EQUAL_FATAL(all[n - 1], y);
    double *fused = probe_values(g, 1, &y, how, NULL);
    double *apart = probe_values(g, n, all, how == FAST ? REFERENCE : how, NULL);
    int64_t at = 0;
    for (int k = 0; k + 1 < n; k++) {
        at += probe_count(g, all[k]);
    }
    const double gap = probe_gap(probe_count(g, y), fused, apart + at);
    CU_ASSERT_TRUE(gap <= limit);
    free(fused);
    free(apart);
}

static tdo_node residual_block(tdo_graph *g, const struct tdo_conv *c)
{
    const tdo_shape s = TDO_SHAPE(2, 6, 6, 8);
    tdo_node x = tdo_op_input(g, "x", s), w = tdo_op_input(g, "w", TDO_SHAPE(8, 8, 3, 3));
    tdo_node b = tdo_op_input(g, "b", TDO_SHAPE(8));
    tdo_node column = tdo_op_broadcast(g, tdo_op_reshape(g, b, TDO_SHAPE(1, 1, 1, 8)), s);
    tdo_node y = tdo_op_add(g, tdo_op_conv(g, x, w, c), column);
    return tdo_op_relu(g, tdo_op_add(g, y, x));
}

static const struct tdo_conv three = {.stride = {1, 1}, .pad = {1, 1, 1, 1}, .groups = 1};

static void fusion_does_not_change_values(void)
{
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node y = residual_block(g, &three);
    y = tdo_op_tanh(g, tdo_op_mul(g, y, tdo_op_affine(g, y, 0.5, 1)));
    y = tdo_op_add(g, y, tdo_op_exp(g, tdo_op_clip(g, y, 0.1, 0.6)));
    same_without_fusion(g, y, F64, 1e-12);
    same_without_fusion(g, y, REFERENCE, 2e-5);
    same_without_fusion(g, y, FAST, 2e-5);
    tdo_graph_free(&g);
}

static void a_residual_block_is_one_convolution(void)
{
    tdo_graph *g = NULL;
    struct tdo_lowered l;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node y = residual_block(g, &three);
    lower(g, 1, &y, &l);
    if (tdo_onednn_available()) {
        const struct tdo_graph_node *n = tdo_graph_at(l.graph, l.output[0]);
        CU_ASSERT_PTR_EQUAL(n->op, &tdo_row_conv_fused);
        CU_ASSERT_TRUE(n->attr.pack.fused.bias && n->attr.pack.fused.sum);
        CU_ASSERT_EQUAL(n->attr.pack.fused.activation, TDO_ACTIVATION_RELU);
        CU_ASSERT_EQUAL(count_rows(l.graph, &tdo_row_program), 0);
    }
    CU_ASSERT_EQUAL(tdo_lower_missed(&l, 1), 0);
    tdo_lower_free(&l);
    tdo_graph_free(&g);
}

/* conv(x) is read again, or is an output: nothing may swallow it. */
static void a_value_that_others_read_is_kept(void)
{
    for (int as_output = 0; as_output < 2; as_output++) {
        tdo_graph *g = NULL;
        struct tdo_lowered l;
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(2, 6, 6, 8));
        tdo_node w = tdo_op_input(g, "w", TDO_SHAPE(8, 8, 3, 3));
        tdo_node c = tdo_op_conv(g, x, w, &three), y = tdo_op_relu(g, c);
        tdo_node out[2] = {as_output ? y : tdo_op_mul(g, y, c), c};
        lower(g, 1 + as_output, out, &l);
        for (tdo_node i = 0; tdo_onednn_available() && i < tdo_graph_size(l.graph); i++) {
            const struct tdo_graph_node *n = tdo_graph_at(l.graph, i);
            CU_ASSERT_TRUE(n->op != &tdo_row_conv_fused ||
                           n->attr.pack.fused.activation == TDO_ACTIVATION_NONE);
        }
        CU_ASSERT_EQUAL(count_rows(l.graph, &tdo_row_program), 1);
        tdo_lower_free(&l);
        double *fast = probe_values(g, 1 + as_output, out, FAST, NULL);
        double *full = probe_values(g, 1 + as_output, out, F64, NULL);
        CU_ASSERT_TRUE(probe_gap(probe_count(g, out[0]) * (1 + as_output), fast, full) <= 2e-5);
        free(fast);
        free(full);
        tdo_graph_free(&g);
    }
}

/* Two convolutions that are added: the sum belongs to one of them, the other stands alone. */
static void two_convolutions_share_one_sum(void)
{
    for (int activation = 0; activation < 2; activation++) {
        tdo_graph *g = NULL;
        struct tdo_lowered l;
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(2, 6, 6, 8));
        tdo_node w = tdo_op_input(g, "w", TDO_SHAPE(8, 8, 3, 3));
        tdo_node u = tdo_op_input(g, "u", TDO_SHAPE(8, 8, 3, 3));
        tdo_node y = tdo_op_add(g, tdo_op_conv(g, x, w, &three), tdo_op_conv(g, x, u, &three));
        y = activation ? tdo_op_relu(g, y) : y;
        lower(g, 1, &y, &l);
        CU_ASSERT_EQUAL(count_rows(l.graph, &tdo_row_conv_fused),
                        tdo_onednn_available() ? 2 : 0);
        CU_ASSERT_EQUAL(count_rows(l.graph, &tdo_row_conv), tdo_onednn_available() ? 0 : 2);
        tdo_lower_free(&l);
        same_without_fusion(g, y, FAST, 2e-5);
        tdo_graph_free(&g);
    }
}

/* A vector over channels is a bias, also on one row of one place, where no broadcast is needed; a
 * vector over rows is none, even if there are as many rows as channels. */
static void a_bias_is_told_from_a_sum(void)
{
    for (int k = 0; k < 3; k++) { /* one row; eight rows; eight rows and a vector over rows */
        const int64_t rows = k ? 8 : 1;
        const tdo_shape s = TDO_SHAPE(rows, 1, 1, 8), vector = TDO_SHAPE(1, 1, 1, 8);
        tdo_graph *g = NULL;
        struct tdo_lowered l;
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node x = tdo_op_input(g, "x", s), w = tdo_op_input(g, "w", TDO_SHAPE(8, 8, 1, 1));
        tdo_node b = tdo_op_input(g, "b", TDO_SHAPE(8));
        b = tdo_op_reshape(g, b, k == 2 ? TDO_SHAPE(8, 1, 1, 1) : vector);
        const struct tdo_conv one = {.stride = {1, 1}, .groups = 1};
        tdo_node y = tdo_op_add(g, tdo_op_conv(g, x, w, &one), tdo_op_broadcast(g, b, s));
        lower(g, 1, &y, &l);
        const struct tdo_graph_node *n = tdo_graph_at(l.graph, l.output[0]);
        if (tdo_onednn_available()) {
            CU_ASSERT_PTR_EQUAL_FATAL(n->op, &tdo_row_conv_fused);
            CU_ASSERT_EQUAL(n->attr.pack.fused.bias, k < 2);
            CU_ASSERT_EQUAL(n->attr.pack.fused.sum, k == 2);
        }
        tdo_lower_free(&l);
        same_without_fusion(g, y, FAST, 2e-5);
        tdo_graph_free(&g);
    }
}

/* A chain with more operands than a program can load is cut, not refused. */
static void long_chains_are_cut(void)
{
    enum { LINKS = 60 };
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node y = tdo_op_input(g, "x", TDO_SHAPE(3, 5)), kept[LINKS];
    for (int i = 0; i < LINKS; i++) {
        kept[i] = tdo_op_affine(g, tdo_op_input(g, "x", TDO_SHAPE(3, 5)), 0.5, i);
        y = tdo_op_add(g, tdo_op_tanh(g, y), kept[i]);
    }
    for (int i = 0; i < LINKS; i++) { /* all of them alive at once: registers run out */
        y = tdo_op_add(g, y, tdo_op_mul(g, kept[i], kept[LINKS - 1 - i]));
    }
    for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
        double want[15], x[15], k[LINKS][15];
        double *got = probe_values(g, 1, &y, how, NULL);
        for (int e = 0; e < 15; e++) {
            x[e] = probe_number(1, e);
            for (int i = 0; i < LINKS; i++) {
                k[i][e] = 0.5 * probe_number((uint32_t)(2 + i), e) + i;
                x[e] = tanh(x[e]) + k[i][e];
            }
            for (int i = 0; i < LINKS; i++) {
                x[e] += k[i][e] * k[LINKS - 1 - i][e];
            }
            want[e] = x[e];
        }
        CU_ASSERT_TRUE(probe_gap(15, got, want) <= (how == F64 ? 1e-13 : 1e-5));
        free(got);
    }
    tdo_graph_free(&g);
}

static void what_depends_on_parameters_only_is_the_prologue(void)
{
    tdo_graph *g = NULL;
    struct tdo_lowered l;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node w = tdo_op_param(g, 0, "w", TDO_SHAPE(8, 8, 3, 3));
    tdo_node u = tdo_op_param(g, 1, "u", TDO_SHAPE(1, 8, 8, 8)), x;
    x = tdo_op_input(g, "x", TDO_SHAPE(1, 8, 8, 8));
    tdo_node scaled = tdo_op_exp(g, tdo_op_tanh(g, w));
    tdo_node fixed = tdo_op_conv(g, u, scaled, &three); /* of parameters only */
    tdo_node y = tdo_op_relu(g, tdo_op_add(g, fixed, tdo_op_conv(g, x, scaled, &three)));
    lower(g, 1, &y, &l);
    for (tdo_node i = 0; i < tdo_graph_size(l.graph); i++) {
        const struct tdo_graph_node *n = tdo_graph_at(l.graph, i);
        bool body = n->op == &tdo_row_input;
        for (int k = 0; k < n->nin; k++) {
            body = body || !l.prologue[n->in[k]];
        }
        CU_ASSERT_EQUAL(l.prologue[i], !body);
    }
    int convolutions[2] = {0, 0}, programs = 0;
    for (tdo_node i = 0; i < tdo_graph_size(l.graph); i++) {
        const struct tdo_op *op = tdo_graph_at(l.graph, i)->op;
        convolutions[l.prologue[i]] += op == &tdo_row_conv_fused || op == &tdo_row_conv;
        programs += op == &tdo_row_program && l.prologue[i];
    }
    CU_ASSERT_EQUAL(convolutions[0], 1);
    CU_ASSERT_EQUAL(convolutions[1], 1);
    CU_ASSERT_EQUAL(programs, 1);
    tdo_lower_free(&l);
    tdo_graph_free(&g);
}

/* ---- models ---------------------------------------------------------------------------------- */

static tdo_node bounded(struct tdo_build *b, const void *self, tdo_node x)
{
    (void)self;
    return tdo_op_clip(b->g, x, 0, 1);
}

enum purpose { EVALUATE, ATTACK, TRAIN };

/* How many fusions does a plan of the model miss? */
static int missed(const struct tdo_model *m, char shortcut, bool clip, enum purpose purpose)
{
    const struct tdo_hook hook = {.activation = bounded};
    const int64_t side = m->usual[0]; /* vgg16 takes no less than 32 */
    const struct tdo_model_spec spec = {.height = side,
                                        .width = side,
                                        .channels = 3,
                                        .classes = 10,
                                        .shortcut = shortcut,
                                        .wide = 0.125,
                                        .inputs = m->output == TDO_MODEL_IMAGE ? 0 : 3,
                                        .mean = {0.4, 0.5, 0.6},
                                        .std = {0.2, 0.3, 0.25}};
    tdo_graph *g = NULL;
    tdo_params *params = NULL;
    enum { MOST = 480 };
    tdo_node wrt[MOST], out[MOST + 1];
    int n = 0;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    ASSERT_OK_FATAL(tdo_params_new(&params));
    struct tdo_build b = {.g = g,
                          .params = params,
                          .keys = TDO_NONE,
                          .hook = &hook,
                          .hooks = clip,
                          .norm = purpose == TRAIN ? TDO_NORM_BATCH : TDO_NORM_RUNNING};
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(4, side, side, 3));
    b.row_weights = tdo_op_input(g, "v", TDO_SHAPE(4));
    out[0] = tdo_model_build(&b, m, &spec, x);
    if (purpose != EVALUATE) {
        tdo_node labels = tdo_op_input(g, "y", TDO_SHAPE(4));
        out[0] = m->output == TDO_MODEL_IMAGE
                     ? tdo_op_total(g, tdo_op_mul(g, out[0], out[0]))
                     : tdo_loss_cross_entropy(g, out[0], labels, b.row_weights);
        for (tdo_node i = 0; i < tdo_graph_size(g) && purpose == TRAIN; i++) {
            const struct tdo_graph_node *node = tdo_graph_at(g, i);
            if (node->op == &tdo_row_param &&
                tdo_params_at(params, node->attr.leaf.index)->kind == TDO_PARAM_WEIGHT) {
                CU_ASSERT_FATAL(n < MOST);
                wrt[n++] = i;
            }
        }
        if (purpose == ATTACK) {
            wrt[n++] = x;
        }
        tdo_grad(g, out[0], TDO_NONE, n, wrt, out + 1);
    }
    ASSERT_OK_FATAL(tdo_params_init(params, 1));
    tdo_plan *p = probe_plan(g, 1 + n, out, FAST, params);
    const int count = tdo_plan_missed(p);
    tdo_plan_free(&p);
    tdo_params_free(&params);
    tdo_graph_free(&g);
    return count;
}

static void nothing_is_missed_in_any_model(void)
{
    static const char *const names[] = {"evaluation", "attack", "training"};
    for (int i = 0; tdo_model_table[i]; i++) {
        const struct tdo_model *m = tdo_model_table[i];
        for (int k = 0; k < (m->shortcut ? 12 : 6); k++) {
            const enum purpose purpose = (enum purpose)(k % 3);
            const char shortcut = k / 6 ? 'B' : 'A';
            const int count = missed(m, shortcut, k / 3 % 2, purpose);
            if (count) {
                printf("%s %c, %s%s: %d fusions missed\n", m->name, shortcut, names[purpose],
                       k / 3 % 2 ? ", clip" : "", count);
            }
            CU_ASSERT_EQUAL(count, 0);
        }
    }
}

/* missed() itself must be able to say more than 0. */
static void a_missed_fusion_is_counted(void)
{
    tdo_graph *g = NULL;
    struct tdo_lowered l;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(4));
    tdo_node y = tdo_op_exp(g, x), z = tdo_op_tanh(g, y);
    lower(g, 2, (tdo_node[]){y, z}, &l); /* two programs, as y is an output */
    CU_ASSERT_EQUAL(count_rows(l.graph, &tdo_row_program), 2);
    CU_ASSERT_EQUAL(tdo_lower_missed(&l, 2), 0);
    l.output[0] = l.output[1]; /* as if y were not */
    CU_ASSERT_EQUAL(tdo_lower_missed(&l, 2), 1);
    tdo_lower_free(&l);
    tdo_graph_free(&g);
}

CU_TestInfo suite_tests[] = {
    {"fusion does not change values", fusion_does_not_change_values},
    {"a residual block is one convolution", a_residual_block_is_one_convolution},
    {"a value that others read is kept", a_value_that_others_read_is_kept},
    {"two convolutions share one sum", two_convolutions_share_one_sum},
    {"a bias is told from a sum", a_bias_is_told_from_a_sum},
    {"long chains are cut", long_chains_are_cut},
    {"what depends on parameters only is the prologue",
     what_depends_on_parameters_only_is_the_prologue},
    {"nothing is missed in any model, with and without clip", nothing_is_missed_in_any_model},
    {"a missed fusion is counted", a_missed_fusion_is_counted},
    CU_TEST_INFO_NULL,
};
