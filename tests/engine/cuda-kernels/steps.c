/* steps.c - products and the small steps around them. */
#include "fixture.h"

static CudaType
draw_type (Fixture *f)
{
  return (CudaType)draw_size (f, CUDA_TYPE_F32, CUDA_TYPE_BF16);
}

static size_t
pad (size_t n, CudaType type)
{
  size_t vector = 16 / cuda_type_size (type);
  return (n + vector - 1) / vector * vector;
}

static double *
widen (const float *x, size_t n)
{
  double *wide = g_new (double, n);
  for (size_t i = 0; i < n; i++)
    wide[i] = x[i];
  return wide;
}

/* ---- Products -------------------------------------------------------------------------------- */

static void
fill_expected (const CudaProduct *p, const float *x, const float *w, const float *bias, double *y)
{
  for (size_t i = 0; i < p->m; i++)
    for (size_t j = 0; j < p->n; j++) {
      double sum = bias != NULL ? bias[j] : 0;
      for (size_t k = 0; k < p->k; k++)
        sum += (double)x[i * p->k + k] * w[j * p->k + k];
      y[i * p->n + j] = gelu (p->gelu, sum) + (p->accumulate ? y[i * p->n + j] : 0);
    }
}

/* As the backend does it: rows padded to 16 bytes with zeros, which are multiplied too. */
static void
check_product (Fixture *f, CudaProduct p)
{
  g_autofree float *x = draw (f, p.m * p.k, 2), *w = draw (f, p.n * p.k, 0.3);
  g_autofree float *bias = draw (f, p.n, 1), *y = draw (f, p.m * p.n, 1);
  gboolean with_bias = draw_size (f, 0, 3) != 0;
  p.x_stride = p.w_stride = pad (p.k, p.type);
  p.y_stride = p.y_type == CUDA_TYPE_F32 ? p.n + draw_size (f, 0, 8) : pad (p.n, p.y_type);
  p.x = put_rows (f, x, p.m, p.k, p.x_stride, p.type);
  p.w = put_rows (f, w, p.n, p.k, p.w_stride, p.type);
  p.y = put_rows (f, y, p.m, p.n, p.y_stride, p.y_type);
  p.bias = with_bias ? put_rows (f, bias, 1, p.n, p.n, p.y_type) : NULL;
  g_autofree double *expected = widen (y, p.m * p.n);
  fill_expected (&p, x, w, with_bias ? bias : NULL, expected);
  p.k = p.x_stride;
  cuda_multiply (&f->queue, &p);
  g_autofree float *actual = get_rows (f, p.y, p.m, p.n, p.y_stride, p.y_type);
  gboolean exact = p.type == CUDA_TYPE_F32; /* tensor cores' sums are a little less than f32 */
  assert_near (actual, expected, p.m * p.n,
               exact ? bound_of (p.y_type) : bound_of (p.y_type) + 1e-4);
  free_memory (f);
}

static void
test_products (Fixture *f, gconstpointer data)
{
  gboolean has_bf16 = cuda_device_get_info (f->device)->major >= 8;
  for (int i = 0; i < 3 * RANDOM_CASES; i++) {
    CudaProduct p = {.type = draw_type (f), .m = draw_size (f, 1, 90)};
    if (p.type == CUDA_TYPE_BF16 && !has_bf16)
      continue;
    p.n = draw_size (f, 1, 150);
    p.k = draw_size (f, 1, 200);
    p.y_type = draw_size (f, 0, 1) ? CUDA_TYPE_F32 : p.type;
    p.accumulate = p.y_type == CUDA_TYPE_F32 && draw_size (f, 0, 1);
    p.gelu =
        p.accumulate ? CUDA_GELU_NONE : (CudaGelu)draw_size (f, CUDA_GELU_NONE, CUDA_GELU_QUICK);
    check_product (f, p);
  }
}

