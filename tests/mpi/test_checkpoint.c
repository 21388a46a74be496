/* Checkpoints: they come back on every rank, the two newest are kept, and no damage of the newest
 * is ever read as if it were whole. Files are read with plain HDF5 calls too. */
#include <hdf5.h>
#include <xxhash.h>

#include "mpi/checkpoint.h"
#include "nn/base/memory.h"
#include "tests/mpi/files.h"

const char suite_name[] = "mpi/checkpoint";

enum { N = 33, PARTS = 5 };

/* ---- a training state that is a function of its step ---- */

struct state {
    float params[N];
    double schedule[3];
    int64_t step;
    char text[40];
    struct tdo_checkpoint_part parts[PARTS];
};

static void make_state(struct state *s, int64_t step)
{
    memset(s, 0, sizeof *s);
    for (int i = 0; i < N; i++) {
        s->params[i] = (float)(i + 1) / (float)(step + 3);
    }
    for (int i = 0; i < 3; i++) {
        s->schedule[i] = (double)(step * 10 + i) / 7;
    }
    s->step = step;
    snprintf(s->text, sizeof s->text, "{\"step\": %lld}", (long long)step);
    const struct tdo_checkpoint_part parts[PARTS] = {
        {"params", TDO_CHECKPOINT_F32, N, s->params},
        {"schedule", TDO_CHECKPOINT_F64, 3, s->schedule},
        {"step", TDO_CHECKPOINT_I64, 1, &s->step},
        {"config.json", TDO_CHECKPOINT_U8, (int64_t)strlen(s->text), s->text},
        {"nothing", TDO_CHECKPOINT_F32, 0, s->params}};
    memcpy(s->parts, parts, sizeof parts);
}

static tdo_err save(const char *dir, int64_t step)
{
    static struct state s;
    make_state(&s, files_root() ? step : -2); /* what others bring is not looked at */
    return tdo_checkpoint_write(runner_comm, dir, s.parts, PARTS);
}

/* Read it back; *step is that of the state which came, -1 if there was none, -9 if what came is
 * no state. */
static tdo_err load(const char *dir, int64_t *step)
{
    static struct state got, expected;
    bool found = true;
    make_state(&got, 0);
    memset(got.params, 0, sizeof got.params);
    memset(got.schedule, 0, sizeof got.schedule);
    got.step = -5;
    got.parts[3].count = -1;
    got.parts[3].data = NULL;
    *step = -9;
    tdo_err err = tdo_checkpoint_read(runner_comm, dir, got.parts, PARTS, &found);
    if (err != TDO_OK || !found) {
        *step = found ? -9 : -1;
        CU_ASSERT_PTR_NULL(got.parts[3].data);
        return err;
    }
    make_state(&expected, got.step);
    bool same = memcmp(got.params, expected.params, sizeof got.params) == 0 &&
                memcmp(got.schedule, expected.schedule, sizeof got.schedule) == 0 &&
                got.parts[3].count == expected.parts[3].count &&
                memcmp(got.parts[3].data, expected.text, (size_t)got.parts[3].count) == 0;
    *step = same ? got.step : -9;
    tdo_memory_free(&got.parts[3].data);
    return TDO_OK;
}

static const char *newest(const char *dir)
{
    return files_join(dir, "checkpoint.h5");
}

static const char *older(const char *dir)
{
    return files_join(dir, "checkpoint.1.h5");
}

/* A load that gives this step and prints this many lines at the root. */
static void expect(const char *dir, int64_t step, int lines, const char *says)
{
    int64_t got;
    files_meet();
    files_listen();
    tdo_err err = load(dir, &got);
    const char *said = files_said();
    ASSERT_OK(err);
    CU_ASSERT_EQUAL(got, step);
    CU_ASSERT_EQUAL(files_lines(said), files_root() ? lines : 0);
    CU_ASSERT(!files_root() || lines == 0 || strstr(said, says));
    files_meet();
}

