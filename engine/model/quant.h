/* quant.h - 8-bit and 4-bit weights: what they are, in memory and in a file.
 *
 * A matrix [n_out, n_in] is quantised along its rows, in groups of 32 consecutive values. It is two
 * streams, both row-major and without gaps: the values, and one 16-bit record for each group.
 *
 *   q8   8.5 bits a weight. Values: int8 [n_out, n_in]. Record: an f16 SCALE.
 *            w = 2^-8 scale q                             q in [-127, 127]
 *
 *   q4   4.5 bits a weight. Values: uint8 [n_out, n_in / 2]; of each 64 columns k .. k + 63, byte j
 *        (0 <= j < 32) holds column k + j in its low nibble and k + 32 + j in its high one, so that
 *        one group is the low nibbles of 32 bytes and the next the high ones.
 *        Record: its low 7 bits are ZERO, in eighths of a step; its high 9 bits are SCALE, the top
 *        9 bits below the sign of an f16, i.e. the f16 with bits (record >> 1) & 0x7fc0.
 *            w = 2^-8 scale (8 q - zero)                  q in [0, 15]
 *        8 q - zero lies in [-127, 120]: unpacked, a q4 matrix is a q8 matrix with other scales.
 *
 * The factor 2^-8 keeps the scales of usual weights among the normal f16. Scales are finite.
 * All integers and f16 are little-endian.
 *
 * A quantised file is safetensors. NAME.weight holds the values, as I8 [n_out, n_in] or
 * U8 [n_out, n_in / 2], and NAME.weight_scales the records, as F16 or U16 [n_out, n_in / 32]; all
 * other tensors are as in the checkpoint that it was made from, F32 matrices narrowed to BF16.
 * __metadata__ holds "allava_quantization": "q8" or "q4", and "allava_quantization_version": "1".
 */
#pragma once

#include "allava-engine.h"
#include <string.h>

#define ALLAVA_QUANT_GROUP 32
#define ALLAVA_QUANT_FACTOR 0x1p-8f
#define ALLAVA_QUANT_METADATA "allava_quantization"
#define ALLAVA_QUANT_VERSION "1"

static inline gboolean
allava_dtype_is_quantized (AllavaDtype dtype)
{
  return dtype == ALLAVA_DTYPE_Q8 || dtype == ALLAVA_DTYPE_Q4;
}

/* What a matrix is there for. */
typedef enum {
  ALLAVA_PART_DECODER, /* q, k, v, dense, fc1 and fc2 of the decoder's layers */
  ALLAVA_PART_HEAD,    /* lm_head, where it is not the embedding's own matrix */
  ALLAVA_PART_OTHER,   /* embedding, projector, vision tower */
} AllavaPart;

/* How a matrix of N_IN columns is kept where the model is asked for as Q8 or Q4: Q8, Q4, or BF16,
 * which stands for "in 16 bits: BF16 or F16 as it lies, F32 narrowed to BF16". The head is never
 * less than Q8. A Q4 row is whole pairs of groups, a Q8 row whole groups: other n_in take the next
 * wider format. */
AllavaDtype allava_quant_choose (AllavaDtype asked, AllavaPart part, size_t n_in);

size_t allava_quant_row_bytes (AllavaDtype dtype, size_t n_in); /* of values */
size_t allava_quant_row_groups (size_t n_in);                   /* records in a row */

/* N values of one row to their values and records. Q8 rounds to nearest; Q4 searches for the scale
 * and zero of the least squared error. The same bits on every machine. FALSE, with the output
 * undefined, where a value is not finite. */
gboolean
allava_quantize_row (AllavaDtype dtype, const float *x, size_t n, void *values, uint16_t *records);

/* And back. */
void allava_dequantize_row (
    AllavaDtype dtype, const void *values, const uint16_t *records, size_t n, float *x);

/* A record's scale, with the factor 2^-8; and a Q4 record's zero. */
static inline float
allava_quant_scale (AllavaDtype dtype, uint16_t record)
{
  uint32_t half = dtype == ALLAVA_DTYPE_Q8 ? record : (record >> 1) & 0x7fc0;
  uint32_t bits = half << 13;
  float scale;
  memcpy (&scale, &bits, sizeof scale);
  return scale * (0x1p112f * ALLAVA_QUANT_FACTOR); /* the exponents' biases differ by 112 */
}

static inline int
allava_quant_zero (uint16_t record)
{
  return record & 0x7f;
}

/* Whether all N records' scales are finite and not negative; RECORDS need not be aligned. */
gboolean allava_quant_check_records (AllavaDtype dtype, const void *records, size_t n);
