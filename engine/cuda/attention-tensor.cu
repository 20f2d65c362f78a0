/* attention-tensor.cu - attention of many queries on tensor cores, where heads have 64 or 80
 * dimensions; others go the plain way (attention.cu).
 *
 * FlashAttention-2 (Dao 2023): a block holds 64 queries of one head, a warp 16 of them, and goes
 * through the keys 64 at a time. Products are m16n8k16 of f16 with f32 sums. q is split into a
 * rounded half and the half of what rounding left, so that scores are as exact as the cached keys.
 *
 * In fragments lane 4 g + t holds rows g and g + 8, columns 2 t and 2 t + 1 of each 8 columns. */
#include "platform.h"

#define TILE 64
#define WARPS 4

template <int D> struct TensorShared {
  /* 8 more: the rows of an 8 x 8 matrix then lie in different banks. */
  __align__ (16) uint16_t k[TILE][D + 8];
  __align__ (16) uint16_t v[TILE][D + 8];
};

static __device__ __forceinline__ uint32_t
pack_f16 (float a, float b)
{
  return f16_from_float (a) | (uint32_t)f16_from_float (b) << 16;
}

template <int D> struct Tensor {
  float out[D / 8][4];
  uint32_t high[D / 16][4]; /* q as the left operand */
  uint32_t low[D / 16][4];
  float max[2]; /* of rows g and g + 8 */
  float sum[2]; /* of this lane's columns */

  /* Q [rows, D] from row FIRST on, which may end within these 16. */
  __device__ void
  load_queries (const CudaAttention &p, const float *q, size_t first)
  {
    unsigned g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < D / 16; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) {
        size_t row = first + g + j % 2 * 8, d = i * 16 + j / 2 * 8 + 2 * t;
        float a = 0.f, b = 0.f;
        if (row < p.rows) {
          a = q[row * p.q_stride + d] * p.scale;
          b = q[row * p.q_stride + d + 1] * p.scale;
        }
        high[i][j] = pack_f16 (a, b);
        low[i][j] = pack_f16 (a - f16_to_float ((uint16_t)high[i][j]),
                              b - f16_to_float ((uint16_t)(high[i][j] >> 16)));
      }
    for (int i = 0; i < 2; i++) {
      max[i] = -INFINITY;
      sum[i] = 0.f;
    }
    for (int i = 0; i < D / 8; i++)
      for (int j = 0; j < 4; j++)
        out[i][j] = 0.f;
  }

  __device__ void
  score (const TensorShared<D> &s, float (&scores)[TILE / 8][4])
  {
    unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (int n = 0; n < TILE / 16; n++) { /* 16 keys */
      for (int j = 0; j < 4; j++)
        scores[2 * n][j] = scores[2 * n + 1][j] = 0.f;
#pragma unroll
      for (int i = 0; i < D / 16; i++) {
        uint32_t b[4]; /* keys 0-7 and 8-15, dimensions 0-7 and 8-15 */
        load_matrices (b, &s.k[n * 16 + lane / 16 * 8 + lane % 8][i * 16 + lane / 8 % 2 * 8]);
        multiply_add (scores[2 * n], high[i], b[0], b[1]);
        multiply_add (scores[2 * n], low[i], b[0], b[1]);
        multiply_add (scores[2 * n + 1], high[i], b[2], b[3]);
        multiply_add (scores[2 * n + 1], low[i], b[2], b[3]);
      }
    }
  }

  /* Row g + 8 r of the warp sees, of this tile's keys, those below SEEN[r]. */
  __device__ void
  soften (float (&scores)[TILE / 8][4], const int (&seen)[2])
  {
    unsigned t = threadIdx.x % 4;
#pragma unroll
    for (int r = 0; r < 2; r++) {
      float greatest = max[r];
#pragma unroll
      for (int n = 0; n < TILE / 8; n++)
#pragma unroll
        for (int j = 0; j < 2; j++) {
          if ((int)(n * 8 + 2 * t + j) >= seen[r])
            scores[n][2 * r + j] = -INFINITY;
          greatest = fmaxf (greatest, scores[n][2 * r + j]);
        }
      greatest = fmaxf (greatest, __shfl_xor_sync (ALL_LANES, greatest, 1));
      greatest = fmaxf (greatest, __shfl_xor_sync (ALL_LANES, greatest, 2));
      float base = greatest == -INFINITY ? 0.f : greatest; /* a row that sees nothing yet */
      float factor = expf (max[r] - base);
      max[r] = greatest;
      sum[r] *= factor;
#pragma unroll
      for (int i = 0; i < D / 8; i++) {
        out[i][2 * r] *= factor;
        out[i][2 * r + 1] *= factor;
      }
#pragma unroll
      for (int n = 0; n < TILE / 8; n++)
#pragma unroll
        for (int j = 0; j < 2; j++) {
          scores[n][2 * r + j] = expf (scores[n][2 * r + j] - base);
          sum[r] += scores[n][2 * r + j];
        }
    }
  }

  /* The scores' fragments are, rounded, those of a left operand. */
  __device__ void
  accumulate (const TensorShared<D> &s, const float (&scores)[TILE / 8][4])
  {
    unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (int n = 0; n < TILE / 16; n++) {
      uint32_t a[4];
#pragma unroll
      for (int j = 0; j < 4; j++)
        a[j] = pack_f16 (scores[2 * n + j / 2][j % 2 * 2], scores[2 * n + j / 2][j % 2 * 2 + 1]);
#pragma unroll
      for (int i = 0; i < D / 16; i++) {
        uint32_t b[4]; /* keys 0-7 and 8-15 of dimensions 0-7, then of 8-15 */
        load_matrices_transposed (
            b, &s.v[n * 16 + lane / 8 % 2 * 8 + lane % 8][i * 16 + lane / 16 * 8]);
        multiply_add (out[2 * i], a, b[0], b[1]);
        multiply_add (out[2 * i + 1], a, b[2], b[3]);
      }
    }
  }
};

