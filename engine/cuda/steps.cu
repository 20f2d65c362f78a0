/* steps.cu - the small steps around products and attention: one pass over their data each. */
#include "norm.h"

#define THREADS 256

/* Calls FUNC<type> for a CudaType. */
#define FOR_TYPE(type, call)                                                                       \
  switch (type) {                                                                                  \
  case CUDA_TYPE_F32: {                                                                            \
    typedef float T;                                                                               \
    call;                                                                                          \
    break;                                                                                         \
  }                                                                                                \
  case CUDA_TYPE_F16: {                                                                            \
    typedef F16 T;                                                                                 \
    call;                                                                                          \
    break;                                                                                         \
  }                                                                                                \
  case CUDA_TYPE_BF16: {                                                                           \
    typedef BF16 T;                                                                                \
    call;                                                                                          \
    break;                                                                                         \
  }                                                                                                \
  }

/* ---- Weights' way in ------------------------------------------------------------------------- */

/* To its own type every bit is kept: as a number, a NaN would become another. */
template <typename To, typename From> struct Cast {
  static __device__ __forceinline__ To of (From x) { return from_float<To> (to_float (x)); }
};

template <typename T> struct Cast<T, T> {
  static __device__ __forceinline__ T of (T x) { return x; }
};

template <typename From, typename To>
static __global__ void
convert_kernel (CudaConvert p)
{
  let_next_start ();
  wait_for_previous ();
  size_t count = p.rows * p.n;
  for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < count;
       i += (size_t)gridDim.x * blockDim.x)
    ((To *)p.to)[i / p.n * p.to_stride + i % p.n] = Cast<To, From>::of (((const From *)p.from)[i]);
}

template <typename From>
static void
convert_from (CudaQueue *queue, const CudaConvert *p)
{
  size_t blocks = divide_up (p->rows * p->n, 4 * THREADS), most = 1 << 20;
  dim3 grid ((unsigned)(blocks < most ? blocks : most));
  FOR_TYPE (p->to_type, launch (queue, convert_kernel<From, T>, grid, THREADS, 0, *p));
}

void
cuda_convert (CudaQueue *queue, const CudaConvert *convert)
{
  FOR_TYPE (convert->from_type, convert_from<T> (queue, convert));
}

/* ---- Vision's ends --------------------------------------------------------------------------- */

template <typename T>
static __global__ void
gather_kernel (CudaPatches p)
{
  let_next_start ();
  wait_for_previous ();
  size_t size = p.size, patch = p.patch, side = size / patch, area = patch * patch;
  size_t row = blockIdx.x / side * patch, column = blockIdx.x % side * patch;
  T *out = (T *)p.out + blockIdx.x * p.stride;
  for (size_t i = threadIdx.x; i < 3 * area; i += blockDim.x) {
    size_t channel = i / area, y = i % area / patch, x = i % patch;
    out[i] = from_float<T> (p.pixels[(channel * size + row + y) * size + column + x]);
  }
}

void
cuda_gather_patches (CudaQueue *queue, const CudaPatches *patches)
{
  unsigned side = patches->size / patches->patch;
  FOR_TYPE (patches->type,
            launch (queue, gather_kernel<T>, dim3 (side * side), THREADS, 0, *patches));
}

static __global__ void
positions_kernel (CudaPositions p)
{
  let_next_start ();
  wait_for_previous ();
  size_t row = blockIdx.x;
  for (size_t i = threadIdx.x; i < p.n; i += blockDim.x) {
    float x = row == 0 ? p.class_token[i] : p.x[row * p.n + i];
    p.x[row * p.n + i] = x + p.positions[row * p.n + i];
  }
}

void
cuda_add_positions (CudaQueue *queue, const CudaPositions *positions)
{
  launch (queue, positions_kernel, dim3 ((unsigned)positions->rows), THREADS, 0, *positions);
}

/* ---- Decoder's input ------------------------------------------------------------------------- */

