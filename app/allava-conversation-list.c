#include "allava-conversation-list.h"

struct _AllavaConversationList {
  GObject parent_instance;
  AllavaHistory *history;
  char *query;
  GArray *keys;       /* AllavaConversationKey, what the list shows */
  GHashTable *items;  /* id -> AllavaConversationItem that someone holds; borrowed */
  GHashTable *wanted; /* ids of items to be filled by the next request */
  guint fill_source;
  guint reload_source;
  GCancellable *reloading;           /* or NULL */
  gint64 days[ALLAVA_SECTION_OLDER]; /* when each section begins */
};

enum {
  PROP_0,
  PROP_QUERY,
  PROP_LOADING,
  N_PROPS,
};

enum {
  SIGNAL_FAILED,
  N_SIGNALS,
};

static GParamSpec *properties[N_PROPS];
static guint signals[N_SIGNALS];

static void list_model_init (GListModelInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (AllavaConversationList,
                               allava_conversation_list,
                               G_TYPE_OBJECT,
                               G_IMPLEMENT_INTERFACE (G_TYPE_LIST_MODEL, list_model_init))

static gboolean
is_search (AllavaConversationList *self)
{
  return *self->query != '\0';
}

static void
fail (AllavaConversationList *self, const GError *error)
{
  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED) &&
      !g_error_matches (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_CLOSED))
    g_signal_emit (self, signals[SIGNAL_FAILED], 0, error);
}

/* ---- Sections -------------------------------------------------------------------------------- */

static void
update_days (AllavaConversationList *self)
{
  static const int ago[ALLAVA_SECTION_OLDER] = {0, -1, -7, -30};
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autoptr (GDateTime) today =
      g_date_time_new_local (g_date_time_get_year (now), g_date_time_get_month (now),
                             g_date_time_get_day_of_month (now), 0, 0, 0);
  for (int i = 0; i < ALLAVA_SECTION_OLDER; i++) {
    g_autoptr (GDateTime) day = g_date_time_add_days (today, ago[i]);
    self->days[i] = g_date_time_to_unix (day) * G_USEC_PER_SEC;
  }
}

static AllavaSection
get_section (AllavaConversationList *self, guint position)
{
  gint64 updated = g_array_index (self->keys, AllavaConversationKey, position).updated;
  for (int i = 0; i < ALLAVA_SECTION_OLDER; i++)
    if (updated >= self->days[i])
      return (AllavaSection)i;
  return ALLAVA_SECTION_OLDER;
}

static void
place (AllavaConversationList *self, AllavaConversationItem *item, guint position)
{
  AllavaSection section = get_section (self, position);
  gboolean starts =
      !is_search (self) && (position == 0 || get_section (self, position - 1) != section);
  allava_conversation_item_place (
      item, g_array_index (self->keys, AllavaConversationKey, position).updated, section, starts);
}

/* ---- Filling items --------------------------------------------------------------------------- */

static void
filled_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaConversationList) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) lines =
      allava_history_lines_finish (ALLAVA_HISTORY (source), result, &error);
  if (lines == NULL) {
    fail (self, error);
    return;
  }
  for (guint i = 0; i < lines->len; i++) {
    const AllavaConversationLine *line = lines->pdata[i];
    AllavaConversationItem *item = g_hash_table_lookup (self->items, &line->id);
    if (item != NULL)
      allava_conversation_item_fill (item, line->title, line->snippet_markup);
  }
}

static gboolean
fill_cb (gpointer user_data)
{
  AllavaConversationList *self = user_data;
  self->fill_source = 0;
  g_autoptr (GArray) keys = g_array_new (FALSE, FALSE, sizeof (AllavaConversationKey));
  for (guint i = 0; i < self->keys->len; i++) {
    const AllavaConversationKey *key = &g_array_index (self->keys, AllavaConversationKey, i);
    if (g_hash_table_contains (self->wanted, &key->id))
      g_array_append_vals (keys, key, 1);
  }
  g_hash_table_remove_all (self->wanted);
  if (keys->len > 0)
    allava_history_lines_async (self->history, keys, self->query, NULL, filled_cb,
                                g_object_ref (self));
  return G_SOURCE_REMOVE;
}

/* All that is wanted until the main loop is idle goes in one request. */
static void
want (AllavaConversationList *self, gint64 id)
{
  g_hash_table_add (self->wanted, g_memdup2 (&id, sizeof id));
  if (self->fill_source == 0)
    self->fill_source = g_idle_add (fill_cb, self);
}

