/* Seeds: inputs from which the fuzz targets start, good ones mostly, written into
 * DIRECTORY/<target>/.
 *
 *   fuzz_seeds DIRECTORY
 *
 * Inputs that once found something stay in tests/fuzz/seeds/<target>/ for ever. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "jobs/job.h"
#include "jobs/network.h"
#include "mpi/ledger.h"
#include "nn/base/exact.h"
#include "nn/base/file.h"
#include "nn/base/log.h"
#include "tests/jpeg.h"

static const char *root;

struct bytes {
    uint8_t data[1 << 16];
    size_t size;
};

static void add(struct bytes *b, const void *data, size_t n)
{
    memcpy(b->data + b->size, data, n);
    b->size += n;
}

static void add_number(struct bytes *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        b->data[b->size++] = (uint8_t)(v >> (8 * i));
    }
}

static tdo_err keep(const char *target, const char *name, const void *data, size_t n)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", root, target);
    TDO_TRY(tdo_file_make_dir(path));
    snprintf(path, sizeof path, "%s/%s/%s", root, target, name);
    return tdo_file_write(path, data, (int64_t)n);
}

static tdo_err keep_text(const char *target, const char *name, const char *text)
{
    return keep(target, name, text, strlen(text));
}

/* ---- formats of import --------------------------------------------------------------------------- */

/* One IDX file of `rows` rows as fuzz_write_source wants it. */
static void add_idx(struct bytes *b, unsigned choice, int dims, unsigned rows)
{
    const size_t row = dims == 3 ? 4 : 1;
    const uint8_t magic[4] = {0, 0, 8, (uint8_t)dims};
    add_number(b, choice, 1);
    add_number(b, 4 + 4 * (uint64_t)dims + rows * row, 2);
    add(b, magic, 4);
    add(b, (const uint8_t[4]){0, 0, 0, (uint8_t)rows}, 4);
    for (int i = 1; i < dims; i++) {
        add(b, (const uint8_t[4]){0, 0, 0, 2}, 4);
    }
    for (size_t i = 0; i < rows * row; i++) {
        b->data[b->size++] = (uint8_t)(dims == 3 ? 200 - i : i % 10);
    }
}

static tdo_err write_idx(void)
{
    for (unsigned choice = 0; choice < 4; choice++) {
        struct bytes b = {.size = 0};
        char name[32];
        add_idx(&b, choice, 3, 5);
        add_idx(&b, choice, 1, 5);
        add_idx(&b, choice, 3, 2);
        add_idx(&b, choice, 1, 2);
        snprintf(name, sizeof name, "plain%u", choice);
        TDO_TRY(keep("idx", name, b.data, b.size));
    }
    return TDO_OK;
}

static void add_repeated(struct bytes *b, unsigned choice, const char *pattern, size_t n,
                         unsigned length)
{
    add_number(b, choice, 1);
    add_number(b, n, 2);
    add(b, pattern, n);
    add_number(b, length, 2);
}

static tdo_err write_records(void)
{
    for (unsigned choice = 0; choice < 4; choice++) {
        struct bytes ten = {.size = 0}, hundred = {.size = 0}, stl = {.size = 0};
        char name[32];
        snprintf(name, sizeof name, "good%u", choice);
        add_number(&ten, 0x3f, 1);
        for (int i = 0; i < 6; i++) {
            add_repeated(&ten, choice, "\3\1\2", 3, 3073 * 2);
        }
        add_number(&hundred, 0xc0, 1);
        for (int i = 0; i < 2; i++) {
            add_repeated(&hundred, choice, "\3\1", 2, 3074 * 3);
        }
        for (int i = 0; i < 2; i++) {
            add_repeated(&stl, choice, "\1\2\3\4", 4, 27648 * 2);
            add_repeated(&stl, choice, "\1\2", 2, 2);
        }
        TDO_TRY(keep("cifar", name, ten.data, ten.size));
        snprintf(name, sizeof name, "hundred%u", choice);
        TDO_TRY(keep("cifar", name, hundred.data, hundred.size));
        TDO_TRY(keep("stl10", name, stl.data, stl.size));
    }
    return TDO_OK;
}

/* ---- images -------------------------------------------------------------------------------------- */

static void png_out(png_structp png, png_bytep data, size_t n)
{
    add(png_get_io_ptr(png), data, n);
}

