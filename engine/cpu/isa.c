#include "kernels.h"
#include <cpuid.h>

/* The compiler's own test covers the registers that the operating system saves, but not F16C. */
static gboolean
has_f16c (void)
{
  unsigned int a, b, c, d;
  return __get_cpuid (1, &a, &b, &c, &d) && (c & bit_F16C);
}

static AllavaIsa
detect (void)
{
  __builtin_cpu_init ();
  if (!__builtin_cpu_supports ("avx2") || !__builtin_cpu_supports ("fma") || !has_f16c ())
    return ALLAVA_ISA_NONE;
  if (!__builtin_cpu_supports ("avx512f") || !__builtin_cpu_supports ("avx512bw") ||
      !__builtin_cpu_supports ("avx512vl") || !__builtin_cpu_supports ("avx512dq"))
    return ALLAVA_ISA_AVX2;
  if (!__builtin_cpu_supports ("avx512vnni"))
    return ALLAVA_ISA_AVX512;
  return __builtin_cpu_supports ("avx512bf16") ? ALLAVA_ISA_AVX512_BF16 : ALLAVA_ISA_AVX512_VNNI;
}

AllavaIsa
allava_isa_from_string (const char *name)
{
  static const char *const names[] = {"none", "avx2", "avx512", "avx512-vnni", "avx512-bf16"};
  for (size_t i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_str_equal (name, names[i]))
      return (AllavaIsa)i;
  return ALLAVA_ISA_NONE;
}

static AllavaIsa
detect_allowed (void)
{
  const char *most = g_getenv ("ALLAVA_ISA");
  return most != NULL ? MIN (allava_isa_from_string (most), detect ()) : detect ();
}

/* Asked once: a virtual machine traps cpuid, which then takes microseconds. */
AllavaIsa
allava_isa_detect (void)
{
  static gsize known; /* the answer + 1 */
  if (g_once_init_enter (&known))
    g_once_init_leave (&known, detect_allowed () + 1);
  return known - 1;
}

const char *
allava_isa_to_string (AllavaIsa isa)
{
  switch (isa) {
  case ALLAVA_ISA_AVX2:
    return "AVX2";
  case ALLAVA_ISA_AVX512:
    return "AVX-512";
  case ALLAVA_ISA_AVX512_VNNI:
    return "AVX-512 VNNI";
  case ALLAVA_ISA_AVX512_BF16:
    return "AVX-512 BF16";
  case ALLAVA_ISA_NONE:
    break;
  }
  return "none";
}
