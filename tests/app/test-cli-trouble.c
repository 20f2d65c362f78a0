/* allava-cli used wrongly, failing and interrupted; and its help. */
#include <signal.h>
#include <string.h>

#include "cli-testing.h"

/* ---- Wrong use and failures ------------------------------------------------------------------ */

static void
test_help (void)
{
  static const char *const commands[] = {"describe",   "chat", "generate", "tokenize",
                                         "detokenize", "dump", "bench",    "quantize"};
  g_auto (TestingRun) all = testing_run ("--help");
  g_assert_cmpint (all.status, ==, 0);
  g_assert_cmpstr (all.err, ==, "");
  for (size_t i = 0; i < G_N_ELEMENTS (commands); i++) {
    g_assert_nonnull (strstr (all.out, commands[i]));
    g_autofree char *args = g_strconcat (commands[i], " --help", NULL);
    g_autofree char *usage = g_strdup_printf ("allava-cli %s [", commands[i]);
    g_auto (TestingRun) one = testing_run (args);
    g_assert_cmpint (one.status, ==, 0);
    g_assert_nonnull (strstr (one.out, usage));
    g_assert_nonnull (strstr (one.out, "--model"));
  }
  g_auto (TestingRun) version = testing_run ("--version");
  g_assert_true (g_str_has_prefix (version.out, "allava-cli "));
}

static void
test_misuse (gconstpointer user_data)
{
  g_auto (TestingRun) result = testing_run (user_data);
  g_assert_cmpint (result.status, ==, 2);
  g_assert_cmpstr (result.out, ==, "");
  testing_assert_one_line (result.err);
}

static void
test_failure (gconstpointer user_data)
{
  const char *const *texts = user_data; /* arguments, what the message says */
  g_auto (TestingRun) result = testing_run (texts[0]);
  g_assert_cmpint (result.status, ==, 1);
  g_assert_cmpstr (result.out, ==, "");
  testing_assert_one_line (result.err);
  g_assert_nonnull (strstr (result.err, texts[1]));
}

static void
test_empty_prompt (void)
{
  char *args[] = {"generate", "--prompt", "", NULL};
  g_auto (TestingRun) result = testing_run_words ("", 0, args);
  g_assert_cmpint (result.status, ==, 2);
  testing_assert_one_line (result.err);
}

static void
test_full_disk (void)
{
  g_autoptr (GSubprocessLauncher) launcher =
      g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_auto (GStrv) words = testing_split ("- generate --model %m --prompt Hi --max-new-tokens 3");
  g_free (words[0]);
  words[0] = g_strdup (g_getenv ("ALLAVA_CLI"));
  g_subprocess_launcher_set_stdout_file_path (launcher, "/dev/full");
  g_autoptr (GSubprocess) process =
      g_subprocess_launcher_spawnv (launcher, (const char *const *)words, NULL);
  if (process == NULL) {
    g_test_skip ("there is no /dev/full");
    return;
  }
  g_autofree char *err = NULL;
  g_subprocess_communicate_utf8 (process, NULL, NULL, NULL, &err, NULL);
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 1);
  testing_assert_one_line (err);
}

/* ---- Ctrl+C ---------------------------------------------------------------------------------- */

/* The beginning of a JPEG file that goes on and on: more comments than a pipe holds, so that it has
 * been written only when the program is at work on it. */
static void
send_endless_picture (GSubprocess *process)
{
  g_autoptr (GString) picture = g_string_new ("\xff\xd8");
  for (int i = 0; i < 4; i++) {
    g_string_append (picture, "\xff\xfe\xff\xff");
    g_string_set_size (picture, picture->len + 0xffff - 2);
  }
  GOutputStream *input = g_subprocess_get_stdin_pipe (process);
  g_assert_true (g_output_stream_write_all (input, picture->str, picture->len, NULL, NULL, NULL));
}

static void
test_interrupt_work (void)
{
  g_auto (GStrv) words = testing_split ("describe --model %m /dev/stdin");
  g_autoptr (GSubprocess) process = testing_spawn (words);
  send_endless_picture (process);
  g_subprocess_send_signal (process, SIGINT);
  g_assert_true (g_subprocess_wait (process, NULL, NULL));
  g_auto (TestingRun) result = testing_finish (process, "", 0);
  g_assert_cmpint (result.status, ==, 130);
  g_assert_cmpstr (result.err, ==, "");
}

static gboolean
send_interrupt_cb (gpointer user_data)
{
  g_subprocess_send_signal (user_data, SIGINT);
  return G_SOURCE_CONTINUE;
}

