#ifndef TDO_JOBS_OUTCOMES_H
#define TDO_JOBS_OUTCOMES_H
/* Outcomes: what each attack did to each image. `attack` writes them, `evaluate` and `report` make
 * tables and pictures of them.
 *
 *   outcomes.tsv   one line for each attack and image that it took, sorted by attack, then by image:
 *                  attack idx label clean predict target success l0 l2 linf x2 xinf queries
 *                  gradients wrong draws; attack is its number, from 0
 *   attack.json    what they belong to: { "model", "network", "precision", "data", "split", "skip",
 *                  "images", "classes", "attacks": [ { "name", "title", "norm", "eps", ... } ] },
 *                  one object an attack with all of its options, in the order of their numbers;
 *                  no eps, or null: no ball; titles differ; idx of image i is i * skip;
 *                  "taken": how many images an attack took, where that is not all of them
 *
 * An image that an attack did not take (attack.N.share) has no line: it counts neither for nor against
 * that attack. In memory its outcome has draws = 0, and row, label and clean as with other attacks
 * (label -1 where no attack took it).
 *
 * Both have the same bytes for any number of ranks. Reals are written with nine digits; files that
 * are read and written again are the same. */
#include <stdbool.h>
#include <stdint.h>

#include "attacks/threat.h"
#include "nn/base/json.h"

struct tdo_outcome {
    int64_t row;            /* of the split */
    int32_t label;          /* true class */
    int32_t clean, predict; /* what the target says of the image, and of what was made of it */
    int32_t target;         /* the class aimed at, -1 for none */
    int32_t success;      /* 1: predict is the class aimed at; without one, is not the label */
    int32_t wrong, draws; /* of so many fresh draws of a random target, how many missed the
                                  label; a target that does not draw has one */
    double l0, l2, linf;  /* of the perturbation, in the units of the threat model */
    double x2, xinf;      /* of the image itself */
    uint64_t queries, gradients; /* model runs spent on it, forward and backward */
};

/* Did the attack take the image? What follows is for those. */
bool tdo_outcome_taken(const struct tdo_outcome *o);
/* Of one outcome: the perturbation in a norm; right as it was; right under the attack. */
double tdo_outcome_length(const struct tdo_outcome *o, enum tdo_norm norm);
bool tdo_outcome_clean(const struct tdo_outcome *o);
bool tdo_outcome_right(const struct tdo_outcome *o);

struct tdo_outcomes {
    int64_t images;
    int attacks;
    struct tdo_outcome *of; /* [attacks][images] */
    tdo_json *about;        /* attack.json */
};

/* Zeroed; about is NULL until the caller sets it. Owner: caller, tdo_outcomes_free. */
TDO_MUST tdo_err tdo_outcomes_new(int attacks, int64_t images, struct tdo_outcomes *out);
void tdo_outcomes_free(struct tdo_outcomes *o);

/* What attack.json says of attack a; texts are borrowed from o. */
struct tdo_outcomes_attack {
    const char *name, *title;
    enum tdo_norm norm; /* TDO_NORMS: none, as that of `clean` */
    double eps;         /* HUGE_VAL: no ball; where eps are drawn, the largest */
    bool ranged;        /* are they drawn, by image? */
    int64_t taken;      /* images */
};

/* Errors: TDO_ERR_FORMAT naming attack.json, the attack and its key. */
TDO_MUST tdo_err tdo_outcomes_attack(const struct tdo_outcomes *o, int a,
                                     struct tdo_outcomes_attack *out);

/* Outcome of attack a on image i. */
struct tdo_outcome *tdo_outcomes_at(const struct tdo_outcomes *o, int a, int64_t i);

/* Where adversarial.h5 has what attack a made of image i: place[a * images + i], -1 for what was not
 * taken. The set lies layer by layer: layer m holds, image by image, what the m-th attack that took the
 * image made of it. So a layer that is full has all images in their order, once; attacks whose shares
 * add up to 1 make one layer. Shapes: place [attacks, images]; *rows: of the set.
 * Errors: TDO_ERR_MEMORY. */
TDO_MUST tdo_err tdo_outcomes_places(const struct tdo_outcomes *o, int64_t *place,
                                     int64_t *rows);

/* Write both files into a directory, outcomes.tsv last: it says that the attacks are done.
 * Errors: TDO_ERR_FILE; TDO_ERR_BUG for outcomes that could not be read again. */
TDO_MUST tdo_err tdo_outcomes_write(const struct tdo_outcomes *o, const char *dir);

/* Errors: TDO_ERR_FILE naming the file that is missing; TDO_ERR_FORMAT naming file and line.
 * Owner: caller, tdo_outcomes_free, also after an error. */
TDO_MUST tdo_err tdo_outcomes_read(const char *dir, struct tdo_outcomes *out);

#endif
