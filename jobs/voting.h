#ifndef TDO_JOBS_VOTING_H
#define TDO_JOBS_VOTING_H
/* The classifier that a random network is in use: noise in front of it, so many draws an image, and
 * a rule that makes them one answer (defenses/vote.h). The options vote.* say all of it, and mean the
 * same in evaluate, predict and attack:
 *
 *     pixels ── + sigma N ──► network, its own noise ──► logits, draw j ──► rule ──► class
 *
 * Draw j of an image has the key {row of the data, j, TDO_PURPOSE_JUDGE} and real Gaussian noise of
 * the seed, in all three. So evaluate, predict and the first judgement of attack (of the clean images)
 * say the same of an image, whatever the batch and the ranks. */
#include "defenses/vote.h"
#include "jobs/network.h"

struct tdo_voting {
    struct tdo_vote vote;
    bool random;            /* is anything drawn? */
    int draws;              /* 1 where nothing is */
    bool quiet;             /* noise layers inside the network are off */
    struct tdo_noise noise; /* in front; sigma 0: none */
};

/* vote.* of a config, for this network. Errors: TDO_ERR_CONFIG naming the key; those of building the
 * network. Ranks: not collective. */
TDO_MUST tdo_err tdo_voting_read(const tdo_config *c, struct tdo_network *n,
                                 struct tdo_voting *out);

/* The keys rule, draws, ... of a classifier that votes; none of one that does not. */
void tdo_voting_describe(const struct tdo_voting *v, tdo_json *j);

/* All that answers depend on, exactly, in a few words: for the context of a ledger. size: as below. */
void tdo_voting_key(const struct tdo_voting *v, char *text, size_t size);

/* For people: "soft vote of 64 draws, sigma 0.25 std", or "without noise". size: bytes at text. */
void tdo_voting_print(const struct tdo_voting *v, char *text, size_t size);

#endif
