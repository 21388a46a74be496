/* Makes a folder of photographs out of a few: random parts of them, encoded again.
 *
 *     photos <from> <to> <train> <test>
 *
 * Every image of the directory <from> becomes a class, 00, 01, ... in byte order of the names;
 * <to>/train/<class>/000000.jpg and so on are parts of it with 3/4 to all of both sides, at quality
 * 95, <train> and <test> images in all. The same files each time. Refused where the disk of <to> has
 * too little room, with what is needed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "jobs/formats/image.h"
#include "nn/base/file.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"
#include "nn/base/rng.h"
#include "tests/jpeg.h"

enum { MOST = 1000, PATH = 4096, QUALITY = 95 };

struct photos {
    const char *from, *to;
    char *name[MOST];
    int count;
    int64_t bytes; /* of all */
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static tdo_err take(void *user, const char *name)
{
    struct photos *p = user;
    char path[PATH];
    struct stat st;
    if (p->count == MOST) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: more than %d images", p->from, MOST);
    }
    snprintf(path, sizeof path, "%s/%s", p->from, name);
    p->bytes += stat(path, &st) == 0 ? st.st_size : 0;
    TDO_TRY(tdo_memory_new((int64_t)strlen(name) + 1, &p->name[p->count]));
    memcpy(p->name[p->count++], name, strlen(name) + 1);
    return TDO_OK;
}

/* Files of the size of those that are there, and a tenth more. */
static tdo_err check_room(const struct photos *p, int64_t images)
{
    struct statvfs disk;
    const double needed = 1.1 * (double)images * (double)p->bytes / p->count;
    if (statvfs(p->to, &disk) != 0) {
        return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be looked at", p->to);
    }
    const double there = (double)disk.f_bavail * (double)disk.f_frsize;
    if (there < needed) {
        return TDO_FAIL(TDO_ERR_FILE,
                        "%s: %lld photographs need %.0f MB there, which has %.0f MB", p->to,
                        (long long)images, needed / 1e6, there / 1e6);
    }
    return TDO_OK;
}

static tdo_err write_part(const struct tdo_image *image, const struct tdo_image_box *b,
                          const char *path)
{
    const int64_t stride = image->width * 3;
    const struct test_jpeg jpeg = {.height = b->height,
                                   .width = b->width,
                                   .channels = 3,
                                   .quality = QUALITY,
                                   .pixels = image->pixels + b->top * stride + b->left * 3,
                                   .stride = stride};
    return test_jpeg_write(&jpeg, path) ? TDO_OK
                                        : TDO_FAIL(TDO_ERR_FILE, "%s: cannot be written", path);
}

/* 3/4 to all of a side, somewhere. */
static int64_t part_of(int64_t side, uint32_t much, uint32_t where, int64_t *first)
{
    const int64_t least = side * 3 / 4;
    const int64_t size = least + (int64_t)((uint64_t)much * (uint64_t)(side - least + 1) >> 32);
    *first = (int64_t)((uint64_t)where * (uint64_t)(side - size + 1) >> 32);
    return size;
}

/* Images of one class of a split: numbers k, k + classes, ... below `images`. */
static tdo_err make_class(const struct photos *p, int split, int k, int64_t images)
{
    const struct tdo_stream stream = {.seed = 1, .purpose = TDO_PURPOSE_TEST};
    char path[PATH], directory[PATH];
    struct tdo_image image = {0};
    tdo_err err = TDO_OK;
    snprintf(directory, sizeof directory, "%s/%s/%02d", p->to, split ? "test" : "train", k);
    snprintf(path, sizeof path, "%s/%s", p->from, p->name[k]);
    TDO_GOTO(tdo_file_make_dir(directory));
    TDO_GOTO(tdo_image_read(path, &image));
    for (int64_t i = k; i < images; i += p->count) {
        const struct tdo_key key = {.sample = (uint64_t)i, .draw = (uint32_t)split};
        struct tdo_image_box box;
        uint32_t word[4];
        tdo_rng_words(&stream, &key, 0, 4, word);
        box.height = part_of(image.height, word[0], word[1], &box.top);
        box.width = part_of(image.width, word[2], word[3], &box.left);
        if (snprintf(path, sizeof path, "%s/%06lld.jpg", directory, (long long)i) >= PATH) {
            TDO_GOTO(TDO_FAIL(TDO_ERR_FILE, "%s: too long a path", directory));
        }
        TDO_GOTO(write_part(&image, &box, path));
    }
done:
    tdo_image_free(&image);
    return err;
}

static tdo_err make_all(struct photos *p, const int64_t images[2])
{
    TDO_TRY(tdo_file_list(p->from, take, p));
    if (p->count == 0 || images[0] < p->count || images[1] < p->count) {
        return TDO_FAIL(
            TDO_ERR_FORMAT,
            "%s: %d images there, at least one is expected and no more than are made", p->from,
            p->count);
    }
    qsort(p->name, (size_t)p->count, sizeof *p->name, compare);
    TDO_TRY(tdo_file_make_dir(p->to));
    TDO_TRY(check_room(p, images[0] + images[1]));
    for (int split = 0; split < 2; split++) {
        for (int k = 0; k < p->count; k++) {
            TDO_TRY(make_class(p, split, k, images[split]));
        }
    }
    return TDO_OK;
}

int main(int argc, char **argv)
{
    struct photos p = {0};
    tdo_err err;
    if (argc != 5) {
        err = TDO_FAIL(TDO_ERR_USAGE, "photos <from> <to> <train> <test>");
    } else {
        const int64_t images[2] = {strtoll(argv[3], NULL, 10), strtoll(argv[4], NULL, 10)};
        p.from = argv[1];
        p.to = argv[2];
        err = make_all(&p, images);
    }
    for (int k = 0; k < p.count; k++) {
        tdo_memory_free(&p.name[k]);
    }
    if (err != TDO_OK) {
        fprintf(stderr, "photos: %s\n", tdo_error_last()->message);
    }
    return tdo_error_exit_code(err);
}
