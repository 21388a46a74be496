/* Ensemble adversarial training: images are attacked on other networks, which stay as they are, as
 * often as on the network itself, so that it cannot learn to mask its own gradients.
 *
 *     L = (1 - share) CE(clean) + share CE(attacked)
 *
 * Each step draws one network, the same for all of its images: one of the sources or, with `self`,
 * the network as it is now; all are equally likely. An attack that wants little (fgsm, rfgsm) is
 * what the paper takes. Sources are in evaluation mode and need not be of one architecture.
 * Source: Tramer et al. 2018, section 3.4. */
#include "defenses/defense.h"
#include "defenses/inner.h"

enum { SHARE, SELF, SOURCES };

static const struct tdo_option options[] = {
    [SHARE] = TDO_DEFENSE_SHARE("0.5"),
    [SELF] = {.key = "self",
              .type = TDO_OPTION_BOOL,
              .value = "true",
              .help = "is the network itself among those that are attacked?"},
    [SOURCES] = {.key = "sources",
                 .type = TDO_OPTION_TEXT,
                 .value = "",
                 .help = "model files or run directories between commas that images are "
                         "attacked on"},
    TDO_DEFENSE_INNER,
    {0}};

static tdo_err prepare(struct tdo_defense_use *use)
{
    if (!use->text[SOURCES][0]) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "missing sources: defense.%d.sources = model files or run directories "
                        "between commas expected (without, it is the defense adversarial)",
                        use->index);
    }
    return TDO_OK;
}

static tdo_node loss(const struct tdo_defense_use *use, struct tdo_defense_step *s)
{
    return tdo_inner_loss(s, use->value[SHARE]);
}

const struct tdo_defense tdo_defense_ensemble_adversarial = {
    .name = "ensemble_adversarial",
    .help = "adversarial training with images that are attacked on stored networks, too",
    .cite = "Tramer et al. 2018, section 3.4",
    .options = options,
    .inner = true,
    .prepare = prepare,
    .loss = loss,
};
