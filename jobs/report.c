/* testudo report: tables, curves and contact sheets of what other jobs left in run directories.
 *
 * Reads results, never a model. Several directories stand side by side. Writes report.md, a TSV
 * file for every table in it, and for every picture its numbers and a script, from which gnuplot
 * then draws it; so the tables are there where gnuplot is not. The same results give the same
 * bytes. The root works, other ranks wait: only the readers of data sets are collective. */
#include "jobs/report/report.h"

#include <stdio.h>
#include <string.h>

#include "jobs/job.h"
#include "jobs/page.h"
#include "nn/base/file.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"

enum { MOST_RUNS = 64 };

struct reporting {
    struct tdo_report report;
    char from[16384], out[900]; /* a copy that is cut up; where results go */
    const char *dir[MOST_RUNS], *name[MOST_RUNS];
    bool png;
    struct tdo_page page;
};

/* ---- options ------------------------------------------------------------------------------------ */

/* The last part of a path, which may end with slashes; they are cut off. */
static const char *base_of(char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        path[--n] = '\0';
    }
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* Runs are called by the last part of their path, or by all of it where that is not enough. */
static void name_runs(struct reporting *p)
{
    const int runs = p->report.runs;
    bool twice[MOST_RUNS] = {false};
    for (int i = 0; i < runs; i++) {
        for (int k = 0; k < runs; k++) {
            twice[i] = twice[i] || (i != k && strcmp(p->name[i], p->name[k]) == 0);
        }
    }
    for (int i = 0; i < runs; i++) {
        p->name[i] = twice[i] ? p->dir[i] : p->name[i];
    }
}

static tdo_err split_from(struct reporting *p, const char *from)
{
    struct tdo_report *r = &p->report;
    const int n = snprintf(p->from, sizeof p->from, "%s", from);
    if (n < 0 || (size_t)n >= sizeof p->from) {
        return TDO_FAIL(TDO_ERR_CONFIG, "report.from is longer than %zu bytes",
                        sizeof p->from - 1);
    }
    for (char *at = p->from; at;) {
        char *comma = strchr(at, ',');
        if (comma) {
            *comma = '\0';
        }
        at += strspn(at, " ");
        if (!*at || r->runs == MOST_RUNS) {
            return TDO_FAIL(
                TDO_ERR_CONFIG,
                "report.from = %s: 1 to %d run directories with commas between them "
                "expected",
                from, MOST_RUNS);
        }
        p->name[r->runs] = base_of(at);
        p->dir[r->runs] = at;
        for (int i = 0; i < r->runs; i++) {
            if (strcmp(p->dir[i], at) == 0) {
                return TDO_FAIL(TDO_ERR_CONFIG, "report.from names %s twice", at);
            }
        }
        r->runs++;
        at = comma ? comma + 1 : NULL;
    }
    name_runs(p);
    return TDO_OK;
}

/* The directory of the report, which is none of a run. */
static tdo_err choose_out(struct reporting *p, const tdo_config *k, const char *run_dir)
{
    char path[1024];
    const char *out = tdo_config_text(k, "report.out");
    const int n = *out ? snprintf(p->out, sizeof p->out, "%s", out)
                       : snprintf(p->out, sizeof p->out, "%s/report", run_dir);
    if (n < 0 || (size_t)n >= sizeof p->out) {
        return TDO_FAIL(TDO_ERR_CONFIG, "report.out = %s is too long a path",
                        *out ? out : run_dir);
    }
    snprintf(path, sizeof path, "%s/run.json", p->out);
    if (tdo_file_exists(path)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "report.out = %s is a run directory (it holds run.json): another one "
                        "expected",
                        p->out);
    }
    p->report.out = p->out;
    return TDO_OK;
}