/* ---- the whole way ---- */

static void comes_back(void)
{
    char dir[256];
    files_make_dir("back", dir);
    expect(dir, -1, 0, NULL);
    for (int64_t step = 1; step < 4; step++) {
        ASSERT_OK(save(dir, step));
        expect(dir, step, 0, NULL);
    }
    CU_ASSERT(!files_root() || unlink(newest(dir)) == 0);
    expect(dir, 2, 1, "checkpoint.h5: missing; going on from");
    CU_ASSERT(!files_root() || unlink(older(dir)) == 0);
    expect(dir, -1, 0, NULL);
    files_remove_dir(dir);
}

static void bytes_are_a_function_of_the_state(void)
{
    static unsigned char a[FILES_ROOM], b[FILES_ROOM];
    char dir[256];
    int64_t n = 0;
    files_make_dir("same", dir);
    ASSERT_OK(save(dir, 5));
    if (files_root()) {
        n = files_read(newest(dir), a);
        CU_ASSERT(n > 500 && n < FILES_ROOM);
    }
    sleep(2);
    ASSERT_OK(save(dir, 6));
    ASSERT_OK(save(dir, 5));
    if (files_root()) {
        CU_ASSERT_EQUAL(files_read(newest(dir), b), n);
        CU_ASSERT_EQUAL(memcmp(a, b, (size_t)n), 0);
        CU_ASSERT_EQUAL(files_read(older(dir), b), n);
        CU_ASSERT_NOT_EQUAL(memcmp(a, b, (size_t)n), 0);
    }
    files_remove_dir(dir);
}

/* The checksum as the header defines it. */
static uint64_t hash_of(const struct tdo_checkpoint_part *p, int64_t size)
{
    XXH64_state_t *h = XXH64_createState();
    const uint64_t numbers[2] = {(uint64_t)p->type, (uint64_t)p->count};
    XXH64_reset(h, 0);
    XXH64_update(h, p->name, strlen(p->name) + 1);
    XXH64_update(h, numbers, sizeof numbers);
    uint64_t seed = XXH64_digest(h);
    XXH64_freeState(h);
    return XXH64(p->data, (size_t)(p->count * size), seed);
}

static void read_text(hid_t file, const char *name, char *text, size_t room)
{
    hid_t a = H5Aopen(file, name, H5P_DEFAULT), type = H5Aget_type(a);
    memset(text, 0, room);
    CU_ASSERT(H5Tget_size(type) < room && H5Aread(a, type, text) >= 0);
    H5Tclose(type);
    H5Aclose(a);
}

static void other_tools_can_read_it(void)
{
    static struct state s;
    static const int64_t size[PARTS] = {4, 8, 8, 1, 4};
    char dir[256], text[64], hash[20];
    float params[N];
    files_make_dir("tools", dir);
    ASSERT_OK(save(dir, 8));
    if (files_root()) {
        make_state(&s, 8);
        hid_t file = H5Fopen(newest(dir), H5F_ACC_RDONLY, H5P_DEFAULT);
        CU_ASSERT_FATAL(file >= 0);
        hid_t d = H5Dopen2(file, "/params", H5P_DEFAULT);
        CU_ASSERT(H5Dread(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, params) >= 0);
        CU_ASSERT_EQUAL(memcmp(params, s.params, sizeof params), 0);
        H5Dclose(d);
        uint64_t sum = 0;
        for (int i = 0; i < PARTS; i++) {
            sum += hash_of(&s.parts[i], size[i]);
        }
        snprintf(hash, sizeof hash, "%016llx", (unsigned long long)sum);
        read_text(file, "checksum", text, sizeof text);
        CU_ASSERT_STRING_EQUAL(text, hash);
        read_text(file, "format", text, sizeof text);
        CU_ASSERT_STRING_EQUAL(text, "testudo-checkpoint-1");
        H5Fclose(file);
    }
    files_remove_dir(dir);
}

