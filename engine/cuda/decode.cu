/* decode.cu - the linear layers of one position: a matrix times a vector, at the speed at which the
 * matrix can be read, with what comes before and after it in the same kernel.
 *
 * The grid is as large as the GPU holds at once. A task is two rows of the matrix, which one warp
 * (or several, where there are few rows) multiplies: each lane loads 16 bytes of each, several loads
 * at a time, and the sums meet in a fixed order. Nothing of the matrix depends on the kernels before,
 * so its first loads are on their way while those still run. */
#include "platform.h"

#define THREADS 256
#define WARPS (THREADS / WARP)
#define BLOCKS 4 /* on each processor */
#define ROWS 2   /* of a task */
#define UNROLL 2 /* loads on their way, for each row */

/* ---- Weights --------------------------------------------------------------------------------- */

/* N values in 16 bytes and the records of their groups, and their product with X. */
struct WeightsF32 {
  enum { N = 4 };
  static __device__ __forceinline__ uint32_t
  load_records (const CudaMatrix &m, size_t row, size_t v)
  {
    return 0;
  }
  static __device__ __forceinline__ float
  dot (uint4 raw, uint32_t records, const float (&x)[N])
  {
    float w[N];
    unpack (raw, w);
    return (w[0] * x[0] + w[1] * x[1]) + (w[2] * x[2] + w[3] * x[3]);
  }
};

template <typename T> struct Weights16 {
  enum { N = 8 };
  static __device__ __forceinline__ uint32_t
  load_records (const CudaMatrix &m, size_t row, size_t v)
  {
    return 0;
  }
  static __device__ __forceinline__ float
  dot (uint4 raw, uint32_t records, const float (&x)[N])
  {
    float w[N], sum = 0.f;
    unpack<T> (raw, w);
#pragma unroll
    for (int i = 0; i < N; i++)
      sum += w[i] * x[i];
    return sum;
  }
};

#define QUANT_FACTOR 0.00390625f /* 2^-8 */

struct WeightsQ8 {
  enum { N = 16 };
  static __device__ __forceinline__ uint32_t
  load_records (const CudaMatrix &m, size_t row, size_t v)
  {
    return m.records[row * (m.stride / CUDA_GROUP) + v / 2];
  }
  static __device__ __forceinline__ float
  dot (uint4 raw, uint32_t record, const float (&x)[N])
  {
    const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
    float sum = 0.f;
#pragma unroll
    for (int i = 0; i < N; i++)
      sum += (float)(int8_t)(words[i / 4] >> i % 4 * 8) * x[i];
    return sum * (f16_to_float ((uint16_t)record) * QUANT_FACTOR);
  }
};

/* Low nibbles are 16 columns of one group, high ones of the next. */
struct WeightsQ4 {
  enum { N = 32 };
  static __device__ __forceinline__ uint32_t
  load_records (const CudaMatrix &m, size_t row, size_t v)
  {
    return ((const uint32_t *)m.records)[row * (m.stride / CUDA_GROUP / 2) + v / 2];
  }
  static __device__ __forceinline__ float
  dot (uint4 raw, uint32_t records, const float (&x)[N])
  {
    const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
    float sums[2] = {0.f, 0.f}, xs[2] = {0.f, 0.f};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      /* A byte is converted in one step, four nibbles are made bytes in one or two. */
      const uint32_t nibbles[2] = {words[i] & 0x0f0f0f0f, words[i] >> 4 & 0x0f0f0f0f};
#pragma unroll
      for (int j = 0; j < 8; j++) {
        int half = j / 4, at = half * 16 + i * 4 + j % 4;
        sums[half] += (float)(uint8_t)(nibbles[half] >> j % 4 * 8) * x[at];
        xs[half] += x[at];
      }
    }
    float sum = 0.f;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      uint32_t record = records >> 16 * i & 0xffff;
      float scale = f16_to_float ((uint16_t)(record >> 1 & 0x7fc0)) * QUANT_FACTOR;
      sum += scale * (8.f * sums[i] - (float)(record & 0x7f) * xs[i]);
    }
    return sum;
  }
};

