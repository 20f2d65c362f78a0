#include "allava-conversation.h"

#include "allava-conversation-private.h"

enum {
  PROP_0,
  PROP_ID,
  PROP_TITLE,
  PROP_LOADING,
  PROP_ANSWER,
  PROP_BUSY,
  PROP_POSITIONS_LEFT,
  PROP_UNSAVED,
  N_PROPS,
};

enum {
  SIGNAL_FAILED,
  N_SIGNALS,
};

static GParamSpec *properties[N_PROPS];
static guint signals[N_SIGNALS];

static void list_model_init (GListModelInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (AllavaConversation,
                               allava_conversation,
                               G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

/* ---- The branch ------------------------------------------------------------------------------ */

static void
update_siblings (AllavaConversation *self)
{
  for (guint i = 0; i < self->branch->len; i++) {
    AllavaMessage *message = self->branch->pdata[i];
    g_autoptr (GPtrArray) siblings = allava_message_tree_get_siblings (self->tree, message);
    guint index;
    if (g_ptr_array_find (siblings, message, &index))
      allava_message_set_siblings (message, index, siblings->len);
  }
}

void
allava_conversation_show_branch (AllavaConversation *self, AllavaMessage *leaf)
{
  g_autoptr (GPtrArray) old = self->branch;
  self->branch = allava_message_tree_get_branch (self->tree, leaf);
  self->record.active_leaf = leaf != NULL ? allava_message_get_id (leaf) : 0;
  guint same = 0, same_end = 0;
  guint shorter = MIN (old->len, self->branch->len);
  while (same < shorter && old->pdata[same] == self->branch->pdata[same])
    same++;
  while (same_end < shorter - same && old->pdata[old->len - 1 - same_end] ==
                                          self->branch->pdata[self->branch->len - 1 - same_end])
    same_end++;
  update_siblings (self);
  guint removed = old->len - same - same_end, added = self->branch->len - same - same_end;
  if (removed > 0 || added > 0)
    g_list_model_items_changed (G_LIST_MODEL (self), same, removed, added);
  allava_conversation_notify_positions_left (self);
}

static GType
get_item_type (GListModel *model)
{
  return ALLAVA_TYPE_MESSAGE;
}

static guint
get_n_items (GListModel *model)
{
  return ALLAVA_CONVERSATION (model)->branch->len;
}

static gpointer
get_item (GListModel *model, guint position)
{
  AllavaConversation *self = ALLAVA_CONVERSATION (model);
  return position < self->branch->len ? g_object_ref (self->branch->pdata[position]) : NULL;
}

static void
list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

static void
failed_cb (const GError *error, gpointer user_data)
{
  g_signal_emit (user_data, signals[SIGNAL_FAILED], 0, error);
}

static void
unsaved_changed_cb (gpointer user_data)
{
  g_object_notify_by_pspec (user_data, properties[PROP_UNSAVED]);
}

/* What was asked while the history was closed is kept as soon as it is open. */
static void
history_opened_cb (AllavaConversation *self)
{
  if (allava_history_get_open (self->history))
    allava_conversation_retry_save (self);
}

/* ---- Loading --------------------------------------------------------------------------------- */

static void
fill (AllavaConversation *self, const AllavaConversationContent *content)
{
  const char *folder = allava_history_get_folder (self->history);
  for (guint i = 0; i < content->messages->len; i++) {
    g_autoptr (AllavaMessage) message =
        allava_message_record_to_message (content->messages->pdata[i], folder);
    allava_record_note_id (allava_message_get_id (message));
    allava_message_tree_add (self->tree, message);
  }
  g_free (self->record.title);
  self->record.title = g_strdup (content->conversation->title);
  self->record.updated = content->conversation->updated;
  AllavaMessage *leaf = allava_message_tree_find (self->tree, content->conversation->active_leaf);
  if (leaf == NULL)
    leaf = allava_message_tree_get_leaf (self->tree, 0);
  allava_conversation_show_branch (self, leaf);
  allava_conversation_show_message (self, self->wanted);
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaConversation) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaConversationContent) content =
      allava_history_load_finish (ALLAVA_HISTORY (source), result, &error);
  self->loading = FALSE;
  if (content != NULL)
    fill (self, content);
  else
    failed_cb (error, self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_TITLE]);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_LOADING]);
}

/* ---- Object ---------------------------------------------------------------------------------- */

static void
allava_conversation_dispose (GObject *object)
{
  AllavaConversation *self = ALLAVA_CONVERSATION (object);
  g_clear_handle_id (&self->save_source, g_source_remove);
  g_clear_pointer (&self->saver, allava_conversation_saver_free);
  g_clear_object (&self->history);
  g_clear_object (&self->generator);
  G_OBJECT_CLASS (allava_conversation_parent_class)->dispose (object);
}

static void
allava_conversation_finalize (GObject *object)
{
  AllavaConversation *self = ALLAVA_CONVERSATION (object);
  g_assert (self->answer == NULL); /* its task holds the conversation */
  g_clear_pointer (&self->deletion, allava_deletion_free);
  g_ptr_array_unref (self->branch);
  allava_message_tree_free (self->tree);
  g_free (self->record.title);
  G_OBJECT_CLASS (allava_conversation_parent_class)->finalize (object);
}

static void
allava_conversation_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AllavaConversation *self = ALLAVA_CONVERSATION (object);
  switch (id) {
  case PROP_ID:
    g_value_set_int64 (value, self->record.id);
    break;
  case PROP_TITLE:
    g_value_set_string (value, self->record.title);
    break;
  case PROP_LOADING:
    g_value_set_boolean (value, self->loading);
    break;
  case PROP_ANSWER:
    g_value_set_object (value, self->answer);
    break;
  case PROP_BUSY:
    g_value_set_boolean (value, self->answer != NULL);
    break;
  case PROP_POSITIONS_LEFT:
    g_value_set_int (value, allava_conversation_get_positions_left (self));
    break;
  case PROP_UNSAVED:
    g_value_set_boolean (value, allava_conversation_get_unsaved (self));
    break;
  default:
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
  }
}

