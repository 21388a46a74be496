/* Numbers about perturbations, layers and denoisers, against values worked out by hand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/evaluate/denoise.h"
#include "jobs/evaluate/perturbation.h"
#include "jobs/evaluate/taps.h"
#include "jobs/job.h"
#include "nn/base/memory.h"
#include "tests/nn/support.h"

const char suite_name[] = "evaluate/set";

/* ---- the line and the loss ------------------------------------------------------------------------ */

enum { N = 1000 };

static float clean[N], changed[N], denoised[N];

/* x^ such that p = slope d + offset + noise of a mean that is 0. */
static void fill(double slope, double offset, double noise)
{
    for (int i = 0; i < N; i++) {
        const double d = 0.06 * probe_number(1, i);
        const double p = slope * d + offset + noise * (i % 2 ? 1 : -1);
        clean[i] = (float)(0.5 + 0.2 * probe_number(2, i));
        changed[i] = clean[i] + (float)d;
        denoised[i] = changed[i] - (float)p;
    }
}

static struct tdo_perturbation sums_of(void)
{
    struct tdo_perturbation s = {0}, half = {0};
    tdo_perturbation_add(&s, clean, changed, denoised, N / 4);
    tdo_perturbation_add(&half, clean + N / 4, changed + N / 4, denoised + N / 4, N - N / 4);
    tdo_perturbation_join(&s, &half);
    return s;
}

static void the_line_has_the_slope_that_was_put_in(void)
{
    static const double slopes[] = {0, 0.6, 1, 1.7, -0.25};
    for (int k = 0; k < 5; k++) {
        fill(slopes[k], 0.01, 0);
        const struct tdo_perturbation s = sums_of();
        CU_ASSERT_DOUBLE_EQUAL(tdo_perturbation_slope(&s), slopes[k], 1e-5);
        CU_ASSERT_DOUBLE_EQUAL(tdo_perturbation_offset(&s), 0.01, 1e-6);
    }
    fill(0.6, 0,
         0.05); /* much noise: the line stays, to its standard error, 0.05 / 0.035 / 31 */
    const struct tdo_perturbation s = sums_of();
    CU_ASSERT_DOUBLE_EQUAL(tdo_perturbation_slope(&s), 0.6, 0.2);
}

static void the_loss_is_the_mean_distance(void)
{
    static const float x[] = {0.5F, 0.25F, 0, 1}, a[] = {0.75F, 0.25F, 0.5F, 0.75F};
    static const float b[] = {0.5F, 0.5F, 0.125F, 0.875F};
    struct tdo_perturbation s = {0};
    tdo_perturbation_add(&s, x, a, b, 4);
    CU_ASSERT_EQUAL(s.n, 4);
    CU_ASSERT_EQUAL(s.before, 1);
    CU_ASSERT_EQUAL(s.after, 0.5);
    s = (struct tdo_perturbation){0};
    tdo_perturbation_add(&s, x, a, NULL, 4);
    CU_ASSERT_TRUE(s.before == 1 && s.after == 1 && s.p == 0);
    CU_ASSERT_EQUAL(tdo_perturbation_slope(&s), 0);
    s = (struct tdo_perturbation){0};
    tdo_perturbation_add(&s, x, x, b, 4); /* nothing was changed: there is no line */
    CU_ASSERT_TRUE(isnan(tdo_perturbation_slope(&s)) && isnan(tdo_perturbation_offset(&s)));
    CU_ASSERT_EQUAL(s.before, 0);
}

static void levels_are_relative_to_the_clean_layer(void)
{
    static const float f[] = {1, -2, 0, 1}, g[] = {1, -1, 0.5F, 0.5F}, none[4];
    CU_ASSERT_EQUAL(tdo_perturbation_level(f, g, 4), 0.5);
    CU_ASSERT_EQUAL(tdo_perturbation_level(f, f, 4), 0);
    CU_ASSERT_EQUAL(tdo_perturbation_level(none, none, 4), 0);
    CU_ASSERT_TRUE(isnan(tdo_perturbation_level(none, g, 4)));
}

static void bins_lie_around_multiples_of_their_width(void)
{
    static const double at[][2] = {{0, 0}, {0.1, 0.3}, {-0.14, 0.06}, {9, -9}, {1.64, 3.26}};
    static const int want[][2] = {{0, 0}, {1, 3}, {-1, 1}, {16, -32}, {16, 32}};
    struct tdo_histogram h = {.width = 0.1};
    float zero = 0, x, y;
    uint64_t all = 0;
    for (int k = 0; k < 5; k++) {
        x = (float)at[k][0];
        y = (float)(at[k][0] - at[k][1]);
        const int bin = (want[k][1] + TDO_HISTOGRAM_P) * TDO_HISTOGRAM_COLUMNS + want[k][0] +
                        TDO_HISTOGRAM_D;
        const uint64_t before = h.count[bin];
        tdo_histogram_add(&h, &zero, &x, &y, 1);
        CU_ASSERT_EQUAL(h.count[bin], before + 1);
    }
    for (int k = 0; k < TDO_HISTOGRAM_ROWS * TDO_HISTOGRAM_COLUMNS; k++) {
        all += h.count[k];
    }
    CU_ASSERT_EQUAL(all, 5);
    CU_ASSERT_DOUBLE_EQUAL(tdo_histogram_middle(&h, 0, TDO_HISTOGRAM_P), -3.2, 1e-12);
    CU_ASSERT_EQUAL(tdo_histogram_middle(&h, TDO_HISTOGRAM_D, TDO_HISTOGRAM_D), 0);
}

