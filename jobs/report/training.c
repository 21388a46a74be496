/* The section on training: learning curves and where they ended. See report.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "jobs/report/report.h"

static void cell(tdo_table *t, double value, double scale, int digits)
{
    if (isnan(value)) {
        tdo_table_cell(t, "-");
    } else {
        tdo_table_cell(t, "%.*f", digits, scale * value);
    }
}

/* The epoch of best validation accuracy, the first of equals; -1 without validation. */
static int64_t best_epoch(const struct tdo_results *run)
{
    int64_t best = -1;
    for (int64_t i = 0; i < run->epochs; i++) {
        const double v = run->epoch[i].metric[TDO_RESULTS_VAL_ACCURACY];
        if (!isnan(v) && (best < 0 || v > run->epoch[best].metric[TDO_RESULTS_VAL_ACCURACY])) {
            best = i;
        }
    }
    return best;
}

static void add_row(tdo_table *t, const struct tdo_results *run)
{
    const struct tdo_results_epoch *last = &run->epoch[run->epochs - 1];
    const int64_t best = best_epoch(run);
    tdo_table_cell(t, "%s", run->name);
    tdo_table_cell(t, "%s", run->model);
    tdo_table_cell(t, "%" PRId64, last->epoch);
    cell(t, last->metric[TDO_RESULTS_LOSS], 1, 4);
    cell(t, last->metric[TDO_RESULTS_ACCURACY], 100, 2);
    cell(t, last->metric[TDO_RESULTS_VAL_LOSS], 1, 4);
    cell(t, last->metric[TDO_RESULTS_VAL_ACCURACY], 100, 2);
    if (best < 0) {
        tdo_table_cell(t, "-");
        tdo_table_cell(t, "-");
    } else {
        cell(t, run->epoch[best].metric[TDO_RESULTS_VAL_ACCURACY], 100, 2);
        tdo_table_cell(t, "%" PRId64, run->epoch[best].epoch);
    }
}

static tdo_err write_table(struct tdo_report *r)
{
    static const char *const number[] = {
        "epochs",   "loss",    "accuracy (%)", "validation loss", "validation accuracy (%)",
        "best (%)", "in epoch"};
    tdo_table *t = NULL;
    TDO_TRY(tdo_table_new(&t));
    tdo_table_column(t, false, "run");
    tdo_table_column(t, false, "model");
    for (int i = 0; i < 7; i++) {
        tdo_table_column(t, true, "%s", number[i]);
    }
    for (int k = 0; k < r->runs; k++) {
        if (r->run[k].epochs > 0) {
            add_row(t, &r->run[k]);
        }
    }
    tdo_err err = tdo_report_table(r, t, "training");
    tdo_table_free(&t);
    return err;
}

static void add_series(tdo_plot *p, const struct tdo_report *r, int k, int metric, int dash)
{
    const struct tdo_results *run = &r->run[k];
    const bool validation =
        metric == TDO_RESULTS_VAL_LOSS || metric == TDO_RESULTS_VAL_ACCURACY;
    char label[1100];
    snprintf(label, sizeof label, "%s, %s", run->name, validation ? "validation" : "training");
    const struct tdo_plot_series series = {label, TDO_PLOT_LINE, k, dash, false};
    tdo_plot_series(p, &series);
    const double scale =
        metric == TDO_RESULTS_ACCURACY || metric == TDO_RESULTS_VAL_ACCURACY ? 100 : 1;
    for (int64_t i = 0; i < run->epochs; i++) {
        if (!isnan(run->epoch[i].metric[metric])) {
            tdo_plot_point(p, (double)run->epoch[i].epoch,
                           scale * run->epoch[i].metric[metric]);
        }
    }
}

static bool has(const struct tdo_report *r, int metric)
{
    for (int k = 0; k < r->runs; k++) {
        for (int64_t i = 0; i < r->run[k].epochs; i++) {
            if (!isnan(r->run[k].epoch[i].metric[metric])) {
                return true;
            }
        }
    }
    return false;
}

static tdo_err write_plot(struct tdo_report *r, const struct tdo_plot_frame *frame,
                          int training, int validation)
{
    tdo_plot *p = NULL;
    const int dash = has(r, validation); /* of training, where both are drawn */
    TDO_TRY(tdo_plot_new(frame, &p));
    for (int k = 0; k < r->runs; k++) {
        add_series(p, r, k, training, dash);
        add_series(p, r, k, validation, 0);
    }
    tdo_err err = tdo_report_plot(r, p, frame);
    tdo_plot_free(&p);
    return err;
}

tdo_err tdo_report_training(struct tdo_report *r)
{
    const struct tdo_plot_frame loss = {.name = "training_loss",
                                        .title = "Loss while training",
                                        .x = "epoch",
                                        .y = "mean loss an image"};
    const struct tdo_plot_frame accuracy = {.name = "training_accuracy",
                                            .title = "Accuracy while training",
                                            .x = "epoch",
                                            .y = "accuracy (%)",
                                            .y_free = true};
    int64_t epochs = 0;
    for (int k = 0; k < r->runs; k++) {
        epochs += r->run[k].epochs;
    }
    if (epochs == 0) {
        return TDO_OK;
    }
    fprintf(r->page,
            "## Training\n\nAt the end of the last epoch; training images as they were "
            "trained on, with all noise.\n\n");
    TDO_TRY(write_table(r));
    TDO_TRY(write_plot(r, &loss, TDO_RESULTS_LOSS, TDO_RESULTS_VAL_LOSS));
    return write_plot(r, &accuracy, TDO_RESULTS_ACCURACY, TDO_RESULTS_VAL_ACCURACY);
}
