/* testudo help man: the manual page, from the tables of jobs and options.
 *
 * What the tables know is printed from them; only what they do not know stands here: the files
 * that jobs leave, exit codes, environment, examples. In troff a backslash is `\e`, a minus that
 * can be copied from the page is `\-`, and a line that could begin with a dot begins with `\&`. */
#include "jobs/manual.h"

#include <string.h>

#include "defenses/certifier.h"
#include "jobs/formats/formats.h"
#include "jobs/job.h"
#include "nn/models/models.h"

/* ---- names of rows ---- */

static const char *model(int i)
{
    return tdo_model_table[i] ? tdo_model_table[i]->name : NULL;
}

static const char *certifier(int i)
{
    return tdo_certifier_table[i] ? tdo_certifier_table[i]->name : NULL;
}

static const char *format(int i)
{
    return tdo_format_at(i) ? tdo_format_at(i)->name : NULL;
}

tdo_manual_names *tdo_manual_names_of(const char *key)
{
    static const struct {
        const char *key;
        tdo_manual_names *names;
    } named[] = {
        {"model.name", model}, {"certify.certifier", certifier}, {"import.format", format}};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (strcmp(named[i].key, key) == 0) {
            return named[i].names;
        }
    }
    return NULL;
}

/* ---- troff ---- */

static void text(FILE *to, const char *s)
{
    for (; *s; s++) {
        if (*s == '\\' || *s == '-') {
            fputs(*s == '-' ? "\\-" : "\\e", to);
        } else {
            fputc(*s, to);
        }
    }
}

static void bold(FILE *to, const char *s)
{
    fputs("\\fB", to);
    text(to, s);
    fputs("\\fR", to);
}

/* "a, b, c" */
static void names(FILE *to, tdo_manual_names *name)
{
    for (int i = 0; name(i); i++) {
        fputs(i ? ", " : "", to);
        bold(to, name(i));
    }
}

/* ---- sections ---- */

static void jobs_section(FILE *to)
{
    fputs(".SH JOBS\n", to);
    for (int i = 0; tdo_job_table[i]; i++) {
        const struct tdo_job *job = tdo_job_table[i];
        fputs(".TP\n", to);
        bold(to, job->name);
        if (job->word) {
            fprintf(to, " [\\fI%s\\fR]", job->word);
        }
        fputs("\n\\&", to);
        text(to, job->help);
        if (job->words) {
            fprintf(to, ".\nThe %s is one of ", job->word);
            names(to, job->words);
        }
        fputs(".\n", to);
    }
}

static void job_names(FILE *to, unsigned jobs)
{
    bool first = true;
    for (int i = 0; tdo_job_table[i]; i++) {
        if (tdo_job_table[i]->bit & jobs) {
            fputs(first ? "" : ", ", to);
            bold(to, tdo_job_table[i]->name);
            first = false;
        }
    }
}

/* "; default 1", "; required", "; required, but not for predict" */
static void default_of(FILE *to, const struct tdo_option *o)
{
    const char *value = tdo_option_default(o, o->jobs);
    if (strcmp(value, "required") != 0) {
        fputs("; default ", to);
        bold(to, strcmp(value, "-") == 0 ? "none" : value);
        return;
    }
    fputs("; required", to);
    if (o->jobs & o->optional) {
        fputs(", but not for ", to);
        job_names(to, o->jobs & o->optional);
    }
}

/* One option; `jobs` are those to be named. */
static void option(FILE *to, const struct tdo_option *o, unsigned jobs)
{
    tdo_manual_names *values = tdo_manual_names_of(o->key);
    fputs(".TP\n", to);
    bold(to, o->key);
    fputs("\n\\&", to);
    text(to, o->help);
    fputs(".\nTakes ", to);
    text(to, tdo_option_expected(o).s);
    if (values) {
        fputs(": ", to);
        names(to, values);
    }
    default_of(to, o);
    fputs(".\n", to);
    if (jobs) {
        fputs("For ", to);
        job_names(to, jobs);
        fputs(".\n", to);
    }
}

