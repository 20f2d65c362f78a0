#include "cpu-private.h"

#define OPS_MAX 8 /* in one job; more are done in several */

static size_t
divide_up (size_t a, size_t b)
{
  return (a + b - 1) / b;
}

/* ---- Few rows ---------------------------------------------------------------------------------
 */

/* A task is a range of outputs of about this many bytes of weights: 10 microseconds or so. */
#define STREAM_BYTES ((size_t)256 << 10)
#define STREAM_ALIGN 16 /* outputs: a task's y starts on a cache line of its own */

/* Operations that write the same y, in order; done together for a range of outputs. */
typedef struct {
  size_t ops[OPS_MAX];
  size_t n_ops;
  size_t n_out;
  size_t outputs; /* in a task */
  size_t n_tasks;
} Chain;

typedef struct {
  const AllavaKernels *kernels;
  const AllavaLinear *ops;
  size_t m;
  Chain chains[OPS_MAX];
  size_t n_chains;
} StreamJob;

static Chain *
find_chain (StreamJob *job, const float *y)
{
  for (size_t i = 0; i < job->n_chains; i++)
    if (job->ops[job->chains[i].ops[0]].y == y)
      return &job->chains[i];
  Chain *chain = &job->chains[job->n_chains++];
  *chain = (Chain){0};
  return chain;
}

static void
stream_task (size_t index, int thread, gpointer data)
{
  const StreamJob *job = data;
  const Chain *chain = job->chains;
  for (; index >= chain->n_tasks; chain++)
    index -= chain->n_tasks;
  size_t start = index * chain->outputs;
  size_t n = MIN (chain->outputs, chain->n_out - start);
  for (size_t i = 0; i < chain->n_ops; i++)
    job->kernels->stream (&job->ops[chain->ops[i]], job->m, start, n);
}

static void
stream (AllavaCpu *cpu, const AllavaLinear *ops, size_t n_ops, size_t m)
{
  StreamJob job = {cpu->kernels, ops, m};
  for (size_t i = 0; i < n_ops; i++) {
    Chain *chain = find_chain (&job, ops[i].y);
    g_assert (chain->n_ops == 0 || chain->n_out == ops[i].matrix->n_out);
    chain->n_out = ops[i].matrix->n_out;
    chain->ops[chain->n_ops++] = i;
  }
  size_t n_tasks = 0;
  for (size_t i = 0; i < job.n_chains; i++) {
    Chain *chain = &job.chains[i];
    size_t bytes = 0; /* of one output */
    for (size_t j = 0; j < chain->n_ops; j++) {
      const AllavaMatrix *matrix = ops[chain->ops[j]].matrix;
      bytes += matrix->n_in * allava_dtype_size (matrix->dtype);
    }
    chain->outputs = MAX (1, STREAM_BYTES / MAX (1, bytes) / STREAM_ALIGN) * STREAM_ALIGN;
    chain->n_tasks = divide_up (chain->n_out, chain->outputs);
    n_tasks += chain->n_tasks;
  }
  allava_pool_run (cpu->pool, n_tasks, stream_task, &job);
}

/* ---- Many rows --------------------------------------------------------------------------------
 */

/* Operations that read the same x. */
typedef struct {
  AllavaCpu *cpu;
  const AllavaLinear *ops;
  size_t n_ops;
  size_t row;     /* first of the rows that are packed */
  size_t outputs; /* in a task */
  AllavaPacked packed;
} MultiplyJob;

#define PACK_ROWS 8 /* in a task */

static void
pack_task (size_t index, int thread, gpointer data)
{
  MultiplyJob *job = data;
  const AllavaPacked *packed = &job->packed;
  size_t block = ALLAVA_BLOCK_WORDS * (packed->pairs ? 2 : 1);
  size_t end = MIN ((index + 1) * PACK_ROWS, packed->m);
  for (size_t i = index * PACK_ROWS; i < end; i++) {
    const float *x = job->ops[0].x + (job->row + i) * job->ops[0].x_stride;
    uint32_t *words = job->cpu->packed + i * ALLAVA_BLOCK_WORDS;
    for (size_t k = packed->k_start; k < packed->k_end; k += block) {
      job->cpu->kernels->pack_row (x + k, MIN (packed->k_end - k, block), packed->pairs, words);
      words += packed->m * ALLAVA_BLOCK_WORDS;
    }
  }
}

