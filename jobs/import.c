/* testudo import: from files that people have, or from nothing, to one HDF5 data set.
 *
 * A format (formats/) hands out decoded samples; the writer (mpi/dataset.h) stores them, with
 * mean image and hash. Each rank reads windows of its own, in turns: of R ranks, rank r has the
 * windows r, r + R, ... of a split. Only a source that is one stream is read by the root alone.
 * After each turn the ranks agree, so that what goes wrong with one file ends all of them soon.
 * A window has a fixed size, so the memory of a rank does not depend on that of the set.
 *
 * With import.store = files a row is the file itself. Ranks first ask for the lengths of all files,
 * each for its part of them, so that everyone knows where each will lie (8 bytes a row); then they
 * copy windows as above, and decode every image once, to find what is damaged now and not in the
 * middle of a training.
 *
 * Every half a minute, and when the job is asked to stop, it is noted how far it is; started again with
 * the same settings and files, on any number of ranks, it goes on from there. */
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "jobs/formats/formats.h"
#include "jobs/run.h"
#include "jobs/stop.h"
#include "mpi/dataset.h"
#include "nn/base/file.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"

enum { WINDOW_BYTES = 1 << 22, MAX_WINDOW_BYTES = 1 << 30, SAVE_SECONDS = 30 };

struct importing {
    tdo_comm *comm;
    tdo_source *source; /* NULL on a rank that reads nothing */
    struct tdo_source_info info;
    tdo_dataset_writer *writer;
    struct tdo_progress progress;
    int readers;      /* ranks, from the root on */
    int64_t window;   /* samples in memory at a time: whole blocks of the writer */
    int64_t done;     /* by all ranks */
    unsigned char *x; /* pixels; of files, what they show */
    int32_t *y;
    bool files;
    int64_t *offset[TDO_SOURCE_SPLITS]; /* [rows+1], of files */
    unsigned char *bytes;               /* of the files of a window */
    int64_t room;
    uint64_t context; /* settings, names and lengths of files */
    int64_t place[2]; /* split and row to go on from */
    double saved;     /* when, by the log's clock */
    int64_t turns;
    struct tdo_stop_pace pace;
};

static const char *format_name(const void *context, int i)
{
    (void)context;
    return tdo_format_at(i)->name;
}

static tdo_err find_format(const char *name, const struct tdo_format **format)
{
    int count = 0;
    while (tdo_format_at(count)) {
        count++;
    }
    *format = tdo_format_find(name);
    if (!*format) {
        const char *near = tdo_option_nearest(name, format_name, NULL, count);
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "import.format = '%s' is no format%s%s%s; testudo list formats shows them", name,
            near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
    }
    return TDO_OK;
}

/* From the root's source to those of the other ranks. */
static tdo_err join_source(struct importing *m, const struct tdo_format *format,
                           const struct tdo_format_args *args)
{
    const char *found = NULL;
    char *bytes = NULL;
    int64_t count = 0;
    const bool root = tdo_comm_rank(m->comm) == 0;
    tdo_err err = TDO_OK;
    if (root) {
        tdo_source_share(m->source, &found, &count);
    }
    tdo_comm_broadcast(m->comm, &count, (int64_t)sizeof count);
    if (count > 0) {
        err = tdo_memory_new(count, &bytes);
        TDO_GOTO(tdo_comm_agree(m->comm, err));
        if (root) {
            memcpy(bytes, found, (size_t)count);
        }
        tdo_comm_broadcast(m->comm, bytes, count);
    }
    if (!root) {
        err = tdo_source_join(format, args, &m->info, bytes, count, &m->source);
    }
    err = tdo_comm_agree(m->comm, err);
done:
    tdo_memory_free(&bytes);
    return err;
}

