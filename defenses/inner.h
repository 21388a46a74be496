#ifndef TDO_DEFENSES_INNER_H
#define TDO_DEFENSES_INNER_H
/* What defenses share that train on what an inner attack makes of an image. The attack is a row of
 * the list `inner` of the config; it sees the network in evaluation mode, with running statistics,
 * and the images before rows that augment. */
#include "defenses/defense.h"

/* Their option rows. */
#define TDO_DEFENSE_INNER                                                                      \
    {.key = "inner",                                                                           \
     .type = TDO_OPTION_INT,                                                                   \
     .min = 0,                                                                                 \
     .max = 15,                                                                                \
     .value = "0",                                                                             \
     .help = "which attack of the list inner is trained on"},                                  \
    {                                                                                          \
        .key = "warmup", .type = TDO_OPTION_REAL, .min = 0, .max = 1e6, .value = "0",          \
        .unit = "epochs", .help = "clean images take the place of attacked ones for so long"   \
    }
#define TDO_DEFENSE_SHARE(usual)                                                               \
    {                                                                                          \
        .key = "share", .type = TDO_OPTION_REAL, .min = 0, .max = 1, .value = (usual),         \
        .help = "how much of the training is on attacked images"                               \
    }

/* (1 - share) CE(clean) + share CE(attacked) of each row, [N]; with share = 1 the clean image is
 * not looked at. */
tdo_node tdo_inner_loss(struct tdo_defense_step *s, double share);

#endif
