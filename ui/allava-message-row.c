#include "allava-message-row.h"

#include "allava-chat-view.h"
#include "allava-details-view.h"
#include "allava-markdown-view.h"
#include "allava-markdown.h"
#include "allava-row-menu.h"
#include "allava-thumbnail.h"
#include "allava-wrap-box.h"

#include <glib/gi18n.h>

#define THUMBNAIL_SIDE 140

/* What is shown of a text. A label's layout takes time that grows with the square of its length: a
 * question is one label, an answer many. */
#define MAX_QUESTION_BYTES 16384
#define MAX_ANSWER_BYTES 49152

struct _AllavaMessageRow {
  GtkWidget parent_instance;

  GtkLabel *notice;
  GtkLabel *author;
  GtkSpinner *spinner;
  GtkLabel *state;
  GtkWidget *bubble;
  AllavaWrapBox *images;
  AllavaMarkdownView *text;
  GtkLabel *plain_text;
  GtkLabel *rest; /* says that there is more */
  GtkLabel *error;
  GtkWidget *actions;
  GtkWidget *branches;
  GtkLabel *branch_label;
  GtkWidget *continue_button;
  GtkWidget *regenerate_button;
  GtkWidget *details_button;
  GtkGrid *details;
  GtkWidget *edit_button;
  GtkWidget *new_image_button;

  AllavaConversation *conversation;
  AllavaMessage *message;
  GSignalGroup *message_signals;
  GSignalGroup *conversation_signals;
  gboolean begun; /* there is text, and the state says so */
  guint tick;     /* renders what has streamed in, once a frame */
};

G_DEFINE_FINAL_TYPE (AllavaMessageRow, allava_message_row, GTK_TYPE_WIDGET)

static gboolean
is_question (AllavaMessageRow *self)
{
  return allava_message_get_role (self->message) == ALLAVA_ROLE_USER;
}

/* ---- What is shown --------------------------------------------------------------------------- */

static gsize
get_max_bytes (AllavaMessageRow *self)
{
  return is_question (self) ? MAX_QUESTION_BYTES : MAX_ANSWER_BYTES;
}

static gboolean
is_cut (AllavaMessageRow *self)
{
  return strlen (allava_message_get_text (self->message)) > get_max_bytes (self);
}

static char *
dup_shown_text (AllavaMessageRow *self)
{
  const char *text = allava_message_get_text (self->message);
  if (!is_cut (self))
    return g_strdup (text);
  const char *end = g_utf8_find_prev_char (text, text + get_max_bytes (self));
  g_autofree char *start = g_strndup (text, end - text);
  return g_strconcat (start, "…", NULL);
}

static void
render_text (AllavaMessageRow *self)
{
  if (!self->message)
    return;
  g_autofree char *text = dup_shown_text (self);
  gboolean question = is_question (self);
  if (question)
    gtk_label_set_text (self->plain_text, text);
  else
    allava_markdown_view_set_text (self->text, text);
  gtk_widget_set_visible (GTK_WIDGET (self->plain_text), question && *text);
  gtk_widget_set_visible (GTK_WIDGET (self->text), !question && *text);
  gtk_widget_set_visible (GTK_WIDGET (self->rest), is_cut (self));
}

static void update_state (AllavaMessageRow *self);

static gboolean
tick_cb (GtkWidget *widget, GdkFrameClock *clock, gpointer user_data)
{
  AllavaMessageRow *self = ALLAVA_MESSAGE_ROW (widget);
  self->tick = 0;
  render_text (self);
  if (!self->begun) {
    self->begun = TRUE;
    update_state (self);
  }
  return G_SOURCE_REMOVE;
}

static void
text_changed_cb (AllavaMessageRow *self)
{
  if (self->tick == 0)
    self->tick = gtk_widget_add_tick_callback (GTK_WIDGET (self), tick_cb, NULL, NULL);
}

/* The state in a word or two, or NULL where there is nothing to say. */
static const char *
get_state_words (AllavaMessageRow *self)
{
  switch (allava_message_get_state (self->message)) {
  case ALLAVA_MESSAGE_PARTIAL:
    return *allava_message_get_text (self->message) ? _ ("answering…") : _ ("thinking…");
  case ALLAVA_MESSAGE_STOPPED:
    return _ ("stopped");
  case ALLAVA_MESSAGE_FAILED:
    return _ ("failed");
  case ALLAVA_MESSAGE_COMPLETE:
    break;
  }
  return NULL;
}

/* Which of several versions this is. */
static char *
dup_version (AllavaMessageRow *self)
{
  return g_strdup_printf (_ ("%u of %u"), allava_message_get_sibling (self->message) + 1,
                          allava_message_get_n_siblings (self->message));
}