/* Are there files to store? Ranks: collective; the root has opened the source. */
static tdo_err check_files(struct importing *m, const struct tdo_format_args *args)
{
    const bool root = tdo_comm_rank(m->comm) == 0;
    tdo_err err = TDO_OK;
    if (root && !tdo_source_has_files(m->source)) {
        err = TDO_FAIL(TDO_ERR_CONFIG,
                       "import.store = files: format %s does not read a file for each image; "
                       "folder does",
                       m->source->format->name);
    } else if (root && args->size == 0) {
        err = TDO_FAIL(TDO_ERR_CONFIG, "import.store = files: import.size is missing, the side "
                                       "of the images that a network sees");
    }
    return tdo_comm_agree(m->comm, err);
}

static tdo_err open_source(struct tdo_job_context *c, struct importing *m)
{
    const char *from = tdo_config_text(c->config, "import.from");
    const struct tdo_format *format = NULL;
    const struct tdo_format_args args = {.from = from[0] ? from : NULL,
                                         .seed =
                                             (uint32_t)tdo_config_int(c->config, "run.seed"),
                                         .size = tdo_config_int(c->config, "import.size"),
                                         .train = tdo_config_int(c->config, "import.train"),
                                         .test = tdo_config_int(c->config, "import.test")};
    tdo_err err = find_format(tdo_config_text(c->config, "import.format"), &format);
    if (err == TDO_OK && tdo_comm_rank(m->comm) == 0) {
        err = tdo_source_open(format, &args, &m->source);
        m->info = m->source ? m->source->info : m->info;
    }
    TDO_TRY(tdo_comm_agree(m->comm, err));
    tdo_comm_broadcast(m->comm, &m->info, (int64_t)sizeof m->info);
    m->readers = m->info.anywhere ? tdo_comm_size(m->comm) : 1;
    if (m->files) {
        TDO_TRY(check_files(m, &args));
    }
    return m->readers > 1 ? join_source(m, format, &args) : TDO_OK;
}

static tdo_err make_window(struct importing *m)
{
    const struct tdo_source_info *s = &m->info;
    const int64_t bytes = s->height * s->width * s->channels * (s->is_u8 ? 1 : 4);
    const int64_t blocks = WINDOW_BYTES / TDO_DATASET_BLOCK / bytes;
    if (bytes > MAX_WINDOW_BYTES / TDO_DATASET_BLOCK) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "images of %" PRId64 "x%" PRId64 "x%" PRId64 " (height x width x "
                        "channels): a rank holds %d at a time, which is too much memory; "
                        "import.size makes those of a folder smaller",
                        s->height, s->width, s->channels, TDO_DATASET_BLOCK);
    }
    m->window = TDO_DATASET_BLOCK * (blocks > 1 ? blocks : 1);
    if (!m->source) {
        return TDO_OK;
    }
    TDO_TRY(tdo_memory_new(m->window * bytes, &m->x));
    return tdo_memory_new(m->window, &m->y);
}

/* Lengths of all files of a split, asked for by all ranks together -> where they begin. */
static tdo_err find_offsets(struct importing *m, enum tdo_source_split split)
{
    const int64_t rows = m->info.rows[split], size = tdo_comm_size(m->comm);
    const int64_t rank = tdo_comm_rank(m->comm);
    int64_t *offset = NULL;
    tdo_err err = tdo_memory_new(rows + 1, &m->offset[split]);
    offset = m->offset[split];
    for (int64_t i = rows * rank / size; err == TDO_OK && i < rows * (rank + 1) / size; i++) {
        err = tdo_source_size(m->source, split, i, &offset[i + 1]);
    }
    TDO_TRY(tdo_comm_agree_first(m->comm, err));
    tdo_comm_sum_u64(m->comm, (uint64_t *)offset, rows + 1);
    for (int64_t i = 0; i < rows; i++) {
        offset[i + 1] += offset[i];
    }
    return TDO_OK;
}

/* The same window, as files. */
static tdo_err copy_files(struct importing *m, enum tdo_source_split from, enum tdo_split to,
                          int64_t first, int64_t n)
{
    const int64_t *offset = m->offset[from] + first, bytes = offset[n] - offset[0];
    const int64_t view = m->info.height * m->info.width * m->info.channels;
    if (bytes > m->room) {
        tdo_memory_free(&m->bytes);
        m->room = 0;
        TDO_TRY(tdo_memory_new(bytes, &m->bytes));
        m->room = bytes;
    }
    for (int64_t i = 0; i < n; i++) {
        TDO_TRY(tdo_source_file(m->source, from, first + i, offset[i + 1] - offset[i],
                                m->bytes + offset[i] - offset[0], m->x + i * view, m->y + i));
    }
    const struct tdo_dataset_files files = {
        .offset = offset, .x = m->bytes, .view = m->x, .y = m->y};
    return tdo_dataset_write_files(m->writer, to, first, n, &files);
}

