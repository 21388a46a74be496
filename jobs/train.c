/* testudo train: data-parallel training over all ranks.
 *
 * The global batch is cut into train.shards logical shards; ranks only decide who computes which
 * (mpi/gradients.h), so weights are bit-equal for any number of ranks. Each rank reads just its
 * rows, ahead of time. Writes model.safetensors and metrics.jsonl into run.dir.
 *
 * Behind every epoch: validation, the watched metric (keep these weights? cut the rate? stop?),
 * the line of metrics, what a milestone asks for, and a checkpoint of it all (train_state.c).
 * Started again, on any number of ranks, the job goes on from the newest one and ends with the
 * same bytes as if it had never stopped. */
#include "jobs/train/train.h"
#include "jobs/photos.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/base/log.h"

/* ---- rows ----------------------------------------------------------------------------------- */

/* Global rows of step `step`: how many, and this rank's part of them into id. */
static int64_t rows_of_step(struct tdo_training *t, int64_t step, int64_t *id, int64_t *mine)
{
    const int64_t at = step % t->steps_per_epoch * t->batch;
    const int64_t left = t->order.rows - at, rows = left < t->batch ? left : t->batch;
    const struct tdo_range r = tdo_trainer_rows(t->trainer, rows);
    struct tdo_order order = t->order;
    order.epoch = (uint32_t)(step / t->steps_per_epoch);
    for (int64_t i = r.first; i < r.end; i++) {
        id[i - r.first] = tdo_stack_id(t->stack, tdo_shard_row(&order, at + i));
    }
    *mine = r.end - r.first;
    return rows;
}

static tdo_err request(struct tdo_training *t, int64_t step)
{
    int64_t mine = 0;
    (void)rows_of_step(t, step, t->id[step % 2], &mine);
    tdo_prefetch_turn(t->prefetch, step / t->steps_per_epoch);
    return mine > 0 ? tdo_prefetch_request(t->prefetch, t->id[step % 2], mine) : TDO_OK;
}

/* ---- opening -------------------------------------------------------------------------------- */

static tdo_err open_network(struct tdo_job_context *c, struct tdo_training *t)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(t->data);
    const struct tdo_network_data fit = {info->height, info->width, info->channels,
                                         info->classes};
    const char *file = tdo_config_text(c->config, "model.file");
    if (file[0]) { /* its input layer is in the file */
        return tdo_comm_agree(c->comm, tdo_network_start(c->config, file, &fit, &t->net));
    }
    TDO_TRY(tdo_comm_agree(c->comm, tdo_network_configure(c->config, &fit, &t->net)));
    return tdo_train_input(c->comm, t->data, &t->net);
}

/* The most rows that this rank has in a batch: those of its shards. */
static int64_t most_rows(const tdo_comm *comm, const struct tdo_trainer_options *o)
{
    const struct tdo_range own =
        tdo_shard_owned(o->shards, tdo_comm_size(comm), tdo_comm_rank(comm));
    const int64_t a_shard = (o->batch + o->shards - 1) / o->shards;
    return (own.end - own.first) * a_shard;
}

static tdo_err make_trainer(struct tdo_job_context *c, struct tdo_training *t)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(t->data);
    const struct tdo_network_data fit = {info->height, info->width, info->channels,
                                         info->classes};
    struct tdo_trainer_options o = tdo_train_step_options(c->config, info->is_u8);
    struct tdo_attack_use inner;
    bool wanted = false;
    TDO_TRY(tdo_comm_agree(c->comm, tdo_crafter_read(c->config, &t->net, &inner, &wanted)));
    TDO_TRY(tdo_comm_agree(c->comm, tdo_stored_open(&t->net, &fit, &t->stored)));
    o.inner = wanted ? &inner : NULL;
    o.wide = tdo_stack_wide(t->stack);
    o.pairs = tdo_stack_pairs(t->stack);
    o.teacher = t->stored.teacher.members ? t->stored.teacher.member[0] : NULL;
    o.sources = &t->stored.sources;
    if (o.dropout > 0 && !t->net.model->dropout) {
        return TDO_FAIL(TDO_ERR_CONFIG, "train.dropout = %g: %s has no dropout layers",
                        o.dropout, t->net.model->name);
    }
    if (o.optim.fixed_norms && tdo_params_count(t->net.params, TDO_PARAM_BUFFER) == 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "train.norm = fixed: %s has no batch normalisation",
                        t->net.model->name);
    }
    tdo_err err = tdo_trainer_new(c->comm, &t->net, &o, &t->trainer);
    if (err == TDO_OK) {
        const struct tdo_prefetch_source from = tdo_stack_source(t->stack);
        err = tdo_prefetch_from(&from, most_rows(c->comm, &o), &t->prefetch);
    }
    for (int k = 0; err == TDO_OK && k < 2; k++) {
        err = tdo_memory_new(most_rows(c->comm, &o), &t->id[k]);
    }
    return tdo_comm_agree(c->comm, err);
}

