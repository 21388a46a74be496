#ifndef TDO_MODELS_MODELS_H
#define TDO_MODELS_MODELS_H
/* The table of architectures: one model = one file + one row of models.def.
 *
 * A network is an input layer, (pixel - mean) / std, and a model behind it. Pixels are in [0,1];
 * the input layer belongs to the network, so noise and perturbations are always measured in
 * pixels before it. */
#include "nn/layers.h"

struct tdo_model_spec {
    int64_t height, width, channels; /* of the images */
    int classes;
    char shortcut; /* residual nets: 'A' (subsample and zero channels) or 'B' (projection) */
    double wide;   /* model.width: factor of all channel counts inside; 0 is 1 */
    int inputs;    /* numbers in mean and std: 0 (identity), 1, or channels */
    double mean[16], std[16];
};

/* A row of models.def. */
struct tdo_model {
    const char *name, *help, *cite;
    bool shortcut;    /* does it read spec->shortcut? */
    bool width;       /* does it read spec->wide? */
    bool dropout;     /* has it dropout layers? */
    int64_t usual[3]; /* height, width, channels of the images it was made for */
    enum tdo_init weight_init, bias_init;
    /* x [N,H,W,C] behind the input layer -> logits [N,classes]. */
    tdo_node (*build)(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec);
};

#define MODEL(name) extern const struct tdo_model tdo_model_##name;
#include "nn/models/models.def"
#undef MODEL

extern const struct tdo_model *const tdo_model_table[];   /* NULL-ended */
const struct tdo_model *tdo_model_find(const char *name); /* NULL if absent */

/* Pixels [N,H,W,C] in [0,1] -> logits [N,classes]; the modes are b's. A spec that does not fit the
 * model leaves an error that names model.name or the data. */
tdo_node tdo_model_build(struct tdo_build *b, const struct tdo_model *m,
                         const struct tdo_model_spec *spec, tdo_node pixels);

/* A channel count times spec->wide: rounded to nearest, a half up; at least 1. For `build`. */
int64_t tdo_model_channels(const struct tdo_model_spec *spec, int64_t channels);

#endif
