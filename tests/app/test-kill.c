/* The program is killed at random moments, again and again, while it takes in pictures and answers
 * stream. Each time the history must be whole, and at most half a second of it lost.
 *
 * This binary is its own victim: run with --victim FOLDER it works until it is killed, and writes
 * down in FOLDER/log what it did when. */
#include "allava-database-conversations.h"
#include "allava-library.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app-testing.h"

#define N_ROUNDS 50
#define N_VICTIMS 4 /* at a time: most of their time is waiting */
#define MAX_LIFE_MS 1000
#define MAX_LOSS_US (500 * G_TIME_SPAN_MILLISECOND)

/* Where other programs keep disk and processors busy, a write may be late: so often at most. */
#define MAX_LATE (N_ROUNDS * N_VICTIMS / 50)

/* ---- The victim ------------------------------------------------------------------------------ */

typedef struct {
  gint64 time;
  gint64 message;
  gint64 length; /* of its text */
} LogEntry;

static void
write_log (int fd, AllavaMessage *message)
{
  LogEntry entry = {g_get_monotonic_time (), allava_message_get_id (message),
                    (gint64)strlen (allava_message_get_text (message))};
  g_assert_cmpint (write (fd, &entry, sizeof entry), ==, sizeof entry);
}

static gpointer
victim_load (const char *path,
             const AllavaModelOptions *options,
             AllavaBackendInfo *info,
             GError **error)
{
  info->name = g_strdup ("endless");
  return g_strdup (path);
}

/* "word0 word1 word2 ..." */
static void
append_word (GString *text, int i)
{
  g_string_append_printf (text, "word%d ", i);
}

static gboolean
victim_generate (gpointer loaded,
                 GPtrArray *prompt,
                 const AllavaGenerateOptions *options,
                 AllavaTextFunc func,
                 gpointer data,
                 AllavaGenerateResult *result,
                 GError **error)
{
  int n = g_random_int_range (1, 800);
  for (int i = 0; i < n; i++) {
    g_autoptr (GString) word = g_string_new (NULL);
    append_word (word, i);
    func (word->str, data);
    g_usleep (1000);
  }
  return TRUE;
}

static const AllavaGeneratorBackend victim_backend = {victim_load, victim_generate, g_free};

static void
appended_cb (AllavaMessage *answer, const char *piece, gpointer fd)
{
  write_log (GPOINTER_TO_INT (fd), answer);
}

static void
ask (AllavaLibrary *library, AllavaConversation *conversation, int fd)
{
  g_autoptr (GListStore) images = g_list_store_new (ALLAVA_TYPE_IMAGE);
  g_autoptr (AllavaImage) image =
      testing_add_image (allava_library_get_images (library), g_random_int_range (0, 1000));
  g_list_store_append (images, image);
  AllavaMessage *answer =
      allava_conversation_ask (conversation, "What is this?", G_LIST_MODEL (images));
  guint n = g_list_model_get_n_items (G_LIST_MODEL (conversation));
  g_autoptr (AllavaMessage) question = g_list_model_get_item (G_LIST_MODEL (conversation), n - 2);
  write_log (fd, question);
  g_signal_connect (answer, "appended", G_CALLBACK (appended_cb), GINT_TO_POINTER (fd));
  while (allava_conversation_get_busy (conversation))
    testing_iterate ();
}

