#ifndef TDO_JOBS_FORMATS_TOY_H
#define TDO_JOBS_FORMATS_TOY_H
/* Toy sets: two classes of points in the plane, as images of 1x1 pixel with two channels, f32
 * in [0,1]. What circles and moons share: sizes, labels, and points on a circle.
 *
 * A sample is a function of (seed, id): one draw gives label and angle, another the noise. The
 * path to the bytes has only + - * / of IEEE singles, so they are the same on all machines. */
#include "jobs/formats/formats.h"

/* What a set adds: where class `label` has the point (c, s) of the unit circle. In *x and *y
 * go coordinates of the plane, without noise. */
struct tdo_toy {
    uint32_t layer;                 /* of the random stream: one for each set */
    float noise;                    /* standard deviation, in units of the plane */
    float center_x, center_y, zoom; /* to pixels: 1/2 + zoom * (x - center_x) */
    void (*place)(int label, float c, float s, float *x, float *y);
};

/* The functions of a row. toy is borrowed for the life of the source.
 * Errors: TDO_ERR_CONFIG when more than 2^32 samples are wanted. */
TDO_MUST tdo_err tdo_toy_open(const struct tdo_toy *toy, const struct tdo_format_args *args,
                              tdo_source **out);
TDO_MUST tdo_err tdo_toy_read(tdo_source *s, enum tdo_source_split split, int64_t first,
                              int64_t n, void *x, int32_t *y);
void tdo_toy_close(tdo_source **s);

#endif
