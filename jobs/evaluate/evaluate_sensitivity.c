/* How fast the loss changes around clean images: sensitivity.tsv.
 *
 * Of each image the L2 norm, with respect to its pixels, of two gradients: that of the loss (cross
 * entropy with the true label), as the paper has it; and that of the softmax output of the
 * predicted class, p dlog p, as its published code of August 2017 has it. A network with
 * randomness inside takes one draw, that of evaluate.tsv.
 * Source: Zantedeschi et al. 2017, section 4. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/attack/ensemble.h"
#include "jobs/evaluate/distance.h"
#include "jobs/evaluate/evaluate.h"
#include "jobs/page.h"

/* Of one image. */
struct slope {
    double loss, softmax;
    int64_t label, predict;
};

/* A batch, and what is asked about it. */
struct asking {
    tdo_target *target;
    struct tdo_ensemble ensemble;
    struct tdo_samples s;
    unsigned char *raw;
    int64_t *row;
    int32_t *label, *best;
    uint64_t *id;
    float *x;
    double *top; /* softmax output of the predicted class */
};

/* ---- life ----------------------------------------------------------------------------------------- */

static tdo_err make_room(const struct tdo_images *im, int64_t batch, struct asking *a)
{
    struct tdo_samples *s = &a->s;
    const int64_t size = tdo_images_pixels(im);
    TDO_TRY(tdo_memory_new(batch * tdo_images_row_bytes(im), &a->raw));
    TDO_TRY(tdo_memory_new(batch, &a->row));
    TDO_TRY(tdo_memory_new(batch, &a->label));
    TDO_TRY(tdo_memory_new(batch, &a->best));
    TDO_TRY(tdo_memory_new(batch, &a->id));
    TDO_TRY(tdo_memory_new(batch, &a->top));
    TDO_TRY(tdo_memory_new(batch * size, &a->x));
    TDO_TRY(tdo_memory_new(batch, &s->aim));
    TDO_TRY(tdo_memory_new(batch, &s->target));
    TDO_TRY(tdo_memory_new(batch, &s->done));
    TDO_TRY(tdo_memory_new(batch, &s->queries));
    TDO_TRY(tdo_memory_new(batch, &s->gradients));
    s->x = a->x;
    s->found = a->x;
    s->label = a->label;
    s->id = a->id;
    return TDO_OK;
}

static tdo_err open_target(struct tdo_evaluating *e, struct asking *a)
{
    const int64_t batch = tdo_config_int(e->job->config, "evaluate.batch");
    const struct tdo_front front = {.noise = !e->voting.quiet,
                                    .seed =
                                        (uint32_t)tdo_config_int(e->job->config, "run.seed")};
    const struct tdo_target_options o = {
        .batch = batch, .draws = 1, .redraw = TDO_REDRAW_ATTACK, .units = TDO_UNITS_PIXEL};
    if (e->net.bf16) {
        return TDO_FAIL(TDO_ERR_CONFIG, "evaluate.sensitivity takes gradients, which are "
                                        "computed with model.precision = f32 only");
    }
    a->ensemble = tdo_ensemble_one(&e->net, &front);
    const struct tdo_target_network n = tdo_ensemble_target(&a->ensemble);
    TDO_TRY(tdo_target_new(&n, &o, &a->target));
    return make_room(&e->images, batch, a);
}

static void close_target(struct asking *a)
{
    tdo_target_free(&a->target);
    tdo_memory_free(&a->raw);
    tdo_memory_free(&a->row);
    tdo_memory_free(&a->label);
    tdo_memory_free(&a->best);
    tdo_memory_free(&a->id);
    tdo_memory_free(&a->top);
    tdo_memory_free(&a->x);
    tdo_memory_free(&a->s.aim);
    tdo_memory_free(&a->s.target);
    tdo_memory_free(&a->s.done);
    tdo_memory_free(&a->s.queries);
    tdo_memory_free(&a->s.gradients);
}

/* ---- two gradients -------------------------------------------------------------------------------- */

static double softmax_of(const float *logits, int classes, int class)
{
    double sum = 0;
    for (int k = 0; k < classes; k++) {
        sum += exp((double)logits[k] - (double)logits[class]);
    }
    return 1 / sum;
}

/* The gradient of the cross entropy with s.aim, in the noise of the first question. */
static tdo_err ask(struct asking *a, const int32_t *aim, struct tdo_answer *answer)
{
    const struct tdo_objective loss = {.kind = TDO_LOSS_CE};
    memcpy(a->s.aim, aim, (size_t)a->s.count * sizeof *aim);
    a->s.question = 0;
    return tdo_target_gradient(a->target, &loss, &a->s, a->x, NULL, answer);
}

