/* Every model of the table: parameter counts and names, and the gradient of its training loss.
 *
 * Gradients: batch norm in BATCH mode with unequal row weights and a padding row, f64, first and
 * second order. Parameters come in groups; each group and the input are moved along a sparse
 * random direction by 2e-6 (parameters are f32: the step that is really made is measured), and the
 * change of loss L and of S = <dL, random> is compared with the gradients. A direction counts only
 * where the slopes to both sides agree, so that no kink lies between; most must count. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/losses.h"
#include "nn/models/input.h"
#include "tests/nn/support.h"

const char suite_name[] = "models";

enum { ROWS = 5, MOST = 480 }; /* resnet152: 467 tensors */

struct trained {
    tdo_graph *g;
    tdo_params *params;
    tdo_plan *plan;
    tdo_node x, labels, weights, L, S;
    double moves; /* elements of a tensor that move, about */
    int n;        /* parameters of kind weight; wrt[n] is the input */
    tdo_node wrt[MOST + 1], d[MOST + 1], g1[MOST + 1], g2[MOST + 1];
};

/* Cross entropy; of an image the mean square, which the row weights weigh too. */
static tdo_node loss_of(struct trained *t, const struct tdo_model *m, tdo_node z)
{
    const tdo_shape s = tdo_graph_shape(t->g, z);
    if (m->output == TDO_MODEL_LOGITS) {
        return tdo_loss_cross_entropy(t->g, z, t->labels, t->weights);
    }
    tdo_node each = tdo_op_sum(t->g, tdo_op_mul(t->g, z, z), TDO_SHAPE(s.dim[0], 1, 1, 1));
    each = tdo_op_affine(t->g, tdo_op_reshape(t->g, each, TDO_SHAPE(s.dim[0])),
                         (double)s.dim[0] / (double)tdo_shape_count(&s), 0);
    return tdo_op_total(t->g, tdo_op_mul(t->g, each, t->weights));
}

static void start(struct trained *t, const struct tdo_model *m,
                  const struct tdo_model_spec *spec, enum tdo_norm_mode norm)
{
    memset(t, 0, sizeof *t);
    ASSERT_OK_FATAL(tdo_graph_new(&t->g));
    ASSERT_OK_FATAL(tdo_params_new(&t->params));
    t->x = tdo_op_input(t->g, "x", TDO_SHAPE(ROWS, spec->height, spec->width, spec->channels));
    t->labels = tdo_op_input(t->g, "y", TDO_SHAPE(ROWS));
    t->weights = tdo_op_input(t->g, "v", TDO_SHAPE(ROWS));
    struct tdo_build b = {.g = t->g,
                          .params = t->params,
                          .norm = norm,
                          .row_weights = t->weights,
                          .keys = TDO_NONE};
    tdo_node z = tdo_model_build(&b, m, spec, t->x);
    t->L = loss_of(t, m, z);
    ASSERT_OK_FATAL(tdo_graph_check(t->g));
    for (tdo_node i = 0; i < tdo_graph_size(t->g); i++) {
        const struct tdo_graph_node *n = tdo_graph_at(t->g, i);
        if (n->op == &tdo_row_param &&
            tdo_params_at(t->params, n->attr.leaf.index)->kind == TDO_PARAM_WEIGHT) {
            CU_ASSERT_FATAL(t->n < MOST);
            t->wrt[t->n++] = i;
        }
    }
    t->wrt[t->n] = t->x;
}

static void stop(struct trained *t)
{
    tdo_plan_free(&t->plan);
    tdo_params_free(&t->params);
    tdo_graph_free(&t->g);
}

/* ---- gradients ---------------------------------------------------------------------------------- */

static void derive(struct trained *t)
{
    tdo_node out[2 + 2 * (MOST + 1)];
    tdo_grad(t->g, t->L, TDO_NONE, t->n + 1, t->wrt, t->g1);
    t->S = TDO_NONE;
    for (int i = 0; i <= t->n; i++) {
        t->d[i] = tdo_op_input(t->g, "d", tdo_graph_shape(t->g, t->wrt[i]));
        tdo_node part = tdo_op_total(t->g, tdo_op_mul(t->g, t->g1[i], t->d[i]));
        t->S = i ? tdo_op_add(t->g, t->S, part) : part;
    }
    tdo_grad(t->g, t->S, TDO_NONE, t->n + 1, t->wrt, t->g2);
    out[0] = t->L;
    out[1] = t->S;
    for (int i = 0; i <= t->n; i++) {
        out[2 + 2 * i] = t->g1[i];
        out[3 + 2 * i] = t->g2[i];
    }
    ASSERT_OK_FATAL(tdo_params_init(t->params, 5));
    for (int64_t i = 0; i < tdo_params_entries(t->params);
         i++) { /* nothing that starts at 0 or 1 stays there */
        const struct tdo_param *e = tdo_params_at(t->params, i);
        const bool zero = e->shape.rank == 1 || e->init == TDO_INIT_ZERO;
        for (int64_t k = 0; zero && k < e->count; k++) {
            tdo_params_values(t->params, i)[k] += (float)(0.2 * probe_number(90, i * 1000 + k));
        }
    }
    t->plan = probe_plan(t->g, 2 * t->n + 4, out, F64, t->params);
    static const double v[ROWS] = {0.3, 0.15, 0.35, 0.2, 0}, y[ROWS] = {0, 1, 2, 1, 0};
    probe_set(t->plan, t->weights, F64, ROWS, v);
    probe_set(t->plan, t->labels, F64, ROWS, y);
    probe_fill(t->plan, t->g, t->x, F64, 3);
    for (int i = 0; i <= t->n; i++) {
        probe_fill(t->plan, t->g, t->d[i], F64, 100 + (uint32_t)i);
    }
}

static void values(struct trained *t, double v[2])
{
    tdo_plan_touch(t->plan);
    ASSERT_OK_FATAL(tdo_plan_run(t->plan));
    probe_get(t->plan, 0, F64, 1, &v[0]);
    probe_get(t->plan, 1, F64, 1, &v[1]);
}

static bool in_group(const struct trained *t, int i, int group, int groups)
{
    return i == t->n ? group == groups : group < groups && i % groups == group;
}

/* Some elements of each tensor move, one way or the other: moving them all would cross kinks. */
static double direction(const struct trained *t, int i, int64_t k)
{
    const double chance = t->moves / (double)probe_count(t->g, t->wrt[i]);
    if (probe_number(400 + (uint32_t)i, k) + 1 > 2 * chance) {
        return 0;
    }
    return probe_number(300 + (uint32_t)i, k) < 0 ? -1 : 1;
}

/* Move a group by `step`; parameters are rounded to f32, so their old values are kept in `old`. */
static void move(struct trained *t, int group, int groups, double step, const float *old)
{
    for (int i = 0; i <= t->n; i++) {
        if (!in_group(t, i, group, groups)) {
            continue;
        }
        if (i == t->n) {
            double *x = tdo_plan_input(t->plan, t->x);
            for (int64_t k = 0; k < probe_count(t->g, t->x); k++) {
                x[k] = probe_number(3, k) + step * direction(t, i, k);
            }
            continue;
        }
        const int64_t index = tdo_graph_at(t->g, t->wrt[i])->attr.leaf.index;
        const struct tdo_param *e = tdo_params_at(t->params, index);
        for (int64_t k = 0; k < e->count; k++) {
            tdo_params_values(t->params, index)[k] =
                (float)((double)old[e->offset + k] + step * direction(t, i, k));
        }
    }
}

