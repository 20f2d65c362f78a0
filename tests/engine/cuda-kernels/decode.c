/* decode.c - the linear layers of one row, in every format. */
#include "fixture.h"
#include "quant.h"

/* ---- Matrices of every format ---------------------------------------------------------------- */

/* A matrix of random weights; W [n_out, n_in] are what was stored. */
static CudaMatrix
draw_matrix (Fixture *f, CudaWeights type, size_t n_out, size_t n_in, float **w)
{
  size_t vector = cuda_vector (type), pad = type == CUDA_WEIGHTS_Q4 ? 64 : MAX (vector, 8);
  CudaMatrix matrix = {.type = type, .n_out = n_out, .n_in = n_in};
  matrix.stride = (n_in + pad - 1) / pad * pad;
  *w = draw (f, n_out * n_in, 0.05);
  if (type < CUDA_WEIGHTS_Q8) {
    CudaType plain = type == CUDA_WEIGHTS_F32   ? CUDA_TYPE_F32
                     : type == CUDA_WEIGHTS_F16 ? CUDA_TYPE_F16
                                                : CUDA_TYPE_BF16;
    matrix.data = put_rows (f, *w, n_out, n_in, matrix.stride, plain);
    return matrix;
  }
  AllavaDtype dtype = type == CUDA_WEIGHTS_Q8 ? ALLAVA_DTYPE_Q8 : ALLAVA_DTYPE_Q4;
  size_t row = allava_quant_row_bytes (dtype, n_in), groups = allava_quant_row_groups (n_in);
  g_assert_cmpuint (matrix.stride, ==, n_in);
  g_autofree uint8_t *values = g_malloc (n_out * row);
  g_autofree uint16_t *records = g_new (uint16_t, n_out * groups);
  for (size_t i = 0; i < n_out; i++) {
    g_assert_true (
        allava_quantize_row (dtype, *w + i * n_in, n_in, values + i * row, records + i * groups));
    allava_dequantize_row (dtype, values + i * row, records + i * groups, n_in, *w + i * n_in);
  }
  matrix.data = put (f, values, n_out * row);
  matrix.records = put (f, records, n_out * groups * sizeof *records);
  return matrix;
}

static double *
multiply (const float *w, const double *x, const float *bias, size_t n_out, size_t n_in)
{
  double *y = g_new (double, n_out);
  for (size_t i = 0; i < n_out; i++) {
    y[i] = bias != NULL ? bias[i] : 0;
    for (size_t j = 0; j < n_in; j++)
      y[i] += w[i * n_in + j] * x[j];
  }
  return y;
}

static const size_t row_sizes[] = {1, 40, 320, 1100}; /* of 16- and 32-bit weights */

/* What a type's rows may be: whole groups, or whole pairs of them. */
static size_t
fit_row (CudaWeights type, size_t n)
{
  size_t unit = type == CUDA_WEIGHTS_Q4 ? 64 : type == CUDA_WEIGHTS_Q8 ? 32 : 1;
  return (n + unit - 1) / unit * unit;
}

static void
check_reduce (Fixture *f, CudaWeights type, size_t n_out, size_t n_in, int processors)
{
  float *w;
  CudaMatrix matrix = draw_matrix (f, type, n_out, n_in, &w);
  g_autofree float *x = draw (f, n_in, 3), *bias = draw (f, n_out, 1), *y = draw (f, n_out, 1);
  g_autofree float *planes = g_new0 (float, matrix.stride);
  g_autofree double *wide = g_new (double, n_in);
  for (size_t i = 0; i < n_in; i++) {
    planes[cuda_plane (i, cuda_vector (type), matrix.stride)] = x[i];
    wide[i] = x[i];
  }
  CudaReduce reduce = {put (f, planes, matrix.stride * sizeof (float)), matrix,
                       put (f, bias, n_out * sizeof (float)), put (f, y, n_out * sizeof (float))};
  g_autofree double *expected = multiply (w, wide, bias, n_out, n_in);
  for (size_t i = 0; i < n_out; i++)
    expected[i] += y[i];
  cuda_reduce (&f->queue, &reduce, processors);
  get (f, y, reduce.x, n_out * sizeof (float));
  assert_near (y, expected, n_out, 1e-5);
  g_free (w);
  free_memory (f);
}

static void
check_head (Fixture *f, CudaWeights type, size_t n_out, size_t n_in, int processors)
{
  float *w;
  CudaMatrix matrix = draw_matrix (f, type, n_out, n_in, &w);
  g_autofree float *x = draw (f, n_in, 3), *scale = draw (f, n_in, 1), *shift = draw (f, n_in, 1);
  g_autofree float *bias = draw (f, n_out, 1), *y = g_new (float, n_out);
  const CudaHead head = {
      .x = put (f, x, n_in * sizeof (float)),
      .weight = put (f, scale, n_in * sizeof (float)),
      .bias = put (f, shift, n_in * sizeof (float)),
      .eps = 1e-5f,
      .n = n_in,
      .matrix = matrix,
      .matrix_bias = put (f, bias, n_out * sizeof (float)),
      .logits = put (f, NULL, n_out * sizeof (float)),
  };
  g_autofree double *normed = norm (x, scale, shift, n_in);
  g_autofree double *expected = multiply (w, normed, bias, n_out, n_in);
  cuda_head (&f->queue, &head, processors);
  get (f, y, head.logits, n_out * sizeof (float));
  assert_near (y, expected, n_out, 1e-5);
  g_free (w);
  free_memory (f);
}

