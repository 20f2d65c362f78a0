#include "allava-image-input.h"

#include <glib/gi18n.h>

/* What image data may come as, the best first: what was a photo stays one. */
static const char *const image_types[] = {
    "image/jpeg", "image/png",  "image/webp", "image/heic",    "image/avif",
    "image/gif",  "image/tiff", "image/bmp",  "image/svg+xml", NULL,
};

static GdkContentFormats *
new_image_formats (void)
{
  return gdk_content_formats_new ((const char **)image_types, G_N_ELEMENTS (image_types) - 1);
}

static gboolean
has_image (GdkContentFormats *formats)
{
  g_autoptr (GdkContentFormats) ours = new_image_formats ();
  return gdk_content_formats_match (formats, ours);
}

static gboolean
has_text (GdkContentFormats *formats)
{
  return gdk_content_formats_contain_gtype (formats, G_TYPE_STRING) ||
         gdk_content_formats_contain_mime_type (formats, "text/plain;charset=utf-8") ||
         gdk_content_formats_contain_mime_type (formats, "text/plain");
}

static gboolean
has_files (GdkContentFormats *formats)
{
  g_autoptr (GdkContentFormats) with_types =
      gdk_content_formats_union_deserialize_gtypes (gdk_content_formats_ref (formats));
  return gdk_content_formats_contain_gtype (with_types, GDK_TYPE_FILE_LIST);
}

/* Adds the files of VALUE that can be read without a network; FALSE where there are none. */
static gboolean
add_files (AllavaComposer *composer, const GValue *value)
{
  g_autoptr (GListStore) files = g_list_store_new (G_TYPE_FILE);
  for (GSList *l = value ? g_value_get_boxed (value) : NULL; l; l = l->next)
    if (g_file_peek_path (l->data))
      g_list_store_append (files, l->data);
  gboolean any = g_list_model_get_n_items (G_LIST_MODEL (files)) > 0;
  if (any)
    allava_composer_add_files (composer, G_LIST_MODEL (files));
  return any;
}

/* ---- Image data ------------------------------------------------------------------------------ */

static void
bytes_read_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaComposer) composer = user_data;
  GOutputStream *stream = G_OUTPUT_STREAM (source);
  g_autoptr (GError) error = NULL;
  if (g_output_stream_splice_finish (stream, result, &error) < 0) {
    allava_composer_show_error (composer, error->message);
    return;
  }
  g_autoptr (GBytes) bytes =
      g_memory_output_stream_steal_as_bytes (G_MEMORY_OUTPUT_STREAM (stream));
  /* Translators: stands for the name of an image that came without one */
  allava_composer_add_bytes (composer, bytes, _ ("Image"));
}

static void
read_stream (GInputStream *stream, AllavaComposer *composer)
{
  g_autoptr (GOutputStream) memory = g_memory_output_stream_new_resizable ();
  g_output_stream_splice_async (
      memory, stream, G_OUTPUT_STREAM_SPLICE_CLOSE_SOURCE | G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET,
      G_PRIORITY_DEFAULT, NULL, bytes_read_cb, g_object_ref (composer));
}

/* ---- Dropping -------------------------------------------------------------------------------- */

static void
drop_stream_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaComposer) composer = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GInputStream) stream = gdk_drop_read_finish (GDK_DROP (source), result, NULL, &error);
  if (stream)
    read_stream (stream, composer);
  else
    allava_composer_show_error (composer, error->message);
  gdk_drop_finish (GDK_DROP (source), stream ? GDK_ACTION_COPY : 0);
}

static void
read_dropped_image (GdkDrop *drop, AllavaComposer *composer)
{
  gdk_drop_read_async (drop, (const char **)image_types, G_PRIORITY_DEFAULT, NULL, drop_stream_cb,
                       g_object_ref (composer));
}

/* A browser offers the image's address as a file that is not ours to fetch: then its pixels. */
static void
drop_files_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaComposer) composer = user_data;
  GdkDrop *drop = GDK_DROP (source);
  const GValue *value = gdk_drop_read_value_finish (drop, result, NULL);
  if (add_files (composer, value)) {
    gdk_drop_finish (drop, GDK_ACTION_COPY);
  } else if (has_image (gdk_drop_get_formats (drop))) {
    read_dropped_image (drop, composer);
  } else {
    allava_composer_show_error (
        composer, _ ("That is not a file on this computer. Save the image first, then drop it."));
    gdk_drop_finish (drop, 0);
  }
}

static gboolean
drop_cb (GtkDropTargetAsync *target, GdkDrop *drop, double x, double y, AllavaComposer *composer)
{
  if (has_files (gdk_drop_get_formats (drop)))
    gdk_drop_read_value_async (drop, GDK_TYPE_FILE_LIST, G_PRIORITY_DEFAULT, NULL, drop_files_cb,
                               g_object_ref (composer));
  else
    read_dropped_image (drop, composer);
  return TRUE;
}

static gboolean
accept_cb (GtkDropTargetAsync *target, GdkDrop *drop, gpointer user_data)
{
  GdkContentFormats *formats = gdk_drop_get_formats (drop);
  /* Not what was dragged out of this window itself. */
  return !gdk_drop_get_drag (drop) && (has_files (formats) || has_image (formats));
}

