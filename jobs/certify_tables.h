#ifndef TDO_JOBS_CERTIFY_TABLES_H
#define TDO_JOBS_CERTIFY_TABLES_H
/* What a certification leaves behind: votes.tsv, certify.tsv, and a table for people.
 *
 * votes.tsv    idx label select count hash            select, count: K integers with commas
 * certify.tsv  idx label predict radius correct time  as Cohen et al. 2019 have it, then
 *              p_lower n0 n verdict slack             radius and p_lower rounded down; n: the
 *                                                     draws behind it, where the image stopped */
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
    const tdo_votes *votes;              /* merged */
    const struct tdo_schedule *schedule; /* NULL: a fixed number of draws */
    const struct tdo_certificate *certificate;
};

/* Write both files into the run directory and print the table of certified accuracy to standard
 * output. Call on the root only. */
TDO_MUST tdo_err tdo_certify_tables_write(const struct tdo_certify_tables *t);

#endif
