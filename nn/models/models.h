#ifndef TDO_MODELS_MODELS_H
#define TDO_MODELS_MODELS_H
/* The table of architectures: one model = one file + one row of models.def.
 *
 * A network is an input layer, such as (pixel - mean) / std, and a model behind it. Pixels are in [0,1];
 * the input layer belongs to the network, so noise and perturbations are always measured in
 * pixels before it. */
#include "nn/layers.h"

struct tdo_model_spec {
    int64_t height, width, channels; /* of the images */
    int classes;
    char shortcut; /* residual nets: 'A' (subsample and zero channels) or 'B' (projection) */
    double wide;   /* model.width: factor of all channel counts inside; 0 is 1 */
    int depth;     /* model.depth: layers, in models that come in many depths; 0: the usual */
    int inputs;    /* numbers in mean and std: 0 (identity), 1, or channels */
    double mean[16], std[16];
    /* The input layer takes off the mean training image (and `mean` is 0), evens out contrast,
     * whitens: nn/models/input.h. */
    bool mean_image, contrast, whiten;
};

enum tdo_model_output {
    TDO_MODEL_LOGITS, /* [N,classes] */
    TDO_MODEL_IMAGE   /* pixels of the input's shape, not clipped: a denoiser */
};

/* A row of models.def. */
struct tdo_model {
    const char *name, *help, *cite;
    enum tdo_model_output output;
    bool shortcut;    /* does it read spec->shortcut? */
    bool width;       /* does it read spec->wide? */
    int depth;        /* the usual spec->depth, of the depths 6n + 4; 0: it has one depth */
    bool dropout;     /* has it dropout layers? */
    int64_t usual[3]; /* height, width, channels of the images it was made for */
    double norm_eps;  /* tdo_build.norm_eps */
    enum tdo_init weight_init, bias_init;
    /* x [N,H,W,C] behind the input layer -> logits [N,classes] or an image like x. */
    tdo_node (*build)(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec);
};

#define MODEL(name) extern const struct tdo_model tdo_model_##name;
#include "nn/models/models.def"
#undef MODEL

extern const struct tdo_model *const tdo_model_table[];   /* NULL-ended */
const struct tdo_model *tdo_model_find(const char *name); /* NULL if absent */

/* Pixels [N,H,W,C] in [0,1] -> logits [N,classes], or pixels; the modes are b's. A spec that does not
 * fit the model leaves an error that names model.name or the data: a model that gives an image takes
 * no input layer, and reads no spec->classes. */
tdo_node tdo_model_build(struct tdo_build *b, const struct tdo_model *m,
                         const struct tdo_model_spec *spec, tdo_node pixels);

/* The two parts of it: the input layer, and what is behind it. */
tdo_node tdo_model_input(struct tdo_build *b, const struct tdo_model_spec *spec,
                         tdo_node pixels);
tdo_node tdo_model_behind(struct tdo_build *b, const struct tdo_model *m,
                          const struct tdo_model_spec *spec, tdo_node x);

/* Let the result of a block be found by its name, `prefix` without its last dot, and that of the last
 * block of a stage by the stage's too: layer2.1 and layer2. For `build`. */
void tdo_model_tap_block(struct tdo_build *b, const char *prefix, tdo_node x, bool last);

/* A convolution to `channels` and the batch norm behind it, named `prefix` and then `conv` and `norm`.
 * For `build`. */
tdo_node tdo_model_norm_conv(struct tdo_build *b, const char *prefix, const char *conv,
                             const char *norm, tdo_node x, int64_t channels,
                             const struct tdo_layer_conv *spec);

/* A channel count times spec->wide: rounded to nearest, a half up; at least 1. For `build`. */
int64_t tdo_model_channels(const struct tdo_model_spec *spec, int64_t channels);

#endif
