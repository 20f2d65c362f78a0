#include "cli.h"

#include "allava-model-finder.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* ---- The model ------------------------------------------------------------------------------- */

/* A program that lies in the build tree takes the source tree's model. */
static const char *
get_bundled_dir (void)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  gboolean uninstalled = program != NULL && g_str_has_prefix (program, ALLAVA_BUILD_DIR "/");
  return uninstalled ? ALLAVA_SOURCE_MODEL_DIR : ALLAVA_INSTALLED_MODEL_DIR;
}

char *
cli_dup_model_dir (Cli *cli, GError **error)
{
  if (cli->model_dir != NULL)
    return g_strdup (cli->model_dir);
  const char *dir = get_bundled_dir ();
  g_autofree char *config = g_build_filename (dir, "config.json", NULL);
  if (g_file_test (config, G_FILE_TEST_EXISTS))
    return g_strdup (dir);
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE,
               "There is no bundled model in %s; name a model's folder with --model", dir);
  return NULL;
}

void
cli_progress_cb (double fraction, gpointer user_data)
{
  CliProgress *progress = user_data;
  int64_t now = g_get_monotonic_time ();
  if (now - progress->start < G_USEC_PER_SEC / 2 || now - progress->shown < G_USEC_PER_SEC / 10)
    return;
  progress->shown = now;
  fprintf (stderr, "\r%s %s: %d %%", progress->verb, progress->name, (int)(fraction * 100));
}

void
cli_progress_end (const CliProgress *progress)
{
  if (progress->shown != 0)
    fputs ("\r\033[K", stderr);
}

/* One line on a terminal: which model answers, where, and what --dtype auto has chosen. */
static void
introduce (Cli *cli, const char *name)
{
  const AllavaModelInfo *info = allava_model_get_info (cli->model);
  if (!isatty (STDERR_FILENO))
    return;
  fprintf (stderr, "%s on %s as %s", name, info->device, allava_dtype_to_string (info->dtype));
  if (cli->dtype == ALLAVA_DTYPE_AUTO)
    fprintf (stderr, ", %.2f of %.1f GB of free memory", info->needed_bytes / 1e9,
             info->free_bytes / 1e9);
  if (cli->model_dir == NULL)
    fputs ("; a small demonstration: allava-cli --help says how to install ALLaVA-3B-Longer",
           stderr);
  fputc ('\n', stderr);
}

AllavaModel *
cli_get_model (Cli *cli, GError **error)
{
  if (cli->model != NULL)
    return cli->model;
  cli->model_failed = TRUE; /* until it is loaded */
  g_autofree char *dir = cli_dup_model_dir (cli, error);
  if (dir == NULL)
    return NULL;

  g_autofree char *name = allava_model_finder_dup_name (dir);
  CliProgress progress = {"Loading", name, g_get_monotonic_time ()};
  AllavaModelOptions options = {
      .dtype = cli->dtype,
      .device = cli->device != NULL ? cli->device : "auto",
      .threads = cli->threads,
      .vision_tower = cli->vision_tower,
      .progress = isatty (STDERR_FILENO) ? cli_progress_cb : NULL,
      .progress_data = &progress,
      .cancellable = cli->cancellable,
  };
  cli->model = allava_model_load (dir, &options, error);
  cli->load_ms = cli_milliseconds_since (progress.start);
  cli_progress_end (&progress);
  cli->model_failed = cli->model == NULL;
  if (!cli->model_failed)
    introduce (cli, name);
  return cli->model;
}

AllavaSession *
cli_get_session (Cli *cli, GError **error)
{
  if (cli->session == NULL && cli_get_model (cli, error) != NULL)
    cli->session = allava_session_new (cli->model, error);
  return cli->session;
}

/* ---- Pictures -------------------------------------------------------------------------------- */

AllavaPicture *
cli_load_picture (Cli *cli, const char *path, CliPictureTimes *times, GError **error)
{
  int64_t start = g_get_monotonic_time ();
  g_autoptr (AllavaImageFile) file =
      allava_image_file_load (path, cli->alpha, cli->cancellable, error);
  times->decode += cli_milliseconds_since (start);
  if (file == NULL || cli_get_model (cli, error) == NULL)
    return NULL;
  start = g_get_monotonic_time ();
  AllavaPicture *picture =
      allava_picture_new (cli->model, allava_image_file_get_pixels (file), error);
  times->preprocess += cli_milliseconds_since (start);
  return picture;
}

GPtrArray *
cli_load_pictures (Cli *cli, char **paths, CliPictureTimes *times, GError **error)
{
  g_autoptr (GPtrArray) pictures =
      g_ptr_array_new_with_free_func ((GDestroyNotify)allava_picture_unref);
  for (size_t i = 0; paths != NULL && paths[i] != NULL; i++) {
    AllavaPicture *picture = cli_load_picture (cli, paths[i], times, error);
    if (picture == NULL)
      return NULL;
    g_ptr_array_add (pictures, picture);
  }
  return g_steal_pointer (&pictures);
}

/* ---- Answers --------------------------------------------------------------------------------- */

typedef struct {
  GString *text;
  gboolean stream;
} Answer;

static gboolean
text_cb (const char *text, gpointer user_data)
{
  Answer *answer = user_data;
  g_string_append (answer->text, text);
  if (answer->stream)
    cli_print (text);
  return TRUE;
}

gboolean
cli_answer (Cli *cli,
            const AllavaTurn *turns,
            size_t n_turns,
            gboolean stream,
            GString *text,
            AllavaGenerateResult *result,
            GError **error)
{
  AllavaSession *session = cli_get_session (cli, error);
  if (session == NULL)
    return FALSE;
  Answer answer = {text, stream};
  AllavaGenerateOptions options = cli->generate;
  options.cancellable = cli->cancellable;
  return allava_session_generate (session, turns, n_turns, &options, text_cb, &answer, result,
                                  error);
}

/* ---- Ctrl+C ---------------------------------------------------------------------------------- */

/* A thread of its own, because g_cancellable_cancel() may not be called from a signal handler. */
static gpointer
watch (gpointer user_data)
{
  Cli *cli = user_data;
  sigset_t interrupt;
  sigemptyset (&interrupt);
  sigaddset (&interrupt, SIGINT);
  for (;;) {
    int number;
    sigwait (&interrupt, &number);
    if (g_atomic_int_get (&cli->busy) && !g_cancellable_is_cancelled (cli->cancellable)) {
      g_cancellable_cancel (cli->cancellable);
      continue;
    }
    signal (SIGINT, SIG_DFL);
    pthread_sigmask (SIG_UNBLOCK, &interrupt, NULL);
    raise (SIGINT);
  }
  return NULL;
}

void
cli_watch_interrupts (Cli *cli)
{
  struct sigaction action;
  sigaction (SIGINT, NULL, &action);
  if (action.sa_handler == SIG_IGN) /* in a shell's background */
    return;
  sigset_t interrupt;
  sigemptyset (&interrupt);
  sigaddset (&interrupt, SIGINT);
  pthread_sigmask (SIG_BLOCK, &interrupt, NULL);
  g_thread_unref (g_thread_new ("interrupt", watch, cli));
}
