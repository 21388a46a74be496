/* The table of attacks, and a row in use. See attack.h. */
#include "attacks/attack.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "attacks/aim.h"

#define ATTACK(name) extern const struct tdo_attack tdo_attack_##name;
#include "attacks/attacks.def"
#undef ATTACK

const struct tdo_attack *const tdo_attack_table[] = {
#define ATTACK(name) &tdo_attack_##name,
#include "attacks/attacks.def"
#undef ATTACK
    NULL};

enum { ROWS = sizeof tdo_attack_table / sizeof *tdo_attack_table - 1 };

const char *tdo_attack_name(int i)
{
    return i < ROWS ? tdo_attack_table[i]->name : NULL;
}

const struct tdo_option *tdo_attack_options(int i)
{
    return tdo_attack_table[i]->options;
}

const struct tdo_attack *tdo_attack_find(const char *name)
{
    for (int i = 0; i < ROWS; i++) {
        if (strcmp(tdo_attack_table[i]->name, name) == 0) {
            return tdo_attack_table[i];
        }
    }
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------------------ */

double tdo_attack_value(const struct tdo_attack_use *use, const char *key, double neutral)
{
    const int i = tdo_option_at(use->row->options, key);
    return i < 0 ? neutral : use->value[i];
}

bool tdo_attack_has(const struct tdo_attack_use *use, const char *key)
{
    return tdo_option_at(use->row->options, key) >= 0;
}

const struct tdo_attack_list *tdo_attack_list(const struct tdo_attack_use *use, const char *key)
{
    for (int i = 0; i < TDO_ATTACK_LISTS; i++) {
        if (use->list[i].key && strcmp(use->list[i].key, key) == 0) {
            return &use->list[i];
        }
    }
    return NULL;
}

static struct tdo_text key_of(const struct tdo_attack_use *use, const char *option)
{
    struct tdo_text t;
    snprintf(t.s, sizeof t.s, "%s.%s", use->key, option);
    return t;
}

static const char *text_of(const tdo_config *c, const struct tdo_attack_use *use,
                           const char *option)
{
    return !tdo_attack_has(use, option) ? "" : tdo_config_text(c, key_of(use, option).s);
}

static enum tdo_norm norm_called(const char *name)
{
    for (int n = 0; n < TDO_NORMS; n++) {
        if (strcmp(tdo_threat_norm_name((enum tdo_norm)n), name) == 0) {
            return (enum tdo_norm)n;
        }
    }
    return TDO_NORM_L2;
}

/* What the shared options say. */
static void set_threat(const tdo_config *c, struct tdo_attack_use *use)
{
    const struct tdo_attack_list *eps = tdo_attack_list(use, "eps");
    use->threat = (struct tdo_threat){
        .norm = norm_called(text_of(c, use, "norm")),
        .eps = eps ? eps->of[0] : HUGE_VAL,
        .units = (enum tdo_units)(int)tdo_attack_value(use, "units", TDO_UNITS_PIXEL),
        .boxed = (int)tdo_attack_value(use, "box", 0) == 0};
    use->target = (struct tdo_target_options){
        .draws = (int)tdo_attack_value(use, "draws", 1),
        .reduce = (enum tdo_reduce)(int)tdo_attack_value(use, "reduce", TDO_REDUCE_LOSS),
        .redraw = (enum tdo_redraw)(int)tdo_attack_value(use, "redraw", TDO_REDRAW_STEP),
        .units = use->threat.units,
        .boxed = use->threat.boxed,
        .auxiliary = tdo_attack_value(use, "auxiliary", 0),
        .purpose = TDO_PURPOSE_ATTACK_DRAW};
}

static tdo_err read_list(const tdo_config *c, const struct tdo_attack_use *use,
                         const char *option, struct tdo_attack_list *list)
{
    list->key = option;
    list->count = tdo_config_reals(c, key_of(use, option).s, list->of, TDO_ATTACK_ITEMS);
    if (list->count < 1 || list->count > TDO_ATTACK_ITEMS) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s.%s has %d numbers, expected 1 to %d", use->key,
                        option, list->count, TDO_ATTACK_ITEMS);
    }
    return TDO_OK;
}

static tdo_err read_values(const tdo_config *c, struct tdo_attack_use *use)
{
    int lists = 0;
    for (int i = 0; use->row->options[i].key; i++) {
        const struct tdo_option *o = &use->row->options[i];
        TDO_ASSERT(i < TDO_ATTACK_VALUES);
        use->value[i] = tdo_config_number(c, key_of(use, o->key).s, o);
        if (o->type == TDO_OPTION_REALS) {
            TDO_ASSERT(lists < TDO_ATTACK_LISTS);
            TDO_TRY(read_list(c, use, o->key, &use->list[lists++]));
        }
    }
    return TDO_OK;
}

