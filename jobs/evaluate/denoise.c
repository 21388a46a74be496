/* Denoising images. See denoise.h. */
#include "jobs/evaluate/denoise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/job.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"
#include "nn/graph/plan.h"

struct tdo_denoise {
    struct tdo_network net;
    tdo_graph *g;
    tdo_plan *plan;
    tdo_node pixels;
    int64_t rows, size;
};

/* A model file says itself what it holds, so it is opened with an empty config. */
static tdo_err open_network(const char *place, const struct tdo_network_data *data,
                            struct tdo_network *n)
{
    char path[1100];
    tdo_config *c = NULL;
    snprintf(path, sizeof path, "%s%s", place,
             tdo_file_is_dir(place) ? "/model.safetensors" : "");
    TDO_TRY(tdo_config_new(&tdo_job_schema, &c));
    tdo_err err = tdo_network_open_any(c, path, data, n);
    tdo_config_free(&c);
    return err;
}

static tdo_err make_plan(tdo_denoise *d)
{
    const struct tdo_model_spec *s = &d->net.spec;
    struct tdo_build *b = NULL;
    TDO_TRY(tdo_graph_new(&d->g));
    d->pixels =
        tdo_op_input(d->g, "pixels", TDO_SHAPE(d->rows, s->height, s->width, s->channels));
    TDO_TRY(tdo_memory_new(1, &b));
    *b = tdo_network_build_context(&d->net, d->g, TDO_NORM_RUNNING);
    const tdo_node out = tdo_network_image(&d->net, b, d->pixels);
    tdo_memory_free(&b);
    const struct tdo_plan_options options = {
        .fast = true, .param = tdo_params_for_plan, .context = d->net.params};
    return tdo_plan_new(d->g, 1, &out, &options, &d->plan);
}

static tdo_err make(const char *key, const char *path, const struct tdo_network_data *data,
                    tdo_denoise *d)
{
    TDO_TRY(open_network(path, data, &d->net));
    if (d->net.model->output != TDO_MODEL_IMAGE) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s = %s holds %s, which gives classes: a denoiser expected, as dunet",
                        key, path, d->net.model->name);
    }
    return make_plan(d);
}

tdo_err tdo_denoise_new(const char *key, const char *path, const struct tdo_network_data *data,
                        int64_t rows, tdo_denoise **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    (*out)->rows = rows;
    (*out)->size = data->height * data->width * data->channels;
    tdo_err err = make(key, path, data, *out);
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
        tdo_network_free(&d->net);
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
