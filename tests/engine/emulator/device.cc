/* device.cc - engine/cuda/device.h without a GPU: memory of the host, kernels over simt.h, products
 * in plain loops. Memory not asked to be zero would be filled with NaN; cuda_alloc()'s is zero. */
#include "emulator.h"

#include <stdlib.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "allava-engine.h"
#include "device.h"
#include "platform.h"
#include "simt-queue.h"

struct _CudaDevice {
  CudaDeviceInfo info;
  GHashTable *sizes;
  size_t bytes, peak;
};

struct _CudaGraph {
  std::vector<std::function<void ()>> work;
};

struct _CudaEvent {
  int unused;
};

namespace
{
struct Stream {
  CudaGraph *capturing = nullptr;
};

EmulatorLimits limits = {SIZE_MAX, SIZE_MAX, 9, 0};

enum { FAILED_MEMORY = 2, FAILED_LOST = 46 };

gboolean
fail (int status, const char *what, GError **error)
{
  if (status == FAILED_MEMORY)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE_MEMORY,
                 "the emulated GPU has not enough memory for %s", what);
  else
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE, "the emulated GPU failed");
  return FALSE;
}
}

void
emulator_set_limits (const EmulatorLimits *new_limits)
{
  limits = *new_limits;
}

void
simt_queue_add (CudaQueue *queue, std::function<void ()> work)
{
  Stream *stream = (Stream *)queue->stream;
  if (stream->capturing != nullptr) {
    stream->capturing->work.push_back (work);
    return;
  }
  if (limits.kernels == 0) {
    queue->status = limits.for_memory ? FAILED_MEMORY : FAILED_LOST;
    return;
  }
  if (limits.kernels != SIZE_MAX)
    limits.kernels--;
  work ();
}

CudaDevice *
cuda_device_open (int index, GError **error)
{
  if (index > 0) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE, "there is no GPU %d; cuda:0 is there",
                 index);
    return nullptr;
  }
  CudaDevice *device = g_new0 (CudaDevice, 1);
  g_strlcpy (device->info.name, "the emulated GPU", sizeof device->info.name);
  device->info.major = limits.major;
  device->info.processors = 1;
  device->sizes = g_hash_table_new (nullptr, nullptr);
  return device;
}

void
cuda_device_close (CudaDevice *device)
{
  if (device == nullptr)
    return;
  g_assert_cmpuint (g_hash_table_size (device->sizes), ==, 0); /* all memory is given back */
  g_hash_table_unref (device->sizes);
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
}

size_t
cuda_device_get_free (const CudaDevice *device)
{
  return limits.memory - std::min (limits.memory, device->bytes);
}

size_t
cuda_device_get_peak (CudaDevice *device)
{
  return device->peak;
}

void
cuda_device_set_peak (CudaDevice *device, size_t peak)
{
  device->peak = std::max (peak, device->bytes);
}

void *
cuda_alloc (CudaDevice *device, size_t bytes, const char *what, GError **error)
{
  void *data = nullptr;
  if (bytes <= cuda_device_get_free (device))
    data = aligned_alloc (256, (bytes + 256) / 256 * 256);
  if (data == nullptr) {
    fail (FAILED_MEMORY, what, error);
    return nullptr;
  }
  memset (data, 0, bytes);
  g_hash_table_insert (device->sizes, data, GSIZE_TO_POINTER (bytes));
  device->bytes += bytes;
  device->peak = std::max (device->peak, device->bytes);
  return data;
}

void
cuda_free (CudaDevice *device, void *data)
{
  if (data == nullptr)
    return;
  device->bytes -= GPOINTER_TO_SIZE (g_hash_table_lookup (device->sizes, data));
  g_assert_true (g_hash_table_remove (device->sizes, data));
  free (data);
}

void *
cuda_alloc_host (CudaDevice *device, size_t bytes, GError **error)
{
  return g_malloc0 (bytes);
}

void
cuda_free_host (CudaDevice *device, void *data)
{
  g_free (data);
}

/* ---- Queues and graphs ----------------------------------------------------------------------- */

gboolean
cuda_queue_init (CudaQueue *queue, CudaDevice *device, GError **error)
{
  *queue = CudaQueue{};
  queue->device = device;
  queue->stream = new Stream;
  return TRUE;
}

void
cuda_queue_clear (CudaQueue *queue)
{
  delete (Stream *)queue->stream;
  *queue = CudaQueue{};
}

