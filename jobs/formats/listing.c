/* The names of a folder of images. See listing.h.
 *
 * Each directory is read once, its names sorted and appended to the text; the index follows from
 * the text alone, so that it is the same where the text was received. */
#include "jobs/formats/listing.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "nn/base/file.h"
#include "nn/base/memory.h"

enum { FIRST_ROOM = 1 << 16 };

static const char *const split_names[TDO_LISTING_SPLITS] = {"train", "test"};

/* <from>/<split>[/<class>[/<name>]] */
static tdo_err join(const struct tdo_listing *l, int split, const char *class, const char *name,
                    char path[TDO_LISTING_PATH])
{
    int length =
        snprintf(path, TDO_LISTING_PATH, "%s/%s%s%s%s%s", l->from, split_names[split],
                 class ? "/" : "", class ? class : "", name ? "/" : "", name ? name : "");
    if (length >= TDO_LISTING_PATH) {
        return TDO_FAIL(TDO_ERR_FILE, "%.200s...: a path of more than %d bytes", path,
                        TDO_LISTING_PATH - 1);
    }
    return TDO_OK;
}

/* ---- one directory ---- */

/* Names in byte order, as pointers into their text. */
struct names {
    char *text;
    int64_t bytes, room, count;
    const char **name;
};

static void names_free(struct names *n)
{
    tdo_memory_free(&n->text);
    tdo_memory_free(&n->name);
}

static tdo_err append(const char *name, char **text, int64_t *bytes, int64_t *room)
{
    const int64_t length = (int64_t)strlen(name) + 1;
    if (*room - *bytes < length) {
        int64_t wanted = *room + *room / 4 + FIRST_ROOM;
        TDO_TRY(tdo_memory_grow(*bytes, wanted, text));
        *room = wanted;
    }
    memcpy(*text + *bytes, name, (size_t)length);
    *bytes += length;
    return TDO_OK;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tdo_err sort(struct names *n)
{
    TDO_TRY(tdo_memory_new(n->count, &n->name));
    const char *at = n->text;
    for (int64_t i = 0; i < n->count; i++, at += strlen(at) + 1) {
        n->name[i] = at;
    }
    if (n->count > 0) {
        qsort(n->name, (size_t)n->count, sizeof *n->name, compare);
    }
    return TDO_OK;
}

static tdo_err take_name(void *user, const char *name)
{
    struct names *n = user;
    n->count++;
    return append(name, &n->text, &n->bytes, &n->room);
}

/* All names in a directory but the hidden ones. Owner: caller, names_free, also after an error. */
static tdo_err list(const char *path, struct names *n)
{
    *n = (struct names){0};
    tdo_err err = tdo_file_list(path, take_name, n);
    if (err == TDO_ERR_FILE) {
        const struct tdo_error_record reason = *tdo_error_last();
        err = TDO_FAIL(err, "%s (import.from must hold train/<class>/ and test/<class>/)",
                       reason.message);
    }
    return err == TDO_OK ? sort(n) : err;
}

/* ---- the text ---- */

static tdo_err add(struct tdo_listing *l, const char *name)
{
    return append(name, &l->text, &l->bytes, &l->room);
}

static bool is_image_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 ||
                   strcasecmp(dot, ".jpeg") == 0);
}

/* Append a class with its images. */
static tdo_err scan_class(struct tdo_listing *l, int split, const char *class)
{
    char path[TDO_LISTING_PATH];
    struct stat st;
    struct names images = {0};
    tdo_err err = TDO_OK;
    TDO_TRY(join(l, split, class, NULL, path));
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: is no directory; expected one for each class",
                        path);
    }
    TDO_GOTO(list(path, &images));
    if (images.count == 0) {
        err = TDO_FAIL(TDO_ERR_FORMAT, "%s: a class without images", path);
        goto done;
    }
    TDO_GOTO(add(l, class));
    for (int64_t i = 0; i < images.count; i++) {
        if (!is_image_name(images.name[i])) {
            err = TDO_FAIL(TDO_ERR_FORMAT,
                           "%s/%s: is no image by its name; expected .png, .jpg or .jpeg (a "
                           "dot in front hides a file)",
                           path, images.name[i]);
            goto done;
        }
        TDO_GOTO(add(l, images.name[i]));
    }
    err = add(l, "");
done:
    names_free(&images);
    return err;
}

