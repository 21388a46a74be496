/* Formats of pictures and of points. The real CIFAR-100 and STL-10, and CIFAR-10 in its binary
 * version, are not at hand: the tests write small files in the same layout, byte by byte from
 * the published descriptions. PNG and JPEG files are written by libpng and libjpeg, and spoilt;
 * resizing is compared with what Pillow 13.0 gives for the same pixels. */
#include <dirent.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "jobs/formats/formats.h"
#include "jobs/formats/image.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"
#include "tests/jpeg.h"
#include "tests/runner.h"

const char suite_name[] = "formats of images";

enum { MAX_FILE = 64 * 1024, CIFAR = 3072, STL = 27648, W = 6, H = 5, PIXELS = W * H };

static char directory[64]; /* of the present test */

static void path_of(char path[256], const char *name)
{
    snprintf(path, 256, "%s/%s", directory, name);
}

static void start(void)
{
    snprintf(directory, sizeof directory, "%s", "/tmp/testudo-images-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
}

/* Remove a directory with all that is in it. */
static void erase(const char *path)
{
    DIR *d = opendir(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    for (const struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        char inside[512];
        struct stat st;
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (lstat(inside, &st) == 0 && S_ISDIR(st.st_mode)) {
            erase(inside);
        } else {
            CU_ASSERT_EQUAL(unlink(inside), 0);
        }
    }
    closedir(d);
    CU_ASSERT_EQUAL(rmdir(path), 0);
}

static void stop(void)
{
    erase(directory);
}

/* Write a file, with the directories of its name. */
static void put(const char *name, const void *data, int64_t bytes)
{
    char path[256], parent[256];
    path_of(path, name);
    snprintf(parent, sizeof parent, "%s", path);
    *strrchr(parent, '/') = '\0';
    ASSERT_OK_FATAL(tdo_file_make_dir(parent));
    ASSERT_OK_FATAL(tdo_file_write(path, data, bytes));
}

static void drop(const char *name)
{
    char path[256];
    path_of(path, name);
    CU_ASSERT_EQUAL(remove(path), 0);
}

static void put_zipped(const char *name, const void *data, int64_t bytes)
{
    char path[256];
    path_of(path, name);
    gzFile gz = gzopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(gz);
    CU_ASSERT_EQUAL(gzwrite(gz, data, (unsigned)bytes), bytes);
    CU_ASSERT_EQUAL(gzclose(gz), Z_OK);
}

/* Cut a file, or make it longer. */
static void resize(const char *name, int change)
{
    char path[256];
    struct stat st;
    path_of(path, name);
    CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(truncate(path, st.st_size + change), 0);
}

static void poke(const char *name, long at, int byte)
{
    char path[256];
    path_of(path, name);
    FILE *f = fopen(path, "r+b");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    fputc(byte, f);
    fclose(f);
}

static tdo_err open_set(const char *format, int64_t size, tdo_source **out)
{
    struct tdo_format_args args = {.from = directory, .size = size};
    return tdo_source_open(tdo_format_find(format), &args, out);
}

/* Open the directory and read it all, a sample at a time. */
static tdo_err read_all(const char *format)
{
    tdo_source *s = NULL;
    uint8_t *x = NULL;
    int32_t y;
    tdo_err err = TDO_OK;
    TDO_GOTO(open_set(format, 0, &s));
    TDO_GOTO(tdo_memory_new(s->info.height * s->info.width * s->info.channels, &x));
    for (int split = 0; split < TDO_SOURCE_SPLITS; split++) {
        for (int64_t i = 0; i < s->info.rows[split]; i++) {
            TDO_GOTO(tdo_source_read(s, (enum tdo_source_split)split, i, 1, x, &y));
        }
    }
done:
    tdo_source_close(&s);
    tdo_memory_free(&x);
    return err;
}

#define WORDS(...) ((const char *[]){__VA_ARGS__, NULL})

/* The latest error is one line that says all of `words`. */
static void says(const char *words[])
{
    const char *message = tdo_error_last()->message;
    CU_ASSERT_PTR_NULL(strchr(message, '\n'));
    for (int i = 0; words[i]; i++) {
        CU_ASSERT_PTR_NOT_NULL(strstr(message, words[i]));
        if (!strstr(message, words[i])) {
            fprintf(stderr, "no \"%s\" in: %s\n", words[i], message);
        }
    }
}

/* Reading the set fails so; then the directory goes. */
static void refuses(const char *format, tdo_err code, const char *words[])
{
    CU_ASSERT_EQUAL(read_all(format), code);
    says(words);
    stop();
}

/* ---- CIFAR and STL-10 -------------------------------------------------------------------- */

/* What stands at (channel, row, column) of record i of file f. */
static uint8_t value(int f, int i, int c, int row, int column)
{
    return (uint8_t)(31 * f + 17 * i + 85 * c + 3 * row + 7 * column + row * column);
}

/* Files of `rows` records: labels (10 i + f) mod `classes`, after a coarse one if `coarse`. */
static int64_t cifar_file(int f, int rows, int classes, bool coarse, uint8_t *out)
{
    int64_t at = 0;
    for (int i = 0; i < rows; i++) {
        if (coarse) {
            out[at++] = (uint8_t)((7 * i + f) % 20);
        }
        out[at++] = (uint8_t)((10 * i + f) % classes);
        for (int k = 0; k < CIFAR; k++) {
            out[at++] = value(f, i, k / 1024, k % 1024 / 32, k % 32);
        }
    }
    return at;
}

static const char *const cifar10[] = {"data_batch_1.bin", "data_batch_2.bin",
                                      "data_batch_3.bin", "data_batch_4.bin",
                                      "data_batch_5.bin", "test_batch.bin"};

/* Batch f has f + 1 records. */
static void make_cifar10(const char *inside)
{
    static uint8_t data[6 * 3073];
    start();
    for (int f = 0; f < 6; f++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", inside, cifar10[f]);
        put(name, data, cifar_file(f, f + 1, 10, false, data));
    }
}

static void make_cifar100(const char *inside)
{
    static uint8_t data[9 * 3074];
    start();
    for (int f = 0; f < 2; f++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", inside, f ? "test.bin" : "train.bin");
        put(name, data, cifar_file(f, 9 - 5 * f, 100, true, data));
    }
}

static void check_pixels(const uint8_t *x, int f, int i, int side, bool stl)
{
    int wrong = 0;
    for (int k = 0; k < side * side * 3; k++) {
        int row = k / 3 / side, column = k / 3 % side;
        wrong +=
            x[k] != (stl ? value(f, i, k % 3, column, row) : value(f, i, k % 3, row, column));
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static void check_cifar10(void)
{
    static uint8_t x[15 * CIFAR];
    int32_t y[15];
    tdo_source *s = NULL;
    ASSERT_OK_FATAL(open_set("cifar", 0, &s));
    CU_ASSERT_TRUE(s->info.rows[0] == 15 && s->info.rows[1] == 6 && s->info.classes == 10);
    CU_ASSERT_TRUE(s->info.height == 32 && s->info.width == 32 && s->info.channels == 3);
    CU_ASSERT_TRUE(s->info.is_u8);
    for (int first = 14; first >= 0; first -= 7) { /* backwards, over borders of batches */
        ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TRAIN, first, 15 - first, x, y));
        for (int i = first; i < 15; i++) {
            int f = i < 1    ? 0
                    : i < 3  ? 1
                    : i < 6  ? 2
                    : i < 10 ? 3
                             : 4,
                row = i - f * (f + 1) / 2;
            CU_ASSERT_EQUAL(y[i - first], (10 * row + f) % 10);
            check_pixels(x + (i - first) * CIFAR, f, row, 32, false);
        }
    }
    ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TEST, 5, 1, x, y));
    check_pixels(x, 5, 5, 32, false);
    CU_ASSERT_EQUAL(y[0], 5);
    tdo_source_close(&s);
}

