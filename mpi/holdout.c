/* Validation rows. See holdout.h.
 *
 * Group g is [g rows/held, (g+1) rows/held). Before it lie as many training rows as rows but one
 * for each earlier group, so the group of training row j is found by bisection. */
#include "mpi/holdout.h"

#include "nn/base/rng.h"

/* a * g / b without overflow for a < 2^40, b < 2^31; g <= b. */
static int64_t share(int64_t a, int64_t b, int64_t g)
{
    return a / b * g + a % b * g / b;
}

static int64_t group_begin(const struct tdo_holdout *h, int64_t g)
{
    return share(h->rows, h->held, g);
}

/* Of `rows`, which lie evenly in the data set. */
static int64_t row_of(const struct tdo_holdout *h, int64_t at)
{
    return h->of > h->rows ? share(h->of, h->rows, at) : at;
}

static int64_t validation(const struct tdo_holdout *h, int64_t j)
{
    if (h->last) {
        return h->rows - h->held + j;
    }
    const struct tdo_stream stream = {
        .seed = h->seed, .purpose = TDO_PURPOSE_SHUFFLE, .layer = 2};
    const struct tdo_key key = {.sample = (uint64_t)j};
    const int64_t begin = group_begin(h, j), count = group_begin(h, j + 1) - begin;
    uint32_t word[4];
    tdo_rng_words(&stream, &key, 0, 4, word);
    return begin + (int64_t)(((uint64_t)word[1] << 32 | word[0]) % (uint64_t)count);
}

static int64_t train(const struct tdo_holdout *h, int64_t j)
{
    if (h->last || h->held == 0) {
        return j;
    }
    int64_t low = 0, high = h->held; /* the group is in [low, high) */
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (group_begin(h, middle) - middle <= j) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const int64_t row = j + low; /* had this group's row not been taken out */
    return row < validation(h, low) ? row : row + 1;
}

int64_t tdo_holdout_validation(const struct tdo_holdout *h, int64_t j)
{
    return row_of(h, validation(h, j));
}

int64_t tdo_holdout_train(const struct tdo_holdout *h, int64_t j)
{
    return row_of(h, train(h, j));
}
