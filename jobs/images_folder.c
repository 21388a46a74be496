/* Folders of image files. See images_folder.h. */
#include "jobs/images_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "jobs/formats/image.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"

enum { PATH_ROOM = 4096, FIRST_ROOM = 64, RGB = 3 };

struct tdo_images_folder {
    struct tdo_images_folder_options o;
    tdo_arena *arena;
    const char **name; /* [count] paths within the folder */
    int64_t count, room;
    uint8_t *scratch; /* [size,size,3] */
};

/* ---- names ---------------------------------------------------------------------------------------- */

/* <folder>[/<name>] */
static tdo_err path_of(const tdo_images_folder *f, const char *name, char path[PATH_ROOM])
{
    if (snprintf(path, PATH_ROOM, "%s%s%s", f->o.path, *name ? "/" : "", name) >= PATH_ROOM) {
        return TDO_FAIL(TDO_ERR_FILE, "%.200s...: a path of more than %d bytes", path,
                        PATH_ROOM - 1);
    }
    return TDO_OK;
}

static tdo_err add_name(tdo_images_folder *f, const char *within, const char *name)
{
    if (f->count == f->room) {
        const int64_t room = f->room ? 2 * f->room : FIRST_ROOM;
        TDO_TRY(tdo_memory_grow(f->room, room, &f->name));
        f->room = room;
    }
    f->name[f->count] = tdo_arena_printf(f->arena, "%s%s%s", within, *within ? "/" : "", name);
    if (!f->name[f->count]) {
        return tdo_error_last()->code;
    }
    f->count++;
    return TDO_OK;
}

struct place {
    tdo_images_folder *folder;
    const char *within;
};

static tdo_err take_name(void *user, const char *name)
{
    const struct place *p = user;
    return add_name(p->folder, p->within, name);
}

/* Append the names in one directory, folders among them, but not the hidden ones. */
static tdo_err list(tdo_images_folder *f, const char *within)
{
    char path[PATH_ROOM];
    struct place place = {f, within};
    TDO_TRY(path_of(f, within, path));
    return tdo_file_list(path, take_name, &place);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A folder in the list gives way to what is in it; one further down stays, and is no image. */
static tdo_err scan(tdo_images_folder *f)
{
    int64_t files = 0;
    TDO_TRY(list(f, ""));
    const int64_t top = f->count;
    for (int64_t i = 0; i < top; i++) {
        char path[PATH_ROOM];
        struct stat st;
        TDO_TRY(path_of(f, f->name[i], path));
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            TDO_TRY(list(f, f->name[i]));
        } else {
            f->name[files++] = f->name[i];
        }
    }
    if (files < top) {
        memmove(f->name + files, f->name + top, (size_t)(f->count - top) * sizeof *f->name);
        f->count -= top - files;
    }
    if (f->count == 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s: no files there; expected PNG or JPEG images",
                        f->o.path);
    }
    qsort(f->name, (size_t)f->count, sizeof *f->name, compare);
    return TDO_OK;
}

/* ---- images --------------------------------------------------------------------------------------- */

/* The middle of RGB rows `from`, `stride` pixels wide, as the network wants it. */
static void cut(const struct tdo_images_folder_options *o, const uint8_t *from, int64_t height,
                int64_t stride, uint8_t *x)
{
    const int64_t top = (height - o->height) / 2, left = (stride - o->width) / 2;
    for (int64_t h = 0; h < o->height; h++, x += o->width * o->channels) {
        const uint8_t *in = from + ((top + h) * stride + left) * RGB;
        if (o->channels == 1) {
            tdo_image_grey(in, o->width, x);
        } else {
            memcpy(x, in, (size_t)(o->width * RGB));
        }
    }
}

/* Image `row`, uint8 [height,width,channels]. */
static tdo_err load(const tdo_images_folder *f, int64_t row, uint8_t *x)
{
    char path[PATH_ROOM];
    const struct tdo_images_folder_options *o = &f->o;
    struct tdo_image image = {0};
    tdo_err err = TDO_OK;
    TDO_GOTO(path_of(f, f->name[row], path));
    TDO_GOTO(tdo_image_read(path, &image));
    if (o->size > 0) {
        TDO_GOTO(tdo_image_fit(&image, o->size, o->size, f->scratch));
        cut(o, f->scratch, o->size, o->size, x);
    } else if (image.height == o->height && image.width == o->width) {
        cut(o, image.pixels, image.height, image.width, x);
    } else {
        err = TDO_FAIL(TDO_ERR_CONFIG,
                       "%s: is %lldx%lld (height x width), the network is for %lldx%lld; "
                       "predict.size resizes images",
                       path, (long long)image.height, (long long)image.width,
                       (long long)o->height, (long long)o->width);
    }
done:
    tdo_image_free(&image);
    return err;
}

