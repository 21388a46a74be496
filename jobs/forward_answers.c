/* What a network says of all images, and its score. See forward.h.
 *
 *     asked once      a range of images each rank
 *     asked often     what the ledger holds; the rest in leases of batches -> records of the ledger
 *
 * An answer is made by one rank and is zero on the others; they meet as bit patterns, added up. */
#include <string.h>

#include "jobs/forward_impl.h"
#include "jobs/stop.h"
#include "mpi/lease.h"
#include "mpi/ledger.h"

enum { BLOCK = 16 }; /* images of a partial sum */

/* While images are being asked about. */
struct asking {
    tdo_comm *comm;
    tdo_forward *f;
    const struct tdo_images *images;
    struct tdo_forward_answer *of; /* [images] */
    /* With a ledger: */
    const struct tdo_forward_ledger *where;
    tdo_ledger *ledger;
    tdo_lease *lease;
    uint64_t *there; /* [images]: found in the ledger */
    int64_t *left;   /* [lefts] images that are not */
    int64_t lefts, drawn;
};

/* ---- answers ---------------------------------------------------------------------------------- */

static struct tdo_forward_answer answer_of(const struct tdo_forward_row *r)
{
    const bool labelled = r->label >= 0;
    const int predict = tdo_forward_predict(r);
    struct tdo_forward_answer a = {.label = r->label,
                                   .predict = predict,
                                   .place = labelled ? tdo_forward_place(r, r->label) : -1,
                                   .hits =
                                       labelled && r->votes ? (int32_t)r->votes[r->label] : 0,
                                   .loss = labelled ? tdo_forward_loss(r, r->label) : 0,
                                   .share = tdo_forward_share(r, predict)};
    if (r->right) {
        memcpy(a.right, r->right, sizeof a.right);
    }
    return a;
}

static tdo_err take_row(void *user, const struct tdo_forward_row *r)
{
    struct asking *a = user;
    if (r->label >= r->classes) {
        return TDO_FAIL(TDO_ERR_BUG, "image %lld has label %d, the network %d classes",
                        (long long)r->row, (int)r->label, r->classes);
    }
    a->of[r->image] = answer_of(r);
    if (!a->ledger) {
        return TDO_OK;
    }
    const struct tdo_ledger_record record = {.kind = TDO_LEDGER_ANSWER,
                                             .a = (uint64_t)r->image,
                                             .payload = &a->of[r->image],
                                             .bytes = (int64_t)sizeof *a->of};
    return tdo_ledger_append(a->ledger, &record);
}

/* ---- the ledger ------------------------------------------------------------------------------- */

/* Of an earlier start; called on the root. One with more images may have been behind these. */
static tdo_err recall_record(void *user, const struct tdo_ledger_record *r)
{
    struct asking *a = user;
    if (r->kind != TDO_LEDGER_ANSWER || r->bytes != (int64_t)sizeof *a->of) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s/ledger: a record of image %llu does not fit this run",
                        a->where->dir, (unsigned long long)r->a);
    }
    if (r->a < (uint64_t)a->images->count) {
        memcpy(&a->of[r->a], r->payload, sizeof *a->of);
        a->there[r->a] = 1;
    }
    return TDO_OK;
}

static tdo_err open_ledger(struct asking *a)
{
    const int64_t n = a->images->count;
    TDO_TRY(tdo_ledger_replay(a->comm, a->where->dir, a->where->context, recall_record, a));
    tdo_comm_broadcast(a->comm, a->there, n * (int64_t)sizeof *a->there);
    for (int64_t i = 0; i < n; i++) {
        if (!a->there[i]) {
            a->left[a->lefts++] = i;
        }
    }
    if (a->lefts < n) {
        tdo_log_root(TDO_LOG_INFO, "resume: answers about %lld images are there already",
                     (long long)(n - a->lefts));
    }
    return tdo_ledger_open(a->comm, a->where->dir, a->where->context, 10, &a->ledger);
}

/* ---- leases ----------------------------------------------------------------------------------- */

/* Between draws: others may be waiting for work, or somebody for the end. */
static tdo_err drawn(void *user)
{
    struct asking *a = user;
    TDO_TRY(tdo_stop_check());
    a->drawn++;
    if (a->f->progress) {
        const int64_t batch = a->f->batch;
        const int64_t asked = tdo_lease_done(a->lease) * a->f->draws + a->drawn;
        const int64_t done = asked * batch / a->f->draws;
        const int64_t there = a->images->count - a->lefts;
        tdo_progress_show(a->f->progress, there + (done < a->lefts ? done : a->lefts), NULL);
    }
    return tdo_lease_poll(a->lease);
}

static tdo_err run_lease(struct asking *a, struct tdo_range items)
{
    const struct tdo_forward_visitor to = {.visit = take_row, .drawn = drawn, .user = a};
    const int64_t batch = a->f->batch;
    a->drawn = 0;
    for (int64_t i = items.first; i < items.end; i++) {
        const int64_t rest = a->lefts - i * batch, n = rest < batch ? rest : batch;
        memcpy(a->f->image, a->left + i * batch, (size_t)n * sizeof *a->left);
        TDO_TRY(tdo_forward_batch(a->f, a->images, n, &to));
    }
    return TDO_OK;
}

static tdo_err run_leases(struct asking *a)
{
    for (;;) {
        int64_t first = 0, count = 0;
        TDO_TRY(tdo_lease_next(a->lease, &first, &count));
        if (count == 0) {
            return tdo_ledger_sync(a->ledger);
        }
        TDO_TRY(run_lease(a, (struct tdo_range){first, first + count}));
    }
}

