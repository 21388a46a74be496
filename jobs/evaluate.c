/* testudo evaluate: how well a network does on clean images, and what attacks did to it, over all
 * ranks. evaluate.h says which parts there are, and what each leaves behind; every table has the
 * same bytes for any number of ranks. */
#include "jobs/evaluate/evaluate.h"

#include <stdio.h>

#include "jobs/photos.h"
#include "nn/base/file.h"
#include "nn/base/log.h"

static const struct part {
    const char *table; /* it says that the part is done */
    tdo_err (*run)(struct tdo_evaluating *e);
} parts[TDO_EVALUATE_PARTS] = {
    [TDO_EVALUATE_CLEAN] = {"evaluate.tsv", tdo_evaluate_clean},
    [TDO_EVALUATE_TABLES] = {"robustness.tsv", tdo_evaluate_tables},
    [TDO_EVALUATE_TRANSFER] = {"transfer.tsv", tdo_evaluate_transfer},
    [TDO_EVALUATE_DISTANCE] = {"distance.tsv", tdo_evaluate_distance},
    [TDO_EVALUATE_SENSITIVITY] = {"sensitivity.tsv", tdo_evaluate_sensitivity},
    [TDO_EVALUATE_SET] = {"denoising.tsv", tdo_evaluate_set},
    [TDO_EVALUATE_REGIONS] = {"regions.tsv", tdo_evaluate_regions},
};

/* ---- which parts ---------------------------------------------------------------------------------- */

static bool is_there(const char *dir, const char *name)
{
    char path[1024];
    const int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    return n >= 0 && (size_t)n < sizeof path && tdo_file_exists(path);
}

/* The root looks into the directory and tells the others. Returns the table of the first part that
 * is to be done; where none is, one that is there. */
static const char *choose_parts(struct tdo_evaluating *e)
{
    const tdo_config *k = e->job->config;
    const char *dir = tdo_config_text(k, "run.dir");
    const bool wanted[TDO_EVALUATE_PARTS] = {
        [TDO_EVALUATE_CLEAN] = true,
        [TDO_EVALUATE_TABLES] = is_there(dir, "outcomes.tsv"),
        [TDO_EVALUATE_TRANSFER] = tdo_config_text(k, "evaluate.runs")[0],
        [TDO_EVALUATE_DISTANCE] = tdo_config_bool(k, "evaluate.distance"),
        [TDO_EVALUATE_SENSITIVITY] = tdo_config_bool(k, "evaluate.sensitivity"),
        [TDO_EVALUATE_SET] = tdo_config_text(k, "evaluate.set")[0],
        [TDO_EVALUATE_REGIONS] = tdo_config_int(k, "evaluate.regions") > 0,
    };
    for (int p = 0; p < TDO_EVALUATE_PARTS; p++) {
        e->todo[p] = wanted[p] && !is_there(dir, parts[p].table);
    }
    tdo_comm_broadcast(e->job->comm, e->todo, (int64_t)sizeof e->todo);
    for (int p = 0; p < TDO_EVALUATE_PARTS; p++) {
        if (e->todo[p]) {
            return parts[p].table;
        }
    }
    return parts[TDO_EVALUATE_CLEAN].table;
}

/* ---- set-up --------------------------------------------------------------------------------------- */

static tdo_err read_outcomes(struct tdo_evaluating *e)
{
    if (!e->todo[TDO_EVALUATE_TABLES] && !e->todo[TDO_EVALUATE_DISTANCE]) {
        return TDO_OK;
    }
    if (!is_there(e->run.dir, "outcomes.tsv")) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "evaluate.distance: run.dir = %s has no outcomes.tsv; testudo attack in "
            "this directory comes first",
            e->run.dir);
    }
    return tdo_outcomes_read(e->run.dir, &e->outcomes);
}

/* What depends on data set and network; local. */
static tdo_err prepare(struct tdo_evaluating *e)
{
    const tdo_config *k = e->job->config;
    TDO_TRY(tdo_run_network(&e->run, k, tdo_dataset_info(e->data), &e->net));
    TDO_TRY(tdo_network_hash(&e->net, &e->network));
    TDO_TRY(tdo_voting_read(k, &e->net, &e->voting));
    e->images = tdo_images_split(e->data, (enum tdo_split)tdo_config_choice(k, "data.split"));
    TDO_TRY(tdo_images_take(&e->images, tdo_config_int(k, "evaluate.skip"),
                            tdo_config_int(k, "evaluate.max")));
    if (!e->todo[TDO_EVALUATE_CLEAN] && tdo_comm_rank(e->run.comm) == 0) {
        TDO_TRY(tdo_evaluate_check_clean(e));
    }
    return read_outcomes(e);
}

static tdo_err open_all(struct tdo_evaluating *e)
{
    struct tdo_job_context *x = e->job;
    char text[1024], how[256];
    TDO_TRY(tdo_run_begin(x, "evaluate", TDO_JOB_evaluate, choose_parts(e), &e->run));
    TDO_TRY(
        tdo_photos_open(x->comm, x->config, tdo_config_text(x->config, "data.file"), &e->data));
    TDO_TRY(tdo_comm_agree(x->comm, prepare(e)));
    tdo_voting_key(&e->voting, how, sizeof how);
    snprintf(text, sizeof text,
             "evaluate split=%d skip=%lld images=%lld network=%llx data=%llx isa=%s "
             "precision=%s share=%d %s",
             (int)e->images.split, (long long)e->images.skip, (long long)e->images.count,
             (unsigned long long)e->network, (unsigned long long)e->images.hash, e->run.isa,
             tdo_network_precision(&e->net), (int)e->net.shared, how);
    return tdo_run_context(&e->run, text, &e->context);
}

static void close_all(struct tdo_evaluating *e)
{
    tdo_outcomes_free(&e->outcomes);
    tdo_network_free(&e->net);
    tdo_dataset_free(&e->data);
    tdo_run_free(&e->run);
}

/* ---- the job -------------------------------------------------------------------------------------- */

static tdo_err evaluate(struct tdo_job_context *x)
{
    struct tdo_evaluating *e = NULL;
    tdo_err err = tdo_comm_agree(x->comm, tdo_memory_new(1, &e));
    if (err != TDO_OK) {
        return err;
    }
    e->job = x;
    char how[128];
    TDO_GOTO(open_all(e));
    tdo_voting_print(&e->voting, how, sizeof how);
    tdo_log_root(TDO_LOG_INFO, "evaluate %s: %lld images of %s, %s, on %d ranks",
                 e->net.model->name, (long long)e->images.count,
                 tdo_dataset_split_name(e->images.split), how, tdo_comm_size(x->comm));
    for (int p = 0; p < TDO_EVALUATE_PARTS; p++) {
        if (e->todo[p]) {
            TDO_GOTO(parts[p].run(e));
        }
    }
    err = tdo_run_end(&e->run);
done:
    close_all(e);
    tdo_memory_free(&e);
    return err;
}

const struct tdo_job tdo_job_evaluate = {
    .name = "evaluate",
    .help = "accuracy and loss on clean images, and tables of what attacks did",
    .word = "config",
    .bit = TDO_JOB_evaluate,
    .run = evaluate,
};
