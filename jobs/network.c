/* Networks from configs and model files. See network.h.
 *
 * The description in a model file:
 *   { "model": { "name", "shortcut", "width" },
 *     "data": { "height", "width", "channels", "classes" },
 *     "input": { "mean": [...], "std": [...] }, "defense": [ { "name", options... } ] } */
#include "jobs/network.h"

#include <string.h>
#include <xxhash.h>

#include "jobs/job.h"
#include "nn/safetensors.h"

static const char *model_name(const void *context, int i)
{
    (void)context;
    return tdo_model_table[i]->name;
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
    if (means != stds || means > room) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "model.mean has %d numbers and model.std %d: as many of each expected, at "
            "most %d",
            means, stds, room);
    }
    spec->inputs = means;
    return TDO_OK;
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
        tdo_json_add_real(mean, spec->mean[i]);
        tdo_json_add_real(std, spec->std[i]);
    }
    tdo_json_set(input, "mean", &mean);
    tdo_json_set(input, "std", &std);
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
    tdo_json_set_int(data, "height", n->spec.height);
    tdo_json_set_int(data, "width", n->spec.width);
    tdo_json_set_int(data, "channels", n->spec.channels);
    tdo_json_set_int(data, "classes", n->spec.classes);
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
                tdo_json_get_int(data, "channels", &s->channels) &&
                tdo_json_get_int(data, "classes", &classes) && s->height > 0 && s->width > 0 &&
                s->channels > 0 && classes > 1 && classes < 1 << 24;
    if (fine) {
        const int room = (int)(sizeof s->mean / sizeof *s->mean);
        s->classes = (int)classes;
        s->inputs = read_numbers(input, "mean", s->mean, room);
        fine = s->inputs >= 0 && read_numbers(input, "std", s->std, room) == s->inputs;
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

static tdo_err recall_defenses(const char *path, struct tdo_network *n)
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
    err = tdo_defense_read(c, 0, &n->defenses);
done:
    tdo_json_free(&list);
    tdo_config_free(&c);
    return err;
}

/* ---- making, building, saving --------------------------------------------------------------------- */

tdo_err tdo_network_configure(const tdo_config *c, const struct tdo_network_data *data,
                              struct tdo_network *out)
{
    *out = (struct tdo_network){0};
    const char *name = tdo_config_text(c, "model.name");
    tdo_err err = TDO_OK;
    if (!name[0]) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "model.name is missing; testudo list models shows them");
    }
    set_data(data, &out->spec);
    out->spec.shortcut = tdo_config_choice(c, "model.shortcut") == 0 ? 'A' : 'B';
    out->spec.wide = tdo_config_real(c, "model.width");
    TDO_TRY(choose_model(name, out));
    TDO_TRY(choose_input(c, &out->spec));
    const uint32_t seed = (uint32_t)tdo_config_int(c, "run.seed");
    TDO_GOTO(tdo_defense_read(c, seed, &out->defenses));
    TDO_GOTO(describe(out));
    err = tdo_network_init(out, seed);
done:
    if (err != TDO_OK) {
        tdo_network_free(out);
    }
    return err;
}

static tdo_err check_fit(const char *path, const struct tdo_model_spec *s,
                         const struct tdo_network_data *d)
{
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

tdo_err tdo_network_load(const char *path, const struct tdo_network_data *data,
                         struct tdo_network *out)
{
    const char *name = NULL;
    tdo_err err = TDO_OK;
    *out = (struct tdo_network){0};
    TDO_GOTO(tdo_safetensors_describe(path, &out->description));
    if (!out->description) { /* someone else's file */
        err = TDO_FAIL(TDO_ERR_FORMAT,
                       "%s does not say which network it is: no testudo model file", path);
        goto done;
    }
    TDO_GOTO(recall_spec(path, out, &name));
    TDO_GOTO(choose_model(name, out));
    TDO_GOTO(check_fit(path, &out->spec, data));
    TDO_GOTO(recall_defenses(path, out));
    TDO_GOTO(tdo_network_init(out, 0));
    TDO_GOTO(tdo_safetensors_read(path, out->params));
    err = tdo_params_check_finite(out->params);
done:
    if (err != TDO_OK) {
        tdo_network_free(out);
    }
    return err;
}

void tdo_network_free(struct tdo_network *n)
{
    tdo_defense_free(&n->defenses);
    tdo_params_free(&n->params);
    tdo_json_free(&n->description);
}

struct tdo_build tdo_network_build_context(struct tdo_network *n, tdo_graph *g,
                                           enum tdo_norm_mode norm)
{
    return (struct tdo_build){.g = g,
                              .params = n->params,
                              .norm = norm,
                              .noise = true,
                              .row_weights = TDO_NONE,
                              .keys = TDO_NONE,
                              .hook = n->defenses.hook,
                              .hooks = n->defenses.hooks};
}

tdo_node tdo_network_logits(struct tdo_network *n, struct tdo_build *b, tdo_node pixels)
{
    return tdo_model_build(b, n->model, &n->spec, pixels);
}

tdo_err tdo_network_init(struct tdo_network *n, uint32_t seed)
{
    tdo_graph *g = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_params_new(&n->params));
    TDO_GOTO(tdo_graph_new(&g));
    const tdo_shape one = TDO_SHAPE(1, n->spec.height, n->spec.width, n->spec.channels);
    struct tdo_build b = tdo_network_build_context(n, g, TDO_NORM_RUNNING);
    b.keys = tdo_op_key(g, "keys", 1);
    (void)tdo_network_logits(n, &b, tdo_op_input(g, "pixels", one));
    err = tdo_graph_check(g);
    if (err == TDO_ERR_SHAPE) {
        const struct tdo_error_record reason = *tdo_error_last();
        err = TDO_FAIL(TDO_ERR_CONFIG,
                       "model.name = %s does not fit images of %lldx%lldx%lld: %s",
                       n->model->name, (long long)n->spec.height, (long long)n->spec.width,
                       (long long)n->spec.channels, reason.message);
    }
    TDO_GOTO(err);
    err = tdo_params_init(n->params, seed);
done:
    tdo_graph_free(&g);
    return err;
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
    return TDO_OK;
}
