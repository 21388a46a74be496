#ifndef TDO_JOBS_SAMPLER_H
#define TDO_JOBS_SAMPLER_H
/* Monte-Carlo votes of a smoothed network, drawn on all ranks.
 *
 *     image -> leases of (image, purpose, block of draws) -> batches of keyed rows -> logits
 *           -> one vote a row -> integer tallies, merged at the root
 *
 * A row of a batch is (image, purpose, draw), and its key says so: noise and inner randomness are
 * functions of it. A batch mixes whatever rows the rank holds. So tallies, and the hashes of all
 * logits, are the same for any number of ranks, any batch and any order. */
#include "defenses/noise.h"
#include "jobs/network.h"
#include "mpi/dataset.h"
#include "mpi/votes.h"

typedef struct tdo_sampler tdo_sampler;

struct tdo_sampler_options {
    enum tdo_split split;
    int64_t images, skip; /* image i is row i * skip of the split */
    int64_t n0, n;        /* draws of class selection and of estimation, for each image */
    int64_t batch;
    enum tdo_noise_law law;
    double sigma;
    const tdo_rounded *table; /* rounded law; borrowed */
    uint32_t seed;
    bool hash, profile;
    const char *dir;  /* run directory: finished blocks go to its ledger (mpi/ledger.h) */
    uint64_t context; /* what recorded votes must match */
};

/* Errors: those of building the network's plan; local, agree on them.
 * Ranks: collective, options equal on all ranks. Owner: caller; comm, n and d are borrowed. */
TDO_MUST tdo_err tdo_sampler_new(tdo_comm *comm, struct tdo_network *n, const tdo_dataset *d,
                                 const struct tdo_sampler_options *o, tdo_sampler **out);
void tdo_sampler_free(tdo_sampler **s);

/* Draw everything that the ledger does not hold yet, showing progress. *per_second: samples a
 * second of all ranks together.
 * Errors: those of the ledger; TDO_ERR_NUMERIC naming image and draw of a logit that is no number; reading errors.
 * Ranks: collective; errors are agreed. */
TDO_MUST tdo_err tdo_sampler_run(tdo_sampler *s, double *per_second);

/* The tallies, at the root of all ranks after tdo_votes_merge. Borrowed. */
tdo_votes *tdo_sampler_votes(const tdo_sampler *s);

/* Where the time of a forward pass went on this rank (with `profile`). */
void tdo_sampler_print(const tdo_sampler *s, FILE *to);

#endif
