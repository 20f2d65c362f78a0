#include "allava-image-file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <gio/gunixinputstream.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#include "allava-image-scan.h"
#include "allava-image-size.h"

#define CHUNK_BYTES 65536
#define MAX_FILE_BYTES ((size_t)1 << 30)
#define MIN_VECTOR_SIDE 336
#define MAX_VECTOR_SIDE 4096

struct _AllavaImageFile {
  GdkPixbuf *pixbuf; /* the memory of the pixels */
  AllavaPixels pixels;
};

void
allava_image_file_free (AllavaImageFile *file)
{
  g_clear_object (&file->pixbuf);
  g_free (file);
}

const AllavaPixels *
allava_image_file_get_pixels (AllavaImageFile *file)
{
  g_return_val_if_fail (file != NULL, NULL);
  return &file->pixels;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

typedef struct {
  const char *name;
  int64_t max_pixels;
  GdkPixbufLoader *loader;
  AllavaImageScan scan;
  GByteArray *held; /* the file so far, of formats that are held back */
  int64_t width;
  int64_t height;
  gboolean too_large;
  int64_t painted; /* pixels */
} Load;

static void
load_clear (Load *load)
{
  gdk_pixbuf_loader_close (load->loader, NULL); /* does nothing the second time */
  g_object_unref (load->loader);
  g_byte_array_unref (load->held);
  allava_image_scan_clear (&load->scan);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Load, load_clear)

static gboolean
loader_is (GdkPixbufLoader *loader, const char *const *names)
{
  GdkPixbufFormat *format = gdk_pixbuf_loader_get_format (loader);
  g_autofree char *name = format != NULL ? gdk_pixbuf_format_get_name (format) : NULL;
  return name != NULL && g_strv_contains (names, name);
}

static void
scale_vector (GdkPixbufLoader *loader, int *width, int *height)
{
  int side = MAX (*width, *height);
  double scale = (double)CLAMP (side, MIN_VECTOR_SIDE, MAX_VECTOR_SIDE) / side;
  *width = MAX ((int)(*width * scale + 0.5), 1);
  *height = MAX ((int)(*height * scale + 0.5), 1);
  gdk_pixbuf_loader_set_size (loader, *width, *height);
}

static void
note_size (Load *load, int64_t width, int64_t height)
{
  load->width = width;
  load->height = height;
  load->too_large = height > 0 && width > load->max_pixels / height;
}

static void
size_prepared_cb (GdkPixbufLoader *loader, int width, int height, gpointer user_data)
{
  static const char *const vector[] = {"svg", NULL};
  static const char *const lazy[] = {"pnm", "tga", NULL};
  Load *load = user_data;
  if (width > 0 && height > 0 && loader_is (loader, vector))
    scale_vector (loader, &width, &height);
  note_size (load, width, height);
  /* A size of zero makes loaders stop before they allocate. These two would complain to stderr, and
   * only touch memory as pixels come, which is not going to happen. */
  if (load->too_large && !loader_is (loader, lazy))
    gdk_pixbuf_loader_set_size (loader, 0, 0);
}

static void
area_updated_cb (GdkPixbufLoader *loader, int x, int y, int width, int height, gpointer user_data)
{
  Load *load = user_data;
  load->painted += (int64_t)width * height;
}

static gboolean
fail_cut_short (Load *load, GError **error)
{
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, _ ("%s is cut short"), load->name);
  return FALSE;
}

/* Turns what the loader says into an error of ours. Some loaders fail and say nothing. */
static gboolean
fail_loader (Load *load, const GError *cause, GError **error)
{
  if (load->too_large)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                 _ ("%s is too large: %lld x %lld pixels, but at most %lld are read"), load->name,
                 (long long)load->width, (long long)load->height, (long long)load->max_pixels);
  else if (g_error_matches (cause, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_INCOMPLETE_ANIMATION))
    return fail_cut_short (load, error);
  else if (g_error_matches (cause, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_UNKNOWN_TYPE))
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED,
                 _ ("%s is not a picture in a format that this system reads"), load->name);
  else if (g_error_matches (cause, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_INSUFFICIENT_MEMORY))
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY,
                 _ ("Not enough memory to decode %s of %lld x %lld pixels"), load->name,
                 (long long)load->width, (long long)load->height);
  else
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s: %s", load->name,
                 cause != NULL ? cause->message : _ ("the picture is damaged"));
  return FALSE;
}

