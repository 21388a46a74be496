/* Reading a run directory. See results.h. */
#include "jobs/report/results.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/report/curve.h"
#include "jobs/report/tsv.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"

enum { MOST_JSON = 1 << 28, MOST_CLASSES = 1 << 24 };

/* The path of a file in the run directory, and whether it is there. */
static tdo_err find(const struct tdo_results *r, const char *name, char path[1024], bool *there)
{
    const int n = snprintf(path, 1024, "%s/%s", r->dir, name);
    if (n < 0 || n >= 1024) {
        return TDO_FAIL(TDO_ERR_CONFIG, "report.from: %s is too long a path", r->dir);
    }
    *there = tdo_file_exists(path);
    return TDO_OK;
}

static tdo_err read_json(const char *path, tdo_json **out)
{
    char *text = NULL;
    int64_t bytes = 0;
    TDO_TRY(tdo_file_read(path, MOST_JSON, &text, &bytes));
    tdo_err err = tdo_json_parse(text, (size_t)bytes, path, out);
    tdo_memory_free(&text);
    return err;
}

/* A copy of the text under a key, if it is there. */
static void copy_text(const tdo_json *j, const char *key, char *to, size_t size)
{
    const char *text = NULL;
    if (tdo_json_get_text(j, key, &text) && *text) {
        snprintf(to, size, "%s", text);
    }
}

/* ---- evaluate.json ------------------------------------------------------------------------------ */

static tdo_err take_clean(const tdo_json *j, const char *path, struct tdo_results_clean *c)
{
    *c = (struct tdo_results_clean){.split = "-",
                                    .precision = "-",
                                    .top5 = -1,
                                    .loss = (double)NAN,
                                    .rule = "-",
                                    .units = "-",
                                    .sigma = (double)NAN,
                                    .draw_accuracy = (double)NAN};
    (void)tdo_json_get_int(j, "draws", &c->draws);
    if (!tdo_json_get_int(j, "images", &c->images) ||
        !tdo_json_get_int(j, "correct", &c->correct) ||
        (!tdo_json_get_real(j, "loss", &c->loss) && c->draws == 0) || c->images < 1 ||
        c->correct < 0 || c->correct > c->images || c->draws < 0) {
        return TDO_FAIL(
            TDO_ERR_FORMAT,
            "%s: numbers `images`, `correct` (no more than images) and, where there "
            "is no vote, `loss` expected",
            path);
    }
    copy_text(j, "rule", c->rule, sizeof c->rule);
    copy_text(j, "units", c->units, sizeof c->units);
    (void)tdo_json_get_real(j, "sigma", &c->sigma);
    (void)tdo_json_get_real(j, "draw_accuracy", &c->draw_accuracy);
    copy_text(j, "split", c->split, sizeof c->split);
    copy_text(j, "precision", c->precision, sizeof c->precision);
    (void)tdo_json_get_int(j, "top5", &c->top5);
    c->there = true;
    return TDO_OK;
}

static tdo_err read_clean(struct tdo_results *r)
{
    char path[1024];
    bool there = false;
    tdo_json *j = NULL;
    TDO_TRY(find(r, "evaluate.json", path, &there));
    if (!there) {
        return TDO_OK;
    }
    TDO_TRY(read_json(path, &j));
    tdo_err err = take_clean(j, path, &r->clean);
    tdo_json_free(&j);
    return err;
}

/* ---- metrics.jsonl ------------------------------------------------------------------------------ */

static tdo_err take_epoch(const char *line, size_t length, const char *where,
                          struct tdo_results_epoch *e)
{
    static const char *const names[TDO_RESULTS_METRICS] = {[TDO_RESULTS_LOSS] = "loss",
                                                           [TDO_RESULTS_ACCURACY] = "accuracy",
                                                           [TDO_RESULTS_VAL_LOSS] = "val_loss",
                                                           [TDO_RESULTS_VAL_ACCURACY] =
                                                               "val_accuracy",
                                                           [TDO_RESULTS_RATE] = "rate"};
    tdo_json *j = NULL;
    TDO_TRY(tdo_json_parse(line, length, where, &j));
    tdo_err err = TDO_OK;
    if (!tdo_json_get_int(j, "epoch", &e->epoch)) {
        err = TDO_FAIL(TDO_ERR_FORMAT, "%s: a number `epoch` expected", where);
    }
    for (int k = 0; k < TDO_RESULTS_METRICS; k++) {
        e->metric[k] = (double)NAN;
        (void)tdo_json_get_real(j, names[k], &e->metric[k]);
    }
    tdo_json_free(&j);
    return err;
}