/* ---- What a row is multiplied with ----------------------------------------------------------- */

struct Shared {
  float reduced[2][WARPS];       /* of the norm */
  float parts[2][WARPS][ROWS];   /* of tasks that several warps share */
  __align__ (16) float planes[4]; /* [stride], where the input is normed */
};

/* norm (x) in planes, for P a CudaProject or CudaHead; what pads it is zero. */
template <typename W, typename P>
static __device__ const float *
fill_normed (Shared &s, const P &p)
{
  size_t stride = p.matrix.stride;
  float sum = 0.f, squares = 0.f;
  for (size_t i = threadIdx.x; i < p.n; i += THREADS)
    sum += p.x[i];
  float mean = block_sum (sum, s.reduced[0]) / p.n;
  for (size_t i = threadIdx.x; i < p.n; i += THREADS)
    squares += (p.x[i] - mean) * (p.x[i] - mean);
  float scale = 1.f / sqrtf (block_sum (squares, s.reduced[1]) / p.n + p.eps);
  for (size_t i = threadIdx.x; i < stride; i += THREADS)
    s.planes[cuda_plane (i, W::N, stride)] =
        i < p.n ? (p.x[i] - mean) * scale * p.weight[i] + p.bias[i] : 0.f;
  __syncthreads ();
  return s.planes;
}

/* ---- Tasks ----------------------------------------------------------------------------------- */

/* A warp's place: it is one of SPLIT warps of a group, which takes every so-manieth task. */
struct Place {
  unsigned split;
  unsigned group; /* in the block */
  unsigned groups;
  unsigned first; /* vector of a row that this lane begins with */
  unsigned step;

  __device__
  Place (unsigned split_) : split (split_), groups (WARPS / split_)
  {
    unsigned warp = threadIdx.x / WARP;
    group = warp / split;
    first = warp % split * WARP + threadIdx.x % WARP;
    step = split * WARP;
  }
};

template <typename W>
static __device__ __forceinline__ void
prefetch_rows (const CudaMatrix &m, const size_t (&rows)[ROWS], const Place &place)
{
  size_t vectors = m.stride / W::N;
  if (threadIdx.x % 8 == 0) /* a line of 128 bytes is enough */
    for (int r = 0; r < ROWS; r++)
      for (size_t v = place.first; v < vectors && v < 2 * place.step; v += place.step)
        prefetch_to_l2 ((const uint4 *)m.data + rows[r] * vectors + v);
}

/* A vector that every block reads, or NULL: some threads of the grid fetch a line of it each. */
static __device__ __forceinline__ void
prefetch_vector (const float *v, size_t n)
{
  size_t at = ((size_t)blockIdx.x * THREADS + threadIdx.x) * 32; /* 128 bytes */
  if (v != nullptr && at < n)
    prefetch_to_l2 (v + at);
}

/* What norms the input and is added to the products, of a CudaProject or CudaHead. */
template <typename P>
static __device__ __forceinline__ void
prefetch_normed (const P &p)
{
  prefetch_vector (p.weight, p.n);
  prefetch_vector (p.bias, p.n);
  prefetch_vector (p.matrix_bias, p.matrix.n_out);
}

