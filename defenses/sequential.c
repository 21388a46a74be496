/* Thresholds of a schedule, decisions by them, and the bounds behind them. See sequential.h.
 *
 * Every threshold is the place where a question that is monotone in the count changes its
 * answer: "does this count certify p?", "does it rule p out?", "is the radius known well
 * enough?". It is guessed by the normal approximation, then found by exact answers; a bad guess
 * costs time only. */
#include "defenses/sequential.h"

#include <math.h>

#include "defenses/statistics.h"
#include "nn/base/exact.h"
#include "nn/base/memory.h"

enum { COLUMNS = 1 + TDO_SCHEDULE_TARGETS };

struct row {
    int64_t
        certify[COLUMNS]; /* least count that does; [0]: a radius above 0, then the targets */
    int64_t
        futile[COLUMNS]; /* greatest count that gives the target up, -1: none; [0]: unused */
    int64_t stop;        /* tolerance, million: greatest count that needs no more votes */
};

struct tdo_sequential {
    struct tdo_schedule s;
    struct row row[]; /* [looks] */
};

/* ---- questions about one look ------------------------------------------------------------ */

enum kind { CERTIFIES, KEEPS, WANTS_MORE };

struct question {
    const struct tdo_schedule *s;
    int look;
    enum kind kind; /* of an answer that is false for small counts and true for large ones */
    double p;
};

static tdo_err certifies(const struct question *q, int64_t k, bool *yes)
{
    const struct tdo_look *look = &q->s->look[q->look];
    *yes = false;
    if (look->alpha > 0.0) {
        TDO_TRY(tdo_exact_upper_tail_le(k, look->n, q->p, look->alpha, yes));
    }
    if (!*yes && q->s->kt_alpha > 0.0 && (double)k > q->p * (double)look->n) {
        TDO_TRY(tdo_exact_kt_excludes(k, look->n, q->p, q->s->kt_alpha, yes));
    }
    return TDO_OK;
}

/* 1 - p is exact, for p >= 1/2. */
static tdo_err keeps(const struct question *q, int64_t k, bool *yes)
{
    const struct tdo_look *look = &q->s->look[q->look];
    bool given_up = false;
    if (look->beta > 0.0) {
        TDO_TRY(
            tdo_exact_upper_tail_le(look->n - k, look->n, 1.0 - q->p, look->beta, &given_up));
    }
    if (!given_up && q->s->kt_beta > 0.0 && (double)k < q->p * (double)look->n) {
        TDO_TRY(tdo_exact_kt_excludes(k, look->n, q->p, q->s->kt_beta, &given_up));
    }
    *yes = !given_up;
    return TDO_OK;
}

/* tolerance: the radius is not yet known to within it. million: the radius would rise by more
 * if the share of votes stayed what it is until the last look. */
static tdo_err wants_more(const struct question *q, int64_t k, bool *yes)
{
    const struct tdo_schedule *s = q->s;
    struct tdo_sequential_report now, end;
    TDO_TRY(tdo_sequential_report(s, q->look, k, &now));
    double more = now.radius_upper - now.radius;
    if (s->o.mode == TDO_SCHEDULE_MILLION) {
        const int64_t share = k * s->o.n / s->look[q->look].n;
        TDO_TRY(tdo_sequential_report(s, s->looks - 1, share, &end));
        more = end.radius - now.radius;
    }
    *yes = nextafter(more, (double)INFINITY) > s->o.tolerance;
    return TDO_OK;
}

static tdo_err ask(const struct question *q, int64_t k, bool *yes)
{
    switch (q->kind) {
    case CERTIFIES:
        return certifies(q, k, yes);
    case KEEPS:
        return keeps(q, k, yes);
    default:
        return wants_more(q, k, yes);
    }
}

/* The least count in 0..n whose answer is true, n + 1 if none is: steps that double away from
 * the guess, then halving. */
static tdo_err least_true(const struct question *q, double guess, int64_t *least)
{
    const int64_t n = q->s->look[q->look].n;
    int64_t low = -1, high = n + 1, step = 1; /* false at low, true at high */
    int64_t k = (int64_t)fmin(fmax(guess, 0.0), (double)n);
    while (high - low > 1) {
        bool yes = false;
        TDO_TRY(ask(q, k, &yes));
        if (yes) {
            high = k;
            k = low < 0 && high - step > 0 ? high - step : low + (high - low) / 2;
        } else {
            low = k;
            k = high > n && low + step < n ? low + step : low + (high - low) / 2;
        }
        step *= 4;
    }
    *least = high;
    return TDO_OK;
}

