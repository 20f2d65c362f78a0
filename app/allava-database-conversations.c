#include "allava-database-conversations.h"

#include <string.h>

#include <glib/gi18n-lib.h>

/* ---- Saving ---------------------------------------------------------------------------------- */

static gboolean
save_conversation (AllavaDatabase *database, const AllavaConversationRecord *record, GError **error)
{
  g_autoptr (AllavaStatement) statement = allava_database_prepare (
      database,
      "INSERT INTO conversation (id, title, updated, active_leaf) VALUES (?1, ?2, ?3, ?4)"
      "  ON CONFLICT (id) DO UPDATE"
      "  SET updated = excluded.updated, active_leaf = excluded.active_leaf",
      error);
  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, record->id);
  allava_statement_bind_text (statement, 2, record->title);
  sqlite3_bind_int64 (statement, 3, record->updated);
  allava_statement_bind_id (statement, 4, record->active_leaf);
  return allava_database_run (database, statement, error);
}

static gboolean
save_image (AllavaDatabase *database, const AllavaImageRecord *record, GError **error)
{
  g_autoptr (AllavaStatement) statement = allava_database_prepare (
      database,
      "INSERT INTO image (sha256, width, height, name) VALUES (?1, ?2, ?3, ?4)"
      "  ON CONFLICT (sha256) DO NOTHING",
      error);
  if (statement == NULL)
    return FALSE;
  allava_statement_bind_text (statement, 1, record->sha256);
  sqlite3_bind_int (statement, 2, record->width);
  sqlite3_bind_int (statement, 3, record->height);
  allava_statement_bind_text (statement, 4, record->name);
  return allava_database_run (database, statement, error);
}

static gboolean
save_images (AllavaDatabase *database, const AllavaMessageRecord *message, GError **error)
{
  for (guint i = 0; i < message->images->len; i++) {
    const AllavaImageRecord *image = g_ptr_array_index (message->images, i);
    g_autoptr (AllavaStatement) statement = allava_database_prepare (
        database,
        "INSERT INTO message_image (message_id, position, sha256) VALUES (?1, ?2, ?3)"
        "  ON CONFLICT (message_id, position) DO UPDATE SET sha256 = excluded.sha256",
        error);
    if (statement == NULL || !save_image (database, image, error))
      return FALSE;
    sqlite3_bind_int64 (statement, 1, message->id);
    sqlite3_bind_int (statement, 2, (int)i);
    allava_statement_bind_text (statement, 3, image->sha256);
    if (!allava_database_run (database, statement, error))
      return FALSE;
  }
  return TRUE;
}

static void
bind_details (AllavaStatement *statement, int index, const AllavaMessageDetails *details)
{
  allava_statement_bind_text (statement, index++, details->model);
  allava_statement_bind_text (statement, index++, details->device);
  allava_statement_bind_text (statement, index++, details->dtype);
  allava_statement_bind_text (statement, index++, details->finish);
  sqlite3_bind_int (statement, index++, details->n_tokens);
  sqlite3_bind_int (statement, index++, details->prompt_positions);
  sqlite3_bind_int (statement, index++, details->positions_left);
  sqlite3_bind_int (statement, index++, details->dropped_turns);
  sqlite3_bind_double (statement, index++, details->image_ms);
  sqlite3_bind_double (statement, index++, details->prefill_ms);
  sqlite3_bind_double (statement, index++, details->first_token_ms);
  sqlite3_bind_double (statement, index, details->decode_ms);
}

