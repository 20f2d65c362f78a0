/* The images of a question that is being written, and those that are still being read. */
#include "allava-composer-private.h"

#include "allava-thumbnail.h"

#include <glib/gi18n.h>

#define THUMBNAIL_SIDE 72

/* ---- What is attached ------------------------------------------------------------------------ */

static void
announce_image (AllavaComposer *self, const char *format, const char *name)
{
  g_autofree char *text = g_strdup_printf (format, name);
  allava_composer_say (self, text);
}

static void
remove_thumbnail (AllavaComposer *self, GtkWidget *thumbnail)
{
  if (gtk_widget_get_focus_child (GTK_WIDGET (self->image_box)) == thumbnail)
    gtk_widget_grab_focus (GTK_WIDGET (self->entry));
  gtk_box_remove (self->image_box, thumbnail);
}

static void
thumbnail_removed_cb (AllavaThumbnail *thumbnail, AllavaComposer *self)
{
  guint position;
  g_autoptr (AllavaImage) image = g_object_ref (allava_thumbnail_get_image (thumbnail));
  if (!g_list_store_find (self->images, image, &position))
    return;
  g_list_store_remove (self->images, position);
  /* Translators: %s is a file's name */
  announce_image (self, _ ("Image %s removed"), allava_image_get_name (image));
}

static void
images_changed_cb (GListModel *images, guint position, guint removed, guint added, gpointer data)
{
  AllavaComposer *self = data;
  GtkWidget *child = gtk_widget_get_first_child (GTK_WIDGET (self->image_box));
  for (guint i = 0; i < position; i++)
    child = gtk_widget_get_next_sibling (child);
  while (removed-- > 0) {
    GtkWidget *next = gtk_widget_get_next_sibling (child);
    remove_thumbnail (self, child);
    child = next;
  }
  for (guint i = position; i < position + added; i++) {
    g_autoptr (AllavaImage) image = g_list_model_get_item (images, i);
    GtkWidget *thumbnail = allava_thumbnail_new (image, THUMBNAIL_SIDE, TRUE);
    g_signal_connect_object (thumbnail, "removed", G_CALLBACK (thumbnail_removed_cb), self, 0);
    gtk_widget_insert_before (thumbnail, GTK_WIDGET (self->image_box), child);
  }
  allava_composer_update (self);
}

/* ---- What is on its way ---------------------------------------------------------------------- */

/* Freed when the store has answered, which may be long after it was cancelled. */
typedef struct {
  AllavaComposer *composer; /* borrowed, and gone only after this has been cancelled */
  GCancellable *cancellable;
  GtkWidget *placeholder; /* after the images */
  char *name;
} Reading;

static void
reading_free (Reading *reading)
{
  g_object_unref (reading->cancellable);
  g_free (reading->name);
  g_free (reading);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Reading, reading_free)

static void
end_reading (Reading *reading)
{
  AllavaComposer *self = reading->composer;
  g_ptr_array_remove (self->readings, reading);
  remove_thumbnail (self, reading->placeholder);
  allava_composer_update (self);
}

static void
cancel_reading (Reading *reading)
{
  reading->composer->send_is_due = FALSE;
  g_cancellable_cancel (reading->cancellable);
  end_reading (reading);
}

void
allava_composer_cancel_readings (AllavaComposer *self)
{
  while (self->readings->len > 0)
    cancel_reading (self->readings->pdata[0]);
}

static void
give_up_reading (Reading *reading)
{
  cancel_reading (reading);
  announce_image (reading->composer, _ ("Image %s removed"), reading->name);
}

/* One sentence for all that were added together. */
static void
show_failure (AllavaComposer *self, const char *message)
{
  if (!self->failure) {
    self->failure = g_strdup (message);
    allava_composer_set_error (self, message);
    return;
  }
  guint n = ++self->n_more_failures;
  /* Translators: %s is a sentence that says why a first image was not attached */
  const char *format =
      ngettext ("%s (%u more image was not attached)", "%s (%u more images were not attached)", n);
  g_autofree char *text = g_strdup_printf (format, self->failure, n);
  allava_composer_set_error (self, text);
}

static Reading *
begin_reading (AllavaComposer *self, const char *name)
{
  Reading *reading = g_new (Reading, 1);
  reading->composer = self;
  reading->cancellable = g_cancellable_new ();
  reading->placeholder = allava_thumbnail_new_placeholder (name, THUMBNAIL_SIDE);
  reading->name = g_strdup (name);
  g_signal_connect_swapped (reading->placeholder, "removed", G_CALLBACK (give_up_reading), reading);
  gtk_box_append (self->image_box, reading->placeholder);
  g_ptr_array_add (self->readings, reading);
  allava_composer_update (self);
  return reading;
}

static void
read_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Reading) reading = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaImage) image =
      allava_image_store_add_finish (ALLAVA_IMAGE_STORE (source), result, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  AllavaComposer *self = reading->composer;
  if (image) {
    g_list_store_append (self->images, image);
    /* Translators: %s is a file's name */
    announce_image (self, _ ("Image %s attached"), allava_image_get_name (image));
  } else {
    show_failure (self, error->message);
    self->send_is_due = FALSE;
  }
  end_reading (reading);
  if (self->readings->len == 0 && self->send_is_due)
    allava_composer_send (self);
}

static void
add_file (AllavaComposer *self, GFile *file)
{
  /* Anything else would be fetched through a network. */
  if (!g_file_peek_path (file)) {
    show_failure (self,
                  _ ("That is not a file on this computer. Save the image first, then open it."));
    return;
  }
  g_autofree char *base = g_file_get_basename (file);
  g_autofree char *name = g_filename_display_name (base);
  Reading *reading = begin_reading (self, name);
  allava_image_store_add_file_async (allava_library_get_images (self->library), file,
                                     reading->cancellable, read_cb, reading);
}

void
allava_composer_add_files (AllavaComposer *self, GListModel *files)
{
  g_return_if_fail (ALLAVA_IS_COMPOSER (self));
  g_return_if_fail (G_IS_LIST_MODEL (files));

  allava_composer_show_error (self, NULL);
  for (guint i = 0; i < g_list_model_get_n_items (files); i++) {
    g_autoptr (GFile) file = g_list_model_get_item (files, i);
    add_file (self, file);
  }
}

void
allava_composer_add_bytes (AllavaComposer *self, GBytes *bytes, const char *name)
{
  g_return_if_fail (ALLAVA_IS_COMPOSER (self));
  g_return_if_fail (bytes != NULL);

  allava_composer_show_error (self, NULL);
  Reading *reading = begin_reading (self, name);
  allava_image_store_add_bytes_async (allava_library_get_images (self->library), bytes, name,
                                      reading->cancellable, read_cb, reading);
}

void
allava_composer_cancel_reading (AllavaComposer *self)
{
  g_return_if_fail (ALLAVA_IS_COMPOSER (self));
  while (self->readings->len > 0)
    give_up_reading (self->readings->pdata[0]);
}

void
allava_composer_remove_images (AllavaComposer *self)
{
  g_return_if_fail (ALLAVA_IS_COMPOSER (self));
  allava_composer_cancel_readings (self);
  g_list_store_remove_all (self->images);
}

void
allava_composer_init_images (AllavaComposer *self)
{
  self->images = g_list_store_new (ALLAVA_TYPE_IMAGE);
  self->readings = g_ptr_array_new ();
  g_signal_connect_object (self->images, "items-changed", G_CALLBACK (images_changed_cb), self, 0);
}
