/* Plans: memory is shared and results are not hurt by it; outputs have memory of their own; the
 * prologue runs after touch only; hooks; nothing is allocated by a run; memory failures. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/losses.h"
#include "nn/models/models.h"
#include "tests/nn/support.h"

const char suite_name[] = "graph/plan";

static const struct tdo_conv three = {.stride = {1, 1}, .pad = {1, 1, 1, 1}, .groups = 1};

/* ---- memory ---------------------------------------------------------------------------------- */

/* Twelve convolutions in a row, with residuals. */
static tdo_node tower(tdo_graph *g, tdo_node *input)
{
    tdo_node x = *input = tdo_op_input(g, "x", TDO_SHAPE(4, 16, 16, 8));
    tdo_node w = tdo_op_input(g, "w", TDO_SHAPE(8, 8, 3, 3));
    for (int i = 0; i < 12; i++) {
        tdo_node y = tdo_op_conv(g, x, tdo_op_affine(g, w, 0.2 + 0.01 * i, 0), &three);
        x = tdo_op_tanh(g, i % 2 ? tdo_op_add(g, y, x) : y);
    }
    return x;
}

static void buffers_are_shared(void)
{
    tdo_graph *g = NULL;
    tdo_node x;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node y = tower(g, &x);
    const int64_t one = 4 * 16 * 16 * 8 * (int64_t)sizeof(double); /* in f64 */
    tdo_plan *p = probe_plan(g, 1, &y, F64, NULL);
    /* input, output and about three more; 24 images if nothing were shared */
    CU_ASSERT_TRUE(tdo_plan_bytes(p) < 7 * one);
    CU_ASSERT_TRUE(tdo_plan_bytes(p) >= 3 * one);
    tdo_plan_free(&p);
    tdo_graph_free(&g);
}

static void a_second_run_gives_the_same(void)
{
    tdo_graph *g = NULL;
    tdo_node x;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node y = tower(g, &x), gx[2];
    gx[0] = y;
    tdo_grad(g, tdo_op_total(g, y), TDO_NONE, 1, &x, &gx[1]);
    const int64_t n = probe_count(g, y);
    for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
        const size_t bytes = (size_t)n * (how == F64 ? sizeof(double) : sizeof(float));
        tdo_plan *p = probe_plan(g, 2, gx, how, NULL);
        for (tdo_node i = 0; i < tdo_graph_size(g); i++) {
            if (tdo_graph_at(g, i)->op == &tdo_row_input) {
                probe_fill(p, g, i, how, 1 + (uint32_t)i);
            }
        }
        ASSERT_OK_FATAL(tdo_plan_run(p));
        void *first = malloc(2 * bytes);
        CU_ASSERT_PTR_NOT_NULL_FATAL(first);
        memcpy(first, tdo_plan_output(p, 0), bytes);
        memcpy((char *)first + bytes, tdo_plan_output(p, 1), bytes);
        ASSERT_OK_FATAL(tdo_plan_run(p));
        CU_ASSERT_EQUAL(memcmp(first, tdo_plan_output(p, 0), bytes), 0);
        CU_ASSERT_EQUAL(memcmp((char *)first + bytes, tdo_plan_output(p, 1), bytes), 0);
        free(first);
        tdo_plan_free(&p);
    }
    tdo_graph_free(&g);
}

/* ---- in place ----------------------------------------------------------------------------------- */

