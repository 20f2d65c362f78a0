#include "allava-model-button.h"

#include "allava-announcer.h"
#include "allava-demo-note.h"
#include "allava-model-finder.h"

#include <glib/gi18n.h>

struct _AllavaModelButton {
  GtkWidget parent_instance;

  GtkMenuButton *button;
  GtkLabel *label;
  GtkPopover *popover;
  GtkLabel *device;
  AllavaDemoNote *demo_note;
  GtkBox *models;
  GtkLabel *error;

  AllavaApplication *application; /* borrowed: it outlives its windows */
  AllavaLibrary *library;
  GCancellable *cancellable;
};

G_DEFINE_FINAL_TYPE (AllavaModelButton, allava_model_button, GTK_TYPE_WIDGET)

static AllavaGenerator *
get_generator (AllavaModelButton *self)
{
  return allava_library_get_generator (self->library);
}

/* ---- The current model ----------------------------------------------------------------------- */

static void
update (AllavaModelButton *self)
{
  AllavaGenerator *generator = get_generator (self);
  const char *name = allava_generator_get_model_name (generator);
  const char *device = allava_generator_get_device (generator);
  const char *dtype = allava_generator_get_dtype (generator);
  const char *note = allava_generator_get_device_note (generator);
  g_autoptr (GString) text = g_string_new (NULL);
  if (device)
    /* Translators: "cpu", "bf16" */
    g_string_append_printf (text, _ ("Runs on: %s, %s."), device, dtype ? dtype : "");
  else
    g_string_append (text, _ ("Not loaded."));
  if (note)
    g_string_append_printf (text, " %s.", note);

  gtk_label_set_text (self->label, name ? name : _ ("No Model"));
  gtk_label_set_text (self->device, text->str);
  g_autofree char *spoken =
      g_strdup_printf (_ ("Model: %s. %s"), name ? name : _ ("none"), text->str);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self->button), GTK_ACCESSIBLE_PROPERTY_LABEL,
                                  spoken, -1);
}

/* ---- The choice ------------------------------------------------------------------------------ */

/* A radio button without others could be switched off. */
static gboolean
is_alone (GtkCheckButton *check)
{
  GtkWidget *widget = GTK_WIDGET (check);
  return !gtk_widget_get_prev_sibling (widget) && !gtk_widget_get_next_sibling (widget);
}

static void
toggled_cb (GtkCheckButton *check, AllavaModelButton *self)
{
  const char *path = g_object_get_data (G_OBJECT (check), "path");
  gboolean current = g_strcmp0 (path, allava_generator_get_model_path (get_generator (self))) == 0;
  if (current && is_alone (check))
    gtk_check_button_set_active (check, TRUE);
  if (current || !gtk_check_button_get_active (check))
    return;
  gtk_popover_popdown (self->popover);
  allava_application_choose_model (self->application, path);
}

static void
add_choice (AllavaModelButton *self, const char *path, const char *name, const char *detail)
{
  GtkWidget *first = gtk_widget_get_first_child (GTK_WIDGET (self->models));
  g_autofree char *text = detail ? g_strdup_printf ("%s (%s)", name, detail) : g_strdup (name);
  GtkWidget *check = g_object_new (GTK_TYPE_CHECK_BUTTON, "label", text, "accessible-role",
                                   GTK_ACCESSIBLE_ROLE_RADIO, NULL);
  gtk_widget_set_tooltip_text (check, path);
  g_object_set_data_full (G_OBJECT (check), "path", g_strdup (path), g_free);
  if (first)
    gtk_check_button_set_group (GTK_CHECK_BUTTON (check), GTK_CHECK_BUTTON (first));
  gtk_check_button_set_active (
      GTK_CHECK_BUTTON (check),
      g_strcmp0 (path, allava_generator_get_model_path (get_generator (self))) == 0);
  g_signal_connect_object (check, "toggled", G_CALLBACK (toggled_cb), self, 0);
  gtk_box_append (self->models, check);
}

