#include "simd-kernels.h"
#include "simd-math.h"
#include "simd-multiply.h"

#ifndef SR
#define SR 4
#endif
enum { STREAM_R = SR }; /* rows of weights read side by side */

/* y[0 .. n) = activation (y) */
ALWAYS_INLINE void
activate (float *y, size_t n, AllavaActivation activation)
{
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    vf_store (y + i, vf_activate (vf_load (y + i), activation));
  if (i < n)
    vf_store_some (y + i, n - i, vf_activate (vf_load_some (y + i, n - i), activation));
}

static void
activate_row (float *y, size_t n, AllavaActivation activation)
{
  switch (activation) {
  case ALLAVA_ACTIVATION_QUICK_GELU:
    activate (y, n, ALLAVA_ACTIVATION_QUICK_GELU);
    break;
  case ALLAVA_ACTIVATION_GELU:
    activate (y, n, ALLAVA_ACTIVATION_GELU);
    break;
  case ALLAVA_ACTIVATION_GELU_TANH:
    activate (y, n, ALLAVA_ACTIVATION_GELU_TANH);
    break;
  case ALLAVA_ACTIVATION_NONE:
    break;
  }
}

/* ---- Few rows: the weights stream through the registers once ----------------------------------
 */

/* sums[r][i] = row r of W . row i of x. Each sum is formed in the same order whatever ROWS and M
 * are, which are constants where this is used. */
#ifndef SU
#define SU 4
#endif
#ifndef PF
#define PF 4096
#endif
#ifndef HINT
#define HINT _MM_HINT_T0
#endif
ALWAYS_INLINE void
dot_rows (const char *w,
          AllavaDtype dtype,
          size_t rows,
          const float *x,
          size_t x_stride,
          size_t m,
          size_t n_in,
          float sums[STREAM_R][STREAM_M])
{
  size_t size = dtype_size (dtype);
  vf lanes[STREAM_R][STREAM_M][SU];
#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 4
      for (size_t u = 0; u < SU; u++)
      lanes[r][i][u] = vf_set (0.f);

  size_t k = 0;
  for (; k + SU * LANES <= n_in; k += SU * LANES) {
#ifdef LIN
#pragma GCC unroll 16
      for (size_t b = 0; b < rows * SU * LANES * size; b += 64)
        _mm_prefetch (w + k * size * rows + b + LIN, HINT);
#else
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
      for (size_t b = 0; b < SU * LANES * size; b += 64)
        _mm_prefetch (w + (r * n_in + k) * size + b + PF, HINT);
#endif
#pragma GCC unroll 4
      for (size_t u = 0; u < SU; u++) {
    vf values[STREAM_M];
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++)
      values[i] = vf_load (x + i * x_stride + k + u * LANES);
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++) {
      vf weights = vf_load_as (w + (r * n_in + k + u * LANES) * size, dtype);
#pragma GCC unroll 4
      for (size_t i = 0; i < m; i++)
        lanes[r][i][u] = vf_fma (weights, values[i], lanes[r][i][u]);
    }
      }
  }
  for (; k < n_in; k += LANES) {
    size_t left = MIN (n_in - k, (size_t) LANES);
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++) {
      const char *p = w + (r * n_in + k) * size;
      vf weights = left == LANES ? vf_load_as (p, dtype) : vf_load_some_as (p, left, dtype);
#pragma GCC unroll 4
      for (size_t i = 0; i < m; i++) {
        const float *q = x + i * x_stride + k;
        lanes[r][i][0] = vf_fma (weights, left == LANES ? vf_load (q) : vf_load_some (q, left), lanes[r][i][0]);
        }
    }
  }
#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++) {
#pragma GCC unroll 4
      for (size_t u = 1; u < SU; u++)
        lanes[r][i][0] = lanes[r][i][0] + lanes[r][i][u];
      sums[r][i] = vf_sum (lanes[r][i][0]);
    }
}

/* Weights from ROW on, ROWS <= STREAM_R of them, with M <= STREAM_M rows of x from FIRST on. */
ALWAYS_INLINE void
stream_group (
    const AllavaLinear *op, AllavaDtype dtype, size_t row, size_t rows, size_t first, size_t m)
{
  const AllavaMatrix *matrix = op->matrix;
  const char *w = (const char *)matrix->data + row * matrix->n_in * dtype_size (dtype);
  const float *x = op->x + first * op->x_stride;
  float sums[STREAM_R][STREAM_M];

  dot_rows (w, dtype, rows, x, op->x_stride, m, matrix->n_in, sums);
  for (size_t i = 0; i < m; i++) {
    float *y = op->y + (first + i) * op->y_stride + row;
    for (size_t r = 0; r < rows; r++) {
      float sum = sums[r][i] + (matrix->bias != NULL ? matrix->bias[row + r] : 0.f);
      y[r] = op->accumulate ? y[r] + sum : sum;
    }
  }
}

ALWAYS_INLINE void
stream_rows (const AllavaLinear *op, AllavaDtype dtype, size_t row, size_t rows, size_t m)
{
  for (size_t first = 0; first < m; first += STREAM_M) {
    size_t count = MIN (m - first, (size_t)STREAM_M);
    if (count == 1)
      stream_group (op, dtype, row, rows, first, 1);
    else if (count == 2)
      stream_group (op, dtype, row, rows, first, 2);
#if defined(__AVX512F__)
    else if (count == 3)
      stream_group (op, dtype, row, rows, first, 3);
    else
      stream_group (op, dtype, row, rows, first, 4);
#endif
  }
}

