#include "allava-composer-private.h"

#include "allava-announcer.h"

#include <glib/gi18n.h>

enum { SENT, N_SIGNALS };

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (AllavaComposer, allava_composer, GTK_TYPE_WIDGET)

/* Shown in everyone's language, but sent in English, which ALLaVA and the bundled model know. */
static const char *const ready_made_questions[] = {
    N_ ("Describe this image."),
    N_ ("Describe this image in detail for someone who cannot see it."),
    N_ ("Write a short alternative text for this image."),
    N_ ("Read the text in this image."),
};

/* What the buttons say of them. */
static const char *const question_labels[] = {
    N_ ("Describe"),
    N_ ("Describe in Detail"),
    N_ ("Alt Text"),
    N_ ("Read Text"),
};

static char *
dup_text (AllavaComposer *self)
{
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (self->entry);
  g_autofree char *text = NULL;
  g_object_get (buffer, "text", &text, NULL);
  return g_strdup (g_strstrip (text));
}

static void
set_text (AllavaComposer *self, const char *text)
{
  gtk_text_buffer_set_text (gtk_text_view_get_buffer (self->entry), text, -1);
}

void
allava_composer_update (AllavaComposer *self)
{
  g_autofree char *text = dup_text (self);
  guint n_images = g_list_model_get_n_items (G_LIST_MODEL (self->images));
  gboolean busy = self->conversation && allava_conversation_get_busy (self->conversation);
  gboolean images = n_images > 0 || self->readings->len > 0;

  gtk_widget_set_visible (self->image_scroller, images);
  gtk_widget_set_visible (GTK_WIDGET (self->suggestions), n_images > 0 && !*text && !busy);
  gtk_widget_action_set_enabled (GTK_WIDGET (self), "composer.send", (*text || images) && !busy);
  /* A button that is about to go must not take the focus with it. */
  GtkWidget *going = busy ? self->send_button : self->stop_button;
  if (gtk_widget_has_focus (going))
    gtk_widget_grab_focus (GTK_WIDGET (self->entry));
  gtk_widget_set_visible (self->send_button, !busy);
  gtk_widget_set_visible (self->stop_button, busy);
}

static void
update_placeholder (AllavaComposer *self)
{
  GtkTextBuffer *buffer = gtk_text_view_get_buffer (self->entry);
  gtk_widget_set_visible (self->placeholder,
                          gtk_text_buffer_get_char_count (buffer) == 0 && !self->composing);
}

/* What an input method shows stands where the placeholder does, and is not in the buffer yet. */
static void
preedit_changed_cb (GtkTextView *entry, const char *preedit, AllavaComposer *self)
{
  self->composing = *preedit != '\0';
  update_placeholder (self);
}

static void
text_changed_cb (AllavaComposer *self)
{
  update_placeholder (self);
  self->send_is_due = FALSE;
  allava_announcer_forget (GTK_WIDGET (self->entry));
  allava_composer_update (self);
}

void
allava_composer_say (AllavaComposer *self, const char *message)
{
  allava_announcer_say (GTK_WIDGET (self->entry), message, message);
}

void
allava_composer_set_error (AllavaComposer *self, const char *message)
{
  gtk_label_set_text (self->error_label, message ? message : "");
  gtk_widget_set_visible (GTK_WIDGET (self->error_label), message != NULL);
  if (message)
    allava_composer_say (self, message);
}

void
allava_composer_show_error (AllavaComposer *self, const char *message)
{
  g_return_if_fail (ALLAVA_IS_COMPOSER (self));
  g_clear_pointer (&self->failure, g_free);
  self->n_more_failures = 0;
  allava_composer_set_error (self, message);
}

GtkWidget *
allava_composer_get_entry (AllavaComposer *self)
{
  g_return_val_if_fail (ALLAVA_IS_COMPOSER (self), NULL);
  return GTK_WIDGET (self->entry);
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void
leave_edit (AllavaComposer *self)
{
  self->send_is_due = FALSE;
  g_clear_object (&self->editing);
  gtk_widget_set_visible (self->edit_bar, FALSE);
  g_list_store_remove_all (self->images);
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->draft_images)); i++) {
    g_autoptr (AllavaImage) image = g_list_model_get_item (G_LIST_MODEL (self->draft_images), i);
    g_list_store_append (self->images, image);
  }
  g_list_store_remove_all (self->draft_images);
  set_text (self, self->draft ? self->draft : "");
  g_clear_pointer (&self->draft, g_free);
}