static void
be_victim (const char *folder)
{
  g_autofree char *log = g_build_filename (folder, "log", NULL);
  int fd = open (log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  g_assert_cmpint (fd, >=, 0);
  g_autoptr (AllavaSettings) settings = allava_settings_new ();
  g_autoptr (AllavaLibrary) library = allava_library_new (folder, settings, &victim_backend);
  GAsyncResult *slot = NULL;
  allava_library_open_async (library, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  g_assert_true (allava_library_open_finish (library, result, NULL));
  allava_generator_load (allava_library_get_generator (library), "/endless");
  for (;;) {
    g_autoptr (AllavaConversation) conversation = allava_library_new_conversation (library);
    for (int i = 0; i < 3; i++)
      ask (library, conversation, fd);
  }
}

/* ---- What is left of it ---------------------------------------------------------------------- */

static gint64
get_int (AllavaDatabase *database, const char *sql)
{
  g_autoptr (GError) error = NULL;
  gint64 value = -1;
  allava_database_get_int (database, sql, &value, &error);
  g_assert_no_error (error);
  return value;
}

static void
check_integrity (AllavaDatabase *database)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaStatement) check =
      allava_database_prepare (database, "PRAGMA integrity_check", &error);
  g_assert_no_error (error);
  g_assert_cmpint (sqlite3_step (check), ==, SQLITE_ROW);
  g_assert_cmpstr ((const char *)sqlite3_column_text (check, 0), ==, "ok");
  g_assert_cmpint (get_int (database, "SELECT count (*) FROM pragma_foreign_key_check"), ==, 0);
  g_assert_cmpint (get_int (database, "SELECT count (*) FROM message WHERE state = 0"), ==, 0);
  /* The index of words is exactly that of the messages. */
  allava_database_exec (database,
                        "INSERT INTO message_search (message_search, rank)"
                        "  VALUES ('integrity-check', 1)",
                        &error);
  g_assert_no_error (error);
}

static void
check_images (AllavaDatabase *database, const char *folder)
{
  g_autoptr (GHashTable) images = allava_database_get_images (database, NULL);
  GHashTableIter iter;
  gpointer sha256;
  g_hash_table_iter_init (&iter, images);
  while (g_hash_table_iter_next (&iter, &sha256, NULL)) {
    g_autofree char *path = g_build_filename (folder, "images", sha256, NULL);
    g_autofree char *content = NULL;
    gsize length;
    g_assert_true (g_file_get_contents (path, &content, &length, NULL));
    g_autofree char *actual =
        g_compute_checksum_for_data (G_CHECKSUM_SHA256, (guchar *)content, length);
    g_assert_cmpstr (actual, ==, sha256);
  }
}

/* What the database has of a message, or NULL. */
static char *
dup_text (AllavaDatabase *database, gint64 id)
{
  g_autoptr (AllavaStatement) statement =
      allava_database_prepare (database,
                               "SELECT text FROM message WHERE id = ?1 AND (role = 1 OR EXISTS"
                               "  (SELECT 1 FROM message_image WHERE message_id = ?1))",
                               NULL);
  sqlite3_bind_int64 (statement, 1, id);
  return sqlite3_step (statement) == SQLITE_ROW ? allava_statement_dup_text (statement, 0) : NULL;
}

/* Never anything that was not said; and TRUE if what was said half a second before the end is
 * there.
 */
static gboolean
check_texts (AllavaDatabase *database, const GArray *entries, gint64 killed, const char *all_words)
{
  gboolean whole = TRUE;
  for (guint i = 0; i < entries->len; i++) {
    const LogEntry *entry = &g_array_index (entries, LogEntry, i);
    g_autofree char *text = dup_text (database, entry->message);
    g_assert_true (text == NULL || g_str_equal (text, "What is this?") ||
                   g_str_has_prefix (all_words, text));
    if (entry->time <= killed - MAX_LOSS_US)
      whole &= text != NULL && strlen (text) >= (gsize)entry->length;
  }
  return whole;
}

static GArray *
read_log (const char *folder)
{
  GArray *entries = g_array_new (FALSE, FALSE, sizeof (LogEntry));
  g_autofree char *log = g_build_filename (folder, "log", NULL);
  g_autofree char *content = NULL;
  gsize length;
  if (g_file_get_contents (log, &content, &length, NULL)) /* or it did not get that far */
    g_array_append_vals (entries, content, (guint)(length / sizeof (LogEntry)));
  return entries;
}

