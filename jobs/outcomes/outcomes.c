/* outcomes.tsv and attack.json, written and read. See outcomes.h.
 *
 * One table says what the columns are: their names, where they lie in the struct and what they may
 * hold. The header, the writer, the parser and its messages go by it. The parser takes a line only
 * as the writer would have written it in this place: attack and idx are not data but positions. */
#include "jobs/outcomes/outcomes.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/base/file.h"
#include "nn/base/memory.h"

static const char table_name[] = "outcomes.tsv", about_name[] = "attack.json";

/* ---- columns ------------------------------------------------------------------------------------ */

enum kind { CLASS, AIM, FLAG, COUNT, WRONG, DRAWS, REAL };

static const struct column {
    const char *name;
    enum kind kind;
    size_t at; /* in struct tdo_outcome */
} columns[] = {{"label", CLASS, offsetof(struct tdo_outcome, label)},
               {"clean", CLASS, offsetof(struct tdo_outcome, clean)},
               {"predict", CLASS, offsetof(struct tdo_outcome, predict)},
               {"target", AIM, offsetof(struct tdo_outcome, target)},
               {"success", FLAG, offsetof(struct tdo_outcome, success)},
               {"l0", REAL, offsetof(struct tdo_outcome, l0)},
               {"l2", REAL, offsetof(struct tdo_outcome, l2)},
               {"linf", REAL, offsetof(struct tdo_outcome, linf)},
               {"x2", REAL, offsetof(struct tdo_outcome, x2)},
               {"xinf", REAL, offsetof(struct tdo_outcome, xinf)},
               {"queries", COUNT, offsetof(struct tdo_outcome, queries)},
               {"gradients", COUNT, offsetof(struct tdo_outcome, gradients)},
               {"wrong", WRONG, offsetof(struct tdo_outcome, wrong)},
               {"draws", DRAWS, offsetof(struct tdo_outcome, draws)}};

/* attack and idx stand in front of these; a line has at least a character for each, a tab between
 * any two, and its end. */
enum { COLUMNS = sizeof columns / sizeof *columns, SHORTEST_LINE = 2 * (COLUMNS + 2) };

/* A number in its place, by kind. */
union number {
    int32_t i;
    uint64_t u;
    double r;
};

static union number get(const struct tdo_outcome *o, const struct column *c)
{
    const char *at = (const char *)o + c->at;
    union number n = {0};
    memcpy(&n, at, c->kind == REAL || c->kind == COUNT ? 8 : 4);
    return n;
}

static void put(struct tdo_outcome *o, const struct column *c, union number n)
{
    memcpy((char *)o + c->at, &n, c->kind == REAL || c->kind == COUNT ? 8 : 4);
}

static bool fits(const struct column *c, union number n, int classes)
{
    switch (c->kind) {
    case CLASS:
        return n.i >= 0 && n.i < classes;
    case AIM:
        return n.i >= -1 && n.i < classes;
    case FLAG:
        return n.i == 0 || n.i == 1;
    case WRONG:
        return n.i >= 0;
    case DRAWS:
        return n.i >= 1;
    case REAL:
        return isfinite(n.r) && n.r >= 0;
    case COUNT:
        break;
    }
    return true;
}

/* What a column takes, for messages. */
static const char *expected(const struct column *c, int classes, char text[64])
{
    switch (c->kind) {
    case CLASS:
    case AIM:
        snprintf(text, 64, "a class from %d to %d", c->kind == AIM ? -1 : 0, classes - 1);
        break;
    case FLAG:
        return "0 or 1";
    case DRAWS:
        return "a whole number from 1 on";
    case REAL:
        return "a number that is not negative";
    default:
        return "a whole number from 0 on";
    }
    return text;
}

/* ---- what attack.json says ----------------------------------------------------------------------- */

enum { MOST_ATTACKS = 1 << 14 };
#define MOST_ROWS (INT64_C(1) << 40)

/* What the table must agree with. */
struct about {
    int64_t images, skip;
    int attacks, classes;
    int64_t *taken; /* [attacks] */
};

