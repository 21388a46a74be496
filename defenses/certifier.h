#ifndef TDO_DEFENSES_CERTIFIER_H
#define TDO_DEFENSES_CERTIFIER_H
/* Certifiers: from vote counts to a verdict.
 *
 * A certifier is one file with one row of certifiers.def. It sees integers only: the votes of
 * class selection and those of estimation, which never share draws. */
#include "nn/base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum tdo_verdict { TDO_VERDICT_CERTIFIED, TDO_VERDICT_NOT_CERTIFIED, TDO_VERDICT_ABSTAIN };

struct tdo_certificate {
    enum tdo_verdict verdict;
    int predict;    /* class, -1 when abstaining */
    double p_lower; /* of that class, slack taken off; rounded down */
    double radius;  /* L2, pixels in 0..1; rounded down; 0 when abstaining */
    int64_t n;      /* draws of estimation behind it */
};

struct tdo_certify_options {
    double sigma, alpha; /* alpha one-sided, per image */
    int64_t n0, n;       /* draws of selection and of estimation */
    double slack;        /* total-variation distance of the noise from its law */
};

struct tdo_certifier {
    const char *name, *help, *cite;
    /* Can these options certify anything? TDO_ERR_CONFIG naming key and remedy if not. */
    tdo_err (*check)(const struct tdo_certify_options *o);
    /* select, count [classes]: votes, summing to n0 and n. */
    tdo_err (*decide)(const struct tdo_certify_options *o, const uint64_t *select,
                      const uint64_t *count, int classes, struct tdo_certificate *out);
};

extern const struct tdo_certifier *const tdo_certifier_table[];   /* NULL-ended */
const struct tdo_certifier *tdo_certifier_find(const char *name); /* NULL if absent */

/* The class with most votes, the lowest of several. Shapes: votes [classes]. */
int tdo_certifier_class(const uint64_t *votes, int classes);

/* "certified", "not certified" or "abstain". */
const char *tdo_certifier_verdict(enum tdo_verdict verdict);

#endif
