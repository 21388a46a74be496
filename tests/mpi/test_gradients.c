/* The sum over ranks against a direct evaluation of the tree, bit by bit, for shard counts, row
 * counts, bucket layouts and message sizes of every awkward kind. */
#include <stdlib.h>
#include <time.h>

#include "mpi/gradients.h"
#include "nn/base/memory.h"
#include "tests/mpi/gradient_data.h"
#include "tests/mpi/runner.h"

const char suite_name[] = "mpi/gradients";

enum { MAX_COUNT = 1003, MAX_SHARDS = 16, MAX_BUCKETS = 9 };

static float shard_value[MAX_SHARDS][MAX_COUNT + 1];

struct layout {
    int64_t count, message;
    int buckets;
    int64_t begin[MAX_BUCKETS];
};

static const struct layout layouts[] = {
    {1, 0, 1, {0}},
    {3, 0, 2, {2, 0}}, /* fewer elements than ranks */
    {MAX_COUNT, 0, 1, {0}},
    {MAX_COUNT, 7, 5, {1000, 800, 800, 13, 0}}, /* an empty bucket, many small messages */
    {257, 0, 9, {250, 200, 199, 198, 150, 100, 50, 1, 0}},
};

static void pause_a_while(int64_t k)
{
    /* Another order of arrival in every run of the loop. */
    struct timespec t = {0, (k * 7919 + tdo_comm_rank(runner_comm) * 104729) % 5 * 50000};
    nanosleep(&t, NULL);
}

/* One step of training as a job does it, with the shards of this rank only. */
static tdo_err step(tdo_gradients *g, const struct layout *l, int64_t rows, uint32_t number,
                    float **sum)
{
    TDO_TRY(tdo_gradients_begin(g, rows));
    for (int k = tdo_gradients_first(g); k < tdo_gradients_end_shard(g); k++) {
        if (tdo_gradients_rows(g, k) == 0) {
            continue;
        }
        float *slot = tdo_gradients_slot(g, k);
        float fresh[MAX_COUNT + 1];
        make_gradient(fresh, l->count, k, number);
        for (int b = 0; b < l->buckets; b++) {
            int64_t end = b == 0 ? l->count : l->begin[b - 1];
            memcpy(slot + l->begin[b], fresh + l->begin[b],
                   (size_t)(end - l->begin[b]) * sizeof *slot);
            pause_a_while(b + k + (int64_t)number);
            TDO_TRY(tdo_gradients_ready(g, k, b));
            TDO_TRY(tdo_gradients_poll(g));
        }
    }
    return tdo_gradients_end(g, sum);
}

/* Returns how many elements differ from the tree; *other: how many a plain sum gets wrong. */
static int64_t count_wrong(const struct layout *l, int shards, int64_t rows, uint32_t number,
                           const float *sum, int64_t *other)
{
    int64_t wrong = 0;
    for (int k = 0; k < shards; k++) {
        make_gradient(shard_value[k], l->count, k, number);
    }
    for (int64_t i = 0; i < l->count; i++) {
        float value[MAX_SHARDS], plain = 0;
        for (int k = 0; k < shards; k++) {
            struct tdo_range r = tdo_shard_rows(rows, shards, k);
            value[k] = shard_value[k][i];
            plain += r.end > r.first ? value[k] : 0;
        }
        float expected = tree_sum(value, shards, rows);
        wrong += !same_bits(sum[i], expected);
        *other += !same_bits(plain, expected);
    }
    return wrong;
}

static void sums_follow_the_tree(void)
{
    const int shard_counts[] = {1, 3, 5, 8, 16};
    const int64_t row_counts[] = {1, 3, 100, 128, 5, 2};
    int64_t other = 0;
    for (size_t s = 0; s < sizeof shard_counts / sizeof *shard_counts; s++) {
        int shards = shard_counts[s];
        for (size_t n = 0;
             shards >= tdo_comm_size(runner_comm) && n < sizeof layouts / sizeof *layouts;
             n++) {
            const struct layout *l = &layouts[n];
            struct tdo_gradients_spec spec = {.count = l->count,
                                              .shards = shards,
                                              .buckets = l->buckets,
                                              .bucket_begin = l->begin,
                                              .message = l->message};
            tdo_gradients *g = NULL;
            ASSERT_OK_FATAL(tdo_gradients_new(runner_comm, &spec, &g));
            for (uint32_t number = 0; number < 6; number++) { /* steps follow without a pause */
                float *sum = NULL;
                int64_t rows = row_counts[number];
                ASSERT_OK_FATAL(step(g, l, rows, number, &sum));
                CU_ASSERT_EQUAL(count_wrong(l, shards, rows, number, sum, &other), 0);
            }
            tdo_gradients_free(&g);
        }
    }
    CU_ASSERT(other > 1000); /* the data can tell a wrong order */
}

