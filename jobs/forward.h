#ifndef TDO_JOBS_FORWARD_H
#define TDO_JOBS_FORWARD_H
/* Clean inference: images in, logits out; rows shared out over the ranks, and what comes of them is
 * the same for any number of ranks and any batch.
 *
 *     tdo_forward_new(net, u8, batch, &f)        a plan for `batch` rows, each image asked once
 *     tdo_forward_new_voting(..., voting, &f)    the same, each image asked voting->draws times
 *     tdo_forward_touch(f)                       after the network's parameters changed
 *     tdo_forward_mine(comm, images)             the images of this rank
 *     tdo_forward_rows(f, images, range, ...)    their logits, one row at a time
 *     tdo_forward_ask(comm, f, images, ...)      what it says of all images, on every rank; resumed
 *     tdo_forward_score(comm, f, images, ...)    accuracy and loss over all ranks; resumed
 *
 * Normalisation uses running statistics. A network with randomness inside draws it by the key
 * {sample = row of the data}, or, where it votes, by the keys of voting.h; so a row has the same
 * logits whoever computes it, and when. Draws of an image are added up in order by one rank. */
#include "jobs/images.h"
#include "jobs/voting.h"
#include "mpi/shard.h"
#include "nn/base/log.h"

typedef struct tdo_forward tdo_forward;

/* Errors: those of building the plan; local, agree on them. Ranks: not collective.
 * Owner:  caller; n is borrowed, its parameters are read when a plan runs. */
TDO_MUST tdo_err tdo_forward_new(struct tdo_network *n, bool u8, int64_t batch,
                                 tdo_forward **out);
/* voting: borrowed. Where it is not random the network is asked once. */
TDO_MUST tdo_err tdo_forward_new_voting(struct tdo_network *n, bool u8, int64_t batch,
                                        const struct tdo_voting *voting, tdo_forward **out);
void tdo_forward_free(tdo_forward **f);

/* The network's parameters have changed. */
void tdo_forward_touch(tdo_forward *f);

/* At most `most` images for a batch, few enough that every rank has some. */
int64_t tdo_forward_fit(const tdo_comm *comm, const struct tdo_images *im, int64_t most);

/* Show how far a pass is on this line from now on; NULL: show nothing, as at first. Borrowed. */
void tdo_forward_show(tdo_forward *f, struct tdo_progress *progress);

/* What the network says about one image. */
struct tdo_forward_row {
    int64_t image, row; /* image i of the choice, its row in the data */
    int32_t label;      /* -1 if it has none */
    int classes;
    const float *logits; /* [classes], borrowed until return; of the last draw */
    /* Of a network that votes, else NULL: [classes] scores of all draws, and how many draws had
     * each class as their own prediction; borrowed until return. */
    const struct tdo_voting *voting;
    const double *score;
    const int64_t *votes;
    const uint32_t *right; /* [TDO_VOTE_RULES], as in tdo_forward_answer */
};

/* Takes one row. An error ends the pass and is handed on. */
typedef tdo_err (*tdo_forward_visit)(void *user, const struct tdo_forward_row *r);

/* Run images [mine.first, mine.end) in order and hand each to `visit`.
 * Errors: reading errors; TDO_ERR_NUMERIC naming the row of a logit that is not finite; those of
 *         visit. Ranks: not collective, errors are local. */
TDO_MUST tdo_err tdo_forward_rows(tdo_forward *f, const struct tdo_images *im,
                                  struct tdo_range mine, tdo_forward_visit visit, void *user);

/* The images of this rank: neighbours, whole blocks of 16, so that partial sums of a block are
 * made by one rank. Empty where there are more ranks than blocks. Ranks: not collective. */
struct tdo_range tdo_forward_mine(const tdo_comm *comm, const struct tdo_images *im);

/* Lowest index of a largest logit, or of a largest score. */
int tdo_forward_predict(const struct tdo_forward_row *r);
/* -log softmax(logits)[class], in double; of a network that votes -log of the class's share, NaN if
 * that is no probability. */
double tdo_forward_loss(const struct tdo_forward_row *r, int class);
/* Its probability by softmax; of a network that votes its share of the vote. */
double tdo_forward_share(const struct tdo_forward_row *r, int class);
/* Classes that come before this one when sorted by falling logit or score, equal ones by index: 0 for the
 * prediction. */
int tdo_forward_place(const struct tdo_forward_row *r, int class);

/* What the network says about one image, in numbers that ranks add up. */
struct tdo_forward_answer {
    int32_t label,
        predict;        /* label: -1 if it has none, then place is -1, hits and loss are 0 */
    int32_t place;      /* of the label */
    int32_t hits;       /* draws of a network that votes whose own prediction is the label */
    double loss, share; /* of the label; of the prediction */
    /* Of a network that votes: bit k is set where the first 2^k draws, and the last bit where all of
     * them, give the label by this rule. */
    uint32_t right[TDO_VOTE_RULES], none; /* none: 0, for a size of whole words */
};
enum { TDO_FORWARD_ALL = 31 }; /* the last bit; vote.draws is below 2^31 */

/* Where answers of a network that votes are kept as they are made, so that a killed job goes on:
 * the ledger (mpi/ledger.h) in the directory dir, which is there. context: a hash of all that answers
 * depend on; not the batch, nor how many images. */
struct tdo_forward_ledger {
    const char *dir;
    uint64_t context;
};

/* Ask about all images of the choice. A network that votes is asked by batches that are handed out
 * to the ranks, and not about images whose answers are in the ledger.
 *
 * where:  NULL: nothing is kept; equal on all ranks. Of no use where the network is asked once.
 * Shapes: *out [images], on every rank.
 * Errors: those of tdo_forward_rows and of the ledger; TDO_ERR_BUG for a label that is no class;
 *         agreed. Ranks: collective. Owner of *out: caller, tdo_memory_free. */
TDO_MUST tdo_err tdo_forward_ask(tdo_comm *comm, tdo_forward *f, const struct tdo_images *im,
                                 const struct tdo_forward_ledger *where,
                                 struct tdo_forward_answer **out);

/* How well a network does. A class counts the images that have it as their label. */
struct tdo_score {
    int classes;
    int64_t rows, correct, top5;
    double loss;  /* mean cross entropy; NaN of a rule without one */
    int draws;    /* of an image; 0: the network does not vote */
    int64_t hits; /* draws that were correct, each for itself, of all images */
    /* Images that the first 2^k draws (k = TDO_FORWARD_ALL: all of them) get right, by rule. */
    int64_t right[TDO_VOTE_RULES][TDO_FORWARD_ALL + 1];
    struct tdo_score_class {
        int64_t rows, correct, top5;
    } * of; /* [classes] */
};

/* Score the network on all images of the choice, all of which have labels; `where` as above. Counts
 * are exact; the loss is summed by blocks of 16 images, each in order, then the blocks in order: the
 * same bits for any number of ranks.
 * Errors: those of tdo_forward_ask. Ranks: collective; the result is on all ranks.
 * Owner:  caller, tdo_score_free. */
TDO_MUST tdo_err tdo_forward_score(tdo_comm *comm, tdo_forward *f, const struct tdo_images *im,
                                   const struct tdo_forward_ledger *where,
                                   struct tdo_score **out);
void tdo_score_free(struct tdo_score **s);

#endif
