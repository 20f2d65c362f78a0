/* allava-database-lists.h - which conversations there are, and searching them. History thread. */
#pragma once

#include "allava-database.h"

/* As allava_history_list_async() says: a GArray of AllavaConversationKey. */
GArray *allava_database_list (AllavaDatabase *database, const char *query, GError **error);

/* As allava_history_lines_async() says: a GPtrArray of AllavaConversationLine. */
GPtrArray *allava_database_get_lines (AllavaDatabase *database,
                                      GArray *keys,
                                      const char *query,
                                      GError **error);
