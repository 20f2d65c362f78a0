/* decoder.c - Phi-2's decoder over many positions at once (decode.cu has the way for one).
 *
 * Attention and MLP read the same normed input and both add to the residual:
 * h = LN (x); x += dense (attention (h)) + fc2 (gelu (fc1 (h))). */
#include "cuda-model.h"

#include <math.h>

/* ---- Products with weights of any format ------------------------------------------------------
 */

/* y = gelu (x w^T + bias) with rows [first, first + n) of the matrix. Quantised rows become f16
 * first, as many at a time as there is room for. */
static void
multiply (CudaSession *session, const CudaMatrix *matrix, size_t first, CudaProduct product)
{
  size_t n = product.n, at_once = n, y_value = cuda_type_size (product.y_type);
  gboolean quantized = matrix->type >= CUDA_WEIGHTS_Q8;
  product.type = session->model->format.type;
  product.w_stride = product.x_stride = product.k = matrix->stride;
  if (quantized) /* in 64s, which keeps what they write aligned */
    at_once = session->rows.n_dequantized / matrix->stride / 64 * 64;
  for (size_t row = 0; row < n; row += at_once) {
    product.n = MIN (at_once, n - row);
    if (quantized) {
      const CudaDequantize dequantize = {*matrix, first + row, product.n, session->rows.dequantized,
                                         matrix->stride};
      cuda_dequantize (&session->queue, &dequantize);
      product.w = session->rows.dequantized;
    } else {
      product.w = (const char *)matrix->data +
                  (first + row) * matrix->stride * cuda_type_size (product.type);
    }
    cuda_multiply (&session->queue, &product);
    product.y = (char *)product.y + product.n * y_value;
    if (product.bias != NULL)
      product.bias = (const char *)product.bias + product.n * y_value;
  }
}

/* ---- Layers ---------------------------------------------------------------------------------- */

static void
norm_rows (CudaSession *session, const CudaNormWeights *weights, size_t m)
{
  const CudaModel *model = session->model;
  const CudaNorm op = {
      .x = session->rows.x,
      .x_stride = model->config->hidden_size,
      .y = session->rows.normed,
      .y_stride = model->layers[0].in.stride,
      .y_type = model->format.type,
      .weight = weights->weight,
      .bias = weights->bias,
      .eps = model->config->layer_norm_eps,
      .rows = m,
      .per = 1,
      .n = model->config->hidden_size,
  };
  cuda_norm (&session->queue, &op);
}

static void
norm_heads (CudaSession *session, const CudaNormWeights *weights, float *x, size_t heads, size_t m)
{
  const CudaModel *model = session->model;
  size_t stride = cuda_q_width (model) + 2 * cuda_k_width (model);
  const CudaNorm op = {
      .x = x,
      .x_stride = stride,
      .y = x,
      .y_stride = stride,
      .y_type = CUDA_TYPE_F32,
      .weight = weights->weight,
      .bias = weights->bias,
      .eps = model->config->layer_norm_eps,
      .rows = m * heads,
      .per = heads,
      .n = model->config->head_dim,
  };
  cuda_norm (&session->queue, &op);
}

/* From q, k and v [m, Q + 2 K] as the products left them to q rotated in place and a filled cache.
 */
static void
finish_projections (CudaSession *session, int index, float *qkv, CudaPosition position, size_t m)
{
  const CudaModel *model = session->model;
  const AllavaConfig *config = model->config;
  const CudaDecoderLayer *layer = &model->layers[index];
  float *k = qkv + cuda_q_width (model), *v = k + cuda_k_width (model);
  if (config->qk_layernorm) {
    norm_heads (session, &layer->q_layernorm, qkv, config->n_heads, m);
    norm_heads (session, &layer->k_layernorm, k, config->n_kv_heads, m);
  }
  const CudaRotate rotate = {
      .q = qkv,
      .k = k,
      .v = v,
      .stride = cuda_q_width (model) + 2 * cuda_k_width (model),
      .rows = m,
      .n_heads = config->n_heads,
      .n_kv_heads = config->n_kv_heads,
      .head_dim = config->head_dim,
      .half = config->rotary_dim / 2,
      .angles = model->rope,
      .position = position,
      .cache = cuda_session_cache (session, index),
  };
  cuda_rotate (&session->queue, &rotate);
}

