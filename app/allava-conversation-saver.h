/* allava-conversation-saver.h - sends a conversation's changes to the history; what could not be
 * saved is sent again with the next change, or on request. Main thread. */
#pragma once

#include "allava-history.h"

typedef struct _AllavaConversationSaver AllavaConversationSaver;

/* Told of the first failure of a row of them, and again after each
 * allava_conversation_saver_save(). */
typedef void (*AllavaSaveFailedFunc) (const GError *error, gpointer user_data);

/* Told when allava_conversation_saver_is_done() has changed. */
typedef void (*AllavaSaveChangedFunc) (gpointer user_data);

/* HISTORY may be NULL: then nothing is saved. CONVERSATION is borrowed until the saver is freed. */
AllavaConversationSaver *
allava_conversation_saver_new (AllavaHistory *history,
                               const AllavaConversationRecord *conversation,
                               AllavaSaveFailedFunc failed,
                               AllavaSaveChangedFunc changed,
                               gpointer user_data);

/* FAILED and CHANGED are not called any more. */
void allava_conversation_saver_free (AllavaConversationSaver *self);

/* Whether the history has all that was to be saved. */
gboolean allava_conversation_saver_is_done (AllavaConversationSaver *self);

/* Whether something could not be saved, and is not on its way again. */
gboolean allava_conversation_saver_has_failed (AllavaConversationSaver *self);

/* What a person has done: saves the conversation's row and MESSAGES, and removes what is DELETED
 * (or NULL); both are of AllavaMessage. What came last of a message counts. */
void allava_conversation_saver_save (AllavaConversationSaver *self,
                                     GPtrArray *messages,
                                     GPtrArray *deleted);

/* Saves the text that ANSWER has got so far: while a save is on its way, as soon as that is back,
 * so that no row of them builds up where the history is slow. DONE: at once, with the
 * conversation's row. */
void allava_conversation_saver_save_answer (AllavaConversationSaver *self,
                                            AllavaMessage *answer,
                                            gboolean done);

/* Sends what could not be saved; does nothing where there is nothing. */
void allava_conversation_saver_retry (AllavaConversationSaver *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaConversationSaver, allava_conversation_saver_free)
