#include "allava-chat-view.h"

#include "allava-announcer.h"
#include "allava-demo-note.h"
#include "allava-markdown.h"
#include "allava-message-row.h"
#include "allava-pages.h"
#include "allava-paging.h"
#include "allava-row-menu.h"
#include "allava-window.h"
#include "allava-wrap-box.h"

#include <glib/gi18n.h>

/* Closer to the end than this, the view follows it. */
#define FOLLOW_PIXELS 40

struct _AllavaChatView {
  GtkWidget parent_instance;

  GtkWidget *box;
  GtkStack *stack;
  AdwStatusPage *empty_page;
  AllavaDemoNote *demo_note;
  GtkScrolledWindow *scroller;
  GtkListView *list;
  GtkWidget *end_button;
  GtkWidget *problem_box;
  GtkLabel *problem_label;
  AllavaComposer *composer;

  AllavaLibrary *library;
  AllavaConversation *conversation;
  GSignalGroup *conversation_signals;
  GSignalGroup *answer_signals;
  AllavaMessage *answer; /* whose end is still to be announced */
  gsize spoken;          /* bytes of it that were announced */

  gboolean following;
  double laid_out_value; /* the list's own, when it was last laid out */
};

G_DEFINE_FINAL_TYPE (AllavaChatView, allava_chat_view, GTK_TYPE_WIDGET)

/* ---- Following the end ----------------------------------------------------------------------- */

static GtkAdjustment *
get_adjustment (AllavaChatView *self)
{
  return gtk_scrolled_window_get_vadjustment (self->scroller);
}

static void
jump_to_end (AllavaChatView *self)
{
  GtkAdjustment *adjustment = get_adjustment (self);
  gtk_adjustment_set_value (adjustment, gtk_adjustment_get_upper (adjustment) -
                                            gtk_adjustment_get_page_size (adjustment));
}

/* The content's height is an estimate that gets better as rows are laid out, so the end is looked
 * for again in the frame after each change. */
static gboolean
follow_cb (GtkWidget *widget, GdkFrameClock *clock, gpointer user_data)
{
  AllavaChatView *self = ALLAVA_CHAT_VIEW (widget);
  if (self->following)
    jump_to_end (self);
  return G_SOURCE_REMOVE;
}

static void
content_resized_cb (AllavaChatView *self)
{
  self->laid_out_value = gtk_adjustment_get_value (get_adjustment (self));
  if (self->following)
    gtk_widget_add_tick_callback (GTK_WIDGET (self), follow_cb, NULL, NULL);
}

/* A person who scrolls up stops following; back at the end, it goes on. What the list itself moves
 * while it is laid out, told by the signal before this one, changes nothing. */
static void
scrolled_cb (AllavaChatView *self)
{
  GtkAdjustment *adjustment = get_adjustment (self);
  double value = gtk_adjustment_get_value (adjustment);
  double rest =
      gtk_adjustment_get_upper (adjustment) - gtk_adjustment_get_page_size (adjustment) - value;
  if (value != self->laid_out_value)
    self->following = rest <= FOLLOW_PIXELS;
  gtk_widget_set_visible (self->end_button, !self->following);
}

static void
scroll_to_end (AllavaChatView *self)
{
  self->following = TRUE;
  jump_to_end (self);
  gtk_widget_add_tick_callback (GTK_WIDGET (self), follow_cb, NULL, NULL);
}

static void
scroll_to_end_action (GtkWidget *widget, const char *name, GVariant *parameter)
{
  AllavaChatView *self = ALLAVA_CHAT_VIEW (widget);
  scroll_to_end (self);
  allava_chat_view_focus_entry (self);
}

/* ---- Announcing ------------------------------------------------------------------------------ */

static AllavaAnnounce
get_announce (AllavaChatView *self)
{
  return allava_settings_get_announce (allava_library_get_settings (self->library));
}

static void
say (AllavaChatView *self, const char *message, const char *status)
{
  allava_announcer_say (allava_composer_get_entry (self->composer), message, status);
}

