/* Circles: class 0 is the unit circle, class 1 a circle of half that radius inside it, both
 * with normal noise of deviation 0.05. A linear classifier can do nothing here.
 *
 * Geometry: make_circles of scikit-learn with factor 0.5. The plane is scaled by 0.38 around
 * (1/2, 1/2), so that the noise, which never exceeds 5.77 deviations, stays inside [0,1]. */
#include "jobs/formats/toy.h"

extern const struct tdo_format tdo_format_circles;

static void place(int label, float c, float s, float *x, float *y)
{
    float radius = label ? 0.5f : 1.0f;
    *x = radius * c;
    *y = radius * s;
}

static const struct tdo_toy circles = {
    .layer = 1, .noise = 0.05f, .zoom = 0.38f, .place = place};

static tdo_err circles_open(const struct tdo_format_args *args, tdo_source **out)
{
    return tdo_toy_open(&circles, args, out);
}

const struct tdo_format tdo_format_circles = {
    .name = "circles",
    .help = "points on two circles, one inside the other, 1x1x2; made from a seed",
    .cite = "Pedregosa et al.: Scikit-learn (make_circles), JMLR 2011",
    .procedural = true,
    .open = circles_open,
    .read = tdo_toy_read,
    .close = tdo_toy_close,
};
