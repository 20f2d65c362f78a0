/* bpe.h - byte-pair encoding (Sennrich et al. 2016; on bytes: Radford et al. 2019). */
#pragma once

#include "allava-engine.h"

/* LEFT and RIGHT, side by side, become RESULT; of all pairs in a word the one of lowest RANK does
 * so first. */
typedef struct {
  int32_t left;
  int32_t right;
  int32_t result;
  uint32_t rank;
} AllavaMerge;

typedef struct {
  int32_t byte_ids[256]; /* -1: no token; such bytes are left out, as in the reference */
  GArray *merges;        /* AllavaMerge, sorted by left, then right */
  uint32_t *first_merge; /* (n_ids + 1): where a left id's merges begin */
} AllavaBpe;

/* What encoding one word needs, kept from word to word. */
typedef struct {
  GArray *symbols;
  GArray *queue;
} AllavaBpeScratch;

/* Takes MERGES (AllavaMerge, in any order), whose ids are from 0 to N_IDS - 1. The caller fills
 * byte_ids. */
void allava_bpe_init (AllavaBpe *bpe, int32_t n_ids, GArray *merges);
void allava_bpe_clear (AllavaBpe *bpe);

void allava_bpe_scratch_init (AllavaBpeScratch *scratch);
void allava_bpe_scratch_clear (AllavaBpeScratch *scratch);

/* Appends the ids (int32_t) of WORD's LENGTH bytes (below 2^31) to IDS, in O(n log n). */
void allava_bpe_encode (
    const AllavaBpe *bpe, AllavaBpeScratch *scratch, const char *word, size_t length, GArray *ids);
