/* The option table at work: reading, checking, fetching and printing. See options.h.
 *
 *     file ---> walk the settings ---+
 *                                    +--> set_value ---> scope { table, values }
 *     arguments -> split key=value --+
 *
 * A scope is a table with the values of its options: the config has one for the top level and one
 * for every list row. Whatever its source, a value arrives as text and is parsed in one place.
 * Everything lives in one arena. The sections below follow this order: suggestions, values,
 * scopes, the config, what libconfig gets wrong, the file, arguments, look-ups, JSON, help. */
#include "nn/base/options.h"

#include <errno.h>
#include <libconfig.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/base/file.h"
#include "nn/base/memory.h"

enum {
    MAX_KEY = 256,      /* bytes of a full key */
    MAX_WORD = 63,      /* letters of a word that is compared for suggestions */
    MAX_NUMBER = 64,    /* bytes of a number in text */
    MAX_INCLUDES = 10,  /* files inside files, as in libconfig */
    MAX_FILE = 16 << 20 /* bytes of a config file */
};

struct text {
    char s[512];
};

/* ---- suggestions ---- */

/* Edit distance (insert, delete, replace, swap neighbours: optimal string alignment); INT_MAX for
 * words that are too long to compare. Row i of the table is about the first i letters of a. */
static int distance(const char *a, const char *b)
{
    int row[3][MAX_WORD + 1];
    size_t na = strlen(a), nb = strlen(b);
    if (na > MAX_WORD || nb > MAX_WORD) {
        return INT_MAX;
    }
    for (size_t i = 0; i <= na; i++) {
        int *now = row[i % 3];
        const int *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];
        now[0] = (int)i;
        for (size_t k = 1; k <= nb; k++) {
            if (i == 0) {
                now[k] = (int)k;
                continue;
            }
            int best = before[k - 1] + (a[i - 1] != b[k - 1]);
            best = before[k] + 1 < best ? before[k] + 1 : best;
            best = now[k - 1] + 1 < best ? now[k - 1] + 1 : best;
            bool swapped = i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1];
            now[k] = swapped && earlier[k - 2] + 1 < best ? earlier[k - 2] + 1 : best;
        }
    }
    return row[na % 3][nb];
}

static const char *behind_last_dot(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

const char *tdo_option_nearest(const char *word,
                               const char *(*candidate)(const void *ctx, int i),
                               const void *ctx, int count)
{
    const char *nearest = NULL;
    int letters = (int)strlen(word), best = 2 + letters / 3; /* near is below this */
    for (int i = 0; i < count; i++) {
        const char *c = candidate(ctx, i);
        int d = distance(word, c);
        if (d > 1 && strcmp(behind_last_dot(word), behind_last_dot(c)) == 0) {
            d = 1; /* the right name in the wrong group */
        }
        if (d < best && (d < letters || d < (int)strlen(c))) {
            best = d;
            nearest = c;
        }
    }
    return nearest;
}

/* ---- values ---- */

struct value {
    const char *text;    /* as given, or the default; NULL while a required one is missing */
    int64_t integer;     /* of an INT; 0 or 1 of a BOOL; index of a CHOICE */
    double real;         /* of a REAL */
    const double *reals; /* [count] of REALS */
    int count;
    bool given;
};

/* The shortest of the usual forms that reads back to the same number. */
static struct text number_text(double x)
{
    struct text t;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(t.s, sizeof t.s, "%.*g", digits, x);
        if (strtod(t.s, NULL) == x) {
            break;
        }
    }
    return t;
}

/* The whole text as a finite number. */
static bool parse_real(const char *s, double *out)
{
    char *end = NULL;
    if (*s == '\0' || !strchr("+-.0123456789", *s)) {
        return false;
    }
    *out = strtod(s, &end);
    return end != s && *end == '\0' && isfinite(*out);
}

/* The whole text as an integer of 64 bits, also when it is written like 1e5. */
static bool parse_int(const char *s, int64_t *out)
{
    double x = 0;
    if (!parse_real(s, &x)) {
        return false;
    }
    char *end = NULL;
    errno = 0;
    *out = strtoll(s, &end, 10);
    if (*end == '\0') {
        return errno == 0;
    }
    if (x != floor(x) || x < -0x1p63 || x >= 0x1p63) {
        return false;
    }
    *out = (int64_t)x;
    return true;
}

