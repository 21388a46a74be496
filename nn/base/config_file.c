/* The libconfig file of a config: every setting of the parsed tree, as the text that an
 * argument would have, goes to the option of its key. See tdo_config_load in config.h.
 *
 * libconfig parses; this file walks. A group opens a prefix of keys, a list becomes the rows of
 * a registry, and everything else is a value. config_scan.c looks the text through first. */
#include <libconfig.h>
#include <stdio.h>
#include <string.h>

#include "nn/base/config.h"
#include "nn/base/config_impl.h"
#include "nn/base/config_scan.h"
#include "nn/base/memory.h"

struct file {
    tdo_config *c;
    const char *path; /* of the outermost file; settings of included ones know theirs */
};

static struct tdo_text where_is(const struct file *f, const config_setting_t *s)
{
    struct tdo_text t;
    const char *path = config_setting_source_file(s);
    snprintf(t.s, sizeof t.s, "%.400s:%u", path ? path : f->path,
             config_setting_source_line(s));
    return t;
}

/* A number as text; NULL-free: "" for other kinds. */
static struct tdo_text setting_number(const config_setting_t *s)
{
    struct tdo_text t = {""};
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        snprintf(t.s, sizeof t.s, "%lld", config_setting_get_int64(s));
        break;
    case CONFIG_TYPE_FLOAT:
        t = tdo_option_number(config_setting_get_float(s));
        break;
    case CONFIG_TYPE_STRING: /* a quotient, in a list of numbers */
        if (strchr(config_setting_get_string(s), '/')) {
            snprintf(t.s, sizeof t.s, "%.40s", config_setting_get_string(s));
        }
        break;
    default:
        break;
    }
    return t;
}

/* The numbers of an array or list with commas between them, in the arena; *text is NULL when
 * there is something else among them. */
static tdo_err numbers_text(tdo_arena *arena, const config_setting_t *s, const char **text)
{
    int n = config_setting_length(s);
    size_t room = (size_t)n * TDO_MAX_NUMBER + 1, used = 0;
    char *joined = tdo_arena_get(arena, room);
    *text = NULL;
    if (!joined) {
        return TDO_ERR_MEMORY;
    }
    for (int i = 0; i < n; i++) {
        struct tdo_text t = setting_number(config_setting_get_elem(s, (unsigned)i));
        if (!t.s[0]) {
            return TDO_OK;
        }
        used += (size_t)snprintf(joined + used, room - used, "%s%.40s", i ? "," : "", t.s);
    }
    *text = joined;
    return TDO_OK;
}

/* A setting as the text of an argument would be; *text is NULL if its kind does not suit. */
static tdo_err setting_text(tdo_arena *arena, const config_setting_t *s,
                            enum tdo_option_type type, const char **text)
{
    *text = NULL;
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_BOOL:
        if (type == TDO_OPTION_BOOL || type == TDO_OPTION_CHOICE) {
            *text = config_setting_get_bool(s) ? "true" : "false";
        }
        return TDO_OK;
    case CONFIG_TYPE_STRING:
        if (type == TDO_OPTION_BOOL || type == TDO_OPTION_CHOICE || type == TDO_OPTION_TEXT ||
            (type != TDO_OPTION_INT && strchr(config_setting_get_string(s), '/'))) {
            *text = config_setting_get_string(s); /* of numbers: a quotient */
        }
        return TDO_OK;
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        return type == TDO_OPTION_REALS ? numbers_text(arena, s, text) : TDO_OK;
    case CONFIG_TYPE_GROUP:
        return TDO_OK;
    default:
        break;
    }
    if (type != TDO_OPTION_TEXT) {
        *text = tdo_arena_string(arena, setting_number(s).s);
        return *text ? TDO_OK : TDO_ERR_MEMORY;
    }
    return TDO_OK;
}

/* A setting for a message about its kind. */
static struct tdo_text describe(const config_setting_t *s)
{
    struct tdo_text t = setting_number(s);
    const char *kind = config_setting_is_group(s)   ? "a group"
                       : config_setting_is_array(s) ? "an array"
                       : config_setting_is_list(s)  ? "a list"
                                                    : NULL;
    if (kind) {
        snprintf(t.s, sizeof t.s, "%s", kind);
    } else if (config_setting_type(s) == CONFIG_TYPE_STRING) {
        snprintf(t.s, sizeof t.s, "the text \"%.100s\"", config_setting_get_string(s));
    } else if (config_setting_type(s) == CONFIG_TYPE_BOOL) {
        snprintf(t.s, sizeof t.s, "%s", config_setting_get_bool(s) ? "true" : "false");
    }
    return t;
}