/* Of rows FIRST to M. */
static void
attend (CudaSession *session, int index, size_t position, size_t first, size_t m)
{
  const CudaModel *model = session->model;
  const AllavaConfig *config = model->config;
  const CudaRows *s = &session->rows;
  size_t qkv = cuda_q_width (model) + 2 * cuda_k_width (model);
  size_t stride = model->layers[0].out.stride;
  const CudaAttention attention = {
      .q = s->qkv + first * qkv,
      .q_stride = qkv,
      .out = (char *)s->acts + first * stride * cuda_type_size (model->format.type),
      .out_stride = stride,
      .out_type = model->format.type,
      .rows = m - first,
      .n_heads = config->n_heads,
      .n_kv_heads = config->n_kv_heads,
      .head_dim = config->head_dim,
      .position = position + first,
      .n_keys = position + m,
      .causal = TRUE,
      .scale = 1.0f / sqrtf (config->head_dim),
      .cache = cuda_session_cache (session, index),
  };
  cuda_attend (&session->queue, &attention);
}

/* All rows' keys and values, but what comes after them of rows FIRST to M alone. */
static void
run_layer (CudaSession *session, int index, size_t position, size_t first, size_t m)
{
  const CudaModel *model = session->model;
  const CudaDecoderLayer *layer = &model->layers[index];
  CudaRows *s = &session->rows;
  size_t qkv = cuda_q_width (model) + 2 * cuda_k_width (model), h = model->config->hidden_size;
  size_t value = cuda_type_size (model->format.type);
  char *acts = (char *)s->acts + first * layer->out.stride * value;

  norm_rows (session, &layer->input_layernorm, m);
  const CudaProduct to_qkv = {
      .x = s->normed,
      .bias = layer->in_bias,
      .y_type = CUDA_TYPE_F32,
      .y = s->qkv,
      .y_stride = qkv,
      .m = m,
      .n = qkv,
  };
  multiply (session, &layer->in, 0, to_qkv);
  const CudaProduct to_mlp = {
      .x = (char *)s->normed + first * layer->in.stride * value,
      .bias = layer->fc1_bias,
      .y_type = model->format.type,
      .y = acts + model->out_split * value,
      .y_stride = layer->out.stride,
      .m = m - first,
      .n = model->config->intermediate_size,
      .gelu = cuda_gelu (model->config->activation),
  };
  multiply (session, &layer->in, qkv, to_mlp);
  finish_projections (session, index, s->qkv, (CudaPosition){.first = position}, m);
  attend (session, index, position, first, m);
  const CudaProduct to_x = {
      .x = acts,
      .bias = layer->out_bias,
      .y_type = CUDA_TYPE_F32,
      .y = s->x + first * h,
      .y_stride = h,
      .m = m - first,
      .n = h,
      .accumulate = TRUE,
  };
  multiply (session, &layer->out, 0, to_x);
}

/* ---- Input ----------------------------------------------------------------------------------- */

/* N of SEGMENT's positions from FIRST on, as rows of x from ROW on. */
static void
embed_segment (
    CudaSession *session, const AllavaSegment *segment, size_t first, size_t n, size_t row)
{
  const CudaModel *model = session->model;
  size_t h = model->config->hidden_size;
  float *x = session->rows.x + row * h;
  if (segment->ids == NULL) {
    const CudaFeatures *features = segment->features;
    cuda_copy (&session->queue, x, features->data + (segment->offset + first) * h,
               n * h * sizeof *x);
    return;
  }
  const CudaEmbed embed = {
      .ids = session->rows.ids + row,
      .table = model->embed_tokens.data,
      .type = model->format.type,
      .table_stride = model->embed_tokens.stride,
      .x = x,
      .rows = n,
      .n = h,
  };
  for (size_t i = 0; i < n; i++)
    session->host_ids[row + i] = segment->ids[first + i];
  cuda_copy (&session->queue, session->rows.ids + row, session->host_ids + row,
             n * sizeof (int32_t));
  cuda_embed (&session->queue, &embed);
}

