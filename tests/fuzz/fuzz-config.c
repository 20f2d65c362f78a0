/* Any bytes as a config.json: refused, or resolved to sizes that the engine can trust. */
#include "config.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  AllavaConfig config;
  g_autoptr (GError) error = NULL;
  gboolean ok =
      allava_config_parse (&config, (const char *)data, size, "config.json", NULL, &error);
  g_assert (ok == (error == NULL));
  if (!ok)
    return 0;
  const AllavaVisionConfig *vision = &config.vision;
  g_assert (config.hidden_size > 0 && config.n_layers > 0 && config.vocab_size > 0);
  g_assert (config.head_dim > 0 && config.n_heads % config.n_kv_heads == 0);
  g_assert (config.rotary_dim >= 0 && config.rotary_dim % 2 == 0);
  g_assert (config.rotary_dim <= config.head_dim);
  g_assert (vision->n_patches > 0 && vision->n_run_layers >= 0);
  g_assert (vision->n_run_layers <= vision->n_layers);
  g_assert (config.image_positions >= vision->n_patches);
  g_assert (config.n_projector_layers >= 1);
  g_assert (config.n_projector_layers <= ALLAVA_MAX_PROJECTOR_LAYERS);
  return 0;
}
