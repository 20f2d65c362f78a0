/* allava-message-row.h - a question or an answer, and what can be done with it. */
#pragma once

#include "allava-conversation.h"

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ALLAVA_TYPE_MESSAGE_ROW (allava_message_row_get_type ())
G_DECLARE_FINAL_TYPE (AllavaMessageRow, allava_message_row, ALLAVA, MESSAGE_ROW, GtkWidget)

GtkWidget *allava_message_row_new (void);

/* MESSAGE NULL: none. */
void allava_message_row_set_message (AllavaMessageRow *self,
                                     AllavaConversation *conversation,
                                     AllavaMessage *message);
AllavaMessage *allava_message_row_get_message (AllavaMessageRow *self);

/* What is told of the model's memory above MESSAGE, or NULL. The caller owns it. */
char *allava_message_row_dup_notice (AllavaMessage *message);

/* The actions of this message, for a menu. The caller owns it. */
GMenuModel *allava_message_row_dup_menu (AllavaMessageRow *self);

G_END_DECLS
