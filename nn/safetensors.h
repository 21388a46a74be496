#ifndef TDO_SAFETENSORS_H
#define TDO_SAFETENSORS_H
/* Model files: safetensors, by PyTorch's names and orders.
 *
 *     u64 little-endian: bytes of the header | header: JSON | tensors, one after the other
 *
 * The header maps a name to dtype, shape and place; `__metadata__` maps strings to strings. We put
 * one string there, "testudo": the model and its options, the input layer and the defenses that
 * live in the network, as JSON. The bytes of a file are a function of the parameters and that
 * string alone. */
#include "nn/base/json.h"
#include "nn/params.h"

/* Write all entries of p, weights and buffers, in the order of the table. `description` becomes
 * the string "testudo". Appears under `path` only when complete. */
TDO_MUST tdo_err tdo_safetensors_write(const char *path, const tdo_params *p,
                                       const tdo_json *description);

/* An open file: the whole of it in memory, its header understood. */
typedef struct tdo_safetensors tdo_safetensors;

struct tdo_safetensors_tensor {
    const char *name, *dtype; /* "F32", "BF16", "I64", ... as the file has it */
    tdo_shape shape;
    int64_t count, bytes; /* elements; bytes in the file */
    const char *data;     /* [bytes], not aligned */
};

/* Read a file. Each tensor lies inside it and has the bytes that its dtype and shape want, and
 * all of them together are what stands behind the header.
 * Errors: TDO_ERR_FILE, TDO_ERR_FORMAT naming file and tensor. Owner: caller. */
TDO_MUST tdo_err tdo_safetensors_open(const char *path, tdo_safetensors **out);
void tdo_safetensors_free(tdo_safetensors **f); /* NULL is fine */

/* The description; *out is NULL if the file has none (a foreign file). Owner: caller.
 * Errors: TDO_ERR_FORMAT, TDO_ERR_MEMORY. */
TDO_MUST tdo_err tdo_safetensors_describe(const tdo_safetensors *f, tdo_json **out);

/* Tensors in the order of the header. Borrowed. NULL: none of that name. */
int64_t tdo_safetensors_tensors(const tdo_safetensors *f);
const struct tdo_safetensors_tensor *tdo_safetensors_at(const tdo_safetensors *f, int64_t i);
const struct tdo_safetensors_tensor *tdo_safetensors_find(const tdo_safetensors *f,
                                                          const char *name);

/* Which parameters a file may lack: none, or, as training starts from it, those of a defense that it
 * has none of. */
enum tdo_safetensors_lack { TDO_LACK_NONE, TDO_LACK_DEFENSES };

/* Would tdo_safetensors_fill work? Asks for names, shapes and types; p needs no values yet, so that
 * a network of absurd size is refused before it is given memory.
 * Errors: TDO_ERR_FORMAT naming file and tensor. */
TDO_MUST tdo_err tdo_safetensors_match(const tdo_safetensors *f, const tdo_params *p,
                                       enum tdo_safetensors_lack lack);

/* Fill in the values of p, which must have its memory. Every entry of p must be in the file with
 * its shape, and every tensor of the file in p; integer tensors that p lacks (PyTorch counts
 * batches in them) are skipped, with one line for all; f16 and bf16 are widened. What the file may
 * lack stays as it is, with a line for each defense.
 * Errors: those of tdo_safetensors_match; then p is as it was. */
TDO_MUST tdo_err tdo_safetensors_fill(const tdo_safetensors *f, tdo_params *p,
                                      enum tdo_safetensors_lack lack);

#endif
