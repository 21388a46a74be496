/* Drawing votes. See sampler.h. */
#include "jobs/sampler.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "jobs/inference.h"
#include "jobs/stop.h"
#include "mpi/lease.h"
#include "mpi/ledger.h"
#include "nn/base/log.h"

enum { BLOCK = 512 }; /* draws of an item, if nothing else is asked for */

struct tdo_sampler {
    tdo_comm *comm;
    struct tdo_network *net;
    const struct tdo_images *images;
    struct tdo_sampler_options o;
    int64_t pixels;

    struct tdo_inference inference;

    struct tdo_look whole; /* the only look, if there are no others */
    tdo_votes *votes;
    tdo_votes *stored; /* root: what the ledger holds, [images][looks], until its round comes */
    tdo_lease *lease;  /* of a round */

    /* A round: blocks [block_first, block_first + blocks) of the images in `who`. */
    int64_t *who, chosen, block_first, blocks;
    int64_t drawn; /* by all ranks, in all rounds */
    double seconds;
    int64_t mine; /* by this rank */
    double busy;  /* seconds that took */

    int64_t cached;       /* image whose values are in `image`, -1: none */
    unsigned char *bytes; /* as in the file */
    float *image;
    int64_t *slot_item; /* [batch] the item that each row of the plan belongs to */
    int64_t filled;
    unsigned char *message; /* what is hashed for one row */

    /* Rows of an item follow each other, so one item at a time is being counted. */
    int64_t item, counted; /* -1: none; rows of it that were counted */
    uint64_t *record;      /* draws, hash, nanoseconds, counts [classes]: as in the ledger */
    tdo_ledger *ledger;
    bool *recorded; /* [items] root: found in the ledger */
};

enum { DRAWS, HASH, NANOSECONDS, COUNTS }; /* of a record */

/* ---- what there is to do ------------------------------------------------------------------------- */

static int64_t blocks_of(const tdo_sampler *s, int64_t draws)
{
    return (draws + s->o.block - 1) / s->o.block;
}

static int64_t items_per_image(const tdo_sampler *s)
{
    return blocks_of(s, s->o.n0) + blocks_of(s, s->o.n);
}

/* A block of draws [first, end) of one image and purpose. */
struct item {
    int64_t image, first, end;
    enum tdo_votes_purpose purpose;
};

static struct item item_at(const tdo_sampler *s, int64_t i)
{
    const int64_t per = items_per_image(s), block = i % per, select = blocks_of(s, s->o.n0);
    const bool counts = block >= select;
    const int64_t first = (counts ? block - select : block) * s->o.block;
    const int64_t draws = counts ? s->o.n : s->o.n0;
    return (struct item){.image = i / per,
                         .first = first,
                         .end = first + s->o.block < draws ? first + s->o.block : draws,
                         .purpose = counts ? TDO_VOTES_COUNT : TDO_VOTES_SELECT};
}

/* The round in which an item is drawn. */
static int round_of(const tdo_sampler *s, const struct item *item)
{
    int round = 0;
    while (item->purpose == TDO_VOTES_COUNT && item->first >= s->o.look[round].n) {
        round++;
    }
    return round;
}

/* Item i of the present round. */
static int64_t round_item(const tdo_sampler *s, int64_t i)
{
    return s->who[i / s->blocks] * items_per_image(s) + s->block_first + i % s->blocks;
}

static tdo_err make_plan(tdo_sampler *s)
{
    if (!tdo_noise_certifies(s->o.law)) {
        return TDO_FAIL(TDO_ERR_BUG, "votes under noise that no certificate is about");
    }
    if (s->net->shared) {
        return TDO_FAIL(TDO_ERR_CONFIG, "noise.share = batch: votes of an image want draws of "
                                        "their own: noise.share = row expected");
    }
    const struct tdo_noise noise = {
        .law = s->o.law,
        .sigma = s->o.sigma,
        .stream = {.seed = s->o.seed, .purpose = TDO_PURPOSE_ESTIMATE},
        .table = s->o.table};
    TDO_TRY(tdo_inference_new(s->net, s->o.batch, s->images->u8, &noise, &s->inference));
    tdo_plan_time(s->inference.plan, s->o.profile);
    return TDO_OK;
}

