/* The section on decision regions: for networks on the plane (images of two numbers) a panel a run.
 * See report.h.
 *
 * `evaluate` left what a network says on a grid (regions.tsv) and some training points
 * (regions_points.tsv). The colour is the predicted class, its strength the probability: white where
 * the network does not know, full where it is sure; lines follow equal probability. All panels go
 * into one picture, regions.dat and regions.gp.
 * Source of the form: Zantedeschi et al. 2017, figure 2. Colours as in plot.c. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "jobs/page.h"
#include "jobs/report/report.h"
#include "jobs/report/tsv.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"

enum { COLUMNS = 6, PANEL = 230, COLORS = 7 };

/* Runs that have regions, in their order. */
struct panels {
    struct tdo_report *report;
    int count;
    int *run;        /* [count] */
    int64_t classes; /* the most of any run; at least 2 */
};

static void path_of(const struct tdo_results *run, const char *name, char path[1100])
{
    snprintf(path, 1100, "%s/%s", run->dir, name);
}

/* ---- regions.dat -------------------------------------------------------------------------------- */

static void count_class(struct panels *p, int64_t class)
{
    p->classes = class + 1 > p->classes ? class + 1 : p->classes;
}

/* Rows of regions.tsv, an empty line wherever y changes, as gnuplot wants a grid. */
static tdo_err copy_grid(struct panels *p, struct tdo_tsv *t, FILE *to)
{
    int column[4];
    double v[3], last = -1;
    int64_t class = 0;
    bool more = true;
    TDO_TRY(tdo_tsv_need(t, "x", &column[0]));
    TDO_TRY(tdo_tsv_need(t, "y", &column[1]));
    TDO_TRY(tdo_tsv_need(t, "predict", &column[2]));
    TDO_TRY(tdo_tsv_need(t, "confidence", &column[3]));
    TDO_TRY(tdo_tsv_next(t, &more));
    while (more) {
        TDO_TRY(tdo_tsv_real(t, column[0], 0, 1, &v[0]));
        TDO_TRY(tdo_tsv_real(t, column[1], 0, 1, &v[1]));
        TDO_TRY(tdo_tsv_int(t, column[2], 0, 99999, &class));
        TDO_TRY(tdo_tsv_real(t, column[3], 0, 1, &v[2]));
        fputs(v[1] != last && last >= 0 ? "\n" : "", to);
        fprintf(to, "%.4g %.4g %" PRId64 " %.4g\n", v[0], v[1], class, v[2]);
        count_class(p, class);
        last = v[1];
        TDO_TRY(tdo_tsv_next(t, &more));
    }
    return last >= 0 ? TDO_OK : TDO_FAIL(TDO_ERR_FORMAT, "%s: rows expected", t->path);
}

static tdo_err copy_points(struct panels *p, struct tdo_tsv *t, FILE *to)
{
    int column[3];
    double x = 0, y = 0;
    int64_t label = 0;
    bool more = true;
    TDO_TRY(tdo_tsv_need(t, "x", &column[0]));
    TDO_TRY(tdo_tsv_need(t, "y", &column[1]));
    TDO_TRY(tdo_tsv_need(t, "label", &column[2]));
    TDO_TRY(tdo_tsv_next(t, &more));
    while (more) {
        TDO_TRY(tdo_tsv_real(t, column[0], 0, 1, &x));
        TDO_TRY(tdo_tsv_real(t, column[1], 0, 1, &y));
        TDO_TRY(tdo_tsv_int(t, column[2], 0, 99999, &label));
        fprintf(to, "%.5g %.5g %" PRId64 "\n", x, y, label);
        count_class(p, label);
        TDO_TRY(tdo_tsv_next(t, &more));
    }
    return TDO_OK;
}

static tdo_err copy_table(struct panels *p, const struct tdo_results *run, const char *name,
                          tdo_err (*copy)(struct panels *, struct tdo_tsv *, FILE *), FILE *to)
{
    char path[1100];
    struct tdo_tsv t = {0};
    path_of(run, name, path);
    tdo_err err = tdo_tsv_open(path, &t);
    err = err == TDO_OK ? copy(p, &t, to) : err;
    tdo_tsv_free(&t);
    return err;
}

/* Two blocks a panel: the grid, the points. */
static tdo_err write_data(struct panels *p, FILE *to)
{
    for (int k = 0; k < p->count; k++) {
        const struct tdo_results *run = &p->report->run[p->run[k]];
        fprintf(to, "%s# ", k ? "\n\n" : "");
        tdo_page_name(to, run->name);
        fprintf(to, ": x y class probability\n");
        TDO_TRY(copy_table(p, run, "regions.tsv", copy_grid, to));
        fprintf(to, "\n\n# training points: x y label\n");
        TDO_TRY(copy_table(p, run, "regions_points.tsv", copy_points, to));
    }
    return TDO_OK;
}

/* ---- regions.gp --------------------------------------------------------------------------------- */

static void write_head(int columns, int rows, FILE *to)
{
    const struct tdo_plot_size size = {.width = PANEL * columns + 16,
                                       .height = (PANEL + 30) * rows + 16,
                                       .font = 13,
                                       .png_font = 22};
    tdo_plot_head(to, "regions", &size);
}

