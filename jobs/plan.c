/* testudo plan: what a certification will cost, and whether it can certify, before it begins.
 *
 * The real network votes for plan.seconds on all ranks, on images of the job; that gives a rate,
 * and, image by image, about how its votes are shared. From these follow the look at which each
 * would stop, hence samples, core-hours and ranks. The draws of the pilot have a purpose of their
 * own, so that looking at them spoils no certificate. What cannot certify the radius that is asked
 * for is refused: its exit code is 2. It writes nothing. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "defenses/sequential.h"
#include "jobs/certify_looks.h"
#include "jobs/certify_options.h"
#include "jobs/inference.h"
#include "jobs/measure.h"
#include "jobs/photos.h"
#include "nn/base/exact.h"
#include "nn/base/file.h"

struct planning {
    struct tdo_run run; /* no directory of its own */
    const tdo_config *config;
    struct tdo_certify_setting s;
    tdo_dataset *data;
    struct tdo_network net;
    bool trained;
    double reach;    /* largest radius: all votes for one class */
    int64_t pilots;  /* images of the pilot */
    float *raw;      /* [pilots][pixels] */
    uint64_t *votes; /* [pilots][classes], of all ranks in the end */
    struct tdo_inference f;
    int64_t drawn; /* of this rank */
    double rate;   /* samples a second of one rank, the mean */
    double draws;  /* of estimation an image, expected */
};

/* ---- what there is to certify ------------------------------------------------------------------ */

/* The network of the job; where there is none yet, one as training begins with: as fast, but its
 * votes say nothing. */
static tdo_err open_network(struct planning *p)
{
    const struct tdo_dataset_info *i = tdo_dataset_info(p->data);
    const struct tdo_network_data fit = {i->height, i->width, i->channels, i->classes};
    char path[1024];
    TDO_TRY(tdo_run_path(&p->run, "model.safetensors", path, sizeof path));
    p->trained = tdo_config_given(p->config, "model.file") || tdo_file_exists(path);
    if (p->trained) {
        TDO_TRY(tdo_run_network(&p->run, p->config, i, &p->net));
    } else if (tdo_config_given(p->config, "model.name")) {
        TDO_TRY(tdo_network_configure(p->config, &fit, &p->net));
        p->net.bf16 = tdo_config_choice(p->config, "model.precision") == 1;
        TDO_TRY(tdo_network_init(&p->net, 1));
    } else {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s: no such file; model.file, run.dir with a trained network, or "
                        "model.name expected",
                        path);
    }
    return tdo_network_smooth(&p->net, "certify.sigma", p->s.o.sigma);
}

static tdo_err open_images(struct planning *p)
{
    const int64_t most = tdo_config_int(p->config, "plan.images");
    TDO_TRY(tdo_certify_options_open(p->config, p->data, &p->s));
    p->pilots = most < p->s.images.count ? most : p->s.images.count;
    return TDO_OK;
}

/* ---- can it certify? --------------------------------------------------------------------------- */

/* Draws, all for one class, with which the last look reaches radius r; 0: no number does. */
static tdo_err draws_for(const struct planning *p, double r, double *n)
{
    const struct tdo_schedule *s = &p->s.schedule;
    double q = 0;
    TDO_TRY(tdo_exact_normal_cdf_up(r, p->s.o.sigma, p->s.o.slack, &q));
    *n = q < 1 ? ceil(log(s->look[s->looks - 1].alpha) / log(q)) : 0;
    return TDO_OK;
}

static tdo_err refuse(const struct planning *p, double wanted)
{
    double n = 0;
    TDO_TRY(draws_for(p, wanted, &n));
    if (n < 1) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "radius %g: no number of draws certifies it at certify.sigma = %g",
                        wanted, p->s.o.sigma);
    }
    return TDO_FAIL(TDO_ERR_CONFIG,
                    "certify.n = %" PRId64 " certifies no radius above %.6f at certify.sigma = "
                    "%g, certify.alpha = %g; for %g the smallest n is about %.0f",
                    p->s.o.n, p->reach, p->s.o.sigma, p->s.o.alpha, wanted, n);
}

