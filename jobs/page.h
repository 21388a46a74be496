#ifndef TDO_JOBS_PAGE_H
#define TDO_JOBS_PAGE_H
/* Tables of results: written to memory first, then to the run directory in one piece.
 *
 * All tables are tab-separated with one header line; what does not apply is `-`. */
#include <stdio.h>

#include "jobs/run.h"

/* Text that grows; its memory is the C library's. */
struct tdo_page {
    FILE *to;
    char *text;
    size_t size;
};

/* Errors: TDO_ERR_MEMORY. Owner: caller, tdo_page_save. */
TDO_MUST tdo_err tdo_page_open(struct tdo_page *p);

/* Close the page; if `err` (of writing to it) is TDO_OK, make it the file `name` of the run
 * directory. Returns err, or what went wrong. Call on one rank. */
TDO_MUST tdo_err tdo_page_save(struct tdo_page *p, const struct tdo_run *run, const char *name,
                               tdo_err err);

/* Close the page and take its text. Errors: TDO_ERR_MEMORY. Owner of *text: caller, tdo_memory_free. */
TDO_MUST tdo_err tdo_page_take(struct tdo_page *p, char **text);

/* Vote counts, with commas. Shapes: counts [classes]. */
void tdo_page_counts(FILE *to, const uint64_t *counts, int classes);

/* A name as one field: control characters and backslashes as \xNN; NULL as `-`. */
void tdo_page_name(FILE *to, const char *name);

#endif
