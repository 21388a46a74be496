/* Reading and writing certificates.h5. See certificates.h. */
#include "jobs/certificates.h"

#include <stdio.h>
#include <string.h>

#include "mpi/archive.h"

#define MOST_DRAWS (INT64_C(1) << 40) /* of an image, and of a block */

/* ---- which field is what in the file ------------------------------------------------------- */

/* Items of an archive, and the pointers in the struct that their data belong to (NULL: the data
 * stand in the struct itself). */
struct binding {
    struct tdo_archive a;
    void **attribute[TDO_ARCHIVE_ITEMS], **column[TDO_ARCHIVE_ITEMS];
};

static void text(struct binding *b, const char *name, char **field)
{
    b->attribute[b->a.attributes] = (void **)(void *)field;
    b->a.attribute[b->a.attributes++] =
        (struct tdo_archive_item){name, TDO_CHECKPOINT_U8, *field ? 0 : -1, 1, *field};
}

static void number(struct binding *b, const char *name, enum tdo_checkpoint_type type, void *at)
{
    b->a.attribute[b->a.attributes++] = (struct tdo_archive_item){name, type, 1, 1, at};
}

static void whole(struct binding *b, const char *name, int64_t *at)
{
    number(b, name, TDO_CHECKPOINT_I64, at);
}

static void real(struct binding *b, const char *name, double *at)
{
    number(b, name, TDO_CHECKPOINT_F64, at);
}

/* Of the schedule, as many as there are looks or targets. */
#define LIST(b, name, type, field, count)                                                      \
    do {                                                                                       \
        (b)->attribute[(b)->a.attributes] = (void **)(void *)(field);                          \
        (b)->a.attribute[(b)->a.attributes++] =                                                \
            (struct tdo_archive_item){name, type, *(field) ? (count) : -1, 1, *(field)};       \
    } while (0)

#define COLUMN(b, name, type, field, rows, wide)                                               \
    do {                                                                                       \
        const int64_t wide_ = (wide);                                                          \
        (b)->column[(b)->a.columns] = (void **)(void *)(field);                                \
        (b)->a.column[(b)->a.columns++] = (struct tdo_archive_item){                           \
            name, type, *(field) ? (rows)*wide_ : -1, wide_, *(field)};                        \
    } while (0)

static void bind_provenance(struct binding *b, struct tdo_certificates *c)
{
    text(b, "version", &c->version);
    text(b, "generator", &c->generator);
    text(b, "precision", &c->precision);
    text(b, "instruction_set", &c->instruction_set);
    text(b, "convolution", &c->convolution);
    text(b, "blas_core", &c->blas_core);
    text(b, "model", &c->model);
    number(b, "model_hash", TDO_CHECKPOINT_U64, &c->model_hash);
    number(b, "data_hash", TDO_CHECKPOINT_U64, &c->data_hash);
    text(b, "split", &c->split);
    whole(b, "split_images", &c->split_images);
    whole(b, "skip", &c->skip);
    whole(b, "classes", &c->classes);
    whole(b, "height", &c->height);
    whole(b, "width", &c->width);
    whole(b, "channels", &c->channels);
    whole(b, "seed", &c->seed);
}

static void bind_settings(struct binding *b, struct tdo_certificates *c)
{
    struct tdo_schedule *s = &c->schedule;
    text(b, "certifier", &c->certifier);
    text(b, "noise", &c->noise);
    real(b, "sigma", &s->o.sigma);
    real(b, "slack", &s->o.slack);
    real(b, "alpha", &s->o.alpha);
    real(b, "beta", &s->o.beta);
    whole(b, "n0", &c->n0);
    whole(b, "n", &s->o.n);
    whole(b, "block", &c->block);
    text(b, "mode", &c->mode);
    text(b, "test", &c->test);
    real(b, "tolerance", &s->o.tolerance);
    real(b, "kt_alpha", &s->kt_alpha);
    real(b, "kt_beta", &s->kt_beta);
    LIST(b, "look_n", TDO_CHECKPOINT_I64, &c->look_n, s->looks);
    LIST(b, "look_alpha", TDO_CHECKPOINT_F64, &c->look_alpha, s->looks);
    LIST(b, "look_beta", TDO_CHECKPOINT_F64, &c->look_beta, s->looks);
    LIST(b, "targets", TDO_CHECKPOINT_F64, &c->target, s->o.targets);
}

