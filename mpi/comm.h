#ifndef TDO_MPI_COMM_H
#define TDO_MPI_COMM_H
/* The ranks of a job: who we are, and how all of us come to return the same error.
 *
 * Agree or abort, never diverge, never hang. A local error before a collective call goes
 * through tdo_comm_agree, after which every rank holds the same code and leaves by the same
 * door; the failing rank alone has printed its record. An error from which no agreement is
 * possible (the middle of a step, MPI itself) goes to tdo_comm_abort.
 *
 *     tdo_err err = open_my_part(...);              // may fail on some ranks only
 *     TDO_TRY(tdo_comm_agree(comm, err));           // fails on all ranks or on none
 *
 * Reductions here are over integers only, so that they are exact in any order; sums of floats
 * are made by gradients.h. When MPI itself fails inside a collective call of this file the job
 * is aborted, since the other ranks can no longer be told. */
#include <stdbool.h>
#include <stdint.h>

#include "nn/base/error.h"

typedef struct tdo_comm tdo_comm;

/* Start MPI if nobody has (threads: the main thread alone calls it), take our own duplicate of
 * the world with errors returned, and tell the log who we are.
 *
 * Errors:  TDO_ERR_COMM when MPI cannot start or lacks MPI_THREAD_FUNNELED.
 * Ranks:   collective, first call of the program; works without mpirun as one rank.
 * Owner:   caller, tdo_comm_free; one per program. */
TDO_MUST tdo_err tdo_comm_new(tdo_comm **out);

/* This rank, and how many there are.
 * Ranks:   not collective. */
int tdo_comm_rank(const tdo_comm *c);
int tdo_comm_size(const tdo_comm *c);

/* Name and version of the MPI library, a static string.
 * Ranks:   not collective. */
const char *tdo_comm_library(void);

/* Every rank brings its own outcome and leaves with the worst one.
 *
 * Returns TDO_OK if all ranks brought that, else the same code on every rank: that of the
 * highest code (TDO_ERR_STOPPED and TDO_ERR_REMOTE count as the mildest errors), at equal codes
 * of the lowest rank. Ranks that failed print their record; of several with the same code and
 * message only the lowest does, and never more than eight lines in all. The record of every
 * other rank becomes "rank r failed: <its message>". Afterwards the records count as printed,
 * so that neither a second agreement nor tdo_comm_report prints them again.
 * Costs one reduction of eight bytes when nothing failed; it is also a barrier.
 *
 * Ranks:   collective. */
TDO_MUST tdo_err tdo_comm_agree_(tdo_comm *c, tdo_err err);
TDO_MUST static inline tdo_err tdo_comm_agree(tdo_comm *c, tdo_err err)
{
    const tdo_err agreed = tdo_comm_agree_(c, err);
    TDO_PROMISE(err == TDO_OK || agreed != TDO_OK);
    return agreed;
}

/* The same where ranks went through neighbouring parts of one whole: of those that failed only the
 * lowest is heard, so the message is that of any number of ranks.
 *
 * Ranks:   collective. */
TDO_MUST tdo_err tdo_comm_agree_first(tdo_comm *c, tdo_err err);

/* Print the record of this thread unless tdo_comm_agree has done so: what a main program calls
 * at its end. Nothing is printed for TDO_OK. c may be NULL (no communicator yet).
 * Ranks:   not collective. */
void tdo_comm_report(const tdo_comm *c, tdo_err err);

/* Print the record (if it was not yet) and end all ranks with the exit code of err.
 * Ranks:   not collective; any rank, at any time. */
_Noreturn void tdo_comm_abort(tdo_comm *c, tdo_err err);

/* Copy `bytes` bytes from the root (rank 0) to all.
 * Ranks:   collective; bytes equal on all ranks. */
void tdo_comm_broadcast(tdo_comm *c, void *data, int64_t bytes);

/* One number of each rank, to all of them.
 * Shapes:  all [size].
 * Ranks:   collective. */
void tdo_comm_gather_i64(tdo_comm *c, int64_t mine, int64_t *all);

/* Element-wise minimum, maximum and sum (mod 2^64) over the ranks, in place, to all of them.
 * Shapes:  values [n].
 * Ranks:   collective; n equal on all ranks. */
void tdo_comm_min_i64(tdo_comm *c, int64_t *values, int64_t n);
void tdo_comm_max_i64(tdo_comm *c, int64_t *values, int64_t n);
void tdo_comm_sum_u64(tdo_comm *c, uint64_t *values, int64_t n);

/* Release the communicator, and MPI if tdo_comm_new started it; NULL is fine.
 * Ranks:   collective, last call of the program. */
void tdo_comm_free(tdo_comm **c);

#endif
