/* memory.h - how much memory a model may take, and what fits into it. */
#pragma once

#include "allava-engine.h"

/* Bytes that this process can still have without swapping: what the kernel says is available, and
 * no more than any of its memory cgroups (v1 and v2) has left. Page cache counts as free in both,
 * since it is given back. ROOT is "/", but in tests. SIZE_MAX where nothing is known. */
size_t allava_memory_read_free (const char *root);

/* madvise for the pages that [DATA, DATA + N_BYTES) touches, or with WHOLE those that hold nothing
 * else. What fails is let pass: it is advice. */
void allava_memory_advise (const void *data, size_t n_bytes, gboolean whole, int advice);

typedef struct {
  AllavaDtype dtype;
  size_t bytes; /* weights, one session's KV cache, intermediate results */
} AllavaFootprint;

/* The first of N footprints, widest dtype first, that FREE_BYTES hold; with FIXED, only the first
 * will do. Returns its index, or -1 with an error (MEMORY) that says what NAME takes, what is free
 * and which dtypes would fit. */
int allava_memory_choose (const AllavaFootprint *footprints,
                          int n,
                          gboolean fixed,
                          size_t free_bytes,
                          const char *name,
                          GError **error);
