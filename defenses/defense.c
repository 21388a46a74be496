/* The table of defenses, and a run's list of them. See defense.h. */
#include "defenses/defense.h"

#include <string.h>

#define DEFENSE(name) extern const struct tdo_defense tdo_defense_##name;
#include "defenses/defenses.def"
#undef DEFENSE

const struct tdo_defense *const tdo_defense_table[] = {
#define DEFENSE(name) &tdo_defense_##name,
#include "defenses/defenses.def"
#undef DEFENSE
    NULL};

enum { ROWS = sizeof tdo_defense_table / sizeof *tdo_defense_table - 1 };

const char *tdo_defense_name(int i)
{
    return i < ROWS ? tdo_defense_table[i]->name : NULL;
}

const struct tdo_option *tdo_defense_options(int i)
{
    return tdo_defense_table[i]->options;
}

static tdo_err read_row(const tdo_config *c, int at, uint32_t seed, struct tdo_defenses *d)
{
    struct tdo_defense_use *use = &d->use[at];
    use->row = tdo_defense_table[tdo_config_row_index(c, "defense", at)];
    use->seed = seed;
    use->index = at;
    for (int i = 0; use->row->options && use->row->options[i].key; i++) {
        char key[96];
        const struct tdo_option *o = &use->row->options[i];
        TDO_ASSERT(i < TDO_DEFENSE_VALUES);
        snprintf(key, sizeof key, "defense.%d.%s", at, o->key);
        if (o->type == TDO_OPTION_TEXT) {
            use->text[i] = tdo_config_text(c, key);
        } else {
            use->value[i] = tdo_config_number(c, key, o);
        }
    }
    d->count = at + 1;
    if (use->row->hook) {
        struct tdo_hook *hook = &d->hook[d->hooks++];
        *hook = (struct tdo_hook){.self = use};
        use->row->hook(hook);
    }
    return use->row->prepare ? use->row->prepare(use) : TDO_OK;
}

/* Of what there can be one only, and what goes with something else only. */
static tdo_err check_rows(const struct tdo_defenses *d)
{
    int owner = -1, inner = -1;
    for (int i = 0; i < d->count; i++) {
        const struct tdo_defense *row = d->use[i].row;
        if (row->loss && owner >= 0) {
            return TDO_FAIL(
                TDO_ERR_CONFIG,
                "defense.%d (%s) and defense.%d (%s) both own the loss; one of them "
                "expected",
                owner, d->use[owner].row->name, i, row->name);
        }
        if (row->inner && inner >= 0) {
            return TDO_FAIL(
                TDO_ERR_CONFIG,
                "defense.%d (%s) and defense.%d (%s) both train on an inner attack; "
                "one of them expected",
                inner, d->use[inner].row->name, i, row->name);
        }
        owner = row->loss ? i : owner;
        inner = row->inner ? i : inner;
        if (row->check) {
            TDO_TRY(row->check(&d->use[i], d));
        }
    }
    return TDO_OK;
}

tdo_err tdo_defense_read(const tdo_config *c, uint32_t seed, struct tdo_defenses *out)
{
    *out = (struct tdo_defenses){0};
    const int rows = tdo_config_rows(c, "defense");
    if (rows > TDO_DEFENSE_MAX) {
        return TDO_FAIL(TDO_ERR_CONFIG, "defense has %d rows, at most %d are possible", rows,
                        TDO_DEFENSE_MAX);
    }
    for (int i = 0; i < rows; i++) {
        tdo_err err = read_row(c, i, seed, out);
        if (err != TDO_OK) {
            tdo_defense_free(out);
            return err;
        }
    }
    tdo_err err = check_rows(out);
    if (err != TDO_OK) {
        tdo_defense_free(out);
    }
    return err;
}

void tdo_defense_free(struct tdo_defenses *d)
{
    for (int i = 0; i < d->count; i++) {
        tdo_rounded_free(&d->use[i].table);
    }
    *d = (struct tdo_defenses){0};
}

/* What a hook waits for in vain; NULL if there is no such thing. */
static const char *out_of_reach(const struct tdo_hook *h, const struct tdo_build *b)
{
    if (h->before_conv && b->convs == 0) {
        return "convolutions";
    }
    if (h->activation && b->activations == 0) {
        return "activations";
    }
    const bool layers = h->weight || h->before_layer || h->after_layer;
    return layers && b->layers == 0 ? "layers with weights" : NULL;
}

tdo_err tdo_defense_check_reach(const struct tdo_defenses *d, const struct tdo_build *b,
                                const char *model)
{
    const struct tdo_defense_use *last = NULL; /* that has a say about activations */
    for (int i = d->hooks - 1; i >= 0; i--) {
        const struct tdo_defense_use *use = d->hook[i].self;
        const char *wanted = out_of_reach(&d->hook[i], b);
        if (d->hook[i].activation && last) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "defense.%d (%s) and defense.%d (%s) both replace activations; one "
                            "of them expected",
                            use->index, use->row->name, last->index, last->row->name);
        }
        last = d->hook[i].activation ? use : last;
        if (wanted) {
            return TDO_FAIL(TDO_ERR_CONFIG,
                            "defense.%d (%s) would do nothing: model.name = %s has no %s",
                            use->index, use->row->name, model, wanted);
        }
    }
    return TDO_OK;
}

