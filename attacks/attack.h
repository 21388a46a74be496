#ifndef TDO_ATTACKS_ATTACK_H
#define TDO_ATTACKS_ATTACK_H
/* Attacks: one attack is one file with one row of attacks.def.
 *
 * A row says what the attack needs and returns, and how it runs: a loop on the host around the
 * questions of a target (target.h), over a batch of samples. Randomness is keyed by sample, so
 * what becomes of a sample depends neither on its batch nor on the rank that holds it.
 *
 * Options are a table of each row. The macros below are the rows of that table which several
 * attacks share; shared code finds an option by its key, and what a row has not takes the neutral
 * value that the reader gives. */
#include "attacks/target.h"
#include "nn/base/config.h"
#include "nn/base/options.h"

enum {
    TDO_ATTACK_VALUES = 48,
    TDO_ATTACK_MAX = 64,
    TDO_ATTACK_LISTS = 4,
    TDO_ATTACK_ITEMS = 64
};

enum tdo_needs { TDO_NEEDS_NOTHING, TDO_NEEDS_SCORES, TDO_NEEDS_GRADIENT };
/* last: the point where it ends, as some are published; best: the best one that it met. */
enum tdo_returns { TDO_RETURNS_LAST, TDO_RETURNS_BEST };

struct tdo_attack_use;

struct tdo_attack {
    const char *name, *help, *cite;
    const struct tdo_option *options; /* NULL-key-ended */
    enum tdo_needs needs;
    enum tdo_returns returns;
    bool ball;      /* keeps within eps; else it looks for a small norm */
    bool iterative; /* climbs a gradient in steps */
    /* Do the values fit each other and the target? TDO_ERR_CONFIG naming the key. NULL: always. */
    tdo_err (*check)(const struct tdo_attack_use *use, const tdo_target *t);
    tdo_err (*run)(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s);
};

extern const struct tdo_attack *const tdo_attack_table[];   /* NULL-ended */
const struct tdo_attack *tdo_attack_find(const char *name); /* NULL if absent */
/* The list as options.h wants it. */
const char *tdo_attack_name(int i);
const struct tdo_option *tdo_attack_options(int i);

/* A row in use. */
struct tdo_attack_use {
    const struct tdo_attack *row;
    char key[64]; /* "attack.0": where its options stand, for messages */
    uint32_t seed;
    int index;       /* position in the list: keeps the randomness of two rows apart */
    uint32_t moment; /* < 2^24: the step of the training that attacks, for new randomness; 0 */
    struct tdo_threat threat;
    struct tdo_target_options
        target; /* draws, reduce, redraw, units, box; the batch is the caller's */
    struct tdo_attack_list {
        const char *key;
        int count;
        double of[TDO_ATTACK_ITEMS];
    } list[TDO_ATTACK_LISTS];  /* of options that are lists; of eps threat.eps is the first */
    const char *models, *from; /* texts of the options of that name, "" without; borrowed */
    double value[TDO_ATTACK_VALUES]; /* of row->options; choices as their index */
};

/* Take the row `registry` whose options stand under `key` of a config.
 * Errors: TDO_ERR_CONFIG naming the key. Owner: the config keeps the texts. */
TDO_MUST tdo_err tdo_attack_read(const tdo_config *c, const char *key, int registry,
                                 uint32_t seed, int index, struct tdo_attack_use *out);

/* The value of an option by its key; `neutral` where the row has no such option. */
double tdo_attack_value(const struct tdo_attack_use *use, const char *key, double neutral);

/* Has the row an option of this key? */
bool tdo_attack_has(const struct tdo_attack_use *use, const char *key);
/* The numbers of an option that is a list; NULL where the row has no such option. */
const struct tdo_attack_list *tdo_attack_list(const struct tdo_attack_use *use,
                                              const char *key);

/* The eps of sample `id`: threat.eps, or with eps_from (ifgsm: vary) a number between that and
 * threat.eps, uniform, keyed by sample; of eps_grid a multiple. HUGE_VAL without a ball. */
double tdo_attack_eps(const struct tdo_attack_use *use, uint64_t id);

/* Can this attack run on this target? Errors: TDO_ERR_CONFIG naming key and remedy. */
TDO_MUST tdo_err tdo_attack_check(const struct tdo_attack_use *use, const tdo_target *t);

/* Attack the samples: s->found, s->target, and what was spent. Sets up s->aim and s->done itself.
 * Errors: those of the target; TDO_ERR_MEMORY. Ranks: not collective. */
