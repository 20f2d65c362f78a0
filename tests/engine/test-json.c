/* What a caller may rely on in engine/model/json.h: exact values, strict syntax, clear refusals. */
#include "json.h"

#include <glib/gstdio.h>
#include <string.h>

static JsonNode *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  JsonNode *root = allava_json_parse (text, strlen (text), "config.json", &error);
  g_assert_no_error (error);
  g_assert_nonnull (root);
  return root;
}

static void
assert_refused (const char *text, size_t length, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) root = allava_json_parse (text, length, "config.json", &error);
  g_assert_null (root);
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT);
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_values (void)
{
  g_autoptr (JsonNode) root =
      parse (" { \"i\" : -12, \"d\":-1.5e-3, \"t\":true,\n\t\"f\":false, "
             "\"s\":\"a\\u00e9\\ud83d\\ude00\\n\\/\", \"\":{\"\":[]},"
             "\"a\":[1, [2], {}], \"n\":null, \"i\":9223372036854775807}\r\n");
  JsonObject *object = json_node_get_object (root);
  int64_t i = 0;
  double d = 0;
  gboolean t = FALSE, f = TRUE;
  const char *s = NULL;
  JsonObject *o = NULL;
  JsonArray *a = NULL;
  GError *error = NULL;

  g_assert_true (allava_json_get_int (object, "f", "i", INT64_MIN, INT64_MAX, &i, &error));
  g_assert_true (allava_json_get_double (object, "f", "d", &d, &error));
  g_assert_true (allava_json_get_bool (object, "f", "t", &t, &error));
  g_assert_true (allava_json_get_bool (object, "f", "f", &f, &error));
  g_assert_true (allava_json_get_string (object, "f", "s", &s, &error));
  g_assert_true (allava_json_get_object (object, "f", "", &o, &error));
  g_assert_true (allava_json_get_array (object, "f", "a", &a, &error));
  g_assert_no_error (error);
  g_assert_cmpint (i, ==, INT64_MAX); /* the last of two equal keys counts */
  g_assert_cmpfloat (d, ==, -1.5e-3);
  g_assert_true (t);
  g_assert_false (f);
  g_assert_cmpstr (s, ==, "aé😀\n/");
  g_assert_cmpuint (json_array_get_length (json_object_get_array_member (o, "")), ==, 0);
  g_assert_cmpuint (json_array_get_length (a), ==, 3);
}

static void
test_defaults (void)
{
  g_autoptr (JsonNode) root = parse ("{\"null\": null}");
  JsonObject *object = json_node_get_object (root);

  for (int pass = 0; pass < 2; pass++) {
    const char *key = pass == 0 ? "null" : "absent";
    int64_t i = 7;
    double d = 0.5;
    gboolean b = TRUE;
    const char *s = "default";
    JsonObject *o = object;
    JsonArray *a = NULL;
    g_assert_true (allava_json_get_int (object, "f", key, 0, 1, &i, NULL));
    g_assert_true (allava_json_get_double (object, "f", key, &d, NULL));
    g_assert_true (allava_json_get_bool (object, "f", key, &b, NULL));
    g_assert_true (allava_json_get_string (object, "f", key, &s, NULL));
    g_assert_true (allava_json_get_object (object, "f", key, &o, NULL));
    g_assert_true (allava_json_get_array (object, "f", key, &a, NULL));
    g_assert_cmpint (i, ==, 7);
    g_assert_cmpfloat (d, ==, 0.5);
    g_assert_true (b);
    g_assert_cmpstr (s, ==, "default");
    g_assert_true (o == object);
    g_assert_null (a);
  }
}

/* VALUE as JSON text, asked for as a whole number from 1 to 4096. */
static void
assert_int (const char *value, int64_t expected, const char *found)
{
  g_autofree char *text = g_strdup_printf ("{\"k\": %s}", value);
  g_autoptr (JsonNode) root = parse (text);
  g_autoptr (GError) error = NULL;
  int64_t i = -1;
  gboolean ok =
      allava_json_get_int (json_node_get_object (root), "config.json", "k", 1, 4096, &i, &error);

  g_assert_cmpint (i, ==, expected);
  g_assert_true (ok == (found == NULL));
  if (found) {
    g_autofree char *message = g_strdup_printf (
        "config.json: \"k\" should be a whole number between 1 and 4096, but is %s", found);
    g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT);
    g_assert_cmpstr (error->message, ==, message);
  }
}

