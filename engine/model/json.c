/* json.c - a strict JSON reader (RFC 8259) that builds json-glib nodes.
 *
 * json-glib's own parser is not for hostile files: it recurses without a limit, wraps integers that
 * are too large, and turns lone surrogates into broken UTF-8. It also needs 150 ms for GPT-2's
 * tokenizer.json. Its nodes are fine. */
#include "json.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include <glib/gstdio.h>

/* Bounds memory: a node takes about a hundred bytes. The largest tokenizers known (262,144 tokens,
 * 514,906 merges as pairs) hold 1.8 million values. */
#define MAX_VALUES (4u << 20)

typedef struct {
  const char *start;
  const char *at;
  const char *end;
  size_t n_values;
  GString *scratch;    /* the string or number read last */
  const char *problem; /* what is wrong at AT; set by the function that fails */
} Reader;

static JsonNode *read_value (Reader *reader, int depth);

static gboolean
fail (Reader *reader, const char *problem)
{
  reader->problem = problem;
  return FALSE;
}

static void
skip_space (Reader *reader)
{
  while (reader->at < reader->end &&
         (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t'))
    reader->at++;
}

/* Text holds no NUL bytes, so NUL can stand for its end. */
static char
peek (Reader *reader)
{
  return reader->at < reader->end ? *reader->at : '\0';
}

static gboolean
take (Reader *reader, char c)
{
  if (peek (reader) != c)
    return FALSE;
  reader->at++;
  return TRUE;
}

static gboolean
read_hex (Reader *reader, gunichar *unit)
{
  *unit = 0;
  for (int i = 0; i < 4; i++, reader->at++) {
    int digit = g_ascii_xdigit_value (peek (reader));
    if (digit < 0)
      return fail (reader, "\\u is not followed by four hexadecimal digits");
    *unit = *unit << 4 | (gunichar)digit;
  }
  return TRUE;
}

static gboolean
read_unicode_escape (Reader *reader)
{
  gunichar c;
  if (!read_hex (reader, &c))
    return FALSE;

  if (c == 0)
    return fail (reader, "a string contains the character U+0000");
  if (c >= 0xd800 && c < 0xdc00) {
    gunichar low = 0;
    if (!(take (reader, '\\') && take (reader, 'u') && read_hex (reader, &low)) || low < 0xdc00 ||
        low > 0xdfff)
      return fail (reader, "a string contains half of a surrogate pair");
    c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
  } else if (c >= 0xdc00 && c < 0xe000) {
    return fail (reader, "a string contains half of a surrogate pair");
  }
  g_string_append_unichar (reader->scratch, c);
  return TRUE;
}

static gboolean
read_escape (Reader *reader)
{
  static const char codes[] = "\"\\/bfnrt";
  static const char meanings[] = "\"\\/\b\f\n\r\t";
  char code = peek (reader);
  const char *found = code ? strchr (codes, code) : NULL;

  if (!found && code != 'u')
    return fail (reader, "a string contains an unknown escape");
  reader->at++;
  if (!found)
    return read_unicode_escape (reader);
  g_string_append_c (reader->scratch, meanings[found - codes]);
  return TRUE;
}

/* Leaves the string in SCRATCH. */
static gboolean
read_string (Reader *reader)
{
  if (!take (reader, '"'))
    return fail (reader, "expected a string");

  g_string_truncate (reader->scratch, 0);
  for (;;) {
    const char *run = reader->at;
    while (reader->at < reader->end && *reader->at != '"' && *reader->at != '\\' &&
           (unsigned char)*reader->at >= 0x20)
      reader->at++;
    g_string_append_len (reader->scratch, run, reader->at - run);

    if (take (reader, '"'))
      return TRUE;
    if (!take (reader, '\\'))
      return fail (reader, reader->at == reader->end ? "a string is not closed"
                                                     : "a string contains a control character");
    if (!read_escape (reader))
      return FALSE;
  }
}

static gboolean
read_digits (Reader *reader)
{
  if (!g_ascii_isdigit (peek (reader)))
    return fail (reader, "expected a digit");
  while (g_ascii_isdigit (peek (reader)))
    reader->at++;
  return TRUE;
}

/* Whole numbers that int64_t cannot hold become doubles, as a caller that asks for a range must not
 * see them wrapped. */
static JsonNode *
read_number (Reader *reader)
{
  const char *start = reader->at;
  gboolean is_whole = TRUE;

  take (reader, '-');
  if (!take (reader, '0') && !read_digits (reader))
    return NULL;
  if (take (reader, '.')) {
    is_whole = FALSE;
    if (!read_digits (reader))
      return NULL;
  }
  if (take (reader, 'e') || take (reader, 'E')) {
    is_whole = FALSE;
    if (!take (reader, '-'))
      take (reader, '+');
    if (!read_digits (reader))
      return NULL;
  }

  g_string_truncate (reader->scratch, 0);
  g_string_append_len (reader->scratch, start, reader->at - start);
  errno = 0;
  int64_t whole = is_whole ? g_ascii_strtoll (reader->scratch->str, NULL, 10) : 0;
  if (is_whole && errno == 0)
    return json_node_init_int (json_node_alloc (), whole);
  return json_node_init_double (json_node_alloc (), g_ascii_strtod (reader->scratch->str, NULL));
}

static JsonNode *
read_word (Reader *reader)
{
  static const char *const words[] = {"null", "false", "true"};

  for (int i = 0; i < 3; i++) {
    size_t length = strlen (words[i]);
    if ((size_t)(reader->end - reader->at) >= length &&
        memcmp (reader->at, words[i], length) == 0) {
      reader->at += length;
      JsonNode *node = json_node_alloc ();
      return i == 0 ? json_node_init_null (node) : json_node_init_boolean (node, i == 2);
    }
  }
  fail (reader, reader->at == reader->end ? "the text ends too early" : "expected a value");
  return NULL;
}

static gboolean
read_members (Reader *reader, int depth, JsonObject *object)
{
  skip_space (reader);
  if (take (reader, '}'))
    return TRUE;

  for (;;) {
    skip_space (reader);
    if (!read_string (reader))
      return FALSE;
    g_autofree char *key = g_strndup (reader->scratch->str, reader->scratch->len);
    skip_space (reader);
    if (!take (reader, ':'))
      return fail (reader, "expected \":\"");
    JsonNode *value = read_value (reader, depth);
    if (!value)
      return FALSE;
    json_object_set_member (object, key, value);
    skip_space (reader);
    if (take (reader, '}'))
      return TRUE;
    if (!take (reader, ','))
      return fail (reader, "expected \",\" or \"}\"");
  }
}

static gboolean
read_elements (Reader *reader, int depth, JsonArray *array)
{
  skip_space (reader);
  if (take (reader, ']'))
    return TRUE;

  for (;;) {
    JsonNode *value = read_value (reader, depth);
    if (!value)
      return FALSE;
    json_array_add_element (array, value);
    skip_space (reader);
    if (take (reader, ']'))
      return TRUE;
    if (!take (reader, ','))
      return fail (reader, "expected \",\" or \"]\"");
  }
}

static JsonNode *
read_object (Reader *reader, int depth)
{
  g_autoptr (JsonObject) object = json_object_new ();
  if (!read_members (reader, depth, object))
    return NULL;
  return json_node_init_object (json_node_alloc (), object);
}

static JsonNode *
read_array (Reader *reader, int depth)
{
  g_autoptr (JsonArray) array = json_array_new ();
  if (!read_elements (reader, depth, array))
    return NULL;
  return json_node_init_array (json_node_alloc (), array);
}

/* Recursion is bounded by DEPTH, the number of objects and arrays around the value. */
static JsonNode *
read_value (Reader *reader, int depth)
{
  skip_space (reader);
  if (++reader->n_values > MAX_VALUES) {
    fail (reader, "there are more than 4,194,304 values");
    return NULL;
  }

  char c = peek (reader);
  if ((c == '{' || c == '[') && depth == ALLAVA_JSON_MAX_DEPTH) {
    fail (reader, "values are nested more than " G_STRINGIFY (ALLAVA_JSON_MAX_DEPTH) " deep");
    return NULL;
  }
  if (take (reader, '{'))
    return read_object (reader, depth + 1);
  if (take (reader, '['))
    return read_array (reader, depth + 1);
  if (c == '"')
    return read_string (reader) ? json_node_init_string (json_node_alloc (), reader->scratch->str)
                                : NULL;
  return c == '-' || g_ascii_isdigit (c) ? read_number (reader) : read_word (reader);
}

static JsonNode *
read_root (Reader *reader)
{
  const char *bad;
  if (!g_utf8_validate_len (reader->start, (size_t)(reader->end - reader->start), &bad)) {
    reader->at = bad;
    fail (reader, *bad ? "the text is not UTF-8" : "the text contains a NUL byte");
    return NULL;
  }

  g_autoptr (JsonNode) root = read_value (reader, 0);
  if (!root)
    return NULL;
  skip_space (reader);
  if (reader->at < reader->end) {
    fail (reader, "there is more text after the value");
    return NULL;
  }
  if (!JSON_NODE_HOLDS_OBJECT (root)) {
    reader->at = reader->start;
    fail (reader, "expected an object");
    return NULL;
  }
  return g_steal_pointer (&root);
}

JsonNode *
allava_json_parse (const char *text, size_t length, const char *file, GError **error)
{
  g_return_val_if_fail (text != NULL || length == 0, NULL);

  g_autoptr (GString) scratch = g_string_new (NULL);
  Reader reader = {.start = text, .at = text, .end = text + length, .scratch = scratch};
  if (length == 0) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s is empty", file);
    return NULL;
  }

  JsonNode *root = read_root (&reader);
  if (!root) {
    size_t line = 1;
    for (const char *c = text; c < reader.at; c++)
      line += *c == '\n';
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s is not valid JSON: line %" G_GSIZE_FORMAT ": %s", file, line, reader.problem);
  }
  return root;
}

JsonNode *
allava_json_load (const char *path, size_t max_bytes, GError **error)
{
  g_return_val_if_fail (path != NULL, NULL);

  GStatBuf info;
  if (g_stat (path, &info) != 0) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, "%s cannot be read: %s", path,
                 g_strerror (errno));
    return NULL;
  }
  if (!S_ISREG (info.st_mode)) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, "%s is not a regular file", path);
    return NULL;
  }
  if ((uint64_t)info.st_size > max_bytes) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT,
                 "%s is too large: %" G_GUINT64_FORMAT " bytes, and at most %" G_GSIZE_FORMAT
                 " are allowed",
                 path, (uint64_t)info.st_size, max_bytes);
    return NULL;
  }

  g_autofree char *text = NULL;
  size_t length;
  g_autoptr (GError) reason = NULL;
  if (!g_file_get_contents (path, &text, &length, &reason)) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE, "%s cannot be read: %s", path,
                 reason->message);
    return NULL;
  }
  return allava_json_parse (text, length, path, error);
}

