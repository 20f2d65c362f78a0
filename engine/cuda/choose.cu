/* choose.cu - the next token, as AllavaSampler chooses it (engine/sampler.c).
 *
 * The sampler sorts; here nothing is sorted. Weights exp ((logit - greatest) / temperature) are
 * whole numbers, so sums do not depend on their order, and "the sum of the first n in the sampler's
 * order" and "the first whose sum reaches x" are found digit by digit of the logits. */
#include "platform.h"

#define THREADS 256
#define DRAW_THREADS 1024
#define BINS 256
#define NOT_FINITE UINT64_MAX
#define NONE 0

typedef unsigned long long Sum; /* what atomicAdd takes */

/* Finite floats in order, as unsigned numbers; -0 is 0. */
static __device__ __forceinline__ uint32_t
order (float x)
{
  uint32_t bits = bits_of_float (x + 0.f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static __device__ __forceinline__ float
unorder (uint32_t key)
{
  return float_of_bits (key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

static __device__ __forceinline__ bool
may_choose (const CudaChoose &p, size_t id)
{
  return p.allowed[id] && ((int32_t)id != p.state->eos || p.state->step >= p.state->min_new);
}

/* One thread: BEST is the chosen logit's key over the id's complement, NOT_FINITE, or NONE, where
 * only the end token is left. */
static __device__ void
commit (const CudaChoose &p, int32_t token)
{
  CudaState *state = p.state;
  p.ring[state->step % CUDA_RING] = token;
  __threadfence_system ();
  state->token = token >= 0 ? token : 0;
  state->position++;
  state->step++;
}

static __device__ __forceinline__ int32_t
token_of (const CudaChoose &p, uint64_t best)
{
  return best == NOT_FINITE ? -1 : best == NONE ? p.state->eos : (int32_t) ~(uint32_t)best;
}

/* ---- The greatest ---------------------------------------------------------------------------- */

struct GreatestShared {
  uint64_t best[THREADS / WARP];
  unsigned arrived;
};

static __device__ uint64_t
block_greatest (GreatestShared &s, uint64_t best)
{
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    uint64_t other = __shfl_xor_sync (ALL_LANES, best, offset);
    best = other > best ? other : best;
  }
  if (threadIdx.x % WARP == 0)
    s.best[threadIdx.x / WARP] = best;
  __syncthreads ();
  for (int i = 0; i < THREADS / WARP; i++)
    best = s.best[i] > best ? s.best[i] : best;
  return best;
}

static __global__ void
greatest_kernel (CudaChoose p)
{
  let_next_start ();
  wait_for_previous ();
  SHARED (GreatestShared, shared);
  uint64_t best = NONE;
  for (size_t id = (size_t)blockIdx.x * THREADS + threadIdx.x; id < p.vocab;
       id += (size_t)gridDim.x * THREADS) {
    uint64_t key = (uint64_t)order (p.logits[id]) << 32 | (uint32_t) ~(uint32_t)id;
    if (p.allowed[id] && !isfinite (p.logits[id]))
      best = NOT_FINITE;
    else if (may_choose (p, id) && key > best)
      best = key;
  }
  best = block_greatest (shared, best);
  if (threadIdx.x == 0) {
    p.best[blockIdx.x] = best;
    __threadfence ();
    shared.arrived = atomicAdd (p.arrivals, 1u);
  }
  __syncthreads ();
  if (shared.arrived != gridDim.x - 1)
    return;
  __threadfence ();
  best = threadIdx.x < gridDim.x ? __ldcg (&p.best[threadIdx.x]) : NONE;
  best = block_greatest (shared, best);
  if (threadIdx.x != 0)
    return;
  *p.arrivals = 0;
  if (p.sampled)
    p.best[CUDA_CHOOSE_PARTS] = best;
  else
    commit (p, token_of (p, best));
}

/* ---- Weights --------------------------------------------------------------------------------- */

/* Of the greatest logit. All of VOCAB together stay below 2^63. */
static __host__ __device__ __forceinline__ double
full_weight (size_t vocab)
{
  double weight = 4611686018427387904.0; /* 2^62 */
  for (size_t n = 1; n < vocab; n *= 2)
    weight /= 2;
  return weight;
}

static __global__ void
weigh_kernel (CudaChoose p)
{
  let_next_start ();
  wait_for_previous ();
  uint64_t best = p.best[CUDA_CHOOSE_PARTS];
  double full = full_weight (p.vocab), greatest = unorder ((uint32_t)(best >> 32));
  if (best == NOT_FINITE || best == NONE)
    return;
  for (size_t id = (size_t)blockIdx.x * THREADS + threadIdx.x; id < p.vocab;
       id += (size_t)gridDim.x * THREADS)
    p.weights[id] =
        may_choose (p, id)
            ? (uint64_t)(exp ((p.logits[id] - greatest) / p.state->temperature) * full)
            : 0;
}

/* ---- Drawing --------------------------------------------------------------------------------- */

/* Sums lie in two halves: adding 64 bits to shared memory is a loop that tries until no other thread
 * comes between, and most logits share a few bins. */
struct DrawShared {
  unsigned counts[BINS]; /* bin 0 holds the greatest digits */
  unsigned low[BINS];
  unsigned high[BINS];
  Sum above_count; /* of what comes before the bin that was found */
  Sum above_sum;
  unsigned bin;
  unsigned ties[DRAW_THREADS / WARP];
  int32_t id;

  __device__ void
  clear ()
  {
    for (unsigned i = threadIdx.x; i < BINS; i += DRAW_THREADS)
      counts[i] = low[i] = high[i] = 0;
  }

  __device__ void
  add (unsigned i, unsigned n, Sum weight)
  {
    unsigned low_part = (unsigned)weight, high_part = (unsigned)(weight >> 32);
    unsigned before = atomicAdd (&low[i], low_part);
    high_part += before + low_part < before;
    atomicAdd (&counts[i], n);
    if (high_part != 0)
      atomicAdd (&high[i], high_part);
  }

  __device__ Sum
  sum (unsigned i) const
  {
    return (Sum)high[i] << 32 | low[i];
  }
};

struct Draw {
  const CudaChoose &p;
  DrawShared &s;
  uint32_t prefix; /* digits found so far */
  Sum count;       /* of what comes before all that begin with them */
  Sum sum;

  __device__
  Draw (const CudaChoose &p_, DrawShared &s_) : p (p_), s (s_), prefix (0), count (0), sum (0)
  {
  }

  /* Fills the bins with those candidates that have the prefix, by their next digit. */
  __device__ void
  fill (int shift)
  {
    s.clear ();
    __syncthreads ();
    for (size_t id = threadIdx.x; id < p.vocab; id += DRAW_THREADS) {
      uint32_t key = order (p.logits[id]);
      if (!may_choose (p, id) || (shift < 24 && key >> (shift + 8) != prefix))
        continue;
      unsigned bin = BINS - 1 - (key >> shift & (BINS - 1));
      s.add (bin, 1, p.weights[id]);
    }
    __syncthreads ();
  }

  /* The first bin with which the count, or the sum, reaches the target. One warp: each lane has
   * eight bins. */
  __device__ void
  find (bool by_count, Sum target)
  {
    unsigned lane = threadIdx.x;
    Sum own_count = 0, own_sum = 0;
    for (unsigned i = lane * 8; i < lane * 8 + 8; i++) {
      own_count += s.counts[i];
      own_sum += s.sum (i);
    }
    Sum end_count = own_count, end_sum = own_sum;
    for (unsigned offset = 1; offset < WARP; offset *= 2) {
      Sum before_count = __shfl_up_sync (ALL_LANES, end_count, offset);
      Sum before_sum = __shfl_up_sync (ALL_LANES, end_sum, offset);
      end_count += lane >= offset ? before_count : 0;
      end_sum += lane >= offset ? before_sum : 0;
    }
    Sum c = count + end_count - own_count, w = sum + end_sum - own_sum;
    bool before = by_count ? c < target : w < target;
    bool after = by_count ? c + own_count >= target : w + own_sum >= target;
    if (!before || !after)
      return;
    for (unsigned i = lane * 8;; i++) {
      if ((by_count ? c + s.counts[i] : w + s.sum (i)) >= target) {
        s.bin = i;
        s.above_count = c;
        s.above_sum = w;
        return;
      }
      c += s.counts[i];
      w += s.sum (i);
    }
  }

  /* The first candidate, greatest first, with which the count or the sum reaches TARGET, which they
   * do. Returns the sum with it; FIND_ID leaves its id in the shared memory. */
  __device__ Sum
  search (bool by_count, Sum target, bool find_id)
  {
    prefix = 0;
    count = sum = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
      fill (shift);
      if (threadIdx.x < WARP)
        find (by_count, target);
      __syncthreads ();
      prefix = prefix << 8 | (BINS - 1 - s.bin);
      count = s.above_count;
      sum = s.above_sum;
    }
    /* Equal logits have equal weights, and come in the order of their ids. */
    Sum weight = s.sum (s.bin) / s.counts[s.bin];
    Sum rank = by_count ? target - count : (target - sum + weight - 1) / weight;
    if (find_id)
      find_tie (rank);
    __syncthreads (); /* before the bins are filled again */
    return sum + rank * weight;
  }

  /* The id of the RANK-th (from 1) candidate whose logit is the prefix: each thread has a stretch of
   * ids. */
  __device__ void
  find_tie (Sum rank)
  {
    size_t each = divide_up (p.vocab, DRAW_THREADS), begin = threadIdx.x * each;
    size_t end = begin + each < p.vocab ? begin + each : p.vocab;
    unsigned own = 0, lane = threadIdx.x % WARP;
    for (size_t id = begin; id < end; id++)
      own += may_choose (p, id) && order (p.logits[id]) == prefix;
    unsigned upto = own;
    for (unsigned offset = 1; offset < WARP; offset *= 2) {
      unsigned before = __shfl_up_sync (ALL_LANES, upto, offset);
      upto += lane >= offset ? before : 0;
    }
    if (lane == WARP - 1)
      s.ties[threadIdx.x / WARP] = upto;
    __syncthreads ();
    for (unsigned i = 0; i < threadIdx.x / WARP; i++)
      upto += s.ties[i];
    if (upto < rank || upto - own >= rank)
      return;
    unsigned seen = upto - own;
    for (size_t id = begin; id < end; id++) {
      seen += may_choose (p, id) && order (p.logits[id]) == prefix;
      if (seen == rank) {
        s.id = (int32_t)id;
        return;
      }
    }
  }
};

/* SplitMix64 (Steele, Lea, Flood 2014): 53 bits. */
static __device__ uint64_t
next_random (uint64_t *state)
{
  uint64_t z = *state + 0x9e3779b97f4a7c15u;
  *state = z;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (z ^ (z >> 31)) >> 11;
}

/* Bin 0 holds all candidates. */
static __device__ void
sum_all (const CudaChoose &p, DrawShared &s)
{
  s.clear ();
  __syncthreads ();
  Sum own = 0;
  unsigned n = 0;
  for (size_t id = threadIdx.x; id < p.vocab; id += DRAW_THREADS)
    if (may_choose (p, id)) {
      own += p.weights[id];
      n++;
    }
  for (int offset = WARP / 2; offset > 0; offset /= 2) {
    own += __shfl_xor_sync (ALL_LANES, own, offset);
    n += __shfl_xor_sync (ALL_LANES, n, offset);
  }
  if (threadIdx.x % WARP == 0)
    s.add (0, n, own);
  __syncthreads ();
}

static __global__ void __launch_bounds__ (DRAW_THREADS)
draw_kernel (CudaChoose p)
{
  let_next_start ();
  wait_for_previous ();
  SHARED (DrawShared, shared);
  uint64_t best = p.best[CUDA_CHOOSE_PARTS];
  if (best == NOT_FINITE || best == NONE) {
    if (threadIdx.x == 0)
      commit (p, token_of (p, best));
    return;
  }
  Draw draw (p, shared);
  sum_all (p, shared);
  Sum kept = shared.sum (0);
  unsigned n = shared.counts[0];
  __syncthreads ();
  if (p.state->top_k > 0 && (unsigned)p.state->top_k < n)
    kept = draw.search (true, p.state->top_k, false);
  if (p.state->top_p < 1) {
    Sum wanted = (Sum)ceil (p.state->top_p * (double)kept);
    wanted = wanted > kept ? kept : wanted < 1 ? 1 : wanted;
    kept = draw.search (false, wanted, false);
  }
  uint64_t random = p.state->random, bits = next_random (&random);
  Sum at = (Sum)__umul64hi (bits << 11, kept); /* floor (uniform * kept) */
  draw.search (false, at + 1, true);
  if (threadIdx.x == 0) {
    p.state->random = random;
    commit (p, shared.id);
  }
}

/* ---- Queueing -------------------------------------------------------------------------------- */

void
cuda_choose (CudaQueue *queue, const CudaChoose *choose)
{
  size_t parts = divide_up (choose->vocab, THREADS);
  dim3 grid ((unsigned)(parts < CUDA_CHOOSE_PARTS ? parts : CUDA_CHOOSE_PARTS));
  launch (queue, greatest_kernel, grid, THREADS, sizeof (GreatestShared), *choose);
  if (!choose->sampled)
    return;
  launch (queue, weigh_kernel, dim3 ((unsigned)parts), THREADS, 0, *choose);
  launch (queue, draw_kernel, dim3 (1), DRAW_THREADS, sizeof (DrawShared), *choose);
}

struct SetState {
  CudaState *state;
  CudaState value;
};

static __global__ void
set_state_kernel (SetState p)
{
  let_next_start ();
  wait_for_previous ();
  if (threadIdx.x == 0)
    *p.state = p.value;
}

void
cuda_set_state (CudaQueue *queue, CudaState *state, const CudaState *value)
{
  SetState params = {state, *value};
  launch (queue, set_state_kernel, dim3 (1), WARP, 0, params);
}
