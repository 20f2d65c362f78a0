/* sampler.h - chooses the next token from logits. */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  double temperature; /* 0: greedy */
  int top_k;          /* 0: off */
  double top_p;       /* 1: off */
  uint64_t state;     /* of the generator; start with the seed */
} AllavaSampler;

typedef struct {
  float logit;
  int32_t id;
} AllavaCandidate;

/* The next id of the CANDIDATES [n] (n >= 1, all finite), which are reordered. Greedy takes the
 * first of the greatest. Otherwise, as transformers' logits processors: divide by the temperature,
 * keep the top_k greatest, keep the smallest set of greatest whose probability reaches top_p (at
 * least one), draw. The same state and candidates give the same id. */
int32_t allava_sampler_next (AllavaSampler *sampler, AllavaCandidate *candidates, size_t n);
