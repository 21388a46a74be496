/* Training on examples that were crafted once: a stored set of the job `attack`, made of training
 * images, stands behind the images of the data set, or in their place. An example has the label of
 * its image.
 *
 *     testudo attack run.dir=crafted model.file=net.safetensors data.split=train attack=deepfool craft.store=f32
 *     defense = ( { name = "static_set"; file = "crafted/adversarial.h5"; } )
 *
 * Source: Szegedy et al. 2014, section 4 (a pool of examples beside the images); Moosavi-Dezfooli
 * et al. 2016, section 4.3 (perturbed images alone, five epochs); both are the baseline "Adv.
 * Training I" of Yan et al. 2018, section 4; Zantedeschi et al. 2017, section 5. */
#include "defenses/defense.h"

static const struct tdo_option options[] = {
    {.key = "file",
     .type = TDO_OPTION_TEXT,
     .value = "",
     .help = "adversarial.h5 of a run of the job attack over data.split = train of data.file"},
    {.key = "row",
     .type = TDO_OPTION_INT,
     .min = -1,
     .max = 65535,
     .value = "-1",
     .help = "which attack of that file, from 0; -1: all of them"},
    {.key = "mode",
     .type = TDO_OPTION_CHOICE,
     .choices = "append|replace",
     .value = "append",
     .help = "train on these and the images of the data set, or without the latter"},
    {0}};

const struct tdo_defense tdo_defense_static_set = {
    .name = "static_set",
    .help = "training on a stored set of adversarial examples, crafted once",
    .cite = "Szegedy et al. 2014, section 4; Moosavi-Dezfooli et al. 2016, section 4.3; Yan et "
            "al. 2018, section 4 (Adv. Training I); Zantedeschi et al. 2017, section 5",
    .options = options,
    .stored = true,
};
