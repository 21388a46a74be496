#ifndef TDO_JOBS_TRAINER_H
#define TDO_JOBS_TRAINER_H
/* The training step, shared by the job and its tests: plans, gradient exchange, update. */
#include "jobs/network.h"
#include "jobs/train/crafter.h"
#include "mpi/dataset.h"
#include "mpi/gradients.h"
#include "mpi/shard.h"
#include "nn/augment.h"
#include "nn/graph/plan.h"
#include "nn/optim.h"

typedef struct tdo_trainer tdo_trainer;

struct tdo_trainer_options {
    int64_t batch; /* global */
    int shards;
    bool u8;   /* raw input is 8-bit values */
    bool wide; /* rows come as f32, in the units of raw input */
    bool
        pairs; /* a row is two images, attacked and clean: what a row that denoises trains on */
    struct tdo_optim_options optim;
    struct tdo_augment augment;
    double dropout;
    uint32_t seed;  /* of dropout */
    int checkpoint; /* tdo_plan_options.checkpoint: same results, less memory */
    /* Stored networks that defenses train with; borrowed, they outlive the trainer. */
    struct tdo_network *teacher;        /* or guide; NULL: none */
    const struct tdo_ensemble *sources; /* NULL: none */
    const struct tdo_attack_use
        *inner; /* what defenses train on; NULL: on images alone. Borrowed
                                           until tdo_trainer_new returns */
};

/* What a step did, summed over the global batch. */
struct tdo_trainer_result {
    double loss;     /* mean */
    int64_t correct; /* -1: nothing was classified */
};

/* Compile the step for shards of ceil(batch/shards) rows. n is borrowed; its parameters are what
 * is trained. Ranks: collective; errors are local, agree on them. Owner: caller. */
TDO_MUST tdo_err tdo_trainer_new(tdo_comm *comm, struct tdo_network *n,
                                 const struct tdo_trainer_options *o, tdo_trainer **out);
void tdo_trainer_free(tdo_trainer **t);

/* The rows [first, end) of a global batch of `rows` rows that this rank needs. */
struct tdo_range tdo_trainer_rows(const tdo_trainer *t, int64_t rows);

/* A global batch, as one rank sees it. */
struct tdo_trainer_batch {
    int64_t rows;          /* of all ranks */
    uint32_t step;         /* enters the noise */
    int64_t epoch, number; /* from 1, of the epoch and of the batch in it; for messages */
    double rate;
    /* Rows of this rank, as tdo_trainer_rows says: x [k,H,W,C], of pairs [k,2,H,W,C], uint8 (u8,
     * not wide) or f32, y [k], id [k] which key what is random about a row. */
    const void *x;
    const int32_t *y;
    const int64_t *id;
};

/* One step. Errors: TDO_ERR_NUMERIC when the loss is not finite (the same on all ranks, before
 * anything was updated); TDO_ERR_COMM. Ranks: collective; rows, step, rate equal on all ranks. */
TDO_MUST tdo_err tdo_trainer_step(tdo_trainer *t, const struct tdo_trainer_batch *batch,
                                  struct tdo_trainer_result *result);

/* The optimiser; borrowed. */
tdo_optim *tdo_trainer_optim(tdo_trainer *t);
/* The network's parameters were written to. */
void tdo_trainer_touch(tdo_trainer *t);

tdo_plan *tdo_trainer_plan(tdo_trainer *t); /* of a shard; borrowed, for measuring */
/* What a rank holds for its steps, beside parameters and rows: plan, gradients, optimiser. */
int64_t tdo_trainer_bytes(tdo_trainer *t);

#endif
