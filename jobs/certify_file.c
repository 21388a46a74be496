/* From votes and verdicts to certificates.h5. See certify_file.h. */
#include "jobs/certify_file.h"

#include <stdlib.h>
#include <string.h>

#include "defenses/certifier.h"
#include "jobs/certificates.h"
#include "nn/kernels/blas.h"
#include "nn/kernels/onednn.h"

enum { MOST_BLOCKS = 256 }; /* of estimation, of an image with all its draws */

/* Votes for one class in one block. */
struct entry {
    int64_t block;
    int32_t class, count;
};

struct gathering {
    const struct tdo_certify_tables *t;
    struct tdo_certificates *c;
    int64_t *first; /* [images] the first block of each */
    struct entry *entry;
    int64_t entries, room;
};

/* ---- what is known without the ledger ---------------------------------------------------- */

static tdo_err set_texts(const struct tdo_certify_tables *t, struct tdo_certificates *c)
{
    TDO_TRY(tdo_certificates_text(&c->version, TDO_VERSION));
    TDO_TRY(tdo_certificates_text(&c->generator, TDO_RNG_VERSION));
    TDO_TRY(tdo_certificates_text(&c->precision, tdo_network_precision(t->network)));
    TDO_TRY(tdo_certificates_text(&c->instruction_set, t->run->isa));
    TDO_TRY(tdo_certificates_text(&c->convolution, tdo_onednn_version()));
    TDO_TRY(tdo_certificates_text(&c->blas_core, tdo_blas_core()));
    TDO_TRY(tdo_certificates_text(&c->model, t->network->model->name));
    TDO_TRY(tdo_certificates_text(&c->split, tdo_dataset_split_name(t->images->split)));
    TDO_TRY(tdo_certificates_text(&c->certifier, t->certifier->name));
    return tdo_certificates_text(&c->noise, tdo_certificates_noise_name(t->sampling->law));
}

static void set_numbers(const struct tdo_certify_tables *t, struct tdo_certificates *c)
{
    const int64_t step = t->sampling->block > 0 ? t->sampling->block : 512;
    const int64_t most = MOST_BLOCKS * step;
    c->data_hash = t->images->hash;
    c->split_images = t->images->rows;
    c->skip = t->images->skip;
    c->height = t->images->height;
    c->width = t->images->width;
    c->channels = t->images->channels;
    c->seed = t->sampling->seed;
    c->n0 = t->options->n0;
    c->block = (t->options->n + most - 1) / most * step;
}

static tdo_err set_image(const struct tdo_certify_tables *t, int64_t i,
                         struct tdo_certificates *c)
{
    const struct tdo_certificate *x = &t->certificate[i];
    const int64_t K = c->classes, row = tdo_images_row(t->images, i);
    const size_t bytes = (size_t)K * sizeof *c->count;
    TDO_TRY(tdo_images_read(t->images, &row, 1, NULL, &c->label[i]));
    c->idx[i] = row;
    c->n[i] = x->n;
    c->predict[i] = x->predict;
    c->look[i] = tdo_certificates_look(&c->schedule, x->n);
    c->p_lower[i] = x->p_lower;
    c->radius[i] = x->radius;
    c->verdict[i] = (uint8_t)x->verdict;
    c->stop[i] = (uint8_t)tdo_certificates_stop(&c->schedule, c->look[i],
                                                x->verdict == TDO_VERDICT_CERTIFIED);
    c->hash[i] = tdo_votes_hash(t->votes, i);
    memcpy(c->select + i * K, tdo_votes_counts(t->votes, i, TDO_VOTES_SELECT), bytes);
    memcpy(c->count + i * K, tdo_votes_counts(t->votes, i, TDO_VOTES_COUNT), bytes);
    return TDO_OK;
}

static tdo_err begin(struct gathering *g)
{
    const struct tdo_certify_tables *t = g->t;
    struct tdo_certificates *c = g->c;
    TDO_TRY(tdo_certificates_new(t->images->count, t->network->spec.classes, t->schedule, c));
    TDO_TRY(set_texts(t, c));
    set_numbers(t, c);
    TDO_TRY(tdo_network_hash(t->network, &c->model_hash));
    TDO_TRY(tdo_memory_new(c->images, &g->first));
    for (int64_t i = 0; i < c->images; i++) {
        TDO_TRY(set_image(t, i, c));
        g->first[i] = c->blocks;
        c->blocks += tdo_certificates_image_blocks(c, i);
    }
    TDO_TRY(tdo_memory_new(c->blocks, &c->block_hash));
    return tdo_memory_new(c->blocks, &c->block_entries);
}

