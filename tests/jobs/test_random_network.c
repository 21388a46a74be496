/* Whole networks with random weights and noise layers: a row is a function of its key alone, draws
 * differ, and a network whose noise has no strength is the plain one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "defenses/layer_noise.h"
#include "jobs/inference.h"
#include "jobs/job.h"
#include "tests/nn/support.h"

const char suite_name[] = "random_network";

enum { SIDE = 16, CHANNELS = 3, PIXELS = SIDE * SIDE * CHANNELS, K = 5, MOST = 20 };
#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static tdo_config *config(const char *model, const char *const *argument)
{
    tdo_config *c = NULL;
    char name[64];
    snprintf(name, sizeof name, "model.name=%s", model);
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    ASSERT_OK_FATAL(tdo_config_set(c, name));
    if (strcmp(model, "resnet20") == 0) {
        ASSERT_OK_FATAL(tdo_config_set(c, "model.width=0.25"));
    }
    for (int i = 0; argument && argument[i]; i++) {
        ASSERT_OK_FATAL(tdo_config_set(c, argument[i]));
    }
    return c;
}

static void make(const char *model, const char *const *argument, struct tdo_network *n)
{
    const struct tdo_network_data data = {SIDE, SIDE, CHANNELS, K};
    tdo_config *c = config(model, argument);
    ASSERT_OK_FATAL(tdo_network_configure(c, &data, n));
    tdo_config_free(&c);
}

/* Which image and draw stand in a row. */
static struct tdo_key key_of(int row)
{
    return (struct tdo_key){.sample = (uint64_t)(7 + row / 5), .draw = (uint32_t)(row % 5)};
}

/* Logits of rows `row[0..n)` in batches of `batch`. Rows of an image have the same pixels. */
static void logits_of(struct tdo_network *n, int64_t batch, int count, const int *row,
                      float (*to)[K])
{
    struct tdo_inference f;
    ASSERT_OK_FATAL(tdo_inference_new(n, batch, false, NULL, &f));
    float *raw = tdo_plan_input(f.plan, f.raw);
    struct tdo_key *keys = tdo_plan_input(f.plan, f.keys);
    memset(raw, 0, (size_t)(batch * PIXELS) * sizeof *raw);
    for (int first = 0; first < count; first += (int)batch) {
        const int rows = count - first < batch ? count - first : (int)batch;
        for (int i = 0; i < rows; i++) {
            const struct tdo_key key = key_of(row[first + i]);
            for (int p = 0; p < PIXELS; p++) {
                raw[i * PIXELS + p] =
                    (float)(0.5 + 0.5 * probe_number((uint32_t)key.sample, p));
            }
            if (keys) {
                keys[i] = key;
            }
        }
        ASSERT_OK_FATAL(tdo_plan_run(f.plan));
        memcpy(to + first, tdo_plan_output(f.plan, 0), (size_t)rows * sizeof *to);
    }
    tdo_inference_free(&f);
}

/* ---- rows ------------------------------------------------------------------------------------- */

