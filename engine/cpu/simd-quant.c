/* simd-quant.c - products of few rows with q8 and q4 matrices (quant.h says what those are).
 *
 * x is rounded to int8 in groups of 32, so that each group's part of a dot product is one of
 * integers; it is then scaled and summed in f32. The weights are read as they lie, once. */
#include "simd-quant.h"

/* ---- x to bytes ------------------------------------------------------------------------------ */

/* Below this a group counts as 0: the inverse of its scale would overflow. */
#define LEAST_GREATEST 1e-30f

ALWAYS_INLINE uint32_t
greatest_of_lanes (__m256i x)
{
  __m128i m = _mm_max_epu32 (_mm256_castsi256_si128 (x), _mm256_extracti128_si256 (x, 1));
  m = _mm_max_epu32 (m, _mm_shuffle_epi32 (m, 0x4e));
  m = _mm_max_epu32 (m, _mm_shuffle_epi32 (m, 0xb1));
  return (uint32_t)_mm_cvtsi128_si32 (m);
}

ALWAYS_INLINE int32_t
sum_of_lanes (__m256i x)
{
  __m128i s = _mm_add_epi32 (_mm256_castsi256_si128 (x), _mm256_extracti128_si256 (x, 1));
  s = _mm_add_epi32 (s, _mm_shuffle_epi32 (s, 0x4e));
  s = _mm_add_epi32 (s, _mm_shuffle_epi32 (s, 0xb1));
  return _mm_cvtsi128_si32 (s);
}