/* The change of a function that a first-order model predicts, gradient times the true step. */
static void predict(struct trained *t, int group, int groups, const float *old, double sum[2])
{
    sum[0] = sum[1] = 0;
    for (int i = 0; i <= t->n; i++) {
        if (!in_group(t, i, group, groups)) {
            continue;
        }
        const int64_t n = probe_count(t->g, t->wrt[i]);
        const double *at[2] = {tdo_plan_output(t->plan, 2 + 2 * i),
                               tdo_plan_output(t->plan, 3 + 2 * i)};
        const float *now = NULL;
        if (i < t->n) {
            const int64_t index = tdo_graph_at(t->g, t->wrt[i])->attr.leaf.index;
            now = tdo_params_values(t->params, index);
        }
        for (int64_t k = 0; k < n; k++) {
            const double *x = tdo_plan_input(t->plan, t->x);
            const double by =
                now ? (double)now[k] -
                          (double)old[now - tdo_params_block(t->params, TDO_PARAM_WEIGHT) + k]
                    : x[k] - probe_number(3, k);
            sum[0] += at[0][k] * by;
            sum[1] += at[1][k] * by;
        }
    }
}

struct score {
    int counted[2], skipped[2];
    double worst[2];
};

enum { GROUPS = 16 };
static const double step = 2e-6;

/* What the gradients at the starting point predict for each group, to both sides. */
static void predict_all(struct trained *t, int groups, const float *old, double here[2],
                        double predicted[GROUPS][2][2])
{
    values(t, here);
    for (int group = 0; group <= groups; group++) {
        for (int k = 0; k < 2; k++) {
            move(t, group, groups, k ? -step : step, old);
            predict(t, group, groups, old, predicted[group][k]);
        }
        move(t, group, groups, 0, old);
    }
}

static void try_group(struct trained *t, int group, int groups, const float *old,
                      const double here[2], double predicted[2][2], struct score *s)
{
    double side[2][2];
    for (int k = 0; k < 2; k++) {
        move(t, group, groups, k ? -step : step, old);
        values(t, side[k]);
    }
    move(t, group, groups, 0, old);
    for (int order = 0; order < 2; order++) {
        const double up = side[0][order] - here[order], down = here[order] - side[1][order];
        const double want = predicted[0][order] - predicted[1][order];
        const double scale = fmax(fabs(want), 1e-3 * 2 * step);
        /* the steps to both sides are not quite equal, so their predictions are taken off; a wrong
         * gradient is off by the same on both sides and does not hide behind this */
        const double bend = (up - predicted[0][order]) - (down + predicted[1][order]);
        if (fabs(bend) > 3e-4 * scale) {

            s->skipped[order]++;
            continue;
        }
        s->counted[order]++;
        s->worst[order] = fmax(s->worst[order], fabs(up + down - want) / scale);
    }
}

/* How a model is checked: on images of size x size, in so many groups, at which width,
 * moving about so many elements of a tensor. One of many depths: at the least. */
struct sample {
    const char *name;
    int64_t size;
    int groups;
    double wide, moves;
};

/* learnt: behind an input layer of mean image, contrast and whitening. */
static void check(const char *name, char shortcut, const struct sample *how, bool learnt)
{
    const struct tdo_model_spec spec = {.height = how->size,
                                        .width = how->size,
                                        .channels = 1,
                                        .classes = 3,
                                        .shortcut = shortcut,
                                        .wide = how->wide,
                                        .depth = 10,
                                        .inputs =
                                            tdo_model_find(name)->output == TDO_MODEL_LOGITS,
                                        .mean = {learnt ? 0 : 0.2},
                                        .std = {0.5},
                                        .mean_image = learnt,
                                        .contrast = learnt,
                                        .whiten = learnt};
    const int groups = how->groups;
    struct trained t;
    struct score s = {.worst = {0, 0}};
    start(&t, tdo_model_find(name), &spec, TDO_NORM_BATCH);
    t.moves = how->moves;
    derive(&t);
    const int64_t floats = tdo_params_count(t.params, TDO_PARAM_WEIGHT);
    float *old = malloc((size_t)floats * sizeof *old);
    CU_ASSERT_PTR_NOT_NULL_FATAL(old);
    memcpy(old, tdo_params_block(t.params, TDO_PARAM_WEIGHT), (size_t)floats * sizeof *old);
    double here[2], predicted[GROUPS][2][2];
    CU_ASSERT_FATAL(groups < GROUPS);
    predict_all(&t, groups, old, here, predicted);
    for (int group = 0; group <= groups; group++) {
        try_group(&t, group, groups, old, here, predicted[group], &s);
    }
    printf("\n    %s %c: gaps %.1e and %.1e, %d+%d of %d directions at a kink ", name, shortcut,
           s.worst[0], s.worst[1], s.skipped[0], s.skipped[1], groups + 1);
    CU_ASSERT_TRUE(s.worst[0] <= 1e-6);
    CU_ASSERT_TRUE(s.worst[1] <= 1e-5);
    CU_ASSERT_TRUE(3 * s.counted[0] >= 2 * (groups + 1));
    CU_ASSERT_TRUE(3 * s.counted[1] >= 2 * (groups + 1));
    free(old);
    stop(&t);
}

/* Models that are not named here are checked on 32x32 images. Deep ones are made narrow. */
static void every_gradient_agrees_with_central_differences(void)
{
    static const struct sample small[] = {{"mlp", 5, 6, 1, 8},
                                          {"lenet", 16, 3, 1, 8},
                                          {"zcnn", 28, 1, 1, 8},
                                          {"zresnet", 20, 1, 1, 8},
                                          {"vgg16", 32, 2, 0.0625, 8},
                                          {"resnet20", 8, 4, 1, 8},
                                          {"resnet32", 8, 2, 0.125, 4},
                                          {"resnet44", 8, 2, 0.125, 2},
                                          {"resnet56", 8, 3, 0.125, 0.5},
                                          {"resnet110", 8, 2, 0.25, 1},
                                          {"nin", 8, 2, 1, 2},
                                          {"madry_mnist", 8, 2, 1, 8},
                                          {"small_cnn", 16, 2, 1, 8},
                                          {"alexnet", 63, 2, 0.03125, 4},
                                          {"resnet18", 32, 2, 0.0625, 2},
                                          {"resnet50", 64, 8, 0.0625, 0.1},
                                          {"resnext29", 8, 6, 0.03125, 1},
                                          {"model_a", 96, 2, 0.0625, 4},
                                          {"aaron", 80, 2, 0.0625, 4},
                                          {"wrn", 8, 2, 0.25, 4},
                                          {"resnet152", 64, 12, 0.03125, 0.005},
                                          {"inception_v3", 75, 6, 0.0625, 0.02},
                                          {"dunet", 33, 6, 0.03125, 0.1},
                                          {"dae", 33, 8, 0.03125, 0.05}};
    check("mlp", 'A', &small[0], true);
    for (int i = 0; tdo_model_table[i]; i++) {
        const struct tdo_model *m = tdo_model_table[i];
        struct sample how = {m->name, 32, 2, 1, 8};
        for (size_t k = 0; k < sizeof small / sizeof *small; k++) {
            how = strcmp(m->name, small[k].name) == 0 ? small[k] : how;
        }
        check(m->name, 'A', &how, false);
        if (m->shortcut) {
            check(m->name, 'B', &how, false);
        }
    }
}

/* ---- counts, names ------------------------------------------------------------------------------ */

