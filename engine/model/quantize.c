/* quantize.c - rows of floats to q8 and q4; see quant.h.
 *
 * Compiled plainly, and once more for each instruction set under another name: LANES groups are
 * done side by side, each in the same order, so that every variant gives the same bits. */
#include "quant.h"
#include <float.h>
#include <immintrin.h>

#ifndef ALLAVA_QUANTIZE_ROW
#define ALLAVA_QUANTIZE_ROW allava_quantize_row
#endif

gboolean
ALLAVA_QUANTIZE_ROW (AllavaDtype dtype, const float *x, size_t n, void *values, uint16_t *records);

/* a < b ? a : b, and a > b ? a : b, lane by lane. */
#if defined(__AVX512F__)
enum { LANES = 16 };
typedef __m512 Vector;
#define LEAST _mm512_min_ps
#define GREATEST _mm512_max_ps
#elif defined(__AVX2__)
enum { LANES = 8 };
typedef __m256 Vector;
#define LEAST _mm256_min_ps
#define GREATEST _mm256_max_ps
#else
enum { LANES = 4 };
typedef __m128 Vector;
#define LEAST _mm_min_ps
#define GREATEST _mm_max_ps
#endif

enum { GROUP = ALLAVA_QUANT_GROUP };

#define FOR_LANES for (int l = 0; l < LANES; l++)

/* One value of each of LANES groups. */
typedef union {
  Vector v;
  float f[LANES];
} Lanes;

typedef Lanes Block[GROUP];

/* To the nearest whole number, ties to even, for |x| < 2^22. */
#define NEAREST(x) (((x) + 0x1.8p23f) - 0x1.8p23f)

/* What the greatest q4 scale spans on one side. No model's weights come near. */
#define MOST 29760.f

/* LEFT groups of X, which lie one after the other; the other lanes are 0. FALSE where a value is
 * not finite. */
static gboolean
read_block (const float *x, size_t left, Block block)
{
  float poison = 0; /* 0 * infinity is NaN */
  for (size_t l = 0; l < LANES; l++)
    for (size_t i = 0; i < GROUP; i++) {
      float value = l < left ? x[l * GROUP + i] : 0;
      poison += value * 0;
      block[i].f[l] = CLAMP (value, -MOST, MOST);
    }
  return poison == 0;
}

/* ---- q8 -------------------------------------------------------------------------------------- */

/* The nearest f16, for 0 <= x <= 65504, after F. Giesen: adding 0.5 rounds a denormal half. */
static inline uint16_t
narrow (float x)
{
  gboolean denormal = x < 0x1p-14f;
  uint32_t bits;
  x = denormal ? x + 0.5f : x;
  memcpy (&bits, &x, sizeof bits);
  uint32_t rounded = (bits - (112u << 23) + 0xfff + ((bits >> 13) & 1)) >> 13;
  return (uint16_t)(denormal ? bits - 0x3f000000 : rounded);
}

static void
quantize_q8 (Block x, int8_t q[LANES][GROUP], uint16_t records[LANES])
{
  Lanes most = {{0}}, inverse;
  for (int i = 0; i < GROUP; i++)
    most.v = GREATEST (most.v, GREATEST (x[i].v, -x[i].v));
  FOR_LANES
  {
    records[l] = narrow (most.f[l] / (127 * ALLAVA_QUANT_FACTOR));
    float scale = allava_quant_scale (ALLAVA_DTYPE_Q8, records[l]);
    inverse.f[l] = scale > 0 ? 1 / scale : 0;
  }
  const Vector limit = {0};
  for (int i = 0; i < GROUP; i++) {
    Lanes whole;
    whole.v = x[i].v * inverse.v;
    whole.v = LEAST (limit + 127, GREATEST (limit - 127, whole.v));
    whole.v = NEAREST (whole.v);
    FOR_LANES q[l][i] = (int8_t)whole.f[l];
  }
}

/* ---- q4 -------------------------------------------------------------------------------------- */

/* Scales tried, from the one that spans the whole range downwards; and for each, places where the
 * range that is cut off may lie: all at one end, to all at the other, and a little beyond. Together
 * they come within 1 % of the error of a search that tries everything. */
enum { SCALES = 5, PLACES = 7 };

/* Codes of scales, the high 9 bits of a record. Those of denormal f16 are not used. */
enum { CODE_MIN = 16, CODE_MAX = 31 * 16 - 1 };

static inline float
scale_of_code (int32_t code)
{
  uint32_t bits = (uint32_t)(code << 19) + ((127u - 15 - 8) << 23);
  float scale;
  memcpy (&scale, &bits, sizeof scale);
  return scale;
}

/* The least code whose scale is not below SCALE >= 0. */
static inline int32_t
code_above (float scale)
{
  uint32_t bits;
  memcpy (&bits, &scale, sizeof bits);
  int32_t code = (int32_t)((bits + 0x7ffff) >> 19) - ((127 - 15 - 8) << 4);
  return CLAMP (code, CODE_MIN, CODE_MAX);
}

