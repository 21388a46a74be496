#ifndef TDO_BASE_OPTIONS_H
#define TDO_BASE_OPTIONS_H
/* Options: one table is the master copy of every key.
 *
 * A row says what a key takes (type, range, choices, unit), its default and what it is for. The
 * config (config.h) takes files and arguments through the table; errors, help, `list options`
 * and the resolved config in run.json are printed from it. A new option is a new row.
 *
 * A list (`defense = ( { name = "gaussian"; sigma = 0.5; }, ... )`) holds rows of a registry;
 * each registry row brings its own option table. */
#include <stdio.h>

enum tdo_option_type {
    TDO_OPTION_INT,
    TDO_OPTION_REAL,
    TDO_OPTION_BOOL,   /* true/false, 1/0, yes/no, on/off */
    TDO_OPTION_CHOICE, /* one of `choices` */
    TDO_OPTION_TEXT,   /* any, also none */
    TDO_OPTION_REALS   /* (1, 2.5), [1.5, 2.5] or 1 in a file; 1,2.5 as an argument */
};

struct tdo_option {
    const char *key; /* "train.batch"; in a row's table "sigma"; NULL ends a table */
    enum tdo_option_type type;
    double min, max;     /* of numbers, both included; -HUGE_VAL, HUGE_VAL: no limit */
    const char *choices; /* "rounded|real" */
    const char *value;   /* the default as text; NULL if it must be given by the user */
    const char *unit;    /* "pixels in 0..1", "rows", "seconds"; NULL if it has none */
    const char *help;    /* one sentence */
    unsigned jobs;       /* bits of the jobs that read it; 0 in a row's table */
    unsigned optional;   /* of these, the jobs that can do without a value; with value NULL */
};

/* A key that holds a list of registry rows. */
struct tdo_option_list {
    const char *key;  /* "defense"; NULL ends a table */
    const char *help; /* one sentence */
    unsigned jobs;
    /* Name and options (NULL-key-ended, or NULL for none) of registry row i; the name is NULL
     * past the end. */
    const char *(*name)(int i);
    const struct tdo_option *(*options)(int i);
};

struct tdo_schema {
    const struct tdo_option *options;
    const struct tdo_option_list *lists;
};

/* A short text by value, for messages. */
struct tdo_text {
    char s[512];
};

/* The place of a key in a table, which may be NULL; -1 if it is not there. */
int tdo_option_at(const struct tdo_option *table, const char *key);

/* What an option takes, for messages and help: "an integer from 1 to 64 (rows)". */
struct tdo_text tdo_option_expected(const struct tdo_option *o);
/* Its default for these jobs (0: in a row's table) as help shows it: "required" where the user
 * must give it, "-" for none. */
const char *tdo_option_default(const struct tdo_option *o, unsigned jobs);

/* Print the option table for these jobs: key, default, what is expected (range, unit), help;
 * one section for each prefix, then the lists with the names of their rows. */
void tdo_option_print(FILE *to, const struct tdo_schema *schema, unsigned jobs);
void tdo_option_print_rows(FILE *to, const struct tdo_option *table, const char *indent);

/* The nearest of `count` candidates by edit distance (two swapped letters count once), or NULL
 * if none is near; for suggestions. A candidate that ends like the word behind its last dot is
 * near: `batch` finds `train.batch`. */
const char *tdo_option_nearest(const char *word,
                               const char *(*candidate)(const void *ctx, int i),
                               const void *ctx, int count);

#endif
