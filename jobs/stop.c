/* Stopping early. See stop.h.
 *
 * The handler writes one flag and nothing else. */
#include "jobs/stop.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include "nn/base/log.h"

static volatile sig_atomic_t asked; /* the signal, or 0 */
static int64_t deadline;            /* seconds since 1970; 0: none */

static void note(int number)
{
    asked = number;
}

static void listen_to(int number, int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note;
    action.sa_flags = SA_RESTART | flags;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL); /* NOLINT(cert-err33-c): these numbers are known */
}

tdo_err tdo_stop_listen(int64_t until, int64_t margin)
{
    const int64_t now = (int64_t)time(NULL);
    asked = 0;
    deadline = until > 0 ? until - margin : 0;
    if (deadline > 0 && deadline <= now) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "run.margin = %lld: the job's time is over in %lld s (run.until, or "
                        "SLURM_JOB_END_TIME): more time or a smaller margin expected",
                        (long long)margin, (long long)(until - now));
    }
    listen_to(SIGTERM, (int)SA_RESETHAND);
    listen_to(SIGUSR1, 0);
    return TDO_OK;
}

bool tdo_stop_asked(void)
{
    return asked != 0 || (deadline > 0 && (int64_t)time(NULL) >= deadline);
}

tdo_err tdo_stop_error(void)
{
    return TDO_FAIL(TDO_ERR_STOPPED,
                    "stopped as asked, by a signal or for the end of the job's time; "
                    "started again, it goes on");
}

tdo_err tdo_stop_check(void)
{
    return tdo_stop_asked() ? tdo_stop_error() : TDO_OK;
}

bool tdo_stop_agreed(tdo_comm *comm, struct tdo_stop_pace *pace, int64_t step)
{
    if (step < pace->next) {
        return false;
    }
    const double now = tdo_log_now();
    const double each = pace->next > 0 ? (now - pace->when) / (double)(step - pace->seen) : 1;
    int64_t worst[2] = {tdo_stop_asked(), (int64_t)(each * 1e9) + 1};
    tdo_comm_max_i64(comm, worst, 2);
    const int64_t skip = 1000000000 / worst[1]; /* steps in a second */
    *pace = (struct tdo_stop_pace){
        .next = step + (skip < 1 ? 1 : skip), .seen = step, .when = tdo_log_now()};
    return worst[0] != 0;
}
