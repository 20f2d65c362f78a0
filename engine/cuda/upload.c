#include "upload.h"

#include "kernels.h"
#include "quant.h"

#include <math.h>
#include <string.h>

#define BUFFER ((size_t)16 << 20)

gboolean
cuda_upload_init (CudaUpload *upload,
                  CudaDevice *device,
                  const AllavaModelOptions *options,
                  size_t row_bytes,
                  GError **error)
{
  *upload = (CudaUpload){.device = device, .options = options, .size = MAX (BUFFER, row_bytes)};
  upload->threads = options->threads > 0 ? options->threads : (int)g_get_num_processors ();
  if (!cuda_queue_init (&upload->queue, device, error))
    return FALSE;
  for (int i = 0; i < 2; i++) {
    if ((upload->host[i] = cuda_alloc_host (device, upload->size, error)) == NULL ||
        (upload->staged[i] = cuda_alloc (device, upload->size, "loading", error)) == NULL)
      return FALSE;
    upload->done[i] = cuda_event_new (&upload->queue);
  }
  return cuda_queue_check (&upload->queue, error);
}

void
cuda_upload_clear (CudaUpload *upload)
{
  cuda_queue_clear (&upload->queue); /* nothing is on its way any more */
  for (int i = 0; i < 2; i++) {
    cuda_event_free (upload->done[i]);
    cuda_free_host (upload->device, upload->host[i]);
    cuda_free (upload->device, upload->staged[i]);
  }
  g_clear_error (&upload->error);
}

gboolean
cuda_upload_finish (CudaUpload *upload, GError **error)
{
  if (upload->error != NULL) {
    g_propagate_error (error, g_steal_pointer (&upload->error));
    return FALSE;
  }
  return cuda_queue_wait (&upload->queue, error);
}

/* ---- What lies in the file ------------------------------------------------------------------- */

size_t
cuda_param_columns (const AllavaParam *param)
{
  return param->records != NULL ? param->records->shape[1] * ALLAVA_QUANT_GROUP
                                : param->weight->n_elements / param->weight->shape[0];
}

static AllavaDtype
quantized_as (const AllavaParam *param)
{
  return param->weight->type == ALLAVA_TENSOR_I8 ? ALLAVA_DTYPE_Q8 : ALLAVA_DTYPE_Q4;
}

static CudaType
type_of (const AllavaTensor *tensor)
{
  return tensor->type == ALLAVA_TENSOR_BF16  ? CUDA_TYPE_BF16
         : tensor->type == ALLAVA_TENSOR_F16 ? CUDA_TYPE_F16
                                             : CUDA_TYPE_F32;
}

/* Also of f16, whose exponent moves into place; what is not finite becomes NaN. */
static float
widen (const char *at, CudaType type)
{
  uint32_t bits;
  uint16_t half;
  float x;
  if (type == CUDA_TYPE_F32)
    return memcpy (&x, at, sizeof x), x;
  memcpy (&half, at, sizeof half);
  if (type == CUDA_TYPE_BF16) {
    bits = (uint32_t)half << 16;
    return memcpy (&x, &bits, sizeof x), x;
  }
  bits = (uint32_t)(half & 0x7fff) << 13;
  memcpy (&x, &bits, sizeof x);
  x = (half & 0x7c00) == 0x7c00 ? NAN : x * 0x1p112f;
  return half & 0x8000 ? -x : x;
}

/* Row ROW of N columns, widened. */
static void
read_row (const AllavaParam *param, size_t row, size_t n, float *x)
{
  const AllavaTensor *tensor = param->weight;
  if (param->records == NULL) {
    CudaType type = type_of (tensor);
    size_t value = cuda_type_size (type);
    const char *from = (const char *)tensor->data + row * n * value;
    for (size_t i = 0; i < n; i++)
      x[i] = widen (from + i * value, type);
    return;
  }
  AllavaDtype dtype = quantized_as (param);
  size_t groups = allava_quant_row_groups (n);
  g_autofree uint16_t *records = g_new (uint16_t, groups); /* the file's may lie at odd addresses */
  memcpy (records, (const char *)param->records->data + row * groups * sizeof *records,
          groups * sizeof *records);
  allava_dequantize_row (
      dtype, (const char *)tensor->data + row * allava_quant_row_bytes (dtype, n), records, n, x);
}

/* ---- Buffers --------------------------------------------------------------------------------- */

