/* testudo train: data-parallel training over all ranks.
 *
 * The global batch is cut into train.shards logical shards; ranks only decide who computes which
 * (mpi/gradients.h), so weights are bit-equal for any number of ranks. Each rank reads just its
 * rows, ahead of time. Writes model.safetensors and metrics.jsonl into run.dir.
 *
 * A checkpoint holds the whole state: weights, running statistics, velocity, the step, and what
 * the metrics say so far. Started again, on any number of ranks, the job goes on from the newest
 * one and ends with the same bytes as if it had never stopped. */
#include "jobs/train.h"

#include <stdio.h>
#include <string.h>

#include "jobs/run.h"
#include "mpi/checkpoint.h"
#include "nn/base/file.h"
#include "nn/base/log.h"

/* Sums over the part of an epoch that is done. */
struct tally {
    double loss;
    int64_t rows, correct;
};

enum { STEP, CONTEXT, ROWS, CORRECT, COUNTERS }; /* integers of a checkpoint */

struct training {
    struct tdo_run run;
    tdo_dataset *data;
    struct tdo_network net;
    tdo_trainer *trainer;
    tdo_prefetch *prefetch;
    struct tdo_order order;
    int64_t *id[2]; /* rows of this rank in the present batch and the next */
    int64_t batch, steps, steps_per_epoch, save, first;
    uint64_t context;
    struct tally tally;
    char *metrics; /* text of metrics.jsonl, on every rank */
    int64_t metrics_bytes;
};

/* Global rows of step `step`: how many, and this rank's part of them into id. */
static int64_t rows_of_step(struct training *t, int64_t step, int64_t *id, int64_t *mine)
{
    const int64_t at = step % t->steps_per_epoch * t->batch;
    const int64_t left = t->order.rows - at, rows = left < t->batch ? left : t->batch;
    const struct tdo_range r = tdo_trainer_rows(t->trainer, rows);
    struct tdo_order order = t->order;
    order.epoch = (uint32_t)(step / t->steps_per_epoch);
    for (int64_t i = r.first; i < r.end; i++) {
        id[i - r.first] = tdo_shard_row(&order, at + i);
    }
    *mine = r.end - r.first;
    return rows;
}

static tdo_err request(struct training *t, int64_t step)
{
    int64_t mine = 0;
    (void)rows_of_step(t, step, t->id[step % 2], &mine);
    return mine > 0 ? tdo_prefetch_request(t->prefetch, t->id[step % 2], mine) : TDO_OK;
}

static tdo_err open_all(struct tdo_job_context *c, struct training *t)
{
    TDO_TRY(tdo_dataset_open(c->comm, tdo_config_text(c->config, "data.file"), &t->data));
    const struct tdo_dataset_info *info = tdo_dataset_info(t->data);
    const struct tdo_network_data fit = {info->height, info->width, info->channels,
                                         info->classes};
    TDO_TRY(tdo_comm_agree(c->comm, tdo_network_configure(c->config, &fit, &t->net)));
    const struct tdo_trainer_options o = {
        .batch = t->batch,
        .shards = (int)tdo_config_int(c->config, "train.shards"),
        .u8 = info->is_u8,
        .sgd = {.lr = tdo_config_real(c->config, "train.lr"),
                .momentum = tdo_config_real(c->config, "train.momentum"),
                .weight_decay = tdo_config_real(c->config, "train.weight_decay")}};
    tdo_err err = tdo_trainer_new(c->comm, &t->net, &o, &t->trainer);
    if (err == TDO_OK) {
        err = tdo_prefetch_new(t->data, TDO_SPLIT_TRAIN, t->batch, &t->prefetch);
    }
    for (int k = 0; err == TDO_OK && k < 2; k++) {
        err = tdo_memory_new(t->batch, &t->id[k]);
    }
    return tdo_comm_agree(c->comm, err);
}

static tdo_err plan_epochs(struct tdo_job_context *c, struct training *t)
{
    const struct tdo_config *k = c->config;
    t->order = (struct tdo_order){.seed = (uint32_t)tdo_config_int(k, "run.seed"),
                                  .rows = tdo_dataset_info(t->data)->rows[TDO_SPLIT_TRAIN],
                                  .block = tdo_config_int(k, "train.block"),
                                  .window = tdo_config_int(k, "train.window")};
    TDO_TRY(tdo_shard_check(&t->order));
    t->save = tdo_config_int(k, "train.save");
    t->steps_per_epoch = (t->order.rows + t->batch - 1) / t->batch;
    t->steps = tdo_config_int(k, "train.epochs") * t->steps_per_epoch;
    const int64_t cap = tdo_config_int(k, "train.steps");
    t->steps = cap > 0 && cap < t->steps ? cap : t->steps;
    if (t->steps >= 1 << 24) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "train.epochs asks for %lld steps; at most 16777215 can "
                        "be numbered, set train.steps",
                        (long long)t->steps);
    }
    return TDO_OK;
}

/* ---- metrics ------------------------------------------------------------------------------------ */

