/* Balls, boxes and steepest directions. See threat.h. */
#include "attacks/threat.h"

#include <math.h>
#include <stddef.h>

const char *tdo_threat_norm_name(enum tdo_norm norm)
{
    static const char *const names[TDO_NORMS] = {"l0", "l2", "linf"};
    return names[norm];
}

struct tdo_norms tdo_threat_norms(const float *u, const float *x, int64_t size)
{
    double count = 0, sum = 0, most = 0;
    for (int64_t p = 0; p < size; p++) {
        const double d = (double)u[p] - (x ? (double)x[p] : 0);
        count += d != 0;
        sum += d * d;
        most = fabs(d) > most ? fabs(d) : most;
    }
    return (struct tdo_norms){{count, sqrt(sum), most}};
}

void tdo_threat_clip(const struct tdo_box *box, float *u)
{
    for (int64_t p = 0; p < box->size; p++) {
        u[p] = u[p] < box->low[p] ? box->low[p] : u[p] > box->high[p] ? box->high[p] : u[p];
    }
}

static void clip_ball(double eps, int64_t size, const float *x, float *u)
{
    const float e = (float)eps;
    for (int64_t p = 0; p < size; p++) {
        const float low = x[p] - e, high = x[p] + e;
        u[p] = u[p] < low ? low : u[p] > high ? high : u[p];
    }
}

static void scale_ball(double eps, int64_t size, const float *x, float *u)
{
    const double length = tdo_threat_norms(u, x, size).of[TDO_NORM_L2];
    if (length > eps) {
        const float part = (float)(eps / length);
        for (int64_t p = 0; p < size; p++) {
            u[p] = x[p] + part * (u[p] - x[p]);
        }
    }
}

void tdo_threat_project(enum tdo_norm norm, double eps, const struct tdo_box *box,
                        const float *x, float *u)
{
    if (norm == TDO_NORM_LINF && eps < HUGE_VAL) {
        clip_ball(eps, box->size, x, u);
    } else if (norm == TDO_NORM_L2 && eps < HUGE_VAL) {
        scale_ball(eps, box->size, x, u);
    }
    tdo_threat_clip(box, u);
}

void tdo_threat_climb(enum tdo_norm norm, double length, const float *g, int64_t size, float *u)
{
    const float step = (float)length;
    if (norm == TDO_NORM_LINF) {
        for (int64_t p = 0; p < size; p++) {
            u[p] += step * (float)((g[p] > 0) - (g[p] < 0));
        }
        return;
    }
    const double norm2 = tdo_threat_norms(g, NULL, size).of[TDO_NORM_L2];
    if (norm2 > 0) {
        const double part = length / norm2; /* too large for a float where g is tiny */
        for (int64_t p = 0; p < size; p++) {
            u[p] += (float)(part * (double)g[p]);
        }
    }
}
