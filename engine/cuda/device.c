/* device.c - device.h over the CUDA runtime and cuBLASLt. */
#include "device.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "allava-engine.h"

#include <string.h>

/* What NVIDIA recommends for Hopper; older GPUs need less. */
#define WORKSPACE ((size_t)32 << 20)

/* cuBLASLt's own failures, among cudaError_t's numbers. */
#define CUBLAS_FAILED 100000

/* How many of cuBLASLt's ways to do a product are looked at. */
#define CANDIDATES 8

/* What cuBLASLt chooses by. */
typedef struct {
  size_t m, n, k, x_stride, w_stride, y_stride;
  uint32_t x_alignment, w_alignment, y_alignment, bias_alignment;
  int type, y_type, epilogue, accumulate;
} Shape;

typedef struct {
  Shape shape;
  int n;                                  /* 0: cuBLASLt cannot do this */
  cublasLtMatmulAlgo_t algos[CANDIDATES]; /* the best first */
} Plan;

struct _CudaDevice {
  int index;
  CudaDeviceInfo info;
  cublasLtHandle_t blas;
  GMutex mutex;      /* of all below */
  GHashTable *plans; /* Plan: cuBLASLt's choice for each shape met; none ever leaves */
  GHashTable *sizes; /* address -> bytes */
  size_t bytes;
  size_t peak;
};

/* ---- Errors ---------------------------------------------------------------------------------- */

static gboolean
fail (const CudaDevice *device, int status, const char *what, GError **error)
{
  if (status == cudaErrorMemoryAllocation)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE_MEMORY, "%s has not enough memory for %s",
                 device->info.name, what);
  else if (status >= CUBLAS_FAILED)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE, "%s failed in cuBLASLt: %s",
                 device->info.name, cublasLtGetStatusString (status - CUBLAS_FAILED));
  else
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE, "%s failed: %s", device->info.name,
                 cudaGetErrorString (status));
  return FALSE;
}

static void
note (CudaQueue *queue, int status)
{
  if (queue->status == cudaSuccess)
    queue->status = status;
}

/* ---- The device ------------------------------------------------------------------------------ */

static guint
hash_shape (gconstpointer key)
{
  const uint8_t *bytes = key;
  guint hash = 5381;
  for (size_t i = 0; i < sizeof (Shape); i++)
    hash = hash * 33 + bytes[i];
  return hash;
}

static gboolean
equal_shapes (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, sizeof (Shape)) == 0;
}

static gboolean
check_count (int index, GError **error)
{
  int count = 0;
  cudaError_t status = cudaGetDeviceCount (&count);
  if (status == cudaErrorInsufficientDriver)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE,
                 "there is no NVIDIA driver for CUDA 13 or newer");
  else if (status != cudaSuccess && status != cudaErrorNoDevice)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE, "the NVIDIA driver failed: %s",
                 cudaGetErrorString (status));
  else if (count == 0)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE, "there is no NVIDIA GPU");
  else if (index >= count)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE, "there is no GPU %d; cuda:0%s%d there",
                 index, count > 1 ? " to cuda:" : " is", count - 1);
  return count > index;
}

static gboolean
read_info (CudaDevice *device, GError **error)
{
  struct cudaDeviceProp properties;
  CudaDeviceInfo *info = &device->info;
  g_strlcpy (info->name, "the GPU", sizeof info->name);
  cudaError_t status = cudaGetDeviceProperties (&properties, device->index);
  if (status != cudaSuccess)
    return fail (device, status, "", error);
  g_strlcpy (info->name, properties.name, sizeof info->name);
  info->major = properties.major;
  info->minor = properties.minor;
  info->processors = properties.multiProcessorCount;
  if (info->major * 10 + info->minor >= 75)
    return TRUE;
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE,
               "%s has compute capability %d.%d; Allava needs 7.5", info->name, info->major,
               info->minor);
  return FALSE;
}

