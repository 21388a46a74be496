#ifndef TDO_JOBS_ROBUSTNESS_H
#define TDO_JOBS_ROBUSTNESS_H
/* Robustness: what outcomes (outcomes.h) say about a network, as numbers. Pure functions: no model,
 * no ranks, no files; `attack`, `evaluate` and `report` show the same numbers.
 *
 *     right under an attack    predict == label
 *     success                  the attack came where it wanted to (outcomes.h)
 *     fooled                   predict != clean: the attack changed the prediction
 *     right in the worst case  right clean, and under every attack of the list
 *
 * An image that an attack did not take counts neither for nor against it: numbers of an attack are
 * over the images that it took, those of the worst case over images that any took.
 *
 * Distances are in the units of the threat model; sums are made in double, in the order of the
 * images, so they have one value. What is not defined (the mean of no image) is NaN, and `-` in
 * tables. Images of norm 0 are left out of ratios. */
#include <stdio.h>

#include "jobs/outcomes/outcomes.h"

/* Of some images. */
struct tdo_robustness_length {
    double mean, median; /* the median of an even number: the mean of the two in the middle */
};

struct tdo_robustness_row {
    struct tdo_outcomes_attack attack; /* texts borrowed from the outcomes */
    int64_t images, clean, right;      /* that it took; right clean, right under the attack */
    int64_t success, turned;           /* of these, how many were right clean */
    int64_t fooled;
    bool random;         /* has any image more than one draw? */
    double expected;     /* accuracy of a random target: mean of 1 - wrong / draws */
    double lower, upper; /* 95 % interval of it if every image has as many draws (else NaN) */
    struct tdo_robustness_length all[TDO_NORMS], hit[TDO_NORMS]; /* all images; successes */
    double rms_l2; /* sqrt(mean |d|_2^2) over all images: published code of Liu et al. 2018 */
    double rho2;   /* mean |d|_2 / |x|_2 over all images: Yan et al. 2018, section 4 */
    /* Mean |d| / |x| over fooled images, 0 if there are none: in the attack's norm (l2 for l0), as
     * the published code of Zantedeschi et al. 2017 has it; in l2, as their equation 2 has it. */
    double empirical, empirical_l2;
    double queries, gradients; /* means */
};

/* Accuracy over eps, in one norm. */
struct tdo_robustness_point {
    double eps;
    int64_t right, images;
    int attack; /* whose outcomes these are; -1: of several, or of the clean images at eps 0 */
};

enum tdo_robustness_kind {
    TDO_ROBUSTNESS_BALL,    /* attacks that differ in eps alone: a point each, right under it */
    TDO_ROBUSTNESS_MINIMAL, /* one attack without a ball: tdo_robustness_within */
    TDO_ROBUSTNESS_WORST    /* the same for all attacks of this norm together */
};

struct tdo_robustness_curve {
    enum tdo_robustness_kind kind;
    enum tdo_norm norm;
    const char *name, *title; /* of the first attack, borrowed; "worst" */
    int points;
    struct tdo_robustness_point *at; /* by rising eps, the first at 0: clean images */
};

/* A black-box attack that leaves fewer images right than every white-box one that may go as far. */
struct tdo_robustness_mask {
    int black, white; /* attacks; white: the best of those */
    int64_t right;    /* what that one leaves, within the reach of `black` */
};

struct tdo_robustness {
    int64_t images;       /* that any attack took */
    int64_t clean, worst; /* right clean in every attack's eyes; right in the worst case */
    int attacks, curves;
    struct tdo_robustness_row *row;     /* [attacks] */
    struct tdo_robustness_curve *curve; /* [curves] */
    int masks;
    struct tdo_robustness_mask *mask; /* [masks], in the order of the attacks */
};

/* All of it. Curves come norm by norm: its attacks, then the worst case if there are several; attacks
 * that name no norm are in none. o is borrowed until the result is freed.
 * Errors: TDO_ERR_FORMAT of tdo_outcomes_attack; TDO_ERR_MEMORY.
 * Owner:  caller, tdo_robustness_free. */
TDO_MUST tdo_err tdo_robustness_new(const struct tdo_outcomes *o, struct tdo_robustness **out);
void tdo_robustness_free(struct tdo_robustness **r);

/* Images that are right clean, and that attack a has not made wrong by a perturbation whose norm is
 * at most eps. What an attack with a ball in this norm found is no farther than its eps. */
TDO_MUST tdo_err tdo_robustness_within(const struct tdo_outcomes *o, int a, enum tdo_norm norm,
                                       double eps, int64_t *right);

/* The curves alone, appended to r, whose rows are there. Errors: TDO_ERR_MEMORY. */
TDO_MUST tdo_err tdo_robustness_curves(const struct tdo_outcomes *o, struct tdo_robustness *r);

/* The masks alone, into r, whose rows are there. Black-box: a row of attacks.def that needs no
 * gradients, but for `clean`; or one whose gradients are those of other models. One that names no norm
 * reaches as far as it went, and has to do better in every norm. Errors: TDO_ERR_MEMORY. */
TDO_MUST tdo_err tdo_robustness_masking(const struct tdo_outcomes *o, struct tdo_robustness *r);

/* What r->mask[mask] means, in words, without an end; black, white: how to call the attacks. */
void tdo_robustness_say_mask(FILE *to, const struct tdo_robustness *r, int mask,
                             const char *black, const char *white);

/* robustness.tsv: a line for each attack, then `worst`. curve.tsv: a line for each point. */
void tdo_robustness_write_rows(FILE *to, const struct tdo_robustness *r);
void tdo_robustness_write_curves(FILE *to, const struct tdo_robustness *r);
/* A table for people. */
void tdo_robustness_print(FILE *to, const struct tdo_robustness *r);

#endif