void
cuda_copy (CudaQueue *queue, void *to, const void *from, size_t bytes)
{
  if (queue->status == 0 && bytes > 0)
    simt_queue_add (queue, [=] { memcpy (to, from, bytes); });
}

gboolean
cuda_queue_check (CudaQueue *queue, GError **error)
{
  return queue->status == 0 || fail (queue->status, "its work", error);
}

gboolean
cuda_queue_wait (CudaQueue *queue, GError **error)
{
  return cuda_queue_check (queue, error);
}

void
cuda_queue_forget (CudaQueue *queue)
{
  queue->status = 0;
}

gboolean
cuda_queue_is_short (const CudaQueue *queue)
{
  return queue->status == FAILED_MEMORY;
}

void
cuda_queue_retry (CudaQueue *queue)
{
  if (cuda_queue_is_short (queue))
    queue->status = 0;
}

CudaEvent *
cuda_event_new (CudaQueue *queue)
{
  return new CudaEvent;
}

void
cuda_event_free (CudaEvent *event)
{
  delete event;
}

void
cuda_event_record (CudaQueue *queue, CudaEvent *event)
{
}

void
cuda_event_wait (CudaQueue *queue, CudaEvent *event)
{
}

void
cuda_capture_begin (CudaQueue *queue)
{
  ((Stream *)queue->stream)->capturing = new CudaGraph;
}

CudaGraph *
cuda_capture_end (CudaQueue *queue)
{
  Stream *stream = (Stream *)queue->stream;
  CudaGraph *graph = stream->capturing;
  stream->capturing = nullptr;
  return graph;
}

void
cuda_graph_launch (CudaQueue *queue, CudaGraph *graph)
{
  for (const auto &work : graph->work)
    if (queue->status == 0)
      simt_queue_add (queue, work);
}

void
cuda_graph_free (CudaGraph *graph)
{
  delete graph;
}

/* ---- Products -------------------------------------------------------------------------------- */

static float
value_at (const void *data, CudaType type, size_t i)
{
  return type == CUDA_TYPE_F32   ? ((const float *)data)[i]
         : type == CUDA_TYPE_F16 ? to_float (((const F16 *)data)[i])
                                 : to_float (((const BF16 *)data)[i]);
}

static void
put (void *data, CudaType type, size_t i, float x)
{
  if (type == CUDA_TYPE_F32)
    ((float *)data)[i] = x;
  else if (type == CUDA_TYPE_F16)
    ((F16 *)data)[i] = from_float<F16> (x);
  else
    ((BF16 *)data)[i] = from_float<BF16> (x);
}

static float
round_to (CudaType type, float x)
{
  float rounded;
  put (&rounded, type, 0, x);
  return value_at (&rounded, type, 0);
}

/* With a tanh that is as far off as the one of cuBLASLt's GELU may be. */
static float
gelu_of_product (float x)
{
  float t = tanhf (0.7978845608028654f * (x + 0.044715f * x * x * x));
  return 0.5f * x * (1.f + round_to (CUDA_TYPE_F16, t));
}

static std::vector<float>
widen_row (const void *data, CudaType type, size_t first, size_t n)
{
  std::vector<float> row (n);
  for (size_t i = 0; i < n; i++)
    row[i] = value_at (data, type, first + i);
  return row;
}

static void
multiply (const CudaProduct &p)
{
  std::vector<std::vector<float>> w;
  for (size_t j = 0; j < p.n; j++)
    w.push_back (widen_row (p.w, p.type, j * p.w_stride, p.k));
  for (size_t i = 0; i < p.m; i++) {
    std::vector<float> x = widen_row (p.x, p.type, i * p.x_stride, p.k);
    for (size_t j = 0; j < p.n; j++) {
      float sum = 0;
      for (size_t k = 0; k < p.k; k++)
        sum += x[k] * w[j][k];
      if (p.bias != nullptr)
        sum += value_at (p.bias, p.y_type, j);
      sum = cuda_product_ends_with_gelu (&p) ? gelu_of_product (sum)
                                             : activate (p.gelu, round_to (p.y_type, sum));
      if (p.accumulate)
        sum += value_at (p.y, p.y_type, i * p.y_stride + j);
      put (p.y, p.y_type, i * p.y_stride + j, sum);
    }
  }
}

void
cuda_multiply (CudaQueue *queue, const CudaProduct *product)
{
  CudaProduct p = *product;
  g_assert_true (!p.accumulate || (p.y_type == CUDA_TYPE_F32 && p.gelu == CUDA_GELU_NONE));
  if (queue->status == 0)
    simt_queue_add (queue, [p] { multiply (p); });
}
