/* Stored networks in training. See stored.h. */
#include "jobs/train/stored.h"

#include <stdio.h>

#include "defenses/distillation.h"

static tdo_err open_list(const struct tdo_defense_use *use, const char *key, const char *paths,
                         const struct tdo_network_data *data, struct tdo_ensemble *out)
{
    const struct tdo_front front = {.noise = true};
    char name[64];
    snprintf(name, sizeof name, "defense.%d.%s", use->index, key);
    return tdo_ensemble_open(name, paths, data, &front, out);
}

tdo_err tdo_stored_open(const struct tdo_network *n, const struct tdo_network_data *data,
                        struct tdo_stored *out)
{
    const struct tdo_defense_use *inner = tdo_defense_inner(&n->defenses);
    *out = (struct tdo_stored){0};
    for (int i = 0; i < n->defenses.count; i++) {
        const struct tdo_defense_use *use = &n->defenses.use[i];
        const char *key = use->row->denoises ? "guide" : "teacher";
        const char *teacher =
            use->row->denoises ? tdo_defense_text(use, key) : tdo_distillation_teacher(use);
        if (teacher[0]) { /* it owns the loss, so there is no other */
            TDO_TRY(open_list(use, key, teacher, data, &out->teacher));
            if (out->teacher.members != 1) {
                return TDO_FAIL(TDO_ERR_CONFIG, "defense.%d.%s = %s: one network expected", i,
                                key, teacher);
            }
        }
    }
    const char *sources = inner ? tdo_defense_text(inner, "sources") : "";
    return sources[0] ? open_list(inner, "sources", sources, data, &out->sources) : TDO_OK;
}

void tdo_stored_free(struct tdo_stored *s)
{
    tdo_ensemble_free(&s->teacher);
    tdo_ensemble_free(&s->sources);
}

static tdo_err describe(const struct tdo_ensemble *e, const char *key, tdo_json *to)
{
    uint64_t hash = 0;
    if (e->members == 0) {
        return TDO_OK;
    }
    TDO_TRY(tdo_ensemble_hash(e, &hash));
    tdo_json_set_hash(to, key, hash);
    return TDO_OK;
}

tdo_err tdo_stored_describe(const struct tdo_stored *s, tdo_json *to)
{
    TDO_TRY(describe(&s->teacher, "teacher", to));
    return describe(&s->sources, "sources", to);
}
