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
#include "defenses/schedule.h"
#include "jobs/images.h"
#include "jobs/network.h"
#include "mpi/votes.h"

typedef struct tdo_sampler tdo_sampler;

struct tdo_sampler_options {
    const char *what; /* the job, for the progress line */
    int64_t n0, n;    /* draws of class selection (0: none) and of estimation, for each image */
    int64_t batch;
    enum tdo_noise_law law;
    double sigma;
    const tdo_rounded *table; /* rounded law; borrowed */
    uint32_t seed;
    bool hash, profile;
    const char *dir;  /* finished blocks go to the ledger in it (mpi/ledger.h) */
    uint64_t context; /* what recorded votes must match */
    /* Rounds of estimation, for jobs that look at the votes in between: they end at these many
     * draws, the last at n. All but the last are multiples of `block`. looks 0: one round. */
    int looks;
    const struct tdo_look *look; /* borrowed */
    int64_t block;               /* draws of an item; 0: 512 */
};

/* The law of the noise from the choice `key` of a config, at o->sigma: o->law, o->table. Images
 * that are no integers get real noise if nothing was asked for.
 * Errors: of tdo_rounded_new. Ranks: not collective. Owner of *table (NULL: real): caller. */
TDO_MUST tdo_err tdo_sampler_noise(const struct tdo_images *im, const tdo_config *config,
                                   const char *key, struct tdo_sampler_options *o,
                                   tdo_rounded **table);

/* Errors: those of building the network's plan; local, agree on them.
 * Ranks: collective, options equal on all ranks. Owner: caller; comm, n and im are borrowed. */
TDO_MUST tdo_err tdo_sampler_new(tdo_comm *comm, struct tdo_network *n,
                                 const struct tdo_images *im,
                                 const struct tdo_sampler_options *o, tdo_sampler **out);
void tdo_sampler_free(tdo_sampler **s);

/* Draw everything that the ledger does not hold yet, showing progress. *per_second: samples a
 * second of all ranks together.
 * Errors: those of the ledger; TDO_ERR_NUMERIC naming image and draw of a logit that is no number; reading errors.
 * Ranks: collective; errors are agreed. */
TDO_MUST tdo_err tdo_sampler_run(tdo_sampler *s, double *per_second);

/* The same round by round: begin, then each round in order. A round draws what `active` images
 * [images] (NULL: all) want up to its look, class selection in the first; so the votes of an image
 * that is left out from some round on are those of the rounds before, also if an earlier start got
 * further. Errors, ranks: as tdo_sampler_run; active and
 * round equal on all ranks. */
TDO_MUST tdo_err tdo_sampler_begin(tdo_sampler *s);
TDO_MUST tdo_err tdo_sampler_round(tdo_sampler *s, int round, const bool *active);
/* Samples that this start drew so far, and how many a second; true on the root. */
int64_t tdo_sampler_drawn(const tdo_sampler *s, double *per_second);

/* How many a second it would be if no rank ever waited: the sum of what each draws while it does.
 * Ranks: collective. */
double tdo_sampler_ideal(tdo_sampler *s);

/* Bring the tallies of all ranks to the root, and the counts to every rank.
 * Shapes: counts [images][purposes][classes]. Errors: TDO_ERR_MEMORY, agreed.
 * Ranks:  collective; after any round. Owner: caller, tdo_memory_free. */
TDO_MUST tdo_err tdo_sampler_share(tdo_sampler *s, uint64_t **counts);

/* The tallies, at the root of all ranks after tdo_sampler_share. Borrowed. */
const tdo_votes *tdo_sampler_votes(const tdo_sampler *s);

/* A finished block of draws [first, first + draws) of one image, as the ledger has it. */
struct tdo_sampler_block {
    int64_t image, first, draws;
    enum tdo_votes_purpose purpose;
    uint64_t hash;
    const uint64_t *counts; /* [classes], borrowed */
};
typedef tdo_err (*tdo_sampler_visit)(void *user, const struct tdo_sampler_block *b);

/* Hand every block that any start has drawn to `visit`, each once, in any order; also those that
 * no decision rests on. *spent: draws of all of them, with those that were made twice; on the root.
 * Errors: those of the ledger and of visit. Ranks: collective, after the last round; visit is called
 * on the root; errors are agreed. */
TDO_MUST tdo_err tdo_sampler_blocks(tdo_sampler *s, tdo_sampler_visit visit, void *user,
                                    int64_t *spent);

/* XXH64 of image, purpose and draw (u64 each) and the logits (f32), little-endian. message: room for
 * 24 + 4 classes bytes. */
uint64_t tdo_sampler_hash(unsigned char *message, const struct tdo_key *key,
                          const float *logits, int classes);
/* The class of a row of logits. Errors: TDO_ERR_NUMERIC naming image and draw of a logit that is no
 * number. */
TDO_MUST tdo_err tdo_sampler_vote(const struct tdo_key *key, const float *logits, int classes,
                                  int *vote);

/* Where the time of a forward pass went on this rank (with `profile`). */
void tdo_sampler_print(const tdo_sampler *s, FILE *to);

#endif
