/* The table of models. See models.h. */
#include "nn/models/models.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/models/input.h"

const struct tdo_model *const tdo_model_table[] = {
#define MODEL(name) &tdo_model_##name,
#include "nn/models/models.def"
#undef MODEL
    NULL};

const struct tdo_model *tdo_model_find(const char *name)
{
    for (int i = 0; tdo_model_table[i]; i++) {
        if (strcmp(tdo_model_table[i]->name, name) == 0) {
            return tdo_model_table[i];
        }
    }
    return NULL;
}

int64_t tdo_model_channels(const struct tdo_model_spec *spec, int64_t channels)
{
    const double wide = (double)channels * (spec->wide > 0 ? spec->wide : 1);
    return wide < 1 ? 1 : (int64_t)floor(wide + 0.5);
}

void tdo_model_tap_block(struct tdo_build *b, const char *prefix, tdo_node x, bool last)
{
    char name[64];
    snprintf(name, sizeof name, "%s", prefix);
    for (int names = last ? 2 : 1; names > 0 && strrchr(name, '.'); names--) {
        *strrchr(name, '.') = 0;
        tdo_layer_tap(b, name, x);
    }
}

tdo_node tdo_model_norm_conv(struct tdo_build *b, const char *prefix, const char *conv,
                             const char *norm, tdo_node x, int64_t channels,
                             const struct tdo_layer_conv *spec)
{
    char name[96];
    snprintf(name, sizeof name, "%s%s", prefix, conv);
    x = tdo_layer_conv(b, name, x, channels, spec);
    snprintf(name, sizeof name, "%s%s", prefix, norm);
    return tdo_layer_batchnorm(b, name, x);
}

tdo_node tdo_model_input(struct tdo_build *b, const struct tdo_model_spec *spec,
                         tdo_node pixels)
{
    if (spec->inputs > 1 && spec->inputs != spec->channels) {
        return tdo_graph_fail(
            b->g, TDO_ERR_CONFIG, "model.%s has %d numbers, the data has %lld channels",
            spec->mean_image ? "std" : "mean", spec->inputs, (long long)spec->channels);
    }
    return tdo_input_layer(b, spec, pixels);
}

tdo_node tdo_model_behind(struct tdo_build *b, const struct tdo_model *m,
                          const struct tdo_model_spec *spec, tdo_node x)
{
    const bool image = m->output == TDO_MODEL_IMAGE;
    if (image && (spec->inputs > 0 || spec->mean_image)) {
        return tdo_graph_fail(b->g, TDO_ERR_CONFIG,
                              "model.%s is given: %s takes pixels as they are",
                              spec->mean_image ? "mean_image" : "mean", m->name);
    }
    b->weight_init = m->weight_init;
    b->bias_init = m->bias_init;
    b->norm_eps = m->norm_eps;
    b->convs = b->layers = b->norms = b->taps = 0;
    return tdo_layer_tap(b, image ? "image" : "logits", m->build(b, x, spec));
}

tdo_node tdo_model_build(struct tdo_build *b, const struct tdo_model *m,
                         const struct tdo_model_spec *spec, tdo_node pixels)
{
    return tdo_model_behind(b, m, spec, tdo_model_input(b, spec, pixels));
}
