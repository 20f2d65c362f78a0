/* simd-math.h - the activation functions on vectors. */
#pragma once

#include "simd.h"

/* erf within 1 ulp of f32 (N. Juffa's minimax polynomials for erff). */
ALWAYS_INLINE vf
vf_erf (vf x)
{
  vf t = vf_min (vf_set (4.f), vf_abs (x)); /* erf (4) rounds to 1 */
  vf s = t * t;

  vf tail = vf_fma (vf_set (-1.72853470e-5f), t, vf_set (3.83197126e-4f));
  tail = vf_fma (tail, s, vf_fma (vf_set (-3.88396438e-3f), t, vf_set (2.42546219e-2f)));
  tail = vf_fma (tail, t, vf_set (-1.06777877e-1f));
  tail = vf_fma (tail, t, vf_set (-6.34846687e-1f));
  tail = vf_fma (tail, t, vf_set (-1.28717512e-1f));
  tail = vf_set (1.f) - vf_exp (vf_fma (tail, t, vf_set (0.f) - t));

  vf head = vf_set (-5.96761703e-4f);
  head = vf_fma (head, s, vf_set (4.99119423e-3f));
  head = vf_fma (head, s, vf_set (-2.67681349e-2f));
  head = vf_fma (head, s, vf_set (1.12819925e-1f));
  head = vf_fma (head, s, vf_set (-3.76125336e-1f));
  head = vf_fma (head, s, vf_set (1.28379166e-1f));

  return vf_if_greater (t, vf_set (0.927734375f), vf_with_sign (tail, x), vf_fma (head, x, x));
}

/* x * sigmoid (s): 0 where e^-s overflows. */
ALWAYS_INLINE vf
vf_times_sigmoid (vf x, vf s)
{
  return x / (vf_set (1.f) + vf_exp (vf_set (0.f) - s));
}

ALWAYS_INLINE vf
vf_activate (vf x, AllavaActivation activation)
{
  switch (activation) {
  case ALLAVA_ACTIVATION_QUICK_GELU:
    return vf_times_sigmoid (x, x * vf_set (1.702f));
  case ALLAVA_ACTIVATION_GELU:
    return x * vf_set (0.5f) * (vf_set (1.f) + vf_erf (x * vf_set (0.707106781f)));
  case ALLAVA_ACTIVATION_GELU_TANH: {
    /* (1 + tanh u) / 2 = sigmoid (2 u) with u = sqrt (2 / pi) (x + 0.044715 x^3) */
    vf cube = vf_fma (x * x * x, vf_set (0.044715f), x);
    return vf_times_sigmoid (x, cube * vf_set (1.595769122f));
  }
  case ALLAVA_ACTIVATION_NONE:
    break;
  }
  return x;
}