/* ---- names on the disk ---- */

/* Killed before, between and after the two moves; with what was being written left behind. */
static void killed_between_the_moves(void)
{
    static unsigned char bytes[FILES_ROOM];
    char dir[256];
    files_make_dir("moves", dir);
    ASSERT_OK(save(dir, 1));
    ASSERT_OK(save(dir, 2));
    if (files_root()) { /* half a file under the name of the next */
        int64_t n = files_read(newest(dir), bytes);
        files_write(files_join(dir, "checkpoint.h5.tmp"), bytes, n / 2);
    }
    expect(dir, 2, 0, NULL);
    if (files_root()) { /* between the moves */
        CU_ASSERT(rename(newest(dir), older(dir)) == 0);
    }
    expect(dir, 2, 1, "missing");
    ASSERT_OK(save(dir, 3));
    expect(dir, 3, 0, NULL);
    CU_ASSERT(!files_root() || access(files_join(dir, "checkpoint.h5.tmp"), F_OK) != 0);
    CU_ASSERT(!files_root() || unlink(newest(dir)) == 0);
    expect(dir, 2, 1, "missing");
    files_remove_dir(dir);
}

/* A damaged newest must not take the place of the good one before. */
static void damage_is_not_kept(void)
{
    char dir[256];
    files_make_dir("kept", dir);
    ASSERT_OK(save(dir, 1));
    ASSERT_OK(save(dir, 2));
    CU_ASSERT(!files_root() || truncate(newest(dir), 700) == 0);
    expect(dir, 1, 1, "going on from");
    ASSERT_OK(save(dir, 3));
    expect(dir, 3, 0, NULL);
    CU_ASSERT(!files_root() || unlink(newest(dir)) == 0);
    expect(dir, 1, 1, "missing");
    files_remove_dir(dir);
}

/* ---- damage ---- */

/* The newest with these bytes: the one before is read; and alone it is an error. */
static void expect_fallback(const char *dir, const unsigned char *bytes, int64_t n)
{
    int64_t step;
    if (files_root()) {
        files_write(newest(dir), bytes, n);
    }
    expect(dir, 1, 1, "checkpoint.h5: ");
    if (files_root()) {
        CU_ASSERT(rename(older(dir), files_join(dir, "aside")) == 0);
    }
    files_meet();
    files_listen();
    tdo_err err = load(dir, &step);
    files_said();
    CU_ASSERT_EQUAL(err, TDO_ERR_FORMAT);
    CU_ASSERT(files_error_says(newest(dir)) && files_error_says(older(dir)));
    files_meet();
    if (files_root()) {
        CU_ASSERT(rename(files_join(dir, "aside"), older(dir)) == 0);
    }
    files_meet();
}

static void truncated_and_flipped(void)
{
    static unsigned char bytes[FILES_ROOM];
    char dir[256];
    int64_t n = 0;
    files_make_dir("flip", dir);
    ASSERT_OK(save(dir, 1));
    ASSERT_OK(save(dir, 2));
    if (files_root()) {
        n = files_read(newest(dir), bytes);
    }
    tdo_comm_broadcast(runner_comm, &n, (int64_t)sizeof n);
    for (int64_t cut = 0; cut < n; cut += cut < n - 40 ? 97 : 1) {
        expect_fallback(dir, bytes, cut);
    }
    expect_fallback(dir, bytes, n + 1);
    for (int64_t at = 0; at < n; at += at < n - 24 ? 23 : 1) {
        const unsigned char flip = (unsigned char)(1 << at % 8);
        bytes[at] ^= flip;
        expect_fallback(dir, bytes, n);
        bytes[at] ^= flip;
    }
    if (files_root()) {
        files_write(newest(dir), bytes, n);
    }
    expect(dir, 2, 0, NULL);
    files_remove_dir(dir);
}

