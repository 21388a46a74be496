/* Validation during training. See validation.h. */
#include "jobs/train/validation.h"

#include "jobs/photos.h"
#include "nn/base/memory.h"

enum { BATCH = 64 };

/* Images of a holdout: their rows are those of the training split. */
static tdo_err read_held(const struct tdo_images *im, const int64_t *rows, int64_t n, void *x,
                         int32_t *y)
{
    const struct tdo_validation *v = im->self;
    int64_t *at = NULL;
    TDO_TRY(tdo_memory_new(n, &at));
    for (int64_t i = 0; i < n; i++) {
        at[i] = tdo_holdout_validation(&v->holdout, rows[i]);
    }
    tdo_err err = tdo_dataset_read(v->data, TDO_SPLIT_TRAIN, at, n, x, y);
    tdo_memory_free(&at);
    return err;
}

static tdo_err hold_out(const tdo_config *c, struct tdo_validation *v)
{
    const double share = tdo_config_real(c, "train.val_share");
    const int64_t all = tdo_dataset_info(v->data)->rows[TDO_SPLIT_TRAIN];
    const int64_t wanted = tdo_config_int(c, "train.images");
    const int64_t rows = wanted > 0 && wanted < all ? wanted : all;
    const int64_t held = (int64_t)(share * (double)rows);
    if (share > 0 && (held < 1 || held >= INT64_C(1) << 31)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "train.val_share = %g of %lld training images is %lld: at least 1 and "
                        "less than 2^31 expected",
                        share, (long long)rows, (long long)held);
    }
    v->holdout = (struct tdo_holdout){.rows = rows,
                                      .held = held,
                                      .of = all,
                                      .last = tdo_config_choice(c, "train.val_rows") == 1,
                                      .seed = (uint32_t)tdo_config_int(c, "run.seed")};
    if (held > 0) {
        v->images = tdo_images_split(v->data, TDO_SPLIT_TRAIN);
        v->images.rows = v->images.count = held;
        v->images.self = v;
        v->images.read = read_held;
    }
    return TDO_OK;
}

static tdo_err choose_split(const tdo_config *c, struct tdo_validation *v)
{
    const struct tdo_dataset_info *a = tdo_dataset_info(v->data);
    const struct tdo_dataset_info *b = tdo_dataset_info(v->other);
    const enum tdo_split split = (enum tdo_split)tdo_config_choice(c, "train.val_split");
    if (a->height != b->height || a->width != b->width || a->channels != b->channels ||
        a->classes != b->classes || a->is_u8 != b->is_u8) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "train.val_file %s has other images or classes than data.file %s",
                        tdo_dataset_path(v->other), tdo_dataset_path(v->data));
    }
    if (b->rows[split] == 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "train.val_split: %s has no images in '%s'",
                        tdo_dataset_path(v->other), tdo_dataset_split_name(split));
    }
    v->images = tdo_images_split(v->other, split);
    return TDO_OK;
}

tdo_err tdo_validation_open(tdo_comm *comm, const tdo_config *c, const tdo_dataset *data,
                            struct tdo_network *n, struct tdo_validation *v)
{
    const char *file = tdo_config_text(c, "train.val_file");
    *v = (struct tdo_validation){.data = data};
    if (file[0] && tdo_config_real(c, "train.val_share") > 0) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "train.val_file and train.val_share are both given: one expected");
    }
    tdo_err err = hold_out(c, v);
    if (err == TDO_OK && file[0] && n->model->output == TDO_MODEL_IMAGE) {
        err =
            TDO_FAIL(TDO_ERR_CONFIG,
                     "train.val_file: a denoiser is validated on rows of its sets whose images "
                     "are held out: train.val_share expected");
    }
    TDO_TRY(tdo_comm_agree(comm, err));
    if (n->model->output == TDO_MODEL_IMAGE) { /* denoising.h does the rest */
        return TDO_OK;
    }
    if (file[0]) {
        TDO_TRY(tdo_photos_open(comm, c, file, &v->other));
        err = choose_split(c, v);
    } else if (v->holdout.held == 0 && tdo_dataset_info(data)->rows[TDO_SPLIT_VAL] > 0) {
        v->images = tdo_images_split(data, TDO_SPLIT_VAL);
    }
    if (err == TDO_OK && v->images.count > 0) {
        err = tdo_forward_new(n, v->images.u8, BATCH, &v->forward);
    }
    return tdo_comm_agree(comm, err);
}

void tdo_validation_close(struct tdo_validation *v)
{
    tdo_forward_free(&v->forward);
    tdo_dataset_free(&v->other);
}

tdo_err tdo_validation_score(tdo_comm *comm, struct tdo_validation *v, double *loss,
                             double *accuracy)
{
    struct tdo_score *score = NULL;
    tdo_forward_touch(v->forward);
    TDO_TRY(tdo_forward_score(comm, v->forward, &v->images, NULL, &score));
    *loss = score->loss;
    *accuracy = (double)score->correct / (double)score->rows;
    tdo_score_free(&score);
    return TDO_OK;
}
