/* Accuracy and loss on clean images, over all ranks: evaluate.tsv, a line for each class and one for
 * all, and evaluate.json, the numbers of the whole.
 *
 * A network that is not random is asked once about an image. One that is, or that has noise in front
 * of it, is asked vote.draws times and answers by vote.rule (jobs/voting.h). Its accuracy comes with
 * two intervals of 95 %, exact for draws that belong to an image: `lower` and `upper` hold what the
 * vote's accuracy on these images is on average over all noise; `draw_lower` and `draw_upper` the
 * same of a single draw, `draw_accuracy`. Answers are kept in run.dir/evaluate as they are made, so a
 * job that was killed goes on. vote_curve.tsv says what 1, 2, 4 ... of these draws would have given,
 * by every rule. All files have the same bytes for any number of ranks and any batch. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "defenses/statistics.h"
#include "jobs/evaluate/evaluate.h"
#include "jobs/forward.h"
#include "jobs/network_front.h"
#include "jobs/page.h"
#include "nn/base/file.h"
#include "nn/base/log.h"

enum { MOST_LINES = 20 }; /* classes that are printed for people */

static const double one_sided = 0.025; /* alpha on each side of an interval of 95 % */

/* ---- what is there already ------------------------------------------------------------------------ */

/* Numbers of evaluate.json that say what it is about, as they would be written now. */
static tdo_err describe(const struct tdo_evaluating *e, tdo_json *j)
{
    tdo_json_set_text(j, "split", tdo_dataset_split_name(e->images.split));
    tdo_json_set_hash(j, "data", e->images.hash);
    tdo_json_set_hash(j, "network", e->network);
    tdo_json_set_text(j, "precision", tdo_network_precision(&e->net));
    tdo_json_set_int(j, "skip", e->images.skip);
    tdo_json_set_int(j, "images", e->images.count);
    tdo_voting_describe(&e->voting, j);
    return tdo_network_front_describe(&e->net, j);
}

/* Does `there` have the key with the value that `here` has? A text, an integer or a real. */
static bool agrees(const tdo_json *there, const tdo_json *here, const char *key)
{
    const char *a = NULL, *b = NULL;
    int64_t x = 0, y = 0;
    double u = 0, v = 0;
    if (tdo_json_get_text(here, key, &a)) {
        return tdo_json_get_text(there, key, &b) && strcmp(a, b) == 0;
    }
    if (tdo_json_get_int(here, key, &x)) {
        return tdo_json_get_int(there, key, &y) && x == y;
    }
    return tdo_json_get_real(here, key, &u) && tdo_json_get_real(there, key, &v) &&
           fabs(u - v) <= 1e-12 * fabs(u);
}

tdo_err tdo_evaluate_check_clean(const struct tdo_evaluating *e)
{
    char path[1024], *text = NULL;
    const char *key = NULL;
    int64_t bytes = 0;
    tdo_json *there = NULL, *here = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_run_path(&e->run, "evaluate.json", path, sizeof path));
    TDO_GOTO(tdo_file_read(path, 1 << 26, &text, &bytes));
    TDO_GOTO(tdo_json_parse(text, (size_t)bytes, path, &there));
    TDO_GOTO(tdo_json_object(&here));
    TDO_GOTO(describe(e, here));
    TDO_GOTO(tdo_json_check(here));
    if (tdo_json_has(there, "draws") != tdo_json_has(here, "draws") ||
        tdo_json_has(there, "noise") != tdo_json_has(here, "noise")) {
        TDO_GOTO(TDO_FAIL(TDO_ERR_CONFIG,
                          "%s is about a network that votes otherwise (vote.*); choose another "
                          "run.dir, or remove evaluate.tsv and the folder evaluate there",
                          path));
    }
    for (int64_t i = 0; tdo_json_key(here, i, &key); i++) {
        if (!agrees(there, here, key)) {
            TDO_GOTO(TDO_FAIL(TDO_ERR_CONFIG,
                              "%s has another \"%s\" than this evaluation; choose another "
                              "run.dir, or remove evaluate.tsv and the folder evaluate there",
                              path, key));
        }
    }
done:
    tdo_memory_free(&text);
    tdo_json_free(&there);
    tdo_json_free(&here);
    return err;
}

