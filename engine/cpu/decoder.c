/* decoder.c - Phi-2's decoder (transformers' PhiModel) over a KV cache.
 *
 * Attention and MLP read the same normed input and both add to the residual:
 * h = LN (x); x += dense (attention (h)) + fc2 (gelu (fc1 (h))). */
#include "cpu-model.h"
#include "trace.h"

#include <math.h>
#include <string.h>

/* ---- Input ----------------------------------------------------------------------------------- */

static void
embed_segment (
    const CpuModel *model, const AllavaSegment *segment, size_t first, size_t n, float *x)
{
  size_t h = model->config->hidden_size;
  if (segment->ids == NULL) {
    const float *features = segment->features;
    memcpy (x, features + (segment->offset + first) * h, n * h * sizeof (float));
    return;
  }
  const AllavaMatrix *table = &model->embed_tokens;
  size_t row = h * allava_dtype_size (table->dtype);
  for (size_t i = 0; i < n; i++)
    allava_widen ((const char *)table->data + segment->ids[first + i] * row, table->dtype, h,
                  x + i * h);
}

/* Fills x with M embeddings, the first of which is the FIRST of all segments' positions. */
static void
embed (const CpuModel *model,
       const AllavaSegment *segments,
       size_t n_segments,
       size_t first,
       size_t m,
       float *x)
{
  for (size_t i = 0; i < n_segments && m > 0; i++) {
    if (first >= segments[i].n) {
      first -= segments[i].n;
      continue;
    }
    size_t n = MIN (m, segments[i].n - first);
    embed_segment (model, &segments[i], first, n, x);
    x += n * model->config->hidden_size;
    m -= n;
    first = 0;
  }
}

/* ---- Rotary embedding and KV cache ----------------------------------------------------------- */

/* Su et al. 2021 in GPT-NeoX's layout: dimension i of the rotated part pairs with i + half. */
static void
rotate (float *head, const float *angles, size_t half)
{
  for (size_t i = 0; i < half; i++) {
    float cosine = angles[2 * i], sine = angles[2 * i + 1];
    float a = head[i], b = head[i + half];
    head[i] = a * cosine - b * sine;
    head[i + half] = b * cosine + a * sine;
  }
}

typedef struct {
  const CpuSession *session;
  size_t index;     /* the layer's */
  size_t position;  /* of row 0 */
  gboolean queries; /* rotate q too */
} RotateJob;

/* The cache of layer INDEX's keys (WHICH 0) or values (1): [kv heads, context, head_dim]. */
static char *
kv_plane (const CpuSession *session, size_t index, int which)
{
  const AllavaConfig *config = session->model->config;
  size_t plane = (size_t)config->n_kv_heads * config->context_length * config->head_dim *
                 allava_dtype_size (session->model->kv_dtype);
  return (char *)session->kv + (index * 2 + which) * plane;
}

static void
store (const CpuSession *session, size_t index, int which, size_t position, const float *row)
{
  const AllavaConfig *config = session->model->config;
  AllavaDtype dtype = session->model->kv_dtype;
  size_t dim = config->head_dim, value = allava_dtype_size (dtype);
  char *plane = kv_plane (session, index, which);
  for (int head = 0; head < config->n_kv_heads; head++)
    allava_narrow (row + head * dim, dtype, dim,
                   plane + ((size_t)head * config->context_length + position) * dim * value);
}

/* One position: rotates k, and q where it is wanted, and fills the cache. */
static void
rotate_row (size_t row, int thread, gpointer data)
{
  const RotateJob *job = data;
  const CpuSession *session = job->session;
  const CpuModel *model = session->model;
  const AllavaConfig *config = model->config;
  size_t dim = config->head_dim, half = config->rotary_dim / 2;
  size_t position = job->position + row;
  const float *angles = model->rope + position * half * 2;
  float *q = session->q + row * config->n_heads * dim;
  float *k = session->k + row * config->n_kv_heads * dim;
  const float *v = session->v + row * config->n_kv_heads * dim;

  for (int head = 0; job->queries && head < config->n_heads; head++)
    rotate (q + head * dim, angles, half);
  for (int head = 0; head < config->n_kv_heads; head++)
    rotate (k + head * dim, angles, half);
  store (session, job->index, 0, position, k);
  store (session, job->index, 1, position, v);
}

