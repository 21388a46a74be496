/* A pass: one attack at one eps over the images that it takes, handed out to the ranks. See
 * attacking.h.
 *
 *     lease of those -> batches -> attack on the row's target -> what was found, as it is stored
 *                     -> judged by fresh draws -> a record of the ledger -> outcomes on all ranks */
#include <math.h>
#include <string.h>

#include "jobs/attack/attacking.h"
#include "jobs/stop.h"

/* Room for a batch; arrays are [batch,P] or [batch]. */
struct batch {
    int64_t count;
    int64_t *image;        /* which */
    int64_t size;          /* P */
    unsigned char *bytes;  /* as in the data */
    float *clean, *pixels; /* clean, and found, in pixels */
    float *x, *found, *stored;
    int64_t *row;
    int32_t *label, *aim, *target;
    uint64_t *id, *queries, *gradients;
    bool *done;
    struct tdo_verdict_draws *verdict;
    unsigned char *payload; /* of one record */
};

int64_t tdo_attack_stored_bytes(const struct tdo_attacking *a)
{
    const int64_t pixels = tdo_images_pixels(&a->images);
    return a->store == TDO_STORE_U8    ? pixels
           : a->store == TDO_STORE_F32 ? pixels * (int64_t)sizeof(float)
                                       : 0;
}

static void free_batch(struct batch *b)
{
    tdo_memory_free(&b->image);
    tdo_memory_free(&b->bytes);
    tdo_memory_free(&b->clean);
    tdo_memory_free(&b->pixels);
    tdo_memory_free(&b->x);
    tdo_memory_free(&b->found);
    tdo_memory_free(&b->stored);
    tdo_memory_free(&b->row);
    tdo_memory_free(&b->label);
    tdo_memory_free(&b->aim);
    tdo_memory_free(&b->target);
    tdo_memory_free(&b->id);
    tdo_memory_free(&b->queries);
    tdo_memory_free(&b->gradients);
    tdo_memory_free(&b->done);
    tdo_memory_free(&b->verdict);
    tdo_memory_free(&b->payload);
}

static tdo_err make_batch(const struct tdo_attacking *a, struct batch *b)
{
    const int64_t n = a->batch, P = tdo_images_pixels(&a->images);
    *b = (struct batch){.size = P};
    TDO_TRY(tdo_memory_new(n, &b->image));
    TDO_TRY(tdo_memory_new(n * tdo_images_row_bytes(&a->images), &b->bytes));
    TDO_TRY(tdo_memory_new(n * P, &b->clean));
    TDO_TRY(tdo_memory_new(n * P, &b->pixels));
    TDO_TRY(tdo_memory_new(n * P, &b->x));
    TDO_TRY(tdo_memory_new(n * P, &b->found));
    TDO_TRY(tdo_memory_new(n * P, &b->stored));
    TDO_TRY(tdo_memory_new(n, &b->row));
    TDO_TRY(tdo_memory_new(n, &b->label));
    TDO_TRY(tdo_memory_new(n, &b->aim));
    TDO_TRY(tdo_memory_new(n, &b->target));
    TDO_TRY(tdo_memory_new(n, &b->id));
    TDO_TRY(tdo_memory_new(n, &b->queries));
    TDO_TRY(tdo_memory_new(n, &b->gradients));
    TDO_TRY(tdo_memory_new(n, &b->done));
    TDO_TRY(tdo_memory_new(n, &b->verdict));
    return tdo_memory_new((int64_t)sizeof(struct tdo_outcome) + tdo_attack_stored_bytes(a),
                          &b->payload);
}

/* ---- what is read ----------------------------------------------------------------------------- */

/* Grey levels become pixels by the factor that networks use, so that clean logits are the same. */
static void to_pixels(const struct tdo_images *im, const void *bytes, int64_t n, float *pixels)
{
    tdo_images_widen(im, bytes, n, pixels);
    for (int64_t i = 0; im->u8 && i < n; i++) {
        pixels[i] *= (float)(1.0 / 255);
    }
}

