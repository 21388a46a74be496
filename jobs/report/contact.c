/* Contact sheets. See contact.h. */
#include "jobs/report/contact.h"

#include <math.h>

#include "nn/base/memory.h"

enum { SIDE = 96, GAP = 4, BLOCK_GAP = 16 }; /* pixels; an image is about SIDE wide */

double tdo_contact_factor(const float *clean, const float *changed, int64_t n)
{
    static const double factor[] = {1000, 500, 200, 100, 50, 20, 10, 5, 2, 1};
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)changed[i] - (double)clean[i]));
    }
    for (int i = 0; i < 10; i++) {
        if (factor[i] * most <= 0.5 * (1 + 1e-6)) {
            return factor[i];
        }
    }
    return 0.5;
}

/* Where things lie. */
struct layout {
    int64_t scale, cell_width, cell_height, pixels;
};

static struct layout layout_of(const struct tdo_contact *s)
{
    const int64_t side = s->width > s->height ? s->width : s->height;
    struct layout l = {.scale = side < SIDE ? SIDE / side : 1,
                       .pixels = s->height * s->width * s->channels};
    l.cell_width = l.scale * s->width + GAP;
    l.cell_height = l.scale * s->height + GAP;
    return l;
}

static void put_row(const struct tdo_contact *s, const struct layout *l, int64_t top,
                    const float *x, struct tdo_canvas *to)
{
    for (int k = 0; k < s->columns; k++) {
        const struct tdo_canvas_image image = {x + k * l->pixels, s->height, s->width,
                                               s->channels};
        tdo_canvas_put(to, GAP + k * l->cell_width, top, l->scale, &image);
    }
}

static void put_block(const struct tdo_contact *s, const struct layout *l, int block,
                      float *difference, double factor, struct tdo_canvas *to)
{
    const int64_t n = s->columns * l->pixels;
    const int64_t top = GAP + block * (3 * l->cell_height + BLOCK_GAP);
    const float *changed = s->changed + block * n;
    for (int64_t i = 0; i < n; i++) {
        difference[i] = (float)(0.5 + factor * ((double)changed[i] - (double)s->clean[i]));
    }
    put_row(s, l, top, s->clean, to);
    put_row(s, l, top + l->cell_height, changed, to);
    put_row(s, l, top + 2 * l->cell_height, difference, to);
}

tdo_err tdo_contact_draw(const struct tdo_contact *s, double *factor, struct tdo_canvas *out)
{
    const struct layout l = layout_of(s);
    const int64_t n = s->columns * l.pixels;
    float *difference = NULL;
    TDO_TRY(tdo_canvas_new(GAP + s->columns * l.cell_width,
                           GAP + s->blocks * (3 * l.cell_height + BLOCK_GAP) - BLOCK_GAP, out));
    TDO_TRY(tdo_memory_new(n, &difference));
    for (int b = 0; b < s->blocks; b++) {
        factor[b] = tdo_contact_factor(s->clean, s->changed + b * n, n);
        put_block(s, &l, b, difference, factor[b], out);
    }
    tdo_memory_free(&difference);
    return TDO_OK;
}