tdo_err tdo_attack_read(const tdo_config *c, const char *key, int registry, uint32_t seed,
                        int index, struct tdo_attack_use *out)
{
    *out = (struct tdo_attack_use){
        .row = tdo_attack_table[registry], .seed = seed, .index = index};
    snprintf(out->key, sizeof out->key, "%s", key);
    TDO_TRY(read_values(c, out));
    set_threat(c, out);
    out->models = text_of(c, out, "models");
    out->from = text_of(c, out, "from");
    return TDO_OK;
}

/* ---- the eps of a sample -------------------------------------------------------------------------- */

enum { EPS_LAYER = 14 }; /* its stream, beside those of the attack itself */

/* The multiples of eps_grid within the range: first[0] to first[1], none where that is less. */
static void grid_range(const struct tdo_attack_use *use, double eps, double range[2])
{
    const double grid = tdo_attack_value(use, "eps_grid", 0);
    range[0] = ceil(tdo_attack_value(use, "eps_from", 0) / grid - 1e-6);
    range[1] = floor(eps / grid + 1e-6);
}

double tdo_attack_eps(const struct tdo_attack_use *use, uint64_t id)
{
    const double from = tdo_attack_value(use, "eps_from", 0), eps = use->threat.eps;
    const double grid = tdo_attack_value(use, "eps_grid", 0);
    double range[2] = {0, 0};
    float u[4];
    if (from <= 0 || from >= eps) {
        return eps;
    }
    tdo_attack_uniforms(use, EPS_LAYER, id, 0, 4, u);
    if (grid <= 0) {
        return from + (double)u[0] * (eps - from);
    }
    grid_range(use, eps, range);
    const double levels = fmax(range[1] - range[0] + 1, 1);
    return fmin(grid * (range[0] + floor((double)u[0] * levels)), eps);
}

/* Can an eps be drawn up to this one? */
static tdo_err check_range(const struct tdo_attack_use *use, double eps)
{
    const double from = tdo_attack_value(use, "eps_from", 0);
    const double grid = tdo_attack_value(use, "eps_grid", 0);
    double range[2] = {0, 0};
    if (from > eps) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s.eps_from = %g: no more than eps = %g expected",
                        use->key, from, eps);
    }
    if (grid > 0 && from <= 0) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s.eps_grid = %g is for eps that are drawn: eps_from expected, too",
                        use->key, grid);
    }
    if (grid > 0) {
        grid_range(use, eps, range);
    }
    return range[0] <= range[1]
               ? TDO_OK
               : TDO_FAIL(TDO_ERR_CONFIG,
                          "%s.eps_grid = %g: no multiple of it lies between eps_from = %g and "
                          "eps = %g",
                          use->key, grid, from, eps);
}

/* ---- use ------------------------------------------------------------------------------------------- */

/* The farthest that a perturbation can be, inside the box. */
static double widest(const tdo_target *t, enum tdo_norm norm)
{
    const struct tdo_box *box = tdo_target_box(t);
    double sum = 0, most = 0;
    for (int64_t p = 0; p < box->size; p++) {
        const double d = (double)box->high[p] - (double)box->low[p];
        sum += d * d;
        most = d > most ? d : most;
    }
    return norm == TDO_NORM_LINF ? most : norm == TDO_NORM_L2 ? sqrt(sum) : (double)box->size;
}

tdo_err tdo_attack_check(const struct tdo_attack_use *use, const tdo_target *t)
{
    const double most = widest(t, use->threat.norm);
    if (use->row->needs == TDO_NEEDS_GRADIENT && !tdo_target_differentiable(t)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s: %s needs gradients, and model.precision = bf16 has none; "
                        "model.precision = f32 has",
                        use->key, use->row->name);
    }
    TDO_TRY(tdo_aim_check(use, t));
    const struct tdo_attack_list *eps = tdo_attack_list(use, "eps");
    for (int i = 0; eps && i < eps->count; i++) {
        TDO_TRY(check_range(use, eps->of[i]));
        if (use->threat.boxed && eps->of[i] > most * (1 + 1e-6)) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "%s.eps = %g leaves the box: no image is further than %.9g in %s "
                            "(8-bit steps are written n/255)",
                            use->key, eps->of[i], most, tdo_threat_norm_name(use->threat.norm));
        }
    }
    return use->row->check ? use->row->check(use, t) : TDO_OK;
}

