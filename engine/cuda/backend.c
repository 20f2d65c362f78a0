/* backend.c - the module's door: which GPU, in which format, and the table of AllavaBackend. */
#include "cuda-model.h"
#include "module.h"
#include "quant.h"

#include <string.h>

/* ---- Formats --------------------------------------------------------------------------------- */

/* The narrower of two formats that a matrix and one of N_IN columns beside it can both have. */
static CudaWeights
join_format (AllavaDtype asked, AllavaPart part, size_t n_in, CudaWeights other)
{
  AllavaDtype dtype = allava_quant_choose (asked, part, n_in);
  CudaWeights type = dtype == ALLAVA_DTYPE_Q4   ? CUDA_WEIGHTS_Q4
                     : dtype == ALLAVA_DTYPE_Q8 ? CUDA_WEIGHTS_Q8
                                                : CUDA_WEIGHTS_F16;
  return MIN (type, other); /* they are in the order of their width */
}

static CudaFormat
make_format (const CudaModel *model, AllavaDtype dtype)
{
  const AllavaConfig *config = model->config;
  CudaFormat format = {.dtype = dtype, .type = CUDA_TYPE_F16, .kv_type = CUDA_TYPE_F16};
  format.in = format.out = format.head = CUDA_WEIGHTS_F16;
  if (dtype == ALLAVA_DTYPE_F32) {
    format.type = format.kv_type = CUDA_TYPE_F32;
    format.in = format.out = format.head = CUDA_WEIGHTS_F32;
  } else if (dtype == ALLAVA_DTYPE_BF16) {
    format.type = CUDA_TYPE_BF16;
    format.in = format.out = format.head = CUDA_WEIGHTS_BF16;
  } else if (allava_dtype_is_quantized (dtype)) {
    const AllavaPart part = ALLAVA_PART_DECODER;
    format.in = join_format (dtype, part, config->hidden_size, CUDA_WEIGHTS_Q4);
    format.out = join_format (dtype, part, cuda_q_width (model), CUDA_WEIGHTS_Q4);
    format.out = join_format (dtype, part, config->intermediate_size, format.out);
    format.head = join_format (dtype, ALLAVA_PART_HEAD, config->hidden_size, CUDA_WEIGHTS_Q4);
  }
  return format;
}

static void
set_format (CudaModel *model, AllavaDtype dtype)
{
  const AllavaConfig *config = model->config;
  model->format = make_format (model, dtype);
  model->head_pad = cuda_pad (config->head_dim, 8);
  model->vision_head_pad = cuda_pad (config->vision.hidden_size / config->vision.n_heads, 8);
  model->out_split = cuda_pad (cuda_q_width (model), cuda_vector (model->format.out));
}

/* Kernels and libraries themselves, and what their allocations are rounded up to. */
#define OVERHEAD ((size_t)384 << 20)

static CudaModel *
model_new (const AllavaConfig *config, AllavaDtype dtype)
{
  CudaModel *model = g_new0 (CudaModel, 1);
  g_mutex_init (&model->mutex);
  model->config = config;
  model->spare_features = g_ptr_array_new ();
  model->vision_layers = g_new0 (CudaVisionLayer, MAX (config->vision.n_run_layers, 1));
  model->layers = g_new0 (CudaDecoderLayer, config->n_layers);
  set_format (model, dtype);
  return model;
}

/* ---- What can be computed -------------------------------------------------------------------- */

/* A block holds a normed row of the decoder's residual, and attention a head of 256. */
#define MAX_HIDDEN 15872

static gboolean
check (const CudaModel *model, const AllavaWeights *weights, GError **error)
{
  const AllavaConfig *config = model->config;
  const CudaDeviceInfo *info = cuda_device_get_info (model->device);
  int vision_head = config->vision.hidden_size / config->vision.n_heads;
  if (config->hidden_size > MAX_HIDDEN || config->head_dim > 256 || vision_head > 256)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED,
                 "the model's hidden_size of %d or heads of %d and %d are more than the GPU's "
                 "kernels take (%d and 256); use --device cpu",
                 config->hidden_size, config->head_dim, vision_head, MAX_HIDDEN);
  else if (model->format.dtype == ALLAVA_DTYPE_BF16 && info->major < 8)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED,
                 "%s does not multiply bf16; use --dtype f16", info->name);
  else if (weights->quantized != ALLAVA_DTYPE_AUTO && weights->quantized != model->format.dtype)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                 "%s: its weights are quantised to %s and cannot be used as %s; leave --dtype out",
                 weights->layers[0].fc1.weight->file, allava_dtype_to_string (weights->quantized),
                 allava_dtype_to_string (model->format.dtype));
  else
    return TRUE;
  return FALSE;
}

/* ---- Loading --------------------------------------------------------------------------------- */

static void
cuda_unload (gpointer data)
{
  CudaModel *model = data;
  if (model->device != NULL) {
    cuda_device_enter (model->device);
    for (guint i = 0; i < model->spare_features->len; i++)
      cuda_free (model->device, model->spare_features->pdata[i]);
    cuda_free (model->device, model->memory);
  }
  cuda_device_close (model->device);
  g_ptr_array_unref (model->spare_features);
  g_free (model->vision_layers);
  g_free (model->layers);
  g_mutex_clear (&model->mutex);
  g_free (model);
}

static size_t
matrix_bytes (const CudaMatrix *matrix)
{
  static const uint8_t eighths[] = {32, 16, 16, 8, 4}; /* of a byte, for each value */
  size_t values = matrix->n_out * matrix->stride, bytes = values * eighths[matrix->type] / 8;
  gboolean quantized = matrix->type >= CUDA_WEIGHTS_Q8;
  return bytes + (quantized ? values / CUDA_GROUP * sizeof (uint16_t) : 0);
}

