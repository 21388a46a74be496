#ifndef TDO_ATTACKS_SQUASH_H
#define TDO_ATTACKS_SQUASH_H
/* Tanh space: the box without borders.
 *
 *     u = low + (high - low) (1 + tanh w) / 2
 *
 * Every w is a point inside the box, so a search over w needs no clipping. A point on the border
 * has no finite w: points are drawn in by 1e-6 of half the range first, as published.
 * Source: Carlini and Wagner 2017, section V-B. */
#include "attacks/attack.h"

/* u [P] to w [P], and back. */
void tdo_squash_from(const struct tdo_box *box, const float *u, float *w);
void tdo_squash_to(const struct tdo_box *box, const float *w, float *u);
/* g [P] times du/dw: dJ/du becomes dJ/dw. */
void tdo_squash_chain(const struct tdo_box *box, const float *w, float *g);

/* Is there a box? TDO_ERR_CONFIG naming the key. For tdo_attack.check. */
TDO_MUST tdo_err tdo_squash_check(const struct tdo_attack_use *use);

#endif
