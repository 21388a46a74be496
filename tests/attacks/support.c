/* Small networks and what goes with them. See support.h. */
#include "tests/attacks/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "attacks/objective.h"
#include "nn/graph/grad.h"
#include "nn/graph/plan.h"
#include "nn/layers.h"

enum { CONFIGS = 64 };

double toy_number(uint32_t seed, int64_t i)
{
    float u[4];
    const struct tdo_stream stream = {.seed = seed, .purpose = TDO_PURPOSE_TEST};
    const struct tdo_key key = {.sample = (uint64_t)i};
    tdo_rng_uniforms(&stream, &key, 0, 4, u);
    return (double)u[0];
}

/* ---- networks ----------------------------------------------------------------------------------- */

static tdo_node flat(const struct toy *toy, tdo_graph *g, tdo_node x)
{
    return tdo_op_reshape(g, x, TDO_SHAPE(tdo_graph_shape(g, x).dim[0], toy->size));
}

static const char *named(struct tdo_text *t, int member, const char *name)
{
    if (member == 0) {
        return name;
    }
    snprintf(t->s, sizeof t->s, "member%d.%s", member, name);
    return t->s;
}

static tdo_node member_logits(const struct toy *toy, struct tdo_build *b, tdo_node x,
                              int member)
{
    struct tdo_text hidden, out;
    const char *first = named(&hidden, member, "hidden"), *last = named(&out, member, "out");
    const struct tdo_layer_conv square = tdo_layer_square(3, 1, 1, true);
    tdo_node y = toy->spec.kind == TOY_CONV ? x : flat(toy, b->g, x);
    if (toy->spec.kind == TOY_SMOOTH) {
        y = tdo_op_tanh(b->g, tdo_layer_linear(b, first, y, 12));
    } else if (toy->spec.kind == TOY_MLP) {
        y = tdo_op_relu(b->g, tdo_layer_linear(b, first, y, 24));
    } else if (toy->spec.kind == TOY_CONV) {
        y = tdo_op_relu(b->g, tdo_layer_conv(b, first, y, 8, &square));
        y = tdo_layer_flatten(b, tdo_layer_maxpool(b, y, 2, 2));
    }
    return tdo_layer_linear(b, last, y, toy->spec.classes);
}

/* The input layer: the same as a network that was trained on (x - mean) / std. */
static tdo_node input_layer(const struct toy *toy, tdo_graph *g, tdo_node x)
{
    const struct tdo_target_network *n = &toy->net;
    const int64_t C = n->channels;
    tdo_node part[16];
    if (n->inputs == 0) {
        return x;
    }
    for (int c = 0; c < (int)C; c++) {
        const int i = n->inputs == 1 ? 0 : c;
        const int64_t front[4] = {0, 0, 0, c}, behind[4] = {0, 0, 0, C - c - 1};
        part[c] = tdo_op_affine(g, tdo_op_slice(g, x, front, behind), 1 / n->std[i],
                                -n->mean[i] / n->std[i]);
    }
    return C > 1 ? tdo_op_concat(g, (int)C, part, 3) : part[0];
}

static tdo_node noisy(const struct toy *toy, tdo_graph *g, tdo_node x, tdo_node keys)
{
    const struct tdo_random how = {
        .stream = {.seed = 3, .purpose = TDO_PURPOSE_TEST, .layer = 1},
        .law = TDO_LAW_NORMAL,
        .shape = tdo_graph_shape(g, x)};
    if (toy->spec.sigma <= 0 || keys == TDO_NONE) {
        return x;
    }
    return tdo_op_add(g, x, tdo_op_affine(g, tdo_op_random(g, keys, &how), toy->spec.sigma, 0));
}

static void build(void *self, tdo_graph *g, tdo_node pixels, tdo_node keys, tdo_node *logits,
                  tdo_node *auxiliary)
{
    struct toy *toy = self;
    struct tdo_build b = {.g = g,
                          .params = toy->params,
                          .norm = TDO_NORM_RUNNING,
                          .row_weights = TDO_NONE,
                          .keys = keys,
                          .weight_init = TDO_INIT_FAN_IN_UNIFORM,
                          .bias_init = TDO_INIT_FAN_IN_UNIFORM};
    tdo_node x = input_layer(toy, g, noisy(toy, g, pixels, keys));
    for (int i = 0; i < toy->spec.members; i++) {
        logits[i] = member_logits(toy, &b, x, i);
    }
    if (toy->spec.auxiliary) {
        *auxiliary = tdo_layer_linear(&b, "auxiliary", flat(toy, g, x), toy->spec.classes);
    }
}

static const float *param(const void *self, int64_t index)
{
    return tdo_params_values(((const struct toy *)self)->params, index);
}

