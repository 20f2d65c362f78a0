/* Every kernel of the CUDA backend over random shapes against plain loops in double precision, on a
 * GPU or on the emulated one. */
#include <math.h>
#include <string.h>

#include "device.h"
#include "kernels.h"
#include "quant.h"
#include "sampler.h"

typedef struct {
  CudaDevice *device;
  CudaQueue queue;
  GPtrArray *memory; /* on the device */
  GRand *random;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  f->device = cuda_device_open (0, &error);
  g_assert_no_error (error);
  cuda_queue_init (&f->queue, f->device, &error);
  g_assert_no_error (error);
  f->memory = g_ptr_array_new ();
  f->random = g_rand_new_with_seed (4);
}

static void
free_memory (Fixture *f)
{
  for (guint i = 0; i < f->memory->len; i++)
    cuda_free (f->device, f->memory->pdata[i]);
  g_ptr_array_set_size (f->memory, 0);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  free_memory (f);
  g_ptr_array_unref (f->memory);
  g_rand_free (f->random);
  cuda_queue_clear (&f->queue);
  cuda_device_close (f->device);
}

/* ---- Data there and back ----------------------------------------------------------------------
 */

/* BYTES of the device's, which are FROM's or, where that is NULL, zero. */
static void *
put (Fixture *f, const void *from, size_t bytes)
{
  g_autoptr (GError) error = NULL;
  void *data = cuda_alloc (f->device, bytes, "a test", &error);
  g_assert_no_error (error);
  g_ptr_array_add (f->memory, data);
  if (from != NULL)
    cuda_copy (&f->queue, data, from, bytes);
  cuda_queue_wait (&f->queue, &error);
  g_assert_no_error (error);
  return data;
}

static void
get (Fixture *f, void *to, const void *data, size_t bytes)
{
  g_autoptr (GError) error = NULL;
  cuda_copy (&f->queue, to, data, bytes);
  cuda_queue_wait (&f->queue, &error);
  g_assert_no_error (error);
}

static float *
draw (Fixture *f, size_t n, double scale)
{
  float *x = g_new (float, MAX (n, 1));
  for (size_t i = 0; i < n; i++)
    x[i] = (float)(scale * (g_rand_double (f->random) + g_rand_double (f->random) - 1));
  return x;
}

static AllavaDtype
dtype_of (CudaType type)
{
  return type == CUDA_TYPE_F32   ? ALLAVA_DTYPE_F32
         : type == CUDA_TYPE_F16 ? ALLAVA_DTYPE_F16
                                 : ALLAVA_DTYPE_BF16;
}

/* X [rows, n] as rows of STRIDE values of TYPE; X becomes what was stored. */
static void *
put_rows (Fixture *f, float *x, size_t rows, size_t n, size_t stride, CudaType type)
{
  size_t value = cuda_type_size (type);
  g_autofree char *data = g_malloc0 (MAX (rows * stride * value, 1));
  for (size_t i = 0; i < rows; i++) {
    allava_narrow (x + i * n, dtype_of (type), n, data + i * stride * value);
    allava_widen (data + i * stride * value, dtype_of (type), n, x + i * n);
  }
  return put (f, data, rows * stride * value);
}

static float *
get_rows (Fixture *f, const void *data, size_t rows, size_t n, size_t stride, CudaType type)
{
  size_t value = cuda_type_size (type);
  g_autofree char *copy = g_malloc (rows * stride * value);
  float *x = g_new (float, rows *n);
  get (f, copy, data, rows * stride * value);
  for (size_t i = 0; i < rows; i++)
    allava_widen (copy + i * stride * value, dtype_of (type), n, x + i * n);
  return x;
}

/* Of the largest expected value. */
static void
assert_near (const float *actual, const double *expected, size_t n, double bound)
{
  double difference = 0, largest = 0;
  for (size_t i = 0; i < n; i++) {
    g_assert_true (isfinite (actual[i]));
    difference = fmax (difference, fabs (actual[i] - expected[i]));
    largest = fmax (largest, fabs (expected[i]));
  }
  if (!(difference <= bound * largest))
    g_test_message ("off by %.2e of the largest value", difference / largest);
  g_assert_true (difference <= bound * largest);
}

/* ---- Attention --------------------------------------------------------------------------------
 */

