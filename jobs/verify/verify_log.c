/* Logs of locuslab/smoothing and its descendants, which hold radii and no counts. See verify.h.
 *
 * A radius is sigma Phi^-1(p) with p a lower bound at level alpha for k votes of n; so only n + 1
 * numbers can stand in a log that was made with n and alpha, and the largest of them is that of
 * k = n. A log prints a radius with some digits, u being the last one. Rounded down, a number x
 * stands for a radius in [x, x + u); if no count has one there, but one has a radius in
 * (x - u, x), then x was rounded up, and claims more than was proven. Where the radii of
 * neighbouring counts are closer than u this cannot be told, and is not.
 *
 * The digits are those of the log: as many behind the point where all radii have so many, else
 * as many significant ones as the longest has ("{:.3}" of Python drops zeros at the end).
 * Source: Cohen et al. 2019; what is wrong with rounding: Jin et al. 2022. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "defenses/sequential.h"
#include "jobs/certify_tables.h"
#include "jobs/report/tsv.h"
#include "jobs/verify/verify.h"
#include "nn/base/exact.h"

/* What is said of a radius. */
enum finding { FINE, ROUNDED_UP, TOO_LARGE };

struct log_row {
    int64_t line, idx, label, predict, correct;
    double radius;
    int decimals, digits; /* behind the point; significant ones */
    enum finding finding;
    double real; /* the radius that it was rounded up from, or the largest there is */
};

struct reading {
    struct tdo_verify *v;
    const struct tdo_verify_log_options *o;
    struct tdo_schedule schedule; /* n draws, one look */
    double largest;               /* radius of n votes */
    struct log_row *row;
    int64_t rows, room;
    bool fixed; /* all radii have the same number of decimals */
    int decimals, digits;
};

/* ---- the log --------------------------------------------------------------------------------- */

/* Digits of a number as it is written. */
static void count_digits(const char *text, struct log_row *r)
{
    bool point = false, begun = false;
    for (; *text && *text != 'e' && *text != 'E'; text++) {
        if (*text == '.') {
            point = true;
        } else if (*text >= '0' && *text <= '9') {
            begun = begun || *text != '0';
            r->digits += begun;
            r->decimals += point;
        }
    }
    if (*text) {
        r->decimals -= (int)strtol(text + 1, NULL, 10);
    }
}

/* Also what a log should not have: NaN, infinity, negative numbers. */
static tdo_err read_radius(const struct tdo_tsv *t, int column, struct log_row *r)
{
    char *end = NULL;
    const char *text = t->field[column];
    r->radius = strtod(text, &end);
    if (end == text || *end) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s:%" PRId64 ": radius = '%.40s': a number expected",
                        t->path, t->line, text);
    }
    if (isfinite(r->radius)) {
        count_digits(text, r);
    }
    return TDO_OK;
}

struct columns {
    int idx, label, predict, radius, correct;
};

static tdo_err read_row(const struct tdo_tsv *t, const struct columns *c, struct log_row *r)
{
    const int64_t most = INT64_C(1) << 40;
    *r = (struct log_row){.line = t->line};
    TDO_TRY(tdo_tsv_int(t, c->idx, 0, most, &r->idx));
    TDO_TRY(tdo_tsv_int(t, c->label, -1, most, &r->label));
    TDO_TRY(tdo_tsv_int(t, c->predict, -1, most, &r->predict));
    TDO_TRY(tdo_tsv_int(t, c->correct, 0, 1, &r->correct));
    return read_radius(t, c->radius, r);
}

static tdo_err read_rows(struct reading *x, struct tdo_tsv *t, const struct columns *c)
{
    for (bool more = true;;) {
        TDO_TRY(tdo_tsv_next(t, &more));
        if (!more) {
            break;
        }
        if (x->rows == x->room) {
            const int64_t room = 2 * x->room + 1024;
            TDO_TRY(tdo_memory_grow(x->room, room, &x->row));
            x->room = room;
        }
        TDO_TRY(read_row(t, c, &x->row[x->rows]));
        x->rows++;
    }
    return x->rows > 0 ? TDO_OK : TDO_FAIL(TDO_ERR_FORMAT, "%s: no rows", t->path);
}

