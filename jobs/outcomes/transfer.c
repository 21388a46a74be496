/* Several runs over the same images. See transfer.h. */
#include "jobs/outcomes/transfer.h"

#include <inttypes.h>
#include <string.h>

#include "nn/base/memory.h"

static bool same_int(const tdo_json *a, const tdo_json *b, const char *key)
{
    int64_t x = 0, y = 0;
    return tdo_json_get_int(a, key, &x) == tdo_json_get_int(b, key, &y) && x == y;
}

static bool same_text(const tdo_json *a, const tdo_json *b, const char *key)
{
    const char *x = "", *y = "";
    return tdo_json_get_text(a, key, &x) == tdo_json_get_text(b, key, &y) && strcmp(x, y) == 0;
}

static tdo_err check_images(const struct tdo_outcomes *o, const char *const *name, int runs)
{
    for (int k = 1; k < runs; k++) {
        const tdo_json *a = o[0].about, *b = o[k].about;
        const char *differs = !same_text(a, b, "data")     ? "data"
                              : !same_text(a, b, "split")  ? "split"
                              : !same_int(a, b, "skip")    ? "skip"
                              : o[0].images != o[k].images ? "images"
                                                           : NULL;
        if (differs) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "%s and %s: attack.json has different \"%s\": attacks on the same "
                            "images expected",
                            name[0], name[k], differs);
        }
    }
    return TDO_OK;
}

/* The row of a title, a new one if there is none. */
static int title_row(struct tdo_transfer *t, const char *title)
{
    int row = 0;
    while (row < t->attacks && strcmp(t->title[row], title) != 0) {
        row++;
    }
    if (row == t->attacks) {
        t->title[t->attacks++] = title;
    }
    return row;
}

static bool predicts(const struct tdo_outcome *o)
{
    return o->predict == o->label;
}

static tdo_err fill_transfer(const struct tdo_outcomes *o, struct tdo_transfer *t)
{
    for (int k = 0; k < t->runs; k++) {
        for (int a = 0; a < o[k].attacks; a++) {
            struct tdo_outcomes_attack attack;
            TDO_TRY(tdo_outcomes_attack(&o[k], a, &attack));
            const int64_t at = (int64_t)title_row(t, attack.title) * t->runs + k;
            t->right[at] = t->taken[at] = 0;
            for (int64_t i = 0; i < o[k].images; i++) {
                const struct tdo_outcome *of = tdo_outcomes_at(&o[k], a, i);
                t->taken[at] += tdo_outcome_taken(of);
                t->right[at] += tdo_outcome_taken(of) && predicts(of);
            }
        }
    }
    return TDO_OK;
}

tdo_err tdo_transfer_new(const struct tdo_outcomes *o, const char *const *name, int runs,
                         struct tdo_transfer **out)
{
    struct tdo_transfer *t = NULL;
    int64_t most = 0;
    tdo_err err = TDO_OK;
    *out = NULL;
    TDO_TRY(check_images(o, name, runs));
    for (int k = 0; k < runs; k++) {
        most += o[k].attacks;
    }
    TDO_TRY(tdo_memory_new(1, &t));
    t->runs = runs;
    TDO_GOTO(tdo_memory_new(most, &t->title));
    TDO_GOTO(tdo_memory_new(most * runs, &t->right));
    TDO_GOTO(tdo_memory_new(most * runs, &t->taken));
    TDO_GOTO(fill_transfer(o, t));
    *out = t;
    t = NULL;
done:
    tdo_transfer_free(&t);
    return err;
}

void tdo_transfer_free(struct tdo_transfer **t)
{
    if (*t) {
        tdo_memory_free(&(*t)->title);
        tdo_memory_free(&(*t)->right);
        tdo_memory_free(&(*t)->taken);
        tdo_memory_free(t);
    }
}

void tdo_transfer_write(FILE *to, const struct tdo_transfer *t, const char *const *name)
{
    fprintf(to, "attack");
    for (int k = 0; k < t->runs; k++) {
        fprintf(to, "\t%s", name[k]);
    }
    fputc('\n', to);
    for (int a = 0; a < t->attacks; a++) {
        fprintf(to, "%s", t->title[a]);
        for (int k = 0; k < t->runs; k++) {
            const int64_t at = (int64_t)a * t->runs + k;
            if (t->taken[at] == 0) {
                fprintf(to, "\t-");
            } else {
                fprintf(to, "\t%.4f", 100 * (double)t->right[at] / (double)t->taken[at]);
            }
        }
        fputc('\n', to);
    }
}

void tdo_transfer_print(FILE *to, const struct tdo_transfer *t, const char *const *name)
{
    int width = 17; /* of the heading */
    for (int a = 0; a < t->attacks; a++) {
        const int own = (int)strlen(t->title[a]);
        width = own > width ? own : width;
    }
    fprintf(to, "%-*s", width, "accuracy, percent");
    for (int k = 0; k < t->runs; k++) {
        fprintf(to, "  %9s", name[k]);
    }
    fputc('\n', to);
    for (int a = 0; a < t->attacks; a++) {
        fprintf(to, "%-*s", width, t->title[a]);
        for (int k = 0; k < t->runs; k++) {
            const int column = strlen(name[k]) > 9 ? (int)strlen(name[k]) : 9;
            const int64_t at = (int64_t)a * t->runs + k;
            if (t->taken[at] == 0) {
                fprintf(to, "  %*s", column, "-");
            } else {
                fprintf(to, "  %*.2f", column,
                        100 * (double)t->right[at] / (double)t->taken[at]);
            }
        }
        fputc('\n', to);
    }
}
