/* platform.h - what the kernels need of CUDA. The same sources also compile as plain C++ over the
 * tests' emulator of blocks and warps (tests/engine/emulator/simt.h), so a wrong index is found
 * where there is no GPU; nothing else of CUDA may be used in a .cu file.
 *
 * Kernels are launched with launch(), take their parameters as one struct, and keep shared memory
 * in one struct too (SHARED), sized by the launch. Blocks are whole warps. */
#pragma once

#include "cuda-kernels.h"

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define SHARED(type, name)                                                                         \
  extern __shared__ __align__ (16) unsigned char allava_shared[];                                  \
  type &name = *(type *)allava_shared

/* Programmatic dependent launch: a kernel may start while the one before it still runs, and waits
 * here before it touches what that one wrote or still reads. Every kernel calls both, once. */
static __device__ __forceinline__ void
let_next_start (void)
{
#if __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion ();
#endif
}

static __device__ __forceinline__ void
wait_for_previous (void)
{
#if __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize ();
#endif
}

static __device__ __forceinline__ float
f16_to_float (uint16_t x)
{
  return __half2float (__ushort_as_half (x));
}

static __device__ __forceinline__ uint16_t
f16_from_float (float x)
{
  return __half_as_ushort (__float2half_rn (x));
}

static __device__ __forceinline__ uint16_t
bf16_from_float (float x)
{
  return __bfloat16_as_ushort (__float2bfloat16_rn (x));
}

static __device__ __forceinline__ float
float_of_bits (uint32_t bits)
{
  return __uint_as_float (bits);
}

static __device__ __forceinline__ uint32_t
bits_of_float (float x)
{
  return __float_as_uint (x);
}

/* Four of the bytes of A and, from 4 on, B: those that the nibbles of SELECTOR name. */
static __device__ __forceinline__ uint32_t
permute_bytes (uint32_t a, uint32_t b, uint32_t selector)
{
  return __byte_perm (a, b, selector);
}

/* 16 bytes that are read once: they pass L1 by, which keeps the activations. */
static __device__ __forceinline__ uint4
load_once (const void *p)
{
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}

