/* The section on accuracy over eps: a picture and a table for each norm. See report.h.
 *
 * Attacks inside a ball that differ in eps alone make a line, a point for each eps. An attack that
 * looks for a small norm makes a falling staircase: an image is lost at the norm of what was found
 * for it. So does the worst case over all attacks of that norm in a run, where the smallest norm
 * counts. All begin at eps = 0, with the images that are right clean. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "jobs/report/curve.h"
#include "jobs/report/report.h"
#include "nn/base/memory.h"

enum { MOST_SERIES = 12, MOST_EPS = 10 };

static const char *const norm_text[TDO_NORMS] = {"L0", "L2", "L∞"};

/* One line of the picture, one row of the table. */
struct line {
    int run;
    const struct tdo_robustness_curve *curve;
    int64_t images; /* that its attacks took */
    double *limit;  /* [images] sorted, of a staircase; NULL of a ball */
    char label[1200];
};

struct lines {
    struct tdo_report *report;
    enum tdo_norm norm;
    int64_t count;
    struct line *of;
    double reach; /* eps behind which nothing happens */
};

/* ---- limits ------------------------------------------------------------------------------------- */

/* Up to which distance image i stands against attack a. */
static double limit_of(const struct tdo_outcomes *o, const struct tdo_robustness_row *row,
                       int a, int64_t i, enum tdo_norm norm)
{
    const struct tdo_outcome *of = tdo_outcomes_at(o, a, i);
    const double length = norm == TDO_NORM_L0   ? of->l0
                          : norm == TDO_NORM_L2 ? of->l2
                                                : of->linf;
    if (of->clean != of->label) {
        return -1;
    }
    /* A length beyond the ball is the rounding of f32. */
    return of->predict == of->label ? (double)INFINITY : fmin(length, row->attack.eps);
}

static tdo_err take_limits(const struct tdo_results *run, struct line *l)
{
    const struct tdo_outcomes *o = &run->outcomes;
    const bool worst = l->curve->kind == TDO_ROBUSTNESS_WORST;
    TDO_TRY(tdo_memory_new(o->images, &l->limit));
    for (int64_t i = 0; i < o->images; i++) {
        double limit = (double)INFINITY;
        bool any = false;
        for (int a = 0; a < o->attacks; a++) {
            const struct tdo_robustness_row *row = &run->robustness->row[a];
            if (row->attack.norm == l->curve->norm &&
                tdo_outcome_taken(tdo_outcomes_at(o, a, i)) &&
                (worst || strcmp(row->attack.title, l->curve->title) == 0)) {
                limit = fmin(limit, limit_of(o, row, a, i, l->curve->norm));
                any = true;
            }
        }
        if (any) {
            l->limit[l->images++] = limit;
        }
    }
    tdo_curve_sort(l->limit, l->images);
    return TDO_OK;
}

/* ---- lines -------------------------------------------------------------------------------------- */

static bool is_unique(const struct tdo_robustness *b, const struct tdo_robustness_curve *c)
{
    for (int k = 0; k < b->curves; k++) {
        if (&b->curve[k] != c && b->curve[k].norm == c->norm &&
            strcmp(b->curve[k].name, c->name) == 0) {
            return false;
        }
    }
    return true;
}

static void name_line(const struct lines *all, struct line *l)
{
    const struct tdo_results *run = &all->report->run[l->run];
    const struct tdo_robustness_curve *c = l->curve;
    const char *what = c->kind == TDO_ROBUSTNESS_WORST ? "worst case of its attacks"
                       : is_unique(run->robustness, c) ? c->name
                                                       : c->title;
    const bool several = all->report->runs > 1;
    snprintf(l->label, sizeof l->label, "%s%s%s", several ? run->name : "", several ? ": " : "",
             what);
}

static tdo_err add_line(struct lines *all, int run, const struct tdo_robustness_curve *c)
{
    TDO_TRY(tdo_memory_grow(all->count, all->count + 1, &all->of));
    struct line *l = &all->of[all->count++];
    l->run = run;
    l->curve = c;
    name_line(all, l);
    if (c->kind == TDO_ROBUSTNESS_BALL) {
        all->reach = fmax(all->reach, c->at[c->points - 1].eps);
        return TDO_OK;
    }
    TDO_TRY(take_limits(&all->report->run[run], l));
    if (c->kind == TDO_ROBUSTNESS_MINIMAL) {
        all->reach = fmax(all->reach, tdo_curve_quantile(l->limit, l->images, 0.98));
    }
    return TDO_OK;
}

static bool shown(const struct tdo_robustness_curve *c)
{
    /* What was found for another network is no search for a small norm. */
    return strcmp(c->name, "clean") != 0 && strcmp(c->name, "transfer") != 0 && c->points > 1;
}

