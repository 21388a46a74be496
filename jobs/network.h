#ifndef TDO_JOBS_NETWORK_H
#define TDO_JOBS_NETWORK_H
/* A network as jobs use it: architecture, input layer, defenses that live in it, and parameters;
 * from a config and a data set (train), or from a model file (certify, info). */
#include "defenses/defense.h"
#include "nn/models/models.h"

struct tdo_network {
    const struct tdo_model *model;
    struct tdo_model_spec spec;
    struct tdo_defenses defenses;
    tdo_params *params;
    tdo_json *description; /* as it stands in the model file */
};

/* The image that a network is for. */
struct tdo_network_data {
    int64_t height, width, channels;
    int classes;
};

/* From model.* and defense of a config. *out must not move afterwards. Owner: caller. */
TDO_MUST tdo_err tdo_network_configure(const tdo_config *c, const struct tdo_network_data *data,
                                       struct tdo_network *out);

/* From a model file, values included. data: NULL, or what it must fit (TDO_ERR_CONFIG if not). */
TDO_MUST tdo_err tdo_network_load(const char *path, const struct tdo_network_data *data,
                                  struct tdo_network *out);
void tdo_network_free(struct tdo_network *n);

/* A context to build this network in, with its hooks; modes and keys are the caller's. */
struct tdo_build tdo_network_build_context(struct tdo_network *n, tdo_graph *g,
                                           enum tdo_norm_mode norm);
/* Pixels [N,H,W,C] -> logits. */
tdo_node tdo_network_logits(struct tdo_network *n, struct tdo_build *b, tdo_node pixels);

/* Make the parameter table by building the network once, and give the values their start. */
TDO_MUST tdo_err tdo_network_init(struct tdo_network *n, uint32_t seed);
/* A hash of description and values: the same network on every rank has the same. */
TDO_MUST tdo_err tdo_network_hash(const struct tdo_network *n, uint64_t *hash);
TDO_MUST tdo_err tdo_network_save(const struct tdo_network *n, const char *path);

#endif
