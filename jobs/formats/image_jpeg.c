/* JPEG to 8-bit RGB by libjpeg-turbo. See image.h.
 *
 * libjpeg reports damage as a warning and fills the rest with grey; here that is an error as
 * well. Both leave through longjmp, so all state is in one struct behind a pointer, which no
 * jump can spoil. The slow integer DCT and smooth upsampling, the defaults, give the same bytes
 * with all instruction sets. Of the four inks of CMYK, libjpeg makes no RGB: we do, as
 * (ink * black) / 255, inks stored inverted as Adobe does. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>

#include <jpeglib.h>

#include "jobs/formats/image.h"
#include "nn/base/memory.h"

struct decoder {
    struct jpeg_error_mgr errors; /* first: libjpeg hands out its address */
    struct jpeg_decompress_struct jpeg;
    jmp_buf jump;
    const char *path;
    uint8_t *inks; /* a row of CMYK */
    char message[JMSG_LENGTH_MAX];
};

static void on_error(j_common_ptr jpeg)
{
    struct decoder *d = (struct decoder *)jpeg->err;
    d->errors.format_message(jpeg, d->message);
    longjmp(d->jump, 1);
}

/* Level -1 is damage; the others are chatter. */
static void on_message(j_common_ptr jpeg, int level)
{
    if (level < 0) {
        on_error(jpeg);
    }
}

static tdo_err corrupt(const struct decoder *d)
{
    const struct jpeg_decompress_struct *j = &d->jpeg;
    if (j->output_height == 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: corrupt JPEG before its first row (%s)", d->path,
                        d->message);
    }
    return TDO_FAIL(TDO_ERR_FORMAT, "%s: corrupt JPEG near row %u of %u (%s)", d->path,
                    j->output_scanline, j->output_height, d->message);
}

static void from_inks(const uint8_t *inks, int64_t width, bool inverted, uint8_t *row)
{
    for (int64_t i = 0; i < width; i++) {
        unsigned flip = inverted ? 0 : 255, black = inks[4 * i + 3] ^ flip;
        for (int c = 0; c < 3; c++) {
            row[3 * i + c] = (uint8_t)(((inks[4 * i + c] ^ flip) * black + 127) / 255);
        }
    }
}

static void read_header(struct jpeg_decompress_struct *j, const uint8_t *data, int64_t bytes)
{
    jpeg_create_decompress(j);
    jpeg_mem_src(j, data, (unsigned long)bytes);
    jpeg_read_header(j, TRUE);
}

static tdo_err decode(struct decoder *d, const uint8_t *data, int64_t bytes, int shrink,
                      struct tdo_image *out)
{
    struct jpeg_decompress_struct *j = &d->jpeg;
    if (setjmp(d->jump)) {
        return corrupt(d);
    }
    read_header(j, data, bytes);
    j->scale_num = (unsigned)(8 / shrink);
    j->scale_denom = 8;
    jpeg_calc_output_dimensions(j);
    TDO_TRY(tdo_image_new(d->path, j->output_width, j->output_height, out));
    if (j->jpeg_color_space == JCS_CMYK || j->jpeg_color_space == JCS_YCCK) {
        j->out_color_space = JCS_CMYK;
        TDO_TRY(tdo_memory_new(4 * out->width, &d->inks));
    } else {
        j->out_color_space = JCS_RGB;
    }
    jpeg_start_decompress(j);
    while (j->output_scanline < j->output_height) {
        uint8_t *row = out->pixels + (int64_t)j->output_scanline * out->width * 3;
        JSAMPROW into = d->inks ? d->inks : row;
        jpeg_read_scanlines(j, &into, 1);
        if (d->inks) {
            from_inks(d->inks, out->width, j->saw_Adobe_marker, row);
        }
    }
    jpeg_finish_decompress(j);
    return TDO_OK;
}

static tdo_err read_size(struct decoder *d, const uint8_t *data, int64_t bytes, int64_t *height,
                         int64_t *width)
{
    struct jpeg_decompress_struct *j = &d->jpeg;
    if (setjmp(d->jump)) {
        return corrupt(d);
    }
    read_header(j, data, bytes);
    *height = j->image_height;
    *width = j->image_width;
    return TDO_OK;
}

static tdo_err decoder_new(const char *path, struct decoder **d)
{
    TDO_TRY(tdo_memory_new(1, d));
    (*d)->path = path;
    (*d)->jpeg.err = jpeg_std_error(&(*d)->errors);
    (*d)->errors.error_exit = on_error;
    (*d)->errors.emit_message = on_message;
    return TDO_OK;
}

static void decoder_free(struct decoder **d)
{
    jpeg_destroy_decompress(&(*d)->jpeg);
    tdo_memory_free(&(*d)->inks);
    tdo_memory_free(d);
}

tdo_err tdo_image_jpeg(const char *path, const uint8_t *data, int64_t bytes, int shrink,
                       struct tdo_image *out)
{
    struct decoder *d = NULL;
    TDO_TRY(decoder_new(path, &d));
    tdo_err err = decode(d, data, bytes, shrink, out);
    decoder_free(&d);
    return err;
}

tdo_err tdo_image_jpeg_size(const char *path, const uint8_t *data, int64_t bytes,
                            int64_t *height, int64_t *width)
{
    struct decoder *d = NULL;
    TDO_TRY(decoder_new(path, &d));
    tdo_err err = read_size(d, data, bytes, height, width);
    decoder_free(&d);
    return err;
}
