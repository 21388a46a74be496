#ifndef TDO_JOBS_DISTANCE_H
#define TDO_JOBS_DISTANCE_H
/* How far images are from a training set: the squared Euclidean distance from each to the nearest
 * training image.
 *
 * Most of the work is a matrix product, |a - b|^2 = |a|^2 - 2 ab + |b|^2, in f32 and by OpenBLAS. Its
 * error has a bound; every training image that could be the nearest within that bound is looked at
 * again, pixel by pixel in double. So the result is the minimum of the exact distances (as double
 * has them), the same for any processor, any number of ranks and any block size.
 * Source: Zantedeschi et al. 2017, section 4 (training set distance). */
#include "jobs/images.h"
#include "mpi/comm.h"
#include "nn/base/log.h"

/* Rows row [n] of `points`, which are not a choice of images but rows as they lie in the file, to
 * the nearest of all rows of `train`. Pixels are in 0..1 (8-bit values: v / 255 in f32).
 *
 * progress: shows how many points are done; NULL for none.
 * Shapes:  squared [n], on all ranks. Memory: up to 200 MB a rank, whatever the number of images.
 * Errors:  TDO_ERR_CONFIG when the images have different sizes or there is no training image; those
 *          of reading.
 * Ranks:   collective, training rows are shared out; errors are agreed. */
TDO_MUST tdo_err tdo_distance_nearest(tdo_comm *comm, const struct tdo_images *train,
                                      const struct tdo_images *points, const int64_t *row,
                                      int64_t n, struct tdo_progress *progress,
                                      double *squared);

/* Rows of `im` as pixels in 0..1. Shapes: raw: n rows as read, room for them; pixels [n,P].
 * Ranks: not collective. */
TDO_MUST tdo_err tdo_distance_pixels(const struct tdo_images *im, const int64_t *row, int64_t n,
                                     void *raw, float *pixels);
/* sum of x[p]^2 in double. */
double tdo_distance_square(const float *x, int64_t size);

#endif
