#ifndef TDO_MPI_SHARD_H
#define TDO_MPI_SHARD_H
/* Who owns what, and in which order: pure functions, the same on every rank, no messages.
 *
 *     global batch of b rows    0 ........................................ b
 *     S logical shards          |  0  |  1  |  2  |  3  |  4  |  5  |  6  |  7  |
 *     R ranks (here 3)          |   rank 0  |     rank 1      |     rank 2      |
 *
 * Numbers depend on shards, never on ranks: a rank only decides who computes a shard. The order
 * of an epoch is a permutation that is a function of (seed, epoch) and can be evaluated at any
 * position without storing it, so a resumed job needs the step number alone. */
#include <stdint.h>

#include "nn/base/error.h"

/* first <= i < end */
struct tdo_range {
    int64_t first, end;
};

/* The rows of shard k of a batch: [k rows/S, (k+1) rows/S), integer division. May be empty.
 * Ranks:   not collective. */
struct tdo_range tdo_shard_rows(int64_t rows, int shards, int shard);

/* The shards of rank r of R: [r S/R, (r+1) S/R). Never empty if R <= S.
 * Ranks:   not collective. */
struct tdo_range tdo_shard_owned(int shards, int size, int rank);

/* The rank that owns a shard.
 * Ranks:   not collective. */
int tdo_shard_owner(int shards, int size, int shard);

/* The order of an epoch. block = 0: one permutation of all rows. block > 0, for parallel file
 * systems: blocks of `block` neighbouring rows are put in random order, then the rows within
 * each run of `window` blocks are shuffled, so that window * block rows in memory suffice.
 * Where the blocks begin shifts from epoch to epoch; the odd block of a row count that `block`
 * does not divide comes last. */
struct tdo_order {
    uint32_t seed;
    uint32_t epoch; /* < 2^24 */
    int64_t rows;
    int64_t block, window; /* rows per block, blocks per window; 0, 0 for a global shuffle */
};

/* Errors:  TDO_ERR_CONFIG when rows < 1 or >= 2^40, block or window is out of range, or the
 *          epoch too large.
 * Ranks:   not collective. */
TDO_MUST tdo_err tdo_shard_check(const struct tdo_order *order);

/* The row at position i of the epoch, 0 <= i < rows; a bijection for every (seed, epoch).
 * Ranks:   not collective. */
int64_t tdo_shard_row(const struct tdo_order *order, int64_t i);

#endif
