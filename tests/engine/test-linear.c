#include "cpu-testing.h"
#include <string.h>

static double
reference_activation (AllavaActivation activation, double x)
{
  switch (activation) {
  case ALLAVA_ACTIVATION_QUICK_GELU:
    return x / (1 + exp (-1.702 * x));
  case ALLAVA_ACTIVATION_GELU:
    return x / 2 * (1 + erf (x / sqrt (2)));
  case ALLAVA_ACTIVATION_GELU_TANH:
    return x / 2 * (1 + tanh (sqrt (2 / G_PI) * (x + 0.044715 * x * x * x)));
  case ALLAVA_ACTIVATION_NONE:
    break;
  }
  return x;
}

/* One product with all that belongs to it. */
typedef struct {
  AllavaMatrix matrix;
  AllavaLinear op;
  size_t m;
  void *data;
  float *weights; /* as stored, widened */
  float *bias;
  float *x;
  float *y; /* what the result is added to, where it is */
} Case;

static const AllavaDtype dtypes[] = {ALLAVA_DTYPE_F32, ALLAVA_DTYPE_BF16, ALLAVA_DTYPE_F16};

static void
case_init (Case *c, GRand *rand, AllavaDtype dtype, size_t m, size_t n_out, size_t n_in)
{
  size_t offset = 1 + (size_t)g_rand_int_range (rand, 0, 3);
  offset *= allava_dtype_size (dtype);
  *c = (Case){.m = m};
  c->weights = random_floats (rand, n_out * n_in, 1);
  c->data = store_as (dtype, c->weights, n_out * n_in, offset);
  c->bias = random_floats (rand, n_out, 1);
  c->op.x_stride = n_in + (size_t)g_rand_int_range (rand, 0, 5);
  c->op.y_stride = n_out + (size_t)g_rand_int_range (rand, 0, 5);
  c->x = random_floats (rand, m * c->op.x_stride, 1);
  c->y = random_floats (rand, m * c->op.y_stride, 1);
  c->matrix = (AllavaMatrix){
      .data = (char *)c->data + offset,
      .bias = g_rand_boolean (rand) ? c->bias : NULL,
      .dtype = dtype,
      .n_out = n_out,
      .n_in = n_in,
  };
  c->op.matrix = &c->matrix;
  c->op.x = c->x;
}

static void
case_clear (Case *c)
{
  g_free (c->data);
  g_free (c->weights);
  g_free (c->bias);
  g_free (c->x);
  g_free (c->y);
}

/* Row I, column J in double; *SIZE is the sum of the terms' magnitudes. */
static double
case_reference (const Case *c, size_t i, size_t j, double *size)
{
  double sum = c->matrix.bias != NULL ? c->bias[j] : 0;
  *size = fabs (sum);
  for (size_t k = 0; k < c->matrix.n_in; k++) {
    double term = (double)c->x[i * c->op.x_stride + k] * c->weights[j * c->matrix.n_in + k];
    sum += term;
    *size += fabs (term);
  }
  return sum;
}

/* Runs one operation and compares every element; what lies between the rows must stay. */
static void
case_check (Case *c, AllavaCpu *cpu)
{
  size_t n = c->m * c->op.y_stride;
  g_autofree float *y = g_memdup2 (c->y, n * sizeof *y);
  c->op.y = y;
  allava_cpu_linear (cpu, &c->op, 1, c->m);
  for (size_t i = 0; i < n; i++) {
    size_t row = i / c->op.y_stride, column = i % c->op.y_stride;
    if (column >= c->matrix.n_out) {
      g_assert_cmpfloat (y[i], ==, c->y[i]);
      continue;
    }
    double size;
    double expected = case_reference (c, row, column, &size);
    expected = reference_activation (c->op.activation, expected);
    if (c->op.accumulate)
      expected += c->y[i];
    g_assert_cmpfloat_with_epsilon (y[i], expected, 1e-6 * (1 + size));
  }
}

static void
check_shape (AllavaCpu *cpu, GRand *rand, size_t m, size_t n_out, size_t n_in)
{
  for (size_t i = 0; i < G_N_ELEMENTS (dtypes); i++) {
    Case c;
    case_init (&c, rand, dtypes[i], m, n_out, n_in);
    c.op.accumulate = g_rand_boolean (rand);
    if (!c.op.accumulate)
      c.op.activation = (AllavaActivation)g_rand_int_range (rand, 0, 4);
    case_check (&c, cpu);
    case_clear (&c);
  }
}