static void
test_whole_numbers (void)
{
  assert_int ("1", 1, NULL);
  assert_int ("4096", 4096, NULL);
  assert_int ("2.0", 2, NULL);
  assert_int ("4e3", 4000, NULL);
  assert_int ("0", -1, "0");
  assert_int ("4097", -1, "4097");
  assert_int ("2.5", -1, "2.5");
  assert_int ("1e400", -1, "inf");
  assert_int ("18446744073709551617", -1, "1.84467e+19"); /* 1 where it wraps */
  assert_int ("true", -1, "true");
  assert_int ("\"2\"", -1, "a string");
  assert_int ("[2]", -1, "an array");
  assert_int ("{}", -1, "an object");
}

static void
assert_format_error (GError **error, const char *message)
{
  g_assert_error (*error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT);
  g_assert_cmpstr ((*error)->message, ==, message);
  g_clear_error (error);
}

static void
test_wrong_types (void)
{
  g_autoptr (JsonNode) root =
      parse ("{\"s\": \"1\", \"i\": -1e999, \"n\": 1, \"f\": false, \"a\": [], \"o\": {}}");
  JsonObject *object = json_node_get_object (root);
  double d;
  gboolean b;
  const char *s;
  JsonObject *o;
  JsonArray *a;
  GError *error = NULL;

  g_assert_false (allava_json_get_double (object, "f", "s", &d, &error));
  assert_format_error (&error, "f: \"s\" should be a number, but is a string");
  g_assert_false (allava_json_get_double (object, "f", "i", &d, &error));
  assert_format_error (&error, "f: \"i\" should be a finite number, but is -inf");
  g_assert_false (allava_json_get_bool (object, "f", "n", &b, &error));
  assert_format_error (&error, "f: \"n\" should be true or false, but is 1");
  g_assert_false (allava_json_get_string (object, "f", "f", &s, &error));
  assert_format_error (&error, "f: \"f\" should be a string, but is false");
  g_assert_false (allava_json_get_object (object, "f", "a", &o, &error));
  assert_format_error (&error, "f: \"a\" should be an object, but is an array");
  g_assert_false (allava_json_get_array (object, "f", "o", &a, &error));
  assert_format_error (&error, "f: \"o\" should be an array, but is an object");
}

static void
test_syntax (void)
{
  static const struct {
    const char *text;
    const char *problem;
  } cases[] = {
      {" \n", "line 2: the text ends too early"},
      {"{\n\"a\": ", "line 2: the text ends too early"},
      {"{\"a\": 1", "line 1: expected \",\" or \"}\""},
      {"{\"a\": [1", "line 1: expected \",\" or \"]\""},
      {"{\"a\": [1,]}", "line 1: expected a value"},
      {"{\"a\": 1,}", "line 1: expected a string"},
      {"{a: 1}", "line 1: expected a string"},
      {"{\"a\" 1}", "line 1: expected \":\""},
      {"{\"a\": nul}", "line 1: expected a value"},
      {"{\"a\": NaN}", "line 1: expected a value"},
      {"{\"a\": 01}", "line 1: expected \",\" or \"}\""},
      {"{\"a\": -}", "line 1: expected a digit"},
      {"{\"a\": 1.}", "line 1: expected a digit"},
      {"{\"a\": 1e+}", "line 1: expected a digit"},
      {"{\"a\": \"b", "line 1: a string is not closed"},
      {"{\"a\": \"b\\", "line 1: a string contains an unknown escape"},
      {"{\"a\": \"b\nc\"}", "line 1: a string contains a control character"},
      {"{\"a\": \"\\x\"}", "line 1: a string contains an unknown escape"},
      {"{\"a\": \"\\u12g4\"}", "line 1: \\u is not followed by four hexadecimal digits"},
      {"{\"a\": \"\\u0000\"}", "line 1: a string contains the character U+0000"},
      {"{\"a\": \"\\ud800\"}", "line 1: a string contains half of a surrogate pair"},
      {"{\"a\": \"\\ud800\\ud800\"}", "line 1: a string contains half of a surrogate pair"},
      {"{\"a\": \"\\udc00\"}", "line 1: a string contains half of a surrogate pair"},
      {"{\"a\": \"\xed\xa0\x80\"}", "line 1: the text is not UTF-8"},
      {"{} {}", "line 1: there is more text after the value"},
      {"/* */ {}", "line 1: expected a value"},
      {"\n[]", "line 1: expected an object"},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *message =
        g_strdup_printf ("config.json is not valid JSON: %s", cases[i].problem);
    assert_refused (cases[i].text, strlen (cases[i].text), message);
  }
  assert_refused ("", 0, "config.json is empty");
  assert_refused ("{}\n\0", 4,
                  "config.json is not valid JSON: line 2: the text contains a NUL byte");
}