static void test_cifar10(void)
{
    static uint8_t data[6 * 3073];
    make_cifar10("");
    check_cifar10();
    drop(cifar10[3]);
    put_zipped("data_batch_4.bin.gz", data, cifar_file(3, 4, 10, false, data));
    check_cifar10();
    stop();
    make_cifar10("cifar-10-batches-bin/");
    check_cifar10();
    stop();
}

static void test_cifar100(void)
{
    static uint8_t x[9 * CIFAR];
    int32_t y[9];
    for (int k = 0; k < 2; k++) {
        tdo_source *s = NULL;
        make_cifar100(k ? "cifar-100-binary/" : "");
        ASSERT_OK_FATAL(open_set("cifar", 0, &s));
        CU_ASSERT_TRUE(s->info.rows[0] == 9 && s->info.rows[1] == 4 && s->info.classes == 100);
        ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TRAIN, 0, 9, x, y));
        for (int i = 0; i < 9; i++) {
            CU_ASSERT_EQUAL(y[i], 10 * i); /* the fine label */
            check_pixels(x + i * CIFAR, 0, i, 32, false);
        }
        ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TEST, 3, 1, x, y));
        CU_ASSERT_EQUAL(y[0], 31);
        check_pixels(x, 1, 3, 32, false);
        tdo_source_close(&s);
        stop();
    }
}

