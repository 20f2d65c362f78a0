/* simd-kernels.h - the kernels of one instruction set; see AllavaKernels for what each does. */
#pragma once

#include "simd.h"

#define stream_linear NAME (stream_linear)
#define pack_activations NAME (pack_activations)
#define multiply_linear NAME (multiply_linear)
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
void attend_many (
    const AllavaAttention *attention, size_t head, size_t start, size_t n, AllavaScratch *scratch);
void attend_single (const AllavaAttention *attention,
                    size_t head,
                    size_t query,
                    size_t start,
                    size_t n,
                    AllavaPartial *partial);
