#include "allava-database-migrations.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

/* "Alva": tells our files from other SQLite databases. */
#define APPLICATION_ID 0x416c7661

/* Times are microseconds since 1970, UTC. Ids grow with time, see allava_record_next_id().
 *
 * Deleting a conversation deletes its messages by name rather than by cascading along parent_id,
 * since SQLite limits how deep that may go. Text is indexed once it is done, not while it streams.
 */
static const char version_1[] =
    "CREATE TABLE conversation ("
    "  id INTEGER PRIMARY KEY,"
    "  title TEXT NOT NULL,"
    "  updated INTEGER NOT NULL,"
    "  active_leaf INTEGER,"
    "  deleted INTEGER"
    ") STRICT;"
    "CREATE INDEX conversation_by_time ON conversation (updated, id) WHERE deleted IS NULL;"

    "CREATE TABLE message ("
    "  id INTEGER PRIMARY KEY,"
    "  conversation_id INTEGER NOT NULL REFERENCES conversation (id),"
    "  parent_id INTEGER REFERENCES message (id) DEFERRABLE INITIALLY DEFERRED,"
    "  role INTEGER NOT NULL,"  /* AllavaRole */
    "  state INTEGER NOT NULL," /* AllavaMessageState */
    "  text TEXT NOT NULL,"
    "  error TEXT,"
    "  model TEXT,"
    "  device TEXT,"
    "  dtype TEXT,"
    "  finish TEXT,"
    "  n_tokens INTEGER NOT NULL,"
    "  prompt_positions INTEGER NOT NULL,"
    "  positions_left INTEGER NOT NULL,"
    "  dropped_turns INTEGER NOT NULL,"
    "  image_ms REAL NOT NULL,"
    "  prefill_ms REAL NOT NULL,"
    "  first_token_ms REAL NOT NULL,"
    "  decode_ms REAL NOT NULL"
    ") STRICT;"
    "CREATE INDEX message_by_conversation ON message (conversation_id);"
    "CREATE INDEX message_by_parent ON message (parent_id);"
    "CREATE INDEX message_partial ON message (id) WHERE state = 0;"

    "CREATE TABLE image ("
    "  sha256 TEXT PRIMARY KEY,"
    "  width INTEGER NOT NULL,"
    "  height INTEGER NOT NULL,"
    "  name TEXT NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE message_image ("
    "  message_id INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL,"
    "  sha256 TEXT NOT NULL REFERENCES image (sha256),"
    "  PRIMARY KEY (message_id, position)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX message_image_by_sha256 ON message_image (sha256);"

    "CREATE VIRTUAL TABLE message_search USING fts5 ("
    "  text, content = 'message', content_rowid = 'id', tokenize = 'allava', prefix = '2 3');"
    "CREATE TRIGGER message_search_insert AFTER INSERT ON message WHEN new.state <> 0 BEGIN"
    "  INSERT INTO message_search (rowid, text) VALUES (new.id, new.text);"
    "END;"
    "CREATE TRIGGER message_search_delete AFTER DELETE ON message WHEN old.state <> 0 BEGIN"
    "  INSERT INTO message_search (message_search, rowid, text)"
    "    VALUES ('delete', old.id, old.text);"
    "END;"
    "CREATE TRIGGER message_search_remove AFTER UPDATE OF text, state ON message"
    "  WHEN old.state <> 0 AND (new.state = 0 OR old.text <> new.text) BEGIN"
    "  INSERT INTO message_search (message_search, rowid, text)"
    "    VALUES ('delete', old.id, old.text);"
    "END;"
    "CREATE TRIGGER message_search_add AFTER UPDATE OF text, state ON message"
    "  WHEN new.state <> 0 AND (old.state = 0 OR old.text <> new.text) BEGIN"
    "  INSERT INTO message_search (rowid, text) VALUES (new.id, new.text);"
    "END;"

    "CREATE VIRTUAL TABLE title_search USING fts5 ("
    "  title, content = 'conversation', content_rowid = 'id', tokenize = 'allava', prefix = '2 3');"
    "CREATE TRIGGER title_search_insert AFTER INSERT ON conversation BEGIN"
    "  INSERT INTO title_search (rowid, title) VALUES (new.id, new.title);"
    "END;"
    "CREATE TRIGGER title_search_delete AFTER DELETE ON conversation BEGIN"
    "  INSERT INTO title_search (title_search, rowid, title)"
    "    VALUES ('delete', old.id, old.title);"
    "END;"
    "CREATE TRIGGER title_search_update AFTER UPDATE OF title ON conversation BEGIN"
    "  INSERT INTO title_search (title_search, rowid, title)"
    "    VALUES ('delete', old.id, old.title);"
    "  INSERT INTO title_search (rowid, title) VALUES (new.id, new.title);"
    "END;";

