#ifndef TDO_BASE_RNG_H
#define TDO_BASE_RNG_H
/* Randomness is a function, not a state.
 *
 * Every random number is Philox4x32-10 (Salmon et al. 2011) at a counter that says what the
 * number is for; no rank, thread or clock enters. A job that resumes needs only its step
 * number.
 *
 *   key     = seed : 32, purpose : 8, layer : 24         (k0 = seed, k1 = purpose | layer << 8)
 *   counter = element/4 : 32, sample : 40, draw : 32, step : 24      (low bits first)
 *
 * One counter gives four words; element e of a draw is made from word e % 4 (uniforms) or from
 * the pair that holds it (normals, Box-Muller). The stream is the same for every compiler,
 * optimisation level and instruction set: no libm, no contraction, IEEE single operations only.
 *  */
#include <stdint.h>

#include "nn/base/error.h"

/* The name of all this, for results that others draw again. Changes when a number would. */
#define TDO_RNG_VERSION "philox4x32-10 v1"

/* What a number is for. Never reorder: stored results depend on the values. */
enum tdo_purpose {
    TDO_PURPOSE_INIT = 1,    /* weights; layer = parameter index */
    TDO_PURPOSE_SHUFFLE,     /* epoch permutations; step = epoch */
    TDO_PURPOSE_TRAIN_NOISE, /* Gaussian augmentation */
    TDO_PURPOSE_SELECT,      /* certification, class selection */
    TDO_PURPOSE_ESTIMATE,    /* certification, estimation */
    TDO_PURPOSE_GLYPHS,      /* procedural digits */
    TDO_PURPOSE_AUGMENT,     /* crops and flips */
    TDO_PURPOSE_LAYER_NOISE, /* noise inside a network; layer = noise layer index */
    TDO_PURPOSE_DROPOUT,
    TDO_PURPOSE_ATTACK, /* an attack's own: starts, search directions */
    TDO_PURPOSE_TEST,
    TDO_PURPOSE_ATTACK_DRAW, /* a random target, while it is attacked */
    TDO_PURPOSE_JUDGE, /* a random target's draws that say whether an attack came through */
    TDO_PURPOSE_PLAN,  /* votes that tell how many more a certification will want */
    TDO_PURPOSE_REFINE = 0x80 /* a flag beside the purpose: 32 more bits of the same counter */
};

#define TDO_SAMPLE_BATCH                                                                       \
    ((UINT64_C(1) << 40) - 1) /* reserved id: draws of a batch, not a sample */

/* The key of one row of a batch. */
struct tdo_key {
    uint64_t sample; /* global id, < 2^40 */
    uint32_t draw;
    uint32_t step;    /* < 2^24 */
    uint32_t purpose; /* < 2^8; takes the place of the stream's, except for its flag REFINE; 0
                         leaves it. So one plan serves the draws of class selection and of
                         estimation in one batch. Its streams then differ by their layers only:
                         give each its own, 0 is that of the input noise */
};

/* The key of one stream: fixed when a plan is made. */
struct tdo_stream {
    uint32_t seed;
    uint32_t purpose; /* enum tdo_purpose, < 2^8 */
    uint32_t layer;   /* < 2^24 */
};

/* The bare generator. Source: Salmon et al. 2011, section 3.3 (10 rounds). */
void tdo_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Fails with TDO_ERR_CONFIG when a field is wider than its place in key or counter. */
TDO_MUST tdo_err tdo_rng_check(const struct tdo_stream *s, const struct tdo_key *k);

/* Elements [first, first+n) of a draw into out [n]; the bits of an element do not depend on
 * first and n. first is a multiple of 4, first + n <= 2^34, fields as tdo_rng_check wants them.
 * Safe in every thread.
 *
 * words: 32 random bits each. uniforms: (word >> 8) / 2^24, in [0,1). normals: N(0,1) in f32,
 * by Box-Muller from the pairs (0,1) and (2,3) of a counter's words; 24 bits each for radius
 * and angle, hence |z| <= 5.77; within 1e-6 of the exact function of those bits. */
void tdo_rng_words(const struct tdo_stream *s, const struct tdo_key *k, int64_t first,
                   int64_t n, uint32_t *out);
void tdo_rng_uniforms(const struct tdo_stream *s, const struct tdo_key *k, int64_t first,
                      int64_t n, float *out);
void tdo_rng_normals(const struct tdo_stream *s, const struct tdo_key *k, int64_t first,
                     int64_t n, float *out);

/* Position i of a pseudo-random permutation of 0..n-1 that is a function of (seed, epoch),
 * computable for any i without storing it: a Feistel network on the next power of four with
 * cycle walking; Philox is its round function. 1 <= n < 2^40, 0 <= i < n. About 0.1 to 0.5
 * microseconds. Source: Luby and Rackoff 1988; Black and Rogaway 2002, cycle walking. */
uint64_t tdo_rng_permute(uint32_t seed, uint32_t epoch, uint64_t n, uint64_t i);

#endif
