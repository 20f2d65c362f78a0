/* cpu-private.h - inside the CPU backend's arithmetic: the kernels that exist once for each
 * instruction set, and the context that chooses among them. */
#pragma once

#include "kernels.h"

/* Products of up to this many rows read each weight once, straight from the file's layout. More
 * rows are worth copying blocks of the weights into the layout that the multiplier likes. */
#define ALLAVA_STREAM_ROWS 8

/* The multiplier's left operand is always rows of this many 32-bit words: a block of the inner
 * dimension, 512 floats or 512 pairs of bf16. 2 KiB a row: a panel of 14 rows stays in L1. */
#define ALLAVA_BLOCK_WORDS 512

/* Weights that one thread holds packed: 128 outputs x 512 words = 256 KiB, for its L2. */
#define ALLAVA_BLOCK_OUTPUTS 128

#define ALLAVA_HEAD_DIM_MAX 256
#define ALLAVA_QUERY_ROWS 84 /* queries that share one packing of K and V: 6 x 14 or 14 x 6 */

/* One block of activations on its way through the multiplier, packed and shared by the threads. */
typedef struct {
  const uint32_t *words; /* [blocks of k, m, ALLAVA_BLOCK_WORDS] */
  size_t m;              /* rows */
  size_t k_start;        /* the part of the inner dimension that is packed */
  size_t k_end;
  gboolean pairs; /* words are pairs of bf16, not floats */
} AllavaPacked;

/* What one thread needs in attention. */
typedef struct {
  float queries[ALLAVA_QUERY_ROWS * ALLAVA_BLOCK_WORDS]; /* [queries, words], scaled */
  float scores[ALLAVA_QUERY_ROWS * ALLAVA_BLOCK_WORDS];  /* [queries, keys of one block] */
  float out[ALLAVA_QUERY_ROWS * ALLAVA_HEAD_DIM_MAX];    /* [queries, head_dim] */
  float keys[ALLAVA_BLOCK_WORDS * ALLAVA_HEAD_DIM_MAX];  /* packed panels */
  float values[ALLAVA_BLOCK_WORDS * ALLAVA_HEAD_DIM_MAX];
} AllavaAttentionScratch;

typedef union {
  uint32_t weights[ALLAVA_BLOCK_OUTPUTS * ALLAVA_BLOCK_WORDS];
  AllavaAttentionScratch attention;
} AllavaScratch;

/* A softmax over some of the keys, before division: sum of exp (score - max) * value. */
typedef struct {
  float max;
  float sum;
  float out[ALLAVA_HEAD_DIM_MAX];
} AllavaPartial;

typedef struct {
  /* Outputs [start, start + n) of one product of at most ALLAVA_STREAM_ROWS rows. */
  void (*stream) (const AllavaLinear *op, size_t m, size_t start, size_t n);

  /* Words of rows of X (K values each) to PACKED rows, ALLAVA_BLOCK_WORDS apart. */
  void (*pack_row) (const float *x, size_t k, gboolean pairs, uint32_t *packed);

  /* Outputs [start, start + n) of rows [row, row + packed->m) of OP. */
  void (*multiply) (const AllavaLinear *op,
                    const AllavaPacked *packed,
                    size_t row,
                    size_t start,
                    size_t n,
                    AllavaScratch *scratch);

  /* N <= ALLAVA_QUERY_ROWS queries from START on, of one head. */
  void (*attend) (const AllavaAttention *attention,
                  size_t head,
                  size_t start,
                  size_t n,
                  AllavaScratch *scratch);

  /* One query and N keys from START on, of one head. */
  void (*attend_one) (const AllavaAttention *attention,
                      size_t head,
                      size_t query,
                      size_t start,
                      size_t n,
                      AllavaPartial *partial);

  void (*layer_norm) (
      const float *x, size_t n, const float *weight, const float *bias, float eps, float *y);
  void (*widen) (const void *src, AllavaDtype dtype, size_t n, float *dst);
  void (*narrow) (const float *src, AllavaDtype dtype, size_t n, void *dst);
  uint32_t (*read) (const void *data, size_t bytes); /* touches every byte */
} AllavaKernels;

extern const AllavaKernels allava_kernels_avx2;
extern const AllavaKernels allava_kernels_avx512;
extern const AllavaKernels allava_kernels_avx512_bf16;

/* The union of the packed activations' blocks that fit in the shared buffer. */
#define ALLAVA_PACKED_WORDS ((size_t)4 << 20) /* 16 MiB */

struct _AllavaCpu {
  AllavaPool *pool;
  const AllavaKernels *kernels;
  AllavaIsa isa;
  gboolean pairs;          /* multiply bf16 matrices with activations rounded to bf16 */
  uint32_t *packed;        /* [ALLAVA_PACKED_WORDS] */
  AllavaScratch *scratch;  /* [threads] */
  AllavaPartial *partials; /* [ALLAVA_PARTIALS] */
  size_t mapped;           /* bytes of all three, one mapping */
};

#define ALLAVA_PARTIALS 128