static const char *const *const kinds[] = {
    ARGUMENTS("defense=rse"),
    ARGUMENTS("defense=rse", "defense.0.law=bernoulli_gaussian"),
    ARGUMENTS("defense=pni"),
    ARGUMENTS("defense=pni", "defense.0.on=inputs", "defense.0.grain=channel"),
    ARGUMENTS("defense=pni", "defense.0.on=outputs", "defense.0.grain=element"),
    ARGUMENTS("defense=pni", "defense.0.on=image"),
    ARGUMENTS("defense=cni", "defense.0.a=0.005", "defense.0.f=0.001"), /* else ReLUs die */
    ARGUMENTS("defense=cni", "defense.0.on=inputs", "defense.0.linear=plain"),
    ARGUMENTS("defense=cni", "defense.0.on=outputs"),
    ARGUMENTS("defense=rse,pni,cni", "defense.2.a=0.005", "defense.2.f=0.001"),
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void a_row_is_a_function_of_its_key(void)
{
    int row[MOST], turned[MOST];
    for (int i = 0; i < MOST; i++) {
        row[i] = i;
        turned[i] = MOST - 1 - i;
    }
    for (int k = 0; k < KINDS; k++) {
        struct tdo_network n;
        float want[MOST][K], got[MOST][K];
        make("resnet20", kinds[k], &n);
        logits_of(&n, 1, MOST, row, want);
        static const int64_t batches[] = {3, 17, 20};
        for (int b = 0; b < 3; b++) {
            logits_of(&n, batches[b], MOST, row, got);
            CU_ASSERT_EQUAL(memcmp(got, want, sizeof got), 0);
            logits_of(&n, batches[b], MOST, turned, got);
            for (int i = 0; i < MOST; i++) {
                CU_ASSERT_EQUAL(memcmp(got[i], want[turned[i]], sizeof *got), 0);
            }
        }
        for (int i = 0; i < MOST; i++) {
            for (int j = 0; j < i; j++) {
                CU_ASSERT_NOT_EQUAL(memcmp(want[i], want[j], sizeof *want), 0);
            }
        }
        tdo_network_free(&n);
    }
}

/* noise.share = batch: draws are keyed without the image, so one serves all of them. */
static void one_draw_can_serve_all_images(void)
{
    struct tdo_network n;
    const int first[4] = {0, 5, 10, 15}; /* draw 0 of four images */
    float own[4][K], shared[2][4][K];
    make("resnet20", ARGUMENTS("defense=pni"), &n);
    logits_of(&n, 4, 4, first, own);
    n.shared = true;
    logits_of(&n, 4, 4, first, shared[0]);
    logits_of(&n, 3, 4, first, shared[1]);
    CU_ASSERT_EQUAL(memcmp(shared[0], shared[1], sizeof *shared), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(shared[0], own, sizeof own), 0);
    tdo_network_free(&n);
}

/* ---- values --------------------------------------------------------------------------------------- */

/* Against a plain network whose weights were moved by hand, with numbers drawn for this key. */
static void weights_are_moved_by_the_key_s_noise(void)
{
    struct tdo_network n, plain;
    const int row = 8;
    const struct tdo_key key = key_of(row);
    float noisy[1][K], want[1][K];
    static float z[1 << 20];
    make("lenet", ARGUMENTS("defense=pni", "run.seed=3"), &n);
    make("lenet", ARGUMENTS("run.seed=3"), &plain);
    const char *const layer[] = {"conv1", "conv2", "fc1", "fc2"};
    for (int k = 0; k < 4; k++) {
        char name[32];
        snprintf(name, sizeof name, "%s.weight", layer[k]);
        const int64_t at = tdo_params_find(plain.params, name);
        const int64_t count = tdo_params_at(plain.params, at)->count;
        const struct tdo_stream stream =
            tdo_layer_noise_stream(&n.defenses.use[0], TDO_LAYER_NOISE_WEIGHT, k);
        CU_ASSERT_TRUE_FATAL(count <= (int64_t)(sizeof z / sizeof *z));
        tdo_rng_normals(&stream, &key, 0, count, z);
        float *w = tdo_params_values(plain.params, at);
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < count; i++) {
            sum += (double)w[i];
            squares += (double)w[i] * (double)w[i];
        }
        const double c = (double)count;
        const double std = sqrt((squares - sum * sum / c) / (c - 1));
        for (int64_t i = 0; i < count; i++) {
            w[i] = (float)((double)w[i] + 0.25 * std * (double)z[i]);
        }
    }
    logits_of(&n, 1, 1, &row, noisy);
    logits_of(&plain, 1, 1, &row, want);
    double gap = 0, size = 0;
    for (int i = 0; i < K; i++) {
        gap = fmax(gap, fabs((double)noisy[0][i] - (double)want[0][i]));
        size = fmax(size, fabs((double)want[0][i]));
    }
    CU_ASSERT_TRUE(gap <= 1e-5 * size);
    tdo_network_free(&n);
    tdo_network_free(&plain);
}

