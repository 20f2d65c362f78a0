#include "cli.h"

#include <string.h>

static const CliUsage tokenize_usage = {
    .command = "tokenize",
    .summary = "Reads text from standard input and prints its token ids as a JSON array.",
    .examples = "Special tokens such as <|endoftext|> written in the text become their ids, as in\n"
                "Hugging Face's tokenizers; --text takes them as ordinary text.\n"
                "\n"
                "Example:\n"
                "  printf 'Hello world' | allava-cli tokenize\n",
};

static const CliUsage detokenize_usage = {
    .command = "detokenize",
    .summary = "Reads a JSON array of token ids from standard input and prints their text.",
    .examples = "Example:\n"
                "  echo '[15496, 995]' | allava-cli detokenize\n",
};

static AllavaTokenizer *
load_tokenizer (Cli *cli, GError **error)
{
  g_autofree char *dir = cli_dup_model_dir (cli, error);
  return dir != NULL ? allava_tokenizer_load (dir, error) : NULL;
}

int
cli_tokenize (Cli *cli, char **args)
{
  gboolean text = FALSE;
  const GOptionEntry entries[] = {
      {"text", 0, 0, G_OPTION_ARG_NONE, &text, "Take special tokens as ordinary text", NULL},
      {NULL},
  };
  int status;
  if (!cli_parse (cli, &tokenize_usage, entries, &args, &status))
    return status;
  if (args[1] != NULL)
    return cli_misuse (&tokenize_usage, "The text is read from standard input");

  GError *error = NULL;
  g_autoptr (AllavaTokenizer) tokenizer = load_tokenizer (cli, &error);
  g_autoptr (GString) input = tokenizer != NULL ? cli_read_input (&error) : NULL;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  if (input == NULL ||
      !allava_tokenizer_encode (tokenizer, input->str, input->len,
                                text ? ALLAVA_TOKENIZE_TEXT : ALLAVA_TOKENIZE_SPECIAL, ids, &error))
    return cli_fail (error);

  g_autoptr (GString) json = g_string_new (NULL);
  cli_json_ids (json, NULL, ids);
  g_string_append_c (json, '\n');
  cli_write (json->str, json->len);
  return CLI_OK;
}

static void
skip_space (const char **at)
{
  while (g_ascii_isspace (**at))
    (*at)++;
}

/* "[1, 2, 3]" and nothing else. */
static gboolean
parse_ids (const GString *text, GArray *ids)
{
  const char *at = text->str;
  skip_space (&at);
  if (*at++ != '[')
    return FALSE;
  skip_space (&at);
  gboolean empty = *at == ']';
  if (empty)
    at++;
  for (gboolean more = !empty; more; at++) {
    skip_space (&at);
    char *end;
    gboolean number = g_ascii_isdigit (*at) || (*at == '-' && g_ascii_isdigit (at[1]));
    int64_t value = g_ascii_strtoll (at, &end, 10);
    if (!number || value < G_MININT32 || value > G_MAXINT32)
      return FALSE;
    int32_t id = value;
    g_array_append_val (ids, id);
    at = end;
    skip_space (&at);
    if (*at != ',' && *at != ']')
      return FALSE;
    more = *at == ',';
  }
  skip_space (&at);
  return at == text->str + text->len;
}

int
cli_detokenize (Cli *cli, char **args)
{
  int status;
  if (!cli_parse (cli, &detokenize_usage, NULL, &args, &status))
    return status;
  if (args[1] != NULL)
    return cli_misuse (&detokenize_usage, "The ids are read from standard input");

  GError *error = NULL;
  g_autoptr (AllavaTokenizer) tokenizer = load_tokenizer (cli, &error);
  g_autoptr (GString) input = tokenizer != NULL ? cli_read_input (&error) : NULL;
  if (input == NULL)
    return cli_fail (error);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (int32_t));
  if (!parse_ids (input, ids)) {
    cli_report ("Standard input is not a JSON array of token ids");
    return CLI_FAILED;
  }
  g_autoptr (GString) text =
      allava_tokenizer_decode (tokenizer, (const int32_t *)ids->data, ids->len, &error);
  if (text == NULL)
    return cli_fail (error);
  cli_write (text->str, text->len);
  return CLI_OK;
}
