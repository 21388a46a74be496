/* What `testudo import` reads: real MNIST, and IDX files that are wrong in one place each; the
 * drawn digits: same bytes on all machines, any one alone, classes told apart by shape. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "jobs/formats/formats.h"
#include "nn/base/memory.h"
#include "tests/runner.h"

const char suite_name[] = "formats";

enum { SIDE = 4, ROW = SIDE * SIDE, TRAIN = 5, TEST = 3, CHUNK = 1000 };

static char directory[64]; /* of the present test */
static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                    "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
enum { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, FILES };

/* A file as bytes, so that a test can spoil one of them. */
struct bytes {
    int64_t size;
    unsigned char data[256];
};

static struct bytes image_file(int rows)
{
    struct bytes b = {.size = 16 + rows * ROW, .data = {0, 0, 8, 3}};
    b.data[7] = (unsigned char)rows;
    b.data[11] = b.data[15] = SIDE;
    for (int i = 0; i < rows * ROW; i++) {
        b.data[16 + i] = (unsigned char)(7 * i + rows);
    }
    return b;
}

static struct bytes label_file(int rows)
{
    struct bytes b = {.size = 8 + rows, .data = {0, 0, 8, 1}};
    b.data[7] = (unsigned char)rows;
    for (int i = 0; i < rows; i++) {
        b.data[8 + i] = (unsigned char)((3 * i + rows) % 10);
    }
    return b;
}

static void path_of(char path[160], const char *name)
{
    snprintf(path, 160, "%s/%s", directory, name);
}

static void put(const char *name, const struct bytes *b)
{
    char path[160];
    path_of(path, name);
    FILE *f = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(fwrite(b->data, 1, (size_t)b->size, f), (size_t)b->size);
    CU_ASSERT_EQUAL(fclose(f), 0);
}

static struct bytes zipped(const struct bytes *b)
{
    struct bytes z = {0};
    z_stream s;
    memset(&s, 0, sizeof s);
    CU_ASSERT_EQUAL_FATAL(deflateInit2(&s, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
                          Z_OK);
    struct bytes in = *b;
    s.next_in = in.data;
    s.avail_in = (uInt)in.size;
    s.next_out = z.data;
    s.avail_out = sizeof z.data;
    CU_ASSERT_EQUAL_FATAL(deflate(&s, Z_FINISH), Z_STREAM_END);
    z.size = (int64_t)s.total_out;
    deflateEnd(&s);
    return z;
}

/* A fresh directory with four good files. */
static void make_good(void)
{
    snprintf(directory, sizeof directory, "%s", "/tmp/testudo-formats-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
    struct bytes b[FILES] = {image_file(TRAIN), label_file(TRAIN), image_file(TEST),
                             label_file(TEST)};
    for (int i = 0; i < FILES; i++) {
        put(names[i], &b[i]);
    }
}

static void erase(const char *name)
{
    char path[160];
    path_of(path, name);
    unlink(path);
}

static void clean_up(void)
{
    for (int i = 0; i < FILES; i++) {
        char other[64], dotted[64];
        erase(names[i]);
        snprintf(other, sizeof other, "%s.gz", names[i]);
        erase(other);
        snprintf(dotted, sizeof dotted, "%s", names[i]);
        *strstr(dotted, "-idx") = '.';
        erase(dotted);
    }
    CU_ASSERT_EQUAL(rmdir(directory), 0);
}

static tdo_err open_idx(const char *from, tdo_source **out)
{
    struct tdo_format_args args = {.from = from};
    return tdo_source_open(tdo_format_find("idx"), &args, out);
}

/* Open the directory and read both splits to their ends. */
static tdo_err read_all(void)
{
    uint8_t x[TRAIN * ROW];
    int32_t y[TRAIN];
    tdo_source *s = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(open_idx(directory, &s));
    TDO_GOTO(tdo_source_read(s, TDO_SOURCE_TRAIN, 0, s->info.rows[0], x, y));
    TDO_GOTO(tdo_source_read(s, TDO_SOURCE_TEST, 0, s->info.rows[1], x, y));
done:
    tdo_source_close(&s);
    return err;
}

/* Spoil one file, under its plain name or as .gz; the error must say all of `words`. */
static void refuses(int file, const struct bytes *bad, bool gz, tdo_err code,
                    const char *words[])
{
    make_good();
    char name[64];
    snprintf(name, sizeof name, "%s%s", names[file], gz ? ".gz" : "");
    if (gz) {
        erase(names[file]);
    }
    put(name, bad);
    CU_ASSERT_EQUAL(read_all(), code);
    const char *message = tdo_error_last()->message;
    CU_ASSERT_PTR_NULL(strchr(message, '\n'));
    CU_ASSERT_PTR_NOT_NULL(strstr(message, name));
    for (int i = 0; words[i]; i++) {
        CU_ASSERT_PTR_NOT_NULL(strstr(message, words[i]));
        if (!strstr(message, words[i])) {
            fprintf(stderr, "no \"%s\" in: %s\n", words[i], message);
        }
    }
    clean_up();
}

#define WORDS(...) ((const char *[]){__VA_ARGS__, NULL})

static void check_small(void)
{
    struct bytes images = image_file(TRAIN), labels = label_file(TRAIN);
    uint8_t x[TRAIN * ROW];
    int32_t y[TRAIN];
    tdo_source *s = NULL;
    ASSERT_OK_FATAL(open_idx(directory, &s));
    CU_ASSERT_EQUAL(s->info.rows[TDO_SOURCE_TRAIN], TRAIN);
    CU_ASSERT_EQUAL(s->info.rows[TDO_SOURCE_TEST], TEST);
    CU_ASSERT_TRUE(s->info.height == SIDE && s->info.width == SIDE && s->info.channels == 1);
    CU_ASSERT_TRUE(s->info.classes == 10 && s->info.is_u8);
    for (int64_t first = TRAIN - 1; first >= 0;
         first -= 2) { /* backwards, in overlapping parts */
        int64_t n = first + 2 <= TRAIN ? 2 : 1;
        ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TRAIN, first, n, x, y));
        CU_ASSERT_EQUAL(memcmp(x, images.data + 16 + first * ROW, (size_t)(n * ROW)), 0);
        for (int64_t i = 0; i < n; i++) {
            CU_ASSERT_EQUAL(y[i], labels.data[8 + first + i]);
        }
    }
    tdo_source_close(&s);
}

