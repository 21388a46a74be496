/* Metrics and checkpoints of a training. See train.h.
 *
 * A checkpoint holds the whole state: weights, running statistics, optimiser, the weights that are
 * kept, what the watch knows, the step, and what the metrics say so far. Rates, order, noise and
 * augmentation are functions of the step. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/train/train.h"
#include "mpi/checkpoint.h"
#include "nn/base/file.h"
#include "nn/base/log.h"

/* ---- metrics -------------------------------------------------------------------------------- */

static const char *const metric_names[TDO_METRICS] = {[TDO_METRIC_VAL_ACCURACY] =
                                                          "val_accuracy",
                                                      [TDO_METRIC_VAL_LOSS] = "val_loss",
                                                      [TDO_METRIC_ACCURACY] = "accuracy",
                                                      [TDO_METRIC_LOSS] = "loss"};

tdo_err tdo_train_record(struct tdo_training *t, const double metric[TDO_METRICS])
{
    char line[256], note[160] = "";
    static const enum tdo_metric order[] = {TDO_METRIC_LOSS, TDO_METRIC_ACCURACY,
                                            TDO_METRIC_VAL_LOSS, TDO_METRIC_VAL_ACCURACY};
    const int64_t done = t->count[TDO_TRAINING_STEP];
    const long long epoch = (done + t->steps_per_epoch - 1) / t->steps_per_epoch;
    const double rate =
        tdo_schedule_rate(&t->schedule, done - 1, t->watch.count[TDO_WATCH_CUTS]);
    int n = snprintf(line, sizeof line, "{\"epoch\": %lld, \"step\": %lld, \"rate\": %.9g",
                     epoch, (long long)done, rate);
    int m = 0;
    for (int i = 0; i < TDO_METRICS; i++) {
        if (!isnan(metric[order[i]])) {
            const char *name = metric_names[order[i]];
            n += snprintf(line + n, sizeof line - (size_t)n, ", \"%s\": %.9g", name,
                          metric[order[i]]);
            m += snprintf(note + m, sizeof note - (size_t)m, ", %s %.4f", name,
                          metric[order[i]]);
        }
    }
    n += snprintf(line + n, sizeof line - (size_t)n, "}\n");
    tdo_log_root(TDO_LOG_INFO, "epoch %lld: rate %.4g%s", epoch, rate, note);
    TDO_TRY(tdo_memory_grow(t->metrics_bytes, t->metrics_bytes + n, &t->metrics));
    memcpy(t->metrics + t->metrics_bytes, line, (size_t)n);
    t->metrics_bytes += n;
    t->loss = 0;
    t->count[TDO_TRAINING_ROWS] = t->count[TDO_TRAINING_CORRECT] = 0;
    return TDO_OK;
}

static tdo_err write_metrics(const struct tdo_training *t)
{
    char path[1024];
    if (tdo_comm_rank(t->run.comm) != 0) {
        return TDO_OK;
    }
    TDO_TRY(tdo_run_path(&t->run, "metrics.jsonl", path, sizeof path));
    return tdo_file_write(path, t->metrics, t->metrics_bytes);
}

/* ---- kept weights --------------------------------------------------------------------------- */

static void copy_blocks(struct tdo_training *t, bool keep)
{
    for (int k = 0; k < TDO_PARAM_FIXED; k++) {
        float *now = tdo_params_block(t->net.params, (enum tdo_param_kind)k);
        const size_t bytes =
            (size_t)tdo_params_count(t->net.params, (enum tdo_param_kind)k) * sizeof *now;
        if (bytes > 0) {
            memcpy(keep ? t->kept[k] : now, keep ? now : t->kept[k], bytes);
        }
    }
}

void tdo_train_keep(struct tdo_training *t)
{
    copy_blocks(t, true);
}