static bool parse_bool(const char *s, int64_t *out)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"0", "1"}, {"no", "yes"}, {"off", "on"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        for (int k = 0; k < 2; k++) {
            if (strcmp(s, words[i][k]) == 0) {
                *out = k;
                return true;
            }
        }
    }
    return false;
}

/* The position of s among "a|b|c". */
static bool parse_choice(const char *choices, const char *s, int64_t *out)
{
    size_t n = strlen(s);
    int64_t i = 0;
    for (const char *c = choices; c; c = strchr(c, '|'), i++) {
        c += *c == '|';
        if (strncmp(c, s, n) == 0 && (c[n] == '|' || c[n] == '\0') && n > 0 &&
            !strchr(s, '|')) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool in_range(const struct tdo_option *o, double x)
{
    return x >= o->min && x <= o->max;
}

/* Numbers between commas; an empty text is an empty list. */
static tdo_err parse_reals(tdo_arena *arena, const struct tdo_option *o, struct value *v,
                           bool *fits)
{
    int count = v->text[strspn(v->text, " ")] ? 1 : 0;
    for (const char *c = strchr(v->text, ','); c; c = strchr(c + 1, ',')) {
        count++;
    }
    double *reals = tdo_arena_get(arena, sizeof *reals * (size_t)count);
    if (!reals) {
        return TDO_ERR_MEMORY;
    }
    const char *at = v->text;
    *fits = true;
    for (int i = 0; i < count && *fits; i++) {
        char piece[MAX_NUMBER];
        at += strspn(at, " ");
        size_t n = strcspn(at, ", ");
        snprintf(piece, sizeof piece, "%.*s", (int)(n < sizeof piece ? n : 0), at);
        at += n + strspn(at + n, " ");
        *fits = parse_real(piece, &reals[i]) && in_range(o, reals[i]) &&
                *at == (i + 1 < count ? ',' : '\0');
        at += *at == ',';
    }
    v->reals = reals;
    v->count = count;
    return TDO_OK;
}

/* Resolve v->text. *fits is false when the text is not what the option takes. */
static tdo_err parse_value(tdo_arena *arena, const struct tdo_option *o, struct value *v,
                           bool *fits)
{
    switch (o->type) {
    case TDO_OPTION_INT:
        *fits = parse_int(v->text, &v->integer) && in_range(o, (double)v->integer);
        break;
    case TDO_OPTION_REAL:
        *fits = parse_real(v->text, &v->real) && in_range(o, v->real);
        break;
    case TDO_OPTION_BOOL:
        *fits = parse_bool(v->text, &v->integer);
        break;
    case TDO_OPTION_CHOICE:
        *fits = parse_choice(o->choices, v->text, &v->integer);
        break;
    case TDO_OPTION_TEXT:
        *fits = true;
        break;
    case TDO_OPTION_REALS:
        return parse_reals(arena, o, v, fits);
    }
    return TDO_OK;
}

/* " from 0 to 16", " of at least 1", or nothing. */
static struct text range_text(const struct tdo_option *o)
{
    struct text t = {""}, low = number_text(o->min), high = number_text(o->max);
    if (isfinite(o->min) && isfinite(o->max)) {
        snprintf(t.s, sizeof t.s, " from %.40s to %.40s", low.s, high.s);
    } else if (isfinite(o->min)) {
        snprintf(t.s, sizeof t.s, " of at least %.40s", low.s);
    } else if (isfinite(o->max)) {
        snprintf(t.s, sizeof t.s, " of at most %.40s", high.s);
    }
    return t;
}

/* What an option takes, for messages and help: "an integer from 1 to 64 (rows)". */
static struct text expected(const struct tdo_option *o)
{
    static const char *const kind[] = {
        [TDO_OPTION_INT] = "an integer",     [TDO_OPTION_REAL] = "a number",
        [TDO_OPTION_BOOL] = "true or false", [TDO_OPTION_CHOICE] = "one of ",
        [TDO_OPTION_TEXT] = "a text",        [TDO_OPTION_REALS] = "a list of numbers"};
    bool numeric =
        o->type == TDO_OPTION_INT || o->type == TDO_OPTION_REAL || o->type == TDO_OPTION_REALS;
    struct text t, range = numeric ? range_text(o) : (struct text){""};
    if (o->type != TDO_OPTION_CHOICE) {
        snprintf(t.s, sizeof t.s, "%s%.100s%s%.100s%s", kind[o->type], range.s,
                 o->unit ? " (" : "", o->unit ? o->unit : "", o->unit ? ")" : "");
        return t;
    }
    int n = snprintf(t.s, sizeof t.s, "%s", kind[o->type]);
    for (const char *c = o->choices; *c && n < (int)sizeof t.s - 3; c++) {
        n += snprintf(t.s + n, sizeof t.s - (size_t)n, *c == '|' ? ", " : "%c", *c);
    }
    return t;
}

static tdo_err fail_value(const char *where, const char *key, const char *shown,
                          const struct tdo_option *o)
{
    return TDO_FAIL(TDO_ERR_CONFIG, "%s: %s is %.200s, expected %s", where, key,
                    *shown ? shown : "empty", expected(o).s);
}

/* ---- scopes ---- */

struct scope {
    const struct tdo_option *table;
    int count;
    struct value *values; /* [count] */
    const char *prefix;   /* of the full keys: "" or "defense.0." */
};

static int table_size(const struct tdo_option *table)
{
    int n = 0;
    while (table && table[n].key) {
        n++;
    }
    return n;
}

static tdo_err check_row(const struct tdo_option *table, int i, const char *prefix)
{
    const struct tdo_option *o = &table[i];
    if (!(o->min <= o->max)) {
        return TDO_FAIL(TDO_ERR_BUG, "option table: %s%s has min above max", prefix, o->key);
    }
    if ((o->type == TDO_OPTION_CHOICE && !o->choices) || !o->help) {
        return TDO_FAIL(TDO_ERR_BUG, "option table: %s%s has no %s", prefix, o->key,
                        o->help ? "choices" : "help");
    }
    for (int k = 0; k < i; k++) {
        if (strcmp(table[k].key, o->key) == 0) {
            return TDO_FAIL(TDO_ERR_BUG, "option table: %s%s stands twice", prefix, o->key);
        }
    }
    if (*prefix && strcmp(o->key, "name") == 0) {
        return TDO_FAIL(TDO_ERR_BUG, "option table: %sname is taken by the row itself", prefix);
    }
    return TDO_OK;
}

static tdo_err set_default(tdo_arena *arena, const struct tdo_option *o, const char *prefix,
                           struct value *v)
{
    bool fits = false;
    v->text = o->value;
    if (!o->value) {
        return TDO_OK;
    }
    TDO_TRY(parse_value(arena, o, v, &fits));
    if (!fits) {
        return TDO_FAIL(TDO_ERR_BUG, "option table: the default of %s%s is '%s', expected %s",
                        prefix, o->key, o->value, expected(o).s);
    }
    return TDO_OK;
}

/* A scope in which every option has its default. */
static tdo_err scope_new(tdo_arena *arena, const struct tdo_option *table, const char *prefix,
                         struct scope **out)
{
    int n = table_size(table);
    struct scope *s = tdo_arena_get(arena, sizeof *s);
    struct value *values = tdo_arena_get(arena, sizeof *values * (size_t)n);
    *out = s;
    if (!s || !values) {
        return TDO_ERR_MEMORY;
    }
    for (int i = 0; i < n; i++) {
        TDO_TRY(check_row(table, i, prefix));
        TDO_TRY(set_default(arena, &table[i], prefix, &values[i]));
    }
    *s = (struct scope){.table = table, .count = n, .values = values, .prefix = prefix};
    return TDO_OK;
}

/* Position of a key in a scope, -1 if it is not there. */
static int scope_find(const struct scope *s, const char *key)
{
    for (int i = 0; i < s->count; i++) {
        if (strcmp(s->table[i].key, key) == 0) {
            return i;
        }
    }
    return -1;
}

/* The one way in for values, whatever their source. */
static tdo_err set_value(tdo_arena *arena, struct scope *s, int i, const char *text,
                         const char *where)
{
    const struct tdo_option *o = &s->table[i];
    struct value v = {.given = true, .text = tdo_arena_string(arena, text)};
    bool fits = false;
    if (!v.text) {
        return TDO_ERR_MEMORY;
    }
    TDO_TRY(parse_value(arena, o, &v, &fits));
    if (!fits) {
        char key[MAX_KEY];
        snprintf(key, sizeof key, "%s%s", s->prefix, o->key);
        return fail_value(where, key, text, o);
    }
    s->values[i] = v;
    return TDO_OK;
}

/* ---- the config ---- */

struct row {
    int index; /* in the registry */
    struct scope *scope;
};

struct list {
    const struct tdo_option_list *about;
    int count;
    struct row *rows; /* [count] */
    bool given;
};

struct tdo_config {
    tdo_arena *arena;
    struct scope *top;
    int lists;
    struct list *list; /* [lists] */
};

/* Registry row i of a list as a scope with defaults, at position `at` of the list. */
static tdo_err row_new(tdo_config *c, const struct tdo_option_list *about, int i, int at,
                       struct row *out)
{
    const char *prefix = tdo_arena_printf(c->arena, "%s.%d.", about->key, at);
    if (!prefix) {
        return TDO_ERR_MEMORY;
    }
    out->index = i;
    return scope_new(c->arena, about->options(i), prefix, &out->scope);
}

/* Make every row of a registry once, so that a mistake in any table shows at every start. */
static tdo_err check_registry(tdo_config *c, const struct tdo_option_list *about)
{
    for (int i = 0; about->name(i); i++) {
        struct row unused;
        TDO_TRY(row_new(c, about, i, i, &unused));
    }
    return TDO_OK;
}

static tdo_err config_fill(tdo_config *c, const struct tdo_schema *schema)
{
    int n = 0;
    TDO_TRY(tdo_arena_new(&c->arena));
    TDO_TRY(scope_new(c->arena, schema->options, "", &c->top));
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

static struct list *find_list(const tdo_config *c, const char *key)
{
    for (int k = 0; k < c->lists; k++) {
        if (strcmp(c->list[k].about->key, key) == 0) {
            return &c->list[k];
        }
    }
    return NULL;
}

/* The list whose key, followed by a dot, opens `key`; *rest is what follows. */
static struct list *list_around(const tdo_config *c, const char *key, const char **rest)
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
    struct scope *scope;
    int i;
};

/* Find an option by its full key; false if there is no such key (or no such row). */
static bool find_option(const tdo_config *c, const char *key, struct place *at)
{
    const char *rest = NULL, *option = NULL;
    long row = 0;
    *at = (struct place){c->top, scope_find(c->top, key)};
    if (at->i >= 0) {
        return true;
    }
    struct list *list = list_around(c, key, &rest);
    if (!list || !split_row(rest, &row, &option) || row >= list->count) {
        return false;
    }
    at->scope = list->rows[row].scope;
    at->i = scope_find(at->scope, option);
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
    const struct scope *s = ctx;
    return s->table[i].key;
}

static const char *registry_name(const void *ctx, int i)
{
    const struct tdo_option_list *about = ctx;
    return about->name(i);
}

static tdo_err fail_unknown(const char *where, const char *key, const char *what,
                            const char *nearest)
{
    return TDO_FAIL(TDO_ERR_CONFIG, "%s: unknown key '%.200s'%s%s%s%s", where, key, what,
                    nearest ? ", did you mean '" : "", nearest ? nearest : "",
                    nearest ? "'?" : "");
}

static tdo_err fail_unknown_top(const tdo_config *c, const char *where, const char *key)
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

static tdo_err fail_unknown_in_row(const struct list *list, const struct row *row,
                                   const char *where, const char *option)
{
    char key[2 * MAX_KEY];
    struct text owner;
    const struct scope *s = row->scope;
    snprintf(key, sizeof key, "%s%.200s", s->prefix, option);
    snprintf(owner.s, sizeof owner.s, " of '%.60s'", list->about->name(row->index));
    return fail_unknown(where, key, owner.s, tdo_option_nearest(option, row_key, s, s->count));
}

/* The registry row of that name. */
static tdo_err find_name(const struct list *list, const char *name, const char *where,
                         int *index)
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
static tdo_err new_rows(tdo_config *c, int count, struct row **rows)
{
    *rows = tdo_arena_get(c->arena, sizeof **rows * (size_t)count);
    return *rows ? TDO_OK : TDO_ERR_MEMORY;
}

static void keep_rows(struct list *list, struct row *rows, int count)
{
    list->rows = rows;
    list->count = count;
    list->given = true;
}

/* ---- what libconfig gets wrong ----
 *
 * libconfig 1.5 drops the upper bits of an integer beyond 32 bits that has no L behind it, drops
 * what follows an open comment or quote, and ends the program when an included file cannot be
 * read as text. So the text is looked through first. */

struct scan {
    const char *path; /* of the file, for messages */
    const char *at;
    int line, depth;
};

static tdo_err scan_text(const char *path, const char *text, int depth);

static tdo_err read_text(const char *path, char **text)
{
    int64_t bytes = 0;
    TDO_TRY(tdo_file_read(path, MAX_FILE, text, &bytes));
    if ((int64_t)strlen(*text) != bytes) {
        tdo_memory_free(text);
        return TDO_FAIL(TDO_ERR_CONFIG, "%s: not a config file: it holds a zero byte", path);
    }
    return TDO_OK;
}

/* Step over n bytes and count their lines. */
static void skip(struct scan *s, size_t n)
{
    for (; n > 0 && *s->at; n--) {
        s->line += *s->at++ == '\n';
    }
}

/* The length of the comment or string that starts here, -1 if it does not end, 0 if none does. */
static ptrdiff_t quiet_length(const char *at)
{
    if (*at == '#' || strncmp(at, "//", 2) == 0) {
        return (ptrdiff_t)strcspn(at, "\n");
    }
    if (strncmp(at, "/*", 2) == 0) {
        const char *end = strstr(at + 2, "*/");
        return end ? end + 2 - at : -1;
    }
    ptrdiff_t n = *at == '"';
    while (n > 0 && at[n] != '"') {
        if (at[n] == '\0' || (at[n] == '\\' && at[n + 1] == '\0')) {
            return -1;
        }
        n += at[n] == '\\' ? 2 : 1;
    }
    return n > 0 ? n + 1 : 0;
}

/* Check an integer literal; anything else that starts like a number is left to libconfig. */
static tdo_err scan_number(struct scan *s)
{
    char token[MAX_NUMBER], *end = NULL;
    size_t n = strspn(s->at, "+-");
    n += strspn(s->at + n, "0123456789abcdefABCDEFxXL.");
    snprintf(token, sizeof token, "%.*s", (int)(n < sizeof token ? n : sizeof token - 1),
             s->at);
    bool hex = token[0] == '0' && (token[1] == 'x' || token[1] == 'X');
    size_t digits = strcspn(token, "L");
    bool wide = token[digits] == 'L';
    errno = 0;
    long long value = strtoll(token, &end, hex ? 16 : 10);
    bool whole = end == token + digits && digits > 0;
    if (whole && errno != 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s:%d: the integer %s does not fit into 64 bits",
                        s->path, s->line, token);
    }
    if (whole && !wide && (value > INT_MAX || value < INT_MIN)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s:%d: the integer %s is too large without an L behind it: write %sL",
                        s->path, s->line, token, token);
    }
    skip(s, n);
    return TDO_OK;
}

