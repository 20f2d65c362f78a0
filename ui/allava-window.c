#include "allava-window.h"

#include "allava-announcer.h"
#include "allava-chat-view.h"
#include "allava-image-input.h"
#include "allava-image-viewer.h"
#include "allava-model-button.h"
#include "allava-sidebar.h"
#include "allava-window-history.h"

#include <glib/gi18n.h>

/* Long enough to find the button by keyboard and ear. */
#define UNDO_SECONDS 20

struct _AllavaWindow {
  AdwApplicationWindow parent_instance;

  AdwToastOverlay *toasts;
  AdwToast *toast; /* weak: the last one */
  GtkWidget *overlay;
  AdwLeaflet *leaflet;
  AllavaSidebar *sidebar;
  GtkWidget *content;
  GtkWidget *back_button;
  AllavaModelButton *model_button;
  AllavaChatView *chat;
  GtkWidget *drop_place;

  AllavaApplication *application; /* borrowed: it outlives its windows */
  AllavaLibrary *library;
  AllavaConversation *conversation;
  GSignalGroup *conversation_signals;
  gboolean history_failed; /* to open */
  gboolean title_is_due;   /* to be announced, as soon as it is read */
  guint n_exports;         /* under way */
  GCancellable *exporting;
  gboolean close_is_due; /* when they have ended */
  gboolean warned;       /* of what is lost when it closes, since something was saved last */
};

G_DEFINE_FINAL_TYPE (AllavaWindow, allava_window, ADW_TYPE_APPLICATION_WINDOW)

static AllavaComposer *
get_composer (AllavaWindow *self)
{
  return allava_chat_view_get_composer (self->chat);
}

AllavaLibrary *
allava_window_get_library (AllavaWindow *self)
{
  g_return_val_if_fail (ALLAVA_IS_WINDOW (self), NULL);
  return self->library;
}

AllavaConversation *
allava_window_get_conversation (AllavaWindow *self)
{
  g_return_val_if_fail (ALLAVA_IS_WINDOW (self), NULL);
  return self->conversation;
}

static void
say (AllavaWindow *self, const char *message)
{
  allava_announcer_say (allava_composer_get_entry (get_composer (self)), message, message);
}

/* ---- Words at the foot ----------------------------------------------------------------------- */

/* libadwaita 1.2 leaves a toast's close button without a name. */
static void
name_close_button (GtkWidget *widget)
{
  if (GTK_IS_BUTTON (widget) &&
      g_strcmp0 (gtk_button_get_icon_name (GTK_BUTTON (widget)), "window-close-symbolic") == 0)
    gtk_accessible_update_property (GTK_ACCESSIBLE (widget), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                    _ ("Close"), -1);
  for (GtkWidget *child = gtk_widget_get_first_child (widget); child;
       child = gtk_widget_get_next_sibling (child))
    name_close_button (child);
}

static AdwToast *
toast_new (const char *title)
{
  g_autofree char *escaped = g_markup_escape_text (title, -1);
  return adw_toast_new (escaped);
}

/* The button that has the focus goes away with its toast. */
static void
dismissed_cb (AllavaWindow *self)
{
  GtkWidget *focus = gtk_window_get_focus (GTK_WINDOW (self));
  if (!focus || !gtk_widget_is_ancestor (focus, GTK_WIDGET (self->toasts)) ||
      gtk_widget_is_ancestor (focus, self->overlay))
    return;
  if (gtk_widget_get_mapped (self->content))
    allava_chat_view_focus_entry (self->chat);
  else
    allava_sidebar_focus_list (self->sidebar);
}

/* One at a time: none waits for what an older one says. */
static void
add_toast (AllavaWindow *self, AdwToast *toast, const char *title)
{
  if (self->toast)
    adw_toast_dismiss (self->toast);
  g_set_weak_pointer (&self->toast, toast);
  g_signal_connect_object (toast, "dismissed", G_CALLBACK (dismissed_cb), self, G_CONNECT_SWAPPED);
  adw_toast_overlay_add_toast (self->toasts, toast);
  GtkWidget *shown = gtk_widget_get_last_child (GTK_WIDGET (self->toasts));
  if (shown != self->overlay)
    name_close_button (shown);
  say (self, title);
}

