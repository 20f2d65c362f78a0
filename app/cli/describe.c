#include "cli.h"

typedef struct {
  char *prompt;
  gboolean json;
  gboolean headings;
} Describe;

static const CliUsage usage = {
    .command = "describe",
    .parameters = "IMAGE...",
    .summary = "Describes each picture. The text appears as it is made.",
    .examples =
        "With --json, each picture gives one line of JSON: path, text, tokens, prompt_tokens,\n"
        "image_ms (decoding, resizing and looking, of which image_decode_ms, preprocess_ms,\n"
        "tower_ms and projector_ms), prefill_ms, decode_ms, and stop, which is eos (the model\n"
        "ended), length (--max-new-tokens), context (no room is left) or cancelled.\n"
        "A picture that cannot be read is reported, the others go on, and the exit status is 1.\n"
        "\n"
        "Examples:\n"
        "  allava-cli describe photo.jpg\n"
        "  allava-cli describe --prompt 'What does the sign say?' street.png\n"
        "  allava-cli describe --json --temperature 0.7 --seed 3 *.jpg\n",
};

static void
print_json (const char *path,
            const char *text,
            const CliPictureTimes *times,
            const AllavaGenerateResult *result)
{
  g_autoptr (GString) json = g_string_new (NULL);
  g_autofree char *name = g_filename_display_name (path);
  cli_json_string (json, "path", name);
  cli_json_result (json, text, times, result);
  cli_json_print (json);
}

static int
answer (Cli *cli,
        const Describe *describe,
        const char *path,
        AllavaPicture *picture,
        const CliPictureTimes *times)
{
  if (describe->headings && !describe->json) {
    g_autofree char *name = g_filename_display_name (path);
    g_autofree char *heading = g_strconcat (name, ":\n", NULL);
    cli_print (heading);
  }
  AllavaTurn turn = {ALLAVA_ROLE_USER, describe->prompt, &picture, 1};
  AllavaGenerateResult result;
  g_autoptr (GString) text = g_string_new (NULL);
  GError *error = NULL;
  if (!cli_answer (cli, &turn, 1, !describe->json, text, &result, &error)) {
    if (text->len > 0 && !describe->json)
      cli_print ("\n");
    return cli_fail (error);
  }
  if (describe->json)
    print_json (path, text->str, times, &result);
  else
    cli_print (describe->headings ? "\n\n" : "\n");
  int status = result.finish == ALLAVA_FINISH_CANCELLED ? CLI_INTERRUPTED : CLI_OK;
  allava_generate_result_clear (&result);
  return status;
}

/* A picture that cannot be read is not the end; a model that cannot be is. */
static int
describe_all (Cli *cli, const Describe *describe, char **paths)
{
  int status = CLI_OK;
  for (; *paths != NULL; paths++) {
    GError *error = NULL;
    CliPictureTimes times = {0};
    g_autoptr (AllavaPicture) picture = cli_load_picture (cli, *paths, &times, &error);
    int one = picture == NULL ? cli_fail (error) : answer (cli, describe, *paths, picture, &times);
    gboolean goes_on = picture == NULL && !cli->model_failed;
    if (one != CLI_OK && (one == CLI_INTERRUPTED || !goes_on))
      return one;
    status = MAX (status, one);
  }
  return status;
}

int
cli_describe (Cli *cli, char **args)
{
  Describe describe = {0};
  const GOptionEntry entries[] = {
      {"prompt", 'p', 0, G_OPTION_ARG_FILENAME, &describe.prompt,
       "What to ask (default \"" CLI_DEFAULT_PROMPT "\")", "TEXT"},
      {"json", 0, 0, G_OPTION_ARG_NONE, &describe.json, "One JSON object a line", NULL},
      {NULL},
  };
  int status;
  gboolean parsed = cli_parse (cli, &usage, entries, &args, &status);
  g_autofree char *prompt =
      describe.prompt != NULL ? describe.prompt : g_strdup (CLI_DEFAULT_PROMPT);
  describe.prompt = prompt;
  if (!parsed || !cli_check_prompt (prompt, &status))
    return status;
  if (args[1] == NULL)
    return cli_misuse (&usage, "An IMAGE is missing");

  describe.headings = args[2] != NULL;
  cli->busy = TRUE;
  return describe_all (cli, &describe, args + 1);
}