/* Whether TEXT and the images can be sent now; says why not. */
static gboolean
check (AllavaComposer *self, const char *text)
{
  gboolean images = g_list_model_get_n_items (G_LIST_MODEL (self->images)) > 0;
  if (!self->conversation || (!*text && !images && self->readings->len == 0))
    return FALSE;
  if (allava_conversation_get_busy (self->conversation)) {
    allava_composer_say (
        self,
        _ ("The question was not sent, because an answer is being written. Escape stops it."));
    return FALSE;
  }
  self->send_is_due = self->readings->len > 0;
  if (self->send_is_due) {
    allava_composer_say (self, _ ("Image being read…"));
    return FALSE;
  }
  g_autoptr (GError) error = NULL;
  if (allava_conversation_check_length (self->conversation, text, &error))
    return TRUE;
  allava_composer_show_error (self, error->message);
  return FALSE;
}

void
allava_composer_send (AllavaComposer *self)
{
  g_autofree char *text = dup_text (self);
  GListModel *images = G_LIST_MODEL (self->images);
  if (!check (self, text))
    return;
  const char *question = *text ? text : ready_made_questions[0];
  AllavaMessage *answer =
      self->editing ? allava_conversation_edit (self->conversation, self->editing, question, images)
                    : allava_conversation_ask (self->conversation, question, images);
  if (!answer) {
    allava_composer_show_error (
        self,
        _ ("The question was not sent, because the conversation is being read. Send it again."));
    return;
  }
  leave_edit (self);
  allava_composer_show_error (self, NULL);
  gtk_widget_grab_focus (GTK_WIDGET (self->entry));
  g_signal_emit (self, signals[SENT], 0, answer);
}

static void
send_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  allava_composer_send (ALLAVA_COMPOSER (widget));
}

static void
cancel_edit_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  allava_composer_cancel_edit (ALLAVA_COMPOSER (widget));
}

static void
suggestion_clicked_cb (GtkButton *button, AllavaComposer *self)
{
  const char *question = g_object_get_data (G_OBJECT (button), "question");
  set_text (self, question);
  allava_composer_send (self);
}

/* Enter sends unless an input method wants it; with Shift it breaks the line. */
static gboolean
key_pressed_cb (
    GtkEventControllerKey *controller, guint key, guint code, GdkModifierType state, gpointer data)
{
  AllavaComposer *self = data;
  if (key != GDK_KEY_Return && key != GDK_KEY_KP_Enter && key != GDK_KEY_ISO_Enter)
    return GDK_EVENT_PROPAGATE;
  if (state & (GDK_SHIFT_MASK | GDK_ALT_MASK))
    return GDK_EVENT_PROPAGATE;
  GdkEvent *event = gtk_event_controller_get_current_event (GTK_EVENT_CONTROLLER (controller));
  if (!gtk_text_view_im_context_filter_keypress (self->entry, event))
    allava_composer_send (self);
  return GDK_EVENT_STOP;
}

/* ---- Editing --------------------------------------------------------------------------------- */

static gboolean
end_edit (AllavaComposer *self)
{
  if (!self->editing)
    return FALSE;
  leave_edit (self);
  gtk_widget_grab_focus (GTK_WIDGET (self->entry));
  return TRUE;
}

void
allava_composer_edit (AllavaComposer *self, AllavaMessage *question, gboolean with_images)
{
  g_return_if_fail (ALLAVA_IS_COMPOSER (self));
  g_return_if_fail (ALLAVA_IS_MESSAGE (question));

  end_edit (self);
  self->send_is_due = FALSE;
  self->draft = dup_text (self);
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (self->images)); i++) {
    g_autoptr (AllavaImage) image = g_list_model_get_item (G_LIST_MODEL (self->images), i);
    g_list_store_append (self->draft_images, image);
  }
  g_list_store_remove_all (self->images);

  GListModel *images = allava_message_get_images (question);
  for (guint i = 0; with_images && i < g_list_model_get_n_items (images); i++) {
    g_autoptr (AllavaImage) image = g_list_model_get_item (images, i);
    g_list_store_append (self->images, image);
  }
  g_set_object (&self->editing, question);
  gtk_widget_set_visible (self->edit_bar, TRUE);
  set_text (self, allava_message_get_text (question));
  gtk_widget_grab_focus (GTK_WIDGET (self->entry));
  allava_composer_say (self, gtk_label_get_text (self->edit_label));
}

