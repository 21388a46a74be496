/* The ranks of a job. See comm.h.
 *
 * An agreement is one integer maximum when all is well. When something failed it goes on in
 * rounds: the worst rank not yet heard prints its record and sends it to all, those with the
 * same sentence fall silent, and so on until nobody is left. No memory is needed, so "out of
 * memory" can be agreed on too. A printed record is marked by its `function` field. */
#include "mpi/comm.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/mpi_impl.h"
#include "nn/base/log.h"
#include "nn/base/memory.h"

enum { MAX_PRINTED = 8 };

/* Marks in tdo_error_record.function, told apart by address. */
static const char mark_printed[] = "(printed)", mark_remote[] = "(on another rank)";

tdo_err tdo_comm_check_(int code, const char *file, int line, const char *function)
{
    if (code == MPI_SUCCESS) {
        return TDO_OK;
    }
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return tdo_error_set(TDO_ERR_COMM, file, line, function, "MPI failed: %s", text);
}

static tdo_err start(struct tdo_comm *c)
{
    int initialised = 0, level = MPI_THREAD_SINGLE;
    TDO_TRY(TDO_MPI(MPI_Initialized(&initialised)));
    if (initialised) {
        TDO_TRY(TDO_MPI(MPI_Query_thread(&level)));
    } else {
        TDO_TRY(TDO_MPI(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level)));
        c->started = true;
    }
    if (level < MPI_THREAD_FUNNELED) {
        return TDO_FAIL(TDO_ERR_COMM,
                        "this MPI library does not allow threads beside it: level "
                        "%d, MPI_THREAD_FUNNELED is %d",
                        level, MPI_THREAD_FUNNELED);
    }
    TDO_TRY(TDO_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &c->world)));
    TDO_TRY(TDO_MPI(MPI_Comm_set_errhandler(c->world, MPI_ERRORS_RETURN)));
    TDO_TRY(TDO_MPI(MPI_Comm_rank(c->world, &c->rank)));
    TDO_TRY(TDO_MPI(MPI_Comm_size(c->world, &c->size)));
    tdo_log_set_rank(c->rank, c->size);
    return TDO_OK;
}

tdo_err tdo_comm_new(tdo_comm **out)
{
    *out = NULL;
    struct tdo_comm *c = NULL;
    TDO_TRY(tdo_memory_new(1, &c));
    *c = (struct tdo_comm){.world = MPI_COMM_NULL, .size = 1};
    tdo_err err = start(c);
    if (err != TDO_OK) {
        /* MPI is left as it is: finalising it here could wait for ranks that went on. */
        tdo_memory_free(&c);
        return err;
    }
    *out = c;
    return TDO_OK;
}

int tdo_comm_rank(const tdo_comm *c)
{
    return c->rank;
}

int tdo_comm_size(const tdo_comm *c)
{
    return c->size;
}

const char *tdo_comm_library(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    if (MPI_Get_library_version(text, &length) != MPI_SUCCESS) {
        return "unknown";
    }
    text[strcspn(text, ",\n")] = '\0'; /* "Open MPI v4.1.4" without who packaged it */
    return text;
}

/* Stopping and hearing of another rank's failure are milder than any failure of one's own. */
static int severity(tdo_err err)
{
    switch (err) {
    case TDO_OK:
        return 0;
    case TDO_ERR_STOPPED:
        return 1;
    case TDO_ERR_REMOTE:
        return 2;
    default:
        return 3 + (int)err;
    }
}

/* What a rank that was chosen tells the others. */
struct sentence {
    int code;
    int remote; /* the message already names the rank where it came from */
    char message[sizeof((struct tdo_error_record *)0)->message];
};

static bool printed(const struct tdo_error_record *r)
{
    return r->function == mark_printed || r->function == mark_remote;
}

/* Make the record fit the code, in case a code was passed on without one. */
static void complete_record(tdo_err err)
{
    if (tdo_error_last()->code != err) {
        tdo_err same = TDO_FAIL(err, "%s", tdo_error_text(err));
        TDO_ASSERT(same == err);
    }
}

static void print_record(void)
{
    struct tdo_error_record r = *tdo_error_last();
    if (printed(&r)) {
        return;
    }
    tdo_log_error();
    r.function = mark_printed;
    tdo_error_adopt(&r);
}

/* One round: the worst rank that has something to say prints it and sends it to all.
 * Returns the chosen rank, -1 if nobody has anything to say. */
static int speak(tdo_comm *c, int my_severity, struct sentence *said)
{
    int64_t mine = my_severity > 0 ? ((int64_t)my_severity << 32) + (INT_MAX - c->rank) : 0;
    int64_t worst = 0;
    TDO_MPI_OR_ABORT(c, MPI_Allreduce(&mine, &worst, 1, MPI_INT64_T, MPI_MAX, c->world));
    if (worst == 0) {
        return -1;
    }
    int chosen = INT_MAX - (int)(worst & 0xffffffff);
    if (chosen == c->rank) {
        print_record();
        const struct tdo_error_record *r = tdo_error_last();
        said->code = (int)r->code;
        said->remote = r->function == mark_remote;
        memcpy(said->message, r->message, sizeof said->message);
    }
    TDO_MPI_OR_ABORT(c, MPI_Bcast(said, (int)sizeof *said, MPI_BYTE, chosen, c->world));
    return chosen;
}