/* FALSE where it lost more than half a second. */
static gboolean
check (const char *folder, gint64 killed, const char *all_words)
{
  AllavaHistory *history = testing_history_open (folder); /* as the next start does */
  testing_history_close (history);
  g_autofree char *path = g_build_filename (folder, "history.sqlite", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (AllavaDatabase) database = allava_database_open (path, &error);
  g_assert_no_error (error);
  check_integrity (database);
  check_images (database, folder);
  g_autoptr (GArray) entries = read_log (folder);
  return check_texts (database, entries, killed, all_words);
}

/* ---- The killer ------------------------------------------------------------------------------ */

typedef struct {
  char *folder;
  pid_t pid;
  gint64 end; /* when it is killed */
} Victim;

static void
start (Victim *victim)
{
  g_autofree char *log = g_build_filename (victim->folder, "log", NULL);
  g_unlink (log); /* it may be killed before it writes one */
  victim->end =
      g_get_monotonic_time () + g_random_int_range (5, MAX_LIFE_MS) * G_TIME_SPAN_MILLISECOND;
  victim->pid = fork ();
  g_assert_cmpint (victim->pid, >=, 0);
  if (victim->pid == 0) {
    prctl (PR_SET_PDEATHSIG, SIGKILL); /* a failing test leaves none behind */
    execl ("/proc/self/exe", "test-kill", "--victim", victim->folder, NULL);
    _exit (127);
  }
}

static void
end (Victim *victim)
{
  gint64 left = victim->end - g_get_monotonic_time ();
  if (left > 0)
    g_usleep ((gulong)left);
  victim->end = g_get_monotonic_time ();
  g_assert_cmpint (kill (victim->pid, SIGKILL), ==, 0);
  int status;
  g_assert_cmpint (waitpid (victim->pid, &status, 0), ==, victim->pid);
  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
}

static int
compare_ends (gconstpointer a, gconstpointer b)
{
  const Victim *left = a, *right = b;
  return left->end < right->end ? -1 : left->end > right->end;
}

static void
test_kill (void)
{
  g_autoptr (GString) all_words = g_string_new (NULL);
  for (int i = 0; i < 1000; i++)
    append_word (all_words, i);
  Victim victims[N_VICTIMS] = {0};
  int n_late = 0;
  for (int i = 0; i < N_VICTIMS; i++)
    victims[i].folder = testing_folder_new ();
  for (int round = 0; round < N_ROUNDS; round++) {
    for (int i = 0; i < N_VICTIMS; i++)
      start (&victims[i]);
    qsort (victims, N_VICTIMS, sizeof *victims, compare_ends);
    for (int i = 0; i < N_VICTIMS; i++)
      end (&victims[i]);
    for (int i = 0; i < N_VICTIMS; i++)
      if (!check (victims[i].folder, victims[i].end, all_words->str))
        n_late++;
  }
  g_assert_cmpint (n_late, <=, MAX_LATE);
  for (int i = 0; i < N_VICTIMS; i++) {
    g_autofree char *path = g_build_filename (victims[i].folder, "history.sqlite", NULL);
    g_autoptr (AllavaDatabase) database = allava_database_open (path, NULL);
    g_test_message ("%s: %d messages, %d stopped, %d images", victims[i].folder,
                    (int)get_int (database, "SELECT count (*) FROM message"),
                    (int)get_int (database, "SELECT count (*) FROM message WHERE state = 2"),
                    (int)get_int (database, "SELECT count (*) FROM image"));
    g_assert_cmpint (get_int (database, "SELECT count (*) FROM message WHERE state = 2"), >, 5);
    g_clear_pointer (&database, allava_database_close);
    testing_folder_free (victims[i].folder);
  }
}

int
main (int argc, char **argv)
{
  if (argc == 3 && g_str_equal (argv[1], "--victim")) {
    be_victim (argv[2]);
    return 0;
  }
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kill/200-times", test_kill);
  return g_test_run ();
}