static void bind_columns(struct binding *b, struct tdo_certificates *c)
{
    const int64_t m = c->images, K = c->classes;
    COLUMN(b, "idx", TDO_CHECKPOINT_I64, &c->idx, m, 1);
    COLUMN(b, "label", TDO_CHECKPOINT_I32, &c->label, m, 1);
    COLUMN(b, "predict", TDO_CHECKPOINT_I32, &c->predict, m, 1);
    COLUMN(b, "look", TDO_CHECKPOINT_I32, &c->look, m, 1);
    COLUMN(b, "n", TDO_CHECKPOINT_I64, &c->n, m, 1);
    COLUMN(b, "select", TDO_CHECKPOINT_U64, &c->select, m, K);
    COLUMN(b, "count", TDO_CHECKPOINT_U64, &c->count, m, K);
    COLUMN(b, "p_lower", TDO_CHECKPOINT_F64, &c->p_lower, m, 1);
    COLUMN(b, "radius", TDO_CHECKPOINT_F64, &c->radius, m, 1);
    COLUMN(b, "verdict", TDO_CHECKPOINT_U8, &c->verdict, m, 1);
    COLUMN(b, "stop", TDO_CHECKPOINT_U8, &c->stop, m, 1);
    COLUMN(b, "hash", TDO_CHECKPOINT_U64, &c->hash, m, 1);
    COLUMN(b, "block_hash", TDO_CHECKPOINT_U64, &c->block_hash, c->blocks, 1);
    COLUMN(b, "block_entries", TDO_CHECKPOINT_I32, &c->block_entries, c->blocks, 1);
    COLUMN(b, "vote_class", TDO_CHECKPOINT_I32, &c->vote_class, c->entries, 1);
    COLUMN(b, "vote_count", TDO_CHECKPOINT_I32, &c->vote_count, c->entries, 1);
}

static tdo_err bind(struct tdo_certificates *c, struct binding **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    (*out)->a.format = TDO_CERTIFICATES_FORMAT;
    bind_provenance(*out, c);
    bind_settings(*out, c);
    bind_columns(*out, c);
    return TDO_OK;
}

tdo_err tdo_certificates_write(struct tdo_certificates *c, const char *path)
{
    struct binding *b = NULL;
    TDO_TRY(bind(c, &b));
    tdo_err err = tdo_archive_write(path, &b->a);
    tdo_memory_free(&b);
    return err;
}

/* ---- making one ---------------------------------------------------------------------------- */

tdo_err tdo_certificates_text(char **field, const char *words)
{
    const size_t bytes = strlen(words) + 1;
    tdo_memory_free(field);
    TDO_TRY(tdo_memory_new((int64_t)bytes, field));
    memcpy(*field, words, bytes);
    return TDO_OK;
}

static tdo_err new_images(struct tdo_certificates *c)
{
    const int64_t m = c->images, votes = m * c->classes;
    TDO_TRY(tdo_memory_new(m, &c->idx));
    TDO_TRY(tdo_memory_new(m, &c->n));
    TDO_TRY(tdo_memory_new(m, &c->label));
    TDO_TRY(tdo_memory_new(m, &c->predict));
    TDO_TRY(tdo_memory_new(m, &c->look));
    TDO_TRY(tdo_memory_new(votes, &c->select));
    TDO_TRY(tdo_memory_new(votes, &c->count));
    TDO_TRY(tdo_memory_new(m, &c->p_lower));
    TDO_TRY(tdo_memory_new(m, &c->radius));
    TDO_TRY(tdo_memory_new(m, &c->verdict));
    TDO_TRY(tdo_memory_new(m, &c->stop));
    return tdo_memory_new(m, &c->hash);
}

tdo_err tdo_certificates_new(int64_t images, int64_t classes, const struct tdo_schedule *s,
                             struct tdo_certificates *c)
{
    c->images = images;
    c->classes = classes;
    c->schedule = *s;
    TDO_TRY(tdo_certificates_text(&c->mode, tdo_schedule_mode_name(s->o.mode)));
    TDO_TRY(tdo_certificates_text(&c->test, tdo_schedule_test_name(s->o.test)));
    TDO_TRY(tdo_memory_new(s->looks, &c->look_n));
    TDO_TRY(tdo_memory_new(s->looks, &c->look_alpha));
    TDO_TRY(tdo_memory_new(s->looks, &c->look_beta));
    TDO_TRY(tdo_memory_new(TDO_SCHEDULE_TARGETS, &c->target));
    for (int i = 0; i < s->looks; i++) {
        c->look_n[i] = s->look[i].n;
        c->look_alpha[i] = s->look[i].alpha;
        c->look_beta[i] = s->look[i].beta;
    }
    memcpy(c->target, s->o.target, sizeof s->o.target);
    return new_images(c);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* What was allocated belongs to the struct from now on. */
static void take(struct binding *b)
{
    for (int i = 0; i < b->a.attributes; i++) {
        if (b->attribute[i]) {
            *b->attribute[i] = b->a.attribute[i].data;
        }
    }
    for (int i = 0; i < b->a.columns; i++) {
        *b->column[i] = b->a.column[i].data;
    }
}

static const struct tdo_archive_item *item(const struct tdo_archive_item *x, int n,
                                           const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(x[i].name, name) == 0) {
            return &x[i];
        }
    }
    tdo_error_bug(__FILE__, __LINE__, "a name that is bound");
    return NULL;
}

