/* simd.h - vectors of f32 in the widest registers that this translation unit is compiled for. The
 * kernels are written once on these few operations and compiled once for each instruction set. */
#pragma once

#include "cpu-private.h"
#include <immintrin.h>
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__ ((always_inline))

/* What several files of one instruction set share has a name of its own in each. */
#if defined(__AVX512BF16__)
#define NAME(name) allava_##name##_avx512_bf16
#elif defined(__AVX512VNNI__)
#define NAME(name) allava_##name##_avx512_vnni
#elif defined(__AVX512F__)
#define NAME(name) allava_##name##_avx512
#else
#define NAME(name) allava_##name##_avx2
#endif

/* LANES: floats in a vector. MR rows of NV vectors: the tile that the multiplier keeps in
 * registers. STREAM_M: rows of x that the streaming product keeps sums of. */
#ifdef __AVX512F__

typedef __m512 vf;
enum { LANES = 16, MR = 14, NV = 2, STREAM_M = 4 };

ALWAYS_INLINE vf
vf_set (float x)
{
  return _mm512_set1_ps (x);
}

ALWAYS_INLINE vf
vf_load (const float *p)
{
  return _mm512_loadu_ps (p);
}

ALWAYS_INLINE void
vf_store (float *p, vf x)
{
  _mm512_storeu_ps (p, x);
}

/* The first N < LANES values; the others are 0. */
ALWAYS_INLINE vf
vf_load_some (const float *p, size_t n)
{
  return _mm512_maskz_loadu_ps ((__mmask16)((1u << n) - 1), p);
}

ALWAYS_INLINE void
vf_store_some (float *p, size_t n, vf x)
{
  _mm512_mask_storeu_ps (p, (__mmask16)((1u << n) - 1), x);
}

ALWAYS_INLINE vf
vf_fma (vf a, vf b, vf c)
{
  return _mm512_fmadd_ps (a, b, c);
}

/* Where either is NaN, the second. */
ALWAYS_INLINE vf
vf_max (vf a, vf b)
{
  return _mm512_max_ps (a, b);
}

ALWAYS_INLINE vf
vf_min (vf a, vf b)
{
  return _mm512_min_ps (a, b);
}

ALWAYS_INLINE float
vf_sum (vf x)
{
  return _mm512_reduce_add_ps (x);
}

ALWAYS_INLINE float
vf_greatest (vf x)
{
  return _mm512_reduce_max_ps (x);
}

