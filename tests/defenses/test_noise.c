/* Noise on pixels: the three laws by their moments and bounds, the draw without a graph against the
 * graph's, and the row gaussian, fresh and in copies. Of `count` draws with deviation s the mean is
 * within 5 s / sqrt(count) of 0; their variance, within 5 sqrt(2 / count) of s^2 in ratio, as no law
 * here has a larger fourth moment than the Gaussian. */
#include <math.h>
#include <string.h>

#include "defenses/defense.h"
#include "nn/base/memory.h"
#include "tests/nn/support.h"

const char suite_name[] = "noise";

enum {
    ROWS = 40,
    SIZE = 700,
    COUNT = ROWS * SIZE
}; /* SIZE: more than one run, and no multiple */

static const double sigma = 0.25;
static tdo_rounded *table;

static struct tdo_noise noise_of(enum tdo_noise_law law)
{
    return (struct tdo_noise){
        .law = law,
        .sigma = sigma,
        .stream = {.seed = 7, .purpose = TDO_PURPOSE_TRAIN_NOISE, .layer = 2},
        .table = table};
}

static struct tdo_key key_of(int row)
{
    return (struct tdo_key){.sample = (uint64_t)row + 100, .draw = 3};
}

/* Row r of images: grey levels, or the same as pixels. */
static float level(int row, int i)
{
    return (float)((row * 31 + i * 7) % 256);
}

static void draw_rows(enum tdo_noise_law law, bool u8, float *x)
{
    const struct tdo_noise noise = noise_of(law);
    for (int r = 0; r < ROWS; r++) {
        const struct tdo_key key = key_of(r);
        for (int i = 0; i < SIZE; i++) {
            x[r * SIZE + i] = u8 ? level(r, i) : level(r, i) / 255;
        }
        ASSERT_OK(tdo_noise_draw(&noise, &key, u8, SIZE, x + r * SIZE));
    }
}

static void check_moments(const float *x, double *least, double *most)
{
    double sum = 0, squares = 0;
    *least = *most = 0;
    for (int i = 0; i < COUNT; i++) {
        const double v = ((double)x[i] - (double)level(i / SIZE, i % SIZE)) / 255;
        sum += v;
        squares += v * v;
        *least = fmin(*least, v);
        *most = fmax(*most, v);
    }
    CU_ASSERT_TRUE(fabs(sum / COUNT) <= 5 * sigma / sqrt(COUNT));
    CU_ASSERT_TRUE(fabs(squares / COUNT / (sigma * sigma) - 1) <= 5 * sqrt(2.0 / COUNT));
}

static void each_law_has_mean_and_deviation(void)
{
    static float x[COUNT];
    double least, most;
    ASSERT_OK_FATAL(tdo_rounded_new(sigma, &table));
    draw_rows(TDO_NOISE_REAL, true, x);
    check_moments(x, &least, &most);
    CU_ASSERT_TRUE(most > 3 * sigma && least < -3 * sigma);
    draw_rows(TDO_NOISE_ROUNDED, true, x);
    check_moments(x, &least, &most);
    for (int i = 0; i < COUNT; i++) {
        CU_ASSERT_TRUE(x[i] == rintf(x[i]));
    }
    tdo_rounded_free(&table);
}

static void uniform_noise_fills_its_interval_evenly(void)
{
    enum { BINS = 10 };
    static float x[COUNT];
    const double half = sqrt(3) * sigma;
    double least, most;
    int bin[BINS] = {0};
    draw_rows(TDO_NOISE_UNIFORM, true, x);
    check_moments(x, &least, &most);
    CU_ASSERT_TRUE(least >= -half * (1 + 1e-6) && least <= -0.999 * half);
    CU_ASSERT_TRUE(most <= half * (1 + 1e-6) && most >= 0.999 * half);
    for (int i = 0; i < COUNT; i++) {
        const double v = ((double)x[i] - (double)level(i / SIZE, i % SIZE)) / 255;
        const int k = (int)((v / half + 1) / 2 * BINS);
        bin[k < 0 ? 0 : k >= BINS ? BINS - 1 : k]++;
    }
    for (int k = 0; k < BINS; k++) { /* five deviations of a binomial */
        CU_ASSERT_TRUE(fabs(bin[k] - (double)COUNT / BINS) <= 5 * sqrt(COUNT * 0.1 * 0.9));
    }
}