typedef struct {
  size_t rows, n_heads, n_kv_heads, head_dim, position, n_keys, context;
  gboolean causal;
  CudaType kv, out;
} AttentionCase;

typedef struct {
  float *q, *k, *v; /* [rows, heads, dim], [kv heads, n_keys, dim] */
  CudaCache cache;
  void *device_q;
} AttentionData;

static void
attention_init (Fixture *f, const AttentionCase *c, AttentionData *d)
{
  size_t width = c->n_heads * c->head_dim, pad = (c->head_dim + 7) / 8 * 8;
  size_t n = c->n_kv_heads * c->context, value = cuda_type_size (c->kv);
  d->q = draw (f, c->rows * width, 4);
  d->k = draw (f, n * c->head_dim, 2);
  d->v = draw (f, n * c->head_dim, 1);
  d->device_q = put (f, d->q, c->rows * width * sizeof (float));
  d->cache = (CudaCache){put_rows (f, d->k, n, c->head_dim, pad, c->kv),
                         put_rows (f, d->v, n, c->head_dim, pad, c->kv), c->kv, c->context, pad};
  g_assert_cmpuint (value, >, 0);
}

static void
attention_clear (Fixture *f, AttentionData *d)
{
  g_free (d->q);
  g_free (d->k);
  g_free (d->v);
  free_memory (f);
}

/* out [rows, heads, dim] */
static double *
attend_plainly (const AttentionCase *c, const AttentionData *d)
{
  size_t dim = c->head_dim;
  double *out = g_new0 (double, c->rows * c->n_heads * dim);
  g_autofree double *p = g_new (double, c->n_keys);
  for (size_t i = 0; i < c->rows * c->n_heads; i++) {
    size_t kv_head = i % c->n_heads / (c->n_heads / c->n_kv_heads), row = i / c->n_heads;
    size_t n = c->causal ? c->position + row + 1 : c->n_keys;
    double max = -INFINITY, sum = 0;
    for (size_t j = 0; j < n; j++) {
      p[j] = 0;
      for (size_t e = 0; e < dim; e++)
        p[j] += (double)d->q[i * dim + e] * d->k[(kv_head * c->context + j) * dim + e];
      p[j] /= sqrt (dim);
      max = fmax (max, p[j]);
    }
    for (size_t j = 0; j < n; j++)
      sum += p[j] = exp (p[j] - max);
    for (size_t j = 0; j < n; j++)
      for (size_t e = 0; e < dim; e++)
        out[i * dim + e] += p[j] / sum * d->v[(kv_head * c->context + j) * dim + e];
  }
  return out;
}

static void
check_attention (Fixture *f, const AttentionCase *c)
{
  AttentionData d;
  size_t width = c->n_heads * c->head_dim, stride = width + 8;
  attention_init (f, c, &d);
  CudaAttention attention = {
      .q = d.device_q,
      .q_stride = width,
      .out = put (f, NULL, c->rows * stride * cuda_type_size (c->out)),
      .out_stride = stride,
      .out_type = c->out,
      .rows = c->rows,
      .n_heads = (int)c->n_heads,
      .n_kv_heads = (int)c->n_kv_heads,
      .head_dim = (int)c->head_dim,
      .position = c->position,
      .n_keys = c->n_keys,
      .causal = c->causal,
      .scale = 1 / sqrtf (c->head_dim),
      .cache = d.cache,
  };
  g_autofree double *expected = attend_plainly (c, &d);
  cuda_attend (&f->queue, &attention);
  g_autofree float *actual = get_rows (f, attention.out, c->rows, width, stride, c->out);
  double bound = c->out == CUDA_TYPE_F32 ? 1e-5 : c->out == CUDA_TYPE_F16 ? 2e-3 : 8e-3;
  assert_near (actual, expected, c->rows * width, bound);
  attention_clear (f, &d);
}

