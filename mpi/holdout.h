#ifndef TDO_MPI_HOLDOUT_H
#define TDO_MPI_HOLDOUT_H
/* Rows held out of the training rows for validation: pure functions, the same on every rank.
 *
 * The training rows may be a part of those of the data set, evenly spread over it: of a file that is
 * sorted by class they have every class.
 *
 * spread: the rows are cut into as many groups of neighbours as rows are held out, and one row of
 * each group is taken at random. Files that are sorted by class give every class its share, and
 * training rows stay near their neighbours on the disk. last: the rows at the end. */
#include <stdbool.h>
#include <stdint.h>

struct tdo_holdout {
    int64_t rows, held; /* all, and held out: 0 <= held < rows, held < 2^31 */
    int64_t of; /* rows of the data set, less than 2^40; 0: as many. More: rows < 2^31 */
    bool last;
    uint32_t seed;
};

/* The row of the data set that training row j is, 0 <= j < rows - held; ascending in j.
 * Ranks:   not collective. */
int64_t tdo_holdout_train(const struct tdo_holdout *h, int64_t j);

/* The row of the data set that validation row j is, 0 <= j < held; ascending in j.
 * Ranks:   not collective. */
int64_t tdo_holdout_validation(const struct tdo_holdout *h, int64_t j);

#endif
