/* The section on series: runs whose names end in a number (deep-1, deep-2, ...) are the points of a
 * line, by what that number says: an epoch, a weight. See report.h.
 *
 * Of an attack that looks for a small norm, three pictures: its mean relative perturbation and the
 * clean accuracy over the number, and one over the other. Runs without a number stand in the last
 * as points, to compare with. Such pictures are figures 2 to 4 of Yan et al. 2018. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/report/report.h"

enum { OVER_NUMBER_RHO, OVER_NUMBER_ACCURACY, RHO_AND_ACCURACY, PICTURES };

/* Where the number at the end of a name begins; the end if there is none. */
static size_t number_at(const char *name)
{
    size_t at = strlen(name);
    while (at > 0 && (isdigit((unsigned char)name[at - 1]) || name[at - 1] == '.')) {
        at--;
    }
    return at;
}

static bool has_number(const struct tdo_results *run)
{
    return isdigit((unsigned char)run->name[number_at(run->name)]) != 0;
}

static double number_of(const struct tdo_results *run)
{
    return strtod(run->name + number_at(run->name), NULL);
}

static bool same_series(const struct tdo_results *a, const struct tdo_results *b)
{
    const size_t at = number_at(a->name);
    return has_number(a) && has_number(b) && at == number_at(b->name) &&
           strncmp(a->name, b->name, at) == 0;
}

/* The first attack of a run that looks for a small norm; NULL without one. */
static const struct tdo_robustness_row *minimal(const struct tdo_results *run)
{
    const struct tdo_robustness *b = run->robustness;
    for (int i = 0; b && i < b->attacks; i++) {
        const struct tdo_robustness_row *row = &b->row[i];
        if (row->attack.norm < TDO_NORMS && !isfinite(row->attack.eps) && row->fooled > 0) {
            return row;
        }
    }
    return NULL;
}

static void add_point(tdo_plot *p, int picture, const struct tdo_results *run)
{
    const struct tdo_robustness_row *row = minimal(run);
    const double accuracy = 100 * (double)row->clean / (double)row->images;
    tdo_plot_point(p, picture == RHO_AND_ACCURACY ? row->rho2 : number_of(run),
                   picture == OVER_NUMBER_RHO ? row->rho2 : accuracy);
}

/* The run of the series of `first` that comes behind `number`; -1 at its end. */
static int next_of(const struct tdo_report *r, int first, double number)
{
    int best = -1;
    for (int k = 0; k < r->runs; k++) {
        const struct tdo_results *run = &r->run[k];
        if (same_series(&r->run[first], run) && minimal(run) && number_of(run) > number &&
            (best < 0 || number_of(run) < number_of(&r->run[best]))) {
            best = k;
        }
    }
    return best;
}

/* Is this the first run of its series (or one without a number)? */
static bool begins(const struct tdo_report *r, int k)
{
    for (int i = 0; i < k; i++) {
        if (minimal(&r->run[i]) && same_series(&r->run[i], &r->run[k])) {
            return false;
        }
    }
    return minimal(&r->run[k]) != NULL;
}

static void add_series(tdo_plot *p, int picture, const struct tdo_report *r, int first,
                       int order)
{
    const struct tdo_results *run = &r->run[first];
    char label[1100];
    snprintf(label, sizeof label, "%.*s%s", (int)number_at(run->name), run->name,
             has_number(run) ? "…" : "");
    const struct tdo_plot_series series = {label, TDO_PLOT_LINE, order, 0, false};
    tdo_plot_series(p, &series);
    if (!has_number(run)) {
        add_point(p, picture, run);
        return;
    }
    for (int k = next_of(r, first, -HUGE_VAL); k >= 0;
         k = next_of(r, first, number_of(&r->run[k]))) {
        add_point(p, picture, &r->run[k]);
    }
}

static tdo_err draw(struct tdo_report *r, int picture)
{
    static const struct tdo_plot_frame frames[PICTURES] = {
        [OVER_NUMBER_RHO] = {.name = "series_rho",
                             .title = "Perturbation that fools the network",
                             .x = "number of the run",
                             .y = "mean |perturbation| / |image|",
                             .y_free = true},
        [OVER_NUMBER_ACCURACY] = {.name = "series_accuracy",
                                  .title = "Clean accuracy",
                                  .x = "number of the run",
                                  .y = "images right (%)",
                                  .y_free = true},
        [RHO_AND_ACCURACY] = {.name = "series",
                              .title = "Clean accuracy over robustness",
                              .x = "mean |perturbation| / |image|",
                              .y = "images right (%)",
                              .y_free = true}};
    tdo_plot *p = NULL;
    int order = 0;
    TDO_TRY(tdo_plot_new(&frames[picture], &p));
    for (int k = 0; k < r->runs; k++) {
        if (begins(r, k) && (picture == RHO_AND_ACCURACY || has_number(&r->run[k]))) {
            add_series(p, picture, r, k, order++);
        }
    }
    tdo_err err = tdo_report_plot(r, p, &frames[picture]);
    tdo_plot_free(&p);
    return err;
}

tdo_err tdo_report_series(struct tdo_report *r)
{
    bool wanted = false;
    for (int k = 0; k < r->runs; k++) {
        wanted = wanted || (begins(r, k) && has_number(&r->run[k]) &&
                            next_of(r, k, number_of(&r->run[k])) >= 0);
    }
    if (!wanted) {
        return TDO_OK;
    }
    fprintf(r->page,
            "## Series\n\nA line for the runs whose names differ in the number at their "
            "end; perturbations of the first attack that looks for a small norm.\n\n");
    for (int k = 0; k < PICTURES; k++) {
        TDO_TRY(draw(r, k));
    }
    return TDO_OK;
}
