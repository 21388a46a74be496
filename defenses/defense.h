#ifndef TDO_DEFENSES_DEFENSE_H
#define TDO_DEFENSES_DEFENSE_H
/* Defenses: rows that compose.
 *
 * A defense is one file with one row of defenses.def. A row reaches into training and networks
 * through hooks; NULL leaves the default. A config lists several; they apply in list order:
 *
 *     raw input ──┬── augment, augment, ... ──► pixels ──► input layer ──► model with network hooks
 *                 │ inner attack                                                  │ logits
 *                 ▼                                                               ▼
 *     adversarial input ── augment ... ──► pixels ──► the same network ──► logits ──► loss
 *                                                                                     + penalty ...
 *
 * Before all this, rows may stack more training images behind those of the data set: copies of each
 * (`copies`, `copy`), or a stored set (`stored`). They are made once, and go the same way.
 *
 * At most one row owns the loss; without one it is the cross entropy of the clean input with the
 * goal, which is the label unless rows change it. Any number of rows add penalties, or change the
 * weights behind the optimiser's update.
 *
 * What lives in the network (`network`) travels in the model file; what only shapes training
 * does not. */
#include "defenses/noise.h"
#include "nn/base/config.h"
#include "nn/base/options.h"
#include "nn/layers.h"

enum { TDO_DEFENSE_VALUES = 8, TDO_DEFENSE_MAX = 16, TDO_DEFENSE_DRAWS = 16 };

struct tdo_defense;
struct tdo_defenses;

/* What a loss or a penalty sees of a training step. Rows are those of a shard. */
struct tdo_defense_step {
    tdo_graph *g;
    tdo_node pixels;      /* [N,H,W,C], through the rows that augment */
    tdo_node adversarial; /* the same of what the inner attack made; TDO_NONE without one */
    tdo_node partner; /* of a row that denoises: [N,H,W,C], the clean pixels; else TDO_NONE */
    tdo_node labels;  /* [N] */
    tdo_node goal;    /* [N,K] */
    /* A forward pass in the mode of training, of a denoiser to its image; for logits use the
     * functions below. */
    tdo_node (*forward)(void *self, tdo_node pixels);
    /* The input layer; and the network behind it, in the mode of use, with running statistics.
     * Derivatives of that go on to the weights listed in `layers` alone ("": to all). */
    tdo_node (*input)(void *self, tdo_node pixels);
    tdo_node (*evaluate)(void *self, tdo_node x, const char *layers);
    /* Logits of a stored network that is learnt from, in the mode of use, and what it gives in the
     * place `tap` (NULL: not asked for); NULL without one. */
    tdo_node (*teacher)(void *self, tdo_node pixels, const char *tap, tdo_node *there);
    /* The same pixels, or those of the inner attack, with draw i of the noise of rows that augment;
     * and a forward pass with draw i of what is random in the network. 0 is what is above. */
    tdo_node (*draw)(void *self, bool attacked, int i);
    tdo_node (*forward_draw)(void *self, tdo_node pixels, int i);
    void *self;
    tdo_node clean_logits, adversarial_logits; /* TDO_NONE until they are asked for */
};

/* Logits [N,K] at both inputs; a network that is not asked about one of them costs nothing there. */
tdo_node tdo_defense_clean_logits(struct tdo_defense_step *s);
tdo_node tdo_defense_attacked_logits(struct tdo_defense_step *s);

/* Draw i of the pixels (0 is s->pixels), of the attacked pixels (0 is s->adversarial), and the logits
 * [N,K] of draw i of the pixels, with draws of their own for noise and dropout in the network; 0 is
 * the clean logits, any other a new pass each time. i < TDO_DEFENSE_DRAWS, else the graph fails. */
tdo_node tdo_defense_draw(struct tdo_defense_step *s, int i);
tdo_node tdo_defense_attacked_draw(struct tdo_defense_step *s, int i);
tdo_node tdo_defense_draw_logits(struct tdo_defense_step *s, int i);
/* The same of what the inner attack made; 0 is the attacked logits. */
tdo_node tdo_defense_attacked_draw_logits(struct tdo_defense_step *s, int i);

/* A row in use: the values of its options in the order of its table (a choice as its index). */
struct tdo_defense_use {
    const struct tdo_defense *row;
    double value[TDO_DEFENSE_VALUES];
    const char *text[TDO_DEFENSE_VALUES]; /* of options that are texts; the config keeps them */
    uint32_t seed;
    int index;          /* position in the list: keeps the noise of two rows apart */
    tdo_rounded *table; /* owned */
};

