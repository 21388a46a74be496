/* Starting gnuplot, in the directory of its script. See plot.h.
 *
 * It is a program of its own, found through PATH; what it says is kept in gnuplot.log, and its
 * first line goes into the error. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs/report/plot.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"

extern char **environ;

/* The program's exit code, or -1 with errno when it cannot be started. */
static int run(const char *log, char *const *command)
{
    posix_spawn_file_actions_t actions;
    pid_t child = 0;
    int status = 0;
    errno = posix_spawn_file_actions_init(&actions);
    if (errno != 0) {
        return -1;
    }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC,
                                     0666);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    errno = posix_spawnp(&child, command[0], &actions, NULL, command, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (errno != 0) {
        return -1;
    }
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

/* The first line of the log that says something. */
static void first_line(const char *log, char *line, size_t size)
{
    char *text = NULL;
    int64_t bytes = 0;
    snprintf(line, size, "it said nothing");
    if (tdo_file_read(log, 1 << 20, &text, &bytes) != TDO_OK) {
        return;
    }
    char *rest = NULL;
    for (char *at = strtok_r(text, "\n", &rest); at; at = strtok_r(NULL, "\n", &rest)) {
        at += strspn(at, " \t^");
        if (*at) {
            snprintf(line, size, "%s", at);
        }
        if (strstr(at, "line ")) {
            break; /* the line before it repeats the script */
        }
    }
    tdo_memory_free(&text);
}

/* Between single quotes gnuplot takes everything as it is but a quote, which is doubled. */
static void put_quoted(FILE *to, const char *text)
{
    for (const char *c = text; *c; c++) {
        fputs(*c == '\'' ? "''" : (char[]){*c, '\0'}, to);
    }
}

static tdo_err draw(const char *dir, const char *script, bool png)
{
    char log[1024], line[256], order[4096] = "", program[] = "gnuplot", minus_e[] = "-e";
    char *const command[] = {program, minus_e, order, NULL};
    FILE *to = fmemopen(order, sizeof order, "w");
    if (!to) {
        return TDO_FAIL(TDO_ERR_MEMORY, "out of memory for %s/%s.gp", dir, script);
    }
    fprintf(to, "cd '");
    put_quoted(to, dir);
    fprintf(to, "'; %sload '%s.gp'", png ? "png=1; " : "", script);
    fclose(to);
    snprintf(log, sizeof log, "%s/gnuplot.log", dir);
    const int code = run(log, command);
    if (code == 0) {
        unlink(log);
        return TDO_OK;
    }
    if (code < 0 || code == 127) {
        return TDO_FAIL(TDO_ERR_LIBRARY,
                        "gnuplot cannot be started (%s): install gnuplot-nox (jobs/setup does) "
                        "and start again for the pictures; the tables are in %s",
                        code < 0 ? strerror(errno) : "not found", dir);
    }
    first_line(log, line, sizeof line);
    return TDO_FAIL(TDO_ERR_LIBRARY,
                    "%s/%s.gp: gnuplot ended with %d (%s); the tables are in %s", dir, script,
                    code, line, dir);
}

tdo_err tdo_plot_draw(const char *dir, const char *name, bool png)
{
    TDO_TRY(draw(dir, name, false));
    return png ? draw(dir, name, true) : TDO_OK;
}