static GdkDragAction
drag_enter_cb (GtkDropTargetAsync *target, GdkDrop *drop, double x, double y, GtkWidget *place)
{
  gtk_widget_set_visible (place, TRUE);
  return GDK_ACTION_COPY;
}

static void
drag_leave_cb (GtkDropTargetAsync *target, GdkDrop *drop, GtkWidget *place)
{
  gtk_widget_set_visible (place, FALSE);
}

void
allava_image_input_add_drop_target (GtkWidget *widget, GtkWidget *place, AllavaComposer *composer)
{
  g_return_if_fail (GTK_IS_WIDGET (widget));

  GtkDropTargetAsync *target = gtk_drop_target_async_new (NULL, GDK_ACTION_COPY);
  /* Before the entry, which would take a file's name as text. */
  gtk_event_controller_set_propagation_phase (GTK_EVENT_CONTROLLER (target), GTK_PHASE_CAPTURE);
  g_signal_connect (target, "accept", G_CALLBACK (accept_cb), NULL);
  g_signal_connect (target, "drag-enter", G_CALLBACK (drag_enter_cb), place);
  g_signal_connect (target, "drag-leave", G_CALLBACK (drag_leave_cb), place);
  g_signal_connect (target, "drop", G_CALLBACK (drop_cb), composer);
  gtk_widget_add_controller (widget, GTK_EVENT_CONTROLLER (target));
}

/* ---- Pasting --------------------------------------------------------------------------------- */

static void
paste_stream_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaComposer) composer = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GInputStream) stream =
      gdk_clipboard_read_finish (GDK_CLIPBOARD (source), result, NULL, &error);
  if (stream)
    read_stream (stream, composer);
  else
    allava_composer_show_error (composer, error->message);
}

static void
read_pasted_image (GdkClipboard *clipboard, AllavaComposer *composer)
{
  gdk_clipboard_read_async (clipboard, (const char **)image_types, G_PRIORITY_DEFAULT, NULL,
                            paste_stream_cb, g_object_ref (composer));
}

static void
paste_text (GdkClipboard *clipboard, AllavaComposer *composer)
{
  GtkTextView *entry = GTK_TEXT_VIEW (allava_composer_get_entry (composer));
  gtk_text_buffer_paste_clipboard (gtk_text_view_get_buffer (entry), clipboard, NULL, TRUE);
}

/* What is no file of this computer is a web link: then its pixels, or its text. */
static void
paste_files_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaComposer) composer = user_data;
  GdkClipboard *clipboard = GDK_CLIPBOARD (source);
  const GValue *value = gdk_clipboard_read_value_finish (clipboard, result, NULL);
  GdkContentFormats *formats = gdk_clipboard_get_formats (clipboard);
  if (add_files (composer, value))
    return;
  if (has_image (formats))
    read_pasted_image (clipboard, composer);
  else if (has_text (formats))
    paste_text (clipboard, composer);
  else
    allava_composer_show_error (
        composer, _ ("That is not a file on this computer. Save the image first, then paste it."));
}

gboolean
allava_image_input_paste (GdkClipboard *clipboard, AllavaComposer *composer)
{
  g_return_val_if_fail (GDK_IS_CLIPBOARD (clipboard), FALSE);

  GdkContentFormats *formats = gdk_clipboard_get_formats (clipboard);
  if (has_files (formats))
    gdk_clipboard_read_value_async (clipboard, GDK_TYPE_FILE_LIST, G_PRIORITY_DEFAULT, NULL,
                                    paste_files_cb, g_object_ref (composer));
  else if (has_image (formats) && !has_text (formats))
    read_pasted_image (clipboard, composer);
  else
    return FALSE;
  return TRUE;
}

/* ---- Choosing -------------------------------------------------------------------------------- */

static void
chosen_cb (GtkNativeDialog *dialog, int response, AllavaComposer *composer)
{
  if (response == GTK_RESPONSE_ACCEPT) {
    g_autoptr (GListModel) files = gtk_file_chooser_get_files (GTK_FILE_CHOOSER (dialog));
    allava_composer_add_files (composer, files);
  }
  gtk_widget_grab_focus (allava_composer_get_entry (composer));
  g_object_unref (dialog);
}

void
allava_image_input_open (GtkWindow *parent, AllavaComposer *composer)
{
  g_return_if_fail (GTK_IS_WINDOW (parent));

  GtkFileChooserNative *dialog = gtk_file_chooser_native_new (
      _ ("Open Images"), parent, GTK_FILE_CHOOSER_ACTION_OPEN, _ ("_Open"), NULL);
  g_autoptr (GtkFileFilter) images = gtk_file_filter_new ();
  gtk_file_filter_set_name (images, _ ("Images"));
  gtk_file_filter_add_pixbuf_formats (images);
  g_autoptr (GtkFileFilter) all = gtk_file_filter_new ();
  gtk_file_filter_set_name (all, _ ("All files"));
  gtk_file_filter_add_pattern (all, "*");
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (dialog), images);
  gtk_file_chooser_add_filter (GTK_FILE_CHOOSER (dialog), all);
  gtk_file_chooser_set_select_multiple (GTK_FILE_CHOOSER (dialog), TRUE);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (dialog), TRUE);
  g_signal_connect_object (dialog, "response", G_CALLBACK (chosen_cb), composer, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}
