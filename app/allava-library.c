#include "allava-library.h"

struct _AllavaLibrary {
  GObject parent_instance;
  AllavaSettings *settings;
  AllavaHistory *history;
  AllavaGenerator *generator;
  AllavaConversationList *list;
  GPtrArray *conversations; /* GWeakRef, those that are open */
  GHashTable *unsaved;      /* AllavaConversation, held until the history has all of it */
};

G_DEFINE_FINAL_TYPE (AllavaLibrary, allava_library, G_TYPE_OBJECT)

static void
weak_ref_free (GWeakRef *ref)
{
  g_weak_ref_clear (ref);
  g_free (ref);
}

static void
allava_library_dispose (GObject *object)
{
  AllavaLibrary *self = ALLAVA_LIBRARY (object);
  if (self->generator != NULL)
    allava_generator_shut (self->generator);
  g_hash_table_remove_all (self->unsaved);
  g_clear_object (&self->list);
  g_clear_object (&self->generator);
  g_clear_object (&self->history);
  g_clear_object (&self->settings);
  G_OBJECT_CLASS (allava_library_parent_class)->dispose (object);
}

static void
allava_library_finalize (GObject *object)
{
  g_hash_table_unref (ALLAVA_LIBRARY (object)->unsaved);
  g_ptr_array_unref (ALLAVA_LIBRARY (object)->conversations);
  G_OBJECT_CLASS (allava_library_parent_class)->finalize (object);
}

static void
allava_library_class_init (AllavaLibraryClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->dispose = allava_library_dispose;
  object_class->finalize = allava_library_finalize;
}

static void
allava_library_init (AllavaLibrary *self)
{
  self->conversations = g_ptr_array_new_with_free_func ((GDestroyNotify)weak_ref_free);
  self->unsaved = g_hash_table_new_full (NULL, NULL, g_object_unref, NULL);
}

/* When one conversation could be saved, what could not is tried again. Who deletes all means what
 * could not be saved too. */
static void
history_changed_cb (AllavaLibrary *self, gint64 id)
{
  if (id == 0)
    g_hash_table_remove_all (self->unsaved);
  if (id <= 0)
    return;
  g_autoptr (GList) unsaved = g_hash_table_get_keys (self->unsaved);
  for (GList *at = unsaved; at != NULL; at = at->next)
    allava_conversation_retry_save (at->data);
}

AllavaLibrary *
allava_library_new (const char *folder,
                    AllavaSettings *settings,
                    const AllavaGeneratorBackend *backend)
{
  g_return_val_if_fail (folder != NULL, NULL);
  g_return_val_if_fail (ALLAVA_IS_SETTINGS (settings), NULL);
  AllavaLibrary *self = g_object_new (ALLAVA_TYPE_LIBRARY, NULL);
  self->settings = g_object_ref (settings);
  self->history = allava_history_new (folder);
  self->generator = allava_generator_new (settings, backend);
  self->list = allava_conversation_list_new (self->history);
  g_signal_connect_object (self->history, "changed", G_CALLBACK (history_changed_cb), self,
                           G_CONNECT_SWAPPED);
  return self;
}

char *
allava_library_dup_default_folder (void)
{
  return g_build_filename (g_get_user_data_dir (), "allava", NULL);
}

const char *
allava_library_get_folder (AllavaLibrary *self)
{
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (self), NULL);
  return allava_history_get_folder (self->history);
}

char *
allava_library_dup_models_folder (AllavaLibrary *self)
{
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (self), NULL);
  const char *chosen = allava_settings_get_models_folder (self->settings);
  return *chosen != '\0' ? g_strdup (chosen)
                         : g_build_filename (allava_library_get_folder (self), "models", NULL);
}

AllavaSettings *
allava_library_get_settings (AllavaLibrary *self)
{
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (self), NULL);
  return self->settings;
}

AllavaHistory *
allava_library_get_history (AllavaLibrary *self)
{
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (self), NULL);
  return self->history;
}

AllavaImageStore *
allava_library_get_images (AllavaLibrary *self)
{
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (self), NULL);
  return allava_history_get_images (self->history);
}

AllavaGenerator *
allava_library_get_generator (AllavaLibrary *self)
{
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (self), NULL);
  return self->generator;
}

