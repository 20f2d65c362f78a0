/* allava-model-entry.h - a model that was found on this machine. Immutable. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define ALLAVA_TYPE_MODEL_ENTRY (allava_model_entry_get_type ())
G_DECLARE_FINAL_TYPE (AllavaModelEntry, allava_model_entry, ALLAVA, MODEL_ENTRY, GObject)

/* Properties (read-only): path (string), name (string, for people), size (uint64, bytes of the
 * weight files), hub (boolean: from Hugging Face's cache). */
AllavaModelEntry *
allava_model_entry_new (const char *path, const char *name, guint64 size, gboolean hub);
const char *allava_model_entry_get_path (AllavaModelEntry *self);
const char *allava_model_entry_get_name (AllavaModelEntry *self);
guint64 allava_model_entry_get_size (AllavaModelEntry *self);
gboolean allava_model_entry_get_hub (AllavaModelEntry *self);

G_END_DECLS
