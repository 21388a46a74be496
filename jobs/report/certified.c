/* The section on certificates: certified accuracy over radius. See report.h.
 *
 * An image is certified at radius r when it was classified right and its certified radius is at
 * least r; the average certified radius counts all others as 0.
 * Source: Cohen et al. 2019, section 4; the average: Zhai et al. 2020. */
#include <inttypes.h>
#include <math.h>

#include "jobs/report/curve.h"
#include "jobs/report/report.h"

enum { MOST_RADII = 8 };

/* The largest radius of any right image; 0 of none. */
static double largest(const struct tdo_report *r)
{
    double high = 0;
    for (int k = 0; k < r->runs; k++) {
        const struct tdo_results_certificates *c = &r->run[k].certificates;
        if (c->images > 0 && c->limit[c->images - 1] > high) {
            high = c->limit[c->images - 1];
        }
    }
    return high;
}

static bool any(const struct tdo_report *r)
{
    for (int k = 0; k < r->runs; k++) {
        if (r->run[k].certificates.images > 0) {
            return true;
        }
    }
    return false;
}

double tdo_report_radius(const struct tdo_report *r)
{
    const double high = largest(r);
    return high <= 0 ? 0 : high >= 0.5 ? 0.5 : tdo_curve_round_step(high / 2, 1);
}

static void add_columns(tdo_table *t, double step, int radii)
{
    tdo_table_column(t, false, "run");
    tdo_table_column(t, false, "certifier");
    tdo_table_column(t, true, "sigma");
    tdo_table_column(t, true, "draws");
    tdo_table_column(t, true, "alpha");
    tdo_table_column(t, false, "precision");
    tdo_table_column(t, true, "images");
    for (int i = 0; i < radii; i++) {
        tdo_table_column(t, true, "r = %g (%%)", tdo_curve_at(step, i));
    }
    tdo_table_column(t, true, "average radius");
    tdo_table_column(t, true, "abstained (%%)");
    tdo_table_column(t, true, "most votes right (%%)");
}

static void said(tdo_table *t, double value)
{
    if (isnan(value)) {
        tdo_table_cell(t, "-");
    } else {
        tdo_table_cell(t, "%g", value);
    }
}

static void add_row(tdo_table *t, const struct tdo_results *run, double step, int radii)
{
    const struct tdo_results_certificates *c = &run->certificates;
    tdo_table_cell(t, "%s", run->name);
    tdo_table_cell(t, "%s", c->certifier);
    said(t, c->sigma);
    tdo_table_cell(t, "%s", c->n);
    said(t, c->alpha);
    tdo_table_cell(t, "%s", c->precision);
    tdo_table_cell(t, "%" PRId64, c->images);
    for (int i = 0; i < radii; i++) {
        const int64_t stand = tdo_curve_stand(c->limit, c->images, tdo_curve_at(step, i), true);
        tdo_table_percent(t, (double)stand, (double)c->images);
    }
    tdo_table_cell(t, "%.4f", c->average);
    tdo_table_percent(t, (double)c->abstained, (double)c->images);
    tdo_table_percent(t, (double)c->majority, c->majority < 0 ? 0 : (double)c->images);
}

static tdo_err write_table(struct tdo_report *r)
{
    tdo_table *t = NULL;
    const double high = largest(r),
                 step = high > 0 ? tdo_curve_round_step(high, MOST_RADII) : 1;
    const int radii = high > 0 ? 1 + (int)(high / step * (1 + 1e-9)) : 1;
    TDO_TRY(tdo_table_new(&t));
    add_columns(t, step, radii);
    for (int k = 0; k < r->runs; k++) {
        if (r->run[k].certificates.images > 0) {
            add_row(t, &r->run[k], step, radii);
        }
    }
    tdo_err err = tdo_report_table(r, t, "certified");
    tdo_table_free(&t);
    return err;
}

static tdo_err fill_plot(const struct tdo_report *r, tdo_plot *p)
{
    for (int k = 0; k < r->runs; k++) {
        const struct tdo_results_certificates *c = &r->run[k].certificates;
        const struct tdo_plot_series series = {r->run[k].name, TDO_PLOT_STEPS, k, k / 7, false};
        struct tdo_curve curve = {0};
        if (c->images == 0) {
            continue;
        }
        tdo_err err = tdo_curve_steps(c->limit, c->images, &curve);
        tdo_plot_series(p, &series);
        for (int64_t i = 0; err == TDO_OK && i < curve.points; i++) {
            tdo_plot_point(p, curve.x[i], 100 * curve.y[i]);
        }
        tdo_curve_free(&curve);
        TDO_TRY(err);
    }
    return TDO_OK;
}

/* The share of images in each quarter of Phi^-1(p), as p_lower.tsv has it. */
static void fill_histogram(const struct tdo_report *r, tdo_plot *p)
{
    for (int k = 0; k < r->runs; k++) {
        const struct tdo_results_certificates *c = &r->run[k].certificates;
        const struct tdo_plot_series series = {r->run[k].name, TDO_PLOT_STEPS, k, k / 7, false};
        if (c->bins == 0) {
            continue;
        }
        tdo_plot_series(p, &series);
        for (int b = 1; b <= c->bins; b++) { /* [0]: no radius */
            const int64_t images = b < c->bins ? c->bin[b] : 0;
            tdo_plot_point(p, 0.25 * (b - 1), 100 * (double)images / (double)c->images);
        }
    }
}

static tdo_err draw_histogram(struct tdo_report *r)
{
    const struct tdo_plot_frame frame = {.name = "p_lower",
                                         .title = "Lower bounds on the vote",
                                         .x = "radius / sigma, of the lower bound",
                                         .y = "images (%), each quarter"};
    tdo_plot *p = NULL;
    bool there = false;
    for (int k = 0; k < r->runs; k++) {
        there = there || r->run[k].certificates.bins > 0;
    }
    if (!there) {
        return TDO_OK;
    }
    TDO_TRY(tdo_plot_new(&frame, &p));
    fill_histogram(r, p);
    fprintf(r->page,
            "How many images have a lower bound p on the probability of their class where: "
            "a radius is sigma times the normal quantile of p. Images without a radius are "
            "left out.\n\n");
    tdo_err err = tdo_report_plot(r, p, &frame);
    tdo_plot_free(&p);
    return err;
}

tdo_err tdo_report_certified(struct tdo_report *r)
{
    const double high = largest(r);
    const struct tdo_plot_frame frame = {.name = "certified",
                                         .title = "Certified accuracy",
                                         .x = "radius (L2, pixels in 0..1)",
                                         .y = "certified accuracy (%)",
                                         .x_high = high > 0 ? 1.03 * high : 1,
                                         .y_high = 100};
    tdo_plot *p = NULL;
    if (!any(r)) {
        return TDO_OK;
    }
    fprintf(r->page,
            "## Certified accuracy\n\n"
            "Right, and with a certificate that no perturbation of L2 norm up to r (pixels in "
            "0..1) changes that.\n\n");
    TDO_TRY(write_table(r));
    fprintf(r->page,
            "Average radius: 0 for images that are wrong or abstained on. Most votes right: "
            "under noise, without asking for a certificate.\n\n");
    TDO_TRY(tdo_plot_new(&frame, &p));
    tdo_err err = fill_plot(r, p);
    if (err == TDO_OK) {
        err = tdo_report_plot(r, p, &frame);
    }
    tdo_plot_free(&p);
    return err == TDO_OK ? draw_histogram(r) : err;
}
