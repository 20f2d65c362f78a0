/* vision.c - the vision tower (transformers' CLIPVisionModel) and the projector. */
#include "cuda-model.h"

#include <math.h>
#include <string.h>

/* y = gelu (x matrix^T + bias), or y += ... where ACCUMULATE. Rows of x are padded as the matrix's
 * are, with zeros, so the padding may be multiplied too: sizes that are whole vectors are fast. */
static void
multiply (CudaSession *session,
          const CudaLinear *linear,
          const void *x,
          size_t m,
          CudaGelu gelu,
          gboolean accumulate,
          CudaType y_type,
          void *y,
          size_t y_stride)
{
  const CudaProduct product = {
      .type = session->model->format.type,
      .x = x,
      .x_stride = linear->matrix.stride,
      .w = linear->matrix.data,
      .w_stride = linear->matrix.stride,
      .bias = linear->bias,
      .y_type = y_type,
      .y = y,
      .y_stride = y_stride,
      .m = m,
      .n = linear->matrix.n_out,
      .k = linear->matrix.stride,
      .gelu = gelu,
      .accumulate = accumulate,
  };
  cuda_multiply (&session->queue, &product);
}

/* Y NULL: the residual itself. */
static void
norm (CudaSession *session, const CudaNormWeights *weights, void *y, CudaType type)
{
  const AllavaVisionConfig *vision = &session->model->config->vision;
  size_t d = vision->hidden_size;
  const CudaNorm op = {
      .x = session->vision.x,
      .x_stride = d,
      .y = y != NULL ? y : session->vision.x,
      .y_stride = y != NULL ? cuda_pad (d, cuda_type_vector (type)) : d,
      .y_type = type,
      .weight = weights->weight,
      .bias = weights->bias,
      .eps = vision->layer_norm_eps,
      .rows = 1 + (size_t)vision->n_patches,
      .per = 1,
      .n = d,
  };
  cuda_norm (&session->queue, &op);
}

/* x = pre_layrnorm ([class; patches] + positions). */
static void
embed (CudaSession *session)
{
  const CudaModel *model = session->model;
  const AllavaVisionConfig *vision = &model->config->vision;
  CudaVision *s = &session->vision;
  size_t d = vision->hidden_size;
  const CudaPatches patches = {
      .pixels = s->pixels,
      .out = s->patches,
      .type = model->format.type,
      .size = vision->image_size,
      .patch = vision->patch_size,
      .stride = model->patch_embedding.matrix.stride,
  };
  cuda_gather_patches (&session->queue, &patches);
  multiply (session, &model->patch_embedding, s->patches, vision->n_patches, CUDA_GELU_NONE, FALSE,
            CUDA_TYPE_F32, s->x + d, d);
  const CudaPositions positions = {s->x, model->class_embedding, model->position_embedding,
                                   1 + (size_t)vision->n_patches, d};
  cuda_add_positions (&session->queue, &positions);
  norm (session, &model->pre_layrnorm, NULL, CUDA_TYPE_F32);
}

/* normed = softmax (q k^T / sqrt (head_dim)) v, every head on its own, without a mask. */
static void
attend (CudaSession *session)
{
  const CudaModel *model = session->model;
  const AllavaVisionConfig *vision = &model->config->vision;
  CudaVision *s = &session->vision;
  size_t n = 1 + (size_t)vision->n_patches, d = vision->hidden_size;
  int head_dim = vision->hidden_size / vision->n_heads;
  const CudaCache cache = {s->keys, s->values, model->format.kv_type, n, model->vision_head_pad};
  const CudaRotate store = {
      .k = s->qkv + d,
      .v = s->qkv + 2 * d,
      .stride = 3 * d,
      .rows = n,
      .n_kv_heads = vision->n_heads,
      .head_dim = head_dim,
      .cache = cache,
  };
  cuda_rotate (&session->queue, &store);
  const CudaAttention attention = {
      .q = s->qkv,
      .q_stride = 3 * d,
      .out = s->normed,
      .out_stride = cuda_pad (d, cuda_type_vector (model->format.type)),
      .out_type = model->format.type,
      .rows = n,
      .n_heads = vision->n_heads,
      .n_kv_heads = vision->n_heads,
      .head_dim = head_dim,
      .n_keys = n,
      .scale = 1.0f / sqrtf (head_dim),
      .cache = cache,
  };
  cuda_attend (&session->queue, &attention);
}

/* x += out_proj (attention (LN1 (x))); x += fc2 (quick_gelu (fc1 (LN2 (x)))). */
static void
run_layer (CudaSession *session, const CudaVisionLayer *layer)
{
  const AllavaVisionConfig *vision = &session->model->config->vision;
  CudaVision *s = &session->vision;
  CudaType type = session->model->format.type;
  size_t n = 1 + (size_t)vision->n_patches, d = vision->hidden_size;

  norm (session, &layer->layer_norm1, s->normed, type);
  multiply (session, &layer->qkv, s->normed, n, CUDA_GELU_NONE, FALSE, CUDA_TYPE_F32, s->qkv,
            3 * d);
  attend (session);
  multiply (session, &layer->out_proj, s->normed, n, CUDA_GELU_NONE, TRUE, CUDA_TYPE_F32, s->x, d);

  norm (session, &layer->layer_norm2, s->normed, type);
  multiply (session, &layer->fc1, s->normed, n, cuda_gelu (vision->activation), FALSE, type, s->mlp,
            layer->fc2.matrix.stride);
  multiply (session, &layer->fc2, s->mlp, n, CUDA_GELU_NONE, TRUE, CUDA_TYPE_F32, s->x, d);
}

