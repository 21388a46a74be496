#ifndef TDO_ATTACKS_AIM_H
#define TDO_ATTACKS_AIM_H
/* Which class an attack's loss is about: one to leave, or one to reach. */
#include "attacks/attack.h"

/* As in the choices of the option `label`. */
enum tdo_aim {
    TDO_AIM_TRUE,      /* leave the true label */
    TDO_AIM_PREDICTED, /* leave the class predicted at the clean point: no label is looked at */
    TDO_AIM_LEAST,     /* reach the least likely class */
    TDO_AIM_RANDOM,    /* reach a random wrong class, drawn by sample */
    TDO_AIM_CLASS,     /* reach the class of the option `class`; its own images stay in it */
    TDO_AIM_EACH /* reach each of the `targets` likeliest wrong classes in turn, best kept */
};
#define TDO_ATTACK_LABEL(usual)                                                                \
    TDO_ATTACK_CHOICE("label", "true|predicted|least|random|class|each", usual,                \
                      "leave the true label or the predicted one; reach the least likely, a "  \
                      "random wrong class, a class, or each of the likeliest in turn"),        \
        TDO_ATTACK_CLASS
/* For attacks that reach one class at most. */
#define TDO_ATTACK_LABEL_ONE(usual)                                                            \
    TDO_ATTACK_CHOICE("label", "true|predicted|least|random|class", usual,                     \
                      "leave the true label or the predicted one; reach the least likely "     \
                      "class, a random wrong one, or a class"),                                \
        TDO_ATTACK_CLASS
#define TDO_ATTACK_CLASS TDO_ATTACK_INT("class", 0, 65535, "0", NULL, "label = class: which")
#define TDO_ATTACK_TARGETS                                                                     \
    TDO_ATTACK_INT("targets", 1, 65536, "9", "classes", "label = each: how many, best kept")

enum tdo_aim tdo_aim_read(const struct tdo_attack_use *use);
/* Is a class to be reached? */
bool tdo_aim_targeted(enum tdo_aim aim);
/* Does the choice depend on clean logits? */
bool tdo_aim_looks(enum tdo_aim aim);
/* How many choices there are to go through: 1, or as many as targets and other classes. */
int tdo_aim_rounds(const struct tdo_attack_use *use, enum tdo_aim aim, int classes);

/* Has the target the class that is to be reached? Errors: TDO_ERR_CONFIG naming the key. */
TDO_MUST tdo_err tdo_aim_check(const struct tdo_attack_use *use, const tdo_target *t);

/* What an aim looks at, from the answer at the clean points: the logits; but for the class that an
 * ensemble predicts the sum of its members' probabilities. Shapes: out [count,K]. Source: published
 * code of Liao et al. 2018. */
void tdo_aim_scores(const tdo_target *t, enum tdo_aim aim, int64_t count,
                    const struct tdo_answer *answer, float *out);

/* Set s->aim and s->target for round `round`. logits [count,K]: at the clean points, or
 * tdo_aim_scores; may be NULL where the aim does not look. */
void tdo_aim_choose(const struct tdo_attack_use *use, enum tdo_aim aim, int round,
                    const float *logits, int classes, struct tdo_samples *s);

/* The whole of it for an attack with one round: asks for the clean logits if the aim looks at them.
 * Errors: those of the target. */
TDO_MUST tdo_err tdo_aim_once(const struct tdo_attack_use *use, enum tdo_aim aim, tdo_target *t,
                              struct tdo_samples *s);

#endif