/* ---- layers --------------------------------------------------------------------------------------- */

static void configure(const char *const *arguments, const struct tdo_network_data *data,
                      struct tdo_network *n)
{
    tdo_config *c = NULL;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    for (; *arguments; arguments++) {
        ASSERT_OK_FATAL(tdo_config_set(c, *arguments));
    }
    ASSERT_OK_FATAL(tdo_network_configure_any(c, data, n));
    tdo_config_free(&c);
}

/* All weights of a layer 0, then a few set: weight k of unit u. */
static void set_weights(struct tdo_network *n, const char *name, int64_t inputs, int count,
                        const double (*of)[3])
{
    const int64_t at = tdo_params_find(n->params, name);
    CU_ASSERT_FATAL(at >= 0);
    float *v = tdo_params_values(n->params, at);
    memset(v, 0, (size_t)tdo_params_at(n->params, at)->count * sizeof *v);
    for (int i = 0; i < count; i++) {
        v[(int64_t)of[i][0] * inputs + (int64_t)of[i][1]] = (float)of[i][2];
    }
}

/* On these pixels every unit that is not 0 is positive, so the network is linear:
 *     u = (x0, x0 + x1),  v = u0 - u1 / 2,  z = (4 v + 1, -v)
 *     x  = (0.5, 0.25): u = (0.5, 0.75)  v = 0.125  z = (1.5, -0.125)
 *     x* = (0.7, 0.05): u = (0.7, 0.75)  v = 0.325  z = (2.3, -0.325) */
static void levels_of_a_linear_network_are_those_by_hand(void)
{
    static const double first[][3] = {{0, 0, 1}, {1, 0, 1}, {1, 1, 1}};
    static const double second[][3] = {{0, 0, 1}, {0, 1, -0.5}};
    static const double third[][3] = {{0, 0, 4}, {1, 0, -1}}, bias[][3] = {{0, 0, 1}};
    static const double want[] = {0.2 / 1.25, 0.2 / 0.125, 1.0 / 1.625};
    static const float x[] = {0.5F, 0.25F, 0.7F, 0.05F};
    static const char *const names[] = {"fc1", "features", "logits"};
    static const uint64_t id[3] = {4, 4, 4};
    const struct tdo_network_data data = {1, 1, 2, 2};
    struct tdo_network n;
    tdo_taps *t = NULL;
    configure((const char *const[]){"model.name=mlp", NULL}, &data, &n);
    set_weights(&n, "fc1.weight", 2, 3, first);
    set_weights(&n, "fc1.bias", 1, 0, NULL);
    set_weights(&n, "fc2.weight", 500, 2, second);
    set_weights(&n, "fc2.bias", 1, 0, NULL);
    set_weights(&n, "fc3.weight", 150, 2, third);
    set_weights(&n, "fc3.bias", 1, 1, bias);
    ASSERT_OK_FATAL(tdo_taps_new(&n, 3, true, &t));
    CU_ASSERT_EQUAL_FATAL(tdo_taps_count(t), 3);
    memcpy(tdo_taps_pixels(t), x, sizeof x);
    memcpy(tdo_taps_pixels(t) + 4, x, 2 * sizeof *x);
    ASSERT_OK_FATAL(tdo_taps_run(t, id));
    for (int k = 0; k < 3; k++) {
        const int64_t size = tdo_taps_size(t, k);
        CU_ASSERT_STRING_EQUAL(tdo_taps_name(t, k), names[k]);
        CU_ASSERT_DOUBLE_EQUAL(
            tdo_perturbation_level(tdo_taps_of(t, k, 0), tdo_taps_of(t, k, 1), size), want[k],
            1e-5);
        CU_ASSERT_EQUAL(
            tdo_perturbation_level(tdo_taps_of(t, k, 0), tdo_taps_of(t, k, 2), size), 0);
    }
    CU_ASSERT_DOUBLE_EQUAL(tdo_taps_of(t, 2, 1)[0], 2.3, 1e-5);
    tdo_taps_free(&t);
    tdo_network_free(&n);
}

/* ---- denoisers ------------------------------------------------------------------------------------ */

