/* npy.h - writes NumPy's .npy format, version 1.0 (numpy.lib.format), C order, little-endian. */
#pragma once

#include <glib.h>
#include <stddef.h>

typedef enum { CLI_NPY_F32, CLI_NPY_I64 } CliNpyType;

/* Writes DATA [SHAPE...] to PATH. Errors: ALLAVA_ERROR_FILE. */
gboolean cli_npy_write (const char *path,
                        CliNpyType type,
                        const void *data,
                        int n_dims,
                        const size_t *shape,
                        GError **error);
