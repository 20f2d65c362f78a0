/* vision.c - CLIP's vision tower (transformers' CLIPVisionTransformer) and LLaVA's projector. */
#include "cpu-model.h"
#include "trace.h"

#include <math.h>
#include <string.h>

/* Scratch for one image: N = 1 + P rows. */
typedef struct {
  size_t n;
  float *patches; /* [P, 3 * patch * patch] */
  float *x;       /* [N, D] residual */
  float *normed;  /* [N, D] */
  float *q;       /* [N, D] */
  float *k;       /* [N, D] */
  float *v;       /* [N, D] */
  float *k_heads; /* [heads, N, head_dim] */
  float *v_heads; /* [heads, N, head_dim] */
  float *mlp;     /* [N, E] */
} Scratch;

static void
scratch_clear (Scratch *s)
{
  g_free (s->patches);
  g_free (s->x);
  g_free (s->normed);
  g_free (s->q);
  g_free (s->k);
  g_free (s->v);
  g_free (s->k_heads);
  g_free (s->v_heads);
  g_free (s->mlp);
}

static gboolean
scratch_init (Scratch *s, const AllavaVisionConfig *vision, GError **error)
{
  const char *what = "the vision tower's intermediate results";
  size_t patch = 3 * (size_t)vision->patch_size * vision->patch_size;
  size_t n = 1 + (size_t)vision->n_patches, d = vision->hidden_size;
  *s = (Scratch){.n = n};
  return (s->patches = cpu_alloc (vision->n_patches * patch, what, error)) != NULL &&
         (s->x = cpu_alloc (n * d, what, error)) != NULL &&
         (s->normed = cpu_alloc (n * d, what, error)) != NULL &&
         (s->q = cpu_alloc (n * d, what, error)) != NULL &&
         (s->k = cpu_alloc (n * d, what, error)) != NULL &&
         (s->v = cpu_alloc (n * d, what, error)) != NULL &&
         (s->k_heads = cpu_alloc (n * d, what, error)) != NULL &&
         (s->v_heads = cpu_alloc (n * d, what, error)) != NULL &&
         (s->mlp = cpu_alloc (n * vision->intermediate_size, what, error)) != NULL;
}

static void
linear (const CpuModel *model,
        const AllavaMatrix *matrix,
        const float *x,
        size_t m,
        AllavaActivation activation,
        gboolean accumulate,
        float *y)
{
  AllavaLinear op = {matrix, x, matrix->n_in, y, matrix->n_out, activation, accumulate};
  allava_cpu_linear (model->cpu, &op, 1, m);
}

/* The convolution's windows as rows: PIXELS [3, S, S] to PATCHES [P, 3, patch, patch]. */
static void
gather_patches (const AllavaVisionConfig *vision, const float *pixels, float *patches)
{
  size_t size = vision->image_size, patch = vision->patch_size, side = size / patch;
  for (size_t row = 0; row < side; row++)
    for (size_t column = 0; column < side; column++)
      for (size_t channel = 0; channel < 3; channel++)
        for (size_t y = 0; y < patch; y++) {
          const float *from = pixels + (channel * size + row * patch + y) * size + column * patch;
          memcpy (patches, from, patch * sizeof (float));
          patches += patch;
        }
}

/* x = pre_layrnorm ([class; patches] + positions). */
static void
embed (const CpuModel *model, const float *pixels, Scratch *s)
{
  const AllavaVisionConfig *vision = &model->config->vision;
  size_t d = vision->hidden_size;
  gather_patches (vision, pixels, s->patches);
  memcpy (s->x, model->class_embedding, d * sizeof (float));
  linear (model, &model->patch_embedding, s->patches, vision->n_patches, ALLAVA_ACTIVATION_NONE,
          FALSE, s->x + d);
  for (size_t i = 0; i < s->n * d; i++)
    s->x[i] += model->position_embedding[i];
  allava_cpu_layer_norm (model->cpu, s->x, s->n, d, model->pre_layrnorm.weight,
                         model->pre_layrnorm.bias, vision->layer_norm_eps, s->x);
}

/* [N, heads, head_dim] to [heads, N, head_dim]. */
static void
split_heads (const float *in, size_t n, size_t heads, size_t head_dim, float *out)
{
  for (size_t head = 0; head < heads; head++)
    for (size_t i = 0; i < n; i++)
      memcpy (out + (head * n + i) * head_dim, in + (i * heads + head) * head_dim,
              head_dim * sizeof (float));
}

