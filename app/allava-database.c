#include "allava-database.h"

#include <errno.h>

#include <glib/gi18n-lib.h>

#include "allava-search-tokenizer.h"

#define BUSY_TIMEOUT_MS 5000

struct _AllavaDatabase {
  GThread *thread; /* the only one that may use it */
  char *path;
  sqlite3 *handle;
  int failure;            /* the extended code of what failed last */
  GHashTable *statements; /* SQL -> sqlite3_stmt */
};

GQuark
allava_history_error_quark (void)
{
  return g_quark_from_static_string ("allava-history-error");
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static AllavaHistoryError
classify (int code, int system_errno)
{
  switch (code) {
  case SQLITE_FULL:
    return ALLAVA_HISTORY_ERROR_FULL;
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return ALLAVA_HISTORY_ERROR_LOCKED;
  case SQLITE_READONLY:
  case SQLITE_PERM:
  case SQLITE_CANTOPEN:
    return ALLAVA_HISTORY_ERROR_READONLY;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return ALLAVA_HISTORY_ERROR_CORRUPT;
  case SQLITE_IOERR:
    return system_errno == ENOSPC || system_errno == EDQUOT ? ALLAVA_HISTORY_ERROR_FULL
                                                            : ALLAVA_HISTORY_ERROR_FAILED;
  default:
    return ALLAVA_HISTORY_ERROR_FAILED;
  }
}

static void
set_error (AllavaHistoryError code, const char *path, const char *detail, GError **error)
{
  g_autofree char *file = g_filename_display_name (path);
  const char *format;
  switch (code) {
  case ALLAVA_HISTORY_ERROR_FULL:
    format = _ ("There is no room left on the disk for the history in %s; free some space and try "
                "again");
    break;
  case ALLAVA_HISTORY_ERROR_LOCKED:
    format = _ ("The history in %s is in use by another program; close it and try again");
    break;
  case ALLAVA_HISTORY_ERROR_READONLY:
    format = _ ("The history in %s cannot be written; check the permissions of the file and of its "
                "folder");
    break;
  case ALLAVA_HISTORY_ERROR_CORRUPT:
    format = _ ("The history in %s is damaged or is no history; move the file away, and a new one "
                "is made at the next start");
    break;
  default:
    g_set_error (error, ALLAVA_HISTORY_ERROR, code, _ ("The history in %s failed: %s"), file,
                 detail);
    return;
  }
  g_autofree char *sentence = g_strdup_printf (format, file);
  g_set_error_literal (error, ALLAVA_HISTORY_ERROR, code, sentence);
}

gboolean
allava_database_fail (AllavaDatabase *self, GError **error)
{
  self->failure = sqlite3_extended_errcode (self->handle);
  set_error (classify (self->failure & 0xff, sqlite3_system_errno (self->handle)), self->path,
             sqlite3_errmsg (self->handle), error);
  return FALSE;
}

int
allava_database_get_failure (AllavaDatabase *self)
{
  return self->failure;
}

/* ---- Connection ------------------------------------------------------------------------------ */

static void
finalize_cb (gpointer statement)
{
  sqlite3_finalize (statement);
}

AllavaDatabase *
allava_database_open (const char *path, GError **error)
{
  g_return_val_if_fail (path != NULL, NULL);
  g_autoptr (AllavaDatabase) self = g_new0 (AllavaDatabase, 1);
  self->thread = g_thread_self ();
  self->path = g_strdup (path);
  self->statements = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, finalize_cb);
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (sqlite3_open_v2 (path, &self->handle, flags, NULL) != SQLITE_OK) {
    allava_database_fail (self, error);
    return NULL;
  }
  sqlite3_busy_timeout (self->handle, BUSY_TIMEOUT_MS);
  if (!allava_search_tokenizer_register (self, error))
    return NULL;
  /* NORMAL in WAL mode: nothing is lost when the program is killed, and the file stays whole when
   * power fails. Deleted text is overwritten. */
  if (!allava_database_exec (self,
                             "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                             "PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;",
                             error))
    return NULL;
  return g_steal_pointer (&self);
}