static void test_small_set(void)
{
    make_good();
    check_small();
    for (int i = 0; i < FILES; i++) {
        struct bytes b = i == TRAIN_IMAGES   ? image_file(TRAIN)
                         : i == TRAIN_LABELS ? label_file(TRAIN)
                         : i == TEST_IMAGES  ? image_file(TEST)
                                             : label_file(TEST);
        char name[64];
        erase(names[i]);
        if (i % 2 == 0) { /* images zipped, labels with a dot */
            b = zipped(&b);
            snprintf(name, sizeof name, "%s.gz", names[i]);
        } else {
            snprintf(name, sizeof name, "%s", names[i]);
            *strstr(name, "-idx") = '.';
        }
        put(name, &b);
    }
    check_small();
    clean_up();
}

static void test_missing(void)
{
    make_good();
    erase(names[TEST_LABELS]);
    CU_ASSERT_EQUAL(read_all(), TDO_ERR_FILE);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, names[TEST_LABELS]));
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, directory));
    clean_up();
    tdo_source *s = NULL;
    CU_ASSERT_EQUAL(open_idx(NULL, &s), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "import.from"));
    CU_ASSERT_PTR_NULL(s);
}

static void test_bad_magic(void)
{
    struct bytes b = label_file(TRAIN);
    refuses(TRAIN_IMAGES, &b, false, TDO_ERR_FORMAT,
            WORDS("magic 00 00 08 01", "byte 0", "unsigned bytes with 1 dimensions"));
    b = image_file(TEST);
    b.data[2] = 0x0D;
    refuses(TEST_IMAGES, &b, false, TDO_ERR_FORMAT, WORDS("floats with 3 dimensions"));
    memcpy(b.data, "<htm", 4);
    refuses(TEST_IMAGES, &b, false, TDO_ERR_FORMAT, WORDS("3c 68 74 6d", "not an IDX file"));
}

