/* IDX: the files of MNIST, Fashion-MNIST and their kin, plain or gzip.
 *
 *   offset 0   00 00 TT DD   TT = element type (08 is unsigned byte), DD = number of dimensions
 *   offset 4   DD sizes, 32 bits each, big-endian; then the elements, row-major
 *
 * import.from holds four files: train-images-idx3-ubyte, train-labels-idx1-ubyte and the same
 * with t10k for the test split; also with a dot before idx, each plain or .gz; zlib reads both.
 * Headers are checked at opening; bytes behind the last element, and the checksum of a gzip
 * file, when the last row is read. Layout: LeCun, Cortes, Burges, "The MNIST database". */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "jobs/formats/formats.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"

extern const struct tdo_format tdo_format_idx;

enum {
    CLASSES = 10,
    LABEL_WINDOW = 4096,
    GZIP_WINDOW = 256 * 1024,
    MAX_READ = 1 << 24, /* bytes asked of zlib at once: its lengths are int */
    MAX_SIDE = 16384,
    MAX_DIMS = 3
};

/* One open file. */
struct idx_file {
    char *path;
    gzFile gz;
    int dims;
    int64_t size[MAX_DIMS];
    int64_t row;    /* bytes of one row */
    int64_t header; /* bytes before the first row */
};

struct idx {
    tdo_source base;
    struct idx_file images[TDO_SOURCE_SPLITS], labels[TDO_SOURCE_SPLITS];
};

static const char *const prefixes[TDO_SOURCE_SPLITS] = {"train", "t10k"};

static const char *type_text(unsigned type)
{
    switch (type) {
    case 0x08:
        return "unsigned bytes";
    case 0x09:
        return "signed bytes";
    case 0x0B:
        return "16-bit integers";
    case 0x0C:
        return "32-bit integers";
    case 0x0D:
        return "floats";
    case 0x0E:
        return "doubles";
    default:
        return NULL;
    }
}

static int64_t big_endian(const unsigned char b[4])
{
    return (int64_t)((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]);
}

/* Exactly n bytes at the present offset, which is `at`; `what` is for the message. */
static tdo_err read_bytes(struct idx_file *f, int64_t at, int64_t n, void *out,
                          const char *what)
{
    unsigned char *bytes = out;
    for (int64_t got = 0; got < n;) {
        int64_t want = n - got < MAX_READ ? n - got : MAX_READ;
        int r = gzread(f->gz, bytes + got, (unsigned)want);
        int code = Z_OK;
        const char *text = gzerror(f->gz, &code);
        got += r > 0 ? r : 0;
        if (code == Z_ERRNO) {
            return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be read at byte %lld", f->path,
                            (long long)(at + got));
        }
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s: corrupt gzip data near byte %lld of the unpacked file (%s)",
                            f->path, (long long)(at + got), text);
        }
        if (r < want && got < n) {
            return TDO_FAIL(
                TDO_ERR_FORMAT,
                "%s: truncated: ends at byte %lld (unpacked), inside %s, which needs "
                "%lld bytes from byte %lld",
                f->path, (long long)(at + got), what, (long long)n, (long long)at);
        }
    }
    return TDO_OK;
}

/* Find <prefix>-<kind>[-.]idx<dims>-ubyte[.gz] in the directory and open it. */
static tdo_err open_file(const char *from, const char *prefix, const char *kind, int dims,
                         struct idx_file *f)
{
    enum { EXTRA = 64 };
    int64_t room = (int64_t)strlen(from) + EXTRA;
    TDO_TRY(tdo_memory_new(room, &f->path));
    for (int i = 0; i < 4; i++) {
        snprintf(f->path, (size_t)room, "%s/%s-%s%cidx%d-ubyte%s", from, prefix, kind,
                 i & 2 ? '.' : '-', dims, i & 1 ? ".gz" : "");
        if (tdo_file_exists(f->path)) {
            f->gz = gzopen(f->path, "rb");
            if (!f->gz || gzbuffer(f->gz, GZIP_WINDOW) != 0) {
                return TDO_FAIL(TDO_ERR_FILE, "%s: cannot be opened", f->path);
            }
            return TDO_OK;
        }
    }
    return TDO_FAIL(
        TDO_ERR_FILE,
        "%s: no file %s-%s-idx%d-ubyte there, plain or .gz (import.from must name a "
        "directory with the four IDX files)",
        from, prefix, kind, dims);
}

