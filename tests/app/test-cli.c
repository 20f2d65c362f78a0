/* The contract of allava-cli that scripts rely on, with a tiny random model of tests/reference. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>

#include "cli-testing.h"

static JsonNode *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  JsonNode *node = json_from_string (text, &error);
  g_assert_no_error (error);
  return node;
}

/* ---- describe and generate ------------------------------------------------------------------- */

static void
test_describe (void)
{
  g_auto (TestingRun) one = testing_run ("describe --model %m --max-new-tokens 8 %i/rgb8.png");
  g_assert_cmpint (one.status, ==, 0);
  g_assert_cmpstr (one.err, ==, "");
  g_assert_true (g_str_has_suffix (one.out, "\n"));

  g_auto (TestingRun) two =
      testing_run ("describe --model %m --max-new-tokens 8 %i/rgb8.png %i/grey.jpg");
  g_assert_cmpint (two.status, ==, 0);
  const char *first = strstr (two.out, "rgb8.png:\n");
  g_assert_nonnull (first);
  g_assert_true (g_str_has_prefix (first + strlen ("rgb8.png:\n"), one.out));
  g_assert_nonnull (strstr (first, "grey.jpg:\n"));
}

/* All that ARGS print on a terminal. */
static char *
run_on_terminal (GStrv args)
{
  g_autoptr (GError) error = NULL;
  int terminal = posix_openpt (O_RDWR | O_NOCTTY);
  g_assert_true (terminal >= 0 && grantpt (terminal) == 0 && unlockpt (terminal) == 0);
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  g_subprocess_launcher_take_stdout_fd (launcher, open (ptsname (terminal), O_RDWR | O_NOCTTY));
  g_autoptr (GSubprocess) process =
      g_subprocess_launcher_spawnv (launcher, (const char *const *)args, &error);
  g_assert_no_error (error);
  g_clear_object (&launcher); /* closes its end, so that reading ends */
  GString *out = g_string_new (NULL);
  char chunk[4096];
  ssize_t n;
  while ((n = read (terminal, chunk, sizeof chunk)) > 0)
    g_string_append_len (out, chunk, n);
  close (terminal);
  g_assert_true (g_subprocess_wait_check (process, NULL, NULL));
  return g_string_free (out, FALSE);
}

/* What a file's name, or a model, says to a terminal is shown and not obeyed. */
static void
test_terminal (void)
{
  g_autofree char *dir = g_dir_make_tmp ("allava-XXXXXX", NULL);
  g_autofree char *link = g_build_filename (dir, "a\x1b]0;x\x07\xc2\x9b\r.png", NULL);
  g_auto (GStrv) words = testing_split ("- describe --model %m --max-new-tokens 8 %i/rgb8.png -");
  guint last = g_strv_length (words) - 1;
  g_assert_cmpint (symlink (words[last - 1], link), ==, 0);
  g_free (words[0]);
  words[0] = g_strdup (g_getenv ("ALLAVA_CLI"));
  g_free (words[last]);
  words[last] = g_strdup (link);
  g_autofree char *out = run_on_terminal (words);
  g_assert_nonnull (strstr (out, "a\xef\xbf\xbd]0;x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd.png:\r\n"));
  g_assert_null (strpbrk (out, "\x1b\x07"));
  g_assert_null (strstr (out, "\xc2\x9b"));
  g_assert_cmpint (g_unlink (link), ==, 0);
  g_rmdir (dir);
}

/* What OBJECT says of the picture's way is all of the time that KEY gives. */
static void
assert_parts (JsonObject *object, const char *key)
{
  static const char *const parts[] = {"image_decode_ms", "preprocess_ms", "tower_ms",
                                      "projector_ms"};
  double sum = 0;
  for (size_t i = 0; i < G_N_ELEMENTS (parts); i++) {
    g_assert_cmpfloat (json_object_get_double_member (object, parts[i]), >, 0);
    sum += json_object_get_double_member (object, parts[i]);
  }
  g_assert_cmpfloat_with_epsilon (json_object_get_double_member (object, key), sum, 0.01);
}

