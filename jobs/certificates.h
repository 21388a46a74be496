#ifndef TDO_JOBS_CERTIFICATES_H
#define TDO_JOBS_CERTIFICATES_H
/* certificates.h5: what a certification proved, with all that it takes to check it.
 *
 * An archive (mpi/archive.h) whose bytes are the same for any number of ranks, any batch, and
 * after any kill. Attributes: settings, the schedule of looks, and provenance. Columns:
 *
 *     idx label predict look n select count p_lower radius verdict stop hash      [images]
 *     block_hash block_entries                                                    [blocks]
 *     vote_class vote_count                                                       [entries]
 *
 * A block is `block` draws of one image and purpose, the last of them what is left. The blocks of
 * an image are those of class selection (of n0 draws), then those of estimation (of n draws), in
 * order; the blocks of all images follow each other. Block b has block_entries[b] classes that
 * were voted for, ascending, with their counts; its hash is the sum mod 2^64 of the XXH64 of
 * (row, purpose, draw, logits) over its draws. So a block can be drawn again and compared. */
#include "defenses/schedule.h"
#include "jobs/images.h"
#include "jobs/network.h"
#include "jobs/sampler.h"

#define TDO_CERTIFICATES_FILE   "certificates.h5"
#define TDO_CERTIFICATES_FORMAT "testudo-certificates-1"

/* Why an image got no more votes. As in the file. */
enum tdo_stop {
    TDO_STOP_CERTIFIED = 1, /* as far as was asked for */
    TDO_STOP_FUTILE,        /* before the last look: nothing will come of it */
    TDO_STOP_EXHAUSTED      /* at the last look, not certified */
};

struct tdo_certificates {
    /* Provenance: what votes depend on. */
    char *version, *generator, *precision, *instruction_set, *convolution, *blas_core;
    char *model, *split, *noise, *certifier;
    uint64_t model_hash, data_hash;
    int64_t seed, skip, split_images, classes, height, width, channels;
    /* What was asked. */
    int64_t n0, block;
    struct tdo_schedule schedule; /* mode, test, n, alpha, beta, sigma, slack, looks, ... */
    /* One entry an image. */
    int64_t images, *idx, *n;
    int32_t *label, *predict, *look;
    uint64_t *select, *count; /* [images][classes] */
    double *p_lower, *radius;
    uint8_t *verdict, *stop; /* enum tdo_verdict, enum tdo_stop */
    uint64_t *hash;
    /* One entry a block, and one a class that got votes in it. */
    int64_t blocks, entries;
    uint64_t *block_hash;
    int32_t *block_entries, *vote_class, *vote_count;
    /* As in the file; the schedule has the same. */
    char *mode, *test;
    int64_t *look_n;
    double *look_alpha, *look_beta, *target;
};

/* Room for images, and the schedule, in a zeroed struct. Blocks and texts are the caller's to set.
 * Errors: TDO_ERR_MEMORY. Owner: caller, tdo_certificates_free, also after an error. */
TDO_MUST tdo_err tdo_certificates_new(int64_t images, int64_t classes,
                                      const struct tdo_schedule *s, struct tdo_certificates *c);
/* A copy of the words in place of what the field had. Errors: TDO_ERR_MEMORY. */
TDO_MUST tdo_err tdo_certificates_text(char **field, const char *words);

/* Write the file under this path. Ranks: not collective, call on one.
 * Errors: TDO_ERR_FILE, TDO_ERR_MEMORY. */
TDO_MUST tdo_err tdo_certificates_write(struct tdo_certificates *c, const char *path);

/* What is odd about a file, apart from what its numbers say. */
struct tdo_certificates_found {
    bool sealed;
    char why[512];
    uint64_t hash, wanted; /* as it stands there; of what stands there */
};

/* Read a file: types and sizes are right, blocks are as many as the counts want; nothing else is
 * checked. Owner: caller, tdo_certificates_free, also after an error.
 * Errors: TDO_ERR_FILE, TDO_ERR_FORMAT naming the file, TDO_ERR_MEMORY. Ranks: not collective. */
TDO_MUST tdo_err tdo_certificates_read(const char *path, struct tdo_certificates *c,
                                       struct tdo_certificates_found *found);
void tdo_certificates_free(struct tdo_certificates *c);

/* Blocks of so many draws; the blocks of image i, and the first of them. */
int64_t tdo_certificates_blocks(const struct tdo_certificates *c, int64_t draws);
int64_t tdo_certificates_image_blocks(const struct tdo_certificates *c, int64_t i);

/* The look of a schedule that comes after n draws; the last if none does. */
int tdo_certificates_look(const struct tdo_schedule *s, int64_t n);

/* The reason why an image stopped, by look and verdict; its name: "certified", "futile",
 * "exhausted". */
enum tdo_stop tdo_certificates_stop(const struct tdo_schedule *s, int look, bool certified);
const char *tdo_certificates_stop_name(int stop);

/* "rounded" or "real": the law of the noise. */
const char *tdo_certificates_noise_name(enum tdo_noise_law law);

#endif
