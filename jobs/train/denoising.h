#ifndef TDO_JOBS_DENOISING_H
#define TDO_JOBS_DENOISING_H
/* Validation of a denoiser: the rows of its sets whose images are held out, each beside its clean
 * image, scored after every epoch by the loss that it is trained with. */
#include "jobs/network.h"
#include "jobs/train/stack.h"

typedef struct tdo_denoising tdo_denoising;

/* n, whose defenses have the row that denoises, and its guide (NULL: none) are borrowed, as data is.
 * Errors: those of tdo_stack_open_held and of building the plan; TDO_ERR_CONFIG where no row of the
 * sets is held out; agreed. Ranks: collective. Owner: caller, tdo_denoising_free. */
TDO_MUST tdo_err tdo_denoising_open(tdo_comm *comm, const tdo_dataset *data,
                                    struct tdo_network *n, struct tdo_network *guide,
                                    const struct tdo_holdout *h, tdo_denoising **out);
void tdo_denoising_free(tdo_denoising **d);

/* Mean loss of the denoiser as it is now, in the mode of use, and the share of its images that the
 * guide puts into their class (NaN without a guide): the same on all ranks, and for any number.
 * Errors: those of reading; TDO_ERR_NUMERIC for a loss that is not finite; agreed.
 * Ranks: collective. */
TDO_MUST tdo_err tdo_denoising_score(tdo_comm *comm, tdo_denoising *d, double *loss,
                                     double *accuracy);

#endif