enum { SIDE = 8, ROWS = 3, SIZE = SIDE * SIDE };

static const struct tdo_network_data images = {SIDE, SIDE, 1, 10};
/* A classifier with a denoiser in front, whose last layer is `by` times as large as it starts. */
static void put_in_front(double by, struct tdo_network *n)
{
    struct tdo_network *d = NULL;
    ASSERT_OK_FATAL(tdo_memory_new(1, &d));
    configure((const char *const[]){"model.name=mlp", NULL}, &images, n);
    configure((const char *const[]){"model.name=dunet", "model.width=0.03125", NULL}, &images,
              d);
    const int64_t at = tdo_params_find(d->params, "final.weight");
    for (int64_t k = 0; k < tdo_params_at(d->params, at)->count; k++) {
        tdo_params_values(d->params, at)[k] *= (float)by;
    }
    n->denoiser[n->denoisers++] = d;
    n->denoise = 1;
}

static double most(const float *a, const float *b, int n)
{
    double out = 0;
    for (int i = 0; i < n; i++) {
        out = fmax(out, fabs((double)a[i] - (double)b[i]));
    }
    return out;
}

/* The denoiser adds what its last layer gives: twice the weights, twice as much; none, nothing. */
static void a_denoiser_adds_what_its_last_layer_gives(void)
{
    float x[ROWS * SIZE], out[3][ROWS * SIZE], alone[SIZE];
    for (int i = 0; i < ROWS * SIZE; i++) {
        x[i] = (float)(0.5 + 0.5 * probe_number(3, i));
    }
    for (int by = 0; by < 3; by++) {
        struct tdo_network n;
        tdo_denoise *d = NULL;
        put_in_front(by, &n);
        ASSERT_OK_FATAL(tdo_denoise_new(&n, ROWS, &d));
        ASSERT_OK(tdo_denoise_run(d, x, ROWS, out[by]));
        ASSERT_OK(tdo_denoise_run(d, x + SIZE, 1, alone));
        CU_ASSERT_EQUAL(memcmp(alone, out[by] + SIZE, sizeof alone), 0);
        tdo_denoise_free(&d);
        tdo_network_free(&n);
    }
    CU_ASSERT_EQUAL(memcmp(out[0], x, sizeof x), 0);
    CU_ASSERT_TRUE(most(out[1], x, ROWS * SIZE) > 1e-3);
    for (int i = 0; i < ROWS * SIZE; i++) {
        CU_ASSERT_DOUBLE_EQUAL(out[2][i] - x[i], 2 * (out[1][i] - x[i]), 1e-5);
    }
}

/* model.denoise = 2 goes twice as far; two denoisers go the mean of both ways. */
static void the_strength_and_the_mean_of_denoisers_count(void)
{
    float x[SIZE], once[SIZE] = {0}, twice[SIZE] = {0}, mean[SIZE] = {0};
    float *const out[] = {once, twice, mean};
    struct tdo_network n, other;
    for (int i = 0; i < SIZE; i++) {
        x[i] = (float)(0.5 + 0.5 * probe_number(4, i));
    }
    put_in_front(1, &n);
    put_in_front(0, &other);
    for (int k = 0; k < 3; k++) {
        tdo_denoise *d = NULL;
        n.denoise = k == 1 ? 2 : 1;
        if (k == 2) {
            n.denoiser[n.denoisers++] = other.denoiser[--other.denoisers];
        }
        ASSERT_OK_FATAL(tdo_denoise_new(&n, 1, &d));
        ASSERT_OK(tdo_denoise_run(d, x, 1, out[k]));
        tdo_denoise_free(&d);
    }
    for (int i = 0; i < SIZE; i++) {
        CU_ASSERT_DOUBLE_EQUAL(twice[i] - x[i], 2 * (once[i] - x[i]), 1e-6);
        CU_ASSERT_DOUBLE_EQUAL(2 * (mean[i] - x[i]), once[i] - x[i], 1e-6);
    }
    CU_ASSERT_TRUE(most(once, x, SIZE) > 1e-3);
    tdo_network_free(&other);
    tdo_network_free(&n);
}

CU_TestInfo suite_tests[] = {
    {"the line has the slope that was put in", the_line_has_the_slope_that_was_put_in},
    {"the loss is the mean distance", the_loss_is_the_mean_distance},
    {"levels are relative to the clean layer", levels_are_relative_to_the_clean_layer},
    {"bins lie around multiples of their width", bins_lie_around_multiples_of_their_width},
    {"levels of a linear network are those by hand",
     levels_of_a_linear_network_are_those_by_hand},
    {"a denoiser adds what its last layer gives", a_denoiser_adds_what_its_last_layer_gives},
    {"the strength and the mean of denoisers count",
     the_strength_and_the_mean_of_denoisers_count},
    CU_TEST_INFO_NULL,
};
