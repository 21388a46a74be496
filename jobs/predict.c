/* testudo predict: the class of each image of a split or of a folder, over all ranks.
 *
 * predict.sigma = 0: the class and its probability by softmax, of one forward pass; of a random
 * network, by the rule of vote.* (jobs/voting.h), the class and its share of the vote.
 * predict.sigma > 0: the smoothed network. Each of n draws of noise votes; the class with most
 * votes is returned if an exact two-sided test rejects that the top two are equally likely, else
 * the network abstains. What is returned is the smoothed network's class, except with
 * probability alpha.
 *
 * Source: Cohen et al. 2019, section 3.2.2, PREDICT, and proposition 2; Hung and Fithian 2019.
 *
 * Writes predict.tsv; votes of a run that was stopped are taken up again (sampler.h, forward.h). The
 * same bytes for any number of ranks and any batch. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "defenses/statistics.h"
#include "jobs/forward.h"
#include "jobs/images_folder.h"
#include "jobs/page.h"
#include "jobs/photos.h"
#include "jobs/sampler.h"
#include "jobs/voting.h"
#include "nn/base/exact.h"
#include "nn/base/file.h"
#include "nn/base/log.h"

enum { MOST_LINES = 20 }; /* images that are printed for people */

struct answer {
    int64_t predict; /* class, -1 when abstaining */
    double value; /* its probability or share; of the smoothed network: at least the p-value */
};

struct predicting {
    struct tdo_run run;
    bool smoothed;
    double alpha;
    tdo_dataset *data;         /* NULL for a folder */
    tdo_images_folder *folder; /* NULL for a split */
    struct tdo_images images;
    struct tdo_network net;
    struct tdo_voting voting; /* without a test */
    tdo_forward *forward;     /* the same */
    tdo_sampler *sampler;     /* with noise */
    struct tdo_sampler_options sampling;
    tdo_rounded *table;
    char dir[1024];        /* of the ledger */
    struct answer *answer; /* [images], on every rank */
};

/* ---- set-up ------------------------------------------------------------------------------------- */

/* Can so many draws ever reject a fair coin? */
static tdo_err check_draws(const struct predicting *p)
{
    bool enough = false;
    TDO_TRY(tdo_statistics_two_sided(p->sampling.n, p->sampling.n, p->alpha, &enough));
    if (enough) {
        return TDO_OK;
    }
    int64_t least = p->sampling.n;
    while (!enough) {
        least++;
        TDO_TRY(tdo_statistics_two_sided(least, least, p->alpha, &enough));
    }
    return TDO_FAIL(TDO_ERR_CONFIG,
                    "predict.n = %lld draws abstain on every image at predict.alpha = %g; the "
                    "smallest n that does not is %lld",
                    (long long)p->sampling.n, p->alpha, (long long)least);
}

static tdo_err read_options(struct tdo_job_context *x, struct predicting *p)
{
    const tdo_config *k = x->config;
    const double sigma = tdo_config_real(k, "predict.sigma");
    p->smoothed = sigma > 0;
    p->alpha = tdo_config_real(k, "predict.alpha");
    p->sampling = (struct tdo_sampler_options){.what = "predict",
                                               .n = tdo_config_int(k, "predict.n"),
                                               .batch = tdo_config_int(k, "predict.batch"),
                                               .sigma = sigma,
                                               .seed = (uint32_t)tdo_config_int(k, "run.seed"),
                                               .hash = tdo_config_bool(k, "predict.hash"),
                                               .dir = p->dir};
    if (!*tdo_config_text(k, "predict.from") && !tdo_config_given(k, "data.file")) {
        return TDO_FAIL(TDO_ERR_CONFIG, "predict.from and data.file are missing: a folder of "
                                        "images or a data set expected");
    }
    if (p->smoothed && sigma < 1e-4) {
        return TDO_FAIL(TDO_ERR_CONFIG, "predict.sigma = %g: expected 0, or 0.0001 to 16",
                        sigma);
    }
    if (p->smoothed && (tdo_config_real(k, "vote.sigma") > 0 ||
                        tdo_config_choice(k, "vote.rule") != TDO_VOTE_PREDICTION)) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "predict.sigma = %g: the smoothed network's class is tested by votes; "
                        "vote.sigma and vote.rule are for predict.sigma = 0",
                        sigma);
    }
    return p->smoothed ? check_draws(p) : TDO_OK;
}

static tdo_err open_folder(struct tdo_job_context *x, struct predicting *p)
{
    TDO_TRY(tdo_comm_agree(x->comm, tdo_run_network(&p->run, x->config, NULL, &p->net)));
    const struct tdo_images_folder_options o = {
        .path = tdo_config_text(x->config, "predict.from"),
        .height = p->net.spec.height,
        .width = p->net.spec.width,
        .channels = p->net.spec.channels,
        .size = tdo_config_int(x->config, "predict.size")};
    return tdo_images_folder_open(x->comm, &o, &p->folder, &p->images);
}

