#ifndef TDO_BASE_LOG_H
#define TDO_BASE_LOG_H
/* Log and progress, for two audiences: the root rank alone, or every rank.
 *
 * Ordinary runs print on the root only. A message of every rank carries `[rank r host]`.
 * Results go to files or to standard output; everything here goes to standard error. */
#include <stdbool.h>
#include <stdint.h>

#include "nn/base/error.h"

enum tdo_log_level { TDO_LOG_ERROR, TDO_LOG_WARN, TDO_LOG_INFO, TDO_LOG_DEBUG };

/* Who we are; mpi/comm.c calls it once. Before that: rank 0 of 1. */
void tdo_log_set_rank(int rank, int size);
int tdo_log_rank(void);
/* Our rank as the launcher tells it, before MPI is up; -1 without a launcher. */
int tdo_log_launched_rank(void);

void tdo_log_set_level(enum tdo_log_level level);

/* Print one line on the root rank / on the calling rank, whichever it is. */
void tdo_log_root(enum tdo_log_level level, const char *format, ...) TDO_PRINTF(2, 3);
void tdo_log_all(enum tdo_log_level level, const char *format, ...) TDO_PRINTF(2, 3);

/* Print the error record of this thread: one line, `testudo: <message> (file:line)`. */
void tdo_log_error(void);

/* Seconds of a monotonic clock. */
double tdo_log_now(void);

/* A progress line with rate and time left: redrawn in place on a terminal, a plain line every
 * ten seconds in a batch log. Only the root rank shows it. */
struct tdo_progress {
    const char *what, *unit; /* "certify", "samples" */
    int64_t total;           /* units of the whole work */
    int64_t first;           /* units already there at the start (a resumed job) */
    double started, shown;   /* seconds */
};
void tdo_progress_start(struct tdo_progress *p, const char *what, const char *unit,
                        int64_t total, int64_t first);
/* `note` is shown behind the numbers (loss, accuracy); NULL for none. */
void tdo_progress_show(struct tdo_progress *p, int64_t done, const char *note);
void tdo_progress_end(struct tdo_progress *p, int64_t done, const char *note);

#endif
