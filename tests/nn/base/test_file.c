/* Files: what is written comes back, a failed write leaves the old file and nothing else. */
#include "nn/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/base/memory.h"
#include "tests/runner.h"

const char suite_name[] = "base/file";

enum { LIMIT = 1 << 24 };

/* A path in a fresh directory of this process, which stays until remove_all. */
static char folder[64];

struct path {
    char s[PATH_MAX];
};

static struct path in_folder(const char *name)
{
    struct path p;
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/testudo-file-XXXXXX");
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    }
    snprintf(p.s, sizeof p.s, "%s/%s", folder, name);
    return p;
}

static int entries(const char *path)
{
    int n = 0;
    DIR *d = opendir(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    while (d && readdir(d)) {
        n++;
    }
    if (d) {
        closedir(d);
    }
    return n - 2; /* . and .. */
}

/* The file holds these bytes and a zero byte behind them. */
static bool holds(const char *path, const void *want, int64_t bytes)
{
    char *data = NULL;
    int64_t n = -1;
    ASSERT_OK_FATAL(tdo_file_read(path, LIMIT, &data, &n));
    bool same = n == bytes && (n == 0 || memcmp(data, want, (size_t)n) == 0) && data[n] == '\0';
    tdo_memory_free(&data);
    return same;
}

static bool says(const char *a, const char *b)
{
    const char *m = tdo_error_last()->message;
    return strstr(m, a) != NULL && strstr(m, b) != NULL;
}

static void written_bytes_come_back(void)
{
    static unsigned char data[300000];
    struct path p = in_folder("bytes");
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (unsigned char)(i * 7 + i / 256); /* zero bytes among them */
    }
    const int64_t sizes[] = {0, 1, 65535, 65536, 65537, 300000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ASSERT_OK(tdo_file_write(p.s, data, sizes[i]));
        CU_ASSERT_TRUE(holds(p.s, data, sizes[i]));
    }
    ASSERT_OK(
        tdo_file_write(p.s, NULL, 0)); /* shorter than before: replaced, not overwritten */
    CU_ASSERT_TRUE(holds(p.s, "", 0));
    CU_ASSERT_EQUAL(unlink(p.s), 0);
    CU_ASSERT_EQUAL(entries(folder), 0); /* no file left beside it */
}

static void a_file_without_a_size_is_read_to_its_end(void)
{
    struct stat s;
    char *data = NULL;
    int64_t n = 0;
    CU_ASSERT_EQUAL_FATAL(stat("/proc/self/status", &s), 0);
    CU_ASSERT_EQUAL(s.st_size, 0);
    ASSERT_OK_FATAL(tdo_file_read("/proc/self/status", LIMIT, &data, &n));
    CU_ASSERT_TRUE(n > 100);
    CU_ASSERT_EQUAL(strlen(data), (size_t)n);
    CU_ASSERT_PTR_NOT_NULL(strstr(data, "Pid:"));
    tdo_memory_free(&data);
}

static void the_limit_is_the_largest_size_allowed(void)
{
    struct path p = in_folder("limit");
    char *data = NULL;
    int64_t n = 0;
    ASSERT_OK(tdo_file_write(p.s, "0123456789", 10));
    ASSERT_OK(tdo_file_read(p.s, 10, &data, &n));
    CU_ASSERT_EQUAL(n, 10);
    tdo_memory_free(&data);
    CU_ASSERT_EQUAL(tdo_file_read(p.s, 9, &data, &n), TDO_ERR_FILE);
    CU_ASSERT_PTR_NULL(data);
    CU_ASSERT_TRUE(says(p.s, "9 bytes"));
    CU_ASSERT_EQUAL(tdo_file_read("/dev/zero", 1 << 20, &data, &n), TDO_ERR_FILE);
    CU_ASSERT_EQUAL(unlink(p.s), 0);
}

