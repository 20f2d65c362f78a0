#include "weights.h"
#include "quant.h"

/* ---- The blueprint --------------------------------------------------------------------------- */

/* Symbolic sizes, resolved from the config. */
typedef enum { END, ONE_PLUS_P, D, E, H, F, Q, K, V, HEAD, CHANNELS, PATCH, N_SIZES } Size;

typedef enum {
  BARE,     /* the name is the tensor's own, there is no bias */
  WEIGHT,   /* NAME.weight alone */
  AND_BIAS, /* NAME.weight and NAME.bias */
  MAY_BIAS, /* NAME.weight, and NAME.bias where it is there */
} Kind;

typedef struct {
  const char *name;
  size_t offset; /* of the AllavaParam in its struct */
  Kind kind;
  Size shape[5]; /* ends with END; a bias has the first alone */
} Entry;

#define AT(type, member) offsetof (type, member)

static const Entry vision_embeddings[] = {
    {"embeddings.class_embedding", AT (AllavaWeights, class_embedding), BARE, {D}},
    {"embeddings.patch_embedding",
     AT (AllavaWeights, patch_embedding),
     WEIGHT,
     {D, CHANNELS, PATCH, PATCH}},
    {"embeddings.position_embedding",
     AT (AllavaWeights, position_embedding),
     WEIGHT,
     {ONE_PLUS_P, D}},
    {"pre_layrnorm", AT (AllavaWeights, pre_layrnorm), AND_BIAS, {D}},
};

static const Entry vision_layer[] = {
    {"layer_norm1", AT (AllavaVisionLayer, layer_norm1), AND_BIAS, {D}},
    {"self_attn.q_proj", AT (AllavaVisionLayer, q_proj), AND_BIAS, {D, D}},
    {"self_attn.k_proj", AT (AllavaVisionLayer, k_proj), AND_BIAS, {D, D}},
    {"self_attn.v_proj", AT (AllavaVisionLayer, v_proj), AND_BIAS, {D, D}},
    {"self_attn.out_proj", AT (AllavaVisionLayer, out_proj), AND_BIAS, {D, D}},
    {"layer_norm2", AT (AllavaVisionLayer, layer_norm2), AND_BIAS, {D}},
    {"mlp.fc1", AT (AllavaVisionLayer, fc1), AND_BIAS, {E, D}},
    {"mlp.fc2", AT (AllavaVisionLayer, fc2), AND_BIAS, {D, E}},
};

static const Entry decoder_layer[] = {
    {"input_layernorm", AT (AllavaDecoderLayer, input_layernorm), AND_BIAS, {H}},
    {"self_attn.q_proj", AT (AllavaDecoderLayer, q_proj), AND_BIAS, {Q, H}},
    {"self_attn.k_proj", AT (AllavaDecoderLayer, k_proj), AND_BIAS, {K, H}},
    {"self_attn.v_proj", AT (AllavaDecoderLayer, v_proj), AND_BIAS, {K, H}},
    {"self_attn.dense", AT (AllavaDecoderLayer, dense), AND_BIAS, {H, Q}},
    {"mlp.fc1", AT (AllavaDecoderLayer, fc1), AND_BIAS, {F, H}},
    {"mlp.fc2", AT (AllavaDecoderLayer, fc2), AND_BIAS, {H, F}},
};

static const Entry decoder_layer_qk_norm[] = {
    {"self_attn.q_layernorm", AT (AllavaDecoderLayer, q_layernorm), AND_BIAS, {HEAD}},
    {"self_attn.k_layernorm", AT (AllavaDecoderLayer, k_layernorm), AND_BIAS, {HEAD}},
};

static const Entry decoder_ends[] = {
    {"model.embed_tokens", AT (AllavaWeights, embed_tokens), WEIGHT, {V, H}},
    {"model.final_layernorm", AT (AllavaWeights, final_layernorm), AND_BIAS, {H}},
};

static const Entry lm_head = {"lm_head", AT (AllavaWeights, lm_head), MAY_BIAS, {V, H}};

/* ---- Binding --------------------------------------------------------------------------------- */

typedef struct {
  AllavaSafetensors *set;
  size_t sizes[N_SIZES];
  size_t *n_parameters;
  gboolean quantized; /* SET may hold quantised weights */
} Binder;

