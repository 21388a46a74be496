#ifndef TDO_DEFENSES_STATISTICS_H
#define TDO_DEFENSES_STATISTICS_H
/* What vote counts prove: confidence bounds, tests and radii, each rounded to its safe side.
 *
 * All decisions rest on ball arithmetic (nn/base/exact.h); doubles are bisected until two
 * neighbours remain and the safe one is returned. Nothing is interpolated, no quantile function
 * of a library is trusted. A bound takes some 1 to 5 ms at n = 100,000: call it once an image,
 * never in a sampling loop.
 *
 * alpha is one-sided unless the name says two-sided. Errors: TDO_ERR_NUMERIC for arguments
 * outside 0 <= k <= n, 0 < alpha < 1, naming them. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/base/error.h"

/* Clopper-Pearson lower bound for k successes in n draws: the largest double p with
 * P(Bin(n,p) >= k) <= alpha, never above the real bound; 0 for k = 0. With probability at least
 * 1 - alpha over the draws, p is at most the true success probability.
 * Source: Clopper and Pearson 1934. */
TDO_MUST tdo_err tdo_statistics_lower_bound(int64_t k, int64_t n, double alpha, double *p);

/* The same from above: p with P(Bin(n,p) <= k) <= alpha, never below the real bound; 1 for k =
 * n. It is 1 minus the lower bound for the n - k failures, hence within 2^-52 of the real
 * bound. */
TDO_MUST tdo_err tdo_statistics_upper_bound(int64_t k, int64_t n, double alpha, double *p);

/* The certified l2 radius sigma Phi^-1(p_lower), rounded down, in the units of sigma; 0 if
 * p_lower <= 1/2 (abstain). p_lower < 1, sigma > 0. Source: Cohen et al. 2019, theorem 1. */
TDO_MUST tdo_err tdo_statistics_radius(double p_lower, double sigma, double *radius);

/* The fewest draws that can certify anything: the smallest n with 2^-n < alpha, for then n
 * votes out of n give the bound alpha^(1/n) > 1/2. 0 < alpha < 1. */
int64_t tdo_statistics_min_samples(double alpha);

/* Exact two-sided test of "k of n came from a fair coin": *reject tells whether its p-value,
 * min(1, 2 P(Bin(n,1/2) >= max(k, n-k))), is <= alpha. In prediction k is the count of the top
 * class and n the count of the top two. Source: Hung and Fithian 2019; Cohen et al. 2019. */
TDO_MUST tdo_err tdo_statistics_two_sided(int64_t k, int64_t n, double alpha, bool *reject);

/* An interval [*lower, *upper] that holds the mean of n probabilities, of which k trials, one of each,
 * succeeded; the trials are independent, their probabilities need not be equal. Each end fails with
 * probability at most alpha. The number of successes is more concentrated than the binomial with
 * the same mean, from one trial away from it on; so it is the Clopper-Pearson interval, with at
 * least one trial to either side of k. Source: Hoeffding 1956, theorem 4. */
TDO_MUST tdo_err tdo_statistics_mean_interval(int64_t k, int64_t n, double alpha, double *lower,
                                              double *upper);

/* Decimal text of a value >= 0 with `decimals` (0 to 100) digits behind the point, cut, never
 * rounded up: the text denotes at most the double's exact value. size: bytes at text. Errors:
 * TDO_ERR_NUMERIC when negative or not finite, or when the text has no room. */
TDO_MUST tdo_err tdo_statistics_format_down(double value, int decimals, char *text,
                                            size_t size);

#endif
