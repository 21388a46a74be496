#ifndef TDO_JOBS_INFERENCE_H
#define TDO_JOBS_INFERENCE_H
/* A network as a plan that turns rows of raw values into logits: what evaluate, predict, certify
 * and bench run. Normalisation uses running statistics; arithmetic is in the network's precision. */
#include "defenses/noise.h"
#include "jobs/network.h"
#include "nn/graph/plan.h"

struct tdo_inference {
    tdo_graph *g;
    tdo_plan *plan;
    tdo_node raw, keys; /* inputs [batch,H,W,C] as in the file, and [batch] */
    int64_t batch;
};

/* noise: added to the pixels of each row by its key; NULL for none.
 * Errors: those of building the network and the plan; local, agree on them.
 * Owner: caller, tdo_inference_free, also after an error; n is borrowed. */
TDO_MUST tdo_err tdo_inference_new(struct tdo_network *n, int64_t batch, bool u8,
                                   const struct tdo_noise *noise, struct tdo_inference *out);
/* The same with noise layers inside the network off. */
TDO_MUST tdo_err tdo_inference_new_quiet(struct tdo_network *n, int64_t batch, bool u8,
                                         const struct tdo_noise *noise,
                                         struct tdo_inference *out);
void tdo_inference_free(struct tdo_inference *f);

/* The class of a row: the lowest index of a largest logit. logits [classes], none of them NaN. */
int tdo_inference_class(const float *logits, int classes);

#endif