/* What NODE is, for "but is ...". */
static char *
describe (JsonNode *node)
{
  switch (JSON_NODE_TYPE (node)) {
  case JSON_NODE_OBJECT:
    return g_strdup ("an object");
  case JSON_NODE_ARRAY:
    return g_strdup ("an array");
  case JSON_NODE_NULL:
    return g_strdup ("null");
  case JSON_NODE_VALUE:
  default:
    if (json_node_get_value_type (node) == G_TYPE_STRING)
      return g_strdup ("a string");
    if (json_node_get_value_type (node) == G_TYPE_DOUBLE)
      return g_strdup_printf ("%g", json_node_get_double (node));
    return json_to_string (node, FALSE);
  }
}

static gboolean
refuse (JsonNode *node, const char *file, const char *key, const char *wanted, GError **error)
{
  g_autofree char *found = describe (node);
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s: \"%s\" should be %s, but is %s", file,
               key, wanted, found);
  return FALSE;
}

/* NULL where KEY is absent or null. */
static JsonNode *
get_member (JsonObject *object, const char *key)
{
  JsonNode *node = json_object_get_member (object, key);
  return node && !JSON_NODE_HOLDS_NULL (node) ? node : NULL;
}

static gboolean
holds (JsonNode *node, GType type)
{
  return JSON_NODE_HOLDS_VALUE (node) && json_node_get_value_type (node) == type;
}

