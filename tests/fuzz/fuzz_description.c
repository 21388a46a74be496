/* The description of a network in a model file: the input is its JSON text, in a file that is
 * otherwise good, and without any tensor. So what is recalled ends with a missing tensor at the
 * latest; a network of absurd size must not be made before. */
#include <stdlib.h>
#include <string.h>

#include "jobs/job.h"
#include "jobs/network.h"
#include "tests/fuzz/fuzz.h"

/* {"__metadata__":{"testudo":"<text>"}} */
static char *make_header(const uint8_t *data, size_t size)
{
    tdo_json *header = NULL, *meta = NULL;
    char *text = malloc(size + 1), *out = NULL;
    if (text && tdo_json_object(&header) == TDO_OK && tdo_json_object(&meta) == TDO_OK) {
        memcpy(text, data, size);
        text[size] = '\0';
        tdo_json_set_text(meta, "testudo", text);
        tdo_json_set(header, "__metadata__", &meta);
        FUZZ_IGNORE(tdo_json_text(header, 0, &out));
    }
    tdo_json_free(&meta);
    tdo_json_free(&header);
    free(text);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdo_config *c = NULL;
    struct tdo_network n;
    char *header = make_header(data, size);
    const size_t length = header ? strlen(header) : 0;
    char *file = calloc(8 + length + 1, 1);
    if (header && file && tdo_config_new(&tdo_job_schema, &c) == TDO_OK) {
        for (int i = 0; i < 8; i++) {
            file[i] = (char)(length >> (8 * i));
        }
        memcpy(file + 8, header, length);
        const char *path = fuzz_write("model.safetensors", file, 8 + length);
        if (tdo_network_open(c, path, NULL, &n) == TDO_OK) {
            tdo_network_free(&n);
        }
        fuzz_remove("model.safetensors");
    }
    tdo_config_free(&c);
    tdo_memory_free(&header);
    free(file);
    return 0;
}
