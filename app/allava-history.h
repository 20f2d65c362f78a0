/* allava-history.h - the conversations on disk: FOLDER/history.sqlite and the image store.
 *
 * Owns the history thread, which alone touches SQLite. Functions are called on the main thread and
 * return at once; what they ask for is done in the order of the calls. Every _async function takes
 * a callback that may be NULL: a failure of such a call is told by the signal "failed" instead.
 *
 * Errors are one clear sentence that says what to do: ALLAVA_HISTORY_ERROR_*. */
#pragma once

#include "allava-image-store.h"
#include "allava-record.h"

G_BEGIN_DECLS

#define ALLAVA_HISTORY_ERROR (allava_history_error_quark ())

typedef enum {
  ALLAVA_HISTORY_ERROR_FAILED,
  ALLAVA_HISTORY_ERROR_FULL,      /* no room on the disk */
  ALLAVA_HISTORY_ERROR_LOCKED,    /* another program holds the database */
  ALLAVA_HISTORY_ERROR_READONLY,  /* file or folder cannot be written */
  ALLAVA_HISTORY_ERROR_CORRUPT,   /* not a database, or a damaged one */
  ALLAVA_HISTORY_ERROR_NEWER,     /* written by a newer version of this program */
  ALLAVA_HISTORY_ERROR_NOT_FOUND, /* no such conversation */
  ALLAVA_HISTORY_ERROR_CLOSED,    /* not open, or no longer */
} AllavaHistoryError;

GQuark allava_history_error_quark (void);

#define ALLAVA_TYPE_HISTORY (allava_history_get_type ())
G_DECLARE_FINAL_TYPE (AllavaHistory, allava_history, ALLAVA, HISTORY, GObject)

/* Properties:
 *   open  boolean  read-only: the database can be used
 *
 * Signals:
 *   changed (gint64 id)            a conversation was made, changed, deleted or brought back;
 *                                  0: all were deleted; -1: any may have been
 *   failed (const GError *error)   something could not be saved */

/* FOLDER is made when opening. */
AllavaHistory *allava_history_new (const char *folder);
const char *allava_history_get_folder (AllavaHistory *self);
AllavaImageStore *allava_history_get_images (AllavaHistory *self);
gboolean allava_history_get_open (AllavaHistory *self);

/* Migrates an older file (after a backup copy of it), marks answers that were cut off as stopped,
 * purges what was deleted, and sweeps image files that no message uses; but those that lie beside
 * a database that is made now are kept (allava_image_store_keep_all). */
void
allava_history_open_async (AllavaHistory *self, GAsyncReadyCallback callback, gpointer user_data);
gboolean allava_history_open_finish (AllavaHistory *self, GAsyncResult *result, GError **error);

/* Does everything that was asked for, closes the database and ends the thread. Disposing without
 * it does the same, and waits. */
void
allava_history_close_async (AllavaHistory *self, GAsyncReadyCallback callback, gpointer user_data);

/* For close, save, rename, delete, undelete, purge and delete_all. */
gboolean allava_history_finish (AllavaHistory *self, GAsyncResult *result, GError **error);

/* ---- Conversations --------------------------------------------------------------------------- */

/* Makes, updates and deletes rows, in one transaction: a conversation (or NULL), messages (a
 * borrowed array of AllavaMessageRecord, or NULL), and messages that go (GArray of gint64, their
 * ids, or NULL), which must leave none without its parent. */
void allava_history_save_async (AllavaHistory *self,
                                const AllavaConversationRecord *conversation,
                                GPtrArray *messages,
                                GArray *deleted,
                                GAsyncReadyCallback callback,
                                gpointer user_data);

/* Error: NOT_FOUND. */
void allava_history_load_async (AllavaHistory *self,
                                gint64 id,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer user_data);
AllavaConversationContent *
allava_history_load_finish (AllavaHistory *self, GAsyncResult *result, GError **error);

void allava_history_rename_async (AllavaHistory *self,
                                  gint64 id,
                                  const char *title,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);

/* Takes it out of lists and searches. It can be brought back until it is purged, which happens at
 * the next start if not before. */
void allava_history_delete_async (AllavaHistory *self,
                                  gint64 id,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);
void allava_history_undelete_async (AllavaHistory *self,
                                    gint64 id,
                                    GAsyncReadyCallback callback,
                                    gpointer user_data);

/* Removes what was deleted for good. */
void
allava_history_purge_async (AllavaHistory *self, GAsyncReadyCallback callback, gpointer user_data);

/* All conversations, images, backups; overwritten, not just forgotten. No undo. Where the history
 * is not open, its files are deleted, so that it can be opened as a new one. */
void allava_history_delete_all_async (AllavaHistory *self,
                                      GAsyncReadyCallback callback,
                                      gpointer user_data);

/* ---- Lists ----------------------------------------------------------------------------------- */

/* The keys of all conversations, or of those that match QUERY (the newest of them), newest first.
 * A GArray of AllavaConversationKey. */
void allava_history_list_async (AllavaHistory *self,
                                const char *query,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer user_data);
GArray *allava_history_list_finish (AllavaHistory *self, GAsyncResult *result, GError **error);

/* Titles, and snippets where QUERY is not empty, of the conversations in KEYS (GArray of
 * AllavaConversationKey): a GPtrArray of AllavaConversationLine; those that do not exist are left
 * out. */
void allava_history_lines_async (AllavaHistory *self,
                                 GArray *keys,
                                 const char *query,
                                 GCancellable *cancellable,
                                 GAsyncReadyCallback callback,
                                 gpointer user_data);
GPtrArray *allava_history_lines_finish (AllavaHistory *self, GAsyncResult *result, GError **error);

G_END_DECLS
