/* Networks from configs and model files. See network.h.
 *
 * The description in a model file:
 *   { "model": { "name", "shortcut", "width", "depth" },
 *     "data": { "height", "width", "channels", "classes" (not of a denoiser) },
 *     "input": { "mean": [...], "std": [...], "mean_image", "contrast", "whiten" }, "defense": [ { "name", options... } ] } */
#include "jobs/network.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "jobs/job.h"
#include "jobs/network_front.h"
#include "nn/base/log.h"
#include "nn/safetensors.h"

static const char *model_name(const void *context, int i)
{
    (void)context;
    return tdo_model_table[i]->name;
}

static bool has_depth(const struct tdo_model *m, int64_t depth)
{
    return m->depth && depth >= 10 && depth <= 514 && depth % 6 == 4;
}

static tdo_err refuse_depth(const struct tdo_model *m, int64_t depth)
{
    return TDO_FAIL(TDO_ERR_CONFIG, "model.depth = %lld: %s comes in %s", (long long)depth,
                    m->name,
                    m->depth ? "depths 6n + 4: 10, 16, 22, 28, 34, 40 ... 514" : "one depth");
}

static tdo_err choose_model(const char *name, struct tdo_network *n)
{
    int count = 0;
    while (tdo_model_table[count]) {
        count++;
    }
    n->model = tdo_model_find(name);
    if (n->model && n->spec.wide != 1 && !n->model->width) {
        return TDO_FAIL(TDO_ERR_CONFIG, "model.width = %g: %s comes in one width, 1",
                        n->spec.wide, name);
    }
    if (n->model) {
        return TDO_OK;
    }
    const char *near = tdo_option_nearest(name, model_name, NULL, count);
    return TDO_FAIL(
        TDO_ERR_CONFIG,
        "model.name = '%s' is no architecture%s%s%s; testudo list models shows them", name,
        near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
}

static tdo_err choose_input(const tdo_config *c, struct tdo_model_spec *spec)
{
    const int room = (int)(sizeof spec->mean / sizeof *spec->mean);
    const int means = tdo_config_reals(c, "model.mean", spec->mean, room);
    const int stds = tdo_config_reals(c, "model.std", spec->std, room);
    spec->mean_image = tdo_config_bool(c, "model.mean_image");
    spec->contrast = tdo_config_bool(c, "model.contrast");
    spec->whiten = tdo_config_bool(c, "model.whiten");
    if ((spec->contrast || spec->whiten) && !spec->mean_image) {
        return TDO_FAIL(TDO_ERR_CONFIG, "model.%s wants model.mean_image = true",
                        spec->contrast ? "contrast" : "whiten");
    }
    if (spec->mean_image && means > 0) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "model.mean and model.mean_image are both given: one of them expected");
    }
    if ((means != stds && !spec->mean_image) || stds > room) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "model.mean has %d numbers and model.std %d: as many of each expected, at "
            "most %d",
            means, stds, room);
    }
    spec->inputs = stds;
    return TDO_OK;
}

static bool gives_images(const struct tdo_network *n)
{
    return n->model->output == TDO_MODEL_IMAGE;
}

static tdo_err check_classifier(const struct tdo_network *n)
{
    return gives_images(n) ? TDO_FAIL(TDO_ERR_CONFIG,
                                      "model.name = %s gives images, not classes: a classifier "
                                      "is expected here",
                                      n->model->name)
                           : TDO_OK;
}

/* A denoiser is trained by a row that denoises, and by that alone. */
static tdo_err check_trained(const struct tdo_network *n)
{
    const struct tdo_defense_use *use = tdo_defense_denoising(&n->defenses);
    if (use && !gives_images(n)) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "defense.%d (%s) trains a denoiser, model.name = %s gives classes: dunet "
            "or dae expected",
            use->index, use->row->name, n->model->name);
    }
    return use || !gives_images(n)
               ? TDO_OK
               : TDO_FAIL(TDO_ERR_CONFIG,
                          "model.name = %s gives images, not classes: a classifier is expected "
                          "here, or defense = guided_denoiser, which trains a denoiser",
                          n->model->name);
}

static void set_data(const struct tdo_network_data *data, struct tdo_model_spec *spec)
{
    spec->height = data->height;
    spec->width = data->width;
    spec->channels = data->channels;
    spec->classes = data->classes;
}

/* ---- the description ---------------------------------------------------------------------------- */