/* Pixels behind a graph over all rows. */
static void run_graph(tdo_node (*make)(tdo_graph *g, tdo_node raw, bool u8, tdo_node keys),
                      bool u8, double *out)
{
    static double raw[COUNT];
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node input = tdo_op_input(g, "raw", TDO_SHAPE(ROWS, 1, 1, SIZE));
    tdo_node keys = tdo_op_key(g, "keys", ROWS);
    tdo_node pixels = make(g, input, u8, keys);
    ASSERT_OK_FATAL(tdo_graph_check(g));
    tdo_plan *p = probe_plan(g, 1, &pixels, F64, NULL);
    for (int i = 0; i < COUNT; i++) {
        raw[i] = (double)(u8 ? level(i / SIZE, i % SIZE) : level(i / SIZE, i % SIZE) / 255);
    }
    probe_set(p, input, F64, COUNT, raw);
    struct tdo_key *key = tdo_plan_input(p, keys);
    for (int r = 0; key && r < ROWS; r++) {
        key[r] = key_of(r);
    }
    ASSERT_OK_FATAL(tdo_plan_run(p));
    probe_get(p, 0, F64, COUNT, out);
    tdo_plan_free(&p);
    tdo_graph_free(&g);
}

static enum tdo_noise_law law_of_graph;

static tdo_node add_noise(tdo_graph *g, tdo_node raw, bool u8, tdo_node keys)
{
    const struct tdo_noise noise = noise_of(law_of_graph);
    return tdo_noise_add(g, &noise, raw, u8, keys);
}

static void a_draw_is_that_of_the_graph(void)
{
    static float x[COUNT];
    static double pixels[COUNT];
    ASSERT_OK_FATAL(tdo_rounded_new(sigma, &table));
    for (int law = TDO_NOISE_ROUNDED; law <= TDO_NOISE_UNIFORM; law++) {
        for (int u8 = law == TDO_NOISE_ROUNDED; u8 < 2; u8++) {
            double worst = 0;
            law_of_graph = (enum tdo_noise_law)law;
            run_graph(add_noise, u8, pixels);
            draw_rows(law_of_graph, u8, x);
            for (int i = 0; i < COUNT; i++) {
                worst = fmax(worst, fabs((double)x[i] / (u8 ? 255 : 1) - pixels[i]));
            }
            CU_ASSERT_TRUE(worst <= 5e-7);
        }
    }
    tdo_rounded_free(&table);
}

static void rounded_noise_wants_8_bits(void)
{
    const struct tdo_noise noise = noise_of(TDO_NOISE_ROUNDED);
    const struct tdo_key key = key_of(0);
    float x[4] = {0};
    CU_ASSERT_EQUAL(tdo_noise_draw(&noise, &key, false, 4, x), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "choose noise = real"));
}

static void certificates_are_about_gaussian_noise(void)
{
    CU_ASSERT_TRUE(tdo_noise_certifies(TDO_NOISE_ROUNDED));
    CU_ASSERT_TRUE(tdo_noise_certifies(TDO_NOISE_REAL));
    CU_ASSERT_FALSE(tdo_noise_certifies(TDO_NOISE_UNIFORM));
}

/* ---- the row ---------------------------------------------------------------------------------- */

extern const struct tdo_defense tdo_defense_gaussian;

static struct tdo_defense_use use;

static void set_use(const char *key, double value)
{
    for (int i = 0; use.row->options[i].key; i++) {
        if (strcmp(use.row->options[i].key, key) == 0) {
            use.value[i] = value;
        }
    }
}

static tdo_node augment(tdo_graph *g, tdo_node raw, bool u8, tdo_node keys)
{
    return use.row->augment(&use, g, raw, u8, keys);
}