/* All curves of this norm; the worst case only where there is more than one other. */
static tdo_err gather(struct lines *all)
{
    for (int k = 0; k < all->report->runs; k++) {
        const struct tdo_robustness *b = all->report->run[k].robustness;
        int here = 0;
        for (int i = 0; b && i < b->curves; i++) {
            const struct tdo_robustness_curve *c = &b->curve[i];
            if (c->norm != all->norm || !shown(c) ||
                (c->kind == TDO_ROBUSTNESS_WORST && here < 2)) {
                continue;
            }
            TDO_TRY(add_line(all, k, c));
            here++;
        }
    }
    return TDO_OK;
}

/* Too many lines for a picture: the worst case alone, of runs that have one. */
static bool left_out(const struct lines *all, const struct line *l)
{
    bool worst = l->curve->kind == TDO_ROBUSTNESS_WORST;
    for (int64_t i = 0; !worst && i < all->count; i++) {
        worst = all->of[i].run == l->run && all->of[i].curve->kind == TDO_ROBUSTNESS_WORST;
        if (worst) {
            return all->count > MOST_SERIES;
        }
    }
    return false;
}

static void free_lines(struct lines *all)
{
    for (int64_t i = 0; i < all->count; i++) {
        tdo_memory_free(&all->of[i].limit);
    }
    tdo_memory_free(&all->of);
}

/* ---- the table ---------------------------------------------------------------------------------- */

static void add_eps(double *eps, int *n, double value)
{
    int at = *n;
    for (int i = 0; i < *n; i++) {
        if (eps[i] == value) {
            return;
        }
    }
    if (*n == TDO_REPORT_GRID) {
        return;
    }
    while (at > 0 && eps[at - 1] > value) {
        eps[at] = eps[at - 1];
        at--;
    }
    eps[at] = value;
    ++*n;
}

/* The eps of the table: as configured; else those of all balls; else round ones. */
static int choose_eps(const struct lines *all, double eps[TDO_REPORT_GRID])
{
    int n = 0;
    for (int i = 0; i < all->report->grid; i++) {
        add_eps(eps, &n, all->report->eps[i]);
    }
    for (int64_t i = 0; all->report->grid == 0 && i < all->count; i++) {
        const struct tdo_robustness_curve *c = all->of[i].curve;
        for (int k = 0; c->kind == TDO_ROBUSTNESS_BALL && k < c->points; k++) {
            add_eps(eps, &n, c->at[k].eps);
        }
    }
    if (n == 0) {
        add_eps(eps, &n, 0);
        const double step = all->reach > 0 ? tdo_curve_round_step(all->reach, MOST_EPS) : 1;
        for (int i = 1; i <= MOST_EPS && all->reach > 0; i++) {
            add_eps(eps, &n, tdo_curve_at(step, i));
        }
    }
    return n;
}

static void add_cell(tdo_table *t, const struct line *l, double eps)
{
    if (l->limit) {
        tdo_table_percent(t, (double)tdo_curve_stand(l->limit, l->images, eps, false),
                          (double)l->images);
        return;
    }
    for (int k = 0; k < l->curve->points; k++) {
        if (l->curve->at[k].eps == eps) {
            tdo_table_percent(t, (double)l->curve->at[k].right, (double)l->curve->at[k].images);
            return;
        }
    }
    tdo_table_cell(t, "-");
}

static tdo_err write_table(struct lines *all, const char *name)
{
    double eps[TDO_REPORT_GRID];
    const int n = choose_eps(all, eps);
    tdo_table *t = NULL;
    TDO_TRY(tdo_table_new(&t));
    tdo_table_column(t, false, "accuracy (%%)");
    for (int i = 0; i < n; i++) {
        tdo_table_column(t, true, "%seps %g", i ? "" : "at ", eps[i]);
    }
    for (int64_t k = 0; k < all->count; k++) {
        tdo_table_cell(t, "%s", all->of[k].label);
        for (int i = 0; i < n; i++) {
            add_cell(t, &all->of[k], eps[i]);
        }
    }
    tdo_err err = tdo_report_table(all->report, t, name);
    tdo_table_free(&t);
    return err;
}

/* ---- the picture -------------------------------------------------------------------------------- */

/* The worst case between the eps of balls was not measured: it is drawn as they are. */
static void add_balls(tdo_plot *p, const struct lines *all, const struct line *l)
{
    double eps[TDO_REPORT_GRID];
    int n = 0;
    for (int64_t i = 0; i < all->count; i++) {
        const struct tdo_robustness_curve *c = all->of[i].curve;
        for (int k = 0; all->of[i].run == l->run && !all->of[i].limit && k < c->points; k++) {
            add_eps(eps, &n, c->at[k].eps);
        }
    }
    for (int i = 0; i < n; i++) {
        const int64_t stand = tdo_curve_stand(l->limit, l->images, eps[i], false);
        tdo_plot_point(p, eps[i], 100 * (double)stand / (double)l->images);
    }
}

