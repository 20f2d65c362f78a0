/* choose.cu - the next token, as AllavaSampler chooses it (engine/sampler.c).
 *
 * The sampler sorts; here nothing is sorted. Weights exp ((logit - greatest) / temperature) are
 * whole numbers, so sums do not depend on their order, and "the sum of the first n in the sampler's
 * order" and "the first whose sum reaches x" are found digit by digit of the logits. */
#include "platform.h"

#define THREADS 256
#define DRAW_THREADS 1024
#define BATCH 8 /* loads on their way */
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

/* The end token where it may not be chosen yet, else -1. */
static __device__ __forceinline__ int32_t
get_barred (const CudaChoose &p)
{
  return p.state->step < p.state->min_new ? p.state->eos : -1;
}

/* One thread. */
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

/* BEST is the chosen logit's key over the id's complement, NOT_FINITE, or NONE, where only the end
 * token is left. */
static __device__ __forceinline__ int32_t
token_of (const CudaChoose &p, uint64_t best)
{
  return best == NOT_FINITE ? -1 : best == NONE ? p.state->eos : (int32_t) ~(uint32_t)best;
}

/* ---- Digits ---------------------------------------------------------------------------------- */

static __device__ void
clear (CudaDigits &digits, unsigned threads)
{
  for (unsigned i = threadIdx.x; i < CUDA_DIGITS; i += threads)
    digits.counts[i] = digits.low[i] = digits.high[i] = 0;
}

static __device__ void
add (CudaDigits &digits, unsigned i, unsigned n, Sum weight)
{
  unsigned low = (unsigned)weight, high = (unsigned)(weight >> 32);
  unsigned before = atomicAdd (&digits.low[i], low);
  high += before + low < before;
  atomicAdd (&digits.counts[i], n);
  if (high != 0)
    atomicAdd (&digits.high[i], high);
}

static __device__ __forceinline__ Sum
get_sum (const CudaDigits &digits, unsigned i)
{
  return (Sum)digits.high[i] << 32 | digits.low[i];
}