template <typename T>
static __global__ void
embed_kernel (CudaEmbed p)
{
  let_next_start ();
  wait_for_previous ();
  size_t row = blockIdx.x;
  const T *from = (const T *)p.table + (size_t)p.ids[row] * p.table_stride;
  for (size_t i = threadIdx.x; i < p.n; i += blockDim.x)
    p.x[row * p.n + i] = to_float (from[i]);
}

void
cuda_embed (CudaQueue *queue, const CudaEmbed *embed)
{
  FOR_TYPE (embed->type,
            launch (queue, embed_kernel<T>, dim3 ((unsigned)embed->rows), THREADS, 0, *embed));
}

/* ---- Norms and activations ------------------------------------------------------------------- */

/* On each processor: five hold all rows of a usual prompt or picture at once, where so many fit. */
#if __CUDA_ARCH__ == 750
#define NORM_BLOCKS 4
#else
#define NORM_BLOCKS 5
#endif

template <unsigned TEAM> struct NormShared {
  float reduced[2][TEAM / WARP];
};

/* TEAM threads for each row: a block, or a warp, so that heads of a few dozen values keep a block
 * busy too. */
template <typename T, unsigned TEAM>
static __global__ void __launch_bounds__ (THREADS, NORM_BLOCKS)
norm_kernel (CudaNorm p)
{
  let_next_start ();
  wait_for_previous ();
  SHARED (NormShared<TEAM>, shared);
  size_t row = (size_t)blockIdx.x * (THREADS / TEAM) + threadIdx.x / TEAM;
  if (row >= p.rows)
    return;
  const float *x = p.x + row / p.per * p.x_stride + row % p.per * p.n;
  T *y = (T *)p.y + row / p.per * p.y_stride + row % p.per * p.n;
  RowNorm<TEAM> norm (p.n);
  float own[norm.OWN], weight[norm.OWN], bias[norm.OWN] = {};
  norm.load (x, own);
  norm.measure (x, own, p.eps, shared.reduced);
  norm.load (p.weight, weight); /* before the first store, which might change them */
  if (p.bias != nullptr)
    norm.load (p.bias, bias);
#pragma unroll
  for (unsigned i = 0; i < norm.OWN; i++)
    if (i < norm.full)
      y[norm.member + i * TEAM] = from_float<T> (norm.apply (own[i], weight[i], bias[i]));
  for (unsigned i = norm.beyond; i < norm.n; i += TEAM)
    y[i] = from_float<T> (
        norm.apply (x[i], p.weight[i], p.bias != nullptr ? p.bias[i] : 0.f));
}

void
cuda_norm (CudaQueue *queue, const CudaNorm *norm)
{
  bool narrow = norm->n <= 8 * WARP;
  dim3 grid ((unsigned)divide_up (norm->rows, narrow ? THREADS / WARP : 1));
  FOR_TYPE (norm->y_type, launch (queue, narrow ? norm_kernel<T, WARP> : norm_kernel<T, THREADS>,
                                  grid, THREADS, sizeof (NormShared<THREADS>), *norm));
}

template <typename T>
static __global__ void
activate_kernel (CudaActivation p)
{
  enum { N = Vector<T>::N };
  let_next_start ();
  wait_for_previous ();
  T *x = (T *)p.x + blockIdx.x * p.stride;
  bool aligned = ((uintptr_t)x | p.stride * sizeof (T)) % 16 == 0;
  size_t whole = p.bias == nullptr && aligned ? p.n / N * N : 0;
  for (size_t i = threadIdx.x * N; i < whole; i += blockDim.x * N) {
    uint4 raw = *(const uint4 *)(x + i);
    float values[N];
    T outcome[N];
    Vector<T>::unpack (raw, values);
#pragma unroll
    for (int j = 0; j < N; j++)
      outcome[j] = from_float<T> (activate (p.gelu, values[j]));
    memcpy (&raw, outcome, sizeof raw);
    *(uint4 *)(x + i) = raw;
  }
  for (size_t i = whole + threadIdx.x; i < p.n; i += blockDim.x)
    x[i] = from_float<T> (
        activate (p.gelu,
                  to_float (x[i]) + (p.bias != nullptr ? to_float (((const T *)p.bias)[i]) : 0.f)));
}

