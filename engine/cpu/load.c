/* load.c - a model's weights in the form that the CPU computes with. */
#include "cpu-model.h"
#include "quant.h"

#include <stdlib.h>
#include <sys/mman.h>

typedef struct {
  CpuModel *model;
  const AllavaWeights *weights;
  const AllavaModelOptions *options; /* NULL: only count the bytes */
  size_t bytes;                      /* of all weights kept */
  size_t n_quantized;                /* matrices, so far */
  GError *error;                     /* the first */
} Loader;

static AllavaDtype
dtype_of (const AllavaTensor *tensor)
{
  return tensor->type == ALLAVA_TENSOR_BF16  ? ALLAVA_DTYPE_BF16
         : tensor->type == ALLAVA_TENSOR_F16 ? ALLAVA_DTYPE_F16
                                             : ALLAVA_DTYPE_F32;
}

#define HUGE_PAGE ((size_t)2 << 20)

/* Memory that the model owns, or NULL after a failure. Large pieces may lie in huge pages, which
 * decoding reads a little faster. */
static void *
alloc_kept (Loader *loader, size_t bytes)
{
  void *data = NULL;
  gboolean large = bytes >= 2 * HUGE_PAGE;
  if (loader->error != NULL)
    return NULL;
  if (posix_memalign (&data, large ? HUGE_PAGE : 64, MAX (bytes, 1)) != 0) {
    g_set_error (&loader->error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY,
                 "there is not enough memory to keep the weights as %s; use --dtype auto",
                 allava_dtype_to_string (loader->model->dtype));
    return NULL;
  }
  if (large)
    madvise (data, bytes, MADV_HUGEPAGE);
  g_ptr_array_add (loader->model->owned, data);
  return data;
}

/* Whether weights are quantised now: the file is then not read ahead as a whole, and what has been
 * used of it is given back, so that the model is never there twice. */
static gboolean
is_quantizing (const Loader *loader)
{
  return allava_dtype_is_quantized (loader->model->dtype) &&
         loader->weights->quantized == ALLAVA_DTYPE_AUTO;
}

/* ---- Conversions ----------------------------------------------------------------------------- */

typedef struct {
  const AllavaTensor *tensor;
  AllavaDtype dtype;
  char *out;
} Conversion;

#define CONVERT_BLOCK 4096

static void
convert_block (size_t index, int thread, gpointer data)
{
  const Conversion *c = data;
  size_t begin = index * CONVERT_BLOCK;
  size_t n = MIN (CONVERT_BLOCK, c->tensor->n_elements - begin);
  AllavaDtype from = dtype_of (c->tensor);
  const char *in = (const char *)c->tensor->data + begin * allava_dtype_size (from);
  float wide[CONVERT_BLOCK];
  allava_widen (in, from, n, wide);
  allava_narrow (wide, c->dtype, n, c->out + begin * allava_dtype_size (c->dtype));
}

/* TENSOR's values in DTYPE: where they lie, or in a copy that the model owns. */
static const void *
keep (Loader *loader, const AllavaTensor *tensor, AllavaDtype dtype)
{
  size_t bytes = tensor->n_elements * allava_dtype_size (dtype);
  gboolean aligned = (uintptr_t)tensor->data % allava_dtype_size (dtype) == 0;
  loader->bytes += bytes;
  if (loader->options != NULL && is_quantizing (loader))
    allava_safetensors_fetch (tensor);
  if (loader->options == NULL || (dtype_of (tensor) == dtype && aligned))
    return tensor->data;
  Conversion conversion = {tensor, dtype, alloc_kept (loader, bytes)};
  if (conversion.out == NULL ||
      g_cancellable_set_error_if_cancelled (loader->options->cancellable, &loader->error))
    return NULL;
  allava_pool_run (allava_cpu_get_pool (loader->model->cpu),
                   (tensor->n_elements + CONVERT_BLOCK - 1) / CONVERT_BLOCK, convert_block,
                   &conversion);
  if (is_quantizing (loader))
    allava_safetensors_release (tensor);
  return conversion.out;
}

