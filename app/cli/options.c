#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Values ---------------------------------------------------------------------------------- */

G_GNUC_PRINTF (2, 3)
static gboolean
bad_value (GError **error, const char *format, ...)
{
  va_list list;
  va_start (list, format);
  g_autofree char *message = g_strdup_vprintf (format, list);
  va_end (list);
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, message);
  return FALSE;
}

static gboolean
read_int (const char *option, const char *text, int min, int max, int *value, GError **error)
{
  gint64 number;
  if (!g_ascii_string_to_signed (text, 10, min, max, &number, NULL))
    return bad_value (error, "%s should be a whole number from %d to %d, but is \"%s\"", option,
                      min, max, text);
  *value = number;
  return TRUE;
}

static gboolean
read_double (
    const char *option, const char *text, double min, double max, double *value, GError **error)
{
  char *end;
  double number = g_ascii_strtod (text, &end);
  if (end == text || *end != '\0' || !(number >= min && number <= max))
    return bad_value (error, "%s should be a number from %g to %g, but is \"%s\"", option, min, max,
                      text);
  *value = number;
  return TRUE;
}

static gboolean
read_seed (const char *text, uint64_t *seed, GError **error)
{
  guint64 number;
  if (!g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT64, &number, NULL))
    return bad_value (error, "--seed should be a whole number from 0 on, but is \"%s\"", text);
  *seed = number;
  return TRUE;
}

static gboolean
read_dtype (const char *text, AllavaDtype *dtype, GError **error)
{
  if (!allava_dtype_from_string (text, dtype))
    return bad_value (error, "--dtype should be auto, f32, bf16, f16, q8 or q4, but is \"%s\"",
                      text);
  return TRUE;
}

static gboolean
read_alpha (const char *text, AllavaAlpha *alpha, GError **error)
{
  gboolean white = g_str_equal (text, "white");
  if (!white && !g_str_equal (text, "drop"))
    return bad_value (error, "--alpha should be white or drop, but is \"%s\"", text);
  *alpha = white ? ALLAVA_ALPHA_WHITE : ALLAVA_ALPHA_DROP;
  return TRUE;
}

static gboolean
read_device (const char *text, char **device, GError **error)
{
  gboolean known =
      g_str_equal (text, "auto") || g_str_equal (text, "cpu") || g_str_equal (text, "cuda");
  if (g_str_has_prefix (text, "cuda:"))
    known = g_ascii_string_to_unsigned (text + 5, 10, 0, 1023, NULL, NULL);
  if (!known)
    return bad_value (error, "--device should be auto, cpu, cuda or cuda:N, but is \"%s\"", text);
  g_free (*device);
  *device = g_strdup (text);
  return TRUE;
}

static gboolean
replace (char **string, const char *text)
{
  g_free (*string);
  *string = g_strdup (text);
  return TRUE;
}

/* Any of the options that all commands take. */
static gboolean
common_option_cb (const char *option, const char *text, gpointer user_data, GError **error)
{
  Cli *cli = user_data;
  AllavaGenerateOptions *generate = &cli->generate;
  const char *name = option + 2;
  if (g_str_equal (name, "model"))
    return replace (&cli->model_dir, text);
  if (g_str_equal (name, "vision-tower"))
    return replace (&cli->vision_tower, text);
  if (g_str_equal (name, "device"))
    return read_device (text, &cli->device, error);
  if (g_str_equal (name, "dtype"))
    return read_dtype (text, &cli->dtype, error);
  if (g_str_equal (name, "threads"))
    return read_int (option, text, 0, 1024, &cli->threads, error);
  if (g_str_equal (name, "alpha"))
    return read_alpha (text, &cli->alpha, error);
  if (g_str_equal (name, "max-new-tokens"))
    return read_int (option, text, 1, 1000000, &generate->max_new_tokens, error);
  if (g_str_equal (name, "temperature"))
    return read_double (option, text, 0, 100, &generate->temperature, error);
  if (g_str_equal (name, "top-p"))
    return read_double (option, text, 0, 1, &generate->top_p, error);
  if (g_str_equal (name, "top-k"))
    return read_int (option, text, 0, 1000000, &generate->top_k, error);
  g_assert (g_str_equal (name, "seed"));
  return read_seed (text, &generate->seed, error);
}

gboolean
cli_parse_int (const char *option, const char *text, int min, int max, int *value)
{
  g_autoptr (GError) error = NULL;
  if (text == NULL || read_int (option, text, min, max, value, &error))
    return TRUE;
  cli_report ("%s", error->message);
  return FALSE;
}

/* ---- Parsing --------------------------------------------------------------------------------- */

#define COMMON(name, help, argument)                                                               \
  {                                                                                                \
    name, 0, G_OPTION_FLAG_FILENAME, G_OPTION_ARG_CALLBACK, common_option_cb, help, argument       \
  }

