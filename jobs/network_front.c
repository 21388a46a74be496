/* Denoisers in front of a network, and further members beside it. See network_front.h.
 *
 * Source: Liao et al. 2018 (HGD), figure 1; appendix B for s = 2, the remedy of a denoiser that takes
 * off too little; appendix C for combinations. */
#include "jobs/network_front.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "jobs/job.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"

/* ---- opening -------------------------------------------------------------------------------- */

/* A model file says itself what it holds, so it is opened with an empty config. Of a run directory
 * it is the network that was trained there. */
static tdo_err open_place(const char *place, const struct tdo_network_data *data, bool any,
                          struct tdo_network *out)
{
    char path[1100];
    tdo_config *c = NULL;
    snprintf(path, sizeof path, "%s%s", place,
             tdo_file_is_dir(place) ? "/model.safetensors" : "");
    TDO_TRY(tdo_config_new(&tdo_job_schema, &c));
    tdo_err err =
        any ? tdo_network_open_any(c, path, data, out) : tdo_network_open(c, path, data, out);
    tdo_config_free(&c);
    return err;
}

/* Cut the text in front of a mark off `list`; the whole of it where the mark is not. */
static tdo_err next_name(const char *key, const char **list, char mark, char *name, size_t size)
{
    const char *end = strchr(*list, mark);
    const size_t n = end ? (size_t)(end - *list) : strlen(*list);
    if (n == 0 || n >= size) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s: '%s' has an empty or long name: model files or run directories "
                        "expected",
                        key, *list);
    }
    snprintf(name, size, "%.*s", (int)n, *list);
    *list = end ? end + 1 : *list + n;
    return TDO_OK;
}

static tdo_err check_denoiser(const char *key, const char *name, const struct tdo_network *d,
                              const struct tdo_network *n)
{
    const struct tdo_model_spec *a = &d->spec, *b = &n->spec;
    if (d->model->output != TDO_MODEL_IMAGE) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s = %s holds a %s, which gives classes: a denoiser expected", key,
                        name, d->model->name);
    }
    if (n->model->output == TDO_MODEL_IMAGE) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s = %s: %s is a denoiser itself, a classifier expected", key, name,
                        n->model->name);
    }
    if (a->height != b->height || a->width != b->width || a->channels != b->channels) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s = %s is for images of %lldx%lldx%lld, the classifier for "
                        "%lldx%lldx%lld",
                        key, name, (long long)a->height, (long long)a->width,
                        (long long)a->channels, (long long)b->height, (long long)b->width,
                        (long long)b->channels);
    }
    return TDO_OK;
}

/* Put denoisers, with & between them, in front of n. */
static tdo_err protect(const char *key, const char *names, double strength,
                       struct tdo_network *n)
{
    n->denoise = strength;
    while (*names) {
        char name[1024];
        if (n->denoisers == TDO_NETWORK_DENOISERS) {
            return TDO_FAIL(TDO_ERR_CONFIG, "%s: at most %d denoisers expected", key,
                            TDO_NETWORK_DENOISERS);
        }
        TDO_TRY(next_name(key, &names, '&', name, sizeof name));
        TDO_TRY(tdo_memory_new(1, &n->denoiser[n->denoisers]));
        struct tdo_network *d = n->denoiser[n->denoisers++];
        TDO_TRY(open_place(name, NULL, true, d));
        TDO_TRY(check_denoiser(key, name, d, n));
    }
    return TDO_OK;
}

tdo_err tdo_network_front_member(const char *key, const char *member,
                                 const struct tdo_network_data *data, double strength,
                                 struct tdo_network *out)
{
    char denoisers[1024] = "";
    *out = (struct tdo_network){0};
    if (strchr(member, '>')) {
        TDO_TRY(next_name(key, &member, '>', denoisers, sizeof denoisers));
    }
    TDO_TRY(open_place(member, data, false, out));
    tdo_err err = protect(key, denoisers, strength, out);
    if (err != TDO_OK) {
        tdo_network_free(out);
    }
    return err;
}

/* Further members must go with the first. */
static tdo_err add_member(const char *key, const char *member, double strength,
                          struct tdo_network *first)
{
    const struct tdo_model_spec *s = &first->spec;
    struct tdo_network **to = &first->member[first->members];
    if (first->members == TDO_NETWORK_MEMBERS) {
        return TDO_FAIL(TDO_ERR_CONFIG, "%s: at most %d members expected", key,
                        TDO_NETWORK_MEMBERS + 1);
    }
    TDO_TRY(tdo_memory_new(1, to));
    struct tdo_network *m = first->member[first->members++];
    TDO_TRY(tdo_network_front_member(key, member, NULL, strength, m));
    if (m->spec.height != s->height || m->spec.width != s->width ||
        m->spec.channels != s->channels || m->spec.classes != s->classes) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "%s: %s is for images of %lldx%lldx%lld in %d classes, the first member "
            "for %lldx%lldx%lld in %d",
            key, member, (long long)m->spec.height, (long long)m->spec.width,
            (long long)m->spec.channels, m->spec.classes, (long long)s->height,
            (long long)s->width, (long long)s->channels, s->classes);
    }
    return TDO_OK;
}

