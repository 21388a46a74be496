/* Deep Defense: the network is trained to keep the boundary that DeepFool finds far from images that
 * it classifies, and near to those that it gets wrong.
 *
 *     L = CE + lambda [ sum over correct rows  exp(-c |D| / |x|)  +  sum over wrong ones  exp(d |D| / |x|) ]
 *
 * x is what the model sees, behind the input layer, and D the perturbation of an unrolled DeepFool
 * (5 steps, overshoot 0.02), which depends on the weights through the logits, through their gradients
 * by x, and through the steps before:
 *
 *     w_l = dz_l/du - dz_c/du  at u = x + r,   l* = argmin |z_l - z_c| / |w_l + e|,
 *     r += |z_l* - z_c| / |w_l* + e| * w_l* / |w_l* + e|   for rows that x + 1.02 r does not fool yet
 *
 * c is the predicted class, and a row correct or wrong by what the network predicts now, in the mode
 * of use. A wrong row walks to its true label instead, from what is predicted at each step, until
 * that is the prediction. There published code takes z_c of the class predicted a step before, w of
 * the new one; here both are of the new one, so that a step is one of DeepFool (as attacks/deepfool.c
 * has it).
 * Which class is nearest, who is fooled, ReLU masks and places of maxima are constants; the class is
 * chosen among all gradients without derivative, and the gradient of the chosen one alone is
 * differentiated: the same as differentiating all. Batch normalisation uses running statistics.
 * Nothing is clipped. With `layers`, only their weights learn from it, the others are constants. It
 * owns no loss, so it combines with adversarial training.
 * Source: Yan et al. 2018, equations 3 to 5 and section 3.2; published code for the wrong rows. */
#include "defenses/defense.h"
#include "defenses/divergence.h"
#include "nn/graph/grad.h"

enum { LAMBDA, C, D, STEPS, OVERSHOOT, SMALL, LAYERS };

#define REAL(k, v, lo, hi, h)                                                                  \
    {                                                                                          \
        .key = (k), .type = TDO_OPTION_REAL, .min = (lo), .max = (hi), .value = (v),           \
        .help = (h)                                                                            \
    }

static const struct tdo_option options[] = {
    [LAMBDA] = REAL("lambda", "15", 0, 1e6, "weight of the regulariser"),
    [C] = REAL("c", "25", 0, 1e6, "correct rows: exp(-c |D| / |x|)"),
    [D] = REAL("d", "5", 0, 1e6, "wrong rows: exp(d |D| / |x|)"),
    [STEPS] = {.key = "steps",
               .type = TDO_OPTION_INT,
               .min = 1,
               .max = 20,
               .value = "5",
               .unit = "steps",
               .help = "of DeepFool"},
    [OVERSHOOT] = REAL("overshoot", "0.02", 0, 10, "share that is added to cross over"),
    [SMALL] =
        REAL("small", "5e-6", 0, 1, "added to each element of a gradient before its norm"),
    [LAYERS] = {.key = "layers",
                .type = TDO_OPTION_TEXT,
                .value = "",
                .help = "layers whose weights the regulariser changes, comma-separated; empty: "
                        "all"},
    {0}};

/* The unrolled attack on the rows of a step. */
struct unrolled {
    const struct tdo_defense_use *use;
    struct tdo_defense_step *s;
    tdo_graph *g;
    int64_t rows, size, classes;
    tdo_node x;     /* [N,P] as images of the model's input */
    tdo_node wrong; /* [N] 1: misclassified as it is */
};

/* The logits at x, behind the input layer. */
static tdo_node evaluate(const struct unrolled *u, tdo_node x)
{
    return u->s->evaluate(u->s->self, x, tdo_defense_text(u->use, "layers"));
}

static tdo_node flat(const struct unrolled *u, tdo_node x)
{
    return tdo_op_reshape(u->g, x, TDO_SHAPE(u->rows, u->size));
}

/* |a|_2 of each row of [N,P], [N]; at least 1e-15, so that rows of padding stay finite. */
static tdo_node norm(const struct unrolled *u, tdo_node a)
{
    tdo_node square = tdo_divergence_rows(u->g, tdo_op_mul(u->g, a, a));
    return tdo_op_sqrt(u->g, tdo_op_clip(u->g, square, 1e-30, 1e30));
}

/* [N] over the elements of each row. */
static tdo_node over_rows(const struct unrolled *u, tdo_node v)
{
    return tdo_op_broadcast(u->g, tdo_op_reshape(u->g, v, TDO_SHAPE(u->rows, 1)),
                            TDO_SHAPE(u->rows, u->size));
}

/* |a| of [N]. */
static tdo_node magnitude(tdo_graph *g, tdo_node a)
{
    return tdo_op_mul(g, a, tdo_op_sign(g, a));
}

/* ---- which class ------------------------------------------------------------------------------------ */

/* z_l - z_own of each row, and its gradient w [N,P] by the point; l [N]. */
static tdo_node boundary(const struct unrolled *u, tdo_node point, tdo_node z, tdo_node own,
                         tdo_node l, tdo_node *w)
{
    tdo_graph *g = u->g;
    tdo_node gap = tdo_op_sub(g, tdo_op_gather(g, z, l), tdo_op_gather(g, z, own));
    tdo_grad(g, gap, TDO_NONE, 1, &point, w);
    *w = flat(u, *w);
    return magnitude(g, gap);
}

/* |w + e|. */
static tdo_node length_of(const struct unrolled *u, tdo_node w)
{
    return norm(u, tdo_op_affine(u->g, w, 1, u->use->value[SMALL]));
}