AllavaConversationList *
allava_library_get_list (AllavaLibrary *self)
{
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (self), NULL);
  return self->list;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void
opened_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  if (allava_history_open_finish (ALLAVA_HISTORY (source), result, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

void
allava_library_open_async (AllavaLibrary *self, GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_LIBRARY (self));
  GTask *task = g_task_new (self, NULL, callback, user_data);
  g_task_set_source_tag (task, allava_library_open_async);
  allava_history_open_async (self->history, opened_cb, task);
}

gboolean
allava_library_open_finish (AllavaLibrary *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}

/* ---- Conversations --------------------------------------------------------------------------- */

static void
unsaved_cb (AllavaLibrary *self, GParamSpec *pspec, AllavaConversation *conversation)
{
  if (allava_conversation_get_unsaved (conversation))
    g_hash_table_add (self->unsaved, g_object_ref (conversation));
  else
    g_hash_table_remove (self->unsaved, conversation);
}

static void
remember (AllavaLibrary *self, AllavaConversation *conversation)
{
  GWeakRef *ref = g_new (GWeakRef, 1);
  g_weak_ref_init (ref, conversation);
  g_ptr_array_add (self->conversations, ref);
  g_signal_connect_object (conversation, "notify::unsaved", G_CALLBACK (unsaved_cb), self,
                           G_CONNECT_SWAPPED);
}

/* Those that are open; forgets the others. The caller owns the array and the conversations. */
static GPtrArray *
dup_open (AllavaLibrary *self)
{
  GPtrArray *open = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = self->conversations->len; i > 0; i--) {
    gpointer conversation = g_weak_ref_get (self->conversations->pdata[i - 1]);
    if (conversation != NULL)
      g_ptr_array_add (open, conversation);
    else
      g_ptr_array_remove_index_fast (self->conversations, i - 1);
  }
  return open;
}

AllavaConversation *
allava_library_new_conversation (AllavaLibrary *self)
{
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (self), NULL);
  AllavaConversation *conversation = allava_conversation_new (self->history, self->generator);
  remember (self, conversation);
  return conversation;
}

AllavaConversation *
allava_library_dup_conversation (AllavaLibrary *self, gint64 id)
{
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (self), NULL);
  g_return_val_if_fail (id != 0, NULL);
  g_autoptr (GPtrArray) open = dup_open (self);
  for (guint i = 0; i < open->len; i++)
    if (allava_conversation_get_id (open->pdata[i]) == id)
      return g_object_ref (open->pdata[i]);
  AllavaConversation *conversation =
      allava_conversation_new_for_id (self->history, self->generator, id);
  remember (self, conversation);
  return conversation;
}

gboolean
allava_library_has_failed (AllavaLibrary *self)
{
  g_return_val_if_fail (ALLAVA_IS_LIBRARY (self), FALSE);
  GHashTableIter iter;
  gpointer conversation;
  g_hash_table_iter_init (&iter, self->unsaved);
  while (g_hash_table_iter_next (&iter, &conversation, NULL))
    if (allava_conversation_has_failed (conversation))
      return TRUE;
  return FALSE;
}

void
allava_library_stop (AllavaLibrary *self, gint64 id)
{
  g_return_if_fail (ALLAVA_IS_LIBRARY (self));
  g_autoptr (GPtrArray) open = dup_open (self);
  for (guint i = 0; i < open->len; i++)
    if (id == 0 || allava_conversation_get_id (open->pdata[i]) == id)
      allava_conversation_stop (open->pdata[i]);
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void
closed_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  if (allava_history_finish (ALLAVA_HISTORY (source), result, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

void
allava_library_close_async (AllavaLibrary *self, GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_LIBRARY (self));
  GTask *task = g_task_new (self, NULL, callback, user_data);
  g_task_set_source_tag (task, allava_library_close_async);
  /* The generator first: it delivers what text there is. */
  allava_generator_shut (self->generator);
  g_autoptr (GPtrArray) open = dup_open (self);
  for (guint i = 0; i < open->len; i++) {
    allava_conversation_shut (open->pdata[i]);
    allava_conversation_retry_save (open->pdata[i]);
  }
  allava_history_close_async (self->history, closed_cb, task);
}

gboolean
allava_library_close_finish (AllavaLibrary *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}