static void
test_rows (Fixture *f, gconstpointer data)
{
  for (int type = CUDA_WEIGHTS_F32; type <= CUDA_WEIGHTS_Q4; type++)
    for (size_t i = 0; i < G_N_ELEMENTS (row_sizes); i++) {
      size_t n_in = fit_row (type, row_sizes[i]);
      check_reduce (f, type, 37, n_in, 1);
      if (n_in > 1)
        check_head (f, type, 150, n_in, 1);
    }
  for (int i = 0; i < RANDOM_CASES; i++) {
    CudaWeights type = (CudaWeights)draw_size (f, CUDA_WEIGHTS_F32, CUDA_WEIGHTS_Q4);
    size_t n_out = draw_size (f, 1, 700), n_in = fit_row (type, draw_size (f, 2, 3000));
    int processors = (int)draw_size (f, 1, 20); /* warps of a task depend on them */
    check_reduce (f, type, n_out, n_in, processors);
    check_head (f, type, n_out, n_in, processors);
  }
}

static void
test_dequantize (Fixture *f, gconstpointer data)
{
  for (int type = CUDA_WEIGHTS_Q8; type <= CUDA_WEIGHTS_Q4; type++) {
    float *w;
    size_t n_out = 11, n_in = type == CUDA_WEIGHTS_Q8 ? 96 : 192, first = 3, rows = 7;
    CudaMatrix matrix = draw_matrix (f, type, n_out, n_in, &w);
    const CudaDequantize op = {matrix, first, rows, put (f, NULL, rows * n_in * 2), n_in};
    cuda_dequantize (&f->queue, &op);
    g_autofree uint16_t *actual = g_new (uint16_t, rows * n_in);
    g_autofree uint16_t *expected = g_new (uint16_t, rows * n_in);
    get (f, actual, op.to, rows * n_in * 2);
    allava_narrow (w + first * n_in, ALLAVA_DTYPE_F16, rows * n_in, expected);
    g_assert_cmpmem (actual, rows * n_in * 2, expected, rows * n_in * 2);
    g_free (w);
    free_memory (f);
  }
}

/* ---- [q, k, v, fc1] -------------------------------------------------------------------------- */

typedef struct {
  size_t n_heads, n_kv_heads, head_dim, half, f, n;
  CudaWeights type;
  CudaType kv;
  gboolean raw;
  int processors; /* warps of a task depend on them */
} ProjectCase;

static float *
get_cached (Fixture *f, const ProjectCase *c, const CudaCache *cache, const void *plane, size_t at)
{
  g_autofree float *all = get_rows (f, plane, c->n_kv_heads * cache->context, c->head_dim,
                                    cache->head_pad, cache->type);
  float *x = g_new (float, c->n_kv_heads * c->head_dim);
  for (size_t i = 0; i < c->n_kv_heads; i++)
    memcpy (x + i * c->head_dim, all + (i * cache->context + at) * c->head_dim,
            c->head_dim * sizeof (float));
  return x;
}

