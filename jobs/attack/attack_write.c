/* What `attack` leaves behind, besides outcomes.tsv. See attacking.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/attack/attacking.h"
#include "mpi/origins.h"

enum { WINDOW_BYTES = 1 << 28 }; /* of images that are held at a time */

/* ---- attack.json ------------------------------------------------------------------------------ */

/* The resolved options of a row, as the config has them. */
static tdo_err options_of(const tdo_json *list, int row, tdo_json **out)
{
    tdo_json *item = NULL;
    char *text = NULL;
    *out = NULL;
    tdo_err err = tdo_json_at(list, row, &item) ? TDO_OK : tdo_json_check(list);
    if (err == TDO_OK) {
        err = tdo_json_text(item, 0, &text);
    }
    if (err == TDO_OK) {
        err = tdo_json_parse(text, strlen(text), "attack", out);
    }
    tdo_memory_free(&text);
    tdo_json_free(&item);
    return err;
}

static struct tdo_text plain_title(const struct tdo_attacking *a, int number)
{
    const struct tdo_attack_use use = tdo_attack_pass_use(a, number);
    return tdo_attack_title(&use);
}

/* Two passes of the same title are told apart by a number. */
static struct tdo_text title_of(const struct tdo_attacking *a, int number)
{
    struct tdo_text title = plain_title(a, number);
    const size_t n = strlen(title.s);
    int before = 0;
    for (int i = 0; i < number; i++) {
        before += strcmp(plain_title(a, i).s, title.s) == 0;
    }
    if (before > 0) {
        snprintf(title.s + n, sizeof title.s - n, " (%d)", before + 1);
    }
    return title;
}

/* How many images a pass took, if that is not all of them; and what it was crafted on. */
static tdo_err describe_set(const struct tdo_attacking *a, int number, tdo_json *one)
{
    const char *sources = a->sources[a->pass[number].row];
    tdo_json *list = NULL;
    int64_t taken = 0;
    for (int64_t i = 0; i < a->images.count; i++) {
        taken += tdo_outcome_taken(tdo_outcomes_at(&a->outcomes, number, i));
    }
    if (taken < a->images.count) {
        tdo_json_set_int(one, "taken", taken);
    }
    TDO_TRY(tdo_json_parse(sources, strlen(sources), "sources", &list));
    tdo_json_set(one, "sources", &list);
    return TDO_OK;
}

static tdo_err describe_pass(const struct tdo_attacking *a, const tdo_json *list, int number,
                             tdo_json *to)
{
    const struct tdo_attack_pass *pass = &a->pass[number];
    const struct tdo_attack_use *use = &a->use[pass->row];
    tdo_json *one = NULL, *options = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_json_object(&one));
    TDO_GOTO(options_of(list, pass->row, &options));
    tdo_json_set_text(one, "name", use->row->name);
    tdo_json_set_text(one, "title", title_of(a, number).s);
    tdo_json_set_text(one, "norm",
                      tdo_attack_has(use, "norm") ? tdo_threat_norm_name(use->threat.norm)
                                                  : NULL);
    tdo_json_set_real(one, "eps", pass->eps < HUGE_VAL ? pass->eps : (double)NAN);
    tdo_json_set_text(one, "units", use->threat.units == TDO_UNITS_INPUT ? "input" : "pixel");
    if (pass->share > 0) {
        tdo_json_set_real(one, "share_of_eps_ref", pass->share);
    }
    TDO_GOTO(describe_set(a, number, one));
    tdo_json_set(one, "options", &options);
    tdo_json_add(to, &one);
done:
    tdo_json_free(&options);
    tdo_json_free(&one);
    return err;
}

static tdo_err describe_passes(const struct tdo_attacking *a, tdo_json *about)
{
    tdo_json *config = NULL, *list = NULL, *passes = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_config_json(a->job->config, TDO_JOB_attack, &config));
    TDO_GOTO(tdo_json_array(&passes));
    if (!tdo_json_get(config, "attack", &list)) {
        TDO_GOTO(tdo_json_check(config));
    }
    for (int i = 0; i < a->passes; i++) {
        TDO_GOTO(describe_pass(a, list, i, passes));
    }
    tdo_json_set(about, "attacks", &passes);
done:
    tdo_json_free(&passes);
    tdo_json_free(&list);
    tdo_json_free(&config);
    return err;
}