/* `@include "path"` at the start of a line. */
static tdo_err scan_include(struct scan *s)
{
    char path[PATH_MAX], *text = NULL;
    const char *from = strchr(s->at, '"');
    size_t gap = from ? (size_t)(from - s->at) : 0, n = from ? strcspn(from + 1, "\"\\\n") : 0;
    if (!from || strspn(s->at + 8, " \t") + 8 != gap || n == 0 || n >= sizeof path ||
        from[n + 1] != '"' || s->depth >= MAX_INCLUDES) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s:%d: expected @include \"path\", at most %d files inside each other",
                        s->path, s->line, MAX_INCLUDES);
    }
    snprintf(path, sizeof path, "%.*s", (int)n, from + 1);
    TDO_TRY(read_text(path, &text));
    tdo_err err = scan_text(path, text, s->depth + 1);
    tdo_memory_free(&text);
    skip(s, gap + n + 2);
    return err;
}

/* Check what starts here, and step over it. */
static tdo_err scan_one(struct scan *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ*";
    static const char others[] = "-_0123456789";
    ptrdiff_t quiet = quiet_length(s->at);
    if (quiet < 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s:%d: this %s has no end", s->path, s->line,
                        *s->at == '"' ? "text" : "comment");
    }
    if (quiet > 0) {
        skip(s, (size_t)quiet);
    } else if (strncmp(s->at, "@include", 8) == 0) {
        return scan_include(s);
    } else if (strchr("+-.0123456789", *s->at)) {
        return scan_number(s);
    } else if (strchr(letters, *s->at)) {
        while (*s->at && (strchr(letters, *s->at) || strchr(others, *s->at))) {
            skip(s, 1);
        }
    } else {
        skip(s, 1);
    }
    return TDO_OK;
}

