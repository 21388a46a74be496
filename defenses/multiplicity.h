#ifndef TDO_DEFENSES_MULTIPLICITY_H
#define TDO_DEFENSES_MULTIPLICITY_H
/* Many images: what their certificates prove together, about the data set, and about the images
 * that were not certified.
 *
 * A certificate is wrong with probability alpha, each for itself. Statements about all of them
 * need more; README.md says which is valid when, and why. All are exact: binomial tails by ball
 * arithmetic, hypergeometric ones in integers. Errors: TDO_ERR_NUMERIC for arguments out of
 * range. */
#include <stdbool.h>
#include <stdint.h>

#include "nn/base/error.h"

/* The votes at the look where an image stopped. */
struct tdo_evidence {
    int64_t k, n; /* for the selected class, of how many draws */
    double share; /* of alpha that this look may spend: 1 for a fixed number of draws, .9 for
                   * the last look of a group-sequential schedule; the shares of all looks add
                   * up to at most 1, and the schedule was fixed before */
};

enum tdo_multiplicity_method { TDO_MULTIPLICITY_BONFERRONI, TDO_MULTIPLICITY_HOLM };

/* Which images have a vote probability above p0 (for a radius: tdo_exact_normal_cdf_up), such
 * that with probability at least 1 - alpha no answer is wrong. Valid also if images share
 * draws. Holm finds all that Bonferroni finds. p0 in 1/2..1.
 * Shapes: e, above [images]. Source: Bonferroni 1936; Holm 1979. */
TDO_MUST tdo_err tdo_multiplicity_above(enum tdo_multiplicity_method method, int64_t images,
                                        const struct tdo_evidence *e, double p0, double alpha,
                                        bool *above);

/* How many of `images` certificates, each wrong with probability at most alpha, may be wrong: a
 * count that is exceeded with probability at most rho; at most `images`.
 *     any          whatever the images share: the least w with images alpha <= rho (w + 1)
 *     independent  only if the draws of different images are: a quantile of the binomial
 * Source: Markov's inequality; Cohen et al. 2019, appendix, has Bernstein's for the second. */
TDO_MUST tdo_err tdo_multiplicity_wrong_any(int64_t images, double alpha, double rho,
                                            int64_t *wrong);
TDO_MUST tdo_err tdo_multiplicity_wrong_independent(int64_t images, double alpha, double rho,
                                                    int64_t *wrong);

/* Of `total` images, `drawn` were chosen at random without replacement; k of these have a
 * property. The interval for how many of the total have it; each end fails with probability at
 * most alpha. total <= 10^7. */
struct tdo_subset {
    int64_t total, drawn;
};
TDO_MUST tdo_err tdo_multiplicity_subset(const struct tdo_subset *s, int64_t k, double alpha,
                                         int64_t *lower, int64_t *upper);

/* Lower bound, at confidence 1 - rho, on how many of the total are certified truly, when
 * `certified` of the drawn ones have certificates at level alpha: half of rho for certificates
 * that are wrong, half for images not drawn (all of it where drawn == total). */
TDO_MUST tdo_err tdo_multiplicity_dataset(const struct tdo_subset *s, int64_t certified,
                                          double alpha, double rho, bool independent,
                                          int64_t *lower);

/* A ball of this l-infinity radius fits into the l2 ball of `radius` in d dimensions: radius /
 * sqrt(d), rounded down. */
TDO_MUST tdo_err tdo_multiplicity_linf(double radius, int64_t d, double *linf);

#endif