/* Images first, first + 1, ... of those that the pass takes. */
static tdo_err read_clean(const struct tdo_attacking *a, int64_t first, int64_t count,
                          struct batch *b)
{
    b->count = count;
    for (int64_t i = 0; i < count; i++) {
        b->image[i] = a->pick[first + i];
        b->row[i] = tdo_images_row(&a->images, b->image[i]);
        b->id[i] = (uint64_t)b->row[i];
    }
    TDO_TRY(tdo_images_read(&a->images, b->row, count, b->bytes, b->label));
    to_pixels(&a->images, b->bytes, count * b->size, b->clean);
    return TDO_OK;
}

static tdo_err read_stored(const struct tdo_attacking *a, const struct tdo_attack_use *use,
                           const struct tdo_attack_row *row, struct batch *b)
{
    const int64_t which = (int64_t)tdo_attack_value(use, "row", 0);
    if (!row->set) {
        return TDO_OK;
    }
    for (int64_t i = 0; i < b->count; i++) {
        b->row[i] = which * a->images.count + b->image[i];
    }
    unsigned char *bytes = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(b->count * tdo_images_row_bytes(&row->stored), &bytes));
    TDO_GOTO(tdo_images_read(&row->stored, b->row, b->count, bytes, b->aim));
    to_pixels(&row->stored, bytes, b->count * b->size, b->stored);
    for (int64_t i = 0; i < b->count; i++) {
        if (b->aim[i] != b->label[i]) {
            err =
                TDO_FAIL(TDO_ERR_CONFIG,
                         "%s.from = %s: its image %lld is of class %d, that of data.file is of "
                         "class %d: a stored set of the same images expected",
                         use->key, use->from, (long long)b->row[i], b->aim[i], b->label[i]);
            break;
        }
    }
done:
    tdo_memory_free(&bytes);
    return err;
}

/* ---- what is found ------------------------------------------------------------------------------ */

/* Grey levels for pixels: the nearest, or, inward, the next one towards the clean image. */
static void round_to_levels(const float *clean, int64_t n, bool inward, float *pixels)
{
    const float level = (float)(1.0 / 255);
    for (int64_t p = 0; p < n; p++) {
        const float v = 255 * pixels[p];
        const float q = !inward ? rintf(v) : pixels[p] > clean[p] ? floorf(v) : ceilf(v);
        const bool is_level = rintf(v) * level == pixels[p];
        pixels[p] = level * (is_level ? rintf(v) : q < 0 ? 0 : q > 255 ? 255 : q);
    }
}

/* As an 8-bit image: the nearest, or, if that leaves the ball, inward. */
static void round_image(const struct tdo_attack_use *use, const tdo_target *t, struct batch *b,
                        int64_t i)
{
    const enum tdo_norm norm = use->threat.norm;
    const double eps = tdo_attack_eps(use, b->id[i]);
    float *pixels = b->pixels + i * b->size, *u = b->found + i * b->size;
    float *rounded = b->stored; /* a replay has been read by now */
    for (int inward = 0; inward < 2; inward++) {
        tdo_target_to_pixels(t, u, 1, pixels);
        round_to_levels(b->clean + i * b->size, b->size, inward, pixels);
        tdo_target_from_pixels(t, pixels, 1, rounded);
        if (tdo_threat_norms(rounded, b->x + i * b->size, b->size).of[norm] <=
            eps * (1 + 1e-6)) {
            break;
        }
    }
    memcpy(u, rounded, (size_t)b->size * sizeof *u);
}

/* b->found in units to b->pixels, as they are stored; b->found follows. Points that are no images
 * stay what they are. */
static void settle(const struct tdo_attacking *a, const struct tdo_attack_use *use,
                   const tdo_target *t, struct batch *b)
{
    if (tdo_target_is_behind(t)) {
        return;
    }
    tdo_target_to_pixels(t, b->found, b->count, b->pixels);
    for (int64_t i = 0; a->store == TDO_STORE_U8 && i < b->count; i++) {
        round_image(use, t, b, i);
    }
}