/* ---- guesses ----------------------------------------------------------------------------- */

/* How many standard deviations a level is away, in a tail or in the sequence. */
static double deviations(double level, double kt, int64_t n)
{
    const double tail = level > 0.0 ? sqrt(fmax(0.1, 2.0 * log(1.0 / level) - 2.0)) : 1e3;
    const double mixture = kt > 0.0 ? sqrt(2.0 * log(1.0 / kt) + log((double)n)) : 1e3;
    return fmin(tail, mixture);
}

static double guess_count(const struct question *q)
{
    const struct tdo_look *look = &q->s->look[q->look];
    const double n = (double)look->n, spread = sqrt(n * q->p * (1.0 - q->p));
    return q->kind == CERTIFIES
               ? n * q->p + spread * deviations(look->alpha, q->s->kt_alpha, look->n) + 1.0
               : n * q->p - spread * deviations(look->beta, q->s->kt_beta, look->n);
}

/* Wilson 1927: an end of the interval for k of n, z deviations away. */
static double wilson(double k, double n, double z)
{
    const double p = k / n, w = z * z / n;
    return (p + 0.5 * w + z * sqrt(p * (1.0 - p) / n + 0.25 * w / n)) / (1.0 + w);
}

static tdo_err about_radius(double p, double sigma, double *r)
{
    *r = 0.0;
    if (p > 0.5) {
        TDO_TRY(tdo_exact_normal_quantile_down(fmin(p, 1.0 - 0x1p-53), r));
        *r *= sigma;
    }
    return TDO_OK;
}

/* What wants_more compares with the tolerance, about. */
static tdo_err about_more(const struct question *q, double k, double *more)
{
    const struct tdo_schedule *s = q->s;
    const struct tdo_look *look = &s->look[q->look], *last = &s->look[s->looks - 1];
    const double n = (double)look->n, m = (double)last->n;
    double low = 0.0, high = 0.0;
    TDO_TRY(about_radius(wilson(k, n, -deviations(look->alpha, s->kt_alpha, look->n)),
                         s->o.sigma, &low));
    double p = wilson(k, n, deviations(look->beta, s->kt_beta, look->n));
    if (s->o.mode == TDO_SCHEDULE_MILLION) {
        p = wilson(k * m / n, m, -deviations(last->alpha, s->kt_alpha, last->n));
    }
    TDO_TRY(about_radius(p, s->o.sigma, &high));
    *more = high - low;
    return TDO_OK;
}

static tdo_err guess_stop(const struct question *q, double *guess)
{
    double low = 0.0, high = (double)q->s->look[q->look].n;
    while (high - low > 1.0) {
        const double middle = 0.5 * (low + high);
        double more = 0.0;
        TDO_TRY(about_more(q, middle, &more));
        if (more > q->s->o.tolerance) {
            high = middle;
        } else {
            low = middle;
        }
    }
    *guess = high;
    return TDO_OK;
}

/* ---- the table --------------------------------------------------------------------------- */

/* The vote probability that certifies radius r; for r = 0, just above what would. */
static tdo_err probability_of(const struct tdo_schedule *s, double r, double *p)
{
    TDO_TRY(tdo_exact_normal_cdf_up(r, s->o.sigma, s->o.slack, p));
    if (r <= 0.0) {
        *p = fmin(nextafter(*p, 2.0), 1.0);
    }
    return TDO_OK;
}

static tdo_err tabulate_column(tdo_sequential *q, int look, int column)
{
    const double r = column == 0 ? 0.0 : q->s.o.target[column - 1];
    struct question question = {.s = &q->s, .look = look, .kind = CERTIFIES};
    struct row *row = &q->row[look];
    TDO_TRY(probability_of(&q->s, r, &question.p));
    TDO_TRY(least_true(&question, guess_count(&question), &row->certify[column]));
    row->futile[column] = -1;
    if (column > 0) {
        int64_t kept = 0;
        question.kind = KEEPS;
        TDO_TRY(least_true(&question, guess_count(&question), &kept));
        row->futile[column] = kept - 1;
    }
    return TDO_OK;
}

