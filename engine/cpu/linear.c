#include "cpu-private.h"
#include <string.h>

#define OPS_MAX 8 /* in one job; more are done in several */

size_t
allava_matrix_row_bytes (const AllavaMatrix *matrix)
{
  if (!allava_dtype_is_quantized (matrix->dtype))
    return matrix->n_in * allava_dtype_size (matrix->dtype);
  return allava_quant_row_bytes (matrix->dtype, matrix->n_in) +
         allava_quant_row_groups (matrix->n_in) * sizeof (uint16_t);
}

static size_t
divide_up (size_t a, size_t b)
{
  return (a + b - 1) / b;
}

/* ---- Few rows -------------------------------------------------------------------------------- */

/* A task is a range of outputs: of at most this many bytes of weights, fewer where there would not
 * be enough tasks to share. */
#define STREAM_BYTES_MIN ((size_t)64 << 10)
#define STREAM_BYTES_MAX ((size_t)1 << 20)
#define STREAM_TASKS 16 /* for each thread, at least */
#define STREAM_ALIGN 16 /* outputs: a task's y starts on a cache line of its own */

/* Operations that write the same y, in order; done together for a range of outputs. */
typedef struct {
  size_t ops[OPS_MAX];
  size_t n_ops;
  size_t n_out;
  size_t row_bytes; /* of weights for one output */
  size_t outputs;   /* in a task */
  size_t n_tasks;
} Chain;

typedef struct {
  const AllavaKernels *kernels;
  const AllavaLinear *ops;
  size_t m;
  Chain chains[OPS_MAX];
  size_t n_chains;
  AllavaByteRow rows[OPS_MAX][ALLAVA_STREAM_ROWS]; /* x of the operations with q8 or q4 matrices */
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
  for (size_t i = 0; i < chain->n_ops; i++) {
    const AllavaLinear *op = &job->ops[chain->ops[i]];
    if (allava_dtype_is_quantized (op->matrix->dtype))
      job->kernels->stream_quant (op, job->rows[chain->ops[i]], job->m, start, n);
    else
      job->kernels->stream (op, job->m, start, n);
  }
}

static void
add_to_chain (StreamJob *job, size_t index)
{
  const AllavaLinear *op = &job->ops[index];
  Chain *chain = find_chain (job, op->y);
  g_assert (chain->n_ops == 0 || chain->n_out == op->matrix->n_out);
  chain->n_out = op->matrix->n_out;
  chain->row_bytes += allava_matrix_row_bytes (op->matrix);
  chain->ops[chain->n_ops++] = index;
}

/* ---- Few rows in int8 ------------------------------------------------------------------------ */

static size_t
byte_row_stride (size_t n_in)
{
  return divide_up (n_in, ALLAVA_BYTES_ALIGN) * ALLAVA_BYTES_ALIGN;
}

/* Of an AllavaByteRow's arrays: one byte a value, four for each four, eight for each group. */
static size_t
byte_row_bytes (size_t n_in)
{
  return byte_row_stride (n_in) / 4 * 9;
}

/* A row in MEMORY, which has byte_row_bytes() of room. */
static AllavaByteRow
place_byte_row (char *memory, size_t n_in)
{
  size_t stride = byte_row_stride (n_in);
  return (AllavaByteRow){
      .values = (int8_t *)memory,
      .offsets = (int32_t *)(memory + stride),
      .scales = (float *)(memory + 2 * stride),
      .sums = (float *)(memory + 2 * stride + stride / 8),
      .stride = stride,
  };
}

/* The operation before INDEX whose rows in int8 serve this one too, or INDEX. */
static size_t
find_same_x (const AllavaLinear *ops, size_t index)
{
  const AllavaLinear *op = &ops[index];
  for (size_t i = 0; i < index; i++)
    if (ops[i].x == op->x && ops[i].x_stride == op->x_stride &&
        ops[i].matrix->n_in == op->matrix->n_in && ops[i].matrix->dtype == op->matrix->dtype)
      return i;
  return index;
}

/* Rounds what the operations read, on this thread: it takes a microsecond. FALSE where there is
 * not room for all of it at once. */
static gboolean
round_inputs (AllavaCpu *cpu, StreamJob *job, size_t n_ops)
{
  char *memory = (char *)cpu->packed;
  size_t left = ALLAVA_PACKED_WORDS * sizeof (uint32_t);
  for (size_t i = 0; i < n_ops; i++) {
    const AllavaMatrix *matrix = job->ops[i].matrix;
    if (!allava_dtype_is_quantized (matrix->dtype))
      continue;
    size_t same = find_same_x (job->ops, i), bytes = byte_row_bytes (matrix->n_in);
    for (size_t row = 0; row < job->m && same == i; row++, memory += bytes, left -= bytes) {
      if (left < bytes)
        return FALSE;
      job->rows[i][row] = place_byte_row (memory, matrix->n_in);
      cpu->kernels->round_row (job->ops[i].x + row * job->ops[i].x_stride, matrix->n_in,
                               matrix->dtype, &job->rows[i][row]);
    }
    if (same != i)
      memcpy (job->rows[i], job->rows[same], sizeof job->rows[i]);
  }
  return TRUE;
}

static void stream (AllavaCpu *cpu, const AllavaLinear *ops, size_t n_ops, size_t m);

