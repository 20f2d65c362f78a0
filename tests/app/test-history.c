#include "allava-history.h"

#include <glib/gstdio.h>
#include <string.h>

#include "app-testing.h"

typedef struct {
  char *folder;
  AllavaHistory *history;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->folder = testing_folder_new ();
  fixture->history = testing_history_open (fixture->folder);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  testing_history_close (fixture->history);
  testing_folder_free (fixture->folder);
}

static void
reopen (Fixture *fixture)
{
  testing_history_close (fixture->history);
  fixture->history = testing_history_open (fixture->folder);
}

typedef void (*ChangeFunc) (AllavaHistory *, gint64, GAsyncReadyCallback, gpointer);

static void
change (AllavaHistory *history, ChangeFunc func, gint64 id)
{
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  func (history, id, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  allava_history_finish (history, result, &error);
  g_assert_no_error (error);
}

static void
delete_all (AllavaHistory *history)
{
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  allava_history_delete_all_async (history, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  allava_history_finish (history, result, &error);
  g_assert_no_error (error);
}

/* The ids that a query gives, as "3 1 ". */
static char *
list (AllavaHistory *history, const char *query)
{
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  allava_history_list_async (history, query, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  g_autoptr (GArray) keys = allava_history_list_finish (history, result, &error);
  g_assert_no_error (error);
  GString *ids = g_string_new (NULL);
  for (guint i = 0; i < keys->len; i++)
    g_string_append_printf (ids, "%d ", (int)g_array_index (keys, AllavaConversationKey, i).id);
  return g_string_free (ids, FALSE);
}

#define assert_list(history, query, expected)                                                      \
  do {                                                                                             \
    g_autofree char *seen = list (history, query);                                                 \
    g_assert_cmpstr (seen, ==, expected);                                                          \
  } while (0)

/* The snippets of the conversations that a query gives, each on a line. */
static char *
snippets (AllavaHistory *history, const char *query)
{
  GAsyncResult *slot = NULL;
  allava_history_list_async (history, query, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) listed = testing_wait_result (&slot);
  g_autoptr (GArray) keys = allava_history_list_finish (history, listed, NULL);
  allava_history_lines_async (history, keys, query, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  g_autoptr (GPtrArray) lines = allava_history_lines_finish (history, result, NULL);
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < lines->len; i++)
    g_string_append_printf (text, "%s\n",
                            ((AllavaConversationLine *)lines->pdata[i])->snippet_markup);
  return g_string_free (text, FALSE);
}

/* ---- Keeping --------------------------------------------------------------------------------- */

static void
test_round_trip (Fixture *fixture, gconstpointer data)
{
  g_autoptr (AllavaImage) image =
      testing_add_image (allava_history_get_images (fixture->history), 1);
  g_autoptr (GListStore) images = g_list_store_new (ALLAVA_TYPE_IMAGE);
  g_list_store_append (images, image);
  g_autoptr (AllavaMessage) question =
      allava_message_new (101, ALLAVA_ROLE_USER, "What?", G_LIST_MODEL (images));
  g_autoptr (AllavaMessage) answer = allava_message_new (102, ALLAVA_ROLE_ASSISTANT, "That.", NULL);
  allava_message_set_parent_id (answer, 101);
  allava_message_set_state (answer, ALLAVA_MESSAGE_FAILED);
  allava_message_set_error (answer, "It broke");
  AllavaMessageDetails details = {
      .model = (char *)"m", .finish = (char *)"eos", .n_tokens = 7, .decode_ms = 1.5};
  allava_message_set_details (answer, &details);

  g_autoptr (GPtrArray) records =
      g_ptr_array_new_with_free_func ((GDestroyNotify)allava_message_record_free);
  g_ptr_array_add (records, allava_message_record_new (question, 100));
  g_ptr_array_add (records, allava_message_record_new (answer, 100));
  AllavaConversationRecord conversation = {
      .id = 100, .title = (char *)"What?", .updated = 5, .active_leaf = 102};
  allava_history_save_async (fixture->history, &conversation, records, NULL, NULL, NULL);
  reopen (fixture);

  AllavaConversationContent *content = testing_history_load (fixture->history, 100);
  g_assert_cmpint (content->conversation->active_leaf, ==, 102);
  g_assert_cmpint (content->conversation->updated, ==, 5);
  g_assert_cmpuint (content->messages->len, ==, 2);
  g_autoptr (AllavaMessage) first =
      allava_message_record_to_message (content->messages->pdata[0], fixture->folder);
  g_autoptr (AllavaMessage) second =
      allava_message_record_to_message (content->messages->pdata[1], fixture->folder);
  g_assert_cmpstr (allava_message_get_text (first), ==, "What?");
  g_autoptr (AllavaImage) loaded = g_list_model_get_item (allava_message_get_images (first), 0);
  g_assert_cmpstr (allava_image_get_path (loaded), ==, allava_image_get_path (image));
  g_assert_cmpstr (allava_image_get_name (loaded), ==, "picture 1.png");
  g_assert_cmpint (allava_image_get_width (loaded), ==, 8);
  g_assert_cmpint (allava_message_get_parent_id (second), ==, 101);
  g_assert_cmpint (allava_message_get_state (second), ==, ALLAVA_MESSAGE_FAILED);
  g_assert_cmpstr (allava_message_get_error (second), ==, "It broke");
  g_assert_cmpstr (allava_message_get_details (second)->model, ==, "m");
  g_assert_cmpint (allava_message_get_details (second)->n_tokens, ==, 7);
  g_assert_cmpfloat (allava_message_get_details (second)->decode_ms, ==, 1.5);
  allava_conversation_content_free (content);
}

/* What was cut off is found as stopped, and can be found by its words. */
static void
test_partial_becomes_stopped (Fixture *fixture, gconstpointer data)
{
  testing_history_add (fixture->history, 1, "a", "question", NULL);
  AllavaMessageRecord *record = allava_message_record_new_empty ();
  record->id = 9;
  record->conversation_id = 1;
  record->role = ALLAVA_ROLE_ASSISTANT;
  record->text = g_strdup ("unfinished symphony");
  g_autoptr (GPtrArray) records =
      g_ptr_array_new_with_free_func ((GDestroyNotify)allava_message_record_free);
  g_ptr_array_add (records, record);
  allava_history_save_async (fixture->history, NULL, records, NULL, NULL, NULL);
  assert_list (fixture->history, "symphony", "");
  reopen (fixture);
  assert_list (fixture->history, "symphony", "1 ");
  AllavaConversationContent *content = testing_history_load (fixture->history, 1);
  g_assert_cmpint (((AllavaMessageRecord *)content->messages->pdata[1])->state, ==,
                   ALLAVA_MESSAGE_STOPPED);
  allava_conversation_content_free (content);
}

/* Ids grow, however fast they are made, and say when. */
static void
test_ids (void)
{
  gint64 last = 0;
  for (int i = 0; i < 100000; i++) {
    gint64 id = allava_record_next_id ();
    g_assert_cmpint (id, >, last);
    last = id;
  }
  g_assert_cmpint (ABS (allava_record_id_to_time (last) - g_get_real_time ()), <, G_USEC_PER_SEC);
}

/* ---- Searching ------------------------------------------------------------------------------- */

static void
test_search (Fixture *fixture, gconstpointer data)
{
  testing_history_add (fixture->history, 10, "Cats", "A cat?", "Yes, a <black> cat & a mat.", NULL);
  testing_history_add (fixture->history, 20, "Dogs", "A dog?", "No, it is a Schnauzer.", NULL);
  testing_history_add (fixture->history, 30, "Both", "A cat?", "And a dog.", NULL);
  assert_list (fixture->history, NULL, "30 20 10 ");
  assert_list (fixture->history, "cat", "30 10 ");
  assert_list (fixture->history, "CAT mat", "10 ");
  assert_list (fixture->history, "schn", "20 ");
  assert_list (fixture->history, "dogs", "20 ");
  assert_list (fixture->history, "zebra", "");
  assert_list (fixture->history, "\"", "");
  g_autofree char *seen = snippets (fixture->history, "black mat");
  g_assert_cmpstr (seen, ==, "Yes, a &lt;<b>black</b>&gt; cat &amp; a <b>mat</b>.\n");
  g_autofree char *title = snippets (fixture->history, "dogs");
  g_assert_cmpstr (title, ==, "<b>Dogs</b>\n");
}

static void
test_rename (Fixture *fixture, gconstpointer data)
{
  testing_history_add (fixture->history, 10, "Old", "text", NULL);
  allava_history_rename_async (fixture->history, 10, "Zanzibar", NULL, NULL);
  assert_list (fixture->history, "zanz", "10 ");
  assert_list (fixture->history, "old", "");
  /* A later save of the conversation does not bring the old title back. */
  testing_history_add (fixture->history, 10, "Old", "text", NULL);
  AllavaConversationContent *content = testing_history_load (fixture->history, 10);
  g_assert_cmpstr (content->conversation->title, ==, "Zanzibar");
  allava_conversation_content_free (content);
}

/* ---- Deleting -------------------------------------------------------------------------------- */

static void
test_delete_and_undo (Fixture *fixture, gconstpointer data)
{
  testing_history_add (fixture->history, 10, "Ten", "word", "answer", NULL);
  testing_history_add (fixture->history, 20, "Twenty", "word", NULL);
  change (fixture->history, allava_history_delete_async, 10);
  assert_list (fixture->history, NULL, "20 ");
  assert_list (fixture->history, "word", "20 ");
  change (fixture->history, allava_history_undelete_async, 10);
  assert_list (fixture->history, NULL, "20 10 ");
  assert_list (fixture->history, "word", "20 10 ");

  change (fixture->history, allava_history_delete_async, 10);
  reopen (fixture); /* purges */
  change (fixture->history, allava_history_undelete_async, 10);
  assert_list (fixture->history, NULL, "20 ");
}

/* A conversation of more messages in a row than SQLite's cascades may go deep. */
static void
test_delete_long (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) records =
      g_ptr_array_new_with_free_func ((GDestroyNotify)allava_message_record_free);
  for (int i = 1; i <= 3000; i++) {
    AllavaMessageRecord *record = allava_message_record_new_empty ();
    record->id = i;
    record->conversation_id = 1;
    record->parent_id = i - 1;
    record->state = ALLAVA_MESSAGE_COMPLETE;
    record->text = g_strdup ("again");
    g_ptr_array_add (records, record);
  }
  AllavaConversationRecord conversation = {.id = 1, .title = (char *)"long", .active_leaf = 3000};
  allava_history_save_async (fixture->history, &conversation, records, NULL, NULL, NULL);
  assert_list (fixture->history, "again", "1 ");
  change (fixture->history, allava_history_delete_async, 1);
  reopen (fixture);
  assert_list (fixture->history, "again", "");
}

static gboolean
contains (const char *folder, const char *name, const char *needle)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autofree char *content = NULL;
  gsize length;
  return g_file_get_contents (path, &content, &length, NULL) &&
         memmem (content, length, needle, strlen (needle)) != NULL;
}

/* Nothing of the text is left in any file, nor any picture. */
static void
test_delete_all (Fixture *fixture, gconstpointer data)
{
  g_autoptr (AllavaImage) image =
      testing_add_image (allava_history_get_images (fixture->history), 3);
  testing_history_add (fixture->history, 10, "Secret", "abracadabra", NULL);
  g_assert_true (contains (fixture->folder, "history.sqlite-wal", "abracadabra"));
  delete_all (fixture->history);
  assert_list (fixture->history, NULL, "");
  assert_list (fixture->history, "abracadabra", "");
  g_assert_false (contains (fixture->folder, "history.sqlite", "abracadabra"));
  g_assert_false (contains (fixture->folder, "history.sqlite-wal", "abracadabra"));
  g_assert_false (g_file_test (allava_image_get_path (image), G_FILE_TEST_EXISTS));
  testing_history_add (fixture->history, 10, "New", "text", NULL);
  assert_list (fixture->history, NULL, "10 ");
}

static void
note_all_cb (AllavaHistory *history, gint64 id, gboolean *all)
{
  *all |= id == -1;
}

/* A picture that cannot be deleted is told, and the conversations are gone. */
static void
test_delete_most (Fixture *fixture, gconstpointer data)
{
  gboolean told = FALSE;
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  g_autofree char *block = g_build_filename (fixture->folder, "images", "block", NULL);
  g_assert_cmpint (g_mkdir_with_parents (block, 0700), ==, 0);
  testing_history_add (fixture->history, 10, "t", "q", NULL);
  g_signal_connect (fixture->history, "changed", G_CALLBACK (note_all_cb), &told);
  allava_history_delete_all_async (fixture->history, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  g_assert_false (allava_history_finish (fixture->history, result, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FILE);
  g_assert_true (told);
  assert_list (fixture->history, NULL, "");
}

static void
set_age (const char *path, guint64 seconds)
{
  g_autoptr (GFile) file = g_file_new_for_path (path);
  guint64 time = (guint64)(g_get_real_time () / G_USEC_PER_SEC) - seconds;
  g_assert_true (g_file_set_attribute_uint64 (file, G_FILE_ATTRIBUTE_TIME_MODIFIED, time,
                                              G_FILE_QUERY_INFO_NONE, NULL, NULL));
}

static void
make_old (const char *path)
{
  set_age (path, 7 * 24 * 60 * 60);
}

/* As that of a question of conversation ID. */
static void
save_image (AllavaHistory *history, gint64 id, AllavaImage *image)
{
  g_autoptr (GListStore) images = g_list_store_new (ALLAVA_TYPE_IMAGE);
  g_list_store_append (images, image);
  g_autoptr (AllavaMessage) message =
      allava_message_new (id + 1, ALLAVA_ROLE_USER, "q", G_LIST_MODEL (images));
  g_autoptr (GPtrArray) records =
      g_ptr_array_new_with_free_func ((GDestroyNotify)allava_message_record_free);
  g_ptr_array_add (records, allava_message_record_new (message, id));
  allava_history_save_async (history, NULL, records, NULL, NULL, NULL);
}

/* At the start: what no message uses goes, what one uses stays. */
static void
test_sweep (Fixture *fixture, gconstpointer data)
{
  AllavaImageStore *store = allava_history_get_images (fixture->history);
  g_autoptr (AllavaImage) used = testing_add_image (store, 1);
  g_autoptr (AllavaImage) unused = testing_add_image (store, 2);
  g_autoptr (AllavaImage) deleted = testing_add_image (store, 3);
  AllavaImage *kept[] = {used, deleted};
  for (int i = 0; i < 2; i++) {
    gint64 id = (i + 1) * 10;
    testing_history_add (fixture->history, id, "t", "q", NULL);
    save_image (fixture->history, id, kept[i]);
  }
  change (fixture->history, allava_history_delete_async, 20);
  make_old (allava_image_get_path (used));
  make_old (allava_image_get_path (unused));
  make_old (allava_image_get_path (deleted));
  make_old (allava_image_get_thumbnail_path (unused));
  reopen (fixture);
  assert_list (fixture->history, NULL, "10 "); /* after the sweep, being asked for later */
  g_assert_true (g_file_test (allava_image_get_path (used), G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (allava_image_get_thumbnail_path (used), G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (allava_image_get_path (unused), G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (allava_image_get_thumbnail_path (unused), G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (allava_image_get_path (deleted), G_FILE_TEST_EXISTS));
}

static gboolean
exists (AllavaImage *image)
{
  return g_file_test (allava_image_get_path (image), G_FILE_TEST_EXISTS);
}

/* What no history has known may be attached in another instance: it goes when it is old. What one
 * has dropped goes, though it is new. */
static void
test_sweep_unknown (Fixture *fixture, gconstpointer data)
{
  AllavaImageStore *store = allava_history_get_images (fixture->history);
  g_autoptr (AllavaImage) attached = testing_add_image (store, 1);
  g_autoptr (AllavaImage) dropped = testing_add_image (store, 2);
  testing_history_add (fixture->history, 10, "t", "q", NULL);
  save_image (fixture->history, 10, dropped);
  change (fixture->history, allava_history_delete_async, 10);
  set_age (allava_image_get_path (attached), 60 * 60);
  set_age (allava_image_get_path (dropped), 60 * 60);
  reopen (fixture);
  assert_list (fixture->history, NULL, "");
  g_assert_true (exists (attached));
  g_assert_false (exists (dropped));
}

/* The pictures of a history that is moved away stay, however often another one is opened in its
 * place, until everything is deleted. */
static void
test_moved_away (Fixture *fixture, gconstpointer data)
{
  g_autoptr (AllavaImage) image =
      testing_add_image (allava_history_get_images (fixture->history), 1);
  testing_history_add (fixture->history, 10, "t", "q", NULL);
  save_image (fixture->history, 10, image);
  make_old (allava_image_get_path (image));
  testing_history_close (fixture->history);
  g_autofree char *path = g_build_filename (fixture->folder, "history.sqlite", NULL);
  g_autofree char *away = g_strconcat (path, ".away", NULL);
  g_assert_cmpint (g_rename (path, away), ==, 0);
  fixture->history = testing_history_open (fixture->folder);
  for (int i = 0; i < 3; i++) {
    reopen (fixture);
    assert_list (fixture->history, NULL, "");
    g_assert_true (exists (image));
    g_assert_true (g_file_test (allava_image_get_thumbnail_path (image), G_FILE_TEST_EXISTS));
  }
  delete_all (fixture->history);
  g_assert_false (exists (image));
  g_autofree char *former = g_build_filename (fixture->folder, "former-images", NULL);
  g_assert_false (g_file_test (former, G_FILE_TEST_EXISTS));
}

/* ---- Errors ---------------------------------------------------------------------------------- */

static void
count_cb (AllavaHistory *history, GError *error, int *n)
{
  (*n)++;
}

static void
test_errors (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  allava_history_load_async (fixture->history, 12345, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) loaded = testing_wait_result (&slot);
  g_assert_null (allava_history_load_finish (fixture->history, loaded, &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_NOT_FOUND);

  /* A failure without a callback is told by the signal. */
  int failures = 0;
  g_signal_connect (fixture->history, "failed", G_CALLBACK (count_cb), &failures);
  AllavaMessageRecord *record = allava_message_record_new_empty ();
  record->id = 1;
  record->conversation_id = 12345;
  record->text = g_strdup ("");
  g_autoptr (GPtrArray) records =
      g_ptr_array_new_with_free_func ((GDestroyNotify)allava_message_record_free);
  g_ptr_array_add (records, record);
  allava_history_save_async (fixture->history, NULL, records, NULL, NULL, NULL);
  testing_wait_until (failures == 1);
}

/* What comes after closing is refused with a sentence; opening a broken file is too. */
static void
test_closed (void)
{
  char *folder = testing_folder_new ();
  g_autofree char *path = g_build_filename (folder, "history.sqlite", NULL);
  g_assert_true (g_file_set_contents (path, "not a database at all, no", -1, NULL));
  AllavaHistory *history = allava_history_new (folder);
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  allava_history_open_async (history, testing_result_cb, &slot);
  GAsyncResult *result = testing_wait_result (&slot);
  g_assert_false (allava_history_open_finish (history, result, &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_CORRUPT);
  g_assert_false (allava_history_get_open (history));
  g_object_unref (result);
  g_clear_error (&error);

  allava_history_rename_async (history, 1, "title", testing_result_cb, &slot);
  result = testing_wait_result (&slot);
  g_assert_false (allava_history_finish (history, result, &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_CLOSED);
  g_object_unref (result);
  testing_history_close (history);
  testing_folder_free (folder);
}

/* Everything can be deleted though the history cannot be opened, which it can be then. */
static void
test_delete_all_of_damaged (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = g_build_filename (fixture->folder, "history.sqlite", NULL);
  g_autoptr (AllavaImage) image =
      testing_add_image (allava_history_get_images (fixture->history), 3);
  testing_history_close (fixture->history);
  g_assert_true (g_file_set_contents (path, "not a database at all, no", -1, NULL));
  fixture->history = allava_history_new (fixture->folder);
  GAsyncResult *slot = NULL;
  allava_history_open_async (fixture->history, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) refused = testing_wait_result (&slot);
  g_assert_false (allava_history_open_finish (fixture->history, refused, NULL));

  delete_all (fixture->history);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_false (exists (image));
  allava_history_open_async (fixture->history, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) opened = testing_wait_result (&slot);
  g_assert_true (allava_history_open_finish (fixture->history, opened, NULL));
  assert_list (fixture->history, NULL, "");
}

/* Nobody waits for the answers, and nobody closes. */
static void
test_disposed_without_closing (void)
{
  char *folder = testing_folder_new ();
  AllavaHistory *history = testing_history_open (folder);
  testing_history_add (history, 10, "t", "q", NULL);
  testing_settle ();
  g_assert_finalize_object (history);
  history = testing_history_open (folder);
  assert_list (history, NULL, "10 ");
  testing_history_close (history);
  testing_folder_free (folder);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/history/round-trip", test_round_trip);
  ADD ("/history/partial-becomes-stopped", test_partial_becomes_stopped);
  ADD ("/history/search", test_search);
  ADD ("/history/rename", test_rename);
  ADD ("/history/delete-and-undo", test_delete_and_undo);
  ADD ("/history/delete-long", test_delete_long);
  ADD ("/history/delete-all", test_delete_all);
  ADD ("/history/delete-most", test_delete_most);
  ADD ("/history/sweep", test_sweep);
  ADD ("/history/sweep-unknown", test_sweep_unknown);
  ADD ("/history/moved-away", test_moved_away);
  ADD ("/history/delete-all-of-damaged", test_delete_all_of_damaged);
  ADD ("/history/errors", test_errors);
  g_test_add_func ("/history/ids", test_ids);
  g_test_add_func ("/history/closed", test_closed);
  g_test_add_func ("/history/disposed-without-closing", test_disposed_without_closing);
  return g_test_run ();
}