static gboolean
check_tensor (
    const Binder *binder, const AllavaTensor *tensor, const Size *shape, int n_dims, GError **error)
{
  gboolean same = tensor->n_dims == n_dims;
  for (int i = 0; same && i < n_dims; i++)
    same = tensor->shape[i] == binder->sizes[shape[i]];
  if (!same) {
    g_autoptr (GString) is = g_string_new ("["), should = g_string_new ("[");
    for (int i = 0; i < tensor->n_dims; i++)
      g_string_append_printf (is, "%s%zu", i ? ", " : "", tensor->shape[i]);
    for (int i = 0; i < n_dims; i++)
      g_string_append_printf (should, "%s%zu", i ? ", " : "", binder->sizes[shape[i]]);
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: tensor %s has shape %s], but config.json says %s]", tensor->file,
                 tensor->name, is->str, should->str);
    return FALSE;
  }
  if (tensor->type > ALLAVA_TENSOR_F16) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED,
                 "%s: tensor %s is stored as %s; Allava reads F32, BF16 and F16", tensor->file,
                 tensor->name, tensor->type_name);
    return FALSE;
  }
  return TRUE;
}

/* The tensor NAME, or NULL with an error unless OPTIONAL. */
static gboolean
find_tensor (const Binder *binder,
             const char *name,
             const Size *shape,
             int n_dims,
             gboolean optional,
             const AllavaTensor **tensor,
             GError **error)
{
  *tensor = allava_safetensors_find (binder->set, name);
  if (*tensor != NULL) {
    *binder->n_parameters += (*tensor)->n_elements;
    return check_tensor (binder, *tensor, shape, n_dims, error);
  }
  if (!optional)
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "the model's files lack the tensor %s",
                 name);
  return optional;
}

/* ---- Quantised weights ----------------------------------------------------------------------- */

static gboolean
has_shape (const AllavaTensor *tensor, size_t rows, size_t columns)
{
  return tensor->n_dims == 2 && tensor->shape[0] == rows && tensor->shape[1] == columns;
}

static gboolean
check_records (const AllavaTensor *weight,
               const AllavaTensor *records,
               AllavaDtype dtype,
               size_t n_out,
               size_t n_in,
               GError **error)
{
  AllavaTensorType type = dtype == ALLAVA_DTYPE_Q8 ? ALLAVA_TENSOR_F16 : ALLAVA_TENSOR_U16;
  if (records->type != type || !has_shape (records, n_out, allava_quant_row_groups (n_in))) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: tensor %s should be %s [%zu, %zu], the scales of %s", records->file,
                 records->name, type == ALLAVA_TENSOR_F16 ? "F16" : "U16", n_out,
                 allava_quant_row_groups (n_in), weight->name);
    return FALSE;
  }
  if (!allava_quant_check_records (dtype, records->data, records->n_elements)) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: tensor %s holds scales that are negative or not finite; the file is damaged",
                 records->file, records->name);
    return FALSE;
  }
  return TRUE;
}

/* The values NAME, known to be I8 or U8, of a matrix [N_OUT, N_IN], and their records. */
static gboolean
bind_quantized (const Binder *binder,
                const char *name,
                size_t n_out,
                size_t n_in,
                AllavaParam *param,
                GError **error)
{
  const AllavaTensor *weight = allava_safetensors_find (binder->set, name);
  AllavaDtype dtype = weight->type == ALLAVA_TENSOR_I8 ? ALLAVA_DTYPE_Q8 : ALLAVA_DTYPE_Q4;
  g_autofree char *records_name = g_strconcat (name, "_scales", NULL);
  const AllavaTensor *records = allava_safetensors_find (binder->set, records_name);
  size_t multiple = ALLAVA_QUANT_GROUP * (dtype == ALLAVA_DTYPE_Q4 ? 2 : 1);
  if (n_in % multiple != 0 || !has_shape (weight, n_out, allava_quant_row_bytes (dtype, n_in))) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: tensor %s is not %s of the matrix [%zu, %zu] that config.json says it is",
                 weight->file, name, allava_dtype_to_string (dtype), n_out, n_in);
    return FALSE;
  }
  if (records == NULL) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s: tensor %s lacks its scales, %s",
                 weight->file, name, records_name);
    return FALSE;
  }
  *binder->n_parameters += n_out * n_in;
  param->weight = weight;
  param->records = records;
  return check_records (weight, records, dtype, n_out, n_in, error);
}

