#ifndef TDO_ATTACKS_DDN_H
#define TDO_ATTACKS_DDN_H
/* Decoupled direction and norm: the direction of a perturbation follows the gradient, its L2 norm
 * shrinks while the attack has come through and grows while it has not.
 *
 *     d = d + rate_k g / |g|_2          rate_k: from 1 to 0.01 by half a cosine
 *     r = (1 - gamma) r  if x + d has come through, else (1 + gamma) r
 *     u = quantise(clip(x + r d / |d|_2))
 *
 * The shortest d that came through is kept. A gradient of zero gives way to a random direction.
 * Source: Rony et al. 2019, algorithm 1. */
#include "attacks/aim.h"

struct tdo_ddn {
    int steps;
    double init_norm, gamma;
    double max_norm; /* what is found is shortened to it; HUGE_VAL: not */
    int levels;      /* of pixels from 0 to 1; 0: any */
    enum tdo_aim aim;
};

/* Run it. What never comes through stays as it is; with a max_norm the last point is taken, cut to
 * it. Pixels stay on their levels as they are shortened: towards x.
 * Errors: those of the target; TDO_ERR_MEMORY. Ranks: not collective. */
TDO_MUST tdo_err tdo_ddn(const struct tdo_attack_use *use, const struct tdo_ddn *d,
                         tdo_target *t, struct tdo_samples *s);

#define TDO_ATTACK_DDN(init_norm, means)                                                       \
    TDO_ATTACK_REAL("init_norm", 0, 1e6, init_norm, "in units", means),                        \
        TDO_ATTACK_REAL("gamma", 0, 0.999, "0.05", NULL,                                       \
                        "the norm changes by this part of it in each step"),                   \
        TDO_ATTACK_INT("levels", 0, 65536, "256", "grey levels",                               \
                       "that points are rounded to; 0: to none")

#endif
