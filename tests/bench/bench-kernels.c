/* bench-kernels - how near the CPU backend's arithmetic comes to what this machine can do.
 *
 * Prints the peak rates of loops that only multiply in registers, and of reading memory; then, for
 * the shapes of ALLaVA-3B, what the kernels reach of them. Each figure is the best of several
 * rounds; the rounds of everything compared take turns, since other work may slow the machine. */

#include "kernels.h"
#include "quant.h"
#include <immintrin.h>
#include <string.h>
#ifdef HAVE_OPENBLAS
#include <cblas.h>
#endif

static int n_threads = 0;
static int n_rounds = 5;
static char *isa_name = NULL;
static char *only = NULL;

static const GOptionEntry entries[] = {
    {"threads", 't', 0, G_OPTION_ARG_INT, &n_threads, "Threads (default: physical cores)", "N"},
    {"rounds", 'r', 0, G_OPTION_ARG_INT, &n_rounds, "Rounds of which the best counts", "N"},
    {"isa", 'i', 0, G_OPTION_ARG_STRING, &isa_name, "avx2, avx512, avx512-vnni or avx512-bf16",
     "NAME"},
    {"only", 'o', 0, G_OPTION_ARG_STRING, &only, "multiply, stream or attention", "NAME"},
    {NULL},
};

static double
now (void)
{
  return (double)g_get_monotonic_time () * 1e-6;
}

/* ---- Peaks ----------------------------------------------------------------------------------- */

#define PEAK_STEPS 4000000

/* 12 independent sums: more than latency times throughput of any CPU. */
#define PEAK_LOOP(type, zero, step, to_float)                                                      \
  type sums[12];                                                                                   \
  for (int i = 0; i < 12; i++)                                                                     \
    sums[i] = zero;                                                                                \
  for (int n = 0; n < PEAK_STEPS; n++) {                                                           \
    _Pragma ("GCC unroll 12") for (int i = 0; i < 12; i++) step;                                   \
  }                                                                                                \
  float sum = 0;                                                                                   \
  for (int i = 0; i < 12; i++)                                                                     \
    sum += to_float;                                                                               \
  *(volatile float *)data = sum;

__attribute__ ((target ("avx2,fma"))) static void
peak_avx2 (size_t index, int thread, gpointer data)
{
  __m256 a = _mm256_set1_ps (1e-30f);
  PEAK_LOOP (__m256, _mm256_setzero_ps (), sums[i] = _mm256_fmadd_ps (a, a, sums[i]),
             _mm256_cvtss_f32 (sums[i]))
}

__attribute__ ((target ("avx512f"))) static void
peak_avx512 (size_t index, int thread, gpointer data)
{
  __m512 a = _mm512_set1_ps (1e-30f);
  PEAK_LOOP (__m512, _mm512_setzero_ps (), sums[i] = _mm512_fmadd_ps (a, a, sums[i]),
             _mm512_cvtss_f32 (sums[i]))
}

__attribute__ ((target ("avx512f,avx512bf16"))) static void
peak_pairs (size_t index, int thread, gpointer data)
{
  __m512bh a = (__m512bh)_mm512_set1_epi32 (0x00010001);
  PEAK_LOOP (__m512, _mm512_setzero_ps (), sums[i] = _mm512_dpbf16_ps (sums[i], a, a),
             _mm512_cvtss_f32 (sums[i]))
}

__attribute__ ((target ("avx512f,avx512vnni"))) static void
peak_quads (size_t index, int thread, gpointer data)
{
  __m512i a = _mm512_set1_epi32 (0x01010101);
  PEAK_LOOP (__m512i, _mm512_setzero_si512 (), sums[i] = _mm512_dpbusd_epi32 (sums[i], a, a),
             (float)_mm512_cvtsi512_si32 (sums[i]))
}

/* GFLOP/s of all threads together, with FLOPS a step and sum. */
static double
measure_peak (AllavaPool *pool, AllavaTaskFunc func, double flops)
{
  float sink[16];
  double start = now ();
  size_t threads = (size_t)allava_pool_get_threads (pool);
  allava_pool_run (pool, threads, func, sink);
  return (double)threads * PEAK_STEPS * 12. * flops / (now () - start) * 1e-9;
}