static void reading_what_is_no_file_names_path_and_reason(void)
{
    struct path missing = in_folder("missing");
    char *data = NULL;
    int64_t n = 0;
    CU_ASSERT_EQUAL(tdo_file_read(missing.s, LIMIT, &data, &n), TDO_ERR_FILE);
    CU_ASSERT_TRUE(says(missing.s, strerror(ENOENT)));
    CU_ASSERT_EQUAL(tdo_file_read(folder, LIMIT, &data, &n), TDO_ERR_FILE);
    CU_ASSERT_TRUE(says(folder, strerror(EISDIR)));
    CU_ASSERT_PTR_NULL(data);
}

static void a_full_disk_leaves_the_old_file_and_nothing_else(void)
{
    static char large[100000];
    struct path p = in_folder("kept");
    struct rlimit old, tight;
    ASSERT_OK(tdo_file_write(p.s, "old", 3));
    /* A limit on file sizes stands in for a full disk: a write is cut short, the next fails. */
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = old;
    tight.rlim_cur = 5000;
    signal(SIGXFSZ, SIG_IGN);
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &tight), 0);
    tdo_err err = tdo_file_write(p.s, large, sizeof large);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    CU_ASSERT_EQUAL(err, TDO_ERR_FILE);
    CU_ASSERT_TRUE(says(p.s, strerror(EFBIG)));
    CU_ASSERT_TRUE(holds(p.s, "old", 3));
    CU_ASSERT_EQUAL(entries(folder), 1);
    CU_ASSERT_EQUAL(unlink(p.s), 0);
}

static void writing_to_a_wrong_place_names_path_and_reason(void)
{
    struct path inside = in_folder("none/file"), directory = in_folder("directory");
    struct path child = in_folder("directory/child"), longer = in_folder("");
    CU_ASSERT_EQUAL(tdo_file_write(inside.s, "x", 1), TDO_ERR_FILE);
    CU_ASSERT_TRUE(says(inside.s, strerror(ENOENT)));
    ASSERT_OK(tdo_file_make_dir(child.s));
    CU_ASSERT_EQUAL(tdo_file_write(directory.s, "x", 1), TDO_ERR_FILE); /* rename is refused */
    CU_ASSERT_TRUE(says(directory.s, "cannot be written"));
    CU_ASSERT_EQUAL(entries(folder), 1);
    memset(longer.s + strlen(longer.s), 'x', 1000);
    longer.s[strlen(folder) + 1000] = '\0';
    CU_ASSERT_EQUAL(tdo_file_write(longer.s, "x", 1), TDO_ERR_FILE);
    memset(longer.s, 'x', sizeof longer.s - 1);
    longer.s[sizeof longer.s - 1] = '\0';
    CU_ASSERT_EQUAL(tdo_file_write(longer.s, "x", 1), TDO_ERR_FILE);
    CU_ASSERT_TRUE(says("xxx", "too long"));
    CU_ASSERT_EQUAL(rmdir(child.s), 0);
    CU_ASSERT_EQUAL(rmdir(directory.s), 0);
}

static void a_path_without_a_folder_is_in_the_working_directory(void)
{
    char before[PATH_MAX];
    struct path p = in_folder("plain");
    CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(before, sizeof before));
    CU_ASSERT_EQUAL_FATAL(chdir(folder), 0);
    ASSERT_OK(tdo_file_write("plain", "abc", 3));
    ASSERT_OK(tdo_file_make_dir("one/two"));
    CU_ASSERT_EQUAL(chdir(before), 0);
    CU_ASSERT_TRUE(holds(p.s, "abc", 3));
    CU_ASSERT_EQUAL(rmdir(in_folder("one/two").s), 0);
    CU_ASSERT_EQUAL(rmdir(in_folder("one").s), 0);
    CU_ASSERT_EQUAL(unlink(p.s), 0);
}

static void directories_are_made_with_their_parents(void)
{
    struct path deep = in_folder("a//b/c/"), c = in_folder("a/b/c");
    struct stat s;
    ASSERT_OK(tdo_file_make_dir(deep.s));
    CU_ASSERT_EQUAL_FATAL(stat(c.s, &s), 0);
    CU_ASSERT_TRUE(S_ISDIR(s.st_mode));
    ASSERT_OK(tdo_file_make_dir(c.s)); /* fine if it is there */
    ASSERT_OK(tdo_file_make_dir("/"));
    ASSERT_OK(tdo_file_make_dir("."));
    CU_ASSERT_EQUAL(rmdir(c.s), 0);
    CU_ASSERT_EQUAL(rmdir(in_folder("a/b").s), 0);
    CU_ASSERT_EQUAL(rmdir(in_folder("a").s), 0);
}

