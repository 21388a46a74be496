/* Bad input, one row a case: a good set of each format, one file of it spoilt, and what the one
 * line must say beside the file's name. Files are empty, cut, foreign, lie about their sizes,
 * have more behind their end, or labels out of range. The sanitizers watch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <png.h>

#include "jobs/formats/formats.h"
#include "jobs/formats/image.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"
#include "tests/jpeg.h"
#include "tests/runner.h"

const char suite_name[] = "formats, bad input";

enum { IDX_SIDE = 4, ROWS = 5, CIFAR = 3073, STL = 27648, SIDE = 16, ROOM = 1 << 18 };

enum edit {
    GOOD,
    CUT,       /* to `at` bytes; below 0: off the end */
    POKE,      /* 4 bytes, big-endian, at `at` */
    BYTE,      /* one byte at `at` */
    TAIL,      /* `at` more bytes */
    TEXT,      /* the file is a page of text */
    OTHER,     /* ... a GIF, as far as its head tells */
    IHDR,      /* width and height of a PNG, with a checksum that fits */
    SOF,       /* width and height of a JPEG */
    DIRECTORY, /* ... is a directory */
    ZIP,       /* the file, packed, at `at` bytes of it (0: all) */
    ZIP_POKE,  /* POKE, then packed */
    ZIP_TAIL   /* TAIL, then packed */
};

struct bad {
    const char *format, *file;
    enum edit edit;
    long at;
    unsigned value;
    const char *says; /* NULL: it is read */
};

#define TRAIN_X "train-images-idx3-ubyte"
#define TRAIN_Y "train-labels-idx1-ubyte"
#define TEST_X  "t10k-images-idx3-ubyte"
#define PNG     "train/a/one.png"
#define JPEG    "test/b/two.jpg"

