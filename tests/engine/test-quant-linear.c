/* Products with q8 and q4 matrices, on every instruction set, against loops over integers. */
#include "cpu-testing.h"
#include "quant.h"
#include <string.h>

enum { GROUP = ALLAVA_QUANT_GROUP };

static const AllavaDtype formats[] = {ALLAVA_DTYPE_Q8, ALLAVA_DTYPE_Q4};

typedef struct {
  AllavaMatrix matrix;
  AllavaLinear op;
  size_t m;
  uint8_t *values; /* 1 byte into its allocation */
  uint16_t *records;
  float *bias;
  float *x;
  float *y; /* what the result is added to, where it is */
} Case;

static void
case_init (Case *c, GRand *rand, AllavaDtype dtype, size_t m, size_t n_out, size_t n_in)
{
  size_t bytes = allava_quant_row_bytes (dtype, n_in), groups = n_in / GROUP;
  g_autofree float *weights = random_floats (rand, n_out * n_in, 0.05);
  *c = (Case){.m = m, .values = g_malloc (n_out * bytes + 1)};
  c->records = g_new (uint16_t, n_out * groups);
  for (size_t i = 0; i < n_out; i++)
    g_assert_true (allava_quantize_row (dtype, weights + i * n_in, n_in, c->values + 1 + i * bytes,
                                        c->records + i * groups));
  c->bias = random_floats (rand, n_out, 1);
  c->op.x_stride = n_in + (size_t)g_rand_int_range (rand, 0, 5);
  c->op.y_stride = n_out + (size_t)g_rand_int_range (rand, 0, 5);
  c->x = random_floats (rand, m * c->op.x_stride, 3);
  c->y = random_floats (rand, m * c->op.y_stride, 1);
  c->matrix = (AllavaMatrix){
      .data = c->values + 1,
      .bias = g_rand_boolean (rand) ? c->bias : NULL,
      .dtype = dtype,
      .n_out = n_out,
      .n_in = n_in,
      .records = c->records,
  };
  c->op.matrix = &c->matrix;
  c->op.x = c->x;
}

static void
case_clear (Case *c)
{
  g_free (c->values);
  g_free (c->records);
  g_free (c->bias);
  g_free (c->x);
  g_free (c->y);
}

/* What the kernels say they do to x: groups of 32 to whole numbers, nearest, of 1/127 of the
 * greatest. */
static float
round_group (const float *x, int values[GROUP])
{
  float most = 0;
  for (int i = 0; i < GROUP; i++)
    most = MAX (most, fabsf (x[i]));
  for (int i = 0; i < GROUP; i++)
    values[i] = most > 0 ? (int)rintf (x[i] * (127 / most)) : 0;
  return most / 127;
}

/* The weight times 2^8 / scale. */
static int
weight_at (const AllavaMatrix *matrix, size_t row, size_t k)
{
  const uint8_t *p = (const uint8_t *)matrix->data;
  if (matrix->dtype == ALLAVA_DTYPE_Q8)
    return (int8_t)p[row * matrix->n_in + k];
  int zero = allava_quant_zero (matrix->records[(row * matrix->n_in + k) / GROUP]);
  p += row * matrix->n_in / 2 + k / (2 * GROUP) * GROUP + k % GROUP;
  return 8 * (k % (2 * GROUP) < GROUP ? *p & 15 : *p >> 4) - zero;
}

/* Whether x is rounded to int8 at all: many rows need VNNI for it. */
static gboolean
rounds (AllavaCpu *cpu, size_t m)
{
  return m <= 8 || allava_cpu_get_isa (cpu) >= ALLAVA_ISA_AVX512_VNNI;
}

/* Row I, column J in double; *SIZE is the sum of the groups' magnitudes. */
static double
case_reference (const Case *c, gboolean rounded, size_t i, size_t j, double *size)
{
  const AllavaMatrix *matrix = &c->matrix;
  double sum = matrix->bias != NULL ? c->bias[j] : 0;
  *size = fabs (sum);
  for (size_t k = 0; k < matrix->n_in; k += GROUP) {
    const float *x = c->x + i * c->op.x_stride + k;
    int values[GROUP];
    double scale = rounded ? round_group (x, values) : 1, dot = 0;
    for (int p = 0; p < GROUP; p++) {
      double term = weight_at (matrix, j, k + (size_t)p) * (rounded ? values[p] : x[p]);
      dot += term;
      *size += fabs (term) * scale *
               allava_quant_scale (matrix->dtype, matrix->records[(j * matrix->n_in + k) / GROUP]);
    }
    sum += dot * scale *
           allava_quant_scale (matrix->dtype, matrix->records[(j * matrix->n_in + k) / GROUP]);
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
    double size, expected = case_reference (c, rounds (cpu, c->m), row, column, &size);
    if (c->op.activation == ALLAVA_ACTIVATION_QUICK_GELU)
      expected /= 1 + exp (-1.702 * expected);
    if (c->op.accumulate)
      expected += c->y[i];
    g_assert_cmpfloat_with_epsilon (y[i], expected, 1e-6 * (1 + size));
  }
}