/* The gelu is cuda_activate()'s, of what was rounded. */
static void
check_gelu (Fixture *f, CudaProduct p)
{
  size_t bytes = p.m * p.n * cuda_type_size (p.y_type);
  g_autofree float *x = draw (f, p.m * p.k, 2), *w = draw (f, p.n * p.k, 0.3);
  g_autofree float *bias = draw (f, p.n, 1);
  p.x = put_rows (f, x, p.m, p.k, p.k, p.type);
  p.w = put_rows (f, w, p.n, p.k, p.k, p.type);
  p.bias = put_rows (f, bias, 1, p.n, p.n, p.y_type);
  p.y = put (f, NULL, bytes);
  g_autofree void *actual = g_malloc (bytes), *expected = g_malloc (bytes);
  cuda_multiply (&f->queue, &p);
  get (f, actual, p.y, bytes);
  const CudaActivation activation = {p.y, p.y_type, NULL, p.gelu, p.m, p.n, p.y_stride};
  p.gelu = CUDA_GELU_NONE;
  cuda_multiply (&f->queue, &p);
  cuda_activate (&f->queue, &activation);
  get (f, expected, p.y, bytes);
  g_assert_cmpmem (actual, bytes, expected, bytes);
  free_memory (f);
}

/* All but the one that cuBLASLt has and may do: the tanh form, where y has 16 bits. */
static void
test_gelu_after_product (Fixture *f, gconstpointer data)
{
  gboolean has_bf16 = cuda_device_get_info (f->device)->major >= 8;
  for (int type = CUDA_TYPE_F32; type <= (has_bf16 ? CUDA_TYPE_BF16 : CUDA_TYPE_F16); type++)
    for (int gelu = CUDA_GELU_TANH; gelu <= CUDA_GELU_QUICK; gelu++) {
      CudaProduct p = {.type = (CudaType)type, .m = 40, .n = 64, .k = 64, .gelu = (CudaGelu)gelu};
      p.x_stride = p.w_stride = p.k;
      p.y_stride = p.n;
      check_gelu (f, p); /* y in f32 */
      p.y_type = p.type;
      if (p.gelu != CUDA_GELU_TANH)
        check_gelu (f, p);
    }
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static void
check_convert (Fixture *f, CudaType from, CudaType to)
{
  size_t rows = draw_size (f, 1, 40), n = draw_size (f, 1, 300), stride = pad (n, to);
  g_autofree float *x = draw (f, rows * n, 9);
  const void *data = put_rows (f, x, rows, n, n, from);
  const CudaConvert convert = {
      data, put (f, NULL, rows * stride * cuda_type_size (to)), from, to, rows, n, stride};
  cuda_convert (&f->queue, &convert);
  g_autofree float *actual = get_rows (f, convert.to, rows, n, stride, to);
  put_rows (f, x, rows, n, n, to); /* rounds it */
  g_assert_cmpmem (actual, rows * n * sizeof *x, x, rows * n * sizeof *x);
  free_memory (f);
}

/* Quantised weights go through as f16: what is converted to its own type keeps every bit. */
static void
check_kept (Fixture *f, CudaType type)
{
  g_autofree uint16_t *x = g_new (uint16_t, 0x10000), *actual = g_new (uint16_t, 0x10000);
  for (int i = 0; i < 0x10000; i++)
    x[i] = (uint16_t)i;
  size_t bytes = 0x10000 * sizeof *x;
  const CudaConvert convert = {put (f, x, bytes), put (f, NULL, bytes), type, type, 256, 256, 256};
  cuda_convert (&f->queue, &convert);
  get (f, actual, convert.to, bytes);
  g_assert_cmpmem (actual, bytes, x, bytes);
  free_memory (f);
}

static void
test_convert (Fixture *f, gconstpointer data)
{
  check_kept (f, CUDA_TYPE_F16);
  check_kept (f, CUDA_TYPE_BF16);
  for (int from = CUDA_TYPE_F32; from <= CUDA_TYPE_BF16; from++)
    for (int to = CUDA_TYPE_F32; to <= CUDA_TYPE_BF16; to++)
      check_convert (f, (CudaType)from, (CudaType)to);
}

static void
check_norm (Fixture *f, size_t n, size_t per)
{
  size_t positions = draw_size (f, 1, 9), rows = positions * per, stride = per * n + 3;
  CudaType type = draw_type (f);
  gboolean in_place = type == CUDA_TYPE_F32 && draw_size (f, 0, 1);
  gboolean with_bias = draw_size (f, 0, 2) != 0;
  g_autofree float *x = draw (f, rows * n, 3), *weight = draw (f, n, 1), *bias = draw (f, n, 1);
  void *from = put_rows (f, x, positions, per * n, stride, CUDA_TYPE_F32);
  const CudaNorm op = {
      .x = from,
      .x_stride = stride,
      .y = in_place ? from : put (f, NULL, positions * stride * cuda_type_size (type)),
      .y_stride = stride,
      .y_type = type,
      .weight = put_floats (f, weight, n),
      .bias = with_bias ? put_floats (f, bias, n) : NULL,
      .eps = 1e-5f,
      .rows = rows,
      .per = per,
      .n = n,
  };
  cuda_norm (&f->queue, &op);
  g_autofree float *actual = get_rows (f, op.y, positions, per * n, stride, type);
  g_autofree double *expected = g_new (double, rows *n);
  for (size_t i = 0; i < rows; i++) {
    g_autofree double *row = norm (x + i * n, weight, with_bias ? bias : NULL, n);
    memcpy (expected + i * n, row, n * sizeof *row);
  }
  assert_near (actual, expected, rows * n, bound_of (type));
  free_memory (f);
}

/* Rows that a block takes, and such as a warp takes. */
static void
test_norm (Fixture *f, gconstpointer data)
{
  for (int i = 0; i < RANDOM_CASES; i++) {
    check_norm (f, draw_size (f, 257, 3000), 1);
    check_norm (f, draw_size (f, 2, 256), draw_size (f, 1, 12));
  }
}

static void
test_activation (Fixture *f, gconstpointer data)
{
  for (int i = 0; i < RANDOM_CASES; i++) {
    size_t rows = draw_size (f, 1, 9), n = draw_size (f, 1, 700), stride = n + draw_size (f, 0, 5);
    CudaActivation op = {
        .type = draw_type (f),
        .gelu = (CudaGelu)draw_size (f, CUDA_GELU_NONE, CUDA_GELU_QUICK),
        .rows = rows,
        .n = n,
        .stride = stride,
    };
    gboolean with_bias = draw_size (f, 0, 2) != 0;
    g_autofree float *x = draw (f, rows * n, 4), *bias = draw (f, n, 1);
    op.x = put_rows (f, x, rows, n, stride, op.type);
    op.bias = with_bias ? put_rows (f, bias, 1, n, n, op.type) : NULL;
    cuda_activate (&f->queue, &op);
    g_autofree float *actual = get_rows (f, op.x, rows, n, stride, op.type);
    g_autofree double *expected = widen (x, rows * n);
    for (size_t j = 0; j < rows * n; j++)
      expected[j] = gelu (op.gelu, expected[j] + (with_bias ? bias[j % n] : 0));
    assert_near (actual, expected, rows * n, bound_of (op.type));
    free_memory (f);
  }
}

static void
test_embed (Fixture *f, gconstpointer data)
{
  enum { VOCAB = 50 };
  for (int i = 0; i < RANDOM_CASES; i++) {
    CudaType type = draw_type (f);
    size_t rows = draw_size (f, 1, 40), n = draw_size (f, 1, 300), stride = pad (n, type);
    g_autofree float *table = draw (f, VOCAB * n, 1);
    g_autofree int32_t *ids = g_new (int32_t, rows);
    g_autofree double *expected = g_new (double, rows *n);
    const void *data_of_table = put_rows (f, table, VOCAB, n, stride, type);
    for (size_t j = 0; j < rows; j++) {
      ids[j] = (int32_t)draw_size (f, 0, VOCAB - 1);
      for (size_t k = 0; k < n; k++)
        expected[j * n + k] = table[(size_t)ids[j] * n + k];
    }
    const CudaEmbed embed = {put (f, ids, rows * sizeof *ids),         data_of_table, type, stride,
                             put (f, NULL, rows * n * sizeof (float)), rows,          n};
    cuda_embed (&f->queue, &embed);
    g_autofree float *actual = get_rows (f, embed.x, rows, n, n, CUDA_TYPE_F32);
    assert_near (actual, expected, rows * n, 0);
    free_memory (f);
  }
}

/* ---- The vision tower's input ---------------------------------------------------------------- */

static void
test_patches (Fixture *f, gconstpointer data)
{
  for (int i = 0; i < RANDOM_CASES; i++) {
    size_t patch = draw_size (f, 1, 16), side = draw_size (f, 1, 6), size = patch * side;
    size_t area = patch * patch, n = 3 * area, rows = side * side;
    CudaPatches op = {.type = draw_type (f), .size = (int)size, .patch = (int)patch};
    op.stride = pad (n, op.type);
    g_autofree float *pixels = draw (f, 3 * size * size, 2);
    g_autofree float *expected = g_new (float, rows *n);
    for (size_t j = 0; j < rows * n; j++) {
      size_t row = j / n, channel = j % n / area, y = j % area / patch, x = j % patch;
      expected[j] =
          pixels[(channel * size + row / side * patch + y) * size + row % side * patch + x];
    }
    op.pixels = put_floats (f, pixels, 3 * size * size);
    op.out = put (f, NULL, rows * op.stride * cuda_type_size (op.type));
    cuda_gather_patches (&f->queue, &op);
    g_autofree float *actual = get_rows (f, op.out, rows, n, op.stride, op.type);
    put_rows (f, expected, rows, n, n, op.type); /* rounds it */
    g_assert_cmpmem (actual, rows * n * sizeof *actual, expected, rows * n * sizeof *actual);
    free_memory (f);
  }
}

static void
test_positions (Fixture *f, gconstpointer data)
{
  for (int i = 0; i < RANDOM_CASES; i++) {
    size_t rows = draw_size (f, 1, 9), n = draw_size (f, 1, 600);
    g_autofree float *x = draw (f, rows * n, 1), *positions = draw (f, rows * n, 1);
    g_autofree float *class_token = draw (f, n, 1);
    const CudaPositions op = {put_floats (f, x, rows * n), put_floats (f, class_token, n),
                              put_floats (f, positions, rows * n), rows, n};
    cuda_add_positions (&f->queue, &op);
    g_autofree double *expected = g_new (double, rows *n);
    for (size_t j = 0; j < rows * n; j++)
      expected[j] = (j < n ? class_token[j] : x[j]) + positions[j];
    g_autofree float *actual = get_rows (f, op.x, rows, n, n, CUDA_TYPE_F32);
    assert_near (actual, expected, rows * n, 1e-6);
    free_memory (f);
  }
}

/* ---- Rotary embedding and cache -------------------------------------------------------------- */

/* [rows, heads, dim] of X, whose rows are STRIDE floats. */
static double *
take_heads (const float *x, size_t rows, size_t stride, size_t width)
{
  double *heads = g_new (double, rows *width);
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < width; j++)
      heads[i * width + j] = x[i * stride + j];
  return heads;
}

