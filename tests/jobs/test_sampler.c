/* Votes of random networks: each is a draw of its own. Tallies against draws that are made one at a
 * time; and the spread of votes over batches, which tells a network with one draw of its weights a
 * batch from one with a draw for each vote. */
#include <stdlib.h>
#include <string.h>

#include "jobs/inference.h"
#include "jobs/job.h"
#include "jobs/sampler.h"
#include "nn/base/memory.h"
#include "tests/mpi/runner.h"
#include "tests/nn/support.h"

const char suite_name[] = "sampler";

enum { IMAGES = 3, SIDE = 16, P = SIDE * SIDE, K = 5, SELECT = 9, COUNT = 40, SEED = 4 };
#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})
static const double sigma = 0.1;

static const char *const *const kinds[] = {
    ARGUMENTS("defense=rse"),
    ARGUMENTS("defense=pni", "defense.0.alpha=1"),
    ARGUMENTS("defense=pni", "defense.0.alpha=1", "defense.0.on=outputs"),
    ARGUMENTS("defense=cni", "defense.0.a=0.05"),
};
enum { KINDS = sizeof kinds / sizeof *kinds, PNI = 1, CNI = 3 };

static void make(const char *const *argument, struct tdo_network *n)
{
    const struct tdo_network_data data = {SIDE, SIDE, 1, K};
    tdo_config *c = NULL;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    ASSERT_OK_FATAL(tdo_config_set(c, "model.name=lenet"));
    for (; *argument; argument++) {
        ASSERT_OK_FATAL(tdo_config_set(c, *argument));
    }
    ASSERT_OK_FATAL(tdo_network_configure(c, &data, n));
    tdo_config_free(&c);
}

/* Image `row` as in a file. */
static void paint(int64_t row, float *raw)
{
    for (int p = 0; p < P; p++) {
        raw[p] = (float)((row * 37 + p * 11 + p * p % 13) % 256);
    }
}

static tdo_err read_made(const struct tdo_images *im, const int64_t *rows, int64_t n, void *x,
                         int32_t *y)
{
    (void)im;
    for (int64_t i = 0; i < n; i++) {
        float raw[P];
        paint(rows[i], raw);
        for (int p = 0; x && p < P; p++) {
            ((uint8_t *)x)[i * P + p] = (uint8_t)raw[p];
        }
        if (y) {
            y[i] = 0;
        }
    }
    return TDO_OK;
}

static const struct tdo_images images = {.rows = 2 * IMAGES,
                                         .height = SIDE,
                                         .width = SIDE,
                                         .channels = 1,
                                         .u8 = true,
                                         .labelled = true,
                                         .from = "made",
                                         .skip = 2,
                                         .count = IMAGES,
                                         .read = read_made};

/* ---- tallies ---------------------------------------------------------------------------------- */

static const struct tdo_noise noise = {
    .law = TDO_NOISE_REAL,
    .sigma = sigma,
    .stream = {.seed = SEED, .purpose = TDO_PURPOSE_ESTIMATE}};

/* Votes of `draws` draws of an image from `first` on, in batches. */
static void votes_of(struct tdo_network *n, const struct tdo_noise *on_pixels, int64_t row,
                     uint32_t purpose, int batch, int draws, int *vote)
{
    struct tdo_inference f;
    ASSERT_OK_FATAL(tdo_inference_new(n, batch, true, on_pixels, &f));
    float *raw = tdo_plan_input(f.plan, f.raw);
    struct tdo_key *key = tdo_plan_input(f.plan, f.keys);
    for (int first = 0; first < draws; first += batch) {
        for (int i = 0; i < batch; i++) {
            paint(row, raw + (int64_t)i * P);
            key[i] = (struct tdo_key){
                .sample = (uint64_t)row, .draw = (uint32_t)(first + i), .purpose = purpose};
        }
        ASSERT_OK_FATAL(tdo_plan_run(f.plan));
        const float *z = tdo_plan_output(f.plan, 0);
        for (int i = 0; i < batch; i++) {
            vote[first + i] = tdo_inference_class(z + (int64_t)i * K, K);
        }
    }
    tdo_inference_free(&f);
}

/* A directory of this process's own, the same on all ranks. */
static void make_dir(char dir[64])
{
    snprintf(dir, 64, "/tmp/testudo-sampler-XXXXXX");
    if (tdo_comm_rank(runner_comm) == 0) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    }
    tdo_comm_broadcast(runner_comm, dir, 64);
}

static void remove_dir(const char *dir)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf -- '%s'", dir);
    if (tdo_comm_rank(runner_comm) == 0) {
        CU_ASSERT_EQUAL(system(command), 0);
    }
}

static struct tdo_sampler_options options(const char *dir, int64_t batch)
{
    return (struct tdo_sampler_options){.what = "test",
                                        .n0 = SELECT,
                                        .n = COUNT,
                                        .batch = batch,
                                        .law = TDO_NOISE_REAL,
                                        .sigma = sigma,
                                        .seed = SEED,
                                        .dir = dir};
}

