/* testudo attack: a list of attacks on a network, images handed out to all ranks.
 *
 * Each attack of the list runs over all images, or over its share of them (jobs/attack/shares.h), once
 * for each eps that it names, and what it finds is judged by the target with noise that it has not seen (jobs/attack/judge.h). Writes outcomes.tsv,
 * attack.json and adversarial.h5, prints what became of accuracy. With craft.eps_ref each attack's
 * eps is bisected until accuracy falls to that.
 * Source of eps_ref: Yan et al. 2018, section 4.1. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "jobs/attack/attacking.h"
#include "jobs/network_front.h"
#include "jobs/outcomes/robustness.h"
#include "jobs/photos.h"
#include "nn/base/file.h"

static const double shares[] = {0.2, 0.5, 1.0}; /* of eps_ref, attacked in the end */
enum { SHARES = sizeof shares / sizeof *shares };

/* ---- set-up -------------------------------------------------------------------------------------- */

/* Is its eps_ref looked for? Not of attacks that look for the smallest norm themselves. */
static bool wants_eps_ref(const struct tdo_attacking *a, int row)
{
    return a->accuracy > 0 && a->use[row].row->ball && tdo_attack_list(&a->use[row], "eps");
}

/* Its eps_ref is a number of all images, in a ball of one size. */
static tdo_err check_row(const struct tdo_attacking *a, int row)
{
    const struct tdo_attack_use *use = &a->use[row];
    const bool ranged = tdo_attack_value(use, "eps_from", 0) > 0;
    if (wants_eps_ref(a, row) && (ranged || a->share[row] < 1)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "craft.eps_ref: %s.%s expected: it is the eps of all images", use->key,
                        ranged ? "eps_from = 0" : "share = 1");
    }
    return TDO_OK;
}

static tdo_err read_rows(const tdo_config *k, struct tdo_attacking *a)
{
    const uint32_t seed = (uint32_t)tdo_config_int(k, "run.seed");
    bool wanted = false;
    a->rows = tdo_config_rows(k, "attack");
    if (a->rows < 1 || a->rows > TDO_ATTACK_MAX) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "attack lists %d attacks, expected 1 to %d: attack=pgd, or a list "
                        "(testudo list attacks)",
                        a->rows, TDO_ATTACK_MAX);
    }
    TDO_TRY(tdo_memory_new(a->rows, &a->use));
    TDO_TRY(tdo_memory_new(a->rows, &a->share));
    TDO_TRY(tdo_memory_new(a->rows, &a->sources));
    for (int i = 0; i < a->rows; i++) {
        char key[32];
        snprintf(key, sizeof key, "attack.%d", i);
        TDO_TRY(
            tdo_attack_read(k, key, tdo_config_row_index(k, "attack", i), seed, i, &a->use[i]));
        snprintf(key, sizeof key, "attack.%d.share", i);
        a->share[i] = tdo_config_real(k, key);
        TDO_TRY(check_row(a, i));
        wanted = wanted || wants_eps_ref(a, i);
    }
    if (a->accuracy > 0 && !wanted) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "craft.eps_ref is for attacks with an eps; the list attack has none");
    }
    return TDO_OK;
}

static tdo_err read_options(struct tdo_job_context *x, struct tdo_attacking *a)
{
    const tdo_config *k = x->config;
    a->job = x;
    a->batch = tdo_config_int(k, "craft.batch");
    a->store = (enum tdo_store)tdo_config_choice(k, "craft.store");
    a->accuracy = tdo_config_real(k, "craft.eps_ref");
    a->bisections = (int)tdo_config_int(k, "craft.bisections");
    return read_rows(k, a);
}

/* craft.classes. */
static tdo_err read_classes(const tdo_config *k, struct tdo_attacking *a)
{
    const int classes = tdo_dataset_info(a->data)->classes;
    double *of = NULL;
    tdo_err err = TDO_OK;
    if (!tdo_config_given(k, "craft.classes")) {
        return TDO_OK;
    }
    if (a->accuracy > 0) {
        return TDO_FAIL(
            TDO_ERR_CONFIG,
            "craft.eps_ref: no craft.classes expected: it is the eps of all images");
    }
    TDO_TRY(tdo_memory_new(classes, &a->wanted));
    TDO_TRY(tdo_memory_new(classes, &of));
    const int n = tdo_config_reals(k, "craft.classes", of, classes);
    for (int i = 0; err == TDO_OK && i < n; i++) {
        if (of[i] != floor(of[i]) || of[i] >= classes) {
            err = TDO_FAIL(TDO_ERR_CONFIG, "craft.classes: %g is no class: 0 to %d expected",
                           of[i], classes - 1);
        } else {
            a->wanted[(int)of[i]] = true;
        }
    }
    tdo_memory_free(&of);
    return err;
}

static int passes_of(const struct tdo_attacking *a, int row)
{
    const struct tdo_attack_list *eps = tdo_attack_list(&a->use[row], "eps");
    return wants_eps_ref(a, row) ? 1 + a->bisections + SHARES : eps ? eps->count : 1;
}

