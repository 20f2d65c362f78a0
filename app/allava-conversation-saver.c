#include "allava-conversation-saver.h"

typedef struct _Save Save;

/* What the history is to have of a message. */
typedef struct {
  gboolean deleted; /* nothing */
  Save *save;       /* the one on its way that brings it, or NULL */
} Work;

struct _AllavaConversationSaver {
  grefcount ref_count; /* the owner, and each save on its way */
  AllavaHistory *history;
  const AllavaConversationRecord *conversation; /* the owner's; NULL once freed */
  AllavaSaveFailedFunc failed;                  /* likewise */
  AllavaSaveChangedFunc changed;                /* likewise */
  gpointer user_data;
  gboolean failing;
  gboolean amiss;     /* the last save failed and is to be tried again */
  gboolean told;      /* the state that CHANGED was told of */
  guint n_on_the_way; /* saves */
  gboolean conversation_unsaved;
  GHashTable *work;       /* AllavaMessage -> Work */
  AllavaMessage *growing; /* has new text, which goes when no save is on its way; or NULL */
};

/* A save on its way. */
struct _Save {
  AllavaConversationSaver *self;
  gboolean conversation;
};

static void
saver_unref (AllavaConversationSaver *self)
{
  if (!g_ref_count_dec (&self->ref_count))
    return;
  g_clear_object (&self->history);
  g_clear_object (&self->growing);
  g_hash_table_unref (self->work);
  g_free (self);
}

AllavaConversationSaver *
allava_conversation_saver_new (AllavaHistory *history,
                               const AllavaConversationRecord *conversation,
                               AllavaSaveFailedFunc failed,
                               AllavaSaveChangedFunc changed,
                               gpointer user_data)
{
  AllavaConversationSaver *self = g_new0 (AllavaConversationSaver, 1);
  g_ref_count_init (&self->ref_count);
  self->history = history != NULL ? g_object_ref (history) : NULL;
  self->conversation = conversation;
  self->failed = failed;
  self->changed = changed;
  self->user_data = user_data;
  self->told = TRUE;
  self->work = g_hash_table_new_full (NULL, NULL, g_object_unref, g_free);
  return self;
}

void
allava_conversation_saver_free (AllavaConversationSaver *self)
{
  self->conversation = NULL;
  self->failed = NULL;
  self->changed = NULL;
  saver_unref (self);
}

gboolean
allava_conversation_saver_has_failed (AllavaConversationSaver *self)
{
  GHashTableIter iter;
  gpointer work;
  g_hash_table_iter_init (&iter, self->work);
  while (g_hash_table_iter_next (&iter, NULL, &work))
    if (((Work *)work)->save == NULL)
      return TRUE;
  return self->conversation_unsaved;
}

gboolean
allava_conversation_saver_is_done (AllavaConversationSaver *self)
{
  return self->n_on_the_way == 0 && self->growing == NULL &&
         !allava_conversation_saver_has_failed (self);
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
         !self->amiss && !allava_conversation_saver_has_failed (self);
}

/* Of what SAVE brought, only that which nothing later is on its way to bring is left to do. */
static void
end_work (AllavaConversationSaver *self, const Save *save)
{
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, self->work);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    Work *work = value;
    if (work->save != save)
      continue;
    work->save = NULL;
    if (!self->amiss)
      g_hash_table_iter_remove (&iter);
  }
  self->conversation_unsaved |= self->amiss && save->conversation;
}

static void send (AllavaConversationSaver *self, gboolean conversation_changed);

static void
saved_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Save *save = user_data;
  AllavaConversationSaver *self = save->self;
  g_autoptr (GError) error = NULL;
  self->n_on_the_way--;
  allava_history_finish (ALLAVA_HISTORY (source), result, &error);
  self->amiss = error != NULL && !is_gone (self, error);
  end_work (self, save);
  report (self, error);
  if (self->growing != NULL && self->n_on_the_way == 0 && self->conversation != NULL)
    send (self, FALSE);
  tell (self);
  saver_unref (self);
}

static void
add_work (AllavaConversationSaver *self, AllavaMessage *message, gboolean deleted)
{
  Work *work = g_new0 (Work, 1);
  work->deleted = deleted;
  g_hash_table_insert (self->work, g_object_ref (message), work);
}

/* Sends all that is not on its way. */
static void
send (AllavaConversationSaver *self, gboolean conversation_changed)
{
  Save *save = g_new (Save, 1);
  *save = (Save){self, conversation_changed || self->conversation_unsaved};
  self->conversation_unsaved = FALSE;
  if (self->growing != NULL)
    add_work (self, self->growing, FALSE);
  g_clear_object (&self->growing);

  g_autoptr (GPtrArray) records =
      g_ptr_array_new_with_free_func ((GDestroyNotify)allava_message_record_free);
  g_autoptr (GArray) deleted = g_array_new (FALSE, FALSE, sizeof (gint64));
  GHashTableIter iter;
  gpointer message, value;
  g_hash_table_iter_init (&iter, self->work);
  while (g_hash_table_iter_next (&iter, &message, &value)) {
    Work *work = value;
    gint64 id = allava_message_get_id (message);
    if (work->save != NULL)
      continue;
    work->save = save;
    if (work->deleted)
      g_array_append_val (deleted, id);
    else
      g_ptr_array_add (records, allava_message_record_new (message, self->conversation->id));
  }
  g_ref_count_inc (&self->ref_count);
  self->n_on_the_way++;
  allava_history_save_async (self->history, save->conversation ? self->conversation : NULL, records,
                             deleted, saved_cb, save);
}

void
allava_conversation_saver_save (AllavaConversationSaver *self,
                                GPtrArray *messages,
                                GPtrArray *deleted)
{
  if (self->history == NULL)
    return;
  for (guint i = 0; i < messages->len; i++)
    add_work (self, messages->pdata[i], FALSE);
  for (guint i = 0; deleted != NULL && i < deleted->len; i++)
    add_work (self, deleted->pdata[i], TRUE);
  self->failing = FALSE; /* who does something is told again that it is not saved */
  send (self, TRUE);
  tell (self);
}

void
allava_conversation_saver_save_answer (AllavaConversationSaver *self,
                                       AllavaMessage *answer,
                                       gboolean done)
{
  if (self->history == NULL)
    return;
  g_set_object (&self->growing, answer);
  if (done || self->n_on_the_way == 0)
    send (self, done);
  tell (self);
}

void
allava_conversation_saver_retry (AllavaConversationSaver *self)
{
  if (!allava_conversation_saver_has_failed (self))
    return;
  send (self, FALSE);
  tell (self);
}
