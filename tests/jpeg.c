/* JPEG files for tests. See jpeg.h. */
#include "tests/jpeg.h"

#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

int64_t test_jpeg_encode(const struct test_jpeg *p, uint8_t **file)
{
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long bytes = 0;
    j.err = jpeg_std_error(&errors);
    jpeg_create_compress(&j);
    jpeg_mem_dest(&j, &data, &bytes);
    j.image_width = (JDIMENSION)p->width;
    j.image_height = (JDIMENSION)p->height;
    j.input_components = p->channels;
    j.in_color_space = p->channels == 1 ? JCS_GRAYSCALE : p->channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&j);
    jpeg_set_quality(&j, p->quality, TRUE);
    if (p->progressive) {
        jpeg_simple_progression(&j);
    }
    jpeg_start_compress(&j, TRUE);
    while (j.next_scanline < j.image_height) {
        JSAMPROW line = (JSAMPROW)p->pixels + (int64_t)j.next_scanline * p->stride;
        jpeg_write_scanlines(&j, &line, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    *file = data;
    return (int64_t)bytes;
}

bool test_jpeg_write(const struct test_jpeg *p, const char *path)
{
    uint8_t *data = NULL;
    const size_t bytes = (size_t)test_jpeg_encode(p, &data);
    FILE *to = fopen(path, "wb");
    const bool written = to && fwrite(data, 1, bytes, to) == bytes;
    const bool closed = to && fclose(to) == 0;
    free(data);
    return written && closed;
}
