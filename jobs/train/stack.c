/* The training set and what is stacked behind it. See stack.h.
 *
 * Every part is `times` repetitions over `size` rows: copies go over all images again and again, a
 * stored set over the images that were attacked, attack by attack. Nothing is held in memory: a
 * copy is drawn when it is read, in the thread that reads ahead. */
#include "jobs/train/stack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/origins.h"
#include "nn/base/file.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"

enum {
    SETS = 64, /* that a row which denoises may name */
    PARTS = TDO_DEFENSE_MAX + SETS + 1,
    BLOCK = 64 /* rows that are read at a time */
};

struct part {
    const struct tdo_defense_use *use; /* NULL: the data set itself */
    int64_t first;                     /* id of its first row */
    int64_t size, times;
    int64_t skip;      /* row j of a repetition is of image j * skip */
    int64_t kept;      /* rows of a repetition that have positions */
    int64_t *row;      /* [kept], which; NULL: as the holdout has them */
    bool absent;       /* another part stands in its place: it has no positions */
    tdo_dataset *set;  /* of a stored set */
    int64_t set_first; /* its row that is `first` */
};

struct tdo_stack {
    const tdo_dataset *data;
    struct tdo_holdout holdout;
    struct part part[PARTS];
    int parts;
    bool pairs, held; /* rows come with their clean partners; positions are of rows held out */
    int64_t pixels, rows;
    bool photos;
    struct tdo_photos_reading how; /* with photos */
    unsigned char *bytes;          /* [BLOCK] rows as a file has them */
    int64_t at[BLOCK];
};

/* ---- positions, ids, images ------------------------------------------------------------------- */

int64_t tdo_stack_rows(const tdo_stack *s)
{
    return s->rows;
}

static int64_t positions(const struct part *p)
{
    return p->absent ? 0 : p->kept * p->times;
}

/* The image of the data set at position j of those that have one. */
static int64_t image_at(const tdo_stack *s, int64_t j)
{
    return s->held ? tdo_holdout_validation(&s->holdout, j) : tdo_holdout_train(&s->holdout, j);
}

int64_t tdo_stack_id(const tdo_stack *s, int64_t at)
{
    const struct part *p = s->part;
    while (at >= positions(p)) {
        at -= positions(p++);
    }
    const int64_t j = at % p->kept;
    return p->first + at / p->kept * p->size + (p->row ? p->row[j] : image_at(s, j));
}

static const struct part *part_of(const tdo_stack *s, int64_t id)
{
    const struct part *p = s->part;
    while (id >= p->first + p->size * p->times) {
        p++;
    }
    return p;
}

int64_t tdo_stack_image(const tdo_stack *s, int64_t id)
{
    const struct part *p = part_of(s, id);
    return (id - p->first) % p->size * p->skip;
}

bool tdo_stack_wide(const tdo_stack *s)
{
    return s->parts > 1;
}