static tdo_err check_reach(struct planning *p)
{
    const struct tdo_schedule *s = &p->s.schedule;
    struct tdo_sequential_report r;
    double wanted = tdo_config_real(p->config, "plan.radius");
    if (wanted <= 0 && s->o.targets > 0) {
        wanted = s->o.target[s->o.targets - 1];
    }
    TDO_TRY(tdo_sequential_report(s, s->looks - 1, p->s.o.n, &r));
    p->reach = r.radius;
    if (p->reach < wanted) {
        return refuse(p, wanted);
    }
    return p->reach > 0
               ? TDO_OK
               : TDO_FAIL(TDO_ERR_CONFIG,
                          "certify.n = %" PRId64 " can certify nothing at certify.alpha "
                          "= %g",
                          p->s.o.n, p->s.o.alpha);
}

/* ---- the pilot --------------------------------------------------------------------------------- */

/* Image j of the pilot, which are spread over those of the job. */
static int64_t pilot_row(const struct planning *p, int64_t j)
{
    return tdo_images_row(&p->s.images, j * p->s.images.count / p->pilots);
}

static tdo_err read_pilots(struct planning *p)
{
    const int64_t pixels = tdo_images_pixels(&p->s.images);
    unsigned char *bytes = NULL;
    TDO_TRY(tdo_memory_new(p->pilots * pixels, &p->raw));
    TDO_TRY(tdo_memory_new(p->pilots * p->net.spec.classes, &p->votes));
    TDO_TRY(tdo_memory_new(tdo_images_row_bytes(&p->s.images), &bytes));
    tdo_err err = TDO_OK;
    for (int64_t j = 0; err == TDO_OK && j < p->pilots; j++) {
        const int64_t row = pilot_row(p, j);
        err = tdo_images_read(&p->s.images, &row, 1, bytes, NULL);
        if (err == TDO_OK) {
            tdo_images_widen(&p->s.images, bytes, pixels, p->raw + j * pixels);
        }
    }
    tdo_memory_free(&bytes);
    return err;
}

/* One batch of votes; the draws of the ranks alternate. */
static tdo_err vote(void *context)
{
    struct planning *p = context;
    const int64_t pixels = tdo_images_pixels(&p->s.images), K = p->net.spec.classes;
    const int64_t size = tdo_comm_size(p->run.comm), rank = tdo_comm_rank(p->run.comm);
    float *raw = tdo_plan_input(p->f.plan, p->f.raw);
    struct tdo_key *keys = tdo_plan_input(p->f.plan, p->f.keys);
    const int64_t first = p->drawn;
    for (int64_t i = 0; i < p->f.batch; i++, p->drawn++) {
        const int64_t j = p->drawn % p->pilots;
        memcpy(raw + i * pixels, p->raw + j * pixels, (size_t)pixels * sizeof *raw);
        keys[i] = (struct tdo_key){.sample = (uint64_t)pilot_row(p, j),
                                   .draw = (uint32_t)(p->drawn / p->pilots * size + rank),
                                   .purpose = TDO_PURPOSE_PLAN};
    }
    TDO_TRY(tdo_plan_run(p->f.plan));
    const float *logits = tdo_plan_output(p->f.plan, 0);
    for (int64_t i = 0; i < p->f.batch; i++) {
        int class = 0;
        TDO_TRY(tdo_sampler_vote(&keys[i], logits + i * K, (int)K, &class));
        p->votes[(first + i) % p->pilots * K + class]++;
    }
    return TDO_OK;
}

