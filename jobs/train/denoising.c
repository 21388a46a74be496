/* Validation of a denoiser. See denoising.h.
 *
 * Rows are cut into blocks of 16, neighbouring blocks for each rank; the sum over a block is made in
 * order by one rank and is zero on the others, and blocks are added up in order. */
#include "jobs/train/denoising.h"

#include <math.h>
#include <string.h>

#include "jobs/inference.h"
#include "nn/base/memory.h"
#include "nn/graph/plan.h"

enum { BATCH = 32, BLOCK = 16 };

/* Of a block, as bit patterns that ranks add up. */
struct sum {
    double loss;
    int64_t correct;
};

struct tdo_denoising {
    struct tdo_network *net, *guide;
    tdo_stack *stack;
    bool u8;
    int64_t pixels;
    tdo_graph *g;
    tdo_plan *plan;
    tdo_node raw, partner, labels, keys;
    tdo_node denoised; /* pixels */
    bool judged;
    float *x; /* [BATCH,2,H,W,C] */
    int32_t y[BATCH];
    int64_t id[BATCH];
};

/* ---- the graph ------------------------------------------------------------------------------ */

/* A pass in the mode of use; the guide's parameters are numbered behind those of the denoiser. */
static tdo_node pass(tdo_denoising *d, struct tdo_network *n, tdo_node pixels, const char *tap,
                     tdo_node *there)
{
    struct tdo_build *b = NULL;
    if (tdo_memory_new(1, &b) != TDO_OK) {
        return tdo_graph_fail(d->g, TDO_ERR_MEMORY, "%s", tdo_error_last()->message);
    }
    *b = tdo_network_build_context(n, d->g, TDO_NORM_RUNNING);
    b->keys = d->keys;
    b->first_param = n == d->net ? 0 : tdo_params_entries(d->net->params);
    tdo_node y =
        n == d->net ? tdo_network_image(n, b, pixels) : tdo_network_logits(n, b, pixels);
    if (tap) {
        *there = tdo_network_tapped(n, b, tap);
    }
    tdo_memory_free(&b);
    return y;
}

static tdo_node forward(void *self, tdo_node pixels)
{
    tdo_denoising *d = self;
    d->denoised = pass(d, d->net, pixels, NULL, NULL);
    return d->denoised;
}

static tdo_node teacher(void *self, tdo_node pixels, const char *tap, tdo_node *there)
{
    tdo_denoising *d = self;
    return pass(d, d->guide, pixels, tap, there);
}

static const float *parameter(const void *context, int64_t index)
{
    const tdo_denoising *d = context;
    const int64_t own = tdo_params_entries(d->net->params);
    return index < own ? tdo_params_values(d->net->params, index)
                       : tdo_params_values(d->guide->params, index - own);
}

static tdo_err make_plan(tdo_denoising *d)
{
    const struct tdo_model_spec *s = &d->net->spec;
    const tdo_shape images = TDO_SHAPE(BATCH, s->height, s->width, s->channels);
    TDO_TRY(tdo_graph_new(&d->g));
    d->raw = tdo_op_input(d->g, "raw", images);
    d->partner = tdo_op_input(d->g, "partner", images);
    d->labels = tdo_op_input(d->g, "labels", TDO_SHAPE(BATCH));
    d->keys = tdo_op_key(d->g, "keys", BATCH);
    struct tdo_defense_step step = {.g = d->g,
                                    .pixels = tdo_noise_pixels(d->g, d->raw, d->u8),
                                    .partner = tdo_noise_pixels(d->g, d->partner, d->u8),
                                    .adversarial = TDO_NONE,
                                    .labels = d->labels,
                                    .forward = forward,
                                    .teacher = d->guide ? teacher : NULL,
                                    .self = d,
                                    .clean_logits = TDO_NONE,
                                    .adversarial_logits = TDO_NONE};
    const int classes = d->guide ? d->guide->spec.classes : 1;
    tdo_node out[2] = {tdo_defense_loss(&d->net->defenses, &step, classes), step.clean_logits};
    if (d->guide && out[1] == TDO_NONE) {
        out[1] = teacher(d, d->denoised, NULL, NULL);
    }
    d->judged = out[1] != TDO_NONE;
    const struct tdo_plan_options options = {.fast = true, .param = parameter, .context = d};
    return tdo_plan_new(d->g, d->judged ? 2 : 1, out, &options, &d->plan);
}

/* ---- life ----------------------------------------------------------------------------------- */

tdo_err tdo_denoising_open(tdo_comm *comm, const tdo_dataset *data, struct tdo_network *n,
                           struct tdo_network *guide, const struct tdo_holdout *h,
                           tdo_denoising **out)
{
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_comm_agree(comm, tdo_memory_new(1, out)));
    tdo_denoising *d = *out;
    d->net = n;
    d->guide = guide;
    d->u8 = tdo_dataset_info(data)->is_u8;
    d->pixels = tdo_dataset_pixels(data);
    TDO_GOTO(tdo_stack_open_held(comm, data, &n->defenses, h, &d->stack));
    err = tdo_memory_new(INT64_C(2) * BATCH * d->pixels, &d->x);
    if (err == TDO_OK) {
        err = make_plan(d);
    }
    err = tdo_comm_agree(comm, err);
