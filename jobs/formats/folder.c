/* Folder: images as files, one directory for each class.
 *
 *   import.from/train/<class>/<name>.png      also .jpg and .jpeg, in any case
 *   import.from/test/<class>/<name>.jpg
 *
 * Labels number the classes in byte order of their names, and samples come in byte order of
 * class, then file. Hidden files are passed over, links followed; everything else that is no
 * image is an error, for a set that lost files in silence would give wrong numbers. Only names
 * are held in memory; an image is decoded when it is read, and is then RGB. With a size, images
 * are resized and cut to it (image.h); without, all must be as large as the first. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "jobs/formats/formats.h"
#include "jobs/formats/image.h"
#include "nn/base/memory.h"

extern const struct tdo_format tdo_format_folder;

enum { CHANNELS = 3, PATH_ROOM = 4096, MAX_SIZE = 4096, FIRST_ROOM = 64 };

/* Names in byte order; the strings are in the arena. */
struct names {
    const char **name;
    int64_t count, room;
};

struct file {
    const char *name;
    int32_t label;
};

struct files {
    struct file *file;
    int64_t count, room;
};

struct folder {
    tdo_source base;
    tdo_arena *arena;
    const char *from;
    struct names classes[TDO_SOURCE_SPLITS]; /* equal once it is open */
    struct files files[TDO_SOURCE_SPLITS];
    int64_t size; /* 0: as the first image */
};

static const char *const split_names[TDO_SOURCE_SPLITS] = {"train", "test"};

/* <from>/<split>[/<class>[/<name>]] */
static tdo_err path_of(const struct folder *s, int split, const char *class, const char *name,
                       char path[PATH_ROOM])
{
    int length =
        snprintf(path, PATH_ROOM, "%s/%s%s%s%s%s", s->from, split_names[split],
                 class ? "/" : "", class ? class : "", name ? "/" : "", name ? name : "");
    if (length >= PATH_ROOM) {
        return TDO_FAIL(TDO_ERR_FILE, "%.200s...: a path of more than %d bytes", path,
                        PATH_ROOM - 1);
    }
    return TDO_OK;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tdo_err add_name(struct folder *s, struct names *names, const char *name)
{
    if (names->count == names->room) {
        int64_t room = names->room ? 2 * names->room : FIRST_ROOM;
        TDO_TRY(tdo_memory_grow(names->room, room, &names->name));
        names->room = room;
    }
    const char *copy = tdo_arena_string(s->arena, name);
    if (!copy) {
        return tdo_error_last()->code;
    }
    names->name[names->count++] = copy;
    return TDO_OK;
}

/* All names in a directory but the hidden ones, sorted. */
static tdo_err list(struct folder *s, const char *path, struct names *names)
{
    tdo_err err = TDO_OK;
    DIR *directory = opendir(path);
    if (!directory) {
        return TDO_FAIL(TDO_ERR_FILE,
                        "%s: cannot be read as a directory: %s (import.from must hold "
                        "train/<class>/ and test/<class>/)",
                        path, strerror(errno));
    }
    names->count = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry && errno != 0) {
            err = TDO_FAIL(TDO_ERR_FILE, "%s: cannot be read: %s", path, strerror(errno));
        }
        if (!entry) {
            break;
        }
        if (entry->d_name[0] != '.') {
            TDO_GOTO(add_name(s, names, entry->d_name));
        }
    }
    if (names->count > 0) {
        qsort(names->name, (size_t)names->count, sizeof *names->name, compare);
    }
done:
    closedir(directory);
    return err;
}

static bool is_image_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 ||
                   strcasecmp(dot, ".jpeg") == 0);
}

/* Append the images of one class; `names` is scratch. */
static tdo_err scan_class(struct folder *s, int split, int32_t label, struct names *names)
{
    char path[PATH_ROOM];
    struct stat st;
    struct files *files = &s->files[split];
    const char *class = s->classes[split].name[label];
    TDO_TRY(path_of(s, split, class, NULL, path));
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: is no directory; expected one for each class",
                        path);
    }
    TDO_TRY(list(s, path, names));
    if (names->count == 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: a class without images", path);
    }
    if (files->count + names->count > files->room) {
        int64_t room = 2 * files->room + names->count;
        TDO_TRY(tdo_memory_grow(files->room, room, &files->file));
        files->room = room;
    }
    for (int64_t i = 0; i < names->count; i++) {
        if (!is_image_name(names->name[i])) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s/%s: is no image by its name; expected .png, .jpg or .jpeg (a "
                            "dot in front hides a file)",
                            path, names->name[i]);
        }
        files->file[files->count++] = (struct file){names->name[i], label};
    }
    return TDO_OK;
}

