#ifndef TDO_JOBS_REPORT_CANVAS_H
#define TDO_JOBS_REPORT_CANVAS_H
/* A picture in memory: 8-bit RGB, white at first; small images are put on it enlarged by a whole
 * factor, and it becomes a PNG file. */
#include <stdint.h>

#include "nn/base/error.h"

struct tdo_canvas {
    int64_t width, height;
    uint8_t *pixels; /* [height, width, 3] */
};

/* Errors: TDO_ERR_SHAPE for sizes that a PNG cannot have; TDO_ERR_MEMORY. Owner: caller,
 * tdo_canvas_free, also after an error. */
TDO_MUST tdo_err tdo_canvas_new(int64_t width, int64_t height, struct tdo_canvas *out);
void tdo_canvas_free(struct tdo_canvas *c);

struct tdo_canvas_image {
    const float *x; /* [height, width, channels] 0..1, what is beyond is cut off */
    int64_t height, width, channels; /* channels 1 (grey) or 3 */
};

/* Put an image with its corner at (left, top), every pixel as a square of scale x scale; all of it
 * must be on the canvas. */
void tdo_canvas_put(struct tdo_canvas *c, int64_t left, int64_t top, int64_t scale,
                    const struct tdo_canvas_image *image);

/* Replace a file by the picture as PNG; the same pixels give the same bytes.
 * Errors: TDO_ERR_FILE, TDO_ERR_MEMORY, TDO_ERR_LIBRARY. */
TDO_MUST tdo_err tdo_canvas_save(const struct tdo_canvas *c, const char *path);

#endif
