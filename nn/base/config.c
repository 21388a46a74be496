/* The config: scopes and lists, arguments, look-ups, JSON. See config.h.
 *
 *     file ---> config_scan.c, config_file.c --+
 *                                              +--> tdo_scope_set ---> scope { table, values }
 *     arguments ---> split key=value ----------+
 *
 * A config is the scope of the top level and, for every list of the schema, a scope for each
 * row that the user wrote. Everything lives in one arena. */
#include "nn/base/config.h"

#include <stdlib.h>
#include <string.h>

#include "nn/base/config_impl.h"
#include "nn/base/memory.h"

/* ---- the config ---- */

/* Registry row i of a list as a scope with defaults, at position `at` of the list. */
tdo_err tdo_config_row_new(tdo_config *c, const struct tdo_option_list *about, int i, int at,
                           struct tdo_config_row *out)
{
    const char *prefix = tdo_arena_printf(c->arena, "%s.%d.", about->key, at);
    if (!prefix) {
        return TDO_ERR_MEMORY;
    }
    out->index = i;
    return tdo_scope_new(c->arena, about->options(i), prefix, &out->scope);
}

/* Make every row of a registry once, so that a mistake in any table shows at every start. */
static tdo_err check_registry(tdo_config *c, const struct tdo_option_list *about)
{
    for (int i = 0; about->name(i); i++) {
        struct tdo_config_row unused;
        TDO_TRY(tdo_config_row_new(c, about, i, i, &unused));
    }
    return TDO_OK;
}

static tdo_err config_fill(tdo_config *c, const struct tdo_schema *schema)
{
    int n = 0;
    TDO_TRY(tdo_arena_new(&c->arena));
    TDO_TRY(tdo_scope_new(c->arena, schema->options, "", &c->top));
    while (schema->lists && schema->lists[n].key) {
        n++;
    }
    c->list = tdo_arena_get(c->arena, sizeof *c->list * (size_t)n);
    if (!c->list) {
        return TDO_ERR_MEMORY;
    }
    for (int k = 0; k < n; k++) {
        c->list[k].about = &schema->lists[k];
        TDO_TRY(check_registry(c, &schema->lists[k]));
    }
    c->lists = n;
    return TDO_OK;
}

tdo_err tdo_config_new(const struct tdo_schema *schema, tdo_config **out)
{
    *out = NULL;
    tdo_config *c = NULL;
    TDO_TRY(tdo_memory_new(1, &c));
    tdo_err err = config_fill(c, schema);
    if (err != TDO_OK) {
        tdo_config_free(&c);
    }
    *out = c;
    return err;
}

void tdo_config_free(tdo_config **c)
{
    if (*c) {
        tdo_arena_free(&(*c)->arena);
    }
    tdo_memory_free(c);
}

struct tdo_config_list *tdo_config_find_list(const tdo_config *c, const char *key)
{
    for (int k = 0; k < c->lists; k++) {
        if (strcmp(c->list[k].about->key, key) == 0) {
            return &c->list[k];
        }
    }
    return NULL;
}

/* The list whose key, followed by a dot, opens `key`; *rest is what follows. */
static struct tdo_config_list *list_around(const tdo_config *c, const char *key,
                                           const char **rest)
{
    for (int k = 0; k < c->lists; k++) {
        size_t n = strlen(c->list[k].about->key);
        if (strncmp(c->list[k].about->key, key, n) == 0 && key[n] == '.') {
            *rest = key + n + 1;
            return &c->list[k];
        }
    }
    return NULL;
}

/* Split "0.sigma" into the row number and the option. */
static bool split_row(const char *rest, long *row, const char **option)
{
    size_t digits = strspn(rest, "0123456789");
    if (digits == 0 || digits > 8 || rest[digits] != '.') {
        return false;
    }
    *row = strtol(rest, NULL, 10);
    *option = rest + digits + 1;
    return true;
}

/* Where an option lives: values[i] of a scope. */
struct place {
    struct tdo_scope *scope;
    int i;
};

