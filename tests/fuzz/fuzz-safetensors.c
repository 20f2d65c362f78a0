/* Any bytes as a .safetensors file: opened or refused, every tensor's data can be read, and bound.
 */
#include "safetensors.h"
#include "weights.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
touch (const AllavaTensor *tensor)
{
  volatile char sum = 0;
  for (size_t i = 0; i < tensor->n_bytes; i++)
    sum += ((const char *)tensor->data)[i];
}

/* A set is bound to a model of the least sizes, its weights quantised where it says so. */
static void
bind_weights (AllavaSafetensors *set)
{
  const AllavaConfig config = {
      .hidden_size = 64,
      .intermediate_size = 64,
      .n_layers = 1,
      .n_heads = 1,
      .n_kv_heads = 1,
      .head_dim = 64,
      .vocab_size = 1,
      .n_projector_layers = 1,
      .vision = {.patch_size = 1, .hidden_size = 1, .intermediate_size = 1},
  };
  AllavaWeights weights;
  if (allava_weights_bind (&weights, &config, set, NULL, NULL))
    allava_weights_clear (&weights);
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
  if (set != NULL)
    bind_weights (set);
  return 0;
}
