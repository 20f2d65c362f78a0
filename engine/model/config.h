/* config.h - config.json of a LLaVA-Phi checkpoint (transformers' PhiConfig and CLIPVisionConfig
 * with LLaVA's mm_ keys), checked and resolved. A key that is absent has the default that those
 * classes give it. */
#pragma once

#include "allava-engine.h"
#include "preprocess.h"

typedef enum {
  ALLAVA_GELU_TANH,  /* "gelu_new", "gelu_pytorch_tanh" */
  ALLAVA_GELU_ERF,   /* "gelu" */
  ALLAVA_GELU_QUICK, /* "quick_gelu" */
} AllavaGelu;

typedef struct {
  int image_size; /* pixels, a multiple of patch_size or cut down to one */
  int patch_size;
  int hidden_size; /* D */
  int intermediate_size;
  int n_layers;     /* in the checkpoint */
  int n_run_layers; /* hidden_states[mm_vision_select_layer] is this layer's output */
  int n_heads;
  int n_patches; /* (image_size / patch_size) squared */
  AllavaGelu activation;
  float layer_norm_eps;
} AllavaVisionConfig;

#define ALLAVA_MAX_PROJECTOR_LAYERS 8

typedef struct {
  int hidden_size; /* H */
  int intermediate_size;
  int n_layers;
  int n_heads;
  int n_kv_heads;
  int head_dim;
  int rotary_dim; /* leading dimensions of each head that are rotated; even */
  int vocab_size;
  int context_length; /* positions */
  double rope_theta;
  float layer_norm_eps;
  AllavaGelu activation;
  gboolean qk_layernorm;
  gboolean tied_embeddings;

  AllavaVisionConfig vision;
  gboolean keep_class_token; /* mm_vision_select_feature "cls_patch" */
  int image_positions;       /* P: n_patches, and 1 with the class token */
  int n_projector_layers;    /* linear layers; exact GELU between them */
  AllavaAspect aspect;

  int64_t eos_token_id; /* -1 where config.json does not say */
} AllavaConfig;

/* Reads DIR/config.json. VISION_TOWER is the CLIP folder whose config.json gives the vision sizes,
 * or NULL. Errors: FILE, FORMAT, UNSUPPORTED. */
gboolean allava_config_load (AllavaConfig *config,
                             const char *dir,
                             const char *vision_tower,
                             GError **error);

/* The same for JSON in memory; FILE names it in errors. */
gboolean allava_config_parse (AllavaConfig *config,
                              const char *json,
                              size_t length,
                              const char *file,
                              const char *vision_tower,
                              GError **error);
