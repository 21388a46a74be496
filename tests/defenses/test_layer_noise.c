/* Noise inside networks: what it is made of, seen through the layers that have it. Oracles are
 * moments, covariances by formula, and central differences. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "defenses/layer_noise.h"
#include "tests/nn/support.h"

const char suite_name[] = "defenses/layer_noise";

extern const struct tdo_defense tdo_defense_rse, tdo_defense_pni, tdo_defense_cni;

enum { DRAWS = 400, SIDE = 3, CHANNELS = 2, PIXELS = SIDE * SIDE * CHANNELS };

/* A row in use: its defaults, then `values` of its first options. */
struct made {
    struct tdo_defense_use use;
    struct tdo_hook hook;
    tdo_graph *g;
    tdo_params *params;
    struct tdo_build b;
    tdo_node x;
    int64_t rows;
};

static double default_of(const struct tdo_option *o)
{
    if (o->type == TDO_OPTION_CHOICE || strcmp(o->value, "false") == 0) {
        return 0; /* the first choice is the default in these rows */
    }
    return atof(o->value);
}

static void begin(const struct tdo_defense *row, int64_t rows, int count, const double *value,
                  struct made *m)
{
    memset(m, 0, sizeof *m);
    m->use = (struct tdo_defense_use){.row = row, .seed = 5, .index = 1};
    for (int i = 0; row->options[i].key; i++) {
        m->use.value[i] = i < count ? value[i] : default_of(&row->options[i]);
    }
    m->hook.self = &m->use;
    row->hook(&m->hook);
    m->rows = rows;
    ASSERT_OK_FATAL(tdo_graph_new(&m->g));
    ASSERT_OK_FATAL(tdo_params_new(&m->params));
    m->b = (struct tdo_build){.g = m->g,
                              .params = m->params,
                              .norm = TDO_NORM_RUNNING,
                              .noise = true,
                              .row_weights = TDO_NONE,
                              .auxiliary = TDO_NONE,
                              .weight_init = TDO_INIT_FAN_IN_UNIFORM,
                              .bias_init = TDO_INIT_FAN_IN_UNIFORM,
                              .weight_keys = TDO_NONE,
                              .hook = &m->hook,
                              .hooks = 1};
    m->b.keys = tdo_op_key(m->g, "keys", rows);
    m->x = tdo_op_input(m->g, "x", TDO_SHAPE(rows, SIDE, SIDE, CHANNELS));
}

static void end(struct made *m)
{
    tdo_graph_free(&m->g);
    tdo_params_free(&m->params);
}

/* Draws 0, 1, ... of one image in each row. */
static void fill(struct made *m, tdo_plan *p, enum arithmetic how)
{
    struct tdo_key *keys = tdo_plan_input(p, m->b.keys);
    double x[PIXELS];
    for (int i = 0; i < PIXELS; i++) {
        x[i] = probe_number(1, i);
    }
    for (int64_t n = 0; n < m->rows; n++) {
        if (keys) {
            keys[n] = (struct tdo_key){.sample = 3, .draw = (uint32_t)n};
        }
        for (int i = 0; i < PIXELS; i++) {
            void *to = tdo_plan_input(p, m->x);
            if (to && how == F64) {
                ((double *)to)[n * PIXELS + i] = x[i];
            } else if (to) {
                ((float *)to)[n * PIXELS + i] = (float)x[i];
            }
        }
    }
}

static void values(struct made *m, tdo_node node, enum arithmetic how, int64_t n, double *to)
{
    tdo_plan *p = probe_plan(m->g, 1, &node, how, m->params);
    fill(m, p, how);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    probe_get(p, 0, how, n, to);
    tdo_plan_free(&p);
}

static double mean(const double *v, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += v[i];
    }
    return sum / (double)n;
}

/* Mean of products of two noises. */
static double product(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum / (double)n;
}

/* ---- rse --------------------------------------------------------------------------------------- */

/* What the hook adds in front of convolution `conv`, for all draws. */
static void rse_noise(const double *value, int count, int conv, double *noise)
{
    struct made m;
    begin(&tdo_defense_rse, DRAWS, count, value, &m);
    tdo_node y = m.hook.before_conv(&m.b, &m.use, m.x, conv);
    values(&m, y, F64, (int64_t)DRAWS * PIXELS, noise);
    for (int i = 0; i < DRAWS * PIXELS; i++) {
        noise[i] -= probe_number(1, i % PIXELS);
    }
    end(&m);
}

