/* The table of formats, and the checks that all of them share. See formats.h. */
#include "jobs/formats/formats.h"

#include <string.h>

#define FORMAT(id) extern const struct tdo_format tdo_format_##id;
#include "jobs/formats/formats.def"
#undef FORMAT

static const struct tdo_format *const formats[] = {
#define FORMAT(id) &tdo_format_##id,
#include "jobs/formats/formats.def"
#undef FORMAT
};

enum { FORMATS = sizeof formats / sizeof formats[0] };

const struct tdo_format *tdo_format_at(int i)
{
    return i >= 0 && i < FORMATS ? formats[i] : NULL;
}

const struct tdo_format *tdo_format_find(const char *name)
{
    for (int i = 0; i < FORMATS; i++) {
        if (strcmp(formats[i]->name, name) == 0) {
            return formats[i];
        }
    }
    return NULL;
}

tdo_err tdo_source_open(const struct tdo_format *format, const struct tdo_format_args *args,
                        tdo_source **out)
{
    *out = NULL;
    if (!format->procedural && (!args->from || !args->from[0])) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "import.from is missing: format %s reads a directory of files",
                        format->name);
    }
    if (args->train < 0 || args->test < 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "sizes %lld and %lld: a set cannot be negative",
                        (long long)args->train, (long long)args->test);
    }
    TDO_TRY(format->open(args, out));
    (*out)->format = format;
    return TDO_OK;
}

void tdo_source_share(const tdo_source *s, const char **bytes, int64_t *count)
{
    *bytes = NULL;
    *count = 0;
    if (s->format->share) {
        s->format->share(s, bytes, count);
    }
}

tdo_err tdo_source_join(const struct tdo_format *format, const struct tdo_format_args *args,
                        const struct tdo_source_info *info, const char *bytes, int64_t count,
                        tdo_source **out)
{
    *out = NULL;
    if (!format->join) {
        return tdo_source_open(format, args, out);
    }
    TDO_TRY(format->join(args, bytes, count, out));
    (*out)->format = format;
    (*out)->info = *info;
    return TDO_OK;
}

tdo_err tdo_source_read(tdo_source *s, enum tdo_source_split split, int64_t first, int64_t n,
                        void *x, int32_t *y)
{
    TDO_ASSERT(split == TDO_SOURCE_TRAIN || split == TDO_SOURCE_TEST);
    int64_t rows = s->info.rows[split];
    if (first < 0 || n < 0 || first > rows || n > rows - first) {
        return TDO_FAIL(TDO_ERR_SHAPE, "samples %lld to %lld wanted, the %s split has %lld",
                        (long long)first, (long long)first + (long long)n - 1,
                        split == TDO_SOURCE_TRAIN ? "train" : "test", (long long)rows);
    }
    return n ? s->format->read(s, split, first, n, x, y) : TDO_OK;
}

bool tdo_source_has_files(const tdo_source *s)
{
    return s->format->size != NULL;
}

tdo_err tdo_source_size(tdo_source *s, enum tdo_source_split split, int64_t row, int64_t *bytes)
{
    TDO_ASSERT(s->format->size && row >= 0 && row < s->info.rows[split]);
    return s->format->size(s, split, row, bytes);
}

tdo_err tdo_source_file(tdo_source *s, enum tdo_source_split split, int64_t row, int64_t bytes,
                        void *x, uint8_t *view, int32_t *y)
{
    TDO_ASSERT(s->format->file && row >= 0 && row < s->info.rows[split]);
    return s->format->file(s, split, row, bytes, x, view, y);
}

void tdo_source_close(tdo_source **s)
{
    if (*s) {
        (*s)->format->close(s);
    }
}
