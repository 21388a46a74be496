/* Tables as Markdown and TSV. See table.h. */
#include "jobs/report/table.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/page.h"
#include "nn/base/memory.h"

enum { MOST_COLUMNS = 256, MOST_TEXT = 1024 };
#define SPECIAL "\\`*<>|[]" /* an underscore inside a word has no meaning */

struct tdo_table {
    tdo_arena *arena;
    int columns;
    int64_t cells, room;
    bool number[MOST_COLUMNS];
    const char *head[MOST_COLUMNS];
    const char **cell; /* [cells], row by row */
    tdo_err err;
};

tdo_err tdo_table_new(tdo_table **out)
{
    tdo_err err = tdo_memory_new(1, out);
    if (err == TDO_OK) {
        err = tdo_arena_new(&(*out)->arena);
    }
    if (err != TDO_OK) {
        tdo_table_free(out);
    }
    return err;
}

void tdo_table_free(tdo_table **t)
{
    if (*t) {
        tdo_arena_free(&(*t)->arena);
        tdo_memory_free(&(*t)->cell);
    }
    tdo_memory_free(t);
}

static const char *keep(tdo_table *t, const char *format, va_list args)
{
    char text[MOST_TEXT];
    vsnprintf(text, sizeof text, format, args);
    const char *copy = tdo_arena_string(t->arena, *text ? text : "-");
    if (!copy) {
        t->err = TDO_ERR_MEMORY;
    }
    return copy;
}

void tdo_table_column(tdo_table *t, bool number, const char *format, ...)
{
    if (t->columns == MOST_COLUMNS || t->cells > 0) {
        t->err = t->cells > 0 ? TDO_FAIL(TDO_ERR_BUG, "a column behind the first cell")
                              : TDO_FAIL(TDO_ERR_CONFIG,
                                         "a table of more than %d columns: fewer run "
                                         "directories or a shorter grid expected",
                                         MOST_COLUMNS);
        return;
    }
    va_list args;
    va_start(args, format);
    t->head[t->columns] = keep(t, format, args);
    va_end(args);
    t->number[t->columns++] = number;
}

void tdo_table_cell(tdo_table *t, const char *format, ...)
{
    if (t->cells == t->room && t->err == TDO_OK) {
        t->err = tdo_memory_grow(t->room, t->room + 1024, &t->cell);
        t->room += t->err == TDO_OK ? 1024 : 0;
    }
    if (t->err != TDO_OK) {
        return;
    }
    va_list args;
    va_start(args, format);
    t->cell[t->cells++] = keep(t, format, args);
    va_end(args);
}

void tdo_table_percent(tdo_table *t, double part, double whole)
{
    if (whole > 0) {
        tdo_table_cell(t, "%.2f", 100 * part / whole);
    } else {
        tdo_table_cell(t, "-");
    }
}

int64_t tdo_table_rows(const tdo_table *t)
{
    return t->columns > 0 ? t->cells / t->columns : 0;
}

static tdo_err check(const tdo_table *t)
{
    if (t->err == TDO_OK && t->cells != t->columns * tdo_table_rows(t)) {
        return TDO_FAIL(TDO_ERR_BUG, "a table's last row is not full");
    }
    return t->err;
}

/* ---- Markdown ----------------------------------------------------------------------------------- */

void tdo_table_escape(FILE *to, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (strchr(SPECIAL, *c)) {
            fputc('\\', to);
        }
        fputc((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c, to);
    }
}

/* What a text takes on the screen, once escaped: a character is a byte that does not go on one. */
static int width_of(const char *text)
{
    int width = 0;
    for (const char *c = text; *c; c++) {
        width += ((unsigned char)*c & 0xc0) != 0x80;
        width += strchr(SPECIAL, *c) != NULL;
    }
    return width;
}

/* 0: nothing is known in this column. */
static int width_of_column(const tdo_table *t, int column)
{
    bool any = column == 0 || t->cells == 0;
    for (int64_t i = column; !any && i < t->cells; i += t->columns) {
        any = strcmp(t->cell[i], "-") != 0;
    }
    if (!any) {
        return 0;
    }
    int width = width_of(t->head[column]);
    width = width < 3 ? 3 : width;
    for (int64_t i = column; i < t->cells; i += t->columns) {
        const int w = width_of(t->cell[i]);
        width = w > width ? w : width;
    }
    return width;
}

/* Width 0: the column is left out. */
static void print_row(const tdo_table *t, const char *const *cell, const int *width, FILE *to)
{
    for (int k = 0; k < t->columns; k++) {
        if (width[k] == 0) {
            continue;
        }
        const int pad = width[k] - width_of(cell[k]);
        fprintf(to, "%s%*s", k ? " | " : "| ", t->number[k] ? pad : 0, "");
        tdo_table_escape(to, cell[k]);
        fprintf(to, "%*s", t->number[k] ? 0 : pad, "");
    }
    fprintf(to, " |\n");
}

static void print_rule(const tdo_table *t, const int *width, FILE *to)
{
    for (int k = 0; k < t->columns; k++) {
        if (width[k] == 0) {
            continue;
        }
        fputs(k ? " | " : "| ", to);
        for (int i = 1; i < width[k]; i++) {
            fputc('-', to);
        }
        fputc(t->number[k] ? ':' : '-', to);
    }
    fprintf(to, " |\n");
}

tdo_err tdo_table_markdown(const tdo_table *t, FILE *to)
{
    int width[MOST_COLUMNS];
    TDO_TRY(check(t));
    for (int k = 0; k < t->columns; k++) {
        width[k] = width_of_column(t, k);
    }
    print_row(t, t->head, width, to);
    print_rule(t, width, to);
    for (int64_t i = 0; i < t->cells; i += t->columns) {
        print_row(t, t->cell + i, width, to);
    }
    fputc('\n', to);
    return TDO_OK;
}

/* ---- TSV ---------------------------------------------------------------------------------------- */

tdo_err tdo_table_tsv(const tdo_table *t, FILE *to)
{
    TDO_TRY(check(t));
    for (int k = 0; k < t->columns; k++) {
        fputs(k ? "\t" : "", to);
        tdo_page_name(to, t->head[k]);
    }
    fputc('\n', to);
    for (int64_t i = 0; i < t->cells; i++) {
        tdo_page_name(to, t->cell[i]);
        fputc((i + 1) % t->columns ? '\t' : '\n', to);
    }
    return TDO_OK;
}