tdo_node tdo_defense_augment(const struct tdo_defenses *d, tdo_graph *g, tdo_node raw, bool u8,
                             tdo_node keys)
{
    for (int i = 0; i < d->count; i++) {
        if (d->use[i].row->augment) {
            raw = d->use[i].row->augment(&d->use[i], g, raw, u8, keys);
            u8 = false; /* pixels from here on */
        }
    }
    return tdo_noise_pixels(g, raw, u8);
}

tdo_node tdo_defense_preprocess(const struct tdo_defenses *d, tdo_graph *g, tdo_node pixels)
{
    for (int i = 0; i < d->count; i++) {
        if (d->use[i].row->preprocess) {
            pixels = d->use[i].row->preprocess(&d->use[i], g, pixels);
        }
    }
    return pixels;
}

/* ---- training -------------------------------------------------------------------------------- */

tdo_node tdo_defense_clean_logits(struct tdo_defense_step *s)
{
    if (s->clean_logits == TDO_NONE) {
        s->clean_logits = s->forward(s->self, s->pixels);
    }
    return s->clean_logits;
}

tdo_node tdo_defense_attacked_logits(struct tdo_defense_step *s)
{
    if (s->adversarial_logits == TDO_NONE) {
        s->adversarial_logits = s->forward(s->self, s->adversarial);
    }
    return s->adversarial_logits;
}

static bool can_draw(struct tdo_defense_step *s, int i)
{
    if (i >= TDO_DEFENSE_DRAWS) {
        (void)tdo_graph_fail(s->g, TDO_ERR_CONFIG,
                             "draw %d of a training step: at most %d are possible", i + 1,
                             TDO_DEFENSE_DRAWS);
    }
    return i < TDO_DEFENSE_DRAWS;
}

tdo_node tdo_defense_draw(struct tdo_defense_step *s, int i)
{
    return i == 0 ? s->pixels : can_draw(s, i) ? s->draw(s->self, false, i) : TDO_NONE;
}

tdo_node tdo_defense_attacked_draw(struct tdo_defense_step *s, int i)
{
    return i == 0 ? s->adversarial : can_draw(s, i) ? s->draw(s->self, true, i) : TDO_NONE;
}

tdo_node tdo_defense_draw_logits(struct tdo_defense_step *s, int i)
{
    return i == 0           ? tdo_defense_clean_logits(s)
           : can_draw(s, i) ? s->forward_draw(s->self, tdo_defense_draw(s, i), i)
                            : TDO_NONE;
}

tdo_node tdo_defense_attacked_draw_logits(struct tdo_defense_step *s, int i)
{
    return i == 0           ? tdo_defense_attacked_logits(s)
           : can_draw(s, i) ? s->forward_draw(s->self, tdo_defense_attacked_draw(s, i), i)
                            : TDO_NONE;
}

tdo_node tdo_defense_loss(const struct tdo_defenses *d, struct tdo_defense_step *s, int classes)
{
    tdo_node loss = TDO_NONE;
    s->goal = tdo_op_one_hot(s->g, s->labels, classes);
    for (int i = 0; i < d->count; i++) {
        if (d->use[i].row->goal) {
            s->goal = d->use[i].row->goal(&d->use[i], s->g, s->goal);
        }
    }
    for (int i = 0; i < d->count; i++) {
        if (d->use[i].row->loss) {
            loss = d->use[i].row->loss(&d->use[i], s);
        }
    }
    if (loss == TDO_NONE) {
        loss = tdo_op_xent(s->g, tdo_defense_clean_logits(s), s->goal);
    }
    for (int i = 0; i < d->count; i++) {
        if (d->use[i].row->penalty) {
            loss = tdo_op_add(s->g, loss, d->use[i].row->penalty(&d->use[i], s));
        }
    }
    return loss;
}

tdo_err tdo_defense_after_step(const struct tdo_defenses *d, const tdo_params *params,
                               uint32_t step)
{
    for (int i = 0; i < d->count; i++) {
        if (d->use[i].row->after_step) {
            TDO_TRY(d->use[i].row->after_step(&d->use[i], params, step));
        }
    }
    return TDO_OK;
}

bool tdo_defense_draws_differ(const struct tdo_defenses *d)
{
    bool differ = false;
    for (int i = 0; i < d->count; i++) {
        const struct tdo_defense_use *use = &d->use[i];
        differ = differ || (use->row->augment && tdo_defense_value(use, "copies", 0) <= 0);
    }
    return differ;
}

const struct tdo_defense_use *tdo_defense_inner(const struct tdo_defenses *d)
{
    for (int i = 0; i < d->count; i++) {
        if (d->use[i].row->inner) {
            return &d->use[i];
        }
    }
    return NULL;
}

