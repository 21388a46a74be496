/* Looks and shares of alpha. See schedule.h.
 *
 * Shares are rounded towards less by a factor 1 - 2^-40, so that their real sum stays below
 * alpha however they were rounded; the check adds them up in long double with the error bound
 * of that sum on top. */
#include "defenses/schedule.h"

#include <math.h>
#include <string.h>

static const double EARLY = 0.1, LAST = 0.9; /* of alpha, group */
static const double SHRINK = 1.0 - 0x1p-40;

static const char *const mode_names[] = {"fixed", "radii", "tolerance", "million"};
static const char *const test_names[] = {"group", "kt"};

const char *tdo_schedule_mode_name(enum tdo_schedule_mode mode)
{
    return mode_names[mode];
}

const char *tdo_schedule_test_name(enum tdo_schedule_test test)
{
    return test_names[test];
}

/* ---- checks ------------------------------------------------------------------------------ */

static tdo_err check_targets(const struct tdo_schedule_options *o)
{
    if (o->targets < 0 || o->targets > TDO_SCHEDULE_TARGETS ||
        (o->targets > 0) != (o->mode == TDO_SCHEDULE_RADII)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "schedule: %d target radii; mode radii wants 1 to %d of them, the "
                        "others none",
                        o->targets, TDO_SCHEDULE_TARGETS);
    }
    double last = 0.0;
    for (int i = 0; i < o->targets; i++) {
        if (!(o->target[i] > last && o->target[i] <= 1e6)) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "schedule: target radius %g after %g; they are positive and "
                            "ascend",
                            o->target[i], last);
        }
        last = o->target[i];
    }
    return TDO_OK;
}

static tdo_err check_options(const struct tdo_schedule_options *o)
{
    const bool known = o->mode <= TDO_SCHEDULE_MILLION && o->test <= TDO_SCHEDULE_KT;
    if (!known || o->n < 1 || o->n > UINT32_MAX || !(o->alpha > 0.0 && o->alpha <= 0.5) ||
        !(o->beta > 0.0 && o->beta <= 0.5)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "schedule: n %lld, alpha %g, beta %g; n is in 1..2^32-1, alpha and "
                        "beta in 0..1/2",
                        (long long)o->n, o->alpha, o->beta);
    }
    if (!(o->sigma >= 1e-6 && o->sigma <= 1e6) || !(o->slack >= 0.0 && o->slack <= 0.5)) {
        return TDO_FAIL(TDO_ERR_CONFIG, "schedule: sigma %g, slack %g", o->sigma, o->slack);
    }
    const bool tolerant = o->mode == TDO_SCHEDULE_TOLERANCE || o->mode == TDO_SCHEDULE_MILLION;
    if (!isfinite(o->tolerance) || o->tolerance < 0.0 || tolerant != (o->tolerance > 0.0)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "schedule: tolerance %g; modes tolerance and million want it "
                        "positive, the others have none",
                        o->tolerance);
    }
    if (o->test == TDO_SCHEDULE_KT && o->mode != TDO_SCHEDULE_RADII &&
        o->mode != TDO_SCHEDULE_TOLERANCE) {
        return TDO_FAIL(TDO_ERR_CONFIG, "schedule: mode %s has no test kt",
                        mode_names[o->mode]);
    }
    return check_targets(o);
}

/* Is the real sum of `first` and the shares at most `level`? `which` 0: alpha, 1: beta. A
 * single share is compared without error; a sum of many in 64 bits errs by less than 2^-55 of
 * itself. */
static bool shares_fit(const struct tdo_schedule *s, int which, double first, double level)
{
    long double sum = (long double)first;
    int terms = first > 0.0;
    bool valid = first >= 0.0 && first < 1.0;
    for (int j = 0; j < s->looks; j++) {
        const double share = which == 0 ? s->look[j].alpha : s->look[j].beta;
        valid = valid && share >= 0.0 && share < 1.0;
        terms += share > 0.0;
        sum += (long double)share;
    }
    const long double error = terms > 1 ? 0x1p-50L : 0.0L;
    return valid && sum * (1.0L + error) <= (long double)level;
}

