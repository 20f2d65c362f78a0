#include "simd-multiply.h"

#ifdef __AVX512BF16__
ALWAYS_INLINE vf
vf_dot_pairs (vf a, vf b, vf c)
{
  return _mm512_dpbf16_ps (c, (__m512bh)a, (__m512bh)b);
}
#else
#define vf_dot_pairs vf_fma
#endif

/* The piece to fetch now, or IDLE, which is in the cache anyway. */
static inline const char *
next_piece (Fetch *fetch, const void *idle)
{
  const char *piece;
  if (fetch == NULL)
    return idle;
  if (fetch->panel_pieces > 0) {
    piece = fetch->panel;
    fetch->panel += FETCH_BYTES;
    fetch->panel_pieces--;
    return piece;
  }
  if (fetch->pieces == 0)
    return idle;
  piece = fetch->row + (fetch->row_pieces_all - fetch->row_pieces) * FETCH_BYTES;
  fetch->pieces--;
  if (--fetch->row_pieces == 0) {
    fetch->row += fetch->stride;
    fetch->row_pieces = fetch->row_pieces_all;
  }
  return piece;
}

/* ROWS, ADD and PAIRS are constants where this is used, so that the accumulators are registers. */
ALWAYS_INLINE void
multiply_tile (size_t rows,
               size_t k,
               const float *a,
               const float *b,
               float *c,
               size_t ldc,
               gboolean add,
               gboolean pairs,
               Fetch *fetch)
{
  vf sums[MR][NV];
#pragma GCC unroll 16
  for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (size_t j = 0; j < NV; j++)
      sums[i][j] = add ? vf_load (c + i * ldc + j * LANES) : vf_set (0.f);

  while (k > 0) {
    const char *piece = next_piece (fetch, b);
    size_t end = MIN (k, (size_t)FETCH_LINES);
    for (size_t p = 0; p < end; p++, a++, b += NR) {
      _mm_prefetch (piece + p * 64, _MM_HINT_T1);
      vf weights[NV];
#pragma GCC unroll 4
      for (size_t j = 0; j < NV; j++)
        weights[j] = vf_load (b + j * LANES);
#pragma GCC unroll 16
      for (size_t i = 0; i < rows; i++) {
        vf x = vf_set (a[i * ALLAVA_BLOCK_WORDS]);
#pragma GCC unroll 4
        for (size_t j = 0; j < NV; j++)
          sums[i][j] =
              pairs ? vf_dot_pairs (x, weights[j], sums[i][j]) : vf_fma (x, weights[j], sums[i][j]);
      }
    }
    k -= end;
  }

#pragma GCC unroll 16
  for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (size_t j = 0; j < NV; j++)
      vf_store (c + i * ldc + j * LANES, sums[i][j]);
}

#if defined(__AVX512F__)
#define FOR_EACH_ROWS(X)                                                                           \
  X (1) X (2) X (3) X (4) X (5) X (6) X (7) X (8) X (9) X (10) X (11) X (12) X (13) X (14)
#else
#define FOR_EACH_ROWS(X) X (1) X (2) X (3) X (4) X (5) X (6)
#endif

void
multiply_floats (size_t rows,
                 size_t k,
                 const float *a,
                 const float *b,
                 float *c,
                 size_t ldc,
                 gboolean add,
                 Fetch *fetch)
{
#define MULTIPLY(n)                                                                                \
  case n:                                                                                          \
    if (add)                                                                                       \
      multiply_tile (n, k, a, b, c, ldc, TRUE, FALSE, fetch);                                      \
    else                                                                                           \
      multiply_tile (n, k, a, b, c, ldc, FALSE, FALSE, fetch);                                     \
    break;
  switch (rows) {
    FOR_EACH_ROWS (MULTIPLY)
  }
#undef MULTIPLY
}