/* Magnitudes are compared as integers, where NaN is the greatest: it becomes the scale. */
float
round_group (const float *x, int8_t *values, __m256i *sums_of_four)
{
  __m256 v[4];
  __m256i greatest = _mm256_setzero_si256 ();
  for (int i = 0; i < 4; i++) {
    v[i] = _mm256_loadu_ps (x + i * 8);
    __m256i magnitude =
        _mm256_and_si256 (_mm256_castps_si256 (v[i]), _mm256_set1_epi32 (0x7fffffff));
    greatest = _mm256_max_epu32 (greatest, magnitude);
  }
  uint32_t bits = greatest_of_lanes (greatest);
  float most, inverse = 0;
  memcpy (&most, &bits, sizeof most);
  if (most < LEAST_GREATEST)
    most = 0;
  else
    inverse = 127 / most;

  __m256i q[4];
  for (int i = 0; i < 4; i++)
    q[i] = _mm256_cvtps_epi32 (v[i] * _mm256_set1_ps (inverse));
  __m256i bytes =
      _mm256_packs_epi16 (_mm256_packs_epi32 (q[0], q[1]), _mm256_packs_epi32 (q[2], q[3]));
  bytes = _mm256_permutevar8x32_epi32 (bytes, _mm256_setr_epi32 (0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256 ((__m256i *)values, bytes);
  *sums_of_four =
      _mm256_madd_epi16 (_mm256_maddubs_epi16 (_mm256_set1_epi8 (1), bytes), _mm256_set1_epi16 (1));
  return most / 127;
}

/* Where a group's bytes stand in a row of x. With AVX-512, 64 bytes of q4 hold groups 0 and 2 in
 * their low nibbles and 1 and 3 in their high ones, and x lies so too. */
ALWAYS_INLINE size_t
place_of_group (AllavaDtype dtype, size_t group)
{
#ifdef __AVX512VNNI__
  if (dtype == ALLAVA_DTYPE_Q4)
    return (group & ~(size_t)3) | (group & 1) << 1 | (group >> 1 & 1);
#endif
  return group;
}

void
round_activations (const float *x, size_t n, AllavaDtype dtype, AllavaByteRow *row)
{
  for (size_t group = 0; group < row->stride / GROUP; group++) {
    size_t at = place_of_group (dtype, group) * GROUP;
    __m256i sums = _mm256_setzero_si256 ();
    row->scales[group] = 0;
    if (group * GROUP < n)
      row->scales[group] =
          ALLAVA_QUANT_FACTOR * round_group (x + group * GROUP, row->values + at, &sums);
    else
      memset (row->values + at, 0, GROUP);
    row->sums[group] = row->scales[group] * (float)sum_of_lanes (sums);
    _mm256_storeu_si256 ((__m256i *)(row->offsets + at / 4),
                         _mm256_sub_epi32 (_mm256_setzero_si256 (), _mm256_slli_epi32 (sums, 7)));
  }
}

/* ---- Dot products ---------------------------------------------------------------------------- */

/* As in simd-linear.c: rows of weights far apart are read side by side and fetched early. */
enum { STREAM_R = 4, STREAM_AHEAD = 2048 };

/* The first of the rows that are read side by side, and where the others are. */
typedef struct {
  const uint8_t *values;
  size_t values_apart; /* bytes */
  const uint16_t *records;
  size_t records_apart;
} Rows;

#ifdef __AVX512VNNI__

enum { BLOCK_GROUPS = 16 }; /* whose scales are one vector */

/* The scales of up to 16 records, without the factor that x's scales bring. */
ALWAYS_INLINE vf
load_scales (const uint16_t *records, size_t n, AllavaDtype dtype, vf *zeros)
{
  __m256i bits = n >= 16 ? _mm256_loadu_si256 ((const __m256i *)records)
                         : _mm256_maskz_loadu_epi16 ((__mmask16)((1u << n) - 1), records);
  if (dtype == ALLAVA_DTYPE_Q8)
    return _mm512_cvtph_ps (bits);
  *zeros = _mm512_cvtepi32_ps (
      _mm512_cvtepu16_epi32 (_mm256_and_si256 (bits, _mm256_set1_epi16 (0x7f))));
  return _mm512_cvtph_ps (
      _mm256_and_si256 (_mm256_srli_epi16 (bits, 1), _mm256_set1_epi16 (0x7fc0)));
}

/* The lane of each of the two groups whose products are in the halves of a vector. */
ALWAYS_INLINE __m512i
two_lanes (int low, int high)
{
  return _mm512_inserti64x4 (_mm512_set1_epi32 (low), _mm256_set1_epi32 (high), 1);
}

ALWAYS_INLINE __m512i
load_bytes (const uint8_t *p, size_t n)
{
  return n >= 64 ? _mm512_loadu_si512 (p) : _mm512_maskz_loadu_epi8 (((__mmask64)1 << n) - 1, p);
}

/* sums += the products of 64 bytes of q8, whose scales are lanes FIRST and FIRST + 1. Weights are
 * unsigned with 128 added; the offsets take that back. */
ALWAYS_INLINE vf
add_q8 (__m512i w, const AllavaByteRow *x, size_t k, vf scales, int first, vf sum)
{
  __m512i unsigned_w = _mm512_xor_si512 (w, _mm512_set1_epi8 ((char)0x80));
  __m512i dots = _mm512_dpbusd_epi32 (_mm512_loadu_si512 (x->offsets + k / 4), unsigned_w,
                                      _mm512_loadu_si512 (x->values + k));
  vf wide = _mm512_permutexvar_ps (two_lanes (first, first + 1), scales);
  return vf_fma (_mm512_cvtepi32_ps (dots), wide, sum);
}

ALWAYS_INLINE vf
add_nibbles (__m512i q, const int8_t *x, vf scales, int first, vf sum)
{
  __m512i dots = _mm512_dpbusd_epi32 (_mm512_setzero_si512 (), q, _mm512_loadu_si512 (x));
  vf wide = _mm512_permutexvar_ps (two_lanes (first, first + 2), scales);
  return vf_fma (_mm512_cvtepi32_ps (dots), wide, sum);
}

/* The same of 64 bytes of q4: 128 columns from K on. */
ALWAYS_INLINE vf
add_q4 (__m512i w, const AllavaByteRow *x, size_t k, vf scales, int first, vf sum)
{
  const __m512i low = _mm512_set1_epi8 (15);
  sum = add_nibbles (_mm512_and_si512 (w, low), x->values + k, scales, first, sum);
  return add_nibbles (_mm512_and_si512 (_mm512_srli_epi16 (w, 4), low), x->values + k + 64, scales,
                      first + 1, sum);
}

/* COUNT columns from K on, up to 16 groups; ZEROS sums what q4's zeros take off, in eighths. */
ALWAYS_INLINE void
dot_block (const Rows *w,
           AllavaDtype dtype,
           size_t rows,
           const AllavaByteRow *x,
           size_t k,
           size_t count,
           vf sums[STREAM_R],
           vf zeros[STREAM_R])
{
  const size_t columns = dtype == ALLAVA_DTYPE_Q4 ? 128 : 64; /* in 64 bytes */
  vf scales[STREAM_R];
#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++) {
    vf zero = vf_set (0.f);
    vf s = load_scales (w->records + r * w->records_apart + k / GROUP, count / GROUP, dtype, &zero);
    if (dtype == ALLAVA_DTYPE_Q4)
      zeros[r] = vf_fma (s * zero, vf_load (x->sums + k / GROUP), zeros[r]);
    scales[r] = s * vf_load (x->scales + k / GROUP);
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < BLOCK_GROUPS * GROUP; i += columns) {
    if (i >= count)
      break;
    size_t at = k + i, left = (count - i) * 64 / columns;
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++) {
      const uint8_t *p = w->values + r * w->values_apart + at * 64 / columns;
      _mm_prefetch (p + STREAM_AHEAD, _MM_HINT_T0);
      if (dtype == ALLAVA_DTYPE_Q4)
        sums[r] = add_q4 (load_bytes (p, left), x, at, scales[r], (int)(i / GROUP), sums[r]);
      else
        sums[r] = add_q8 (load_bytes (p, left), x, at, scales[r], (int)(i / GROUP), sums[r]);
    }
  }
}

