/* What the input layer learns from the training images. See train.h, and nn/models/input.h for what
 * it does with them.
 *
 * It is done when training starts and not when a data set is imported: a data set serves many
 * networks, and only the network's file has to carry a matrix that is larger than most networks.
 * The root does it alone and in the order of the file, so the result has nothing to do with the
 * number of ranks.
 *
 * Contrast: the wanted standard deviation is the mean of those of all images, each less the mean
 * image. Whitening: with the second moments V diag(d) V' of images behind the steps before,
 *
 *     input.whiten = V diag(sqrt(mean(d)) / max(sqrt(d), TDO_INPUT_WHITEN)) V'
 *
 * Source: MatConvNet's CIFAR-10 example, from which Yan et al. 2018 (Deep Defense) took their data;
 * it also takes statistics of contrast from test images, which is not done here. */
#include <math.h>
#include <string.h>

#include "jobs/train/train.h"
#include "nn/base/log.h"
#include "nn/kernels/blas.h"
#include "nn/models/input.h"

enum { BLOCK = 256 }; /* images at a time */

struct input {
    const tdo_dataset *d;
    const struct tdo_model_spec *spec;
    int64_t rows, pixels;
    float *mean, *contrast, *whiten; /* the tensors; NULL: not in this network */
    unsigned char *raw;
    double *x;     /* [BLOCK,pixels], channels first */
    double wanted; /* contrast */
    int64_t row[BLOCK];
};

/* Index of number i of an image in a tensor that has its channels first. */
static int64_t channels_first(const struct tdo_model_spec *s, int64_t i)
{
    return i % s->channels * (s->height * s->width) + i / s->channels;
}

/* Images [first, first + n) less the mean image into x. */
static tdo_err read_images(struct input *p, int64_t first, int64_t n)
{
    const bool u8 = tdo_dataset_info(p->d)->is_u8;
    for (int64_t i = 0; i < n; i++) {
        p->row[i] = first + i;
    }
    TDO_TRY(tdo_dataset_read(p->d, TDO_SPLIT_TRAIN, p->row, n, p->raw, NULL));
    for (int64_t i = 0; i < n * p->pixels; i++) {
        const int64_t k = channels_first(p->spec, i % p->pixels);
        float v;
        if (u8) {
            v = (float)p->raw[i] / 255;
        } else {
            memcpy(&v, p->raw + i * (int64_t)sizeof v, sizeof v);
        }
        p->x[i / p->pixels * p->pixels + k] = (double)v - (double)p->mean[k];
    }
    return TDO_OK;
}

/* Take an image's own mean off; returns its standard deviation. */
static double centre(double *x, int64_t n)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i];
    }
    for (int64_t i = 0; i < n; i++) {
        x[i] -= sum / (double)n;
        squares += x[i] * x[i];
    }
    return sqrt(squares / (double)(n > 1 ? n - 1 : 1));
}

static tdo_err measure_contrast(struct input *p)
{
    double sum = 0;
    for (int64_t at = 0; at < p->rows; at += BLOCK) {
        const int64_t n = p->rows - at < BLOCK ? p->rows - at : BLOCK;
        TDO_TRY(read_images(p, at, n));
        for (int64_t i = 0; i < n; i++) {
            sum += centre(p->x + i * p->pixels, p->pixels);
        }
    }
    p->wanted = (double)(float)(sum / (double)p->rows);
    p->contrast[0] = (float)p->wanted;
    return TDO_OK;
}

static void even_contrast(const struct input *p, int64_t n)
{
    for (int64_t i = 0; p->contrast && i < n; i++) {
        double *x = p->x + i * p->pixels;
        const double scale = p->wanted / fmax(centre(x, p->pixels), TDO_INPUT_CONTRAST);
        for (int64_t k = 0; k < p->pixels; k++) {
            x[k] *= scale;
        }
    }
}

static tdo_err second_moments(struct input *p, double *moments)
{
    const int64_t D = p->pixels;
    for (int64_t at = 0; at < p->rows; at += BLOCK) {
        const int64_t n = p->rows - at < BLOCK ? p->rows - at : BLOCK;
        TDO_TRY(read_images(p, at, n));
        even_contrast(p, n);
        tdo_blas_add_squares(p->x, n, D, moments);
    }
    for (int64_t i = 0; i < D * D; i++) {
        moments[i] /= (double)p->rows;
    }
    return TDO_OK;
}