/* Of two classes the lines are those of the probability of class 1: the one of 1/2 parts them. */
static void write_functions(int64_t classes, FILE *to)
{
    static const int color[COLORS][3] = {{0, 114, 178},   {213, 94, 0},  {0, 158, 115},
                                         {204, 121, 167}, {230, 159, 0}, {86, 180, 233},
                                         {90, 90, 90}};
    static const char *const names = "RGB";
    fprintf(to, "# Colours of the classes, as red, green and blue; paler where less sure.\n");
    for (int c = 0; c < 3; c++) {
        fprintf(to, "%c = '", names[c]);
        for (int k = 0; k < COLORS; k++) {
            fprintf(to, "%s%d", k ? " " : "", color[k][c]);
        }
        fprintf(to, "'\n");
    }
    fprintf(to,
            "of(a, k) = real(word(a, 1 + int(k) %% %d))\n"
            "sure(p) = (p - 1.0 / %" PRId64 ") / (1 - 1.0 / %" PRId64 ")\n"
            "tint(a, k, p) = 255 + 0.72 * sure(p) * (of(a, k) - 255)\n"
            "rgb(k) = int(65536 * of(R, k) + 256 * of(G, k) + of(B, k))\n",
            COLORS, classes, classes);
    fprintf(to, classes == 2 ? "level(k, p) = k == 1 ? p : 1 - p\n" : "level(k, p) = p\n");
}

/* Lines of equal probability of every panel, as tables in memory. */
static void write_contours(const struct panels *p, FILE *to)
{
    fprintf(to, "set contour base\n"
                "unset surface\n"
                "set cntrparam levels discrete 0.1, 0.3, 0.5, 0.7, 0.9\n");
    for (int k = 0; k < p->count; k++) {
        fprintf(to,
                "set table $lines%d\n"
                "splot 'regions.dat' index %d using 1:2:(level($3, $4))\n"
                "unset table\n",
                k, 2 * k);
    }
}

static void write_panel(const struct panels *p, int k, FILE *to)
{
    const char *name = p->report->run[p->run[k]].name;
    fprintf(to, "set title ");
    tdo_plot_quote(to, name);
    fprintf(
        to,
        " offset 0,-0.6\n"
        "plot 'regions.dat' index %d using 1:2:(tint(R, $3, $4)):(tint(G, $3, $4)):(tint(B, "
        "$3, "
        "$4)) with rgbimage, \\\n"
        "     $lines%d using 1:2 with lines linewidth 0.6 linecolor '#60000000', \\\n"
        "     $lines%d using (abs($3 - 0.5) < 1e-6 ? $1 : NaN):2 with lines linewidth 1.8 "
        "linecolor '#202020', \\\n"
        "     'regions.dat' index %d using 1:2 with points pointtype 7 pointsize 0.34 "
        "linecolor "
        "'#ffffff', \\\n"
        "     '' index %d using 1:2:(rgb($3)) with points pointtype 7 pointsize 0.22 linecolor "
        "rgb variable\n",
        2 * k, k, k, 2 * k + 1, 2 * k + 1);
}

static void write_script(const struct panels *p, FILE *to)
{
    const int rows = (p->count + COLUMNS - 1) / COLUMNS;
    const int columns = (p->count + rows - 1) / rows;
    write_head(columns, rows, to);
    write_functions(p->classes, to);
    write_contours(p, to);
    fprintf(to,
            "unset key\n"
            "unset tics\n"
            "set border 15 linecolor '#808080' linewidth 0.8\n"
            "set size ratio 1\n"
            "set xrange [0:1]\n"
            "set yrange [0:1]\n"
            "set multiplot layout %d,%d margins 0.01,0.99,0.02,%.3f spacing 0.01,%.3f\n",
            rows, columns, rows > 1 ? 0.94 : 0.88, rows > 1 ? 0.08 : 0.01);
    for (int k = 0; k < p->count; k++) {
        write_panel(p, k, to);
    }
    fprintf(to, "unset multiplot\n");
}

/* ---- the section -------------------------------------------------------------------------------- */

static tdo_err save_files(struct panels *p)
{
    const struct tdo_run where = {.dir = p->report->out};
    struct tdo_page page;
    TDO_TRY(tdo_page_open(&page));
    TDO_TRY(tdo_page_save(&page, &where, "regions.dat", write_data(p, page.to)));
    TDO_TRY(tdo_page_open(&page));
    write_script(p, page.to);
    return tdo_page_save(&page, &where, "regions.gp", TDO_OK);
}

tdo_err tdo_report_regions(struct tdo_report *r)
{
    struct panels p = {.report = r, .classes = 2};
    char path[1100];
    TDO_TRY(tdo_memory_new(r->runs, &p.run));
    for (int k = 0; k < r->runs; k++) {
        path_of(&r->run[k], "regions.tsv", path);
        if (tdo_file_exists(path)) {
            p.run[p.count++] = k;
        }
    }
    if (p.count > 0) {
        fprintf(r->page,
                "## Decision regions\n\n"
                "The colour is the class that the network sees at a point of the plane, its "
                "strength the probability: white where it does not know. Lines follow equal "
                "probability; points are training data.\n\n");
        tdo_report_picture(r, "regions", "Decision regions");
    }
    tdo_err err = p.count > 0 ? save_files(&p) : TDO_OK;
    tdo_memory_free(&p.run);
    return err;
}