static void
multiply_task (size_t index, int thread, gpointer data)
{
  MultiplyJob *job = data;
  const AllavaLinear *op = job->ops;
  for (; index >= divide_up (op->matrix->n_out, job->outputs); op++)
    index -= divide_up (op->matrix->n_out, job->outputs);
  size_t start = index * job->outputs;
  job->cpu->kernels->multiply (op, &job->packed, job->row, start,
                               MIN (job->outputs, op->matrix->n_out - start),
                               &job->cpu->scratch[thread]);
}

static size_t
count_tasks (const MultiplyJob *job)
{
  size_t n = 0;
  for (size_t i = 0; i < job->n_ops; i++)
    n += divide_up (job->ops[i].matrix->n_out, job->outputs);
  return n;
}

/* Within a large task the next weights are fetched from memory while the multiplier is busy; but
 * there must be enough tasks to share them fairly. */
static void
choose_outputs (MultiplyJob *job)
{
  size_t enough = 8 * (size_t)allava_pool_get_threads (job->cpu->pool);
  job->outputs = 4 * ALLAVA_BLOCK_OUTPUTS;
  while (job->outputs > 32 && count_tasks (job) < enough)
    job->outputs /= 2;
}

static void
multiply_packed (MultiplyJob *job, size_t m, size_t n_in)
{
  AllavaPool *pool = job->cpu->pool;
  size_t block = ALLAVA_BLOCK_WORDS * (job->packed.pairs ? 2 : 1);
  size_t rows_max = ALLAVA_PACKED_WORDS / ALLAVA_BLOCK_WORDS;
  job->packed.words = job->cpu->packed;
  choose_outputs (job);
  for (job->row = 0; job->row < m; job->row += job->packed.m) {
    job->packed.m = MIN (m - job->row, rows_max);
    size_t span = rows_max / job->packed.m * block; /* of k, that the buffer has room for */
    for (size_t k = 0; k < n_in; k = job->packed.k_end) {
      job->packed.k_start = k;
      job->packed.k_end = MIN (n_in, k + span);
      allava_pool_run (pool, divide_up (job->packed.m, PACK_ROWS), pack_task, job);
      allava_pool_run (pool, count_tasks (job), multiply_task, job);
    }
  }
}

static gboolean
uses_pairs (AllavaCpu *cpu, const AllavaLinear *op)
{
  return cpu->pairs && op->matrix->dtype == ALLAVA_DTYPE_BF16;
}

/* How many of the operations can share one packing of x: they read the same, and write apart. */
static size_t
count_alike (AllavaCpu *cpu, const AllavaLinear *ops, size_t n_ops)
{
  for (size_t i = 1; i < n_ops; i++) {
    if (ops[i].x != ops[0].x || ops[i].x_stride != ops[0].x_stride ||
        ops[i].matrix->n_in != ops[0].matrix->n_in ||
        uses_pairs (cpu, &ops[i]) != uses_pairs (cpu, &ops[0]))
      return i;
    for (size_t j = 0; j < i; j++)
      if (ops[j].y == ops[i].y)
        return i;
  }
  return n_ops;
}

static void
multiply (AllavaCpu *cpu, const AllavaLinear *ops, size_t n_ops, size_t m)
{
  while (n_ops > 0) {
    size_t n = count_alike (cpu, ops, n_ops);
    MultiplyJob job = {.cpu = cpu, .ops = ops, .n_ops = n};
    job.packed.pairs = uses_pairs (cpu, ops);
    multiply_packed (&job, m, ops[0].matrix->n_in);
    ops += n;
    n_ops -= n;
  }
}

void
allava_cpu_linear (AllavaCpu *cpu, const AllavaLinear *ops, size_t n_ops, size_t m)
{
  while (n_ops > 0) {
    size_t n = MIN (n_ops, OPS_MAX);
    if (m <= ALLAVA_STREAM_ROWS)
      stream (cpu, ops, n, m);
    else
      multiply (cpu, ops, n, m);
    ops += n;
    n_ops -= n;
  }
}