static tdo_err describe_eps_ref(const struct tdo_attacking *a, tdo_json *about)
{
    tdo_json *list = NULL;
    if (a->accuracy <= 0) {
        return TDO_OK;
    }
    TDO_TRY(tdo_json_array(&list));
    for (int i = 0; i < a->rows; i++) {
        tdo_json_add_real(list, a->eps_ref[i] >= 0 ? a->eps_ref[i] : (double)NAN);
    }
    tdo_json_set(about, "eps_ref", &list);
    tdo_json_set_real(about, "eps_ref_accuracy", a->accuracy);
    return TDO_OK;
}

/* How the judge hears a random target. */
static tdo_err describe_vote(const struct tdo_attacking *a, tdo_json *about)
{
    tdo_json *vote = NULL;
    if (!a->voting.random) {
        return TDO_OK;
    }
    TDO_TRY(tdo_json_object(&vote));
    tdo_voting_describe(&a->voting, vote);
    tdo_json_set(about, "vote", &vote);
    return TDO_OK;
}

tdo_err tdo_attack_describe(struct tdo_attacking *a)
{
    uint64_t network = 0;
    tdo_json *j = NULL;
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_ensemble_hash(&a->here, &network));
    TDO_GOTO(tdo_json_object(&j));
    tdo_json_set_text(j, "model", a->net.model->name);
    tdo_json_set_hash(j, "network", network);
    tdo_json_set_text(j, "precision", tdo_network_precision(&a->net));
    tdo_json_set_real(j, "sigma", a->here.front.sigma);
    tdo_json_set_int(j, "levels", a->here.front.levels);
    tdo_json_set_bool(j, "noise", a->here.front.noise);
    TDO_GOTO(describe_vote(a, j));
    tdo_json_set_hash(j, "data", a->images.hash);
    tdo_json_set_text(j, "split", tdo_dataset_split_name(a->images.split));
    tdo_json_set_int(j, "skip", a->images.skip);
    tdo_json_set_int(j, "images", a->images.count);
    tdo_json_set_int(j, "classes", a->net.spec.classes);
    TDO_GOTO(describe_eps_ref(a, j));
    TDO_GOTO(describe_passes(a, j));
    a->outcomes.about = j;
    j = NULL;
done:
    tdo_json_free(&j);
    return err;
}

/* ---- the context --------------------------------------------------------------------------------- */

static tdo_err add_source(tdo_json *list, const char *name, size_t length, uint64_t hash)
{
    char text[1024];
    tdo_json *one = NULL;
    snprintf(text, sizeof text, "%.*s", (int)length, name);
    TDO_TRY(tdo_json_object(&one));
    tdo_json_set_text(one, "name", text);
    tdo_json_set_hash(one, "hash", hash);
    tdo_json_add(list, &one);
    return TDO_OK;
}

/* What a row crafts on, as the config calls it, the target by its model; what it replays. */
static tdo_err list_sources(const struct tdo_attacking *a, const struct tdo_attack_use *use,
                            const struct tdo_attack_row *row, tdo_json *list)
{
    const char *name = use->models[0] ? use->models : a->net.model->name;
    if (row->set) {
        return add_source(list, use->from, strlen(use->from), tdo_dataset_info(row->set)->hash);
    }
    for (int i = 0; use->row->needs != TDO_NEEDS_NOTHING && i < row->crafted_on.members; i++) {
        const size_t length = strcspn(name, ",");
        uint64_t hash = 0;
        TDO_TRY(tdo_network_hash(row->crafted_on.member[i], &hash));
        TDO_TRY(add_source(list, name, length, hash));
        name += length + (name[length] == ',');
    }
    return TDO_OK;
}

static tdo_err row_sources(struct tdo_attacking *a, int number,
                           const struct tdo_attack_row *row)
{
    tdo_json *list = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_json_array(&list));
    TDO_GOTO(list_sources(a, &a->use[number], row, list));
    err = tdo_json_text(list, 0, &a->sources[number]);
done:
    tdo_json_free(&list);
    return err;
}

/* The hash of what a row crafts on, or replays; a->sources. */
static tdo_err row_hash(struct tdo_attacking *a, int number, struct tdo_attack_row *row,
                        uint64_t hash[2])
{
    TDO_TRY(tdo_attack_row_open(a, number, row));
    hash[1] = row->set ? tdo_dataset_info(row->set)->hash : 0;
    tdo_err err = tdo_ensemble_hash(&row->crafted_on, &hash[0]);
    err = err == TDO_OK ? row_sources(a, number, row) : err;
    return tdo_comm_agree(a->run.comm, err);
}

