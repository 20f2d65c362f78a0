/* bench-cuda - how long each kernel and product of the CUDA backend takes at ALLaVA-3B's sizes: one
 * JSON object a line. PART says whether it belongs to a token, to a prompt of 620 positions (where
 * weights are quantised, too) or to a picture; TIMES, how often it runs there. FRACTION is of the
 * copy bandwidth, which comes first.
 *
 * Launches are measured as decoding queues them, as one graph of many. Weights come from so much
 * memory by turns that no cache holds them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "device.h"

enum { H = 2560, F = 10240, LAYERS = 32, HEADS = 32, DIM = 80, HALF = 16, VOCAB = 51200 };
enum { CONTEXT = 2048, POSITION = 700, ROWS = 620, SPLITS = 8 };
enum { D = 1024, E = 4096, VISION_LAYERS = 23, VISION_HEADS = 16, VISION_DIM = 64, PATCHES = 577 };
enum { TURNS = 32, BEYOND_CACHES = 400 << 20 };

typedef struct {
  CudaDevice *device;
  CudaQueue queue;
  int processors;
  double bandwidth; /* bytes per second */
  GPtrArray *memory;
  uint32_t *noise; /* the host's, NOISE bytes */
} Bench;

#define NOISE ((size_t)4 << 20)

/* ---- Memory ---------------------------------------------------------------------------------- */

static void
check (Bench *bench)
{
  g_autoptr (GError) error = NULL;
  if (!cuda_queue_wait (&bench->queue, &error))
    g_error ("%s", error->message);
}

/* Of noise, since zeros cost less power; its f16 are small numbers. */
static void *
take (Bench *bench, size_t bytes)
{
  g_autoptr (GError) error = NULL;
  char *data = cuda_alloc (bench->device, bytes, "measuring", &error);
  if (data == NULL)
    g_error ("%s", error->message);
  for (size_t at = 0; at < bytes; at += NOISE)
    cuda_copy (&bench->queue, data + at, bench->noise, MIN (NOISE, bytes - at));
  check (bench);
  g_ptr_array_add (bench->memory, data);
  return data;
}

static void *
take_zeros (Bench *bench, size_t bytes)
{
  g_autoptr (GError) error = NULL;
  void *data = cuda_alloc (bench->device, bytes, "measuring", &error);
  if (data == NULL)
    g_error ("%s", error->message);
  g_ptr_array_add (bench->memory, data);
  return data;
}

static void
give_back (Bench *bench)
{
  for (guint i = 0; i < bench->memory->len; i++)
    cuda_free (bench->device, bench->memory->pdata[i]);
  g_ptr_array_set_size (bench->memory, 0);
}

/* ---- Measuring ------------------------------------------------------------------------------- */

/* Queues the operation; TURN chooses among its weights. */
typedef void (*QueueFunc) (Bench *bench, gconstpointer op, int turn);

static CudaGraph *
capture (Bench *bench, QueueFunc queue_one, gconstpointer op)
{
  cuda_capture_begin (&bench->queue);
  for (int turn = 0; turn < TURNS; turn++)
    queue_one (bench, op, turn);
  return cuda_capture_end (&bench->queue);
}

/* Microseconds of one. */
static double
measure (Bench *bench, QueueFunc queue_one, gconstpointer op)
{
  queue_one (bench, op, 0); /* loads it */
  check (bench);
  CudaGraph *graph = capture (bench, queue_one, op);
  if (graph == NULL && bench->queue.overlap) { /* as a session does where a driver refuses it */
    cuda_queue_forget (&bench->queue);
    bench->queue.overlap = FALSE;
    graph = capture (bench, queue_one, op);
  }
  check (bench);
  double best = INFINITY;
  for (int round = 0; round < 6; round++) {
    int64_t start = g_get_monotonic_time ();
    for (int i = 0; i < 4; i++)
      cuda_graph_launch (&bench->queue, graph);
    check (bench);
    best = MIN (best, (g_get_monotonic_time () - start) / (4.0 * TURNS));
  }
  cuda_graph_free (graph);
  return best;
}

typedef struct {
  const char *part;
  const char *kernel;
  const char *format;
  int times;
  double bytes; /* read and written */
  double flop;
} What;

static void
report (Bench *bench, const What *what, double us)
{
  printf ("{\"part\": \"%s\", \"kernel\": \"%s\", \"format\": \"%s\", \"times\": %d, \"us\": %.2f",
          what->part, what->kernel, what->format, what->times, us);
  if (what->bytes > 0)
    printf (", \"gb_s\": %.1f, \"fraction\": %.3f", what->bytes / us / 1e3,
            what->bytes / us * 1e6 / bench->bandwidth);
  if (what->flop > 0)
    printf (", \"tflop_s\": %.1f", what->flop / us / 1e6);
  printf ("}\n");
  fflush (stdout);
}

