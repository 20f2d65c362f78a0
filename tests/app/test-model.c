/* The bundled model, asked about held-out pictures: tests/data/pictures/expected.json lists files,
 * questions and words that a right answer holds. */
#include "allava-image-file.h"

#include <json-glib/json-glib.h>
#include <string.h>

static AllavaModel *model;
static AllavaSession *session;

typedef struct {
  char *file;
  char *question;
  char **words;
} Case;

static gboolean
append_cb (const char *text, gpointer data)
{
  g_string_append (data, text);
  return TRUE;
}

static char *
answer (const char *path, const char *question)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaImageFile) file =
      allava_image_file_load (path, ALLAVA_ALPHA_WHITE, NULL, &error);
  g_assert_no_error (error);
  g_autoptr (AllavaPicture) picture =
      allava_picture_new (model, allava_image_file_get_pixels (file), &error);
  g_assert_no_error (error);
  const AllavaTurn turn = {ALLAVA_ROLE_USER, question, &picture, 1};
  const AllavaGenerateOptions options = ALLAVA_GENERATE_OPTIONS_INIT;
  AllavaGenerateResult result;
  GString *text = g_string_new (NULL);
  allava_session_generate (session, &turn, 1, &options, append_cb, text, &result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (result.finish, ==, ALLAVA_FINISH_EOS);
  allava_generate_result_clear (&result);
  return g_string_free (text, FALSE);
}

static gboolean
holds (const char *text, const char *words)
{
  g_autofree char *folded_text = g_utf8_casefold (text, -1);
  g_autofree char *folded_words = g_utf8_casefold (words, -1);
  return strstr (folded_text, folded_words) != NULL;
}

static void
test_case (gconstpointer data)
{
  const Case *expected = data;
  g_autofree char *path =
      g_test_build_filename (G_TEST_DIST, "data", "pictures", expected->file, NULL);
  g_autofree char *text = answer (path, expected->question);
  g_test_message ("%s: %s %s", expected->file, expected->question, text);
  for (char **word = expected->words; *word != NULL; word++)
    g_assert_true (holds (text, *word));
}

static void
case_free (gpointer data)
{
  Case *expected = data;
  g_free (expected->file);
  g_free (expected->question);
  g_strfreev (expected->words);
  g_free (expected);
}

static void
add_cases (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autofree char *path =
      g_test_build_filename (G_TEST_DIST, "data", "pictures", "expected.json", NULL);
  json_parser_load_from_file (parser, path, &error);
  g_assert_no_error (error);
  JsonArray *cases = json_node_get_array (json_parser_get_root (parser));
  for (guint i = 0; i < json_array_get_length (cases); i++) {
    JsonObject *object = json_array_get_object_element (cases, i);
    JsonArray *words = json_object_get_array_member (object, "must_contain");
    guint n = json_array_get_length (words);
    Case *expected = g_new0 (Case, 1);
    expected->file = g_strdup (json_object_get_string_member (object, "file"));
    expected->question = g_strdup (json_object_get_string_member (object, "question"));
    expected->words = g_new0 (char *, n + 1);
    for (guint j = 0; j < n; j++)
      expected->words[j] = g_strdup (json_array_get_string_element (words, j));
    g_autofree char *name = g_strdup_printf ("/model/%s/%u", expected->file, i);
    g_test_add_data_func_full (name, expected, test_case, case_free);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *dir = g_test_build_filename (G_TEST_DIST, "..", "data", "model", NULL);
  model = allava_model_load (dir, NULL, &error);
  g_assert_no_error (error);
  session = allava_session_new (model, &error);
  g_assert_no_error (error);
  add_cases ();
  int status = g_test_run ();
  allava_session_free (session);
  allava_model_unref (model);
  return status;
}
