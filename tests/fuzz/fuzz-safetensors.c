/* Any bytes as a .safetensors file: opened or refused, and every tensor's data can be read. */
#include "safetensors.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
touch (const AllavaTensor *tensor)
{
  volatile char sum = 0;
  for (size_t i = 0; i < tensor->n_bytes; i++)
    sum += ((const char *)tensor->data)[i];
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaSafetensors) set =
      allava_safetensors_open_memory (data, size, "fuzz.safetensors", &error);
  g_assert ((set == NULL) == (error != NULL));
  const AllavaTensor *tensor = set != NULL ? allava_safetensors_find (set, "a") : NULL;
  if (tensor != NULL)
    touch (tensor);
  return 0;
}
