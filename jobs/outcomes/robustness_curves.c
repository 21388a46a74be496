/* Accuracy over eps. See robustness.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/outcomes/robustness.h"
#include "nn/base/memory.h"

/* ---- who stands ---------------------------------------------------------------------------------- */

/* Is image i, which attack a took, still right within eps in its eyes? */
static bool stands(const struct tdo_outcomes *o, const struct tdo_robustness_row *row, int a,
                   int64_t i, enum tdo_norm norm, double eps)
{
    const struct tdo_outcome *of = tdo_outcomes_at(o, a, i);
    double length = tdo_outcome_length(of, norm);
    if (row->attack.norm == norm && length > row->attack.eps) {
        length = row->attack.eps; /* by the rounding of f32 */
    }
    return tdo_outcome_taken(of) && tdo_outcome_clean(of) &&
           (tdo_outcome_right(of) || length > eps);
}

tdo_err tdo_robustness_within(const struct tdo_outcomes *o, int a, enum tdo_norm norm,
                              double eps, int64_t *right)
{
    struct tdo_robustness_row row = {0};
    *right = 0;
    TDO_TRY(tdo_outcomes_attack(o, a, &row.attack));
    for (int64_t i = 0; i < o->images; i++) {
        *right += stands(o, &row, a, i, norm, eps);
    }
    return TDO_OK;
}

/* ---- which eps ------------------------------------------------------------------------------------ */

enum { STEPS = 20 }; /* at least so many, from 0 to the longest perturbation */

/* Values of eps, rising, each once. */
struct grid {
    double *eps;
    int64_t n;
};