static gboolean
save_message (AllavaDatabase *database, const AllavaMessageRecord *record, GError **error)
{
  g_autoptr (AllavaStatement) statement = allava_database_prepare (
      database,
      "INSERT INTO message (id, conversation_id, parent_id, role, state, text, error, model,"
      "  device, dtype, finish, n_tokens, prompt_positions, positions_left, dropped_turns,"
      "  image_ms, prefill_ms, first_token_ms, decode_ms)"
      "  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,"
      "  ?19)"
      "  ON CONFLICT (id) DO UPDATE SET parent_id = excluded.parent_id, state = excluded.state,"
      "  text = excluded.text, error = excluded.error, model = excluded.model,"
      "  device = excluded.device, dtype = excluded.dtype, finish = excluded.finish,"
      "  n_tokens = excluded.n_tokens, prompt_positions = excluded.prompt_positions,"
      "  positions_left = excluded.positions_left, dropped_turns = excluded.dropped_turns,"
      "  image_ms = excluded.image_ms, prefill_ms = excluded.prefill_ms,"
      "  first_token_ms = excluded.first_token_ms, decode_ms = excluded.decode_ms",
      error);
  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, record->id);
  sqlite3_bind_int64 (statement, 2, record->conversation_id);
  allava_statement_bind_id (statement, 3, record->parent_id);
  sqlite3_bind_int (statement, 4, record->role);
  sqlite3_bind_int (statement, 5, record->state);
  allava_statement_bind_text (statement, 6, record->text);
  allava_statement_bind_text (statement, 7, record->error);
  bind_details (statement, 8, &record->details);
  return allava_database_run (database, statement, error) && save_images (database, record, error);
}

static gboolean
delete_message (AllavaDatabase *database, gint64 id, GError **error)
{
  g_autoptr (AllavaStatement) statement =
      allava_database_prepare (database, "DELETE FROM message WHERE id = ?1", error);
  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, id);
  return allava_database_run (database, statement, error);
}

typedef struct {
  const AllavaConversationRecord *conversation;
  GPtrArray *messages;
  GArray *deleted;
} Save;

static gboolean
save_cb (AllavaDatabase *database, gpointer user_data, GError **error)
{
  Save *save = user_data;
  if (save->conversation != NULL && !save_conversation (database, save->conversation, error))
    return FALSE;
  for (guint i = 0; save->messages != NULL && i < save->messages->len; i++)
    if (!save_message (database, g_ptr_array_index (save->messages, i), error))
      return FALSE;
  for (guint i = 0; save->deleted != NULL && i < save->deleted->len; i++)
    if (!delete_message (database, g_array_index (save->deleted, gint64, i), error))
      return FALSE;
  return TRUE;
}

static void
set_not_found (GError **error)
{
  g_clear_error (error);
  g_set_error_literal (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_NOT_FOUND,
                       _ ("This conversation is no longer in the history"));
}

gboolean
allava_database_save (AllavaDatabase *database,
                      const AllavaConversationRecord *conversation,
                      GPtrArray *messages,
                      GArray *deleted,
                      GError **error)
{
  Save save = {conversation, messages, deleted};
  if (allava_database_transact (database, save_cb, &save, error))
    return TRUE;
  if (allava_database_get_failure (database) == SQLITE_CONSTRAINT_FOREIGNKEY)
    set_not_found (error);
  return FALSE;
}

/* ---- Loading --------------------------------------------------------------------------------- */

static AllavaConversationRecord *
load_conversation (AllavaDatabase *database, gint64 id, GError **error)
{
  g_autoptr (AllavaStatement) statement = allava_database_prepare (
      database, "SELECT title, updated, active_leaf FROM conversation WHERE id = ?1", error);
  if (statement == NULL)
    return NULL;
  sqlite3_bind_int64 (statement, 1, id);
  gboolean row;
  if (!allava_database_step (database, statement, &row, error))
    return NULL;
  if (!row) {
    set_not_found (error);
    return NULL;
  }
  AllavaConversationRecord *record = g_new0 (AllavaConversationRecord, 1);
  record->id = id;
  record->title = allava_statement_dup_string (statement, 0);
  record->updated = sqlite3_column_int64 (statement, 1);
  record->active_leaf = sqlite3_column_int64 (statement, 2);
  return record;
}

