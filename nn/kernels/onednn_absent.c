/* A build without oneDNN: every case is declined, other kernels take over. See onednn.h. */
#include "nn/kernels/onednn.h"

#include <stddef.h>

bool tdo_onednn_available(void)
{
    return false;
}

const char *tdo_onednn_version(void)
{
    return "none";
}

bool tdo_onednn_bf16(void)
{
    return false;
}

int tdo_onednn_isa(void)
{
    return 0;
}

const char *tdo_onednn_isa_name(void)
{
    return "none";
}

tdo_err tdo_onednn_limit_isa(int isa)
{
    (void)isa;
    return TDO_OK;
}

tdo_err tdo_onednn_pack_share(struct tdo_conv_pack *pack)
{
    (void)pack;
    return TDO_OK;
}

tdo_err tdo_onednn_pack_floats(const struct tdo_conv_pack *pack, int64_t *floats)
{
    (void)pack;
    *floats = 0;
    return TDO_OK;
}

static tdo_err decline(struct tdo_kernel *kernel)
{
    kernel->run = NULL;
    return TDO_OK;
}

#define DECLINED(name)                                                                         \
    tdo_err tdo_onednn_##name(const struct tdo_call *call, struct tdo_kernel *kernel)          \
    {                                                                                          \
        (void)call;                                                                            \
        return decline(kernel);                                                                \
    }
DECLINED(pack)
DECLINED(conv)
DECLINED(conv_dx)
DECLINED(conv_dw)
