/* session.c - a session's memory: KV cache, scratch, and what the host and the GPU share. */
#include "cuda-model.h"

#include <stdarg.h>

/* Attention of one row is split so that the GPU has work for each of its processors, but no split
 * has fewer keys than a block takes at once. */
static int
count_splits (const CudaModel *model)
{
  const AllavaConfig *config = model->config;
  int tuples = config->n_kv_heads * ((config->n_heads / config->n_kv_heads + 3) / 4);
  /* Where a model is only measured, there is no device yet. */
  int processors = model->device != NULL ? cuda_device_get_info (model->device)->processors : 128;
  int wanted = 2 * processors / tuples;
  return CLAMP (wanted, 1, MAX (1, MIN (config->context_length / 128, CUDA_MAX_SPLITS)));
}

static void
lay_out_vision (const CudaModel *model, CudaVision *s, CudaArena *arena)
{
  const AllavaConfig *config = model->config;
  const AllavaVisionConfig *vision = &config->vision;
  size_t value = cuda_type_size (model->format.type),
         vector = cuda_type_vector (model->format.type);
  size_t n = 1 + (size_t)vision->n_patches, d = vision->hidden_size;
  size_t cache =
      (size_t)vision->n_heads * n * model->vision_head_pad * cuda_type_size (model->format.kv_type);
  s->pixels = cuda_take (arena, 3 * sizeof (float) * vision->image_size * vision->image_size);
  s->patches = cuda_take (arena, vision->n_patches * model->patch_embedding.matrix.stride * value);
  s->x = cuda_take (arena, n * d * sizeof (float));
  s->normed = cuda_take (arena, n * cuda_pad (d, vector) * value);
  s->qkv = cuda_take (arena, n * 3 * d * sizeof (float));
  s->mlp = cuda_take (arena, n * cuda_pad (vision->intermediate_size, vector) * value);
  s->keys = cuda_take (arena, cache);
  s->values = cuda_take (arena, cache);
  size_t widest = cuda_pad (MAX (d, (size_t)config->hidden_size), vector);
  for (int i = 0; i < 2; i++)
    s->projected[i] = cuda_take (arena, n * widest * value);
}

static void
lay_out_one (const CudaModel *model, CudaOne *s, CudaArena *arena)
{
  const AllavaConfig *config = model->config;
  size_t vocab = config->vocab_size;
  s->n_splits = count_splits (model);
  s->state = cuda_take (arena, sizeof *s->state);
  s->x = cuda_take (arena, config->hidden_size * sizeof (float));
  s->q = cuda_take (arena, (cuda_q_width (model) + 2 * cuda_k_width (model)) * sizeof (float));
  s->planes = cuda_take (arena, model->layers[0].out.stride * sizeof (float));
  s->partials = cuda_take (arena, (size_t)config->n_heads * s->n_splits * (model->head_pad + 2) *
                                      sizeof (float));
  s->arrivals = cuda_take (arena, (config->n_heads + 1) * sizeof *s->arrivals);
  s->allowed = cuda_take (arena, vocab);
  s->best = cuda_take (arena, (CUDA_CHOOSE_PARTS + 1) * sizeof *s->best);
  s->weights = cuda_take (arena, vocab * sizeof *s->weights);
  s->digits = cuda_take (arena, sizeof *s->digits);
}

static void
lay_out (const CudaModel *model, CudaSession *session, CudaArena *arena)
{
  const AllavaConfig *config = model->config;
  session->kv =
      cuda_take (arena, (size_t)config->n_layers * 2 * config->n_kv_heads * config->context_length *
                            model->head_pad * cuda_type_size (model->format.kv_type));
  session->logits = cuda_take (arena, config->vocab_size * sizeof (float));
  lay_out_vision (model, &session->vision, arena);
  lay_out_one (model, &session->one, arena);
}

/* Enough for products to be fast, and no more than a layer's larger matrix; 64 rows at least. */
static size_t
count_dequantized (const CudaDecoderLayer *layer)
{
  size_t n = MAX (layer->in.n_out * layer->in.stride, layer->out.n_out * layer->out.stride);
  return MAX (MIN (n, CUDA_DEQUANTIZED), 64 * MAX (layer->in.stride, layer->out.stride));
}

static void
lay_out_rows (const CudaModel *model, CudaRows *s, size_t rows, CudaArena *arena)
{
  const CudaDecoderLayer *layer = &model->layers[0];
  size_t value = cuda_type_size (model->format.type);
  s->rows = rows;
  s->ids = cuda_take (arena, rows * sizeof *s->ids);
  s->x = cuda_take (arena, rows * model->config->hidden_size * sizeof (float));
  s->normed = cuda_take (arena, rows * layer->in.stride * value);
  s->qkv =
      cuda_take (arena, rows * (cuda_q_width (model) + 2 * cuda_k_width (model)) * sizeof (float));
  s->acts = cuda_take (arena, rows * layer->out.stride * value);
  s->n_dequantized = count_dequantized (layer);
  if (MAX (model->format.in, model->format.out) >= CUDA_WEIGHTS_Q8)
    s->dequantized = cuda_take (arena, s->n_dequantized * sizeof *s->dequantized);
}

