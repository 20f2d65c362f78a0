#include "cli-testing.h"

#include <string.h>

void
testing_run_clear (TestingRun *run)
{
  g_free (run->out);
  g_free (run->err);
}

GSubprocess *
testing_spawn (GStrv args)
{
  g_autoptr (GPtrArray) command = g_ptr_array_new ();
  g_ptr_array_add (command, (char *)g_getenv ("ALLAVA_CLI"));
  for (size_t i = 0; args[i] != NULL; i++)
    g_ptr_array_add (command, args[i]);
  g_ptr_array_add (command, NULL);
  g_autoptr (GError) error = NULL;
  GSubprocess *process =
      g_subprocess_newv ((const char *const *)command->pdata,
                         G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE |
                             G_SUBPROCESS_FLAGS_STDERR_PIPE,
                         &error);
  g_assert_no_error (error);
  return process;
}

static char *
dup_bytes (GBytes *bytes, size_t *length)
{
  const char *data = g_bytes_get_data (bytes, length);
  char *copy = g_malloc0 (*length + 1);
  if (*length > 0)
    memcpy (copy, data, *length);
  return copy;
}

TestingRun
testing_finish (GSubprocess *process, const char *input, size_t n_input)
{
  g_autoptr (GBytes) in = g_bytes_new (input, n_input), out = NULL, err = NULL;
  g_autoptr (GError) error = NULL;
  g_subprocess_communicate (process, in, NULL, &out, &err, &error);
  g_clear_error (&error); /* a program that does not read its input is no error */
  g_subprocess_wait (process, NULL, NULL);
  TestingRun run = {0};
  size_t n_err;
  run.out = dup_bytes (out, &run.n_out);
  run.err = dup_bytes (err, &n_err);
  run.status = g_subprocess_get_if_exited (process) ? g_subprocess_get_exit_status (process)
                                                    : -g_subprocess_get_term_sig (process);
  return run;
}

TestingRun
testing_run_words (const char *input, size_t n_input, GStrv args)
{
  g_autoptr (GSubprocess) process = testing_spawn (args);
  return testing_finish (process, input, n_input);
}

GStrv
testing_split (const char *args)
{
  g_autofree char *model =
      g_test_build_filename (G_TEST_DIST, "reference", "checkpoints", "base", NULL);
  g_autofree char *images = g_test_build_filename (G_TEST_DIST, "data", "images", NULL);
  GStrv words = g_strsplit (args, " ", -1);
  for (size_t i = 0; words[i] != NULL; i++) {
    g_autoptr (GString) word = g_string_new (words[i]);
    g_string_replace (word, "%m", model, 0);
    g_string_replace (word, "%i", images, 0);
    g_free (words[i]);
    words[i] = g_string_free (g_steal_pointer (&word), FALSE);
  }
  return words;
}

TestingRun
testing_run (const char *args)
{
  g_auto (GStrv) words = testing_split (args);
  return testing_run_words ("", 0, words);
}

TestingRun
testing_run_input (const char *args, const char *input)
{
  g_auto (GStrv) words = testing_split (args);
  return testing_run_words (input, strlen (input), words);
}

void
testing_assert_one_line (const char *err)
{
  g_assert_true (g_str_has_prefix (err, "allava-cli: "));
  g_assert_true (strchr (err, '\n') == err + strlen (err) - 1);
}
