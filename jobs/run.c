/* Run directories and run.json. See run.h. */
#include "jobs/run.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "jobs/launch.h"
#include "jobs/network_front.h"
#include "jobs/stop.h"
#include "mpi/lease.h"
#include "nn/base/file.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"
#include "nn/kernels/blas.h"
#include "nn/kernels/onednn.h"
#include "nn/kernels/threads.h"

tdo_err tdo_run_path(const struct tdo_run *run, const char *name, char *text, size_t size)
{
    int n = snprintf(text, size, "%s/%s", run->dir, name);
    if (n < 0 || (size_t)n >= size) {
        return TDO_FAIL(TDO_ERR_CONFIG, "run.dir = %s is too long a path", run->dir);
    }
    return TDO_OK;
}

/* Without oneDNN, convolutions are OpenBLAS's, whose last bits depend on the processor that it
 * sees: ranks with other kernels than the root's cannot work together. The first of them says so. */
static tdo_err agree_on_core(tdo_comm *comm)
{
    char root[64];
    snprintf(root, sizeof root, "%s", tdo_blas_core());
    tdo_comm_broadcast(comm, root, (int64_t)sizeof root);
    tdo_err err = TDO_OK;
    if (strncmp(root, tdo_blas_core(), sizeof root - 1) != 0) {
        err = TDO_FAIL(TDO_ERR_CONFIG,
                       "OpenBLAS has kernels for %s here, but for %s on rank 0, and this build "
                       "has no oneDNN: ranks on processors of one kind expected, or "
                       "OPENBLAS_CORETYPE set to the same core on all",
                       tdo_blas_core(), root);
    }
    return tdo_comm_agree_first(comm, err);
}

/* Ranks of one job use the instruction set that all of them have. */
static tdo_err agree_on_machine(struct tdo_run *run, int threads)
{
    int64_t isa = tdo_onednn_isa();
    tdo_comm_min_i64(run->comm, &isa, 1);
    tdo_err err = tdo_onednn_limit_isa((int)isa);
    tdo_threads_set(threads);
    run->isa = tdo_onednn_isa_name();
    TDO_TRY(tdo_comm_agree(run->comm, err));
    if (tdo_onednn_available()) {
        return TDO_OK;
    }
    run->isa = tdo_blas_core();
    return agree_on_core(run->comm);
}

static void set_time(tdo_json *j, const char *key)
{
    char text[40];
    const time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    tdo_json_set_text(j, key, text);
}

static tdo_err describe(struct tdo_job_context *c, unsigned bit, struct tdo_run *run)
{
    tdo_json *config = NULL, *libraries = NULL;
    TDO_TRY(tdo_json_object(&run->record));
    TDO_TRY(tdo_config_json(c->config, bit, &config));
    tdo_err err = tdo_json_object(&libraries);
    if (err == TDO_OK) {
        tdo_json_set_text(libraries, "convolution", tdo_onednn_version());
        tdo_json_set_text(libraries, "mpi", tdo_comm_library());
        tdo_json_set_text(run->record, "version", TDO_VERSION);
        tdo_json_set(run->record, "config", &config);
        tdo_json_set(run->record, "libraries", &libraries);
        tdo_json_set_text(run->record, "instruction_set", run->isa);
        tdo_json_set_text(run->record, "blas_core", tdo_blas_core());
        tdo_json_set_int(run->record, "ranks", tdo_comm_size(run->comm));
        tdo_json_set_int(run->record, "threads", tdo_config_int(c->config, "run.threads"));
        tdo_json_set_int(run->record, "seed", tdo_config_int(c->config, "run.seed"));
        set_time(run->record, "start");
    }
    tdo_json_free(&config);
    return err;
}

/* Put this job's record beside those of other jobs in run.json. */
static tdo_err write_record(struct tdo_run *run)
{
    char path[1024], *text = NULL;
    int64_t bytes = 0;
    tdo_json *all = NULL, *mine = NULL;
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_run_path(run, "run.json", path, sizeof path));
    if (tdo_file_exists(path)) {
        TDO_GOTO(tdo_file_read(path, 1 << 26, &text, &bytes));
        TDO_GOTO(tdo_json_parse(text, (size_t)bytes, path, &all));
        tdo_memory_free(&text);
    } else {
        TDO_GOTO(tdo_json_object(&all));
    }
    TDO_GOTO(tdo_json_text(run->record, 0, &text));
    TDO_GOTO(tdo_json_parse(text, strlen(text), path, &mine));
    tdo_memory_free(&text);
    tdo_json_set(all, run->job, &mine);
    TDO_GOTO(tdo_json_text(all, 2, &text));
    err = tdo_file_write(path, text, (int64_t)strlen(text));
done:
    tdo_memory_free(&text);
    tdo_json_free(&mine);
    tdo_json_free(&all);
    return err;
}

