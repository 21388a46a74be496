/* The ledger: what was appended comes back, in one order, whatever happens to the end of a
 * segment; damage anywhere else is an error that names the place. */
#include <dirent.h>

#include "mpi/ledger.h"
#include "nn/base/memory.h"
#include "tests/mpi/files.h"

const char suite_name[] = "mpi/ledger";

enum { CONTEXT = 77, MANY = 40, START = 32, FRAME = 40, RECORDS = 5 };

/* ---- records that are a function of (owner, i) ---- */

static int64_t length_of(int i)
{
    return i * 13 % 50; /* 0 is among them, and odd ones */
}

static void fill(int owner, int i, unsigned char *payload)
{
    for (int64_t k = 0; k < length_of(i); k++) {
        payload[k] = (unsigned char)(owner * 101 + i * 7 + (int)k * 31);
    }
}

static tdo_err append(tdo_ledger *l, int owner, int i)
{
    unsigned char payload[64];
    fill(owner, i, payload);
    const struct tdo_ledger_record r = {.kind = (uint32_t)(1 + i % 3),
                                        .a = (uint64_t)owner,
                                        .b = (uint64_t)i << 32 | 5,
                                        .payload = payload,
                                        .bytes = length_of(i)};
    return tdo_ledger_append(l, &r);
}

/* What came back, in order. */
struct seen {
    int count, wrong;
    int owner[1000], index[1000];
};

static tdo_err see(void *user, const struct tdo_ledger_record *r)
{
    struct seen *s = user;
    unsigned char payload[64];
    int i = (int)(r->b >> 32), owner = (int)r->a;
    if (s->count == 1000) {
        return TDO_FAIL(TDO_ERR_BUG, "too many records");
    }
    fill(owner, i, payload);
    bool same = r->bytes == length_of(i) && r->kind == (uint32_t)(1 + i % 3) &&
                (r->b & 0xffffffff) == 5 &&
                memcmp(payload, r->payload, (size_t)r->bytes) == 0 &&
                (uintptr_t)r->payload % 64 == 0;
    s->wrong += !same;
    s->owner[s->count] = owner;
    s->index[s->count++] = i;
    return TDO_OK;
}

static tdo_err replay(const char *dir, struct seen *s)
{
    memset(s, 0, sizeof *s);
    return tdo_ledger_replay(runner_comm, dir, CONTEXT, see, s);
}

/* Records [0, n) of one owner and nothing else? On the root. */
static bool is_prefix(const struct seen *s, int owner, int n)
{
    bool good = s->count == n && s->wrong == 0;
    for (int i = 0; i < n && good; i++) {
        good = s->owner[i] == owner && s->index[i] == i;
    }
    return good;
}

/* ---- the whole way ---- */

/* Each start of a job, each rank its own records. */
static void start_job(const char *dir, int start)
{
    tdo_ledger *l = NULL;
    ASSERT_OK_FATAL(tdo_ledger_open(runner_comm, dir, CONTEXT, 0.001, &l));
    for (int i = 0; i < MANY; i++) {
        ASSERT_OK(append(l, start * 10 + tdo_comm_rank(runner_comm), i));
    }
    ASSERT_OK(tdo_ledger_sync(l));
    tdo_ledger_free(&l);
    files_meet();
}

static void all_come_back_in_order(void)
{
    char dir[256];
    struct seen s;
    const int size = tdo_comm_size(runner_comm);
    files_make_dir("order", dir);
    ASSERT_OK(replay(dir, &s));
    CU_ASSERT_EQUAL(s.count, 0);
    for (int start = 0; start < 3; start++) {
        start_job(dir, start);
        if (files_root()) { /* names that are not ours */
            files_write(files_join(dir, "ledger/segment.0.0"), "x", 1);
            files_write(files_join(dir, "ledger/segment.000000.000000~"), "x", 1);
            files_write(files_join(dir, "ledger/.nfs0001"), "x", 1);
        }
        ASSERT_OK(replay(dir, &s));
        CU_ASSERT_EQUAL(s.count, files_root() ? (start + 1) * size * MANY : 0);
        CU_ASSERT_EQUAL(s.wrong, 0);
        for (int k = 0; k < s.count; k++) {
            int segment = k / MANY;
            CU_ASSERT_EQUAL(s.owner[k], segment / size * 10 + segment % size);
            CU_ASSERT_EQUAL(s.index[k], k % MANY);
        }
    }
    files_remove_dir(dir);
}

