/* Writing and reading safetensors. See safetensors.h. */
#include "nn/safetensors.h"

#include <inttypes.h>
#include <string.h>

#include "nn/base/file.h"
#include "nn/base/log.h"

static const int64_t largest_file = INT64_C(1) << 36;

/* ---- writing ------------------------------------------------------------------------------------ */

static tdo_err add_entry(tdo_json *header, const struct tdo_param *e, int64_t *at)
{
    tdo_json *tensor = NULL, *shape = NULL, *place = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_json_object(&tensor));
    TDO_GOTO(tdo_json_array(&shape));
    TDO_GOTO(tdo_json_array(&place));
    for (int i = 0; i < e->shape.rank; i++) {
        tdo_json_add_int(shape, e->shape.dim[i]);
    }
    tdo_json_add_int(place, *at);
    *at += e->count * (int64_t)sizeof(float);
    tdo_json_add_int(place, *at);
    tdo_json_set_text(tensor, "dtype", "F32");
    tdo_json_set(tensor, "shape", &shape);
    tdo_json_set(tensor, "data_offsets", &place);
    tdo_json_set(header, e->name, &tensor);
done:
    tdo_json_free(&tensor);
    tdo_json_free(&shape);
    tdo_json_free(&place);
    return err;
}

static tdo_err make_header(const tdo_params *p, const tdo_json *description, char **text,
                           int64_t *data)
{
    tdo_json *header = NULL, *meta = NULL;
    char *inner = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_json_object(&header));
    TDO_GOTO(tdo_json_object(&meta));
    TDO_GOTO(tdo_json_text(description, 0, &inner));
    tdo_json_set_text(meta, "format", "pt");
    tdo_json_set_text(meta, "testudo", inner);
    tdo_json_set(header, "__metadata__", &meta);
    *data = 0;
    for (int64_t i = 0; i < tdo_params_entries(p); i++) {
        TDO_GOTO(add_entry(header, tdo_params_at(p, i), data));
    }
    err = tdo_json_text(header, 0, text);
done:
    tdo_memory_free(&inner);
    tdo_json_free(&meta);
    tdo_json_free(&header);
    return err;
}

static void put_u64(unsigned char *to, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        to[i] = (unsigned char)(v >> (8 * i));
    }
}

tdo_err tdo_safetensors_write(const char *path, const tdo_params *p,
                              const tdo_json *description)
{
    char *header = NULL;
    unsigned char *file = NULL;
    int64_t data = 0;
    tdo_err err = TDO_OK;
    TDO_GOTO(make_header(p, description, &header, &data));
    const int64_t used = (int64_t)strlen(header), length = (used + 7) / 8 * 8;
    TDO_GOTO(tdo_memory_new(8 + length + data, &file));
    put_u64(file, (uint64_t)length);
    memset(file + 8, ' ', (size_t)length);
    memcpy(file + 8, header, (size_t)used);
    unsigned char *to = file + 8 + length;
    for (int64_t i = 0; i < tdo_params_entries(p); i++) {
        const size_t bytes = (size_t)tdo_params_at(p, i)->count * sizeof(float);
        memcpy(to, tdo_params_values(p, i), bytes);
        to += bytes;
    }
    err = tdo_file_write(path, file, 8 + length + data);
done:
    tdo_memory_free(&header);
    tdo_memory_free(&file);
    return err;
}

/* ---- reading ------------------------------------------------------------------------------------- */

struct tdo_safetensors {
    char *path, *bytes;
    int64_t size, data; /* of the file; where the tensors begin */
    tdo_json *header;   /* holds the names */
    struct tdo_safetensors_tensor *tensor;
    int64_t tensors;
};

void tdo_safetensors_free(tdo_safetensors **f)
{
    if (*f) {
        tdo_memory_free(&(*f)->path);
        tdo_memory_free(&(*f)->bytes);
        tdo_memory_free(&(*f)->tensor);
        tdo_json_free(&(*f)->header);
        tdo_memory_free(f);
    }
}

