#ifndef TDO_BASE_JSON_H
#define TDO_BASE_JSON_H
/* JSON values for run.json, metrics.jsonl and the headers of model files.
 *
 * A tdo_json owns a tree. Setters on a NULL or failed value do nothing and leave the failure to
 * be reported by tdo_json_text, so that a record can be filled in line by line. Key order is
 * insertion order; a key that is set again keeps its place. A view (tdo_json_get, tdo_json_at)
 * shares the tree: it may be read, filled and freed in any order with the others, by one thread
 * at a time. The only file that includes jansson.h is json.c. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/base/error.h"

typedef struct tdo_json tdo_json;

/* An empty object or array. Owner: caller. Errors: TDO_ERR_MEMORY. */
TDO_MUST tdo_err tdo_json_object(tdo_json **out);
TDO_MUST tdo_err tdo_json_array(tdo_json **out);
/* Parse text of `length` bytes, an object or an array; `name` (a file) is for the message.
 * Owner: caller. Errors: TDO_ERR_FORMAT with line and column. Duplicate keys are refused, and
 * so are integers beyond 64 bits and texts that are not UTF-8. */
TDO_MUST tdo_err tdo_json_parse(const char *text, size_t length, const char *name,
                                tdo_json **out);
void tdo_json_free(tdo_json **j); /* NULL is fine */

void tdo_json_set_text(tdo_json *j, const char *key, const char *value); /* NULL becomes null */
void tdo_json_set_int(tdo_json *j, const char *key, int64_t value);
void tdo_json_set_hash(tdo_json *j, const char *key,
                       uint64_t value);                             /* 16 hex digits, a text */
void tdo_json_set_real(tdo_json *j, const char *key, double value); /* NaN, inf: null */
void tdo_json_set_bool(tdo_json *j, const char *key, bool value);
/* Moves *value into j and sets it to NULL; views of it stay valid. A NULL or failed *value
 * makes j fail. */
void tdo_json_set(tdo_json *j, const char *key, tdo_json **value);
void tdo_json_add_int(tdo_json *array, int64_t value);
void tdo_json_add_real(tdo_json *array, double value); /* NaN, inf: null */
void tdo_json_add_text(tdo_json *array, const char *value);
void tdo_json_add(tdo_json *array, tdo_json **value); /* moves, as tdo_json_set */

void tdo_json_remove(tdo_json *j, const char *key); /* nothing if it is not there */

/* Look-ups by key; false when absent or of another type (then *value is untouched). Texts are
 * borrowed until the tree is freed or the key is set again. An integer is also a real, a real
 * is never an integer. */
bool tdo_json_get_text(const tdo_json *j, const char *key, const char **value);
bool tdo_json_get_int(const tdo_json *j, const char *key, int64_t *value);
bool tdo_json_get_real(const tdo_json *j, const char *key, double *value);
bool tdo_json_get_bool(const tdo_json *j, const char *key, bool *value);
bool tdo_json_has(const tdo_json *j, const char *key); /* of whatever type, null too */
/* A sub-value as a new view; owner: caller (frees the view, not the tree; the tree stays
 * alive). false also when memory is short. */
bool tdo_json_get(const tdo_json *j, const char *key, tdo_json **value);
int64_t tdo_json_size(const tdo_json *j); /* members of an object or array, else 0 */
bool tdo_json_at(const tdo_json *array, int64_t i, tdo_json **value);
bool tdo_json_key(const tdo_json *object, int64_t i, const char **key); /* in insertion order */
bool tdo_json_is_object(const tdo_json *j);
bool tdo_json_is_array(const tdo_json *j);
/* The value itself as a number or text; false when it is of another type. */
bool tdo_json_int(const tdo_json *j, int64_t *value);
bool tdo_json_real(const tdo_json *j, double *value);
bool tdo_json_text_of(const tdo_json *j, const char **value);

/* TDO_OK, or what went wrong first in this tree: a setter that failed, or a look-up that was short
 * of memory and so looked like an absent key. */
TDO_MUST tdo_err tdo_json_check(const tdo_json *j);

/* The text, on one line (indent 0) or indented (2 for files), without a newline at its end.
 * Owner: caller, tdo_memory_free. Reals are printed with 17 significant digits, so they come
 * back bit-equal. Errors: TDO_ERR_MEMORY; TDO_ERR_FORMAT for what a setter could not store,
 * with its key (a text that is not UTF-8, a key set on an array). */
TDO_MUST tdo_err tdo_json_text(const tdo_json *j, int indent, char **text);

#endif