float *toy_values(const struct toy *toy, const char *name)
{
    const int64_t index = tdo_params_find(toy->params, name);
    CU_ASSERT_FATAL(index >= 0);
    return tdo_params_values(toy->params, index);
}

static void scale_last(const struct toy *toy)
{
    for (int i = 0; i < toy->spec.members; i++) {
        struct tdo_text t;
        float *w = toy_values(toy, named(&t, i, "out.weight"));
        const int64_t index = tdo_params_find(toy->params, named(&t, i, "out.weight"));
        const int64_t n = tdo_params_at(toy->params, index)->count;
        for (int64_t k = 0; k < n; k++) {
            w[k] *= (float)toy->spec.gain;
        }
    }
}

/* The parameters are those that a first graph asks for. */
static void make_params(struct toy *toy)
{
    tdo_graph *g = NULL;
    tdo_node logits[TDO_TARGET_MEMBERS], auxiliary = TDO_NONE;
    ASSERT_OK_FATAL(tdo_params_new(&toy->params));
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node x = tdo_op_input(
        g, "x", TDO_SHAPE(1, toy->spec.height, toy->spec.width, toy->spec.channels));
    build(toy, g, x, tdo_op_key(g, "keys", 1), logits, &auxiliary);
    ASSERT_OK_FATAL(tdo_graph_check(g));
    ASSERT_OK_FATAL(tdo_params_init(toy->params, toy->spec.seed));
    tdo_graph_free(&g);
    scale_last(toy);
}

static struct toy_spec complete(struct toy_spec s)
{
    s.height = s.height ? s.height : 6;
    s.width = s.width ? s.width : 6;
    s.channels = s.channels ? s.channels : 1;
    s.classes = s.classes ? s.classes : 5;
    s.members = s.members ? s.members : 1;
    s.seed = s.seed ? s.seed : 1;
    s.gain = s.gain > 0 ? s.gain : 4;
    return s;
}

struct toy *toy_new(const struct toy_spec *spec)
{
    struct toy *toy = NULL;
    ASSERT_OK_FATAL(tdo_memory_new(1, &toy));
    toy->spec = complete(*spec);
    toy->size = toy->spec.height * toy->spec.width * toy->spec.channels;
    toy->net = (struct tdo_target_network){.self = toy,
                                           .build = build,
                                           .param = param,
                                           .height = toy->spec.height,
                                           .width = toy->spec.width,
                                           .channels = toy->spec.channels,
                                           .classes = toy->spec.classes,
                                           .members = toy->spec.members,
                                           .gradient = true,
                                           .inputs = toy->spec.inputs};
    for (int c = 0; c < toy->spec.inputs; c++) {
        toy->net.mean[c] = 0.5 - 0.125 * c;
        toy->net.std[c] = 0.25 + 0.0625 * c;
    }
    make_params(toy);
    return toy;
}

void toy_free(struct toy **toy)
{
    if (*toy) {
        tdo_params_free(&(*toy)->params);
        tdo_memory_free(toy);
    }
}

/* ---- in double ------------------------------------------------------------------------------------ */

/* Class k < 0: the logits [n,K]; else d z_k / dx [n,P]. */
static void in_double(const struct toy *toy, int64_t n, const double *x, int k, double *to)
{
    struct toy still = *toy; /* not const, as `build` wants it; without noise */
    tdo_graph *g = NULL;
    tdo_plan *p = NULL;
    tdo_node logits[TDO_TARGET_MEMBERS], auxiliary = TDO_NONE;
    const struct tdo_plan_options options = {.full = true, .param = param, .context = toy};
    const struct toy_spec *s = &toy->spec;
    still.spec.sigma = 0;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node in = tdo_op_input(g, "x", TDO_SHAPE(n, s->height, s->width, s->channels));
    build(&still, g, in, TDO_NONE, logits, &auxiliary);
    struct tdo_objective_graph o = {
        .g = g, .samples = n, .draws = 1, .members = s->members, .classes = s->classes};
    memcpy(o.logits, logits, sizeof logits);
    tdo_node out = tdo_objective_mean_logits(&o);
    if (k >= 0) {
        tdo_node one = tdo_op_constant(g, TDO_SHAPE(n), k), z = tdo_op_gather(g, out, one);
        tdo_grad(g, z, TDO_NONE, 1, &in, &out);
    }
    ASSERT_OK_FATAL(tdo_plan_new(g, 1, &out, &options, &p));
    double *input = tdo_plan_input(p, in);
    if (input) {
        memcpy(input, x, (size_t)(n * toy->size) * sizeof *x);
    }
    ASSERT_OK_FATAL(tdo_plan_run(p));
    memcpy(to, tdo_plan_output(p, 0),
           (size_t)(n * (k < 0 ? s->classes : toy->size)) * sizeof *to);
    tdo_plan_free(&p);
    tdo_graph_free(&g);
}

