/* decode.cu - the linear layers of one position: a matrix times a vector, at the speed at which the
 * matrix can be read, with what comes before and after it in the same kernel.
 *
 * The grid is as large as the GPU holds at once. A task is two rows of the matrix, which one warp
 * (or several, where there are few rows) multiplies: each lane loads 16 bytes of each, several loads
 * at a time, and the sums meet in a fixed order. Nothing of the matrix depends on the kernels before,
 * so its first loads are on their way while those still run. */
#include "norm.h"
#include "packed.h"

#define THREADS 256
#define WARPS (THREADS / WARP)
#define BLOCKS 3 /* on each processor: a fourth would cost each thread some of its loads */
#define ROWS 2   /* of a task */
#define UNROLL 3 /* loads on their way, for each row */
#define AHEAD 4  /* loads of the first task's rows that are fetched into L2 early */

/* ---- What a row is multiplied with ----------------------------------------------------------- */

struct Shared {
  float reduced[2][WARPS];        /* of the norm */
  float parts[2][WARPS][ROWS];    /* of tasks that several warps share */
  __align__ (16) float planes[4]; /* [stride], where the input is normed */
};

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
prefetch_rows (const CudaMatrix &m, const unsigned (&rows)[ROWS], const Place &place)
{
  unsigned vectors = (unsigned)(m.stride / W::N);
  if (threadIdx.x % 8 == 0) /* a line of 128 bytes is enough */
    for (int r = 0; r < ROWS; r++) {
      const uint4 *row = (const uint4 *)m.data + (size_t)rows[r] * vectors;
      for (unsigned v = place.first; v < vectors && v < AHEAD * place.step; v += place.step)
        prefetch_to_l2 (row + v);
    }
}

/* A vector that every block reads, or NULL: some threads of the grid fetch a line of it each. */
static __device__ __forceinline__ void
prefetch_vector (const float *v, size_t n)
{
  size_t at = ((size_t)blockIdx.x * THREADS + threadIdx.x) * 32; /* 128 bytes */
  if (v != nullptr && at < n)
    prefetch_to_l2 (v + at);
}

/* A task's rows and what they are multiplied with, from this lane's next vector on. */
template <typename W> struct Rows {
  const uint4 *data[ROWS];
  typename W::Records records[ROWS];
  const float4 *planes;
  unsigned at, vectors; /* of a plane */

  __device__ __forceinline__
  Rows (const CudaMatrix &m, const unsigned (&rows)[ROWS], const float4 *planes_, unsigned v)
      : records{{m, rows[0], v}, {m, rows[1], v}}, planes (planes_), at (v),
        vectors ((unsigned)(m.stride / W::N))
  {
#pragma unroll
    for (int r = 0; r < ROWS; r++)
      data[r] = (const uint4 *)m.data + (size_t)rows[r] * vectors + v;
  }

  /* Adds the products of UNROLL vectors, STEP apart, as far as there are. All loads come before all
   * sums: the branches keep the compiler from mixing them. */
  __device__ __forceinline__ void
  multiply (unsigned step, float (&sums)[ROWS])
  {
    unsigned left = vectors - at;
    uint4 raw[UNROLL][ROWS];
    uint32_t scales[UNROLL][ROWS];
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      if (u * step >= left)
        continue;
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        raw[u][r] = load_once (data[r] + u * step);
        scales[u][r] = records[r].load (u * step);
      }
    }
#pragma unroll
    for (int u = 0; u < UNROLL; u++) {
      if (u * step >= left)
        continue;
      float parts[ROWS][W::PARTS] = {};
#pragma unroll
      for (int i = 0; i < W::N / 4; i++) {
        float4 x = planes[i * vectors + at + u * step];
#pragma unroll
        for (int r = 0; r < ROWS; r++)
          W::add (raw[u][r], scales[u][r], i, x, parts[r][i * 4 * W::PARTS / W::N]);
      }
#pragma unroll
      for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int i = 0; i < W::PARTS; i++)
          sums[r] += parts[r][i] * W::scale (scales[u][r], i);
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      data[r] += UNROLL * step;
      records[r].advance (UNROLL * step);
    }
    at += UNROLL * step;
  }
};

