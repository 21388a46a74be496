#ifndef TDO_OPTIM_H
#define TDO_OPTIM_H
/* Optimisers: one step over flat blocks. The state is flat too, so a checkpoint stores it whole. */
#include <stdint.h>

#include "nn/base/error.h"

struct tdo_sgd {
    double lr, momentum, weight_decay;
};

/* Stochastic gradient descent with momentum, as PyTorch has it:
 *     d = g + weight_decay p;  v = momentum v + d;  p = p - lr v
 * p, v, g [n]; v starts as zero. Source: Sutskever et al. 2013, eq. 1-2, with lr outside v. */
void tdo_optim_sgd(const struct tdo_sgd *o, int64_t n, float *p, float *v, const float *g);

#endif
