#ifndef TDO_JOBS_VERIFY_VERIFY_H
#define TDO_JOBS_VERIFY_VERIFY_H
/* Checking certificates that somebody made: the parts of testudo verify.
 *
 *     verify_counts.c   does what a file says follow from its counts? needs nothing but the file
 *     verify_rerun.c    are the counts those of the network? draws some blocks again
 *     verify_log.c      logs of others, which hold radii and no counts
 *
 * A defect is a line for people; the job fails when there are any. */
#include <stdio.h>

#include "jobs/certificates.h"
#include "jobs/run.h"

struct tdo_verify {
    tdo_comm *comm;
    const char *path; /* of the file; borrowed */
    FILE *to;         /* where findings are printed, on the root; borrowed */
    int64_t defects;
};

/* One more. Prints on the root, counts everywhere. */
void tdo_verify_defect(struct tdo_verify *v, const char *format, ...) TDO_PRINTF(2, 3);

/* Recompute all that follows from counts and schedule, with exact tails; the images are shared out
 * over the ranks. c: read by every rank. Errors: TDO_ERR_MEMORY, those of defenses/sequential.h.
 * Ranks: collective; errors are agreed. */
TDO_MUST tdo_err tdo_verify_counts(struct tdo_verify *v, const struct tdo_certificates *c,
                                   const struct tdo_certificates_found *found);

struct tdo_verify_rerun {
    const tdo_config *config;
    struct tdo_run *run; /* with its instruction set */
    double share;        /* of all blocks */
    uint32_t seed;       /* which ones */
};

/* Draw blocks again with the network and data of the config, and compare votes and hashes. Where
 * provenance differs, votes may differ by at most 1e-4 of the draws, and no verdict may.
 * Errors: TDO_ERR_CONFIG where network or data are others; those of reading and running them.
 * Ranks: collective; errors are agreed. */
TDO_MUST tdo_err tdo_verify_rerun(struct tdo_verify *v, const struct tdo_certificates *c,
                                  const struct tdo_verify_rerun *o);

/* What a log is said to have been made with. */
struct tdo_verify_log_options {
    int64_t n;
    double alpha, sigma; /* sigma 0: not known, radii are not compared with n and alpha */
};

/* Read a log in the form of locuslab/smoothing (tab-separated: idx label predict radius correct,
 * more columns are fine), print its table of certified accuracy, and what is wrong with its rows:
 * radii above what n and alpha allow, radii rounded up, `correct` against label and predict,
 * radii that are negative or no number. Errors: TDO_ERR_FILE, TDO_ERR_FORMAT naming the line.
 * Ranks: not collective, call on the root. */
TDO_MUST tdo_err tdo_verify_log(struct tdo_verify *v, const struct tdo_verify_log_options *o);

#endif