/* Adds this lane's part of the rows' products with the PLANES. */
template <typename W>
static __device__ __forceinline__ void
multiply_rows (const CudaMatrix &m,
               const unsigned (&rows)[ROWS],
               const float4 *planes,
               const Place &place,
               float (&sums)[ROWS])
{
  Rows<W> all (m, rows, planes, place.first);
  while (all.at < all.vectors)
    all.multiply (place.step, sums);
}

/* Sums of the lanes of all warps that share a task. */
static __device__ __forceinline__ void
join_lanes (Shared &s, const Place &place, unsigned turn, float (&sums)[ROWS])
{
#pragma unroll
  for (int r = 0; r < ROWS; r++)
    sums[r] = warp_sum (sums[r]);
  if (place.split == 1)
    return;
  if (threadIdx.x % WARP == 0)
#pragma unroll
    for (int r = 0; r < ROWS; r++)
      s.parts[turn][threadIdx.x / WARP][r] = sums[r];
  __syncthreads (); /* once a turn is enough, since turns alternate */
#pragma unroll
  for (int r = 0; r < ROWS; r++)
    sums[r] = 0.f;
#pragma unroll
  for (unsigned i = 0; i < WARPS; i++)
    if (i < place.split)
#pragma unroll
      for (int r = 0; r < ROWS; r++)
        sums[r] += s.parts[turn][place.group * place.split + i][r];
}

/* One row's product, with what it began with, for the lane that stores it. */
struct Outcome {
  unsigned row;
  unsigned r; /* which of its task's */
  float value;
  float other; /* the task's other row's */
  float old;   /* what was in its place */
};

/* All tasks that are this block's. OP says which rows a task has, what their sums begin with and
 * where they go: a lane of the task's first warp stores each. */
template <typename W, typename Op>
static __device__ void
run_tasks (Shared &s, const Op &op, const float4 *planes, const Place &place, unsigned n_tasks)
{
  unsigned turn = 0, lane = place.first;
  for (unsigned base = blockIdx.x * place.groups; base < n_tasks;
       base += gridDim.x * place.groups, turn ^= 1) {
    unsigned task = base + place.group, rows[ROWS] = {0, 0};
    float sums[ROWS] = {0.f, 0.f}, old = 0.f;
    if (task < n_tasks) {
      op.get_rows (task, rows);
      if (lane == 0)
#pragma unroll
        for (int r = 0; r < ROWS; r++)
          sums[r] = op.get_bias (rows[r]);
      if (lane < ROWS)
        old = op.get_old (lane == 0 ? rows[0] : rows[1]);
      multiply_rows<W> (op.p.matrix, rows, planes, place, sums);
    }
    join_lanes (s, place, turn, sums);
    if (task < n_tasks && (lane == 0 || (lane < ROWS && rows[1] != rows[0])))
      op.store (task, lane == 0 ? Outcome{rows[0], lane, sums[0], sums[1], old}
                                : Outcome{rows[1], lane, sums[1], sums[0], old});
  }
}

template <typename P> struct CudaTasks {
  P p;
  unsigned n_tasks;
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
  unsigned task = blockIdx.x * place.groups + place.group, rows[ROWS];
  if (task < params.n_tasks) {
    op.get_rows (task, rows);
    prefetch_rows<W> (params.p.matrix, rows, place);
  }
  op.load_early ();
  wait_for_previous ();
  const float *planes = op.template get_planes<W> (shared);
  run_tasks<W> (shared, op, (const float4 *)planes, place, params.n_tasks);
}

/* So many warps to a task that no processor has much more to do than another, as long as each has
 * work. Its blocks' turns need not be the same in number: they share its time. */
