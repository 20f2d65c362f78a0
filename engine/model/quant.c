/* quant.c - what quantised weights are made of; quantize.c makes them. */
#include "quant.h"

AllavaDtype
allava_quant_choose (AllavaDtype asked, AllavaPart part, size_t n_in)
{
  g_assert (allava_dtype_is_quantized (asked));
  if (part == ALLAVA_PART_OTHER)
    return ALLAVA_DTYPE_BF16;
  if (asked == ALLAVA_DTYPE_Q4 && part == ALLAVA_PART_DECODER &&
      n_in % (2 * ALLAVA_QUANT_GROUP) == 0)
    return ALLAVA_DTYPE_Q4;
  return n_in % ALLAVA_QUANT_GROUP == 0 ? ALLAVA_DTYPE_Q8 : ALLAVA_DTYPE_BF16;
}

size_t
allava_quant_row_bytes (AllavaDtype dtype, size_t n_in)
{
  return dtype == ALLAVA_DTYPE_Q4 ? n_in / 2 : n_in;
}

size_t
allava_quant_row_groups (size_t n_in)
{
  return n_in / ALLAVA_QUANT_GROUP;
}

static void
dequantize_group (AllavaDtype dtype, const uint8_t *values, size_t group, uint16_t record, float *x)
{
  float scale = allava_quant_scale (dtype, record);
  const uint8_t *pair = values + group / 2 * ALLAVA_QUANT_GROUP; /* of a q4 row */
  for (size_t i = 0; i < ALLAVA_QUANT_GROUP; i++)
    if (dtype == ALLAVA_DTYPE_Q8)
      x[i] = scale * (int8_t)values[group * ALLAVA_QUANT_GROUP + i];
    else
      x[i] = scale * (8 * (pair[i] >> group % 2 * 4 & 15) - allava_quant_zero (record));
}

void
allava_dequantize_row (
    AllavaDtype dtype, const void *values, const uint16_t *records, size_t n, float *x)
{
  for (size_t group = 0; group < n / ALLAVA_QUANT_GROUP; group++)
    dequantize_group (dtype, values, group, records[group], x + group * ALLAVA_QUANT_GROUP);
}

gboolean
allava_quant_check_records (AllavaDtype dtype, const void *records, size_t n)
{
  uint16_t limit = dtype == ALLAVA_DTYPE_Q8 ? 0x7c00 : 0xf800; /* infinity */
  uint16_t most = 0;
  for (size_t i = 0; i < n; i++) {
    uint16_t record;
    memcpy (&record, (const char *)records + i * sizeof record, sizeof record);
    most = MAX (most, record);
  }
  return most < limit;
}
