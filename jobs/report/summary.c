/* The summary, for those who read no tables, and clean accuracy. See report.h. */
#include <inttypes.h>
#include <math.h>

#include "jobs/report/curve.h"
#include "jobs/report/report.h"

enum { MOST_BARS = 24 }; /* runs that a picture of bars has place for */

/* ---- summary ------------------------------------------------------------------------------------ */

/* Numbers of a run for those who read no tables, in percent; NaN: not there. */
struct summary {
    double clean, attacked, certified;
    const char *strongest; /* title of the attack */
};

static void summarise_attacks(const struct tdo_results *run, struct summary *s)
{
    const struct tdo_robustness *b = run->robustness;
    for (int a = 0; b && a < b->attacks; a++) {
        const struct tdo_robustness_row *row = &b->row[a];
        const double right = 100 * (double)row->right / (double)row->images;
        const bool ball = row->attack.eps > 0 && !isinf(row->attack.eps);
        if (ball && !(right >= s->attacked)) {
            s->attacked = right;
            s->strongest = run->label[a];
        }
    }
    if (b && isnan(s->clean)) {
        s->clean = 100 * (double)b->clean / (double)b->images;
    }
}

static struct summary summarise(const struct tdo_report *r, const struct tdo_results *run)
{
    struct summary s = {(double)NAN, (double)NAN, (double)NAN, "-"};
    const struct tdo_results_certificates *c = &run->certificates;
    if (run->clean.there) {
        s.clean = 100 * (double)run->clean.correct / (double)run->clean.images;
    }
    summarise_attacks(run, &s);
    if (c->images > 0) {
        const int64_t stand = tdo_curve_stand(c->limit, c->images, tdo_report_radius(r), true);
        s.certified = 100 * (double)stand / (double)c->images;
    }
    return s;
}

static void cell(tdo_table *t, double value, const char *format)
{
    char text[32];
    snprintf(text, sizeof text, format, value);
    tdo_table_cell(t, "%s", isnan(value) ? "-" : text);
}

static void fill_summary(const struct tdo_report *r, tdo_table *t)
{
    tdo_table_column(t, false, "run");
    tdo_table_column(t, false, "model");
    tdo_table_column(t, true, "clean (%%)");
    tdo_table_column(t, true, "strongest attack (%%)");
    tdo_table_column(t, false, "which");
    tdo_table_column(t, true, "certified at %g (%%)", tdo_report_radius(r));
    tdo_table_column(t, true, "average radius");
    for (int k = 0; k < r->runs; k++) {
        const struct tdo_results *run = &r->run[k];
        const struct summary s = summarise(r, run);
        tdo_table_cell(t, "%s", run->name);
        tdo_table_cell(t, "%s", run->model);
        cell(t, s.clean, "%.2f");
        cell(t, s.attacked, "%.2f");
        tdo_table_cell(t, "%s", s.strongest);
        cell(t, s.certified, "%.2f");
        cell(t, run->certificates.images > 0 ? run->certificates.average : (double)NAN, "%.4f");
    }
}

/* What bar i of a run stands for. */
static double bar_of(const struct summary *s, int i)
{
    return i == 0 ? s->clean : i == 1 ? s->attacked : s->certified;
}

enum { BARS = 3 };

/* A group of bars for each run, of the kinds that any run has. Returns how many kinds. */
static int fill_bars(const struct tdo_report *r, tdo_plot *p, double width)
{
    char certified[64];
    int count[BARS] = {0}, kinds = 0, place = 0;
    snprintf(certified, sizeof certified, "certified at L2 radius %g", tdo_report_radius(r));
    const char *labels[BARS] = {"clean", "under the strongest attack", certified};
    for (int i = 0; i < BARS; i++) {
        for (int k = 0; k < r->runs; k++) {
            const struct summary s = summarise(r, &r->run[k]);
            count[i] += !isnan(bar_of(&s, i));
        }
        kinds += count[i] > 0;
    }
    for (int i = 0; i < BARS; i++) {
        const struct tdo_plot_series series = {labels[i], TDO_PLOT_BARS, i, 0, false};
        if (count[i] == 0) {
            continue;
        }
        tdo_plot_series(p, &series);
        for (int k = 0; k < r->runs; k++) {
            const struct summary s = summarise(r, &r->run[k]);
            if (!isnan(bar_of(&s, i))) {
                tdo_plot_point(p, k + (place - 0.5 * (kinds - 1)) * width, bar_of(&s, i));
            }
        }
        place++;
    }
    for (int k = 0; k < r->runs; k++) {
        tdo_plot_tick(p, k, r->run[k].name);
    }
    return kinds;
}

