#include "allava-export.h"

#include <string.h>

#include "app-testing.h"

static char *
read_file (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  char *content = NULL;
  g_file_get_contents (path, &content, NULL, NULL);
  return content;
}

static int
export_all (AllavaHistory *history, const char *folder, GError **error)
{
  GAsyncResult *slot = NULL;
  g_autoptr (GFile) file = g_file_new_for_path (folder);
  allava_export_async (history, NULL, file, NULL, NULL, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  return allava_export_finish (history, result, error);
}

/* Its picture is called NAME, or as it came where that is NULL. */
static void
add_with_image (AllavaHistory *history, gint64 id, const char *name)
{
  testing_history_add (history, id, "What: is/this?", "What is this?", "A *square*.", NULL);
  g_autoptr (AllavaImage) image = testing_add_image (allava_history_get_images (history), 7);
  g_autoptr (GListStore) images = g_list_store_new (ALLAVA_TYPE_IMAGE);
  g_list_store_append (images, image);
  g_autoptr (AllavaMessage) question =
      allava_message_new (id + 1, ALLAVA_ROLE_USER, "What is this?", G_LIST_MODEL (images));
  g_autoptr (GPtrArray) records =
      g_ptr_array_new_with_free_func ((GDestroyNotify)allava_message_record_free);
  g_ptr_array_add (records, allava_message_record_new (question, id));
  if (name != NULL) {
    AllavaImageRecord *record = ((AllavaMessageRecord *)records->pdata[0])->images->pdata[0];
    g_free (record->name);
    record->name = g_strdup (name);
  }
  allava_history_save_async (history, NULL, records, NULL, NULL, NULL);
}

static void
test_export (void)
{
  char *folder = testing_folder_new ();
  g_autofree char *target = g_build_filename (folder, "out", "deep", NULL);
  g_autofree char *images = g_build_filename (target, "images", NULL);
  AllavaHistory *history = testing_history_open (folder);
  add_with_image (history, 10, NULL);
  testing_history_add (history, 50, "What: is/this?", "Again", NULL);
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (export_all (history, target, &error), ==, 2);
  g_assert_no_error (error);

  g_autofree char *newer = read_file (target, "1970-01-01 What isthis.md");
  g_assert_cmpstr (newer, ==, "# What: is/this?\n\n## Question\n\nAgain\n\n");
  g_autofree char *older = read_file (target, "1970-01-01 What isthis 2.md");
  g_assert_cmpstr (older, ==,
                   "# What: is/this?\n\n## Question\n\n"
                   "![picture 7.png](images/picture%207.png)\n\nWhat is this?\n\n"
                   "## Answer\n\nA *square*.\n\n");
  g_autofree char *picture = read_file (images, "picture 7.png");
  g_assert_nonnull (picture);

  /* Nothing is overwritten. */
  g_assert_cmpint (export_all (history, target, &error), ==, 2);
  g_autofree char *third = read_file (target, "1970-01-01 What isthis 3.md");
  g_assert_nonnull (third);

  /* A file is in the way of the folder. */
  g_autofree char *bad = g_build_filename (target, "1970-01-01 What isthis.md", "x", NULL);
  g_assert_cmpint (export_all (history, bad, &error), ==, -1);
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_FAILED);
  testing_settle ();
  testing_history_close (history);
  testing_folder_free (folder);
}

/* A long name is cut before its extension; what is no extension is cut with it. */
static void
test_names (void)
{
  g_autofree char *many = g_strnfill (60, 'x');
  const struct {
    const char *name, *file;
  } cases[] = {
      {".jpeg", ".jpeg"}, {"yyy.jpeg", ".jpeg"},       {"/../y.jpeg", ".jpeg"},
      {"", ""},           {".a far too long one", ""}, {"./y", ""},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    char *folder = testing_folder_new ();
    g_autofree char *target = g_build_filename (folder, "out", NULL);
    g_autofree char *images = g_build_filename (target, "images", NULL);
    g_autofree char *name = g_strconcat (many, cases[i].name, NULL);
    g_autofree char *file = g_strconcat (many, cases[i].file, NULL);
    AllavaHistory *history = testing_history_open (folder);
    add_with_image (history, 10, name);
    g_assert_cmpint (export_all (history, target, NULL), ==, 1);
    g_autofree char *picture = read_file (images, file);
    g_assert_nonnull (picture);
    testing_settle ();
    testing_history_close (history);
    testing_folder_free (folder);
  }
}

/* Rows that nobody wrote: a title that ends within a character, a time no calendar has, an image
 * that is another file. */
static void
test_hostile (void)
{
  char *folder = testing_folder_new ();
  g_autofree char *target = g_build_filename (folder, "out", NULL);
  g_autofree char *images = g_build_filename (target, "images", NULL);
  g_autofree char *secret = g_build_filename (folder, "secret", NULL);
  g_assert_true (g_file_set_contents (secret, "abracadabra", -1, NULL));
  AllavaHistory *history = testing_history_open (folder);
  testing_history_add (history, 10, "t", "What?", NULL);
  testing_history_exec (folder, "UPDATE conversation SET title = CAST (x'41f0' AS TEXT),"
                                "  updated = 9000000000000000000;"
                                "INSERT INTO image VALUES ('../secret', 8, 6, 'a.png');"
                                "INSERT INTO message_image VALUES (11, 0, '../secret')");
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (export_all (history, target, &error), ==, 1);
  g_assert_no_error (error);
  g_autofree char *page = read_file (target, "1970-01-01 A\xef\xbf\xbd.md");
  g_assert_cmpstr (page, ==, "# A\xef\xbf\xbd\n\n## Question\n\nWhat?\n\n");
  g_assert_false (g_file_test (images, G_FILE_TEST_EXISTS));
  testing_settle ();
  testing_history_close (history);
  testing_folder_free (folder);
}

int
main (int argc, char **argv)
{
  g_setenv ("TZ", "UTC", TRUE);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/export/folder", test_export);
  g_test_add_func ("/export/names", test_names);
  g_test_add_func ("/export/hostile", test_hostile);
  return g_test_run ();
}