/* Linear layers with the exact GELU between them: ROWS [P, D] of the residual to features [P, H].
 */
static void
project (CudaSession *session, const float *rows, float *features)
{
  const CudaModel *model = session->model;
  const AllavaConfig *config = model->config;
  CudaType type = model->format.type;
  size_t p = config->image_positions, d = config->vision.hidden_size;
  int last = config->n_projector_layers - 1;
  void *const *buffers = session->vision.projected;
  const CudaConvert convert = {
      rows, buffers[0], CUDA_TYPE_F32, type, p, d, model->projector[0].matrix.stride};
  cuda_convert (&session->queue, &convert);
  for (int i = 0; i < last; i++)
    multiply (session, &model->projector[i], buffers[i % 2], p, CUDA_GELU_ERF, FALSE, type,
              buffers[(i + 1) % 2], model->projector[i + 1].matrix.stride);
  multiply (session, &model->projector[last], buffers[last % 2], p, CUDA_GELU_NONE, FALSE,
            CUDA_TYPE_F32, features, config->hidden_size);
}

static gboolean
show_state (CudaSession *session, const AllavaTrace *trace, int index, int layer, GError **error)
{
  const AllavaVisionConfig *vision = &session->model->config->vision;
  g_autofree char *name = g_strdup_printf ("vision_hidden_states.%d.%d", index, layer);
  return trace == NULL ||
         cuda_show (session, trace, session->vision.x, 1 + (size_t)vision->n_patches,
                    vision->hidden_size, name, error);
}

static gboolean
run (CudaSession *session,
     int index,
     const AllavaTrace *trace,
     float *features,
     GCancellable *cancellable,
     double *projector_ms,
     GError **error)
{
  const AllavaConfig *config = session->model->config;
  size_t d = config->vision.hidden_size, p = config->image_positions;
  embed (session);
  if (!show_state (session, trace, index, 0, error))
    return FALSE;
  for (int i = 0; i < config->vision.n_run_layers; i++) {
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return FALSE;
    run_layer (session, &session->model->vision_layers[i]);
    if (!show_state (session, trace, index, i + 1, error))
      return FALSE;
  }
  const float *rows = config->keep_class_token ? session->vision.x : session->vision.x + d;
  if (!cuda_queue_wait (&session->queue, error))
    return FALSE;
  int64_t start = g_get_monotonic_time ();
  project (session, rows, features);
  if (!cuda_queue_wait (&session->queue, error))
    return FALSE;
  *projector_ms += (g_get_monotonic_time () - start) / 1e3;
  if (trace == NULL)
    return TRUE;
  g_autofree char *vision_name = g_strdup_printf ("vision_features.%d", index);
  g_autofree char *image_name = g_strdup_printf ("image_features.%d", index);
  return cuda_show (session, trace, rows, p, d, vision_name, error) &&
         cuda_show (session, trace, features, p, config->hidden_size, image_name, error);
}

/* ---- Features -------------------------------------------------------------------------------- */

/* Asking the driver for memory takes as long as several layers, so what is given back is kept. */
static float *
take_features (CudaModel *model, GError **error)
{
  float *data = NULL;
  g_mutex_lock (&model->mutex);
  if (model->spare_features->len > 0)
    data = g_ptr_array_steal_index_fast (model->spare_features, model->spare_features->len - 1);
  g_mutex_unlock (&model->mutex);
  size_t n = (size_t)model->config->image_positions * model->config->hidden_size;
  return data != NULL ? data : cuda_alloc (model->device, n * sizeof *data, "an image", error);
}

void
cuda_features_free (gpointer data)
{
  CudaFeatures *features = data;
  g_mutex_lock (&features->model->mutex);
  g_ptr_array_add (features->model->spare_features, features->data);
  g_mutex_unlock (&features->model->mutex);
  g_free (features);
}

gpointer
cuda_encode (gpointer data,
             const float *pixel_values,
             int index,
             const AllavaTrace *trace,
             GCancellable *cancellable,
             double *projector_ms,
             GError **error)
{
  CudaSession *session = data;
  CudaModel *model = session->model;
  size_t size = model->config->vision.image_size, bytes = 3 * size * size * sizeof (float);
  cuda_session_enter (session);
  float *values = take_features (model, error);
  if (values == NULL)
    return NULL;
  CudaFeatures *features = g_new (CudaFeatures, 1);
  *features = (CudaFeatures){model, values};
  memcpy (session->host_pixels, pixel_values, bytes);
  cuda_copy (&session->queue, session->vision.pixels, session->host_pixels, bytes);
  /* What is queued has to end before the features go back, also after a failure. */
  gboolean ok = run (session, index, trace, values, cancellable, projector_ms, error);
  if (cuda_queue_wait (&session->queue, ok ? error : NULL) && ok)
    return features;
  cuda_features_free (features);
  return NULL;
}
