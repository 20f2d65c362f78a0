#include "cpu-private.h"

AllavaQuantizeRowFunc
allava_quantize_row_choose (void)
{
  AllavaIsa isa = allava_isa_detect ();
  return isa >= ALLAVA_ISA_AVX512 ? allava_quantize_row_avx512
         : isa == ALLAVA_ISA_AVX2 ? allava_quantize_row_avx2
                                  : allava_quantize_row;
}
