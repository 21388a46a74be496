#ifndef TDO_JOBS_FORWARD_IMPL_H
#define TDO_JOBS_FORWARD_IMPL_H
/* What forward.c and forward_answers.c share. */
#include "jobs/forward.h"
#include "jobs/inference.h"

struct tdo_forward {
    struct tdo_network *net;
    bool u8;
    int64_t batch, pixels;
    struct tdo_inference inference;
    void *bytes;    /* [batch] rows as read */
    int64_t *image; /* [batch] */
    int64_t *row;   /* [batch] of the data */
    int32_t *label; /* [batch] */
    struct tdo_progress *progress;
    const struct tdo_voting *voting; /* NULL: asked once */
    int64_t draws;                   /* of an image */
    double *score;                   /* [batch,TDO_VOTE_RULES,classes] so far */
    int64_t *votes;                  /* [batch,classes] */
    uint32_t *right;                 /* [batch,TDO_VOTE_RULES] */
};

struct tdo_forward_visitor {
    tdo_forward_visit visit;
    tdo_err (*drawn)(void *user); /* behind each draw of a batch; NULL: nothing to do */
    void *user;
};

/* The first n of f->image, n <= f->batch, all draws; images are visited in their order. */
TDO_MUST tdo_err tdo_forward_batch(tdo_forward *f, const struct tdo_images *im, int64_t n,
                                   const struct tdo_forward_visitor *to);

#endif
