#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_INPUT_BYTES ((size_t)256 << 20)

/* TEXT with BY for what a terminal would obey: control characters but those in KEPT. */
static char *
replace_controls (const char *text, const char *kept, const char *by)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *harmless = g_string_new (NULL);
  for (const char *at = valid; *at != '\0'; at = g_utf8_next_char (at)) {
    gunichar c = g_utf8_get_char (at);
    if (g_unichar_iscntrl (c) && (c >= 0x80 || strchr (kept, (int)c) == NULL))
      g_string_append (harmless, by);
    else
      g_string_append_unichar (harmless, c);
  }
  return g_string_free (harmless, FALSE);
}

void
cli_report (const char *format, ...)
{
  va_list list;
  va_start (list, format);
  g_autofree char *message = g_strdup_vprintf (format, list);
  va_end (list);
  /* A file's name may hold line ends and worse. */
  g_autofree char *line = replace_controls (message, "", " ");
  fprintf (stderr, "allava-cli: %s\n", line);
}

int
cli_fail (GError *error)
{
  gboolean cancelled = g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  if (!cancelled)
    cli_report ("%s", error->message);
  g_error_free (error);
  return cancelled ? CLI_INTERRUPTED : CLI_FAILED;
}

void
cli_write (const char *text, size_t length)
{
  if (fwrite (text, 1, length, stdout) == length && fflush (stdout) == 0)
    return;
  if (errno != EPIPE)
    cli_report ("Cannot write the output: %s", g_strerror (errno));
  _exit (CLI_FAILED);
}

void
cli_print (const char *text)
{
  /* A model or a file's name may hold escape sequences. */
  g_autofree char *harmless =
      isatty (STDOUT_FILENO) ? replace_controls (text, "\n\t", "\xef\xbf\xbd") : NULL;
  const char *shown = harmless != NULL ? harmless : text;
  cli_write (shown, strlen (shown));
}

void
cli_note_several_pictures (gboolean terminal_only)
{
  if (!terminal_only || isatty (STDERR_FILENO))
    fputs ("(The model was not trained for several pictures at once; answers may mix them up.)\n",
           stderr);
}

GString *
cli_read_input (GError **error)
{
  g_autoptr (GString) input = g_string_new (NULL);
  char chunk[65536];
  size_t n;
  while ((n = fread (chunk, 1, sizeof chunk, stdin)) > 0) {
    g_string_append_len (input, chunk, n);
    if (input->len > MAX_INPUT_BYTES) {
      g_set_error_literal (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT,
                           "Standard input holds more than 256 MiB");
      return NULL;
    }
  }
  if (ferror (stdin)) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, "Cannot read standard input: %s",
                 g_strerror (errno));
    return NULL;
  }
  return g_steal_pointer (&input);
}

double
cli_milliseconds_since (int64_t start)
{
  return (g_get_monotonic_time () - start) / 1e3;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void
append_string (GString *json, const char *value)
{
  g_autofree char *valid = g_utf8_make_valid (value, -1);
  g_string_append_c (json, '"');
  for (const char *at = valid; *at != '\0'; at++) {
    if (*at == '"' || *at == '\\')
      g_string_append_c (json, '\\');
    if ((unsigned char)*at < 0x20)
      g_string_append_printf (json, "\\u%04x", *at);
    else
      g_string_append_c (json, *at);
  }
  g_string_append_c (json, '"');
}

static void
append_key (GString *json, const char *key)
{
  g_string_append (json, json->len == 0 ? "{" : ", ");
  append_string (json, key);
  g_string_append (json, ": ");
}

void
cli_json_string (GString *json, const char *key, const char *value)
{
  append_key (json, key);
  append_string (json, value);
}

void
cli_json_strings (GString *json, const char *key, char *const *values)
{
  append_key (json, key);
  g_string_append_c (json, '[');
  for (size_t i = 0; values != NULL && values[i] != NULL; i++) {
    if (i > 0)
      g_string_append (json, ", ");
    append_string (json, values[i]);
  }
  g_string_append_c (json, ']');
}

void
cli_json_int (GString *json, const char *key, int64_t value)
{
  append_key (json, key);
  g_string_append_printf (json, "%" G_GINT64_FORMAT, value);
}

void
cli_json_number (GString *json, const char *key, double value, int decimals)
{
  append_key (json, key);
  if (isfinite (value))
    g_string_append_printf (json, "%.*f", decimals, value);
  else
    g_string_append (json, "null");
}

void
cli_json_ids (GString *json, const char *key, const GArray *ids)
{
  if (key != NULL)
    append_key (json, key);
  g_string_append_c (json, '[');
  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (json, i == 0 ? "%d" : ", %d", g_array_index (ids, int32_t, i));
  g_string_append_c (json, ']');
}

void
cli_json_result (GString *json,
                 const char *text,
                 const CliPictureTimes *times,
                 const AllavaGenerateResult *result)
{
  cli_json_string (json, "text", text);
  cli_json_int (json, "tokens", result->tokens->len);
  cli_json_int (json, "prompt_tokens", result->prompt_positions);
  cli_json_number (json, "image_ms", times->decode + times->preprocess + result->vision_ms, 3);
  cli_json_number (json, "image_decode_ms", times->decode, 3);
  cli_json_number (json, "preprocess_ms", times->preprocess, 3);
  cli_json_number (json, "tower_ms", result->vision_ms - result->projector_ms, 3);
  cli_json_number (json, "projector_ms", result->projector_ms, 3);
  cli_json_number (json, "prefill_ms", result->prefill_ms, 3);
  cli_json_number (json, "decode_ms", result->decode_ms, 3);
  cli_json_string (json, "stop", allava_finish_to_string (result->finish));
}

void
cli_json_print (GString *json)
{
  g_string_append (json, "}\n");
  cli_write (json->str, json->len);
}