static tdo_err describe_input(const struct tdo_model_spec *spec, tdo_json *to)
{
    tdo_json *input = NULL, *mean = NULL, *std = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_json_object(&input));
    TDO_GOTO(tdo_json_array(&mean));
    TDO_GOTO(tdo_json_array(&std));
    for (int i = 0; i < spec->inputs; i++) {
        if (!spec->mean_image) {
            tdo_json_add_real(mean, spec->mean[i]);
        }
        tdo_json_add_real(std, spec->std[i]);
    }
    tdo_json_set(input, "mean", &mean);
    tdo_json_set(input, "std", &std);
    if (spec->mean_image) {
        tdo_json_set_bool(input, "mean_image", true);
        tdo_json_set_bool(input, "contrast", spec->contrast);
        tdo_json_set_bool(input, "whiten", spec->whiten);
    }
    tdo_json_set(to, "input", &input);
done:
    tdo_json_free(&std);
    tdo_json_free(&mean);
    tdo_json_free(&input);
    return err;
}

static tdo_err describe(struct tdo_network *n)
{
    tdo_json *model = NULL, *data = NULL, *defense = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_json_object(&n->description));
    TDO_GOTO(tdo_json_object(&model));
    TDO_GOTO(tdo_json_object(&data));
    tdo_json_set_text(model, "name", n->model->name);
    if (n->model->shortcut) {
        tdo_json_set_text(model, "shortcut", n->spec.shortcut == 'A' ? "A" : "B");
    }
    if (n->model->width) {
        tdo_json_set_real(model, "width", n->spec.wide);
    }
    if (n->model->depth) {
        tdo_json_set_int(model, "depth", n->spec.depth);
    }
    tdo_json_set_int(data, "height", n->spec.height);
    tdo_json_set_int(data, "width", n->spec.width);
    tdo_json_set_int(data, "channels", n->spec.channels);
    if (!gives_images(n)) {
        tdo_json_set_int(data, "classes", n->spec.classes);
    }
    tdo_json_set(n->description, "model", &model);
    tdo_json_set(n->description, "data", &data);
    TDO_GOTO(describe_input(&n->spec, n->description));
    TDO_GOTO(tdo_defense_describe(&n->defenses, &defense));
    tdo_json_set(n->description, "defense", &defense);
done:
    tdo_json_free(&defense);
    tdo_json_free(&data);
    tdo_json_free(&model);
    return err;
}

/* Numbers of a JSON array; -1 if it is none or too long. */
static int read_numbers(const tdo_json *j, const char *key, double *out, int room)
{
    tdo_json *list = NULL, *item = NULL;
    if (!tdo_json_get(j, key, &list)) {
        return -1;
    }
    int count = tdo_json_size(list) > room ? -1 : (int)tdo_json_size(list);
    for (int i = 0; i < count; i++) {
        bool number = tdo_json_at(list, i, &item) && tdo_json_real(item, &out[i]);
        tdo_json_free(&item);
        count = number ? count : -1;
    }
    tdo_json_free(&list);
    return count;
}

/* As model.input takes it. */
static bool is_side(int64_t n)
{
    return n >= 1 && n <= 100000;
}

static bool recall_input(const tdo_json *input, struct tdo_model_spec *s)
{
    const int room = (int)(sizeof s->mean / sizeof *s->mean);
    const int means = read_numbers(input, "mean", s->mean, room);
    s->inputs = read_numbers(input, "std", s->std, room);
    (void)tdo_json_get_bool(input, "mean_image", &s->mean_image);
    (void)tdo_json_get_bool(input, "contrast", &s->contrast);
    (void)tdo_json_get_bool(input, "whiten", &s->whiten);
    return s->inputs >= 0 && means == (s->mean_image ? 0 : s->inputs) &&
           (s->mean_image || (!s->contrast && !s->whiten));
}

static tdo_err recall_spec(const char *path, struct tdo_network *n, const char **name)
{
    tdo_json *model = NULL, *data = NULL, *input = NULL;
    const char *shortcut = "B";
    int64_t classes = 0;
    struct tdo_model_spec *s = &n->spec;
    s->wide = 1;
    bool fine = tdo_json_get(n->description, "model", &model) &&
                tdo_json_get(n->description, "data", &data) &&
                tdo_json_get(n->description, "input", &input) &&
                tdo_json_get_text(model, "name", name) &&
                tdo_json_get_int(data, "height", &s->height) &&
                tdo_json_get_int(data, "width", &s->width) &&
                tdo_json_get_int(data, "channels", &s->channels) && is_side(s->height) &&
                is_side(s->width) && is_side(s->channels);
    const struct tdo_model *m = fine ? tdo_model_find(*name) : NULL;
    if (fine && (!m || m->output == TDO_MODEL_LOGITS)) {
        fine = tdo_json_get_int(data, "classes", &classes) && classes > 1 && classes < 1 << 24;
    }
    if (fine) {
        s->classes = (int)classes;
        fine = recall_input(input, s);
        (void)tdo_json_get_text(model, "shortcut", &shortcut);
        s->shortcut = shortcut[0];
        fine = fine &&
               (!tdo_json_has(model, "width") || tdo_json_get_real(model, "width", &s->wide));
        fine = fine && s->wide >= 1.0 / 64 && s->wide <= 64;
    }
    tdo_json_free(&input);
    tdo_json_free(&data);
    tdo_json_free(&model);
    TDO_TRY(tdo_json_check(n->description));
    if (!fine) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: its description of the network is incomplete",
                        path);
    }
    return TDO_OK;
}

