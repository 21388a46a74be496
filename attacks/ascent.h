#ifndef TDO_ATTACKS_ASCENT_H
#define TDO_ATTACKS_ASCENT_H
/* Gradient ascent inside a ball: what FGSM, I-FGSM, PGD, EPGD and SmoothAdv have in common.
 *
 *     u = x + start
 *     repeat:  g = dJ/du,   m = momentum m + g / mean |g|,   u = project(u + step_k direction(m))
 *
 * for each restart and each class to reach; `best` keeps, over all points that were met, the one
 * with the largest margin (target.h), `last` the point where it ends.
 * Source: Madry et al. 2018, section 2.1; Kurakin et al. 2017; Dong et al. 2018, momentum. */
#include "attacks/aim.h"

enum tdo_start { TDO_START_NONE, TDO_START_UNIFORM, TDO_START_NORMAL };
enum tdo_ascent_loss { TDO_ASCENT_CE, TDO_ASCENT_MARGIN, TDO_ASCENT_DLR, TDO_ASCENT_KL };

struct tdo_ascent {
    struct tdo_objective objective;
    bool kl; /* climb KL(p(x) || p(u)) */
    enum tdo_aim aim;
    int rounds; /* classes to reach, in turn */
    int steps, restarts;
    double step;  /* 0: 2.5 eps / steps */
    double share; /* instead: steps that add up to share * eps; 0: not */
    double decay; /* each step is so much of the one before */
    double momentum;
    bool accumulate; /* climb the sum of all gradients so far */
    enum tdo_start start;
    double spread;    /* TDO_START_NORMAL: standard deviation */
    bool best, early; /* early: leave a sample alone as soon as it is where it should be */
    bool all;         /* where that means: for each member of an ensemble */
    bool looks;       /* ask about the last point too, though nothing is kept of it */
};

/* From the options that the row has; those that it has not stay neutral. */
struct tdo_ascent tdo_ascent_read(const struct tdo_attack_use *use, int classes);
/* Are the options possible together? TDO_ERR_CONFIG naming the key. For tdo_attack.check. */
TDO_MUST tdo_err tdo_ascent_check(const struct tdo_attack_use *use, const tdo_target *t);

/* Run it. Samples that are done before are left alone.
 * Errors: those of the target; TDO_ERR_MEMORY. Ranks: not collective. */
TDO_MUST tdo_err tdo_ascend(const struct tdo_attack_use *use, const struct tdo_ascent *a,
                            tdo_target *t, struct tdo_samples *s);
/* tdo_ascent_read and tdo_ascend: the whole of an attack that is nothing else. */
TDO_MUST tdo_err tdo_ascent_run(const struct tdo_attack_use *use, tdo_target *t,
                                struct tdo_samples *s);

/* Options of the loop, for the tables of rows. */
#define TDO_ATTACK_LOSS(usual)                                                                 \
    TDO_ATTACK_CHOICE("loss", "ce|margin|dlr|kl", usual,                                       \
                      "what is climbed: cross entropy, the C&W margin, the difference of "     \
                      "logits ratio, or the divergence from the clean prediction"),            \
        TDO_ATTACK_REAL("confidence", 0, 1e6, "50", "logits",                                  \
                        "loss = margin: climb until it is so large")
#define TDO_ATTACK_STEPS(steps, step)                                                          \
    TDO_ATTACK_INT("steps", 1, 1000000, steps, "steps", "gradient steps"),                     \
        TDO_ATTACK_REAL("step", 0, 1e6, step, "in units",                                      \
                        "length of a step; 0: 2.5 eps / steps")
#define TDO_ATTACK_START(usual)                                                                \
    TDO_ATTACK_CHOICE("start", "none|uniform|normal", usual,                                   \
                      "begin at the image, at random in the ball, or near by"),                \
        TDO_ATTACK_REAL("spread", 0, 1e6, "0.001", "in units",                                 \
                        "start = normal: standard deviation")
#define TDO_ATTACK_KEEP(usual)                                                                 \
    TDO_ATTACK_CHOICE("keep", "last|best", usual,                                              \
                      "return the last point, or the best that was met"),                      \
        TDO_ATTACK_BOOL("early", "false", "stop for an image as soon as it is misclassified")

#endif
