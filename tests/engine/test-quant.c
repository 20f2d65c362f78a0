#include "cpu-testing.h"
#include "quant.h"
#include <float.h>

enum { GROUP = ALLAVA_QUANT_GROUP };

typedef struct {
  uint8_t *values;
  uint16_t *records;
  float *back;
} Quantized;

static Quantized
quantize (AllavaDtype dtype, const float *x, size_t n)
{
  Quantized q = {g_malloc0 (n), g_new0 (uint16_t, n / GROUP), g_new0 (float, n)};
  g_assert_true (allava_quantize_row (dtype, x, n, q.values, q.records));
  g_assert_true (allava_quant_check_records (dtype, q.records, n / GROUP));
  allava_dequantize_row (dtype, q.values, q.records, n, q.back);
  return q;
}

static void
quantized_clear (Quantized *q)
{
  g_free (q->values);
  g_free (q->records);
  g_free (q->back);
}

/* Of the whole, relative to the values' own. */
static double
rms_error (const float *x, const float *back, size_t n)
{
  double error = 0, size = 0;
  for (size_t i = 0; i < n; i++) {
    error += pow (x[i] - back[i], 2);
    size += pow (x[i], 2);
  }
  return sqrt (error / size);
}

/* Normal, by Box and Muller; HEAVY: Laplace. */
static float *
random_weights (size_t n, gboolean heavy)
{
  GRand *rand = g_rand_new_with_seed (1);
  float *x = g_new (float, n);
  for (size_t i = 0; i < n; i++) {
    double u = 1 - g_rand_double (rand), v = g_rand_double (rand);
    double size = heavy ? -log (u) : sqrt (-2 * log (u));
    x[i] = (float)(0.02 * size * (heavy ? (v < .5 ? -1 : 1) : cos (2 * G_PI * v)));
  }
  g_rand_free (rand);
  return x;
}

/* The bounds are the errors of llama.cpp's formats of the same size on the same distributions:
 * Q8_0 and Q4_K (0.0719 and 0.0849), which tests/bench/quantization.py measures. */
static void
test_error (void)
{
  enum { N = 1 << 18 };
  for (int heavy = 0; heavy < 2; heavy++) {
    g_autofree float *x = random_weights (N, heavy);
    Quantized q8 = quantize (ALLAVA_DTYPE_Q8, x, N), q4 = quantize (ALLAVA_DTYPE_Q4, x, N);
    double of8 = rms_error (x, q8.back, N), of4 = rms_error (x, q4.back, N);
    g_test_message ("relative error: q8 %.5f, q4 %.5f", of8, of4);
    g_assert_cmpfloat (of8, <, heavy ? 0.0069 : 0.0055);
    g_assert_cmpfloat (of4, <, heavy ? 0.0849 : 0.0719);
    quantized_clear (&q8);
    quantized_clear (&q4);
  }
}

/* What a reader of the file relies on. */
static void
test_layout (void)
{
  const uint16_t scales[] = {0x3c00, 0x4000}; /* 1 and 2 */
  int8_t bytes[2 * GROUP];
  float x[2 * GROUP];
  for (int i = 0; i < 2 * GROUP; i++)
    bytes[i] = (int8_t)(4 * i - 127);
  allava_dequantize_row (ALLAVA_DTYPE_Q8, bytes, scales, 2 * GROUP, x);
  for (int i = 0; i < 2 * GROUP; i++)
    g_assert_cmpfloat (x[i], ==, (float)(4 * i - 127) * (i < GROUP ? 1 : 2) / 256);

  /* The f16 bits 0 01111 0000 and 0 01111 1000 (1 and 1.5), zeros 3 and 100. */
  const uint16_t records[] = {0x0f0 << 7 | 3, 0x0f8 << 7 | 100};
  uint8_t nibbles[GROUP];
  for (int i = 0; i < GROUP; i++)
    nibbles[i] = (uint8_t)(i % 16 | (15 - i % 16) << 4);
  allava_dequantize_row (ALLAVA_DTYPE_Q4, nibbles, records, 2 * GROUP, x);
  for (int i = 0; i < GROUP; i++) {
    g_assert_cmpfloat (x[i], ==, (float)(8 * (i % 16) - 3) / 256);
    g_assert_cmpfloat (x[GROUP + i], ==, 1.5f * (float)(8 * (15 - i % 16) - 100) / 256);
  }
}