CudaDevice *
cuda_device_open (int index, GError **error)
{
  if (!check_count (index, error))
    return NULL;
  CudaDevice *device = g_new0 (CudaDevice, 1);
  device->index = index;
  g_mutex_init (&device->mutex);
  device->plans = g_hash_table_new_full (hash_shape, equal_shapes, NULL, g_free);
  device->sizes = g_hash_table_new (NULL, NULL);
  gboolean ok = read_info (device, error);
  int status = ok ? (int)cudaSetDevice (index) : cudaSuccess;
  if (ok && status == cudaSuccess) {
    cublasStatus_t blas = cublasLtCreate (&device->blas);
    status = blas == CUBLAS_STATUS_SUCCESS ? 0 : CUBLAS_FAILED + (int)blas;
  }
  if (ok && (status == cudaSuccess || fail (device, status, "its libraries", error)))
    return device;
  cuda_device_close (device);
  return NULL;
}

void
cuda_device_close (CudaDevice *device)
{
  if (device == NULL)
    return;
  if (device->blas != NULL)
    cublasLtDestroy (device->blas);
  g_hash_table_unref (device->plans);
  g_hash_table_unref (device->sizes);
  g_mutex_clear (&device->mutex);
  g_free (device);
}

const CudaDeviceInfo *
cuda_device_get_info (const CudaDevice *device)
{
  return &device->info;
}

void
cuda_device_enter (const CudaDevice *device)
{
  cudaSetDevice (device->index); /* a failure comes back from whatever is called next */
}

/* ---- Memory ---------------------------------------------------------------------------------- */

size_t
cuda_device_get_free (const CudaDevice *device)
{
  size_t available = 0, total;
  cuda_device_enter (device);
  return cudaMemGetInfo (&available, &total) == cudaSuccess ? available : SIZE_MAX;
}

size_t
cuda_device_get_peak (CudaDevice *device)
{
  g_mutex_lock (&device->mutex);
  size_t peak = device->peak;
  g_mutex_unlock (&device->mutex);
  return peak;
}

void
cuda_device_set_peak (CudaDevice *device, size_t peak)
{
  g_mutex_lock (&device->mutex);
  device->peak = MAX (peak, device->bytes);
  g_mutex_unlock (&device->mutex);
}

void *
cuda_alloc (CudaDevice *device, size_t bytes, const char *what, GError **error)
{
  void *data = NULL;
  int status = cudaMalloc (&data, MAX (bytes, 1));
  if (status == cudaSuccess)
    status = cudaMemset (data, 0, bytes);
  if (status == cudaSuccess)
    status = cudaStreamSynchronize (NULL); /* the queues do not wait for it */
  if (status != cudaSuccess) {
    cudaGetLastError (); /* running out of memory is no reason for the next call to fail */
    cudaFree (data);
    fail (device, status, what, error);
    return NULL;
  }
  g_mutex_lock (&device->mutex);
  g_hash_table_insert (device->sizes, data, GSIZE_TO_POINTER (bytes));
  device->bytes += bytes;
  device->peak = MAX (device->peak, device->bytes);
  g_mutex_unlock (&device->mutex);
  return data;
}

void
cuda_free (CudaDevice *device, void *data)
{
  if (data == NULL)
    return;
  g_mutex_lock (&device->mutex);
  device->bytes -= GPOINTER_TO_SIZE (g_hash_table_lookup (device->sizes, data));
  g_hash_table_remove (device->sizes, data);
  g_mutex_unlock (&device->mutex);
  cudaFree (data);
}

void *
cuda_alloc_host (CudaDevice *device, size_t bytes, GError **error)
{
  void *data = NULL;
  int status = cudaHostAlloc (&data, MAX (bytes, 1), cudaHostAllocMapped | cudaHostAllocPortable);
  if (status == cudaSuccess)
    return memset (data, 0, bytes);
  cudaGetLastError ();
  fail (device, status, "transfers", error);
  return NULL;
}

void
cuda_free_host (CudaDevice *device, void *data)
{
  if (data != NULL)
    cudaFreeHost (data);
}

/* ---- Queues ---------------------------------------------------------------------------------- */