static tdo_err recall_defenses(const char *path, uint32_t seed, struct tdo_network *n)
{
    tdo_config *c = NULL;
    tdo_json *list = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_config_new(&tdo_job_schema, &c));
    if (tdo_json_get(n->description, "defense", &list)) {
        TDO_GOTO(tdo_defense_recall(list, c));
    }
    TDO_GOTO(tdo_json_check(n->description));
    if (!list && tdo_json_has(n->description, "defense")) {
        TDO_GOTO(TDO_FAIL(TDO_ERR_FORMAT, "%s: its list of defenses is no list", path));
    }
    err = tdo_defense_read(c, seed, &n->defenses);
done:
    tdo_json_free(&list);
    tdo_config_free(&c);
    return err;
}

/* ---- building --------------------------------------------------------------------------------------- */

struct tdo_build tdo_network_build_context(struct tdo_network *n, tdo_graph *g,
                                           enum tdo_norm_mode norm)
{
    return (struct tdo_build){.g = g,
                              .params = n->params,
                              .norm = norm,
                              .noise = true,
                              .auxiliary = TDO_NONE,
                              .row_weights = TDO_NONE,
                              .keys = TDO_NONE,
                              .shared = n->shared,
                              .weight_keys = TDO_NONE,
                              .hook = n->defenses.hook,
                              .hooks = n->defenses.hooks,
                              .outside = n->outside};
}

tdo_node tdo_network_input(struct tdo_network *n, struct tdo_build *b, tdo_node pixels)
{
    pixels = tdo_network_front_pixels(n, b, pixels);
    pixels = tdo_defense_preprocess(&n->defenses, b->g, pixels);
    return tdo_model_input(b, &n->spec, pixels);
}

/* Does each row have weights of its own? */
static bool goes_by_rows(const struct tdo_build *b)
{
    bool draws = false;
    for (int i = 0; i < b->hooks; i++) {
        draws = draws || b->hook[i].draws_weights;
    }
    return draws && b->noise && !b->shared;
}

/* Rows one behind the other; part[] is used up. */
static tdo_node join_rows(tdo_graph *g, int64_t rows, tdo_node *part)
{
    while (rows > 1) {
        int64_t joined = 0;
        for (int64_t i = 0; i < rows; i += TDO_MAX_IN) {
            const int count = (int)(rows - i < TDO_MAX_IN ? rows - i : TDO_MAX_IN);
            part[joined++] = count > 1 ? tdo_op_concat(g, count, part + i, 0) : part[i];
        }
        rows = joined;
    }
    return part[0];
}

/* The network once for each row: layers see one row and its key, so a row has the same bits in any
 * batch. What depends on parameters alone is shared. */
static tdo_node build_rows(struct tdo_network *n, struct tdo_build *b, tdo_node x,
                           tdo_node *logits, tdo_node *auxiliary)
{
    const tdo_shape s = tdo_graph_shape(b->g, x);
    const int first = b->first_key;
    const bool part = b->part;
    bool heads = false;
    for (int64_t i = 0; i < s.dim[0]; i++) {
        int64_t lo[TDO_MAX_RANK] = {i}, hi[TDO_MAX_RANK] = {s.dim[0] - 1 - i};
        b->convs = b->layers = b->dropouts = b->activations = b->norms = 0;
        b->part = true;
        b->first_key = first + (int)i;
        b->auxiliary = TDO_NONE;
        logits[i] = tdo_model_behind(b, n->model, &n->spec, tdo_op_slice(b->g, x, lo, hi));
        auxiliary[i] = b->auxiliary;
        heads = b->auxiliary != TDO_NONE;
    }
    b->first_key = first;
    b->part = part;
    b->taps = 0; /* they were those of one row */
    b->auxiliary = heads ? join_rows(b->g, s.dim[0], auxiliary) : TDO_NONE;
    return tdo_layer_tap(b, gives_images(n) ? "image" : "logits",
                         join_rows(b->g, s.dim[0], logits));
}