static void test_cifar_refused(void)
{
    static uint8_t data[6 * 3073];
    make_cifar10("");
    resize(cifar10[2], -1);
    refuses("cifar", TDO_ERR_FORMAT, WORDS(cifar10[2], "truncated", "9218 bytes", "byte 6146"));
    make_cifar10("");
    resize(cifar10[5], 1);
    refuses("cifar", TDO_ERR_FORMAT, WORDS(cifar10[5], "too long", "3073"));
    make_cifar10("");
    resize(cifar10[0], -3073);
    refuses("cifar", TDO_ERR_FORMAT, WORDS(cifar10[0], "0 bytes"));
    make_cifar10("");
    poke(cifar10[4], 2 * 3073, 10);
    refuses("cifar", TDO_ERR_FORMAT, WORDS(cifar10[4], "label 10", "row 2", "byte 6146"));
    make_cifar10("");
    drop(cifar10[0]);
    refuses("cifar", TDO_ERR_FILE, WORDS(directory, cifar10[0]));
    make_cifar10("");
    put("cifar-100-binary/train.bin", data, 3074);
    refuses("cifar", TDO_ERR_CONFIG, WORDS(directory, "CIFAR-10 and CIFAR-100"));
    make_cifar100("");
    poke("train.bin", 3074, 20);
    refuses("cifar", TDO_ERR_FORMAT, WORDS("train.bin", "coarse label 20", "row 1"));
    make_cifar100("");
    poke("test.bin", 1, 100);
    refuses("cifar", TDO_ERR_FORMAT, WORDS("test.bin", "fine label 100", "byte 1"));
    start();
    refuses("cifar", TDO_ERR_FILE, WORDS(directory, "data_batch_1.bin", "train.bin"));
    for (int k = 0; k < 2; k++) { /* the gzip file is cut, or its checksum wrong */
        make_cifar10("");
        drop(cifar10[1]);
        put_zipped("data_batch_2.bin.gz", data, cifar_file(1, 2, 10, false, data));
        if (k) {
            poke("data_batch_2.bin.gz", -6, 0);
        } else {
            resize("data_batch_2.bin.gz", -30);
        }
        refuses("cifar", TDO_ERR_FORMAT, WORDS("data_batch_2.bin.gz", "gzip"));
    }
}

static const char *const stl[] = {"train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"};

/* 11 and 2 images, labels 1, 2, ... 10, 1, in the layout of STL-10: columns within planes. */
static void make_stl(const char *inside)
{
    static uint8_t data[11 * STL];
    start();
    for (int f = 0; f < 4; f++) {
        int rows = f < 2 ? 11 : 2;
        char name[64];
        snprintf(name, sizeof name, "%s%s", inside, stl[f]);
        for (int i = 0; i < rows; i++) {
            for (int k = 0; k < STL && f % 2 == 0; k++) {
                data[i * STL + k] = value(f, i, k / 9216, k % 9216 / 96, k % 96);
            }
            if (f % 2) {
                data[i] = (uint8_t)(i % 10 + 1);
            }
        }
        put(name, data, f % 2 ? rows : rows * STL);
    }
}

static void test_stl10(void)
{
    static uint8_t x[3 * STL];
    int32_t y[3];
    for (int k = 0; k < 2; k++) {
        tdo_source *s = NULL;
        make_stl(k ? "stl10_binary/" : "");
        ASSERT_OK_FATAL(open_set("stl10", 0, &s));
        CU_ASSERT_TRUE(s->info.rows[0] == 11 && s->info.rows[1] == 2 && s->info.classes == 10);
        CU_ASSERT_TRUE(s->info.height == 96 && s->info.width == 96 && s->info.channels == 3);
        ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TRAIN, 8, 3, x, y));
        CU_ASSERT_TRUE(y[0] == 8 && y[1] == 9 && y[2] == 0);
        check_pixels(x + 2 * STL, 0, 10, 96, true);
        ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TEST, 1, 1, x, y));
        CU_ASSERT_EQUAL(y[0], 1);
        check_pixels(x, 2, 1, 96, true);
        tdo_source_close(&s);
        stop();
    }
}

static void test_stl10_refused(void)
{
    make_stl("");
    resize(stl[0], -1);
    refuses("stl10", TDO_ERR_FORMAT, WORDS(stl[0], "truncated", "27648"));
    make_stl("");
    resize(stl[0], -STL);
    refuses("stl10", TDO_ERR_FORMAT, WORDS(stl[0], "10 images", stl[1], "11 labels"));
    make_stl("");
    resize(stl[3], 1);
    refuses("stl10", TDO_ERR_FORMAT, WORDS(stl[3], "3 labels"));
    make_stl("");
    poke(stl[1], 4, 0);
    refuses("stl10", TDO_ERR_FORMAT, WORDS(stl[1], "label 0", "row 4", "1 to 10"));
    make_stl("");
    poke(stl[3], 1, 11);
    refuses("stl10", TDO_ERR_FORMAT, WORDS(stl[3], "label 11", "byte 1"));
    make_stl("");
    drop(stl[2]);
    refuses("stl10", TDO_ERR_FILE, WORDS(directory, stl[2]));
}

/* ---- PNG and JPEG ------------------------------------------------------------------------ */

/* An encoded file in memory. */
struct bytes {
    int64_t size;
    uint8_t data[MAX_FILE];
};