bool tdo_stack_pairs(const tdo_stack *s)
{
    return s->pairs;
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* Floats from one row to the next. */
static int64_t stride_of(const tdo_stack *s)
{
    return (s->pairs ? 2 : 1) * s->pixels;
}

/* n rows of a file as reals in the units of the data set, into rows of x. */
static void widen(const tdo_stack *s, bool u8, int64_t n, float *x)
{
    const bool units = tdo_dataset_info(s->data)->is_u8;
    for (int64_t i = 0; i < n * s->pixels; i++) {
        float v;
        if (u8) {
            v = (float)s->bytes[i];
        } else {
            memcpy(&v, s->bytes + i * (int64_t)sizeof v, sizeof v);
        }
        x[i / s->pixels * stride_of(s) + i % s->pixels] = u8 == units ? v
                                                          : u8        ? v / 255
                                                                      : v * 255;
    }
}

/* The images that rows of one part are of, into every second place of x. */
static tdo_err read_partners(tdo_stack *s, const struct part *p, const int64_t *id, int64_t n,
                             float *x)
{
    for (int64_t i = 0; i < n; i++) {
        s->at[i] = (id[i] - p->first) % p->size * p->skip;
    }
    TDO_TRY(tdo_dataset_read(s->data, TDO_SPLIT_TRAIN, s->at, n, s->bytes, NULL));
    widen(s, tdo_dataset_info(s->data)->is_u8, n, x + s->pixels);
    return TDO_OK;
}

/* Up to BLOCK rows of one part. */
static tdo_err read_block(tdo_stack *s, const struct part *p, const int64_t *id, int64_t n,
                          float *x, int32_t *y)
{
    const tdo_dataset *from = p->set ? p->set : s->data;
    const bool u8 = tdo_dataset_info(s->data)->is_u8;
    for (int64_t i = 0; i < n; i++) {
        s->at[i] = p->set ? p->set_first + id[i] - p->first : (id[i] - p->first) % p->size;
    }
    TDO_TRY(tdo_dataset_read(from, TDO_SPLIT_TRAIN, s->at, n, s->bytes, y));
    widen(s, tdo_dataset_info(from)->is_u8, n, x);
    for (int64_t i = 0; p->use && p->use->row->copy && i < n; i++) {
        const struct tdo_key key = {.sample = (uint64_t)s->at[i],
                                    .draw = (uint32_t)((id[i] - p->first) / p->size) + 1};
        TDO_TRY(p->use->row->copy(p->use, &key, u8, s->pixels, x + i * s->pixels));
    }
    return s->pairs ? read_partners(s, p, id, n, x) : TDO_OK;
}

tdo_err tdo_stack_read_photos(tdo_stack *s, const struct tdo_photos_reading *how)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(s->data);
    if (how->cut.most > 0 && tdo_stack_wide(s)) {
        return TDO_FAIL(TDO_ERR_CONFIG, "train.area: a defense stacks images behind those of "
                                        "data.file, of which no random parts are taken");
    }
    if (how->cut.most > 0 && (!info->is_u8 || info->channels != 3)) {
        return TDO_FAIL(TDO_ERR_CONFIG, "train.area: %s does not hold 8-bit RGB images",
                        tdo_dataset_path(s->data));
    }
    s->photos = !tdo_stack_wide(s) && (how->cut.most > 0 || info->encoded);
    s->how = *how;
    return TDO_OK;
}

/* One thread of a prefetch reads, so `how` may be changed. */
static tdo_err read_rows(void *self, int64_t turn, const int64_t *id, int64_t n, void *x,
                         int32_t *y)
{
    tdo_stack *s = self;
    float *to = x;
    if (s->photos) {
        s->how.epoch = turn;
        return tdo_photos_read(s->data, TDO_SPLIT_TRAIN, &s->how, id, n, x, y);
    }
    if (!tdo_stack_wide(s)) {
        return tdo_dataset_read(s->data, TDO_SPLIT_TRAIN, id, n, x, y);
    }
    for (int64_t i = 0, run; i < n; i += run) {
        const struct part *p = part_of(s, id[i]);
        for (run = 1; run < BLOCK && i + run < n && part_of(s, id[i + run]) == p;) {
            run++;
        }
        TDO_TRY(read_block(s, p, id + i, run, to + i * stride_of(s), y + i));
    }
    return TDO_OK;
}

struct tdo_prefetch_source tdo_stack_source(tdo_stack *s)
{
    const int64_t wide = stride_of(s) * (int64_t)sizeof(float);
    return (struct tdo_prefetch_source){
        .self = s,
        .name = tdo_dataset_path(s->data),
        .row_bytes = tdo_stack_wide(s) ? wide : tdo_dataset_row_bytes(s->data),
        .read = read_rows};
}

/* ---- opening: a stored set --------------------------------------------------------------------- */

/* Which images were attacked: said by attack.json beside the file; without it, all of them. */
struct attacked {
    int64_t skip, images;
    uint64_t data;
};

