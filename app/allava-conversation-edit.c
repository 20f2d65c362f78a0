/* What changes the tree without asking the model: other branches, deleting, undoing. */
#include "allava-conversation-private.h"

/* The branch that was seen last below the message ID. */
static void
switch_to (AllavaConversation *self, gint64 id)
{
  allava_conversation_show_branch (self, allava_message_tree_get_leaf (self->tree, id));
  g_autoptr (GPtrArray) none = g_ptr_array_new ();
  allava_conversation_saver_save (self->saver, none, NULL);
}

void
allava_conversation_switch_sibling (AllavaConversation *self, AllavaMessage *message, int offset)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION (self));
  g_return_if_fail (ALLAVA_IS_MESSAGE (message));
  if (!allava_conversation_is_idle (self))
    return;
  g_autoptr (GPtrArray) siblings = allava_message_tree_get_siblings (self->tree, message);
  guint index;
  if (!g_ptr_array_find (siblings, message, &index))
    return;
  gint64 wanted = (gint64)index + offset;
  if (wanted < 0 || wanted >= siblings->len || offset == 0)
    return;
  switch_to (self, allava_message_get_id (siblings->pdata[wanted]));
}

void
allava_conversation_show_message (AllavaConversation *self, gint64 id)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION (self));
  self->wanted = self->loading ? id : 0;
  AllavaMessage *message = allava_message_tree_find (self->tree, id);
  if (message != NULL && allava_conversation_is_idle (self) &&
      !g_ptr_array_find (self->branch, message, NULL))
    switch_to (self, id);
}

/* ---- Deleting -------------------------------------------------------------------------------- */

void
allava_deletion_free (AllavaDeletion *deletion)
{
  g_ptr_array_unref (deletion->removed);
  g_ptr_array_unref (deletion->moved);
  g_array_unref (deletion->moved_from);
  g_clear_object (&deletion->leaf);
  g_free (deletion);
}

static AllavaDeletion *
deletion_new (AllavaMessage *leaf)
{
  AllavaDeletion *deletion = g_new (AllavaDeletion, 1);
  deletion->removed = g_ptr_array_new_with_free_func (g_object_unref);
  deletion->moved = g_ptr_array_new_with_free_func (g_object_unref);
  deletion->moved_from = g_array_new (FALSE, FALSE, sizeof (gint64));
  deletion->leaf = g_object_ref (leaf);
  return deletion;
}

/* What is removed: an answer alone, a question with its answers. */
static void
choose_removed (AllavaConversation *self, AllavaMessage *message, AllavaDeletion *deletion)
{
  g_ptr_array_add (deletion->removed, g_object_ref (message));
  if (allava_message_get_role (message) == ALLAVA_ROLE_ASSISTANT)
    return;
  g_autoptr (GPtrArray) children =
      allava_message_tree_get_children (self->tree, allava_message_get_id (message));
  for (guint i = 0; i < children->len; i++)
    if (allava_message_get_role (children->pdata[i]) == ALLAVA_ROLE_ASSISTANT)
      g_ptr_array_add (deletion->removed, g_object_ref (children->pdata[i]));
}

/* What follows the removed ones moves up to NEW_PARENT. */
static void
move_followers (AllavaConversation *self, AllavaDeletion *deletion, gint64 new_parent)
{
  for (guint i = 0; i < deletion->removed->len; i++) {
    gint64 parent_id = allava_message_get_id (deletion->removed->pdata[i]);
    g_autoptr (GPtrArray) children = allava_message_tree_get_children (self->tree, parent_id);
    for (guint j = 0; j < children->len; j++) {
      if (g_ptr_array_find (deletion->removed, children->pdata[j], NULL))
        continue;
      g_ptr_array_add (deletion->moved, g_object_ref (children->pdata[j]));
      g_array_append_val (deletion->moved_from, parent_id);
      allava_message_tree_move (self->tree, children->pdata[j], new_parent);
    }
  }
}

void
allava_conversation_delete (AllavaConversation *self, AllavaMessage *message)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION (self));
  g_return_if_fail (ALLAVA_IS_MESSAGE (message));
  gint64 id = allava_message_get_id (message);
  if (!allava_conversation_is_idle (self) || allava_message_tree_find (self->tree, id) != message)
    return;
  AllavaMessage *leaf = allava_message_tree_find (self->tree, self->record.active_leaf);
  g_clear_pointer (&self->deletion, allava_deletion_free);
  AllavaDeletion *deletion = self->deletion = deletion_new (leaf);
  gint64 parent_id = allava_message_get_parent_id (message);
  choose_removed (self, message, deletion);
  move_followers (self, deletion, parent_id);
  for (guint i = deletion->removed->len; i > 0; i--)
    allava_message_tree_remove (self->tree, deletion->removed->pdata[i - 1]);

  if (g_ptr_array_find (deletion->removed, leaf, NULL))
    leaf = allava_message_tree_get_leaf (self->tree, parent_id);
  allava_conversation_show_branch (self, leaf);
  allava_conversation_saver_save (self->saver, deletion->moved, deletion->removed);
}

void
allava_conversation_undo_delete (AllavaConversation *self)
{
  g_return_if_fail (ALLAVA_IS_CONVERSATION (self));
  if (self->deletion == NULL || !allava_conversation_is_idle (self))
    return;
  AllavaDeletion *deletion = g_steal_pointer (&self->deletion);
  for (guint i = 0; i < deletion->removed->len; i++)
    allava_message_tree_add (self->tree, deletion->removed->pdata[i]);
  for (guint i = 0; i < deletion->moved->len; i++)
    allava_message_tree_move (self->tree, deletion->moved->pdata[i],
                              g_array_index (deletion->moved_from, gint64, i));
  allava_conversation_show_branch (self, deletion->leaf);
  g_autoptr (GPtrArray) messages = g_ptr_array_copy (deletion->removed, NULL, NULL);
  g_ptr_array_set_free_func (messages, NULL);
  g_ptr_array_extend (messages, deletion->moved, NULL, NULL);
  allava_conversation_saver_save (self->saver, messages, NULL);
  allava_deletion_free (deletion);
}