/* One row of one operation after the other. */
static void
stream_apart (AllavaCpu *cpu, const AllavaLinear *ops, size_t n_ops, size_t m)
{
  for (size_t i = 0; i < n_ops; i++)
    for (size_t row = 0; row < m; row++) {
      AllavaLinear op = ops[i];
      op.x += row * op.x_stride;
      op.y += row * op.y_stride;
      stream (cpu, &op, 1, 1);
    }
}

static void
stream (AllavaCpu *cpu, const AllavaLinear *ops, size_t n_ops, size_t m)
{
  StreamJob job = {.kernels = cpu->kernels, .ops = ops, .m = m};
  size_t bytes = 0, n_tasks = 0;
  if (!round_inputs (cpu, &job, n_ops)) {
    stream_apart (cpu, ops, n_ops, m);
    return;
  }
  for (size_t i = 0; i < n_ops; i++)
    add_to_chain (&job, i);
  for (size_t i = 0; i < job.n_chains; i++)
    bytes += job.chains[i].n_out * job.chains[i].row_bytes;
  bytes /= STREAM_TASKS * (size_t)allava_pool_get_threads (cpu->pool);
  bytes = CLAMP (bytes, STREAM_BYTES_MIN, STREAM_BYTES_MAX);
  for (size_t i = 0; i < job.n_chains; i++) {
    Chain *chain = &job.chains[i];
    chain->outputs = MAX (1, bytes / MAX (1, chain->row_bytes) / STREAM_ALIGN) * STREAM_ALIGN;
    chain->n_tasks = divide_up (chain->n_out, chain->outputs);
    n_tasks += chain->n_tasks;
  }
  allava_pool_run (cpu->pool, n_tasks, stream_task, &job);
}

/* ---- Many rows ------------------------------------------------------------------------------- */

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

static size_t
words_in_block (AllavaWords kind)
{
  return kind == ALLAVA_WORDS_QUADS ? ALLAVA_QUAD_WORDS : ALLAVA_BLOCK_WORDS;
}

static size_t
values_in_block (AllavaWords kind)
{
  return words_in_block (kind) * (kind == ALLAVA_WORDS_QUADS   ? 4
                                  : kind == ALLAVA_WORDS_PAIRS ? 2
                                                               : 1);
}

static void
pack_task (size_t index, int thread, gpointer data)
{
  MultiplyJob *job = data;
  const AllavaPacked *packed = &job->packed;
  const AllavaKernels *kernels = job->cpu->kernels;
  size_t values = values_in_block (packed->kind), words = words_in_block (packed->kind);
  size_t end = MIN ((index + 1) * PACK_ROWS, packed->m);
  for (size_t i = index * PACK_ROWS; i < end; i++) {
    const float *x = job->ops[0].x + (job->row + i) * job->ops[0].x_stride;
    size_t at = i; /* row of words */
    for (size_t k = packed->k_start; k < packed->k_end; k += values, at += packed->m) {
      size_t n = MIN (packed->k_end - k, values);
      uint32_t *out = job->cpu->packed + at * words;
      if (packed->kind == ALLAVA_WORDS_QUADS)
        kernels->pack_quads (x + k, n, out, job->cpu->groups + at * ALLAVA_QUAD_GROUPS);
      else
        kernels->pack_row (x + k, n, packed->kind == ALLAVA_WORDS_PAIRS, out);
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
  const AllavaKernels *kernels = job->cpu->kernels;
  gboolean quads = job->packed.kind == ALLAVA_WORDS_QUADS;
  (quads ? kernels->multiply_quads : kernels->multiply) (
      op, &job->packed, job->row, start, MIN (job->outputs, op->matrix->n_out - start),
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
  job->outputs = ALLAVA_BLOCK_OUTPUTS * (job->packed.kind == ALLAVA_WORDS_QUADS ? 1 : 4);
  while (job->outputs > 32 && count_tasks (job) < enough)
    job->outputs /= 2;
}

static void
multiply_packed (MultiplyJob *job, size_t m, size_t n_in)
{
  AllavaPool *pool = job->cpu->pool;
  size_t block = values_in_block (job->packed.kind);
  size_t rows_max = ALLAVA_PACKED_WORDS / words_in_block (job->packed.kind);
  job->packed.words = job->cpu->packed;
  job->packed.groups = job->cpu->groups;
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

static AllavaWords
choose_words (AllavaCpu *cpu, const AllavaLinear *op)
{
  if (allava_dtype_is_quantized (op->matrix->dtype) && cpu->kernels->pack_quads != NULL)
    return ALLAVA_WORDS_QUADS;
  return cpu->pairs && op->matrix->dtype == ALLAVA_DTYPE_BF16 ? ALLAVA_WORDS_PAIRS
                                                              : ALLAVA_WORDS_FLOATS;
}

/* How many of the operations can share one packing of x: they read the same, and write apart. */
static size_t
count_alike (AllavaCpu *cpu, const AllavaLinear *ops, size_t n_ops)
{
  for (size_t i = 1; i < n_ops; i++) {
    if (ops[i].x != ops[0].x || ops[i].x_stride != ops[0].x_stride ||
        ops[i].matrix->n_in != ops[0].matrix->n_in ||
        choose_words (cpu, &ops[i]) != choose_words (cpu, &ops[0]))
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
    job.packed.kind = choose_words (cpu, ops);
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
