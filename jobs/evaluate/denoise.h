#ifndef TDO_JOBS_DENOISE_H
#define TDO_JOBS_DENOISE_H
/* A denoiser by itself: images in, denoised images out, as it would stand in front of a network. */
#include "jobs/network.h"

typedef struct tdo_denoise tdo_denoise;

/* The denoiser in a model file or run directory, for images of this size; `rows` at a time.
 * Errors: those of tdo_network_open; TDO_ERR_CONFIG naming `key` where it is no denoiser.
 * Ranks: not collective. Owner: caller, tdo_denoise_free. */
TDO_MUST tdo_err tdo_denoise_new(const char *key, const char *path,
                                 const struct tdo_network_data *data, int64_t rows,
                                 tdo_denoise **out);
void tdo_denoise_free(tdo_denoise **d);

/* pixels [n,P] -> out [n,P], not clipped, as classifiers get them; n up to `rows`. What becomes of a
 * row does not depend on the others. Errors: those of the plan; TDO_ERR_NUMERIC for a pixel that is
 * no number. */
TDO_MUST tdo_err tdo_denoise_run(tdo_denoise *d, const float *pixels, int64_t n, float *out);

#endif
