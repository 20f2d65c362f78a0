/* allava-database-conversations.h - conversations, messages and images as rows. History thread. */
#pragma once

#include "allava-database.h"

/* Makes or updates, and deletes, in one transaction; each may be NULL. MESSAGES is of
 * AllavaMessageRecord, DELETED of gint64, ids of messages. The title is written only when the
 * conversation is new. Error: NOT_FOUND where a message's conversation or parent is gone. */
gboolean allava_database_save (AllavaDatabase *database,
                               const AllavaConversationRecord *conversation,
                               GPtrArray *messages,
                               GArray *deleted,
                               GError **error);

/* Error: NOT_FOUND. */
AllavaConversationContent *
allava_database_load (AllavaDatabase *database, gint64 id, GError **error);

gboolean
allava_database_rename (AllavaDatabase *database, gint64 id, const char *title, GError **error);

/* Hides a conversation, or shows it again. */
gboolean
allava_database_set_deleted (AllavaDatabase *database, gint64 id, gboolean deleted, GError **error);

/* Removes hidden conversations and images without a message. Returns a set of the SHA-256s of
 * those. */
GHashTable *allava_database_purge (AllavaDatabase *database, GError **error);

/* Removes all rows. */
gboolean allava_database_clear (AllavaDatabase *database, GError **error);

/* Gives back the room of what was removed, as far as there is room to do so, and empties the log
 * that still holds it. */
gboolean allava_database_compact (AllavaDatabase *database, GError **error);

/* Answers that were cut off become stopped ones. */
gboolean allava_database_mark_stopped (AllavaDatabase *database, GError **error);

/* A set of the SHA-256s in use. */
GHashTable *allava_database_get_images (AllavaDatabase *database, GError **error);