static tdo_err make_room(struct tdo_attacking *a)
{
    const int64_t n = a->images.count;
    for (int i = 0; i < a->rows; i++) {
        a->most += passes_of(a, i);
    }
    TDO_TRY(tdo_memory_new(a->most, &a->pass));
    TDO_TRY(tdo_memory_new(a->rows, &a->eps_ref));
    for (int i = 0; i < a->rows; i++) {
        a->eps_ref[i] = -1;
    }
    TDO_TRY(tdo_memory_new(n, &a->clean));
    TDO_TRY(tdo_memory_new(n, &a->pick));
    TDO_TRY(tdo_memory_new(n, &a->marks));
    TDO_TRY(tdo_memory_new((a->most + 1) * n, &a->recorded));
    return tdo_outcomes_new(a->most, n, &a->outcomes);
}

/* What depends on data set and network; local. */
static tdo_err prepare(struct tdo_job_context *x, struct tdo_attacking *a)
{
    const tdo_config *k = x->config;
    const struct tdo_target_options like = {
        .batch = a->batch, .between = tdo_attack_between, .user = a};
    struct tdo_front front;
    TDO_TRY(tdo_run_network(&a->run, k, tdo_dataset_info(a->data), &a->net));
    TDO_TRY(tdo_voting_read(k, &a->net, &a->voting));
    TDO_TRY(tdo_front_read(k, &a->voting, &front));
    a->here = tdo_ensemble_one(&a->net, &front);
    a->images = tdo_images_split(a->data, (enum tdo_split)tdo_config_choice(k, "data.split"));
    TDO_TRY(tdo_images_take(&a->images, tdo_config_int(k, "craft.skip"),
                            tdo_config_int(k, "craft.max")));
    const struct tdo_target_network n = tdo_ensemble_target(&a->here);
    TDO_TRY(tdo_judge_new(&n, &like, &a->voting, &a->judge));
    TDO_TRY(read_classes(k, a));
    TDO_TRY(tdo_run_path(&a->run, "attack", a->ledger_dir, sizeof a->ledger_dir));
    return make_room(a);
}

/* Every row is opened and checked before anything is computed. */
static tdo_err open_all(struct tdo_job_context *x, struct tdo_attacking *a)
{
    char *text = NULL;
    TDO_TRY(tdo_comm_agree(x->comm, read_options(x, a)));
    TDO_TRY(tdo_run_begin(x, "attack", TDO_JOB_attack, "outcomes.tsv", &a->run));
    TDO_TRY(
        tdo_photos_open(x->comm, x->config, tdo_config_text(x->config, "data.file"), &a->data));
    TDO_TRY(tdo_comm_agree(x->comm, prepare(x, a)));
    tdo_err err = tdo_attack_context(a, &text);
    if (err == TDO_OK) {
        err = tdo_run_context(&a->run, text, &a->context);
    }
    tdo_memory_free(&text);
    TDO_TRY(err);
    const bool root = tdo_comm_rank(x->comm) == 0;
    TDO_TRY(tdo_comm_agree(x->comm, root ? tdo_file_make_dir(a->ledger_dir) : TDO_OK));
    return tdo_attack_recall(a);
}

/* ---- passes ----------------------------------------------------------------------------------------- */

static tdo_err attack_at(struct tdo_attacking *a, struct tdo_attack_row *row, int number,
                         double eps, double share)
{
    a->pass[a->passes] =
        (struct tdo_attack_pass){.row = number,
                                 .eps = eps,
                                 .share = share,
                                 .part = tdo_shares_next(&a->shares, a->share[number])};
    return tdo_attack_pass_run(a, row);
}

static double latest_accuracy(const struct tdo_attacking *a)
{
    const struct tdo_outcome *o = a->outcomes.of + (a->passes - 1) * a->images.count;
    int64_t right = 0;
    for (int64_t i = 0; i < a->images.count; i++) {
        right += o[i].predict == o[i].label;
    }
    return (double)right / (double)a->images.count;
}

/* The smallest eps, to 2^-bisections of the interval, at which accuracy is at most a->accuracy. */
static tdo_err find_eps_ref(struct tdo_attacking *a, struct tdo_attack_row *row, int number)
{
    double low = 0, high = a->use[number].threat.eps;
    TDO_TRY(attack_at(a, row, number, high, 0));
    if (latest_accuracy(a) > a->accuracy) {
        tdo_log_root(TDO_LOG_WARN, "attack.%d: accuracy is still %.4f at eps = %g, no eps_ref",
                     number, latest_accuracy(a), high);
        return TDO_OK;
    }
    for (int k = 0; k < a->bisections; k++) {
        const double middle = (low + high) / 2;
        TDO_TRY(attack_at(a, row, number, middle, 0));
        if (latest_accuracy(a) > a->accuracy) {
            low = middle;
        } else {
            high = middle;
        }
    }
    a->eps_ref[number] = high;
    tdo_log_root(TDO_LOG_INFO, "attack.%d: eps_ref = %.9g (accuracy %g)", number, high,
                 a->accuracy);
    for (int k = 0; k < SHARES; k++) {
        TDO_TRY(attack_at(a, row, number, shares[k] * high, shares[k]));
    }
    return TDO_OK;
}