static void
check_format (AllavaCpu *cpu, GRand *rand, AllavaDtype dtype, size_t m, size_t n_out, size_t n_in)
{
  Case c;
  case_init (&c, rand, dtype, m, n_out, n_in);
  c.op.accumulate = g_rand_boolean (rand);
  if (!c.op.accumulate && g_rand_boolean (rand))
    c.op.activation = ALLAVA_ACTIVATION_QUICK_GELU;
  case_check (&c, cpu);
  case_clear (&c);
}

static void
check_shape (AllavaCpu *cpu, GRand *rand, size_t m, size_t n_out, size_t groups)
{
  check_format (cpu, rand, ALLAVA_DTYPE_Q8, m, n_out, groups * GROUP);
  check_format (cpu, rand, ALLAVA_DTYPE_Q4, m, n_out, groups * GROUP * 2);
}

static void
check_shapes (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (1);
  for (size_t m = 1; m <= 26; m++) {
    check_shape (cpu, rand, m, 1, 1);
    for (int i = 0; i < 3; i++)
      check_shape (cpu, rand, m, (size_t)g_rand_int_range (rand, 1, 70),
                   (size_t)g_rand_int_range (rand, 1, 40));
  }
  check_shape (cpu, rand, 1, 301, 48);
  check_shape (cpu, rand, 7, 67, 65);
  check_shape (cpu, rand, 29, 301, 33);
  g_rand_free (rand);
}

static void
test_shapes (void)
{
  for_each_isa (2, FALSE, check_shapes);
}

/* X of whole numbers, of which each group has one of 127, so that rounding changes nothing; scales
 * that are powers of 2. All sums are then exact in f32 and must come out to the bit. */
static void
make_whole (Case *c, GRand *rand)
{
  AllavaMatrix *matrix = &c->matrix;
  size_t n_in = matrix->n_in, groups = matrix->n_out * n_in / GROUP;
  matrix->bias = NULL;
  for (size_t i = 0; i < matrix->n_out * allava_quant_row_bytes (matrix->dtype, n_in); i++)
    c->values[1 + i] = (uint8_t)g_rand_int_range (rand, 0, 256); /* -128 too */
  for (size_t i = 0; i < groups; i++) {
    uint16_t exponent = (uint16_t)(15 + 8 + g_rand_int_range (rand, -1, 2));
    c->records[i] = (uint16_t)(exponent << 10);
    if (matrix->dtype == ALLAVA_DTYPE_Q4)
      c->records[i] = (uint16_t)(exponent << 11 | g_rand_int_range (rand, 0, 128));
  }
  for (size_t i = 0; i < c->m * c->op.x_stride; i++)
    c->x[i] = (float)g_rand_int_range (rand, -127, 128);
  for (size_t i = 0; i < c->m; i++)
    for (size_t k = 0; k < n_in; k += GROUP)
      c->x[i * c->op.x_stride + k + (size_t)g_rand_int_range (rand, 0, GROUP)] =
          g_rand_boolean (rand) ? 127 : -127;
}

static void
check_exact (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (2);
  for (size_t m = 1; m <= 25; m++)
    for (size_t f = 0; f < G_N_ELEMENTS (formats); f++) {
      Case c;
      size_t n_in = GROUP * 2 * (size_t)g_rand_int_range (rand, 1, 12);
      case_init (&c, rand, formats[f], m, (size_t)g_rand_int_range (rand, 1, 50), n_in);
      make_whole (&c, rand);
      g_autofree float *y = g_new (float, m *c.op.y_stride);
      c.op.y = y;
      allava_cpu_linear (cpu, &c.op, 1, m);
      for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < c.matrix.n_out; j++) {
          double size;
          g_assert_cmpfloat (y[i * c.op.y_stride + j], ==, case_reference (&c, TRUE, i, j, &size));
          g_assert_cmpfloat (size, <, 1 << 24);
        }
      case_clear (&c);
    }
  g_rand_free (rand);
}

static void
test_exact (void)
{
  for_each_isa (2, FALSE, check_exact);
}

