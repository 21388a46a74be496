/* Networks as attacks see them. See ensemble.h. */
#include "jobs/attack/ensemble.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "jobs/network_front.h"

tdo_err tdo_front_read(const tdo_config *c, const struct tdo_voting *voting,
                       struct tdo_front *out)
{
    *out = (struct tdo_front){.levels = tdo_config_int(c, "target.levels"),
                              .sigma = voting->noise.sigma,
                              .noise = !voting->quiet,
                              .seed = voting->noise.stream.seed,
                              .scales = voting->noise.scales};
    memcpy(out->scale, voting->noise.scale, sizeof out->scale);
    if (out->levels == 1) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "target.levels = 1 leaves nothing of an image: 2 or more expected, or 0 "
            "for none");
    }
    return TDO_OK;
}

/* ---- members --------------------------------------------------------------------------------- */

struct tdo_ensemble tdo_ensemble_one(struct tdo_network *n, const struct tdo_front *front)
{
    return (struct tdo_ensemble){.member = {n}, .members = 1, .front = *front};
}

static tdo_err open_member(const char *key, const char *member,
                           const struct tdo_network_data *data, struct tdo_ensemble *e)
{
    struct tdo_network *n = NULL;
    TDO_TRY(tdo_memory_new(1, &n));
    tdo_err err = tdo_network_front_member(key, member, data, 1, n);
    if (err == TDO_OK) {
        e->member[e->members++] = n;
        n = NULL;
    }
    tdo_memory_free(&n);
    return err;
}

tdo_err tdo_ensemble_open(const char *key, const char *paths,
                          const struct tdo_network_data *data, const struct tdo_front *front,
                          struct tdo_ensemble *out)
{
    *out = (struct tdo_ensemble){.owned = true, .front = *front};
    while (*paths) {
        char path[2100];
        const size_t n = strcspn(paths, ",");
        if (out->members == TDO_TARGET_MEMBERS || n >= sizeof path || n == 0) {
            return TDO_FAIL(
                TDO_ERR_CONFIG,
                "%s: up to %d model files or run directories between commas expected", key,
                TDO_TARGET_MEMBERS);
        }
        snprintf(path, sizeof path, "%.*s", (int)n, paths);
        TDO_TRY(open_member(key, path, data, out));
        paths += n + (paths[n] == ',');
    }
    return TDO_OK;
}

void tdo_ensemble_free(struct tdo_ensemble *e)
{
    for (int i = 0; e->owned && i < e->members; i++) {
        tdo_network_free(e->member[i]);
        tdo_memory_free(&e->member[i]);
    }
    *e = (struct tdo_ensemble){0};
}

tdo_err tdo_ensemble_hash(const struct tdo_ensemble *e, uint64_t *hash)
{
    uint64_t each[TDO_TARGET_MEMBERS];
    for (int i = 0; i < e->members; i++) {
        TDO_TRY(tdo_network_hash(e->member[i], &each[i]));
    }
    *hash = e->members == 1 ? each[0] : XXH64(each, (size_t)e->members * sizeof *each, 0);
    return TDO_OK;
}

/* ---- the target ------------------------------------------------------------------------------- */

static tdo_node front(const struct tdo_front *f, tdo_graph *g, tdo_node pixels, tdo_node keys)
{
    struct tdo_noise noise = {.law = TDO_NOISE_REAL,
                              .sigma = f->sigma,
                              .stream = {.seed = f->seed, .purpose = TDO_PURPOSE_ATTACK_DRAW},
                              .scales = f->scales};
    memcpy(noise.scale, f->scale, sizeof noise.scale);
    if (f->augment) {
        pixels = tdo_defense_augment(f->augment, g, pixels, false, keys);
    }
    if (f->levels > 0) {
        pixels = tdo_target_quantise(g, pixels, f->levels);
    }
    return f->sigma > 0 ? tdo_noise_add(g, &noise, pixels, false, keys) : pixels;
}

/* A part of a network: tdo_network_logits, or tdo_network_behind. */
typedef tdo_node part_fn(struct tdo_network *n, struct tdo_build *b, tdo_node x);