static tdo_err take_epochs(const char *text, const char *path, struct tdo_results *r)
{
    char where[1100];
    int64_t room = 0;
    for (const char *line = text; *line;) {
        const size_t length = strcspn(line, "\n");
        snprintf(where, sizeof where, "%s:%" PRId64, path, r->epochs + 1);
        if (!line[length]) {
            return TDO_FAIL(TDO_ERR_FORMAT, "%s: the line has no end: cut off?", where);
        }
        if (r->epochs == room) {
            TDO_TRY(tdo_memory_grow(room, room + 256, &r->epoch));
            room += 256;
        }
        TDO_TRY(take_epoch(line, length, where, &r->epoch[r->epochs]));
        r->epochs++;
        line += length + 1;
    }
    return TDO_OK;
}

static tdo_err read_epochs(struct tdo_results *r)
{
    char path[1024], *text = NULL;
    bool there = false;
    int64_t bytes = 0;
    TDO_TRY(find(r, "metrics.jsonl", path, &there));
    if (!there) {
        return TDO_OK;
    }
    TDO_TRY(tdo_file_read(path, MOST_JSON, &text, &bytes));
    tdo_err err = take_epochs(text, path, r);
    tdo_memory_free(&text);
    return err;
}

/* ---- vote_curve.tsv ----------------------------------------------------------------------------- */

enum { MOST_VOTES = 1024 }; /* rules times powers of two are fewer */

static tdo_err take_curve(struct tdo_tsv *t, struct tdo_results *r)
{
    int rule = -1, draws = -1, correct = -1;
    bool more = false;
    TDO_TRY(tdo_tsv_need(t, "rule", &rule));
    TDO_TRY(tdo_tsv_need(t, "draws", &draws));
    TDO_TRY(tdo_tsv_need(t, "correct", &correct));
    TDO_TRY(tdo_memory_new(MOST_VOTES, &r->vote));
    TDO_TRY(tdo_tsv_next(t, &more));
    while (more) {
        if (r->votes == MOST_VOTES) {
            return TDO_FAIL(TDO_ERR_FORMAT, "%s: fewer than %d lines expected", t->path,
                            MOST_VOTES);
        }
        struct tdo_results_vote *v = &r->vote[r->votes];
        TDO_TRY(tdo_tsv_int(t, draws, 1, INT64_MAX, &v->draws));
        TDO_TRY(tdo_tsv_int(t, correct, 0, r->clean.images, &v->correct));
        snprintf(v->rule, sizeof v->rule, "%s", t->field[rule]);
        r->votes++;
        TDO_TRY(tdo_tsv_next(t, &more));
    }
    return TDO_OK;
}

static tdo_err read_curve(struct tdo_results *r)
{
    char path[1024];
    bool there = false;
    struct tdo_tsv t = {0};
    TDO_TRY(find(r, "vote_curve.tsv", path, &there));
    if (!there || !r->clean.there) {
        return TDO_OK;
    }
    tdo_err err = tdo_tsv_open(path, &t);
    if (err == TDO_OK) {
        err = take_curve(&t, r);
    }
    tdo_tsv_free(&t);
    return err;
}

/* ---- certify.tsv, votes.tsv --------------------------------------------------------------------- */

struct certify_columns {
    int idx, predict, radius, correct, n, precision;
};

/* The draws of all images, or "up to" the most of them where they stopped by themselves. */
static void note_draws(const char *text, struct tdo_results_certificates *to)
{
    const bool several = strncmp(to->n, "up to ", 6) == 0;
    const char *most = several ? to->n + 6 : to->n;
    char larger[sizeof to->n];
    if (to->images == 0) {
        snprintf(to->n, sizeof to->n, "%s", text);
    } else if (strcmp(most, text) != 0) {
        snprintf(larger, sizeof larger, "up to %.15s",
                 strtoll(text, NULL, 10) > strtoll(most, NULL, 10) ? text : most);
        memcpy(to->n, larger, sizeof larger);
    }
}

static tdo_err take_certificate(const struct tdo_tsv *t, const struct certify_columns *c,
                                struct tdo_results_certificates *to)
{
    int64_t idx = 0, predict = 0, correct = 0;
    double radius = 0;
    TDO_TRY(tdo_tsv_int(t, c->idx, 0, INT64_MAX, &idx));
    TDO_TRY(tdo_tsv_int(t, c->predict, -1, MOST_CLASSES, &predict));
    TDO_TRY(tdo_tsv_int(t, c->correct, 0, 1, &correct));
    TDO_TRY(tdo_tsv_real(t, c->radius, 0, 1e6, &radius));
    if (c->n >= 0) {
        note_draws(t->field[c->n], to);
    }
    if (to->images == 0 && c->precision >= 0) {
        snprintf(to->precision, sizeof to->precision, "%s", t->field[c->precision]);
    }
    to->abstained += predict < 0;
    to->correct += correct;
    to->average += correct ? radius : 0;
    to->limit[to->images++] = correct ? radius : -1;
    return TDO_OK;
}

