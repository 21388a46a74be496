/* For verify.sh: a liar's tool. Reads certificates.h5, changes one thing, and writes the file with a
 * hash and a seal that fit.
 *
 *   forge <from> <to> radius    a radius a little larger
 *   forge <from> <to> label     another label
 *   forge <from> <to> vote      one vote of one block goes to another class, and everything that
 *                               follows from the counts is computed anew: only the network knows
 *   forge <from> <to> isa       another instruction set */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "defenses/certifier.h"
#include "defenses/sequential.h"
#include "jobs/certificates.h"

/* Bounds of image i by its counts; its decision stays. */
static tdo_err decide(struct tdo_certificates *c, int64_t i)
{
    const int class = tdo_certifier_class(c->select + i * c->classes, (int)c->classes);
    struct tdo_sequential_report r;
    TDO_TRY(tdo_sequential_report(&c->schedule, c->look[i],
                                  (int64_t)c->count[i * c->classes + class], &r));
    c->p_lower[i] = r.p_lower;
    c->radius[i] = c->verdict[i] == TDO_VERDICT_ABSTAIN ? 0 : r.radius;
    return TDO_OK;
}

/* The first block of estimation with votes for two classes: one vote from the first to the
 * second. */
static tdo_err move_vote(struct tdo_certificates *c)
{
    int64_t block = 0, entry = 0;
    for (int64_t i = 0; i < c->images; i++) {
        const int64_t select = tdo_certificates_blocks(c, c->n0);
        const int64_t all = tdo_certificates_image_blocks(c, i);
        for (int64_t k = 0; k < all; k++, block++) {
            if (k >= select && c->block_entries[block] >= 2 && c->vote_count[entry] > 1) {
                c->vote_count[entry]--;
                c->vote_count[entry + 1]++;
                c->count[i * c->classes + c->vote_class[entry]]--;
                c->count[i * c->classes + c->vote_class[entry + 1]]++;
                return decide(c, i);
            }
            entry += c->block_entries[block];
        }
    }
    return TDO_FAIL(TDO_ERR_FORMAT, "no block has votes for two classes");
}

static tdo_err forge(struct tdo_certificates *c, const char *what)
{
    if (strcmp(what, "radius") == 0) {
        c->radius[0] = nextafter(c->radius[0], 100);
        return TDO_OK;
    }
    if (strcmp(what, "label") == 0) {
        c->label[0] = (int32_t)((c->label[0] + 1) % c->classes);
        return TDO_OK;
    }
    if (strcmp(what, "isa") == 0) {
        return tdo_certificates_text(&c->instruction_set, "another");
    }
    return move_vote(c);
}

int main(int argc, char **argv)
{
    struct tdo_certificates c;
    struct tdo_certificates_found found;
    if (argc != 4) {
        return 2;
    }
    tdo_err err = tdo_certificates_read(argv[1], &c, &found);
    if (err == TDO_OK) {
        err = forge(&c, argv[3]);
    }
    if (err == TDO_OK) {
        err = tdo_certificates_write(&c, argv[2]);
    }
    if (err != TDO_OK) {
        fprintf(stderr, "forge: %s\n", tdo_error_last()->message);
    }
    tdo_certificates_free(&c);
    return err == TDO_OK ? 0 : 1;
}
