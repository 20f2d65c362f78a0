/* attention.cu - softmax (scale q k^T) v over cached keys and values: the plain way for many queries
 * (attention-tensor.cu has the fast one) and, split over the keys, the way for one.
 *
 * A block holds up to four queries of one KV head. Each thread takes a key and its four scores,
 * then each takes eight dimensions of some of the values: no sum crosses threads before the end but
 * the softmax's own, and every size goes. Keys and the first values are all on their way before
 * anything waits for one. */
#include "platform.h"

#define QUERIES 4
#define KEYS 128 /* threads too */
#define HEAD_MAX 256
#define BATCH 8 /* loads on their way, of values */

/* For up to M queries. */
template <int M> struct PlainShared {
  float q[M][HEAD_MAX]; /* scaled; padding zero */
  float p[M][KEYS];
  float reduced[2][M][KEYS / WARP];
  float parts[KEYS * 8]; /* a query's sums by subset of keys */
};

/* Up to M queries against keys [begin, end) of one head, tile by tile. PAD: head_pad, or 0 where it
 * is not known when this is compiled. */
template <typename KV, int M, int PAD> struct Plain {
  /* KEY_BATCH: loads on their way, of a key; with registers to spare, as many as Phi-2's has. */
  enum { N = Vector<KV>::N, KEY_BATCH = M == 1 ? 10 : BATCH };
  PlainShared<M> &s;
  unsigned pad;
  const KV *keys; /* of the head: [context, pad] */
  const KV *values;
  unsigned subsets; /* of a tile's values; a thread has every so-manieth from SUBSET on, */
  unsigned subset;
  unsigned column; /* and of those N dimensions */
  int n_queries;
  float q[M][HEAD_MAX / KEYS]; /* this thread's dimensions, on their way to shared memory */
  size_t limits[M];            /* query i sees keys below it */
  float max[M];
  float sum[M];
  float out[M][N]; /* of this thread's dimensions and keys */

  __device__
  Plain (PlainShared<M> &shared, const CudaCache &cache, int head)
      : s (shared), pad (PAD != 0 ? PAD : (unsigned)cache.head_pad),
        keys ((const KV *)cache.keys + head * cache.context * pad),
        values ((const KV *)cache.values + head * cache.context * pad),
        subsets (KEYS / (pad / N)), subset (threadIdx.x / (pad / N)),
        column (threadIdx.x % (pad / N) * N), n_queries (0)
  {
    for (int i = 0; i < M; i++) {
      limits[i] = 0;
      max[i] = -INFINITY;
      sum[i] = 0.f;
      for (int j = 0; j < N; j++)
        out[i][j] = 0.f;
    }
  }

  /* Adds a query that sees keys below LIMIT. */
  __device__ void
  add (const float *from, int head_dim, float scale, size_t limit)
  {
#pragma unroll
    for (int i = 0; i < M; i++)
      if (i == n_queries) {
        limits[i] = limit;
#pragma unroll
        for (int m = 0; m < HEAD_MAX / KEYS; m++) {
          unsigned d = threadIdx.x + m * KEYS;
          q[i][m] = d < (unsigned)head_dim ? from[d] * scale : 0.f;
        }
      }
    n_queries++;
  }

  __device__ void
  store_queries ()
  {
#pragma unroll
    for (int i = 0; i < M; i++)
#pragma unroll
      for (int m = 0; m < HEAD_MAX / KEYS; m++)
        if (i < n_queries && threadIdx.x + m * KEYS < pad)
          s.q[i][threadIdx.x + m * KEYS] = q[i][m];
  }

  /* Of a key's dimensions, those from FIRST on. */
  __device__ void
  load_key (size_t key, size_t end, unsigned first, uint4 (&raw)[KEY_BATCH])
  {
    const KV *row = keys + key * pad + first;
#pragma unroll
    for (int u = 0; u < KEY_BATCH; u++)
      if (key < end && first + u * N < pad)
        raw[u] = *(const uint4 *)(row + u * N);
  }

  /* RAW: the key's first dimensions. */
  __device__ void
  score (size_t key, size_t end, uint4 (&raw)[KEY_BATCH], float (&scores)[M])
  {
    for (int i = 0; i < M; i++)
      scores[i] = 0.f;
    for (unsigned d = 0; key < end && d < pad; d += KEY_BATCH * N) {
      if (d != 0)
        load_key (key, end, d, raw);
#pragma unroll
      for (int u = 0; u < KEY_BATCH; u++)
        if (d + u * N < pad) {
          float k[N];
          Vector<KV>::unpack (raw[u], k);
#pragma unroll
          for (int i = 0; i < M; i++)
            if (i < n_queries)
#pragma unroll
              for (int j = 0; j < N; j++)
                scores[i] += s.q[i][d + u * N + j] * k[j];
        }
    }
#pragma unroll
    for (int i = 0; i < M; i++)
      if (key >= end || key >= limits[i])
        scores[i] = -INFINITY;
  }

  /* Scores to probabilities relative to the greatest score so far; what was summed before is scaled
   * to it. */
  __device__ void
  soften (float (&scores)[M])
  {
    unsigned warp = threadIdx.x / WARP;
#pragma unroll
    for (int i = 0; i < M; i++) {
      float greatest = warp_max (scores[i]);
      if (threadIdx.x % WARP == 0)
        s.reduced[0][i][warp] = greatest;
    }
    __syncthreads ();
#pragma unroll
    for (int i = 0; i < M; i++) {
      float greatest = max[i];
      for (int j = 0; j < KEYS / WARP; j++)
        greatest = fmaxf (greatest, s.reduced[0][i][j]);
      /* Nothing seen yet: there is no maximum to be relative to. */
      float factor = max[i] == greatest ? 1.f : expf (max[i] - greatest);
      float p = scores[i] == -INFINITY ? 0.f : expf (scores[i] - greatest);
      max[i] = greatest;
      s.p[i][threadIdx.x] = p;
      sum[i] *= factor;
      for (int j = 0; j < N; j++)
        out[i][j] *= factor;
      float total = warp_sum (p);
      if (threadIdx.x % WARP == 0)
        s.reduced[1][i][warp] = total;
    }
    __syncthreads ();
#pragma unroll
    for (int i = 0; i < M; i++)
      for (int j = 0; j < KEYS / WARP; j++)
        sum[i] += s.reduced[1][i][j];
  }

  /* The next of this thread's values from KEY on, of a tile of N that begins at FIRST. */
  __device__ void
  load_values (size_t first, unsigned n, unsigned key, uint4 (&raw)[BATCH])
  {
    const KV *from = values + (first + key) * pad + column;
#pragma unroll
    for (int u = 0; u < BATCH; u++)
      if (subset < subsets && key + u * subsets < n)
        raw[u] = *(const uint4 *)(from + u * subsets * pad);
  }

  /* RAW: the first values. */
  __device__ void
  accumulate (size_t first, unsigned n, uint4 (&raw)[BATCH])
  {
    for (unsigned key = subset; subset < subsets && key < n; key += BATCH * subsets) {
      if (key != subset)
        load_values (first, n, key, raw);
#pragma unroll
      for (int u = 0; u < BATCH; u++) {
        unsigned at = key + u * subsets;
        if (at >= n)
          continue;
        float v[N];
        Vector<KV>::unpack (raw[u], v);
#pragma unroll
        for (int i = 0; i < M; i++)
          if (i < n_queries)
#pragma unroll
            for (int j = 0; j < N; j++)
              out[i][j] += s.p[i][at] * v[j];
      }
    }
  }

  /* All of a tile's keys and values are on their way before anything waits for the queries. */
  __device__ void
  run (size_t begin, size_t end)
  {
    for (size_t first = begin; first < end; first += KEYS) {
      unsigned n = end - first < KEYS ? (unsigned)(end - first) : KEYS;
      uint4 key[KEY_BATCH], ahead[BATCH];
      load_key (first + threadIdx.x, end, 0, key);
      load_values (first, n, subset, ahead);
      if (first == begin)
        store_queries ();
      __syncthreads (); /* the queries are there; the tile before is done with */
      float scores[M];
      score (first + threadIdx.x, end, key, scores);
      soften (scores);
      accumulate (first, n, ahead);
    }
  }

  /* Query I's sums, not yet divided, for dimensions D = thread, thread + KEYS ... < HEAD_MAX. All
   * threads call it. */
  __device__ void
  join (int i, float (&joined)[HEAD_MAX / KEYS])
  {
    __syncthreads ();
    if (subset < subsets)
#pragma unroll
      for (int j = 0; j < N; j++)
#pragma unroll
        for (int k = 0; k < M; k++)
          if (k == i)
            s.parts[subset * pad + column + j] = out[k][j];
    __syncthreads ();
#pragma unroll
    for (int m = 0; m < HEAD_MAX / KEYS; m++) {
      unsigned at = threadIdx.x + m * KEYS;
      joined[m] = 0.f;
      for (unsigned j = 0; at < pad && j < subsets; j++)
        joined[m] += s.parts[j * pad + at];
    }
  }
};