static void on_write(png_structp png, png_bytep data, size_t n)
{
    struct bytes *b = png_get_io_ptr(png);
    CU_ASSERT_FATAL((uint64_t)b->size + n <= MAX_FILE);
    memcpy(b->data + b->size, data, n);
    b->size += (int64_t)n;
}

/* Samples of W x H, as libpng wants its rows; and the RGB bytes that they stand for. */
struct picture {
    int type, depth;
    uint8_t rows[H][W * 8];
    uint8_t rgb[PIXELS * 3];
};

/* Sample c of pixel i, in `depth` bits. */
static unsigned sample(int i, int c, int depth)
{
    return (unsigned)(i * 2477 + c * 20011 + i * i * 91) & ((1u << depth) - 1);
}

static void put_sample(uint8_t *row, int at, int depth, unsigned v)
{
    if (depth == 16) {
        row[2 * at] = (uint8_t)(v >> 8);
        row[2 * at + 1] = (uint8_t)v;
    } else {
        row[at * depth / 8] |= (uint8_t)(v << (8 - depth - at * depth % 8));
    }
}

static void draw_png(int type, int depth, struct picture *p)
{
    memset(p, 0, sizeof *p);
    p->type = type;
    p->depth = depth;
    int colours = type & PNG_COLOR_MASK_COLOR && type != PNG_COLOR_TYPE_PALETTE ? 3 : 1;
    int channels = colours + (type & PNG_COLOR_MASK_ALPHA ? 1 : 0);
    for (int i = 0; i < PIXELS; i++) {
        for (int c = 0; c < channels; c++) {
            put_sample(p->rows[i / W], i % W * channels + c, depth, sample(i, c, depth));
        }
        for (int c = 0; c < 3; c++) {
            unsigned v = sample(i, colours == 3 ? c : 0, depth), most = (1u << depth) - 1;
            v = type == PNG_COLOR_TYPE_PALETTE ? v * 7 + (unsigned)c * 50
                                               : (v * 255 + most / 2) / most;
            p->rgb[3 * i + c] = (uint8_t)v;
        }
    }
}

static void encode_png(struct picture *p, bool interlace, bool clear, struct bytes *out)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_bytep rows[H];
    out->size = 0;
    png_set_write_fn(png, out, on_write, NULL);
    png_set_IHDR(png, info, W, H, p->depth, p->type,
                 interlace ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (p->type == PNG_COLOR_TYPE_PALETTE) {
        png_color palette[256];
        for (int i = 0; i < 256; i++) {
            palette[i] =
                (png_color){(png_byte)(i * 7), (png_byte)(i * 7 + 50), (png_byte)(i * 7 + 100)};
        }
        png_set_PLTE(png, info, palette, 1 << p->depth);
    }
    if (clear) { /* one transparent entry, or one transparent colour */
        png_byte alpha[] = {0};
        png_color_16 key = {.red = 1, .green = 2, .blue = 3, .gray = 0};
        png_set_tRNS(png, info, alpha, 1, &key);
    }
    png_write_info(png, info);
    for (int i = 0; i < H; i++) {
        rows[i] = p->rows[i];
    }
    png_write_image(png, rows);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
}

static void test_png(void)
{
    static const struct {
        int type, depths[6];
    } kinds[] = {{PNG_COLOR_TYPE_GRAY, {1, 2, 4, 8, 16}},
                 {PNG_COLOR_TYPE_PALETTE, {1, 2, 4, 8}},
                 {PNG_COLOR_TYPE_RGB, {8, 16}},
                 {PNG_COLOR_TYPE_GRAY_ALPHA, {8, 16}},
                 {PNG_COLOR_TYPE_RGB_ALPHA, {8, 16}}};
    static struct bytes file;
    struct picture p;
    int count = 0;
    for (int k = 0; k < 5; k++) {
        for (int d = 0; kinds[k].depths[d]; d++) {
            for (int how = 0; how < 4; how++) {
                bool clear = how & 2 && !(kinds[k].type & PNG_COLOR_MASK_ALPHA);
                struct tdo_image image = {0};
                draw_png(kinds[k].type, kinds[k].depths[d], &p);
                encode_png(&p, how & 1, clear, &file);
                ASSERT_OK_FATAL(tdo_image_png("a.png", file.data, file.size, &image));
                CU_ASSERT_TRUE_FATAL(image.width == W && image.height == H);
                CU_ASSERT_EQUAL(memcmp(image.pixels, p.rgb, sizeof p.rgb), 0);
                tdo_image_free(&image);
                count++;
            }
        }
    }
    CU_ASSERT_EQUAL(count, 15 * 4); /* all that the standard allows, plain and interlaced */
}

