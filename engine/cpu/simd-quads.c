/* simd-quads.c - products of many rows with q8 and q4 matrices.
 *
 * With AVX-512 VNNI in integers: words are four int8 of x, and four weights with 128 added, which
 * the sum of x's group takes back. A q4 weight becomes 8 q - zero, so both formats are one here.
 * Without it, blocks of the weights are turned into floats for the multiplier of simd-multiply.c.
 */
#include "simd-multiply.h"
#include "simd-quant.h"

#ifdef __AVX512VNNI__

/* 6 rows of 2 vectors: as many sums of integers and of floats as registers hold. */
enum { QUAD_MR = 6, QUAD_WORDS = ALLAVA_QUAD_WORDS, QUAD_GROUPS = ALLAVA_QUAD_GROUPS };

void
pack_activation_quads (const float *x, size_t k, uint32_t *words, AllavaQuadGroup *groups)
{
  for (size_t group = 0; group < k / GROUP; group++) {
    __m256i sums;
    float scale = round_group (x + group * GROUP, (int8_t *)(words + group * GROUP / 4), &sums);
    int32_t four[8], sum = 0;
    _mm256_storeu_si256 ((__m256i *)four, sums);
    for (int i = 0; i < 8; i++)
      sum += four[i];
    groups[group] = (AllavaQuadGroup){scale * ALLAVA_QUANT_FACTOR, -128 * sum};
  }
}

/* ---- Packing weights ------------------------------------------------------------------------- */

/* 64 values of one row, with 128 added, or as many as there are: 32. */
ALWAYS_INLINE __m512i
load_q8 (const uint8_t *p, size_t left)
{
  __mmask64 mask = left >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1;
  return _mm512_xor_si512 (_mm512_maskz_loadu_epi8 (mask, p), _mm512_set1_epi8 ((char)0x80));
}

/* The same of q4: 8 q + (128 - zero), of two groups. */
ALWAYS_INLINE __m512i
load_q4 (const uint8_t *p, const uint16_t *records)
{
  __m256i pair = _mm256_loadu_si256 ((const __m256i *)p);
  __m512i eights = _mm512_inserti64x4 (_mm512_castsi256_si512 (_mm256_slli_epi16 (pair, 3)),
                                       _mm256_srli_epi16 (pair, 1), 1);
  __m512i shifts = _mm512_inserti64x4 (
      _mm512_castsi256_si512 (_mm256_set1_epi8 ((char)(128 - (records[0] & 127)))),
      _mm256_set1_epi8 ((char)(128 - (records[1] & 127))), 1);
  return _mm512_add_epi8 (_mm512_and_si512 (eights, _mm512_set1_epi8 (0x78)), shifts);
}

/* LANES rows from START on (the last ones again where there are no more), COUNT columns from K on,
 * to words [count / 4][NR] and scales [count / 32][NR]. */
ALWAYS_INLINE void
pack_lanes (const AllavaMatrix *matrix,
            AllavaDtype dtype,
            size_t start,
            size_t k,
            size_t count,
            float *words,
            float *scales)
{
  size_t bytes = allava_quant_row_bytes (dtype, matrix->n_in), groups = matrix->n_in / GROUP;
  const uint8_t *rows[LANES];
  const uint16_t *records[LANES];
  vf square[LANES];
  for (size_t i = 0; i < LANES; i++) {
    size_t row = MIN (start + i, matrix->n_out - 1);
    rows[i] = (const uint8_t *)matrix->data + row * bytes + allava_quant_row_bytes (dtype, k);
    records[i] = matrix->records + row * groups + k / GROUP;
  }
  for (size_t p = 0; p < count; p += 64) {
    for (size_t i = 0; i < LANES; i++)
      square[i] = (vf)(dtype == ALLAVA_DTYPE_Q4 ? load_q4 (rows[i] + p / 2, records[i] + p / GROUP)
                                                : load_q8 (rows[i] + p, count - p));
    vf_transpose (square);
    for (size_t i = 0; i < MIN (LANES, (count - p) / 4); i++)
      vf_store (words + (p / 4 + i) * NR, square[i]);
  }
  for (size_t g = 0; g < count / GROUP; g += LANES) {
    size_t n = MIN (count / GROUP - g, (size_t)LANES);
    for (size_t i = 0; i < LANES; i++) {
      __m256i bits = _mm256_maskz_loadu_epi16 ((__mmask16)((1u << n) - 1), records[i] + g);
      if (dtype == ALLAVA_DTYPE_Q4)
        bits = _mm256_and_si256 (_mm256_srli_epi16 (bits, 1), _mm256_set1_epi16 (0x7fc0));
      square[i] = _mm512_cvtph_ps (bits);
    }
    vf_transpose (square);
    for (size_t i = 0; i < n; i++)
      vf_store (scales + (g + i) * NR, square[i]);
  }
}