/* ---- Data ------------------------------------------------------------------------------------ */

/* Any bytes will do for q8 and q4; for their records see random_records(). */
static void *
random_bytes (size_t bytes)
{
  uint32_t *data = g_malloc (bytes + sizeof (uint32_t)), state = 1;
  for (size_t i = 0; i < bytes / sizeof *data + 1; i++)
    data[i] = state = state * 1664525u + 1013904223u;
  return data;
}

/* One scale for all, and any zeros. */
static uint16_t *
random_records (size_t n)
{
  uint16_t *records = g_new (uint16_t, n);
  for (size_t i = 0; i < n; i++)
    records[i] = (uint16_t)(0x1c00 | i * 37 % 128);
  return records;
}

static void *
random_values (AllavaDtype dtype, size_t n)
{
  if (allava_dtype_is_quantized (dtype))
    return random_bytes (allava_quant_row_bytes (dtype, n));
  enum { CHUNK = 1 << 16 };
  g_autofree float *x = g_new (float, CHUNK);
  char *data = g_malloc (n * allava_dtype_size (dtype));
  uint32_t state = 1;
  for (size_t i = 0; i < CHUNK; i++) {
    state = state * 1664525u + 1013904223u;
    x[i] = (float)(int32_t)state * 0x1p-31f;
  }
  for (size_t i = 0; i < n; i += CHUNK)
    allava_narrow (x, dtype, MIN (n - i, (size_t)CHUNK), data + i * allava_dtype_size (dtype));
  return data;
}

/* ---- Many rows ------------------------------------------------------------------------------- */

typedef struct {
  const char *name;
  AllavaDtype dtype;
  gboolean round;
} Kind;

static const Kind kinds[] = {
    {"f32", ALLAVA_DTYPE_F32, FALSE}, {"bf16", ALLAVA_DTYPE_BF16, FALSE},
    {"f16", ALLAVA_DTYPE_F16, FALSE}, {"bf16 rounded", ALLAVA_DTYPE_BF16, TRUE},
    {"q8", ALLAVA_DTYPE_Q8, TRUE},    {"q4", ALLAVA_DTYPE_Q4, TRUE},
};

typedef struct {
  size_t m, n_in, n_out;
} Shape;

static double
time_linear (AllavaCpu *cpu, const AllavaMatrix *matrix, const float *x, float *y, size_t m)
{
  AllavaLinear op = {.matrix = matrix, .x = x, .x_stride = matrix->n_in};
  op.y = y;
  op.y_stride = matrix->n_out;
  double start = now ();
  allava_cpu_linear (cpu, &op, 1, m);
  return now () - start;
}

#ifdef HAVE_OPENBLAS
static double
time_openblas (const float *weights, const float *x, float *y, const Shape *s)
{
  double start = now ();
  cblas_sgemm (CblasRowMajor, CblasNoTrans, CblasTrans, (int)s->m, (int)s->n_out, (int)s->n_in, 1.f,
               x, (int)s->n_in, weights, (int)s->n_in, 0.f, y, (int)s->n_out);
  return now () - start;
}
#endif

