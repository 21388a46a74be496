#ifndef TDO_DEFENSES_DISTILLATION_H
#define TDO_DEFENSES_DISTILLATION_H
/* What a training must know of the row distillation: whose word the network learns by. The teacher
 * itself is opened by the job and stands in the graph of a step (tdo_defense_step.teacher). */
#include "defenses/defense.h"

extern const struct tdo_defense tdo_defense_distillation;

/* The teacher's file as the config says it; "" where labels are learnt, and of any other row. */
const char *tdo_distillation_teacher(const struct tdo_defense_use *use);

#endif