/* attack.json in the directory of `file`; *there is false where there is none. Root. */
static tdo_err read_attack(const char *file, struct attacked *a, bool *there)
{
    char path[1024], *text = NULL;
    const char *slash = strrchr(file, '/'), *hash = "";
    tdo_json *j = NULL;
    int64_t bytes = 0;
    tdo_err err = TDO_OK;
    snprintf(path, sizeof path, "%.*sattack.json", slash ? (int)(slash + 1 - file) : 0, file);
    *there = tdo_file_exists(path);
    if (!*there) {
        return TDO_OK;
    }
    TDO_GOTO(tdo_file_read(path, 1 << 24, &text, &bytes));
    TDO_GOTO(tdo_json_parse(text, (size_t)bytes, path, &j));
    if (!tdo_json_get_int(j, "skip", &a->skip) || !tdo_json_get_int(j, "images", &a->images) ||
        !tdo_json_get_text(j, "data", &hash) || a->skip < 1 || a->images < 1) {
        TDO_GOTO(TDO_FAIL(TDO_ERR_FORMAT,
                          "%s does not say which images were attacked: data, skip and images "
                          "expected",
                          path));
    }
    a->data = strtoull(hash, NULL, 16);
done:
    tdo_json_free(&j);
    tdo_memory_free(&text);
    return err;
}

/* Every example has the label of its image. Root. */
static tdo_err check_labels(const tdo_stack *s, const struct part *p, const char *key)
{
    int64_t image[BLOCK], row[BLOCK];
    int32_t want[BLOCK], have[BLOCK];
    for (int64_t at = 0, n; at < p->size * p->times; at += n) {
        n = p->size * p->times - at < BLOCK ? p->size * p->times - at : BLOCK;
        for (int64_t i = 0; i < n; i++) {
            row[i] = p->set_first + at + i;
            image[i] = (at + i) % p->size * p->skip;
        }
        TDO_TRY(tdo_dataset_read(p->set, TDO_SPLIT_TRAIN, row, n, NULL, have));
        TDO_TRY(tdo_dataset_read(s->data, TDO_SPLIT_TRAIN, image, n, NULL, want));
        for (int64_t i = 0; i < n; i++) {
            if (have[i] != want[i]) {
                return TDO_FAIL(
                    TDO_ERR_CONFIG,
                    "%s = %s: its image %lld is of class %d, image %lld of data.file "
                    "is of class %d: a stored set of the same images expected",
                    key, tdo_dataset_path(p->set), (long long)row[i], have[i],
                    (long long)image[i], want[i]);
            }
        }
    }
    return TDO_OK;
}

static tdo_err check_kind(const tdo_stack *s, const struct part *p, const char *key)
{
    const struct tdo_dataset_info *a = tdo_dataset_info(p->set);
    const struct tdo_dataset_info *b = tdo_dataset_info(s->data);
    const char *path = tdo_dataset_path(p->set);
    if (!a->stored || a->rows[TDO_SPLIT_TRAIN] == 0) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s = %s %s: adversarial.h5 of the job attack with data.split = train "
                        "expected",
                        key, path,
                        !a->stored                    ? "is a data set, not a stored set"
                        : a->rows[TDO_SPLIT_TEST] > 0 ? "holds attacked test images"
                                                      : "holds attacked validation images");
    }
    if (a->height != b->height || a->width != b->width || a->channels != b->channels ||
        a->classes != b->classes) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s = %s holds images of %lldx%lldx%lld in %d classes, data.file has "
                        "%lldx%lldx%lld in %d",
                        key, path, (long long)a->height, (long long)a->width,
                        (long long)a->channels, a->classes, (long long)b->height,
                        (long long)b->width, (long long)b->channels, b->classes);
    }
    return TDO_OK;
}

/* A layer is all images once, one behind the other, whichever attack took each. Of sets that say where
 * their images come from. Root. */