const struct tdo_defense_use *tdo_defense_denoising(const struct tdo_defenses *d)
{
    for (int i = 0; i < d->count; i++) {
        if (d->use[i].row->denoises) {
            return &d->use[i];
        }
    }
    return NULL;
}

const struct tdo_defense_use *tdo_defense_input_noise(const struct tdo_defenses *d,
                                                      double *sigma)
{
    for (int i = 0; i < d->count; i++) {
        const struct tdo_defense *row = d->use[i].row;
        *sigma = row->input_sigma ? row->input_sigma(&d->use[i]) : 0;
        if (*sigma > 0) {
            return &d->use[i];
        }
    }
    return NULL;
}

double tdo_defense_value(const struct tdo_defense_use *use, const char *key, double neutral)
{
    const int i = tdo_option_at(use->row->options, key);
    return i >= 0 ? use->value[i] : neutral;
}

const char *tdo_defense_text(const struct tdo_defense_use *use, const char *key)
{
    const int i = tdo_option_at(use->row->options, key);
    return i >= 0 && use->text[i] ? use->text[i] : "";
}

/* ---- model files ---- */

struct choice {
    char s[64];
};

/* The name of choice i of "a|b|c". */
static struct choice choice_name(const char *choices, int i)
{
    struct choice name;
    for (; i > 0; i--) {
        choices = strchr(choices, '|') + 1;
    }
    snprintf(name.s, sizeof name.s, "%.*s", (int)strcspn(choices, "|"), choices);
    return name;
}

/* Choices by their names, or as numbers. */
static tdo_err describe_row(const struct tdo_defense_use *use, bool names, tdo_json **out)
{
    TDO_TRY(tdo_json_object(out));
    tdo_json_set_text(*out, "name", use->row->name);
    for (int i = 0; use->row->options && use->row->options[i].key; i++) {
        const struct tdo_option *o = &use->row->options[i];
        const char *key = o->key;
        if (names && o->type == TDO_OPTION_CHOICE) {
            tdo_json_set_text(*out, key, choice_name(o->choices, (int)use->value[i]).s);
        } else if (use->text[i]) {
            tdo_json_set_text(*out, key, use->text[i]);
        } else {
            tdo_json_set_real(*out, key, use->value[i]);
        }
    }
    return TDO_OK;
}

static tdo_err describe_rows(const struct tdo_defenses *d, bool all, tdo_json **out)
{
    TDO_TRY(tdo_json_array(out));
    for (int i = 0; i < d->count; i++) {
        tdo_json *row = NULL;
        if (all || d->use[i].row->network) {
            tdo_err err = describe_row(&d->use[i], !all, &row);
            if (err != TDO_OK) {
                tdo_json_free(out);
                return err;
            }
            tdo_json_add(*out, &row);
        }
    }
    return TDO_OK;
}

tdo_err tdo_defense_settings(const struct tdo_defenses *d, tdo_json **out)
{
    return describe_rows(d, true, out);
}

tdo_err tdo_defense_describe(const struct tdo_defenses *d, tdo_json **out)
{
    return describe_rows(d, false, out);
}

/* `defense.<at>.<key>=<value>` for each option of a row. */
static tdo_err recall_row(const tdo_json *row, int64_t at, tdo_config *c)
{
    for (int64_t i = 0; i < tdo_json_size(row); i++) {
        const char *key = NULL, *text = NULL;
        double value = 0;
        char argument[160];
        if (!tdo_json_key(row, i, &key) || strcmp(key, "name") == 0) {
            continue;
        }
        if (tdo_json_get_text(row, key, &text)) {
            snprintf(argument, sizeof argument, "defense.%lld.%s=%s", (long long)at, key, text);
            TDO_TRY(tdo_config_set(c, argument));
        } else if (tdo_json_get_real(row, key, &value)) {
            snprintf(argument, sizeof argument, "defense.%lld.%s=%.17g", (long long)at, key,
                     value);
            TDO_TRY(tdo_config_set(c, argument));
        }
    }
    return TDO_OK;
}

tdo_err tdo_defense_recall(const tdo_json *description, tdo_config *c)
{
    char names[512] = "defense=";
    for (int64_t i = 0; i < tdo_json_size(description); i++) {
        tdo_json *row = NULL;
        const char *name = NULL;
        if (!tdo_json_at(description, i, &row) || !tdo_json_get_text(row, "name", &name)) {
            tdo_json_free(&row);
            TDO_TRY(tdo_json_check(description));
            return TDO_FAIL(TDO_ERR_FORMAT, "model file: defense %lld has no name",
                            (long long)i);
        }
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? "," : "",
                 name);
        tdo_json_free(&row);
    }
    TDO_TRY(tdo_config_set(c, names));
    for (int64_t i = 0; i < tdo_json_size(description); i++) {
        tdo_json *row = NULL;
        bool there = tdo_json_at(description, i, &row);
        tdo_err err = there ? recall_row(row, i, c) : tdo_json_check(description);
        tdo_json_free(&row);
        TDO_TRY(err);
    }
    return TDO_OK;
}