/* Both splits have the same classes; the first that one lacks is told. */
static tdo_err check_classes(const struct folder *s)
{
    const struct names *train = &s->classes[TDO_SOURCE_TRAIN];
    const struct names *test = &s->classes[TDO_SOURCE_TEST];
    if (train->count == 0 || train->count > INT32_MAX) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s/train: no directory of a class there", s->from);
    }
    for (int64_t i = 0; i < train->count || i < test->count; i++) {
        int order = i == train->count  ? 1
                    : i == test->count ? -1
                                       : strcmp(train->name[i], test->name[i]);
        if (order != 0) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s: class '%s' is in %s, but not in %s; expected the same "
                            "directories in both",
                            s->from, order < 0 ? train->name[i] : test->name[i],
                            order < 0 ? "train" : "test", order < 0 ? "test" : "train");
        }
    }
    return TDO_OK;
}

static tdo_err scan(struct folder *s)
{
    char path[PATH_ROOM];
    struct names names = {0};
    tdo_err err = TDO_OK;
    for (int i = 0; i < TDO_SOURCE_SPLITS; i++) {
        TDO_GOTO(path_of(s, i, NULL, NULL, path));
        TDO_GOTO(list(s, path, &s->classes[i]));
    }
    TDO_GOTO(check_classes(s));
    for (int i = 0; i < TDO_SOURCE_SPLITS; i++) {
        for (int64_t k = 0; k < s->classes[i].count; k++) {
            TDO_GOTO(scan_class(s, i, (int32_t)k, &names));
        }
        s->base.info.rows[i] = s->files[i].count;
    }
done:
    tdo_memory_free(&names.name);
    return err;
}

/* Decode image i of a split; path [PATH_ROOM] is set to its name. */
static tdo_err decode(const struct folder *s, int split, int64_t i, char path[PATH_ROOM],
                      struct tdo_image *out)
{
    const struct file *f = &s->files[split].file[i];
    TDO_TRY(path_of(s, split, s->classes[split].name[f->label], f->name, path));
    return tdo_image_read(path, out);
}

static void folder_close(tdo_source **source)
{
    struct folder *s = (struct folder *)*source;
    for (int i = 0; i < TDO_SOURCE_SPLITS; i++) {
        tdo_memory_free(&s->classes[i].name);
        tdo_memory_free(&s->files[i].file);
    }
    tdo_arena_free(&s->arena);
    tdo_memory_free(source);
}

static tdo_err open_folder(struct folder *s, const struct tdo_format_args *args)
{
    char path[PATH_ROOM];
    struct tdo_image first = {0};
    if (args->size < 0 || args->size > MAX_SIZE) {
        return TDO_FAIL(TDO_ERR_CONFIG, "import.size = %lld: expected 0 to %d",
                        (long long)args->size, MAX_SIZE);
    }
    TDO_TRY(tdo_arena_new(&s->arena));
    s->size = args->size;
    s->from = tdo_arena_string(s->arena, args->from);
    if (!s->from) {
        return tdo_error_last()->code;
    }
    TDO_TRY(scan(s));
    tdo_err err = s->size ? TDO_OK : decode(s, TDO_SOURCE_TRAIN, 0, path, &first);
    s->base.info.height = s->size ? s->size : first.height;
    s->base.info.width = s->size ? s->size : first.width;
    s->base.info.channels = CHANNELS;
    s->base.info.classes = (int)s->classes[TDO_SOURCE_TRAIN].count;
    s->base.info.is_u8 = true;
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

/* Image i of a split to x, at the size of the set. */
static tdo_err read_image(struct folder *s, int split, int64_t i, uint8_t *x)
{
    char path[PATH_ROOM];
    struct tdo_image image = {0};
    const struct tdo_source_info *info = &s->base.info;
    tdo_err err = TDO_OK;
    TDO_GOTO(decode(s, split, i, path, &image));
    if (s->size) {
        TDO_GOTO(tdo_image_fit(&image, s->size, x));
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
        y[i] = s->files[split].file[first + i].label;
    }
    return TDO_OK;
}

const struct tdo_format tdo_format_folder = {
    .name = "folder",
    .help = "PNG and JPEG files in train/<class>/ and test/<class>/, classes in byte order",
    .cite = "ours; the layout that torchvision's ImageFolder reads",
    .open = folder_open,
    .read = folder_read,
    .close = folder_close,
};