void
allava_composer_cancel_edit (AllavaComposer *self)
{
  g_return_if_fail (ALLAVA_IS_COMPOSER (self));
  if (end_edit (self))
    allava_composer_say (self, _ ("Editing cancelled"));
}

/* ---- What the model is doing ----------------------------------------------------------------- */

static void
generator_changed_cb (AllavaComposer *self)
{
  AllavaGenerator *generator = allava_library_get_generator (self->library);
  gboolean loading = allava_generator_get_state (generator) == ALLAVA_GENERATOR_LOADING;
  gboolean waiting = self->conversation && allava_conversation_get_busy (self->conversation);
  gtk_widget_set_visible (self->progress_box, loading);
  gtk_progress_bar_set_fraction (self->progress_bar, allava_generator_get_progress (generator));
  if (!loading)
    return;
  const char *name = allava_generator_get_model_name (generator);
  g_autofree char *text =
      g_strdup_printf (waiting ? _ ("Loading %s. Your question is answered as soon as it is ready.")
                               : _ ("Loading %s. You can already write and send."),
                       name ? name : _ ("the model"));
  if (g_strcmp0 (gtk_label_get_text (self->progress_label), text) != 0)
    gtk_label_set_text (self->progress_label, text);
}

/* "about 300": as exact as it is true. */
static int
round_words (int words)
{
  int step = words >= 200 ? 50 : words >= 50 ? 10 : 5;
  return words / step * step;
}

static char *
describe_room (int left, int image_positions)
{
  int words = round_words (MAX (left, 0) * 3 / 4);
  int n_images = image_positions > 0 ? MAX (left, 0) / image_positions : 0;
  if (words == 0)
    return g_strdup (_ ("No room is left; the oldest turns will be dropped."));
  g_autofree char *text = g_strdup_printf (
      ngettext ("Room for about %d more word", "Room for about %d more words", words), words);
  if (n_images == 0)
    return g_steal_pointer (&text);
  if (n_images == 1)
    /* Translators: %s is "Room for about 300 more words" */
    return g_strdup_printf (_ ("%s, or one image"), text);
  g_autofree char *images =
      g_strdup_printf (ngettext ("%d image", "%d images", n_images), n_images);
  /* Translators: "Room for about 1000 more words", "2 images" */
  return g_strdup_printf (_ ("%s, or %s"), text, images);
}

/* GTK 4.8 takes the entry's description from this label's description, not from its text. */
static void
describe_entry (AllavaComposer *self, const char *room)
{
  GtkAccessible *label = GTK_ACCESSIBLE (self->context_label);
  if (room)
    gtk_accessible_update_property (label, GTK_ACCESSIBLE_PROPERTY_DESCRIPTION, room, -1);
  else
    gtk_accessible_reset_property (label, GTK_ACCESSIBLE_PROPERTY_DESCRIPTION);
}

static void
context_changed_cb (AllavaComposer *self)
{
  AllavaGenerator *generator = allava_library_get_generator (self->library);
  int length = allava_generator_get_context_length (generator);
  int left = self->conversation ? allava_conversation_get_positions_left (self->conversation) : -1;
  gboolean known = length > 0 && left >= 0;
  gtk_widget_set_visible (self->context_box, known);
  g_autofree char *text =
      known ? describe_room (left, allava_generator_get_image_positions (generator)) : NULL;
  describe_entry (self, text);
  if (!known)
    return;
  gtk_label_set_text (self->context_label, text);
  gtk_level_bar_set_value (self->context_bar, CLAMP (1.0 - (double)left / length, 0, 1));
  gtk_widget_set_tooltip_text (self->context_box, text);
}

static void
busy_changed_cb (AllavaComposer *self)
{
  allava_composer_update (self);
  generator_changed_cb (self);
  context_changed_cb (self);
}

void
allava_composer_set_library (AllavaComposer *self, AllavaLibrary *library)
{
  g_return_if_fail (ALLAVA_IS_COMPOSER (self));
  g_return_if_fail (ALLAVA_IS_LIBRARY (library));

  g_set_object (&self->library, library);
  AllavaGenerator *generator = allava_library_get_generator (library);
  static const char *const loading[] = {"notify::state", "notify::progress", "notify::model-name"};
  for (guint i = 0; i < G_N_ELEMENTS (loading); i++)
    g_signal_connect_object (generator, loading[i], G_CALLBACK (generator_changed_cb), self,
                             G_CONNECT_SWAPPED);
  g_signal_connect_object (generator, "notify::context-length", G_CALLBACK (context_changed_cb),
                           self, G_CONNECT_SWAPPED);
  busy_changed_cb (self);
}