static void
read_details (AllavaStatement *statement, int column, AllavaMessageDetails *details)
{
  details->model = allava_statement_dup_text (statement, column++);
  details->device = allava_statement_dup_text (statement, column++);
  details->dtype = allava_statement_dup_text (statement, column++);
  details->finish = allava_statement_dup_text (statement, column++);
  details->n_tokens = sqlite3_column_int (statement, column++);
  details->prompt_positions = sqlite3_column_int (statement, column++);
  details->positions_left = sqlite3_column_int (statement, column++);
  details->dropped_turns = sqlite3_column_int (statement, column++);
  details->image_ms = sqlite3_column_double (statement, column++);
  details->prefill_ms = sqlite3_column_double (statement, column++);
  details->first_token_ms = sqlite3_column_double (statement, column++);
  details->decode_ms = sqlite3_column_double (statement, column);
}

static AllavaMessageRecord *
read_message (AllavaStatement *statement, gint64 conversation_id)
{
  AllavaMessageRecord *record = allava_message_record_new_empty ();
  record->id = sqlite3_column_int64 (statement, 0);
  record->conversation_id = conversation_id;
  record->parent_id = sqlite3_column_int64 (statement, 1);
  record->role = sqlite3_column_int (statement, 2) == ALLAVA_ROLE_ASSISTANT ? ALLAVA_ROLE_ASSISTANT
                                                                            : ALLAVA_ROLE_USER;
  int state = sqlite3_column_int (statement, 3);
  record->state = state >= ALLAVA_MESSAGE_PARTIAL && state <= ALLAVA_MESSAGE_FAILED
                      ? (AllavaMessageState)state
                      : ALLAVA_MESSAGE_STOPPED;
  record->text = allava_statement_dup_string (statement, 4);
  record->error = allava_statement_dup_text (statement, 5);
  read_details (statement, 6, &record->details);
  return record;
}

static gboolean
load_messages (AllavaDatabase *database, gint64 id, GPtrArray *messages, GError **error)
{
  g_autoptr (AllavaStatement) statement = allava_database_prepare (
      database,
      "SELECT id, parent_id, role, state, text, error, model, device, dtype, finish, n_tokens,"
      "  prompt_positions, positions_left, dropped_turns, image_ms, prefill_ms, first_token_ms,"
      "  decode_ms FROM message WHERE conversation_id = ?1 ORDER BY id",
      error);
  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, id);
  gboolean row;
  while (allava_database_step (database, statement, &row, error)) {
    if (!row)
      return TRUE;
    g_ptr_array_add (messages, read_message (statement, id));
  }
  return FALSE;
}

/* It becomes a file's name. */
static gboolean
is_sha256 (const char *text)
{
  return strlen (text) == 64 && strspn (text, "0123456789abcdef") == 64;
}

static gboolean
load_images (AllavaDatabase *database, AllavaMessageRecord *message, GError **error)
{
  g_autoptr (AllavaStatement) statement = allava_database_prepare (
      database,
      "SELECT sha256, width, height, name FROM message_image JOIN image USING (sha256)"
      "  WHERE message_id = ?1 ORDER BY position",
      error);
  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, message->id);
  gboolean row;
  while (allava_database_step (database, statement, &row, error)) {
    if (!row)
      return TRUE;
    g_autofree char *sha256 = allava_statement_dup_string (statement, 0);
    g_autofree char *name = allava_statement_dup_string (statement, 3);
    if (is_sha256 (sha256))
      g_ptr_array_add (message->images,
                       allava_image_record_new (sha256, sqlite3_column_int (statement, 1),
                                                sqlite3_column_int (statement, 2), name));
  }
  return FALSE;
}

AllavaConversationContent *
allava_database_load (AllavaDatabase *database, gint64 id, GError **error)
{
  g_autoptr (AllavaConversationContent) content = g_new0 (AllavaConversationContent, 1);
  content->messages = g_ptr_array_new_with_free_func ((GDestroyNotify)allava_message_record_free);
  content->conversation = load_conversation (database, id, error);
  if (content->conversation == NULL || !load_messages (database, id, content->messages, error))
    return NULL;
  for (guint i = 0; i < content->messages->len; i++)
    if (!load_images (database, g_ptr_array_index (content->messages, i), error))
      return NULL;
  return g_steal_pointer (&content);
}

