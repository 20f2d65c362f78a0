/* What a caller may rely on when it opens a picture file: the pixels that Pillow decodes, upright
 * and over white; refusal in one sentence of everything that is not a whole picture. The files and
 * what is expected of them come from tests/data/images/make_images.py. */
#include "allava-image-file.h"

#include <string.h>

#include <json-glib/json-glib.h>

static char *
image_path (const char *name)
{
  return g_test_build_filename (G_TEST_DIST, "data", "images", name, NULL);
}

static GBytes *
image_bytes (const char *name)
{
  g_autofree char *path = image_path (name);
  char *data;
  size_t length;
  g_assert_true (g_file_get_contents (path, &data, &length, NULL));
  return g_bytes_new_take (data, length);
}

static AllavaImageFile *
load_bytes (GBytes *bytes, const char *name, int64_t max_pixels, GError **error)
{
  g_autoptr (GInputStream) stream = g_memory_input_stream_new_from_bytes (bytes);
  return allava_image_file_load_stream (stream, name, ALLAVA_ALPHA_WHITE, max_pixels, NULL, error);
}

/* Loaders that a system may lack: the test is skipped then. */
static gboolean
skip_if_unreadable (const char *name, const GError *error)
{
  if (!g_error_matches (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED) ||
      g_str_has_suffix (name, ".png") || g_str_has_suffix (name, ".jpg"))
    return FALSE;
  g_autofree char *reason = g_strdup_printf ("no gdk-pixbuf loader for %s", name);
  g_test_skip (reason);
  return TRUE;
}

static const uint8_t *
pixel_at (const AllavaPixels *pixels, int x, int y)
{
  return pixels->data + y * pixels->stride + x * 3;
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

/* Pins the decoder that the other expectations are read with. */
static void
test_formula (void)
{
  g_autofree char *path = image_path ("rgb8.png");
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaImageFile) file =
      allava_image_file_load (path, ALLAVA_ALPHA_WHITE, NULL, &error);
  g_assert_no_error (error);
  const AllavaPixels *pixels = allava_image_file_get_pixels (file);
  g_assert_cmpint (pixels->width, ==, 24);
  g_assert_cmpint (pixels->height, ==, 16);
  for (int y = 0; y < 16; y++) {
    for (int x = 0; x < 24; x++) {
      const uint8_t expected[3] = {x * 11, y * 17, x * y * 5};
      g_assert_cmpmem (pixel_at (pixels, x, y), 3, expected, 3);
    }
  }
}

static int
largest_difference (const AllavaPixels *a, const AllavaPixels *b)
{
  int largest = 0;
  for (int y = 0; y < a->height; y++)
    for (int i = 0; i < a->width * 3; i++)
      largest = MAX (largest, ABS (a->data[y * a->stride + i] - b->data[y * b->stride + i]));
  return largest;
}

static void
test_decode (gconstpointer user_data)
{
  JsonObject *item = (JsonObject *)user_data;
  const char *name = json_object_get_string_member (item, "file");
  gboolean drop = g_str_equal (json_object_get_string_member (item, "alpha"), "drop");
  g_autofree char *path = image_path (name);
  g_autofree char *expected_path = image_path (json_object_get_string_member (item, "pixels"));
  g_autoptr (GError) error = NULL;

  g_autoptr (AllavaImageFile) file =
      allava_image_file_load (path, drop ? ALLAVA_ALPHA_DROP : ALLAVA_ALPHA_WHITE, NULL, &error);
  if (skip_if_unreadable (name, error))
    return;
  g_assert_no_error (error);
  g_autoptr (AllavaImageFile) expected_file =
      allava_image_file_load (expected_path, ALLAVA_ALPHA_WHITE, NULL, &error);
  g_assert_no_error (error);

  const AllavaPixels *pixels = allava_image_file_get_pixels (file);
  g_assert_cmpint (pixels->width, ==, json_object_get_int_member (item, "width"));
  g_assert_cmpint (pixels->height, ==, json_object_get_int_member (item, "height"));
  g_assert_cmpuint (pixels->stride, >=, pixels->width * 3);
  int difference = largest_difference (pixels, allava_image_file_get_pixels (expected_file));
  g_assert_cmpint (difference, <=, json_object_get_int_member (item, "tolerance"));
}

