#ifndef TDO_JOBS_ATTACKING_H
#define TDO_JOBS_ATTACKING_H
/* What the files of the job `attack` share.
 *
 *     attack.c         the job: open, one pass after the other, write
 *     attack_rows.c    a row of the list made ready: the networks it crafts on, its stored set
 *     attack_pass.c    a pass: one attack at one eps over the images that it takes, handed out to
 *                      the ranks
 *     shares.h         which images those are
 *     attack_write.c   attack.json, adversarial.h5
 *
 * A pass is recorded image by image in a ledger in <run.dir>/attack: outcome, and what was found.
 * Pass 0 judges the clean images; it is no line of any table. */
#include "attacks/attack.h"
#include "jobs/attack/ensemble.h"
#include "jobs/attack/judge.h"
#include "jobs/attack/shares.h"
#include "jobs/images.h"
#include "jobs/outcomes/outcomes.h"
#include "jobs/run.h"
#include "mpi/lease.h"
#include "mpi/ledger.h"
#include "nn/base/log.h"

enum tdo_store { TDO_STORE_NONE, TDO_STORE_U8, TDO_STORE_F32 };

/* A row of the list, ready to attack. */
struct tdo_attack_row {
    int number;                     /* in the list; -1: none is open */
    struct tdo_ensemble crafted_on; /* the target itself, or surrogates */
    tdo_target *target;
    tdo_judge
        *judge; /* of points behind the input layer; NULL: of images, tdo_attacking.judge */
    tdo_dataset *set; /* of a replay; NULL */
    struct tdo_images stored;
};

struct tdo_attack_pass {
    int row;               /* of the list */
    double eps;            /* HUGE_VAL: none */
    double share;          /* eps / eps_ref where eps_ref was looked for, else 0 */
    struct tdo_share part; /* of the images */
};

struct tdo_attacking {
    struct tdo_job_context *job;
    struct tdo_run run;
    tdo_dataset *data;
    struct tdo_images images;
    struct tdo_network net;
    struct tdo_voting voting;
    struct tdo_ensemble here;
    tdo_judge *judge;
    struct tdo_attack_use *use; /* [rows] */
    double *share;              /* [rows] of the images */
    char **sources; /* [rows] what a row crafts on or replays, names and hashes, as JSON */
    int rows;
    int64_t batch;
    bool *wanted; /* [classes] craft.classes; NULL: all */
    enum tdo_store store;
    double accuracy; /* craft.eps_ref; 0: off */
    int bisections;

    int most, passes;             /* room for passes, and how many there were; without pass 0 */
    struct tdo_attack_pass *pass; /* [most] */
    double *eps_ref;              /* [rows] -1: accuracy is above that everywhere */
    struct tdo_outcomes outcomes; /* [most] */
    struct tdo_outcome *clean;    /* [images] pass 0 */
    struct tdo_shares shares;     /* of the passes so far */
    int64_t picked, *pick;        /* [images] those of the pass that is under way, in order */
    bool *marks;                  /* [images] of these, which are recorded; root */

    tdo_ledger *ledger;
    char ledger_dir[1024];
    uint64_t context;
    bool *recorded; /* [(most + 1) images]; root */
    int64_t recalled;
    struct tdo_progress progress;
    int64_t done;     /* images of all passes */
    tdo_lease *lease; /* of the pass that is under way */
};

/* Open the row `number` (if it is not open), closing the one before. Ranks: collective. */
TDO_MUST tdo_err tdo_attack_row_open(struct tdo_attacking *a, int number,
                                     struct tdo_attack_row *row);
void tdo_attack_row_close(struct tdo_attack_row *row);

/* Answer the other ranks: between two questions of a target. user: the struct tdo_attacking. */
TDO_MUST tdo_err tdo_attack_between(void *user);

/* All that an outcome can depend on, as text. Owner: caller. Ranks: collective. */
TDO_MUST tdo_err tdo_attack_context(struct tdo_attacking *a, char **text);

/* Begin the ledger, with what earlier starts left. Ranks: collective. */
TDO_MUST tdo_err tdo_attack_recall(struct tdo_attacking *a);
/* Judge the clean images: a->clean on all ranks. Ranks: collective. */
TDO_MUST tdo_err tdo_attack_judge_clean(struct tdo_attacking *a);
/* Run pass number a->passes, a->pass[a->passes], and count it: its outcomes on all ranks.
 * Ranks: collective. */
TDO_MUST tdo_err tdo_attack_pass_run(struct tdo_attacking *a, struct tdo_attack_row *row);

/* a->outcomes.about. Root. */
TDO_MUST tdo_err tdo_attack_describe(struct tdo_attacking *a);
/* adversarial.h5. Ranks: collective. */
TDO_MUST tdo_err tdo_attack_store(struct tdo_attacking *a);

/* The row in use at the eps of a pass, the largest of those that its images draw. */
struct tdo_attack_use tdo_attack_pass_use(const struct tdo_attacking *a, int pass);

/* Bytes of one stored image. */
int64_t tdo_attack_stored_bytes(const struct tdo_attacking *a);

#endif
