#ifndef TDO_JOBS_STACK_H
#define TDO_JOBS_STACK_H
/* The training set: the images of the data set, and what rows of `defense` stack behind them.
 *
 *     id     0 ........... n ........... 2n ........... 3n ......... 3n + m
 *            | data set    | copy 1       | copy 2       | a stored set |
 *
 * A row has an id, which keys its randomness, and comes from an image of the data set, whose label
 * it has. An epoch goes over positions 0, 1, ... of those rows that are trained on: a row whose
 * image is held out for validation has none, so a held-out image does not come back as a copy.
 * Positions and ids are functions of the settings alone: not of ranks, not of time.
 *
 * Where a denoiser is trained its sets stand in place of the images, and a row is a pair: what the set
 * has, and the image of the data set that it was made of. */
#include "defenses/defense.h"
#include "jobs/photos.h"
#include "mpi/dataset.h"
#include "mpi/holdout.h"

typedef struct tdo_stack tdo_stack;

/* Open what the defenses stack behind the train split of `data`. data, d and h are borrowed.
 * Errors: TDO_ERR_CONFIG naming the key (defense.1.file) for what is no stored set of the images
 * of data; those of opening it; agreed. Ranks: collective. Owner: caller, tdo_stack_free. */
TDO_MUST tdo_err tdo_stack_open(tdo_comm *comm, const tdo_dataset *data,
                                const struct tdo_defenses *d, const struct tdo_holdout *h,
                                tdo_stack **out);
/* The same rows, but positions are of those whose image is held out: what validates a denoiser. */
TDO_MUST tdo_err tdo_stack_open_held(tdo_comm *comm, const tdo_dataset *data,
                                     const struct tdo_defenses *d, const struct tdo_holdout *h,
                                     tdo_stack **out);
void tdo_stack_free(tdo_stack **s);

/* How many rows are trained on; the id at position `at` of them; the row of the data set that a row
 * comes from. */
int64_t tdo_stack_rows(const tdo_stack *s);
int64_t tdo_stack_id(const tdo_stack *s, int64_t at);
int64_t tdo_stack_image(const tdo_stack *s, int64_t id);

/* False: nothing is stacked, and rows are read in the type of the data set. True: they are f32, in
 * the units of the data set: 0..255 where that is 8-bit, but any real. */
bool tdo_stack_wide(const tdo_stack *s);

/* True: a row is two images of that kind, [2,H,W,C]: attacked, and clean. */
bool tdo_stack_pairs(const tdo_stack *s);

/* Rows by their ids, for tdo_prefetch_from; one thread at a time. Labels are those of the images. */
struct tdo_prefetch_source tdo_stack_source(tdo_stack *s);

/* Read 8-bit RGB images as `how` says from now on, the epoch being the turn of a request; of a set of
 * files, in so many threads. Errors: TDO_ERR_CONFIG for random parts where something is stacked, or of
 * images that are not 8-bit RGB. */
TDO_MUST tdo_err tdo_stack_read_photos(tdo_stack *s, const struct tdo_photos_reading *how);

/* What is stacked, by content: settings that a checkpoint must match. */
void tdo_stack_describe(const tdo_stack *s, tdo_json *to);

#endif
