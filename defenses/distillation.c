/* Defensive distillation: a network learns what another one thinks of the images, at a high
 * temperature T, and is used at T = 1, where its softmax saturates.
 *
 *     teacher   CE(softmax(Z(x) / T), y)                               teacher = "labels"
 *     student   CE(softmax(Z(x) / T), softmax(Z_teacher(x) / T))       teacher = its file
 *
 * The teacher is constant and in evaluation mode; it sees the pixels that the student sees, behind
 * the rows that augment, so both look at the same noise. The published T is 20 on MNIST and
 * CIFAR-10; Liu et al. 2018 take 100, a teacher that was trained without temperature (any network
 * can be one here), and the mean over classes of the divergence: 1/K of this gradient.
 * The gradient of a logit is 1/T of the usual one, which a larger learning rate can make up for.
 * Source: Papernot et al. 2016, section III-B; Liu et al. 2018 (code). */
#include "defenses/distillation.h"

#include <string.h>

#include "defenses/divergence.h"

enum { TEMPERATURE, TEACHER };

static const struct tdo_option options[] = {
    [TEMPERATURE] = {.key = "temperature",
                     .type = TDO_OPTION_REAL,
                     .min = 1e-3,
                     .max = 1e6,
                     .value = "20",
                     .help = "T: logits are divided by it in training"},
    [TEACHER] = {.key = "teacher",
                 .type = TDO_OPTION_TEXT,
                 .value = "",
                 .help =
                     "a model file or run directory; labels: this network is to be a teacher"},
    {0}};

const char *tdo_distillation_teacher(const struct tdo_defense_use *use)
{
    const char *teacher = use->row == &tdo_defense_distillation ? use->text[TEACHER] : "";
    return strcmp(teacher, "labels") == 0 ? "" : teacher;
}

static tdo_err prepare(struct tdo_defense_use *use)
{
    if (!use->text[TEACHER][0]) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "missing teacher: defense.%d.teacher = a model file or a run directory "
                        "expected; or labels, to train a teacher",
                        use->index);
    }
    return TDO_OK;
}

static tdo_err check(const struct tdo_defense_use *use, const struct tdo_defenses *d)
{
    for (int i = 0; tdo_distillation_teacher(use)[0] && i < d->count; i++) {
        if (d->use[i].row->goal) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "defense.%d (%s) changes labels, but defense.%d (distillation) "
                            "trains on what the teacher says: one of them expected, or the "
                            "teacher trained with the first",
                            i, d->use[i].row->name, use->index);
        }
    }
    return TDO_OK;
}

static tdo_node loss(const struct tdo_defense_use *use, struct tdo_defense_step *s)
{
    const double cold = 1 / use->value[TEMPERATURE];
    tdo_node goal = s->goal;
    if (tdo_distillation_teacher(use)[0]) {
        tdo_node says = tdo_op_detach(s->g, s->teacher(s->self, s->pixels, NULL, NULL));
        says = tdo_op_affine(s->g, says, cold, 0);
        goal = tdo_op_exp(s->g, tdo_divergence_log_softmax(s->g, says));
    }
    return tdo_op_xent(s->g, tdo_op_affine(s->g, tdo_defense_clean_logits(s), cold, 0), goal);
}

const struct tdo_defense tdo_defense_distillation = {
    .name = "distillation",
    .help = "training on a teacher's probabilities at a high temperature",
    .cite = "Papernot et al. 2016, section III-B",
    .options = options,
    .prepare = prepare,
    .check = check,
    .loss = loss,
};
