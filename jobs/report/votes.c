/* The section on votes: what a random network answers when it is asked many times. See report.h.
 *
 * Runs whose names differ in the number at their end (soft-0.1-8, soft-0.1-64) are the points of a
 * line: accuracy over the number of draws, as figure 3 of Nemcovsky et al. 2019. */
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

static bool same_line(const struct tdo_results *a, const struct tdo_results *b)
{
    const size_t stem = tdo_report_stem(a->name);
    return stem == tdo_report_stem(b->name) && strncmp(a->name, b->name, stem) == 0;
}

/* The vote on the line of run `first`, or on any line (-1), with the fewest draws above `draws`; -1
 * at its end. */
static int next_on(const struct tdo_report *r, int first, int64_t draws)
{
    int best = -1;
    for (int k = 0; k < r->runs; k++) {
        const int64_t d = r->run[k].clean.draws;
        if (voted(&r->run[k]) && (first < 0 || same_line(&r->run[first], &r->run[k])) &&
            d > draws && (best < 0 || d < r->run[best].clean.draws)) {
            best = k;
        }
    }
    return best;
}

static bool begins(const struct tdo_report *r, int k)
{
    for (int i = 0; i < k; i++) {
        if (voted(&r->run[i]) && same_line(&r->run[i], &r->run[k])) {
            return false;
        }
    }
    return voted(&r->run[k]) && next_on(r, k, r->run[next_on(r, k, 0)].clean.draws) >= 0;
}

static void add_line(tdo_plot *p, const struct tdo_report *r, int first, int order)
{
    const char *name = r->run[first].name;
    size_t stem = tdo_report_stem(name);
    char label[1100];
    while (stem > 0 && name[stem - 1] == '-') {
        stem--;
    }
    snprintf(label, sizeof label, "%.*s", (int)stem, name);
    const struct tdo_plot_series series = {label, TDO_PLOT_LINE, order, 0, false};
    tdo_plot_series(p, &series);
    for (int k = next_on(r, first, 0); k >= 0; k = next_on(r, first, r->run[k].clean.draws)) {
        const struct tdo_results_clean *c = &r->run[k].clean;
        tdo_plot_point(p, log2((double)c->draws), 100 * (double)c->correct / (double)c->images);
    }
}

static void add_ticks(tdo_plot *p, const struct tdo_report *r)
{
    for (int k = next_on(r, -1, 0); k >= 0; k = next_on(r, -1, r->run[k].clean.draws)) {
        char draws[24];
        snprintf(draws, sizeof draws, "%" PRId64, r->run[k].clean.draws);
        tdo_plot_tick(p, log2((double)r->run[k].clean.draws), draws);
    }
}

static tdo_err draw(struct tdo_report *r)
{
    const struct tdo_plot_frame frame = {.name = "votes",
                                         .title = "Accuracy of a vote",
                                         .x = "draws that vote",
                                         .y = "images right (%)",
                                         .y_free = true};
    tdo_plot *p = NULL;
    int order = 0;
    TDO_TRY(tdo_plot_new(&frame, &p));
    for (int k = 0; k < r->runs; k++) {
        if (begins(r, k)) {
            add_line(p, r, k, order++);
        }
    }
    add_ticks(p, r);
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
