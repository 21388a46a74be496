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

/* Only the description; *out is NULL if the file has none (a foreign file). Owner: caller.
 * Errors: TDO_ERR_FILE, TDO_ERR_FORMAT naming file and place. */
TDO_MUST tdo_err tdo_safetensors_describe(const char *path, tdo_json **out);

/* Fill in the values of p, which must have its memory. Every entry of p must be in the file with
 * its shape, and every tensor of the file in p; integer tensors are skipped with a line; f16 and
 * bf16 are widened. Errors name file and tensor; p may be half filled after one. */
TDO_MUST tdo_err tdo_safetensors_read(const char *path, tdo_params *p);

#endif
