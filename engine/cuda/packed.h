/* packed.h - weights as they lie in a matrix, 16 bytes at a time, times floats. */
#pragma once

#include "platform.h"

/* ---- Records --------------------------------------------------------------------------------- */

/* Records of a row's groups, from vector V on. Steps are even numbers of vectors. */
struct NoRecords {
  __device__ __forceinline__ NoRecords (const CudaMatrix &m, size_t row, unsigned v) {}
  __device__ __forceinline__ uint32_t load (unsigned step) const { return 0; }
  __device__ __forceinline__ void advance (unsigned step) {}
};

/* One T for two vectors: the record of their group, or those of both their groups. */
template <typename T> struct PairRecords {
  const T *at;

  __device__ __forceinline__ PairRecords (const CudaMatrix &m, size_t row, unsigned v)
      : at ((const T *)(m.records + row * (m.stride / CUDA_GROUP)) + v / 2)
  {
  }
  __device__ __forceinline__ uint32_t load (unsigned step) const { return at[step / 2]; }
  __device__ __forceinline__ void advance (unsigned step) { at += step / 2; }
};

/* ---- Formats --------------------------------------------------------------------------------- */

/* N values in 16 bytes and the records of their groups. add() takes the I-th four of them times X
 * into SUM; those of each N / PARTS share a scale. */
struct WeightsF32 {
  enum { N = 4, PARTS = 1 };
  typedef NoRecords Records;
  static __device__ __forceinline__ void
  add (uint4 raw, uint32_t record, int i, float4 x, float &sum)
  {
    float w[N];
    unpack (raw, w);
    sum += (w[0] * x.x + w[1] * x.y) + (w[2] * x.z + w[3] * x.w);
  }
  static __device__ __forceinline__ float scale (uint32_t record, int part) { return 1.f; }
};

template <typename T> struct Weights16 {
  enum { N = 8, PARTS = 1 };
  typedef NoRecords Records;
  static __device__ __forceinline__ void
  add (uint4 raw, uint32_t record, int i, float4 x, float &sum)
  {
    float w[N];
    unpack<T> (raw, w);
    sum += w[4 * i] * x.x;
    sum += w[4 * i + 1] * x.y;
    sum += w[4 * i + 2] * x.z;
    sum += w[4 * i + 3] * x.w;
  }
  static __device__ __forceinline__ float scale (uint32_t record, int part) { return 1.f; }
};

#define QUANT_FACTOR 0.00390625f /* 2^-8 */

static __device__ __forceinline__ uint32_t
get_word (uint4 raw, int i)
{
  return i == 0 ? raw.x : i == 1 ? raw.y : i == 2 ? raw.z : raw.w;
}

#define TWO_23 0x4b000000u /* 2^23 as a float, whose last bit counts one */

/* Four unsigned bytes less BASE - 2^23, times X: without the unit that converts integers, of which
 * a processor has too few to keep up with a Hopper's memory. */
static __device__ __forceinline__ void
add_bytes (uint32_t bytes, float base, float4 x, float &sum)
{
  float w[4];
#pragma unroll
  for (int i = 0; i < 4; i++)
    w[i] = float_of_bits (permute_bytes (bytes, TWO_23, 0x7440 + i)) - base;
  sum += w[0] * x.x;
  sum += w[1] * x.y;
  sum += w[2] * x.z;
  sum += w[3] * x.w;
}

struct WeightsQ8 {
  enum { N = 16, PARTS = 1 };
  typedef PairRecords<uint16_t> Records;
  static __device__ __forceinline__ void
  add (uint4 raw, uint32_t record, int i, float4 x, float &sum)
  {
    add_bytes (get_word (raw, i) ^ 0x80808080, float_of_bits (TWO_23 + 128), x, sum);
  }
  static __device__ __forceinline__ float scale (uint32_t record, int part)
  {
    return f16_to_float ((uint16_t)record) * QUANT_FACTOR;
  }
};

/* Low nibbles are 16 columns of one group, high ones of the next. In the upper half of a byte they
 * are 16 q, so that the sums are of 2 (8 q - zero). */
struct WeightsQ4 {
  enum { N = 32, PARTS = 2 };
  typedef PairRecords<uint32_t> Records;
  static __device__ __forceinline__ void
  add (uint4 raw, uint32_t records, int i, float4 x, float &sum)
  {
    uint32_t word = get_word (raw, i % 4), zero = records >> i / 4 * 16 & 0x7f;
    add_bytes ((i < 4 ? word << 4 : word) & 0xf0f0f0f0, float_of_bits (TWO_23 + 2 * zero), x, sum);
  }
  static __device__ __forceinline__ float scale (uint32_t records, int part)
  {
    return f16_to_float ((uint16_t)(records >> 16 * part >> 1 & 0x7fc0)) * (QUANT_FACTOR / 2);
  }
};
