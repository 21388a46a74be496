#ifndef TDO_BASE_EXACT_H
#define TDO_BASE_EXACT_H
/* Proven numbers: the few special functions on which a certificate rests, by ball arithmetic.
 *
 * Arb (Johansson 2017) returns a ball that provably contains the true value; precision is
 * raised until the ball decides the question asked. The answers here are therefore exact
 * decisions or one-sided bounds, never estimates. A double that comes in means the real number
 * that it is. exact.c is the only file that includes arb.h. Never called in an inner loop: a
 * decision takes about 0.02 to 3 ms.
 *
 * Errors: TDO_ERR_NUMERIC for an argument outside the stated range, naming it. */
#include <stdbool.h>
#include <stdint.h>

#include "nn/base/error.h"

/* Is P(Bin(n,p) >= k) <= alpha? 0 <= k <= n, 0 <= p <= 1, 0 < alpha < 1. The tail is the
 * regularised incomplete beta function I_p(k, n-k+1). For n <= 64 ties are decided too; beyond,
 * a tie that 8192 bits cannot decide answers false (the safe side). */
TDO_MUST tdo_err tdo_exact_upper_tail_le(int64_t k, int64_t n, double p, double alpha,
                                         bool *le);

/* log P(Bin(n,p) >= k), -inf if the tail is 0. Good to about 40 bits: an estimate that tells a
 * search where to look, proves nothing. */
TDO_MUST tdo_err tdo_exact_upper_tail_log(int64_t k, int64_t n, double p, double *log_tail);

/* The largest double q with q <= Phi^-1(p). 0 < p < 1; exactly 0 for p = 1/2. */
TDO_MUST tdo_err tdo_exact_normal_quantile_down(double p, double *q);

/* round(2^64 Phi((k + 1/2) / scale)), to nearest; saturates at 2^64-1. |k| <= 2^52,
 * 0 < scale <= 1e15. */
TDO_MUST tdo_err tdo_exact_normal_threshold(int64_t k, double scale, uint64_t *word);

/* An upper bound on 1 - Phi((k + 1/2) / scale), tight to a double. Range as above. */
TDO_MUST tdo_err tdo_exact_normal_tail_up(int64_t k, double scale, double *tail);

/* A double no smaller than Phi(r / sigma) + slack, and hardly larger; 1 if that is 1 or more:
 * the least vote probability that certifies radius r. 0 <= r <= 1e6, 1e-6 <= sigma <= 1e6,
 * slack in 0..1. */
TDO_MUST tdo_err tdo_exact_normal_cdf_up(double r, double sigma, double slack, double *p);

/* Is Q >= p^k (1-p)^(n-k) / alpha, with the mixture Q = B(k+1/2, n-k+1/2) / B(1/2, 1/2) of
 * Krichevsky and Trofimov 1981? Then the confidence sequence of level alpha leaves p out after k
 * successes in n draws. 0 <= k <= n, 0 <= p <= 1, 0 < alpha < 1. What 8192 bits cannot decide
 * answers false (the safe side). */
TDO_MUST tdo_err tdo_exact_kt_excludes(int64_t k, int64_t n, double p, double alpha, bool *yes);

/* n balls are drawn without replacement from N, of which K are marked: is P(k or more marked)
 * <= alpha? In integers, ties too. 0 <= k, n, K <= N <= 10^7, 0 < alpha < 1. */
struct tdo_exact_draw {
    int64_t N, K, n;
};
TDO_MUST tdo_err tdo_exact_marked_tail_le(const struct tdo_exact_draw *d, int64_t k,
                                          double alpha, bool *le);

/* The largest double q with q sqrt(d) <= r. r >= 0, finite; d >= 1. */
TDO_MUST tdo_err tdo_exact_over_root_down(double r, int64_t d, double *q);

/* Free the caches that Arb keeps for this thread (before a leak check). */
void tdo_exact_cleanup(void);

#endif
