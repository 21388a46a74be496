#ifndef TDO_BASE_CONFIG_H
#define TDO_BASE_CONFIG_H
/* Config: the values of one run, over an option table (options.h).
 *
 * A libconfig file and `key=value` arguments both go through the table; an unknown key is an
 * error that suggests the nearest, a value out of range one that names key, range and unit.
 * Nothing else in testudo reads configuration; jobs fetch values here and hand typed structs
 * on.
 *
 * Keys of list items are written `defense.0.sigma`; the argument `defense=gaussian` replaces
 * the list by one row with defaults (`defense=gaussian,brelu` by two), `defense=` empties it. A
 * config file may hold keys of several jobs: those of other jobs are checked, then ignored.
 *
 * Every value is checked and resolved when it is read, so a typed look-up cannot fail. Numbers
 * must be finite; a real number may be written as a quotient, "8/255" in a file. A whole number may
 * be written 1e5; libconfig keeps 32 bits of an integer
 * without an L behind it, so a larger one without it is refused. */
#include <stdbool.h>
#include <stdint.h>

#include "nn/base/error.h"
#include "nn/base/json.h"
#include "nn/base/options.h"

typedef struct tdo_config tdo_config;

/* An empty config over a schema (borrowed until free). Owner: caller. Errors: TDO_ERR_BUG
 * naming the key when a table contradicts itself: min above max, a default that its own row
 * refuses, a key given twice, a row's option called `name`. */
TDO_MUST tdo_err tdo_config_new(const struct tdo_schema *schema, tdo_config **out);
/* Read a libconfig file; before the arguments, which win over it. After an error here or in
 * tdo_config_set the config is good for nothing but tdo_config_free.
 * Errors: TDO_ERR_FILE, TDO_ERR_CONFIG naming file, line and key. */
TDO_MUST tdo_err tdo_config_load(tdo_config *c, const char *path);
/* Take one `key=value` argument; later ones win, all win over the file. Errors: TDO_ERR_USAGE
 * if it is none, TDO_ERR_CONFIG naming the key. */
TDO_MUST tdo_err tdo_config_set(tdo_config *c, const char *argument);
/* All required keys of these jobs are there, and of the rows in their lists? Errors:
 * TDO_ERR_CONFIG naming the first missing. */
TDO_MUST tdo_err tdo_config_check(const tdo_config *c, unsigned jobs);
void tdo_config_free(tdo_config **c);

/* Values: what was given, else the default. The key must stand in the schema with that type,
 * and a key without a default must have been given (tdo_config_check sees to it); anything
 * else is a bug and aborts. In list rows: "defense.0.sigma". Texts, also those of choices, are
 * borrowed from the config. */
int64_t tdo_config_int(const tdo_config *c, const char *key);
double tdo_config_real(const tdo_config *c, const char *key);
bool tdo_config_bool(const tdo_config *c, const char *key);
const char *tdo_config_text(const tdo_config *c, const char *key);
int tdo_config_choice(const tdo_config *c, const char *key); /* index into choices */
/* An option of a row's table as a number, a choice as its index; 0 for a text or a list. */
double tdo_config_number(const tdo_config *c, const char *key, const struct tdo_option *o);
/* Up to `room` numbers into out; returns how many there are. */
int tdo_config_reals(const tdo_config *c, const char *key, double *out, int room);
/* Did the user give it (file or argument)? An option or a list. */
bool tdo_config_given(const tdo_config *c, const char *key);
/* Rows of a list, in order. row_index: which registry row (the i of name(i)). */
int tdo_config_rows(const tdo_config *c, const char *key);
int tdo_config_row_index(const tdo_config *c, const char *key, int row);

/* The resolved config as JSON, nested by the dots of the keys; only keys of these jobs,
 * without those that have no value. A list is an array of objects: `name`, then every option
 * of the row. Owner: caller. */
TDO_MUST tdo_err tdo_config_json(const tdo_config *c, unsigned jobs, tdo_json **out);

#endif
