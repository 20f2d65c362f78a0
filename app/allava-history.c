#include "allava-history.h"

#include <glib/gi18n-lib.h>

#include "allava-history-jobs.h"
#include "allava-worker.h"

struct _AllavaHistory {
  GObject parent_instance;
  char *folder;
  AllavaImageStore *images;
  AllavaWorker *worker;          /* NULL once closed */
  AllavaHistoryContext *context; /* the history thread's, until the worker is joined */
  gboolean open;
};

enum {
  PROP_0,
  PROP_OPEN,
  N_PROPS,
};

enum {
  SIGNAL_CHANGED,
  SIGNAL_FAILED,
  N_SIGNALS,
};

static GParamSpec *properties[N_PROPS];
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (AllavaHistory, allava_history, G_TYPE_OBJECT)

/* ---- Object ---------------------------------------------------------------------------------- */

static void
close_database (gpointer data)
{
  AllavaHistoryContext *context = data;
  g_clear_pointer (&context->database, allava_database_close);
}

static void
closed (gpointer data)
{
}

static void
allava_history_dispose (GObject *object)
{
  AllavaHistory *self = ALLAVA_HISTORY (object);
  if (self->worker != NULL)
    allava_worker_push (self->worker, close_database, closed, self->context);
  g_clear_pointer (&self->worker, allava_worker_join);
  g_clear_pointer (&self->context, g_free);
  g_clear_object (&self->images);
  G_OBJECT_CLASS (allava_history_parent_class)->dispose (object);
}

static void
allava_history_finalize (GObject *object)
{
  g_free (ALLAVA_HISTORY (object)->folder);
  G_OBJECT_CLASS (allava_history_parent_class)->finalize (object);
}

static void
allava_history_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  if (id == PROP_OPEN)
    g_value_set_boolean (value, ALLAVA_HISTORY (object)->open);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