static int64_t wide_count_of(const char *name, char shortcut, int64_t size, int64_t channels,
                             double wide)
{
    const struct tdo_model_spec spec = {.height = size,
                                        .width = size,
                                        .channels = channels,
                                        .classes = 10,
                                        .shortcut = shortcut,
                                        .wide = wide};
    struct trained t;
    start(&t, tdo_model_find(name), &spec, TDO_NORM_RUNNING);
    const int64_t n = tdo_params_count(t.params, TDO_PARAM_WEIGHT);
    stop(&t);
    return n;
}

static int64_t deep_count_of(const char *name, int classes, int depth, double wide)
{
    const struct tdo_model *m = tdo_model_find(name);
    const struct tdo_model_spec spec = {.height = m->usual[0],
                                        .width = m->usual[1],
                                        .channels = m->usual[2],
                                        .classes = classes,
                                        .depth = depth,
                                        .wide = wide};
    struct trained t;
    start(&t, m, &spec, TDO_NORM_RUNNING);
    const int64_t n = tdo_params_count(t.params, TDO_PARAM_WEIGHT);
    stop(&t);
    return n;
}

static int64_t count_of(const char *name, char shortcut, int64_t size, int64_t channels)
{
    return wide_count_of(name, shortcut, size, channels, 0);
}

static void parameter_counts_are_the_published_ones(void)
{
    CU_ASSERT_EQUAL(count_of("mlp", 'A', 28, 1), 469160);
    CU_ASSERT_EQUAL(count_of("lenet", 'A', 28, 1), 431080);
    CU_ASSERT_EQUAL(count_of("resnet20", 'A', 32, 3), 269722);
    /* two projections more: 16 32 + 2 32 and 32 64 + 2 64 */
    CU_ASSERT_EQUAL(count_of("resnet20", 'B', 32, 3), 269722 + 576 + 2176);
    /* 8 8 64 + 64, 6 6 64 128 + 128, 5 5 128 128 + 128, 128 10 + 10 */
    CU_ASSERT_EQUAL(count_of("zcnn", 'A', 28, 1), 4160 + 295040 + 409728 + 1290);
    /* as zcnn to conv2; 128 64 + 64, 9 64 64 + 64, 64 128 + 128, 2 2 128 10 + 10 */
    CU_ASSERT_EQUAL(count_of("zresnet", 'A', 32, 3),
                    3 * 4096 + 64 + 295040 + 8256 + 36928 + 8320 + 5130);
    /* torchvision's features (vgg16_bn, 14723136), and 512 10 + 10 */
    CU_ASSERT_EQUAL(count_of("vgg16", 'A', 32, 3), 14723136 + 5130);
    CU_ASSERT_EQUAL(count_of("convnet", 'A', 32, 3), 145578);
    CU_ASSERT_EQUAL(count_of("nin", 'A', 32, 3), 966986);
    /* 25 32 + 32, 25 32 64 + 64, 49 64 1024 + 1024, 1024 10 + 10 */
    CU_ASSERT_EQUAL(count_of("madry_mnist", 'A', 28, 1), 832 + 51264 + 3212288 + 10250);
    /* 9 32 + 32, 9 32 32 + 32, 9 32 64 + 64, 9 64 64 + 64; 1024 200 + 200, ... */
    CU_ASSERT_EQUAL(count_of("small_cnn", 'A', 28, 1),
                    320 + 9248 + 18496 + 36928 + 205000 + 40200 + 2010);
    /* torchvision, 1000 classes */
    CU_ASSERT_EQUAL(deep_count_of("alexnet", 1000, 0, 1), 61100840);
    CU_ASSERT_EQUAL(deep_count_of("resnet18", 1000, 0, 1), 11689512);
    CU_ASSERT_EQUAL(deep_count_of("resnet50", 1000, 0, 1), 25557032);
    CU_ASSERT_EQUAL(deep_count_of("resnet152", 1000, 0, 1), 60192808);
    CU_ASSERT_EQUAL(deep_count_of("inception_v3", 1000, 0, 1), 27161264); /* both heads */
    /* the published code of Liao et al. 2018; without laterals the first convolutions of the way up
     * see 256, 256, 256, 128 channels in place of 512, 512, 384, 192 */
    CU_ASSERT_EQUAL(deep_count_of("dunet", 1000, 0, 1), 11033984);
    CU_ASSERT_EQUAL(deep_count_of("dae", 1000, 0, 1), 9670016);
    CU_ASSERT_EQUAL(11033984 - 9670016, 9 * (256 * 256 + 256 * 256 + 128 * 128 + 64 * 64));
    /* Xie et al. 2017 give sizes of other widths; this is the network of their code, in PyTorch */
    CU_ASSERT_EQUAL(count_of("resnext29", 'A', 32, 3), 9128778);
    /* six convolutions 9 a b + b; of aaron 2 b more for its norms; 256 10 + 10, 512 10 + 10 */
    CU_ASSERT_EQUAL(count_of("model_a", 'A', 96, 3),
                    896 + 18496 + 73856 + 147584 + 295168 + 590080 + 2570);
    CU_ASSERT_EQUAL(count_of("aaron", 'A', 96, 3),
                    896 + 18496 + 73856 + 295168 + 590080 + 1180160 +
                        2 * (32 + 64 + 128 + 256 + 256 + 512) + 5130);
}

/* Zagoruyko and Komodakis 2016, table 4, in millions: 2.7 (16-4), 8.9 (40-4), 11.0 (16-8), 36.5
 * (28-10); 34-10: six blocks more, 2 (9 c c + 2 c) each. */
static void wide_residual_networks_have_the_published_sizes(void)
{
    const int64_t twenty_eight = deep_count_of("wrn", 10, 28, 10), c = 160;
    const int64_t more = 2 * (9 * (c * c + 4 * c * c + 16 * c * c) + 2 * (c + 2 * c + 4 * c));
    CU_ASSERT_EQUAL(twenty_eight, 36479194);
    CU_ASSERT_EQUAL(deep_count_of("wrn", 10, 34, 10), twenty_eight + more);
    CU_ASSERT_EQUAL(deep_count_of("wrn", 10, 34, 10), 46160474);
    CU_ASSERT_EQUAL(deep_count_of("wrn", 10, 16, 4), 2748890);
    CU_ASSERT_EQUAL(deep_count_of("wrn", 10, 0, 10), twenty_eight);
    CU_ASSERT_TRUE(llabs(deep_count_of("wrn", 10, 40, 4) - 8900000) <= 50000);
    CU_ASSERT_TRUE(llabs(deep_count_of("wrn", 10, 16, 8) - 11000000) <= 50000);
}

/* He et al. 2016, table 6, and the sizes of one more block a stage: 2 (9 c c + 2 c). */
static void deeper_residual_networks_grow_by_the_block(void)
{
    static const struct {
        const char *name;
        int more;
    } deep[] = {{"resnet32", 2}, {"resnet44", 4}, {"resnet56", 6}, {"resnet110", 15}};
    const int64_t block = 2 * (9 * (16 * 16 + 32 * 32 + 64 * 64) + 2 * (16 + 32 + 64));
    for (size_t k = 0; k < sizeof deep / sizeof *deep; k++) {
        const int64_t a = 269722 + deep[k].more * block;
        CU_ASSERT_EQUAL(count_of(deep[k].name, 'A', 32, 3), a);
        CU_ASSERT_EQUAL(count_of(deep[k].name, 'B', 32, 3), a + 576 + 2176);
    }
    CU_ASSERT_EQUAL(count_of("resnet110", 'A', 32, 3), 1727962);
}