static tdo_err load_value(const struct file *f, const config_setting_t *s,
                          struct tdo_scope *scope, int i)
{
    const struct tdo_option *o = &scope->table[i];
    struct tdo_text where = where_is(f, s);
    const char *text = NULL;
    TDO_TRY(setting_text(f->c->arena, s, o->type, &text));
    if (!text) {
        char key[TDO_MAX_KEY];
        snprintf(key, sizeof key, "%s%s", scope->prefix, o->key);
        return tdo_option_fail(where.s, key, describe(s).s, o);
    }
    return tdo_scope_set(f->c->arena, scope, i, text, where.s);
}

/* One item of a list: a group with a name and options of the row of that name. */
static tdo_err load_row(const struct file *f, const config_setting_t *s,
                        struct tdo_config_list *list, int at, struct tdo_config_row *row)
{
    struct tdo_text where = where_is(f, s);
    const char *key = list->about->key;
    const config_setting_t *name =
        config_setting_is_group(s) ? config_setting_get_member(s, "name") : NULL;
    if (!name || config_setting_type(name) != CONFIG_TYPE_STRING) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s: %s.%d has no name, expected { name = \"...\"; }",
                        where.s, key, at);
    }
    int index = 0;
    TDO_TRY(tdo_config_find_name(list, config_setting_get_string(name), where_is(f, name).s,
                                 &index));
    TDO_TRY(tdo_config_row_new(f->c, list->about, index, at, row));
    for (int i = 0; i < config_setting_length(s); i++) {
        const config_setting_t *member = config_setting_get_elem(s, (unsigned)i);
        if (member == name) {
            continue;
        }
        int k = tdo_scope_find(row->scope, config_setting_name(member));
        if (k < 0) {
            return tdo_config_fail_in_row(list, row, where_is(f, member).s,
                                          config_setting_name(member));
        }
        TDO_TRY(load_value(f, member, row->scope, k));
    }
    return TDO_OK;
}

static tdo_err load_list(const struct file *f, const config_setting_t *s,
                         struct tdo_config_list *list)
{
    struct tdo_config_row *rows = NULL;
    int n = config_setting_length(s);
    if (!config_setting_is_list(s)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s: %s is %s, expected a list: ( { name = \"...\"; }, ... )",
                        where_is(f, s).s, list->about->key, describe(s).s);
    }
    TDO_TRY(tdo_config_new_rows(f->c, n, &rows));
    for (int i = 0; i < n; i++) {
        TDO_TRY(load_row(f, config_setting_get_elem(s, (unsigned)i), list, i, &rows[i]));
    }
    tdo_config_keep_rows(list, rows, n);
    return TDO_OK;
}

static tdo_err load_group(const struct file *f, const config_setting_t *group,
                          const char *prefix);

static tdo_err load_setting(const struct file *f, const config_setting_t *s, const char *key)
{
    tdo_config *c = f->c;
    int i = tdo_scope_find(c->top, key);
    struct tdo_config_list *list = tdo_config_find_list(c, key);
    if (i >= 0) {
        return load_value(f, s, c->top, i);
    }
    if (list) {
        return load_list(f, s, list);
    }
    /* The members of an unknown group say more about what was meant than its name. */
    if (config_setting_is_group(s) &&
        (tdo_config_is_group(c, key) || config_setting_length(s) > 0)) {
        return load_group(f, s, key);
    }
    return tdo_config_fail_unknown(c, where_is(f, s).s, key);
}

static tdo_err load_group(const struct file *f, const config_setting_t *group,
                          const char *prefix)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        char key[TDO_MAX_KEY];
        int n = snprintf(key, sizeof key, "%s%s%s", prefix, *prefix ? "." : "",
                         config_setting_name(s));
        if (n < 0 || (size_t)n >= sizeof key) {
            return TDO_FAIL(TDO_ERR_CONFIG, "%s: key '%s...' is too long", where_is(f, s).s,
                            key);
        }
        TDO_TRY(load_setting(f, s, key));
    }
    return TDO_OK;
}

static tdo_err parse_text(tdo_config *c, const char *path, const char *text)
{
    tdo_err err = TDO_OK;
    config_t libconfig;
    config_init(&libconfig);
    if (config_read_string(&libconfig, text) != CONFIG_TRUE) {
        const char *file = config_error_file(&libconfig), *why = config_error_text(&libconfig);
        bool mixed = strstr(why, "mismatched element") != NULL;
        TDO_GOTO(TDO_FAIL(
            TDO_ERR_CONFIG, "%s:%d: %s%s", file ? file : path, config_error_line(&libconfig),
            why, mixed ? " (0 and 0.5 do not mix between [ ]: write 0.0, or use ( ))" : ""));
    }
    struct file f = {.c = c, .path = path};
    TDO_GOTO(load_group(&f, config_root_setting(&libconfig), ""));
done:
    config_destroy(&libconfig);
    return err;
}

tdo_err tdo_config_load(tdo_config *c, const char *path)
{
    char *text = NULL;
    TDO_TRY(tdo_config_scan(path, &text));
    tdo_err err = parse_text(c, path, text);
    tdo_memory_free(&text);
    return err;
}