static void
test_attention (Fixture *f, gconstpointer data)
{
  static const AttentionCase cases[] = {
      {70, 2, 2, 64, 0, 70, 70, FALSE, CUDA_TYPE_F16, CUDA_TYPE_F16},
      {67, 2, 1, 80, 61, 128, 200, TRUE, CUDA_TYPE_F16, CUDA_TYPE_F16},
      {1, 1, 1, 80, 5, 6, 9, TRUE, CUDA_TYPE_F16, CUDA_TYPE_F16},
      {130, 1, 1, 64, 0, 130, 130, TRUE, CUDA_TYPE_F16, CUDA_TYPE_BF16},
      {5, 2, 2, 64, 3, 8, 8, TRUE, CUDA_TYPE_F32, CUDA_TYPE_F32},
      {6, 3, 1, 19, 150, 156, 160, TRUE, CUDA_TYPE_F16, CUDA_TYPE_F16},
      {3, 2, 2, 256, 0, 140, 140, FALSE, CUDA_TYPE_F32, CUDA_TYPE_F32},
      {9, 1, 1, 8, 0, 9, 9, TRUE, CUDA_TYPE_F16, CUDA_TYPE_BF16},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    check_attention (f, &cases[i]);
}

/* Where element E of N lies in the planes of a matrix of 16-bit weights. */
static size_t
plane_of (size_t e, size_t n)
{
  return cuda_plane (e, 8, (n + 7) / 8 * 8);
}

static void
check_one (Fixture *f, const AttentionCase *c, int n_splits)
{
  AttentionData d;
  size_t width = c->n_heads * c->head_dim, stride = (width + 7) / 8 * 8;
  attention_init (f, c, &d);
  const int32_t position = (int32_t)c->position;
  CudaDecodeAttention attention = {
      .q = d.device_q,
      .n_heads = (int)c->n_heads,
      .n_kv_heads = (int)c->n_kv_heads,
      .head_dim = (int)c->head_dim,
      .scale = 1 / sqrtf (c->head_dim),
      .position = put (f, &position, sizeof position),
      .cache = d.cache,
      .n_splits = n_splits,
      .partials = put (f, NULL, c->n_heads * n_splits * (d.cache.head_pad + 2) * sizeof (float)),
      .arrivals = put (f, NULL, c->n_heads * sizeof (unsigned)),
      .planes = put (f, NULL, stride * sizeof (float)),
      .planes_vector = 8,
      .planes_stride = stride,
  };
  g_autofree double *expected = attend_plainly (c, &d);
  for (int turn = 0; turn < 2; turn++) { /* the second finds the counters as the first did */
    cuda_attend_one (&f->queue, &attention);
    g_autofree float *planes = g_new (float, stride), *actual = g_new (float, width);
    get (f, planes, attention.planes, stride * sizeof (float));
    for (size_t i = 0; i < width; i++)
      actual[i] = planes[plane_of (i, width)];
    assert_near (actual, expected, width, 1e-5);
  }
  attention_clear (f, &d);
}

static void
test_attention_of_one (Fixture *f, gconstpointer data)
{
  static const size_t positions[] = {0, 1, 127, 128, 300};
  for (size_t i = 0; i < G_N_ELEMENTS (positions); i++) {
    size_t n = positions[i] + 1;
    const AttentionCase phi = {1, 2, 2, 80, positions[i], n, 320, TRUE, CUDA_TYPE_F16};
    const AttentionCase grouped = {1, 10, 2, 20, positions[i], n, 301, TRUE, CUDA_TYPE_F32};
    check_one (f, &phi, 3);
    check_one (f, &grouped, 1);
  }
}

/* ---- Matrices of every format -----------------------------------------------------------------
 */

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

static double *
norm (const float *x, const float *weight, const float *bias, size_t n)
{
  double mean = 0, variance = 0, *y = g_new (double, n);
  for (size_t i = 0; i < n; i++)
    mean += x[i] / (double)n;
  for (size_t i = 0; i < n; i++)
    variance += (x[i] - mean) * (x[i] - mean) / n;
  for (size_t i = 0; i < n; i++)
    y[i] = (x[i] - mean) / sqrt (variance + 1e-5) * weight[i] + bias[i];
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
check_reduce (Fixture *f, CudaWeights type, size_t n_out, size_t n_in)
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
  cuda_reduce (&f->queue, &reduce, 1);
  get (f, y, reduce.x, n_out * sizeof (float));
  assert_near (y, expected, n_out, 1e-5);
  g_free (w);
  free_memory (f);
}

static void
check_head (Fixture *f, CudaWeights type, size_t n_out, size_t n_in)
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
  cuda_head (&f->queue, &head, 1);
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
      check_reduce (f, type, 37, n_in);
      if (n_in > 1)
        check_head (f, type, 150, n_in);
    }
}