static tdo_err add_eps(struct grid *g, double eps)
{
    TDO_TRY(tdo_memory_grow(g->n, g->n + 1, &g->eps));
    g->eps[g->n++] = eps;
    return TDO_OK;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void tidy(struct grid *g)
{
    int64_t kept = 0;
    qsort(g->eps, (size_t)g->n, sizeof *g->eps, by_value);
    for (int64_t i = 0; i < g->n; i++) {
        if (kept == 0 || g->eps[i] > g->eps[kept - 1]) {
            g->eps[kept++] = g->eps[i];
        }
    }
    g->n = kept;
}

/* Multiples of 1, 2 or 5 times a power of ten, from 0 to `longest` or just above it. */
static tdo_err add_steps(struct grid *g, double longest)
{
    static const int firsts[] = {1, 2, 5};
    for (int power = 12; power >= -12; power--) { /* from large steps to small ones */
        double ten = 1;
        for (int k = 0; k < abs(power); k++) {
            ten *= 10;
        }
        for (int f = 2; f >= 0; f--) {
            const double step = power < 0 ? firsts[f] / ten : firsts[f] * ten;
            if (longest / step < STEPS || longest / step > 1000 * STEPS) {
                continue; /* too far apart; or beyond all reason */
            }
            const int last = (int)ceil(longest / step);
            for (int i = 0; i <= last; i++) {
                const double first = (double)(i * firsts[f]);
                TDO_TRY(add_eps(g, power < 0 ? first / ten : first * ten));
            }
            return TDO_OK;
        }
    }
    return TDO_OK;
}

/* The longest perturbation of attack a by which an image went wrong. */
static double longest(const struct tdo_outcomes *o, int a, enum tdo_norm norm)
{
    double most = 0;
    for (int64_t i = 0; i < o->images; i++) {
        const struct tdo_outcome *of = tdo_outcomes_at(o, a, i);
        if (tdo_outcome_taken(of) && tdo_outcome_clean(of) && !tdo_outcome_right(of)) {
            most = fmax(most, tdo_outcome_length(of, norm));
        }
    }
    return most;
}

/* 0, the eps of all balls of a norm, and steps up to what attacks without a ball needed. */
static tdo_err make_grid(const struct tdo_outcomes *o, const struct tdo_robustness *r,
                         enum tdo_norm norm, struct grid *g)
{
    double most = 0;
    TDO_TRY(add_eps(g, 0));
    for (int a = 0; a < r->attacks; a++) {
        const struct tdo_outcomes_attack *attack = &r->row[a].attack;
        if (attack->norm == norm && isfinite(attack->eps)) {
            TDO_TRY(add_eps(g, attack->eps));
        } else if (attack->norm == norm) {
            most = fmax(most, longest(o, a, norm));
        }
    }
    TDO_TRY(add_steps(g, most));
    tidy(g);
    return TDO_OK;
}

/* ---- curves --------------------------------------------------------------------------------------- */

static tdo_err add_point(struct tdo_robustness_curve *c, struct tdo_robustness_point point)
{
    TDO_TRY(tdo_memory_grow(c->points, c->points + 1, &c->at));
    c->at[c->points++] = point;
    return TDO_OK;
}

static tdo_err new_curve(struct tdo_robustness *r, enum tdo_robustness_kind kind,
                         enum tdo_norm norm, const struct tdo_outcomes_attack *attack,
                         struct tdo_robustness_curve **out)
{
    TDO_TRY(tdo_memory_grow(r->curves, r->curves + 1, &r->curve));
    *out = &r->curve[r->curves++];
    **out = (struct tdo_robustness_curve){.kind = kind,
                                          .norm = norm,
                                          .name = attack ? attack->name : "worst",
                                          .title = attack ? attack->title : "worst"};
    return TDO_OK;
}

/* What differs between attacks of one family. */
static void forget_eps(tdo_json *attack)
{
    static const char *const varies[] = {"title", "eps", "step", "share_of_eps_ref", "taken"};
    tdo_json *options = NULL;
    for (size_t k = 0; k < sizeof varies / sizeof *varies; k++) {
        tdo_json_remove(attack, varies[k]);
    }
    if (tdo_json_get(attack, "options", &options)) {
        tdo_json_remove(options, "eps");
        tdo_json_remove(options, "step");
    }
    tdo_json_free(&options);
}

/* What attack.json says of attack a, without what goes with eps, as text. Owner: caller. */
static tdo_err family_of(const struct tdo_outcomes *o, int a, char **text)
{
    tdo_json *list = NULL, *j = NULL, *copy = NULL;
    char *whole = NULL;
    tdo_err err = TDO_OK;
    if (!tdo_json_get(o->about, "attacks", &list) || !tdo_json_at(list, a, &j)) {
        TDO_GOTO(TDO_FAIL(TDO_ERR_MEMORY, "out of memory for attack %d", a));
    }
    TDO_GOTO(tdo_json_text(j, 0, &whole));
    TDO_GOTO(tdo_json_parse(whole, strlen(whole), "attack.json", &copy));
    forget_eps(copy);
    err = tdo_json_text(copy, 0, text);
done:
    tdo_memory_free(&whole);
    tdo_json_free(&copy);
    tdo_json_free(&j);
    tdo_json_free(&list);
    return err;
}

static int by_eps(const void *a, const void *b)
{
    const struct tdo_robustness_point *x = a, *y = b;
    return x->eps != y->eps ? (x->eps > y->eps) - (x->eps < y->eps) : x->attack - y->attack;
}

/* By rising eps; of several points at one eps the one with the fewest right, and that of the clean
 * images at 0. */
static void tidy_points(struct tdo_robustness_curve *c)
{
    int kept = 0;
    qsort(c->at, (size_t)c->points, sizeof *c->at, by_eps);
    for (int i = 0; i < c->points; i++) {
        const struct tdo_robustness_point p = c->at[i];
        if (kept == 0 || p.eps > c->at[kept - 1].eps) {
            c->at[kept++] = p;
        } else if (p.eps > 0 && p.right < c->at[kept - 1].right) {
            c->at[kept - 1] = p;
        }
    }
    c->points = kept;
}

/* The curve of attack a and those after it that differ in eps alone; none if an earlier one has
 * taken it in. */
static tdo_err ball_curve(struct tdo_robustness *r, char *const *family, int a)
{
    struct tdo_robustness_curve *c = NULL;
    const struct tdo_outcomes_attack *first = &r->row[a].attack;
    for (int b = 0; b < a; b++) {
        if (family[b] && strcmp(family[a], family[b]) == 0) {
            return TDO_OK;
        }
    }
    TDO_TRY(new_curve(r, TDO_ROBUSTNESS_BALL, first->norm, first, &c));
    TDO_TRY(
        add_point(c, (struct tdo_robustness_point){0, r->row[a].clean, r->row[a].images, -1}));
    for (int b = a; b < r->attacks; b++) {
        if (family[b] && strcmp(family[a], family[b]) == 0) {
            TDO_TRY(add_point(c, (struct tdo_robustness_point){r->row[b].attack.eps,
                                                               r->row[b].right,
                                                               r->row[b].images, b}));
        }
    }
    tidy_points(c);
    return TDO_OK;
}

/* Of the images that attacks first .. last took, as far as they are of this norm: how many, and how
 * many stand within eps. */
static struct tdo_robustness_point standing(const struct tdo_outcomes *o,
                                            const struct tdo_robustness *r, const int range[2],
                                            enum tdo_norm norm, double eps)
{
    struct tdo_robustness_point p = {.eps = eps};
    for (int64_t i = 0; i < o->images; i++) {
        bool any = false, stand = true;
        for (int a = range[0]; stand && a <= range[1]; a++) {
            const struct tdo_outcome *of = tdo_outcomes_at(o, a, i);
            if (r->row[a].attack.norm == norm && tdo_outcome_taken(of)) {
                any = true;
                stand =
                    eps > 0 ? stands(o, &r->row[a], a, i, norm, eps) : tdo_outcome_clean(of);
            }
        }
        p.images += any;
        p.right += any && stand;
    }
    return p;
}

static tdo_err grid_curve(const struct tdo_outcomes *o, struct tdo_robustness *r,
                          enum tdo_norm norm, const struct grid *g, int a)
{
    struct tdo_robustness_curve *c = NULL;
    const int range[2] = {a < 0 ? 0 : a, a < 0 ? r->attacks - 1 : a};
    TDO_TRY(new_curve(r, a < 0 ? TDO_ROBUSTNESS_WORST : TDO_ROBUSTNESS_MINIMAL, norm,
                      a < 0 ? NULL : &r->row[a].attack, &c));
    for (int64_t k = 0; k < g->n; k++) {
        struct tdo_robustness_point p = standing(o, r, range, norm, g->eps[k]);
        p.attack = p.eps > 0 ? a : -1;
        TDO_TRY(add_point(c, p));
    }
    return TDO_OK;
}

static tdo_err curves_of_norm(const struct tdo_outcomes *o, struct tdo_robustness *r,
                              enum tdo_norm norm, char *const *family)
{
    struct grid g = {0};
    const int before = r->curves;
    tdo_err err = TDO_OK;
    TDO_GOTO(make_grid(o, r, norm, &g));
    for (int a = 0; a < r->attacks; a++) {
        if (r->row[a].attack.norm == norm) {
            TDO_GOTO(family[a] ? ball_curve(r, family, a) : grid_curve(o, r, norm, &g, a));
        }
    }
    if (r->curves > before + 1) {
        TDO_GOTO(grid_curve(o, r, norm, &g, -1));
    }
done:
    tdo_memory_free(&g.eps);
    return err;
}

tdo_err tdo_robustness_curves(const struct tdo_outcomes *o, struct tdo_robustness *r)
{
    char **family = NULL; /* NULL: has no ball */
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_memory_new(r->attacks, &family));
    for (int a = 0; a < r->attacks; a++) {
        if (isfinite(r->row[a].attack.eps)) {
            TDO_GOTO(family_of(o, a, &family[a]));
        }
    }
    for (int norm = 0; norm < TDO_NORMS; norm++) {
        TDO_GOTO(curves_of_norm(o, r, (enum tdo_norm)norm, family));
    }
done:
    for (int a = 0; a < r->attacks; a++) {
        tdo_memory_free(&family[a]);
    }
    tdo_memory_free(&family);
    return err;
}