static tdo_err open_members(const tdo_config *c, const char *members,
                            const struct tdo_network_data *data, struct tdo_network *out)
{
    static const char key[] = "model.members", *const others[] = {"model.file",
                                                                  "model.denoiser"};
    const double strength = tdo_config_real(c, "model.denoise");
    char name[2100];
    for (int i = 0; i < 2; i++) {
        if (tdo_config_text(c, others[i])[0]) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "%s and %s are both given: one of them expected; a member with a "
                            "denoiser is denoiser>classifier",
                            key, others[i]);
        }
    }
    TDO_TRY(next_name(key, &members, ',', name, sizeof name));
    TDO_TRY(tdo_network_front_member(key, name, data, strength, out));
    while (*members) {
        TDO_TRY(next_name(key, &members, ',', name, sizeof name));
        TDO_TRY(add_member(key, name, strength, out));
    }
    out->bf16 = tdo_config_choice(c, "model.precision") == 1;
    out->shared = tdo_config_choice(c, "noise.share") == 1;
    return TDO_OK;
}

/* model.denoise is of no use without a denoiser. */
static tdo_err check_strength(const tdo_config *c, const struct tdo_network *n)
{
    bool found = n->denoisers > 0;
    for (int i = 0; i < n->members; i++) {
        found = found || n->member[i]->denoisers > 0;
    }
    return found || !tdo_config_given(c, "model.denoise")
               ? TDO_OK
               : TDO_FAIL(TDO_ERR_CONFIG,
                          "model.denoise = %g, but there is no denoiser: "
                          "model.denoiser expected",
                          tdo_config_real(c, "model.denoise"));
}

tdo_err tdo_network_front_open(const tdo_config *c, const char *path,
                               const struct tdo_network_data *data, bool any,
                               struct tdo_network *out)
{
    const char *members = tdo_config_text(c, "model.members");
    tdo_err err = TDO_OK;
    *out = (struct tdo_network){0};
    if (members[0]) {
        TDO_GOTO(open_members(c, members, data, out));
    } else {
        TDO_GOTO(any ? tdo_network_open_any(c, path, data, out)
                     : tdo_network_open(c, path, data, out));
        TDO_GOTO(protect("model.denoiser", tdo_config_text(c, "model.denoiser"),
                         tdo_config_real(c, "model.denoise"), out));
    }
    err = check_strength(c, out);
done:
    if (err != TDO_OK) {
        tdo_network_free(out);
    }
    return err;
}

void tdo_network_front_free(struct tdo_network *n)
{
    for (int i = 0; i < n->denoisers; i++) {
        tdo_network_free(n->denoiser[i]);
        tdo_memory_free(&n->denoiser[i]);
    }
    for (int i = 0; i < n->members; i++) {
        tdo_network_free(n->member[i]);
        tdo_memory_free(&n->member[i]);
    }
    n->denoisers = n->members = 0;
}

/* ---- parameters ----------------------------------------------------------------------------- */

int64_t tdo_network_front_entries(const struct tdo_network *n)
{
    int64_t entries = tdo_params_entries(n->params);
    for (int i = 0; i < n->denoisers; i++) {
        entries += tdo_network_front_entries(n->denoiser[i]);
    }
    for (int i = 0; i < n->members; i++) {
        entries += tdo_network_front_entries(n->member[i]);
    }
    return entries;
}

const float *tdo_network_front_param(const void *context, int64_t index)
{
    const struct tdo_network *n = context;
    const int others = n->denoisers + n->members;
    if (index < tdo_params_entries(n->params)) {
        return tdo_params_values(n->params, index);
    }
    index -= tdo_params_entries(n->params);
    for (int i = 0; i < others; i++) {
        const struct tdo_network *m =
            i < n->denoisers ? n->denoiser[i] : n->member[i - n->denoisers];
        if (index < tdo_network_front_entries(m)) {
            return tdo_network_front_param(m, index);
        }
        index -= tdo_network_front_entries(m);
    }
    return NULL;
}

/* ---- the graph ------------------------------------------------------------------------------ */

/* A context for m like that of n, its parameters from `first` on; NULL: the graph has failed. */
static struct tdo_build *context_like(const struct tdo_build *b, struct tdo_network *m,
                                      int64_t first)
{
    struct tdo_build *other = NULL;
    if (tdo_memory_new(1, &other) != TDO_OK) {
        (void)tdo_graph_fail(b->g, TDO_ERR_MEMORY, "%s", tdo_error_last()->message);
        return NULL;
    }
    *other = tdo_network_build_context(m, b->g, b->norm);
    other->row_weights = b->row_weights;
    other->keys = b->keys;
    other->first_key = b->first_key;
    other->part = b->part;
    other->noise = b->noise;
    other->shared = b->shared;
    other->weight_keys = b->weight_keys;
    other->first_param = first;
    return other;
}