/* Rows of v, eigenvectors, times the root of what whitening does to each. */
static void scale_directions(int64_t D, const double *d, double *v)
{
    double mean = 0;
    for (int64_t i = 0; i < D; i++) {
        mean += fmax(d[i], 0) / (double)D;
    }
    for (int64_t i = 0; i < D; i++) {
        const double scale = sqrt(mean) / fmax(sqrt(fmax(d[i], 0)), TDO_INPUT_WHITEN);
        for (int64_t k = 0; k < D; k++) {
            v[i * D + k] *= sqrt(scale);
        }
    }
}

static tdo_err make_whitening(struct input *p)
{
    const int64_t D = p->pixels;
    double *v = NULL, *d = NULL, *w = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(D * D, &v));
    TDO_GOTO(tdo_memory_new(D, &d));
    TDO_GOTO(second_moments(p, v));
    TDO_GOTO(tdo_blas_eigen(D, v, d));
    scale_directions(D, d, v);
    TDO_GOTO(tdo_memory_new(D * D, &w));
    tdo_blas_add_squares(v, D, D, w);
    for (int64_t i = 0; i < D; i++) {
        for (int64_t k = 0; k < D; k++) {
            p->whiten[i * D + k] = (float)(k >= i ? w[i * D + k] : w[k * D + i]);
        }
    }
done:
    tdo_memory_free(&v);
    tdo_memory_free(&d);
    tdo_memory_free(&w);
    return err;
}

/* The root's part: contrast first, whitening sees what it makes. */
static tdo_err learn(struct input *p)
{
    const double start = tdo_log_now();
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_memory_new(BLOCK * tdo_dataset_row_bytes(p->d), &p->raw));
    TDO_GOTO(tdo_memory_new(BLOCK * p->pixels, &p->x));
    if (p->contrast) {
        TDO_GOTO(measure_contrast(p));
    }
    if (p->whiten) {
        TDO_GOTO(make_whitening(p));
    }
    tdo_log_root(TDO_LOG_INFO, "input layer: measured %lld images in %.0f s",
                 (long long)p->rows, tdo_log_now() - start);
done:
    tdo_memory_free(&p->raw);
    tdo_memory_free(&p->x);
    return err;
}

static float *tensor(const struct tdo_network *n, const char *name)
{
    const int64_t i = tdo_params_find(n->params, name);
    return i < 0 ? NULL : tdo_params_values(n->params, i);
}

static tdo_err copy_mean(struct input *p)
{
    float *image = NULL;
    TDO_TRY(tdo_memory_new(p->pixels, &image));
    if (!tdo_dataset_mean(p->d, image)) {
        tdo_memory_free(&image);
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "model.mean_image: %s has that of another size; data.size = 0 expected",
                        tdo_dataset_path(p->d));
    }
    for (int64_t i = 0; i < p->pixels; i++) {
        p->mean[channels_first(p->spec, i)] = image[i];
    }
    tdo_memory_free(&image);
    return TDO_OK;
}

tdo_err tdo_train_input(tdo_comm *comm, const tdo_dataset *d, struct tdo_network *n)
{
    const int64_t pixels = tdo_dataset_pixels(d), size = (int64_t)sizeof(float);
    struct input p = {.d = d,
                      .spec = &n->spec,
                      .rows = tdo_dataset_info(d)->rows[TDO_SPLIT_TRAIN],
                      .pixels = pixels,
                      .mean = tensor(n, "input.mean"),
                      .contrast = tensor(n, "input.contrast"),
                      .whiten = tensor(n, "input.whiten")};
    if (!p.mean) {
        return TDO_OK;
    }
    tdo_err err = copy_mean(&p);
    if (err == TDO_OK && (p.contrast || p.whiten) && tdo_comm_rank(comm) == 0) {
        err = learn(&p);
    }
    TDO_TRY(tdo_comm_agree(comm, err));
    if (p.contrast) {
        tdo_comm_broadcast(comm, p.contrast, size);
    }
    if (p.whiten) {
        tdo_comm_broadcast(comm, p.whiten, pixels * pixels * size);
    }
    return TDO_OK;
}
