/* allava-database.h - a SQLite connection that belongs to one thread, with prepared statements.
 *
 * Opened, used and closed on the same thread, which every function asserts. Errors are
 * ALLAVA_HISTORY_ERROR_*, one sentence each. */
#pragma once

#include <gio/gio.h>
#include <sqlite3.h>

#include "allava-history.h"

typedef struct _AllavaDatabase AllavaDatabase;

/* Opens or makes the file PATH: WAL, foreign keys, busy timeout. Does not migrate. */
AllavaDatabase *allava_database_open (const char *path, GError **error);
void allava_database_close (AllavaDatabase *self);

const char *allava_database_get_path (AllavaDatabase *self);
sqlite3 *allava_database_get_handle (AllavaDatabase *self);

/* The sentence for what SQLite just reported. Always returns FALSE. */
gboolean allava_database_fail (AllavaDatabase *self, GError **error);

/* SQLite's extended code of what failed last; rolling back, which resets SQLite's, keeps it. */
int allava_database_get_failure (AllavaDatabase *self);

/* Statements without parameters and rows. */
gboolean allava_database_exec (AllavaDatabase *self, const char *sql, GError **error);

/* A statement that is kept for the next time; SQL is a string constant. It is reset when the
 * g_autoptr goes out of scope. */
typedef sqlite3_stmt AllavaStatement;
AllavaStatement *allava_database_prepare (AllavaDatabase *self, const char *sql, GError **error);
void allava_statement_release (AllavaStatement *statement);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaStatement, allava_statement_release)

/* Runs to the end; there must be no rows. */
gboolean allava_database_run (AllavaDatabase *self, AllavaStatement *statement, GError **error);

/* TRUE and *ROW: whether there is one. */
gboolean allava_database_step (AllavaDatabase *self,
                               AllavaStatement *statement,
                               gboolean *row,
                               GError **error);

/* One number, such as a pragma's value. */
gboolean
allava_database_get_int (AllavaDatabase *self, const char *sql, gint64 *value, GError **error);

/* VALUE is borrowed until the statement is released. */
void allava_statement_bind_text (AllavaStatement *statement, int index, const char *value);
void allava_statement_bind_id (AllavaStatement *statement, int index, gint64 id); /* 0: NULL */

/* A file may hold anything: what is not UTF-8 becomes U+FFFD. NULL is NULL, or "" for the second.
 */
char *allava_statement_dup_text (AllavaStatement *statement, int column);
char *allava_statement_dup_string (AllavaStatement *statement, int column);

/* Runs BODY in a transaction; rolls back if it fails, or if committing does. */
typedef gboolean (*AllavaDatabaseFunc) (AllavaDatabase *self, gpointer user_data, GError **error);
gboolean allava_database_transact (AllavaDatabase *self,
                                   AllavaDatabaseFunc body,
                                   gpointer user_data,
                                   GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaDatabase, allava_database_close)