static void
fill_info (const CudaModel *model, size_t weight_bytes, AllavaModelInfo *info)
{
  const AllavaConfig *config = model->config;
  const CudaDeviceInfo *device = cuda_device_get_info (model->device);
  size_t per_token = matrix_bytes (&model->lm_head);
  for (int i = 0; i < config->n_layers; i++)
    per_token += matrix_bytes (&model->layers[i].in) + matrix_bytes (&model->layers[i].out);
  info->device = "cuda";
  g_strlcpy (info->device_name, device->name, sizeof info->device_name);
  info->dtype = model->format.dtype;
  info->threads = 0;
  info->instruction_set = "CUDA";
  info->weight_bytes = weight_bytes;
  info->bytes_per_token = per_token;
  info->kv_bytes_per_position = (size_t)config->n_layers * 2 * config->n_kv_heads *
                                model->head_pad * cuda_type_size (model->format.kv_type);
}

/* "cuda:N" names a GPU; anything else is the first. */
static int
parse_index (const char *device)
{
  guint64 index = 0;
  if (device != NULL && g_str_has_prefix (device, "cuda:"))
    g_ascii_string_to_unsigned (device + 5, 10, 0, 1023, &index, NULL);
  return (int)index;
}

static gpointer
cuda_load (const AllavaConfig *config,
           const AllavaWeights *weights,
           const AllavaModelOptions *options,
           AllavaModelInfo *info,
           GError **error)
{
  CudaModel *model = model_new (config, options->dtype);
  model->device = cuda_device_open (parse_index (options->device), error);
  size_t weight_bytes = cuda_count_weights (model, weights);
  if (model->device != NULL && check (model, weights, error) &&
      cuda_load_weights (model, weights, options, error)) {
    fill_info (model, weight_bytes, info);
    return model;
  }
  cuda_unload (model);
  return NULL;
}

/* ---- Measuring ------------------------------------------------------------------------------- */

static size_t
cuda_read_free (const AllavaModelOptions *options)
{
  CudaDevice *device = cuda_device_open (parse_index (options->device), NULL);
  if (device == NULL)
    return SIZE_MAX; /* load() says why not */
  size_t bytes = cuda_device_get_free (device);
  cuda_device_close (device);
  return bytes;
}

static size_t
cuda_measure (const AllavaConfig *config, const AllavaWeights *weights, AllavaDtype dtype)
{
  if (weights->quantized != ALLAVA_DTYPE_AUTO && weights->quantized != dtype)
    return SIZE_MAX;
  CudaModel *model = model_new (config, dtype);
  size_t bytes = cuda_count_weights (model, weights);
  bytes += cuda_count_session (model) + OVERHEAD; /* whose sizes depend on the matrices' */
  cuda_unload (model);
  return bytes;
}

/* Copies a buffer far larger than any cache; each byte is read and written. */
static double
measure (CudaModel *model, CudaQueue *queue, char *buffer, size_t bytes)
{
  int processors = cuda_device_get_info (model->device)->processors, passes = 0;
  double seconds = 0;
  cuda_copy_fast (queue, buffer, buffer + bytes, bytes, processors);
  for (int n = 1; seconds < 0.1; n *= 2) {
    if (!cuda_queue_wait (queue, NULL))
      return 0;
    int64_t start = g_get_monotonic_time ();
    for (passes = 0; passes < n; passes++)
      cuda_copy_fast (queue, buffer, buffer + bytes, bytes, processors);
    if (!cuda_queue_wait (queue, NULL))
      return 0;
    seconds = (g_get_monotonic_time () - start) / 1e6;
  }
  return 2.0 * bytes * passes / seconds;
}

static double
cuda_measure_bandwidth (gpointer data)
{
  CudaModel *model = data;
  double bandwidth = 0;
  cuda_device_enter (model->device);
  size_t bytes = MIN ((size_t)512 << 20, cuda_device_get_free (model->device) / 4) & ~(size_t)255;
  size_t peak = cuda_device_get_peak (model->device); /* what follows is not the model's */
  CudaQueue queue;
  char *buffer = cuda_alloc (model->device, 2 * bytes, "measuring", NULL);
  if (buffer != NULL && cuda_queue_init (&queue, model->device, NULL)) {
    bandwidth = measure (model, &queue, buffer, bytes);
    cuda_queue_clear (&queue);
  }
  cuda_free (model->device, buffer);
  cuda_device_set_peak (model->device, peak);
  return bandwidth;
}

static size_t
cuda_get_memory (gpointer model)
{
  return cuda_device_get_peak (((CudaModel *)model)->device);
}

/* ---- The table ------------------------------------------------------------------------------- */

static const AllavaDtype automatic[] = {ALLAVA_DTYPE_F16, ALLAVA_DTYPE_Q8, ALLAVA_DTYPE_Q4,
                                        ALLAVA_DTYPE_AUTO};

static const AllavaBackend backend = {
    .name = "cuda",
    .automatic = automatic,
    .copies = TRUE,
    .read_free = cuda_read_free,
    .measure = cuda_measure,
    .load = cuda_load,
    .unload = cuda_unload,
    .measure_bandwidth = cuda_measure_bandwidth,
    .get_memory = cuda_get_memory,
    .session_new = cuda_session_new,
    .session_free = cuda_session_free,
    .encode = cuda_encode,
    .features_free = cuda_features_free,
    .prefill = cuda_prefill,
    .decode = cuda_decode,
    .get_logits = cuda_get_logits,
    .answer_begin = cuda_answer_begin,
    .answer_next = cuda_answer_next,
};

__attribute__ ((visibility ("default"))) const AllavaBackend *
allava_cuda_get_backend (size_t interface)
{
  return interface == ALLAVA_CUDA_INTERFACE ? &backend : NULL;
}
