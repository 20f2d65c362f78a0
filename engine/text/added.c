/* added.c - leftmost-longest matching of added tokens. */
#include "added.h"

#include <string.h>

void
allava_added_set_init (AllavaAddedSet *set)
{
  set->tokens = g_array_new (FALSE, FALSE, sizeof (AllavaAdded));
  memset (set->first, 0, sizeof set->first);
}

void
allava_added_set_clear (AllavaAddedSet *set)
{
  g_clear_pointer (&set->tokens, g_array_unref);
}

static int
compare_texts (const void *a, const void *b)
{
  return strcmp (((const AllavaAdded *)a)->text, ((const AllavaAdded *)b)->text);
}

void
allava_added_set_sort (AllavaAddedSet *set)
{
  g_array_sort (set->tokens, compare_texts);
  for (uint32_t i = 0; i < set->tokens->len; i++)
    set->first[(uint8_t)g_array_index (set->tokens, AllavaAdded, i).text[0] + 1]++;
  for (int byte = 0; byte < 256; byte++)
    set->first[byte + 1] += set->first[byte];
}

/* The first of the tokens from LOW to HIGH, which agree up to AT and are longer, whose byte at AT
 * is not below BYTE. */
static uint32_t
lower_bound (const AllavaAdded *tokens, uint32_t low, uint32_t high, uint32_t at, int byte)
{
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if ((uint8_t)tokens[middle].text[at] < byte)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

const AllavaAdded *
allava_added_set_match (const AllavaAddedSet *set, const char *text, size_t length)
{
  const AllavaAdded *tokens = (const AllavaAdded *)(void *)set->tokens->data;
  const AllavaAdded *longest = NULL;
  uint32_t low = set->first[(uint8_t)text[0]];
  uint32_t high = set->first[(uint8_t)text[0] + 1];

  /* All tokens from LOW to HIGH begin with the first AT bytes; the one that ends there is LOW. */
  for (uint32_t at = 1; low < high; at++) {
    if (tokens[low].length == at)
      longest = &tokens[low++];
    if (at == length)
      break;
    low = lower_bound (tokens, low, high, at, (uint8_t)text[at]);
    high = lower_bound (tokens, low, high, at, (uint8_t)text[at] + 1);
  }
  return longest;
}