static tdo_err about_int(const tdo_json *j, const char *path, const char *key, int64_t most,
                         int64_t *out)
{
    if (!tdo_json_get_int(j, key, out) || *out < 1 || *out > most) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: \"%s\": a whole number from 1 to %" PRId64 " expected", path, key,
                        most);
    }
    return TDO_OK;
}

static tdo_err attack_fail(const char *path, int a, const char *key, const char *want)
{
    return TDO_FAIL(TDO_ERR_FORMAT, "%s: attack %d: \"%s\": %s expected", path, a, key, want);
}

/* A text that is one field of a table. */
static bool is_field(const char *text)
{
    for (const char *c = text; c && *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            return false;
        }
    }
    return text && *text;
}

static tdo_err read_norm(const char *path, const tdo_json *j, int a,
                         struct tdo_outcomes_attack *out)
{
    const char *text = NULL;
    out->norm = TDO_NORMS;
    if (tdo_json_get_text(j, "norm", &text)) {
        for (int k = 0; k < TDO_NORMS; k++) {
            if (strcmp(text, tdo_threat_norm_name((enum tdo_norm)k)) == 0) {
                out->norm = (enum tdo_norm)k;
            }
        }
        if (out->norm == TDO_NORMS) {
            return attack_fail(path, a, "norm", "l0, l2 or linf");
        }
    }
    return TDO_OK;
}

static tdo_err read_eps(const char *path, const tdo_json *j, int a,
                        struct tdo_outcomes_attack *out)
{
    tdo_json *eps = NULL;
    const char *text = NULL;
    double value = 0;
    bool some = false, good = true;
    if (tdo_json_get(j, "eps", &eps)) {
        some = tdo_json_real(eps, &value);
        good = some ? value >= 0 : !tdo_json_text_of(eps, &text) && tdo_json_size(eps) == 0;
    }
    tdo_json_free(&eps);
    if (!good) {
        return attack_fail(path, a, "eps", "a number that is not negative, or null,");
    }
    out->eps = some ? value : HUGE_VAL;
    return TDO_OK;
}

static tdo_err read_taken(const char *path, const tdo_json *about, const tdo_json *j, int a,
                          struct tdo_outcomes_attack *out)
{
    int64_t images = 0;
    double from = 0;
    tdo_json *taken = NULL, *options = NULL;
    (void)tdo_json_get_int(about, "images", &images);
    out->taken = images;
    if (tdo_json_get(j, "options", &options)) {
        out->ranged = tdo_json_get_real(options, "eps_from", &from) && from > 0;
    }
    tdo_json_free(&options);
    const bool some = tdo_json_get(j, "taken", &taken);
    tdo_json_free(&taken);
    if (some &&
        (!tdo_json_get_int(j, "taken", &out->taken) || out->taken < 0 || out->taken > images)) {
        return attack_fail(path, a, "taken", "a whole number from 0 to that of the images");
    }
    return TDO_OK;
}

static tdo_err read_attack(const char *path, const tdo_json *about, int a,
                           struct tdo_outcomes_attack *out)
{
    tdo_json *list = NULL, *j = NULL;
    tdo_err err = TDO_OK;
    *out = (struct tdo_outcomes_attack){0};
    if (!tdo_json_get(about, "attacks", &list) || !tdo_json_is_array(list) ||
        !tdo_json_at(list, a, &j) || !tdo_json_is_object(j)) {
        err = TDO_FAIL(TDO_ERR_FORMAT, "%s: attack %d: an object in \"attacks\" expected", path,
                       a);
    } else if (!tdo_json_get_text(j, "name", &out->name) || !is_field(out->name)) {
        err = attack_fail(path, a, "name", "a text");
    } else if (!tdo_json_get_text(j, "title", &out->title) || !is_field(out->title)) {
        err = attack_fail(path, a, "title", "a text on one line, without tabs,");
    } else {
        err = read_norm(path, j, a, out);
        err = err == TDO_OK ? read_eps(path, j, a, out) : err;
        err = err == TDO_OK ? read_taken(path, about, j, a, out) : err;
    }
    tdo_json_free(&j);
    tdo_json_free(&list);
    return err;
}