static tdo_err open_denoising(struct tdo_job_context *c, struct tdo_training *t)
{
    struct tdo_network *guide = t->stored.teacher.members ? t->stored.teacher.member[0] : NULL;
    return tdo_stack_pairs(t->stack) && t->validation.images.count > 0
               ? tdo_denoising_open(c->comm, t->data, &t->net, guide, &t->validation.holdout,
                                    &t->denoising)
               : TDO_OK;
}

static tdo_err open_all(struct tdo_job_context *c, struct tdo_training *t)
{
    TDO_TRY(
        tdo_photos_open(c->comm, c->config, tdo_config_text(c->config, "data.file"), &t->data));
    TDO_TRY(open_network(c, t));
    TDO_TRY(tdo_validation_open(c->comm, c->config, t->data, &t->net, &t->validation));
    TDO_TRY(
        tdo_stack_open(c->comm, t->data, &t->net.defenses, &t->validation.holdout, &t->stack));
    tdo_err err = tdo_train_read_photos(c->config, t->stack);
    if (err == TDO_OK) {
        err = tdo_train_plan_steps(c->config, t);
    }
    if (err == TDO_OK) {
        err = tdo_train_plan_watch(c->config, t);
    }
    TDO_TRY(tdo_comm_agree(c->comm, err));
    TDO_TRY(make_trainer(c, t));
    TDO_TRY(open_denoising(c, t));
    TDO_TRY(tdo_comm_agree(c->comm, tdo_stored_describe(&t->stored, t->run.record)));
    TDO_TRY(tdo_train_make_context(c->config, t));
    return tdo_train_recall(t);
}

/* ---- steps ---------------------------------------------------------------------------------- */

static tdo_err one_step(struct tdo_training *t, int64_t step)
{
    int64_t mine = 0, *id = t->id[step % 2];
    struct tdo_trainer_result result;
    struct tdo_trainer_batch batch = {
        .rows = rows_of_step(t, step, id, &mine),
        .step = (uint32_t)step,
        .epoch = step / t->steps_per_epoch + 1,
        .number = step % t->steps_per_epoch + 1,
        .rate = tdo_schedule_rate(&t->schedule, step, t->watch.count[TDO_WATCH_CUTS]),
        .id = id};
    if (mine > 0) {
        const double start = tdo_log_now();
        TDO_TRY(tdo_prefetch_wait(t->prefetch, &batch.x, &batch.y));
        t->waited += tdo_log_now() - start;
    }
    if (step + 1 < t->steps) {
        TDO_TRY(request(t, step + 1));
    }
    TDO_TRY(tdo_trainer_step(t->trainer, &batch, &result));
    t->loss += result.loss * (double)batch.rows;
    t->count[TDO_TRAINING_CORRECT] += result.correct;
    t->count[TDO_TRAINING_ROWS] += batch.rows;
    t->count[TDO_TRAINING_STEP] = step + 1;
    return TDO_OK;
}

/* At the end of a stage: back to the best weights, a fresh optimiser, as asked. */
static void end_stage(struct tdo_training *t)
{
    if (t->reload && t->watch.count[TDO_WATCH_CHOICE] > 0) {
        tdo_train_restore(t);
    }
    if (t->reset) {
        tdo_optim_reset(tdo_trainer_optim(t->trainer));
    }
}