void
allava_composer_set_conversation (AllavaComposer *self, AllavaConversation *conversation)
{
  g_return_if_fail (ALLAVA_IS_COMPOSER (self));

  if (!g_set_object (&self->conversation, conversation))
    return;
  self->send_is_due = FALSE;
  end_edit (self);
  allava_composer_show_error (self, NULL);
  allava_announcer_forget (GTK_WIDGET (self->entry));
  g_signal_group_set_target (self->conversation_signals, conversation);
  busy_changed_cb (self);
}

/* ---- The widget ------------------------------------------------------------------------------ */

static void
allava_composer_dispose (GObject *object)
{
  AllavaComposer *self = ALLAVA_COMPOSER (object);
  allava_composer_cancel_readings (self);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->conversation_signals);
  g_clear_object (&self->conversation);
  g_clear_object (&self->library);
  g_clear_object (&self->editing);
  G_OBJECT_CLASS (allava_composer_parent_class)->dispose (object);
}

static void
allava_composer_finalize (GObject *object)
{
  AllavaComposer *self = ALLAVA_COMPOSER (object);
  g_object_unref (self->images);
  g_object_unref (self->draft_images);
  g_ptr_array_unref (self->readings);
  g_free (self->failure);
  g_free (self->draft);
  G_OBJECT_CLASS (allava_composer_parent_class)->finalize (object);
}

static void
bind_children (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, box);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, entry);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, placeholder);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, edit_bar);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, edit_label);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, image_box);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, image_scroller);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, suggestions);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, send_button);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, stop_button);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, progress_box);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, progress_label);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, progress_bar);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, error_label);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, context_box);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, context_bar);
  gtk_widget_class_bind_template_child (widget_class, AllavaComposer, context_label);
}

static void
allava_composer_class_init (AllavaComposerClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = allava_composer_dispose;
  G_OBJECT_CLASS (klass)->finalize = allava_composer_finalize;
  signals[SENT] = g_signal_new ("sent", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                NULL, G_TYPE_NONE, 1, ALLAVA_TYPE_MESSAGE);

  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  g_type_ensure (ALLAVA_TYPE_WRAP_BOX);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/allava/Allava/allava-composer.ui");
  bind_children (widget_class);
  gtk_widget_class_install_action (widget_class, "composer.send", NULL, send_action);
  gtk_widget_class_install_action (widget_class, "composer.cancel-edit", NULL, cancel_edit_action);
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
add_suggestions (AllavaComposer *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (ready_made_questions); i++) {
    GtkWidget *button = gtk_button_new_with_label (_ (question_labels[i]));
    gtk_widget_add_css_class (button, "suggestion");
    gtk_widget_set_tooltip_text (button, _ (ready_made_questions[i]));
    g_object_set_data (G_OBJECT (button), "question", (gpointer)ready_made_questions[i]);
    g_signal_connect_object (button, "clicked", G_CALLBACK (suggestion_clicked_cb), self, 0);
    allava_wrap_box_append (self->suggestions, button);
  }
}

static void
allava_composer_init (AllavaComposer *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  self->draft_images = g_list_store_new (ALLAVA_TYPE_IMAGE);
  allava_composer_init_images (self);
  self->conversation_signals = g_signal_group_new (ALLAVA_TYPE_CONVERSATION);
  g_signal_group_connect_swapped (self->conversation_signals, "notify::busy",
                                  G_CALLBACK (busy_changed_cb), self);
  g_signal_group_connect_swapped (self->conversation_signals, "notify::positions-left",
                                  G_CALLBACK (context_changed_cb), self);
  g_signal_connect_object (gtk_text_view_get_buffer (self->entry), "changed",
                           G_CALLBACK (text_changed_cb), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (self->entry, "preedit-changed", G_CALLBACK (preedit_changed_cb), self,
                           0);

  GtkEventController *keys = gtk_event_controller_key_new ();
  gtk_event_controller_set_propagation_phase (keys, GTK_PHASE_CAPTURE);
  g_signal_connect (keys, "key-pressed", G_CALLBACK (key_pressed_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self->entry), keys);
  add_suggestions (self);
  allava_composer_update (self);
}
