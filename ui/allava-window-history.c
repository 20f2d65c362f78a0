#include "allava-window-history.h"

#include "allava-export.h"

#include <glib/gi18n.h>

static AllavaHistory *
get_history (AllavaWindow *window)
{
  return allava_library_get_history (allava_window_get_library (window));
}

/* The conversation an action is about: the one named, or the one shown; 0: it is not saved yet. */
static gint64
get_id (AllavaWindow *window, GVariant *parameter)
{
  if (parameter)
    return g_variant_get_int64 (parameter);
  AllavaConversation *conversation = allava_window_get_conversation (window);
  return conversation ? allava_conversation_get_id (conversation) : 0;
}

static gboolean
is_shown (AllavaWindow *window, gint64 id)
{
  AllavaConversation *conversation = allava_window_get_conversation (window);
  return conversation && allava_conversation_get_id (conversation) == id;
}

/* What was begun may end after the window. */
static gboolean
is_gone (AllavaWindow *window)
{
  return allava_window_get_library (window) == NULL;
}

/* ---- Rename ---------------------------------------------------------------------------------- */

static void
renamed_cb (AdwMessageDialog *dialog, const char *response, AllavaConversation *conversation)
{
  GtkEditable *entry = g_object_get_data (G_OBJECT (dialog), "entry");
  g_autofree char *title = g_strstrip (g_strdup (gtk_editable_get_text (entry)));
  if (g_strcmp0 (response, "rename") == 0 && *title)
    allava_conversation_set_title (conversation, title);
}

static void
title_changed_cb (GtkEditable *entry, AdwMessageDialog *dialog)
{
  g_autofree char *title = g_strstrip (g_strdup (gtk_editable_get_text (entry)));
  adw_message_dialog_set_response_enabled (dialog, "rename", *title != '\0');
}

/* A title that is still being read arrives after the dialog. */
static void
title_loaded_cb (AllavaConversation *conversation, GParamSpec *pspec, GtkEditable *entry)
{
  gtk_editable_set_text (entry, allava_conversation_get_title (conversation));
  gtk_editable_select_region (entry, 0, -1);
}

static void
rename_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaWindow *window = ALLAVA_WINDOW (widget);
  gint64 id = get_id (window, parameter);
  if (id == 0)
    return;
  g_autoptr (AllavaConversation) conversation =
      allava_library_dup_conversation (allava_window_get_library (window), id);
  AdwMessageDialog *dialog = ADW_MESSAGE_DIALOG (
      adw_message_dialog_new (GTK_WINDOW (window), _ ("Rename Conversation"), NULL));
  GtkWidget *entry = gtk_entry_new ();
  const char *title = allava_conversation_get_title (conversation);
  gtk_editable_set_text (GTK_EDITABLE (entry), title ? title : "");
  gtk_entry_set_activates_default (GTK_ENTRY (entry), TRUE);
  gtk_accessible_update_property (GTK_ACCESSIBLE (entry), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  _ ("Title"), -1);
  adw_message_dialog_set_extra_child (dialog, entry);
  adw_message_dialog_add_responses (dialog, "cancel", _ ("Cancel"), "rename", _ ("Rename"), NULL);
  adw_message_dialog_set_response_appearance (dialog, "rename", ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response (dialog, "rename");
  adw_message_dialog_set_close_response (dialog, "cancel");
  g_object_set_data (G_OBJECT (dialog), "entry", entry);
  g_signal_connect_object (entry, "changed", G_CALLBACK (title_changed_cb), dialog, 0);
  g_signal_connect_object (conversation, "notify::title", G_CALLBACK (title_loaded_cb), entry, 0);
  /* The dialog keeps the conversation. */
  g_object_set_data_full (G_OBJECT (dialog), "conversation", g_object_ref (conversation),
                          g_object_unref);
  g_signal_connect (dialog, "response", G_CALLBACK (renamed_cb), conversation);
  gtk_window_present (GTK_WINDOW (dialog));
  gtk_widget_grab_focus (entry);
}

/* ---- Delete ---------------------------------------------------------------------------------- */

typedef struct {
  AllavaHistory *history;
  gint64 id;
} Deletion;

static void
deletion_free (gpointer data)
{
  Deletion *self = data;
  g_object_unref (self->history);
  g_free (self);
}

static void
undo_delete_cb (GObject *holder)
{
  Deletion *deletion = g_object_get_data (holder, "deletion");
  allava_history_undelete_async (deletion->history, deletion->id, NULL, NULL);
}

static void
delete_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaWindow *window = ALLAVA_WINDOW (widget);
  gint64 id = get_id (window, parameter);
  if (id == 0)
    return;
  allava_library_stop (allava_window_get_library (window), id);
  if (is_shown (window, id))
    allava_window_show_new_conversation (window);
  AllavaHistory *history = get_history (window);
  allava_history_delete_async (history, id, NULL, NULL);

  g_autoptr (GObject) holder = g_object_new (G_TYPE_OBJECT, NULL);
  Deletion *deletion = g_new (Deletion, 1);
  *deletion = (Deletion){.history = g_object_ref (history), .id = id};
  g_object_set_data_full (holder, "deletion", deletion, deletion_free);
  allava_window_offer_undo (window, _ ("Conversation deleted"), G_CALLBACK (undo_delete_cb),
                            holder);
}

