/* cpu-testing.h - what the tests of the CPU backend's arithmetic share. */
#pragma once

#include "kernels.h"
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>

/* Calls FUNC with a context of each instruction set that this machine has. */
static inline void
for_each_isa (int threads, gboolean round_activations, void (*func) (AllavaCpu *cpu))
{
  for (AllavaIsa isa = ALLAVA_ISA_AVX2; isa <= allava_isa_detect (); isa++) {
    g_autoptr (GError) error = NULL;
    AllavaCpu *cpu = allava_cpu_new (isa, threads, round_activations, &error);
    g_assert_no_error (error);
    g_test_message ("%s", allava_isa_to_string (isa));
    func (cpu);
    allava_cpu_free (cpu);
  }
}

/* N numbers, about normal around 0, the second half of the sum of two uniform ones. */
static inline float *
random_floats (GRand *rand, size_t n, double scale)
{
  float *x = g_new (float, n);
  for (size_t i = 0; i < n; i++)
    x[i] = (float)(scale * (g_rand_double (rand) + g_rand_double (rand) - 1));
  return x;
}

/* X in DTYPE, OFFSET bytes into its allocation. X becomes what was stored. */
static inline void *
store_as (AllavaDtype dtype, float *x, size_t n, size_t offset)
{
  char *data = g_malloc (n * allava_dtype_size (dtype) + offset);
  allava_narrow (x, dtype, n, data + offset);
  allava_widen (data + offset, dtype, n, x);
  return data;
}

/* Runs FAIL in a process of its own that may map no more than EXTRA bytes beyond what it has. */
static inline void
run_short_of_memory (size_t extra, void (*fail) (void))
{
  g_autofree char *text = NULL;
  size_t pages;
  g_assert_true (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  g_assert_cmpint (sscanf (text, "%zu", &pages), ==, 1);
  if (pages > (size_t)1 << 28) {
    g_test_skip ("a sanitizer has mapped terabytes");
  } else if (g_test_subprocess ()) {
    rlim_t bytes = pages * 4096 + extra;
    struct rlimit limit = {bytes, bytes};
    g_assert_cmpint (setrlimit (RLIMIT_AS, &limit), ==, 0);
    fail ();
  } else {
    g_test_trap_subprocess (NULL, 0, 0);
    g_test_trap_assert_passed ();
  }
}