done:
    if (err != TDO_OK) {
        tdo_denoising_free(out);
    }
    return err;
}

void tdo_denoising_free(tdo_denoising **denoising)
{
    tdo_denoising *d = *denoising;
    if (d) {
        tdo_plan_free(&d->plan);
        tdo_graph_free(&d->g);
        tdo_stack_free(&d->stack);
        tdo_memory_free(&d->x);
        tdo_memory_free(denoising);
    }
}

/* ---- scoring -------------------------------------------------------------------------------- */

static void fill(tdo_denoising *d, int64_t n)
{
    const size_t bytes = (size_t)d->pixels * sizeof(float);
    float *raw = tdo_plan_input(d->plan, d->raw), *labels = tdo_plan_input(d->plan, d->labels);
    float *partner = tdo_plan_input(d->plan, d->partner);
    struct tdo_key *keys = tdo_plan_input(d->plan, d->keys);
    for (int64_t i = 0; i < n; i++) {
        memcpy(raw + i * d->pixels, d->x + 2 * i * d->pixels, bytes);
        if (partner) { /* NULL, as below: nobody looks at it */
            memcpy(partner + i * d->pixels, d->x + (2 * i + 1) * d->pixels, bytes);
        }
        if (labels) {
            labels[i] = (float)d->y[i];
        }
        if (keys) {
            keys[i] = (struct tdo_key){.sample = (uint64_t)d->id[i]};
        }
    }
}

/* The n rows from position `at` on, which begins a block, into the sums of their blocks. */
static tdo_err add_rows(tdo_denoising *d, int64_t at, int64_t n, struct sum *sums)
{
    const struct tdo_prefetch_source from = tdo_stack_source(d->stack);
    for (int64_t i = 0; i < n; i++) {
        d->id[i] = tdo_stack_id(d->stack, at + i);
    }
    TDO_TRY(from.read(from.self, 0, d->id, n, d->x, d->y));
    fill(d, n);
    TDO_TRY(tdo_plan_run(d->plan));
    const float *loss = tdo_plan_output(d->plan, 0);
    const float *logits = d->judged ? tdo_plan_output(d->plan, 1) : NULL;
    for (int64_t i = 0; i < n; i++) {
        struct sum *s = &sums[(at + i) / BLOCK];
        if (!isfinite(loss[i])) {
            return TDO_FAIL(TDO_ERR_NUMERIC, "%s, held-out row %lld: the loss is %g", from.name,
                            (long long)d->id[i], (double)loss[i]);
        }
        s->loss += (double)loss[i];
        if (logits) {
            const int K = d->guide->spec.classes;
            s->correct += tdo_inference_class(logits + i * K, K) == d->y[i];
        }
    }
    return TDO_OK;
}

static tdo_err add_mine(const tdo_comm *comm, tdo_denoising *d, int64_t blocks,
                        struct sum *sums)
{
    const int64_t rows = tdo_stack_rows(d->stack), size = tdo_comm_size(comm);
    const int64_t rank = tdo_comm_rank(comm);
    const int64_t first = blocks * rank / size * BLOCK;
    const int64_t last = blocks * (rank + 1) / size * BLOCK, end = last < rows ? last : rows;
    for (int64_t at = first; at < end; at += BATCH) {
        TDO_TRY(add_rows(d, at, end - at < BATCH ? end - at : BATCH, sums));
    }
    return TDO_OK;
}

tdo_err tdo_denoising_score(tdo_comm *comm, tdo_denoising *d, double *loss, double *accuracy)
{
    _Static_assert(sizeof(struct sum) % sizeof(uint64_t) == 0, "sums are words");
    const int64_t rows = tdo_stack_rows(d->stack), blocks = (rows + BLOCK - 1) / BLOCK;
    struct sum *sums = NULL, all = {0};
    tdo_plan_touch(d->plan);
    tdo_err err = tdo_memory_new(blocks, &sums);
    if (err == TDO_OK) {
        err = add_mine(comm, d, blocks, sums);
    }
    err = tdo_comm_agree(comm, err);
    if (err == TDO_OK) {
        tdo_comm_sum_u64(comm, (uint64_t *)(void *)sums,
                         blocks * (int64_t)(sizeof *sums / sizeof(uint64_t)));
        for (int64_t i = 0; i < blocks; i++) {
            all.loss += sums[i].loss;
            all.correct += sums[i].correct;
        }
        *loss = all.loss / (double)rows;
        *accuracy = d->judged ? (double)all.correct / (double)rows : (double)NAN;
    }
    tdo_memory_free(&sums);
    return err;
}