static void
run (Bench *bench, const What *what, QueueFunc queue_one, gconstpointer op)
{
  report (bench, what, measure (bench, queue_one, op));
  give_back (bench);
}

/* ---- One token ------------------------------------------------------------------------------- */

static const char *const formats[] = {"f32", "f16", "bf16", "q8", "q4"};

/* The same matrix at several places. */
typedef struct {
  CudaMatrix matrix;
  size_t copies;
  size_t bytes; /* of one, records included */
  size_t value_bytes, record_bytes;
} Matrices;

static Matrices
take_matrices (Bench *bench, CudaWeights type, size_t n_out, size_t n_in)
{
  Matrices m = {.matrix = {.type = type, .n_out = n_out, .n_in = n_in, .stride = n_in}};
  gboolean quantized = type >= CUDA_WEIGHTS_Q8;
  m.value_bytes = n_out * n_in * 16 / cuda_vector (type);
  m.record_bytes = quantized ? n_out * n_in / CUDA_GROUP * sizeof (uint16_t) : 0;
  m.bytes = m.value_bytes + m.record_bytes;
  m.copies = MIN (BEYOND_CACHES / m.bytes + 1, TURNS);
  m.matrix.data = take (bench, m.copies * m.value_bytes);
  if (quantized)
    m.matrix.records = take (bench, m.copies * m.record_bytes);
  return m;
}

static CudaMatrix
get_matrix (const Matrices *m, int turn)
{
  CudaMatrix matrix = m->matrix;
  size_t copy = turn % m->copies;
  matrix.data = (char *)matrix.data + copy * m->value_bytes;
  if (matrix.records != NULL)
    matrix.records = (uint16_t *)((char *)matrix.records + copy * m->record_bytes);
  return matrix;
}

typedef struct {
  Matrices matrices;
  CudaProject project;
  CudaReduce reduce;
  CudaHead head;
} Rows;

static void
queue_project (Bench *bench, gconstpointer op, int turn)
{
  const Rows *rows = op;
  CudaProject project = rows->project;
  project.matrix = get_matrix (&rows->matrices, turn);
  cuda_project (&bench->queue, &project, bench->processors);
}

static void
queue_reduce (Bench *bench, gconstpointer op, int turn)
{
  const Rows *rows = op;
  CudaReduce reduce = rows->reduce;
  reduce.matrix = get_matrix (&rows->matrices, turn);
  cuda_reduce (&bench->queue, &reduce, bench->processors);
}

static void
queue_head (Bench *bench, gconstpointer op, int turn)
{
  const Rows *rows = op;
  CudaHead head = rows->head;
  head.matrix = get_matrix (&rows->matrices, turn);
  cuda_head (&bench->queue, &head, bench->processors);
}

static int32_t *
take_position (Bench *bench)
{
  const int32_t position = POSITION;
  int32_t *data = take_zeros (bench, sizeof position);
  cuda_copy (&bench->queue, data, &position, sizeof position);
  check (bench);
  return data;
}

static CudaCache
take_cache (Bench *bench, size_t heads, size_t context, size_t dim)
{
  size_t bytes = heads * context * dim * 2;
  return (CudaCache){take (bench, bytes), take (bench, bytes), CUDA_TYPE_F16, context, dim};
}

