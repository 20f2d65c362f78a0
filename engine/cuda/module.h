/* module.h - the CUDA backend lies in a module of its own, liballava-cuda.so, which is looked for
 * when a model is loaded: programs start, and can say why they have no GPU, without CUDA. */
#pragma once

#include "backend.h"

/* Module and program must have been built from the same headers. */
#define ALLAVA_CUDA_INTERFACE                                                                      \
  (sizeof (AllavaBackend) + 1000 * sizeof (AllavaModelInfo) + 1000000 * sizeof (AllavaConfig) +    \
   1000000000 * sizeof (AllavaWeights))

/* What the module exports: its backend, or NULL where INTERFACE is not its own. */
typedef const AllavaBackend *(*AllavaCudaGetBackend) (size_t interface);
const AllavaBackend *allava_cuda_get_backend (size_t interface);

/* Finds and loads the module, once. Beside the program, where it was built, or where it was
 * installed. Error: DEVICE. */
const AllavaBackend *allava_cuda_module_load (GError **error);
