/* Asking, answering, and saving what is said meanwhile. */
#include <string.h>

#include <glib/gi18n-lib.h>

#include "allava-conversation-private.h"

/* However slow the disk, less than half a second of text is to be lost when the program dies. */
#define SAVE_MS 150

#define MAX_TITLE_CHARACTERS 80

/* Few tokens have as many bytes as this, and no text has only such. */
#define MAX_TOKEN_BYTES 16

/* Taken for a model's context, tokens, while it is not known. */
#define MAX_CONTEXT_LENGTH (128 * 1024)

static AllavaMessage *
get_last (AllavaConversation *self)
{
  return self->branch->len > 0 ? self->branch->pdata[self->branch->len - 1] : NULL;
}

/* ---- Saving ---------------------------------------------------------------------------------- */

static gboolean
save_cb (gpointer user_data)
{
  AllavaConversation *self = user_data;
  self->save_source = 0;
  allava_conversation_saver_save_answer (self->saver, self->answer, FALSE);
  return G_SOURCE_REMOVE;
}

static void
appended_cb (AllavaMessage *answer, const char *piece, AllavaConversation *self)
{
  if (self->save_source == 0)
    self->save_source = g_timeout_add (SAVE_MS, save_cb, self);
}

/* ---- Answers --------------------------------------------------------------------------------- */

gboolean
allava_conversation_is_idle (AllavaConversation *self)
{
  return self->answer == NULL && !self->loading;
}

/* The answer is in its last state. */
static void
end_answer (AllavaConversation *self)
{
  g_clear_handle_id (&self->save_source, g_source_remove);
  g_signal_handlers_disconnect_by_func (self->answer, appended_cb, self);
  allava_conversation_saver_save_answer (self->saver, self->answer, TRUE);
  g_clear_object (&self->answer);
  g_clear_object (&self->cancellable);
  allava_conversation_notify_answer (self);
  allava_conversation_notify_positions_left (self);
}

static void
answered_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaConversation) self = user_data;
  allava_generator_answer_finish (ALLAVA_GENERATOR (source), result);
  if (self->answer != NULL) /* unless shut */
    end_answer (self);
}

/* ANSWER is the last message shown. MESSAGES is what is new besides it. */
static AllavaMessage *
begin_answer (AllavaConversation *self, AllavaMessage *answer, GPtrArray *messages)
{
  g_clear_pointer (&self->deletion, allava_deletion_free);
  self->answer = g_object_ref (answer);
  self->cancellable = g_cancellable_new ();
  self->record.updated = g_get_real_time ();
  g_signal_connect (answer, "appended", G_CALLBACK (appended_cb), self);
  g_autoptr (GPtrArray) prompt = allava_prompt_new (G_LIST_MODEL (self));
  g_ptr_array_add (messages, answer);
  allava_generator_answer_async (self->generator, prompt, answer, self->cancellable, answered_cb,
                                 g_object_ref (self));
  allava_conversation_saver_save (self->saver, messages, NULL);
  allava_conversation_notify_answer (self);
  return answer;
}

static AllavaMessage *
add_message (AllavaConversation *self,
             gint64 parent_id,
             AllavaRole role,
             const char *text,
             GListModel *images)
{
  g_autoptr (AllavaMessage) message =
      allava_message_new (allava_record_next_id (), role, text, images);
  allava_message_set_parent_id (message, parent_id);
  allava_message_tree_add (self->tree, message);
  return message;
}

/* QUESTION is in the tree; IS_NEW: it has to be saved too. */
static AllavaMessage *
answer_question (AllavaConversation *self, AllavaMessage *question, gboolean is_new)
{
  g_autoptr (GPtrArray) messages = g_ptr_array_new ();
  AllavaMessage *answer =
      add_message (self, allava_message_get_id (question), ALLAVA_ROLE_ASSISTANT, "", NULL);
  allava_conversation_show_branch (self, answer);
  if (is_new)
    g_ptr_array_add (messages, question);
  return begin_answer (self, answer, messages);
}

/* The first line of a question, cut at a word; or what its first image is called. */
static char *
make_title (AllavaMessage *question)
{
  g_autofree char *text = g_strdup (allava_message_get_text (question));
  g_strstrip (text);
  text[strcspn (text, "\r\n")] = '\0';
  if (*text == '\0') {
    g_autoptr (AllavaImage) image = g_list_model_get_item (allava_message_get_images (question), 0);
    return g_strdup (image != NULL && *allava_image_get_name (image) != '\0'
                         ? allava_image_get_name (image)
                         : _ ("Picture"));
  }
  if (g_utf8_strlen (text, -1) <= MAX_TITLE_CHARACTERS)
    return g_steal_pointer (&text);
  *g_utf8_offset_to_pointer (text, MAX_TITLE_CHARACTERS) = '\0';
  char *space = strrchr (text, ' ');
  if (space != NULL && space > text + MAX_TITLE_CHARACTERS / 2)
    *space = '\0';
  return g_strconcat (text, "…", NULL);
}