TDO_MUST tdo_err tdo_attack_run(const struct tdo_attack_use *use, tdo_target *t,
                                struct tdo_samples *s);

/* Is none of the samples to be asked about any more? */
bool tdo_attack_all_done(const struct tdo_samples *s);

/* For people: "pgd linf 0.3", "pgd linf 0.1 to 0.3", "cw l2 c 0.1 to class 3", "transfer of RUN",
 * "fgsm linf 0.1 on RUN". */
struct tdo_text tdo_attack_title(const struct tdo_attack_use *use);

/* n uniforms in [0,1), n normals: draw number `draw` of sample `id`, for the attack's own use.
 * Streams of an attack differ by `layer`, 0 to 15. */
void tdo_attack_uniforms(const struct tdo_attack_use *use, int layer, uint64_t id,
                         uint32_t draw, int64_t n, float *out);
void tdo_attack_normals(const struct tdo_attack_use *use, int layer, uint64_t id, uint32_t draw,
                        int64_t n, float *out);

/* ---- option rows that attacks share ------------------------------------------------------------ */

#define TDO_ATTACK_INT(k, lo, hi, v, u, h)                                                     \
    {                                                                                          \
        .key = (k), .type = TDO_OPTION_INT, .min = (lo), .max = (hi), .value = (v),            \
        .unit = (u), .help = (h)                                                               \
    }
#define TDO_ATTACK_REAL(k, lo, hi, v, u, h)                                                    \
    {                                                                                          \
        .key = (k), .type = TDO_OPTION_REAL, .min = (lo), .max = (hi), .value = (v),           \
        .unit = (u), .help = (h)                                                               \
    }
#define TDO_ATTACK_CHOICE(k, c, v, h)                                                          \
    {                                                                                          \
        .key = (k), .type = TDO_OPTION_CHOICE, .choices = (c), .value = (v), .help = (h)       \
    }
#define TDO_ATTACK_BOOL(k, v, h)                                                               \
    {                                                                                          \
        .key = (k), .type = TDO_OPTION_BOOL, .value = (v), .help = (h)                         \
    }

#define TDO_ATTACK_NORM(norms, usual)                                                          \
    TDO_ATTACK_CHOICE("norm", norms, usual, "how a perturbation is measured")
#define TDO_ATTACK_EPS(usual)                                                                  \
    {                                                                                          \
        .key = "eps", .type = TDO_OPTION_REALS, .min = 0, .max = 1e6, .value = (usual),        \
        .unit = "in units", .help = "radius of the ball; several make an attack each"          \
    }
#define TDO_ATTACK_RANGE                                                                       \
    TDO_ATTACK_REAL("eps_from", 0, 1e6, "0", "in units",                                       \
                    "each image draws its eps from here to eps; 0: all have eps"),             \
        TDO_ATTACK_REAL("eps_grid", 0, 1e6, "0", "in units",                                   \
                        "with eps_from: multiples of this alone, as 1/255; 0: any number")
#define TDO_ATTACK_SPACE(box)                                                                  \
    TDO_ATTACK_CHOICE(                                                                         \
        "units", "pixel|input", "pixel",                                                       \
        "what norms and steps are measured in: pixels in 0..1, or behind the input layer"),    \
        TDO_ATTACK_CHOICE("box", "pixel|none", box, "keep pixels in 0..1, or clip nowhere")
#define TDO_ATTACK_DRAWS(draws, reduce, redraw)                                                \
    TDO_ATTACK_INT("draws", 1, 65536, draws, "draws",                                          \
                   "of a random target, for each question"),                                   \
        TDO_ATTACK_CHOICE("reduce", "loss|probability|logits", reduce,                         \
                          "what is averaged over the draws"),                                  \
        TDO_ATTACK_CHOICE("redraw", "step|attack", redraw,                                     \
                          "noise is new in each step, or stays during the attack")
#define TDO_ATTACK_SOURCE                                                                      \
    {.key = "models",                                                                          \
     .type = TDO_OPTION_TEXT,                                                                  \
     .value = "",                                                                              \
     .help = "model files or run directories between commas to craft on, as an ensemble by "   \
             "mean logits; empty: the target itself"},                                         \
        TDO_ATTACK_REAL("auxiliary", 0, 1000, "0.4", NULL,                                     \
                        "weight of the loss of auxiliary heads, where models have them")

#endif
