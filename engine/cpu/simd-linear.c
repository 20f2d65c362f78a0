#include "simd-kernels.h"
#include "simd-math.h"
#include "simd-multiply.h"
#include "simd-quant.h"

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

void
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

/* ---- Few rows: weights stream through the registers once ------------------------------------- */

/* Several rows of weights are read side by side, so that each value of x serves several. They lie
 * far apart: each is then a stream of its own that follows the order of memory from row to row,
 * and is fetched AHEAD bytes early, since the CPU's own prefetcher starts afresh in each page.
 * Every dot product is formed in the same order whatever stands beside it. */
enum { STREAM_R = 4, STREAM_UNROLL = 4, STREAM_AHEAD = 2048 };

/* sums[r][i] += stream r of W * row i of x, lane by lane, for LEFT more values, at most LANES. */
ALWAYS_INLINE void
dot_step (const char *w,
          AllavaDtype dtype,
          size_t rows,
          size_t apart,
          const float *x,
          size_t x_stride,
          size_t m,
          size_t left,
          vf sums[STREAM_R][STREAM_M])
{
  vf values[STREAM_M];
#pragma GCC unroll 4
  for (size_t i = 0; i < m; i++) {
    const float *p = x + i * x_stride;
    values[i] = left >= LANES ? vf_load (p) : vf_load_some (p, left);
  }
#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++) {
    const char *p = w + r * apart;
    vf weights = left >= LANES ? vf_load_as (p, dtype) : vf_load_some_as (p, left, dtype);
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++)
      sums[r][i] = vf_fma (weights, values[i], sums[r][i]);
  }
}

/* dots[r][i] = row r of W . row i of x; rows of W are APART bytes apart. DTYPE, ROWS and M are
 * constants where this is used. */
ALWAYS_INLINE void
dot_rows (const char *w,
          AllavaDtype dtype,
          size_t rows,
          size_t apart,
          const float *x,
          size_t x_stride,
          size_t m,
          size_t n_in,
          float dots[STREAM_R][STREAM_M])
{
  const size_t size = dtype_size (dtype), step = STREAM_UNROLL * LANES;
  vf sums[STREAM_R][STREAM_M];
#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++)
      sums[r][i] = vf_set (0.f);

  size_t k = 0;
  for (; k + step <= n_in; k += step) {
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
      for (size_t byte = 0; byte < step * size; byte += 64)
        _mm_prefetch (w + r * apart + k * size + byte + STREAM_AHEAD, _MM_HINT_T0);
#pragma GCC unroll 4
    for (size_t p = k; p < k + step; p += LANES)
      dot_step (w + p * size, dtype, rows, apart, x + p, x_stride, m, LANES, sums);
  }
  for (; k < n_in; k += LANES)
    dot_step (w + k * size, dtype, rows, apart, x + k, x_stride, m, n_in - k, sums);

#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (size_t i = 0; i < m; i++)
      dots[r][i] = vf_sum (sums[r][i]);
}

/* ROWS <= STREAM_R outputs from ROW on, APART rows apart, of M <= STREAM_M rows of x from FIRST. */
ALWAYS_INLINE void
stream_group (const AllavaLinear *op,
              AllavaDtype dtype,
              size_t row,
              size_t rows,
              size_t apart,
              size_t first,
              size_t m)
{
  const AllavaMatrix *matrix = op->matrix;
  size_t row_bytes = matrix->n_in * dtype_size (dtype);
  const char *w = (const char *)matrix->data + row * row_bytes;
  const float *x = op->x + first * op->x_stride;
  float dots[STREAM_R][STREAM_M];

  dot_rows (w, dtype, rows, apart * row_bytes, x, op->x_stride, m, matrix->n_in, dots);
  for (size_t i = 0; i < m; i++)
    for (size_t r = 0; r < rows; r++) {
      size_t column = row + r * apart;
      float *y = op->y + (first + i) * op->y_stride + column;
      float sum = dots[r][i] + (matrix->bias != NULL ? matrix->bias[column] : 0.f);
      *y = op->accumulate ? *y + sum : sum;
    }
}

/* All rows of x. */
ALWAYS_INLINE void
stream_rows (
    const AllavaLinear *op, AllavaDtype dtype, size_t m, size_t row, size_t rows, size_t apart)
{
  size_t i = 0;
#ifdef __AVX512F__
  for (; i + 4 <= m; i += 4)
    stream_group (op, dtype, row, rows, apart, i, 4);
#endif
  for (; i + 2 <= m; i += 2)
    stream_group (op, dtype, row, rows, apart, i, 2);
  for (; i < m; i++)
    stream_group (op, dtype, row, rows, apart, i, 1);
}

ALWAYS_INLINE void
stream_dtype (const AllavaLinear *op, AllavaDtype dtype, size_t m, size_t start, size_t n)
{
  size_t apart = n / STREAM_R;
  for (size_t r = 0; r < apart; r++)
    stream_rows (op, dtype, m, start + r, STREAM_R, apart);
  for (size_t r = STREAM_R * apart; r < n; r++)
    for (size_t i = 0; i < m; i++)
      stream_group (op, dtype, start + r, 1, 0, i, 1);
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

/* ---- Many rows: packed blocks ---------------------------------------------------------------- */

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

void
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
  size_t k_max = ALLAVA_BLOCK_WORDS * (packed->kind == ALLAVA_WORDS_PAIRS ? 2 : 1);
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
  if (allava_dtype_is_quantized (matrix->dtype))
    return (Fetch){0};
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
  size_t words = packed->kind == ALLAVA_WORDS_PAIRS ? (block->count + 1) / 2 : block->count;
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
      if (packed->kind == ALLAVA_WORDS_PAIRS)
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
  size_t k_max = ALLAVA_BLOCK_WORDS * (packed->kind == ALLAVA_WORDS_PAIRS ? 2 : 1);
  Block block = {start, MIN (n, (size_t)ALLAVA_BLOCK_OUTPUTS), packed->k_start,
                 MIN (packed->k_end - packed->k_start, k_max)};

  while (block.n > 0) {
    Block next = next_block (packed, &block, start + n);
    size_t k_index = (block.k - packed->k_start) / k_max;
    if (allava_dtype_is_quantized (matrix->dtype))
      dequantize_columns (matrix, block.start, block.n, block.k, block.count, scratch);
    else
      pack_columns (block_data (matrix, &block), matrix->dtype, matrix->n_in, block.n, block.count,
                    packed->kind == ALLAVA_WORDS_PAIRS, scratch->multiply.weights);
    multiply_block (op, packed, packed->words + k_index * packed->m * ALLAVA_BLOCK_WORDS,
                    scratch->multiply.weights, row, &block, &next);
    block = next;
  }
}
