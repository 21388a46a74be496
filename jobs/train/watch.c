/* Watching a metric. See watch.h. */
#include "jobs/train/watch.h"

/* Is a a better value than b: higher, or with `lower` lower? */
static bool better(double a, double b, bool lower)
{
    return lower ? a < b : a > b;
}

struct tdo_watch_verdict tdo_watch_see(struct tdo_watch *w, double value)
{
    int64_t *n = w->count;
    const bool number = value - value == 0;                     /* neither NaN nor infinite */
    const bool first = n[TDO_WATCH_SEEN] == n[TDO_WATCH_STALE]; /* no best one yet */
    struct tdo_watch_verdict verdict = {0};
    n[TDO_WATCH_SEEN]++;
    n[TDO_WATCH_STALE]++;
    n[TDO_WATCH_DULL]++;
    if (number && (first || better(value, w->value[TDO_WATCH_TOP], w->lower))) {
        w->value[TDO_WATCH_TOP] = value;
        n[TDO_WATCH_STALE] = n[TDO_WATCH_DULL] = 0;
    }
    const bool lower = w->lower == (w->keep == TDO_WATCH_BEST); /* worst: the other way round */
    if (w->keep != TDO_WATCH_LAST && number &&
        (n[TDO_WATCH_CHOICE] == 0 || better(value, w->value[TDO_WATCH_KEPT], lower))) {
        w->value[TDO_WATCH_KEPT] = value;
        n[TDO_WATCH_CHOICE] = n[TDO_WATCH_SEEN];
        verdict.keep = true;
    }
    if (w->plateau > 0 && n[TDO_WATCH_DULL] >= w->plateau) {
        n[TDO_WATCH_DULL] = 0;
        n[TDO_WATCH_CUTS]++;
    }
    verdict.stop = w->patience > 0 && n[TDO_WATCH_STALE] >= w->patience;
    return verdict;
}