static void rse_has_sigma_init_first_and_sigma_inner_behind(void)
{
    static double noise[2][3][DRAWS * PIXELS];
    const int64_t all = (int64_t)DRAWS * PIXELS;
    for (int init = 0; init < 2; init++) {
        const double value[] = {0.2, 0.1, 0, 0.5, init};
        for (int conv = 0; conv < 3; conv++) {
            double *v = noise[init][conv];
            const double sigma = conv == init ? 0.2 : 0.1;
            rse_noise(value, 5, conv, v);
            CU_ASSERT_TRUE(fabs(mean(v, all)) <= 5 * sigma / sqrt((double)all));
            const double ratio = product(v, v, all) / (sigma * sigma);
            CU_ASSERT_TRUE(fabs(ratio - 1) <= 5 * sqrt(2.0 / (double)all));
        }
        for (int conv = 1; conv < 3; conv++) {
            const double covariance = product(noise[init][0], noise[init][conv], all);
            CU_ASSERT_TRUE(fabs(covariance) <= 5 * 0.02 / sqrt((double)all));
        }
    }
    /* Rows are other draws: neighbours have nothing in common. */
    const double between = product(noise[0][0], noise[0][0] + PIXELS, all - PIXELS);
    CU_ASSERT_TRUE(fabs(between) <= 5 * 0.04 / sqrt((double)all));
}

static void bernoulli_gaussian_noise_is_often_none(void)
{
    static double v[DRAWS * PIXELS];
    const int64_t all = (int64_t)DRAWS * PIXELS;
    const double value[] = {0.2, 0.1, 1, 0.3};
    int64_t some = 0;
    rse_noise(value, 4, 0, v);
    for (int64_t i = 0; i < all; i++) {
        some += fabs(v[i]) > 1e-12;
    }
    const double share = (double)some / (double)all;
    CU_ASSERT_TRUE(fabs(share - 0.3) <= 5 * sqrt(0.21 / (double)all));
    const double ratio = product(v, v, all) / (0.3 * 0.04); /* kurtosis 3 / p */
    CU_ASSERT_TRUE(fabs(ratio - 1) <= 5 * sqrt((3 / 0.3 - 1) / (double)all));
}

static void without_sigma_or_noise_there_is_no_node(void)
{
    const double none[] = {0, 0};
    struct made m;
    begin(&tdo_defense_rse, 2, 2, none, &m);
    CU_ASSERT_EQUAL(m.hook.before_conv(&m.b, &m.use, m.x, 0), m.x);
    end(&m);
    begin(&tdo_defense_rse, 2, 0, NULL, &m);
    m.b.noise = false;
    CU_ASSERT_EQUAL(m.hook.before_conv(&m.b, &m.use, m.x, 0), m.x);
    end(&m);
}

/* ---- weights ------------------------------------------------------------------------------------ */

enum { K = 3, WEIGHTS = K * CHANNELS };

/* The weights of each draw [DRAWS,WEIGHTS]; the plain ones are in w. */
static void noisy_weights(const struct tdo_defense *row, int count, const double *value,
                          float *w, double *noisy)
{
    struct made m;
    tdo_node draw[DRAWS];
    begin(row, DRAWS, count, value, &m);
    tdo_node weight = TDO_NONE;
    const struct tdo_param entry = {.name = "conv.weight",
                                    .shape = TDO_SHAPE(K, CHANNELS, 1, 1)};
    int64_t index = 0;
    ASSERT_OK_FATAL(tdo_params_add(m.params, &entry, &index));
    weight = tdo_op_param(m.g, index, entry.name, entry.shape);
    m.b.layer = "conv";
    for (int n = 0; n < DRAWS; n++) {
        m.b.part = true;
        m.b.first_key = n;
        draw[n] = m.hook.weight(&m.b, &m.use, weight, 0);
    }
    ASSERT_OK_FATAL(tdo_params_init(m.params, 1));
    float *v = tdo_params_values(m.params, index);
    for (int i = 0; i < WEIGHTS; i++) {
        w[i] = v[i] = (float)probe_number(9, i);
    }
    for (int n = 0; n < DRAWS; n++) {
        values(&m, draw[n], F64, WEIGHTS, noisy + (ptrdiff_t)n * WEIGHTS);
    }
    end(&m);
}

static double deviation(const float *w, int n)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        sum += (double)w[i] / n;
    }
    for (int i = 0; i < n; i++) {
        squares += ((double)w[i] - sum) * ((double)w[i] - sum);
    }
    return sqrt(squares / (n - 1));
}

/* Covariance of noise i and j over the draws. */
static double covariance(const float *w, const double *noisy, int i, int j)
{
    double sum = 0;
    for (int n = 0; n < DRAWS; n++) {
        sum +=
            (noisy[n * WEIGHTS + i] - (double)w[i]) * (noisy[n * WEIGHTS + j] - (double)w[j]);
    }
    return sum / DRAWS;
}

/* Within 5 standard errors of the covariance of Gaussians with these variances. */
static bool near(double got, double want, double a, double b)
{
    return fabs(got - want) <= 5 * sqrt((a * b + want * want) / DRAWS);
}

