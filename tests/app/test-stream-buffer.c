#include "allava-stream-buffer.h"

#define N_PIECES 5000

typedef struct {
  GString *text;
  int calls;
  GThread *thread;
} Seen;

static void
seen_cb (const char *text, gpointer user_data)
{
  Seen *seen = user_data;
  g_assert_true (seen->thread == g_thread_self ());
  g_string_append (seen->text, text);
  seen->calls++;
}

static gpointer
push_thread (gpointer buffer)
{
  for (int i = 0; i < N_PIECES; i++) {
    g_autofree char *piece = g_strdup_printf ("%d ", i);
    allava_stream_buffer_push (buffer, piece);
  }
  return NULL;
}

/* All text arrives, in order, on the main thread. */
static void
test_order (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GString) expected = g_string_new (NULL);
  for (int i = 0; i < N_PIECES; i++)
    g_string_append_printf (expected, "%d ", i);
  Seen seen = {text, 0, g_thread_self ()};
  AllavaStreamBuffer *buffer = allava_stream_buffer_new (seen_cb, &seen);
  GThread *thread = g_thread_new ("push", push_thread, buffer);
  while (text->len < expected->len)
    g_main_context_iteration (NULL, TRUE);
  g_thread_join (thread);
  g_assert_cmpstr (text->str, ==, expected->str);
  allava_stream_buffer_unref (buffer);
}

/* However much came meanwhile, the main loop is woken once. */
static void
test_one_idle (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  Seen seen = {text, 0, g_thread_self ()};
  AllavaStreamBuffer *buffer = allava_stream_buffer_new (seen_cb, &seen);
  g_thread_join (g_thread_new ("push", push_thread, buffer));
  int rounds = 0;
  while (g_main_context_iteration (NULL, FALSE))
    rounds++;
  g_assert_cmpint (rounds, ==, 1);
  g_assert_cmpint (seen.calls, ==, 1);
  allava_stream_buffer_unref (buffer);
}

/* Flushing delivers at once and only once; after closing nothing comes, and the idle that was on
 * its way outlives the owner's reference. */
static void
test_flush_and_close (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  Seen seen = {text, 0, g_thread_self ()};
  AllavaStreamBuffer *buffer = allava_stream_buffer_new (seen_cb, &seen);
  allava_stream_buffer_push (buffer, "a");
  allava_stream_buffer_flush (buffer);
  g_assert_cmpstr (text->str, ==, "a");
  allava_stream_buffer_push (buffer, "b");
  allava_stream_buffer_close (buffer);
  allava_stream_buffer_unref (buffer);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpstr (text->str, ==, "a");
  g_assert_cmpint (seen.calls, ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/stream-buffer/order", test_order);
  g_test_add_func ("/stream-buffer/one-idle", test_one_idle);
  g_test_add_func ("/stream-buffer/flush-and-close", test_flush_and_close);
  return g_test_run ();
}
