#include "model.h"

#include "json.h"
#include "memory.h"
#include "module.h"
#include "prompt.h"
#include "quant.h"

#include <string.h>

#define MAX_JSON ((size_t)4 << 20)

/* ---- The end token --------------------------------------------------------------------------- */

static JsonNode *
load_optional (const char *dir, const char *name, char **path, GError **error)
{
  *path = g_build_filename (dir, name, NULL);
  if (!g_file_test (*path, G_FILE_TEST_EXISTS))
    return NULL;
  return allava_json_load (*path, MAX_JSON, error);
}

/* tokenizer_config.json's "eos_token": a string, or an added token's object with its content. */
static gboolean
read_eos_text (const char *dir, const char *name, char **text, GError **error)
{
  g_autofree char *path = NULL;
  GError *local = NULL;
  g_autoptr (JsonNode) root = load_optional (dir, name, &path, &local);
  if (root == NULL) {
    if (local != NULL)
      g_propagate_error (error, local);
    return local == NULL;
  }
  JsonObject *object = json_node_get_object (root);
  JsonNode *node = json_object_get_member (object, "eos_token");
  const char *content = NULL;
  JsonObject *token =
      node != NULL && JSON_NODE_HOLDS_OBJECT (node) ? json_node_get_object (node) : NULL;
  if (!allava_json_get_string (token != NULL ? token : object, path,
                               token != NULL ? "content" : "eos_token", &content, error))
    return FALSE;
  *text = g_strdup (content);
  return TRUE;
}

/* Where the checkpoint's files say it, in the order in which they decide. */
static gboolean
resolve_eos (AllavaModel *model, GError **error)
{
  g_autofree char *path = NULL, *text = NULL;
  GError *local = NULL;
  int64_t id = model->config.eos_token_id;
  if (id < 0) {
    g_autoptr (JsonNode) root = load_optional (model->dir, "generation_config.json", &path, &local);
    if (local != NULL ||
        (root != NULL && !allava_json_get_int (json_node_get_object (root), path, "eos_token_id", 0,
                                               G_MAXINT32, &id, &local))) {
      g_propagate_error (error, local);
      return FALSE;
    }
  }
  if (id < 0) {
    if (!read_eos_text (model->dir, "tokenizer_config.json", &text, error) ||
        (text == NULL && !read_eos_text (model->dir, "special_tokens_map.json", &text, error)))
      return FALSE;
    id = allava_tokenizer_find (model->tokenizer, text != NULL ? text : "<|endoftext|>");
  }
  size_t length;
  if (id < 0 || id >= model->config.vocab_size ||
      allava_tokenizer_get_bytes (model->tokenizer, id, &length) == NULL) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: its tokenizer has no end token; add \"eos_token\" to tokenizer_config.json",
                 model->dir);
    return FALSE;
  }
  model->eos = id;
  return TRUE;
}

/* ---- Loading --------------------------------------------------------------------------------- */

/* Ids that can be sampled: those with text. lm_head's further rows mean nothing. */
static gboolean
list_ids (AllavaModel *model, GError **error)
{
  int32_t n = allava_tokenizer_get_n_ids (model->tokenizer);
  size_t length;
  if (n > model->config.vocab_size) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s: its tokenizer has ids up to %d, but config.json's vocab_size is %d",
                 model->dir, n - 1, model->config.vocab_size);
    return FALSE;
  }
  model->ids = g_array_sized_new (FALSE, FALSE, sizeof (int32_t), n);
  for (int32_t id = 0; id < n; id++)
    if (allava_tokenizer_get_bytes (model->tokenizer, id, &length) != NULL)
      g_array_append_val (model->ids, id);
  return TRUE;
}

static gboolean
load_text (AllavaModel *model, GError **error)
{
  model->tokenizer = allava_tokenizer_load (model->dir, error);
  return model->tokenizer != NULL && list_ids (model, error) && resolve_eos (model, error);
}

static gboolean
load_preprocess (AllavaModel *model, const char *vision_tower, GError **error)
{
  AllavaPreprocess *preprocess = &model->preprocess;
  int size = model->config.vision.image_size;
  g_autofree char *own = g_build_filename (model->dir, "preprocessor_config.json", NULL);
  gboolean has_own = g_file_test (own, G_FILE_TEST_EXISTS);
  allava_preprocess_init (preprocess, size);
  if (!allava_preprocess_load (preprocess,
                               has_own || vision_tower == NULL ? model->dir : vision_tower, error))
    return FALSE;
  preprocess->aspect = model->config.aspect;
  if (preprocess->crop_size == size)
    return TRUE;
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
               "%s: preprocessor_config.json makes images of %d pixels, but the vision tower takes "
               "%d",
               model->dir, preprocess->crop_size, size);
  return FALSE;
}

static gboolean
map_weights (AllavaModel *model, const AllavaModelOptions *options, GError **error)
{
  model->set = allava_safetensors_open_dir (model->dir, error);
  if (model->set == NULL)
    return FALSE;
  if (options->vision_tower != NULL) {
    model->tower = allava_safetensors_open_dir (options->vision_tower, error);
    if (model->tower == NULL)
      return FALSE;
  }
  return allava_weights_bind (&model->weights, &model->config, model->set, model->tower, error);
}