/* The class k places behind `own` in a circle, [N]. */
static tdo_node behind(const struct unrolled *u, tdo_node own, int k)
{
    tdo_graph *g = u->g;
    const tdo_shape rows = TDO_SHAPE(u->rows);
    tdo_node next = tdo_op_affine(g, own, 1, k),
             last = tdo_op_constant(g, rows, (double)(u->classes - 1));
    tdo_node around = tdo_op_affine(g, next, 1, (double)-u->classes);
    return tdo_op_select(g, tdo_op_greater(g, next, last), around, next);
}

/* The class to go to, [N]: of wrong rows the label, else the nearest other than `own`. Each row
 * looks at its K - 1 others in turn. Without derivative, as nothing of argmax has one. */
static tdo_node nearest(const struct unrolled *u, tdo_node point, tdo_node z, tdo_node own)
{
    tdo_graph *g = u->g;
    const tdo_shape all = TDO_SHAPE(u->rows, u->classes);
    tdo_node each = tdo_op_constant(g, all, 0),
             w = TDO_NONE; /* [N,K]: distances, 0 for `own` */
    for (int k = 1; k < u->classes; k++) {
        tdo_node l = behind(u, own, k), gap = boundary(u, point, z, own, l, &w);
        tdo_node distance = tdo_op_div(g, gap, length_of(u, w));
        each = tdo_op_add(g, each, tdo_op_scatter(g, distance, l, u->classes));
    }
    tdo_node near =
        tdo_op_select(g, tdo_op_one_hot(g, own, u->classes), tdo_op_constant(g, all, -1e30),
                      tdo_op_affine(g, each, -1, 0));
    return tdo_op_select(g, u->wrong, u->s->labels, tdo_op_argmax(g, near));
}

/* ---- steps -------------------------------------------------------------------------------------------- */

/* One step from x + r: r + the way to the nearest boundary, for rows of `open`. The first step has
 * no r, and shares the clean forward pass. */
static tdo_node advance(const struct unrolled *u, tdo_node r, tdo_node own, tdo_node open)
{
    tdo_graph *g = u->g;
    tdo_node point = r == TDO_NONE ? u->x : tdo_op_add(g, u->x, r), way = TDO_NONE;
    tdo_node z = evaluate(u, point);
    tdo_node to = nearest(u, point, z, own);
    tdo_node gap = boundary(u, point, z, own, to, &way), length = length_of(u, way);
    tdo_node part = tdo_op_div(g, gap, tdo_op_mul(g, length, length));
    tdo_node step = tdo_op_mul(g, way, over_rows(u, part));
    tdo_node none = tdo_op_constant(g, TDO_SHAPE(u->rows, u->size), 0);
    step = tdo_op_select(g, over_rows(u, open), step, none);
    step = tdo_op_reshape(g, step, tdo_graph_shape(g, u->x));
    return r == TDO_NONE ? step : tdo_op_add(g, r, step);
}

/* D of each row: (1 + overshoot) r. */
static tdo_node perturbation(const struct unrolled *u, tdo_node predicted)
{
    tdo_graph *g = u->g;
    const double beyond = 1 + u->use->value[OVERSHOOT];
    tdo_node r = TDO_NONE, own = predicted;
    tdo_node open = tdo_op_constant(g, TDO_SHAPE(u->rows), 1);
    for (int k = 0; k < (int)u->use->value[STEPS]; k++) {
        r = advance(u, r, own, open);
        tdo_node tested = tdo_op_add(g, u->x, tdo_op_affine(g, r, beyond, 0));
        tdo_node now = tdo_op_argmax(g, evaluate(u, tdo_op_detach(g, tested)));
        tdo_node moved = magnitude(g, tdo_op_sub(g, now, predicted));
        tdo_node missed = magnitude(g, tdo_op_sub(g, now, u->s->labels));
        tdo_node still = tdo_op_select(g, moved, tdo_op_constant(g, TDO_SHAPE(u->rows), 0),
                                       tdo_op_constant(g, TDO_SHAPE(u->rows), 1));
        open = tdo_op_mul(g, open, tdo_op_select(g, u->wrong, tdo_op_sign(g, missed), still));
        own = tdo_op_select(g, u->wrong, now, predicted);
    }
    return tdo_op_affine(g, r, beyond, 0);
}

static tdo_node penalty(const struct tdo_defense_use *use, struct tdo_defense_step *s)
{
    tdo_graph *g = s->g;
    struct unrolled u = {.use = use, .s = s, .g = g};
    u.x = s->input(s->self, s->pixels);
    const tdo_shape image = tdo_graph_shape(g, u.x);
    u.rows = image.dim[0];
    u.size = tdo_shape_count(&image) / u.rows;
    tdo_node z = evaluate(&u, u.x);
    u.classes = tdo_graph_shape(g, z).dim[1];
    tdo_node predicted = tdo_op_argmax(g, z);
    u.wrong = tdo_op_sign(g, magnitude(g, tdo_op_sub(g, predicted, s->labels)));
    tdo_node relative = tdo_op_div(g, norm(&u, flat(&u, perturbation(&u, predicted))),
                                   norm(&u, flat(&u, tdo_op_detach(g, u.x))));
    tdo_node far = tdo_op_exp(g, tdo_op_affine(g, relative, -use->value[C], 0));
    tdo_node power = tdo_op_clip(g, tdo_op_affine(g, relative, use->value[D], 0), 0, 30);
    tdo_node near = tdo_op_exp(g, power); /* 30: what it is multiplied with stays finite, too */
    return tdo_op_affine(g, tdo_op_select(g, u.wrong, near, far), use->value[LAMBDA], 0);
}

const struct tdo_defense tdo_defense_deep_defense = {
    .name = "deep_defense",
    .help = "a regulariser on the perturbation that DeepFool finds, differentiated through it",
    .cite = "Yan et al. 2018, equations 3 to 5",
    .options = options,
    .penalty = penalty,
};
