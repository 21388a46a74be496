#ifndef TDO_JOBS_STORED_H
#define TDO_JOBS_STORED_H
/* Stored networks that defenses train with: a teacher or guide, and sources of attacks. They are used as they
 * are, in evaluation mode, and never change. */
#include "jobs/attack/ensemble.h"

struct tdo_stored {
    struct tdo_ensemble teacher; /* one member; none where no row asks for it */
    struct tdo_ensemble sources; /* each by itself; none where no row asks for them */
};

/* Open what the defenses of n ask for; `data` are the images that are trained on. Errors: those of tdo_ensemble_open, and TDO_ERR_CONFIG
 * naming the key; local, agree on them. Ranks: not collective. Owner: caller, tdo_stored_free, also
 * after an error. */
TDO_MUST tdo_err tdo_stored_open(const struct tdo_network *n,
                                 const struct tdo_network_data *data, struct tdo_stored *out);
void tdo_stored_free(struct tdo_stored *s);

/* Put hashes of them into an object, "teacher" and "sources"; nothing where there are none. */
TDO_MUST tdo_err tdo_stored_describe(const struct tdo_stored *s, tdo_json *to);

#endif