static void weight_noise_has_its_covariance(void)
{
    static double noisy[DRAWS * WEIGHTS];
    float w[WEIGHTS];
    for (int grain = 0; grain < 3; grain++) {
        const double value[] = {0, grain, 0.25};
        noisy_weights(&tdo_defense_pni, 3, value, w, noisy);
        const double v = pow(0.25 * deviation(w, WEIGHTS), 2);
        for (int i = 0; i < WEIGHTS; i++) {
            for (int j = 0; j <= i; j++) {
                CU_ASSERT_TRUE(near(covariance(w, noisy, i, j), i == j ? v : 0, v, v));
            }
        }
    }
    for (int diagonal = 0; diagonal < 2; diagonal++) {
        const double value[] = {0, 3, 0.0625, 0.1, diagonal};
        noisy_weights(&tdo_defense_cni, 5, value, w, noisy);
        const double std = deviation(w, WEIGHTS), low = 3 * 0.1 * 0.1;
        const double v = 0.0625 * (diagonal ? std * std : std) + low;
        for (int i = 0; i < WEIGHTS; i++) {
            for (int j = 0; j <= i; j++) {
                CU_ASSERT_TRUE(near(covariance(w, noisy, i, j), i == j ? v : low, v, v));
            }
        }
    }
}

/* ---- a layer ------------------------------------------------------------------------------------ */

/* The sum of y^3 over one convolution, or linear layer, with this row. */
static tdo_node loss_of(struct made *m, bool linear)
{
    const struct tdo_layer_conv three = tdo_layer_square(3, 1, 1, true);
    tdo_node y = linear ? tdo_layer_linear(&m->b, "fc", tdo_layer_flatten(&m->b, m->x), 4)
                        : tdo_layer_conv(&m->b, "conv", m->x, K, &three);
    return tdo_op_total(m->g, tdo_op_mul(m->g, tdo_op_mul(m->g, y, y), y));
}

static double loss_at(struct made *m, tdo_node loss)
{
    double v = 0;
    values(m, loss, F64, 1, &v);
    return v;
}

/* d loss / d (element k of parameter `index`) against its central difference. */
static void compare_gradient(struct made *m, tdo_node loss, int64_t index)
{
    const struct tdo_param *e = tdo_params_at(m->params, index);
    static double gradient[4096];
    tdo_node wrt = tdo_op_param(m->g, index, e->name, e->shape), g = TDO_NONE;
    double most = 0;
    tdo_grad(m->g, loss, TDO_NONE, 1, &wrt, &g);
    values(m, g, F64, e->count, gradient);
    float *v = tdo_params_values(m->params, index);
    for (int64_t k = 0; k < e->count; k += e->count / 7 + 1) {
        const float was = v[k], h = 1.0F / 1024;
        double side[2];
        for (int i = 0; i < 2; i++) {
            v[k] = was + (i ? h : -h);
            side[i] = loss_at(m, loss);
        }
        const double step = (double)(was + h) - (double)(was - h);
        v[k] = was;
        const double slope = (side[1] - side[0]) / step;
        CU_ASSERT_TRUE(fabs(gradient[k] - slope) <= 2e-3 * (0.05 + fabs(slope)));
        most = fmax(most, fabs(slope));
    }
    CU_ASSERT_TRUE(most > 1e-3);
}

/* The trained parameters of noise have the derivative of what was computed; and are spared by weight
 * decay. */
static void compare_parameters(const struct tdo_defense *row, int count, const double *value,
                               bool linear, int parameters, bool decays)
{
    struct made m;
    int found = 0;
    begin(row, 3, count, value, &m);
    m.b.shared = true;
    tdo_node loss = loss_of(&m, linear);
    ASSERT_OK_FATAL(tdo_graph_check(m.g));
    ASSERT_OK_FATAL(tdo_params_init(m.params, 1));
    for (int64_t i = 0; i < tdo_params_entries(m.params); i++) {
        const struct tdo_param *e = tdo_params_at(m.params, i);
        if (strstr(e->name, ".alpha")) {
            CU_ASSERT_EQUAL(e->no_decay, !decays);
            CU_ASSERT_EQUAL(e->kind, TDO_PARAM_WEIGHT);
            compare_gradient(&m, loss, i);
            found++;
        } else {
            CU_ASSERT_FALSE(e->no_decay);
        }
    }
    CU_ASSERT_EQUAL(found, parameters);
    end(&m);
}

