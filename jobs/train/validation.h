#ifndef TDO_JOBS_VALIDATION_H
#define TDO_JOBS_VALIDATION_H
/* Validation during training: images that are not trained on, scored after every epoch.
 *
 * They are a share of the training rows (mpi/holdout.h), a split of another data set, or the
 * validation split of the data set itself. A denoiser is scored elsewhere (denoising.h); here is
 * which images are held out for that. */
#include "jobs/forward.h"
#include "mpi/holdout.h"

struct tdo_validation {
    tdo_dataset *other; /* train.val_file, or NULL */
    const tdo_dataset *data;
    struct tdo_holdout holdout; /* held 0: all training rows are trained on */
    struct tdo_images images;   /* count 0: there is no validation */
    tdo_forward *forward;       /* NULL of a denoiser */
};

/* From train.val_*; v must not move afterwards. data and n are borrowed.
 * Errors: TDO_ERR_CONFIG naming the key; those of opening the file; agreed. Ranks: collective.
 * Owner: caller, tdo_validation_close. */
TDO_MUST tdo_err tdo_validation_open(tdo_comm *comm, const tdo_config *c,
                                     const tdo_dataset *data, struct tdo_network *n,
                                     struct tdo_validation *v);
void tdo_validation_close(struct tdo_validation *v);

/* Mean loss and accuracy of the network as it is now, the same on all ranks.
 * Errors: those of tdo_forward_score, agreed. Ranks: collective. */
TDO_MUST tdo_err tdo_validation_score(tdo_comm *comm, struct tdo_validation *v, double *loss,
                                      double *accuracy);

#endif