void
allava_window_toast (AllavaWindow *self, const char *title)
{
  g_return_if_fail (ALLAVA_IS_WINDOW (self));
  add_toast (self, toast_new (title), title);
}

static void
unref_closure_data (gpointer object, GClosure *closure)
{
  g_object_unref (object);
}

void
allava_window_offer_undo (AllavaWindow *self,
                          const char *title,
                          GCallback callback,
                          GObject *object)
{
  g_return_if_fail (ALLAVA_IS_WINDOW (self));
  AdwToast *toast = toast_new (title);
  adw_toast_set_button_label (toast, _ ("Undo"));
  adw_toast_set_timeout (toast, UNDO_SECONDS);
  g_signal_connect_data (toast, "button-clicked", callback, g_object_ref (object),
                         unref_closure_data, G_CONNECT_SWAPPED);
  add_toast (self, toast, title);
}

void
allava_window_withdraw_undo (AllavaWindow *self, GObject *object)
{
  g_return_if_fail (ALLAVA_IS_WINDOW (self));
  if (self->toast &&
      g_signal_handler_find (self->toast, G_SIGNAL_MATCH_DATA, 0, 0, NULL, NULL, object))
    adw_toast_dismiss (self->toast);
}

void
allava_window_show_error (AllavaWindow *self, const GError *error)
{
  g_return_if_fail (ALLAVA_IS_WINDOW (self));
  adw_leaflet_set_visible_child (self->leaflet, self->content);
  allava_composer_show_error (get_composer (self), error->message);
}

static void
history_failed_cb (AllavaWindow *self, const GError *error)
{
  allava_composer_show_error (get_composer (self), error->message);
}

static void
history_changed_cb (AllavaWindow *self)
{
  self->warned = FALSE;
}

/* At the composer too: the side bar says nothing, and is out of sight in a narrow window. */
void
allava_window_show_history_error (AllavaWindow *self, const GError *error)
{
  g_return_if_fail (ALLAVA_IS_WINDOW (self));
  allava_sidebar_show_error (self->sidebar, error ? error->message : NULL);
  if (error)
    allava_composer_show_error (get_composer (self), error->message);
  else if (self->history_failed)
    allava_composer_show_error (get_composer (self), NULL);
  self->history_failed = error != NULL;
}

/* ---- Conversations --------------------------------------------------------------------------- */

static void
announce_title (AllavaWindow *self)
{
  const char *title = allava_conversation_get_title (self->conversation);
  self->title_is_due = !*title;
  if (*title)
    say (self, title);
}

static void
conversation_changed_cb (AllavaWindow *self)
{
  gint64 id = allava_conversation_get_id (self->conversation);
  const char *title = allava_conversation_get_title (self->conversation);
  GtkWidget *widget = GTK_WIDGET (self);
  g_autofree char *full =
      title && *title ? g_strdup_printf ("%s — %s", title, _ ("Allava")) : g_strdup (_ ("Allava"));
  gtk_window_set_title (GTK_WINDOW (self), full);
  allava_sidebar_select (self->sidebar, id);
  gtk_widget_action_set_enabled (widget, "win.rename-conversation", id != 0);
  gtk_widget_action_set_enabled (widget, "win.export-conversation", id != 0);
  gtk_widget_action_set_enabled (widget, "win.delete-conversation", id != 0);
  if (self->title_is_due)
    announce_title (self);
}

void
allava_window_show_conversation (AllavaWindow *self, AllavaConversation *conversation)
{
  g_return_if_fail (ALLAVA_IS_WINDOW (self));
  g_return_if_fail (ALLAVA_IS_CONVERSATION (conversation));

  self->title_is_due = FALSE;
  g_set_object (&self->conversation, conversation);
  g_signal_group_set_target (self->conversation_signals, conversation);
  allava_chat_view_set_conversation (self->chat, conversation);
  conversation_changed_cb (self);
  adw_leaflet_set_visible_child (self->leaflet, self->content);
}

void
allava_window_show_new_conversation (AllavaWindow *self)
{
  g_return_if_fail (ALLAVA_IS_WINDOW (self));
  g_autoptr (AllavaConversation) conversation = allava_library_new_conversation (self->library);
  allava_window_show_conversation (self, conversation);
}

