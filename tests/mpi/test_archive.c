/* Archives: they come back, their bytes are a function of what is in them, and whatever changes in
 * a file shows. */
#include <xxhash.h>

#include "mpi/archive.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"
#include "tests/mpi/files.h"

const char suite_name[] = "mpi/archive";

enum { ROWS = 5, WIDE = 3 };

struct made {
    char text[20];
    double real;
    int64_t list[2];
    uint64_t grid[ROWS * WIDE];
    uint8_t bytes[ROWS];
    int32_t none[1];
};

static void fill(struct made *m)
{
    *m = (struct made){.text = "words", .real = 0.1, .list = {-7, INT64_MAX}};
    for (int i = 0; i < ROWS * WIDE; i++) {
        m->grid[i] = UINT64_MAX / (uint64_t)(i + 1);
        m->bytes[i % ROWS] = (uint8_t)(40 + i);
    }
}

static struct tdo_archive archive_of(struct made *m)
{
    return (struct tdo_archive){
        .format = "test-1",
        .attributes = 3,
        .columns = 3,
        .attribute = {{"text", TDO_CHECKPOINT_U8, 0, 1, m->text},
                      {"real", TDO_CHECKPOINT_F64, 1, 1, &m->real},
                      {"list", TDO_CHECKPOINT_I64, 2, 1, m->list}},
        .column = {{"grid", TDO_CHECKPOINT_U64, ROWS * WIDE, WIDE, m->grid},
                   {"bytes", TDO_CHECKPOINT_U8, ROWS, 1, m->bytes},
                   {"none", TDO_CHECKPOINT_I32, 0, 1, m->none}}};
}

/* Nothing is known but names and types. */
static struct tdo_archive wanted(void)
{
    static struct made m;
    struct tdo_archive a = archive_of(&m);
    for (int i = 0; i < 3; i++) {
        a.attribute[i].count = a.column[i].count = -1;
        a.attribute[i].data = a.column[i].data = NULL;
        a.column[i].width = 0;
    }
    return a;
}

static void drop(struct tdo_archive *a)
{
    for (int i = 0; i < 3; i++) {
        tdo_memory_free(&a->attribute[i].data);
        tdo_memory_free(&a->column[i].data);
    }
}

static void write_made(const char *path)
{
    struct made m;
    fill(&m);
    struct tdo_archive a = archive_of(&m);
    ASSERT_OK_FATAL(tdo_archive_write(path, &a));
}

static void an_archive_comes_back(void)
{
    struct made m;
    struct tdo_archive got = wanted();
    struct tdo_archive_found found;
    const char *path = runner_path("back.h5");
    fill(&m);
    struct tdo_archive a = archive_of(&m);
    ASSERT_OK_FATAL(tdo_archive_write(path, &a));
    ASSERT_OK_FATAL(tdo_archive_read(path, &got, &found));
    CU_ASSERT(found.sealed && found.hash == tdo_archive_hash(&got));
    CU_ASSERT_EQUAL(found.hash, tdo_archive_hash(&a));
    CU_ASSERT_STRING_EQUAL(got.attribute[0].data, "words");
    CU_ASSERT(memcmp(got.attribute[2].data, m.list, sizeof m.list) == 0);
    CU_ASSERT_EQUAL(got.column[0].width, WIDE);
    CU_ASSERT(memcmp(got.column[0].data, m.grid, sizeof m.grid) == 0);
    CU_ASSERT(memcmp(got.column[1].data, m.bytes, sizeof m.bytes) == 0);
    CU_ASSERT_EQUAL(got.column[2].count, 0);
    drop(&got);
    unlink(path);
}

static void the_bytes_are_a_function_of_what_is_in_it(void)
{
    char *one = NULL, *two = NULL;
    int64_t bytes = 0, more = 0;
    const char *path = runner_path("bytes.h5");
    write_made(path);
    ASSERT_OK_FATAL(tdo_file_read(path, 1 << 20, &one, &bytes));
    sleep(1); /* another second */
    write_made(path);
    ASSERT_OK_FATAL(tdo_file_read(path, 1 << 20, &two, &more));
    CU_ASSERT(bytes == more && memcmp(one, two, (size_t)bytes) == 0);
    tdo_memory_free(&one);
    tdo_memory_free(&two);
    unlink(path);
}

/* The seal is made anew, so that only format and hash can tell. */
static void seal(char *data, int64_t bytes)
{
    const uint64_t hash = XXH64(data, (size_t)bytes - 24, 0);
    memcpy(data + bytes - 8, &hash, sizeof hash);
}

/* 0: not a file that can be read; 1: read, and seen to be changed; 2: as if nothing were. */
static int judge(const char *path, bool *sealed)
{
    struct tdo_archive got = wanted();
    struct tdo_archive_found found;
    const tdo_err err = tdo_archive_read(path, &got, &found);
    const int result = err != TDO_OK ? 0 : found.hash != tdo_archive_hash(&got) ? 1 : 2;
    *sealed = found.sealed;
    drop(&got);
    return result;
}

static void a_changed_byte_shows(void)
{
    char *data = NULL;
    int64_t bytes = 0;
    bool sealed = false;
    int read = 0, silent = 0;
    const char *path = runner_path("changed.h5");
    write_made(path);
    ASSERT_OK_FATAL(tdo_file_read(path, 1 << 20, &data, &bytes));
    for (int64_t at = 0; at < bytes - 24; at += 17) {
        data[at] ^= 0x10;
        ASSERT_OK_FATAL(tdo_file_write(path, data, bytes));
        CU_ASSERT(judge(path, &sealed) >= 0 && !sealed);
        seal(data, bytes);
        ASSERT_OK_FATAL(tdo_file_write(path, data, bytes));
        const int result = judge(path, &sealed);
        read += result > 0;
        silent += result == 2; /* room of HDF5 that nothing is in */
        data[at] ^= 0x10;
    }
    CU_ASSERT(read > 5); /* data */
    CU_ASSERT(silent < bytes / 17);
    tdo_memory_free(&data);
    unlink(path);
}

static void what_is_missing_or_more_is_an_error(void)
{
    struct tdo_archive_found found;
    const char *path = runner_path("other.h5");
    write_made(path);
    struct tdo_archive got = wanted();
    got.columns = 2;
    CU_ASSERT_EQUAL(tdo_archive_read(path, &got, &found), TDO_ERR_FORMAT);
    drop(&got);
    got = wanted();
    got.column[1].name = "bites";
    CU_ASSERT_EQUAL(tdo_archive_read(path, &got, &found), TDO_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(tdo_error_last()->message, "bites"));
    drop(&got);
    got = wanted();
    got.format = "test-2";
    CU_ASSERT_EQUAL(tdo_archive_read(path, &got, &found), TDO_ERR_FORMAT);
    drop(&got);
    unlink(path);
    got = wanted();
    CU_ASSERT_EQUAL(tdo_archive_read(runner_path("absent.h5"), &got, &found), TDO_ERR_FILE);
    drop(&got);
}

CU_TestInfo suite_tests[] = {
    {"an archive comes back", an_archive_comes_back},
    {"its bytes are a function of what is in it", the_bytes_are_a_function_of_what_is_in_it},
    {"a changed byte shows", a_changed_byte_shows},
    {"what is missing, or more, is an error", what_is_missing_or_more_is_an_error},
    CU_TEST_INFO_NULL};
