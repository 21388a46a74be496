/* Moons: class 0 is the upper half of the unit circle, class 1 the lower half of one around
 * (1, 1/2), so that the tip of each lies inside the other; normal noise of deviation 0.1.
 *
 * Geometry: make_moons of scikit-learn. The plane is scaled by 0.24, with (1/2, 1/4) in the
 * middle, so that the noise, which never exceeds 5.77 deviations, stays inside [0,1]. */
#include "jobs/formats/toy.h"

extern const struct tdo_format tdo_format_moons;

static void place(int label, float c, float s, float *x, float *y)
{
    float up = s < 0.0f ? -s : s;
    *x = label ? 1.0f - c : c;
    *y = label ? 0.5f - up : up;
}

static const struct tdo_toy moons = {.layer = 2,
                                     .noise = 0.1f,
                                     .center_x = 0.5f,
                                     .center_y = 0.25f,
                                     .zoom = 0.24f,
                                     .place = place};

static tdo_err moons_open(const struct tdo_format_args *args, tdo_source **out)
{
    return tdo_toy_open(&moons, args, out);
}

const struct tdo_format tdo_format_moons = {
    .name = "moons",
    .help = "points on two half circles that hold each other, 1x1x2; made from a seed",
    .cite = "Pedregosa et al.: Scikit-learn (make_moons), JMLR 2011",
    .procedural = true,
    .open = moons_open,
    .read = tdo_toy_read,
    .close = tdo_toy_close,
};
