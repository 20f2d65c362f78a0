#include "allava-image-store.h"

#include <sys/stat.h>
#include <utime.h>

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#include "allava-image-pixbuf.h"

#define MAX_FILE_BYTES ((gsize)1 << 30)
#define CHUNK_BYTES 65536

/* File times come from a clock that may lag behind by a tick. */
#define CLOCK_LAG_SECONDS 2

/* So long a picture may be attached, in another instance of the program, and not be sent yet. */
#define UNSENT_SECONDS (24 * 60 * 60)

struct _AllavaImageStore {
  GObject parent_instance;
  char *folder;
  char *images;
  char *thumbnails;
  char *former;   /* a file: the names of what no sweep takes */
  gint64 created; /* seconds since 1970 */
  GMutex mutex;   /* held while a file comes or goes */
  GMutex decoder; /* held while a picture is decoded: each takes a lot of memory */
};

G_DEFINE_FINAL_TYPE (AllavaImageStore, allava_image_store, G_TYPE_OBJECT)

static void
allava_image_store_finalize (GObject *object)
{
  AllavaImageStore *self = ALLAVA_IMAGE_STORE (object);
  g_free (self->folder);
  g_free (self->images);
  g_free (self->thumbnails);
  g_free (self->former);
  g_mutex_clear (&self->mutex);
  g_mutex_clear (&self->decoder);
  G_OBJECT_CLASS (allava_image_store_parent_class)->finalize (object);
}

static void
allava_image_store_class_init (AllavaImageStoreClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = allava_image_store_finalize;
}

static void
allava_image_store_init (AllavaImageStore *self)
{
  g_mutex_init (&self->mutex);
  g_mutex_init (&self->decoder);
  self->created = g_get_real_time () / G_USEC_PER_SEC;
}

AllavaImageStore *
allava_image_store_new (const char *folder)
{
  g_return_val_if_fail (folder != NULL, NULL);
  AllavaImageStore *self = g_object_new (ALLAVA_TYPE_IMAGE_STORE, NULL);
  self->folder = g_strdup (folder);
  self->images = g_build_filename (folder, "images", NULL);
  self->thumbnails = g_build_filename (folder, "thumbnails", NULL);
  self->former = g_build_filename (folder, "former-images", NULL);
  return self;
}

const char *
allava_image_store_get_folder (AllavaImageStore *self)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE_STORE (self), NULL);
  return self->folder;
}

/* ---- Adding ---------------------------------------------------------------------------------- */

/* What comes in: one of the three, and its name. */
typedef struct {
  GFile *file;
  GBytes *bytes;
  GdkPixbuf *pixbuf;
  char *name;
} Addition;

static void
addition_free (Addition *addition)
{
  g_clear_object (&addition->file);
  g_clear_pointer (&addition->bytes, g_bytes_unref);
  g_clear_object (&addition->pixbuf);
  g_free (addition->name);
  g_free (addition);
}

static GBytes *
read_all (GInputStream *stream, const char *name, GCancellable *cancellable, GError **error)
{
  g_autoptr (GByteArray) content = g_byte_array_new ();
  g_autofree guint8 *chunk = g_malloc (CHUNK_BYTES);
  gssize n;
  while ((n = g_input_stream_read (stream, chunk, CHUNK_BYTES, cancellable, error)) > 0) {
    if (content->len + (gsize)n > MAX_FILE_BYTES) {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                   _ ("%s is too large: picture files of up to 1 GiB are read"), name);
      return NULL;
    }
    g_byte_array_append (content, chunk, (guint)n);
  }
  if (n < 0)
    return NULL;
  return g_byte_array_free_to_bytes (g_steal_pointer (&content));
}

static gboolean
is_special (GFile *file, GCancellable *cancellable)
{
  return g_file_query_file_type (file, G_FILE_QUERY_INFO_NONE, cancellable) == G_FILE_TYPE_SPECIAL;
}

static GBytes *
read_file (GFile *file, const char *name, GCancellable *cancellable, GError **error)
{
  /* Opening one may wait for ever. */
  if (is_special (file, cancellable)) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE,
                 _ ("%s is a device or a pipe, not a picture"), name);
    return NULL;
  }
  g_autoptr (GError) cause = NULL;
  g_autoptr (GFileInputStream) stream = g_file_read (file, cancellable, &cause);
  g_autoptr (GBytes) bytes =
      stream != NULL ? read_all (G_INPUT_STREAM (stream), name, cancellable, &cause) : NULL;
  if (bytes != NULL)
    return g_steal_pointer (&bytes);
  if (cause->domain == ALLAVA_ERROR || g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_propagate_error (error, g_steal_pointer (&cause));
  else if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_IS_DIRECTORY))
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, _ ("%s is a folder, not a picture"), name);
  else
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, _ ("%s cannot be read: %s"), name,
                 cause->message);
  return NULL;
}

