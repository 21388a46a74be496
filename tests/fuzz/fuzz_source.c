/* Formats of import, for their targets: files in, rows out. See fuzz.h. */
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "jobs/formats/formats.h"
#include "nn/base/memory.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_ROWS = 5, MAX_PIXELS = 1 << 20 };

static void read_split(tdo_source *s, enum tdo_source_split split)
{
    const struct tdo_source_info *info = &s->info;
    const int64_t pixels = info->height * info->width * info->channels;
    const int64_t rows = info->rows[split], n = rows < MAX_ROWS ? rows : MAX_ROWS;
    uint8_t *x = NULL;
    int32_t y[MAX_ROWS];
    FUZZ_CHECK(rows >= 0 && pixels > 0 && info->classes > 0);
    if (pixels > MAX_PIXELS || tdo_memory_new(n * pixels, &x) != TDO_OK) {
        return;
    }
    for (int turn = 0; turn < 2; turn++) { /* the last rows, then back to the first */
        const int64_t first = turn == 0 ? rows - n : 0;
        if (tdo_source_read(s, split, first, n, x, y) == TDO_OK) {
            for (int64_t i = 0; i < n; i++) {
                FUZZ_CHECK(y[i] >= 0 && y[i] < info->classes);
            }
        }
    }
    tdo_memory_free(&x);
}

void fuzz_read_source(const char *format)
{
    tdo_source *s = NULL;
    char from[4096];
    snprintf(from, sizeof from, "%s", fuzz_path(""));
    const struct tdo_format_args args = {.from = from, .seed = 1};
    if (tdo_source_open(tdo_format_find(format), &args, &s) == TDO_OK) {
        FUZZ_CHECK(s->info.is_u8);
        read_split(s, TDO_SOURCE_TRAIN);
        read_split(s, TDO_SOURCE_TEST);
    }
    tdo_source_close(&s);
}

static void write_gzip(const char *name, const void *data, size_t bytes)
{
    static unsigned char room[1 << 20];
    z_stream z = {0};
    z.next_in = (unsigned char *)(uintptr_t)data;
    z.avail_in = (unsigned)bytes;
    z.next_out = room;
    z.avail_out = sizeof room;
    if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK) {
        deflate(&z, Z_FINISH);
        fuzz_write(name, room, sizeof room - z.avail_out);
        deflateEnd(&z);
    }
}

void fuzz_write_source(struct fuzz *f, const char *name, int repeat)
{
    static uint8_t content[1 << 16];
    char zipped[256];
    const unsigned choice = (unsigned)fuzz_number(f, 1);
    struct fuzz chunk = fuzz_chunk(f);
    size_t bytes = repeat ? (size_t)fuzz_number(f, 2) : chunk.size;
    for (size_t i = 0; i < bytes; i++) {
        content[i] = chunk.size > 0 ? chunk.data[i % chunk.size] : 0;
    }
    snprintf(zipped, sizeof zipped, "%s.gz", name);
    if (choice & 2) {
        write_gzip(choice & 1 ? zipped : name, content, bytes);
    } else {
        fuzz_write(choice & 1 ? zipped : name, content, bytes);
    }
}

void fuzz_remove_source(const char *name)
{
    char zipped[256];
    snprintf(zipped, sizeof zipped, "%s.gz", name);
    fuzz_remove(name);
    fuzz_remove(zipped);
}