static tdo_err read_rows(const struct tdo_images *im, const int64_t *rows, int64_t n, void *x,
                         int32_t *y)
{
    const int64_t bytes = tdo_images_row_bytes(im);
    for (int64_t i = 0; i < n; i++) {
        if (x) {
            TDO_TRY(load(im->self, rows[i], (uint8_t *)x + i * bytes));
        }
        if (y) {
            y[i] = -1;
        }
    }
    return TDO_OK;
}

static const char *name_of(const struct tdo_images *im, int64_t row)
{
    const tdo_images_folder *f = im->self;
    return f->name[row];
}

/* ---- life ----------------------------------------------------------------------------------------- */

static tdo_err check(const struct tdo_images_folder_options *o)
{
    if (o->channels != 1 && o->channels != RGB) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "predict.from = %s: images of files have 1 or 3 channels, the network "
                        "is for %lld",
                        o->path, (long long)o->channels);
    }
    if (o->size > 0 && (o->size < o->height || o->size < o->width)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "predict.size = %lld: the network's %lldx%lld cannot be cut out of "
                        "that; expected at least %lld",
                        (long long)o->size, (long long)o->height, (long long)o->width,
                        (long long)(o->height > o->width ? o->height : o->width));
    }
    return TDO_OK;
}

static tdo_err open_here(tdo_images_folder *f)
{
    TDO_TRY(check(&f->o));
    TDO_TRY(tdo_arena_new(&f->arena));
    TDO_TRY(tdo_memory_new(f->o.size * f->o.size * RGB + 1, &f->scratch));
    return scan(f);
}

/* What this rank's share of the images, and their places in the list, come to. */
static tdo_err hash_share(const struct tdo_images *im, int64_t first, int64_t end,
                          uint64_t *sum)
{
    const int64_t bytes = tdo_images_row_bytes(im);
    uint8_t *x = NULL;
    tdo_err err = TDO_OK;
    *sum = 0;
    TDO_GOTO(tdo_memory_new(bytes, &x));
    for (int64_t i = first; i < end; i++) {
        TDO_GOTO(tdo_images_read(im, &i, 1, x, NULL));
        *sum += XXH64(x, (size_t)bytes, (uint64_t)i);
    }
done:
    tdo_memory_free(&x);
    return err;
}

/* Decode everything, each image on one rank; the sum of hashes is the same for any sharing. */
static tdo_err hash_all(tdo_comm *comm, const tdo_images_folder *f, struct tdo_images *im)
{
    const int64_t size = tdo_comm_size(comm), rank = tdo_comm_rank(comm);
    uint64_t sum = 0, names = 0;
    tdo_err err = hash_share(im, im->rows * rank / size, im->rows * (rank + 1) / size, &sum);
    TDO_TRY(tdo_comm_agree_first(comm, err));
    tdo_comm_sum_u64(comm, &sum, 1);
    for (int64_t i = 0; i < f->count; i++) { /* of this rank: all must see the same */
        names = XXH64(f->name[i], strlen(f->name[i]) + 1, names);
    }
    im->hash = XXH64(&sum, sizeof sum, names);
    return TDO_OK;
}

tdo_err tdo_images_folder_open(tdo_comm *comm, const struct tdo_images_folder_options *o,
                               tdo_images_folder **out, struct tdo_images *im)
{
    tdo_err err = tdo_memory_new(1, out);
    tdo_images_folder *f = *out;
    if (err == TDO_OK) {
        f->o = *o;
        err = open_here(f);
    }
    TDO_GOTO(tdo_comm_agree(comm, err));
    *im = (struct tdo_images){.rows = f->count,
                              .height = o->height,
                              .width = o->width,
                              .channels = o->channels,
                              .u8 = true,
                              .from = o->path,
                              .skip = 1,
                              .count = f->count,
                              .self = f,
                              .read = read_rows,
                              .name = name_of};
    err = hash_all(comm, f, im);
done:
    if (err != TDO_OK) {
        tdo_images_folder_free(out);
    }
    return err;
}

void tdo_images_folder_free(tdo_images_folder **folder)
{
    tdo_images_folder *f = *folder;
    if (f) {
        tdo_memory_free(&f->name);
        tdo_memory_free(&f->scratch);
        tdo_arena_free(&f->arena);
        tdo_memory_free(folder);
    }
}