/* Find an option by its full key; false if there is no such key (or no such row). */
static bool find_option(const tdo_config *c, const char *key, struct place *at)
{
    const char *rest = NULL, *option = NULL;
    long row = 0;
    *at = (struct place){c->top, tdo_scope_find(c->top, key)};
    if (at->i >= 0) {
        return true;
    }
    struct tdo_config_list *list = list_around(c, key, &rest);
    if (!list || !split_row(rest, &row, &option) || row >= list->count) {
        return false;
    }
    at->scope = list->rows[row].scope;
    at->i = tdo_scope_find(at->scope, option);
    return at->i >= 0;
}

/* Candidates for suggestions: the keys of the top level, then the lists; the keys of a row; the
 * names of a registry. */
static const char *top_key(const void *ctx, int i)
{
    const tdo_config *c = ctx;
    return i < c->top->count ? c->top->table[i].key : c->list[i - c->top->count].about->key;
}

static const char *row_key(const void *ctx, int i)
{
    const struct tdo_scope *s = ctx;
    return s->table[i].key;
}

static const char *registry_name(const void *ctx, int i)
{
    const struct tdo_option_list *about = ctx;
    return about->name(i);
}

/* Does some key start with this group? */
bool tdo_config_is_group(const tdo_config *c, const char *key)
{
    size_t n = strlen(key);
    for (int i = 0; i < c->top->count + c->lists; i++) {
        const char *k = top_key(c, i);
        if (strncmp(k, key, n) == 0 && k[n] == '.') {
            return true;
        }
    }
    return false;
}

static tdo_err fail_unknown(const char *where, const char *key, const char *what,
                            const char *nearest)
{
    return TDO_FAIL(TDO_ERR_CONFIG, "%s: unknown key '%.200s'%s%s%s%s", where, key, what,
                    nearest ? ", did you mean '" : "", nearest ? nearest : "",
                    nearest ? "'?" : "");
}

tdo_err tdo_config_fail_unknown(const tdo_config *c, const char *where, const char *key)
{
    size_t n = strlen(key);
    for (int i = 0; i < c->top->count; i++) {
        const char *k = c->top->table[i].key;
        if (strncmp(k, key, n) == 0 && k[n] == '.') {
            return TDO_FAIL(TDO_ERR_CONFIG, "%s: '%s' is a group of options, such as '%s'",
                            where, key, k);
        }
    }
    return fail_unknown(where, key, "",
                        tdo_option_nearest(key, top_key, c, c->top->count + c->lists));
}

tdo_err tdo_config_fail_in_row(const struct tdo_config_list *list,
                               const struct tdo_config_row *row, const char *where,
                               const char *option)
{
    char key[2 * TDO_MAX_KEY];
    struct tdo_text owner;
    const struct tdo_scope *s = row->scope;
    snprintf(key, sizeof key, "%s%.200s", s->prefix, option);
    snprintf(owner.s, sizeof owner.s, " of '%.60s'", list->about->name(row->index));
    return fail_unknown(where, key, owner.s, tdo_option_nearest(option, row_key, s, s->count));
}

/* The registry row of that name. */
tdo_err tdo_config_find_name(const struct tdo_config_list *list, const char *name,
                             const char *where, int *index)
{
    const struct tdo_option_list *about = list->about;
    char known[400] = "";
    size_t used = 0;
    int n = 0;
    for (; about->name(n); n++) {
        if (strcmp(about->name(n), name) == 0) {
            *index = n;
            return TDO_OK;
        }
        if (used < sizeof known) {
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", n ? ", " : "",
                                     about->name(n));
        }
    }
    const char *near = tdo_option_nearest(name, registry_name, about, n);
    if (near) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s: %s has no '%.100s', did you mean '%s'?", where,
                        about->key, name, near);
    }
    return TDO_FAIL(TDO_ERR_CONFIG, "%s: %s has no '%.100s', only %s", where, about->key, name,
                    known);
}