/* Where a key with this digit at its end is counted. */
static __device__ __forceinline__ unsigned
digit_of (uint32_t key)
{
  return CUDA_DIGITS - 1 - (key & (CUDA_DIGITS - 1));
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
  int32_t barred = get_barred (p);
  uint64_t best = NONE;
  for (size_t id = (size_t)blockIdx.x * THREADS + threadIdx.x; id < p.vocab;
       id += (size_t)gridDim.x * THREADS) {
    uint64_t key = (uint64_t)order (p.logits[id]) << 32 | (uint32_t) ~(uint32_t)id;
    if (p.allowed[id] && !isfinite (p.logits[id]))
      best = NOT_FINITE;
    else if (p.allowed[id] && (int32_t)id != barred && key > best)
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
  if (p.sampled)
    clear (*p.digits, THREADS);
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

/* Also counts them by their first digit, with which all searches begin: most logits share a few
 * values of it, so that one block would long wait for itself. */
static __global__ void
weigh_kernel (CudaChoose p)
{
  let_next_start ();
  wait_for_previous ();
  SHARED (CudaDigits, shared);
  uint64_t best = p.best[CUDA_CHOOSE_PARTS];
  double full = full_weight (p.vocab), greatest = unorder ((uint32_t)(best >> 32));
  int32_t barred = get_barred (p);
  if (best == NOT_FINITE || best == NONE)
    return;
  clear (shared, THREADS);
  __syncthreads ();
  for (size_t id = (size_t)blockIdx.x * THREADS + threadIdx.x; id < p.vocab;
       id += (size_t)gridDim.x * THREADS) {
    if (!p.allowed[id] || (int32_t)id == barred)
      continue;
    Sum weight = (Sum)(exp ((p.logits[id] - greatest) / p.state->temperature) * full);
    p.weights[id] = weight;
    add (shared, digit_of (order (p.logits[id]) >> 24), 1, weight);
  }
  __syncthreads ();
  for (unsigned i = threadIdx.x; i < CUDA_DIGITS; i += THREADS)
    if (shared.counts[i] > 0)
      add (*p.digits, i, shared.counts[i], get_sum (shared, i));
}

/* ---- Drawing --------------------------------------------------------------------------------- */

struct DrawShared {
  CudaDigits digits;
  int32_t first_ids[CUDA_DIGITS];
  Sum count; /* of what comes before the digit that was found, at first of all */
  Sum sum;
  unsigned digit;
  unsigned ties[DRAW_THREADS / WARP];
  int32_t id;
};

struct Draw {
  const CudaChoose &p;
  DrawShared &s;
  uint32_t prefix; /* digits found so far */
  Sum count;       /* of what comes before all that begin with them */
  Sum sum;
  int32_t barred;

  __device__
  Draw (const CudaChoose &p_, DrawShared &s_)
      : p (p_), s (s_), prefix (0), count (0), sum (0), barred (get_barred (p_))
  {
  }

  /* The logit of ID has all digits that were found. */
  __device__ __forceinline__ bool
  is_tie (size_t id) const
  {
    return p.allowed[id] && (int32_t)id != barred && order (p.logits[id]) == prefix;
  }

  /* Counts the candidates that have the prefix by the digit after it, which begins at SHIFT. */
  __device__ void
  sort (int shift)
  {
    for (size_t first = threadIdx.x; first < p.vocab; first += BATCH * DRAW_THREADS) {
      uint32_t keys[BATCH];
      Sum weights[BATCH];
      bool found[BATCH];
#pragma unroll
      for (int i = 0; i < BATCH; i++) {
        size_t id = first + i * DRAW_THREADS, at = id < p.vocab ? id : p.vocab - 1;
        keys[i] = order (p.logits[at]);
        found[i] = p.allowed[at] && id < p.vocab && (int32_t)id != barred;
      }
#pragma unroll
      for (int i = 0; i < BATCH; i++) {
        found[i] = found[i] && keys[i] >> (shift + 8) == prefix;
        weights[i] = found[i] ? p.weights[first + i * DRAW_THREADS] : 0;
      }
#pragma unroll
      for (int i = 0; i < BATCH; i++) {
        if (!found[i])
          continue;
        unsigned digit = digit_of (keys[i] >> shift);
        add (s.digits, digit, 1, weights[i]);
        atomicMin (&s.first_ids[digit], (int32_t)(first + i * DRAW_THREADS));
      }
    }
  }

  __device__ void
  count_digits (int shift)
  {
    for (unsigned i = threadIdx.x; i < CUDA_DIGITS; i += DRAW_THREADS) {
      s.digits.counts[i] = shift == 24 ? p.digits->counts[i] : 0;
      s.digits.low[i] = shift == 24 ? p.digits->low[i] : 0;
      s.digits.high[i] = shift == 24 ? p.digits->high[i] : 0;
      s.first_ids[i] = INT32_MAX;
    }
    __syncthreads ();
    if (shift < 24)
      sort (shift);
    __syncthreads ();
  }

  /* The first digit with which the count, or the sum, reaches the target. One warp: each lane has
   * eight digits. */
  __device__ void
  find (bool by_count, Sum target)
  {
    unsigned lane = threadIdx.x;
    Sum own_count = 0, own_sum = 0;
    for (unsigned i = lane * 8; i < lane * 8 + 8; i++) {
      own_count += s.digits.counts[i];
      own_sum += get_sum (s.digits, i);
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
      if ((by_count ? c + s.digits.counts[i] : w + get_sum (s.digits, i)) >= target) {
        s.digit = i;
        s.count = c;
        s.sum = w;
        return;
      }
      c += s.digits.counts[i];
      w += get_sum (s.digits, i);
    }
  }

  /* Of all candidates. */
  __device__ void
  count_all (void)
  {
    if (threadIdx.x < WARP) {
      Sum n = 0, all = 0;
      for (unsigned i = threadIdx.x; i < CUDA_DIGITS; i += WARP) {
        n += p.digits->counts[i];
        all += get_sum (*p.digits, i);
      }
      for (int offset = WARP / 2; offset > 0; offset /= 2) {
        n += __shfl_xor_sync (ALL_LANES, n, offset);
        all += __shfl_xor_sync (ALL_LANES, all, offset);
      }
      if (threadIdx.x == 0) {
        s.count = n;
        s.sum = all;
      }
    }
    __syncthreads ();
  }

  /* The first candidate, greatest first, with which the count or the sum reaches TARGET, which they
   * do. Returns the sum with it; FIND_ID leaves its id in the shared memory. */
  __device__ Sum
  search (bool by_count, Sum target, bool find_id)
  {
    prefix = 0;
    count = sum = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
      count_digits (shift);
      if (threadIdx.x < WARP)
        find (by_count, target);
      __syncthreads ();
      prefix = prefix << 8 | (CUDA_DIGITS - 1 - s.digit);
      count = s.count;
      sum = s.sum;
    }
    /* Equal logits have equal weights, and come in the order of their ids. */
    Sum weight = get_sum (s.digits, s.digit) / s.digits.counts[s.digit];
    Sum rank = by_count ? target - count : (target - sum + weight - 1) / weight;
    if (find_id && rank > 1)
      find_tie (rank);
    else if (find_id && threadIdx.x == 0)
      s.id = s.first_ids[s.digit];
    __syncthreads (); /* before digits are counted again */
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
      own += is_tie (id);
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
      seen += is_tie (id);
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
  draw.count_all ();
  Sum kept = shared.sum;
  if (p.state->top_k > 0 && (Sum)p.state->top_k < shared.count)
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
  launch (queue, weigh_kernel, dim3 ((unsigned)parts), THREADS, sizeof (CudaDigits), *choose);
  launch (queue, draw_kernel, dim3 (1), DRAW_THREADS, sizeof (DrawShared), *choose);
}

struct CudaSetState {
  CudaState *state;
  CudaState value;
};

static __global__ void
set_state_kernel (CudaSetState p)
{
  let_next_start ();
  wait_for_previous ();
  if (threadIdx.x == 0)
    *p.state = p.value;
}

void
cuda_set_state (CudaQueue *queue, CudaState *state, const CudaState *value)
{
  CudaSetState params = {state, *value};
  launch (queue, set_state_kernel, dim3 (1), WARP, 0, params);
}
