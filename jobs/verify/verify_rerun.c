/* Are the counts of a file those of the network? Draws some of its blocks again. See verify.h.
 *
 * A vote is a function of image, purpose, draw, seed, weights and arithmetic. With all of these
 * equal, votes and hashes of a block must be equal. With other instructions or another library
 * the last bits of logits differ, and a draw near a tie may vote otherwise: such flips are counted
 * (half the sum of differences of the counts, which is what can be seen of them), and the votes
 * of an image, with the differences of its blocks put in, must lead to the same verdict. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "defenses/certifier.h"
#include "defenses/sequential.h"
#include "jobs/inference.h"
#include "jobs/photos.h"
#include "jobs/verify/verify.h"
#include "nn/base/log.h"
#include "nn/kernels/blas.h"
#include "nn/kernels/onednn.h"

static const double most_flips = 1e-4;

/* A block, by its number, and where its votes stand. */
struct place {
    int64_t block, image, first, draws, entry;
    enum tdo_votes_purpose purpose;
};

enum { VOTES = 1, HASH = 2 }; /* what differs */

struct rerunning {
    struct tdo_verify *v;
    const struct tdo_certificates *c;
    const struct tdo_verify_rerun *o;
    tdo_dataset *data;
    struct tdo_images images;
    struct tdo_network net;
    tdo_rounded *table;
    struct tdo_inference f;
    unsigned char *bytes, *message;
    float *image;
    int64_t batch, pixels, places;
    struct place *place; /* [places] by block */
    uint64_t *votes;     /* [classes] of a block */
    uint64_t *differs;   /* [places] VOTES, HASH */
    uint64_t *change;    /* [images][2][classes] to the votes of an image, mod 2^64 */
    uint64_t sum[3];     /* draws, flips, blocks that differ */
};

/* ---- which blocks ---------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->block > y->block) - (x->block < y->block);
}

/* Walk over all blocks, and note where those that were chosen stand. */
static void locate(struct rerunning *r)
{
    const struct tdo_certificates *c = r->c;
    int64_t b = 0, entry = 0, at = 0;
    for (int64_t i = 0; i < c->images && at < r->places; i++) {
        const int64_t select = tdo_certificates_blocks(c, c->n0);
        const int64_t all = tdo_certificates_image_blocks(c, i);
        for (int64_t k = 0; k < all; k++, b++) {
            const bool counts = k >= select;
            const int64_t first = (counts ? k - select : k) * c->block;
            const int64_t left = (counts ? c->n[i] : c->n0) - first;
            if (at < r->places && r->place[at].block == b) {
                r->place[at++] =
                    (struct place){.block = b,
                                   .image = i,
                                   .first = first,
                                   .draws = left < c->block ? left : c->block,
                                   .entry = entry,
                                   .purpose = counts ? TDO_VOTES_COUNT : TDO_VOTES_SELECT};
            }
            entry += c->block_entries[b];
        }
    }
}

static tdo_err choose(struct rerunning *r)
{
    const int64_t wanted = (int64_t)ceil(r->o->share * (double)r->c->blocks);
    r->places = wanted < r->c->blocks ? wanted : r->c->blocks;
    TDO_TRY(tdo_memory_new(r->places, &r->place));
    TDO_TRY(tdo_memory_new(r->places, &r->differs));
    TDO_TRY(tdo_memory_new(2 * r->c->images * r->c->classes, &r->change));
    for (int64_t i = 0; i < r->places; i++) {
        r->place[i].block =
            (int64_t)tdo_rng_permute(r->o->seed, 0, (uint64_t)r->c->blocks, (uint64_t)i);
    }
    qsort(r->place, (size_t)r->places, sizeof *r->place, by_number);
    locate(r);
    return TDO_OK;
}

/* ---- the same network and data --------------------------------------------------------------- */

static tdo_err check_same(const struct rerunning *r)
{
    const struct tdo_certificates *c = r->c;
    uint64_t hash = 0;
    TDO_TRY(tdo_network_hash(&r->net, &hash));
    if (hash != c->model_hash) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "model.file: the network has the hash %016" PRIx64
                        ", the certificates are of %016" PRIx64,
                        hash, c->model_hash);
    }
    if (r->images.hash != c->data_hash || r->images.rows != c->split_images ||
        r->images.height != c->height || r->images.width != c->width ||
        r->images.channels != c->channels || r->net.spec.classes != c->classes) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "data.file: the images have the hash %016" PRIx64
                        ", the certificates are of %016" PRIx64,
                        r->images.hash, c->data_hash);
    }
    return TDO_OK;
}

