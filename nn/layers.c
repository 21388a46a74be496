/* Layer builders. See layers.h. */
#include "nn/layers.h"

#include <stdio.h>
#include <string.h>

/* A parameter node by name, made on first use. */
static tdo_node parameter(struct tdo_build *b, const char *layer, const char *part,
                          struct tdo_param entry)
{
    char name[160];
    int64_t index = 0;
    snprintf(name, sizeof name, "%s.%s", layer, part);
    entry.name = name;
    if (tdo_params_add(b->params, &entry, &index) != TDO_OK) {
        return tdo_graph_fail(b->g, tdo_error_last()->code, "%s", tdo_error_last()->message);
    }
    tdo_node p = tdo_op_param(b->g, b->first_param + index, name, entry.shape);
    const bool constant = b->learns && b->learns[0] && !tdo_params_listed(b->learns, name);
    return constant && entry.kind == TDO_PARAM_WEIGHT ? tdo_op_detach(b->g, p) : p;
}

tdo_node tdo_layer_fixed(struct tdo_build *b, const char *layer, const char *part,
                         tdo_shape shape)
{
    return parameter(b, layer, part,
                     (struct tdo_param){.shape = shape, .kind = TDO_PARAM_FIXED});
}

tdo_node tdo_layer_parameter(struct tdo_build *b, const char *owner, const char *part,
                             tdo_shape shape, double start, bool decay)
{
    return parameter(b, b->layer, part,
                     (struct tdo_param){.shape = shape,
                                        .init = TDO_INIT_VALUE,
                                        .start = start,
                                        .no_decay = !decay,
                                        .owner = owner});
}

tdo_node tdo_layer_draw(struct tdo_build *b, const struct tdo_stream *stream, int32_t law,
                        tdo_shape shape)
{
    const struct tdo_random how = {
        .stream = *stream, .law = law, .shape = shape, .part = b->part, .first = b->first_key};
    return tdo_op_random(b->g, b->keys, &how);
}

tdo_node tdo_layer_normals(struct tdo_build *b, const struct tdo_stream *stream,
                           tdo_shape shape)
{
    return tdo_layer_draw(b, stream, TDO_LAW_NORMAL, shape);
}

tdo_node tdo_layer_weight_normals(struct tdo_build *b, const struct tdo_stream *stream,
                                  tdo_shape shape)
{
    struct tdo_random how = {.stream = *stream, .law = TDO_LAW_NORMAL, .shape = shape};
    if (!b->shared) {
        how.part = b->part;
        how.first = b->first_key;
        return tdo_op_random(b->g, b->keys, &how);
    }
    how.part = how.shared = 1;
    return tdo_op_random(b->g, b->weight_keys != TDO_NONE ? b->weight_keys : b->keys, &how);
}

/* A vector [K] spread over an image like y [N,H,W,K]. */
static tdo_node over_image(tdo_graph *g, tdo_node vector, tdo_node y)
{
    tdo_shape s = tdo_graph_shape(g, y);
    tdo_node column = tdo_op_reshape(g, vector, TDO_SHAPE(1, 1, 1, s.dim[3]));
    return tdo_op_broadcast(g, column, s);
}

typedef tdo_node layer_hook(struct tdo_build *b, const void *self, tdo_node x, int layer);

static tdo_node layer_hooks(struct tdo_build *b, bool before, tdo_node x)
{
    for (int i = 0; i < b->hooks; i++) {
        layer_hook *hook = before ? b->hook[i].before_layer : b->hook[i].after_layer;
        x = hook ? hook(b, b->hook[i].self, x, b->layers) : x;
    }
    return x;
}

static tdo_node weight_hooks(struct tdo_build *b, tdo_node w)
{
    for (int i = 0; i < b->hooks; i++) {
        if (b->hook[i].weight) {
            w = b->hook[i].weight(b, b->hook[i].self, w, b->layers);
        }
    }
    return w;
}

struct tdo_layer_conv tdo_layer_square(int kernel, int stride, int pad, bool bias)
{
    return (struct tdo_layer_conv){.kernel = {kernel, kernel},
                                   .stride = {stride, stride},
                                   .pad = {pad, pad, pad, pad},
                                   .bias = bias};
}