/* Fills x with M embeddings, the first of which is the FIRST of all segments' positions. */
static void
embed (
    CudaSession *session, const AllavaSegment *segments, size_t n_segments, size_t first, size_t m)
{
  size_t row = 0;
  for (size_t i = 0; i < n_segments && row < m; i++) {
    if (first >= segments[i].n) {
      first -= segments[i].n;
      continue;
    }
    size_t n = MIN (m - row, segments[i].n - first);
    embed_segment (session, &segments[i], first, n, row);
    row += n;
    first = 0;
  }
}

/* ---- Prefill --------------------------------------------------------------------------------- */

static gboolean
show_rows (CudaSession *session, const AllavaTrace *trace, int layer, size_t m, GError **error)
{
  g_autofree char *name = g_strdup_printf ("hidden_states.%d", layer);
  return trace == NULL || cuda_show (session, trace, session->rows.x, m,
                                     session->model->config->hidden_size, name, error);
}

static gboolean
run_layers (CudaSession *session,
            size_t position,
            size_t m,
            const AllavaTrace *trace,
            GCancellable *cancellable,
            GError **error)
{
  int last = session->model->config->n_layers - 1;
  if (!show_rows (session, trace, 0, m, error))
    return FALSE;
  for (int i = 0; i <= last; i++) {
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return FALSE;
    /* Of the last layer's, only the last row is looked at, unless all are shown. */
    run_layer (session, i, position, i == last && trace == NULL ? m - 1 : 0, m);
    if (!show_rows (session, trace, i + 1, m, error))
      return FALSE;
  }
  return TRUE;
}

/* All rows' logits, one row after the other: only traces want them. */
static gboolean
show_logits (CudaSession *session, const AllavaTrace *trace, size_t m, GError **error)
{
  CudaDevice *device = session->model->device;
  size_t vocab = session->model->config->vocab_size, h = session->model->config->hidden_size;
  float *logits =
      cuda_alloc (device, m * vocab * sizeof *logits, "the logits of every position", error);
  if (logits == NULL)
    return FALSE;
  for (size_t i = 0; i < m; i++)
    cuda_queue_head (session, session->rows.x + i * h, logits + i * vocab);
  gboolean ok = cuda_show (session, trace, logits, m, vocab, "logits", error);
  cuda_queue_wait (&session->queue, NULL); /* before it is freed, whatever happened */
  cuda_free (device, logits);
  return ok;
}

/* One token alone, such as a prompt's last when it is asked again, takes a token's way. */
static gboolean
prefill (CudaSession *session,
         const AllavaSegment *segments,
         size_t n_segments,
         size_t position,
         const AllavaTrace *trace,
         GCancellable *cancellable,
         GError **error)
{
  size_t total = 0, m = 0, chunk = MIN (CUDA_CHUNK, session->model->config->context_length);
  const AllavaSegment *last = &segments[n_segments - 1];
  for (size_t i = 0; i < n_segments; i++)
    total += segments[i].n;
  if (!cuda_session_reserve (session, trace != NULL ? total : chunk, error))
    return FALSE;
  for (size_t done = 0; done < total; done += m) {
    m = MIN (total - done, session->rows.rows);
    if (done + 1 == total && last->ids != NULL && trace == NULL) {
      cuda_queue_decode (session, last->ids[last->n - 1], position + done);
      return TRUE;
    }
    embed (session, segments, n_segments, done, m);
    if (!run_layers (session, position + done, m, trace, cancellable, error))
      return FALSE;
    /* The ids on their way up lie where the next chunk's will. */
    if (done + m < total && !cuda_queue_wait (&session->queue, error))
      return FALSE;
  }
  if (trace != NULL && !show_logits (session, trace, m, error))
    return FALSE;
  cuda_queue_head (session, session->rows.x + (m - 1) * session->model->config->hidden_size,
                   session->logits);
  return TRUE;
}