tdo_err tdo_schedule_check(const struct tdo_schedule *s)
{
    TDO_TRY(check_options(&s->o));
    bool ascend = s->looks >= 1 && s->looks <= TDO_SCHEDULE_LOOKS;
    for (int j = 0; ascend && j < s->looks; j++) {
        ascend = s->look[j].n > (j > 0 ? s->look[j - 1].n : 0);
    }
    if (!ascend || s->look[s->looks - 1].n != s->o.n) {
        return TDO_FAIL(TDO_ERR_CONFIG, "schedule: %d looks; 1 to %d that ascend to n expected",
                        s->looks, TDO_SCHEDULE_LOOKS);
    }
    if (!shares_fit(s, 0, s->kt_alpha, s->o.alpha)) {
        return TDO_FAIL(TDO_ERR_CONFIG, "schedule: the looks spend more than alpha = %g",
                        s->o.alpha);
    }
    if (!shares_fit(s, 1, s->kt_beta, s->o.beta)) {
        return TDO_FAIL(TDO_ERR_CONFIG, "schedule: the looks spend more than beta = %g",
                        s->o.beta);
    }
    return TDO_OK;
}

/* ---- making one -------------------------------------------------------------------------- */

static void add_look(struct tdo_schedule *s, int64_t n)
{
    TDO_ASSERT(s->looks < TDO_SCHEDULE_LOOKS);
    s->look[s->looks++] = (struct tdo_look){.n = n};
}

static void place_looks(struct tdo_schedule *s)
{
    const int64_t n = s->o.n, step = TDO_SCHEDULE_FIRST;
    if (s->o.mode == TDO_SCHEDULE_MILLION) {
        const int64_t tenth = (n / 10 + step - 1) / step * step;
        if (tenth > 0 && tenth < n) {
            add_look(s, tenth);
        }
    } else if (s->o.mode != TDO_SCHEDULE_FIXED && s->o.test == TDO_SCHEDULE_GROUP) {
        for (int64_t t = step; t < n; t *= 2) {
            add_look(s, t);
        }
    } else if (s->o.mode != TDO_SCHEDULE_FIXED) {
        for (int64_t t = step, by; t < n; t += by) {
            add_look(s, t);
            by = t / 8 / step * step;
            by = by < step ? step : by;
        }
    }
    add_look(s, n);
}

static void share_out(struct tdo_schedule *s)
{
    const struct tdo_schedule_options *o = &s->o;
    const int early = s->looks - 1;
    struct tdo_look *last = &s->look[early];
    if (early == 0) {
        last->alpha = o->alpha;
        last->beta = o->beta;
        return;
    }
    if (o->test == TDO_SCHEDULE_KT) {
        s->kt_alpha = last->alpha = 0.5 * o->alpha * SHRINK;
        s->kt_beta = last->beta = 0.5 * o->beta * SHRINK;
        return;
    }
    for (int j = 0; j < s->looks; j++) {
        s->look[j].alpha = EARLY * o->alpha / early * SHRINK;
        s->look[j].beta = o->beta / s->looks * SHRINK;
    }
    last->alpha = LAST * o->alpha * SHRINK;
}

tdo_err tdo_schedule_make(const struct tdo_schedule_options *o, struct tdo_schedule *out)
{
    *out = (struct tdo_schedule){.o = *o};
    TDO_TRY(check_options(o));
    place_looks(out);
    share_out(out);
    return tdo_schedule_check(out);
}

/* ---- JSON -------------------------------------------------------------------------------- */

static tdo_err describe_looks(const struct tdo_schedule *s, tdo_json *looks)
{
    for (int j = 0; j < s->looks; j++) {
        tdo_json *look = NULL;
        TDO_TRY(tdo_json_object(&look));
        tdo_json_set_int(look, "n", s->look[j].n);
        tdo_json_set_real(look, "alpha", s->look[j].alpha);
        tdo_json_set_real(look, "beta", s->look[j].beta);
        tdo_json_add(looks, &look);
    }
    return TDO_OK;
}

static void describe_options(const struct tdo_schedule *s, tdo_json *j)
{
    const struct tdo_schedule_options *o = &s->o;
    tdo_json_set_text(j, "mode", mode_names[o->mode]);
    tdo_json_set_text(j, "test", test_names[o->test]);
    tdo_json_set_int(j, "n", o->n);
    tdo_json_set_real(j, "alpha", o->alpha);
    tdo_json_set_real(j, "beta", o->beta);
    tdo_json_set_real(j, "sigma", o->sigma);
    tdo_json_set_real(j, "slack", o->slack);
    tdo_json_set_real(j, "tolerance", o->tolerance);
    tdo_json_set_real(j, "kt_alpha", s->kt_alpha);
    tdo_json_set_real(j, "kt_beta", s->kt_beta);
}

