/* Pictures as PNG, by libpng. See canvas.h.
 *
 * libpng leaves an error through longjmp, so all state is behind one pointer and one function
 * frees it. No time and no text goes into the file. */
#include "jobs/report/canvas.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/base/file.h"
#include "nn/base/memory.h"

enum { MOST_SIDE = 32767 };

tdo_err tdo_canvas_new(int64_t width, int64_t height, struct tdo_canvas *out)
{
    *out = (struct tdo_canvas){.width = width, .height = height};
    if (width < 1 || height < 1 || width > MOST_SIDE || height > MOST_SIDE) {
        return TDO_FAIL(TDO_ERR_SHAPE,
                        "a picture of %lldx%lld pixels: sides from 1 to %d expected",
                        (long long)width, (long long)height, MOST_SIDE);
    }
    TDO_TRY(tdo_memory_new(width * height * 3, &out->pixels));
    memset(out->pixels, 255, (size_t)(width * height * 3));
    return TDO_OK;
}

void tdo_canvas_free(struct tdo_canvas *c)
{
    tdo_memory_free(&c->pixels);
}

static uint8_t byte_of(float v)
{
    const float level = 255 * v + 0.5F;
    return level >= 255 ? 255 : level > 0 ? (uint8_t)level : 0; /* NaN: 0 */
}

void tdo_canvas_put(struct tdo_canvas *c, int64_t left, int64_t top, int64_t scale,
                    const struct tdo_canvas_image *image)
{
    TDO_ASSERT(left >= 0 && left + scale * image->width <= c->width);
    TDO_ASSERT(top >= 0 && top + scale * image->height <= c->height);
    for (int64_t y = 0; y < scale * image->height; y++) {
        uint8_t *to = c->pixels + ((top + y) * c->width + left) * 3;
        const float *row = image->x + y / scale * image->width * image->channels;
        for (int64_t x = 0; x < scale * image->width; x++) {
            const float *from = row + x / scale * image->channels;
            for (int k = 0; k < 3; k++) {
                *to++ = byte_of(from[image->channels == 3 ? k : 0]);
            }
        }
    }
}

/* ---- PNG ---------------------------------------------------------------------------------------- */

struct encoder {
    png_structp png;
    png_infop info;
    FILE *to;
    char *text;
    size_t size;
    char message[160];
};

static void on_error(png_structp png, png_const_charp text)
{
    struct encoder *e = png_get_error_ptr(png);
    snprintf(e->message, sizeof e->message, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_write(png_structp png, png_bytep data, size_t n)
{
    struct encoder *e = png_get_io_ptr(png);
    if (fwrite(data, 1, n, e->to) != n) {
        png_error(png, "out of memory");
    }
}

static void on_flush(png_structp png)
{
    (void)png;
}

static tdo_err encode(struct encoder *e, const struct tdo_canvas *c, const char *path)
{
    if (setjmp(png_jmpbuf(e->png))) {
        return TDO_FAIL(TDO_ERR_LIBRARY, "%s: libpng: %s", path, e->message);
    }
    png_set_write_fn(e->png, e, on_write, on_flush);
    png_set_IHDR(e->png, e->info, (png_uint_32)c->width, (png_uint_32)c->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(e->png, e->info);
    for (int64_t y = 0; y < c->height; y++) {
        png_write_row(e->png, c->pixels + y * c->width * 3);
    }
    png_write_end(e->png, NULL);
    return TDO_OK;
}

tdo_err tdo_canvas_save(const struct tdo_canvas *c, const char *path)
{
    struct encoder e = {.to = NULL};
    tdo_err err = TDO_OK;
    e.to = open_memstream(&e.text, &e.size);
    e.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &e, on_error, on_warning);
    e.info = e.png ? png_create_info_struct(e.png) : NULL;
    if (!e.to || !e.info) {
        err = TDO_FAIL(TDO_ERR_MEMORY, "out of memory for %s", path);
    }
    if (err == TDO_OK) {
        err = encode(&e, c, path);
    }
    if (e.png) {
        png_destroy_write_struct(&e.png, &e.info);
    }
    if (e.to && fclose(e.to) != 0 && err == TDO_OK) {
        err = TDO_FAIL(TDO_ERR_MEMORY, "out of memory for %s", path);
    }
    if (err == TDO_OK) {
        err = tdo_file_write(path, e.text, (int64_t)e.size);
    }
    free(e.text);
    return err;
}