#ifdef __AVX512BF16__
void
multiply_pairs (
    size_t rows, size_t k, const uint32_t *a, const uint32_t *b, float *c, size_t ldc, Fetch *fetch)
{
#define MULTIPLY(n)                                                                                \
  case n:                                                                                          \
    multiply_tile (n, k, (const float *)a, (const float *)b, c, ldc, FALSE, TRUE, fetch);          \
    break;
  switch (rows) {
    FOR_EACH_ROWS (MULTIPLY)
  }
#undef MULTIPLY
}
#endif

/* COUNT <= LANES words of one row: widened values, or pairs as they lie, VALUES of them left. */
ALWAYS_INLINE vf
load_words (const char *p, size_t values, AllavaDtype dtype, gboolean pairs)
{
  if (pairs) {
#ifdef __AVX512BF16__
    if (values >= 2 * LANES)
      return _mm512_loadu_ps (p);
    return _mm512_castsi512_ps (
        _mm512_maskz_loadu_epi16 ((__mmask32)(((uint64_t)1 << values) - 1), p));
#endif
  }
  return values >= LANES ? vf_load_as (p, dtype) : vf_load_some_as (p, values, dtype);
}

/* One group of up to LANES rows: LANES words at a time are turned from rows into columns. */
ALWAYS_INLINE void
pack_group (const char *w,
            AllavaDtype dtype,
            size_t row_bytes,
            size_t rows,
            size_t k,
            gboolean pairs,
            float *packed)
{
  size_t values = pairs ? 2 * LANES : LANES; /* in a vector */
  for (size_t p = 0; p < k; p += values) {
    vf square[LANES];
#pragma GCC unroll 16
    for (size_t i = 0; i < LANES; i++)
      square[i] = i < rows ? load_words (w + i * row_bytes, k - p, dtype, pairs) : vf_set (0.f);
    vf_transpose (square);
    size_t words = pairs ? (k - p + 1) / 2 : k - p;
    if (words >= LANES) {
#pragma GCC unroll 16
      for (size_t i = 0; i < LANES; i++)
        vf_store (packed + i * NR, square[i]);
    } else {
      for (size_t i = 0; i < words; i++)
        vf_store (packed + i * NR, square[i]);
    }
    packed += LANES * NR;
    w += values * dtype_size (dtype);
  }
}

ALWAYS_INLINE void
pack_dtype (const char *w,
            AllavaDtype dtype,
            size_t row_bytes,
            size_t n,
            size_t k,
            gboolean pairs,
            float *packed)
{
  size_t words = pairs ? (k + 1) / 2 : k;
  for (size_t i = 0; i < n; i += NR, packed += words * NR)
    for (size_t j = 0; j < NR; j += LANES) {
      size_t rows = i + j < n ? MIN (n - i - j, (size_t)LANES) : 0;
      const char *group = rows > 0 ? w + (i + j) * row_bytes : w;
      if (rows == LANES)
        pack_group (group, dtype, row_bytes, LANES, k, pairs, packed + j);
      else
        pack_group (group, dtype, row_bytes, rows, k, pairs, packed + j);
    }
}

void
pack_columns (const void *w,
              AllavaDtype dtype,
              size_t stride,
              size_t n,
              size_t k,
              gboolean pairs,
              uint32_t *packed)
{
  size_t size = dtype_size (dtype);
  const char *first = w;
  if (dtype == ALLAVA_DTYPE_F32)
    pack_dtype (first, ALLAVA_DTYPE_F32, stride * size, n, k, FALSE, (float *)packed);
  else if (dtype == ALLAVA_DTYPE_F16)
    pack_dtype (first, ALLAVA_DTYPE_F16, stride * size, n, k, FALSE, (float *)packed);
  else if (pairs)
    pack_dtype (first, ALLAVA_DTYPE_BF16, stride * size, n, k, TRUE, (float *)packed);
  else
    pack_dtype (first, ALLAVA_DTYPE_BF16, stride * size, n, k, FALSE, (float *)packed);
}
