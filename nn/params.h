#ifndef TDO_PARAMS_H
#define TDO_PARAMS_H
/* Parameters of a network: flat blocks and a table.
 *
 * All weights lie in one block of floats, all buffers (running statistics) in another, and what
 * training leaves alone (a mean image) in a third; the table maps a name to offset and shape. Optimiser, gradient exchange and checkpoint each handle flat
 * arrays. Names and orders are PyTorch's state dict's ([K,C,KH,KW], [out,in]), so files go both
 * ways. Building the same model again (another batch, evaluation mode) finds the entries that
 * are there; values get their memory once, when they are first asked for. */
#include "nn/base/memory.h"
#include "nn/base/shape.h"

enum tdo_param_kind { TDO_PARAM_WEIGHT, TDO_PARAM_BUFFER, TDO_PARAM_FIXED, TDO_PARAM_KINDS };

/* How a parameter starts. */
enum tdo_init {
    TDO_INIT_ZERO,
    TDO_INIT_ONE,
    TDO_INIT_FAN_IN_UNIFORM, /* U(-1/sqrt(fan_in), ..): PyTorch's default of linear and conv */
    TDO_INIT_GLOROT_UNIFORM, /* U(-sqrt(6/(fan_in+fan_out)), ..): Glorot and Bengio 2010, eq. 16 */
    TDO_INIT_KAIMING_NORMAL, /* N(0, 2/fan_out): He et al. 2015, section 2.2 */
    TDO_INIT_KAIMING_IN,     /* N(0, 2/fan_in): there, eq. 10 */
    TDO_INIT_TRUNCATED,      /* N(0, 0.01), drawn again beyond two deviations, 0.2 */
    TDO_INIT_TENTH,          /* 0.1 */
    TDO_INIT_SMALL,          /* N(0, 0.02^2) */
    TDO_INIT_NEAR_ONE,       /* N(1, 0.02^2) */
    TDO_INIT_VALUE           /* `start`; takes no number of its own, so that the others start as
                                they would without it */
};

struct tdo_param {
    const char *name;
    tdo_shape shape;
    enum tdo_param_kind kind;
    enum tdo_init init;
    bool norm;     /* scale or shift of a normalisation */
    bool no_decay; /* weight decay leaves it alone, whatever the optimiser's options say */
    int64_t fan_in, fan_out;
    double start;          /* of TDO_INIT_VALUE */
    const char *owner;     /* name of the defense whose it is, a constant; NULL: the model's */
    int64_t offset, count; /* floats, in the block of its kind */
};

typedef struct tdo_params tdo_params;

TDO_MUST tdo_err tdo_params_new(tdo_params **out);
void tdo_params_free(tdo_params **p);

/* The index of the entry `name`, added if it is not there. Errors: TDO_ERR_SHAPE if it is there
 * with another shape; TDO_ERR_BUG when values have their memory already. */
TDO_MUST tdo_err tdo_params_add(tdo_params *p, const struct tdo_param *entry, int64_t *index);
int64_t tdo_params_find(const tdo_params *p, const char *name); /* -1 if absent */
/* Is the entry `name` one of `list`: names, or beginnings of names up to a dot ("conv1, fc.bias"),
 * comma-separated? */
bool tdo_params_listed(const char *list, const char *name);
/* TDO_ERR_CONFIG when a word of `list` names none of the weights, naming those that exist. */
TDO_MUST tdo_err tdo_params_check_list(const tdo_params *p, const char *list);
int64_t tdo_params_entries(const tdo_params *p);
const struct tdo_param *tdo_params_at(const tdo_params *p, int64_t index);
int64_t tdo_params_count(const tdo_params *p, enum tdo_param_kind kind); /* floats of a block */

/* Before there are values: the weights of convolutions and matrices will start with N(0, 0.02^2), the
 * scales of normalisations with N(1, 0.02^2). What defenses own keeps its start.
 * Source: Radford et al. 2016, section 4; the code of Liu et al. 2018. */
void tdo_params_start_small(tdo_params *p);

/* Give the values their memory and starting values; a function of (seed, index) alone, where the
 * index leaves out entries with TDO_INIT_VALUE. */
TDO_MUST tdo_err tdo_params_init(tdo_params *p, uint32_t seed);
/* A block / the values of an entry; NULL before tdo_params_init. Borrowed. */
float *tdo_params_block(const tdo_params *p, enum tdo_param_kind kind);
float *tdo_params_values(const tdo_params *p, int64_t index);
/* The same, as a plan wants it (plan.h); context is the tdo_params. */
const float *tdo_params_for_plan(const void *context, int64_t index);

/* TDO_ERR_NUMERIC naming the first entry that holds a NaN or an infinity. */
TDO_MUST tdo_err tdo_params_check_finite(const tdo_params *p);

#endif