void toy_logits(const struct toy *toy, int64_t n, const double *x, double *logits)
{
    in_double(toy, n, x, -1, logits);
}

void toy_jacobian(const struct toy *toy, int64_t n, const double *x, double *jacobian)
{
    const int64_t P = toy->size, K = toy->spec.classes;
    double *rows = NULL;
    ASSERT_OK_FATAL(tdo_memory_new(n * P, &rows));
    for (int k = 0; k < K; k++) {
        in_double(toy, n, x, k, rows);
        for (int64_t i = 0; i < n; i++) {
            memcpy(jacobian + (i * K + k) * P, rows + i * P, (size_t)P * sizeof *rows);
        }
    }
    tdo_memory_free(&rows);
}

void toy_classes(const struct toy *toy, int64_t n, const float *x, int32_t *class)
{
    const int K = toy->spec.classes;
    double *wide = NULL, *z = NULL;
    ASSERT_OK_FATAL(tdo_memory_new(n * toy->size, &wide));
    ASSERT_OK_FATAL(tdo_memory_new(n * K, &z));
    for (int64_t p = 0; p < n * toy->size; p++) {
        wide[p] = (double)x[p];
    }
    toy_logits(toy, n, wide, z);
    for (int64_t i = 0; i < n; i++) {
        class[i] = 0;
        for (int k = 1; k < K; k++) {
            class[i] = z[i * K + k] > z[i * K + class[i]] ? k : class[i];
        }
    }
    tdo_memory_free(&wide);
    tdo_memory_free(&z);
}

int toy_class(const struct toy *toy, const float *x)
{
    int32_t class = -1;
    toy_classes(toy, 1, x, &class);
    return class;
}

double toy_margin(const struct toy *toy, const float *x, int32_t label)
{
    double *wide = NULL, z[256], other = -HUGE_VAL;
    ASSERT_OK_FATAL(tdo_memory_new(toy->size, &wide));
    for (int64_t p = 0; p < toy->size; p++) {
        wide[p] = (double)x[p];
    }
    toy_logits(toy, 1, wide, z);
    for (int k = 0; k < toy->spec.classes; k++) {
        other = k != label && z[k] > other ? z[k] : other;
    }
    tdo_memory_free(&wide);
    return other - z[label];
}

double toy_plane(const struct toy *toy, const float *x, int32_t label)
{
    const float *w = toy_values(toy, "out.weight");
    const int64_t P = toy->size;
    double wide[64], z[16], least = HUGE_VAL;
    for (int64_t p = 0; p < P; p++) {
        wide[p] = (double)x[p];
    }
    toy_logits(toy, 1, wide, z);
    for (int k = 0; k < toy->spec.classes; k++) {
        double sum = 0;
        for (int64_t p = 0; p < P; p++) {
            const double d = (double)w[k * P + p] - (double)w[label * P + p];
            sum += d * d;
        }
        least = k != label ? fmin(least, (z[label] - z[k]) / sqrt(sum)) : least;
    }
    return least;
}

/* ---- samples -------------------------------------------------------------------------------------- */

struct toy_batch *toy_batch(const struct toy *toy, int64_t count, uint32_t seed)
{
    const int64_t P = toy->size;
    struct toy_batch *b = NULL;
    ASSERT_OK_FATAL(tdo_memory_new(1, &b));
    ASSERT_OK_FATAL(tdo_memory_new(count * P, &b->x));
    ASSERT_OK_FATAL(tdo_memory_new(count * P, &b->found));
    ASSERT_OK_FATAL(tdo_memory_new(count, &b->label));
    ASSERT_OK_FATAL(tdo_memory_new(count, &b->aim));
    ASSERT_OK_FATAL(tdo_memory_new(count, &b->target));
    ASSERT_OK_FATAL(tdo_memory_new(count, &b->id));
    ASSERT_OK_FATAL(tdo_memory_new(count, &b->queries));
    ASSERT_OK_FATAL(tdo_memory_new(count, &b->gradients));
    ASSERT_OK_FATAL(tdo_memory_new(count, &b->done));
    for (int64_t i = 0; i < count * P; i++) {
        b->x[i] = (float)toy_number(seed, i);
    }
    for (int64_t i = 0; i < count; i++) {
        b->id[i] = 100 + (uint64_t)i;
    }
    toy_classes(toy, count, b->x, b->label);
    b->s = (struct tdo_samples){.count = count,
                                .x = b->x,
                                .label = b->label,
                                .id = b->id,
                                .found = b->found,
                                .aim = b->aim,
                                .target = b->target,
                                .done = b->done,
                                .queries = b->queries,
                                .gradients = b->gradients};
    return b;
}

