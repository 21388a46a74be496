#ifndef TDO_ATTACKS_TARGET_H
#define TDO_ATTACKS_TARGET_H
/* The target: all that an attack sees of what it attacks.
 *
 * It answers with logits, and with the gradient of a named objective with respect to the points.
 * What stands behind it, one network or an ensemble, with noise layers, behind a quantiser or a
 * smoothing, is the business of whoever made it:
 *
 *     points u ── units ──► pixels ── m draws each ──► networks ──► logits [B m,K] of each member
 *                                                                     │  mean over members
 *     objective J [B] ◄── reduce over the draws ◄─────────────────────┘
 *     gradient dJ/du
 *
 * Draws: a random target is asked m times about a point, keyed by (sample, question, draw). They are
 * reduced to the mean loss (EPGD, expectation over transformation), to the loss of the mean
 * probability (SmoothAdv) or to the loss of the mean logits. `redraw` says whether the noise is
 * new in every step or belongs to the attack.
 *
 * A point's answers do not depend on the others in its batch: neither does what an attack makes of
 * it. Normalisation uses running statistics. Plans are compiled when they are first needed.
 * Source: Salman et al. 2019, equations 6 and 7; Nemcovsky et al. 2019, section 3. */
#include "attacks/threat.h"
#include "nn/graph/graph.h"

typedef struct tdo_target tdo_target;

enum { TDO_TARGET_MEMBERS = 16 };

/* Networks to attack, as their owner makes them. */
struct tdo_target_network {
    void *self; /* borrowed until the target is freed */
    /* Append all of them: pixels [R,H,W,C] in 0..1 and keys [R] -> logits[i] [R,K] for each member;
     * *auxiliary: logits of auxiliary heads, if there are any (starts as TDO_NONE). Errors stay in
     * the graph. */
    void (*build)(void *self, tdo_graph *g, tdo_node pixels, tdo_node keys, tdo_node *logits,
                  tdo_node *auxiliary);
    /* Where the values of parameter `index` lie; context is self. As plan.h. */
    const float *(*param)(const void *self, int64_t index);
    int64_t height, width, channels;
    int classes, members;
    bool gradient; /* can it be differentiated? (not in bf16) */
    bool narrow;   /* computes in bf16 */
    /* The input layer, for units = input: as many numbers as in mean and std, 0, 1 or channels. */
    int inputs;
    double mean[16], std[16];
    int64_t image; /* 1 + index of the parameter that is the mean image [C,H,W]; 0: none */
    bool mixed;    /* the input layer mixes pixels: units = input is a space behind it */
    /* For that: the input layer [R,H,W,C] -> the same shape, and what is behind it, as build. NULL
     * where points must be images. */
    tdo_node (*input)(void *self, tdo_graph *g, tdo_node pixels);
    void (*behind)(void *self, tdo_graph *g, tdo_node x, tdo_node keys, tdo_node *logits,
                   tdo_node *auxiliary);
};

enum tdo_reduce { TDO_REDUCE_LOSS, TDO_REDUCE_PROBABILITY, TDO_REDUCE_LOGITS };
enum tdo_redraw { TDO_REDRAW_STEP, TDO_REDRAW_ATTACK };

struct tdo_target_options {
    int64_t batch; /* samples that are computed at a time */
    int draws;     /* m; a target that is not random takes one */
    enum tdo_reduce reduce;
    enum tdo_redraw redraw;
    enum tdo_units units;
    bool boxed;
    double auxiliary; /* weight of the auxiliary heads' objective */
    uint32_t purpose; /* of the keys: enum tdo_purpose */
    /* Called after every question, NULL for none: time to answer messages. */
    tdo_err (*between)(void *user);
    void *user;
};

/* The samples of a batch: what an attack is given, and what it leaves. */
struct tdo_samples {
    int64_t count;        /* at most the target's batch */
    const float *x;       /* [count,P] clean points, in the target's units */
    const int32_t *label; /* [count] */
    const uint64_t *id;   /* [count] global sample ids, for keys */
    const float
        *stored;     /* [count,P] pixels of these samples in a stored set; NULL without one */
    float *found;    /* [count,P] what the attack returns; equals x when it starts */
    int32_t *aim;    /* [count] class whose loss is used: to leave, or to reach */
    int32_t *target; /* [count] class to reach, -1 for none; the attack sets it */
    bool *done;      /* [count] no more queries for this one */
    uint64_t *queries, *gradients; /* [count] */
    uint32_t question;             /* so far: new draws for each, where they are redrawn */
    uint32_t moment;               /* the step of the keys, tdo_attack_use.moment */
};