/* The operations of a layer: formats mixed, two read the same x, two add to the same y. */
static void
check_mixed_rows (AllavaCpu *cpu, GRand *rand, size_t m)
{
  enum { N_IN = 192, N_OUT = 70 };
  Case cases[4];
  AllavaLinear ops[4];
  g_autofree float *apart = g_new (float, 2 * m * N_OUT);
  g_autofree float *sum = g_new (float, m *N_OUT);
  for (int i = 0; i < 4; i++) {
    case_init (&cases[i], rand, formats[i % 2], m, N_OUT, N_IN);
    ops[i] = cases[i].op;
    ops[i].y_stride = N_OUT;
    ops[i].y = i < 2 ? apart + (size_t)i * m * N_OUT : sum;
    ops[i].accumulate = i == 3;
  }
  ops[1].x = ops[0].x;
  ops[1].x_stride = ops[0].x_stride;
  allava_cpu_linear (cpu, ops, 4, m);
  for (size_t i = 0; i < m * N_OUT; i++) {
    double sizes[4], expected[4];
    for (int j = 0; j < 4; j++) {
      Case c = cases[j];
      c.x = (float *)ops[j].x;
      c.op.x_stride = ops[j].x_stride;
      expected[j] = case_reference (&c, rounds (cpu, m), i / N_OUT, i % N_OUT, &sizes[j]);
    }
    g_assert_cmpfloat_with_epsilon (apart[i], expected[0], 1e-6 * (1 + sizes[0]));
    g_assert_cmpfloat_with_epsilon (apart[m * N_OUT + i], expected[1], 1e-6 * (1 + sizes[1]));
    g_assert_cmpfloat_with_epsilon (sum[i], expected[2] + expected[3],
                                    1e-6 * (1 + sizes[2] + sizes[3]));
  }
  for (int i = 0; i < 4; i++)
    case_clear (&cases[i]);
}

static void
check_mixed (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (3);
  const size_t rows[] = {1, 3, 8, 9, 20};
  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++)
    check_mixed_rows (cpu, rand, rows[i]);
  g_rand_free (rand);
}

static void
test_mixed (void)
{
  for_each_isa (2, FALSE, check_mixed);
}

/* Rows too long for the room that they are rounded into, all at once or one packed block. */
static void
check_huge (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (4);
  check_format (cpu, rand, ALLAVA_DTYPE_Q4, 8, 1, 1 << 20);
  check_format (cpu, rand, ALLAVA_DTYPE_Q8, 1400, 1, 12288);
  g_rand_free (rand);
}

static void
test_huge (void)
{
  for_each_isa (2, FALSE, check_huge);
}

/* Damaged activations must not come out as numbers. */
static void
check_not_finite (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (5);
  const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
  for (size_t m = 1; m < 12; m += 10)
    for (size_t f = 0; f < G_N_ELEMENTS (formats); f++)
      for (size_t b = 0; b < G_N_ELEMENTS (bad); b++) {
        Case c;
        case_init (&c, rand, formats[f], m, 5, 640);
        g_autofree float *y = g_new0 (float, m *c.op.y_stride);
        c.op.y = y;
        c.x[(size_t)g_rand_int_range (rand, 0, 640)] = bad[b];
        allava_cpu_linear (cpu, &c.op, 1, m);
        for (size_t j = 0; j < 5; j++)
          g_assert_false (isfinite (y[j]));
        for (size_t j = 0; j < 5 && m > 1; j++)
          g_assert_true (isfinite (y[c.op.y_stride + j]));
        case_clear (&c);
      }
  g_rand_free (rand);
}

static void
test_not_finite (void)
{
  for_each_isa (1, FALSE, check_not_finite);
}

/* The same bits whatever the number of threads, and whatever other rows there are. */
static void
test_threads (void)
{
  GRand *rand = g_rand_new_with_seed (6);
  const size_t rows[] = {1, 3, 8, 40};
  for (size_t r = 0; r < G_N_ELEMENTS (rows); r++)
    for (size_t f = 0; f < G_N_ELEMENTS (formats); f++) {
      Case c;
      case_init (&c, rand, formats[f], rows[r], 700, 960);
      size_t bytes = rows[r] * c.op.y_stride * sizeof (float);
      g_autofree float *alone = g_memdup2 (c.y, bytes);
      for (int threads = 1; threads <= 5; threads++) {
        AllavaCpu *cpu = allava_cpu_new (allava_isa_detect (), threads, TRUE, NULL);
        g_autofree float *y = g_memdup2 (c.y, bytes);
        c.op.y = threads == 1 ? alone : y;
        allava_cpu_linear (cpu, &c.op, 1, rows[r]);
        if (threads > 1)
          g_assert_cmpmem (y, bytes, alone, bytes);
        if (threads == 1 && rows[r] > 1) {
          size_t few = rows[r] > 8 ? 9 : 1;
          c.op.y = y;
          allava_cpu_linear (cpu, &c.op, 1, few);
          for (size_t i = 0; i < few; i++)
            g_assert_cmpmem (y + i * c.op.y_stride, 700 * sizeof *y, alone + i * c.op.y_stride,
                             700 * sizeof *y);
        }
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
  g_test_add_func ("/quant-linear/shapes", test_shapes);
  g_test_add_func ("/quant-linear/exact", test_exact);
  g_test_add_func ("/quant-linear/mixed", test_mixed);
  g_test_add_func ("/quant-linear/huge", test_huge);
  g_test_add_func ("/quant-linear/not-finite", test_not_finite);
  g_test_add_func ("/quant-linear/threads", test_threads);
  return g_test_run ();
}
