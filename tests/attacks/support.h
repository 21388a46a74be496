#ifndef TDO_TESTS_ATTACKS_SUPPORT_H
#define TDO_TESTS_ATTACKS_SUPPORT_H
/* What the suites of attacks share: small fixed networks, targets over them, samples, and rows in
 * use with options as text.
 *
 *     struct toy *toy = toy_new(&(struct toy_spec){.kind = TOY_CONV});
 *     struct toy_batch *b = toy_batch(toy, 8, 1);                    images, labels, ids
 *     struct tdo_attack_use use;
 *     toy_use("pgd", "eps=0.1 steps=5", &use);
 *     toy_attack(toy, &use, b);                                      b->s.found
 *
 * toy_logits and toy_jacobian say the same in double, by the reference kernels. */
#include "attacks/attack.h"
#include "nn/params.h"
#include "tests/runner.h"

enum toy_kind {
    TOY_LINEAR, /* W x + b, "out.weight" [K,P] over pixels in the order of memory, "out.bias" [K] */
    TOY_SMOOTH, /* one hidden layer of 12 tanh */
    TOY_MLP,    /* one hidden layer of 24 ReLU */
    TOY_CONV    /* 3x3 convolution to 8 channels, ReLU, 2x2 maximum, linear */
};

/* What is 0 takes the usual value. */
struct toy_spec {
    enum toy_kind kind;
    int64_t height, width, channels; /* 6 x 6 x 1 */
    int classes;                     /* 5 */
    int members;                     /* 1; networks of different weights */
    uint32_t seed;                   /* of the weights; 1 */
    double gain;                     /* the last weights are that much larger; 4 */
    double sigma;                    /* noise on the pixels, keyed by row; 0: none */
    bool auxiliary;                  /* a linear auxiliary head */
    int inputs; /* an input layer (x - mean) / std in front: 0, 1, channels */
};

struct toy {
    struct toy_spec spec;
    int64_t size; /* P */
    tdo_params *params;
    struct tdo_target_network net; /* what tdo_target_new takes */
};

/* Fails the test if it cannot be made. Owner: caller. */
struct toy *toy_new(const struct toy_spec *spec);
void toy_free(struct toy **toy);
/* Values of a parameter, to be overwritten before there is a target; of member 0. */
float *toy_values(const struct toy *toy, const char *name);

/* Logits [n,K] at pixels [n,P], and their Jacobian [n,K,P], in double; of the mean of the members,
 * without noise. */
void toy_logits(const struct toy *toy, int64_t n, const double *x, double *logits);
void toy_jacobian(const struct toy *toy, int64_t n, const double *x, double *jacobian);

/* Images of uniform pixels, labels as the network classifies them, ids from 100; in pixels. The
 * storage behind `s`. */
struct toy_batch {
    struct tdo_samples s;
    float *x, *found;
    int32_t *label, *aim, *target;
    uint64_t *id, *queries, *gradients;
    bool *done;
};
struct toy_batch *toy_batch(const struct toy *toy, int64_t count, uint32_t seed);
void toy_batch_free(struct toy_batch **b);
/* `count` samples of b from `first` on, as a batch of their own. Owner: caller. */
struct toy_batch *toy_part(const struct toy *toy, const struct toy_batch *b, int64_t first,
                           int64_t count);

/* A target of that batch size over the network, with the options of a row in use; use NULL: one
 * draw, mean loss, pixels in the box. */
tdo_target *toy_target(const struct toy *toy, int64_t batch, const struct tdo_attack_use *use);

/* A row in use, seed 7, options "key=value key=value". Texts stay until toy_use_free, which ends
 * all of them. Fails the test when the options are refused. */
void toy_use(const char *row, const char *options, struct tdo_attack_use *use);
void toy_use_free(void);

/* Check, run, give back: the samples of b (in pixels; converted to the row's units and back) as
 * the attack leaves them. Fails the test on an error. */
void toy_attack(const struct toy *toy, const struct tdo_attack_use *use, struct toy_batch *b);

/* What was found for b: the same, in bytes and counts, in batches of `batch`? */
bool toy_same_in_batches(const struct toy *toy, const struct tdo_attack_use *use,
                         const struct toy_batch *b, int64_t batch);

/* Logits and class to leave: how far is it past the border? In double, at one image. */
double toy_margin(const struct toy *toy, const float *x, int32_t label);
/* The distance of x from the border of its class, of TOY_LINEAR: by its planes. */
double toy_plane(const struct toy *toy, const float *x, int32_t label);
/* Classes in double, at n images of floats; at one. */
void toy_classes(const struct toy *toy, int64_t n, const float *x, int32_t *class);
int toy_class(const struct toy *toy, const float *x);
/* A number in [0,1), a function of (seed, i), exact in f32. */
double toy_number(uint32_t seed, int64_t i);

#endif
