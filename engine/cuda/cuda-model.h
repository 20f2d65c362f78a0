/* cuda-model.h - the CUDA backend's model and session, shared by its host files. */
#pragma once

#include "backend.h"
#include "device.h"

/* All pointers are to the GPU's memory unless it says otherwise. */

typedef struct {
  float *weight; /* [n] */
  float *bias;   /* [n] */
} CudaNormWeights;

/* A layer that is only used for many rows at once. Its matrix has the activations' type. */
typedef struct {
  CudaMatrix matrix;
  void *bias; /* [n_out], of the type that the product has */
} CudaLinear;

typedef struct {
  CudaNormWeights layer_norm1, layer_norm2;
  CudaLinear qkv; /* [3 D, D] */
  CudaLinear out_proj;
  CudaLinear fc1;
  CudaLinear fc2;
} CudaVisionLayer;

typedef struct {
  CudaNormWeights input_layernorm, q_layernorm, k_layernorm;
  CudaMatrix in; /* [q; k; v; fc1] [Q + 2 K + F, H]: they read the same input */
  float *in_bias;
  void *fc1_bias;  /* [F] of the activations' type, for prefill */
  CudaMatrix out;  /* [dense | fc2] [H, pad (Q) + F]: both add to the residual */
  float *out_bias; /* both biases' sum */
} CudaDecoderLayer;

/* What is computed with: the answer to --dtype. */
typedef struct {
  AllavaDtype dtype;
  CudaType type; /* of activations in prefill, and of all other weights */
  CudaType kv_type;
  CudaWeights in;   /* of the decoder's [q; k; v; fc1] */
  CudaWeights out;  /* of its [dense | fc2] */
  CudaWeights head; /* of lm_head, where it is not the embedding's own matrix */
} CudaFormat;

typedef struct {
  const AllavaConfig *config;
  CudaDevice *device;
  CudaFormat format;
  void *memory; /* one allocation, which holds all that follows */
  size_t head_pad;
  size_t vision_head_pad;
  size_t out_split; /* where fc2's columns of OUT begin: pad (Q) */

  float *class_embedding; /* [D] */
  CudaLinear patch_embedding;
  float *position_embedding; /* [1 + P, D] */
  CudaNormWeights pre_layrnorm;
  CudaVisionLayer *vision_layers; /* the host's */
  CudaLinear projector[ALLAVA_MAX_PROJECTOR_LAYERS];
  CudaMatrix embed_tokens;  /* [V, H] */
  CudaDecoderLayer *layers; /* the host's */
  CudaNormWeights final_layernorm;
  CudaMatrix lm_head;
  float *lm_head_bias; /* or NULL */
  float *rope;         /* [context, rotary_dim / 2, 2]: cos, sin */

  GMutex mutex; /* of the features kept for the next image */
  GPtrArray *spare_features;
} CudaModel;

/* An image's features. */
typedef struct {
  CudaModel *model;
  float *data; /* [P, H] */
} CudaFeatures;

/* Positions that prefill takes at once, unless a trace wants all. The emulated GPU takes fewer. */
#ifndef CUDA_CHUNK
#define CUDA_CHUNK 1024
#endif

/* Scratch of prefill, for ROWS positions. */
typedef struct {
  void *memory;
  size_t rows;
  int32_t *ids;          /* [rows] */
  float *x;              /* [rows, H] residual */
  void *normed;          /* [rows, in.stride] */
  float *qkv;            /* [rows, Q + 2 K] */
  void *acts;            /* [rows, out.stride]: attention's output, then fc1's */
  uint16_t *dequantized; /* quantised formats: some of a matrix's rows as f16 */
  size_t n_dequantized;
} CudaRows;

#define CUDA_DEQUANTIZED ((size_t)32 << 20) /* values */

/* Scratch of the vision tower: N = 1 + P rows. */
typedef struct {
  float *pixels; /* [3, S, S] */
  void *patches; /* [P, stride] */
  float *x;      /* [N, D] */
  void *normed;  /* [N, stride] */
  float *qkv;    /* [N, 3 D] */
  void *mlp;     /* [N, stride] */
  void *keys;    /* [heads, N, head_pad] */
  void *values;
  void *projected[2]; /* [P, stride]: in and out of the projector's layers by turns */
} CudaVision;

/* One position. */
typedef struct {
  CudaState *state;
  float *x;           /* [H] */
  float *q;           /* [Q], or all of q, k, v */
  float *planes;      /* [out.stride] */
  float *partials;    /* of attention */
  unsigned *arrivals; /* [n_heads + 1] */
  int n_splits;
  uint8_t *allowed; /* [V] */
  uint64_t *best;
  uint64_t *weights; /* [V] */
  CudaDigits *digits;
} CudaOne;

typedef enum {
  CUDA_GRAPH_FORWARD, /* a token's logits */
  CUDA_GRAPH_GREEDY,  /* and the next token */
  CUDA_GRAPH_SAMPLED,
  CUDA_N_GRAPHS,
} CudaGraphKind;

