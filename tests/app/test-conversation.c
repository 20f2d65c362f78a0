#include "allava-database-migrations.h"
#include "allava-library.h"

#include <glib/gstdio.h>
#include <string.h>

#include "app-testing.h"

typedef struct {
  char *folder;
  AllavaSettings *settings;
  AllavaLibrary *library;
  AllavaConversation *conversation;
} Fixture;

static void
open_library (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  fixture->library = allava_library_new (fixture->folder, fixture->settings, &testing_backend);
  allava_library_open_async (fixture->library, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  allava_library_open_finish (fixture->library, result, &error);
  g_assert_no_error (error);
  allava_generator_load (allava_library_get_generator (fixture->library), "/models/good");
}

static void
close_library (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  allava_library_close_async (fixture->library, testing_result_cb, &slot);
  GAsyncResult *result = testing_wait_result (&slot);
  allava_library_close_finish (fixture->library, result, &error);
  g_assert_no_error (error);
  g_object_unref (result);
  testing_settle ();
  g_assert_finalize_object (fixture->library);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->folder = testing_folder_new ();
  fixture->settings = allava_settings_new ();
  open_library (fixture);
  fixture->conversation = allava_library_new_conversation (fixture->library);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  close_library (fixture);
  g_assert_finalize_object (fixture->conversation);
  g_assert_finalize_object (fixture->settings);
  testing_folder_free (fixture->folder);
}

/* As another run of the program would see it. */
static void
reopen (Fixture *fixture)
{
  gint64 id = allava_conversation_get_id (fixture->conversation);
  close_library (fixture);
  g_assert_finalize_object (fixture->conversation);
  open_library (fixture);
  fixture->conversation = allava_library_dup_conversation (fixture->library, id);
  testing_wait_until (!allava_conversation_get_loading (fixture->conversation));
}

/* The list as "text|text|...", with (i/n) after those that have siblings. */
static char *
show (AllavaConversation *conversation)
{
  GString *text = g_string_new (NULL);
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (conversation)); i++) {
    g_autoptr (AllavaMessage) message = g_list_model_get_item (G_LIST_MODEL (conversation), i);
    g_string_append_printf (text, "%s%s", i > 0 ? "|" : "", allava_message_get_text (message));
    if (allava_message_get_n_siblings (message) > 1)
      g_string_append_printf (text, "(%u/%u)", allava_message_get_sibling (message) + 1,
                              allava_message_get_n_siblings (message));
  }
  return g_string_free (text, FALSE);
}

#define assert_shows(expected)                                                                     \
  do {                                                                                             \
    g_autofree char *seen = show (fixture->conversation);                                          \
    g_assert_cmpstr (seen, ==, expected);                                                          \
  } while (0)

static AllavaMessage *
get (Fixture *fixture, guint position)
{
  g_autoptr (AllavaMessage) message =
      g_list_model_get_item (G_LIST_MODEL (fixture->conversation), position);
  g_assert_nonnull (message);
  return message; /* the conversation holds it */
}

static void
wait_idle (Fixture *fixture)
{
  testing_wait_until (!allava_conversation_get_busy (fixture->conversation));
}

static AllavaMessage *
ask (Fixture *fixture, const char *text)
{
  AllavaMessage *answer = allava_conversation_ask (fixture->conversation, text, NULL);
  g_assert_nonnull (answer);
  wait_idle (fixture);
  return answer;
}

/* ---- Talking --------------------------------------------------------------------------------- */

