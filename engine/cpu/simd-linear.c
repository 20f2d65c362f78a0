#include "simd-kernels.h"
#include "simd-math.h"
#include "simd-multiply.h"

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

/* One row of x reads one row of weights at a time, which keeps to the order of memory. More rows
 * of x read several rows of weights side by side, so that each value of x serves several. */
enum {
  STREAM_R = 4,
  STREAM_U = 4, /* sums side by side for one output, against the latency of addition */
};

/* sums[r][i] = row r of W . row i of x. Each is formed in the same order whatever ROWS is. DTYPE,
 * ROWS, M and UNROLL are constants where this is used. Weights are fetched AHEAD bytes early: the
 * CPU's own prefetcher starts afresh in each page. */
ALWAYS_INLINE void
dot_rows (const char *w,
          AllavaDtype dtype,
          size_t rows,
          size_t unroll,
          size_t ahead,
          const float *x,
          size_t x_stride,
          size_t m,
          size_t n_in,
          float sums[STREAM_R][STREAM_M])
{
  size_t size = dtype_size (dtype);
  vf lanes[STREAM_R][STREAM_M][STREAM_U];
#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++)
#pragma GCC unroll 4
      for (size_t u = 0; u < unroll; u++)
        lanes[r][i][u] = vf_set (0.f);

  size_t k = 0;
  for (; k + STREAM_U * LANES <= n_in; k += STREAM_U * LANES) {
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
      for (size_t byte = 0; byte < STREAM_U * LANES * size; byte += 64)
        _mm_prefetch (w + (r * n_in + k) * size + byte + ahead, _MM_HINT_T0);
#pragma GCC unroll 4
    for (size_t u = 0; u < STREAM_U; u++) {
      size_t p = k + u * LANES;
      vf values[STREAM_M];
#pragma GCC unroll 4
      for (size_t i = 0; i < m; i++)
        values[i] = vf_load (x + i * x_stride + p);
#pragma GCC unroll 4
      for (size_t r = 0; r < rows; r++) {
        vf weights = vf_load_as (w + (r * n_in + p) * size, dtype);
#pragma GCC unroll 4
        for (size_t i = 0; i < m; i++)
          lanes[r][i][u % unroll] = vf_fma (weights, values[i], lanes[r][i][u % unroll]);
      }
    }
  }
  for (; k < n_in; k += LANES) {
    size_t left = n_in - k;
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++) {
      const char *p = w + (r * n_in + k) * size;
      vf weights = left >= LANES ? vf_load_as (p, dtype) : vf_load_some_as (p, left, dtype);
#pragma GCC unroll 4
      for (size_t i = 0; i < m; i++) {
        const float *q = x + i * x_stride + k;
        vf values = left >= LANES ? vf_load (q) : vf_load_some (q, left);
        lanes[r][i][0] = vf_fma (weights, values, lanes[r][i][0]);
      }
    }
  }
#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++) {
      vf sum = lanes[r][i][0];
#pragma GCC unroll 4
      for (size_t u = 1; u < unroll; u++)
        sum += lanes[r][i][u];
      sums[r][i] = vf_sum (sum);
    }
}

/* Weights from ROW on, ROWS <= STREAM_R of them, with M <= STREAM_M rows of x from FIRST on. */
ALWAYS_INLINE void
stream_group (const AllavaLinear *op,
              AllavaDtype dtype,
              size_t row,
              size_t rows,
              size_t unroll,
              size_t ahead,
              size_t first,
              size_t m)
{
  const AllavaMatrix *matrix = op->matrix;
  const char *w = (const char *)matrix->data + row * matrix->n_in * dtype_size (dtype);
  const float *x = op->x + first * op->x_stride;
  float sums[STREAM_R][STREAM_M];

  dot_rows (w, dtype, rows, unroll, ahead, x, op->x_stride, m, matrix->n_in, sums);
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
      stream_group (op, dtype, row, rows, 1, 2048, first, 1);
    else if (count == 2)
      stream_group (op, dtype, row, rows, 1, 2048, first, 2);
#if defined(__AVX512F__)
    else if (count == 3)
      stream_group (op, dtype, row, rows, 1, 2048, first, 3);
    else
      stream_group (op, dtype, row, rows, 1, 2048, first, 4);
#endif
  }
}

ALWAYS_INLINE void
stream_dtype (const AllavaLinear *op, AllavaDtype dtype, size_t m, size_t start, size_t n)
{
  size_t r = 0;
  if (m > 1)
    for (; r + STREAM_R <= n; r += STREAM_R)
      stream_rows (op, dtype, start + r, STREAM_R, m);
  else
    for (; r < n; r++)
      stream_group (op, dtype, start + r, 1, STREAM_U, 4096, 0, 1);
  for (; r < n; r++)
    stream_rows (op, dtype, start + r, 1, m);
}