static tdo_err add_steps(tdo_plot *p, const struct lines *all, const struct line *l)
{
    struct tdo_curve curve = {0};
    tdo_err err = tdo_curve_steps(l->limit, l->images, &curve);
    for (int64_t i = 0; err == TDO_OK && i < curve.points; i++) {
        tdo_plot_point(p, curve.x[i], 100 * curve.y[i]);
    }
    /* Nothing is lost behind the last step. */
    if (err == TDO_OK && curve.x[curve.points - 1] < 1.05 * all->reach) {
        tdo_plot_point(p, 1.05 * all->reach, 100 * curve.y[curve.points - 1]);
    }
    tdo_curve_free(&curve);
    return err;
}

static bool has_steps(const struct lines *all, int run)
{
    for (int64_t i = 0; i < all->count; i++) {
        if (all->of[i].run == run && all->of[i].curve->kind == TDO_ROBUSTNESS_MINIMAL) {
            return true;
        }
    }
    return false;
}

static tdo_err add_series(tdo_plot *p, const struct lines *all, const struct line *l, int order)
{
    enum { BLACK = 6 };
    const struct tdo_robustness_curve *c = l->curve;
    const bool several = all->of[0].run != all->of[all->count - 1].run;
    const bool worst = c->kind == TDO_ROBUSTNESS_WORST;
    const bool steps = has_steps(all, l->run) && c->kind != TDO_ROBUSTNESS_BALL;
    const struct tdo_plot_series series = {l->label, steps ? TDO_PLOT_STEPS : TDO_PLOT_LINE,
                                           several ? l->run
                                           : worst ? BLACK
                                                   : order,
                                           several && !worst ? order : 0, worst};
    tdo_plot_series(p, &series);
    if (steps) {
        return add_steps(p, all, l);
    }
    if (worst) {
        add_balls(p, all, l);
        return TDO_OK;
    }
    for (int k = 0; k < c->points; k++) {
        tdo_plot_point(p, c->at[k].eps, 100 * (double)c->at[k].right / (double)c->at[k].images);
    }
    return TDO_OK;
}

/* The worst case first: the others lie on its broad line. */
static tdo_err fill_plot(tdo_plot *p, const struct lines *all)
{
    for (int worst = 1; worst >= 0; worst--) {
        int order = 0;
        for (int64_t i = 0; i < all->count; i++) {
            const struct line *l = &all->of[i];
            order = i > 0 && all->of[i - 1].run == l->run ? order + 1 : 0;
            if (worst == (l->curve->kind == TDO_ROBUSTNESS_WORST) && !left_out(all, l)) {
                TDO_TRY(add_series(p, all, l, order));
            }
        }
    }
    return TDO_OK;
}

/* "pixels in 0..1" unless some attack of these measures in another space. */
static const char *units_of(const struct lines *all)
{
    const char *units = "pixels in 0..1";
    for (int k = 0; k < all->report->runs; k++) {
        tdo_json *list = NULL, *attack = NULL;
        const tdo_json *about = all->report->run[k].outcomes.about;
        for (int a = 0; tdo_json_get(about, "attacks", &list) && tdo_json_at(list, a, &attack);
             a++) {
            const char *text = NULL;
            if (tdo_json_get_text(attack, "units", &text) && strcmp(text, "input") == 0) {
                units = "in each attack's units";
            }
            tdo_json_free(&attack);
            tdo_json_free(&list);
        }
        tdo_json_free(&list);
    }
    return all->norm == TDO_NORM_L0 ? "values changed" : units;
}

static tdo_err write_plot(struct lines *all, const char *name)
{
    char title[64], x[96];
    snprintf(title, sizeof title, "Accuracy under attack, %s", norm_text[all->norm]);
    snprintf(x, sizeof x, "eps: %s norm of the perturbation (%s)", norm_text[all->norm],
             units_of(all));
    const struct tdo_plot_frame frame = {.name = name,
                                         .title = title,
                                         .x = x,
                                         .y = "images right (%)",
                                         .x_high = 1.05 * all->reach,
                                         .y_high = 100};
    tdo_plot *p = NULL;
    TDO_TRY(tdo_plot_new(&frame, &p));
    tdo_err err = fill_plot(p, all);
    if (err == TDO_OK) {
        err = tdo_report_plot(all->report, p, &frame);
    }
    tdo_plot_free(&p);
    return err;
}

static tdo_err write_norm(struct lines *all)
{
    char name[32];
    TDO_TRY(gather(all));
    if (all->count == 0) {
        return TDO_OK;
    }
    snprintf(name, sizeof name, "accuracy_%s", tdo_threat_norm_name(all->norm));
    fprintf(all->report->page, "### Accuracy over eps, %s\n\n", norm_text[all->norm]);
    TDO_TRY(write_plot(all, name));
    return write_table(all, name);
}

tdo_err tdo_report_curves(struct tdo_report *r)
{
    static const enum tdo_norm order[] = {TDO_NORM_LINF, TDO_NORM_L2, TDO_NORM_L0};
    for (int i = 0; i < TDO_NORMS; i++) {
        struct lines all = {.report = r, .norm = order[i]};
        tdo_err err = write_norm(&all);
        free_lines(&all);
        TDO_TRY(err);
    }
    return TDO_OK;
}