/* What the model gives, logits or images. */
static tdo_node behind(struct tdo_network *n, struct tdo_build *b, tdo_node x)
{
    const tdo_shape s = tdo_graph_shape(b->g, x);
    tdo_node *part = NULL, logits = TDO_NONE;
    if (s.rank == 0 || s.dim[0] == 1 || !goes_by_rows(b)) {
        return tdo_model_behind(b, n->model, &n->spec, x);
    }
    if (tdo_memory_new(2 * s.dim[0], &part) != TDO_OK) {
        return tdo_graph_fail(b->g, TDO_ERR_MEMORY, "%s", tdo_error_last()->message);
    }
    logits = build_rows(n, b, x, part, part + s.dim[0]);
    tdo_memory_free(&part);
    return logits;
}

tdo_node tdo_network_behind(struct tdo_network *n, struct tdo_build *b, tdo_node x)
{
    if (check_classifier(n) != TDO_OK) {
        return tdo_graph_fail(b->g, TDO_ERR_CONFIG, "%s", tdo_error_last()->message);
    }
    return behind(n, b, x);
}

tdo_node tdo_network_tapped(const struct tdo_network *n, const struct tdo_build *b,
                            const char *tap)
{
    const tdo_node there = tdo_layer_tapped(b, tap);
    return there != TDO_NONE ? there
                             : tdo_graph_fail(b->g, TDO_ERR_CONFIG,
                                              "tap = %s is no place of %s; testudo info "
                                              "model.name=%s lists them",
                                              tap, n->model->name, n->model->name);
}

tdo_node tdo_network_image(struct tdo_network *n, struct tdo_build *b, tdo_node pixels)
{
    if (!gives_images(n)) {
        return tdo_graph_fail(b->g, TDO_ERR_CONFIG,
                              "model.name = %s gives classes, not images: a denoiser is "
                              "expected here",
                              n->model->name);
    }
    return behind(n, b, tdo_network_input(n, b, pixels));
}

tdo_node tdo_network_logits(struct tdo_network *n, struct tdo_build *b, tdo_node pixels)
{
    const tdo_node logits = tdo_network_behind(n, b, tdo_network_input(n, b, pixels));
    return n->members > 0 ? tdo_network_front_mean(n, b, pixels, logits) : logits;
}

/* ---- input noise ------------------------------------------------------------------------------ */

/* Does the model see pixels as they are? */
static bool sees_pixels(const struct tdo_network *n)
{
    const struct tdo_model_spec *s = &n->spec;
    bool plain = !s->mean_image && !s->contrast && !s->whiten && n->denoisers == 0;
    for (int i = 0; i < s->inputs; i++) {
        plain = plain && s->mean[i] == 0 && s->std[i] == 1;
    }
    for (int i = 0; i < n->defenses.count; i++) {
        plain = plain && !n->defenses.use[i].row->preprocess;
    }
    return plain;
}

tdo_err tdo_network_smooth(struct tdo_network *n, const char *key, double sigma)
{
    double own = 0;
    const struct tdo_defense_use *use = tdo_defense_input_noise(&n->defenses, &own);
    if (!use) {
        return TDO_OK;
    }
    const char *name = use->row->name;
    if (!sees_pixels(n) || n->members > 0) {
        tdo_log_root(
            TDO_LOG_INFO,
            "%s: its first noise layer is behind an input layer or denoiser, so it is no "
            "noise on pixels and stays on; %s = %g comes in addition",
            name, key, sigma);
        return TDO_OK;
    }
    if (fabs(sigma - own) > 1e-12 * own) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s = %g: the first noise layer of the network's %s is its noise on "
                        "pixels: %s = %g expected",
                        key, sigma, name, key, own);
    }
    n->outside = use;
    tdo_log_root(TDO_LOG_INFO,
                 "%s: its first noise layer is the noise on pixels, %s = %g; other noise "
                 "inside the network stays on",
                 name, key, sigma);
    return TDO_OK;
}

/* ---- parameters ------------------------------------------------------------------------------- */

