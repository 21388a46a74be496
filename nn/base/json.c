/* JSON by jansson, behind the few calls that testudo needs. See json.h.
 *
 * A tdo_json is a handle: a counted reference to a jansson node, and one to the fault record
 * of its tree. Views of one tree share that record, so whichever handle a setter fails on, the
 * text of the tree reports it. */
#include "nn/base/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/base/memory.h"

/* What went wrong first in a tree. */
struct fault {
    int64_t handles; /* that share this record */
    tdo_err code;
    char key[64];
    const char *why; /* a static sentence */
};

struct tdo_json {
    json_t *node;
    struct fault *fault;
};

/* A handle for `node`, whose reference it takes over (and drops on failure); `fault` is shared,
 * or NULL for a new tree. */
static tdo_err wrap(json_t *node, struct fault *fault, tdo_json **out)
{
    tdo_err err = TDO_OK;
    tdo_json *j = NULL;
    struct fault *fresh = NULL;
    if (!node) {
        TDO_GOTO(TDO_FAIL(TDO_ERR_MEMORY, "out of memory for a JSON value"));
    }
    TDO_GOTO(tdo_memory_new(1, &j));
    if (!fault) {
        TDO_GOTO(tdo_memory_new(1, &fresh));
        fault = fresh;
    }
    fault->handles++;
    j->node = node;
    j->fault = fault;
    *out = j;
    return TDO_OK;
done:
    tdo_memory_free(&j);
    json_decref(node);
    return err;
}

tdo_err tdo_json_object(tdo_json **out)
{
    *out = NULL;
    return wrap(json_object(), NULL, out);
}

tdo_err tdo_json_array(tdo_json **out)
{
    *out = NULL;
    return wrap(json_array(), NULL, out);
}

tdo_err tdo_json_parse(const char *text, size_t length, const char *name, tdo_json **out)
{
    *out = NULL;
    json_error_t e;
    json_t *node = json_loadb(text, length, JSON_REJECT_DUPLICATES, &e);
    if (!node && json_error_code(&e) == json_error_out_of_memory) {
        return TDO_FAIL(TDO_ERR_MEMORY, "%s: out of memory for JSON", name);
    }
    if (!node) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: line %d, column %d: not JSON: %s", name, e.line,
                        e.column, e.text);
    }
    return wrap(node, NULL, out);
}

void tdo_json_free(tdo_json **j)
{
    if (!*j) {
        return;
    }
    json_decref((*j)->node);
    if (--(*j)->fault->handles == 0) {
        tdo_memory_free(&(*j)->fault);
    }
    tdo_memory_free(j);
}

static void fail(const tdo_json *j, tdo_err code, const char *key, const char *why)
{
    if (j->fault->code == TDO_OK) {
        j->fault->code = code;
        j->fault->why = why;
        snprintf(j->fault->key, sizeof j->fault->key, "%s", key);
    }
}

/* Store `value`, whose reference is taken over, under `key`, or behind the others when key is
 * NULL. */
static void put(tdo_json *j, const char *key, json_t *value)
{
    const char *shown = key ? key : "an array item";
    if (!j || j->fault->code != TDO_OK) {
        json_decref(value);
    } else if (!value) {
        fail(j, TDO_ERR_MEMORY, shown, "out of memory");
    } else if (key ? !json_is_object(j->node) : !json_is_array(j->node)) {
        json_decref(value);
        fail(j, TDO_ERR_FORMAT, shown, key ? "set on what is no object" : "added to no array");
    } else if ((key ? json_object_set_new(j->node, key, value)
                    : json_array_append_new(j->node, value)) != 0) {
        fail(j, TDO_ERR_FORMAT, shown, "refused (a key that is not UTF-8, or out of memory)");
    }
}

static void put_text(tdo_json *j, const char *key, const char *value)
{
    if (!j) {
        return;
    }
    json_t *text = value ? json_string(value) : json_null();
    if (!text) {
        fail(j, TDO_ERR_FORMAT, key ? key : "an array item", "not a text in UTF-8");
        return;
    }
    put(j, key, text);
}

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static void put_tree(tdo_json *j, const char *key, tdo_json **value)
{
    tdo_json *v = *value;
    if (j && !v) {
        put(j, key, NULL);
    } else if (j && v->fault->code != TDO_OK) {
        fail(j, v->fault->code, v->fault->key, v->fault->why);
    } else if (j) {
        put(j, key, json_incref(v->node));
    }
    tdo_json_free(value);
}

void tdo_json_set_text(tdo_json *j, const char *key, const char *value)
{
    put_text(j, key, value);
}

void tdo_json_set_hash(tdo_json *j, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    put_text(j, key, text);
}

void tdo_json_set_int(tdo_json *j, const char *key, int64_t value)
{
    put(j, key, json_integer(value));
}

void tdo_json_set_real(tdo_json *j, const char *key, double value)
{
    put(j, key, real_or_null(value));
}

void tdo_json_set_bool(tdo_json *j, const char *key, bool value)
{
    put(j, key, json_boolean(value));
}