static tdo_err check_magic(const struct idx_file *f, const unsigned char m[4])
{
    if (m[0] == 0 && m[1] == 0 && m[2] == 0x08 && m[3] == f->dims) {
        return TDO_OK;
    }
    const char *type = m[0] == 0 && m[1] == 0 ? type_text(m[2]) : NULL;
    char what[96] = "not an IDX file";
    if (type) {
        snprintf(what, sizeof what, "an IDX file of %s with %d dimensions", type, m[3]);
    }
    return TDO_FAIL(TDO_ERR_FORMAT,
                    "%s: bad magic %02x %02x %02x %02x at byte 0: %s; expected 00 00 08 %02x, "
                    "unsigned bytes with %d dimensions",
                    f->path, m[0], m[1], m[2], m[3], what, (unsigned)f->dims, f->dims);
}

/* A plain file must be as long as its header says; a gzip file does not tell its length yet. */
static tdo_err check_length(const struct idx_file *f)
{
    struct stat st;
    int64_t want = f->header + f->size[0] * f->row;
    if (!gzdirect(f->gz) || stat(f->path, &st) != 0 || st.st_size == want) {
        return TDO_OK;
    }
    return TDO_FAIL(TDO_ERR_FORMAT,
                    "%s: %s: %lld bytes, but its header (%lld rows of %lld bytes) says %lld",
                    f->path, st.st_size < want ? "truncated" : "longer than its header says",
                    (long long)st.st_size, (long long)f->size[0], (long long)f->row,
                    (long long)want);
}

static tdo_err read_header(struct idx_file *f, int dims)
{
    unsigned char head[4 * (1 + MAX_DIMS)];
    f->dims = dims;
    f->header = INT64_C(4) * (1 + dims);
    TDO_TRY(read_bytes(f, 0, 4, head, "the magic number"));
    TDO_TRY(check_magic(f, head));
    TDO_TRY(read_bytes(f, 4, f->header - 4, head + 4, "the header"));
    f->row = 1;
    const unsigned char *at = head + 4;
    for (int i = 0; i < dims; i++, at += 4) {
        f->size[i] = big_endian(at);
        if (f->size[i] < 1 || (i > 0 && f->size[i] > MAX_SIDE)) {
            return TDO_FAIL(TDO_ERR_FORMAT,
                            "%s: dimension %d, at byte %d, is %lld: expected 1 to %lld",
                            f->path, i, 4 * (1 + i), (long long)f->size[i],
                            i > 0 ? (long long)MAX_SIDE : (long long)UINT32_MAX);
        }
        f->row *= i > 0 ? f->size[i] : 1;
    }
    return check_length(f);
}

static tdo_err open_split(struct idx *s, const char *from, enum tdo_source_split split)
{
    struct idx_file *images = &s->images[split], *labels = &s->labels[split];
    TDO_TRY(open_file(from, prefixes[split], "images", 3, images));
    TDO_TRY(open_file(from, prefixes[split], "labels", 1, labels));
    TDO_TRY(read_header(images, 3));
    TDO_TRY(read_header(labels, 1));
    if (images->size[0] != labels->size[0]) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s has %lld images, but %s has %lld labels",
                        images->path, (long long)images->size[0], labels->path,
                        (long long)labels->size[0]);
    }
    return TDO_OK;
}

static void idx_close(tdo_source **source)
{
    struct idx *s = (struct idx *)*source;
    for (int i = 0; i < TDO_SOURCE_SPLITS; i++) {
        struct idx_file *files[] = {&s->images[i], &s->labels[i]};
        for (int j = 0; j < 2; j++) {
            if (files[j]->gz) {
                gzclose_r(files[j]->gz);
            }
            tdo_memory_free(&files[j]->path);
        }
    }
    tdo_memory_free(source);
}

/* Only a plain file can be read from anywhere: gzip is one stream. */
static bool is_plain(const struct idx *s)
{
    bool plain = true;
    for (int i = 0; i < TDO_SOURCE_SPLITS; i++) {
        plain = plain && gzdirect(s->images[i].gz) && gzdirect(s->labels[i].gz);
    }
    return plain;
}