static int
count_words (const char *text)
{
  int n = 0;
  gboolean inside = FALSE;
  for (const char *at = text; *at; at = g_utf8_next_char (at)) {
    gboolean space = g_unichar_isspace (g_utf8_get_char (at));
    n += !space && !inside;
    inside = !space;
  }
  return n;
}

/* The bytes of TEXT up to the end of its last whole sentence or line. */
static gsize
find_last_sentence (const char *text)
{
  gsize end = 0;
  for (const char *at = text; *at; at = g_utf8_next_char (at)) {
    gunichar c = g_utf8_get_char (at);
    const char *next = g_utf8_next_char (at);
    gboolean stop = c == '.' || c == '!' || c == '?' || c == 0x2026;
    if (c == '\n' || c == 0x3002 || c == 0xff01 || c == 0xff1f ||
        (stop && g_unichar_isspace (g_utf8_get_char (next))))
      end = next - text;
  }
  return end;
}

static void
answer_grew_cb (AllavaChatView *self)
{
  if (get_announce (self) != ALLAVA_ANNOUNCE_SENTENCES)
    return;
  const char *rest = allava_message_get_text (self->answer) + self->spoken;
  gsize length = find_last_sentence (rest);
  if (length == 0)
    return;
  g_autofree char *sentences = g_strndup (rest, length);
  g_autofree char *plain = allava_markdown_to_plain (sentences);
  self->spoken += length;
  if (*plain)
    say (self, plain, NULL);
}

static void
announce_end (AllavaChatView *self, AllavaMessage *answer)
{
  const char *text = allava_message_get_text (answer);
  int n_words = count_words (text);
  g_autofree char *status = NULL;
  if (allava_message_get_state (answer) == ALLAVA_MESSAGE_FAILED)
    status = g_strdup_printf (_ ("No answer: %s"), allava_message_get_error (answer));
  else if (allava_message_get_state (answer) == ALLAVA_MESSAGE_STOPPED)
    status = g_strdup_printf (
        ngettext ("Answer stopped, %d word", "Answer stopped, %d words", n_words), n_words);
  else
    status = g_strdup_printf (ngettext ("Answer ready, %d word", "Answer ready, %d words", n_words),
                              n_words);

  g_autofree char *plain = allava_markdown_to_plain (text + MIN (self->spoken, strlen (text)));
  g_autofree char *notice = allava_message_row_dup_notice (answer);
  g_autofree char *message =
      g_strdup_printf ("%s. %s%s%s", status, plain, notice ? " " : "", notice ? notice : "");
  say (self, message, status);
}

/* Begins and ends what is said of an answer. What was deleted before it cannot come back. */
static void
answer_changed_cb (AllavaChatView *self)
{
  AllavaMessage *answer =
      self->conversation ? allava_conversation_get_answer (self->conversation) : NULL;
  if (answer == self->answer)
    return;
  g_autoptr (AllavaMessage) done = g_steal_pointer (&self->answer);
  g_set_object (&self->answer, answer);
  g_signal_group_set_target (self->answer_signals, answer);
  gboolean announce = get_announce (self) != ALLAVA_ANNOUNCE_NEVER;
  if (done && announce)
    announce_end (self, done);
  self->spoken = answer ? strlen (allava_message_get_text (answer)) : 0;
  if (answer && announce)
    say (self, _ ("Describing…"), _ ("Describing…"));
  if (answer)
    allava_window_withdraw_undo (ALLAVA_WINDOW (gtk_widget_get_root (GTK_WIDGET (self))),
                                 G_OBJECT (self->conversation));
}

/* ---- Messages -------------------------------------------------------------------------------- */

static void
setup_cb (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  gtk_list_item_set_child (item, allava_message_row_new ());
  gtk_list_item_set_activatable (item, FALSE);
}

static void
bind_cb (GtkSignalListItemFactory *factory, GtkListItem *item, AllavaChatView *self)
{
  allava_message_row_set_message (ALLAVA_MESSAGE_ROW (gtk_list_item_get_child (item)),
                                  self->conversation, gtk_list_item_get_item (item));
}

