#ifndef TDO_JOBS_EVALUATE_H
#define TDO_JOBS_EVALUATE_H
/* What the files of the job `evaluate` share. Its parts, each with the table that says it is done:
 *
 *     evaluate_clean.c        evaluate.tsv      accuracy and loss on clean images
 *     evaluate_tables.c       robustness.tsv    what an attack in this directory did
 *                             transfer.tsv      outcomes of several directories side by side
 *     evaluate_distance.c     distance.tsv      adversarial images and the training set
 *     evaluate_sensitivity.c  sensitivity.tsv   gradients on clean images
 *     evaluate_set.c          denoising.tsv     an adversarial set, layer by layer; what a denoiser
 *                                               makes of it
 *     evaluate_regions.c      regions.tsv       classes over the plane, for images of two numbers
 *
 * A part that was asked for and has no table yet is done. So a directory in which a network was
 * evaluated, and then attacked, can be evaluated again: what is there stays, and is not computed
 * twice. */
#include "jobs/images.h"
#include "jobs/outcomes/outcomes.h"
#include "jobs/run.h"
#include "jobs/voting.h"

enum tdo_evaluate_part {
    TDO_EVALUATE_CLEAN,
    TDO_EVALUATE_TABLES,
    TDO_EVALUATE_TRANSFER,
    TDO_EVALUATE_DISTANCE,
    TDO_EVALUATE_SENSITIVITY,
    TDO_EVALUATE_SET,
    TDO_EVALUATE_REGIONS,
    TDO_EVALUATE_PARTS
};

struct tdo_evaluating {
    struct tdo_job_context *job;
    struct tdo_run run;
    uint64_t todo[TDO_EVALUATE_PARTS]; /* is the part to be done? */
    tdo_dataset *data;
    struct tdo_images images;
    struct tdo_network net;
    struct tdo_voting voting;     /* how it answers, if it is random */
    uint64_t network;             /* its hash */
    uint64_t context;             /* what recorded answers must match */
    struct tdo_outcomes outcomes; /* where the tables or distances are to be made */
};

/* Ranks: all of these are collective, with agreed errors; the root writes and prints. */

TDO_MUST tdo_err tdo_evaluate_clean(struct tdo_evaluating *e);
TDO_MUST tdo_err tdo_evaluate_tables(struct tdo_evaluating *e);
TDO_MUST tdo_err tdo_evaluate_transfer(struct tdo_evaluating *e);
TDO_MUST tdo_err tdo_evaluate_distance(struct tdo_evaluating *e);
TDO_MUST tdo_err tdo_evaluate_sensitivity(struct tdo_evaluating *e);
TDO_MUST tdo_err tdo_evaluate_set(struct tdo_evaluating *e);
TDO_MUST tdo_err tdo_evaluate_regions(struct tdo_evaluating *e);

/* Is evaluate.json, which is there, about this network and these images? Errors: TDO_ERR_CONFIG
 * naming what differs. Ranks: root only. */
TDO_MUST tdo_err tdo_evaluate_check_clean(const struct tdo_evaluating *e);

#endif