gboolean
cuda_queue_init (CudaQueue *queue, CudaDevice *device, GError **error)
{
  cudaStream_t stream;
  *queue = (CudaQueue){.device = device, .overlap = device->info.major >= 9};
  int status = cudaStreamCreateWithFlags (&stream, cudaStreamNonBlocking);
  if (status != cudaSuccess)
    return fail (device, status, "a queue", error);
  queue->stream = stream;
  queue->workspace = cuda_alloc (device, WORKSPACE, "products", error);
  if (queue->workspace != NULL)
    return TRUE;
  cuda_queue_clear (queue);
  return FALSE;
}

void
cuda_queue_clear (CudaQueue *queue)
{
  if (queue->stream != NULL) {
    cudaStreamSynchronize (queue->stream);
    cudaStreamDestroy (queue->stream);
    cuda_free (queue->device, queue->workspace);
  }
  *queue = (CudaQueue){0};
}

void
cuda_copy (CudaQueue *queue, void *to, const void *from, size_t bytes)
{
  if (queue->status == cudaSuccess && bytes > 0)
    note (queue, cudaMemcpyAsync (to, from, bytes, cudaMemcpyDefault, queue->stream));
}

gboolean
cuda_queue_check (CudaQueue *queue, GError **error)
{
  return queue->status == cudaSuccess || fail (queue->device, queue->status, "its work", error);
}

gboolean
cuda_queue_wait (CudaQueue *queue, GError **error)
{
  /* Also after a failure, since what is on its way may use memory that is freed next. */
  note (queue, cudaStreamSynchronize (queue->stream));
  return cuda_queue_check (queue, error);
}

void
cuda_queue_forget (CudaQueue *queue)
{
  cudaGetLastError ();
  queue->status = cudaSuccess;
}

gboolean
cuda_queue_is_short (const CudaQueue *queue)
{
  return queue->status == cudaErrorMemoryAllocation;
}

void
cuda_queue_retry (CudaQueue *queue)
{
  if (cuda_queue_is_short (queue))
    cuda_queue_forget (queue);
}

CudaEvent *
cuda_event_new (CudaQueue *queue)
{
  cudaEvent_t event = NULL;
  if (queue->status == cudaSuccess)
    note (queue, cudaEventCreateWithFlags (&event, cudaEventDisableTiming | cudaEventBlockingSync));
  return (CudaEvent *)event;
}

void
cuda_event_free (CudaEvent *event)
{
  if (event != NULL)
    cudaEventDestroy ((cudaEvent_t)event);
}

void
cuda_event_record (CudaQueue *queue, CudaEvent *event)
{
  if (queue->status == cudaSuccess)
    note (queue, cudaEventRecord ((cudaEvent_t)event, queue->stream));
}

void
cuda_event_wait (CudaQueue *queue, CudaEvent *event)
{
  if (queue->status == cudaSuccess)
    note (queue, cudaEventSynchronize ((cudaEvent_t)event));
}

/* ---- Graphs ---------------------------------------------------------------------------------- */

void
cuda_capture_begin (CudaQueue *queue)
{
  if (queue->status == cudaSuccess)
    note (queue, cudaStreamBeginCapture (queue->stream, cudaStreamCaptureModeThreadLocal));
}

CudaGraph *
cuda_capture_end (CudaQueue *queue)
{
  cudaGraph_t graph = NULL;
  cudaGraphExec_t runnable = NULL;
  cudaError_t status = cudaStreamEndCapture (queue->stream, &graph);
  note (queue, status);
  if (queue->status == cudaSuccess)
    note (queue, cudaGraphInstantiate (&runnable, graph, 0));
  if (graph != NULL)
    cudaGraphDestroy (graph);
  return (CudaGraph *)runnable;
}

void
cuda_graph_launch (CudaQueue *queue, CudaGraph *graph)
{
  if (queue->status == cudaSuccess)
    note (queue, cudaGraphLaunch ((cudaGraphExec_t)graph, queue->stream));
}

void
cuda_graph_free (CudaGraph *graph)
{
  if (graph != NULL)
    cudaGraphExecDestroy ((cudaGraphExec_t)graph);
}

/* ---- Products -------------------------------------------------------------------------------- */

