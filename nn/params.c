/* The parameter table and its blocks. See params.h. */
#include "nn/params.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/base/rng.h"

struct tdo_params {
    struct tdo_param *entry;
    int64_t entries, room;
    int64_t count[TDO_PARAM_KINDS];
    float *block[TDO_PARAM_KINDS];
    tdo_arena *arena;
};

tdo_err tdo_params_new(tdo_params **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    tdo_err err = tdo_arena_new(&(*out)->arena);
    if (err != TDO_OK) {
        tdo_memory_free(out);
    }
    return err;
}

void tdo_params_free(tdo_params **p)
{
    if (*p) {
        tdo_arena_free(&(*p)->arena);
        tdo_memory_free(&(*p)->entry);
        for (int kind = 0; kind < TDO_PARAM_KINDS; kind++) {
            tdo_memory_free(&(*p)->block[kind]);
        }
        tdo_memory_free(p);
    }
}

int64_t tdo_params_find(const tdo_params *p, const char *name)
{
    for (int64_t i = 0; i < p->entries; i++) {
        if (strcmp(p->entry[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

/* The first word of a list, without blanks; *rest is behind its comma. */
static const char *first_word(const char *list, int *length, const char **rest)
{
    list += strspn(list, ", ");
    *length = (int)strcspn(list, ", ");
    *rest = list + *length;
    return list;
}

/* Is `name` the word, or does it go on with a dot behind it? */
static bool is_named(const char *name, const char *word, int length)
{
    return strncmp(name, word, (size_t)length) == 0 &&
           (name[length] == '\0' || name[length] == '.');
}

bool tdo_params_listed(const char *list, const char *name)
{
    int length = 0;
    for (const char *word = first_word(list, &length, &list); length > 0;
         word = first_word(list, &length, &list)) {
        if (is_named(name, word, length)) {
            return true;
        }
    }
    return false;
}

/* "conv1, conv2, fc": weights up to their first dot. */
static void show_layers(const tdo_params *p, char *text, size_t size)
{
    const char *last = "";
    size_t at = 0;
    text[0] = '\0';
    for (int64_t i = 0; i < p->entries; i++) {
        const char *name = p->entry[i].name;
        const int length = (int)strcspn(name, ".");
        if (p->entry[i].kind == TDO_PARAM_WEIGHT && !is_named(last, name, length) &&
            at + (size_t)length + 3 < size) {
            at +=
                (size_t)snprintf(text + at, size - at, "%s%.*s", at ? ", " : "", length, name);
            last = name;
        }
    }
}

tdo_err tdo_params_check_list(const tdo_params *p, const char *list)
{
    int length = 0;
    for (const char *word = first_word(list, &length, &list); length > 0;
         word = first_word(list, &length, &list)) {
        bool found = false;
        for (int64_t i = 0; i < p->entries; i++) {
            found = found || (p->entry[i].kind == TDO_PARAM_WEIGHT &&
                              is_named(p->entry[i].name, word, length));
        }
        if (!found) {
            char layers[300];
            show_layers(p, layers, sizeof layers);
            return TDO_FAIL(TDO_ERR_CONFIG, "layers: '%.*s' is none of the network's: %s",
                            length, word, layers);
        }
    }
    return TDO_OK;
}

tdo_err tdo_params_add(tdo_params *p, const struct tdo_param *entry, int64_t *index)
{
    *index = tdo_params_find(p, entry->name);
    if (*index >= 0) {
        const tdo_shape *have = &p->entry[*index].shape;
        if (!tdo_shape_equal(have, &entry->shape)) {
            return TDO_FAIL(TDO_ERR_SHAPE, "parameter %s has shape %s, asked for with %s",
                            entry->name, tdo_shape_print(have).s,
                            tdo_shape_print(&entry->shape).s);
        }
        return TDO_OK;
    }
    if (p->block[TDO_PARAM_WEIGHT]) {
        return TDO_FAIL(TDO_ERR_BUG, "parameter %s comes after the values were made",
                        entry->name);
    }
    if (p->entries == p->room) {
        int64_t room = p->room ? 2 * p->room : 32;
        TDO_TRY(tdo_memory_grow(p->entries, room, &p->entry));
        p->room = room;
    }
    struct tdo_param *e = &p->entry[p->entries];
    *e = *entry;
    e->name = tdo_arena_string(p->arena, entry->name);
    if (!e->name) {
        return TDO_ERR_MEMORY;
    }
    e->count = tdo_shape_count(&e->shape);
    e->offset = p->count[e->kind];
    p->count[e->kind] += e->count;
    *index = p->entries++;
    return TDO_OK;
}

int64_t tdo_params_entries(const tdo_params *p)
{
    return p->entries;
}

const struct tdo_param *tdo_params_at(const tdo_params *p, int64_t index)
{
    TDO_ASSERT(index >= 0 && index < p->entries);
    return &p->entry[index];
}

int64_t tdo_params_count(const tdo_params *p, enum tdo_param_kind kind)
{
    return p->count[kind];
}

/* N(0,1); what lies beyond two deviations is drawn again, each element for itself. */
static void truncated_normals(const struct tdo_stream *stream, int64_t count, float *v)
{
    struct tdo_key key = {.sample = TDO_SAMPLE_BATCH};
    float again[4];
    tdo_rng_normals(stream, &key, 0, count, v);
    for (int64_t i = 0; i < count; i++) {
        for (key.draw = 1; fabsf(v[i]) > 2; key.draw++) {
            tdo_rng_normals(stream, &key, i / 4 * 4, 4, again);
            v[i] = again[i % 4];
        }
    }
}

/* Normal laws: their deviation; 0 if the law is none. */
static double normal_deviation(const struct tdo_param *e)
{
    switch (e->init) {
    case TDO_INIT_KAIMING_NORMAL:
        return sqrt(2 / (double)e->fan_out);
    case TDO_INIT_KAIMING_IN:
        return sqrt(2 / (double)e->fan_in);
    case TDO_INIT_TRUNCATED:
        return 0.1;
    case TDO_INIT_SMALL:
    case TDO_INIT_NEAR_ONE:
        return 0.02;
    default:
        return 0;
    }
}

static void start_normals(const struct tdo_param *e, const struct tdo_stream *stream,
                          double deviation, float *v)
{
    const struct tdo_key key = {.sample = TDO_SAMPLE_BATCH};
    if (e->init == TDO_INIT_TRUNCATED) {
        truncated_normals(stream, e->count, v);
    } else {
        tdo_rng_normals(stream, &key, 0, e->count, v);
    }
    for (int64_t i = 0; i < e->count; i++) {
        v[i] = (float)((e->init == TDO_INIT_NEAR_ONE) + (double)v[i] * deviation);
    }
}

static void start_values(const struct tdo_param *e, int64_t index, uint32_t seed, float *v)
{
    const struct tdo_stream stream = {
        .seed = seed, .purpose = TDO_PURPOSE_INIT, .layer = (uint32_t)index};
    const struct tdo_key key = {.sample = TDO_SAMPLE_BATCH};
    const double deviation = normal_deviation(e);
    double scale = 0, shift = 0;
    if (deviation > 0) {
        start_normals(e, &stream, deviation, v);
        return;
    }
    switch (e->init) {
    case TDO_INIT_ONE:
        shift = 1;
        break;
    case TDO_INIT_FAN_IN_UNIFORM:
        scale = 2 / sqrt((double)e->fan_in);
        break;
    case TDO_INIT_GLOROT_UNIFORM:
        scale = 2 * sqrt(6 / (double)(e->fan_in + e->fan_out));
        break;
    case TDO_INIT_TENTH:
        shift = 0.1;
        break;
    case TDO_INIT_VALUE:
        shift = e->start;
        break;
    default:
        break;
    }
    tdo_rng_uniforms(&stream, &key, 0, e->count, v);
    for (int64_t i = 0; i < e->count; i++) {
        v[i] = (float)(shift + scale * ((double)v[i] - 0.5));
    }
}

void tdo_params_start_small(tdo_params *p)
{
    for (int64_t i = 0; i < p->entries; i++) {
        struct tdo_param *e = &p->entry[i];
        if (e->kind == TDO_PARAM_WEIGHT && !e->owner && e->shape.rank >= 2) {
            e->init = TDO_INIT_SMALL;
        } else if (e->norm && e->init == TDO_INIT_ONE) {
            e->init = TDO_INIT_NEAR_ONE;
        }
    }
}

tdo_err tdo_params_init(tdo_params *p, uint32_t seed)
{
    for (int kind = 0; kind < TDO_PARAM_KINDS; kind++) {
        if (!p->block[kind]) {
            TDO_TRY(tdo_memory_new(p->count[kind], &p->block[kind]));
        }
    }
    for (int64_t i = 0, drawn = 0; i < p->entries; i++) {
        start_values(&p->entry[i], drawn, seed, tdo_params_values(p, i));
        drawn += p->entry[i].init != TDO_INIT_VALUE;
    }
    return TDO_OK;
}

float *tdo_params_block(const tdo_params *p, enum tdo_param_kind kind)
{
    return p->block[kind];
}

float *tdo_params_values(const tdo_params *p, int64_t index)
{
    const struct tdo_param *e = tdo_params_at(p, index);
    return p->block[e->kind] ? p->block[e->kind] + e->offset : NULL;
}

const float *tdo_params_for_plan(const void *context, int64_t index)
{
    return tdo_params_values(context, index);
}

tdo_err tdo_params_check_finite(const tdo_params *p)
{
    for (int64_t i = 0; i < p->entries; i++) {
        const float *v = tdo_params_values(p, i);
        for (int64_t k = 0; k < p->entry[i].count; k++) {
            if (!isfinite(v[k])) {
                return TDO_FAIL(TDO_ERR_NUMERIC, "parameter %s holds %g at element %lld",
                                p->entry[i].name, (double)v[k], (long long)k);
            }
        }
    }
    return TDO_OK;
}