char *
allava_message_row_dup_notice (AllavaMessage *message)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (message), NULL);

  int dropped = allava_message_get_details (message)->dropped_turns;
  if (dropped <= 0)
    return NULL;
  return g_strdup_printf (
      ngettext ("The model’s memory is full: it no longer saw the oldest turn.",
                "The model’s memory is full: it no longer saw the %d oldest turns.", dropped),
      dropped);
}

/* What a screen reader says of the row: author and state first. While text streams in it stays
 * the same, so that nothing is announced per token. */
static char *
dup_spoken (AllavaMessageRow *self)
{
  const char *author = gtk_label_get_text (self->author);
  const char *state = get_state_words (self);
  GString *spoken = g_string_new (author);
  if (state)
    g_string_append_printf (spoken, ", %s", state);
  if (allava_message_get_n_siblings (self->message) > 1) {
    g_autofree char *version = dup_version (self);
    g_string_append_printf (spoken, ", %s", version);
  }
  guint n_images = g_list_model_get_n_items (allava_message_get_images (self->message));
  if (n_images > 0) {
    g_string_append (spoken, ", ");
    g_string_append_printf (spoken, ngettext ("%u image", "%u images", n_images), n_images);
  }
  if (allava_message_get_state (self->message) == ALLAVA_MESSAGE_PARTIAL)
    return g_string_free (spoken, FALSE);
  g_autofree char *text = dup_shown_text (self);
  g_autofree char *plain = is_question (self) ? g_strdup (text) : allava_markdown_to_plain (text);
  g_string_append_printf (spoken, ": %s", plain);
  if (is_cut (self))
    g_string_append_printf (spoken, " %s", gtk_label_get_text (self->rest));
  const char *error = allava_message_get_error (self->message);
  if (error)
    g_string_append_printf (spoken, " %s", error);
  g_autofree char *notice = allava_message_row_dup_notice (self->message);
  if (notice)
    g_string_append_printf (spoken, " %s", notice);
  return g_string_free (spoken, FALSE);
}

static void
update_spoken (AllavaMessageRow *self)
{
  /* The list's own widget around this one has the focus; GtkListItem can name it from 4.12 on. */
  GtkWidget *item = gtk_widget_get_parent (GTK_WIDGET (self));
  g_autofree char *spoken = dup_spoken (self);
  if (item)
    gtk_accessible_update_property (GTK_ACCESSIBLE (item), GTK_ACCESSIBLE_PROPERTY_LABEL, spoken,
                                    -1);
  gtk_accessible_update_property (GTK_ACCESSIBLE (self), GTK_ACCESSIBLE_PROPERTY_LABEL, spoken, -1);
}

static void
update_actions (AllavaMessageRow *self)
{
  gboolean question = is_question (self);
  gboolean idle = !allava_conversation_get_busy (self->conversation);
  gboolean writing = allava_message_get_state (self->message) == ALLAVA_MESSAGE_PARTIAL;
  gboolean can_continue =
      idle && !question && allava_conversation_can_continue (self->conversation, self->message);
  guint n = allava_message_get_n_siblings (self->message);
  guint i = allava_message_get_sibling (self->message);

  gtk_widget_set_visible (self->continue_button, can_continue);
  gtk_widget_set_visible (self->regenerate_button, !question);
  gtk_widget_set_visible (self->details_button, !question);
  gtk_widget_set_visible (self->edit_button, question);
  gtk_widget_set_visible (self->new_image_button, question);
  gtk_widget_set_visible (self->actions, !writing);
  gtk_widget_set_visible (self->branches, n > 1);
  g_autofree char *version = dup_version (self);
  gtk_label_set_text (self->branch_label, version);

  GtkWidget *widget = GTK_WIDGET (self);
  gtk_widget_action_set_enabled (widget, "message.delete", idle);
  gtk_widget_action_set_enabled (widget, "message.edit", idle && question);
  gtk_widget_action_set_enabled (widget, "message.new-image", idle && question);
  gtk_widget_action_set_enabled (widget, "message.details", !question && !writing);
  gtk_widget_action_set_enabled (widget, "message.regenerate", idle);
  gtk_widget_action_set_enabled (widget, "message.continue", can_continue);
  gtk_widget_action_set_enabled (widget, "message.previous-branch", idle && i > 0);
  gtk_widget_action_set_enabled (widget, "message.next-branch", idle && i + 1 < n);
}

static void
update_notice (AllavaMessageRow *self)
{
  g_autofree char *notice = allava_message_row_dup_notice (self->message);
  gtk_label_set_text (self->notice, notice ? notice : "");
  gtk_widget_set_visible (GTK_WIDGET (self->notice), notice != NULL);
}