static void
check_shapes (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (1);
  for (size_t m = 1; m <= 33; m++) {
    check_shape (cpu, rand, m, 1, 1);
    for (int i = 0; i < 4; i++)
      check_shape (cpu, rand, m, (size_t)g_rand_int_range (rand, 1, 100),
                   (size_t)g_rand_int_range (rand, 1, 150));
  }
  /* Several blocks of the inner dimension, and more than one task. */
  check_shape (cpu, rand, 1, 301, 1537);
  check_shape (cpu, rand, 7, 67, 2055);
  check_shape (cpu, rand, 29, 301, 1537);
  check_shape (cpu, rand, 16, 129, 2055);
  g_rand_free (rand);
}

static void
test_shapes (void)
{
  for_each_isa (2, FALSE, check_shapes);
}

static void
check_huge (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (2);
  check_shape (cpu, rand, 900, 3, 6000);
  check_shape (cpu, rand, 8200, 5, 700);
  g_rand_free (rand);
}

/* Activations that do not fit the shared buffer at once. */
static void
test_huge (void)
{
  for_each_isa (3, FALSE, check_huge);
}

static void
check_rounded (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (3);
  for (int i = 0; i < 40; i++) {
    Case c;
    case_init (&c, rand, ALLAVA_DTYPE_BF16, (size_t)g_rand_int_range (rand, 9, 40),
               (size_t)g_rand_int_range (rand, 1, 80),
               (size_t)g_rand_int_range (rand, 1, i % 8 == 0 ? 3000 : 200));
    /* With x already in bf16, rounding it changes nothing; without, it moves the result. */
    g_free (store_as (ALLAVA_DTYPE_BF16, c.x, c.m * c.op.x_stride, 0));
    case_check (&c, cpu);
    case_clear (&c);
  }
  g_rand_free (rand);
}

static void
test_rounded (void)
{
  for_each_isa (2, TRUE, check_rounded);
}

static void
check_rounds_when_asked (AllavaCpu *cpu)
{
  /* 1 + 2^-9 is 1 in bf16. */
  const uint16_t one = 0x3f80;
  AllavaMatrix matrix = {.data = &one, .dtype = ALLAVA_DTYPE_BF16, .n_out = 1, .n_in = 1};
  float x[9], y[9];
  for (int i = 0; i < 9; i++)
    x[i] = 1.f + 0x1p-9f;
  AllavaLinear op = {.matrix = &matrix, .x = x, .x_stride = 1, .y = y, .y_stride = 1};
  allava_cpu_linear (cpu, &op, 1, 9);
  gboolean rounds = allava_cpu_get_isa (cpu) == ALLAVA_ISA_AVX512_BF16;
  for (int i = 0; i < 9; i++)
    g_assert_cmpfloat (y[i], ==, rounds ? 1.f : x[i]);
  allava_cpu_linear (cpu, &op, 1, 1); /* one row is never rounded */
  g_assert_cmpfloat (y[0], ==, x[0]);
}

static void
test_rounds_when_asked (void)
{
  for_each_isa (1, TRUE, check_rounds_when_asked);
}

/* Four operations as a layer gives them, M rows: two read the same x, two add to the same y. */
static void
check_group_rows (AllavaCpu *cpu, GRand *rand, size_t m)
{
  enum { N_IN = 50, N_OUT = 70 };
  Case cases[4];
  AllavaLinear ops[4];
  g_autofree float *sum = g_new0 (float, m *N_OUT);
  g_autofree float *apart[2] = {NULL, NULL};
  for (int i = 0; i < 4; i++) {
    case_init (&cases[i], rand, dtypes[(i + 1) % 3], m, N_OUT, i == 3 ? 2 * N_IN : N_IN);
    g_free (store_as (ALLAVA_DTYPE_BF16, cases[i].x, m * cases[i].op.x_stride, 0));
    ops[i] = cases[i].op;
    ops[i].y_stride = N_OUT;
  }
  for (int i = 0; i < 2; i++) {
    g_free (apart[i]);
    ops[i].y = apart[i] = g_new (float, m *N_OUT);
    ops[i].x = cases[0].x;
    ops[i].x_stride = cases[0].op.x_stride;
  }
  ops[2].y = ops[3].y = sum;
  ops[3].accumulate = TRUE;
  allava_cpu_linear (cpu, ops, 4, m);

  for (size_t i = 0; i < m * N_OUT; i++) {
    double sizes[4], expected[4];
    for (int j = 0; j < 4; j++) {
      Case c = cases[j];
      c.x = (float *)ops[j].x;
      c.op.x_stride = ops[j].x_stride;
      expected[j] = case_reference (&c, i / N_OUT, i % N_OUT, &sizes[j]);
    }
    g_assert_cmpfloat_with_epsilon (apart[0][i], expected[0], 1e-6 * (1 + sizes[0]));
    g_assert_cmpfloat_with_epsilon (apart[1][i], expected[1], 1e-6 * (1 + sizes[1]));
    g_assert_cmpfloat_with_epsilon (sum[i], expected[2] + expected[3],
                                    1e-6 * (1 + sizes[2] + sizes[3]));
  }
  g_free (g_steal_pointer (&apart[1]));
  for (int i = 0; i < 4; i++)
    case_clear (&cases[i]);
}