static tdo_err make_buffers(tdo_sampler *s)
{
    TDO_TRY(tdo_memory_new(tdo_images_row_bytes(s->images), &s->bytes));
    TDO_TRY(tdo_memory_new(s->pixels, &s->image));
    TDO_TRY(tdo_memory_new(24 + 4 * (int64_t)s->net->spec.classes, &s->message));
    TDO_TRY(tdo_memory_new(s->o.batch, &s->slot_item));
    TDO_TRY(tdo_memory_new(COUNTS + s->net->spec.classes, &s->record));
    TDO_TRY(tdo_memory_new(s->images->count * items_per_image(s), &s->recorded));
    TDO_TRY(tdo_memory_new(s->images->count, &s->who));
    s->cached = s->item = -1;
    return tdo_votes_new(s->images->count, s->net->spec.classes, &s->votes);
}

/* ---- voting --------------------------------------------------------------------------------------------- */

static tdo_err load_image(tdo_sampler *s, int64_t image)
{
    if (s->cached == image) {
        return TDO_OK;
    }
    const int64_t row = tdo_images_row(s->images, image);
    TDO_TRY(tdo_images_read(s->images, &row, 1, s->bytes, NULL));
    tdo_images_widen(s->images, s->bytes, s->pixels, s->image);
    s->cached = image;
    return TDO_OK;
}

uint64_t tdo_sampler_hash(unsigned char *message, const struct tdo_key *key,
                          const float *logits, int classes)
{
    const uint64_t head[3] = {key->sample, key->purpose, key->draw};
    const size_t bytes = (size_t)classes * sizeof *logits;
    memcpy(message, head, sizeof head);
    memcpy(message + sizeof head, logits, bytes);
    return XXH64(message, sizeof head + bytes, 0);
}

/* A logit that is no number never votes. */
tdo_err tdo_sampler_vote(const struct tdo_key *key, const float *z, int classes, int *vote)
{
    for (int k = 0; k < classes; k++) {
        if (isnan(z[k])) {
            return TDO_FAIL(TDO_ERR_NUMERIC, "image %llu, %s draw %u: logit %d is not a number",
                            (unsigned long long)key->sample,
                            key->purpose == TDO_PURPOSE_SELECT ? "selection" : "estimation",
                            (unsigned)key->draw, k);
        }
    }
    *vote = tdo_inference_class(z, classes);
    return TDO_OK;
}

/* ---- finished blocks -------------------------------------------------------------------------- */

static struct tdo_ledger_record record_of(const tdo_sampler *s)
{
    const struct item item = item_at(s, s->item);
    const int64_t words = COUNTS + s->net->spec.classes;
    return (struct tdo_ledger_record){.kind = TDO_LEDGER_VOTES,
                                      .a = (uint64_t)item.image,
                                      .b = (uint64_t)item.purpose << 32 |
                                           (uint64_t)(item.first / s->o.block),
                                      .payload = s->record,
                                      .bytes = words * (int64_t)sizeof *s->record};
}

static tdo_err add_record(tdo_votes *votes, int64_t row, const struct item *item,
                          const uint64_t *record)
{
    tdo_votes_add_time(votes, row, record[NANOSECONDS]);
    return tdo_votes_add_counts(votes, row, item->purpose, record + COUNTS, record[HASH]);
}

/* The item being counted is complete: into the ledger, into the tallies. */
static tdo_err finish_item(tdo_sampler *s)
{
    const struct item item = item_at(s, s->item);
    const struct tdo_ledger_record r = record_of(s);
    s->record[DRAWS] = (uint64_t)s->counted;
    TDO_TRY(tdo_ledger_append(s->ledger, &r));
    TDO_TRY(add_record(s->votes, item.image, &item, s->record));
    memset(s->record, 0, (size_t)r.bytes);
    s->item = -1;
    s->counted = 0;
    return TDO_OK;
}

