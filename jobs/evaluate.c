/* testudo evaluate: how well a network does on clean images, over all ranks.
 *
 * No noise is added and no vote is taken: one forward pass an image. Writes evaluate.tsv, a line
 * for each class and one for all, and evaluate.json, the numbers of the whole; both have the same
 * bytes for any number of ranks and any batch. */
#include <inttypes.h>
#include <string.h>

#include "jobs/forward.h"
#include "jobs/page.h"
#include "nn/base/file.h"
#include "nn/base/log.h"

enum { MOST_LINES = 20 }; /* classes that are printed for people */

struct evaluating {
    struct tdo_run run;
    tdo_dataset *data;
    struct tdo_images images;
    struct tdo_network net;
    tdo_forward *forward;
    struct tdo_score *score;
    uint64_t network; /* its hash */
};

/* ---- set-up ------------------------------------------------------------------------------------- */

/* What depends on data set and network; local. */
static tdo_err prepare(struct tdo_job_context *x, struct evaluating *e)
{
    const tdo_config *k = x->config;
    TDO_TRY(tdo_run_network(&e->run, k, tdo_dataset_info(e->data), &e->net));
    TDO_TRY(tdo_network_hash(&e->net, &e->network));
    e->images = tdo_images_split(e->data, (enum tdo_split)tdo_config_choice(k, "data.split"));
    TDO_TRY(tdo_images_take(&e->images, tdo_config_int(k, "evaluate.skip"),
                            tdo_config_int(k, "evaluate.max")));
    return tdo_forward_new(&e->net, e->images.u8, tdo_config_int(k, "evaluate.batch"),
                           &e->forward);
}

static tdo_err open_all(struct tdo_job_context *x, struct evaluating *e)
{
    char text[256];
    uint64_t context = 0;
    TDO_TRY(tdo_run_begin(x, "evaluate", TDO_JOB_evaluate, "evaluate.tsv", &e->run));
    TDO_TRY(tdo_dataset_open(x->comm, tdo_config_text(x->config, "data.file"), &e->data));
    TDO_TRY(tdo_comm_agree(x->comm, prepare(x, e)));
    snprintf(text, sizeof text,
             "evaluate split=%d skip=%lld images=%lld network=%llx data=%llx precision=%s",
             (int)e->images.split, (long long)e->images.skip, (long long)e->images.count,
             (unsigned long long)e->network, (unsigned long long)e->images.hash,
             tdo_network_precision(&e->net));
    return tdo_run_context(&e->run, text, &context);
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

static tdo_err write_summary(const struct evaluating *e)
{
    char path[1024], *text = NULL;
    const struct tdo_score *s = e->score;
    tdo_json *j = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_json_object(&j));
    tdo_json_set_text(j, "split", tdo_dataset_split_name(e->images.split));
    tdo_json_set_hash(j, "data", e->images.hash);
    tdo_json_set_hash(j, "network", e->network);
    tdo_json_set_text(j, "precision", tdo_network_precision(&e->net));
    tdo_json_set_int(j, "skip", e->images.skip);
    tdo_json_set_int(j, "images", s->rows);
    tdo_json_set_int(j, "classes", s->classes);
    tdo_json_set_int(j, "correct", s->correct);
    tdo_json_set_real(j, "accuracy", (double)s->correct / (double)s->rows);
    if (s->classes > 5) {
        tdo_json_set_int(j, "top5", s->top5);
    }
    tdo_json_set_real(j, "loss", s->loss);
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

static void print_score(const struct tdo_score *s)
{
    printf("accuracy  %6.2f %%  (%" PRId64 " of %" PRId64 ")\n", percent(s->correct, s->rows),
           s->correct, s->rows);
    if (s->classes > 5) {
        printf("top 5     %6.2f %%  (%" PRId64 " of %" PRId64 ")\n", percent(s->top5, s->rows),
               s->top5, s->rows);
    }
    printf("loss      %8.4f  (mean cross entropy)\n", s->loss);
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

/* The table comes last: it says that the job is done. Root only. */
static tdo_err write_results(const struct evaluating *e)
{
    struct tdo_page page;
    TDO_TRY(write_summary(e));
    TDO_TRY(tdo_page_open(&page));
    write_table(page.to, e->score);
    TDO_TRY(tdo_page_save(&page, &e->run, "evaluate.tsv", TDO_OK));
    print_score(e->score);
    return TDO_OK;
}

static void close_all(struct evaluating *e)
{
    tdo_score_free(&e->score);
    tdo_forward_free(&e->forward);
    tdo_network_free(&e->net);
    tdo_dataset_free(&e->data);
    tdo_run_free(&e->run);
}

static tdo_err score(struct evaluating *e)
{
    struct tdo_progress progress;
    tdo_progress_start(&progress, "evaluate", "images", e->images.count, 0);
    tdo_forward_show(e->forward, &progress);
    TDO_TRY(tdo_forward_score(e->run.comm, e->forward, &e->images, &e->score));
    tdo_run_note(&e->run, "images_per_second",
                 (double)e->images.count / (tdo_log_now() - progress.started));
    tdo_progress_end(&progress, e->images.count, NULL);
    return TDO_OK;
}

static tdo_err evaluate(struct tdo_job_context *x)
{
    struct evaluating *e = NULL;
    tdo_err err = tdo_comm_agree(x->comm, tdo_memory_new(1, &e));
    if (err != TDO_OK) {
        return err;
    }
    TDO_GOTO(open_all(x, e));
    tdo_log_root(TDO_LOG_INFO, "evaluate %s: %lld images of %s, on %d ranks",
                 e->net.model->name, (long long)e->images.count,
                 tdo_dataset_split_name(e->images.split), tdo_comm_size(x->comm));
    TDO_GOTO(score(e));
    err = tdo_comm_rank(x->comm) == 0 ? write_results(e) : TDO_OK;
    TDO_GOTO(tdo_comm_agree(x->comm, err));
    err = tdo_run_end(&e->run);
done:
    close_all(e);
    tdo_memory_free(&e);
    return err;
}

const struct tdo_job tdo_job_evaluate = {
    .name = "evaluate",
    .help = "accuracy and loss of a network on clean images, over all ranks",
    .word = "config",
    .bit = TDO_JOB_evaluate,
    .run = evaluate,
};
