#ifndef TDO_SCHEDULE_H
#define TDO_SCHEDULE_H
/* Learning rates over time: a function of the step, so a resumed run needs the step alone (and,
 * for plateau, how often the rate was cut so far). */
#include <stdint.h>

enum tdo_schedule_kind {
    TDO_SCHEDULE_CONSTANT,
    TDO_SCHEDULE_STEP,      /* times `factor` after every `every` epochs */
    TDO_SCHEDULE_MULTISTEP, /* times `factor` at each milestone */
    TDO_SCHEDULE_COSINE,    /* half a cosine from `rate` down to `floor` at the last step */
    TDO_SCHEDULE_PLATEAU    /* times `factor` at each cut; someone else says when */
};

enum { TDO_SCHEDULE_MILESTONES = 32 };

struct tdo_schedule {
    enum tdo_schedule_kind kind;
    double rate, factor;
    double floor;  /* no rate is lower, but for the warm-up */
    double warmup; /* epochs: the rate grows linearly, (step + 1) / steps of the warm-up */
    int64_t every;
    double milestone[TDO_SCHEDULE_MILESTONES]; /* epochs, ascending */
    int milestones;
    int64_t epoch_steps, steps; /* of an epoch, of the whole training */
};

/* How many milestones lie at or before the start of this step: the stage of the training. */
int tdo_schedule_stage(const struct tdo_schedule *s, int64_t step);

/* The rate of this step, after `cuts` plateaus. Without warm-up the rates are those of PyTorch's
 * StepLR, MultiStepLR and CosineAnnealingLR; the cosine is taken over the steps behind the warm-up.
 * Sources: Loshchilov and Hutter 2017, eq. 5, without restarts; Goyal et al. 2017, section 2.2. */
double tdo_schedule_rate(const struct tdo_schedule *s, int64_t step, int64_t cuts);

#endif
