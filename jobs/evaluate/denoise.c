/* Denoising images. See denoise.h. */
#include "jobs/evaluate/denoise.h"

#include <math.h>
#include <string.h>

#include "jobs/network_front.h"
#include "nn/base/memory.h"
#include "nn/graph/plan.h"

struct tdo_denoise {
    tdo_graph *g;
    tdo_plan *plan;
    tdo_node pixels;
    int64_t rows, size;
};

static tdo_err make(struct tdo_network *n, tdo_denoise *d)
{
    const struct tdo_model_spec *s = &n->spec;
    struct tdo_build *b = NULL;
    if (n->denoisers == 0) {
        return TDO_FAIL(TDO_ERR_BUG, "no denoiser stands in front of %s", n->model->name);
    }
    TDO_TRY(tdo_graph_new(&d->g));
    d->pixels =
        tdo_op_input(d->g, "pixels", TDO_SHAPE(d->rows, s->height, s->width, s->channels));
    TDO_TRY(tdo_memory_new(1, &b));
    *b = tdo_network_build_context(n, d->g, TDO_NORM_RUNNING);
    const tdo_node out = tdo_network_front_pixels(n, b, d->pixels);
    tdo_memory_free(&b);
    const struct tdo_plan_options options = {
        .fast = true, .bf16 = n->bf16, .param = tdo_network_front_param, .context = n};
    return tdo_plan_new(d->g, 1, &out, &options, &d->plan);
}

tdo_err tdo_denoise_new(struct tdo_network *n, int64_t rows, tdo_denoise **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    (*out)->rows = rows;
    (*out)->size = n->spec.height * n->spec.width * n->spec.channels;
    tdo_err err = make(n, *out);
    if (err != TDO_OK) {
        tdo_denoise_free(out);
    }
    return err;
}

void tdo_denoise_free(tdo_denoise **denoise)
{
    tdo_denoise *d = *denoise;
    if (d) {
        tdo_plan_free(&d->plan);
        tdo_graph_free(&d->g);
        tdo_memory_free(denoise);
    }
}

tdo_err tdo_denoise_run(tdo_denoise *d, const float *pixels, int64_t n, float *out)
{
    float *in = tdo_plan_input(d->plan, d->pixels);
    memcpy(in, pixels, (size_t)(n * d->size) * sizeof *in);
    memset(in + n * d->size, 0, (size_t)((d->rows - n) * d->size) * sizeof *in);
    TDO_TRY(tdo_plan_run(d->plan));
    memcpy(out, tdo_plan_output(d->plan, 0), (size_t)(n * d->size) * sizeof *out);
    for (int64_t i = 0; i < n * d->size; i++) {
        if (!isfinite(out[i])) {
            return TDO_FAIL(TDO_ERR_NUMERIC, "the denoiser gives %g for a pixel",
                            (double)out[i]);
        }
    }
    return TDO_OK;
}
