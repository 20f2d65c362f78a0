/* The bundled model, asked about held-out pictures: tests/data/pictures/expected.json lists each
 * skill's questions, what a right answer holds, and how many answers must be right. */
#include "allava-image-file.h"

#include <json-glib/json-glib.h>
#include <string.h>

static AllavaModel *model;
static AllavaSession *session;

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

/* RIGHT: lists of texts; an answer that holds every text of one of them is right. */
static gboolean
is_right (const char *text, JsonArray *right)
{
  for (guint i = 0; i < json_array_get_length (right); i++) {
    JsonArray *texts = json_array_get_array_element (right, i);
    guint found = 0;
    while (found < json_array_get_length (texts) &&
           holds (text, json_array_get_string_element (texts, found)))
      found++;
    if (found == json_array_get_length (texts))
      return TRUE;
  }
  return FALSE;
}

static gboolean
ask (JsonObject *question)
{
  const char *file = json_object_get_string_member (question, "file");
  const char *words = json_object_get_string_member (question, "question");
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "data", "pictures", file, NULL);
  g_autofree char *text = answer (path, words);
  gboolean right = is_right (text, json_object_get_array_member (question, "right"));
  if (!right)
    g_test_message ("%s: %s %s", file, words, text);
  return right;
}

/* Under a sanitizer every eighth question will do: that run looks for other faults. */
#ifdef __SANITIZE_ADDRESS__
#define STEP 8
#else
#define STEP 1
#endif

static void
test_skill (gconstpointer data)
{
  JsonObject *skill = (JsonObject *)data;
  JsonArray *questions = json_object_get_array_member (skill, "questions");
  const guint n = json_array_get_length (questions);
  guint n_right = 0;
  for (guint i = 0; i < n; i += STEP)
    n_right += ask (json_array_get_object_element (questions, i));
  g_test_message ("%u of %u right", n_right, n);
  if (STEP == 1)
    g_assert_cmpint (n_right, >=, json_object_get_int_member (skill, "at_least"));
}

static void
add_skills (JsonParser *parser)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path =
      g_test_build_filename (G_TEST_DIST, "data", "pictures", "expected.json", NULL);
  json_parser_load_from_file (parser, path, &error);
  g_assert_no_error (error);
  JsonObject *root = json_node_get_object (json_parser_get_root (parser));
  JsonArray *skills = json_object_get_array_member (root, "skills");
  for (guint i = 0; i < json_array_get_length (skills); i++) {
    JsonObject *skill = json_array_get_object_element (skills, i);
    g_autofree char *name =
        g_strdup_printf ("/model/%s", json_object_get_string_member (skill, "skill"));
    g_test_add_data_func (name, skill, test_skill);
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
  g_autoptr (JsonParser) parser = json_parser_new ();
  add_skills (parser);
  int status = g_test_run ();
  allava_session_free (session);
  allava_model_unref (model);
  return status;
}
