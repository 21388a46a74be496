#ifndef TDO_MPI_VOTES_H
#define TDO_MPI_VOTES_H
/* Votes of a smoothed classifier: integer tallies, exact in any order of adding and merging.
 *
 * For each image: how often each of K classes won, separately for the two purposes of a
 * certificate (class selection and counting never share samples); the sum mod 2^64 of the
 * hashes of all its logits; and the compute time spent on it. Images are numbered 0..images-1
 * here; the caller knows which image of the data each one is. */
#include <stdint.h>

#include "mpi/comm.h"
#include "nn/base/error.h"

typedef struct tdo_votes tdo_votes;

enum tdo_votes_purpose { TDO_VOTES_SELECT, TDO_VOTES_COUNT, TDO_VOTES_PURPOSES };

/* All zero.
 * Errors:  TDO_ERR_MEMORY.
 * Ranks:   not collective.
 * Owner:   caller, tdo_votes_free. */
TDO_MUST tdo_err tdo_votes_new(int64_t images, int classes, tdo_votes **out);

/* One vote for a class, with the hash of its logits (0 if none is wanted).
 * Errors:  TDO_ERR_BUG when image, purpose or class is out of range.
 * Ranks:   not collective. */
TDO_MUST tdo_err tdo_votes_add(tdo_votes *v, int64_t image, enum tdo_votes_purpose purpose,
                               int class_index, uint64_t hash);

/* Tallies of many draws at once, as a ledger holds them.
 * Shapes:  counts [classes].
 * Errors:  TDO_ERR_BUG when image or purpose is out of range.
 * Ranks:   not collective. */
TDO_MUST tdo_err tdo_votes_add_counts(tdo_votes *v, int64_t image,
                                      enum tdo_votes_purpose purpose, const uint64_t *counts,
                                      uint64_t hash);

/* Compute time spent on an image.
 * Ranks:   not collective. */
void tdo_votes_add_time(tdo_votes *v, int64_t image, uint64_t nanoseconds);

/* Move all tallies to the root: its own become the sum, those of the other ranks zero, so that
 * one may add and merge again.
 * Ranks:   collective; images and classes equal on all ranks. */
void tdo_votes_merge(tdo_comm *comm, tdo_votes *v);

/* What there is.
 * Shapes:  tdo_votes_counts gives [classes], borrowed until free.
 * Ranks:   not collective. */
int64_t tdo_votes_images(const tdo_votes *v);
int tdo_votes_classes(const tdo_votes *v);
const uint64_t *tdo_votes_counts(const tdo_votes *v, int64_t image,
                                 enum tdo_votes_purpose purpose);
uint64_t tdo_votes_hash(const tdo_votes *v, int64_t image);
uint64_t tdo_votes_time(const tdo_votes *v, int64_t image); /* nanoseconds */

/* NULL is fine.
 * Ranks:   not collective. */
void tdo_votes_free(tdo_votes **v);

#endif