static tdo_err check_layers(const struct tdo_origins *o, const struct attacked *a,
                            const char *key, const char *path)
{
    int64_t at = 0;
    while (at < o->rows && o->row[at] == at % a->images * a->skip) {
        at++;
    }
    return at == o->rows && o->rows % a->images == 0
               ? TDO_OK
               : TDO_FAIL(TDO_ERR_CONFIG,
                          "%s = %s holds %" PRId64 " images of %" PRId64
                          " in layers that are not full, or mixed: each image as often as any "
                          "other expected (attack.N.share of a list that adds up to a whole "
                          "number, without craft.classes)",
                          key, path, o->rows, a->images);
}

/* Which of its rows are used, and of which images they are. Root. */
static tdo_err check_rows(const tdo_stack *s, const struct tdo_origins *o, struct part *p,
                          const char *key)
{
    const int64_t rows = tdo_dataset_info(p->set)->rows[TDO_SPLIT_TRAIN];
    const int64_t images = tdo_dataset_info(s->data)->rows[TDO_SPLIT_TRAIN];
    const int64_t which = (int64_t)tdo_defense_value(p->use, "row", -1);
    const char *path = tdo_dataset_path(p->set);
    struct attacked a = {.skip = 1, .images = images};
    bool there = false;
    TDO_TRY(read_attack(path, &a, &there));
    if (there && a.data != tdo_dataset_info(s->data)->hash) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "%s = %s was made of other data than data.file = %s (attack.json beside "
            "it): a stored set of the same images expected",
            key, path, tdo_dataset_path(s->data));
    }
    TDO_TRY(check_layers(o, &a, key, path));
    if (rows % a.images != 0 || (a.images - 1) > (images - 1) / a.skip) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s = %s holds %lld images: %lld for each of its attacks expected%s",
                        key, path, (long long)rows, (long long)a.images,
                        there ? "" : ", or attack.json beside it");
    }
    if (which >= rows / a.images) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "defense.%d.row = %lld: %s holds %lld attacks, numbered from 0",
                        p->use->index, (long long)which, path, (long long)(rows / a.images));
    }
    p->size = a.images;
    p->skip = a.skip;
    p->times = which < 0 ? rows / a.images : 1;
    p->set_first = which < 0 ? 0 : which * a.images;
    return check_labels(s, p, key);
}

/* Images that have positions. */
static int64_t images_of(const tdo_stack *s)
{
    return s->held ? s->holdout.held : s->holdout.rows - s->holdout.held;
}

/* Is the class in a list of numbers with commas between them? All are in an empty one. */
static bool is_listed(const char *list, int32_t label)
{
    bool found = !*list;
    while (*list && !found) {
        char *end = NULL;
        found = strtol(list, &end, 10) == label;
        list = *end ? end + 1 : end;
    }
    return found;
}

/* Rows of images that have positions, of the classes that the row of `defense` names; all ascend. */
static tdo_err list_kept(const tdo_stack *s, struct part *p)
{
    const char *classes = tdo_defense_text(p->use, "classes");
    const int64_t images = images_of(s);
    TDO_TRY(tdo_memory_new(p->size, &p->row));
    for (int64_t j = 0, at = 0; j < p->size; j++) {
        const int64_t image = j * p->skip;
        int32_t label = 0;
        while (at < images && image_at(s, at) < image) {
            at++;
        }
        if (at == images || image_at(s, at) != image) {
            continue;
        }
        if (*classes) {
            TDO_TRY(tdo_dataset_read(s->data, TDO_SPLIT_TRAIN, &image, 1, NULL, &label));
        }
        if (is_listed(classes, label)) {
            p->row[p->kept++] = j;
        }
    }
    return TDO_OK;
}

