/* Checkpoints. The first byte chooses for each of the two files, by four bits: absent; bytes of the
 * input; the same behind a seal that fits, if they do not look like HDF5 (whose library is not ours
 * to test); a file that HDF5 made of the input's choices, sealed; that with one byte changed behind
 * its back, so that the seal is wrong. */
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "mpi/checkpoint.h"
#include "mpi/mpi_impl.h"
#include "nn/base/file.h"
#include "nn/base/memory.h"
#include "tests/fuzz/fuzz_hdf5.h"
#include "tests/fuzz/fuzz_mpi.h"

enum { N = 5, PARTS = 3 };

/* Parts as the reader below wants them; sometimes with a checksum that fits. */
static void make(struct fuzz *f, const char *path)
{
    static uint8_t zeros[64];
    char checksum[17];
    const struct tdo_checkpoint_part parts[PARTS] = {{"params", TDO_CHECKPOINT_F32, N, zeros},
                                                     {"step", TDO_CHECKPOINT_I64, 1, zeros},
                                                     {"text", TDO_CHECKPOINT_U8, 7, zeros}};
    const struct fuzz_hdf5_data usual[] = {{"params", H5T_IEEE_F32LE, 1, {N}},
                                           {"step", H5T_STD_I64LE, 1, {1}},
                                           {"text", H5T_STD_U8LE, 1, {7}},
                                           {"more", H5T_STD_U8LE, 1, {7}}};
    hid_t file = fuzz_hdf5_create(path);
    snprintf(checksum, sizeof checksum, "%016llx",
             (unsigned long long)tdo_checkpoint_hash(parts, PARTS));
    fuzz_hdf5_text(f, file, "format", TDO_CHECKPOINT_FORMAT);
    fuzz_hdf5_text(f, file, "checksum", checksum);
    const int n = fuzz_number(f, 1) & 1 ? 4 : 3;
    for (int i = 0; i < n; i++) {
        fuzz_hdf5_data(f, file, &usual[i]);
    }
    H5Fclose(file);
}

/* Write the bytes with a seal behind them. */
static void seal(const char *name, const char *data, size_t bytes, size_t change)
{
    static char room[1 << 20];
    struct tdo_seal s = {.bytes = bytes, .hash = XXH64(data, bytes, 0)};
    memcpy(s.magic, TDO_SEAL_MAGIC, sizeof s.magic);
    if (bytes + sizeof s <= sizeof room) {
        memcpy(room, data, bytes);
        memcpy(room + bytes, &s, sizeof s);
        if (change > 0) {
            room[change % bytes] ^= 1;
        }
        fuzz_write(name, room, bytes + sizeof s);
    }
}

static void make_file(struct fuzz *f, unsigned how, const char *name)
{
    char *image = NULL;
    int64_t bytes = 0;
    struct fuzz raw = {NULL, 0};
    switch (how % 5) {
    case 1:
        raw = fuzz_chunk(f);
        fuzz_write(name, raw.data, raw.size);
        break;
    case 2:
        raw = fuzz_chunk(f);
        if (raw.size > 0 && !(raw.size > 3 && memcmp(raw.data, "\x89HDF", 4) == 0)) {
            seal(name, (const char *)raw.data, raw.size, 0);
        }
        break;
    case 3:
    case 4:
        make(f, fuzz_path(name));
        if (tdo_file_read(fuzz_path(name), 1 << 20, &image, &bytes) == TDO_OK && bytes > 0) {
            seal(name, image, (size_t)bytes, how % 5 == 4 ? (size_t)fuzz_number(f, 2) + 1 : 0);
        }
        tdo_memory_free(&image);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f = {data, size};
    float params[N];
    int64_t step = 0;
    bool found = false;
    char dir[4096];
    struct tdo_checkpoint_part parts[PARTS] = {{"params", TDO_CHECKPOINT_F32, N, params},
                                               {"step", TDO_CHECKPOINT_I64, 1, &step},
                                               {"text", TDO_CHECKPOINT_U8, -1, NULL}};
    tdo_comm *comm = fuzz_comm();
    const unsigned how = (unsigned)fuzz_number(&f, 1);
    make_file(&f, how & 15, TDO_CHECKPOINT_NEWEST);
    make_file(&f, how >> 4, TDO_CHECKPOINT_OLDER);
    snprintf(dir, sizeof dir, "%s", fuzz_path(""));
    tdo_err err = tdo_checkpoint_read(comm, dir, parts, PARTS, &found);
    FUZZ_CHECK((err == TDO_OK && found) == (parts[2].count >= 0));
    FUZZ_CHECK(parts[2].count > 0 || !parts[2].data || err == TDO_OK);
    tdo_memory_free(&parts[2].data);
    fuzz_remove(TDO_CHECKPOINT_NEWEST);
    fuzz_remove(TDO_CHECKPOINT_OLDER);
    return 0;
}