/* ---- Many queries, plainly ------------------------------------------------------------------- */

template <typename KV, typename T>
static __global__ void
plain_kernel (CudaAttention p)
{
  let_next_start ();
  wait_for_previous ();
  SHARED (PlainShared<QUERIES>, shared);
  int head = blockIdx.y;
  size_t first = (size_t)blockIdx.x * QUERIES, end = p.n_keys;
  int n = p.rows - first < QUERIES ? (int)(p.rows - first) : QUERIES;
  Plain<KV, QUERIES, 0> plain (shared, p.cache, head / (p.n_heads / p.n_kv_heads));
  for (int i = 0; i < n; i++)
    plain.add (p.q + (first + i) * p.q_stride + head * p.head_dim, p.head_dim, p.scale,
               p.causal ? p.position + first + i + 1 : p.n_keys);
  if (p.causal)
    end = p.position + first + n;
  plain.run (0, end);
#pragma unroll
  for (int i = 0; i < QUERIES; i++) {
    if (i >= n)
      break;
    float joined[HEAD_MAX / KEYS];
    plain.join (i, joined);
    T *out = (T *)p.out + (first + i) * p.out_stride + head * p.head_dim;
#pragma unroll
    for (int m = 0; m < HEAD_MAX / KEYS; m++)
      if (threadIdx.x + m * KEYS < (unsigned)p.head_dim)
        out[threadIdx.x + m * KEYS] = from_float<T> (joined[m] / plain.sum[i]);
  }
}

