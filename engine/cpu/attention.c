#include "cpu-private.h"
#include <math.h>
#include <string.h>

typedef struct {
  AllavaCpu *cpu;
  const AllavaAttention *attention;
  size_t n_blocks; /* of queries, or of keys */
  size_t query;    /* of one-query jobs */
  size_t head;     /* first of the heads in a one-query job */
  size_t n_keys;   /* that the query sees */
} AttentionJob;

/* ---- Many queries ---------------------------------------------------------------------------- */

static void
attend_task (size_t index, int thread, gpointer data)
{
  const AttentionJob *job = data;
  const AllavaAttention *attention = job->attention;
  /* The last queries see the most keys: longest tasks first. */
  size_t block = job->n_blocks - 1 - index / attention->n_heads;
  size_t start = block * ALLAVA_QUERY_ROWS;
  job->cpu->kernels->attend (attention, index % attention->n_heads, start,
                             MIN (attention->m - start, (size_t)ALLAVA_QUERY_ROWS),
                             &job->cpu->scratch[thread]);
}

static void
attend_many (AllavaCpu *cpu, const AllavaAttention *attention)
{
  size_t n_blocks = (attention->m + ALLAVA_QUERY_ROWS - 1) / ALLAVA_QUERY_ROWS;
  AttentionJob job = {.cpu = cpu, .attention = attention, .n_blocks = n_blocks};
  allava_pool_run (cpu->pool, n_blocks * attention->n_heads, attend_task, &job);
}

/* ---- One query ------------------------------------------------------------------------------- */

#define KEYS_MIN 256 /* of one task, where few heads are split over their keys */
#define TASKS_WANTED 64

static void
attend_one_task (size_t index, int thread, gpointer data)
{
  const AttentionJob *job = data;
  size_t head = index / job->n_blocks;
  size_t block = index % job->n_blocks;
  size_t start = job->n_keys * block / job->n_blocks;
  size_t end = job->n_keys * (block + 1) / job->n_blocks;
  job->cpu->kernels->attend_one (job->attention, job->head + head, job->query, start, end - start,
                                 &job->cpu->partials[index]);
}

/* Joins softmaxes over parts of the keys: each part's sums are relative to its own maximum. */
static void
join_partials (const AllavaPartial *partials, size_t n, size_t head_dim, float *out)
{
  float max = partials[0].max, sum = 0.f;
  for (size_t i = 1; i < n; i++)
    max = MAX (max, partials[i].max);
  memset (out, 0, head_dim * sizeof *out);
  for (size_t i = 0; i < n; i++) {
    float factor = partials[i].max == max ? 1.f : expf (partials[i].max - max);
    sum += partials[i].sum * factor;
    for (size_t j = 0; j < head_dim; j++)
      out[j] += partials[i].out[j] * factor;
  }
  for (size_t j = 0; j < head_dim; j++)
    out[j] /= sum;
}

/* The split depends on the model and the position only, never on the threads. */
static void
attend_one (AllavaCpu *cpu, const AllavaAttention *attention, size_t query)
{
  size_t dim = attention->head_dim;
  AttentionJob job = {.cpu = cpu, .attention = attention, .query = query};
  job.n_keys = attention->causal ? attention->position + query + 1 : attention->n_keys;
  job.n_blocks = CLAMP (TASKS_WANTED / attention->n_heads, 1, MAX (1, job.n_keys / KEYS_MIN));
  size_t heads_max = ALLAVA_PARTIALS / job.n_blocks;
  for (; job.head < attention->n_heads; job.head += heads_max) {
    size_t heads = MIN (attention->n_heads - job.head, heads_max);
    allava_pool_run (cpu->pool, heads * job.n_blocks, attend_one_task, &job);
    for (size_t i = 0; i < heads; i++)
      join_partials (cpu->partials + i * job.n_blocks, job.n_blocks, dim,
                     attention->out + query * attention->out_stride + (job.head + i) * dim);
  }
}

void
allava_cpu_attention (AllavaCpu *cpu, const AllavaAttention *attention)
{
  g_assert (attention->head_dim <= ALLAVA_HEAD_DIM_MAX);
  if (attention->m > 4) {
    attend_many (cpu, attention);
    return;
  }
  for (size_t i = 0; i < attention->m; i++)
    attend_one (cpu, attention, i);
}
