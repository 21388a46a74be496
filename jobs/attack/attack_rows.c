/* A row of the attack list, made ready. See attacking.h. */
#include <stdio.h>
#include <string.h>

#include "jobs/attack/attacking.h"
#include "mpi/origins.h"

void tdo_attack_row_close(struct tdo_attack_row *row)
{
    tdo_judge_free(&row->judge);
    tdo_target_free(&row->target);
    tdo_ensemble_free(&row->crafted_on);
    tdo_dataset_free(&row->set);
    row->number = -1;
}

tdo_err tdo_attack_between(void *user)
{
    struct tdo_attacking *a = user;
    return a->lease ? tdo_lease_poll(a->lease) : TDO_OK;
}

/* A row whose points lie behind the input layer has a judge that stands there, too. */
static tdo_err make_judge(const struct tdo_attacking *a, const struct tdo_attack_use *use,
                          const struct tdo_target_network *n,
                          const struct tdo_target_options *like, struct tdo_attack_row *row)
{
    const char *where = "points behind model.contrast or model.whiten are no images";
    if (use->models[0]) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s.models: %s, and no other network's inputs",
                        use->key, where);
    }
    if (tdo_attack_value(use, "levels", 0) > 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s.levels: %s: 0 expected", use->key, where);
    }
    if (a->store != TDO_STORE_NONE) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "craft.store: %s.units = input: %s: craft.store = none expected",
                        use->key, where);
    }
    return tdo_judge_new(n, like, &a->voting, &row->judge);
}

static tdo_err make_target(struct tdo_attacking *a, const struct tdo_attack_use *use,
                           struct tdo_attack_row *row)
{
    const struct tdo_dataset_info *info = tdo_dataset_info(a->data);
    const struct tdo_network_data data = {info->height, info->width, info->channels,
                                          info->classes};
    char key[96];
    snprintf(key, sizeof key, "%s.models", use->key);
    if (use->models[0]) {
        TDO_TRY(tdo_ensemble_open(key, use->models, &data, &a->here.front, &row->crafted_on));
    } else {
        row->crafted_on = tdo_ensemble_one(&a->net, &a->here.front);
    }
    struct tdo_target_options o = use->target;
    const struct tdo_target_network n = tdo_ensemble_target(&row->crafted_on);
    o.batch = a->batch;
    o.between = tdo_attack_between;
    o.user = a;
    TDO_TRY(tdo_target_new(&n, &o, &row->target));
    if (tdo_target_is_behind(row->target)) {
        TDO_TRY(make_judge(a, use, &n, &o, row));
    }
    return tdo_attack_check(use, row->target);
}

/* ---- replay ---------------------------------------------------------------------------------------- */

static tdo_err check_set(const struct tdo_attacking *a, const struct tdo_attack_use *use,
                         const struct tdo_dataset_info *info, enum tdo_split split)
{
    const struct tdo_dataset_info *data = tdo_dataset_info(a->data);
    const int64_t which = (int64_t)tdo_attack_value(use, "row", 0);
    if (info->height != data->height || info->width != data->width ||
        info->channels != data->channels || info->classes != data->classes) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s.from = %s holds images of %lldx%lldx%lld in %d classes, data.file "
                        "has %lldx%lldx%lld in %d",
                        use->key, use->from, (long long)info->height, (long long)info->width,
                        (long long)info->channels, info->classes, (long long)data->height,
                        (long long)data->width, (long long)data->channels, data->classes);
    }
    if (!info->stored || info->rows[split] % a->images.count != 0) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s.from = %s holds %lld images of the split %s, expected a stored set "
                        "of the %lld images that are attacked, for each of its attacks",
                        use->key, use->from, (long long)info->rows[split],
                        tdo_dataset_split_name(split), (long long)a->images.count);
    }
    if (which >= info->rows[split] / a->images.count) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s.row = %lld: %s holds %lld attacks, numbered from 0",
                        use->key, (long long)which, use->from,
                        (long long)(info->rows[split] / a->images.count));
    }
    return TDO_OK;
}

/* The images that are attacked, one behind the other, are its layer `row`; where it says what they
 * are. */
static tdo_err check_layer(const struct tdo_attacking *a, const struct tdo_attack_use *use,
                           const struct tdo_origins *o)
{
    const int64_t first = (int64_t)tdo_attack_value(use, "row", 0) * a->images.count;
    for (int64_t i = 0; o->rows > 0 && i < a->images.count; i++) {
        const int64_t want = tdo_images_row(&a->images, i);
        if (o->row[first + i] != want) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "%s.from = %s: its image %lld is of row %lld, image %lld that is "
                            "attacked is row %lld: a set of the same images (craft.skip, "
                            "craft.max), each as often as any other, expected",
                            use->key, use->from, (long long)(first + i),
                            (long long)o->row[first + i], (long long)i, (long long)want);
        }
    }
    return TDO_OK;
}

static tdo_err open_set(struct tdo_attacking *a, const struct tdo_attack_use *use,
                        struct tdo_attack_row *row)
{
    TDO_TRY(tdo_dataset_open(a->run.comm, use->from, &row->set));
    row->stored = tdo_images_split(row->set, a->images.split);
    tdo_err err = check_set(a, use, tdo_dataset_info(row->set), a->images.split);
    TDO_TRY(tdo_comm_agree(a->run.comm, err));
    struct tdo_origins origins = {0};
    err = tdo_origins_read(a->run.comm, row->set, &origins);
    err = err == TDO_OK ? check_layer(a, use, &origins) : err;
    tdo_origins_free(&origins);
    return tdo_comm_agree(a->run.comm, err);
}

tdo_err tdo_attack_row_open(struct tdo_attacking *a, int number, struct tdo_attack_row *row)
{
    const struct tdo_attack_use *use = &a->use[number];
    if (row->number == number) {
        return TDO_OK;
    }
    tdo_attack_row_close(row);
    TDO_TRY(tdo_comm_agree(a->run.comm, make_target(a, use, row)));
    if (use->from[0]) {
        TDO_TRY(open_set(a, use, row));
    }
    row->number = number;
    return TDO_OK;
}
