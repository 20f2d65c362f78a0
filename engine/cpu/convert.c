#include "cpu-private.h"
#include <string.h>

/* Conversions for a CPU below the floor, where a file may be read but no model runs. */

static float
float_from_bits (uint32_t bits)
{
  float x;
  memcpy (&x, &bits, sizeof x);
  return x;
}

static uint32_t
bits_from_float (float x)
{
  uint32_t bits;
  memcpy (&bits, &x, sizeof bits);
  return bits;
}

/* Exponent and mantissa move into place; the factor 2^112 corrects the bias, denormals included. */
static float
widen_f16 (uint16_t h)
{
  uint32_t sign = (uint32_t)(h & 0x8000) << 16;
  uint32_t rest = (uint32_t)(h & 0x7fff) << 13;
  if ((h & 0x7c00) == 0x7c00) /* infinity, or NaN made quiet */
    return float_from_bits (sign | 0x7f800000 | rest | (h & 0x3ff ? 0x400000 : 0));
  return float_from_bits (sign | bits_from_float (float_from_bits (rest) * 0x1p112f));
}

/* After F. Giesen: the additions make the FPU round to nearest even at the right bit. */
static uint16_t
narrow_f16 (float x)
{
  uint32_t bits = bits_from_float (x);
  uint32_t sign = (bits >> 16) & 0x8000;
  bits &= 0x7fffffff;
  if (bits > 0x7f800000) /* NaN */
    return (uint16_t)(sign | 0x7e00 | ((bits >> 13) & 0x3ff));
  if (bits >= 0x47800000) /* 65536 and more */
    return (uint16_t)(sign | 0x7c00);
  if (bits < 0x38800000) /* below the least normal half: 0.5 has denormal halves as its last bits */
    return (uint16_t)(sign | (bits_from_float (float_from_bits (bits) + 0.5f) - 0x3f000000));
  return (uint16_t)(sign | ((bits - 0x38000000 + 0xfff + ((bits >> 13) & 1)) >> 13));
}

static uint16_t
narrow_bf16 (float x)
{
  uint32_t bits = bits_from_float (x);
  if (x != x)
    return (uint16_t)((bits >> 16) | 0x40);
  return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

void
allava_widen_plainly (const void *src, AllavaDtype dtype, size_t n, float *dst)
{
  for (size_t i = 0; i < n; i++) {
    uint16_t h;
    memcpy (&h, (const char *)src + i * sizeof h, sizeof h);
    dst[i] = dtype == ALLAVA_DTYPE_BF16 ? float_from_bits ((uint32_t)h << 16) : widen_f16 (h);
  }
}

void
allava_narrow_plainly (const float *src, AllavaDtype dtype, size_t n, void *dst)
{
  for (size_t i = 0; i < n; i++) {
    uint16_t h = dtype == ALLAVA_DTYPE_BF16 ? narrow_bf16 (src[i]) : narrow_f16 (src[i]);
    memcpy ((char *)dst + i * sizeof h, &h, sizeof h);
  }
}

void
allava_widen (const void *src, AllavaDtype dtype, size_t n, float *dst)
{
  if (dtype == ALLAVA_DTYPE_F32)
    memcpy (dst, src, n * sizeof *dst);
  else if (allava_isa_detect () >= ALLAVA_ISA_AVX2)
    allava_kernels_avx2.widen (src, dtype, n, dst);
  else
    allava_widen_plainly (src, dtype, n, dst);
}

void
allava_narrow (const float *src, AllavaDtype dtype, size_t n, void *dst)
{
  if (dtype == ALLAVA_DTYPE_F32)
    memcpy (dst, src, n * sizeof *src);
  else if (allava_isa_detect () >= ALLAVA_ISA_AVX2)
    allava_kernels_avx2.narrow (src, dtype, n, dst);
  else
    allava_narrow_plainly (src, dtype, n, dst);
}

size_t
allava_dtype_size (AllavaDtype dtype)
{
  return dtype == ALLAVA_DTYPE_F32 ? 4 : 2;
}