static void
fill_info (AllavaModel *model)
{
  const AllavaConfig *config = &model->config;
  AllavaModelInfo *info = &model->info;
  AllavaTensorType type = model->weights.layers[0].fc1.weight->type;
  AllavaDtype quantized = model->weights.quantized;
  info->name = strrchr (model->dir, G_DIR_SEPARATOR) != NULL
                   ? strrchr (model->dir, G_DIR_SEPARATOR) + 1
                   : model->dir;
  info->stored_dtype = quantized != ALLAVA_DTYPE_AUTO ? quantized
                       : type == ALLAVA_TENSOR_BF16   ? ALLAVA_DTYPE_BF16
                       : type == ALLAVA_TENSOR_F16    ? ALLAVA_DTYPE_F16
                                                      : ALLAVA_DTYPE_F32;
  info->image_size = config->vision.image_size;
  info->image_positions = config->image_positions;
  info->vision_width = config->vision.hidden_size;
  info->hidden_size = config->hidden_size;
  info->vocab_size = config->vocab_size;
  info->context_length = config->context_length;
  info->n_parameters = model->weights.n_parameters;
}

/* Puts the dtype to use into OPTIONS: the one asked for, or the widest that fits. */
static gboolean
choose_dtype (AllavaModel *model, AllavaModelOptions *options, GError **error)
{
  AllavaModelInfo *info = &model->info;
  gboolean fixed = options->dtype != ALLAVA_DTYPE_AUTO;
  AllavaFootprint footprints[8];
  int n = 0;
  if (fixed) {
    size_t bytes = model->backend->measure (&model->config, &model->weights, options->dtype);
    if (bytes == SIZE_MAX)
      return TRUE; /* load() says why not */
    footprints[n++] = (AllavaFootprint){options->dtype, bytes};
  }
  for (const AllavaDtype *dtype = model->backend->automatic; *dtype != ALLAVA_DTYPE_AUTO; dtype++) {
    gboolean halves = *dtype == ALLAVA_DTYPE_BF16 && info->stored_dtype == ALLAVA_DTYPE_F16;
    AllavaDtype candidate = halves ? ALLAVA_DTYPE_F16 : *dtype;
    size_t bytes = model->backend->measure (&model->config, &model->weights, candidate);
    if (bytes != SIZE_MAX && (n == 0 || bytes < footprints[n - 1].bytes))
      footprints[n++] = (AllavaFootprint){candidate, bytes};
  }
  info->free_bytes = model->backend->read_free (options);
  int chosen = allava_memory_choose (footprints, n, fixed, info->free_bytes, info->name, error);
  if (chosen < 0)
    return FALSE;
  options->dtype = footprints[chosen].dtype;
  info->needed_bytes = footprints[chosen].bytes;
  return TRUE;
}

static gboolean
check_files (const AllavaModel *model, GError **error)
{
  return allava_safetensors_check (model->set, error) &&
         allava_safetensors_check (model->tower, error);
}

gboolean
allava_model_check (const AllavaModel *model, GError **error)
{
  return model->backend->copies || check_files (model, error);
}

typedef struct {
  AllavaSafetensors *set;
  GCancellable *cancellable;
} Warming;

static gpointer
warm (gpointer data)
{
  const Warming *warming = data;
  allava_safetensors_warm (warming->set, NULL, NULL, warming->cancellable, NULL);
  return NULL;
}

/* Gives the weights to the backend. Where it copies them, the files are read ahead of it. */
static gboolean
fill_backend (AllavaModel *model, const AllavaModelOptions *options, GError **error)
{
  Warming warming = {model->set, options->cancellable};
  GThread *thread = NULL;
  /* A backend that quantises reads each tensor once, and does not need the file afterwards. */
  gboolean quantize =
      allava_dtype_is_quantized (options->dtype) && model->weights.quantized == ALLAVA_DTYPE_AUTO;
  if (model->backend->copies)
    thread = g_thread_new ("read ahead", warm, &warming);
  else if (!quantize &&
           !allava_safetensors_warm (model->set, options->progress, options->progress_data,
                                     options->cancellable, error))
    return FALSE;
  model->backend_model =
      model->backend->load (&model->config, &model->weights, options, &model->info, error);
  if (thread != NULL)
    g_thread_join (thread);
  if (model->backend_model != NULL && !check_files (model, error))
    g_clear_pointer (&model->backend_model, model->backend->unload);
  return model->backend_model != NULL;
}

static gboolean
start_backend (AllavaModel *model,
               const AllavaBackend *backend,
               const AllavaModelOptions *options,
               GError **error)
{
  AllavaModelOptions resolved = *options;
  model->backend = backend;
  return choose_dtype (model, &resolved, error) && fill_backend (model, &resolved, error);
}