gboolean
allava_json_get_int (JsonObject *object,
                     const char *file,
                     const char *key,
                     int64_t min,
                     int64_t max,
                     int64_t *value,
                     GError **error)
{
  JsonNode *node = get_member (object, key);
  if (!node)
    return TRUE;

  /* 2.0 is a whole number; beyond 2^53 a double no longer says which. */
  double d = holds (node, G_TYPE_DOUBLE) ? json_node_get_double (node) : NAN;
  gboolean is_whole = holds (node, G_TYPE_INT64) || (fabs (d) <= 0x1p53 && d == trunc (d));
  if (is_whole) {
    int64_t i = isnan (d) ? json_node_get_int (node) : (int64_t)d;
    if (i >= min && i <= max) {
      *value = i;
      return TRUE;
    }
  }
  g_autofree char *wanted =
      g_strdup_printf ("a whole number between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT,
                       (gint64)min, (gint64)max);
  return refuse (node, file, key, wanted, error);
}

gboolean
allava_json_get_double (
    JsonObject *object, const char *file, const char *key, double *value, GError **error)
{
  JsonNode *node = get_member (object, key);
  if (!node)
    return TRUE;
  if (!(holds (node, G_TYPE_INT64) || holds (node, G_TYPE_DOUBLE)))
    return refuse (node, file, key, "a number", error);

  double d = json_node_get_double (node); /* whole numbers too */
  if (!isfinite (d))
    return refuse (node, file, key, "a finite number", error);
  *value = d;
  return TRUE;
}