static tdo_err tabulate(tdo_sequential *q, int look)
{
    const bool last = look == q->s.looks - 1;
    for (int column = 0; column <= q->s.o.targets; column++) {
        TDO_TRY(tabulate_column(q, look, column));
    }
    q->row[look].stop = q->s.look[look].n;
    if (q->s.o.tolerance > 0.0 && !last) {
        const struct question question = {.s = &q->s, .look = look, .kind = WANTS_MORE};
        double guess = 0.0;
        int64_t more = 0;
        TDO_TRY(guess_stop(&question, &guess));
        TDO_TRY(least_true(&question, guess, &more));
        q->row[look].stop = more - 1;
    }
    return TDO_OK;
}

tdo_err tdo_sequential_new(const struct tdo_schedule *s, tdo_sequential **out)
{
    *out = NULL;
    TDO_TRY(tdo_schedule_check(s));
    TDO_TRY(tdo_memory_new_(1, sizeof **out + (size_t)s->looks * sizeof(struct row),
                            (void **)(void *)out));
    (*out)->s = *s;
    tdo_err err = TDO_OK;
    for (int look = 0; err == TDO_OK && look < s->looks; look++) {
        err = tabulate(*out, look);
    }
    if (err != TDO_OK) {
        tdo_sequential_free(out);
    }
    return err;
}

void tdo_sequential_free(tdo_sequential **q)
{
    tdo_memory_free(q);
}

const struct tdo_schedule *tdo_sequential_schedule(const tdo_sequential *q)
{
    return &q->s;
}

tdo_err tdo_sequential_threshold(const struct tdo_schedule *s, int look, double p,
                                 int64_t *count)
{
    const struct question q = {.s = s, .look = look, .kind = CERTIFIES, .p = p};
    return least_true(&q, guess_count(&q), count);
}

/* ---- a look ------------------------------------------------------------------------------ */

struct tdo_sequential_step tdo_sequential_look(const tdo_sequential *q, int look, int64_t count)
{
    TDO_ASSERT(look >= 0 && look < q->s.looks && count >= 0 && count <= q->s.look[look].n);
    const struct row *row = &q->row[look];
    const int targets = q->s.o.targets;
    const bool last = look == q->s.looks - 1;
    int reached = 0;
    while (reached < targets && count >= row->certify[1 + reached]) {
        reached++;
    }
    struct tdo_sequential_step step = {.action = TDO_SEQUENTIAL_GO_ON, .targets = reached};
    bool stop = last || count <= row->stop, certified = count >= row->certify[0];
    if (targets > 0) {
        stop = last || reached == targets || count <= row->futile[1 + reached];
        certified = reached > 0;
    }
    if (stop) {
        step.action = certified ? TDO_SEQUENTIAL_CERTIFIED
                      : last    ? TDO_SEQUENTIAL_ABSTAIN
                                : TDO_SEQUENTIAL_FUTILE;
    }
    return step;
}

/* ---- bounds ------------------------------------------------------------------------------ */

/* About where the sequence ends: bisection in plain arithmetic. */
static double guess_kt_bound(int64_t k, int64_t n, double alpha)
{
    const long double kk = (long double)k, rest = (long double)(n - k);
    const long double level = lgammal(kk + 0.5L) + lgammal(rest + 0.5L) -
                              lgammal(kk + rest + 1.0L) - logl(acosl(-1.0L)) +
                              logl((long double)alpha);
    long double low = 0.0L, high = kk / (kk + rest);
    for (int i = 0; i < 70; i++) {
        const long double p = 0.5L * (low + high);
        const bool out = p > 0.0L && kk * logl(p) + rest * log1pl(-p) <= level;
        low = out ? p : low;
        high = out ? high : p;
    }
    return (double)low;
}

/* Ask at p, which lies inside or not. */
static tdo_err narrow(int64_t k, int64_t n, double alpha, double p, double ends[2])
{
    bool out = false;
    if (p > ends[0] && p < ends[1]) {
        TDO_TRY(tdo_exact_kt_excludes(k, n, p, alpha, &out));
        ends[out ? 0 : 1] = p;
    }
    return TDO_OK;
}