allava_history_class_init (AllavaHistoryClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->dispose = allava_history_dispose;
  object_class->finalize = allava_history_finalize;
  object_class->get_property = allava_history_get_property;

  properties[PROP_OPEN] =
      g_param_spec_boolean ("open", NULL, NULL, FALSE,
                            G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS);
  g_object_class_install_properties (object_class, N_PROPS, properties);

  signals[SIGNAL_CHANGED] = g_signal_new ("changed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST,
                                          0, NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_INT64);
  signals[SIGNAL_FAILED] = g_signal_new ("failed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0,
                                         NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
allava_history_init (AllavaHistory *self)
{
}

AllavaHistory *
allava_history_new (const char *folder)
{
  g_return_val_if_fail (folder != NULL, NULL);
  AllavaHistory *self = g_object_new (ALLAVA_TYPE_HISTORY, NULL);
  self->folder = g_strdup (folder);
  self->images = allava_image_store_new (folder);
  self->context = g_new0 (AllavaHistoryContext, 1);
  self->context->folder = self->folder;
  self->context->images = self->images;
  self->worker = allava_worker_new ("history");
  return self;
}

const char *
allava_history_get_folder (AllavaHistory *self)
{
  g_return_val_if_fail (ALLAVA_IS_HISTORY (self), NULL);
  return self->folder;
}

AllavaImageStore *
allava_history_get_images (AllavaHistory *self)
{
  g_return_val_if_fail (ALLAVA_IS_HISTORY (self), NULL);
  return self->images;
}

gboolean
allava_history_get_open (AllavaHistory *self)
{
  g_return_val_if_fail (ALLAVA_IS_HISTORY (self), FALSE);
  return self->open;
}

/* ---- Requests -------------------------------------------------------------------------------- */

/* A request on its way to the history thread and back. */
typedef struct {
  AllavaHistoryContext *context;
  AllavaHistoryJob func;
  AllavaHistoryRequest *request;
  GTask *task;
  gpointer result;
  GDestroyNotify result_free;
  GError *error;
} Entry;

static gboolean
needs_database (AllavaHistoryJob func)
{
  return func != allava_history_open_job && func != allava_history_close_job &&
         func != allava_history_delete_all_job;
}

static void
run_entry (gpointer data)
{
  Entry *entry = data;
  if (g_cancellable_set_error_if_cancelled (g_task_get_cancellable (entry->task), &entry->error))
    return;
  if (entry->context->database == NULL && needs_database (entry->func))
    g_set_error_literal (&entry->error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_CLOSED,
                         _ ("The history could not be opened; choose “Try Again” in the list of "
                            "conversations, then do this once more"));
  else
    entry->result = entry->func (entry->context, entry->request, &entry->error);
  g_assert ((entry->result != NULL) == (entry->error == NULL));
}

static void
complete_entry (gpointer data)
{
  g_autofree Entry *entry = data;
  g_autoptr (GTask) task = entry->task;
  if (entry->error != NULL)
    g_task_return_error (task, entry->error);
  else
    g_task_return_pointer (task, entry->result, entry->result_free);
  allava_history_request_free (entry->request);
}

/* Pushes a job for the caller's task. REQUEST and TASK are taken over. */
static void
push (AllavaHistory *self,
      AllavaHistoryJob func,
      AllavaHistoryRequest *request,
      GDestroyNotify result_free,
      GTask *task)
{
  Entry *entry = g_new0 (Entry, 1);
  *entry = (Entry){
      .context = self->context,
      .func = func,
      .request = request,
      .task = task,
      .result_free = result_free,
  };
  if (self->worker != NULL) {
    allava_worker_push (self->worker, run_entry, complete_entry, entry);
    return;
  }
  g_set_error_literal (&entry->error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_CLOSED,
                       _ ("The history is closed"));
  complete_entry (entry);
}

/* The caller's callback of a change, with the conversation that "changed" tells of (-1: none). */
typedef struct {
  GTask *task;
  gint64 id;
} Change;

static void
change_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AllavaHistory *self = ALLAVA_HISTORY (source);
  g_autofree Change *change = user_data;
  g_autoptr (GTask) task = change->task;
  GError *error = NULL;
  gboolean done = g_task_propagate_pointer (G_TASK (result), &error) != NULL;
  if (done && change->id >= 0)
    g_signal_emit (self, signals[SIGNAL_CHANGED], 0, change->id);
  else if (change->id == 0) /* of everything a part may have gone */
    g_signal_emit (self, signals[SIGNAL_CHANGED], 0, (gint64)-1);
  if (done) {
    g_task_return_boolean (task, TRUE);
  } else {
    /* A closed history has told why when it was opened. */
    if (g_task_get_task_data (task) != NULL &&
        !g_error_matches (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_CLOSED))
      g_signal_emit (self, signals[SIGNAL_FAILED], 0, error);
    g_task_return_error (task, error);
  }
}

/* Pushes a job that changes something. */
static void
push_change (AllavaHistory *self,
             AllavaHistoryJob func,
             AllavaHistoryRequest *request,
             gint64 changed,
             GAsyncReadyCallback callback,
             gpointer user_data)
{
  Change *change = g_new (Change, 1);
  change->task = g_task_new (self, NULL, callback, user_data);
  change->id = changed;
  g_task_set_source_tag (change->task, allava_history_finish);
  g_task_set_task_data (change->task, callback == NULL ? self : NULL, NULL);
  push (self, func, request, NULL, g_task_new (self, NULL, change_cb, change));
}

gboolean
allava_history_finish (AllavaHistory *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
opened_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AllavaHistory *self = ALLAVA_HISTORY (source);
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  if (g_task_propagate_pointer (G_TASK (result), &error) == NULL) {
    g_task_return_error (task, error);
    return;
  }
  self->open = TRUE;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_OPEN]);
  g_task_return_boolean (task, TRUE);
  /* After what the caller asks for first. */
  allava_history_purge_async (self, NULL, NULL);
}

void
allava_history_open_async (AllavaHistory *self, GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_HISTORY (self));
  GTask *task = g_task_new (self, NULL, callback, user_data);
  g_task_set_source_tag (task, allava_history_open_async);
  push (self, allava_history_open_job, g_new0 (AllavaHistoryRequest, 1), NULL,
        g_task_new (self, NULL, opened_cb, task));
}

gboolean
allava_history_open_finish (AllavaHistory *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), FALSE);
  return g_task_propagate_boolean (G_TASK (result), error);
}

static void
closed_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  AllavaHistory *self = ALLAVA_HISTORY (source);
  g_autoptr (GTask) task = user_data;
  g_task_propagate_pointer (G_TASK (result), NULL);
  g_clear_pointer (&self->worker, allava_worker_join);
  self->open = FALSE;
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_OPEN]);
  g_task_return_boolean (task, TRUE);
}

