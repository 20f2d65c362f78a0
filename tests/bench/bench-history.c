/* bench-history [FOLDER]: how long a history of 10,000 conversations with 100,000 messages takes to
 * open, list and search, and how much memory the list holds. FOLDER is filled if it is empty, and
 * kept; without one a temporary folder is used. */
#include "allava-conversation-list.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "app-testing.h"

#define N_CONVERSATIONS 10000
#define MESSAGES_EACH 10
#define WORDS_EACH 60
#define VOCABULARY 20000
#define PER_SAVE 100 /* conversations */

static double
now_ms (void)
{
  return (double)g_get_monotonic_time () / 1000;
}

static double
get_resident_mb (void)
{
  g_autofree char *content = NULL;
  long pages = 0;
  if (g_file_get_contents ("/proc/self/statm", &content, NULL, NULL))
    sscanf (content, "%*d %ld", &pages);
  return (double)pages * (double)sysconf (_SC_PAGESIZE) / (1 << 20);
}

/* ---- Making one ------------------------------------------------------------------------------ */

/* Words as frequent as in a language: the n-th 1 / n as often as the first (Zipf). */
static char *
make_text (GRand *random)
{
  GString *text = g_string_new (NULL);
  for (int i = 0; i < WORDS_EACH; i++) {
    int word = (int)pow (VOCABULARY, g_rand_double (random));
    g_string_append_printf (text, "%sw%dx", i > 0 ? " " : "", word);
  }
  return g_string_free (text, FALSE);
}

static AllavaMessageRecord *
make_message (gint64 conversation, int i, GRand *random)
{
  AllavaMessageRecord *record = allava_message_record_new_empty ();
  record->id = conversation + 1 + i;
  record->conversation_id = conversation;
  record->parent_id = i > 0 ? record->id - 1 : 0;
  record->role = i % 2 == 0 ? ALLAVA_ROLE_USER : ALLAVA_ROLE_ASSISTANT;
  record->state = ALLAVA_MESSAGE_COMPLETE;
  record->text = make_text (random);
  return record;
}

static void
fill (AllavaHistory *history)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (1);
  gint64 start = (g_get_real_time () - 300 * G_TIME_SPAN_DAY) * 1024;
  gint64 step = 300 * G_TIME_SPAN_DAY / N_CONVERSATIONS * 1024;
  for (int i = 0; i < N_CONVERSATIONS; i++) {
    gint64 id = start + i * step;
    g_autoptr (GPtrArray) messages =
        g_ptr_array_new_with_free_func ((GDestroyNotify)allava_message_record_free);
    for (int j = 0; j < MESSAGES_EACH; j++)
      g_ptr_array_add (messages, make_message (id, j, random));
    g_autofree char *title = g_strdup_printf ("Conversation %d", i);
    AllavaConversationRecord record = {
        .id = id, .title = title, .updated = id / 1024, .active_leaf = id + MESSAGES_EACH};
    GAsyncResult *slot = NULL;
    gboolean wait = i % PER_SAVE == PER_SAVE - 1;
    allava_history_save_async (history, &record, messages, NULL, wait ? testing_result_cb : NULL,
                               &slot);
    if (wait)
      g_object_unref (testing_wait_result (&slot));
  }
}

/* ---- Timing it ------------------------------------------------------------------------------- */

static guint
count (AllavaConversationList *list)
{
  return g_list_model_get_n_items (G_LIST_MODEL (list));
}

/* Until the first 50 lines, a window full, have their titles. */
static double
time_list (AllavaConversationList *list, double start)
{
  testing_wait_until (!allava_conversation_list_get_loading (list));
  guint n = MIN (count (list), 50);
  g_autoptr (GPtrArray) items = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; i < n; i++)
    g_ptr_array_add (items, g_list_model_get_item (G_LIST_MODEL (list), i));
  for (guint i = 0; i < n; i++)
    testing_wait_until (allava_conversation_item_get_loaded (items->pdata[i]));
  return now_ms () - start;
}

static AllavaHistory *
time_start (const char *name, const char *folder, AllavaConversationList **list)
{
  double memory = get_resident_mb (), start = now_ms ();
  AllavaHistory *history = testing_history_open (folder);
  double open = now_ms () - start;
  *list = allava_conversation_list_new (history);
  double listed = time_list (*list, start);
  printf ("%-28s open %7.1f ms, first 50 lines shown %7.1f ms, %u conversations, +%.1f MiB\n", name,
          open, listed, count (*list), get_resident_mb () - memory);
  return history;
}

static void
time_search (AllavaConversationList *list, const char *query)
{
  double best = G_MAXDOUBLE, worst = 0;
  guint n = 0;
  for (int i = 0; i < 5; i++) {
    allava_conversation_list_set_query (list, NULL);
    time_list (list, 0);
    double start = now_ms ();
    allava_conversation_list_set_query (list, query);
    double took = time_list (list, start);
    n = count (list);
    best = MIN (best, took);
    worst = MAX (worst, took);
  }
  printf ("search %-21s %7.1f to %.1f ms until 50 hits are shown, %u conversations\n", query, best,
          worst, n);
}

static void
close_all (AllavaHistory *history, AllavaConversationList *list)
{
  testing_settle ();
  time_list (list, 0);
  testing_settle ();
  g_object_unref (list);
  testing_history_close (history);
}

int
main (int argc, char **argv)
{
  AllavaConversationList *list;
  char *empty = testing_folder_new ();
  char *folder = argc > 1 ? g_strdup (argv[1]) : testing_folder_new ();
  AllavaHistory *history = time_start ("empty history", empty, &list);
  close_all (history, list);

  history = testing_history_open (folder);
  list = allava_conversation_list_new (history);
  time_list (list, 0);
  if (count (list) == 0) {
    double start = now_ms ();
    fill (history);
    printf ("%-28s %7.1f s\n", "written", (now_ms () - start) / 1000);
  }
  close_all (history, list);

  history = time_start ("full history", folder, &list);
  static const char *const queries[] = {"w1x", "w7x w9x",         "w12345x", "w1",
                                        "w19", "conversation 77", "nowhere"};
  for (gsize i = 0; i < G_N_ELEMENTS (queries); i++)
    time_search (list, queries[i]);
  close_all (history, list);
  testing_folder_free (empty);
  if (argc > 1)
    g_free (folder);
  else
    testing_folder_free (folder);
  return 0;
}