/* craft.classes, where it is given. */
static tdo_err add_classes(const struct tdo_attacking *a, const tdo_json *config, tdo_json *j)
{
    tdo_json *craft = NULL, *classes = NULL;
    if (a->wanted && tdo_json_get(config, "craft", &craft) &&
        tdo_json_get(craft, "classes", &classes)) {
        tdo_json_set(j, "classes", &classes);
    }
    tdo_json_free(&classes);
    tdo_json_free(&craft);
    return tdo_json_check(j);
}

static tdo_err context_json(struct tdo_attacking *a, tdo_json *j)
{
    tdo_json *config = NULL, *list = NULL;
    tdo_err err = TDO_OK;
    struct tdo_attack_row row = {.number = -1};
    TDO_GOTO(tdo_config_json(a->job->config, TDO_JOB_attack, &config));
    if (!tdo_json_get(config, "attack", &list)) {
        TDO_GOTO(tdo_json_check(config));
    }
    for (int i = 0; i < a->rows; i++) {
        uint64_t hash[2] = {0};
        char key[64];
        TDO_GOTO(row_hash(a, i, &row, hash));
        snprintf(key, sizeof key, "models %d", i);
        tdo_json_set_hash(j, key, hash[0]);
        snprintf(key, sizeof key, "stored %d", i);
        tdo_json_set_hash(j, key, hash[1]);
    }
    tdo_json_set_int(j, "seed", tdo_config_int(a->job->config, "run.seed"));
    tdo_voting_describe(&a->voting, j);
    tdo_json_set_int(j, "store", (int64_t)a->store);
    tdo_json_set_real(j, "eps_ref", a->accuracy);
    tdo_json_set_int(j, "bisections", a->bisections);
    tdo_json_set_text(j, "isa", a->run.isa);
    TDO_GOTO(add_classes(a, config, j));
    if (list) {
        tdo_json_set(j, "list", &list);
    }
done:
    tdo_attack_row_close(&row);
    tdo_json_free(&list);
    tdo_json_free(&config);
    return err;
}

tdo_err tdo_attack_context(struct tdo_attacking *a, char **text)
{
    tdo_json *j = NULL;
    tdo_err err = TDO_OK;
    *text = NULL;
    TDO_GOTO(tdo_comm_agree(a->run.comm, tdo_attack_describe(a)));
    j = a->outcomes.about; /* network, data, target; passes come with the end */
    a->outcomes.about = NULL;
    TDO_GOTO(context_json(a, j));
    err = tdo_comm_agree(a->run.comm, tdo_json_text(j, 0, text));
done:
    tdo_json_free(&j);
    return err;
}

/* ---- adversarial.h5 --------------------------------------------------------------------------------- */

/* The stored set: where each outcome goes, and what it says of its images. */
struct set {
    const struct tdo_attacking *a;
    int64_t rows;
    int64_t *place; /* [passes, images] tdo_outcomes_places */
    struct tdo_origins origins;
};

/* Rows [first, end) of the stored set, gathered from the ledger. */
struct window {
    const struct set *set;
    int64_t first, end, bytes;
    unsigned char *x;
    int32_t *y;
};

static tdo_err gather(void *user, const struct tdo_ledger_record *r)
{
    struct window *w = user;
    const struct tdo_attacking *a = w->set->a;
    if (r->b == 0 || r->b > (uint64_t)a->passes) {
        return TDO_OK;
    }
    const int64_t at = w->set->place[((int64_t)r->b - 1) * a->images.count + (int64_t)r->a];
    if (at >= w->first && at < w->end) {
        const struct tdo_outcome *o = r->payload;
        memcpy(w->x + (at - w->first) * w->bytes, o + 1, (size_t)w->bytes);
        w->y[at - w->first] = o->label;
    }
    return TDO_OK;
}

/* Whole blocks of rows that fit into the window. */
static int64_t window_rows(int64_t rows, int64_t bytes)
{
    const int64_t blocks = WINDOW_BYTES / (bytes * TDO_DATASET_BLOCK);
    const int64_t most = (blocks > 0 ? blocks : 1) * TDO_DATASET_BLOCK;
    return rows < most ? rows : most;
}