/* Graphs in which writing over an operand too early would be seen. */
static tdo_node delicate(tdo_graph *g, int k)
{
    const tdo_shape s = TDO_SHAPE(2, 6, 6, 8), c = TDO_SHAPE(1, 1, 1, 8);
    tdo_node x = tdo_op_tanh(g, tdo_op_input(g, "x", s)); /* a buffer that may be reused */
    tdo_node w = tdo_op_input(g, "w", TDO_SHAPE(8, 8, 3, 3)), flat;
    switch (k) {
    case 0: /* read twice in one step */
        return tdo_op_mul(g, x, tdo_op_add(g, x, x));
    case 1: /* the residual is the image that the convolution reads */
        return tdo_op_relu(g, tdo_op_add(g, tdo_op_conv(g, x, w, &three), x));
    case 2: /* read in step and as a broadcast of its own sum */
        return tdo_op_sub(g, x, tdo_op_broadcast(g, tdo_op_sum(g, x, c), s));
    case 3: /* read again afterwards */
        x = tdo_op_add(g, tdo_op_conv(g, x, w, &three), x);
        return tdo_op_add(g, tdo_op_conv(g, x, w, &three), tdo_op_mul(g, x, x));
    case 4: /* under another shape */
        flat = tdo_op_reshape(g, x, TDO_SHAPE(2 * 36 * 8));
        x = tdo_op_mul(g, x, x);
        return tdo_op_add(g, tdo_op_reshape(g, flat, s), x);
    case 5: /* a row, read in step by a result that fits into the same bytes */
        x = tdo_op_tanh(g, tdo_op_input(g, "r", TDO_SHAPE(1, 5)));
        return tdo_op_add(g, tdo_op_broadcast(g, x, TDO_SHAPE(2, 5)),
                          tdo_op_input(g, "q", TDO_SHAPE(2, 5)));
    case 6: /* in the order of another axis */
        x = tdo_op_tanh(g, tdo_op_input(g, "r", TDO_SHAPE(4, 4)));
        return tdo_op_add(g, x, tdo_op_permute(g, x, (int[]){1, 0}));
    default: /* an operand twice, once as it is and once turned */
        x = tdo_op_tanh(g, tdo_op_input(g, "r", TDO_SHAPE(1, 8)));
        return tdo_op_mul(
            g, tdo_op_broadcast(g, x, TDO_SHAPE(8, 8)),
            tdo_op_broadcast(g, tdo_op_reshape(g, x, TDO_SHAPE(8, 1)), TDO_SHAPE(8, 8)));
    }
}

/* The oracle is a plan in which every value is an output, so that no memory is shared. */
static void results_survive_writing_in_place(void)
{
    for (int k = 0; k < 8; k++) {
        tdo_graph *g = NULL;
        tdo_node all[32];
        int n = 0;
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        tdo_node y = delicate(g, k);
        for (tdo_node i = 0; i <= y; i++) {
            if (tdo_graph_at(g, i)->op != &tdo_row_input) {
                all[n++] = i;
            }
        }
        double *want = probe_values(g, n, all, F64, NULL);
        int64_t at = 0;
        for (int i = 0; i + 1 < n; i++) {
            at += probe_count(g, all[i]);
        }
        for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
            double *got = probe_values(g, 1, &y, how, NULL);
            const double gap = probe_gap(probe_count(g, y), got, want + at);
            if (!(gap <= (how == F64 ? 1e-12 : 2e-5))) {
                printf("case %d, %s: %.1e\n", k, arithmetic_name[how], gap);
            }
            CU_ASSERT_TRUE(gap <= (how == F64 ? 1e-12 : 2e-5));
            free(got);
        }
        free(want);
        tdo_graph_free(&g);
    }
}

/* ---- outputs ------------------------------------------------------------------------------------ */

static void outputs_have_memory_of_their_own(void)
{
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    const tdo_shape s = TDO_SHAPE(2, 3), flat = TDO_SHAPE(6);
    tdo_node x = tdo_op_input(g, "x", s), y = tdo_op_exp(g, x), c = tdo_op_constant(g, s, 4);
    tdo_node w = tdo_op_param(g, 0, "w", s);
    tdo_node out[] = {x, tdo_op_reshape(g, x, flat), x, y, tdo_op_reshape(g, y, flat), y, c,
                      c, tdo_op_detach(g, y),        w, w, tdo_op_affine(g, w, 2, 0)};
    enum { OUTPUTS = sizeof out / sizeof *out };
    tdo_params *params = NULL;
    int64_t index;
    ASSERT_OK_FATAL(tdo_params_new(&params));
    ASSERT_OK_FATAL(tdo_params_add(
        params, &(struct tdo_param){.name = "w", .shape = s, .init = TDO_INIT_ONE}, &index));
    ASSERT_OK_FATAL(tdo_params_init(params, 1));
    for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
        tdo_plan *p = probe_plan(g, OUTPUTS, out, how, params);
        double bound[OUTPUTS][6] = {{0}}; /* large enough for either type */
        for (int k = 0; k < OUTPUTS; k++) {
            for (int j = 0; j < k; j++) {
                CU_ASSERT_PTR_NOT_EQUAL(tdo_plan_output(p, k), tdo_plan_output(p, j));
            }
            CU_ASSERT_PTR_NOT_EQUAL(tdo_plan_output(p, k), tdo_plan_input(p, x));
        }
        for (int round = 0; round < 3; round++) { /* own memory, the caller's, own again */
            for (int k = 0; k < OUTPUTS; k++) {
                tdo_plan_bind(p, k, round == 1 ? bound[k] : NULL);
            }
            probe_fill(p, g, x, how, (uint32_t)round);
            ASSERT_OK_FATAL(tdo_plan_run(p));
            for (int k = 0; k < OUTPUTS; k++) {
                double v[6];
                probe_get(p, k, how, 6, v);
                CU_ASSERT_TRUE(round != 1 || tdo_plan_output(p, k) == (void *)bound[k]);
                for (int e = 0; e < 6; e++) {
                    const double in = probe_number((uint32_t)round, e);
                    const double want = k < 3             ? in
                                        : k < 6 || k == 8 ? exp(in)
                                        : k < 8           ? 4
                                        : k < 11          ? 1
                                                          : 2;
                    CU_ASSERT_TRUE(fabs(v[e] - want) <= 1e-6);
                }
            }
        }
        tdo_plan_free(&p);
    }
    tdo_params_free(&params);
    tdo_graph_free(&g);
}