static void
unbind_cb (GtkSignalListItemFactory *factory, GtkListItem *item)
{
  GtkWidget *row = gtk_list_item_get_child (item);
  if (row)
    allava_message_row_set_message (ALLAVA_MESSAGE_ROW (row), NULL, NULL);
}

static void
update_page (AllavaChatView *self)
{
  const char *page = "empty";
  if (self->conversation && g_list_model_get_n_items (G_LIST_MODEL (self->conversation)) > 0)
    page = "messages";
  else if (self->conversation && allava_conversation_get_loading (self->conversation))
    page = "loading";
  allava_pages_show (self->stack, page);
}

static void
sent_cb (AllavaChatView *self)
{
  scroll_to_end (self);
}

static void
failed_cb (AllavaChatView *self, const GError *error)
{
  allava_composer_show_error (self->composer, error->message);
}

void
allava_chat_view_set_conversation (AllavaChatView *self, AllavaConversation *conversation)
{
  g_return_if_fail (ALLAVA_IS_CHAT_VIEW (self));

  if (self->conversation == conversation)
    return;
  /* An answer that goes on in the background is not spoken of here. */
  g_clear_object (&self->answer);
  g_set_object (&self->conversation, conversation);
  self->following = TRUE;
  g_autoptr (GtkNoSelection) model =
      conversation ? gtk_no_selection_new (g_object_ref (G_LIST_MODEL (conversation))) : NULL;
  gtk_list_view_set_model (self->list, GTK_SELECTION_MODEL (model));
  g_signal_group_set_target (self->conversation_signals, conversation);
  allava_composer_set_conversation (self->composer, conversation);
  if (conversation)
    g_set_object (&self->answer, allava_conversation_get_answer (conversation));
  g_signal_group_set_target (self->answer_signals, self->answer);
  self->spoken = self->answer ? strlen (allava_message_get_text (self->answer)) : 0;
  update_page (self);
  scroll_to_end (self);
}

AllavaComposer *
allava_chat_view_get_composer (AllavaChatView *self)
{
  g_return_val_if_fail (ALLAVA_IS_CHAT_VIEW (self), NULL);
  return self->composer;
}

void
allava_chat_view_focus_entry (AllavaChatView *self)
{
  g_return_if_fail (ALLAVA_IS_CHAT_VIEW (self));
  gtk_widget_grab_focus (allava_composer_get_entry (self->composer));
}

void
allava_chat_view_focus_messages (AllavaChatView *self)
{
  g_return_if_fail (ALLAVA_IS_CHAT_VIEW (self));

  guint n = self->conversation ? g_list_model_get_n_items (G_LIST_MODEL (self->conversation)) : 0;
  if (n == 0)
    return;
  gtk_widget_activate_action (GTK_WIDGET (self->list), "list.scroll-to-item", "u", n - 1);
  GtkWidget *last = gtk_widget_get_last_child (GTK_WIDGET (self->list));
  if (last)
    gtk_widget_grab_focus (last);
}

void
allava_chat_view_say (AllavaChatView *self, const char *message)
{
  g_return_if_fail (ALLAVA_IS_CHAT_VIEW (self));
  say (self, message, NULL);
}

/* The list's item at POSITION gets the focus. */
static void
focus_message (AllavaChatView *self, guint position)
{
  gtk_widget_activate_action (GTK_WIDGET (self->list), "list.scroll-to-item", "u", position);
  g_autoptr (AllavaMessage) message =
      g_list_model_get_item (G_LIST_MODEL (self->conversation), position);
  for (GtkWidget *item = gtk_widget_get_first_child (GTK_WIDGET (self->list)); item;
       item = gtk_widget_get_next_sibling (item)) {
    GtkWidget *row = gtk_widget_get_first_child (item);
    if (row && allava_message_row_get_message (ALLAVA_MESSAGE_ROW (row)) == message)
      gtk_widget_grab_focus (item);
  }
}

static void
undo_delete_cb (AllavaConversation *conversation)
{
  allava_conversation_undo_delete (conversation);
}