/* What the file says that it is quantised to. */
static gboolean
read_quantization (AllavaSafetensors *set, AllavaDtype *dtype, GError **error)
{
  const char *name = allava_safetensors_get_metadata (set, ALLAVA_QUANT_METADATA);
  const char *version = allava_safetensors_get_metadata (set, ALLAVA_QUANT_METADATA "_version");
  if (name == NULL)
    return TRUE;
  if (g_strcmp0 (version, ALLAVA_QUANT_VERSION) == 0 && allava_dtype_from_string (name, dtype) &&
      allava_dtype_is_quantized (*dtype))
    return TRUE;
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED,
               "the model's weights are quantised as \"%s\", version %s, which this version of "
               "Allava does not know",
               name, version != NULL ? version : "unknown");
  return FALSE;
}

/* ---- Entries --------------------------------------------------------------------------------- */

/* Whether the tensor NAME of ENTRY holds quantised values. Those that multiply only, and in a file
 * that says so. */
static gboolean
is_quantized (const Binder *binder, const Entry *entry, const char *name, int n_dims)
{
  const AllavaTensor *tensor = allava_safetensors_find (binder->set, name);
  return binder->quantized && entry->kind >= AND_BIAS && n_dims == 2 && tensor != NULL &&
         (tensor->type == ALLAVA_TENSOR_I8 || tensor->type == ALLAVA_TENSOR_U8);
}

static gboolean
bind_entry (
    const Binder *binder, const Entry *entry, const char *prefix, gpointer owner, GError **error)
{
  AllavaParam *param = (AllavaParam *)((char *)owner + entry->offset);
  g_autofree char *weight =
      g_strconcat (prefix, entry->name, entry->kind == BARE ? NULL : ".weight", NULL);
  g_autofree char *bias = g_strconcat (prefix, entry->name, ".bias", NULL);
  int n_dims = 0;
  while (n_dims < 5 && entry->shape[n_dims] != END)
    n_dims++;
  if (is_quantized (binder, entry, weight, n_dims)
          ? !bind_quantized (binder, weight, binder->sizes[entry->shape[0]],
                             binder->sizes[entry->shape[1]], param, error)
          : !find_tensor (binder, weight, entry->shape, n_dims, FALSE, &param->weight, error))
    return FALSE;
  return entry->kind < AND_BIAS ||
         find_tensor (binder, bias, entry->shape, 1, entry->kind == MAY_BIAS, &param->bias, error);
}

static gboolean
bind_entries (const Binder *binder,
              const Entry *entries,
              size_t n_entries,
              const char *prefix,
              gpointer owner,
              GError **error)
{
  for (size_t i = 0; i < n_entries; i++)
    if (!bind_entry (binder, &entries[i], prefix, owner, error))
      return FALSE;
  return TRUE;
}

#define BIND(binder, entries, prefix, owner, error)                                                \
  bind_entries (binder, entries, G_N_ELEMENTS (entries), prefix, owner, error)

static gboolean
bind_vision (AllavaWeights *weights,
             const AllavaConfig *config,
             const Binder *binder,
             const char *prefix,
             GError **error)
{
  if (!BIND (binder, vision_embeddings, prefix, weights, error))
    return FALSE;
  for (int i = 0; i < config->vision.n_run_layers; i++) {
    g_autofree char *layer = g_strdup_printf ("%sencoder.layers.%d.", prefix, i);
    if (!BIND (binder, vision_layer, layer, &weights->vision_layers[i], error))
      return FALSE;
  }
  return TRUE;
}