static void width_multiplies_channels(void)
{
    CU_ASSERT_EQUAL(wide_count_of("resnet20", 'A', 32, 3, 1), 269722);
    CU_ASSERT_EQUAL(wide_count_of("resnet20", 'A', 32, 3, 2), 1073962);
    CU_ASSERT_EQUAL(wide_count_of("resnet20", 'A', 32, 3, 4), 4286026);
    const struct tdo_model_spec odd = {.wide = 0.15}, narrow = {.wide = 1.0 / 64}, none = {0};
    CU_ASSERT_EQUAL(tdo_model_channels(&odd, 16), 2);  /* 2.4 */
    CU_ASSERT_EQUAL(tdo_model_channels(&odd, 64), 10); /* 9.6 */
    CU_ASSERT_EQUAL(tdo_model_channels(&narrow, 16), 1);
    CU_ASSERT_EQUAL(tdo_model_channels(&narrow, 96), 2); /* 1.5 */
    CU_ASSERT_EQUAL(tdo_model_channels(&none, 64), 64);
    for (int i = 0; tdo_model_table[i]; i++) { /* the flag says who reads it */
        const struct tdo_model *m = tdo_model_table[i];
        const int64_t c = m->usual[2], size = m->usual[0];
        const bool reads = wide_count_of(m->name, 'A', size, c, 0.125) !=
                           wide_count_of(m->name, 'A', size, c, 0.25);
        CU_ASSERT_EQUAL(reads, m->width);
        const bool deep =
            deep_count_of(m->name, 10, 10, 0.125) != deep_count_of(m->name, 10, 16, 0.125);
        CU_ASSERT_EQUAL(deep, m->depth > 0);
    }
}

/* torchvision counts convolution, norm, activation and pooling in one sequence. */
static void state_dict_of_vgg16_is_torchvision_s(void)
{
    static const int convs[] = {0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40};
    static const char *const part[] = {"weight", "bias", "running_mean", "running_var"};
    const struct tdo_model_spec spec = {
        .height = 32, .width = 32, .channels = 3, .classes = 10, .wide = 0.0625};
    struct trained t;
    int at = 0;
    start(&t, tdo_model_find("vgg16"), &spec, TDO_NORM_BATCH);
    CU_ASSERT_EQUAL_FATAL(tdo_params_entries(t.params), 13 * 6 + 2);
    for (int i = 0; i < 13; i++) {
        for (int k = 0; k < 6; k++) {
            char want[64];
            snprintf(want, sizeof want, "features.%d.%s", convs[i] + k / 2 - k / 4,
                     part[k < 2 ? k : k - 2]);
            CU_ASSERT_STRING_EQUAL(tdo_params_at(t.params, at++)->name, want);
        }
    }
    CU_ASSERT_STRING_EQUAL(tdo_params_at(t.params, at++)->name, "classifier.weight");
    CU_ASSERT_STRING_EQUAL(tdo_params_at(t.params, at)->name, "classifier.bias");
    stop(&t);
}

static void state_dict_of_resnet20_is_pytorch_s(void)
{
    static const char *const norm[] = {"weight", "bias", "running_mean", "running_var"};
    char want[128][64];
    int n = 0;
#define CONV(prefix, conv, bn)                                                                 \
    snprintf(want[n++], sizeof want[0], "%s%s.weight", prefix, conv);                          \
    for (int q = 0; q < 4; q++) {                                                              \
        snprintf(want[n++], sizeof want[0], "%s%s.%s", prefix, bn, norm[q]);                   \
    }
    CONV("", "conv1", "bn1")
    for (int stage = 1; stage <= 3; stage++) {
        for (int block = 0; block < 3; block++) {
            char prefix[32];
            snprintf(prefix, sizeof prefix, "layer%d.%d.", stage, block);
            CONV(prefix, "conv1", "bn1")
            CONV(prefix, "conv2", "bn2")
            if (stage > 1 && block == 0) {
                CONV(prefix, "downsample.0", "downsample.1")
            }
        }
    }
    snprintf(want[n++], sizeof want[0], "fc.weight");
    snprintf(want[n++], sizeof want[0], "fc.bias");
    for (int mode = 0; mode < 2; mode++) { /* the table does not depend on the mode */
        const struct tdo_model_spec spec = {
            .height = 32, .width = 32, .channels = 3, .classes = 10, .shortcut = 'B'};
        struct trained t;
        start(&t, tdo_model_find("resnet20"), &spec, mode ? TDO_NORM_BATCH : TDO_NORM_RUNNING);
        CU_ASSERT_EQUAL_FATAL(tdo_params_entries(t.params), n);
        for (int i = 0; i < n; i++) {
            CU_ASSERT_STRING_EQUAL(tdo_params_at(t.params, i)->name, want[i]);
        }
        stop(&t);
    }
}

/* The names of entries from `at` on, with spaces between them; norms in the short form name.*. */
static int64_t have_names(const tdo_params *p, int64_t at, const char *want)
{
    static const char *const norm[] = {".weight", ".bias", ".running_mean", ".running_var"};
    while (*want) {
        const int n = (int)strcspn(want, " ");
        const bool all = want[n - 1] == '*';
        for (int part = 0; part < (all ? 4 : 1); part++) {
            char name[96];
            snprintf(name, sizeof name, "%.*s%s", all ? n - 2 : n, want, all ? norm[part] : "");
            CU_ASSERT_FATAL(at < tdo_params_entries(p));
            CU_ASSERT_STRING_EQUAL(tdo_params_at(p, at++)->name, name);
        }
        want += n + (want[n] == ' ');
    }
    return at;
}

/* Names of all weights and buffers, in two parts: a compiler need not take longer strings. */
static void must_have_both(const char *model, int depth, const char *want, const char *more)
{
    const struct tdo_model *m = tdo_model_find(model);
    const struct tdo_model_spec spec = {.height = m->usual[0],
                                        .width = m->usual[1],
                                        .channels = m->usual[2],
                                        .classes = 10,
                                        .depth = depth,
                                        .wide = m->width ? 0.0625 : 1};
    struct trained t;
    start(&t, m, &spec, TDO_NORM_BATCH);
    const int64_t at = have_names(t.params, have_names(t.params, 0, want), more);
    CU_ASSERT_EQUAL(at, tdo_params_entries(t.params));
    stop(&t);
}

static void must_have_names(const char *model, int depth, const char *want)
{
    must_have_both(model, depth, want, "");
}

