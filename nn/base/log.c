/* Log and progress lines. See log.h. */
#include "nn/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int my_rank, my_size = 1;
static enum tdo_log_level threshold = TDO_LOG_INFO;

void tdo_log_set_rank(int rank, int size)
{
    my_rank = rank;
    my_size = size;
}

int tdo_log_rank(void)
{
    return my_rank;
}

/* The order matters: mpirun inside a Slurm job gives every rank the SLURM_PROCID of the batch
 * script. */
int tdo_log_launched_rank(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"};
    const char *rank = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !rank; i++) {
        rank = getenv(names[i]);
    }
    char *end = NULL;
    const long number = rank ? strtol(rank, &end, 10) : -1;
    return rank && (end == rank || *end != '\0') ? -1 : (int)number;
}

void tdo_log_set_level(enum tdo_log_level level)
{
    threshold = level;
}

/* One write per line, so that lines of several ranks do not mix. */
static void print_line(const char *prefix, const char *format, va_list args)
{
    char line[1600];
    int n = snprintf(line, sizeof line - 1, "%s", prefix);
    n += vsnprintf(line + n, sizeof line - 1 - (size_t)n, format, args);
    if ((size_t)n > sizeof line - 2) {
        n = (int)sizeof line - 2;
    }
    line[n] = '\n';
    fwrite(line, 1, (size_t)n + 1, stderr); /* NOLINT(cert-err33-c): nowhere to complain */
}

void tdo_log_root(enum tdo_log_level level, const char *format, ...)
{
    if (my_rank != 0 || level > threshold) {
        return;
    }
    va_list args;
    va_start(args, format);
    print_line(level <= TDO_LOG_WARN ? "testudo: " : "", format, args);
    va_end(args);
}

void tdo_log_all(enum tdo_log_level level, const char *format, ...)
{
    if (level > threshold) {
        return;
    }
    char prefix[128] = "testudo: ";
    if (my_size > 1) {
        char host[64] = "?";
        gethostname(host, sizeof host - 1);
        snprintf(prefix, sizeof prefix, "testudo: [rank %d %s] ", my_rank, host);
    }
    va_list args;
    va_start(args, format);
    print_line(prefix, format, args);
    va_end(args);
}

void tdo_log_error(void)
{
    const struct tdo_error_record *r = tdo_error_last();
    const char *name = r->file ? r->file : "?";
    tdo_log_all(TDO_LOG_ERROR, "%s (%s:%d)",
                r->message[0] ? r->message : tdo_error_text(r->code),
                strrchr(name, '/') ? strrchr(name, '/') + 1 : name, r->line);
}

double tdo_log_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void tdo_progress_start(struct tdo_progress *p, const char *what, const char *unit,
                        int64_t total, int64_t first)
{
    *p = (struct tdo_progress){.what = what, .unit = unit, .total = total, .first = first};
    p->started = p->shown = tdo_log_now();
}

static void show(struct tdo_progress *p, int64_t done, const char *note, bool last)
{
    double now = tdo_log_now(), spent = now - p->started;
    double rate = spent > 0 ? (double)(done - p->first) / spent : 0;
    bool terminal = isatty(STDERR_FILENO);
    char line[256], time[64] = "left unknown";
    if (last) {
        snprintf(time, sizeof time, "took %.0f s", spent);
    } else if (rate > 0) {
        snprintf(time, sizeof time, "left %.0f s", (double)(p->total - done) / rate);
    }
    int n = snprintf(line, sizeof line, "%s %lld/%lld %s, %.*f/s, %s", p->what, (long long)done,
                     (long long)p->total, p->unit, rate < 9.995 ? 2 : 0, rate, time);
    if (note && n > 0 && (size_t)n < sizeof line) {
        snprintf(line + n, sizeof line - (size_t)n, ", %s", note);
    }
    fprintf(stderr, terminal ? (last ? "\r%-78s\n" : "\r%-78s") : "%s\n", line);
    p->shown = now;
}

void tdo_progress_show(struct tdo_progress *p, int64_t done, const char *note)
{
    double wait = isatty(STDERR_FILENO) ? 0.2 : 10;
    if (my_rank == 0 && threshold >= TDO_LOG_INFO && tdo_log_now() - p->shown >= wait) {
        show(p, done, note, false);
    }
}

void tdo_progress_end(struct tdo_progress *p, int64_t done, const char *note)
{
    if (my_rank == 0 && threshold >= TDO_LOG_INFO) {
        show(p, done, note, true);
    }
}