static __device__ __forceinline__ void
prefetch_to_l2 (const void *p)
{
  asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

/* Four 8 x 8 matrices of 16-bit values from shared memory; lane 8 i + j names row j of matrix i. */
static __device__ __forceinline__ void
load_matrices (uint32_t (&r)[4], const void *row)
{
  uint32_t address = (uint32_t)__cvta_generic_to_shared (row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

static __device__ __forceinline__ void
load_matrices_transposed (uint32_t (&r)[4], const void *row)
{
  uint32_t address = (uint32_t)__cvta_generic_to_shared (row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

/* D [16, 8] += A [16, 16] B [16, 8] of f16, in fragments as PTX lays them out for m16n8k16. */
static __device__ __forceinline__ void
multiply_add (float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1)
{
#if __CUDA_ARCH__ >= 800
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
               "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
               "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(b0));
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
               "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[2]), "r"(a[3]), "r"(b1));
#endif
}

template <typename P>
static void
launch (
    CudaQueue *queue, void (*kernel) (P), dim3 grid, int threads, size_t shared, const P &params)
{
  if (queue->status != cudaSuccess || grid.x == 0 || grid.y == 0)
    return;
  if (shared > 48 << 10) /* beyond this it has to be asked for */
    queue->status = cudaFuncSetAttribute ((const void *)kernel,
                                          cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3 (threads);
  config.dynamicSmemBytes = shared;
  config.stream = (cudaStream_t)queue->stream;
  config.attrs = &attribute;
  config.numAttrs = queue->overlap ? 1 : 0;
  if (queue->status == cudaSuccess)
    queue->status = cudaLaunchKernelEx (&config, kernel, params);
}

#else
#include "simt.h"
#endif

#define WARP 32
#define ALL_LANES 0xffffffffu

/* ---- Numbers --------------------------------------------------------------------------------- */

struct F16 {
  uint16_t bits;
};

struct BF16 {
  uint16_t bits;
};

static __device__ __forceinline__ float
to_float (float x)
{
  return x;
}

static __device__ __forceinline__ float
to_float (F16 x)
{
  return f16_to_float (x.bits);
}

static __device__ __forceinline__ float
to_float (BF16 x)
{
  return float_of_bits ((uint32_t)x.bits << 16);
}

template <typename T> static __device__ __forceinline__ T from_float (float x);

template <>
__device__ __forceinline__ float
from_float<float> (float x)
{
  return x;
}

template <>
__device__ __forceinline__ F16
from_float<F16> (float x)
{
  return F16{f16_from_float (x)};
}

template <>
__device__ __forceinline__ BF16
from_float<BF16> (float x)
{
  return BF16{bf16_from_float (x)};
}

/* The values of 16 bytes: 4 floats, or 8 of 16 bits. */
static __device__ __forceinline__ void
unpack (uint4 raw, float (&x)[4])
{
  x[0] = float_of_bits (raw.x);
  x[1] = float_of_bits (raw.y);
  x[2] = float_of_bits (raw.z);
  x[3] = float_of_bits (raw.w);
}

template <typename T>
static __device__ __forceinline__ void
unpack (uint4 raw, float (&x)[8])
{
  const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
  for (int i = 0; i < 4; i++) {
    x[2 * i] = to_float (T{(uint16_t)words[i]});
    x[2 * i + 1] = to_float (T{(uint16_t)(words[i] >> 16)});
  }
}

/* How many T are 16 bytes, and those of RAW. */
template <typename T> struct Vector {
  static const int N = 16 / sizeof (T);
  static __device__ __forceinline__ void unpack (uint4 raw, float (&x)[N]) { ::unpack<T> (raw, x); }
};

template <> struct Vector<float> {
  static const int N = 4;
  static __device__ __forceinline__ void unpack (uint4 raw, float (&x)[N]) { ::unpack (raw, x); }
};

/* ---- Activations ----------------------------------------------------------------------------- */

static __device__ __forceinline__ float
activate (int activation, float x)
{
  switch (activation) {
  case CUDA_GELU_TANH:
    return 0.5f * x * (1.f + tanhf (0.7978845608028654f * (x + 0.044715f * x * x * x)));
  case CUDA_GELU_ERF:
    return 0.5f * x * (1.f + erff (x * 0.7071067811865476f));
  case CUDA_GELU_QUICK:
    return x / (1.f + expf (-1.702f * x));
  default:
    return x;
  }
}

/* cuda_plane () without a division, of a vector that is not known when this is compiled. */
static __device__ __forceinline__ size_t
find_plane (size_t e, size_t vector, size_t stride)
{
  switch (vector) {
  case 4:
    return cuda_plane (e, 4, stride);
  case 8:
    return cuda_plane (e, 8, stride);
  case 16:
    return cuda_plane (e, 16, stride);
  default:
    return cuda_plane (e, 32, stride);
  }
}

/* ---- Reductions ------------------------------------------------------------------------------ */

static __device__ __forceinline__ float
warp_sum (float x)
{
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2)
    x += __shfl_xor_sync (ALL_LANES, x, offset);
  return x;
}

static __device__ __forceinline__ float
warp_max (float x)
{
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset /= 2)
    x = fmaxf (x, __shfl_xor_sync (ALL_LANES, x, offset));
  return x;
}

/* The same number in each of the block's N threads. SCRATCH holds a float for each warp and is free
 * again after the next barrier. */
template <unsigned N>
static __device__ __forceinline__ float
block_sum (float x, float *scratch)
{
  x = warp_sum (x);
  if (threadIdx.x % WARP == 0)
    scratch[threadIdx.x / WARP] = x;
  __syncthreads ();
  float sum = 0.f;
#pragma unroll
  for (unsigned i = 0; i < N / WARP; i++)
    sum += scratch[i];
  return sum;
}

static __host__ __device__ __forceinline__ size_t
divide_up (size_t n, size_t by)
{
  return (n + by - 1) / by;
}
