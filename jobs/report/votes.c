/* The section on votes: what a random network answers when it is asked many times. See report.h.
 *
 * The picture has accuracy over the number of draws, which vote_curve.tsv of a run holds for all
 * rules: of one run a line for each rule, of several runs a line for each run. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "jobs/report/report.h"

static bool voted(const struct tdo_results *run)
{
    return run->clean.there && run->clean.draws > 0;
}

/* ---- table -------------------------------------------------------------------------------------- */

static void real_cell(tdo_table *t, double x, double scale, const char *format)
{
    char text[32];
    snprintf(text, sizeof text, format, x * scale);
    tdo_table_cell(t, "%s", isnan(x) ? "-" : text);
}

static void fill(const struct tdo_report *r, tdo_table *t)
{
    static const char *const text[] = {"run", "model", "split", "rule"};
    static const char *const number[] = {"draws",        "sigma",           "images", "correct",
                                         "accuracy (%)", "of one draw (%)", "loss"};
    for (int i = 0; i < 4; i++) {
        tdo_table_column(t, false, "%s", text[i]);
    }
    for (int i = 0; i < 7; i++) {
        tdo_table_column(t, true, "%s", number[i]);
    }
    for (int k = 0; k < r->runs; k++) {
        const struct tdo_results_clean *c = &r->run[k].clean;
        if (!voted(&r->run[k])) {
            continue;
        }
        tdo_table_cell(t, "%s", r->run[k].name);
        tdo_table_cell(t, "%s", r->run[k].model);
        tdo_table_cell(t, "%s", c->split);
        tdo_table_cell(t, "%s", c->rule);
        tdo_table_cell(t, "%" PRId64, c->draws);
        tdo_table_cell(t, c->sigma > 0 ? "%g %s" : "%g", c->sigma, c->units);
        tdo_table_cell(t, "%" PRId64, c->images);
        tdo_table_cell(t, "%" PRId64, c->correct);
        tdo_table_percent(t, (double)c->correct, (double)c->images);
        real_cell(t, c->draw_accuracy, 100, "%.2f");
        real_cell(t, c->loss, 1, "%.4f");
    }
}

/* ---- picture ------------------------------------------------------------------------------------ */

static void add_tick(tdo_plot *p, int64_t draws)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, draws);
    tdo_plot_tick(p, log2((double)draws), text);
}

/* The line of a run by one rule. */
static void add_line(tdo_plot *p, const struct tdo_results *run, const char *rule,
                     const char *label, int order)
{
    const struct tdo_plot_series series = {label, TDO_PLOT_LINE, order, 0, false};
    tdo_plot_series(p, &series);
    for (int64_t i = 0; i < run->votes; i++) {
        const struct tdo_results_vote *v = &run->vote[i];
        if (strcmp(v->rule, rule) == 0) {
            tdo_plot_point(p, log2((double)v->draws),
                           100 * (double)v->correct / (double)run->clean.images);
        }
    }
}

/* Of one run a line for each rule; of several a line for each, by the rule that it was asked by. */
static void add_lines(tdo_plot *p, const struct tdo_report *r)
{
    int order = 0;
    int64_t most = 1;
    for (int k = 0; k < r->runs; k++) {
        const struct tdo_results *run = &r->run[k];
        for (int64_t i = 0; i < run->votes; i++) {
            const struct tdo_results_vote *v = &run->vote[i];
            most = v->draws > most ? v->draws : most;
            if (r->runs == 1 && v->draws == 1) {
                add_line(p, run, v->rule, v->rule, order++);
            }
        }
        if (r->runs > 1 && run->votes > 0) {
            add_line(p, run, run->clean.rule, run->name, order++);
        }
    }
    for (int64_t draws = 1; draws < most; draws *= 2) {
        add_tick(p, draws);
    }
    add_tick(p, most);
}

static tdo_err draw(struct tdo_report *r)
{
    const struct tdo_plot_frame frame = {.name = "votes",
                                         .title = "Accuracy of a vote",
                                         .x = "draws that vote",
                                         .y = "images right (%)",
                                         .y_free = true};
    tdo_plot *p = NULL;
    TDO_TRY(tdo_plot_new(&frame, &p));
    add_lines(p, r);
    tdo_err err = tdo_report_plot(r, p, &frame);
    tdo_plot_free(&p);
    return err;
}

tdo_err tdo_report_votes(struct tdo_report *r)
{
    tdo_table *t = NULL;
    bool any = false;
    for (int k = 0; k < r->runs; k++) {
        any = any || voted(&r->run[k]);
    }
    if (!any) {
        return TDO_OK;
    }
    fprintf(r->page,
            "## Votes\n\nA random network is asked so many times about each image; the "
            "rule makes one answer of it.\n\n");
    TDO_TRY(tdo_table_new(&t));
    fill(r, t);
    tdo_err err = tdo_report_table(r, t, "votes_table");
    tdo_table_free(&t);
    return err == TDO_OK ? draw(r) : err;
}