/* Text arguments are taken as bytes (FILENAME), so that UTF-8 passes in any locale. */
static void
add_common_groups (GOptionContext *context, Cli *cli)
{
  const GOptionEntry model[] = {
      COMMON ("model", "A model's folder (default: the bundled model)", "DIR"),
      COMMON ("vision-tower", "A CLIP folder, for models that come without one", "DIR"),
      COMMON ("device", "auto, cpu, cuda or cuda:N (default auto)", "DEVICE"),
      COMMON ("dtype", "Weights: auto, f32, bf16, f16, q8 or q4 (default auto: what fits)", "TYPE"),
      COMMON ("threads", "CPU threads (default: one for each core)", "N"),
      COMMON ("alpha", "Transparent parts of pictures: white or drop (default white)", "HOW"),
      {NULL},
  };
  const GOptionEntry generation[] = {
      COMMON ("max-new-tokens", "Longest answer, in tokens (default 768)", "N"),
      COMMON ("temperature", "0 takes the likeliest token, more varies (default 0)", "T"),
      COMMON ("top-p", "Sample from the likeliest tokens that make up P (default 1)", "P"),
      COMMON ("top-k", "Sample from the K likeliest tokens (default 0: all)", "K"),
      COMMON ("seed", "The same seed gives the same answer (default 0)", "N"),
      {NULL},
  };
  GOptionGroup *group = g_option_group_new ("model", "Model options:", "Model options", cli, NULL);
  g_option_group_add_entries (group, model);
  g_option_context_add_group (context, group);
  group = g_option_group_new ("generation", "Answer options:", "Answer options", cli, NULL);
  g_option_group_add_entries (group, generation);
  g_option_context_add_group (context, group);
}

/* The help shows groups in the order of adding and gives the main group a heading of its own, so
 * that one stays empty. */
static GOptionContext *
context_new (
    Cli *cli, const CliUsage *usage, const GOptionEntry *entries, gboolean *help, gboolean *version)
{
  const GOptionEntry always[] = {
      {"help", 'h', 0, G_OPTION_ARG_NONE, help, "Show this help", NULL},
      {NULL},
  };
  const GOptionEntry program[] = {
      {"version", 0, 0, G_OPTION_ARG_NONE, version, "Show the version", NULL},
      {NULL},
  };
  GOptionContext *context = g_option_context_new (usage->parameters);
  g_option_context_set_help_enabled (context, FALSE);
  g_option_context_set_strict_posix (context, usage->command == NULL);
  g_option_context_set_summary (context, usage->summary);
  g_option_context_set_description (context, usage->examples);

  GOptionGroup *group = g_option_group_new ("command", "Options:", "Options", NULL, NULL);
  if (entries != NULL)
    g_option_group_add_entries (group, entries);
  g_option_group_add_entries (group, always);
  if (usage->command == NULL)
    g_option_group_add_entries (group, program);
  g_option_context_add_group (context, group);
  add_common_groups (context, cli);
  return context;
}

/* GOption leaves "--" where an operand after it begins with a dash. */
static void
drop_separator (char **args)
{
  for (size_t i = 1; args[i] != NULL; i++) {
    if (g_str_equal (args[i], "--")) {
      g_free (args[i]);
      memmove (args + i, args + i + 1, (g_strv_length (args + i + 1) + 1) * sizeof *args);
      return;
    }
  }
}

gboolean
cli_parse (Cli *cli, const CliUsage *usage, const GOptionEntry *entries, char ***args, int *status)
{
  gboolean help = FALSE, version = FALSE;
  g_autoptr (GOptionContext) context = context_new (cli, usage, entries, &help, &version);
  g_autofree char *name = usage->command != NULL ? g_strconcat ("allava-cli ", usage->command, NULL)
                                                 : g_strdup ("allava-cli");

  g_autoptr (GError) error = NULL;
  if (!g_option_context_parse_strv (context, args, &error)) {
    *status = cli_misuse (usage, error->message);
    return FALSE;
  }
  if (help || version) {
    g_set_prgname (name);
    g_autofree char *text = help ? g_option_context_get_help (context, FALSE, NULL)
                                 : g_strdup ("allava-cli " ALLAVA_VERSION "\n");
    cli_print (text);
    *status = CLI_OK;
    return FALSE;
  }
  if (usage->command != NULL)
    drop_separator (*args);
  return TRUE;
}

gboolean
cli_check_prompt (const char *text, int *status)
{
  if (!g_utf8_validate (text, -1, NULL)) {
    cli_report ("The prompt is not valid UTF-8");
    *status = CLI_FAILED;
    return FALSE;
  }
  g_autofree char *stripped = g_strstrip (g_strdup (text));
  if (*stripped == '\0') {
    cli_report ("The prompt is empty");
    *status = CLI_MISUSE;
    return FALSE;
  }
  return TRUE;
}

int
cli_misuse (const CliUsage *usage, const char *message)
{
  cli_report ("%s; see allava-cli %s%s--help", message,
              usage->command != NULL ? usage->command : "", usage->command != NULL ? " " : "");
  return CLI_MISUSE;
}
