/* cuda-kernels.h - everything the backend launches on the GPU. Each function queues one kernel (a
 * few, where it says so) and returns at once; a failure stays in the queue's status.
 *
 * Matrices are row-major. A row of a matrix of weights is padded with zeros to whole groups of 16
 * bytes (STRIDE, in elements), and so are activations that meet it, whatever the model's sizes; all
 * rows are 16-byte aligned. Keys and values are padded alike, from head_dim to head_pad. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  CUDA_TYPE_F32,
  CUDA_TYPE_F16,
  CUDA_TYPE_BF16,
} CudaType;

typedef enum {
  CUDA_GELU_NONE,
  CUDA_GELU_TANH,
  CUDA_GELU_ERF,
  CUDA_GELU_QUICK,
} CudaGelu;

/* Work for a GPU in its order, and what became of it (device.h). */
typedef struct {
  struct _CudaDevice *device;
  void *stream;    /* cudaStream_t */
  void *workspace; /* of products */
  int status;      /* cudaError_t of the first call that failed, or 0 */
  int overlap;     /* whether a kernel may start before the one before it has ended */
} CudaQueue;

/* ---- Weights' way in ------------------------------------------------------------------------- */

/* ROWS rows of N values as they lie in a file to rows of TO_STRIDE, in another type or, bit by bit,
 * in their own. */
typedef struct {
  const void *from; /* [rows, n] */
  void *to;         /* [rows, to_stride]; what lies beyond n stays */
  CudaType from_type;
  CudaType to_type;
  size_t rows;
  size_t n;
  size_t to_stride;
} CudaConvert;

void cuda_convert (CudaQueue *queue, const CudaConvert *convert);

/* ---- Steps of prefill and vision ------------------------------------------------------------- */

/* The convolution's windows as rows: pixels [3, size, size] to out [(size / patch)^2, stride]. */
typedef struct {
  const float *pixels;
  void *out;
  CudaType type;
  int size;
  int patch;
  size_t stride;
} CudaPatches;

void cuda_gather_patches (CudaQueue *queue, const CudaPatches *patches);

/* x [rows, n] += positions [rows, n], after x's row 0 becomes the class token. */
typedef struct {
  float *x;
  const float *class_token;
  const float *positions;
  size_t rows;
  size_t n;
} CudaPositions;

void cuda_add_positions (CudaQueue *queue, const CudaPositions *positions);

/* x [rows, n] = the table's rows that IDS (on the device) name. */
typedef struct {
  const int32_t *ids;
  const void *table; /* [vocab, table_stride] */
  CudaType type;
  size_t table_stride;
  float *x;
  size_t rows;
  size_t n;
} CudaEmbed;

void cuda_embed (CudaQueue *queue, const CudaEmbed *embed);

/* Rows of N: (x - mean) / sqrt (variance + eps) * weight + bias. PER rows lie side by side in each
 * stretch of STRIDE floats: the heads of a position, or one. */
typedef struct {
  const float *x;
  size_t x_stride;
  void *y; /* may be x, if it is f32 */
  size_t y_stride;
  CudaType y_type;
  const float *weight; /* [n] */
  const float *bias;   /* [n], or NULL */
  float eps;
  size_t rows;
  size_t per;
  size_t n;
} CudaNorm;

void cuda_norm (CudaQueue *queue, const CudaNorm *norm);

/* x = gelu (x + bias), in place. */
typedef struct {
  void *x; /* [rows, stride] */
  CudaType type;
  const void *bias; /* [n] of TYPE, or NULL */
  CudaGelu gelu;
  size_t rows;
  size_t n;
  size_t stride;
} CudaActivation;

void cuda_activate (CudaQueue *queue, const CudaActivation *activation);

/* One layer's keys or values: [kv_heads, context, head_pad] of TYPE, the padding zero. */
typedef struct {
  void *keys;
  void *values;
  CudaType type; /* F16 or F32 */
  size_t context;
  size_t head_pad;
} CudaCache;

/* Where a row's position comes from: FIRST + row, or, in a graph that is used for every position,
 * what lies on the device. */
typedef struct {
  const int32_t *at; /* or NULL */
  size_t first;
} CudaPosition;

/* Rotates the rows of q in place and of k into the cache, and stores v's: Su et al. 2021 in
 * GPT-NeoX's layout, dimension i of the rotated part pairs with i + half. */
