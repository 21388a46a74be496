#ifndef TDO_JOBS_WATCH_H
#define TDO_JOBS_WATCH_H
/* Watching one metric over the epochs of a training: which weights to keep, when the rate is cut on
 * a plateau, when to stop. Pure bookkeeping; the state is two arrays that a checkpoint stores. */
#include <stdbool.h>
#include <stdint.h>

enum tdo_watch_keep { TDO_WATCH_LAST, TDO_WATCH_BEST, TDO_WATCH_WORST };

enum tdo_watch_count {
    TDO_WATCH_SEEN,   /* epochs */
    TDO_WATCH_STALE,  /* epochs since the best one */
    TDO_WATCH_DULL,   /* epochs since the best one or the latest cut */
    TDO_WATCH_CUTS,   /* of the rate */
    TDO_WATCH_CHOICE, /* the epoch whose weights are kept, from 1; 0: none yet */
    TDO_WATCH_COUNTS
};

enum tdo_watch_value { TDO_WATCH_TOP, TDO_WATCH_KEPT, TDO_WATCH_VALUES };

struct tdo_watch {
    bool lower; /* is lower better? */
    enum tdo_watch_keep keep;
    int64_t
        patience; /* stop after so many epochs that were not better than the best; 0: never */
    int64_t plateau; /* cut the rate after so many; 0: never */
    int64_t count[TDO_WATCH_COUNTS];
    double value[TDO_WATCH_VALUES]; /* the best, and that of the weights that are kept */
};

struct tdo_watch_verdict {
    bool keep, stop;
};

/* The metric after one more epoch. Better is strictly better; what is no number never is. */
struct tdo_watch_verdict tdo_watch_see(struct tdo_watch *w, double value);

#endif
