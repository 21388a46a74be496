/* The section on attacks: accuracy, distortion, transfer. See report.h; the numbers are those of
 * jobs/outcomes/robustness.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "jobs/report/report.h"
#include "nn/base/memory.h"

static const double nothing = (double)NAN;

static const char *norm_name(enum tdo_norm norm)
{
    return norm < TDO_NORMS ? tdo_threat_norm_name(norm) : "-";
}

static void real(tdo_table *t, double value, int digits)
{
    if (isfinite(value)) {
        tdo_table_cell(t, "%.*f", digits, value);
    } else {
        tdo_table_cell(t, "-");
    }
}

static void columns(tdo_table *t, const char *const *text, const char *const *number)
{
    for (int i = 0; text[i]; i++) {
        tdo_table_column(t, false, "%s", text[i]);
    }
    for (int i = 0; number[i]; i++) {
        tdo_table_column(t, true, "%s", number[i]);
    }
}

/* ---- accuracy ----------------------------------------------------------------------------------- */

/* Has any attack of any run a target that draws? */
static bool any_random(const struct tdo_report *r)
{
    for (int k = 0; k < r->runs; k++) {
        const struct tdo_robustness *b = r->run[k].robustness;
        for (int a = 0; b && a < b->attacks; a++) {
            if (b->row[a].random) {
                return true;
            }
        }
    }
    return false;
}

static void add_attack(tdo_table *t, const struct tdo_results *run, int a, bool random)
{
    const struct tdo_robustness_row *row = &run->robustness->row[a];
    const double images = (double)row->images;
    tdo_table_cell(t, "%s", run->name);
    tdo_table_cell(t, "%s", run->label[a]);
    tdo_table_cell(t, "%s", norm_name(row->attack.norm));
    if (isfinite(row->attack.eps)) {
        tdo_table_cell(t, "%g", row->attack.eps);
    } else {
        tdo_table_cell(t, "-");
    }
    tdo_table_cell(t, "%" PRId64, row->images);
    tdo_table_percent(t, (double)row->clean, images);
    tdo_table_percent(t, (double)row->right, images);
    tdo_table_percent(t, (double)row->success, images);
    if (random) {
        real(t, row->random ? 100 * row->expected : nothing, 2);
        real(t, row->random ? 100 * row->lower : nothing, 2);
        real(t, row->random ? 100 * row->upper : nothing, 2);
    }
}

static void add_worst(tdo_table *t, const char *run, const struct tdo_robustness *b,
                      bool random)
{
    const double images = (double)b->images;
    tdo_table_cell(t, "%s", run);
    tdo_table_cell(t, "worst case of all, image by image");
    tdo_table_cell(t, "-");
    tdo_table_cell(t, "-");
    tdo_table_cell(t, "%" PRId64, b->images);
    tdo_table_percent(t, (double)b->clean, images);
    tdo_table_percent(t, (double)b->worst, images);
    for (int i = 0; i < (random ? 4 : 1); i++) {
        tdo_table_cell(t, "-");
    }
}

/* A sentence for each black-box attack that beats the white-box ones. */
static void say_masks(struct tdo_report *r)
{
    for (int k = 0; k < r->runs; k++) {
        const struct tdo_results *run = &r->run[k];
        const struct tdo_robustness *b = run->robustness;
        for (int i = 0; b && i < b->masks; i++) {
            fprintf(r->page, "\n%s: ", run->name);
            tdo_robustness_say_mask(r->page, b, i, run->label[b->mask[i].black],
                                    run->label[b->mask[i].white]);
            fprintf(r->page, ".\n");
        }
    }
}

static tdo_err accuracy(struct tdo_report *r)
{
    static const char *const text[] = {"run", "attack", "norm", NULL};
    static const char *const plain[] = {"eps",       "images",      "clean (%)",
                                        "right (%)", "success (%)", NULL};
    static const char *const drawn[] = {"expected (%)", "from (%)", "to (%)", NULL};
    static const char *const none[] = {NULL};
    const bool random = any_random(r);
    tdo_table *t = NULL;
    TDO_TRY(tdo_table_new(&t));
    columns(t, text, plain);
    columns(t, none, random ? drawn : none);
    for (int k = 0; k < r->runs; k++) {
        const struct tdo_robustness *b = r->run[k].robustness;
        for (int a = 0; b && a < b->attacks; a++) {
            add_attack(t, &r->run[k], a, random);
        }
        if (b && b->attacks > 1) {
            add_worst(t, r->run[k].name, b, random);
        }
    }
    tdo_err err = tdo_report_table(r, t, "attacks");
    tdo_table_free(&t);
    fprintf(r->page,
            "Right: classified right after the attack. Success: the attack reached its "
            "class, or any wrong one when it aimed at none. Worst case: "
            "right clean and under each attack above, however far it may go.\n");
    if (random) {
        fprintf(r->page, "Expected: mean accuracy over the network's own randomness, with an "
                         "interval of 95 %%.\n");
    }
    say_masks(r);
    fputc('\n', r->page);
    return err;
}

