#ifndef TDO_JOBS_JUDGE_H
#define TDO_JOBS_JUDGE_H
/* The judge: what a target says of points, with noise that no attack has seen.
 *
 * A target that draws is asked many times about a point, each time with fresh noise; the rule of
 * voting.h makes one answer of the draws. How many of them were wrong, each for itself, tells the
 * probability of a wrong answer of one draw, with an exact binomial interval
 * (jobs/outcomes/robustness.h). */
#include "attacks/target.h"
#include "jobs/voting.h"

typedef struct tdo_judge tdo_judge;

struct tdo_verdict_draws {
    int32_t predict;
    int32_t wrong, draws;
};

/* It judges pixels; behind an input layer that mixes pixels (n->mixed) points in like->units.
 * how: rule and draws of a random target; any other is asked once. Errors: those of tdo_target_new.
 * Ranks: not collective. Owner: caller, tdo_judge_free; what stands behind n is borrowed. */
TDO_MUST tdo_err tdo_judge_new(const struct tdo_target_network *n,
                               const struct tdo_target_options *like,
                               const struct tdo_voting *how, tdo_judge **out);
void tdo_judge_free(tdo_judge **j);

/* The target that is asked. Borrowed. */
tdo_target *tdo_judge_target(tdo_judge *j);

/* Judge points [count,P] of samples `id` with these labels. `series` keeps the draws of two
 * judgements of one sample apart. Errors: those of the target. Ranks: not collective. */
TDO_MUST tdo_err tdo_judge_points(tdo_judge *j, int64_t count, const float *pixels,
                                  const uint64_t *id, const int32_t *label, int series,
                                  struct tdo_verdict_draws *out);

#endif
