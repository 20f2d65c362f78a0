#include "allava-conversation-list.h"

#include "app-testing.h"

typedef struct {
  char *folder;
  AllavaHistory *history;
  AllavaConversationList *list;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->folder = testing_folder_new ();
  fixture->history = testing_history_open (fixture->folder);
  fixture->list = allava_conversation_list_new (fixture->history);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  testing_settle ();
  g_assert_finalize_object (fixture->list);
  testing_history_close (fixture->history);
  testing_folder_free (fixture->folder);
}

static void
wait_loaded (Fixture *fixture)
{
  testing_settle ();
  testing_wait_until (!allava_conversation_list_get_loading (fixture->list));
}

static AllavaConversationItem *
get (Fixture *fixture, guint position)
{
  AllavaConversationItem *item = g_list_model_get_item (G_LIST_MODEL (fixture->list), position);
  g_assert_nonnull (item);
  testing_wait_until (allava_conversation_item_get_loaded (item));
  return item;
}

static void
assert_titles (Fixture *fixture, const char *expected)
{
  g_autoptr (GString) titles = g_string_new (NULL);
  for (guint i = 0; i < g_list_model_get_n_items (G_LIST_MODEL (fixture->list)); i++) {
    g_autoptr (AllavaConversationItem) item = get (fixture, i);
    g_string_append_printf (titles, "%s ", allava_conversation_item_get_title (item));
  }
  g_assert_cmpstr (titles->str, ==, expected);
}

static void
test_follows (Fixture *fixture, gconstpointer data)
{
  testing_history_add (fixture->history, 10, "A", "text", NULL);
  testing_history_add (fixture->history, 20, "B", "text", NULL);
  wait_loaded (fixture);
  assert_titles (fixture, "B A ");
  g_assert_cmpuint (allava_conversation_list_find (fixture->list, 10), ==, 1);
  g_assert_cmpuint (allava_conversation_list_find (fixture->list, 11), ==, G_MAXUINT);

  /* What is held stays the same object and learns its new title. */
  g_autoptr (AllavaConversationItem) held = get (fixture, 1);
  allava_history_rename_async (fixture->history, 10, "AA", NULL, NULL);
  testing_wait_until (g_str_equal (allava_conversation_item_get_title (held), "AA"));
  AllavaConversationRecord record = {.id = 10, .title = (char *)"", .updated = 30};
  allava_history_save_async (fixture->history, &record, NULL, NULL, NULL, NULL);
  wait_loaded (fixture);
  g_autoptr (AllavaConversationItem) first = get (fixture, 0);
  g_assert_true (first == held);
  g_assert_cmpint (allava_conversation_item_get_updated (first), ==, 30);

  allava_history_delete_async (fixture->history, 10, NULL, NULL);
  wait_loaded (fixture);
  assert_titles (fixture, "B ");
  allava_history_undelete_async (fixture->history, 10, NULL, NULL);
  wait_loaded (fixture);
  assert_titles (fixture, "AA B ");
  g_assert_null (g_list_model_get_item (G_LIST_MODEL (fixture->list), 2));
}

static void
changed_cb (GListModel *model, guint position, guint removed, guint added, guint *change)
{
  change[0] = position;
  change[1] = removed;
  change[2] = added;
}

/* A new conversation is one row more; the others are not touched. */
static void
test_smallest_change (Fixture *fixture, gconstpointer data)
{
  for (int i = 1; i <= 5; i++)
    testing_history_add (fixture->history, i * 10, "t", "text", NULL);
  wait_loaded (fixture);
  guint change[3] = {9, 9, 9};
  g_signal_connect (fixture->list, "items-changed", G_CALLBACK (changed_cb), change);
  testing_history_add (fixture->history, 60, "t", "text", NULL);
  wait_loaded (fixture);
  g_assert_cmpuint (change[0], ==, 0);
  g_assert_cmpuint (change[1], ==, 0);
  g_assert_cmpuint (change[2], ==, 1);
  allava_history_delete_async (fixture->history, 30, NULL, NULL);
  wait_loaded (fixture);
  g_assert_cmpuint (change[0], ==, 3);
  g_assert_cmpuint (change[1], ==, 1);
  g_assert_cmpuint (change[2], ==, 0);
  g_signal_handlers_disconnect_by_data (fixture->list, change);
}