static struct tdo_outcome outcome_of(const struct tdo_attacking *a, const struct batch *b,
                                     int64_t i)
{
    const struct tdo_norms d =
        tdo_threat_norms(b->found + i * b->size, b->x + i * b->size, b->size);
    const struct tdo_norms x = tdo_threat_norms(b->x + i * b->size, NULL, b->size);
    const int32_t predict = b->verdict[i].predict, target = b->target[i];
    return (struct tdo_outcome){.row = tdo_images_row(&a->images, b->image[i]),
                                .label = b->label[i],
                                .clean = a->clean[b->image[i]].predict,
                                .predict = predict,
                                .target = target,
                                .success =
                                    target >= 0 ? predict == target : predict != b->label[i],
                                .wrong = b->verdict[i].wrong,
                                .draws = b->verdict[i].draws,
                                .l0 = d.of[TDO_NORM_L0],
                                .l2 = d.of[TDO_NORM_L2],
                                .linf = d.of[TDO_NORM_LINF],
                                .x2 = x.of[TDO_NORM_L2],
                                .xinf = x.of[TDO_NORM_LINF],
                                .queries = b->queries[i],
                                .gradients = b->gradients[i]};
}

static void store_pixels(const struct tdo_attacking *a, const struct batch *b, int64_t i,
                         unsigned char *to)
{
    const float *pixels = b->pixels + i * b->size;
    if (a->store == TDO_STORE_F32) {
        memcpy(to, pixels, (size_t)b->size * sizeof *pixels);
    }
    for (int64_t p = 0; a->store == TDO_STORE_U8 && p < b->size; p++) {
        to[p] = (unsigned char)rintf(255 * pixels[p]);
    }
}

/* Outcome of image i of the batch, in `to`; and as a record of pass `number`. */
static tdo_err finish_image(struct tdo_attacking *a, int number, const struct batch *b,
                            int64_t i, const struct tdo_outcome *outcome,
                            struct tdo_outcome *to)
{
    const int64_t head = (int64_t)sizeof *outcome;
    const int64_t image = number > 0 ? tdo_attack_stored_bytes(a) : 0;
    const struct tdo_ledger_record r = {.kind = TDO_LEDGER_OUTCOME,
                                        .a = (uint64_t)b->image[i],
                                        .b = (uint64_t)number,
                                        .payload = b->payload,
                                        .bytes = head + image};
    memcpy(b->payload, outcome, (size_t)head);
    if (image > 0) {
        store_pixels(a, b, i, b->payload + head);
    }
    *to = *outcome;
    return tdo_ledger_append(a->ledger, &r);
}

/* ---- batches ---------------------------------------------------------------------------------------- */

struct tdo_attack_use tdo_attack_pass_use(const struct tdo_attacking *a, int pass)
{
    struct tdo_attack_use use = a->use[a->pass[pass].row];
    use.threat.eps = a->pass[pass].eps;
    return use;
}

static tdo_err attack_batch(struct tdo_attacking *a, struct tdo_attack_row *row,
                            struct batch *b)
{
    const int number = a->passes + 1;
    const struct tdo_attack_use use = tdo_attack_pass_use(a, a->passes);
    TDO_TRY(read_stored(a, &use, row, b));
    tdo_target_from_pixels(row->target, b->clean, b->count, b->x);
    struct tdo_samples s = {.count = b->count,
                            .x = b->x,
                            .label = b->label,
                            .id = b->id,
                            .found = b->found,
                            .stored = row->set ? b->stored : NULL,
                            .aim = b->aim,
                            .target = b->target,
                            .done = b->done,
                            .queries = b->queries,
                            .gradients = b->gradients};
    TDO_TRY(tdo_attack_run(&use, row->target, &s));
    settle(a, &use, row->target, b);
    tdo_judge *judge = row->judge ? row->judge : a->judge;
    const float *points = row->judge ? b->found : b->pixels;
    TDO_TRY(tdo_judge_points(judge, b->count, points, b->id, b->label, 1, b->verdict));
    for (int64_t i = 0; i < b->count; i++) {
        const struct tdo_outcome o = outcome_of(a, b, i);
        struct tdo_outcome *to = a->outcomes.of + a->passes * a->images.count + b->image[i];
        TDO_TRY(finish_image(a, number, b, i, &o, to));
    }
    return TDO_OK;
}