/* ---- Layers ---------------------------------------------------------------------------------- */

static void
attend (const CpuSession *session, size_t index, size_t position, size_t m)
{
  const CpuModel *model = session->model;
  const AllavaConfig *config = model->config;
  size_t width = (size_t)config->n_heads * config->head_dim;
  AllavaAttention attention = {
      .q = session->q,
      .q_stride = width,
      .k = kv_plane (session, index, 0),
      .v = kv_plane (session, index, 1),
      .kv_stride = config->context_length,
      .kv_dtype = model->kv_dtype,
      .out = session->context,
      .out_stride = width,
      .m = m,
      .n_heads = config->n_heads,
      .n_kv_heads = config->n_kv_heads,
      .head_dim = config->head_dim,
      .position = position,
      .n_keys = position + m,
      .causal = TRUE,
      .scale = 1.0f / sqrtf (config->head_dim),
  };
  allava_cpu_attention (model->cpu, &attention);
}

static void
norm (const CpuModel *model, const CpuNorm *weights, const float *x, size_t m, size_t n, float *y)
{
  allava_cpu_layer_norm (model->cpu, x, m, n, weights->weight, weights->bias,
                         model->config->layer_norm_eps, y);
}

/* Norms k per head, and q where it is wanted, if the config asks for it; rotates; fills the cache.
 */
static void
finish_projections (
    const CpuSession *session, size_t index, size_t position, size_t m, gboolean queries)
{
  const CpuModel *model = session->model;
  const AllavaConfig *config = model->config;
  const CpuDecoderLayer *layer = &model->layers[index];
  size_t dim = config->head_dim;
  if (config->qk_layernorm && queries)
    norm (model, &layer->q_layernorm, session->q, m * config->n_heads, dim, session->q);
  if (config->qk_layernorm)
    norm (model, &layer->k_layernorm, session->k, m * config->n_kv_heads, dim, session->k);
  RotateJob job = {session, index, position, queries};
  allava_pool_run (allava_cpu_get_pool (model->cpu), m, rotate_row, &job);
}

static void
run_layer (const CpuSession *session, size_t index, size_t position, size_t m)
{
  const CpuModel *model = session->model;
  const AllavaConfig *config = model->config;
  const CpuDecoderLayer *layer = &model->layers[index];
  size_t h = config->hidden_size, f = config->intermediate_size;
  size_t q = layer->q_proj.n_out, k = layer->k_proj.n_out;

  norm (model, &layer->input_layernorm, session->x, m, h, session->normed);
  const AllavaLinear in[] = {
      {&layer->q_proj, session->normed, h, session->q, q},
      {&layer->k_proj, session->normed, h, session->k, k},
      {&layer->v_proj, session->normed, h, session->v, k},
      {&layer->fc1, session->normed, h, session->mlp, f, cpu_activation (config->activation)},
  };
  allava_cpu_linear (model->cpu, in, G_N_ELEMENTS (in), m);
  finish_projections (session, index, position, m, TRUE);
  attend (session, index, position, m);
  const AllavaLinear out[] = {
      {&layer->dense, session->context, q, session->x, h, ALLAVA_ACTIVATION_NONE, TRUE},
      {&layer->fc2, session->mlp, f, session->x, h, ALLAVA_ACTIVATION_NONE, TRUE},
  };
  allava_cpu_linear (model->cpu, out, G_N_ELEMENTS (out), m);
}

/* The last layer of M rows of which only the last row's output is wanted: the others fill the
 * cache, the last moves to row 0 and is computed alone. */