static void
measure_rows (Bench *bench, CudaWeights type)
{
  CudaWeights head = type == CUDA_WEIGHTS_Q4 ? CUDA_WEIGHTS_Q8 : type;
  Rows rows = {.matrices = take_matrices (bench, type, 3 * H + F, H)};
  What what = {"token", "project", formats[type], LAYERS, rows.matrices.bytes, 0};
  rows.project = (CudaProject){
      .x = take (bench, H * 4),
      .weight = take (bench, H * 4),
      .bias = take (bench, H * 4),
      .eps = 1e-5f,
      .n = H,
      .matrix_bias = take (bench, (3 * H + F) * 4),
      .n_heads = HEADS,
      .n_kv_heads = HEADS,
      .head_dim = DIM,
      .half = HALF,
      .angles = take (bench, CONTEXT * HALF * 2 * 4),
      .position = take_position (bench),
      .cache = take_cache (bench, HEADS, CONTEXT, DIM),
      .q = take (bench, 3 * H * 4),
      .gelu = CUDA_GELU_TANH,
      .planes = take (bench, (H + F) * 4),
      .planes_from = H,
      .planes_vector = cuda_vector (type),
      .planes_stride = H + F,
  };
  run (bench, &what, queue_project, &rows);

  rows.matrices = take_matrices (bench, type, H, H + F);
  rows.reduce = (CudaReduce){
      .planes = take (bench, (H + F) * 4), .bias = take (bench, H * 4), .x = take (bench, H * 4)};
  what = (What){"token", "reduce", formats[type], LAYERS, rows.matrices.bytes, 0};
  run (bench, &what, queue_reduce, &rows);

  rows.matrices = take_matrices (bench, head, VOCAB, H);
  rows.head = (CudaHead){.x = take (bench, H * 4),
                         .weight = take (bench, H * 4),
                         .bias = take (bench, H * 4),
                         .eps = 1e-5f,
                         .n = H,
                         .logits = take (bench, VOCAB * 4)};
  what = (What){"token", "head", formats[type], 1, rows.matrices.bytes, 0};
  run (bench, &what, queue_head, &rows);
}

typedef struct {
  CudaDecodeAttention attention;
  CudaCache caches[TURNS];
} One;

static void
queue_one (Bench *bench, gconstpointer op, int turn)
{
  const One *one = op;
  CudaDecodeAttention attention = one->attention;
  attention.cache = one->caches[turn];
  cuda_attend_one (&bench->queue, &attention);
}

static void
queue_choose (Bench *bench, gconstpointer op, int turn)
{
  cuda_choose (&bench->queue, op);
}

/* As a model's are: most near each other, which decides what drawing one costs. */
static float *
take_logits (Bench *bench)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (6);
  g_autofree float *logits = g_new0 (float, VOCAB);
  for (size_t i = 0; i < VOCAB; i++)
    for (int j = 0; j < 12; j++) /* nearly normal, of deviation 2.5 */
      logits[i] += (float)(2.5 * g_rand_double_range (random, -0.5, 0.5));
  float *data = take_zeros (bench, VOCAB * sizeof *data);
  cuda_copy (&bench->queue, data, logits, VOCAB * sizeof *data);
  check (bench);
  return data;
}

static void
measure_token (Bench *bench)
{
  for (CudaWeights type = CUDA_WEIGHTS_F16; type <= CUDA_WEIGHTS_Q4; type++)
    if (type != CUDA_WEIGHTS_BF16)
      measure_rows (bench, type);
  One one = {.attention = {
                 .q = take (bench, H * 4),
                 .n_heads = HEADS,
                 .n_kv_heads = HEADS,
                 .head_dim = DIM,
                 .scale = 1 / sqrtf (DIM),
                 .position = take_position (bench),
                 .n_splits = SPLITS,
                 .partials = take (bench, HEADS * SPLITS * (DIM + 2) * 4),
                 .arrivals = take_zeros (bench, HEADS * sizeof (unsigned)),
                 .planes = take (bench, (H + F) * 4),
                 .planes_vector = 8,
                 .planes_stride = H + F,
             }};
  for (int i = 0; i < TURNS; i++)
    one.caches[i] = take_cache (bench, HEADS, CONTEXT, DIM);
  const What attend = {"token", "attend_one", "", LAYERS, 4.0 * (POSITION + 1) * H, 0};
  run (bench, &attend, queue_one, &one);

  for (int sampled = 0; sampled < 2; sampled++) {
    CudaState state = {.eos = -1, .top_k = 50, .top_p = 0.9, .temperature = 1, .random = 1};
    g_autofree uint8_t *allowed = g_malloc (VOCAB);
    memset (allowed, 1, VOCAB);
    g_autoptr (GError) error = NULL;
    int32_t *ring = cuda_alloc_host (bench->device, CUDA_RING * sizeof *ring, &error);
    if (ring == NULL)
      g_error ("%s", error->message);
    CudaChoose choose = {
        .logits = take_logits (bench),
        .allowed = take (bench, VOCAB),
        .vocab = VOCAB,
        .sampled = sampled,
        .state = take_zeros (bench, sizeof state),
        .ring = ring,
        .best = take (bench, (CUDA_CHOOSE_PARTS + 1) * sizeof (uint64_t)),
        .arrivals = take_zeros (bench, sizeof (unsigned)),
        .weights = take (bench, VOCAB * sizeof (uint64_t)),
        .digits = take (bench, sizeof (CudaDigits)),
    };
    cuda_copy (&bench->queue, (void *)choose.allowed, allowed, VOCAB);
    cuda_set_state (&bench->queue, choose.state, &state);
    check (bench);
    const What what = {"token", sampled ? "choose_sampled" : "choose", "", !sampled, 0, 0};
    run (bench, &what, queue_choose, &choose);
    cuda_free_host (bench->device, ring);
  }
}

