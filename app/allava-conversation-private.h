/* allava-conversation-private.h - between the conversation's files. */
#pragma once

#include "allava-conversation-saver.h"
#include "allava-conversation.h"
#include "allava-message-tree.h"

/* What was deleted last, for undoing. */
typedef struct {
  GPtrArray *removed;  /* AllavaMessage, parents before children */
  GPtrArray *moved;    /* AllavaMessage that got another parent */
  GArray *moved_from;  /* gint64, their old parents */
  AllavaMessage *leaf; /* of the branch then shown */
} AllavaDeletion;

struct _AllavaConversation {
  GObject parent_instance;
  AllavaHistory *history; /* or NULL */
  AllavaGenerator *generator;
  AllavaConversationRecord record;
  AllavaConversationSaver *saver;
  gboolean loading;
  gint64 wanted; /* message, to be shown as soon as it is loaded; or 0 */

  AllavaMessageTree *tree;
  GPtrArray *branch;        /* AllavaMessage, what the list shows */
  AllavaDeletion *deletion; /* or NULL */

  AllavaMessage *answer;     /* that waits or streams, or NULL */
  GCancellable *cancellable; /* of that */
  guint save_source;         /* until the text that came in is saved */
};

/* Shows the branch that ends with LEAF, or nothing (NULL), and tells of what has changed. */
void allava_conversation_show_branch (AllavaConversation *self, AllavaMessage *leaf);

gboolean allava_conversation_is_idle (AllavaConversation *self);

/* Tell of changes of positions-left; of answer and busy; of id and title. */
void allava_conversation_notify_positions_left (AllavaConversation *self);
void allava_conversation_notify_answer (AllavaConversation *self);
void allava_conversation_notify_born (AllavaConversation *self);

void allava_deletion_free (AllavaDeletion *deletion);
