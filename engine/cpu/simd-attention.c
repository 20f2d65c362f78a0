#include "simd-kernels.h"
#include "simd-math.h"
#include "simd-multiply.h"
#include <math.h>

ALWAYS_INLINE const char *
head_rows (const AllavaAttention *attention, const void *cache, size_t head)
{
  size_t kv_head = head / (attention->n_heads / attention->n_kv_heads);
  return (const char *)cache +
         kv_head * attention->kv_stride * attention->head_dim * dtype_size (attention->kv_dtype);
}

/* How many keys query I sees. */
ALWAYS_INLINE size_t
visible_keys (const AllavaAttention *attention, size_t i)
{
  return attention->causal ? MIN (attention->position + i + 1, attention->n_keys)
                           : attention->n_keys;
}

/* ---- Many queries: blocks of scores ---------------------------------------------------------- */

/* The running softmax of each query. */
typedef struct {
  float max[ALLAVA_QUERY_ROWS];
  float sum[ALLAVA_QUERY_ROWS];
} Softmax;

static void
scale_rows (float *row, size_t n, float factor)
{
  for (size_t i = 0; i < n; i += LANES)
    vf_store (row + i, vf_load (row + i) * vf_set (factor));
}

/* scores[0 .. n) -> exp (scores - max), 0 up to PADDED; the sums so far follow a new maximum. */
static void
softmax_row (float *scores, size_t n, size_t padded, float *max, float *sum, float *factor)
{
  vf greatest = vf_set (*max);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    greatest = vf_max (greatest, vf_load (scores + i));
  float top = vf_greatest (greatest);
  for (; i < n; i++)
    top = MAX (top, scores[i]);

  vf total = vf_set (0.f);
  for (i = 0; i + LANES <= n; i += LANES) {
    vf e = vf_exp (vf_load (scores + i) - vf_set (top));
    total += e;
    vf_store (scores + i, e);
  }
  if (i < n) {
    vf e = vf_exp (vf_load_some (scores + i, n - i) - vf_set (top));
    vf_store_some (scores + i, n - i, e);
    vf_store (scores + i, e = vf_load_some (scores + i, n - i));
    total += e;
    i += LANES;
  }
  for (; i < padded; i += LANES)
    vf_store (scores + i, vf_set (0.f));
  *factor = *max == top ? 1.f : expf (*max - top);
  *sum = *sum * *factor + vf_sum (total);
  *max = top;
}

/* Values as the multiplier wants them: panels of NR columns, [n] [NR] each, 0 beyond head_dim. */
ALWAYS_INLINE void
pack_values (const char *values, AllavaDtype dtype, size_t n, size_t head_dim, float *packed)
{
  for (size_t j = 0; j < head_dim; j += NR)
    for (size_t i = 0; i < n; i++, packed += NR)
      for (size_t v = 0; v < NR; v += LANES) {
        const char *p = values + (i * head_dim + j + v) * dtype_size (dtype);
        size_t left = j + v < head_dim ? head_dim - j - v : 0;
        vf_store (packed + v, left >= LANES ? vf_load_as (p, dtype)
                              : left > 0    ? vf_load_some_as (p, left, dtype)
                                            : vf_set (0.f));
      }
}

