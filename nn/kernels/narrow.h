#ifndef TDO_KERNELS_NARROW_H
#define TDO_KERNELS_NARROW_H
/* bf16: the upper half of an f32. Only plans for inference use it, between convolutions. */
#include "nn/kernels/kernel.h"

/* Kernel of the node narrow: f32 in, bf16 out, rounded to nearest, ties to even; NaN stays NaN. */
void tdo_narrow_run(const struct tdo_call *call);
/* Kernel of the node widen: bf16 in, f32 out; exact. */
void tdo_widen_run(const struct tdo_call *call);

#endif
