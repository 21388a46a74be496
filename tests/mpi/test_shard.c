/* Ownership and epoch order: pure functions, compared with their definitions. */
#include <stdlib.h>
#include <string.h>

#include "mpi/shard.h"
#include "tests/runner.h"

const char suite_name[] = "mpi/shard";

static void shards_tile_the_batch(void)
{
    for (int64_t rows = 1; rows < 300; rows += 7) {
        for (int shards = 1; shards < 40; shards++) {
            int64_t at = 0, most = 0, least = rows;
            for (int k = 0; k < shards; k++) {
                struct tdo_range r = tdo_shard_rows(rows, shards, k);
                int64_t n = r.end - r.first;
                CU_ASSERT_EQUAL(r.first, at);
                at = r.end;
                most = n > most ? n : most;
                least = n < least ? n : least;
            }
            CU_ASSERT_EQUAL(at, rows);
            CU_ASSERT(most - least <= 1 && most == (rows + shards - 1) / shards);
        }
    }
}

static void owner_owns(void)
{
    for (int shards = 1; shards <= 33; shards++) {
        for (int size = 1; size <= shards; size++) {
            int next = 0;
            for (int r = 0; r < size; r++) {
                struct tdo_range owned = tdo_shard_owned(shards, size, r);
                CU_ASSERT(owned.first == next && owned.end > owned.first);
                for (int64_t k = owned.first; k < owned.end; k++) {
                    CU_ASSERT_EQUAL(tdo_shard_owner(shards, size, (int)k), r);
                }
                next = (int)owned.end;
            }
            CU_ASSERT_EQUAL(next, shards);
        }
    }
}

/* Every row exactly once. */
static int is_permutation(const struct tdo_order *o)
{
    unsigned char *seen = calloc((size_t)o->rows, 1);
    int good = seen != NULL;
    for (int64_t i = 0; good && i < o->rows; i++) {
        int64_t row = tdo_shard_row(o, i);
        good = row >= 0 && row < o->rows && !seen[row];
        if (good) {
            seen[row] = 1;
        }
    }
    free(seen);
    return good;
}

static void epochs_are_permutations(void)
{
    const int64_t rows[] = {1, 2, 3, 16, 17, 100, 1000, 4099};
    const int64_t block[] = {0, 1, 7, 16, 5000}, window[] = {1, 3, 50};
    for (size_t a = 0; a < sizeof rows / sizeof *rows; a++) {
        for (size_t b = 0; b < sizeof block / sizeof *block; b++) {
            for (size_t c = 0; c < 3; c++) {
                struct tdo_order o = {7, 2, rows[a], block[b], window[c]};
                ASSERT_OK(tdo_shard_check(&o));
                CU_ASSERT(is_permutation(&o));
            }
        }
    }
}

static void epochs_and_seeds_differ(void)
{
    struct tdo_order a = {1, 0, 1000, 0, 0}, b = {1, 1, 1000, 0, 0}, c = {2, 0, 1000, 0, 0};
    struct tdo_order d = {1, 0, 1000, 10, 4}, e = {1, 1, 1000, 10, 4};
    int same[3] = {0}, identity = 0;
    for (int64_t i = 0; i < 1000; i++) {
        same[0] += tdo_shard_row(&a, i) == tdo_shard_row(&b, i);
        same[1] += tdo_shard_row(&a, i) == tdo_shard_row(&c, i);
        same[2] += tdo_shard_row(&d, i) == tdo_shard_row(&e, i);
        identity += tdo_shard_row(&d, i) == i;
    }
    CU_ASSERT(same[0] < 10 && same[1] < 10 && same[2] < 30 && identity < 30);
}

/* A window touches few blocks: that is what it is for. */
static void windows_stay_in_their_blocks(void)
{
    struct tdo_order o = {3, 5, 1003, 10, 4};
    for (int64_t first = 0; first < 1000; first += 40) {
        unsigned char row_seen[1003] = {0};
        for (int64_t i = first; i < first + 40; i++) {
            row_seen[tdo_shard_row(&o, i)] = 1;
        }
        int runs = 0; /* of neighbouring rows, on a circle */
        for (int64_t r = 0; r < 1003; r++) {
            runs += row_seen[r] && !row_seen[(r + 1002) % 1003];
        }
        CU_ASSERT(runs >= 1 && runs <= 4);
        int rising = 0;
        for (int64_t i = first; i + 1 < first + 40; i++) {
            rising += tdo_shard_row(&o, i + 1) == tdo_shard_row(&o, i) + 1;
        }
        CU_ASSERT(rising < 20); /* and is shuffled inside */
    }
}

/* With one block per window, the order inside a block is seen as row - smallest row. */
static void windows_have_their_own_shuffle(void)
{
    struct tdo_order o = {3, 5, 1003, 20, 1};
    int64_t order[50][20];
    int equal = 0;
    for (int w = 0; w < 50; w++) {
        int64_t least = o.rows;
        for (int i = 0; i < 20; i++) {
            order[w][i] = tdo_shard_row(&o, w * 20 + i);
            least = order[w][i] < least ? order[w][i] : least;
        }
        for (int i = 0; i < 20; i++) {
            order[w][i] -= least;
        }
        for (int v = 0; v < w; v++) {
            equal += memcmp(order[w], order[v], sizeof order[w]) == 0;
        }
    }
    CU_ASSERT_EQUAL(equal, 0);
}

static void senseless_orders_are_refused(void)
{
    const struct tdo_order bad[] = {
        {1, 0, 0, 0, 0},         {1, 0, INT64_C(1) << 40, 0, 0},
        {1, 1u << 24, 10, 0, 0}, {1, 0, 10, -1, 1},
        {1, 0, 10, 4, 0},        {1, 0, 10, INT64_C(1) << 30, INT64_C(1) << 30}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CU_ASSERT_EQUAL(tdo_shard_check(&bad[i]), TDO_ERR_CONFIG);
    }
}

CU_TestInfo suite_tests[] = {
    {"shards tile the batch and differ by one row at most", shards_tile_the_batch},
    {"ranks tile the shards, and the owner of a shard owns it", owner_owns},
    {"every epoch is a permutation, with and without blocks", epochs_are_permutations},
    {"epochs and seeds give different orders", epochs_and_seeds_differ},
    {"a window holds whole blocks and is shuffled inside", windows_stay_in_their_blocks},
    {"each window has its own shuffle", windows_have_their_own_shuffle},
    {"an order that makes no sense is refused", senseless_orders_are_refused},
    CU_TEST_INFO_NULL};