tdo_err tdo_outcomes_attack(const struct tdo_outcomes *o, int a,
                            struct tdo_outcomes_attack *out)
{
    return read_attack(about_name, o->about, a, out);
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* Every attack is described, and no two have one title. */
static tdo_err check_attacks(const char *path, const tdo_json *j, int attacks, int64_t *taken)
{
    const char **title = NULL;
    struct tdo_outcomes_attack attack;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(attacks, &title));
    for (int a = 0; a < attacks; a++) {
        TDO_GOTO(read_attack(path, j, a, &attack));
        title[a] = attack.title;
        taken[a] = attack.taken;
        for (int b = 0; b < a; b++) {
            if (same(title[a], title[b])) {
                TDO_GOTO(TDO_FAIL(TDO_ERR_FORMAT,
                                  "%s: attacks %d and %d have the title '%s': different ones "
                                  "expected",
                                  path, b, a, title[a]));
            }
        }
    }
done:
    tdo_memory_free(&title);
    return err;
}

static tdo_err read_keys(const tdo_json *j, const char *path, struct about *out)
{
    tdo_json *list = NULL;
    int64_t classes = 0, attacks = 0;
    TDO_TRY(about_int(j, path, "skip", MOST_ROWS, &out->skip));
    TDO_TRY(about_int(j, path, "images", (MOST_ROWS - 1) / out->skip + 1, &out->images));
    TDO_TRY(about_int(j, path, "classes", 1 << 30, &classes));
    if (tdo_json_get(j, "attacks", &list) && tdo_json_is_array(list)) {
        attacks = tdo_json_size(list);
    }
    tdo_json_free(&list);
    if (attacks < 1 || attacks > MOST_ATTACKS) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: \"attacks\": a list of 1 to %d attacks expected",
                        path, MOST_ATTACKS);
    }
    out->classes = (int)classes;
    out->attacks = (int)attacks;
    TDO_TRY(tdo_memory_new(out->attacks, &out->taken));
    return check_attacks(path, j, out->attacks, out->taken);
}

static tdo_err read_about(const tdo_json *j, const char *path, struct about *out)
{
    if (!j || !tdo_json_is_object(j)) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: an object expected", path);
    }
    tdo_err err = read_keys(j, path, out);
    TDO_TRY(tdo_json_check(j)); /* a look-up that was short of memory */
    return err;
}

/* ---- life ---------------------------------------------------------------------------------------- */

tdo_err tdo_outcomes_new(int attacks, int64_t images, struct tdo_outcomes *out)
{
    *out = (struct tdo_outcomes){.images = images, .attacks = attacks};
    if (attacks < 1 || images < 1 || images > INT64_MAX / attacks) {
        return TDO_FAIL(TDO_ERR_BUG, "outcomes of %d attacks on %" PRId64 " images", attacks,
                        images);
    }
    return tdo_memory_new(attacks * images, &out->of);
}

void tdo_outcomes_free(struct tdo_outcomes *o)
{
    tdo_memory_free(&o->of);
    tdo_json_free(&o->about);
}

double tdo_outcome_length(const struct tdo_outcome *o, enum tdo_norm norm)
{
    return norm == TDO_NORM_L0 ? o->l0 : norm == TDO_NORM_L2 ? o->l2 : o->linf;
}

bool tdo_outcome_taken(const struct tdo_outcome *o)
{
    return o->draws > 0;
}

bool tdo_outcome_clean(const struct tdo_outcome *o)
{
    return o->clean == o->label;
}

bool tdo_outcome_right(const struct tdo_outcome *o)
{
    return o->predict == o->label;
}

struct tdo_outcome *tdo_outcomes_at(const struct tdo_outcomes *o, int a, int64_t i)
{
    return &o->of[a * o->images + i];
}

