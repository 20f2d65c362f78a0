#include "allava-message-tree.h"

struct _AllavaMessageTree {
  GHashTable *messages; /* id -> AllavaMessage */
  GHashTable *children; /* id or 0 -> GPtrArray of borrowed AllavaMessage, by id */
  GHashTable *chosen;   /* id or 0 -> borrowed AllavaMessage, the child on the way seen last */
};

AllavaMessageTree *
allava_message_tree_new (void)
{
  AllavaMessageTree *self = g_new (AllavaMessageTree, 1);
  self->messages = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_object_unref);
  self->children = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free,
                                          (GDestroyNotify)g_ptr_array_unref);
  self->chosen = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  return self;
}

void
allava_message_tree_free (AllavaMessageTree *self)
{
  g_hash_table_unref (self->chosen);
  g_hash_table_unref (self->children);
  g_hash_table_unref (self->messages);
  g_free (self);
}

AllavaMessage *
allava_message_tree_find (AllavaMessageTree *self, gint64 id)
{
  return g_hash_table_lookup (self->messages, &id);
}

static int
compare_ids (gconstpointer a, gconstpointer b)
{
  gint64 left = allava_message_get_id (*(AllavaMessage **)a);
  gint64 right = allava_message_get_id (*(AllavaMessage **)b);
  return left < right ? -1 : left > right;
}

static void
attach (AllavaMessageTree *self, AllavaMessage *message)
{
  gint64 parent_id = allava_message_get_parent_id (message);
  GPtrArray *children = g_hash_table_lookup (self->children, &parent_id);
  if (children == NULL) {
    children = g_ptr_array_new ();
    g_hash_table_insert (self->children, g_memdup2 (&parent_id, sizeof parent_id), children);
  }
  g_ptr_array_add (children, message);
  if (children->len > 1 && compare_ids (&children->pdata[children->len - 2], &message) > 0)
    g_ptr_array_sort (children, compare_ids);
}

static void
detach (AllavaMessageTree *self, AllavaMessage *message)
{
  gint64 parent_id = allava_message_get_parent_id (message);
  GPtrArray *children = g_hash_table_lookup (self->children, &parent_id);
  g_ptr_array_remove (children, message);
  if (g_hash_table_lookup (self->chosen, &parent_id) == message)
    g_hash_table_remove (self->chosen, &parent_id);
}

void
allava_message_tree_add (AllavaMessageTree *self, AllavaMessage *message)
{
  gint64 id = allava_message_get_id (message);
  gint64 parent_id = allava_message_get_parent_id (message);
  g_return_if_fail (id != 0 && allava_message_tree_find (self, id) == NULL);
  /* A database may hold anything: a parent that is not there, or that came later (a loop). */
  if (parent_id >= id || allava_message_tree_find (self, parent_id) == NULL)
    allava_message_set_parent_id (message, 0);
  g_hash_table_insert (self->messages, g_memdup2 (&id, sizeof id), g_object_ref (message));
  attach (self, message);
}

void
allava_message_tree_move (AllavaMessageTree *self, AllavaMessage *message, gint64 parent_id)
{
  g_return_if_fail (parent_id < allava_message_get_id (message));
  detach (self, message);
  allava_message_set_parent_id (message, parent_id);
  attach (self, message);
}

void
allava_message_tree_remove (AllavaMessageTree *self, AllavaMessage *message)
{
  gint64 id = allava_message_get_id (message);
  GPtrArray *children = g_hash_table_lookup (self->children, &id);
  g_return_if_fail (children == NULL || children->len == 0);
  detach (self, message);
  g_hash_table_remove (self->children, &id);
  g_hash_table_remove (self->messages, &id);
}

GPtrArray *
allava_message_tree_get_children (AllavaMessageTree *self, gint64 parent_id)
{
  GPtrArray *children = g_hash_table_lookup (self->children, &parent_id);
  GPtrArray *copy = g_ptr_array_new ();
  if (children != NULL)
    g_ptr_array_extend (copy, children, NULL, NULL);
  return copy;
}

GPtrArray *
allava_message_tree_get_siblings (AllavaMessageTree *self, AllavaMessage *message)
{
  return allava_message_tree_get_children (self, allava_message_get_parent_id (message));
}

GPtrArray *
allava_message_tree_get_branch (AllavaMessageTree *self, AllavaMessage *leaf)
{
  GPtrArray *branch = g_ptr_array_new_with_free_func (g_object_unref);
  for (AllavaMessage *at = leaf; at != NULL;) {
    gint64 parent_id = allava_message_get_parent_id (at);
    g_ptr_array_insert (branch, 0, g_object_ref (at));
    g_hash_table_insert (self->chosen, g_memdup2 (&parent_id, sizeof parent_id), at);
    at = allava_message_tree_find (self, parent_id);
  }
  return branch;
}

AllavaMessage *
allava_message_tree_get_leaf (AllavaMessageTree *self, gint64 id)
{
  AllavaMessage *leaf = allava_message_tree_find (self, id);
  for (;;) {
    GPtrArray *children = g_hash_table_lookup (self->children, &id);
    if (children == NULL || children->len == 0)
      return leaf;
    leaf = g_hash_table_lookup (self->chosen, &id);
    if (leaf == NULL)
      leaf = g_ptr_array_index (children, children->len - 1);
    id = allava_message_get_id (leaf);
  }
}
