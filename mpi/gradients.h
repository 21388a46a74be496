#ifndef TDO_MPI_GRADIENTS_H
#define TDO_MPI_GRADIENTS_H
/* The sum of shard gradients over all ranks, with the same bits for any number of ranks.
 *
 * Float addition is not associative, so the association is fixed: one binary tree over the S
 * logical shards (over the next power of two; a shard that does not exist or has no rows is
 * skipped, and its parent is the other child). Here S = 6, with shard 4 empty:
 *
 *              +                      ((0+1)+(2+3)) + 5
 *          +       5
 *        +   +
 *       0 1 2 3
 *
 * A rank owns neighbouring shards. It adds up the largest complete subtrees of its own while it
 * goes, on a stack of slots as a binary counter does. Then a bucket (a contiguous part of the
 * block) is cut into as many slices as there are ranks; rank q receives slice q of every
 * subtree, finishes the tree for it, and sends the finished slice to all. Ranks decide who
 * adds, never what is added to what. Only non-blocking point-to-point messages are used: the
 * order inside an MPI reduction is the library's choice. Each bucket is sent as soon as it is
 * ready, while the backward pass goes on.
 *
 * A step:
 *     tdo_gradients_begin(g, rows)
 *     for k from tdo_gradients_first(g) to tdo_gradients_end_shard(g) - 1, if k has rows:
 *         write the gradient of shard k into tdo_gradients_slot(g, k); for each bucket in turn,
 *         as it becomes complete: tdo_gradients_ready(g, k, bucket)
 *         between nodes: tdo_gradients_poll(g)
 *     tdo_gradients_end(g, &sum)
 *
 * Whatever else must be summed alike (loss, running statistics) can lie in the same block. An
 * error in the middle of a step cannot be agreed on; it goes to tdo_comm_abort. */
#include <stdint.h>

#include "mpi/comm.h"
#include "nn/base/error.h"

typedef struct tdo_gradients tdo_gradients;

/* Bucket 0 is complete first and lies at the end of the block (reverse order of creation):
 *     bucket 0 is [bucket_begin[0], count), bucket i is [bucket_begin[i], bucket_begin[i-1]),
 * and bucket_begin[buckets-1] is 0. Elements, not bytes. */
struct tdo_gradients_spec {
    int64_t count;               /* elements of the block */
    int shards;                  /* train.shards */
    int buckets;                 /* at least 1 */
    const int64_t *bucket_begin; /* [buckets], not increasing; copied */
    int64_t message;             /* most elements in one message; 0 for the default */
};

/* All memory is allocated here: slots, receive space and, with several ranks, the sum.
 *
 * Errors:  TDO_ERR_CONFIG naming train.shards when there are more ranks than shards;
 *          TDO_ERR_SHAPE when the buckets do not cover the block.
 * Ranks:   collective, spec equal on all ranks; errors are local, agree on them.
 * Owner:   caller, tdo_gradients_free; comm is borrowed until then. */
TDO_MUST tdo_err tdo_gradients_new(tdo_comm *comm, const struct tdo_gradients_spec *spec,
                                   tdo_gradients **out);

/* Start a step with a global batch of `rows` rows, rows >= 1. The sum of the step before is no
 * longer valid.
 * Ranks:   collective, rows equal on all ranks. */
TDO_MUST tdo_err tdo_gradients_begin(tdo_gradients *g, int64_t rows);

/* The shards of this rank: first <= k < end. tdo_gradients_rows: how many rows shard k has in
 * the present step (0: do not compute or announce it).
 * Ranks:   not collective. */
int tdo_gradients_first(const tdo_gradients *g);
int tdo_gradients_end_shard(const tdo_gradients *g);
int64_t tdo_gradients_rows(const tdo_gradients *g, int shard);

/* Where to write the gradient of a shard of this rank that has rows. The contents before are
 * undefined; shards share slots, so ask when the shard before is complete.
 * Shapes:  [count].
 * Ranks:   not collective.
 * Owner:   borrowed until the last bucket of this shard is announced. */
float *tdo_gradients_slot(tdo_gradients *g, int shard);

/* Bucket `bucket` of this shard's slot is complete and will not be written again. Buckets in
 * order 0, 1, ..., shards in increasing order. Adds what the tree allows; after the last shard
 * of this rank the bucket is sent.
 * Errors:  TDO_ERR_BUG when called out of order; TDO_ERR_COMM.
 * Ranks:   not collective. */
TDO_MUST tdo_err tdo_gradients_ready(tdo_gradients *g, int shard, int bucket);

/* Let messages make progress; cheap, call it between nodes.
 * Errors:  TDO_ERR_COMM.
 * Ranks:   not collective. */
TDO_MUST tdo_err tdo_gradients_poll(tdo_gradients *g);

/* Wait for the sum.
 * Shapes:  sum [count].
 * Errors:  TDO_ERR_BUG when a bucket was not announced; TDO_ERR_COMM.
 * Ranks:   collective; the same bits on every rank, and for every number of ranks.
 * Owner:   *sum is borrowed until the next begin; the caller may overwrite it. */
TDO_MUST tdo_err tdo_gradients_end(tdo_gradients *g, float **sum);

/* Bytes of slots, receive space and sum.
 * Ranks:   not collective. */
int64_t tdo_gradients_bytes(const tdo_gradients *g);

/* NULL is fine. A step that was not ended is given up.
 * Ranks:   not collective. */
void tdo_gradients_free(tdo_gradients **out);

#endif