static const struct bad cases[] = {
    {"idx", TRAIN_X, GOOD, 0, 0, NULL},
    {"idx", TRAIN_X, CUT, 0, 0, "truncated: ends at byte 0"},
    {"idx", TRAIN_X, CUT, 3, 0, "inside the magic number"},
    {"idx", TRAIN_X, CUT, 4, 0, "inside the header"},
    {"idx", TRAIN_X, CUT, 15, 0, "inside the header"},
    {"idx", TRAIN_X, CUT, 16, 0, "truncated: 16 bytes, but its header (5 rows of 16 bytes)"},
    {"idx", TRAIN_X, CUT, -1, 0, "truncated: 95 bytes"},
    {"idx", TRAIN_Y, CUT, -1, 0, "truncated: 12 bytes"},
    {"idx", TRAIN_X, ZIP, 10, 0, "truncated"},
    {"idx", TRAIN_X, ZIP, -1, 0, "gzip"},
    {"idx", TRAIN_X, ZIP, 0, 0, NULL},
    {"idx", TEST_X, TEXT, 0, 0, "bad magic 3c 21 44 4f at byte 0: not an IDX file"},
    {"idx", TRAIN_Y, OTHER, 0, 0, "bad magic 47 49 46 38 at byte 0: not an IDX file"},
    {"idx", TRAIN_X, DIRECTORY, 0, 0, "cannot be"},
    {"idx", TRAIN_X, POKE, 0, 0x00000804, "unsigned bytes with 4 dimensions"},
    {"idx", TRAIN_X, POKE, 0, 0x00000d03, "floats with 3 dimensions"},
    {"idx", TRAIN_X, POKE, 4, 0xffffffff,
     "truncated: 96 bytes, but its header (4294967295 rows"},
    {"idx", TRAIN_X, POKE, 4, 0, "dimension 0, at byte 4, is 0"},
    {"idx", TRAIN_X, POKE, 8, 0xffffffff, "dimension 1, at byte 8, is 4294967295"},
    {"idx", TRAIN_X, POKE, 8, 16384, "truncated: 96 bytes"},
    {"idx", TRAIN_X, POKE, 12, 0, "dimension 2, at byte 12, is 0"},
    {"idx", TRAIN_X, ZIP_POKE, 4, 0xffffffff, "4294967295 images"},
    {"idx", TRAIN_X, ZIP_POKE, 4, 4, "4 images"},
    {"idx", TRAIN_X, ZIP_POKE, 12, 16384, "images of 4x16384"},
    {"idx", TRAIN_X, TAIL, 1, 0, "longer than its header says: 97 bytes"},
    {"idx", TRAIN_X, ZIP_TAIL, 1, 0, "longer than its header says"},
    {"idx", TRAIN_Y, BYTE, 8, 10, "label 10 of row 0, at byte 8"},
    {"idx", TRAIN_Y, BYTE, 12, 255, "label 255 of row 4, at byte 12"},
    {"cifar", "data_batch_3.bin", GOOD, 0, 0, NULL},
    {"cifar", "data_batch_3.bin", CUT, 0, 0, "0 bytes; expected a multiple of 3073"},
    {"cifar", "data_batch_3.bin", CUT, 1, 0, "1 bytes"},
    {"cifar", "data_batch_3.bin", CUT, 3072, 0, "the last one starts at byte 0"},
    {"cifar", "test_batch.bin", CUT, -1, 0, "the last one starts at byte 12292"},
    {"cifar", "test_batch.bin", TAIL, 3000, 0, "18365 bytes"},
    {"cifar", "test_batch.bin", TEXT, 0, 0, "expected a multiple of 3073"},
    {"cifar", "test_batch.bin", DIRECTORY, 0, 0, "is no regular file"},
    {"cifar", "data_batch_1.bin", BYTE, 0, 10, "label 10 of row 0, at byte 0"},
    {"cifar", "data_batch_5.bin", BYTE, 4 * 3073, 255, "label 255 of row 4, at byte 12292"},
    {"cifar", "data_batch_2.bin", ZIP, 0, 0, NULL},
    {"cifar", "data_batch_2.bin", ZIP, 30, 0, "gzip"},
    {"cifar", "data_batch_2.bin", ZIP, -1, 0, "gzip"},
    {"cifar", "data_batch_2.bin", ZIP_TAIL, 1, 0, "15366 bytes (unpacked)"},
    {"stl10", "train_X.bin", GOOD, 0, 0, NULL},
    {"stl10", "train_X.bin", CUT, 0, 0, "0 bytes; expected a multiple of 27648"},
    {"stl10", "train_X.bin", CUT, 27647, 0, "27647 bytes"},
    {"stl10", "train_X.bin", CUT, 27648, 0, "has 1 images"},
    {"stl10", "test_X.bin", TAIL, 1, 0, "138241 bytes"},
    {"stl10", "test_y.bin", CUT, 0, 0, "0 bytes; expected a multiple of 1"},
    {"stl10", "test_y.bin", TAIL, 1, 0, "has 6 labels"},
    {"stl10", "test_y.bin", BYTE, 2, 0, "label 0 of row 2, at byte 2"},
    {"stl10", "train_y.bin", BYTE, 4, 11, "label 11 of row 4, at byte 4"},
    {"stl10", "train_X.bin", TEXT, 0, 0, "expected a multiple of 27648"},
    {"stl10", "train_X.bin", DIRECTORY, 0, 0, "is no regular file"},
    {"stl10", "test_X.bin", ZIP, -3, 0, "gzip"},
    {"folder", PNG, GOOD, 0, 0, NULL},
    {"folder", PNG, CUT, 0, 0, "is empty; expected a PNG or JPEG image"},
    {"folder", PNG, CUT, 3, 0, "neither the bytes of PNG nor of JPEG"},
    {"folder", PNG, CUT, 8, 0, "corrupt PNG near byte 8 of 8"},
    {"folder", PNG, CUT, 20, 0, "corrupt PNG"},
    {"folder", PNG, CUT, 60, 0, "corrupt PNG"},
    {"folder", PNG, CUT, -1, 0, "truncated: the file ends here"},
    {"folder", PNG, POKE, 16, 0x00000100, "corrupt PNG"}, /* the checksum tells */
    {"folder", PNG, IHDR, 0x7fffffff, 0x7fffffff, "corrupt PNG"},
    {"folder", PNG, IHDR, 100000, 100000, "100000x100000 (height x width): expected 1 to"},
    {"folder", PNG, IHDR, 0, 16, "corrupt PNG"},
    {"folder", PNG, IHDR, 16, 17, "corrupt PNG"}, /* one row more than there is */
    {"folder", PNG, TAIL, 100, 0, NULL},
    {"folder", PNG, TEXT, 0, 0, "neither the bytes of PNG nor of JPEG"},
    {"folder", PNG, OTHER, 0, 0, "neither the bytes of PNG nor of JPEG"},
    {"folder", PNG, DIRECTORY, 0, 0, "is no regular file"},
    {"folder", JPEG, CUT, 0, 0, "is empty"},
    {"folder", JPEG, CUT, 2, 0, "neither the bytes of PNG nor of JPEG"},
    {"folder", JPEG, CUT, 4, 0, "corrupt JPEG before its first row"},
    {"folder", JPEG, CUT, 200, 0, "corrupt JPEG before its first row"},
    {"folder", JPEG, CUT, -40, 0, "corrupt JPEG near row"},
    {"folder", JPEG, CUT, -2, 0, "corrupt JPEG near row"},
    {"folder", JPEG, SOF, 65000, 65000, "65000x65000 (height x width): expected 1 to"},
    {"folder", JPEG, SOF, 0, 16, "corrupt JPEG before its first row"},
    {"folder", JPEG, SOF, 16, 4000, "corrupt JPEG near row"},
    {"folder", JPEG, SOF, 8, 8, "is 8x8 (height x width), but the first image is 16x16"},
    {"folder", JPEG, TAIL, 100, 0, NULL},
    {"folder", JPEG, TEXT, 0, 0, "neither the bytes of PNG nor of JPEG"},
    {"folder", JPEG, OTHER, 0, 0, "neither the bytes of PNG nor of JPEG"},
};

