/* Model files: round trip, foreign types, and every way in which a file can be wrong. A bad file
 * gives one message that names file and tensor. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/base/file.h"
#include "nn/safetensors.h"
#include "tests/runner.h"

const char suite_name[] = "safetensors";

static char path[] = "test_nn_safetensors.XXXXXX.safetensors";

static void open_scratch(void)
{
    static bool done;
    if (!done) {
        int file = mkstemps(path, 12);
        CU_ASSERT_TRUE_FATAL(file >= 0);
        close(file);
        done = true;
    }
}

/* a [2,3] and b [4], weights; c [2], a buffer */
static tdo_params *model(uint32_t seed)
{
    tdo_params *p = NULL;
    int64_t index;
    const struct tdo_param entries[] = {
        {.name = "a.weight",
         .shape = TDO_SHAPE(2, 3),
         .init = TDO_INIT_FAN_IN_UNIFORM,
         .fan_in = 1},
        {.name = "b", .shape = TDO_SHAPE(4), .init = TDO_INIT_FAN_IN_UNIFORM, .fan_in = 1},
        {.name = "c", .shape = TDO_SHAPE(2), .kind = TDO_PARAM_BUFFER, .init = TDO_INIT_ONE}};
    ASSERT_OK_FATAL(tdo_params_new(&p));
    for (int i = 0; i < 3; i++) {
        ASSERT_OK_FATAL(tdo_params_add(p, &entries[i], &index));
    }
    ASSERT_OK_FATAL(tdo_params_init(p, seed));
    return p;
}

/* Open, fill, close. */
static tdo_err start(tdo_params *p, enum tdo_safetensors_lack lack)
{
    tdo_safetensors *f = NULL;
    tdo_err err = tdo_safetensors_open(path, &f);
    err = err == TDO_OK ? tdo_safetensors_fill(f, p, lack) : err;
    tdo_safetensors_free(&f);
    return err;
}

static tdo_err fill(tdo_params *p)
{
    return start(p, TDO_LACK_NONE);
}

static tdo_json *description(void)
{
    tdo_safetensors *f = NULL;
    tdo_json *out = NULL;
    ASSERT_OK_FATAL(tdo_safetensors_open(path, &f));
    ASSERT_OK(tdo_safetensors_describe(f, &out));
    tdo_safetensors_free(&f);
    return out;
}

static bool same_values(const tdo_params *a, const tdo_params *b)
{
    bool same = true;
    for (int64_t i = 0; i < tdo_params_entries(a); i++) {
        same = same && memcmp(tdo_params_values(a, i), tdo_params_values(b, i),
                              (size_t)tdo_params_at(a, i)->count * sizeof(float)) == 0;
    }
    return same;
}

static void a_model_comes_back_bit_for_bit(void)
{
    tdo_params *p = model(1), *q = model(2);
    tdo_json *what = NULL, *back = NULL;
    const char *text = NULL;
    char *first = NULL, *second = NULL;
    int64_t bytes[2];
    open_scratch();
    tdo_params_values(p, 2)[1] = -0.0F;
    ASSERT_OK_FATAL(tdo_json_object(&what));
    tdo_json_set_text(what, "model.name", "a \"quoted\" name");
    ASSERT_OK_FATAL(tdo_safetensors_write(path, p, what));
    ASSERT_OK_FATAL(tdo_file_read(path, 1 << 20, &first, &bytes[0]));
    CU_ASSERT_FALSE(same_values(p, q));
    ASSERT_OK(fill(q));
    CU_ASSERT_TRUE(same_values(p, q));
    back = description();
    CU_ASSERT_TRUE_FATAL(tdo_json_get_text(back, "model.name", &text));
    CU_ASSERT_STRING_EQUAL(text, "a \"quoted\" name");
    ASSERT_OK_FATAL(
        tdo_safetensors_write(path, q, what)); /* bytes are a function of the values */
    ASSERT_OK_FATAL(tdo_file_read(path, 1 << 20, &second, &bytes[1]));
    CU_ASSERT_TRUE(bytes[0] == bytes[1] && memcmp(first, second, (size_t)bytes[0]) == 0);
    CU_ASSERT_EQUAL(((const unsigned char *)first)[0] % 8, 0); /* tensors are aligned */
    tdo_memory_free(&first);
    tdo_memory_free(&second);
    tdo_json_free(&what);
    tdo_json_free(&back);
    tdo_params_free(&p);
    tdo_params_free(&q);
    unlink(path);
}

