#ifndef TDO_JOBS_SHARES_H
#define TDO_JOBS_SHARES_H
/* Which images an attack of a list takes, where it does not take all of them (attack.N.share).
 *
 * Each image has a place on a circle, keyed by its id. The attacks lie on that circle one after the
 * other, as long as their shares; an attack takes the images within its part:
 *
 *     shares  1/2, 1/4, 1/4, 1      0 |---- 0 ----|- 1 -|- 2 -| 1 = 0
 *                                     |---------- 3 ----------|
 *
 * So attacks whose shares add up to 1 part the images among them, and one with share 1 takes all.
 * Parts are whole multiples of 2^-32 of the circle: they meet exactly, whatever the rounding of the
 * shares. Source of the sets: Liao et al. 2018, section 4.1. */
#include <stdbool.h>
#include <stdint.h>

/* Where the next attack begins; zeroed at the start of a list. */
struct tdo_shares {
    int64_t rounds;
    double part; /* of the circle, 0 <= part < 1 */
};

/* From and to, in 2^-32 of a circle; no more than one round. */
struct tdo_share {
    uint64_t from, end;
};

/* The part of the next attack; 0 < share <= 1. */
struct tdo_share tdo_shares_next(struct tdo_shares *s, double share);
/* The place of an image on the circle, in 2^-32. */
uint32_t tdo_share_place(uint32_t seed, uint64_t id);
/* Is a place within the part? */
bool tdo_share_takes(const struct tdo_share *s, uint32_t place);

#endif
