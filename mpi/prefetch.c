/* Reading ahead with one thread and two buffers. See dataset.h.
 *
 * The two places are used in turn. A place goes  free -> asked -> full -> held -> free;  the
 * thread moves it from asked to full, the caller does the rest. The thread uses pread and
 * nothing else of MPI or HDF5. Its error record is kept in the place for the caller. */
#include <pthread.h>
#include <string.h>

#include "mpi/dataset.h"
#include "nn/base/memory.h"

enum state { FREE, ASKED, FULL, HELD };

struct place {
    enum state state;
    int64_t *rows; /* [max_rows] */
    int64_t n, turn;
    unsigned char *x; /* [max_rows, row bytes] */
    int32_t *y;       /* [max_rows] */
    tdo_err err;
    struct tdo_error_record record;
};

struct tdo_prefetch {
    struct tdo_prefetch_source from;
    const tdo_dataset *d; /* of a split; borrowed */
    enum tdo_split split;
    int64_t max_rows, turn;
    struct place place[2];
    int next_ask, next_wait; /* which place */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool has_mutex, has_condition, has_thread, quit;
};

static void *work(void *context)
{
    struct tdo_prefetch *p = context;
    pthread_mutex_lock(&p->mutex);
    for (int i = 0;; i ^= 1) {
        struct place *place = &p->place[i];
        while (place->state != ASKED && !p->quit) {
            pthread_cond_wait(&p->changed, &p->mutex);
        }
        if (p->quit) {
            break;
        }
        pthread_mutex_unlock(&p->mutex);
        place->err =
            p->from.read(p->from.self, place->turn, place->rows, place->n, place->x, place->y);
        place->record = *tdo_error_last();
        pthread_mutex_lock(&p->mutex);
        place->state = FULL;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

static tdo_err start_thread(struct tdo_prefetch *p)
{
    p->has_mutex = pthread_mutex_init(&p->mutex, NULL) == 0;
    p->has_condition = pthread_cond_init(&p->changed, NULL) == 0;
    p->has_thread =
        p->has_mutex && p->has_condition && pthread_create(&p->thread, NULL, work, p) == 0;
    if (!p->has_thread) {
        return TDO_FAIL(TDO_ERR_LIBRARY, "cannot start the thread that reads %s ahead",
                        p->from.name);
    }
    return TDO_OK;
}

static tdo_err start(struct tdo_prefetch *p)
{
    const int64_t most = p->max_rows, bytes = p->from.row_bytes;
    if (most < 1 || most > INT64_MAX / 8 / bytes) {
        return TDO_FAIL(TDO_ERR_MEMORY, "out of memory: reading %lld rows ahead",
                        (long long)most);
    }
    for (int i = 0; i < 2; i++) {
        TDO_TRY(tdo_memory_new(most, &p->place[i].rows));
        TDO_TRY(tdo_memory_new(most, &p->place[i].y));
        TDO_TRY(tdo_memory_new(most * bytes, &p->place[i].x));
    }
    return start_thread(p);
}

tdo_err tdo_prefetch_from(const struct tdo_prefetch_source *from, int64_t max_rows,
                          tdo_prefetch **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    (*out)->from = *from;
    (*out)->max_rows = max_rows;
    tdo_err err = start(*out);
    if (err != TDO_OK) {
        tdo_prefetch_free(out);
    }
    return err;
}

static tdo_err read_split(void *self, int64_t turn, const int64_t *rows, int64_t n, void *x,
                          int32_t *y)
{
    (void)turn;
    const struct tdo_prefetch *p = self;
    return tdo_dataset_read(p->d, p->split, rows, n, x, y);
}

tdo_err tdo_prefetch_new(const tdo_dataset *d, enum tdo_split split, int64_t max_rows,
                         tdo_prefetch **out)
{
    TDO_TRY(tdo_memory_new(1, out));
    struct tdo_prefetch *p = *out;
    p->d = d;
    p->split = split;
    p->max_rows = max_rows;
    p->from = (struct tdo_prefetch_source){.self = p,
                                           .name = tdo_dataset_path(d),
                                           .row_bytes = tdo_dataset_row_bytes(d),
                                           .read = read_split};
    tdo_err err = start(p);
    if (err != TDO_OK) {
        tdo_prefetch_free(out);
    }
    return err;
}

tdo_err tdo_prefetch_request(tdo_prefetch *p, const int64_t *rows, int64_t n)
{
    struct place *place = &p->place[p->next_ask];
    pthread_mutex_lock(&p->mutex);
    bool free_place = place->state == FREE;
    if (free_place && n >= 1 && n <= p->max_rows) {
        memcpy(place->rows, rows, (size_t)n * sizeof *rows);
        place->n = n;
        place->turn = p->turn;
        place->state = ASKED;
        pthread_cond_broadcast(&p->changed);
        p->next_ask ^= 1;
        pthread_mutex_unlock(&p->mutex);
        return TDO_OK;
    }
    pthread_mutex_unlock(&p->mutex);
    if (!free_place) {
        return TDO_FAIL(TDO_ERR_BUG, "a third batch is read ahead while two are under way");
    }
    return TDO_FAIL(TDO_ERR_BUG, "%lld rows to read ahead, 1 to %lld are expected",
                    (long long)n, (long long)p->max_rows);
}

void tdo_prefetch_turn(tdo_prefetch *p, int64_t turn)
{
    p->turn = turn; /* the thread does not look at it */
}

tdo_err tdo_prefetch_wait(tdo_prefetch *p, const void **x, const int32_t **y)
{
    *x = NULL;
    *y = NULL;
    struct place *place = &p->place[p->next_wait], *other = &p->place[p->next_wait ^ 1];
    pthread_mutex_lock(&p->mutex);
    if (other->state == HELD) {
        other->state = FREE;
    }
    bool asked = place->state == ASKED || place->state == FULL;
    while (place->state == ASKED) {
        pthread_cond_wait(&p->changed, &p->mutex);
    }
    if (asked) {
        place->state = HELD;
        p->next_wait ^= 1;
    }
    pthread_mutex_unlock(&p->mutex);
    if (!asked) {
        return TDO_FAIL(TDO_ERR_BUG, "waiting for a batch that was not asked for");
    }
    if (place->err != TDO_OK) {
        tdo_error_adopt(&place->record);
        return place->err;
    }
    *x = place->x;
    *y = place->y;
    return TDO_OK;
}

void tdo_prefetch_free(tdo_prefetch **out)
{
    struct tdo_prefetch *p = *out;
    if (!p) {
        return;
    }
    if (p->has_thread) {
        pthread_mutex_lock(&p->mutex);
        p->quit = true;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->mutex);
        pthread_join(p->thread, NULL);
    }
    if (p->has_condition) {
        pthread_cond_destroy(&p->changed);
    }
    if (p->has_mutex) {
        pthread_mutex_destroy(&p->mutex);
    }
    for (int i = 0; i < 2; i++) {
        tdo_memory_free(&p->place[i].rows);
        tdo_memory_free(&p->place[i].x);
        tdo_memory_free(&p->place[i].y);
    }
    tdo_memory_free(out);
}
