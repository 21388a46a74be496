#ifndef TDO_LAYERS_H
#define TDO_LAYERS_H
/* Layer builders: what models are written with, and where defenses reach into any of them.
 *
 * A model calls tdo_layer_conv, tdo_layer_activation, ... on a build context. The context holds
 * the modes as explicit fields (silently different modes are the classic way to a false
 * robustness claim) and hooks: a defense that adds noise before convolutions, changes weights or
 * bounds activations works in every architecture without knowing it.
 *
 * All builders return TDO_NONE after an error, which stays in the graph (graph.h). */
#include "nn/graph/ops.h"
#include "nn/params.h"

struct tdo_build;

/* What a defense puts into a network; NULL leaves the default. `self` is the defense's own. */
struct tdo_hook {
    tdo_node (*before_conv)(struct tdo_build *b, const void *self, tdo_node x, int conv);
    tdo_node (*weight)(struct tdo_build *b, const void *self, tdo_node w, int layer);
    /* In front of and behind a layer with weights, x [N,H,W,C] ([N,1,1,C] of a linear one). */
    tdo_node (*before_layer)(struct tdo_build *b, const void *self, tdo_node x, int layer);
    tdo_node (*after_layer)(struct tdo_build *b, const void *self, tdo_node y, int layer);
    tdo_node (*activation)(struct tdo_build *b, const void *self, tdo_node x);
    bool draws_weights; /* `weight` draws: see tdo_build.shared */
    const void *self;
};

enum tdo_norm_mode {
    TDO_NORM_BATCH,  /* statistics of the batch; running statistics are to be updated */
    TDO_NORM_RUNNING /* running statistics, folded into the convolution before */
};

enum { TDO_MAX_NORMS = 512, TDO_MAX_TAPS = 320 };

/* Batch statistics of one normalisation layer, to update its running ones with. */
struct tdo_batch_stats {
    int64_t mean, var; /* entries of tdo_params */
    tdo_node stats;    /* [2,C] */
    int64_t per;       /* places a row */
};

/* A node that a model has named. */
struct tdo_tap {
    const char *name; /* in the graph's memory */
    tdo_node node;
};

struct tdo_build {
    tdo_graph *g;
    tdo_params *params;
    int64_t first_param; /* number of its first parameter in the graph: networks that share a
                            graph have their own ranges */
    /* Weights that derivatives go on to, as tdo_params_listed has it; others are constants.
     * NULL or "": all. */
    const char *learns;
    const struct tdo_hook *hook;
    const void *outside; /* self of the hook whose noise in front of the first convolution is on
                            the pixels already; NULL: of none */
    const char *layer;   /* of the layer being made, for hooks: its name; */
    double dropout;      /* probability of dropping a unit in training; 0: no dropout */
    double norm_eps;     /* added to variances; 0: 1e-5. Its model sets it */
    int hooks;
    uint32_t seed; /* of dropout */
    enum tdo_norm_mode norm;
    enum tdo_init weight_init, bias_init;
    tdo_node auxiliary;   /* logits of an auxiliary head, if the model has one, which sets it */
    tdo_node row_weights; /* [N], TDO_NORM_BATCH only: 0 marks padding */
    tdo_node keys;        /* [N], for random layers; TDO_NONE if there are none */
    int first_key;        /* `part`: the first of keys that is of this network */
    tdo_node weight_keys; /* `shared` */
    int convs, layers;    /* counters: convolutions; layers with weights */
    int dropouts;         /* counter: places of dropout */
    int activations;      /* counter */
    int norms;
    bool noise; /* are noise layers active? */
    bool part;  /* the network is built for a part of these rows, from first_key on */
    /* One draw of random weights serves all rows. Its key is the first of weight_keys (TDO_NONE:
     * of keys), with TDO_SAMPLE_BATCH as its sample: all keys have one draw and step. Otherwise a
     * network with random weights has one row. */
    bool shared;
    bool convolution; /* is the layer being made one, or linear? */
    struct tdo_batch_stats stats[TDO_MAX_NORMS];
    int taps;
    struct tdo_tap tap[TDO_MAX_TAPS]; /* in order of the network; see tdo_layer_tap */
};

struct tdo_layer_conv {
    int kernel[2], stride[2];
    int pad[4]; /* top, left, bottom, right */
    int groups; /* 0 is 1 */
    bool bias;
};
/* A square convolution with equal padding on all sides. */
struct tdo_layer_conv tdo_layer_square(int kernel, int stride, int pad, bool bias);
/* TensorFlow's padding "same" for an image of this size: output ceil(size/stride), the odd row and
 * column of padding at the bottom and right. */