typedef struct {
  float *q; /* [rows, n_heads, head_dim], or NULL; STRIDE floats from row to row in all three */
  const float *k;
  const float *v;
  size_t stride;
  size_t rows;
  int n_heads;
  int n_kv_heads;
  int head_dim;
  int half;
  const float *angles; /* [context, half, 2]: cos, sin */
  CudaPosition position;
  CudaCache cache;
} CudaRotate;

void cuda_rotate (CudaQueue *queue, const CudaRotate *rotate);

/* out = softmax (scale q k^T) v, softmax in f32, q scaled before the product. Query head h reads KV
 * head h / (n_heads / n_kv_heads). Causal: row i sees keys 0 .. position + i; otherwise all n_keys.
 * On tensor cores for f16 keys and heads of 64 and 80. */
typedef struct {
  const float *q; /* [rows, n_heads, head_dim], q_stride floats from row to row */
  size_t q_stride;
  void *out; /* [rows, n_heads, head_dim], out_stride values of out_type from row to row */
  size_t out_stride;
  CudaType out_type;
  size_t rows;
  int n_heads;
  int n_kv_heads;
  int head_dim; /* at most 256 */
  size_t position;
  size_t n_keys;
  int causal;
  float scale;
  CudaCache cache;
} CudaAttention;

void cuda_attend (CudaQueue *queue, const CudaAttention *attention);

/* The same without tensor cores: any size. */
void cuda_attend_plainly (CudaQueue *queue, const CudaAttention *attention);

/* ---- One token ------------------------------------------------------------------------------- */

typedef enum {
  CUDA_WEIGHTS_F32,
  CUDA_WEIGHTS_F16,
  CUDA_WEIGHTS_BF16,
  CUDA_WEIGHTS_Q8,
  CUDA_WEIGHTS_Q4,
} CudaWeights;

#define CUDA_GROUP 32 /* weights that share a scale */

/* A linear layer's matrix; Q8 and Q4 as model/quant.h lays them out. */
typedef struct {
  void *data;        /* [n_out, stride] values: 4, 2, 2, 1 and half a byte each */
  uint16_t *records; /* [n_out, stride / CUDA_GROUP]; quantised only */
  CudaWeights type;
  size_t n_out;
  size_t n_in;
  size_t stride; /* values; a multiple of cuda_vector (type) */
} CudaMatrix;

/* Weights in the 16 bytes that a thread loads at once: 4, 8, 8, 16, 32. */
static inline size_t
cuda_vector (CudaWeights type)
{
  static const uint8_t vectors[] = {4, 8, 8, 16, 32};
  return vectors[type];
}

/* Activations that meet a matrix as a single row are f32 in PLANES: of the activations that belong
 * to 16 bytes of weights, the first four lie in plane 0, the next four in plane 1, and so on, so
 * that the lanes of a warp, which hold neighbouring vectors, read neighbouring memory. Where
 * element E lies; VECTOR is cuda_vector(), and tells Q4, whose vectors are 16 columns and the 16
 * that come 32 later. */
#ifdef __CUDACC__
__host__ __device__
#endif
    static inline size_t
    cuda_plane (size_t e, size_t vector, size_t stride)
{
  size_t at = e / vector, in = e % vector;
  if (vector == 32) {
    at = e / 64 * 2 + e % 32 / 16;
    in = e % 64 / 32 * 16 + e % 16;
  }
  return (in / 4 * (stride / vector) + at) * 4 + in % 4;
}

/* Rows [first, first + rows) of a quantised matrix as f16 [rows, to_stride]. */
typedef struct {
  CudaMatrix matrix;
  size_t first;
  size_t rows;
  uint16_t *to;
  size_t to_stride; /* at least matrix.stride */
} CudaDequantize;

void cuda_dequantize (CudaQueue *queue, const CudaDequantize *dequantize);

/* What the GPU knows of an answer that it is decoding; lies in its memory. */
typedef struct {
  int32_t token;    /* chosen last */
  int32_t position; /* where it will stand */
  int32_t step;     /* tokens chosen so far */
  int32_t min_new;  /* before so many, the end token cannot be chosen */
  int32_t eos;
  int32_t top_k;      /* 0: off */
  double top_p;       /* 1: off */
  double temperature; /* > 0 where SAMPLED is set below */
  uint64_t random;    /* state of the generator */
} CudaState;

