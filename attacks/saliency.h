#ifndef TDO_ATTACKS_SALIENCY_H
#define TDO_ATTACKS_SALIENCY_H
/* The pair of pixels that an adversarial saliency map ranks first.
 *
 *     maximise  (a_p + a_q) (c_p + c_q)   over p < q with a_p + a_q > 0 and c_p + c_q > 0
 *
 * a is the effect of a pixel on the class to reach, -c that on the other classes together. The
 * search is exact and seldom quadratic: no pair with p is better than
 *     (a_p + max a) (c_p + max c),   nor than   ((s_p + max s) / 2)^2,  s = r a + c / r, any r > 0
 * (the mean of r A and C / r is not below their geometric mean), so that one good pair rules out
 * the pixels of lower bounds, and the maxima fall with them.
 * Source: Papernot et al. 2016, equation 10 and algorithm 3 (the map over pairs). */
#include <stdbool.h>
#include <stdint.h>

/* Pixels in the running, in rising order of index. Arrays are the caller's, and are used up. */
struct tdo_saliency {
    int64_t count;
    int32_t *index;
    double *a, *c; /* of index[i] */
};

/* The best pair, of equal ones the lowest p, then q; false if there is none. */
bool tdo_saliency_pair(struct tdo_saliency *s, int32_t pair[2]);
/* The two pixels of largest a, whatever their sign; of equal ones the lowest. False if there are
 * fewer than two. */
bool tdo_saliency_top(const struct tdo_saliency *s, int32_t pair[2]);

#endif