static char *
nest (int depth)
{
  GString *text = g_string_new (NULL);
  for (int i = 1; i < depth; i++)
    g_string_append (text, "{\"\":");
  g_string_append (text, "{\"brackets\": \"[[{{\"}");
  for (int i = 1; i < depth; i++)
    g_string_append_c (text, '}');
  return g_string_free (text, FALSE);
}

static void
test_depth (void)
{
  g_autofree char *deepest = nest (ALLAVA_JSON_MAX_DEPTH);
  g_autoptr (JsonNode) root = parse (deepest);
  g_assert_true (JSON_NODE_HOLDS_OBJECT (root));
  const char *message =
      "config.json is not valid JSON: line 1: values are nested more than 64 deep";

  g_autofree char *too_deep = nest (ALLAVA_JSON_MAX_DEPTH + 1);
  assert_refused (too_deep, strlen (too_deep), message);

  g_autofree char *brackets = g_strnfill (10 << 20, '[');
  assert_refused (brackets, 10 << 20, message);
}

static void
test_too_many_values (void)
{
  GString *text = g_string_new ("{\"a\":[1");
  for (int i = 0; i < 4 << 20; i++)
    g_string_append (text, ",1");
  g_string_append (text, "]}");
  assert_refused (text->str, text->len,
                  "config.json is not valid JSON: line 1: there are more than 4,194,304 values");
  g_string_free (text, TRUE);
}

static void
assert_not_loaded (const char *path, size_t max_bytes, AllavaError code, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonNode) root = allava_json_load (path, max_bytes, &error);
  g_autofree char *expected = g_strconcat (path, message, NULL);
  g_assert_null (root);
  g_assert_error (error, ALLAVA_ERROR, (int)code);
  g_assert_cmpstr (error->message, ==, expected);
}

static void
test_files (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_dir_make_tmp ("allava-json-XXXXXX", &error);
  g_assert_no_error (error);
  g_autofree char *path = g_build_filename (dir, "config.json", NULL);

  assert_not_loaded (path, 100, ALLAVA_ERROR_FILE, " cannot be read: No such file or directory");
  assert_not_loaded (dir, 100, ALLAVA_ERROR_FILE, " is not a regular file");

  g_assert_true (g_file_set_contents (path, "{\"a\": 1}", -1, NULL));
  assert_not_loaded (path, 7, ALLAVA_ERROR_FORMAT,
                     " is too large: 8 bytes, and at most 7 are allowed");
  g_autoptr (JsonNode) root = allava_json_load (path, 8, &error);
  g_assert_no_error (error);
  g_assert_cmpint (json_object_get_int_member (json_node_get_object (root), "a"), ==, 1);

  g_assert_true (g_file_set_contents (path, "", -1, NULL));
  assert_not_loaded (path, 100, ALLAVA_ERROR_FORMAT, " is empty");
  g_unlink (path);
  g_rmdir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json/values", test_values);
  g_test_add_func ("/json/defaults", test_defaults);
  g_test_add_func ("/json/whole-numbers", test_whole_numbers);
  g_test_add_func ("/json/wrong-types", test_wrong_types);
  g_test_add_func ("/json/syntax", test_syntax);
  g_test_add_func ("/json/depth", test_depth);
  g_test_add_func ("/json/too-many-values", test_too_many_values);
  g_test_add_func ("/json/files", test_files);
  return g_test_run ();
}