void
allava_chat_view_delete_message (AllavaChatView *self, AllavaMessage *message)
{
  g_return_if_fail (ALLAVA_IS_CHAT_VIEW (self));

  allava_chat_view_focus_entry (self);
  allava_conversation_delete (self->conversation, message);
  AllavaWindow *window = ALLAVA_WINDOW (gtk_widget_get_root (GTK_WIDGET (self)));
  allava_window_offer_undo (window, _ ("Message deleted"), G_CALLBACK (undo_delete_cb),
                            G_OBJECT (self->conversation));
}

void
allava_chat_view_edit_message (AllavaChatView *self, AllavaMessage *message)
{
  g_return_if_fail (ALLAVA_IS_CHAT_VIEW (self));
  allava_composer_edit (self->composer, message, TRUE);
}

void
allava_chat_view_ask_of_new_image (AllavaChatView *self, AllavaMessage *message)
{
  g_return_if_fail (ALLAVA_IS_CHAT_VIEW (self));
  allava_composer_edit (self->composer, message, FALSE);
  gtk_widget_activate_action (GTK_WIDGET (self), "win.open-images", NULL);
}

void
allava_chat_view_switch_branch (AllavaChatView *self, AllavaMessage *message, int offset)
{
  g_return_if_fail (ALLAVA_IS_CHAT_VIEW (self));

  GListModel *messages = G_LIST_MODEL (self->conversation);
  guint position = 0;
  for (; position < g_list_model_get_n_items (messages); position++) {
    g_autoptr (AllavaMessage) other = g_list_model_get_item (messages, position);
    if (other == message)
      break;
  }
  allava_chat_view_focus_entry (self);
  allava_conversation_switch_sibling (self->conversation, message, offset);
  /* The other version stands where the first one stood. */
  focus_message (self, position);
}

/* ---- The focused message --------------------------------------------------------------------- */

static AllavaMessageRow *
get_focused_row (AllavaChatView *self)
{
  GtkWidget *focus = gtk_root_get_focus (gtk_widget_get_root (GTK_WIDGET (self)));
  if (!focus || !gtk_widget_is_ancestor (focus, GTK_WIDGET (self->list)))
    return NULL;
  GtkWidget *child = gtk_widget_get_first_child (focus);
  if (child && ALLAVA_IS_MESSAGE_ROW (child))
    return ALLAVA_MESSAGE_ROW (child);
  return ALLAVA_MESSAGE_ROW (gtk_widget_get_ancestor (focus, ALLAVA_TYPE_MESSAGE_ROW));
}

static gboolean
message_shortcut_cb (GtkWidget *widget, GVariant *action, gpointer user_data)
{
  AllavaMessageRow *row = get_focused_row (ALLAVA_CHAT_VIEW (widget));
  return row &&
         gtk_widget_activate_action (GTK_WIDGET (row), g_variant_get_string (action, NULL), NULL);
}

static void
popup_menu (AllavaMessageRow *row, const GdkRectangle *at)
{
  g_autoptr (GMenuModel) menu = allava_message_row_dup_menu (row);
  allava_row_menu_popup (GTK_WIDGET (row), menu, at);
}

static gboolean
menu_shortcut_cb (GtkWidget *widget, GVariant *parameters, gpointer user_data)
{
  AllavaMessageRow *row = get_focused_row (ALLAVA_CHAT_VIEW (widget));
  if (!row)
    return FALSE;
  popup_menu (row, NULL);
  return TRUE;
}

static void
right_clicked_cb (GtkGestureClick *gesture, int n, double x, double y, AllavaChatView *self)
{
  GtkWidget *list = GTK_WIDGET (self->list);
  GtkWidget *picked = gtk_widget_pick (list, x, y, GTK_PICK_DEFAULT);
  if (!picked || GTK_IS_LABEL (picked))
    return; /* a text has a menu of its own */
  GtkWidget *row = gtk_widget_get_ancestor (picked, ALLAVA_TYPE_MESSAGE_ROW);
  if (!row)
    return;
  double row_x, row_y;
  gtk_widget_translate_coordinates (list, row, x, y, &row_x, &row_y);
  popup_menu (ALLAVA_MESSAGE_ROW (row), &(GdkRectangle){row_x, row_y, 1, 1});
  gtk_gesture_set_state (GTK_GESTURE (gesture), GTK_EVENT_SEQUENCE_CLAIMED);
}

