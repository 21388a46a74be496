/* Optimisers. See optim.h. */
#include "nn/optim.h"

#include <math.h>
#include <string.h>

#include "nn/base/clones.h"

/* Neighbouring floats that are treated alike. */
struct run {
    int64_t begin, end;
    float decay;
    bool adapts; /* lars: has a rate of its own; such a run is one parameter */
};

struct tdo_optim {
    struct tdo_optim_options o;
    struct run *run;
    int64_t runs, count;
    int moments;  /* numbers kept for each weight */
    float *state; /* [moments][count] */
    int64_t steps;
};

/* ---- life ------------------------------------------------------------------------------------------ */

static bool decays(const struct tdo_optim_options *o, const struct tdo_param *p)
{
    return !p->no_decay && !(o->decay_kernels && p->shape.rank < 2);
}

static bool goes_on(const struct run *last, const struct tdo_param *e, float decay)
{
    return last->end == e->offset && !(last->decay < decay || last->decay > decay);
}

static tdo_err find_runs(tdo_optim *o, const tdo_params *p)
{
    const int64_t entries = tdo_params_entries(p);
    TDO_TRY(tdo_memory_new(entries + 1, &o->run));
    for (int64_t i = 0; i < entries; i++) {
        const struct tdo_param *e = tdo_params_at(p, i);
        if (e->kind != TDO_PARAM_WEIGHT || (o->o.fixed_norms && e->norm)) {
            continue;
        }
        const float decay = decays(&o->o, e) ? (float)o->o.weight_decay : 0;
        const bool adapts = o->o.kind == TDO_OPTIM_LARS && e->shape.rank >= 2;
        if (o->runs > 0 && !adapts && !o->run[o->runs - 1].adapts &&
            goes_on(&o->run[o->runs - 1], e, decay)) {
            o->run[o->runs - 1].end += e->count;
        } else {
            o->run[o->runs++] = (struct run){e->offset, e->offset + e->count, decay, adapts};
        }
    }
    return TDO_OK;
}

tdo_err tdo_optim_new(const struct tdo_optim_options *options, const tdo_params *p,
                      tdo_optim **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    tdo_optim *o = *out;
    tdo_err err = TDO_OK;
    o->o = *options;
    o->moments = options->kind == TDO_OPTIM_ADAM ? 2 : 1;
    o->count = tdo_params_count(p, TDO_PARAM_WEIGHT);
    TDO_GOTO(find_runs(o, p));
    err = tdo_memory_new(o->moments * o->count, &o->state);
done:
    if (err != TDO_OK) {
        tdo_optim_free(out);
    }
    return err;
}

void tdo_optim_free(tdo_optim **o)
{
    if (*o) {
        tdo_memory_free(&(*o)->run);
        tdo_memory_free(&(*o)->state);
        tdo_memory_free(o);
    }
}

void tdo_optim_reset(tdo_optim *o)
{
    memset(o->state, 0, (size_t)(o->moments * o->count) * sizeof *o->state);
    o->steps = 0;
}

float *tdo_optim_state(tdo_optim *o, int64_t *count)
{
    *count = o->moments * o->count;
    return o->state;
}

int64_t *tdo_optim_steps(tdo_optim *o)
{
    return &o->steps;
}

/* ---- a step ---------------------------------------------------------------------------------------- */

/* What a kernel needs beside the arrays. */
struct factors {
    float rate, scale, decay;
    float first, second;     /* momentum; beta1, beta2 */
    float rest1, rest2;      /* 1 - beta1, 1 - beta2, rounded once */
    float correct2, epsilon; /* sqrt(1 - beta2^t) */
};

TDO_CLONES static void sgd(int64_t n, float *restrict w, float *restrict v,
                           const float *restrict g, struct factors f)
{
    for (int64_t i = 0; i < n; i++) {
        v[i] = f.first * v[i] + (f.scale * g[i] + f.decay * w[i]);
        w[i] -= f.rate * v[i];
    }
}

TDO_CLONES static void nesterov(int64_t n, float *restrict w, float *restrict v,
                                const float *restrict g, struct factors f)
{
    for (int64_t i = 0; i < n; i++) {
        const float d = f.scale * g[i] + f.decay * w[i];
        v[i] = f.first * v[i] + d;
        w[i] -= f.rate * (d + f.first * v[i]);
    }
}

TDO_CLONES static void lars(int64_t n, float *restrict w, float *restrict v,
                            const float *restrict g, struct factors f)
{
    for (int64_t i = 0; i < n; i++) {
        v[i] = f.first * v[i] + f.rate * (f.scale * g[i] + f.decay * w[i]);
        w[i] -= v[i];
    }
}

TDO_CLONES static void adam(int64_t n, float *restrict w, float *restrict m, float *restrict v,
                            const float *restrict g, struct factors f)
{
    for (int64_t i = 0; i < n; i++) {
        const float d = f.scale * g[i] + f.decay * w[i];
        m[i] = f.first * m[i] + f.rest1 * d;
        v[i] = f.second * v[i] + f.rest2 * (d * d);
        w[i] -= f.rate * m[i] / (sqrtf(v[i]) / f.correct2 + f.epsilon);
    }
}

/* |x|, summed in one order, so ranks agree. */
static double norm(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    return sqrt(sum);
}

/* min(1, clip / (|g| + 1e-6)) */
static float clip_scale(const tdo_optim *o, const float *g)
{
    if (o->o.clip <= 0) {
        return 1;
    }
    const double scale = o->o.clip / (norm(g, o->count) + 1e-6);
    return scale < 1 ? (float)scale : 1;
}

/* What the rate of a layer is multiplied with: trust |w| / (|g| + decay |w|). */
static double layer_rate(const tdo_optim *o, const struct run *r, const float *w,
                         const float *g, double scale)
{
    const int64_t n = r->end - r->begin;
    if (!r->adapts) {
        return 1;
    }
    const double weights = norm(w, n), slope = scale * norm(g, n);
    return weights > 0 && slope > 0
               ? o->o.trust * weights / (slope + (double)r->decay * weights)
               : 1;
}

void tdo_optim_step(tdo_optim *o, double rate, float *w, const float *g)
{
    const struct tdo_optim_options *s = &o->o;
    struct factors f = {
        .rate = (float)rate, .scale = clip_scale(o, g), .first = (float)s->momentum};
    o->steps++;
    if (s->kind == TDO_OPTIM_ADAM) {
        f.rate = (float)(rate / (1 - pow(s->beta1, (double)o->steps)));
        f.first = (float)s->beta1;
        f.second = (float)s->beta2;
        f.rest1 = (float)(1 - s->beta1);
        f.rest2 = (float)(1 - s->beta2);
        f.correct2 = (float)sqrt(1 - pow(s->beta2, (double)o->steps));
        f.epsilon = (float)s->epsilon;
    }
    for (int64_t k = 0; k < o->runs; k++) {
        const int64_t at = o->run[k].begin, n = o->run[k].end - at;
        float *state = o->state + at;
        f.decay = o->run[k].decay;
        if (s->kind == TDO_OPTIM_LARS) {
            f.rate = (float)(rate * layer_rate(o, &o->run[k], w + at, g + at, (double)f.scale));
            lars(n, w + at, state, g + at, f);
        } else if (s->kind == TDO_OPTIM_ADAM) {
            adam(n, w + at, state, state + o->count, g + at, f);
        } else if (s->nesterov) {
            nesterov(n, w + at, state, g + at, f);
        } else {
            sgd(n, w + at, state, g + at, f);
        }
    }
}