static GBytes *
encode_pixbuf (GdkPixbuf *pixbuf, const char *name, GError **error)
{
  char *content;
  gsize length;
  /* Compression 1: speed matters more than the last tenth of the size. */
  if (gdk_pixbuf_save_to_buffer (pixbuf, &content, &length, "png", NULL, "compression", "1", NULL))
    return g_bytes_new_take (content, length);
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY, _ ("Not enough memory to keep %s"), name);
  return NULL;
}

static GBytes *
get_bytes (Addition *addition, GCancellable *cancellable, GError **error)
{
  if (addition->bytes != NULL)
    return g_bytes_ref (addition->bytes);
  if (addition->pixbuf != NULL)
    return encode_pixbuf (addition->pixbuf, addition->name, error);
  return read_file (addition->file, addition->name, cancellable, error);
}

static gboolean
fail_store (const char *name, const GError *cause, GError **error)
{
  if (g_error_matches (cause, G_FILE_ERROR, G_FILE_ERROR_NOSPC))
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE,
                 _ ("There is no room left on the disk to keep %s; free some and try again"), name);
  else
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, _ ("%s cannot be kept: %s"), name,
                 cause->message);
  return FALSE;
}

/* Writes the file unless it is there; then it becomes new, so that no sweep takes it. */
static gboolean
write_file (AllavaImageStore *self, GBytes *bytes, const char *path, GError **error)
{
  struct stat info;
  if (g_stat (path, &info) == 0 && (gsize)info.st_size == g_bytes_get_size (bytes) &&
      g_utime (path, NULL) == 0)
    return TRUE;
  g_mkdir_with_parents (self->images, 0700);
  g_mkdir_with_parents (self->thumbnails, 0700);
  return g_file_set_contents_full (
      path, g_bytes_get_data (bytes, NULL), (gssize)g_bytes_get_size (bytes),
      G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
}

/* The picture and its thumbnail. What was cancelled before the store is cleared stays out. */
static gboolean
store (AllavaImageStore *self,
       GBytes *bytes,
       AllavaImage *image,
       GdkPixbuf *thumbnail,
       GCancellable *cancellable,
       GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->mutex);
  if (g_cancellable_set_error_if_cancelled (cancellable, error))
    return FALSE;
  if (!write_file (self, bytes, allava_image_get_path (image), &cause))
    return fail_store (allava_image_get_name (image), cause, error);
  allava_image_pixbuf_save_thumbnail (thumbnail, allava_image_get_thumbnail_path (image));
  return TRUE;
}

/* Proves that BYTES are a picture: its upright size and its thumbnail. */
static GdkPixbuf *
decode (AllavaImageStore *self,
        GBytes *bytes,
        const char *name,
        int *width,
        int *height,
        GCancellable *cancellable,
        GError **error)
{
  g_autoptr (GInputStream) stream = g_memory_input_stream_new_from_bytes (bytes);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->decoder);
  AllavaImageFile *file = allava_image_file_load_stream (
      stream, name, ALLAVA_ALPHA_WHITE, ALLAVA_IMAGE_FILE_MAX_PIXELS, cancellable, error);
  if (file == NULL)
    return NULL;
  *width = allava_image_file_get_pixels (file)->width;
  *height = allava_image_file_get_pixels (file)->height;
  return allava_image_pixbuf_new (file, ALLAVA_IMAGE_THUMBNAIL_SIDE, error);
}

static AllavaImage *
add (AllavaImageStore *self, Addition *addition, GCancellable *cancellable, GError **error)
{
  g_autoptr (GBytes) bytes = get_bytes (addition, cancellable, error);
  if (bytes == NULL)
    return NULL;
  int width, height;
  g_autoptr (GdkPixbuf) thumbnail =
      decode (self, bytes, addition->name, &width, &height, cancellable, error);
  if (thumbnail == NULL)
    return NULL;

  g_autofree char *sha256 = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, bytes);
  g_autoptr (AllavaImage) image =
      allava_image_new (self->folder, sha256, width, height, addition->name);
  if (!store (self, bytes, image, thumbnail, cancellable, error))
    return NULL;
  allava_image_set_thumbnail (image, thumbnail);
  return g_steal_pointer (&image);
}

static void
add_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  GError *error = NULL;
  AllavaImage *image = add (source, data, cancellable, &error);
  if (image != NULL)
    g_task_return_pointer (task, image, g_object_unref);
  else
    g_task_return_error (task, error);
}

static void
start (AllavaImageStore *self,
       Addition *addition,
       GCancellable *cancellable,
       GAsyncReadyCallback callback,
       gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, start);
  g_task_set_task_data (task, addition, (GDestroyNotify)addition_free);
  g_task_run_in_thread (task, add_thread);
}

