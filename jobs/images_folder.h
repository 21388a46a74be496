#ifndef TDO_JOBS_IMAGES_FOLDER_H
#define TDO_JOBS_IMAGES_FOLDER_H
/* A folder of image files as something to run a network on: PNG and JPEG under any names, in the
 * folder itself and in the folders one level down, in byte order of their paths.
 *
 * Only names are held; an image is decoded whenever it is read. All of them are decoded once when
 * the folder is opened, each on one rank: a file that is no image is found before the work
 * begins, and the hash of what was decoded tells this folder from another. */
#include "jobs/images.h"

typedef struct tdo_images_folder tdo_images_folder;

struct tdo_images_folder_options {
    const char *path;                /* borrowed until free */
    int64_t height, width, channels; /* of the network; channels 1 (grey) or 3 */
    int64_t
        size; /* resize the shorter side to this, then cut out the middle; 0: sizes must fit */
};

/* List and check a folder, and set *im to all of its images, without labels, named by their path
 * within it. Every rank reads the folder and must see the same one.
 * Errors: TDO_ERR_CONFIG (no files; a size that the network does not fit in; channels),
 *         TDO_ERR_FILE, TDO_ERR_FORMAT naming the file; agreed. Ranks: collective.
 * Owner:  caller, tdo_images_folder_free; *im borrows it. */
TDO_MUST tdo_err tdo_images_folder_open(tdo_comm *comm,
                                        const struct tdo_images_folder_options *o,
                                        tdo_images_folder **out, struct tdo_images *im);
void tdo_images_folder_free(tdo_images_folder **f);

#endif
