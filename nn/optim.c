/* Optimiser steps in one pass over memory. See optim.h. */
#include "nn/optim.h"

#include "nn/base/clones.h"

TDO_CLONES static void sgd(int64_t n, float *restrict p, float *restrict v,
                           const float *restrict g, float lr, float momentum, float decay)
{
    for (int64_t i = 0; i < n; i++) {
        v[i] = momentum * v[i] + (g[i] + decay * p[i]);
        p[i] -= lr * v[i];
    }
}

void tdo_optim_sgd(const struct tdo_sgd *o, int64_t n, float *p, float *v, const float *g)
{
    sgd(n, p, v, g, (float)o->lr, (float)o->momentum, (float)o->weight_decay);
}
