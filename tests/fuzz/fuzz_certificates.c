/* certificates.h5: a file that is right, after edits of the input's choice, each with a hash and a seal
 * that fit. What is read is checked as testudo verify does it without drawing again; written once more it
 * is the same file. Without an edit there is no defect. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "defenses/certifier.h"
#include "defenses/sequential.h"
#include "jobs/verify/verify.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"
#include "tests/fuzz/fuzz_mpi.h"

enum { IMAGES = 2, K = 3, N0 = 10, BLOCK = 200, SIDE = 2, ROOM = 64 };

/* ---- a file that is right ------------------------------------------------------------------ */

static tdo_err set_texts(struct tdo_certificates *c)
{
    TDO_TRY(tdo_certificates_text(&c->version, "1"));
    TDO_TRY(tdo_certificates_text(&c->generator, TDO_RNG_VERSION));
    TDO_TRY(tdo_certificates_text(&c->precision, "f32"));
    TDO_TRY(tdo_certificates_text(&c->instruction_set, "some"));
    TDO_TRY(tdo_certificates_text(&c->convolution, "none"));
    TDO_TRY(tdo_certificates_text(&c->blas_core, "core"));
    TDO_TRY(tdo_certificates_text(&c->model, "net"));
    TDO_TRY(tdo_certificates_text(&c->split, "test"));
    TDO_TRY(tdo_certificates_text(&c->noise, "real"));
    return tdo_certificates_text(&c->certifier, "cohen");
}

static struct tdo_schedule schedule_of(unsigned kind)
{
    static const enum tdo_schedule_mode mode[] = {TDO_SCHEDULE_FIXED, TDO_SCHEDULE_RADII,
                                                  TDO_SCHEDULE_RADII, TDO_SCHEDULE_MILLION};
    struct tdo_schedule s;
    struct tdo_schedule_options o = {.mode = mode[kind],
                                     .test = kind == 2 ? TDO_SCHEDULE_KT : TDO_SCHEDULE_GROUP,
                                     .n = 400,
                                     .alpha = 0.01,
                                     .beta = 0.001,
                                     .sigma = 0.25,
                                     .tolerance = kind == 3 ? 0.05 : 0};
    if (o.mode == TDO_SCHEDULE_RADII) {
        o.targets = 2;
        o.target[0] = 0.1;
        o.target[1] = 0.3;
    }
    tdo_err err = tdo_schedule_make(&o, &s);
    FUZZ_CHECK(err == TDO_OK);
    return s;
}

/* Where an image stops whose votes are all for one class, and what they prove. */
struct stop {
    int look;
    int64_t n;
    struct tdo_sequential_report report;
};

static tdo_err find_stop(const struct tdo_schedule *s, struct stop *out)
{
    struct tdo_sequential_step step = {.action = TDO_SEQUENTIAL_GO_ON};
    tdo_sequential *table = NULL;
    TDO_TRY(tdo_sequential_new(s, &table));
    for (out->look = -1; step.action == TDO_SEQUENTIAL_GO_ON;) {
        out->look++;
        out->n = s->look[out->look].n;
        step = tdo_sequential_look(table, out->look, out->n);
    }
    FUZZ_CHECK(step.action == TDO_SEQUENTIAL_CERTIFIED);
    tdo_sequential_free(&table);
    return tdo_sequential_report(s, out->look, out->n, &out->report);
}

/* Blocks of `draws` votes, all for one class. */
static void add_blocks(struct tdo_certificates *c, int64_t i, int64_t draws)
{
    for (int64_t first = 0; first < draws; first += BLOCK) {
        c->block_hash[c->blocks] = (uint64_t)c->blocks + 5;
        c->hash[i] += c->block_hash[c->blocks];
        c->block_entries[c->blocks++] = 1;
        c->vote_class[c->entries] = (int32_t)i % K;
        c->vote_count[c->entries++] = (int32_t)(draws - first < BLOCK ? draws - first : BLOCK);
    }
}