/* A block of a matrix: N outputs from START on, COUNT columns from K on. */
typedef struct {
  size_t start, n;
  size_t k, count;
} Block;

/* Panels of NR outputs, one after the other. */
static void
pack_block (const AllavaMatrix *matrix, const Block *block, AllavaQuadScratch *scratch)
{
  for (size_t j = 0; j < block->n; j += LANES) {
    size_t panel = j / NR, lane = j % NR;
    float *words = (float *)scratch->words + panel * QUAD_WORDS * NR + lane;
    float *scales = scratch->scales + panel * QUAD_GROUPS * NR + lane;
    if (matrix->dtype == ALLAVA_DTYPE_Q4)
      pack_lanes (matrix, ALLAVA_DTYPE_Q4, block->start + j, block->k, block->count, words, scales);
    else
      pack_lanes (matrix, ALLAVA_DTYPE_Q8, block->start + j, block->k, block->count, words, scales);
  }
}

/* ---- Multiplying ----------------------------------------------------------------------------- */

/* Rows of weights that will be packed next, fetched into L2 some lines at a time. */
typedef struct {
  const char *data;
  size_t stride; /* bytes from row to row */
  size_t lines;  /* of a row */
  size_t next, end;
  size_t step; /* lines at a time */
} Ahead;

static Ahead
plan_ahead (const AllavaMatrix *matrix, const Block *next, size_t tiles)
{
  size_t bytes = allava_quant_row_bytes (matrix->dtype, matrix->n_in);
  size_t lines = (allava_quant_row_bytes (matrix->dtype, next->count) + 63) / 64;
  size_t all = next->n * lines;
  return (Ahead){
      .data = (const char *)matrix->data + next->start * bytes +
              allava_quant_row_bytes (matrix->dtype, next->k),
      .stride = bytes,
      .lines = lines,
      .end = all,
      .step = (all + tiles - 1) / tiles,
  };
}

static void
fetch_ahead (Ahead *ahead)
{
  size_t end = MIN (ahead->next + ahead->step, ahead->end);
  for (; ahead->next < end; ahead->next++)
    _mm_prefetch (ahead->data + ahead->next / ahead->lines * ahead->stride +
                      ahead->next % ahead->lines * 64,
                  _MM_HINT_T1);
}

/* Where a tile's sums start and end. */
typedef struct {
  const float *from; /* [NR] in each row, or NULL: 0 */
  size_t from_stride;
  float *to;
  size_t to_stride;
} Tile;