typedef struct {
  CudaModel *model;
  CudaQueue queue;
  void *memory;  /* one allocation, which holds all but what ROWS has */
  void *kv;      /* [layers, 2, kv heads, context, head_pad] of kv_type */
  float *logits; /* [V] */
  CudaVision vision;
  CudaOne one;
  CudaRows rows;
  CudaGraph *graphs[CUDA_N_GRAPHS];
  gboolean stepped[CUDA_N_GRAPHS]; /* once without a graph */
  gboolean no_graphs;              /* the driver refuses them */

  /* The host's, which the GPU reads and writes. */
  float *host_pixels; /* [3, S, S] */
  float *host_logits; /* [V] */
  int32_t *host_ids;  /* [context] */
  int32_t *ring;      /* [CUDA_RING]: tokens on their way to the host */

  CudaEvent *chosen[CUDA_RING];
  gboolean allowed_known; /* the ids that may be chosen have gone up */
  CudaGraphKind answer;   /* how the answer in progress is made */
  int n_chosen;           /* tokens that were queued to be chosen */
  int n_taken;            /* of those, given out */
  int n_most;             /* tokens of the answer, and forward steps + 1 that there is room for */
} CudaSession;

static inline size_t
cuda_pad (size_t n, size_t to)
{
  return (n + to - 1) / to * to;
}

/* Values of TYPE in 16 bytes, to which rows are padded. */
static inline size_t
cuda_type_vector (CudaType type)
{
  return 16 / cuda_type_size (type);
}

static inline CudaGelu
cuda_gelu (AllavaGelu gelu)
{
  return gelu == ALLAVA_GELU_TANH  ? CUDA_GELU_TANH
         : gelu == ALLAVA_GELU_ERF ? CUDA_GELU_ERF
                                   : CUDA_GELU_QUICK;
}

static inline size_t
cuda_q_width (const CudaModel *model)
{
  return (size_t)model->config->n_heads * model->config->head_dim;
}

static inline size_t
cuda_k_width (const CudaModel *model)
{
  return (size_t)model->config->n_kv_heads * model->config->head_dim;
}

/* Bytes laid out one after the other in a block that may not be there yet: with BASE NULL this
 * counts, and the pointers mean nothing. */
typedef struct {
  char *base;
  size_t used;
} CudaArena;

static inline void *
cuda_take (CudaArena *arena, size_t bytes)
{
  void *data = arena->base != NULL ? arena->base + arena->used : NULL;
  arena->used += cuda_pad (bytes, 256);
  return data;
}

/* ---- load.c ---------------------------------------------------------------------------------- */

/* Lays out and uploads the weights of MODEL, whose format is chosen. Errors: DEVICE_MEMORY,
 * DEVICE, G_IO_ERROR_CANCELLED. */
gboolean cuda_load_weights (CudaModel *model,
                            const AllavaWeights *weights,
                            const AllavaModelOptions *options,
                            GError **error);

/* Bytes that the weights take in the model's format. Fills in the matrices' sizes. */
size_t cuda_count_weights (CudaModel *model, const AllavaWeights *weights);

/* ---- session.c ------------------------------------------------------------------------------- */

size_t cuda_count_session (const CudaModel *model); /* bytes of a session */
gpointer cuda_session_new (gpointer model, GError **error);
void cuda_session_free (gpointer session);

/* Before a step that does not build on one before. */
void cuda_session_enter (CudaSession *session);

/* Makes room for ROWS positions in the session's scratch. */
gboolean cuda_session_reserve (CudaSession *session, size_t rows, GError **error);

CudaCache cuda_session_cache (const CudaSession *session, int layer);

/* Copies N values of the GPU's to the host and shows them. */
gboolean cuda_show (CudaSession *session,
                    const AllavaTrace *trace,
                    const float *data,
                    size_t rows,
                    size_t cols,
                    const char *name,
                    GError **error);

/* ---- The steps of AllavaBackend -------------------------------------------------------------- */

gpointer cuda_encode (gpointer session,
                      const float *pixel_values,
                      int index,
                      const AllavaTrace *trace,
                      GCancellable *cancellable,
                      double *projector_ms,
                      GError **error);
void cuda_features_free (gpointer features);
gboolean cuda_prefill (gpointer session,
                       const AllavaSegment *segments,
                       size_t n_segments,
                       size_t position,
                       const AllavaTrace *trace,
                       GCancellable *cancellable,
                       GError **error);
gboolean cuda_decode (gpointer session, int32_t id, size_t position, GError **error);
const float *cuda_get_logits (gpointer session);
gboolean cuda_answer_begin (gpointer session, const AllavaAnswer *answer, GError **error);
gboolean cuda_answer_next (gpointer session, int32_t *id, GError **error);

/* Queues logits = lm_head (final_layernorm (X)), one row. */
void cuda_queue_head (CudaSession *session, const float *x, float *logits);

/* Queues token ID at POSITION, and its logits. */
void cuda_queue_decode (CudaSession *session, int32_t id, size_t position);

/* Queues a decoder layer over the one row of the session's, at the state's position. */
void cuda_queue_layer (CudaSession *session, int layer);
