#include "cpu-testing.h"
#include <string.h>

typedef struct {
  AllavaAttention attention;
  void *k_data, *v_data;
  float *q, *k, *v; /* as stored, widened */
} Case;

static void
case_init (Case *c,
           GRand *rand,
           size_t m,
           size_t n_keys,
           size_t n_kv_heads,
           size_t group,
           size_t head_dim,
           double size)
{
  AllavaAttention *a = &c->attention;
  size_t n_heads = n_kv_heads * group;
  *a = (AllavaAttention){
      .kv_dtype = g_rand_boolean (rand) ? ALLAVA_DTYPE_F32 : ALLAVA_DTYPE_F16,
      .m = m,
      .n_heads = n_heads,
      .n_kv_heads = n_kv_heads,
      .head_dim = head_dim,
      .position = n_keys - MIN (m, n_keys),
      .n_keys = n_keys,
      .causal = m <= n_keys && g_rand_boolean (rand),
      .scale = 1.f / sqrtf ((float)head_dim),
  };
  a->q_stride = n_heads * head_dim + (size_t)g_rand_int_range (rand, 0, 5);
  a->kv_stride = n_keys + (size_t)g_rand_int_range (rand, 0, 5);
  size_t n_kv = n_kv_heads * a->kv_stride * head_dim;
  a->q = c->q = random_floats (rand, m * a->q_stride, size);
  c->k = random_floats (rand, n_kv, size);
  c->v = random_floats (rand, n_kv, 1);
  a->k = c->k_data = store_as (a->kv_dtype, c->k, n_kv, 0);
  a->v = c->v_data = store_as (a->kv_dtype, c->v, n_kv, 0);
}

static void
case_clear (Case *c)
{
  g_free (c->k_data);
  g_free (c->v_data);
  g_free (c->q);
  g_free (c->k);
  g_free (c->v);
}

/* One query of one head in double: OUT gets head_dim values. */
static void
reference (const Case *c, size_t i, size_t head, double *out)
{
  const AllavaAttention *a = &c->attention;
  size_t n = a->causal ? a->position + i + 1 : a->n_keys;
  size_t first = head / (a->n_heads / a->n_kv_heads) * a->kv_stride * a->head_dim;
  const float *q = c->q + i * a->q_stride + head * a->head_dim;
  g_autofree double *weights = g_new0 (double, n);
  double max = -INFINITY, sum = 0;

  for (size_t j = 0; j < n; j++) {
    for (size_t d = 0; d < a->head_dim; d++)
      weights[j] += (double)q[d] * c->k[first + j * a->head_dim + d] * a->scale;
    max = MAX (max, weights[j]);
  }
  for (size_t j = 0; j < n; j++)
    sum += weights[j] = exp (weights[j] - max);
  for (size_t d = 0; d < a->head_dim; d++) {
    out[d] = 0;
    for (size_t j = 0; j < n; j++)
      out[d] += weights[j] / sum * c->v[first + j * a->head_dim + d];
  }
}

static void
case_check (Case *c, AllavaCpu *cpu, double tolerance)
{
  AllavaAttention *a = &c->attention;
  double expected[256];
  a->out_stride = a->n_heads * a->head_dim + 3;
  g_autofree float *out = g_new (float, a->m * a->out_stride);
  for (size_t i = 0; i < a->m * a->out_stride; i++)
    out[i] = 77.f;
  a->out = out;
  allava_cpu_attention (cpu, a);
  for (size_t i = 0; i < a->m; i++) {
    for (size_t head = 0; head < a->n_heads; head++) {
      reference (c, i, head, expected);
      for (size_t d = 0; d < a->head_dim; d++)
        g_assert_cmpfloat_with_epsilon (out[i * a->out_stride + head * a->head_dim + d],
                                        expected[d], tolerance);
    }
    for (size_t j = 0; j < 3; j++)
      g_assert_cmpfloat (out[i * a->out_stride + a->n_heads * a->head_dim + j], ==, 77.f);
  }
}

static void
check_shape (AllavaCpu *cpu,
             GRand *rand,
             size_t m,
             size_t n_keys,
             size_t n_kv_heads,
             size_t group,
             size_t head_dim)
{
  Case c;
  case_init (&c, rand, m, n_keys, n_kv_heads, group, head_dim, 1);
  case_check (&c, cpu, 2e-6);
  case_clear (&c);
}

