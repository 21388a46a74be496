#ifndef TDO_ATTACKS_OBJECTIVE_H
#define TDO_ATTACKS_OBJECTIVE_H
/* The graph between a network's logits and what an attack climbs: draws are reduced, members of an
 * ensemble averaged, and the objective of target.h is formed. */
#include "attacks/target.h"

/* Logits of R = B m rows, sample by sample, of each member; and what the objective compares. */
struct tdo_objective_graph {
    tdo_graph *g;
    int64_t samples; /* B */
    int draws, members, classes;
    enum tdo_reduce reduce;
    tdo_node logits[TDO_TARGET_MEMBERS]; /* [R,K] */
    tdo_node auxiliary;                  /* [R,K], TDO_NONE if there is none */
    double auxiliary_weight;
    tdo_node goal;  /* [B,K] distribution */
    tdo_node label; /* [B] */
};

/* The draws of each sample together, [B,K]. member -1: all of them. */
tdo_node tdo_objective_decision(const struct tdo_objective_graph *o, int member);
/* Their mean logits over draws and members, [B,K]. */
tdo_node tdo_objective_mean_logits(const struct tdo_objective_graph *o);
/* J [B]. */
tdo_node tdo_objective_value(const struct tdo_objective_graph *o,
                             const struct tdo_objective *j);

#endif