/* The parameter table, without values, by building the network once. */
static tdo_err make_table(struct tdo_network *n)
{
    tdo_graph *g = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_params_new(&n->params));
    TDO_GOTO(tdo_graph_new(&g));
    const tdo_shape one = TDO_SHAPE(1, n->spec.height, n->spec.width, n->spec.channels);
    struct tdo_build b = tdo_network_build_context(n, g, TDO_NORM_RUNNING);
    b.keys = tdo_op_key(g, "keys", 1);
    (void)behind(n, &b, tdo_network_input(n, &b, tdo_op_input(g, "pixels", one)));
    err = tdo_graph_check(g);
    if (err == TDO_ERR_SHAPE) {
        const struct tdo_error_record reason = *tdo_error_last();
        err = TDO_FAIL(TDO_ERR_CONFIG,
                       "model.name = %s does not fit images of %lldx%lldx%lld: %s",
                       n->model->name, (long long)n->spec.height, (long long)n->spec.width,
                       (long long)n->spec.channels, reason.message);
    }
    if (err == TDO_OK) {
        err = tdo_defense_check_reach(&n->defenses, &b, n->model->name);
    }
done:
    tdo_graph_free(&g);
    return err;
}

tdo_err tdo_network_init(struct tdo_network *n, uint32_t seed)
{
    TDO_TRY(make_table(n));
    if (n->small) {
        tdo_params_start_small(n->params);
    }
    return tdo_params_init(n->params, seed);
}

/* ---- from a config --------------------------------------------------------------------- */

static tdo_err choose_depth(const tdo_config *c, struct tdo_network *n)
{
    n->spec.depth = n->model->depth;
    if (!tdo_config_given(c, "model.depth")) {
        return TDO_OK;
    }
    n->spec.depth = (int)tdo_config_int(c, "model.depth");
    return has_depth(n->model, n->spec.depth) ? TDO_OK : refuse_depth(n->model, n->spec.depth);
}

/* Architecture and input layer as the config says. */
static tdo_err configure_spec(const tdo_config *c, const struct tdo_network_data *data,
                              struct tdo_network *n)
{
    const char *name = tdo_config_text(c, "model.name");
    if (!name[0]) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "model.name is missing; testudo list models shows them");
    }
    set_data(data, &n->spec);
    n->spec.shortcut = tdo_config_choice(c, "model.shortcut") == 0 ? 'A' : 'B';
    n->spec.wide = tdo_config_real(c, "model.width");
    TDO_TRY(choose_model(name, n));
    TDO_TRY(choose_depth(c, n));
    n->spec.classes = gives_images(n) ? 0 : n->spec.classes;
    return choose_input(c, &n->spec);
}

static tdo_err configure(const tdo_config *c, const struct tdo_network_data *data, bool any,
                         struct tdo_network *out)
{
    *out = (struct tdo_network){0};
    const uint32_t seed = (uint32_t)tdo_config_int(c, "run.seed");
    tdo_err err = TDO_OK;
    out->small = tdo_config_choice(c, "model.init") == 1;
    TDO_GOTO(configure_spec(c, data, out));
    TDO_GOTO(tdo_defense_read(c, seed, &out->defenses));
    TDO_GOTO(any ? TDO_OK : check_trained(out)); /* before it is built */
    TDO_GOTO(describe(out));
    err = tdo_network_init(out, seed);
done:
    if (err != TDO_OK) {
        tdo_network_free(out);
    }
    return err;
}

tdo_err tdo_network_configure(const tdo_config *c, const struct tdo_network_data *data,
                              struct tdo_network *out)
{
    return configure(c, data, false, out);
}

tdo_err tdo_network_configure_any(const tdo_config *c, const struct tdo_network_data *data,
                                  struct tdo_network *out)
{
    return configure(c, data, true, out);
}

tdo_err tdo_network_size(const tdo_config *c, const struct tdo_model *m,
                         struct tdo_network_data *out)
{
    double size[3] = {0};
    const int given = tdo_config_reals(c, "model.input", size, 3);
    if (given != 0 && given != 3) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "model.input has %d numbers, expected height, width, channels", given);
    }
    for (int i = 0; m && given == 0 && i < 3; i++) {
        size[i] = (double)m->usual[i];
    }
    *out = (struct tdo_network_data){.height = (int64_t)size[0],
                                     .width = (int64_t)size[1],
                                     .channels = (int64_t)size[2],
                                     .classes = (int)tdo_config_int(c, "model.classes")};
    return TDO_OK;
}

/* ---- model files ---------------------------------------------------------------------------------- */