void toy_batch_free(struct toy_batch **batch)
{
    struct toy_batch *b = *batch;
    if (b) {
        tdo_memory_free(&b->x);
        tdo_memory_free(&b->found);
        tdo_memory_free(&b->label);
        tdo_memory_free(&b->aim);
        tdo_memory_free(&b->target);
        tdo_memory_free(&b->id);
        tdo_memory_free(&b->queries);
        tdo_memory_free(&b->gradients);
        tdo_memory_free(&b->done);
        tdo_memory_free(batch);
    }
}

struct toy_batch *toy_part(const struct toy *toy, const struct toy_batch *b, int64_t first,
                           int64_t count)
{
    const int64_t P = toy->size;
    struct toy_batch *part = toy_batch(toy, count, 1);
    memcpy(part->x, b->x + first * P, (size_t)(count * P) * sizeof *b->x);
    memcpy(part->label, b->label + first, (size_t)count * sizeof *b->label);
    memcpy(part->id, b->id + first, (size_t)count * sizeof *b->id);
    part->s.stored = b->s.stored ? b->s.stored + first * P : NULL;
    return part;
}

/* ---- targets and rows ----------------------------------------------------------------------------- */

tdo_target *toy_target(const struct toy *toy, int64_t batch, const struct tdo_attack_use *use)
{
    tdo_target *t = NULL;
    struct tdo_target_options o = {
        .draws = 1, .boxed = true, .purpose = TDO_PURPOSE_ATTACK_DRAW};
    o = use ? use->target : o;
    o.batch = batch;
    ASSERT_OK_FATAL(tdo_target_new(&toy->net, &o, &t));
    return t;
}

static const struct tdo_option no_options[] = {{0}};
static const struct tdo_option_list lists[] = {
    {"attack", "the rows", 0, tdo_attack_name, tdo_attack_options},
    {NULL, NULL, 0, NULL, NULL}};
static const struct tdo_schema schema = {no_options, lists};

static tdo_config *configs[CONFIGS];
static int configs_made;

void toy_use(const char *row, const char *options, struct tdo_attack_use *use)
{
    char argument[256];
    tdo_config *c = NULL;
    int at = 0, used = 0;
    CU_ASSERT_FATAL(configs_made < CONFIGS);
    ASSERT_OK_FATAL(tdo_config_new(&schema, &c));
    configs[configs_made++] = c;
    snprintf(argument, sizeof argument, "attack=%s", row);
    ASSERT_OK_FATAL(tdo_config_set(c, argument));
    memcpy(argument, "attack.0.", 9);
    while (sscanf(options + at, " %240s%n", argument + 9, &used) == 1) {
        ASSERT_OK_FATAL(tdo_config_set(c, argument));
        at += used;
    }
    ASSERT_OK_FATAL(tdo_config_check(c, ~0U));
    ASSERT_OK_FATAL(
        tdo_attack_read(c, "attack.0", tdo_config_row_index(c, "attack", 0), 7, 0, use));
}

void toy_use_free(void)
{
    while (configs_made > 0) {
        tdo_config_free(&configs[--configs_made]);
    }
}

void toy_attack(const struct toy *toy, const struct tdo_attack_use *use, struct toy_batch *b)
{
    const int64_t n = b->s.count;
    float *u = NULL, *pixels = NULL;
    tdo_target *t = toy_target(toy, n, use);
    struct tdo_samples s = b->s;
    ASSERT_OK_FATAL(tdo_memory_new(n * toy->size, &u));
    ASSERT_OK_FATAL(tdo_memory_new(n * toy->size, &pixels));
    tdo_target_from_pixels(t, b->x, n, u);
    s.x = u;
    s.found = pixels; /* in units here, in pixels below */
    ASSERT_OK_FATAL(tdo_attack_check(use, t));
    ASSERT_OK_FATAL(tdo_attack_run(use, t, &s));
    tdo_target_to_pixels(t, pixels, n, b->found);
    b->s.question = s.question;
    tdo_memory_free(&u);
    tdo_memory_free(&pixels);
    tdo_target_free(&t);
}

bool toy_same_in_batches(const struct toy *toy, const struct tdo_attack_use *use,
                         const struct toy_batch *b, int64_t batch)
{
    const int64_t P = toy->size;
    bool same = true;
    for (int64_t i = 0; i < b->s.count; i += batch) {
        const int64_t n = b->s.count - i < batch ? b->s.count - i : batch;
        struct toy_batch *part = toy_part(toy, b, i, n);
        toy_attack(toy, use, part);
        same = same && memcmp(part->found, b->found + i * P, (size_t)(n * P) * 4) == 0 &&
               memcmp(part->target, b->target + i, (size_t)n * sizeof *b->target) == 0 &&
               memcmp(part->queries, b->queries + i, (size_t)n * sizeof *b->queries) == 0 &&
               memcmp(part->gradients, b->gradients + i, (size_t)n * 8) == 0;
        toy_batch_free(&part);
    }
    return same;
}
