/* Scores over all ranks against a computation that knows nothing of ranks, batches or blocks: a
 * plan in f64 for one image at a time, and the textbook formulas of accuracy and cross entropy. */
#include <math.h>
#include <string.h>

#include "jobs/forward.h"
#include "jobs/job.h"
#include "nn/base/memory.h"
#include "tests/mpi/runner.h"
#include "tests/nn/support.h"

const char suite_name[] = "forward";

enum { IMAGES = 83, SIDE = 16, CLASSES = 10, MOST_PIXELS = SIDE * SIDE * 3 };

/* Images in memory, the same on all ranks. */
static struct {
    uint8_t u8[IMAGES * MOST_PIXELS];
    float f32[IMAGES * MOST_PIXELS];
    int32_t label[IMAGES];
} made;

static tdo_err read_made(const struct tdo_images *im, const int64_t *rows, int64_t n, void *x,
                         int32_t *y)
{
    const int64_t pixels = tdo_images_pixels(im), bytes = tdo_images_row_bytes(im);
    for (int64_t i = 0; i < n; i++) {
        const void *from = im->u8 ? (const void *)(made.u8 + rows[i] * pixels)
                                  : (const void *)(made.f32 + rows[i] * pixels);
        if (x) {
            memcpy((uint8_t *)x + i * bytes, from, (size_t)bytes);
        }
        if (y) {
            y[i] = made.label[rows[i]];
        }
    }
    return TDO_OK;
}

static struct tdo_images make_images(bool u8)
{
    for (int64_t i = 0; i < IMAGES * MOST_PIXELS; i++) {
        const double v = (probe_number(3, i) + 1) / 2;
        made.u8[i] = (uint8_t)(255 * v);
        made.f32[i] = (float)v;
    }
    for (int i = 0; i < IMAGES; i++) {
        made.label[i] = i * 7 % (CLASSES - 1); /* the last class has no images */
    }
    return (struct tdo_images){.rows = IMAGES,
                               .height = SIDE,
                               .width = SIDE,
                               .channels = 3,
                               .u8 = u8,
                               .labelled = true,
                               .from = "made",
                               .skip = 1,
                               .count = IMAGES,
                               .read = read_made};
}

static void make_network(const char *name, struct tdo_network *n)
{
    const struct tdo_network_data data = {SIDE, SIDE, 3, CLASSES};
    char model[32];
    tdo_config *c = NULL;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    snprintf(model, sizeof model, "model.name=%s", name);
    ASSERT_OK(tdo_config_set(c, model));
    ASSERT_OK(tdo_config_set(c, "model.mean=0.5"));
    ASSERT_OK(tdo_config_set(c, "model.std=0.25"));
    ASSERT_OK_FATAL(tdo_network_configure(c, &data, n));
    tdo_config_free(&c);
    for (int64_t i = 0; i < tdo_params_entries(n->params);
         i++) { /* as if it had been trained */
        const struct tdo_param *e = tdo_params_at(n->params, i);
        float *v = tdo_params_values(n->params, i);
        for (int64_t k = 0; e->kind == TDO_PARAM_BUFFER && k < e->count; k++) {
            v[k] += (float)(0.25 * probe_number((uint32_t)i, k));
        }
    }
}

/* ---- the direct way --------------------------------------------------------------------------- */

/* Logits of one image, in f64, from a plan for one image. */
static void direct_logits(struct tdo_network *n, const struct tdo_images *im, int64_t row,
                          double z[CLASSES])
{
    tdo_graph *g = NULL;
    ASSERT_OK_FATAL(tdo_graph_new(&g));
    tdo_node raw = tdo_op_input(g, "raw", TDO_SHAPE(1, SIDE, SIDE, 3));
    static struct tdo_build b; /* large */
    b = tdo_network_build_context(n, g, TDO_NORM_RUNNING);
    tdo_node logits = tdo_network_logits(n, &b, raw);
    tdo_plan *p = probe_plan(g, 1, &logits, F64, n->params);
    double *x = tdo_plan_input(p, raw);
    for (int64_t i = 0; i < MOST_PIXELS; i++) {
        const int64_t at = row * MOST_PIXELS + i;
        x[i] = im->u8 ? (double)made.u8[at] / 255 : (double)made.f32[at];
    }
    ASSERT_OK_FATAL(tdo_plan_run(p));
    memcpy(z, tdo_plan_output(p, 0), CLASSES * sizeof *z);
    tdo_plan_free(&p);
    tdo_graph_free(&g);
}

