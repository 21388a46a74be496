#ifndef TDO_OPTIM_H
#define TDO_OPTIM_H
/* Optimisers: one step over the flat block of weights, in one pass over memory.
 *
 * The state is one flat block too, so a checkpoint stores it whole, and a step count. What differs
 * between parameters (is weight decay for it?) is kept as runs of neighbouring floats. */
#include "nn/params.h"

enum tdo_optim_kind { TDO_OPTIM_SGD, TDO_OPTIM_ADAM, TDO_OPTIM_LARS };

struct tdo_optim_options {
    enum tdo_optim_kind kind;
    double momentum; /* sgd, lars */
    bool nesterov;
    double beta1, beta2, epsilon; /* adam */
    double trust;                 /* lars */
    double weight_decay;
    bool decay_kernels; /* weight decay for kernels and matrices only: no biases, no norms */
    bool fixed_norms;   /* scale and shift of normalisations stay as they are */
    double clip;        /* largest L2 norm of the whole gradient; 0: any */
};

typedef struct tdo_optim tdo_optim;

/* For the weights of p, which is not kept. The state starts as zero. Owner: caller. */
TDO_MUST tdo_err tdo_optim_new(const struct tdo_optim_options *o, const tdo_params *p,
                               tdo_optim **out);
void tdo_optim_free(tdo_optim **o);

/* One step on weights w [n] with gradient g [n], n as p had, as PyTorch has it:
 *
 *     g = g min(1, clip / (|g| + 1e-6)),   d = g + weight_decay w
 *     sgd       v = momentum v + d;   w = w - rate v,  nesterov: w = w - rate (d + momentum v)
 *     adam      m = beta1 m + (1 - beta1) d;   v = beta2 v + (1 - beta2) d^2
 *               w = w - rate / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + epsilon)
 *     lars      v = momentum v + rate r d;   w = w - v,  for each parameter
 *               r = trust |w| / (|g| + weight_decay |w|), where neither is 0; else, and for biases and
 *               normalisations, 1
 *
 * Sources: Sutskever et al. 2013, eq. 1-4, with the rate outside v; Kingma and Ba 2015, algorithm 1
 * (weight decay as a gradient term);
 * You et al. 2017, algorithm 1 (lars); Pascanu et al. 2013, algorithm 1 (clip). */
void tdo_optim_step(tdo_optim *o, double rate, float *w, const float *g);

/* Start afresh: as tdo_optim_new left it. */
void tdo_optim_reset(tdo_optim *o);

/* The state, for checkpoints: numbers [*count] and the count of steps; borrowed. */
float *tdo_optim_state(tdo_optim *o, int64_t *count);
int64_t *tdo_optim_steps(tdo_optim *o);

#endif
