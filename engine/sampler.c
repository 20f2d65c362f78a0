#include "sampler.h"

#include <math.h>
#include <stdlib.h>

/* SplitMix64 (Steele, Lea, Flood 2014), as a number in [0, 1). */
static double
next_uniform (uint64_t *state)
{
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return ((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* Greatest logit first; equal ones by id, so that the order is the same everywhere. */
static int
compare (const void *a, const void *b)
{
  const AllavaCandidate *x = a, *y = b;
  if (x->logit != y->logit)
    return x->logit > y->logit ? -1 : 1;
  return (x->id > y->id) - (x->id < y->id);
}

static int32_t
greedy (const AllavaCandidate *candidates, size_t n)
{
  const AllavaCandidate *best = candidates;
  for (size_t i = 1; i < n; i++)
    if (candidates[i].logit > best->logit)
      best = &candidates[i];
  return best->id;
}

static double
weight (const AllavaSampler *sampler, const AllavaCandidate *candidates, size_t i)
{
  return exp (((double)candidates[i].logit - candidates[0].logit) / sampler->temperature);
}

int32_t
allava_sampler_next (AllavaSampler *sampler, AllavaCandidate *candidates, size_t n)
{
  g_return_val_if_fail (n >= 1, -1);
  if (!(sampler->temperature > 0))
    return greedy (candidates, n);
  qsort (candidates, n, sizeof *candidates, compare);
  if (sampler->top_k > 0)
    n = MIN (n, (size_t)sampler->top_k);
  double total = 0, kept = 0;
  for (size_t i = 0; i < n; i++)
    total += weight (sampler, candidates, i);
  size_t n_kept = 0;
  do
    kept += weight (sampler, candidates, n_kept++);
  while (n_kept < n && (sampler->top_p >= 1 || kept < sampler->top_p * total));

  double at = next_uniform (&sampler->state) * kept;
  for (size_t i = 0; i < n_kept; i++) {
    at -= weight (sampler, candidates, i);
    if (at < 0)
      return candidates[i].id;
  }
  return candidates[n_kept - 1].id;
}
