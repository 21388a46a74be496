#ifndef TDO_JOBS_NETWORK_FRONT_H
#define TDO_JOBS_NETWORK_FRONT_H
/* What stands in front of a network that is used, and beside it.
 *
 *              ┌─► denoiser ─┐ mean
 *     pixels ──┼─► denoiser ─┴─► x^ ──► x + s (x^ - x) ──► input layer ──► model ──► logits ─┐
 *              └─► the same of each further member ────────────────────────────────► logits ─┴─► mean
 *
 * A member is written as images flow, `denoiser>classifier`, or `denoiser&denoiser>classifier`, or a
 * classifier alone; each is a model file or a run directory. So the combinations of Liao et al. 2018
 * (HGD), appendix C, are
 *     a,b                       IncV3&ensV3
 *     d1>a,d1>b                 LGD1 > IncV3&ensV3
 *     d1>a,d1>b,d2>a,d2>b       (LGD1 > IncV3&ensV3)&(LGD2 > IncV3&ensV3)
 *     d1&d2>a,d1&d2>b           LGD1&LGD2 > IncV3&ensV3
 *     d1>a,d2>b                 (LGD1 > IncV3)&(LGD2 > ensV3)
 * All parameters of a network with what belongs to it are numbered one behind the other: its own, those
 * of its denoisers, those of further members. Derivatives go through all of it. */
#include "jobs/network.h"

/* Take the place of tdo_network_open and tdo_network_open_any (`any`) where model.denoiser,
 * model.denoise and model.members are read: from `path`, or the members if there are some.
 * Errors: theirs; TDO_ERR_CONFIG naming the key for what is no denoiser, is for other images, or does
 * not go together. Owner: caller, tdo_network_free. */
TDO_MUST tdo_err tdo_network_front_open(const tdo_config *c, const char *path,
                                        const struct tdo_network_data *data, bool any,
                                        struct tdo_network *out);

/* One member as above, `strength` being s. key: what it is named by in messages; data may be NULL.
 * Errors, owner: as above. */
TDO_MUST tdo_err tdo_network_front_member(const char *key, const char *member,
                                          const struct tdo_network_data *data, double strength,
                                          struct tdo_network *out);

/* Pixels through the denoisers of n, which is built in b. */
tdo_node tdo_network_front_pixels(struct tdo_network *n, struct tdo_build *b, tdo_node pixels);
/* The mean of these logits of n, built in b, and of those of its further members. */
tdo_node tdo_network_front_mean(struct tdo_network *n, struct tdo_build *b, tdo_node pixels,
                                tdo_node logits);

/* How many parameters n has with all that belongs to it; and, as tdo_plan_options.param of a graph
 * in which n has the numbers from 0 on, where they lie (context: n). */
int64_t tdo_network_front_entries(const struct tdo_network *n);
const float *tdo_network_front_param(const void *context, int64_t index);

/* Hashes of denoisers and members, "denoiser" and "member", numbered if there are several, and
 * "denoise"; nothing of a network alone. */
TDO_MUST tdo_err tdo_network_front_describe(const struct tdo_network *n, tdo_json *to);
/* The same on standard output, a line each. */
TDO_MUST tdo_err tdo_network_front_print(const struct tdo_network *n);
/* Fold them into a hash of the network itself. */
TDO_MUST tdo_err tdo_network_front_hash(const struct tdo_network *n, uint64_t *hash);
void tdo_network_front_free(struct tdo_network *n);

#endif
