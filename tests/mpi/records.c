/* For kill.sh and same_bytes.sh: a job that does nothing but record.
 *
 *   records work <dir>    until killed: every rank appends to the ledger, all write checkpoints
 *   records check <dir>   nothing that was finished is lost, nothing else is there
 *   records save <dir>    one checkpoint of a fixed state
 *
 * What was finished is known from files that grow by a byte after each success: `said.<owner>`
 * for appended records, `steps` for checkpoints. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mpi/checkpoint.h"
#include "mpi/ledger.h"
#include "mpi/lock.h"

enum { CONTEXT = 5, WORDS = 40, PARAMS = 20000, OWNERS = 64 };

struct found {
    int64_t owner[OWNERS], records[OWNERS];
    int owners;
};

static float params[PARAMS];

static void fill(uint64_t owner, uint64_t i, uint64_t words[WORDS])
{
    for (uint64_t k = 0; k < WORDS; k++) {
        words[k] = (owner * 1000003 + i * 7919 + k) * UINT64_C(0x9e3779b97f4a7c15);
    }
}

static float param(int64_t step, int i)
{
    return (float)(step % 1000) + (float)i / PARAMS;
}

/* Records of one owner must come as 0, 1, 2, ... */
static tdo_err see(void *user, const struct tdo_ledger_record *r)
{
    struct found *f = user;
    uint64_t words[WORDS];
    int k = 0;
    while (k < f->owners && f->owner[k] != (int64_t)r->a) {
        k++;
    }
    if (k == f->owners && f->owners < OWNERS) {
        f->owner[f->owners++] = (int64_t)r->a;
    }
    fill(r->a, r->b, words);
    if (k == OWNERS || r->bytes != (int64_t)sizeof words ||
        memcmp(r->payload, words, sizeof words) != 0 || f->records[k] != (int64_t)r->b) {
        return TDO_FAIL(TDO_ERR_FORMAT, "a record that nobody wrote: %lld of owner %lld",
                        (long long)r->b, (long long)r->a);
    }
    f->records[k]++;
    return TDO_OK;
}

static int64_t size_of(const char *dir, const char *name)
{
    char path[1024];
    struct stat s;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &s) == 0 ? (int64_t)s.st_size : 0;
}

/* All that was finished is in the ledger. */
static tdo_err check_ledger(const char *dir, const struct found *f)
{
    tdo_err err = TDO_OK;
    DIR *d = opendir(dir);
    for (struct dirent *e = d ? readdir(d) : NULL; e && err == TDO_OK; e = readdir(d)) {
        if (strncmp(e->d_name, "said.", 5) != 0) {
            continue;
        }
        int64_t owner = atoll(e->d_name + 5), said = size_of(dir, e->d_name), records = 0;
        for (int k = 0; k < f->owners; k++) {
            records += f->owner[k] == owner ? f->records[k] : 0;
        }
        printf("owner %lld: %lld finished, %lld found\n", (long long)owner, (long long)said,
               (long long)records);
        if (records < said || records > said + 1) {
            err = TDO_FAIL(TDO_ERR_FORMAT, "owner %lld: %lld finished, %lld found",
                           (long long)owner, (long long)said, (long long)records);
        }
    }
    if (d) {
        closedir(d);
    }
    return err;
}

static tdo_err check_checkpoint(const char *dir, bool found, int64_t step)
{
    int64_t said = size_of(dir, "steps");
    printf("%lld checkpoints finished, found that of step %lld\n", (long long)said,
           (long long)(found ? step : 0));
    for (int i = 0; i < PARAMS && found; i++) {
        if (params[i] < param(step, i) || params[i] > param(step, i)) {
            return TDO_FAIL(TDO_ERR_FORMAT, "param %d is not of step %lld", i, (long long)step);
        }
    }
    return said <= (found ? step : 0)
               ? TDO_OK
               : TDO_FAIL(TDO_ERR_FORMAT, "%lld checkpoints finished, found that of step %lld",
                          (long long)said, (long long)step);
}

/* Read everything as a resumed job would. */
static tdo_err resume(tdo_comm *comm, const char *dir, int64_t *step)
{
    static struct found f;
    bool found = false;
    struct tdo_checkpoint_part parts[] = {{"params", TDO_CHECKPOINT_F32, PARAMS, params},
                                          {"step", TDO_CHECKPOINT_I64, 1, step}};
    TDO_TRY(tdo_ledger_replay(comm, dir, CONTEXT, see, &f));
    TDO_TRY(tdo_checkpoint_read(comm, dir, parts, 2, &found));
    tdo_err err = tdo_comm_rank(comm) == 0 ? check_ledger(dir, &f) : TDO_OK;
    if (err == TDO_OK && tdo_comm_rank(comm) == 0) {
        err = check_checkpoint(dir, found, *step);
    }
    return tdo_comm_agree(comm, err);
}

static tdo_err save(tdo_comm *comm, const char *dir, int64_t step)
{
    for (int i = 0; i < PARAMS; i++) {
        params[i] = param(step, i);
    }
    const struct tdo_checkpoint_part parts[] = {{"params", TDO_CHECKPOINT_F32, PARAMS, params},
                                                {"step", TDO_CHECKPOINT_I64, 1, &step}};
    return tdo_checkpoint_write(comm, dir, parts, 2);
}

/* One byte more in a file: something was finished. */
static void say(const char *dir, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0 || write(fd, "x", 1) != 1) {
        abort();
    }
    close(fd);
}

static tdo_err work(tdo_comm *comm, const char *dir)
{
    tdo_lock *lock = NULL;
    tdo_ledger *ledger = NULL;
    int64_t step = 0, owner = getpid();
    char name[64];
    TDO_TRY(tdo_lock_take(comm, dir, &lock));
    TDO_TRY(resume(comm, dir, &step));
    TDO_TRY(tdo_ledger_open(comm, dir, CONTEXT, 0.05, &ledger));
    tdo_comm_broadcast(comm, &owner, (int64_t)sizeof owner);
    if (tdo_comm_rank(comm) == 0) { /* whom to kill */
        snprintf(name, sizeof name, "ready.%lld", (long long)owner);
        say(dir, name);
    }
    owner = owner * 100 + tdo_comm_rank(comm);
    for (uint64_t i = 0;; i++) {
        uint64_t words[WORDS];
        fill((uint64_t)owner, i, words);
        const struct tdo_ledger_record r = {.kind = TDO_LEDGER_VOTES,
                                            .a = (uint64_t)owner,
                                            .b = i,
                                            .payload = words,
                                            .bytes = (int64_t)sizeof words};
        TDO_TRY(tdo_ledger_append(ledger, &r));
        snprintf(name, sizeof name, "said.%lld", (long long)owner);
        say(dir, name);
        TDO_TRY(save(comm, dir, ++step));
        if (tdo_comm_rank(comm) == 0) {
            say(dir, "steps");
        }
    }
}

int main(int argc, char **argv)
{
    tdo_comm *comm = NULL;
    int64_t step = 0;
    tdo_err err = tdo_comm_new(&comm);
    if (err != TDO_OK || argc != 3) {
        return 99;
    }
    if (strcmp(argv[1], "work") == 0) {
        err = work(comm, argv[2]);
    } else if (strcmp(argv[1], "save") == 0) {
        err = save(comm, argv[2], 12);
    } else {
        err = resume(comm, argv[2], &step);
    }
    tdo_comm_report(comm, err);
    tdo_comm_free(&comm);
    return tdo_error_exit_code(err);
}
