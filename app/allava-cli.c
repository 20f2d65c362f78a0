/* allava-cli: Allava on the command line. The commands are in cli/. */
#include "cli/cli.h"

#include <string.h>

static const struct {
  const char *name;
  CliCommandFunc run;
} commands[] = {
    {"describe", cli_describe},     {"chat", cli_chat},
    {"generate", cli_generate},     {"tokenize", cli_tokenize},
    {"detokenize", cli_detokenize}, {"dump", cli_dump},
    {"bench", cli_bench},           {"quantize", cli_quantize},
};

static const CliUsage usage = {
    .parameters = "COMMAND [ARGUMENT...]",
    .summary = "Talks about pictures with ALLaVA vision-language models, on this machine alone.\n"
               "\n"
               "Commands:\n"
               "  describe    Describe pictures\n"
               "  chat        Hold a conversation about pictures\n"
               "  generate    Answer one prompt, for scripts\n"
               "  tokenize    Turn text into token ids\n"
               "  detokenize  Turn token ids into text\n"
               "  dump        Write what the model computes as NumPy files\n"
               "  bench       Measure speed and memory\n"
               "  quantize    Write a model with smaller weights\n"
               "\n"
               "Each has a --help of its own. Options may stand before or after the command.",
    .examples =
        "Examples:\n"
        "  allava-cli describe photo.jpg\n"
        "  allava-cli describe --json holiday/*.jpg > descriptions.jsonl\n"
        "  allava-cli chat --model ~/models/ALLaVA-3B-Longer photo.jpg\n"
        "  allava-cli generate --image chart.png --prompt 'What is the highest value?'\n"
        "\n"
        "Pictures are what the system's gdk-pixbuf loaders read. They are turned upright as their\n"
        "EXIF data says, and shown over white where they are transparent.\n"
        "\n"
        "Without --model, allava-nano answers, a small demonstration model. To install a real "
        "one,\n"
        "download its folder (6.2 GB) with Hugging Face's program, and name it with --model:\n"
        "  hf download FreedomIntelligence/ALLaVA-3B-Longer --local-dir ~/models/ALLaVA-3B-Longer\n"
        "\n"
        "Exit status: 0 success, 1 something failed, 2 wrong use, 130 interrupted.\n",
};

/* Picture loaders warn about damaged files; what matters comes back as an error. */
static GLogWriterOutput
log_writer (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
  if (!(level & G_LOG_LEVEL_ERROR) && g_getenv ("G_MESSAGES_DEBUG") == NULL)
    return G_LOG_WRITER_HANDLED;
  return g_log_writer_default (level, fields, n_fields, user_data);
}

static CliCommandFunc
find_command (const char *name)
{
  for (size_t i = 0; i < G_N_ELEMENTS (commands); i++)
    if (g_str_equal (name, commands[i].name))
      return commands[i].run;
  return NULL;
}

static int
run (Cli *cli, char ***args)
{
  int status;
  if (!cli_parse (cli, &usage, NULL, args, &status))
    return status;
  if ((*args)[1] == NULL)
    return cli_misuse (&usage, "A command is missing");
  CliCommandFunc command = find_command ((*args)[1]);
  if (command == NULL) {
    g_autofree char *message = g_strdup_printf ("Unknown command %s", (*args)[1]);
    return cli_misuse (&usage, message);
  }
  cli_watch_interrupts (cli);
  return command (cli, *args + 1);
}

int
main (int argc, char **argv)
{
  g_log_set_writer_func (log_writer, NULL, NULL);
  Cli cli = {
      .generate = ALLAVA_GENERATE_OPTIONS_INIT,
      .cancellable = g_cancellable_new (),
  };
  char **args = g_strdupv (argv);
  int status = run (&cli, &args);
  g_strfreev (args);
  g_clear_pointer (&cli.session, allava_session_free);
  g_clear_pointer (&cli.model, allava_model_unref);
  g_free (cli.model_dir);
  g_free (cli.vision_tower);
  g_free (cli.device);
  g_object_unref (cli.cancellable);
  return status;
}