void cuda_set_state (CudaQueue *queue, CudaState *state, const CudaState *value);

/* One row: [q, k, v, fc1] (norm (x)) + bias; q rotated, k rotated into the cache, v into the cache,
 * fc1 through its gelu into the planes of the next matrix. Where heads are normed (RAW set), q, k
 * and v come out as they are instead. */
typedef struct {
  const float *x;      /* [n] */
  const float *weight; /* [n], of the norm */
  const float *bias;   /* [n], of the norm */
  float eps;
  size_t n;
  CudaMatrix matrix;        /* [q; k; v; fc1] */
  const float *matrix_bias; /* [n_out] */
  int n_heads;
  int n_kv_heads;
  int head_dim;
  int half;
  const float *angles;
  const int32_t *position;
  CudaCache cache;
  float *q; /* [n_heads, head_dim]; RAW: [q, k, v] */
  int raw;
  CudaGelu gelu;
  float *planes; /* fc1's outputs, from element PLANES_FROM on */
  size_t planes_from;
  size_t planes_vector;
  size_t planes_stride;
} CudaProject;

void cuda_project (CudaQueue *queue, const CudaProject *project, int processors);

/* One row: x += matrix * planes + bias. */
typedef struct {
  const float *planes; /* [matrix.stride], in its planes */
  CudaMatrix matrix;
  const float *bias; /* [n_out] */
  float *x;          /* [n_out] */
} CudaReduce;

void cuda_reduce (CudaQueue *queue, const CudaReduce *reduce, int processors);

/* One row: logits = matrix * norm (x) + bias. */
typedef struct {
  const float *x;
  const float *weight;
  const float *bias;
  float eps;
  size_t n;
  CudaMatrix matrix;
  const float *matrix_bias; /* [n_out], or NULL */
  float *logits;            /* [n_out] */
} CudaHead;

void cuda_head (CudaQueue *queue, const CudaHead *head, int processors);

/* Attention of one row, split over its keys: each part's sums, joined by the part that ends last,
 * in the parts' order. */
#define CUDA_MAX_SPLITS 64

typedef struct {
  const float *q; /* [n_heads, head_dim] */
  int n_heads;
  int n_kv_heads;
  int head_dim;
  float scale;
  const int32_t *position; /* keys 0 .. *position */
  CudaCache cache;
  int n_splits;       /* at most CUDA_MAX_SPLITS */
  float *partials;    /* [n_heads, n_splits, head_pad + 2] */
  unsigned *arrivals; /* [n_heads], zero before and after */
  float *planes;      /* [n_heads * head_dim], of the next matrix */
  size_t planes_vector;
  size_t planes_stride;
} CudaDecodeAttention;

void cuda_attend_one (CudaQueue *queue, const CudaDecodeAttention *attention);

/* Chooses the next token as AllavaSampler does, from equal logits the same one, and moves the state
 * on. The token also goes to RING[step % CUDA_RING] in the host's memory: -1 where a logit that
 * could be chosen is not finite. Three kernels, or one where SAMPLED is not set. */
#define CUDA_RING 4
#define CUDA_CHOOSE_PARTS 64

/* Candidates by eight bits of their logits, the greatest first: how many, and the sums of their
 * weights, in two halves: adding 64 bits to shared memory is a loop that tries until no other
 * thread comes between. */
#define CUDA_DIGITS 256

typedef struct {
  unsigned counts[CUDA_DIGITS];
  unsigned low[CUDA_DIGITS];
  unsigned high[CUDA_DIGITS];
} CudaDigits;

typedef struct {
  const float *logits;    /* [vocab] */
  const uint8_t *allowed; /* [vocab]: whether an id can be chosen */
  size_t vocab;
  int sampled;
  CudaState *state;
  int32_t *ring;
  uint64_t *best;     /* [CUDA_CHOOSE_PARTS + 1] */
  unsigned *arrivals; /* [1], zero before and after */
  uint64_t *weights;  /* [vocab], where SAMPLED */
  CudaDigits *digits; /* where SAMPLED: the logits' first */
} CudaChoose;

void cuda_choose (CudaQueue *queue, const CudaChoose *choose);

/* ---- Measuring ------------------------------------------------------------------------------- */

/* to = from, BYTES a multiple of 16. */
void cuda_copy_fast (CudaQueue *queue, const void *from, void *to, size_t bytes, int processors);

#ifdef __cplusplus
}
#endif
