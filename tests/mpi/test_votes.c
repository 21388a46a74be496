/* Tallies: what is added on any rank arrives at the root exactly, whoever added it. */
#include <string.h>

#include "mpi/votes.h"
#include "nn/base/memory.h"
#include "tests/mpi/runner.h"

const char suite_name[] = "mpi/votes";

enum { IMAGES = 7, CLASSES = 5, DRAWS = 300 };

static uint64_t hash_of(int image, int purpose, int draw)
{
    uint64_t x = (uint64_t)(image * 1000003 + purpose * 7919 + draw) + 1;
    x *= UINT64_C(0x9e3779b97f4a7c15); /* large, so that the sum wraps */
    return x ^ x >> 29;
}

static int class_of(int image, int purpose, int draw)
{
    return (int)(hash_of(image, purpose, draw) >> 40 & 0xffff) % CLASSES;
}

/* Draws are dealt out by `who`; merged twice, to see that merging moves and does not copy. */
static void tally(tdo_votes *v, int (*who)(int draw))
{
    for (int half = 0; half < 2; half++) {
        for (int d = half * DRAWS / 2; d < (half + 1) * DRAWS / 2; d++) {
            for (int i = 0; who(d) == tdo_comm_rank(runner_comm) && i < IMAGES; i++) {
                ASSERT_OK(
                    tdo_votes_add(v, i, TDO_VOTES_SELECT, class_of(i, 0, d), hash_of(i, 0, d)));
                ASSERT_OK(
                    tdo_votes_add(v, i, TDO_VOTES_COUNT, class_of(i, 1, d), hash_of(i, 1, d)));
                tdo_votes_add_time(v, i, 3);
            }
        }
        tdo_votes_merge(runner_comm, v);
    }
}

static int round_robin(int draw)
{
    return draw % tdo_comm_size(runner_comm);
}

static int last_rank(int draw)
{
    (void)draw;
    return tdo_comm_size(runner_comm) - 1;
}

static void merge_is_exact(void)
{
    int (*const deals[])(int) = {round_robin, last_rank};
    for (int k = 0; k < 2; k++) {
        tdo_votes *v = NULL;
        ASSERT_OK_FATAL(tdo_votes_new(IMAGES, CLASSES, &v));
        tally(v, deals[k]);
        bool root = tdo_comm_rank(runner_comm) == 0;
        for (int i = 0; i < IMAGES; i++) {
            uint64_t expected[2][CLASSES] = {{0}}, hash = 0;
            for (int d = 0; root && d < DRAWS; d++) {
                for (int p = 0; p < 2; p++) {
                    expected[p][class_of(i, p, d)]++;
                    hash += hash_of(i, p, d);
                }
            }
            CU_ASSERT_EQUAL(memcmp(tdo_votes_counts(v, i, TDO_VOTES_SELECT), expected[0],
                                   sizeof expected[0]),
                            0);
            CU_ASSERT_EQUAL(memcmp(tdo_votes_counts(v, i, TDO_VOTES_COUNT), expected[1],
                                   sizeof expected[1]),
                            0);
            CU_ASSERT_EQUAL(tdo_votes_hash(v, i), hash);
            CU_ASSERT_EQUAL(tdo_votes_time(v, i), root ? 3 * DRAWS : 0);
        }
        tdo_votes_free(&v);
    }
}

static void counts_are_added(void)
{
    const uint64_t counts[CLASSES] = {5, 0, 7, UINT64_C(1) << 40, 1};
    tdo_votes *v = NULL;
    ASSERT_OK_FATAL(tdo_votes_new(IMAGES, CLASSES, &v));
    ASSERT_OK(tdo_votes_add_counts(v, 6, TDO_VOTES_COUNT, counts, 9));
    ASSERT_OK(tdo_votes_add_counts(v, 6, TDO_VOTES_COUNT, counts, 9));
    for (int k = 0; k < CLASSES; k++) {
        CU_ASSERT_EQUAL(tdo_votes_counts(v, 6, TDO_VOTES_COUNT)[k], 2 * counts[k]);
        CU_ASSERT_EQUAL(tdo_votes_counts(v, 6, TDO_VOTES_SELECT)[k], 0);
        CU_ASSERT_EQUAL(tdo_votes_counts(v, 5, TDO_VOTES_COUNT)[k], 0);
    }
    CU_ASSERT_EQUAL(tdo_votes_hash(v, 6), 18);
    CU_ASSERT_EQUAL(tdo_votes_images(v), IMAGES);
    CU_ASSERT_EQUAL(tdo_votes_classes(v), CLASSES);
    tdo_votes_free(&v);
}

static void strange_votes_are_refused(void)
{
    tdo_votes *v = NULL;
    ASSERT_OK_FATAL(tdo_votes_new(IMAGES, CLASSES, &v));
    CU_ASSERT_EQUAL(tdo_votes_add(v, IMAGES, TDO_VOTES_COUNT, 0, 0), TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_votes_add(v, -1, TDO_VOTES_COUNT, 0, 0), TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_votes_add(v, 0, TDO_VOTES_COUNT, CLASSES, 0), TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_votes_add(v, 0, TDO_VOTES_COUNT, -1, 0), TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_votes_add(v, 0, TDO_VOTES_PURPOSES, 0, 0), TDO_ERR_BUG);
    tdo_votes_free(&v);
    CU_ASSERT_EQUAL(tdo_votes_new(1, 0, &v), TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_votes_new(INT64_MAX / 2, 5, &v), TDO_ERR_MEMORY);
    for (int k = 1; k < 3; k++) {
        tdo_memory_fail_after(k);
        CU_ASSERT_EQUAL(tdo_votes_new(1, 2, &v), TDO_ERR_MEMORY);
        CU_ASSERT_PTR_NULL(v);
    }
    tdo_memory_fail_after(0);
}

CU_TestInfo suite_tests[] = {
    {"merged tallies are exact, whoever added what, and merging again adds nothing twice",
     merge_is_exact},
    {"tallies of many draws are added to the right place", counts_are_added},
    {"votes out of range and failing memory are errors", strange_votes_are_refused},
    CU_TEST_INFO_NULL};