/* to [rows, NR] = from + x w^T over whole groups. ROWS is a constant where this is used. */
ALWAYS_INLINE void
multiply_tile (size_t rows,
               size_t n_groups,
               const uint32_t *x,
               const AllavaQuadGroup *groups,
               const uint32_t *w,
               const float *scales,
               const Tile *tile)
{
  vf sums[QUAD_MR][NV];
#pragma GCC unroll 6
  for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (size_t j = 0; j < NV; j++)
      sums[i][j] = tile->from != NULL ? vf_load (tile->from + i * tile->from_stride + j * LANES)
                                      : vf_set (0.f);

  for (size_t g = 0; g < n_groups; g++, x += GROUP / 4, w += GROUP / 4 * NR, scales += NR) {
    __m512i dots[QUAD_MR][NV];
#pragma GCC unroll 6
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 2
      for (size_t j = 0; j < NV; j++)
        dots[i][j] = _mm512_set1_epi32 (groups[i * QUAD_GROUPS + g].offset);
#pragma GCC unroll 8
    for (size_t p = 0; p < GROUP / 4; p++) {
      __m512i weights[NV];
#pragma GCC unroll 2
      for (size_t j = 0; j < NV; j++)
        weights[j] = _mm512_loadu_si512 (w + p * NR + j * LANES);
#pragma GCC unroll 6
      for (size_t i = 0; i < rows; i++) {
        __m512i four = _mm512_set1_epi32 ((int32_t)x[i * QUAD_WORDS + p]);
#pragma GCC unroll 2
        for (size_t j = 0; j < NV; j++)
          dots[i][j] = _mm512_dpbusd_epi32 (dots[i][j], weights[j], four);
      }
    }
#pragma GCC unroll 6
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 2
      for (size_t j = 0; j < NV; j++) {
        vf scale = vf_load (scales + j * LANES) * vf_set (groups[i * QUAD_GROUPS + g].scale);
        sums[i][j] = vf_fma (_mm512_cvtepi32_ps (dots[i][j]), scale, sums[i][j]);
      }
  }

#pragma GCC unroll 6
  for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (size_t j = 0; j < NV; j++)
      vf_store (tile->to + i * tile->to_stride + j * LANES, sums[i][j]);
}

static void
multiply_rows (size_t rows,
               size_t n_groups,
               const uint32_t *x,
               const AllavaQuadGroup *groups,
               const uint32_t *w,
               const float *scales,
               const Tile *tile)
{
#define MULTIPLY(n)                                                                                \
  case n:                                                                                          \
    multiply_tile (n, n_groups, x, groups, w, scales, tile);                                       \
    break;
  switch (rows) {
    MULTIPLY (1) MULTIPLY (2) MULTIPLY (3) MULTIPLY (4) MULTIPLY (5) MULTIPLY (6)
  }
#undef MULTIPLY
}

/* Rows [I, I + ROWS) of x and the panel of N outputs from J on, both counted from the block's
 * first. A whole panel's sums go on from y, or start with the bias. */
static void
multiply_panel (const AllavaLinear *op,
                const AllavaPacked *packed,
                size_t row,
                const Block *block,
                size_t i,
                size_t rows,
                size_t j,
                const AllavaQuadScratch *scratch)
{
  _Alignas(64) float apart[QUAD_MR * NR];
  gboolean first = block->k == 0, last = block->k + block->count == op->matrix->n_in;
  size_t at = (block->k - packed->k_start) / (4 * QUAD_WORDS) * packed->m + i; /* row of words */
  size_t n = MIN (block->n - j, (size_t)NR), column = block->start + j;
  const float *bias = first && op->matrix->bias != NULL ? op->matrix->bias + column : NULL;
  float *y = op->y + (row + i) * op->y_stride + column;
  gboolean add = op->accumulate || !first;
  gboolean direct = n == NR && !(add && bias != NULL);
  Tile tile = {NULL, 0, apart, NR};
  if (direct)
    tile = (Tile){add ? y : bias, add ? op->y_stride : 0, y, op->y_stride};
  multiply_rows (rows, block->count / GROUP, packed->words + at * QUAD_WORDS,
                 packed->groups + at * QUAD_GROUPS, scratch->words + j * QUAD_WORDS,
                 scratch->scales + j * QUAD_GROUPS, &tile);
  if (!direct)
    finish_tile (op, apart, rows, row + i, column, n, first, last);
  for (size_t r = 0; r < rows && direct && last; r++)
    activate_row (y + r * op->y_stride, n, op->activation);
}

