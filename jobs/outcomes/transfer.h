#ifndef TDO_JOBS_TRANSFER_H
#define TDO_JOBS_TRANSFER_H
/* A transfer matrix: outcomes of several runs over the same images, side by side. A row is an
 * attack, by its title; a column is a run, whose network was attacked, or was shown what was made
 * for another one. */
#include <stdio.h>

#include "jobs/outcomes/outcomes.h"

struct tdo_transfer {
    int attacks, runs;
    const char **title; /* [attacks] all titles, in the order in which they come; borrowed */
    int64_t *right;     /* [attacks][runs] of the images that the attack took, */
    int64_t *taken;     /* so many; 0: the run does not have this attack */
};

/* Errors: TDO_ERR_CONFIG naming two runs whose images are not the same (data, split, skip or number
 * of images); TDO_ERR_FORMAT, TDO_ERR_MEMORY. o [runs] is borrowed until the result is freed, name
 * [runs] until return. Owner: caller, tdo_transfer_free. */
TDO_MUST tdo_err tdo_transfer_new(const struct tdo_outcomes *o, const char *const *name,
                                  int runs, struct tdo_transfer **out);
void tdo_transfer_free(struct tdo_transfer **t);
/* transfer.tsv: `attack`, then a column with the accuracy in percent for each name [runs]. */
void tdo_transfer_write(FILE *to, const struct tdo_transfer *t, const char *const *name);
/* The same for people. */
void tdo_transfer_print(FILE *to, const struct tdo_transfer *t, const char *const *name);

#endif