/* ---- The model ------------------------------------------------------------------------------- */

static void
problem_changed_cb (AllavaChatView *self)
{
  const char *error = allava_generator_get_error (allava_library_get_generator (self->library));
  GtkRoot *root = gtk_widget_get_root (GTK_WIDGET (self));
  GtkWidget *focus = root ? gtk_root_get_focus (root) : NULL;
  if (error) {
    gtk_label_set_text (self->problem_label, error);
    if (!gtk_widget_get_visible (self->problem_box))
      say (self, error, error);
  } else if (focus && gtk_widget_is_ancestor (focus, self->problem_box)) {
    allava_chat_view_focus_entry (self); /* "Try Again" goes away with it */
  }
  gtk_widget_set_visible (self->problem_box, error != NULL);
}

void
allava_chat_view_set_library (AllavaChatView *self, AllavaLibrary *library)
{
  g_return_if_fail (ALLAVA_IS_CHAT_VIEW (self));
  g_return_if_fail (ALLAVA_IS_LIBRARY (library));

  g_set_object (&self->library, library);
  allava_composer_set_library (self->composer, library);
  allava_demo_note_set_library (self->demo_note, library);
  g_signal_connect_object (allava_library_get_generator (library), "notify::error",
                           G_CALLBACK (problem_changed_cb), self, G_CONNECT_SWAPPED);
  problem_changed_cb (self);
}

/* ---- The widget ------------------------------------------------------------------------------ */

/* By Tab; what is clicked is seen already. */
static gboolean
allava_chat_view_focus (GtkWidget *widget, GtkDirectionType direction)
{
  gboolean moved = GTK_WIDGET_CLASS (allava_chat_view_parent_class)->focus (widget, direction);
  if (moved)
    allava_paging_show_focus (GTK_WIDGET (ALLAVA_CHAT_VIEW (widget)->list));
  return moved;
}

static void
allava_chat_view_dispose (GObject *object)
{
  AllavaChatView *self = ALLAVA_CHAT_VIEW (object);
  g_clear_pointer (&self->box, gtk_widget_unparent);
  g_clear_object (&self->conversation_signals);
  g_clear_object (&self->answer_signals);
  g_clear_object (&self->answer);
  g_clear_object (&self->conversation);
  g_clear_object (&self->library);
  G_OBJECT_CLASS (allava_chat_view_parent_class)->dispose (object);
}

