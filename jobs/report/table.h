#ifndef TDO_JOBS_REPORT_TABLE_H
#define TDO_JOBS_REPORT_TABLE_H
/* A table of short texts, filled cell by cell and printed twice: as Markdown whose columns line
 * up, without those that hold nothing but `-`, and as TSV with all.
 *
 * Setters that fail do nothing and leave the failure to be reported when the table is printed. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "nn/base/error.h"

typedef struct tdo_table tdo_table;

/* Owner: caller, tdo_table_free. */
TDO_MUST tdo_err tdo_table_new(tdo_table **out);
void tdo_table_free(tdo_table **t); /* NULL is fine */

/* One more column, before the first cell; numbers stand on the right. */
void tdo_table_column(tdo_table *t, bool number, const char *format, ...) TDO_PRINTF(3, 4);
/* The next cell, row by row; no text becomes `-`. */
void tdo_table_cell(tdo_table *t, const char *format, ...) TDO_PRINTF(2, 3);
/* 100 part / whole, with two decimals; `-` of nothing. */
void tdo_table_percent(tdo_table *t, double part, double whole);

int64_t tdo_table_rows(const tdo_table *t);

/* Errors: TDO_ERR_MEMORY; TDO_ERR_BUG for a row that is not full. */
TDO_MUST tdo_err tdo_table_markdown(const tdo_table *t, FILE *to);
TDO_MUST tdo_err tdo_table_tsv(const tdo_table *t, FILE *to);

/* A text as Markdown shows it, without a meaning of its own. */
void tdo_table_escape(FILE *to, const char *text);

#endif