tdo_err tdo_outcomes_places(const struct tdo_outcomes *o, int64_t *place, int64_t *rows)
{
    int64_t *next = NULL; /* [attacks] the place that comes next, of each layer */
    TDO_TRY(tdo_memory_new(o->attacks + 1, &next));
    for (int64_t i = 0; i < o->images; i++) {
        int layer = 0;
        for (int a = 0; a < o->attacks; a++) {
            next[layer + 1] += tdo_outcome_taken(tdo_outcomes_at(o, a, i));
            layer += tdo_outcome_taken(tdo_outcomes_at(o, a, i));
        }
    }
    for (int layer = 1; layer <= o->attacks; layer++) {
        next[layer] += next[layer - 1]; /* where the next one begins */
    }
    *rows = next[o->attacks];
    for (int64_t i = 0; i < o->images; i++) {
        int layer = 0;
        for (int a = 0; a < o->attacks; a++) {
            const bool taken = tdo_outcome_taken(tdo_outcomes_at(o, a, i));
            place[a * o->images + i] = taken ? next[layer]++ : -1;
            layer += taken;
        }
    }
    tdo_memory_free(&next);
    return TDO_OK;
}

/* ---- writing ------------------------------------------------------------------------------------- */

static void write_header(FILE *to)
{
    fprintf(to, "attack\tidx");
    for (int c = 0; c < COLUMNS; c++) {
        fprintf(to, "\t%s", columns[c].name);
    }
    fputc('\n', to);
}

static void write_line(FILE *to, int a, const struct tdo_outcome *o)
{
    fprintf(to, "%d\t%" PRId64, a, o->row);
    for (int c = 0; c < COLUMNS; c++) {
        const union number n = get(o, &columns[c]);
        switch (columns[c].kind) {
        case REAL:
            fprintf(to, "\t%.9g", n.r);
            break;
        case COUNT:
            fprintf(to, "\t%" PRIu64, n.u);
            break;
        default:
            fprintf(to, "\t%" PRId32, n.i);
        }
    }
    fputc('\n', to);
}

/* What a reader would refuse must not be written. */
static tdo_err check_outcome(const struct tdo_outcomes *o, const struct about *about, int a,
                             int64_t i)
{
    const struct tdo_outcome *of = tdo_outcomes_at(o, a, i);
    char text[64];
    for (int c = 0; tdo_outcome_taken(of) && c < COLUMNS; c++) {
        if (!fits(&columns[c], get(of, &columns[c]), about->classes)) {
            return TDO_FAIL(TDO_ERR_BUG, "%s: attack %d, image %" PRId64 ", %s: %s expected",
                            table_name, a, i, columns[c].name,
                            expected(&columns[c], about->classes, text));
        }
    }
    if (of->wrong > of->draws || of->row != i * about->skip ||
        of->label != tdo_outcomes_at(o, 0, i)->label) {
        return TDO_FAIL(TDO_ERR_BUG, "%s: attack %d, image %" PRId64 ": row, label or draws",
                        table_name, a, i);
    }
    return TDO_OK;
}

static tdo_err check_attack(const struct tdo_outcomes *o, const struct about *about, int a)
{
    int64_t taken = 0;
    for (int64_t i = 0; i < o->images; i++) {
        TDO_TRY(check_outcome(o, about, a, i));
        taken += tdo_outcome_taken(tdo_outcomes_at(o, a, i));
    }
    return taken == about->taken[a]
               ? TDO_OK
               : TDO_FAIL(TDO_ERR_BUG,
                          "%s: attack %d took %" PRId64 " images, the table has %" PRId64,
                          about_name, a, about->taken[a], taken);
}

static tdo_err check_all(const struct tdo_outcomes *o)
{
    struct about about = {0};
    tdo_err err = TDO_OK;
    TDO_GOTO(read_about(o->about, about_name, &about));
    if (about.images != o->images || about.attacks != o->attacks) {
        TDO_GOTO(TDO_FAIL(TDO_ERR_BUG,
                          "%s is about %d attacks on %" PRId64
                          " images, the table %d on %" PRId64,
                          about_name, about.attacks, about.images, o->attacks, o->images));
    }
    for (int a = 0; a < o->attacks; a++) {
        TDO_GOTO(check_attack(o, &about, a));
    }
done:
    tdo_memory_free(&about.taken);
    return err;
}

