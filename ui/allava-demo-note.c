#include "allava-demo-note.h"

#include "allava-application.h"

#include <glib/gi18n.h>

#define REPOSITORY "FreedomIntelligence/ALLaVA-3B-Longer"
#define MODEL "ALLaVA-3B-Longer"

struct _AllavaDemoNote {
  GtkWidget parent_instance;
  GtkWidget *box;
  GtkLabel *label;
  AllavaLibrary *library;
};

G_DEFINE_FINAL_TYPE (AllavaDemoNote, allava_demo_note, GTK_TYPE_WIDGET)

static void
model_changed_cb (AllavaDemoNote *self)
{
  AllavaGenerator *generator = allava_library_get_generator (self->library);
  AllavaApplication *application = ALLAVA_APPLICATION (g_application_get_default ());
  const char *bundled = allava_application_get_bundled_model (application);
  const char *name = allava_generator_get_model_name (generator);
  gtk_widget_set_visible (GTK_WIDGET (self),
                          g_strcmp0 (allava_generator_get_model_path (generator), bundled) == 0);
  g_autofree char *text = g_strdup_printf (
      _ ("%s is a small demonstration model that knows simple pictures only. %s is for photos."),
      name ? name : "", MODEL);
  gtk_label_set_text (self->label, text);
}

/* ---- How to install another ------------------------------------------------------------------ */

static char *
dup_command (AllavaDemoNote *self)
{
  g_autofree char *folder = allava_library_dup_models_folder (self->library);
  g_autofree char *target = g_build_filename (folder, MODEL, NULL);
  g_autofree char *quoted = g_shell_quote (target);
  return g_strdup_printf ("hf download %s --local-dir %s", REPOSITORY, quoted);
}

static void
response_cb (AdwMessageDialog *dialog, const char *response, AllavaDemoNote *self)
{
  g_autofree char *command = dup_command (self);
  if (g_strcmp0 (response, "copy") == 0)
    gdk_clipboard_set_text (gtk_widget_get_clipboard (GTK_WIDGET (self)), command);
}

static GtkWidget *
label_new (const char *text)
{
  GtkWidget *label = gtk_label_new (text);
  gtk_label_set_wrap (GTK_LABEL (label), TRUE);
  gtk_label_set_wrap_mode (GTK_LABEL (label), PANGO_WRAP_WORD_CHAR);
  gtk_label_set_max_width_chars (GTK_LABEL (label), 40);
  gtk_label_set_justify (GTK_LABEL (label), GTK_JUSTIFY_CENTER);
  gtk_label_set_selectable (GTK_LABEL (label), TRUE);
  return label;
}

static void
clicked_cb (AllavaDemoNote *self)
{
  GtkWidget *popover = gtk_widget_get_ancestor (GTK_WIDGET (self), GTK_TYPE_POPOVER);
  if (popover)
    gtk_popover_popdown (GTK_POPOVER (popover));

  AdwMessageDialog *dialog = ADW_MESSAGE_DIALOG (
      adw_message_dialog_new (GTK_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))), NULL, NULL));
  adw_message_dialog_format_heading (dialog, _ ("Install %s"), MODEL);
  adw_message_dialog_format_body (
      dialog,
      _ ("Allava itself never uses the network. Download the folder %s (6.2 GB) from Hugging Face, "
         "for example with its own program:"),
      REPOSITORY);
  GtkWidget *box = gtk_box_new (GTK_ORIENTATION_VERTICAL, 12);
  g_autofree char *command = dup_command (self);
  GtkWidget *command_label = label_new (command);
  gtk_widget_add_css_class (command_label, "monospace");
  gtk_box_append (GTK_BOX (box), command_label);
  gtk_box_append (
      GTK_BOX (box),
      label_new (
          _ ("The model menu then lists it. A folder in another place can be added there.")));
  adw_message_dialog_set_extra_child (dialog, box);
  adw_message_dialog_add_responses (dialog, "close", _ ("Close"), "copy", _ ("Copy Command"), NULL);
  adw_message_dialog_set_default_response (dialog, "close");
  adw_message_dialog_set_close_response (dialog, "close");
  g_signal_connect_object (dialog, "response", G_CALLBACK (response_cb), self, 0);
  gtk_window_present (GTK_WINDOW (dialog));
}

/* ---- The widget ------------------------------------------------------------------------------ */

void
allava_demo_note_set_library (AllavaDemoNote *self, AllavaLibrary *library)
{
  g_return_if_fail (ALLAVA_IS_DEMO_NOTE (self));
  g_return_if_fail (ALLAVA_IS_LIBRARY (library));

  g_set_object (&self->library, library);
  g_signal_connect_object (allava_library_get_generator (library), "notify::model-path",
                           G_CALLBACK (model_changed_cb), self, G_CONNECT_SWAPPED);
  model_changed_cb (self);
}

static void
allava_demo_note_dispose (GObject *object)
{
  AllavaDemoNote *self = ALLAVA_DEMO_NOTE (object);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->library);
  G_OBJECT_CLASS (allava_demo_note_parent_class)->dispose (object);
}

static void
allava_demo_note_class_init (AllavaDemoNoteClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = allava_demo_note_dispose;
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/allava/Allava/allava-demo-note.ui");
  gtk_widget_class_bind_template_child (widget_class, AllavaDemoNote, box);
  gtk_widget_class_bind_template_child (widget_class, AllavaDemoNote, label);
  gtk_widget_class_bind_template_callback (widget_class, clicked_cb);
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
allava_demo_note_init (AllavaDemoNote *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
}
