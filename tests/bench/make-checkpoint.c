/* make-checkpoint - a checkpoint of ALLaVA-3B's sizes and layout with random bf16 weights, for
 * machines without Python (make_checkpoint.py is the same with a real tokenizer).
 *
 *   make-checkpoint TOKENIZER_DIR DIR
 *
 * The tokenizer's files are copied from TOKENIZER_DIR, any small checkpoint's folder. */
#include <glib.h>
#include <glib/gstdio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { H = 2560, F = 10240, LAYERS = 32, VOCAB = 51200, D = 1024, E = 4096, VISION_LAYERS = 24 };

static const char config[] =
    "{\"model_type\": \"llava_phi\", \"architectures\": [\"LlavaPhiForCausalLM\"], "
    "\"hidden_size\": 2560, \"intermediate_size\": 10240, \"num_hidden_layers\": 32, "
    "\"num_attention_heads\": 32, \"num_key_value_heads\": 32, \"hidden_act\": \"gelu_new\", "
    "\"layer_norm_eps\": 1e-5, \"partial_rotary_factor\": 0.4, \"rope_theta\": 10000.0, "
    "\"rope_scaling\": null, \"qk_layernorm\": false, \"vocab_size\": 51200, "
    "\"max_position_embeddings\": 2048, \"tie_word_embeddings\": false, "
    "\"torch_dtype\": \"bfloat16\", \"bos_token_id\": null, \"eos_token_id\": null, "
    "\"image_aspect_ratio\": \"pad\", \"mm_hidden_size\": 1024, "
    "\"mm_projector_type\": \"mlp2x_gelu\", \"mm_vision_select_layer\": -2, "
    "\"mm_vision_select_feature\": \"patch\", "
    "\"mm_vision_tower\": \"openai/clip-vit-large-patch14-336\", "
    "\"mm_use_im_start_end\": false, \"mm_use_im_patch_token\": false}\n";

/* ---- Tensors: listed first, then written ------------------------------------------------------
 */

typedef struct {
  GString *header;
  GArray *sizes; /* size_t, elements; the top bit marks a norm's weight, which is 1 */
  size_t offset; /* bytes */
} List;

#define ONES ((size_t)1 << 63)

static void
add (List *list, const char *prefix, const char *name, size_t n, const char *shape, gboolean ones)
{
  size_t size = n | (ones ? ONES : 0);
  g_string_append_printf (list->header,
                          "%s\"%s%s\":{\"dtype\":\"BF16\",\"shape\":[%s],"
                          "\"data_offsets\":[%zu,%zu]}",
                          list->sizes->len > 0 ? "," : "{", prefix, name, shape, list->offset,
                          list->offset + 2 * n);
  list->offset += 2 * n;
  g_array_append_val (list->sizes, size);
}

static void
add_matrix (List *list, const char *prefix, const char *name, size_t n_out, size_t n_in)
{
  g_autofree char *shape = g_strdup_printf ("%zu,%zu", n_out, n_in);
  add (list, prefix, name, n_out * n_in, shape, FALSE);
}

static void
add_vector (List *list, const char *prefix, const char *name, size_t n, gboolean ones)
{
  g_autofree char *shape = g_strdup_printf ("%zu", n);
  add (list, prefix, name, n, shape, ones);
}

static void
add_linear (List *list, const char *prefix, const char *name, size_t n_out, size_t n_in)
{
  g_autofree char *weight = g_strconcat (name, ".weight", NULL);
  g_autofree char *bias = g_strconcat (name, ".bias", NULL);
  add_matrix (list, prefix, weight, n_out, n_in);
  add_vector (list, prefix, bias, n_out, FALSE);
}

static void
add_norm (List *list, const char *prefix, const char *name, size_t n)
{
  g_autofree char *weight = g_strconcat (name, ".weight", NULL);
  g_autofree char *bias = g_strconcat (name, ".bias", NULL);
  add_vector (list, prefix, weight, n, TRUE);
  add_vector (list, prefix, bias, n, FALSE);
}

static void
add_decoder (List *list)
{
  add_matrix (list, "", "model.embed_tokens.weight", VOCAB, H);
  for (int i = 0; i < LAYERS; i++) {
    g_autofree char *p = g_strdup_printf ("model.layers.%d.", i);
    add_norm (list, p, "input_layernorm", H);
    add_linear (list, p, "self_attn.q_proj", H, H);
    add_linear (list, p, "self_attn.k_proj", H, H);
    add_linear (list, p, "self_attn.v_proj", H, H);
    add_linear (list, p, "self_attn.dense", H, H);
    add_linear (list, p, "mlp.fc1", F, H);
    add_linear (list, p, "mlp.fc2", H, F);
  }
  add_norm (list, "", "model.final_layernorm", H);
  add_matrix (list, "", "lm_head.weight", VOCAB, H);
  add_linear (list, "", "model.mm_projector.0", H, D);
  add_linear (list, "", "model.mm_projector.2", H, H);
}