/* The next pinned buffer, or NULL after a failure. */
static char *
next_buffer (CudaUpload *upload)
{
  if (upload->error != NULL || !cuda_queue_check (&upload->queue, &upload->error) ||
      g_cancellable_set_error_if_cancelled (upload->options->cancellable, &upload->error))
    return NULL;
  upload->turn ^= 1;
  cuda_event_wait (&upload->queue, upload->done[upload->turn]);
  return upload->host[upload->turn];
}

/* ROWS rows of N values of FROM_TYPE, FROM bytes into the buffer, to the model. */
static void
convert (CudaUpload *upload,
         size_t from,
         CudaType from_type,
         size_t rows,
         size_t n,
         void *to,
         CudaType to_type,
         size_t stride)
{
  const CudaConvert op = {
      .from = upload->staged[upload->turn] + from,
      .to = to,
      .from_type = from_type,
      .to_type = to_type,
      .rows = rows,
      .n = n,
      .to_stride = stride,
  };
  cuda_convert (&upload->queue, &op);
}

static void
send_buffer (CudaUpload *upload, size_t bytes)
{
  cuda_copy (&upload->queue, upload->staged[upload->turn], upload->host[upload->turn], bytes);
}

/* Everything of the buffer is queued; BYTES of a file have been read for it. */
static void
finish_buffer (CudaUpload *upload, size_t bytes)
{
  cuda_event_record (&upload->queue, upload->done[upload->turn]);
  upload->uploaded += bytes;
  if (upload->options->progress != NULL)
    upload->options->progress (MIN (1, (double)upload->uploaded / upload->total),
                               upload->options->progress_data);
}

/* ---- Plain types ----------------------------------------------------------------------------- */

void
cuda_upload_rows (CudaUpload *upload,
                  const AllavaParam *param,
                  size_t rows,
                  void *to,
                  CudaType type,
                  size_t stride)
{
  const AllavaTensor *tensor = param->weight;
  gboolean quantized = param->records != NULL;
  size_t n = quantized ? cuda_param_columns (param) : tensor->n_elements / rows;
  CudaType from_type = quantized ? CUDA_TYPE_F32 : type_of (tensor);
  size_t row_bytes = n * cuda_type_size (from_type), at_once = MAX (upload->size / row_bytes, 1);
  for (size_t row = 0; row < rows; row += at_once) {
    size_t part = MIN (at_once, rows - row);
    char *buffer = next_buffer (upload);
    if (buffer == NULL)
      return;
    if (quantized)
      for (size_t i = 0; i < part; i++)
        read_row (param, row + i, n, (float *)(buffer + i * row_bytes));
    else
      memcpy (buffer, (const char *)tensor->data + row * row_bytes, part * row_bytes);
    send_buffer (upload, part * row_bytes);
    convert (upload, 0, from_type, part, n, (char *)to + row * stride * cuda_type_size (type), type,
             stride);
    finish_buffer (upload, tensor->n_bytes / rows * part);
  }
}

/* ---- Quantised ------------------------------------------------------------------------------- */

/* Some rows on their way to a quantised form, which several threads share. */
typedef struct {
  const AllavaParam *param;
  AllavaDtype dtype;
  AllavaQuantizeRowFunc quantize_row;
  size_t first; /* of the file's rows */
  size_t rows;
  size_t n;          /* columns */
  uint8_t *values;   /* [rows, row bytes] */
  uint16_t *records; /* [rows, groups] */
  int part, parts;   /* of the threads */
  gboolean finite;
} Quantizing;

/* A Q4 row is a Q8 row with the same scales (quant.h). */
static void
widen_quads (
    size_t n, const uint8_t *from, const uint16_t *from_records, int8_t *to, uint16_t *records)
{
  for (size_t i = 0; i < n; i++) {
    size_t group = i / ALLAVA_QUANT_GROUP;
    uint8_t pair = from[i / 64 * ALLAVA_QUANT_GROUP + i % ALLAVA_QUANT_GROUP];
    to[i] = (int8_t)(8 * (pair >> group % 2 * 4 & 15) - allava_quant_zero (from_records[group]));
    records[group] = from_records[group] >> 1 & 0x7fc0;
  }
}