static cudaDataType_t
data_type (CudaType type)
{
  return type == CUDA_TYPE_F32 ? CUDA_R_32F : type == CUDA_TYPE_F16 ? CUDA_R_16F : CUDA_R_16BF;
}

typedef struct {
  cublasLtMatmulDescOpaque_t op;
  cublasLtMatrixLayoutOpaque_t w, x, y;
} Description;

/* cuBLASLt's matrices are column-major, so it is told of the transposed product: y^T = w x^T. */
static void
describe (const CudaProduct *p, cublasLtEpilogue_t epilogue, Description *d)
{
  const cublasOperation_t transpose = CUBLAS_OP_T;
  cublasLtMatmulDescInit (&d->op, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  cublasLtMatmulDescSetAttribute (&d->op, CUBLASLT_MATMUL_DESC_TRANSA, &transpose,
                                  sizeof transpose);
  cublasLtMatmulDescSetAttribute (&d->op, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                  sizeof epilogue);
  if (epilogue != CUBLASLT_EPILOGUE_DEFAULT) {
    cudaDataType_t bias_type = data_type (p->y_type);
    cublasLtMatmulDescSetAttribute (&d->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias,
                                    sizeof p->bias);
    cublasLtMatmulDescSetAttribute (&d->op, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type,
                                    sizeof bias_type);
  }
  cublasLtMatrixLayoutInit (&d->w, data_type (p->type), p->k, p->n, p->w_stride);
  cublasLtMatrixLayoutInit (&d->x, data_type (p->type), p->k, p->m, p->x_stride);
  cublasLtMatrixLayoutInit (&d->y, data_type (p->y_type), p->n, p->m, p->y_stride);
}

/* What an address that some row begins at is a multiple of, as far as it matters. */
static uint32_t
alignment (const void *data, size_t row_bytes)
{
  uintptr_t bits = (uintptr_t)data | row_bytes | 256;
  return (uint32_t)(bits & -bits);
}

static void
fill_shape (Shape *shape, const CudaProduct *p, cublasLtEpilogue_t epilogue)
{
  size_t value = cuda_type_size (p->type), y_value = cuda_type_size (p->y_type);
  memset (shape, 0, sizeof *shape); /* it is hashed as bytes */
  shape->m = p->m, shape->n = p->n, shape->k = p->k;
  shape->x_stride = p->x_stride, shape->w_stride = p->w_stride, shape->y_stride = p->y_stride;
  shape->x_alignment = alignment (p->x, p->x_stride * value);
  shape->w_alignment = alignment (p->w, p->w_stride * value);
  shape->y_alignment = alignment (p->y, p->y_stride * y_value);
  shape->bias_alignment = alignment (p->bias, 0);
  shape->type = p->type, shape->y_type = p->y_type;
  shape->epilogue = epilogue, shape->accumulate = p->accumulate;
}

/* Up to CUDA 13.4 some algorithms compute wrongly then (release notes of 13.4 Update 1). */
static gboolean
splits_unevenly (const cublasLtMatmulAlgo_t *algo, size_t k)
{
  int32_t parts = 1;
  size_t size;
  cublasLtMatmulAlgoConfigGetAttribute (algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts, sizeof parts,
                                        &size);
  return parts > 1 && k % (size_t)parts != 0;
}

static void
find_algorithms (CudaDevice *device, const Shape *shape, Description *d, Plan *plan)
{
  const size_t workspace = WORKSPACE;
  /* Parts of a sum stay f32, which they need not in the output's type, and are added in one order,
   * not in place as blocks end. */
  const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  cublasLtMatmulPreferenceOpaque_t preference;
  cublasLtMatmulPreferenceInit (&preference);
  cublasLtMatmulPreferenceSetAttribute (&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                        &workspace, sizeof workspace);
  cublasLtMatmulPreferenceSetAttribute (&preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                        &reductions, sizeof reductions);
  cublasLtMatmulPreferenceSetAttribute (&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                                        &shape->w_alignment, sizeof shape->w_alignment);
  cublasLtMatmulPreferenceSetAttribute (&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                                        &shape->x_alignment, sizeof shape->x_alignment);
  cublasLtMatmulPreferenceSetAttribute (&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                                        &shape->y_alignment, sizeof shape->y_alignment);
  cublasLtMatmulPreferenceSetAttribute (&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
                                        &shape->y_alignment, sizeof shape->y_alignment);
  cublasLtMatmulHeuristicResult_t results[CANDIDATES];
  int n = 0;
  if (cublasLtMatmulAlgoGetHeuristic (device->blas, &d->op, &d->w, &d->x, &d->y, &d->y, &preference,
                                      CANDIDATES, results, &n) != CUBLAS_STATUS_SUCCESS)
    return;
  for (int unevenly = FALSE; unevenly <= TRUE; unevenly++) /* those come last */
    for (int i = 0; i < n; i++)
      if (results[i].state == CUBLAS_STATUS_SUCCESS &&
          splits_unevenly (&results[i].algo, shape->k) == unevenly)
        plan->algos[plan->n++] = results[i].algo;
}

/* How to do P with EPILOGUE, asked for once for each shape. */
static const Plan *
get_plan (CudaDevice *device, const CudaProduct *p, cublasLtEpilogue_t epilogue, Description *d)
{
  Shape shape;
  fill_shape (&shape, p, epilogue);
  g_mutex_lock (&device->mutex);
  Plan *plan = g_hash_table_lookup (device->plans, &shape);
  if (plan == NULL) {
    plan = g_new0 (Plan, 1);
    plan->shape = shape;
    find_algorithms (device, &shape, d, plan);
    g_hash_table_insert (device->plans, &plan->shape, plan);
  }
  g_mutex_unlock (&device->mutex);
  return plan;
}

/* What cuBLASLt offers for a shape it may still refuse, one row in CUDA 13.3 for one: then the next
 * best is taken. */
static cublasStatus_t
try_multiply (CudaQueue *queue, const CudaProduct *p, cublasLtEpilogue_t epilogue)
{
  const float one = 1, beta = p->accumulate ? 1 : 0;
  cublasStatus_t status = CUBLAS_STATUS_NOT_SUPPORTED;
  Description d;
  describe (p, epilogue, &d);
  const Plan *plan = get_plan (queue->device, p, epilogue, &d);
  for (int i = 0; i < plan->n && status == CUBLAS_STATUS_NOT_SUPPORTED; i++)
    status =
        cublasLtMatmul (queue->device->blas, &d.op, &one, p->w, &d.w, p->x, &d.x, &beta, p->y, &d.y,
                        p->y, &d.y, &plan->algos[i], queue->workspace, WORKSPACE, queue->stream);
  return status;
}

static cublasLtEpilogue_t
choose_epilogue (const CudaProduct *p)
{
  if (p->bias == NULL)
    return CUBLASLT_EPILOGUE_DEFAULT;
  return cuda_product_ends_with_gelu (p) ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
}

void
cuda_multiply (CudaQueue *queue, const CudaProduct *p)
{
  if (queue->status != cudaSuccess || p->m == 0)
    return;
  cublasLtEpilogue_t epilogue = choose_epilogue (p);
  cublasStatus_t status = try_multiply (queue, p, epilogue);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED && epilogue != CUBLASLT_EPILOGUE_DEFAULT) {
    epilogue = CUBLASLT_EPILOGUE_DEFAULT; /* what comes after it in a step of its own */
    status = try_multiply (queue, p, epilogue);
  }
  if (status != CUBLAS_STATUS_SUCCESS) {
    note (queue, CUBLAS_FAILED + (int)status);
    return;
  }
  gboolean done = epilogue != CUBLASLT_EPILOGUE_DEFAULT;
  CudaGelu gelu = epilogue == CUBLASLT_EPILOGUE_GELU_BIAS ? CUDA_GELU_NONE : p->gelu;
  if (gelu == CUDA_GELU_NONE && (done || p->bias == NULL))
    return;
  const CudaActivation activation = {
      .x = p->y,
      .type = p->y_type,
      .bias = done ? NULL : p->bias,
      .gelu = gelu,
      .rows = p->m,
      .n = p->n,
      .stride = p->y_stride,
  };
  cuda_activate (queue, &activation);
}