static void
test_ask (Fixture *fixture, gconstpointer data)
{
  g_autoptr (AllavaImage) image =
      testing_add_image (allava_library_get_images (fixture->library), 1);
  g_autoptr (GListStore) images = g_list_store_new (ALLAVA_TYPE_IMAGE);
  g_list_store_append (images, image);
  g_assert_cmpint (allava_conversation_get_id (fixture->conversation), ==, 0);
  g_assert_null (allava_conversation_ask (fixture->conversation, " \n", NULL));
  AllavaMessage *answer =
      allava_conversation_ask (fixture->conversation, "What?\nTell me.", G_LIST_MODEL (images));
  g_assert_true (allava_conversation_get_busy (fixture->conversation));
  g_assert_true (allava_conversation_get_answer (fixture->conversation) == answer);
  g_assert_null (allava_conversation_ask (fixture->conversation, "impatient", NULL));
  wait_idle (fixture);
  assert_shows ("What?\nTell me.|answer 1 to What?\nTell me.");
  g_assert_cmpstr (allava_conversation_get_title (fixture->conversation), ==, "What?");
  g_assert_cmpint (allava_conversation_get_positions_left (fixture->conversation), ==, 2038);
  ask (fixture, "More");
  assert_shows ("What?\nTell me.|answer 1 to What?\nTell me.|More|answer 3 to More");

  reopen (fixture);
  assert_shows ("What?\nTell me.|answer 1 to What?\nTell me.|More|answer 3 to More");
  g_assert_cmpstr (allava_conversation_get_title (fixture->conversation), ==, "What?");
  g_assert_cmpuint (g_list_model_get_n_items (allava_message_get_images (get (fixture, 0))), ==, 1);
  g_assert_cmpint (allava_message_get_state (get (fixture, 3)), ==, ALLAVA_MESSAGE_COMPLETE);
  g_assert_cmpint (allava_conversation_get_positions_left (fixture->conversation), ==, 2018);
}

static void
test_titles (Fixture *fixture, gconstpointer data)
{
  ask (fixture,
       "Please describe this picture in detail for somebody who cannot see it, and then tell me");
  g_assert_cmpstr (allava_conversation_get_title (fixture->conversation), ==,
                   "Please describe this picture in detail for somebody who cannot see it, and "
                   "then…");
  allava_conversation_set_title (fixture->conversation, "Mine");
  ask (fixture, "More");
  reopen (fixture);
  g_assert_cmpstr (allava_conversation_get_title (fixture->conversation), ==, "Mine");
}

static void
history_failed_cb (AllavaHistory *history, GError *error, int *n)
{
  (*n)++;
}

/* A title that could not be saved can be given again. */
static void
test_failed_rename (Fixture *fixture, gconstpointer data)
{
  int failures = 0;
  ask (fixture, "one");
  g_signal_connect (allava_library_get_history (fixture->library), "failed",
                    G_CALLBACK (history_failed_cb), &failures);
  testing_history_exec (fixture->folder, "CREATE TRIGGER keep BEFORE UPDATE OF title"
                                         "  ON conversation"
                                         "  BEGIN SELECT RAISE (ABORT, 'kept'); END");
  allava_conversation_set_title (fixture->conversation, "Mine");
  testing_wait_until (failures == 1);
  testing_history_exec (fixture->folder, "DROP TRIGGER keep");
  allava_conversation_set_title (fixture->conversation, "Mine");
  reopen (fixture);
  g_assert_cmpstr (allava_conversation_get_title (fixture->conversation), ==, "Mine");
}

/* Stopped within a token; the text stays; it can go on where it was. */
static void
test_stop_and_continue (Fixture *fixture, gconstpointer data)
{
  AllavaMessage *answer = allava_conversation_ask (fixture->conversation, "forever", NULL);
  testing_wait_until (*allava_message_get_text (answer) != '\0');
  g_assert_false (allava_conversation_can_continue (fixture->conversation, answer));
  allava_conversation_stop (fixture->conversation);
  wait_idle (fixture);
  g_assert_cmpint (allava_message_get_state (answer), ==, ALLAVA_MESSAGE_STOPPED);
  reopen (fixture);
  answer = get (fixture, 1);
  g_autofree char *before = g_strdup (allava_message_get_text (answer));
  g_assert_true (allava_conversation_can_continue (fixture->conversation, answer));
  g_assert_true (allava_conversation_continue (fixture->conversation, answer) == answer);
  wait_idle (fixture);
  g_autofree char *expected = g_strconcat (before, " and more", NULL);
  g_assert_cmpstr (allava_message_get_text (answer), ==, expected);
  g_assert_false (allava_conversation_can_continue (fixture->conversation, answer));
}

static void
test_failed_answer (Fixture *fixture, gconstpointer data)
{
  AllavaMessage *answer = ask (fixture, "fail");
  g_assert_cmpint (allava_message_get_state (answer), ==, ALLAVA_MESSAGE_FAILED);
  reopen (fixture);
  g_assert_cmpstr (allava_message_get_error (get (fixture, 1)), ==, "the weights are damaged");
}