static void
test_describe_json (void)
{
  g_auto (TestingRun) text = testing_run ("describe --model %m --max-new-tokens 8 %i/rgb8.png");
  g_auto (TestingRun) result = testing_run (
      "--model %m --max-new-tokens 8 describe --json %i/rgb8.png %i/empty.png %i/grey.jpg");
  g_assert_cmpint (result.status, ==, 1);
  testing_assert_one_line (result.err);
  g_assert_nonnull (strstr (result.err, "empty.png is empty"));

  g_auto (GStrv) lines = g_strsplit (result.out, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, 3);
  g_assert_cmpstr (lines[2], ==, "");
  for (int i = 0; i < 2; i++) {
    g_autoptr (JsonNode) node = parse (lines[i]);
    JsonObject *object = json_node_get_object (node);
    const char *path = json_object_get_string_member (object, "path");
    g_assert_true (g_str_has_suffix (path, i == 0 ? "/rgb8.png" : "/grey.jpg"));
    g_assert_cmpint (json_object_get_int_member (object, "tokens"), ==, 8);
    g_assert_cmpint (json_object_get_int_member (object, "prompt_tokens"), >, 16);
    assert_parts (object, "image_ms");
    g_assert_cmpfloat (json_object_get_double_member (object, "prefill_ms"), >, 0);
    g_assert_cmpfloat (json_object_get_double_member (object, "decode_ms"), >, 0);
    g_assert_cmpstr (json_object_get_string_member (object, "stop"), ==, "length");
    g_autofree char *line =
        g_strconcat (json_object_get_string_member (object, "text"), "\n", NULL);
    if (i == 0)
      g_assert_cmpstr (line, ==, text.out);
  }
}

/* The golden case NAME of the checkpoint "base". */
static JsonObject *
golden_case (JsonNode *golden, const char *name)
{
  JsonArray *cases = json_object_get_array_member (json_node_get_object (golden), "cases");
  for (guint i = 0; i < json_array_get_length (cases); i++) {
    JsonObject *item = json_array_get_object_element (cases, i);
    if (g_str_equal (json_object_get_string_member (item, "name"), name))
      return item;
  }
  g_assert_not_reached ();
}

static JsonNode *
load_golden (void)
{
  g_autofree char *path =
      g_test_build_filename (G_TEST_DIST, "reference", "checkpoints", "base", "golden.json", NULL);
  g_autofree char *text = NULL;
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return parse (text);
}

/* Writes the first golden picture (tests/reference/README.md has the formula) to a file. */
static char *
write_picture (JsonNode *golden, const char *dir)
{
  JsonArray *pictures = json_object_get_array_member (json_node_get_object (golden), "pictures");
  JsonObject *item = json_array_get_object_element (pictures, 0);
  uint32_t width = json_object_get_int_member (item, "width");
  uint32_t height = json_object_get_int_member (item, "height");
  uint32_t seed = json_object_get_int_member (item, "seed");
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, width, height);
  uint8_t *row = gdk_pixbuf_get_pixels (pixbuf);
  for (uint32_t y = 0; y < height; y++, row += gdk_pixbuf_get_rowstride (pixbuf))
    for (uint32_t x = 0; x < width; x++)
      for (uint32_t c = 0; c < 3; c++)
        row[x * 3 + c] =
            (x * 7 + y * 13 + c * 101 + seed * 31) ^ ((x * y) >> 3) ^ (x * x * 3 + y * 5 * c);
  char *path = g_build_filename (dir, "picture.png", NULL);
  g_assert_true (gdk_pixbuf_save (pixbuf, path, "png", NULL, NULL));
  return path;
}

static const char *
golden_prompt (JsonObject *item)
{
  JsonArray *turns = json_object_get_array_member (item, "turns");
  return json_object_get_string_member (json_array_get_object_element (turns, 0), "text");
}

static void
remove_dir (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;
  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *file = g_build_filename (path, name, NULL);
    g_remove (file);
  }
  g_rmdir (path);
}