static tdo_err record_epoch(struct training *t, int64_t step)
{
    char line[160];
    const struct tally *s = &t->tally;
    const int n = snprintf(
        line, sizeof line,
        "{\"epoch\": %lld, \"step\": %lld, \"loss\": %.9g, \"accuracy\": %.9g}\n",
        (long long)((step + t->steps_per_epoch - 1) / t->steps_per_epoch), (long long)step,
        s->loss / (double)s->rows, (double)s->correct / (double)s->rows);
    TDO_TRY(tdo_memory_grow(t->metrics_bytes, t->metrics_bytes + n, &t->metrics));
    memcpy(t->metrics + t->metrics_bytes, line, (size_t)n);
    t->metrics_bytes += n;
    t->tally = (struct tally){0};
    return TDO_OK;
}

static tdo_err write_metrics(const struct training *t)
{
    char path[1024];
    if (tdo_comm_rank(t->run.comm) != 0) {
        return TDO_OK;
    }
    TDO_TRY(tdo_run_path(&t->run, "metrics.jsonl", path, sizeof path));
    return tdo_file_write(path, t->metrics, t->metrics_bytes);
}

/* ---- checkpoints -------------------------------------------------------------------------------- */

enum { PARTS = 6 };

/* The whole state as parts; reading allocates the text of the metrics. */
static void list_parts(struct training *t, int64_t counters[COUNTERS],
                       struct tdo_checkpoint_part parts[PARTS])
{
    const tdo_params *p = t->net.params;
    const int64_t weights = tdo_params_count(p, TDO_PARAM_WEIGHT);
    const struct tdo_checkpoint_part list[PARTS] = {
        {"weights", TDO_CHECKPOINT_F32, weights, tdo_params_block(p, TDO_PARAM_WEIGHT)},
        {"buffers", TDO_CHECKPOINT_F32, tdo_params_count(p, TDO_PARAM_BUFFER),
         tdo_params_block(p, TDO_PARAM_BUFFER)},
        {"velocity", TDO_CHECKPOINT_F32, weights, tdo_trainer_velocity(t->trainer)},
        {"counters", TDO_CHECKPOINT_I64, COUNTERS, counters},
        {"loss", TDO_CHECKPOINT_F64, 1, &t->tally.loss},
        {"metrics", TDO_CHECKPOINT_U8, t->metrics_bytes, t->metrics}};
    memcpy(parts, list, sizeof list);
}

static tdo_err save_state(struct training *t, int64_t step)
{
    int64_t counters[COUNTERS] = {[STEP] = step,
                                  [CONTEXT] = (int64_t)t->context,
                                  [ROWS] = t->tally.rows,
                                  [CORRECT] = t->tally.correct};
    struct tdo_checkpoint_part parts[PARTS];
    list_parts(t, counters, parts);
    TDO_TRY(tdo_checkpoint_write(t->run.comm, t->run.dir, parts, PARTS));
    return tdo_comm_agree(t->run.comm, write_metrics(t));
}

/* Go on from the newest checkpoint, if there is one. */
static tdo_err recall_state(struct training *t)
{
    int64_t counters[COUNTERS] = {0};
    struct tdo_checkpoint_part parts[PARTS];
    bool found = false;
    list_parts(t, counters, parts);
    parts[PARTS - 1].count = -1;
    TDO_TRY(tdo_checkpoint_read(t->run.comm, t->run.dir, parts, PARTS, &found));
    if (!found) {
        return TDO_OK;
    }
    t->metrics = parts[PARTS - 1].data;
    t->metrics_bytes = parts[PARTS - 1].count;
    if ((uint64_t)counters[CONTEXT] != t->context) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "%s/checkpoint.h5 is of a run with other settings, data or threads; choose "
            "another run.dir or remove it",
            t->run.dir);
    }
    t->first = counters[STEP];
    t->tally.rows = counters[ROWS];
    t->tally.correct = counters[CORRECT];
    tdo_trainer_touch(t->trainer);
    tdo_log_root(TDO_LOG_INFO, "resume: step %lld of %lld", (long long)t->first,
                 (long long)t->steps);
    return TDO_OK;
}

/* What a checkpoint must match: everything that can change a weight, but not how far to go. */
static tdo_err make_context(struct tdo_job_context *c, struct training *t)
{
    char text[640];
    uint64_t network = 0;
    const tdo_config *k = c->config;
    const struct tdo_dataset_info *info = tdo_dataset_info(t->data);
    tdo_json *config = NULL;
    char *defenses = NULL;
    tdo_err err = tdo_network_hash(&t->net, &network);
    if (err == TDO_OK) {
        err = tdo_defense_settings(&t->net.defenses, &config);
    }
    if (err == TDO_OK) {
        err = tdo_json_text(config, 0, &defenses);
    }
    tdo_json_free(&config);
    TDO_TRY(tdo_comm_agree(c->comm, err));
    snprintf(text, sizeof text,
             "train start=%llx data=%llx seed=%u threads=%lld batch=%lld shards=%lld lr=%.17g "
             "momentum=%.17g decay=%.17g block=%lld window=%lld isa=%s defense=",
             (unsigned long long)network, (unsigned long long)info->hash,
             (unsigned)t->order.seed, (long long)tdo_config_int(k, "run.threads"),
             (long long)t->batch, (long long)tdo_config_int(k, "train.shards"),
             tdo_config_real(k, "train.lr"), tdo_config_real(k, "train.momentum"),
             tdo_config_real(k, "train.weight_decay"), (long long)t->order.block,
             (long long)t->order.window, t->run.isa);
    uint64_t outer = 0, inner = 0;
    err = tdo_run_context(&t->run, text, &outer);
    if (err == TDO_OK) {
        err = tdo_run_context(&t->run, defenses, &inner);
    }
    t->context = outer * 3 + inner;
    tdo_memory_free(&defenses);
    return err;
}