static tdo_err make_plan(struct planning *p)
{
    const struct tdo_noise noise = {
        .law = p->s.sampling.law,
        .sigma = p->s.o.sigma,
        .stream = {.seed = p->s.sampling.seed, .purpose = TDO_PURPOSE_ESTIMATE},
        .table = p->s.sampling.table};
    return tdo_inference_new(&p->net, p->s.sampling.batch, p->s.images.u8, &noise, &p->f);
}

static tdo_err run_pilot(struct planning *p)
{
    tdo_comm *comm = p->run.comm;
    double rate = 0;
    TDO_TRY(tdo_comm_agree(
        comm,
        tdo_measure_repeat(comm, tdo_config_real(p->config, "plan.seconds"), vote, p, &rate)));
    uint64_t sum = (uint64_t)(rate * 1e3 * (double)p->f.batch);
    tdo_comm_sum_u64(comm, &sum, 1);
    tdo_comm_sum_u64(comm, p->votes, p->pilots * p->net.spec.classes);
    p->rate = (double)sum * 1e-3 / tdo_comm_size(comm);
    return TDO_OK;
}

/* ---- what follows ------------------------------------------------------------------------------ */

/* Draws at which an image stops if its counts are what is expected of them. */
static int64_t stops_at(const struct planning *p, const tdo_sequential *table, double share)
{
    const struct tdo_schedule *s = &p->s.schedule;
    for (int look = 0; look < s->looks - 1; look++) {
        const int64_t count = llrint(share * (double)s->look[look].n);
        if (tdo_sequential_look(table, look, count).action != TDO_SEQUENTIAL_GO_ON) {
            return s->look[look].n;
        }
    }
    return s->o.n;
}

/* The mean over the pilot. A share is taken half a vote towards the middle. */
static tdo_err expect_draws(struct planning *p)
{
    const int K = p->net.spec.classes;
    tdo_sequential *table = NULL;
    p->draws = 0;
    TDO_TRY(tdo_sequential_new(&p->s.schedule, &table));
    for (int64_t j = 0; j < p->pilots; j++) {
        const uint64_t *votes = p->votes + j * K;
        uint64_t all = 0, most = 0;
        for (int k = 0; k < K; k++) {
            all += votes[k];
            most = votes[k] > most ? votes[k] : most;
        }
        const double share = ((double)most + 0.5) / ((double)all + 1);
        p->draws += (double)stops_at(p, table, share) / (double)p->pilots;
    }
    tdo_sequential_free(&table);
    return TDO_OK;
}

/* Blocks that can be drawn at the same time by different ranks, in the first round. */
static int64_t parts(const struct planning *p)
{
    const bool sequential = p->s.sequential;
    const int64_t block = sequential ? TDO_SCHEDULE_FIRST : 512;
    const int64_t first = p->s.schedule.look[0].n;
    return p->s.images.count * ((p->s.o.n0 + block - 1) / block + (first + block - 1) / block);
}

static void print_cost(const struct planning *p, const char *word, double samples)
{
    const double hours = samples / p->rate / 3600;
    const double deadline = tdo_config_real(p->config, "plan.deadline");
    const int64_t threads = tdo_config_int(p->config, "run.threads");
    const int size = tdo_comm_size(p->run.comm);
    printf("%-9s %.0f samples, %.4g core-hours, %.4g h on %d rank%s", word, samples,
           hours * (double)threads, hours / size, size, size == 1 ? "" : "s");
    if (deadline > 0) {
        const double ranks = ceil(hours / deadline);
        printf("; %.0f rank%s for %g h%s", fmax(ranks, 1), ranks <= 1 ? "" : "s", deadline,
               ranks > (double)parts(p) ? ", which is more than there are blocks of draws"
                                        : "");
    }
    printf("\n");
}