static tdo_err check_labels(struct rerunning *r)
{
    for (int64_t i = 0; i < r->c->images; i++) {
        int32_t label = 0;
        TDO_TRY(tdo_images_read(&r->images, &r->c->idx[i], 1, NULL, &label));
        if (label != r->c->label[i]) {
            tdo_verify_defect(r->v, "image %lld: label %d stands there, the data have %d",
                              (long long)r->c->idx[i], (int)r->c->label[i], (int)label);
        }
    }
    return TDO_OK;
}

static enum tdo_split split_of(const char *name)
{
    int s = TDO_SPLIT_TRAIN;
    while (s < TDO_SPLIT_TEST && strcmp(name, tdo_dataset_split_name((enum tdo_split)s)) != 0) {
        s++;
    }
    return (enum tdo_split)s;
}

static tdo_err open_network(struct rerunning *r)
{
    const struct tdo_schedule_options *s = &r->c->schedule.o;
    TDO_TRY(tdo_run_network(r->o->run, r->o->config, tdo_dataset_info(r->data), &r->net));
    if (!tdo_config_given(r->o->config, "model.precision")) {
        r->net.bf16 = strcmp(r->c->precision, "bf16") == 0;
    }
    TDO_TRY(tdo_network_smooth(&r->net, "sigma of the certificates", s->sigma));
    if (r->net.shared) {
        return TDO_FAIL(TDO_ERR_CONFIG, "noise.share = row expected");
    }
    r->images = tdo_images_split(r->data, split_of(r->c->split));
    TDO_TRY(check_same(r));
    return check_labels(r);
}

static tdo_err make_plan(struct rerunning *r)
{
    const struct tdo_schedule_options *s = &r->c->schedule.o;
    const bool rounded = strcmp(r->c->noise, "rounded") == 0;
    if (rounded) {
        TDO_TRY(tdo_rounded_new(s->sigma, &r->table));
    }
    const struct tdo_noise noise = {
        .law = rounded ? TDO_NOISE_ROUNDED : TDO_NOISE_REAL,
        .sigma = s->sigma,
        .stream = {.seed = (uint32_t)r->c->seed, .purpose = TDO_PURPOSE_ESTIMATE},
        .table = r->table};
    r->pixels = tdo_images_pixels(&r->images);
    TDO_TRY(tdo_memory_new(tdo_images_row_bytes(&r->images), &r->bytes));
    TDO_TRY(tdo_memory_new(r->pixels, &r->image));
    TDO_TRY(tdo_memory_new(24 + 4 * r->c->classes, &r->message));
    TDO_TRY(tdo_memory_new(r->c->classes, &r->votes));
    return tdo_inference_new(&r->net, r->batch, r->images.u8, &noise, &r->f);
}

static tdo_err prepare(struct rerunning *r)
{
    TDO_TRY(open_network(r));
    TDO_TRY(make_plan(r));
    return choose(r);
}

/* Equal votes can be asked for. */
static bool same_provenance(const struct rerunning *r)
{
    const struct tdo_certificates *c = r->c;
    return strcmp(c->version, TDO_VERSION) == 0 && strcmp(c->generator, TDO_RNG_VERSION) == 0 &&
           strcmp(c->precision, tdo_network_precision(&r->net)) == 0 &&
           strcmp(c->instruction_set, r->o->run->isa) == 0 &&
           strcmp(c->convolution, tdo_onednn_version()) == 0 &&
           strcmp(c->blas_core, tdo_blas_core()) == 0;
}

/* ---- drawing --------------------------------------------------------------------------------- */

/* One batch of a block: draws [first, first + n). */
static tdo_err run_batch(struct rerunning *r, const struct place *p, int64_t first, int64_t n,
                         uint64_t *hash)
{
    const int K = (int)r->c->classes;
    float *raw = tdo_plan_input(r->f.plan, r->f.raw);
    struct tdo_key *keys = tdo_plan_input(r->f.plan, r->f.keys);
    for (int64_t i = 0; i < n; i++) {
        memcpy(raw + i * r->pixels, r->image, (size_t)r->pixels * sizeof *raw);
        keys[i] =
            (struct tdo_key){.sample = (uint64_t)r->c->idx[p->image],
                             .draw = (uint32_t)(first + i),
                             .purpose = p->purpose == TDO_VOTES_SELECT ? TDO_PURPOSE_SELECT
                                                                       : TDO_PURPOSE_ESTIMATE};
    }
    TDO_TRY(tdo_plan_run(r->f.plan));
    const float *logits = tdo_plan_output(r->f.plan, 0);
    for (int64_t i = 0; i < n; i++) {
        int vote = 0;
        TDO_TRY(tdo_sampler_vote(&keys[i], logits + i * K, K, &vote));
        r->votes[vote]++;
        *hash += tdo_sampler_hash(r->message, &keys[i], logits + i * K, K);
    }
    return TDO_OK;
}