/* A thread's part of the keys and values [first, first + TILE) of one head; beyond END zero. */
template <int D> struct Tile {
  enum { MINE = TILE * D / 8 / (WARPS * WARP) };
  uint4 k[MINE], v[MINE];

  __device__ __forceinline__ void
  load (const uint16_t *keys, const uint16_t *values, size_t first, size_t end)
  {
#pragma unroll
    for (int u = 0; u < MINE; u++) {
      unsigned i = threadIdx.x + u * WARPS * WARP;
      size_t at = first * D + i * 8;
      k[u] = v[u] = uint4{0, 0, 0, 0};
      if (first + i / (D / 8) < end) {
        k[u] = *(const uint4 *)(keys + at);
        v[u] = *(const uint4 *)(values + at);
      }
    }
  }

  __device__ __forceinline__ void
  store (TensorShared<D> &s) const
  {
#pragma unroll
    for (int u = 0; u < MINE; u++) {
      unsigned i = threadIdx.x + u * WARPS * WARP;
      *(uint4 *)&s.k[i / (D / 8)][i % (D / 8) * 8] = k[u];
      *(uint4 *)&s.v[i / (D / 8)][i % (D / 8) * 8] = v[u];
    }
  }
};

template <int D, typename T>
static __global__ void __launch_bounds__ (WARPS *WARP)
tensor_kernel (CudaAttention p)
{
  let_next_start ();
  wait_for_previous ();
  SHARED (TensorShared<D>, shared);
  /* The last queries see the most keys: longest blocks first. */
  size_t block = (size_t)(gridDim.x - 1 - blockIdx.x) * WARPS * 16;
  size_t first = block + threadIdx.x / WARP * 16;
  int head = blockIdx.y, kv_head = head / (p.n_heads / p.n_kv_heads);
  unsigned g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
  const uint16_t *keys = (const uint16_t *)p.cache.keys + kv_head * p.cache.context * D;
  const uint16_t *values = (const uint16_t *)p.cache.values + kv_head * p.cache.context * D;
  size_t end = p.n_keys;
  if (p.causal && p.position + block + WARPS * 16 < end)
    end = p.position + block + WARPS * 16;

  Tensor<D> tensor;
  Tile<D> tile; /* on its way while the one before is computed with */
  tile.load (keys, values, 0, end);
  tensor.load_queries (p, p.q + head * D, first);
  for (size_t key = 0; key < end; key += TILE) {
    __syncthreads ();
    tile.store (shared);
    __syncthreads ();
    tile.load (keys, values, key + TILE, end);
    int seen[2];
    for (int r = 0; r < 2; r++) {
      size_t limit = p.causal ? p.position + first + g + 8 * r + 1 : p.n_keys;
      seen[r] = (int)(limit < p.n_keys ? limit : p.n_keys) - (int)key;
    }
    float scores[TILE / 8][4];
    tensor.score (shared, scores);
    tensor.soften (scores, seen);
    tensor.accumulate (shared, scores);
  }
#pragma unroll
  for (int r = 0; r < 2; r++) {
    float sum = tensor.sum[r];
    sum += __shfl_xor_sync (ALL_LANES, sum, 1);
    sum += __shfl_xor_sync (ALL_LANES, sum, 2);
    size_t row = first + g + 8 * r;
    if (row >= p.rows)
      continue;
    T *out = (T *)p.out + row * p.out_stride + head * D;
#pragma unroll
    for (int i = 0; i < D / 8; i++)
#pragma unroll
      for (int j = 0; j < 2; j++)
        out[i * 8 + 2 * t + j] = from_float<T> (tensor.out[i][2 * r + j] / sum);
  }
}

template <int D>
static void
attend_fast (CudaQueue *queue, const CudaAttention *p)
{
  dim3 grid ((unsigned)divide_up (p->rows, WARPS * 16), p->n_heads);
  launch (queue, p->out_type == CUDA_TYPE_F16 ? tensor_kernel<D, F16> : tensor_kernel<D, BF16>, grid,
          WARPS * WARP, sizeof (TensorShared<D>), *p);
}

void
cuda_attend (CudaQueue *queue, const CudaAttention *attention)
{
  bool halves =
      attention->cache.type == CUDA_TYPE_F16 && attention->out_type != CUDA_TYPE_F32;
  if (halves && attention->head_dim == 64)
    attend_fast<64> (queue, attention);
  else if (halves && attention->head_dim == 80)
    attend_fast<80> (queue, attention);
  else
    cuda_attend_plainly (queue, attention);
}
