#include "allava-image.h"

#include "allava-image-pixbuf.h"

struct _AllavaImage {
  GObject parent_instance;
  char *sha256;
  int width;
  int height;
  char *name;
  char *path;
  char *thumbnail_path;
  GdkPixbuf *thumbnail;
  gboolean loading_thumbnail;
  gboolean thumbnail_failed;
};

enum {
  PROP_0,
  PROP_SHA256,
  PROP_WIDTH,
  PROP_HEIGHT,
  PROP_NAME,
  PROP_PATH,
  PROP_THUMBNAIL,
  PROP_THUMBNAIL_FAILED,
  N_PROPS,
};

static GParamSpec *properties[N_PROPS];

G_DEFINE_FINAL_TYPE (AllavaImage, allava_image, G_TYPE_OBJECT)

static void
allava_image_finalize (GObject *object)
{
  AllavaImage *self = ALLAVA_IMAGE (object);
  g_free (self->sha256);
  g_free (self->name);
  g_free (self->path);
  g_free (self->thumbnail_path);
  g_clear_object (&self->thumbnail);
  G_OBJECT_CLASS (allava_image_parent_class)->finalize (object);
}

static void
allava_image_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AllavaImage *self = ALLAVA_IMAGE (object);
  switch (id) {
  case PROP_SHA256:
    g_value_set_string (value, self->sha256);
    break;
  case PROP_WIDTH:
    g_value_set_int (value, self->width);
    break;
  case PROP_HEIGHT:
    g_value_set_int (value, self->height);
    break;
  case PROP_NAME:
    g_value_set_string (value, self->name);
    break;
  case PROP_PATH:
    g_value_set_string (value, self->path);
    break;
  case PROP_THUMBNAIL:
    g_value_set_object (value, self->thumbnail);
    break;
  case PROP_THUMBNAIL_FAILED:
    g_value_set_boolean (value, self->thumbnail_failed);
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
allava_image_class_init (AllavaImageClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->finalize = allava_image_finalize;
  object_class->get_property = allava_image_get_property;

  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;
  properties[PROP_SHA256] = g_param_spec_string ("sha256", NULL, NULL, NULL, flags);
  properties[PROP_WIDTH] = g_param_spec_int ("width", NULL, NULL, 0, G_MAXINT, 0, flags);
  properties[PROP_HEIGHT] = g_param_spec_int ("height", NULL, NULL, 0, G_MAXINT, 0, flags);
  properties[PROP_NAME] = g_param_spec_string ("name", NULL, NULL, NULL, flags);
  properties[PROP_PATH] = g_param_spec_string ("path", NULL, NULL, NULL, flags);
  properties[PROP_THUMBNAIL] =
      g_param_spec_object ("thumbnail", NULL, NULL, GDK_TYPE_PIXBUF, flags);
  properties[PROP_THUMBNAIL_FAILED] =
      g_param_spec_boolean ("thumbnail-failed", NULL, NULL, FALSE, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);
}

static void
allava_image_init (AllavaImage *self)
{
}

AllavaImage *
allava_image_new (const char *folder, const char *sha256, int width, int height, const char *name)
{
  g_return_val_if_fail (folder != NULL, NULL);
  g_return_val_if_fail (sha256 != NULL, NULL);
  AllavaImage *self = g_object_new (ALLAVA_TYPE_IMAGE, NULL);
  self->sha256 = g_strdup (sha256);
  self->width = width;
  self->height = height;
  self->name = g_strdup (name != NULL ? name : "");
  self->path = g_build_filename (folder, "images", sha256, NULL);
  self->thumbnail_path = g_build_filename (folder, "thumbnails", sha256, NULL);
  return self;
}

const char *
allava_image_get_sha256 (AllavaImage *self)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE (self), NULL);
  return self->sha256;
}

int
allava_image_get_width (AllavaImage *self)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE (self), 0);
  return self->width;
}

int
allava_image_get_height (AllavaImage *self)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE (self), 0);
  return self->height;
}

const char *
allava_image_get_name (AllavaImage *self)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE (self), NULL);
  return self->name;
}

const char *
allava_image_get_path (AllavaImage *self)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE (self), NULL);
  return self->path;
}

const char *
allava_image_get_thumbnail_path (AllavaImage *self)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE (self), NULL);
  return self->thumbnail_path;
}

GdkPixbuf *
allava_image_get_thumbnail (AllavaImage *self)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE (self), NULL);
  return self->thumbnail;
}

gboolean
allava_image_get_thumbnail_failed (AllavaImage *self)
{
  g_return_val_if_fail (ALLAVA_IS_IMAGE (self), FALSE);
  return self->thumbnail_failed;
}

static void
set_thumbnail_failed (AllavaImage *self, gboolean failed)
{
  if (self->thumbnail_failed == failed)
    return;
  self->thumbnail_failed = failed;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_THUMBNAIL_FAILED]);
}

void
allava_image_set_thumbnail (AllavaImage *self, GdkPixbuf *thumbnail)
{
  g_return_if_fail (ALLAVA_IS_IMAGE (self));
  set_thumbnail_failed (self, FALSE);
  if (g_set_object (&self->thumbnail, thumbnail))
    g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_THUMBNAIL]);
}

/* ---- Loading --------------------------------------------------------------------------------- */

static void
thumbnail_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  AllavaImage *self = source;
  GError *error = NULL;
  GdkPixbuf *pixbuf = gdk_pixbuf_new_from_file (self->thumbnail_path, NULL);
  if (pixbuf == NULL) {
    pixbuf =
        allava_image_pixbuf_load (self->path, ALLAVA_IMAGE_THUMBNAIL_SIDE, cancellable, &error);
    if (pixbuf != NULL)
      allava_image_pixbuf_save_thumbnail (pixbuf, self->thumbnail_path);
  }
  if (pixbuf != NULL)
    g_task_return_pointer (task, pixbuf, g_object_unref);
  else
    g_task_return_error (task, error);
}

static void
thumbnail_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AllavaImage *self = ALLAVA_IMAGE (source);
  g_autoptr (GdkPixbuf) pixbuf = g_task_propagate_pointer (G_TASK (result), NULL);
  self->loading_thumbnail = FALSE;
  if (pixbuf != NULL)
    allava_image_set_thumbnail (self, pixbuf);
  else
    set_thumbnail_failed (self, TRUE);
}

void
allava_image_load_thumbnail (AllavaImage *self)
{
  g_return_if_fail (ALLAVA_IS_IMAGE (self));
  if (self->thumbnail != NULL || self->loading_thumbnail)
    return;
  self->loading_thumbnail = TRUE;
  g_autoptr (GTask) task = g_task_new (self, NULL, thumbnail_cb, NULL);
  g_task_set_source_tag (task, allava_image_load_thumbnail);
  g_task_run_in_thread (task, thumbnail_thread);
}

static void
pixbuf_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  AllavaImage *self = source;
  GError *error = NULL;
  GdkPixbuf *pixbuf =
      allava_image_pixbuf_load (self->path, GPOINTER_TO_INT (data), cancellable, &error);
  if (pixbuf != NULL)
    g_task_return_pointer (task, pixbuf, g_object_unref);
  else
    g_task_return_error (task, error);
}

void
allava_image_load_pixbuf_async (AllavaImage *self,
                                int max_side,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_IMAGE (self));
  g_return_if_fail (max_side >= 0);
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, allava_image_load_pixbuf_async);
  g_task_set_task_data (task, GINT_TO_POINTER (max_side), NULL);
  g_task_run_in_thread (task, pixbuf_thread);
}

GdkPixbuf *
allava_image_load_pixbuf_finish (AllavaImage *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}