static void
bench_multiply_shape (AllavaIsa isa, const Shape *s)
{
  AllavaCpu *plain = allava_cpu_new (isa, n_threads, FALSE, NULL);
  AllavaCpu *rounding = allava_cpu_new (isa, n_threads, TRUE, NULL);
  AllavaPool *pool = allava_cpu_get_pool (plain);
  gboolean has_pairs = isa == ALLAVA_ISA_AVX512_BF16;
  AllavaMatrix matrices[G_N_ELEMENTS (kinds)];
  g_autofree float *x = random_values (ALLAVA_DTYPE_F32, s->m * s->n_in);
  g_autofree float *y = random_values (ALLAVA_DTYPE_F32, s->m * s->n_out);
  double flops = 2. * (double)s->m * (double)s->n_in * (double)s->n_out;
  gboolean has_quads = isa >= ALLAVA_ISA_AVX512_VNNI;
  g_autofree uint16_t *records = random_records (s->n_in * s->n_out / ALLAVA_QUANT_GROUP);
  double best[G_N_ELEMENTS (kinds)] = {0}, peak = 0, peak_bf16 = 0, peak_int8 = 0, blas = 0;

  for (size_t i = 0; i < G_N_ELEMENTS (kinds); i++)
    matrices[i] = (AllavaMatrix){.data = random_values (kinds[i].dtype, s->n_in * s->n_out),
                                 .dtype = kinds[i].dtype,
                                 .n_out = s->n_out,
                                 .n_in = s->n_in,
                                 .records = records};
  for (int round = 0; round < n_rounds; round++) {
    peak = MAX (peak, isa == ALLAVA_ISA_AVX2 ? measure_peak (pool, peak_avx2, 16)
                                             : measure_peak (pool, peak_avx512, 32));
    if (has_pairs)
      peak_bf16 = MAX (peak_bf16, measure_peak (pool, peak_pairs, 64));
    if (has_quads)
      peak_int8 = MAX (peak_int8, measure_peak (pool, peak_quads, 128));
    for (size_t i = 0; i < G_N_ELEMENTS (kinds); i++) {
      AllavaCpu *cpu = kinds[i].round ? rounding : plain;
      double seconds = time_linear (cpu, &matrices[i], x, y, s->m);
      best[i] = MAX (best[i], flops / seconds * 1e-9);
    }
#ifdef HAVE_OPENBLAS
    openblas_set_num_threads (allava_pool_get_threads (pool));
    blas = MAX (blas, flops / time_openblas (matrices[0].data, x, y, s) * 1e-9);
#endif
  }
  g_print ("%4zu x %5zu -> %5zu   peaks %4.0f (f32) %4.0f (bf16) %4.0f (int8)", s->m, s->n_in,
           s->n_out, peak, peak_bf16, peak_int8);
  for (size_t i = 0; i < G_N_ELEMENTS (kinds); i++) {
    double of = allava_dtype_is_quantized (kinds[i].dtype) && has_quads ? peak_int8
                : kinds[i].round && has_pairs                           ? peak_bf16
                                                                        : peak;
    g_print ("   %s %4.0f (%2.0f %%)", kinds[i].name, best[i], 100 * best[i] / of);
    g_free ((gpointer)matrices[i].data);
  }
  if (blas > 0)
    g_print ("   OpenBLAS %4.0f (ours / theirs %.2f)", blas, best[0] / blas);
  g_print ("\n");
  allava_cpu_free (plain);
  allava_cpu_free (rounding);
}

static void
bench_multiply (AllavaIsa isa)
{
  const Shape shapes[] = {
      {608, 2560, 2560}, {608, 2560, 10240}, {608, 10240, 2560}, {577, 1024, 1024},
      {577, 1024, 4096}, {577, 4096, 1024},  {16, 2560, 10240},  {64, 2560, 10240},
  };
  g_print ("Products of many rows, GFLOP/s (and %% of the register-only peak)\n");
  for (size_t i = 0; i < G_N_ELEMENTS (shapes); i++)
    bench_multiply_shape (isa, &shapes[i]);
}

/* ---- Few rows -------------------------------------------------------------------------------- */

/* One layer's products of M rows over and over in a buffer too large for any cache: q, k, v and
 * fc1, then dense and fc2. */