static void
add_shortcuts (GtkWidgetClass *widget_class)
{
  static const struct {
    guint key;
    GdkModifierType state;
    const char *action;
  } shortcuts[] = {
      {GDK_KEY_c, GDK_CONTROL_MASK, "message.copy"},
      {GDK_KEY_r, GDK_CONTROL_MASK, "message.regenerate"},
      {GDK_KEY_i, GDK_CONTROL_MASK, "message.details"},
      {GDK_KEY_Delete, 0, "message.delete"},
      {GDK_KEY_F2, 0, "message.edit"},
      {GDK_KEY_Left, GDK_ALT_MASK, "message.previous-branch"},
      {GDK_KEY_Right, GDK_ALT_MASK, "message.next-branch"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (shortcuts); i++)
    gtk_widget_class_add_binding (widget_class, shortcuts[i].key, shortcuts[i].state,
                                  message_shortcut_cb, "s", shortcuts[i].action);
  gtk_widget_class_add_binding (widget_class, GDK_KEY_F10, GDK_SHIFT_MASK, menu_shortcut_cb, NULL);
  gtk_widget_class_add_binding (widget_class, GDK_KEY_Menu, 0, menu_shortcut_cb, NULL);
}

static void
allava_chat_view_class_init (AllavaChatViewClass *klass)
{
  G_OBJECT_CLASS (klass)->dispose = allava_chat_view_dispose;
  GtkWidgetClass *widget_class = GTK_WIDGET_CLASS (klass);
  widget_class->focus = allava_chat_view_focus;
  g_type_ensure (ALLAVA_TYPE_COMPOSER);
  g_type_ensure (ALLAVA_TYPE_DEMO_NOTE);
  g_type_ensure (ALLAVA_TYPE_WRAP_BOX);
  gtk_widget_class_set_template_from_resource (widget_class,
                                               "/org/allava/Allava/allava-chat-view.ui");
  gtk_widget_class_bind_template_child (widget_class, AllavaChatView, box);
  gtk_widget_class_bind_template_child (widget_class, AllavaChatView, stack);
  gtk_widget_class_bind_template_child (widget_class, AllavaChatView, empty_page);
  gtk_widget_class_bind_template_child (widget_class, AllavaChatView, demo_note);
  gtk_widget_class_bind_template_child (widget_class, AllavaChatView, scroller);
  gtk_widget_class_bind_template_child (widget_class, AllavaChatView, list);
  gtk_widget_class_bind_template_child (widget_class, AllavaChatView, end_button);
  gtk_widget_class_bind_template_child (widget_class, AllavaChatView, problem_box);
  gtk_widget_class_bind_template_child (widget_class, AllavaChatView, problem_label);
  gtk_widget_class_bind_template_child (widget_class, AllavaChatView, composer);
  gtk_widget_class_install_action (widget_class, "chat.scroll-to-end", NULL, scroll_to_end_action);
  add_shortcuts (widget_class);
  gtk_widget_class_set_accessible_role (widget_class, GTK_ACCESSIBLE_ROLE_GROUP);
}

static void
watch_conversation (AllavaChatView *self)
{
  static const struct {
    const char *signal;
    GCallback callback;
  } handlers[] = {
      {"items-changed", G_CALLBACK (update_page)},
      {"notify::loading", G_CALLBACK (update_page)},
      {"notify::answer", G_CALLBACK (answer_changed_cb)},
      {"failed", G_CALLBACK (failed_cb)},
  };
  self->conversation_signals = g_signal_group_new (ALLAVA_TYPE_CONVERSATION);
  for (guint i = 0; i < G_N_ELEMENTS (handlers); i++)
    g_signal_group_connect_swapped (self->conversation_signals, handlers[i].signal,
                                    handlers[i].callback, self);
  self->answer_signals = g_signal_group_new (ALLAVA_TYPE_MESSAGE);
  g_signal_group_connect_swapped (self->answer_signals, "notify::text", G_CALLBACK (answer_grew_cb),
                                  self);
}

static void
allava_chat_view_init (AllavaChatView *self)
{
  gtk_widget_init_template (GTK_WIDGET (self));
  self->following = TRUE;
  allava_pages_name_status (self->empty_page);
  watch_conversation (self);

  g_autoptr (GtkListItemFactory) factory = gtk_signal_list_item_factory_new ();
  g_signal_connect (factory, "setup", G_CALLBACK (setup_cb), NULL);
  g_signal_connect (factory, "bind", G_CALLBACK (bind_cb), self);
  g_signal_connect (factory, "unbind", G_CALLBACK (unbind_cb), NULL);
  gtk_list_view_set_factory (self->list, factory);
  allava_paging_add_keys (GTK_WIDGET (self->list));

  GtkGesture *click = gtk_gesture_click_new ();
  gtk_gesture_single_set_button (GTK_GESTURE_SINGLE (click), GDK_BUTTON_SECONDARY);
  g_signal_connect (click, "pressed", G_CALLBACK (right_clicked_cb), self);
  gtk_widget_add_controller (GTK_WIDGET (self->list), GTK_EVENT_CONTROLLER (click));

  GtkAdjustment *adjustment = get_adjustment (self);
  g_signal_connect_object (adjustment, "changed", G_CALLBACK (content_resized_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (adjustment, "value-changed", G_CALLBACK (scrolled_cb), self,
                           G_CONNECT_SWAPPED);
  g_signal_connect_object (self->composer, "sent", G_CALLBACK (sent_cb), self, G_CONNECT_SWAPPED);
}