static size_t prefix_length(const struct tdo_option *o)
{
    return strcspn(o->key, ".");
}

static bool same_section(const struct tdo_option *a, const struct tdo_option *b)
{
    return b->key && prefix_length(a) == prefix_length(b) &&
           strncmp(a->key, b->key, prefix_length(a)) == 0;
}

/* One section, which begins at `first`; jobs are named once if they are the same for all.
 * Returns the beginning of the next. */
static const struct tdo_option *section(FILE *to, const struct tdo_option *first)
{
    const struct tdo_option *o = first;
    bool alike = true;
    for (; same_section(first, o); o++) {
        alike = alike && o->jobs == first->jobs;
    }
    fprintf(to, ".SS %.*s\n", (int)prefix_length(first), first->key);
    if (alike) {
        fputs("For ", to);
        job_names(to, first->jobs);
        fputs(".\n", to);
    }
    for (o = first; same_section(first, o); o++) {
        option(to, o, alike ? 0 : o->jobs);
    }
    return o;
}

static void list_section(FILE *to, const struct tdo_option_list *list)
{
    fprintf(to, ".SS %s\nA list: ", list->key);
    text(to, list->help);
    fputs(".\nFor ", to);
    job_names(to, list->jobs);
    fprintf(to,
            ".\nIn a config \\fB%s = ( { name = \"...\"; ... }, ... );\\fR\n"
            "as an argument \\fB%s.0.\\fIoption\\fB=\\fIvalue\\fR for row 0, or\n"
            "\\fB%s=\\fIname\\fB,\\fIname\\fR for a list of rows with defaults.\n",
            list->key, list->key, list->key);
    for (int i = 0; list->name(i); i++) {
        const struct tdo_option *o = list->options(i);
        fputs(".PP\nOptions of ", to);
        bold(to, list->name(i));
        fputs(o && o->key ? ":\n" : ": none.\n", to);
        for (; o && o->key; o++) {
            option(to, o, 0);
        }
    }
}

static void options_section(FILE *to)
{
    fputs(".SH OPTIONS\n"
          "Options stand in the config, and as \\fIkey\\fB=\\fIvalue\\fR on the command line,\n"
          "where they win. A job takes the options of other jobs and passes over them, so one\n"
          "config serves several jobs; a key that does not exist is an error.\n",
          to);
    for (const struct tdo_option *o = tdo_job_schema.options; o->key;) {
        o = section(to, o);
    }
    for (const struct tdo_option_list *l = tdo_job_schema.lists; l->key; l++) {
        list_section(to, l);
    }
}

/* ---- what the tables do not know ---- */

static const char head[] =
    ".TH TESTUDO 1 \"\" \"testudo " TDO_VERSION "\" \"User Commands\"\n"
    ".SH NAME\n"
    "testudo \\- train image classifiers to withstand perturbation, and certify them\n"
    ".SH SYNOPSIS\n"
    "\\fBtestudo\\fR \\fIjob\\fR [\\fIconfig\\fR] [\\fIkey\\fB=\\fIvalue\\fR ...]\n"
    ".PP\n"
    "\\fBmpirun \\-n\\fR \\fIranks\\fR \\fBtestudo\\fR \\fIjob\\fR [\\fIconfig\\fR] "
    "[\\fIkey\\fB=\\fIvalue\\fR ...]\n"
    ".SH DESCRIPTION\n"
    "Runs one job, alone or on the ranks of a launch by \\fBmpirun\\fR or \\fBsrun\\fR.\n"
    "Trained weights and counted votes do not depend, in any bit, on the number of ranks.\n"
    "A job that was interrupted goes on when it is started again with the same config, on\n"
    "any number of ranks.\n"
    "A config is a libconfig file.\n";

