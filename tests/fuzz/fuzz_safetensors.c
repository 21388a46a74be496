/* A model file. First byte 0: the input is the file; 1: it is the header, and the length of the data
 * behind it is chosen by two bytes; else: the header is made of tensors that lie side by side, but
 * for what the input changes. What opens is listed and read into a small model. */
#include <stdio.h>
#include <string.h>

#include "nn/safetensors.h"
#include "tests/fuzz/fuzz.h"

/* a.weight [2,3] and b [4], weights; c [2], a buffer */
static tdo_err make_params(tdo_params **out)
{
    int64_t index;
    const struct tdo_param entries[] = {
        {.name = "a.weight", .shape = TDO_SHAPE(2, 3)},
        {.name = "b", .shape = TDO_SHAPE(4)},
        {.name = "c", .shape = TDO_SHAPE(2), .kind = TDO_PARAM_BUFFER}};
    TDO_TRY(tdo_params_new(out));
    for (int i = 0; i < 3; i++) {
        TDO_TRY(tdo_params_add(*out, &entries[i], &index));
    }
    return tdo_params_init(*out, 1);
}

static void use(const tdo_safetensors *f, tdo_params *p)
{
    tdo_json *description = NULL;
    volatile char sum = 0;
    FUZZ_IGNORE(tdo_safetensors_describe(f, &description));
    tdo_json_free(&description);
    for (int64_t i = 0; i < tdo_safetensors_tensors(f); i++) {
        const struct tdo_safetensors_tensor *t = tdo_safetensors_at(f, i);
        FUZZ_CHECK(tdo_safetensors_find(f, t->name) && t->count >= 0 && t->bytes >= 0);
        for (int64_t k = 0; k < t->bytes; k++) {
            sum = (char)(sum + t->data[k]);
        }
    }
    FUZZ_IGNORE(tdo_safetensors_fill(f, p, TDO_LACK_NONE));
}

/* One tensor: bytes for name, type, dimensions, and how far both ends are from where they ought to
 * be (0: not at all). *at: where the next one begins. Returns characters written. */
static int add_tensor(struct fuzz *in, char *out, size_t room, long long *at)
{
    static const char *const names[] = {"a.weight", "b", "c", "n", "__metadata__"};
    static const char *const types[] = {"F32", "F16", "BF16", "I64", "F64", "BOOL", "X1"};
    static const int sizes[] = {4, 2, 2, 8, 8, 1, 1};
    const size_t name = (size_t)fuzz_number(in, 1) % 5, type = (size_t)fuzz_number(in, 1) % 7;
    const int rank = (int)(fuzz_number(in, 1) % 7);
    long long count = sizes[type];
    int used =
        snprintf(out, room, "\"%s\":{\"dtype\":\"%s\",\"shape\":[", names[name], types[type]);
    for (int i = 0; i < rank; i++) {
        const uint64_t small = fuzz_number(in, 1);
        const long long dim = small < 255 ? (long long)small : (long long)fuzz_number(in, 8);
        used += snprintf(out + used, room - (size_t)used, "%s%lld", i ? "," : "", dim);
        count = small < 255 ? (count * dim) % (1 << 20) : count;
    }
    const long long begin = *at + (int8_t)fuzz_number(in, 1);
    const long long end = begin + count + (int8_t)fuzz_number(in, 1);
    used += snprintf(out + used, room - (size_t)used, "],\"data_offsets\":[%lld,%lld]}", begin,
                     end);
    *at += count;
    return used;
}

/* A header of tensors; *behind: bytes that they have together. */
static size_t make_header(struct fuzz *in, char *out, size_t room, size_t *behind)
{
    size_t used = (size_t)snprintf(out, room, "{");
    long long at = 0;
    for (int i = 0; in->size > 0 && i < 8; i++) {
        used += (size_t)snprintf(out + used, room - used, "%s", i ? "," : "");
        used += (size_t)add_tensor(in, out + used, room - used, &at);
    }
    used += (size_t)snprintf(out + used, room - used, "}");
    *behind = (size_t)(at % (1 << 16));
    return used;
}

/* The file into [room]; returns its length. */
static size_t make_file(struct fuzz *in, uint8_t *file, size_t room)
{
    const unsigned how = (unsigned)fuzz_number(in, 1);
    size_t behind = how == 1 ? (size_t)fuzz_number(in, 2) : 0, length = in->size;
    if (length + (1 << 17) > room || how == 0) {
        length = length < room ? length : room;
        memcpy(file, length > 0 ? in->data : file, length);
        return length;
    }
    if (how == 1) {
        memcpy(file + 8, length > 0 ? in->data : file, length);
    } else {
        length = make_header(in, (char *)file + 8, 1 << 14, &behind);
    }
    for (int i = 0; i < 8; i++) {
        file[i] = (uint8_t)(length >> (8 * i));
    }
    memset(file + 8 + length, 0x3c, behind);
    return 8 + length + behind;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[1 << 18];
    tdo_params *p = NULL;
    tdo_safetensors *f = NULL;
    struct fuzz in = {data, size};
    const size_t bytes = make_file(&in, file, sizeof file);
    const char *path = fuzz_write("model.safetensors", file, bytes);
    if (make_params(&p) == TDO_OK && tdo_safetensors_open(path, &f) == TDO_OK) {
        use(f, p);
    }
    tdo_safetensors_free(&f);
    tdo_params_free(&p);
    fuzz_remove("model.safetensors");
    return 0;
}