static void
check_project (Fixture *f, const ProjectCase *c)
{
  enum { CONTEXT = 9, POSITION = 5 };
  float *w;
  size_t q = c->n_heads * c->head_dim, k = c->n_kv_heads * c->head_dim, qkv = q + 2 * k;
  size_t n_out = qkv + c->f, pad = (c->head_dim + 7) / 8 * 8, from = (q + 7) / 8 * 8;
  size_t stride = (from + c->f + 7) / 8 * 8, value = cuda_type_size (c->kv);
  CudaMatrix matrix = draw_matrix (f, c->type, n_out, c->n, &w);
  g_autofree float *x = draw (f, c->n, 3), *scale = draw (f, c->n, 1), *shift = draw (f, c->n, 1);
  g_autofree float *bias = draw (f, n_out, 1);
  g_autofree float *angles = draw (f, CONTEXT * c->half * 2, 1);
  const int32_t position = POSITION;
  const CudaProject project = {
      .x = put (f, x, c->n * sizeof (float)),
      .weight = put (f, scale, c->n * sizeof (float)),
      .bias = put (f, shift, c->n * sizeof (float)),
      .eps = 1e-5f,
      .n = c->n,
      .matrix = matrix,
      .matrix_bias = put (f, bias, n_out * sizeof (float)),
      .n_heads = (int)c->n_heads,
      .n_kv_heads = (int)c->n_kv_heads,
      .head_dim = (int)c->head_dim,
      .half = (int)c->half,
      .angles = put (f, angles, CONTEXT * c->half * 2 * sizeof (float)),
      .position = put (f, &position, sizeof position),
      .cache = {put (f, NULL, c->n_kv_heads * CONTEXT * pad * value),
                put (f, NULL, c->n_kv_heads * CONTEXT * pad * value), c->kv, CONTEXT, pad},
      .q = put (f, NULL, qkv * sizeof (float)),
      .raw = c->raw,
      .gelu = CUDA_GELU_TANH,
      .planes = put (f, NULL, stride * sizeof (float)),
      .planes_from = from,
      .planes_vector = 8,
      .planes_stride = stride,
  };
  g_autofree double *normed = norm (x, scale, shift, c->n);
  g_autofree double *expected = multiply (w, normed, bias, n_out, c->n);
  for (size_t i = 0; !c->raw && i < c->n_heads + c->n_kv_heads; i++)
    rotate (expected + i * c->head_dim, angles + POSITION * c->half * 2, c->half);
  for (size_t i = qkv; i < n_out; i++)
    expected[i] = gelu (CUDA_GELU_TANH, expected[i]);

  cuda_project (&f->queue, &project, c->processors);
  g_autofree float *outputs = g_new (float, qkv), *planes = g_new (float, stride);
  get (f, outputs, project.q, qkv * sizeof (float));
  get (f, planes, project.planes, stride * sizeof (float));
  assert_near (outputs, expected, c->raw ? qkv : q, 1e-5);
  g_autofree float *mlp = g_new (float, c->f);
  for (size_t i = 0; i < c->f; i++)
    mlp[i] = planes[cuda_plane (from + i, 8, stride)];
  assert_near (mlp, expected + qkv, c->f, 1e-5);
  double bound = c->kv == CUDA_TYPE_F32 ? 1e-5 : 1e-3;
  g_autofree float *keys = get_cached (f, c, &project.cache, project.cache.keys, POSITION);
  g_autofree float *values = get_cached (f, c, &project.cache, project.cache.values, POSITION);
  if (!c->raw) {
    assert_near (keys, expected + q, k, bound);
    assert_near (values, expected + q + k, k, bound);
  }
  g_free (w);
  free_memory (f);
}

static ProjectCase
draw_project (Fixture *f)
{
  ProjectCase c = {.type = (CudaWeights)draw_size (f, CUDA_WEIGHTS_F32, CUDA_WEIGHTS_Q4)};
  c.n_kv_heads = draw_size (f, 1, 3);
  c.n_heads = c.n_kv_heads * draw_size (f, 1, 3);
  c.head_dim = draw_size (f, 1, 90);
  c.half = draw_size (f, 0, c.head_dim / 2);
  c.f = draw_size (f, 1, 300);
  c.n = fit_row (c.type, draw_size (f, 2, 3000));
  c.kv = draw_size (f, 0, 1) ? CUDA_TYPE_F16 : CUDA_TYPE_F32;
  c.raw = draw_size (f, 0, 3) == 0;
  c.processors = (int)draw_size (f, 1, 20);
  return c;
}

static void
test_project (Fixture *f, gconstpointer data)
{
  static const ProjectCase cases[] = {
      {2, 2, 80, 16, 24, 160, CUDA_WEIGHTS_F16, CUDA_TYPE_F16, FALSE, 1},
      {6, 2, 16, 6, 33, 96, CUDA_WEIGHTS_BF16, CUDA_TYPE_F16, FALSE, 1},
      {3, 1, 19, 4, 7, 57, CUDA_WEIGHTS_F32, CUDA_TYPE_F32, FALSE, 1},
      {4, 1, 12, 6, 20, 48, CUDA_WEIGHTS_F32, CUDA_TYPE_F32, TRUE, 1},
      {2, 1, 10, 5, 1, 64, CUDA_WEIGHTS_Q8, CUDA_TYPE_F16, FALSE, 1},
      {2, 2, 32, 0, 64, 128, CUDA_WEIGHTS_Q4, CUDA_TYPE_F16, FALSE, 1},
      /* Rows of several warps: 2, 4 in several turns, and 8. */
      {2, 2, 16, 6, 25, 1100, CUDA_WEIGHTS_F16, CUDA_TYPE_F16, FALSE, 20},
      {2, 1, 10, 5, 33, 1100, CUDA_WEIGHTS_F32, CUDA_TYPE_F32, FALSE, 1},
      {2, 1, 19, 4, 7, 2100, CUDA_WEIGHTS_F32, CUDA_TYPE_F32, TRUE, 20},
      {1, 1, 12, 4, 11, 4096, CUDA_WEIGHTS_Q4, CUDA_TYPE_F16, FALSE, 20},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    check_project (f, &cases[i]);
  for (int i = 0; i < RANDOM_CASES; i++) {
    const ProjectCase c = draw_project (f);
    check_project (f, &c);
  }
}

void
add_decode_tests (void)
{
  ADD ("/cuda-kernels/rows", test_rows);
  ADD ("/cuda-kernels/dequantize", test_dequantize);
  ADD ("/cuda-kernels/project", test_project);
}
