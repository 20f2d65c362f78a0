/* simt.h - enough of CUDA's device language to run the backend's kernels as plain C++ on the CPU.
 *
 * A block's threads are fibers that run one at a time and change places at barriers, shuffles and
 * other steps of whole warps. Warps and blocks run in an arbitrary order, lanes forwards or
 * backwards, so a missing barrier shows; shared memory is an allocation of the launch's own size
 * filled with NaN, so reading what nobody wrote shows, and under a sanitizer so does a wrong index.
 * A barrier that some threads do not reach ends the program with a message. */
#pragma once

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <functional>

#include "cuda-kernels.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __align__(n) alignas (n)
#define __launch_bounds__(...)
#define cudaSuccess 0

struct dim3 {
  unsigned x, y, z;
  constexpr dim3 (unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x (x_), y (y_), z (z_) {}
};

struct uint4 {
  uint32_t x, y, z, w;
};

struct float4 {
  float x, y, z, w;
};

namespace simt
{
#define SIMT_WORDS 6

/* What the lanes of a warp give each other. */
typedef uint64_t Exchange[SIMT_WORDS][32];

extern dim3 thread_index, block_index, block_size, grid_size;

void *shared_memory ();
void block_barrier ();

/* Puts in the calling thread's N words and returns what all lanes of its warp put in, once all
 * have; valid until the warp's next exchange but one. */
const Exchange &exchange (const uint64_t *words, unsigned n);

/* Runs the kernel, or keeps it where QUEUE is capturing a graph. */
void run (CudaQueue *queue, dim3 grid, int threads, size_t shared, std::function<void ()> kernel);

void note_wait ();
void note_start ();
} // namespace simt

#define threadIdx simt::thread_index
#define blockIdx simt::block_index
#define blockDim simt::block_size
#define gridDim simt::grid_size

#define SHARED(type, name) type &name = *(type *)simt::shared_memory ()

static inline void
let_next_start (void)
{
  simt::note_start ();
}

static inline void
wait_for_previous (void)
{
  simt::note_wait ();
}

static inline void
__syncthreads (void)
{
  simt::block_barrier ();
}

static inline void
__syncwarp (void)
{
  simt::exchange (nullptr, 0);
}

static inline void
__threadfence (void)
{
}

static inline void
__threadfence_system (void)
{
}

template <typename T>
static inline T
simt_read_lane (T value, unsigned lane)
{
  uint64_t word = 0;
  memcpy (&word, &value, sizeof value);
  memcpy (&value, &simt::exchange (&word, 1)[0][lane], sizeof value);
  return value;
}

template <typename T>
static inline T
__shfl_sync (unsigned, T value, unsigned lane)
{
  return simt_read_lane (value, lane % 32);
}

template <typename T>
static inline T
__shfl_xor_sync (unsigned, T value, unsigned mask)
{
  return simt_read_lane (value, (threadIdx.x ^ mask) % 32);
}

template <typename T>
static inline T
__shfl_up_sync (unsigned, T value, unsigned delta)
{
  unsigned lane = threadIdx.x % 32;
  return simt_read_lane (value, lane >= delta ? lane - delta : lane);
}

template <typename T>
static inline T
__ldcg (const T *p)
{
  return *p;
}

template <typename T>
static inline T
atomicAdd (T *p, T n)
{
  T old = *p;
  *p += n;
  return old;
}

template <typename T>
static inline T
atomicMin (T *p, T n)
{
  T old = *p;
  *p = n < old ? n : old;
  return old;
}

static inline uint64_t
__umul64hi (uint64_t a, uint64_t b)
{
  return (uint64_t)(((unsigned __int128)a * b) >> 64);
}

static inline float
f16_to_float (uint16_t x)
{
  return _cvtsh_ss (x);
}

/* As on a GPU, every NaN becomes the same one. */
static inline uint16_t
f16_from_float (float x)
{
  return x != x ? 0x7fff : _cvtss_sh (x, _MM_FROUND_TO_NEAREST_INT);
}

static inline float
float_of_bits (uint32_t bits)
{
  float x;
  memcpy (&x, &bits, sizeof x);
  return x;
}

static inline uint32_t
bits_of_float (float x)
{
  uint32_t bits;
  memcpy (&bits, &x, sizeof bits);
  return bits;
}

static inline uint16_t
bf16_from_float (float x)
{
  uint32_t bits = bits_of_float (x);
  if (x != x)
    return 0x7fff;
  return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static inline uint32_t
permute_bytes (uint32_t a, uint32_t b, uint32_t selector)
{
  uint64_t bytes = (uint64_t)b << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; i++)
    result |= (uint32_t)(uint8_t)(bytes >> (selector >> 4 * i & 7) * 8) << 8 * i;
  return result;
}

static inline uint4
load_once (const void *p)
{
  return *(const uint4 *)p;
}

static inline void
prefetch_to_l2 (const void *p)
{
  (void)*(const volatile char *)p; /* is there such memory? */
}

/* ldmatrix: lane 8 i + j names row j of matrix i; each lane gets two neighbouring values of row
 * lane / 4 of each matrix, or of its transpose. */
static inline void
simt_load_matrices (uint32_t (&r)[4], const void *row, bool transposed)
{
  const uint64_t word = (uintptr_t)row;
  const simt::Exchange &all = simt::exchange (&word, 1);
  unsigned lane = threadIdx.x % 32;
  for (unsigned i = 0; i < 4; i++) {
    uint16_t pair[2];
    for (unsigned j = 0; j < 2; j++) {
      unsigned y = lane / 4, x = lane % 4 * 2 + j;
      const uint16_t *at = (const uint16_t *)(uintptr_t)all[0][8 * i + (transposed ? x : y)];
      pair[j] = at[transposed ? y : x];
    }
    r[i] = pair[0] | (uint32_t)pair[1] << 16;
  }
  __syncwarp ();
}

static inline void
load_matrices (uint32_t (&r)[4], const void *row)
{
  simt_load_matrices (r, row, false);
}

static inline void
load_matrices_transposed (uint32_t (&r)[4], const void *row)
{
  simt_load_matrices (r, row, true);
}

/* mma.m16n8k16: lane 4 g + t holds of A rows g and g + 8, columns 2t, 2t + 1 and 8 on; of B column
 * g, rows 2t, 2t + 1 and 8 on; of D rows g and g + 8, columns 2t, 2t + 1. */
static inline void
multiply_add (float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
  const uint64_t words[SIMT_WORDS] = {a[0], a[1], a[2], a[3], b0, b1};
  const simt::Exchange &all = simt::exchange (words, SIMT_WORDS);
  unsigned lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  for (unsigned i = 0; i < 4; i++) {
    unsigned high = i / 2, column = 2 * t + i % 2;
    for (unsigned k = 0; k < 16; k++) {
      unsigned holder = k % 8 / 2, late = k / 8, shift = k % 2 * 16;
      uint64_t x = all[2 * late + high][4 * g + holder];
      uint64_t y = all[4 + late][4 * column + holder];
      d[i] += f16_to_float ((uint16_t)(x >> shift)) * f16_to_float ((uint16_t)(y >> shift));
    }
  }
}

template <typename P>
static inline void
launch (
    CudaQueue *queue, void (*kernel) (P), dim3 grid, int threads, size_t shared, const P &params)
{
  simt::run (queue, grid, threads, shared, [kernel, params] { kernel (params); });
}