static void an_output_in_the_middle_can_be_bound(void)
{
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(40));
    tdo_node out[2] = {TDO_NONE, tdo_op_exp(g, x)};
    out[0] = tdo_op_sub(g, tdo_op_mul(g, out[1], out[1]), x);
    tdo_plan *p = probe_plan(g, 2, out, F64, NULL);
    double middle[40], end[40];
    tdo_plan_bind(p, 1, middle);
    tdo_plan_bind(p, 0, end);
    probe_fill(p, g, x, F64, 1);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    for (int e = 0; e < 40; e++) {
        const double in = probe_number(1, e);
        CU_ASSERT_EQUAL(middle[e], exp(in));
        CU_ASSERT_EQUAL(end[e], exp(in) * exp(in) - in);
    }
    tdo_plan_free(&p);
    tdo_graph_free(&g);
}

static void an_input_that_nobody_reads_has_no_memory(void)
{
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(4)), z = tdo_op_input(g, "z", TDO_SHAPE(4));
    tdo_op_exp(g, z);
    tdo_node y = tdo_op_exp(g, x);
    tdo_plan *p = probe_plan(g, 1, &y, FAST, NULL);
    CU_ASSERT_PTR_NOT_NULL(tdo_plan_input(p, x));
    CU_ASSERT_PTR_NULL(tdo_plan_input(p, z));
    tdo_plan_free(&p);
    tdo_graph_free(&g);
}

/* ---- prologue ----------------------------------------------------------------------------------- */

static void parameters_count_after_touch(void)
{
    tdo_graph *g = NULL;
    tdo_params *params = NULL;
    int64_t index;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    ASSERT_OK_FATAL(tdo_params_new(&params));
    ASSERT_OK_FATAL(tdo_params_add(
        params,
        &(struct tdo_param){.name = "w", .shape = TDO_SHAPE(4, 2, 3, 3), .init = TDO_INIT_ONE},
        &index));
    ASSERT_OK_FATAL(tdo_params_init(params, 1));
    tdo_node w = tdo_op_param(g, index, "w", TDO_SHAPE(4, 2, 3, 3));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(1, 5, 5, 2));
    tdo_node y = tdo_op_conv(g, x, tdo_op_mul(g, w, w), &three);
    for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
        double v[3][100];
        tdo_params_values(params, index)[0] = 1;
        tdo_plan *p = probe_plan(g, 1, &y, how, params);
        probe_fill(p, g, x, how, 1);
        for (int round = 0; round < 3; round++) {
            if (round == 2) {
                tdo_plan_touch(p);
            }
            ASSERT_OK_FATAL(tdo_plan_run(p));
            probe_get(p, 0, how, 100, v[round]);
            tdo_params_values(params, index)[0] = 3; /* unseen until touch */
        }
        CU_ASSERT_EQUAL(memcmp(v[0], v[1], sizeof v[0]), 0);
        CU_ASSERT_TRUE(probe_gap(100, v[2], v[0]) > 0.1);
        double *want = probe_values(g, 1, &y, F64, params);
        CU_ASSERT_TRUE(probe_gap(100, v[2], want) <= 2e-5);
        free(want);
        tdo_plan_free(&p);
    }
    tdo_params_free(&params);
    tdo_graph_free(&g);
}

/* ---- hooks, allocation, failures ----------------------------------------------------------------- */

struct seen {
    tdo_plan *plan;
    int between, ready[8];
    double at_ready[8];
};

static void on_between(void *context)
{
    ((struct seen *)context)->between++;
}