/* This lane's part of the rows' products with the PLANES. */
template <typename W>
static __device__ __forceinline__ void
multiply_rows (const CudaMatrix &m,
               const size_t (&rows)[ROWS],
               const float4 *planes,
               const Place &place,
               float (&sums)[ROWS])
{
  size_t vectors = m.stride / W::N;
  for (int r = 0; r < ROWS; r++)
    sums[r] = 0.f;
  for (size_t v = place.first; v < vectors; v += UNROLL * place.step) {
    uint4 raw[UNROLL][ROWS];
    uint32_t records[UNROLL][ROWS];
#pragma unroll
    for (int u = 0; u < UNROLL; u++)
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        size_t at = v + u * place.step;
        if (at >= vectors)
          continue;
        raw[u][r] = load_once ((const uint4 *)m.data + rows[r] * vectors + at);
        records[u][r] = W::load_records (m, rows[r], at);
      }
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      size_t at = v + u * place.step;
      if (at >= vectors)
        continue;
      float x[W::N];
#pragma unroll
      for (int i = 0; i < W::N / 4; i++) {
        float4 part = planes[i * vectors + at];
        x[4 * i] = part.x;
        x[4 * i + 1] = part.y;
        x[4 * i + 2] = part.z;
        x[4 * i + 3] = part.w;
      }
#pragma unroll
      for (int r = 0; r < ROWS; r++)
        sums[r] += W::dot (raw[u][r], records[u][r], x);
    }
  }
}

/* All tasks that are this block's. OP says which rows a task has and takes their products. */
template <typename W, typename Op>
static __device__ void
run_tasks (Shared &s, const Op &op, const float4 *planes, const Place &place, size_t n_tasks)
{
  unsigned turn = 0;
  for (size_t base = (size_t)blockIdx.x * place.groups; base < n_tasks;
       base += (size_t)gridDim.x * place.groups, turn ^= 1) {
    size_t task = base + place.group;
    size_t rows[ROWS] = {0, 0};
    float sums[ROWS] = {0.f, 0.f};
    if (task < n_tasks) {
      op.get_rows (task, rows);
      multiply_rows<W> (op.p.matrix, rows, planes, place, sums);
    }
    for (int r = 0; r < ROWS; r++)
      sums[r] = warp_sum (sums[r]);
    if (place.split > 1) {
      if (threadIdx.x % WARP == 0)
        for (int r = 0; r < ROWS; r++)
          s.parts[turn][threadIdx.x / WARP][r] = sums[r];
      __syncthreads (); /* once a turn is enough, since turns alternate */
      for (int r = 0; r < ROWS; r++) {
        sums[r] = 0.f;
        for (unsigned i = 0; i < place.split; i++)
          sums[r] += s.parts[turn][place.group * place.split + i][r];
      }
    }
    if (task < n_tasks && place.first == 0)
      op.store (task, sums);
  }
}

template <typename P> struct CudaTasks {
  P p;
  size_t n_tasks;
  unsigned split; /* warps of a task: 1, 2, 4 or 8 */
};

/* OP says what the rows are multiplied with, which rows are a task's, and where products go. */
template <typename Op, typename W>
static __global__ void __launch_bounds__ (THREADS, BLOCKS)
tasks_kernel (CudaTasks<typename Op::Params> params)
{
  SHARED (Shared, shared);
  Place place (params.split);
  Op op (params.p);
  let_next_start ();
  size_t task = (size_t)blockIdx.x * place.groups + place.group, rows[ROWS];
  if (task < params.n_tasks) {
    op.get_rows (task, rows);
    prefetch_rows<W> (params.p.matrix, rows, place);
  }
  op.prefetch ();
  wait_for_previous ();
  const float *planes = op.template get_planes<W> (shared);
  run_tasks<W> (shared, op, (const float4 *)planes, place, params.n_tasks);
}

/* So many warps to a task that the last turn leaves few idle, as long as each has work. */
static unsigned
choose_split (size_t n_tasks, size_t vectors, int processors)
{
  unsigned best = 1;
  double best_use = 0;
  for (unsigned split = 1; split <= WARPS && vectors >= split * 2 * WARP; split *= 2) {
    size_t at_once = (size_t)processors * BLOCKS * (WARPS / split);
    double use = (double)n_tasks / (divide_up (n_tasks, at_once) * at_once);
    if (use > best_use + 0.03) {
      best = split;
      best_use = use;
    }
  }
  return best;
}

