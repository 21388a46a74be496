/* Layer builders: geometry, order of elements, batch norm in both modes, hooks. Oracles are plain
 * formulas on small numbers. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "nn/layers.h"
#include "tests/nn/support.h"

const char suite_name[] = "layers";

struct made {
    tdo_graph *g;
    tdo_params *params;
    struct tdo_build b;
};

static void begin(struct made *m, enum tdo_norm_mode norm)
{
    memset(m, 0, sizeof *m);
    ASSERT_OK_FATAL(tdo_graph_new(&m->g));
    ASSERT_OK_FATAL(tdo_params_new(&m->params));
    m->b = (struct tdo_build){.g = m->g,
                              .params = m->params,
                              .norm = norm,
                              .row_weights = TDO_NONE,
                              .keys = TDO_NONE,
                              .weight_init = TDO_INIT_FAN_IN_UNIFORM,
                              .bias_init = TDO_INIT_FAN_IN_UNIFORM};
}

static void end(struct made *m)
{
    tdo_params_free(&m->params);
    tdo_graph_free(&m->g);
}

static void same_padding_is_tensorflow_s(void)
{
    const struct {
        int kernel, stride;
        int64_t size;
        int before, after;
    } cases[] = {{8, 2, 28, 3, 3}, {3, 1, 5, 1, 1}, {3, 2, 6, 0, 1}, {2, 1, 4, 0, 1},
                 {2, 2, 5, 0, 1},  {1, 2, 7, 0, 0}, {5, 1, 9, 2, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct tdo_layer_conv c = tdo_layer_same(cases[i].kernel, cases[i].stride,
                                                       cases[i].size, cases[i].size, true);
        CU_ASSERT_TRUE(c.pad[0] == cases[i].before && c.pad[1] == cases[i].before);
        CU_ASSERT_TRUE(c.pad[2] == cases[i].after && c.pad[3] == cases[i].after);
    }
}

static void linear_is_a_matrix_product(void)
{
    for (int rows = 1; rows <= 3; rows += 2) {
        struct made m;
        begin(&m, TDO_NORM_RUNNING);
        tdo_node x = tdo_op_input(m.g, "x", TDO_SHAPE(rows, 5));
        tdo_node y = tdo_layer_linear(&m.b, "fc", x, 4);
        ASSERT_OK_FATAL(tdo_params_init(m.params, 2));
        const float *w = tdo_params_values(m.params, tdo_params_find(m.params, "fc.weight"));
        const float *bias = tdo_params_values(m.params, tdo_params_find(m.params, "fc.bias"));
        for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
            double *got = probe_values(m.g, 1, &y, how, m.params), want[12];
            for (int i = 0; i < rows * 4; i++) {
                want[i] = (double)bias[i % 4];
                for (int k = 0; k < 5; k++) {
                    want[i] += (double)w[i % 4 * 5 + k] * probe_number(1, i / 4 * 5 + k);
                }
            }
            CU_ASSERT_TRUE(probe_gap(rows * 4, got, want) <= 1e-6);
            free(got);
        }
        end(&m);
    }
}

/* Of 4 rows of 500 ones, with p = 0.25: what is kept is 4/3, as many as expected, and other
 * elements in another row, layer and step. */
