#include "config.h"

#include "json.h"

#include <math.h>

/* Beyond any model of this family; they keep every product of sizes far from overflow. */
#define MAX_WIDTH (1 << 18)
#define MAX_VOCAB (1 << 22)
#define MAX_LAYERS 1024
#define MAX_HEADS 1024
#define MAX_HEAD_DIM 256
#define MAX_CONTEXT (1 << 20)
#define MAX_IMAGE 4096
#define MAX_JSON ((size_t)4 << 20)

/* One config.json's object and its name for errors. */
typedef struct {
  JsonObject *object;
  const char *file;
} Source;

static gboolean refuse (const Source *source, GError **error, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

static gboolean
refuse (const Source *source, GError **error, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *fact = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED, "%s: %s", source->file, fact);
  return FALSE;
}

static gboolean
get_size (const Source *source, const char *key, int max, int *value, GError **error)
{
  int64_t wide = *value;
  if (!allava_json_get_int (source->object, source->file, key, 1, max, &wide, error))
    return FALSE;
  *value = wide;
  return TRUE;
}

static gboolean
get_eps (const Source *source, float *value, GError **error)
{
  double eps = 1e-5;
  if (!allava_json_get_double (source->object, source->file, "layer_norm_eps", &eps, error))
    return FALSE;
  if (!(eps >= 0 && eps < 1))
    return refuse (source, error, "\"layer_norm_eps\" is not between 0 and 1");
  *value = eps;
  return TRUE;
}

static gboolean
get_activation (const Source *source, AllavaGelu *value, GError **error)
{
  static const struct {
    const char *name;
    AllavaGelu gelu;
  } known[] = {
      {"gelu_new", ALLAVA_GELU_TANH},
      {"gelu_pytorch_tanh", ALLAVA_GELU_TANH},
      {"gelu", ALLAVA_GELU_ERF},
      {"quick_gelu", ALLAVA_GELU_QUICK},
  };
  const char *name = NULL;
  if (!allava_json_get_string (source->object, source->file, "hidden_act", &name, error))
    return FALSE;
  if (name == NULL)
    return TRUE;
  for (size_t i = 0; i < G_N_ELEMENTS (known); i++)
    if (g_str_equal (name, known[i].name)) {
      *value = known[i].gelu;
      return TRUE;
    }
  return refuse (source, error, "the activation \"%s\" (hidden_act) is not supported", name);
}

/* ---- Decoder --------------------------------------------------------------------------------- */

/* Rotary settings stand at the top level, or since transformers 5 in "rope_parameters". */
static gboolean
read_rope (AllavaConfig *config, const Source *source, GError **error)
{
  double factor = 0.5, theta = 10000;
  JsonObject *parameters = NULL, *scaling = NULL;
  const char *type = "default";
  if (!allava_json_get_object (source->object, source->file, "rope_scaling", &scaling, error) ||
      !allava_json_get_object (source->object, source->file, "rope_parameters", &parameters,
                               error) ||
      !allava_json_get_double (source->object, source->file, "partial_rotary_factor", &factor,
                               error) ||
      !allava_json_get_double (source->object, source->file, "rope_theta", &theta, error))
    return FALSE;
  if (parameters != NULL &&
      (!allava_json_get_string (parameters, source->file, "rope_type", &type, error) ||
       !allava_json_get_double (parameters, source->file, "partial_rotary_factor", &factor,
                                error) ||
       !allava_json_get_double (parameters, source->file, "rope_theta", &theta, error)))
    return FALSE;
  if (scaling != NULL)
    return refuse (source, error, "\"rope_scaling\" is not supported");
  if (!g_str_equal (type, "default"))
    return refuse (source, error, "the rope_type \"%s\" is not supported", type);
  if (!(factor > 0 && factor <= 1))
    return refuse (source, error, "\"partial_rotary_factor\" is not above 0 and at most 1");
  if (!(theta > 0 && isfinite (theta)))
    return refuse (source, error, "\"rope_theta\" is not above 0");
  config->rope_theta = theta;
  config->rotary_dim = factor * config->head_dim;
  if (config->rotary_dim % 2 != 0)
    return refuse (source, error,
                   "\"partial_rotary_factor\" rotates %d dimensions of a head, an odd number",
                   config->rotary_dim);
  return TRUE;
}