/* The item that a record is of. What does not fit this run was refused by its context. */
static tdo_err item_of_record(const tdo_sampler *s, const struct tdo_ledger_record *r,
                              int64_t *at)
{
    const bool counts = r->b >> 32 == TDO_VOTES_COUNT;
    const int64_t block = (int64_t)(r->b & 0xffffffff), select = blocks_of(s, s->o.n0);
    const int64_t words = COUNTS + s->net->spec.classes;
    const bool inside =
        r->a < (uint64_t)s->images->count && block < (counts ? blocks_of(s, s->o.n) : select);
    *at = (int64_t)r->a * items_per_image(s) + block + (counts ? select : 0);
    if (r->kind != TDO_LEDGER_VOTES || !inside ||
        r->bytes != words * (int64_t)sizeof *s->record) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s/ledger: a record of image %llu does not fit this run", s->o.dir,
                        (unsigned long long)r->a);
    }
    return TDO_OK;
}

/* A record of an earlier start; called on the root. A block that is there twice counts once. */
static tdo_err recall_record(void *user, const struct tdo_ledger_record *r)
{
    tdo_sampler *s = user;
    int64_t at = 0;
    TDO_TRY(item_of_record(s, r, &at));
    if (s->recorded[at]) {
        return TDO_OK;
    }
    const struct item item = item_at(s, at);
    if (!s->stored) {
        TDO_TRY(tdo_votes_new(s->images->count * s->o.looks, s->net->spec.classes, &s->stored));
    }
    s->recorded[at] = true;
    return add_record(s->stored, item.image * s->o.looks + round_of(s, &item), &item,
                      r->payload);
}

/* For tdo_sampler_blocks. */
struct telling {
    tdo_sampler *s;
    tdo_sampler_visit visit;
    void *user;
    bool *told; /* [items] */
    int64_t spent;
};

static tdo_err tell_record(void *user, const struct tdo_ledger_record *r)
{
    struct telling *t = user;
    const uint64_t *record = r->payload;
    int64_t at = 0;
    TDO_TRY(item_of_record(t->s, r, &at));
    const struct item item = item_at(t->s, at);
    const struct tdo_sampler_block b = {.image = item.image,
                                        .first = item.first,
                                        .draws = item.end - item.first,
                                        .purpose = item.purpose,
                                        .hash = record[HASH],
                                        .counts = record + COUNTS};
    t->spent += b.draws;
    if (t->told[at]) {
        return TDO_OK;
    }
    t->told[at] = true;
    return t->visit(t->user, &b);
}

tdo_err tdo_sampler_blocks(tdo_sampler *s, tdo_sampler_visit visit, void *user, int64_t *spent)
{
    struct telling t = {.s = s, .visit = visit, .user = user};
    tdo_err err = tdo_memory_new(s->images->count * items_per_image(s), &t.told);
    err = tdo_comm_agree(s->comm, err);
    if (err == TDO_OK) {
        err = tdo_ledger_replay(s->comm, s->o.dir, s->o.context, tell_record, &t);
    }
    tdo_memory_free(&t.told);
    *spent = t.spent;
    return err;
}

/* The recorded votes of this round, of the chosen images, become votes. Root only. */
static tdo_err take_stored(tdo_sampler *s, int round)
{
    for (int64_t i = 0; s->stored && i < s->chosen; i++) {
        const int64_t image = s->who[i], row = image * s->o.looks + round;
        TDO_TRY(tdo_votes_add_counts(s->votes, image, TDO_VOTES_SELECT,
                                     tdo_votes_counts(s->stored, row, TDO_VOTES_SELECT),
                                     tdo_votes_hash(s->stored, row)));
        TDO_TRY(tdo_votes_add_counts(s->votes, image, TDO_VOTES_COUNT,
                                     tdo_votes_counts(s->stored, row, TDO_VOTES_COUNT), 0));
        tdo_votes_add_time(s->votes, image, tdo_votes_time(s->stored, row));
    }
    return TDO_OK;
}