static void dropout_drops_and_scales(void)
{
    enum { ROWS = 4, UNITS = 500, ALL = ROWS * UNITS };
    struct made m;
    begin(&m, TDO_NORM_BATCH);
    m.b.keys = tdo_op_key(m.g, "keys", ROWS);
    tdo_node one = tdo_op_constant(m.g, TDO_SHAPE(ROWS, UNITS), 1);
    CU_ASSERT_TRUE(tdo_layer_dropout(&m.b, one) == one); /* p = 0 */
    m.b.dropout = 0.25;
    tdo_node y[2] = {tdo_layer_dropout(&m.b, one), tdo_layer_dropout(&m.b, one)};
    tdo_plan *p = probe_plan(m.g, 2, y, F64, NULL);
    struct tdo_key *keys = tdo_plan_input(p, m.b.keys);
    for (int i = 0; i < ROWS; i++) {
        keys[i] = (struct tdo_key){.sample = (uint64_t)i / 2, .step = (uint32_t)i % 2};
    }
    ASSERT_OK_FATAL(tdo_plan_run(p));
    const double *a = tdo_plan_output(p, 0), *b = tdo_plan_output(p, 1);
    int dropped = 0, differ = 0;
    for (int i = 0; i < ALL; i++) {
        CU_ASSERT_TRUE(a[i] == 0 || fabs(a[i] - 4.0 / 3) < 1e-12);
        dropped += a[i] == 0;
        differ += a[i] != b[i];
    }
    CU_ASSERT_TRUE(dropped > 500 - 80 && dropped < 500 + 80); /* 4 standard deviations */
    CU_ASSERT_TRUE(differ > 750 - 90 && differ < 750 + 90);   /* 2 p (1 - p) of all */
    for (int i = 1; i < ROWS; i++) {
        CU_ASSERT_TRUE(memcmp(a, a + (ptrdiff_t)i * UNITS, UNITS * sizeof *a) != 0);
    }
    tdo_plan_free(&p);
    end(&m);
}

static void flatten_puts_channels_first(void)
{
    struct made m;
    begin(&m, TDO_NORM_RUNNING);
    tdo_node x = tdo_op_input(m.g, "x", TDO_SHAPE(2, 2, 3, 4));
    tdo_node y = tdo_layer_flatten(&m.b, x);
    double *v = probe_values(m.g, 1, &y, F64, NULL);
    for (int i = 0; i < 48; i++) {
        const int n = i / 24, c = i / 6 % 4, h = i / 3 % 2, w = i % 3;
        CU_ASSERT_EQUAL(v[i], probe_number(1, ((n * 2 + h) * 3 + w) * 4 + c));
    }
    free(v);
    end(&m);
}

static void global_mean_is_the_mean(void)
{
    struct made m;
    begin(&m, TDO_NORM_RUNNING);
    tdo_node y = tdo_layer_global_mean(&m.b, tdo_op_input(m.g, "x", TDO_SHAPE(2, 3, 2, 4)));
    double *v = probe_values(m.g, 1, &y, F64, NULL);
    for (int i = 0; i < 8; i++) {
        double sum = 0;
        for (int p = 0; p < 6; p++) {
            sum += probe_number(1, (i / 4 * 6 + p) * 4 + i % 4);
        }
        CU_ASSERT_TRUE(fabs(v[i] - sum / 6) <= 1e-15);
    }
    free(v);
    end(&m);
}

/* Behind a convolution (folded into it), behind one without bias, and alone; also for a single
 * row of a single place, where no broadcast is needed. */
static void running_batch_norm_is_its_formula(void)
{
    for (int k = 0; k < 8; k++) {
        struct made m;
        begin(&m, TDO_NORM_RUNNING);
        const int64_t size = k & 4 ? 1 : 3;
        tdo_node x = tdo_op_input(m.g, "x", TDO_SHAPE(size, size, size, 3)), z = x;
        struct tdo_layer_conv spec = tdo_layer_square(1, 1, 0, (k & 3) == 1);
        if ((k & 3) < 2) {
            z = tdo_layer_conv(&m.b, "conv", x, 3, &spec);
        } else if (k & 1) { /* a residual sum that must not be taken for a bias */
            z = tdo_op_add(m.g, tdo_layer_conv(&m.b, "conv", x, 3, &spec), tdo_op_exp(m.g, x));
        }
        tdo_node out[2] = {tdo_layer_batchnorm(&m.b, "bn", z), z};
        ASSERT_OK_FATAL(tdo_params_init(m.params, 3));
        float *p[4];
        static const char *const names[] = {"bn.weight", "bn.bias", "bn.running_mean",
                                            "bn.running_var"};
        for (int i = 0; i < 4; i++) {
            p[i] = tdo_params_values(m.params, tdo_params_find(m.params, names[i]));
            for (int c = 0; c < 3; c++) {
                p[i][c] = (float)(1 + 0.3 * probe_number((uint32_t)(50 + i), c));
            }
        }
        for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
            const int64_t n = probe_count(m.g, z);
            double *v = probe_values(m.g, 2, out, how, m.params), want[81];
            for (int64_t i = 0; i < n; i++) {
                const int64_t c = i % 3;
                want[i] = (v[n + i] - (double)p[2][c]) / sqrt((double)p[3][c] + 1e-5) *
                              (double)p[0][c] +
                          (double)p[1][c];
            }
            CU_ASSERT_TRUE(probe_gap(n, v, want) <= (how == F64 ? 1e-13 : 2e-6));
            free(v);
        }
        end(&m);
    }
}

