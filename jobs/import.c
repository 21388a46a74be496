/* testudo import: from files that people have, or from nothing, to one HDF5 data set.
 *
 * A format (formats/) hands out decoded samples; the writer (mpi/dataset.h) stores them, with
 * mean image and hash. Samples stream through a window, the whole set is never in memory. */
#include <inttypes.h>
#include <string.h>

#include "jobs/formats/formats.h"
#include "jobs/job.h"
#include "mpi/dataset.h"
#include "nn/base/file.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"

enum { WINDOW_BYTES = 1 << 24 };

struct importing {
    tdo_source *source;
    tdo_dataset_writer *writer;
    int64_t window; /* samples in memory at a time */
    unsigned char *x;
    int32_t *y;
};

static const char *format_name(const void *context, int i)
{
    (void)context;
    return tdo_format_at(i)->name;
}

static tdo_err open_source(struct tdo_job_context *c, struct importing *m)
{
    const char *name = tdo_config_text(c->config, "import.format");
    const char *from = tdo_config_text(c->config, "import.from");
    const struct tdo_format *format = tdo_format_find(name);
    int count = 0;
    while (tdo_format_at(count)) {
        count++;
    }
    if (!format) {
        const char *near = tdo_option_nearest(name, format_name, NULL, count);
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "import.format = '%s' is no format%s%s%s; testudo list formats shows them", name,
            near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
    }
    const struct tdo_format_args args = {.from = from[0] ? from : NULL,
                                         .seed =
                                             (uint32_t)tdo_config_int(c->config, "run.seed"),
                                         .size = tdo_config_int(c->config, "import.size"),
                                         .train = tdo_config_int(c->config, "import.train"),
                                         .test = tdo_config_int(c->config, "import.test")};
    TDO_TRY(tdo_source_open(format, &args, &m->source));
    const struct tdo_source_info *s = &m->source->info;
    const int64_t bytes = s->height * s->width * s->channels * (s->is_u8 ? 1 : 4);
    m->window = bytes < WINDOW_BYTES ? WINDOW_BYTES / bytes : 1;
    TDO_TRY(tdo_memory_new(m->window * bytes, &m->x));
    return tdo_memory_new(m->window, &m->y);
}

/* All samples of a split, on the root. */
static tdo_err copy_split(struct importing *m, enum tdo_source_split from, enum tdo_split to,
                          struct tdo_progress *progress, int64_t *done)
{
    const int64_t rows = m->source->info.rows[from];
    for (int64_t first = 0; first < rows; first += m->window) {
        const int64_t n = rows - first < m->window ? rows - first : m->window;
        TDO_TRY(tdo_source_read(m->source, from, first, n, m->x, m->y));
        TDO_TRY(tdo_dataset_append(m->writer, to, n, m->x, m->y));
        tdo_progress_show(progress, *done += n, NULL);
    }
    return TDO_OK;
}

static tdo_err copy_all(struct tdo_job_context *c, struct importing *m)
{
    const struct tdo_source_info *s = &m->source->info;
    const int64_t rows = s->rows[TDO_SOURCE_TRAIN] + s->rows[TDO_SOURCE_TEST];
    const struct tdo_dataset_info info = {
        .height = s->height,
        .width = s->width,
        .channels = s->channels,
        .classes = s->classes,
        .is_u8 = s->is_u8,
        .rows = {[TDO_SPLIT_TRAIN] = s->rows[TDO_SOURCE_TRAIN],
                 [TDO_SPLIT_TEST] = s->rows[TDO_SOURCE_TEST]}};
    struct tdo_progress progress;
    int64_t done = 0;
    TDO_TRY(tdo_dataset_create(c->comm, tdo_config_text(c->config, "import.out"), &info,
                               &m->writer));
    tdo_progress_start(&progress, "import", "images", rows, 0);
    tdo_err err = TDO_OK;
    if (tdo_comm_rank(c->comm) == 0) {
        err = copy_split(m, TDO_SOURCE_TRAIN, TDO_SPLIT_TRAIN, &progress, &done);
        if (err == TDO_OK) {
            err = copy_split(m, TDO_SOURCE_TEST, TDO_SPLIT_TEST, &progress, &done);
        }
    }
    TDO_TRY(tdo_comm_agree(c->comm, err));
    tdo_progress_end(&progress, rows, NULL);
    return tdo_dataset_finish(m->writer);
}

/* The directory of the file to write. */
static tdo_err make_parent(const char *path)
{
    char directory[1024];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) {
        return TDO_OK;
    }
    if ((size_t)(slash - path) >= sizeof directory) {
        return TDO_FAIL(TDO_ERR_CONFIG, "import.out = %s is too long a path", path);
    }
    memcpy(directory, path, (size_t)(slash - path));
    directory[slash - path] = '\0';
    return tdo_file_make_dir(directory);
}

static tdo_err import(struct tdo_job_context *c)
{
    struct importing m = {0};
    const char *out = tdo_config_text(c->config, "import.out");
    tdo_dataset *data = NULL;
    tdo_err err = tdo_comm_rank(c->comm) == 0 ? make_parent(out) : TDO_OK;
    TDO_GOTO(tdo_comm_agree(c->comm, err));
    TDO_GOTO(tdo_comm_agree(c->comm, open_source(c, &m)));
    TDO_GOTO(copy_all(c, &m));
    TDO_GOTO(tdo_dataset_open(c->comm, out, &data));
    const struct tdo_dataset_info *i = tdo_dataset_info(data);
    tdo_log_root(TDO_LOG_INFO,
                 "wrote %s: %" PRId64 " train and %" PRId64 " test images of %" PRId64
                 "x%" PRId64 "x%" PRId64 ", %d classes, hash %016" PRIx64,
                 out, i->rows[TDO_SPLIT_TRAIN], i->rows[TDO_SPLIT_TEST], i->height, i->width,
                 i->channels, i->classes, i->hash);
done:
    tdo_dataset_free(&data);
    tdo_dataset_writer_free(&m.writer);
    tdo_source_close(&m.source);
    tdo_memory_free(&m.x);
    tdo_memory_free(&m.y);
    return err;
}

const struct tdo_job tdo_job_import = {
    .name = "import",
    .help = "make a data set from files, or from nothing",
    .word = "config",
    .bit = TDO_JOB_import,
    .run = import,
};
