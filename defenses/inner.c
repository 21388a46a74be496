/* Losses of what an inner attack makes of an image. See inner.h. The clean and the attacked half of
 * a step are two forward passes with batch statistics of their own, and the goal of both is the
 * same. */
#include "defenses/inner.h"

tdo_node tdo_inner_loss(struct tdo_defense_step *s, double share)
{
    tdo_node attacked = tdo_op_xent(s->g, tdo_defense_attacked_logits(s), s->goal);
    if (share >= 1) {
        return attacked;
    }
    tdo_node clean = tdo_op_xent(s->g, tdo_defense_clean_logits(s), s->goal);
    return tdo_op_add(s->g, tdo_op_affine(s->g, clean, 1 - share, 0),
                      tdo_op_affine(s->g, attacked, share, 0));
}