static void batch_statistics_ignore_padding_rows(void)
{
    struct made m;
    begin(&m, TDO_NORM_BATCH);
    tdo_node x = tdo_op_input(m.g, "x", TDO_SHAPE(3, 2, 2, 2));
    tdo_node v = m.b.row_weights = tdo_op_input(m.g, "v", TDO_SHAPE(3));
    tdo_node y = tdo_layer_batchnorm(&m.b, "bn", x);
    CU_ASSERT_EQUAL_FATAL(m.b.norms, 1);
    CU_ASSERT_EQUAL(m.b.stats[0].per, 4);
    CU_ASSERT_EQUAL(m.b.stats[0].mean, tdo_params_find(m.params, "bn.running_mean"));
    CU_ASSERT_EQUAL(m.b.stats[0].var, tdo_params_find(m.params, "bn.running_var"));
    ASSERT_OK_FATAL(tdo_params_init(m.params, 1));
    tdo_node out[2] = {y, m.b.stats[0].stats};
    for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
        double got[2][24], stats[4], weights[3] = {0.5, 0.5, 0};
        tdo_plan *p = probe_plan(m.g, 2, out, how, m.params);
        probe_set(p, v, how, 3, weights);
        for (int round = 0; round < 2; round++) {
            double in[24];
            for (int i = 0; i < 24; i++) { /* only the padding row differs */
                in[i] = probe_number(i >= 16 ? 7 + (uint32_t)round : 1, i);
            }
            probe_set(p, x, how, 24, in);
            ASSERT_OK_FATAL(tdo_plan_run(p));
            probe_get(p, 0, how, 24, got[round]);
            probe_get(p, 1, how, 4, stats);
            double want[4] = {0};
            for (int i = 0; i < 16; i++) {
                want[i % 2] += in[i] / 8;
            }
            for (int i = 0; i < 16; i++) {
                want[2 + i % 2] += (in[i] - want[i % 2]) * (in[i] - want[i % 2]) / 8;
            }
            CU_ASSERT_TRUE(probe_gap(4, stats, want) <= 1e-6);
            for (int i = 0; i < 16; i++) {
                const double xhat = (in[i] - want[i % 2]) / sqrt(want[2 + i % 2] + 1e-5);
                CU_ASSERT_TRUE(fabs(got[round][i] - xhat) <= 1e-5);
            }
        }
        CU_ASSERT_EQUAL(memcmp(got[0], got[1], 16 * sizeof(double)), 0);
        tdo_plan_free(&p);
    }
    end(&m);
}

/* ---- hooks ------------------------------------------------------------------------------------ */

static tdo_node shifted(struct tdo_build *b, const void *self, tdo_node x, int conv)
{
    return tdo_op_affine(b->g, x, 1, *(const double *)self * (conv + 1));
}

static tdo_node doubled(struct tdo_build *b, const void *self, tdo_node w, int layer)
{
    (void)self;
    return tdo_op_affine(b->g, w, layer ? 3 : 2, 0);
}

static tdo_node bounded(struct tdo_build *b, const void *self, tdo_node x)
{
    return tdo_op_clip(b->g, x, 0, *(const double *)self);
}