static tdo_err open_set(tdo_comm *comm, tdo_stack *s, const char *key, const char *file,
                        struct part *p)
{
    const bool root = tdo_comm_rank(comm) == 0;
    tdo_err err = TDO_OK;
    if (!file[0] || (root && !tdo_file_exists(file))) {
        err = TDO_FAIL(TDO_ERR_CONFIG,
                       "%s %s%s: adversarial.h5 of the job attack with data.split = train "
                       "expected",
                       key, file[0] ? "is not there: " : "is missing", file);
    }
    TDO_TRY(tdo_comm_agree(comm, err));
    TDO_TRY(tdo_dataset_open(comm, file, &p->set));
    TDO_TRY(tdo_comm_agree(comm, check_kind(s, p, key)));
    struct tdo_origins origins = {0};
    err = tdo_origins_read(comm, p->set, &origins);
    err = err == TDO_OK && root ? check_rows(s, &origins, p, key) : err;
    tdo_origins_free(&origins);
    TDO_TRY(tdo_comm_agree(comm, err));
    int64_t found[] = {p->size, p->skip, p->times, p->set_first};
    tdo_comm_broadcast(comm, found, sizeof found);
    p->size = found[0];
    p->skip = found[1];
    p->times = found[2];
    p->set_first = found[3];
    return tdo_comm_agree(comm, list_kept(s, p));
}

/* ---- opening ----------------------------------------------------------------------------------- */

/* All images again; one is tried, so that what cannot be copied is refused before training. */
static tdo_err open_copies(tdo_stack *s, struct part *p)
{
    const struct tdo_key key = {.draw = 1};
    float *x = NULL;
    p->size = s->part[0].size;
    p->kept = s->part[0].kept;
    p->times = p->use->row->copies(p->use);
    p->skip = 1;
    TDO_TRY(tdo_memory_new(s->pixels, &x));
    tdo_err err =
        p->use->row->copy(p->use, &key, tdo_dataset_info(s->data)->is_u8, s->pixels, x);
    tdo_memory_free(&x);
    return err;
}

/* A new part behind the last one. */
static struct part *add_part(tdo_stack *s, const struct tdo_defense_use *use)
{
    const struct part *last = &s->part[s->parts - 1];
    struct part *p = &s->part[s->parts++];
    *p = (struct part){.use = use, .first = last->first + last->size * last->times};
    return p;
}

static void announce(const tdo_stack *s, const struct part *p)
{
    tdo_log_root(TDO_LOG_INFO, "stack %s: %lld times %lld images, %lld %s", p->use->row->name,
                 (long long)p->times, (long long)p->size, (long long)positions(p),
                 s->held ? "held out" : "trained on");
}

/* Every set of a row that denoises, in place of the images of the data set. */
static tdo_err open_sets(tdo_comm *comm, tdo_stack *s, const struct tdo_defense_use *use)
{
    const char *files = tdo_defense_text(use, "sets");
    const int first = s->parts;
    s->pairs = s->part[0].absent = true;
    for (int i = 0; *files; i++) {
        char key[48], file[1024];
        const size_t n = strcspn(files, ",");
        snprintf(key, sizeof key, "defense.%d.sets, number %d", use->index, i);
        if (i == SETS || n >= sizeof file) {
            return tdo_comm_agree(comm, TDO_FAIL(TDO_ERR_CONFIG,
                                                 "defense.%d.sets: up to %d files expected",
                                                 use->index, SETS));
        }
        snprintf(file, sizeof file, "%.*s", (int)n, files);
        TDO_TRY(open_set(comm, s, key, file, add_part(s, use)));
        files += n + (files[n] == ',');
    }
    for (int i = first; i < s->parts; i++) {
        announce(s, &s->part[i]);
    }
    return TDO_OK;
}

static tdo_err open_part(tdo_comm *comm, tdo_stack *s, const struct tdo_defense_use *use)
{
    char key[32];
    const bool copies = use->row->copies && use->row->copies(use) > 0;
    if (use->row->denoises) {
        return open_sets(comm, s, use);
    }
    if (!copies && !use->row->stored) {
        return TDO_OK;
    }
    struct part *p = add_part(s, use);
    snprintf(key, sizeof key, "defense.%d.file", use->index);
    TDO_TRY(copies ? tdo_comm_agree(comm, open_copies(s, p))
                   : open_set(comm, s, key, tdo_defense_text(use, "file"), p));
    if (use->row->stored && tdo_defense_value(use, "mode", 0) != 0) {
        s->part[0].absent = true;
    }
    announce(s, p);
    return TDO_OK;
}