#else /* AVX2 */

enum { BLOCK_GROUPS = 8 };

ALWAYS_INLINE __m256
load_scales (const uint16_t *records, size_t n, AllavaDtype dtype, __m256 *zeros)
{
  uint16_t some[8] = {0};
  memcpy (some, records, MIN (n, 8) * sizeof some[0]);
  __m128i bits = _mm_loadu_si128 ((const __m128i *)some);
  if (dtype == ALLAVA_DTYPE_Q8)
    return _mm256_cvtph_ps (bits);
  *zeros = _mm256_cvtepi32_ps (_mm256_cvtepu16_epi32 (_mm_and_si128 (bits, _mm_set1_epi16 (0x7f))));
  return _mm256_cvtph_ps (_mm_and_si128 (_mm_srli_epi16 (bits, 1), _mm_set1_epi16 (0x7fc0)));
}

/* sum += the dot product of two groups, U without and S with sign, whose scale is lane GROUP. No
 * pair of products saturates: 2 * 128 * 127 < 2^15. */
ALWAYS_INLINE __m256
add_group (__m256i u, __m256i s, __m256 scales, int group, __m256 sum)
{
  __m256i dots = _mm256_madd_epi16 (_mm256_maddubs_epi16 (u, s), _mm256_set1_epi16 (1));
  __m256 wide = _mm256_permutevar8x32_ps (scales, _mm256_set1_epi32 (group));
  return _mm256_fmadd_ps (_mm256_cvtepi32_ps (dots), wide, sum);
}

ALWAYS_INLINE __m256i
load_group (const void *p)
{
  return _mm256_loadu_si256 (p);
}

ALWAYS_INLINE __m256
add_q8 (__m256i w, const AllavaByteRow *x, size_t k, __m256 scales, int group, __m256 sum)
{
  __m256i signed_x = _mm256_sign_epi8 (load_group (x->values + k), w);
  return add_group (_mm256_abs_epi8 (w), signed_x, scales, group, sum);
}

ALWAYS_INLINE __m256
add_q4 (__m256i w, const AllavaByteRow *x, size_t k, __m256 scales, int group, __m256 sum)
{
  const __m256i low = _mm256_set1_epi8 (15);
  sum = add_group (_mm256_and_si256 (w, low), load_group (x->values + k), scales, group, sum);
  return add_group (_mm256_and_si256 (_mm256_srli_epi16 (w, 4), low),
                    load_group (x->values + k + GROUP), scales, group + 1, sum);
}