/* A file with this header and `data` bytes behind it, all equal to `fill`. */
static void write_file(const char *header, uint64_t length, int64_t data, const void *from)
{
    const size_t used = strlen(header);
    unsigned char *file = calloc(8 + used + (size_t)data, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    for (int i = 0; i < 8; i++) {
        file[i] = (unsigned char)(length >> (8 * i));
    }
    memcpy(file + 8, header, used);
    if (from) {
        memcpy(file + 8 + used, from, (size_t)data);
    }
    open_scratch();
    ASSERT_OK_FATAL(tdo_file_write(path, file, (int64_t)(8 + used) + data));
    free(file);
}

#define A "\"a.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"
#define B "\"b\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[24,40]}"
#define C "\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[40,48]}"

static void half_precision_is_widened(void)
{
    static const uint16_t bits[6] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0xfc00, 0x8000};
    static const float half[6] = {1, -2, 0x1p-24F, 65504, -INFINITY, -0.0F};
    static const uint16_t brain_bits[4] = {0x3f80, 0xc049, 0x0000, 0x7f80};
    static const float brain[4] = {1, -3.140625F, 0, INFINITY};
    static const float plain[2] = {0.1F, -7};
    unsigned char data[28];
    memcpy(data, bits, 12);
    memcpy(data + 12, brain_bits, 8);
    memcpy(data + 20, plain, 8);
    static const char header[] =
        "{\"a.weight\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[12,20]},"
        "\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[20,28]}}";
    write_file(header, strlen(header), 28, data);
    tdo_params *p = model(1);
    tdo_json *back = NULL;
    ASSERT_OK(fill(p));
    CU_ASSERT_EQUAL(memcmp(tdo_params_values(p, 0), half, sizeof half), 0);
    CU_ASSERT_EQUAL(memcmp(tdo_params_values(p, 1), brain, sizeof brain), 0);
    CU_ASSERT_EQUAL(memcmp(tdo_params_values(p, 2), plain, sizeof plain), 0);
    back = description(); /* a foreign file has none */
    CU_ASSERT_PTR_NULL(back);
    uint16_t nan_bits = 0x7e01;
    memcpy(data, &nan_bits, 2);
    write_file(header, strlen(header), 28, data);
    ASSERT_OK(fill(p));
    CU_ASSERT_TRUE(isnan(tdo_params_values(p, 0)[0]));
    tdo_params_free(&p);
    unlink(path);
}

static void integer_tensors_that_the_model_lacks_are_skipped(void)
{
    static const char header[] =
        "{" A "," B "," C ",\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[48,56]}}";
    write_file(header, strlen(header), 56, NULL);
    tdo_params *p = model(1);
    ASSERT_OK(fill(p));
    CU_ASSERT_EQUAL(tdo_params_values(p, 0)[0], 0);
    tdo_params_free(&p);
    unlink(path);
}

