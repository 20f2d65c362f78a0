#include "allava-application.h"

#include "allava-preferences.h"
#include "allava-window.h"
#include "ui-config.h"

#include <glib-unix.h>
#include <glib/gi18n.h>
#include <locale.h>
#include <unistd.h>

/* So long may saving what there is take, when the program is told to end. */
#define TERMINATION_SECONDS 5

struct _AllavaApplication {
  AdwApplication parent_instance;

  const AllavaGeneratorBackend *backend;
  GSettings *gsettings;
  AllavaSettings *settings;
  AllavaLibrary *library;
  GtkCssProvider *text_size;
  const char *bundled_model;
  GError *history_error; /* why there is no history, or NULL */
  gboolean terminated;
  gboolean closing;   /* the library: what is to be opened waits for its end */
  gboolean closed;    /* the library; the next window gets another one */
  GPtrArray *waiting; /* GFile, for the window that waits; or NULL: none does */
};

G_DEFINE_FINAL_TYPE (AllavaApplication, allava_application, ADW_TYPE_APPLICATION)

static const GOptionEntry options[] = {
    {"new-conversation", 0, 0, G_OPTION_ARG_NONE, NULL, N_ ("Start a new conversation"), NULL},
    {"version", 0, 0, G_OPTION_ARG_NONE, NULL, N_ ("Show the version"), NULL},
    {NULL},
};

/* A program that lies in the build tree takes the model and the translations of the trees. */
static gboolean
is_uninstalled (void)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  return program && g_str_has_prefix (program, ALLAVA_BUILD_DIR "/");
}

static AllavaWindow *
get_window (AllavaApplication *self)
{
  GtkWindow *window = NULL;
  for (GList *l = gtk_application_get_windows (GTK_APPLICATION (self)); l; l = l->next)
    if (ALLAVA_IS_WINDOW (l->data))
      window = l->data;
  return window ? ALLAVA_WINDOW (window) : NULL;
}

static void
opened_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaApplication) self = user_data;
  g_clear_error (&self->history_error);
  allava_library_open_finish (self->library, result, &self->history_error);
  AllavaWindow *window = get_window (self);
  if (window)
    allava_window_show_history_error (window, self->history_error);
}

static void
open_history (AllavaApplication *self)
{
  allava_library_open_async (self->library, opened_cb, g_object_ref (self));
}

static void
open_library (AllavaApplication *self)
{
  g_autofree char *folder = allava_library_dup_default_folder ();
  g_clear_object (&self->library);
  self->library = allava_library_new (folder, self->settings, self->backend);
  self->closed = FALSE;
  g_clear_error (&self->history_error);
  open_history (self);
  const char *model = allava_settings_get_model (self->settings);
  allava_generator_load (allava_library_get_generator (self->library),
                         *model ? model : self->bundled_model);
}

static AllavaWindow *
present_window (AllavaApplication *self)
{
  AllavaWindow *window = get_window (self);
  if (!window) {
    if (self->closed)
      open_library (self);
    window = allava_window_new (self, self->library);
    allava_window_show_history_error (window, self->history_error);
  }
  gtk_window_present (GTK_WINDOW (window));
  return window;
}

/* A window with FILES; while the library is being closed, as soon as that is done. */
static void
open_window (AllavaApplication *self, GFile **files, int n_files)
{
  if (self->closing) {
    if (!self->waiting)
      self->waiting = g_ptr_array_new_with_free_func (g_object_unref);
    for (int i = 0; i < n_files; i++)
      g_ptr_array_add (self->waiting, g_object_ref (files[i]));
    return;
  }
  AllavaWindow *window = present_window (self);
  if (n_files > 0)
    allava_window_add_files (window, files, n_files);
}

/* ---- Actions --------------------------------------------------------------------------------- */

static void
preferences_cb (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  AllavaApplication *self = user_data;
  GtkWindow *preferences = allava_preferences_new (self, self->library);
  gtk_window_set_transient_for (preferences, gtk_application_get_active_window (user_data));
  gtk_window_present (preferences);
}

static void
about_cb (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  adw_show_about_window (
      gtk_application_get_active_window (user_data), "application-name", _ ("Allava"),
      "application-icon", "org.allava.Allava", "version", ALLAVA_VERSION, "developer-name",
      _ ("The Allava contributors"), "license-type", GTK_LICENSE_APACHE_2_0, "comments",
      _ ("Ask questions about your pictures. Everything stays on this computer."),
      /* Translators: your names, one a line */
      "translator-credits", _ ("translator-credits"), NULL);
}

static void
new_conversation_cb (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  open_window (user_data, NULL, 0);
  AllavaWindow *window = get_window (user_data);
  if (window)
    gtk_widget_activate_action (GTK_WIDGET (window), "win.new-conversation", NULL);
}