struct tdo_layer_conv tdo_layer_same(int kernel, int stride, int64_t height, int64_t width,
                                     bool bias)
{
    struct tdo_layer_conv c = tdo_layer_square(kernel, stride, 0, bias);
    const int64_t size[2] = {height, width};
    for (int i = 0; i < 2; i++) {
        int64_t out = (size[i] + stride - 1) / stride;
        int64_t need = (out - 1) * stride + kernel - size[i];
        c.pad[i] = (int)(need > 0 ? need / 2 : 0);
        c.pad[2 + i] = (int)(need > 0 ? need - need / 2 : 0);
    }
    return c;
}

static tdo_node conv_with(struct tdo_build *b, const char *name, tdo_node x, int64_t channels,
                          const struct tdo_layer_conv *spec, tdo_shape weight)
{
    const tdo_shape s = tdo_graph_shape(b->g, x);
    const int64_t groups = spec->groups ? spec->groups : 1;
    const int64_t places = (int64_t)spec->kernel[0] * spec->kernel[1];
    const int64_t fan_in = s.dim[3] / groups * places, fan_out = channels / groups * places;
    const struct tdo_conv conv = {
        .stride = {spec->stride[0], spec->stride[1]},
        .pad = {spec->pad[0], spec->pad[1], spec->pad[2], spec->pad[3]},
        .groups = (int32_t)groups};
    b->layer = name;
    b->convolution = weight.rank == 4;
    x = layer_hooks(b, true, x);
    tdo_node w = parameter(
        b, name, "weight",
        (struct tdo_param){
            .shape = weight, .init = b->weight_init, .fan_in = fan_in, .fan_out = fan_out});
    w = tdo_op_reshape(
        b->g, weight_hooks(b, w),
        TDO_SHAPE(channels, s.dim[3] / groups, spec->kernel[0], spec->kernel[1]));
    tdo_node y = tdo_graph_name(b->g, tdo_op_conv(b->g, x, w, &conv), "%s", name);
    if (spec->bias) {
        tdo_node bias = parameter(b, name, "bias",
                                  (struct tdo_param){.shape = TDO_SHAPE(channels),
                                                     .init = b->bias_init,
                                                     .fan_in = fan_in,
                                                     .fan_out = fan_out});
        y = tdo_op_add(b->g, y, over_image(b->g, bias, y));
    }
    y = layer_hooks(b, false, y);
    b->layers++;
    return y;
}

tdo_node tdo_layer_conv(struct tdo_build *b, const char *name, tdo_node x, int64_t channels,
                        const struct tdo_layer_conv *spec)
{
    const tdo_shape s = tdo_graph_shape(b->g, x);
    if (s.rank != 4) {
        return tdo_graph_fail(b->g, TDO_ERR_SHAPE, "%s: an image [N,H,W,C] wanted, got %s",
                              name, tdo_shape_print(&s).s);
    }
    b->layer = name;
    for (int i = 0; i < b->hooks; i++) {
        if (b->hook[i].before_conv) {
            x = b->hook[i].before_conv(b, b->hook[i].self, x, b->convs);
        }
    }
    b->convs++;
    const int64_t groups = spec->groups ? spec->groups : 1;
    return conv_with(b, name, x, channels, spec,
                     TDO_SHAPE(channels, s.dim[3] / groups, spec->kernel[0], spec->kernel[1]));
}

tdo_node tdo_layer_linear(struct tdo_build *b, const char *name, tdo_node x, int64_t out)
{
    const tdo_shape s = tdo_graph_shape(b->g, x);
    if (s.rank != 2) {
        return tdo_graph_fail(b->g, TDO_ERR_SHAPE, "%s: rows [N,in] wanted, got %s", name,
                              tdo_shape_print(&s).s);
    }
    const struct tdo_layer_conv one = tdo_layer_square(1, 1, 0, true);
    tdo_node image = tdo_op_reshape(b->g, x, TDO_SHAPE(s.dim[0], 1, 1, s.dim[1]));
    tdo_node y = conv_with(b, name, image, out, &one, TDO_SHAPE(out, s.dim[1]));
    return tdo_op_reshape(b->g, y, TDO_SHAPE(s.dim[0], out));
}