static tdo_err plot_summary(struct tdo_report *r)
{
    const struct tdo_plot_frame frame = {.name = "summary",
                                         .title = "How many images each network gets right",
                                         .x = "",
                                         .y = "images (%)",
                                         .y_high = 105,
                                         .bar = 0.26};
    tdo_plot *p = NULL;
    TDO_TRY(tdo_plot_new(&frame, &p));
    tdo_err err = TDO_OK;
    if (r->runs <= MOST_BARS && fill_bars(r, p, 0.28) * r->runs > 1) {
        err = tdo_report_plot(r, p, &frame);
    }
    tdo_plot_free(&p);
    return err;
}

tdo_err tdo_report_summary(struct tdo_report *r)
{
    tdo_table *t = NULL;
    bool any = false;
    fprintf(r->page, "# ");
    tdo_table_escape(r->page, r->title);
    fprintf(r->page, "\n\n");
    for (int k = 0; k < r->runs; k++) {
        const struct summary s = summarise(r, &r->run[k]);
        any = any || !isnan(s.clean) || !isnan(s.attacked) || !isnan(s.certified);
    }
    if (!any) {
        return TDO_OK;
    }
    TDO_TRY(plot_summary(r));
    TDO_TRY(tdo_table_new(&t));
    fill_summary(r, t);
    tdo_err err = tdo_report_table(r, t, "summary");
    tdo_table_free(&t);
    fprintf(r->page,
            "Strongest attack: of those inside a ball, the one under which fewest images are "
            "right.\nCertified: no perturbation of L2 norm up to that radius (pixels in 0..1) "
            "changes the class, and it is the right one.\n`-`: was not measured.\n\n");
    return err;
}

/* ---- clean accuracy ----------------------------------------------------------------------------- */

static void fill_clean(const struct tdo_report *r, tdo_table *t)
{
    static const char *const text[] = {"run", "model", "split", "precision"};
    static const char *const number[] = {"images", "correct", "accuracy (%)", "top 5 (%)",
                                         "loss"};
    for (int i = 0; i < 4; i++) {
        tdo_table_column(t, false, "%s", text[i]);
    }
    for (int i = 0; i < 5; i++) {
        tdo_table_column(t, true, "%s", number[i]);
    }
    for (int k = 0; k < r->runs; k++) {
        const struct tdo_results_clean *c = &r->run[k].clean;
        if (!c->there || c->draws > 0) {
            continue; /* votes have a section of their own */
        }
        tdo_table_cell(t, "%s", r->run[k].name);
        tdo_table_cell(t, "%s", r->run[k].model);
        tdo_table_cell(t, "%s", c->split);
        tdo_table_cell(t, "%s", c->precision);
        tdo_table_cell(t, "%" PRId64, c->images);
        tdo_table_cell(t, "%" PRId64, c->correct);
        tdo_table_percent(t, (double)c->correct, (double)c->images);
        tdo_table_percent(t, (double)c->top5, c->top5 < 0 ? 0 : (double)c->images);
        tdo_table_cell(t, "%.4f", c->loss);
    }
}

tdo_err tdo_report_clean(struct tdo_report *r)
{
    tdo_table *t = NULL;
    bool any = false;
    for (int k = 0; k < r->runs; k++) {
        any = any || (r->run[k].clean.there && r->run[k].clean.draws == 0);
    }
    if (!any) {
        return TDO_OK;
    }
    fprintf(r->page, "## Clean accuracy\n\nImages as they are, without noise or attack.\n\n");
    TDO_TRY(tdo_table_new(&t));
    fill_clean(r, t);
    tdo_err err = tdo_report_table(r, t, "clean");
    tdo_table_free(&t);
    return err;
}
