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

struct model_file {
    const char *path;
    char *bytes;
    int64_t size, data; /* data: where the tensors begin */
    int64_t end;        /* behind the last tensor seen */
    tdo_json *header;
};

static void close_file(struct model_file *f)
{
    tdo_memory_free(&f->bytes);
    tdo_json_free(&f->header);
}

static tdo_err open_file(const char *path, struct model_file *f)
{
    *f = (struct model_file){.path = path};
    TDO_TRY(tdo_file_read(path, largest_file, &f->bytes, &f->size));
    uint64_t length = 0;
    for (int i = 0; f->size >= 8 && i < 8; i++) {
        length |= (uint64_t)(unsigned char)f->bytes[i] << (8 * i);
    }
    if (f->size < 8 || length < 2 || length > (uint64_t)f->size - 8) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: no safetensors file: a header of %" PRIu64
                        " bytes does not fit into "
                        "%" PRId64 " bytes",
                        path, length, f->size);
    }
    f->data = f->end = 8 + (int64_t)length;
    TDO_TRY(tdo_json_parse(f->bytes + 8, (size_t)length, path, &f->header));
    if (!tdo_json_is_object(f->header)) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: the header is not a JSON object", path);
    }
    return TDO_OK;
}

tdo_err tdo_safetensors_describe(const char *path, tdo_json **out)
{
    struct model_file f;
    tdo_json *meta = NULL;
    const char *text = NULL;
    *out = NULL;
    tdo_err err = open_file(path, &f);
    if (err == TDO_OK && tdo_json_get(f.header, "__metadata__", &meta) &&
        tdo_json_get_text(meta, "testudo", &text)) {
        err = tdo_json_parse(text, strlen(text), path, out);
    } else if (err == TDO_OK) {
        err = tdo_json_check(f.header);
    }
    tdo_json_free(&meta);
    close_file(&f);
    return err;
}

/* A tensor of the header: its type, shape and bytes, checked against the file. */
struct tensor {
    const char *name, *dtype;
    tdo_shape shape;
    const char *from;
    int64_t bytes;
};

static tdo_err read_place(const struct model_file *f, const tdo_json *entry, struct tensor *t)
{
    tdo_json *list = NULL, *item = NULL;
    int64_t place[2] = {-1, -1};
    bool fine = tdo_json_get(entry, "data_offsets", &list) && tdo_json_size(list) == 2;
    for (int i = 0; fine && i < 2; i++) {
        fine = tdo_json_at(list, i, &item) && tdo_json_int(item, &place[i]);
        tdo_json_free(&item);
    }
    tdo_json_free(&list);
    fine = fine && tdo_json_get(entry, "shape", &list) && tdo_json_size(list) <= TDO_MAX_RANK;
    t->shape.rank = fine ? (int)tdo_json_size(list) : 0;
    for (int i = 0; fine && i < t->shape.rank; i++) {
        fine = tdo_json_at(list, i, &item) && tdo_json_int(item, &t->shape.dim[i]) &&
               t->shape.dim[i] >= 0 && t->shape.dim[i] <= largest_file;
        tdo_json_free(&item);
    }
    tdo_json_free(&list);
    TDO_TRY(tdo_json_check(entry));
    if (!fine || !tdo_json_get_text(entry, "dtype", &t->dtype) || place[0] < 0 ||
        place[1] < place[0] || place[1] > f->size - f->data) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: tensor %s: dtype, shape and data_offsets inside the file expected",
                        f->path, t->name);
    }
    t->from = f->bytes + f->data + place[0];
    t->bytes = place[1] - place[0];
    return TDO_OK;
}

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

static tdo_err take_values(const struct model_file *f, const struct tensor *t,
                           const struct tdo_param *e, float *to)
{
    const bool single = strcmp(t->dtype, "F32") == 0, half = strcmp(t->dtype, "F16") == 0;
    const bool brain = strcmp(t->dtype, "BF16") == 0;
    if (!single && !half && !brain) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: tensor %s has dtype %s, expected F32, F16 or BF16",
                        f->path, t->name, t->dtype);
    }
    if (!tdo_shape_equal(&t->shape, &e->shape)) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: tensor %s has shape %s, the model wants %s",
                        f->path, t->name, tdo_shape_print(&t->shape).s,
                        tdo_shape_print(&e->shape).s);
    }
    if (t->bytes != e->count * (single ? 4 : 2)) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: tensor %s has %" PRId64 " bytes, its shape wants "
                        "%" PRId64,
                        f->path, t->name, t->bytes, e->count * (single ? 4 : 2));
    }
    if (single) {
        memcpy(to, t->from, (size_t)t->bytes);
        return TDO_OK;
    }
    for (int64_t i = 0; i < e->count; i++) {
        uint16_t h;
        memcpy(&h, t->from + 2 * i, sizeof h);
        to[i] = half ? widen_half(h) : widen_brain(h);
    }
    return TDO_OK;
}

static tdo_err take_tensor(struct model_file *f, const char *name, tdo_params *p)
{
    struct tensor t = {.name = name};
    tdo_json *entry = NULL;
    if (!tdo_json_get(f->header, name, &entry)) {
        TDO_TRY(tdo_json_check(f->header));
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: tensor %s is unreadable", f->path, name);
    }
    tdo_err err = read_place(f, entry, &t);
    const int64_t index = tdo_params_find(p, name);
    if (err == TDO_OK && t.from + t.bytes > f->bytes + f->end) {
        f->end = t.from + t.bytes - f->bytes;
    }
    if (err == TDO_OK && index < 0 &&
        (t.dtype[0] == 'I' || t.dtype[0] == 'U' || strcmp(t.dtype, "BOOL") == 0)) {
        tdo_log_root(TDO_LOG_INFO, "%s: integer tensor %s skipped", f->path, name);
    } else if (err == TDO_OK && index < 0) {
        err = TDO_FAIL(TDO_ERR_FORMAT, "%s: the model has no parameter %s", f->path, name);
    } else if (err == TDO_OK) {
        err = take_values(f, &t, tdo_params_at(p, index), tdo_params_values(p, index));
    }
    tdo_json_free(&entry);
    return err;
}

static tdo_err first_missing(const struct model_file *f, const tdo_params *p)
{
    for (int64_t i = 0; i < tdo_params_entries(p); i++) {
        if (!tdo_json_has(f->header, tdo_params_at(p, i)->name)) {
            return TDO_FAIL(TDO_ERR_FORMAT, "%s: parameter %s of the model is not in the file",
                            f->path, tdo_params_at(p, i)->name);
        }
    }
    return TDO_OK;
}

tdo_err tdo_safetensors_read(const char *path, tdo_params *p)
{
    struct model_file f;
    tdo_err err = open_file(path, &f);
    for (int64_t i = 0; err == TDO_OK && i < tdo_json_size(f.header); i++) {
        const char *name = NULL;
        if (tdo_json_key(f.header, i, &name) && strcmp(name, "__metadata__") != 0) {
            err = take_tensor(&f, name, p);
        }
    }
    err = err == TDO_OK ? first_missing(&f, p) : err;
    if (err == TDO_OK && f.end != f.size) {
        err = TDO_FAIL(TDO_ERR_FORMAT, "%s: %" PRId64 " bytes too long for its tensors", path,
                       f.size - f.end);
    }
    close_file(&f);
    return err;
}