gboolean
cuda_prefill (gpointer data,
              const AllavaSegment *segments,
              size_t n_segments,
              size_t position,
              const AllavaTrace *trace,
              GCancellable *cancellable,
              GError **error)
{
  CudaSession *session = data;
  cuda_session_enter (session);
  gboolean ok = prefill (session, segments, n_segments, position, trace, cancellable, error);
  /* Also after a failure: nothing is queued any more when the caller does something else. */
  return cuda_queue_wait (&session->queue, ok ? error : NULL) && ok;
}

/* ---- A layer of one position ------------------------------------------------------------------
 */

static void
project_one (CudaSession *session, int index)
{
  const CudaModel *model = session->model;
  const AllavaConfig *config = model->config;
  const CudaDecoderLayer *layer = &model->layers[index];
  CudaOne *one = &session->one;
  const CudaProject project = {
      .x = one->x,
      .weight = layer->input_layernorm.weight,
      .bias = layer->input_layernorm.bias,
      .eps = config->layer_norm_eps,
      .n = config->hidden_size,
      .matrix = layer->in,
      .matrix_bias = layer->in_bias,
      .n_heads = config->n_heads,
      .n_kv_heads = config->n_kv_heads,
      .head_dim = config->head_dim,
      .half = config->rotary_dim / 2,
      .angles = model->rope,
      .position = &one->state->position,
      .cache = cuda_session_cache (session, index),
      .q = one->q,
      .raw = config->qk_layernorm,
      .gelu = cuda_gelu (config->activation),
      .planes = one->planes,
      .planes_from = model->out_split,
      .planes_vector = cuda_vector (layer->out.type),
      .planes_stride = layer->out.stride,
  };
  cuda_project (&session->queue, &project, cuda_device_get_info (model->device)->processors);
  if (config->qk_layernorm)
    finish_projections (session, index, one->q, (CudaPosition){.at = &one->state->position}, 1);
}

void
cuda_queue_layer (CudaSession *session, int index)
{
  const CudaModel *model = session->model;
  const AllavaConfig *config = model->config;
  const CudaDecoderLayer *layer = &model->layers[index];
  CudaOne *one = &session->one;
  project_one (session, index);
  const CudaDecodeAttention attention = {
      .q = one->q,
      .n_heads = config->n_heads,
      .n_kv_heads = config->n_kv_heads,
      .head_dim = config->head_dim,
      .scale = 1.0f / sqrtf (config->head_dim),
      .position = &one->state->position,
      .cache = cuda_session_cache (session, index),
      .n_splits = one->n_splits,
      .partials = one->partials,
      .arrivals = one->arrivals,
      .planes = one->planes,
      .planes_vector = cuda_vector (layer->out.type),
      .planes_stride = layer->out.stride,
  };
  cuda_attend_one (&session->queue, &attention);
  const CudaReduce reduce = {one->planes, layer->out, layer->out_bias, one->x};
  cuda_reduce (&session->queue, &reduce, cuda_device_get_info (model->device)->processors);
}

void
cuda_queue_head (CudaSession *session, const float *x, float *logits)
{
  const CudaModel *model = session->model;
  const CudaHead head = {
      .x = x,
      .weight = model->final_layernorm.weight,
      .bias = model->final_layernorm.bias,
      .eps = model->config->layer_norm_eps,
      .n = model->config->hidden_size,
      .matrix = model->lm_head,
      .matrix_bias = model->lm_head_bias,
      .logits = logits,
  };
  cuda_head (&session->queue, &head, cuda_device_get_info (model->device)->processors);
}
