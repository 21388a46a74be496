/* Black-box attacks that do better than every white-box one: a sign that gradients are masked, and
 * that the accuracy under attacks that follow them says little. See robustness.h.
 *
 * Only what can be compared is: norm and units of both are the same, and the white-box attack may go
 * at least as far, both on all images, in the smallest ball that is tried; of an attack without a ball counts what it
 * found within that distance.
 * Source: Athalye et al. 2018, section 3.1; Carlini et al. 2019, section 5. */
#include <math.h>
#include <string.h>

#include "attacks/attack.h"
#include "jobs/outcomes/robustness.h"
#include "nn/base/memory.h"

enum box { UNKNOWN, WHITE, BLACK };

/* What attack a knew of the network, and its units. */
struct means {
    enum box box;
    bool input; /* lengths are behind the input layer */
};

/* An attack that follows the gradients of other networks does not know this one. */
static struct means means_of(const struct tdo_outcomes *o, int a, const char *name)
{
    tdo_json *list = NULL, *attack = NULL, *options = NULL;
    const char *models = "", *units = "";
    const struct tdo_attack *row = tdo_attack_find(name);
    if (tdo_json_get(o->about, "attacks", &list) && tdo_json_at(list, a, &attack)) {
        (void)tdo_json_get_text(attack, "units", &units);
        if (tdo_json_get(attack, "options", &options)) {
            (void)tdo_json_get_text(options, "models", &models);
        }
    }
    const bool follows = row && row->needs == TDO_NEEDS_GRADIENT && !*models;
    const struct means m = {.box = !row || strcmp(name, "clean") == 0 ? UNKNOWN
                                   : follows                          ? WHITE
                                                                      : BLACK,
                            .input = strcmp(units, "input") == 0};
    tdo_json_free(&options);
    tdo_json_free(&attack);
    tdo_json_free(&list);
    return m;
}

/* How far attack a went at most. */
static double farthest(const struct tdo_outcomes *o, int a, enum tdo_norm norm)
{
    double most = 0;
    for (int64_t i = 0; i < o->images; i++) {
        const struct tdo_outcome *of = tdo_outcomes_at(o, a, i);
        most = fmax(most, tdo_outcome_taken(of) ? tdo_outcome_length(of, norm) : 0);
    }
    return most;
}

/* Can white-box attack a be compared with one that went as far as `room`? */
static bool comparable(const struct tdo_robustness *r, const struct means *m, int a, int black,
                       enum tdo_norm norm, double room)
{
    const struct tdo_outcomes_attack *w = &r->row[a].attack;
    return m[a].box == WHITE && !w->ranged && r->row[a].images == r->images &&
           m[a].input == m[black].input && w->norm == norm && w->eps >= room * (1 - 1e-6);
}

/* The best white-box attack that went no less far than `black`, in out->white; -1: there is none. */
static tdo_err find_white(const struct tdo_outcomes *o, const struct tdo_robustness *r,
                          const struct means *m, enum tdo_norm norm,
                          struct tdo_robustness_mask *out)
{
    const double eps = r->row[out->black].attack.eps;
    const double room = isfinite(eps) ? eps : farthest(o, out->black, norm);
    double ball = HUGE_VAL; /* the smallest of them */
    out->white = -1;
    for (int a = 0; a < r->attacks; a++) {
        if (comparable(r, m, a, out->black, norm, room)) {
            ball = fmin(ball, r->row[a].attack.eps);
        }
    }
    for (int a = 0; a < r->attacks; a++) {
        const struct tdo_robustness_row *row = &r->row[a];
        int64_t right = row->right;
        if (!comparable(r, m, a, out->black, norm, room) ||
            (isfinite(row->attack.eps) && row->attack.eps > ball)) {
            continue;
        }
        if (!isfinite(row->attack.eps)) {
            TDO_TRY(tdo_robustness_within(o, a, norm, room, &right));
        }
        if (out->white < 0 || right < out->right) {
            out->white = a;
            out->right = right;
        }
    }
    return TDO_OK;
}

/* One that names no norm has to beat the white-box attacks in every norm. */
static tdo_err add_mask(const struct tdo_outcomes *o, struct tdo_robustness *r,
                        const struct means *m, int black)
{
    const enum tdo_norm own = r->row[black].attack.norm;
    struct tdo_robustness_mask best = {.black = black, .white = -1};
    for (int k = 0; k < TDO_NORMS; k++) {
        struct tdo_robustness_mask mask = {.black = black};
        if (own < TDO_NORMS && own != (enum tdo_norm)k) {
            continue;
        }
        TDO_TRY(find_white(o, r, m, (enum tdo_norm)k, &mask));
        if (mask.white >= 0 && (best.white < 0 || mask.right < best.right)) {
            best = mask;
        }
    }
    if (best.white >= 0 && r->row[black].right < best.right) {
        r->mask[r->masks++] = best;
    }
    return TDO_OK;
}

tdo_err tdo_robustness_masking(const struct tdo_outcomes *o, struct tdo_robustness *r)
{
    struct means *m = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(r->attacks, &r->mask));
    TDO_GOTO(tdo_memory_new(r->attacks, &m));
    for (int a = 0; a < r->attacks; a++) {
        m[a] = means_of(o, a, r->row[a].attack.name);
    }
    for (int a = 0; a < r->attacks; a++) {
        if (m[a].box == BLACK && r->row[a].images == r->images) {
            TDO_GOTO(add_mask(o, r, m, a));
        }
    }
done:
    tdo_memory_free(&m);
    return err;
}

void tdo_robustness_say_mask(FILE *to, const struct tdo_robustness *r, int mask,
                             const char *black, const char *white)
{
    const struct tdo_robustness_mask *m = &r->mask[mask];
    const double images = (double)r->images;
    fprintf(to,
            "black-box %s leaves %.1f %%, less than every white-box attack of no less reach "
            "(best: %s %.1f %%): gradients may be masked",
            black, 100 * (double)r->row[m->black].right / images, white,
            100 * (double)m->right / images);
}