ALWAYS_INLINE vf
vf_round (vf x)
{
  return _mm512_roundscale_ps (x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* x * 2^n for whole n. */
ALWAYS_INLINE vf
vf_scale (vf x, vf n)
{
  return _mm512_scalef_ps (x, n);
}

ALWAYS_INLINE vf
vf_abs (vf x)
{
  return _mm512_abs_ps (x);
}

/* |x| with the sign of S, for x >= 0. */
ALWAYS_INLINE vf
vf_with_sign (vf x, vf s)
{
  return _mm512_or_ps (x, _mm512_and_ps (s, vf_set (-0.f)));
}

/* a > b ? x : y */
ALWAYS_INLINE vf
vf_if_greater (vf a, vf b, vf x, vf y)
{
  return _mm512_mask_blend_ps (_mm512_cmp_ps_mask (a, b, _CMP_GT_OQ), y, x);
}

ALWAYS_INLINE vf
vf_from_bf16 (__m256i x)
{
  return _mm512_castsi512_ps (_mm512_slli_epi32 (_mm512_cvtepu16_epi32 (x), 16));
}

ALWAYS_INLINE vf
vf_from_f16 (__m256i x)
{
  return _mm512_cvtph_ps (x);
}

typedef __m256i vhalf; /* LANES 16-bit values */

ALWAYS_INLINE vhalf
vhalf_load (const void *p)
{
  return _mm256_loadu_si256 (p);
}

ALWAYS_INLINE vhalf
vhalf_load_some (const void *p, size_t n)
{
  return _mm256_maskz_loadu_epi16 ((__mmask16)((1u << n) - 1), p);
}

ALWAYS_INLINE void
vhalf_store (void *p, vhalf x)
{
  _mm256_storeu_si256 (p, x);
}

ALWAYS_INLINE vhalf
vhalf_f16 (vf x)
{
  return _mm512_cvtps_ph (x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* Rows to columns. */
ALWAYS_INLINE void
vf_transpose (vf r[LANES])
{
  vf t[LANES];
#pragma GCC unroll 16
  for (int i = 0; i < LANES; i += 2) {
    t[i] = _mm512_unpacklo_ps (r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps (r[i], r[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < LANES; i += 4)
    for (int j = 0; j < 2; j++) {
      __m512d a = _mm512_castps_pd (t[i + j]);
      __m512d b = _mm512_castps_pd (t[i + j + 2]);
      r[i + 2 * j] = _mm512_castpd_ps (_mm512_unpacklo_pd (a, b));
      r[i + 2 * j + 1] = _mm512_castpd_ps (_mm512_unpackhi_pd (a, b));
    }
    /* r[4 g + c] now holds, in its 128-bit part p, column 4 p + c of rows 4 g to 4 g + 3. */
#pragma GCC unroll 16
  for (int c = 0; c < 4; c++) {
    vf low = _mm512_shuffle_f32x4 (r[c], r[4 + c], 0x88);
    vf high = _mm512_shuffle_f32x4 (r[c], r[4 + c], 0xdd);
    vf low2 = _mm512_shuffle_f32x4 (r[8 + c], r[12 + c], 0x88);
    vf high2 = _mm512_shuffle_f32x4 (r[8 + c], r[12 + c], 0xdd);
    t[c] = _mm512_shuffle_f32x4 (low, low2, 0x88);
    t[8 + c] = _mm512_shuffle_f32x4 (low, low2, 0xdd);
    t[4 + c] = _mm512_shuffle_f32x4 (high, high2, 0x88);
    t[12 + c] = _mm512_shuffle_f32x4 (high, high2, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < LANES; i++)
    r[i] = t[i];
}

#else /* AVX2, FMA, F16C */

typedef __m256 vf;
enum { LANES = 8, MR = 6, NV = 2, STREAM_M = 2 };

ALWAYS_INLINE vf
vf_set (float x)
{
  return _mm256_set1_ps (x);
}

ALWAYS_INLINE vf
vf_load (const float *p)
{
  return _mm256_loadu_ps (p);
}

ALWAYS_INLINE void
vf_store (float *p, vf x)
{
  _mm256_storeu_ps (p, x);
}

ALWAYS_INLINE __m256i
first_lanes (size_t n)
{
  return _mm256_cmpgt_epi32 (_mm256_set1_epi32 ((int)n),
                             _mm256_setr_epi32 (0, 1, 2, 3, 4, 5, 6, 7));
}

ALWAYS_INLINE vf
vf_load_some (const float *p, size_t n)
{
  return _mm256_maskload_ps (p, first_lanes (n));
}

ALWAYS_INLINE void
vf_store_some (float *p, size_t n, vf x)
{
  _mm256_maskstore_ps (p, first_lanes (n), x);
}

ALWAYS_INLINE vf
vf_fma (vf a, vf b, vf c)
{
  return _mm256_fmadd_ps (a, b, c);
}

ALWAYS_INLINE vf
vf_max (vf a, vf b)
{
  return _mm256_max_ps (a, b);
}

ALWAYS_INLINE vf
vf_min (vf a, vf b)
{
  return _mm256_min_ps (a, b);
}

ALWAYS_INLINE float
vf_sum (vf x)
{
  __m128 s = _mm_add_ps (_mm256_castps256_ps128 (x), _mm256_extractf128_ps (x, 1));
  s = _mm_add_ps (s, _mm_movehl_ps (s, s));
  return _mm_cvtss_f32 (_mm_add_ss (s, _mm_movehdup_ps (s)));
}

ALWAYS_INLINE float
vf_greatest (vf x)
{
  __m128 s = _mm_max_ps (_mm256_castps256_ps128 (x), _mm256_extractf128_ps (x, 1));
  s = _mm_max_ps (s, _mm_movehl_ps (s, s));
  return _mm_cvtss_f32 (_mm_max_ss (s, _mm_movehdup_ps (s)));
}

ALWAYS_INLINE vf
vf_round (vf x)
{
  return _mm256_round_ps (x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* In two factors, since 2^n alone may be out of range where x * 2^n is not. */
ALWAYS_INLINE vf
vf_scale (vf x, vf n)
{
  __m256i whole = _mm256_cvtps_epi32 (n);
  __m256i half = _mm256_srai_epi32 (whole, 1);
  __m256i one = _mm256_set1_epi32 (127);
  __m256i a = _mm256_slli_epi32 (_mm256_add_epi32 (half, one), 23);
  __m256i b = _mm256_slli_epi32 (_mm256_add_epi32 (_mm256_sub_epi32 (whole, half), one), 23);
  return x * _mm256_castsi256_ps (a) * _mm256_castsi256_ps (b);
}

ALWAYS_INLINE vf
vf_abs (vf x)
{
  return _mm256_andnot_ps (vf_set (-0.f), x);
}

ALWAYS_INLINE vf
vf_with_sign (vf x, vf s)
{
  return _mm256_or_ps (x, _mm256_and_ps (s, vf_set (-0.f)));
}

ALWAYS_INLINE vf
vf_if_greater (vf a, vf b, vf x, vf y)
{
  return _mm256_blendv_ps (y, x, _mm256_cmp_ps (a, b, _CMP_GT_OQ));
}

ALWAYS_INLINE vf
vf_from_bf16 (__m128i x)
{
  return _mm256_castsi256_ps (_mm256_slli_epi32 (_mm256_cvtepu16_epi32 (x), 16));
}

ALWAYS_INLINE vf
vf_from_f16 (__m128i x)
{
  return _mm256_cvtph_ps (x);
}

typedef __m128i vhalf;

ALWAYS_INLINE vhalf
vhalf_load (const void *p)
{
  return _mm_loadu_si128 (p);
}

ALWAYS_INLINE vhalf
vhalf_load_some (const void *p, size_t n)
{
  uint16_t some[LANES] = {0};
  memcpy (some, p, n * sizeof some[0]);
  return vhalf_load (some);
}

ALWAYS_INLINE void
vhalf_store (void *p, vhalf x)
{
  _mm_storeu_si128 (p, x);
}

ALWAYS_INLINE vhalf
vhalf_f16 (vf x)
{
  return _mm256_cvtps_ph (x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

ALWAYS_INLINE void
vf_transpose (vf r[LANES])
{
  vf t[LANES];
#pragma GCC unroll 8
  for (int i = 0; i < LANES; i += 2) {
    t[i] = _mm256_unpacklo_ps (r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps (r[i], r[i + 1]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < LANES; i += 4)
    for (int j = 0; j < 2; j++) {
      r[i + 2 * j] = _mm256_shuffle_ps (t[i + j], t[i + j + 2], 0x44);
      r[i + 2 * j + 1] = _mm256_shuffle_ps (t[i + j], t[i + j + 2], 0xee);
    }
#pragma GCC unroll 8
  for (int c = 0; c < 4; c++) {
    t[c] = _mm256_permute2f128_ps (r[c], r[4 + c], 0x20);
    t[4 + c] = _mm256_permute2f128_ps (r[c], r[4 + c], 0x31);
  }
#pragma GCC unroll 8
  for (int i = 0; i < LANES; i++)
    r[i] = t[i];
}

#endif

/* a + b, where C's + will not do: its result is not quite a vf to the ?: operator. */
ALWAYS_INLINE vf
vf_add (vf a, vf b)
{
  return a + b;
}

enum { NR = NV * LANES }; /* outputs in a panel of packed weights */

/* Up to LANES values of any dtype, widened. DTYPE is a constant where this is used. */
ALWAYS_INLINE vf
vf_load_as (const void *p, AllavaDtype dtype)
{
  if (dtype == ALLAVA_DTYPE_F32)
    return vf_load (p);
  return dtype == ALLAVA_DTYPE_BF16 ? vf_from_bf16 (vhalf_load (p)) : vf_from_f16 (vhalf_load (p));
}

ALWAYS_INLINE vf
vf_load_some_as (const void *p, size_t n, AllavaDtype dtype)
{
  if (dtype == ALLAVA_DTYPE_F32)
    return vf_load_some (p, n);
  vhalf x = vhalf_load_some (p, n);
  return dtype == ALLAVA_DTYPE_BF16 ? vf_from_bf16 (x) : vf_from_f16 (x);
}

ALWAYS_INLINE size_t
dtype_size (AllavaDtype dtype)
{
  return dtype == ALLAVA_DTYPE_F32 ? 4 : 2;
}

/* e^x within 2 ulp, overflowing to infinity and underflowing to 0; NaN stays NaN. Cephes' expf. */
ALWAYS_INLINE vf
vf_exp (vf x)
{
  x = vf_min (vf_set (89.f), vf_max (vf_set (-104.f), x));
  vf n = vf_round (x * vf_set (1.44269504f));
  vf r = vf_fma (n, vf_set (-0.693359375f), x);
  r = vf_fma (n, vf_set (2.12194440e-4f), r);
  vf p = vf_set (1.9875691500e-4f);
  p = vf_fma (p, r, vf_set (1.3981999507e-3f));
  p = vf_fma (p, r, vf_set (8.3334519073e-3f));
  p = vf_fma (p, r, vf_set (4.1665795894e-2f));
  p = vf_fma (p, r, vf_set (1.6666665459e-1f));
  p = vf_fma (p, r, vf_set (5.0000001201e-1f));
  p = vf_fma (p, r * r, r) + vf_set (1.f);
  return vf_scale (p, n);
}
