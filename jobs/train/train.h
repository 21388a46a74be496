#ifndef TDO_JOBS_TRAIN_H
#define TDO_JOBS_TRAIN_H
/* A training, as the files train*.c share it.
 *
 *     train.c          the job: open, steps, what follows an epoch, close
 *     train_input.c    the mean training image and what else the input layer learns from data
 *     train_options.c  train.* of the config -> schedule, optimiser, watch
 *     stack.c          the images that are trained on: those of the data set, copies, stored sets
 *     denoising.c      what validates a denoiser
 *     train_state.c    metrics.jsonl; checkpoints: everything that a resumed run needs */
#include "jobs/run.h"
#include "jobs/stop.h"
#include "jobs/train/denoising.h"
#include "jobs/train/stack.h"
#include "jobs/train/stored.h"
#include "jobs/train/trainer.h"
#include "jobs/train/validation.h"
#include "jobs/train/watch.h"
#include "nn/schedule.h"

/* The watched metric (train.metric), in the order of its choices. */
enum tdo_metric {
    TDO_METRIC_VAL_ACCURACY,
    TDO_METRIC_VAL_LOSS,
    TDO_METRIC_ACCURACY,
    TDO_METRIC_LOSS,
    TDO_METRICS
};

enum tdo_training_count {
    TDO_TRAINING_STEP,    /* steps done */
    TDO_TRAINING_CONTEXT, /* what must match */
    TDO_TRAINING_STOPPED, /* 1: patience is at its end */
    TDO_TRAINING_ROWS,    /* of this epoch so far */
    TDO_TRAINING_CORRECT, /* of these */
    TDO_TRAINING_COUNTS
};

struct tdo_training {
    struct tdo_run run;
    tdo_dataset *data;
    struct tdo_network net;
    struct tdo_stored stored;
    tdo_trainer *trainer;
    tdo_prefetch *prefetch;
    struct tdo_validation validation;
    tdo_denoising *denoising; /* of a denoiser that is validated; else NULL */
    tdo_stack *stack;

    struct tdo_schedule schedule;
    struct tdo_watch watch;
    enum tdo_metric metric;
    bool reset,
        reload; /* at a milestone: the optimiser starts afresh; back to the best weights */
    struct tdo_order order;
    int64_t *id[2]; /* rows of this rank in the present batch and the next, as in the stack */
    int64_t batch, steps, steps_per_epoch, save;
    double waited; /* seconds of this rank, for rows that were asked for */

    /* The state, beside weights and optimiser. */
    int64_t count[TDO_TRAINING_COUNTS];
    double loss;                  /* sum over the rows of this epoch so far */
    float *kept[TDO_PARAM_FIXED]; /* blocks of the best (worst) epoch; NULL: keep the last */
    char *metrics;                /* text of metrics.jsonl, on every rank */
    int64_t metrics_bytes;

    struct tdo_stop_pace pace;
};

/* ---- train_input.c: collective, errors are agreed ---- */

/* Fill in the tensors of the input layer, if n has some, from all training images of d: the mean
 * image of the file; contrast and whitening by one or two passes over the images on the root. */
TDO_MUST tdo_err tdo_train_input(tdo_comm *comm, const tdo_dataset *d, struct tdo_network *n);

/* ---- train_options.c: local, agree on errors ---- */

struct tdo_trainer_options tdo_train_step_options(const tdo_config *c, bool u8);
/* train.area, train.aspect, data.threads. */
TDO_MUST tdo_err tdo_train_read_photos(const tdo_config *c, tdo_stack *s);
/* Fill order, schedule and step counts of t, whose data set, validation and stack are open. */
TDO_MUST tdo_err tdo_train_plan_steps(const tdo_config *c, struct tdo_training *t);
/* Fill watch, metric, reset, reload; make room for kept weights. */
TDO_MUST tdo_err tdo_train_plan_watch(const tdo_config *c, struct tdo_training *t);

/* ---- train_state.c: collective, errors are agreed ---- */

/* What a checkpoint must match: everything that can change a weight, but not how far to go. */
TDO_MUST tdo_err tdo_train_make_context(const tdo_config *c, struct tdo_training *t);
/* Go on from the newest checkpoint, if there is one. */
TDO_MUST tdo_err tdo_train_recall(struct tdo_training *t);
/* Checkpoint and metrics.jsonl. */
TDO_MUST tdo_err tdo_train_store(struct tdo_training *t);
/* One more line of metrics, and one of the log; begins the next epoch's sums. Not collective. */
TDO_MUST tdo_err tdo_train_record(struct tdo_training *t, const double metric[TDO_METRICS]);

/* Copy the weights to the kept ones, or back. */
void tdo_train_keep(struct tdo_training *t);
void tdo_train_restore(struct tdo_training *t);

#endif