static const char tail[] =
    ".SH EXIT STATUS\n"
    "The same on all ranks.\n"
    ".TP\n0\nDone.\n"
    ".TP\n1\nFailed; one line on standard error names file or key and what was expected.\n"
    ".TP\n2\nWrong command line or config.\n"
    ".TP\n3\nStopped early; start again to go on.\n"
    ".SH ENVIRONMENT\n"
    ".TP\n\\fBOMP_NUM_THREADS\\fR\n"
    "Set it to 1: there is one rank for each core, and \\fBrun.threads\\fR says how many\n"
    "threads a rank has.\n"
    ".TP\n\\fBOMPI_ALLOW_RUN_AS_ROOT\\fR, \\fBOMPI_ALLOW_RUN_AS_ROOT_CONFIRM\\fR\n"
    "Open MPI wants both set to 1 before \\fBmpirun\\fR works as root, as in a container.\n"
    ".TP\n\\fBSLURM_JOB_END_TIME\\fR\n"
    "When the job is over, in seconds since 1970; \\fBrun.until\\fR wins over it.\n"
    ".SH FILES\n"
    "In \\fBrun.dir\\fR:\n"
    ".TP\n\\fBrun.json\\fR\n"
    "The config with all defaults, version, libraries, ranks, seed, times.\n"
    ".TP\n\\fBmodel.safetensors\\fR\n"
    "The trained network under the names and in the orders of PyTorch; a model file says what\n"
    "its network is.\n"
    ".TP\n\\fBcheckpoint.h5\\fR, \\fBcheckpoint.1.h5\\fR\n"
    "The two newest states of training.\n"
    ".TP\n\\fBmetrics.jsonl\\fR\n"
    "Loss, accuracy, learning rate and time, a line for each epoch.\n"
    ".TP\n\\fBevaluate.tsv\\fR, \\fBevaluate.json\\fR\n"
    "Accuracy and loss, by class and in all.\n"
    ".TP\n\\fBvotes.tsv\\fR, \\fBcertify.tsv\\fR\n"
    "The vote counts of each image, and the certificates that they prove.\n"
    ".TP\n\\fBcertificates.h5\\fR\n"
    "The same with all that it takes to check them, by testudo verify.\n"
    ".TP\n\\fBverdicts.tsv\\fR, \\fBclaims.tsv\\fR, \\fBp_lower.tsv\\fR\n"
    "What each certificate says in words, what they prove together, and how close they came.\n"
    ".TP\n\\fBpredict.tsv\\fR\n"
    "The class of each image.\n"
    ".TP\n\\fBreport/report.md\\fR\n"
    "Tables, curves and contact sheets of all that; as TSV and SVG beside it.\n"
    ".SH EXAMPLES\n"
    "From drawn digits to certificates, on two ranks:\n"
    ".PP\n"
    ".nf\n"
    "testudo import import.format=glyphs import.out=glyphs.h5\n"
    "mpirun \\-n 2 testudo train run.dir=runs/a data.file=glyphs.h5 model.name=zcnn \\e\n"
    "    train.epochs=4 defense=gaussian defense.0.sigma=0.25\n"
    "mpirun \\-n 2 testudo evaluate run.dir=runs/a data.file=glyphs.h5\n"
    "mpirun \\-n 2 testudo certify run.dir=runs/a data.file=glyphs.h5 \\e\n"
    "    certify.sigma=0.25 certify.n=10000 certify.skip=10\n"
    "testudo verify verify.file=runs/a/certificates.h5\n"
    ".fi\n"
    ".PP\n"
    "Completion of jobs, keys and values in this shell:\n"
    ".PP\n"
    ".nf\n"
    "source <(testudo help bash)\n"
    ".fi\n"
    ".SH SEE ALSO\n"
    "\\fBmpirun\\fR(1), \\fBsrun\\fR(1)\n";

void tdo_manual_print(FILE *to)
{
    fputs(head, to);
    jobs_section(to);
    options_section(to);
    fputs(tail, to);
}
