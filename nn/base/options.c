/* The option table at work: suggestions, values, scopes, help. See options.h.
 *
 * A value arrives as text, whether it is a default, stood in a file or was an argument, and is
 * parsed and checked in one place. A scope is a table with the values of its options: a config
 * has one for the top level and one for every list row. The same table gives the words for
 * errors and for the help. */
#include "nn/base/options.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/base/config_impl.h"
#include "nn/base/memory.h"

enum { MAX_WORD = 63 /* letters of a word that is compared for suggestions */ };

/* ---- suggestions ---- */

/* Edit distance (insert, delete, replace, swap neighbours: optimal string alignment); INT_MAX
 * for words that are too long to compare. Row i of the table is about the first i letters of
 * a. */
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

/* The shortest of the usual forms that reads back to the same number. */
struct tdo_text tdo_option_number(double x)
{
    struct tdo_text t;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(t.s, sizeof t.s, "%.*g", digits, x);
        if (strtod(t.s, NULL) == x) {
            break;
        }
    }
    return t;
}

/* A finite number at the start of a text; *end is behind it. */
static bool parse_number(const char *s, double *out, char **end)
{
    if (*s == '\0' || !strchr("+-.0123456789", *s)) {
        return false;
    }
    *out = strtod(s, end);
    return *end != s && isfinite(*out);
}

/* The whole text as a finite number, or as the quotient of two: 8/255. */
static bool parse_real(const char *s, double *out)
{
    char *end = NULL;
    double below = 1;
    if (!parse_number(s, out, &end)) {
        return false;
    }
    if (*end == '/') {
        if (!parse_number(end + 1, &below, &end)) {
            return false;
        }
        *out /= below;
    }
    return *end == '\0' && isfinite(*out);
}

