/* allava-message-tree.h - a conversation's messages of all branches, and who follows whom. */
#pragma once

#include "allava-message.h"

typedef struct _AllavaMessageTree AllavaMessageTree;

AllavaMessageTree *allava_message_tree_new (void);
void allava_message_tree_free (AllavaMessageTree *self);

/* The tree keeps a reference. Messages are added in the order of their ids. */
void allava_message_tree_add (AllavaMessageTree *self, AllavaMessage *message);

/* Gives MESSAGE another parent. */
void allava_message_tree_move (AllavaMessageTree *self, AllavaMessage *message, gint64 parent_id);

/* MESSAGE must have no children. */
void allava_message_tree_remove (AllavaMessageTree *self, AllavaMessage *message);

/* Borrowed, or NULL. */
AllavaMessage *allava_message_tree_find (AllavaMessageTree *self, gint64 id);

/* The children of a message, or the first questions (0), by id; the caller owns the array, not the
 * messages. */
GPtrArray *allava_message_tree_get_children (AllavaMessageTree *self, gint64 parent_id);

/* The children of MESSAGE's parent, MESSAGE among them: versions of it, and what followed an answer
 * that was deleted. Owned as above. */
GPtrArray *allava_message_tree_get_siblings (AllavaMessageTree *self, AllavaMessage *message);

/* From a first question to LEAF, an owned array of owned messages; empty where LEAF is NULL.
 * Remembers the way, for the next function. */
GPtrArray *allava_message_tree_get_branch (AllavaMessageTree *self, AllavaMessage *leaf);

/* The end of the branch that was last seen below the message ID (0: the root), or else of the
 * newest one; NULL where nothing is there. Borrowed. */
AllavaMessage *allava_message_tree_get_leaf (AllavaMessageTree *self, gint64 id);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaMessageTree, allava_message_tree_free)
