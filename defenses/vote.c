/* Voting rules. See vote.h. */
#include "defenses/vote.h"

#include <float.h>
#include <math.h>

const char *tdo_vote_name(enum tdo_vote_rule rule)
{
    static const char *const name[] = {"prediction", "soft", "logits", "weighted", "top2"};
    return name[rule];
}

/* ---- one draw ----------------------------------------------------------------------------------- */

static int largest(const float *z, int classes)
{
    int best = 0;
    for (int k = 1; k < classes; k++) {
        best = z[k] > z[best] ? k : best;
    }
    return best;
}

/* rank - 1 */
static int place_of(const float *z, int classes, int class)
{
    int before = 0;
    for (int k = 0; k < classes; k++) {
        before += z[k] > z[class] || (k < class && z[k] == z[class]);
    }
    return before;
}

static void add_probabilities(const float *z, int classes, double *score)
{
    const double top = (double)z[largest(z, classes)];
    double sum = 0;
    for (int k = 0; k < classes; k++) {
        sum += exp((double)z[k] - top);
    }
    for (int k = 0; k < classes; k++) {
        score[k] += exp((double)z[k] - top) / sum;
    }
}

void tdo_vote_add(const struct tdo_vote *v, const float *z, int classes, double *score)
{
    switch (v->rule) {
    case TDO_VOTE_PREDICTION:
        score[largest(z, classes)] += 1;
        break;
    case TDO_VOTE_SOFT:
        add_probabilities(z, classes, score);
        break;
    case TDO_VOTE_LOGITS:
        for (int k = 0; k < classes; k++) {
            score[k] += (double)z[k];
        }
        break;
    case TDO_VOTE_WEIGHTED:
        for (int k = 0; k < classes; k++) {
            score[k] += ldexp(1, -place_of(z, classes, k));
        }
        break;
    case TDO_VOTE_TOP_TWO:
        for (int k = 0; k < classes; k++) {
            const int place = place_of(z, classes, k);
            score[k] += place == 0 ? 1 : place == 1 ? v->second : 0;
        }
        break;
    case TDO_VOTE_RULES:
        break;
    }
}

/* ---- all draws ---------------------------------------------------------------------------------- */

int tdo_vote_class(const double *score, int classes)
{
    int best = 0;
    for (int k = 1; k < classes; k++) {
        best = score[k] > score[best] ? k : best;
    }
    return best;
}

int tdo_vote_place(const double *score, int classes, int class)
{
    int before = 0;
    for (int k = 0; k < classes; k++) {
        before += score[k] > score[class] || (k < class && score[k] == score[class]);
    }
    return before;
}

double tdo_vote_share(const struct tdo_vote *v, const double *score, int classes, int draws,
                      int class)
{
    const double top = score[tdo_vote_class(score, classes)], m = draws;
    double sum = 0;
    if (v->rule == TDO_VOTE_SOFT) {
        return score[class] / m;
    }
    for (int k = 0; k < classes; k++) {
        sum += v->rule == TDO_VOTE_LOGITS ? exp((score[k] - top) / m) : score[k];
    }
    return (v->rule == TDO_VOTE_LOGITS ? exp((score[class] - top) / m) : score[class]) / sum;
}

double tdo_vote_loss(const struct tdo_vote *v, const double *score, int classes, int draws,
                     int class)
{
    const double top = score[tdo_vote_class(score, classes)], m = draws;
    double sum = 0;
    if (v->rule == TDO_VOTE_SOFT) {
        return -log(fmax(score[class] / m, DBL_MIN));
    }
    for (int k = 0; k < classes; k++) {
        sum += exp((score[k] - top) / m);
    }
    return v->rule == TDO_VOTE_LOGITS ? log(sum) + (top - score[class]) / m : (double)NAN;
}
