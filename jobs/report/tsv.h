#ifndef TDO_JOBS_REPORT_TSV_H
#define TDO_JOBS_REPORT_TSV_H
/* Reading tab-separated tables line by line: one header line, then rows of as many fields.
 *
 * Columns are found by name, so tables that others wrote with more columns, or fewer at the end,
 * are read as well. Every error names file and line. */
#include <stdbool.h>
#include <stdint.h>

#include "nn/base/error.h"

enum { TDO_TSV_COLUMNS = 64 };

struct tdo_tsv {
    const char *path; /* borrowed */
    char *text, *next;
    int64_t line; /* of the row that is held, 1 is the header */
    int columns;
    const char *name[TDO_TSV_COLUMNS];
    const char *field[TDO_TSV_COLUMNS]; /* of the row; good until the next one */
};

/* Read the file and its header. Errors: TDO_ERR_FILE, TDO_ERR_FORMAT for a zero byte, no header,
 * or too many columns. Owner: caller, tdo_tsv_free, also after an error. */
TDO_MUST tdo_err tdo_tsv_open(const char *path, struct tdo_tsv *t);
/* The number of a column; -1 if there is none. */
int tdo_tsv_column(const struct tdo_tsv *t, const char *name);
/* The same; a column that is missing is an error. */
TDO_MUST tdo_err tdo_tsv_need(const struct tdo_tsv *t, const char *name, int *column);
/* Hold the next row; *more is false behind the last one. */
TDO_MUST tdo_err tdo_tsv_next(struct tdo_tsv *t, bool *more);
/* A field of the row as a number, within [low, high]. */
TDO_MUST tdo_err tdo_tsv_int(const struct tdo_tsv *t, int column, int64_t low, int64_t high,
                             int64_t *value);
TDO_MUST tdo_err tdo_tsv_real(const struct tdo_tsv *t, int column, double low, double high,
                              double *value);
void tdo_tsv_free(struct tdo_tsv *t);

#endif
