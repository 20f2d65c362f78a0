/* load.c - lays out a model's weights in one allocation, and fills it. */
#include "quant.h"
#include "upload.h"

#include <math.h>

typedef struct {
  CudaModel *model;
  const AllavaWeights *weights;
  CudaArena arena;    /* of the model's memory; its base is NULL while bytes are counted */
  CudaUpload *upload; /* not while bytes are counted */
  size_t total;       /* bytes of the files, counted */
} Loader;

static CudaWeights
weights_of (CudaType type)
{
  return type == CUDA_TYPE_F32   ? CUDA_WEIGHTS_F32
         : type == CUDA_TYPE_F16 ? CUDA_WEIGHTS_F16
                                 : CUDA_WEIGHTS_BF16;
}

/* ---- Pieces ---------------------------------------------------------------------------------- */

/* While bytes are counted, what the files hold of each tensor is counted too. */
static void
put (Loader *loader, const AllavaParam *param, size_t rows, void *to, CudaType type, size_t stride)
{
  if (loader->arena.base == NULL)
    loader->total += param->weight->n_bytes;
  else
    cuda_upload_rows (loader->upload, param, rows, to, type, stride);
}

static void
put_vector (Loader *loader, const AllavaTensor *tensor, void *to, CudaType type)
{
  const AllavaParam param = {.weight = tensor};
  put (loader, &param, 1, to, type, tensor->n_elements);
}

static void *
at (void *data, CudaType type, size_t i)
{
  return data != NULL ? (char *)data + i * cuda_type_size (type) : NULL;
}

/* Some vectors one after the other, in TYPE. Those that are NULL are zero. */
typedef struct {
  const AllavaTensor *tensor; /* or NULL */
  size_t n;
} Piece;

static void *
load_vectors (Loader *loader, const Piece *pieces, size_t n_pieces, CudaType type)
{
  size_t n = 0;
  for (size_t i = 0; i < n_pieces; i++)
    n += pieces[i].n;
  void *to = cuda_take (&loader->arena, n * cuda_type_size (type));
  n = 0;
  for (size_t i = 0; i < n_pieces; i++) {
    if (pieces[i].tensor != NULL)
      put_vector (loader, pieces[i].tensor, at (to, type, n), type);
    n += pieces[i].n;
  }
  return to;
}

static void *
load_vector (Loader *loader, const AllavaTensor *tensor, CudaType type)
{
  const Piece piece = {tensor, tensor != NULL ? tensor->n_elements : 0};
  return tensor != NULL ? load_vectors (loader, &piece, 1, type) : NULL;
}

static CudaNormWeights
load_norm (Loader *loader, const AllavaParam *param)
{
  return (CudaNormWeights){load_vector (loader, param->weight, CUDA_TYPE_F32),
                           load_vector (loader, param->bias, CUDA_TYPE_F32)};
}

/* Memory for a matrix, whose type and sizes are set. */
static void
take_matrix (Loader *loader, CudaMatrix *matrix)
{
  static const uint8_t eighths[] = {32, 16, 16, 8, 4}; /* of a byte, for each value */
  size_t values = matrix->n_out * matrix->stride;
  matrix->data = cuda_take (&loader->arena, values * eighths[matrix->type] / 8);
  if (matrix->type >= CUDA_WEIGHTS_Q8)
    matrix->records = cuda_take (&loader->arena, values / CUDA_GROUP * sizeof (uint16_t));
}

static CudaType
plain_type (CudaWeights type)
{
  return type == CUDA_WEIGHTS_F32   ? CUDA_TYPE_F32
         : type == CUDA_WEIGHTS_F16 ? CUDA_TYPE_F16
                                    : CUDA_TYPE_BF16;
}

/* PARAM's weight into MATRIX from ROW and COLUMN on. */
static void
put_part (
    Loader *loader, const AllavaParam *param, const CudaMatrix *matrix, size_t row, size_t column)
{
  CudaType type = plain_type (matrix->type);
  if (matrix->type < CUDA_WEIGHTS_Q8)
    put (loader, param, param->weight->shape[0],
         at (matrix->data, type, row * matrix->stride + column), type, matrix->stride);
  else if (loader->arena.base == NULL)
    loader->total += param->weight->n_bytes;
  else
    cuda_upload_quantized (loader->upload, param, matrix, row, column);
}

/* Several matrices of the same columns on top of each other. */
static CudaMatrix
load_rows (Loader *loader, const AllavaParam *const *params, size_t n, CudaWeights type)
{
  CudaMatrix matrix = {.type = type, .n_in = cuda_param_columns (params[0])};
  matrix.stride = cuda_pad (matrix.n_in, cuda_vector (type));
  for (size_t i = 0; i < n; i++)
    matrix.n_out += params[i]->weight->shape[0];
  take_matrix (loader, &matrix);
  size_t row = 0;
  for (size_t i = 0; i < n; i++) {
    put_part (loader, params[i], &matrix, row, 0);
    row += params[i]->weight->shape[0];
  }
  return matrix;
}