template <typename KV>
static void
attend_plainly (CudaQueue *queue, const CudaAttention *p)
{
  dim3 grid ((unsigned)divide_up (p->rows, QUERIES), p->n_heads);
  void (*kernel) (CudaAttention) = p->out_type == CUDA_TYPE_F32   ? plain_kernel<KV, float>
                                   : p->out_type == CUDA_TYPE_F16 ? plain_kernel<KV, F16>
                                                                  : plain_kernel<KV, BF16>;
  launch (queue, kernel, grid, KEYS, sizeof (PlainShared<QUERIES>), *p);
}

void
cuda_attend_plainly (CudaQueue *queue, const CudaAttention *attention)
{
  if (attention->cache.type == CUDA_TYPE_F32)
    attend_plainly<float> (queue, attention);
  else
    attend_plainly<F16> (queue, attention);
}

/* ---- One row, split over its keys ------------------------------------------------------------ */

template <int M> struct OneShared {
  PlainShared<M> plain;
  float max[CUDA_MAX_SPLITS];
  float sum[CUDA_MAX_SPLITS];
  float factor[CUDA_MAX_SPLITS];
  unsigned arrived;
};

/* The parts of one query, [n_splits, pad + 2]: greatest score, sum, undivided output. The first few
 * outputs of a thread's dimension are on their way while the greatest are compared. */
template <int M>
static __device__ void
join_splits (OneShared<M> &s, const CudaDecodeAttention &p, int head)
{
  enum { EARLY = 8 };
  int size = (int)p.cache.head_pad + 2, n = p.n_splits;
  const float *parts = p.partials + (size_t)head * n * size;
  float early[EARLY], max = -INFINITY, sum = 0.f;
#pragma unroll
  for (int i = 0; i < EARLY; i++)
    if (i < n && (int)threadIdx.x < p.head_dim)
      early[i] = __ldcg (parts + i * size + 2 + threadIdx.x);
  __syncthreads (); /* the head before is done */
  if ((int)threadIdx.x < n) {
    s.max[threadIdx.x] = __ldcg (parts + threadIdx.x * size);
    s.sum[threadIdx.x] = __ldcg (parts + threadIdx.x * size + 1);
  }
  __syncthreads ();
  for (int i = 0; i < n; i++)
    max = fmaxf (max, s.max[i]);
  if ((int)threadIdx.x < n)
    s.factor[threadIdx.x] = expf (s.max[threadIdx.x] - max);
  __syncthreads ();
  for (int i = 0; i < n; i++)
    sum += s.sum[i] * s.factor[i];
  for (int d = threadIdx.x; d < p.head_dim; d += KEYS) {
    float out = 0.f;
#pragma unroll
    for (int i = 0; i < EARLY; i++)
      if (i < n)
        out += (d < KEYS ? early[i] : __ldcg (parts + i * size + 2 + d)) * s.factor[i];
    for (int i = EARLY; i < n; i++)
      out += __ldcg (parts + i * size + 2 + d) * s.factor[i];
    p.planes[find_plane (head * p.head_dim + d, p.planes_vector, p.planes_stride)] = out / sum;
  }
}

