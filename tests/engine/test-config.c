#include "config.h"

#include <string.h>

#define VISION                                                                                     \
  "\"vision_config\": {\"image_size\": 30, \"patch_size\": 7, \"hidden_size\": 32,"                \
  " \"intermediate_size\": 64, \"num_hidden_layers\": 3, \"num_attention_heads\": 2}"
#define BASE                                                                                       \
  "\"model_type\": \"llava_phi\", \"hidden_size\": 80, \"intermediate_size\": 100,"                \
  " \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"vocab_size\": 300,"                    \
  " \"partial_rotary_factor\": 0.4"

static gboolean
parse (AllavaConfig *config, const char *members, GError **error)
{
  g_autofree char *json = g_strdup_printf ("{%s}", members);
  return allava_config_parse (config, json, strlen (json), "c.json", NULL, error);
}

static void
test_resolves (void)
{
  AllavaConfig config;
  g_autoptr (GError) error = NULL;
  parse (&config,
         BASE ", " VISION ", \"mm_vision_select_layer\": -2, \"image_aspect_ratio\": \"pad\","
              " \"mm_projector_type\": \"mlp2x_gelu\", \"num_key_value_heads\": 2,"
              " \"eos_token_id\": 7, \"bos_token_id\": null, \"rope_scaling\": null",
         &error);
  g_assert_no_error (error);
  g_assert_cmpint (config.head_dim, ==, 20);
  g_assert_cmpint (config.rotary_dim, ==, 8);
  g_assert_cmpint (config.n_kv_heads, ==, 2);
  g_assert_cmpint (config.context_length, ==, 2048);
  g_assert_cmpfloat (config.rope_theta, ==, 10000);
  g_assert_cmpint (config.vision.n_patches, ==, 16); /* 30 / 7 = 4 */
  g_assert_cmpint (config.vision.n_run_layers, ==, 2);
  g_assert_cmpint (config.image_positions, ==, 16);
  g_assert_cmpint (config.n_projector_layers, ==, 2);
  g_assert_cmpint (config.aspect, ==, ALLAVA_ASPECT_PAD);
  g_assert_cmpint (config.eos_token_id, ==, 7);
}

/* openai/clip-vit-large-patch14-336 is known by name, as ALLaVA-3B's config names it. */
static void
test_known_tower (void)
{
  AllavaConfig config;
  g_autoptr (GError) error = NULL;
  parse (&config,
         BASE ", \"mm_vision_tower\": \"openai/clip-vit-large-patch14-336\","
              " \"mm_vision_select_feature\": \"cls_patch\", \"mm_vision_select_layer\": 5",
         &error);
  g_assert_no_error (error);
  g_assert_cmpint (config.vision.n_patches, ==, 576);
  g_assert_cmpint (config.vision.hidden_size, ==, 1024);
  g_assert_cmpint (config.image_positions, ==, 577);
  g_assert_cmpint (config.vision.n_run_layers, ==, 5);
  g_assert_cmpint (config.n_projector_layers, ==, 1);
  g_assert_cmpint (config.eos_token_id, ==, -1);
}

/* transformers 5 writes the rotary settings into an object of their own. */
static void
test_rope_parameters (void)
{
  AllavaConfig config;
  g_autoptr (GError) error = NULL;
  parse (&config,
         BASE ", " VISION ", \"rope_parameters\": {\"rope_type\": \"default\","
              " \"rope_theta\": 5000.0, \"partial_rotary_factor\": 0.8}",
         &error);
  g_assert_no_error (error);
  g_assert_cmpint (config.rotary_dim, ==, 16);
  g_assert_cmpfloat (config.rope_theta, ==, 5000);
}

static void
test_refuses (void)
{
  static const struct {
    const char *members; /* after BASE and VISION; a later key wins */
    const char *says;
  } cases[] = {
      {"\"model_type\": \"llava\"", "llava"},
      {"\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}", "rope_scaling"},
      {"\"rope_parameters\": {\"rope_type\": \"yarn\"}", "yarn"},
      {"\"hidden_size\": 0", "hidden_size"},
      {"\"hidden_size\": \"80\"", "hidden_size"},
      {"\"hidden_size\": 81", "multiple"},
      {"\"num_key_value_heads\": 3", "num_key_value_heads"},
      {"\"vocab_size\": 1000000000000", "vocab_size"},
      {"\"num_hidden_layers\": 1.5", "num_hidden_layers"},
      {"\"partial_rotary_factor\": 0.25", "odd"},
      {"\"partial_rotary_factor\": 1.5", "partial_rotary_factor"},
      {"\"rope_theta\": 0", "rope_theta"},
      {"\"layer_norm_eps\": -1", "layer_norm_eps"},
      {"\"hidden_act\": \"silu\"", "silu"},
      {"\"mm_projector_type\": \"resampler\"", "resampler"},
      {"\"mm_projector_type\": \"mlp99x_gelu\"", "mlp99x_gelu"},
      {"\"mm_vision_select_layer\": -5", "mm_vision_select_layer"},
      {"\"mm_vision_select_feature\": \"cls\"", "cls"},
      {"\"image_aspect_ratio\": \"anyres\"", "anyres"},
      {"\"mm_use_im_start_end\": true", "mm_use_im_start_end"},
      {"\"mm_patch_merge_type\": \"spatial\"", "spatial"},
      {"\"quantization_config\": {}", "quantization_config"},
      {"\"vision_config\": null, \"mm_vision_tower\": \"some/tower\"", "some/tower"},
      {"\"vision_config\": {\"image_size\": 5, \"patch_size\": 7}", "patches"},
      {"\"vision_config\": {\"hidden_size\": 30, \"num_attention_heads\": 4}", "heads"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    AllavaConfig config;
    g_autoptr (GError) error = NULL;
    g_autofree char *members = g_strconcat (BASE ", " VISION ", ", cases[i].members, NULL);
    g_assert_false (parse (&config, members, &error));
    g_assert_nonnull (error);
    g_assert_true (error->domain == ALLAVA_ERROR);
    g_test_message ("%s", error->message);
    g_assert_true (g_str_has_prefix (error->message, "c.json"));
    g_assert_nonnull (strstr (error->message, cases[i].says));
  }
}

static void
test_no_folder (void)
{
  AllavaConfig config;
  g_autoptr (GError) error = NULL;
  g_assert_false (allava_config_load (&config, "/nonexistent/model", NULL, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE);
  g_assert_nonnull (strstr (error->message, "/nonexistent/model"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/config/resolves", test_resolves);
  g_test_add_func ("/config/known-tower", test_known_tower);
  g_test_add_func ("/config/rope-parameters", test_rope_parameters);
  g_test_add_func ("/config/refuses", test_refuses);
  g_test_add_func ("/config/no-folder", test_no_folder);
  return g_test_run ();
}
