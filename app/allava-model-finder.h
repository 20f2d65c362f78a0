/* allava-model-finder.h - looks for models of the families that the engine runs. */
#pragma once

#include "allava-model-entry.h"

G_BEGIN_DECLS

/* Looks, off the main thread, at each of FOLDERS (a model itself, or holding models one level
 * down; those that do not exist are skipped) and, if HUB is not NULL, at the Hugging Face cache
 * HUB. The same folder is found once. */
void allava_model_finder_find_async (const char *const *folders,
                                     const char *hub,
                                     GCancellable *cancellable,
                                     GAsyncReadyCallback callback,
                                     gpointer user_data);

/* A list model of AllavaModelEntry, in the order of the folders, by name in each; the caller
 * owns it. The only error is cancelling. */
GListModel *allava_model_finder_find_finish (GAsyncResult *result, GError **error);

/* Where Hugging Face's tools keep models: $HF_HUB_CACHE, $HF_HOME/hub, huggingface/hub in
 * $XDG_CACHE_HOME if it is there, or ~/.cache/huggingface/hub. */
char *allava_model_finder_dup_hub (void);

/* Whether the path FOLDER is UTF-8, as settings and whatever shows or speaks it need it. Error: a
 * sentence that says so. */
gboolean allava_model_finder_check_path (const char *folder, GError **error);

/* Whether FOLDER has such a path, and a config.json of a family that the engine runs. Reads a small
 * file. Error: one sentence that says what is missing. */
gboolean allava_model_finder_check (const char *folder, GError **error);

/* What people call the model in FOLDER: the folder's name; in Hugging Face's cache the
 * repository's; and where the folder is just called "model", what its card is headed by. Reads a
 * small file. */
char *allava_model_finder_dup_name (const char *folder);

G_END_DECLS