static void
opened_cb (AllavaWindow *self, gint64 id, gint64 hit)
{
  g_autoptr (AllavaConversation) conversation = allava_library_dup_conversation (self->library, id);
  if (hit)
    allava_conversation_show_message (conversation, hit);
  allava_window_show_conversation (self, conversation);
  allava_chat_view_focus_entry (self->chat);
  announce_title (self);
}

void
allava_window_view_image (AllavaWindow *self, AllavaImage *image)
{
  g_return_if_fail (ALLAVA_IS_WINDOW (self));
  gtk_window_present (allava_image_viewer_new (self->library, image, GTK_WINDOW (self)));
}

void
allava_window_add_files (AllavaWindow *self, GFile **files, int n_files)
{
  g_return_if_fail (ALLAVA_IS_WINDOW (self));
  adw_leaflet_set_visible_child (self->leaflet, self->content);
  g_autoptr (GListStore) store = g_list_store_new (G_TYPE_FILE);
  g_list_store_splice (store, 0, 0, (gpointer *)files, (guint)n_files);
  allava_composer_add_files (get_composer (self), G_LIST_MODEL (store));
  allava_chat_view_focus_entry (self->chat);
}

void
allava_window_remove_images (AllavaWindow *self)
{
  g_return_if_fail (ALLAVA_IS_WINDOW (self));
  allava_composer_remove_images (get_composer (self));
}

/* ---- Exports --------------------------------------------------------------------------------- */

GCancellable *
allava_window_begin_export (AllavaWindow *self)
{
  g_return_val_if_fail (ALLAVA_IS_WINDOW (self), NULL);
  g_application_hold (G_APPLICATION (self->application));
  self->n_exports++;
  return self->exporting;
}

void
allava_window_end_export (AllavaWindow *self, gboolean whole)
{
  g_return_if_fail (ALLAVA_IS_WINDOW (self));
  g_return_if_fail (self->n_exports > 0);
  self->n_exports--;
  self->close_is_due &= whole; /* what went wrong is to be read */
  if (self->close_is_due && self->n_exports == 0)
    gtk_window_close (GTK_WINDOW (self));
  g_application_release (G_APPLICATION (self->application));
}

/* ---- Actions --------------------------------------------------------------------------------- */

static void
new_conversation_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaWindow *self = ALLAVA_WINDOW (widget);
  allava_composer_cancel_reading (get_composer (self));
  allava_window_show_new_conversation (self);
  allava_chat_view_focus_entry (self->chat);
  say (self, _ ("New Conversation"));
}

static void
open_images_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  allava_image_input_open (GTK_WINDOW (widget), get_composer (ALLAVA_WINDOW (widget)));
}

static void
search_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaWindow *self = ALLAVA_WINDOW (widget);
  adw_leaflet_set_visible_child (self->leaflet, GTK_WIDGET (self->sidebar));
  allava_sidebar_start_search (self->sidebar);
}

static void
show_sidebar_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaWindow *self = ALLAVA_WINDOW (widget);
  adw_leaflet_set_visible_child (self->leaflet, GTK_WIDGET (self->sidebar));
  allava_sidebar_focus_list (self->sidebar);
}

static void
focus_entry_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaWindow *self = ALLAVA_WINDOW (widget);
  adw_leaflet_set_visible_child (self->leaflet, self->content);
  allava_chat_view_focus_entry (self->chat);
}

static void
focus_messages_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaWindow *self = ALLAVA_WINDOW (widget);
  adw_leaflet_set_visible_child (self->leaflet, self->content);
  allava_chat_view_focus_messages (self->chat);
}

static void
choose_model_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaWindow *self = ALLAVA_WINDOW (widget);
  adw_leaflet_set_visible_child (self->leaflet, self->content);
  allava_model_button_popup (self->model_button);
}

static void
reload_model_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaWindow *self = ALLAVA_WINDOW (widget);
  const char *model = allava_settings_get_model (allava_library_get_settings (self->library));
  g_autofree char *path = g_strdup (model);
  allava_application_choose_model (self->application, path);
}

/* Made when it is wanted: GTK 4.8 crashes where an assistive technology asks for a window that has
 * just gone, if the application holds one that is hidden. */
