/* Ownership and epoch order as pure functions. See shard.h.
 *
 * With blocks, position i of the epoch is found in three steps: which window, which row inside
 * the window (a permutation keyed by the window), and which rows the window's blocks are (a
 * permutation of the blocks). Only whole blocks are permuted; rows are numbered from a start
 * that an epoch chooses at random, so the rest of rows/block differs each time. */
#include "mpi/shard.h"

#include "nn/base/rng.h"

struct tdo_range tdo_shard_rows(int64_t rows, int shards, int shard)
{
    /* rows < 2^40 and shards < 2^22 in any sensible job, so the product fits. */
    struct tdo_range r = {rows * shard / shards, rows * (shard + 1) / shards};
    return r;
}

struct tdo_range tdo_shard_owned(int shards, int size, int rank)
{
    return tdo_shard_rows(shards, size, rank);
}

int tdo_shard_owner(int shards, int size, int shard)
{
    return (int)((((int64_t)shard + 1) * size - 1) / shards);
}

tdo_err tdo_shard_check(const struct tdo_order *order)
{
    const int64_t limit = INT64_C(1) << 40;
    if (order->rows < 1 || order->rows >= limit) {
        return TDO_FAIL(TDO_ERR_CONFIG, "an epoch of %lld rows: 1 to 2^40 - 1 are possible",
                        (long long)order->rows);
    }
    if (order->epoch >= 1u << 24) {
        return TDO_FAIL(TDO_ERR_CONFIG, "epoch %u: 0 to 2^24 - 1 are possible", order->epoch);
    }
    if (order->block < 0 || order->block >= limit ||
        (order->block > 0 && (order->window < 1 || order->window >= limit / order->block))) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "shuffling by blocks of %lld rows in windows of %lld blocks: both must "
                        "be at least 1, their product below 2^40",
                        (long long)order->block, (long long)order->window);
    }
    return TDO_OK;
}

/* 64 random bits that belong to (seed, epoch, number). */
static uint64_t bits(const struct tdo_order *o, int64_t number)
{
    struct tdo_stream stream = {.seed = o->seed, .purpose = TDO_PURPOSE_SHUFFLE, .layer = 1};
    struct tdo_key key = {.sample = (uint64_t)number, .step = o->epoch};
    uint32_t words[4];
    tdo_rng_words(&stream, &key, 0, 4, words);
    return (uint64_t)words[1] << 32 | words[0];
}

int64_t tdo_shard_row(const struct tdo_order *o, int64_t i)
{
    if (o->block == 0) {
        return (int64_t)tdo_rng_permute(o->seed, o->epoch, (uint64_t)o->rows, (uint64_t)i);
    }
    int64_t blocks = o->rows / o->block, whole = blocks * o->block;
    int64_t span = o->block * o->window;
    int64_t window = i < whole ? i / span : -1; /* the rest is a window of its own */
    int64_t first = i < whole ? window * span : whole;
    int64_t end = i < whole ? (first + span < whole ? first + span : whole) : o->rows;
    uint64_t key = bits(o, window + 1);
    int64_t inside = (int64_t)tdo_rng_permute((uint32_t)key, (uint32_t)(key >> 32),
                                              (uint64_t)(end - first), (uint64_t)(i - first));
    int64_t place = first + inside; /* in the sequence of shuffled blocks */
    if (place < whole) {
        int64_t block = (int64_t)tdo_rng_permute(o->seed, o->epoch, (uint64_t)blocks,
                                                 (uint64_t)(place / o->block));
        place = block * o->block + place % o->block;
    }
    int64_t start = (int64_t)(bits(o, TDO_SAMPLE_BATCH) % (uint64_t)o->rows);
    return (start + place) % o->rows;
}
