/* What a network says all over the plane, where images are two numbers: regions.tsv, and some of the
 * training points, regions_points.tsv. The job `report` draws both.
 *
 * The points lie in the middle of the squares of a grid over [0,1]x[0,1], x fastest; the network is
 * run as on any image, and votes if it is random (jobs/voting.h); the table has the same bytes for any number of ranks
 * and any batch. Source of the picture: Zantedeschi et al. 2017, figure 2. */
#include <inttypes.h>
#include <stdio.h>

#include "jobs/evaluate/distance.h"
#include "jobs/evaluate/evaluate.h"
#include "jobs/forward.h"
#include "jobs/page.h"
#include "nn/base/memory.h"

enum { MOST_POINTS = 500 };

/* Of one point of the grid. */
struct says {
    int64_t predict;
    double confidence; /* softmax output of the predicted class, or its share of the vote */
};

/* ---- the grid as images --------------------------------------------------------------------------- */

static double middle(int64_t at, int64_t side)
{
    return ((double)at + 0.5) / (double)side;
}

static tdo_err read_grid(const struct tdo_images *im, const int64_t *rows, int64_t n, void *x,
                         int32_t *y)
{
    const int64_t side = *(const int64_t *)im->self;
    float *to = x;
    for (int64_t i = 0; i < n; i++) {
        if (to) {
            to[2 * i] = (float)middle(rows[i] % side, side);
            to[2 * i + 1] = (float)middle(rows[i] / side, side);
        }
        if (y) {
            y[i] = -1;
        }
    }
    return TDO_OK;
}

static struct tdo_images make_grid(const struct tdo_images *like, const int64_t *side)
{
    return (struct tdo_images){.rows = *side * *side,
                               .height = like->height,
                               .width = like->width,
                               .channels = like->channels,
                               .from = "the plane",
                               .skip = 1,
                               .count = *side * *side,
                               .self = side,
                               .read = read_grid};
}

static tdo_err take(void *user, const struct tdo_forward_row *r)
{
    struct says *to = (struct says *)user + r->image;
    const int best = tdo_forward_predict(r);
    *to = (struct says){.predict = best, .confidence = tdo_forward_share(r, best)};
    return TDO_OK;
}

/* ---- results -------------------------------------------------------------------------------------- */

/* Each point was looked at by one rank; the others hold zeros. */
static void gather(tdo_comm *comm, struct says *of, int64_t n)
{
    _Static_assert(sizeof(struct says) == 2 * sizeof(uint64_t), "two words");
    tdo_comm_sum_u64(comm, (uint64_t *)(void *)of, 2 * n);
}

/* The first training points. */
static tdo_err write_points(const struct tdo_evaluating *e, FILE *to)
{
    struct tdo_images im = tdo_images_split(e->data, TDO_SPLIT_TRAIN);
    int64_t row[MOST_POINTS];
    int32_t label[MOST_POINTS];
    float x[2 * MOST_POINTS], raw[2 * MOST_POINTS];
    TDO_TRY(tdo_images_take(&im, 1, MOST_POINTS));
    for (int64_t i = 0; i < im.count; i++) {
        row[i] = i;
    }
    TDO_TRY(tdo_images_read(&im, row, im.count, NULL, label));
    TDO_TRY(tdo_distance_pixels(&im, row, im.count, raw, x));
    fprintf(to, "x\ty\tlabel\n");
    for (int64_t i = 0; i < im.count; i++) {
        fprintf(to, "%.6f\t%.6f\t%" PRId32 "\n", (double)x[2 * i], (double)x[2 * i + 1],
                label[i]);
    }
    return TDO_OK;
}

/* The table comes last: it says that the part is done. Root only. */
static tdo_err write_results(const struct tdo_evaluating *e, const struct says *of,
                             int64_t side)
{
    struct tdo_page page;
    TDO_TRY(tdo_page_open(&page));
    TDO_TRY(tdo_page_save(&page, &e->run, "regions_points.tsv", write_points(e, page.to)));
    TDO_TRY(tdo_page_open(&page));
    fprintf(page.to, "x\ty\tpredict\tconfidence\n");
    for (int64_t i = 0; i < side * side; i++) {
        fprintf(page.to, "%.6f\t%.6f\t%" PRId64 "\t%.6f\n", middle(i % side, side),
                middle(i / side, side), of[i].predict, of[i].confidence);
    }
    TDO_TRY(tdo_page_save(&page, &e->run, "regions.tsv", TDO_OK));
    printf("\nregions of %" PRId64 "x%" PRId64 " points: regions.tsv\n", side, side);
    return TDO_OK;
}

static tdo_err open_forward(struct tdo_evaluating *e, tdo_forward **f)
{
    const struct tdo_images *im = &e->images;
    if (tdo_images_pixels(im) != 2) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "evaluate.regions is for images of two numbers, data.file has "
                        "%" PRId64 "x%" PRId64 "x%" PRId64,
                        im->height, im->width, im->channels);
    }
    return tdo_forward_new_voting(
        &e->net, false, tdo_config_int(e->job->config, "evaluate.batch"), &e->voting, f);
}

tdo_err tdo_evaluate_regions(struct tdo_evaluating *e)
{
    tdo_comm *comm = e->run.comm;
    const int64_t side = tdo_config_int(e->job->config, "evaluate.regions");
    const struct tdo_images grid = make_grid(&e->images, &side);
    struct says *of = NULL;
    tdo_forward *f = NULL;
    tdo_err err = tdo_memory_new(grid.count, &of);
    err = err == TDO_OK ? open_forward(e, &f) : err;
    TDO_GOTO(tdo_comm_agree(comm, err));
    err = tdo_forward_rows(f, &grid, tdo_forward_mine(comm, &grid), take, of);
    TDO_GOTO(tdo_comm_agree(comm, err));
    gather(comm, of, grid.count);
    err = tdo_comm_agree(comm, tdo_comm_rank(comm) == 0 ? write_results(e, of, side) : TDO_OK);
done:
    tdo_forward_free(&f);
    tdo_memory_free(&of);
    return err;
}