static tdo_err check_fit(const char *path, const struct tdo_network *n,
                         const struct tdo_network_data *d)
{
    const struct tdo_model_spec *s = &n->spec;
    if (d && gives_images(n)) {
        const bool fits =
            d->height == s->height && d->width == s->width && d->channels == s->channels;
        return fits ? TDO_OK
                    : TDO_FAIL(TDO_ERR_CONFIG,
                               "%s is for images of %lldx%lldx%lld, data.file has "
                               "%lldx%lldx%lld",
                               path, (long long)s->height, (long long)s->width,
                               (long long)s->channels, (long long)d->height,
                               (long long)d->width, (long long)d->channels);
    }
    if (d && (d->height != s->height || d->width != s->width || d->channels != s->channels ||
              d->classes != s->classes)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s is for images of %lldx%lldx%lld in %d classes, data.file has "
                        "%lldx%lldx%lld in %d",
                        path, (long long)s->height, (long long)s->width, (long long)s->channels,
                        s->classes, (long long)d->height, (long long)d->width,
                        (long long)d->channels, d->classes);
    }
    return TDO_OK;
}

/* "(0.5, 0.25)", cut if it is long. */
struct numbers {
    char s[200];
};
static struct numbers show_numbers(const double *v, int count)
{
    struct numbers out = {"("};
    for (int i = 0; i < count; i++) {
        const size_t at = strlen(out.s);
        snprintf(out.s + at, sizeof out.s - at, "%s%.9g", i ? ", " : "", v[i]);
    }
    const size_t at = strlen(out.s);
    snprintf(out.s + at, sizeof out.s - at, ")");
    return out;
}

/* A list of numbers in the config: if it is given, is it the one of the file? */
static tdo_err check_numbers(const tdo_config *c, const char *key, const char *path,
                             const double *have, int count)
{
    double said[16];
    const int room = (int)(sizeof said / sizeof *said);
    const int says = tdo_config_reals(c, key, said, room);
    bool same = says == count;
    for (int i = 0; i < count && same; i++) {
        same = said[i] == have[i];
    }
    if (!tdo_config_given(c, key) || same) {
        return TDO_OK;
    }
    return TDO_FAIL(TDO_ERR_CONFIG, "%s = %s: %s has %s; leave it out", key,
                    show_numbers(said, says < room ? says : room).s, path,
                    show_numbers(have, count).s);
}

static tdo_err check_flag(const tdo_config *c, const char *key, const char *path, bool have)
{
    if (!tdo_config_given(c, key) || tdo_config_bool(c, key) == have) {
        return TDO_OK;
    }
    return TDO_FAIL(TDO_ERR_CONFIG, "%s = %s: %s has %s; leave it out", key,
                    have ? "false" : "true", path, have ? "true" : "false");
}

/* What the config says of the network, if anything, must be what `path` (a model file, or the
 * data set of a foreign one) says. */
static tdo_err check_same(const tdo_config *c, const char *path, const struct tdo_network *n)
{
    const struct tdo_model_spec *s = &n->spec;
    const double size[3] = {(double)s->height, (double)s->width, (double)s->channels};
    const char *name = tdo_config_text(c, "model.name");
    if (name[0] && strcmp(name, n->model->name) != 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "model.name = '%s': %s holds a %s", name, path,
                        n->model->name);
    }
    const char shortcut = tdo_config_choice(c, "model.shortcut") == 0 ? 'A' : 'B';
    if (n->model->shortcut && tdo_config_given(c, "model.shortcut") &&
        shortcut != s->shortcut) {
        return TDO_FAIL(TDO_ERR_CONFIG, "model.shortcut = %c: %s has shortcut %c", shortcut,
                        path, s->shortcut);
    }
    const double wide = tdo_config_real(c, "model.width");
    if (tdo_config_given(c, "model.width") && wide != s->wide) {
        return TDO_FAIL(TDO_ERR_CONFIG, "model.width = %g: %s has width %g", wide, path,
                        s->wide);
    }
    const int depth = (int)tdo_config_int(c, "model.depth");
    if (tdo_config_given(c, "model.depth") && depth != s->depth) {
        return s->depth ? TDO_FAIL(TDO_ERR_CONFIG, "model.depth = %d: %s has depth %d", depth,
                                   path, s->depth)
                        : refuse_depth(n->model, depth);
    }
    const long long classes = tdo_config_int(c, "model.classes");
    if (tdo_config_given(c, "model.classes") && classes != s->classes && !gives_images(n)) {
        return TDO_FAIL(TDO_ERR_CONFIG, "model.classes = %lld: %s has %d classes", classes,
                        path, s->classes);
    }
    TDO_TRY(check_numbers(c, "model.input", path, size, 3));
    TDO_TRY(check_flag(c, "model.mean_image", path, s->mean_image));
    TDO_TRY(check_flag(c, "model.contrast", path, s->contrast));
    TDO_TRY(check_flag(c, "model.whiten", path, s->whiten));
    TDO_TRY(check_numbers(c, "model.mean", path, s->mean, s->mean_image ? 0 : s->inputs));
    return check_numbers(c, "model.std", path, s->std, s->inputs);
}