static tdo_err write_png(int colour, int depth, int interlace)
{
    struct bytes b = {.size = 0};
    char name[32];
    uint8_t row[64];
    const png_color palette[4] = {{0, 0, 0}, {255, 0, 0}, {0, 255, 0}, {0, 0, 255}};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &b, png_out, NULL);
    png_set_IHDR(png, info, 5, 4, depth, colour, interlace, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (colour == PNG_COLOR_TYPE_PALETTE) {
        png_set_PLTE(png, info, palette, 4);
    }
    png_write_info(png, info);
    const int passes = png_set_interlace_handling(png);
    for (int i = 0; i < 4 * passes; i++) {
        memset(row, colour == PNG_COLOR_TYPE_PALETTE ? 0x11 : 40 * i, sizeof row);
        png_write_row(png, row);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    snprintf(name, sizeof name, "png-%d-%d-%d", colour, depth, interlace);
    return keep("image", name, b.data, b.size);
}

static tdo_err write_jpeg(int channels, bool progressive)
{
    enum { HEIGHT = 7, STRIDE = 64 };
    uint8_t pixels[HEIGHT * STRIDE], *out = NULL;
    char name[32];
    const struct test_jpeg jpeg = {.height = HEIGHT,
                                   .width = 9,
                                   .channels = channels,
                                   .quality = 75,
                                   .progressive = progressive,
                                   .pixels = pixels,
                                   .stride = STRIDE};
    for (int i = 0; i < HEIGHT; i++) {
        memset(pixels + i * STRIDE, 30 * i, STRIDE);
    }
    const int64_t bytes = test_jpeg_encode(&jpeg, &out);
    snprintf(name, sizeof name, "jpeg-%d-%d", channels, (int)progressive);
    tdo_err err = keep("image", name, out, (size_t)bytes);
    free(out);
    return err;
}

static tdo_err write_images(void)
{
    static const int depths[][2] = {
        {PNG_COLOR_TYPE_GRAY, 1},    {PNG_COLOR_TYPE_GRAY, 16},
        {PNG_COLOR_TYPE_RGB, 8},     {PNG_COLOR_TYPE_RGB_ALPHA, 16},
        {PNG_COLOR_TYPE_PALETTE, 4}, {PNG_COLOR_TYPE_GRAY_ALPHA, 8}};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        TDO_TRY(write_png(depths[i][0], depths[i][1], PNG_INTERLACE_NONE));
        TDO_TRY(write_png(depths[i][0], depths[i][1], PNG_INTERLACE_ADAM7));
    }
    for (int progressive = 0; progressive < 2; progressive++) {
        TDO_TRY(write_jpeg(1, progressive));
        TDO_TRY(write_jpeg(3, progressive));
        TDO_TRY(write_jpeg(4, progressive));
    }
    return TDO_OK;
}

/* ---- model files --------------------------------------------------------------------------------- */

static tdo_err write_safetensors(void)
{
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\",\"testudo\":\"{\\\"model\\\":1}\"},"
        "\"a.weight\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[12,20]},"
        "\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[20,28]},"
        "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[28,36]}}";
    /* a.weight F32 [2,3], b F16 [4], c BF16 [2], n I64 [] */
    static const uint8_t tensors[] = {2, 0, 0, 2, 2, 3, 0, 0, 1, 1, 1, 4, 0,
                                      0, 2, 2, 1, 2, 0, 0, 3, 3, 0, 0, 0};
    struct bytes b = {.size = 0};
    add_number(&b, 1, 1);
    add_number(&b, 36, 2);
    add(&b, header, sizeof header - 1);
    TDO_TRY(keep("safetensors", "header", b.data, b.size));
    TDO_TRY(keep("safetensors", "tensors", tensors, sizeof tensors));
    b.size = 0;
    add_number(&b, 0, 1);
    add_number(&b, sizeof header - 1, 8);
    add(&b, header, sizeof header - 1);
    add(&b, (const char[36]){0}, 36);
    return keep("safetensors", "file", b.data, b.size);
}

static tdo_err write_description(const char *name, const char *const *argument)
{
    tdo_config *c = NULL;
    struct tdo_network n = {0};
    const struct tdo_network_data data = {32, 32, 3, 10};
    char *text = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_config_new(&tdo_job_schema, &c));
    for (int i = 0; argument[i]; i++) {
        TDO_GOTO(tdo_config_set(c, argument[i]));
    }
    TDO_GOTO(tdo_network_configure(c, &data, &n));
    TDO_GOTO(tdo_json_text(n.description, 0, &text));
    err = keep_text("description", name, text);
done:
    tdo_memory_free(&text);
    tdo_network_free(&n);
    tdo_config_free(&c);
    return err;
}

/* ---- records and HDF5 ------------------------------------------------------------------------------ */

