#ifndef TDO_JOBS_PHOTOS_H
#define TDO_JOBS_PHOTOS_H
/* Photographs: data sets whose images are files of any size (mpi/dataset.h), as jobs read them.
 *
 *     to use       the shorter side becomes data.resize pixels, the middle of data.size is cut out
 *     to train on  a random part of the image becomes data.size pixels (train.area)
 *
 * For a part that becomes less than half as large, JPEG is decoded at 1/2, 1/4 or 1/8 of its size, which
 * saves most of the time.
 *
 * A random part is a function of (seed, image, epoch), so it is the same on any rank, in any thread
 * and after a resume. Nothing is kept: a file is read and decoded each time. */
#include "jobs/formats/image.h"
#include "mpi/dataset.h"
#include "nn/base/config.h"
#include "nn/base/rng.h"

/* Open a data set; one of files is read in the size of data.size and data.resize (0 in the place of
 * c: as it was imported).
 * Errors: those of tdo_dataset_open; TDO_ERR_CONFIG naming the key; agreed. Ranks: collective.
 * Owner: caller, tdo_dataset_free. */
TDO_MUST tdo_err tdo_photos_open(tdo_comm *comm, const tdo_config *c, const char *path,
                                 tdo_dataset **out);

/* Random parts. */
struct tdo_photos_cut {
    double least, most; /* share of the image's area; 0, 0: none, but the middle as in use */
    double aspect; /* a part is at most so much wider than high, or higher than wide; >= 1 */
    uint32_t seed;
};

/* The part that an image of height x width gives at this key (sample: its id, step: the epoch).
 * Source: Szegedy et al. 2015, section 6, as torchvision's RandomResizedCrop: area uniform, aspect
 *         log-uniform, ten tries, else the middle. */
struct tdo_image_box tdo_photos_part(const struct tdo_photos_cut *cut,
                                     const struct tdo_key *key, int64_t height, int64_t width);

/* How rows are read. */
struct tdo_photos_reading {
    struct tdo_photos_cut cut;
    int64_t epoch;
    int threads; /* that decode, the caller's among them; at least 1 */
};

/* n rows of a split in the order asked. Also of a set of pixels, 8-bit RGB, of which parts are cut.
 * Shapes: x [n,H,W,3] uint8, y [n]. Errors: those of tdo_dataset_read, TDO_ERR_FORMAT naming file and
 * row for what cannot be decoded; TDO_ERR_LIBRARY without a thread. Ranks: not collective. */
TDO_MUST tdo_err tdo_photos_read(const tdo_dataset *d, enum tdo_split split,
                                 const struct tdo_photos_reading *how, const int64_t *rows,
                                 int64_t n, void *x, int32_t *y);

#endif