/* J, to be climbed.
 *   CE      untargeted  CE(z, aim)                         targeted  -CE(z, aim)
 *   MARGIN  -max(z_aim - max_other + confidence, 0)                  -max(max_other - z_aim + confidence, 0)
 *   DLR     -(z_aim - max_other) / (z_1 - z_3)                       -(z_label - z_aim) / (z_1 - (z_3 + z_4) / 2)
 * with z_k the k-th largest logit. Source: Carlini and Wagner 2017, f_6; Croce and Hein 2020. */
enum tdo_loss_kind { TDO_LOSS_CE, TDO_LOSS_MARGIN, TDO_LOSS_DLR };

struct tdo_objective {
    enum tdo_loss_kind kind;
    bool targeted;
    double confidence;
};

/* What the target says; rows of samples that are done hold zeros. Borrowed until the next question. */
struct tdo_answer {
    const float
        *logits; /* [count,K]: of the draws together, log of the mean probability, or mean
                              logits with that reduce */
    const float
        *members; /* [count,members,K] the same for each member; of an ensemble, else NULL */
    const float *value;    /* [count] J */
    const float *gradient; /* [count,P] dJ/du, or [count,n,P] of tdo_target_jacobian */
};

/* Errors: those of building the networks; TDO_ERR_MEMORY. Ranks: not collective. Owner: caller,
 * tdo_target_free. */
TDO_MUST tdo_err tdo_target_new(const struct tdo_target_network *n,
                                const struct tdo_target_options *o, tdo_target **out);
void tdo_target_free(tdo_target **t);

/* Parameters have changed. */
void tdo_target_touch(tdo_target *t);

int64_t tdo_target_batch(const tdo_target *t);
int64_t tdo_target_size(const tdo_target *t); /* P */
int tdo_target_classes(const tdo_target *t);
int tdo_target_members(const tdo_target *t);
bool tdo_target_differentiable(const tdo_target *t);
bool tdo_target_random(const tdo_target *t); /* do its logits depend on the keys? */
/* The box in the target's units. Borrowed. */
const struct tdo_box *tdo_target_box(const tdo_target *t);

/* Does the target begin behind an input layer that mixes pixels? Then its points are no images: no
 * box, and no way back to pixels. */
bool tdo_target_is_behind(const tdo_target *t);
/* Points to the target's units and back; n rows. */
void tdo_target_from_pixels(const tdo_target *t, const float *pixels, int64_t n, float *u);
void tdo_target_to_pixels(const tdo_target *t, const float *u, int64_t n, float *pixels);

/* Logits at u [count,P].
 * Errors: those of building the plan; TDO_ERR_NUMERIC naming the sample of a logit that is no
 * number. Ranks: not collective. */
TDO_MUST tdo_err tdo_target_logits(tdo_target *t, struct tdo_samples *s, const float *u,
                                   struct tdo_answer *out);

/* J and its gradient at u, with s->aim (and s->label, for the targeted DLR). goal [count,K], if not
 * NULL, is a distribution over classes that takes the place of aim in CE. */
TDO_MUST tdo_err tdo_target_gradient(tdo_target *t, const struct tdo_objective *o,
                                     struct tdo_samples *s, const float *u, const float *goal,
                                     struct tdo_answer *out);

/* Gradients of n logits of each sample, class[count,n], in one pass: d z_class / du. The draws are
 * reduced by their mean logits. */
TDO_MUST tdo_err tdo_target_jacobian(tdo_target *t, struct tdo_samples *s, const float *u,
                                     int n, const int32_t *class, struct tdo_answer *out);

/* The lowest class of the largest of K logits, without class `except` (-1: of all). */
int tdo_target_argmax(const float *logits, int classes, int except);
/* Logits [rows,K] to probabilities, computed in double. p may be z. */
void tdo_target_softmax(const float *z, int64_t rows, int classes, float *p);
/* How far the attack is: over 0 it has come where it wants to. Untargeted: max_other - z_aim;
 * targeted: z_aim - max_other. */
double tdo_target_margin(const float *logits, int classes, int aim, bool targeted);

/* In front of a step that has no useful derivative: y's value, and x's gradient (the backward pass
 * differentiable approximation by the identity). Equal shapes. Source: Athalye et al. 2018,
 * section 4.1. */
tdo_node tdo_target_straight_through(tdo_graph *g, tdo_node x, tdo_node y);
/* Pixels rounded to so many levels from 0 to 1, straight through. */
tdo_node tdo_target_quantise(tdo_graph *g, tdo_node pixels, int64_t levels);

#endif
