/* The section on adversarial sets, as `evaluate` looked at them (evaluate.set): a table of denoising
 * losses, the level of the perturbation at each place of the network, and true beside predicted
 * perturbation. See report.h.
 *
 * The levels are those of one attack, the one that is largest at the logits; of several runs the lines
 * of denoised images stand side by side, and what is the same in all of them is drawn once.
 * perturbation.gp makes one picture with a panel a run: how often a pair occurs, the least-squares line,
 * and, dashed, where the whole perturbation is found.
 * Source of the forms: Liao et al. 2018, figures 5 and 7. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/page.h"
#include "jobs/report/report.h"
#include "jobs/report/tsv.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"

enum { KINDS = 3, MOST_NAMES = 24, PANEL = 300, COLUMNS = 4, TITLE = 256 };

static const char *const kinds[KINDS] = {"adversarial", "random", "denoised"};

static bool find(const struct tdo_results *run, const char *name, char path[1100])
{
    snprintf(path, 1100, "%s/%s", run->dir, name);
    return tdo_file_exists(path);
}

/* A field as a number, NaN for `-`. */
static tdo_err read_number(const struct tdo_tsv *t, int column, double *value)
{
    *value = (double)NAN;
    return strcmp(t->field[column], "-") == 0 ? TDO_OK
                                              : tdo_tsv_real(t, column, -1e30, 1e30, value);
}

/* ---- losses --------------------------------------------------------------------------------------- */

static void number(tdo_table *t, double value, double scale, int digits)
{
    if (isfinite(value)) {
        tdo_table_cell(t, "%.*f", digits, scale * value);
    } else {
        tdo_table_cell(t, "-");
    }
}

static tdo_err copy_losses(struct tdo_tsv *from, const struct tdo_results *run, tdo_table *t)
{
    static const char *const names[] = {"images", "loss",        "denoised_loss", "slope",
                                        "clean",  "adversarial", "random",        "denoised"};
    enum { NAMES = sizeof names / sizeof *names };
    int attack = 0, column[NAMES];
    bool more = true;
    TDO_TRY(tdo_tsv_need(from, "attack", &attack));
    for (int k = 0; k < NAMES; k++) {
        TDO_TRY(tdo_tsv_need(from, names[k], &column[k]));
    }
    TDO_TRY(tdo_tsv_next(from, &more));
    while (more) {
        double v[NAMES];
        for (int k = 0; k < NAMES; k++) {
            TDO_TRY(read_number(from, column[k], &v[k]));
        }
        tdo_table_cell(t, "%s", run->name);
        tdo_table_cell(t, "%s", from->field[attack]);
        number(t, v[0], 1, 0);
        number(t, v[1], 1, 5);
        number(t, v[2], 1, 5);
        number(t, v[3], 1, 3);
        for (int k = 4; k < NAMES; k++) {
            number(t, v[k], 100 / v[0], 2);
        }
        TDO_TRY(tdo_tsv_next(from, &more));
    }
    return TDO_OK;
}

static tdo_err write_losses(struct tdo_report *r)
{
    static const char *const heads[] = {
        "images",           "loss",        "denoised", "slope", "clean (%)", "adversarial (%)",
        "random noise (%)", "denoised (%)"};
    tdo_table *t = NULL;
    char path[1100];
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_table_new(&t));
    tdo_table_column(t, false, "run");
    tdo_table_column(t, false, "attack");
    for (size_t k = 0; k < sizeof heads / sizeof *heads; k++) {
        tdo_table_column(t, true, "%s", heads[k]);
    }
    for (int k = 0; err == TDO_OK && k < r->runs; k++) {
        struct tdo_tsv from = {0};
        if (find(&r->run[k], "denoising.tsv", path)) {
            err = tdo_tsv_open(path, &from);
            err = err == TDO_OK ? copy_losses(&from, &r->run[k], t) : err;
            tdo_tsv_free(&from);
        }
    }
    err = err == TDO_OK ? tdo_report_table(r, t, "denoising") : err;
    tdo_table_free(&t);
    fprintf(
        r->page,
        "Loss: mean |adversarial - clean| over pixels of 0..1; denoised: mean |denoised - "
        "clean|. Slope: of the least-squares line through predicted over true perturbation, "
        "1 where all of it is found. Then images that the network has right: clean, "
        "adversarial, with random noise of the same loss, denoised.\n\n");
    return err;
}