/* ---- blocks ------------------------------------------------------------------------------ */

static tdo_err add_entry(struct gathering *g, int64_t block, int class, uint64_t count)
{
    if (g->entries == g->room) {
        const int64_t room = 2 * g->room + 4096;
        TDO_TRY(tdo_memory_grow(g->room, room, &g->entry));
        g->room = room;
    }
    g->entry[g->entries++] = (struct entry){block, class, (int32_t)count};
    return TDO_OK;
}

/* On the root. Those beyond the decision are dropped. */
static tdo_err see_block(void *user, const struct tdo_sampler_block *b)
{
    struct gathering *g = user;
    struct tdo_certificates *c = g->c;
    const bool counts = b->purpose == TDO_VOTES_COUNT;
    if (counts && b->first >= c->n[b->image]) {
        return TDO_OK;
    }
    const int64_t at = g->first[b->image] + b->first / c->block +
                       (counts ? tdo_certificates_blocks(c, c->n0) : 0);
    c->block_hash[at] += b->hash;
    for (int k = 0; k < (int)c->classes; k++) {
        if (b->counts[k] > 0) {
            TDO_TRY(add_entry(g, at, k, b->counts[k]));
        }
    }
    return TDO_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->block != y->block) {
        return x->block < y->block ? -1 : 1;
    }
    return (x->class > y->class) - (x->class < y->class);
}

/* Sort the entries, add up those of one class in one block, and put them into the columns. */
static tdo_err fill_columns(struct gathering *g)
{
    struct tdo_certificates *c = g->c;
    if (g->entries > 0) {
        qsort(g->entry, (size_t)g->entries, sizeof *g->entry, by_place);
    }
    TDO_TRY(tdo_memory_new(g->entries, &c->vote_class));
    TDO_TRY(tdo_memory_new(g->entries, &c->vote_count));
    for (int64_t i = 0; i < g->entries; i++) {
        const struct entry *x = &g->entry[i];
        if (i == 0 || by_place(x - 1, x) != 0) {
            c->vote_class[c->entries++] = x->class;
            c->block_entries[x->block]++;
        }
        c->vote_count[c->entries - 1] += x->count;
    }
    return TDO_OK;
}

static tdo_err check_draws(const struct tdo_certificates *c)
{
    int64_t votes = 0, wanted = 0;
    for (int64_t i = 0; i < c->entries; i++) {
        votes += c->vote_count[i];
    }
    for (int64_t i = 0; i < c->images; i++) {
        wanted += c->n0 + c->n[i];
    }
    return votes == wanted ? TDO_OK
                           : TDO_FAIL(TDO_ERR_BUG, "the ledger has %lld of %lld votes",
                                      (long long)votes, (long long)wanted);
}

static tdo_err write_root(struct gathering *g, struct tdo_run *run, int64_t spent)
{
    char path[1024];
    double behind = 0;
    TDO_TRY(fill_columns(g));
    TDO_TRY(check_draws(g->c));
    for (int64_t i = 0; i < g->c->images; i++) {
        behind += (double)(g->c->n0 + g->c->n[i]);
    }
    tdo_run_note(run, "samples_behind_certificates", behind);
    tdo_run_note(run, "samples_spent", (double)spent);
    TDO_TRY(tdo_run_path(run, TDO_CERTIFICATES_FILE, path, sizeof path));
    return tdo_certificates_write(g->c, path);
}

static void end(struct gathering *g)
{
    tdo_memory_free(&g->first);
    tdo_memory_free(&g->entry);
    if (g->c) {
        tdo_certificates_free(g->c);
    }
    tdo_memory_free(&g->c);
}

tdo_err tdo_certify_file_write(struct tdo_run *run, const struct tdo_certify_tables *t,
                               tdo_sampler *s)
{
    struct gathering g = {.t = t};
    const bool root = tdo_comm_rank(run->comm) == 0;
    int64_t spent = 0;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_comm_agree(run->comm, tdo_memory_new(1, &g.c)));
    TDO_GOTO(tdo_comm_agree(run->comm, root ? begin(&g) : TDO_OK));
    TDO_GOTO(tdo_sampler_blocks(s, see_block, &g, &spent));
    err = tdo_comm_agree(run->comm, root ? write_root(&g, run, spent) : TDO_OK);
done:
    end(&g);
    return err;
}
