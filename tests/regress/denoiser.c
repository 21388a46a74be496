/* Writes a model file with a denoiser as training starts it, for scripts that need one:
 *
 *     denoiser <file> <height> <width> <channels> <factor>
 *
 * It is a narrow dunet; `factor` times what its last layer starts with: 0 changes no image. */
#include <stdio.h>
#include <stdlib.h>

#include "jobs/job.h"
#include "jobs/network.h"
#include "nn/base/log.h"

static tdo_err write_denoiser(char **argument)
{
    const struct tdo_network_data data = {atoi(argument[2]), atoi(argument[3]),
                                          atoi(argument[4]), 0};
    struct tdo_network n = {0};
    tdo_config *c = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_config_new(&tdo_job_schema, &c));
    TDO_GOTO(tdo_config_set(c, "model.name=dunet"));
    TDO_GOTO(tdo_config_set(c, "model.width=0.0625"));
    TDO_GOTO(tdo_network_configure_any(c, &data, &n));
    const int64_t at = tdo_params_find(n.params, "final.weight");
    for (int64_t k = 0; k < tdo_params_at(n.params, at)->count; k++) {
        tdo_params_values(n.params, at)[k] *= strtof(argument[5], NULL);
    }
    err = tdo_network_save(&n, argument[1]);
done:
    tdo_network_free(&n);
    tdo_config_free(&c);
    return err;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "denoiser: file, height, width, channels and factor expected\n");
        return 2;
    }
    if (write_denoiser(argv) != TDO_OK) {
        tdo_log_error();
        return 1;
    }
    return 0;
}
