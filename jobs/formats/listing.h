#ifndef TDO_JOBS_FORMATS_LISTING_H
#define TDO_JOBS_FORMATS_LISTING_H
/* The names of a folder of images, train/<class>/<file> and test/<class>/<file>, as one text that
 * a rank can send to others, so that all number the files alike.
 *
 *     text    for train, then test, for each class in byte order: its name, the names of its
 *             files in byte order, and an empty name; every name ends with a zero byte
 *     index   where each file's name begins, and the first file of each class
 *
 * That is about 30 bytes a file with names like those of ImageNet: 40 MB for all of it. */
#include <stdint.h>

#include "nn/base/error.h"

enum { TDO_LISTING_SPLITS = 2, TDO_LISTING_PATH = 4096 };

struct tdo_listing {
    char *from; /* the directory above train and test */
    char *text;
    int64_t bytes, room;
    int64_t classes;                    /* in each split, and they are the same */
    int64_t files[TDO_LISTING_SPLITS];  /* of a split */
    int64_t *file[TDO_LISTING_SPLITS];  /* [files] where its name begins */
    int64_t *class[TDO_LISTING_SPLITS]; /* [classes] where its name begins */
    int64_t *first[TDO_LISTING_SPLITS]; /* [classes+1] its first file */
};

/* List the directories; l is zeroed first. Hidden files are passed over, links followed;
 * everything else that is no image by its name is an error.
 * Errors: TDO_ERR_FILE, TDO_ERR_FORMAT naming the path; TDO_ERR_MEMORY.
 * Owner:  caller, tdo_listing_free, also after an error. */
TDO_MUST tdo_err tdo_listing_scan(const char *from, struct tdo_listing *l);

/* The same from the text of another rank. */
TDO_MUST tdo_err tdo_listing_copy(const char *from, const char *text, int64_t bytes,
                                  struct tdo_listing *l);

/* The label of file i of a split; its path. Errors: TDO_ERR_FILE when the path is too long. */
int32_t tdo_listing_label(const struct tdo_listing *l, int split, int64_t i);
TDO_MUST tdo_err tdo_listing_path(const struct tdo_listing *l, int split, int64_t i,
                                  char path[TDO_LISTING_PATH]);

void tdo_listing_free(struct tdo_listing *l);

#endif