static tdo_err path_in(const char *dir, const char *name, char *text, size_t size)
{
    const int n = snprintf(text, size, "%s/%s", dir, name);
    return n >= 0 && (size_t)n < size ? TDO_OK
                                      : TDO_FAIL(TDO_ERR_CONFIG, "%s is too long a path", dir);
}

static tdo_err write_about(const struct tdo_outcomes *o, const char *path)
{
    char *text = NULL;
    TDO_TRY(tdo_json_text(o->about, 2, &text));
    const size_t length = strlen(text);
    text[length] = '\n'; /* in place of the zero */
    tdo_err err = tdo_file_write(path, text, (int64_t)length + 1);
    tdo_memory_free(&text);
    return err;
}

static tdo_err write_table(const struct tdo_outcomes *o, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (!to) {
        return TDO_FAIL(TDO_ERR_MEMORY, "out of memory for %s", path);
    }
    write_header(to);
    for (int a = 0; a < o->attacks; a++) {
        for (int64_t i = 0; i < o->images; i++) {
            if (tdo_outcome_taken(tdo_outcomes_at(o, a, i))) {
                write_line(to, a, tdo_outcomes_at(o, a, i));
            }
        }
    }
    tdo_err err = fclose(to) == 0 ? tdo_file_write(path, text, (int64_t)size)
                                  : TDO_FAIL(TDO_ERR_MEMORY, "out of memory for %s", path);
    free(text);
    return err;
}

tdo_err tdo_outcomes_write(const struct tdo_outcomes *o, const char *dir)
{
    char path[1024];
    TDO_TRY(check_all(o));
    TDO_TRY(path_in(dir, about_name, path, sizeof path));
    TDO_TRY(write_about(o, path));
    TDO_TRY(path_in(dir, table_name, path, sizeof path));
    return write_table(o, path);
}

/* ---- reading ------------------------------------------------------------------------------------- */

/* Where the parser is. */
struct reader {
    const char *path, *at, *end;
    int64_t line;
    struct about about;
    struct tdo_outcomes *out;
};

/* The next field into text [64], which must end with `stop`; false if it does not or is too long. */
static bool next_field(struct reader *r, char stop, char text[64])
{
    size_t n = 0;
    while (r->at < r->end && *r->at != '\t' && *r->at != '\n' && n < 63) {
        text[n++] = *r->at++;
    }
    text[n] = 0;
    if (r->at == r->end || *r->at != stop) {
        return false;
    }
    r->at++;
    return true;
}

/* A whole number as it is printed: no signs but a minus, no zeros in front. */
static bool parse_whole(const char *text, uint64_t most, bool *negative, uint64_t *out)
{
    *negative = *text == '-';
    if (*negative) {
        text++;
    }
    if (!*text || (*text == '0' && (text[1] || *negative))) {
        return false;
    }
    for (*out = 0; *text; text++) {
        const unsigned digit = (unsigned)(unsigned char)*text - '0';
        if (digit > 9 || *out > (most - digit) / 10) {
            return false;
        }
        *out = 10 * *out + digit;
    }
    return true;
}

static bool parse_real(const char *text, double *out)
{
    char *end = NULL;
    if (!*text || strspn(text, "0123456789.e+-") != strlen(text)) {
        return false;
    }
    *out = strtod(text, &end);
    return !*end;
}

static bool parse_number(const struct column *c, const char *text, union number *n)
{
    bool negative = false;
    uint64_t u = 0;
    if (c->kind == REAL) {
        return parse_real(text, &n->r);
    }
    if (!parse_whole(text, c->kind == COUNT ? UINT64_MAX : INT32_MAX, &negative, &u)) {
        return false;
    }
    if (c->kind == COUNT) {
        n->u = u;
        return !negative;
    }
    n->i = negative ? -(int32_t)u : (int32_t)u;
    return true;
}