static tdo_err read_log(struct reading *x)
{
    struct tdo_tsv t = {0};
    struct columns c = {0};
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_tsv_open(x->v->path, &t));
    TDO_GOTO(tdo_tsv_need(&t, "idx", &c.idx));
    TDO_GOTO(tdo_tsv_need(&t, "label", &c.label));
    TDO_GOTO(tdo_tsv_need(&t, "predict", &c.predict));
    TDO_GOTO(tdo_tsv_need(&t, "radius", &c.radius));
    TDO_GOTO(tdo_tsv_need(&t, "correct", &c.correct));
    err = read_rows(x, &t, &c);
done:
    tdo_tsv_free(&t);
    return err;
}

/* ---- the table ------------------------------------------------------------------------------- */

static tdo_err print_table(const struct reading *x)
{
    double *radius = NULL;
    int64_t abstained = 0;
    TDO_TRY(tdo_memory_new(x->rows, &radius));
    for (int64_t i = 0; i < x->rows; i++) {
        const struct log_row *r = &x->row[i];
        radius[i] = r->correct && r->radius >= 0 && isfinite(r->radius) ? r->radius : -1;
        abstained += r->predict < 0;
    }
    tdo_certify_tables_accuracy(x->v->to, radius, x->rows, abstained);
    tdo_memory_free(&radius);
    return TDO_OK;
}

/* ---- radii ----------------------------------------------------------------------------------- */

static void find_digits(struct reading *x)
{
    x->fixed = true;
    x->decimals = -1;
    for (int64_t i = 0; i < x->rows; i++) {
        const struct log_row *r = &x->row[i];
        if (!(r->radius > 0) || !isfinite(r->radius)) {
            continue;
        }
        x->fixed = x->fixed && (x->decimals < 0 || r->decimals == x->decimals);
        x->decimals = r->decimals > x->decimals ? r->decimals : x->decimals;
        x->digits = r->digits > x->digits ? r->digits : x->digits;
    }
}

/* What the last digit of a radius counts; no less than doubles can be trusted with. */
static double last_digit(const struct reading *x, double radius)
{
    const double unit =
        x->fixed ? pow(10, -x->decimals) : pow(10, floor(log10(radius)) - x->digits + 1);
    return fmax(unit, 1e-8 * radius);
}

/* Are the radii of neighbouring counts surely closer than the last digit? */
static bool too_dense(const struct reading *x, double radius, double unit)
{
    const double z = radius / x->o->sigma, n = (double)x->o->n;
    const double density = 0.3989422804014327 * exp(-0.5 * z * z);
    return x->o->sigma / (n * density) < unit / 8;
}

/* The least count whose radius is r or more; n + 1: none. A double that was computed from that
 * count in another way may lie a little above its radius; that is not held against it. */
static tdo_err least_count(const struct reading *x, double r, int64_t *k)
{
    double p = 0;
    TDO_TRY(tdo_exact_normal_cdf_up(fmax(r, 0) * (1 - 1e-10), x->o->sigma, 0, &p));
    return tdo_sequential_threshold(&x->schedule, 0, p > 0.5 ? p : nextafter(0.5, 1), k);
}

static tdo_err radius_of(const struct reading *x, int64_t k, double *radius)
{
    struct tdo_sequential_report report;
    TDO_TRY(tdo_sequential_report(&x->schedule, 0, k, &report));
    *radius = report.radius;
    return TDO_OK;
}

static tdo_err judge(const struct reading *x, struct log_row *r)
{
    const int64_t n = x->o->n;
    const double unit = last_digit(x, r->radius);
    int64_t here = 0, next = 0, below = 0;
    if (r->radius <= x->largest && too_dense(x, r->radius, unit)) {
        return TDO_OK;
    }
    TDO_TRY(least_count(x, r->radius, &here));
    TDO_TRY(least_count(x, r->radius + unit, &next));
    TDO_TRY(least_count(x, r->radius - unit, &below));
    if (here > n && below > n) {
        r->finding = TOO_LARGE;
        r->real = x->largest;
    } else if (here == next && below < here) {
        r->finding = ROUNDED_UP;
        TDO_TRY(radius_of(x, here - 1, &r->real));
    }
    return TDO_OK;
}

