/* Rounds and looks of a sequential certification. See certify_looks.h. */
#include "jobs/certify_looks.h"

#include <string.h>
#include <xxhash.h>

#include "defenses/sequential.h"
#include "jobs/page.h"
#include "nn/base/log.h"

/* Where an image stopped, or -1. */
struct place {
    int look, predict;
    int64_t count;
    enum tdo_sequential_action action;
};

struct looking {
    const struct tdo_certify_looks *x;
    tdo_sequential *table;
    struct place *place; /* [images] */
    bool *active;        /* [images] */
    uint64_t *counts;    /* [images][purposes][classes], after the latest round */
    int64_t left;        /* active images */
};

/* ---- options ----------------------------------------------------------------------------------- */

/* Half of sigma, sigma, and half as much again. */
static void usual_targets(struct tdo_schedule_options *s)
{
    s->targets = 3;
    for (int i = 0; i < s->targets; i++) {
        s->target[i] = 0.5 * (i + 1) * s->sigma;
    }
}

static tdo_err read_targets(const tdo_config *k, struct tdo_schedule_options *s)
{
    double target[TDO_SCHEDULE_TARGETS + 1];
    s->targets = tdo_config_reals(k, "certify.radii", target, TDO_SCHEDULE_TARGETS + 1);
    if (s->targets == 0) {
        usual_targets(s);
        return TDO_OK;
    }
    for (int i = 0; i < s->targets && i < TDO_SCHEDULE_TARGETS; i++) {
        s->target[i] = target[i];
        if (i > 0 && !(target[i] > target[i - 1])) {
            return TDO_FAIL(TDO_ERR_CONFIG, "certify.radii: %g after %g; they must ascend",
                            target[i], target[i - 1]);
        }
    }
    if (s->targets > TDO_SCHEDULE_TARGETS) {
        return TDO_FAIL(TDO_ERR_CONFIG, "certify.radii: at most %d of them",
                        TDO_SCHEDULE_TARGETS);
    }
    return TDO_OK;
}

tdo_err tdo_certify_looks_schedule(const tdo_config *config,
                                   const struct tdo_certify_options *o,
                                   struct tdo_schedule *out)
{
    struct tdo_schedule_options s = {
        .mode = (enum tdo_schedule_mode)tdo_config_choice(config, "certify.mode"),
        .test = (enum tdo_schedule_test)tdo_config_choice(config, "certify.test"),
        .n = o->n,
        .alpha = o->alpha,
        .beta = tdo_config_real(config, "certify.beta"),
        .sigma = o->sigma,
        .slack = o->slack};
    if (s.test == TDO_SCHEDULE_KT && s.mode != TDO_SCHEDULE_RADII &&
        s.mode != TDO_SCHEDULE_TOLERANCE) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "certify.test = kt is for certify.mode = radii or tolerance");
    }
    if (s.mode == TDO_SCHEDULE_RADII) {
        TDO_TRY(read_targets(config, &s));
    }
    if (s.mode == TDO_SCHEDULE_TOLERANCE || s.mode == TDO_SCHEDULE_MILLION) {
        s.tolerance = tdo_config_real(config, "certify.tolerance");
        s.tolerance = s.tolerance > 0 ? s.tolerance : 0.1 * s.sigma;
    }
    return tdo_schedule_make(&s, out);
}

/* ---- looks ---------------------------------------------------------------------------------------- */

/* Its JSON. Owner of *text: caller. */
static tdo_err text_of(const struct tdo_schedule *s, char **text)
{
    tdo_json *j = NULL;
    TDO_TRY(tdo_schedule_describe(s, &j));
    tdo_err err = tdo_json_text(j, 2, text);
    tdo_json_free(&j);
    return err;
}

tdo_err tdo_certify_looks_hash(const struct tdo_schedule *s, uint64_t *hash)
{
    char *text = NULL;
    TDO_TRY(text_of(s, &text));
    *hash = XXH64(text, strlen(text), 0);
    tdo_memory_free(&text);
    return TDO_OK;
}

static tdo_err write_schedule(const struct looking *l)
{
    struct tdo_page page;
    char *text = NULL;
    TDO_TRY(text_of(l->x->schedule, &text));
    tdo_err err = tdo_page_open(&page);
    if (err == TDO_OK) {
        fprintf(page.to, "%s\n", text);
        err = tdo_page_save(&page, l->x->run, "schedule.json", TDO_OK);
    }
    tdo_memory_free(&text);
    return err;
}

