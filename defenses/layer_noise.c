/* Noise inside a network. See layer_noise.h. */
#include "defenses/layer_noise.h"

/* Streams that share a purpose differ by their layers alone; 0 is that of the input noise. */
struct tdo_stream tdo_layer_noise_stream(const struct tdo_defense_use *use, int part, int layer)
{
    const uint32_t place = (uint32_t)(layer * TDO_LAYER_NOISE_PARTS + part);
    return (struct tdo_stream){.seed = use->seed,
                               .purpose = TDO_PURPOSE_LAYER_NOISE,
                               .layer = (uint32_t)(use->index + 1) << 16 | place};
}

tdo_node tdo_layer_noise_root(tdo_graph *g, tdo_node x)
{
    const tdo_shape s = tdo_graph_shape(g, x);
    tdo_node zero = tdo_op_constant(g, s, 0), one = tdo_op_constant(g, s, 1);
    tdo_node positive = tdo_op_greater(g, x, zero);
    tdo_node root = tdo_op_sqrt(g, tdo_op_select(g, positive, x, one));
    return tdo_op_select(g, positive, root, zero);
}

tdo_node tdo_layer_noise_deviation(tdo_graph *g, tdo_node x)
{
    const tdo_shape s = tdo_graph_shape(g, x);
    tdo_shape row = s;
    for (int i = 1; i < row.rank; i++) {
        row.dim[i] = 1;
    }
    const double n = (double)tdo_shape_count(&s) / (double)(s.rank > 0 ? s.dim[0] : 1);
    tdo_node mean = tdo_op_affine(g, tdo_op_sum(g, x, row), 1 / n, 0);
    tdo_node gap = tdo_op_sub(g, x, tdo_op_broadcast(g, mean, s));
    tdo_node squares = tdo_op_sum(g, tdo_op_mul(g, gap, gap), row);
    return tdo_layer_noise_root(g, tdo_op_affine(g, squares, 1 / (n > 1 ? n - 1 : 1), 0));
}

/* A parameter of any shape with as many axes as `like`, or of one number, spread over it. */
static tdo_node spread(tdo_graph *g, tdo_node small, tdo_shape like)
{
    tdo_shape s = tdo_graph_shape(g, small);
    if (s.rank != like.rank) {
        s = like;
        for (int i = 0; i < s.rank; i++) {
            s.dim[i] = 1;
        }
        small = tdo_op_reshape(g, small, s);
    }
    return tdo_shape_equal(&s, &like) ? small : tdo_op_broadcast(g, small, like);
}

tdo_node tdo_layer_noise_weights(struct tdo_build *b, const struct tdo_defense_use *use,
                                 const char *name, enum tdo_layer_noise_grain grain,
                                 double start, tdo_node w, int layer)
{
    tdo_graph *g = b->g;
    const tdo_shape s = tdo_graph_shape(g, w), flat = TDO_SHAPE(1, tdo_shape_count(&s));
    const struct tdo_stream stream = tdo_layer_noise_stream(use, TDO_LAYER_NOISE_WEIGHT, layer);
    tdo_shape fine = grain == TDO_GRAIN_LAYER ? TDO_SHAPE(1) : s;
    for (int i = 1; grain == TDO_GRAIN_CHANNEL && i < fine.rank; i++) {
        fine.dim[i] = 1;
    }
    tdo_node alpha = tdo_layer_parameter(b, use->row->name, name, fine, start, false);
    if (!b->noise) {
        return w;
    }
    tdo_node std = tdo_layer_noise_deviation(g, tdo_op_reshape(g, w, flat));
    tdo_node draw = tdo_op_reshape(g, tdo_layer_weight_normals(b, &stream, flat), s);
    tdo_node noise = tdo_op_mul(g, spread(g, tdo_op_detach(g, std), s), draw);
    return tdo_op_add(g, w, tdo_op_mul(g, spread(g, alpha, s), noise));
}