static void
add_vision (List *list)
{
  const char *tower = "model.vision_tower.vision_tower.vision_model.";
  add_vector (list, tower, "embeddings.class_embedding", D, FALSE);
  add (list, tower, "embeddings.patch_embedding.weight", D * 3 * 14 * 14, "1024,3,14,14", FALSE);
  add_matrix (list, tower, "embeddings.position_embedding.weight", 577, D);
  add_norm (list, tower, "pre_layrnorm", D);
  for (int i = 0; i < VISION_LAYERS; i++) {
    g_autofree char *p = g_strdup_printf ("%sencoder.layers.%d.", tower, i);
    add_norm (list, p, "layer_norm1", D);
    add_norm (list, p, "layer_norm2", D);
    add_linear (list, p, "self_attn.q_proj", D, D);
    add_linear (list, p, "self_attn.k_proj", D, D);
    add_linear (list, p, "self_attn.v_proj", D, D);
    add_linear (list, p, "self_attn.out_proj", D, D);
    add_linear (list, p, "mlp.fc1", E, D);
    add_linear (list, p, "mlp.fc2", D, E);
  }
}

/* ---- Values -----------------------------------------------------------------------------------
 */

#define BLOCK ((size_t)1 << 24)

/* About normal around 0, deviation 0.02, as bf16: the sum of four uniform numbers. */
static uint16_t *
draw_block (GRand *random)
{
  uint16_t *block = g_new (uint16_t, BLOCK);
  for (size_t i = 0; i < BLOCK; i++) {
    uint32_t bits = g_rand_int (random), sum = 0, word;
    for (int j = 0; j < 4; j++)
      sum += bits >> 8 * j & 255;
    float x = ((float)sum - 510) * (0.02f / 147.8f);
    memcpy (&word, &x, sizeof word);
    block[i] = (uint16_t)(word >> 16);
  }
  return block;
}

static gboolean
write_values (FILE *file, const List *list)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (3);
  g_autofree uint16_t *block = draw_block (random);
  g_autofree uint16_t *ones = g_new (uint16_t, H);
  for (int i = 0; i < H; i++)
    ones[i] = 0x3f80;
  for (guint i = 0; i < list->sizes->len; i++) {
    size_t size = g_array_index (list->sizes, size_t, i), left = size & ~ONES;
    while (left > 0) {
      size_t start = (size_t)g_rand_int_range (random, 0, BLOCK / 2);
      size_t n = MIN (left, size & ONES ? H : BLOCK - start);
      if (fwrite (size & ONES ? ones : block + start, 2, n, file) != n)
        return FALSE;
      left -= n;
    }
  }
  return TRUE;
}

static gboolean
write_weights (const char *path)
{
  List list = {g_string_new (NULL), g_array_new (FALSE, FALSE, sizeof (size_t)), 0};
  add_decoder (&list);
  add_vision (&list);
  g_string_append_c (list.header, '}');
  while (list.header->len % 8 != 0)
    g_string_append_c (list.header, ' ');
  uint64_t length = GUINT64_TO_LE (list.header->len);
  FILE *file = fopen (path, "wb");
  gboolean ok = file != NULL && fwrite (&length, sizeof length, 1, file) == 1 &&
                fwrite (list.header->str, 1, list.header->len, file) == list.header->len &&
                write_values (file, &list);
  ok = file != NULL && fclose (file) == 0 && ok;
  g_string_free (list.header, TRUE);
  g_array_unref (list.sizes);
  return ok;
}

static gboolean
copy_file (const char *from_dir, const char *to_dir, const char *name)
{
  g_autofree char *from = g_build_filename (from_dir, name, NULL);
  g_autofree char *to = g_build_filename (to_dir, name, NULL);
  g_autofree char *text = NULL;
  gsize length;
  return g_file_get_contents (from, &text, &length, NULL) &&
         g_file_set_contents (to, text, length, NULL);
}

int
main (int argc, char **argv)
{
  if (argc != 3) {
    fprintf (stderr, "make-checkpoint TOKENIZER_DIR DIR\n");
    return 2;
  }
  g_autofree char *weights = g_build_filename (argv[2], "model.safetensors", NULL);
  g_autofree char *config_path = g_build_filename (argv[2], "config.json", NULL);
  if (g_mkdir_with_parents (argv[2], 0777) != 0 || !write_weights (weights) ||
      !g_file_set_contents (config_path, config, -1, NULL) ||
      !copy_file (argv[1], argv[2], "tokenizer.json") ||
      !copy_file (argv[1], argv[2], "tokenizer_config.json")) {
    fprintf (stderr, "%s cannot be written\n", argv[2]);
    return 1;
  }
  return 0;
}
