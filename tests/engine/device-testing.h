/* device-testing.h - tests that are built once for each device: the CPU, a GPU (where there is
 * one), and the CUDA backend over the emulated GPU. TEST_DEVICE or TEST_EMULATOR says which. */
#pragma once

#include "model.h"

#include "module.h"

#include <stdio.h>

#ifndef TEST_DEVICE
#define TEST_DEVICE "cpu"
#endif

/* The emulator is slow, and takes less of what is there to test. */
#ifdef TEST_EMULATOR
#define TEST_ON_EMULATOR TRUE
#else
#define TEST_ON_EMULATOR FALSE
#endif

/* As allava_model_load(), on the device under test. */
static inline AllavaModel *
test_load_model (const char *dir, const AllavaModelOptions *options, GError **error)
{
  AllavaModelOptions on_device = *options;
  on_device.device = TEST_DEVICE;
#ifdef TEST_EMULATOR
  return allava_model_load_on (allava_cuda_get_backend (ALLAVA_CUDA_INTERFACE), dir, &on_device,
                               error);
#else
  return allava_model_load (dir, &on_device, error);
#endif
}

/* Whether there is a GPU, which may yet fail. */
static inline gboolean
test_find_gpu (void)
{
  const AllavaModelOptions options = {.device = TEST_DEVICE};
  const AllavaBackend *cuda = allava_cuda_module_load (NULL);
  return cuda != NULL && cuda->read_free (&options) != SIZE_MAX;
}

/* Whether there is no such device here; says so in the test's output. DIR is any model. */
static inline gboolean
test_skip_device (const char *dir)
{
  const AllavaModelOptions options = ALLAVA_MODEL_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  gboolean found = g_str_equal (TEST_DEVICE, "cuda") && test_find_gpu ();
  g_autoptr (AllavaModel) model = test_load_model (dir, &options, &error);
  if (found || !g_error_matches (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE))
    return FALSE;
  printf ("TAP version 13\n1..0 # SKIP %s\n", error->message);
  return TRUE;
}