/* Adds KEYS keys from START on to the running softmax of N queries from FIRST on. */
static void
attend_block (const AllavaAttention *attention,
              size_t head,
              size_t first,
              size_t n,
              size_t start,
              size_t keys,
              AllavaAttentionScratch *s,
              Softmax *softmax)
{
  size_t dim = attention->head_dim;
  size_t offset = start * dim * dtype_size (attention->kv_dtype);
  const char *k = head_rows (attention, attention->k, head) + offset;
  const char *v = head_rows (attention, attention->v, head) + offset;

  pack_columns (k, attention->kv_dtype, dim, keys, dim, FALSE, (uint32_t *)s->keys);
  if (attention->kv_dtype == ALLAVA_DTYPE_F32)
    pack_values (v, ALLAVA_DTYPE_F32, keys, dim, s->values);
  else
    pack_values (v, ALLAVA_DTYPE_F16, keys, dim, s->values);

  for (size_t i = 0; i < n; i += MR) {
    size_t rows = MIN (n - i, (size_t)MR);
    size_t end = visible_keys (attention, first + i + rows - 1); /* of the panel's last query */
    if (end <= start)
      continue;
    size_t seen = MIN (end - start, keys);
    float *scores = s->scores + i * ALLAVA_BLOCK_WORDS;
    for (size_t j = 0; j < seen; j += NR)
      multiply_floats (rows, dim, s->queries + i * ALLAVA_BLOCK_WORDS, s->keys + j * dim,
                       scores + j, ALLAVA_BLOCK_WORDS, FALSE, NULL);
    for (size_t r = 0; r < rows; r++) {
      size_t all = visible_keys (attention, first + i + r);
      size_t own = all > start ? MIN (all - start, keys) : 0;
      float factor;
      softmax_row (scores + r * ALLAVA_BLOCK_WORDS, own, seen, &softmax->max[i + r],
                   &softmax->sum[i + r], &factor);
      if (factor != 1.f)
        scale_rows (s->out + (i + r) * ALLAVA_HEAD_DIM_MAX, dim, factor);
    }
    for (size_t j = 0; j < dim; j += NR)
      multiply_floats (rows, seen, scores, s->values + j * keys,
                       s->out + i * ALLAVA_HEAD_DIM_MAX + j, ALLAVA_HEAD_DIM_MAX, TRUE, NULL);
  }
}

void
attend_many (
    const AllavaAttention *attention, size_t head, size_t start, size_t n, AllavaScratch *scratch)
{
  AllavaAttentionScratch *s = &scratch->attention;
  size_t dim = attention->head_dim;
  Softmax softmax;

  for (size_t i = 0; i < n; i++) {
    const float *q = attention->q + (start + i) * attention->q_stride + head * dim;
    float *queries = s->queries + i * ALLAVA_BLOCK_WORDS;
    for (size_t j = 0; j < dim; j++)
      queries[j] = q[j] * attention->scale;
    memset (s->out + i * ALLAVA_HEAD_DIM_MAX, 0, sizeof (float) * ALLAVA_HEAD_DIM_MAX);
    softmax.max[i] = -INFINITY;
    softmax.sum[i] = 0.f;
  }

  size_t end = visible_keys (attention, start + n - 1);
  for (size_t key = 0; key < end; key += ALLAVA_BLOCK_WORDS)
    attend_block (attention, head, start, n, key, MIN (end - key, (size_t)ALLAVA_BLOCK_WORDS), s,
                  &softmax);

  for (size_t i = 0; i < n; i++) {
    const float *sums = s->out + i * ALLAVA_HEAD_DIM_MAX;
    float *out = attention->out + (start + i) * attention->out_stride + head * dim;
    for (size_t j = 0; j < dim; j++)
      out[j] = sums[j] / softmax.sum[i];
  }
}

/* ---- One query: the cache streams through once ----------------------------------------------- */

/* KEYS whose scores are formed before their values are added; COLUMNS, vectors of a value that are
 * summed side by side: all of an ALLaVA head's, so that each row is read once and in order. */
enum { KEYS = 64, COLUMNS = 5 };

/* Reading alternates between keys and values too often for the processor to see both coming. */
ALWAYS_INLINE void
prefetch_row (const char *row, size_t bytes)
{
  for (size_t at = 0; at < bytes; at += 64)
    _mm_prefetch (row + at, _MM_HINT_T0);
}

ALWAYS_INLINE float
dot_key (const char *key, AllavaDtype dtype, const float *query, size_t dim)
{
  vf sum = vf_set (0.f);
  size_t j = 0;
  for (; j + LANES <= dim; j += LANES)
    sum = vf_fma (vf_load_as (key + j * dtype_size (dtype), dtype), vf_load (query + j), sum);
  if (j < dim)
    sum = vf_fma (vf_load_some_as (key + j * dtype_size (dtype), dim - j, dtype),
                  vf_load (query + j), sum);
  return vf_sum (sum);
}

