/* Does what a file of certificates says follow from its counts? See verify.h.
 *
 * The schedule must be sound: what its looks may spend of alpha adds up to no more. Each image
 * must have stopped at a look where the rule stops, with votes that are as many as its draws; then
 * bound, radius, verdict and class are functions of the counts, computed here as the certifier
 * does. Blocks must add up to the votes of their image, and their hashes to its hash. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "defenses/certifier.h"
#include "defenses/sequential.h"
#include "jobs/verify/verify.h"
#include "nn/kernels/onednn.h"

struct checking {
    struct tdo_verify *v;
    const struct tdo_certificates *c;
    tdo_sequential *table;
    uint64_t *bound; /* [images][2] p_lower and radius by the counts, as bit patterns */
};

void tdo_verify_defect(struct tdo_verify *v, const char *format, ...)
{
    va_list arguments;
    v->defects++;
    if (tdo_comm_rank(v->comm) == 0) {
        va_start(arguments, format);
        vfprintf(v->to, format, arguments);
        va_end(arguments);
        fputc('\n', v->to);
    }
}

/* ---- the file -------------------------------------------------------------------------------- */

static void check_bytes(struct tdo_verify *v, const struct tdo_certificates_found *f)
{
    if (!f->sealed) {
        tdo_verify_defect(v, "%s", f->why);
    }
    if (f->hash != f->wanted) {
        tdo_verify_defect(
            v, "hash: %016" PRIx64 " stands in the file, what it holds has %016" PRIx64,
            f->hash, f->wanted);
    }
}

static void check_name(struct tdo_verify *v, const char *what, const char *is,
                       const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(is, names[i]) == 0) {
            return;
        }
    }
    tdo_verify_defect(v, "%s: '%.64s' is none that this program knows", what, is);
}

static void check_names(struct tdo_verify *v, const struct tdo_certificates *c)
{
    static const char *const noise[] = {"rounded", "real", NULL};
    static const char *const precision[] = {"f32", "bf16", NULL};
    static const char *const generator[] = {TDO_RNG_VERSION, NULL};
    static const char *const split[] = {"train", "val", "test", NULL};
    check_name(v, "noise", c->noise, noise);
    check_name(v, "precision", c->precision, precision);
    check_name(v, "generator", c->generator, generator);
    check_name(v, "split", c->split, split);
    if (!tdo_certifier_find(c->certifier)) {
        tdo_verify_defect(v, "certifier: '%.64s' is none that this program knows",
                          c->certifier);
    }
}

/* The slack follows from law, sigma and size of the image. */
static tdo_err check_slack(struct tdo_verify *v, const struct tdo_certificates *c)
{
    tdo_rounded *table = NULL;
    double slack = 0;
    if (strcmp(c->noise, "rounded") == 0) {
        tdo_err err = tdo_rounded_new(c->schedule.o.sigma, &table);
        if (err == TDO_ERR_CONFIG) {
            tdo_verify_defect(v, "sigma: %s", tdo_error_last()->message);
            tdo_error_clear();
            return TDO_OK;
        }
        TDO_TRY(err);
        slack = tdo_rounded_slack(table, c->height * c->width * c->channels);
        tdo_rounded_free(&table);
    }
    if (!(c->schedule.o.slack >= slack)) {
        tdo_verify_defect(v,
                          "slack: %.3e stands in the file, %s noise of this image size has "
                          "%.3e",
                          c->schedule.o.slack, c->noise, slack);
    }
    return TDO_OK;
}

/* *sound: bounds can be computed by this schedule. */
static void check_schedule(struct tdo_verify *v, const struct tdo_certificates *c, bool *sound)
{
    *sound = tdo_schedule_check(&c->schedule) == TDO_OK;
    if (!*sound) {
        tdo_verify_defect(v, "schedule: %s", tdo_error_last()->message);
        tdo_error_clear();
    }
    if (c->n0 < 1) {
        tdo_verify_defect(v, "n0: %" PRId64 " draws of class selection", c->n0);
    }
    if (c->seed < 0 || c->seed > UINT32_MAX) {
        tdo_verify_defect(v, "seed: %" PRId64 " is none", c->seed);
    }
}

/* ---- images ---------------------------------------------------------------------------------- */

static uint64_t sum_of(const uint64_t *count, int64_t classes)
{
    uint64_t sum = 0;
    for (int64_t k = 0; k < classes; k++) {
        sum += count[k];
    }
    return sum;
}