static tdo_err check_size(const tdo_stack *s)
{
    const struct part *last = &s->part[s->parts - 1];
    const int64_t ids = last->first + last->size * last->times;
    if (s->parts > 1 && (s->rows < 1 || ids >= INT64_C(1) << 40)) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "defense stacks %lld rows, of which %lld are %s: 1 to 2^40 - 1 expected",
            (long long)ids, (long long)s->rows, s->held ? "held out" : "trained on");
    }
    return TDO_OK;
}

static tdo_err open_parts(tdo_comm *comm, const struct tdo_defenses *d, tdo_stack *s)
{
    const int64_t most = s->pixels * (int64_t)sizeof(float);
    for (int i = 0; i < d->count && s->part[0].size > 0; i++) {
        TDO_TRY(open_part(comm, s, &d->use[i]));
    }
    for (int i = 0; i < s->parts; i++) {
        s->rows += positions(&s->part[i]);
    }
    tdo_err err = check_size(s);
    if (err == TDO_OK && tdo_stack_wide(s)) {
        err = tdo_memory_new(BLOCK * most, &s->bytes);
    }
    return tdo_comm_agree(comm, err);
}

static tdo_err open_stack(tdo_comm *comm, const tdo_dataset *data, const struct tdo_defenses *d,
                          const struct tdo_holdout *h, bool held, tdo_stack **out)
{
    TDO_TRY(tdo_comm_agree(comm, tdo_memory_new(1, out)));
    tdo_stack *s = *out;
    s->data = data;
    s->holdout = *h;
    s->held = held;
    s->pixels = tdo_dataset_pixels(data);
    s->part[0] = (struct part){
        .size = h->of > h->rows ? h->of : h->rows, .times = 1, .skip = 1, .kept = images_of(s)};
    s->parts = 1;
    tdo_err err = open_parts(comm, d, s);
    if (err != TDO_OK) {
        tdo_stack_free(out);
    }
    return err;
}

tdo_err tdo_stack_open(tdo_comm *comm, const tdo_dataset *data, const struct tdo_defenses *d,
                       const struct tdo_holdout *h, tdo_stack **out)
{
    return open_stack(comm, data, d, h, false, out);
}

tdo_err tdo_stack_open_held(tdo_comm *comm, const tdo_dataset *data,
                            const struct tdo_defenses *d, const struct tdo_holdout *h,
                            tdo_stack **out)
{
    return open_stack(comm, data, d, h, true, out);
}

void tdo_stack_free(tdo_stack **stack)
{
    tdo_stack *s = *stack;
    if (s) {
        for (int i = 0; i < s->parts; i++) {
            tdo_dataset_free(&s->part[i].set);
            tdo_memory_free(&s->part[i].row);
        }
        tdo_memory_free(&s->bytes);
        tdo_memory_free(stack);
    }
}

void tdo_stack_describe(const tdo_stack *s, tdo_json *to)
{
    for (int i = 1; i < s->parts; i++) {
        const struct part *p = &s->part[i];
        char key[48];
        if (p->set) {
            const int number = s->pairs ? i - 1 : p->use->index;
            const char *what = s->pairs ? "set" : "stored";
            snprintf(key, sizeof key, "%s %d", what, number);
            tdo_json_set_hash(to, key, tdo_dataset_info(p->set)->hash);
            snprintf(key, sizeof key, "%s %d skip", what, number);
            tdo_json_set_int(to, key, p->skip);
            snprintf(key, sizeof key, "%s %d images", what, number);
            tdo_json_set_int(to, key, p->size);
            if (tdo_defense_text(p->use, "classes")[0]) {
                snprintf(key, sizeof key, "%s %d classes", what, number);
                tdo_json_set_text(to, key, tdo_defense_text(p->use, "classes"));
            }
        }
    }
}