/* The N values of a block of keys, [n, dim], and the keys after it, which are fetched meanwhile. */
typedef struct {
  const char *values;
  AllavaDtype dtype;
  size_t n;
  size_t dim;
  const char *next;
  size_t n_next;
} ValueBlock;

/* out[0 .. VECTORS * LANES) += sum of weights[i] * values[i], from column J on. */
ALWAYS_INLINE void
add_columns (const ValueBlock *block, const float *weights, size_t j, size_t vectors, float *out)
{
  AllavaDtype dtype = block->dtype;
  size_t row = block->dim * dtype_size (dtype), left = block->dim - j;
  vf sums[COLUMNS];
#pragma GCC unroll 5
  for (size_t v = 0; v < vectors; v++)
    sums[v] = vf_load (out + j + v * LANES);
  for (size_t i = 0; i < block->n; i++) {
    const char *p = block->values + i * row + j * dtype_size (dtype);
    vf weight = vf_set (weights[i]);
    if (j == 0 && i < block->n_next)
      prefetch_row (block->next + i * row, row);
#pragma GCC unroll 5
    for (size_t v = 0; v < vectors; v++) {
      const char *at = p + v * LANES * dtype_size (dtype);
      sums[v] = vf_fma (weight,
                        vectors > 1 || left >= LANES ? vf_load_as (at, dtype)
                                                     : vf_load_some_as (at, left, dtype),
                        sums[v]);
    }
  }
#pragma GCC unroll 5
  for (size_t v = 0; v < vectors; v++)
    vf_store (out + j + v * LANES, sums[v]);
}

/* out[0 .. dim) += sum of weights[i] * values[i]. */
ALWAYS_INLINE void
add_values (const ValueBlock *block, const float *weights, float *out)
{
  size_t j = 0;
  for (; j + COLUMNS * LANES <= block->dim; j += COLUMNS * LANES)
    add_columns (block, weights, j, COLUMNS, out);
  for (; j < block->dim; j += LANES)
    add_columns (block, weights, j, 1, out);
}

ALWAYS_INLINE void
attend_one_dtype (const AllavaAttention *attention,
                  AllavaDtype dtype,
                  size_t head,
                  size_t query,
                  size_t start,
                  size_t n,
                  AllavaPartial *partial)
{
  size_t dim = attention->head_dim;
  size_t row = dim * dtype_size (dtype);
  const char *k = head_rows (attention, attention->k, head) + start * row;
  const char *v = head_rows (attention, attention->v, head) + start * row;
  const float *q = attention->q + query * attention->q_stride + head * dim;
  float scaled[ALLAVA_HEAD_DIM_MAX] = {0};
  float weights[KEYS];

  for (size_t j = 0; j < dim; j++)
    scaled[j] = q[j] * attention->scale;
  partial->max = -INFINITY;
  partial->sum = 0.f;
  memset (partial->out, 0, sizeof partial->out);
  for (size_t first = 0; first < n; first += KEYS) {
    size_t count = MIN (n - first, (size_t)KEYS);
    float factor;
    for (size_t i = 0; i < count; i++) {
      prefetch_row (v + (first + i) * row, row);
      weights[i] = dot_key (k + (first + i) * row, dtype, scaled, dim);
    }
    softmax_row (weights, count, count, &partial->max, &partial->sum, &factor);
    if (factor != 1.f)
      scale_rows (partial->out, dim, factor);
    size_t next = first + count;
    ValueBlock block = {
        v + first * row, dtype, count, dim, k + next * row, MIN (n - next, (size_t)KEYS)};
    add_values (&block, weights, partial->out);
  }
}

void
attend_single (const AllavaAttention *attention,
               size_t head,
               size_t query,
               size_t start,
               size_t n,
               AllavaPartial *partial)
{
  if (attention->kv_dtype == ALLAVA_DTYPE_F32)
    attend_one_dtype (attention, ALLAVA_DTYPE_F32, head, query, start, n, partial);
  else
    attend_one_dtype (attention, ALLAVA_DTYPE_F16, head, query, start, n, partial);
}
