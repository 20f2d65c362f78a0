#include "allava-preferences.h"

#include "allava-announcer.h"
#include "allava-model-finder.h"

#include <glib/gi18n.h>

struct _AllavaPreferences {
  AdwPreferencesWindow parent_instance;

  AdwActionRow *folder_row;
  AdwComboRow *device;
  AdwComboRow *dtype;
  AdwComboRow *announce;
  GtkWidget *threads;
  GtkWidget *idle_unload;
  GtkWidget *max_tokens;
  GtkWidget *temperature;
  GtkWidget *top_p;
  GtkWidget *seed;
  GtkWidget *text_scale;

  AllavaLibrary *library;
};

G_DEFINE_FINAL_TYPE (AllavaPreferences, allava_preferences, ADW_TYPE_PREFERENCES_WINDOW)

/* In the order of the rows' items. */
static const char *const devices[] = {"auto", "cpu", "cuda", NULL};
static const char *const dtypes[] = {"auto", "f32", "bf16", "f16", "q8", "q4", NULL};
static const char *const announcements[] = {"never", "done", "sentences", NULL};

/* A key's string to the row's position; "cuda:1" is the graphics card too. */
static gboolean
get_choice (GValue *value, GVariant *variant, gpointer choices)
{
  g_autofree char *name = g_strdup (g_variant_get_string (variant, NULL));
  strtok (name, ":");
  const char *const *all = choices;
  guint position = 0;
  for (guint i = 0; all[i]; i++)
    if (g_strcmp0 (all[i], name) == 0)
      position = i;
  g_value_set_uint (value, position);
  return TRUE;
}

static GVariant *
set_choice (const GValue *value, const GVariantType *type, gpointer choices)
{
  guint position = g_value_get_uint (value);
  const char *const *all = choices;
  return position < g_strv_length ((char **)all) ? g_variant_new_string (all[position]) : NULL;
}

static void
bind_choice (GSettings *settings, const char *key, AdwComboRow *row, const char *const *choices)
{
  g_settings_bind_with_mapping (settings, key, row, "selected", G_SETTINGS_BIND_DEFAULT, get_choice,
                                set_choice, (gpointer)choices, NULL);
}

static gboolean
get_seed (GValue *value, GVariant *variant, gpointer user_data)
{
  g_value_set_double (value, g_variant_get_int64 (variant));
  return TRUE;
}

static GVariant *
set_seed (const GValue *value, const GVariantType *type, gpointer user_data)
{
  return g_variant_new_int64 (g_value_get_double (value));
}

static void
bind_settings (AllavaPreferences *self, GSettings *settings)
{
  bind_choice (settings, "device", self->device, devices);
  bind_choice (settings, "dtype", self->dtype, dtypes);
  bind_choice (settings, "announce", self->announce, announcements);
  const struct {
    const char *key;
    GtkWidget *spin;
  } numbers[] = {
      {"threads", self->threads},       {"idle-unload", self->idle_unload},
      {"max-tokens", self->max_tokens}, {"temperature", self->temperature},
      {"top-p", self->top_p},           {"text-scale", self->text_scale},
  };
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    g_settings_bind (settings, numbers[i].key, numbers[i].spin, "value", G_SETTINGS_BIND_DEFAULT);
  g_settings_bind_with_mapping (settings, "seed", self->seed, "value", G_SETTINGS_BIND_DEFAULT,
                                get_seed, set_seed, NULL, NULL);
}

/* ---- The models folder ----------------------------------------------------------------------- */

static void
show_at_folder (AllavaPreferences *self, const char *text)
{
  g_autofree char *escaped = g_markup_escape_text (text, -1);
  adw_action_row_set_subtitle (self->folder_row, escaped);
}

