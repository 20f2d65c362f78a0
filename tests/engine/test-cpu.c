#include "cpu-private.h"
#include "cpu-testing.h"
#include <float.h>
#include <string.h>

/* ---- Layer norm ------------------------------------------------------------------------------ */

static void
check_norm_size (AllavaCpu *cpu, GRand *rand, size_t m, size_t n, float offset)
{
  const float eps = 1e-5f;
  g_autofree float *x = random_floats (rand, m * n, 2);
  g_autofree float *weight = random_floats (rand, n, 1);
  g_autofree float *bias = random_floats (rand, n, 1);
  g_autofree float *y = g_new (float, m *n);
  gboolean biased = g_rand_boolean (rand);
  for (size_t i = 0; i < m * n; i++)
    x[i] += offset;
  allava_cpu_layer_norm (cpu, x, m, n, weight, biased ? bias : NULL, eps, y);
  for (size_t i = 0; i < m; i++) {
    double mean = 0, variance = 0;
    for (size_t j = 0; j < n; j++)
      mean += (double)x[i * n + j] / (double)n;
    for (size_t j = 0; j < n; j++)
      variance += pow (x[i * n + j] - mean, 2) / (double)n;
    for (size_t j = 0; j < n; j++) {
      double expected = (x[i * n + j] - mean) / sqrt (variance + eps) * weight[j];
      expected += biased ? bias[j] : 0;
      g_assert_cmpfloat_with_epsilon (y[i * n + j], expected, 1e-5 + 1e-6 * fabs (offset));
    }
  }
  allava_cpu_layer_norm (cpu, x, m, n, weight, biased ? bias : NULL, eps, x); /* in place */
  g_assert_cmpmem (x, m * n * sizeof *x, y, m * n * sizeof *y);
}

static void
check_norm (AllavaCpu *cpu)
{
  GRand *rand = g_rand_new_with_seed (1);
  for (size_t n = 2; n < 150; n++)
    check_norm_size (cpu, rand, 1 + n % 20, n, 0);
  check_norm_size (cpu, rand, 3, 2560, 0);
  /* A mean far greater than the spread: the variance cannot come from the sum of squares. */
  check_norm_size (cpu, rand, 3, 1024, 1000);
  g_rand_free (rand);
}

static void
test_norm (void)
{
  for_each_isa (2, FALSE, check_norm);
}

/* ---- Conversions ----------------------------------------------------------------------------- */

static double
reference_f16 (uint16_t h)
{
  int exponent = (h >> 10) & 31;
  double mantissa = h & 0x3ff;
  double x = exponent == 0 ? ldexp (mantissa, -24) : ldexp (1024 + mantissa, exponent - 25);
  if (exponent == 31)
    x = mantissa == 0 ? INFINITY : NAN;
  return h & 0x8000 ? -x : x;
}

typedef void (*WidenFunc) (const void *src, AllavaDtype dtype, size_t n, float *dst);
typedef void (*NarrowFunc) (const float *src, AllavaDtype dtype, size_t n, void *dst);

/* Every f16 and bf16: widened to its value, narrowed back to itself. */
static void
check_widen (WidenFunc widen, NarrowFunc narrow)
{
  enum { N = 0x10000 };
  g_autofree uint16_t *halves = g_new (uint16_t, N);
  g_autofree uint16_t *back = g_new (uint16_t, N);
  g_autofree float *wide = g_new (float, N);
  for (int i = 0; i < N; i++)
    halves[i] = (uint16_t)i;
  for (AllavaDtype dtype = ALLAVA_DTYPE_BF16; dtype <= ALLAVA_DTYPE_F16; dtype++) {
    widen (halves, dtype, N, wide);
    narrow (wide, dtype, N, back);
    for (int i = 0; i < N; i++) {
      uint32_t bits = (uint32_t)i << 16;
      float bf16;
      memcpy (&bf16, &bits, sizeof bf16);
      double expected = dtype == ALLAVA_DTYPE_F16 ? reference_f16 ((uint16_t)i) : bf16;
      if (isnan (expected)) {
        g_assert_true (isnan (wide[i]));
        continue;
      }
      g_assert_cmpfloat (wide[i], ==, expected);
      g_assert_cmpint (back[i], ==, i); /* keeps the sign of 0, too */
    }
  }
}

/* Any float becomes a nearest half, ties the even one. */
static void
check_narrow (WidenFunc widen, NarrowFunc narrow, AllavaDtype dtype)
{
  enum { N = 300000 };
  GRand *rand = g_rand_new_with_seed (2);
  g_autofree float *x = g_new (float, N);
  g_autofree float *wide = g_new (float, N);
  g_autofree uint16_t *halves = g_new (uint16_t, N);
  g_autofree uint16_t *neighbour = g_new (uint16_t, N);
  for (int i = 0; i < N; i++) {
    uint32_t bits = g_rand_int (rand);
    if (dtype == ALLAVA_DTYPE_F16) /* within its range, from denormals to 65504 */
      bits = (bits & 0x80ffffff) + ((uint32_t)g_rand_int_range (rand, 98, 142) << 23) % 0x47000000;
    if (i % 3 == 0)
      bits &= dtype == ALLAVA_DTYPE_F16 ? 0xfffff000 : 0xffff8000; /* often a tie */
    memcpy (&x[i], &bits, sizeof bits);
    if (!isfinite (x[i]))
      x[i] = 1.f;
  }
  narrow (x, dtype, N, halves);
  widen (halves, dtype, N, wide);
  for (int step = -1; step <= 1; step += 2) {
    g_autofree float *other = g_new (float, N);
    for (int i = 0; i < N; i++)
      neighbour[i] = (uint16_t)(halves[i] + step);
    widen (neighbour, dtype, N, other);
    for (int i = 0; i < N; i++) {
      double own = fabs ((double)wide[i] - x[i]), theirs = fabs ((double)other[i] - x[i]);
      if (isfinite (wide[i]) && isfinite (other[i]) && (halves[i] & 0x7fff) != 0)
        g_assert_true (own < theirs || (own == theirs && halves[i] % 2 == 0));
    }
  }
  g_rand_free (rand);
}

