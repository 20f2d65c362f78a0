/* added.h - the tokens that are found in the text before it is cut into words. */
#pragma once

#include "allava-engine.h"

typedef struct {
  const char *text; /* borrowed */
  uint32_t length;
  int32_t id;
  gboolean special;
  gboolean single_word; /* matches only where no word character stands beside it */
  gboolean lstrip;      /* swallows the spaces before it */
  gboolean rstrip;      /* swallows the spaces after it */
} AllavaAdded;

/* Sorted by text, so that the tokens with one prefix lie together: a trie without nodes. */
typedef struct {
  GArray *tokens;      /* AllavaAdded */
  uint32_t first[257]; /* where the tokens with a given first byte begin */
} AllavaAddedSet;

void allava_added_set_init (AllavaAddedSet *set);
void allava_added_set_clear (AllavaAddedSet *set);

/* To be called once, after all tokens were appended. Texts are unique and not empty. */
void allava_added_set_sort (AllavaAddedSet *set);

/* The longest token that the LENGTH bytes at TEXT begin with, or NULL. */
const AllavaAdded *
allava_added_set_match (const AllavaAddedSet *set, const char *text, size_t length);
