/* What the fixed tree is for: with Open MPI's ring all-reduce (chosen by the launcher's
 * options, see CMakeLists.txt) a plain MPI_Allreduce of the ranks' sums changes bits; ours does
 * not. */
#include <mpi.h>

#include "mpi/gradients.h"
#include "tests/mpi/gradient_data.h"
#include "tests/mpi/runner.h"

const char suite_name[] = "mpi/ring";

enum { COUNT = 100000, SHARDS = 8 };

static float shard_value[SHARDS][COUNT], local[COUNT], plain[COUNT];

/* Sum my shards as the tree does, two by two, then let the library do the rest. */
static int reduce_plainly(void)
{
    struct tdo_range mine = tdo_shard_owned(SHARDS, 4, tdo_comm_rank(runner_comm));
    for (int64_t i = 0; i < COUNT; i++) {
        local[i] = shard_value[mine.first][i] + shard_value[mine.first + 1][i];
    }
    return MPI_Allreduce(local, plain, COUNT, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static tdo_err reduce_by_tree(tdo_gradients *g, float **sum)
{
    TDO_TRY(tdo_gradients_begin(g, 128));
    for (int k = tdo_gradients_first(g); k < tdo_gradients_end_shard(g); k++) {
        memcpy(tdo_gradients_slot(g, k), shard_value[k], sizeof shard_value[k]);
        for (int b = 0; b < 3; b++) {
            TDO_TRY(tdo_gradients_ready(g, k, b));
        }
    }
    return tdo_gradients_end(g, sum);
}

static void ring_changes_bits_tree_does_not(void)
{
    const int64_t begin[] = {70000, 1000, 0};
    struct tdo_gradients_spec spec = {
        .count = COUNT, .shards = SHARDS, .buckets = 3, .bucket_begin = begin};
    tdo_gradients *g = NULL;
    float *sum = NULL;
    CU_ASSERT_EQUAL_FATAL(tdo_comm_size(runner_comm), 4);
    for (int k = 0; k < SHARDS; k++) {
        make_gradient(shard_value[k], COUNT, k, 0);
    }
    CU_ASSERT_EQUAL_FATAL(reduce_plainly(), MPI_SUCCESS);
    ASSERT_OK_FATAL(tdo_gradients_new(runner_comm, &spec, &g));
    ASSERT_OK_FATAL(reduce_by_tree(g, &sum));
    int64_t plain_wrong = 0, tree_wrong = 0;
    for (int64_t i = 0; i < COUNT; i++) {
        float value[SHARDS];
        for (int k = 0; k < SHARDS; k++) {
            value[k] = shard_value[k][i];
        }
        float expected = tree_sum(value, SHARDS, 128);
        plain_wrong += !same_bits(plain[i], expected);
        tree_wrong += !same_bits(sum[i], expected);
    }
    tdo_gradients_free(&g);
    CU_ASSERT(plain_wrong > COUNT / 100);
    CU_ASSERT_EQUAL(tree_wrong, 0);
    if (tdo_comm_rank(runner_comm) == 0) {
        printf("\n    plain all-reduce: %lld of %d elements differ; tree: %lld ",
               (long long)plain_wrong, COUNT, (long long)tree_wrong);
    }
}

CU_TestInfo suite_tests[] = {
    {"under the ring a plain all-reduce changes bits and the tree does not",
     ring_changes_bits_tree_does_not},
    CU_TEST_INFO_NULL};