static void test_truncated(void)
{
    struct bytes b = image_file(TRAIN);
    b.size--;
    refuses(TRAIN_IMAGES, &b, false, TDO_ERR_FORMAT, WORDS("truncated", "95 bytes", "96"));
    struct bytes z = zipped(&b);
    refuses(TRAIN_IMAGES, &z, true, TDO_ERR_FORMAT,
            WORDS("truncated", "byte 95", "rows 0 to 4"));
    b.size = 10;
    refuses(TRAIN_IMAGES, &b, false, TDO_ERR_FORMAT, WORDS("truncated", "header"));
    b.size = 0;
    refuses(TRAIN_IMAGES, &b, false, TDO_ERR_FORMAT, WORDS("truncated", "magic"));
    b = image_file(TRAIN);
    z = zipped(&b);
    z.size -= 12; /* the gzip file itself is cut */
    refuses(TRAIN_IMAGES, &z, true, TDO_ERR_FORMAT, WORDS("truncated"));
    z = zipped(&b);
    z.size -= 3; /* all pixels are there, the checksum's last bytes are not */
    refuses(TRAIN_IMAGES, &z, true, TDO_ERR_FORMAT, WORDS("gzip", "end"));
}

static void test_too_long(void)
{
    struct bytes b = label_file(TEST);
    b.size++;
    refuses(TEST_LABELS, &b, false, TDO_ERR_FORMAT,
            WORDS("longer than its header says", "12 bytes", "11"));
    struct bytes z = zipped(&b);
    refuses(TEST_LABELS, &z, true, TDO_ERR_FORMAT,
            WORDS("longer than its header says", "end at byte 11"));
}

static void test_corrupt_gzip(void)
{
    struct bytes b = image_file(TRAIN), z = zipped(&b);
    z.data[z.size - 8] ^= 1; /* the checksum */
    refuses(TRAIN_IMAGES, &z, true, TDO_ERR_FORMAT, WORDS("corrupt gzip", "check"));
    z = zipped(&b);
    z.data[10] = 0xff; /* a block type that does not exist */
    refuses(TRAIN_IMAGES, &z, true, TDO_ERR_FORMAT, WORDS("corrupt gzip", "byte 0"));
}

static void test_mismatch(void)
{
    struct bytes b = label_file(TRAIN + 1);
    refuses(TRAIN_LABELS, &b, false, TDO_ERR_FORMAT,
            WORDS("5 images", "6 labels", names[TRAIN_IMAGES]));
    b = image_file(TEST);
    b.data[11] = 2; /* 2 x 8: as many bytes, another shape */
    b.data[15] = 8;
    refuses(TEST_IMAGES, &b, false, TDO_ERR_FORMAT, WORDS("4x4", "2x8", names[TRAIN_IMAGES]));
    b = image_file(TEST);
    b.data[11] = 0;
    refuses(TEST_IMAGES, &b, false, TDO_ERR_FORMAT, WORDS("dimension 1", "byte 8", "is 0"));
}

static void test_label_range(void)
{
    struct bytes b = label_file(TRAIN);
    b.data[8 + 3] = 10;
    refuses(TRAIN_LABELS, &b, false, TDO_ERR_FORMAT,
            WORDS("label 10", "row 3", "byte 11", "0 to 9"));
}

static void test_range_checked(void)
{
    uint8_t x[ROW];
    int32_t y[1];
    make_good();
    tdo_source *s = NULL;
    ASSERT_OK_FATAL(open_idx(directory, &s));
    CU_ASSERT_EQUAL(tdo_source_read(s, TDO_SOURCE_TEST, TEST, 1, x, y), TDO_ERR_SHAPE);
    CU_ASSERT_EQUAL(tdo_source_read(s, TDO_SOURCE_TEST, -1, 1, x, y), TDO_ERR_SHAPE);
    CU_ASSERT_EQUAL(tdo_source_read(s, TDO_SOURCE_TEST, 0, INT64_MAX, x, y), TDO_ERR_SHAPE);
    ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TEST, TEST, 0, x, y));
    tdo_source_close(&s);
    tdo_source_close(&s);
    clean_up();
}