/* PLANES: floats of shared memory that the op's input takes. */
template <typename Op, typename W>
static void
launch_rows (CudaQueue *queue,
             const typename Op::Params &p,
             size_t n_tasks,
             size_t planes,
             int processors)
{
  CudaTasks<typename Op::Params> params = {
      p, n_tasks, choose_split (n_tasks, p.matrix.stride / W::N, processors)};
  size_t blocks = divide_up (n_tasks, WARPS / params.split), most = (size_t)processors * BLOCKS;
  launch (queue, tasks_kernel<Op, W>, dim3 ((unsigned)(blocks < most ? blocks : most)), THREADS,
          sizeof (Shared) + planes * sizeof (float), params);
}

template <typename Op>
static void
launch_tasks (CudaQueue *queue,
              const typename Op::Params &p,
              size_t n_tasks,
              size_t planes,
              int processors)
{
  switch (p.matrix.type) {
  case CUDA_WEIGHTS_F32:
    launch_rows<Op, WeightsF32> (queue, p, n_tasks, planes, processors);
    break;
  case CUDA_WEIGHTS_F16:
    launch_rows<Op, Weights16<F16>> (queue, p, n_tasks, planes, processors);
    break;
  case CUDA_WEIGHTS_BF16:
    launch_rows<Op, Weights16<BF16>> (queue, p, n_tasks, planes, processors);
    break;
  case CUDA_WEIGHTS_Q8:
    launch_rows<Op, WeightsQ8> (queue, p, n_tasks, planes, processors);
    break;
  case CUDA_WEIGHTS_Q4:
    launch_rows<Op, WeightsQ4> (queue, p, n_tasks, planes, processors);
    break;
  }
}

/* ---- [q, k, v, fc1] -------------------------------------------------------------------------- */

/* The pairs of a head: first those that are rotated together, then neighbours. */
static __host__ __device__ __forceinline__ size_t
count_pairs (int head_dim, int half)
{
  return half + (head_dim - 2 * half + 1) / 2;
}

struct Pairs {
  size_t q, k, v, all; /* where each section ends */
};

static __host__ __device__ Pairs
lay_out_pairs (const CudaProject &p)
{
  Pairs pairs;
  size_t f = p.matrix.n_out - (size_t)(p.n_heads + 2 * p.n_kv_heads) * p.head_dim;
  pairs.q = p.n_heads * count_pairs (p.head_dim, p.half);
  pairs.k = pairs.q + p.n_kv_heads * count_pairs (p.head_dim, p.half);
  pairs.v = pairs.k + p.n_kv_heads * count_pairs (p.head_dim, 0);
  pairs.all = pairs.v + (f + 1) / 2;
  return pairs;
}

struct Project {
  typedef CudaProject Params;
  const CudaProject &p;
  Pairs pairs;
  size_t f_row; /* fc1's first */

  __device__
  Project (const CudaProject &p_)
      : p (p_), pairs (lay_out_pairs (p_)),
        f_row ((size_t)(p_.n_heads + 2 * p_.n_kv_heads) * p_.head_dim)
  {
  }

  __device__ __forceinline__ void
  prefetch (void) const
  {
    prefetch_normed (p);
  }

  template <typename W>
  __device__ __forceinline__ const float *
  get_planes (Shared &s) const
  {
    return fill_normed<W> (s, p);
  }