/* Part PART of N_PARTS of the keys that a row at POSITION sees. */
struct Split {
  unsigned begin, end, n_keys;

  __device__
  Split (unsigned position, unsigned part, unsigned n_parts) : n_keys (position + 1)
  {
    unsigned each = (n_keys + n_parts - 1) / n_parts;
    begin = part * each < n_keys ? part * each : n_keys;
    end = begin + each < n_keys ? begin + each : n_keys;
  }
};

/* Fetches a part's keys and values into L2, all but what the kernel before is still writing. */
template <typename KV>
static __device__ void
prefetch_split (const CudaCache &cache, int kv_head, const Split &split)
{
  enum { LINE = 128 / sizeof (KV) };
  size_t row = kv_head * cache.context, first = (row + split.begin) * cache.head_pad;
  for (size_t i = first + threadIdx.x * LINE; i < (row + split.end) * cache.head_pad;
       i += KEYS * LINE) {
    prefetch_to_l2 ((const KV *)cache.keys + i);
    prefetch_to_l2 ((const KV *)cache.values + i);
  }
}

/* M queries of a KV head for a block: one where each has a KV head of its own. */
template <typename KV, int M, int PAD>
static __global__ void
one_kernel (CudaDecodeAttention p)
{
  SHARED (OneShared<M>, shared);
  let_next_start ();
  int group = M == 1 ? 1 : p.n_heads / p.n_kv_heads, tuples = (group + M - 1) / M;
  int kv_head = blockIdx.y / tuples, first = kv_head * group + blockIdx.y % tuples * M;
  int n = (kv_head + 1) * group - first;
  if (n > M)
    n = M;
  /* The position may be about to change: it is good enough to fetch by, and must not stay in L1. */
  prefetch_split<KV> (p.cache, kv_head, Split (__ldcg (p.position), blockIdx.x, p.n_splits));
  wait_for_previous ();
  Split split (*p.position, blockIdx.x, p.n_splits);
  Plain<KV, M, PAD> plain (shared.plain, p.cache, kv_head);
  for (int i = 0; i < n; i++)
    plain.add (p.q + (first + i) * p.head_dim, p.head_dim, p.scale, split.n_keys);
  plain.run (split.begin, split.end);

  size_t size = p.cache.head_pad + 2;
#pragma unroll
  for (int i = 0; i < M; i++) {
    if (i >= n)
      break;
    float joined[HEAD_MAX / KEYS];
    plain.join (i, joined);
    float *to = p.partials + ((size_t)(first + i) * p.n_splits + blockIdx.x) * size;
    if (threadIdx.x == 0) {
      to[0] = plain.max[i];
      to[1] = plain.sum[i];
    }
#pragma unroll
    for (int m = 0; m < HEAD_MAX / KEYS; m++)
      if (threadIdx.x + m * KEYS < p.cache.head_pad)
        to[2 + threadIdx.x + m * KEYS] = joined[m];
  }
  __threadfence (); /* what every thread wrote is seen before the block's arrival is */
  __syncthreads ();
  if (threadIdx.x == 0)
    shared.arrived = atomicAdd (&p.arrivals[first], 1u);
  __syncthreads ();
  if (shared.arrived != (unsigned)p.n_splits - 1)
    return;
  __threadfence ();
  for (int i = 0; i < n; i++)
    join_splits (shared, p, first + i);
  if (threadIdx.x == 0)
    p.arrivals[first] = 0;
}

template <typename KV, int M, int PAD>
static void
attend_one (CudaQueue *queue, const CudaDecodeAttention *p)
{
  int group = p->n_heads / p->n_kv_heads;
  dim3 grid (p->n_splits, p->n_kv_heads * (unsigned)divide_up (group, M));
  launch (queue, one_kernel<KV, M, PAD>, grid, KEYS, sizeof (OneShared<M>), *p);
}

void
cuda_attend_one (CudaQueue *queue, const CudaDecodeAttention *attention)
{
  bool alone = attention->n_heads == attention->n_kv_heads;
  if (attention->cache.type == CUDA_TYPE_F32)
    alone ? attend_one<float, 1, 0> (queue, attention)
          : attend_one<float, QUERIES, 0> (queue, attention);
  else if (alone && attention->cache.head_pad == 80) /* Phi-2's */
    attend_one<F16, 1, 80> (queue, attention);
  else
    alone ? attend_one<F16, 1, 0> (queue, attention)
          : attend_one<F16, QUERIES, 0> (queue, attention);
}