static void
update_state (AllavaMessageRow *self)
{
  gboolean partial = allava_message_get_state (self->message) == ALLAVA_MESSAGE_PARTIAL;
  const char *words = get_state_words (self);
  const char *error = allava_message_get_error (self->message);
  gtk_label_set_text (self->state, words ? words : "");
  gtk_widget_set_visible (GTK_WIDGET (self->state), words != NULL);
  gtk_spinner_set_spinning (self->spinner, partial);
  gtk_widget_set_visible (GTK_WIDGET (self->spinner), partial);
  gtk_label_set_text (self->error, error ? error : "");
  gtk_widget_set_visible (GTK_WIDGET (self->error), error != NULL);
  if (!is_question (self))
    allava_details_view_fill (self->details, self->message);
  update_notice (self);
  update_actions (self);
  if (!partial)
    render_text (self);
  update_spoken (self);
}

/* What can be done with a message depends on those after it too. */
static void
conversation_changed_cb (AllavaMessageRow *self)
{
  if (self->message)
    update_actions (self);
}

static void
show_images (AllavaMessageRow *self)
{
  GListModel *images = allava_message_get_images (self->message);
  guint n = g_list_model_get_n_items (images);
  allava_wrap_box_remove_all (self->images);
  for (guint i = 0; i < n; i++) {
    g_autoptr (AllavaImage) image = g_list_model_get_item (images, i);
    allava_wrap_box_append (self->images, allava_thumbnail_new (image, THUMBNAIL_SIDE, FALSE));
  }
  gtk_widget_set_visible (GTK_WIDGET (self->images), n > 0);
}

void
allava_message_row_set_message (AllavaMessageRow *self,
                                AllavaConversation *conversation,
                                AllavaMessage *message)
{
  g_return_if_fail (ALLAVA_IS_MESSAGE_ROW (self));

  if (self->tick)
    gtk_widget_remove_tick_callback (GTK_WIDGET (self), self->tick);
  self->tick = 0;
  if (!message)
    conversation = NULL;
  g_set_object (&self->conversation, conversation);
  g_set_object (&self->message, message);
  g_signal_group_set_target (self->message_signals, message);
  g_signal_group_set_target (self->conversation_signals, self->conversation);
  if (!message)
    return;
  gboolean question = is_question (self);
  self->begun = *allava_message_get_text (message) != '\0';
  gtk_label_set_text (self->author, question ? _ ("You") : _ ("Allava"));
  const char *classes[] = {question ? "question" : "answer", "scaled-text", NULL};
  gtk_widget_set_css_classes (self->bubble, classes);
  show_images (self);
  render_text (self);
  update_state (self);
}

AllavaMessage *
allava_message_row_get_message (AllavaMessageRow *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE_ROW (self), NULL);
  return self->message;
}

GMenuModel *
allava_message_row_dup_menu (AllavaMessageRow *self)
{
  g_return_val_if_fail (ALLAVA_IS_MESSAGE_ROW (self), NULL);

  GMenu *menu = g_menu_new ();
  g_menu_append (menu, _ ("_Copy"), "message.copy");
  if (is_question (self)) {
    g_menu_append (menu, _ ("_Edit and Ask Again"), "message.edit");
    g_menu_append (menu, _ ("_Same Question, New Image…"), "message.new-image");
  } else {
    g_menu_append (menu, _ ("C_ontinue Answer"), "message.continue");
    g_menu_append (menu, _ ("_Answer Again"), "message.regenerate");
    g_menu_append (menu, _ ("De_tails"), "message.details");
  }
  if (allava_message_get_n_siblings (self->message) > 1) {
    g_menu_append (menu, _ ("_Previous Version"), "message.previous-branch");
    g_menu_append (menu, _ ("_Next Version"), "message.next-branch");
  }
  g_menu_append (menu, _ ("_Delete"), "message.delete");
  return G_MENU_MODEL (menu);
}

/* ---- Actions --------------------------------------------------------------------------------- */

static AllavaChatView *
get_chat (AllavaMessageRow *self)
{
  GtkWidget *chat = gtk_widget_get_ancestor (GTK_WIDGET (self), ALLAVA_TYPE_CHAT_VIEW);
  return chat ? ALLAVA_CHAT_VIEW (chat) : NULL;
}

static void
copy_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaMessageRow *self = ALLAVA_MESSAGE_ROW (widget);
  gdk_clipboard_set_text (gtk_widget_get_clipboard (widget),
                          allava_message_get_text (self->message));
  allava_chat_view_say (get_chat (self), _ ("Copied"));
}

static void
delete_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaMessageRow *self = ALLAVA_MESSAGE_ROW (widget);
  g_autoptr (AllavaMessage) message = g_object_ref (self->message);
  allava_chat_view_delete_message (get_chat (self), message);
}