/* LLaVA's projector is an nn.Linear, or an nn.Sequential whose odd members are the GELUs. */
static gboolean
bind_projector (AllavaWeights *weights,
                const AllavaConfig *config,
                const Binder *binder,
                gboolean sequential,
                GError **error)
{
  for (int i = 0; i < config->n_projector_layers; i++) {
    g_autofree char *name =
        sequential ? g_strdup_printf ("mm_projector.%d", 2 * i) : g_strdup ("mm_projector");
    Entry entry = {name, i * sizeof (AllavaParam), AND_BIAS, {H, i == 0 ? D : H}};
    if (!bind_entry (binder, &entry, "model.", weights->projector, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
bind_decoder (AllavaWeights *weights,
              const AllavaConfig *config,
              const Binder *binder,
              GError **error)
{
  if (!BIND (binder, decoder_ends, "", weights, error))
    return FALSE;
  for (int i = 0; i < config->n_layers; i++) {
    g_autofree char *prefix = g_strdup_printf ("model.layers.%d.", i);
    if (!BIND (binder, decoder_layer, prefix, &weights->layers[i], error) ||
        (config->qk_layernorm &&
         !BIND (binder, decoder_layer_qk_norm, prefix, &weights->layers[i], error)))
      return FALSE;
  }
  if (!config->tied_embeddings)
    return bind_entry (binder, &lm_head, "", weights, error);
  const Size shape[] = {V};
  weights->lm_head.weight = weights->embed_tokens.weight;
  return find_tensor (binder, "lm_head.bias", shape, 1, TRUE, &weights->lm_head.bias, error);
}

/* Chooses the tower's tensors in the checkpoint's own files, else in the tower's folder. Returns
 * their names' prefix. */
static const char *
choose_tower (Binder *binder, AllavaSafetensors *set, AllavaSafetensors *tower, GError **error)
{
  static const char *const prefixes[] = {
      "model.vision_tower.vision_tower.vision_model.",
      "vision_model.", /* a CLIPModel's or CLIPVisionModel's own folder */
  };
  g_autofree char *probe = g_strconcat (prefixes[0], "embeddings.class_embedding", NULL);
  gboolean own = allava_safetensors_find (set, probe) != NULL;
  if (!own && tower == NULL) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "the model's files hold no vision tower; name the folder of its CLIP model with "
                 "--vision-tower");
    return NULL;
  }
  binder->set = own ? set : tower;
  return prefixes[own ? 0 : 1];
}

gboolean
allava_weights_bind (AllavaWeights *weights,
                     const AllavaConfig *config,
                     AllavaSafetensors *set,
                     AllavaSafetensors *tower,
                     GError **error)
{
  const AllavaVisionConfig *vision = &config->vision;
  Binder binder = {
      .set = set,
      .n_parameters = &weights->n_parameters,
      .sizes =
          {
              [ONE_PLUS_P] = 1 + vision->n_patches,
              [D] = vision->hidden_size,
              [E] = vision->intermediate_size,
              [H] = config->hidden_size,
              [F] = config->intermediate_size,
              [Q] = (size_t)config->n_heads * config->head_dim,
              [K] = (size_t)config->n_kv_heads * config->head_dim,
              [V] = config->vocab_size,
              [HEAD] = config->head_dim,
              [CHANNELS] = 3,
              [PATCH] = vision->patch_size,
          },
  };
  *weights = (AllavaWeights){
      .vision_layers = g_new0 (AllavaVisionLayer, vision->n_run_layers),
      .layers = g_new0 (AllavaDecoderLayer, config->n_layers),
  };
  if (!read_quantization (set, &weights->quantized, error)) {
    allava_weights_clear (weights);
    return FALSE;
  }
  binder.quantized = weights->quantized != ALLAVA_DTYPE_AUTO;
  Binder tower_binder = binder;
  const char *tower_prefix = choose_tower (&tower_binder, set, tower, error);
  gboolean sequential = config->n_projector_layers > 1 ||
                        allava_safetensors_find (set, "model.mm_projector.weight") == NULL;
  if (tower_prefix != NULL && bind_decoder (weights, config, &binder, error) &&
      bind_projector (weights, config, &binder, sequential, error) &&
      bind_vision (weights, config, &tower_binder, tower_prefix, error))
    return TRUE;
  allava_weights_clear (weights);
  return FALSE;
}

void
allava_weights_clear (AllavaWeights *weights)
{
  g_clear_pointer (&weights->vision_layers, g_free);
  g_clear_pointer (&weights->layers, g_free);
}