/* This rank's window of a turn, which may lie behind the end. */
static tdo_err copy_window(struct importing *m, enum tdo_source_split from, enum tdo_split to,
                           int64_t first)
{
    const int64_t left = m->info.rows[from] - first, n = left < m->window ? left : m->window;
    if (n <= 0 || !m->source) {
        return TDO_OK;
    }
    if (m->files) {
        return copy_files(m, from, to, first, n);
    }
    TDO_TRY(tdo_source_read(m->source, from, first, n, m->x, m->y));
    return tdo_dataset_write(m->writer, to, first, n, m->x, m->y);
}

/* Behind a turn: leave if any rank was asked to, with a note; or a note from time to time. */
static tdo_err after_turn(struct importing *m, enum tdo_source_split from, int64_t next)
{
    const int64_t place[2] = {from, next};
    int64_t due = tdo_log_now() - m->saved > SAVE_SECONDS;
    if (tdo_stop_agreed(m->comm, &m->pace, ++m->turns)) {
        TDO_TRY(tdo_dataset_save(m->writer, m->context, place));
        tdo_dataset_keep(m->writer);
        return tdo_stop_error();
    }
    tdo_comm_broadcast(m->comm, &due, (int64_t)sizeof due);
    if (due) {
        TDO_TRY(tdo_dataset_save(m->writer, m->context, place));
        m->saved = tdo_log_now();
    }
    return TDO_OK;
}

static tdo_err copy_split(struct importing *m, enum tdo_source_split from, enum tdo_split to)
{
    const int64_t rows = m->info.rows[from], turn = m->window * m->readers;
    const int64_t begin = m->place[0] > (int64_t)from    ? rows
                          : m->place[0] == (int64_t)from ? m->place[1]
                                                         : 0;
    for (int64_t first = begin; first < rows; first += turn) {
        const int64_t mine = first + m->window * tdo_comm_rank(m->comm);
        TDO_TRY(tdo_comm_agree_first(m->comm, copy_window(m, from, to, mine)));
        m->done += rows - first < turn ? rows - first : turn;
        tdo_progress_show(&m->progress, m->done, NULL);
        TDO_TRY(after_turn(m, from, first + turn < rows ? first + turn : rows));
    }
    return TDO_OK;
}

/* A number for all that decides about the bytes, but those of the files themselves. */
static tdo_err make_context(const tdo_config *config, struct importing *m)
{
    const char *names = NULL;
    char *text = NULL;
    int64_t count = 0;
    tdo_json *settings = NULL, *run = NULL;
    tdo_err err = tdo_config_json(config, TDO_JOB_import, &settings);
    if (err == TDO_OK && tdo_json_get(settings, "run", &run)) {
        tdo_json_remove(run, "until");
        tdo_json_remove(run, "margin");
        err = tdo_json_text(settings, 0, &text);
    }
    if (text && tdo_comm_rank(m->comm) == 0) {
        tdo_source_share(m->source, &names, &count);
        m->context = XXH64(text, strlen(text), 0);
        m->context = XXH64(names, (size_t)count, m->context);
        for (int k = 0; m->files && k < TDO_SOURCE_SPLITS; k++) {
            const size_t rows = (size_t)m->info.rows[k] + 1;
            m->context = XXH64(m->offset[k], rows * sizeof *m->offset[k], m->context);
        }
    }
    tdo_memory_free(&text);
    tdo_json_free(&run);
    tdo_json_free(&settings);
    return tdo_comm_agree(m->comm, err);
}

