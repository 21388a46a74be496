#ifndef TDO_JOBS_CRAFTER_H
#define TDO_JOBS_CRAFTER_H
/* What defenses with an inner attack train on: the rows of a shard, attacked on the network as it
 * is now, or on stored ones, in evaluation mode (running statistics).
 *
 * What becomes of a row depends on the row, the step and the weights: not on ranks, nor on the
 * other rows. Which network is attacked is drawn once a step. */
#include "attacks/attack.h"
#include "jobs/attack/ensemble.h"
#include "jobs/network.h"

typedef struct tdo_crafter tdo_crafter;

/* The attack that a network's defenses ask for: of the list `inner` of a config. *wanted is false
 * where no row trains on one. Of a row that is `smoothed` it has the draws of that row, which stay
 * the same in all its steps. Errors: TDO_ERR_CONFIG naming the key. */
TDO_MUST tdo_err tdo_crafter_read(const tdo_config *c, const struct tdo_network *n,
                                  struct tdo_attack_use *out, bool *wanted);

/* For shards of up to `rows` rows. n is borrowed, its parameters are what is attacked; so are the
 * members of sources, each by itself, if there are any.
 * Errors: those of the target, and of tdo_attack_check. Ranks: not collective, errors are local.
 * Owner: caller, tdo_crafter_free. */
TDO_MUST tdo_err tdo_crafter_new(struct tdo_network *n, const struct tdo_ensemble *sources,
                                 const struct tdo_attack_use *use, int64_t rows,
                                 tdo_crafter **out);
void tdo_crafter_free(tdo_crafter **c);

/* The network's parameters have changed. */
void tdo_crafter_touch(tdo_crafter *c);

/* The source that the rows of this step are attacked on; -1: the network itself. */
int tdo_crafter_source(const tdo_crafter *c, uint32_t step);

/* Rows to be attacked, in a step of the training. */
struct tdo_crafter_rows {
    int64_t count;
    const float *raw; /* [count,P], 0..255 if u8, else pixels */
    bool u8;
    const int32_t *label;
    const uint64_t *id;
    uint32_t step;
    double epochs; /* that are done */
};

/* pixels [count,P]: what is found, or the clean pixels in a step that is not attacked.
 * Errors: those of the attack. Ranks: not collective. */
TDO_MUST tdo_err tdo_crafter_run(tdo_crafter *c, const struct tdo_crafter_rows *rows,
                                 float *pixels);

#endif