static void
run_last_layer (const CpuSession *session, size_t position, size_t m)
{
  const CpuModel *model = session->model;
  size_t index = model->config->n_layers - 1, h = model->config->hidden_size;
  const CpuDecoderLayer *layer = &model->layers[index];
  size_t k = layer->k_proj.n_out;
  if (m > 1) {
    norm (model, &layer->input_layernorm, session->x, m - 1, h, session->normed);
    const AllavaLinear in[] = {
        {&layer->k_proj, session->normed, h, session->k, k},
        {&layer->v_proj, session->normed, h, session->v, k},
    };
    allava_cpu_linear (model->cpu, in, G_N_ELEMENTS (in), m - 1);
    finish_projections (session, index, position, m - 1, FALSE);
    memcpy (session->x, session->x + (m - 1) * h, h * sizeof (float));
  }
  run_layer (session, index, position + m - 1, 1);
}

/* LOGITS [m, V] of the M rows of x from ROW on. */
static void
run_head (const CpuSession *session, size_t row, size_t m, float *logits)
{
  const CpuModel *model = session->model;
  size_t h = model->config->hidden_size;
  norm (model, &model->final_layernorm, session->x + row * h, m, h, session->normed);
  const AllavaLinear op = {&model->lm_head, session->normed, h, logits, model->lm_head.n_out};
  allava_cpu_linear (model->cpu, &op, 1, m);
}

/* All layers over M rows. A trace sees every row through; without one, only the last row's output
 * is computed, into row 0. */
static gboolean
run_layers (CpuSession *session,
            size_t position,
            size_t m,
            const AllavaTrace *trace,
            GCancellable *cancellable,
            GError **error)
{
  const AllavaConfig *config = session->model->config;
  allava_trace (trace, session->x, m, config->hidden_size, "hidden_states.0");
  for (int i = 0; i < config->n_layers; i++) {
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return FALSE;
    if (trace == NULL && i == config->n_layers - 1)
      run_last_layer (session, position, m);
    else
      run_layer (session, i, position, m);
    allava_trace (trace, session->x, m, config->hidden_size, "hidden_states.%d", i + 1);
  }
  return TRUE;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static gboolean
trace_logits (CpuSession *session, size_t m, const AllavaTrace *trace, GError **error)
{
  size_t vocab = session->model->config->vocab_size;
  g_autofree float *logits = cpu_alloc (m * vocab, "the logits of every position", error);
  if (logits == NULL)
    return FALSE;
  run_head (session, 0, m, logits);
  allava_trace (trace, logits, m, vocab, "logits");
  return TRUE;
}

static gboolean
prefill_locked (CpuSession *session,
                const AllavaSegment *segments,
                size_t n_segments,
                size_t position,
                const AllavaTrace *trace,
                GCancellable *cancellable,
                GError **error)
{
  size_t total = 0, m = 0;
  for (size_t i = 0; i < n_segments; i++)
    total += segments[i].n;
  if (!cpu_session_reserve (session, trace != NULL ? total : MIN (total, CPU_CHUNK), error))
    return FALSE;
  for (size_t done = 0; done < total; done += m) {
    m = MIN (total - done, session->rows);
    embed (session->model, segments, n_segments, done, m, session->x);
    if (!run_layers (session, position + done, m, trace, cancellable, error))
      return FALSE;
  }
  if (trace != NULL && !trace_logits (session, m, trace, error))
    return FALSE;
  run_head (session, trace != NULL ? m - 1 : 0, 1, session->logits);
  return TRUE;
}

gboolean
cpu_prefill (gpointer session,
             const AllavaSegment *segments,
             size_t n_segments,
             size_t position,
             const AllavaTrace *trace,
             GCancellable *cancellable,
             GError **error)
{
  GMutex *mutex = &((CpuSession *)session)->model->mutex;
  g_mutex_lock (mutex);
  gboolean ok = prefill_locked (session, segments, n_segments, position, trace, cancellable, error);
  g_mutex_unlock (mutex);
  return ok;
}

gboolean
cpu_decode (gpointer session, int32_t id, size_t position, GError **error)
{
  const AllavaSegment segment = {.ids = &id, .n = 1};
  return cpu_prefill (session, &segment, 1, position, NULL, NULL, error);
}
