/* allava-conversation-list.h - the history as a list model of AllavaConversationItem, newest first.
 *
 * Only ids and times are in memory (24 bytes a conversation); items are made when a view asks and
 * filled page by page from the history thread. It follows the history by itself, with the smallest
 * changes, and keeps the objects of conversations that stay. */
#pragma once

#include "allava-conversation-item.h"
#include "allava-history.h"

G_BEGIN_DECLS

#define ALLAVA_TYPE_CONVERSATION_LIST (allava_conversation_list_get_type ())
G_DECLARE_FINAL_TYPE (
    AllavaConversationList, allava_conversation_list, ALLAVA, CONVERSATION_LIST, GObject)

/* Properties:
 *   query    string   settable: "" or NULL is all conversations; otherwise those that hold all its
 *                     words (the last may be the beginning of one) in titles or messages
 *   loading  boolean  read-only: an answer of the history is awaited
 *
 * Signals:
 *   failed (const GError *error) */

/* Loads by itself as soon as the history is open. */
AllavaConversationList *allava_conversation_list_new (AllavaHistory *history);

const char *allava_conversation_list_get_query (AllavaConversationList *self);
void allava_conversation_list_set_query (AllavaConversationList *self, const char *query);
gboolean allava_conversation_list_get_loading (AllavaConversationList *self);

/* Asks the clock which conversations are today's. The list does so itself only when it is read. */
void allava_conversation_list_update_sections (AllavaConversationList *self);

/* GTK_INVALID_LIST_POSITION (G_MAXUINT) where the list does not hold it. */
guint allava_conversation_list_find (AllavaConversationList *self, gint64 id);

/* The newest message of the conversation ID that holds what is searched for; 0: none does. */
gint64 allava_conversation_list_get_hit (AllavaConversationList *self, gint64 id);

G_END_DECLS
