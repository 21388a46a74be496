/* What the input layer learns from the training images, against plain loops over made-up images:
 * the mean image, the contrast wanted, and whitening by what it must do. With second moments M of
 * even contrast every image sums to 0, so M 1 = 0; W is symmetric, W 1 = w 1 where 1 is a direction
 * of no variance, and W M W = m (identity less the mean), m the mean eigenvalue of M, which is its
 * trace over its size: true if no other direction is below the floor. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jobs/job.h"
#include "jobs/train/train.h"
#include "nn/models/input.h"
#include "tests/mpi/runner.h"
#include "tests/nn/support.h"

const char suite_name[] = "train_input";

enum { ROWS = 300, H = 3, W = 2, C = 2, SIZE = H * W * C };

static char path[256];
static uint8_t bytes[ROWS * SIZE];
static float floats[ROWS * SIZE];
static double x[ROWS][SIZE]; /* channels first */

/* Every tenth image is nearly grey. */
static void make_images(void)
{
    for (int i = 0; i < ROWS * SIZE; i++) {
        const int row = i / SIZE, at = i % SIZE;
        bytes[i] = (uint8_t)(127.5 + (row % 10 ? 120 : 3) * probe_number(5, i));
        floats[i] = (float)bytes[i] / 255;
        x[row][at % C * H * W + at / C] = (double)floats[i];
    }
}

static tdo_dataset *open_data(bool u8)
{
    const struct tdo_dataset_info info = {.height = H,
                                          .width = W,
                                          .channels = C,
                                          .classes = 2,
                                          .is_u8 = u8,
                                          .rows = {ROWS, 0, 1}};
    static const int32_t y[ROWS] = {0};
    const void *from = u8 ? (const void *)bytes : (const void *)floats;
    tdo_dataset_writer *w = NULL;
    tdo_dataset *d = NULL;
    make_images();
    snprintf(path, sizeof path, "%s", runner_path("train_input.h5"));
    ASSERT_OK_FATAL(tdo_dataset_create(runner_comm, path, &info, &w));
    if (tdo_comm_rank(runner_comm) == 0) {
        ASSERT_OK_FATAL(tdo_dataset_write(w, TDO_SPLIT_TRAIN, 0, ROWS, from, y));
        ASSERT_OK_FATAL(tdo_dataset_write(w, TDO_SPLIT_TEST, 0, 1, from, y));
    }
    ASSERT_OK_FATAL(tdo_dataset_finish(w));
    tdo_dataset_writer_free(&w);
    ASSERT_OK_FATAL(tdo_dataset_open(runner_comm, path, &d));
    return d;
}

static void close_data(tdo_dataset **d)
{
    tdo_dataset_free(d);
    ASSERT_OK(tdo_comm_agree(runner_comm, TDO_OK));
    if (tdo_comm_rank(runner_comm) == 0) {
        unlink(path);
    }
}

/* An mlp with these settings, and its input layer filled in. */
static void learn(const tdo_dataset *d, const char *const *argument, struct tdo_network *n)
{
    const struct tdo_network_data data = {H, W, C, 2};
    tdo_config *c = NULL;
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &c));
    ASSERT_OK(tdo_config_set(c, "model.name=mlp"));
    for (int i = 0; argument[i]; i++) {
        ASSERT_OK(tdo_config_set(c, argument[i]));
    }
    ASSERT_OK_FATAL(tdo_network_configure(c, &data, n));
    ASSERT_OK(tdo_train_input(runner_comm, d, n));
    tdo_config_free(&c);
}

static const float *tensor(const struct tdo_network *n, const char *name)
{
    const int64_t i = tdo_params_find(n->params, name);
    return i < 0 ? NULL : tdo_params_values(n->params, i);
}

static void check_mean(const struct tdo_network *n)
{
    const float *mean = tensor(n, "input.mean");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mean);
    for (int i = 0; i < SIZE; i++) {
        double sum = 0;
        for (int r = 0; r < ROWS; r++) {
            sum += x[r][i];
        }
        CU_ASSERT_TRUE(fabs((double)mean[i] - sum / ROWS) <= 1e-7);
    }
}