/* A poster of 60,000 x 30,000 is a drawing, not 1.8 billion pixels. */
static void
test_vector_poster (void)
{
  g_autofree char *path = image_path ("poster-60000x30000.svg");
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaImageFile) file =
      allava_image_file_load (path, ALLAVA_ALPHA_WHITE, NULL, &error);
  if (skip_if_unreadable (path, error))
    return;
  g_assert_no_error (error);
  g_assert_cmpint (allava_image_file_get_pixels (file)->width, ==, 4096);
  g_assert_cmpint (allava_image_file_get_pixels (file)->height, ==, 2048);
}

/* ---- Refusals -------------------------------------------------------------------------------- */

static void
assert_refused (const char *name, AllavaError code, const char *message)
{
  g_autofree char *path = image_path (name);
  g_autoptr (GError) error = NULL;
  g_assert_null (allava_image_file_load (path, ALLAVA_ALPHA_WHITE, NULL, &error));
  g_assert_error (error, ALLAVA_ERROR, (int)code);
  g_autofree char *expected = g_strconcat (path, message, NULL);
  g_assert_cmpstr (error->message, ==, expected);
}

static void
test_not_pictures (void)
{
  assert_refused ("empty.png", ALLAVA_ERROR_FORMAT, " is empty");
  assert_refused ("text.png", ALLAVA_ERROR_UNSUPPORTED,
                  " is not a picture in a format that this system reads");
  assert_refused (".", ALLAVA_ERROR_FILE, " is a folder, not a picture");
  assert_refused ("absent.png", ALLAVA_ERROR_FILE, ": No such file or directory");
}

static void
test_too_large (void)
{
  assert_refused ("huge-20000x20000.png", ALLAVA_ERROR_INPUT,
                  " is too large: 20000 x 20000 pixels, but at most 268435456 are read");
  assert_refused ("huge-50000x40000.jpg", ALLAVA_ERROR_INPUT,
                  " is too large: 50000 x 40000 pixels, but at most 268435456 are read");
  assert_refused ("huge-16777216x200.webp", ALLAVA_ERROR_INPUT,
                  " is too large: 16777216 x 200 pixels, but at most 268435456 are read");
  assert_refused ("huge-20000x30000.avif", ALLAVA_ERROR_INPUT,
                  " is too large: 20000 x 30000 pixels, but at most 268435456 are read");
}

/* Whichever loader reads it, the limit holds; as large as the limit is not too large. */
static void
test_limit (gconstpointer user_data)
{
  const char *name = user_data;
  g_autoptr (GBytes) bytes = image_bytes (name);
  g_autoptr (GError) error = NULL;
  g_assert_null (load_bytes (bytes, name, 24 * 16 - 1, &error));
  if (skip_if_unreadable (name, error))
    return;
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
  g_clear_error (&error);
  /* HEVC codes larger blocks and crops them. */
  int64_t enough = g_str_has_suffix (name, ".heic") ? 64 * 64 : 24 * 16;
  g_autoptr (AllavaImageFile) file = load_bytes (bytes, name, enough, &error);
  g_assert_no_error (error);
  g_assert_nonnull (file);
}

/* Half a picture is never shown. */
static void
test_cut_short (gconstpointer user_data)
{
  const char *name = user_data;
  g_autoptr (GBytes) whole = image_bytes (name);
  g_autoptr (GError) whole_error = NULL;
  g_autoptr (AllavaImageFile) file = load_bytes (whole, name, 64 * 64, &whole_error);
  if (skip_if_unreadable (name, whole_error))
    return;
  g_assert_no_error (whole_error);

  size_t length = g_bytes_get_size (whole);
  for (int percent = 5; percent < 96; percent += 5) {
    g_autoptr (GBytes) part = g_bytes_new_from_bytes (whole, 0, length * percent / 100);
    g_autoptr (GError) error = NULL;
    g_assert_null (load_bytes (part, name, 64 * 64, &error));
    g_assert_cmpuint (error->domain, ==, ALLAVA_ERROR);
    g_assert_nonnull (strstr (error->message, name));
  }
}

static void
test_cut_short_message (void)
{
  static const char *const names[] = {"rgb8.png", "interlaced.png", "baseline.jpg", "rgb.bmp",
                                      "rgb.ppm"};
  for (size_t i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (GBytes) whole = image_bytes (names[i]);
    g_autoptr (GBytes) part = g_bytes_new_from_bytes (whole, 0, g_bytes_get_size (whole) * 2 / 3);
    g_autoptr (GError) error = NULL;
    g_assert_null (load_bytes (part, "sea.jpg", ALLAVA_IMAGE_FILE_MAX_PIXELS, &error));
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT);
    g_assert_cmpstr (error->message, ==, "sea.jpg is cut short");
  }
}