static tdo_err write_ledger(void)
{
    for (unsigned choice = 1; choice < 8; choice += 2) {
        struct bytes b = {.size = 0};
        char name[32];
        add_number(&b, choice, 1);
        add(&b, (const char[32]){0}, 32);
        for (uint64_t i = 0; i < 4; i++) {
            add(&b, "TDOR", 4);
            add_number(&b, TDO_LEDGER_VOTES + i % 3, 4);
            add_number(&b, i, 8);
            add_number(&b, i << 32, 8);
            add_number(&b, 8 * i, 8);
            for (uint64_t k = 0; k <= i; k++) {
                add_number(&b, 1, 8); /* the last: room for the checksum */
            }
        }
        snprintf(name, sizeof name, "records%u", choice);
        TDO_TRY(keep("ledger", name, b.data, b.size));
    }
    return TDO_OK;
}

/* Choices of these targets are zeros where the file is to be as usual. */
static tdo_err write_hdf5(void)
{
    static const uint8_t zeros[64];
    static const uint8_t floats[] = {1, 0, 0, 0, 0, 0, 1};
    static const uint8_t odd[] = {0, 0, 2, 0, 7, 0, 0, 1, 3, 0, 2, 4, 1, 1, 1, 1, 8, 1};
    for (uint8_t how = 0; how < 5; how++) {
        uint8_t choices[64] = {0};
        char name[32];
        choices[0] = (uint8_t)(how | 0x30);
        snprintf(name, sizeof name, "newest%d", how);
        TDO_TRY(keep("checkpoint", name, choices, sizeof choices));
    }
    TDO_TRY(keep("dataset", "bytes", zeros, sizeof zeros));
    TDO_TRY(keep("dataset", "floats", floats, sizeof floats));
    return keep("dataset", "odd", odd, sizeof odd);
}

/* Archives as usual; certificates of each mode, and with the largest number in place of another. */
static tdo_err write_certificates(void)
{
    char name[32];
    for (uint8_t how = 0; how < 8; how++) {
        uint8_t choices[256] = {how};
        snprintf(name, sizeof name, "usual%d", how);
        TDO_TRY(keep("archive", name, choices, sizeof choices));
        TDO_TRY(keep("certificates", name, choices, 1));
    }
    for (uint8_t field = 0; field < 22; field++) {
        uint8_t choices[11] = {4, 0, field};
        memset(choices + 3, 0xff, 7);
        choices[10] = 0x7f;
        snprintf(name, sizeof name, "largest%d", field);
        TDO_TRY(keep("certificates", name, choices, sizeof choices));
    }
    return TDO_OK;
}

/* Both files of outcomes as chunks: a network that draws, attacks with and without a ball. */
static tdo_err write_outcomes(void)
{
    static const char about[] =
        "{\"data\":\"d\",\"split\":\"test\",\"skip\":5,\"images\":2,\"classes\":3,\"attacks\":["
        "{\"name\":\"pgd\",\"title\":\"pgd .1\",\"norm\":\"linf\",\"eps\":0.1,\"step\":0.1},"
        "{\"name\":\"pgd\",\"title\":\"pgd .3\",\"norm\":\"linf\",\"eps\":0.3},"
        "{\"name\":\"cw\",\"title\":\"cw\",\"norm\":\"l2\",\"eps\":null},"
        "{\"name\":\"clean\",\"title\":\"clean\"}]}";
    static const char table[] =
        "attack\tidx\tlabel\tclean\tpredict\ttarget\tsuccess\tl0\tl2\tlinf\tx2\txinf\tqueries\t"
        "gradients\twrong\tdraws\n"
        "0\t0\t2\t2\t2\t-1\t0\t4\t.2\t.1\t8.5\t1\t21\t20\t0\t10\n"
        "0\t5\t1\t1\t2\t2\t1\t4\t.2\t.1\t0\t0\t21\t20\t8\t10\n"
        "1\t0\t2\t2\t0\t-1\t1\t4\t.6\t.3\t8.5\t1\t21\t20\t9\t10\n"
        "1\t5\t1\t1\t2\t2\t1\t4\t.6\t.3\t0\t0\t21\t20\t9\t10\n"
        "2\t0\t2\t2\t1\t-1\t1\t4\t.75\t.4\t8.5\t1\t99\t98\t1\t1\n"
        "2\t5\t1\t1\t0\t-1\t1\t4\t1e-3\t.4\t0\t0\t99\t98\t1\t1\n"
        "3\t0\t2\t2\t2\t-1\t0\t0\t0\t0\t8.5\t1\t1\t0\t0\t1\n"
        "3\t5\t1\t1\t1\t-1\t0\t0\t0\t0\t0\t0\t1\t0\t0\t1\n";
    struct bytes b = {.size = 0};
    add_number(&b, sizeof about - 1, 2);
    add(&b, about, sizeof about - 1);
    add_number(&b, sizeof table - 1, 2);
    add(&b, table, sizeof table - 1);
    return keep("outcomes", "good", b.data, b.size);
}

