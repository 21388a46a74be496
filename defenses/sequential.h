#ifndef TDO_DEFENSES_SEQUENTIAL_H
#define TDO_DEFENSES_SEQUENTIAL_H
/* Sequential certification: after each look of a schedule, go on, or stop with a certificate.
 *
 * What a look decides depends on the look and on the count of the selected class there, on
 * nothing else: not on earlier looks, other images, ranks or time. Decisions are comparisons of
 * integers with thresholds that are tabulated at the start, by ball arithmetic, each on its
 * safe side. The bounds themselves (tdo_sequential_report) take milliseconds and are for images
 * that have stopped.
 *
 * Whatever stops an image: with probability at least 1 - alpha the true vote probability is at
 * least the lower bound that is reported. The proof is in README.md. */
#include "defenses/schedule.h"

typedef struct tdo_sequential tdo_sequential;

enum tdo_sequential_action {
    TDO_SEQUENTIAL_GO_ON,     /* to the next look */
    TDO_SEQUENTIAL_CERTIFIED, /* a target radius, or without targets a radius above 0 */
    TDO_SEQUENTIAL_FUTILE,    /* stopped before the last look: nothing will come of it */
    TDO_SEQUENTIAL_ABSTAIN    /* n draws and nothing certified */
};

struct tdo_sequential_step {
    enum tdo_sequential_action action;
    int targets; /* certified ones, the smallest first; also when it goes on */
};

struct tdo_sequential_report {
    double p_lower, p_upper; /* of the class' vote probability, slack included */
    double radius;           /* rounded down; 0 if p_lower <= 1/2 */
    double radius_upper;     /* rounded up; INFINITY if p_upper is 1 */
    double target;           /* largest certified target, else 0; radius is no smaller */
};

/* Tabulate the thresholds of a schedule. Takes about a second at n = 10^6, depends on nothing but
 * the schedule. Errors: those of tdo_schedule_check. Owner: caller. */
TDO_MUST tdo_err tdo_sequential_new(const struct tdo_schedule *s, tdo_sequential **out);
void tdo_sequential_free(tdo_sequential **q);
const struct tdo_schedule *tdo_sequential_schedule(const tdo_sequential *q); /* borrowed */

/* What follows from `count` votes for the selected class after schedule->look[look].n draws. */
struct tdo_sequential_step tdo_sequential_look(const tdo_sequential *q, int look,
                                               int64_t count);

/* What the votes at the look where an image stopped prove. */
TDO_MUST tdo_err tdo_sequential_report(const struct tdo_schedule *s, int look, int64_t count,
                                       struct tdo_sequential_report *out);

/* Lower end of the confidence sequence of Krichevsky and Trofimov: the largest double p, found
 * by bisection, below k/n that is left out at level alpha; 0 if there is none. With probability
 * at least 1 - alpha no look at any number of draws has p above the truth.
 * Source: Ville 1939; Robbins 1970; Voracek 2024. */
TDO_MUST tdo_err tdo_sequential_kt_bound(int64_t k, int64_t n, double alpha, double *p);

/* The least count at a look whose lower bound reaches p, or draws + 1 if none does. */
TDO_MUST tdo_err tdo_sequential_threshold(const struct tdo_schedule *s, int look, double p,
                                          int64_t *count);

#endif