static gboolean
load_write (Load *load, const uint8_t *data, size_t length, GError **error)
{
  g_autoptr (GError) cause = NULL;
  if (gdk_pixbuf_loader_write (load->loader, data, length, &cause) && !load->too_large)
    return TRUE;
  return fail_loader (load, cause, error);
}

static gboolean
load_chunk (Load *load, const uint8_t *data, size_t length, GError **error)
{
  allava_image_scan_feed (&load->scan, data, length);
  if (!allava_image_scan_is_held_back (&load->scan))
    return load_write (load, data, length, error);
  g_byte_array_append (load->held, data, length);
  return TRUE;
}

static gboolean
load_stream (Load *load, GInputStream *stream, GCancellable *cancellable, GError **error)
{
  g_autofree uint8_t *chunk = g_malloc (CHUNK_BYTES);
  size_t total = 0;
  for (;;) {
    g_autoptr (GError) cause = NULL;
    size_t n = 0;
    g_input_stream_read_all (stream, chunk, CHUNK_BYTES, &n, cancellable, &cause);
    if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
      g_propagate_error (error, g_steal_pointer (&cause));
      return FALSE;
    }
    if (cause != NULL) {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, "%s: %s", load->name, cause->message);
      return FALSE;
    }
    total += n;
    if (total > MAX_FILE_BYTES) {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                   _ ("%s is too large: picture files of up to 1 GiB are read"), load->name);
      return FALSE;
    }
    if (n == 0)
      break;
    if (!load_chunk (load, chunk, n, error))
      return FALSE;
  }
  if (total == 0) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, _ ("%s is empty"), load->name);
    return FALSE;
  }
  return TRUE;
}

/* These loaders leave the rest of a short file blank and report success. */
static gboolean
load_is_painted (Load *load, GdkPixbuf *pixbuf)
{
  static const char *const silent[] = {"png", "bmp", "pnm", NULL};
  int64_t n_pixels = (int64_t)gdk_pixbuf_get_width (pixbuf) * gdk_pixbuf_get_height (pixbuf);
  return load->painted >= n_pixels || !loader_is (load->loader, silent);
}

/* The file that has been held back, now that it is known to be whole. */
static gboolean
load_held (Load *load, GError **error)
{
  uint32_t width, height;
  if (allava_image_size_read (load->held->data, load->held->len, &width, &height))
    note_size (load, width, height);
  if (load->too_large)
    return fail_loader (load, NULL, error);
  return load_write (load, load->held->data, load->held->len, error);
}

static gboolean
load_finish (Load *load, GError **error)
{
  if (allava_image_scan_is_cut_short (&load->scan))
    return fail_cut_short (load, error);
  if (load->held->len > 0 && !load_held (load, error))
    return FALSE;

  g_autoptr (GError) cause = NULL;
  if (!gdk_pixbuf_loader_close (load->loader, &cause) || load->too_large)
    return fail_loader (load, cause, error);
  GdkPixbuf *pixbuf = gdk_pixbuf_loader_get_pixbuf (load->loader);
  if (pixbuf == NULL)
    return fail_loader (load, NULL, error);
  note_size (load, gdk_pixbuf_get_width (pixbuf), gdk_pixbuf_get_height (pixbuf));
  if (load->too_large) /* XPM's loader does not announce the size */
    return fail_loader (load, NULL, error);
  return load_is_painted (load, pixbuf) || fail_cut_short (load, error);
}

/* Newer loaders may find the orientation of PNG and WebP files themselves. */
static GdkPixbuf *
turn_upright (const AllavaImageScan *scan, GdkPixbuf *pixbuf)
{
  int orientation = allava_image_scan_get_orientation (scan);
  if (orientation != 1 && gdk_pixbuf_get_option (pixbuf, "orientation") == NULL) {
    char value[] = {(char)('0' + orientation), '\0'};
    gdk_pixbuf_set_option (pixbuf, "orientation", value);
  }
  return gdk_pixbuf_apply_embedded_orientation (pixbuf);
}