/* q becomes softmax (q k^T / sqrt (head_dim)) v, every head on its own, without a mask. */
static void
attend (const CpuModel *model, Scratch *s)
{
  const AllavaVisionConfig *vision = &model->config->vision;
  size_t d = vision->hidden_size, heads = vision->n_heads, head_dim = d / heads;
  split_heads (s->k, s->n, heads, head_dim, s->k_heads);
  split_heads (s->v, s->n, heads, head_dim, s->v_heads);
  AllavaAttention attention = {
      .q = s->q,
      .q_stride = d,
      .k = s->k_heads,
      .v = s->v_heads,
      .kv_stride = s->n,
      .kv_dtype = ALLAVA_DTYPE_F32,
      .out = s->normed,
      .out_stride = d,
      .m = s->n,
      .n_heads = heads,
      .n_kv_heads = heads,
      .head_dim = head_dim,
      .n_keys = s->n,
      .scale = 1.0f / sqrtf (head_dim),
  };
  allava_cpu_attention (model->cpu, &attention);
}

/* x += out_proj (attention (LN1 (x))); x += fc2 (quick_gelu (fc1 (LN2 (x)))). */
static void
run_layer (const CpuModel *model, const CpuVisionLayer *layer, Scratch *s)
{
  const AllavaVisionConfig *vision = &model->config->vision;
  size_t n = s->n, d = vision->hidden_size;
  float eps = vision->layer_norm_eps;
  const CpuNorm *norm = &layer->layer_norm1;

  allava_cpu_layer_norm (model->cpu, s->x, n, d, norm->weight, norm->bias, eps, s->normed);
  const AllavaLinear qkv[] = {
      {&layer->q_proj, s->normed, d, s->q, d},
      {&layer->k_proj, s->normed, d, s->k, d},
      {&layer->v_proj, s->normed, d, s->v, d},
  };
  allava_cpu_linear (model->cpu, qkv, G_N_ELEMENTS (qkv), n);
  attend (model, s);
  linear (model, &layer->out_proj, s->normed, n, ALLAVA_ACTIVATION_NONE, TRUE, s->x);

  norm = &layer->layer_norm2;
  allava_cpu_layer_norm (model->cpu, s->x, n, d, norm->weight, norm->bias, eps, s->normed);
  linear (model, &layer->fc1, s->normed, n, cpu_activation (vision->activation), FALSE, s->mlp);
  linear (model, &layer->fc2, s->mlp, n, ALLAVA_ACTIVATION_NONE, TRUE, s->x);
}

/* Linear layers with the exact GELU between them: ROWS [P, D] to features [P, H]. */
static float *
project (const CpuModel *model, const float *rows, GError **error)
{
  const AllavaConfig *config = model->config;
  size_t p = config->image_positions, h = config->hidden_size;
  g_autofree float *in = NULL;
  for (int i = 0; i < config->n_projector_layers; i++) {
    gboolean last = i == config->n_projector_layers - 1;
    float *out = cpu_alloc (p * h, "an image's features", error);
    if (out == NULL)
      return NULL;
    linear (model, &model->projector[i], in != NULL ? in : rows, p,
            last ? ALLAVA_ACTIVATION_NONE : ALLAVA_ACTIVATION_GELU, FALSE, out);
    g_free (in);
    in = out;
  }
  return g_steal_pointer (&in);
}

static float *
encode_locked (const CpuModel *model,
               Scratch *s,
               const float *pixels,
               int index,
               const AllavaTrace *trace,
               GCancellable *cancellable,
               double *projector_ms,
               GError **error)
{
  const AllavaConfig *config = model->config;
  size_t d = config->vision.hidden_size;
  embed (model, pixels, s);
  allava_trace (trace, s->x, s->n, d, "vision_hidden_states.%d.0", index);
  for (int i = 0; i < config->vision.n_run_layers; i++) {
    if (g_cancellable_set_error_if_cancelled (cancellable, error))
      return NULL;
    run_layer (model, &model->vision_layers[i], s);
    allava_trace (trace, s->x, s->n, d, "vision_hidden_states.%d.%d", index, i + 1);
  }
  const float *rows = config->keep_class_token ? s->x : s->x + d;
  size_t p = config->image_positions;
  allava_trace (trace, rows, p, d, "vision_features.%d", index);
  int64_t start = g_get_monotonic_time ();
  float *features = project (model, rows, error);
  *projector_ms += (g_get_monotonic_time () - start) / 1e3;
  if (features != NULL)
    allava_trace (trace, features, p, config->hidden_size, "image_features.%d", index);
  return features;
}

gpointer
cpu_encode (gpointer session,
            const float *pixel_values,
            int index,
            const AllavaTrace *trace,
            GCancellable *cancellable,
            double *projector_ms,
            GError **error)
{
  CpuModel *model = ((CpuSession *)session)->model;
  Scratch scratch;
  float *features = NULL;
  if (scratch_init (&scratch, &model->config->vision, error)) {
    g_mutex_lock (&model->mutex);
    features = encode_locked (model, &scratch, pixel_values, index, trace, cancellable,
                              projector_ms, error);
    g_mutex_unlock (&model->mutex);
  }
  scratch_clear (&scratch);
  return features;
}
