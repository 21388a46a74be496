/* Choosing a class. See aim.h. */
#include "attacks/aim.h"

#include <math.h>
#include <string.h>

enum { RANDOM_LAYER = 15 }; /* its stream, beside those of the attack itself */

enum tdo_aim tdo_aim_read(const struct tdo_attack_use *use)
{
    return (enum tdo_aim)(int)tdo_attack_value(use, "label", TDO_AIM_TRUE);
}

bool tdo_aim_targeted(enum tdo_aim aim)
{
    return aim >= TDO_AIM_LEAST;
}

bool tdo_aim_looks(enum tdo_aim aim)
{
    return aim != TDO_AIM_TRUE && aim != TDO_AIM_RANDOM && aim != TDO_AIM_CLASS;
}

tdo_err tdo_aim_check(const struct tdo_attack_use *use, const tdo_target *t)
{
    const int wanted = (int)tdo_attack_value(use, "class", 0), classes = tdo_target_classes(t);
    if (tdo_aim_read(use) == TDO_AIM_CLASS && wanted >= classes) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s.class = %d: one of %d classes, from 0, expected",
                        use->key, wanted, classes);
    }
    return TDO_OK;
}

int tdo_aim_rounds(const struct tdo_attack_use *use, enum tdo_aim aim, int classes)
{
    const int targets = (int)tdo_attack_value(use, "targets", 1);
    return aim != TDO_AIM_EACH ? 1 : targets < classes - 1 ? targets : classes - 1;
}

static int least_likely(const float *z, int classes, int label)
{
    int least = label == 0 ? 1 : 0;
    for (int k = least + 1; k < classes; k++) {
        least = k != label && z[k] < z[least] ? k : least;
    }
    return least;
}

/* The class with `place` other wrong ones before it, sorted by falling logit, equals by index. */
static int likeliest(const float *z, int classes, int label, int place)
{
    for (int k = 0; k < classes; k++) {
        int before = 0;
        for (int j = 0; j < classes; j++) {
            before += j != label && j != k && (z[j] > z[k] || (j < k && z[j] == z[k]));
        }
        if (k != label && before == place) {
            return k;
        }
    }
    return label; /* not reached: place < classes - 1 */
}

static int random_wrong(const struct tdo_attack_use *use, uint64_t id, int classes, int label)
{
    float u[4];
    tdo_attack_uniforms(use, RANDOM_LAYER, id, 0, 4, u);
    const int k = (int)((double)u[0] * (classes - 1));
    return k < label ? k : k + 1;
}

/* z: logits at the clean point, where the aim looks at them. */
static int choose(const struct tdo_attack_use *use, enum tdo_aim aim, int round, const float *z,
                  int classes, uint64_t id, int label)
{
    switch (aim) {
    case TDO_AIM_PREDICTED:
        return tdo_target_argmax(z, classes, -1);
    case TDO_AIM_LEAST:
        return least_likely(z, classes, label);
    case TDO_AIM_EACH:
        return likeliest(z, classes, label, round);
    case TDO_AIM_RANDOM:
        return random_wrong(use, id, classes, label);
    case TDO_AIM_CLASS:
        return (int)tdo_attack_value(use, "class", label);
    default:
        return label;
    }
}

/* sum += softmax of z, in double. */
static void add_probabilities(const float *z, int classes, float *sum)
{
    const double most = (double)z[tdo_target_argmax(z, classes, -1)];
    double all = 0;
    for (int k = 0; k < classes; k++) {
        all += exp((double)z[k] - most);
    }
    for (int k = 0; k < classes; k++) {
        sum[k] += (float)(exp((double)z[k] - most) / all);
    }
}

void tdo_aim_scores(const tdo_target *t, enum tdo_aim aim, int64_t count,
                    const struct tdo_answer *answer, float *out)
{
    const int K = tdo_target_classes(t), members = tdo_target_members(t);
    if (aim != TDO_AIM_PREDICTED || !answer->members) {
        memcpy(out, answer->logits, (size_t)(count * K) * sizeof *out);
        return;
    }
    memset(out, 0, (size_t)(count * K) * sizeof *out);
    for (int64_t i = 0; i < count * members; i++) {
        add_probabilities(answer->members + i * K, K, out + i / members * K);
    }
}

void tdo_aim_choose(const struct tdo_attack_use *use, enum tdo_aim aim, int round,
                    const float *logits, int classes, struct tdo_samples *s)
{
    const int64_t width = tdo_aim_looks(aim) ? classes : 0;
    for (int64_t i = 0; i < s->count; i++) {
        const float *z = width > 0 ? logits + i * width : logits;
        s->aim[i] = choose(use, aim, round, z, classes, s->id[i], s->label[i]);
        s->target[i] = tdo_aim_targeted(aim) ? s->aim[i] : -1;
    }
}

tdo_err tdo_aim_once(const struct tdo_attack_use *use, enum tdo_aim aim, tdo_target *t,
                     struct tdo_samples *s)
{
    const int K = tdo_target_classes(t);
    struct tdo_answer answer = {0};
    float *scores = NULL;
    tdo_err err = TDO_OK;
    if (tdo_aim_looks(aim)) {
        TDO_GOTO(tdo_memory_new(s->count * K, &scores));
        TDO_GOTO(tdo_target_logits(t, s, s->x, &answer));
        tdo_aim_scores(t, aim, s->count, &answer, scores);
    }
    tdo_aim_choose(use, aim, 0, scores, K, s);
done:
    tdo_memory_free(&scores);
    return err;
}
