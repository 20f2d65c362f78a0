#include "npy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib/gstdio.h>

#include "allava-engine.h"

G_STATIC_ASSERT (G_BYTE_ORDER == G_LITTLE_ENDIAN);

/* Magic, version, header length, and a Python dictionary filled with spaces to a multiple of 64. */
static GString *
header_new (CliNpyType type, int n_dims, const size_t *shape)
{
  g_autoptr (GString) dictionary = g_string_new (NULL);
  g_string_append_printf (dictionary, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                          type == CLI_NPY_F32 ? "<f4" : "<i8");
  for (int i = 0; i < n_dims; i++)
    g_string_append_printf (dictionary, i == 0 ? "%zu" : ", %zu", shape[i]);
  g_string_append (dictionary, n_dims == 1 ? ",), }" : "), }");
  while ((10 + dictionary->len + 1) % 64 != 0)
    g_string_append_c (dictionary, ' ');
  g_string_append_c (dictionary, '\n');

  GString *header = g_string_new ("\x93NUMPY\x01");
  g_string_append_c (header, '\0');
  g_string_append_c (header, dictionary->len & 0xff);
  g_string_append_c (header, dictionary->len >> 8);
  g_string_append_len (header, dictionary->str, dictionary->len);
  return header;
}

gboolean
cli_npy_write (const char *path,
               CliNpyType type,
               const void *data,
               int n_dims,
               const size_t *shape,
               GError **error)
{
  g_autoptr (GString) header = header_new (type, n_dims, shape);
  size_t n = 1;
  for (int i = 0; i < n_dims; i++)
    n *= shape[i];

  FILE *file = g_fopen (path, "wb");
  gboolean written = file != NULL && fwrite (header->str, 1, header->len, file) == header->len &&
                     fwrite (data, type == CLI_NPY_F32 ? 4 : 8, n, file) == n;
  int code = errno;
  if (file != NULL && fclose (file) != 0 && written) {
    code = errno;
    written = FALSE;
  }
  if (!written)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, "Cannot write %s: %s", path,
                 g_strerror (code));
  return written;
}