static tdo_err read_options(const tdo_config *k, struct reporting *p)
{
    struct tdo_report *r = &p->report;
    const char *from = tdo_config_text(k, "report.from");
    const char *dir = tdo_config_given(k, "run.dir") ? tdo_config_text(k, "run.dir") : "";
    if (!*dir && (!*from || !*tdo_config_text(k, "report.out"))) {
        return TDO_FAIL(TDO_ERR_CONFIG, "run.dir is missing: a run directory expected, or both "
                                        "report.from and report.out");
    }
    r->config = k;
    r->title = tdo_config_text(k, "report.title");
    r->data = tdo_config_given(k, "data.file") ? tdo_config_text(k, "data.file") : NULL;
    r->columns = (int)tdo_config_int(k, "report.images");
    r->grid = tdo_config_reals(k, "report.eps", r->eps, TDO_REPORT_GRID);
    p->png = tdo_config_bool(k, "report.png");
    TDO_TRY(split_from(p, *from ? from : dir));
    return choose_out(p, k, dir);
}

/* ---- work of the root --------------------------------------------------------------------------- */

static tdo_err begin(struct reporting *p)
{
    struct tdo_report *r = &p->report;
    TDO_TRY(tdo_memory_new(r->runs, &r->run));
    for (int k = 0; k < r->runs; k++) {
        TDO_TRY(tdo_results_read(p->dir[k], p->name[k], &r->run[k]));
    }
    tdo_report_sources(r);
    TDO_TRY(tdo_file_make_dir(r->out));
    TDO_TRY(tdo_page_open(&p->page));
    r->page = p->page.to;
    TDO_TRY(tdo_report_summary(r));
    TDO_TRY(tdo_report_clean(r));
    TDO_TRY(tdo_report_votes(r));
    TDO_TRY(tdo_report_regions(r));
    TDO_TRY(tdo_report_attacks(r));
    TDO_TRY(tdo_report_denoising(r));
    TDO_TRY(tdo_report_certified(r));
    TDO_TRY(tdo_report_series(r));
    return tdo_report_training(r);
}

/* The page as far as it came: it is written if err is TDO_OK, and closed in any case. */
static tdo_err finish(struct reporting *p, tdo_err err)
{
    const struct tdo_run where = {.dir = p->out};
    if (!p->page.to) {
        return err;
    }
    if (err == TDO_OK && p->report.plots > 0) {
        fprintf(
            p->page.to,
            "## Files\n\nEvery table is here as TSV under the name of its picture or section. "
            "`gnuplot NAME.gp` draws NAME.svg again from NAME.dat, `gnuplot -e png=1 NAME.gp` "
            "NAME.png.\n");
    }
    return tdo_page_save(&p->page, &where, "report.md", err);
}

static tdo_err draw(const struct reporting *p)
{
    for (int i = 0; i < p->report.plots; i++) {
        TDO_TRY(tdo_plot_draw(p->out, p->report.plot[i], p->png));
    }
    return TDO_OK;
}

static void close_all(struct reporting *p)
{
    for (int k = 0; p->report.run && k < p->report.runs; k++) {
        tdo_results_free(&p->report.run[k]);
    }
    tdo_memory_free(&p->report.run);
}

static tdo_err report(struct tdo_job_context *x)
{
    const bool root = tdo_comm_rank(x->comm) == 0;
    struct reporting *p = NULL;
    tdo_err err = tdo_memory_new(1, &p);
    if (err == TDO_OK) {
        err = read_options(x->config, p);
    }
    TDO_GOTO(tdo_comm_agree(x->comm, err));
    err = tdo_comm_agree(x->comm, root ? begin(p) : TDO_OK);
    if (err == TDO_OK) {
        err = tdo_report_images(&p->report, x->comm);
    }
    if (err == TDO_OK) {
        err = tdo_report_samples(&p->report, x->comm);
    }
    if (root) {
        err = finish(p, err);
    }
    TDO_GOTO(tdo_comm_agree(x->comm, err));
    TDO_GOTO(tdo_comm_agree(x->comm, root ? draw(p) : TDO_OK));
    if (root) {
        printf("%s/report.md: %d runs, %d pictures\n", p->out, p->report.runs,
               p->report.plots + p->report.sheets);
    }
done:
    if (p) {
        close_all(p);
    }
    tdo_memory_free(&p);
    return err;
}

const struct tdo_job tdo_job_report = {
    .name = "report",
    .help = "tables, curves and contact sheets of what other jobs left; runs no model",
    .word = "config",
    .bit = TDO_JOB_report,
    .run = report,
};
