/* train.* of a config. See train.h. */
#include "jobs/train/train.h"

enum {
    SHUFFLE_BLOCK = 256,
    SHUFFLE_WINDOW = 64
}; /* rows, blocks: 16384 rows in memory suffice */

struct tdo_trainer_options tdo_train_step_options(const tdo_config *c, bool u8)
{
    return (struct tdo_trainer_options){
        .batch = tdo_config_int(c, "train.batch"),
        .shards = (int)tdo_config_int(c, "train.shards"),
        .u8 = u8,
        .optim = {.kind = (enum tdo_optim_kind)tdo_config_choice(c, "train.optimizer"),
                  .momentum = tdo_config_real(c, "train.momentum"),
                  .nesterov = tdo_config_bool(c, "train.nesterov"),
                  .beta1 = tdo_config_real(c, "train.beta1"),
                  .beta2 = tdo_config_real(c, "train.beta2"),
                  .epsilon = tdo_config_real(c, "train.epsilon"),
                  .trust = tdo_config_real(c, "train.trust"),
                  .weight_decay = tdo_config_real(c, "train.weight_decay"),
                  .decay_kernels = tdo_config_choice(c, "train.decay") == 1,
                  .fixed_norms = tdo_config_choice(c, "train.norm") == 1,
                  .clip = tdo_config_real(c, "train.clip")},
        .checkpoint = (int)tdo_config_int(c, "train.checkpoint"),
        .dropout = tdo_config_real(c, "train.dropout"),
        .seed = (uint32_t)tdo_config_int(c, "run.seed"),
        .augment = {.pad = tdo_config_int(c, "train.crop"),
                    .flip = tdo_config_bool(c, "train.flip"),
                    .seed = (uint32_t)tdo_config_int(c, "run.seed")}};
}

tdo_err tdo_train_read_photos(const tdo_config *c, tdo_stack *s)
{
    double area[2] = {0, 0};
    const int given = tdo_config_reals(c, "train.area", area, 2);
    struct tdo_photos_reading how = {.cut = {.aspect = tdo_config_real(c, "train.aspect"),
                                             .seed = (uint32_t)tdo_config_int(c, "run.seed")},
                                     .threads = (int)tdo_config_int(c, "data.threads")};
    if (given != 0 && (given != 2 || area[0] > area[1])) {
        return TDO_FAIL(TDO_ERR_CONFIG, "train.area: two numbers expected, the least and the "
                                        "most of an image's area, as in (0.08, 1)");
    }
    how.cut.least = area[0];
    how.cut.most = area[1];
    return tdo_stack_read_photos(s, &how);
}

/* data.shuffle = blocks is train.block and train.window where they say nothing. */
static void plan_order(const tdo_config *c, struct tdo_order *o)
{
    o->block = tdo_config_int(c, "train.block");
    o->window = tdo_config_int(c, "train.window");
    if (tdo_config_choice(c, "data.shuffle") == 1 && o->block == 0) {
        o->block = o->rows < SHUFFLE_BLOCK ? o->rows : SHUFFLE_BLOCK;
        o->window = o->window > 0 ? o->window : SHUFFLE_WINDOW;
    }
}

static tdo_err plan_schedule(const tdo_config *c, struct tdo_schedule *s)
{
    const double batch = (double)tdo_config_int(c, "train.batch");
    const double scale = (double)tdo_config_int(c, "train.lr_batch");
    *s = (struct tdo_schedule){
        .kind = (enum tdo_schedule_kind)tdo_config_choice(c, "train.schedule"),
        .rate = tdo_config_real(c, "train.lr") * (scale > 0 ? batch / scale : 1),
        .factor = tdo_config_real(c, "train.factor"),
        .floor = tdo_config_real(c, "train.floor"),
        .warmup = tdo_config_real(c, "train.warmup"),
        .every = tdo_config_int(c, "train.every")};
    s->milestones =
        tdo_config_reals(c, "train.milestones", s->milestone, TDO_SCHEDULE_MILESTONES);
    if (s->milestones > TDO_SCHEDULE_MILESTONES) {
        return TDO_FAIL(TDO_ERR_CONFIG, "train.milestones has %d numbers: at most %d expected",
                        s->milestones, TDO_SCHEDULE_MILESTONES);
    }
    for (int i = 1; i < s->milestones; i++) {
        if (s->milestone[i] <= s->milestone[i - 1]) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "train.milestones: %g behind %g, rising epochs expected",
                            s->milestone[i], s->milestone[i - 1]);
        }
    }
    if (s->kind == TDO_SCHEDULE_MULTISTEP && s->milestones == 0) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "train.schedule = multistep: train.milestones is empty, epochs at which "
            "the rate falls expected");
    }
    return TDO_OK;
}

