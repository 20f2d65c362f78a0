/* quantize.c - rows of floats to q8 and q4; see quant.h.
 *
 * Compiled plainly, and once more for each instruction set under another name: all loops run over
 * LANES groups side by side, each in the same order, so that every variant gives the same bits. */
#include "quant.h"
#include <float.h>

#ifndef ALLAVA_QUANTIZE_ROW
#define ALLAVA_QUANTIZE_ROW allava_quantize_row
#endif

gboolean
ALLAVA_QUANTIZE_ROW (AllavaDtype dtype, const float *x, size_t n, void *values, uint16_t *records);

enum { GROUP = ALLAVA_QUANT_GROUP, LANES = 16 };

/* Value i of LANES groups. */
typedef float Block[GROUP][LANES];

#define FOR_LANES for (int l = 0; l < LANES; l++)

static inline float
least (float a, float b)
{
  return a < b ? a : b;
}

static inline float
greatest (float a, float b)
{
  return a > b ? a : b;
}

/* To the nearest whole number, ties to even, for |x| < 2^22. */
static inline float
nearest (float x)
{
  return (x + 0x1.8p23f) - 0x1.8p23f;
}

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
      block[i][l] = least (MOST, greatest (-MOST, value));
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
  float inverse[LANES], scale[LANES] = {0};
  for (int i = 0; i < GROUP; i++)
    FOR_LANES scale[l] = greatest (scale[l], x[i][l] < 0 ? -x[i][l] : x[i][l]);
  FOR_LANES
  {
    records[l] = narrow (least (scale[l] / (127 * ALLAVA_QUANT_FACTOR), 65504));
    scale[l] = allava_quant_scale (ALLAVA_DTYPE_Q8, records[l]);
    inverse[l] = scale[l] > 0 ? 1 / scale[l] : 0;
  }
  for (int i = 0; i < GROUP; i++)
    FOR_LANES q[l][i] = (int8_t)nearest (least (127, greatest (-127, x[i][l] * inverse[l])));
}

/* ---- q4 -------------------------------------------------------------------------------------- */

/* Scales tried, from the one that spans the whole range downwards; and for each, places where the
 * range that is cut off may lie: all at one end, to all at the other. */
enum { SCALES = 7, PLACES = 5 };

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
  float least[LANES], greatest[LANES]; /* 0 among them */
  float error[LANES];                  /* squared, of the best so far */
  int32_t code[LANES];
  float zero[LANES];
} Search;

/* The values' places q for a scale and a zero, in [0, 15]. */
static inline float
place (float units, float zero)
{
  return nearest (least (15, greatest (0, (units + zero) * 0.125f)));
}

/* With the q that ZERO gives, finds the zero that fits them best, and keeps it if it is better. */
static void
try_zero (
    Block x, const float inverse[LANES], const int32_t code[LANES], float zero[LANES], Search *best)
{
  float sum[LANES] = {0}, squares[LANES] = {0};
  for (int i = 0; i < GROUP; i++)
    FOR_LANES
    {
      float units = x[i][l] * inverse[l];
      float off = 8 * place (units, zero[l]) - zero[l] - units;
      sum[l] += off;
      squares[l] += off * off;
    }
  FOR_LANES
  {
    float better = least (127, greatest (0, nearest (zero[l] + sum[l] * (1.f / GROUP))));
    float by = better - zero[l], scale = scale_of_code (code[l]);
    float error = (squares[l] - 2 * by * sum[l] + GROUP * by * by) * scale * scale;
    gboolean wins = error < best->error[l];
    best->error[l] = wins ? error : best->error[l];
    best->code[l] = wins ? code[l] : best->code[l];
    best->zero[l] = wins ? better : best->zero[l];
  }
}

static void
search_block (Block x, Search *best)
{
  *best = (Search){0};
  for (int i = 0; i < GROUP; i++)
    FOR_LANES
    {
      best->least[l] = least (best->least[l], x[i][l]);
      best->greatest[l] = greatest (best->greatest[l], x[i][l]);
    }
  FOR_LANES best->error[l] = FLT_MAX;
  for (int step = 0; step < SCALES; step++) {
    float inverse[LANES], zero[LANES];
    int32_t code[LANES];
    FOR_LANES
    {
      code[l] = code_above ((best->greatest[l] - best->least[l]) * (1.f / 120)) - step;
      code[l] = MAX (code[l], CODE_MIN);
      inverse[l] = 1 / scale_of_code (code[l]);
    }
    for (int p = 0; p < PLACES; p++) {
      float part = (float)(2 * p + 1) / (2 * PLACES);
      FOR_LANES
      {
        float low = -best->least[l] * inverse[l], high = 120 - best->greatest[l] * inverse[l];
        float between = low * part + high * (1 - part);
        zero[l] = nearest (least (127, greatest (0, between)));
      }
      try_zero (x, inverse, code, zero, best);
    }
  }
}

static void
quantize_q4 (Block x, uint8_t q[LANES][GROUP], uint16_t records[LANES])
{
  Search best;
  float inverse[LANES];
  search_block (x, &best);
  FOR_LANES inverse[l] = 1 / scale_of_code (best.code[l]);
  FOR_LANES records[l] = (uint16_t)(best.code[l] << 7 | (int32_t)best.zero[l]);
  for (int i = 0; i < GROUP; i++)
    FOR_LANES q[l][i] = (uint8_t)place (x[i][l] * inverse[l], best.zero[l]);
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
    _Alignas(64) Block block;
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
