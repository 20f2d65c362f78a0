#include "allava-image-store.h"

#include "allava-engine.h"

#include <glib/gstdio.h>

#include <string.h>
#include <sys/stat.h>

#include "app-testing.h"

typedef struct {
  char *folder;
  AllavaImageStore *store;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->folder = testing_folder_new ();
  fixture->store = allava_image_store_new (fixture->folder);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  testing_settle (); /* the worker threads let go of their tasks */
  g_assert_finalize_object (fixture->store);
  testing_folder_free (fixture->folder);
}

static AllavaImage *
add_bytes (AllavaImageStore *store, GBytes *bytes, const char *name, GError **error)
{
  GAsyncResult *slot = NULL;
  allava_image_store_add_bytes_async (store, bytes, name, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  return allava_image_store_add_finish (store, result, error);
}

static void
assert_stored (AllavaImage *image, GBytes *bytes)
{
  char *content;
  gsize length;
  g_assert_true (g_file_get_contents (allava_image_get_path (image), &content, &length, NULL));
  g_autoptr (GBytes) stored = g_bytes_new_take (content, length);
  g_assert_true (g_bytes_equal (stored, bytes));
  g_autofree char *sha256 = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, bytes);
  g_assert_cmpstr (allava_image_get_sha256 (image), ==, sha256);
}

/* The very bytes are stored once; size, name and a small thumbnail are known. */
static void
test_bytes (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = testing_make_png (600, 300, 5);
  g_autoptr (AllavaImage) image = add_bytes (fixture->store, bytes, "cat.png", &error);
  g_assert_no_error (error);
  g_autoptr (AllavaImage) again = add_bytes (fixture->store, bytes, "same.png", &error);
  g_assert_no_error (error);
  assert_stored (image, bytes);
  g_assert_cmpstr (allava_image_get_path (again), ==, allava_image_get_path (image));
  g_assert_cmpint (allava_image_get_width (image), ==, 600);
  g_assert_cmpint (allava_image_get_height (image), ==, 300);
  g_assert_cmpstr (allava_image_get_name (image), ==, "cat.png");
  GdkPixbuf *thumbnail = allava_image_get_thumbnail (image);
  g_assert_cmpint (gdk_pixbuf_get_width (thumbnail), ==, 256);
  g_assert_cmpint (gdk_pixbuf_get_height (thumbnail), ==, 128);
  g_assert_true (g_file_test (allava_image_get_thumbnail_path (image), G_FILE_TEST_EXISTS));
}