ALWAYS_INLINE void
dot_block (const Rows *w,
           AllavaDtype dtype,
           size_t rows,
           const AllavaByteRow *x,
           size_t k,
           size_t count,
           __m256 sums[STREAM_R],
           __m256 zeros[STREAM_R])
{
  const size_t columns = dtype == ALLAVA_DTYPE_Q4 ? 64 : 32; /* in 32 bytes */
  __m256 scales[STREAM_R];
#pragma GCC unroll 4
  for (size_t r = 0; r < rows; r++) {
    __m256 zero = _mm256_setzero_ps ();
    __m256 s =
        load_scales (w->records + r * w->records_apart + k / GROUP, count / GROUP, dtype, &zero);
    if (dtype == ALLAVA_DTYPE_Q4)
      zeros[r] = _mm256_fmadd_ps (s * zero, _mm256_loadu_ps (x->sums + k / GROUP), zeros[r]);
    scales[r] = s * _mm256_loadu_ps (x->scales + k / GROUP);
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < BLOCK_GROUPS * GROUP; i += columns) {
    if (i >= count)
      break;
#pragma GCC unroll 4
    for (size_t r = 0; r < rows; r++) {
      const uint8_t *p = w->values + r * w->values_apart + (k + i) * 32 / columns;
      _mm_prefetch (p + STREAM_AHEAD, _MM_HINT_T0);
      if (dtype == ALLAVA_DTYPE_Q4)
        sums[r] = add_q4 (load_group (p), x, k + i, scales[r], (int)(i / GROUP), sums[r]);
      else
        sums[r] = add_q8 (load_group (p), x, k + i, scales[r], (int)(i / GROUP), sums[r]);
    }
  }
}

#endif

/* ---- Rows ------------------------------------------------------------------------------------ */

#ifdef __AVX512VNNI__
typedef vf Sum;
#define sum_zero() vf_set (0.f)
#define sum_up vf_sum
#else
typedef __m256 Sum;
#define sum_zero _mm256_setzero_ps
ALWAYS_INLINE float
sum_up (__m256 x)
{
  __m128 s = _mm_add_ps (_mm256_castps256_ps128 (x), _mm256_extractf128_ps (x, 1));
  s = _mm_add_ps (s, _mm_movehl_ps (s, s));
  return _mm_cvtss_f32 (_mm_add_ss (s, _mm_movehdup_ps (s)));
}
#endif

/* ROWS outputs from COLUMN on, APART columns apart, of row I of x. */
ALWAYS_INLINE void
stream_group (const AllavaLinear *op,
              AllavaDtype dtype,
              const AllavaByteRow *x,
              size_t i,
              size_t column,
              size_t rows,
              size_t apart)
{
  const size_t step = BLOCK_GROUPS * GROUP;
  const AllavaMatrix *matrix = op->matrix;
  size_t n_in = matrix->n_in, bytes = allava_quant_row_bytes (dtype, n_in), groups = n_in / GROUP;
  Rows w = {(const uint8_t *)matrix->data + column * bytes, apart * bytes,
            matrix->records + column * groups, apart * groups};
  Sum sums[STREAM_R], zeros[STREAM_R];
  for (size_t r = 0; r < rows; r++)
    sums[r] = zeros[r] = sum_zero ();
  size_t k = 0;
  for (; k + step <= n_in; k += step)
    dot_block (&w, dtype, rows, x, k, step, sums, zeros);
  if (k < n_in)
    dot_block (&w, dtype, rows, x, k, n_in - k, sums, zeros);

  for (size_t r = 0; r < rows; r++) {
    size_t at = column + r * apart;
    float *y = op->y + i * op->y_stride + at;
    if (dtype == ALLAVA_DTYPE_Q4)
      sums[r] = 8.f * sums[r] - zeros[r];
    float dot = sum_up (sums[r]);
    dot += matrix->bias != NULL ? matrix->bias[at] : 0.f;
    *y = op->accumulate ? *y + dot : dot;
  }
}

/* Rows of x come one after the other: the weights then are in the cache. */
ALWAYS_INLINE void
stream_dtype (const AllavaLinear *op,
              AllavaDtype dtype,
              const AllavaByteRow *x,
              size_t m,
              size_t start,
              size_t n)
{
  size_t apart = n / STREAM_R;
  for (size_t r = 0; r < apart; r++)
    for (size_t i = 0; i < m; i++)
      stream_group (op, dtype, &x[i], i, start + r, STREAM_R, apart);
  for (size_t r = STREAM_R * apart; r < n; r++)
    for (size_t i = 0; i < m; i++)
      stream_group (op, dtype, &x[i], i, start + r, 1, 0);
}

void
stream_quantized (const AllavaLinear *op, const AllavaByteRow *x, size_t m, size_t start, size_t n)
{
  if (op->matrix->dtype == ALLAVA_DTYPE_Q8)
    stream_dtype (op, ALLAVA_DTYPE_Q8, x, m, start, n);
  else
    stream_dtype (op, ALLAVA_DTYPE_Q4, x, m, start, n);
  for (size_t i = 0; i < m; i++)
    activate_row (op->y + i * op->y_stride + start, n, op->activation);
}
