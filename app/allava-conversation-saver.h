/* allava-conversation-saver.h - sends a conversation's changes to the history; what could not be
 * saved is sent again with the next change, or on request. Main thread. */
#pragma once

#include "allava-history.h"

typedef struct _AllavaConversationSaver AllavaConversationSaver;

/* Told of the first failure of a row of them. */
typedef void (*AllavaSaveFailedFunc) (const GError *error, gpointer user_data);

/* Told when allava_conversation_saver_is_done() has changed. */
typedef void (*AllavaSaveChangedFunc) (gpointer user_data);

/* HISTORY may be NULL: then nothing is saved. */
AllavaConversationSaver *allava_conversation_saver_new (AllavaHistory *history,
                                                        AllavaSaveFailedFunc failed,
                                                        AllavaSaveChangedFunc changed,
                                                        gpointer user_data);

/* FAILED and CHANGED are not called any more. */
void allava_conversation_saver_free (AllavaConversationSaver *self);

/* Whether the history has all that was to be saved. */
gboolean allava_conversation_saver_is_done (AllavaConversationSaver *self);

/* MESSAGES is of AllavaMessage. The conversation's own row is written where it must be. */
void allava_conversation_saver_save (AllavaConversationSaver *self,
                                     const AllavaConversationRecord *conversation,
                                     gboolean conversation_changed,
                                     GPtrArray *messages);

/* Sends what could not be saved; does nothing where there is nothing. */
void allava_conversation_saver_retry (AllavaConversationSaver *self,
                                      const AllavaConversationRecord *conversation);

/* After what was saved before. MESSAGES is of AllavaMessage. */
void allava_conversation_saver_delete (AllavaConversationSaver *self,
                                       gint64 conversation_id,
                                       GPtrArray *messages);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaConversationSaver, allava_conversation_saver_free)