/* ---- good sets ---- */

static char directory[64];
static unsigned char bytes[ROOM]; /* the file at hand */

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void put(const char *name, const void *data, int64_t n)
{
    char parent[256];
    snprintf(parent, sizeof parent, "%s", path_of(name));
    *strrchr(parent, '/') = '\0';
    ASSERT_OK_FATAL(tdo_file_make_dir(parent));
    FILE *f = fopen(path_of(name), "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(data, 1, (size_t)n, f), (size_t)n);
    CU_ASSERT_EQUAL(fclose(f), 0);
}

static void make_idx(void)
{
    static const char *const prefix[] = {"train", "t10k"};
    for (int i = 0; i < 2; i++) {
        unsigned char x[16 + ROWS * 16] = {0, 0, 8, 3, 0, 0, 0, ROWS, 0, 0, 0, 4, 0, 0, 0, 4};
        const unsigned char y[8 + ROWS] = {0, 0, 8, 1, 0, 0, 0, ROWS, 9, 1, 2, 3, 4};
        char name[64];
        snprintf(name, sizeof name, "%s-images-idx3-ubyte", prefix[i]);
        put(name, x, sizeof x);
        snprintf(name, sizeof name, "%s-labels-idx1-ubyte", prefix[i]);
        put(name, y, sizeof y);
    }
}

static void make_cifar(void)
{
    memset(bytes, 9, sizeof bytes);
    for (int i = 1; i <= 6; i++) {
        char name[32] = "test_batch.bin";
        if (i < 6) {
            snprintf(name, sizeof name, "data_batch_%d.bin", i);
        }
        put(name, bytes, ROWS * CIFAR);
    }
}

static void make_stl(void)
{
    static unsigned char images[ROWS * STL];
    static const unsigned char labels[] = {1, 2, 10, 4, 5};
    put("train_X.bin", images, sizeof images);
    put("test_X.bin", images, sizeof images);
    put("train_y.bin", labels, sizeof labels);
    put("test_y.bin", labels, sizeof labels);
}

static void put_png(const char *name, const unsigned char *rgb)
{
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = SIDE, .height = SIDE, .format = PNG_FORMAT_RGB};
    put(name, "", 0); /* its directory */
    CU_ASSERT_FATAL(png_image_write_to_file(&image, path_of(name), 0, rgb, 0, NULL) != 0);
}

static void put_jpeg(const char *name, const unsigned char *rgb)
{
    const struct test_jpeg jpeg = {.height = SIDE,
                                   .width = SIDE,
                                   .channels = 3,
                                   .quality = 75,
                                   .pixels = rgb,
                                   .stride = SIDE * 3};
    uint8_t *data = NULL;
    const int64_t size = test_jpeg_encode(&jpeg, &data);
    put(name, data, size);
    free(data);
}

static void make_folder(void)
{
    unsigned char rgb[SIDE * SIDE * 3];
    for (unsigned i = 0; i < sizeof rgb; i++) {
        rgb[i] = (unsigned char)(i * i * 2477 >> 4);
    }
    put_png("train/a/one.png", rgb);
    put_jpeg("train/b/one.jpg", rgb);
    put_png("test/a/two.png", rgb);
    put_jpeg("test/b/two.jpg", rgb);
}