  /* A task's rows; the second is the first again where it has one. Returns the first's head (of q,
   * k and v in a row), or -1 for fc1. */
  __device__ __forceinline__ int
  get_rows (size_t task, size_t (&rows)[ROWS]) const
  {
    if (task >= pairs.v) {
      rows[0] = f_row + (task - pairs.v) * 2;
      rows[1] = rows[0] + 1 < p.matrix.n_out ? rows[0] + 1 : rows[0];
      return -1;
    }
    int half = task < pairs.k ? p.half : 0;
    unsigned per_head = (unsigned)count_pairs (p.head_dim, half);
    unsigned in_section = (unsigned)(task < pairs.k ? task : task - pairs.k);
    int head = (int)(in_section / per_head), pair = (int)(in_section % per_head);
    int a = pair < half ? pair : half + pair, b = pair < half ? pair + half : a + 1;
    if (pair >= half) {
      a = 2 * half + (pair - half) * 2;
      b = a + 1 < p.head_dim ? a + 1 : a;
    }
    if (task >= pairs.k)
      head += p.n_heads + p.n_kv_heads;
    rows[0] = (size_t)head * p.head_dim + a;
    rows[1] = (size_t)head * p.head_dim + b;
    return head;
  }

  __device__ void
  store_cached (int head, const int (&d)[ROWS], const float (&values)[ROWS]) const
  {
    bool is_key = head < p.n_heads + p.n_kv_heads;
    size_t kv_head = head - p.n_heads - (is_key ? 0 : p.n_kv_heads);
    void *plane = is_key ? p.cache.keys : p.cache.values;
    size_t at = (kv_head * p.cache.context + *p.position) * p.cache.head_pad;
    for (int r = 0; r < ROWS; r++)
      if (p.cache.type == CUDA_TYPE_F32)
        ((float *)plane)[at + d[r]] = values[r];
      else
        ((F16 *)plane)[at + d[r]] = from_float<F16> (values[r]);
  }

  __device__ void
  store (size_t task, const float (&sums)[ROWS]) const
  {
    size_t rows[ROWS];
    int head = get_rows (task, rows);
    float values[ROWS];
    for (int r = 0; r < ROWS; r++)
      values[r] = sums[r] + p.matrix_bias[rows[r]];
    if (head < 0) {
      for (int r = 0; r < ROWS; r++)
        p.planes[cuda_plane (p.planes_from + rows[r] - f_row, p.planes_vector, p.planes_stride)] =
            activate (p.gelu, values[r]);
      return;
    }
    if (p.raw) {
      for (int r = 0; r < ROWS; r++)
        p.q[rows[r]] = values[r];
      return;
    }
    int d[ROWS];
    for (int r = 0; r < ROWS; r++)
      d[r] = (int)(rows[r] - (size_t)head * p.head_dim);
    if (head < p.n_heads + p.n_kv_heads && d[0] < p.half) {
      const float *angle = p.angles + ((size_t)*p.position * p.half + d[0]) * 2;
      float a = values[0], b = values[1];
      values[0] = a * angle[0] - b * angle[1];
      values[1] = b * angle[0] + a * angle[1];
    }
    if (head >= p.n_heads) {
      store_cached (head, d, values);
      return;
    }
    for (int r = 0; r < ROWS; r++)
      p.q[rows[r]] = values[r];
  }
};

void
cuda_project (CudaQueue *queue, const CudaProject *project, int processors)
{
  Pairs pairs = lay_out_pairs (*project);
  launch_tasks<Project> (queue, *project, pairs.all, project->matrix.stride, processors);
}

/* ---- Neighbouring rows ----------------------------------------------------------------------- */

/* Tasks of two neighbouring rows; the second is the first again where it has one. */
template <typename P> struct Neighbours {
  typedef P Params;
  const P &p;

  __device__
  Neighbours (const P &p_) : p (p_)
  {
  }

  __device__ __forceinline__ void
  get_rows (size_t task, size_t (&rows)[ROWS]) const
  {
    rows[0] = task * 2;
    rows[1] = rows[0] + 1 < p.matrix.n_out ? rows[0] + 1 : rows[0];
  }
};

/* ---- [dense, fc2] ---------------------------------------------------------------------------- */

struct Reduce : Neighbours<CudaReduce> {
  using Neighbours<CudaReduce>::Neighbours;

  __device__ __forceinline__ void
  prefetch (void) const
  {
    prefetch_vector (p.bias, p.matrix.n_out);
  }