static tdo_err judge_batch(struct tdo_attacking *a, struct tdo_attack_row *row, struct batch *b)
{
    (void)row;
    TDO_TRY(tdo_judge_points(a->judge, b->count, b->clean, b->id, b->label, 0, b->verdict));
    for (int64_t i = 0; i < b->count; i++) {
        const struct tdo_outcome o = {.row = tdo_images_row(&a->images, b->image[i]),
                                      .label = b->label[i],
                                      .clean = b->verdict[i].predict,
                                      .predict = b->verdict[i].predict,
                                      .target = -1,
                                      .success = b->verdict[i].predict != b->label[i],
                                      .wrong = b->verdict[i].wrong,
                                      .draws = b->verdict[i].draws};
        TDO_TRY(finish_image(a, 0, b, i, &o, &a->clean[b->image[i]]));
    }
    return TDO_OK;
}

/* ---- handing out ------------------------------------------------------------------------------------- */

typedef tdo_err (*work_fn)(struct tdo_attacking *a, struct tdo_attack_row *row,
                           struct batch *b);

static tdo_err run_lease(struct tdo_attacking *a, struct tdo_attack_row *row, work_fn work,
                         struct batch *b, struct tdo_range picked)
{
    for (int64_t i = picked.first; i < picked.end; i += a->batch) {
        const int64_t left = picked.end - i;
        TDO_TRY(tdo_stop_check());
        TDO_TRY(read_clean(a, i, left < a->batch ? left : a->batch, b));
        TDO_TRY(work(a, row, b));
        TDO_TRY(tdo_lease_poll(a->lease));
    }
    return TDO_OK;
}

static tdo_err run_leases(struct tdo_attacking *a, struct tdo_attack_row *row, work_fn work,
                          struct batch *b)
{
    for (;;) {
        int64_t first = 0, count = 0;
        TDO_TRY(tdo_lease_next(a->lease, &first, &count));
        if (count == 0) {
            return tdo_ledger_sync(a->ledger);
        }
        TDO_TRY(run_lease(a, row, work, b, (struct tdo_range){first, first + count}));
        tdo_progress_show(&a->progress, a->done + tdo_lease_done(a->lease), NULL);
    }
}

/* Does a pass (NULL: that of the clean images) take image i? */
static bool takes(const struct tdo_attacking *a, const struct tdo_share *part, int64_t i)
{
    const uint64_t id = (uint64_t)tdo_images_row(&a->images, i);
    return !part || ((!a->wanted || a->wanted[a->clean[i].label]) &&
                     tdo_share_takes(part, tdo_share_place(a->use[0].seed, id)));
}

/* a->pick: the images of pass `number`, and which of them are recorded. */
static void pick_images(struct tdo_attacking *a, int number)
{
    const struct tdo_share *part = number > 0 ? &a->pass[number - 1].part : NULL;
    const bool *recorded = a->recorded + number * a->images.count;
    a->picked = 0;
    for (int64_t i = 0; i < a->images.count; i++) {
        if (takes(a, part, i)) {
            a->marks[a->picked] = recorded[i];
            a->pick[a->picked++] = i;
        }
    }
}

/* Outcomes meet as bit patterns, added to zeros: each is held by one rank. */
static void share(struct tdo_attacking *a, struct tdo_outcome *outcomes)
{
    _Static_assert(sizeof *outcomes % sizeof(uint64_t) == 0, "outcomes are words");
    const int64_t words = (int64_t)(sizeof *outcomes / sizeof(uint64_t));
    tdo_comm_sum_u64(a->run.comm, (uint64_t *)(void *)outcomes, a->images.count * words);
}