static void on_ready(void *context, int output)
{
    struct seen *s = context;
    s->ready[output]++;
    s->at_ready[output] = ((const double *)tdo_plan_output(s->plan, output))[0];
}

static void ready_is_called_once_when_a_result_is_final(void)
{
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(8)), y = tdo_op_exp(g, x);
    tdo_node c = tdo_op_constant(g, TDO_SHAPE(8), 2), z = tdo_op_reshape(g, y, TDO_SHAPE(2, 4));
    tdo_node out[] = {tdo_op_total(g, y), y, z, x, c, tdo_op_tanh(g, y)};
    tdo_plan *p = probe_plan(g, 6, out, F64, NULL);
    struct seen s = {.plan = p};
    const struct tdo_plan_hooks hooks = {
        .between = on_between, .ready = on_ready, .context = &s};
    tdo_plan_set_hooks(p, &hooks);
    for (int round = 1; round <= 2; round++) {
        s.between = 0;
        probe_fill(p, g, x, F64, (uint32_t)round);
        ASSERT_OK_FATAL(tdo_plan_run(p));
        CU_ASSERT_TRUE(s.between >= 6);
        for (int k = 0; k < 6; k++) {
            CU_ASSERT_EQUAL(s.ready[k], round);
            CU_ASSERT_EQUAL(s.at_ready[k], ((const double *)tdo_plan_output(p, k))[0]);
        }
    }
    tdo_plan_free(&p);
    tdo_graph_free(&g);
}

struct trained {
    tdo_graph *g;
    tdo_params *params;
    tdo_plan *plan;
};

/* A small residual net's training graph; everything that can run out of memory does so in here. */
static tdo_err build_training(enum arithmetic how, struct trained *t)
{
    enum { MOST = 80 };
    const struct tdo_model_spec spec = {
        .height = 8, .width = 8, .channels = 2, .classes = 3, .shortcut = 'B'};
    tdo_node out[MOST + 1], wrt[MOST];
    int n = 0;
    TDO_TRY(tdo_graph_new(&t->g));
    TDO_TRY(tdo_params_new(&t->params));
    struct tdo_build b = {
        .g = t->g, .params = t->params, .norm = TDO_NORM_BATCH, .keys = TDO_NONE};
    tdo_node x = tdo_op_input(t->g, "x", TDO_SHAPE(2, 8, 8, 2));
    tdo_node labels = tdo_op_input(t->g, "y", TDO_SHAPE(2));
    b.row_weights = tdo_op_input(t->g, "v", TDO_SHAPE(2));
    tdo_node z = tdo_model_build(&b, tdo_model_find("resnet20"), &spec, x);
    out[0] = tdo_loss_cross_entropy(t->g, z, labels, b.row_weights);
    TDO_TRY(tdo_graph_check(t->g));
    for (tdo_node i = 0; i < tdo_graph_size(t->g); i++) {
        if (tdo_graph_at(t->g, i)->op == &tdo_row_param && n < MOST) {
            wrt[n++] = i;
        }
    }
    tdo_grad(t->g, out[0], TDO_NONE, n, wrt, out + 1);
    TDO_TRY(tdo_graph_check(t->g));
    TDO_TRY(tdo_params_init(t->params, 1));
    const struct tdo_plan_options options = {.full = how == F64,
                                             .fast = how == FAST,
                                             .checkpoint = how == F64 ? 4 : 0,
                                             .param = tdo_params_for_plan,
                                             .context = t->params};
    return tdo_plan_new(t->g, 1 + n, out, &options, &t->plan);
}

static void drop(struct trained *t)
{
    tdo_plan_free(&t->plan);
    tdo_params_free(&t->params);
    tdo_graph_free(&t->g);
}

static void nothing_is_allocated_by_a_run(void)
{
    struct trained t = {0};
    ASSERT_OK_FATAL(build_training(FAST, &t));
    const int64_t before = tdo_memory_count();
    ASSERT_OK_FATAL(tdo_plan_run(t.plan));
    tdo_plan_touch(t.plan);
    ASSERT_OK_FATAL(tdo_plan_run(t.plan));
    CU_ASSERT_EQUAL(tdo_memory_count(), before);
    drop(&t);
}