/* Every allocation fails once: an error, no leak (the sanitizer looks), no source. */
static void test_memory(void)
{
    make_good();
    int64_t before = tdo_memory_count();
    ASSERT_OK(read_all());
    int64_t count = tdo_memory_count() - before;
    CU_ASSERT_EQUAL(count, 5); /* the source and four paths */
    for (int64_t k = 1; k <= count; k++) {
        tdo_memory_fail_after(k);
        CU_ASSERT_EQUAL(read_all(), TDO_ERR_MEMORY);
    }
    tdo_memory_fail_after(0);
    clean_up();
}

/* CRC-32 of the pixels and of the labels of one split, read in chunks. */
struct digest {
    unsigned long pixels, labels;
    int64_t rows;
};

static struct digest digest_of(tdo_source *s, enum tdo_source_split split)
{
    static uint8_t x[CHUNK * 28 * 28];
    static int32_t y[CHUNK];
    struct digest d = {.rows = s->info.rows[split]};
    for (int64_t at = 0; at < d.rows; at += CHUNK) {
        int64_t n = d.rows - at < CHUNK ? d.rows - at : CHUNK;
        ASSERT_OK_FATAL(tdo_source_read(s, split, at, n, x, y));
        d.pixels = crc32(d.pixels, x, (uInt)(n * 28 * 28));
        for (int64_t i = 0; i < n; i++) {
            Bytef label = (Bytef)y[i];
            d.labels = crc32(d.labels, &label, 1);
        }
    }
    return d;
}

/* The sums were computed by another program from files with the published md5. */
static void test_mnist(void)
{
    const char *data = getenv("TESTUDO_DATA");
    if (!data || !data[0]) {
        puts("\nSKIPPED: TESTUDO_DATA is not set, so real MNIST is not read");
        return;
    }
    char from[512];
    snprintf(from, sizeof from, "%s/mnist", data);
    tdo_source *s = NULL;
    ASSERT_OK_FATAL(open_idx(from, &s));
    struct digest train = digest_of(s, TDO_SOURCE_TRAIN), test = digest_of(s, TDO_SOURCE_TEST);
    CU_ASSERT_TRUE(train.rows == 60000 && test.rows == 10000);
    CU_ASSERT_TRUE(s->info.height == 28 && s->info.width == 28);
    CU_ASSERT_EQUAL(train.pixels, 0xf3639b56ul);
    CU_ASSERT_EQUAL(train.labels, 0xba07e8eful);
    CU_ASSERT_EQUAL(test.pixels, 0xe4ca5f57ul);
    CU_ASSERT_EQUAL(test.labels, 0xee8604d9ul);
    tdo_source_close(&s);
}

static void open_glyphs(uint32_t seed, int64_t train, int64_t test, tdo_source **s)
{
    struct tdo_format_args args = {.seed = seed, .train = train, .test = test};
    ASSERT_OK_FATAL(tdo_source_open(tdo_format_find("glyphs"), &args, s));
}

static void test_glyph_alone(void)
{
    static uint8_t all[64 * 784], one[784];
    int32_t y[64], label;
    tdo_source *s = NULL, *other = NULL;
    open_glyphs(3, 0, 0, &s);
    CU_ASSERT_TRUE(s->info.rows[0] == 10000 && s->info.rows[1] == 1000);
    open_glyphs(3, 1 << 20, 7, &other);
    ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TRAIN, 0, 64, all, y));
    for (int i = 63; i >= 0; i -= 7) {
        ASSERT_OK(tdo_source_read(other, TDO_SOURCE_TRAIN, i, 1, one, &label));
        CU_ASSERT_EQUAL(memcmp(one, all + i * 784, 784), 0);
        CU_ASSERT_EQUAL(label, y[i]);
    }
    ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TEST, 0, 1, one, &label));
    CU_ASSERT_NOT_EQUAL(memcmp(one, all, 784), 0); /* the splits do not share samples */
    tdo_source_close(&other);
    open_glyphs(4, 0, 0, &other);
    ASSERT_OK(tdo_source_read(other, TDO_SOURCE_TRAIN, 0, 1, one, &label));
    CU_ASSERT_NOT_EQUAL(memcmp(one, all, 784), 0); /* nor do seeds */
    tdo_source_close(&s);
    tdo_source_close(&other);
}

