/* simd-multiply.h - the register-blocked multiplier, and the layouts it reads. */
#pragma once

#include "simd.h"

/* c [rows, NR] = a b, or c += a b where ADD. A: ROWS <= MR rows of K words, ALLAVA_BLOCK_WORDS
 * apart. B: [K, NR] words. C: rows LDC apart. Words are floats, or pairs of bf16 (c is f32). */
void K (multiply_floats) (
    size_t rows, size_t k, const float *a, const float *b, float *c, size_t ldc, gboolean add);
#ifdef __AVX512BF16__
void K (multiply_pairs) (
    size_t rows, size_t k, const uint32_t *a, const uint32_t *b, float *c, size_t ldc);
#endif

/* Packs the K values from column START on of N rows of W (STRIDE values each) into panels of NR
 * rows: [ceil (n / NR)] [k] [NR] floats, or with PAIRS [ceil (n / NR)] [ceil (k / 2)] [NR] pairs.
 * Missing rows and the missing half of a pair are 0. */
void K (pack_columns) (const void *w,
                       AllavaDtype dtype,
                       size_t stride,
                       size_t n,
                       size_t start,
                       size_t k,
                       gboolean pairs,
                       uint32_t *packed);
