#include "cli.h"

#include <unistd.h>

static const CliUsage usage = {
    .command = "quantize",
    .summary = "Writes a model's folder anew with smaller weights: 8.5 bits for each of the\n"
               "decoder's with --dtype q8, 4.5 with --dtype q4. The new folder loads as it is.",
    .examples =
        "Examples:\n"
        "  allava-cli quantize --model ~/models/ALLaVA-3B --dtype q4 --out ~/models/ALLaVA-3B-q4\n"
        "  allava-cli describe --model ~/models/ALLaVA-3B-q4 photo.jpg\n"
        "\n"
        "Nothing is needed but the model; --dtype q8 and q4 on the other commands do the "
        "same\neach time they load it.\n",
};

static int
quantize (Cli *cli, const char *out)
{
  GError *error = NULL;
  g_autofree char *dir = cli_dup_model_dir (cli, &error);
  if (dir == NULL)
    return cli_fail (error);
  g_autofree char *name = g_filename_display_basename (dir);
  CliProgress progress = {"Quantising", name, g_get_monotonic_time ()};
  AllavaModelOptions options = {
      .threads = cli->threads,
      .vision_tower = cli->vision_tower,
      .progress = isatty (STDERR_FILENO) ? cli_progress_cb : NULL,
      .progress_data = &progress,
      .cancellable = cli->cancellable,
  };
  g_atomic_int_set (&cli->busy, TRUE);
  gboolean ok = allava_quantize (dir, out, cli->dtype, &options, &error);
  g_atomic_int_set (&cli->busy, FALSE);
  cli_progress_end (&progress);
  return ok ? CLI_OK : cli_fail (error);
}

int
cli_quantize (Cli *cli, char **args)
{
  char *out_option = NULL;
  const GOptionEntry entries[] = {
      {"out", 'o', 0, G_OPTION_ARG_FILENAME, &out_option, "The new folder", "DIR"},
      {NULL},
  };
  int status;
  gboolean parsed = cli_parse (cli, &usage, entries, &args, &status);
  g_autofree char *out = out_option;
  if (!parsed)
    return status;
  if (args[1] != NULL)
    return cli_misuse (&usage, "The model is given with --model");
  if (out == NULL)
    return cli_misuse (&usage, "--out is missing");
  if (cli->dtype != ALLAVA_DTYPE_Q8 && cli->dtype != ALLAVA_DTYPE_Q4)
    return cli_misuse (&usage, "--dtype should be q8 or q4");
  return quantize (cli, out);
}