static GdkPixbuf *
decode (GInputStream *stream,
        const char *name,
        int64_t max_pixels,
        GCancellable *cancellable,
        GError **error)
{
  g_auto (Load) load = {
      .name = name,
      .max_pixels = max_pixels,
      .loader = gdk_pixbuf_loader_new (),
      .held = g_byte_array_new (),
  };
  g_signal_connect (load.loader, "size-prepared", G_CALLBACK (size_prepared_cb), &load);
  g_signal_connect (load.loader, "area-updated", G_CALLBACK (area_updated_cb), &load);
  if (!load_stream (&load, stream, cancellable, error) || !load_finish (&load, error))
    return NULL;

  GdkPixbuf *pixbuf = gdk_pixbuf_loader_get_pixbuf (load.loader);
  GdkPixbuf *upright = turn_upright (&load.scan, pixbuf);
  if (upright == NULL)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY,
                 _ ("Not enough memory to turn %s upright"), name);
  return upright;
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

static uint8_t
over_white (uint8_t colour, uint8_t alpha)
{
  return (colour * alpha + 255 * (255 - alpha) + 127) / 255;
}

/* Makes triples of each row's quadruples, in place. */
static void
remove_alpha (GdkPixbuf *pixbuf, AllavaAlpha alpha)
{
  uint8_t *row = gdk_pixbuf_get_pixels (pixbuf);
  int width = gdk_pixbuf_get_width (pixbuf);
  for (int y = 0; y < gdk_pixbuf_get_height (pixbuf); y++) {
    for (int x = 0; x < width; x++) {
      const uint8_t *from = row + (size_t)x * 4;
      uint8_t *to = row + (size_t)x * 3;
      uint8_t a = alpha == ALLAVA_ALPHA_DROP ? 255 : from[3];
      for (int c = 0; c < 3; c++)
        to[c] = over_white (from[c], a);
    }
    row += gdk_pixbuf_get_rowstride (pixbuf);
  }
}

AllavaImageFile *
allava_image_file_load_stream (GInputStream *stream,
                               const char *name,
                               AllavaAlpha alpha,
                               int64_t max_pixels,
                               GCancellable *cancellable,
                               GError **error)
{
  g_return_val_if_fail (G_IS_INPUT_STREAM (stream), NULL);
  g_return_val_if_fail (name != NULL, NULL);

  g_autoptr (GdkPixbuf) pixbuf = decode (stream, name, max_pixels, cancellable, error);
  if (pixbuf == NULL)
    return NULL;
  if (gdk_pixbuf_get_has_alpha (pixbuf))
    remove_alpha (pixbuf, alpha);

  AllavaImageFile *file = g_new (AllavaImageFile, 1);
  file->pixels = (AllavaPixels){
      .data = gdk_pixbuf_get_pixels (pixbuf),
      .width = gdk_pixbuf_get_width (pixbuf),
      .height = gdk_pixbuf_get_height (pixbuf),
      .stride = gdk_pixbuf_get_rowstride (pixbuf),
  };
  file->pixbuf = g_steal_pointer (&pixbuf);
  return file;
}

AllavaImageFile *
allava_image_file_load (const char *path,
                        AllavaAlpha alpha,
                        GCancellable *cancellable,
                        GError **error)
{
  g_return_val_if_fail (path != NULL, NULL);

  g_autofree char *name = g_filename_display_name (path);
  struct stat info;
  int fd = g_open (path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, "%s: %s", name, g_strerror (errno));
    return NULL;
  }
  g_autoptr (GInputStream) stream = g_unix_input_stream_new (fd, TRUE);
  if (fstat (fd, &info) == 0 && S_ISDIR (info.st_mode)) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, _ ("%s is a folder, not a picture"), name);
    return NULL;
  }
  return allava_image_file_load_stream (stream, name, alpha, ALLAVA_IMAGE_FILE_MAX_PIXELS,
                                        cancellable, error);
}
