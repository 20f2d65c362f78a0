#include "cli.h"

#include <string.h>

typedef struct {
  char **images;
  char *prompt;
  gboolean json;
} Generate;

static const CliUsage usage = {
    .command = "generate",
    .summary = "Answers one prompt about any number of pictures, or none.",
    .examples =
        "With --json, prints one line of JSON: images, token_ids, and otherwise the same as\n"
        "describe.\n"
        "\n"
        "Examples:\n"
        "  allava-cli generate --image chart.png --prompt 'What is the highest value?'\n"
        "  allava-cli generate --image a.jpg --image b.jpg --prompt 'What has changed?' --json\n"
        "  allava-cli generate --prompt - --max-new-tokens 64 < question.txt\n",
};

static int
answer (Cli *cli, const Generate *generate, const char *prompt)
{
  GError *error = NULL;
  CliPictureTimes times = {0};
  g_autoptr (GPtrArray) pictures = cli_load_pictures (cli, generate->images, &times, &error);
  if (pictures == NULL)
    return cli_fail (error);
  if (pictures->len > 1)
    cli_note_several_pictures (TRUE);

  AllavaTurn turn = {
      .role = ALLAVA_ROLE_USER,
      .text = prompt,
      .pictures = (AllavaPicture *const *)pictures->pdata,
      .n_pictures = pictures->len,
  };
  AllavaGenerateResult result;
  g_autoptr (GString) text = g_string_new (NULL);
  if (!cli_answer (cli, &turn, 1, !generate->json, text, &result, &error)) {
    if (text->len > 0 && !generate->json)
      cli_print ("\n");
    return cli_fail (error);
  }
  if (generate->json) {
    g_autoptr (GString) json = g_string_new (NULL);
    cli_json_strings (json, "images", generate->images);
    cli_json_result (json, text->str, &times, &result);
    cli_json_ids (json, "token_ids", result.tokens);
    cli_json_print (json);
  } else {
    cli_print ("\n");
  }
  int status = result.finish == ALLAVA_FINISH_CANCELLED ? CLI_INTERRUPTED : CLI_OK;
  allava_generate_result_clear (&result);
  return status;
}

/* "-" stands for standard input. */
static char *
dup_prompt (const char *argument, int *status)
{
  GError *error = NULL;
  if (!g_str_equal (argument, "-"))
    return cli_check_prompt (argument, status) ? g_strdup (argument) : NULL;
  g_autoptr (GString) input = cli_read_input (&error);
  if (input == NULL) {
    *status = cli_fail (error);
    return NULL;
  }
  if (memchr (input->str, '\0', input->len) != NULL) {
    cli_report ("The prompt contains a NUL byte");
    *status = CLI_FAILED;
    return NULL;
  }
  return cli_check_prompt (input->str, status) ? g_strdup (input->str) : NULL;
}

int
cli_generate (Cli *cli, char **args)
{
  Generate generate = {0};
  const GOptionEntry entries[] = {
      {"image", 'i', 0, G_OPTION_ARG_FILENAME_ARRAY, &generate.images,
       "A picture; may be given several times", "FILE"},
      {"prompt", 'p', 0, G_OPTION_ARG_FILENAME, &generate.prompt,
       "What to ask; - reads it from standard input", "TEXT"},
      {"json", 0, 0, G_OPTION_ARG_NONE, &generate.json, "Print a JSON object", NULL},
      {NULL},
  };
  int status;
  gboolean parsed = cli_parse (cli, &usage, entries, &args, &status);
  g_auto (GStrv) images = generate.images;
  g_autofree char *argument = generate.prompt;
  if (!parsed)
    return status;
  if (args[1] != NULL)
    return cli_misuse (&usage, "Pictures are given with --image");
  if (argument == NULL)
    return cli_misuse (&usage, "--prompt is missing");
  g_autofree char *prompt = dup_prompt (argument, &status);
  if (prompt == NULL)
    return status;
  cli->busy = TRUE;
  return answer (cli, &generate, prompt);
}