static tdo_err uneven(const char *path, const char *name)
{
    return TDO_FAIL(TDO_ERR_FORMAT, "%s: '%s' has not as many entries as it must have", path,
                    name);
}

/* Columns up to `hash` have one row an image, select and count one number a class. */
static tdo_err check_rows(const char *path, const struct tdo_archive *a,
                          struct tdo_certificates *c)
{
    c->images = item(a->column, a->columns, "idx")->count;
    c->blocks = item(a->column, a->columns, "block_hash")->count;
    c->entries = item(a->column, a->columns, "vote_class")->count;
    for (int i = 0; i < a->columns; i++) {
        const struct tdo_archive_item *x = &a->column[i];
        const bool vote = strncmp(x->name, "vote", 4) == 0;
        const bool block = strncmp(x->name, "block", 5) == 0;
        const bool wide = strcmp(x->name, "select") == 0 || strcmp(x->name, "count") == 0;
        const int64_t rows = vote ? c->entries : block ? c->blocks : c->images;
        if (x->width != (wide ? c->classes : 1) || x->count != rows * x->width) {
            return uneven(path, x->name);
        }
    }
    return TDO_OK;
}

/* -1: no such name. */
static int mode_of(const char *name)
{
    for (int i = TDO_SCHEDULE_FIXED; i <= TDO_SCHEDULE_MILLION; i++) {
        if (strcmp(tdo_schedule_mode_name((enum tdo_schedule_mode)i), name) == 0) {
            return i;
        }
    }
    return -1;
}

static int test_of(const char *name)
{
    for (int i = TDO_SCHEDULE_GROUP; i <= TDO_SCHEDULE_KT; i++) {
        if (strcmp(tdo_schedule_test_name((enum tdo_schedule_test)i), name) == 0) {
            return i;
        }
    }
    return -1;
}

static tdo_err read_schedule(const char *path, const struct tdo_archive *a,
                             struct tdo_certificates *c)
{
    struct tdo_schedule *s = &c->schedule;
    const int64_t looks = item(a->attribute, a->attributes, "look_n")->count;
    const int64_t targets = item(a->attribute, a->attributes, "targets")->count;
    const int mode = mode_of(c->mode), test = test_of(c->test);
    if (mode < 0 || test < 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: mode '%.32s' or test '%.32s' is none", path,
                        c->mode, c->test);
    }
    if (looks < 1 || looks > TDO_SCHEDULE_LOOKS || targets > TDO_SCHEDULE_TARGETS ||
        item(a->attribute, a->attributes, "look_alpha")->count != looks ||
        item(a->attribute, a->attributes, "look_beta")->count != looks) {
        return uneven(path, "look_n, look_alpha, look_beta, targets");
    }
    s->o.mode = (enum tdo_schedule_mode)mode;
    s->o.test = (enum tdo_schedule_test)test;
    s->looks = (int)looks;
    s->o.targets = (int)targets;
    for (int i = 0; i < s->looks; i++) {
        s->look[i] = (struct tdo_look){c->look_n[i], c->look_alpha[i], c->look_beta[i]};
    }
    memcpy(s->o.target, c->target, (size_t)targets * sizeof *c->target);
    return TDO_OK;
}

static bool within(int64_t x, int64_t least, int64_t most)
{
    return x >= least && x <= most;
}

/* Numbers that others are added to, or multiplied with. */
static tdo_err check_ranges(const char *path, const struct tdo_certificates *c)
{
    const int64_t side = 65536;
    if (!within(c->block, 1, MOST_DRAWS) || !within(c->n0, 0, MOST_DRAWS) || c->classes < 1 ||
        !within(c->skip, 1, INT32_MAX) || c->images > INT32_MAX) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: block, n0, classes or skip is out of range", path);
    }
    if (!within(c->height, 1, side) || !within(c->width, 1, side) ||
        !within(c->channels, 1, side)) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: height, width or channels is out of range", path);
    }
    return TDO_OK;
}

