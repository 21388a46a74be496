/* testudo train: data-parallel training over all ranks.
 *
 * The global batch is cut into train.shards logical shards; ranks only decide who computes which
 * (mpi/gradients.h), so weights are bit-equal for any number of ranks. Each rank reads just its
 * rows, ahead of time. Writes model.safetensors and metrics.jsonl into run.dir. */
#include "jobs/train.h"

#include <stdio.h>
#include <string.h>

#include "jobs/run.h"
#include "nn/base/file.h"
#include "nn/base/log.h"

struct training {
    struct tdo_run run;
    tdo_dataset *data;
    struct tdo_network net;
    tdo_trainer *trainer;
    tdo_prefetch *prefetch;
    struct tdo_order order;
    int64_t *id[2]; /* rows of this rank in the present batch and the next */
    int64_t batch, steps, steps_per_epoch;
    FILE *metrics; /* root only */
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

static tdo_err open_metrics(struct training *t)
{
    char path[1024];
    if (tdo_comm_rank(t->run.comm) != 0) {
        return TDO_OK;
    }
    TDO_TRY(tdo_run_path(&t->run, "metrics.jsonl", path, sizeof path));
    t->metrics = fopen(path, "w");
    return t->metrics ? TDO_OK : TDO_FAIL(TDO_ERR_FILE, "%s cannot be written", path);
}

/* Sums over the part of an epoch that is done. */
struct tally {
    double loss;
    int64_t rows, correct;
};

static void record_epoch(const struct training *t, int64_t step, const struct tally *s)
{
    if (t->metrics) {
        fprintf(t->metrics,
                "{\"epoch\": %lld, \"step\": %lld, \"loss\": %.9g, \"accuracy\": %.9g}\n",
                (long long)((step + t->steps_per_epoch - 1) / t->steps_per_epoch),
                (long long)step, s->loss / (double)s->rows,
                (double)s->correct / (double)s->rows);
        fflush(t->metrics);
    }
}

static tdo_err one_step(struct training *t, int64_t step, struct tally *s)
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
    s->loss += result.loss * (double)rows;
    s->correct += result.correct;
    s->rows += rows;
    return TDO_OK;
}

/* An error in the middle of a step leaves ranks waiting for each other's messages: only what all
 * ranks see alike comes back, the rest ends the job. */
static tdo_err all_steps(struct training *t)
{
    struct tdo_progress progress;
    struct tally tally = {0};
    int64_t images = 0;
    char note[96];
    tdo_err err = request(t, 0);
    tdo_progress_start(&progress, "train", "steps", t->steps, 0);
    for (int64_t step = 0; err == TDO_OK && step < t->steps; step++) {
        err = one_step(t, step, &tally);
        if (err == TDO_OK) {
            snprintf(note, sizeof note, "epoch %lld, loss %.4f, accuracy %.2f %%",
                     (long long)(step / t->steps_per_epoch + 1),
                     tally.loss / (double)tally.rows,
                     100.0 * (double)tally.correct / (double)tally.rows);
            tdo_progress_show(&progress, step + 1, note);
        }
        if (err == TDO_OK && ((step + 1) % t->steps_per_epoch == 0 || step + 1 == t->steps)) {
            record_epoch(t, step + 1, &tally);
            images += tally.rows;
            tally = (struct tally){0};
        }
    }
    if (err == TDO_OK) {
        const double seconds = tdo_log_now() - progress.started;
        tdo_progress_end(&progress, t->steps, note);
        tdo_run_note(&t->run, "images_per_second", (double)images / seconds);
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
    if (t->metrics) {
        fclose(t->metrics);
    }
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
    TDO_GOTO(tdo_comm_agree(c->comm, open_metrics(t)));
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
