#include "simd-kernels.h"
#include <math.h>

/* Sum of (x - shift) or, squared, of (x - shift)^2, in four strands. */
ALWAYS_INLINE float
sum_row (const float *x, size_t n, float shift, gboolean squared)
{
  vf sums[4] = {vf_set (0.f), vf_set (0.f), vf_set (0.f), vf_set (0.f)};
  size_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES)
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
      vf d = vf_load (x + i + j * LANES) - vf_set (shift);
      sums[j] = squared ? vf_fma (d, d, sums[j]) : vf_add (sums[j], d);
    }
  for (; i + LANES <= n; i += LANES) {
    vf d = vf_load (x + i) - vf_set (shift);
    sums[0] = squared ? vf_fma (d, d, sums[0]) : vf_add (sums[0], d);
  }
  float sum = vf_sum ((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < n; i++) {
    float d = x[i] - shift;
    sum += squared ? d * d : d;
  }
  return sum;
}

static void
layer_norm (const float *x, size_t n, const float *weight, const float *bias, float eps, float *y)
{
  float mean = sum_row (x, n, 0.f, FALSE) / (float)n;
  float variance = sum_row (x, n, mean, TRUE) / (float)n;
  float scale = 1.f / sqrtf (variance + eps);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    vf d = (vf_load (x + i) - vf_set (mean)) * vf_set (scale);
    vf b = bias != NULL ? vf_load (bias + i) : vf_set (0.f);
    vf_store (y + i, vf_fma (d, vf_load (weight + i), b));
  }
  for (; i < n; i++)
    y[i] = fmaf ((x[i] - mean) * scale, weight[i], bias != NULL ? bias[i] : 0.f);
}

static void
widen (const void *src, AllavaDtype dtype, size_t n, float *dst)
{
  const char *p = src;
  size_t i = 0;
  for (; i + LANES <= n; i += LANES, p += LANES * dtype_size (dtype))
    vf_store (dst + i, vf_load_as (p, dtype));
  if (i < n)
    vf_store_some (dst + i, n - i, vf_load_some_as (p, n - i, dtype));
}

/* To nearest even by integers: the CPU's own conversion takes denormals for 0. */
static uint16_t
round_to_bf16 (float x)
{
  uint32_t bits;
  memcpy (&bits, &x, sizeof bits);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return (uint16_t)(x == x ? rounded : (bits >> 16) | 0x40);
}

static void
narrow (const float *src, AllavaDtype dtype, size_t n, void *dst)
{
  uint16_t *p = dst;
  size_t i = 0;
  if (dtype == ALLAVA_DTYPE_BF16) {
    for (; i < n; i++)
      p[i] = round_to_bf16 (src[i]);
  } else {
    for (; i + LANES <= n; i += LANES)
      vhalf_store (p + i, vhalf_f16 (vf_load (src + i)));
    if (i < n) {
      uint16_t some[LANES];
      vhalf_store (some, vhalf_f16 (vf_load_some (src + i, n - i)));
      memcpy (p + i, some, (n - i) * sizeof some[0]);
    }
  }
}

static uint32_t
read_bytes (const void *data, size_t bytes)
{
  const char *p = data;
  __m256i bits[8] = {0};
  size_t i = 0;
  for (; i + sizeof bits <= bytes; i += sizeof bits)
#pragma GCC unroll 8
    for (size_t j = 0; j < 8; j++)
      bits[j] = _mm256_xor_si256 (bits[j], _mm256_loadu_si256 ((const __m256i *)(p + i) + j));
  uint32_t words[8], all = 0;
  for (size_t j = 0; j < 8; j++) {
    _mm256_storeu_si256 ((__m256i *)words, bits[j]);
    for (size_t w = 0; w < 8; w++)
      all ^= words[w];
  }
  for (; i < bytes; i++)
    all ^= (unsigned char)p[i];
  return all;
}

const AllavaKernels NAME (kernels) = {
    .stream = stream_linear,
    .round_row = round_activations,
    .stream_quant = stream_quantized,
    .pack_row = pack_activations,
    .multiply = multiply_linear,
#ifdef __AVX512VNNI__
    .pack_quads = pack_activation_quads,
    .multiply_quads = multiply_linear_quads,
#endif
    .attend = attend_many,
    .attend_one = attend_single,
    .layer_norm = layer_norm,
    .widen = widen,
    .narrow = narrow,
    .read = read_bytes,
};
