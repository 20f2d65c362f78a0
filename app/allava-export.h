/* allava-export.h - writes conversations to a folder: a Markdown file each, and its images. */
#pragma once

#include "allava-history.h"

G_BEGIN_DECLS

/* Exports the conversations in IDS (GArray of gint64), or all where IDS is NULL, into FOLDER, which
 * is made if it is not there: "2026-11-22 What is this.md" and "images/cat.jpg". The branch shown
 * last is written. A file that is there already is never overwritten; the new one gets a number.
 * PROGRESS (on the main thread) may be NULL. Main thread; the work is done elsewhere. */
void allava_export_async (AllavaHistory *history,
                          GArray *ids,
                          GFile *folder,
                          GFileProgressCallback progress,
                          gpointer progress_data,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data);

/* How many conversations were written, or -1. */
int allava_export_finish (AllavaHistory *history, GAsyncResult *result, GError **error);

G_END_DECLS