/* New votes against those of the file. */
static void compare(struct rerunning *r, int64_t at, uint64_t hash)
{
    const struct place *p = &r->place[at];
    const struct tdo_certificates *c = r->c;
    uint64_t *change = r->change + (2 * p->image + (int64_t)p->purpose) * c->classes;
    int64_t apart = 0;
    for (int64_t e = p->entry; e < p->entry + c->block_entries[p->block]; e++) {
        if (c->vote_class[e] >= 0 && c->vote_class[e] < c->classes) {
            r->votes[c->vote_class[e]] -= (uint64_t)c->vote_count[e];
        }
    }
    for (int64_t k = 0; k < c->classes; k++) {
        apart += llabs((long long)r->votes[k]);
        change[k] += r->votes[k];
    }
    r->differs[at] = (apart > 0 ? VOTES : 0) | (hash != c->block_hash[p->block] ? HASH : 0);
    r->sum[0] += (uint64_t)p->draws;
    r->sum[1] += (uint64_t)(apart + 1) / 2;
    r->sum[2] += r->differs[at] != 0;
}

static tdo_err run_place(struct rerunning *r, int64_t at)
{
    const struct place *p = &r->place[at];
    const int64_t end = p->first + p->draws;
    uint64_t hash = 0;
    memset(r->votes, 0, (size_t)r->c->classes * sizeof *r->votes);
    TDO_TRY(tdo_images_read(&r->images, &r->c->idx[p->image], 1, r->bytes, NULL));
    tdo_images_widen(&r->images, r->bytes, r->pixels, r->image);
    for (int64_t first = p->first; first < end; first += r->batch) {
        TDO_TRY(run_batch(r, p, first, end - first < r->batch ? end - first : r->batch, &hash));
    }
    compare(r, at, hash);
    return TDO_OK;
}

static tdo_err run_places(struct rerunning *r)
{
    tdo_comm *comm = r->v->comm;
    struct tdo_progress progress;
    tdo_err err = TDO_OK;
    tdo_progress_start(&progress, "verify", "blocks", r->places, 0);
    for (int64_t i = tdo_comm_rank(comm); err == TDO_OK && i < r->places;
         i += tdo_comm_size(comm)) {
        err = run_place(r, i);
        tdo_progress_show(&progress, i, NULL);
    }
    TDO_TRY(tdo_comm_agree(comm, err));
    tdo_comm_sum_u64(comm, r->sum, 3);
    tdo_comm_sum_u64(comm, r->differs, r->places);
    tdo_comm_sum_u64(comm, r->change, 2 * r->c->images * r->c->classes);
    tdo_progress_end(&progress, r->places, NULL);
    return TDO_OK;
}

/* ---- what it says ---------------------------------------------------------------------------- */

static void say_differences(const struct rerunning *r)
{
    for (int64_t i = 0; i < r->places; i++) {
        const struct place *p = &r->place[i];
        if (r->differs[i]) {
            tdo_verify_defect(
                r->v, "image %lld: draws %lld to %lld of %s: drawn again, the %s differ%s",
                (long long)r->c->idx[p->image], (long long)p->first,
                (long long)(p->first + p->draws - 1),
                p->purpose == TDO_VOTES_SELECT ? "class selection" : "estimation",
                r->differs[i] & VOTES ? "votes" : "logits",
                r->differs[i] & VOTES ? "" : ", the votes do not");
        }
    }
}

/* The class that an image is certified as with these votes; -1: none. */
static int outcome(const struct rerunning *r, const tdo_sequential *table, int64_t i,
                   const uint64_t *select, const uint64_t *count)
{
    const struct tdo_certificates *c = r->c;
    const int class = tdo_certifier_class(select, (int)c->classes);
    if (c->look[i] < 0 || c->look[i] >= c->schedule.looks ||
        count[class] > (uint64_t)c->schedule.look[c->look[i]].n) {
        return -1; /* told by the check of the counts */
    }
    const struct tdo_sequential_step step =
        tdo_sequential_look(table, c->look[i], (int64_t)count[class]);
    const bool certified =
        c->schedule.o.targets > 0 ? step.targets > 0 : step.action == TDO_SEQUENTIAL_CERTIFIED;
    return certified ? class : -1;
}