static void sample(struct tdo_network *n, int64_t batch, uint64_t **counts)
{
    char dir[64];
    double rate = 0;
    tdo_sampler *s = NULL;
    make_dir(dir);
    const struct tdo_sampler_options o = options(dir, batch);
    ASSERT_OK_FATAL(tdo_sampler_new(runner_comm, n, &images, &o, &s));
    ASSERT_OK_FATAL(tdo_sampler_run(s, &rate));
    ASSERT_OK_FATAL(tdo_sampler_share(s, counts));
    tdo_sampler_free(&s);
    remove_dir(dir);
}

static void a_vote_is_a_draw_of_its_own(void)
{
    for (int k = 0; k < KINDS; k++) {
        struct tdo_network n;
        uint64_t *got = NULL, want[IMAGES][2][K] = {0};
        int vote[COUNT], classes = 0;
        make(kinds[k], &n);
        for (int i = 0; i < IMAGES; i++) {
            for (int part = 0; part < 2; part++) {
                const int draws = part ? COUNT : SELECT;
                votes_of(&n, &noise, 2 * i, part ? TDO_PURPOSE_ESTIMATE : TDO_PURPOSE_SELECT, 1,
                         draws, vote);
                for (int j = 0; j < draws; j++) {
                    want[i][part][vote[j]]++;
                }
            }
        }
        for (int c = 0; c < K; c++) {
            classes += want[0][1][c] > 0;
        }
        CU_ASSERT_TRUE(k != PNI || classes > 1); /* else nothing is told apart */
        for (int64_t batch = 1; batch < 20; batch += 6) {
            sample(&n, batch, &got);
            CU_ASSERT_EQUAL(memcmp(got, want, sizeof want), 0);
            tdo_memory_free(&got);
        }
        tdo_network_free(&n);
    }
}

/* ---- spread over batches ---------------------------------------------------------------------- */

enum { BATCH = 20, BATCHES = 40, DRAWS = BATCH * BATCHES };

/* The variance of a batch's votes for the first of two classes that are both frequent, by that of
 * as many independent votes: 1 for these, BATCH if a batch has one draw. */
static double spread(struct tdo_network *n)
{
    int vote[DRAWS], all[K] = {0}, class = 0;
    votes_of(n, NULL, 0, TDO_PURPOSE_ESTIMATE, BATCH, DRAWS, vote);
    for (int j = 0; j < DRAWS; j++) {
        all[vote[j]]++;
    }
    for (int c = 1; c < K; c++) {
        class = abs(2 * all[c] - DRAWS) < abs(2 * all[class] - DRAWS) ? c : class;
    }
    const double p = (double)all[class] / DRAWS;
    CU_ASSERT_TRUE_FATAL(p > 0.1 && p < 0.9);
    double squares = 0;
    for (int b = 0; b < BATCHES; b++) {
        int mine = 0;
        for (int j = 0; j < BATCH; j++) {
            mine += vote[b * BATCH + j] == class;
        }
        squares += (mine - BATCH * p) * (mine - BATCH * p);
    }
    return squares / (BATCHES - 1) / (BATCH * p * (1 - p));
}

/* Standard deviation of `spread` for independent votes: sqrt(2 / 39) = 0.23. */
static void one_draw_a_batch_is_seen_in_the_spread_of_votes(void)
{
    static const int of[] = {PNI, CNI};
    for (int k = 0; k < 2; k++) {
        struct tdo_network n;
        make(kinds[of[k]], &n);
        const double own = spread(&n);
        n.shared = true; /* the wrong way */
        const double shared = spread(&n);
        CU_ASSERT_TRUE(own < 2);
        CU_ASSERT_TRUE(shared > BATCH / 2.0);
        if (!(own < 2 && shared > BATCH / 2.0)) {
            fprintf(stderr, "%s: %g, shared %g\n", kinds[of[k]][0], own, shared);
        }
        tdo_network_free(&n);
    }
}

static void one_draw_for_all_images_does_not_certify(void)
{
    struct tdo_network n;
    tdo_sampler *s = NULL;
    const struct tdo_sampler_options o = options("/nonexistent", 4);
    make(kinds[PNI], &n);
    n.shared = true;
    CU_ASSERT_EQUAL(tdo_sampler_new(runner_comm, &n, &images, &o, &s), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "noise.share = batch"));
    CU_ASSERT_PTR_NULL(s);
    tdo_network_free(&n);
}

CU_TestInfo suite_tests[] = {
    {"a vote is a draw of its own", a_vote_is_a_draw_of_its_own},
    {"one draw a batch is seen in the spread of votes",
     one_draw_a_batch_is_seen_in_the_spread_of_votes},
    {"one draw for all images does not certify", one_draw_for_all_images_does_not_certify},
    CU_TEST_INFO_NULL,
};