static tdo_err attack_row(struct tdo_attacking *a, struct tdo_attack_row *row, int number)
{
    const struct tdo_attack_list *eps = tdo_attack_list(&a->use[number], "eps");
    if (wants_eps_ref(a, number)) {
        return find_eps_ref(a, row, number);
    }
    for (int k = 0; k < passes_of(a, number); k++) {
        TDO_TRY(attack_at(a, row, number, eps ? eps->of[k] : HUGE_VAL, 0));
    }
    return TDO_OK;
}

/* About how many images all passes take, the clean ones included. */
static int64_t expected(const struct tdo_attacking *a)
{
    double passes = 1;
    for (int i = 0; i < a->rows; i++) {
        passes += passes_of(a, i) * a->share[i];
    }
    return (int64_t)(passes * (double)a->images.count + 0.5);
}

static tdo_err attack_all(struct tdo_attacking *a)
{
    struct tdo_attack_row row = {.number = -1};
    const int64_t total = expected(a);
    tdo_progress_start(&a->progress, "attack", "images", total, a->recalled);
    tdo_err err = tdo_attack_judge_clean(a);
    for (int i = 0; err == TDO_OK && i < a->rows; i++) {
        err = attack_row(a, &row, i);
    }
    tdo_attack_row_close(&row);
    if (err == TDO_OK) {
        const double seconds = tdo_log_now() - a->progress.started;
        tdo_run_note(&a->run, "images_per_second",
                     (double)(a->done - a->recalled) / (seconds > 0 ? seconds : 1));
        tdo_progress_end(&a->progress, a->done, NULL);
    }
    return err;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static tdo_err print_table(const struct tdo_attacking *a)
{
    struct tdo_robustness *r = NULL;
    TDO_TRY(tdo_robustness_new(&a->outcomes, &r));
    tdo_robustness_print(stdout, r);
    tdo_robustness_free(&r);
    return TDO_OK;
}

/* outcomes.tsv comes last: it says that the job is done. */
static tdo_err write_results(struct tdo_attacking *a)
{
    const bool root = tdo_comm_rank(a->run.comm) == 0;
    a->outcomes.attacks = a->passes;
    tdo_err err = tdo_attack_describe(a);
    if (err == TDO_OK) {
        err = tdo_network_front_describe(&a->net, a->outcomes.about);
    }
    TDO_TRY(tdo_comm_agree(a->run.comm, err));
    tdo_ledger_free(&a->ledger);
    TDO_TRY(tdo_attack_store(a));
    err = root ? tdo_outcomes_write(&a->outcomes, a->run.dir) : TDO_OK;
    TDO_TRY(tdo_comm_agree(a->run.comm, err));
    return tdo_comm_agree(a->run.comm, root ? print_table(a) : TDO_OK);
}

static void close_all(struct tdo_attacking *a)
{
    tdo_ledger_free(&a->ledger);
    tdo_judge_free(&a->judge);
    tdo_network_free(&a->net);
    tdo_dataset_free(&a->data);
    tdo_outcomes_free(&a->outcomes);
    for (int i = 0; a->sources && i < a->rows; i++) {
        tdo_memory_free(&a->sources[i]);
    }
    tdo_memory_free(&a->sources);
    tdo_memory_free(&a->share);
    tdo_memory_free(&a->wanted);
    tdo_memory_free(&a->use);
    tdo_memory_free(&a->pass);
    tdo_memory_free(&a->eps_ref);
    tdo_memory_free(&a->clean);
    tdo_memory_free(&a->pick);
    tdo_memory_free(&a->marks);
    tdo_memory_free(&a->recorded);
    tdo_run_free(&a->run);
}

static tdo_err attack(struct tdo_job_context *x)
{
    struct tdo_attacking *a = NULL;
    tdo_err err = tdo_comm_agree(x->comm, tdo_memory_new(1, &a));
    if (err != TDO_OK) {
        return err;
    }
    TDO_GOTO(open_all(x, a));
    tdo_log_root(TDO_LOG_INFO, "attack %s: %d attacks on %lld images of %s, on %d ranks",
                 a->net.model->name, a->rows, (long long)a->images.count,
                 tdo_dataset_split_name(a->images.split), tdo_comm_size(x->comm));
    TDO_GOTO(attack_all(a));
    TDO_GOTO(write_results(a));
    err = tdo_run_end(&a->run);
done:
    close_all(a);
    tdo_memory_free(&a);
    return err;
}

const struct tdo_job tdo_job_attack = {
    .name = "attack",
    .help = "attack a network with a list of attacks, images handed out to all ranks",
    .word = "config",
    .bit = TDO_JOB_attack,
    .run = attack,
};