/* The arrow keys pass over models: GTK's radio buttons would choose, and load, each on the way. */
static gboolean
key_pressed_cb (GtkEventControllerKey *keys,
                guint key,
                guint code G_GNUC_UNUSED,
                GdkModifierType modifiers G_GNUC_UNUSED,
                AllavaModelButton *self)
{
  gboolean is_up = key == GDK_KEY_Up || key == GDK_KEY_KP_Up;
  if (!is_up && key != GDK_KEY_Down && key != GDK_KEY_KP_Down)
    return GDK_EVENT_PROPAGATE;
  GtkWidget *focus = gtk_widget_get_focus_child (GTK_WIDGET (self->models));
  GtkWidget *next =
      is_up ? gtk_widget_get_prev_sibling (focus) : gtk_widget_get_next_sibling (focus);
  if (next)
    gtk_widget_grab_focus (next);
  else
    gtk_widget_error_bell (gtk_event_controller_get_widget (GTK_EVENT_CONTROLLER (keys)));
  return GDK_EVENT_STOP;
}

/* The menu is entered at the model in use. */
static void
focus_choice (AllavaModelButton *self)
{
  GtkWidget *child = gtk_widget_get_first_child (GTK_WIDGET (self->models));
  while (child && !gtk_check_button_get_active (GTK_CHECK_BUTTON (child)))
    child = gtk_widget_get_next_sibling (child);
  if (child && gtk_widget_get_mapped (child))
    gtk_widget_grab_focus (child);
}

static void
show_models (AllavaModelButton *self, GListModel *models)
{
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self->models))))
    gtk_box_remove (self->models, child);
  for (guint i = 0; i < g_list_model_get_n_items (models); i++) {
    g_autoptr (AllavaModelEntry) entry = g_list_model_get_item (models, i);
    const char *path = allava_model_entry_get_path (entry);
    g_autofree char *size = g_format_size (allava_model_entry_get_size (entry));
    add_choice (self, path, allava_model_entry_get_name (entry), size);
  }
  focus_choice (self);
}

static void
found_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaModelButton) self = user_data;
  g_autoptr (GListModel) models = allava_model_finder_find_finish (result, NULL);
  if (models && self->library)
    show_models (self, models);
}

/* Where models may be: the bundled one, the models folder, what was added, what is in use. */
static GStrv
dup_folders (AllavaModelButton *self)
{
  AllavaSettings *settings = allava_library_get_settings (self->library);
  g_autoptr (GStrvBuilder) folders = g_strv_builder_new ();
  g_autofree char *folder = allava_library_dup_models_folder (self->library);
  g_strv_builder_add (folders, allava_application_get_bundled_model (self->application));
  g_strv_builder_add (folders, folder);
  g_strv_builder_addv (folders, (const char **)allava_settings_get_added_models (settings));
  const char *current = allava_generator_get_model_path (get_generator (self));
  if (current)
    g_strv_builder_add (folders, current);
  return g_strv_builder_end (folders);
}

static void
shown_cb (AllavaModelButton *self)
{
  g_auto (GStrv) folders = dup_folders (self);
  g_autofree char *hub = allava_model_finder_dup_hub ();
  allava_model_finder_find_async ((const char *const *)folders, hub, self->cancellable, found_cb,
                                  g_object_ref (self));
}

/* ---- Adding a folder ------------------------------------------------------------------------- */

static void
show_error (AllavaModelButton *self, const char *message)
{
  gtk_label_set_text (self->error, message ? message : "");
  gtk_widget_set_visible (GTK_WIDGET (self->error), message != NULL);
}

/* It is told once. */
static void
closed_cb (AllavaModelButton *self)
{
  show_error (self, NULL);
}

static void
add_folder (AllavaModelButton *self, const char *path)
{
  g_autoptr (GError) error = NULL;
  if (!allava_model_finder_check (path, &error)) {
    show_error (self, error->message);
    gtk_menu_button_popup (self->button);
    allava_announcer_say (GTK_WIDGET (self->button), error->message, NULL);
    return;
  }
  AllavaSettings *settings = allava_library_get_settings (self->library);
  const char *const *added = allava_settings_get_added_models (settings);
  if (!g_strv_contains (added, path)) {
    g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
    g_strv_builder_addv (builder, (const char **)added);
    g_strv_builder_add (builder, path);
    g_auto (GStrv) all = g_strv_builder_end (builder);
    g_object_set (settings, "added-models", all, NULL);
  }
  show_error (self, NULL);
  allava_application_choose_model (self->application, path);
}