/* While an answer streams, what has come is on the disk within half a second. */
static void
test_partial_text_is_saved (Fixture *fixture, gconstpointer data)
{
  AllavaMessage *answer = allava_conversation_ask (fixture->conversation, "forever", NULL);
  testing_wait_until (*allava_message_get_text (answer) != '\0');
  g_autofree char *said = g_strdup (allava_message_get_text (answer));
  gint64 end = g_get_monotonic_time () + 500 * G_TIME_SPAN_MILLISECOND;
  while (g_get_monotonic_time () < end)
    testing_iterate ();
  AllavaConversationContent *content =
      testing_history_load (allava_library_get_history (fixture->library),
                            allava_conversation_get_id (fixture->conversation));
  const AllavaMessageRecord *record = content->messages->pdata[1];
  g_assert_cmpint (record->state, ==, ALLAVA_MESSAGE_PARTIAL);
  g_assert_cmpuint (strlen (record->text), >=, strlen (said));
  allava_conversation_content_free (content);
}

static void
count_cb (AllavaConversation *conversation, GError *error, int *n)
{
  (*n)++;
}

/* From then on messages cannot be saved, until the trigger is dropped. */
#define BLOCK                                                                                      \
  "CREATE TRIGGER block BEFORE INSERT ON message BEGIN SELECT RAISE (ABORT, 'blocked'); END"

/* What could not be saved is told once for each question, stays on the screen, and is saved with
 * what comes next. */
static void
test_failed_save (Fixture *fixture, gconstpointer data)
{
  int failures = 0;
  ask (fixture, "one");
  g_signal_connect (fixture->conversation, "failed", G_CALLBACK (count_cb), &failures);
  testing_history_exec (fixture->folder, BLOCK);
  ask (fixture, "two");
  testing_wait_until (failures > 0);
  testing_settle ();
  g_assert_cmpint (failures, ==, 1);
  ask (fixture, "three");
  testing_wait_until (failures > 1);
  testing_settle ();
  g_assert_cmpint (failures, ==, 2);
  assert_shows ("one|answer 1 to one|two|answer 3 to two|three|answer 5 to three");
  testing_history_exec (fixture->folder, "DROP TRIGGER block");
  ask (fixture, "four");
  reopen (fixture);
  assert_shows ("one|answer 1 to one|two|answer 3 to two|three|answer 5 to three|four|answer 7 to "
                "four");
}

/* What could not be saved is kept though another conversation is opened, and saved with that. */
static void
test_failed_save_of_another (Fixture *fixture, gconstpointer data)
{
  testing_history_exec (fixture->folder, BLOCK);
  ask (fixture, "one");
  gint64 id = allava_conversation_get_id (fixture->conversation);
  g_object_unref (fixture->conversation);
  fixture->conversation = allava_library_new_conversation (fixture->library);
  testing_settle ();
  testing_history_exec (fixture->folder, "DROP TRIGGER block");
  ask (fixture, "two");
  GListModel *list = G_LIST_MODEL (allava_library_get_list (fixture->library));
  testing_wait_until (g_list_model_get_n_items (list) == 2);
  g_object_unref (fixture->conversation);
  fixture->conversation = allava_library_dup_conversation (fixture->library, id);
  reopen (fixture);
  assert_shows ("one|answer 1 to one");
}