static tdo_err columns_fail(const struct reader *r)
{
    return TDO_FAIL(TDO_ERR_FORMAT,
                    "%s: line %" PRId64 ": %d columns with tabs between them expected", r->path,
                    r->line, COLUMNS + 2);
}

/* attack and idx say where the line belongs. */
static tdo_err read_position(struct reader *r, int a, int64_t i, struct tdo_outcome *o)
{
    const uint64_t want[2] = {(uint64_t)a, (uint64_t)(i * r->about.skip)};
    char text[64];
    for (int k = 0; k < 2; k++) {
        bool negative = false;
        uint64_t n = 0;
        if (!next_field(r, '\t', text)) {
            return columns_fail(r);
        }
        if (!parse_whole(text, INT64_MAX, &negative, &n) || negative || n != want[k]) {
            return TDO_FAIL(
                TDO_ERR_FORMAT,
                "%s: line %" PRId64 ": %s '%s', but %" PRIu64
                " expected: lines are sorted by attack, then idx, with %d attacks and "
                "every %" PRId64 ". image (%s)",
                r->path, r->line, k ? "idx" : "attack", text, want[k], r->about.attacks,
                r->about.skip, about_name);
        }
    }
    o->row = i * r->about.skip;
    return TDO_OK;
}

static tdo_err read_columns(struct reader *r, struct tdo_outcome *o)
{
    char text[64], want[64];
    for (int c = 0; c < COLUMNS; c++) {
        union number n = {0};
        if (!next_field(r, c + 1 < COLUMNS ? '\t' : '\n', text)) {
            return columns_fail(r);
        }
        if (!parse_number(&columns[c], text, &n) || !fits(&columns[c], n, r->about.classes)) {
            return TDO_FAIL(TDO_ERR_FORMAT, "%s: line %" PRId64 ": %s '%s': %s expected",
                            r->path, r->line, columns[c].name, text,
                            expected(&columns[c], r->about.classes, want));
        }
        put(o, &columns[c], n);
    }
    return TDO_OK;
}

static tdo_err read_line(struct reader *r, int a, int64_t i)
{
    struct tdo_outcome *o = tdo_outcomes_at(r->out, a, i);
    r->line++;
    if (r->at == r->end) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: line %" PRId64 " is missing: %d attacks on %" PRId64
                        " images expected (%s)",
                        r->path, r->line, r->about.attacks, r->about.images, about_name);
    }
    TDO_TRY(read_position(r, a, i, o));
    TDO_TRY(read_columns(r, o));
    if (o->wrong > o->draws) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: line %" PRId64 ": %d wrong of %d draws", r->path,
                        r->line, o->wrong, o->draws);
    }
    for (int b = 0; b < a; b++) {
        const struct tdo_outcome *before = tdo_outcomes_at(r->out, b, i);
        if (!tdo_outcome_taken(before)) {
            continue;
        }
        return o->label == before->label
                   ? TDO_OK
                   : TDO_FAIL(TDO_ERR_FORMAT,
                              "%s: line %" PRId64
                              ": label %d, but %d for the same image in attack %d",
                              r->path, r->line, o->label, before->label, b);
    }
    return TDO_OK;
}

static tdo_err read_header(struct reader *r)
{
    char text[64];
    r->line = 1;
    for (int c = -2; c < COLUMNS; c++) {
        const char *want = c == -2 ? "attack" : c == -1 ? "idx" : columns[c].name;
        const bool whole = next_field(r, c + 1 < COLUMNS ? '\t' : '\n', text);
        if (!whole || strcmp(text, want) != 0) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s: line 1: column %d is '%s', the header of %d columns with '%s' "
                            "there expected",
                            r->path, c + 3, text, COLUMNS + 2, want);
        }
    }
    return TDO_OK;
}

/* Is the next line that of attack a and image i? */
static bool is_next(struct reader *r, int a, int64_t i)
{
    const uint64_t want[2] = {(uint64_t)a, (uint64_t)(i * r->about.skip)};
    const char *at = r->at;
    bool same = true;
    for (int k = 0; same && k < 2; k++) {
        char text[64];
        bool negative = false;
        uint64_t n = 0;
        same = next_field(r, '\t', text) && parse_whole(text, INT64_MAX, &negative, &n) &&
               n == want[k];
    }
    r->at = at;
    return same;
}