static void direct_score(struct tdo_network *n, const struct tdo_images *im,
                         struct tdo_score *s)
{
    for (int64_t row = 0; row < IMAGES; row += im->skip) {
        double z[CLASSES], sum = 0;
        const int label = (int)made.label[row];
        int larger = 0;
        direct_logits(n, im, row, z);
        for (int k = 0; k < CLASSES; k++) {
            sum += exp(z[k]);
            larger += z[k] > z[label];
        }
        s->loss -= log(exp(z[label]) / sum);
        s->rows++;
        s->correct += larger == 0;
        s->top5 += larger < 5;
        s->of[label].rows++;
        s->of[label].correct += larger == 0;
        s->of[label].top5 += larger < 5;
    }
    s->loss /= (double)s->rows;
}

static struct tdo_score *score(struct tdo_network *n, const struct tdo_images *im,
                               int64_t batch)
{
    tdo_forward *f = NULL;
    struct tdo_score *s = NULL;
    ASSERT_OK_FATAL(tdo_forward_new(n, im->u8, batch, &f));
    ASSERT_OK_FATAL(tdo_forward_score(runner_comm, f, im, NULL, &s));
    tdo_forward_free(&f);
    return s;
}

static void compare(const char *model, bool u8, int64_t skip)
{
    struct tdo_network n;
    struct tdo_score_class of[CLASSES] = {0};
    struct tdo_score want = {.classes = CLASSES, .of = of};
    struct tdo_images im = make_images(u8);
    make_network(model, &n);
    ASSERT_OK(tdo_images_take(&im, skip, 0));
    direct_score(&n, &im, &want);
    struct tdo_score *got = score(&n, &im, 7);
    CU_ASSERT_EQUAL(got->classes, CLASSES);
    CU_ASSERT_EQUAL(got->rows, want.rows);
    CU_ASSERT_EQUAL(got->correct, want.correct);
    CU_ASSERT_EQUAL(got->top5, want.top5);
    CU_ASSERT_TRUE(want.correct > 0 && want.correct < want.top5 && want.top5 < want.rows);
    CU_ASSERT_EQUAL(memcmp(got->of, of, sizeof of), 0);
    CU_ASSERT_DOUBLE_EQUAL(got->loss, want.loss, 1e-5 * want.loss);
    tdo_score_free(&got);
    tdo_network_free(&n);
}

/* ---- tests -------------------------------------------------------------------------------------- */

static void test_score(void)
{
    compare("resnet20", true, 1);
    compare("mlp", true, 1);
}

static void test_reals(void)
{
    compare("resnet20", false, 1);
}

static void test_skip(void)
{
    compare("mlp", true, 3);
}

static void test_same_bits(void)
{
    struct tdo_network n;
    const struct tdo_images im = make_images(true);
    const int64_t batch[] = {1, 16, 33, 100};
    make_network("resnet20", &n);
    struct tdo_score *first = score(&n, &im, 7);
    for (size_t i = 0; i < sizeof batch / sizeof *batch; i++) {
        struct tdo_score *s = score(&n, &im, batch[i]);
        CU_ASSERT_EQUAL(memcmp(&s->loss, &first->loss, sizeof s->loss), 0);
        CU_ASSERT_EQUAL(memcmp(s->of, first->of, CLASSES * sizeof *s->of), 0);
        tdo_score_free(&s);
    }
    double root = first->loss; /* and on every rank */
    tdo_comm_broadcast(runner_comm, &root, (int64_t)sizeof root);
    CU_ASSERT_EQUAL(memcmp(&root, &first->loss, sizeof root), 0);
    tdo_score_free(&first);
    tdo_network_free(&n);
}

/* The same rows, shared out as another number of ranks would: whole blocks, summed in order. */
static tdo_err add_loss(void *user, const struct tdo_forward_row *r)
{
    ((double *)user)[r->image / 16] += tdo_forward_loss(r, r->label);
    return TDO_OK;
}

