/* allava-conversation.h - questions and answers, as a list model of AllavaMessage.
 *
 * Messages form a tree: a question asked again in other words, or an answer made again, is a
 * sibling of the old one. The list shows one branch, from the first question to a leaf; the
 * others are a switch away and are saved too. Belongs to the main thread. Every change is saved
 * at once, and text that streams in at least every 0.2 seconds. */
#pragma once

#include "allava-generator.h"
#include "allava-history.h"
#include "allava-message.h"

G_BEGIN_DECLS

#define ALLAVA_TYPE_CONVERSATION (allava_conversation_get_type ())
G_DECLARE_FINAL_TYPE (AllavaConversation, allava_conversation, ALLAVA, CONVERSATION, GObject)

/* Properties:
 *   id              int64    read-only; 0 until its first question
 *   title           string   settable; the first question unless a person has named it
 *   loading         boolean  read-only; messages are on their way from the disk
 *   answer          AllavaMessage or NULL, read-only: the answer that waits or streams
 *   busy            boolean  read-only: there is such an answer
 *   positions-left  int      read-only; room in the model's context after the last message,
 *                            or -1 where not known yet
 *   unsaved         boolean  read-only; the history lacks something, which is on its way to it or
 *                            could not be saved
 *
 * Signals:
 *   failed (const GError *error)  loading or saving went wrong; the messages in memory stay. */

/* A new one. HISTORY may be NULL: then nothing is saved. See also AllavaLibrary, which keeps
 * conversations that are at work alive. */
AllavaConversation *allava_conversation_new (AllavaHistory *history, AllavaGenerator *generator);

/* One of the history's; starts to load. */
AllavaConversation *
allava_conversation_new_for_id (AllavaHistory *history, AllavaGenerator *generator, gint64 id);

gint64 allava_conversation_get_id (AllavaConversation *self);
const char *allava_conversation_get_title (AllavaConversation *self);
void allava_conversation_set_title (AllavaConversation *self, const char *title);
gboolean allava_conversation_get_loading (AllavaConversation *self);
gboolean allava_conversation_get_busy (AllavaConversation *self);
AllavaMessage *allava_conversation_get_answer (AllavaConversation *self);
int allava_conversation_get_positions_left (AllavaConversation *self);
gboolean allava_conversation_get_unsaved (AllavaConversation *self);

/* Whether some of what is unsaved has failed, and is not on its way again. */
gboolean allava_conversation_has_failed (AllavaConversation *self);

/* Sends to the history what could not be saved; does nothing where there is nothing. */
void allava_conversation_retry_save (AllavaConversation *self);

/* FALSE where TEXT is so long that no model, or not the one that was loaded, could read it as a
 * question: ALLAVA_ERROR_INPUT, one sentence. The next four do not ask. */
gboolean
allava_conversation_check_length (AllavaConversation *self, const char *text, GError **error);

/* The next four start an answer, which streams into the list's last message and is returned,
 * borrowed. They do nothing and return NULL while the conversation is busy or loading. IMAGES is a
 * list model of AllavaImage, or NULL; it is copied. */

/* Appends a question. TEXT may be empty only with images. */
AllavaMessage *
allava_conversation_ask (AllavaConversation *self, const char *text, GListModel *images);

/* Asks QUESTION again in other words or with other images, as a new branch. */
AllavaMessage *allava_conversation_edit (AllavaConversation *self,
                                         AllavaMessage *question,
                                         const char *text,
                                         GListModel *images);

/* Another answer to the question that ANSWER (or the question itself, if it has none) is about. */
AllavaMessage *allava_conversation_regenerate (AllavaConversation *self, AllavaMessage *message);

/* Lets the model go on where ANSWER, the last message, ends. */
AllavaMessage *allava_conversation_continue (AllavaConversation *self, AllavaMessage *answer);
gboolean allava_conversation_can_continue (AllavaConversation *self, AllavaMessage *answer);

/* Stops the answer, if there is one: its state becomes "stopped" as soon as the model lets go. */
void allava_conversation_stop (AllavaConversation *self);

/* Shows the branch of another sibling: OFFSET -1 the one before, 1 the one after. Does nothing
 * while busy or where there is none. */
void
allava_conversation_switch_sibling (AllavaConversation *self, AllavaMessage *message, int offset);

/* Shows a branch that holds the message ID, if there is one; once the messages are loaded, where
 * they are on their way. Does nothing while busy. */
void allava_conversation_show_message (AllavaConversation *self, gint64 id);

/* Deletes an answer, or a question with all its answers; what follows stays. Only the last
 * deletion can be undone. Both do nothing while busy. */
void allava_conversation_delete (AllavaConversation *self, AllavaMessage *message);
void allava_conversation_undo_delete (AllavaConversation *self);

/* For the closing of the program: saves what streams as stopped, now. */
void allava_conversation_shut (AllavaConversation *self);

G_END_DECLS
