/* allava-chat-view.h - a conversation: its messages, and the composer below them. */
#pragma once

#include "allava-composer.h"

G_BEGIN_DECLS

#define ALLAVA_TYPE_CHAT_VIEW (allava_chat_view_get_type ())
G_DECLARE_FINAL_TYPE (AllavaChatView, allava_chat_view, ALLAVA, CHAT_VIEW, GtkWidget)

void allava_chat_view_set_library (AllavaChatView *self, AllavaLibrary *library);
void allava_chat_view_set_conversation (AllavaChatView *self, AllavaConversation *conversation);
AllavaComposer *allava_chat_view_get_composer (AllavaChatView *self);

void allava_chat_view_focus_entry (AllavaChatView *self);

/* Puts the focus on the last message. */
void allava_chat_view_focus_messages (AllavaChatView *self);

/* For the rows: says MESSAGE to whoever uses a screen reader. */
void allava_chat_view_say (AllavaChatView *self, const char *message);

/* For the rows: what concerns more than one message. */
void allava_chat_view_delete_message (AllavaChatView *self, AllavaMessage *message);
void allava_chat_view_edit_message (AllavaChatView *self, AllavaMessage *message);
void allava_chat_view_ask_of_new_image (AllavaChatView *self, AllavaMessage *message);
void allava_chat_view_switch_branch (AllavaChatView *self, AllavaMessage *message, int offset);

G_END_DECLS