/* Every file that is cut short, and every one with a bit turned, is refused in one line. */
static void test_png_spoilt(void)
{
    static struct bytes file, bad;
    struct picture p;
    draw_png(PNG_COLOR_TYPE_RGB, 8, &p);
    encode_png(&p, false, true, &file); /* with a chunk that does not touch the pixels */
    for (int64_t i = 0; i < 9 * file.size; i++) {
        struct tdo_image image = {0};
        bad = file;
        if (i < file.size) {
            bad.size = i;
        } else {
            int64_t bit = i - file.size;
            bad.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        CU_ASSERT_EQUAL(tdo_image_png("a.png", bad.data, bad.size, &image), TDO_ERR_FORMAT);
        says(WORDS("a.png"));
        tdo_image_free(&image);
    }
}

/* A smooth picture, side x side; grey, RGB or CMYK inverted as Adobe stores it. */
static uint8_t shade(int i, int side, int c)
{
    return (uint8_t)(40 + (i % side * (c + 1) + i / side * (4 - c)) * 150 / (5 * side));
}

static void encode_jpeg(int side, int channels, bool progressive, struct bytes *out)
{
    uint8_t pixels[64 * 64 * 4], *data = NULL;
    const struct test_jpeg jpeg = {.height = side,
                                   .width = side,
                                   .channels = channels,
                                   .quality = 100,
                                   .progressive = progressive,
                                   .pixels = pixels,
                                   .stride = (int64_t)side * channels};
    for (int k = 0; k < side * side * channels; k++) {
        pixels[k] = shade(k / channels, side, k % channels);
    }
    out->size = test_jpeg_encode(&jpeg, &data);
    CU_ASSERT_FATAL(out->size <= MAX_FILE);
    memcpy(out->data, data, (size_t)out->size);
    free(data);
}

static void test_jpeg(void)
{
    static struct bytes file;
    for (int k = 0; k < 6; k++) {
        int side = 37, channels = k / 2 == 0 ? 1 : k / 2 == 1 ? 3 : 4, worst = 0;
        struct tdo_image image = {0};
        encode_jpeg(side, channels, k % 2, &file);
        ASSERT_OK_FATAL(tdo_image_jpeg("a.jpg", file.data, file.size, 1, &image));
        CU_ASSERT_TRUE_FATAL(image.width == side && image.height == side);
        for (int i = 0; i < 3 * side * side; i++) {
            int want = shade(i / 3, side, channels == 1 ? 0 : i % 3);
            want = channels == 4 ? want * shade(i / 3, side, 3) / 255 : want;
            int off = abs(image.pixels[i] - want);
            worst = off > worst ? off : worst;
        }
        CU_ASSERT_TRUE(worst <= 4); /* rounding, and colour at half resolution */
        tdo_image_free(&image);
    }
}

/* Cut anywhere: refused. A bit turned may be another picture, but never a crash. */
static void test_jpeg_spoilt(void)
{
    static struct bytes file, bad;
    int refused = 0;
    for (int progressive = 0; progressive < 2; progressive++) {
        encode_jpeg(16, 3, progressive, &file);
        for (int64_t i = 0; i < file.size; i++) {
            struct tdo_image image = {0};
            CU_ASSERT_EQUAL(tdo_image_jpeg("a.jpg", file.data, i, 1, &image), TDO_ERR_FORMAT);
            says(WORDS("a.jpg", "JPEG"));
            tdo_image_free(&image);
            bad = file;
            bad.data[i] ^= (uint8_t)(1 << i % 8);
            if (tdo_image_jpeg("a.jpg", bad.data, bad.size, 1, &image) != TDO_OK) {
                says(WORDS("a.jpg"));
                refused++;
            }
            tdo_image_free(&image);
        }
    }
    CU_ASSERT_TRUE(refused > 100);
}

/* ---- folders ----------------------------------------------------------------------------- */

/* A PNG, of one colour unless it is to be W x H of RGB noise. */
static void put_png(const char *name)
{
    static struct bytes file;
    struct picture p;
    draw_png(PNG_COLOR_TYPE_RGB, 8, &p);
    p.rows[0][0] = (uint8_t)strlen(name);
    encode_png(&p, false, false, &file);
    put(name, file.data, file.size);
}

static void make_folder(void)
{
    start();
    put_png("train/cat/b.png");
    put_png("train/cat/aa.png");
    put_png("train/Zebra/10.PNG");
    put_png("train/Zebra/9...png");
    put_png("test/Zebra/one.jpeg"); /* the content counts */
    put_png("test/cat/two.png");
    put("train/cat/.hidden", "no image", 8);
    put("train/.DS_Store", "no class", 8);
}

static void test_folder(void)
{
    static uint8_t x[4 * PIXELS * 3];
    char path[256];
    int32_t y[4];
    tdo_source *s = NULL;
    make_folder();
    path_of(path, "train/Zebra/link.png");
    CU_ASSERT_EQUAL(symlink("9...png", path), 0);
    drop("train/Zebra/10.PNG");
    ASSERT_OK_FATAL(open_set("folder", 0, &s));
    CU_ASSERT_TRUE(s->info.rows[0] == 4 && s->info.rows[1] == 2 && s->info.classes == 2);
    CU_ASSERT_TRUE(s->info.height == H && s->info.width == W && s->info.channels == 3);
    ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TRAIN, 0, 4, x, y));
    const char *order[] = {"train/Zebra/9...png", "train/Zebra/9...png", "train/cat/aa.png",
                           "train/cat/b.png"};
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(x[i * PIXELS * 3], strlen(order[i]));
        CU_ASSERT_EQUAL(y[i], i / 2);
    }
    ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TEST, 1, 1, x, y));
    CU_ASSERT_TRUE(y[0] == 1 && x[0] == strlen("test/cat/two.png"));
    tdo_source_close(&s);
    ASSERT_OK_FATAL(open_set("folder", 3, &s)); /* cut to a size */
    CU_ASSERT_TRUE(s->info.height == 3 && s->info.width == 3);
    struct tdo_image image = {0};
    uint8_t fit[27];
    path_of(path, "train/cat/b.png");
    ASSERT_OK_FATAL(tdo_image_read(path, &image));
    ASSERT_OK(tdo_image_fit(&image, 3, 3, fit));
    tdo_image_free(&image);
    ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TRAIN, 3, 1, x, y));
    CU_ASSERT_EQUAL(memcmp(x, fit, 27), 0);
    tdo_source_close(&s);
    stop();
}

