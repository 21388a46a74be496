#ifndef TDO_DEFENSES_SCHEDULE_H
#define TDO_DEFENSES_SCHEDULE_H
/* The schedule of looks of a sequential certification: when the votes of an image are looked
 * at, and which share of alpha each look may spend.
 *
 * It is fixed before the first vote and is a plain struct without pointers, so that it can be
 * written into a certificate and read back. Sound is any schedule whose shares add up to no
 * more than alpha (README.md has the proof); tdo_schedule_check demands just that, of what is
 * made here and of what is read from a file. */
#include <stdbool.h>
#include <stdint.h>

#include "nn/base/error.h"
#include "nn/base/json.h"

/* When an image needs no more votes:
 *     fixed      at n (Cohen et al. 2019)
 *     radii      when each target radius is certified or given up
 *     tolerance  when the radius is known to within `tolerance`
 *     million    at n/10, unless the rest of the n votes would raise the radius by more than
 *                `tolerance`, if the share of failures stayed as it is: votes go where their
 *                number, not the network, limits the radius */
enum tdo_schedule_mode {
    TDO_SCHEDULE_FIXED,
    TDO_SCHEDULE_RADII,
    TDO_SCHEDULE_TOLERANCE,
    TDO_SCHEDULE_MILLION
};

/* group: binomial tails at looks 200, 400, 800 ... and n; early looks share .1 alpha, the last
 *        keeps .9 (million: at n/10 and n)
 * kt:    many looks, at all of which a confidence sequence at alpha/2 is asked, and a binomial
 *        tail at the last with the other half; for radii and tolerance only */
enum tdo_schedule_test { TDO_SCHEDULE_GROUP, TDO_SCHEDULE_KT };

enum { TDO_SCHEDULE_LOOKS = 192, TDO_SCHEDULE_TARGETS = 16, TDO_SCHEDULE_FIRST = 200 };

struct tdo_schedule_options {
    enum tdo_schedule_mode mode;
    enum tdo_schedule_test test;
    int64_t n;           /* the most draws an image gets */
    double alpha;        /* probability that the lower bound is wrong, one-sided, per image */
    double beta;         /* the same of the upper bound, on which nothing certified depends */
    double sigma, slack; /* of the noise; pixels in 0..1, total variation */
    double tolerance;    /* tolerance, million: of the radius, in the units of sigma */
    int targets;         /* radii: how many */
    double target[TDO_SCHEDULE_TARGETS]; /* ascending, > 0, units of sigma */
};

struct tdo_look {
    int64_t n;          /* draws so far */
    double alpha, beta; /* spent here on a lower and on an upper binomial bound; 0: not asked */
};

struct tdo_schedule {
    struct tdo_schedule_options o;
    double kt_alpha, kt_beta; /* of the confidence sequence, at all looks; 0: not asked */
    int looks;
    struct tdo_look look[TDO_SCHEDULE_LOOKS]; /* the last has n == o.n */
};

/* Errors: TDO_ERR_CONFIG naming what is out of range: n in 1..2^32-1, 0 < alpha, beta <= 1/2,
 * targets ascending and positive, tolerance positive where it is used. */
TDO_MUST tdo_err tdo_schedule_make(const struct tdo_schedule_options *o,
                                   struct tdo_schedule *out);

/* Is it sound? The options are in range, looks ascend to n, no share is negative, the shares of
 * alpha add up to at most alpha, those of beta to at most beta. Errors: TDO_ERR_CONFIG, the
 * reason. */
TDO_MUST tdo_err tdo_schedule_check(const struct tdo_schedule *s);

/* As JSON and back, bit for bit; what is read is checked.
 * Errors: TDO_ERR_MEMORY, TDO_ERR_FORMAT, those of tdo_schedule_check. Owner of *out: caller.
 */
TDO_MUST tdo_err tdo_schedule_describe(const struct tdo_schedule *s, tdo_json **out);
TDO_MUST tdo_err tdo_schedule_read(const tdo_json *j, struct tdo_schedule *out);

/* "fixed", "radii", "tolerance", "million"; "group", "kt". */
const char *tdo_schedule_mode_name(enum tdo_schedule_mode mode);
const char *tdo_schedule_test_name(enum tdo_schedule_test test);

#endif