/* HEADS against what the cache holds of rows FIRST on. */
static void
assert_cached (
    Fixture *f, const CudaRotate *op, const void *plane, size_t first, const double *heads)
{
  size_t dim = op->head_dim, width = op->n_kv_heads * dim, context = op->cache.context;
  g_autofree float *all =
      get_rows (f, plane, op->n_kv_heads * context, dim, op->cache.head_pad, op->cache.type);
  g_autofree float *actual = g_new (float, op->rows *width);
  for (size_t i = 0; i < op->rows; i++)
    for (size_t j = 0; j < width; j++)
      actual[i * width + j] = all[(j / dim * context + first + i) * dim + j % dim];
  assert_near (actual, heads, op->rows * width, bound_of (op->cache.type));
}

static void
check_rotate (Fixture *f, gboolean on_device, gboolean with_q)
{
  size_t rows = on_device ? 1 : draw_size (f, 1, 9), first = draw_size (f, 0, 20);
  size_t n_kv_heads = draw_size (f, 1, 3), n_heads = n_kv_heads * draw_size (f, 1, 3);
  size_t dim = draw_size (f, 1, 90), half = draw_size (f, 0, dim / 2), context = first + rows + 2;
  size_t q_width = n_heads * dim, width = n_kv_heads * dim, stride = q_width + 2 * width + 5;
  CudaType type = draw_size (f, 0, 1) ? CUDA_TYPE_F16 : CUDA_TYPE_F32;
  size_t head_pad = (dim + 7) / 8 * 8;
  size_t bytes = n_kv_heads * context * head_pad * cuda_type_size (type);
  g_autofree float *qkv = draw (f, rows * stride, 2), *angles = draw (f, context * half * 2, 1);
  const int32_t at = (int32_t)first;
  float *data = put_floats (f, qkv, rows * stride);
  const CudaRotate op = {
      .q = with_q ? data : NULL,
      .k = data + q_width,
      .v = data + q_width + width,
      .stride = stride,
      .rows = rows,
      .n_heads = (int)n_heads,
      .n_kv_heads = (int)n_kv_heads,
      .head_dim = (int)dim,
      .half = (int)half,
      .angles = put_floats (f, angles, context * half * 2),
      .position = {on_device ? put (f, &at, sizeof at) : NULL, on_device ? 0 : first},
      .cache = {put (f, NULL, bytes), put (f, NULL, bytes), type, context, head_pad},
  };
  cuda_rotate (&f->queue, &op);
  g_autofree double *q = take_heads (qkv, rows, stride, q_width);
  g_autofree double *k = take_heads (qkv + q_width, rows, stride, width);
  g_autofree double *v = take_heads (qkv + q_width + width, rows, stride, width);
  for (size_t i = 0; i < rows * n_heads && with_q; i++)
    rotate (q + i * dim, angles + (first + i / n_heads) * half * 2, half);
  for (size_t i = 0; i < rows * n_kv_heads; i++)
    rotate (k + i * dim, angles + (first + i / n_kv_heads) * half * 2, half);
  g_autofree float *rotated = get_rows (f, data, rows, q_width, stride, CUDA_TYPE_F32);
  assert_near (rotated, q, rows * q_width, 1e-5);
  assert_cached (f, &op, op.cache.keys, first, k);
  assert_cached (f, &op, op.cache.values, first, v);
  free_memory (f);
}

static void
test_rotate (Fixture *f, gconstpointer data)
{
  for (int i = 0; i < RANDOM_CASES; i++)
    check_rotate (f, i % 3 == 0, i % 4 != 0);
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

void
add_steps_tests (void)
{
  ADD ("/cuda-kernels/products", test_products);
  ADD ("/cuda-kernels/gelu-after-product", test_gelu_after_product);
  ADD ("/cuda-kernels/convert", test_convert);
  ADD ("/cuda-kernels/norm", test_norm);
  ADD ("/cuda-kernels/activation", test_activation);
  ADD ("/cuda-kernels/embed", test_embed);
  ADD ("/cuda-kernels/patches", test_patches);
  ADD ("/cuda-kernels/positions", test_positions);
  ADD ("/cuda-kernels/rotate", test_rotate);
  ADD ("/cuda-kernels/copy", test_copy);
}