static tdo_err scan_text(const char *path, const char *text, int depth)
{
    struct scan s = {.path = path, .at = text, .line = 1, .depth = depth};
    while (*s.at) {
        TDO_TRY(scan_one(&s));
    }
    return TDO_OK;
}

/* ---- the file ---- */

struct file {
    tdo_config *c;
    const char *path; /* of the outermost file; settings of included ones know theirs */
};

static struct text where_is(const struct file *f, const config_setting_t *s)
{
    struct text t;
    const char *path = config_setting_source_file(s);
    snprintf(t.s, sizeof t.s, "%.400s:%u", path ? path : f->path,
             config_setting_source_line(s));
    return t;
}

/* A number as text; NULL-free: "" for other kinds. */
static struct text setting_number(const config_setting_t *s)
{
    struct text t = {""};
    switch (config_setting_type(s)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        snprintf(t.s, sizeof t.s, "%lld", config_setting_get_int64(s));
        break;
    case CONFIG_TYPE_FLOAT:
        t = number_text(config_setting_get_float(s));
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
    size_t room = (size_t)n * MAX_NUMBER + 1, used = 0;
    char *joined = tdo_arena_get(arena, room);
    *text = NULL;
    if (!joined) {
        return TDO_ERR_MEMORY;
    }
    for (int i = 0; i < n; i++) {
        struct text t = setting_number(config_setting_get_elem(s, (unsigned)i));
        if (!t.s[0]) {
            return TDO_OK;
        }
        used += (size_t)snprintf(joined + used, room - used, "%s%.40s", i ? "," : "", t.s);
    }
    *text = joined;
    return TDO_OK;
}

/* A setting as the text that an argument would have; *text is NULL if its kind does not suit. */
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
        if (type == TDO_OPTION_BOOL || type == TDO_OPTION_CHOICE || type == TDO_OPTION_TEXT) {
            *text = config_setting_get_string(s);
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
static struct text describe(const config_setting_t *s)
{
    struct text t = setting_number(s);
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

static tdo_err load_value(const struct file *f, const config_setting_t *s, struct scope *scope,
                          int i)
{
    const struct tdo_option *o = &scope->table[i];
    struct text where = where_is(f, s);
    const char *text = NULL;
    TDO_TRY(setting_text(f->c->arena, s, o->type, &text));
    if (!text) {
        char key[MAX_KEY];
        snprintf(key, sizeof key, "%s%s", scope->prefix, o->key);
        return fail_value(where.s, key, describe(s).s, o);
    }
    return set_value(f->c->arena, scope, i, text, where.s);
}

/* One item of a list: a group with a name and options of the row of that name. */
static tdo_err load_row(const struct file *f, const config_setting_t *s, struct list *list,
                        int at, struct row *row)
{
    struct text where = where_is(f, s);
    const char *key = list->about->key;
    const config_setting_t *name =
        config_setting_is_group(s) ? config_setting_get_member(s, "name") : NULL;
    if (!name || config_setting_type(name) != CONFIG_TYPE_STRING) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s: %s.%d has no name, expected { name = \"...\"; }",
                        where.s, key, at);
    }
    int index = 0;
    TDO_TRY(find_name(list, config_setting_get_string(name), where_is(f, name).s, &index));
    TDO_TRY(row_new(f->c, list->about, index, at, row));
    for (int i = 0; i < config_setting_length(s); i++) {
        const config_setting_t *member = config_setting_get_elem(s, (unsigned)i);
        if (member == name) {
            continue;
        }
        int k = scope_find(row->scope, config_setting_name(member));
        if (k < 0) {
            return fail_unknown_in_row(list, row, where_is(f, member).s,
                                       config_setting_name(member));
        }
        TDO_TRY(load_value(f, member, row->scope, k));
    }
    return TDO_OK;
}

static tdo_err load_list(const struct file *f, const config_setting_t *s, struct list *list)
{
    struct row *rows = NULL;
    int n = config_setting_length(s);
    if (!config_setting_is_list(s)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s: %s is %s, expected a list: ( { name = \"...\"; }, ... )",
                        where_is(f, s).s, list->about->key, describe(s).s);
    }
    TDO_TRY(new_rows(f->c, n, &rows));
    for (int i = 0; i < n; i++) {
        TDO_TRY(load_row(f, config_setting_get_elem(s, (unsigned)i), list, i, &rows[i]));
    }
    keep_rows(list, rows, n);
    return TDO_OK;
}

/* Does some key start with this group? */
static bool is_group_of_table(const tdo_config *c, const char *key)
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

static tdo_err load_group(const struct file *f, const config_setting_t *group,
                          const char *prefix);

static tdo_err load_setting(const struct file *f, const config_setting_t *s, const char *key)
{
    tdo_config *c = f->c;
    int i = scope_find(c->top, key);
    struct list *list = find_list(c, key);
    if (i >= 0) {
        return load_value(f, s, c->top, i);
    }
    if (list) {
        return load_list(f, s, list);
    }
    /* The members of an unknown group say more about what was meant than its name. */
    if (config_setting_is_group(s) &&
        (is_group_of_table(c, key) || config_setting_length(s) > 0)) {
        return load_group(f, s, key);
    }
    return fail_unknown_top(c, where_is(f, s).s, key);
}

static tdo_err load_group(const struct file *f, const config_setting_t *group,
                          const char *prefix)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
        char key[MAX_KEY];
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

static tdo_err load_text(tdo_config *c, const char *path, const char *text)
{
    TDO_TRY(scan_text(path, text, 0));
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
    TDO_TRY(read_text(path, &text));
    tdo_err err = load_text(c, path, text);
    tdo_memory_free(&text);
    return err;
}

/* ---- arguments ---- */

static const char argument_place[] = "command line";

/* `defense=gaussian,brelu`: rows with defaults in place of the list. */
static tdo_err set_list(tdo_config *c, struct list *list, const char *names)
{
    struct row *rows = NULL;
    int count = *names ? 1 : 0;
    for (const char *s = names; *s; s++) {
        count += *s == ',';
    }
    TDO_TRY(new_rows(c, count, &rows));
    for (int i = 0; i < count; i++) {
        char name[MAX_KEY];
        int index = 0;
        size_t n = strcspn(names, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1),
                 names);
        TDO_TRY(find_name(list, name, argument_place, &index));
        TDO_TRY(row_new(c, list->about, index, i, &rows[i]));
        names += n + 1;
    }
    keep_rows(list, rows, count);
    return TDO_OK;
}

/* A key that opens like a list but names no option of a row that is there. */
static tdo_err fail_in_list(const struct list *list, const char *key, const char *rest)
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
    return fail_unknown_in_row(list, &list->rows[row], argument_place, option);
}

tdo_err tdo_config_set(tdo_config *c, const char *argument)
{
    const char *equals = strchr(argument, '='), *rest = NULL;
    char key[MAX_KEY];
    struct place at;
    if (!equals || equals == argument || (size_t)(equals - argument) >= sizeof key) {
        return TDO_FAIL(TDO_ERR_USAGE, "%s: '%.200s' is not of the form key=value",
                        argument_place, argument);
    }
    snprintf(key, sizeof key, "%.*s", (int)(equals - argument), argument);
    struct list *list = find_list(c, key);
    if (list) {
        return set_list(c, list, equals + 1);
    }
    if (find_option(c, key, &at)) {
        return set_value(c->arena, at.scope, at.i, equals + 1, argument_place);
    }
    list = list_around(c, key, &rest);
    return list ? fail_in_list(list, key, rest) : fail_unknown_top(c, argument_place, key);
}

/* ---- look-ups ---- */

static tdo_err check_scope(const struct scope *s, unsigned jobs)
{
    for (int i = 0; i < s->count; i++) {
        const struct tdo_option *o = &s->table[i];
        if (!s->values[i].text && (*s->prefix || (o->jobs & jobs))) {
            return TDO_FAIL(TDO_ERR_CONFIG, "%s%s is missing, expected %s: %s", s->prefix,
                            o->key, expected(o).s, o->help);
        }
    }
    return TDO_OK;
}

static tdo_err check_rows(const struct list *list, unsigned jobs)
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
        struct text t;
        snprintf(t.s, sizeof t.s, "option '%.200s' %s", key, what);
        tdo_error_bug(__FILE__, __LINE__, t.s);
    }
}

