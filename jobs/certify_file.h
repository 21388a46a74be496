#ifndef TDO_JOBS_CERTIFY_FILE_H
#define TDO_JOBS_CERTIFY_FILE_H
/* What a certification hands on to those who check it: certificates.h5 (jobs/certificates.h).
 *
 * Counts by block come from the ledger, where every rank has recorded its blocks; blocks beyond
 * the draws of a certificate are left out. */
#include "jobs/certify_tables.h"

/* Write the file into the run directory; note in run.json how many samples the certificates rest
 * on, and how many all starts have drawn.
 * Errors: those of the ledger, TDO_ERR_FILE; TDO_ERR_BUG when blocks and votes disagree.
 * Ranks:  collective; errors are agreed. */
TDO_MUST tdo_err tdo_certify_file_write(struct tdo_run *run, const struct tdo_certify_tables *t,
                                        tdo_sampler *s);

#endif
