/* ResNet-56: nine basic blocks a stage. See resnet.c.
 * Source: He et al. 2016, section 4.2. */
#include "nn/models/resnet.h"

TDO_RESNET_ROW(56, 9);