/* The product of one block with all rows of x; NEXT follows. */
static void
multiply_block (const AllavaLinear *op,
                const AllavaPacked *packed,
                size_t row,
                const Block *block,
                const Block *next,
                const AllavaQuadScratch *scratch)
{
  size_t n_panels = (packed->m + QUAD_MR - 1) / QUAD_MR;
  size_t height = (packed->m + n_panels - 1) / n_panels;
  Ahead ahead = plan_ahead (op->matrix, next, n_panels * ((block->n + NR - 1) / NR));

  for (size_t j = 0; j < block->n; j += NR)
    for (size_t i = 0; i < packed->m; i += height) {
      size_t rows = MIN (packed->m - i, height), after = i + rows;
      fetch_ahead (&ahead);
      if (after < packed->m)
        fetch_tile (op, MIN (packed->m - after, height), row + after, block->start + j);
      multiply_panel (op, packed, row, block, i, rows, j, scratch);
    }
}

/* The block after BLOCK: on along the columns, then the next outputs up to END. */
static Block
next_block (const AllavaPacked *packed, const Block *block, size_t end)
{
  Block next = *block;
  next.k += block->count;
  if (next.k == packed->k_end) {
    next.k = packed->k_start;
    next.start += block->n;
    next.n = MIN (end - next.start, (size_t)ALLAVA_BLOCK_OUTPUTS);
  }
  next.count = MIN (packed->k_end - next.k, (size_t)4 * QUAD_WORDS);
  return next;
}

void
multiply_linear_quads (const AllavaLinear *op,
                       const AllavaPacked *packed,
                       size_t row,
                       size_t start,
                       size_t n,
                       AllavaScratch *scratch)
{
  Block block = {start, MIN (n, (size_t)ALLAVA_BLOCK_OUTPUTS), packed->k_start,
                 MIN (packed->k_end - packed->k_start, (size_t)4 * QUAD_WORDS)};
  while (block.n > 0) {
    Block next = next_block (packed, &block, start + n);
    pack_block (op->matrix, &block, &scratch->quads);
    multiply_block (op, packed, row, &block, &next, &scratch->quads);
    block = next;
  }
}

#endif

/* ---- As floats ------------------------------------------------------------------------------- */

/* One group of a row. */
ALWAYS_INLINE void
dequantize_group (const AllavaMatrix *matrix, size_t row, size_t group, float *x)
{
  size_t n_in = matrix->n_in;
  const uint8_t *values =
      (const uint8_t *)matrix->data + row * allava_quant_row_bytes (matrix->dtype, n_in);
  uint16_t record = matrix->records[row * (n_in / GROUP) + group];
  float scale = allava_quant_scale (matrix->dtype, record);
  if (matrix->dtype == ALLAVA_DTYPE_Q8) {
    const int8_t *q = (const int8_t *)values + group * GROUP;
    for (size_t i = 0; i < GROUP; i++)
      x[i] = scale * q[i];
  } else {
    const uint8_t *pair = values + group / 2 * GROUP;
    int zero = allava_quant_zero (record);
    int shift = group % 2 * 4;
    for (size_t i = 0; i < GROUP; i++)
      x[i] = scale * (float)(8 * (pair[i] >> shift & 15) - zero);
  }
}

void
dequantize_columns (const AllavaMatrix *matrix,
                    size_t start,
                    size_t n,
                    size_t k,
                    size_t count,
                    AllavaScratch *scratch)
{
  float *rows = scratch->multiply.rows;
  uint32_t *packed = scratch->multiply.weights;
  for (size_t j = 0; j < n; j += NR, packed += count * NR) {
    size_t n_rows = MIN (n - j, (size_t)NR);
    for (size_t i = 0; i < n_rows; i++)
      for (size_t g = 0; g < count; g += GROUP)
        dequantize_group (matrix, start + j + i, (k + g) / GROUP, rows + i * count + g);
    pack_columns (rows, ALLAVA_DTYPE_F32, count, n_rows, count, FALSE, packed);
  }
}