void
stream_linear (const AllavaLinear *op, size_t m, size_t start, size_t n)
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
pack_activations (const float *x, size_t k, gboolean pairs, uint32_t *packed)
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

/* A block of the weights: N rows from START on, COUNT of the values of each from K on. */
typedef struct {
  size_t start;
  size_t n;
  size_t k;
  size_t count;
} Block;

static const char *
block_data (const AllavaMatrix *matrix, const Block *block)
{
  size_t first = block->start * matrix->n_in + block->k;
  return (const char *)matrix->data + first * dtype_size (matrix->dtype);
}

/* The block after BLOCK: on along the inner dimension, then the next outputs up to END. */
static Block
next_block (const AllavaPacked *packed, const Block *block, size_t end)
{
  size_t k_max = ALLAVA_BLOCK_WORDS * (packed->pairs ? 2 : 1);
  Block next = *block;
  next.k += block->count;
  if (next.k == packed->k_end) {
    next.k = packed->k_start;
    next.start += block->n;
    next.n = MIN (end - next.start, (size_t)ALLAVA_BLOCK_OUTPUTS);
  }
  next.count = MIN (packed->k_end - next.k, k_max);
  return next;
}

static Fetch
fetch_block (const AllavaMatrix *matrix, const Block *block)
{
  size_t size = dtype_size (matrix->dtype);
  size_t pieces = block->count * size / FETCH_BYTES;
  return (Fetch){
      .row = block_data (matrix, block),
      .row_pieces = pieces,
      .row_pieces_all = pieces,
      .stride = matrix->n_in * size,
      .pieces = block->n * pieces,
  };
}

/* A tile of y that is about to be finished comes back from wherever the last block left it. */
static void
fetch_tile (const AllavaLinear *op, size_t rows, size_t row, size_t column)
{
  for (size_t i = 0; i < rows; i++) {
    const float *y = op->y + (row + i) * op->y_stride + column;
    for (size_t j = 0; j < NR; j += 16)
      _mm_prefetch (y + j, _MM_HINT_T0);
  }
}

/* Adds the product of one block with all rows of x, A, to y from ROW on; NEXT follows. */
static void
multiply_block (const AllavaLinear *op,
                const AllavaPacked *packed,
                const uint32_t *a,
                const uint32_t *w,
                size_t row,
                const Block *block,
                const Block *next)
{
  _Alignas(64) float tile[MR * NR];
  size_t words = packed->pairs ? (block->count + 1) / 2 : block->count;
  size_t n_panels = (packed->m + MR - 1) / MR;
  size_t height = (packed->m + n_panels - 1) / n_panels; /* no panel much lower than the others */
  Fetch fetch = fetch_block (op->matrix, next);

  for (size_t i = 0; i < packed->m; i += height) {
    size_t rows = MIN (packed->m - i, height);
    const uint32_t *panel = a + i * ALLAVA_BLOCK_WORDS;
    fetch.panel = (const char *)(panel + rows * ALLAVA_BLOCK_WORDS);
    fetch.panel_pieces = i + rows < packed->m ? rows * ALLAVA_BLOCK_WORDS * 4 / FETCH_BYTES : 0;
    for (size_t j = 0; j < block->n; j += NR) {
      const uint32_t *weights = w + j * words;
      fetch_tile (op, rows, row + i, block->start + j);
#ifdef __AVX512BF16__
      if (packed->pairs)
        multiply_pairs (rows, words, panel, weights, tile, NR, &fetch);
      else
#endif
        multiply_floats (rows, words, (const float *)panel, (const float *)weights, tile, NR, FALSE,
                         &fetch);
      finish_tile (op, tile, rows, row + i, block->start + j, MIN (block->n - j, (size_t)NR),
                   block->k == 0, block->k + block->count == op->matrix->n_in);
    }
  }
}

void
multiply_linear (const AllavaLinear *op,
                 const AllavaPacked *packed,
                 size_t row,
                 size_t start,
                 size_t n,
                 AllavaScratch *scratch)
{
  const AllavaMatrix *matrix = op->matrix;
  size_t k_max = ALLAVA_BLOCK_WORDS * (packed->pairs ? 2 : 1);
  Block block = {start, MIN (n, (size_t)ALLAVA_BLOCK_OUTPUTS), packed->k_start,
                 MIN (packed->k_end - packed->k_start, k_max)};

  while (block.n > 0) {
    Block next = next_block (packed, &block, start + n);
    size_t k_index = (block.k - packed->k_start) / k_max;
    pack_columns (block_data (matrix, &block), matrix->dtype, matrix->n_in, block.n, block.count,
                  packed->pairs, scratch->weights);
    multiply_block (op, packed, packed->words + k_index * packed->m * ALLAVA_BLOCK_WORDS,
                    scratch->weights, row, &block, &next);
    block = next;
  }
}