/* Tell the lease what need not be handed out; *done: draws that are there. Root only. */
static tdo_err skip_recorded(tdo_sampler *s, int64_t *done)
{
    const int64_t items = s->chosen * s->blocks;
    bool *there = NULL;
    TDO_TRY(tdo_memory_new(items, &there));
    for (int64_t i = 0; i < items; i++) {
        const struct item item = item_at(s, round_item(s, i));
        there[i] = s->recorded[round_item(s, i)];
        *done += there[i] ? item.end - item.first : 0;
    }
    tdo_err err = tdo_lease_skip_marked(s->lease, there);
    tdo_memory_free(&there);
    return err;
}

/* ---- drawing -------------------------------------------------------------------------------------- */

/* Count the vote of one row. */
static tdo_err count_row(tdo_sampler *s, int64_t i, const struct tdo_key *key, const float *z)
{
    int vote = 0;
    TDO_TRY(tdo_sampler_vote(key, z, s->net->spec.classes, &vote));
    if (s->item >= 0 && s->item != s->slot_item[i]) {
        TDO_TRY(finish_item(s));
    }
    s->item = s->slot_item[i];
    s->counted++;
    s->record[COUNTS + vote]++;
    s->record[HASH] +=
        s->o.hash ? tdo_sampler_hash(s->message, key, z, s->net->spec.classes) : 0;
    return TDO_OK;
}

/* Run the rows that are filled and count their votes. */
static tdo_err run_batch(tdo_sampler *s)
{
    const int classes = s->net->spec.classes;
    const struct tdo_key *keys = tdo_plan_input(s->inference.plan, s->inference.keys);
    const double begin = tdo_log_now();
    if (s->filled == 0) {
        return TDO_OK;
    }
    TDO_TRY(tdo_plan_run(s->inference.plan));
    const float *logits = tdo_plan_output(s->inference.plan, 0);
    const uint64_t each = (uint64_t)((tdo_log_now() - begin) * 1e9 / (double)s->filled);
    for (int64_t i = 0; i < s->filled; i++) {
        TDO_TRY(count_row(s, i, &keys[i], logits + i * classes));
        s->record[NANOSECONDS] += each;
    }
    s->mine += s->filled;
    s->filled = 0;
    return tdo_lease_poll(s->lease);
}

static tdo_err run_item(tdo_sampler *s, int64_t number)
{
    const struct item found = item_at(s, number), *item = &found;
    float *raw = tdo_plan_input(s->inference.plan, s->inference.raw);
    struct tdo_key *keys = tdo_plan_input(s->inference.plan, s->inference.keys);
    TDO_TRY(load_image(s, item->image));
    for (int64_t draw = item->first; draw < item->end; draw++) {
        memcpy(raw + s->filled * s->pixels, s->image, (size_t)s->pixels * sizeof *raw);
        keys[s->filled] = (struct tdo_key){
            .sample = (uint64_t)tdo_images_row(s->images, item->image),
            .draw = (uint32_t)draw,
            .purpose =
                item->purpose == TDO_VOTES_SELECT ? TDO_PURPOSE_SELECT : TDO_PURPOSE_ESTIMATE};
        s->slot_item[s->filled++] = number;
        if (s->filled == s->o.batch) {
            TDO_TRY(run_batch(s));
        }
    }
    return TDO_OK;
}

static tdo_err run_lease(tdo_sampler *s, int64_t first, int64_t count)
{
    for (int64_t i = first; i < first + count; i++) {
        TDO_TRY(tdo_stop_check());
        TDO_TRY(run_item(s, round_item(s, i)));
    }
    TDO_TRY(run_batch(s)); /* rows beyond `filled` hold old draws and are not counted */
    return s->item >= 0 ? finish_item(s) : TDO_OK;
}

/* Draw one lease after the other; local. */
static tdo_err draw(tdo_sampler *s, struct tdo_progress *progress)
{
    const double items = (double)(s->chosen * s->blocks);
    for (;;) {
        int64_t first = 0, count = 0;
        TDO_TRY(tdo_lease_next(s->lease, &first, &count));
        if (count == 0) {
            break;
        }
        const double begin = tdo_log_now();
        TDO_TRY(run_lease(s, first, count));
        s->busy += tdo_log_now() - begin;
        const double part = (double)tdo_lease_done(s->lease) / items;
        tdo_progress_show(progress, (int64_t)(part * (double)progress->total), NULL);
    }
    return tdo_ledger_sync(s->ledger);
}