/* ---- Many rows ------------------------------------------------------------------------------- */

typedef struct {
  Matrices matrices;
  CudaProduct product;
} Product;

static void
queue_product (Bench *bench, gconstpointer op, int turn)
{
  const Product *p = op;
  CudaProduct product = p->product;
  product.w = get_matrix (&p->matrices, turn).data;
  cuda_multiply (&bench->queue, &product);
}

static void
measure_product (Bench *bench, const char *part, const char *name, int times, CudaProduct product)
{
  Product op = {take_matrices (bench, CUDA_WEIGHTS_F16, product.n, product.k), product};
  gboolean wide = product.y_type == CUDA_TYPE_F32;
  op.product.type = CUDA_TYPE_F16;
  op.product.x = take (bench, product.m * product.k * 2);
  op.product.x_stride = op.product.w_stride = product.k;
  op.product.bias = take (bench, product.n * (wide ? 4 : 2));
  op.product.y = take (bench, product.m * product.n * (wide ? 4 : 2));
  op.product.y_stride = product.n;
  const What what = {part, name, "f16", times, 0, 2.0 * product.m * product.n * product.k};
  run (bench, &what, queue_product, &op);
}

static void
queue_attend (Bench *bench, gconstpointer op, int turn)
{
  cuda_attend (&bench->queue, op);
}

static void
measure_attend (Bench *bench, const char *part, int times, size_t rows, int heads, int dim)
{
  size_t width = (size_t)heads * dim;
  gboolean causal = part[0] == 'p' && part[1] == 'r';
  const CudaAttention op = {
      .q = take (bench, rows * 3 * width * 4),
      .q_stride = 3 * width,
      .out = take (bench, rows * width * 2),
      .out_stride = width,
      .out_type = CUDA_TYPE_F16,
      .rows = rows,
      .n_heads = heads,
      .n_kv_heads = heads,
      .head_dim = dim,
      .n_keys = rows,
      .causal = causal,
      .scale = 1 / sqrtf (dim),
      .cache = take_cache (bench, heads, rows, dim),
  };
  double flop = 4.0 * rows * rows * width / (causal ? 2 : 1);
  const What what = {part, "attend", "f16", times, 0, flop};
  run (bench, &what, queue_attend, &op);
}

static void
queue_norm (Bench *bench, gconstpointer op, int turn)
{
  cuda_norm (&bench->queue, op);
}

static void
queue_activate (Bench *bench, gconstpointer op, int turn)
{
  cuda_activate (&bench->queue, op);
}

static void
queue_rotate (Bench *bench, gconstpointer op, int turn)
{
  cuda_rotate (&bench->queue, op);
}

static void
measure_norm (Bench *bench, const char *part, int times, size_t rows, size_t n)
{
  const CudaNorm op = {take (bench, rows * n * 4),
                       n,
                       take (bench, rows * n * 2),
                       n,
                       CUDA_TYPE_F16,
                       take (bench, n * 4),
                       take (bench, n * 4),
                       1e-5f,
                       rows,
                       1,
                       n};
  const What what = {part, "norm", "f16", times, 6.0 * rows * n, 0};
  run (bench, &what, queue_norm, &op);
}

typedef struct {
  Matrices matrices;
  uint16_t *to;
} Dequantize;

static void
queue_dequantize (Bench *bench, gconstpointer op, int turn)
{
  const Dequantize *d = op;
  const CudaDequantize dequantize = {get_matrix (&d->matrices, turn), 0, d->matrices.matrix.n_out,
                                     d->to, d->matrices.matrix.stride};
  cuda_dequantize (&bench->queue, &dequantize);
}

