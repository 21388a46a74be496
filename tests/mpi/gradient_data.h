#ifndef TDO_TESTS_GRADIENT_DATA_H
#define TDO_TESTS_GRADIENT_DATA_H
/* Shard gradients that any rank can make up, and their sum by a direct reading of the rule: the
 * oracle shares no code with the library. Included by test_gradients.c and test_ring.c. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "mpi/shard.h"
#include "nn/base/rng.h"

/* Elements of very different size, so that the order of a sum shows in its bits. */
static inline void make_gradient(float *out, int64_t count, int shard, uint32_t step)
{
    struct tdo_stream stream = {.seed = 5, .purpose = TDO_PURPOSE_TEST};
    struct tdo_key key = {.sample = (uint64_t)shard, .step = step};
    tdo_rng_normals(&stream, &key, 0, count, out);
    for (int64_t i = 0; i < count; i++) {
        out[i] *= (float)(1 << (3 * ((i + shard) % 5)));
    }
}

/* The value of one element at the tree node over shards [first, first + width); *present tells
 * whether any shard there has rows. value [shards]: this element of each shard. */
static inline float tree_value(const float *value, int shards, int64_t rows, int first,
                               int width, bool *present)
{
    if (width == 1) {
        struct tdo_range r = {0, 0};
        if (first < shards) {
            r = tdo_shard_rows(rows, shards, first);
        }
        *present = r.end > r.first;
        return *present ? value[first] : 0;
    }
    bool has_left, has_right;
    float left = tree_value(value, shards, rows, first, width / 2, &has_left);
    float right = tree_value(value, shards, rows, first + width / 2, width / 2, &has_right);
    *present = has_left || has_right;
    if (has_left && has_right) {
        return left + right;
    }
    return has_left ? left : right;
}

static inline float tree_sum(const float *value, int shards, int64_t rows)
{
    int width = 1;
    bool present;
    while (width < shards) {
        width *= 2;
    }
    return tree_value(value, shards, rows, 0, width, &present);
}

static inline bool same_bits(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

#endif