static tdo_err idx_open(const struct tdo_format_args *args, tdo_source **out)
{
    struct idx *s = NULL;
    tdo_err err = TDO_OK;
    TDO_TRY(tdo_memory_new(1, &s));
    tdo_source *source = &s->base;
    TDO_GOTO(open_split(s, args->from, TDO_SOURCE_TRAIN));
    TDO_GOTO(open_split(s, args->from, TDO_SOURCE_TEST));
    const struct idx_file *train = &s->images[TDO_SOURCE_TRAIN],
                          *test = &s->images[TDO_SOURCE_TEST];
    if (train->size[1] != test->size[1] || train->size[2] != test->size[2]) {
        err = TDO_FAIL(TDO_ERR_FORMAT, "%s has images of %lldx%lld, but %s of %lldx%lld",
                       train->path, (long long)train->size[1], (long long)train->size[2],
                       test->path, (long long)test->size[1], (long long)test->size[2]);
        goto done;
    }
    s->base.info = (struct tdo_source_info){
        .rows = {train->size[0], test->size[0]},
        .height = train->size[1],
        .width = train->size[2],
        .channels = 1,
        .classes = CLASSES,
        .is_u8 = true,
        .anywhere = is_plain(s),
    };
    *out = source;
    source = NULL;
done:
    if (source) {
        idx_close(&source);
    }
    return err;
}

/* Rows [first, first+n) of a file; behind the last row, nothing may follow. */
static tdo_err read_rows(struct idx_file *f, int64_t first, int64_t n, void *out)
{
    int64_t at = f->header + first * f->row;
    if (gztell(f->gz) != at && gzseek(f->gz, at, SEEK_SET) != at) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: byte %lld (unpacked) cannot be reached: %s",
                        f->path, (long long)at, gzerror(f->gz, &(int){0}));
    }
    char what[64];
    snprintf(what, sizeof what, "rows %lld to %lld", (long long)first,
             (long long)(first + n - 1));
    TDO_TRY(read_bytes(f, at, n * f->row, out, what));
    if (first + n < f->size[0]) {
        return TDO_OK;
    }
    unsigned char more;
    int r = gzread(f->gz, &more, 1), code = Z_OK;
    const char *text = gzerror(f->gz, &code);
    if (r > 0) {
        return TDO_FAIL(
            TDO_ERR_FORMAT,
            "%s: longer than its header says: %lld rows of %lld bytes end at byte %lld "
            "(unpacked)",
            f->path, (long long)f->size[0], (long long)f->row, (long long)(at + n * f->row));
    }
    if (code != Z_OK && code != Z_STREAM_END) {
        return TDO_FAIL(TDO_ERR_FORMAT, "%s: corrupt gzip data at its end (%s)", f->path, text);
    }
    return TDO_OK;
}

static tdo_err read_labels(struct idx_file *f, int64_t first, int64_t n, int32_t *y)
{
    unsigned char window[LABEL_WINDOW];
    TDO_ASSERT(f->row == 1);
    for (int64_t i = 0; i < n; i += LABEL_WINDOW) {
        int64_t part = n - i < LABEL_WINDOW ? n - i : LABEL_WINDOW;
        TDO_TRY(read_rows(f, first + i, part, window));
        for (int64_t j = 0; j < part; j++) {
            y[i + j] = window[j];
            if (window[j] >= CLASSES) {
                return TDO_FAIL(TDO_ERR_FORMAT,
                                "%s: label %d of row %lld, at byte %lld (unpacked), is out of "
                                "range: expected 0 to %d",
                                f->path, window[j], (long long)(first + i + j),
                                (long long)(f->header + first + i + j), CLASSES - 1);
            }
        }
    }
    return TDO_OK;
}

static tdo_err idx_read(tdo_source *source, enum tdo_source_split split, int64_t first,
                        int64_t n, void *x, int32_t *y)
{
    struct idx *s = (struct idx *)source;
    TDO_TRY(read_labels(&s->labels[split], first, n, y));
    return read_rows(&s->images[split], first, n, x);
}

const struct tdo_format tdo_format_idx = {
    .name = "idx",
    .help = "IDX files (MNIST and its kin), plain or .gz, with their usual names",
    .cite = "LeCun, Cortes, Burges: The MNIST database of handwritten digits",
    .open = idx_open,
    .read = idx_read,
    .close = idx_close,
};