/* ---- batch normalisation ---------------------------------------------------------------------- */

struct norm_params {
    tdo_node gamma, beta, mean, var;
};

/* plain: the scale is 1 and the shift 0. */
static struct norm_params norm_parameters(struct tdo_build *b, const char *name, int64_t C,
                                          bool plain)
{
    const struct tdo_param vector = {.shape = TDO_SHAPE(C)};
    struct tdo_param zero = vector, one = vector, buffer = vector;
    struct norm_params p;
    zero.norm = one.norm = true;
    one.init = TDO_INIT_ONE;
    buffer.kind = TDO_PARAM_BUFFER;
    p.gamma =
        plain ? tdo_op_constant(b->g, vector.shape, 1) : parameter(b, name, "weight", one);
    p.beta = plain ? tdo_op_constant(b->g, vector.shape, 0) : parameter(b, name, "bias", zero);
    p.mean = parameter(b, name, "running_mean", buffer);
    buffer.init = TDO_INIT_ONE;
    p.var = parameter(b, name, "running_var", buffer);
    return p;
}

static void record_stats(struct tdo_build *b, const struct norm_params *p, tdo_node x)
{
    const tdo_shape s = tdo_graph_shape(b->g, x);
    if (b->norms == TDO_MAX_NORMS) {
        tdo_graph_fail(b->g, TDO_ERR_BUG, "more than %d normalisation layers", TDO_MAX_NORMS);
        return;
    }
    b->stats[b->norms++] =
        (struct tdo_batch_stats){.mean = tdo_graph_at(b->g, p->mean)->attr.leaf.index,
                                 .var = tdo_graph_at(b->g, p->var)->attr.leaf.index,
                                 .stats = tdo_op_bn_stats(b->g, x, b->row_weights),
                                 .per = tdo_shape_count(&s) / s.dim[0] / s.dim[s.rank - 1]};
}

/* A convolution with an optional bias, as tdo_layer_conv makes it. */
struct affine {
    tdo_node x, w, bias;
    struct tdo_conv conv;
};

static bool as_convolution(const tdo_graph *g, tdo_node y, struct affine *a)
{
    const struct tdo_graph_node *n = tdo_graph_at(g, y);
    a->bias = TDO_NONE;
    if (n->op == &tdo_row_add) {
        const struct tdo_graph_node *spread = tdo_graph_at(g, n->in[1]);
        if (spread->op == &tdo_row_broadcast) { /* absent on an image of one row and place */
            spread = tdo_graph_at(g, spread->in[0]);
        }
        if (spread->op != &tdo_row_reshape || tdo_graph_shape(g, spread->in[0]).rank != 1 ||
            tdo_shape_count(&spread->shape) != n->shape.dim[n->shape.rank - 1]) {
            return false;
        }
        a->bias = spread->in[0];
        n = tdo_graph_at(g, n->in[0]);
    }
    if (n->op != &tdo_row_conv) {
        return false;
    }
    a->x = n->in[0];
    a->w = n->in[1];
    a->conv = n->attr.conv;
    return true;
}

/* With running statistics, scale conv(x, w) + shift = conv(x, scale w) + shift: the scaling depends
 * on parameters only and leaves the loop over images. */
static tdo_node fold(tdo_graph *g, const struct affine *a, tdo_node scale, tdo_node shift)
{
    const tdo_shape w = tdo_graph_shape(g, a->w);
    const tdo_shape vector = TDO_SHAPE(w.dim[0]), rows = TDO_SHAPE(w.dim[0], 1, 1, 1);
    tdo_node scaled =
        tdo_op_mul(g, a->w, tdo_op_broadcast(g, tdo_op_reshape(g, scale, rows), w));
    tdo_node y = tdo_op_conv(g, a->x, scaled, &a->conv);
    if (a->bias != TDO_NONE) {
        tdo_node bias = tdo_op_reshape(g, a->bias, vector);
        shift = tdo_op_add(g, tdo_op_mul(g, bias, scale), shift);
    }
    return tdo_op_add(g, y, over_image(g, shift, y));
}