/* The agreed error becomes the record of a rank that did not print it itself. */
static void take_over(const struct sentence *first, int chosen)
{
    struct tdo_error_record r = {.code = (tdo_err)first->code,
                                 .line = __LINE__,
                                 .file = __FILE__,
                                 .function = mark_remote};
    int n = 0;
    if (!first->remote) {
        n = snprintf(r.message, sizeof r.message, "rank %d failed: ", chosen);
    }
    strncpy(r.message + n, first->message, sizeof r.message - 1 - (size_t)n);
    tdo_error_adopt(&r);
}

tdo_err tdo_comm_agree_(tdo_comm *c, tdo_err err)
{
    struct sentence first = {0}, said = {0};
    if (err != TDO_OK) {
        complete_record(err);
    }
    int chosen = speak(c, severity(err), &first);
    if (chosen < 0) {
        return TDO_OK;
    }
    said = first;
    bool silent = err == TDO_OK || chosen == c->rank;
    for (int round = 1; round < MAX_PRINTED; round++) {
        const struct tdo_error_record *r = tdo_error_last();
        silent = silent || printed(r) ||
                 ((int)r->code == said.code && strcmp(r->message, said.message) == 0);
        if (speak(c, silent ? 0 : severity(err), &said) < 0) {
            break;
        }
    }
    bool mine = err != TDO_OK && (int)err == first.code && printed(tdo_error_last());
    if (!mine) {
        take_over(&first, chosen);
    }
    return (tdo_err)first.code;
}

tdo_err tdo_comm_agree_first(tdo_comm *c, tdo_err err)
{
    int64_t first = err != TDO_OK ? c->rank : INT64_MAX;
    tdo_comm_min_i64(c, &first, 1);
    return tdo_comm_agree(c, first == c->rank ? err : TDO_OK);
}

void tdo_comm_report(const tdo_comm *c, tdo_err err)
{
    (void)c;
    if (err != TDO_OK) {
        complete_record(err);
        print_record();
    }
}

_Noreturn void tdo_comm_abort(tdo_comm *c, tdo_err err)
{
    tdo_err worst = err == TDO_OK ? TDO_ERR_BUG : err;
    int code = tdo_error_exit_code(worst);
    tdo_comm_report(c, worst);
    fflush(NULL);
    if (c) {
        MPI_Abort(c->world, code);
    }
    _Exit(code);
}

void tdo_comm_broadcast(tdo_comm *c, void *data, int64_t bytes)
{
    char *at = data;
    for (int64_t left = bytes; left > 0; left -= TDO_MPI_CHUNK, at += TDO_MPI_CHUNK) {
        int n = (int)(left < TDO_MPI_CHUNK ? left : TDO_MPI_CHUNK);
        TDO_MPI_OR_ABORT(c, MPI_Bcast(at, n, MPI_BYTE, 0, c->world));
    }
}

void tdo_comm_gather_i64(tdo_comm *c, int64_t mine, int64_t *all)
{
    TDO_MPI_OR_ABORT(c, MPI_Allgather(&mine, 1, MPI_INT64_T, all, 1, MPI_INT64_T, c->world));
}

/* In place over all ranks, in pieces whose length fits an int. */
static void reduce(tdo_comm *c, void *values, int64_t n, MPI_Datatype type, MPI_Op op)
{
    uint64_t *at = values; /* every type here has eight bytes */
    for (int64_t left = n; left > 0; left -= TDO_MPI_CHUNK, at += TDO_MPI_CHUNK) {
        int count = (int)(left < TDO_MPI_CHUNK ? left : TDO_MPI_CHUNK);
        TDO_MPI_OR_ABORT(c, MPI_Allreduce(MPI_IN_PLACE, at, count, type, op, c->world));
    }
}

void tdo_comm_min_i64(tdo_comm *c, int64_t *values, int64_t n)
{
    reduce(c, values, n, MPI_INT64_T, MPI_MIN);
}

void tdo_comm_max_i64(tdo_comm *c, int64_t *values, int64_t n)
{
    reduce(c, values, n, MPI_INT64_T, MPI_MAX);
}

void tdo_comm_sum_u64(tdo_comm *c, uint64_t *values, int64_t n)
{
    reduce(c, values, n, MPI_UINT64_T, MPI_SUM);
}

void tdo_comm_free(tdo_comm **c)
{
    if (!*c) {
        return;
    }
    int gone = 0;
    MPI_Finalized(&gone);
    if (!gone) {
        MPI_Comm_free(&(*c)->world);
        if ((*c)->started) {
            MPI_Finalize();
        }
    }
    tdo_memory_free(c);
}