static void say_verdicts(const struct rerunning *r, const tdo_sequential *table,
                         uint64_t *votes)
{
    const int64_t K = r->c->classes;
    for (int64_t i = 0; i < r->c->images; i++) {
        for (int64_t k = 0; k < K; k++) {
            votes[k] = r->c->select[i * K + k] + r->change[2 * i * K + k];
            votes[K + k] = r->c->count[i * K + k] + r->change[(2 * i + 1) * K + k];
        }
        const int before = outcome(r, table, i, r->c->select + i * K, r->c->count + i * K);
        const int now = outcome(r, table, i, votes, votes + K);
        if (before != now) {
            tdo_verify_defect(r->v,
                              "image %lld: with the votes drawn again its certificate "
                              "would be of class %d, not %d (-1: none)",
                              (long long)r->c->idx[i], now, before);
        }
    }
}

static tdo_err check_verdicts(const struct rerunning *r)
{
    tdo_sequential *table = NULL;
    uint64_t *votes = NULL;
    tdo_err err = TDO_OK;
    if (tdo_schedule_check(&r->c->schedule) != TDO_OK) {
        tdo_error_clear(); /* told already */
        return TDO_OK;
    }
    TDO_GOTO(tdo_sequential_new(&r->c->schedule, &table));
    TDO_GOTO(tdo_memory_new(2 * r->c->classes, &votes));
    say_verdicts(r, table, votes);
done:
    tdo_sequential_free(&table);
    tdo_memory_free(&votes);
    return err;
}

static void print_summary(const struct rerunning *r, bool same)
{
    const double rate = r->sum[0] > 0 ? (double)r->sum[1] / (double)r->sum[0] : 0;
    if (tdo_comm_rank(r->v->comm) != 0) {
        return;
    }
    fprintf(r->v->to,
            "drawn again: %lld of %lld blocks (verify.seed = %u), %" PRIu64 " draws; %" PRIu64
            " blocks differ; flips %" PRIu64 ", %.2e of the draws\n",
            (long long)r->places, (long long)r->c->blocks, (unsigned)r->o->seed, r->sum[0],
            r->sum[2], r->sum[1], rate);
    if (!same) {
        fprintf(r->v->to,
                "made by %s, %s, %s, %s, %s; here %s, %s, %s, %s, %s: votes near a tie may "
                "differ\n",
                r->c->version, r->c->precision, r->c->instruction_set, r->c->convolution,
                r->c->blas_core, TDO_VERSION, tdo_network_precision(&r->net), r->o->run->isa,
                tdo_onednn_version(), tdo_blas_core());
    }
}

static tdo_err judge(const struct rerunning *r)
{
    const bool same = same_provenance(r);
    print_summary(r, same);
    if (same) {
        say_differences(r);
    } else if ((double)r->sum[1] > most_flips * (double)r->sum[0]) {
        tdo_verify_defect(r->v, "flips: %.2e of the draws, at most %g expected",
                          (double)r->sum[1] / (double)r->sum[0], most_flips);
    }
    return check_verdicts(r);
}

static void close_all(struct rerunning *r)
{
    tdo_inference_free(&r->f);
    tdo_network_free(&r->net);
    tdo_rounded_free(&r->table);
    tdo_dataset_free(&r->data);
    tdo_memory_free(&r->bytes);
    tdo_memory_free(&r->message);
    tdo_memory_free(&r->image);
    tdo_memory_free(&r->place);
    tdo_memory_free(&r->votes);
    tdo_memory_free(&r->differs);
    tdo_memory_free(&r->change);
}

tdo_err tdo_verify_rerun(struct tdo_verify *v, const struct tdo_certificates *c,
                         const struct tdo_verify_rerun *o)
{
    struct rerunning *r = NULL;
    tdo_err err = tdo_comm_agree(v->comm, tdo_memory_new(1, &r));
    if (err != TDO_OK) {
        return err;
    }
    *r = (struct rerunning){
        .v = v, .c = c, .o = o, .batch = tdo_config_int(o->config, "certify.batch")};
    TDO_GOTO(
        tdo_photos_open(v->comm, o->config, tdo_config_text(o->config, "data.file"), &r->data));
    TDO_GOTO(tdo_comm_agree(v->comm, prepare(r)));
    TDO_GOTO(run_places(r));
    err = tdo_comm_agree(v->comm, judge(r));
done:
    close_all(r);
    tdo_memory_free(&r);
    return err;
}
