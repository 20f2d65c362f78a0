/* simd-kernels.h - the kernels of one instruction set; see AllavaKernels for what each does. */
#pragma once

#include "simd.h"

void K (stream) (const AllavaLinear *op, size_t m, size_t start, size_t n);
void K (pack_row) (const float *x, size_t k, gboolean pairs, uint32_t *packed);
void K (multiply) (const AllavaLinear *op,
                   const AllavaPacked *packed,
                   size_t row,
                   size_t start,
                   size_t n,
                   AllavaScratch *scratch);
void K (attend) (
    const AllavaAttention *attention, size_t head, size_t start, size_t n, AllavaScratch *scratch);
void K (attend_one) (const AllavaAttention *attention,
                     size_t head,
                     size_t query,
                     size_t start,
                     size_t n,
                     AllavaPartial *partial);
