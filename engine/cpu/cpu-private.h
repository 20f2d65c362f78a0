/* cpu-private.h - inside the CPU backend's arithmetic: the kernels that exist once for each
 * instruction set, and the context that chooses among them. */
#pragma once

#include "kernels.h"
#include "quant.h"

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

/* Quads are int8 in shorter rows, with which a panel of the weights stays in L1 too: 1024 values.
 */
#define ALLAVA_QUAD_WORDS 256
#define ALLAVA_QUAD_GROUPS (ALLAVA_QUAD_WORDS * 4 / ALLAVA_QUANT_GROUP)

/* What the multiplier's words are. */
typedef enum {
  ALLAVA_WORDS_FLOATS,
  ALLAVA_WORDS_PAIRS, /* of bf16 */
  ALLAVA_WORDS_QUADS, /* of int8, for q8 and q4 matrices with AVX-512 VNNI */
} AllavaWords;

/* Of a group of quads: x = SCALE * quads, but for the factor 2^-8 that the weights' scales lack;
 * OFFSET is -128 times the quads' sum. */
typedef struct {
  float scale;
  int32_t offset;
} AllavaQuadGroup;

/* One block of activations on its way through the multiplier, packed and shared by the threads. */
typedef struct {
  const uint32_t *words;         /* [blocks of k, m, ALLAVA_BLOCK_WORDS or ALLAVA_QUAD_WORDS] */
  const AllavaQuadGroup *groups; /* [blocks of k, m, ALLAVA_QUAD_GROUPS], of quads */
  size_t m;                      /* rows */
  size_t k_start;                /* the part of the inner dimension that is packed */
  size_t k_end;
  AllavaWords kind;
} AllavaPacked;

/* A row of x in int8, for products of few rows with q8 and q4 matrices: groups of 32 with scales
 * of their own. STRIDE is n_in rounded up to ALLAVA_BYTES_ALIGN; what is beyond n_in is 0. */
typedef struct {
  int8_t *values;   /* [stride], in the order that the matrix's format wants */
  int32_t *offsets; /* [stride / 4]: -128 times the sum of four values */
  float *scales;    /* [stride / 32], without the factor 2^-8 that the weights' scales lack */
  float *sums;      /* [stride / 32]: the scale times the sum of the group's values */
  size_t stride;
} AllavaByteRow;

#define ALLAVA_BYTES_ALIGN 512

/* What one thread needs in attention. */
typedef struct {
  float queries[ALLAVA_QUERY_ROWS * ALLAVA_BLOCK_WORDS]; /* [queries, words], scaled */
  float scores[ALLAVA_QUERY_ROWS * ALLAVA_BLOCK_WORDS];  /* [queries, keys of one block] */
  float out[ALLAVA_QUERY_ROWS * ALLAVA_HEAD_DIM_MAX];    /* [queries, head_dim] */
  float keys[ALLAVA_BLOCK_WORDS * ALLAVA_HEAD_DIM_MAX];  /* packed panels */
  float values[ALLAVA_BLOCK_WORDS * ALLAVA_HEAD_DIM_MAX];
} AllavaAttentionScratch;

typedef struct {
  uint32_t weights[ALLAVA_BLOCK_OUTPUTS * ALLAVA_BLOCK_WORDS]; /* packed panels */
  float rows[32 * ALLAVA_BLOCK_WORDS]; /* of one panel of a q8 or q4 matrix, as floats */
} AllavaMultiplyScratch;

typedef struct {
  uint32_t words[ALLAVA_BLOCK_OUTPUTS * ALLAVA_QUAD_WORDS]; /* packed panels */
  float scales[ALLAVA_BLOCK_OUTPUTS * ALLAVA_QUAD_GROUPS];
} AllavaQuadScratch;

typedef union {
  AllavaMultiplyScratch multiply;
  AllavaQuadScratch quads;
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

  /* A row of N values of x for matrices of DTYPE (Q8 or Q4). */
  void (*round_row) (const float *x, size_t n, AllavaDtype dtype, AllavaByteRow *row);

  /* Like stream, for a Q8 or Q4 matrix; X [m] replaces the operation's. */
  void (*stream_quant) (
      const AllavaLinear *op, const AllavaByteRow *x, size_t m, size_t start, size_t n);

  /* K <= ALLAVA_BLOCK_WORDS values of x to words, or twice as many to PAIRS. */
  void (*pack_row) (const float *x, size_t k, gboolean pairs, uint32_t *packed);

  /* The same to quads: K <= 4 * ALLAVA_QUAD_WORDS. NULL where the CPU has no use for them. */
  void (*pack_quads) (const float *x, size_t k, uint32_t *words, AllavaQuadGroup *groups);

  /* Outputs [start, start + n) of rows [row, row + packed->m) of OP. */
  void (*multiply) (const AllavaLinear *op,
                    const AllavaPacked *packed,
                    size_t row,
                    size_t start,
                    size_t n,
                    AllavaScratch *scratch);

  /* The same for x packed to quads. NULL as above. */
  void (*multiply_quads) (const AllavaLinear *op,
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
extern const AllavaKernels allava_kernels_avx512_vnni;
extern const AllavaKernels allava_kernels_avx512_bf16;

/* 16-bit conversions without any of these instructions: a file may be read where no model runs. */
void allava_widen_plainly (const void *src, AllavaDtype dtype, size_t n, float *dst);
void allava_narrow_plainly (const float *src, AllavaDtype dtype, size_t n, void *dst);

/* allava_quantize_row() with these instructions. */
gboolean allava_quantize_row_avx2 (
    AllavaDtype dtype, const float *x, size_t n, void *values, uint16_t *records);
gboolean allava_quantize_row_avx512 (
    AllavaDtype dtype, const float *x, size_t n, void *values, uint16_t *records);

/* What all threads share: packed activations, 16 MiB at a time, and parts of softmaxes. */
#define ALLAVA_PACKED_WORDS ((size_t)4 << 20)
#define ALLAVA_PACKED_GROUPS (ALLAVA_PACKED_WORDS * 4 / ALLAVA_QUANT_GROUP)
#define ALLAVA_PARTIALS 128

struct _AllavaCpu {
  AllavaPool *pool;
  const AllavaKernels *kernels;
  AllavaIsa isa;
  gboolean pairs;          /* multiply bf16 matrices with activations rounded to bf16 */
  uint32_t *packed;        /* [ALLAVA_PACKED_WORDS] */
  AllavaQuadGroup *groups; /* [ALLAVA_PACKED_GROUPS] */
  AllavaScratch *scratch;  /* [threads] */
  AllavaPartial *partials; /* [ALLAVA_PARTIALS] */
  size_t mapped;           /* bytes of all four, one mapping */
};
