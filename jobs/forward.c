/* Clean inference: rows in, logits out. See forward.h; forward_answers.c has the rest. */
#include <math.h>
#include <string.h>

#include "jobs/forward_impl.h"

/* ---- life ------------------------------------------------------------------------------------- */

static tdo_err make_plan(tdo_forward *f, const struct tdo_voting *v)
{
    const struct tdo_noise *noise = v && v->noise.sigma > 0 ? &v->noise : NULL;
    if (v && v->quiet) {
        return tdo_inference_new_quiet(f->net, f->batch, f->u8, noise, &f->inference);
    }
    return tdo_inference_new(f->net, f->batch, f->u8, noise, &f->inference);
}

static tdo_err build(tdo_forward *f, const struct tdo_voting *v)
{
    const int64_t classes = f->net->spec.classes;
    TDO_TRY(make_plan(f, v));
    float *bytes = NULL; /* room for the larger of both types */
    TDO_TRY(tdo_memory_new(f->batch * f->pixels, &bytes));
    f->bytes = bytes;
    TDO_TRY(tdo_memory_new(f->batch, &f->image));
    TDO_TRY(tdo_memory_new(f->batch, &f->row));
    TDO_TRY(tdo_memory_new(f->batch * TDO_VOTE_RULES * classes, &f->score));
    TDO_TRY(tdo_memory_new(f->batch * classes, &f->votes));
    TDO_TRY(tdo_memory_new(f->batch * TDO_VOTE_RULES, &f->right));
    return tdo_memory_new(f->batch, &f->label);
}

tdo_err tdo_forward_new(struct tdo_network *n, bool u8, int64_t batch, tdo_forward **out)
{
    return tdo_forward_new_voting(n, u8, batch, NULL, out);
}

tdo_err tdo_forward_new_voting(struct tdo_network *n, bool u8, int64_t batch,
                               const struct tdo_voting *voting, tdo_forward **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    tdo_forward *f = *out;
    f->net = n;
    f->u8 = u8;
    f->batch = batch;
    f->pixels = n->spec.height * n->spec.width * n->spec.channels;
    f->voting = voting && voting->random ? voting : NULL;
    f->draws = f->voting ? voting->draws : 1;
    tdo_err err = build(f, voting);
    if (err != TDO_OK) {
        tdo_forward_free(out);
    }
    return err;
}

void tdo_forward_free(tdo_forward **forward)
{
    tdo_forward *f = *forward;
    if (f) {
        tdo_inference_free(&f->inference);
        tdo_memory_free(&f->bytes);
        tdo_memory_free(&f->image);
        tdo_memory_free(&f->row);
        tdo_memory_free(&f->label);
        tdo_memory_free(&f->score);
        tdo_memory_free(&f->votes);
        tdo_memory_free(&f->right);
        tdo_memory_free(forward);
    }
}

void tdo_forward_touch(tdo_forward *f)
{
    tdo_plan_touch(f->inference.plan);
}

void tdo_forward_show(tdo_forward *f, struct tdo_progress *progress)
{
    f->progress = progress;
}

/* ---- rows in, logits out ---------------------------------------------------------------------- */

/* The n images that were read into the plan, for one draw of all of them: what a network draws for
 * its weights serves a whole batch. Rows beyond n keep what they held and are not read. */
static void fill(tdo_forward *f, const struct tdo_images *im, int64_t n, int64_t draw)
{
    struct tdo_key *keys = tdo_plan_input(f->inference.plan, f->inference.keys);
    for (int64_t i = 0; keys && i < n; i++) { /* NULL: nothing random in this network */
        keys[i] = (struct tdo_key){.sample = (uint64_t)f->row[i]};
        if (f->voting) {
            keys[i].draw = (uint32_t)draw;
            keys[i].purpose = TDO_PURPOSE_JUDGE;
        }
    }
    tdo_images_widen(im, f->bytes, n * f->pixels,
                     tdo_plan_input(f->inference.plan, f->inference.raw));
}

static tdo_err check_finite(const struct tdo_images *im, const struct tdo_forward_row *r)
{
    for (int k = 0; k < r->classes; k++) {
        if (!isfinite(r->logits[k])) {
            return TDO_FAIL(TDO_ERR_NUMERIC, "%s, image %lld: logit %d is %g, no finite number",
                            im->from, (long long)r->row, k, (double)r->logits[k]);
        }
    }
    return TDO_OK;
}

/* Other ranks are taken to be as far as this one. */
static void show(const tdo_forward *f, struct tdo_range mine, int64_t at)
{
    if (f->progress) {
        const double part = (double)(at - mine.first) / (double)(mine.end - mine.first);
        tdo_progress_show(f->progress, (int64_t)(part * (double)f->progress->total), NULL);
    }
}

/* The bit that says what so many draws of all say; -1 where none does. */
static int bit_of(int64_t draws, int64_t all)
{
    if (draws == all) {
        return TDO_FORWARD_ALL;
    }
    for (int k = 0; k < TDO_FORWARD_ALL; k++) {
        if (draws == (int64_t)1 << k) {
            return k;
        }
    }
    return -1;
}

/* Add what the draw says to the scores [TDO_VOTE_RULES,classes] of every rule, and note which of them
 * are right by now. */
static void add_to_rules(const tdo_forward *f, const struct tdo_forward_row *r, int64_t draw,
                         double *score, uint32_t *right)
{
    const int bit = bit_of(draw + 1, f->draws);
    struct tdo_vote vote = f->voting->vote;
    for (int k = 0; k < TDO_VOTE_RULES; k++) {
        double *of = score + (int64_t)k * r->classes;
        vote.rule = (enum tdo_vote_rule)k;
        tdo_vote_add(&vote, r->logits, r->classes, of);
        if (bit >= 0 && tdo_vote_class(of, r->classes) == r->label) {
            right[k] |= (uint32_t)1 << bit;
        }
    }
}

