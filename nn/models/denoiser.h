#ifndef TDO_MODELS_DENOISER_H
#define TDO_MODELS_DENOISER_H
/* Networks that take the perturbation off an image, shared by dunet and dae. */
#include "nn/models/models.h"

/* x [N,H,W,C] -> x + what the network says, of the same shape. laterals: does each block on the way
 * up also see what the block of its size gave on the way down? */
tdo_node tdo_denoiser_build(struct tdo_build *b, tdo_node x, const struct tdo_model_spec *spec,
                            bool laterals);

#endif
