/* kernels.h - the CPU backend's arithmetic: what backend.c builds the forward pass from.
 *
 * All matrices are row-major. Activations are f32. Every output element is computed by one thread
 * in a fixed order, so results do not depend on the number of threads. */
#pragma once

#include "allava-engine.h"

/* ---- Which instructions ---------------------------------------------------------------------- */

typedef enum {
  ALLAVA_ISA_NONE, /* below the floor (AVX2, FMA, F16C): the backend refuses to start */
  ALLAVA_ISA_AVX2,
  ALLAVA_ISA_AVX512,      /* F, BW, VL, DQ */
  ALLAVA_ISA_AVX512_VNNI, /* and VNNI */
  ALLAVA_ISA_AVX512_BF16, /* and BF16 */
} AllavaIsa;

/* By cpuid and the OS's saved state. For tests, the environment's ALLAVA_ISA ("avx2", "avx512",
 * "avx512-vnni") makes it less. */
AllavaIsa allava_isa_detect (void);
AllavaIsa allava_isa_from_string (const char *name); /* NONE for an unknown one */
const char *allava_isa_to_string (AllavaIsa isa);

/* ---- Threads --------------------------------------------------------------------------------- */

/* A pool of threads; the calling thread is one of them. One job at a time. */
typedef struct _AllavaPool AllavaPool;

/* INDEX runs over [0, n_tasks); THREAD over [0, pool's threads). */
typedef void (*AllavaTaskFunc) (size_t index, int thread, gpointer data);

AllavaPool *allava_pool_new (int threads, GError **error); /* 0: physical cores allowed to us */
void allava_pool_free (AllavaPool *pool);
int allava_pool_get_threads (AllavaPool *pool);

/* Lets other programs go first: lowers the priority of the pool's threads and of the calling one,
 * for good. */
void allava_pool_lower_priority (AllavaPool *pool);

/* Runs FUNC for every index, each once, handed out as threads become free; returns when all are
 * done. Idle threads spin briefly, giving way to whatever else wants to run, then sleep. */
void allava_pool_run (AllavaPool *pool, size_t n_tasks, AllavaTaskFunc func, gpointer data);

/* ---- The context of a model's computations --------------------------------------------------- */

typedef struct _AllavaCpu AllavaCpu; /* pool, chosen kernels, scratch */

/* ISA must not exceed allava_isa_detect(); tests pass lower ones. ROUND_ACTIVATIONS: in products of
 * many rows with bf16 matrices, round activations to bf16 where the ISA multiplies bf16. */
AllavaCpu *allava_cpu_new (AllavaIsa isa, int threads, gboolean round_activations, GError **error);
void allava_cpu_free (AllavaCpu *cpu);
AllavaPool *allava_cpu_get_pool (AllavaCpu *cpu);
AllavaIsa allava_cpu_get_isa (AllavaCpu *cpu);

/* ---- Products -------------------------------------------------------------------------------- */

typedef enum {
  ALLAVA_ACTIVATION_NONE,
  ALLAVA_ACTIVATION_QUICK_GELU, /* x * sigmoid (1.702 x): CLIP */
  ALLAVA_ACTIVATION_GELU,       /* x/2 (1 + erf (x / sqrt 2)): LLaVA's projector */
  ALLAVA_ACTIVATION_GELU_TANH,  /* the tanh form, "gelu_new": Phi */
} AllavaActivation;

/* A linear layer as it lies in the file. DATA may be unaligned to more than its element's size. */
typedef struct {
  const void *data;  /* [n_out, n_in] of DTYPE (F32, BF16 or F16), or the values of Q8 or Q4 */
  const float *bias; /* [n_out], or NULL */
  AllavaDtype dtype;
  size_t n_out;
  size_t n_in;
  const uint16_t *records; /* of Q8 and Q4: see quant.h */
} AllavaMatrix;

size_t allava_matrix_row_bytes (const AllavaMatrix *matrix); /* records included */