/* ---- Deleting -------------------------------------------------------------------------------- */

gboolean
allava_database_rename (AllavaDatabase *database, gint64 id, const char *title, GError **error)
{
  g_autoptr (AllavaStatement) statement =
      allava_database_prepare (database, "UPDATE conversation SET title = ?2 WHERE id = ?1", error);
  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, id);
  allava_statement_bind_text (statement, 2, title);
  return allava_database_run (database, statement, error);
}

gboolean
allava_database_set_deleted (AllavaDatabase *database, gint64 id, gboolean deleted, GError **error)
{
  g_autoptr (AllavaStatement) statement = allava_database_prepare (
      database, "UPDATE conversation SET deleted = ?2 WHERE id = ?1", error);
  if (statement == NULL)
    return FALSE;
  sqlite3_bind_int64 (statement, 1, id);
  allava_statement_bind_id (statement, 2, deleted ? g_get_real_time () : 0);
  return allava_database_run (database, statement, error);
}

static gboolean
exec_cb (AllavaDatabase *database, gpointer user_data, GError **error)
{
  return allava_database_exec (database, user_data, error);
}

static gboolean
add_names (AllavaDatabase *database, const char *sql, GHashTable *names, GError **error)
{
  g_autoptr (AllavaStatement) statement = allava_database_prepare (database, sql, error);
  if (statement == NULL)
    return FALSE;
  gboolean row;
  while (allava_database_step (database, statement, &row, error)) {
    if (!row)
      return TRUE;
    g_hash_table_add (names, allava_statement_dup_string (statement, 0));
  }
  return FALSE;
}

static GHashTable *
names_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
}

#define UNUSED_IMAGES                                                                              \
  "FROM image WHERE NOT EXISTS"                                                                    \
  "  (SELECT 1 FROM message_image WHERE message_image.sha256 = image.sha256)"

static gboolean
purge_cb (AllavaDatabase *database, gpointer dropped, GError **error)
{
  return allava_database_exec (database,
                               "DELETE FROM message WHERE conversation_id IN"
                               "  (SELECT id FROM conversation WHERE deleted IS NOT NULL);"
                               "DELETE FROM conversation WHERE deleted IS NOT NULL;",
                               error) &&
         add_names (database, "SELECT sha256 " UNUSED_IMAGES, dropped, error) &&
         allava_database_exec (database, "DELETE " UNUSED_IMAGES, error);
}

GHashTable *
allava_database_purge (AllavaDatabase *database, GError **error)
{
  g_autoptr (GHashTable) dropped = names_new ();
  return allava_database_transact (database, purge_cb, dropped, error) ? g_steal_pointer (&dropped)
                                                                       : NULL;
}

gboolean
allava_database_clear (AllavaDatabase *database, GError **error)
{
  static char sql[] = "DELETE FROM message; DELETE FROM conversation; DELETE FROM image;"
                      "INSERT INTO message_search (message_search) VALUES ('rebuild');"
                      "INSERT INTO title_search (title_search) VALUES ('rebuild');";
  return allava_database_transact (database, exec_cb, sql, error);
}

gboolean
allava_database_compact (AllavaDatabase *database, GError **error)
{
  /* On a full disk there is no room for the copy; what was deleted is overwritten without it. */
  allava_database_exec (database, "VACUUM", NULL);
  return allava_database_exec (database, "PRAGMA wal_checkpoint (TRUNCATE)", error);
}

gboolean
allava_database_mark_stopped (AllavaDatabase *database, GError **error)
{
  return allava_database_exec (database, "UPDATE message SET state = 2 WHERE state = 0", error);
}

GHashTable *
allava_database_get_images (AllavaDatabase *database, GError **error)
{
  g_autoptr (GHashTable) images = names_new ();
  return add_names (database, "SELECT sha256 FROM image", images, error) ? g_steal_pointer (&images)
                                                                         : NULL;
}