static gboolean
read_heads (AllavaConfig *config, const Source *source, GError **error)
{
  config->n_heads = 32;
  if (!get_size (source, "num_attention_heads", MAX_HEADS, &config->n_heads, error))
    return FALSE;
  config->n_kv_heads = config->n_heads;
  config->head_dim = config->hidden_size / config->n_heads;
  if (config->hidden_size % config->n_heads != 0)
    return refuse (source, error,
                   "\"hidden_size\" %d is not a multiple of \"num_attention_heads\" %d",
                   config->hidden_size, config->n_heads);
  if (!get_size (source, "num_key_value_heads", MAX_HEADS, &config->n_kv_heads, error) ||
      !get_size (source, "head_dim", MAX_HEAD_DIM, &config->head_dim, error))
    return FALSE;
  if (config->n_heads % config->n_kv_heads != 0)
    return refuse (source, error,
                   "\"num_attention_heads\" %d is not a multiple of \"num_key_value_heads\" %d",
                   config->n_heads, config->n_kv_heads);
  if (config->head_dim > MAX_HEAD_DIM)
    return refuse (source, error, "heads of more than %d dimensions", MAX_HEAD_DIM);
  return TRUE;
}

/* -1 where the config names none. A list of ids is refused. */
static gboolean
read_eos (AllavaConfig *config, const Source *source, GError **error)
{
  config->eos_token_id = -1;
  JsonNode *node = json_object_get_member (source->object, "eos_token_id");
  if (node != NULL && JSON_NODE_HOLDS_ARRAY (node))
    return refuse (source, error, "a list of \"eos_token_id\" is not supported");
  return allava_json_get_int (source->object, source->file, "eos_token_id", 0, MAX_VOCAB,
                              &config->eos_token_id, error);
}

static gboolean
read_decoder (AllavaConfig *config, const Source *source, GError **error)
{
  config->hidden_size = 2048;
  config->intermediate_size = 8192;
  config->n_layers = 24;
  config->vocab_size = 51200;
  config->context_length = 2048;
  config->activation = ALLAVA_GELU_TANH;
  return get_size (source, "hidden_size", MAX_WIDTH, &config->hidden_size, error) &&
         get_size (source, "intermediate_size", MAX_WIDTH, &config->intermediate_size, error) &&
         get_size (source, "num_hidden_layers", MAX_LAYERS, &config->n_layers, error) &&
         get_size (source, "vocab_size", MAX_VOCAB, &config->vocab_size, error) &&
         get_size (source, "max_position_embeddings", MAX_CONTEXT, &config->context_length,
                   error) &&
         allava_json_get_bool (source->object, source->file, "qk_layernorm", &config->qk_layernorm,
                               error) &&
         allava_json_get_bool (source->object, source->file, "tie_word_embeddings",
                               &config->tied_embeddings, error) &&
         get_eps (source, &config->layer_norm_eps, error) &&
         get_activation (source, &config->activation, error) &&
         read_heads (config, source, error) && read_rope (config, source, error) &&
         read_eos (config, source, error);
}

/* ---- Vision tower ---------------------------------------------------------------------------- */

/* Sizes of the towers that checkpoints name without stating them. */
static const struct {
  const char *name;
  AllavaVisionConfig config;
} known_towers[] = {
    {"openai/clip-vit-large-patch14-336",
     {.image_size = 336,
      .patch_size = 14,
      .hidden_size = 1024,
      .intermediate_size = 4096,
      .n_layers = 24,
      .n_heads = 16}},
    {"openai/clip-vit-large-patch14",
     {.image_size = 224,
      .patch_size = 14,
      .hidden_size = 1024,
      .intermediate_size = 4096,
      .n_layers = 24,
      .n_heads = 16}},
};

static gboolean
use_known_tower (AllavaVisionConfig *vision, const char *name, const Source *source, GError **error)
{
  for (size_t i = 0; name != NULL && i < G_N_ELEMENTS (known_towers); i++)
    if (g_str_equal (name, known_towers[i].name)) {
      *vision = known_towers[i].config;
      vision->activation = ALLAVA_GELU_QUICK;
      vision->layer_norm_eps = 1e-5f;
      return TRUE;
    }
  return refuse (source, error,
                 "the sizes of the vision tower \"%s\" are not known; add a \"vision_config\"",
                 name != NULL ? name : "(none named)");
}