void
allava_image_store_add_file_async (AllavaImageStore *self,
                                   GFile *file,
                                   GCancellable *cancellable,
                                   GAsyncReadyCallback callback,
                                   gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_IMAGE_STORE (self));
  g_return_if_fail (G_IS_FILE (file));
  Addition *addition = g_new0 (Addition, 1);
  addition->file = g_object_ref (file);
  g_autofree char *name = g_file_get_basename (file);
  addition->name = g_filename_display_name (name != NULL ? name : "");
  start (self, addition, cancellable, callback, user_data);
}

void
allava_image_store_add_bytes_async (AllavaImageStore *self,
                                    GBytes *bytes,
                                    const char *name,
                                    GCancellable *cancellable,
                                    GAsyncReadyCallback callback,
                                    gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_IMAGE_STORE (self));
  g_return_if_fail (bytes != NULL);
  g_return_if_fail (name != NULL);
  Addition *addition = g_new0 (Addition, 1);
  addition->bytes = g_bytes_ref (bytes);
  addition->name = g_strdup (name);
  start (self, addition, cancellable, callback, user_data);
}

void
allava_image_store_add_pixbuf_async (AllavaImageStore *self,
                                     GdkPixbuf *pixbuf,
                                     const char *name,
                                     GCancellable *cancellable,
                                     GAsyncReadyCallback callback,
                                     gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_IMAGE_STORE (self));
  g_return_if_fail (GDK_IS_PIXBUF (pixbuf));
  g_return_if_fail (name != NULL);
  Addition *addition = g_new0 (Addition, 1);
  addition->pixbuf = g_object_ref (pixbuf);
  addition->name = g_strdup (name);
  start (self, addition, cancellable, callback, user_data);
}

AllavaImage *
allava_image_store_add_finish (AllavaImageStore *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

/* ---- Removing -------------------------------------------------------------------------------- */

gboolean
allava_image_store_keep_all (AllavaImageStore *self, GError **error)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE_STORE (self), FALSE);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->mutex);
  g_autoptr (GDir) dir = g_dir_open (self->images, 0, NULL);
  g_autoptr (GString) names = g_string_new (NULL);
  g_autoptr (GError) cause = NULL;
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    g_string_append_printf (names, "%s\n", name);
  if (names->len == 0 ||
      g_file_set_contents_full (self->former, names->str, (gssize)names->len,
                                G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                &cause))
    return TRUE;
  return fail_store (self->former, cause, error);
}

/* What is never swept, or NULL where that cannot be read. */
static GHashTable *
read_former (AllavaImageStore *self)
{
  g_autofree char *content = NULL;
  if (!g_file_get_contents (self->former, &content, NULL, NULL) &&
      g_file_test (self->former, G_FILE_TEST_EXISTS))
    return NULL;
  GHashTable *former = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_auto (GStrv) names = g_strsplit (content != NULL ? content : "", "\n", -1);
  for (int i = 0; names[i] != NULL; i++)
    g_hash_table_add (former, g_strdup (names[i]));
  return former;
}

/* What a sweep goes by: sets of SHA-256. */
typedef struct {
  GHashTable *used;
  GHashTable *former;
  GHashTable *dropped;
} Sweep;

static gboolean
is_old (AllavaImageStore *self, const char *path, gboolean dropped)
{
  struct stat info;
  gint64 newest = self->created - CLOCK_LAG_SECONDS;
  if (!dropped)
    newest = MIN (newest, g_get_real_time () / G_USEC_PER_SEC - UNSENT_SECONDS);
  return g_lstat (path, &info) == 0 && S_ISREG (info.st_mode) && info.st_mtime < newest;
}

static int
sweep_folder (AllavaImageStore *self, const char *folder, const Sweep *sweep)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  int n = 0;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    if (g_hash_table_contains (sweep->used, name) || g_hash_table_contains (sweep->former, name))
      continue;
    g_autofree char *path = g_build_filename (folder, name, NULL);
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->mutex);
    if (is_old (self, path, g_hash_table_contains (sweep->dropped, name)) && g_unlink (path) == 0)
      n++;
  }
  return n;
}

int
allava_image_store_sweep (AllavaImageStore *self, GHashTable *used, GHashTable *dropped)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE_STORE (self), 0);
  g_return_val_if_fail (used != NULL, 0);
  g_return_val_if_fail (dropped != NULL, 0);
  g_autoptr (GHashTable) former = read_former (self);
  if (former == NULL)
    return 0;
  Sweep sweep = {used, former, dropped};
  sweep_folder (self, self->thumbnails, &sweep);
  return sweep_folder (self, self->images, &sweep);
}

static gboolean
clear_folder (const char *folder, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (folder, name, NULL);
    if (g_unlink (path) != 0 && g_file_test (path, G_FILE_TEST_EXISTS)) {
      g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, _ ("%s cannot be deleted"), path);
      return FALSE;
    }
  }
  return TRUE;
}

gboolean
allava_image_store_clear (AllavaImageStore *self, GError **error)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE_STORE (self), FALSE);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->mutex);
  g_unlink (self->former);
  return clear_folder (self->images, error) && clear_folder (self->thumbnails, error);
}
