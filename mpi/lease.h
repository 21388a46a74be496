#ifndef TDO_MPI_LEASE_H
#define TDO_MPI_LEASE_H
/* Work handed out in leases: items 0..N-1, each to exactly one rank, fast ranks get more.
 *
 * The root hands out ranges by two-sided messages and computes as well. A rank asks for its
 * next lease when it starts on the present one, so the answer is there when it is needed; the
 * root answers between its own batches (tdo_lease_poll). A lease is about `seconds` of work at
 * the rank's measured rate, less towards the end: never more than remaining/(2 size) items and
 * never more than the rank's share of half the remaining time, at least one item. Nothing about
 * a result may depend on who computed it.
 *
 *     for (;;) {
 *         TDO_GOTO(tdo_lease_next(l, &first, &count));
 *         if (count == 0) break;
 *         ... compute [first, first + count), tdo_lease_poll(l) between batches ...
 *     }
 *     done: if (err) tdo_lease_stop(l);     // the others need not go on
 *     err = first_of(err, tdo_lease_end(l)) // on every rank, also after an error
 *     err = tdo_comm_agree(comm, err) */
#include <stdbool.h>
#include <stdint.h>

#include "mpi/comm.h"
#include "mpi/shard.h"
#include "nn/base/error.h"

typedef struct tdo_lease tdo_lease;

/* Errors:  TDO_ERR_MEMORY, TDO_ERR_COMM.
 * Units:   seconds: target length of a lease, 1.0 is a good value; > 0.
 * Ranks:   collective, items and seconds equal on all ranks; one lease at a time; errors are
 *          local, agree on them before the first tdo_lease_next.
 * Owner:   caller, tdo_lease_free; comm is borrowed until then. */
TDO_MUST tdo_err tdo_lease_new(tdo_comm *comm, int64_t items, double seconds, tdo_lease **out);

/* Items that are already done (a resumed job) are not handed out. Sorted, disjoint ranges
 * inside [0, items); copied. Call once, before the first tdo_lease_next.
 * Errors:  TDO_ERR_BUG when ranges are not sorted or not inside; TDO_ERR_MEMORY.
 * Ranks:   not collective; only the root's ranges count, other ranks need not call it. */
TDO_MUST tdo_err tdo_lease_skip(tdo_lease *l, const struct tdo_range *ranges, int64_t count);

/* The same from marks: items with there[i] are done. Shapes: there [items], read on the root only.
 * Errors:  TDO_ERR_MEMORY. Ranks: not collective. */
TDO_MUST tdo_err tdo_lease_skip_marked(tdo_lease *l, const bool *there);

/* The next range of this rank, *count 0 when nothing is left. The range before counts as done.
 * Errors:  TDO_ERR_COMM.
 * Ranks:   not collective, but the root must keep calling next, poll or end for others to get
 *          on. */
TDO_MUST tdo_err tdo_lease_next(tdo_lease *l, int64_t *first, int64_t *count);

/* On the root: answer the requests that have arrived. Elsewhere: let messages make progress.
 * Errors:  TDO_ERR_COMM.
 * Ranks:   not collective. */
TDO_MUST tdo_err tdo_lease_poll(tdo_lease *l);

/* For tests and measurements: leases of this rank work as on a processor that is so many times as
 * slow. Where a lease calls next or poll it sleeps first, factor - 1 times what it took since the call
 * before. 1: as fast as it is.
 * Ranks:   not collective. */
void tdo_lease_slow(tdo_comm *comm, double factor);

/* How many items are done, skipped ones included, as far as this rank knows: the root knows
 * what was reported to it, another rank its own items. For progress lines.
 * Ranks:   not collective. */
int64_t tdo_lease_done(const tdo_lease *l);

/* Hand out nothing more, to anyone: this rank failed or was told to stop. The range it holds
 * does not count as done.
 * Ranks:   not collective. */
void tdo_lease_stop(tdo_lease *l);

/* Wait until every rank is through. The root serves the others meanwhile.
 * Errors:  TDO_ERR_COMM.
 * Ranks:   collective; also after a local error, else the others wait for ever. */
TDO_MUST tdo_err tdo_lease_end(tdo_lease *l);

/* NULL is fine.
 * Ranks:   not collective. */
void tdo_lease_free(tdo_lease **out);

#endif