#define LAYER(name)     name ".weight " name ".bias "
#define BLOCK(name)     name ".conv1.weight " name ".bn1.* " name ".conv2.weight " name ".bn2.* "
#define PROJECTED(name) BLOCK(name) name ".downsample.0.weight " name ".downsample.1.* "
#define THREE(name)     BLOCK(name) name ".conv3.weight " name ".bn3.* "
#define CHANGED(name)   THREE(name) name ".downsample.0.weight " name ".downsample.1.* "
#define PLAIN(i)                                                                               \
    LAYER("conv" #i)                                                                           \
    "bn" #i ".running_mean "                                                                   \
    "bn" #i ".running_var "
#define SCALED(i)  LAYER("conv" #i) "bn" #i ".* "
#define WIDE(name) name ".bn1.* " name ".conv1.weight " name ".bn2.* " name ".conv2.weight "

static void state_dicts_have_their_authors_names(void)
{
    must_have_names("convnet", 0,
                    LAYER("conv1") LAYER("conv2") LAYER("conv3") LAYER("conv4") LAYER("conv5"));
    must_have_names("nin", 0,
                    LAYER("conv1") LAYER("cccp1") LAYER("cccp2") LAYER("conv2") LAYER("cccp3")
                        LAYER("cccp4") LAYER("conv3") LAYER("cccp5") LAYER("cccp6"));
    must_have_names("madry_mnist", 0, LAYER("conv1") LAYER("conv2") LAYER("fc1") LAYER("fc2"));
    must_have_names("small_cnn", 0,
                    LAYER("feature_extractor.conv1") LAYER("feature_extractor.conv2")
                        LAYER("feature_extractor.conv3") LAYER("feature_extractor.conv4")
                            LAYER("classifier.fc1") LAYER("classifier.fc2")
                                LAYER("classifier.fc3"));
    must_have_names("alexnet", 0,
                    LAYER("features.0") LAYER("features.3") LAYER("features.6")
                        LAYER("features.8") LAYER("features.10") LAYER("classifier.1")
                            LAYER("classifier.4") LAYER("classifier.6"));
    must_have_names("resnet18", 0,
                    "conv1.weight bn1.* " BLOCK("layer1.0") BLOCK("layer1.1")
                        PROJECTED("layer2.0") BLOCK("layer2.1") PROJECTED("layer3.0")
                            BLOCK("layer3.1") PROJECTED("layer4.0") BLOCK("layer4.1")
                                LAYER("fc"));
    must_have_names("resnext29", 0,
                    "conv1.weight bn1.* " CHANGED("layer1.0") THREE("layer1.1")
                        THREE("layer1.2") CHANGED("layer2.0") THREE("layer2.1")
                            THREE("layer2.2") CHANGED("layer3.0") THREE("layer3.1")
                                THREE("layer3.2") LAYER("fc"));
    must_have_names("model_a", 0,
                    PLAIN(1) PLAIN(2) PLAIN(3) PLAIN(4) PLAIN(5) PLAIN(6) LAYER("fc"));
    must_have_names("aaron", 0,
                    SCALED(1) SCALED(2) SCALED(3) SCALED(4) SCALED(5) SCALED(6) LAYER("fc"));
    /* widened to 1, 2, 4 channels, so that every group begins with a shortcut */
    must_have_names(
        "wrn", 16,
        "conv1.weight " WIDE("block1.layer.0") "block1.layer.0.convShortcut.weight " WIDE(
            "block1.layer.1")
            WIDE("block2.layer.0") "block2.layer.0.convShortcut.weight " WIDE("block2.layer.1")
                WIDE("block3.layer.0") "block3.layer.0.convShortcut.weight " WIDE(
                    "block3.layer.1") "bn1.* " LAYER("fc"));
}

/* clang-format off */
#define UNIT(name)        name ".conv.weight " name ".bn.* "
#define TWO_UNITS(name)   UNIT(name ".0") UNIT(name ".1")
#define THREE_UNITS(name) TWO_UNITS(name) UNIT(name ".2")
#define NAMES_A(m)                                                                             \
    UNIT(m ".branch1x1")                                                                       \
    UNIT(m ".branch5x5_1")                                                                     \
    UNIT(m ".branch5x5_2")                                                                     \
    UNIT(m ".branch3x3dbl_1")                                                                  \
    UNIT(m ".branch3x3dbl_2") UNIT(m ".branch3x3dbl_3") UNIT(m ".branch_pool")
#define NAMES_B(m)                                                                             \
    UNIT(m ".branch3x3")                                                                       \
    UNIT(m ".branch3x3dbl_1") UNIT(m ".branch3x3dbl_2") UNIT(m ".branch3x3dbl_3")
#define NAMES_C(m)                                                                             \
    UNIT(m ".branch1x1")                                                                       \
    UNIT(m ".branch7x7_1")                                                                     \
    UNIT(m ".branch7x7_2")                                                                     \
    UNIT(m ".branch7x7_3")                                                                     \
    UNIT(m ".branch7x7dbl_1")                                                                  \
    UNIT(m ".branch7x7dbl_2")                                                                  \
    UNIT(m ".branch7x7dbl_3") UNIT(m ".branch7x7dbl_4") UNIT(m ".branch7x7dbl_5")              \
        UNIT(m ".branch_pool")
#define NAMES_D(m)                                                                             \
    UNIT(m ".branch3x3_1")                                                                     \
    UNIT(m ".branch3x3_2")                                                                     \
    UNIT(m ".branch7x7x3_1")                                                                   \
    UNIT(m ".branch7x7x3_2") UNIT(m ".branch7x7x3_3") UNIT(m ".branch7x7x3_4")
#define NAMES_E(m)                                                                             \
    UNIT(m ".branch1x1")                                                                       \
    UNIT(m ".branch3x3_1")                                                                     \
    UNIT(m ".branch3x3_2a")                                                                    \
    UNIT(m ".branch3x3_2b")                                                                    \
    UNIT(m ".branch3x3dbl_1")                                                                  \
    UNIT(m ".branch3x3dbl_2")                                                                  \
    UNIT(m ".branch3x3dbl_3a") UNIT(m ".branch3x3dbl_3b") UNIT(m ".branch_pool")
/* clang-format on */

static void networks_of_hgd_have_their_authors_names(void)
{
    static const char *const denoisers[] = {"dunet", "dae"};
    for (int i = 0; i < 2; i++) { /* the way up ends with back.0 */
        must_have_names(denoisers[i], 0,
                        TWO_UNITS("fwd.0") THREE_UNITS("fwd.1") THREE_UNITS("fwd.2")
                            THREE_UNITS("fwd.3") THREE_UNITS("fwd.4") THREE_UNITS("back.3")
                                THREE_UNITS("back.2") THREE_UNITS("back.1")
                                    TWO_UNITS("back.0") "final.weight ");
    }
    must_have_both("inception_v3", 0,
                   UNIT("Conv2d_1a_3x3") UNIT("Conv2d_2a_3x3") UNIT("Conv2d_2b_3x3")
                       UNIT("Conv2d_3b_1x1") UNIT("Conv2d_4a_3x3") NAMES_A("Mixed_5b")
                           NAMES_A("Mixed_5c") NAMES_A("Mixed_5d") NAMES_B("Mixed_6a")
                               NAMES_C("Mixed_6b") NAMES_C("Mixed_6c"),
                   NAMES_C("Mixed_6d") NAMES_C("Mixed_6e") UNIT("AuxLogits.conv0")
                       UNIT("AuxLogits.conv1") LAYER("AuxLogits.fc") NAMES_D("Mixed_7a")
                           NAMES_E("Mixed_7b") NAMES_E("Mixed_7c") LAYER("fc"));
}

/* "features" is an image in front of the head, what is named comes before what ends the network,
 * and the same name means the same place in both modes. */
static void every_model_names_its_features(void)
{
    static const struct {
        const char *model, *name;
        int64_t shape[4];
    } known[] = {{"mlp", "fc1", {1, 500}},
                 {"mlp", "features", {1, 150}},
                 {"lenet", "features", {1, 4, 4, 50}},
                 {"convnet", "conv4", {1, 1, 1, 64}},
                 {"nin", "cccp2", {1, 32, 32, 96}},
                 {"zresnet", "conv5", {1, 6, 6, 128}},
                 {"zresnet", "features", {1, 2, 2, 128}},
                 {"small_cnn", "classifier.fc2", {1, 200}},
                 {"alexnet", "features", {1, 6, 6, 256}},
                 {"alexnet", "classifier.4", {1, 4096}},
                 {"vgg16", "features.5", {1, 32, 32, 64}},
                 {"vgg16", "features.6", {1, 16, 16, 64}},
                 {"resnet20", "layer2.1", {1, 16, 16, 32}},
                 {"resnet20", "layer2", {1, 16, 16, 32}},
                 {"resnet20", "features", {1, 8, 8, 64}},
                 {"resnet18", "layer1.1", {1, 56, 56, 64}},
                 {"resnet50", "layer3.5", {1, 14, 14, 1024}},
                 {"resnet152", "layer3.35", {1, 14, 14, 1024}},
                 {"resnet152", "features", {1, 7, 7, 2048}},
                 {"inception_v3", "Conv2d_4a_3x3", {1, 71, 71, 192}},
                 {"inception_v3", "Mixed_5d", {1, 35, 35, 288}},
                 {"inception_v3", "Mixed_6e", {1, 17, 17, 768}},
                 {"inception_v3", "Mixed_7a", {1, 8, 8, 1280}},
                 {"inception_v3", "features", {1, 8, 8, 2048}},
                 {"inception_v3", "AuxLogits", {1, 10}},
                 {"wrn", "block3.layer", {1, 8, 8, 64}},
                 {"wrn", "block2.layer.0", {1, 16, 16, 32}},
                 {"model_a", "conv4", {1, 6, 6, 128}},
                 {"aaron", "features", {1, 2, 2, 512}},
                 {"dunet", "fwd.4", {1, 19, 19, 256}},
                 {"dunet", "back.2", {1, 75, 75, 256}},
                 {"dunet", "features", {1, 299, 299, 64}},
                 {"dae", "image", {1, 299, 299, 3}}};
    size_t seen = 0;
    for (int i = 0; tdo_model_table[i]; i++) {
        const struct tdo_model *m = tdo_model_table[i];
        const struct tdo_model_spec spec = {.height = m->usual[0],
                                            .width = m->usual[1],
                                            .channels = m->usual[2],
                                            .classes = 10,
                                            .depth = 10,
                                            .shortcut = 'B'};
        struct tdo_build b = {.norm = TDO_NORM_RUNNING, .keys = TDO_NONE};
        ASSERT_OK_FATAL(tdo_graph_new(&b.g));
        ASSERT_OK_FATAL(tdo_params_new(&b.params));
        const tdo_shape shape = TDO_SHAPE(1, spec.height, spec.width, spec.channels);
        tdo_node z = tdo_model_build(&b, m, &spec, tdo_op_input(b.g, "x", shape));
        const bool image = m->output == TDO_MODEL_IMAGE;
        CU_ASSERT_EQUAL(tdo_layer_tapped(&b, image ? "image" : "logits"), z);
        CU_ASSERT_EQUAL(tdo_layer_tapped(&b, image ? "logits" : "image"), TDO_NONE);
        const tdo_node features = tdo_layer_tapped(&b, "features");
        CU_ASSERT_TRUE(features != TDO_NONE && features < z);
        CU_ASSERT_TRUE(b.taps >= 4);
        for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
            if (strcmp(known[k].model, m->name) == 0) {
                const tdo_shape s = tdo_graph_shape(b.g, tdo_layer_tapped(&b, known[k].name));
                const bool same = memcmp(s.dim, known[k].shape, sizeof known[k].shape) == 0;
                if (!same) {
                    printf("%s, %s: %s\n", m->name, known[k].name, tdo_shape_print(&s).s);
                }
                CU_ASSERT_TRUE(same);
                seen++;
            }
        }
        tdo_params_free(&b.params);
        tdo_graph_free(&b.g);
    }
    CU_ASSERT_EQUAL(seen, sizeof known / sizeof *known);
}

