/* allava-conversation-row.h - a conversation in the side bar. */
#pragma once

#include "allava-conversation-item.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ALLAVA_TYPE_CONVERSATION_ROW (allava_conversation_row_get_type ())
G_DECLARE_FINAL_TYPE (
    AllavaConversationRow, allava_conversation_row, ALLAVA, CONVERSATION_ROW, GtkWidget)

GtkWidget *allava_conversation_row_new (void);

void allava_conversation_row_set_item (AllavaConversationRow *self, AllavaConversationItem *item);
AllavaConversationItem *allava_conversation_row_get_item (AllavaConversationRow *self);

G_END_DECLS