/* y = activation (x W^T + b), or y += x W^T + b where ACCUMULATE (no activation then). */
typedef struct {
  const AllavaMatrix *matrix;
  const float *x; /* [m, n_in], X_STRIDE floats from row to row */
  size_t x_stride;
  float *y; /* [m, n_out], Y_STRIDE floats from row to row */
  size_t y_stride;
  AllavaActivation activation;
  gboolean accumulate;
} AllavaLinear;

/* Computes N_OPS products of M rows each, as one parallel job: q, k, v and fc1 of a Phi layer read
 * the same x; dense and fc2 both add to the same y (same n_out: then done in the order given).
 * M = 1 streams the weights at memory speed. Any n_in, n_out and m >= 1. A row's result does not
 * depend on the other rows, except that up to 8 rows are summed in another order than more.
 *
 * For Q8 and Q4 matrices x is rounded to int8, groups of 32 with a scale each; only products of
 * more than 8 rows without AVX-512 VNNI take x as it is. */
void allava_cpu_linear (AllavaCpu *cpu, const AllavaLinear *ops, size_t n_ops, size_t m);

/* ---- Attention ------------------------------------------------------------------------------- */

/* out = softmax (scale q k^T) v, softmax in f32, q scaled before the product. Grouped heads: query
 * head h reads KV head h / (n_heads / n_kv_heads). Causal: query i, which stands at position
 * POSITION + i, sees keys 0 .. POSITION + i; otherwise every query sees all N_KEYS. */
typedef struct {
  const float *q; /* [m, n_heads, head_dim], Q_STRIDE floats from row to row */
  size_t q_stride;
  const void *k; /* [n_kv_heads, KV_STRIDE positions, head_dim] of KV_DTYPE (F32 or F16) */
  const void *v; /* the same */
  size_t kv_stride;
  AllavaDtype kv_dtype;
  float *out; /* [m, n_heads, head_dim], OUT_STRIDE floats from row to row */
  size_t out_stride;
  size_t m;
  size_t n_heads;
  size_t n_kv_heads;
  size_t head_dim; /* any, up to 256 */
  size_t position;
  size_t n_keys; /* causal: position + m */
  gboolean causal;
  float scale;
} AllavaAttention;

void allava_cpu_attention (AllavaCpu *cpu, const AllavaAttention *attention);

/* ---- The rest -------------------------------------------------------------------------------- */

/* Each of M rows of N: (x - mean) / sqrt (variance + eps) * weight + bias (population variance). */
void allava_cpu_layer_norm (AllavaCpu *cpu,
                            const float *x,
                            size_t m,
                            size_t n,
                            const float *weight, /* [n] */
                            const float *bias,   /* [n], or NULL */
                            float eps,
                            float *y); /* may be x */

/* Widens N values of DTYPE to f32, or rounds N floats (to nearest even) to DTYPE. */
void allava_widen (const void *src, AllavaDtype dtype, size_t n, float *dst);
void allava_narrow (const float *src, AllavaDtype dtype, size_t n, void *dst);
size_t allava_dtype_size (AllavaDtype dtype); /* bytes of one value: 4 or 2 */

/* Quantises a matrix [n_out, n_in] of DTYPE (F32, BF16 or F16) to FORMAT (Q8 or Q4), with all of
 * the pool's threads. FALSE where a value is not finite. */
gboolean allava_quantize_matrix (AllavaPool *pool,
                                 const void *data,
                                 AllavaDtype dtype,
                                 size_t n_out,
                                 size_t n_in,
                                 AllavaDtype format,
                                 void *values,
                                 uint16_t *records);

/* allava_quantize_row() with the best instructions there are; all give the same bits. */
typedef gboolean (*AllavaQuantizeRowFunc) (
    AllavaDtype dtype, const float *x, size_t n, void *values, uint16_t *records);
AllavaQuantizeRowFunc allava_quantize_row_choose (void);

/* Bytes per second at which the pool reads BYTES of memory at DATA. */
double allava_cpu_measure_bandwidth (AllavaCpu *cpu, const void *data, size_t bytes);
