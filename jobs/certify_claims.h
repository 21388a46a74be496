#ifndef TDO_JOBS_CERTIFY_CLAIMS_H
#define TDO_JOBS_CERTIFY_CLAIMS_H
/* What certificates claim: each in a sentence, all of them together, and how close they came.
 *
 * verdicts.tsv  idx verdict stop look linf guarantee      a sentence that names the guarantee;
 *                                                         linf: the radius in the largest
 *                                                         coordinate, by conversion of norms
 * claims.tsv    radius right bonferroni holm at_least independent lower upper
 *                                                         right images with that radius: each for
 *                                                         itself; named images, all of them
 *                                                         truly; how many of the split truly;
 *                                                         what the choice of images leaves open
 * p_lower.tsv   z_from z_to p_from p_to images right      histogram of lower bounds on the vote
 *                                                         probability p, in steps of Phi^-1(p)
 *
 * Statements about many images hold with probability 1 - certify.rho, each column for itself at
 * each radius. The proofs are in defenses/README.md. */
#include "jobs/certify_tables.h"

/* Write the three files. *people: the second one as a text for people, on the root; owner: caller,
 * tdo_memory_free.
 * Errors: TDO_ERR_MEMORY, TDO_ERR_FILE; reading labels.
 * Ranks:  collective (radii are shared out); votes are read on the root; errors are agreed. */
TDO_MUST tdo_err tdo_certify_claims_write(const struct tdo_certify_tables *t, double rho,
                                          char **people);

#endif