/* Both splits have the same classes; the first that one lacks is told. */
static tdo_err check_classes(const char *from, const struct names *train,
                             const struct names *test)
{
    if (train->count == 0 || train->count > INT32_MAX) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s/train: no directory of a class there", from);
    }
    for (int64_t i = 0; i < train->count || i < test->count; i++) {
        int order = i == train->count  ? 1
                    : i == test->count ? -1
                                       : strcmp(train->name[i], test->name[i]);
        if (order != 0) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s: class '%s' is in %s, but not in %s; expected the same "
                            "directories in both",
                            from, order < 0 ? train->name[i] : test->name[i],
                            order < 0 ? "train" : "test", order < 0 ? "test" : "train");
        }
    }
    return TDO_OK;
}

/* ---- the index ---- */

static const char *next(const char *name)
{
    return name + strlen(name) + 1;
}

/* The index of one split, from *at, which is moved behind it. */
static tdo_err index_split(struct tdo_listing *l, int split, const char **at)
{
    const char *name = *at;
    int64_t files = 0;
    for (int64_t c = 0; c < l->classes; c++) {
        for (name = next(name); *name; name = next(name)) {
            files++;
        }
        name++;
    }
    l->files[split] = files;
    TDO_TRY(tdo_memory_new(files, &l->file[split]));
    TDO_TRY(tdo_memory_new(l->classes, &l->class[split]));
    TDO_TRY(tdo_memory_new(l->classes + 1, &l->first[split]));
    name = *at;
    files = 0;
    for (int64_t c = 0; c < l->classes; c++) {
        l->class[split][c] = name - l->text;
        for (name = next(name); *name; name = next(name)) {
            l->file[split][files++] = name - l->text;
        }
        name++;
        l->first[split][c + 1] = files;
    }
    *at = name;
    return TDO_OK;
}

/* Each class has an empty name at its end, and each split as many classes. */
static tdo_err index_all(struct tdo_listing *l)
{
    const char *at = l->text;
    int64_t empty = 0;
    for (const char *name = at; name < l->text + l->bytes; name = next(name)) {
        empty += !*name;
    }
    l->classes = empty / TDO_LISTING_SPLITS;
    for (int split = 0; split < TDO_LISTING_SPLITS; split++) {
        TDO_TRY(index_split(l, split, &at));
    }
    TDO_ASSERT(at == l->text + l->bytes);
    return TDO_OK;
}

/* ---- public ---- */

static tdo_err begin(const char *from, struct tdo_listing *l)
{
    const int64_t length = (int64_t)strlen(from) + 1;
    *l = (struct tdo_listing){0};
    TDO_TRY(tdo_memory_new(length, &l->from));
    memcpy(l->from, from, (size_t)length);
    return TDO_OK;
}

tdo_err tdo_listing_scan(const char *from, struct tdo_listing *l)
{
    char path[TDO_LISTING_PATH];
    struct names classes[TDO_LISTING_SPLITS] = {{0}, {0}};
    tdo_err err = TDO_OK;
    TDO_TRY(begin(from, l));
    for (int split = 0; split < TDO_LISTING_SPLITS; split++) {
        TDO_GOTO(join(l, split, NULL, NULL, path));
        TDO_GOTO(list(path, &classes[split]));
    }
    TDO_GOTO(check_classes(from, &classes[0], &classes[1]));
    for (int split = 0; split < TDO_LISTING_SPLITS; split++) {
        for (int64_t c = 0; c < classes[split].count; c++) {
            TDO_GOTO(scan_class(l, split, classes[split].name[c]));
        }
    }
    err = index_all(l);
done:
    for (int split = 0; split < TDO_LISTING_SPLITS; split++) {
        names_free(&classes[split]);
    }
    return err;
}

tdo_err tdo_listing_copy(const char *from, const char *text, int64_t bytes,
                         struct tdo_listing *l)
{
    TDO_TRY(begin(from, l));
    TDO_TRY(tdo_memory_new(bytes, &l->text));
    memcpy(l->text, text, (size_t)bytes);
    l->bytes = l->room = bytes;
    return index_all(l);
}

int32_t tdo_listing_label(const struct tdo_listing *l, int split, int64_t i)
{
    int64_t low = 0, high = l->classes; /* first[low] <= i < first[high] */
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (l->first[split][middle] <= i) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (int32_t)low;
}

tdo_err tdo_listing_path(const struct tdo_listing *l, int split, int64_t i,
                         char path[TDO_LISTING_PATH])
{
    const char *class = l->text + l->class[split][tdo_listing_label(l, split, i)];
    return join(l, split, class, l->text + l->file[split][i], path);
}

void tdo_listing_free(struct tdo_listing *l)
{
    tdo_memory_free(&l->from);
    tdo_memory_free(&l->text);
    for (int split = 0; split < TDO_LISTING_SPLITS; split++) {
        tdo_memory_free(&l->file[split]);
        tdo_memory_free(&l->class[split]);
        tdo_memory_free(&l->first[split]);
    }
}
