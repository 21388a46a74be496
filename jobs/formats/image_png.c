/* PNG to 8-bit RGB by libpng. See image.h.
 *
 * libpng leaves an error through longjmp. So all state is in one struct behind a pointer, which
 * no jump can spoil, and one function frees it. Checksums are an error for every chunk, not
 * just for those with pixels; libpng's other warnings (an odd colour profile) do not count. */
#include <png.h>
#include <stdio.h>
#include <string.h>

#include "jobs/formats/image.h"
#include "nn/base/memory.h"

struct decoder {
    png_structp png;
    png_infop info;
    const char *path;
    const uint8_t *data;
    int64_t bytes, at;
    png_bytep *rows;
    char message[160];
};

static void on_error(png_structp png, png_const_charp text)
{
    struct decoder *d = png_get_error_ptr(png);
    snprintf(d->message, sizeof d->message, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep out, size_t n)
{
    struct decoder *d = png_get_io_ptr(png);
    if ((uint64_t)(d->bytes - d->at) < n) {
        png_error(png, "truncated: the file ends here");
    }
    memcpy(out, d->data + d->at, n);
    d->at += (int64_t)n;
}

/* What libpng shall do on the way: anything to RGB bytes. */
static void set_transforms(struct decoder *d)
{
    png_set_expand(d->png);
    png_set_scale_16(d->png);
    png_set_gray_to_rgb(d->png);
    png_set_strip_alpha(d->png);
    png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
}

static tdo_err decode(struct decoder *d, struct tdo_image *out)
{
    if (setjmp(png_jmpbuf(d->png))) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: corrupt PNG near byte %lld of %lld (%s)", d->path,
                        (long long)d->at, (long long)d->bytes, d->message);
    }
    png_set_read_fn(d->png, d, on_read);
    png_set_crc_action(d->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_read_info(d->png, d->info);
    int64_t width = png_get_image_width(d->png, d->info);
    int64_t height = png_get_image_height(d->png, d->info);
    TDO_TRY(tdo_image_new(d->path, width, height, out));
    TDO_TRY(tdo_memory_new(height, &d->rows));
    for (int64_t i = 0; i < height; i++) {
        d->rows[i] = out->pixels + i * width * 3;
    }
    set_transforms(d);
    TDO_ASSERT(png_get_rowbytes(d->png, d->info) == (size_t)width * 3);
    png_read_image(d->png, d->rows);
    png_read_end(d->png, NULL);
    return TDO_OK;
}

tdo_err tdo_image_png(const char *path, const uint8_t *data, int64_t bytes,
                      struct tdo_image *out)
{
    struct decoder d = {.path = path, .data = data, .bytes = bytes};
    tdo_err err = TDO_OK;
    d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, on_error, on_warning);
    d.info = d.png ? png_create_info_struct(d.png) : NULL;
    if (!d.info) {
        err = TDO_FAIL(TDO_ERR_MEMORY, "%s: libpng cannot start", path);
        goto done;
    }
    err = decode(&d, out);
done:
    if (d.png) {
        png_destroy_read_struct(&d.png, &d.info, NULL);
    }
    tdo_memory_free(&d.rows);
    return err;
}