static tdo_err read_batch(const struct tdo_images *im, int64_t first, int64_t n,
                          struct asking *a)
{
    for (int64_t i = 0; i < n; i++) {
        a->row[i] = tdo_images_row(im, first + i);
        a->id[i] = (uint64_t)a->row[i];
        a->s.target[i] = -1;
        a->s.done[i] = false;
    }
    a->s.count = n;
    TDO_TRY(tdo_images_read(im, a->row, n, NULL, a->label));
    return tdo_distance_pixels(im, a->row, n, a->raw, a->x);
}

static tdo_err measure_batch(struct asking *a, struct slope *out)
{
    struct tdo_answer answer;
    const int64_t size = tdo_target_size(a->target), n = a->s.count;
    const int K = tdo_target_classes(a->target);
    TDO_TRY(ask(a, a->label, &answer));
    for (int64_t i = 0; i < n; i++) {
        const float *logits = answer.logits + i * K;
        a->best[i] = tdo_target_argmax(logits, K, -1);
        a->top[i] = softmax_of(logits, K, a->best[i]);
        out[i] =
            (struct slope){.label = a->label[i],
                           .predict = a->best[i],
                           .loss = sqrt(tdo_distance_square(answer.gradient + i * size, size))};
    }
    TDO_TRY(ask(a, a->best, &answer));
    for (int64_t i = 0; i < n; i++) {
        const float *gradient = answer.gradient + i * size;
        out[i].softmax = a->top[i] * sqrt(tdo_distance_square(gradient, size));
    }
    return TDO_OK;
}

static tdo_err measure(struct tdo_evaluating *e, struct asking *a, struct slope *out,
                       struct tdo_progress *progress)
{
    const struct tdo_images *im = &e->images;
    const int64_t rank = tdo_comm_rank(e->run.comm), size = tdo_comm_size(e->run.comm);
    const int64_t begin = im->count * rank / size, end = im->count * (rank + 1) / size;
    const int64_t batch = tdo_target_batch(a->target);
    for (int64_t at = begin; at < end; at += batch) {
        const int64_t n = end - at < batch ? end - at : batch;
        TDO_TRY(read_batch(im, at, n, a));
        TDO_TRY(measure_batch(a, out + at));
        tdo_progress_show(progress, (at + n - begin) * size, NULL);
    }
    return TDO_OK;
}

/* ---- results -------------------------------------------------------------------------------------- */

/* Each image was measured by one rank; the others hold zeros. */
static void gather(tdo_comm *comm, struct slope *of, int64_t n)
{
    _Static_assert(sizeof(struct slope) == 4 * sizeof(uint64_t), "four words");
    tdo_comm_sum_u64(comm, (uint64_t *)(void *)of, 4 * n);
}

static tdo_err write_results(const struct tdo_evaluating *e, const struct slope *of)
{
    const int64_t n = e->images.count;
    struct tdo_page page;
    double loss = 0, softmax = 0;
    TDO_TRY(tdo_page_open(&page));
    fprintf(page.to, "idx\tlabel\tpredict\tloss\tsoftmax\n");
    for (int64_t i = 0; i < n; i++) {
        loss += of[i].loss / (double)n;
        softmax += of[i].softmax / (double)n;
        fprintf(page.to, "%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%.9g\t%.9g\n",
                tdo_images_row(&e->images, i), of[i].label, of[i].predict, of[i].loss,
                of[i].softmax);
    }
    fprintf(page.to, "mean\t-\t-\t%.9g\t%.9g\n", loss, softmax);
    TDO_TRY(tdo_page_save(&page, &e->run, "sensitivity.tsv", TDO_OK));
    printf("\nsensitivity, mean norm of a gradient with respect to the pixels\n"
           "  of the loss                           %10.6g\n"
           "  of the predicted class's probability  %10.6g\n",
           loss, softmax);
    return TDO_OK;
}

tdo_err tdo_evaluate_sensitivity(struct tdo_evaluating *e)
{
    tdo_comm *comm = e->run.comm;
    struct asking *a = NULL;
    struct slope *of = NULL;
    struct tdo_progress progress;
    tdo_err err = tdo_memory_new(1, &a);
    err = err == TDO_OK ? tdo_memory_new(e->images.count, &of) : err;
    err = err == TDO_OK ? open_target(e, a) : err;
    TDO_GOTO(tdo_comm_agree(comm, err));
    tdo_progress_start(&progress, "sensitivity", "images", e->images.count, 0);
    TDO_GOTO(tdo_comm_agree(comm, measure(e, a, of, &progress)));
    tdo_progress_end(&progress, e->images.count, NULL);
    gather(comm, of, e->images.count);
    err = tdo_comm_agree(comm, tdo_comm_rank(comm) == 0 ? write_results(e, of) : TDO_OK);
done:
    if (a) {
        close_target(a);
    }
    tdo_memory_free(&a);
    tdo_memory_free(&of);
    return err;
}