/* What stands before "features" may differ, what comes of it may not. */
static void logits_depend_on_the_image_through_the_features_alone(void)
{
    static const char *const names[] = {"mlp", "lenet", "resnet20", "vgg16", "wrn", "nin"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        const struct tdo_model_spec spec = {.height = 32,
                                            .width = 32,
                                            .channels = 1,
                                            .classes = 3,
                                            .depth = 10,
                                            .wide = 0.0625};
        struct tdo_build b = {.norm = TDO_NORM_RUNNING, .keys = TDO_NONE};
        tdo_node slope[2];
        ASSERT_OK_FATAL(tdo_graph_new(&b.g));
        ASSERT_OK_FATAL(tdo_params_new(&b.params));
        tdo_node x = tdo_op_input(b.g, "x", TDO_SHAPE(1, 32, 32, 1));
        tdo_node z = tdo_model_build(&b, tdo_model_find(names[k]), &spec, x);
        tdo_node features = tdo_layer_tapped(&b, "features");
        /* with the features held, the gradient by the image is a constant zero */
        tdo_grad(b.g, z, TDO_NONE, 2, (tdo_node[]){x, features}, slope);
        CU_ASSERT_PTR_EQUAL(tdo_graph_at(b.g, slope[0])->op, &tdo_row_constant);
        CU_ASSERT_PTR_NOT_EQUAL(tdo_graph_at(b.g, slope[1])->op, &tdo_row_constant);
        tdo_params_free(&b.params);
        tdo_graph_free(&b.g);
    }
}

/* Nothing learnt at "final": the image comes back as it went in, beyond [0,1] too. */
static void a_denoiser_adds_to_the_image_and_does_not_clip(void)
{
    const struct tdo_model_spec spec = {
        .height = 13, .width = 10, .channels = 2, .classes = 0, .wide = 0.125};
    struct tdo_build b = {.norm = TDO_NORM_RUNNING, .keys = TDO_NONE};
    ASSERT_OK_FATAL(tdo_graph_new(&b.g));
    ASSERT_OK_FATAL(tdo_params_new(&b.params));
    tdo_node x = tdo_op_input(b.g, "x", TDO_SHAPE(3, 13, 10, 2));
    tdo_node y = tdo_model_build(&b, &tdo_model_dunet, &spec, x);
    ASSERT_OK_FATAL(tdo_params_init(b.params, 3));
    const int64_t n = probe_count(b.g, x), last = tdo_params_find(b.params, "final.weight");
    const struct tdo_param *final = tdo_params_at(b.params, last);
    CU_ASSERT_EQUAL(probe_count(b.g, y), n);
    for (int taught = 1; taught >= 0; taught--) {
        double gap = 0;
        for (int64_t i = 0; i < final->count; i++) {
            tdo_params_values(b.params, last)[i] *= (float)taught;
        }
        double *v = probe_values(b.g, 1, &y, FAST, b.params);
        for (int64_t i = 0; i < n; i++) { /* half of the inputs are negative */
            gap = fmax(gap, fabs(v[i] - probe_number(1, i)));
        }
        CU_ASSERT_TRUE(taught ? gap > 1e-3 : gap == 0);
        free(v);
    }
    tdo_params_free(&b.params);
    tdo_graph_free(&b.g);
}

static void a_denoiser_takes_no_input_layer(void)
{
    const struct tdo_model_spec bad[] = {
        {.height = 8, .width = 8, .channels = 1, .inputs = 1, .mean = {0.5}, .std = {0.5}},
        {.height = 8, .width = 8, .channels = 1, .mean_image = true}};
    for (int k = 0; k < 2; k++) {
        struct tdo_build b = {.norm = TDO_NORM_RUNNING, .keys = TDO_NONE};
        ASSERT_OK_FATAL(tdo_graph_new(&b.g));
        ASSERT_OK_FATAL(tdo_params_new(&b.params));
        (void)tdo_model_build(&b, &tdo_model_dae, &bad[k],
                              tdo_op_input(b.g, "x", TDO_SHAPE(1, 8, 8, 1)));
        CU_ASSERT_EQUAL(tdo_graph_check(b.g), TDO_ERR_CONFIG);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, k ? "mean_image" : "mean is"));
        tdo_params_free(&b.params);
        tdo_graph_free(&b.g);
    }
}