static const float *
load_vector (Loader *loader, const AllavaTensor *tensor)
{
  return tensor != NULL ? keep (loader, tensor, ALLAVA_DTYPE_F32) : NULL;
}

static CpuNorm
load_norm (Loader *loader, const AllavaParam *param)
{
  return (CpuNorm){load_vector (loader, param->weight), load_vector (loader, param->bias)};
}

/* ---- Matrices -------------------------------------------------------------------------------- */

/* Records as they lie, unless they lie at an odd address. */
static const uint16_t *
keep_records (Loader *loader, const AllavaTensor *tensor)
{
  loader->bytes += tensor->n_bytes;
  if (loader->options == NULL || (uintptr_t)tensor->data % sizeof (uint16_t) == 0)
    return tensor->data;
  uint16_t *copy = alloc_kept (loader, tensor->n_bytes);
  if (copy != NULL)
    memcpy (copy, tensor->data, tensor->n_bytes);
  return copy;
}

static void
tell_progress (Loader *loader)
{
  const AllavaModelOptions *options = loader->options;
  size_t all = (size_t)loader->model->config->n_layers * 6 + 1;
  loader->n_quantized++;
  if (options->progress != NULL)
    options->progress (MIN (1, (double)loader->n_quantized / all), options->progress_data);
}

/* MATRIX's values and records from TENSOR. */
static void
quantize (Loader *loader, const AllavaTensor *tensor, AllavaMatrix *matrix)
{
  size_t bytes = matrix->n_out * allava_quant_row_bytes (matrix->dtype, matrix->n_in);
  size_t record_bytes = matrix->n_out * allava_quant_row_groups (matrix->n_in) * sizeof (uint16_t);
  loader->bytes += bytes + record_bytes;
  if (loader->options == NULL || loader->error != NULL)
    return;
  void *values = alloc_kept (loader, bytes);
  uint16_t *records = alloc_kept (loader, record_bytes);
  if (records == NULL ||
      g_cancellable_set_error_if_cancelled (loader->options->cancellable, &loader->error))
    return;
  matrix->data = values;
  matrix->records = records;
  allava_safetensors_fetch (tensor);
  if (!allava_quantize_matrix (allava_cpu_get_pool (loader->model->cpu), tensor->data,
                               dtype_of (tensor), matrix->n_out, matrix->n_in, matrix->dtype,
                               values, records))
    g_set_error (&loader->error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: tensor %s holds values that are not finite numbers", tensor->file,
                 tensor->name);
  allava_safetensors_release (tensor);
  tell_progress (loader);
}