static tdo_err copy_rows(struct tdo_attacking *a, const struct set *set,
                         tdo_dataset_writer *writer)
{
    const int64_t rows = set->rows, bytes = tdo_attack_stored_bytes(a);
    const int64_t most = window_rows(rows, bytes);
    const bool root = tdo_comm_rank(a->run.comm) == 0;
    struct window w = {.set = set, .bytes = bytes};
    tdo_err err = root ? tdo_memory_new(most * bytes, &w.x) : TDO_OK;
    if (err == TDO_OK && root) {
        err = tdo_memory_new(most, &w.y);
    }
    TDO_GOTO(tdo_comm_agree(a->run.comm, err));
    for (w.first = 0; w.first < rows; w.first = w.end) {
        w.end = w.first + most < rows ? w.first + most : rows;
        TDO_GOTO(tdo_ledger_replay(a->run.comm, a->ledger_dir, a->context, gather, &w));
        err = root ? tdo_dataset_write(writer, a->images.split, w.first, w.end - w.first, w.x,
                                       w.y)
                   : TDO_OK;
        TDO_GOTO(tdo_comm_agree(a->run.comm, err));
    }
done:
    tdo_memory_free(&w.x);
    tdo_memory_free(&w.y);
    return err;
}

/* What attack.json says of each attack, as text. */
static tdo_err describe_attacks(const struct tdo_attacking *a, struct tdo_origins *o)
{
    tdo_json *list = NULL, *one = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(a->passes, &o->about));
    o->attacks = a->passes;
    if (!tdo_json_get(a->outcomes.about, "attacks", &list)) {
        TDO_GOTO(tdo_json_check(a->outcomes.about));
    }
    for (int k = 0; k < a->passes; k++) {
        if (!tdo_json_at(list, k, &one)) {
            TDO_GOTO(tdo_json_check(list));
        }
        TDO_GOTO(tdo_json_text(one, 0, &o->about[k]));
        tdo_json_free(&one);
    }
done:
    tdo_json_free(&one);
    tdo_json_free(&list);
    return err;
}

static tdo_err make_origins(const struct tdo_attacking *a, struct set *set)
{
    struct tdo_origins *o = &set->origins;
    o->data = a->images.hash;
    o->rows = set->rows;
    TDO_TRY(tdo_memory_new(o->rows, &o->row));
    TDO_TRY(tdo_memory_new(o->rows, &o->attack));
    TDO_TRY(tdo_memory_new(o->rows, &o->eps));
    for (int k = 0; k < a->passes; k++) {
        const struct tdo_attack_use use = tdo_attack_pass_use(a, k);
        for (int64_t i = 0; i < a->images.count; i++) {
            const int64_t at = set->place[k * a->images.count + i];
            if (at >= 0) {
                const double eps =
                    use.row->ball
                        ? tdo_attack_eps(&use, (uint64_t)tdo_images_row(&a->images, i))
                        : HUGE_VAL;
                o->row[at] = tdo_images_row(&a->images, i);
                o->attack[at] = k;
                o->eps[at] = eps < HUGE_VAL ? eps : (double)NAN;
            }
        }
    }
    return describe_attacks(a, o);
}

static tdo_err make_set(const struct tdo_attacking *a, struct set *set)
{
    set->a = a;
    TDO_TRY(tdo_memory_new(a->passes * a->images.count, &set->place));
    TDO_TRY(tdo_outcomes_places(&a->outcomes, set->place, &set->rows));
    if (set->rows == 0) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "attack: no image was taken by any attack (attack.N.share); more images "
            "or larger shares expected");
    }
    return tdo_comm_rank(a->run.comm) == 0 ? make_origins(a, set) : TDO_OK;
}

tdo_err tdo_attack_store(struct tdo_attacking *a)
{
    const struct tdo_dataset_info *data = tdo_dataset_info(a->data);
    struct tdo_dataset_info info = {.height = data->height,
                                    .width = data->width,
                                    .channels = data->channels,
                                    .classes = data->classes,
                                    .is_u8 = a->store == TDO_STORE_U8,
                                    .stored = true};
    char path[1024];
    struct set set = {0};
    tdo_dataset_writer *writer = NULL;
    tdo_err err = TDO_OK;
    if (a->store == TDO_STORE_NONE) {
        return TDO_OK;
    }
    TDO_GOTO(tdo_comm_agree(a->run.comm, make_set(a, &set)));
    info.rows[a->images.split] = set.rows;
    TDO_GOTO(tdo_comm_agree(a->run.comm,
                            tdo_run_path(&a->run, "adversarial.h5", path, sizeof path)));
    TDO_GOTO(tdo_dataset_create(a->run.comm, path, &info, &writer));
    tdo_origins_write(writer, &set.origins);
    TDO_GOTO(copy_rows(a, &set, writer));
    err = tdo_dataset_finish(writer);
done:
    tdo_dataset_writer_free(&writer);
    tdo_origins_free(&set.origins);
    tdo_memory_free(&set.place);
    return err;
}