gboolean
allava_json_get_bool (
    JsonObject *object, const char *file, const char *key, gboolean *value, GError **error)
{
  JsonNode *node = get_member (object, key);
  if (!node)
    return TRUE;
  if (!holds (node, G_TYPE_BOOLEAN))
    return refuse (node, file, key, "true or false", error);
  *value = json_node_get_boolean (node);
  return TRUE;
}

gboolean
allava_json_get_string (
    JsonObject *object, const char *file, const char *key, const char **value, GError **error)
{
  JsonNode *node = get_member (object, key);
  if (!node)
    return TRUE;
  if (!holds (node, G_TYPE_STRING))
    return refuse (node, file, key, "a string", error);
  *value = json_node_get_string (node);
  return TRUE;
}

gboolean
allava_json_get_object (
    JsonObject *object, const char *file, const char *key, JsonObject **value, GError **error)
{
  JsonNode *node = get_member (object, key);
  if (!node)
    return TRUE;
  if (!JSON_NODE_HOLDS_OBJECT (node))
    return refuse (node, file, key, "an object", error);
  *value = json_node_get_object (node);
  return TRUE;
}

gboolean
allava_json_get_array (
    JsonObject *object, const char *file, const char *key, JsonArray **value, GError **error)
{
  JsonNode *node = get_member (object, key);
  if (!node)
    return TRUE;
  if (!JSON_NODE_HOLDS_ARRAY (node))
    return refuse (node, file, key, "an array", error);
  *value = json_node_get_array (node);
  return TRUE;
}