static tdo_err open_split(struct tdo_job_context *x, struct predicting *p)
{
    const tdo_config *k = x->config;
    TDO_TRY(tdo_photos_open(x->comm, k, tdo_config_text(k, "data.file"), &p->data));
    p->images = tdo_images_split(p->data, (enum tdo_split)tdo_config_choice(k, "data.split"));
    return tdo_comm_agree(x->comm,
                          tdo_run_network(&p->run, k, tdo_dataset_info(p->data), &p->net));
}

/* What depends on images and network; local. */
static tdo_err prepare(struct tdo_job_context *x, struct predicting *p)
{
    const tdo_config *k = x->config;
    TDO_TRY(tdo_images_take(&p->images, tdo_config_int(k, "predict.skip"),
                            tdo_config_int(k, "predict.max")));
    TDO_TRY(tdo_memory_new(p->images.count, &p->answer));
    if (!p->smoothed) {
        TDO_TRY(tdo_voting_read(k, &p->net, &p->voting));
        const int64_t batch = tdo_forward_fit(x->comm, &p->images, p->sampling.batch);
        TDO_TRY(tdo_forward_new_voting(&p->net, p->images.u8, batch, &p->voting, &p->forward));
    }
    TDO_TRY(tdo_run_path(&p->run, "predict", p->dir, sizeof p->dir));
    if (tdo_comm_rank(x->comm) == 0 && (p->smoothed || p->voting.random)) {
        TDO_TRY(tdo_file_make_dir(p->dir)); /* not that of a certification's ledger */
    }
    if (!p->smoothed) {
        return TDO_OK;
    }
    TDO_TRY(tdo_network_smooth(&p->net, "predict.sigma", p->sampling.sigma));
    return tdo_sampler_noise(&p->images, k, "predict.noise", &p->sampling, &p->table);
}

/* What recorded votes must match, and all ranks: see certify.c. */
static tdo_err make_context(struct predicting *p)
{
    char text[1024], how[256];
    uint64_t network = 0;
    const struct tdo_sampler_options *o = &p->sampling;
    TDO_TRY(tdo_comm_agree(p->run.comm, tdo_network_hash(&p->net, &network)));
    tdo_voting_key(&p->voting, how, sizeof how);
    snprintf(text, sizeof text,
             "predict noise=%d sigma=%.17g seed=%u split=%d skip=%lld n=%lld hash=%d "
             "network=%llx data=%llx isa=%s precision=%s%s share=%d %s",
             (int)o->law, o->sigma, (unsigned)o->seed, (int)p->images.split,
             (long long)p->images.skip, (long long)o->n, (int)o->hash,
             (unsigned long long)network, (unsigned long long)p->images.hash, p->run.isa,
             tdo_network_precision(&p->net), p->net.outside ? " outside" : "",
             (int)p->net.shared, p->smoothed ? "" : how);
    return tdo_run_context(&p->run, text, &p->sampling.context);
}

static tdo_err open_all(struct tdo_job_context *x, struct predicting *p)
{
    const bool folder = *tdo_config_text(x->config, "predict.from");
    TDO_TRY(tdo_comm_agree(x->comm, read_options(x, p)));
    TDO_TRY(tdo_run_begin(x, "predict", TDO_JOB_predict, "predict.tsv", &p->run));
    TDO_TRY(folder ? open_folder(x, p) : open_split(x, p));
    TDO_TRY(tdo_comm_agree(x->comm, prepare(x, p)));
    TDO_TRY(make_context(p));
    if (!p->smoothed) {
        return TDO_OK;
    }
    return tdo_comm_agree(
        x->comm, tdo_sampler_new(x->comm, &p->net, &p->images, &p->sampling, &p->sampler));
}

/* ---- answers ------------------------------------------------------------------------------------ */

/* Each answer was found by one rank and is zero on the others: added as bit patterns, all ranks
 * have all of them. */
static void share_answers(struct predicting *p)
{
    _Static_assert(sizeof(struct answer) == 2 * sizeof(uint64_t), "answers are words");
    tdo_comm_sum_u64(p->run.comm, (uint64_t *)(void *)p->answer, 2 * p->images.count);
}

