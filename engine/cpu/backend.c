/* backend.c - the CPU's models and sessions. */
#include "cpu-model.h"
#include "memory.h"
#include "quant.h"
#include "topology.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

float *
cpu_alloc (size_t n, const char *what, GError **error)
{
  size_t bytes;
  float *data =
      g_size_checked_mul (&bytes, n, sizeof (float)) ? g_try_malloc (MAX (bytes, 1)) : NULL;
  if (data == NULL)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY,
                 "there is not enough memory for %s (%.1f MB)", what, n * sizeof (float) / 1e6);
  return data;
}

/* ---- Models ------------------------------------------------------------------------------------
 */

/* Rotation angles as transformers' PhiRotaryEmbedding computes them, in f32. */
static void
fill_rope (CpuModel *model)
{
  int half = model->config->rotary_dim / 2;
  for (int position = 0; position < model->config->context_length; position++)
    for (int i = 0; i < half; i++) {
      float power = powf (model->config->rope_theta, (2.0f * i) / model->config->rotary_dim);
      float angle = position * (1.0f / power);
      float *pair = model->rope + ((size_t)position * half + i) * 2;
      pair[0] = cosf (angle);
      pair[1] = sinf (angle);
    }
}

static size_t
matrix_bytes (const AllavaMatrix *matrix)
{
  return matrix->n_out * allava_matrix_row_bytes (matrix) +
         (matrix->bias != NULL ? matrix->n_out * sizeof (float) : 0);
}

static size_t
kv_bytes_per_position (const CpuModel *model)
{
  const AllavaConfig *config = model->config;
  return (size_t)config->n_layers * 2 * config->n_kv_heads * config->head_dim *
         allava_dtype_size (model->kv_dtype);
}

static void
fill_info (const CpuModel *model, size_t weight_bytes, AllavaModelInfo *info)
{
  const AllavaConfig *config = model->config;
  size_t per_token = matrix_bytes (&model->lm_head);
  for (int i = 0; i < config->n_layers; i++) {
    const CpuDecoderLayer *layer = &model->layers[i];
    per_token += matrix_bytes (&layer->q_proj) + matrix_bytes (&layer->k_proj) +
                 matrix_bytes (&layer->v_proj) + matrix_bytes (&layer->dense) +
                 matrix_bytes (&layer->fc1) + matrix_bytes (&layer->fc2);
  }
  info->device = "cpu";
  info->dtype = model->dtype;
  info->threads = allava_pool_get_threads (allava_cpu_get_pool (model->cpu));
  info->instruction_set = allava_isa_to_string (allava_cpu_get_isa (model->cpu));
  info->weight_bytes = weight_bytes;
  info->bytes_per_token = per_token;
  info->kv_bytes_per_position = kv_bytes_per_position (model);
}

static void
cpu_unload (gpointer data)
{
  CpuModel *model = data;
  g_clear_pointer (&model->cpu, allava_cpu_free);
  g_clear_pointer (&model->owned, g_ptr_array_unref);
  g_free (model->vision_layers);
  g_free (model->layers);
  g_free (model->rope);
  g_mutex_clear (&model->mutex);
  g_free (model);
}

static CpuModel *
model_new (const AllavaConfig *config, AllavaDtype dtype)
{
  CpuModel *model = g_new0 (CpuModel, 1);
  g_mutex_init (&model->mutex);
  model->config = config;
  model->owned = g_ptr_array_new_with_free_func (free);
  model->dtype = dtype;
  model->kv_dtype = dtype == ALLAVA_DTYPE_F32 ? ALLAVA_DTYPE_F32 : ALLAVA_DTYPE_F16;
  model->vision_layers = g_new0 (CpuVisionLayer, config->vision.n_run_layers);
  model->layers = g_new0 (CpuDecoderLayer, config->n_layers);
  return model;
}

