#include "allava-conversation-saver.h"

struct _AllavaConversationSaver {
  grefcount ref_count; /* the owner, and each save on its way */
  AllavaHistory *history;
  AllavaSaveFailedFunc failed;   /* NULL once freed */
  AllavaSaveChangedFunc changed; /* likewise */
  gpointer user_data;
  gboolean failing;
  gboolean amiss;     /* the last save failed and is to be tried again */
  gboolean told;      /* the state that CHANGED was told of */
  guint n_on_the_way; /* saves */
  gboolean conversation_unsaved;
  GHashTable *unsaved; /* AllavaMessage */
};

/* A save on its way. */
typedef struct {
  AllavaConversationSaver *self;
  gboolean conversation;
  GPtrArray *messages; /* AllavaMessage */
} Save;

static void
saver_unref (AllavaConversationSaver *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;
  g_clear_object (&self->history);
  g_hash_table_unref (self->unsaved);
  g_free (self);
}

AllavaConversationSaver *
allava_conversation_saver_new (AllavaHistory *history,
                               AllavaSaveFailedFunc failed,
                               AllavaSaveChangedFunc changed,
                               gpointer user_data)
{
  AllavaConversationSaver *self = g_new0 (AllavaConversationSaver, 1);
  g_ref_count_init (&self->ref_count);
  self->history = history != NULL ? g_object_ref (history) : NULL;
  self->failed = failed;
  self->changed = changed;
  self->user_data = user_data;
  self->told = TRUE;
  self->unsaved = g_hash_table_new_full (NULL, NULL, g_object_unref, NULL);
  return self;
}

void
allava_conversation_saver_free (AllavaConversationSaver *self)
{
  self->failed = NULL;
  self->changed = NULL;
  saver_unref (self);
}

static gboolean
has_unsaved (AllavaConversationSaver *self)
{
  return self->conversation_unsaved || g_hash_table_size (self->unsaved) > 0;
}

gboolean
allava_conversation_saver_is_done (AllavaConversationSaver *self)
{
  return self->n_on_the_way == 0 && !has_unsaved (self);
}

static void
tell (AllavaConversationSaver *self)
{
  gboolean done = allava_conversation_saver_is_done (self);
  if (self->told == done || self->changed == NULL)
    return;
  self->told = done;
  self->changed (self->user_data);
}

/* Where the history is closed it has said so; a conversation that is gone was deleted. */
static gboolean
is_silent (const GError *error)
{
  return g_error_matches (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_CLOSED) ||
         g_error_matches (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_NOT_FOUND);
}

static void
report (AllavaConversationSaver *self, const GError *error)
{
  if (error != NULL && is_silent (error))
    return;
  gboolean first = !self->failing;
  self->failing = error != NULL;
  if (error != NULL && first && self->failed != NULL)
    self->failed (error, self->user_data);
}

/* Whether the conversation was deleted. Where a save before failed too, it may never have been
 * written. */
static gboolean
is_gone (AllavaConversationSaver *self, const GError *error)
{
  return g_error_matches (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_NOT_FOUND) &&
         !self->amiss && !has_unsaved (self);
}

static void
saved_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Save *save = user_data;
  AllavaConversationSaver *self = save->self;
  g_autoptr (GPtrArray) messages = save->messages;
  g_autoptr (GError) error = NULL;
  self->n_on_the_way--;
  allava_history_finish (ALLAVA_HISTORY (source), result, &error);
  self->amiss = error != NULL && !is_gone (self, error);
  if (self->amiss) {
    self->conversation_unsaved |= save->conversation;
    for (guint i = 0; i < messages->len; i++)
      g_hash_table_add (self->unsaved, g_object_ref (messages->pdata[i]));
  }
  report (self, error);
  tell (self);
  saver_unref (self);
}

/* MESSAGES and what is unsaved, once each. */
static GPtrArray *
collect (AllavaConversationSaver *self, GPtrArray *messages)
{
  GPtrArray *all = g_ptr_array_new_with_free_func (g_object_unref);
  GHashTableIter iter;
  gpointer message;
  for (guint i = 0; i < messages->len; i++)
    g_ptr_array_add (all, g_object_ref (messages->pdata[i]));
  g_hash_table_iter_init (&iter, self->unsaved);
  while (g_hash_table_iter_next (&iter, &message, NULL))
    if (!g_ptr_array_find (messages, message, NULL))
      g_ptr_array_add (all, g_object_ref (message));
  g_hash_table_remove_all (self->unsaved);
  return all;
}

void
allava_conversation_saver_save (AllavaConversationSaver *self,
                                const AllavaConversationRecord *conversation,
                                gboolean conversation_changed,
                                GPtrArray *messages)
{
  if (self->history == NULL)
    return;
  Save *save = g_new (Save, 1);
  save->self = self;
  save->conversation = conversation_changed || self->conversation_unsaved;
  save->messages = collect (self, messages);
  self->conversation_unsaved = FALSE;

  g_autoptr (GPtrArray) records =
      g_ptr_array_new_with_free_func ((GDestroyNotify)allava_message_record_free);
  for (guint i = 0; i < save->messages->len; i++)
    g_ptr_array_add (records,
                     allava_message_record_new (save->messages->pdata[i], conversation->id));
  g_ref_count_inc (&self->ref_count);
  self->n_on_the_way++;
  allava_history_save_async (self->history, save->conversation ? conversation : NULL, records,
                             saved_cb, save);
  tell (self);
}

void
allava_conversation_saver_retry (AllavaConversationSaver *self,
                                 const AllavaConversationRecord *conversation)
{
  g_autoptr (GPtrArray) nothing_new = g_ptr_array_new ();
  if (has_unsaved (self))
    allava_conversation_saver_save (self, conversation, FALSE, nothing_new);
}

static void
deleted_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AllavaConversationSaver *self = user_data;
  g_autoptr (GError) error = NULL;
  allava_history_finish (ALLAVA_HISTORY (source), result, &error);
  report (self, error);
  saver_unref (self);
}

void
allava_conversation_saver_delete (AllavaConversationSaver *self,
                                  gint64 conversation_id,
                                  GPtrArray *messages)
{
  if (self->history == NULL)
    return;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (guint i = 0; i < messages->len; i++) {
    gint64 id = allava_message_get_id (messages->pdata[i]);
    g_array_append_val (ids, id);
    g_hash_table_remove (self->unsaved, messages->pdata[i]);
  }
  tell (self);
  g_ref_count_inc (&self->ref_count);
  allava_history_delete_messages_async (self->history, conversation_id, ids, deleted_cb, self);
}