struct tdo_layer_conv tdo_layer_same(int kernel, int stride, int64_t height, int64_t width,
                                     bool bias);

/* A parameter layer.part that training leaves alone (TDO_PARAM_FIXED). */
tdo_node tdo_layer_fixed(struct tdo_build *b, const char *layer, const char *part,
                         tdo_shape shape);
/* A parameter of the defense `owner`, <layer being made>.part, that is trained without weight decay
 * unless `decay`, and starts at a value. For hooks; the name is a constant. */
tdo_node tdo_layer_parameter(struct tdo_build *b, const char *owner, const char *part,
                             tdo_shape shape, double start, bool decay);
/* N(0,1) for hooks, of this shape: a draw for each row of the network (shape[0] of them), or one
 * for its weights, shape [1,...]. stream: purpose and layer are the caller's. */
tdo_node tdo_layer_normals(struct tdo_build *b, const struct tdo_stream *stream,
                           tdo_shape shape);
tdo_node tdo_layer_weight_normals(struct tdo_build *b, const struct tdo_stream *stream,
                                  tdo_shape shape);
/* The same by another law, for each row. */
tdo_node tdo_layer_draw(struct tdo_build *b, const struct tdo_stream *stream, int32_t law,
                        tdo_shape shape);
/* x [N,H,W,C] -> [N,OH,OW,channels]; parameters name.weight [channels,C/groups,KH,KW], name.bias. */
tdo_node tdo_layer_conv(struct tdo_build *b, const char *name, tdo_node x, int64_t channels,
                        const struct tdo_layer_conv *spec);
/* x [N,in] -> [N,out]; parameters name.weight [out,in], name.bias. Runs as a 1x1 convolution,
 * whose rows do not depend on the batch. */
tdo_node tdo_layer_linear(struct tdo_build *b, const char *name, tdo_node x, int64_t out);
/* Batch normalisation over all axes but the last, eps b->norm_eps; name.weight, bias, running_mean, _var. */
tdo_node tdo_layer_batchnorm(struct tdo_build *b, const char *name, tdo_node x);
/* The same without scale and shift; name.running_mean, _var. */
tdo_node tdo_layer_batchnorm_plain(struct tdo_build *b, const char *name, tdo_node x);
/* ReLU, unless a hook replaces it. */
tdo_node tdo_layer_activation(struct tdo_build *b, tdo_node x);
/* With the context's probability p an element becomes 0, else x / (1 - p); the mask belongs to the
 * row's key. Inference, p = 0, leaves x. Source: Srivastava et al. 2014, section 10, inverted. */
tdo_node tdo_layer_dropout(struct tdo_build *b, tdo_node x);
tdo_node tdo_layer_maxpool(struct tdo_build *b, tdo_node x, int window, int stride);
tdo_node tdo_layer_avgpool(struct tdo_build *b, tdo_node x, int window, int stride);
/* Means over out[0] x out[1] parts of an image, as equal as can be: along an axis of `size` places
 * part i of n is [floor(i size / n), ceil((i+1) size / n)), PyTorch's adaptive average pooling.
 * Parts overlap by a place where n does not divide size. [N,H,W,C] -> [N,out[0],out[1],C]. */
tdo_node tdo_layer_avgpool_to(struct tdo_build *b, tdo_node x, const int out[2]);
/* Mean over the whole image: [N,H,W,C] -> [N,C]. */
tdo_node tdo_layer_global_mean(struct tdo_build *b, tdo_node x);
/* [N,H,W,C] -> [N, C H W] in PyTorch's order (channels first). */
tdo_node tdo_layer_flatten(struct tdo_build *b, tdo_node x);

/* Let x be found under this name (copied) once the network is built, and return it; the name is the
 * one that the state dict has for the layer, block or stage that x comes from. Nothing is computed
 * for it unless somebody uses it. A name that is there already then means x. */
tdo_node tdo_layer_tap(struct tdo_build *b, const char *name, tdo_node x);
/* The node of that name; TDO_NONE if there is none. Every model has "features", what its last
 * convolutional block gives (pooling for maxima included, means not; without convolutions the last
 * hidden layer), and "logits", or "image" if it gives one. */
tdo_node tdo_layer_tapped(const struct tdo_build *b, const char *name);

#endif
