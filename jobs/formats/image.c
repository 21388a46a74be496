/* Image files: read whole, told apart by their first bytes, decoded. See image.h.
 *
 * The name does not count: sets in use, ImageNet among them, hold PNG files named .JPEG. */
#include "jobs/formats/image.h"

#include <string.h>
#include <sys/stat.h>

#include "nn/base/file.h"
#include "nn/base/memory.h"

enum { MAX_BYTES = 1 << 29 };

tdo_err tdo_image_decode(const char *path, const uint8_t *data, int64_t bytes,
                         struct tdo_image *out)
{
    static const uint8_t png[] = {0x89, 'P', 'N', 'G'}, jpeg[] = {0xff, 0xd8, 0xff};
    memset(out, 0, sizeof *out);
    if (bytes >= (int64_t)sizeof png && memcmp(data, png, sizeof png) == 0) {
        return tdo_image_png(path, data, bytes, out);
    }
    if (bytes >= (int64_t)sizeof jpeg && memcmp(data, jpeg, sizeof jpeg) == 0) {
        return tdo_image_jpeg(path, data, bytes, out);
    }
    if (bytes == 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: is empty; expected a PNG or JPEG image", path);
    }
    return TDO_FAIL(TDO_ERR_FORMAT, "%s: starts with neither the bytes of PNG nor of JPEG",
                    path);
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
