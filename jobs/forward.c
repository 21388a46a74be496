/* Clean inference and its score. See forward.h. */
#include "jobs/forward.h"

#include <math.h>
#include <string.h>

#include "jobs/inference.h"

enum { BLOCK = 16 }; /* images of a partial sum */

struct tdo_forward {
    struct tdo_network *net;
    bool u8;
    int64_t batch, pixels;
    struct tdo_inference inference;
    void *bytes;    /* [batch] rows as read */
    int64_t *row;   /* [batch] */
    int32_t *label; /* [batch] */
    struct tdo_progress *progress;
    const struct tdo_voting *voting; /* NULL: asked once */
    int64_t draws;                   /* of an image */
    double *score;                   /* [batch,classes] so far */
    int64_t *votes;                  /* [batch,classes] */
};

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
    TDO_TRY(tdo_memory_new(f->batch, &f->row));
    TDO_TRY(tdo_memory_new(f->batch * classes, &f->score));
    TDO_TRY(tdo_memory_new(f->batch * classes, &f->votes));
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
        tdo_memory_free(&f->row);
        tdo_memory_free(&f->label);
        tdo_memory_free(&f->score);
        tdo_memory_free(&f->votes);
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

/* n images from `first` on. */
static tdo_err read_images(tdo_forward *f, const struct tdo_images *im, int64_t first,
                           int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        f->row[i] = tdo_images_row(im, first + i);
    }
    return tdo_images_read(im, f->row, n, f->bytes, f->label);
}

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
static void show(const tdo_forward *f, struct tdo_range mine, double at)
{
    if (f->progress) {
        const double part = (at - (double)mine.first) / (double)(mine.end - mine.first);
        tdo_progress_show(f->progress, (int64_t)(part * (double)f->progress->total), NULL);
    }
}

struct visitor {
    tdo_forward_visit visit;
    void *user;
};

/* Add a draw to its image; with the last one the image is ready. */
static bool add_draw(tdo_forward *f, int64_t i, int64_t draw, struct tdo_forward_row *r)
{
    double *score = f->score + i * r->classes;
    int64_t *votes = f->votes + i * r->classes;
    if (draw == 0) {
        memset(score, 0, (size_t)r->classes * sizeof *score);
        memset(votes, 0, (size_t)r->classes * sizeof *votes);
    }
    tdo_vote_add(&f->voting->vote, r->logits, r->classes, score);
    votes[tdo_inference_class(r->logits, r->classes)]++;
    r->voting = f->voting;
    r->score = score;
    r->votes = votes;
    return draw + 1 == f->draws;
}

/* One draw of n images from `first` on; each is handed on with its last draw. */
static tdo_err run_draw(tdo_forward *f, const struct tdo_images *im, struct tdo_range images,
                        int64_t draw, const struct visitor *to)
{
    const int classes = f->net->spec.classes;
    fill(f, im, images.end - images.first, draw);
    TDO_TRY(tdo_plan_run(f->inference.plan));
    const float *logits = tdo_plan_output(f->inference.plan, 0);
    for (int64_t i = 0; i < images.end - images.first; i++) {
        struct tdo_forward_row r = {.image = images.first + i,
                                    .row = f->row[i],
                                    .label = f->label[i],
                                    .classes = classes,
                                    .logits = logits + i * classes};
        TDO_TRY(check_finite(im, &r));
        if (!f->voting || add_draw(f, i, draw, &r)) {
            TDO_TRY(to->visit(to->user, &r));
        }
    }
    return TDO_OK;
}

tdo_err tdo_forward_rows(tdo_forward *f, const struct tdo_images *im, struct tdo_range mine,
                         tdo_forward_visit visit, void *user)
{
    const struct visitor to = {visit, user};
    if (im->u8 != f->u8 || tdo_images_pixels(im) != f->pixels) {
        return TDO_FAIL(TDO_ERR_BUG, "%s: images are not as the plan was made for", im->from);
    }
    for (int64_t at = mine.first; at < mine.end; at += f->batch) {
        const int64_t left = mine.end - at, n = left < f->batch ? left : f->batch;
        TDO_TRY(read_images(f, im, at, n));
        for (int64_t draw = 0; draw < f->draws; draw++) {
            TDO_TRY(run_draw(f, im, (struct tdo_range){at, at + n}, draw, &to));
            show(f, mine, (double)at + (double)(n * (draw + 1)) / (double)f->draws);
        }
    }
    return TDO_OK;
}

static int64_t blocks_of(const struct tdo_images *im)
{
    return (im->count + BLOCK - 1) / BLOCK;
}