static void
check_limits (WidenFunc widen, NarrowFunc narrow)
{
  const float x[] = {65504.f, 65519.996f, 65520.f, -1e30f, INFINITY, 0x1p-25f, 0x1.8p-25f, 3e38f};
  const uint16_t f16[] = {0x7bff, 0x7bff, 0x7c00, 0xfc00, 0x7c00, 0, 1, 0x7c00};
  uint16_t halves[8];
  narrow (x, ALLAVA_DTYPE_F16, 8, halves);
  g_assert_cmpmem (halves, sizeof halves, f16, sizeof f16);

  const float y[] = {1.f + 0x1p-8f, 1.f + 0x3p-8f, FLT_MAX, -INFINITY, 0x1p-133f, 0x1p-135f};
  const uint16_t bf16[] = {0x3f80, 0x3f82, 0x7f80, 0xff80, 1, 0};
  narrow (y, ALLAVA_DTYPE_BF16, 6, halves);
  g_assert_cmpmem (halves, sizeof bf16, bf16, sizeof bf16);

  uint32_t quiet = 0x7f800001; /* a NaN whose upper half alone would be infinity */
  float nan, wide[2];
  memcpy (&nan, &quiet, sizeof nan);
  narrow (&nan, ALLAVA_DTYPE_BF16, 1, halves);
  narrow (&nan, ALLAVA_DTYPE_F16, 1, halves + 1);
  widen (halves, ALLAVA_DTYPE_BF16, 1, wide);
  widen (halves + 1, ALLAVA_DTYPE_F16, 1, wide + 1);
  g_assert_true (isnan (wide[0]) && isnan (wide[1]));
}

static void
check_conversions (WidenFunc widen, NarrowFunc narrow)
{
  check_widen (widen, narrow);
  check_narrow (widen, narrow, ALLAVA_DTYPE_BF16);
  check_narrow (widen, narrow, ALLAVA_DTYPE_F16);
  check_limits (widen, narrow);
}

static void
check_kernel_conversions (AllavaCpu *cpu)
{
  check_conversions (cpu->kernels->widen, cpu->kernels->narrow);
}

static void
test_conversions (void)
{
  check_conversions (allava_widen, allava_narrow);
  check_conversions (allava_widen_plainly, allava_narrow_plainly);
  for_each_isa (1, FALSE, check_kernel_conversions);
}

/* Few values, at odd addresses: nothing beyond them is read or written. */
static void
test_conversion_lengths (void)
{
  for (AllavaDtype dtype = ALLAVA_DTYPE_F32; dtype <= ALLAVA_DTYPE_F16; dtype++)
    for (size_t n = 0; n < 40; n++) {
      size_t size = allava_dtype_size (dtype);
      g_autofree float *x = g_new (float, n + 1);
      g_autofree float *y = g_new (float, n + 1);
      g_autofree char *stored = g_malloc ((n + 1) * size);
      for (size_t i = 0; i < n; i++)
        x[i] = (float)i - 7.f;
      y[n] = 5.f;
      memset (stored, 'x', (n + 1) * size);
      allava_narrow (x, dtype, n, stored);
      g_assert_cmpint (stored[n * size], ==, 'x');
      allava_widen (stored, dtype, n, y);
      g_assert_cmpmem (x, n * sizeof *x, y, n * sizeof *y);
      g_assert_cmpfloat (y[n], ==, 5.f);
    }
}

/* ---- The context ----------------------------------------------------------------------------- */

static void
test_refuses (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (allava_cpu_new (ALLAVA_ISA_NONE, 1, FALSE, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE);
  g_clear_error (&error);
  g_assert_null (allava_cpu_new (allava_isa_detect (), -3, FALSE, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
}

static void
start_without_memory (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (allava_cpu_new (allava_isa_detect (), 1, FALSE, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY);
}

static void
test_no_memory (void)
{
  run_short_of_memory ((size_t)8 << 20, start_without_memory);
}

static void
check_bandwidth (AllavaCpu *cpu)
{
  size_t bytes = (3 << 20) + 77;
  g_autofree char *data = g_malloc0 (bytes);
  double rate = allava_cpu_measure_bandwidth (cpu, data, bytes);
  g_assert_cmpfloat (rate, >, 0);
  g_assert_true (isfinite (rate));

  /* Every byte is read: each alone changes what the kernel returns. */
  for (size_t n = 1; n < 1000; n += 37)
    for (size_t i = 0; i < n; i++) {
      uint32_t before = cpu->kernels->read (data, n);
      data[i] = 1;
      g_assert_cmpuint (cpu->kernels->read (data, n), !=, before);
      data[i] = 0;
    }
}

static void
test_bandwidth (void)
{
  for_each_isa (2, FALSE, check_bandwidth);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cpu/norm", test_norm);
  g_test_add_func ("/cpu/conversions", test_conversions);
  g_test_add_func ("/cpu/conversion-lengths", test_conversion_lengths);
  g_test_add_func ("/cpu/refuses", test_refuses);
  g_test_add_func ("/cpu/no-memory", test_no_memory);
  g_test_add_func ("/cpu/bandwidth", test_bandwidth);
  return g_test_run ();
}
