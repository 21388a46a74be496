#ifndef TDO_BASE_CONFIG_SCAN_H
#define TDO_BASE_CONFIG_SCAN_H
/* What libconfig gets wrong, found before it parses.
 *
 * libconfig 1.5 drops the upper bits of an integer beyond 32 bits that has no L behind it,
 * drops what follows an open comment or quote, and ends the program when an included file
 * cannot be read as text. So every file is read and looked through here first, and the files
 * that it includes as well. Grammar is left to libconfig. */
#include "nn/base/error.h"

/* Read a config file into *text (NULL on failure), zero-terminated, and look it and its
 * includes through. Owner: caller, free with tdo_memory_free. Errors: TDO_ERR_FILE,
 * TDO_ERR_CONFIG naming file and line. */
TDO_MUST tdo_err tdo_config_scan(const char *path, char **text);

#endif