/* Header, bytes behind it, length to write (0: the true one), and what the message must name. */
static const struct {
    const char *header;
    int64_t data;
    uint64_t length;
    const char *names;
} bad[] = {
    {"{" A "," B "}", 40, 0, "tensor c of the model is missing"},
    {"{" A "," B "," C ",\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[48,52]}}", 52,
     0, "tensor x is unexpected"},
    {"{" A "," B "," C ",\"x\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[40,48]}}", 48,
     0, "overlap"},
    {"{" A "," B "," C "}", 52, 0, "4 bytes too long"},
    {"{" A "," B ",\"c\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4],"
     "\"data_offsets\":[40,48]}}",
     48, 0, "tensor c: dtype"},
    {"{" A "," B ",\"c\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[40,52]}}", 52, 0,
     "tensor c has shape [3], the model wants [2]"},
    {"{" A "," B ",\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[40,44]}}", 44, 0,
     "tensor c has 4 bytes, F32 of shape [2] wants 8"},
    {"{" A "," B ",\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[48,40]}}", 48, 0,
     "tensor c: dtype"},
    {"{" A "," B ",\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 48, 0,
     "tensor c: dtype"},
    {"{" A "," B ",\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[40]}}", 48, 0,
     "tensor c: dtype"},
    {"{" A "," B ",\"c\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[40,48]}}", 48, 0,
     "tensor c"},
    {"{" A "," B ",\"c\":{\"shape\":[2],\"data_offsets\":[40,48]}}", 48, 0, "tensor c"},
    {"{" A "," B ",\"c\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[40,56]}}", 56, 0,
     "F64"},
    {"{" A "," B ",\"c\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[40,48]}}", 48, 0,
     "tensor c"},
    {"{" A "," B ",\"c\":5}", 48, 0, "tensor c: dtype"},
    {"{" A "," B "," C "}", 47, 0, "tensor c"},     /* truncated */
    {"{" A "," B "," C "}", 48, 1 << 20, "header"}, /* overlong header */
    {"{" A "," B "," C "}", 48, UINT64_C(1) << 63, "header"},
    {"{" A "," B "," C, 48, 0, "line"}, /* no JSON */
    {"[1,2]", 48, 0, "object"},
    {"{" A "," A "," B "," C "}", 48, 0, "a.weight"}, /* twice */
    {"{" A "," B "," C "}", 48, 1, "header"},
    {"", 0, 0, "header"},
    {"{" A "," B "," C "}", 48, UINT64_C(0x0008001404034b50), "torch.save"}, /* a zip file */
    {"{" A "," B "," C "}", 48, UINT64_C(0x0a1a0a0d46444889), "HDF5"},
};

static void a_bad_file_gives_a_message_that_names_it(void)
{
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        tdo_params *p = model(1);
        write_file(bad[k].header, bad[k].length ? bad[k].length : strlen(bad[k].header),
                   bad[k].data, NULL);
        const tdo_err err = fill(p);
        const char *said = tdo_error_last()->message;
        const bool fine =
            err == TDO_ERR_FORMAT && strstr(said, path) && strstr(said, bad[k].names);
        if (!fine) {
            printf("case %d: error %d, \"%s\"\n", (int)k, (int)err, said);
        }
        CU_ASSERT_TRUE(fine);
        tdo_params_free(&p);
    }
    unlink(path);
}

static void no_file_is_an_error_of_the_file(void)
{
    tdo_safetensors *f = NULL;
    CU_ASSERT_EQUAL(tdo_safetensors_open("no/such.safetensors", &f), TDO_ERR_FILE);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "no/such.safetensors"));
    CU_ASSERT_PTR_NULL(f);
}

/* The model, and two parameters that a defense trains. */
static tdo_params *defended(void)
{
    tdo_params *p = NULL;
    int64_t index;
    const struct tdo_param entries[] = {
        {.name = "a.weight", .shape = TDO_SHAPE(2, 3), .init = TDO_INIT_ONE},
        {.name = "a.alpha",
         .shape = TDO_SHAPE(1),
         .init = TDO_INIT_VALUE,
         .start = 0.25,
         .owner = "noise"},
        {.name = "b", .shape = TDO_SHAPE(4), .init = TDO_INIT_ONE},
        {.name = "b.alpha",
         .shape = TDO_SHAPE(1),
         .init = TDO_INIT_VALUE,
         .start = 0.5,
         .owner = "noise"},
        {.name = "c", .shape = TDO_SHAPE(2), .kind = TDO_PARAM_BUFFER, .init = TDO_INIT_ONE}};
    ASSERT_OK_FATAL(tdo_params_new(&p));
    for (int i = 0; i < 5; i++) {
        ASSERT_OK_FATAL(tdo_params_add(p, &entries[i], &index));
    }
    ASSERT_OK_FATAL(tdo_params_init(p, 1));
    return p;
}