static void print_head(const struct planning *p)
{
    printf("%s, %s, %" PRId64 " images, batch %" PRId64 ", mode %s, test %s: %.1f samples/s a "
           "rank, on %d rank%s\n",
           p->net.model->name, tdo_network_precision(&p->net), p->s.images.count,
           p->s.sampling.batch, tdo_schedule_mode_name(p->s.schedule.o.mode),
           tdo_schedule_test_name(p->s.schedule.o.test), p->rate, tdo_comm_size(p->run.comm),
           tdo_comm_size(p->run.comm) == 1 ? "" : "s");
    printf("radius    %.6f at most: %" PRId64 " votes of %" PRId64 ", sigma %g, alpha %g\n",
           p->reach, p->s.o.n, p->s.o.n, p->s.o.sigma, p->s.o.alpha);
}

/* Beside what this job holds: tallies of all images on the root, and lists of their blocks. */
static void print_memory(const struct planning *p, double peak)
{
    const double m = (double)p->s.images.count, K = p->net.spec.classes;
    const double block = p->s.sequential ? TDO_SCHEDULE_FIRST : 512;
    const double blocks = m * ceil(p->draws / block);
    printf("memory    %.1f MB a rank, %.1f MB more on the first; ledger of %.1f MB\n",
           peak / 1e6, (m * (2 * K * 8 + 200) + blocks * 32) / 1e6,
           blocks * (64 + 8 * K) / 1e6);
}

static tdo_err print_plan(struct planning *p, double peak)
{
    const double m = (double)p->s.images.count, n0 = (double)p->s.o.n0;
    const bool expects = p->trained && p->s.schedule.looks > 1;
    p->draws = (double)p->s.o.n;
    print_head(p);
    if (expects) {
        TDO_TRY(expect_draws(p));
        printf("pilot     %" PRId64 " images, %" PRId64 " draws each: %.0f draws of estimation "
               "an image expected\n",
               p->pilots, p->drawn * tdo_comm_size(p->run.comm) / p->pilots, p->draws);
        print_cost(p, "expected", m * (n0 + p->draws));
    }
    print_cost(p, expects ? "at most" : "in all", m * (n0 + (double)p->s.o.n));
    print_memory(p, peak);
    if (!p->trained) {
        printf("the network is not trained yet: what its votes will be is not known\n");
    }
    return TDO_OK;
}

/* ---- the job ------------------------------------------------------------------------------------ */

static tdo_err prepare(struct planning *p)
{
    TDO_TRY(open_images(p));
    TDO_TRY(check_reach(p));
    TDO_TRY(open_network(p));
    TDO_TRY(read_pilots(p));
    return make_plan(p);
}

static void close_all(struct planning *p)
{
    tdo_inference_free(&p->f);
    tdo_network_free(&p->net);
    tdo_certify_options_free(&p->s);
    tdo_dataset_free(&p->data);
    tdo_memory_free(&p->raw);
    tdo_memory_free(&p->votes);
}

static tdo_err plan(struct tdo_job_context *x)
{
    struct planning *p = NULL;
    tdo_err err = tdo_comm_agree(x->comm, tdo_memory_new(1, &p));
    if (err != TDO_OK) {
        return err;
    }
    p->config = x->config;
    TDO_GOTO(tdo_run_machine(x, "plan", &p->run));
    TDO_GOTO(tdo_comm_agree(x->comm, tdo_certify_options_read(x->config, &p->s)));
    TDO_GOTO(
        tdo_photos_open(x->comm, x->config, tdo_config_text(x->config, "data.file"), &p->data));
    TDO_GOTO(tdo_comm_agree(x->comm, prepare(p)));
    TDO_GOTO(run_pilot(p));
    const double peak = tdo_run_memory(x->comm);
    err = tdo_comm_agree(x->comm, tdo_comm_rank(x->comm) == 0 ? print_plan(p, peak) : TDO_OK);
done:
    close_all(p);
    tdo_memory_free(&p);
    return err;
}

const struct tdo_job tdo_job_plan = {
    .name = "plan",
    .help = "say what a certification will cost and reach, from some seconds of measuring",
    .word = "config",
    .bit = TDO_JOB_plan,
    .run = plan,
};