static tdo_err start_record(struct tdo_job_context *c, unsigned bit, const char *result,
                            struct tdo_run *run)
{
    char path[1024];
    TDO_TRY(tdo_run_path(run, result, path, sizeof path));
    if (tdo_file_exists(path)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "run.dir = %s holds results already (%s); choose another directory or "
                        "remove it",
                        run->dir, path);
    }
    TDO_TRY(describe(c, bit, run));
    return write_record(run);
}

tdo_err tdo_run_machine(struct tdo_job_context *c, const char *job, struct tdo_run *run)
{
    const bool given = tdo_config_given(c->config, "run.dir");
    const int threads = (int)tdo_config_int(c->config, "run.threads");
    *run = (struct tdo_run){.comm = c->comm,
                            .job = job,
                            .dir = given ? tdo_config_text(c->config, "run.dir") : "."};
    TDO_TRY(agree_on_machine(run, threads));
    tdo_launch_warn(run->comm, threads);
    return TDO_OK;
}

/* The root's clock and word count. */
tdo_err tdo_run_listen(struct tdo_job_context *c)
{
    const int64_t end = tdo_launch_end(c->comm);
    const int64_t until = tdo_config_int(c->config, "run.until");
    const int64_t margin = tdo_config_int(c->config, "run.margin");
    return tdo_comm_agree(c->comm, tdo_stop_listen(until > 0 ? until : end, margin));
}

/* A trial of uneven ranks, if one is asked for. */
static void slow_down(struct tdo_job_context *c)
{
    if (tdo_config_int(c->config, "run.slow_rank") == tdo_comm_rank(c->comm)) {
        tdo_lease_slow(c->comm, tdo_config_real(c->config, "run.slow_factor"));
    }
}

tdo_err tdo_run_begin(struct tdo_job_context *c, const char *job, unsigned bit,
                      const char *result, struct tdo_run *run)
{
    const bool root = tdo_comm_rank(c->comm) == 0;
    TDO_TRY(tdo_run_listen(c));
    slow_down(c);
    TDO_TRY(tdo_run_machine(c, job, run));
    TDO_TRY(tdo_comm_agree(run->comm, root ? tdo_file_make_dir(run->dir) : TDO_OK));
    TDO_TRY(tdo_lock_take(run->comm, run->dir, &run->lock));
    return tdo_comm_agree(run->comm, root ? start_record(c, bit, result, run) : TDO_OK);
}

tdo_err tdo_run_context(const struct tdo_run *run, const char *text, uint64_t *context)
{
    *context = XXH64(text, strlen(text), 0);
    int64_t low = (int64_t)*context, high = low;
    tdo_comm_min_i64(run->comm, &low, 1);
    tdo_comm_max_i64(run->comm, &high, 1);
    tdo_err err = TDO_OK;
    if (low != high && tdo_comm_rank(run->comm) == 0) {
        err = TDO_FAIL(TDO_ERR_CONFIG,
                       "the ranks were given different settings, models or data: one command "
                       "line and one set of files expected");
    }
    return tdo_comm_agree(run->comm, err);
}

tdo_err tdo_run_network(const struct tdo_run *run, const tdo_config *config,
                        const struct tdo_dataset_info *data, struct tdo_network *out)
{
    char standard[1024];
    const char *path = tdo_config_text(config, "model.file");
    if (!path[0]) {
        TDO_TRY(tdo_run_path(run, "model.safetensors", standard, sizeof standard));
        path = standard;
    }
    struct tdo_network_data fit = {0};
    if (data) {
        fit =
            (struct tdo_network_data){data->height, data->width, data->channels, data->classes};
    }
    TDO_TRY(tdo_network_front_open(config, path, data ? &fit : NULL, false, out));
    tdo_err err = tdo_network_front_describe(out, run->record);
    if (err != TDO_OK) {
        tdo_network_free(out);
    }
    return err;
}

void tdo_run_note(struct tdo_run *run, const char *key, double value)
{
    tdo_json_set_real(run->record, key, value);
}

double tdo_run_memory(tdo_comm *comm)
{
    int64_t peak = tdo_memory_peak();
    tdo_comm_max_i64(comm, &peak, 1);
    tdo_log_root(TDO_LOG_INFO, "peak memory %.1f MB a rank (largest of %d)", (double)peak / 1e6,
                 tdo_comm_size(comm));
    return (double)peak;
}

tdo_err tdo_run_end(struct tdo_run *run)
{
    tdo_err err = TDO_OK;
    tdo_run_note(run, "peak_memory_bytes", tdo_run_memory(run->comm));
    if (tdo_comm_rank(run->comm) == 0) {
        set_time(run->record, "end");
        err = write_record(run);
    }
    return tdo_comm_agree(run->comm, err);
}

void tdo_run_free(struct tdo_run *run)
{
    tdo_json_free(&run->record);
    tdo_lock_free(&run->lock);
}