/* ---- List model ------------------------------------------------------------------------------ */

static GType
get_item_type (GListModel *model)
{
  return ALLAVA_TYPE_CONVERSATION_ITEM;
}

static guint
get_n_items (GListModel *model)
{
  return ALLAVA_CONVERSATION_LIST (model)->keys->len;
}

static void
item_gone_cb (gpointer user_data, GObject *item)
{
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, user_data);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (value == item)
      g_hash_table_iter_remove (&iter);
}

static gpointer
get_item (GListModel *model, guint position)
{
  AllavaConversationList *self = ALLAVA_CONVERSATION_LIST (model);
  if (position >= self->keys->len)
    return NULL;
  gint64 id = g_array_index (self->keys, AllavaConversationKey, position).id;
  AllavaConversationItem *item = g_hash_table_lookup (self->items, &id);
  if (item != NULL)
    return g_object_ref (item);
  item = allava_conversation_item_new (id);
  place (self, item, position);
  g_hash_table_insert (self->items, g_memdup2 (&id, sizeof id), item);
  g_object_weak_ref (G_OBJECT (item), item_gone_cb, self->items);
  want (self, id);
  return item;
}

static void
list_model_init (GListModelInterface *iface)
{
  iface->get_item_type = get_item_type;
  iface->get_n_items = get_n_items;
  iface->get_item = get_item;
}

/* ---- Following the history ------------------------------------------------------------------- */

static gboolean
same_key (GArray *a, guint i, GArray *b, guint j)
{
  return g_array_index (a, AllavaConversationKey, i).id ==
         g_array_index (b, AllavaConversationKey, j).id;
}

/* Puts items that are held where they are now, and asks for what is new in them. */
static void
update_items (AllavaConversationList *self)
{
  for (guint i = 0; i < self->keys->len && g_hash_table_size (self->items) > 0; i++) {
    gint64 id = g_array_index (self->keys, AllavaConversationKey, i).id;
    AllavaConversationItem *item = g_hash_table_lookup (self->items, &id);
    if (item == NULL)
      continue;
    place (self, item, i);
    want (self, id);
  }
}

/* Between the old list and the new, one range is replaced: what is in both and moved is the same
 * object, by which selections keep it. */
static void
set_keys (AllavaConversationList *self, GArray *keys)
{
  g_autoptr (GArray) old = self->keys;
  self->keys = g_array_ref (keys);
  guint start = 0, end = 0, shorter = MIN (old->len, keys->len);
  while (start < shorter && same_key (old, start, keys, start))
    start++;
  while (end < shorter - start && same_key (old, old->len - 1 - end, keys, keys->len - 1 - end))
    end++;
  update_days (self);
  update_items (self);
  guint removed = old->len - start - end, added = keys->len - start - end;
  if (removed > 0 || added > 0)
    g_list_model_items_changed (G_LIST_MODEL (self), start, removed, added);
}

static void
listed_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (AllavaConversationList) self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) keys = allava_history_list_finish (ALLAVA_HISTORY (source), result, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* another one is under way */
  g_clear_object (&self->reloading);
  if (keys != NULL)
    set_keys (self, keys);
  else
    fail (self, error);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_LOADING]);
}

static gboolean
reload_cb (gpointer user_data)
{
  AllavaConversationList *self = user_data;
  self->reload_source = 0;
  if (self->reloading != NULL)
    g_cancellable_cancel (self->reloading);
  g_clear_object (&self->reloading);
  self->reloading = g_cancellable_new ();
  allava_history_list_async (self->history, self->query, self->reloading, listed_cb,
                             g_object_ref (self));
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_LOADING]);
  return G_SOURCE_REMOVE;
}

/* Many changes in a row make one request. */
static void
reload (AllavaConversationList *self)
{
  if (self->reload_source == 0 && allava_history_get_open (self->history))
    self->reload_source = g_idle_add (reload_cb, self);
}

/* ---- Object ---------------------------------------------------------------------------------- */

static void
drop_weak_ref (gpointer key, gpointer item, gpointer items)
{
  g_object_weak_unref (item, item_gone_cb, items);
}

static void
allava_conversation_list_dispose (GObject *object)
{
  AllavaConversationList *self = ALLAVA_CONVERSATION_LIST (object);
  g_clear_handle_id (&self->fill_source, g_source_remove);
  g_clear_handle_id (&self->reload_source, g_source_remove);
  g_hash_table_foreach (self->items, drop_weak_ref, self->items);
  g_hash_table_remove_all (self->items);
  g_clear_object (&self->reloading);
  g_clear_object (&self->history);
  G_OBJECT_CLASS (allava_conversation_list_parent_class)->dispose (object);
}

