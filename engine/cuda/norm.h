/* norm.h - a row's LayerNorm by a team of threads, a warp or a block. */
#pragma once

#include "platform.h"

/* A member's first values stay in registers, as many as Phi-2's rows have for a block of 256, and
 * are loaded all at once; what a longer or odd row has beyond is read where it is needed. */
template <unsigned TEAM> struct RowNorm {
  enum { OWN = 10 };
  unsigned n;
  unsigned member;
  unsigned full;   /* values that every member has in registers: those TEAM apart from MEMBER on */
  unsigned beyond; /* the first of a member's others, also TEAM apart */
  float mean, scale;

  __device__ __forceinline__ RowNorm (size_t n_) : n ((unsigned)n_), member (threadIdx.x % TEAM)
  {
    full = n / TEAM < OWN ? n / TEAM : (unsigned)OWN;
    beyond = member + full * TEAM;
  }

  __device__ __forceinline__ void load (const float *from, float (&own)[OWN]) const
  {
#pragma unroll
    for (unsigned i = 0; i < OWN; i++)
      if (i < full)
        own[i] = from[member + i * TEAM];
  }

  static __device__ __forceinline__ float sum_up (float sum, float *reduced)
  {
    return TEAM == WARP ? warp_sum (sum) : block_sum<TEAM> (sum, reduced);
  }

  /* Finds mean and scale of X, whose first values are OWN. REDUCED: scratch of a block. */
  __device__ __forceinline__ void
  measure (const float *x, const float (&own)[OWN], float eps, float (&reduced)[2][TEAM / WARP])
  {
    float sum = 0.f, squares = 0.f;
#pragma unroll
    for (unsigned i = 0; i < OWN; i++)
      if (i < full)
        sum += own[i];
#pragma unroll 1
    for (unsigned i = beyond; i < n; i += TEAM)
      sum += x[i];
    mean = sum_up (sum, reduced[0]) / n;
#pragma unroll
    for (unsigned i = 0; i < OWN; i++)
      if (i < full)
        squares += (own[i] - mean) * (own[i] - mean);
#pragma unroll 1
    for (unsigned i = beyond; i < n; i += TEAM)
      squares += (x[i] - mean) * (x[i] - mean);
    scale = 1.f / sqrtf (sum_up (squares, reduced[1]) / n + eps);
  }

  __device__ __forceinline__ float apply (float x, float weight, float bias) const
  {
    return (x - mean) * scale * weight + bias;
  }
};