/* The whole text as an integer of 64 bits, also when it is written like 1e5. */
static bool parse_int(const char *s, int64_t *out)
{
    double x = 0;
    char *end = NULL;
    if (!parse_number(s, &x, &end) || *end != '\0') {
        return false;
    }
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
static tdo_err parse_reals(tdo_arena *arena, const struct tdo_option *o, struct tdo_value *v,
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
        char piece[TDO_MAX_NUMBER];
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
static tdo_err parse_value(tdo_arena *arena, const struct tdo_option *o, struct tdo_value *v,
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
static struct tdo_text range_text(const struct tdo_option *o)
{
    struct tdo_text t = {""}, low = tdo_option_number(o->min), high = tdo_option_number(o->max);
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
struct tdo_text tdo_option_expected(const struct tdo_option *o)
{
    static const char *const kind[] = {
        [TDO_OPTION_INT] = "an integer",     [TDO_OPTION_REAL] = "a number",
        [TDO_OPTION_BOOL] = "true or false", [TDO_OPTION_CHOICE] = "one of ",
        [TDO_OPTION_TEXT] = "a text",        [TDO_OPTION_REALS] = "a list of numbers"};
    bool numeric =
        o->type == TDO_OPTION_INT || o->type == TDO_OPTION_REAL || o->type == TDO_OPTION_REALS;
    struct tdo_text t, range = numeric ? range_text(o) : (struct tdo_text){""};
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

tdo_err tdo_option_fail(const char *where, const char *key, const char *shown,
                        const struct tdo_option *o)
{
    return TDO_FAIL(TDO_ERR_CONFIG, "%s: %s is %.200s, expected %s", where, key,
                    *shown ? shown : "empty", tdo_option_expected(o).s);
}

/* ---- scopes ---- */

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
                           struct tdo_value *v)
{
    bool fits = false;
    v->text = o->value;
    if (!o->value) {
        return TDO_OK;
    }
    TDO_TRY(parse_value(arena, o, v, &fits));
    if (!fits) {
        return TDO_FAIL(TDO_ERR_BUG, "option table: the default of %s%s is '%s', expected %s",
                        prefix, o->key, o->value, tdo_option_expected(o).s);
    }
    return TDO_OK;
}

/* A scope in which every option has its default. */
tdo_err tdo_scope_new(tdo_arena *arena, const struct tdo_option *table, const char *prefix,
                      struct tdo_scope **out)
{
    int n = table_size(table);
    struct tdo_scope *s = tdo_arena_get(arena, sizeof *s);
    struct tdo_value *values = tdo_arena_get(arena, sizeof *values * (size_t)n);
    *out = s;
    if (!s || !values) {
        return TDO_ERR_MEMORY;
    }
    for (int i = 0; i < n; i++) {
        TDO_TRY(check_row(table, i, prefix));
        TDO_TRY(set_default(arena, &table[i], prefix, &values[i]));
    }
    *s = (struct tdo_scope){.table = table, .count = n, .values = values, .prefix = prefix};
    return TDO_OK;
}

int tdo_option_at(const struct tdo_option *table, const char *key)
{
    for (int i = 0; table && table[i].key; i++) {
        if (strcmp(table[i].key, key) == 0) {
            return i;
        }
    }
    return -1;
}

int tdo_scope_find(const struct tdo_scope *s, const char *key)
{
    return tdo_option_at(s->table, key);
}

/* Bytes of the UTF-8 character at `c`; 0 if it is none. Source: RFC 3629, section 4. */
static int utf8_length(const unsigned char *c)
{
    const int more = c[0] < 0x80 ? 0 : c[0] < 0xc2 ? -1 : c[0] < 0xe0 ? 1 : c[0] < 0xf0 ? 2 : 3;
    const bool wrong = more < 0 || c[0] > 0xf4 || (c[0] == 0xe0 && c[1] < 0xa0) ||
                       (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
                       (c[0] == 0xf4 && c[1] > 0x8f);
    for (int i = 1; !wrong && i <= more; i++) {
        if ((c[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return wrong ? 0 : more + 1;
}

/* Texts go into JSON records, which are UTF-8. */
static bool is_utf8(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    int length = 1;
    while (*c && length > 0) {
        length = utf8_length(c);
        c += length;
    }
    return length > 0;
}

/* The one way in for values, whatever their source. */
tdo_err tdo_scope_set(tdo_arena *arena, struct tdo_scope *s, int i, const char *text,
                      const char *where)
{
    const struct tdo_option *o = &s->table[i];
    struct tdo_value v = {.given = true, .text = tdo_arena_string(arena, text)};
    bool fits = false;
    if (!v.text) {
        return TDO_ERR_MEMORY;
    }
    if (!is_utf8(text)) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s: %s%s is no text in UTF-8", where, s->prefix,
                        o->key);
    }
    TDO_TRY(parse_value(arena, o, &v, &fits));
    if (!fits) {
        char key[TDO_MAX_KEY];
        snprintf(key, sizeof key, "%s%s", s->prefix, o->key);
        return tdo_option_fail(where, key, text, o);
    }
    s->values[i] = v;
    return TDO_OK;
}

/* ---- help ---- */

enum { WIDEST_KEY = 28, WIDEST_DEFAULT = 16, WIDEST_EXPECTED = 44 };

struct widths {
    int key, value, expected;
    unsigned jobs; /* that the table is for; 0: a row's table */
};

const char *tdo_option_default(const struct tdo_option *o, unsigned jobs)
{
    const bool required = !o->value && (jobs == 0 || (jobs & o->jobs & ~o->optional));
    return required ? "required" : o->value && *o->value ? o->value : "-";
}

static int wider(int width, const char *text, int widest)
{
    int n = (int)strlen(text);
    return n > width && n <= widest ? n : width;
}

static void widen(struct widths *w, const struct tdo_option *o)
{
    w->key = wider(w->key, o->key, WIDEST_KEY);
    w->value = wider(w->value, tdo_option_default(o, w->jobs), WIDEST_DEFAULT);
    w->expected = wider(w->expected, tdo_option_expected(o).s, WIDEST_EXPECTED);
}

/* One option; a column that is too wide pushes the rest of its line to the right. */
static void print_option(FILE *to, const char *indent, const struct widths *w,
                         const struct tdo_option *o)
{
    fprintf(to, "%s%-*s  %-*s  %-*s  %s\n", indent, w->key, o->key, w->value,
            tdo_option_default(o, w->jobs), w->expected, tdo_option_expected(o).s, o->help);
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
    struct widths w = {.jobs = jobs};
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
    struct widths w = {0};
    for (const struct tdo_option *o = table; o && o->key; o++) {
        widen(&w, o);
    }
    for (const struct tdo_option *o = table; o && o->key; o++) {
        print_option(to, indent, &w, o);
    }
}