/* Votes are as many as draws, at a look of the schedule: then there are bounds. */
static bool check_draws(const struct checking *x, int64_t i, bool say)
{
    const struct tdo_certificates *c = x->c;
    const struct tdo_schedule *s = &c->schedule;
    const uint64_t *select = c->select + i * c->classes, *count = c->count + i * c->classes;
    const uint64_t selected = sum_of(select, c->classes), counted = sum_of(count, c->classes);
    const long long idx = (long long)c->idx[i];
    const bool looked =
        c->look[i] >= 0 && c->look[i] < s->looks && s->look[c->look[i]].n == c->n[i];
    if (!say) {
        return looked && counted == (uint64_t)c->n[i] && selected == (uint64_t)c->n0;
    }
    if (!looked) {
        tdo_verify_defect(x->v,
                          "image %lld: %lld draws at look %d, where the schedule has no "
                          "such look",
                          idx, (long long)c->n[i], (int)c->look[i]);
    }
    if (counted != (uint64_t)c->n[i]) {
        tdo_verify_defect(x->v, "image %lld: %" PRIu64 " votes of estimation, %lld draws", idx,
                          counted, (long long)c->n[i]);
    }
    if (selected != (uint64_t)c->n0) {
        tdo_verify_defect(x->v, "image %lld: %" PRIu64 " votes of class selection, %lld draws",
                          idx, selected, (long long)c->n0);
    }
    return looked && counted == (uint64_t)c->n[i] && selected == (uint64_t)c->n0;
}

static int64_t votes_for(const struct tdo_certificates *c, int64_t i, int *class)
{
    *class = tdo_certifier_class(c->select + i * c->classes, (int)c->classes);
    return (int64_t)c->count[i * c->classes + *class];
}

/* Bounds of the images of this rank, where there are any; on all ranks in the end. */
static tdo_err recompute(struct checking *x)
{
    const struct tdo_certificates *c = x->c;
    tdo_err err = tdo_memory_new(2 * c->images, &x->bound);
    TDO_TRY(tdo_comm_agree(x->v->comm, err));
    for (int64_t i = tdo_comm_rank(x->v->comm); err == TDO_OK && i < c->images;
         i += tdo_comm_size(x->v->comm)) {
        struct tdo_sequential_report r = {0};
        int class = 0;
        if (check_draws(x, i, false)) {
            err = tdo_sequential_report(&c->schedule, c->look[i], votes_for(c, i, &class), &r);
            memcpy(&x->bound[2 * i], &r.p_lower, sizeof r.p_lower);
            memcpy(&x->bound[2 * i + 1], &r.radius, sizeof r.radius);
        }
    }
    TDO_TRY(tdo_comm_agree(x->v->comm, err));
    tdo_comm_sum_u64(x->v->comm, x->bound, 2 * c->images);
    return TDO_OK;
}