static void every_allocation_may_fail(void)
{
    for (enum arithmetic how = F64; how < ARITHMETICS; how += FAST) {
        struct trained t = {0};
        const int64_t begin = tdo_memory_count();
        ASSERT_OK_FATAL(build_training(how, &t));
        const int64_t total = tdo_memory_count() - begin;
        drop(&t);
        CU_ASSERT_TRUE_FATAL(total > 20);
        int failures = 0;
        for (int64_t k = 1; k <= total; k++) {
            tdo_memory_fail_after(k);
            tdo_err err = build_training(how, &t);
            tdo_memory_fail_after(0);
            failures += err == TDO_ERR_MEMORY;
            CU_ASSERT_PTR_NULL(t.plan);
            drop(&t);
        }
        CU_ASSERT_EQUAL(failures, total);
        ASSERT_OK_FATAL(build_training(how, &t));
        drop(&t);
    }
}

static void a_plan_prints_its_steps(void)
{
    struct trained t = {0};
    char text[400] = {0};
    int lines = 0;
    ASSERT_OK_FATAL(build_training(FAST, &t));
    tdo_plan_time(t.plan, true);
    ASSERT_OK_FATAL(tdo_plan_run(t.plan));
    FILE *f = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    tdo_plan_print(t.plan, f);
    rewind(f);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(text, sizeof text, f));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "steps"));
    for (; fgets(text, sizeof text, f); lines++) {
        CU_ASSERT_PTR_NOT_NULL(strstr(text, " us"));
    }
    CU_ASSERT_TRUE(lines > 50);
    fclose(f);
    drop(&t);
}

/* ---- gradient checkpointing -------------------------------------------------------------------- */

struct memory_sample {
    const char *model;
    int64_t rows, size;
    double wide;
    bool second; /* the gradient of the gradient's square, too */
};

/* Loss and gradients of a model in training; second: of |gradient|^2 as well. */
static int outputs_of(const struct memory_sample *k, tdo_graph *g, tdo_params *params,
                      tdo_node *out)
{
    enum { MOST = 100 };
    const struct tdo_model *m = tdo_model_find(k->model);
    const struct tdo_model_spec spec = {.height = k->size,
                                        .width = k->size,
                                        .channels = 2,
                                        .classes = 3,
                                        .shortcut = 'B',
                                        .wide = k->wide};
    tdo_node wrt[MOST], S = TDO_NONE;
    int n = 0;
    struct tdo_build b = {.g = g, .params = params, .norm = TDO_NORM_BATCH, .dropout = 0.2};
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(k->rows, k->size, k->size, 2));
    b.keys = tdo_op_key(g, "keys", k->rows);
    b.row_weights = tdo_op_constant(g, TDO_SHAPE(k->rows), 1.0 / (double)k->rows);
    tdo_node z = tdo_model_build(&b, m, &spec, x);
    tdo_node loss = tdo_op_total(g, tdo_op_mul(g, z, z));
    for (tdo_node i = 0; i < tdo_graph_size(g); i++) {
        const struct tdo_graph_node *node = tdo_graph_at(g, i);
        if (node->op == &tdo_row_param &&
            tdo_params_at(params, node->attr.leaf.index)->kind == TDO_PARAM_WEIGHT) {
            CU_ASSERT_FATAL(n < MOST);
            wrt[n++] = i;
        }
    }
    out[0] = loss;
    tdo_grad(g, loss, TDO_NONE, n, wrt, out + 1);
    if (!k->second) {
        return 1 + n;
    }
    for (int i = 0; i < n; i++) {
        tdo_node square = tdo_op_total(g, tdo_op_mul(g, out[1 + i], out[1 + i]));
        S = i ? tdo_op_add(g, S, square) : square;
    }
    tdo_grad(g, S, TDO_NONE, n, wrt, out + 1 + n);
    return 1 + 2 * n;
}

static tdo_plan *checkpointed(const tdo_graph *g, int outputs, const tdo_node *out,
                              enum arithmetic how, const tdo_params *params, int segments)
{
    tdo_plan *p = NULL;
    const struct tdo_plan_options options = {.full = how == F64,
                                             .fast = how == FAST,
                                             .checkpoint = segments,
                                             .param = tdo_params_for_plan,
                                             .context = params};
    ASSERT_OK_FATAL(tdo_plan_new(g, outputs, out, &options, &p));
    for (tdo_node i = 0; i < tdo_graph_size(g); i++) {
        if (tdo_graph_at(g, i)->op == &tdo_row_input) {
            probe_fill(p, g, i, how, 7);
        } else if (tdo_graph_at(g, i)->op == &tdo_row_key && tdo_plan_input(p, i)) {
            struct tdo_key *key = tdo_plan_input(p, i);
            for (int64_t row = 0; row < probe_count(g, i); row++) {
                key[row] = (struct tdo_key){.sample = (uint64_t)row, .step = 3};
            }
        }
    }
    for (int run = 0; run < 2; run++) { /* the second finds all buffers dirty */
        ASSERT_OK_FATAL(tdo_plan_run(p));
    }
    return p;
}