/* Two matrices of the same rows beside each other, the second from column SPLIT on. */
static CudaMatrix
load_columns (Loader *loader,
              const AllavaParam *left,
              const AllavaParam *right,
              size_t split,
              CudaWeights type)
{
  CudaMatrix matrix = {.type = type, .n_out = left->weight->shape[0]};
  matrix.n_in = split + cuda_param_columns (right);
  matrix.stride = cuda_pad (matrix.n_in, cuda_vector (type));
  take_matrix (loader, &matrix);
  put_part (loader, left, &matrix, 0, 0);
  put_part (loader, right, &matrix, 0, split);
  return matrix;
}

/* ---- The model ------------------------------------------------------------------------------- */

/* Y_TYPE: of its product. */
static CudaLinear
load_linear (Loader *loader, const AllavaParam *param, CudaType y_type)
{
  return (CudaLinear){load_rows (loader, &param, 1, weights_of (loader->model->format.type)),
                      load_vector (loader, param->bias, y_type)};
}

static CudaVisionLayer
load_vision_layer (Loader *loader, const AllavaVisionLayer *from)
{
  CudaType type = loader->model->format.type;
  size_t d = loader->model->config->vision.hidden_size;
  const AllavaParam *const qkv[] = {&from->q_proj, &from->k_proj, &from->v_proj};
  const Piece biases[] = {{from->q_proj.bias, d}, {from->k_proj.bias, d}, {from->v_proj.bias, d}};
  return (CudaVisionLayer){
      .layer_norm1 = load_norm (loader, &from->layer_norm1),
      .qkv.matrix = load_rows (loader, qkv, G_N_ELEMENTS (qkv), weights_of (type)),
      .qkv.bias = load_vectors (loader, biases, G_N_ELEMENTS (biases), CUDA_TYPE_F32),
      .out_proj = load_linear (loader, &from->out_proj, CUDA_TYPE_F32),
      .layer_norm2 = load_norm (loader, &from->layer_norm2),
      .fc1 = load_linear (loader, &from->fc1, type),
      .fc2 = load_linear (loader, &from->fc2, CUDA_TYPE_F32),
  };
}

static void
load_vision (Loader *loader)
{
  CudaModel *model = loader->model;
  const AllavaWeights *weights = loader->weights;
  int last = model->config->n_projector_layers - 1;
  model->class_embedding = load_vector (loader, weights->class_embedding.weight, CUDA_TYPE_F32);
  model->patch_embedding = load_linear (loader, &weights->patch_embedding, CUDA_TYPE_F32);
  model->position_embedding =
      load_vector (loader, weights->position_embedding.weight, CUDA_TYPE_F32);
  model->pre_layrnorm = load_norm (loader, &weights->pre_layrnorm);
  for (int i = 0; i < model->config->vision.n_run_layers; i++)
    model->vision_layers[i] = load_vision_layer (loader, &weights->vision_layers[i]);
  for (int i = 0; i <= last; i++)
    model->projector[i] = load_linear (loader, &weights->projector[i],
                                       i == last ? CUDA_TYPE_F32 : model->format.type);
}

/* bias += another: both add to the same residual. */
static void
add_vector (Loader *loader, float *bias, const AllavaTensor *tensor, float *scratch)
{
  put_vector (loader, tensor, scratch, CUDA_TYPE_F32);
  const CudaActivation add = {
      .x = bias,
      .type = CUDA_TYPE_F32,
      .bias = scratch,
      .rows = 1,
      .n = tensor->n_elements,
      .stride = tensor->n_elements,
  };
  if (loader->arena.base != NULL)
    cuda_activate (&loader->upload->queue, &add);
}

static CudaDecoderLayer
load_decoder_layer (Loader *loader, const AllavaDecoderLayer *from, float *scratch)
{
  const CudaModel *model = loader->model;
  CudaType type = model->format.type;
  size_t q = cuda_q_width (model), k = cuda_k_width (model);
  size_t f = model->config->intermediate_size;
  const AllavaParam *const in[] = {&from->q_proj, &from->k_proj, &from->v_proj, &from->fc1};
  const Piece in_bias[] = {
      {from->q_proj.bias, q}, {from->k_proj.bias, k}, {from->v_proj.bias, k}, {from->fc1.bias, f}};
  CudaDecoderLayer layer = {
      .input_layernorm = load_norm (loader, &from->input_layernorm),
      .in = load_rows (loader, in, G_N_ELEMENTS (in), model->format.in),
      .in_bias = load_vectors (loader, in_bias, G_N_ELEMENTS (in_bias), CUDA_TYPE_F32),
      .fc1_bias = load_vector (loader, from->fc1.bias, type),
      .out = load_columns (loader, &from->dense, &from->fc2, model->out_split, model->format.out),
      .out_bias = load_vector (loader, from->dense.bias, CUDA_TYPE_F32),
  };
  add_vector (loader, layer.out_bias, from->fc2.bias, scratch);
  if (model->config->qk_layernorm) {
    layer.q_layernorm = load_norm (loader, &from->q_layernorm);
    layer.k_layernorm = load_norm (loader, &from->k_layernorm);
  }
  return layer;
}