/* A JPEG that says it lies on its side is upright, and its file unchanged. */
static void
test_file_with_orientation (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, 40, 20);
  gdk_pixbuf_fill (pixbuf, 0x336699ff);
  char *jpeg;
  gsize length;
  g_assert_true (gdk_pixbuf_save_to_buffer (pixbuf, &jpeg, &length, "jpeg", NULL, NULL));
  /* SOI, then an APP1 segment of our own: Exif, big-endian, one entry, orientation 6. */
  static const guint8 exif[] = {0xff, 0xd8, 0xff, 0xe1, 0, 34, 'E', 'x', 'i', 'f', 0,    0, 'M',
                                'M',  0,    42,   0,    0, 0,  8,   0,   1,   1,   0x12, 0, 3,
                                0,    0,    0,    1,    0, 6,  0,   0,   0,   0,   0,    0};
  g_autoptr (GByteArray) turned = g_byte_array_new ();
  g_byte_array_append (turned, exif, sizeof exif);
  g_byte_array_append (turned, (guint8 *)jpeg + 2, (guint)length - 2);
  g_free (jpeg);
  g_autofree char *path = g_build_filename (fixture->folder, "turned.jpg", NULL);
  g_assert_true (g_file_set_contents (path, (char *)turned->data, turned->len, NULL));

  g_autoptr (GError) error = NULL;
  g_autoptr (GFile) file = g_file_new_for_path (path);
  GAsyncResult *slot = NULL;
  allava_image_store_add_file_async (fixture->store, file, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  g_autoptr (AllavaImage) image = allava_image_store_add_finish (fixture->store, result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (allava_image_get_width (image), ==, 20);
  g_assert_cmpint (allava_image_get_height (image), ==, 40);
  g_assert_cmpstr (allava_image_get_name (image), ==, "turned.jpg");
  g_autoptr (GBytes) bytes = g_bytes_new (turned->data, turned->len);
  assert_stored (image, bytes);

  allava_image_load_pixbuf_async (image, 10, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) loaded = testing_wait_result (&slot);
  g_autoptr (GdkPixbuf) shown = allava_image_load_pixbuf_finish (image, loaded, &error);
  g_assert_no_error (error);
  g_assert_cmpint (gdk_pixbuf_get_width (shown), ==, 5);
  g_assert_cmpint (gdk_pixbuf_get_height (shown), ==, 10);
}

static void
test_pixbuf (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new (GDK_COLORSPACE_RGB, TRUE, 8, 30, 10);
  gdk_pixbuf_fill (pixbuf, 0x11223380);
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  allava_image_store_add_pixbuf_async (fixture->store, pixbuf, "Pasted", NULL, testing_result_cb,
                                       &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  g_autoptr (AllavaImage) image = allava_image_store_add_finish (fixture->store, result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (allava_image_get_width (image), ==, 30);
  g_autoptr (GdkPixbuf) stored = gdk_pixbuf_new_from_file (allava_image_get_path (image), NULL);
  g_assert_cmpint (gdk_pixbuf_get_pixels (stored)[0], ==, 0x11);
}

/* One sentence with the picture's name, and nothing stored. */
static void
test_refused (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GBytes) good = testing_make_png (64, 64, 1);
  g_autoptr (GBytes) text = g_bytes_new_static ("Dear sir", 8);
  g_autoptr (GBytes) empty = g_bytes_new_static ("", 0);
  g_autoptr (GBytes) cut = g_bytes_new_from_bytes (good, 0, g_bytes_get_size (good) / 2);
  GBytes *bad[] = {text, empty, cut};
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (add_bytes (fixture->store, bad[i], "letter.png", &error));
    g_assert_cmpuint (error->domain, ==, ALLAVA_ERROR);
    g_assert_nonnull (strstr (error->message, "letter.png"));
  }
  g_autofree char *images = g_build_filename (fixture->folder, "images", NULL);
  g_autoptr (GDir) dir = g_dir_open (images, 0, NULL);
  g_assert_true (dir == NULL || g_dir_read_name (dir) == NULL);
}

static void
test_no_file (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->folder, "gone.png", NULL);
  g_autofree char *pipe = g_build_filename (fixture->folder, "pipe.png", NULL);
  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  const char *paths[] = {path, fixture->folder, pipe, "/dev/null"};
  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GFile) file = g_file_new_for_path (paths[i]);
    GAsyncResult *slot = NULL;
    allava_image_store_add_file_async (fixture->store, file, NULL, testing_result_cb, &slot);
    g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
    g_assert_null (allava_image_store_add_finish (fixture->store, result, &error));
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE);
  }
}

/* Peaks of this process's memory, bytes. */
static gint64
get_peak (void)
{
  g_autofree char *status = NULL;
  g_assert_true (g_file_get_contents ("/proc/self/status", &status, NULL, NULL));
  const char *line = strstr (status, "VmHWM:");
  g_assert_nonnull (line);
  return g_ascii_strtoll (line + strlen ("VmHWM:"), NULL, 10) * 1024;
}

