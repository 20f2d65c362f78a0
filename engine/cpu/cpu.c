#include "cpu-private.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* ---- The context ----------------------------------------------------------------------------- */

static const AllavaKernels *
kernels_for (AllavaIsa isa)
{
  switch (isa) {
  case ALLAVA_ISA_AVX2:
    return &allava_kernels_avx2;
  case ALLAVA_ISA_AVX512:
    return &allava_kernels_avx512;
  case ALLAVA_ISA_AVX512_VNNI:
    return &allava_kernels_avx512_vnni;
  case ALLAVA_ISA_AVX512_BF16:
    return &allava_kernels_avx512_bf16;
  case ALLAVA_ISA_NONE:
    break;
  }
  return NULL;
}

/* All scratch at once, so that no computation can run out of memory half way. Pages that are never
 * used are never backed. */
static gboolean
map_scratch (AllavaCpu *cpu, GError **error)
{
  size_t threads = (size_t)allava_pool_get_threads (cpu->pool);
  size_t packed = ALLAVA_PACKED_WORDS * sizeof (uint32_t);
  size_t groups = ALLAVA_PACKED_GROUPS * sizeof (AllavaQuadGroup);
  size_t scratch = threads * sizeof (AllavaScratch);
  cpu->mapped = packed + groups + scratch + ALLAVA_PARTIALS * sizeof (AllavaPartial);

  char *memory =
      mmap (NULL, cpu->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY,
                 "Cannot allocate %zu MB of working memory: %s", cpu->mapped >> 20,
                 g_strerror (errno));
    return FALSE;
  }
  madvise (memory, cpu->mapped, MADV_HUGEPAGE);
  cpu->packed = (uint32_t *)memory;
  cpu->groups = (AllavaQuadGroup *)(memory + packed);
  cpu->scratch = (AllavaScratch *)(memory + packed + groups);
  cpu->partials = (AllavaPartial *)(memory + packed + groups + scratch);
  return TRUE;
}

AllavaCpu *
allava_cpu_new (AllavaIsa isa, int threads, gboolean round_activations, GError **error)
{
  g_return_val_if_fail (isa <= allava_isa_detect (), NULL);
  if (isa == ALLAVA_ISA_NONE) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE,
                 "This processor lacks AVX2, FMA or F16C, which the CPU backend needs");
    return NULL;
  }
  AllavaCpu *cpu = g_new0 (AllavaCpu, 1);
  cpu->isa = isa;
  cpu->kernels = kernels_for (isa);
  cpu->pairs = round_activations && isa >= ALLAVA_ISA_AVX512_BF16;
  cpu->pool = allava_pool_new (threads, error);
  if (cpu->pool == NULL || !map_scratch (cpu, error)) {
    allava_cpu_free (cpu);
    return NULL;
  }
  return cpu;
}

void
allava_cpu_free (AllavaCpu *cpu)
{
  if (cpu == NULL)
    return;
  allava_pool_free (cpu->pool);
  if (cpu->packed != NULL)
    munmap (cpu->packed, cpu->mapped);
  g_free (cpu);
}

AllavaPool *
allava_cpu_get_pool (AllavaCpu *cpu)
{
  return cpu->pool;
}

AllavaIsa
allava_cpu_get_isa (AllavaCpu *cpu)
{
  return cpu->isa;
}

/* ---- Layer norm ------------------------------------------------------------------------------ */

typedef struct {
  const AllavaKernels *kernels;
  const float *x;
  size_t m;
  size_t n;
  const float *weight;
  const float *bias;
  float eps;
  float *y;
} LayerNorm;

#define NORM_ROWS 8 /* in a task */

static void
layer_norm_task (size_t index, int thread, gpointer data)
{
  const LayerNorm *norm = data;
  size_t end = MIN ((index + 1) * NORM_ROWS, norm->m);
  for (size_t i = index * NORM_ROWS; i < end; i++)
    norm->kernels->layer_norm (norm->x + i * norm->n, norm->n, norm->weight, norm->bias, norm->eps,
                               norm->y + i * norm->n);
}

void
allava_cpu_layer_norm (AllavaCpu *cpu,
                       const float *x,
                       size_t m,
                       size_t n,
                       const float *weight,
                       const float *bias,
                       float eps,
                       float *y)
{
  LayerNorm norm = {cpu->kernels, x, m, n, weight, bias, eps, y};
  allava_pool_run (cpu->pool, (m + NORM_ROWS - 1) / NORM_ROWS, layer_norm_task, &norm);
}

/* ---- Bandwidth ------------------------------------------------------------------------------- */

typedef struct {
  const AllavaKernels *kernels;
  const char *data;
  size_t bytes;
  volatile uint32_t sink;
} Reading;

#define READ_BYTES ((size_t)1 << 20) /* in a task */

static void
read_task (size_t index, int thread, gpointer data)
{
  Reading *reading = data;
  size_t start = index * READ_BYTES;
  uint32_t bits =
      reading->kernels->read (reading->data + start, MIN (reading->bytes - start, READ_BYTES));
  if (bits == 0x5eed5eed) /* keeps the compiler from dropping the read */
    __atomic_store_n (&reading->sink, bits, __ATOMIC_RELAXED);
}

double
allava_cpu_measure_bandwidth (AllavaCpu *cpu, const void *data, size_t bytes)
{
  Reading reading = {cpu->kernels, data, bytes, 0};
  gint64 start = g_get_monotonic_time ();
  allava_pool_run (cpu->pool, (bytes + READ_BYTES - 1) / READ_BYTES, read_task, &reading);
  gint64 microseconds = MAX (g_get_monotonic_time () - start, 1);
  return (double)bytes * 1e6 / (double)microseconds;
}