/* The same for the defenses that live in a network. A config that lists none leaves them out. */
static tdo_err check_defenses(const tdo_config *c, const char *path,
                              const struct tdo_network *n)
{
    struct tdo_defenses said;
    tdo_json *says = NULL, *has = NULL;
    char *text[2] = {NULL, NULL};
    TDO_TRY(tdo_defense_read(c, 0, &said));
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_defense_describe(&said, &says));
    TDO_GOTO(tdo_defense_describe(&n->defenses, &has));
    TDO_GOTO(tdo_json_text(says, 0, &text[0]));
    TDO_GOTO(tdo_json_text(has, 0, &text[1]));
    if (tdo_json_size(says) > 0 && strcmp(text[0], text[1]) != 0) {
        err = TDO_FAIL(TDO_ERR_CONFIG,
                       "defense lists %s for the network, %s has %s; leave it out", text[0],
                       path, text[1]);
    }
done:
    tdo_memory_free(&text[0]);
    tdo_memory_free(&text[1]);
    tdo_json_free(&says);
    tdo_json_free(&has);
    tdo_defense_free(&said);
    return err;
}

/* A model of many depths has one in its description. */
static tdo_err recall_depth(const char *path, struct tdo_network *n)
{
    tdo_json *model = NULL;
    int64_t depth = 0;
    if (!n->model->depth) {
        return TDO_OK;
    }
    if (tdo_json_get(n->description, "model", &model)) {
        (void)tdo_json_get_int(model, "depth", &depth);
    }
    tdo_json_free(&model);
    TDO_TRY(tdo_json_check(n->description));
    if (!has_depth(n->model, depth)) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: its description names no depth of %s", path,
                        n->model->name);
    }
    n->spec.depth = (int)depth;
    return TDO_OK;
}

/* Our own file says what it holds. */
static tdo_err take_description(const tdo_config *c, const char *path,
                                const struct tdo_network_data *data, struct tdo_network *n)
{
    const char *name = NULL;
    TDO_TRY(recall_spec(path, n, &name));
    if (!tdo_model_find(name)) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: holds a '%s', which this testudo does not know",
                        path, name);
    }
    TDO_TRY(choose_model(name, n));
    TDO_TRY(recall_depth(path, n));
    TDO_TRY(check_fit(path, n, data));
    return check_same(c, path, n);
}

/* As many classes as the last layer in the file has outputs. */
static tdo_err count_classes(const tdo_safetensors *file, struct tdo_network *n)
{
    n->spec.classes = 2;
    TDO_TRY(make_table(n));
    for (int64_t i = 0; i < tdo_params_entries(n->params); i++) {
        const struct tdo_param *p = tdo_params_at(n->params, i);
        const struct tdo_safetensors_tensor *t = tdo_safetensors_find(file, p->name);
        if (p->shape.rank >= 2 && t && t->shape.rank == p->shape.rank && t->shape.dim[0] > 1 &&
            t->shape.dim[0] < 1 << 24) {
            n->spec.classes = (int)t->shape.dim[0];
        }
    }
    tdo_params_free(&n->params);
    return TDO_OK;
}

/* Someone else's file: the config says what it holds. */
static tdo_err take_config(const tdo_config *c, const tdo_safetensors *file, const char *path,
                           const struct tdo_network_data *data, struct tdo_network *n)
{
    struct tdo_network_data fit;
    const char *name = tdo_config_text(c, "model.name");
    if (!name[0]) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s does not say which network it is: no file of testudo; model.name "
                        "(and model.mean, model.std, ...) must say it",
                        path);
    }
    TDO_TRY(tdo_network_size(c, tdo_model_find(name), &fit));
    TDO_TRY(configure_spec(c, data ? data : &fit, n));
    TDO_TRY(check_same(c, "data.file", n));
    if (!data && !tdo_config_given(c, "model.classes") && !gives_images(n)) {
        TDO_TRY(count_classes(file, n));
    }
    return TDO_OK;
}

/* Defenses of the config (always if `ours`), or of the description; then the description is
 * that of the whole network. */