static double
time_layers (AllavaCpu *cpu, const char *weights, size_t bytes, AllavaDtype dtype, size_t m)
{
  enum { H = 2560, FC = 10240 };
  g_autofree float *x = random_values (ALLAVA_DTYPE_F32, m * FC);
  g_autofree float *y = random_values (ALLAVA_DTYPE_F32, m * (3 * H + FC));
  const size_t shapes[6][2] = {{H, H}, {H, H}, {H, H}, {H, FC}, {H, H}, {FC, H}};
  gboolean quantized = allava_dtype_is_quantized (dtype);
  size_t value_bytes = quantized ? bytes / 5 * 4 : bytes; /* the records take less than the rest */
  const char *records = weights + value_bytes;
  size_t done = 0, done_records = 0;
  double start = now ();
  while (TRUE) {
    AllavaMatrix matrices[6];
    AllavaLinear ops[6];
    size_t used = 0;
    for (int i = 0; i < 6; i++) {
      size_t n_in = shapes[i][0], n_out = shapes[i][1];
      matrices[i] = (AllavaMatrix){
          .data = weights + done + used, .dtype = dtype, .n_out = n_out, .n_in = n_in};
      matrices[i].records = (const uint16_t *)(records + done_records);
      ops[i] = (AllavaLinear){.matrix = &matrices[i], .x = x, .x_stride = n_in};
      ops[i].y = y + (i < 4 ? (size_t)i * H * m : 0);
      ops[i].y_stride = n_out;
      ops[i].activation = i == 3 ? ALLAVA_ACTIVATION_GELU_TANH : ALLAVA_ACTIVATION_NONE;
      ops[i].accumulate = i >= 4;
      used += quantized ? n_out * allava_quant_row_bytes (dtype, n_in)
                        : n_in * n_out * allava_dtype_size (dtype);
      done_records += quantized ? n_in * n_out / ALLAVA_QUANT_GROUP * sizeof (uint16_t) : 0;
    }
    if (done + used > value_bytes)
      return (double)(done + done_records) / (now () - start);
    allava_cpu_linear (cpu, ops, 4, m);
    allava_cpu_linear (cpu, ops + 4, 2, m);
    done += used;
  }
}

static void
bench_stream (AllavaIsa isa)
{
  const size_t bytes = (size_t)1 << 30;
  AllavaCpu *cpu = allava_cpu_new (isa, n_threads, FALSE, NULL);
  g_print ("Products of few rows, GB/s of weights (and %% of the read bandwidth)\n");
  for (size_t m = 1; m <= 32; m *= 2) {
    double bandwidth = 0, best[G_N_ELEMENTS (kinds)] = {0};
    for (size_t i = 0; i < G_N_ELEMENTS (kinds); i++) {
      gboolean quantized = allava_dtype_is_quantized (kinds[i].dtype);
      if (kinds[i].round && !quantized)
        continue;
      g_autofree char *weights =
          quantized ? (char *)random_records (bytes / sizeof (uint16_t))
                    : random_values (kinds[i].dtype, bytes / allava_dtype_size (kinds[i].dtype));
      for (int round = 0; round < n_rounds; round++) {
        bandwidth = MAX (bandwidth, allava_cpu_measure_bandwidth (cpu, weights, bytes) * 1e-9);
        best[i] = MAX (best[i], time_layers (cpu, weights, bytes, kinds[i].dtype, m) * 1e-9);
      }
    }
    g_print ("m = %2zu   read %5.1f", m, bandwidth);
    for (size_t i = 0; i < G_N_ELEMENTS (kinds); i++)
      if (best[i] > 0)
        g_print ("   %s %5.1f (%3.0f %%)", kinds[i].name, best[i], 100 * best[i] / bandwidth);
    g_print ("\n");
  }
  allava_cpu_free (cpu);
}

/* ---- Attention ------------------------------------------------------------------------------- */