/* Deleting everything deletes what could not be saved too. */
static void
test_failed_save_deleted (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *slot = NULL;
  AllavaHistory *history = allava_library_get_history (fixture->library);
  testing_history_exec (fixture->folder, BLOCK);
  ask (fixture, "one");
  g_object_unref (fixture->conversation);
  fixture->conversation = allava_library_new_conversation (fixture->library);
  testing_settle ();
  allava_history_delete_all_async (history, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  g_assert_true (allava_history_finish (history, result, NULL));
  testing_history_exec (fixture->folder, "DROP TRIGGER block");
  ask (fixture, "two");
  reopen (fixture);
  assert_shows ("two|answer 1 to two");
  GListModel *list = G_LIST_MODEL (allava_library_get_list (fixture->library));
  testing_wait_until (g_list_model_get_n_items (list) > 0);
  g_assert_cmpuint (g_list_model_get_n_items (list), ==, 1);
}

/* While another program holds the database, no row of saves builds up that all else has to wait
 * for. */
static void
test_saves_do_not_queue (Fixture *fixture, gconstpointer data)
{
  AllavaHistory *history = allava_library_get_history (fixture->library);
  testing_history_add (history, 10, "other", "question", NULL);
  testing_history_exec (fixture->folder, "CREATE TABLE written (id);"
                                         "CREATE TRIGGER note AFTER UPDATE ON message"
                                         "  BEGIN INSERT INTO written VALUES (new.id); END");
  g_autofree char *path = g_build_filename (fixture->folder, "history.sqlite", NULL);
  g_autoptr (AllavaDatabase) other = allava_database_open (path, NULL);
  g_assert_true (allava_database_exec (other, "BEGIN IMMEDIATE", NULL));
  allava_conversation_ask (fixture->conversation, "forever", NULL);
  gint64 end = g_get_monotonic_time () + 2 * G_USEC_PER_SEC;
  while (g_get_monotonic_time () < end)
    testing_iterate ();
  g_assert_true (allava_database_exec (other, "ROLLBACK", NULL));
  allava_conversation_content_free (testing_history_load (history, 10));
  gint64 n;
  g_assert_true (allava_database_get_int (other, "SELECT count (*) FROM written", &n, NULL));
  g_assert_cmpint (n, <, 5); /* of 13 that fell due */
}

/* Closing in the middle of an answer keeps its text, as stopped. */
static void
test_close_while_streaming (Fixture *fixture, gconstpointer data)
{
  AllavaMessage *answer = allava_conversation_ask (fixture->conversation, "forever", NULL);
  testing_wait_until (strlen (allava_message_get_text (answer)) > 20);
  g_autoptr (AllavaMessage) held = g_object_ref (answer);
  reopen (fixture);
  g_autofree char *expected = g_strconcat ("forever|", allava_message_get_text (held), NULL);
  assert_shows (expected);
  g_assert_cmpint (allava_message_get_state (get (fixture, 1)), ==, ALLAVA_MESSAGE_STOPPED);
}

/* The same object while it streams, though nobody else holds it. */
static void
test_streaming_is_kept (Fixture *fixture, gconstpointer data)
{
  allava_conversation_ask (fixture->conversation, "forever", NULL);
  gint64 id = allava_conversation_get_id (fixture->conversation);
  gpointer was = fixture->conversation;
  g_object_unref (fixture->conversation);
  fixture->conversation = allava_library_dup_conversation (fixture->library, id);
  g_assert_true (fixture->conversation == was);
  g_assert_true (allava_conversation_get_busy (fixture->conversation));
}

/* ---- Branches -------------------------------------------------------------------------------- */

static void
test_branches (Fixture *fixture, gconstpointer data)
{
  ask (fixture, "one");
  ask (fixture, "two");
  allava_conversation_regenerate (fixture->conversation, get (fixture, 1));
  wait_idle (fixture);
  assert_shows ("one|answer 1 to one(2/2)");
  ask (fixture, "three");
  assert_shows ("one|answer 1 to one(2/2)|three|answer 3 to three");
  allava_conversation_switch_sibling (fixture->conversation, get (fixture, 1), -1);
  assert_shows ("one|answer 1 to one(1/2)|two|answer 3 to two");
  allava_conversation_edit (fixture->conversation, get (fixture, 2), "TWO", NULL);
  wait_idle (fixture);
  assert_shows ("one|answer 1 to one(1/2)|TWO(2/2)|answer 3 to TWO");
  allava_conversation_switch_sibling (fixture->conversation, get (fixture, 2), -1);
  allava_conversation_switch_sibling (fixture->conversation, get (fixture, 2), -1); /* no more */
  assert_shows ("one|answer 1 to one(1/2)|two(1/2)|answer 3 to two");
  /* The way that was seen last below the other answer comes back. */
  allava_conversation_switch_sibling (fixture->conversation, get (fixture, 1), 1);
  assert_shows ("one|answer 1 to one(2/2)|three|answer 3 to three");

  reopen (fixture);
  assert_shows ("one|answer 1 to one(2/2)|three|answer 3 to three");
  allava_conversation_edit (fixture->conversation, get (fixture, 0), "ONE", NULL);
  wait_idle (fixture);
  assert_shows ("ONE(2/2)|answer 1 to ONE");
  allava_conversation_switch_sibling (fixture->conversation, get (fixture, 0), -1);
  assert_shows ("one(1/2)|answer 1 to one(2/2)|three|answer 3 to three");
}

static void
test_show_message (Fixture *fixture, gconstpointer data)
{
  ask (fixture, "one");
  gint64 id = allava_message_get_id (get (fixture, 0));
  allava_conversation_edit (fixture->conversation, get (fixture, 0), "ONE", NULL);
  wait_idle (fixture);
  gint64 other_id = allava_message_get_id (get (fixture, 1));
  allava_conversation_show_message (fixture->conversation, id);
  assert_shows ("one(1/2)|answer 1 to one");
  ask (fixture, "two");
  allava_conversation_show_message (fixture->conversation, id); /* it is shown already */
  assert_shows ("one(1/2)|answer 1 to one|two|answer 3 to two");
  allava_conversation_show_message (fixture->conversation, 17); /* there is none */
  assert_shows ("one(1/2)|answer 1 to one|two|answer 3 to two");

  gint64 conversation_id = allava_conversation_get_id (fixture->conversation);
  close_library (fixture);
  g_assert_finalize_object (fixture->conversation);
  open_library (fixture);
  fixture->conversation = allava_library_dup_conversation (fixture->library, conversation_id);
  allava_conversation_show_message (fixture->conversation, other_id); /* as soon as it is read */
  testing_wait_until (!allava_conversation_get_loading (fixture->conversation));
  assert_shows ("ONE(2/2)|answer 1 to ONE");
}

/* Where words are drawn by chance, an answer made again is another one. */
static void
test_seeds (Fixture *fixture, gconstpointer data)
{
  g_object_set (fixture->settings, "seed", G_GINT64_CONSTANT (7), NULL);
  ask (fixture, "which seed");
  assert_shows ("which seed|7");
  allava_conversation_regenerate (fixture->conversation, get (fixture, 1));
  wait_idle (fixture);
  assert_shows ("which seed|8(2/2)");
  ask (fixture, "which seed");
  assert_shows ("which seed|8(2/2)|which seed|7");
}

typedef struct {
  guint position, removed, added;
  int n;
} Change;

static void
changed_cb (GListModel *model, guint position, guint removed, guint added, Change *change)
{
  *change = (Change){position, removed, added, change->n + 1};
}

/* Rows that stay are not touched: a person's place among them is kept. */
static void
test_smallest_change (Fixture *fixture, gconstpointer data)
{
  Change change = {0};
  ask (fixture, "one");
  g_signal_connect (fixture->conversation, "items-changed", G_CALLBACK (changed_cb), &change);
  ask (fixture, "two");
  g_assert_cmpint (change.n, ==, 1);
  g_assert_cmpuint (change.position, ==, 2);
  g_assert_cmpuint (change.removed, ==, 0);
  g_assert_cmpuint (change.added, ==, 2);
  allava_conversation_regenerate (fixture->conversation, get (fixture, 3));
  g_assert_cmpuint (change.position, ==, 3);
  g_assert_cmpuint (change.removed, ==, 1);
  wait_idle (fixture);
  allava_conversation_delete (fixture->conversation, get (fixture, 0));
  g_assert_cmpuint (change.position, ==, 0);
  g_assert_cmpuint (change.removed, ==, 2);
  g_assert_cmpuint (change.added, ==, 0);
  g_signal_handlers_disconnect_by_data (fixture->conversation, &change);
}

/* ---- Deleting -------------------------------------------------------------------------------- */

static void
test_delete (Fixture *fixture, gconstpointer data)
{
  ask (fixture, "one");
  ask (fixture, "two");
  ask (fixture, "three");
  allava_conversation_delete (fixture->conversation, get (fixture, 2));
  assert_shows ("one|answer 1 to one|three|answer 5 to three");
  reopen (fixture);
  assert_shows ("one|answer 1 to one|three|answer 5 to three");
  allava_conversation_delete (fixture->conversation, get (fixture, 3));
  assert_shows ("one|answer 1 to one|three");
  allava_conversation_regenerate (fixture->conversation, get (fixture, 2));
  wait_idle (fixture);
  assert_shows ("one|answer 1 to one|three|answer 3 to three");
  /* A question without an answer is not asked again. */
  allava_conversation_delete (fixture->conversation, get (fixture, 1));
  assert_shows ("one|three|answer 3 to three");
  ask (fixture, "four");
  assert_shows ("one|three|answer 3 to three|four|answer 3 to four");
  for (int i = 0; i < 3; i++)
    allava_conversation_delete (fixture->conversation, get (fixture, 0));
  assert_shows ("");
  ask (fixture, "again");
  reopen (fixture);
  assert_shows ("again|answer 1 to again");
}

/* What followed a deleted answer is another version of what follows its question. */
static void
test_answer_again_after_deleting (Fixture *fixture, gconstpointer data)
{
  ask (fixture, "one");
  ask (fixture, "two");
  allava_conversation_delete (fixture->conversation, get (fixture, 1));
  assert_shows ("one|two|answer 3 to two");
  allava_conversation_regenerate (fixture->conversation, get (fixture, 0));
  wait_idle (fixture);
  assert_shows ("one|answer 1 to one(2/2)");
  reopen (fixture);
  allava_conversation_switch_sibling (fixture->conversation, get (fixture, 1), -1);
  assert_shows ("one|two(1/2)|answer 3 to two");
  allava_conversation_switch_sibling (fixture->conversation, get (fixture, 1), 1);
  assert_shows ("one|answer 1 to one(2/2)");
}

static void
test_delete_one_of_two_answers (Fixture *fixture, gconstpointer data)
{
  ask (fixture, "one");
  ask (fixture, "two");
  allava_conversation_regenerate (fixture->conversation, get (fixture, 1));
  wait_idle (fixture);
  allava_conversation_switch_sibling (fixture->conversation, get (fixture, 1), -1);
  assert_shows ("one|answer 1 to one(1/2)|two|answer 3 to two");
  allava_conversation_delete (fixture->conversation, get (fixture, 1));
  assert_shows ("one|two(1/2)|answer 3 to two");
  allava_conversation_switch_sibling (fixture->conversation, get (fixture, 1), 1);
  assert_shows ("one|answer 1 to one(2/2)");
}

/* What could not be deleted is deleted with the next change. */
static void
test_failed_delete (Fixture *fixture, gconstpointer data)
{
  ask (fixture, "one");
  ask (fixture, "two");
  testing_history_exec (fixture->folder, "CREATE TRIGGER keep BEFORE DELETE ON message"
                                         "  BEGIN SELECT RAISE (ABORT, 'kept'); END");
  allava_conversation_delete (fixture->conversation, get (fixture, 0));
  testing_settle ();
  g_assert_true (allava_conversation_get_unsaved (fixture->conversation));
  testing_history_exec (fixture->folder, "DROP TRIGGER keep");
  ask (fixture, "three");
  reopen (fixture);
  assert_shows ("two|answer 3 to two|three|answer 3 to three");
}

/* What is deleted while its save is on its way does not come back when that fails. */
static void
test_delete_of_unsaved (Fixture *fixture, gconstpointer data)
{
  testing_history_exec (fixture->folder, BLOCK);
  ask (fixture, "one");
  allava_conversation_delete (fixture->conversation, get (fixture, 0));
  testing_settle ();
  testing_history_exec (fixture->folder, "DROP TRIGGER block");
  ask (fixture, "two");
  reopen (fixture);
  assert_shows ("two|answer 1 to two");
}

static void
test_undo_delete (Fixture *fixture, gconstpointer data)
{
  ask (fixture, "one");
  ask (fixture, "two");
  ask (fixture, "three");
  g_autofree char *before = show (fixture->conversation);
  for (guint i = 0; i < 6; i++) {
    allava_conversation_delete (fixture->conversation, get (fixture, i));
    allava_conversation_undo_delete (fixture->conversation);
    assert_shows (before);
  }
  allava_conversation_undo_delete (fixture->conversation); /* nothing to undo */
  reopen (fixture);
  assert_shows (before);
}

/* ---- Rows that nobody wrote -------------------------------------------------------------------
 */

/* An answer that nothing was asked for cannot go on, nor be given again. */
static void
test_no_question (Fixture *fixture, gconstpointer data)
{
  ask (fixture, "one");
  ask (fixture, "two");
  testing_wait_until (!allava_conversation_get_unsaved (fixture->conversation));
  testing_history_exec (
      fixture->folder,
      "UPDATE message SET parent_id = (SELECT min (id) FROM message WHERE role = 1)"
      "  WHERE role = 1 AND id > (SELECT min (id) FROM message WHERE role = 1);"
      "UPDATE message SET parent_id = NULL WHERE id ="
      "  (SELECT min (id) FROM message WHERE role = 1);"
      "UPDATE message SET state = 2; DELETE FROM message WHERE role = 0");
  reopen (fixture);
  assert_shows ("answer 1 to one|answer 3 to two");
  g_assert_false (allava_conversation_can_continue (fixture->conversation, get (fixture, 1)));
  g_assert_null (allava_conversation_regenerate (fixture->conversation, get (fixture, 1)));
  g_assert_null (allava_conversation_regenerate (fixture->conversation, get (fixture, 0)));
  g_assert_false (allava_conversation_get_busy (fixture->conversation));
  ask (fixture, "three");
  assert_shows ("answer 1 to one|answer 3 to two|three|answer 1 to three");
}

/* Messages from a time that is still to come, as after a clock went back, are gone on with. */
static void
test_clock_went_back (Fixture *fixture, gconstpointer data)
{
  ask (fixture, "one");
  testing_wait_until (!allava_conversation_get_unsaved (fixture->conversation));
  gint64 later = (gint64)G_TIME_SPAN_DAY * 1024;
  g_autofree char *sql =
      g_strdup_printf ("PRAGMA foreign_keys = OFF;"
                       "UPDATE message SET id = id + %" G_GINT64_FORMAT
                       ", parent_id = parent_id + %" G_GINT64_FORMAT ";"
                       "UPDATE conversation SET active_leaf = active_leaf + %" G_GINT64_FORMAT,
                       later, later, later);
  testing_history_exec (fixture->folder, sql);
  reopen (fixture);
  assert_shows ("one|answer 1 to one");
  ask (fixture, "two");
  assert_shows ("one|answer 1 to one|two|answer 3 to two");
  reopen (fixture);
  assert_shows ("one|answer 1 to one|two|answer 3 to two");
}

/* ---- Without a history ----------------------------------------------------------------------- */

/* The library works where the history could not be opened, and says so once. */
static void
test_without_history (void)
{
  char *folder = testing_folder_new ();
  g_autofree char *path = g_build_filename (folder, "history.sqlite", NULL);
  g_assert_true (g_file_set_contents (path, "not a database at all, no", -1, NULL));
  AllavaSettings *settings = allava_settings_new ();
  AllavaLibrary *library = allava_library_new (folder, settings, &testing_backend);
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  allava_library_open_async (library, testing_result_cb, &slot);
  GAsyncResult *result = testing_wait_result (&slot);
  g_assert_false (allava_library_open_finish (library, result, &error));
  g_assert_error (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_CORRUPT);
  g_object_unref (result);

  allava_generator_load (allava_library_get_generator (library), "/models/good");
  AllavaConversation *conversation = allava_library_new_conversation (library);
  Fixture fixture = {folder, settings, library, conversation};
  int failures = 0;
  g_signal_connect (conversation, "failed", G_CALLBACK (count_cb), &failures);
  ask (&fixture, "hello");
  g_assert_cmpstr (allava_message_get_text (get (&fixture, 1)), ==, "answer 1 to hello");
  g_assert_cmpint (failures, ==, 0);

  /* Once it can be opened, what was said meanwhile is in it. */
  g_assert_cmpint (g_unlink (path), ==, 0);
  slot = NULL;
  allava_library_open_async (library, testing_result_cb, &slot);
  result = testing_wait_result (&slot);
  g_assert_true (allava_library_open_finish (library, result, NULL));
  g_object_unref (result);
  GListModel *list = G_LIST_MODEL (allava_library_get_list (library));
  testing_wait_until (g_list_model_get_n_items (list) == 1);
  reopen (&fixture);
  g_autofree char *kept = show (fixture.conversation);
  g_assert_cmpstr (kept, ==, "hello|answer 1 to hello");
  close_library (&fixture);
  g_assert_finalize_object (fixture.conversation);
  g_assert_finalize_object (settings);
  testing_folder_free (folder);
}

/* That the history is closed is not told, but hides nothing that is. */
static void
test_failure_after_closed (void)
{
  char *folder = testing_folder_new ();
  AllavaSettings *settings = allava_settings_new ();
  AllavaLibrary *library = allava_library_new (folder, settings, &testing_backend);
  allava_generator_load (allava_library_get_generator (library), "/models/good");
  AllavaConversation *conversation = allava_library_new_conversation (library);
  Fixture fixture = {folder, settings, library, conversation};
  int failures = 0;
  g_signal_connect (conversation, "failed", G_CALLBACK (count_cb), &failures);
  ask (&fixture, "hello");
  testing_settle ();
  g_assert_cmpint (failures, ==, 0);

  {
    g_autofree char *path = g_build_filename (folder, "history.sqlite", NULL);
    g_autoptr (AllavaDatabase) database = allava_database_open (path, NULL);
    g_assert_true (allava_database_migrate (database, allava_database_migrations,
                                            allava_database_count_migrations (), NULL));
  }
  testing_history_exec (fixture.folder, BLOCK);
  allava_library_open_async (library, NULL, NULL);
  testing_wait_until (failures == 1);
  close_library (&fixture);
  g_assert_finalize_object (conversation);
  g_assert_finalize_object (settings);
  testing_folder_free (folder);
}

/* What no model could read is not asked, but told of. */
static void
test_check_length (Fixture *fixture, gconstpointer data)
{
  g_autofree char *long_text = g_strnfill (100000, 'x');
  g_autofree char *huge_text = g_strnfill (4000000, 'x');
  g_autoptr (GError) error = NULL;
  g_assert_true (allava_conversation_check_length (fixture->conversation, long_text, &error));
  g_assert_no_error (error);
  g_assert_false (allava_conversation_check_length (fixture->conversation, huge_text, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
  g_clear_error (&error);

  ask (fixture, "The model is loaded now");
  wait_idle (fixture);
  g_assert_false (allava_conversation_check_length (fixture->conversation, long_text, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
  long_text[8000] = '\0';
  g_assert_true (allava_conversation_check_length (fixture->conversation, long_text, NULL));
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/conversation/ask", test_ask);
  ADD ("/conversation/titles", test_titles);
  ADD ("/conversation/failed-rename", test_failed_rename);
  ADD ("/conversation/stop-and-continue", test_stop_and_continue);
  ADD ("/conversation/failed-answer", test_failed_answer);
  ADD ("/conversation/partial-text-is-saved", test_partial_text_is_saved);
  ADD ("/conversation/failed-save", test_failed_save);
  ADD ("/conversation/failed-save-of-another", test_failed_save_of_another);
  ADD ("/conversation/failed-save-deleted", test_failed_save_deleted);
  ADD ("/conversation/saves-do-not-queue", test_saves_do_not_queue);
  ADD ("/conversation/close-while-streaming", test_close_while_streaming);
  ADD ("/conversation/streaming-is-kept", test_streaming_is_kept);
  ADD ("/conversation/branches", test_branches);
  ADD ("/conversation/show-message", test_show_message);
  ADD ("/conversation/seeds", test_seeds);
  ADD ("/conversation/smallest-change", test_smallest_change);
  ADD ("/conversation/delete", test_delete);
  ADD ("/conversation/answer-again-after-deleting", test_answer_again_after_deleting);
  ADD ("/conversation/delete-one-of-two-answers", test_delete_one_of_two_answers);
  ADD ("/conversation/failed-delete", test_failed_delete);
  ADD ("/conversation/delete-of-unsaved", test_delete_of_unsaved);
  ADD ("/conversation/undo-delete", test_undo_delete);
  ADD ("/conversation/no-question", test_no_question);
  ADD ("/conversation/clock-went-back", test_clock_went_back);
  ADD ("/conversation/check-length", test_check_length);
  g_test_add_func ("/conversation/without-history", test_without_history);
  g_test_add_func ("/conversation/failure-after-closed", test_failure_after_closed);
  return g_test_run ();
}
