#ifndef TDO_ATTACKS_THREAT_H
#define TDO_ATTACKS_THREAT_H
/* The threat model: how far a perturbation may go, and in which space that is measured.
 *
 *     ball  |x' - x|_norm <= eps           (an attack that looks for a small norm has none)
 *     box   every pixel of x' in [0,1]     (box = none: published forms that do not clip)
 *
 * Attacks work in `units`: pixel, values in 0..1; or input, (pixel - mean) / std, what the network
 * sees behind its input layer, where norm, eps and step are measured then. In both a perturbation
 * is a vector of P floats, and the box an interval for each of them. Behind an input layer that mixes
 * pixels there is no box. */
#include <stdbool.h>
#include <stdint.h>

#include "nn/base/error.h"

enum tdo_norm { TDO_NORM_L0, TDO_NORM_L2, TDO_NORM_LINF, TDO_NORMS };
enum tdo_units { TDO_UNITS_PIXEL, TDO_UNITS_INPUT };

struct tdo_threat {
    enum tdo_norm norm;
    double eps; /* HUGE_VAL: no ball */
    enum tdo_units units;
    bool boxed;
};

/* "l0", "l2", "linf". */
const char *tdo_threat_norm_name(enum tdo_norm norm);

/* Where points may lie: low[p] <= u[p] <= high[p]. Borrowed. */
struct tdo_box {
    int64_t size;            /* P */
    const float *low, *high; /* [P]; infinite where nothing bounds */
};

/* Norms of u - x (of u alone for x NULL), summed in double in the order of the elements. */
struct tdo_norms {
    double of[TDO_NORMS]; /* by enum tdo_norm */
};
struct tdo_norms tdo_threat_norms(const float *u, const float *x, int64_t size);

/* Bring u into the ball of radius eps around x (L2: scale; L-inf: clip), then into the box. x lies
 * in the box, so the second step leaves no ball. eps may be HUGE_VAL. */
void tdo_threat_project(enum tdo_norm norm, double eps, const struct tdo_box *box,
                        const float *x, float *u);
/* Into the box alone. */
void tdo_threat_clip(const struct tdo_box *box, float *u);

/* u += length * d, where d is the direction of unit norm that climbs g fastest: its sign for
 * L-inf, g / |g|_2 for L2. A gradient of zero moves nothing. */
void tdo_threat_climb(enum tdo_norm norm, double length, const float *g, int64_t size,
                      float *u);

#endif