void
cuda_activate (CudaQueue *queue, const CudaActivation *activation)
{
  dim3 grid ((unsigned)activation->rows);
  FOR_TYPE (activation->type, launch (queue, activate_kernel<T>, grid, THREADS, 0, *activation));
}

/* ---- Rotary embedding and cache -------------------------------------------------------------- */

static __device__ __forceinline__ void
rotate_pair (float *a, float *b, const float *angle)
{
  float x = *a, y = *b;
  *a = x * angle[0] - y * angle[1];
  *b = y * angle[0] + x * angle[1];
}

/* Dimension D of a head of k, rotated. */
static __device__ __forceinline__ float
rotated (const float *head, const float *angles, int half, int d)
{
  if (d >= 2 * half)
    return head[d];
  const float *angle = angles + d % half * 2;
  return d < half ? head[d] * angle[0] - head[d + half] * angle[1]
                  : head[d] * angle[0] + head[d - half] * angle[1];
}

template <typename KV>
static __global__ void
rotate_kernel (CudaRotate p)
{
  let_next_start ();
  wait_for_previous ();
  size_t row = blockIdx.x, position = (p.position.at ? *p.position.at : p.position.first) + row;
  const float *angles = p.angles + position * p.half * 2;
  const float *k = p.k + row * p.stride, *v = p.v + row * p.stride;
  for (int i = threadIdx.x; i < p.n_kv_heads * p.head_dim; i += blockDim.x) {
    int head = i / p.head_dim, d = i % p.head_dim;
    size_t at = (head * p.cache.context + position) * p.cache.head_pad + d;
    ((KV *)p.cache.keys)[at] = from_float<KV> (rotated (k + head * p.head_dim, angles, p.half, d));
    ((KV *)p.cache.values)[at] = from_float<KV> (v[i]);
  }
  if (p.q == nullptr)
    return;
  float *q = p.q + row * p.stride;
  for (int i = threadIdx.x; i < p.n_heads * p.half; i += blockDim.x) {
    float *head = q + i / p.half * p.head_dim;
    int d = i % p.half;
    rotate_pair (head + d, head + d + p.half, angles + 2 * d);
  }
}

void
cuda_rotate (CudaQueue *queue, const CudaRotate *rotate)
{
  void (*kernel) (CudaRotate) =
      rotate->cache.type == CUDA_TYPE_F32 ? rotate_kernel<float> : rotate_kernel<F16>;
  launch (queue, kernel, dim3 ((unsigned)rotate->rows), THREADS, 0, *rotate);
}

/* ---- Measuring ------------------------------------------------------------------------------- */

struct CudaCopy {
  const uint4 *from;
  uint4 *to;
  size_t n;
};

static __global__ void
copy_kernel (CudaCopy p)
{
  let_next_start ();
  wait_for_previous ();
  size_t step = (size_t)gridDim.x * blockDim.x;
  for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < p.n; i += 4 * step) {
    uint4 v[4] = {};
#pragma unroll
    for (int j = 0; j < 4; j++)
      if (i + j * step < p.n)
        v[j] = load_once (p.from + i + j * step);
#pragma unroll
    for (int j = 0; j < 4; j++)
      if (i + j * step < p.n)
        p.to[i + j * step] = v[j];
  }
}

void
cuda_copy_fast (CudaQueue *queue, const void *from, void *to, size_t bytes, int processors)
{
  CudaCopy copy = {(const uint4 *)from, (uint4 *)to, bytes / sizeof (uint4)};
  launch (queue, copy_kernel, dim3 (processors * 4), 512, 0, copy);
}