static gboolean
fill_model (CpuModel *model,
            const AllavaWeights *weights,
            const AllavaModelOptions *options,
            AllavaModelInfo *info,
            GError **error)
{
  const AllavaConfig *config = model->config;
  size_t bytes;
  model->rope =
      cpu_alloc ((size_t)config->context_length * config->rotary_dim, "the rotary table", error);
  if (model->rope == NULL)
    return FALSE;
  fill_rope (model);
  if (!cpu_load_weights (model, weights, options, &bytes, error))
    return FALSE;
  fill_info (model, bytes, info);
  return TRUE;
}

/* With two cores or one, a low priority has to do. */
static int
count_threads (const AllavaModelOptions *options)
{
  int cores = allava_topology_read ().cores;
  return options->background && options->threads == 0 && cores > 2 ? cores - 1 : options->threads;
}

static gpointer
cpu_load (const AllavaConfig *config,
          const AllavaWeights *weights,
          const AllavaModelOptions *options,
          AllavaModelInfo *info,
          GError **error)
{
  AllavaIsa isa = allava_isa_detect ();
  if (isa == ALLAVA_ISA_NONE) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE,
                 "this processor lacks AVX2, which Allava needs");
    return NULL;
  }
  AllavaDtype dtype = options->dtype;
  gboolean rounds = dtype == ALLAVA_DTYPE_BF16 || allava_dtype_is_quantized (dtype);
  AllavaCpu *cpu = allava_cpu_new (isa, count_threads (options), rounds, error);
  if (cpu == NULL)
    return NULL;
  if (options->background)
    allava_pool_lower_priority (allava_cpu_get_pool (cpu));
  CpuModel *model = model_new (config, dtype);
  model->cpu = cpu;
  if (fill_model (model, weights, options, info, error))
    return model;
  cpu_unload (model);
  return NULL;
}

static size_t
cpu_read_free (const AllavaModelOptions *options)
{
  return allava_memory_read_free ("/");
}

/* The decoder's and the vision tower's scratch, one image's features, logits, rotary table. */
static size_t
scratch_bytes (const AllavaConfig *config)
{
  const AllavaVisionConfig *vision = &config->vision;
  size_t q = (size_t)config->n_heads * config->head_dim;
  size_t k = (size_t)config->n_kv_heads * config->head_dim;
  size_t row = 2 * (size_t)config->hidden_size + 2 * q + 2 * k + config->intermediate_size;
  size_t patch = 3 * (size_t)vision->patch_size * vision->patch_size;
  size_t vision_row = 7 * (size_t)vision->hidden_size + vision->intermediate_size + patch;
  return sizeof (float) *
         (row * MIN (CPU_CHUNK, config->context_length) + vision_row * (1 + vision->n_patches) +
          (size_t)config->hidden_size * config->image_positions + config->vocab_size +
          (size_t)config->context_length * config->rotary_dim);
}

static size_t
cpu_measure (const AllavaConfig *config, const AllavaWeights *weights, AllavaDtype dtype)
{
  if (weights->quantized != ALLAVA_DTYPE_AUTO && weights->quantized != dtype)
    return SIZE_MAX;
  CpuModel *model = model_new (config, dtype);
  size_t bytes;
  cpu_load_weights (model, weights, NULL, &bytes, NULL);
  size_t kv = kv_bytes_per_position (model) * config->context_length;
  cpu_unload (model);
  return bytes + kv + scratch_bytes (config);
}

static double
cpu_measure_bandwidth (gpointer data)
{
  /* Far beyond any cache, and in memory of our own: what the hardware can do. */
  const size_t bytes = (size_t)256 << 20;
  CpuModel *model = data;
  void *buffer = g_try_malloc (bytes);
  if (buffer == NULL)
    return 0;
  memset (buffer, 1, bytes);
  double seconds = 0, passes = 0;
  g_mutex_lock (&model->mutex);
  for (; seconds < 0.3; passes++)
    seconds += bytes / allava_cpu_measure_bandwidth (model->cpu, buffer, bytes);
  g_mutex_unlock (&model->mutex);
  g_free (buffer);
  return passes * bytes / seconds;
}

/* ---- Sessions -------------------------------------------------------------------------------- */