/* ---- results ------------------------------------------------------------------------------------ */

static void write_line(FILE *to, const char *class, const struct tdo_score_class *c, bool top5)
{
    fprintf(to, "%s\t%" PRId64 "\t%" PRId64 "\t", class, c->rows, c->correct);
    if (c->rows > 0) {
        fprintf(to, "%.6f", (double)c->correct / (double)c->rows);
    } else {
        fputc('-', to);
    }
    if (top5) {
        fprintf(to, "\t%" PRId64 "\n", c->top5);
    } else {
        fprintf(to, "\t-\n");
    }
}

static void write_table(FILE *to, const struct tdo_score *s)
{
    const struct tdo_score_class all = {s->rows, s->correct, s->top5};
    const bool top5 = s->classes > 5;
    char name[24];
    fprintf(to, "class\tsupport\tcorrect\taccuracy\ttop5\n");
    for (int k = 0; k < s->classes; k++) {
        snprintf(name, sizeof name, "%d", k);
        write_line(to, name, &s->of[k], top5);
    }
    write_line(to, "total", &all, top5);
}

/* What fewer draws would say, and other rules: all draws are those of the one evaluation. */
static void write_curve(FILE *to, const struct tdo_score *s)
{
    fprintf(to, "rule\tdraws\tsupport\tcorrect\taccuracy\n");
    for (int rule = 0; rule < TDO_VOTE_RULES; rule++) {
        for (int k = 0; k <= TDO_FORWARD_ALL; k++) {
            const int64_t draws = k < TDO_FORWARD_ALL ? (int64_t)1 << k : s->draws;
            const int64_t correct = s->right[rule][k];
            if (k == TDO_FORWARD_ALL || draws < s->draws) {
                fprintf(to, "%s\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%.6f\n",
                        tdo_vote_name((enum tdo_vote_rule)rule), draws, s->rows, correct,
                        (double)correct / (double)s->rows);
            }
        }
    }
}

/* What is known of the accuracy of a random network. */
struct known {
    double lower, upper, draw, draw_lower, draw_upper;
};

static tdo_err know(const struct tdo_score *s, struct known *k)
{
    const int64_t draws = s->rows * s->draws;
    k->draw = (double)s->hits / (double)draws;
    TDO_TRY(tdo_statistics_mean_interval(s->correct, s->rows, one_sided, &k->lower, &k->upper));
    return tdo_statistics_mean_interval(s->hits, draws, one_sided, &k->draw_lower,
                                        &k->draw_upper);
}

static tdo_err set_known(tdo_json *j, const struct tdo_score *s)
{
    struct known k;
    if (s->draws == 0) {
        return TDO_OK;
    }
    TDO_TRY(know(s, &k));
    tdo_json_set_real(j, "lower", k.lower);
    tdo_json_set_real(j, "upper", k.upper);
    tdo_json_set_real(j, "draw_accuracy", k.draw);
    tdo_json_set_real(j, "draw_lower", k.draw_lower);
    tdo_json_set_real(j, "draw_upper", k.draw_upper);
    return TDO_OK;
}

static tdo_err write_summary(const struct tdo_evaluating *e, const struct tdo_score *s)
{
    char path[1024], *text = NULL;
    tdo_json *j = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_json_object(&j));
    TDO_GOTO(describe(e, j));
    tdo_json_set_int(j, "classes", s->classes);
    tdo_json_set_int(j, "correct", s->correct);
    tdo_json_set_real(j, "accuracy", (double)s->correct / (double)s->rows);
    TDO_GOTO(set_known(j, s));
    if (s->classes > 5) {
        tdo_json_set_int(j, "top5", s->top5);
    }
    if (!isnan(s->loss)) {
        tdo_json_set_real(j, "loss", s->loss);
    }
    TDO_GOTO(tdo_json_text(j, 2, &text));
    TDO_GOTO(tdo_run_path(&e->run, "evaluate.json", path, sizeof path));
    err = tdo_file_write(path, text, (int64_t)strlen(text));
done:
    tdo_memory_free(&text);
    tdo_json_free(&j);
    return err;
}

static double percent(int64_t part, int64_t whole)
{
    return 100.0 * (double)part / (double)whole;
}