/* What a file that is no safetensors file may be instead. */
static const char *other_format(const struct tdo_safetensors *f)
{
    static const struct {
        const char *start, *is;
    } known[] = {
        {"PK\3\4", ": a zip file; what torch.save wrote must be saved by "
                   "safetensors.torch.save_file"},
        {"\x80\2", ": a pickle; what torch.save wrote must be saved by "
                   "safetensors.torch.save_file"},
        {"\x89HDF", ": an HDF5 file"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t n = strlen(known[i].start);
        if (f->size >= (int64_t)n && memcmp(f->bytes, known[i].start, n) == 0) {
            return known[i].is;
        }
    }
    return "";
}

static tdo_err read_header(struct tdo_safetensors *f)
{
    uint64_t length = 0;
    for (int i = 0; f->size >= 8 && i < 8; i++) {
        length |= (uint64_t)(unsigned char)f->bytes[i] << (8 * i);
    }
    if (f->size < 8 || length < 2 || length > (uint64_t)f->size - 8) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: no safetensors file%s (a header of %" PRIu64
                        " bytes does not fit into %" PRId64 " bytes)",
                        f->path, other_format(f), length, f->size);
    }
    f->data = 8 + (int64_t)length;
    TDO_TRY(tdo_json_parse(f->bytes + 8, (size_t)length, f->path, &f->header));
    if (!tdo_json_is_object(f->header)) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: the header is not a JSON object", f->path);
    }
    return TDO_OK;
}

/* Bytes of an element; 0 for a type that is not known here. */
static int64_t size_of(const char *dtype)
{
    static const struct {
        const char *dtype;
        int64_t bytes;
    } sizes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I64", 8},
                 {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U64", 8}, {"U32", 4},
                 {"U16", 2}, {"U8", 1},  {"BOOL", 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (strcmp(dtype, sizes[i].dtype) == 0) {
            return sizes[i].bytes;
        }
    }
    return 0;
}

/* Whole numbers of the list `key`, none of them negative: how many, -1 if it is no such list. */
static int read_list(const tdo_json *entry, const char *key, int room, int64_t *out)
{
    tdo_json *list = NULL, *item = NULL;
    if (!tdo_json_get(entry, key, &list)) {
        return -1;
    }
    const int64_t size = tdo_json_size(list);
    int count = tdo_json_is_array(list) && size <= room ? (int)size : -1;
    for (int i = 0; i < count; i++) {
        const bool fine =
            tdo_json_at(list, i, &item) && tdo_json_int(item, &out[i]) && out[i] >= 0;
        tdo_json_free(&item);
        count = fine ? count : -1;
    }
    tdo_json_free(&list);
    return count;
}

/* Sets t->count; false if it does not fit into 64 bits. */
static bool count_elements(struct tdo_safetensors_tensor *t)
{
    t->count = 1;
    for (int i = 0; i < t->shape.rank; i++) {
        if (__builtin_mul_overflow(t->count, t->shape.dim[i], &t->count)) {
            return false;
        }
    }
    return t->count <= largest_file;
}

/* The tensor t->name: type, shape and place, checked against the file. */
static tdo_err read_tensor(const struct tdo_safetensors *f, const tdo_json *entry,
                           struct tdo_safetensors_tensor *t)
{
    int64_t place[2] = {0, 0};
    const bool places = read_list(entry, "data_offsets", 2, place) == 2;
    const int rank = read_list(entry, "shape", TDO_MAX_RANK, t->shape.dim);
    TDO_TRY(tdo_json_check(entry));
    t->shape.rank = rank < 0 ? 0 : rank;
    if (!places || rank < 0 || !tdo_json_get_text(entry, "dtype", &t->dtype) ||
        place[1] < place[0] || place[1] > f->size - f->data || !count_elements(t)) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: tensor %s: dtype, shape (at most %d dimensions) and data_offsets "
                        "inside the file expected",
                        f->path, t->name, TDO_MAX_RANK);
    }
    t->data = f->bytes + f->data + place[0];
    t->bytes = place[1] - place[0];
    const int64_t each = size_of(t->dtype);
    if (each > 0 && t->bytes != t->count * each) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: tensor %s has %" PRId64 " bytes, %s of shape %s wants %" PRId64,
                        f->path, t->name, t->bytes, t->dtype, tdo_shape_print(&t->shape).s,
                        t->count * each);
    }
    return TDO_OK;
}