static void
allava_conversation_list_finalize (GObject *object)
{
  AllavaConversationList *self = ALLAVA_CONVERSATION_LIST (object);
  g_array_unref (self->keys);
  g_hash_table_unref (self->items);
  g_hash_table_unref (self->wanted);
  g_free (self->query);
  G_OBJECT_CLASS (allava_conversation_list_parent_class)->finalize (object);
}

static void
allava_conversation_list_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  AllavaConversationList *self = ALLAVA_CONVERSATION_LIST (object);
  if (id == PROP_QUERY)
    g_value_set_string (value, self->query);
  else if (id == PROP_LOADING)
    g_value_set_boolean (value, allava_conversation_list_get_loading (self));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
allava_conversation_list_set_property (GObject *object,
                                       guint id,
                                       const GValue *value,
                                       GParamSpec *pspec)
{
  if (id == PROP_QUERY)
    allava_conversation_list_set_query (ALLAVA_CONVERSATION_LIST (object),
                                        g_value_get_string (value));
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
allava_conversation_list_class_init (AllavaConversationListClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);
  object_class->dispose = allava_conversation_list_dispose;
  object_class->finalize = allava_conversation_list_finalize;
  object_class->get_property = allava_conversation_list_get_property;
  object_class->set_property = allava_conversation_list_set_property;

  const GParamFlags flags = G_PARAM_READABLE | G_PARAM_EXPLICIT_NOTIFY | G_PARAM_STATIC_STRINGS;
  properties[PROP_QUERY] = g_param_spec_string ("query", NULL, NULL, "", flags | G_PARAM_WRITABLE);
  properties[PROP_LOADING] = g_param_spec_boolean ("loading", NULL, NULL, FALSE, flags);
  g_object_class_install_properties (object_class, N_PROPS, properties);

  signals[SIGNAL_FAILED] = g_signal_new ("failed", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0,
                                         NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
allava_conversation_list_init (AllavaConversationList *self)
{
  self->query = g_strdup ("");
  self->keys = g_array_new (FALSE, FALSE, sizeof (AllavaConversationKey));
  self->items = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  self->wanted = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
}

AllavaConversationList *
allava_conversation_list_new (AllavaHistory *history)
{
  g_return_val_if_fail (ALLAVA_IS_HISTORY (history), NULL);
  AllavaConversationList *self = g_object_new (ALLAVA_TYPE_CONVERSATION_LIST, NULL);
  self->history = g_object_ref (history);
  g_signal_connect_object (history, "changed", G_CALLBACK (reload), self, G_CONNECT_SWAPPED);
  g_signal_connect_object (history, "notify::open", G_CALLBACK (reload), self, G_CONNECT_SWAPPED);
  reload (self);
  return self;
}

const char *
allava_conversation_list_get_query (AllavaConversationList *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION_LIST (self), NULL);
  return self->query;
}

void
allava_conversation_list_set_query (AllavaConversationList *self, const char *query)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION_LIST (self));
  if (g_strcmp0 (self->query, query != NULL ? query : "") == 0)
    return;
  g_free (self->query);
  self->query = g_strdup (query != NULL ? query : "");
  reload (self);
  g_object_notify_by_pspec (G_OBJECT (self), properties[PROP_QUERY]);
}

gboolean
allava_conversation_list_get_loading (AllavaConversationList *self)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION_LIST (self), FALSE);
  return self->reloading != NULL || self->reload_source != 0;
}

void
allava_conversation_list_update_sections (AllavaConversationList *self)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION_LIST (self));
  gint64 today = self->days[ALLAVA_SECTION_TODAY];
  update_days (self);
  if (self->days[ALLAVA_SECTION_TODAY] != today)
    update_items (self);
}

guint
allava_conversation_list_find (AllavaConversationList *self, gint64 id)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION_LIST (self), G_MAXUINT);
  for (guint i = 0; i < self->keys->len; i++)
    if (g_array_index (self->keys, AllavaConversationKey, i).id == id)
      return i;
  return G_MAXUINT;
}

gint64
allava_conversation_list_get_hit (AllavaConversationList *self, gint64 id)
{
  g_return_val_if_fail (ALLAVA_IS_CONVERSATION_LIST (self), 0);
  guint position = allava_conversation_list_find (self, id);
  return position < self->keys->len
             ? g_array_index (self->keys, AllavaConversationKey, position).hit
             : 0;
}