/* ---- levels --------------------------------------------------------------------------------------- */

/* layers.tsv of a run, of one attack. */
struct levels {
    int64_t places;
    struct place {
        char name[64];
        double of[KINDS];
    } * at; /* [places] */
    char title[TITLE];
};

struct level_columns {
    int attack, place, of[KINDS];
};

static tdo_err find_columns(const struct tdo_tsv *t, struct level_columns *c)
{
    TDO_TRY(tdo_tsv_need(t, "attack", &c->attack));
    TDO_TRY(tdo_tsv_need(t, "place", &c->place));
    for (int k = 0; k < KINDS; k++) {
        TDO_TRY(tdo_tsv_need(t, kinds[k], &c->of[k]));
    }
    return TDO_OK;
}

/* The attack whose last level is the largest; `all` only where there is no other. */
static tdo_err choose_attack(const char *path, char title[TITLE])
{
    struct tdo_tsv t = {0};
    struct level_columns c;
    char now[TITLE] = "";
    double most = -1, last = 0;
    bool more = true;
    tdo_err err = TDO_OK;
    snprintf(title, TITLE, "all");
    TDO_GOTO(tdo_tsv_open(path, &t));
    TDO_GOTO(find_columns(&t, &c));
    TDO_GOTO(tdo_tsv_next(&t, &more));
    while (more) {
        double level = 0;
        snprintf(now, sizeof now, "%s", t.field[c.attack]);
        TDO_GOTO(read_number(&t, c.of[0], &level));
        last = isfinite(level) ? level : last;
        TDO_GOTO(tdo_tsv_next(&t, &more));
        const bool ends = !more || strcmp(now, t.field[c.attack]) != 0;
        if (ends && strcmp(now, "all") != 0 && last > most) {
            most = last;
            snprintf(title, TITLE, "%s", now);
        }
    }
done:
    tdo_tsv_free(&t);
    return err;
}

static tdo_err read_levels(const char *path, struct levels *l)
{
    struct tdo_tsv t = {0};
    struct level_columns c;
    bool more = true;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_tsv_open(path, &t));
    TDO_GOTO(find_columns(&t, &c));
    TDO_GOTO(tdo_tsv_next(&t, &more));
    while (more) {
        if (strcmp(t.field[c.attack], l->title) == 0) {
            TDO_GOTO(tdo_memory_grow(l->places, l->places + 1, &l->at));
            struct place *to = &l->at[l->places++];
            snprintf(to->name, sizeof to->name, "%s", t.field[c.place]);
            for (int k = 0; k < KINDS; k++) {
                TDO_GOTO(read_number(&t, c.of[k], &to->of[k]));
            }
        }
        TDO_GOTO(tdo_tsv_next(&t, &more));
    }
done:
    tdo_tsv_free(&t);
    return err;
}

/* Is this line in the picture already? */
static bool drawn(const struct levels *all, int run, int kind)
{
    for (int k = 0; k < run; k++) {
        bool same = all[k].places == all[run].places;
        for (int64_t i = 0; same && i < all[run].places; i++) {
            same = all[k].at[i].of[kind] == all[run].at[i].of[kind];
        }
        if (same) {
            return true;
        }
    }
    return false;
}

static void add_levels(const struct tdo_report *r, const struct levels *all, int run, int kind,
                       tdo_plot *p)
{
    char label[1200];
    const struct levels *l = &all[run];
    const struct tdo_plot_series series = {label, TDO_PLOT_LINE, kind < 2 ? kind : 2 + run,
                                           kind < 2 ? run : 0, false};
    snprintf(label, sizeof label, "%s%s%s", r->runs > 1 ? r->run[run].name : "",
             r->runs > 1 ? ": " : "", kinds[kind]);
    if (l->places == 0 || !isfinite(l->at[0].of[kind]) || drawn(all, run, kind)) {
        return;
    }
    tdo_plot_series(p, &series);
    for (int64_t i = 0; i < l->places; i++) {
        if (isfinite(l->at[i].of[kind])) {
            tdo_plot_point(p, (double)i, l->at[i].of[kind]);
        }
    }
}