void tdo_json_set(tdo_json *j, const char *key, tdo_json **value)
{
    put_tree(j, key, value);
}

void tdo_json_remove(tdo_json *j, const char *key)
{
    (void)json_object_del(j->node, key);
}

void tdo_json_add_int(tdo_json *array, int64_t value)
{
    put(array, NULL, json_integer(value));
}

void tdo_json_add_real(tdo_json *array, double value)
{
    put(array, NULL, real_or_null(value));
}

void tdo_json_add_text(tdo_json *array, const char *value)
{
    put_text(array, NULL, value);
}

void tdo_json_add(tdo_json *array, tdo_json **value)
{
    put_tree(array, NULL, value);
}

/* The node under a key, borrowed; NULL when there is none. */
static json_t *member(const tdo_json *j, const char *key)
{
    return j ? json_object_get(j->node, key) : NULL;
}

static bool as_text(const json_t *node, const char **value)
{
    if (json_is_string(node)) {
        *value = json_string_value(node);
    }
    return json_is_string(node);
}

static bool as_int(const json_t *node, int64_t *value)
{
    if (json_is_integer(node)) {
        *value = json_integer_value(node);
    }
    return json_is_integer(node);
}

static bool as_real(const json_t *node, double *value)
{
    if (json_is_number(node)) {
        *value = json_number_value(node);
    }
    return json_is_number(node);
}

bool tdo_json_get_text(const tdo_json *j, const char *key, const char **value)
{
    return as_text(member(j, key), value);
}

bool tdo_json_get_int(const tdo_json *j, const char *key, int64_t *value)
{
    return as_int(member(j, key), value);
}

bool tdo_json_get_real(const tdo_json *j, const char *key, double *value)
{
    return as_real(member(j, key), value);
}

bool tdo_json_get_bool(const tdo_json *j, const char *key, bool *value)
{
    const json_t *node = member(j, key);
    if (json_is_boolean(node)) {
        *value = json_is_true(node);
    }
    return json_is_boolean(node);
}

bool tdo_json_has(const tdo_json *j, const char *key)
{
    return member(j, key) != NULL;
}

static bool view(const tdo_json *j, json_t *node, tdo_json **value)
{
    tdo_json *v = NULL;
    if (!node) {
        return false;
    }
    if (wrap(json_incref(node), j->fault, &v) != TDO_OK) {
        fail(j, TDO_ERR_MEMORY, "a look-up", "out of memory");
        return false;
    }
    *value = v;
    return true;
}

bool tdo_json_get(const tdo_json *j, const char *key, tdo_json **value)
{
    return view(j, member(j, key), value);
}

int64_t tdo_json_size(const tdo_json *j)
{
    return !j ? 0 : (int64_t)(json_object_size(j->node) + json_array_size(j->node));
}

bool tdo_json_at(const tdo_json *array, int64_t i, tdo_json **value)
{
    return array && i >= 0 && view(array, json_array_get(array->node, (size_t)i), value);
}

bool tdo_json_key(const tdo_json *object, int64_t i, const char **key)
{
    if (!object || i < 0 || i >= (int64_t)json_object_size(object->node)) {
        return false;
    }
    void *at = json_object_iter(object->node);
    while (i-- > 0) {
        at = json_object_iter_next(object->node, at);
    }
    *key = json_object_iter_key(at);
    return true;
}

bool tdo_json_is_object(const tdo_json *j)
{
    return j && json_is_object(j->node);
}

bool tdo_json_is_array(const tdo_json *j)
{
    return j && json_is_array(j->node);
}

bool tdo_json_int(const tdo_json *j, int64_t *value)
{
    return j && as_int(j->node, value);
}

bool tdo_json_real(const tdo_json *j, double *value)
{
    return j && as_real(j->node, value);
}

bool tdo_json_text_of(const tdo_json *j, const char **value)
{
    return j && as_text(j->node, value);
}

tdo_err tdo_json_check(const tdo_json *j)
{
    if (!j) {
        return TDO_FAIL(TDO_ERR_MEMORY, "JSON without a value (out of memory before)");
    }
    if (j->fault->code != TDO_OK) {
        return TDO_FAIL(j->fault->code, "JSON value '%s': %s", j->fault->key, j->fault->why);
    }
    return TDO_OK;
}

tdo_err tdo_json_text(const tdo_json *j, int indent, char **text)
{
    *text = NULL;
    TDO_TRY(tdo_json_check(j));
    size_t flags = JSON_INDENT((size_t)indent) | JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY;
    size_t bytes = json_dumpb(j->node, NULL, 0, flags);
    if (bytes == 0) {
        return TDO_FAIL(TDO_ERR_MEMORY, "out of memory for the text of a JSON value");
    }
    TDO_TRY(tdo_memory_new((int64_t)bytes + 1, text)); /* its zero byte is there already */
    if (json_dumpb(j->node, *text, bytes, flags) != bytes) {
        tdo_memory_free(text);
        return TDO_FAIL(TDO_ERR_MEMORY, "out of memory for the text of a JSON value");
    }
    return TDO_OK;
}
