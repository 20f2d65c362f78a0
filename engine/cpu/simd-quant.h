/* simd-quant.h - what the kernels for q8 and q4 matrices share. */
#pragma once

#include "quant.h"
#include "simd-kernels.h"

#define round_group NAME (round_group)
#define dequantize_columns NAME (dequantize_columns)

enum { GROUP = ALLAVA_QUANT_GROUP };

/* Rounds a group of x to VALUES * the scale that it returns, |VALUES| <= 127; SUMS_OF_FOUR are the
 * sums of four values each. A group with NaN or infinity has a scale that is not finite. */
float round_group (const float *x, int8_t *values, __m256i *sums_of_four);

/* N rows from START on of a q8 or q4 matrix, COUNT <= ALLAVA_BLOCK_WORDS columns from K on (whole
 * groups), to the multiplier's packed panels of floats in SCRATCH. */
void dequantize_columns (const AllavaMatrix *matrix,
                         size_t start,
                         size_t n,
                         size_t k,
                         size_t count,
                         AllavaScratch *scratch);