void
allava_database_close (AllavaDatabase *self)
{
  g_assert (self->thread == g_thread_self ());
  g_hash_table_unref (self->statements);
  if (sqlite3_close (self->handle) != SQLITE_OK)
    g_critical ("The history was closed with a statement still open: %s",
                sqlite3_errmsg (self->handle));
  g_free (self->path);
  g_free (self);
}

const char *
allava_database_get_path (AllavaDatabase *self)
{
  return self->path;
}

sqlite3 *
allava_database_get_handle (AllavaDatabase *self)
{
  g_assert (self->thread == g_thread_self ());
  return self->handle;
}

/* ---- Statements ------------------------------------------------------------------------------ */

gboolean
allava_database_exec (AllavaDatabase *self, const char *sql, GError **error)
{
  g_assert (self->thread == g_thread_self ());
  return sqlite3_exec (self->handle, sql, NULL, NULL, NULL) == SQLITE_OK ||
         allava_database_fail (self, error);
}

AllavaStatement *
allava_database_prepare (AllavaDatabase *self, const char *sql, GError **error)
{
  g_assert (self->thread == g_thread_self ());
  AllavaStatement *statement = g_hash_table_lookup (self->statements, sql);
  if (statement != NULL)
    return statement;
  if (sqlite3_prepare_v3 (self->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
      SQLITE_OK) {
    allava_database_fail (self, error);
    return NULL;
  }
  g_hash_table_insert (self->statements, (char *)sql, statement);
  return statement;
}

void
allava_statement_release (AllavaStatement *statement)
{
  sqlite3_reset (statement);
  sqlite3_clear_bindings (statement);
}

gboolean
allava_database_step (AllavaDatabase *self,
                      AllavaStatement *statement,
                      gboolean *row,
                      GError **error)
{
  g_assert (self->thread == g_thread_self ());
  int code = sqlite3_step (statement);
  *row = code == SQLITE_ROW;
  return code == SQLITE_ROW || code == SQLITE_DONE || allava_database_fail (self, error);
}

gboolean
allava_database_run (AllavaDatabase *self, AllavaStatement *statement, GError **error)
{
  gboolean row;
  if (!allava_database_step (self, statement, &row, error))
    return FALSE;
  g_assert (!row);
  return TRUE;
}

gboolean
allava_database_get_int (AllavaDatabase *self, const char *sql, gint64 *value, GError **error)
{
  g_autoptr (AllavaStatement) statement = allava_database_prepare (self, sql, error);
  gboolean row;
  if (statement == NULL || !allava_database_step (self, statement, &row, error))
    return FALSE;
  *value = row ? sqlite3_column_int64 (statement, 0) : 0;
  return TRUE;
}

void
allava_statement_bind_text (AllavaStatement *statement, int index, const char *value)
{
  sqlite3_bind_text (statement, index, value, -1, SQLITE_STATIC);
}

void
allava_statement_bind_id (AllavaStatement *statement, int index, gint64 id)
{
  if (id != 0)
    sqlite3_bind_int64 (statement, index, id);
  else
    sqlite3_bind_null (statement, index);
}

char *
allava_statement_dup_text (AllavaStatement *statement, int column)
{
  const char *text = (const char *)sqlite3_column_text (statement, column);
  return text != NULL ? g_utf8_make_valid (text, -1) : NULL;
}

char *
allava_statement_dup_string (AllavaStatement *statement, int column)
{
  char *text = allava_statement_dup_text (statement, column);
  return text != NULL ? text : g_strdup ("");
}

gboolean
allava_database_transact (AllavaDatabase *self,
                          AllavaDatabaseFunc body,
                          gpointer user_data,
                          GError **error)
{
  if (!allava_database_exec (self, "BEGIN IMMEDIATE", error))
    return FALSE;
  if (body (self, user_data, error) && allava_database_exec (self, "COMMIT", error))
    return TRUE;
  /* Some errors, such as a full disk, have rolled back already. */
  if (!sqlite3_get_autocommit (self->handle))
    sqlite3_exec (self->handle, "ROLLBACK", NULL, NULL, NULL);
  return FALSE;
}