static unsigned
choose_split (size_t n_tasks, size_t vectors, int processors)
{
  unsigned best = 1;
  double best_use = 0;
  for (unsigned split = 1; split <= WARPS && vectors >= split * 2 * WARP; split *= 2) {
    size_t at_once = (size_t)processors * (WARPS / split);
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
      p, (unsigned)n_tasks, choose_split (n_tasks, p.matrix.stride / W::N, processors)};
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

/* What a CudaProject and a CudaHead have in common: their input is normed. */
template <typename P> struct Normed {
  typedef P Params;
  typedef RowNorm<THREADS> Norm;
  const P &p;
  Norm norm;
  float weight[Norm::OWN], bias[Norm::OWN]; /* on their way before the kernel waits */

  __device__
  Normed (const P &p_) : p (p_), norm (p_.n)
  {
  }

  __device__ __forceinline__ void
  load_early (void)
  {
    norm.load (p.weight, weight);
    norm.load (p.bias, bias);
    prefetch_vector (p.matrix_bias, p.matrix.n_out);
  }

  /* What pads the input is zero. */
  template <typename W>
  __device__ __forceinline__ const float *
  get_planes (Shared &s)
  {
    float x[Norm::OWN];
    norm.load (p.x, x);
    norm.measure (p.x, x, p.eps, s.reduced);
    unsigned stride = (unsigned)p.matrix.stride;
    /* A thread's values are whole vectors apart, and lie so in their plane. */
    float *to = s.planes + cuda_plane (threadIdx.x, W::N, stride);
#pragma unroll
    for (unsigned i = 0; i < Norm::OWN; i++)
      if (i < norm.full)
        to[i * (THREADS / W::N * 4)] = norm.apply (x[i], weight[i], bias[i]);
#pragma unroll 1
    for (unsigned i = norm.beyond; i < stride; i += THREADS)
      s.planes[cuda_plane (i, W::N, stride)] =
          i < norm.n ? norm.apply (p.x[i], p.weight[i], p.bias[i]) : 0.f;
    __syncthreads ();
    return s.planes;
  }

  __device__ __forceinline__ float
  get_bias (unsigned row) const
  {
    return p.matrix_bias != nullptr ? p.matrix_bias[row] : 0.f;
  }

  __device__ __forceinline__ float
  get_old (unsigned row) const
  {
    return 0.f;
  }
};

/* The pairs of a head: first those that are rotated together, then neighbours. */
static __host__ __device__ __forceinline__ unsigned
count_pairs (int head_dim, int half)
{
  return half + (head_dim - 2 * half + 1) / 2;
}

struct Pairs {
  unsigned q, k, v, all; /* where each section ends */
};

static __host__ __device__ Pairs
lay_out_pairs (const CudaProject &p)
{
  Pairs pairs;
  unsigned f = (unsigned)p.matrix.n_out - (p.n_heads + 2 * p.n_kv_heads) * p.head_dim;
  pairs.q = p.n_heads * count_pairs (p.head_dim, p.half);
  pairs.k = pairs.q + p.n_kv_heads * count_pairs (p.head_dim, p.half);
  pairs.v = pairs.k + p.n_kv_heads * count_pairs (p.head_dim, 0);
  pairs.all = pairs.v + (f + 1) / 2;
  return pairs;
}

struct Project : Normed<CudaProject> {
  Pairs pairs;
  unsigned f_row; /* fc1's first */

  __device__
  Project (const CudaProject &p_)
      : Normed (p_), pairs (lay_out_pairs (p_)),
        f_row ((p_.n_heads + 2 * p_.n_kv_heads) * p_.head_dim)
  {
  }

  /* A task's rows; the second is the first again where it has one. */
  __device__ __forceinline__ void
  get_rows (unsigned task, unsigned (&rows)[ROWS]) const
  {
    if (task >= pairs.v) {
      rows[0] = f_row + (task - pairs.v) * 2;
      rows[1] = rows[0] + 1 < p.matrix.n_out ? rows[0] + 1 : rows[0];
      return;
    }
    unsigned half = task < pairs.k ? p.half : 0, per_head = count_pairs (p.head_dim, half);
    unsigned in_section = task < pairs.k ? task : task - pairs.k;
    unsigned head = in_section / per_head, pair = in_section % per_head, a = pair, b = pair + half;
    if (pair >= half) {
      a = 2 * half + (pair - half) * 2;
      b = a + 1 < (unsigned)p.head_dim ? a + 1 : a;
    }
    if (task >= pairs.k)
      head += p.n_heads + p.n_kv_heads;
    rows[0] = head * p.head_dim + a;
    rows[1] = head * p.head_dim + b;
  }

  /* Dimension D of a head of q, k and v in a row. */
  __device__ void
  store_cached (unsigned head, unsigned d, float value) const
  {
    bool is_key = head < (unsigned)(p.n_heads + p.n_kv_heads);
    size_t kv_head = head - p.n_heads - (is_key ? 0 : p.n_kv_heads);
    void *plane = is_key ? p.cache.keys : p.cache.values;
    size_t at = (kv_head * p.cache.context + *p.position) * p.cache.head_pad + d;
    if (p.cache.type == CUDA_TYPE_F32)
      ((float *)plane)[at] = value;
    else
      ((F16 *)plane)[at] = from_float<F16> (value);
  }

  __device__ void
  store (unsigned task, const Outcome &o) const
  {
    float value = o.value;
    if (task >= pairs.v) {
      p.planes[find_plane (p.planes_from + o.row - f_row, p.planes_vector, p.planes_stride)] =
          activate (p.gelu, value);
      return;
    }
    if (p.raw) {
      p.q[o.row] = value;
      return;
    }
    unsigned head = o.row / p.head_dim, d = o.row - head * p.head_dim, half = p.half;
    if (task < pairs.k && d < 2 * half) {
      const float *angle = p.angles + ((size_t)*p.position * half + d - o.r * half) * 2;
      value = value * angle[0] + (o.r == 0 ? -o.other : o.other) * angle[1];
    }
    if (task < pairs.q)
      p.q[o.row] = value;
    else
      store_cached (head, d, value);
  }
};

void
cuda_project (CudaQueue *queue, const CudaProject *project, int processors)
{
  Pairs pairs = lay_out_pairs (*project);
  launch_tasks<Project> (queue, *project, pairs.all, project->matrix.stride, processors);
}

/* ---- [dense, fc2] ---------------------------------------------------------------------------- */

/* A task's two neighbouring rows; the second is the first again where it has one. */
static __device__ __forceinline__ void
get_neighbours (const CudaMatrix &m, unsigned task, unsigned (&rows)[ROWS])
{
  rows[0] = task * 2;
  rows[1] = rows[0] + 1 < m.n_out ? rows[0] + 1 : rows[0];
}

struct Reduce {
  typedef CudaReduce Params;
  const CudaReduce &p;

  __device__
  Reduce (const CudaReduce &p_) : p (p_)
  {
  }

  __device__ __forceinline__ void
  load_early (void)
  {
    prefetch_vector (p.bias, p.matrix.n_out);
  }

  template <typename W>
  __device__ __forceinline__ const float *
  get_planes (Shared &s)
  {
    return p.planes;
  }

  __device__ __forceinline__ void
  get_rows (unsigned task, unsigned (&rows)[ROWS]) const
  {
    get_neighbours (p.matrix, task, rows);
  }

  __device__ __forceinline__ float
  get_bias (unsigned row) const
  {
    return p.bias[row];
  }

  /* Read before the product is there, and added after it: the residual would swallow its parts. */
  __device__ __forceinline__ float
  get_old (unsigned row) const
  {
    return p.x[row];
  }

  __device__ __forceinline__ void
  store (unsigned task, const Outcome &o) const
  {
    p.x[o.row] = o.old + o.value;
  }
};

void
cuda_reduce (CudaQueue *queue, const CudaReduce *reduce, int processors)
{
  launch_tasks<Reduce> (queue, *reduce, divide_up (reduce->matrix.n_out, ROWS), 0, processors);
}

/* ---- Head ------------------------------------------------------------------------------------ */

struct Head : Normed<CudaHead> {
  using Normed<CudaHead>::Normed;

  __device__ __forceinline__ void
  get_rows (unsigned task, unsigned (&rows)[ROWS]) const
  {
    get_neighbours (p.matrix, task, rows);
  }

  __device__ __forceinline__ void
  store (unsigned task, const Outcome &o) const
  {
    p.logits[o.row] = o.value;
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