/* From a file on disk to token ids, the reference's answer. */
static void
test_generate (void)
{
  g_autoptr (JsonNode) golden = load_golden ();
  JsonObject *item = golden_case (golden, "image");
  g_autofree char *dir = g_dir_make_tmp ("allava-XXXXXX", NULL);
  g_autofree char *picture = write_picture (golden, dir);
  g_auto (GStrv) words =
      testing_split ("generate --model %m --json --max-new-tokens 64 --image I --prompt -");
  g_free (words[7]);
  words[7] = g_strdup (picture);
  const char *prompt = golden_prompt (item);
  g_auto (TestingRun) result = testing_run_words (prompt, strlen (prompt), words);
  g_assert_cmpint (result.status, ==, 0);
  g_assert_cmpstr (result.err, ==, "");

  g_autoptr (JsonNode) node = parse (result.out);
  JsonObject *object = json_node_get_object (node);
  JsonArray *images = json_object_get_array_member (object, "images");
  g_assert_cmpstr (json_array_get_string_element (images, 0), ==, picture);
  g_autofree char *tokens = json_to_string (json_object_get_member (object, "token_ids"), FALSE);
  g_autofree char *expected = json_to_string (json_object_get_member (item, "tokens"), FALSE);
  g_assert_cmpstr (tokens, ==, expected);
  remove_dir (dir);
}

/* ---- tokenize and detokenize ----------------------------------------------------------------- */

static void
test_tokenize (void)
{
  g_auto (TestingRun) special = testing_run_input ("tokenize --model %m", "<|endoftext|>");
  g_autoptr (JsonNode) one = parse (special.out);
  g_assert_cmpuint (json_array_get_length (json_node_get_array (one)), ==, 1);
  g_auto (TestingRun) text = testing_run_input ("tokenize --text --model %m", "<|endoftext|>");
  g_autoptr (JsonNode) many = parse (text.out);
  g_assert_cmpuint (json_array_get_length (json_node_get_array (many)), >, 1);

  g_auto (TestingRun) nothing = testing_run_input ("tokenize --model %m", "");
  g_assert_cmpstr (nothing.out, ==, "[]\n");
  g_auto (TestingRun) broken = testing_run_input ("tokenize --model %m", "\xff\xfe");
  g_assert_cmpint (broken.status, ==, 1);
  testing_assert_one_line (broken.err);
}

static void
test_detokenize (void)
{
  static const char text[] = "One \0 two,\tthr\xc3\xa9\xc3\xa9 \xf0\x9f\x90\x88\n<|endoftext|>";
  g_auto (GStrv) tokenize = testing_split ("tokenize --model %m");
  g_auto (GStrv) detokenize = testing_split ("detokenize --model %m");
  g_auto (TestingRun) ids = testing_run_words (text, sizeof text - 1, tokenize);
  g_auto (TestingRun) back = testing_run_words (ids.out, ids.n_out, detokenize);
  g_assert_cmpint (back.status, ==, 0);
  g_assert_cmpmem (back.out, back.n_out, text, sizeof text - 1);

  g_auto (TestingRun) nothing = testing_run_input ("detokenize --model %m", " [ ] ");
  g_assert_cmpint (nothing.status, ==, 0);
  g_assert_cmpuint (nothing.n_out, ==, 0);
  static const char *const bad[] = {"",      "[1",  "[1,]", "[1 2]",           "[\"a\"]", "{}",
                                    "[1.5]", "[-]", "[] 1", "[9999999999999]", "[999999]"};
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_auto (TestingRun) result = testing_run_input ("detokenize --model %m", bad[i]);
    g_assert_cmpint (result.status, ==, 1);
    g_assert_cmpuint (result.n_out, ==, 0);
    testing_assert_one_line (result.err);
  }
}

/* ---- chat ------------------------------------------------------------------------------------ */

/* Piped, it prints answers only; "clear" makes the next the first again, "q" ends. */
static void
test_chat (void)
{
  const char *args = "chat --model %m --max-new-tokens 4 %i/rgb8.png";
  g_auto (TestingRun) once = testing_run_input (args, "What is this?\n");
  g_assert_cmpint (once.status, ==, 0);
  g_assert_cmpstr (once.err, ==, "");
  g_assert_true (g_str_has_suffix (once.out, "\n"));
  g_auto (TestingRun) twice =
      testing_run_input (args, "What is this?\nclear\n\nWhat is this?\nq\nNever read\n");
  g_autofree char *expected = g_strconcat (once.out, once.out, NULL);
  g_assert_cmpstr (twice.out, ==, expected);
}