static void
show_shortcuts_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  g_autoptr (GtkBuilder) builder =
      gtk_builder_new_from_resource ("/org/allava/Allava/allava-shortcuts.ui");
  GtkWindow *shortcuts = GTK_WINDOW (gtk_builder_get_object (builder, "shortcuts"));
  /* This fills in the keys. */
  gtk_application_window_set_help_overlay (GTK_APPLICATION_WINDOW (widget),
                                           GTK_SHORTCUTS_WINDOW (shortcuts));
  gtk_window_set_hide_on_close (shortcuts, FALSE);
  gtk_window_present (shortcuts);
}

static void
stop_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaWindow *self = ALLAVA_WINDOW (widget);
  if (allava_conversation_get_busy (self->conversation))
    allava_conversation_stop (self->conversation);
  else
    allava_composer_cancel_edit (get_composer (self));
}

static void
paste_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaWindow *self = ALLAVA_WINDOW (widget);
  GtkWidget *entry = allava_composer_get_entry (get_composer (self));
  gtk_widget_grab_focus (entry);
  g_signal_emit_by_name (entry, "paste-clipboard");
}

/* Images and files are for the composer; text is left to the entry. */
static void
paste_clipboard_cb (GtkTextView *entry, AllavaWindow *self)
{
  if (allava_image_input_paste (gtk_widget_get_clipboard (GTK_WIDGET (self)), get_composer (self)))
    g_signal_stop_emission_by_name (entry, "paste-clipboard");
}

/* ---- The window ------------------------------------------------------------------------------ */

static void
folded_changed_cb (AllavaWindow *self)
{
  gboolean folded = adw_leaflet_get_folded (self->leaflet);
  gtk_widget_set_visible (self->back_button, folded);
  allava_sidebar_set_title_buttons (self->sidebar, folded);
}

/* Somebody who comes back may do so on another day. */
static void
is_active_changed_cb (AllavaWindow *self)
{
  if (gtk_window_is_active (GTK_WINDOW (self)))
    allava_conversation_list_update_sections (allava_library_get_list (self->library));
}

/* Where it says FALSE it has told why, and says TRUE the next time. */
static gboolean
may_close (AllavaWindow *self)
{
  if (allava_application_get_terminated (self->application))
    return TRUE;
  if (self->n_exports > 0 && !self->close_is_due) {
    self->close_is_due = TRUE;
    allava_window_toast (self, _ ("The window closes as soon as the export is done"));
    return FALSE;
  }
  if (allava_library_has_failed (self->library) && !self->warned) {
    self->warned = TRUE;
    adw_leaflet_set_visible_child (self->leaflet, self->content);
    allava_composer_show_error (get_composer (self),
                                _ ("Some messages could not be saved. If you close the window "
                                   "again, they may be lost."));
    return FALSE;
  }
  return TRUE;
}

static gboolean
allava_window_close_request (GtkWindow *window)
{
  AllavaWindow *self = ALLAVA_WINDOW (window);
  if (!may_close (self))
    return GDK_EVENT_STOP;
  GSettings *settings = allava_application_get_gsettings (self->application);
  int width, height;
  gtk_window_get_default_size (window, &width, &height);
  g_settings_set_int (settings, "window-width", width);
  g_settings_set_int (settings, "window-height", height);
  g_settings_set_boolean (settings, "window-maximized", gtk_window_is_maximized (window));
  return GTK_WINDOW_CLASS (allava_window_parent_class)->close_request (window);
}

static void
allava_window_dispose (GObject *object)
{
  AllavaWindow *self = ALLAVA_WINDOW (object);
  g_cancellable_cancel (self->exporting);
  g_clear_weak_pointer (&self->toast);
  g_clear_object (&self->conversation_signals);
  g_clear_object (&self->conversation);
  g_clear_object (&self->library);
  G_OBJECT_CLASS (allava_window_parent_class)->dispose (object);
}

static void
allava_window_finalize (GObject *object)
{
  g_object_unref (ALLAVA_WINDOW (object)->exporting);
  G_OBJECT_CLASS (allava_window_parent_class)->finalize (object);
}