/* Put the seal as the header defines it behind n bytes, and those in place of the newest. */
static void write_sealed(const char *dir, unsigned char *bytes, int64_t n)
{
    const uint64_t seal[2] = {(uint64_t)n, XXH64(bytes, (size_t)n, 0)};
    memcpy(bytes + n, "TDOSEAL\n", 8);
    memcpy(bytes + n + 8, seal, sizeof seal);
    files_write(newest(dir), bytes, n + 24);
}

/* A seal proves what was written, not that it is a checkpoint. */
static void sealed_nonsense(void)
{
    static unsigned char bytes[FILES_ROOM];
    char dir[256];
    files_make_dir("seal", dir);
    ASSERT_OK(save(dir, 1));
    ASSERT_OK(save(dir, 2));
    if (files_root()) {
        int64_t n = files_read(newest(dir), bytes) - 24;
        write_sealed(dir, bytes, n); /* the definition, so far */
    }
    expect(dir, 2, 0, NULL);
    if (files_root()) {
        write_sealed(dir, bytes + 100, 500);
    }
    expect(dir, 1, 1, "not an HDF5 file");
    if (files_root()) {
        const char *plain = files_join(dir, "plain.h5");
        H5Fclose(H5Fcreate(plain, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
        write_sealed(dir, bytes, files_read(plain, bytes));
    }
    expect(dir, 1, 1, "no attribute 'format'");
    files_remove_dir(dir);
}

/* ---- mismatch ---- */

/* These parts do not fit a whole newest file: an error that names it, and no falling back. */
static void expect_mismatch(const char *dir, struct tdo_checkpoint_part *parts, int n,
                            const char *says)
{
    bool found;
    CU_ASSERT_EQUAL(tdo_checkpoint_read(runner_comm, dir, parts, n, &found), TDO_ERR_SHAPE);
    CU_ASSERT(files_error_says(newest(dir)) && files_error_says(says));
}

static void other_parts_are_refused(void)
{
    static struct state s;
    char dir[256];
    files_make_dir("other", dir);
    ASSERT_OK(save(dir, 1));
    ASSERT_OK(save(dir, 2));
    make_state(&s, 0);
    s.parts[0].count = N - 1;
    expect_mismatch(dir, s.parts, PARTS, "'params' has 33 elements of f32, 32 of f32");
    make_state(&s, 0);
    s.parts[2].type = TDO_CHECKPOINT_F64;
    expect_mismatch(dir, s.parts, PARTS, "'step' has 1 elements of int64, 1 of f64");
    make_state(&s, 0);
    s.parts[1].name = "momentum";
    expect_mismatch(dir, s.parts, PARTS, "'schedule' is not expected");
    make_state(&s, 0);
    expect_mismatch(dir, s.parts, PARTS - 1, "'nothing' is not expected");
    struct tdo_checkpoint_part more[PARTS + 1];
    memcpy(more, s.parts, sizeof s.parts);
    more[PARTS] = (struct tdo_checkpoint_part){"zz", TDO_CHECKPOINT_U8, 1, s.text};
    expect_mismatch(dir, more, PARTS + 1, "no part 'zz'");
    files_remove_dir(dir);
}

static void bad_parts_are_bugs(void)
{
    static struct state s;
    static const char *const names[] = {"", "a/b", ".", "params"};
    char dir[256];
    bool found;
    files_make_dir("bugs", dir);
    for (int i = 0; i < 4; i++) {
        make_state(&s, 1);
        s.parts[2].name = names[i];
        CU_ASSERT_EQUAL(tdo_checkpoint_write(runner_comm, dir, s.parts, PARTS), TDO_ERR_BUG);
        CU_ASSERT_EQUAL(tdo_checkpoint_read(runner_comm, dir, s.parts, PARTS, &found),
                        TDO_ERR_BUG);
    }
    make_state(&s, 1);
    s.parts[0].count = -1;
    CU_ASSERT_EQUAL(tdo_checkpoint_write(runner_comm, dir, s.parts, PARTS), TDO_ERR_BUG);
    CU_ASSERT_EQUAL(tdo_checkpoint_read(runner_comm, dir, s.parts, PARTS, &found), TDO_ERR_BUG);
    expect(dir, -1, 0, NULL);
    files_remove_dir(dir);
}

/* ---- failing ---- */

static void disk_full_leaves_the_old_ones(void)
{
    static unsigned char a[2][FILES_ROOM], b[FILES_ROOM];
    char dir[256];
    int64_t n = 0;
    files_make_dir("full", dir);
    ASSERT_OK(save(dir, 1));
    ASSERT_OK(save(dir, 2));
    if (files_root()) {
        n = files_read(newest(dir), a[0]);
        CU_ASSERT_EQUAL(files_read(older(dir), a[1]), n);
    }
    tdo_comm_broadcast(runner_comm, &n, (int64_t)sizeof n);
    for (int64_t room = 0; room < n; room += room < n - 30 ? 311 : 7) {
        files_limit(files_root() ? room : -1);
        tdo_err err = save(dir, 3);
        files_limit(-1);
        CU_ASSERT_EQUAL(err, TDO_ERR_FILE);
        CU_ASSERT(files_error_says(dir) && files_error_says("File too large"));
        if (files_root()) {
            CU_ASSERT(access(files_join(dir, "checkpoint.h5.tmp"), F_OK) != 0);
            CU_ASSERT(files_read(newest(dir), b) == n && memcmp(a[0], b, (size_t)n) == 0);
            CU_ASSERT(files_read(older(dir), b) == n && memcmp(a[1], b, (size_t)n) == 0);
        }
    }
    ASSERT_OK(save(dir, 3));
    expect(dir, 3, 0, NULL);
    CU_ASSERT_EQUAL(save(files_join(dir, "missing"), 4), TDO_ERR_FILE);
    files_remove_dir(dir);
}

/* Let every allocation of one rank fail in turn, until it goes well. */
static void memory_fails(void)
{
    char dir[256];
    files_make_dir("memory", dir);
    ASSERT_OK(save(dir, 1));
    ASSERT_OK(save(dir, 2));
    for (int rank = 0; rank < tdo_comm_size(runner_comm); rank += 2) {
        tdo_err err = TDO_ERR_MEMORY;
        for (int k = 1; err == TDO_ERR_MEMORY && k < 50; k++) {
            int64_t step;
            tdo_memory_fail_after(tdo_comm_rank(runner_comm) == rank ? k : 0);
            err = load(dir, &step);
            tdo_memory_fail_after(0);
            CU_ASSERT_EQUAL(step, err == TDO_OK ? 2 : -1);
        }
        ASSERT_OK(err);
    }
    files_remove_dir(dir);
}

CU_TestInfo suite_tests[] = {
    {"what was saved comes back on every rank, the two newest are kept", comes_back},
    {"the bytes of a checkpoint are a function of the state, whatever the time",
     bytes_are_a_function_of_the_state},
    {"plain HDF5 reads it, and the checksum is the one that is defined",
     other_tools_can_read_it},
    {"a job killed before, between or after the moves leaves a whole checkpoint",
     killed_between_the_moves},
    {"a damaged newest does not push out the good one before", damage_is_not_kept},
    {"cut or flipped anywhere the newest gives way to the one before, with one line",
     truncated_and_flipped},
    {"a good seal around something else is no checkpoint", sealed_nonsense},
    {"other names, types, counts or parts are an error with file and part",
     other_parts_are_refused},
    {"parts that no checkpoint can have are bugs", bad_parts_are_bugs},
    {"a full disk is an error that leaves the older checkpoints as they were",
     disk_full_leaves_the_old_ones},
    {"failing memory on any rank is the same error on all", memory_fails},
    CU_TEST_INFO_NULL};