static void test_block_sums(void)
{
    enum { BLOCKS = (IMAGES + 15) / 16 };
    struct tdo_network n;
    tdo_forward *f = NULL;
    double block[BLOCKS] = {0}, sum = 0;
    const struct tdo_images im = make_images(true);
    make_network("mlp", &n);
    ASSERT_OK_FATAL(tdo_forward_new(&n, true, 5, &f));
    for (int64_t k = BLOCKS - 1; k >= 0; k--) { /* one rank alone, in another order */
        const int64_t end = 16 * (k + 1);
        const struct tdo_range r = {16 * k, end < IMAGES ? end : IMAGES};
        ASSERT_OK(tdo_forward_rows(f, &im, r, add_loss, block));
    }
    for (int k = 0; k < BLOCKS; k++) {
        sum += block[k];
    }
    sum /= IMAGES;
    struct tdo_score *s = score(&n, &im, 64);
    CU_ASSERT_EQUAL(memcmp(&s->loss, &sum, sizeof sum), 0);
    tdo_score_free(&s);
    tdo_forward_free(&f);
    tdo_network_free(&n);
}

static tdo_err note_row(void *user, const struct tdo_forward_row *r)
{
    uint64_t *seen = user;
    seen[r->image]++;
    CU_ASSERT_EQUAL(r->row, 2 * r->image);
    CU_ASSERT_EQUAL(r->label, made.label[r->row]);
    return TDO_OK;
}

static void test_sharing(void)
{
    struct tdo_network n;
    tdo_forward *f = NULL;
    uint64_t seen[IMAGES] = {0};
    struct tdo_images im = make_images(true);
    make_network("mlp", &n);
    ASSERT_OK(tdo_images_take(&im, 2, 35));
    CU_ASSERT_EQUAL(im.count, 35);
    ASSERT_OK_FATAL(tdo_forward_new(&n, true, 4, &f));
    const struct tdo_range mine = tdo_forward_mine(runner_comm, &im);
    CU_ASSERT_EQUAL(mine.first % 16, 0);
    ASSERT_OK(tdo_forward_rows(f, &im, mine, note_row, seen));
    tdo_comm_sum_u64(runner_comm, seen, IMAGES);
    for (int i = 0; i < IMAGES; i++) {
        CU_ASSERT_EQUAL(seen[i], i < 35);
    }
    tdo_forward_free(&f);
    tdo_network_free(&n);
}

static void test_touch(void)
{
    struct tdo_network n;
    tdo_forward *f = NULL;
    struct tdo_score *s = NULL;
    const struct tdo_images im = make_images(true);
    make_network("mlp", &n);
    ASSERT_OK_FATAL(tdo_forward_new(&n, true, 8, &f));
    ASSERT_OK_FATAL(tdo_forward_score(runner_comm, f, &im, NULL, &s));
    CU_ASSERT_NOT_EQUAL(s->correct, s->of[3].rows);
    tdo_score_free(&s);
    const int64_t last = tdo_params_entries(n.params) - 1; /* bias of the last layer */
    CU_ASSERT_EQUAL(tdo_params_at(n.params, last)->count, CLASSES);
    tdo_params_values(n.params, last)[3] += 1000;
    tdo_forward_touch(f);
    ASSERT_OK_FATAL(tdo_forward_score(runner_comm, f, &im, NULL, &s));
    CU_ASSERT_EQUAL(s->correct, s->of[3].rows); /* everything is a 3 now */
    CU_ASSERT_EQUAL(s->of[3].correct, s->of[3].rows);
    CU_ASSERT_TRUE(s->loss > 500 && s->loss < 1001);
    tdo_score_free(&s);
    tdo_forward_free(&f);
    tdo_network_free(&n);
}

