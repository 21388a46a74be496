#ifndef TDO_JOBS_REPORT_RESULTS_H
#define TDO_JOBS_REPORT_RESULTS_H
/* What the jobs left in one run directory, read into memory.
 *
 * Each part is optional, but one of them must be there. What is there must be whole: a broken
 * table is an error that names file and line. */
#include <stdbool.h>
#include <stdint.h>

#include "jobs/outcomes/outcomes.h"
#include "jobs/outcomes/robustness.h"
#include "nn/base/json.h"

/* evaluate.json */
struct tdo_results_clean {
    bool there;
    char split[16], precision[16]; /* "-" where an older file does not say */
    int64_t images, correct, top5; /* top5: -1 of few classes */
    double loss;                   /* NaN: a vote without probabilities */
    int64_t draws;                 /* that voted on an image; 0: no vote */
    char rule[16], units[16];      /* of the vote; "-" without */
    double sigma, draw_accuracy;   /* NaN without */
};

/* A line of vote_curve.tsv: images that so many draws get right by this rule. */
struct tdo_results_vote {
    char rule[16];
    int64_t draws, correct;
};

enum tdo_results_metric {
    TDO_RESULTS_LOSS,
    TDO_RESULTS_ACCURACY,
    TDO_RESULTS_VAL_LOSS,
    TDO_RESULTS_VAL_ACCURACY,
    TDO_RESULTS_RATE,
    TDO_RESULTS_METRICS
};

/* A line of metrics.jsonl. */
struct tdo_results_epoch {
    int64_t epoch;
    double metric[TDO_RESULTS_METRICS]; /* NaN: not there */
};

enum { TDO_RESULTS_BINS = 64 };

/* certify.tsv, votes.tsv, p_lower.tsv and what run.json says of the job */
struct tdo_results_certificates {
    int64_t images, abstained, correct;
    double *limit;    /* [images] sorted radii; -1 where wrong or abstaining */
    double average;   /* radius, 0 where wrong or abstaining */
    int64_t majority; /* images whose votes of estimation are most for the label; -1 unknown */
    int bins;         /* of p_lower.tsv; 0: it is not there */
    int64_t bin[TDO_RESULTS_BINS];            /* images; [0]: abstained on */
    double sigma, alpha;                      /* NaN: not said */
    char certifier[32], n[24], precision[16]; /* "-" where not said */
};

struct tdo_results {
    const char *dir;  /* borrowed */
    const char *name; /* of the run, for tables and legends; borrowed */
    char model[64];   /* "-" where not said */
    char data[1024];  /* the data set that was attacked; empty: not said */
    struct tdo_results_clean clean;
    int64_t votes;
    struct tdo_results_vote *vote; /* [votes] */
    int64_t epochs;
    struct tdo_results_epoch *epoch;
    struct tdo_results_certificates certificates;
    struct tdo_outcomes outcomes;      /* attacks 0: none */
    struct tdo_robustness *robustness; /* NULL: none */
    char (*label)[192]; /* [attacks] how a report calls them: their titles here */
};

/* dir and name are borrowed until free. Errors: TDO_ERR_FILE when there is no such directory or
 * nothing to report in it; TDO_ERR_FORMAT naming file and line. Owner: caller, tdo_results_free,
 * also after an error. */
TDO_MUST tdo_err tdo_results_read(const char *dir, const char *name, struct tdo_results *out);
void tdo_results_free(struct tdo_results *r);

#endif
