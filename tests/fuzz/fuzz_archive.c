/* Archives. The first byte chooses what is read: a file that HDF5 made of the input's choices, with a
 * seal or without; one that was written as an archive of the input's numbers, which must come back; the
 * same with some bytes changed behind its back, which must show. */
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "mpi/archive.h"
#include "mpi/mpi_impl.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"
#include "tests/fuzz/fuzz_hdf5.h"

enum { ROWS = 6, WIDE = 3, ATTRIBUTES = 3, COLUMNS = 3 };

struct made {
    char text[20];
    double real;
    int64_t list[4];
    uint64_t grid[ROWS * WIDE];
    uint8_t bytes[ROWS];
    int32_t some[ROWS];
};

static struct tdo_archive archive_of(struct made *m)
{
    return (struct tdo_archive){
        .format = "fuzz-1",
        .attributes = ATTRIBUTES,
        .columns = COLUMNS,
        .attribute = {{"text", TDO_CHECKPOINT_U8, 0, 1, m->text},
                      {"real", TDO_CHECKPOINT_F64, 1, 1, &m->real},
                      {"list", TDO_CHECKPOINT_I64, 4, 1, m->list}},
        .column = {{"grid", TDO_CHECKPOINT_U64, ROWS * WIDE, WIDE, m->grid},
                   {"bytes", TDO_CHECKPOINT_U8, ROWS, 1, m->bytes},
                   {"some", TDO_CHECKPOINT_I32, ROWS, 1, m->some}}};
}

/* Names and types; how many is not known, but for `real`. */
static struct tdo_archive wanted(struct made *m)
{
    struct tdo_archive a = archive_of(m);
    for (int i = 0; i < ATTRIBUTES; i++) {
        if (i != 1) {
            a.attribute[i].count = -1;
            a.attribute[i].data = NULL;
        }
        a.column[i].count = -1;
        a.column[i].width = i == 0 ? 0 : 1;
        a.column[i].data = NULL;
    }
    return a;
}

static void drop(struct tdo_archive *a)
{
    tdo_memory_free(&a->attribute[0].data);
    tdo_memory_free(&a->attribute[2].data);
    for (int i = 0; i < COLUMNS; i++) {
        tdo_memory_free(&a->column[i].data);
    }
}

static void check_sizes(const struct tdo_archive *a)
{
    FUZZ_CHECK(strlen(a->attribute[0].data) == (size_t)a->attribute[0].count);
    for (int i = 0; i < COLUMNS; i++) {
        const struct tdo_archive_item *x = &a->column[i];
        FUZZ_CHECK(x->count % x->width == 0);
    }
}

static void make_structure(struct fuzz *f, const char *path)
{
    const struct fuzz_hdf5_data usual[] = {{"grid", H5T_STD_U64LE, 2, {ROWS, WIDE}},
                                           {"bytes", H5T_STD_U8LE, 1, {ROWS}},
                                           {"some", H5T_STD_I32LE, 1, {ROWS}},
                                           {"more", H5T_STD_U8LE, 1, {7}}};
    const unsigned more = (unsigned)fuzz_number(f, 1) & 1;
    hid_t file = fuzz_hdf5_create(path);
    fuzz_hdf5_text(f, file, "format", "fuzz-1");
    fuzz_hdf5_text(f, file, "hash", "0123456789abcdef");
    fuzz_hdf5_text(f, file, "text", "words");
    fuzz_hdf5_integer(f, file, "real", 1);
    fuzz_hdf5_integer(f, file, "list", 2);
    for (unsigned i = 0; i < COLUMNS + more; i++) {
        fuzz_hdf5_data(f, file, &usual[i]);
    }
    H5Fclose(file);
}

/* Put a seal behind a file. */
static void seal(const char *name)
{
    char *image = NULL;
    int64_t bytes = 0;
    struct tdo_seal s = {.hash = 0};
    if (tdo_file_read(fuzz_path(name), 1 << 22, &image, &bytes) == TDO_OK && bytes > 0) {
        memcpy(s.magic, TDO_SEAL_MAGIC, sizeof s.magic);
        s.bytes = (uint64_t)bytes;
        s.hash = XXH64(image, (size_t)bytes, 0);
        FILE *to = fopen(fuzz_path(name), "ab");
        FUZZ_CHECK(to && fwrite(&s, sizeof s, 1, to) == 1 && fclose(to) == 0);
    }
    tdo_memory_free(&image);
}

static void write_archive(struct fuzz *f, const char *path)
{
    struct made m;
    for (size_t i = 0; i < sizeof m; i++) {
        ((uint8_t *)&m)[i] = (uint8_t)fuzz_number(f, 1);
    }
    memset(m.text, 0, sizeof m.text);
    memset(m.text, 'a' + (int)(fuzz_number(f, 1) % 26), (size_t)fuzz_number(f, 1) % 19 + 1);
    struct tdo_archive a = archive_of(&m);
    a.attribute[2].count = (int64_t)fuzz_number(f, 1) % 4 + 1;
    a.column[0].count = WIDE * ((int64_t)fuzz_number(f, 1) % (ROWS + 1));
    a.column[2].count = (int64_t)fuzz_number(f, 1) % (ROWS + 1);
    tdo_err err = tdo_archive_write(path, &a);
    FUZZ_CHECK(err == TDO_OK);
}

/* Up to four bytes of the file, each by something; the places differ. */
static void damage(struct fuzz *f, const char *name)
{
    char *image = NULL;
    int64_t bytes = 0, place = -1;
    tdo_err err = tdo_file_read(fuzz_path(name), 1 << 22, &image, &bytes);
    FUZZ_CHECK(err == TDO_OK);
    for (uint64_t i = fuzz_number(f, 1) % 4; i < 4; i++) {
        place += 1 + (int64_t)fuzz_number(f, 2) % (bytes / 4);
        image[place] = (char)(image[place] ^ (char)(1 + fuzz_number(f, 1) % 255));
    }
    fuzz_write(name, image, (size_t)bytes);
    tdo_memory_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {data, size};
    struct tdo_archive_found found;
    struct made m;
    char path[4096];
    const unsigned how = (unsigned)fuzz_number(&f, 1) % 4;
    snprintf(path, sizeof path, "%s", fuzz_path("archive.h5"));
    if (how < 2) {
        make_structure(&f, path);
        if (how == 1) {
            seal("archive.h5");
        }
    } else {
        write_archive(&f, path);
        if (how == 3) {
            damage(&f, "archive.h5");
        }
    }
    struct tdo_archive a = wanted(&m);
    uint64_t hash = 0;
    const tdo_err err = tdo_archive_read(path, &a, &found);
    if (err == TDO_OK) {
        check_sizes(&a);
        hash = tdo_archive_hash(&a); /* reads all that is said to be there */
    }
    FUZZ_CHECK(how != 2 || (err == TDO_OK && found.sealed && found.hash == hash));
    FUZZ_CHECK(how != 3 || !found.sealed);
    drop(&a);
    fuzz_remove("archive.h5");
    return 0;
}