tdo_err tdo_schedule_describe(const struct tdo_schedule *s, tdo_json **out)
{
    tdo_json *targets = NULL, *looks = NULL;
    tdo_err err = tdo_json_object(out);
    if (err != TDO_OK) {
        return err;
    }
    TDO_GOTO(tdo_json_array(&targets));
    TDO_GOTO(tdo_json_array(&looks));
    describe_options(s, *out);
    for (int i = 0; i < s->o.targets; i++) {
        tdo_json_add_real(targets, s->o.target[i]);
    }
    TDO_GOTO(describe_looks(s, looks));
    tdo_json_set(*out, "targets", &targets);
    tdo_json_set(*out, "looks", &looks);
    err = tdo_json_check(*out);
done:
    tdo_json_free(&targets);
    tdo_json_free(&looks);
    if (err != TDO_OK) {
        tdo_json_free(out);
    }
    return err;
}

/* The number of a name in a list of `count`, -1 if it is none. */
static int name_at(const tdo_json *j, const char *key, const char *const *names, int count)
{
    const char *text = NULL;
    for (int i = 0; tdo_json_get_text(j, key, &text) && i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static bool read_options(const tdo_json *j, struct tdo_schedule *s)
{
    struct tdo_schedule_options *o = &s->o;
    const int mode = name_at(j, "mode", mode_names, 4),
              test = name_at(j, "test", test_names, 2);
    o->mode = (enum tdo_schedule_mode)(mode < 0 ? 0 : mode);
    o->test = (enum tdo_schedule_test)(test < 0 ? 0 : test);
    return mode >= 0 && test >= 0 && tdo_json_get_int(j, "n", &o->n) &&
           tdo_json_get_real(j, "alpha", &o->alpha) && tdo_json_get_real(j, "beta", &o->beta) &&
           tdo_json_get_real(j, "sigma", &o->sigma) &&
           tdo_json_get_real(j, "slack", &o->slack) &&
           tdo_json_get_real(j, "tolerance", &o->tolerance) &&
           tdo_json_get_real(j, "kt_alpha", &s->kt_alpha) &&
           tdo_json_get_real(j, "kt_beta", &s->kt_beta);
}

static bool read_look(const tdo_json *looks, int i, struct tdo_look *look)
{
    tdo_json *j = NULL;
    const bool found = tdo_json_at(looks, i, &j) && tdo_json_get_int(j, "n", &look->n) &&
                       tdo_json_get_real(j, "alpha", &look->alpha) &&
                       tdo_json_get_real(j, "beta", &look->beta);
    tdo_json_free(&j);
    return found;
}

static bool read_target(const tdo_json *targets, int i, double *target)
{
    tdo_json *j = NULL;
    const bool found = tdo_json_at(targets, i, &j) && tdo_json_real(j, target);
    tdo_json_free(&j);
    return found;
}

static bool read_lists(const tdo_json *targets, const tdo_json *looks, struct tdo_schedule *s)
{
    const int64_t radii = tdo_json_size(targets), count = tdo_json_size(looks);
    bool fits = tdo_json_is_array(targets) && radii <= TDO_SCHEDULE_TARGETS &&
                tdo_json_is_array(looks) && count <= TDO_SCHEDULE_LOOKS;
    if (!fits) {
        return false;
    }
    s->o.targets = (int)radii;
    s->looks = (int)count;
    for (int i = 0; i < s->o.targets; i++) {
        fits = fits && read_target(targets, i, &s->o.target[i]);
    }
    for (int i = 0; i < s->looks; i++) {
        fits = fits && read_look(looks, i, &s->look[i]);
    }
    return fits;
}

tdo_err tdo_schedule_read(const tdo_json *j, struct tdo_schedule *out)
{
    tdo_json *targets = NULL, *looks = NULL;
    *out = (struct tdo_schedule){0};
    const bool found = read_options(j, out) && tdo_json_get(j, "targets", &targets) &&
                       tdo_json_get(j, "looks", &looks) && read_lists(targets, looks, out);
    tdo_json_free(&targets);
    tdo_json_free(&looks);
    if (!found) {
        return TDO_FAIL(TDO_ERR_FORMAT, "schedule: a key is missing or of another type");
    }
    return tdo_schedule_check(out);
}