static void
check_group (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (4);
  check_group_rows (cpu, rand, 1);
  check_group_rows (cpu, rand, 5);
  check_group_rows (cpu, rand, 31);
  g_rand_free (rand);
}

static void
test_group (void)
{
  for_each_isa (2, FALSE, check_group);
  for_each_isa (2, TRUE, check_group);
}

/* Operations on the same y take effect in order, though the later one is done sooner. Tried often:
 * threads that did them side by side would sometimes come out right. */
static void
check_order_sizes (AllavaCpu *cpu, size_t m, size_t first_n_in, size_t second_n_in)
{
  enum { N_OUT = 16, TRIES = 200 };
  g_autofree float *ones = g_new (float, MAX (m, N_OUT) * MAX (first_n_in, second_n_in));
  g_autofree float *y = g_new (float, m *N_OUT);
  for (size_t i = 0; i < MAX (m, N_OUT) * MAX (first_n_in, second_n_in); i++)
    ones[i] = 1.f;
  AllavaMatrix first = {ones, NULL, ALLAVA_DTYPE_F32, N_OUT, first_n_in};
  AllavaMatrix second = {ones, NULL, ALLAVA_DTYPE_F32, N_OUT, second_n_in};
  AllavaLinear ops[2] = {
      {&first, ones, first_n_in, y, N_OUT, ALLAVA_ACTIVATION_NONE, FALSE},
      {&second, ones, second_n_in, y, N_OUT, ALLAVA_ACTIVATION_NONE, TRUE},
  };
  for (int try = 0; try < TRIES; try++) {
    allava_cpu_linear (cpu, ops, 2, m);
    for (size_t i = 0; i < m * N_OUT; i++)
      g_assert_cmpfloat (y[i], ==, (float)(first_n_in + second_n_in));
  }
}

static void
check_order (AllavaCpu *cpu)
{
  check_order_sizes (cpu, 1, 8192, 16);
  check_order_sizes (cpu, 12, 2048, 16);
  check_order_sizes (cpu, 12, 1024, 1024);
}

static void
test_order (void)
{
  for_each_isa (2, FALSE, check_order);
}

/* More operations in a call than are done in one job. */
static void
check_many (AllavaCpu *cpu)
{
  enum { OPS = 19, N = 33 };
  GRand *rand = g_rand_new_with_seed (5);
  for (size_t m = 1; m < 20; m += 12) {
    Case c;
    case_init (&c, rand, ALLAVA_DTYPE_F32, m, N, N);
    AllavaLinear ops[OPS];
    g_autofree float *y = g_new0 (float, m *N);
    for (int i = 0; i < OPS; i++) {
      ops[i] = c.op;
      ops[i].y = y;
      ops[i].y_stride = N;
      ops[i].accumulate = TRUE;
    }
    allava_cpu_linear (cpu, ops, OPS, m);
    for (size_t i = 0; i < m * N; i++) {
      double size;
      double expected = OPS * case_reference (&c, i / N, i % N, &size);
      g_assert_cmpfloat_with_epsilon (y[i], expected, 1e-6 * OPS * (1 + size));
    }
    case_clear (&c);
  }
  g_rand_free (rand);
}

static void
test_many (void)
{
  for_each_isa (2, FALSE, check_many);
}

/* Passes values through an activation unchanged by the product: W is 1, n_in is 1. */
static void
apply (AllavaCpu *cpu, AllavaActivation activation, const float *x, size_t n, float *y)
{
  g_autofree float *weights = g_memdup2 (x, n * sizeof *x);
  AllavaMatrix matrix = {.data = weights, .dtype = ALLAVA_DTYPE_F32, .n_out = n, .n_in = 1};
  const float one = 1.f;
  AllavaLinear op = {.matrix = &matrix, .x = &one, .x_stride = 1, .y = y, .y_stride = n};
  op.activation = activation;
  allava_cpu_linear (cpu, &op, 1, 1);
}