static void hooks_reach_into_every_layer(void)
{
    const double by = 10, one = 1, two = 2;
    const struct tdo_hook hooks[] = {{.before_conv = shifted, .self = &by},
                                     {.activation = bounded, .self = &one},
                                     {.weight = doubled},
                                     {.activation = bounded, .self = &two}};
    struct made m;
    begin(&m, TDO_NORM_RUNNING);
    m.b.hook = hooks;
    m.b.hooks = 4;
    m.b.weight_init = TDO_INIT_ONE;
    const struct tdo_layer_conv spec = tdo_layer_square(1, 1, 0, false);
    tdo_node x = tdo_op_constant(m.g, TDO_SHAPE(1, 1, 1, 1), 1);
    tdo_node a = tdo_layer_conv(&m.b, "a", x, 1, &spec);     /* 2 (1 + 10) */
    tdo_node c = tdo_layer_conv(&m.b, "c", a, 1, &spec);     /* 3 (22 + 20) */
    tdo_node out[3] = {a, c, tdo_layer_activation(&m.b, c)}; /* the last defense: at most 2 */
    ASSERT_OK_FATAL(tdo_params_init(m.params, 1));
    double *v = probe_values(m.g, 3, out, FAST, m.params);
    CU_ASSERT_EQUAL(v[0], 22);
    CU_ASSERT_EQUAL(v[1], 126);
    CU_ASSERT_EQUAL(v[2], 2);
    free(v);
    end(&m);
}

/* PyTorch's windows: 7 places in 3 parts, 5 in 2, 1 in 2, and 4 in 2, where nothing overlaps. */
static void parts_of_an_image_have_their_means(void)
{
    static const struct {
        int size[2], out[2], window[2][3][2];
    } cases[] = {{{7, 5}, {3, 2}, {{{0, 3}, {2, 5}, {4, 7}}, {{0, 3}, {2, 5}}}},
                 {{1, 4}, {2, 2}, {{{0, 1}, {0, 1}}, {{0, 2}, {2, 4}}}}};
    for (int k = 0; k < 2; k++) {
        const int *size = cases[k].size, *out = cases[k].out;
        struct made m;
        begin(&m, TDO_NORM_RUNNING);
        tdo_node x = tdo_op_input(m.g, "x", TDO_SHAPE(1, size[0], size[1], 2));
        tdo_node y = tdo_layer_avgpool_to(&m.b, x, out);
        CU_ASSERT_EQUAL_FATAL(probe_count(m.g, y), (int64_t)out[0] * out[1] * 2);
        double *got = probe_values(m.g, 1, &y, FAST, NULL), want[12];
        for (int i = 0; i < out[0] * out[1] * 2; i++) {
            const int *row = cases[k].window[0][i / 2 / out[1]];
            const int *column = cases[k].window[1][i / 2 % out[1]];
            want[i] = 0;
            for (int r = row[0]; r < row[1]; r++) {
                for (int c = column[0]; c < column[1]; c++) {
                    want[i] += probe_number(1, (r * size[1] + c) * 2 + i % 2);
                }
            }
            want[i] /= (row[1] - row[0]) * (column[1] - column[0]);
        }
        CU_ASSERT_TRUE(probe_gap((int64_t)out[0] * out[1] * 2, got, want) <= 1e-6);
        free(got);
        end(&m);
    }
}

static void average_pooling_takes_the_mean_of_windows(void)
{
    struct made m;
    begin(&m, TDO_NORM_RUNNING);
    tdo_node x = tdo_op_input(m.g, "x", TDO_SHAPE(1, 5, 4, 1)); /* the last row is left over */
    tdo_node y = tdo_layer_avgpool(&m.b, x, 2, 2);
    CU_ASSERT_EQUAL_FATAL(probe_count(m.g, y), 4);
    double *got = probe_values(m.g, 1, &y, FAST, NULL), want[4];
    for (int i = 0; i < 4; i++) {
        const int at = i / 2 * 8 + i % 2 * 2;
        want[i] = (probe_number(1, at) + probe_number(1, at + 1) + probe_number(1, at + 4) +
                   probe_number(1, at + 5)) /
                  4;
    }
    CU_ASSERT_TRUE(probe_gap(4, got, want) <= 1e-6);
    free(got);
    end(&m);
}