static void
open_data_folder_cb (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  AllavaApplication *self = user_data;
  const char *folder = allava_library_get_folder (self->library);
  g_autofree char *uri = g_filename_to_uri (folder, NULL, NULL);
  gtk_show_uri (gtk_application_get_active_window (user_data), uri, GDK_CURRENT_TIME);
}

static void
open_history_cb (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  open_history (user_data);
}

static void
quit_cb (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  AllavaWindow *window = get_window (user_data);
  if (window)
    gtk_window_close (GTK_WINDOW (window));
}

static const GActionEntry actions[] = {
    {"preferences", preferences_cb},           {"about", about_cb},
    {"new-conversation", new_conversation_cb}, {"open-data-folder", open_data_folder_cb},
    {"open-history", open_history_cb},         {"quit", quit_cb},
};

static void
add_actions (AllavaApplication *self)
{
  static const struct {
    const char *action;
    const char *accels[3];
  } accels[] = {
      {"app.preferences", {"<primary>comma"}},  {"app.quit", {"<primary>q"}},
      {"win.new-conversation", {"<primary>n"}}, {"win.open-images", {"<primary>o"}},
      {"win.search", {"<primary>f"}},           {"win.show-sidebar", {"F9"}},
      {"win.focus-entry", {"<primary>l"}},      {"win.focus-messages", {"<primary>m"}},
      {"win.choose-model", {"<primary>d"}},     {"win.show-shortcuts", {"<primary>question"}},
      {"window.close", {"<primary>w"}},
  };
  g_action_map_add_action_entries (G_ACTION_MAP (self), actions, G_N_ELEMENTS (actions), self);
  for (guint i = 0; i < G_N_ELEMENTS (accels); i++)
    gtk_application_set_accels_for_action (GTK_APPLICATION (self), accels[i].action,
                                           accels[i].accels);
}

/* ---- Settings -------------------------------------------------------------------------------- */

/* Every property of AllavaSettings has its key. */
static void
bind_settings (AllavaApplication *self)
{
  self->gsettings = g_settings_new ("org.allava.Allava");
  self->settings = allava_settings_new ();
  guint n = 0;
  g_autofree GParamSpec **properties =
      g_object_class_list_properties (G_OBJECT_GET_CLASS (self->settings), &n);
  for (guint i = 0; i < n; i++)
    g_settings_bind (self->gsettings, properties[i]->name, self->settings, properties[i]->name,
                     G_SETTINGS_BIND_DEFAULT);
}

static void
text_scale_changed_cb (AllavaApplication *self)
{
  char scale[G_ASCII_DTOSTR_BUF_SIZE];
  g_ascii_formatd (scale, sizeof scale, "%.2f", allava_settings_get_text_scale (self->settings));
  g_autofree char *css = g_strdup_printf (".scaled-text { font-size: %sem; }", scale);
  gtk_css_provider_load_from_data (self->text_size, css, -1);
}

static void
watch_text_size (AllavaApplication *self)
{
  self->text_size = gtk_css_provider_new ();
  gtk_style_context_add_provider_for_display (gdk_display_get_default (),
                                              GTK_STYLE_PROVIDER (self->text_size),
                                              GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
  g_signal_connect_object (self->settings, "notify::text-scale", G_CALLBACK (text_scale_changed_cb),
                           self, G_CONNECT_SWAPPED);
  text_scale_changed_cb (self);
}

const char *
allava_application_get_bundled_model (AllavaApplication *self)
{
  g_return_val_if_fail (ALLAVA_IS_APPLICATION (self), NULL);
  return self->bundled_model;
}

GSettings *
allava_application_get_gsettings (AllavaApplication *self)
{
  g_return_val_if_fail (ALLAVA_IS_APPLICATION (self), NULL);
  return self->gsettings;
}

gboolean
allava_application_get_terminated (AllavaApplication *self)
{
  g_return_val_if_fail (ALLAVA_IS_APPLICATION (self), FALSE);
  return self->terminated;
}

void
allava_application_choose_model (AllavaApplication *self, const char *path)
{
  g_return_if_fail (ALLAVA_IS_APPLICATION (self));

  gboolean bundled = !path || !*path || g_strcmp0 (path, self->bundled_model) == 0;
  g_settings_set_string (self->gsettings, "model", bundled ? "" : path);
  allava_generator_load (allava_library_get_generator (self->library),
                         bundled ? self->bundled_model : path);
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* After a while the kernel ends what is left, whatever holds it up: the history is made for that. A
 * second signal does not put the end off. */
static gboolean
terminated_cb (gpointer user_data)
{
  AllavaApplication *self = user_data;
  unsigned left = alarm (0);
  alarm (left > 0 ? left : TERMINATION_SECONDS);
  self->terminated = TRUE;
  quit_cb (NULL, NULL, user_data);
  return G_SOURCE_CONTINUE;
}

static void
closed_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaApplication) self = user_data;
  g_autoptr (GError) error = NULL;
  if (!allava_library_close_finish (self->library, result, &error))
    g_warning ("%s", error->message);
  self->closing = FALSE;
  self->closed = TRUE;
  g_autoptr (GPtrArray) files = g_steal_pointer (&self->waiting);
  if (files)
    open_window (self, (GFile **)files->pdata, (int)files->len);
  g_application_release (G_APPLICATION (self));
}