static void make_set(const char *format)
{
    snprintf(directory, sizeof directory, "%s", "/tmp/testudo-bad-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
    switch (format[0]) {
    case 'i':
        make_idx();
        return;
    case 'c':
        make_cifar();
        return;
    case 's':
        make_stl();
        return;
    default:
        make_folder();
    }
}

/* ---- what is done to them ---- */

static void big_endian(unsigned char *to, unsigned value, int n)
{
    for (int i = 0; i < n; i++) {
        to[i] = (unsigned char)(value >> 8 * (n - 1 - i));
    }
}

static void put_zipped(const char *name, int64_t n, long cut)
{
    char zipped[64];
    struct stat st;
    snprintf(zipped, sizeof zipped, "%s.gz", name);
    CU_ASSERT_EQUAL(unlink(path_of(name)), 0);
    gzFile gz = gzopen(path_of(zipped), "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(gz);
    CU_ASSERT_EQUAL(gzwrite(gz, bytes, (unsigned)n), n);
    CU_ASSERT_EQUAL(gzclose(gz), Z_OK);
    CU_ASSERT_EQUAL(stat(path_of(zipped), &st), 0);
    if (cut != 0) {
        CU_ASSERT_EQUAL(truncate(path_of(zipped), cut > 0 ? cut : st.st_size + cut), 0);
    }
}

static int64_t load(const char *name)
{
    FILE *f = fopen(path_of(name), "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    memset(bytes, 0xaa, sizeof bytes);
    int64_t n = (int64_t)fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    return n;
}

/* Where the frame header of a JPEG has its height. */
static unsigned char *frame(int64_t n)
{
    int64_t at = 2;
    while (at + 9 < n && bytes[at + 1] != 0xc0) {
        at += 2 + bytes[at + 2] * 256 + bytes[at + 3];
    }
    CU_ASSERT_FATAL(at + 9 < n);
    return bytes + at + 5;
}

/* The bytes of the file, changed; returns how many there are now. */
static int64_t change(const struct bad *b, int64_t n)
{
    static const char page[] = "<!DOCTYPE html><html><body>404 Not Found</body></html>\n";
    static const char gif[] = "GIF89a\x10\0\x10\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\4\1\0\0\0\0,";
    switch (b->edit) {
    case CUT:
        return b->at < 0 ? n + b->at : b->at;
    case POKE:
    case ZIP_POKE:
        big_endian(bytes + b->at, b->value, 4);
        return n;
    case BYTE:
        bytes[b->at] = (unsigned char)b->value;
        return n;
    case TAIL:
    case ZIP_TAIL:
        return n + (b->edit == TAIL ? b->at : 1);
    case TEXT:
        memcpy(bytes, page, sizeof page - 1);
        return sizeof page - 1;
    case OTHER:
        memcpy(bytes, gif, sizeof gif);
        return sizeof gif;
    case IHDR:
        big_endian(bytes + 16, (unsigned)b->at, 4);
        big_endian(bytes + 20, b->value, 4);
        big_endian(bytes + 29, (unsigned)crc32(0, bytes + 12, 17), 4);
        return n;
    case SOF:
        big_endian(frame(n) + 2, (unsigned)b->at, 2);
        big_endian(frame(n), b->value, 2);
        return n;
    default:
        return n;
    }
}

static void spoil(const struct bad *b)
{
    if (b->edit == DIRECTORY) {
        CU_ASSERT_EQUAL(unlink(path_of(b->file)), 0);
        CU_ASSERT_EQUAL(mkdir(path_of(b->file), 0777), 0);
        return;
    }
    int64_t n = change(b, load(b->file));
    if (b->edit == ZIP || b->edit == ZIP_POKE || b->edit == ZIP_TAIL) {
        put_zipped(b->file, n, b->edit == ZIP ? b->at : 0);
    } else {
        put(b->file, bytes, n);
    }
}

/* Open the directory and read it all. */
static tdo_err read_all(const char *format)
{
    const struct tdo_format_args args = {.from = directory};
    tdo_source *s = NULL;
    unsigned char *x = NULL;
    int32_t y[ROWS * 5];
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_source_open(tdo_format_find(format), &args, &s));
    for (int split = 0; split < TDO_SOURCE_SPLITS; split++) {
        const int64_t rows = s->info.rows[split];
        CU_ASSERT_FATAL(rows <= ROWS * 5);
        tdo_memory_free(&x);
        TDO_GOTO(tdo_memory_new(rows * s->info.height * s->info.width * s->info.channels, &x));
        TDO_GOTO(tdo_source_read(s, (enum tdo_source_split)split, 0, rows, x, y));
    }
done:
    tdo_source_close(&s);
    tdo_memory_free(&x);
    return err;
}

static bool is_as_told(const struct bad *b, tdo_err err)
{
    const char *message = tdo_error_last()->message;
    if (!b->says) {
        return err == TDO_OK;
    }
    return (err == TDO_ERR_FORMAT || err == TDO_ERR_FILE) && strstr(message, b->file) &&
           strstr(message, b->says) && !strchr(message, '\n');
}

static void check(const struct bad *b, int row)
{
    char command[100];
    make_set(b->format);
    spoil(b);
    tdo_error_clear();
    tdo_err err = read_all(b->format);
    if (!is_as_told(b, err)) {
        fprintf(stderr, "case %d, %s %s: expected \"%s\", got %d: %s\n", row, b->format,
                b->file, b->says ? b->says : "success", (int)err, tdo_error_last()->message);
        CU_FAIL("another outcome");
    }
    snprintf(command, sizeof command, "rm -rf -- '%s'", directory);
    CU_ASSERT_EQUAL(system(command), 0);
}

static void test_cases(void)
{
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        check(&cases[i], i);
    }
}

/* ---- one image for a model ---- */

static void test_load(void)
{
    uint8_t rgb[8 * 12 * 3], grey[8 * 12], one[SIDE * SIDE * 3];
    struct tdo_image image;
    make_set("folder");
    ASSERT_OK_FATAL(tdo_image_read(path_of(PNG), &image));
    ASSERT_OK_FATAL(tdo_image_fit(&image, SIDE, SIDE, one)); /* as it is */
    for (unsigned i = 0; i < sizeof one; i++) {
        CU_ASSERT_EQUAL(one[i], (uint8_t)(i * i * 2477 >> 4));
    }
    ASSERT_OK_FATAL(tdo_image_fit(&image, 8, 12, rgb));
    tdo_image_grey(rgb, (int64_t)8 * 12, grey);
    tdo_image_free(&image);
    int off = 0;
    for (int i = 0; i < 8 * 12; i++) {
        double want = 0.299 * rgb[3 * i] + 0.587 * rgb[3 * i + 1] + 0.114 * rgb[3 * i + 2];
        off += (double)grey[i] > want + 0.51 || (double)grey[i] < want - 0.51;
    }
    CU_ASSERT_EQUAL(off, 0);
    CU_ASSERT_EQUAL(tdo_image_read(path_of("none.png"), &image), TDO_ERR_FILE);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "none.png"));
    char command[100];
    snprintf(command, sizeof command, "rm -rf -- '%s'", directory);
    CU_ASSERT_EQUAL(system(command), 0);
}