static void test_folder_refused(void)
{
    static struct bytes file;
    tdo_source *s = NULL;
    start();
    refuses("folder", TDO_ERR_FILE, WORDS("/train", "import.from"));
    make_folder();
    put_png("train/dog/1.png");
    refuses("folder", TDO_ERR_FORMAT, WORDS("'dog' is in train", "not in test"));
    make_folder();
    put_png("test/ant/1.png");
    refuses("folder", TDO_ERR_FORMAT, WORDS("'ant' is in test", "not in train"));
    make_folder();
    drop("test/cat/two.png");
    refuses("folder", TDO_ERR_FORMAT, WORDS("test/cat", "without images"));
    make_folder();
    put("test/cat/notes.txt", "hello", 5);
    refuses("folder", TDO_ERR_FORMAT, WORDS("test/cat/notes.txt", "no image"));
    make_folder();
    put("train/notes", "hello", 5);
    put("test/notes", "hello", 5);
    refuses("folder", TDO_ERR_FORMAT, WORDS("train/notes", "no directory"));
    make_folder();
    put("test/cat/two.png", "hello", 5);
    refuses("folder", TDO_ERR_FORMAT, WORDS("test/cat/two.png", "neither", "PNG", "JPEG"));
    make_folder();
    put("train/cat/b.png", NULL, 0);
    refuses("folder", TDO_ERR_FORMAT, WORDS("train/cat/b.png", "empty"));
    make_folder();
    put_png("test/cat/three.png/deeper.png");
    refuses("folder", TDO_ERR_FILE, WORDS("test/cat/three.png", "regular file"));
    make_folder();
    char path[256];
    path_of(path, "test/cat/away.png");
    CU_ASSERT_EQUAL(symlink("nowhere", path), 0);
    refuses("folder", TDO_ERR_FILE, WORDS("test/cat/away.png"));
    make_folder();
    encode_jpeg(16, 3, false, &file);
    put("test/Zebra/one.jpeg", file.data, file.size);
    refuses("folder", TDO_ERR_FORMAT, WORDS("test/Zebra/one.jpeg", "16x16", "5x6"));
    make_folder();
    put("train/Zebra/10.PNG", file.data, file.size - 2);
    CU_ASSERT_EQUAL(open_set("folder", 0, &s), TDO_ERR_FORMAT);
    CU_ASSERT_PTR_NULL(s);
    refuses("folder", TDO_ERR_FORMAT, WORDS("train/Zebra/10.PNG", "JPEG", "remature end"));
    make_folder();
    CU_ASSERT_EQUAL(open_set("folder", -1, &s), TDO_ERR_CONFIG);
    says(WORDS("import.size", "-1"));
    stop();
}

/* Every allocation fails once: an error, and no leak (the sanitizer looks). */
static void test_memory(void)
{
    static const char *const formats[] = {"cifar", "stl10", "folder"};
    for (int f = 0; f < 3; f++) {
        f == 0 ? make_cifar10("") : f == 1 ? make_stl("") : make_folder();
        int64_t before = tdo_memory_count();
        ASSERT_OK(read_all(formats[f]));
        int64_t count = tdo_memory_count() - before, failed = 0;
        for (int64_t k = 1; k <= count; k++) {
            tdo_memory_fail_after(k);
            failed += read_all(formats[f]) != TDO_OK;
            tdo_memory_fail_after(0);
        }
        CU_ASSERT_TRUE(count > 5);
        CU_ASSERT_EQUAL(failed, count);
        stop();
    }
}

/* ---- resizing ---------------------------------------------------------------------------- */