/* Folded normalisation is computed once for a set of parameters: a stale one must not count. */
static void test_touch_folded(void)
{
    struct tdo_network n;
    tdo_forward *f = NULL;
    struct tdo_score *s = NULL;
    const struct tdo_images im = make_images(true);
    make_network("resnet20", &n);
    ASSERT_OK_FATAL(tdo_forward_new(&n, true, 8, &f));
    ASSERT_OK_FATAL(tdo_forward_score(runner_comm, f, &im, NULL, &s));
    const double before = s->loss;
    tdo_score_free(&s);
    const int64_t gamma = tdo_params_find(n.params, "bn1.weight");
    CU_ASSERT_FATAL(gamma >= 0);
    tdo_params_values(n.params, gamma)[2] += 1;
    tdo_forward_touch(f);
    ASSERT_OK_FATAL(tdo_forward_score(runner_comm, f, &im, NULL, &s));
    struct tdo_score *fresh = score(&n, &im, 8);
    CU_ASSERT_NOT_EQUAL(s->loss, before);
    CU_ASSERT_EQUAL(memcmp(&s->loss, &fresh->loss, sizeof before), 0);
    tdo_score_free(&fresh);
    tdo_score_free(&s);
    tdo_forward_free(&f);
    tdo_network_free(&n);
}

static void test_not_finite(void)
{
    struct tdo_network n;
    tdo_forward *f = NULL;
    struct tdo_score *s = NULL;
    const struct tdo_images im = make_images(true);
    make_network("mlp", &n);
    tdo_params_values(n.params, tdo_params_entries(n.params) - 1)[4] = INFINITY;
    ASSERT_OK_FATAL(tdo_forward_new(&n, true, 8, &f));
    CU_ASSERT_EQUAL(tdo_forward_score(runner_comm, f, &im, NULL, &s), TDO_ERR_NUMERIC);
    CU_ASSERT_PTR_NULL(s);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "made, image 0: logit 4 is inf"));
    tdo_forward_free(&f);
    tdo_network_free(&n);
}

static void test_no_rows(void)
{
    struct tdo_images im = make_images(true);
    im.rows = 0;
    CU_ASSERT_EQUAL(tdo_images_take(&im, 1, 0), TDO_ERR_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "data.split = train: made"));
}

static void test_places(void)
{
    const float z[] = {1, 3, 3, -2, 3, 0};
    const int place[] = {3, 0, 1, 5, 2, 4};
    const struct tdo_forward_row r = {.classes = 6, .logits = z};
    CU_ASSERT_EQUAL(tdo_forward_predict(&r), 1);
    for (int k = 0; k < 6; k++) {
        CU_ASSERT_EQUAL(tdo_forward_place(&r, k), place[k]);
    }
}

static void test_loss(void)
{
    const float even[] = {2, 2, 2, 2}, large[] = {3e38F, -3e38F}, far[] = {-1000, 0};
    const struct tdo_forward_row a = {.classes = 4, .logits = even};
    const struct tdo_forward_row b = {.classes = 2, .logits = large};
    const struct tdo_forward_row c = {.classes = 2, .logits = far};
    CU_ASSERT_DOUBLE_EQUAL(tdo_forward_loss(&a, 3), log(4), 1e-15);
    CU_ASSERT_DOUBLE_EQUAL(tdo_forward_loss(&b, 0), 0, 0);
    CU_ASSERT_DOUBLE_EQUAL(tdo_forward_loss(&b, 1), 6e38, 1e32);
    CU_ASSERT_DOUBLE_EQUAL(tdo_forward_loss(&c, 0), 1000, 0);
    CU_ASSERT_DOUBLE_EQUAL(tdo_forward_loss(&c, 1), 0, 0);
}

CU_TestInfo suite_tests[] = {
    {"counts and loss are those of one image at a time in f64", test_score},
    {"images that are reals are scored as well", test_reals},
    {"every third image", test_skip},
    {"the loss has the same bits for any batch, on every rank", test_same_bits},
    {"the loss is the sum over blocks of 16 in order, whoever computed them", test_block_sums},
    {"ranks share out the images of a choice, each to one of them", test_sharing},
    {"after a touch, new parameters count", test_touch},
    {"after a touch, folded normalisation is made anew", test_touch_folded},
    {"a logit that is not finite is an error on all ranks, naming image and logit",
     test_not_finite},
    {"a split without images is refused", test_no_rows},
    {"equal logits go by the lower class", test_places},
    {"the loss of extreme logits is right", test_loss},
    CU_TEST_INFO_NULL};
