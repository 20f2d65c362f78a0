/* app-testing.h - what the tests of app/ share. Waiting fails the test after a minute. */
#pragma once

#include "allava-library.h"

/* A folder of its own; the second function removes it with all that is in it. */
char *testing_folder_new (void);
void testing_folder_free (char *folder);

/* Runs the main loop until CONDITION holds. */
#define testing_wait_until(condition)                                                              \
  do {                                                                                             \
    gint64 testing_end = g_get_monotonic_time () + G_TIME_SPAN_MINUTE;                             \
    while (!(condition)) {                                                                         \
      g_assert_cmpint (g_get_monotonic_time (), <, testing_end);                                   \
      testing_iterate ();                                                                          \
    }                                                                                              \
  } while (0)

/* One round of the main loop; returns after 20 ms if nothing happens. */
void testing_iterate (void);

/* Until nothing has happened for a moment. */
void testing_settle (void);

/* A callback for _async functions, and what waits for it; the result is the caller's. */
void testing_result_cb (GObject *source, GAsyncResult *result, gpointer user_data);
GAsyncResult *testing_wait_result (GAsyncResult **result);

/* Opens and closes, with assertions. */
AllavaHistory *testing_history_open (const char *folder);

/* SQL on the file of a history, open or not. */
void testing_history_exec (const char *folder, const char *sql);
void testing_history_close (AllavaHistory *history);

/* A history of FOLDER with a conversation ID, whose messages are question, answer, ... */
void testing_history_add (AllavaHistory *history, gint64 id, const char *title, ...)
    G_GNUC_NULL_TERMINATED;
AllavaConversationContent *testing_history_load (AllavaHistory *history, gint64 id);

/* A PNG of WIDTH x HEIGHT whose pixels depend on SEED. */
GBytes *testing_make_png (int width, int height, int seed);
AllavaImage *testing_add_image (AllavaImageStore *store, int seed);

/* What the tests' generator does: see its .c. */
extern const AllavaGeneratorBackend testing_backend;
