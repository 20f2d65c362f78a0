/* bpe.c - merges the best-ranked pair of a word until none is left, with a priority queue. */
#include "bpe.h"

/* A word's symbols are a doubly linked list in an array; REMOVED ones stay where they are. */
typedef struct {
  int32_t id;
  int32_t prev; /* -1: none */
  int32_t next;
} Symbol;

#define REMOVED (-1)

static int
compare_merges (const void *a, const void *b)
{
  const AllavaMerge *x = a, *y = b;
  if (x->left != y->left)
    return x->left < y->left ? -1 : 1;
  if (x->right != y->right)
    return x->right < y->right ? -1 : 1;
  return x->rank > y->rank ? -1 : 1;
}

/* Where a pair occurs twice its later rank counts, as in the reference. */
static void
sort_merges (GArray *merges)
{
  AllavaMerge *all = (AllavaMerge *)(void *)merges->data;
  guint kept = 0;

  g_array_sort (merges, compare_merges);
  for (guint i = 0; i < merges->len; i++) {
    if (kept == 0 || all[kept - 1].left != all[i].left || all[kept - 1].right != all[i].right)
      all[kept++] = all[i];
  }
  g_array_set_size (merges, kept);
}

void
allava_bpe_init (AllavaBpe *bpe, int32_t n_ids, GArray *merges)
{
  sort_merges (merges);
  bpe->merges = merges;
  bpe->first_merge = g_new0 (uint32_t, (size_t)n_ids + 1);
  for (guint i = 0; i < merges->len; i++)
    bpe->first_merge[g_array_index (merges, AllavaMerge, i).left + 1]++;
  for (int32_t id = 0; id < n_ids; id++)
    bpe->first_merge[id + 1] += bpe->first_merge[id];
}

void
allava_bpe_clear (AllavaBpe *bpe)
{
  g_clear_pointer (&bpe->merges, g_array_unref);
  g_clear_pointer (&bpe->first_merge, g_free);
}

void
allava_bpe_scratch_init (AllavaBpeScratch *scratch)
{
  scratch->symbols = g_array_new (FALSE, FALSE, sizeof (Symbol));
  scratch->queue = g_array_new (FALSE, FALSE, sizeof (uint64_t));
}

void
allava_bpe_scratch_clear (AllavaBpeScratch *scratch)
{
  g_array_unref (scratch->symbols);
  g_array_unref (scratch->queue);
}

static const AllavaMerge *
find_merge (const AllavaBpe *bpe, int32_t left, int32_t right)
{
  uint32_t low = bpe->first_merge[left];
  uint32_t high = bpe->first_merge[left + 1];
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    const AllavaMerge *merge = &g_array_index (bpe->merges, AllavaMerge, middle);
    if (merge->right == right)
      return merge;
    if (merge->right < right)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

/* The queue is a binary heap of rank << 32 | position: the lowest rank first, then the leftmost. */
static void
push (GArray *queue, uint64_t entry)
{
  g_array_append_val (queue, entry);
  uint64_t *heap = (uint64_t *)(void *)queue->data;
  size_t i = queue->len - 1;
  while (i > 0 && heap[(i - 1) / 2] > entry) {
    heap[i] = heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  heap[i] = entry;
}

static uint64_t
pop (GArray *queue)
{
  uint64_t *heap = (uint64_t *)(void *)queue->data;
  uint64_t top = heap[0];
  uint64_t entry = heap[queue->len - 1];
  g_array_set_size (queue, queue->len - 1);

  size_t i = 0;
  for (size_t child = 1; child < queue->len; child = 2 * i + 1) {
    if (child + 1 < queue->len && heap[child + 1] < heap[child])
      child++;
    if (heap[child] >= entry)
      break;
    heap[i] = heap[child];
    i = child;
  }
  if (queue->len > 0)
    heap[i] = entry;
  return top;
}

/* The merge of the symbol at POSITION with the one after it, or NULL. */
static const AllavaMerge *
merge_at (const AllavaBpe *bpe, const Symbol *symbols, int32_t position)
{
  const Symbol *left = &symbols[position];
  return left->id == REMOVED || left->next < 0 ? NULL
                                               : find_merge (bpe, left->id, symbols[left->next].id);
}

static void
push_merge (const AllavaBpe *bpe, const Symbol *symbols, int32_t position, GArray *queue)
{
  const AllavaMerge *merge = merge_at (bpe, symbols, position);
  if (merge)
    push (queue, (uint64_t)merge->rank << 32 | (uint32_t)position);
}

static void
take_entry (const AllavaBpe *bpe, Symbol *symbols, uint64_t entry, GArray *queue)
{
  int32_t position = (int32_t)(uint32_t)entry;
  const AllavaMerge *merge = merge_at (bpe, symbols, position);
  if (!merge || merge->rank != entry >> 32)
    return; /* out of date: another pair stands there by now */

  Symbol *left = &symbols[position];
  Symbol *right = &symbols[left->next];
  left->id = merge->result;
  left->next = right->next;
  right->id = REMOVED;
  if (left->next >= 0)
    symbols[left->next].prev = position;
  if (left->prev >= 0)
    push_merge (bpe, symbols, left->prev, queue);
  push_merge (bpe, symbols, position, queue);
}

void
allava_bpe_encode (
    const AllavaBpe *bpe, AllavaBpeScratch *scratch, const char *word, size_t length, GArray *ids)
{
  g_array_set_size (scratch->symbols, 0);
  for (size_t i = 0; i < length; i++) {
    int32_t id = bpe->byte_ids[(uint8_t)word[i]];
    int32_t n = (int32_t)scratch->symbols->len;
    Symbol symbol = {.id = id, .prev = n - 1, .next = n + 1};
    if (id >= 0)
      g_array_append_val (scratch->symbols, symbol);
  }
  if (scratch->symbols->len == 0)
    return;

  int32_t n = (int32_t)scratch->symbols->len;
  Symbol *symbols = (Symbol *)(void *)scratch->symbols->data;
  symbols[n - 1].next = -1;
  for (int32_t i = 0; i < n; i++)
    push_merge (bpe, symbols, i, scratch->queue);
  while (scratch->queue->len > 0)
    take_entry (bpe, symbols, pop (scratch->queue), scratch->queue);

  for (int32_t i = 0; i >= 0; i = symbols[i].next)
    g_array_append_val (ids, symbols[i].id);
}