static void
test_search (Fixture *fixture, gconstpointer data)
{
  testing_history_add (fixture->history, 10, "A", "a black cat", NULL);
  testing_history_add (fixture->history, 20, "B", "a dog", NULL);
  testing_history_add (fixture->history, 30, "C", "a white cat", NULL);
  allava_conversation_list_set_query (fixture->list, "do");
  allava_conversation_list_set_query (fixture->list, "cat");
  wait_loaded (fixture);
  assert_titles (fixture, "C A ");
  {
    g_autoptr (AllavaConversationItem) item = get (fixture, 0);
    g_assert_cmpstr (allava_conversation_item_get_snippet_markup (item), ==, "a white <b>cat</b>");
    g_assert_false (allava_conversation_item_get_starts_section (item));
    g_assert_cmpint (allava_conversation_list_get_hit (fixture->list, 30), ==, 31);
    g_assert_cmpint (allava_conversation_list_get_hit (fixture->list, 20), ==, 0);
    allava_conversation_list_set_query (fixture->list, "white");
    testing_wait_until (
        g_strcmp0 (allava_conversation_item_get_snippet_markup (item), "a <b>white</b> cat") == 0);
  }
  allava_conversation_list_set_query (fixture->list, NULL);
  wait_loaded (fixture);
  assert_titles (fixture, "C B A ");
  g_assert_cmpint (allava_conversation_list_get_hit (fixture->list, 30), ==, 0);
  g_autoptr (AllavaConversationItem) item = get (fixture, 0);
  g_assert_null (allava_conversation_item_get_snippet_markup (item));
}

static void
test_sections (Fixture *fixture, gconstpointer data)
{
  static const int days[] = {0, 0, 1, 3, 5, 20, 400, 500};
  static const AllavaSection sections[] = {
      ALLAVA_SECTION_TODAY, ALLAVA_SECTION_TODAY, ALLAVA_SECTION_YESTERDAY, ALLAVA_SECTION_WEEK,
      ALLAVA_SECTION_WEEK,  ALLAVA_SECTION_MONTH, ALLAVA_SECTION_OLDER,     ALLAVA_SECTION_OLDER};
  static const gboolean starts[] = {1, 0, 1, 1, 0, 1, 1, 0};
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  for (int i = 0; i < (int)G_N_ELEMENTS (days); i++) {
    g_autoptr (GDateTime) then = g_date_time_add_days (now, -days[i]);
    AllavaConversationRecord record = {
        .id = i + 1,
        .title = (char *)"t",
        .updated = g_date_time_to_unix (then) * G_USEC_PER_SEC + 1000 - i,
    };
    allava_history_save_async (fixture->history, &record, NULL, NULL, NULL, NULL);
  }
  wait_loaded (fixture);
  for (guint i = 0; i < G_N_ELEMENTS (days); i++) {
    g_autoptr (AllavaConversationItem) item = get (fixture, i);
    g_assert_cmpint (allava_conversation_item_get_id (item), ==, i + 1);
    g_assert_cmpint (allava_conversation_item_get_section (item), ==, sections[i]);
    g_assert_cmpint (allava_conversation_item_get_starts_section (item), ==, starts[i]);
  }
}

/* Moves to where it is HOUR o'clock now. */
static void
travel_to (int hour)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  int ahead = (hour - g_date_time_get_hour (now) + 36) % 24 - 12;
  g_autofree char *zone = g_strdup_printf ("%+03d:00", ahead);
  g_setenv ("TZ", zone, TRUE);
}

static void
test_midnight (Fixture *fixture, gconstpointer data)
{
  g_autofree char *zone = g_strdup (g_getenv ("TZ"));
  travel_to (12);
  AllavaConversationRecord record = {
      .id = 1, .title = (char *)"t", .updated = g_get_real_time () - 2 * G_TIME_SPAN_HOUR};
  allava_history_save_async (fixture->history, &record, NULL, NULL, NULL, NULL);
  wait_loaded (fixture);
  {
    g_autoptr (AllavaConversationItem) item = get (fixture, 0);
    g_assert_cmpint (allava_conversation_item_get_section (item), ==, ALLAVA_SECTION_TODAY);
    travel_to (0);
    allava_conversation_list_update_sections (fixture->list);
    g_assert_cmpint (allava_conversation_item_get_section (item), ==, ALLAVA_SECTION_YESTERDAY);
  }
  if (zone != NULL)
    g_setenv ("TZ", zone, TRUE);
  else
    g_unsetenv ("TZ");
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/conversation-list/follows", test_follows);
  ADD ("/conversation-list/smallest-change", test_smallest_change);
  ADD ("/conversation-list/search", test_search);
  ADD ("/conversation-list/sections", test_sections);
  ADD ("/conversation-list/midnight", test_midnight);
  return g_test_run ();
}