static void a_network_without_strength_is_the_plain_one(void)
{
    const char *const *const none[] = {
        ARGUMENTS("defense=rse", "defense.0.sigma_init=0", "defense.0.sigma_inner=0"),
        ARGUMENTS("defense=pni", "defense.0.alpha=0"),
        ARGUMENTS("defense=pni", "defense.0.alpha=0", "defense.0.on=inputs"),
        ARGUMENTS("defense=pni", "defense.0.alpha=0", "defense.0.on=image"),
        ARGUMENTS("defense=cni", "defense.0.a=0", "defense.0.f=0", "defense.0.linear=plain"),
        ARGUMENTS("defense=cni", "defense.0.a=0", "defense.0.f=0", "defense.0.linear=plain",
                  "defense.0.on=inputs"),
    };
    int row[MOST];
    for (int i = 0; i < MOST; i++) {
        row[i] = i;
    }
    static const char *const models[] = {"resnet20", "lenet"};
    for (int m = 0; m < 2; m++) {
        struct tdo_network plain;
        float want[MOST][K];
        make(models[m], NULL, &plain);
        logits_of(&plain, 4, MOST, row, want);
        for (size_t k = 0; k < sizeof none / sizeof *none; k++) {
            struct tdo_network n;
            float got[MOST][K];
            make(models[m], none[k], &n);
            logits_of(&n, 4, MOST, row, got);
            const bool same = memcmp(got, want, sizeof got) == 0;
            CU_ASSERT_TRUE(same);
            if (!same) {
                fprintf(stderr, "%s with %s %s\n", models[m], none[k][0], none[k][1]);
            }
            tdo_network_free(&n);
        }
        tdo_network_free(&plain);
    }
}

/* ---- files ---------------------------------------------------------------------------------------- */

static void a_model_file_brings_its_noise(void)
{
    char path[] = "test_random_network.XXXXXX.safetensors";
    int row[MOST], file = mkstemps(path, 12);
    CU_ASSERT_TRUE_FATAL(file >= 0);
    close(file);
    for (int i = 0; i < MOST; i++) {
        row[i] = i;
    }
    for (int k = 0; k < KINDS; k++) {
        struct tdo_network n, again, other;
        float want[MOST][K], got[MOST][K];
        make("lenet", kinds[k], &n);
        ASSERT_OK_FATAL(tdo_network_save(&n, path));
        tdo_config *c = config("lenet", NULL);
        ASSERT_OK_FATAL(tdo_network_open(c, path, NULL, &again));
        ASSERT_OK_FATAL(tdo_config_set(c, "run.seed=2"));
        ASSERT_OK_FATAL(tdo_network_open(c, path, NULL, &other));
        tdo_config_free(&c);
        logits_of(&n, 5, MOST, row, want);
        logits_of(&again, 5, MOST, row, got);
        CU_ASSERT_EQUAL(memcmp(got, want, sizeof got), 0);
        logits_of(&other, 5, MOST, row, got); /* another seed, other draws */
        CU_ASSERT_NOT_EQUAL(memcmp(got, want, sizeof got), 0);
        tdo_network_free(&n);
        tdo_network_free(&again);
        tdo_network_free(&other);
    }
    unlink(path);
}

CU_TestInfo suite_tests[] = {
    {"a row is a function of its key", a_row_is_a_function_of_its_key},
    {"one draw can serve all images", one_draw_can_serve_all_images},
    {"weights are moved by the key's noise", weights_are_moved_by_the_key_s_noise},
    {"a network without strength is the plain one",
     a_network_without_strength_is_the_plain_one},
    {"a model file brings its noise", a_model_file_brings_its_noise},
    CU_TEST_INFO_NULL,
};