/* What other jobs leave in a run directory, as chunks. */
static tdo_err write_results(void)
{
    static const char *const files[] = {
        "{\"images\": 8, \"correct\": 6, \"loss\": 0.5, \"top5\": 8, \"split\": \"test\"}",
        "{\"epoch\": 1, \"step\": 5, \"rate\": 0.1, \"loss\": 2.5, \"accuracy\": 0.5}\n"
        "{\"epoch\": 2, \"loss\": 1.5, \"val_accuracy\": 1, \"val_loss\": 0.1}\n",
        "idx\tlabel\tpredict\tradius\tcorrect\ttime\tp_"
        "lower\tn0\tn\tverdict\tslack\tprecision\n"
        "0\t3\t3\t0.5\t1\t0:00:01\t0.9\t1\t10\tcertified\t0\tf32\n"
        "5\t4\t-1\t0\t0\t0:00:01\t0.4\t1\t10\tabstain\t0\tf32\n",
        "idx\tlabel\tselect\tcount\thash\n0\t3\t0,0,0,1\t0,1,0,9\t-\n"
        "5\t4\t0,0,0,1\t0,1,0,9\t-\n",
        "{\"certify\": {\"config\": {\"certify\": {\"sigma\": 0.25, \"alpha\": 0.001, "
        "\"certifier\": \"cohen\"}, \"model\": {\"name\": \"zcnn\"}}}}"};
    struct bytes b = {.size = 0};
    for (int f = 0; f < 5; f++) {
        add_number(&b, strlen(files[f]), 2);
        add(&b, files[f], strlen(files[f]));
    }
    return keep("results", "good", b.data, b.size);
}

/* ---- text ------------------------------------------------------------------------------------------ */

static tdo_err write_texts(void)
{
    static const char include[] =
        "@include \"more\"\ntrain.epochs = 1;\n\0train = { lr = .5; };";
    TDO_TRY(keep_text(
        "config", "quickstart",
        "run = { dir = \"runs/a\"; seed = 1; }; # comment\n"
        "model: { name = \"resnet20\", width = 0.5; mean = [0.1, 0.2]; std = (1, 2); };\n"
        "/* more */ defense = ( { name = \"gaussian\"; sigma = 0.25; },\n"
        "  { name = \"brelu\"; t = 1.0; } );\n"
        "train = { epochs = 0x4; batch = 128; steps = 16000L; lr = 5e-2; };\n"));
    TDO_TRY(keep("config", "include", include, sizeof include - 1));
    TDO_TRY(keep_text("arguments", "all",
                      "run.dir=runs/a\nrun.seed=4294967295\nmodel.mean=0.1,0.2\nmodel.std=1,2\n"
                      "defense=gaussian,brelu\ndefense.0.sigma=.25\ndefense.1.t=1e0\n"
                      "train.lr=5e-2\ntrain.epochs=1e3\ncertify.hash=yes\ncertify.noise=real\n"
                      "data.file=a\ncertify.sigma=0.5\nimport.format=idx\nimport.out=b"));
    TDO_TRY(keep_text("arguments", "near", "train.bach=3"));
    return keep_text("json", "all",
                     "{\"a\":[1,-2.5e3,true,null,\"\\u00e9\\n\"],\"b\":{\"c\":{}},\"d\":"
                     "9223372036854775807}");
}

static tdo_err write_all(void)
{
    TDO_TRY(write_idx());
    TDO_TRY(write_records());
    TDO_TRY(write_images());
    TDO_TRY(write_safetensors());
    TDO_TRY(write_description("resnet",
                              (const char *const[]){"model.name=resnet20", "model.width=0.0625",
                                                    "model.mean=0.1,0.2,0.3", "model.std=1,2,3",
                                                    "defense=brelu", NULL}));
    TDO_TRY(write_description("zcnn", (const char *const[]){"model.name=zcnn", NULL}));
    TDO_TRY(write_ledger());
    TDO_TRY(write_hdf5());
    TDO_TRY(write_certificates());
    TDO_TRY(write_outcomes());
    TDO_TRY(write_results());
    return write_texts();
}

int main(int argc, char **argv)
{
    root = argc > 1 ? argv[1] : ".";
    tdo_err err = write_all();
    if (err != TDO_OK) {
        tdo_log_error();
    }
    tdo_exact_cleanup();
    return tdo_error_exit_code(err);
}
