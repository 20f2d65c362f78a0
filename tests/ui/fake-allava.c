/* fake-allava: the desktop application with a generator that needs no model. Its answer depends on
 * words in the question:
 *   "slowly"    a word every 30 ms, until it is stopped
 *   "markdown"  every kind of block
 *   "fail"      an error
 *   "forget"    an answer that no longer saw the two oldest turns
 *   "bench"     4,000 tokens at 500 a second; with ALLAVA_TEST_BEAT set, the longest time that the
 *               main loop was held up is printed whenever it grows, and the longest it worked: in
 *               milliseconds, from the action app.reset-beat on
 * otherwise "I see N images. You asked: ..." (N in this question).
 * A model whose folder's name holds "slow" loads until a file "go" is in it, one whose name holds
 * "broken" does not load.
 * With ALLAVA_TEST_START set to a monotonic time in microseconds, "usable MS" tells when, from then
 * on, the window was drawn with the first conversations and took keys. */
#include "allava-window.h"

#include <glib/gstdio.h>
#include <time.h>

static const char markdown[] =
    "# A heading\n\nSome *soft* and **strong** words, `code` and a [link](https://example.org).\n\n"
    "- first\n- second\n  1. inner\n\n> quoted\n\n```\nint x;\n```\n\n"
    "| Thing | Number |\n|---|---|\n| cats | 2 |\n| dogs | 3 |\n\nThe end.\n";

static gpointer
fake_load (const char *path,
           const AllavaModelOptions *options,
           AllavaBackendInfo *info,
           GError **error)
{
  if (strstr (path, "broken")) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s/config.json is broken.", path);
    return NULL;
  }
  g_autofree char *go = g_build_filename (path, "go", NULL);
  for (int i = 0; strstr (path, "slow") && !g_file_test (go, G_FILE_TEST_EXISTS); i++) {
    if (g_cancellable_set_error_if_cancelled (options->cancellable, error))
      return NULL;
    if (options->progress)
      options->progress (MIN (0.01 * i, 0.99), options->progress_data);
    g_usleep (10000);
  }
  info->name = g_strdup ("Fake");
  info->device = g_strdup ("cpu");
  info->dtype = g_strdup ("f32");
  info->device_note = g_strdup ("There is no graphics card");
  info->context_length = 2048;
  info->image_positions = 576;
  return g_strdup (path);
}

static gboolean
emit (const char *text, int delay_us, AllavaTextFunc func, gpointer data, AllavaGenerateResult *r)
{
  int32_t id = r->tokens->len;
  g_array_append_val (r->tokens, id);
  if (delay_us)
    g_usleep (delay_us);
  return func (text, data);
}

static char *
make_answer (AllavaPromptTurn *question)
{
  if (strstr (question->text, "markdown"))
    return g_strdup (markdown);
  if (strstr (question->text, "slowly") || strstr (question->text, "bench")) {
    GString *text = g_string_new (NULL);
    for (int i = 1; i <= 4000; i++)
      g_string_append_printf (text, i % 60 == 0 ? "end.\n\n" : "word%d ", i);
    return g_string_free (text, FALSE);
  }
  return g_strdup_printf ("I see %u images. You asked: %s", question->images->len, question->text);
}

static gboolean
fake_generate (gpointer loaded,
               GPtrArray *prompt,
               const AllavaGenerateOptions *options,
               AllavaTextFunc text_func,
               gpointer user_data,
               AllavaGenerateResult *result,
               GError **error)
{
  guint last = prompt->len - 1;
  AllavaPromptTurn *question = g_ptr_array_index (prompt, last);
  if (question->role == ALLAVA_ROLE_ASSISTANT)
    question = g_ptr_array_index (prompt, last - 1);
  if (strstr (question->text, "fail")) {
    g_set_error_literal (error, ALLAVA_ERROR, ALLAVA_ERROR_NOT_FINITE,
                         "The model's weights are damaged.");
    return FALSE;
  }
  int delay = strstr (question->text, "slowly")  ? 30000
              : strstr (question->text, "bench") ? 2000
                                                 : 0;
  g_autofree char *answer = make_answer (question);
  result->tokens = g_array_new (FALSE, FALSE, sizeof (int32_t));
  result->finish = ALLAVA_FINISH_EOS;
  result->prompt_positions = 20;
  result->positions_left = 1400;
  result->dropped_turns = strstr (question->text, "forget") ? 2 : 0;
  result->prefill_ms = 5;
  result->decode_ms = 10;
  for (char *at = answer; *at;) {
    gsize length = strcspn (at, " ");
    length += at[length] == ' ';
    g_autofree char *word = g_strndup (at, length);
    at += length;
    if (g_cancellable_is_cancelled (options->cancellable) ||
        !emit (word, delay, text_func, user_data, result)) {
      result->finish = ALLAVA_FINISH_CANCELLED;
      break;
    }
  }
  return TRUE;
}