/* Of this epoch so far; NaN where nothing was classified. */
static double accuracy_of(const struct tdo_training *t)
{
    const double correct = (double)t->count[TDO_TRAINING_CORRECT];
    return correct < 0 ? (double)NAN : correct / (double)t->count[TDO_TRAINING_ROWS];
}

static tdo_err validate(struct tdo_training *t, double *loss, double *accuracy)
{
    if (t->denoising) {
        return tdo_denoising_score(t->run.comm, t->denoising, loss, accuracy);
    }
    return t->validation.images.count > 0
               ? tdo_validation_score(t->run.comm, &t->validation, loss, accuracy)
               : TDO_OK;
}

/* Validation, watch, metrics, milestone. Collective; errors are agreed. */
static tdo_err end_epoch(struct tdo_training *t)
{
    const int64_t done = t->count[TDO_TRAINING_STEP];
    double metric[TDO_METRICS] = {[TDO_METRIC_VAL_ACCURACY] = (double)NAN,
                                  [TDO_METRIC_VAL_LOSS] = (double)NAN,
                                  [TDO_METRIC_ACCURACY] = accuracy_of(t),
                                  [TDO_METRIC_LOSS] =
                                      t->loss / (double)t->count[TDO_TRAINING_ROWS]};
    TDO_TRY(validate(t, &metric[TDO_METRIC_VAL_LOSS], &metric[TDO_METRIC_VAL_ACCURACY]));
    TDO_TRY(tdo_comm_agree(t->run.comm, tdo_train_record(t, metric)));
    const struct tdo_watch_verdict verdict = tdo_watch_see(&t->watch, metric[t->metric]);
    if (verdict.keep) {
        tdo_train_keep(t);
    }
    t->count[TDO_TRAINING_STOPPED] = verdict.stop;
    if (tdo_schedule_stage(&t->schedule, done) > tdo_schedule_stage(&t->schedule, done - 1)) {
        end_stage(t);
    }
    return TDO_OK;
}

static bool finished(const struct tdo_training *t)
{
    return t->count[TDO_TRAINING_STEP] >= t->steps || t->count[TDO_TRAINING_STOPPED];
}

/* Behind a step that is not the last one: leave, if any rank was asked to, with a checkpoint. */
static tdo_err stop_if_asked(struct tdo_training *t, bool stored)
{
    if (finished(t) || !tdo_stop_agreed(t->run.comm, &t->pace, t->count[TDO_TRAINING_STEP])) {
        return TDO_OK;
    }
    if (!stored) {
        TDO_TRY(tdo_train_store(t));
    }
    tdo_log_root(TDO_LOG_INFO, "stop behind step %lld of %lld",
                 (long long)t->count[TDO_TRAINING_STEP], (long long)t->steps);
    return tdo_stop_error();
}

static tdo_err after_step(struct tdo_training *t)
{
    const int64_t done = t->count[TDO_TRAINING_STEP];
    const bool epoch = done % t->steps_per_epoch == 0 || done == t->steps;
    if (epoch) {
        TDO_TRY(end_epoch(t));
    }
    const bool due = finished(t) || (t->save ? done % t->save == 0 : epoch);
    if (due) {
        TDO_TRY(tdo_train_store(t));
    }
    return stop_if_asked(t, due);
}

static void describe_progress(const struct tdo_training *t, char *note, size_t size)
{
    const double rows = (double)t->count[TDO_TRAINING_ROWS];
    if (rows > 0) {
        const int64_t epoch = (t->count[TDO_TRAINING_STEP] - 1) / t->steps_per_epoch + 1;
        const int n =
            snprintf(note, size, "epoch %lld, loss %.4f", (long long)epoch, t->loss / rows);
        if (t->count[TDO_TRAINING_CORRECT] >= 0) {
            snprintf(note + n, size - (size_t)n, ", accuracy %.2f %%", 100.0 * accuracy_of(t));
        }
    }
}

/* An error in the middle of a step leaves ranks waiting for each other's messages: only what all
 * ranks see alike comes back, the rest ends the job. */
