#include "allava-model-finder.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "app-testing.h"

static void
make_model (const char *folder, const char *type, gboolean weights)
{
  g_autofree char *config = g_build_filename (folder, "config.json", NULL);
  g_autofree char *file = g_build_filename (folder, "model.safetensors", NULL);
  g_autofree char *json = g_strdup_printf ("{\"model_type\": %s}", type);
  g_assert_cmpint (g_mkdir_with_parents (folder, 0700), ==, 0);
  g_assert_true (g_file_set_contents (config, json, -1, NULL));
  if (weights)
    g_assert_true (g_file_set_contents (file, "12345", -1, NULL));
}

static GListModel *
find (const char *const *folders, const char *hub)
{
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  allava_model_finder_find_async (folders, hub, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  GListModel *models = allava_model_finder_find_finish (result, &error);
  g_assert_no_error (error);
  return models;
}

static char *
show (GListModel *models)
{
  GString *names = g_string_new (NULL);
  for (guint i = 0; i < g_list_model_get_n_items (models); i++) {
    g_autoptr (AllavaModelEntry) entry = g_list_model_get_item (models, i);
    g_string_append_printf (names, "%s%s ", allava_model_entry_get_name (entry),
                            allava_model_entry_get_hub (entry) ? "@hub" : "");
    g_assert_cmpuint (allava_model_entry_get_size (entry), ==, 5);
  }
  return g_string_free (names, FALSE);
}

static void
test_find (void)
{
  char *root = testing_folder_new ();
  const struct {
    const char *path, *type;
    gboolean weights;
  } models[] = {
      {"models/b", "\"llava_phi\"", TRUE},
      {"models/a", "\"llava_phi\"", TRUE},
      {"models/other-kind", "\"llama\"", TRUE},
      {"models/no-weights", "\"llava_phi\"", FALSE},
      {"models/strange", "[[[1", TRUE},
      {"models/number", "17", TRUE},
      {"models/caf\xe9", "\"llava_phi\"", TRUE},
      {"alone", "\"llava_phi\"", TRUE},
      {"hub/models--Some--ALLaVA-3B/snapshots/0123", "\"llava_phi\"", TRUE},
      {"hub/models--Some--ALLaVA-3B/snapshots/4567", "\"llava_phi\"", TRUE},
      {"hub/models--Other--Text/snapshots/0123", "\"gpt2\"", TRUE},
      {"hub/datasets--x/snapshots/0123", "\"llava_phi\"", TRUE},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (models); i++) {
    g_autofree char *path = g_build_filename (root, models[i].path, NULL);
    make_model (path, models[i].type, models[i].weights);
  }
  g_autofree char *refs = g_build_filename (root, "hub/models--Some--ALLaVA-3B/refs", NULL);
  g_autofree char *main_ref = g_build_filename (refs, "main", NULL);
  g_assert_cmpint (g_mkdir (refs, 0700), ==, 0);
  g_assert_true (g_file_set_contents (main_ref, "4567\n", -1, NULL));

  g_autofree char *folder = g_build_filename (root, "models", NULL);
  g_autofree char *alone = g_build_filename (root, "alone", NULL);
  g_autofree char *same = g_build_filename (root, "models", "..", "alone", NULL);
  g_autofree char *hub = g_build_filename (root, "hub", NULL);
  const char *folders[] = {alone, "/nonexistent", folder, same, NULL};
  g_autoptr (GListModel) found = find (folders, hub);
  g_autofree char *names = show (found);
  g_assert_cmpstr (names, ==, "alone a b ALLaVA-3B@hub ");
  g_autoptr (AllavaModelEntry) last = g_list_model_get_item (found, 3);
  g_assert_true (g_str_has_suffix (allava_model_entry_get_path (last), "/4567"));
  g_autoptr (GListModel) without = find (folders, NULL);
  g_assert_cmpuint (g_list_model_get_n_items (without), ==, 3);
  testing_folder_free (root);
}

static void
test_check (void)
{
  char *root = testing_folder_new ();
  g_autoptr (GError) error = NULL;
  g_assert_false (allava_model_finder_check (root, &error));
  g_assert_nonnull (strstr (error->message, root));
  g_assert_nonnull (strstr (error->message, "config.json"));
  g_clear_error (&error);
  make_model (root, "\"llava_phi\"", FALSE);
  g_assert_false (allava_model_finder_check (root, &error));
  g_assert_nonnull (strstr (error->message, ".safetensors"));
  g_clear_error (&error);
  make_model (root, "\"llava_phi\"", TRUE);
  g_assert_true (allava_model_finder_check (root, &error));
  testing_folder_free (root);
}

/* A path that is not UTF-8 can neither be shown nor kept in the settings. */
static void
test_path (void)
{
  char *root = testing_folder_new ();
  g_autofree char *folder = g_build_filename (root, "caf\xe9", NULL);
  g_autofree char *shown = g_filename_display_name (folder);
  g_autoptr (GError) error = NULL;
  make_model (folder, "\"llava_phi\"", TRUE);
  g_assert_false (allava_model_finder_check (folder, &error));
  g_assert_true (g_str_has_prefix (error->message, shown));
  g_assert_nonnull (strstr (error->message, "UTF-8"));
  g_clear_error (&error);
  g_assert_true (allava_model_finder_check_path ("/models/caf\xc3\xa9", &error));
  testing_folder_free (root);
}

static void
assert_refused (const char *folder)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (allava_model_finder_check (folder, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED);
}

/* Nested without end, and pipes that nobody writes to, which are not waited for. */
static void
test_hostile (void)
{
  char *root = testing_folder_new ();
  g_autofree char *folder = g_build_filename (root, "model", NULL);
  g_autofree char *config = g_build_filename (folder, "config.json", NULL);
  g_autofree char *card = g_build_filename (folder, "README.md", NULL);
  g_autofree char *deep = g_strnfill (200000, '[');
  make_model (folder, deep, TRUE);
  assert_refused (folder);
  g_assert_cmpint (g_unlink (config), ==, 0);
  g_assert_cmpint (mkfifo (config, 0600), ==, 0);
  g_assert_cmpint (mkfifo (card, 0600), ==, 0);
  assert_refused (folder);
  g_autofree char *name = allava_model_finder_dup_name (folder);
  g_assert_cmpstr (name, ==, "model");
  testing_folder_free (root);
}

static void
test_name (void)
{
  const struct {
    const char *folder, *card, *name;
  } cases[] = {
      {"model", "---\nlicense: x\n---\n# allava-nano\n\n# Other\n", "allava-nano"},
      {"model", "# A model of mine\n", "model"},
      {"model", "# \xff\xfe\n", "model"},
      {"model", NULL, "model"},
      {"mine", "# allava-nano\n", "mine"},
      {"models--Some--ALLaVA-3B/snapshots/model", "# other\n", "ALLaVA-3B"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    char *root = testing_folder_new ();
    g_autofree char *folder = g_build_filename (root, cases[i].folder, NULL);
    g_autofree char *card = g_build_filename (folder, "README.md", NULL);
    make_model (folder, "\"llava_phi\"", TRUE);
    if (cases[i].card != NULL)
      g_assert_true (g_file_set_contents (card, cases[i].card, -1, NULL));
    g_autofree char *name = allava_model_finder_dup_name (folder);
    g_assert_cmpstr (name, ==, cases[i].name);
    testing_folder_free (root);
  }
  /* The one that comes with the program. */
  g_autofree char *bundled = g_test_build_filename (G_TEST_DIST, "..", "data", "model", NULL);
  g_autofree char *name = allava_model_finder_dup_name (bundled);
  g_assert_cmpstr (name, ==, "allava-nano");
}

static void
test_hub (void)
{
  const char *root = g_getenv ("HOME");
  g_autofree char *usual = g_build_filename (root, ".cache", "huggingface", "hub", NULL);
  g_autofree char *own = g_build_filename (root, "own", "huggingface", "hub", NULL);
  g_autofree char *outside = allava_model_finder_dup_hub ();
  g_assert_cmpstr (outside, ==, usual);
  g_assert_cmpint (g_mkdir_with_parents (own, 0700), ==, 0);
  g_autofree char *inside = allava_model_finder_dup_hub ();
  g_assert_cmpstr (inside, ==, own);
  g_setenv ("HF_HOME", "/home", TRUE);
  g_autofree char *home = allava_model_finder_dup_hub ();
  g_assert_cmpstr (home, ==, "/home/hub");
  g_setenv ("HF_HUB_CACHE", "/cache", TRUE);
  g_autofree char *cache = allava_model_finder_dup_hub ();
  g_assert_cmpstr (cache, ==, "/cache");
}

int
main (int argc, char **argv)
{
  char *home = testing_folder_new ();
  g_autofree char *cache = g_build_filename (home, "own", NULL);
  g_setenv ("HOME", home, TRUE);
  g_setenv ("XDG_CACHE_HOME", cache, TRUE);
  g_unsetenv ("HF_HOME");
  g_unsetenv ("HF_HUB_CACHE");
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/model-finder/find", test_find);
  g_test_add_func ("/model-finder/check", test_check);
  g_test_add_func ("/model-finder/path", test_path);
  g_test_add_func ("/model-finder/hostile", test_hostile);
  g_test_add_func ("/model-finder/name", test_name);
  g_test_add_func ("/model-finder/hub", test_hub);
  int status = g_test_run ();
  testing_folder_free (home);
  return status;
}
