/* device.h - one GPU: its memory, queues of work, graphs and matrix products. All of CUDA's and
 * cuBLASLt's host side that the backend uses is behind this header; the tests have a second
 * implementation of it that needs no GPU.
 *
 * A device may be used by several threads, a queue by one at a time. */
#pragma once

#include "cuda-kernels.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _CudaDevice CudaDevice;

typedef struct {
  char name[256];
  int major; /* compute capability */
  int minor;
  int processors; /* SMs */
} CudaDeviceInfo;

/* Error: DEVICE (no driver, no such GPU, one that is too old). */
CudaDevice *cuda_device_open (int index, GError **error);
void cuda_device_close (CudaDevice *device);
const CudaDeviceInfo *cuda_device_get_info (const CudaDevice *device);

/* Makes it the calling thread's device; before any other call of a step. */
void cuda_device_enter (const CudaDevice *device);

/* Bytes that can be had now; SIZE_MAX: the driver does not say, and a step to come will say why. */
size_t cuda_device_get_free (const CudaDevice *device);

/* Bytes had at most, by cuda_alloc(); and from now on, as if it had never been more than PEAK. */
size_t cuda_device_get_peak (CudaDevice *device);
void cuda_device_set_peak (CudaDevice *device, size_t peak);

/* Memory on the GPU, all zero, aligned to 256 bytes. Errors: DEVICE_MEMORY, naming WHAT; DEVICE. */
void *cuda_alloc (CudaDevice *device, size_t bytes, const char *what, GError **error);
void cuda_free (CudaDevice *device, void *data);

/* Memory of the host that the GPU reads and writes at the same address. */
void *cuda_alloc_host (CudaDevice *device, size_t bytes, GError **error);
void cuda_free_host (CudaDevice *device, void *data);

/* ---- Queues ---------------------------------------------------------------------------------- */

gboolean cuda_queue_init (CudaQueue *queue, CudaDevice *device, GError **error);
void cuda_queue_clear (CudaQueue *queue); /* waits for what is in it */

/* Copies, queued. Host memory must stay until they are done. */
void cuda_copy (CudaQueue *queue, void *to, const void *from, size_t bytes);

/* Waits until all that was queued is done. FALSE with what went wrong first since the queue was
 * made: DEVICE, DEVICE_MEMORY. A queue that has failed once does nothing any more. */
gboolean cuda_queue_wait (CudaQueue *queue, GError **error);

/* The same without waiting, of what is known by now. */
gboolean cuda_queue_check (CudaQueue *queue, GError **error);

/* Forgets a failure that the caller has another way around. One of the device itself comes back. */
void cuda_queue_forget (CudaQueue *queue);

/* Whether it failed for want of memory. */
gboolean cuda_queue_is_short (const CudaQueue *queue);

/* Forgets that there was too little memory, which kernels and graphs need too when they are first
 * launched: somebody may have given some back. Before a step that does not build on one before. */
void cuda_queue_retry (CudaQueue *queue);

/* A place in a queue that the host can wait for, asleep. */
typedef struct _CudaEvent CudaEvent;

CudaEvent *cuda_event_new (CudaQueue *queue);
void cuda_event_free (CudaEvent *event);
void cuda_event_record (CudaQueue *queue, CudaEvent *event);
void cuda_event_wait (CudaQueue *queue, CudaEvent *event); /* a failure goes to the queue */

/* ---- Graphs ---------------------------------------------------------------------------------- */

/* Kernels queued between begin and end do not run, but become a graph; NULL where that fails, which
 * the queue's status then says. */
typedef struct _CudaGraph CudaGraph;

void cuda_capture_begin (CudaQueue *queue);
CudaGraph *cuda_capture_end (CudaQueue *queue);
void cuda_graph_launch (CudaQueue *queue, CudaGraph *graph);
void cuda_graph_free (CudaGraph *graph);

/* ---- Products -------------------------------------------------------------------------------- */

/* y = gelu (x w^T + bias), or y += x w^T + bias where ACCUMULATE (y is f32 then). */
typedef struct {
  CudaType type; /* of x and w; sums are f32, and f32 is not rounded to less */
  const void *x; /* [m, k] */
  size_t x_stride;
  const void *w; /* [n, k] */
  size_t w_stride;
  const void *bias; /* [n] of y's type, or NULL */
  CudaType y_type;
  void *y; /* [m, n] */
  size_t y_stride;
  size_t m;
  size_t n;
  size_t k;
  CudaGelu gelu;
  gboolean accumulate;
} CudaProduct;

void cuda_multiply (CudaQueue *queue, const CudaProduct *product);

/* Whether the product ends with its gelu; otherwise y is rounded to its type, and the gelu is a
 * step after it. cuBLASLt has the tanh form, with the GPU's own tanh, which is right to 2^-11:
 * enough for 16 bits, not for f32. */
static inline gboolean
cuda_product_ends_with_gelu (const CudaProduct *product)
{
  return product->gelu == CUDA_GELU_TANH && product->bias != NULL &&
         product->y_type != CUDA_TYPE_F32;
}

static inline size_t
cuda_type_size (CudaType type)
{
  return type == CUDA_TYPE_F32 ? 4 : 2;
}

G_END_DECLS