static tdo_err take_certificates(struct tdo_tsv *t, struct tdo_results_certificates *to)
{
    struct certify_columns c;
    int64_t room = 0;
    bool more = false;
    TDO_TRY(tdo_tsv_need(t, "idx", &c.idx));
    TDO_TRY(tdo_tsv_need(t, "predict", &c.predict));
    TDO_TRY(tdo_tsv_need(t, "radius", &c.radius));
    TDO_TRY(tdo_tsv_need(t, "correct", &c.correct));
    c.n = tdo_tsv_column(t, "n");
    c.precision = tdo_tsv_column(t, "precision");
    TDO_TRY(tdo_tsv_next(t, &more));
    while (more) {
        if (to->images == room) {
            TDO_TRY(tdo_memory_grow(room, room + 4096, &to->limit));
            room += 4096;
        }
        TDO_TRY(take_certificate(t, &c, to));
        TDO_TRY(tdo_tsv_next(t, &more));
    }
    if (to->images == 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: no line behind the header", t->path);
    }
    to->average /= (double)to->images;
    tdo_curve_sort(to->limit, to->images);
    return TDO_OK;
}

/* The index of the most votes, the lowest of equals; -1 when the text is not that. */
static int64_t most_votes(const char *text)
{
    int64_t best = -1;
    uint64_t most = 0;
    const char *at = text;
    for (int64_t k = 0; k == 0 || *at++ == ','; k++) {
        char *end = NULL;
        const uint64_t votes = strtoull(at, &end, 10);
        if (*at < '0' || *at > '9') {
            return -1;
        }
        if (best < 0 || votes > most) {
            best = k;
            most = votes;
        }
        at = end;
        if (!*at) {
            return best;
        }
    }
    return -1;
}

static tdo_err take_votes(struct tdo_tsv *t, struct tdo_results_certificates *to)
{
    int label_at = 0, count_at = 0;
    int64_t images = 0;
    bool more = false;
    TDO_TRY(tdo_tsv_need(t, "label", &label_at));
    TDO_TRY(tdo_tsv_need(t, "count", &count_at));
    TDO_TRY(tdo_tsv_next(t, &more));
    for (to->majority = 0; more; images++) {
        int64_t label = 0;
        TDO_TRY(tdo_tsv_int(t, label_at, 0, MOST_CLASSES, &label));
        const int64_t best = most_votes(t->field[count_at]);
        if (best < 0) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s:%" PRId64
                            ": count = '%.40s': whole numbers with commas expected",
                            t->path, t->line, t->field[count_at]);
        }
        to->majority += best == label;
        TDO_TRY(tdo_tsv_next(t, &more));
    }
    if (images != to->images) {
        return TDO_FAIL(TDO_ERR_FORMAT,
                        "%s: %" PRId64 " images, but %" PRId64 " in certify.tsv beside it",
                        t->path, images, to->images);
    }
    return TDO_OK;
}

static tdo_err take_histogram(struct tdo_tsv *t, struct tdo_results_certificates *to)
{
    int at = 0;
    bool more = false;
    TDO_TRY(tdo_tsv_need(t, "images", &at));
    TDO_TRY(tdo_tsv_next(t, &more));
    while (more && to->bins < TDO_RESULTS_BINS) {
        TDO_TRY(tdo_tsv_int(t, at, 0, to->images, &to->bin[to->bins]));
        to->bins++;
        TDO_TRY(tdo_tsv_next(t, &more));
    }
    return TDO_OK;
}

static tdo_err read_histogram(struct tdo_results *r)
{
    struct tdo_tsv t = {0};
    char path[1024];
    bool there = false;
    TDO_TRY(find(r, "p_lower.tsv", path, &there));
    if (!there) {
        return TDO_OK;
    }
    tdo_err err = tdo_tsv_open(path, &t);
    if (err == TDO_OK) {
        err = take_histogram(&t, &r->certificates);
    }
    tdo_tsv_free(&t);
    return err;
}

