/* Parseval networks: after each update of the optimiser a step that makes the rows of every weight
 * matrix more orthonormal, so that no layer stretches a change of its input.
 *
 *     W_S <- (1 + beta) W_S - beta c W_S W_S' W_S,    S a random part of the rows of W
 *
 * A row is an output unit, or an output channel of a convolution (unfolded: all its taps), and the
 * rows of a step are drawn anew (Yan et al. 2018 speak of columns: theirs lie the other way round).
 * c is 1 in a linear layer. In a convolution an input value is read up to kh kw times; the paper
 * divides the layer's output by the root of that, here the factor is part of the weights: c = kh kw,
 * and W W' goes to I / c (convolution = plain: c = 1).
 * Left out: the paper's networks add branches with learned weights that form a convex combination;
 * that is another architecture, the residual networks here stay what they are. The paper leaves
 * the last layer alone (layers = hidden); the optimiser's moments know nothing of this step.
 * Source: Cisse et al. 2017, section 4 and algorithm 1; rows 0.3, and beta 1e-4 (MNIST) or 3e-4
 * (CIFAR-10), from Yan et al. 2018, section 4. */
#include <math.h>
#include <string.h>

#include "defenses/defense.h"
#include "nn/base/memory.h"
#include "nn/kernels/blas.h"

enum { BETA, ROWS, CONVOLUTION, LAYERS };
enum { SCALED, PLAIN }; /* choices of convolution */
enum { ALL, HIDDEN };   /* choices of layers */

static const struct tdo_option options[] = {
    [BETA] = {.key = "beta",
              .type = TDO_OPTION_REAL,
              .min = 0,
              .max = 1,
              .value = "1e-4",
              .help = "length of the step towards orthonormal rows"},
    [ROWS] = {.key = "rows",
              .type = TDO_OPTION_REAL,
              .min = 0,
              .max = 1,
              .value = "0.3",
              .unit = "share",
              .help = "rows of a matrix that take part in a step, at least one"},
    [CONVOLUTION] = {.key = "convolution",
                     .type = TDO_OPTION_CHOICE,
                     .choices = "scaled|plain",
                     .value = "scaled",
                     .help = "scaled: rows of a convolution go to length 1/sqrt(kh kw), as a "
                             "value is read so often; plain: to 1"},
    [LAYERS] = {.key = "layers",
                .type = TDO_OPTION_CHOICE,
                .choices = "all|hidden",
                .value = "all",
                .help = "hidden: all but the last"},
    {0}};

/* A matrix of weights, and scratch for a part of its rows. */
struct matrix {
    float *w; /* [rows,n] */
    int64_t rows, n, part;
    int64_t *row;  /* [rows]; the first `part` are those of this step */
    float *old;    /* [part,n] */
    float *turned; /* [n,part] */
    float *gram;   /* [part,part] */
    float *cubic;  /* [part,n] */
};

static tdo_err make_scratch(struct matrix *m)
{
    TDO_TRY(tdo_memory_new(m->rows, &m->row));
    TDO_TRY(tdo_memory_new(m->part * m->n, &m->old));
    TDO_TRY(tdo_memory_new(m->n * m->part, &m->turned));
    TDO_TRY(tdo_memory_new(m->part * m->part, &m->gram));
    return tdo_memory_new(m->part * m->n, &m->cubic);
}

static void free_scratch(struct matrix *m)
{
    tdo_memory_free(&m->row);
    tdo_memory_free(&m->old);
    tdo_memory_free(&m->turned);
    tdo_memory_free(&m->gram);
    tdo_memory_free(&m->cubic);
}

/* The first places of a random order of the rows (Fisher and Yates). */
static void draw_rows(const struct tdo_defense_use *use, const struct tdo_key *key,
                      struct matrix *m)
{
    const struct tdo_stream stream = {
        .seed = use->seed, .purpose = TDO_PURPOSE_TRAIN_NOISE, .layer = (uint32_t)use->index};
    uint32_t word[4] = {0};
    for (int64_t i = 0; i < m->rows; i++) {
        m->row[i] = i;
    }
    for (int64_t i = 0; i < m->part; i++) {
        if (i % 4 == 0) {
            tdo_rng_words(&stream, key, i, 4, word);
        }
        const uint64_t left = (uint64_t)(m->rows - i);
        const int64_t at = i + (int64_t)(((uint64_t)word[i % 4] * left) >> 32);
        const int64_t row = m->row[at];
        m->row[at] = m->row[i];
        m->row[i] = row;
    }
}

static void change(double beta, double c, struct matrix *m)
{
    for (int64_t i = 0; i < m->part; i++) {
        const float *from = m->w + m->row[i] * m->n;
        memcpy(m->old + i * m->n, from, (size_t)m->n * sizeof *from);
        for (int64_t k = 0; k < m->n; k++) {
            m->turned[k * m->part + i] = from[k];
        }
    }
    const struct tdo_blas_rows old = {m->old, m->part, m->n};
    const struct tdo_blas_rows turned = {m->turned, m->n, m->part};
    const struct tdo_blas_rows gram = {m->gram, m->part, m->part};
    tdo_blas_products(&old, &old, m->n, m->gram);
    tdo_blas_products(&gram, &turned, m->part, m->cubic);
    for (int64_t i = 0; i < m->part; i++) {
        float *to = m->w + m->row[i] * m->n;
        for (int64_t k = 0; k < m->n; k++) {
            const double w = (double)m->old[i * m->n + k];
            to[k] = (float)((1 + beta) * w - beta * c * (double)m->cubic[i * m->n + k]);
        }
    }
}

static tdo_err change_matrix(const struct tdo_defense_use *use, const tdo_params *params,
                             int64_t index, uint32_t step)
{
    const struct tdo_param *p = tdo_params_at(params, index);
    const struct tdo_key key = {.sample = (uint64_t)index, .step = step};
    const int64_t part = llrint(use->value[ROWS] * (double)p->shape.dim[0]);
    struct matrix m = {.w = tdo_params_values(params, index),
                       .rows = p->shape.dim[0],
                       .n = p->count / p->shape.dim[0],
                       .part = part > 1 ? part : 1};
    const bool scaled = p->shape.rank == 4 && (int)use->value[CONVOLUTION] == SCALED;
    const double taps = scaled ? (double)(p->shape.dim[2] * p->shape.dim[3]) : 1;
    tdo_err err = make_scratch(&m);
    if (err == TDO_OK) {
        draw_rows(use, &key, &m);
        change(use->value[BETA], taps, &m);
    }
    free_scratch(&m);
    return err;
}

static bool is_matrix(const struct tdo_param *p)
{
    return p->kind == TDO_PARAM_WEIGHT && p->shape.rank >= 2;
}

static tdo_err after_step(const struct tdo_defense_use *use, const tdo_params *params,
                          uint32_t step)
{
    int64_t last = -1;
    for (int64_t i = 0; i < tdo_params_entries(params); i++) {
        last = is_matrix(tdo_params_at(params, i)) ? i : last;
    }
    for (int64_t i = 0; i < tdo_params_entries(params); i++) {
        const bool spared = i == last && (int)use->value[LAYERS] == HIDDEN;
        if (is_matrix(tdo_params_at(params, i)) && !spared) {
            TDO_TRY(change_matrix(use, params, i, step));
        }
    }
    return TDO_OK;
}

const struct tdo_defense tdo_defense_parseval = {
    .name = "parseval",
    .help = "after each update a step of the weights towards matrices with orthonormal rows",
    .cite = "Cisse et al. 2017, algorithm 1",
    .options = options,
    .after_step = after_step,
};