tdo_err tdo_attack_run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    const int64_t size = tdo_target_size(t);
    memcpy(s->found, s->x, (size_t)(s->count * size) * sizeof *s->x);
    for (int64_t i = 0; i < s->count; i++) {
        s->aim[i] = s->label[i];
        s->target[i] = -1;
        s->done[i] = false;
        s->queries[i] = s->gradients[i] = 0;
    }
    s->question = 0;
    s->moment = use->moment;
    return use->row->run(use, t, s);
}

bool tdo_attack_all_done(const struct tdo_samples *s)
{
    for (int64_t i = 0; i < s->count; i++) {
        if (!s->done[i]) {
            return false;
        }
    }
    return true;
}

/* Where the last component of a path of n characters begins. */
static size_t last_part(const char *path, size_t n)
{
    while (n > 0 && path[n - 1] != '/') {
        n--;
    }
    return n;
}

/* What people call a run by: a directory's own name; of a file (its name has a dot) that of the
 * folder that it lies in, if it says one. */
static struct tdo_text folder_of(const char *path, size_t n)
{
    struct tdo_text t;
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    size_t first = last_part(path, n);
    if (first > 1 && memchr(path + first, '.', n - first)) {
        n = first - 1;
        first = last_part(path, n);
    }
    snprintf(t.s, sizeof t.s, "%.*s", (int)(n - first < 100 ? n - first : 100), path + first);
    return t;
}

struct tdo_text tdo_attack_title(const struct tdo_attack_use *use)
{
    struct tdo_text t;
    int n = snprintf(t.s, sizeof t.s, "%s", use->row->name);
    if (tdo_attack_has(use, "norm")) {
        n += snprintf(t.s + n, sizeof t.s - (size_t)n, " %s",
                      tdo_threat_norm_name(use->threat.norm));
    }
    if (use->row->ball && tdo_attack_value(use, "eps_from", 0) > 0) {
        n += snprintf(t.s + n, sizeof t.s - (size_t)n, " %.6g to %.6g",
                      tdo_attack_value(use, "eps_from", 0), use->threat.eps);
    } else if (use->row->ball) {
        n += snprintf(t.s + n, sizeof t.s - (size_t)n, " %.6g", use->threat.eps);
    }
    if (tdo_attack_has(use, "c") && tdo_attack_value(use, "search", 1) <= 0) {
        n +=
            snprintf(t.s + n, sizeof t.s - (size_t)n, " c %.6g", tdo_attack_value(use, "c", 0));
    }
    if (tdo_aim_read(use) == TDO_AIM_CLASS) {
        n += snprintf(t.s + n, sizeof t.s - (size_t)n, " to class %d",
                      (int)tdo_attack_value(use, "class", 0));
    }
    if (use->from[0]) {
        const int row = (int)tdo_attack_value(use, "row", 0);
        n += snprintf(t.s + n, sizeof t.s - (size_t)n, " of %s",
                      folder_of(use->from, strlen(use->from)).s);
        if (row > 0) {
            (void)snprintf(t.s + n, sizeof t.s - (size_t)n, " row %d", row);
        }
    } else if (use->models[0]) {
        const size_t first = strcspn(use->models, ",");
        (void)snprintf(t.s + n, sizeof t.s - (size_t)n, " on %s%s",
                       folder_of(use->models, first).s, use->models[first] ? "+" : "");
    }
    return t;
}

/* ---- randomness ------------------------------------------------------------------------------------- */

static struct tdo_stream stream_of(const struct tdo_attack_use *use, int layer)
{
    return (struct tdo_stream){.seed = use->seed,
                               .purpose = TDO_PURPOSE_ATTACK,
                               .layer = (uint32_t)(use->index * 16 + layer)};
}

void tdo_attack_uniforms(const struct tdo_attack_use *use, int layer, uint64_t id,
                         uint32_t draw, int64_t n, float *out)
{
    const struct tdo_stream stream = stream_of(use, layer);
    const struct tdo_key key = {.sample = id, .draw = draw, .step = use->moment};
    tdo_rng_uniforms(&stream, &key, 0, n, out);
}

void tdo_attack_normals(const struct tdo_attack_use *use, int layer, uint64_t id, uint32_t draw,
                        int64_t n, float *out)
{
    const struct tdo_stream stream = stream_of(use, layer);
    const struct tdo_key key = {.sample = id, .draw = draw, .step = use->moment};
    tdo_rng_normals(&stream, &key, 0, n, out);
}