static tdo_err read_certificates(struct tdo_results *r)
{
    struct tdo_results_certificates *c = &r->certificates;
    char path[1024];
    bool there = false;
    struct tdo_tsv t = {0};
    tdo_err err = TDO_OK;
    *c = (struct tdo_results_certificates){.majority = -1,
                                           .sigma = (double)NAN,
                                           .alpha = (double)NAN,
                                           .certifier = "-",
                                           .n = "-",
                                           .precision = "-"};
    TDO_GOTO(find(r, "certify.tsv", path, &there));
    if (!there) {
        goto done;
    }
    TDO_GOTO(tdo_tsv_open(path, &t));
    TDO_GOTO(take_certificates(&t, c));
    tdo_tsv_free(&t);
    TDO_GOTO(find(r, "votes.tsv", path, &there));
    if (there) {
        TDO_GOTO(tdo_tsv_open(path, &t));
        TDO_GOTO(take_votes(&t, c));
    }
    err = read_histogram(r);
done:
    tdo_tsv_free(&t);
    return err;
}

/* ---- run.json ----------------------------------------------------------------------------------- */

/* The object record.<job>.config.<part>, if it is there; owner: caller. */
static tdo_json *config_part(const tdo_json *record, const char *job, const char *part)
{
    tdo_json *j = NULL, *config = NULL, *found = NULL;
    if (tdo_json_get(record, job, &j) && tdo_json_get(j, "config", &config)) {
        (void)tdo_json_get(config, part, &found);
    }
    tdo_json_free(&config);
    tdo_json_free(&j);
    return found;
}

static void take_record(const tdo_json *record, struct tdo_results *r)
{
    static const char *const jobs[] = {"train", "attack", "evaluate", "certify"};
    for (int i = 0; i < 4; i++) {
        tdo_json *model = config_part(record, jobs[i], "model");
        if (strcmp(r->model, "-") == 0) {
            copy_text(model, "name", r->model, sizeof r->model);
        }
        tdo_json_free(&model);
    }
    tdo_json *data = config_part(record, "attack", "data");
    copy_text(data, "file", r->data, sizeof r->data);
    tdo_json_free(&data);
    tdo_json *certify = config_part(record, "certify", "certify");
    (void)tdo_json_get_real(certify, "sigma", &r->certificates.sigma);
    (void)tdo_json_get_real(certify, "alpha", &r->certificates.alpha);
    copy_text(certify, "certifier", r->certificates.certifier,
              sizeof r->certificates.certifier);
    tdo_json_free(&certify);
}

static tdo_err read_record(struct tdo_results *r)
{
    char path[1024];
    bool there = false;
    tdo_json *j = NULL;
    TDO_TRY(find(r, "run.json", path, &there));
    if (there) {
        TDO_TRY(read_json(path, &j));
        take_record(j, r);
        tdo_json_free(&j);
    }
    return TDO_OK;
}

/* ---- outcomes ----------------------------------------------------------------------------------- */

static tdo_err read_outcomes(struct tdo_results *r)
{
    char path[1024];
    bool there = false;
    TDO_TRY(find(r, "outcomes.tsv", path, &there));
    if (!there) {
        return TDO_OK;
    }
    TDO_TRY(tdo_outcomes_read(r->dir, &r->outcomes));
    if (strcmp(r->model, "-") == 0) {
        copy_text(r->outcomes.about, "model", r->model, sizeof r->model);
    }
    TDO_TRY(tdo_robustness_new(&r->outcomes, &r->robustness));
    TDO_TRY(tdo_memory_new(r->outcomes.attacks, &r->label));
    for (int a = 0; a < r->outcomes.attacks; a++) {
        snprintf(r->label[a], sizeof r->label[a], "%s", r->robustness->row[a].attack.title);
    }
    return TDO_OK;
}

tdo_err tdo_results_read(const char *dir, const char *name, struct tdo_results *out)
{
    *out = (struct tdo_results){.dir = dir, .name = name, .model = "-"};
    if (!tdo_file_exists(dir)) {
        return TDO_FAIL(TDO_ERR_FILE, "report.from: there is no run directory %s", dir);
    }
    TDO_TRY(read_clean(out));
    TDO_TRY(read_curve(out));
    TDO_TRY(read_epochs(out));
    TDO_TRY(read_certificates(out));
    TDO_TRY(read_record(out));
    TDO_TRY(read_outcomes(out));
    if (!out->clean.there && out->epochs == 0 && out->certificates.images == 0 &&
        out->outcomes.attacks == 0) {
        return TDO_FAIL(TDO_ERR_FILE,
                        "report.from: nothing to report in %s: metrics.jsonl, evaluate.json, "
                        "certify.tsv or outcomes.tsv expected",
                        dir);
    }
    return TDO_OK;
}

void tdo_results_free(struct tdo_results *r)
{
    tdo_memory_free(&r->vote);
    tdo_memory_free(&r->epoch);
    tdo_memory_free(&r->certificates.limit);
    tdo_memory_free(&r->label);
    tdo_robustness_free(&r->robustness);
    tdo_outcomes_free(&r->outcomes);
}