static tdo_err run_pass(struct tdo_attacking *a, struct tdo_attack_row *row, int number,
                        work_fn work, struct tdo_outcome *outcomes)
{
    struct batch b = {0};
    pick_images(a, number);
    if (a->picked == 0) {
        return TDO_OK;
    }
    tdo_err err = make_batch(a, &b);
    if (err == TDO_OK) {
        err = tdo_lease_new(a->run.comm, a->picked, 1.0, &a->lease);
    }
    if (err == TDO_OK) {
        err = tdo_lease_skip_marked(a->lease, a->marks);
    }
    err = tdo_comm_agree(a->run.comm, err);
    if (err == TDO_OK) {
        err = run_leases(a, row, work, &b);
        if (err != TDO_OK) {
            tdo_lease_stop(a->lease);
        }
        tdo_err ended = tdo_lease_end(a->lease);
        err = tdo_comm_agree(a->run.comm, err != TDO_OK ? err : ended);
    }
    tdo_lease_free(&a->lease);
    free_batch(&b);
    if (err == TDO_OK) {
        share(a, outcomes);
        a->done += a->picked;
        tdo_progress_show(&a->progress, a->done, NULL);
    }
    return err;
}

tdo_err tdo_attack_judge_clean(struct tdo_attacking *a)
{
    return run_pass(a, NULL, 0, judge_batch, a->clean);
}

tdo_err tdo_attack_pass_run(struct tdo_attacking *a, struct tdo_attack_row *row)
{
    struct tdo_outcome *outcomes = a->outcomes.of + a->passes * a->images.count;
    TDO_TRY(tdo_attack_row_open(a, a->pass[a->passes].row, row));
    TDO_TRY(run_pass(a, row, a->passes + 1, attack_batch, outcomes));
    for (int64_t i = 0; i < a->images.count; i++) {
        if (!tdo_outcome_taken(&outcomes[i])) {
            outcomes[i] = (struct tdo_outcome){.row = tdo_images_row(&a->images, i),
                                               .label = a->clean[i].label,
                                               .clean = a->clean[i].predict,
                                               .target = -1};
        }
    }
    a->passes++;
    return TDO_OK;
}

/* ---- earlier starts --------------------------------------------------------------------------------- */

static tdo_err recall_record(void *user, const struct tdo_ledger_record *r)
{
    struct tdo_attacking *a = user;
    const int64_t head = (int64_t)sizeof(struct tdo_outcome), n = a->images.count;
    const bool inside = r->a < (uint64_t)n && r->b <= (uint64_t)a->most;
    const int64_t image = inside && r->b > 0 ? tdo_attack_stored_bytes(a) : 0;
    if (r->kind != TDO_LEDGER_OUTCOME || !inside || r->bytes != head + image) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s/ledger: a record of image %llu does not fit this run",
                        a->ledger_dir, (unsigned long long)r->a);
    }
    bool *there = &a->recorded[(int64_t)r->b * n + (int64_t)r->a];
    if (!*there) {
        struct tdo_outcome *to = r->b == 0
                                     ? &a->clean[r->a]
                                     : a->outcomes.of + ((int64_t)r->b - 1) * n + (int64_t)r->a;
        memcpy(to, r->payload, (size_t)head);
        *there = true;
        a->recalled++;
    }
    return TDO_OK;
}

tdo_err tdo_attack_recall(struct tdo_attacking *a)
{
    TDO_TRY(tdo_ledger_replay(a->run.comm, a->ledger_dir, a->context, recall_record, a));
    if (a->recalled > 0) {
        tdo_log_root(TDO_LOG_INFO, "resume: %lld outcomes are there already",
                     (long long)a->recalled);
    }
    return tdo_ledger_open(a->run.comm, a->ledger_dir, a->context, 10, &a->ledger);
}
