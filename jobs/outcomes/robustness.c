/* Numbers and tables from outcomes. See robustness.h.
 *
 * An accuracy over eps is an upper bound on what the network withstands: an attack that found
 * nothing proves nothing. The more attacks, the closer the worst case comes to the truth. */
#include "jobs/outcomes/robustness.h"

#include <math.h>
#include <stdlib.h>

#include "defenses/statistics.h"
#include "nn/base/memory.h"

static const double one_sided = 0.025; /* alpha on each side of an interval of 95 % */
static const double nothing = (double)NAN;

/* ---- a mean and a median ------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts v [n]. */
static struct tdo_robustness_length measure(double *v, int64_t n)
{
    double sum = 0;
    if (n == 0) {
        return (struct tdo_robustness_length){nothing, nothing};
    }
    for (int64_t i = 0; i < n; i++) {
        sum += v[i];
    }
    qsort(v, (size_t)n, sizeof *v, compare);
    return (struct tdo_robustness_length){sum / (double)n, (v[(n - 1) / 2] + v[n / 2]) / 2};
}

static void measure_lengths(const struct tdo_outcome *o, int64_t images, double *room,
                            struct tdo_robustness_row *row)
{
    for (int k = 0; k < TDO_NORMS; k++) {
        for (int hit = 0; hit < 2; hit++) {
            int64_t n = 0;
            for (int64_t i = 0; i < images; i++) {
                if (tdo_outcome_taken(&o[i]) && (!hit || o[i].success)) {
                    room[n++] = tdo_outcome_length(&o[i], (enum tdo_norm)k);
                }
            }
            *(hit ? &row->hit[k] : &row->all[k]) = measure(room, n);
        }
    }
}

/* ---- ratios --------------------------------------------------------------------------------------- */

struct mean {
    double sum;
    int64_t n;
};

static void add_ratio(struct mean *m, double d, double x)
{
    if (x > 0) {
        m->sum += d / x;
        m->n++;
    }
}

/* The mean, or what stands for that of nothing. */
static double mean_of(const struct mean *m, double of_nothing)
{
    return m->n > 0 ? m->sum / (double)m->n : of_nothing;
}

static void measure_ratios(const struct tdo_outcome *o, int64_t images,
                           struct tdo_robustness_row *row)
{
    struct mean all = {0}, own = {0}, l2 = {0};
    double squares = 0;
    for (int64_t i = 0; i < images; i++) {
        if (!tdo_outcome_taken(&o[i])) {
            continue;
        }
        squares += o[i].l2 * o[i].l2;
        add_ratio(&all, o[i].l2, o[i].x2);
        if (o[i].predict != o[i].clean) {
            add_ratio(&l2, o[i].l2, o[i].x2);
            if (row->attack.norm == TDO_NORM_LINF) {
                add_ratio(&own, o[i].linf, o[i].xinf);
            } else {
                add_ratio(&own, o[i].l2, o[i].x2);
            }
        }
    }
    row->rms_l2 = sqrt(squares / (double)row->images);
    row->rho2 = mean_of(&all, nothing);
    row->empirical = mean_of(&own, 0);
    row->empirical_l2 = mean_of(&l2, 0);
}

/* ---- random targets ------------------------------------------------------------------------------- */

static tdo_err measure_draws(const struct tdo_outcome *o, int64_t images,
                             struct tdo_robustness_row *row)
{
    int64_t right = 0, draws = 0;
    int32_t first = 0;
    bool even = true;
    for (int64_t i = 0; i < images; i++) {
        if (!tdo_outcome_taken(&o[i])) {
            continue;
        }
        first = first > 0 ? first : o[i].draws;
        right += o[i].draws - o[i].wrong;
        draws += o[i].draws;
        row->expected += 1 - (double)o[i].wrong / o[i].draws;
        row->random |= o[i].draws > 1;
        even &= o[i].draws == first;
    }
    row->expected /= (double)row->images;
    row->lower = row->upper = nothing;
    if (!row->random || !even) {
        return TDO_OK;
    }
    return tdo_statistics_mean_interval(right, draws, one_sided, &row->lower, &row->upper);
}

/* ---- rows ----------------------------------------------------------------------------------------- */

static void count(const struct tdo_outcome *o, int64_t images, struct tdo_robustness_row *row)
{
    double queries = 0, gradients = 0;
    for (int64_t i = 0; i < images; i++) {
        if (!tdo_outcome_taken(&o[i])) {
            continue;
        }
        row->images++;
        row->clean += tdo_outcome_clean(&o[i]);
        row->right += tdo_outcome_right(&o[i]);
        row->success += o[i].success;
        row->turned += o[i].success && tdo_outcome_clean(&o[i]);
        row->fooled += o[i].predict != o[i].clean;
        queries += (double)o[i].queries;
        gradients += (double)o[i].gradients;
    }
    row->queries = row->images > 0 ? queries / (double)row->images : 0;
    row->gradients = row->images > 0 ? gradients / (double)row->images : 0;
}

static tdo_err make_rows(const struct tdo_outcomes *o, struct tdo_robustness *r)
{
    double *room = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(o->images, &room));
    for (int a = 0; a < o->attacks; a++) {
        const struct tdo_outcome *of = tdo_outcomes_at(o, a, 0);
        struct tdo_robustness_row *row = &r->row[a];
        TDO_GOTO(tdo_outcomes_attack(o, a, &row->attack));
        count(of, o->images, row);
        TDO_GOTO(measure_draws(of, o->images, row));
        measure_lengths(of, o->images, room, row);
        measure_ratios(of, o->images, row);
    }
done:
    tdo_memory_free(&room);
    return err;
}

/* ---- the worst case ------------------------------------------------------------------------------- */

static void find_worst(const struct tdo_outcomes *o, struct tdo_robustness *r)
{
    for (int64_t i = 0; i < o->images; i++) {
        bool any = false, clean = true, right = true;
        for (int a = 0; a < o->attacks; a++) {
            const struct tdo_outcome *of = tdo_outcomes_at(o, a, i);
            const bool taken = tdo_outcome_taken(of);
            any |= taken;
            clean &= !taken || tdo_outcome_clean(of);
            right &= !taken || tdo_outcome_right(of);
        }
        r->images += any;
        r->clean += any && clean;
        r->worst += any && clean && right;
    }
}

/* ---- life ----------------------------------------------------------------------------------------- */

tdo_err tdo_robustness_new(const struct tdo_outcomes *o, struct tdo_robustness **out)
{
    struct tdo_robustness *r = NULL;
    tdo_err err = TDO_OK;
    *out = NULL;
    TDO_TRY(tdo_memory_new(1, &r));
    TDO_GOTO(tdo_memory_new(o->attacks, &r->row));
    r->attacks = o->attacks;
    TDO_GOTO(make_rows(o, r));
    find_worst(o, r);
    TDO_GOTO(tdo_robustness_masking(o, r));
    TDO_GOTO(tdo_robustness_curves(o, r));
    *out = r;
    r = NULL;
done:
    tdo_robustness_free(&r);
    return err;
}

void tdo_robustness_free(struct tdo_robustness **robustness)
{
    struct tdo_robustness *r = *robustness;
    if (r) {
        for (int c = 0; c < r->curves; c++) {
            tdo_memory_free(&r->curve[c].at);
        }
        tdo_memory_free(&r->curve);
        tdo_memory_free(&r->mask);
        tdo_memory_free(&r->row);
        tdo_memory_free(robustness);
    }
}