/* Images behind mean and contrast into z; returns the contrast wanted. */
static double normalise(const struct tdo_network *n, double z[ROWS][SIZE])
{
    const float *mean = tensor(n, "input.mean");
    double wanted = 0, deviation[ROWS];
    int grey = 0;
    for (int r = 0; r < ROWS; r++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < SIZE; i++) {
            z[r][i] = x[r][i] - (double)mean[i];
            sum += z[r][i];
        }
        for (int i = 0; i < SIZE; i++) {
            z[r][i] -= sum / SIZE;
            squares += z[r][i] * z[r][i];
        }
        deviation[r] = sqrt(squares / (SIZE - 1));
        wanted += deviation[r] / ROWS;
        grey += deviation[r] < 40.0 / 255;
    }
    CU_ASSERT_TRUE(grey >= ROWS / 10 && grey < ROWS / 2); /* the floor matters, not for all */
    for (int i = 0; i < ROWS * SIZE; i++) {
        z[i / SIZE][i % SIZE] *= wanted / fmax(deviation[i / SIZE], 40.0 / 255);
    }
    return wanted;
}

static void check_whitening(const float *w, double z[ROWS][SIZE])
{
    double moments[SIZE][SIZE] = {{0}}, left[SIZE][SIZE] = {{0}}, trace = 0, worst = 0;
    for (int i = 0; i < SIZE * SIZE; i++) {
        for (int r = 0; r < ROWS; r++) {
            moments[i / SIZE][i % SIZE] += z[r][i / SIZE] * z[r][i % SIZE] / ROWS;
        }
        worst = fmax(worst, fabs((double)w[i] - (double)w[i % SIZE * SIZE + i / SIZE]));
    }
    for (int i = 0; i < SIZE; i++) {
        trace += moments[i][i] / SIZE;
        for (int k = 0; k < SIZE * SIZE; k++) {
            left[i][k % SIZE] += (double)w[i * SIZE + k / SIZE] * moments[k / SIZE][k % SIZE];
        }
    }
    for (int i = 0; i < SIZE; i++) {
        double ones = 0;
        for (int k = 0; k < SIZE; k++) {
            double product = 0;
            for (int j = 0; j < SIZE; j++) {
                product += left[i][j] * (double)w[j * SIZE + k];
            }
            worst = fmax(worst, fabs(product / trace - ((i == k) - 1.0 / SIZE)));
            ones += (double)w[i * SIZE + k];
        }
        worst = fmax(worst, fabs(ones / (sqrt(trace) / (10.0 / 255)) - 1));
    }
    CU_ASSERT_TRUE(worst <= 1e-5);
}

static void the_tensors_are_those_of_plain_loops(void)
{
    static double z[ROWS][SIZE];
    uint64_t hash[3] = {0};
    for (int u8 = 0; u8 < 2; u8++) {
        struct tdo_network n;
        tdo_dataset *d = open_data(u8);
        learn(d,
              (const char *const[]){"model.mean_image=true", "model.contrast=true",
                                    "model.whiten=true", NULL},
              &n);
        check_mean(&n);
        const double wanted = normalise(&n, z);
        CU_ASSERT_TRUE(fabs((double)*tensor(&n, "input.contrast") - wanted) <= 1e-7);
        check_whitening(tensor(&n, "input.whiten"), z);
        ASSERT_OK(tdo_network_hash(&n, &hash[u8]));
        hash[2] = hash[u8];
        tdo_comm_broadcast(runner_comm, &hash[2], sizeof hash[2]);
        CU_ASSERT_EQUAL(hash[2], hash[u8]);
        tdo_network_free(&n);
        close_data(&d);
    }
}

static void what_is_not_asked_for_is_not_there(void)
{
    struct tdo_network n;
    tdo_dataset *d = open_data(true);
    learn(d, (const char *const[]){"model.mean_image=true", NULL}, &n);
    check_mean(&n);
    CU_ASSERT_PTR_NULL(tensor(&n, "input.contrast"));
    CU_ASSERT_PTR_NULL(tensor(&n, "input.whiten"));
    tdo_network_free(&n);
    learn(d, (const char *const[]){"model.mean=0.5", "model.std=0.5", NULL}, &n);
    CU_ASSERT_PTR_NULL(tensor(&n, "input.mean"));
    tdo_network_free(&n);
    close_data(&d);
}

CU_TestInfo suite_tests[] = {
    {"mean image, contrast and whitening are those of plain loops",
     the_tensors_are_those_of_plain_loops},
    {"what is not asked for is not there", what_is_not_asked_for_is_not_there},
    CU_TEST_INFO_NULL,
};
