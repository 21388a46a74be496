/* The master copy of every option: key, type, range, default, unit, help, and who reads it.
 *
 * Options of defenses stand with their rows (defenses/). Help, `testudo list options` and the
 * resolved config in run.json are printed from this table. */
#include <stddef.h>

#include "attacks/attack.h"
#include "defenses/defense.h"
#include "defenses/vote.h"
#include "jobs/job.h"

enum {
    USES = TDO_JOB_attack | TDO_JOB_certify | TDO_JOB_evaluate |
           TDO_JOB_predict, /* a trained network */
    RUNS = TDO_JOB_train | USES,
    CHECKS =
        TDO_JOB_verify | TDO_JOB_plan, /* a trained network, if there is one; writes nothing */
    CERTIFIES = TDO_JOB_certify | TDO_JOB_plan,
    LOADS = USES | CHECKS | TDO_JOB_info | TDO_JOB_bench, /* an architecture */
    COMPUTES = RUNS | TDO_JOB_import,
    PHOTOS = RUNS | CHECKS | TDO_JOB_bench | TDO_JOB_report,     /* read images of a data set */
    VOTES = TDO_JOB_attack | TDO_JOB_evaluate | TDO_JOB_predict, /* a random network, in use */
};

#define NUMBER(t, k, lo, hi, v, u, j, h)                                                       \
    {.key = (k),                                                                               \
     .type = (t),                                                                              \
     .min = (lo),                                                                              \
     .max = (hi),                                                                              \
     .value = (v),                                                                             \
     .unit = (u),                                                                              \
     .jobs = (j),                                                                              \
     .help = (h)},
#define INT(k, lo, hi, v, u, j, h)  NUMBER(TDO_OPTION_INT, k, lo, hi, v, u, j, h)
#define REAL(k, lo, hi, v, u, j, h) NUMBER(TDO_OPTION_REAL, k, lo, hi, v, u, j, h)
#define CHOICE(k, c, v, j, h)                                                                  \
    {.key = (k),                                                                               \
     .type = TDO_OPTION_CHOICE,                                                                \
     .choices = (c),                                                                           \
     .value = (v),                                                                             \
     .jobs = (j),                                                                              \
     .help = (h)},
#define TEXT(k, v, j, h)                                                                       \
    {.key = (k), .type = TDO_OPTION_TEXT, .value = (v), .jobs = (j), .help = (h)},
#define BOOL(k, v, j, h)                                                                       \
    {.key = (k), .type = TDO_OPTION_BOOL, .value = (v), .jobs = (j), .help = (h)},
#define REALS(k, lo, hi, u, j, h)                                                              \
    {.key = (k),                                                                               \
     .type = TDO_OPTION_REALS,                                                                 \
     .min = (lo),                                                                              \
     .max = (hi),                                                                              \
     .value = "",                                                                              \
     .unit = (u),                                                                              \
     .jobs = (j),                                                                              \
     .help = (h)},

static const struct tdo_option options[] = {
#include "jobs/options.def"
    {0}};

/* A row of the list `attack` has one more option than the attack itself: which images it takes is the
 * business of the list. */
static const struct tdo_option *listed_attack(int i)
{
    enum { MOST = 48 };
    static struct tdo_option rows[MOST][TDO_ATTACK_VALUES + 2];
    const struct tdo_option *from = tdo_attack_options(i);
    struct tdo_option *to = rows[i];
    int n = 0;
    TDO_ASSERT(i < MOST);
    for (; from[n].key; n++) {
        TDO_ASSERT(n < TDO_ATTACK_VALUES);
        to[n] = from[n];
    }
    to[n] = (struct tdo_option){
        .key = "share",
        .type = TDO_OPTION_REAL,
        .min = 1e-6,
        .max = 1,
        .value = "1",
        .unit = "of the images",
        .help = "which images: drawn by image, so that attacks whose shares add up to 1 part "
                "them among themselves"};
    return to;
}

static const struct tdo_option_list lists[] = {
    {.key = "defense",
     .help = "defenses, applied in list order (testudo list defenses)",
     .jobs = TDO_JOB_train | LOADS,
     .name = tdo_defense_name,
     .options = tdo_defense_options},
    {.key = "inner",
     .help = "attacks that defenses train on, by their number (testudo list attacks)",
     .jobs = TDO_JOB_train | TDO_JOB_bench,
     .name = tdo_attack_name,
     .options = tdo_attack_options},
    {.key = "attack",
     .help = "attacks, one after the other (testudo list attacks)",
     .jobs = TDO_JOB_attack,
     .name = tdo_attack_name,
     .options = listed_attack},
    {0}};

const struct tdo_schema tdo_job_schema = {.options = options, .lists = lists};