static tdo_err take_defenses(const tdo_config *c, const char *path, bool ours,
                             struct tdo_network *n)
{
    const uint32_t seed = (uint32_t)tdo_config_int(c, "run.seed");
    if (!ours && !n->foreign) {
        TDO_TRY(recall_defenses(path, seed, n));
        return check_defenses(c, path, n);
    }
    TDO_TRY(tdo_defense_read(c, seed, &n->defenses));
    tdo_json_free(&n->description);
    return describe(n);
}

enum opening {
    OPEN_CLASSIFIER,
    OPEN_ANY,
    OPEN_START /* with the defenses of the config, which must be able to train it */
};

static tdo_err open_network(const tdo_config *c, const char *path,
                            const struct tdo_network_data *data, enum opening how,
                            struct tdo_network *out)
{
    tdo_safetensors *file = NULL;
    tdo_err err = TDO_OK;
    const enum tdo_safetensors_lack lack =
        how == OPEN_START ? TDO_LACK_DEFENSES : TDO_LACK_NONE;
    *out = (struct tdo_network){0};
    TDO_GOTO(tdo_safetensors_open(path, &file));
    TDO_GOTO(tdo_safetensors_describe(file, &out->description));
    out->foreign = !out->description;
    TDO_GOTO(out->foreign ? take_config(c, file, path, data, out)
                          : take_description(c, path, data, out));
    TDO_GOTO(how == OPEN_CLASSIFIER ? check_classifier(out) : TDO_OK);
    TDO_GOTO(take_defenses(c, path, how == OPEN_START, out));
    TDO_GOTO(how == OPEN_START ? check_trained(out) : TDO_OK);
    TDO_GOTO(make_table(out));
    TDO_GOTO(tdo_safetensors_match(file, out->params, lack));
    TDO_GOTO(tdo_params_init(out->params, 0));
    TDO_GOTO(tdo_safetensors_fill(file, out->params, lack));
    err = tdo_params_check_finite(out->params);
    if (err != TDO_OK) {
        const struct tdo_error_record reason = *tdo_error_last();
        err = TDO_FAIL(err, "%s: %s", path, reason.message);
    }
done:
    tdo_safetensors_free(&file);
    if (err != TDO_OK) {
        tdo_network_free(out);
    }
    return err;
}

const char *tdo_network_precision(const struct tdo_network *n)
{
    return n->bf16 ? "bf16" : "f32";
}

static tdo_err open_for_use(const tdo_config *c, const char *path,
                            const struct tdo_network_data *data, enum opening how,
                            struct tdo_network *out)
{
    TDO_TRY(open_network(c, path, data, how, out));
    out->bf16 = tdo_config_choice(c, "model.precision") == 1;
    out->shared = tdo_config_choice(c, "noise.share") == 1;
    return TDO_OK;
}

tdo_err tdo_network_open(const tdo_config *c, const char *path,
                         const struct tdo_network_data *data, struct tdo_network *out)
{
    return open_for_use(c, path, data, OPEN_CLASSIFIER, out);
}

tdo_err tdo_network_open_any(const tdo_config *c, const char *path,
                             const struct tdo_network_data *data, struct tdo_network *out)
{
    return open_for_use(c, path, data, OPEN_ANY, out);
}

tdo_err tdo_network_start(const tdo_config *c, const char *path,
                          const struct tdo_network_data *data, struct tdo_network *out)
{
    if (tdo_config_given(c, "model.init")) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "model.init: weights start with those of %s; leave it out", path);
    }
    return open_network(c, path, data, OPEN_START, out);
}

/* ---- the end, and files ----------------------------------------------------------------------- */

void tdo_network_free(struct tdo_network *n)
{
    tdo_network_front_free(n);
    tdo_defense_free(&n->defenses);
    tdo_params_free(&n->params);
    tdo_json_free(&n->description);
}

tdo_err tdo_network_save(const struct tdo_network *n, const char *path)
{
    return tdo_safetensors_write(path, n->params, n->description);
}

tdo_err tdo_network_hash(const struct tdo_network *n, uint64_t *hash)
{
    char *text = NULL;
    TDO_TRY(tdo_json_text(n->description, 0, &text));
    *hash = XXH64(text, strlen(text), 0);
    tdo_memory_free(&text);
    for (int kind = 0; kind < TDO_PARAM_KINDS; kind++) {
        const float *block = tdo_params_block(n->params, (enum tdo_param_kind)kind);
        const int64_t count = tdo_params_count(n->params, (enum tdo_param_kind)kind);
        *hash = count ? XXH64(block, (size_t)count * sizeof *block, *hash) : *hash;
    }
    return tdo_network_front_hash(n, hash);
}