ALWAYS_INLINE void
stream_dtype (const AllavaLinear *op, AllavaDtype dtype, size_t m, size_t start, size_t n)
{
  size_t r = 0;
  for (; r + STREAM_R <= n; r += STREAM_R)
    stream_rows (op, dtype, start + r, STREAM_R, m);
  for (; r < n; r++)
    stream_rows (op, dtype, start + r, 1, m);
}

void
K (stream) (const AllavaLinear *op, size_t m, size_t start, size_t n)
{
  if (op->matrix->dtype == ALLAVA_DTYPE_F32)
    stream_dtype (op, ALLAVA_DTYPE_F32, m, start, n);
  else if (op->matrix->dtype == ALLAVA_DTYPE_BF16)
    stream_dtype (op, ALLAVA_DTYPE_BF16, m, start, n);
  else
    stream_dtype (op, ALLAVA_DTYPE_F16, m, start, n);
  for (size_t i = 0; i < m; i++)
    activate_row (op->y + i * op->y_stride + start, n, op->activation);
}

/* ---- Many rows: packed blocks ------------------------------------------------------------------
 */

void
K (pack_row) (const float *x, size_t k, gboolean pairs, uint32_t *packed)
{
#ifdef __AVX512BF16__
  if (pairs) {
    for (size_t i = 0; i < k; i += 2 * LANES) {
      size_t left = k - i;
      vf low = left >= LANES ? vf_load (x + i) : vf_load_some (x + i, left);
      vf high = vf_set (0.f);
      if (left >= 2 * LANES)
        high = vf_load (x + i + LANES);
      else if (left > LANES)
        high = vf_load_some (x + i + LANES, left - LANES);
      _mm512_storeu_si512 (packed + i / 2, (__m512i)_mm512_cvtne2ps_pbh (high, low));
    }
    return;
  }
#endif
  memcpy (packed, x, k * sizeof *x);
}

/* y = tile + bias or y += tile + bias, where the first block brings the bias; then the activation,
 * where the block is the last. N <= NR columns. */
static void
finish_tile (const AllavaLinear *op,
             const float *tile, /* [rows, NR] */
             size_t rows,
             size_t row,
             size_t column,
             size_t n,
             gboolean first,
             gboolean last)
{
  const float *bias = first ? op->matrix->bias : NULL;
  gboolean add = op->accumulate || !first;
  for (size_t i = 0; i < rows; i++) {
    float *y = op->y + (row + i) * op->y_stride + column;
    for (size_t j = 0; j < n; j += LANES) {
      size_t left = n - j;
      vf sum = vf_load (tile + i * NR + j);
      if (left >= LANES) {
        if (bias != NULL)
          sum += vf_load (bias + column + j);
        vf_store (y + j, add ? vf_add (vf_load (y + j), sum) : sum);
      } else {
        if (bias != NULL)
          sum += vf_load_some (bias + column + j, left);
        vf_store_some (y + j, left, add ? vf_add (vf_load_some (y + j, left), sum) : sum);
      }
    }
    if (last)
      activate_row (y, n, op->activation);
  }
}

/* One block of the inner dimension: K values from START on, packed in A and W. */
static void
multiply_block (const AllavaLinear *op,
                const AllavaPacked *packed,
                const uint32_t *a,
                const uint32_t *w,
                size_t words,
                size_t row,
                size_t start,
                size_t n,
                gboolean first,
                gboolean last)
{
  _Alignas(64) float tile[MR * NR];
  for (size_t i = 0; i < packed->m; i += MR) {
    size_t rows = MIN (packed->m - i, (size_t)MR);
    const uint32_t *panel = a + i * ALLAVA_BLOCK_WORDS;
    for (size_t j = 0; j < n; j += NR) {
#ifdef __AVX512BF16__
      if (packed->pairs)
        K (multiply_pairs) (rows, words, panel, w + j * words, tile, NR);
      else
#endif
        K (multiply_floats)
      (rows, words, (const float *)panel, (const float *)w + j * words, tile, NR, FALSE);
      finish_tile (op, tile, rows, row + i, start + j, MIN (n - j, (size_t)NR), first, last);
    }
  }
}

void
K (multiply) (const AllavaLinear *op,
              const AllavaPacked *packed,
              size_t row,
              size_t start,
              size_t n,
              AllavaScratch *scratch)
{
  const AllavaMatrix *matrix = op->matrix;
  size_t per_word = packed->pairs ? 2 : 1;
  size_t block = ALLAVA_BLOCK_WORDS * per_word;
  const uint32_t *a = packed->words;
  const char *w = (const char *)matrix->data + start * matrix->n_in * dtype_size (matrix->dtype);

  for (size_t k = packed->k_start; k < packed->k_end; k += block) {
    size_t count = MIN (packed->k_end - k, block);
    size_t words = (count + per_word - 1) / per_word;
    K (pack_columns)
    (w, matrix->dtype, matrix->n_in, n, k, count, packed->pairs, scratch->weights);
    multiply_block (op, packed, a, scratch->weights, words, row, start, n, k == 0,
                    k + count == matrix->n_in);
    a += packed->m * ALLAVA_BLOCK_WORDS;
  }
}
