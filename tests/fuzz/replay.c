/* replay.c - runs a fuzz target once over every file of a folder, as a test. */
#include <glib.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
main (int argc, char **argv)
{
  g_assert (argc == 2);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (argv[1], 0, &error);
  g_assert_no_error (error);
  int n = 0;
  const char *name;
  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (argv[1], name, NULL);
    g_autofree char *data = NULL;
    size_t length;
    g_file_get_contents (path, &data, &length, &error);
    g_assert_no_error (error);
    /* A copy of the exact size, so that a sanitizer sees a read beyond it. */
    uint8_t *exact = g_memdup2 (data, length);
    LLVMFuzzerTestOneInput (exact, length);
    g_free (exact);
    g_print ("ok %d - %s\n", ++n, name);
  }
  g_print ("1..%d\n", n);
  return n > 0 ? 0 : 1;
}