static uint64_t bits_of(double x)
{
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* What the counts give must be what stands there, bit by bit. */
static void check_value(const struct checking *x, int64_t i, const char *what, double stands,
                        double gives)
{
    if (bits_of(stands) != bits_of(gives)) {
        tdo_verify_defect(x->v, "image %lld: %s %.17g stands there, the counts give %.17g",
                          (long long)x->c->idx[i], what, stands, gives);
    }
}

static void check_class(const struct checking *x, int64_t i, int class,
                        enum tdo_verdict verdict)
{
    const struct tdo_certificates *c = x->c;
    const int predict = verdict == TDO_VERDICT_ABSTAIN ? -1 : class;
    const long long idx = (long long)c->idx[i];
    if (c->predict[i] != predict) {
        tdo_verify_defect(x->v, "image %lld: class %d stands there, the counts give %d", idx,
                          (int)c->predict[i], predict);
    }
    if (c->verdict[i] != (uint8_t)verdict) {
        tdo_verify_defect(x->v, "image %lld: verdict %d stands there, the counts give %d (%s)",
                          idx, (int)c->verdict[i], (int)verdict,
                          tdo_certifier_verdict(verdict));
    }
}

static void check_stop(const struct checking *x, int64_t i, enum tdo_sequential_action action,
                       bool certified)
{
    const struct tdo_certificates *c = x->c;
    const enum tdo_stop stop = tdo_certificates_stop(&c->schedule, c->look[i], certified);
    const long long idx = (long long)c->idx[i];
    if (action == TDO_SEQUENTIAL_GO_ON) {
        tdo_verify_defect(x->v, "image %lld: stopped at look %d, where the rule goes on", idx,
                          (int)c->look[i]);
    }
    if (c->stop[i] != (uint8_t)stop) {
        tdo_verify_defect(x->v,
                          "image %lld: stop reason %d stands there, the counts give %d "
                          "(%s)",
                          idx, (int)c->stop[i], (int)stop,
                          tdo_certificates_stop_name((int)stop));
    }
}

static void check_decision(const struct checking *x, int64_t i)
{
    const struct tdo_certificates *c = x->c;
    int class = 0;
    const int64_t count = votes_for(c, i, &class);
    const struct tdo_sequential_step step = tdo_sequential_look(x->table, c->look[i], count);
    double p_lower = 0, radius = 0;
    memcpy(&p_lower, &x->bound[2 * i], sizeof p_lower);
    memcpy(&radius, &x->bound[2 * i + 1], sizeof radius);
    const bool certified =
        c->schedule.o.mode == TDO_SCHEDULE_FIXED || step.action == TDO_SEQUENTIAL_GO_ON
            ? p_lower > 0.5
            : step.action == TDO_SEQUENTIAL_CERTIFIED;
    const enum tdo_verdict verdict = certified       ? TDO_VERDICT_CERTIFIED
                                     : p_lower > 0.5 ? TDO_VERDICT_NOT_CERTIFIED
                                                     : TDO_VERDICT_ABSTAIN;
    check_value(x, i, "p_lower", c->p_lower[i], p_lower);
    check_value(x, i, "radius", c->radius[i], verdict == TDO_VERDICT_ABSTAIN ? 0 : radius);
    check_class(x, i, class, verdict);
    check_stop(x, i, step.action, certified);
}

static void check_place(const struct checking *x, int64_t i)
{
    const struct tdo_certificates *c = x->c;
    const int64_t row = i * c->skip;
    if (c->idx[i] != row || row >= c->split_images) {
        tdo_verify_defect(x->v,
                          "entry %" PRId64 ": image %" PRId64 " stands there, %" PRId64
                          " is expected of %" PRId64,
                          i, c->idx[i], row, c->split_images);
    }
    if (c->label[i] < 0 || c->label[i] >= c->classes) {
        tdo_verify_defect(x->v, "image %" PRId64 ": label %d is no class", c->idx[i],
                          (int)c->label[i]);
    }
}

/* ---- blocks ---------------------------------------------------------------------------------- */

struct cursor {
    int64_t block, entry;
};

/* One block, whose votes are taken off `left` [classes]; false if it cannot be. */
static bool take_block(const struct tdo_certificates *c, struct cursor *at, int64_t draws,
                       uint64_t *left)
{
    int64_t votes = 0, last = -1;
    bool good = true;
    for (int32_t e = 0; e < c->block_entries[at->block]; e++, at->entry++) {
        const int32_t k = c->vote_class[at->entry], n = c->vote_count[at->entry];
        if (k <= last || k >= c->classes || n < 1) {
            good = false;
            continue;
        }
        left[k] -= (uint64_t)n;
        votes += n;
        last = k;
    }
    at->block++;
    return good && votes == draws;
}

/* The blocks of one purpose, of so many draws. */
static bool take_blocks(const struct tdo_certificates *c, struct cursor *at, int64_t draws,
                        const uint64_t *votes, uint64_t *left)
{
    bool good = true;
    memcpy(left, votes, (size_t)c->classes * sizeof *left);
    for (int64_t first = 0; first < draws; first += c->block) {
        const int64_t n = draws - first < c->block ? draws - first : c->block;
        good = take_block(c, at, n, left) && good;
    }
    for (int64_t k = 0; k < c->classes; k++) {
        good = good && left[k] == 0;
    }
    return good;
}

static void check_blocks(const struct checking *x, int64_t i, struct cursor *at, uint64_t *left)
{
    const struct tdo_certificates *c = x->c;
    const int64_t K = c->classes, first = at->block;
    const long long idx = (long long)c->idx[i];
    uint64_t hash = 0;
    if (!take_blocks(c, at, c->n0, c->select + i * K, left)) {
        tdo_verify_defect(x->v,
                          "image %lld: the blocks of class selection do not add up to its "
                          "votes",
                          idx);
    }
    if (!take_blocks(c, at, c->n[i], c->count + i * K, left)) {
        tdo_verify_defect(x->v,
                          "image %lld: the blocks of estimation do not add up to its "
                          "votes",
                          idx);
    }
    for (int64_t b = first; b < at->block; b++) {
        hash += c->block_hash[b];
    }
    if (hash != c->hash[i]) {
        tdo_verify_defect(x->v,
                          "image %lld: hash %016" PRIx64 " stands there, those of its "
                          "blocks add up to %016" PRIx64,
                          idx, c->hash[i], hash);
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

static tdo_err check_images(struct checking *x, bool sound)
{
    const struct tdo_certificates *c = x->c;
    struct cursor at = {0};
    uint64_t *left = NULL;
    TDO_TRY(tdo_memory_new(c->classes, &left));
    for (int64_t i = 0; i < c->images; i++) {
        check_place(x, i);
        if (check_draws(x, i, true) && sound) {
            check_decision(x, i);
        }
        check_blocks(x, i, &at, left);
    }
    tdo_memory_free(&left);
    return TDO_OK;
}

tdo_err tdo_verify_counts(struct tdo_verify *v, const struct tdo_certificates *c,
                          const struct tdo_certificates_found *found)
{
    struct checking x = {.v = v, .c = c};
    bool sound = false;
    tdo_err err = TDO_OK;
    check_bytes(v, found);
    check_names(v, c);
    check_schedule(v, c, &sound);
    if (sound) {
        TDO_GOTO(tdo_comm_agree(v->comm, check_slack(v, c)));
        TDO_GOTO(tdo_comm_agree(v->comm, tdo_sequential_new(&c->schedule, &x.table)));
        TDO_GOTO(recompute(&x));
    }
    err = tdo_comm_agree(v->comm, check_images(&x, sound));
done:
    tdo_sequential_free(&x.table);
    tdo_memory_free(&x.bound);
    return err;
}
