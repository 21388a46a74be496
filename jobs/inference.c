/* Inference plans. See inference.h. */
#include "jobs/inference.h"

#include "jobs/network_front.h"

static tdo_err make(struct tdo_network *n, bool quiet, bool u8, const struct tdo_noise *noise,
                    struct tdo_inference *out)
{
    const int64_t batch = out->batch;
    const struct tdo_model_spec *s = &n->spec;
    struct tdo_build *b = NULL;
    TDO_TRY(tdo_graph_new(&out->g));
    out->raw = tdo_op_input(out->g, "raw", TDO_SHAPE(batch, s->height, s->width, s->channels));
    out->keys = tdo_op_key(out->g, "keys", batch);
    TDO_TRY(tdo_memory_new(1, &b));
    *b = tdo_network_build_context(n, out->g, TDO_NORM_RUNNING);
    b->keys = out->keys;
    b->noise = !quiet;
    tdo_node pixels = noise ? tdo_noise_add(out->g, noise, out->raw, u8, out->keys)
                            : tdo_noise_pixels(out->g, out->raw, u8);
    tdo_node logits = tdo_network_logits(n, b, pixels);
    tdo_memory_free(&b);
    const struct tdo_plan_options options = {
        .fast = true, .bf16 = n->bf16, .param = tdo_network_front_param, .context = n};
    return tdo_plan_new(out->g, 1, &logits, &options, &out->plan);
}

tdo_err tdo_inference_new(struct tdo_network *n, int64_t batch, bool u8,
                          const struct tdo_noise *noise, struct tdo_inference *out)
{
    *out = (struct tdo_inference){.batch = batch};
    return make(n, false, u8, noise, out);
}

tdo_err tdo_inference_new_quiet(struct tdo_network *n, int64_t batch, bool u8,
                                const struct tdo_noise *noise, struct tdo_inference *out)
{
    *out = (struct tdo_inference){.batch = batch};
    return make(n, true, u8, noise, out);
}

void tdo_inference_free(struct tdo_inference *f)
{
    tdo_plan_free(&f->plan);
    tdo_graph_free(&f->g);
}

int tdo_inference_class(const float *logits, int classes)
{
    int best = 0;
    for (int k = 1; k < classes; k++) {
        best = logits[k] > logits[best] ? k : best;
    }
    return best;
}