static void batch_mode_reports_every_norm(void)
{
    const struct tdo_model_spec spec = {
        .height = 8, .width = 8, .channels = 1, .classes = 3, .shortcut = 'B'};
    tdo_graph *g = NULL;
    tdo_params *params = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    ASSERT_OK_FATAL(tdo_params_new(&params));
    struct tdo_build b = {.g = g, .params = params, .norm = TDO_NORM_BATCH, .keys = TDO_NONE};
    b.row_weights = tdo_op_input(g, "v", TDO_SHAPE(2));
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(2, 8, 8, 1));
    tdo_model_build(&b, tdo_model_find("resnet20"), &spec, x);
    ASSERT_OK(tdo_graph_check(g));
    CU_ASSERT_EQUAL(b.norms, 21);
    CU_ASSERT_EQUAL(b.convs, 21);
    CU_ASSERT_EQUAL(b.layers, 22);
    int64_t floats = 0;
    for (int i = 0; i < b.norms; i++) {
        floats += probe_count(g, b.stats[i].stats);
    }
    CU_ASSERT_EQUAL(floats, tdo_params_count(params, TDO_PARAM_BUFFER));
    tdo_params_free(&params);
    tdo_graph_free(&g);
}

static void the_input_layer_normalises(void)
{
    /* mlp on one pixel of two channels; moving mean and std into the pixels changes nothing */
    const struct tdo_model_spec with = {.height = 2,
                                        .width = 2,
                                        .channels = 2,
                                        .classes = 3,
                                        .inputs = 2,
                                        .mean = {0.5, -0.25},
                                        .std = {0.25, 2}};
    struct tdo_model_spec without = with;
    without.inputs = 0;
    tdo_graph *g = NULL;
    tdo_params *params = NULL;
    double pixels[8], moved[8], z[2][3];
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    ASSERT_OK_FATAL(tdo_params_new(&params));
    struct tdo_build b = {.g = g, .params = params, .norm = TDO_NORM_RUNNING, .keys = TDO_NONE};
    tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(1, 2, 2, 2)), y;
    tdo_node u = tdo_op_input(g, "u", TDO_SHAPE(1, 2, 2, 2));
    tdo_node out[2] = {tdo_model_build(&b, tdo_model_find("mlp"), &with, x),
                       y = tdo_model_build(&b, tdo_model_find("mlp"), &without, u)};
    CU_ASSERT_NOT_EQUAL(y, out[0]);
    ASSERT_OK_FATAL(tdo_params_init(params, 1));
    for (int i = 0; i < 8; i++) {
        pixels[i] = probe_number(1, i);
        moved[i] = (pixels[i] - with.mean[i % 2]) / with.std[i % 2];
    }
    tdo_plan *p = probe_plan(g, 2, out, F64, params);
    probe_set(p, x, F64, 8, pixels);
    probe_set(p, u, F64, 8, moved);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    probe_get(p, 0, F64, 3, z[0]);
    probe_get(p, 1, F64, 3, z[1]);
    CU_ASSERT_TRUE(probe_gap(3, z[0], z[1]) <= 1e-14);
    tdo_plan_free(&p);
    tdo_params_free(&params);
    tdo_graph_free(&g);
}

enum { SIDE = 3, COLOURS = 2, NUMBERS = SIDE * SIDE * COLOURS };

/* The formula of the input layer, on one image in the order [C,H,W]. */
static void learnt_formula(const struct tdo_model_spec *spec, const float *mean, float wanted,
                           const float *w, const double *x, double *y)
{
    double d[NUMBERS], sum = 0, squares = 0;
    for (int i = 0; i < NUMBERS; i++) {
        d[i] = x[i] - (double)mean[i];
        sum += d[i];
    }
    for (int i = 0; i < NUMBERS; i++) {
        d[i] -= spec->contrast ? sum / NUMBERS : 0;
        squares += d[i] * d[i];
    }
    const double deviation = fmax(sqrt(squares / (NUMBERS - 1)), 40.0 / 255);
    for (int i = 0; i < NUMBERS; i++) {
        y[i] = 0;
        for (int k = 0; k < NUMBERS; k++) {
            const double scaled = d[k] * (spec->contrast ? (double)wanted / deviation : 1);
            y[i] += scaled * (spec->whiten ? (double)w[i * NUMBERS + k] : i == k);
        }
        y[i] /= 0.5;
    }
}

/* Three images: two of much contrast, the last of less than the floor. */
static void make_images(double pixels[3][NUMBERS])
{
    for (int i = 0; i < 3 * NUMBERS; i++) {
        pixels[i / NUMBERS][i % NUMBERS] =
            0.5 + (i / NUMBERS == 2 ? 0.01 : 0.5) * probe_number(1, i);
    }
}

static void check_learnt_input(const struct tdo_model_spec *spec, enum arithmetic how)
{
    struct tdo_build b = {.norm = TDO_NORM_RUNNING, .keys = TDO_NONE};
    ASSERT_OK_FATAL(tdo_graph_new(&b.g));
    ASSERT_OK_FATAL(tdo_params_new(&b.params));
    const tdo_node x = tdo_op_input(b.g, "x", TDO_SHAPE(3, SIDE, SIDE, COLOURS));
    const tdo_node y = tdo_input_layer(&b, spec, x);
    ASSERT_OK_FATAL(tdo_params_init(b.params, 1));
    const float *tensor[3] = {NULL};
    for (int64_t i = 0; i < tdo_params_entries(b.params); i++) {
        const struct tdo_param *e = tdo_params_at(b.params, i);
        float *v = tdo_params_values(b.params, i);
        CU_ASSERT_EQUAL(e->kind, TDO_PARAM_FIXED);
        for (int64_t k = 0; k < e->count; k++) {
            v[k] = (float)probe_number(20 + (uint32_t)i, k);
        }
        tensor[e->shape.rank == 3 ? 0 : e->shape.rank == 1 ? 1 : 2] = v;
    }
    double pixels[3][NUMBERS], got[3][NUMBERS];
    make_images(pixels);
    tdo_plan *p = probe_plan(b.g, 1, &y, how, b.params);
    probe_set(p, x, how, sizeof pixels / sizeof **pixels, pixels[0]);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    probe_get(p, 0, how, sizeof got / sizeof **got, got[0]);
    for (int r = 0; r < 3; r++) {
        double first[NUMBERS], want[NUMBERS], other[NUMBERS];
        for (int i = 0; i < NUMBERS; i++) { /* channels first */
            const int to = i % COLOURS * SIDE * SIDE + i / COLOURS;
            first[to] = pixels[r][i];
            other[to] = got[r][i];
        }
        learnt_formula(spec, tensor[0], tensor[1] ? *tensor[1] : 0, tensor[2], first, want);
        CU_ASSERT_TRUE(probe_gap(NUMBERS, other, want) <= (how == F64 ? 1e-12 : 1e-4));
    }
    tdo_plan_free(&p);
    tdo_params_free(&b.params);
    tdo_graph_free(&b.g);
}

static void the_input_layer_does_what_it_learnt(void)
{
    for (int k = 0; k < 4; k++) {
        const struct tdo_model_spec spec = {.channels = COLOURS,
                                            .inputs = 1,
                                            .std = {0.5},
                                            .mean_image = true,
                                            .contrast = k % 2,
                                            .whiten = k / 2};
        check_learnt_input(&spec, F64);
        check_learnt_input(&spec, FAST);
    }
}

