#ifndef TDO_BASE_CONFIG_IMPL_H
#define TDO_BASE_CONFIG_IMPL_H
/* What options.c, config.c and config_file.c share, and nobody else includes: the values behind
 * an option table (options.c fills and checks them), and the config that is made of them. */
#include <stdbool.h>
#include <stdint.h>

#include "nn/base/config.h"
#include "nn/base/memory.h"
#include "nn/base/options.h"

enum {
    TDO_MAX_KEY = 256,  /* bytes of a full key */
    TDO_MAX_NUMBER = 64 /* bytes of a number in text */
};

struct tdo_value {
    const char *text;    /* as given, or the default; NULL while a required one is missing */
    int64_t integer;     /* of an INT; 0 or 1 of a BOOL; index of a CHOICE */
    double real;         /* of a REAL */
    const double *reals; /* [count] of REALS */
    int count;
    bool given;
};

struct tdo_scope {
    const struct tdo_option *table;
    int count;
    struct tdo_value *values; /* [count] */
    const char *prefix;       /* of the full keys: "" or "defense.0." */
};

struct tdo_config_row {
    int index; /* in the registry */
    struct tdo_scope *scope;
};

struct tdo_config_list {
    const struct tdo_option_list *about;
    int count;
    struct tdo_config_row *rows; /* [count] */
    bool given;
};

struct tdo_config {
    tdo_arena *arena;
    struct tdo_scope *top;
    int lists;
    struct tdo_config_list *list; /* [lists] */
};

/* ---- options.c ---- */

/* The shortest of the usual forms that reads back to the same number. */
struct tdo_text tdo_option_number(double x);
/* TDO_ERR_CONFIG: at `where`, `key` is `shown`, which is not what the option takes. */
TDO_MUST tdo_err tdo_option_fail(const char *where, const char *key, const char *shown,
                                 const struct tdo_option *o);

/* A scope in which every option has its default. */
TDO_MUST tdo_err tdo_scope_new(tdo_arena *arena, const struct tdo_option *table,
                               const char *prefix, struct tdo_scope **out);
/* Position of a key in a scope, -1 if it is not there. */
int tdo_scope_find(const struct tdo_scope *s, const char *key);
/* The one way in for values, whatever their source: parse and keep a copy of `text`. */
TDO_MUST tdo_err tdo_scope_set(tdo_arena *arena, struct tdo_scope *s, int i, const char *text,
                               const char *where);

/* ---- config.c ---- */

/* The list of that key, NULL if there is none. */
struct tdo_config_list *tdo_config_find_list(const tdo_config *c, const char *key);
/* Does some key start with this group? */
bool tdo_config_is_group(const tdo_config *c, const char *key);

/* Room for `count` rows that the caller fills; they become the list by tdo_config_keep_rows. */
TDO_MUST tdo_err tdo_config_new_rows(tdo_config *c, int count, struct tdo_config_row **rows);
/* The registry row of that name. */
TDO_MUST tdo_err tdo_config_find_name(const struct tdo_config_list *list, const char *name,
                                      const char *where, int *index);
/* Registry row i of a list as a scope with defaults, at position `at` of the list. */
TDO_MUST tdo_err tdo_config_row_new(tdo_config *c, const struct tdo_option_list *about, int i,
                                    int at, struct tdo_config_row *out);
void tdo_config_keep_rows(struct tdo_config_list *list, struct tdo_config_row *rows, int count);

/* TDO_ERR_CONFIG for a key that the schema does not hold / that its row does not, with the
 * nearest as a suggestion. */
TDO_MUST tdo_err tdo_config_fail_unknown(const tdo_config *c, const char *where,
                                         const char *key);
TDO_MUST tdo_err tdo_config_fail_in_row(const struct tdo_config_list *list,
                                        const struct tdo_config_row *row, const char *where,
                                        const char *option);

#endif