static tdo_err read_tensors(struct tdo_safetensors *f)
{
    const int64_t members = tdo_json_size(f->header);
    int64_t left = f->size - f->data;
    TDO_TRY(tdo_memory_new(members + 1, &f->tensor));
    for (int64_t i = 0; i < members; i++) {
        struct tdo_safetensors_tensor *t = &f->tensor[f->tensors];
        tdo_json *entry = NULL;
        if (!tdo_json_key(f->header, i, &t->name) || strcmp(t->name, "__metadata__") == 0) {
            continue;
        }
        if (!tdo_json_get(f->header, t->name, &entry)) {
            TDO_TRY(tdo_json_check(f->header));
        }
        const tdo_err err = read_tensor(f, entry, t);
        tdo_json_free(&entry);
        TDO_TRY(err);
        left -= t->bytes;
        f->tensors++;
    }
    if (left != 0) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: %" PRId64 " bytes too %s for its tensors, or they overlap",
                        f->path, left > 0 ? left : -left, left > 0 ? "long" : "short");
    }
    return TDO_OK;
}

tdo_err tdo_safetensors_open(const char *path, tdo_safetensors **out)
{
    tdo_safetensors *f = NULL;
    tdo_err err = TDO_OK;
    *out = NULL;
    TDO_GOTO(tdo_memory_new(1, &f));
    const size_t length = strlen(path);
    TDO_GOTO(tdo_memory_new((int64_t)length + 1, &f->path));
    memcpy(f->path, path, length);
    TDO_GOTO(tdo_file_read(path, largest_file, &f->bytes, &f->size));
    TDO_GOTO(read_header(f));
    TDO_GOTO(read_tensors(f));
    *out = f;
    f = NULL;
done:
    tdo_safetensors_free(&f);
    return err;
}

tdo_err tdo_safetensors_describe(const tdo_safetensors *f, tdo_json **out)
{
    tdo_json *meta = NULL;
    const char *text = NULL;
    *out = NULL;
    tdo_err err = TDO_OK;
    if (tdo_json_get(f->header, "__metadata__", &meta) &&
        tdo_json_get_text(meta, "testudo", &text)) {
        err = tdo_json_parse(text, strlen(text), f->path, out);
    } else {
        err = tdo_json_check(f->header);
    }
    tdo_json_free(&meta);
    return err;
}

int64_t tdo_safetensors_tensors(const tdo_safetensors *f)
{
    return f->tensors;
}

const struct tdo_safetensors_tensor *tdo_safetensors_at(const tdo_safetensors *f, int64_t i)
{
    return &f->tensor[i];
}

const struct tdo_safetensors_tensor *tdo_safetensors_find(const tdo_safetensors *f,
                                                          const char *name)
{
    for (int64_t i = 0; i < f->tensors; i++) {
        if (strcmp(f->tensor[i].name, name) == 0) {
            return &f->tensor[i];
        }
    }
    return NULL;
}

/* ---- values --------------------------------------------------------------------------------------- */

static float widen_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, mantissa = h & 0x3ff;
    const uint32_t exponent = (h >> 10) & 0x1f;
    uint32_t bits = sign | (exponent + 112) << 23 | mantissa << 13;
    float v;
    if (exponent == 31) {
        bits = sign | 0x7f800000 | mantissa << 13;
    } else if (exponent == 0) { /* zero and subnormal: mantissa 2^-24 */
        v = (float)mantissa * 0x1p-24F;
        return sign ? -v : v;
    }
    memcpy(&v, &bits, sizeof v);
    return v;
}

static float widen_brain(uint16_t h)
{
    const uint32_t bits = (uint32_t)h << 16;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static bool is(const struct tdo_safetensors_tensor *t, const char *dtype)
{
    return strcmp(t->dtype, dtype) == 0;
}

static bool is_integer(const struct tdo_safetensors_tensor *t)
{
    return t->dtype[0] == 'I' || t->dtype[0] == 'U' || is(t, "BOOL");
}

static tdo_err match_entry(const struct tdo_safetensors *f, const struct tdo_param *e)
{
    const struct tdo_safetensors_tensor *t = tdo_safetensors_find(f, e->name);
    if (!t) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: tensor %s of the model is missing", f->path,
                        e->name);
    }
    if (!is(t, "F32") && !is(t, "F16") && !is(t, "BF16")) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: tensor %s has dtype %s, expected F32, F16 or BF16",
                        f->path, t->name, t->dtype);
    }
    if (!tdo_shape_equal(&t->shape, &e->shape)) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: tensor %s has shape %s, the model wants %s",
                        f->path, t->name, tdo_shape_print(&t->shape).s,
                        tdo_shape_print(&e->shape).s);
    }
    return TDO_OK;
}