static void test_fit(void)
{
    /* CRC-32 of what Pillow's resize with BILINEAR gives, cut in the middle. */
    static const struct {
        int height, width, size;
        unsigned long sum;
    } cases[] = {{13, 9, 4, 0x30e4cd25},   {9, 13, 4, 0xd3e35c2c},  {37, 50, 16, 0x9fb703fa},
                 {50, 37, 32, 0x865ec34c}, {7, 11, 20, 0xe7839793}, {16, 16, 16, 0xb50ba89e},
                 {300, 201, 7, 0x48cb7709}};
    static const uint8_t first[] = {57, 86, 101, 116, 141, 130, 81, 133, 113, 161, 127, 131};
    static uint8_t in[300 * 201 * 3], out[32 * 32 * 3];
    for (int k = 0; k < 7; k++) {
        int w = cases[k].width, size = cases[k].size;
        struct tdo_image image = {.width = w, .height = cases[k].height, .pixels = in};
        for (int i = 0; i < cases[k].height * w * 3; i++) {
            int c = i % 3, x = i / 3 % w, y = i / 3 / w;
            in[i] = (uint8_t)(x * x * 7 + y * 13 * (c + 1) + x * y * c * 5 +
                              (x * 37 + y * 101 + c * 59) % 97);
        }
        ASSERT_OK(tdo_image_fit(&image, size, size, out));
        CU_ASSERT_EQUAL(crc32(0, out, (uInt)(size * size * 3)), cases[k].sum);
        CU_ASSERT_TRUE(k > 0 || memcmp(out, first, sizeof first) == 0);
    }
}

/* A line of 100000 pixels: the cut is a part of its middle, and memory is asked for no more. */
static void test_fit_line(void)
{
    static uint8_t in[100000 * 3], out[64 * 64 * 3];
    for (int i = 0; i < 300000; i++) {
        in[i] = i / 3 < 50000 ? 10 : 200;
    }
    for (int k = 0; k < 2; k++) {
        struct tdo_image image = {
            .width = k ? 100000 : 1, .height = k ? 1 : 100000, .pixels = in};
        ASSERT_OK(tdo_image_fit(&image, 64, 64, out));
        for (int i = 0; i < 64; i++) { /* a ramp over one input pixel, from middle to middle */
            int at = 3 * (k ? i + 64 * 63 : i * 64);
            double want = 10.0 + 190.0 * ((double)i + 0.5) / 64.0;
            CU_ASSERT_DOUBLE_EQUAL(out[at], want, 0.51);
        }
    }
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Photographs: each decoded and cut to 32x32 by Pillow; the sum is over all, in byte order. */
static void test_photographs(void)
{
    const char *data = getenv("TESTUDO_DATA");
    if (!data || !data[0]) {
        puts("\nSKIPPED: TESTUDO_DATA is not set, so real photographs are not read");
        return;
    }
    char from[512], path[1024];
    struct dirent **entries = NULL;
    uint8_t pixels[32 * 32 * 3];
    unsigned long sum = 0;
    snprintf(from, sizeof from, "%s/imagenet-sample", data);
    int n = scandir(from, &entries, visible, alphasort);
    CU_ASSERT_EQUAL_FATAL(n, 50);
    for (int i = 0; i < n; i++) {
        struct tdo_image image = {0};
        snprintf(path, sizeof path, "%s/%s", from, entries[i]->d_name);
        ASSERT_OK(tdo_image_read(path, &image));
        ASSERT_OK(tdo_image_fit(&image, 32, 32, pixels));
        sum = crc32(sum, pixels, sizeof pixels);
        tdo_image_free(&image);
        free(entries[i]);
    }
    free(entries);
    CU_ASSERT_EQUAL(sum, 0x29e8b0f0ul);
}

/* ---- circles and moons ------------------------------------------------------------------- */

enum { POINTS = 4000 };

static void read_toy(const char *name, uint32_t seed, enum tdo_source_split split, int64_t n,
                     float *x, int32_t *y)
{
    struct tdo_format_args args = {.seed = seed, .train = n, .test = n};
    tdo_source *s = NULL;
    ASSERT_OK_FATAL(tdo_source_open(tdo_format_find(name), &args, &s));
    CU_ASSERT_TRUE(s->info.height == 1 && s->info.width == 1 && s->info.channels == 2);
    CU_ASSERT_TRUE(s->info.classes == 2 && !s->info.is_u8 && s->info.rows[split] == n);
    ASSERT_OK(tdo_source_read(s, split, 0, n, x, y));
    tdo_source_close(&s);
}

/* Golden: the same with gcc and clang, -O0 and -O3. */
static void test_toy_bytes(void)
{
    static const struct {
        const char *name;
        unsigned long train, test;
    } sums[] = {{"circles", 0xbd89f22e, 0x96e0bdad}, {"moons", 0xc4b33bfc, 0x690fcebc}};
    float x[2000], one[2];
    int32_t y[1000], label;
    for (int k = 0; k < 2; k++) {
        for (int split = 0; split < 2; split++) {
            read_toy(sums[k].name, 1, (enum tdo_source_split)split, 1000, x, y);
            unsigned long sum = crc32(0, (const Bytef *)x, sizeof x);
            sum = crc32(sum, (const Bytef *)y, sizeof y);
            CU_ASSERT_EQUAL(sum, split ? sums[k].test : sums[k].train);
        }
        struct tdo_format_args args = {.seed = 1};
        tdo_source *s = NULL;
        ASSERT_OK_FATAL(tdo_source_open(tdo_format_find(sums[k].name), &args, &s));
        CU_ASSERT_TRUE(s->info.rows[0] == 1000 && s->info.rows[1] == 1000);
        ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TEST, 777, 1, one, &label)); /* one alone */
        CU_ASSERT_TRUE(memcmp(one, &x[2 * 777], sizeof one) == 0 && label == y[777]);
        tdo_source_close(&s);
        read_toy(sums[k].name, 2, TDO_SOURCE_TEST, 1000, x, y);
        CU_ASSERT_NOT_EQUAL(memcmp(one, &x[2 * 777], sizeof one), 0);
    }
}

