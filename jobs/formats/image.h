#ifndef TDO_JOBS_FORMATS_IMAGE_H
#define TDO_JOBS_FORMATS_IMAGE_H
/* Images in files: PNG by libpng, JPEG by libjpeg-turbo, and cutting them to one size.
 *
 * Every image becomes 8-bit RGB, rows from the top. Grey is repeated, a palette looked up, 16
 * bits rounded to 8, alpha dropped. Colour profiles, gamma and the orientation in EXIF are not
 * applied. Damage of any kind is an error, also where a viewer would go on with grey. */
#include <stdint.h>

#include "nn/base/error.h"

struct tdo_image {
    int64_t width, height;
    uint8_t *pixels; /* [height,width,3] */
};

/* Decode a file; its first bytes tell PNG from JPEG. out is zeroed first.
 * Errors: TDO_ERR_FILE, TDO_ERR_FORMAT naming file and place, TDO_ERR_MEMORY.
 * Owner:  caller, tdo_image_free, also after an error. */
TDO_MUST tdo_err tdo_image_read(const char *path, struct tdo_image *out);

/* Its bytes as they are. Errors: TDO_ERR_FILE naming it. Owner: caller, tdo_memory_free. */
TDO_MUST tdo_err tdo_image_load(const char *path, char **data, int64_t *bytes);

/* The same as tdo_image_read from bytes in memory; path is for messages. */
TDO_MUST tdo_err tdo_image_decode(const char *path, const uint8_t *data, int64_t bytes,
                                  struct tdo_image *out);
/* The same at 1/shrink of its size, rounded up, which takes less time: shrink is 1, 2, 4 or 8. Of a PNG
 * file, and of JPEG at 1, as it is. */
TDO_MUST tdo_err tdo_image_decode_at(const char *path, const uint8_t *data, int64_t bytes,
                                     int shrink, struct tdo_image *out);
/* Height and width that its header tells. Errors: as above, of what comes up to there. */
TDO_MUST tdo_err tdo_image_size(const char *path, const uint8_t *data, int64_t bytes,
                                int64_t *height, int64_t *width);

TDO_MUST tdo_err tdo_image_png(const char *path, const uint8_t *data, int64_t bytes,
                               struct tdo_image *out);
TDO_MUST tdo_err tdo_image_jpeg(const char *path, const uint8_t *data, int64_t bytes,
                                int shrink, struct tdo_image *out);
TDO_MUST tdo_err tdo_image_jpeg_size(const char *path, const uint8_t *data, int64_t bytes,
                                     int64_t *height, int64_t *width);

/* Resize so that width x height is just covered, keep the aspect (the side that is longer than
 * needed is rounded down), and cut out the middle: pixels [height,width,3]. The same bytes on
 * all machines.
 * Errors: TDO_ERR_MEMORY.
 * Source: bilinear with antialiasing, as Pillow does it: each output pixel is the mean of the
 *         input under a triangle of half-width max(scale, 1); columns first, then rows, each
 *         rounded to bytes. The cut is that of torchvision (Resize, then CenterCrop). */
TDO_MUST tdo_err tdo_image_fit(const struct tdo_image *in, int64_t height, int64_t width,
                               uint8_t *pixels);

/* The same, but the shorter side becomes short_side, which is no less than height and width.
 * Source: torchvision's Resize(short_side), then CenterCrop. */
TDO_MUST tdo_err tdo_image_view(const struct tdo_image *in, int64_t short_side, int64_t height,
                                int64_t width, uint8_t *pixels);

/* The shorter side for a cut of `size` where nobody says it: 8/7 of it, 256 for 224. */
int64_t tdo_image_short_side(int64_t size);

/* A part of an image, in its pixels. */
struct tdo_image_box {
    int64_t top, left, height, width;
};

/* Resize a part, of which nothing around it is seen: pixels [height,width,3].
 * Source: torchvision's resized_crop. */
TDO_MUST tdo_err tdo_image_cut(const struct tdo_image *in, const struct tdo_image_box *box,
                               int64_t height, int64_t width, uint8_t *pixels);

/* Grey of n pixels, as Pillow has it: (19595 R + 38470 G + 7471 B) / 65536, rounded; grey images
 * stay as they are. Shapes: rgb [n,3], grey [n]. */
void tdo_image_grey(const uint8_t *rgb, int64_t n, uint8_t *grey);

/* Pixels for width x height, for the decoders. Errors: TDO_ERR_FORMAT for impossible sizes. */
TDO_MUST tdo_err tdo_image_new(const char *path, int64_t width, int64_t height,
                               struct tdo_image *out);

void tdo_image_free(struct tdo_image *image);

#endif