void
allava_history_close_async (AllavaHistory *self, GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_HISTORY (self));
  GTask *task = g_task_new (self, NULL, callback, user_data);
  g_task_set_source_tag (task, allava_history_finish);
  push (self, allava_history_close_job, g_new0 (AllavaHistoryRequest, 1), NULL,
        g_task_new (self, NULL, closed_cb, task));
}

void
allava_history_save_async (AllavaHistory *self,
                           const AllavaConversationRecord *conversation,
                           GPtrArray *messages,
                           GArray *deleted,
                           GAsyncReadyCallback callback,
                           gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_HISTORY (self));
  AllavaHistoryRequest *request = g_new0 (AllavaHistoryRequest, 1);
  if (conversation != NULL) {
    request->conversation = g_new (AllavaConversationRecord, 1);
    *request->conversation = *conversation;
    request->conversation->title = g_strdup (conversation->title);
  }
  request->messages = messages != NULL ? g_ptr_array_ref (messages) : NULL;
  request->array = deleted != NULL ? g_array_ref (deleted) : NULL;
  push_change (self, allava_history_save_job, request, conversation != NULL ? conversation->id : -1,
               callback, user_data);
}

static AllavaHistoryRequest *
request_for_id (gint64 id)
{
  AllavaHistoryRequest *request = g_new0 (AllavaHistoryRequest, 1);
  request->id = id;
  return request;
}

void
allava_history_load_async (AllavaHistory *self,
                           gint64 id,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_HISTORY (self));
  GTask *task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, allava_history_load_async);
  push (self, allava_history_load_job, request_for_id (id),
        (GDestroyNotify)allava_conversation_content_free, task);
}

AllavaConversationContent *
allava_history_load_finish (AllavaHistory *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

void
allava_history_rename_async (AllavaHistory *self,
                             gint64 id,
                             const char *title,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_HISTORY (self));
  g_return_if_fail (title != NULL);
  AllavaHistoryRequest *request = request_for_id (id);
  request->text = g_strdup (title);
  push_change (self, allava_history_rename_job, request, id, callback, user_data);
}

void
allava_history_delete_async (AllavaHistory *self,
                             gint64 id,
                             GAsyncReadyCallback callback,
                             gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_HISTORY (self));
  AllavaHistoryRequest *request = request_for_id (id);
  request->flag = TRUE;
  push_change (self, allava_history_set_deleted_job, request, id, callback, user_data);
}

void
allava_history_undelete_async (AllavaHistory *self,
                               gint64 id,
                               GAsyncReadyCallback callback,
                               gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_HISTORY (self));
  push_change (self, allava_history_set_deleted_job, request_for_id (id), id, callback, user_data);
}

void
allava_history_purge_async (AllavaHistory *self, GAsyncReadyCallback callback, gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_HISTORY (self));
  push_change (self, allava_history_purge_job, g_new0 (AllavaHistoryRequest, 1), -1, callback,
               user_data);
}

void
allava_history_delete_all_async (AllavaHistory *self,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_HISTORY (self));
  push_change (self, allava_history_delete_all_job, g_new0 (AllavaHistoryRequest, 1), 0, callback,
               user_data);
}

void
allava_history_list_async (AllavaHistory *self,
                           const char *query,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_HISTORY (self));
  GTask *task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, allava_history_list_async);
  AllavaHistoryRequest *request = g_new0 (AllavaHistoryRequest, 1);
  request->text = g_strdup (query);
  push (self, allava_history_list_job, request, (GDestroyNotify)g_array_unref, task);
}

GArray *
allava_history_list_finish (AllavaHistory *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

void
allava_history_lines_async (AllavaHistory *self,
                            GArray *keys,
                            const char *query,
                            GCancellable *cancellable,
                            GAsyncReadyCallback callback,
                            gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_HISTORY (self));
  g_return_if_fail (keys != NULL);
  GTask *task = g_task_new (self, cancellable, callback, user_data);
  g_task_set_source_tag (task, allava_history_lines_async);
  AllavaHistoryRequest *request = g_new0 (AllavaHistoryRequest, 1);
  request->array = g_array_ref (keys);
  request->text = g_strdup (query);
  push (self, allava_history_lines_job, request, (GDestroyNotify)g_ptr_array_unref, task);
}

GPtrArray *
allava_history_lines_finish (AllavaHistory *self, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, self), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}
