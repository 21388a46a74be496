/* Judging points. See judge.h. */
#include "jobs/attack/judge.h"

#include <string.h>

struct tdo_judge {
    tdo_target *target;
    struct tdo_vote rule;
    int draws;
    double *score;  /* [batch,K] */
    int32_t *wrong; /* [batch] draws */
    int32_t *aim, *reach;
    bool *done;
    uint64_t *queries, *gradients;
};

tdo_err tdo_judge_new(const struct tdo_target_network *n, const struct tdo_target_options *like,
                      const struct tdo_voting *how, tdo_judge **out)
{
    const struct tdo_target_options o = {.batch = like->batch,
                                         .draws = 1,
                                         .purpose = TDO_PURPOSE_JUDGE,
                                         .units = n->mixed ? like->units : TDO_UNITS_PIXEL,
                                         .between = like->between,
                                         .user = like->user};
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_memory_new(1, out));
    tdo_judge *j = *out;
    TDO_GOTO(tdo_target_new(n, &o, &j->target));
    j->rule = how->vote;
    j->draws = tdo_target_random(j->target) ? how->draws : 1;
    TDO_GOTO(tdo_memory_new(o.batch * n->classes, &j->score));
    TDO_GOTO(tdo_memory_new(o.batch, &j->wrong));
    TDO_GOTO(tdo_memory_new(o.batch, &j->aim));
    TDO_GOTO(tdo_memory_new(o.batch, &j->reach));
    TDO_GOTO(tdo_memory_new(o.batch, &j->done));
    TDO_GOTO(tdo_memory_new(o.batch, &j->queries));
    err = tdo_memory_new(o.batch, &j->gradients);
done:
    if (err != TDO_OK) {
        tdo_judge_free(out);
    }
    return err;
}

void tdo_judge_free(tdo_judge **judge)
{
    tdo_judge *j = *judge;
    if (j) {
        tdo_target_free(&j->target);
        tdo_memory_free(&j->score);
        tdo_memory_free(&j->wrong);
        tdo_memory_free(&j->aim);
        tdo_memory_free(&j->reach);
        tdo_memory_free(&j->done);
        tdo_memory_free(&j->queries);
        tdo_memory_free(&j->gradients);
        tdo_memory_free(judge);
    }
}

tdo_target *tdo_judge_target(tdo_judge *j)
{
    return j->target;
}

tdo_err tdo_judge_points(tdo_judge *j, int64_t count, const float *pixels, const uint64_t *id,
                         const int32_t *label, int series, struct tdo_verdict_draws *out)
{
    const int K = tdo_target_classes(j->target);
    struct tdo_samples s = {.count = count,
                            .x = pixels,
                            .label = label,
                            .id = id,
                            .aim = j->aim,
                            .target = j->reach,
                            .done = j->done,
                            .queries = j->queries,
                            .gradients = j->gradients,
                            .question = (uint32_t)(series * j->draws)};
    memset(j->score, 0, (size_t)(count * K) * sizeof *j->score);
    memset(j->wrong, 0, (size_t)count * sizeof *j->wrong);
    for (int draw = 0; draw < j->draws; draw++) {
        struct tdo_answer answer;
        TDO_TRY(tdo_target_logits(j->target, &s, pixels, &answer));
        for (int64_t i = 0; i < count; i++) {
            const float *z = answer.logits + i * K;
            j->wrong[i] += tdo_target_argmax(z, K, -1) != label[i];
            tdo_vote_add(&j->rule, z, K, j->score + i * K);
        }
    }
    for (int64_t i = 0; i < count; i++) {
        out[i] = (struct tdo_verdict_draws){.predict = tdo_vote_class(j->score + i * K, K),
                                            .wrong = j->wrong[i],
                                            .draws = j->draws};
    }
    return TDO_OK;
}