static void
allava_conversation_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
  if (id == PROP_TITLE)
    allava_conversation_set_title (ALLAVA_CONVERSATION (object), g_value_get_string (value));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
allava_conversation_class_init (AllavaConversationClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->dispose = allava_conversation_dispose;
  object_class->finalize = allava_conversation_finalize;
  object_class->get_property = allava_conversation_get_property;
  object_class->set_property = allava_conversation_set_property;

  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;
  properties[PROP_ID] = g_param_spec_int64 ("id", NULL, NULL, 0, G_MAXINT64, 0, flags);
  properties[PROP_TITLE] = g_param_spec_string ("title", NULL, NULL, "", flags | G_PARAM_WRITABLE);
  properties[PROP_LOADING] = g_param_spec_boolean ("loading", NULL, NULL, FALSE, flags);
  properties[PROP_ANSWER] = g_param_spec_object ("answer", NULL, NULL, ALLAVA_TYPE_MESSAGE, flags);
  properties[PROP_BUSY] = g_param_spec_boolean ("busy", NULL, NULL, FALSE, flags);
  properties[PROP_POSITIONS_LEFT] =
      g_param_spec_int ("positions-left", NULL, NULL, -1, G_MAXINT, -1, flags);
  properties[PROP_UNSAVED] = g_param_spec_boolean ("unsaved", NULL, NULL, FALSE, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);

  signals[SIGNAL_FAILED] = g_signal_new ("failed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0,
                                         NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
allava_conversation_init (AllavaConversation *self)
{
  self->record.title = g_strdup ("");
  self->tree = allava_message_tree_new ();
  self->branch = g_ptr_array_new_with_free_func (g_object_unref);
}

AllavaConversation *
allava_conversation_new (AllavaHistory *history, AllavaGenerator *generator)
{
  g_return_val_if_fail (history == NULL || ALLAVA_IS_HISTORY (history), NULL);
  g_return_val_if_fail (ALLAVA_IS_GENERATOR (generator), NULL);
  AllavaConversation *self = g_object_new (ALLAVA_TYPE_CONVERSATION, NULL);
  self->history = history != NULL ? g_object_ref (history) : NULL;
  self->generator = g_object_ref (generator);
  self->saver =
      allava_conversation_saver_new (history, &self->record, failed_cb, unsaved_changed_cb, self);
  if (history != NULL)
    g_signal_connect_object (history, "notify::open", G_CALLBACK (history_opened_cb), self,
                             G_CONNECT_SWAPPED);
  g_signal_connect_object (generator, "notify::context-length",
                           G_CALLBACK (allava_conversation_notify_positions_left), self,
                           G_CONNECT_SWAPPED);
  return self;
}

AllavaConversation *
allava_conversation_new_for_id (AllavaHistory *history, AllavaGenerator *generator, gint64 id)
{
  g_return_val_if_fail (ALLAVA_IS_HISTORY (history), NULL);
  AllavaConversation *self = allava_conversation_new (history, generator);
  self->record.id = id;
  self->loading = TRUE;
  allava_history_load_async (history, id, NULL, loaded_cb, g_object_ref (self));
  return self;
}

gint64
allava_conversation_get_id (AllavaConversation *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), 0);
  return self->record.id;
}

const char *
allava_conversation_get_title (AllavaConversation *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), NULL);
  return self->record.title;
}

void
allava_conversation_set_title (AllavaConversation *self, const char *title)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION (self));
  g_return_if_fail (title != NULL);
  /* Though it is the same: the history may lack it, where saying so before has failed. */
  if (self->record.id != 0 && self->history != NULL)
    allava_history_rename_async (self->history, self->record.id, title, NULL, NULL);
  if (g_str_equal (self->record.title, title))
    return;
  g_free (self->record.title);
  self->record.title = g_strdup (title);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_TITLE]);
}

gboolean
allava_conversation_get_loading (AllavaConversation *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), FALSE);
  return self->loading;
}

gboolean
allava_conversation_get_busy (AllavaConversation *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), FALSE);
  return self->answer != NULL;
}

AllavaMessage *
allava_conversation_get_answer (AllavaConversation *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), NULL);
  return self->answer;
}

int
allava_conversation_get_positions_left (AllavaConversation *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), -1);
  for (guint i = self->branch->len; i > 0; i--) {
    const AllavaMessageDetails *details = allava_message_get_details (self->branch->pdata[i - 1]);
    if (details->finish != NULL)
      return details->positions_left;
  }
  int length = allava_generator_get_context_length (self->generator);
  return length > 0 && self->branch->len == 0 ? length : -1;
}

gboolean
allava_conversation_get_unsaved (AllavaConversation *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), FALSE);
  return !allava_conversation_saver_is_done (self->saver);
}

gboolean
allava_conversation_has_failed (AllavaConversation *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION (self), FALSE);
  return allava_conversation_saver_has_failed (self->saver);
}

void
allava_conversation_retry_save (AllavaConversation *self)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION (self));
  allava_conversation_saver_retry (self->saver);
}

void
allava_conversation_notify_positions_left (AllavaConversation *self)
{
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_POSITIONS_LEFT]);
}

void
allava_conversation_notify_answer (AllavaConversation *self)
{
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_ANSWER]);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_BUSY]);
}

void
allava_conversation_notify_born (AllavaConversation *self)
{
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_ID]);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_TITLE]);
}