static int by_radius(const void *a, const void *b)
{
    const struct log_row *x = *(const struct log_row *const *)a;
    const struct log_row *y = *(const struct log_row *const *)b;
    return (x->radius > y->radius) - (x->radius < y->radius);
}

/* Each radius that occurs is judged once. */
static tdo_err judge_rows(struct reading *x)
{
    struct log_row **order = NULL;
    int64_t n = 0;
    TDO_TRY(tdo_memory_new(x->rows, &order));
    for (int64_t i = 0; i < x->rows; i++) {
        if (x->row[i].radius > 0 && isfinite(x->row[i].radius)) {
            order[n++] = &x->row[i];
        }
    }
    if (n > 0) {
        qsort(order, (size_t)n, sizeof *order, by_radius);
    }
    tdo_err err = TDO_OK;
    for (int64_t i = 0; err == TDO_OK && i < n; i++) {
        if (i > 0 && !(order[i]->radius > order[i - 1]->radius)) {
            order[i]->finding = order[i - 1]->finding;
            order[i]->real = order[i - 1]->real;
        } else {
            err = judge(x, order[i]);
        }
    }
    tdo_memory_free(&order);
    return err;
}

static tdo_err make_schedule(struct reading *x)
{
    const struct tdo_schedule_options o = {.mode = TDO_SCHEDULE_FIXED,
                                           .n = x->o->n,
                                           .alpha = x->o->alpha,
                                           .beta = x->o->alpha,
                                           .sigma = x->o->sigma};
    TDO_TRY(tdo_schedule_make(&o, &x->schedule));
    return radius_of(x, x->o->n, &x->largest);
}

/* ---- what is wrong --------------------------------------------------------------------------- */

static void say_row(struct reading *x, const struct log_row *r)
{
    const long long line = (long long)r->line, idx = (long long)r->idx;
    char real[64] = "?";
    if (!isfinite(r->radius) || r->radius < 0) {
        tdo_verify_defect(x->v, "line %lld, image %lld: radius %g", line, idx, r->radius);
    }
    if (r->correct != (r->label == r->predict)) {
        tdo_verify_defect(x->v,
                          "line %lld, image %lld: correct is %lld, but label %lld and "
                          "predict %lld",
                          line, idx, (long long)r->correct, (long long)r->label,
                          (long long)r->predict);
    }
    if (r->finding != FINE) {
        snprintf(real, sizeof real, "%.*f", x->decimals > 6 ? x->decimals + 1 : 7, r->real);
    }
    if (r->finding == TOO_LARGE) {
        tdo_verify_defect(x->v,
                          "line %lld, image %lld: radius %.10g is above %s, the largest "
                          "that n = %lld and alpha = %g allow",
                          line, idx, r->radius, real, (long long)x->o->n, x->o->alpha);
    }
    if (r->finding == ROUNDED_UP) {
        tdo_verify_defect(x->v, "line %lld, image %lld: radius %.10g was rounded up from %s",
                          line, idx, r->radius, real);
    }
}

tdo_err tdo_verify_log(struct tdo_verify *v, const struct tdo_verify_log_options *o)
{
    struct reading x = {.v = v, .o = o};
    tdo_err err = TDO_OK;
    TDO_GOTO(read_log(&x));
    TDO_GOTO(print_table(&x));
    if (o->sigma > 0) {
        find_digits(&x);
        TDO_GOTO(make_schedule(&x));
        TDO_GOTO(judge_rows(&x));
        fprintf(v->to, "largest radius with n = %lld, alpha = %g, sigma = %g: %.6f\n",
                (long long)o->n, o->alpha, o->sigma, x.largest);
    } else {
        fprintf(v->to, "verify.sigma is not given: radii are not compared with n and alpha\n");
    }
    for (int64_t i = 0; i < x.rows; i++) {
        say_row(&x, &x.row[i]);
    }
done:
    tdo_memory_free(&x.row);
    return err;
}