static void
load_decoder (Loader *loader)
{
  CudaModel *model = loader->model;
  const AllavaWeights *weights = loader->weights;
  const AllavaParam *embedding = &weights->embed_tokens, *head = &weights->lm_head;
  float *scratch = cuda_take (&loader->arena, model->config->hidden_size * sizeof (float));
  model->embed_tokens = load_rows (loader, &embedding, 1, weights_of (model->format.type));
  for (int i = 0; i < model->config->n_layers; i++)
    model->layers[i] = load_decoder_layer (loader, &weights->layers[i], scratch);
  model->final_layernorm = load_norm (loader, &weights->final_layernorm);
  model->lm_head = model->embed_tokens;
  if (head->weight != embedding->weight)
    model->lm_head = load_rows (loader, &head, 1, model->format.head);
  model->lm_head_bias = load_vector (loader, weights->lm_head.bias, CUDA_TYPE_F32);
}

/* Rotation angles as transformers' PhiRotaryEmbedding computes them, in f32. */
static void
load_rope (Loader *loader)
{
  CudaModel *model = loader->model;
  size_t half = model->config->rotary_dim / 2, context = model->config->context_length;
  size_t bytes = context * half * 2 * sizeof (float);
  model->rope = cuda_take (&loader->arena, bytes);
  if (loader->arena.base == NULL)
    return;
  g_autofree float *angles = g_malloc (MAX (bytes, 1));
  for (size_t position = 0; position < context; position++)
    for (size_t i = 0; i < half; i++) {
      float power = powf (model->config->rope_theta, (2.0f * i) / model->config->rotary_dim);
      float angle = position * (1.0f / power);
      angles[(position * half + i) * 2] = cosf (angle);
      angles[(position * half + i) * 2 + 1] = sinf (angle);
    }
  cuda_copy (&loader->upload->queue, model->rope, angles, bytes);
  cuda_queue_wait (&loader->upload->queue, NULL); /* the angles go; a failure stays in the queue */
}

/* The same twice: to count, and to fill. */
static void
load_all (Loader *loader)
{
  load_vision (loader);
  load_decoder (loader);
  load_rope (loader);
}

size_t
cuda_count_weights (CudaModel *model, const AllavaWeights *weights)
{
  Loader loader = {.model = model, .weights = weights};
  load_all (&loader);
  return loader.arena.used;
}

/* ---- Loading --------------------------------------------------------------------------------- */

/* The longest that is uploaded as one row, of at most four bytes a value. */
static size_t
longest_row (const CudaModel *model)
{
  const AllavaConfig *config = model->config;
  const AllavaVisionConfig *vision = &config->vision;
  const size_t sizes[] = {
      cuda_q_width (model),
      config->intermediate_size,
      config->vocab_size,
      config->hidden_size,
      (size_t)(1 + vision->n_patches) * vision->hidden_size,
      vision->intermediate_size,
      3 * (size_t)vision->patch_size * vision->patch_size,
  };
  size_t longest = 0;
  for (size_t i = 0; i < G_N_ELEMENTS (sizes); i++)
    longest = MAX (longest, sizes[i]);
  return longest * sizeof (float);
}

gboolean
cuda_load_weights (CudaModel *model,
                   const AllavaWeights *weights,
                   const AllavaModelOptions *options,
                   GError **error)
{
  CudaUpload upload = {0};
  Loader counter = {.model = model, .weights = weights};
  load_all (&counter);
  model->memory = cuda_alloc (model->device, counter.arena.used, "the model's weights", error);
  if (model->memory == NULL)
    return FALSE;
  gboolean ok = cuda_upload_init (&upload, model->device, options, longest_row (model), error);
  if (ok) {
    Loader loader = {.model = model, .weights = weights, .upload = &upload};
    loader.arena.base = model->memory;
    upload.total = counter.total;
    load_all (&loader);
    ok = cuda_upload_finish (&upload, error);
  }
  cuda_upload_clear (&upload);
  return ok;
}