tdo_err tdo_train_plan_steps(const tdo_config *c, struct tdo_training *t)
{
    const double epochs = (double)tdo_config_int(c, "train.epochs");
    if (t->validation.holdout.rows == 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "data.file = %s has no training images",
                        tdo_config_text(c, "data.file"));
    }
    t->batch = tdo_config_int(c, "train.batch");
    t->order = (struct tdo_order){.seed = (uint32_t)tdo_config_int(c, "run.seed"),
                                  .rows = tdo_stack_rows(t->stack)};
    plan_order(c, &t->order);
    TDO_TRY(tdo_shard_check(&t->order));
    TDO_TRY(plan_schedule(c, &t->schedule));
    t->save = tdo_config_int(c, "train.save");
    t->steps_per_epoch = (t->order.rows + t->batch - 1) / t->batch;
    t->schedule.epoch_steps = t->steps_per_epoch;
    t->schedule.steps = t->steps = tdo_config_int(c, "train.epochs") * t->steps_per_epoch;
    if (t->schedule.kind == TDO_SCHEDULE_COSINE && t->schedule.warmup >= epochs) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "train.warmup = %g: less than train.epochs = %g expected",
                        t->schedule.warmup, epochs);
    }
    const int64_t cap = tdo_config_int(c, "train.steps");
    t->steps = cap > 0 && cap < t->steps ? cap : t->steps;
    if (t->steps >= 1 << 24) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "train.epochs asks for %lld steps; at most 16777215 can "
                        "be numbered, set train.steps",
                        (long long)t->steps);
    }
    return TDO_OK;
}

/* Are there the classes that the metric counts? A denoiser without a guide has none; in training
 * loss = pixel does not ask its guide. */
static bool classifies(const struct tdo_training *t)
{
    const struct tdo_defense_use *use = tdo_defense_denoising(&t->net.defenses);
    const bool guide = use && tdo_defense_text(use, "guide")[0];
    return !use || (t->metric == TDO_METRIC_VAL_ACCURACY && guide) ||
           (t->metric == TDO_METRIC_ACCURACY && tdo_defense_value(use, "loss", 0) > 0) ||
           t->metric == TDO_METRIC_VAL_LOSS || t->metric == TDO_METRIC_LOSS;
}

/* Every option that looks at a metric needs one. */
static tdo_err check_watch(const tdo_config *c, const struct tdo_training *t)
{
    const bool validated = t->validation.images.count > 0;
    const bool used = t->watch.keep != TDO_WATCH_LAST || t->watch.patience > 0 ||
                      t->schedule.kind == TDO_SCHEDULE_PLATEAU;
    const bool needs = t->metric == TDO_METRIC_VAL_ACCURACY || t->metric == TDO_METRIC_VAL_LOSS;
    if (used && needs && !validated) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "train.metric = %s, but nothing is validated: train.val_share, "
                        "train.val_file or a data set with a val split expected",
                        tdo_config_text(c, "train.metric"));
    }
    if (used && !classifies(t)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "train.metric = %s, but nothing is classified there: val_loss or loss "
                        "expected, or a guide",
                        tdo_config_text(c, "train.metric"));
    }
    if (t->reload && t->watch.keep != TDO_WATCH_BEST) {
        return TDO_FAIL(TDO_ERR_CONFIG, "train.reload goes back to the best weights: "
                                        "train.keep = best expected");
    }
    if ((t->reload || t->reset) && t->schedule.milestones == 0) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "train.%s acts at milestones: train.milestones is empty",
                        t->reload ? "reload" : "reset");
    }
    return TDO_OK;
}

tdo_err tdo_train_plan_watch(const tdo_config *c, struct tdo_training *t)
{
    t->metric = (enum tdo_metric)tdo_config_choice(c, "train.metric");
    t->reset = tdo_config_bool(c, "train.reset");
    t->reload = tdo_config_bool(c, "train.reload");
    t->watch = (struct tdo_watch){
        .lower = t->metric == TDO_METRIC_VAL_LOSS || t->metric == TDO_METRIC_LOSS,
        .keep = (enum tdo_watch_keep)tdo_config_choice(c, "train.keep"),
        .patience = tdo_config_int(c, "train.patience"),
        .plateau =
            t->schedule.kind == TDO_SCHEDULE_PLATEAU ? tdo_config_int(c, "train.plateau") : 0};
    TDO_TRY(check_watch(c, t));
    for (int k = 0; t->watch.keep != TDO_WATCH_LAST && k < TDO_PARAM_FIXED; k++) {
        const int64_t count = tdo_params_count(t->net.params, (enum tdo_param_kind)k);
        TDO_TRY(tdo_memory_new(count + 1, &t->kept[k]));
    }
    return TDO_OK;
}