static tdo_err all_steps(struct tdo_training *t)
{
    struct tdo_progress progress;
    char note[96] = "";
    const int64_t first = t->count[TDO_TRAINING_STEP];
    tdo_err err = finished(t) ? TDO_OK : request(t, first);
    tdo_progress_start(&progress, "train", "steps", t->steps, first);
    for (int64_t step = first; err == TDO_OK && !finished(t); step++) {
        err = one_step(t, step);
        if (err != TDO_OK) {
            break;
        }
        describe_progress(t, note, sizeof note);
        tdo_progress_show(&progress, step + 1, note);
        TDO_TRY(after_step(t)); /* agreed */
    }
    if (err == TDO_OK) {
        const double seconds = tdo_log_now() - progress.started;
        const int64_t steps = t->count[TDO_TRAINING_STEP] - first;
        tdo_progress_end(&progress, t->count[TDO_TRAINING_STEP], note);
        tdo_run_note(&t->run, "images_per_second", (double)(steps * t->batch) / seconds);
        tdo_run_note(&t->run, "waited_for_data", t->waited / seconds);
        tdo_log_root(TDO_LOG_INFO, "waited for data %.1f %% of the time",
                     100 * t->waited / seconds);
    } else if (err != TDO_ERR_NUMERIC) {
        tdo_comm_abort(t->run.comm, err);
    }
    return err;
}

/* model.safetensors, of the weights that were to be kept. */
static tdo_err save(struct tdo_training *t)
{
    char path[1024];
    tdo_err err = TDO_OK;
    if (t->watch.count[TDO_WATCH_CHOICE] > 0) {
        tdo_train_restore(t);
        tdo_log_root(TDO_LOG_INFO, "keep epoch %lld of %lld",
                     (long long)t->watch.count[TDO_WATCH_CHOICE],
                     (long long)t->watch.count[TDO_WATCH_SEEN]);
    }
    if (tdo_comm_rank(t->run.comm) == 0) {
        err = tdo_run_path(&t->run, "model.safetensors", path, sizeof path);
        if (err == TDO_OK) {
            err = tdo_network_save(&t->net, path);
        }
        if (err == TDO_OK) {
            tdo_log_root(TDO_LOG_INFO, "wrote %s", path);
        }
    }
    return tdo_comm_agree(t->run.comm, err);
}

/* ---- the job -------------------------------------------------------------------------------- */

static void close_all(struct tdo_training *t)
{
    tdo_prefetch_free(&t->prefetch);
    tdo_trainer_free(&t->trainer);
    tdo_denoising_free(&t->denoising);
    tdo_stack_free(&t->stack);
    tdo_stored_free(&t->stored);
    tdo_validation_close(&t->validation);
    tdo_network_free(&t->net);
    tdo_dataset_free(&t->data);
    for (int k = 0; k < 2; k++) {
        tdo_memory_free(&t->id[k]);
    }
    for (int k = 0; k < TDO_PARAM_FIXED; k++) {
        tdo_memory_free(&t->kept[k]);
    }
    tdo_memory_free(&t->metrics);
    tdo_run_free(&t->run);
}

static tdo_err train(struct tdo_job_context *c)
{
    struct tdo_training *t = NULL;
    tdo_err err = tdo_comm_agree(c->comm, tdo_memory_new(1, &t));
    if (err != TDO_OK) {
        return err;
    }
    TDO_GOTO(tdo_run_begin(c, "train", TDO_JOB_train, "model.safetensors", &t->run));
    TDO_GOTO(open_all(c, t));
    tdo_log_root(TDO_LOG_INFO,
                 "train %s: %lld weights, %lld images, batch %lld in %d shards on %d ranks, "
                 "%.1f MB a step",
                 t->net.model->name,
                 (long long)tdo_params_count(t->net.params, TDO_PARAM_WEIGHT),
                 (long long)t->order.rows, (long long)t->batch,
                 (int)tdo_config_int(c->config, "train.shards"), tdo_comm_size(c->comm),
                 (double)tdo_trainer_bytes(t->trainer) * 1e-6);
    TDO_GOTO(tdo_comm_agree(c->comm, all_steps(t)));
    TDO_GOTO(save(t));
    err = tdo_run_end(&t->run);
done:
    close_all(t);
    tdo_memory_free(&t);
    return err;
}

const struct tdo_job tdo_job_train = {
    .name = "train",
    .help = "train a network, data-parallel over all ranks",
    .word = "config",
    .bit = TDO_JOB_train,
    .run = train,
};