/* Room for `count` rows that the caller fills; they become the list by keep_rows. */
tdo_err tdo_config_new_rows(tdo_config *c, int count, struct tdo_config_row **rows)
{
    *rows = tdo_arena_get(c->arena, sizeof **rows * (size_t)count);
    return *rows ? TDO_OK : TDO_ERR_MEMORY;
}

void tdo_config_keep_rows(struct tdo_config_list *list, struct tdo_config_row *rows, int count)
{
    list->rows = rows;
    list->count = count;
    list->given = true;
}

/* ---- arguments ---- */

static const char argument_place[] = "command line";

/* `defense=gaussian,brelu`: rows with defaults in place of the list. */
static tdo_err set_list(tdo_config *c, struct tdo_config_list *list, const char *names)
{
    struct tdo_config_row *rows = NULL;
    int count = *names ? 1 : 0;
    for (const char *s = names; *s; s++) {
        count += *s == ',';
    }
    TDO_TRY(tdo_config_new_rows(c, count, &rows));
    for (int i = 0; i < count; i++) {
        char name[TDO_MAX_KEY];
        int index = 0;
        size_t n = strcspn(names, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1),
                 names);
        TDO_TRY(tdo_config_find_name(list, name, argument_place, &index));
        TDO_TRY(tdo_config_row_new(c, list->about, index, i, &rows[i]));
        names += n + 1;
    }
    tdo_config_keep_rows(list, rows, count);
    return TDO_OK;
}

/* A key that opens like a list but names no option of a row that is there. */
static tdo_err fail_in_list(const struct tdo_config_list *list, const char *key,
                            const char *rest)
{
    const char *about = list->about->key, *option = NULL;
    long row = 0;
    if (!split_row(rest, &row, &option)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s: '%.200s' names no row: an option of a row is written %s.0.OPTION",
                        argument_place, key, about);
    }
    if (row >= list->count) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s: '%.200s': %s has %d row%s, counted from 0; give %s=NAME first, or "
                        "write the rows into the config file",
                        argument_place, key, about, list->count, list->count == 1 ? "" : "s",
                        about);
    }
    if (strcmp(option, "name") == 0) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "%s: '%.200s': the name of a row cannot be changed; %s=NAME replaces the "
            "list",
            argument_place, key, about);
    }
    return tdo_config_fail_in_row(list, &list->rows[row], argument_place, option);
}

tdo_err tdo_config_set(tdo_config *c, const char *argument)
{
    const char *equals = strchr(argument, '='), *rest = NULL;
    char key[TDO_MAX_KEY];
    struct place at;
    if (!equals || equals == argument || (size_t)(equals - argument) >= sizeof key) {
        return TDO_FAIL(TDO_ERR_USAGE, "%s: '%.200s' is not of the form key=value",
                        argument_place, argument);
    }
    snprintf(key, sizeof key, "%.*s", (int)(equals - argument), argument);
    struct tdo_config_list *list = tdo_config_find_list(c, key);
    if (list) {
        return set_list(c, list, equals + 1);
    }
    if (find_option(c, key, &at)) {
        return tdo_scope_set(c->arena, at.scope, at.i, equals + 1, argument_place);
    }
    list = list_around(c, key, &rest);
    return list ? fail_in_list(list, key, rest)
                : tdo_config_fail_unknown(c, argument_place, key);
}

/* ---- look-ups ---- */

static tdo_err check_scope(const struct tdo_scope *s, unsigned jobs)
{
    for (int i = 0; i < s->count; i++) {
        const struct tdo_option *o = &s->table[i];
        if (!s->values[i].text && (*s->prefix || (o->jobs & jobs & ~o->optional))) {
            return TDO_FAIL(TDO_ERR_CONFIG, "%s%s is missing, expected %s: %s", s->prefix,
                            o->key, tdo_option_expected(o).s, o->help);
        }
    }
    return TDO_OK;
}

static tdo_err check_rows(const struct tdo_config_list *list, unsigned jobs)
{
    for (int r = 0; r < list->count; r++) {
        TDO_TRY(check_scope(list->rows[r].scope, jobs));
    }
    return TDO_OK;
}