struct tdo_defense {
    const char *name, *help, *cite;
    const struct tdo_option *options;
    bool network; /* its options belong into the model file */
    bool inner;   /* it trains on what an attack of the list `inner` makes of an image */
    bool
        smoothed; /* that attack sees the noise of rows that augment, as many draws as the row's
                      option `draws` says: those that the loss has */
    bool stored;  /* it trains on a stored set; it has the options file, row and mode */
    /* It trains a network that gives images, on the rows of stored sets alone, each beside the image
     * it was made of; it has the options sets, guide (a stored network to learn from, "": none) and
     * loss. */
    bool denoises;
    /* Make what the row needs beyond its values (a noise table). */
    tdo_err (*prepare)(struct tdo_defense_use *use);
    /* Does it go with the other rows? TDO_ERR_CONFIG naming both. NULL: with any. */
    tdo_err (*check)(const struct tdo_defense_use *use, const struct tdo_defenses *d);
    /* How many copies of every image are stacked behind the data set; and what makes a copy of an
     * image, in place: x [n], values 0..255 (u8) or pixels. The key is (image, copy from 1). In any
     * thread. Errors: TDO_ERR_CONFIG for a data set that it cannot copy. */
    int64_t (*copies)(const struct tdo_defense_use *use);
    tdo_err (*copy)(const struct tdo_defense_use *use, const struct tdo_key *key, bool u8,
                    int64_t n, float *x);
    /* Training input: raw [N,H,W,C] and keys [N] -> pixels. */
    tdo_node (*augment)(const struct tdo_defense_use *use, tdo_graph *g, tdo_node raw, bool u8,
                        tdo_node keys);
    /* In front of the input layer, in training and ever after: pixels -> pixels. */
    tdo_node (*preprocess)(const struct tdo_defense_use *use, tdo_graph *g, tdo_node pixels);
    /* What cross entropy is taken with: goal [N,K], at first one-hot labels -> goal. */
    tdo_node (*goal)(const struct tdo_defense_use *use, tdo_graph *g, tdo_node goal);
    /* The loss of each row, [N]; its owner. */
    tdo_node (*loss)(const struct tdo_defense_use *use, struct tdo_defense_step *s);
    /* What is added to the loss of each row, [N]. */
    tdo_node (*penalty)(const struct tdo_defense_use *use, struct tdo_defense_step *s);
    /* Change weights behind the optimiser's update of a step; the same on all ranks, in every bit. */
    tdo_err (*after_step)(const struct tdo_defense_use *use, const tdo_params *params,
                          uint32_t step);
    /* Fill in what reaches into the network; hook->self is set already. */
    void (*hook)(struct tdo_hook *hook);
    /* Deviation of the Gaussian noise that it adds to every element of what the first convolution
     * sees, and leaves out where tdo_build.outside says so; 0: none. NULL: none. */
    double (*input_sigma)(const struct tdo_defense_use *use);
};

extern const struct tdo_defense *const tdo_defense_table[]; /* NULL-ended */

/* The list as options.h wants it. */
const char *tdo_defense_name(int i);
const struct tdo_option *tdo_defense_options(int i);

/* The defenses of a run. */
struct tdo_defenses {
    struct tdo_defense_use use[TDO_DEFENSE_MAX];
    int count;
    struct tdo_hook hook[TDO_DEFENSE_MAX];
    int hooks;
};

/* Take the rows of the list `defense` of a config. *out must not move afterwards (hooks point
 * into it). Owner: caller, tdo_defense_free. */
TDO_MUST tdo_err tdo_defense_read(const tdo_config *c, uint32_t seed, struct tdo_defenses *out);
void tdo_defense_free(struct tdo_defenses *d);

/* Did all that reaches into the network find its place there? b: the context that the network,
 * called `model`, was built in. Errors: TDO_ERR_CONFIG naming a row that would do nothing. */
TDO_MUST tdo_err tdo_defense_check_reach(const struct tdo_defenses *d,
                                         const struct tdo_build *b, const char *model);

/* Raw input to pixels, through every row that augments. */
tdo_node tdo_defense_augment(const struct tdo_defenses *d, tdo_graph *g, tdo_node raw, bool u8,
                             tdo_node keys);

/* Pixels through every row that preprocesses. */
tdo_node tdo_defense_preprocess(const struct tdo_defenses *d, tdo_graph *g, tdo_node pixels);

/* The loss of each row of a step, [N]: that of its owner, and all penalties. s->goal and the
 * logits are made on the way. */
tdo_node tdo_defense_loss(const struct tdo_defenses *d, struct tdo_defense_step *s,
                          int classes);

/* What rows do to the weights behind the optimiser's update of a step. Errors: TDO_ERR_MEMORY.
 * Ranks: each for itself, with the same result. */
TDO_MUST tdo_err tdo_defense_after_step(const struct tdo_defenses *d, const tdo_params *params,
                                        uint32_t step);

/* Does a row of the list add noise afresh in each step, so that draws differ? */
bool tdo_defense_draws_differ(const struct tdo_defenses *d);

/* The row that wants an inner attack, NULL for none. */
const struct tdo_defense_use *tdo_defense_inner(const struct tdo_defenses *d);
/* The row that denoises, NULL for none. */
const struct tdo_defense_use *tdo_defense_denoising(const struct tdo_defenses *d);
/* The first row that adds Gaussian noise in front of the first convolution, and its deviation; NULL
 * for none. */
const struct tdo_defense_use *tdo_defense_input_noise(const struct tdo_defenses *d,
                                                      double *sigma);
/* The value of an option by its key; `neutral` where the row has no such option. */
double tdo_defense_value(const struct tdo_defense_use *use, const char *key, double neutral);
/* The same of an option that is a text; "" where the row has none. */
const char *tdo_defense_text(const struct tdo_defense_use *use, const char *key);

/* All rows with the values of their options, in list order, as JSON: what training depends on.
 * Owner of *out: caller. */
TDO_MUST tdo_err tdo_defense_settings(const struct tdo_defenses *d, tdo_json **out);

/* The rows that live in the network, as JSON for the model file; and back, as arguments for a
 * config over a schema that has the list. Owner of *out: caller. */
TDO_MUST tdo_err tdo_defense_describe(const struct tdo_defenses *d, tdo_json **out);
TDO_MUST tdo_err tdo_defense_recall(const tdo_json *description, tdo_config *c);

#endif