static void
check_shapes (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (1);
  for (size_t m = 1; m <= 40; m++)
    for (int i = 0; i < 3; i++)
      check_shape (cpu, rand, m, (size_t)g_rand_int_range (rand, (gint32)m, 90),
                   (size_t)g_rand_int_range (rand, 1, 4), (size_t)g_rand_int_range (rand, 1, 4),
                   (size_t)g_rand_int_range (rand, 1, 100));
  const size_t dims[] = {1, 64, 80, 255, 256};
  for (size_t i = 0; i < G_N_ELEMENTS (dims); i++) {
    check_shape (cpu, rand, 1, 1, 1, 1, dims[i]);
    check_shape (cpu, rand, 1, 700, 2, 1, dims[i]); /* one query, keys split */
    check_shape (cpu, rand, 1, 20, 70, 2, dims[i]); /* more heads than partial sums */
    check_shape (cpu, rand, 3, 600, 1, 2, dims[i]);
    check_shape (cpu, rand, 90, 1100, 1, 1, dims[i]); /* several blocks of keys, of queries */
    check_shape (cpu, rand, 600, 600, 1, 1, dims[i]);
  }
  g_rand_free (rand);
}

static void
test_shapes (void)
{
  for_each_isa (2, FALSE, check_shapes);
}

/* Scores in the hundreds, in ascending order, so that each block brings a new maximum. */
static void
check_large_scores (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (2);
  const size_t rows[] = {1, 30};
  for (size_t r = 0; r < G_N_ELEMENTS (rows); r++) {
    Case c;
    case_init (&c, rand, rows[r], 1200, 1, 1, 1, 1);
    c.attention.kv_dtype = ALLAVA_DTYPE_F32;
    c.attention.k = c.k;
    c.attention.v = c.v;
    for (int i = 0; i < 1200; i++)
      c.k[i] = (float)i;
    for (size_t i = 0; i < rows[r] * c.attention.q_stride; i++)
      c.q[i] = i % 2 == 0 ? .5f : -.75f; /* scores up to 600 and down to -900 */
    case_check (&c, cpu, 2e-6);
    case_clear (&c);
  }
  g_rand_free (rand);
}

static void
test_large_scores (void)
{
  for_each_isa (2, FALSE, check_large_scores);
}

/* A NaN in one head's keys must reach that head's result, and no other. */
static void
check_nan (AllavaCpu *cpu)
{
  enum { M = 20, KEYS = 50, DIM = 24 };
  GRand *rand = g_rand_new_with_seed (3);
  for (size_t m = 1; m <= M; m += M - 1) {
    Case c;
    case_init (&c, rand, m, KEYS, 2, 1, DIM, 1);
    c.attention.kv_dtype = ALLAVA_DTYPE_F32;
    c.attention.causal = FALSE;
    c.attention.k = c.k;
    c.attention.v = c.v;
    c.k[(c.attention.kv_stride + 7) * DIM + 5] = NAN;
    float out[M * 2 * DIM];
    c.attention.out = out;
    c.attention.out_stride = 2 * DIM;
    allava_cpu_attention (cpu, &c.attention);
    for (size_t i = 0; i < m * 2 * DIM; i++)
      g_assert_cmpint (isnan (out[i]) != 0, ==, i / DIM % 2 == 1);
    case_clear (&c);
  }
  g_rand_free (rand);
}

static void
test_nan (void)
{
  for_each_isa (2, FALSE, check_nan);
}

/* The same bits whatever the number of threads. */
static void
test_threads (void)
{
  GRand *rand = g_rand_new_with_seed (4);
  const size_t rows[] = {1, 200};
  for (size_t r = 0; r < G_N_ELEMENTS (rows); r++) {
    Case c;
    case_init (&c, rand, rows[r], 700, 3, 1, 64, 1);
    c.attention.out_stride = 3 * 64;
    size_t bytes = rows[r] * 3 * 64 * sizeof (float);
    g_autofree float *alone = g_malloc (bytes);
    for (int threads = 1; threads <= 5; threads++) {
      AllavaCpu *cpu = allava_cpu_new (allava_isa_detect (), threads, FALSE, NULL);
      g_autofree float *out = g_malloc (bytes);
      c.attention.out = threads == 1 ? alone : out;
      allava_cpu_attention (cpu, &c.attention);
      if (threads > 1)
        g_assert_cmpmem (out, bytes, alone, bytes);
      allava_cpu_free (cpu);
    }
    case_clear (&c);
  }
  g_rand_free (rand);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/attention/shapes", test_shapes);
  g_test_add_func ("/attention/large-scores", test_large_scores);
  g_test_add_func ("/attention/nan", test_nan);
  g_test_add_func ("/attention/threads", test_threads);
  return g_test_run ();
}