static void nothing_is_allocated_in_a_step(void)
{
    const struct layout *l = &layouts[3];
    struct tdo_gradients_spec spec = {.count = l->count,
                                      .shards = 8,
                                      .buckets = l->buckets,
                                      .bucket_begin = l->begin,
                                      .message = l->message};
    tdo_gradients *g = NULL;
    float *sum = NULL;
    ASSERT_OK_FATAL(tdo_gradients_new(runner_comm, &spec, &g));
    int64_t before = tdo_memory_count();
    ASSERT_OK(step(g, l, 100, 1, &sum));
    ASSERT_OK(step(g, l, 3, 2, &sum));
    CU_ASSERT_EQUAL(tdo_memory_count(), before);
    tdo_gradients_free(&g);
}

static void more_ranks_than_shards(void)
{
    const int64_t begin = 0;
    struct tdo_gradients_spec spec = {.count = 4,
                                      .shards = tdo_comm_size(runner_comm) - 1,
                                      .buckets = 1,
                                      .bucket_begin = &begin};
    tdo_gradients *g = NULL;
    CU_ASSERT_EQUAL(tdo_gradients_new(runner_comm, &spec, &g), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NULL(g);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "train.shards"));
}

static void bad_buckets_are_refused(void)
{
    const int64_t bad[][2] = {{5, 1}, {3, 4}, {11, 0}, {-1, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tdo_gradients_spec spec = {
            .count = 10, .shards = 8, .buckets = 2, .bucket_begin = bad[i]};
        tdo_gradients *g = NULL;
        CU_ASSERT_EQUAL(tdo_gradients_new(runner_comm, &spec, &g), TDO_ERR_SHAPE);
    }
}

static void wrong_order_is_an_error(void)
{
    const int64_t begin[] = {5, 0};
    struct tdo_gradients_spec spec = {
        .count = 10, .shards = 8, .buckets = 2, .bucket_begin = begin};
    tdo_gradients *g = NULL;
    float *sum = NULL;
    ASSERT_OK_FATAL(tdo_gradients_new(runner_comm, &spec, &g));
    int first = tdo_gradients_first(g);
    CU_ASSERT_EQUAL(tdo_gradients_begin(g, 0), TDO_ERR_BUG);
    ASSERT_OK(tdo_gradients_begin(g, 16));
    CU_ASSERT_EQUAL(tdo_gradients_begin(g, 16), TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_gradients_ready(g, first, 1), TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_gradients_ready(g, first + 1, 0), TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_gradients_end(g, &sum), TDO_ERR_BUG);
    tdo_gradients_free(&g);
}

/* Every allocation in turn fails, without a leak (seen by the address sanitizer). */
static void memory_failures_are_errors(void)
{
    const int64_t begin[] = {5, 0};
    struct tdo_gradients_spec spec = {
        .count = 10, .shards = 8, .buckets = 2, .bucket_begin = begin};
    tdo_gradients *g = NULL;
    int failures = 0;
    for (int k = 1; k < 30; k++) {
        tdo_memory_fail_after(k);
        tdo_err err = tdo_gradients_new(runner_comm, &spec, &g);
        tdo_memory_fail_after(0);
        CU_ASSERT(err == TDO_OK ? g != NULL : err == TDO_ERR_MEMORY && g == NULL);
        failures += err != TDO_OK;
        tdo_gradients_free(&g);
    }
    CU_ASSERT(failures >= 7 && failures < 29);
}

CU_TestInfo suite_tests[] = {
    {"the sum has the bits of the tree, not those of another order", sums_follow_the_tree},
    {"nothing is allocated while a step runs", nothing_is_allocated_in_a_step},
    {"more ranks than shards is an error that names train.shards", more_ranks_than_shards},
    {"buckets that do not cover the block are refused", bad_buckets_are_refused},
    {"buckets announced out of order are an error", wrong_order_is_an_error},
    {"running out of memory is an error, at every allocation", memory_failures_are_errors},
    CU_TEST_INFO_NULL};