/* Cameras append previews and films; that is no reason to refuse. */
static void
test_trailing_data (void)
{
  static const char *const names[] = {"rgb8.png", "baseline.jpg", "progressive.jpg"};
  for (size_t i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (GBytes) picture = image_bytes (names[i]);
    GByteArray *array = g_byte_array_new ();
    size_t length;
    const uint8_t *data = g_bytes_get_data (picture, &length);
    g_byte_array_append (array, data, length);
    g_byte_array_append (array, (const uint8_t *)"\xff\xd8\xff\xe1 and so on", 14);
    g_autoptr (GBytes) bytes = g_byte_array_free_to_bytes (array);
    g_autoptr (GError) error = NULL;
    g_autoptr (AllavaImageFile) file = load_bytes (bytes, names[i], 1 << 20, &error);
    g_assert_no_error (error);
    g_assert_nonnull (file);
  }
}

static void
test_cancelled (void)
{
  g_autofree char *path = image_path ("rgb8.png");
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_cancellable_cancel (cancellable);
  g_assert_null (allava_image_file_load (path, ALLAVA_ALPHA_WHITE, cancellable, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

/* ---- Threads --------------------------------------------------------------------------------- */

static gpointer
load_many (gpointer user_data)
{
  static const char *const names[] = {"rgb8.png", "baseline.jpg", "still.gif", "empty.png"};
  for (int i = 0; i < 40; i++) {
    g_autofree char *path = image_path (names[i % 4]);
    g_autoptr (AllavaImageFile) file =
        allava_image_file_load (path, ALLAVA_ALPHA_WHITE, NULL, NULL);
    if ((file != NULL) != (i % 4 != 3))
      return NULL;
  }
  return GINT_TO_POINTER (1);
}

static void
test_threads (void)
{
  GThread *threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = g_thread_new ("load", load_many, NULL);
  for (int i = 0; i < 4; i++)
    g_assert_nonnull (g_thread_join (threads[i]));
}

static void
add_decode_tests (JsonNode *root)
{
  JsonArray *cases = json_node_get_array (root);
  for (guint i = 0; i < json_array_get_length (cases); i++) {
    JsonObject *item = json_array_get_object_element (cases, i);
    g_autofree char *path =
        g_strdup_printf ("/image-file/decode/%s/%s", json_object_get_string_member (item, "file"),
                         json_object_get_string_member (item, "alpha"));
    g_test_add_data_func (path, item, test_decode);
  }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/image-file/formula", test_formula);

  g_autofree char *path = image_path ("expected.json");
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_assert_true (json_parser_load_from_file (parser, path, NULL));
  add_decode_tests (json_parser_get_root (parser));

  g_test_add_func ("/image-file/vector-poster", test_vector_poster);
  g_test_add_func ("/image-file/not-pictures", test_not_pictures);
  g_test_add_func ("/image-file/too-large", test_too_large);
  static const char *const formats[] = {
      "rgb8.png",      "interlaced.png", "baseline.jpg",  "progressive.jpg", "rgb.bmp",
      "rle.bmp",       "rgb.ppm",        "rgb.tga",       "palette.xpm",     "lzw.tiff",
      "bilevel.tiff",  "still.gif",      "animated.gif",  "lossless.webp",   "lossy-alpha.webp",
      "animated.webp", "lossless.heic",  "lossless.avif",
  };
  for (size_t i = 0; i < G_N_ELEMENTS (formats); i++) {
    g_autofree char *limit = g_strconcat ("/image-file/limit/", formats[i], NULL);
    g_autofree char *cut = g_strconcat ("/image-file/cut-short/", formats[i], NULL);
    g_test_add_data_func (limit, formats[i], test_limit);
    g_test_add_data_func (cut, formats[i], test_cut_short);
  }
  g_test_add_func ("/image-file/cut-short-message", test_cut_short_message);
  g_test_add_func ("/image-file/trailing-data", test_trailing_data);
  g_test_add_func ("/image-file/cancelled", test_cancelled);
  g_test_add_func ("/image-file/threads", test_threads);
  return g_test_run ();
}
