/* simd-kernels.h - the kernels of one instruction set; see AllavaKernels for what each does. */
#pragma once

#include "simd.h"

#define stream_linear NAME (stream_linear)
#define pack_activations NAME (pack_activations)
#define multiply_linear NAME (multiply_linear)
#define multiply_linear_quads NAME (multiply_linear_quads)
#define pack_activation_quads NAME (pack_activation_quads)
#define round_activations NAME (round_activations)
#define stream_quantized NAME (stream_quantized)
#define activate_row NAME (activate_row)
#define finish_tile NAME (finish_tile)
#define attend_many NAME (attend_many)
#define attend_single NAME (attend_single)

void stream_linear (const AllavaLinear *op, size_t m, size_t start, size_t n);
void pack_activations (const float *x, size_t k, gboolean pairs, uint32_t *packed);
void multiply_linear (const AllavaLinear *op,
                      const AllavaPacked *packed,
                      size_t row,
                      size_t start,
                      size_t n,
                      AllavaScratch *scratch);
void round_activations (const float *x, size_t n, AllavaDtype dtype, AllavaByteRow *row);
void
stream_quantized (const AllavaLinear *op, const AllavaByteRow *x, size_t m, size_t start, size_t n);
#ifdef __AVX512VNNI__
void pack_activation_quads (const float *x, size_t k, uint32_t *words, AllavaQuadGroup *groups);
void multiply_linear_quads (const AllavaLinear *op,
                            const AllavaPacked *packed,
                            size_t row,
                            size_t start,
                            size_t n,
                            AllavaScratch *scratch);
#endif

/* What ends a product: y[0 .. n) = activation (y). */
void activate_row (float *y, size_t n, AllavaActivation activation);

/* y = tile + bias or y += tile + bias, where the FIRST block brings the bias; then the activation,
 * where the block is the LAST. N <= NR columns. */
void finish_tile (const AllavaLinear *op,
                  const float *tile, /* [rows, NR] */
                  size_t rows,
                  size_t row,
                  size_t column,
                  size_t n,
                  gboolean first,
                  gboolean last);

void attend_many (
    const AllavaAttention *attention, size_t head, size_t start, size_t n, AllavaScratch *scratch);
void attend_single (const AllavaAttention *attention,
                    size_t head,
                    size_t query,
                    size_t start,
                    size_t n,
                    AllavaPartial *partial);