static void a_directory_under_or_in_place_of_a_file_is_refused(void)
{
    struct path file = in_folder("file"), under = in_folder("file/x");
    ASSERT_OK(tdo_file_write(file.s, "x", 1));
    CU_ASSERT_EQUAL(tdo_file_make_dir(file.s), TDO_ERR_FILE);
    CU_ASSERT_TRUE(says(file.s, "no directory"));
    CU_ASSERT_EQUAL(tdo_file_make_dir(under.s), TDO_ERR_FILE);
    CU_ASSERT_TRUE(says(under.s, "no directory"));
    CU_ASSERT_EQUAL(tdo_file_make_dir(""), TDO_ERR_FILE);
    CU_ASSERT_TRUE(holds(file.s, "x", 1));
    CU_ASSERT_EQUAL(unlink(file.s), 0);
}

static void exists_is_true_for_files_and_directories(void)
{
    struct path p = in_folder("there");
    CU_ASSERT_FALSE(tdo_file_exists(p.s));
    ASSERT_OK(tdo_file_write(p.s, "", 0));
    CU_ASSERT_TRUE(tdo_file_exists(p.s));
    CU_ASSERT_TRUE(tdo_file_exists(folder));
    CU_ASSERT_TRUE(tdo_file_is_dir(folder));
    CU_ASSERT_FALSE(tdo_file_is_dir(p.s));
    CU_ASSERT_FALSE(tdo_file_is_dir("/nowhere"));
    CU_ASSERT_EQUAL(unlink(p.s), 0);
}

/* The last test: everything before has cleaned up behind itself. */
static void a_read_without_memory_fails_and_leaks_nothing(void)
{
    struct path p = in_folder("memory");
    int64_t n = 0;
    char *data = NULL;
    ASSERT_OK(tdo_file_write(p.s, "abc", 3));
    tdo_memory_fail_after(1);
    CU_ASSERT_EQUAL(tdo_file_read(p.s, LIMIT, &data, &n), TDO_ERR_MEMORY);
    CU_ASSERT_PTR_NULL(data);
    tdo_memory_fail_after(2); /* the second block of a file that has no size */
    CU_ASSERT_EQUAL(tdo_file_read("/dev/zero", LIMIT, &data, &n), TDO_ERR_MEMORY);
    tdo_memory_fail_after(0);
    CU_ASSERT_PTR_NULL(data);
    CU_ASSERT_EQUAL(unlink(p.s), 0);
    CU_ASSERT_EQUAL(rmdir(folder), 0);
}

CU_TestInfo suite_tests[] = {
    {"written bytes come back, and nothing stays beside them", written_bytes_come_back},
    {"a file without a size is read to its end", a_file_without_a_size_is_read_to_its_end},
    {"the limit is the largest size allowed", the_limit_is_the_largest_size_allowed},
    {"reading what is no file names path and reason",
     reading_what_is_no_file_names_path_and_reason},
    {"a full disk leaves the old file and nothing else",
     a_full_disk_leaves_the_old_file_and_nothing_else},
    {"writing to a wrong place names path and reason",
     writing_to_a_wrong_place_names_path_and_reason},
    {"a path without a folder is in the working directory",
     a_path_without_a_folder_is_in_the_working_directory},
    {"directories are made with their parents", directories_are_made_with_their_parents},
    {"a directory under or in place of a file is refused",
     a_directory_under_or_in_place_of_a_file_is_refused},
    {"exists is true for files and directories", exists_is_true_for_files_and_directories},
    {"a read without memory fails and leaks nothing",
     a_read_without_memory_fails_and_leaks_nothing},
    CU_TEST_INFO_NULL};
