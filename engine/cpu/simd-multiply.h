/* simd-multiply.h - the register-blocked multiplier, and the layouts it reads. */
#pragma once

#include "simd.h"

#define multiply_floats NAME (multiply_floats)
#define multiply_pairs NAME (multiply_pairs)
#define pack_columns NAME (pack_columns)

/* Memory that will be read soon, fetched into L2 a piece at a time while the multiplier is busy:
 * first the next panel of x, which lies in one piece, then rows of the next block of weights. */
enum { FETCH_BYTES = 1024, FETCH_LINES = FETCH_BYTES / 64 };

typedef struct {
  const char *panel;
  size_t panel_pieces; /* left */
  const char *row;     /* what is left of it */
  size_t row_pieces;   /* left in this row */
  size_t row_pieces_all;
  size_t stride; /* bytes from row to row */
  size_t pieces; /* left in all rows */
} Fetch;

/* A tile of y that is about to be finished comes back from wherever the last block left it. */
static inline void
fetch_tile (const AllavaLinear *op, size_t rows, size_t row, size_t column)
{
  for (size_t i = 0; i < rows; i++) {
    const float *y = op->y + (row + i) * op->y_stride + column;
    for (size_t j = 0; j < NR; j += 16)
      _mm_prefetch (y + j, _MM_HINT_T0);
  }
}

/* c [rows, NR] = a b, or c += a b where ADD; FETCH may be NULL. A: ROWS <= MR rows of K words,
 * ALLAVA_BLOCK_WORDS apart. B: [K, NR] words. C: rows LDC apart. Words are floats, or pairs of bf16
 * (c is f32). */
void multiply_floats (size_t rows,
                      size_t k,
                      const float *a,
                      const float *b,
                      float *c,
                      size_t ldc,
                      gboolean add,
                      Fetch *fetch);
#ifdef __AVX512BF16__
void multiply_pairs (size_t rows,
                     size_t k,
                     const uint32_t *a,
                     const uint32_t *b,
                     float *c,
                     size_t ldc,
                     Fetch *fetch);
#endif

/* Packs K values of each of N rows of W (STRIDE values apart) into panels of NR
 * rows: [ceil (n / NR)] [k] [NR] floats, or with PAIRS [ceil (n / NR)] [ceil (k / 2)] [NR] pairs.
 * Missing rows and the missing half of a pair are 0. */
void pack_columns (const void *w,
                   AllavaDtype dtype,
                   size_t stride,
                   size_t n,
                   size_t k,
                   gboolean pairs,
                   uint32_t *packed);