static tdo_err prepare(struct looking *l)
{
    const struct tdo_certify_looks *x = l->x;
    TDO_TRY(tdo_memory_new(x->images, &l->place));
    TDO_TRY(tdo_memory_new(x->images, &l->active));
    for (int64_t i = 0; i < x->images; i++) {
        l->active[i] = true;
    }
    l->left = x->images;
    TDO_TRY(tdo_sequential_new(x->schedule, &l->table));
    return tdo_comm_rank(x->run->comm) == 0 ? write_schedule(l) : TDO_OK;
}

static void look_at_image(struct looking *l, int look, int64_t i)
{
    const int K = l->x->classes;
    const uint64_t *select = l->counts + i * TDO_VOTES_PURPOSES * K, *count = select + K;
    const int c = tdo_certifier_class(select, K);
    const struct tdo_sequential_step step =
        tdo_sequential_look(l->table, look, (int64_t)count[c]);
    if (step.action != TDO_SEQUENTIAL_GO_ON) {
        l->active[i] = false;
        l->left--;
        l->place[i] = (struct place){
            .look = look, .predict = c, .count = (int64_t)count[c], .action = step.action};
    }
}

static tdo_err run_rounds(struct looking *l)
{
    const struct tdo_certify_looks *x = l->x;
    TDO_TRY(tdo_sampler_begin(x->sampler));
    for (int look = 0; look < x->schedule->looks && l->left > 0; look++) {
        TDO_TRY(tdo_sampler_round(x->sampler, look, l->active));
        tdo_memory_free(&l->counts);
        TDO_TRY(tdo_sampler_share(x->sampler, &l->counts));
        for (int64_t i = 0; i < x->images; i++) {
            if (l->active[i]) {
                look_at_image(l, look, i);
            }
        }
        tdo_log_root(TDO_LOG_INFO, "look %d of %d at %lld draws: %lld of %lld images go on",
                     look + 1, x->schedule->looks, (long long)x->schedule->look[look].n,
                     (long long)l->left, (long long)x->images);
    }
    return TDO_OK;
}

/* ---- certificates --------------------------------------------------------------------------------- */

static enum tdo_verdict verdict_of(const struct place *p, const struct tdo_sequential_report *r)
{
    return p->action == TDO_SEQUENTIAL_CERTIFIED ? TDO_VERDICT_CERTIFIED
           : r->p_lower > 0.5                    ? TDO_VERDICT_NOT_CERTIFIED
                                                 : TDO_VERDICT_ABSTAIN;
}

static tdo_err certificate_of(const struct looking *l, int64_t i)
{
    const struct place *p = &l->place[i];
    struct tdo_sequential_report r;
    TDO_TRY(tdo_sequential_report(l->x->schedule, p->look, p->count, &r));
    const enum tdo_verdict verdict = verdict_of(p, &r);
    l->x->certificate[i] =
        (struct tdo_certificate){.verdict = verdict,
                                 .predict = verdict == TDO_VERDICT_ABSTAIN ? -1 : p->predict,
                                 .p_lower = r.p_lower,
                                 .radius = verdict == TDO_VERDICT_ABSTAIN ? 0 : r.radius,
                                 .n = l->x->schedule->look[p->look].n};
    return TDO_OK;
}

/* Each rank takes every so-manieth image; the results meet as bit patterns, added to zeros. */
static tdo_err make_certificates(const struct looking *l)
{
    const struct tdo_certify_looks *x = l->x;
    const int64_t words = (int64_t)(sizeof *x->certificate / sizeof(uint64_t));
    tdo_err err = TDO_OK;
    for (int64_t i = tdo_comm_rank(x->run->comm); err == TDO_OK && i < x->images;
         i += tdo_comm_size(x->run->comm)) {
        err = certificate_of(l, i);
    }
    TDO_TRY(tdo_comm_agree(x->run->comm, err));
    tdo_comm_sum_u64(x->run->comm, (uint64_t *)(void *)x->certificate, x->images * words);
    return TDO_OK;
}

tdo_err tdo_certify_looks_run(const struct tdo_certify_looks *x)
{
    struct looking l = {.x = x};
    double per_second = 0;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_comm_agree(x->run->comm, prepare(&l)));
    TDO_GOTO(run_rounds(&l));
    tdo_run_note(x->run, "samples_drawn", (double)tdo_sampler_drawn(x->sampler, &per_second));
    tdo_run_note(x->run, "samples_per_second", per_second);
    TDO_GOTO(make_certificates(&l));
done:
    tdo_sequential_free(&l.table);
    tdo_memory_free(&l.place);
    tdo_memory_free(&l.active);
    tdo_memory_free(&l.counts);
    return err;
}