static tdo_err predict_plain(struct predicting *p)
{
    tdo_comm *comm = p->run.comm;
    const struct tdo_forward_ledger where = {.dir = p->dir, .context = p->sampling.context};
    struct tdo_forward_answer *answer = NULL;
    struct tdo_progress progress;
    tdo_progress_start(&progress, "predict", "images", p->images.count, 0);
    tdo_forward_show(p->forward, &progress);
    TDO_TRY(tdo_forward_ask(comm, p->forward, &p->images, &where, &answer));
    for (int64_t i = 0; i < p->images.count; i++) {
        p->answer[i] = (struct answer){answer[i].predict, answer[i].share};
    }
    tdo_memory_free(&answer);
    tdo_run_note(&p->run, "images_per_second",
                 (double)p->images.count / (tdo_log_now() - progress.started));
    tdo_progress_end(&progress, p->images.count, NULL);
    return TDO_OK;
}

/* The least number of four digits that the p-value of "k of n came from a fair coin" does not
 * exceed; from an estimate upwards, each candidate being tested exactly. */
static tdo_err p_value(int64_t k, int64_t n, double *value)
{
    char text[32];
    double log_tail = 0, at = 0;
    bool covers = false;
    TDO_TRY(tdo_exact_upper_tail_log(k > n - k ? k : n - k, n, 0.5, &log_tail));
    at = 1.998 * exp(log_tail > -690 ? log_tail : -690);
    while (!covers) {
        snprintf(text, sizeof text, "%.3e", at);
        const double before = *value;
        *value = strtod(text, NULL);
        if (*value >= 1) {
            *value = 1;
            return TDO_OK;
        }
        if (*value != before) {
            TDO_TRY(tdo_statistics_two_sided(k, n, *value, &covers));
        }
        at *= 1.00004;
    }
    return TDO_OK;
}

/* PREDICT of the paper, given the counts. Equal counts go by the lower class. */
static tdo_err decide(const struct predicting *p, const uint64_t *count, struct answer *a)
{
    const int K = p->net.spec.classes;
    bool reject = false;
    int first = 0;
    uint64_t second = 0;
    for (int k = 1; k < K; k++) {
        first = count[k] > count[first] ? k : first;
    }
    for (int k = 0; k < K; k++) {
        second = k != first && count[k] > second ? count[k] : second;
    }
    const int64_t top = (int64_t)count[first], both = top + (int64_t)second;
    TDO_TRY(tdo_statistics_two_sided(top, both, p->alpha, &reject));
    a->predict = reject ? first : -1;
    return p_value(top, both, &a->value);
}

static tdo_err predict_smoothed(struct predicting *p)
{
    double per_second = 0;
    uint64_t *counts = NULL;
    const int64_t K = p->net.spec.classes, size = tdo_comm_size(p->run.comm);
    TDO_TRY(tdo_sampler_run(p->sampler, &per_second));
    tdo_run_note(&p->run, "samples_per_second", per_second);
    tdo_err err = tdo_sampler_share(p->sampler, &counts);
    for (int64_t i = tdo_comm_rank(p->run.comm); err == TDO_OK && i < p->images.count;
         i += size) {
        err = decide(p, counts + (i * TDO_VOTES_PURPOSES + TDO_VOTES_COUNT) * K, &p->answer[i]);
    }
    err = tdo_comm_agree(p->run.comm, err);
    if (err == TDO_OK) {
        share_answers(p);
    }
    tdo_memory_free(&counts);
    return err;
}

/* ---- results ------------------------------------------------------------------------------------ */

static const char *name_of(const struct predicting *p, int64_t row)
{
    return p->images.name ? p->images.name(&p->images, row) : NULL;
}

static tdo_err label_of(const struct predicting *p, int64_t i, int32_t *label)
{
    const int64_t row = tdo_images_row(&p->images, i);
    return tdo_images_read(&p->images, &row, 1, NULL, label);
}

/* n p_value verdict votes hash */
static void write_votes(const struct predicting *p, int64_t i, FILE *to)
{
    const tdo_votes *votes = tdo_sampler_votes(p->sampler);
    const uint64_t *count = tdo_votes_counts(votes, i, TDO_VOTES_COUNT);
    uint64_t most = 0;
    for (int k = 0; k < tdo_votes_classes(votes); k++) {
        most = count[k] > most ? count[k] : most;
    }
    fprintf(to, "\t%" PRIu64 "\t%" PRId64 "\t%.3e\t%s\t", most, p->sampling.n,
            p->answer[i].value, p->answer[i].predict < 0 ? "abstain" : "predicted");
    tdo_page_counts(to, count, tdo_votes_classes(votes));
    if (p->sampling.hash) {
        fprintf(to, "\t%016" PRIx64, tdo_votes_hash(votes, i));
    } else {
        fprintf(to, "\t-");
    }
}

