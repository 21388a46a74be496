#ifndef TDO_JOBS_REPORT_CONTACT_H
#define TDO_JOBS_REPORT_CONTACT_H
/* A contact sheet: some images, and what attacks made of them.
 *
 * A column is an image; each attack has a block of three rows: the image as it was, the
 * adversarial one, and their difference around grey, amplified by a round factor that is the same
 * for the whole block. */
#include "jobs/report/canvas.h"

struct tdo_contact {
    int64_t height, width, channels; /* of an image; channels 1 or 3 */
    int columns, blocks;
    const float *clean;   /* [columns, height, width, channels] 0..1 */
    const float *changed; /* [blocks, columns, height, width, channels] */
};

/* The largest factor 1, 2 or 5 times a power of ten by which differences stay within half of the
 * range, from 0.5 to 1000; 1000 when nothing was changed. Shapes: clean, changed [n]. */
double tdo_contact_factor(const float *clean, const float *changed, int64_t n);

/* Draw the sheet; factor [blocks] becomes what each block was amplified by.
 * Errors: those of the canvas. Owner: caller, tdo_canvas_free, also after an error. */
TDO_MUST tdo_err tdo_contact_draw(const struct tdo_contact *sheet, double *factor,
                                  struct tdo_canvas *out);

#endif
