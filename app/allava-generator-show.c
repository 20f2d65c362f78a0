#include "allava-generator.h"

#include <glib/gi18n-lib.h>

#include "allava-generator-private.h"

typedef struct {
  AllavaModel *model;
  AllavaImage *image;
} Show;

static void
show_free (Show *show)
{
  g_clear_pointer (&show->model, allava_model_unref);
  g_object_unref (show->image);
  g_free (show);
}

static void
unref_picture_cb (guchar *pixels, gpointer user_data)
{
  allava_picture_unref (user_data);
}

static void
show_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Show *show = data;
  GError *error = NULL;
  AllavaPicture *picture =
      allava_engine_backend_make_picture (show->model, show->image, cancellable, &error);
  if (picture == NULL) {
    g_task_return_error (task, error);
    return;
  }
  int size = allava_picture_get_size (picture);
  GdkPixbuf *pixbuf =
      gdk_pixbuf_new_from_data (allava_picture_get_pixels (picture), GDK_COLORSPACE_RGB, FALSE, 8,
                                size, size, size * 3, unref_picture_cb, picture);
  g_task_return_pointer (task, pixbuf, g_object_unref);
}

void
allava_generator_show_async (AllavaGenerator *self,
                             AllavaImage *image,
                             GCancellable *cancellable,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_GENERATOR (self));
  g_return_if_fail (ALLAVA_IS_IMAGE (image));
  g_autoptr (GTask) task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, allava_generator_show_async);
  AllavaModel *model = allava_generator_dup_model (self);
  if (model == NULL) {
    g_task_return_new_error (task, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                             _ ("What the model sees can be shown once a model is loaded"));
    return;
  }
  Show *show = g_new (Show, 1);
  show->model = model;
  show->image = g_object_ref (image);
  g_task_set_task_data (task, show, (GDestroyNotify)show_free);
  g_task_run_in_thread (task, show_thread);
}

GdkPixbuf *
allava_generator_show_finish (AllavaGenerator *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}
