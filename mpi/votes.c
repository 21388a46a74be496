/* Integer tallies of votes. See votes.h. One flat block, so that merging is one reduction:
 *
 *   per image:  select [K] | count [K] | hash | nanoseconds */
#include "mpi/votes.h"

#include <string.h>

#include "mpi/mpi_impl.h"
#include "nn/base/memory.h"

struct tdo_votes {
    int64_t images, stride;
    int classes;
    uint64_t *block; /* [images, stride] */
};

static uint64_t *row(const struct tdo_votes *v, int64_t image)
{
    TDO_ASSERT(image >= 0 && image < v->images);
    return v->block + image * v->stride;
}

tdo_err tdo_votes_new(int64_t images, int classes, tdo_votes **out)
{
    *out = NULL;
    tdo_err err = TDO_OK;
    struct tdo_votes *v = NULL;
    if (images < 0 || classes < 1) {
        return TDO_FAIL(TDO_ERR_BUG, "votes of %lld images and %d classes", (long long)images,
                        classes);
    }
    TDO_GOTO(tdo_memory_new(1, &v));
    v->images = images;
    v->classes = classes;
    v->stride = 2 * (int64_t)classes + 2;
    if (images > INT64_MAX / v->stride) {
        TDO_GOTO(TDO_FAIL(TDO_ERR_MEMORY, "out of memory: votes of %lld images and %d classes",
                          (long long)images, classes));
    }
    TDO_GOTO(tdo_memory_new(images * v->stride, &v->block));
    *out = v;
    v = NULL;
done:
    tdo_votes_free(&v);
    return err;
}

static tdo_err check(const struct tdo_votes *v, int64_t image, int purpose, int class_index)
{
    if (image < 0 || image >= v->images || purpose < 0 || purpose >= TDO_VOTES_PURPOSES ||
        class_index < 0 || class_index >= v->classes) {
        return TDO_FAIL(TDO_ERR_BUG,
                        "a vote for class %d of image %lld, purpose %d: there are "
                        "%d classes, %lld images and 2 purposes",
                        class_index, (long long)image, purpose, v->classes,
                        (long long)v->images);
    }
    return TDO_OK;
}

tdo_err tdo_votes_add(tdo_votes *v, int64_t image, enum tdo_votes_purpose purpose,
                      int class_index, uint64_t hash)
{
    TDO_TRY(check(v, image, (int)purpose, class_index));
    uint64_t *r = row(v, image);
    r[(int64_t)purpose * v->classes + class_index]++;
    r[v->stride - 2] += hash;
    return TDO_OK;
}

tdo_err tdo_votes_add_counts(tdo_votes *v, int64_t image, enum tdo_votes_purpose purpose,
                             const uint64_t *counts, uint64_t hash)
{
    TDO_TRY(check(v, image, (int)purpose, 0));
    uint64_t *r = row(v, image);
    for (int k = 0; k < v->classes; k++) {
        r[(int64_t)purpose * v->classes + k] += counts[k];
    }
    r[v->stride - 2] += hash;
    return TDO_OK;
}

void tdo_votes_add_time(tdo_votes *v, int64_t image, uint64_t nanoseconds)
{
    row(v, image)[v->stride - 1] += nanoseconds;
}

void tdo_votes_merge(tdo_comm *comm, tdo_votes *v)
{
    bool root = comm->rank == 0;
    int64_t all = v->images * v->stride;
    for (int64_t at = 0; at < all; at += TDO_MPI_CHUNK) {
        int n = (int)(all - at < TDO_MPI_CHUNK ? all - at : TDO_MPI_CHUNK);
        TDO_MPI_OR_ABORT(comm, MPI_Reduce(root ? MPI_IN_PLACE : v->block + at,
                                          root ? v->block + at : NULL, n, MPI_UINT64_T, MPI_SUM,
                                          0, comm->world));
    }
    if (!root) {
        memset(v->block, 0, (size_t)all * sizeof *v->block);
    }
}

int64_t tdo_votes_images(const tdo_votes *v)
{
    return v->images;
}

int tdo_votes_classes(const tdo_votes *v)
{
    return v->classes;
}

const uint64_t *tdo_votes_counts(const tdo_votes *v, int64_t image,
                                 enum tdo_votes_purpose purpose)
{
    return row(v, image) + (int64_t)purpose * v->classes;
}

uint64_t tdo_votes_hash(const tdo_votes *v, int64_t image)
{
    return row(v, image)[v->stride - 2];
}

uint64_t tdo_votes_time(const tdo_votes *v, int64_t image)
{
    return row(v, image)[v->stride - 1];
}

void tdo_votes_free(tdo_votes **v)
{
    if (*v) {
        tdo_memory_free(&(*v)->block);
        tdo_memory_free(v);
    }
}