static void
test_chat_remembers (void)
{
  g_autoptr (GString) input = g_string_new (NULL);
  for (int i = 0; i < 200; i++)
    g_string_append (input, "And what else is there to be seen in this picture?\n");
  g_auto (TestingRun) result =
      testing_run_input ("chat --model %m --max-new-tokens 4 %i/rgb8.png", input->str);
  g_assert_cmpint (result.status, ==, 0);
  g_assert_nonnull (strstr (result.err, "oldest turns are left out"));
}

static void
test_chat_pictures (void)
{
  g_autofree char *images = g_test_build_filename (G_TEST_DIST, "data", "images", NULL);
  g_autofree char *input =
      g_strdup_printf ("/image %s/grey.jpg\n/image %s/empty.png\nCompare them.\n", images, images);
  g_auto (TestingRun) result =
      testing_run_input ("chat --model %m --max-new-tokens 4 %i/rgb8.png", input);
  g_assert_cmpint (result.status, ==, 1);
  g_assert_nonnull (strstr (result.err, "not trained for several pictures"));
  g_assert_nonnull (strstr (result.err, "empty.png is empty"));
  g_assert_true (g_str_has_suffix (result.out, "\n")); /* it went on */
}

/* ---- dump ------------------------------------------------------------------------------------ */

/* The header's dictionary, without what fills it; *DATA is what follows. */
static char *
read_npy (const char *dir, const char *name, char **contents, const char **data)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  size_t length;
  g_assert_true (g_file_get_contents (path, contents, &length, NULL));
  g_assert_cmpmem (*contents, 8, "\x93NUMPY\x01\0", 8);
  size_t n_header = (uint8_t)(*contents)[8] | (uint8_t)(*contents)[9] << 8;
  g_assert_cmpuint ((10 + n_header) % 64, ==, 0);
  *data = *contents + 10 + n_header;
  return g_strchomp (g_strndup (*contents + 10, n_header));
}

static void
assert_npy (const char *dir, const char *name, const char *type, const char *shape)
{
  g_autofree char *contents = NULL;
  const char *data;
  g_autofree char *header = read_npy (dir, name, &contents, &data);
  g_autofree char *expected =
      g_strdup_printf ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type, shape);
  g_assert_cmpstr (header, ==, expected);
}

static void
test_dump (void)
{
  g_autoptr (JsonNode) golden = load_golden ();
  JsonObject *item = golden_case (golden, "image");
  g_autofree char *tmp = g_dir_make_tmp ("allava-XXXXXX", NULL);
  g_autofree char *picture = write_picture (golden, tmp);
  g_autofree char *out = g_build_filename (tmp, "stages", NULL);
  g_auto (GStrv) words = testing_split ("dump --model %m --image I --out O --prompt P");
  char **slots[] = {&words[4], &words[6], &words[8]};
  const char *values[] = {picture, out, golden_prompt (item)};
  for (int i = 0; i < 3; i++) {
    g_free (*slots[i]);
    *slots[i] = g_strdup (values[i]);
  }
  g_auto (TestingRun) result = testing_run_words ("", 0, words);
  g_assert_cmpstr (result.err, ==, "");
  g_assert_cmpint (result.status, ==, 0);

  assert_npy (out, "pixel_values.npy", "<f4", "(3, 56, 56)");
  assert_npy (out, "vision_features.npy", "<f4", "(16, 32)");
  assert_npy (out, "image_features.npy", "<f4", "(16, 80)");
  JsonArray *expected = json_object_get_array_member (item, "input_ids");
  guint n = json_array_get_length (expected);
  g_autofree char *ids_shape = g_strdup_printf ("(%u,)", n);
  g_autofree char *logits_shape = g_strdup_printf ("(%u, 384)", n - 1 + 16);
  assert_npy (out, "input_ids.npy", "<i8", ids_shape);
  assert_npy (out, "logits.npy", "<f4", logits_shape);

  g_autofree char *contents = NULL;
  const char *data;
  g_autofree char *header = read_npy (out, "input_ids.npy", &contents, &data);
  for (guint i = 0; i < n; i++) {
    int64_t id;
    memcpy (&id, data + i * sizeof id, sizeof id);
    g_assert_cmpint (id, ==, json_array_get_int_element (expected, i));
  }
  remove_dir (out);
  remove_dir (tmp);
}