static void
allava_application_window_removed (GtkApplication *application, GtkWindow *window)
{
  AllavaApplication *self = ALLAVA_APPLICATION (application);
  if (ALLAVA_IS_WINDOW (window)) {
    self->closing = TRUE;
    g_application_hold (G_APPLICATION (self));
    allava_library_close_async (self->library, closed_cb, g_object_ref (self));
  }
  GTK_APPLICATION_CLASS (allava_application_parent_class)->window_removed (application, window);
}

static void
allava_application_startup (GApplication *application)
{
  AllavaApplication *self = ALLAVA_APPLICATION (application);
  G_APPLICATION_CLASS (allava_application_parent_class)->startup (application);
  gtk_window_set_default_icon_name ("org.allava.Allava");
  /* A paragraph that gets the focus keeps its selection. */
  g_object_set (gtk_settings_get_default (), "gtk-label-select-on-focus", FALSE, NULL);

  bind_settings (self);
  add_actions (self);
  watch_text_size (self);
  open_library (self);
  g_unix_signal_add (SIGTERM, terminated_cb, self);
  g_unix_signal_add (SIGINT, terminated_cb, self);
  g_unix_signal_add (SIGHUP, terminated_cb, self);
}

static void
allava_application_activate (GApplication *application)
{
  open_window (ALLAVA_APPLICATION (application), NULL, 0);
}

static void
allava_application_open (GApplication *application, GFile **files, int n_files, const char *hint)
{
  open_window (ALLAVA_APPLICATION (application), files, n_files);
}

static int
allava_application_handle_local_options (GApplication *application, GVariantDict *dict)
{
  if (g_variant_dict_contains (dict, "version")) {
    g_print ("allava %s\n", ALLAVA_VERSION);
    return 0;
  }
  if (g_variant_dict_contains (dict, "new-conversation")) {
    g_autoptr (GError) error = NULL;
    if (!g_application_register (application, NULL, &error)) {
      g_printerr ("%s\n", error->message);
      return 1;
    }
    g_action_group_activate_action (G_ACTION_GROUP (application), "new-conversation", NULL);
  }
  return -1;
}

static void
allava_application_finalize (GObject *object)
{
  AllavaApplication *self = ALLAVA_APPLICATION (object);
  g_clear_object (&self->library);
  g_clear_object (&self->settings);
  g_clear_object (&self->gsettings);
  g_clear_object (&self->text_size);
  g_clear_error (&self->history_error);
  g_clear_pointer (&self->waiting, g_ptr_array_unref);
  G_OBJECT_CLASS (allava_application_parent_class)->finalize (object);
}

static void
allava_application_class_init (AllavaApplicationClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = allava_application_finalize;
  GApplicationClass *application_class = G_APPLICATION_CLASS (klass);
  application_class->startup = allava_application_startup;
  application_class->activate = allava_application_activate;
  application_class->open = allava_application_open;
  application_class->handle_local_options = allava_application_handle_local_options;
  GTK_APPLICATION_CLASS (klass)->window_removed = allava_application_window_removed;
}

static void
allava_application_init (AllavaApplication *self)
{
  setlocale (LC_ALL, "");
  gboolean uninstalled = is_uninstalled ();
  bindtextdomain (GETTEXT_PACKAGE, uninstalled ? ALLAVA_BUILD_DIR "/po" : ALLAVA_LOCALEDIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
  textdomain (GETTEXT_PACKAGE);
  g_set_application_name (_ ("Allava"));

  self->bundled_model = uninstalled ? ALLAVA_SOURCE_MODEL_DIR : ALLAVA_INSTALLED_MODEL_DIR;
  g_application_add_main_option_entries (G_APPLICATION (self), options);
  g_application_set_option_context_parameter_string (G_APPLICATION (self), _ ("[IMAGE…]"));
}

AllavaApplication *
allava_application_new (const AllavaGeneratorBackend *backend)
{
  AllavaApplication *self = g_object_new (
      ALLAVA_TYPE_APPLICATION, "application-id", "org.allava.Allava", "resource-base-path",
      "/org/allava/Allava", "flags", G_APPLICATION_HANDLES_OPEN, NULL);
  self->backend = backend;
  return self;
}