/* ---- rounds -------------------------------------------------------------------------------- */

/* Which blocks of which images the round has; returns its draws. */
static int64_t plan_round(tdo_sampler *s, int round, const bool *active)
{
    const int64_t select = blocks_of(s, s->o.n0), end = s->o.look[round].n;
    const int64_t begin = round > 0 ? s->o.look[round - 1].n : 0;
    s->chosen = 0;
    for (int64_t i = 0; i < s->images->count; i++) {
        if (!active || active[i]) {
            s->who[s->chosen++] = i;
        }
    }
    s->block_first = round > 0 ? select + begin / s->o.block : 0;
    s->blocks = select + blocks_of(s, end) - s->block_first;
    return s->chosen * (end - begin + (round > 0 ? 0 : s->o.n0));
}

/* Its lease, and what the ledger has of it. *there: draws of that, on the root. */
static tdo_err open_round(tdo_sampler *s, int round, int64_t *there)
{
    const bool root = tdo_comm_rank(s->comm) == 0;
    tdo_lease_free(&s->lease);
    tdo_err err = tdo_lease_new(s->comm, s->chosen * s->blocks, 1.0, &s->lease);
    if (err == TDO_OK && root) {
        err = take_stored(s, round);
    }
    if (err == TDO_OK && root) {
        err = skip_recorded(s, there);
    }
    TDO_TRY(tdo_comm_agree(s->comm, err));
    if (*there > 0) {
        tdo_log_root(TDO_LOG_INFO, "resume: %lld samples are there already", (long long)*there);
    }
    return TDO_OK;
}

tdo_err tdo_sampler_begin(tdo_sampler *s)
{
    TDO_TRY(tdo_ledger_replay(s->comm, s->o.dir, s->o.context, recall_record, s));
    return tdo_ledger_open(s->comm, s->o.dir, s->o.context, 10, &s->ledger);
}

tdo_err tdo_sampler_round(tdo_sampler *s, int round, const bool *active)
{
    const int64_t draws = plan_round(s, round, active);
    struct tdo_progress progress;
    char what[64], note[64];
    int64_t there = 0;
    if (draws == 0) {
        return TDO_OK;
    }
    TDO_TRY(open_round(s, round, &there));
    snprintf(what, sizeof what, s->o.looks > 1 ? "%s look %d" : "%s", s->o.what, round + 1);
    tdo_progress_start(&progress, what, "samples", draws, there);
    tdo_err err = draw(s, &progress);
    if (err != TDO_OK) {
        tdo_lease_stop(s->lease);
    }
    tdo_err ended = tdo_lease_end(s->lease);
    TDO_TRY(tdo_comm_agree(s->comm, err != TDO_OK ? err : ended));
    const double seconds = tdo_log_now() - progress.started;
    snprintf(note, sizeof note, "%.0f samples/s a rank",
             (double)(draws - there) / seconds / (double)tdo_comm_size(s->comm));
    tdo_progress_end(&progress, draws, note);
    s->drawn += draws - there;
    s->seconds += seconds;
    return TDO_OK;
}

int64_t tdo_sampler_drawn(const tdo_sampler *s, double *per_second)
{
    *per_second = s->seconds > 0 ? (double)s->drawn / s->seconds : 0;
    return s->drawn;
}

double tdo_sampler_ideal(tdo_sampler *s)
{
    uint64_t thousandths = s->busy > 0 ? (uint64_t)(1e3 * (double)s->mine / s->busy) : 0;
    tdo_comm_sum_u64(s->comm, &thousandths, 1);
    return 1e-3 * (double)thousandths;
}

tdo_err tdo_sampler_run(tdo_sampler *s, double *per_second)
{
    TDO_TRY(tdo_sampler_begin(s));
    for (int round = 0; round < s->o.looks; round++) {
        TDO_TRY(tdo_sampler_round(s, round, NULL));
    }
    tdo_sampler_drawn(s, per_second);
    return TDO_OK;
}