/* With its first question a conversation comes into being. */
static void
be_born (AllavaConversation *self, AllavaMessage *question)
{
  self->record.id = allava_record_next_id ();
  if (*self->record.title == '\0') {
    g_free (self->record.title);
    self->record.title = make_title (question);
  }
  allava_conversation_notify_born (self);
}

static gboolean
has_content (const char *text, GListModel *images)
{
  g_autofree char *stripped = g_strstrip (g_strdup (text));
  return *stripped != '\0' || (images != NULL && g_list_model_get_n_items (images) > 0);
}

gboolean
allava_conversation_check_length (AllavaConversation *self, const char *text, GError **error)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), FALSE);
  g_return_val_if_fail (text != NULL, FALSE);
  int known = allava_generator_get_context_length (self->generator);
  size_t length = (size_t)(known > 0 ? known : MAX_CONTEXT_LENGTH);
  if (strlen (text) <= length * MAX_TOKEN_BYTES)
    return TRUE;
  g_set_error_literal (
      error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
      _ ("The question is far longer than what the model can read; shorten it and send it again"));
  return FALSE;
}

static AllavaMessage *
ask_below (AllavaConversation *self, gint64 parent_id, const char *text, GListModel *images)
{
  if (!allava_conversation_is_idle (self) || !has_content (text, images))
    return NULL;
  AllavaMessage *question = add_message (self, parent_id, ALLAVA_ROLE_USER, text, images);
  if (self->record.id == 0)
    be_born (self, question);
  return answer_question (self, question, TRUE);
}

AllavaMessage *
allava_conversation_ask (AllavaConversation *self, const char *text, GListModel *images)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), NULL);
  g_return_val_if_fail (text != NULL, NULL);
  AllavaMessage *last = get_last (self);
  return ask_below (self, last != NULL ? allava_message_get_id (last) : 0, text, images);
}

AllavaMessage *
allava_conversation_edit (AllavaConversation *self,
                          AllavaMessage *question,
                          const char *text,
                          GListModel *images)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), NULL);
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (question), NULL);
  g_return_val_if_fail (text != NULL, NULL);
  return ask_below (self, allava_message_get_parent_id (question), text, images);
}

/* What ANSWER answers, or NULL: a database may hold an answer without a question. */
static AllavaMessage *
get_question (AllavaConversation *self, AllavaMessage *answer)
{
  AllavaMessage *parent =
      allava_message_tree_find (self->tree, allava_message_get_parent_id (answer));
  return parent != NULL && allava_message_get_role (parent) == ALLAVA_ROLE_USER ? parent : NULL;
}

AllavaMessage *
allava_conversation_regenerate (AllavaConversation *self, AllavaMessage *message)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), NULL);
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (message), NULL);
  if (allava_message_get_role (message) == ALLAVA_ROLE_ASSISTANT)
    message = get_question (self, message);
  if (message == NULL || !allava_conversation_is_idle (self))
    return NULL;
  return answer_question (self, message, FALSE);
}

gboolean
allava_conversation_can_continue (AllavaConversation *self, AllavaMessage *answer)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), FALSE);
  g_return_val_if_fail (ALLAVA_IS_MESSAGE (answer), FALSE);
  const char *finish = allava_message_get_details (answer)->finish;
  if (!allava_conversation_is_idle (self) || answer != get_last (self) ||
      allava_message_get_role (answer) != ALLAVA_ROLE_ASSISTANT ||
      get_question (self, answer) == NULL || *allava_message_get_text (answer) == '\0')
    return FALSE;
  return allava_message_get_state (answer) != ALLAVA_MESSAGE_COMPLETE ||
         g_strcmp0 (finish, allava_finish_to_string (ALLAVA_FINISH_LENGTH)) == 0;
}

AllavaMessage *
allava_conversation_continue (AllavaConversation *self, AllavaMessage *answer)
{
  if (!allava_conversation_can_continue (self, answer))
    return NULL;
  g_autoptr (GPtrArray) messages = g_ptr_array_new ();
  return begin_answer (self, answer, messages);
}

void
allava_conversation_stop (AllavaConversation *self)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION (self));
  if (self->cancellable != NULL)
    g_cancellable_cancel (self->cancellable);
}

void
allava_conversation_shut (AllavaConversation *self)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION (self));
  allava_conversation_stop (self);
  if (self->answer == NULL)
    return;
  if (allava_message_get_state (self->answer) == ALLAVA_MESSAGE_PARTIAL)
    allava_message_set_state (self->answer, ALLAVA_MESSAGE_STOPPED);
  end_answer (self);
}