  template <typename W>
  __device__ __forceinline__ const float *
  get_planes (Shared &s) const
  {
    return p.planes;
  }

  __device__ void
  store (size_t task, const float (&sums)[ROWS]) const
  {
    size_t rows[ROWS];
    get_rows (task, rows);
    for (int r = 0; r < ROWS && (r == 0 || rows[1] != rows[0]); r++)
      p.x[rows[r]] += sums[r] + p.bias[rows[r]];
  }
};

void
cuda_reduce (CudaQueue *queue, const CudaReduce *reduce, int processors)
{
  launch_tasks<Reduce> (queue, *reduce, divide_up (reduce->matrix.n_out, ROWS), 0, processors);
}

/* ---- Head ------------------------------------------------------------------------------------ */

struct Head : Neighbours<CudaHead> {
  using Neighbours<CudaHead>::Neighbours;

  __device__ __forceinline__ void
  prefetch (void) const
  {
    prefetch_normed (p);
  }

  template <typename W>
  __device__ __forceinline__ const float *
  get_planes (Shared &s) const
  {
    return fill_normed<W> (s, p);
  }

  __device__ void
  store (size_t task, const float (&sums)[ROWS]) const
  {
    size_t rows[ROWS];
    get_rows (task, rows);
    for (int r = 0; r < ROWS; r++)
      p.logits[rows[r]] = sums[r] + (p.matrix_bias != nullptr ? p.matrix_bias[rows[r]] : 0.f);
  }
};

void
cuda_head (CudaQueue *queue, const CudaHead *head, int processors)
{
  launch_tasks<Head> (queue, *head, divide_up (head->matrix.n_out, ROWS), head->matrix.stride,
                      processors);
}

/* ---- Prefill's weights ----------------------------------------------------------------------- */

/* Eight weights a thread, so that a warp writes neighbouring memory. */
static __global__ void
dequantize_kernel (CudaDequantize p)
{
  let_next_start ();
  wait_for_previous ();
  size_t eighths = p.matrix.stride / 8;
  size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;
  if (i >= p.rows * eighths)
    return;
  size_t row = p.first + i / eighths, column = i % eighths * 8, group = column / CUDA_GROUP;
  bool q8 = p.matrix.type == CUDA_WEIGHTS_Q8;
  const uint8_t *from = (const uint8_t *)p.matrix.data;
  from += q8 ? row * p.matrix.stride + column
             : row * (p.matrix.stride / 2) + group / 2 * CUDA_GROUP + column % CUDA_GROUP;
  uint16_t record = p.matrix.records[row * (p.matrix.stride / CUDA_GROUP) + group];
  float scale = f16_to_float (q8 ? record : (uint16_t)(record >> 1 & 0x7fc0)) * QUANT_FACTOR;
  const uint32_t *words = (const uint32_t *)from;
  uint32_t halves[4];
#pragma unroll
  for (int j = 0; j < 4; j++) {
    uint32_t pair = words[j / 2] >> j % 2 * 16; /* two bytes */
    float w[2];
#pragma unroll
    for (int k = 0; k < 2; k++) {
      uint32_t byte = pair >> k * 8;
      int q = q8 ? (int8_t)byte : 8 * (int)(byte >> group % 2 * 4 & 15) - (record & 0x7f);
      w[k] = scale * q;
    }
    halves[j] = f16_from_float (w[0]) | (uint32_t)f16_from_float (w[1]) << 16;
  }
  *(uint4 *)(p.to + i / eighths * p.to_stride + column) =
      uint4{halves[0], halves[1], halves[2], halves[3]};
}

void
cuda_dequantize (CudaQueue *queue, const CudaDequantize *dequantize)
{
  size_t threads = dequantize->rows * (dequantize->matrix.stride / 8);
  launch (queue, dequantize_kernel, dim3 ((unsigned)divide_up (threads, THREADS)), THREADS, 0,
          *dequantize);
}