static void
free_scratch (CpuSession *session)
{
  g_clear_pointer (&session->x, g_free);
  g_clear_pointer (&session->normed, g_free);
  g_clear_pointer (&session->q, g_free);
  g_clear_pointer (&session->k, g_free);
  g_clear_pointer (&session->v, g_free);
  g_clear_pointer (&session->context, g_free);
  g_clear_pointer (&session->mlp, g_free);
  session->rows = 0;
}

gboolean
cpu_session_reserve (CpuSession *session, size_t rows, GError **error)
{
  if (rows <= session->rows)
    return TRUE;
  const AllavaConfig *config = session->model->config;
  const char *what = "the model's intermediate results";
  size_t q = (size_t)config->n_heads * config->head_dim;
  size_t k = (size_t)config->n_kv_heads * config->head_dim;
  free_scratch (session);
  if ((session->x = cpu_alloc (rows * config->hidden_size, what, error)) == NULL ||
      (session->normed = cpu_alloc (rows * config->hidden_size, what, error)) == NULL ||
      (session->q = cpu_alloc (rows * q, what, error)) == NULL ||
      (session->k = cpu_alloc (rows * k, what, error)) == NULL ||
      (session->v = cpu_alloc (rows * k, what, error)) == NULL ||
      (session->context = cpu_alloc (rows * q, what, error)) == NULL ||
      (session->mlp = cpu_alloc (rows * config->intermediate_size, what, error)) == NULL)
    return FALSE;
  session->rows = rows;
  return TRUE;
}

static void
cpu_session_free (gpointer data)
{
  CpuSession *session = data;
  free_scratch (session);
  g_free (session->kv);
  g_free (session->logits);
  g_free (session);
}

static gboolean
allocate_kv (CpuSession *session, GError **error)
{
  const AllavaConfig *config = session->model->config;
  size_t bytes;
  size_t per_position = kv_bytes_per_position (session->model);
  /* The allocation itself succeeds on a machine that overcommits, so ask first. */
  if (g_size_checked_mul (&bytes, per_position, config->context_length) &&
      bytes <= allava_memory_read_free ("/"))
    session->kv = g_try_malloc (bytes);
  if (session->kv == NULL)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_MEMORY,
                 "there is not enough memory for a conversation of %d positions (%.0f MB)%s",
                 config->context_length, (double)per_position * config->context_length / 1e6,
                 session->model->kv_dtype == ALLAVA_DTYPE_F32 ? "; --dtype bf16 needs half" : "");
  else
    /* Each head's part fills from its start, and is smaller than a huge page: such pages would all
     * be backed at once, for positions that most conversations never reach. */
    allava_memory_advise (session->kv, bytes, TRUE, MADV_NOHUGEPAGE);
  return session->kv != NULL;
}

static gpointer
cpu_session_new (gpointer data, GError **error)
{
  CpuModel *model = data;
  const AllavaConfig *config = model->config;
  CpuSession *session = g_new0 (CpuSession, 1);
  session->model = model;
  if (allocate_kv (session, error) &&
      (session->logits = cpu_alloc (config->vocab_size, "the logits", error)) != NULL &&
      cpu_session_reserve (session, MIN (CPU_CHUNK, config->context_length), error))
    return session;
  cpu_session_free (session);
  return NULL;
}

static const float *
cpu_get_logits (gpointer data)
{
  return ((CpuSession *)data)->logits;
}

int
allava_count_cores (void)
{
  return allava_topology_read ().cores;
}

static const AllavaDtype automatic[] = {ALLAVA_DTYPE_F32, ALLAVA_DTYPE_BF16, ALLAVA_DTYPE_Q8,
                                        ALLAVA_DTYPE_Q4, ALLAVA_DTYPE_AUTO};

const AllavaBackend allava_cpu_backend = {
    .name = "cpu",
    .automatic = automatic,
    .read_free = cpu_read_free,
    .measure = cpu_measure,
    .load = cpu_load,
    .unload = cpu_unload,
    .measure_bandwidth = cpu_measure_bandwidth,
    .session_new = cpu_session_new,
    .session_free = cpu_session_free,
    .encode = cpu_encode,
    .features_free = g_free,
    .prefill = cpu_prefill,
    .decode = cpu_decode,
    .get_logits = cpu_get_logits,
};
