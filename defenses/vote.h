#ifndef TDO_DEFENSES_VOTE_H
#define TDO_DEFENSES_VOTE_H
/* Voting rules: what a random classifier says after M draws about an image.
 *
 * A network with noise in front of it or inside it is asked M times. Each draw adds to the score of
 * every class, and the class with the largest score, the lowest of equals, is the answer:
 *
 *     score_c = sum over draws i of V_i(c)
 *
 *     PREDICTION  V = 1 for the draw's first class, 0 for the others          equations 9, 10
 *     WEIGHTED    V = 2^-(rank - 1)                                          equation 11
 *     TOP_TWO     V = 1 for the first class, C for the second, 0 for the rest equation 12
 *     SOFT        V = probability by softmax                                 equation 13
 *     LOGITS      V = logit: what the published code has under the name of 13
 *
 * rank is 1 for the largest logit of a draw; of equal logits the lower class comes first. The text
 * of equation 12 is read as above: it depends on the second class besides the first.
 *
 * SOFT is also the self-ensemble of RSE. SOFT and LOGITS have derivatives: an attack meets them with
 * reduce = probability and reduce = logits (attacks/target.h). The other rules are flat almost
 * everywhere; an attack on them climbs the mean loss or the mean probability of the draws.
 *
 * Pure functions; sums are in double, in the order of the calls.
 * Source: Nemcovsky et al. 2019 (Smoothed Inference), equations 8 to 13; Liu et al. 2018 (RSE),
 * algorithm 1. */
/* As in the choices of vote.rule. */
enum tdo_vote_rule {
    TDO_VOTE_PREDICTION,
    TDO_VOTE_SOFT,
    TDO_VOTE_LOGITS,
    TDO_VOTE_WEIGHTED,
    TDO_VOTE_TOP_TWO,
    TDO_VOTE_RULES
};
#define TDO_VOTE_CHOICES "prediction|soft|logits|weighted|top2"

struct tdo_vote {
    enum tdo_vote_rule rule;
    double second; /* C of TOP_TWO */
};

const char *tdo_vote_name(enum tdo_vote_rule rule);

/* Add what one draw says, logits z [classes], to score [classes], which starts as zeros. */
void tdo_vote_add(const struct tdo_vote *v, const float *z, int classes, double *score);

/* The lowest class of a largest score. */
int tdo_vote_class(const double *score, int classes);
/* Classes in front of this one when sorted by falling score, equal ones by index. */
int tdo_vote_place(const double *score, int classes, int class);

/* What part of the whole a class has after `draws` draws, 0 to 1: its mean probability (SOFT), its
 * probability by the mean logits (LOGITS), else its share of all that was added. */
double tdo_vote_share(const struct tdo_vote *v, const double *score, int classes, int draws,
                      int class);

/* Cross entropy: -log of the share, where that is a probability (SOFT, LOGITS), else NaN. A mean
 * probability below 2^-1022 counts as that. */
double tdo_vote_loss(const struct tdo_vote *v, const double *score, int classes, int draws,
                     int class);

#endif