size_t
cuda_count_session (const CudaModel *model)
{
  CudaSession session = {0};
  CudaArena arena = {0};
  lay_out (model, &session, &arena);
  lay_out_rows (model, &session.rows, MIN (CUDA_CHUNK, model->config->context_length), &arena);
  return arena.used;
}

gboolean
cuda_session_reserve (CudaSession *session, size_t rows, GError **error)
{
  CudaRows *s = &session->rows;
  CudaArena arena = {0};
  if (rows <= s->rows)
    return TRUE;
  cuda_free (session->model->device, s->memory);
  *s = (CudaRows){0};
  lay_out_rows (session->model, &(CudaRows){0}, rows, &arena);
  void *memory =
      cuda_alloc (session->model->device, arena.used, "the model's intermediate results", error);
  if (memory == NULL)
    return FALSE;
  arena = (CudaArena){.base = memory};
  lay_out_rows (session->model, s, rows, &arena);
  s->memory = memory;
  return TRUE;
}

static gboolean
allocate_host (CudaSession *session, GError **error)
{
  const AllavaConfig *config = session->model->config;
  CudaDevice *device = session->model->device;
  size_t pixels = 3 * (size_t)config->vision.image_size * config->vision.image_size;
  return (session->host_pixels = cuda_alloc_host (device, pixels * sizeof (float), error)) &&
         (session->host_logits =
              cuda_alloc_host (device, config->vocab_size * sizeof (float), error)) &&
         (session->host_ids = cuda_alloc_host (
              device, config->context_length * sizeof *session->host_ids, error)) &&
         (session->ring = cuda_alloc_host (device, CUDA_RING * sizeof *session->ring, error));
}

static gboolean
allocate (CudaSession *session, GError **error)
{
  const CudaModel *model = session->model;
  CudaArena arena = {0};
  lay_out (model, &(CudaSession){0}, &arena);
  g_autofree char *what =
      g_strdup_printf ("a conversation of %d positions", model->config->context_length);
  session->memory = cuda_alloc (model->device, arena.used, what, error);
  if (session->memory == NULL || !cuda_queue_init (&session->queue, model->device, error))
    return FALSE;
  arena = (CudaArena){.base = session->memory};
  lay_out (model, session, &arena);
  for (int i = 0; i < CUDA_RING; i++)
    session->chosen[i] = cuda_event_new (&session->queue);
  return allocate_host (session, error) &&
         cuda_session_reserve (session, MIN (CUDA_CHUNK, model->config->context_length), error) &&
         cuda_queue_check (&session->queue, error);
}

gpointer
cuda_session_new (gpointer data, GError **error)
{
  CudaModel *model = data;
  cuda_device_enter (model->device);
  CudaSession *session = g_new0 (CudaSession, 1);
  session->model = model;
  if (allocate (session, error))
    return session;
  cuda_session_free (session);
  return NULL;
}

void
cuda_session_free (gpointer data)
{
  CudaSession *session = data;
  CudaDevice *device = session->model->device;
  cuda_device_enter (device);
  cuda_queue_clear (&session->queue); /* the GPU has done with what follows */
  for (int i = 0; i < CUDA_N_GRAPHS; i++)
    cuda_graph_free (session->graphs[i]);
  for (int i = 0; i < CUDA_RING; i++)
    cuda_event_free (session->chosen[i]);
  cuda_free (device, session->rows.memory);
  cuda_free (device, session->memory);
  cuda_free_host (device, session->host_pixels);
  cuda_free_host (device, session->host_logits);
  cuda_free_host (device, session->host_ids);
  cuda_free_host (device, session->ring);
  g_free (session);
}

void
cuda_session_enter (CudaSession *session)
{
  cuda_device_enter (session->model->device);
  cuda_queue_retry (&session->queue);
}

CudaCache
cuda_session_cache (const CudaSession *session, int layer)
{
  const CudaModel *model = session->model;
  const AllavaConfig *config = model->config;
  size_t plane = (size_t)config->n_kv_heads * config->context_length * model->head_pad *
                 cuda_type_size (model->format.kv_type);
  return (CudaCache){
      .keys = (char *)session->kv + (layer * 2) * plane,
      .values = (char *)session->kv + (layer * 2 + 1) * plane,
      .type = model->format.kv_type,
      .context = config->context_length,
      .head_pad = model->head_pad,
  };
}

gboolean
cuda_show (CudaSession *session,
           const AllavaTrace *trace,
           const float *data,
           size_t rows,
           size_t cols,
           const char *name,
           GError **error)
{
  g_autofree float *copy = g_try_new (float, rows *cols);
  if (copy == NULL) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY, "there is not enough memory for %s",
                 name);
    return FALSE;
  }
  cuda_copy (&session->queue, copy, data, rows * cols * sizeof (float));
  if (!cuda_queue_wait (&session->queue, error))
    return FALSE;
  trace->func (name, copy, 2, (size_t[]){rows, cols}, trace->data);
  return TRUE;
}