/* ---- life ------------------------------------------------------------------------------------- */

tdo_err tdo_sampler_noise(const struct tdo_images *im, const tdo_config *config,
                          const char *key, struct tdo_sampler_options *o, tdo_rounded **table)
{
    o->law = (enum tdo_noise_law)tdo_config_choice(config, key);
    if (!im->u8 && o->law == TDO_NOISE_ROUNDED && !tdo_config_given(config, key)) {
        o->law = TDO_NOISE_REAL;
    }
    if (o->law == TDO_NOISE_ROUNDED) {
        TDO_TRY(tdo_rounded_new(o->sigma, table));
        o->table = *table;
    }
    return TDO_OK;
}

static tdo_err check_looks(const tdo_sampler *s)
{
    for (int i = 0; i < s->o.looks; i++) {
        const bool last = i == s->o.looks - 1;
        if (last ? s->o.look[i].n != s->o.n : s->o.look[i].n % s->o.block != 0) {
            return TDO_FAIL(TDO_ERR_BUG, "look at %lld of %lld draws, in blocks of %lld",
                            (long long)s->o.look[i].n, (long long)s->o.n,
                            (long long)s->o.block);
        }
    }
    return TDO_OK;
}

static tdo_err build(tdo_sampler *s)
{
    TDO_TRY(check_looks(s));
    TDO_TRY(make_plan(s));
    return make_buffers(s);
}

tdo_err tdo_sampler_new(tdo_comm *comm, struct tdo_network *n, const struct tdo_images *im,
                        const struct tdo_sampler_options *o, tdo_sampler **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    tdo_sampler *s = *out;
    s->comm = comm;
    s->net = n;
    s->images = im;
    s->o = *o;
    s->pixels = tdo_images_pixels(im);
    s->o.block = o->block > 0 ? o->block : BLOCK;
    s->whole.n = o->n;
    if (o->looks == 0) {
        s->o.looks = 1;
        s->o.look = &s->whole;
    }
    tdo_err err = build(s);
    if (err != TDO_OK) {
        tdo_sampler_free(out);
    }
    return err;
}

void tdo_sampler_free(tdo_sampler **sampler)
{
    tdo_sampler *s = *sampler;
    if (s) {
        tdo_inference_free(&s->inference);
        tdo_votes_free(&s->votes);
        tdo_votes_free(&s->stored);
        tdo_memory_free(&s->who);
        tdo_lease_free(&s->lease);
        tdo_memory_free(&s->bytes);
        tdo_memory_free(&s->image);
        tdo_memory_free(&s->slot_item);
        tdo_memory_free(&s->message);
        tdo_memory_free(&s->record);
        tdo_memory_free(&s->recorded);
        tdo_ledger_free(&s->ledger);
        tdo_memory_free(sampler);
    }
}

tdo_err tdo_sampler_share(tdo_sampler *s, uint64_t **counts)
{
    const int64_t K = s->net->spec.classes, rows = s->images->count * TDO_VOTES_PURPOSES;
    tdo_votes_merge(s->comm, s->votes);
    TDO_TRY(tdo_comm_agree(s->comm, tdo_memory_new(rows * K, counts)));
    for (int64_t i = 0; i < rows; i++) {
        const int64_t image = i / TDO_VOTES_PURPOSES;
        const enum tdo_votes_purpose purpose = (enum tdo_votes_purpose)(i % TDO_VOTES_PURPOSES);
        memcpy(*counts + i * K, tdo_votes_counts(s->votes, image, purpose),
               (size_t)K * sizeof **counts);
    }
    tdo_comm_broadcast(s->comm, *counts, rows * K * (int64_t)sizeof **counts);
    return TDO_OK;
}

const tdo_votes *tdo_sampler_votes(const tdo_sampler *s)
{
    return s->votes;
}

void tdo_sampler_print(const tdo_sampler *s, FILE *to)
{
    tdo_plan_print(s->inference.plan, to);
}