/* The lines of one attack. Where as many images are left as it took, each must have its line. */
static tdo_err read_attack_lines(struct reader *r, int a)
{
    int64_t left = r->about.taken[a];
    for (int64_t i = 0; i < r->about.images; i++) {
        if (left == r->about.images - i || (left > 0 && is_next(r, a, i))) {
            TDO_TRY(read_line(r, a, i));
            left--;
        }
    }
    return TDO_OK;
}

/* What other attacks say of images that one did not take. */
static void fill_absent(struct tdo_outcomes *o, int64_t skip)
{
    for (int64_t i = 0; i < o->images; i++) {
        struct tdo_outcome like = {.row = i * skip, .label = -1, .clean = -2, .target = -1};
        for (int a = o->attacks - 1; a >= 0; a--) {
            const struct tdo_outcome *of = tdo_outcomes_at(o, a, i);
            if (tdo_outcome_taken(of)) {
                like.label = of->label;
                like.clean = of->clean;
            }
        }
        for (int a = 0; a < o->attacks; a++) {
            if (!tdo_outcome_taken(tdo_outcomes_at(o, a, i))) {
                *tdo_outcomes_at(o, a, i) = like;
            }
        }
    }
}

/* Can a file of so many lines be all of it? A small share of many images makes few lines, but no
 * table is as empty as that. */
static tdo_err check_length(const struct reader *r, int64_t most)
{
    enum { EMPTIEST = 4096, FEW = 1024 };
    int64_t lines = 0;
    for (int a = 0; a < r->about.attacks; a++) {
        lines += r->about.taken[a];
    }
    if (lines > most || r->about.images / EMPTIEST > (lines + FEW) / r->about.attacks) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: too short for %d attacks on %" PRId64 " images (%s)", r->path,
                        r->about.attacks, r->about.images, about_name);
    }
    return TDO_OK;
}

static tdo_err read_lines(struct reader *r)
{
    const int64_t most = (r->end - r->at) / SHORTEST_LINE; /* lines that the file can hold */
    TDO_TRY(read_header(r));
    TDO_TRY(check_length(r, most));
    TDO_TRY(tdo_memory_new(r->about.attacks * r->about.images, &r->out->of));
    r->out->attacks = r->about.attacks;
    r->out->images = r->about.images;
    for (int a = 0; a < r->about.attacks; a++) {
        TDO_TRY(read_attack_lines(r, a));
    }
    fill_absent(r->out, r->about.skip);
    if (r->at != r->end) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: line %" PRId64 ": no more than %d attacks on %" PRId64
                        " images expected (%s)",
                        r->path, r->line + 1, r->about.attacks, r->about.images, about_name);
    }
    return TDO_OK;
}

enum { MOST_ABOUT = 1 << 26 };                      /* bytes of attack.json */
static const int64_t most_table = INT64_C(1) << 36; /* and of the table */

tdo_err tdo_outcomes_read(const char *dir, struct tdo_outcomes *out)
{
    char path[1024], *text = NULL;
    int64_t bytes = 0;
    struct reader r = {.out = out};
    tdo_err err = TDO_OK;
    *out = (struct tdo_outcomes){0};
    TDO_GOTO(path_in(dir, about_name, path, sizeof path));
    TDO_GOTO(tdo_file_read(path, MOST_ABOUT, &text, &bytes));
    TDO_GOTO(tdo_json_parse(text, (size_t)bytes, path, &out->about));
    tdo_memory_free(&text);
    TDO_GOTO(read_about(out->about, path, &r.about));
    TDO_GOTO(path_in(dir, table_name, path, sizeof path));
    TDO_GOTO(tdo_file_read(path, most_table, &text, &bytes));
    r.path = path;
    r.at = text;
    r.end = text + bytes;
    err = read_lines(&r);
done:
    tdo_memory_free(&r.about.taken);
    tdo_memory_free(&text);
    return err;
}