tdo_node tdo_network_front_pixels(struct tdo_network *n, struct tdo_build *b, tdo_node pixels)
{
    int64_t first = b->first_param + tdo_params_entries(n->params);
    tdo_node sum = TDO_NONE;
    for (int i = 0; i < n->denoisers; i++) {
        struct tdo_build *own = context_like(b, n->denoiser[i], first);
        if (!own) {
            return TDO_NONE;
        }
        const tdo_node image = tdo_network_image(n->denoiser[i], own, pixels);
        sum = i ? tdo_op_add(b->g, sum, image) : image;
        first += tdo_network_front_entries(n->denoiser[i]);
        tdo_memory_free(&own);
    }
    if (n->denoisers == 0) {
        return pixels;
    }
    sum = n->denoisers > 1 ? tdo_op_affine(b->g, sum, 1.0 / n->denoisers, 0) : sum;
    if (n->denoise == 1) {
        return sum;
    }
    const tdo_node change = tdo_op_affine(b->g, tdo_op_sub(b->g, sum, pixels), n->denoise, 0);
    return tdo_op_add(b->g, pixels, change);
}

tdo_node tdo_network_front_mean(struct tdo_network *n, struct tdo_build *b, tdo_node pixels,
                                tdo_node logits)
{
    int64_t first = b->first_param + tdo_params_entries(n->params);
    int heads = b->auxiliary != TDO_NONE;
    for (int i = 0; i < n->denoisers; i++) {
        first += tdo_network_front_entries(n->denoiser[i]);
    }
    for (int i = 0; i < n->members; i++) {
        struct tdo_build *own = context_like(b, n->member[i], first);
        if (!own) {
            return TDO_NONE;
        }
        logits = tdo_op_add(b->g, logits, tdo_network_logits(n->member[i], own, pixels));
        if (own->auxiliary != TDO_NONE) {
            b->auxiliary =
                heads++ ? tdo_op_add(b->g, b->auxiliary, own->auxiliary) : own->auxiliary;
        }
        first += tdo_network_front_entries(n->member[i]);
        tdo_memory_free(&own);
    }
    if (heads > 1) {
        b->auxiliary = tdo_op_affine(b->g, b->auxiliary, 1.0 / heads, 0);
    }
    return tdo_op_affine(b->g, logits, 1.0 / (n->members + 1), 0);
}

/* ---- records -------------------------------------------------------------------------------- */

tdo_err tdo_network_front_hash(const struct tdo_network *n, uint64_t *hash)
{
    uint64_t each = 0;
    for (int i = 0; i < n->denoisers; i++) {
        TDO_TRY(tdo_network_hash(n->denoiser[i], &each));
        *hash = XXH64(&each, sizeof each, *hash);
    }
    *hash = n->denoisers ? XXH64(&n->denoise, sizeof n->denoise, *hash) : *hash;
    for (int i = 0; i < n->members; i++) {
        TDO_TRY(tdo_network_hash(n->member[i], &each));
        *hash = XXH64(&each, sizeof each, ~*hash);
    }
    return TDO_OK;
}

/* "denoiser", or "denoiser 2" of several. */
struct label {
    char s[32];
};
static struct label label_of(const char *what, int i, int count)
{
    struct label l;
    snprintf(l.s, sizeof l.s, count > 1 ? "%s %d" : "%s", what, i);
    return l;
}

tdo_err tdo_network_front_describe(const struct tdo_network *n, tdo_json *to)
{
    uint64_t hash = 0;
    for (int i = 0; i < n->denoisers; i++) {
        TDO_TRY(tdo_network_hash(n->denoiser[i], &hash));
        tdo_json_set_hash(to, label_of("denoiser", i, n->denoisers).s, hash);
    }
    if (n->denoisers > 0) {
        tdo_json_set_real(to, "denoise", n->denoise);
    }
    for (int i = 0; i < n->members; i++) {
        TDO_TRY(tdo_network_hash(n->member[i], &hash));
        tdo_json_set_hash(to, label_of("member", i + 1, 2).s, hash);
    }
    return TDO_OK;
}

static tdo_err print_denoisers(const struct tdo_network *n)
{
    uint64_t hash = 0;
    for (int i = 0; i < n->denoisers; i++) {
        const struct tdo_network *d = n->denoiser[i];
        TDO_TRY(tdo_network_hash(d, &hash));
        printf("%s in front: %s, width %g, strength %g, %" PRId64
               " parameters, hash %016" PRIx64 "\n",
               label_of("denoiser", i, n->denoisers).s, d->model->name, d->spec.wide,
               n->denoise, tdo_params_count(d->params, TDO_PARAM_WEIGHT), hash);
    }
    return TDO_OK;
}

tdo_err tdo_network_front_print(const struct tdo_network *n)
{
    uint64_t hash = 0;
    TDO_TRY(print_denoisers(n));
    for (int i = 0; i < n->members; i++) {
        const struct tdo_network *m = n->member[i];
        TDO_TRY(tdo_network_hash(m, &hash));
        printf("member %d: %s, %" PRId64 " parameters, hash %016" PRIx64 "\n", i + 1,
               m->model->name, tdo_params_count(m->params, TDO_PARAM_WEIGHT), hash);
        TDO_TRY(print_denoisers(m));
    }
    return TDO_OK;
}
