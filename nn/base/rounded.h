#ifndef TDO_BASE_ROUNDED_H
#define TDO_BASE_ROUNDED_H
/* Rounded Gaussian noise for 8-bit pixels: the integer round(255 sigma N), N ~ N(0,1).
 *
 * If x is on the 1/255 grid, round(255 (x + sigma N)) = 255 x + round(255 sigma N); sampling
 * this integer exactly is smoothing the network composed with rounding, for which the
 * real-number theorem of Cohen et al. 2019 holds without any floating-point argument (Voracek
 * and Hein 2023).
 *
 * An integer is found from a 64-bit word among the thresholds 2^64 Phi((k+1/2)/(255 sigma)),
 * each rounded to nearest from ball arithmetic (exact.h). A guide table over the upper 16 bits
 * makes that one look-up and a short walk. The upper 32 bits are the draw's word (rng.h); only
 * when they equal the upper word of a threshold are 32 more taken, from the same counter under
 * TDO_PURPOSE_REFINE. */
#include <stdint.h>

#include "nn/base/error.h"
#include "nn/base/rng.h"

typedef struct tdo_rounded tdo_rounded;

/* sigma in units of [0,1] pixels, 0 < sigma <= 16, else TDO_ERR_CONFIG. Takes 5 ms for sigma
 * 0.25, 0.25 s for 16. 255 sigma is rounded up to a double: wider noise keeps the radius valid.
 * Owner: caller. Source: Voracek and Hein 2023. */
TDO_MUST tdo_err tdo_rounded_new(double sigma, tdo_rounded **out);
void tdo_rounded_free(tdo_rounded **r);

/* Elements [first, first+n) of a draw as integer-valued floats in units of 1/255, into out [n];
 * first a multiple of 4; the purpose of s without TDO_PURPOSE_REFINE. The result is that of a
 * search for the 64-bit word (upper: the element's word, lower: that of the refining stream).
 * Safe in every thread. */
void tdo_rounded_draw(const tdo_rounded *r, const struct tdo_stream *s, const struct tdo_key *k,
                      int64_t first, int64_t n, float *out);

/* The thresholds, in order, *count of them, always an even number: entry i belongs to the edge
 * k + 1/2 with k = i - *count / 2. For those who check a certificate. Borrowed from r. */
const uint64_t *tdo_rounded_thresholds(const tdo_rounded *r, int64_t *count);

/* An upper bound, as a double, on the total-variation distance between `pixels` sampled
 * integers and as many exact ones: pixels * (thresholds * 2^-65 + cut tails). Rounded up. */
double tdo_rounded_slack(const tdo_rounded *r, int64_t pixels);

#endif
