/* testudo certify: randomized smoothing, Monte-Carlo draws fanned out over all ranks.
 *
 * The sampler draws the votes (sampler.h), the certifier decides each image from its integers
 * (defenses/certifier.h), the images being shared out over the ranks. Writes certificates.h5 for
 * those who check it, votes.tsv, the evidence, and certify.tsv, what it proves; prints the table of
 * certified accuracy. */
#include <stdio.h>
#include <string.h>

#include "defenses/certifier.h"
#include "jobs/certify_claims.h"
#include "jobs/certify_file.h"
#include "jobs/certify_looks.h"
#include "jobs/certify_options.h"
#include "jobs/certify_tables.h"
#include "jobs/photos.h"
#include "jobs/run.h"
#include "jobs/sampler.h"
#include "nn/base/log.h"

struct certifying {
    struct tdo_run run;
    struct tdo_certify_setting s;
    tdo_dataset *data;
    struct tdo_network net;
    tdo_sampler *sampler;
    struct tdo_certificate *certificate; /* [images], on every rank */
};

/* ---- set-up ----------------------------------------------------------------------------------- */

/* What depends on data set and network; local. */
static tdo_err prepare(struct tdo_job_context *x, struct certifying *c)
{
    TDO_TRY(tdo_run_network(&c->run, x->config, tdo_dataset_info(c->data), &c->net));
    TDO_TRY(tdo_network_smooth(&c->net, "certify.sigma", c->s.o.sigma));
    TDO_TRY(tdo_certify_options_open(x->config, c->data, &c->s));
    return tdo_memory_new(c->s.images.count, &c->certificate);
}

/* Votes are looked at by the schedule they were drawn for. */
static tdo_err add_schedule(const struct certifying *c, char *text, size_t size)
{
    uint64_t hash = 0;
    const size_t length = strlen(text);
    TDO_TRY(tdo_certify_looks_hash(&c->s.schedule, &hash));
    snprintf(text + length, size - length, " schedule=%llx", (unsigned long long)hash);
    return TDO_OK;
}

/* What recorded votes must match: everything that can change a vote of a given draw, and how
 * draws are numbered. Not the batch, ranks or threads. */
static tdo_err make_context(struct certifying *c)
{
    char text[512];
    uint64_t network = 0;
    TDO_TRY(tdo_comm_agree(c->run.comm, tdo_network_hash(&c->net, &network)));
    snprintf(text, sizeof text,
             "certify noise=%d sigma=%.17g seed=%u split=%d skip=%lld n0=%lld n=%lld hash=%d "
             "network=%llx data=%llx isa=%s precision=%s%s",
             (int)c->s.sampling.law, c->s.o.sigma, (unsigned)c->s.sampling.seed,
             (int)c->s.images.split, (long long)c->s.images.skip, (long long)c->s.o.n0,
             (long long)c->s.o.n, (int)c->s.sampling.hash, (unsigned long long)network,
             (unsigned long long)c->s.images.hash, c->run.isa, tdo_network_precision(&c->net),
             c->net.outside ? " outside" : "");
    c->s.sampling.dir = c->run.dir;
    if (c->s.sequential) {
        TDO_TRY(tdo_comm_agree(c->run.comm, add_schedule(c, text, sizeof text)));
    }
    return tdo_run_context(&c->run, text, &c->s.sampling.context);
}

static tdo_err open_all(struct tdo_job_context *x, struct certifying *c)
{
    TDO_TRY(tdo_comm_agree(x->comm, tdo_certify_options_read(x->config, &c->s)));
    TDO_TRY(tdo_run_begin(x, "certify", TDO_JOB_certify, "votes.tsv", &c->run));
    TDO_TRY(
        tdo_photos_open(x->comm, x->config, tdo_config_text(x->config, "data.file"), &c->data));
    TDO_TRY(tdo_comm_agree(x->comm, prepare(x, c)));
    TDO_TRY(make_context(c));
    return tdo_comm_agree(
        x->comm, tdo_sampler_new(x->comm, &c->net, &c->s.images, &c->s.sampling, &c->sampler));
}

/* ---- deciding ----------------------------------------------------------------------------------- */