void tdo_train_restore(struct tdo_training *t)
{
    copy_blocks(t, false);
    tdo_trainer_touch(t->trainer);
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

enum { PARTS = 11 };

/* The whole state as parts; reading allocates the text of the metrics. */
static void list_parts(struct tdo_training *t, struct tdo_checkpoint_part parts[PARTS])
{
    const tdo_params *p = t->net.params;
    tdo_optim *o = tdo_trainer_optim(t->trainer);
    const int64_t weights = tdo_params_count(p, TDO_PARAM_WEIGHT);
    const int64_t buffers = tdo_params_count(p, TDO_PARAM_BUFFER);
    const bool keeps = t->kept[0] != NULL;
    int64_t moments = 0;
    float *state = tdo_optim_state(o, &moments);
    const struct tdo_checkpoint_part list[PARTS] = {
        {"weights", TDO_CHECKPOINT_F32, weights, tdo_params_block(p, TDO_PARAM_WEIGHT)},
        {"buffers", TDO_CHECKPOINT_F32, buffers, tdo_params_block(p, TDO_PARAM_BUFFER)},
        {"optimizer", TDO_CHECKPOINT_F32, moments, state},
        {"optimizer.steps", TDO_CHECKPOINT_I64, 1, tdo_optim_steps(o)},
        {"kept.weights", TDO_CHECKPOINT_F32, keeps ? weights : 0, t->kept[TDO_PARAM_WEIGHT]},
        {"kept.buffers", TDO_CHECKPOINT_F32, keeps ? buffers : 0, t->kept[TDO_PARAM_BUFFER]},
        {"watch.counts", TDO_CHECKPOINT_I64, TDO_WATCH_COUNTS, t->watch.count},
        {"watch.values", TDO_CHECKPOINT_F64, TDO_WATCH_VALUES, t->watch.value},
        {"counts", TDO_CHECKPOINT_I64, TDO_TRAINING_COUNTS, t->count},
        {"loss", TDO_CHECKPOINT_F64, 1, &t->loss},
        {"metrics", TDO_CHECKPOINT_U8, t->metrics_bytes, t->metrics}};
    memcpy(parts, list, sizeof list);
}

tdo_err tdo_train_store(struct tdo_training *t)
{
    struct tdo_checkpoint_part parts[PARTS];
    /* Weights that went astray in the latest update must not take a good checkpoint's place. */
    TDO_TRY(tdo_comm_agree(t->run.comm, tdo_params_check_finite(t->net.params)));
    list_parts(t, parts);
    TDO_TRY(tdo_checkpoint_write(t->run.comm, t->run.dir, parts, PARTS));
    return tdo_comm_agree(t->run.comm, write_metrics(t));
}

tdo_err tdo_train_recall(struct tdo_training *t)
{
    struct tdo_checkpoint_part parts[PARTS];
    bool found = false;
    tdo_err err = TDO_OK;
    const int64_t context = t->count[TDO_TRAINING_CONTEXT];
    list_parts(t, parts);
    parts[PARTS - 1].count = -1;
    TDO_TRY(tdo_checkpoint_read(t->run.comm, t->run.dir, parts, PARTS, &found));
    if (!found) {
        return TDO_OK;
    }
    t->metrics = parts[PARTS - 1].data;
    t->metrics_bytes = parts[PARTS - 1].count;
    if (t->count[TDO_TRAINING_CONTEXT] != context) {
        err = TDO_FAIL(
            TDO_ERR_CONFIG,
            "%s/checkpoint.h5 is of a run with other settings, data or threads; choose "
            "another run.dir or remove it",
            t->run.dir);
    }
    tdo_trainer_touch(t->trainer);
    if (err == TDO_OK) {
        tdo_log_root(TDO_LOG_INFO, "resume: step %lld of %lld",
                     (long long)t->count[TDO_TRAINING_STEP], (long long)t->steps);
    }
    return tdo_comm_agree(t->run.comm, err);
}

/* ---- context -------------------------------------------------------------------------------- */

/* Of stored networks and sets what counts is their hash, not where they lie. */
static void drop_paths(const struct tdo_stored *s, tdo_json *all)
{
    tdo_json *rows = NULL, *row = NULL;
    (void)tdo_json_get(all, "defense", &rows);
    for (int64_t i = 0; i < tdo_json_size(rows); i++) {
        if (tdo_json_at(rows, i, &row)) {
            if (s->teacher.members > 0) {
                tdo_json_remove(row, "teacher");
            }
            tdo_json_remove(row, "sources");
            tdo_json_remove(row, "file");
            tdo_json_remove(row, "guide");
            tdo_json_remove(row, "sets");
        }
        tdo_json_free(&row);
    }
    tdo_json_free(&rows);
}

/* The resolved settings without those that name places or say how far to go. */
static tdo_err settings(const tdo_config *c, const struct tdo_training *t, tdo_json **out)
{
    static const char *const places[] = {"epochs", "steps", "save", "val_file"};
    static const char *const data_places[] = {"file", "threads", "size", "resize"};
    tdo_json *run = NULL, *train = NULL, *model = NULL, *data = NULL;
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_config_json(c, TDO_JOB_train, out));
    if (tdo_json_get(*out, "run", &run) && tdo_json_get(*out, "train", &train) &&
        tdo_json_get(*out, "model", &model) && tdo_json_get(*out, "data", &data)) {
        for (size_t i = 0; i < sizeof data_places / sizeof *data_places; i++) {
            tdo_json_remove(data, data_places[i]); /* sizes are in the hash of the set */
        }
        tdo_json_remove(run, "dir");
        tdo_json_remove(run, "until");
        tdo_json_remove(run, "margin");
        tdo_json_remove(model, "file");
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            tdo_json_remove(train, places[i]);
        }
        if (t->schedule.kind == TDO_SCHEDULE_COSINE) {
            tdo_json_set_int(train, "length", t->schedule.steps);
        }
        err = tdo_json_check(*out);
    } else {
        err = TDO_FAIL(TDO_ERR_MEMORY, "out of memory: settings");
    }
    tdo_json_free(&run);
    tdo_json_free(&train);
    tdo_json_free(&model);
    tdo_json_free(&data);
    return err;
}

static tdo_err context_text(const tdo_config *c, struct tdo_training *t, char **text)
{
    uint64_t network = 0;
    tdo_json *all = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(settings(c, t, &all));
    drop_paths(&t->stored, all);
    TDO_GOTO(tdo_stored_describe(&t->stored, all));
    TDO_GOTO(tdo_network_hash(&t->net, &network));
    tdo_json_set_hash(all, "start", network);
    tdo_json_set_hash(all, "data", tdo_dataset_info(t->data)->hash);
    tdo_json_set_hash(all, "validation", t->validation.images.hash);
    tdo_stack_describe(t->stack, all);
    tdo_json_set_text(all, "isa", t->run.isa);
    err = tdo_json_text(all, 0, text);
done:
    tdo_json_free(&all);
    return err;
}

tdo_err tdo_train_make_context(const tdo_config *c, struct tdo_training *t)
{
    char *text = NULL;
    uint64_t context = 0;
    tdo_err err = tdo_comm_agree(t->run.comm, context_text(c, t, &text));
    if (err == TDO_OK) {
        err = tdo_run_context(&t->run, text, &context);
    }
    t->count[TDO_TRAINING_CONTEXT] = (int64_t)context;
    tdo_memory_free(&text);
    return err;
}
