#ifndef TDO_JOBS_TAPS_H
#define TDO_JOBS_TAPS_H
/* What a network computes on its way to the logits: the values at all places that its model names
 * (tdo_layer_tap; `testudo info` lists them), for some rows of pixels at a time. Of the network by
 * itself, whatever stands in front of it in use. */
#include "jobs/network.h"

typedef struct tdo_taps tdo_taps;

/* noise: are noise layers active? Rows with one id then draw alike.
 * Errors: those of building the network and the plan. Ranks: not collective. Owner: caller,
 * tdo_taps_free; n is borrowed. */
TDO_MUST tdo_err tdo_taps_new(struct tdo_network *n, int64_t rows, bool noise, tdo_taps **out);
void tdo_taps_free(tdo_taps **t);

/* Places that differ, in order of the network; the last one is the logits. */
int tdo_taps_count(const tdo_taps *t);
const char *tdo_taps_name(const tdo_taps *t, int k);
int64_t tdo_taps_size(const tdo_taps *t, int k); /* values of a row */

/* Pixels of all rows, to be filled in: row r begins at r * P. Borrowed. */
float *tdo_taps_pixels(tdo_taps *t);
/* Run it; id [rows] keys what is random. Errors: those of the plan. */
TDO_MUST tdo_err tdo_taps_run(tdo_taps *t, const uint64_t *id);
/* Values of row r at place k, of the latest run. Borrowed. */
const float *tdo_taps_of(const tdo_taps *t, int k, int64_t row);

#endif