/* Each rank decides every so-manieth image; the results meet as bit patterns, added to zeros. */
static tdo_err decide(struct certifying *c)
{
    _Static_assert(sizeof *c->certificate % sizeof(uint64_t) == 0, "certificates are words");
    const int K = c->net.spec.classes, size = tdo_comm_size(c->run.comm);
    const int64_t words = (int64_t)(sizeof *c->certificate / sizeof(uint64_t));
    uint64_t *counts = NULL;
    tdo_err err = tdo_sampler_share(c->sampler, &counts);
    for (int64_t i = tdo_comm_rank(c->run.comm); err == TDO_OK && i < c->s.images.count;
         i += size) {
        const uint64_t *select = counts + 2 * i * K;
        err = c->s.certifier->decide(&c->s.o, select, select + K, K, &c->certificate[i]);
    }
    err = tdo_comm_agree(c->run.comm, err);
    if (err == TDO_OK) {
        tdo_comm_sum_u64(c->run.comm, (uint64_t *)(void *)c->certificate,
                         c->s.images.count * words);
    }
    tdo_memory_free(&counts);
    return err;
}

static tdo_err vote_and_decide(struct certifying *c)
{
    double per_second = 0;
    TDO_TRY(tdo_sampler_run(c->sampler, &per_second));
    tdo_run_note(&c->run, "samples_per_second", per_second);
    return decide(c);
}

static tdo_err vote_and_look(struct certifying *c)
{
    const struct tdo_certify_looks x = {.run = &c->run,
                                        .schedule = &c->s.schedule,
                                        .sampler = c->sampler,
                                        .images = c->s.images.count,
                                        .classes = c->net.spec.classes,
                                        .certificate = c->certificate};
    return tdo_certify_looks_run(&x);
}

/* ---- the job --------------------------------------------------------------------------------------- */

static tdo_err write_results(struct tdo_job_context *x, struct certifying *c)
{
    const struct tdo_certify_tables tables = {.run = &c->run,
                                              .images = &c->s.images,
                                              .sampling = &c->s.sampling,
                                              .options = &c->s.o,
                                              .certifier = c->s.certifier,
                                              .network = &c->net,
                                              .votes = tdo_sampler_votes(c->sampler),
                                              .schedule = &c->s.schedule,
                                              .sequential = c->s.sequential,
                                              .hash =
                                                  tdo_config_bool(x->config, "certify.hash"),
                                              .certificate = c->certificate};
    TDO_TRY(tdo_certify_file_write(&c->run, &tables, c->sampler));
    char *claims = NULL; /* for people, behind the table of certified accuracy */
    TDO_TRY(
        tdo_certify_claims_write(&tables, tdo_config_real(x->config, "certify.rho"), &claims));
    tdo_err err = tdo_comm_rank(c->run.comm) == 0 ? tdo_certify_tables_write(&tables) : TDO_OK;
    if (err == TDO_OK && claims) {
        fputs(claims, stdout);
    }
    tdo_memory_free(&claims);
    return tdo_comm_agree(c->run.comm, err);
}

static void close_all(struct certifying *c)
{
    tdo_sampler_free(&c->sampler);
    tdo_network_free(&c->net);
    tdo_certify_options_free(&c->s);
    tdo_dataset_free(&c->data);
    tdo_memory_free(&c->certificate);
    tdo_run_free(&c->run);
}

static tdo_err certify(struct tdo_job_context *x)
{
    struct certifying *c = NULL;
    tdo_err err = tdo_comm_agree(x->comm, tdo_memory_new(1, &c));
    if (err != TDO_OK) {
        return err;
    }
    TDO_GOTO(open_all(x, c));
    tdo_log_root(
        TDO_LOG_INFO,
        "certify %s: %lld images, n0 %lld, n %lld, sigma %g, alpha %g one-sided, %s noise "
        "(slack %.1e), on %d ranks",
        c->net.model->name, (long long)c->s.images.count, (long long)c->s.o.n0,
        (long long)c->s.o.n, c->s.o.sigma, c->s.o.alpha,
        c->s.sampling.law == TDO_NOISE_ROUNDED ? "rounded" : "real", c->s.o.slack,
        tdo_comm_size(x->comm));
    TDO_GOTO(c->s.sequential ? vote_and_look(c) : vote_and_decide(c));
    tdo_run_note(&c->run, "samples_per_second_ideal", tdo_sampler_ideal(c->sampler));
    if (c->s.sampling.profile && tdo_comm_rank(x->comm) == 0) {
        tdo_sampler_print(c->sampler, stdout);
    }
    TDO_GOTO(write_results(x, c));
    err = tdo_run_end(&c->run);
done:
    close_all(c);
    tdo_memory_free(&c);
    return err;
}

const struct tdo_job tdo_job_certify = {
    .name = "certify",
    .help = "certify a network by randomized smoothing, draws fanned out over all ranks",
    .word = "config",
    .bit = TDO_JOB_certify,
    .run = certify,
};