static gboolean
read_vision (AllavaVisionConfig *vision, const Source *source, GError **error)
{
  vision->image_size = 224;
  vision->patch_size = 32;
  vision->hidden_size = 768;
  vision->intermediate_size = 3072;
  vision->n_layers = 12;
  vision->n_heads = 12;
  vision->activation = ALLAVA_GELU_QUICK;
  return get_size (source, "image_size", MAX_IMAGE, &vision->image_size, error) &&
         get_size (source, "patch_size", MAX_IMAGE, &vision->patch_size, error) &&
         get_size (source, "hidden_size", MAX_WIDTH, &vision->hidden_size, error) &&
         get_size (source, "intermediate_size", MAX_WIDTH, &vision->intermediate_size, error) &&
         get_size (source, "num_hidden_layers", MAX_LAYERS, &vision->n_layers, error) &&
         get_size (source, "num_attention_heads", MAX_HEADS, &vision->n_heads, error) &&
         get_eps (source, &vision->layer_norm_eps, error) &&
         get_activation (source, &vision->activation, error);
}

/* The tower's own folder: config.json of a CLIPModel (with vision_config) or a CLIPVisionModel. */
static gboolean
read_tower_folder (AllavaVisionConfig *vision, const char *dir, GError **error)
{
  g_autofree char *path = g_build_filename (dir, "config.json", NULL);
  g_autoptr (JsonNode) root = allava_json_load (path, MAX_JSON, error);
  if (root == NULL)
    return FALSE;
  Source source = {json_node_get_object (root), path};
  JsonObject *nested = NULL;
  if (!allava_json_get_object (source.object, path, "vision_config", &nested, error))
    return FALSE;
  if (nested != NULL)
    source.object = nested;
  return read_vision (vision, &source, error);
}

static gboolean
check_vision (AllavaVisionConfig *vision, const Source *source, GError **error)
{
  int side = vision->image_size / vision->patch_size;
  if (side == 0)
    return refuse (source, error, "the vision tower's patches are larger than its image");
  if (vision->hidden_size % vision->n_heads != 0 ||
      vision->hidden_size / vision->n_heads > MAX_HEAD_DIM)
    return refuse (source, error,
                   "the vision tower's hidden_size %d does not divide into %d heads of at most %d",
                   vision->hidden_size, vision->n_heads, MAX_HEAD_DIM);
  vision->n_patches = side * side;
  return TRUE;
}

/* ---- How the two are joined ------------------------------------------------------------------ */

static gboolean
read_projector (AllavaConfig *config, const Source *source, GError **error)
{
  const char *type = "linear";
  if (!allava_json_get_string (source->object, source->file, "mm_projector_type", &type, error))
    return FALSE;
  config->n_projector_layers = g_str_equal (type, "linear") ? 1 : 0;
  for (int n = 1; n <= ALLAVA_MAX_PROJECTOR_LAYERS && config->n_projector_layers == 0; n++) {
    g_autofree char *mlp = g_strdup_printf ("mlp%dx_gelu", n);
    if (g_str_equal (type, mlp))
      config->n_projector_layers = n;
  }
  if (config->n_projector_layers == 0)
    return refuse (source, error, "the projector \"%s\" (mm_projector_type) is not supported",
                   type);
  return TRUE;
}

static gboolean
read_selection (AllavaConfig *config, const Source *source, GError **error)
{
  AllavaVisionConfig *vision = &config->vision;
  int64_t layer = -2;
  const char *feature = "patch";
  if (!allava_json_get_int (source->object, source->file, "mm_vision_select_layer",
                            -(vision->n_layers + 1), vision->n_layers, &layer, error) ||
      !allava_json_get_string (source->object, source->file, "mm_vision_select_feature", &feature,
                               error))
    return FALSE;
  vision->n_run_layers = layer >= 0 ? layer : vision->n_layers + 1 + layer;
  config->keep_class_token = g_str_equal (feature, "cls_patch");
  if (!config->keep_class_token && !g_str_equal (feature, "patch"))
    return refuse (source, error, "mm_vision_select_feature \"%s\" is not supported", feature);
  config->image_positions = vision->n_patches + config->keep_class_token;
  return TRUE;
}

