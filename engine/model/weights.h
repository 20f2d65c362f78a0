/* weights.h - the model's blueprint: every tensor it is made of, by name and shape.
 *
 * H hidden_size, F intermediate_size, Q n_heads * head_dim, K n_kv_heads * head_dim, V vocab_size;
 * D, E the vision tower's hidden_size and intermediate_size, P its patches. Linear weights are
 * [out, in]. All tensors are checked to be there and to have these shapes; in a quantised file,
 * [out, in] weights with a bias and lm_head may be values and records instead. */
#pragma once

#include "config.h"
#include "safetensors.h"

typedef struct {
  const AllavaTensor *weight;
  const AllavaTensor *bias;    /* NULL where the layer has none */
  const AllavaTensor *records; /* of a quantised weight (quant.h), otherwise NULL */
} AllavaParam;

typedef struct {
  AllavaParam layer_norm1; /* [D] */
  AllavaParam q_proj;      /* [D, D] */
  AllavaParam k_proj;      /* [D, D] */
  AllavaParam v_proj;      /* [D, D] */
  AllavaParam out_proj;    /* [D, D] */
  AllavaParam layer_norm2; /* [D] */
  AllavaParam fc1;         /* [E, D] */
  AllavaParam fc2;         /* [D, E] */
} AllavaVisionLayer;

typedef struct {
  AllavaParam input_layernorm; /* [H] */
  AllavaParam q_proj;          /* [Q, H] */
  AllavaParam k_proj;          /* [K, H] */
  AllavaParam v_proj;          /* [K, H] */
  AllavaParam q_layernorm;     /* [head_dim]; NULL without qk_layernorm */
  AllavaParam k_layernorm;     /* [head_dim]; NULL without qk_layernorm */
  AllavaParam dense;           /* [H, Q] */
  AllavaParam fc1;             /* [F, H] */
  AllavaParam fc2;             /* [H, F] */
} AllavaDecoderLayer;

typedef struct {
  AllavaParam class_embedding;                        /* [D] */
  AllavaParam patch_embedding;                        /* [D, 3, patch, patch], no bias */
  AllavaParam position_embedding;                     /* [1 + P, D] */
  AllavaParam pre_layrnorm;                           /* [D]; the checkpoints spell it so */
  AllavaVisionLayer *vision_layers;                   /* n_run_layers */
  AllavaParam projector[ALLAVA_MAX_PROJECTOR_LAYERS]; /* [H, D], then [H, H] */
  AllavaParam embed_tokens;                           /* [V, H] */
  AllavaDecoderLayer *layers;                         /* n_layers */
  AllavaParam final_layernorm;                        /* [H] */
  AllavaParam lm_head;   /* [V, H], bias optional; embed_tokens' where tied */
  size_t n_parameters;   /* elements of all these tensors, each counted once */
  AllavaDtype quantized; /* Q8 or Q4 where the file says that it is; otherwise AUTO */
} AllavaWeights;

/* Fills WEIGHTS with borrowed tensors of SET; those of the vision tower come from TOWER where SET
 * has none (TOWER may be NULL). Free the layer arrays with allava_weights_clear().
 * Errors: FORMAT (missing or mis-shaped tensor), UNSUPPORTED (dtype). */
gboolean allava_weights_bind (AllavaWeights *weights,
                              const AllavaConfig *config,
                              AllavaSafetensors *set,
                              AllavaSafetensors *tower,
                              GError **error);
void allava_weights_clear (AllavaWeights *weights);
