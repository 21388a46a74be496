#ifndef TDO_JOBS_CERTIFY_OPTIONS_H
#define TDO_JOBS_CERTIFY_OPTIONS_H
/* The settings of a certification, for the job that makes one and the job that plans one. */
#include "defenses/certifier.h"
#include "jobs/sampler.h"

/* From certify.* of a config: numbers for the certifier, for the sampler (its `what` is certify),
 * and the certifier itself. What depends on images and network is the caller's.
 * Errors: TDO_ERR_CONFIG, also where these numbers can certify nothing. Ranks: not collective. */
TDO_MUST tdo_err tdo_certify_options_read(const tdo_config *config,
                                          struct tdo_certify_options *o,
                                          struct tdo_sampler_options *sampling,
                                          const struct tdo_certifier **certifier);

#endif