/* The value of a key that must be there, of the type `a` or `b`. */
static const struct value *fetch(const tdo_config *c, const char *key, enum tdo_option_type a,
                                 enum tdo_option_type b)
{
    struct place at;
    require(find_option(c, key, &at), "in the schema", key);
    const struct value *v = &at.scope->values[at.i];
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

int tdo_config_reals(const tdo_config *c, const char *key, double *out, int room)
{
    const struct value *v = fetch(c, key, TDO_OPTION_REALS, TDO_OPTION_REALS);
    for (int i = 0; i < v->count && i < room; i++) {
        out[i] = v->reals[i];
    }
    return v->count;
}

bool tdo_config_given(const tdo_config *c, const char *key)
{
    const struct list *list = find_list(c, key);
    struct place at;
    if (list) {
        return list->given;
    }
    require(find_option(c, key, &at), "in the schema", key);
    return at.scope->values[at.i].given;
}

int tdo_config_rows(const tdo_config *c, const char *key)
{
    const struct list *list = find_list(c, key);
    require(list != NULL, "a list of the schema", key);
    return list->count;
}

int tdo_config_row_index(const tdo_config *c, const char *key, int row)
{
    const struct list *list = find_list(c, key);
    require(list != NULL, "a list of the schema", key);
    require(row >= 0 && row < list->count, "fetched at a row that it has", key);
    return list->rows[row].index;
}

/* ---- JSON ---- */

static tdo_err put_value(tdo_json *j, const char *key, const struct tdo_option *o,
                         const struct value *v)
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
                          const struct value *v, tdo_json **array)
{
    const char *dot = strchr(key, '.');
    if (dot) {
        char group[MAX_KEY];
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

static tdo_err row_json(const struct list *list, const struct row *row, tdo_json **out)
{
    const struct scope *s = row->scope;
    tdo_err err = tdo_json_object(out);
    tdo_json_set_text(*out, "name", list->about->name(row->index));
    for (int i = 0; i < s->count && err == TDO_OK; i++) {
        if (s->values[i].text) {
            err = put_value(*out, s->table[i].key, &s->table[i], &s->values[i]);
        }
    }
    return err;
}

static tdo_err put_list(tdo_json *root, const struct list *list)
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

/* ---- help ---- */

enum { WIDEST_KEY = 28, WIDEST_DEFAULT = 16, WIDEST_EXPECTED = 44 };

struct widths {
    int key, value, expected;
};

static const char *default_text(const struct tdo_option *o)
{
    return !o->value ? "required" : *o->value ? o->value : "-";
}

static int wider(int width, const char *text, int widest)
{
    int n = (int)strlen(text);
    return n > width && n <= widest ? n : width;
}

static void widen(struct widths *w, const struct tdo_option *o)
{
    w->key = wider(w->key, o->key, WIDEST_KEY);
    w->value = wider(w->value, default_text(o), WIDEST_DEFAULT);
    w->expected = wider(w->expected, expected(o).s, WIDEST_EXPECTED);
}

/* One option; a column that is too wide pushes the rest of its line to the right. */
static void print_option(FILE *to, const char *indent, const struct widths *w,
                         const struct tdo_option *o)
{
    fprintf(to, "%s%-*s  %-*s  %-*s  %s\n", indent, w->key, o->key, w->value, default_text(o),
            w->expected, expected(o).s, o->help);
}

static int prefix_length(const char *key)
{
    return (int)strcspn(key, ".");
}

static void print_lists(FILE *to, const struct tdo_option_list *list, unsigned jobs)
{
    for (; list && list->key; list++) {
        if (!(list->jobs & jobs)) {
            continue;
        }
        fprintf(to, "\n%s = ( { name = \"...\"; ... }, ... )\n  %s\n  names:", list->key,
                list->help);
        for (int i = 0; list->name(i); i++) {
            fprintf(to, "%s %s", i ? "," : "", list->name(i));
        }
        fprintf(to, "\n");
    }
}

void tdo_option_print(FILE *to, const struct tdo_schema *schema, unsigned jobs)
{
    struct widths w = {0, 0, 0};
    const char *section = NULL;
    for (const struct tdo_option *o = schema->options; o && o->key; o++) {
        if (o->jobs & jobs) {
            widen(&w, o);
        }
    }
    for (const struct tdo_option *o = schema->options; o && o->key; o++) {
        if (!(o->jobs & jobs)) {
            continue;
        }
        int n = prefix_length(o->key);
        if (!section || prefix_length(section) != n ||
            strncmp(section, o->key, (size_t)n) != 0) {
            fprintf(to, "%s%.*s\n", section ? "\n" : "", n, o->key);
            section = o->key;
        }
        print_option(to, "  ", &w, o);
    }
    print_lists(to, schema->lists, jobs);
}

void tdo_option_print_rows(FILE *to, const struct tdo_option *table, const char *indent)
{
    struct widths w = {0, 0, 0};
    for (const struct tdo_option *o = table; o && o->key; o++) {
        widen(&w, o);
    }
    for (const struct tdo_option *o = table; o && o->key; o++) {
        print_option(to, indent, &w, o);
    }
}
