#ifndef TDO_JOBS_NETWORK_H
#define TDO_JOBS_NETWORK_H
/* A network as jobs use it: architecture, input layer, defenses that live in it, and parameters;
 * from a config and a data set (train), or from a model file (certify, info).
 *
 * A model file of ours says which network it holds; a config may leave that out, and must not say
 * anything else. A foreign file, as PyTorch's safetensors.torch.save_file writes it, holds tensors
 * alone: model.name and its options, model.mean, model.std and `defense` say the rest. */
#include "defenses/defense.h"
#include "nn/models/models.h"

enum { TDO_NETWORK_DENOISERS = 4, TDO_NETWORK_MEMBERS = 7 };

struct tdo_network {
    const struct tdo_model *model;
    struct tdo_model_spec spec;
    struct tdo_defenses defenses;
    tdo_params *params;
    tdo_json *description; /* as it stands in the model file */
    bool foreign;          /* came from a file without a description */
    bool bf16;             /* inference computes in bf16 (model.precision) */
    bool small;            /* weights start small (model.init = rse) */
    bool shared;           /* random weights: one draw for all images (noise.share = batch) */
    const struct tdo_defense_use *outside; /* its first noise is on the pixels already; NULL */
    /* In use (network_front.h): denoisers in front of it, whose mean is taken, and how far pixels go
     * their way; networks whose logits are averaged with its own. Owned. */
    struct tdo_network *denoiser[TDO_NETWORK_DENOISERS];
    int denoisers;
    double denoise;
    struct tdo_network *member[TDO_NETWORK_MEMBERS];
    int members;
};

/* The image that a network is for. */
struct tdo_network_data {
    int64_t height, width, channels;
    int classes; /* 0 in the description of a denoiser */
};

/* From model.* and defense of a config. *out must not move afterwards. Owner: caller.
 * Errors: TDO_ERR_CONFIG, also where the model is no classifier, or no denoiser where a row of
 * defense trains one. */
TDO_MUST tdo_err tdo_network_configure(const tdo_config *c, const struct tdo_network_data *data,
                                       struct tdo_network *out);

/* From a model file, values included. data: the images that it must fit, NULL if there are none
 * (then a foreign file is for model.input, else the usual size of the model, and for model.classes,
 * else as many as its last layer has). *out must not move afterwards. Owner: caller.
 * Errors: TDO_ERR_FILE; TDO_ERR_FORMAT naming file and tensor; TDO_ERR_CONFIG naming the key that
 * is missing or says something else than the file, or where the model is no classifier. */
TDO_MUST tdo_err tdo_network_open(const tdo_config *c, const char *path,
                                  const struct tdo_network_data *data, struct tdo_network *out);

/* The same as a start for training: the defenses are those of the config; what they train in the
 * network, and the file has none of, starts as it does without a file. */
TDO_MUST tdo_err tdo_network_start(const tdo_config *c, const char *path,
                                   const struct tdo_network_data *data,
                                   struct tdo_network *out);

/* The same two for a network that gives either, logits or images (struct tdo_model). */
TDO_MUST tdo_err tdo_network_configure_any(const tdo_config *c,
                                           const struct tdo_network_data *data,
                                           struct tdo_network *out);
TDO_MUST tdo_err tdo_network_open_any(const tdo_config *c, const char *path,
                                      const struct tdo_network_data *data,
                                      struct tdo_network *out);

/* Images as a config asks for them: model.input, else the usual ones of `m`, and model.classes. */
TDO_MUST tdo_err tdo_network_size(const tdo_config *c, const struct tdo_model *m,
                                  struct tdo_network_data *out);
void tdo_network_free(struct tdo_network *n);

/* A context to build this network in, with its hooks; modes and keys are the caller's. */
struct tdo_build tdo_network_build_context(struct tdo_network *n, tdo_graph *g,
                                           enum tdo_norm_mode norm);
/* Pixels [N,H,W,C] -> what the model sees, through denoisers in front of it -> logits; the two parts,
 * and both. The latter alone knows of further members. */
tdo_node tdo_network_input(struct tdo_network *n, struct tdo_build *b, tdo_node pixels);
tdo_node tdo_network_behind(struct tdo_network *n, struct tdo_build *b, tdo_node x);
tdo_node tdo_network_logits(struct tdo_network *n, struct tdo_build *b, tdo_node pixels);
/* What the network, built in b, gives in the place `tap`; a name that it has not is an error in the
 * graph. */
tdo_node tdo_network_tapped(const struct tdo_network *n, const struct tdo_build *b,
                            const char *tap);
/* Pixels [N,H,W,C] -> pixels, of a denoiser. The wrong one of the two is an error in the graph. */
tdo_node tdo_network_image(struct tdo_network *n, struct tdo_build *b, tdo_node pixels);

/* From now on Gaussian noise of deviation `sigma`, the value of `key`, is added to the pixels that
 * the network is given. Where its own first noise layer does just that (a Gaussian one, with nothing
 * between it and the pixels) this noise takes the layer's place, and the layer is off; all other
 * noise stays on. Says so on the root.
 * Errors: TDO_ERR_CONFIG naming key and sigma of a layer that has another. */
TDO_MUST tdo_err tdo_network_smooth(struct tdo_network *n, const char *key, double sigma);

/* "f32" or "bf16": what inference computes in. */
const char *tdo_network_precision(const struct tdo_network *n);

/* Make the parameter table by building the network once, and give the values their start. */
TDO_MUST tdo_err tdo_network_init(struct tdo_network *n, uint32_t seed);
/* A hash of description and values, and of what stands in front and beside it: the same network on every rank has the same. */
TDO_MUST tdo_err tdo_network_hash(const struct tdo_network *n, uint64_t *hash);
TDO_MUST tdo_err tdo_network_save(const struct tdo_network *n, const char *path);

#endif
