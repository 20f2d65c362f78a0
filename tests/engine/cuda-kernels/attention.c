/* attention.c - attention of many rows, on tensor cores and without, and of one. */
#include "fixture.h"

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
  size_t n = c->n_kv_heads * c->context;
  d->q = draw (f, c->rows * width, 4);
  d->k = draw (f, n * c->head_dim, 2);
  d->v = draw (f, n * c->head_dim, 1);
  d->device_q = put (f, d->q, c->rows * width * sizeof (float));
  d->cache = (CudaCache){put_rows (f, d->k, n, c->head_dim, pad, c->kv),
                         put_rows (f, d->v, n, c->head_dim, pad, c->kv), c->kv, c->context, pad};
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
  assert_near (actual, expected, c->rows * width, bound_of (c->out));
  attention_clear (f, &d);
}

/* Heads of sizes that tensor cores take and of others, one to three queries for each KV head. */
static AttentionCase
draw_case (Fixture *f, size_t most_rows, size_t most_keys)
{
  static const size_t dims[] = {64, 80, 64, 80, 8, 19, 40, 128, 256};
  AttentionCase c = {.rows = draw_size (f, 1, most_rows)};
  c.n_kv_heads = draw_size (f, 1, 3);
  c.n_heads = c.n_kv_heads * draw_size (f, 1, 3);
  c.head_dim = dims[draw_size (f, 0, G_N_ELEMENTS (dims) - 1)];
  c.causal = draw_size (f, 0, 1);
  c.position = c.causal ? draw_size (f, 0, most_keys) : 0;
  c.n_keys = c.causal ? c.position + c.rows : draw_size (f, 1, most_keys);
  c.context = c.n_keys + draw_size (f, 0, 9);
  c.kv = draw_size (f, 0, 3) == 0 ? CUDA_TYPE_F32 : CUDA_TYPE_F16;
  c.out = (CudaType)draw_size (f, CUDA_TYPE_F32, CUDA_TYPE_BF16);
  return c;
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
  for (int i = 0; i < RANDOM_CASES; i++) {
    const AttentionCase c = draw_case (f, 150, 250);
    check_attention (f, &c);
  }
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
  for (int i = 0; i < RANDOM_CASES; i++) {
    AttentionCase c = draw_case (f, 1, 600);
    c.causal = TRUE;
    c.position = c.n_keys - 1;
    check_one (f, &c, (int)draw_size (f, 1, CUDA_MAX_SPLITS));
  }
}

void
add_attention_tests (void)
{
  ADD ("/cuda-kernels/attention", test_attention);
  ADD ("/cuda-kernels/attention-of-one", test_attention_of_one);
}
