#ifndef TDO_JOBS_DENOISE_H
#define TDO_JOBS_DENOISE_H
/* What stands in front of a network, by itself: images in, and out what the network is shown. */
#include "jobs/network.h"

typedef struct tdo_denoise tdo_denoise;

/* The denoisers in front of n (network_front.h: their mean, as far as model.denoise goes), for `rows`
 * images at a time; n is borrowed. Errors: those of building the plan; TDO_ERR_BUG where there are none.
 * Ranks: not collective. Owner: caller, tdo_denoise_free. */
TDO_MUST tdo_err tdo_denoise_new(struct tdo_network *n, int64_t rows, tdo_denoise **out);
void tdo_denoise_free(tdo_denoise **d);

/* pixels [n,P] -> out [n,P], not clipped, as classifiers get them; n up to `rows`. What becomes of a
 * row does not depend on the others. Errors: those of the plan; TDO_ERR_NUMERIC for a pixel that is
 * no number. */
TDO_MUST tdo_err tdo_denoise_run(tdo_denoise *d, const float *pixels, int64_t n, float *out);

#endif
