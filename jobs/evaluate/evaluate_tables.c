/* Tables of outcomes: robustness.tsv and curve.tsv of this directory, transfer.tsv of several. */
#include <stdio.h>
#include <string.h>

#include "jobs/evaluate/evaluate.h"
#include "jobs/outcomes/robustness.h"
#include "jobs/outcomes/transfer.h"
#include "jobs/page.h"

/* ---- this directory ------------------------------------------------------------------------------- */

/* robustness.tsv comes last. */
static tdo_err write_tables(const struct tdo_evaluating *e)
{
    struct tdo_page page;
    struct tdo_robustness *r = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_robustness_new(&e->outcomes, &r));
    TDO_GOTO(tdo_page_open(&page));
    tdo_robustness_write_curves(page.to, r);
    TDO_GOTO(tdo_page_save(&page, &e->run, "curve.tsv", TDO_OK));
    TDO_GOTO(tdo_page_open(&page));
    tdo_robustness_write_rows(page.to, r);
    TDO_GOTO(tdo_page_save(&page, &e->run, "robustness.tsv", TDO_OK));
    printf("\n");
    tdo_robustness_print(stdout, r);
done:
    tdo_robustness_free(&r);
    return err;
}

tdo_err tdo_evaluate_tables(struct tdo_evaluating *e)
{
    const bool root = tdo_comm_rank(e->run.comm) == 0;
    return tdo_comm_agree(e->run.comm, root ? write_tables(e) : TDO_OK);
}

/* ---- several -------------------------------------------------------------------------------------- */

struct several {
    char *text; /* evaluate.runs with zeros for commas */
    int count;
    const char **name;       /* [count] in text */
    struct tdo_outcomes *of; /* [count] */
};

static tdo_err split_names(const char *runs, struct several *s)
{
    const size_t length = strlen(runs);
    TDO_TRY(tdo_memory_new((int64_t)length + 1, &s->text));
    TDO_TRY(tdo_memory_new((int64_t)length + 1, &s->name));
    memcpy(s->text, runs, length + 1);
    for (char *at = s->text; at;) {
        char *comma = strchr(at, ',');
        if (comma) {
            *comma = 0;
        }
        if (!*at) {
            return TDO_FAIL(
                TDO_ERR_CONFIG,
                "evaluate.runs = %s: run directories with commas between them expected", runs);
        }
        s->name[s->count++] = at;
        at = comma ? comma + 1 : NULL;
    }
    return TDO_OK;
}

static tdo_err read_runs(const char *runs, struct several *s)
{
    TDO_TRY(split_names(runs, s));
    TDO_TRY(tdo_memory_new(s->count, &s->of));
    for (int k = 0; k < s->count; k++) {
        TDO_TRY(tdo_outcomes_read(s->name[k], &s->of[k]));
    }
    return TDO_OK;
}

static void free_runs(struct several *s)
{
    for (int k = 0; s->of && k < s->count; k++) {
        tdo_outcomes_free(&s->of[k]);
    }
    tdo_memory_free(&s->of);
    tdo_memory_free(&s->name);
    tdo_memory_free(&s->text);
}

static tdo_err write_transfer(const struct tdo_evaluating *e)
{
    struct several s = {0};
    struct tdo_page page;
    struct tdo_transfer *t = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(read_runs(tdo_config_text(e->job->config, "evaluate.runs"), &s));
    TDO_GOTO(tdo_transfer_new(s.of, s.name, s.count, &t));
    TDO_GOTO(tdo_page_open(&page));
    tdo_transfer_write(page.to, t, s.name);
    TDO_GOTO(tdo_page_save(&page, &e->run, "transfer.tsv", TDO_OK));
    printf("\n");
    tdo_transfer_print(stdout, t, s.name);
done:
    tdo_transfer_free(&t);
    free_runs(&s);
    return err;
}

tdo_err tdo_evaluate_transfer(struct tdo_evaluating *e)
{
    const bool root = tdo_comm_rank(e->run.comm) == 0;
    return tdo_comm_agree(e->run.comm, root ? write_transfer(e) : TDO_OK);
}