static void
check_activations (AllavaCpu *cpu)
{
  enum { N = 400001 };
  g_autofree float *x = g_new (float, N);
  g_autofree float *y = g_new (float, N);
  for (int i = 0; i < N; i++) /* -20 to 20 */
    x[i] = (float)(i - N / 2) * 1e-4f;
  for (int a = ALLAVA_ACTIVATION_QUICK_GELU; a <= ALLAVA_ACTIVATION_GELU_TANH; a++) {
    apply (cpu, (AllavaActivation)a, x, N, y);
    double worst = 0;
    for (int i = 0; i < N; i++) {
      double expected = reference_activation ((AllavaActivation)a, x[i]);
      worst = MAX (worst, fabs (y[i] - expected) / MAX (1, fabs (x[i])));
    }
    g_test_message ("activation %d: greatest error %.3g", a, worst);
    g_assert_cmpfloat (worst, <, 2e-7);
  }
}

static void
test_activations (void)
{
  for_each_isa (1, FALSE, check_activations);
}

static void
check_extremes (AllavaCpu *cpu)
{
  const float big[] = {100.f, 1e4f, 1e20f, 3e38f};
  for (int a = ALLAVA_ACTIVATION_QUICK_GELU; a <= ALLAVA_ACTIVATION_GELU_TANH; a++)
    for (size_t i = 0; i < G_N_ELEMENTS (big); i++) {
      float x[4] = {big[i], -big[i], NAN, 0.f}, y[4];
      apply (cpu, (AllavaActivation)a, x, 4, y);
      g_assert_cmpfloat (y[0], ==, big[i]);
      g_assert_cmpfloat (fabsf (y[1]), <, 1e-30f);
      g_assert_true (isnan (y[2]));
      g_assert_cmpfloat (y[3], ==, 0.f);
    }
}

static void
test_extremes (void)
{
  for_each_isa (1, FALSE, check_extremes);
}

/* A row comes out the same, to the bit, whatever other rows are computed with it: FEW is the first
 * part of MANY. */
static void
check_rows_alone (AllavaCpu *cpu, GRand *rand, size_t few, size_t many)
{
  for (size_t d = 0; d < G_N_ELEMENTS (dtypes); d++) {
    Case c;
    case_init (&c, rand, dtypes[d], many, 75, 1100);
    c.op.activation = ALLAVA_ACTIVATION_GELU_TANH;
    g_autofree float *y = g_memdup2 (c.y, many * c.op.y_stride * sizeof (float));
    c.op.y = c.y;
    allava_cpu_linear (cpu, &c.op, 1, many);
    c.op.y = y;
    allava_cpu_linear (cpu, &c.op, 1, few);
    for (size_t i = 0; i < few; i++)
      g_assert_cmpmem (y + i * c.op.y_stride, 75 * sizeof *y, c.y + i * c.op.y_stride,
                       75 * sizeof *y);
    case_clear (&c);
  }
}

static void
check_rows (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (7);
  for (size_t few = 1; few < 8; few++)
    check_rows_alone (cpu, rand, few, 8);
  for (size_t few = 9; few < 30; few += 4)
    check_rows_alone (cpu, rand, few, 45);
  g_rand_free (rand);
}

static void
test_rows (void)
{
  for_each_isa (2, TRUE, check_rows);
}

/* The same bits whatever the number of threads. */
static void
test_threads (void)
{
  GRand *rand = g_rand_new_with_seed (6);
  const size_t rows[] = {1, 3, 40};
  for (size_t r = 0; r < G_N_ELEMENTS (rows); r++)
    for (size_t d = 0; d < G_N_ELEMENTS (dtypes); d++) {
      Case c;
      case_init (&c, rand, dtypes[d], rows[r], 700, 999);
      size_t bytes = rows[r] * c.op.y_stride * sizeof (float);
      g_autofree float *alone = g_memdup2 (c.y, bytes);
      for (int threads = 1; threads <= 5; threads++) {
        AllavaCpu *cpu = allava_cpu_new (allava_isa_detect (), threads, TRUE, NULL);
        g_autofree float *y = g_memdup2 (c.y, bytes);
        c.op.y = threads == 1 ? alone : y;
        allava_cpu_linear (cpu, &c.op, 1, rows[r]);
        if (threads > 1)
          g_assert_cmpmem (y, bytes, alone, bytes);
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
  g_test_add_func ("/linear/shapes", test_shapes);
  g_test_add_func ("/linear/huge", test_huge);
  g_test_add_func ("/linear/rounded", test_rounded);
  g_test_add_func ("/linear/rounds-when-asked", test_rounds_when_asked);
  g_test_add_func ("/linear/group", test_group);
  g_test_add_func ("/linear/order", test_order);
  g_test_add_func ("/linear/many", test_many);
  g_test_add_func ("/linear/activations", test_activations);
  g_test_add_func ("/linear/extremes", test_extremes);
  g_test_add_func ("/linear/rows", test_rows);
  g_test_add_func ("/linear/threads", test_threads);
  return g_test_run ();
}