static void expect_refusal(tdo_params *p, enum tdo_safetensors_lack lack, const char *message)
{
    CU_ASSERT_EQUAL(start(p, lack), TDO_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, message));
}

static void what_a_defense_trains_may_start_afresh(void)
{
    tdo_params *plain = model(1), *p = defended(), *without = model(2);
    tdo_json *what = NULL;
    ASSERT_OK_FATAL(tdo_json_object(&what));
    ASSERT_OK_FATAL(tdo_safetensors_write(path, plain, what));
    expect_refusal(p, TDO_LACK_NONE, "tensor a.alpha of the model is missing");
    ASSERT_OK(start(p, TDO_LACK_DEFENSES));
    CU_ASSERT_EQUAL(memcmp(tdo_params_values(p, 0), tdo_params_values(plain, 0), 24), 0);
    CU_ASSERT_EQUAL(memcmp(tdo_params_values(p, 2), tdo_params_values(plain, 1), 16), 0);
    CU_ASSERT_TRUE(tdo_params_values(p, 1)[0] == 0.25F && tdo_params_values(p, 3)[0] == 0.5F);
    /* A file that has them gives them; one network is no start for one without. */
    tdo_params_values(p, 1)[0] = tdo_params_values(p, 3)[0] = 7;
    ASSERT_OK_FATAL(tdo_safetensors_write(path, p, what));
    tdo_params_values(p, 1)[0] = tdo_params_values(p, 3)[0] = 8;
    ASSERT_OK(start(p, TDO_LACK_DEFENSES));
    CU_ASSERT_TRUE(tdo_params_values(p, 1)[0] == 7 && tdo_params_values(p, 3)[0] == 7);
    expect_refusal(without, TDO_LACK_DEFENSES, "tensor a.alpha is unexpected");
    tdo_params_free(&plain);
    tdo_params_free(&p);
    tdo_params_free(&without);
    tdo_json_free(&what);
}

#define ALPHA "\"a.alpha\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[48,52]}"

/* Some of a defense's parameters, or none of the model's own: the file is broken. */
static void other_missing_tensors_are_an_error(void)
{
    tdo_params *p = defended();
    const char *half = "{" A "," B "," C "," ALPHA "}", *less = "{" A "," B "}";
    write_file(half, strlen(half), 52, NULL);
    expect_refusal(p, TDO_LACK_DEFENSES, "tensor b.alpha of the model is missing");
    write_file(less, strlen(less), 40, NULL);
    expect_refusal(p, TDO_LACK_DEFENSES, "tensor c of the model is missing");
    tdo_params_free(&p);
    unlink(path);
}

CU_TestInfo suite_tests[] = {
    {"a model comes back bit for bit", a_model_comes_back_bit_for_bit},
    {"half precision is widened", half_precision_is_widened},
    {"integer tensors that the model lacks are skipped",
     integer_tensors_that_the_model_lacks_are_skipped},
    {"a bad file gives a message that names file and tensor",
     a_bad_file_gives_a_message_that_names_it},
    {"what a defense trains may start afresh", what_a_defense_trains_may_start_afresh},
    {"other missing tensors are an error", other_missing_tensors_are_an_error},
    {"no file is an error of the file", no_file_is_an_error_of_the_file},
    CU_TEST_INFO_NULL,
};