static void
test_dequantize (Fixture *f, gconstpointer data)
{
  for (int type = CUDA_WEIGHTS_Q8; type <= CUDA_WEIGHTS_Q4; type++) {
    float *w;
    size_t n_out = 11, n_in = 192, first = 3, rows = 7;
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

/* ---- [q, k, v, fc1] ---------------------------------------------------------------------------
 */

typedef struct {
  size_t n_heads, n_kv_heads, head_dim, half, f, n;
  CudaWeights type;
  CudaType kv;
  gboolean raw;
} ProjectCase;

/* Rotates HEAD in place at angles' row. */
static void
rotate (double *head, const float *angles, size_t half)
{
  for (size_t i = 0; i < half; i++) {
    double a = head[i], b = head[i + half], c = angles[2 * i], s = angles[2 * i + 1];
    head[i] = a * c - b * s;
    head[i + half] = b * c + a * s;
  }
}

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
  for (size_t i = qkv; i < n_out; i++) {
    double t = expected[i];
    expected[i] = 0.5 * t * (1 + tanh (sqrt (2 / G_PI) * (t + 0.044715 * t * t * t)));
  }

  cuda_project (&f->queue, &project, 1);
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

static void
test_project (Fixture *f, gconstpointer data)
{
  static const ProjectCase cases[] = {
      {2, 2, 80, 16, 24, 160, CUDA_WEIGHTS_F16, CUDA_TYPE_F16, FALSE},
      {6, 2, 16, 6, 33, 96, CUDA_WEIGHTS_BF16, CUDA_TYPE_F16, FALSE},
      {3, 1, 19, 4, 7, 57, CUDA_WEIGHTS_F32, CUDA_TYPE_F32, FALSE},
      {4, 1, 12, 6, 20, 48, CUDA_WEIGHTS_F32, CUDA_TYPE_F32, TRUE},
      {2, 1, 10, 5, 1, 64, CUDA_WEIGHTS_Q8, CUDA_TYPE_F16, FALSE},
      {2, 2, 32, 0, 64, 128, CUDA_WEIGHTS_Q4, CUDA_TYPE_F16, FALSE},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++)
    check_project (f, &cases[i]);
}

/* ---- Choosing ---------------------------------------------------------------------------------
 */

#define EOS 7

typedef struct {
  size_t vocab;
  double temperature, top_p;
  int top_k, min_new, draws;
  double scale; /* logits are whole multiples of it, so that some are equal */
} ChooseCase;

static CudaChoose
make_choose (Fixture *f, const ChooseCase *c, const float *logits, const uint8_t *allowed)
{
  g_autoptr (GError) error = NULL;
  CudaChoose choose = {
      .logits = put (f, logits, c->vocab * sizeof (float)),
      .allowed = put (f, allowed, c->vocab),
      .vocab = c->vocab,
      .sampled = c->temperature > 0,
      .state = put (f, NULL, sizeof (CudaState)),
      .ring = cuda_alloc_host (f->device, CUDA_RING * sizeof (int32_t), &error),
      .best = put (f, NULL, (CUDA_CHOOSE_PARTS + 1) * sizeof (uint64_t)),
      .arrivals = put (f, NULL, sizeof (unsigned)),
      .weights = put (f, NULL, c->vocab * sizeof (uint64_t)),
  };
  g_assert_no_error (error);
  return choose;
}

static int32_t
choose_plainly (const ChooseCase *c,
                const float *logits,
                const uint8_t *allowed,
                int step,
                AllavaSampler *sampler)
{
  g_autofree AllavaCandidate *candidates = g_new (AllavaCandidate, c->vocab);
  size_t n = 0;
  for (size_t i = 0; i < c->vocab; i++) {
    if (allowed[i] && !isfinite (logits[i]))
      return -1;
    if (allowed[i] && (i != EOS || step >= c->min_new))
      candidates[n++] = (AllavaCandidate){logits[i], (int32_t)i};
  }
  return n > 0 ? allava_sampler_next (sampler, candidates, n) : EOS;
}

static void
check_choose (Fixture *f, const ChooseCase *c, const float *logits, const uint8_t *allowed)
{
  CudaChoose choose = make_choose (f, c, logits, allowed);
  AllavaSampler sampler = {c->temperature, c->top_k, c->top_p, 42};
  const CudaState state = {
      .position = 10,
      .min_new = c->min_new,
      .eos = EOS,
      .top_k = c->top_k,
      .top_p = c->top_p,
      .temperature = c->temperature,
      .random = 42,
  };
  cuda_set_state (&f->queue, choose.state, &state);
  for (int step = 0; step < c->draws; step++) {
    CudaState after;
    cuda_choose (&f->queue, &choose);
    get (f, &after, choose.state, sizeof after);
    int32_t expected = choose_plainly (c, logits, allowed, step, &sampler);
    g_assert_cmpint (choose.ring[step % CUDA_RING], ==, expected);
    g_assert_cmpint (after.token, ==, MAX (expected, 0));
    g_assert_cmpint (after.position, ==, 11 + step);
    g_assert_cmpint (after.step, ==, step + 1);
  }
  cuda_free_host (f->device, choose.ring);
  free_memory (f);
}

static void
test_choose (Fixture *f, gconstpointer data)
{
  static const ChooseCase cases[] = {
      {371, 0, 1, 0, 2, 3, 0.5},        {5000, 0, 1, 0, 0, 1, 1e-3},
      {371, 1, 1, 0, 2, 12, 0.5},       {371, 0.7, 0.9, 0, 0, 12, 0.25},
      {3000, 2, 0.95, 50, 0, 6, 0.125}, {200, 1.5, 1, 3, 0, 12, 1},
      {64, 100, 0.3, 1000, 1, 8, 1e-4}, {371, 1e-3, 0.5, 2, 0, 4, 0.5},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    const ChooseCase *c = &cases[i];
    g_autofree float *logits = draw (f, c->vocab, 10);
    g_autofree uint8_t *allowed = g_malloc (c->vocab);
    for (size_t j = 0; j < c->vocab; j++) {
      logits[j] = (float)(c->scale * round (logits[j] / c->scale));
      allowed[j] = j == EOS || g_rand_int_range (f->random, 0, 8) != 0;
    }
    check_choose (f, c, logits, allowed);
  }
}

static void
test_choose_at_the_edge (Fixture *f, gconstpointer data)
{
  for (int sampled = 0; sampled < 2; sampled++) {
    const ChooseCase c = {100, sampled, 0.9, 5, 2, 3, 1};
    float logits[100] = {0};
    uint8_t allowed[100] = {[EOS] = 1};
    check_choose (f, &c, logits, allowed); /* nothing else can be chosen */
    logits[20] = NAN;
    check_choose (f, &c, logits, allowed); /* cannot be chosen: does not matter */
    allowed[20] = 1;
    check_choose (f, &c, logits, allowed);
    logits[20] = -INFINITY;
    check_choose (f, &c, logits, allowed);
    logits[20] = 1;
    logits[EOS] = INFINITY; /* may not be chosen yet, but is wrong */
    check_choose (f, &c, logits, allowed);
    memset (allowed, 1, sizeof allowed);
    for (int i = 0; i < 100; i++)
      logits[i] = i % 2 ? -0.0f : 0.0f; /* equal */
    check_choose (f, &c, logits, allowed);
  }
}

static void
test_copy (Fixture *f, gconstpointer data)
{
  g_autofree float *x = draw (f, 40004, 1), *y = g_new (float, 40004);
  size_t bytes = 40004 * sizeof (float);
  void *to = put (f, NULL, bytes);
  cuda_copy_fast (&f->queue, put (f, x, bytes), to, bytes, 1);
  get (f, y, to, bytes);
  g_assert_cmpmem (x, bytes, y, bytes);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autoptr (GError) error = NULL;
  CudaDevice *device = cuda_device_open (0, &error);
  if (device == NULL) {
    g_print ("TAP version 13\n1..0 # SKIP %s\n", error->message);
    return 0;
  }
  cuda_device_close (device);
  ADD ("/cuda-kernels/attention", test_attention);
  ADD ("/cuda-kernels/attention-of-one", test_attention_of_one);
  ADD ("/cuda-kernels/rows", test_rows);
  ADD ("/cuda-kernels/dequantize", test_dequantize);
  ADD ("/cuda-kernels/project", test_project);
  ADD ("/cuda-kernels/choose", test_choose);
  ADD ("/cuda-kernels/choose-at-the-edge", test_choose_at_the_edge);
  ADD ("/cuda-kernels/copy", test_copy);
  return g_test_run ();
}
