#ifndef TDO_MPI_ORIGINS_H
#define TDO_MPI_ORIGINS_H
/* Origins: what a stored set says of each of its images, in the same file, beside x and y:
 *
 *     /             attributes: of "16 hex digits", the hash of the data set that the images are of;
 *                   attack 0, attack 1, ... what each attack was, as JSON (jobs/attack.c)
 *     /<split>/row     int64 [n]  the clean partner: its row in that split of the data set
 *     /<split>/attack  int32 [n]  which of the attacks made the image
 *     /<split>/eps     f64   [n]  radius of its ball; NaN: the attack has none
 *
 * Sets of earlier versions and of other programs have no origins, and are sets all the same. */
#include "mpi/dataset.h"

struct tdo_origins {
    uint64_t data;
    int64_t rows; /* 0: there are none */
    int64_t *row;
    int32_t *attack;
    double *eps;
    int attacks;
    char **about; /* [attacks] */
};

/* What the writer's file shall say when it is finished. Borrowed until then.
 * Ranks: the root calls it; elsewhere it does nothing. */
void tdo_origins_write(tdo_dataset_writer *w, const struct tdo_origins *o);

/* Those of a stored set, on every rank; rows = 0 where the file has none.
 * Errors: TDO_ERR_FORMAT naming file and part; TDO_ERR_FILE; TDO_ERR_MEMORY; agreed.
 * Ranks:  collective. Owner: caller, tdo_origins_free, also after an error. */
TDO_MUST tdo_err tdo_origins_read(tdo_comm *comm, const tdo_dataset *d,
                                  struct tdo_origins *out);
void tdo_origins_free(struct tdo_origins *o);

#endif