/* All votes of image i are for class i. */
static void decide(struct tdo_certificates *c, const struct stop *stop, int64_t i)
{
    c->idx[i] = i;
    c->n[i] = stop->n;
    c->look[i] = stop->look;
    c->predict[i] = (int32_t)i;
    c->p_lower[i] = stop->report.p_lower;
    c->radius[i] = stop->report.radius;
    c->verdict[i] = TDO_VERDICT_CERTIFIED;
    c->stop[i] = TDO_STOP_CERTIFIED;
    c->select[i * K + i] = N0;
    c->count[i * K + i] = (uint64_t)stop->n;
    add_blocks(c, i, N0);
    add_blocks(c, i, stop->n);
}

static tdo_err make(unsigned kind, struct tdo_certificates *c)
{
    static struct stop stops[4];
    const struct tdo_schedule s = schedule_of(kind);
    if (stops[kind].n == 0) {
        TDO_TRY(find_stop(&s, &stops[kind]));
    }
    TDO_TRY(tdo_certificates_new(IMAGES, K, &s, c));
    TDO_TRY(set_texts(c));
    TDO_TRY(tdo_memory_new(ROOM, &c->block_hash));
    TDO_TRY(tdo_memory_new(ROOM, &c->block_entries));
    TDO_TRY(tdo_memory_new(ROOM, &c->vote_class));
    TDO_TRY(tdo_memory_new(ROOM, &c->vote_count));
    c->split_images = IMAGES;
    c->skip = 1;
    c->height = c->width = SIDE;
    c->channels = 1;
    c->n0 = N0;
    c->block = BLOCK;
    for (int64_t i = 0; i < IMAGES; i++) {
        decide(c, &stops[kind], i);
    }
    return TDO_OK;
}

/* ---- edits --------------------------------------------------------------------------------- */

/* Eight bytes in place of a number of the file. */
static void edit_number(struct fuzz *f, struct tdo_certificates *c)
{
    struct tdo_schedule *s = &c->schedule;
    void *const field[] = {&c->model_hash, &c->data_hash, &c->split_images, &c->skip,
                           &c->height,     &c->width,     &c->channels,     &c->seed,
                           &c->n0,         &c->block,     &s->o.n,          &s->o.sigma,
                           &s->o.slack,    &s->o.alpha,   &s->o.beta,       &s->o.tolerance,
                           &s->kt_alpha,   &s->kt_beta,   c->look_n,        c->look_alpha,
                           c->look_beta,   c->target};
    const uint64_t which = fuzz_number(f, 1) % (sizeof field / sizeof *field);
    const uint64_t value = fuzz_number(f, 8);
    memcpy(field[which], &value, sizeof value);
}

/* One element of a column. */
static void edit_column(struct fuzz *f, struct tdo_certificates *c)
{
    const struct {
        void *data;
        size_t size, count;
    } column[] = {{c->idx, 8, IMAGES},
                  {c->n, 8, IMAGES},
                  {c->label, 4, IMAGES},
                  {c->predict, 4, IMAGES},
                  {c->look, 4, IMAGES},
                  {c->select, 8, (size_t)IMAGES * K},
                  {c->count, 8, (size_t)IMAGES * K},
                  {c->p_lower, 8, IMAGES},
                  {c->radius, 8, IMAGES},
                  {c->verdict, 1, IMAGES},
                  {c->stop, 1, IMAGES},
                  {c->hash, 8, IMAGES},
                  {c->block_hash, 8, ROOM},
                  {c->block_entries, 4, ROOM},
                  {c->vote_class, 4, ROOM},
                  {c->vote_count, 4, ROOM}};
    const uint64_t which = fuzz_number(f, 1) % (sizeof column / sizeof *column);
    const uint64_t at = fuzz_number(f, 1) % column[which].count, value = fuzz_number(f, 8);
    memcpy((char *)column[which].data + at * column[which].size, &value, column[which].size);
}