static void an_image_too_large_to_whiten_is_refused(void)
{
    const struct tdo_model_spec spec = {.mean_image = true, .whiten = true};
    struct tdo_build b = {.keys = TDO_NONE};
    ASSERT_OK_FATAL(tdo_graph_new(&b.g));
    ASSERT_OK_FATAL(tdo_params_new(&b.params));
    const tdo_node x = tdo_op_input(b.g, "x", TDO_SHAPE(1, 64, 64, 3));
    CU_ASSERT_EQUAL(tdo_input_layer(&b, &spec, x), TDO_NONE);
    CU_ASSERT_EQUAL(tdo_graph_check(b.g), TDO_ERR_SHAPE);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "8192"));
    tdo_params_free(&b.params);
    tdo_graph_free(&b.g);
}

static void a_spec_that_does_not_fit_is_refused(void)
{
    const struct tdo_model_spec bad[] = {
        {.height = 8, .width = 8, .channels = 3, .classes = 10, .inputs = 2, .std = {1, 1}},
        {.height = 8, .width = 8, .channels = 1, .classes = 10}}; /* too small for lenet */
    for (int k = 0; k < 2; k++) {
        tdo_graph *g = NULL;
        tdo_params *params = NULL;
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        ASSERT_OK_FATAL(tdo_params_new(&params));
        struct tdo_build b = {
            .g = g, .params = params, .norm = TDO_NORM_RUNNING, .keys = TDO_NONE};
        tdo_node x = tdo_op_input(g, "x", TDO_SHAPE(1, 8, 8, bad[k].channels));
        tdo_node z = tdo_model_build(&b, tdo_model_find("lenet"), &bad[k], x);
        CU_ASSERT_EQUAL(z, TDO_NONE);
        CU_ASSERT_EQUAL(tdo_graph_check(g), k ? TDO_ERR_SHAPE : TDO_ERR_CONFIG);
        tdo_params_free(&params);
        tdo_graph_free(&g);
    }
    CU_ASSERT_PTR_NULL(tdo_model_find("lenet "));
}

static void the_flag_says_who_has_dropout(void)
{
    static const struct {
        const char *name;
        int places;
    } known[] = {{"mlp", 2},     {"nin", 2}, {"small_cnn", 1},
                 {"alexnet", 2}, {"wrn", 6}, {"inception_v3", 1}};
    for (int i = 0; tdo_model_table[i]; i++) {
        const struct tdo_model *m = tdo_model_table[i];
        const struct tdo_model_spec spec = {.height = m->usual[0],
                                            .width = m->usual[1],
                                            .channels = m->usual[2],
                                            .classes = 10,
                                            .depth = 16,
                                            .shortcut = 'B',
                                            .wide = 0.0625};
        struct tdo_build b = {.norm = TDO_NORM_RUNNING, .keys = TDO_NONE};
        ASSERT_OK_FATAL(tdo_graph_new(&b.g));
        ASSERT_OK_FATAL(tdo_params_new(&b.params));
        const tdo_shape shape = TDO_SHAPE(1, spec.height, spec.width, spec.channels);
        (void)tdo_model_build(&b, m, &spec, tdo_op_input(b.g, "x", shape));
        CU_ASSERT_EQUAL(b.dropouts > 0, m->dropout);
        for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
            CU_ASSERT_TRUE(strcmp(m->name, known[k].name) != 0 ||
                           b.dropouts == known[k].places);
        }
        tdo_params_free(&b.params);
        tdo_graph_free(&b.g);
    }
}

static void a_model_says_which_images_it_wants(void)
{
    static const struct {
        const char *name, *says;
        int64_t size;
        bool fits;
    } cases[] = {{"convnet", "32 to 39 pixels", 31, false},
                 {"convnet", "", 39, true},
                 {"convnet", "32 to 39 pixels", 40, false},
                 {"alexnet", "63 pixels", 62, false},
                 {"alexnet", "", 63, true},
                 {"alexnet", "", 100, true},
                 {"model_a", "96 pixels", 95, false},
                 {"model_a", "", 96, true},
                 {"aaron", "80 pixels", 79, false},
                 {"aaron", "", 80, true},
                 {"resnet50", "", 32, true},
                 {"inception_v3", "75 pixels", 74, false},
                 {"inception_v3", "", 75, true},
                 {"inception_v3", "", 300, true},
                 {"resnet18", "", 32, true},
                 {"resnet18", "", 33, true},
                 {"wrn", "", 28, true}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const struct tdo_model_spec spec = {.height = cases[k].size,
                                            .width = cases[k].size,
                                            .channels = 3,
                                            .classes = 10,
                                            .wide = 0.0625};
        tdo_graph *g = NULL;
        tdo_params *params = NULL;
        ASSERT_OK_FATAL(tdo_graph_new(&g));
        ASSERT_OK_FATAL(tdo_params_new(&params));
        struct tdo_build b = {
            .g = g, .params = params, .norm = TDO_NORM_RUNNING, .keys = TDO_NONE};
        const tdo_shape shape = TDO_SHAPE(1, cases[k].size, cases[k].size, 3);
        tdo_node z = tdo_model_build(&b, tdo_model_find(cases[k].name), &spec,
                                     tdo_op_input(g, "x", shape));
        CU_ASSERT_EQUAL(tdo_graph_check(g), cases[k].fits ? TDO_OK : TDO_ERR_SHAPE);
        if (cases[k].fits) {
            CU_ASSERT_EQUAL(probe_count(g, z), 10);
        } else {
            CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, cases[k].says));
        }
        tdo_params_free(&params);
        tdo_graph_free(&g);
    }
}

CU_TestInfo suite_tests[] = {
    {"every gradient agrees with central differences, first and second order",
     every_gradient_agrees_with_central_differences},
    {"parameter counts are the published ones", parameter_counts_are_the_published_ones},
    {"deeper residual networks grow by the block", deeper_residual_networks_grow_by_the_block},
    {"wide residual networks have the published sizes",
     wide_residual_networks_have_the_published_sizes},
    {"the width multiplies channels, in the models that read it; so for depth",
     width_multiplies_channels},
    {"the state dict of vgg16 is torchvision's", state_dict_of_vgg16_is_torchvision_s},
    {"the state dict of resnet20 is PyTorch's", state_dict_of_resnet20_is_pytorch_s},
    {"state dicts have the names of their authors'", state_dicts_have_their_authors_names},
    {"inception_v3 has torchvision's names, dunet and dae those of their authors",
     networks_of_hgd_have_their_authors_names},
    {"every model names its features, its end and what is between",
     every_model_names_its_features},
    {"logits depend on the image through the features alone",
     logits_depend_on_the_image_through_the_features_alone},
    {"a denoiser adds to the image and does not clip",
     a_denoiser_adds_to_the_image_and_does_not_clip},
    {"a denoiser takes no input layer", a_denoiser_takes_no_input_layer},
    {"batch mode reports every normalisation", batch_mode_reports_every_norm},
    {"the input layer normalises", the_input_layer_normalises},
    {"the input layer does what it learnt: mean image, contrast, whitening",
     the_input_layer_does_what_it_learnt},
    {"an image too large to whiten is refused", an_image_too_large_to_whiten_is_refused},
    {"the flag says who has dropout, and in how many places", the_flag_says_who_has_dropout},
    {"a model says which images it wants", a_model_says_which_images_it_wants},
    {"a spec that does not fit is refused", a_spec_that_does_not_fit_is_refused},
    CU_TEST_INFO_NULL,
};
