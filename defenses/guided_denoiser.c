/* High-level representation guided denoising: a network that takes the perturbation off an image is
 * trained so that another network, its guide, sees in the result what it sees in the clean image.
 *
 *     x*  attacked ──► denoiser ──► x^ ──► guide ──► f(x^) ─┐
 *                                                           mean |f(x^) - f(x)|
 *     x   clean ───────────────────────► guide ──► f(x) ────┘  constant
 *
 *     pixel (PGD)     f is the image itself
 *     feature (FGD)   what the guide's last convolutional block gives, or another place (`tap`)
 *     logits (LGD)    the guide's logits
 *     class (CGD)     no clean image: cross entropy of the guide's logits at x^ with the label
 *
 * The mean goes over all elements of f. The guide is the undefended classifier, in evaluation mode and
 * constant; the denoiser normalises by its batch. Pairs come from stored sets of the job `attack`; of
 * each the attack `clean` is usually a part, so that clean images stay as they are. A pair has one crop
 * and flip; noise of rows that augment comes on the attacked image alone.
 *
 * What is trained stands in front of a classifier afterwards: model.denoiser.
 * Source: Liao et al. 2018 (HGD), sections 3.1 and 3.2; the mean over elements, and the first power:
 * their code. */
#include <string.h>

#include "defenses/defense.h"
#include "defenses/divergence.h"

enum { GUIDE, LOSS, TAP, SETS, CLASSES };
enum { PIXEL, FEATURE, LOGITS, CLASS };

static const struct tdo_option options[] = {
    [GUIDE] = {.key = "guide",
               .type = TDO_OPTION_TEXT,
               .value = "",
               .help = "model file or run directory of the undefended classifier; loss = pixel "
                       "may do without"},
    [LOSS] = {.key = "loss",
              .type = TDO_OPTION_CHOICE,
              .choices = "pixel|feature|logits|class",
              .value = "logits",
              .help = "where the denoised image is compared with the clean one: PGD, FGD, LGD; "
                      "class: by the label, CGD"},
    [TAP] = {.key = "tap",
             .type = TDO_OPTION_TEXT,
             .value = "features",
             .help = "loss = feature: which place of the guide (testudo info lists them)"},
    [SETS] = {.key = "sets",
              .type = TDO_OPTION_TEXT,
              .value = "",
              .help = "adversarial.h5 of the job attack over data.split = train of data.file; "
                      "several with commas between them"},
    [CLASSES] = {.key = "classes",
                 .type = TDO_OPTION_TEXT,
                 .value = "",
                 .help = "train and validate on images of these classes alone, numbers with "
                         "commas between them; empty: of all"},
    {0}};

static tdo_err prepare(struct tdo_defense_use *use)
{
    if (!use->text[SETS][0]) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "missing sets: defense.%d.sets = adversarial.h5 of the job attack with "
                        "data.split = train expected",
                        use->index);
    }
    if (!use->text[GUIDE][0] && (int)use->value[LOSS] != PIXEL) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "missing guide: defense.%d.guide = a model file or run directory of the "
            "undefended classifier expected; or loss = pixel",
            use->index);
    }
    const char *classes = use->text[CLASSES];
    if (strspn(classes, "0123456789,") != strlen(classes)) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "defense.%d.classes = %s: whole numbers with commas between them expected",
            use->index, classes);
    }
    return TDO_OK;
}

/* Why a row does not go with this one; NULL: it does. */
static const char *refusal(const struct tdo_defense_use *use,
                           const struct tdo_defense_use *other)
{
    const struct tdo_defense *row = other->row;
    if (row->goal && (int)use->value[LOSS] != CLASS) {
        return "changes labels, which only loss = class reads";
    }
    if (row->stored || (row->copies && row->copies(other) > 0)) {
        return "stacks training images, which have no clean partner; sets expected";
    }
    return row->penalty ? "adds a penalty on logits, which a denoiser has none of" : NULL;
}

static tdo_err check(const struct tdo_defense_use *use, const struct tdo_defenses *d)
{
    for (int i = 0; i < d->count; i++) {
        const char *why = refusal(use, &d->use[i]);
        if (why) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "defense.%d (%s) %s: it does not go with defense.%d (%s)", i,
                            d->use[i].row->name, why, use->index, use->row->name);
        }
    }
    return TDO_OK;
}

/* Mean over the elements of each row of |a - b|, b constant: [N]. */
static tdo_node gap(tdo_graph *g, tdo_node a, tdo_node b)
{
    const tdo_shape s = tdo_graph_shape(g, a);
    const int64_t count = tdo_shape_count(&s);
    if (s.rank == 0) {
        return TDO_NONE;
    }
    tdo_node d = tdo_op_sub(g, a, tdo_op_detach(g, b));
    d = tdo_op_mul(g, d, tdo_op_sign(g, d));
    d = tdo_op_reshape(g, d, TDO_SHAPE(s.dim[0], count / s.dim[0]));
    return tdo_op_affine(g, tdo_divergence_rows(g, d), (double)s.dim[0] / (double)count, 0);
}

static tdo_node loss(const struct tdo_defense_use *use, struct tdo_defense_step *s)
{
    const int kind = (int)use->value[LOSS];
    const char *tap = kind == FEATURE ? use->text[TAP] : NULL;
    tdo_node denoised = s->forward(s->self, s->pixels), there[2] = {TDO_NONE, TDO_NONE};
    if (kind == PIXEL) {
        return gap(s->g, denoised, s->partner);
    }
    s->clean_logits = s->teacher(s->self, denoised, tap, &there[0]);
    if (kind == CLASS) {
        return tdo_op_xent(s->g, s->clean_logits, s->goal);
    }
    tdo_node clean = s->teacher(s->self, s->partner, tap, &there[1]);
    return kind == FEATURE ? gap(s->g, there[0], there[1]) : gap(s->g, s->clean_logits, clean);
}

const struct tdo_defense tdo_defense_guided_denoiser = {
    .name = "guided_denoiser",
    .help = "training a denoiser so that a classifier sees in its images what it sees in clean "
            "ones",
    .cite = "Liao et al. 2018 (HGD), section 3",
    .options = options,
    .denoises = true,
    .prepare = prepare,
    .check = check,
    .loss = loss,
};