static void
everything_deleted_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaWindow) window = user_data;
  g_autoptr (GError) error = NULL;
  gboolean deleted = allava_history_finish (ALLAVA_HISTORY (source), result, &error);
  if (is_gone (window))
    return;
  if (!deleted) {
    allava_window_show_error (window, error);
    return;
  }
  allava_window_toast (window, _ ("Everything was deleted"));
  if (!allava_history_get_open (ALLAVA_HISTORY (source)))
    gtk_widget_activate_action (GTK_WIDGET (window), "app.open-history", NULL);
}

static void
delete_everything_cb (AdwMessageDialog *dialog, const char *response, AllavaWindow *window)
{
  if (g_strcmp0 (response, "delete") != 0)
    return;
  allava_library_stop (allava_window_get_library (window), 0);
  allava_window_show_new_conversation (window);
  allava_window_remove_images (window);
  allava_history_delete_all_async (get_history (window), everything_deleted_cb,
                                   g_object_ref (window));
}

static void
delete_everything_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AdwMessageDialog *dialog = ADW_MESSAGE_DIALOG (
      adw_message_dialog_new (GTK_WINDOW (widget), _ ("Delete Everything?"),
                              _ ("All conversations and their images are removed from this "
                                 "computer. This cannot be undone. "
                                 "Your original image files stay.")));
  adw_message_dialog_add_responses (dialog, "cancel", _ ("Cancel"), "delete",
                                    _ ("Delete Everything"), NULL);
  adw_message_dialog_set_response_appearance (dialog, "delete", ADW_RESPONSE_DESTRUCTIVE);
  adw_message_dialog_set_default_response (dialog, "cancel");
  adw_message_dialog_set_close_response (dialog, "cancel");
  g_signal_connect_object (dialog, "response", G_CALLBACK (delete_everything_cb), widget, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

/* ---- Export ---------------------------------------------------------------------------------- */

static void
exported_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaWindow) window = user_data;
  g_autoptr (GError) error = NULL;
  int n = allava_export_finish (ALLAVA_HISTORY (source), result, &error);
  allava_window_end_export (window, n >= 0);
  if (is_gone (window))
    return;
  if (n < 0) {
    allava_window_show_error (window, error);
    return;
  }
  g_autofree char *text =
      g_strdup_printf (ngettext ("%d conversation exported", "%d conversations exported", n), n);
  allava_window_toast (window, text);
}

static void
export_folder_cb (GtkNativeDialog *dialog, int response, AllavaWindow *window)
{
  g_autoptr (GtkNativeDialog) owned = dialog;
  if (response != GTK_RESPONSE_ACCEPT)
    return;
  /* The chooser lets its entry be empty. */
  g_autoptr (GFile) folder = gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog));
  if (folder)
    allava_export_async (get_history (window), g_object_get_data (G_OBJECT (dialog), "ids"), folder,
                         NULL, NULL, allava_window_begin_export (window), exported_cb,
                         g_object_ref (window));
  else
    allava_window_toast (window, _ ("No folder was chosen, so nothing was exported"));
}

/* ID 0: all conversations. */
static void export(AllavaWindow *window, gint64 id)
{
  GtkFileChooserNative *dialog =
      gtk_file_chooser_native_new (_ ("Export Into a Folder"), GTK_WINDOW (window),
                                   GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _ ("_Export"), NULL);
  if (id) {
    GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint64));
    g_array_append_val (ids, id);
    g_object_set_data_full (G_OBJECT (dialog), "ids", ids, (GDestroyNotify)g_array_unref);
  }
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (dialog), TRUE);
  g_signal_connect_object (dialog, "response", G_CALLBACK (export_folder_cb), window, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}

static void
export_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  gint64 id = get_id (ALLAVA_WINDOW (widget), parameter);
  if (id)
    export(ALLAVA_WINDOW (widget), id);
}

static void
export_all_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  export(ALLAVA_WINDOW (widget), 0);
}

void
allava_window_install_history_actions (GtkWidgetClass *widget_class)
{
  static const struct {
    const char *name;
    const char *parameter;
    GtkWidgetActionActivateFunc activate;
  } actions[] = {
      {"win.rename-conversation", NULL, rename_action},
      {"win.rename-conversation-id", "x", rename_action},
      {"win.export-conversation", NULL, export_action},
      {"win.export-conversation-id", "x", export_action},
      {"win.export-all", NULL, export_all_action},
      {"win.delete-conversation", NULL, delete_action},
      {"win.delete-conversation-id", "x", delete_action},
      {"win.delete-everything", NULL, delete_everything_action},
  };
  for (guint i = 0; i < G_N_ELEMENTS (actions); i++)
    gtk_widget_class_install_action (widget_class, actions[i].name, actions[i].parameter,
                                     actions[i].activate);
}