tdo_err tdo_sequential_kt_bound(int64_t k, int64_t n, double alpha, double *p)
{
    bool out = false;
    *p = 0.0;
    TDO_TRY(tdo_exact_kt_excludes(k, n, 0.0, alpha, &out)); /* checks the arguments */
    if (k == 0) {
        return TDO_OK;
    }
    const double guess = guess_kt_bound(k, n, alpha);
    double ends[2] = {0.0, (double)k / (double)n}; /* left out, not left out */
    TDO_TRY(narrow(k, n, alpha, guess * (1.0 - 0x1p-46), ends));
    TDO_TRY(narrow(k, n, alpha, guess * (1.0 + 0x1p-46), ends));
    for (;;) {
        const double middle = ends[0] + 0.5 * (ends[1] - ends[0]);
        if (middle <= ends[0] || middle >= ends[1]) {
            break;
        }
        TDO_TRY(narrow(k, n, alpha, middle, ends));
    }
    *p = ends[0];
    return TDO_OK;
}

/* The bounds on the probability under the noise as it was drawn. */
static tdo_err drawn_bounds(const struct tdo_schedule *s, int look, int64_t k, double *lower,
                            double *upper)
{
    const struct tdo_look *l = &s->look[look];
    double p = 0.0;
    *lower = 0.0;
    *upper = 1.0;
    if (l->alpha > 0.0) {
        TDO_TRY(tdo_statistics_lower_bound(k, l->n, l->alpha, lower));
    }
    if (l->beta > 0.0) {
        TDO_TRY(tdo_statistics_upper_bound(k, l->n, l->beta, upper));
    }
    if (s->kt_alpha > 0.0) {
        TDO_TRY(tdo_sequential_kt_bound(k, l->n, s->kt_alpha, &p));
        *lower = fmax(*lower, p);
    }
    if (s->kt_beta > 0.0) {
        TDO_TRY(tdo_sequential_kt_bound(l->n - k, l->n, s->kt_beta, &p));
        *upper = fmin(*upper, nextafter(1.0 - p, 2.0));
    }
    return TDO_OK;
}

/* sigma Phi^-1(p), rounded up. */
static tdo_err radius_up(double p, double sigma, double *radius)
{
    *radius = p < 1.0 ? 0.0 : (double)INFINITY;
    if (p > 0.5 && p < 1.0) {
        double z = 0.0;
        TDO_TRY(tdo_exact_normal_quantile_down(p, &z));
        *radius = nextafter(sigma * nextafter(z, (double)INFINITY), (double)INFINITY);
    }
    return TDO_OK;
}

/* The largest target that this count certifies, 0 if none. */
static tdo_err target_of(const struct tdo_schedule *s, int look, int64_t k, double *target)
{
    *target = 0.0;
    for (int i = 0; i < s->o.targets; i++) {
        struct question q = {.s = s, .look = look, .kind = CERTIFIES};
        bool yes = false;
        TDO_TRY(probability_of(s, s->o.target[i], &q.p));
        TDO_TRY(certifies(&q, k, &yes));
        if (!yes) {
            break;
        }
        *target = s->o.target[i];
    }
    return TDO_OK;
}

tdo_err tdo_sequential_report(const struct tdo_schedule *s, int look, int64_t count,
                              struct tdo_sequential_report *out)
{
    *out = (struct tdo_sequential_report){0};
    if (look < 0 || look >= s->looks || count < 0 || count > s->look[look].n) {
        return TDO_FAIL(TDO_ERR_NUMERIC, "schedule: %lld votes at look %d of %d",
                        (long long)count, look, s->looks);
    }
    TDO_TRY(drawn_bounds(s, look, count, &out->p_lower, &out->p_upper));
    if (s->o.slack > 0.0) {
        out->p_lower = fmax(nextafter(out->p_lower - s->o.slack, -1.0), 0.0);
        out->p_upper = fmin(nextafter(out->p_upper + s->o.slack, 2.0), 1.0);
    }
    TDO_TRY(tdo_statistics_radius(out->p_lower, s->o.sigma, &out->radius));
    TDO_TRY(radius_up(out->p_upper, s->o.sigma, &out->radius_upper));
    TDO_TRY(target_of(s, look, count, &out->target));
    out->radius = fmax(out->radius, out->target);
    return TDO_OK;
}
