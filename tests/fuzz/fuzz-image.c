/* Any bytes as a picture file: refused in words, or pixels within the limit that can all be read.
 * Where the file ends does not depend on how it was cut into chunks. */
#include "allava-image-file.h"
#include "allava-image-scan.h"

#define MAX_PIXELS (64 * 64)

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);
const char *__lsan_default_suppressions (void);

/* libdav1d 1.0 leaks 40 bytes for some damaged AVIF files. */
const char *
__lsan_default_suppressions (void)
{
  return "leak:libdav1d";
}

/* Loaders write warnings about damaged files. */
static GLogWriterOutput
drop_log (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
  return G_LOG_WRITER_HANDLED;
}

static void
check_scan (const uint8_t *data, size_t size)
{
  g_auto (AllavaImageScan) at_once = {0}, by_byte = {0};
  allava_image_scan_feed (&at_once, data, size);
  for (size_t i = 0; i < size; i++)
    allava_image_scan_feed (&by_byte, data + i, 1);
  g_assert (allava_image_scan_is_cut_short (&at_once) == allava_image_scan_is_cut_short (&by_byte));
  g_assert (allava_image_scan_is_held_back (&at_once) == allava_image_scan_is_held_back (&by_byte));
  int orientation = allava_image_scan_get_orientation (&at_once);
  g_assert (orientation >= 1 && orientation <= 8);
  g_assert (orientation == allava_image_scan_get_orientation (&by_byte));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static gboolean ready = FALSE;
  if (!ready)
    g_log_set_writer_func (drop_log, NULL, NULL);
  ready = TRUE;

  check_scan (data, size);
  g_autoptr (GInputStream) stream = g_memory_input_stream_new_from_data (data, size, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaImageFile) file = allava_image_file_load_stream (
      stream, "picture", size % 2 ? ALLAVA_ALPHA_DROP : ALLAVA_ALPHA_WHITE, MAX_PIXELS, NULL,
      &error);
  g_assert ((file != NULL) == (error == NULL));
  if (file == NULL)
    return 0;
  const AllavaPixels *pixels = allava_image_file_get_pixels (file);
  g_assert (pixels->width > 0 && pixels->height > 0);
  g_assert ((int64_t)pixels->width * pixels->height <= MAX_PIXELS);
  unsigned sum = 0;
  for (int y = 0; y < pixels->height; y++)
    for (int i = 0; i < pixels->width * 3; i++)
      sum += pixels->data[y * pixels->stride + i];
  g_assert (sum <= 255u * 3 * MAX_PIXELS);
  return 0;
}
