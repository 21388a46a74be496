#ifndef TDO_JOBS_CERTIFY_OPTIONS_H
#define TDO_JOBS_CERTIFY_OPTIONS_H
/* What is certified and how, for the job that does it and the job that plans it. */
#include "defenses/certifier.h"
#include "defenses/schedule.h"
#include "jobs/sampler.h"

/* In memory that does not move: parts point at each other. */
struct tdo_certify_setting {
    const struct tdo_certifier *certifier;
    struct tdo_certify_options o;
    struct tdo_sampler_options sampling; /* its `what` is certify */
    struct tdo_images images;
    tdo_rounded *table; /* NULL: real noise */
    bool sequential;    /* looks, in place of a fixed number of draws */
    struct tdo_schedule schedule;
};

/* Numbers from certify.* of a config, and the certifier, into a zeroed struct.
 * Errors: TDO_ERR_CONFIG, also where these numbers can certify nothing. Ranks: not collective. */
TDO_MUST tdo_err tdo_certify_options_read(const tdo_config *config,
                                          struct tdo_certify_setting *s);

/* Then the rest: images of data.split, noise with its slack, the schedule of looks. data is borrowed.
 * Errors: TDO_ERR_CONFIG. Ranks: not collective. Owner: caller, tdo_certify_options_free. */
TDO_MUST tdo_err tdo_certify_options_open(const tdo_config *config, tdo_dataset *data,
                                          struct tdo_certify_setting *s);
void tdo_certify_options_free(struct tdo_certify_setting *s);

#endif