typedef struct {
  Lanes least, greatest; /* 0 among them */
  float error[LANES];    /* squared, of the best so far */
  int32_t code[LANES];
  Lanes zero;
} Search;

/* The values' places q for a scale and a zero, in [0, 15]; VALUE is in eighths of a step. */
#define PLACE(value, zero, none)                                                                   \
  NEAREST (LEAST ((none) + 15, GREATEST (none, ((value) + (zero)) * 0.125f)))

/* With the q that ZERO gives, finds the zero that fits them best, and keeps it if it is better.
 * X is in units of the scale that CODE stands for. */
static void
try_zero (Block x, const int32_t code[LANES], const Lanes *zero, Search *best)
{
  const Vector none = {0};
  Vector sum = none, squares = none;
  for (int i = 0; i < GROUP; i++) {
    Vector off = 8 * PLACE (x[i].v, zero->v, none) - zero->v - x[i].v;
    sum += off;
    squares += off * off;
  }
  Vector better = zero->v + sum * (1.f / GROUP);
  better = NEAREST (better);
  better = LEAST (none + 127, GREATEST (none, better));
  Vector by = better - zero->v;
  Lanes error = {squares - 2 * by * sum + GROUP * by * by}, found = {better};
  FOR_LANES
  {
    float scale = scale_of_code (code[l]), size = error.f[l] * scale * scale;
    gboolean wins = size < best->error[l];
    best->error[l] = wins ? size : best->error[l];
    best->code[l] = wins ? code[l] : best->code[l];
    best->zero.f[l] = wins ? found.f[l] : best->zero.f[l];
  }
}

/* The scale STEP codes below the one that spans the whole range, with a few zeros. */
static void
try_scale (Block x, int step, Search *best)
{
  const Vector none = {0};
  Lanes inverse, zero;
  int32_t code[LANES];
  Block units;
  FOR_LANES
  {
    code[l] = code_above ((best->greatest.f[l] - best->least.f[l]) * (1.f / 120)) - step;
    code[l] = MAX (code[l], CODE_MIN);
    inverse.f[l] = 1 / scale_of_code (code[l]);
  }
  for (int i = 0; i < GROUP; i++)
    units[i].v = x[i].v * inverse.v;
  Vector low = -best->least.v * inverse.v, high = 120 - best->greatest.v * inverse.v;
  for (int p = 0; p < PLACES; p++) {
    float part = (float)p * 0.2f - 0.1f;
    zero.v = low * part + high * (1 - part);
    zero.v = LEAST (none + 127, GREATEST (none, zero.v));
    zero.v = NEAREST (zero.v);
    try_zero (units, code, &zero, best);
  }
}

static void
quantize_q4 (Block x, uint8_t q[LANES][GROUP], uint16_t records[LANES])
{
  const Vector none = {0};
  Search best = {0};
  Lanes inverse, whole;
  for (int i = 0; i < GROUP; i++) {
    best.least.v = LEAST (best.least.v, x[i].v);
    best.greatest.v = GREATEST (best.greatest.v, x[i].v);
  }
  FOR_LANES best.error[l] = FLT_MAX;
  for (int step = 0; step < SCALES; step++)
    try_scale (x, step, &best);
  FOR_LANES inverse.f[l] = 1 / scale_of_code (best.code[l]);
  FOR_LANES records[l] = (uint16_t)(best.code[l] << 7 | (int32_t)best.zero.f[l]);
  for (int i = 0; i < GROUP; i++) {
    whole.v = x[i].v * inverse.v;
    whole.v = PLACE (whole.v, best.zero.v, none);
    FOR_LANES q[l][i] = (uint8_t)whole.f[l];
  }
}

/* Two groups to the low and the high nibbles of GROUP bytes. */
static void
pack_nibbles (const uint8_t q[2][GROUP], uint8_t packed[GROUP])
{
  for (int i = 0; i < GROUP; i++)
    packed[i] = (uint8_t)(q[0][i] | q[1][i] << 4);
}

/* ---- A row ----------------------------------------------------------------------------------- */

gboolean
ALLAVA_QUANTIZE_ROW (AllavaDtype dtype, const float *x, size_t n, void *values, uint16_t *records)
{
  g_assert (allava_dtype_is_quantized (dtype));
  for (size_t k = 0; k < n; k += GROUP * LANES) {
    size_t left = MIN (LANES, (n - k) / GROUP);
    Block block;
    uint16_t found[LANES];
    if (!read_block (x + k, left, block))
      return FALSE;
    if (dtype == ALLAVA_DTYPE_Q8) {
      int8_t q[LANES][GROUP];
      quantize_q8 (block, q, found);
      memcpy ((int8_t *)values + k, q, left * GROUP);
    } else {
      uint8_t q[LANES][GROUP];
      quantize_q4 (block, q, found);
      for (size_t i = 0; i + 1 < left; i += 2)
        pack_nibbles (&q[i], (uint8_t *)values + (k + i * GROUP) / 2);
    }
    memcpy (records + k / GROUP, found, left * sizeof found[0]);
  }
  return TRUE;
}