/* Segments of jobs on 4, 2 and 3 ranks, by hand, from those of one rank each. */
static void other_rank_counts_do_not_collide(void)
{
    char dir[256], name[64];
    unsigned char bytes[FILES_ROOM];
    struct seen s;
    const int sizes[] = {4, 2, 3};
    int64_t n = 0;
    files_make_dir("ranks", dir);
    start_job(dir, 0);
    if (files_root()) {
        n = files_read(files_join(dir, "ledger/segment.000000.000000"), bytes);
        for (int start = 0; start < 3; start++) {
            for (int rank = 0; rank < sizes[start]; rank++) {
                snprintf(name, sizeof name, "ledger/segment.%06d.%06d", start, rank);
                files_write(files_join(dir, name), bytes, n);
            }
        }
    }
    files_meet();
    start_job(dir, 3);
    ASSERT_OK(replay(dir, &s));
    if (files_root()) {
        CU_ASSERT_EQUAL(s.count, (9 + tdo_comm_size(runner_comm)) * MANY);
        CU_ASSERT_EQUAL(s.owner[9 * MANY], 30);
        CU_ASSERT_EQUAL(s.wrong, 0);
        CU_ASSERT(n == files_read(files_join(dir, "ledger/segment.000000.000000"), bytes));
        CU_ASSERT(access(files_join(dir, "ledger/segment.000003.000000"), F_OK) == 0);
    }
    files_remove_dir(dir);
}

static void nothing_leaves_nothing(void)
{
    char dir[256];
    struct seen s;
    tdo_ledger *l = NULL;
    files_make_dir("empty", dir);
    ASSERT_OK_FATAL(tdo_ledger_open(runner_comm, dir, CONTEXT, 1, &l));
    files_meet();
    ASSERT_OK(replay(dir, &s)); /* while the segments are open and empty */
    CU_ASSERT_EQUAL(s.count, 0);
    tdo_ledger_free(&l);
    tdo_ledger_free(&l);
    files_meet();
    int entries = 0;
    DIR *d = opendir(files_join(dir, "ledger"));
    CU_ASSERT_FATAL(d != NULL);
    while (readdir(d)) {
        entries++;
    }
    closedir(d);
    CU_ASSERT_EQUAL(entries, 2); /* . and .. */
    files_remove_dir(dir);
}

/* ---- damage ---- */

/* A segment with records 0..RECORDS-1 of owner 0 in `dir`, its bytes, and where records begin
 * (the last entry is the end). */
struct segment {
    char dir[256];
    char path[600];
    unsigned char bytes[FILES_ROOM];
    int64_t size, begin[RECORDS + 1];
};

static void make_segment(struct segment *g, const char *name)
{
    tdo_ledger *l = NULL;
    files_make_dir(name, g->dir);
    snprintf(g->path, sizeof g->path, "%s/ledger/segment.000000.000000", g->dir);
    ASSERT_OK_FATAL(tdo_ledger_open(runner_comm, g->dir, CONTEXT, 1, &l));
    g->begin[0] = START;
    for (int i = 0; i < RECORDS; i++) {
        if (files_root()) {
            ASSERT_OK(append(l, 0, i));
        }
        g->begin[i + 1] = g->begin[i] + FRAME + length_of(i);
    }
    tdo_ledger_free(&l);
    files_meet();
    g->size = g->begin[RECORDS];
    if (files_root()) {
        CU_ASSERT_EQUAL(files_read(g->path, g->bytes), g->size);
    }
}

/* Replay the segment with these bytes instead. */
static tdo_err replay_bytes(const struct segment *g, const unsigned char *bytes, int64_t n,
                            struct seen *s, const char **said)
{
    if (files_root()) {
        files_write(g->path, bytes, n);
    }
    files_listen();
    tdo_err err = replay(g->dir, s);
    *said = files_said();
    return err;
}

static void torn_at_every_byte(void)
{
    static struct segment g;
    struct seen s;
    const char *said;
    make_segment(&g, "torn");
    for (int64_t cut = 0, whole = 0; cut <= g.size; cut++) {
        while (whole < RECORDS && g.begin[whole + 1] <= cut) {
            whole++;
        }
        ASSERT_OK(replay_bytes(&g, g.bytes, cut, &s, &said));
        CU_ASSERT(!files_root() || is_prefix(&s, 0, (int)whole));
        bool torn = cut > START && cut != g.begin[whole];
        CU_ASSERT_EQUAL(files_lines(said), files_root() && torn);
        CU_ASSERT(!files_root() || !torn || strstr(said, g.path));
    }
    files_remove_dir(g.dir);
}

/* Which record an offset is in; -1: the header. */
static int record_at(const struct segment *g, int64_t offset)
{
    int i = -1;
    while (i + 1 < RECORDS && g->begin[i + 1] <= offset) {
        i++;
    }
    return i;
}

