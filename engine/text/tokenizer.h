/* tokenizer.h - a tokenizer as it is kept in memory. */
#pragma once

#include "added.h"
#include "bpe.h"

typedef struct {
  const char *text;  /* as tokenizer.json writes it; NULL where no token has this id */
  const char *bytes; /* what it stands for */
  uint32_t length;
  gboolean added;
  gboolean special;
} AllavaToken;

struct _AllavaTokenizer {
  gatomicrefcount ref_count;

  GStringChunk *strings; /* owns texts and bytes */
  GArray *tokens;        /* AllavaToken, by id */
  GHashTable *ids;       /* text -> id */
  AllavaBpe bpe;

  /* Both are looked for in turn, the first in the whole text: those that the normalizer does not
   * concern ("normalized": false), then the others. */
  AllavaAddedSet added[2];

  gboolean add_prefix_space;
  gboolean use_pattern; /* cut with GPT-2's pattern; otherwise a text is one word */
};

/* Reads the LENGTH bytes of a tokenizer.json; FILE names it in errors. Errors: FORMAT,
 * UNSUPPORTED. */
AllavaTokenizer *
allava_tokenizer_new_from_json (const char *text, size_t length, const char *file, GError **error);
