#ifndef TDO_KERNELS_REFERENCE_H
#define TDO_KERNELS_REFERENCE_H
/* Reference kernels: plain loops that read like the formula, in f32 and f64.
 *
 * They are the oracle of every fast kernel, the f64 arithmetic of the gradient checks, and the
 * last fallback. Sums run in double. One source, reference.inc, is compiled twice. */
#include "nn/kernels/kernel.h"

#define TDO_REFERENCE(X)                                                                       \
    X(conv)                                                                                    \
    X(conv_dx)                                                                                 \
    X(conv_dw)                                                                                 \
    X(matmul)                                                                                  \
    X(sum)                                                                                     \
    X(broadcast)                                                                               \
    X(pad)                                                                                     \
    X(slice)                                                                                   \
    X(concat)                                                                                  \
    X(copy)                                                                                    \
    X(permute)                                                                                 \
    X(gather)                                                                                  \
    X(scatter)                                                                                 \
    X(one_hot)                                                                                 \
    X(argmax)                                                                                  \
    X(maxpool)                                                                                 \
    X(maxpool_arg)                                                                             \
    X(window_gather)                                                                           \
    X(window_scatter)                                                                          \
    X(avgpool)                                                                                 \
    X(avgpool_dx)                                                                              \
    X(upsample)                                                                                \
    X(upsample_dx)                                                                             \
    X(random)                                                                                  \
    X(bn_stats)                                                                                \
    X(bn_train)                                                                                \
    X(bn_reduce)                                                                               \
    X(bn_dx)                                                                                   \
    X(xent)                                                                                    \
    X(xent_dz)
/* Both types of one kernel, as an operation's row wants them. */
#define TDO_REFERENCE_PAIR(name)                                                               \
    {                                                                                          \
        tdo_reference_##name##_f32, tdo_reference_##name##_f64                                 \
    }

#define X(name) extern tdo_kernel_fn tdo_reference_##name##_f32, tdo_reference_##name##_f64;
TDO_REFERENCE(X)
#undef X

#endif