static tdo_err write_table(const struct predicting *p, FILE *to)
{
    fprintf(to, "idx\tname\tlabel\tpredict\tcorrect\t%s\n",
            p->smoothed        ? "count\tn\tp_value\tverdict\tvotes\thash"
            : p->voting.random ? "share"
                               : "probability");
    for (int64_t i = 0; i < p->images.count; i++) {
        const int64_t row = tdo_images_row(&p->images, i);
        const struct answer *a = &p->answer[i];
        int32_t label = 0;
        TDO_TRY(label_of(p, i, &label));
        fprintf(to, "%" PRId64 "\t", row);
        tdo_page_name(to, name_of(p, row));
        if (p->images.labelled) {
            fprintf(to, "\t%" PRId32 "\t%" PRId64 "\t%d", label, a->predict,
                    a->predict == label);
        } else {
            fprintf(to, "\t-\t%" PRId64 "\t-", a->predict);
        }
        if (p->smoothed) {
            write_votes(p, i, to);
        } else {
            fprintf(to, "\t%.6f", a->value);
        }
        fputc('\n', to);
    }
    return TDO_OK;
}

/* The first images one by one, for a folder. */
static void print_images(const struct predicting *p)
{
    for (int64_t i = 0; i < p->images.count && i < MOST_LINES; i++) {
        const struct answer *a = &p->answer[i];
        if (a->predict < 0) {
            printf("abstain    ");
        } else {
            printf("class %4" PRId64 " ", a->predict);
        }
        printf(p->smoothed        ? " p-value %.3e  "
               : p->voting.random ? " share %.4f  "
                                  : " probability %.4f  ",
               a->value);
        tdo_page_name(stdout, name_of(p, tdo_images_row(&p->images, i)));
        printf("\n");
    }
    if (p->images.count > MOST_LINES) {
        printf("(and so on: predict.tsv)\n");
    }
}

static tdo_err print_summary(const struct predicting *p)
{
    int64_t abstained = 0, correct = 0;
    for (int64_t i = 0; i < p->images.count; i++) {
        int32_t label = 0;
        TDO_TRY(label_of(p, i, &label));
        abstained += p->answer[i].predict < 0;
        correct += p->images.labelled && p->answer[i].predict == label;
    }
    if (p->images.name) {
        print_images(p);
    }
    if (p->images.labelled) {
        printf("correct %" PRId64 " of %" PRId64 " (%.1f %%)\n", correct, p->images.count,
               100.0 * (double)correct / (double)p->images.count);
    }
    if (p->smoothed) {
        printf("abstained %" PRId64 " of %" PRId64
               "; what is predicted is the smoothed network's "
               "class, except with probability %g each\n",
               abstained, p->images.count, p->alpha);
    }
    return TDO_OK;
}

/* Root only. */
static tdo_err write_results(const struct predicting *p)
{
    struct tdo_page page;
    TDO_TRY(tdo_page_open(&page));
    TDO_TRY(tdo_page_save(&page, &p->run, "predict.tsv", write_table(p, page.to)));
    return print_summary(p);
}

/* ---- the job ------------------------------------------------------------------------------------ */

static void close_all(struct predicting *p)
{
    tdo_sampler_free(&p->sampler);
    tdo_forward_free(&p->forward);
    tdo_network_free(&p->net);
    tdo_rounded_free(&p->table);
    tdo_images_folder_free(&p->folder);
    tdo_dataset_free(&p->data);
    tdo_memory_free(&p->answer);
    tdo_run_free(&p->run);
}

static void announce(const struct predicting *p)
{
    char how[128];
    tdo_voting_print(&p->voting, how, sizeof how);
    if (p->smoothed) {
        snprintf(how, sizeof how, "n %lld, sigma %g, alpha %g two-sided, %s noise",
                 (long long)p->sampling.n, p->sampling.sigma, p->alpha,
                 p->sampling.law == TDO_NOISE_ROUNDED ? "rounded" : "real");
    }
    tdo_log_root(TDO_LOG_INFO, "predict %s: %lld images of %s, %s, on %d ranks",
                 p->net.model->name, (long long)p->images.count, p->images.from, how,
                 tdo_comm_size(p->run.comm));
}

static tdo_err predict(struct tdo_job_context *x)
{
    struct predicting *p = NULL;
    tdo_err err = tdo_comm_agree(x->comm, tdo_memory_new(1, &p));
    if (err != TDO_OK) {
        return err;
    }
    TDO_GOTO(open_all(x, p));
    announce(p);
    TDO_GOTO(p->smoothed ? predict_smoothed(p) : predict_plain(p));
    err = tdo_comm_rank(x->comm) == 0 ? write_results(p) : TDO_OK;
    TDO_GOTO(tdo_comm_agree(x->comm, err));
    err = tdo_run_end(&p->run);
done:
    close_all(p);
    tdo_memory_free(&p);
    return err;
}

const struct tdo_job tdo_job_predict = {
    .name = "predict",
    .help = "classes of images, of a network or of the smoothed network, over all ranks",
    .word = "config",
    .bit = TDO_JOB_predict,
    .run = predict,
};
