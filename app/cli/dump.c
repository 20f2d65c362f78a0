#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <glib/gstdio.h>

#include "npy.h"

typedef struct {
  char **images;
  char *prompt;
  char *out;
  gboolean all;
  GError *error; /* the first that writing met */
} Dump;

static const CliUsage usage = {
    .command = "dump",
    .summary = "Writes what the model computes for one prompt as NumPy files.",
    .examples = "Files, float32 unless said otherwise:\n"
                "  pixel_values.npy    [3, S, S]    the picture as the vision tower takes it\n"
                "  vision_features.npy [P, D]       the selected layer, without the class token\n"
                "  image_features.npy  [P, H]       after the projector\n"
                "  input_ids.npy       [n]          int64; each picture is one -200\n"
                "  logits.npy          [N, vocab]   for every position of the prompt\n"
                "Those of a second picture end in -2.npy, and so on. --all adds "
                "vision_hidden_states.L.npy\n"
                "[1 + P, D] and hidden_states.L.npy [N, H] for each layer L.\n"
                "\n"
                "Examples:\n"
                "  allava-cli dump --image photo.jpg --prompt 'What is this?' --out stages\n"
                "  allava-cli dump --prompt 'Hello' --out stages --all\n",
};

/* "pixel_values.1" becomes "pixel_values-2.npy", "vision_hidden_states.0.7"
 * "vision_hidden_states.7.npy", "hidden_states.7" "hidden_states.7.npy". */
static char *
dup_file_name (const char *name)
{
  g_auto (GStrv) parts = g_strsplit (name, ".", 3);
  if (parts[1] == NULL || g_str_equal (parts[0], "hidden_states"))
    return g_strconcat (name, ".npy", NULL);
  const char *layer = parts[2];
  int picture = atoi (parts[1]) + 1;
  g_autofree char *suffix = picture > 1 ? g_strdup_printf ("-%d", picture) : g_strdup ("");
  return g_strconcat (parts[0], layer != NULL ? "." : "", layer != NULL ? layer : "", suffix,
                      ".npy", NULL);
}

static void
tensor_cb (const char *name, const float *data, int n_dims, const size_t *shape, gpointer user_data)
{
  Dump *dump = user_data;
  gboolean wanted = dump->all || strstr (name, "hidden_states") == NULL;
  if (!wanted || dump->error != NULL)
    return;
  g_autofree char *file = dup_file_name (name);
  g_autofree char *path = g_build_filename (dump->out, file, NULL);
  cli_npy_write (path, CLI_NPY_F32, data, n_dims, shape, &dump->error);
}

static gboolean
write_ids (Cli *cli, const Dump *dump, const AllavaTurn *turn, GError **error)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  if (!allava_model_tokenize_turns (cli->model, turn, 1, ids, error))
    return FALSE;
  size_t n = ids->len;
  g_autofree int64_t *wide = g_new (int64_t, n);
  for (size_t i = 0; i < n; i++)
    wide[i] = g_array_index (ids, int32_t, i);
  g_autofree char *path = g_build_filename (dump->out, "input_ids.npy", NULL);
  return cli_npy_write (path, CLI_NPY_I64, wide, 1, &n, error);
}

static gboolean
write_all (Cli *cli, Dump *dump, GError **error)
{
  CliPictureTimes times = {0};
  g_autoptr (GPtrArray) pictures = cli_load_pictures (cli, dump->images, &times, error);
  if (pictures == NULL)
    return FALSE;
  AllavaSession *session = cli_get_session (cli, error);
  if (session == NULL)
    return FALSE;
  if (g_mkdir_with_parents (dump->out, 0777) != 0) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, "Cannot create the folder %s: %s",
                 dump->out, g_strerror (errno));
    return FALSE;
  }
  AllavaTurn turn = {
      .role = ALLAVA_ROLE_USER,
      .text = dump->prompt,
      .pictures = (AllavaPicture *const *)pictures->pdata,
      .n_pictures = pictures->len,
  };
  if (!write_ids (cli, dump, &turn, error) ||
      !allava_session_trace (session, &turn, 1, tensor_cb, dump, error))
    return FALSE;
  if (dump->error != NULL)
    g_propagate_error (error, g_steal_pointer (&dump->error));
  return *error == NULL;
}

int
cli_dump (Cli *cli, char **args)
{
  Dump dump = {0};
  const GOptionEntry entries[] = {
      {"image", 'i', 0, G_OPTION_ARG_FILENAME_ARRAY, &dump.images,
       "A picture; may be given several times", "FILE"},
      {"prompt", 'p', 0, G_OPTION_ARG_FILENAME, &dump.prompt, "The user's text", "TEXT"},
      {"out", 'o', 0, G_OPTION_ARG_FILENAME, &dump.out, "The folder to write to; made if missing",
       "DIR"},
      {"all", 0, 0, G_OPTION_ARG_NONE, &dump.all, "Write the hidden states too", NULL},
      {NULL},
  };
  int status;
  gboolean parsed = cli_parse (cli, &usage, entries, &args, &status);
  g_auto (GStrv) images = dump.images;
  g_autofree char *prompt = dump.prompt;
  g_autofree char *out = dump.out;
  if (!parsed)
    return status;
  if (args[1] != NULL)
    return cli_misuse (&usage, "Pictures are given with --image");
  if (prompt == NULL || out == NULL)
    return cli_misuse (&usage, prompt == NULL ? "--prompt is missing" : "--out is missing");
  if (!cli_check_prompt (prompt, &status))
    return status;

  GError *error = NULL;
  return write_all (cli, &dump, &error) ? CLI_OK : cli_fail (error);
}