static void
edit_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaMessageRow *self = ALLAVA_MESSAGE_ROW (widget);
  allava_chat_view_edit_message (get_chat (self), self->message);
}

static void
new_image_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaMessageRow *self = ALLAVA_MESSAGE_ROW (widget);
  allava_chat_view_ask_of_new_image (get_chat (self), self->message);
}

static void
details_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  gtk_menu_button_popup (GTK_MENU_BUTTON (ALLAVA_MESSAGE_ROW (widget)->details_button));
}

/* The next two begin an answer: the entry takes the focus. */
static void
regenerate_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaMessageRow *self = ALLAVA_MESSAGE_ROW (widget);
  allava_chat_view_focus_entry (get_chat (self));
  g_autoptr (AllavaMessage) message = g_object_ref (self->message);
  allava_conversation_regenerate (self->conversation, message);
}

static void
continue_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaMessageRow *self = ALLAVA_MESSAGE_ROW (widget);
  allava_chat_view_focus_entry (get_chat (self));
  allava_conversation_continue (self->conversation, self->message);
}

static void
switch_branch (AllavaMessageRow *self, int offset)
{
  AllavaChatView *chat = get_chat (self);
  g_autoptr (AllavaMessage) message = g_object_ref (self->message);
  allava_chat_view_switch_branch (chat, message, offset);
}

static void
previous_branch_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  switch_branch (ALLAVA_MESSAGE_ROW (widget), -1);
}

static void
next_branch_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  switch_branch (ALLAVA_MESSAGE_ROW (widget), 1);
}

/* ---- The widget ------------------------------------------------------------------------------ */

static void
allava_message_row_dispose (GObject *object)
{
  AllavaMessageRow *self = ALLAVA_MESSAGE_ROW (object);
  if (self->message_signals)
    allava_message_row_set_message (self, NULL, NULL);
  g_clear_object (&self->message_signals);
  g_clear_object (&self->conversation_signals);
  allava_row_menu_clear (GTK_WIDGET (self));
  G_OBJECT_CLASS (allava_message_row_parent_class)->dispose (object);
}

static void
bind_children (GtkWidgetClass *widget_class)
{
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, notice);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, author);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, spinner);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, state);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, bubble);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, images);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, text);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, plain_text);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, rest);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, error);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, actions);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, branches);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, branch_label);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, continue_button);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, regenerate_button);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, details_button);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, details);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, edit_button);
  gtk_widget_class_bind_template_child (widget_class, AllavaMessageRow, new_image_button);
}

static void
allava_message_row_class_init (AllavaMessageRowClass *klass)
{
  static const struct {
    const char *name;
    GtkWidgetActionActivateFunc activate;
  } actions[] = {
      {"message.copy", copy_action},
      {"message.delete", delete_action},
      {"message.edit", edit_action},
      {"message.new-image", new_image_action},
      {"message.details", details_action},
      {"message.regenerate", regenerate_action},
      {"message.continue", continue_action},
      {"message.previous-branch", previous_branch_action},
      {"message.next-branch", next_branch_action},
  };
  G_OBJECT_CLASS (klass)->dispose = allava_message_row_dispose;
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  g_type_ensure (ALLAVA_TYPE_WRAP_BOX);
  g_type_ensure (ALLAVA_TYPE_MARKDOWN_VIEW);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/allava/Allava/allava-message-row.ui");
  bind_children (widget_class);
  for (guint i = 0; i < G_N_ELEMENTS (actions); i++)
    gtk_widget_class_install_action (widget_class, actions[i].name, NULL, actions[i].activate);
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
allava_message_row_init (AllavaMessageRow *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  self->message_signals = g_signal_group_new (ALLAVA_TYPE_MESSAGE);
  g_signal_group_connect_swapped (self->message_signals, "notify::text",
                                  G_CALLBACK (text_changed_cb), self);
  static const char *const states[] = {"notify::state", "notify::error", "notify::sibling",
                                       "notify::n-siblings", "details-changed"};
  for (guint i = 0; i < G_N_ELEMENTS (states); i++)
    g_signal_group_connect_swapped (self->message_signals, states[i], G_CALLBACK (update_state),
                                    self);
  self->conversation_signals = g_signal_group_new (ALLAVA_TYPE_CONVERSATION);
  static const char *const changes[] = {"notify::busy", "items-changed"};
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++)
    g_signal_group_connect_swapped (self->conversation_signals, changes[i],
                                    G_CALLBACK (conversation_changed_cb), self);
}

GtkWidget *
allava_message_row_new (void)
{
  return g_object_new (ALLAVA_TYPE_MESSAGE_ROW, NULL);
}