/* Another rank's source reads the same samples from the bytes that it was sent. */
static void test_join(void)
{
    const struct tdo_format *format = tdo_format_find("folder");
    struct tdo_format_args args;
    tdo_source *a = NULL, *b = NULL;
    const char *found = NULL;
    int64_t count = 0;
    uint8_t x[2][SIDE * SIDE * 3];
    int32_t y[2];
    make_set("folder");
    args = (struct tdo_format_args){.from = directory};
    ASSERT_OK_FATAL(tdo_source_open(format, &args, &a));
    tdo_source_share(a, &found, &count);
    CU_ASSERT_EQUAL(count, 2 * (2 + 2 + 8 + 8 + 2));
    put_png("train/a/another.png", x[0]); /* it came too late */
    ASSERT_OK_FATAL(tdo_source_join(format, &args, &a->info, found, count, &b));
    CU_ASSERT_EQUAL(memcmp(&a->info, &b->info, sizeof a->info), 0);
    for (int split = 0; split < TDO_SOURCE_SPLITS; split++) {
        for (int64_t i = 0; i < 2; i++) {
            ASSERT_OK(tdo_source_read(a, (enum tdo_source_split)split, i, 1, x[0], &y[0]));
            ASSERT_OK(tdo_source_read(b, (enum tdo_source_split)split, i, 1, x[1], &y[1]));
            CU_ASSERT(y[0] == i && y[1] == i && memcmp(x[0], x[1], sizeof x[0]) == 0);
        }
    }
    for (int64_t k = 1; k < 12; k++) { /* memory runs out */
        tdo_source *c = NULL;
        tdo_memory_fail_after(k);
        tdo_err err = tdo_source_join(format, &args, &a->info, found, count, &c);
        tdo_memory_fail_after(0);
        CU_ASSERT(err == TDO_ERR_MEMORY ? !c : err == TDO_OK && c && k > 8);
        tdo_source_close(&c);
    }
    tdo_source_close(&a);
    tdo_source_close(&b);
    char command[100];
    snprintf(command, sizeof command, "rm -rf -- '%s'", directory);
    CU_ASSERT_EQUAL(system(command), 0);
}

CU_TestInfo suite_tests[] = {
    {"every bad file is told in one line with its name and place", test_cases},
    {"one image comes in the size and the channels of a model", test_load},
    {"a source that another rank opened reads the same", test_join},
    CU_TEST_INFO_NULL,
};