/* However many come at once, one is decoded at a time. */
static void
test_many_large (Fixture *fixture, gconstpointer data)
{
#ifdef __SANITIZE_ADDRESS__
  g_test_skip ("AddressSanitizer keeps what was freed");
#else
  enum { N = 12, SIDE = 4000 };
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, SIDE, SIDE);
  gdk_pixbuf_fill (pixbuf, 0x336699ff);
  gint64 size = (gint64)gdk_pixbuf_get_byte_length (pixbuf);
  char *png;
  gsize length;
  g_assert_true (gdk_pixbuf_save_to_buffer (pixbuf, &png, &length, "png", NULL, NULL));
  g_autoptr (GBytes) bytes = g_bytes_new_take (png, length);
  g_clear_object (&pixbuf);

  gint64 before = get_peak ();
  GAsyncResult *slots[N] = {NULL};
  for (int i = 0; i < N; i++)
    allava_image_store_add_bytes_async (fixture->store, bytes, "large.png", NULL, testing_result_cb,
                                        &slots[i]);
  for (int i = 0; i < N; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GAsyncResult) result = testing_wait_result (&slots[i]);
    g_autoptr (AllavaImage) image = allava_image_store_add_finish (fixture->store, result, &error);
    g_assert_no_error (error);
  }
  g_assert_cmpint (get_peak () - before, <, 3 * size);
#endif
}

static void
notified_cb (GObject *object, GParamSpec *pspec, int *n)
{
  (*n)++;
}

/* A picture of the history has its thumbnail when asked, even where the file is lost. */
static void
test_thumbnail_again (Fixture *fixture, gconstpointer data)
{
  g_autoptr (AllavaImage) added = testing_add_image (fixture->store, 9);
  g_assert_cmpint (g_unlink (allava_image_get_thumbnail_path (added)), ==, 0);
  g_autoptr (AllavaImage) image =
      allava_image_new (fixture->folder, allava_image_get_sha256 (added), 8, 6, "x");
  int n = 0;
  g_signal_connect (image, "notify::thumbnail", G_CALLBACK (notified_cb), &n);
  allava_image_load_thumbnail (image);
  allava_image_load_thumbnail (image);
  testing_wait_until (n > 0);
  g_assert_cmpint (gdk_pixbuf_get_width (allava_image_get_thumbnail (image)), ==, 8);
  g_assert_true (g_file_test (allava_image_get_thumbnail_path (image), G_FILE_TEST_EXISTS));
  g_assert_cmpint (n, ==, 1);
}

/* Where picture and thumbnail are lost, that is told, until the picture is there again. */
static void
test_thumbnail_lost (Fixture *fixture, gconstpointer data)
{
  g_autoptr (AllavaImage) added = testing_add_image (fixture->store, 9);
  g_autofree char *away = g_strconcat (allava_image_get_path (added), ".away", NULL);
  g_assert_cmpint (g_unlink (allava_image_get_thumbnail_path (added)), ==, 0);
  g_assert_cmpint (g_rename (allava_image_get_path (added), away), ==, 0);
  g_autoptr (AllavaImage) image =
      allava_image_new (fixture->folder, allava_image_get_sha256 (added), 8, 6, "x");
  int n = 0;
  g_signal_connect (image, "notify::thumbnail-failed", G_CALLBACK (notified_cb), &n);
  allava_image_load_thumbnail (image);
  g_assert_false (allava_image_get_thumbnail_failed (image));
  testing_wait_until (n > 0);
  g_assert_true (allava_image_get_thumbnail_failed (image));
  g_assert_null (allava_image_get_thumbnail (image));

  g_assert_cmpint (g_rename (away, allava_image_get_path (added)), ==, 0);
  allava_image_load_thumbnail (image);
  testing_wait_until (n > 1);
  g_assert_false (allava_image_get_thumbnail_failed (image));
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/image-store/bytes", test_bytes);
  ADD ("/image-store/file-with-orientation", test_file_with_orientation);
  ADD ("/image-store/pixbuf", test_pixbuf);
  ADD ("/image-store/refused", test_refused);
  ADD ("/image-store/no-file", test_no_file);
  ADD ("/image-store/many-large", test_many_large);
  ADD ("/image-store/thumbnail-again", test_thumbnail_again);
  ADD ("/image-store/thumbnail-lost", test_thumbnail_lost);
  return g_test_run ();
}