static tdo_err ask_with_ledger(struct asking *a)
{
    const int64_t n = a->images->count;
    tdo_err err = tdo_memory_new(n, &a->there);
    if (err == TDO_OK) {
        err = tdo_memory_new(n, &a->left);
    }
    TDO_TRY(tdo_comm_agree(a->comm, err));
    TDO_TRY(open_ledger(a));
    if (a->lefts == 0) {
        return TDO_OK;
    }
    err = tdo_lease_new(a->comm, (a->lefts + a->f->batch - 1) / a->f->batch, 1.0, &a->lease);
    TDO_TRY(tdo_comm_agree(a->comm, err));
    err = run_leases(a);
    if (err != TDO_OK) {
        tdo_lease_stop(a->lease);
    }
    tdo_err ended = tdo_lease_end(a->lease);
    return tdo_comm_agree(a->comm, err != TDO_OK ? err : ended);
}

/* ---- all of them ------------------------------------------------------------------------------ */

static tdo_err ask(struct asking *a)
{
    if (a->where && a->f->voting) {
        return ask_with_ledger(a);
    }
    const struct tdo_range mine = tdo_forward_mine(a->comm, a->images);
    return tdo_comm_agree_first(a->comm, tdo_forward_rows(a->f, a->images, mine, take_row, a));
}

tdo_err tdo_forward_ask(tdo_comm *comm, tdo_forward *f, const struct tdo_images *im,
                        const struct tdo_forward_ledger *where, struct tdo_forward_answer **out)
{
    _Static_assert(sizeof **out % sizeof(uint64_t) == 0, "answers are words");
    struct asking a = {.comm = comm, .f = f, .images = im, .where = where};
    tdo_err err = TDO_OK;
    *out = NULL;
    TDO_GOTO(tdo_comm_agree(comm, tdo_memory_new(im->count, &a.of)));
    TDO_GOTO(ask(&a));
    tdo_comm_sum_u64(comm, (uint64_t *)(void *)a.of,
                     im->count * (int64_t)(sizeof *a.of / sizeof(uint64_t)));
    *out = a.of;
    a.of = NULL;
done:
    tdo_memory_free(&a.of);
    tdo_memory_free(&a.there);
    tdo_memory_free(&a.left);
    tdo_lease_free(&a.lease);
    tdo_ledger_free(&a.ledger);
    return err;
}

/* ---- the score -------------------------------------------------------------------------------- */

static void add_answer(const struct tdo_forward_answer *a, struct tdo_score *s)
{
    struct tdo_score_class *class = &s->of[a->label];
    class->rows++;
    class->correct += a->place == 0;
    class->top5 += a->place < 5;
    s->hits += a->hits;
    for (int rule = 0; rule < TDO_VOTE_RULES; rule++) {
        for (int k = 0; k <= TDO_FORWARD_ALL; k++) {
            s->right[rule][k] += a->right[rule] >> k & 1;
        }
    }
}

/* The mean of the losses: blocks of 16 images, each in order, then the blocks in order. */
static double mean_loss(const struct tdo_forward_answer *a, int64_t n)
{
    double sum = 0;
    for (int64_t first = 0; first < n; first += BLOCK) {
        double block = 0;
        for (int64_t i = first; i < n && i < first + BLOCK; i++) {
            block += a[i].loss;
        }
        sum += block;
    }
    return sum / (double)n;
}

static tdo_err check_labels(const struct tdo_images *im, const struct tdo_forward_answer *a)
{
    for (int64_t i = 0; i < im->count; i++) {
        if (a[i].label < 0) {
            return TDO_FAIL(TDO_ERR_BUG, "%s, image %lld: no label to score by", im->from,
                            (long long)tdo_images_row(im, i));
        }
    }
    return TDO_OK;
}

static tdo_err score_new(const tdo_forward *f, const struct tdo_images *im,
                         const struct tdo_forward_answer *a, struct tdo_score **out)
{
    const int classes = f->net->spec.classes;
    TDO_TRY(check_labels(im, a));
    TDO_TRY(tdo_memory_new(1, out));
    struct tdo_score *s = *out;
    tdo_err err = tdo_memory_new(classes, &s->of);
    if (err != TDO_OK) {
        tdo_memory_free(out);
        return err;
    }
    s->classes = classes;
    s->draws = f->voting ? (int)f->draws : 0;
    for (int64_t i = 0; i < im->count; i++) {
        add_answer(&a[i], s);
    }
    for (int k = 0; k < classes; k++) {
        s->rows += s->of[k].rows;
        s->correct += s->of[k].correct;
        s->top5 += s->of[k].top5;
    }
    s->loss = mean_loss(a, im->count);
    return TDO_OK;
}

tdo_err tdo_forward_score(tdo_comm *comm, tdo_forward *f, const struct tdo_images *im,
                          const struct tdo_forward_ledger *where, struct tdo_score **out)
{
    struct tdo_forward_answer *answer = NULL;
    *out = NULL;
    TDO_TRY(tdo_forward_ask(comm, f, im, where, &answer));
    tdo_err err = tdo_comm_agree(comm, score_new(f, im, answer, out));
    if (err != TDO_OK) {
        tdo_score_free(out);
    }
    tdo_memory_free(&answer);
    return err;
}

void tdo_score_free(struct tdo_score **score)
{
    if (*score) {
        tdo_memory_free(&(*score)->of);
        tdo_memory_free(score);
    }
}