static tdo_node normalise(struct tdo_build *b, const char *name, tdo_node x, bool plain)
{
    tdo_graph *g = b->g;
    const tdo_shape s = tdo_graph_shape(g, x);
    if (x == TDO_NONE || s.rank != 4) {
        return tdo_graph_fail(g, TDO_ERR_SHAPE, "%s: an image [N,H,W,C] wanted, got %s", name,
                              tdo_shape_print(&s).s);
    }
    const struct norm_params p = norm_parameters(b, name, s.dim[3], plain);
    const double eps = b->norm_eps > 0 ? b->norm_eps : 1e-5;
    if (p.var == TDO_NONE) {
        return TDO_NONE;
    }
    if (b->norm == TDO_NORM_BATCH) {
        record_stats(b, &p, x);
        tdo_node y = tdo_op_bn_train(g, x, p.gamma, p.beta, b->row_weights, eps);
        return tdo_graph_name(g, y, "%s", name);
    }
    tdo_node deviation = tdo_op_sqrt(g, tdo_op_affine(g, p.var, 1, eps));
    tdo_node scale = tdo_op_div(g, p.gamma, deviation);
    tdo_node shift = tdo_op_sub(g, p.beta, tdo_op_mul(g, p.mean, scale));
    struct affine a;
    if (as_convolution(g, x, &a)) {
        return fold(g, &a, scale, shift);
    }
    return tdo_op_add(g, tdo_op_mul(g, x, over_image(g, scale, x)), over_image(g, shift, x));
}

tdo_node tdo_layer_batchnorm(struct tdo_build *b, const char *name, tdo_node x)
{
    return normalise(b, name, x, false);
}

tdo_node tdo_layer_batchnorm_plain(struct tdo_build *b, const char *name, tdo_node x)
{
    return normalise(b, name, x, true);
}

/* ---- the rest -------------------------------------------------------------------------------- */

tdo_node tdo_layer_activation(struct tdo_build *b, tdo_node x)
{
    b->activations++;
    for (int i = b->hooks - 1; i >= 0; i--) { /* the last defense that has a say */
        if (b->hook[i].activation) {
            return b->hook[i].activation(b, b->hook[i].self, x);
        }
    }
    return tdo_op_relu(b->g, x);
}

tdo_node tdo_layer_maxpool(struct tdo_build *b, tdo_node x, int window, int stride)
{
    const struct tdo_pool p = {.window = {window, window}, .stride = {stride, stride}};
    return tdo_op_maxpool(b->g, x, &p);
}

tdo_node tdo_layer_avgpool(struct tdo_build *b, tdo_node x, int window, int stride)
{
    const struct tdo_pool p = {.window = {window, window}, .stride = {stride, stride}};
    return tdo_op_avgpool(b->g, x, &p);
}

/* Means of windows along axis 1 + `way` of an image, `window` places each. */
static tdo_node means_along(struct tdo_build *b, tdo_node x, int way, int64_t window)
{
    struct tdo_pool p = {.window = {1, 1}, .stride = {1, 1}};
    p.window[way] = p.stride[way] = (int32_t)window;
    return window == 1 ? x : tdo_op_avgpool(b->g, x, &p);
}

enum { MOST_PARTS = 16 };

static tdo_node parts_along(struct tdo_build *b, tdo_node x, int way, int parts)
{
    const int64_t size = tdo_graph_shape(b->g, x).dim[1 + way];
    tdo_node part[MOST_PARTS];
    if (size % parts == 0) {
        return means_along(b, x, way, size / parts);
    }
    for (int i = 0; i < parts; i++) {
        const int64_t first = i * size / parts, end = ((i + 1) * size + parts - 1) / parts;
        int64_t lo[4] = {0}, hi[4] = {0};
        lo[1 + way] = first;
        hi[1 + way] = size - end;
        part[i] = means_along(b, tdo_op_slice(b->g, x, lo, hi), way, end - first);
    }
    return tdo_op_concat(b->g, parts, part, 1 + way);
}

