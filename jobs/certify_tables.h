#ifndef TDO_JOBS_CERTIFY_TABLES_H
#define TDO_JOBS_CERTIFY_TABLES_H
/* What a certification leaves behind: votes.tsv, certify.tsv, and a table for people.
 *
 * votes.tsv    idx label select count hash            select, count: K integers with commas
 * certify.tsv  idx label predict radius correct time  as Cohen et al. 2019 have it, then
 *              p_lower n0 n verdict slack             radius and p_lower rounded down; n: the
 *                                                     draws behind it, where the image stopped */
#include <stdio.h>

#include "defenses/certifier.h"
#include "jobs/run.h"
#include "jobs/sampler.h"

struct tdo_certify_tables { /* all borrowed */
    const struct tdo_run *run;
    const struct tdo_images *images;
    const struct tdo_sampler_options *sampling;
    const struct tdo_certify_options *options;
    const struct tdo_certifier *certifier;
    const struct tdo_network *network;
    const tdo_votes *votes; /* merged */
    const struct tdo_schedule *schedule;
    bool sequential, hash; /* not a fixed number of draws; hashes go into votes.tsv */
    const struct tdo_certificate *certificate;
};

/* Write both files into the run directory and print the table of certified accuracy to standard
 * output. Call on the root only. */
TDO_MUST tdo_err tdo_certify_tables_write(const struct tdo_certify_tables *t);

/* The table of certified accuracy for people, at radii 0, 0.25, ..., with the average radius. radius:
 * -1 where the class is wrong, or none. Shapes: radius [images]. */
void tdo_certify_tables_accuracy(FILE *to, const double *radius, int64_t images,
                                 int64_t abstained);

#endif