/* mm_ settings that change the computation and that no ALLaVA checkpoint uses. */
static gboolean
read_refused (AllavaConfig *config, const Source *source, GError **error)
{
  const char *ratio = "square", *merge = "flat";
  gboolean start_end = FALSE;
  if (!allava_json_get_string (source->object, source->file, "image_aspect_ratio", &ratio, error) ||
      !allava_json_get_string (source->object, source->file, "mm_patch_merge_type", &merge,
                               error) ||
      !allava_json_get_bool (source->object, source->file, "mm_use_im_start_end", &start_end,
                             error))
    return FALSE;
  if (g_str_equal (ratio, "pad"))
    config->aspect = ALLAVA_ASPECT_PAD;
  else if (g_str_equal (ratio, "square"))
    config->aspect = ALLAVA_ASPECT_CENTER;
  else
    return refuse (source, error, "image_aspect_ratio \"%s\" is not supported", ratio);
  if (start_end)
    return refuse (source, error, "\"mm_use_im_start_end\" is not supported");
  if (!g_str_equal (merge, "flat"))
    return refuse (source, error, "mm_patch_merge_type \"%s\" is not supported", merge);
  return TRUE;
}

static gboolean
read_tower (AllavaConfig *config, const Source *source, const char *vision_tower, GError **error)
{
  JsonObject *nested = NULL;
  const char *name = NULL;
  if (!allava_json_get_object (source->object, source->file, "vision_config", &nested, error) ||
      !allava_json_get_string (source->object, source->file, "mm_vision_tower", &name, error))
    return FALSE;
  Source vision = {nested, source->file};
  gboolean ok = vision_tower != NULL ? read_tower_folder (&config->vision, vision_tower, error)
                : nested != NULL     ? read_vision (&config->vision, &vision, error)
                                     : use_known_tower (&config->vision, name, source, error);
  return ok && check_vision (&config->vision, source, error);
}

static gboolean
check_model_type (const Source *source, GError **error)
{
  const char *type = NULL;
  if (!allava_json_get_string (source->object, source->file, "model_type", &type, error))
    return FALSE;
  if (type == NULL || !g_str_equal (type, "llava_phi"))
    return refuse (source, error,
                   "the model type is \"%s\"; Allava runs \"llava_phi\" (ALLaVA-3B and its kin)",
                   type != NULL ? type : "(none stated)");
  if (json_object_has_member (source->object, "quantization_config") &&
      !json_object_get_null_member (source->object, "quantization_config"))
    return refuse (source, error, "\"quantization_config\" is not supported; use the 16-bit files");
  return TRUE;
}

static gboolean
read_root (AllavaConfig *config,
           JsonNode *root,
           const char *file,
           const char *vision_tower,
           GError **error)
{
  *config = (AllavaConfig){0};
  Source source = {json_node_get_object (root), file};
  return check_model_type (&source, error) && read_decoder (config, &source, error) &&
         read_tower (config, &source, vision_tower, error) &&
         read_selection (config, &source, error) && read_projector (config, &source, error) &&
         read_refused (config, &source, error);
}

gboolean
allava_config_parse (AllavaConfig *config,
                     const char *json,
                     size_t length,
                     const char *file,
                     const char *vision_tower,
                     GError **error)
{
  g_autoptr (JsonNode) root = allava_json_parse (json, length, file, error);
  return root != NULL && read_root (config, root, file, vision_tower, error);
}

gboolean
allava_config_load (AllavaConfig *config, const char *dir, const char *vision_tower, GError **error)
{
  g_autofree char *path = g_build_filename (dir, "config.json", NULL);
  if (!g_file_test (path, G_FILE_TEST_EXISTS)) {
    gboolean is_dir = g_file_test (dir, G_FILE_TEST_IS_DIR);
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE,
                 is_dir ? "%s holds no model: config.json is missing" : "%s is not a folder", dir);
    return FALSE;
  }
  g_autoptr (JsonNode) root = allava_json_load (path, MAX_JSON, error);
  return root != NULL && read_root (config, root, path, vision_tower, error);
}

char *
allava_model_read_type (const char *dir, GError **error)
{
  g_return_val_if_fail (dir != NULL, NULL);
  g_autofree char *path = g_build_filename (dir, "config.json", NULL);
  g_autoptr (JsonNode) root = allava_json_load (path, MAX_JSON, error);
  const char *type = "";
  if (root == NULL ||
      !allava_json_get_string (json_node_get_object (root), path, "model_type", &type, error))
    return NULL;
  return g_strdup (type);
}
