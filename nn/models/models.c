/* The table of models, and the input layer in front of each. See models.h. */
#include "nn/models/models.h"

#include <math.h>
#include <string.h>

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

/* (x - mean) / std as one multiply-add a channel. */
static tdo_node input_layer(tdo_graph *g, const struct tdo_model_spec *spec, tdo_node x)
{
    if (spec->inputs == 0) {
        return x;
    }
    const tdo_shape s = tdo_graph_shape(g, x);
    if (spec->inputs == 1) {
        return tdo_op_affine(g, x, 1 / spec->std[0], -spec->mean[0] / spec->std[0]);
    }
    tdo_node scale[16], shift[16];
    for (int c = 0; c < spec->inputs; c++) {
        const tdo_shape one = TDO_SHAPE(1, 1, 1, 1);
        scale[c] = tdo_op_constant(g, one, 1 / spec->std[c]);
        shift[c] = tdo_op_constant(g, one, -spec->mean[c] / spec->std[c]);
    }
    tdo_node a = tdo_op_broadcast(g, tdo_op_concat(g, spec->inputs, scale, 3), s);
    tdo_node c = tdo_op_broadcast(g, tdo_op_concat(g, spec->inputs, shift, 3), s);
    return tdo_op_add(g, tdo_op_mul(g, x, a), c);
}

tdo_node tdo_model_build(struct tdo_build *b, const struct tdo_model *m,
                         const struct tdo_model_spec *spec, tdo_node pixels)
{
    if (spec->inputs > 1 && spec->inputs != spec->channels) {
        return tdo_graph_fail(b->g, TDO_ERR_CONFIG,
                              "model.mean has %d numbers, the data has %lld channels",
                              spec->inputs, (long long)spec->channels);
    }
    b->weight_init = m->weight_init;
    b->bias_init = m->bias_init;
    b->convs = b->layers = b->norms = 0;
    return m->build(b, input_layer(b->g, spec, pixels), spec);
}