static tdo_err edit_text(struct fuzz *f, struct tdo_certificates *c)
{
    static const char *const words[] = {"",        "rounded", "bf16", "kt",
                                        "million", "radii",   "fixed"};
    char **const field[] = {&c->generator, &c->precision, &c->split, &c->noise,
                            &c->certifier, &c->mode,      &c->test,  &c->model};
    const uint64_t which = fuzz_number(f, 1) % (sizeof field / sizeof *field);
    return tdo_certificates_text(field[which],
                                 words[fuzz_number(f, 1) % (sizeof words / sizeof *words)]);
}

static void edit_sizes(struct fuzz *f, struct tdo_certificates *c)
{
    c->images = (int64_t)fuzz_number(f, 1) % (IMAGES + 1);
    c->blocks = (int64_t)fuzz_number(f, 1) % (ROOM + 1);
    c->entries = (int64_t)fuzz_number(f, 1) % (ROOM + 1);
}

/* The number of edits. */
static int edit(struct fuzz *f, struct tdo_certificates *c)
{
    int edits = 0;
    for (; f->size > 0; edits++) {
        switch (fuzz_number(f, 1) % 8) {
        case 0:
        case 1:
            edit_number(f, c);
            break;
        case 2:
            FUZZ_IGNORE(edit_text(f, c));
            break;
        case 3:
            edit_sizes(f, c);
            break;
        default:
            edit_column(f, c);
        }
    }
    return edits;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Thresholds of many draws take seconds; they are no part of what is read. */
static bool is_small(const struct tdo_certificates *c)
{
    return c->schedule.o.n <= 10000;
}

static void check(const struct tdo_certificates *c, const struct tdo_certificates_found *found,
                  int edits)
{
    char *text = NULL;
    size_t size = 0;
    struct tdo_verify v = {.comm = fuzz_comm(), .path = "certificates.h5"};
    v.to = open_memstream(&text, &size);
    FUZZ_CHECK(v.to && found->sealed && found->hash == found->wanted);
    if (is_small(c)) {
        const tdo_err err = tdo_verify_counts(&v, c, found);
        FUZZ_CHECK(edits > 0 || (err == TDO_OK && v.defects == 0));
    }
    fclose(v.to);
    free(text);
}

static void must_be_equal(const char *a, const char *b)
{
    char *first = NULL, *second = NULL, path[4096];
    int64_t bytes = 0, others = 0;
    snprintf(path, sizeof path, "%s", fuzz_path(a));
    tdo_err err = tdo_file_read(path, 1 << 22, &first, &bytes);
    FUZZ_CHECK(err == TDO_OK);
    err = tdo_file_read(fuzz_path(b), 1 << 22, &second, &others);
    FUZZ_CHECK(err == TDO_OK && bytes == others && memcmp(first, second, (size_t)bytes) == 0);
    tdo_memory_free(&first);
    tdo_memory_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {data, size};
    struct tdo_certificates c = {0}, back;
    struct tdo_certificates_found found;
    const unsigned how = (unsigned)fuzz_number(&f, 1);
    tdo_err err = make(how % 4, &c);
    FUZZ_CHECK(err == TDO_OK);
    int edits = edit(&f, &c);
    if (how &
        4) { /* shares of alpha that no bound is computed from: all the rest is checked, and soon */
        c.look_alpha[0] = 0.9;
        edits++;
    }
    err = tdo_certificates_write(&c, fuzz_path("certificates.h5"));
    FUZZ_CHECK(err == TDO_OK);
    if (tdo_certificates_read(fuzz_path("certificates.h5"), &back, &found) == TDO_OK) {
        check(&back, &found, edits);
        err = tdo_certificates_write(&back, fuzz_path("again.h5"));
        FUZZ_CHECK(err == TDO_OK);
        must_be_equal("certificates.h5", "again.h5");
        fuzz_remove("again.h5");
    } else {
        FUZZ_CHECK(edits > 0);
    }
    tdo_certificates_free(&c);
    tdo_certificates_free(&back);
    fuzz_remove("certificates.h5");
    return 0;
}
