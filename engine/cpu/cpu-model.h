/* cpu-model.h - the CPU backend's model and session, shared by backend.c, vision.c, decoder.c. */
#pragma once

#include "backend.h"
#include "kernels.h"

typedef struct {
  const float *weight; /* [n] */
  const float *bias;   /* [n] */
} CpuNorm;

typedef struct {
  CpuNorm layer_norm1, layer_norm2;
  AllavaMatrix q_proj, k_proj, v_proj, out_proj, fc1, fc2;
} CpuVisionLayer;

typedef struct {
  CpuNorm input_layernorm, q_layernorm, k_layernorm;
  AllavaMatrix q_proj, k_proj, v_proj, dense, fc1, fc2;
} CpuDecoderLayer;

typedef struct {
  const AllavaConfig *config;
  AllavaCpu *cpu;
  GMutex mutex;      /* the pool runs one job at a time */
  GPtrArray *owned;  /* converted tensors */
  AllavaDtype dtype; /* F32: matrices as they lie */
  AllavaDtype kv_dtype;

  const float *class_embedding;    /* [D] */
  AllavaMatrix patch_embedding;    /* [D, 3 * patch * patch] */
  const float *position_embedding; /* [1 + P, D] */
  CpuNorm pre_layrnorm;
  CpuVisionLayer *vision_layers;
  AllavaMatrix projector[ALLAVA_MAX_PROJECTOR_LAYERS];
  AllavaMatrix embed_tokens; /* [V, H], as it lies */
  CpuDecoderLayer *layers;
  CpuNorm final_layernorm;
  AllavaMatrix lm_head;
  float *rope; /* [context, rotary_dim / 2, 2]: cos, sin */
} CpuModel;

/* Positions that prefill takes at once: bounds the scratch, and is enough for full speed. */
#define CPU_CHUNK 768

typedef struct {
  CpuModel *model;
  void *kv;      /* [layers, 2, kv heads, context, head_dim] of kv_dtype */
  float *logits; /* [V] */
  /* Scratch for ROWS positions; grown for traces, which need the whole prompt at once. */
  size_t rows;
  float *x;       /* [rows, H] residual */
  float *normed;  /* [rows, H] */
  float *q;       /* [rows, Q] */
  float *k;       /* [rows, K] */
  float *v;       /* [rows, K] */
  float *context; /* [rows, Q] attention's output */
  float *mlp;     /* [rows, F] */
} CpuSession;

/* Fills MODEL's matrices and vectors from WEIGHTS, in MODEL's dtype, and counts the *BYTES of what
 * is kept; without OPTIONS it only counts. Errors: MEMORY, FORMAT (weights to be quantised are not
 * finite), INPUT (they are quantised otherwise), G_IO_ERROR_CANCELLED. */
gboolean cpu_load_weights (CpuModel *model,
                           const AllavaWeights *weights,
                           const AllavaModelOptions *options,
                           size_t *bytes,
                           GError **error);

/* Scratch for N floats, or NULL with an error that names WHAT. */
float *cpu_alloc (size_t n, const char *what, GError **error);

/* The steps of AllavaBackend. */
gpointer cpu_encode (gpointer session,
                     const float *pixel_values,
                     int index,
                     const AllavaTrace *trace,
                     GCancellable *cancellable,
                     double *projector_ms,
                     GError **error);
gboolean cpu_prefill (gpointer session,
                      const AllavaSegment *segments,
                      size_t n_segments,
                      size_t position,
                      const AllavaTrace *trace,
                      GCancellable *cancellable,
                      GError **error);
gboolean cpu_decode (gpointer session, int32_t id, size_t position, GError **error);

/* Makes room for ROWS positions in the session's scratch. */
gboolean cpu_session_reserve (CpuSession *session, size_t rows, GError **error);

static inline AllavaActivation
cpu_activation (AllavaGelu gelu)
{
  return gelu == ALLAVA_GELU_TANH  ? ALLAVA_ACTIVATION_GELU_TANH
         : gelu == ALLAVA_GELU_ERF ? ALLAVA_ACTIVATION_GELU
                                   : ALLAVA_ACTIVATION_QUICK_GELU;
}