static void strengths_have_the_gradient_of_finite_differences(void)
{
    for (int on = 0; on < 4; on++) {
        for (int grain = 0; grain < 3; grain++) {
            const double value[] = {on, grain, 0.25};
            compare_parameters(&tdo_defense_pni, 3, value, false, 1, false);
            compare_parameters(&tdo_defense_pni, 3, value, true, 1, false);
        }
    }
    for (int on = 0; on < 3; on++) {
        const double value[] = {on, 2, 0.25, 0.1, on == 1, 0, on == 2};
        compare_parameters(&tdo_defense_cni, 7, value, false, 2, on == 2);
        compare_parameters(&tdo_defense_cni, 7, value, true, 1, false);
    }
}

/* alpha = 0 (and F = 0) leaves the values of a layer without the row, in every bit. */
static void without_strength_a_layer_is_the_plain_one(void)
{
    const struct {
        const struct tdo_defense *row;
        int count;
        double value[6];
    } cases[] = {
        {&tdo_defense_pni, 3, {0, 0, 0}},          {&tdo_defense_pni, 3, {0, 2, 0}},
        {&tdo_defense_pni, 3, {1, 0, 0}},          {&tdo_defense_pni, 3, {2, 1, 0}},
        {&tdo_defense_pni, 3, {3, 2, 0}},          {&tdo_defense_cni, 6, {0, 5, 0, 0, 0, 1}},
        {&tdo_defense_cni, 6, {1, 5, 0, 0, 0, 1}}, {&tdo_defense_cni, 6, {2, 5, 0, 0, 0, 1}}};
    enum { OUT = 2 * SIDE * SIDE * K };
    const struct tdo_layer_conv three = tdo_layer_square(3, 1, 1, true);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (enum arithmetic how = F64; how < ARITHMETICS; how++) {
            double got[2][OUT];
            for (int plain = 0; plain < 2; plain++) {
                struct made m;
                begin(cases[c].row, 2, cases[c].count, cases[c].value, &m);
                m.b.hooks = !plain;
                m.b.shared = true;
                m.b.weight_init = TDO_INIT_FAN_IN_UNIFORM;
                tdo_node y = tdo_layer_conv(&m.b, "conv", m.x, K, &three);
                ASSERT_OK_FATAL(tdo_params_init(m.params, 4));
                values(&m, y, how, OUT, got[plain]);
                end(&m);
            }
            CU_ASSERT_TRUE(fabs(got[0][0]) > 1e-3);
            for (int i = 0; i < OUT; i++) {
                CU_ASSERT_EQUAL(got[0][i], got[1][i]);
            }
        }
    }
}

/* In training one draw serves all rows of a shard, keyed by keys of its own. */
static void shared_weights_are_keyed_by_the_shard(void)
{
    struct made m;
    double got[3][2 * SIDE * SIDE * K];
    const int64_t row = SIDE * SIDE * K;
    begin(&tdo_defense_pni, 2, 0, NULL, &m);
    const struct tdo_layer_conv three = tdo_layer_square(3, 1, 1, true);
    m.b.shared = true;
    m.b.weight_init = TDO_INIT_FAN_IN_UNIFORM;
    m.b.weight_keys = tdo_op_key(m.g, "weight_keys", 1);
    tdo_node y = tdo_layer_conv(&m.b, "conv", m.x, K, &three);
    ASSERT_OK_FATAL(tdo_params_init(m.params, 4));
    tdo_plan *p = probe_plan(m.g, 1, &y, FAST, m.params);
    fill(&m, p, FAST);
    struct tdo_key *key = tdo_plan_input(p, m.b.weight_keys);
    for (int i = 0; i < 3; i++) {
        *key = (struct tdo_key){.sample = (uint64_t)i, .draw = (uint32_t)(i == 1)};
        ASSERT_OK_FATAL(tdo_plan_run(p));
        probe_get(p, 0, FAST, 2 * row, got[i]);
        CU_ASSERT_EQUAL(memcmp(got[i], got[i] + row, (size_t)row * sizeof *got[i]), 0);
    }
    CU_ASSERT_NOT_EQUAL(memcmp(got[0], got[1], sizeof got[0]), 0);
    CU_ASSERT_EQUAL(memcmp(got[0], got[2], sizeof got[0]), 0); /* the sample is the batch's */
    tdo_plan_free(&p);
    end(&m);
}

CU_TestInfo suite_tests[] = {
    {"rse has sigma_init first and sigma_inner behind",
     rse_has_sigma_init_first_and_sigma_inner_behind},
    {"Bernoulli-Gaussian noise is often none", bernoulli_gaussian_noise_is_often_none},
    {"without sigma or noise there is no node", without_sigma_or_noise_there_is_no_node},
    {"weight noise has its covariance", weight_noise_has_its_covariance},
    {"strengths have the gradient of finite differences",
     strengths_have_the_gradient_of_finite_differences},
    {"without strength a layer is the plain one", without_strength_a_layer_is_the_plain_one},
    {"shared weights are keyed by the shard", shared_weights_are_keyed_by_the_shard},
    CU_TEST_INFO_NULL,
};
