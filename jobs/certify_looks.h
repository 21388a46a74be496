#ifndef TDO_JOBS_CERTIFY_LOOKS_H
#define TDO_JOBS_CERTIFY_LOOKS_H
/* Sequential certification on all ranks: rounds of votes, with a look after each.
 *
 *     round j: leases over (image, block) of the images that are undecided
 *           -> counts to every rank -> every rank decides the same images by integer thresholds
 *
 * So decided images leave their place to the others, and no vote beyond a decision is drawn. What
 * is decided depends on the votes of the image alone; ranks, batches and kills change nothing. */
#include "defenses/certifier.h"
#include "defenses/schedule.h"
#include "jobs/run.h"
#include "jobs/sampler.h"

/* The schedule that certify.mode, certify.test, certify.radii, certify.tolerance and certify.beta
 * ask for; o: with slack. Errors: TDO_ERR_CONFIG. Ranks: not collective. */
TDO_MUST tdo_err tdo_certify_looks_schedule(const tdo_config *config,
                                            const struct tdo_certify_options *o,
                                            struct tdo_schedule *out);

/* A hash of all that is in a schedule. Errors: TDO_ERR_MEMORY. Ranks: not collective. */
TDO_MUST tdo_err tdo_certify_looks_hash(const struct tdo_schedule *s, uint64_t *hash);

struct tdo_certify_looks { /* all borrowed */
    struct tdo_run *run;
    const struct tdo_schedule *schedule;
    tdo_sampler *sampler;
    int64_t images;
    int classes;
    struct tdo_certificate *certificate; /* [images], zeroed; filled in on every rank */
};

/* Draw and decide. Writes schedule.json into the run directory before the first vote; notes the
 * samples spent in run.json. Ranks: collective; errors are agreed. */
TDO_MUST tdo_err tdo_certify_looks_run(const struct tdo_certify_looks *x);

#endif
