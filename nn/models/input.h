#ifndef TDO_MODELS_INPUT_H
#define TDO_MODELS_INPUT_H
/* The input layer in front of every model. */
#include "nn/models/models.h"

enum { TDO_INPUT_MOST = 8192 }; /* numbers of an image that can be whitened */

/* In pixels, 0..1: the standard deviation below which an image's contrast is not raised, and that
 * of a direction below which whitening does not raise it. 40 and 10 of 255 in the CIFAR-10 example
 * of MatConvNet, which Yan et al. 2018 (Deep Defense) took their networks from. */
#define TDO_INPUT_CONTRAST (40.0 / 255)
#define TDO_INPUT_WHITEN   (10.0 / 255)

/* Pixels [N,H,W,C] in 0..1 -> what the model sees, of the same shape, by these steps in turn:
 *
 *     mean_image  x - input.mean                                      input.mean [C,H,W]
 *     contrast    d = x - mean of x;  d input.contrast / max(s, .)    input.contrast [1]
 *                 s = sqrt(sum of d d / (H W C - 1))
 *     whiten      input.whiten x, x in the order [C,H,W]              input.whiten [CHW,CHW]
 *     std         x / spec->std; without mean_image (x - spec->mean) / spec->std
 *
 * The tensors are parameters of kind TDO_PARAM_FIXED, zero until someone fills them in. */
tdo_node tdo_input_layer(struct tdo_build *b, const struct tdo_model_spec *spec, tdo_node x);

#endif
