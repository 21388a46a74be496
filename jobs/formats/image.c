/* Image files: read whole, told apart by their first bytes, decoded. See image.h.
 *
 * The name does not count: sets in use, ImageNet among them, hold PNG files named .JPEG. */
#include "jobs/formats/image.h"

#include <string.h>
#include <sys/stat.h>

#include "nn/base/file.h"
#include "nn/base/memory.h"

enum { MAX_BYTES = 1 << 29 };

enum kind { PNG, JPEG };

static tdo_err kind_of(const char *path, const uint8_t *data, int64_t bytes, enum kind *kind)
{
    static const uint8_t png[] = {0x89, 'P', 'N', 'G'}, jpeg[] = {0xff, 0xd8, 0xff};
    *kind = PNG;
    if (bytes >= (int64_t)sizeof png && memcmp(data, png, sizeof png) == 0) {
        return TDO_OK;
    }
    *kind = JPEG;
    if (bytes >= (int64_t)sizeof jpeg && memcmp(data, jpeg, sizeof jpeg) == 0) {
        return TDO_OK;
    }
    if (bytes == 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: is empty; expected a PNG or JPEG image", path);
    }
    return TDO_FAIL(TDO_ERR_FORMAT, "%s: starts with neither the bytes of PNG nor of JPEG",
                    path);
}

tdo_err tdo_image_decode_at(const char *path, const uint8_t *data, int64_t bytes, int shrink,
                            struct tdo_image *out)
{
    enum kind kind;
    memset(out, 0, sizeof *out);
    TDO_TRY(kind_of(path, data, bytes, &kind));
    return kind == PNG ? tdo_image_png(path, data, bytes, out)
                       : tdo_image_jpeg(path, data, bytes, shrink, out);
}

tdo_err tdo_image_decode(const char *path, const uint8_t *data, int64_t bytes,
                         struct tdo_image *out)
{
    return tdo_image_decode_at(path, data, bytes, 1, out);
}

tdo_err tdo_image_size(const char *path, const uint8_t *data, int64_t bytes, int64_t *height,
                       int64_t *width)
{
    enum { AT = 16 }; /* behind mark, length and name of the first chunk */
    enum kind kind;
    TDO_TRY(kind_of(path, data, bytes, &kind));
    if (kind == JPEG) {
        return tdo_image_jpeg_size(path, data, bytes, height, width);
    }
    if (bytes < AT + 8) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: corrupt PNG: its header is cut off", path);
    }
    int64_t side[2] = {0, 0};
    for (int i = 0; i < 8; i++) {
        side[i / 4] = side[i / 4] << 8 | data[AT + i];
    }
    *width = side[0];
    *height = side[1];
    return TDO_OK;
}

tdo_err tdo_image_load(const char *path, char **data, int64_t *bytes)
{
    struct stat st;
    *data = NULL;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: is no regular file; expected an image", path);
    }
    return tdo_file_read(path, MAX_BYTES, data, bytes);
}

tdo_err tdo_image_read(const char *path, struct tdo_image *out)
{
    char *data = NULL;
    int64_t bytes = 0;
    memset(out, 0, sizeof *out);
    tdo_err err = tdo_image_load(path, &data, &bytes);
    if (err == TDO_OK) {
        err = tdo_image_decode(path, (const uint8_t *)data, bytes, out);
    }
    tdo_memory_free(&data);
    return err;
}

void tdo_image_grey(const uint8_t *rgb, int64_t n, uint8_t *grey)
{
    for (int64_t i = 0; i < n; i++, rgb += 3) {
        grey[i] =
            (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
    }
}