static void
install_actions (GtkWidgetClass *widget_class)
{
  static const struct {
    const char *name;
    GtkWidgetActionActivateFunc activate;
  } actions[] = {
      {"win.new-conversation", new_conversation_action},
      {"win.open-images", open_images_action},
      {"win.search", search_action},
      {"win.show-sidebar", show_sidebar_action},
      {"win.focus-entry", focus_entry_action},
      {"win.focus-messages", focus_messages_action},
      {"win.choose-model", choose_model_action},
      {"win.reload-model", reload_model_action},
      {"win.show-shortcuts", show_shortcuts_action},
      {"win.stop", stop_action},
      {"win.paste", paste_action},
  };
  for (guint i = 0; i < G_N_ELEMENTS (actions); i++)
    gtk_widget_class_install_action (widget_class, actions[i].name, NULL, actions[i].activate);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_Escape, 0, "win.stop", NULL);
  gtk_widget_class_add_binding_action (widget_class, GDK_KEY_v, GDK_CONTROL_MASK, "win.paste",
                                       NULL);
  allava_window_install_history_actions (widget_class);
}

static void
allava_window_class_init (AllavaWindowClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = allava_window_dispose;
  G_OBJECT_CLASS (klass)->finalize = allava_window_finalize;
  GTK_WINDOW_CLASS (klass)->close_request = allava_window_close_request;

  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  g_type_ensure (ALLAVA_TYPE_SIDEBAR);
  g_type_ensure (ALLAVA_TYPE_MODEL_BUTTON);
  g_type_ensure (ALLAVA_TYPE_CHAT_VIEW);
  gtk_widget_class_set_template_from_resource (widget_class, "/org/allava/Allava/allava-window.ui");
  gtk_widget_class_bind_template_child (widget_class, AllavaWindow, toasts);
  gtk_widget_class_bind_template_child (widget_class, AllavaWindow, overlay);
  gtk_widget_class_bind_template_child (widget_class, AllavaWindow, leaflet);
  gtk_widget_class_bind_template_child (widget_class, AllavaWindow, sidebar);
  gtk_widget_class_bind_template_child (widget_class, AllavaWindow, content);
  gtk_widget_class_bind_template_child (widget_class, AllavaWindow, back_button);
  gtk_widget_class_bind_template_child (widget_class, AllavaWindow, model_button);
  gtk_widget_class_bind_template_child (widget_class, AllavaWindow, chat);
  gtk_widget_class_bind_template_child (widget_class, AllavaWindow, drop_place);
  gtk_widget_class_bind_template_callback (widget_class, folded_changed_cb);
  install_actions (widget_class);
}

static void
allava_window_init (AllavaWindow *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  self->exporting = g_cancellable_new ();
  self->conversation_signals = g_signal_group_new (ALLAVA_TYPE_CONVERSATION);
  g_signal_group_connect_swapped (self->conversation_signals, "notify::id",
                                  G_CALLBACK (conversation_changed_cb), self);
  g_signal_group_connect_swapped (self->conversation_signals, "notify::title",
                                  G_CALLBACK (conversation_changed_cb), self);
  g_signal_connect_object (self->sidebar, "opened", G_CALLBACK (opened_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (allava_composer_get_entry (get_composer (self)), "paste-clipboard",
                           G_CALLBACK (paste_clipboard_cb), self, 0);
  allava_image_input_add_drop_target (self->overlay, self->drop_place, get_composer (self));
  folded_changed_cb (self);
}

AllavaWindow *
allava_window_new (AllavaApplication *application, AllavaLibrary *library)
{
  g_return_val_if_fail (ALLAVA_IS_APPLICATION (application), NULL);
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (library), NULL);

  AllavaWindow *self = g_object_new (ALLAVA_TYPE_WINDOW, "application", application, NULL);
  GSettings *settings = allava_application_get_gsettings (application);
  self->application = application;
  self->library = g_object_ref (library);
  gtk_window_set_default_size (GTK_WINDOW (self), g_settings_get_int (settings, "window-width"),
                               g_settings_get_int (settings, "window-height"));
  if (g_settings_get_boolean (settings, "window-maximized"))
    gtk_window_maximize (GTK_WINDOW (self));

  allava_sidebar_set_library (self->sidebar, library);
  allava_model_button_set_library (self->model_button, application, library);
  allava_chat_view_set_library (self->chat, library);
  g_signal_connect (self, "notify::is-active", G_CALLBACK (is_active_changed_cb), NULL);
  g_signal_connect_object (allava_library_get_history (library), "failed",
                           G_CALLBACK (history_failed_cb), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (allava_library_get_history (library), "changed",
                           G_CALLBACK (history_changed_cb), self, G_CONNECT_SWAPPED);
  allava_window_show_new_conversation (self);
  allava_chat_view_focus_entry (self->chat);
  return self;
}