/* Distance of a point to its curve is normal noise: mean square sigma^2, to 4 deviations;
 * angles are uniform: each eighth of the curve has its share; labels are even. */
static void check_toy(bool moons)
{
    static float x[2 * POINTS];
    static int32_t y[POINTS];
    const double pi = 3.14159265358979, sigma = moons ? 0.1 : 0.05, zoom = moons ? 0.24 : 0.38;
    double square = 0.0;
    int ones = 0, eighth[8] = {0}, inside = 0;
    read_toy(moons ? "moons" : "circles", 5, TDO_SOURCE_TRAIN, POINTS, x, y);
    for (int i = 0; i < POINTS; i++) {
        inside +=
            x[2 * i] > 0.0f && x[2 * i] < 1.0f && x[2 * i + 1] > 0.0f && x[2 * i + 1] < 1.0f;
        double px = ((double)x[2 * i] - 0.5) / zoom, py = ((double)x[2 * i + 1] - 0.5) / zoom;
        px += moons ? 0.5 : 0.0;
        py += moons ? 0.25 : 0.0;
        if (moons && y[i]) { /* the other moon, turned onto the first */
            px = 1.0 - px;
            py = 0.5 - py;
        }
        double off = sqrt(px * px + py * py) - (!moons && y[i] ? 0.5 : 1.0);
        double turn = atan2(py, px) / (2.0 * pi);
        turn = moons ? 2.0 * turn : turn;
        eighth[(int)(8.0 * (turn - floor(turn))) % 8] += off < 5.0 * sigma;
        square += off * off;
        ones += y[i];
    }
    CU_ASSERT_EQUAL(inside, POINTS);
    CU_ASSERT_TRUE(abs(ones - POINTS / 2) < 4 * 32);
    CU_ASSERT_DOUBLE_EQUAL(square / POINTS, sigma * sigma, sigma * sigma * 0.1);
    for (int k = moons ? 1 : 0; k < (moons ? 7 : 8); k++) { /* noise blurs the tips of moons */
        CU_ASSERT_TRUE(abs(eighth[k] - POINTS / 8) < 4 * 21);
    }
}

static void test_circles(void)
{
    check_toy(false);
}

static void test_moons(void)
{
    check_toy(true);
}

CU_TestInfo suite_tests[] = {
    {"CIFAR-10 comes back as HWC, over its batches, plain, zipped, in its directory",
     test_cifar10},
    {"CIFAR-100 is told by its names and gives the fine label", test_cifar100},
    {"whatever is wrong with a CIFAR file is told with file and place", test_cifar_refused},
    {"STL-10 comes back as HWC from its columns, labels from 0", test_stl10},
    {"whatever is wrong with an STL-10 file is told with file and place", test_stl10_refused},
    {"PNG files of every colour type and depth give their RGB bytes", test_png},
    {"a PNG file cut anywhere, or with any bit turned, is refused", test_png_spoilt},
    {"JPEG files in grey, RGB and CMYK, also progressive, give their pixels", test_jpeg},
    {"a JPEG file cut anywhere is refused, and no turned bit does harm", test_jpeg_spoilt},
    {"a folder is read in byte order of class and file", test_folder},
    {"whatever is wrong in a folder is told with its name", test_folder_refused},
    {"any failed allocation is an error and leaves nothing open", test_memory},
    {"resizing and cutting gives Pillow's bytes", test_fit},
    {"a long thin image is cut in its middle", test_fit_line},
    {"photographs come out as Pillow's bytes", test_photographs},
    {"circles and moons are the same bytes everywhere, each point alone", test_toy_bytes},
    {"circles are where they should be", test_circles},
    {"moons are where they should be", test_moons},
    CU_TEST_INFO_NULL,
};