static void
measure_prompt (Bench *bench)
{
  const char *part = "prompt";
  measure_norm (bench, part, LAYERS, ROWS, H);
  measure_product (bench, part, "qkv", LAYERS,
                   (CudaProduct){.y_type = CUDA_TYPE_F32, .m = ROWS, .n = 3 * H, .k = H});
  measure_product (
      bench, part, "fc1", LAYERS,
      (CudaProduct){.y_type = CUDA_TYPE_F16, .m = ROWS, .n = F, .k = H, .gelu = CUDA_GELU_TANH});
  const CudaRotate rotate = {
      .q = take (bench, ROWS * 3 * H * 4),
      .k = take (bench, ROWS * 3 * H * 4),
      .v = take (bench, ROWS * 3 * H * 4),
      .stride = 3 * H,
      .rows = ROWS,
      .n_heads = HEADS,
      .n_kv_heads = HEADS,
      .head_dim = DIM,
      .half = HALF,
      .angles = take (bench, CONTEXT * HALF * 2 * 4),
      .cache = take_cache (bench, HEADS, CONTEXT, DIM),
  };
  const What what = {part, "rotate", "", LAYERS, 16.0 * ROWS * H, 0};
  run (bench, &what, queue_rotate, &rotate);
  measure_attend (bench, part, LAYERS, ROWS, HEADS, DIM);
  measure_product (
      bench, part, "dense_fc2", LAYERS,
      (CudaProduct){.y_type = CUDA_TYPE_F32, .m = ROWS, .n = H, .k = H + F, .accumulate = TRUE});
  for (CudaWeights type = CUDA_WEIGHTS_Q8; type <= CUDA_WEIGHTS_Q4; type++) {
    Dequantize op = {take_matrices (bench, type, 3 * H + F, H), take (bench, (3 * H + F) * H * 2)};
    double bytes = op.matrices.bytes + 2.0 * (3 * H + F) * H;
    const What besides = {"quantized", "dequantize", formats[type], LAYERS, bytes, 0};
    run (bench, &besides, queue_dequantize, &op);
  }
}

static void
measure_picture (Bench *bench)
{
  const char *part = "picture";
  measure_norm (bench, part, 2 * VISION_LAYERS, PATCHES, D);
  measure_product (bench, part, "qkv", VISION_LAYERS,
                   (CudaProduct){.y_type = CUDA_TYPE_F32, .m = PATCHES, .n = 3 * D, .k = D});
  measure_attend (bench, part, VISION_LAYERS, PATCHES, VISION_HEADS, VISION_DIM);
  measure_product (
      bench, part, "out_proj", VISION_LAYERS,
      (CudaProduct){.y_type = CUDA_TYPE_F32, .m = PATCHES, .n = D, .k = D, .accumulate = TRUE});
  measure_product (bench, part, "fc1", VISION_LAYERS,
                   (CudaProduct){.y_type = CUDA_TYPE_F16, .m = PATCHES, .n = E, .k = D});
  const CudaActivation activation = {
      take (bench, PATCHES * E * 2), CUDA_TYPE_F16, NULL, CUDA_GELU_QUICK, PATCHES, E, E};
  const What what = {part, "activate", "f16", VISION_LAYERS, 4.0 * PATCHES * E, 0};
  run (bench, &what, queue_activate, &activation);
  measure_product (
      bench, part, "fc2", VISION_LAYERS,
      (CudaProduct){.y_type = CUDA_TYPE_F32, .m = PATCHES, .n = D, .k = E, .accumulate = TRUE});
}

/* ---- */

static void
queue_copy (Bench *bench, gconstpointer op, int turn)
{
  char *from = (char *)op;
  cuda_copy_fast (&bench->queue, from, from + BEYOND_CACHES, BEYOND_CACHES, bench->processors);
}

static void
measure_copy (Bench *bench)
{
  void *data = take (bench, 2 * (size_t)BEYOND_CACHES);
  double us = measure (bench, queue_copy, data);
  bench->bandwidth = 2.0 * BEYOND_CACHES / us * 1e6;
  const What what = {"", "copy", "", 0, 2.0 * BEYOND_CACHES, 0};
  report (bench, &what, us);
  give_back (bench);
}

int
main (void)
{
  g_autoptr (GError) error = NULL;
  Bench bench = {.device = cuda_device_open (0, &error), .memory = g_ptr_array_new ()};
  if (bench.device == NULL || !cuda_queue_init (&bench.queue, bench.device, &error)) {
    fprintf (stderr, "bench-cuda: %s\n", error->message);
    return 77; /* skipped */
  }
  g_autoptr (GRand) random = g_rand_new_with_seed (5);
  bench.processors = cuda_device_get_info (bench.device)->processors;
  bench.noise = g_malloc (NOISE);
  for (size_t i = 0; i < NOISE / 4; i++)
    bench.noise[i] = g_rand_int (random) & 0xbfffbfff; /* f16 below 2 */
  measure_copy (&bench);
  measure_token (&bench);
  measure_prompt (&bench);
  measure_picture (&bench);
  g_free (bench.noise);
  g_ptr_array_unref (bench.memory);
  cuda_queue_clear (&bench.queue);
  cuda_device_close (bench.device);
  return 0;
}