/* Add a draw to its image; with the last one the image is ready. */
static bool add_draw(tdo_forward *f, int64_t i, int64_t draw, struct tdo_forward_row *r)
{
    const int64_t scores = (int64_t)TDO_VOTE_RULES * r->classes;
    double *score = f->score + i * scores;
    int64_t *votes = f->votes + i * r->classes;
    uint32_t *right = f->right + i * TDO_VOTE_RULES;
    if (draw == 0) {
        memset(score, 0, (size_t)scores * sizeof *score);
        memset(votes, 0, (size_t)r->classes * sizeof *votes);
        memset(right, 0, TDO_VOTE_RULES * sizeof *right);
    }
    add_to_rules(f, r, draw, score, right);
    votes[tdo_inference_class(r->logits, r->classes)]++;
    r->voting = f->voting;
    r->score = score + (int64_t)f->voting->vote.rule * r->classes;
    r->votes = votes;
    r->right = right;
    return draw + 1 == f->draws;
}

/* One draw of the n images in f->image; each is handed on with its last draw. */
static tdo_err run_draw(tdo_forward *f, const struct tdo_images *im, int64_t n, int64_t draw,
                        const struct tdo_forward_visitor *to)
{
    const int classes = f->net->spec.classes;
    fill(f, im, n, draw);
    TDO_TRY(tdo_plan_run(f->inference.plan));
    const float *logits = tdo_plan_output(f->inference.plan, 0);
    for (int64_t i = 0; i < n; i++) {
        struct tdo_forward_row r = {.image = f->image[i],
                                    .row = f->row[i],
                                    .label = f->label[i],
                                    .classes = classes,
                                    .logits = logits + i * classes};
        TDO_TRY(check_finite(im, &r));
        if (!f->voting || add_draw(f, i, draw, &r)) {
            TDO_TRY(to->visit(to->user, &r));
        }
    }
    return to->drawn ? to->drawn(to->user) : TDO_OK;
}

tdo_err tdo_forward_batch(tdo_forward *f, const struct tdo_images *im, int64_t n,
                          const struct tdo_forward_visitor *to)
{
    if (im->u8 != f->u8 || tdo_images_pixels(im) != f->pixels) {
        return TDO_FAIL(TDO_ERR_BUG, "%s: images are not as the plan was made for", im->from);
    }
    for (int64_t i = 0; i < n; i++) {
        f->row[i] = tdo_images_row(im, f->image[i]);
    }
    TDO_TRY(tdo_images_read(im, f->row, n, f->bytes, f->label));
    for (int64_t draw = 0; draw < f->draws; draw++) {
        TDO_TRY(run_draw(f, im, n, draw, to));
    }
    return TDO_OK;
}

tdo_err tdo_forward_rows(tdo_forward *f, const struct tdo_images *im, struct tdo_range mine,
                         tdo_forward_visit visit, void *user)
{
    const struct tdo_forward_visitor to = {.visit = visit, .user = user};
    for (int64_t at = mine.first; at < mine.end; at += f->batch) {
        const int64_t left = mine.end - at, n = left < f->batch ? left : f->batch;
        for (int64_t i = 0; i < n; i++) {
            f->image[i] = at + i;
        }
        TDO_TRY(tdo_forward_batch(f, im, n, &to));
        show(f, mine, at + n);
    }
    return TDO_OK;
}

struct tdo_range tdo_forward_mine(const tdo_comm *comm, const struct tdo_images *im)
{
    enum { BLOCK = 16 };
    const int64_t blocks = (im->count + BLOCK - 1) / BLOCK, size = tdo_comm_size(comm);
    const int64_t rank = tdo_comm_rank(comm), first = blocks * rank / size * BLOCK;
    const int64_t end = blocks * (rank + 1) / size * BLOCK;
    return (struct tdo_range){.first = first < im->count ? first : im->count,
                              .end = end < im->count ? end : im->count};
}

int64_t tdo_forward_fit(const tdo_comm *comm, const struct tdo_images *im, int64_t most)
{
    const int64_t size = tdo_comm_size(comm), each = (im->count + size - 1) / size;
    return most < each ? most : each;
}

/* ---- what logits say ---------------------------------------------------------------------------- */

int tdo_forward_place(const struct tdo_forward_row *r, int class)
{
    int before = 0;
    if (r->score) {
        return tdo_vote_place(r->score, r->classes, class);
    }
    for (int k = 0; k < r->classes; k++) {
        before +=
            r->logits[k] > r->logits[class] || (k < class && r->logits[k] == r->logits[class]);
    }
    return before;
}

int tdo_forward_predict(const struct tdo_forward_row *r)
{
    return r->score ? tdo_vote_class(r->score, r->classes)
                    : tdo_inference_class(r->logits, r->classes);
}

double tdo_forward_loss(const struct tdo_forward_row *r, int class)
{
    if (r->score) {
        const struct tdo_voting *v = r->voting;
        return tdo_vote_loss(&v->vote, r->score, r->classes, v->draws, class);
    }
    const double most = (double)r->logits[tdo_forward_predict(r)];
    double sum = 0;
    for (int k = 0; k < r->classes; k++) {
        sum += exp((double)r->logits[k] - most);
    }
    return log(sum) + most - (double)r->logits[class];
}

double tdo_forward_share(const struct tdo_forward_row *r, int class)
{
    const struct tdo_voting *v = r->voting;
    return r->score ? tdo_vote_share(&v->vote, r->score, r->classes, v->draws, class)
                    : exp(-tdo_forward_loss(r, class));
}
