/* Label smoothing: the label's class has probability `true`, the others share the rest.
 *
 *     goal_k = true for the label, (1 - true) / (K - 1) else
 *
 * Source: Warde-Farley and Goodfellow 2016; Zantedeschi et al. 2017, section 5.1 (0.9). */
#include "defenses/defense.h"

enum { TRUE };

static const struct tdo_option options[] = {
    [TRUE] = {.key = "true",
              .type = TDO_OPTION_REAL,
              .min = 0,
              .max = 1,
              .value = "0.9",
              .help = "probability of the label's class"},
    {0}};

static tdo_node goal(const struct tdo_defense_use *use, tdo_graph *g, tdo_node goal)
{
    const double classes = (double)tdo_graph_shape(g, goal).dim[1];
    const double other = (1 - use->value[TRUE]) / (classes - 1);
    return tdo_op_affine(g, goal, use->value[TRUE] - other, other);
}

const struct tdo_defense tdo_defense_label_smoothing = {
    .name = "label_smoothing",
    .help = "labels as distributions: the other classes share a part of the probability",
    .cite = "Warde-Farley and Goodfellow 2016; Zantedeschi et al. 2017, section 5.1",
    .options = options,
    .goal = goal,
};