/* ---- bench ----------------------------------------------------------------------------------- */

static void
test_bench (void)
{
  static const char *const keys[] = {
      "load_ms",        "image_ms",           "vision_ms",           "prefill_ms",
      "prefill_tokens", "first_token_ms",     "decode_tokens_per_s", "bytes_per_token",
      "bandwidth_gb_s", "bandwidth_fraction", "peak_rss_mb",         "threads",
  };
  g_auto (TestingRun) result =
      testing_run ("bench --model %m --new-tokens 8 --repeat 2 --threads 1 --dtype bf16");
  g_assert_cmpint (result.status, ==, 0);
  g_assert_cmpstr (result.err, ==, "");
  g_autoptr (JsonNode) node = parse (result.out);
  JsonObject *object = json_node_get_object (node);
  for (size_t i = 0; i < G_N_ELEMENTS (keys); i++)
    g_assert_cmpfloat (json_object_get_double_member (object, keys[i]), >, 0);
  assert_parts (object, "image_ms");
  g_assert_cmpfloat (json_object_get_double_member (object, "peak_device_mb"), ==, 0);
  g_assert_cmpint (json_object_get_int_member (object, "threads"), ==, 1);
  g_assert_cmpstr (json_object_get_string_member (object, "device"), ==, "cpu");
  g_assert_cmpstr (json_object_get_string_member (object, "dtype"), ==, "bf16");
}

static void
test_bench_text (void)
{
  g_auto (TestingRun) result =
      testing_run ("bench --model %m --no-image --prompt-tokens 20 --new-tokens 4");
  g_assert_cmpint (result.status, ==, 0);
  g_autoptr (JsonNode) node = parse (result.out);
  JsonObject *object = json_node_get_object (node);
  int n = json_object_get_int_member (object, "prefill_tokens");
  g_assert_cmpint (n, >=, 20);
  g_assert_cmpint (n, <, 60); /* the marks around the prompt, a word's last tokens */
  g_assert_cmpfloat (json_object_get_double_member (object, "image_ms"), ==, 0);
  g_assert_cmpfloat (json_object_get_double_member (object, "first_token_ms"), ==,
                     json_object_get_double_member (object, "prefill_ms"));

  g_auto (TestingRun) wrong = testing_run ("bench --model %m --prompt-tokens 0");
  g_assert_cmpint (wrong.status, ==, 2);
  testing_assert_one_line (wrong.err);
  g_auto (TestingRun) long_prompt =
      testing_run ("bench --model %m --no-image --prompt-tokens 90000");
  g_assert_cmpint (long_prompt.status, ==, 1);
  testing_assert_one_line (long_prompt.err);
}

/* ---------------------------------------------------------------------------------------------- */

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_assert_nonnull (g_getenv ("ALLAVA_CLI"));
  signal (SIGPIPE, SIG_IGN);

  g_test_add_func ("/cli/describe", test_describe);
  g_test_add_func ("/cli/terminal", test_terminal);
  g_test_add_func ("/cli/describe-json", test_describe_json);
  g_test_add_func ("/cli/generate", test_generate);
  g_test_add_func ("/cli/tokenize", test_tokenize);
  g_test_add_func ("/cli/detokenize", test_detokenize);
  g_test_add_func ("/cli/chat", test_chat);
  g_test_add_func ("/cli/chat-remembers", test_chat_remembers);
  g_test_add_func ("/cli/chat-pictures", test_chat_pictures);
  g_test_add_func ("/cli/dump", test_dump);
  g_test_add_func ("/cli/bench", test_bench);
  g_test_add_func ("/cli/bench-text", test_bench_text);
  return g_test_run ();
}