/* ---- steps ---------------------------------------------------------------------------------------- */

static tdo_err one_step(struct training *t, int64_t step)
{
    const void *x = NULL;
    const int32_t *y = NULL;
    int64_t mine = 0;
    struct tdo_trainer_result result;
    int64_t *id = t->id[step % 2];
    const int64_t rows = rows_of_step(t, step, id, &mine);
    if (mine > 0) {
        TDO_TRY(tdo_prefetch_wait(t->prefetch, &x, &y));
    }
    if (step + 1 < t->steps) {
        TDO_TRY(request(t, step + 1));
    }
    TDO_TRY(tdo_trainer_step(t->trainer, rows, (uint32_t)step, x, y, id, &result));
    t->tally.loss += result.loss * (double)rows;
    t->tally.correct += result.correct;
    t->tally.rows += rows;
    return TDO_OK;
}

/* After a step: end of an epoch, checkpoint. The same error on all ranks. */
static tdo_err after_step(struct training *t, int64_t done)
{
    const bool epoch = done % t->steps_per_epoch == 0, last = done == t->steps;
    if (epoch || last) {
        TDO_TRY(tdo_comm_agree(t->run.comm, record_epoch(t, done)));
    }
    return last || (t->save ? done % t->save == 0 : epoch) ? save_state(t, done) : TDO_OK;
}

/* An error in the middle of a step leaves ranks waiting for each other's messages: only what all
 * ranks see alike comes back, the rest ends the job. */
static tdo_err all_steps(struct training *t)
{
    struct tdo_progress progress;
    char note[96] = "";
    tdo_err err = t->first < t->steps ? request(t, t->first) : TDO_OK;
    tdo_progress_start(&progress, "train", "steps", t->steps, t->first);
    for (int64_t step = t->first; err == TDO_OK && step < t->steps; step++) {
        err = one_step(t, step);
        if (err != TDO_OK) {
            break;
        }
        snprintf(note, sizeof note, "epoch %lld, loss %.4f, accuracy %.2f %%",
                 (long long)(step / t->steps_per_epoch + 1),
                 t->tally.loss / (double)t->tally.rows,
                 100.0 * (double)t->tally.correct / (double)t->tally.rows);
        tdo_progress_show(&progress, step + 1, note);
        TDO_TRY(after_step(t, step + 1));
    }
    if (err == TDO_OK) {
        const double seconds = tdo_log_now() - progress.started;
        tdo_progress_end(&progress, t->steps, note);
        tdo_run_note(&t->run, "images_per_second",
                     (double)((t->steps - t->first) * t->batch) / seconds);
    } else if (err != TDO_ERR_NUMERIC) {
        tdo_comm_abort(t->run.comm, err);
    }
    return err;
}

static tdo_err save(struct training *t)
{
    char path[1024];
    tdo_err err = TDO_OK;
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

static void close_all(struct training *t)
{
    tdo_prefetch_free(&t->prefetch);
    tdo_trainer_free(&t->trainer);
    tdo_network_free(&t->net);
    tdo_dataset_free(&t->data);
    tdo_memory_free(&t->id[0]);
    tdo_memory_free(&t->id[1]);
    tdo_memory_free(&t->metrics);
    tdo_run_free(&t->run);
}

static tdo_err train(struct tdo_job_context *c)
{
    struct training *t = NULL;
    tdo_err err = tdo_comm_agree(c->comm, tdo_memory_new(1, &t));
    if (err != TDO_OK) {
        return err;
    }
    t->batch = tdo_config_int(c->config, "train.batch");
    TDO_GOTO(tdo_run_begin(c, "train", TDO_JOB_train, "model.safetensors", &t->run));
    TDO_GOTO(open_all(c, t));
    TDO_GOTO(tdo_comm_agree(c->comm, plan_epochs(c, t)));
    TDO_GOTO(make_context(c, t));
    TDO_GOTO(tdo_comm_agree(c->comm, recall_state(t)));
    tdo_log_root(TDO_LOG_INFO,
                 "train %s: %lld weights, batch %lld in %d shards on %d ranks, %.1f MB "
                 "a plan",
                 t->net.model->name,
                 (long long)tdo_params_count(t->net.params, TDO_PARAM_WEIGHT),
                 (long long)t->batch, (int)tdo_config_int(c->config, "train.shards"),
                 tdo_comm_size(c->comm), (double)tdo_trainer_bytes(t->trainer) * 1e-6);
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