/* Does the file lack all parameters of the defense that has this one? */
static bool lacks_defense(const struct tdo_safetensors *f, const tdo_params *p,
                          const struct tdo_param *e)
{
    bool found = !e->owner;
    for (int64_t i = 0; i < tdo_params_entries(p) && !found; i++) {
        const struct tdo_param *other = tdo_params_at(p, i);
        found = other->owner && strcmp(other->owner, e->owner) == 0 &&
                tdo_safetensors_find(f, other->name);
    }
    return !found;
}

/* May the file lack this parameter, and does it? */
static bool is_fresh(const struct tdo_safetensors *f, const tdo_params *p,
                     const struct tdo_param *e, enum tdo_safetensors_lack lack)
{
    return lack == TDO_LACK_DEFENSES && e->owner && lacks_defense(f, p, e);
}

tdo_err tdo_safetensors_match(const tdo_safetensors *f, const tdo_params *p,
                              enum tdo_safetensors_lack lack)
{
    for (int64_t i = 0; i < tdo_params_entries(p); i++) {
        const struct tdo_param *e = tdo_params_at(p, i);
        if (!is_fresh(f, p, e, lack)) {
            TDO_TRY(match_entry(f, e));
        }
    }
    for (int64_t i = 0; i < f->tensors; i++) {
        const struct tdo_safetensors_tensor *t = &f->tensor[i];
        if (!is_integer(t) && tdo_params_find(p, t->name) < 0) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s: tensor %s is unexpected: the model has no such parameter",
                            f->path, t->name);
        }
    }
    return TDO_OK;
}

static void take_values(const struct tdo_safetensors_tensor *t, float *to)
{
    if (is(t, "F32")) {
        memcpy(to, t->data, (size_t)t->bytes);
        return;
    }
    const bool half = is(t, "F16");
    for (int64_t i = 0; i < t->count; i++) {
        uint16_t h;
        memcpy(&h, t->data + 2 * i, sizeof h);
        to[i] = half ? widen_half(h) : widen_brain(h);
    }
}

/* One line for the defense that entry `first` is the first of. */
static void tell_fresh(const tdo_safetensors *f, const tdo_params *p, int64_t first)
{
    const char *owner = tdo_params_at(p, first)->owner;
    int64_t tensors = 0, numbers = 0;
    for (int64_t i = 0; i < tdo_params_entries(p); i++) {
        const struct tdo_param *e = tdo_params_at(p, i);
        if (e->owner && strcmp(e->owner, owner) == 0) {
            if (i < first) {
                return; /* told already */
            }
            tensors++;
            numbers += e->count;
        }
    }
    tdo_log_root(TDO_LOG_INFO,
                 "%s: %" PRId64 " parameters of %s (%" PRId64
                 " numbers) are not in it and start afresh",
                 f->path, tensors, owner, numbers);
}

tdo_err tdo_safetensors_fill(const tdo_safetensors *f, tdo_params *p,
                             enum tdo_safetensors_lack lack)
{
    int64_t skipped = f->tensors;
    TDO_TRY(tdo_safetensors_match(f, p, lack));
    for (int64_t i = 0; i < tdo_params_entries(p); i++) {
        const struct tdo_param *e = tdo_params_at(p, i);
        if (is_fresh(f, p, e, lack)) {
            tell_fresh(f, p, i);
        } else {
            take_values(tdo_safetensors_find(f, e->name), tdo_params_values(p, i));
            skipped--;
        }
    }
    if (skipped > 0) {
        tdo_log_root(TDO_LOG_INFO, "%s: %" PRId64 " integer tensors skipped", f->path, skipped);
    }
    return TDO_OK;
}