/* The bytes that a plan needs with each number of segments; its results must stay. */
static void compare_checkpointed(const struct memory_sample *k, enum arithmetic how,
                                 const int segments[3], int64_t bytes[4])
{
    static tdo_node out[256];
    tdo_graph *g = NULL;
    tdo_params *params = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    ASSERT_OK_FATAL(tdo_params_new(&params));
    const int n = outputs_of(k, g, params, out);
    ASSERT_OK_FATAL(tdo_graph_check(g));
    ASSERT_OK_FATAL(tdo_params_init(params, 1));
    tdo_plan *whole = checkpointed(g, n, out, how, params, 0);
    bytes[0] = tdo_plan_bytes(whole);
    const int64_t flops = tdo_plan_flops(whole);
    for (int s = 0; s < 3; s++) {
        tdo_plan *p = checkpointed(g, n, out, how, params, segments[s]);
        bytes[s + 1] = tdo_plan_bytes(p);
        /* something did run again, and at most the forward pass; mlp has pointwise parts alone */
        CU_ASSERT_TRUE(tdo_plan_flops(p) > flops || strcmp(k->model, "mlp") == 0);
        CU_ASSERT_TRUE(2 * tdo_plan_flops(p) < 3 * flops);
        for (int i = 0; i < n; i++) {
            const size_t size =
                (size_t)probe_count(g, out[i]) * (how == F64 ? sizeof(double) : sizeof(float));
            CU_ASSERT_EQUAL(memcmp(tdo_plan_output(p, i), tdo_plan_output(whole, i), size), 0);
        }
        tdo_plan_free(&p);
    }
    tdo_plan_free(&whole);
    tdo_params_free(&params);
    tdo_graph_free(&g);
}

static void checkpointing_changes_no_bit_and_saves_memory(void)
{
    static const struct memory_sample samples[] = {
        {"mlp", 64, 8, 0, false},       {"mlp", 4, 8, 0, true},
        {"resnet20", 16, 16, 1, false}, {"resnet20", 4, 8, 0.25, true},
        {"wrn", 4, 16, 1, false},       {"dunet", 8, 33, 0.125, false},
        {"dunet", 2, 17, 0.03125, true}};
    const int segments[3] = {2, 4, 8};
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct memory_sample *k = &samples[i];
        for (enum arithmetic how = k->rows > 4 ? FAST : F64; how < ARITHMETICS; how++) {
            int64_t bytes[4];
            compare_checkpointed(k, how, segments, bytes);
            if (how == FAST) {
                printf("\n    %s, %lld of %lldx%lld%s: %.2f MB; in 2, 4, 8 segments %.2f, "
                       "%.2f, %.2f ",
                       k->model, (long long)k->rows, (long long)k->size, (long long)k->size,
                       k->second ? ", second order" : "", (double)bytes[0] * 1e-6,
                       (double)bytes[1] * 1e-6, (double)bytes[2] * 1e-6,
                       (double)bytes[3] * 1e-6);
            }
            if (strcmp(k->model, "mlp") != 0 && !k->second) {
                CU_ASSERT_TRUE(bytes[1] < bytes[0] && bytes[2] < bytes[0] &&
                               bytes[3] < bytes[0]);
            }
        }
    }
}

CU_TestInfo suite_tests[] = {
    {"buffers are shared", buffers_are_shared},
    {"a second run gives the same bits", a_second_run_gives_the_same},
    {"results survive writing in place", results_survive_writing_in_place},
    {"outputs have memory of their own, and can be bound", outputs_have_memory_of_their_own},
    {"an output in the middle can be bound", an_output_in_the_middle_can_be_bound},
    {"an input that nobody reads has no memory", an_input_that_nobody_reads_has_no_memory},
    {"parameters count after touch, not before", parameters_count_after_touch},
    {"ready is called once for each result, when it is final",
     ready_is_called_once_when_a_result_is_final},
    {"nothing is allocated by a run", nothing_is_allocated_by_a_run},
    {"every allocation of a training plan may fail", every_allocation_may_fail},
    {"a plan prints its steps with times", a_plan_prints_its_steps},
    {"checkpointing changes no bit and saves memory",
     checkpointing_changes_no_bit_and_saves_memory},
    CU_TEST_INFO_NULL,
};