tdo_err tdo_config_check(const tdo_config *c, unsigned jobs)
{
    tdo_err err = check_scope(c->top, jobs);
    for (int k = 0; k < c->lists && err == TDO_OK; k++) {
        if (c->list[k].about->jobs & jobs) {
            err = check_rows(&c->list[k], jobs);
        }
    }
    return err;
}

static void require(bool condition, const char *what, const char *key)
{
    if (!condition) {
        struct tdo_text t;
        snprintf(t.s, sizeof t.s, "option '%.200s' %s", key, what);
        tdo_error_bug(__FILE__, __LINE__, t.s);
    }
}

/* The value of a key that must be there, of the type `a` or `b`. */
static const struct tdo_value *fetch(const tdo_config *c, const char *key,
                                     enum tdo_option_type a, enum tdo_option_type b)
{
    struct place at;
    require(find_option(c, key, &at), "in the schema", key);
    const struct tdo_value *v = &at.scope->values[at.i];
    enum tdo_option_type type = at.scope->table[at.i].type;
    require(type == a || type == b, "of the type that is fetched", key);
    require(v->text != NULL, "with a value, given or default,", key);
    return v;
}

int64_t tdo_config_int(const tdo_config *c, const char *key)
{
    return fetch(c, key, TDO_OPTION_INT, TDO_OPTION_INT)->integer;
}

double tdo_config_real(const tdo_config *c, const char *key)
{
    return fetch(c, key, TDO_OPTION_REAL, TDO_OPTION_REAL)->real;
}

bool tdo_config_bool(const tdo_config *c, const char *key)
{
    return fetch(c, key, TDO_OPTION_BOOL, TDO_OPTION_BOOL)->integer != 0;
}

const char *tdo_config_text(const tdo_config *c, const char *key)
{
    return fetch(c, key, TDO_OPTION_TEXT, TDO_OPTION_CHOICE)->text;
}

int tdo_config_choice(const tdo_config *c, const char *key)
{
    return (int)fetch(c, key, TDO_OPTION_CHOICE, TDO_OPTION_CHOICE)->integer;
}

double tdo_config_number(const tdo_config *c, const char *key, const struct tdo_option *o)
{
    switch (o->type) {
    case TDO_OPTION_REAL:
        return tdo_config_real(c, key);
    case TDO_OPTION_INT:
        return (double)tdo_config_int(c, key);
    case TDO_OPTION_BOOL:
        return tdo_config_bool(c, key);
    case TDO_OPTION_CHOICE:
        return tdo_config_choice(c, key);
    default:
        return 0;
    }
}

int tdo_config_reals(const tdo_config *c, const char *key, double *out, int room)
{
    const struct tdo_value *v = fetch(c, key, TDO_OPTION_REALS, TDO_OPTION_REALS);
    for (int i = 0; i < v->count && i < room; i++) {
        out[i] = v->reals[i];
    }
    return v->count;
}

bool tdo_config_given(const tdo_config *c, const char *key)
{
    const struct tdo_config_list *list = tdo_config_find_list(c, key);
    struct place at;
    if (list) {
        return list->given;
    }
    require(find_option(c, key, &at), "in the schema", key);
    return at.scope->values[at.i].given;
}

int tdo_config_rows(const tdo_config *c, const char *key)
{
    const struct tdo_config_list *list = tdo_config_find_list(c, key);
    require(list != NULL, "a list of the schema", key);
    return list->count;
}

int tdo_config_row_index(const tdo_config *c, const char *key, int row)
{
    const struct tdo_config_list *list = tdo_config_find_list(c, key);
    require(list != NULL, "a list of the schema", key);
    require(row >= 0 && row < list->count, "fetched at a row that it has", key);
    return list->rows[row].index;
}

/* ---- JSON ---- */

