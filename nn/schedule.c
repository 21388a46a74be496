/* Learning rates over time. See schedule.h. */
#include "nn/schedule.h"

#include <math.h>

int tdo_schedule_stage(const struct tdo_schedule *s, int64_t step)
{
    int stage = 0;
    while (stage < s->milestones &&
           (double)step >= s->milestone[stage] * (double)s->epoch_steps) {
        stage++;
    }
    return stage;
}

static double cosine(const struct tdo_schedule *s, int64_t step)
{
    const double pi = 3.14159265358979323846;
    const double warm = s->warmup * (double)s->epoch_steps;
    const double part = ((double)step - warm) / ((double)s->steps - warm);
    return s->floor + (s->rate - s->floor) * 0.5 * (1 + cos(pi * part));
}

double tdo_schedule_rate(const struct tdo_schedule *s, int64_t step, int64_t cuts)
{
    const double warm = s->warmup * (double)s->epoch_steps;
    double rate = s->rate;
    if ((double)step + 1 < warm) {
        return s->rate * ((double)step + 1) / warm;
    }
    switch (s->kind) {
    case TDO_SCHEDULE_CONSTANT:
        break;
    case TDO_SCHEDULE_STEP: {
        const int64_t stage = step / (s->epoch_steps * s->every);
        rate *= pow(s->factor, (double)stage);
        break;
    }
    case TDO_SCHEDULE_MULTISTEP:
        rate *= pow(s->factor, tdo_schedule_stage(s, step));
        break;
    case TDO_SCHEDULE_COSINE:
        rate = (double)step < warm ? rate : cosine(s, step);
        break;
    case TDO_SCHEDULE_PLATEAU:
        rate *= pow(s->factor, (double)cuts);
        break;
    }
    return rate > s->floor ? rate : s->floor;
}
