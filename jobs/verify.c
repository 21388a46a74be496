/* testudo verify: checks certificates that somebody made.
 *
 * certificates.h5 of testudo: everything is recomputed from the counts with exact tails, and with
 * verify.rerun some blocks of votes are drawn again. A log of radii of locuslab/smoothing or a
 * descendant: its table, and rows that claim more than they can. What is found goes to standard
 * output, one line each, and makes the job fail. It writes nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "jobs/verify/verify.h"
#include "nn/base/file.h"

struct verifying {
    struct tdo_job_context *x;
    struct tdo_verify v;
    struct tdo_run run; /* no directory of its own */
    struct tdo_certificates c;
    struct tdo_certificates_found found;
    char path[1024];
};

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The file; *log: of radii alone. */
static tdo_err choose_file(struct verifying *y, bool *log)
{
    const tdo_config *k = y->x->config;
    const char *file = tdo_config_text(k, "verify.file"),
               *text = tdo_config_text(k, "verify.log");
    if (file[0] && text[0]) {
        return TDO_FAIL(TDO_ERR_CONFIG, "verify.file and verify.log: one of them expected");
    }
    *log = text[0] || (file[0] && !ends_with(file, ".h5"));
    if (file[0] || text[0]) {
        snprintf(y->path, sizeof y->path, "%s", text[0] ? text : file);
        return TDO_OK;
    }
    if (!tdo_config_given(k, "run.dir")) {
        return TDO_FAIL(TDO_ERR_CONFIG, "verify.file is missing: certificates, or a log; or "
                                        "run.dir, whose " TDO_CERTIFICATES_FILE " is taken");
    }
    return tdo_run_path(&y->run, TDO_CERTIFICATES_FILE, y->path, sizeof y->path);
}

static tdo_err check_rerun(const struct verifying *y)
{
    const tdo_config *k = y->x->config;
    if (tdo_config_real(k, "verify.rerun") > 0 && !tdo_config_given(k, "data.file")) {
        return TDO_FAIL(TDO_ERR_CONFIG, "verify.rerun wants data.file, the images");
    }
    return TDO_OK;
}

static tdo_err verify_log(struct verifying *y)
{
    const tdo_config *k = y->x->config;
    const struct tdo_verify_log_options o = {.n = tdo_config_int(k, "verify.n"),
                                             .alpha = tdo_config_real(k, "verify.alpha"),
                                             .sigma = tdo_config_real(k, "verify.sigma")};
    const bool root = tdo_comm_rank(y->x->comm) == 0;
    TDO_TRY(tdo_comm_agree(y->x->comm, root ? tdo_verify_log(&y->v, &o) : TDO_OK));
    tdo_comm_broadcast(y->x->comm, &y->v.defects, (int64_t)sizeof y->v.defects);
    return TDO_OK;
}

static tdo_err rerun(struct verifying *y)
{
    const tdo_config *k = y->x->config;
    struct tdo_verify_rerun o = {.config = k,
                                 .run = &y->run,
                                 .share = tdo_config_real(k, "verify.rerun"),
                                 .seed = (uint32_t)tdo_config_int(k, "verify.seed")};
    if (o.seed == 0) { /* nobody knows beforehand which ones it will be */
        o.seed = (uint32_t)time(NULL);
    }
    tdo_comm_broadcast(y->x->comm, &o.seed, (int64_t)sizeof o.seed);
    if (o.share > 0) {
        TDO_TRY(tdo_verify_rerun(&y->v, &y->c, &o));
    }
    return TDO_OK;
}

static void print_head(const struct verifying *y)
{
    const struct tdo_certificates *c = &y->c;
    const struct tdo_schedule_options *o = &c->schedule.o;
    printf("%s: %lld images of %s (%s), sigma %g, %s noise, mode %s, test %s, at most %lld "
           "draws, alpha %g\nhash %016" PRIx64 "; made by testudo %s, %s, %s, %s, %s\n",
           y->path, (long long)c->images, c->split, c->model, o->sigma, c->noise, c->mode,
           c->test, (long long)o->n, o->alpha, y->found.hash, c->version, c->precision,
           c->instruction_set, c->convolution, c->generator);
}

static tdo_err verify_certificates(struct verifying *y)
{
    TDO_TRY(tdo_comm_agree(y->x->comm, tdo_certificates_read(y->path, &y->c, &y->found)));
    if (tdo_comm_rank(y->x->comm) == 0) {
        print_head(y);
    }
    TDO_TRY(tdo_verify_counts(&y->v, &y->c, &y->found));
    return rerun(y);
}

static tdo_err conclude(const struct verifying *y, bool log)
{
    if (y->v.defects > 0) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: %lld defect%s", y->path, (long long)y->v.defects,
                        y->v.defects == 1 ? "" : "s");
    }
    if (tdo_comm_rank(y->x->comm) == 0) {
        printf(log ? "no row claims more than it can\n"
                   : "every radius and verdict follows from the counts\n");
    }
    return TDO_OK;
}

static tdo_err verify(struct tdo_job_context *x)
{
    struct verifying *y = NULL;
    bool log = false;
    tdo_err err = tdo_comm_agree(x->comm, tdo_memory_new(1, &y));
    if (err != TDO_OK) {
        return err;
    }
    y->x = x;
    y->v = (struct tdo_verify){.comm = x->comm, .path = y->path, .to = stdout};
    TDO_GOTO(tdo_run_machine(x, "verify", &y->run));
    TDO_GOTO(tdo_comm_agree(x->comm, choose_file(y, &log)));
    TDO_GOTO(tdo_comm_agree(x->comm, check_rerun(y)));
    TDO_GOTO(log ? verify_log(y) : verify_certificates(y));
    err = tdo_comm_agree(x->comm, conclude(y, log));
done:
    tdo_certificates_free(&y->c);
    tdo_memory_free(&y);
    return err;
}

const struct tdo_job tdo_job_verify = {
    .name = "verify",
    .help = "check certificates: recompute them from their counts, draw some votes again",
    .word = "config",
    .bit = TDO_JOB_verify,
    .run = verify,
};
