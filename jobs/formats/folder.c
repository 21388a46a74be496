/* Folder: images as files, one directory for each class.
 *
 *   import.from/train/<class>/<name>.png      also .jpg and .jpeg, in any case
 *   import.from/test/<class>/<name>.jpg
 *
 * Labels number the classes in byte order of their names, and samples come in byte order of
 * class, then file. Hidden files are passed over, links followed; everything else that is no
 * image is an error, for a set that lost files in silence would give wrong numbers. Only names
 * are held in memory (listing.h); an image is decoded when it is read, and is then RGB. With a
 * size, images are resized and cut to it (image.h); without, all must be as large as the first.
 *
 * Decoding is what takes the time, so ranks share it: one lists, the others join its listing. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "jobs/formats/formats.h"
#include "jobs/formats/image.h"
#include "jobs/formats/listing.h"
#include "nn/base/memory.h"

extern const struct tdo_format tdo_format_folder;

enum { CHANNELS = 3, MAX_SIZE = 4096 };

struct folder {
    tdo_source base;
    struct tdo_listing names;
    int64_t size; /* 0: as the first image */
};

/* Decode image i of a split; path is set to its name. */
static tdo_err decode(const struct folder *s, int split, int64_t i, char path[TDO_LISTING_PATH],
                      struct tdo_image *out)
{
    TDO_TRY(tdo_listing_path(&s->names, split, i, path));
    return tdo_image_read(path, out);
}

static void folder_close(tdo_source **source)
{
    struct folder *s = (struct folder *)*source;
    tdo_listing_free(&s->names);
    tdo_memory_free(source);
}

static tdo_err open_folder(struct folder *s, const struct tdo_format_args *args)
{
    char path[TDO_LISTING_PATH];
    struct tdo_image first = {0};
    if (args->size < 0 || args->size > MAX_SIZE) {
        return TDO_FAIL(TDO_ERR_CONFIG, "import.size = %lld: expected 0 to %d",
                        (long long)args->size, MAX_SIZE);
    }
    s->size = args->size;
    TDO_TRY(tdo_listing_scan(args->from, &s->names));
    tdo_err err = s->size ? TDO_OK : decode(s, TDO_SOURCE_TRAIN, 0, path, &first);
    s->base.info = (struct tdo_source_info){
        .rows = {s->names.files[TDO_SOURCE_TRAIN], s->names.files[TDO_SOURCE_TEST]},
        .height = s->size ? s->size : first.height,
        .width = s->size ? s->size : first.width,
        .channels = CHANNELS,
        .classes = (int)s->names.classes,
        .is_u8 = true,
        .anywhere = true,
    };
    tdo_image_free(&first);
    return err;
}

static tdo_err folder_open(const struct tdo_format_args *args, tdo_source **out)
{
    struct folder *s = NULL;
    TDO_TRY(tdo_memory_new(1, &s));
    tdo_source *source = &s->base;
    tdo_err err = open_folder(s, args);
    if (err != TDO_OK) {
        folder_close(&source);
        return err;
    }
    *out = source;
    return TDO_OK;
}

static void folder_share(const tdo_source *source, const char **bytes, int64_t *count)
{
    const struct folder *s = (const struct folder *)source;
    *bytes = s->names.text;
    *count = s->names.bytes;
}

static tdo_err folder_join(const struct tdo_format_args *args, const char *bytes, int64_t count,
                           tdo_source **out)
{
    struct folder *s = NULL;
    TDO_TRY(tdo_memory_new(1, &s));
    tdo_source *source = &s->base;
    s->size = args->size;
    tdo_err err = tdo_listing_copy(args->from, bytes, count, &s->names);
    if (err != TDO_OK) {
        folder_close(&source);
        return err;
    }
    *out = source;
    return TDO_OK;
}

/* Image i of a split to x, at the size of the set. */
static tdo_err read_image(struct folder *s, int split, int64_t i, uint8_t *x)
{
    char path[TDO_LISTING_PATH];
    struct tdo_image image = {0};
    const struct tdo_source_info *info = &s->base.info;
    tdo_err err = TDO_OK;
    TDO_GOTO(decode(s, split, i, path, &image));
    if (s->size) {
        TDO_GOTO(tdo_image_fit(&image, s->size, s->size, x));
    } else if (image.height != info->height || image.width != info->width) {
        err = TDO_FAIL(TDO_ERR_FORMAT,
                       "%s: is %lldx%lld (height x width), but the first image is %lldx%lld; "
                       "import.size resizes all",
                       path, (long long)image.height, (long long)image.width,
                       (long long)info->height, (long long)info->width);
    } else {
        memcpy(x, image.pixels, (size_t)(info->height * info->width * CHANNELS));
    }
done:
    tdo_image_free(&image);
    return err;
}

static tdo_err folder_read(tdo_source *source, enum tdo_source_split split, int64_t first,
                           int64_t n, void *x, int32_t *y)
{
    struct folder *s = (struct folder *)source;
    const int64_t bytes = s->base.info.height * s->base.info.width * CHANNELS;
    for (int64_t i = 0; i < n; i++) {
        TDO_TRY(read_image(s, (int)split, first + i, (uint8_t *)x + i * bytes));
        y[i] = tdo_listing_label(&s->names, (int)split, first + i);
    }
    return TDO_OK;
}

static tdo_err folder_size(tdo_source *source, enum tdo_source_split split, int64_t row,
                           int64_t *bytes)
{
    const struct folder *s = (const struct folder *)source;
    char path[TDO_LISTING_PATH];
    struct stat st;
    TDO_TRY(tdo_listing_path(&s->names, (int)split, row, path));
    if (stat(path, &st) != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be read: %s", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: is no regular file; expected an image", path);
    }
    if (st.st_size == 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: is empty; expected a PNG or JPEG image", path);
    }
    *bytes = st.st_size;
    return TDO_OK;
}

static tdo_err folder_file(tdo_source *source, enum tdo_source_split split, int64_t row,
                           int64_t bytes, void *x, uint8_t *view, int32_t *y)
{
    const struct folder *s = (const struct folder *)source;
    const struct tdo_source_info *info = &s->base.info;
    char path[TDO_LISTING_PATH], *data = NULL;
    struct tdo_image image = {0};
    int64_t there = 0;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_listing_path(&s->names, (int)split, row, path));
    TDO_GOTO(tdo_image_load(path, &data, &there));
    if (there != bytes) {
        TDO_GOTO(TDO_FAIL(TDO_ERR_FILE, "%s: had %lld bytes, now %lld: it is being changed",
                          path, (long long)bytes, (long long)there));
    }
    TDO_GOTO(tdo_image_decode(path, (const uint8_t *)data, bytes, &image));
    TDO_GOTO(tdo_image_view(&image, tdo_image_short_side(info->height), info->height,
                            info->width, view));
    memcpy(x, data, (size_t)bytes);
    *y = tdo_listing_label(&s->names, (int)split, row);
done:
    tdo_image_free(&image);
    tdo_memory_free(&data);
    return err;
}

const struct tdo_format tdo_format_folder = {
    .name = "folder",
    .help = "PNG and JPEG files in train/<class>/ and test/<class>/, classes in byte order",
    .cite = "ours; the layout that torchvision's ImageFolder reads",
    .open = folder_open,
    .read = folder_read,
    .close = folder_close,
    .size = folder_size,
    .file = folder_file,
    .share = folder_share,
    .join = folder_join,
};