struct tdo_range tdo_forward_mine(const tdo_comm *comm, const struct tdo_images *im)
{
    const int64_t blocks = blocks_of(im), size = tdo_comm_size(comm);
    const int64_t rank = tdo_comm_rank(comm), first = blocks * rank / size * BLOCK;
    const int64_t end = blocks * (rank + 1) / size * BLOCK;
    return (struct tdo_range){.first = first < im->count ? first : im->count,
                              .end = end < im->count ? end : im->count};
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

/* ---- the score ------------------------------------------------------------------------------------ */

/* While it is being made. What ranks add up is one array of words. */
struct scoring {
    int classes;
    uint64_t
        *sum; /* [classes][3] rows, correct, top5; correct draws; then the bits of `blocks` */
    double *blocks; /* [blocks] sums of losses */
};

enum { ROWS, CORRECT, TOP5, COUNTS };

static tdo_err score_row(void *user, const struct tdo_forward_row *r)
{
    struct scoring *s = user;
    if (r->label < 0 || r->label >= s->classes) {
        return TDO_FAIL(TDO_ERR_BUG, "image %lld has label %d, the network %d classes",
                        (long long)r->row, (int)r->label, s->classes);
    }
    const int place = tdo_forward_place(r, r->label);
    uint64_t *count = s->sum + (int64_t)r->label * COUNTS;
    count[ROWS]++;
    count[CORRECT] += place == 0;
    count[TOP5] += place < 5;
    s->sum[(int64_t)s->classes * COUNTS] += r->votes ? (uint64_t)r->votes[r->label] : 0;
    s->blocks[r->image / BLOCK] += tdo_forward_loss(r, r->label);
    return TDO_OK;
}

static tdo_err score_new(const struct scoring *s, int64_t blocks, struct tdo_score **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    struct tdo_score *score = *out;
    tdo_err err = tdo_memory_new(s->classes, &score->of);
    if (err != TDO_OK) {
        tdo_memory_free(out);
        return err;
    }
    score->classes = s->classes;
    score->hits = (int64_t)s->sum[(int64_t)s->classes * COUNTS];
    for (int k = 0; k < s->classes; k++) {
        const uint64_t *count = s->sum + (int64_t)k * COUNTS;
        score->of[k] = (struct tdo_score_class){.rows = (int64_t)count[ROWS],
                                                .correct = (int64_t)count[CORRECT],
                                                .top5 = (int64_t)count[TOP5]};
        score->rows += score->of[k].rows;
        score->correct += score->of[k].correct;
        score->top5 += score->of[k].top5;
    }
    for (int64_t i = 0; i < blocks; i++) {
        score->loss += s->blocks[i];
    }
    score->loss /= (double)score->rows;
    return TDO_OK;
}

tdo_err tdo_forward_score(tdo_comm *comm, tdo_forward *f, const struct tdo_images *im,
                          struct tdo_score **out)
{
    _Static_assert(sizeof(double) == sizeof(uint64_t), "the bits of a loss are a word");
    struct scoring s = {.classes = f->net->spec.classes};
    const int64_t counts = (int64_t)s.classes * COUNTS + 1, blocks = blocks_of(im);
    uint64_t *bits = NULL;
    *out = NULL;
    tdo_err err = tdo_memory_new(counts + blocks, &s.sum);
    if (err == TDO_OK) {
        err = tdo_memory_new(blocks, &s.blocks);
    }
    if (err == TDO_OK) {
        err = tdo_forward_rows(f, im, tdo_forward_mine(comm, im), score_row, &s);
    }
    TDO_GOTO(tdo_comm_agree_first(comm, err));
    /* A block is another rank's zero, so adding bit patterns hands each on as it is. */
    bits = s.sum + counts;
    memcpy(bits, s.blocks, (size_t)blocks * sizeof *bits);
    tdo_comm_sum_u64(comm, s.sum, counts + blocks);
    memcpy(s.blocks, bits, (size_t)blocks * sizeof *bits);
    err = tdo_comm_agree(comm, score_new(&s, blocks, out));
    if (err != TDO_OK) {
        tdo_score_free(out);
    } else {
        (*out)->draws = f->voting ? (int)f->draws : 0;
    }
done:
    tdo_memory_free(&s.sum);
    tdo_memory_free(&s.blocks);
    return err;
}

void tdo_score_free(struct tdo_score **score)
{
    if (*score) {
        tdo_memory_free(&(*score)->of);
        tdo_memory_free(score);
    }
}
