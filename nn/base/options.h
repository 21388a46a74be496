#ifndef TDO_BASE_OPTIONS_H
#define TDO_BASE_OPTIONS_H
/* Options: one table is the master copy of every key.
 *
 * A libconfig file and `key=value` arguments both go through the table; an unknown key is an
 * error that suggests the nearest, a value out of range one that names key, range and unit. Help,
 * `list options` and the resolved config in run.json are printed from the table as well. Nothing
 * else in testudo reads configuration; jobs fetch values here and hand typed structs on.
 *
 * A list (`defense = ( { name = "gaussian"; sigma = 0.5; }, ... )`) holds rows of a registry; each
 * registry row brings its own option table. Keys of list items are written `defense.0.sigma`;
 * the argument `defense=gaussian` replaces the list by one row with defaults (`defense=gaussian,brelu`
 * by two), `defense=` empties it. A config file may hold keys of several jobs: those of other jobs
 * are checked, then ignored.
 *
 * Every value is checked and resolved when it is read, so a typed look-up cannot fail. Numbers
 * must be finite. A whole number may be written 1e5; libconfig keeps 32 bits of an integer without
 * an L behind it, so a larger one without it is refused. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "nn/base/error.h"
#include "nn/base/json.h"

enum tdo_option_type {
    TDO_OPTION_INT,
    TDO_OPTION_REAL,
    TDO_OPTION_BOOL,   /* true/false, 1/0, yes/no, on/off */
    TDO_OPTION_CHOICE, /* one of `choices` */
    TDO_OPTION_TEXT,
    TDO_OPTION_REALS   /* a comma-separated list on the command line, an array or number in a file */
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
};

/* A key that holds a list of registry rows. */
struct tdo_option_list {
    const char *key;  /* "defense"; NULL ends a table */
    const char *help; /* one sentence */
    unsigned jobs;
    /* Name and options (NULL-key-ended, or NULL for none) of registry row i; name NULL past the end. */
    const char *(*name)(int i);
    const struct tdo_option *(*options)(int i);
};

struct tdo_schema {
    const struct tdo_option *options;
    const struct tdo_option_list *lists;
};

typedef struct tdo_config tdo_config;

/* An empty config over a schema (borrowed until free). Owner: caller. Errors: TDO_ERR_BUG naming
 * the key when a table contradicts itself: min above max, a default that its own row refuses, a key
 * given twice, a row's option called `name`. */
TDO_MUST tdo_err tdo_config_new(const struct tdo_schema *schema, tdo_config **out);
/* Read a libconfig file; before the arguments, which win over it. After an error here or in
 * tdo_config_set the config is good for nothing but tdo_config_free.
 * Errors: TDO_ERR_FILE, TDO_ERR_CONFIG naming file, line and key. */
TDO_MUST tdo_err tdo_config_load(tdo_config *c, const char *path);
/* Take one `key=value` argument; later ones win, all win over the file. Errors: TDO_ERR_USAGE if
 * it is none, TDO_ERR_CONFIG naming the key. */
TDO_MUST tdo_err tdo_config_set(tdo_config *c, const char *argument);
/* All required keys of these jobs are there, and of the rows in their lists? Errors:
 * TDO_ERR_CONFIG naming the first missing. */
TDO_MUST tdo_err tdo_config_check(const tdo_config *c, unsigned jobs);
void tdo_config_free(tdo_config **c);

/* Values: what was given, else the default. The key must stand in the schema with that type, and
 * a key without a default must have been given (tdo_config_check sees to it); anything else is a
 * bug and aborts. In list rows: "defense.0.sigma". Texts, also those of choices, are borrowed from
 * the config. */
int64_t tdo_config_int(const tdo_config *c, const char *key);
double tdo_config_real(const tdo_config *c, const char *key);
bool tdo_config_bool(const tdo_config *c, const char *key);
const char *tdo_config_text(const tdo_config *c, const char *key);
int tdo_config_choice(const tdo_config *c, const char *key); /* index into choices */
/* Up to `room` numbers into out; returns how many there are. */
int tdo_config_reals(const tdo_config *c, const char *key, double *out, int room);
/* Did the user give it (file or argument)? An option or a list. */
bool tdo_config_given(const tdo_config *c, const char *key);
/* Rows of a list, in order. row_index: which registry row (the i of name(i)). */
int tdo_config_rows(const tdo_config *c, const char *key);
int tdo_config_row_index(const tdo_config *c, const char *key, int row);

/* The resolved config as JSON, nested by the dots of the keys; only keys of these jobs, without
 * those that have no value. A list is an array of objects: `name`, then every option of the row.
 * Owner: caller. */
TDO_MUST tdo_err tdo_config_json(const tdo_config *c, unsigned jobs, tdo_json **out);

/* Print the option table for these jobs: key, default, what is expected (range, unit), help; one
 * section for each prefix, then the lists with the names of their rows. */
void tdo_option_print(FILE *to, const struct tdo_schema *schema, unsigned jobs);
void tdo_option_print_rows(FILE *to, const struct tdo_option *table, const char *indent);

/* The nearest of `count` candidates by edit distance (two swapped letters count once), or NULL if
 * none is near; for suggestions. A candidate that ends like the word behind its last dot is near:
 * `batch` finds `train.batch`. */
const char *tdo_option_nearest(const char *word, const char *(*candidate)(const void *ctx, int i),
                               const void *ctx, int count);

#endif