static void a_layer_on_the_wrong_shape_is_named(void)
{
    const struct tdo_layer_conv spec = tdo_layer_square(3, 1, 1, true);
    for (int k = 0; k < 3; k++) {
        struct made m;
        begin(&m, TDO_NORM_RUNNING);
        tdo_node rows = tdo_op_input(m.g, "x", TDO_SHAPE(2, 5));
        tdo_node image = tdo_op_input(m.g, "i", TDO_SHAPE(2, 5, 5, 1));
        tdo_node y = k == 0   ? tdo_layer_conv(&m.b, "there", rows, 3, &spec)
                     : k == 1 ? tdo_layer_linear(&m.b, "there", image, 3)
                              : tdo_layer_batchnorm(&m.b, "there", rows);
        y = tdo_layer_flatten(&m.b, tdo_layer_activation(&m.b, y));
        y = tdo_layer_linear(&m.b, "behind", tdo_layer_global_mean(&m.b, y), 2);
        CU_ASSERT_EQUAL(y, TDO_NONE);
        CU_ASSERT_EQUAL(tdo_graph_check(m.g), TDO_ERR_SHAPE);
        CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "there"));
        end(&m);
    }
}

static void nodes_are_found_by_the_names_they_were_given(void)
{
    struct made m;
    char name[16] = "block";
    begin(&m, TDO_NORM_RUNNING);
    tdo_node x = tdo_op_input(m.g, "x", TDO_SHAPE(2, 3)), y = tdo_op_exp(m.g, x);
    CU_ASSERT_EQUAL(tdo_layer_tapped(&m.b, "block"), TDO_NONE);
    CU_ASSERT_EQUAL(tdo_layer_tap(&m.b, name, x), x);
    snprintf(name, sizeof name, "features"); /* the name was copied */
    CU_ASSERT_EQUAL(tdo_layer_tap(&m.b, name, y), y);
    CU_ASSERT_EQUAL(tdo_layer_tapped(&m.b, "block"), x);
    CU_ASSERT_EQUAL(tdo_layer_tapped(&m.b, "features"), y);
    tdo_layer_tap(&m.b, "block", y); /* the latest of a name counts */
    CU_ASSERT_EQUAL(tdo_layer_tapped(&m.b, "block"), y);
    CU_ASSERT_EQUAL(m.b.taps, 2);
    for (int i = m.b.taps; i < TDO_MAX_TAPS; i++) {
        snprintf(name, sizeof name, "%d", i);
        CU_ASSERT_EQUAL(tdo_layer_tap(&m.b, name, x), x);
    }
    CU_ASSERT_EQUAL(tdo_layer_tap(&m.b, "one more", x), TDO_NONE);
    CU_ASSERT_EQUAL(tdo_graph_check(m.g), TDO_ERR_BUG);
    end(&m);
}

CU_TestInfo suite_tests[] = {
    {"nodes are found by the names they were given",
     nodes_are_found_by_the_names_they_were_given},
    {"dropout drops its share and scales the rest, by row, layer and step",
     dropout_drops_and_scales},
    {"same padding is TensorFlow's", same_padding_is_tensorflow_s},
    {"linear is a matrix product", linear_is_a_matrix_product},
    {"flatten puts channels first", flatten_puts_channels_first},
    {"global mean is the mean", global_mean_is_the_mean},
    {"average pooling takes the mean of windows", average_pooling_takes_the_mean_of_windows},
    {"parts of an image have their means, overlapping as PyTorch's do",
     parts_of_an_image_have_their_means},
    {"batch norm with running statistics is its formula, folded or not",
     running_batch_norm_is_its_formula},
    {"batch statistics ignore padding rows", batch_statistics_ignore_padding_rows},
    {"hooks reach into every layer", hooks_reach_into_every_layer},
    {"a layer on the wrong shape is an error that names it",
     a_layer_on_the_wrong_shape_is_named},
    CU_TEST_INFO_NULL,
};