static void
chosen_cb (GtkNativeDialog *dialog, int response, AllavaModelButton *self)
{
  g_autoptr (GFile) file = response == GTK_RESPONSE_ACCEPT
                               ? gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog))
                               : NULL;
  if (file && g_file_peek_path (file))
    add_folder (self, g_file_peek_path (file));
  g_object_unref (dialog);
}

static void
add_clicked_cb (AllavaModelButton *self)
{
  gtk_popover_popdown (self->popover);
  GtkFileChooserNative *dialog = gtk_file_chooser_native_new (
      _ ("Add a Model’s Folder"), GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
      GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _ ("_Add"), NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (dialog), TRUE);
  g_signal_connect_object (dialog, "response", G_CALLBACK (chosen_cb), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}

/* ---- The widget ------------------------------------------------------------------------------ */

void
allava_model_button_set_library (AllavaModelButton *self,
                                 AllavaApplication *application,
                                 AllavaLibrary *library)
{
  g_return_if_fail (ALLAVA_IS_MODEL_BUTTON (self));
  g_return_if_fail (ALLAVA_IS_LIBRARY (library));

  self->application = application;
  g_set_object (&self->library, library);
  allava_demo_note_set_library (self->demo_note, library);
  static const char *const properties[] = {"notify::model-name", "notify::model-path",
                                           "notify::device", "notify::dtype",
                                           "notify::device-note"};
  for (guint i = 0; i < G_N_ELEMENTS (properties); i++)
    g_signal_connect_object (get_generator (self), properties[i], G_CALLBACK (update), self,
                             G_CONNECT_SWAPPED);
  update (self);
}

void
allava_model_button_popup (AllavaModelButton *self)
{
  g_return_if_fail (ALLAVA_IS_MODEL_BUTTON (self));
  gtk_menu_button_popup (self->button);
}

static void
allava_model_button_dispose (GObject *object)
{
  AllavaModelButton *self = ALLAVA_MODEL_BUTTON (object);
  g_cancellable_cancel (self->cancellable);
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child (GTK_WIDGET (self))))
    gtk_widget_unparent (child);
  g_clear_object (&self->library);
  G_OBJECT_CLASS (allava_model_button_parent_class)->dispose (object);
}

static void
allava_model_button_finalize (GObject *object)
{
  g_object_unref (ALLAVA_MODEL_BUTTON (object)->cancellable);
  G_OBJECT_CLASS (allava_model_button_parent_class)->finalize (object);
}

static void
allava_model_button_class_init (AllavaModelButtonClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = allava_model_button_dispose;
  G_OBJECT_CLASS (klass)->finalize = allava_model_button_finalize;
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  g_type_ensure (ALLAVA_TYPE_DEMO_NOTE);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/allava/Allava/allava-model-button.ui");
  gtk_widget_class_bind_template_child (widget_class, AllavaModelButton, button);
  gtk_widget_class_bind_template_child (widget_class, AllavaModelButton, label);
  gtk_widget_class_bind_template_child (widget_class, AllavaModelButton, popover);
  gtk_widget_class_bind_template_child (widget_class, AllavaModelButton, device);
  gtk_widget_class_bind_template_child (widget_class, AllavaModelButton, demo_note);
  gtk_widget_class_bind_template_child (widget_class, AllavaModelButton, models);
  gtk_widget_class_bind_template_child (widget_class, AllavaModelButton, error);
  gtk_widget_class_bind_template_callback (widget_class, shown_cb);
  gtk_widget_class_bind_template_callback (widget_class, closed_cb);
  gtk_widget_class_bind_template_callback (widget_class, key_pressed_cb);
  gtk_widget_class_bind_template_callback (widget_class, add_clicked_cb);
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
allava_model_button_init (AllavaModelButton *self)
{
  self->cancellable = g_cancellable_new ();
  gtk_widget_init_template (GTK_WIDGET (self));
}