static tdo_err put_value(tdo_json *j, const char *key, const struct tdo_option *o,
                         const struct tdo_value *v)
{
    tdo_json *reals = NULL;
    switch (o->type) {
    case TDO_OPTION_INT:
        tdo_json_set_int(j, key, v->integer);
        break;
    case TDO_OPTION_REAL:
        tdo_json_set_real(j, key, v->real);
        break;
    case TDO_OPTION_BOOL:
        tdo_json_set_bool(j, key, v->integer != 0);
        break;
    case TDO_OPTION_CHOICE:
    case TDO_OPTION_TEXT:
        tdo_json_set_text(j, key, v->text);
        break;
    case TDO_OPTION_REALS:
        TDO_TRY(tdo_json_array(&reals));
        for (int i = 0; i < v->count; i++) {
            tdo_json_add_real(reals, v->reals[i]);
        }
        tdo_json_set(j, key, &reals);
        break;
    }
    return TDO_OK;
}

/* A view of the object under `key` of `j`, made if it is not there. */
static tdo_err open_object(tdo_json *j, const char *key, tdo_json **view)
{
    if (!tdo_json_has(j, key)) {
        tdo_json *object = NULL;
        TDO_TRY(tdo_json_object(&object));
        tdo_json_set(j, key, &object);
    }
    return tdo_json_get(j, key, view) ? TDO_OK
                                      : TDO_FAIL(TDO_ERR_MEMORY, "out of memory for '%s'", key);
}

/* Put a value under "a.b.c" of j, and what `array` holds (for a list) if there is no option. */
static tdo_err put_nested(tdo_json *j, const char *key, const struct tdo_option *o,
                          const struct tdo_value *v, tdo_json **array)
{
    const char *dot = strchr(key, '.');
    if (dot) {
        char group[TDO_MAX_KEY];
        tdo_json *inner = NULL;
        snprintf(group, sizeof group, "%.*s", (int)(dot - key), key);
        TDO_TRY(open_object(j, group, &inner));
        tdo_err err = put_nested(inner, dot + 1, o, v, array);
        tdo_json_free(&inner);
        return err;
    }
    if (o) {
        return put_value(j, key, o, v);
    }
    tdo_json_set(j, key, array);
    return TDO_OK;
}

static tdo_err row_json(const struct tdo_config_list *list, const struct tdo_config_row *row,
                        tdo_json **out)
{
    const struct tdo_scope *s = row->scope;
    tdo_err err = tdo_json_object(out);
    tdo_json_set_text(*out, "name", list->about->name(row->index));
    for (int i = 0; i < s->count && err == TDO_OK; i++) {
        if (s->values[i].text) {
            err = put_value(*out, s->table[i].key, &s->table[i], &s->values[i]);
        }
    }
    return err;
}

static tdo_err put_list(tdo_json *root, const struct tdo_config_list *list)
{
    tdo_json *array = NULL, *row = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_json_array(&array));
    for (int r = 0; r < list->count; r++) {
        TDO_GOTO(row_json(list, &list->rows[r], &row));
        tdo_json_add(array, &row);
    }
    TDO_GOTO(put_nested(root, list->about->key, NULL, NULL, &array));
done:
    tdo_json_free(&row);
    tdo_json_free(&array);
    return err;
}

tdo_err tdo_config_json(const tdo_config *c, unsigned jobs, tdo_json **out)
{
    tdo_json *root = NULL;
    tdo_err err = TDO_OK;
    *out = NULL;
    TDO_TRY(tdo_json_object(&root));
    for (int i = 0; i < c->top->count && err == TDO_OK; i++) {
        const struct tdo_option *o = &c->top->table[i];
        if ((o->jobs & jobs) && c->top->values[i].text) {
            err = put_nested(root, o->key, o, &c->top->values[i], NULL);
        }
    }
    for (int k = 0; k < c->lists && err == TDO_OK; k++) {
        if (c->list[k].about->jobs & jobs) {
            err = put_list(root, &c->list[k]);
        }
    }
    if (err != TDO_OK) {
        tdo_json_free(&root);
    }
    *out = root;
    return err;
}