static const AllavaGeneratorBackend fake = {
    .load = fake_load,
    .generate = fake_generate,
    .unload = g_free,
};

/* ---- How long the main loop is held up ------------------------------------------------------- */

static gint64 last_time, last_work, longest_time, longest_work;

/* What this thread has worked, in microseconds. */
static gint64
get_work (void)
{
  struct timespec now;
  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

static gboolean
beat_cb (gpointer user_data)
{
  gint64 time = g_get_monotonic_time (), work = get_work ();
  gboolean first = last_time == 0;
  gint64 passed = first ? 0 : time - last_time, worked = first ? 0 : work - last_work;
  if (passed > longest_time || worked > longest_work) {
    longest_time = MAX (longest_time, passed);
    longest_work = MAX (longest_work, worked);
    g_print ("%.1f %.1f\n", longest_time / 1000.0, longest_work / 1000.0);
  }
  last_time = time;
  last_work = work;
  return G_SOURCE_CONTINUE;
}

static void
reset_cb (GSimpleAction *action, GVariant *parameter, gpointer user_data)
{
  last_time = longest_time = longest_work = 0;
  g_print ("reset\n");
}

/* ---- When the window can be used ------------------------------------------------------------- */

static gboolean
is_usable (AllavaWindow *window)
{
  AllavaLibrary *library = allava_window_get_library (window);
  AllavaConversationList *list = allava_library_get_list (library);
  g_autoptr (AllavaConversationItem) first = g_list_model_get_item (G_LIST_MODEL (list), 0);
  return gtk_widget_get_mapped (GTK_WIDGET (window)) &&
         gtk_window_get_focus (GTK_WINDOW (window)) &&
         allava_history_get_open (allava_library_get_history (library)) &&
         !allava_conversation_list_get_loading (list) &&
         (!first || allava_conversation_item_get_loaded (first));
}

/* With a low priority: what has to be drawn is drawn before. */
static gboolean
usable_cb (gpointer application)
{
  GtkWindow *window = gtk_application_get_active_window (application);
  if (!window || !ALLAVA_IS_WINDOW (window) || !is_usable (ALLAVA_WINDOW (window)))
    return G_SOURCE_CONTINUE;
  gint64 start = g_ascii_strtoll (g_getenv ("ALLAVA_TEST_START"), NULL, 10);
  g_print ("usable %.1f\n", (g_get_monotonic_time () - start) / 1000.0);
  return G_SOURCE_REMOVE;
}

static void
mirror_cb (void)
{
  gtk_widget_set_default_direction (GTK_TEXT_DIR_RTL);
}

/* Text of twice the size, as a desktop's setting makes it. */
static void
enlarge_cb (void)
{
  g_object_set (gtk_settings_get_default (), "gtk-xft-dpi", 2 * 96 * PANGO_SCALE, NULL);
}

int
main (int argc, char **argv)
{
  setvbuf (stdout, NULL, _IOLBF, 0);
  g_set_prgname ("allava");
  g_autoptr (AllavaApplication) application = allava_application_new (&fake);
  if (g_getenv ("ALLAVA_TEST_BEAT")) {
    g_timeout_add_full (G_PRIORITY_HIGH, 2, beat_cb, NULL, NULL);
    g_autoptr (GSimpleAction) reset = g_simple_action_new ("reset-beat", NULL);
    g_signal_connect (reset, "activate", G_CALLBACK (reset_cb), NULL);
    g_action_map_add_action (G_ACTION_MAP (application), G_ACTION (reset));
  }
  if (g_getenv ("ALLAVA_TEST_START"))
    g_timeout_add_full (G_PRIORITY_LOW, 2, usable_cb, application, NULL);
  if (g_getenv ("ALLAVA_TEST_RTL"))
    g_signal_connect_after (application, "startup", G_CALLBACK (mirror_cb), NULL);
  if (g_getenv ("ALLAVA_TEST_LARGE_TEXT"))
    g_signal_connect_after (application, "startup", G_CALLBACK (enlarge_cb), NULL);
  return g_application_run (G_APPLICATION (application), argc, argv);
}
