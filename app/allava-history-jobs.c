#include "allava-history-jobs.h"

#include <errno.h>

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#include "allava-database-conversations.h"
#include "allava-database-lists.h"
#include "allava-database-migrations.h"

#define FILE_NAME "history.sqlite"

/* The result of jobs that have none. */
#define DONE GINT_TO_POINTER (1)

void
allava_history_request_free (AllavaHistoryRequest *request)
{
  g_clear_pointer (&request->conversation, allava_conversation_record_free);
  g_clear_pointer (&request->messages, g_ptr_array_unref);
  g_clear_pointer (&request->array, g_array_unref);
  g_free (request->text);
  g_free (request);
}

/* Pictures beside a database without tables are those of one whose file was moved away. */
static gboolean
keep_former_images (AllavaHistoryContext *context, AllavaDatabase *database, GError **error)
{
  gint64 n_tables;
  return allava_database_get_int (database, "SELECT count (*) FROM sqlite_schema", &n_tables,
                                  error) &&
         (n_tables > 0 || allava_image_store_keep_all (context->images, error));
}

gpointer
allava_history_open_job (AllavaHistoryContext *context,
                         AllavaHistoryRequest *request,
                         GError **error)
{
  if (context->database != NULL)
    return DONE;
  if (g_mkdir_with_parents (context->folder, 0700) != 0) {
    g_set_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_READONLY,
                 _ ("The folder %s for the history cannot be made: %s"), context->folder,
                 g_strerror (errno));
    return NULL;
  }
  g_autofree char *path = g_build_filename (context->folder, FILE_NAME, NULL);
  g_autoptr (AllavaDatabase) database = allava_database_open (path, error);
  if (database == NULL || !keep_former_images (context, database, error) ||
      !allava_database_migrate (database, allava_database_migrations,
                                allava_database_count_migrations (), error) ||
      !allava_database_mark_stopped (database, error))
    return NULL;
  context->database = g_steal_pointer (&database);
  return DONE;
}

gpointer
allava_history_close_job (AllavaHistoryContext *context,
                          AllavaHistoryRequest *request,
                          GError **error)
{
  g_clear_pointer (&context->database, allava_database_close);
  return DONE;
}

gpointer
allava_history_save_job (AllavaHistoryContext *context,
                         AllavaHistoryRequest *request,
                         GError **error)
{
  return allava_database_save (context->database, request->conversation, request->messages,
                               request->array, error)
             ? DONE
             : NULL;
}

gpointer
allava_history_load_job (AllavaHistoryContext *context,
                         AllavaHistoryRequest *request,
                         GError **error)
{
  return allava_database_load (context->database, request->id, error);
}

gpointer
allava_history_rename_job (AllavaHistoryContext *context,
                           AllavaHistoryRequest *request,
                           GError **error)
{
  return allava_database_rename (context->database, request->id, request->text, error) ? DONE
                                                                                       : NULL;
}

gpointer
allava_history_set_deleted_job (AllavaHistoryContext *context,
                                AllavaHistoryRequest *request,
                                GError **error)
{
  return allava_database_set_deleted (context->database, request->id, request->flag, error) ? DONE
                                                                                            : NULL;
}

gpointer
allava_history_purge_job (AllavaHistoryContext *context,
                          AllavaHistoryRequest *request,
                          GError **error)
{
  g_autoptr (GHashTable) dropped = allava_database_purge (context->database, error);
  if (dropped == NULL)
    return NULL;
  g_autoptr (GHashTable) used = allava_database_get_images (context->database, error);
  if (used == NULL)
    return NULL;
  allava_image_store_sweep (context->images, used, dropped);
  return DONE;
}

static void
delete_backups (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    if (!g_str_has_prefix (name, FILE_NAME ".backup-"))
      continue;
    g_autofree char *path = g_build_filename (folder, name, NULL);
    g_unlink (path);
  }
}

/* Of a database that cannot be opened, whatever is in it. */
static gboolean
delete_database (const char *folder, GError **error)
{
  static const char *const names[] = {FILE_NAME, FILE_NAME "-wal", FILE_NAME "-shm"};
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (folder, names[i], NULL);
    if (g_unlink (path) != 0 && errno != ENOENT) {
      g_set_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_READONLY,
                   _ ("%s cannot be deleted"), path);
      return FALSE;
    }
  }
  return TRUE;
}

gpointer
allava_history_delete_all_job (AllavaHistoryContext *context,
                               AllavaHistoryRequest *request,
                               GError **error)
{
  if (context->database == NULL) {
    if (!delete_database (context->folder, error))
      return NULL;
    delete_backups (context->folder);
    return allava_image_store_clear (context->images, error) ? DONE : NULL;
  }
  if (!allava_database_clear (context->database, error))
    return NULL;
  delete_backups (context->folder);
  /* The pictures first: they make the room that compacting may need. */
  gboolean cleared = allava_image_store_clear (context->images, error);
  gboolean compacted = allava_database_compact (context->database, cleared ? error : NULL);
  return cleared && compacted ? DONE : NULL;
}

gpointer
allava_history_list_job (AllavaHistoryContext *context,
                         AllavaHistoryRequest *request,
                         GError **error)
{
  return allava_database_list (context->database, request->text, error);
}

gpointer
allava_history_lines_job (AllavaHistoryContext *context,
                          AllavaHistoryRequest *request,
                          GError **error)
{
  return allava_database_get_lines (context->database, request->array, request->text, error);
}