static void
ended_cb (GObject *process, GAsyncResult *result, gpointer user_data)
{
  g_assert_true (g_subprocess_wait_finish (G_SUBPROCESS (process), result, NULL));
  *(gboolean *)user_data = TRUE;
}

/* Between questions it ends the program; a first one may still meet the end of the answer. */
static void
test_interrupt_prompt (void)
{
  g_auto (GStrv) words = testing_split ("chat --model %m --max-new-tokens 1");
  g_autoptr (GSubprocess) process = testing_spawn (words);
  GOutputStream *input = g_subprocess_get_stdin_pipe (process);
  g_assert_true (g_output_stream_write_all (input, "Hello\n", 6, NULL, NULL, NULL));
  char byte;
  GInputStream *output = g_subprocess_get_stdout_pipe (process);
  g_assert_cmpint (g_input_stream_read (output, &byte, 1, NULL, NULL), ==, 1);

  gboolean ended = FALSE;
  guint timer = g_timeout_add (100, send_interrupt_cb, process);
  g_subprocess_wait_async (process, NULL, ended_cb, &ended);
  while (!ended)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (timer);
  g_auto (TestingRun) result = testing_finish (process, "", 0);
  g_assert_cmpint (result.status, ==, -SIGINT);
}

/* ---------------------------------------------------------------------------------------------- */

static void
add_misuse_tests (void)
{
  static const char *const misuses[] = {
      "",
      "paint",
      "--paint",
      "describe",
      "describe --paint x.png",
      "describe --model",
      "describe --threads x x.png",
      "describe --threads 2.5 x.png",
      "describe --threads -1 x.png",
      "describe --max-new-tokens 0 x.png",
      "describe --temperature -1 x.png",
      "describe --temperature nan x.png",
      "describe --top-p 2 x.png",
      "describe --top-k 1e3 x.png",
      "describe --seed -1 x.png",
      "describe --dtype f64 x.png",
      "describe --dtype q5 x.png",
      "quantize --dtype q8",
      "quantize --out x",
      "quantize --dtype bf16 --out x",
      "quantize --dtype q4 --out x y",
      "describe --device gpu x.png",
      "describe --device cuda:x x.png",
      "describe --alpha black x.png",
      "generate",
      "generate --prompt Hi x.png",
      "tokenize x.txt",
      "detokenize 1 2",
      "dump --prompt Hi",
      "dump --out x",
      "bench x",
      "bench --new-tokens 1",
      "bench --repeat 0",
  };
  for (size_t i = 0; i < G_N_ELEMENTS (misuses); i++) {
    g_autofree char *path = g_strdup_printf ("/cli/misuse/%zu", i);
    g_test_add_data_func (path, misuses[i], test_misuse);
  }
}

static void
add_failure_tests (void)
{
  static const char *const failures[][2] = {
      {"describe --model /nonexistent %i/rgb8.png", "/nonexistent"},
      {"describe --model %i %i/rgb8.png", "config.json"},
      {"describe --model %m --device cuda:1000 %i/rgb8.png", "on the GPU"},
      {"describe --model %m absent.png", "absent.png"},
      {"describe --model %m %i/text.png", "text.png is not a picture"},
      {"describe --model %m %i/huge-20000x20000.png", "20000 x 20000"},
      {"describe --prompt \xff --model %m %i/rgb8.png", "not valid UTF-8"},
      {"generate --model %m --prompt \xff", "not valid UTF-8"},
      {"generate --model %m --image absent.png --prompt Hi", "absent.png"},
      {"chat --model %m absent.png", "absent.png"},
      {"tokenize --model /nonexistent", "/nonexistent"},
      {"dump --model %m --prompt Hi --out %i/rgb8.png/x", "rgb8.png/x"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (failures); i++) {
    g_autofree char *path = g_strdup_printf ("/cli/failure/%zu", i);
    g_test_add_data_func (path, failures[i], test_failure);
  }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_assert_nonnull (g_getenv ("ALLAVA_CLI"));
  signal (SIGPIPE, SIG_IGN);

  g_test_add_func ("/cli/help", test_help);
  add_misuse_tests ();
  add_failure_tests ();
  g_test_add_func ("/cli/empty-prompt", test_empty_prompt);
  g_test_add_func ("/cli/full-disk", test_full_disk);
  g_test_add_func ("/cli/interrupt-work", test_interrupt_work);
  g_test_add_func ("/cli/interrupt-prompt", test_interrupt_prompt);
  return g_test_run ();
}