static void flipped_at_every_byte(void)
{
    static struct segment g;
    static const unsigned char flips[] = {0x01, 0x80, 0xff};
    struct seen s;
    const char *said;
    char place[64];
    make_segment(&g, "flip");
    for (int64_t at = 0; at < g.size; at++) {
        int record = record_at(&g, at);
        unsigned char *byte = &g.bytes[at], kept = *byte;
        *byte ^= flips[at % 3];
        tdo_err err = replay_bytes(&g, g.bytes, g.size, &s, &said);
        *byte = kept;
        if (record == RECORDS - 1) { /* as if it had never been finished */
            ASSERT_OK(err);
            CU_ASSERT(!files_root() || is_prefix(&s, 0, record));
            CU_ASSERT_EQUAL(files_lines(said), files_root());
            continue;
        }
        CU_ASSERT_EQUAL(err, TDO_ERR_FORMAT);
        snprintf(place, sizeof place, "at byte %lld is damaged",
                 (long long)g.begin[record < 0 ? 0 : record]);
        CU_ASSERT(files_error_says(g.path) &&
                  files_error_says(record < 0 ? "first 32 bytes" : place));
    }
    files_remove_dir(g.dir);
}

/* Behind the last record: zeros, noise, and a copy of good records at a wrong place. */
static void strange_tails_are_dropped(void)
{
    static struct segment g;
    static unsigned char bytes[2 * FILES_ROOM];
    struct seen s;
    const char *said;
    make_segment(&g, "tails");
    for (int kind = 0; kind < 3; kind++) {
        int64_t extra = kind == 2 ? g.size - START : 300;
        memcpy(bytes, g.bytes, (size_t)g.size);
        for (int64_t k = 0; k < extra; k++) {
            bytes[g.size + k] = kind == 0   ? 0
                                : kind == 1 ? (unsigned char)(k * k * 131 >> 3)
                                            : g.bytes[START + k];
        }
        ASSERT_OK(replay_bytes(&g, bytes, g.size + extra, &s, &said));
        CU_ASSERT(!files_root() || is_prefix(&s, 0, RECORDS));
        CU_ASSERT_EQUAL(files_lines(said), files_root());
    }
    files_remove_dir(g.dir);
}

/* Files of another kind under a segment's name. */
static void foreign_files_are_named(void)
{
    static struct segment g;
    static unsigned char bytes[400];
    static const char *const heads[] = {"\x89HDF\r\n\x1a\n", "<!DOCTYPE html>", "TDOSEAL\n",
                                        ""};
    struct seen s;
    const char *said;
    make_segment(&g, "foreign");
    for (int k = 0; k < 4; k++) {
        memset(bytes, k * 85, sizeof bytes);
        memcpy(bytes, heads[k], strlen(heads[k]));
        CU_ASSERT_EQUAL(replay_bytes(&g, bytes, sizeof bytes, &s, &said), TDO_ERR_FORMAT);
        CU_ASSERT(files_error_says(g.path) && files_error_says("first 32 bytes"));
        CU_ASSERT(files_lines(said) <= 1 && (!files_root() || s.count == 0));
    }
    files_remove_dir(g.dir);
}

static void another_context_is_refused(void)
{
    static struct segment g;
    struct seen s;
    make_segment(&g, "context");
    memset(&s, 0, sizeof s);
    CU_ASSERT_EQUAL(tdo_ledger_replay(runner_comm, g.dir, CONTEXT + 1, see, &s),
                    TDO_ERR_CONFIG);
    CU_ASSERT_EQUAL(s.count, 0);
    CU_ASSERT(files_error_says(g.path) && files_error_says("000000000000004d"));
    files_remove_dir(g.dir);
}

static tdo_err refuse_third(void *user, const struct tdo_ledger_record *r)
{
    int *count = user;
    (void)r;
    return ++*count == 3 ? TDO_FAIL(TDO_ERR_NUMERIC, "the third") : TDO_OK;
}

static void visitors_may_refuse(void)
{
    static struct segment g;
    int count = 0;
    make_segment(&g, "visit");
    CU_ASSERT_EQUAL(tdo_ledger_replay(runner_comm, g.dir, CONTEXT, refuse_third, &count),
                    TDO_ERR_NUMERIC);
    CU_ASSERT_EQUAL(count, files_root() ? 3 : 0);
    files_remove_dir(g.dir);
}

/* ---- failing ---- */