/* Blocks are as many as the draws say, entries as many as the blocks say. */
static tdo_err check_blocks(const char *path, const struct tdo_certificates *c)
{
    int64_t blocks = 0, entries = 0;
    for (int64_t i = 0; i < c->images; i++) {
        if (!within(c->n[i], 0, MOST_DRAWS)) {
            return TDO_FAIL(TDO_ERR_FORMAT, "%s: image %lld has %lld draws", path,
                            (long long)c->idx[i], (long long)c->n[i]);
        }
        blocks += tdo_certificates_image_blocks(c, i);
        if (blocks > c->blocks) {
            return uneven(path, "block_hash");
        }
    }
    for (int64_t b = 0; b < c->blocks; b++) {
        if (c->block_entries[b] < 0) {
            return uneven(path, "block_entries");
        }
        entries += c->block_entries[b];
    }
    return blocks != c->blocks     ? uneven(path, "block_hash")
           : entries != c->entries ? uneven(path, "vote_class")
                                   : TDO_OK;
}

static tdo_err read_bound(const char *path, struct binding *b, struct tdo_certificates *c,
                          struct tdo_certificates_found *found)
{
    struct tdo_archive_found f;
    for (int i = 0; i < b->a.columns; i++) {
        b->a.column[i].width = strcmp(b->a.column[i].name, "select") == 0 ||
                                       strcmp(b->a.column[i].name, "count") == 0
                                   ? 0
                                   : 1;
    }
    tdo_err err = tdo_archive_read(path, &b->a, &f);
    take(b);
    TDO_TRY(err);
    *found = (struct tdo_certificates_found){
        .sealed = f.sealed, .hash = f.hash, .wanted = tdo_archive_hash(&b->a)};
    memcpy(found->why, f.why, sizeof found->why);
    TDO_TRY(check_rows(path, &b->a, c));
    TDO_TRY(read_schedule(path, &b->a, c));
    TDO_TRY(check_ranges(path, c));
    return check_blocks(path, c);
}

tdo_err tdo_certificates_read(const char *path, struct tdo_certificates *c,
                              struct tdo_certificates_found *found)
{
    struct binding *b = NULL;
    memset(c, 0, sizeof *c);
    TDO_TRY(bind(c, &b));
    tdo_err err = read_bound(path, b, c, found);
    tdo_memory_free(&b);
    return err;
}

void tdo_certificates_free(struct tdo_certificates *c)
{
    char **const text[] = {&c->version,     &c->generator, &c->precision, &c->instruction_set,
                           &c->convolution, &c->blas_core, &c->model,     &c->split,
                           &c->noise,       &c->certifier, &c->mode,      &c->test};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        tdo_memory_free(text[i]);
    }
    tdo_memory_free(&c->look_n);
    tdo_memory_free(&c->look_alpha);
    tdo_memory_free(&c->look_beta);
    tdo_memory_free(&c->target);
    tdo_memory_free(&c->idx);
    tdo_memory_free(&c->n);
    tdo_memory_free(&c->label);
    tdo_memory_free(&c->predict);
    tdo_memory_free(&c->look);
    tdo_memory_free(&c->select);
    tdo_memory_free(&c->count);
    tdo_memory_free(&c->p_lower);
    tdo_memory_free(&c->radius);
    tdo_memory_free(&c->verdict);
    tdo_memory_free(&c->stop);
    tdo_memory_free(&c->hash);
    tdo_memory_free(&c->block_hash);
    tdo_memory_free(&c->block_entries);
    tdo_memory_free(&c->vote_class);
    tdo_memory_free(&c->vote_count);
}

/* ---- what it says -------------------------------------------------------------------------- */

int64_t tdo_certificates_blocks(const struct tdo_certificates *c, int64_t draws)
{
    return (draws + c->block - 1) / c->block;
}

int64_t tdo_certificates_image_blocks(const struct tdo_certificates *c, int64_t i)
{
    return tdo_certificates_blocks(c, c->n0) + tdo_certificates_blocks(c, c->n[i]);
}

int tdo_certificates_look(const struct tdo_schedule *s, int64_t n)
{
    int look = 0;
    while (look < s->looks - 1 && s->look[look].n != n) {
        look++;
    }
    return look;
}

enum tdo_stop tdo_certificates_stop(const struct tdo_schedule *s, int look, bool certified)
{
    return certified              ? TDO_STOP_CERTIFIED
           : look == s->looks - 1 ? TDO_STOP_EXHAUSTED
                                  : TDO_STOP_FUTILE;
}

const char *tdo_certificates_stop_name(int stop)
{
    static const char *const name[] = {"none", "certified", "futile", "exhausted"};
    return name[stop >= 0 && stop <= TDO_STOP_EXHAUSTED ? stop : 0];
}

const char *tdo_certificates_noise_name(enum tdo_noise_law law)
{
    return law == TDO_NOISE_ROUNDED ? "rounded" : "real";
}