/* Golden: found equal with gcc and clang, -O0 to -O3, with and without AVX. */
static void test_glyph_bytes(void)
{
    tdo_source *s = NULL;
    open_glyphs(1, 1000, 1000, &s);
    struct digest train = digest_of(s, TDO_SOURCE_TRAIN), test = digest_of(s, TDO_SOURCE_TEST);
    CU_ASSERT_EQUAL(train.pixels, 0x84f91b97ul);
    CU_ASSERT_EQUAL(train.labels, 0x36a0b3f5ul);
    CU_ASSERT_EQUAL(test.pixels, 0x4d43bcf8ul);
    CU_ASSERT_EQUAL(test.labels, 0xd713adceul);
    tdo_source_close(&s);
}

/* Every class comes about as often (4 sigma), and the mean images of the classes name most
 * samples: far more than one in ten, and not all, for a set so easy would be no test. */
static void test_glyph_classes(void)
{
    static uint8_t x[CHUNK * 784];
    static int32_t y[CHUNK];
    static float mean[10][784];
    int count[10] = {0}, hits = 0;
    tdo_source *s = NULL;
    open_glyphs(1, 8 * CHUNK, CHUNK, &s);
    for (int64_t at = 0; at < 8 * CHUNK; at += CHUNK) {
        ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TRAIN, at, CHUNK, x, y));
        for (int i = 0; i < CHUNK; i++) {
            count[y[i]]++;
            for (int j = 0; j < 784; j++) {
                mean[y[i]][j] += (float)x[i * 784 + j];
            }
        }
    }
    ASSERT_OK(tdo_source_read(s, TDO_SOURCE_TEST, 0, CHUNK, x, y));
    for (int i = 0; i < CHUNK; i++) {
        int best = 0;
        float nearest = 0.0f;
        for (int k = 0; k < 10; k++) {
            float d = 0.0f;
            for (int j = 0; j < 784; j++) {
                float e = mean[k][j] / (float)count[k] - (float)x[i * 784 + j];
                d += e * e;
            }
            if (k == 0 || d < nearest) {
                nearest = d;
                best = k;
            }
        }
        hits += best == y[i];
    }
    for (int k = 0; k < 10; k++) {
        CU_ASSERT_TRUE(count[k] > 800 - 4 * 27 && count[k] < 800 + 4 * 27);
    }
    printf("(nearest mean: %d of %d) ", hits, CHUNK);
    CU_ASSERT_TRUE(hits > CHUNK / 3 && hits < CHUNK * 9 / 10);
    tdo_source_close(&s);
}

static void test_table(void)
{
    for (int i = 0; tdo_format_at(i); i++) {
        const struct tdo_format *f = tdo_format_at(i);
        CU_ASSERT_PTR_EQUAL(tdo_format_find(f->name), f);
        CU_ASSERT_TRUE(f->help && f->cite && f->open && f->read && f->close);
    }
    CU_ASSERT_PTR_NOT_NULL(tdo_format_at(1));
    CU_ASSERT_PTR_NULL(tdo_format_at(-1));
    CU_ASSERT_PTR_NULL(tdo_format_find("glyph"));
}

CU_TestInfo suite_tests[] = {
    {"every row of the table is complete and found by its name", test_table},
    {"a small IDX set comes back, plain, zipped and dotted, read backwards", test_small_set},
    {"a missing file is named, and so is a missing import.from", test_missing},
    {"a wrong magic number is told and explained", test_bad_magic},
    {"a truncated file is told with its place, plain or zipped", test_truncated},
    {"a file longer than its header says is refused, plain or zipped", test_too_long},
    {"a corrupt gzip file is told with its place", test_corrupt_gzip},
    {"counts and shapes that differ between files are told with both names", test_mismatch},
    {"a label above 9 is told with its row", test_label_range},
    {"a read outside the split is refused", test_range_checked},
    {"any failed allocation is an error and leaves nothing open", test_memory},
    {"MNIST is read to the last byte", test_mnist},
    {"a glyph does not depend on what is read with it", test_glyph_alone},
    {"glyphs are the same bytes everywhere", test_glyph_bytes},
    {"glyph classes are balanced and told apart by shape, but not easily", test_glyph_classes},
    CU_TEST_INFO_NULL,
};