const char *const allava_database_migrations[] = {version_1};

int
allava_database_count_migrations (void)
{
  return G_N_ELEMENTS (allava_database_migrations);
}

static gboolean
get_version (AllavaDatabase *database, gint64 *version, GError **error)
{
  return allava_database_get_int (database, "PRAGMA user_version", version, error);
}

/* A file is ours if it is empty or says so. */
static gboolean
check_owner (AllavaDatabase *database, GError **error)
{
  gint64 id, n_tables;
  if (!allava_database_get_int (database, "PRAGMA application_id", &id, error) ||
      !allava_database_get_int (database, "SELECT count (*) FROM sqlite_schema", &n_tables, error))
    return FALSE;
  if (id == APPLICATION_ID || (id == 0 && n_tables == 0))
    return TRUE;
  g_set_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_CORRUPT,
               _ ("%s is the database of another program; move it away, and a new history is made "
                  "at the next start"),
               allava_database_get_path (database));
  return FALSE;
}

static gboolean
check_version (AllavaDatabase *database, gint64 version, int n_migrations, GError **error)
{
  if (version >= 0 && version <= n_migrations)
    return TRUE;
  g_set_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_NEWER,
               _ ("The history in %s was written by a newer version of Allava; update Allava to "
                  "open it"),
               allava_database_get_path (database));
  return FALSE;
}

/* A whole and compact copy, in place only when it is complete. */
static gboolean
back_up (AllavaDatabase *database, gint64 version, GError **error)
{
  g_autofree char *copy =
      g_strdup_printf ("%s.backup-v%d", allava_database_get_path (database), (int)version);
  g_autofree char *half = g_strconcat (copy, ".tmp", NULL);
  g_unlink (half);
  /* Not kept like other statements: an open one would be in the migration's way. */
  char *sql = sqlite3_mprintf ("VACUUM INTO %Q", half);
  gboolean done = allava_database_exec (database, sql, error);
  sqlite3_free (sql);
  if (done && g_rename (half, copy) != 0) {
    g_set_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_READONLY,
                 _ ("The backup copy %s cannot be made"), copy);
    return FALSE;
  }
  return done;
}

typedef struct {
  const char *sql;
  int version; /* after it */
} Step;

static gboolean
run_step (AllavaDatabase *database, gpointer user_data, GError **error)
{
  Step *step = user_data;
  gint64 version;
  if (!get_version (database, &version, error))
    return FALSE;
  if (version >= step->version) /* another process was faster */
    return TRUE;
  g_autofree char *stamp = g_strdup_printf ("PRAGMA application_id = %d; PRAGMA user_version = %d",
                                            APPLICATION_ID, step->version);
  return allava_database_exec (database, step->sql, error) &&
         allava_database_exec (database, stamp, error);
}

gboolean
allava_database_migrate (AllavaDatabase *database,
                         const char *const *migrations,
                         int n_migrations,
                         GError **error)
{
  gint64 version;
  if (!get_version (database, &version, error) || !check_owner (database, error) ||
      !check_version (database, version, n_migrations, error))
    return FALSE;
  if (version > 0 && version < n_migrations && !back_up (database, version, error))
    return FALSE;
  for (int i = (int)version; i < n_migrations; i++) {
    Step step = {migrations[i], i + 1};
    if (!allava_database_transact (database, run_step, &step, error))
      return FALSE;
  }
  return TRUE;
}