static gboolean
quantize_row (const Quantizing *q, size_t row, float *scratch)
{
  size_t bytes = allava_quant_row_bytes (q->dtype, q->n), groups = allava_quant_row_groups (q->n);
  uint8_t *values = q->values + row * bytes;
  uint16_t *records = q->records + row * groups;
  if (q->param->records == NULL ||
      (quantized_as (q->param) == ALLAVA_DTYPE_Q8 && q->dtype == ALLAVA_DTYPE_Q4)) {
    read_row (q->param, q->first + row, q->n, scratch);
    return q->quantize_row (q->dtype, scratch, q->n, values, records);
  }
  size_t stored = allava_quant_row_bytes (quantized_as (q->param), q->n);
  const uint8_t *from = (const uint8_t *)q->param->weight->data + (q->first + row) * stored;
  memcpy (records,
          (const char *)q->param->records->data + (q->first + row) * groups * sizeof *records,
          groups * sizeof *records);
  if (quantized_as (q->param) == q->dtype)
    memcpy (values, from, bytes);
  else
    widen_quads (q->n, from, records, (int8_t *)values, records);
  return TRUE;
}

static gpointer
quantize_part (gpointer data)
{
  Quantizing *q = data;
  g_autofree float *scratch = g_new (float, q->n);
  q->finite = TRUE;
  for (size_t row = q->rows * q->part / q->parts; row < q->rows * (q->part + 1) / q->parts; row++)
    q->finite = quantize_row (q, row, scratch) && q->finite;
  return NULL;
}

#define MAX_PARTS 64

static gboolean
quantize (const Quantizing *whole, int threads)
{
  Quantizing parts[MAX_PARTS];
  GThread *running[MAX_PARTS];
  int n = (int)MIN (whole->rows, (size_t)CLAMP (threads, 1, MAX_PARTS));
  gboolean finite = TRUE;
  for (int i = 0; i < n; i++) {
    parts[i] = *whole;
    parts[i].part = i;
    parts[i].parts = n;
    running[i] = g_thread_new ("quantise", quantize_part, &parts[i]);
  }
  for (int i = 0; i < n; i++) {
    g_thread_join (running[i]);
    finite = finite && parts[i].finite;
  }
  return finite;
}

/* Rows that lie in the buffer as they are to the matrix, in units of 16 bits. */
static void
place (CudaUpload *upload, size_t from, size_t rows, size_t bytes, char *to, size_t stride_bytes)
{
  convert (upload, from, CUDA_TYPE_F16, rows, bytes / 2, to, CUDA_TYPE_F16, stride_bytes / 2);
}

void
cuda_upload_quantized (CudaUpload *upload,
                       const AllavaParam *param,
                       const CudaMatrix *matrix,
                       size_t row,
                       size_t column)
{
  const AllavaTensor *tensor = param->weight;
  AllavaDtype dtype = matrix->type == CUDA_WEIGHTS_Q8 ? ALLAVA_DTYPE_Q8 : ALLAVA_DTYPE_Q4;
  size_t n = cuda_param_columns (param), rows = tensor->shape[0];
  size_t bytes = allava_quant_row_bytes (dtype, n), groups = allava_quant_row_groups (n);
  size_t all_bytes = allava_quant_row_bytes (dtype, matrix->stride);
  size_t all_groups = matrix->stride / CUDA_GROUP;
  size_t at_once = MAX (upload->size / (bytes + groups * sizeof (uint16_t) + 1), 1);
  for (size_t first = 0; first < rows; first += at_once) {
    size_t part = MIN (at_once, rows - first), at = row + first;
    char *buffer = next_buffer (upload);
    if (buffer == NULL)
      return;
    const Quantizing q = {
        .param = param,
        .dtype = dtype,
        .quantize_row = allava_quantize_row_choose (),
        .first = first,
        .rows = part,
        .n = n,
        .values = (uint8_t *)buffer,
        .records = (uint16_t *)(buffer + part * bytes),
    };
    if (!quantize (&q, upload->threads)) {
      g_set_error (&upload->error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                   "%s: tensor %s holds values that are not finite numbers", tensor->file,
                   tensor->name);
      return;
    }
    send_buffer (upload, part * (bytes + groups * sizeof (uint16_t)));
    place (upload, 0, part, bytes,
           (char *)matrix->data + at * all_bytes + allava_quant_row_bytes (dtype, column),
           all_bytes);
    place (upload, part * bytes, part, groups * sizeof (uint16_t),
           (char *)(matrix->records + at * all_groups + column / CUDA_GROUP),
           all_groups * sizeof (uint16_t));
    finish_buffer (upload, tensor->n_bytes / rows * part);
  }
}