static tdo_err print_known(const struct tdo_score *s)
{
    struct known k;
    if (s->draws == 0) {
        return TDO_OK;
    }
    TDO_TRY(know(s, &k));
    printf("          over all noise %.2f to %.2f %% with 95 %% confidence\n", 100 * k.lower,
           100 * k.upper);
    printf("one draw  %6.2f %%  (%.2f to %.2f with 95 %% confidence)\n", 100 * k.draw,
           100 * k.draw_lower, 100 * k.draw_upper);
    return TDO_OK;
}

static void print_classes(const struct tdo_score *s)
{
    if (s->classes > MOST_LINES) {
        printf("(the %d classes one by one: evaluate.tsv)\n", s->classes);
        return;
    }
    printf("\nclass  accuracy\n");
    for (int k = 0; k < s->classes; k++) {
        const struct tdo_score_class *c = &s->of[k];
        if (c->rows > 0) {
            printf("%5d  %6.2f %%  (%" PRId64 " of %" PRId64 ")\n", k,
                   percent(c->correct, c->rows), c->correct, c->rows);
        } else {
            printf("%5d         -  (no images)\n", k);
        }
    }
}

static tdo_err print_score(const struct tdo_score *s)
{
    printf("accuracy  %6.2f %%  (%" PRId64 " of %" PRId64 ")\n", percent(s->correct, s->rows),
           s->correct, s->rows);
    TDO_TRY(print_known(s));
    if (s->classes > 5) {
        printf("top 5     %6.2f %%  (%" PRId64 " of %" PRId64 ")\n", percent(s->top5, s->rows),
               s->top5, s->rows);
    }
    if (!isnan(s->loss)) {
        printf("loss      %8.4f  (mean cross entropy)\n", s->loss);
    }
    print_classes(s);
    return TDO_OK;
}

/* The table comes last: it says that the part is done. Root only. */
static tdo_err write_results(const struct tdo_evaluating *e, const struct tdo_score *s)
{
    struct tdo_page page;
    TDO_TRY(write_summary(e, s));
    if (s->draws > 0) {
        TDO_TRY(tdo_page_open(&page));
        write_curve(page.to, s);
        TDO_TRY(tdo_page_save(&page, &e->run, "vote_curve.tsv", TDO_OK));
    }
    TDO_TRY(tdo_page_open(&page));
    write_table(page.to, s);
    TDO_TRY(tdo_page_save(&page, &e->run, "evaluate.tsv", TDO_OK));
    return print_score(s);
}

/* The directory of the ledger, where one is kept. Collective. */
static tdo_err make_dir(const struct tdo_evaluating *e, char *dir, size_t size)
{
    const bool root = tdo_comm_rank(e->run.comm) == 0;
    tdo_err err = tdo_run_path(&e->run, "evaluate", dir, size);
    if (err == TDO_OK && root && e->voting.random) {
        err = tdo_file_make_dir(dir);
    }
    return tdo_comm_agree(e->run.comm, err);
}

tdo_err tdo_evaluate_clean(struct tdo_evaluating *e)
{
    tdo_comm *comm = e->run.comm;
    tdo_forward *f = NULL;
    struct tdo_score *s = NULL;
    struct tdo_progress progress;
    const int64_t most = tdo_config_int(e->job->config, "evaluate.batch");
    const int64_t batch = tdo_forward_fit(comm, &e->images, most);
    char dir[1024];
    const struct tdo_forward_ledger where = {.dir = dir, .context = e->context};
    TDO_TRY(make_dir(e, dir, sizeof dir));
    tdo_err err = tdo_forward_new_voting(&e->net, e->images.u8, batch, &e->voting, &f);
    TDO_GOTO(tdo_comm_agree(comm, err));
    tdo_progress_start(&progress, "evaluate", "images", e->images.count, 0);
    tdo_forward_show(f, &progress);
    TDO_GOTO(tdo_forward_score(comm, f, &e->images, &where, &s));
    tdo_run_note(&e->run, "images_per_second",
                 (double)e->images.count / (tdo_log_now() - progress.started));
    tdo_progress_end(&progress, e->images.count, NULL);
    err = tdo_comm_agree(comm, tdo_comm_rank(comm) == 0 ? write_results(e, s) : TDO_OK);
done:
    tdo_score_free(&s);
    tdo_forward_free(&f);
    return err;
}
