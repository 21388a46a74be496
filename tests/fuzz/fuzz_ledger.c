/* A segment of the ledger. The first byte chooses: 0, the rest is the segment as it is; else its
 * start is made good (bit 1: but for the context), and so is the checksum of every record, found by
 * its mark, whose length stays inside the file (bit 2: only of every second one), so that lengths,
 * kinds and what follows a bad record are reached. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "mpi/ledger.h"
#include "mpi/mpi_impl.h"
#include "tests/fuzz/fuzz_mpi.h"

enum { MAX_BYTES = 1 << 16, CONTEXT = 7 };

static void make_start(uint8_t *file, bool other)
{
    struct tdo_ledger_start s = {.version = TDO_LEDGER_VERSION,
                                 .context = other ? CONTEXT + 1 : CONTEXT};
    memcpy(s.magic, TDO_LEDGER_MAGIC, sizeof s.magic);
    s.checksum = XXH64(&s, offsetof(struct tdo_ledger_start, checksum), 0);
    memcpy(file, &s, sizeof s);
}

static void make_records(uint8_t *file, size_t size, bool every_second)
{
    struct tdo_ledger_head head;
    size_t at = sizeof(struct tdo_ledger_start);
    for (int n = 0; at + TDO_LEDGER_FRAME <= size; n++) {
        memcpy(&head, file + at, sizeof head);
        const size_t most = size - at - TDO_LEDGER_FRAME;
        if (head.mark != TDO_LEDGER_MARK || head.length > most) {
            at++;
            continue;
        }
        const size_t body = sizeof head + (size_t)head.length;
        const uint64_t checksum = XXH64(file + at, body, (uint64_t)at);
        if (!every_second || n % 2 == 0) {
            memcpy(file + at + body, &checksum, sizeof checksum);
        }
        at += body + sizeof checksum;
    }
}

/* What every record promises. */
static tdo_err visit(void *user, const struct tdo_ledger_record *r)
{
    uint64_t *sum = user;
    FUZZ_CHECK(r->kind > 0 && r->kind < TDO_LEDGER_KINDS && r->bytes >= 0);
    FUZZ_CHECK((uintptr_t)r->payload % 64 == 0);
    *sum += XXH64(r->payload, (size_t)r->bytes, r->a ^ r->b);
    return TDO_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[MAX_BYTES];
    struct fuzz in = {data, size};
    const unsigned choice = (unsigned)fuzz_number(&in, 1);
    uint64_t sum = 0;
    char dir[4096];
    if (in.size > sizeof file) {
        return 0;
    }
    memset(file, 0, sizeof(struct tdo_ledger_start));
    if (in.size > 0) {
        memcpy(file, in.data, in.size);
    }
    if (choice != 0 && in.size >= sizeof(struct tdo_ledger_start)) {
        make_start(file, choice & 2);
        make_records(file, in.size, choice & 4);
    }
    mkdir(fuzz_path("ledger"), 0700);
    fuzz_write("ledger/segment.000000.000000", file, in.size);
    snprintf(dir, sizeof dir, "%s", fuzz_path(""));
    FUZZ_IGNORE(tdo_ledger_replay(fuzz_comm(), dir, CONTEXT, visit, &sum));
    fuzz_remove("ledger/segment.000000.000000");
    rmdir(fuzz_path("ledger"));
    return 0;
}
