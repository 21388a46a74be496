#ifndef TDO_TESTS_JPEG_H
#define TDO_TESTS_JPEG_H
/* JPEG files for tests and their tools: the product only reads them. */
#include <stdbool.h>
#include <stdint.h>

struct test_jpeg {
    int64_t height, width;
    int channels; /* 1 grey, 3 RGB, 4 CMYK */
    int quality;  /* 0 to 100; 75 is libjpeg's own choice */
    bool progressive;
    const uint8_t *pixels; /* of the first line */
    int64_t stride;        /* bytes from line to line */
};

/* The bytes of a file, and how many. A failure ends the program, as libjpeg does.
 * Owner: caller, free of *file. */
int64_t test_jpeg_encode(const struct test_jpeg *p, uint8_t **file);

/* The same into a file; false if that cannot be written. */
bool test_jpeg_write(const struct test_jpeg *p, const char *path);

#endif
