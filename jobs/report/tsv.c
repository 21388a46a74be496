/* Tab-separated tables, line by line. See tsv.h. */
#include "jobs/report/tsv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nn/base/file.h"
#include "nn/base/memory.h"

enum { MOST_BYTES = 1 << 30 };

/* Cut the line that begins at t->next into fields; false when there is none. */
static tdo_err split(struct tdo_tsv *t, const char **field, int *fields, bool *more)
{
    char *at = t->next, *end = strchr(at, '\n');
    *fields = 0;
    *more = *at != '\0';
    if (!*more) {
        return TDO_OK;
    }
    t->line++;
    if (!end) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s:%" PRId64 ": the line has no end: cut off?",
                        t->path, t->line);
    }
    *end = '\0';
    t->next = end + 1;
    if (end > at && end[-1] == '\r') {
        end[-1] = '\0';
    }
    for (char *tab = at; tab; at = tab + 1) {
        if (*fields == TDO_TSV_COLUMNS) {
            return TDO_FAIL(TDO_ERR_FORMAT, "%s:%" PRId64 ": more than %d columns", t->path,
                            t->line, TDO_TSV_COLUMNS);
        }
        field[(*fields)++] = at;
        tab = strchr(at, '\t');
        if (!tab) {
            break;
        }
        *tab = '\0';
    }
    return TDO_OK;
}

tdo_err tdo_tsv_open(const char *path, struct tdo_tsv *t)
{
    int64_t bytes = 0;
    bool more = false;
    *t = (struct tdo_tsv){.path = path};
    TDO_TRY(tdo_file_read(path, MOST_BYTES, &t->text, &bytes));
    if ((int64_t)strlen(t->text) != bytes) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: a zero byte at offset %zu: a text expected", path,
                        strlen(t->text));
    }
    t->next = t->text;
    TDO_TRY(split(t, t->name, &t->columns, &more));
    if (!more) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: empty: a table with a header line expected", path);
    }
    return TDO_OK;
}

int tdo_tsv_column(const struct tdo_tsv *t, const char *name)
{
    for (int i = 0; i < t->columns; i++) {
        if (strcmp(t->name[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

tdo_err tdo_tsv_need(const struct tdo_tsv *t, const char *name, int *column)
{
    *column = tdo_tsv_column(t, name);
    if (*column < 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s:1: no column `%s` in the header", t->path, name);
    }
    return TDO_OK;
}

tdo_err tdo_tsv_next(struct tdo_tsv *t, bool *more)
{
    int fields = 0;
    TDO_TRY(split(t, t->field, &fields, more));
    if (*more && fields != t->columns) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s:%" PRId64 ": %d columns, the header has %d",
                        t->path, t->line, fields, t->columns);
    }
    return TDO_OK;
}

static tdo_err bad(const struct tdo_tsv *t, int column, const char *expected)
{
    return TDO_FAIL(TDO_ERR_FORMAT, "%s:%" PRId64 ": %s = '%.40s': %s expected", t->path,
                    t->line, t->name[column], t->field[column], expected);
}

tdo_err tdo_tsv_int(const struct tdo_tsv *t, int column, int64_t low, int64_t high,
                    int64_t *value)
{
    char *end = NULL;
    const char *text = t->field[column];
    errno = 0;
    const long long v = strtoll(text, &end, 10);
    if (!strchr("-0123456789", *text) || end == text || *end || errno) {
        return bad(t, column, "an integer");
    }
    if (v < low || v > high) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s:%" PRId64 ": %s = %lld: from %" PRId64 " to %" PRId64 " expected",
                        t->path, t->line, t->name[column], v, low, high);
    }
    *value = v;
    return TDO_OK;
}

tdo_err tdo_tsv_real(const struct tdo_tsv *t, int column, double low, double high,
                     double *value)
{
    char *end = NULL;
    const char *text = t->field[column];
    const double v = strtod(text, &end);
    if (!strchr("-.0123456789", *text) || end == text || *end) {
        return bad(t, column, "a number");
    }
    if (!(v >= low && v <= high)) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s:%" PRId64 ": %s = %g: from %g to %g expected",
                        t->path, t->line, t->name[column], v, low, high);
    }
    *value = v;
    return TDO_OK;
}

void tdo_tsv_free(struct tdo_tsv *t)
{
    tdo_memory_free(&t->text);
}