static void
update_folder (AllavaPreferences *self)
{
  const char *folder =
      allava_settings_get_models_folder (allava_library_get_settings (self->library));
  g_autofree char *own =
      g_build_filename (allava_library_get_folder (self->library), "models", NULL);
  g_autofree char *shown = g_filename_display_name (*folder ? folder : own);
  show_at_folder (self, shown);
}

static void
set_folder (AllavaPreferences *self, const char *path)
{
  g_autoptr (GError) error = NULL;
  if (allava_model_finder_check_path (path, &error)) {
    g_object_set (allava_library_get_settings (self->library), "models-folder", path, NULL);
    return;
  }
  show_at_folder (self, error->message);
  allava_announcer_say (GTK_WIDGET (self->folder_row), error->message, error->message);
}

static void
folder_chosen_cb (GtkNativeDialog *dialog, int response, AllavaPreferences *self)
{
  g_autoptr (GFile) file = response == GTK_RESPONSE_ACCEPT
                               ? gtk_file_chooser_get_file (GTK_FILE_CHOOSER (dialog))
                               : NULL;
  if (file && g_file_peek_path (file))
    set_folder (self, g_file_peek_path (file));
  g_object_unref (dialog);
}

static void
folder_clicked_cb (AllavaPreferences *self)
{
  GtkFileChooserNative *dialog =
      gtk_file_chooser_native_new (_ ("Choose the Models Folder"), GTK_WINDOW (self),
                                   GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, _ ("_Choose"), NULL);
  gtk_native_dialog_set_modal (GTK_NATIVE_DIALOG (dialog), TRUE);
  g_signal_connect_object (dialog, "response", G_CALLBACK (folder_chosen_cb), self, 0);
  gtk_native_dialog_show (GTK_NATIVE_DIALOG (dialog));
}

/* ---- The window ------------------------------------------------------------------------------ */

static void
allava_preferences_dispose (GObject *object)
{
  g_clear_object (&ALLAVA_PREFERENCES (object)->library);
  G_OBJECT_CLASS (allava_preferences_parent_class)->dispose (object);
}

static void
allava_preferences_class_init (AllavaPreferencesClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = allava_preferences_dispose;
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/allava/Allava/allava-preferences.ui");
  gtk_widget_class_bind_template_child (widget_class, AllavaPreferences, folder_row);
  gtk_widget_class_bind_template_child (widget_class, AllavaPreferences, device);
  gtk_widget_class_bind_template_child (widget_class, AllavaPreferences, dtype);
  gtk_widget_class_bind_template_child (widget_class, AllavaPreferences, announce);
  gtk_widget_class_bind_template_child (widget_class, AllavaPreferences, threads);
  gtk_widget_class_bind_template_child (widget_class, AllavaPreferences, idle_unload);
  gtk_widget_class_bind_template_child (widget_class, AllavaPreferences, max_tokens);
  gtk_widget_class_bind_template_child (widget_class, AllavaPreferences, temperature);
  gtk_widget_class_bind_template_child (widget_class, AllavaPreferences, top_p);
  gtk_widget_class_bind_template_child (widget_class, AllavaPreferences, seed);
  gtk_widget_class_bind_template_child (widget_class, AllavaPreferences, text_scale);
  gtk_widget_class_bind_template_callback (widget_class, folder_clicked_cb);
}

static void
allava_preferences_init (AllavaPreferences *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}

GtkWindow *
allava_preferences_new (AllavaApplication *application, AllavaLibrary *library)
{
  g_return_val_if_fail (ALLAVA_IS_APPLICATION (application), NULL);
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (library), NULL);

  AllavaPreferences *self = g_object_new (ALLAVA_TYPE_PREFERENCES, NULL);
  self->library = g_object_ref (library);
  bind_settings (self, allava_application_get_gsettings (application));
  g_signal_connect_object (allava_library_get_settings (library), "notify::models-folder",
                           G_CALLBACK (update_folder), self, G_CONNECT_SWAPPED);
  update_folder (self);
  return GTK_WINDOW (self);
}