static AllavaMatrix
load_matrix (Loader *loader, const AllavaParam *param, AllavaPart part)
{
  const AllavaTensor *tensor = param->weight;
  AllavaDtype asked = loader->model->dtype;
  AllavaMatrix matrix = {
      .bias = load_vector (loader, param->bias),
      .dtype = asked == ALLAVA_DTYPE_F32 ? dtype_of (tensor) : asked,
      .n_out = tensor->shape[0],
      .n_in = tensor->n_elements / tensor->shape[0],
  };
  if (param->records != NULL) {
    matrix.dtype = tensor->type == ALLAVA_TENSOR_I8 ? ALLAVA_DTYPE_Q8 : ALLAVA_DTYPE_Q4;
    matrix.n_in = param->records->shape[1] * ALLAVA_QUANT_GROUP;
    matrix.data = tensor->data;
    matrix.records = keep_records (loader, param->records);
    loader->bytes += tensor->n_bytes;
    return matrix;
  }
  if (allava_dtype_is_quantized (asked))
    matrix.dtype = allava_quant_choose (asked, part, matrix.n_in);
  if (allava_dtype_is_quantized (matrix.dtype) && loader->weights->quantized == ALLAVA_DTYPE_AUTO) {
    quantize (loader, tensor, &matrix);
    return matrix;
  }
  if (allava_dtype_is_quantized (asked))
    matrix.dtype = tensor->type == ALLAVA_TENSOR_F16 ? ALLAVA_DTYPE_F16 : ALLAVA_DTYPE_BF16;
  matrix.data = keep (loader, tensor, matrix.dtype);
  return matrix;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static void
load_vision (Loader *loader)
{
  CpuModel *model = loader->model;
  const AllavaWeights *weights = loader->weights;
  model->class_embedding = load_vector (loader, weights->class_embedding.weight);
  model->patch_embedding = load_matrix (loader, &weights->patch_embedding, ALLAVA_PART_OTHER);
  model->position_embedding = load_vector (loader, weights->position_embedding.weight);
  model->pre_layrnorm = load_norm (loader, &weights->pre_layrnorm);
  for (int i = 0; i < model->config->vision.n_run_layers; i++) {
    const AllavaVisionLayer *from = &weights->vision_layers[i];
    model->vision_layers[i] = (CpuVisionLayer){
        .layer_norm1 = load_norm (loader, &from->layer_norm1),
        .layer_norm2 = load_norm (loader, &from->layer_norm2),
        .q_proj = load_matrix (loader, &from->q_proj, ALLAVA_PART_OTHER),
        .k_proj = load_matrix (loader, &from->k_proj, ALLAVA_PART_OTHER),
        .v_proj = load_matrix (loader, &from->v_proj, ALLAVA_PART_OTHER),
        .out_proj = load_matrix (loader, &from->out_proj, ALLAVA_PART_OTHER),
        .fc1 = load_matrix (loader, &from->fc1, ALLAVA_PART_OTHER),
        .fc2 = load_matrix (loader, &from->fc2, ALLAVA_PART_OTHER),
    };
  }
  for (int i = 0; i < model->config->n_projector_layers; i++)
    model->projector[i] = load_matrix (loader, &weights->projector[i], ALLAVA_PART_OTHER);
}

static void
load_decoder (Loader *loader)
{
  CpuModel *model = loader->model;
  const AllavaWeights *weights = loader->weights;
  model->embed_tokens = load_matrix (loader, &weights->embed_tokens, ALLAVA_PART_OTHER);
  for (int i = 0; i < model->config->n_layers; i++) {
    const AllavaDecoderLayer *from = &weights->layers[i];
    model->layers[i] = (CpuDecoderLayer){
        .input_layernorm = load_norm (loader, &from->input_layernorm),
        .q_layernorm = load_norm (loader, &from->q_layernorm),
        .k_layernorm = load_norm (loader, &from->k_layernorm),
        .q_proj = load_matrix (loader, &from->q_proj, ALLAVA_PART_DECODER),
        .k_proj = load_matrix (loader, &from->k_proj, ALLAVA_PART_DECODER),
        .v_proj = load_matrix (loader, &from->v_proj, ALLAVA_PART_DECODER),
        .dense = load_matrix (loader, &from->dense, ALLAVA_PART_DECODER),
        .fc1 = load_matrix (loader, &from->fc1, ALLAVA_PART_DECODER),
        .fc2 = load_matrix (loader, &from->fc2, ALLAVA_PART_DECODER),
    };
  }
  model->final_layernorm = load_norm (loader, &weights->final_layernorm);
  model->lm_head = model->embed_tokens;
  if (weights->lm_head.weight != weights->embed_tokens.weight)
    model->lm_head = load_matrix (loader, &weights->lm_head, ALLAVA_PART_HEAD);
  else
    model->lm_head.bias = load_vector (loader, weights->lm_head.bias);
}

gboolean
cpu_load_weights (CpuModel *model,
                  const AllavaWeights *weights,
                  const AllavaModelOptions *options,
                  size_t *bytes,
                  GError **error)
{
  Loader loader = {.model = model, .weights = weights, .options = options};
  if (options != NULL && weights->quantized != ALLAVA_DTYPE_AUTO &&
      weights->quantized != model->dtype) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                 "%s: its weights are quantised to %s and cannot be used as %s; leave --dtype out",
                 weights->layers[0].fc1.weight->file, allava_dtype_to_string (weights->quantized),
                 allava_dtype_to_string (model->dtype));
    return FALSE;
  }
  load_vision (&loader);
  load_decoder (&loader);
  *bytes = loader.bytes;
  if (loader.error != NULL)
    g_propagate_error (error, loader.error);
  return loader.error == NULL;
}