/* ---- distortion --------------------------------------------------------------------------------- */

static void add_distortion(tdo_table *t, const struct tdo_results *run, int a)
{
    const struct tdo_robustness_row *row = &run->robustness->row[a];
    tdo_table_cell(t, "%s", run->name);
    tdo_table_cell(t, "%s", run->label[a]);
    tdo_table_cell(t, "%" PRId64, row->success);
    real(t, row->hit[TDO_NORM_L0].mean, 1);
    real(t, row->hit[TDO_NORM_L0].median, 1);
    real(t, row->hit[TDO_NORM_L2].mean, 4);
    real(t, row->hit[TDO_NORM_L2].median, 4);
    real(t, row->hit[TDO_NORM_LINF].mean, 4);
    real(t, row->hit[TDO_NORM_LINF].median, 4);
    real(t, row->rms_l2, 4);
    real(t, row->rho2, 4);
    real(t, row->empirical, 4);
    real(t, row->queries, 1);
    real(t, row->gradients, 1);
}

static tdo_err distortion(struct tdo_report *r)
{
    static const char *const text[] = {"run", "attack", NULL};
    static const char *const number[] = {
        "successes", "L0 mean",   "L0 median", "L2 mean", "L2 median",
        "L∞ mean",   "L∞ median", "RMS of L2", "rho2",    "emp. robustness",
        "queries",   "gradients", NULL};
    tdo_table *t = NULL;
    TDO_TRY(tdo_table_new(&t));
    columns(t, text, number);
    for (int k = 0; k < r->runs; k++) {
        const struct tdo_robustness *b = r->run[k].robustness;
        for (int a = 0; b && a < b->attacks; a++) {
            if (strcmp(b->row[a].attack.name, "clean") != 0) {
                add_distortion(t, &r->run[k], a);
            }
        }
    }
    if (tdo_table_rows(t) > 0) {
        fprintf(r->page, "### How far the attacks went\n\n");
    }
    tdo_err err = tdo_report_table(r, t, "distortion");
    if (tdo_table_rows(t) > 0) {
        fprintf(
            r->page,
            "Means and medians of norms: over successes. RMS of L2 (Liu et al. 2018) and rho2, "
            "mean of L2 over the image's own (Yan et al. 2018): over all images. Emp. "
            "robustness, mean of the norm over the image's own, where the class changed "
            "(Zantedeschi et al. 2017). Queries, gradients: model runs an image.\n\n");
    }
    tdo_table_free(&t);
    return err;
}

/* ---- transfer ----------------------------------------------------------------------------------- */

/* Were the same images attacked? Then the runs can be compared image by image. */
static bool same_images(const struct tdo_results *a, const struct tdo_results *b)
{
    static const char *const text[] = {"data", "split"};
    int64_t skip[2] = {0, 0};
    if (a->outcomes.images != b->outcomes.images) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        const char *of_a = "", *of_b = "";
        (void)tdo_json_get_text(a->outcomes.about, text[i], &of_a);
        (void)tdo_json_get_text(b->outcomes.about, text[i], &of_b);
        if (strcmp(of_a, of_b) != 0) {
            return false;
        }
    }
    (void)tdo_json_get_int(a->outcomes.about, "skip", &skip[0]);
    (void)tdo_json_get_int(b->outcomes.about, "skip", &skip[1]);
    return skip[0] == skip[1];
}

/* How many runs attacked the images of this one, itself included. */
static int companions(const struct tdo_report *r, const struct tdo_results *run)
{
    int count = 0;
    for (int k = 0; run->robustness && k < r->runs; k++) {
        count += r->run[k].robustness && same_images(run, &r->run[k]);
    }
    return count;
}

/* The attack of a run that is called so; -1 if there is none. */
static int find_label(const struct tdo_results *run, const char *label)
{
    for (int a = 0; a < run->outcomes.attacks; a++) {
        if (strcmp(run->label[a], label) == 0) {
            return a;
        }
    }
    return -1;
}

/* Runs on the same images; a row of the matrix is an attack that more than one of them has. */
struct matrix {
    int runs;
    const struct tdo_results **run; /* [runs] */
    tdo_table *table;
};

static void add_label(struct matrix *m, int first, const char *label)
{
    int known = 0;
    for (int k = 0; k < m->runs; k++) {
        const bool has = find_label(m->run[k], label) >= 0;
        if (has && k < first) {
            return; /* has its row already */
        }
        known += has;
    }
    if (known < 2) {
        return;
    }
    tdo_table_cell(m->table, "%s", label);
    for (int k = 0; k < m->runs; k++) {
        const int a = find_label(m->run[k], label);
        const struct tdo_robustness *b = m->run[k]->robustness;
        tdo_table_percent(m->table, a < 0 ? 0 : (double)b->row[a].right,
                          a < 0 ? 0 : (double)b->row[a].images);
    }
}

