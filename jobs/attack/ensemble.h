#ifndef TDO_JOBS_ENSEMBLE_H
#define TDO_JOBS_ENSEMBLE_H
/* Networks as attacks see them (attacks/target.h): one, or several whose logits are averaged, with
 * what stands in front of them.
 *
 *     pixels ── quantised to levels (BPDA) ── + sigma N ──► every member
 *
 * All members stand in one graph; the numbers of their parameters follow each other. */
#include "attacks/target.h"
#include "jobs/voting.h"

/* What stands in front of a network. */
struct tdo_front {
    const struct tdo_defenses
        *augment;   /* rows of a training that augment, first of all; NULL: none */
    int64_t levels; /* pixels are rounded to so many levels, 0: not at all */
    double sigma;   /* Gaussian noise on pixels, 0: none */
    bool noise;     /* are noise layers inside the networks active? */
    bool shared;    /* one draw of random weights for all samples of a question, of one draw */
    uint32_t seed;  /* of the noise on pixels */
    int scales;     /* sigma in units of the data's deviations: struct tdo_noise */
    double scale[16];
};

struct tdo_ensemble {
    struct tdo_network *member[TDO_TARGET_MEMBERS];
    int members;
    bool owned; /* are they freed with it? */
    struct tdo_front front;
};

/* The front as target.* of a config says it, and that of a network that votes. Errors:
 * TDO_ERR_CONFIG naming the key. */
TDO_MUST tdo_err tdo_front_read(const tdo_config *c, const struct tdo_voting *voting,
                                struct tdo_front *out);

/* One network, borrowed. */
struct tdo_ensemble tdo_ensemble_one(struct tdo_network *n, const struct tdo_front *front);
/* Model files or run directories between commas, for these images, each with a denoiser in front if
 * it is written so (network_front.h).
 * Errors: those of tdo_network_front_member; TDO_ERR_CONFIG naming `key` for too many.
 * Owner: caller, tdo_ensemble_free, also after an error. */
TDO_MUST tdo_err tdo_ensemble_open(const char *key, const char *paths,
                                   const struct tdo_network_data *data,
                                   const struct tdo_front *front, struct tdo_ensemble *out);
void tdo_ensemble_free(struct tdo_ensemble *e);

/* A hash of all members. */
TDO_MUST tdo_err tdo_ensemble_hash(const struct tdo_ensemble *e, uint64_t *hash);

/* For tdo_target_new; e must stay where it is while the target lives. */
struct tdo_target_network tdo_ensemble_target(struct tdo_ensemble *e);

#endif