static void
bench_attention_shape (AllavaCpu *cpu,
                       AllavaDtype dtype,
                       size_t m,
                       size_t n_keys,
                       size_t n_heads,
                       size_t head_dim,
                       gboolean causal)
{
  size_t width = n_heads * head_dim;
  g_autofree float *q = random_values (ALLAVA_DTYPE_F32, m * width);
  g_autofree float *out = random_values (ALLAVA_DTYPE_F32, m * width);
  g_autofree void *k = random_values (dtype, n_keys * width);
  g_autofree void *v = random_values (dtype, n_keys * width);
  AllavaAttention attention = {
      .q = q,
      .q_stride = width,
      .k = k,
      .v = v,
      .kv_stride = n_keys,
      .kv_dtype = dtype,
      .out = out,
      .out_stride = width,
      .m = m,
      .n_heads = n_heads,
      .n_kv_heads = n_heads,
      .head_dim = head_dim,
      .position = n_keys - m,
      .n_keys = n_keys,
      .causal = causal,
      .scale = .1f,
  };
  double best = 0;
  for (int round = 0; round < n_rounds; round++) {
    double start = now ();
    allava_cpu_attention (cpu, &attention);
    double seconds = now () - start;
    best = best == 0 ? seconds : MIN (best, seconds);
  }
  double pairs = (double)m * (double)n_keys;
  if (causal)
    pairs -= (double)m * ((double)m - 1) / 2;
  g_print (
      "%4zu queries, %4zu keys %s, %zu heads of %zu: %7.3f ms, %4.0f GFLOP/s, %5.1f GB/s of KV\n",
      m, n_keys, allava_dtype_size (dtype) == 2 ? "f16" : "f32", n_heads, head_dim, best * 1e3,
      4e-9 * pairs * (double)width / best,
      2e-9 * (double)(n_keys * width * allava_dtype_size (dtype)) / best);
}

static void
bench_attention (AllavaIsa isa)
{
  AllavaCpu *cpu = allava_cpu_new (isa, n_threads, FALSE, NULL);
  g_print ("Attention\n");
  bench_attention_shape (cpu, ALLAVA_DTYPE_F32, 608, 608, 32, 80, TRUE);
  bench_attention_shape (cpu, ALLAVA_DTYPE_F16, 608, 608, 32, 80, TRUE);
  bench_attention_shape (cpu, ALLAVA_DTYPE_F32, 577, 577, 16, 64, FALSE);
  bench_attention_shape (cpu, ALLAVA_DTYPE_F16, 32, 2048, 32, 80, TRUE);
  bench_attention_shape (cpu, ALLAVA_DTYPE_F16, 1, 608, 32, 80, TRUE);
  bench_attention_shape (cpu, ALLAVA_DTYPE_F16, 1, 2048, 32, 80, TRUE);
  bench_attention_shape (cpu, ALLAVA_DTYPE_F32, 1, 2048, 32, 80, TRUE);
  bench_attention_shape (cpu, ALLAVA_DTYPE_F16, 1, 2048, 1, 64, TRUE);
  allava_cpu_free (cpu);
}

/* ---- The program ----------------------------------------------------------------------------- */

/* ALLAVA_ISA_NONE where the machine lacks it or the name is unknown. */
static AllavaIsa
parse_isa (void)
{
  if (isa_name == NULL)
    return allava_isa_detect ();
  AllavaIsa isa = allava_isa_from_string (isa_name);
  return isa <= allava_isa_detect () ? isa : ALLAVA_ISA_NONE;
}

static void
noop_task (size_t index, int thread, gpointer data)
{
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GOptionContext) context = g_option_context_new ("- measure the CPU kernels");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("%s\n", error->message);
    return 2;
  }
  AllavaIsa isa = parse_isa ();
  if (isa_name != NULL && isa == ALLAVA_ISA_NONE) {
    g_printerr ("This machine has no instruction set \"%s\"\n", isa_name);
    return 2;
  }
  AllavaCpu *cpu = allava_cpu_new (isa, n_threads, FALSE, &error);
  if (cpu == NULL) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  AllavaPool *pool = allava_cpu_get_pool (cpu);
  double start = now ();
  for (int i = 0; i < 10000; i++)
    allava_pool_run (pool, (size_t)allava_pool_get_threads (pool), noop_task, NULL);
  g_print ("%s, %d threads, %.2f us for an empty job\n", allava_isa_to_string (isa),
           allava_pool_get_threads (pool), (now () - start) * 100);
  allava_cpu_free (cpu);
  if (only == NULL || g_str_equal (only, "multiply"))
    bench_multiply (isa);
  if (only == NULL || g_str_equal (only, "attention"))
    bench_attention (isa);
  if (only == NULL || g_str_equal (only, "stream"))
    bench_stream (isa);
  return 0;
}
