#include "allava-database-conversations.h"
#include "allava-database-migrations.h"
#include "allava-search-tokenizer.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "app-testing.h"

typedef struct {
  char *folder;
  char *path;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->folder = testing_folder_new ();
  fixture->path = g_build_filename (fixture->folder, "history.sqlite", NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_free (fixture->path);
  testing_folder_free (fixture->folder);
}

static AllavaDatabase *
open_database (const char *path)
{
  g_autoptr (GError) error = NULL;
  AllavaDatabase *database = allava_database_open (path, &error);
  g_assert_no_error (error);
  return database;
}

static AllavaDatabase *
open_migrated (const char *path)
{
  g_autoptr (GError) error = NULL;
  AllavaDatabase *database = open_database (path);
  allava_database_migrate (database, allava_database_migrations,
                           allava_database_count_migrations (), &error);
  g_assert_no_error (error);
  return database;
}

static void
exec (AllavaDatabase *database, const char *sql)
{
  g_autoptr (GError) error = NULL;
  allava_database_exec (database, sql, &error);
  g_assert_no_error (error);
}

static gint64
get_int (AllavaDatabase *database, const char *sql)
{
  g_autoptr (GError) error = NULL;
  gint64 value = -1;
  allava_database_get_int (database, sql, &value, &error);
  g_assert_no_error (error);
  return value;
}

/* ---- Migrations ------------------------------------------------------------------------------ */

static void
test_new_file (Fixture *fixture, gconstpointer data)
{
  g_autoptr (AllavaDatabase) database = open_migrated (fixture->path);
  g_assert_cmpint (get_int (database, "PRAGMA user_version"), ==,
                   allava_database_count_migrations ());
  g_assert_cmpint (get_int (database, "PRAGMA foreign_keys"), ==, 1);
  g_autoptr (AllavaStatement) mode =
      allava_database_prepare (database, "PRAGMA journal_mode", NULL);
  g_assert_cmpint (sqlite3_step (mode), ==, SQLITE_ROW);
  g_assert_cmpstr ((const char *)sqlite3_column_text (mode, 0), ==, "wal");
}

/* Every table's and index's definition, one a line. */
static char *
dup_schema (AllavaDatabase *database)
{
  GString *schema = g_string_new (NULL);
  g_autoptr (AllavaStatement) statement =
      allava_database_prepare (database, "SELECT sql FROM sqlite_schema ORDER BY name", NULL);
  while (sqlite3_step (statement) == SQLITE_ROW)
    g_string_append_printf (schema, "%s\n", sqlite3_column_text (statement, 0));
  return g_string_free (schema, FALSE);
}

/* A dump as version N wrote it opens, becomes the current schema and keeps its rows. */
static void
test_old_dump (Fixture *fixture, gconstpointer data)
{
  int version = GPOINTER_TO_INT (data);
  g_autofree char *name = g_strdup_printf ("history-v%d.sql", version);
  g_autofree char *dump = g_test_build_filename (G_TEST_DIST, "app", "data", name, NULL);
  g_autofree char *sql = NULL;
  g_assert_true (g_file_get_contents (dump, &sql, NULL, NULL));
  {
    g_autoptr (AllavaDatabase) database = open_database (fixture->path);
    exec (database, sql);
  }
  g_autofree char *other = g_build_filename (fixture->folder, "new.sqlite", NULL);
  g_autoptr (AllavaDatabase) old = open_migrated (fixture->path);
  g_autoptr (AllavaDatabase) new = open_migrated (other);
  g_autofree char *old_schema = dup_schema (old);
  g_autofree char *new_schema = dup_schema (new);
  g_assert_cmpstr (old_schema, ==, new_schema);

  g_autoptr (GError) error = NULL;
  AllavaConversationContent *content = allava_database_load (old, 1001, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (content->conversation->title, ==, "What is this?");
  g_assert_cmpuint (content->messages->len, ==, 3);
  const AllavaMessageRecord *answer = content->messages->pdata[1];
  g_assert_cmpstr (answer->text, ==, "A cat on a mat.");
  g_assert_cmpstr (answer->details.finish, ==, "eos");
  const AllavaMessageRecord *question = content->messages->pdata[0];
  g_assert_cmpuint (question->images->len, ==, 1);
  allava_conversation_content_free (content);
  g_assert_cmpint (
      get_int (old, "SELECT rowid FROM message_search WHERE message_search MATCH 'mat'"), ==, 1003);
}

static void
test_newer_is_refused (Fixture *fixture, gconstpointer data)
{
  {
    g_autoptr (AllavaDatabase) database = open_migrated (fixture->path);
    exec (database, "PRAGMA user_version = 1000");
  }
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaDatabase) database = open_database (fixture->path);
  g_assert_false (allava_database_migrate (database, allava_database_migrations,
                                           allava_database_count_migrations (), &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_NEWER);
  g_assert_nonnull (strstr (error->message, fixture->path));
}

static void
test_foreign_is_refused (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaDatabase) database = open_database (fixture->path);
  exec (database, "CREATE TABLE cookies (name TEXT)");
  g_assert_false (allava_database_migrate (database, allava_database_migrations,
                                           allava_database_count_migrations (), &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_CORRUPT);
  g_assert_cmpint (get_int (database, "SELECT count (*) FROM sqlite_schema"), ==, 1);
}

/* A migration that fails half way leaves the version before it, whole, and a backup of the file as
 * it was at the start. */
static void
test_failing_migration (Fixture *fixture, gconstpointer data)
{
  static const char *const migrations[] = {
      "CREATE TABLE a (x)",
      "CREATE TABLE b (x); INSERT INTO b VALUES (1)",
      "CREATE TABLE c (x); INSERT INTO missing VALUES (1)",
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaDatabase) database = open_database (fixture->path);
  g_assert_true (allava_database_migrate (database, migrations, 1, &error));
  g_autofree char *backup = g_strconcat (fixture->path, ".backup-v1", NULL);
  g_assert_false (g_file_test (backup, G_FILE_TEST_EXISTS));

  g_assert_false (allava_database_migrate (database, migrations, 3, &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_FAILED);
  g_assert_cmpint (get_int (database, "PRAGMA user_version"), ==, 2);
  g_assert_cmpint (get_int (database, "SELECT count (*) FROM sqlite_schema"), ==, 2);
  g_autoptr (AllavaDatabase) copy = open_database (backup);
  g_assert_cmpint (get_int (copy, "PRAGMA user_version"), ==, 1);
  g_assert_cmpint (get_int (copy, "SELECT count (*) FROM sqlite_schema"), ==, 1);
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static gboolean
save_conversation (AllavaDatabase *database, gint64 id, const char *title, GError **error)
{
  AllavaConversationRecord record = {.id = id, .title = (char *)title};
  return allava_database_save (database, &record, NULL, NULL, error);
}

static void
test_full (Fixture *fixture, gconstpointer data)
{
  g_autoptr (AllavaDatabase) database = open_migrated (fixture->path);
  g_autofree char *title = g_strnfill (100000, 'x');
  g_assert_true (save_conversation (database, 1, "first", NULL));
  g_autofree char *limit =
      g_strdup_printf ("PRAGMA max_page_count = %d", (int)get_int (database, "PRAGMA page_count"));
  exec (database, limit);
  g_autoptr (GError) error = NULL;
  g_assert_false (save_conversation (database, 2, title, &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_FULL);
  g_assert_nonnull (strstr (error->message, "no room left"));
  /* What was there stays, and with room it goes on. */
  exec (database, "PRAGMA max_page_count = 100000");
  g_assert_true (save_conversation (database, 2, title, NULL));
  g_assert_cmpint (get_int (database, "SELECT count (*) FROM conversation"), ==, 2);
}

static int
deny_attach_cb (void *data, int action, const char *a, const char *b, const char *c, const char *d)
{
  return action == SQLITE_ATTACH ? SQLITE_DENY : SQLITE_OK;
}

/* Where there is no room for the copy that compacting makes, what was deleted is gone all the same.
 */
static void
test_no_copy (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *content = NULL;
  gsize length;
  g_autoptr (AllavaDatabase) database = open_migrated (fixture->path);
  g_assert_true (save_conversation (database, 1, "abracadabra", NULL));
  sqlite3_set_authorizer (allava_database_get_handle (database), deny_attach_cb, NULL);
  g_assert_false (allava_database_exec (database, "VACUUM", NULL));
  g_assert_true (allava_database_clear (database, &error));
  g_assert_no_error (error);
  g_assert_true (allava_database_compact (database, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (fixture->path, &content, &length, NULL));
  g_assert_null (memmem (content, length, "abracadabra", strlen ("abracadabra")));
  g_autofree char *log = g_strconcat (fixture->path, "-wal", NULL);
  struct stat info;
  g_assert_cmpint (g_stat (log, &info), ==, 0);
  g_assert_cmpint (info.st_size, ==, 0);
}

static void
assert_not_found (AllavaDatabase *database, gint64 parent_id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) messages =
      g_ptr_array_new_with_free_func ((GDestroyNotify)allava_message_record_free);
  AllavaMessageRecord *message = allava_message_record_new_empty ();
  message->id = 9;
  message->conversation_id = 1;
  message->parent_id = parent_id;
  message->text = g_strdup ("text");
  g_ptr_array_add (messages, message);
  g_assert_false (allava_database_save (database, NULL, messages, NULL, &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_NOT_FOUND);
}

/* A message whose conversation is gone; one whose conversation was made again, empty. */
static void
test_gone (Fixture *fixture, gconstpointer data)
{
  g_autoptr (AllavaDatabase) database = open_migrated (fixture->path);
  assert_not_found (database, 0);
  g_assert_true (save_conversation (database, 1, "title", NULL));
  assert_not_found (database, 8);
}

static void
test_locked (Fixture *fixture, gconstpointer data)
{
  g_autoptr (AllavaDatabase) other = open_migrated (fixture->path);
  g_autoptr (AllavaDatabase) database = open_migrated (fixture->path);
  exec (database, "PRAGMA busy_timeout = 10");
  exec (other, "BEGIN IMMEDIATE");
  g_autoptr (GError) error = NULL;
  g_assert_false (save_conversation (database, 1, "title", &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_LOCKED);
  exec (other, "COMMIT");
  g_assert_true (save_conversation (database, 1, "title", NULL));
}

static void
test_corrupt (Fixture *fixture, gconstpointer data)
{
  g_assert_true (
      g_file_set_contents (fixture->path, "This is a letter, not a database.", -1, NULL));
  g_autoptr (GError) error = NULL;
  g_assert_null (allava_database_open (fixture->path, &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_CORRUPT);
  g_assert_nonnull (strstr (error->message, fixture->path));
}

/* A header that is in order, and pages that are not. */
static void
test_damaged_pages (Fixture *fixture, gconstpointer data)
{
  {
    g_autoptr (AllavaDatabase) database = open_migrated (fixture->path);
    for (gint64 i = 1; i < 200; i++)
      g_assert_true (save_conversation (database, i, "some title", NULL));
    exec (database, "PRAGMA wal_checkpoint (TRUNCATE)");
  }
  g_autofree char *content = NULL;
  gsize length;
  g_assert_true (g_file_get_contents (fixture->path, &content, &length, NULL));
  memset (content + 4096, 0xa5, length - 4096);
  g_assert_true (g_file_set_contents (fixture->path, content, (gssize)length, NULL));

  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaDatabase) database = allava_database_open (fixture->path, &error);
  if (database != NULL && allava_database_migrate (database, allava_database_migrations,
                                                   allava_database_count_migrations (), &error))
    g_assert_null (allava_database_load (database, 5, &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_CORRUPT);
}

/* The administrator may write anything, so this runs as nobody. */
static void
readonly_subprocess (const char *path)
{
  if (geteuid () == 0 && setuid (65534) != 0)
    exit (1);
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaDatabase) database = allava_database_open (path, &error);
  if (database != NULL)
    allava_database_migrate (database, allava_database_migrations,
                             allava_database_count_migrations (), &error);
  if (database != NULL && error == NULL)
    save_conversation (database, 7, "title", &error);
  g_printerr ("%s\n", error != NULL ? error->message : "no error");
}

static void
test_readonly (Fixture *fixture, gconstpointer data)
{
  if (g_test_subprocess ()) {
    readonly_subprocess (g_getenv ("ALLAVA_TEST_PATH"));
    return;
  }
  {
    g_autoptr (AllavaDatabase) database = open_migrated (fixture->path);
    g_assert_true (save_conversation (database, 1, "title", NULL));
  }
  g_chmod (fixture->path, 0444);
  g_chmod (fixture->folder, 0555);
  g_setenv ("ALLAVA_TEST_PATH", fixture->path, TRUE);
  g_test_trap_subprocess (NULL, 0, 0);
  g_chmod (fixture->folder, 0755);
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("*cannot be written; check the permissions*");
}

/* A change whose body fails leaves nothing behind. */
static gboolean
failing_body (AllavaDatabase *database, gpointer user_data, GError **error)
{
  exec (database, "INSERT INTO conversation (id, title, updated) VALUES (1, 't', 1)");
  g_set_error_literal (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_FAILED, "no");
  return FALSE;
}

static void
test_rollback (Fixture *fixture, gconstpointer data)
{
  g_autoptr (AllavaDatabase) database = open_migrated (fixture->path);
  g_autoptr (GError) error = NULL;
  g_assert_false (allava_database_transact (database, failing_body, NULL, &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_FAILED);
  g_assert_cmpint (get_int (database, "SELECT count (*) FROM conversation"), ==, 0);
}

/* What a file of other rules may hold where ours hold text. */
static void
test_null_text (Fixture *fixture, gconstpointer data)
{
  {
    g_autoptr (AllavaDatabase) database = open_migrated (fixture->path);
    g_assert_true (save_conversation (database, 1, "title", NULL));
    exec (database, "PRAGMA writable_schema = ON;"
                    "UPDATE sqlite_schema SET sql = replace (sql, 'TEXT NOT NULL', 'TEXT')");
  }
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaDatabase) database = open_migrated (fixture->path);
  exec (database, "UPDATE conversation SET title = NULL");
  AllavaConversationContent *content = allava_database_load (database, 1, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (content->conversation->title, ==, "");
  allava_conversation_content_free (content);
}

/* ---- Words ----------------------------------------------------------------------------------- */

static gboolean
finds (AllavaDatabase *database, const char *typed)
{
  g_autofree char *query = allava_search_tokenizer_build_query (typed);
  if (query == NULL)
    return FALSE;
  g_autoptr (AllavaStatement) statement = allava_database_prepare (
      database, "SELECT 1 FROM title_search WHERE title_search MATCH ?1", NULL);
  allava_statement_bind_text (statement, 1, query);
  int code = sqlite3_step (statement);
  g_assert_true (code == SQLITE_ROW || code == SQLITE_DONE);
  return code == SQLITE_ROW;
}

static void
test_words (Fixture *fixture, gconstpointer data)
{
  static const char title[] =
      "Die Straße nach Málaga, 一只黑猫坐在垫子上, ภาพแมวสีดำ, don't \"quote\"";
  static const char *const found[] = {"straße", "mala",     "MALAGA nach", "黑猫",  "垫子",
                                      "猫坐",   "Die 一只", "แมว",         "don't", "\"quote",
                                      "nach",   "Straße ",  "?! die"};
  static const char *const not_found[] = {"stra\xc3\x9f"
                                          "en",
                                          "猫黑",
                                          "mala ",
                                          "",
                                          "?!",
                                          "laga",
                                          "nach AND die NOT",
                                          "*"};
  g_autoptr (AllavaDatabase) database = open_migrated (fixture->path);
  g_assert_true (save_conversation (database, 1, title, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (found); i++)
    if (!finds (database, found[i]))
      g_error ("\"%s\" is not found", found[i]);
  for (gsize i = 0; i < G_N_ELEMENTS (not_found); i++)
    if (finds (database, not_found[i]))
      g_error ("\"%s\" is found", not_found[i]);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/database/new-file", test_new_file);
  for (int version = 1; version <= allava_database_count_migrations (); version++) {
    g_autofree char *path = g_strdup_printf ("/database/dump-v%d", version);
    g_test_add (path, Fixture, GINT_TO_POINTER (version), set_up, test_old_dump, tear_down);
  }
  ADD ("/database/newer-is-refused", test_newer_is_refused);
  ADD ("/database/foreign-is-refused", test_foreign_is_refused);
  ADD ("/database/failing-migration", test_failing_migration);
  ADD ("/database/full", test_full);
  ADD ("/database/no-copy", test_no_copy);
  ADD ("/database/gone", test_gone);
  ADD ("/database/locked", test_locked);
  ADD ("/database/corrupt", test_corrupt);
  ADD ("/database/damaged-pages", test_damaged_pages);
  ADD ("/database/readonly", test_readonly);
  ADD ("/database/rollback", test_rollback);
  ADD ("/database/null-text", test_null_text);
  ADD ("/database/words", test_words);
  return g_test_run ();
}