static tdo_err copy_all(struct tdo_job_context *c, struct importing *m)
{
    const struct tdo_source_info *s = &m->info;
    int64_t bytes[TDO_SOURCE_SPLITS] = {0};
    bool found = false;
    for (int k = 0; m->files && k < TDO_SOURCE_SPLITS; k++) {
        TDO_TRY(find_offsets(m, (enum tdo_source_split)k));
        bytes[k] = m->offset[k][s->rows[k]];
    }
    const struct tdo_dataset_info info = {
        .height = s->height,
        .width = s->width,
        .channels = s->channels,
        .classes = s->classes,
        .is_u8 = s->is_u8,
        .encoded = m->files,
        .bytes = {[TDO_SPLIT_TRAIN] = bytes[TDO_SOURCE_TRAIN],
                  [TDO_SPLIT_TEST] = bytes[TDO_SOURCE_TEST]},
        .rows = {[TDO_SPLIT_TRAIN] = s->rows[TDO_SOURCE_TRAIN],
                 [TDO_SPLIT_TEST] = s->rows[TDO_SOURCE_TEST]}};
    TDO_TRY(tdo_comm_agree(m->comm, make_window(m)));
    TDO_TRY(make_context(c->config, m));
    TDO_TRY(tdo_dataset_resume(m->comm, tdo_config_text(c->config, "import.out"), &info,
                               m->context, m->place, &found, &m->writer));
    m->done = m->place[1] + (m->place[0] == TDO_SOURCE_TEST ? s->rows[TDO_SOURCE_TRAIN] : 0);
    if (found) {
        tdo_log_root(TDO_LOG_INFO, "resume: image %" PRId64 " of %" PRId64, m->done,
                     s->rows[TDO_SOURCE_TRAIN] + s->rows[TDO_SOURCE_TEST]);
    }
    m->saved = tdo_log_now();
    tdo_progress_start(&m->progress, "import", "images",
                       s->rows[TDO_SOURCE_TRAIN] + s->rows[TDO_SOURCE_TEST], m->done);
    TDO_TRY(copy_split(m, TDO_SOURCE_TRAIN, TDO_SPLIT_TRAIN));
    TDO_TRY(copy_split(m, TDO_SOURCE_TEST, TDO_SPLIT_TEST));
    tdo_progress_end(&m->progress, m->done, NULL);
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
    struct importing m = {.comm = c->comm};
    const char *out = tdo_config_text(c->config, "import.out");
    tdo_dataset *data = NULL;
    m.files = tdo_config_choice(c->config, "import.store") == 1;
    tdo_err err = tdo_run_listen(c);
    if (err != TDO_OK) {
        return err;
    }
    err = tdo_comm_rank(c->comm) == 0 ? make_parent(out) : TDO_OK;
    TDO_GOTO(tdo_comm_agree(c->comm, err));
    TDO_GOTO(open_source(c, &m));
    TDO_GOTO(copy_all(c, &m));
    TDO_GOTO(tdo_dataset_open(c->comm, out, &data));
    const struct tdo_dataset_info *i = tdo_dataset_info(data);
    tdo_log_root(TDO_LOG_INFO,
                 "wrote %s: %" PRId64 " train and %" PRId64 " test images of %" PRId64
                 "x%" PRId64 "x%" PRId64 ", %d classes, hash %016" PRIx64,
                 out, i->rows[TDO_SPLIT_TRAIN], i->rows[TDO_SPLIT_TEST], i->height, i->width,
                 i->channels, i->classes, i->hash);
    (void)tdo_run_memory(c->comm);
done:
    tdo_dataset_free(&data);
    tdo_dataset_writer_free(&m.writer);
    tdo_source_close(&m.source);
    tdo_memory_free(&m.x);
    tdo_memory_free(&m.y);
    tdo_memory_free(&m.bytes);
    for (int k = 0; k < TDO_SOURCE_SPLITS; k++) {
        tdo_memory_free(&m.offset[k]);
    }
    return err;
}

const struct tdo_job tdo_job_import = {
    .name = "import",
    .help = "make a data set from files, or from nothing",
    .word = "config",
    .bit = TDO_JOB_import,
    .run = import,
};