/* Groups that a format can hold come back as they were. */
static void
test_exact (void)
{
  float x[20 * GROUP];
  for (int i = 0; i < 20 * GROUP; i++)
    x[i] = ldexpf ((float)(i * 7 % 255 - 127), i / GROUP - 20);
  for (int group = 0; group < 20; group++)
    x[group * GROUP] = ldexpf (127, group - 20);
  Quantized q = quantize (ALLAVA_DTYPE_Q8, x, 20 * GROUP);
  g_assert_cmpmem (x, sizeof x, q.back, sizeof x);
  quantized_clear (&q);

  for (int i = 0; i < 20 * GROUP; i++)
    x[i] = ldexpf ((float)(8 * (i % 16) - 6 * (i / GROUP)), i / GROUP - 22);
  q = quantize (ALLAVA_DTYPE_Q4, x, 20 * GROUP);
  g_assert_cmpmem (x, sizeof x, q.back, sizeof x);
  quantized_clear (&q);
}

/* Zeros stay zeros; constants, the least and the greatest floats stay within a step. */
static void
test_extremes (void)
{
  const float values[] = {0, 0.3f, -0.3f, 1e-5f, 2000, FLT_MIN, 1e-40f};
  for (AllavaDtype dtype = ALLAVA_DTYPE_Q8; dtype <= ALLAVA_DTYPE_Q4; dtype++) {
    for (size_t v = 0; v < G_N_ELEMENTS (values); v++) {
      float x[2 * GROUP];
      for (int i = 0; i < 2 * GROUP; i++)
        x[i] = values[v];
      Quantized q = quantize (dtype, x, 2 * GROUP);
      for (int i = 0; i < 2 * GROUP; i++)
        g_assert_cmpfloat_with_epsilon (q.back[i], x[i], fabsf (x[i]) / 30 + 1e-6f);
      if (values[v] == 0)
        g_assert_cmpfloat (q.back[0], ==, 0);
      quantized_clear (&q);
    }
    const float bad[] = {NAN, INFINITY, -INFINITY};
    uint8_t bytes[2 * GROUP];
    uint16_t records[2];
    for (int b = 0; b < 3; b++) {
      float x[2 * GROUP] = {[45] = bad[b]};
      g_assert_false (allava_quantize_row (dtype, x, 2 * GROUP, bytes, records));
    }
    float huge[2 * GROUP] = {FLT_MAX, -FLT_MAX};
    Quantized q = quantize (dtype, huge, 2 * GROUP); /* clipped, not infinite */
    g_assert_true (isfinite (q.back[0]) && q.back[0] > 0 && q.back[1] < 0);
    quantized_clear (&q);
  }
}

static void
test_records (void)
{
  uint16_t records[3] = {0, 0x3c00, 0x7bff};
  g_assert_true (allava_quant_check_records (ALLAVA_DTYPE_Q8, records, 3));
  records[1] = 0x7c00; /* infinity */
  g_assert_false (allava_quant_check_records (ALLAVA_DTYPE_Q8, records, 3));
  records[1] = 0x7e00; /* NaN */
  g_assert_false (allava_quant_check_records (ALLAVA_DTYPE_Q8, records, 3));
  records[1] = 0x8001; /* negative */
  g_assert_false (allava_quant_check_records (ALLAVA_DTYPE_Q8, records, 3));
  records[1] = 0xf7ff;
  g_assert_true (allava_quant_check_records (ALLAVA_DTYPE_Q4, records, 3));
  records[2] = 0xf800;
  g_assert_false (allava_quant_check_records (ALLAVA_DTYPE_Q4, records, 3));
}

static void
test_choice (void)
{
  const AllavaDtype q8 = ALLAVA_DTYPE_Q8, q4 = ALLAVA_DTYPE_Q4, bf16 = ALLAVA_DTYPE_BF16;
  g_assert_cmpint (allava_quant_choose (q8, ALLAVA_PART_DECODER, 2560), ==, q8);
  g_assert_cmpint (allava_quant_choose (q4, ALLAVA_PART_DECODER, 2560), ==, q4);
  g_assert_cmpint (allava_quant_choose (q4, ALLAVA_PART_DECODER, 96), ==, q8);
  g_assert_cmpint (allava_quant_choose (q4, ALLAVA_PART_DECODER, 80), ==, bf16);
  g_assert_cmpint (allava_quant_choose (q8, ALLAVA_PART_DECODER, 80), ==, bf16);
  g_assert_cmpint (allava_quant_choose (q4, ALLAVA_PART_HEAD, 2560), ==, q8);
  g_assert_cmpint (allava_quant_choose (q4, ALLAVA_PART_OTHER, 2560), ==, bf16);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/quant/error", test_error);
  g_test_add_func ("/quant/layout", test_layout);
  g_test_add_func ("/quant/exact", test_exact);
  g_test_add_func ("/quant/extremes", test_extremes);
  g_test_add_func ("/quant/records", test_records);
  g_test_add_func ("/quant/choice", test_choice);
  return g_test_run ();
}