static tdo_err plot_levels(struct tdo_report *r, const struct levels *all)
{
    const struct levels *longest = &all[0];
    char title[TITLE + 64];
    tdo_plot *p = NULL;
    for (int k = 1; k < r->runs; k++) {
        longest = all[k].places > longest->places ? &all[k] : longest;
    }
    if (longest->places == 0) {
        return TDO_OK;
    }
    snprintf(title, sizeof title, "Perturbation level by layer, %s", longest->title);
    const struct tdo_plot_frame frame = {.name = "layers",
                                         .title = title,
                                         .x = "place in the network",
                                         .y = "mean |f(x*) - f(x)| / |f(x)|"};
    TDO_TRY(tdo_plot_new(&frame, &p));
    for (int kind = 0; kind < KINDS; kind++) {
        for (int k = 0; k < r->runs; k++) {
            add_levels(r, all, k, kind, p);
        }
    }
    for (int64_t i = 0; longest->places <= MOST_NAMES && i < longest->places; i++) {
        tdo_plot_tick(p, (double)i, longest->at[i].name);
    }
    fprintf(r->page, "### Layer by layer\n\n");
    tdo_err err = tdo_report_plot(r, p, &frame);
    tdo_plot_free(&p);
    return err;
}

static tdo_err write_levels(struct tdo_report *r)
{
    struct levels *all = NULL;
    char path[1100], title[TITLE] = "";
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_memory_new(r->runs, &all));
    for (int k = 0; k < r->runs; k++) {
        if (find(&r->run[k], "layers.tsv", path)) {
            if (!title[0]) { /* the first run chooses for all */
                TDO_GOTO(choose_attack(path, title));
            }
            memcpy(all[k].title, title, sizeof title);
            TDO_GOTO(read_levels(path, &all[k]));
        }
    }
    err = plot_levels(r, all);
done:
    for (int k = 0; k < r->runs; k++) {
        tdo_memory_free(&all[k].at);
    }
    tdo_memory_free(&all);
    return err;
}

/* ---- true and predicted --------------------------------------------------------------------------- */

/* Runs that have perturbation.tsv, in their order. */
struct panels {
    struct tdo_report *report;
    int count;
    struct panel {
        const struct tdo_results *run;
        double slope, offset;
    } * of; /* [count] */
};

/* Of all images together. */
static tdo_err read_line(struct panel *p)
{
    char path[1100];
    struct tdo_tsv t = {0};
    int attack = 0, slope = 0, offset = 0;
    bool more = true;
    tdo_err err = TDO_OK;
    p->slope = p->offset = (double)NAN;
    (void)find(p->run, "denoising.tsv", path);
    TDO_GOTO(tdo_tsv_open(path, &t));
    TDO_GOTO(tdo_tsv_need(&t, "attack", &attack));
    TDO_GOTO(tdo_tsv_need(&t, "slope", &slope));
    TDO_GOTO(tdo_tsv_need(&t, "offset", &offset));
    TDO_GOTO(tdo_tsv_next(&t, &more));
    while (more) {
        if (strcmp(t.field[attack], "all") == 0) {
            TDO_GOTO(read_number(&t, slope, &p->slope));
            TDO_GOTO(read_number(&t, offset, &p->offset));
        }
        TDO_GOTO(tdo_tsv_next(&t, &more));
    }
done:
    tdo_tsv_free(&t);
    return err;
}

/* In grey levels; an empty line wherever the predicted one changes, as gnuplot wants a grid. */
static tdo_err copy_pairs(struct tdo_tsv *t, FILE *to)
{
    int column[3];
    double v[2], last = (double)NAN;
    int64_t count = 0;
    bool more = true;
    TDO_TRY(tdo_tsv_need(t, "true", &column[0]));
    TDO_TRY(tdo_tsv_need(t, "predicted", &column[1]));
    TDO_TRY(tdo_tsv_need(t, "count", &column[2]));
    TDO_TRY(tdo_tsv_next(t, &more));
    while (more) {
        TDO_TRY(tdo_tsv_real(t, column[0], -1e9, 1e9, &v[0]));
        TDO_TRY(tdo_tsv_real(t, column[1], -1e9, 1e9, &v[1]));
        TDO_TRY(tdo_tsv_int(t, column[2], 0, INT64_MAX, &count));
        fputs(!isnan(last) && v[1] != last ? "\n" : "", to);
        fprintf(to, "%.6g %.6g %" PRId64 "\n", 255 * v[0], 255 * v[1], count);
        last = v[1];
        TDO_TRY(tdo_tsv_next(t, &more));
    }
    return isnan(last) ? TDO_FAIL(TDO_ERR_FORMAT, "%s: rows expected", t->path) : TDO_OK;
}

