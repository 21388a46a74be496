#ifndef TDO_JOBS_IMAGES_H
#define TDO_JOBS_IMAGES_H
/* Images that a network is run on, wherever they come from: a split of a data set, or a folder
 * of image files.
 *
 * Rows are read on demand, by every rank for itself; nothing holds the whole set. A job takes
 * every so-manieth row, and no more than so many: image i of `count` is row i * skip. What is
 * random about an image is keyed by its row, so a choice of images changes no number of one. */
#include "mpi/dataset.h"

struct tdo_images {
    int64_t rows, height, width, channels;
    bool u8;          /* rows are 8-bit values 0..255, else f32 in [0,1] */
    bool labelled;    /* else labels are -1 */
    uint64_t hash;    /* of all that can be read */
    const char *from; /* for messages: file and split, or directory; borrowed */
    int64_t skip, count;

    const void *self; /* of the kind below; borrowed */
    enum tdo_split split;
    tdo_err (*read)(const struct tdo_images *im, const int64_t *rows, int64_t n, void *x,
                    int32_t *y);
    const char *(*name)(const struct tdo_images *im, int64_t row); /* NULL: rows have none */
};

/* All rows of a split; d is borrowed. Ranks: not collective. */
struct tdo_images tdo_images_split(const tdo_dataset *d, enum tdo_split split);

/* Take every skip-th row, at most max images (0: no limit).
 * Errors: TDO_ERR_CONFIG when there are no rows. */
TDO_MUST tdo_err tdo_images_take(struct tdo_images *im, int64_t skip, int64_t max);

/* The row of image i. */
int64_t tdo_images_row(const struct tdo_images *im, int64_t i);

/* Rows in the order asked. Shapes: x [n,H,W,C] uint8 or f32, y [n]; x or y may be NULL.
 * Errors: those of the source, naming the file. Ranks: not collective. */
TDO_MUST tdo_err tdo_images_read(const struct tdo_images *im, const int64_t *rows, int64_t n,
                                 void *x, int32_t *y);

int64_t tdo_images_pixels(const struct tdo_images *im);    /* H*W*C */
int64_t tdo_images_row_bytes(const struct tdo_images *im); /* as read */

/* n values of x, which begins with row bytes of `im`, as reals: 0..255 stay so. */
void tdo_images_widen(const struct tdo_images *im, const void *x, int64_t n, float *to);

#endif