static void build_members(struct tdo_ensemble *e, tdo_graph *g, part_fn *part, tdo_node x,
                          tdo_node keys, tdo_node *logits, tdo_node *auxiliary)
{
    int64_t first = 0;
    int heads = 0;
    for (int i = 0; i < e->members; i++) {
        struct tdo_build *b = NULL;
        if (tdo_memory_new(1, &b) != TDO_OK) {
            (void)tdo_graph_fail(g, TDO_ERR_MEMORY, "%s", tdo_error_last()->message);
            return;
        }
        *b = tdo_network_build_context(e->member[i], g, TDO_NORM_RUNNING);
        b->keys = keys;
        b->noise = e->front.noise;
        b->shared = b->shared || e->front.shared;
        b->first_param = first;
        logits[i] = part(e->member[i], b, x);
        if (b->auxiliary != TDO_NONE) {
            *auxiliary = heads++ ? tdo_op_add(g, *auxiliary, b->auxiliary) : b->auxiliary;
        }
        tdo_memory_free(&b);
        first += tdo_network_front_entries(e->member[i]);
    }
    if (heads > 1) {
        *auxiliary = tdo_op_affine(g, *auxiliary, 1.0 / heads, 0);
    }
}

static void build(void *self, tdo_graph *g, tdo_node pixels, tdo_node keys, tdo_node *logits,
                  tdo_node *auxiliary)
{
    struct tdo_ensemble *e = self;
    pixels = front(&e->front, g, pixels, keys);
    build_members(e, g, tdo_network_logits, pixels, keys, logits, auxiliary);
}

static void build_behind(void *self, tdo_graph *g, tdo_node x, tdo_node keys, tdo_node *logits,
                         tdo_node *auxiliary)
{
    build_members(self, g, tdo_network_behind, x, keys, logits, auxiliary);
}

static tdo_node input(void *self, tdo_graph *g, tdo_node pixels)
{
    struct tdo_ensemble *e = self;
    tdo_node x = TDO_NONE;
    struct tdo_build *b = NULL;
    if (tdo_memory_new(1, &b) != TDO_OK) {
        return tdo_graph_fail(g, TDO_ERR_MEMORY, "%s", tdo_error_last()->message);
    }
    *b = tdo_network_build_context(e->member[0], g, TDO_NORM_RUNNING);
    x = tdo_network_input(e->member[0], b, pixels);
    tdo_memory_free(&b);
    return x;
}

static const float *param(const void *self, int64_t index)
{
    const struct tdo_ensemble *e = self;
    int i = 0;
    while (index >= tdo_network_front_entries(e->member[i])) {
        index -= tdo_network_front_entries(e->member[i++]);
    }
    return tdo_network_front_param(e->member[i], index);
}

/* Does anything stand between pixels and the input layer of the first network, or beside it? */
static bool has_front(const struct tdo_ensemble *e)
{
    const struct tdo_network *n = e->member[0];
    const struct tdo_defenses *d = &n->defenses;
    bool found = n->denoisers > 0 || n->members > 0 || e->front.augment ||
                 e->front.levels > 0 || e->front.sigma > 0;
    for (int i = 0; i < d->count; i++) {
        found = found || d->use[i].row->preprocess;
    }
    return found;
}

struct tdo_target_network tdo_ensemble_target(struct tdo_ensemble *e)
{
    const struct tdo_model_spec *s = &e->member[0]->spec;
    struct tdo_target_network n = {.self = e,
                                   .build = build,
                                   .param = param,
                                   .height = s->height,
                                   .width = s->width,
                                   .channels = s->channels,
                                   .classes = s->classes,
                                   .members = e->members,
                                   .gradient = !e->member[0]->bf16,
                                   .narrow = e->member[0]->bf16,
                                   .mixed = s->contrast || s->whiten,
                                   .inputs = s->inputs};
    if (e->members == 1 && !has_front(e)) {
        n.input = input;
        n.behind = build_behind;
    }
    if (s->mean_image) { /* parameters of the first member come first */
        n.image = 1 + tdo_params_find(e->member[0]->params, "input.mean");
    }
    memcpy(n.mean, s->mean, sizeof n.mean);
    memcpy(n.std, s->std, sizeof n.std);
    return n;
}
