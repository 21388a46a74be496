#ifndef TDO_JOBS_TRAIN_H
#define TDO_JOBS_TRAIN_H
/* The training step, shared by the job and its tests: plans, gradient exchange, update. */
#include "jobs/network.h"
#include "mpi/dataset.h"
#include "mpi/gradients.h"
#include "mpi/shard.h"
#include "nn/graph/plan.h"
#include "nn/optim.h"

typedef struct tdo_trainer tdo_trainer;

struct tdo_trainer_options {
    int64_t batch; /* global */
    int shards;
    bool u8; /* raw input is 8-bit values */
    struct tdo_sgd sgd;
};

/* What a step did, summed over the global batch. */
struct tdo_trainer_result {
    double loss; /* mean */
    int64_t correct;
};

/* Compile the step for shards of ceil(batch/shards) rows. n is borrowed; its parameters are what
 * is trained. Ranks: collective; errors are local, agree on them. Owner: caller. */
TDO_MUST tdo_err tdo_trainer_new(tdo_comm *comm, struct tdo_network *n,
                                 const struct tdo_trainer_options *o, tdo_trainer **out);
void tdo_trainer_free(tdo_trainer **t);

/* The rows [first, end) of a global batch of `rows` rows that this rank needs. */
struct tdo_range tdo_trainer_rows(const tdo_trainer *t, int64_t rows);

/* One step. x [k,H,W,C] in the type of the data set, y [k], id [k]: the rows of this rank, k as
 * tdo_trainer_rows says; id is the global row of the data set. step: number of the step, enters
 * the noise. Errors: TDO_ERR_NUMERIC when the loss is not finite (the same on all ranks, before
 * anything was updated); TDO_ERR_COMM. Ranks: collective; rows and step equal on all ranks. */
TDO_MUST tdo_err tdo_trainer_step(tdo_trainer *t, int64_t rows, uint32_t step, const void *x,
                                  const int32_t *y, const int64_t *id,
                                  struct tdo_trainer_result *result);

/* The optimiser's state [weights], for checkpoints; borrowed. After writing to it or to the
 * network's parameters, tell the trainer. */
float *tdo_trainer_velocity(tdo_trainer *t);
void tdo_trainer_touch(tdo_trainer *t);

int64_t tdo_trainer_bytes(const tdo_trainer *t); /* of the plan */

#endif