static tdo_err write_matrix(struct tdo_report *r, struct matrix *m)
{
    tdo_table_column(m->table, false, "right (%%) under");
    for (int k = 0; k < m->runs; k++) {
        tdo_table_column(m->table, true, "%s", m->run[k]->name);
    }
    for (int k = 0; k < m->runs; k++) {
        for (int a = 0; a < m->run[k]->outcomes.attacks; a++) {
            add_label(m, k, m->run[k]->label[a]);
        }
    }
    if (tdo_table_rows(m->table) == 0) {
        return TDO_OK;
    }
    fprintf(r->page, "### The same attacks on each run\n\n");
    return tdo_report_table(r, m->table, "transfer");
}

/* Of the largest set of runs on the same images. */
static tdo_err transfer(struct tdo_report *r)
{
    const struct tdo_results *first = &r->run[0];
    struct matrix m = {0};
    tdo_err err = TDO_OK;
    for (int k = 1; k < r->runs; k++) {
        first = companions(r, &r->run[k]) > companions(r, first) ? &r->run[k] : first;
    }
    if (companions(r, first) < 2) {
        return TDO_OK;
    }
    TDO_GOTO(tdo_memory_new(r->runs, &m.run));
    TDO_GOTO(tdo_table_new(&m.table));
    for (int k = 0; k < r->runs; k++) {
        if (r->run[k].robustness && same_images(first, &r->run[k])) {
            m.run[m.runs++] = &r->run[k];
        }
    }
    err = write_matrix(r, &m);
done:
    tdo_table_free(&m.table);
    tdo_memory_free(&m.run);
    return err;
}

/* ---- what was taken over ------------------------------------------------------------------------ */

/* The run whose directory holds this file, NULL if it is not in the report. */
static const struct tdo_results *run_of(const struct tdo_report *r, const char *from,
                                        size_t dir)
{
    for (int k = 0; k < r->runs; k++) {
        if (strlen(r->run[k].dir) == dir && memcmp(r->run[k].dir, from, dir) == 0) {
            return &r->run[k];
        }
    }
    return NULL;
}

/* Attack number `row` of the file DIR/adversarial.h5: its title where the report knows it, and the
 * last part of DIR. */
static void name_source(const struct tdo_report *r, const char *from, int64_t row,
                        char label[192])
{
    const char *slash = strrchr(from, '/');
    const size_t dir = slash ? (size_t)(slash - from) : 0;
    size_t base = dir;
    while (base > 0 && from[base - 1] != '/') {
        base--;
    }
    const struct tdo_results *run = run_of(r, from, dir);
    const int length = (int)(dir - base);
    bool whole =
        run && row >= 0 && row < run->outcomes.attacks; /* else it is a layer of several */
    for (int a = 0; whole && a <= row; a++) {
        whole = run->robustness->row[a].images == run->outcomes.images;
    }
    if (whole) {
        snprintf(label, 192, "%s, made for %.*s", run->robustness->row[row].attack.title,
                 length, from + base);
    } else {
        snprintf(label, 192, "attack %" PRId64 " of %.*s", row, dir > 0 ? length : 100,
                 from + base);
    }
}

static void name_attack(struct tdo_report *r, struct tdo_results *run, const tdo_json *list,
                        int a)
{
    tdo_json *attack = NULL, *options = NULL;
    const char *from = NULL;
    int64_t row = 0;
    if (tdo_json_at(list, a, &attack) && tdo_json_get(attack, "options", &options) &&
        tdo_json_get_text(options, "from", &from) && *from) {
        (void)tdo_json_get_int(options, "row", &row);
        name_source(r, from, row, run->label[a]);
    }
    tdo_json_free(&options);
    tdo_json_free(&attack);
}

void tdo_report_sources(struct tdo_report *r)
{
    for (int k = 0; k < r->runs; k++) {
        struct tdo_results *run = &r->run[k];
        tdo_json *list = NULL;
        if (run->robustness && tdo_json_get(run->outcomes.about, "attacks", &list)) {
            for (int a = 0; a < run->outcomes.attacks; a++) {
                name_attack(r, run, list, a);
            }
        }
        tdo_json_free(&list);
    }
}

tdo_err tdo_report_attacks(struct tdo_report *r)
{
    bool any = false;
    for (int k = 0; k < r->runs; k++) {
        any = any || r->run[k].robustness;
    }
    if (!any) {
        return TDO_OK;
    }
    fprintf(r->page, "## Attacks\n\n");
    TDO_TRY(accuracy(r));
    TDO_TRY(transfer(r));
    TDO_TRY(tdo_report_curves(r));
    return distortion(r);
}