static gboolean
start_cuda (AllavaModel *model, const AllavaModelOptions *options, GError **error)
{
  const AllavaBackend *cuda = allava_cuda_module_load (error);
  return cuda != NULL && start_backend (model, cuda, options, error);
}

/* CUDA where it is and works; else the CPU, which keeps the reason. */
static gboolean
start_any (AllavaModel *model, const AllavaModelOptions *options, GError **error)
{
  g_autoptr (GError) local = NULL;
  if (start_cuda (model, options, &local))
    return TRUE;
  if (g_error_matches (local, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    g_propagate_error (error, g_steal_pointer (&local));
    return FALSE;
  }
  model->device_note = g_strdup (local->message);
  model->info.device_note = model->device_note;
  return start_backend (model, &allava_cpu_backend, options, error);
}

static gboolean
start (AllavaModel *model, const AllavaModelOptions *options, GError **error)
{
  const char *device = options->device != NULL ? options->device : "auto";
  if (g_str_equal (device, "auto"))
    return start_any (model, options, error);
  if (g_str_equal (device, "cpu"))
    return start_backend (model, &allava_cpu_backend, options, error);
  if (g_str_equal (device, "cuda") || g_str_has_prefix (device, "cuda:")) {
    gboolean started = start_cuda (model, options, error);
    if (!started)
      g_prefix_error (error, "on the GPU: ");
    return started;
  }
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE,
               "there is no device \"%s\"; use auto, cpu, cuda or cuda:N", device);
  return FALSE;
}

/* All but the backend's part. */
static AllavaModel *
model_new (const char *dir, const AllavaModelOptions *options, GError **error)
{
  g_autoptr (AllavaModel) model = g_new0 (AllavaModel, 1);
  g_atomic_ref_count_init (&model->ref_count);
  model->dir = g_canonicalize_filename (dir, NULL);
  if (!allava_config_load (&model->config, dir, options->vision_tower, error) ||
      !load_text (model, error) || !load_preprocess (model, options->vision_tower, error) ||
      !map_weights (model, options, error))
    return NULL;
  fill_info (model);
  return g_steal_pointer (&model);
}

AllavaModel *
allava_model_load_on (const AllavaBackend *backend,
                      const char *dir,
                      const AllavaModelOptions *options,
                      GError **error)
{
  g_autoptr (AllavaModel) model = model_new (dir, options, error);
  return model != NULL && start_backend (model, backend, options, error) ? g_steal_pointer (&model)
                                                                         : NULL;
}

AllavaModel *
allava_model_load (const char *dir, const AllavaModelOptions *options, GError **error)
{
  g_return_val_if_fail (dir != NULL, NULL);
  const AllavaModelOptions defaults = ALLAVA_MODEL_OPTIONS_INIT;
  if (options == NULL)
    options = &defaults;
  g_autoptr (AllavaModel) model = model_new (dir, options, error);
  return model != NULL && start (model, options, error) ? g_steal_pointer (&model) : NULL;
}

AllavaModel *
allava_model_ref (AllavaModel *model)
{
  g_atomic_ref_count_inc (&model->ref_count);
  return model;
}

void
allava_model_unref (AllavaModel *model)
{
  if (model == NULL || !g_atomic_ref_count_dec (&model->ref_count))
    return;
  if (model->backend_model != NULL)
    model->backend->unload (model->backend_model);
  allava_weights_clear (&model->weights);
  allava_safetensors_free (model->set);
  allava_safetensors_free (model->tower);
  g_clear_pointer (&model->tokenizer, allava_tokenizer_unref);
  g_clear_pointer (&model->ids, g_array_unref);
  g_free (model->device_note);
  g_free (model->dir);
  g_free (model);
}

/* ---- What it tells --------------------------------------------------------------------------- */

const AllavaModelInfo *
allava_model_get_info (AllavaModel *model)
{
  return &model->info;
}

AllavaTokenizer *
allava_model_get_tokenizer (AllavaModel *model)
{
  return model->tokenizer;
}

double
allava_model_measure_bandwidth (AllavaModel *model)
{
  return model->backend->measure_bandwidth (model->backend_model);
}

size_t
allava_model_get_device_memory (AllavaModel *model)
{
  const AllavaBackend *backend = model->backend;
  return backend->get_memory != NULL ? backend->get_memory (model->backend_model) : 0;
}

gboolean
allava_model_tokenize_turns (
    AllavaModel *model, const AllavaTurn *turns, size_t n_turns, GArray *ids, GError **error)
{
  AllavaPromptRules rules = {model->tokenizer, model->eos, model->info.image_positions, SIZE_MAX,
                             SIZE_MAX};
  AllavaPrompt prompt;
  if (!allava_prompt_build (&prompt, &rules, turns, n_turns, error))
    return FALSE;
  for (guint i = 0; i < prompt.items->len; i++) {
    const AllavaPromptItem *item = &g_array_index (prompt.items, AllavaPromptItem, i);
    int32_t id = item->picture != NULL ? -200 : item->id;
    g_array_append_val (ids, id);
  }
  allava_prompt_clear (&prompt);
  return TRUE;
}
