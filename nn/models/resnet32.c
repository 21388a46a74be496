/* ResNet-32: five basic blocks a stage. See resnet.c.
 * Source: He et al. 2016, section 4.2. */
#include "nn/models/resnet.h"

TDO_RESNET_ROW(32, 5);