/* Every limit from "no byte more" to "one byte short of the record". */
static void disk_full_takes_one_record_back(void)
{
    char dir[256], path[600];
    struct seen s;
    tdo_ledger *l = NULL;
    int64_t length = START;
    files_make_dir("full", dir);
    snprintf(path, sizeof path, "%s/ledger/segment.000000.000000", dir);
    ASSERT_OK_FATAL(tdo_ledger_open(runner_comm, dir, CONTEXT, 1, &l));
    for (int i = 0; i < RECORDS && files_root(); i++) {
        for (int64_t room = 0; room < FRAME + length_of(i); room += 3) {
            struct stat now;
            files_limit(length + room);
            tdo_err err = append(l, 0, i);
            files_limit(-1);
            CU_ASSERT_EQUAL(err, TDO_ERR_FILE);
            CU_ASSERT(files_error_says(path) && files_error_says("File too large"));
            CU_ASSERT(stat(path, &now) == 0 && now.st_size == length);
        }
        ASSERT_OK(append(l, 0, i));
        length += FRAME + length_of(i);
    }
    files_meet();
    ASSERT_OK(replay(dir, &s));
    CU_ASSERT(!files_root() || is_prefix(&s, 0, RECORDS));
    tdo_ledger_free(&l);
    files_remove_dir(dir);
}

static void a_failing_rank_fails_all(void)
{
    char dir[256];
    tdo_ledger *l = NULL;
    struct seen s;
    const bool last = tdo_comm_rank(runner_comm) == tdo_comm_size(runner_comm) - 1;
    files_make_dir("fail", dir);
    CU_ASSERT_EQUAL(tdo_ledger_open(runner_comm, files_join(dir, "a/b"), CONTEXT, 1, &l),
                    TDO_OK); /* parents are made */
    tdo_ledger_free(&l);
    if (last) {
        tdo_memory_fail_after(1);
    }
    CU_ASSERT_EQUAL(tdo_ledger_open(runner_comm, dir, CONTEXT, 1, &l), TDO_ERR_MEMORY);
    tdo_memory_fail_after(0);
    CU_ASSERT_PTR_NULL(l);
    if (last) {
        files_limit(10); /* less than a header */
    }
    CU_ASSERT_EQUAL(tdo_ledger_open(runner_comm, dir, CONTEXT, 1, &l), TDO_ERR_FILE);
    files_limit(-1);
    CU_ASSERT_PTR_NULL(l);
    ASSERT_OK_FATAL(tdo_ledger_open(runner_comm, dir, CONTEXT, 1, &l));
    struct tdo_ledger_record r = {.kind = TDO_LEDGER_KINDS};
    CU_ASSERT_EQUAL(tdo_ledger_append(l, &r), TDO_ERR_BUG);
    r = (struct tdo_ledger_record){.kind = 1, .bytes = TDO_LEDGER_MAX_BYTES + 1};
    CU_ASSERT_EQUAL(tdo_ledger_append(l, &r), TDO_ERR_BUG);
    tdo_memory_fail_after(1);
    CU_ASSERT_EQUAL(append(l, 0, 0), TDO_ERR_MEMORY);
    tdo_memory_fail_after(0);
    ASSERT_OK(append(l, 0, 0));
    files_meet();
    if (files_root()) {
        tdo_memory_fail_after(2);
    }
    CU_ASSERT_EQUAL(replay(dir, &s), TDO_ERR_MEMORY);
    tdo_memory_fail_after(0);
    ASSERT_OK(replay(dir, &s));
    CU_ASSERT_EQUAL(s.count, files_root() ? tdo_comm_size(runner_comm) : 0);
    tdo_ledger_free(&l);
    files_remove_dir(dir);
}

CU_TestInfo suite_tests[] = {
    {"all records of all ranks and starts come back, in order of start and rank",
     all_come_back_in_order},
    {"segments of jobs on other numbers of ranks are read, and never written to",
     other_rank_counts_do_not_collide},
    {"a start without records leaves no file", nothing_leaves_nothing},
    {"a segment cut at any byte gives its whole records, and one line", torn_at_every_byte},
    {"a flipped byte anywhere is an error with file and place, or drops the last record",
     flipped_at_every_byte},
    {"zeros, noise and misplaced records at the end are dropped", strange_tails_are_dropped},
    {"files of another kind are an error with their name", foreign_files_are_named},
    {"records of another context are refused by name", another_context_is_refused},
    {"an error of the visitor ends the replay on all ranks", visitors_may_refuse},
    {"a full disk takes back one record, however much of it fits",
     disk_full_takes_one_record_back},
    {"failing memory, disk or arguments on one rank are errors on all",
     a_failing_rank_fails_all},
    CU_TEST_INFO_NULL};