static void fresh_noise_may_be_clipped(void)
{
    static double free_of_it[COUNT], clipped[COUNT];
    int outside = 0;
    use = (struct tdo_defense_use){.row = &tdo_defense_gaussian, .seed = 3};
    set_use("sigma", sigma);
    set_use("noise", TDO_NOISE_UNIFORM);
    run_graph(augment, true, free_of_it);
    set_use("clip", 1);
    run_graph(augment, true, clipped);
    for (int i = 0; i < COUNT; i++) {
        const double v = free_of_it[i];
        outside += v < 0 || v > 1;
        CU_ASSERT_TRUE(clipped[i] == (v < 0 ? 0 : v > 1 ? 1 : v));
    }
    CU_ASSERT_TRUE(outside > COUNT / 20);
}

static void with_copies_there_is_no_fresh_noise(void)
{
    static double pixels[COUNT];
    use = (struct tdo_defense_use){.row = &tdo_defense_gaussian, .seed = 3};
    set_use("sigma", sigma);
    set_use("noise", TDO_NOISE_REAL);
    set_use("copies", 2);
    run_graph(augment, true, pixels);
    for (int i = 0; i < COUNT; i++) {
        CU_ASSERT_TRUE(fabs(pixels[i] * 255 - (double)level(i / SIZE, i % SIZE)) <= 1e-4);
    }
    CU_ASSERT_EQUAL(use.row->copies(&use), 2);
}

/* Of an image of two channels: the same draw, three times and half as large, with a graph and
 * without. */
static void noise_in_units_of_deviations_is_scaled_by_channel(void)
{
    enum { N = 24 };
    struct tdo_noise noise = noise_of(TDO_NOISE_REAL);
    struct tdo_key key = key_of(0);
    float plain[N], direct[N];
    double both[2 * N];
    for (int i = 0; i < N; i++) {
        plain[i] = direct[i] = 0.5F;
    }
    ASSERT_OK(tdo_noise_draw(&noise, &key, false, N, plain));
    noise.scales = 2;
    noise.scale[0] = 3;
    noise.scale[1] = 0.5;
    ASSERT_OK(tdo_noise_draw(&noise, &key, false, N, direct));
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node raw = tdo_op_input(g, "raw", TDO_SHAPE(2, 3, 4, 2)), keys = tdo_op_key(g, "k", 2);
    tdo_node y = tdo_noise_add(g, &noise, raw, false, keys);
    tdo_plan *p = probe_plan(g, 1, &y, FAST, NULL);
    for (int i = 0; i < 2 * N; i++) {
        both[i] = 0.5;
    }
    probe_set(p, raw, FAST, 2 * N, both);
    struct tdo_key *to = tdo_plan_input(p, keys);
    to[0] = key;
    to[1] = key_of(1);
    ASSERT_OK_FATAL(tdo_plan_run(p));
    probe_get(p, 0, FAST, 2 * N, both);
    for (int i = 0; i < N; i++) {
        const double want = 0.5 + noise.scale[i % 2] * ((double)plain[i] - 0.5);
        CU_ASSERT_DOUBLE_EQUAL(both[i], want, 1e-6);
        CU_ASSERT_DOUBLE_EQUAL((double)direct[i], want, 1e-6);
    }
    CU_ASSERT_NOT_EQUAL(both[0], both[N]);
    tdo_plan_free(&p);
    tdo_graph_free(&g);
}

CU_TestInfo suite_tests[] = {
    {"each law has mean 0 and the deviation asked for", each_law_has_mean_and_deviation},
    {"uniform noise fills its interval evenly", uniform_noise_fills_its_interval_evenly},
    {"a draw without a graph is that of the graph", a_draw_is_that_of_the_graph},
    {"rounded noise wants 8-bit values", rounded_noise_wants_8_bits},
    {"certificates are about Gaussian noise", certificates_are_about_gaussian_noise},
    {"fresh noise may be clipped to 0..1", fresh_noise_may_be_clipped},
    {"with copies there is no fresh noise", with_copies_there_is_no_fresh_noise},
    {"noise in units of deviations is scaled by channel",
     noise_in_units_of_deviations_is_scaled_by_channel},
    CU_TEST_INFO_NULL,
};