static tdo_err write_data(const struct panels *p, FILE *to)
{
    for (int k = 0; k < p->count; k++) {
        char path[1100];
        struct tdo_tsv t = {0};
        fprintf(to, "%s# ", k ? "\n\n" : "");
        tdo_page_name(to, p->of[k].run->name);
        fprintf(to, ": true, predicted perturbation in grey levels of 255, count\n");
        (void)find(p->of[k].run, "perturbation.tsv", path);
        tdo_err err = tdo_tsv_open(path, &t);
        err = err == TDO_OK ? copy_pairs(&t, to) : err;
        tdo_tsv_free(&t);
        TDO_TRY(err);
    }
    return TDO_OK;
}

static void write_head(int columns, int rows, FILE *to)
{
    const struct tdo_plot_size size = {.width = PANEL * columns + 40,
                                       .height = (PANEL + 40) * rows + 40,
                                       .font = 13,
                                       .png_font = 22};
    tdo_plot_head(to, "perturbation", &size);
    fprintf(to,
            "set palette defined (0 '#ffffff', 1 '#56b4e9', 2 '#0072b2', 3 '#202020')\n"
            "unset colorbox\n"
            "unset key\n"
            "set autoscale fix\n"
            "set xlabel 'true perturbation (grey levels)'\n"
            "set ylabel 'predicted'\n"
            "set multiplot layout %d,%d\n",
            rows, columns);
}

static void write_panel(const struct panel *p, int k, FILE *to)
{
    fprintf(to, "set title ");
    tdo_plot_quote(to, p->run->name);
    if (isfinite(p->slope)) {
        fprintf(to, ".', slope %.3f'", p->slope);
    }
    fprintf(to,
            "\n"
            "plot 'perturbation.dat' index %d using 1:2:(log10(1 + $3)) with image, \\\n"
            "     x with lines dashtype 2 linecolor '#808080'",
            k);
    if (isfinite(p->slope)) {
        fprintf(to, ", \\\n     %.9g * x + %.9g with lines linewidth 2 linecolor '#d55e00'",
                p->slope, 255 * p->offset);
    }
    fputc('\n', to);
}

static tdo_err save_files(const struct panels *p)
{
    const struct tdo_run where = {.dir = p->report->out};
    const int rows = (p->count + COLUMNS - 1) / COLUMNS;
    struct tdo_page page;
    TDO_TRY(tdo_page_open(&page));
    TDO_TRY(tdo_page_save(&page, &where, "perturbation.dat", write_data(p, page.to)));
    TDO_TRY(tdo_page_open(&page));
    write_head((p->count + rows - 1) / rows, rows, page.to);
    for (int k = 0; k < p->count; k++) {
        write_panel(&p->of[k], k, page.to);
    }
    fprintf(page.to, "unset multiplot\n");
    return tdo_page_save(&page, &where, "perturbation.gp", TDO_OK);
}

static tdo_err write_pairs(struct tdo_report *r)
{
    struct panels p = {.report = r};
    char path[1100];
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_memory_new(r->runs, &p.of));
    for (int k = 0; k < r->runs; k++) {
        if (find(&r->run[k], "perturbation.tsv", path)) {
            p.of[p.count].run = &r->run[k];
            TDO_GOTO(read_line(&p.of[p.count]));
            p.count++;
        }
    }
    if (p.count > 0) {
        fprintf(r->page,
                "### True and predicted perturbation\n\n"
                "How often a pixel that was changed by so much is taken for changed by so much "
                "(darker: more often). The line is the least-squares one; dashed, where a "
                "denoiser finds all of it.\n\n");
        tdo_report_picture(r, "perturbation", "True and predicted perturbation");
        err = save_files(&p);
    }
done:
    tdo_memory_free(&p.of);
    return err;
}

tdo_err tdo_report_denoising(struct tdo_report *r)
{
    char path[1100];
    bool any = false;
    for (int k = 0; k < r->runs; k++) {
        any = any || find(&r->run[k], "denoising.tsv", path);
    }
    if (!any) {
        return TDO_OK;
    }
    fprintf(r->page, "## Adversarial sets\n\n");
    TDO_TRY(write_losses(r));
    TDO_TRY(write_levels(r));
    return write_pairs(r);
}