tdo_node tdo_layer_avgpool_to(struct tdo_build *b, tdo_node x, const int out[2])
{
    const tdo_shape s = tdo_graph_shape(b->g, x);
    for (int way = 0; way < 2; way++) {
        if (s.rank != 4 || out[way] < 1 || out[way] > MOST_PARTS) {
            return tdo_graph_fail(b->g, TDO_ERR_SHAPE, "means of %dx%d parts of %s", out[0],
                                  out[1], tdo_shape_print(&s).s);
        }
    }
    return parts_along(b, parts_along(b, x, 0, out[0]), 1, out[1]);
}

tdo_node tdo_layer_dropout(struct tdo_build *b, tdo_node x)
{
    const struct tdo_random how = {.stream = {.seed = b->seed,
                                              .purpose = TDO_PURPOSE_DROPOUT,
                                              .layer = (uint32_t)++b->dropouts},
                                   .law = TDO_LAW_UNIFORM,
                                   .shape = tdo_graph_shape(b->g, x),
                                   .part = b->part,
                                   .first = b->first_key};
    if (b->dropout <= 0) {
        return x;
    }
    tdo_node u = tdo_op_random(b->g, b->keys, &how);
    tdo_node p = tdo_op_constant(b->g, how.shape, b->dropout);
    tdo_node kept = tdo_op_affine(b->g, x, 1 / (1 - b->dropout), 0);
    tdo_node zero = tdo_op_constant(b->g, how.shape, 0);
    return tdo_op_select(b->g, tdo_op_greater(b->g, p, u), zero, kept);
}

tdo_node tdo_layer_global_mean(struct tdo_build *b, tdo_node x)
{
    const tdo_shape s = tdo_graph_shape(b->g, x);
    const struct tdo_pool p = {.window = {(int32_t)s.dim[1], (int32_t)s.dim[2]},
                               .stride = {1, 1}};
    return tdo_op_reshape(b->g, tdo_op_avgpool(b->g, x, &p), TDO_SHAPE(s.dim[0], s.dim[3]));
}

tdo_node tdo_layer_flatten(struct tdo_build *b, tdo_node x)
{
    const tdo_shape s = tdo_graph_shape(b->g, x);
    if (s.rank < 1) {
        return TDO_NONE;
    }
    if (s.rank == 4 && s.dim[1] * s.dim[2] > 1) {
        x = tdo_op_permute(b->g, x, (int[]){0, 3, 1, 2});
    }
    return tdo_op_reshape(b->g, x, TDO_SHAPE(s.dim[0], tdo_shape_count(&s) / s.dim[0]));
}

/* ---- names of nodes --------------------------------------------------------------------------- */

/* Where a name stands, or would. */
static int place_of(const struct tdo_build *b, const char *name)
{
    int i = 0;
    while (i < b->taps && strcmp(b->tap[i].name, name) != 0) {
        i++;
    }
    return i;
}

tdo_node tdo_layer_tap(struct tdo_build *b, const char *name, tdo_node x)
{
    const int i = place_of(b, name);
    if (x == TDO_NONE) {
        return TDO_NONE;
    }
    if (i == TDO_MAX_TAPS) {
        return tdo_graph_fail(b->g, TDO_ERR_BUG, "more than %d named nodes", TDO_MAX_TAPS);
    }
    if (i == b->taps) {
        b->tap[i].name = tdo_arena_string(tdo_graph_arena(b->g), name);
        if (!b->tap[i].name) {
            return tdo_graph_fail(b->g, TDO_ERR_MEMORY, "%s", tdo_error_last()->message);
        }
        b->taps++;
    }
    b->tap[i].node = x;
    return x;
}

tdo_node tdo_layer_tapped(const struct tdo_build *b, const char *name)
{
    const int i = place_of(b, name);
    return i < b->taps ? b->tap[i].node : TDO_NONE;
}
