#include "allava-generator-private.h"

#include <glib/gstdio.h>
#include <sys/resource.h>

#include "app-testing.h"

typedef struct {
  AllavaSettings *settings;
  AllavaGenerator *generator;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer backend)
{
  fixture->settings = allava_settings_new ();
  fixture->generator = allava_generator_new (fixture->settings, backend);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  allava_generator_shut (fixture->generator);
  testing_settle ();
  g_assert_finalize_object (fixture->generator);
  g_assert_finalize_object (fixture->settings);
}

static GPtrArray *
make_prompt (const char *text, AllavaImage *image)
{
  g_autoptr (GListStore) messages = g_list_store_new (ALLAVA_TYPE_MESSAGE);
  g_autoptr (GListStore) images = g_list_store_new (ALLAVA_TYPE_IMAGE);
  if (image != NULL)
    g_list_store_append (images, image);
  g_autoptr (AllavaMessage) question =
      allava_message_new (1, ALLAVA_ROLE_USER, text, G_LIST_MODEL (images));
  g_list_store_append (messages, question);
  return allava_prompt_new (G_LIST_MODEL (messages));
}

static AllavaMessage *
ask (Fixture *fixture, const char *text, GCancellable *cancellable, GAsyncResult **slot)
{
  g_autoptr (GPtrArray) prompt = make_prompt (text, NULL);
  AllavaMessage *answer = allava_message_new (2, ALLAVA_ROLE_ASSISTANT, "", NULL);
  allava_generator_answer_async (fixture->generator, prompt, answer, cancellable, testing_result_cb,
                                 slot);
  return answer;
}

static void
wait_answer (Fixture *fixture, GAsyncResult **slot)
{
  g_autoptr (GAsyncResult) result = testing_wait_result (slot);
  allava_generator_answer_finish (fixture->generator, result);
}

static void
assert_message (AllavaMessage *message, AllavaMessageState state, const char *text)
{
  g_assert_cmpint (allava_message_get_state (message), ==, state);
  g_assert_cmpstr (allava_message_get_text (message), ==, text);
}

/* ---- Answering ------------------------------------------------------------------------------- */

static void
test_answer (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *slot = NULL;
  g_assert_cmpint (allava_generator_get_state (fixture->generator), ==, ALLAVA_GENERATOR_NO_MODEL);
  allava_generator_load (fixture->generator, "/models/slow");
  g_assert_cmpint (allava_generator_get_state (fixture->generator), ==, ALLAVA_GENERATOR_LOADING);
  g_assert_cmpstr (allava_generator_get_model_name (fixture->generator), ==, "slow");

  /* Asked while it loads. */
  g_autoptr (AllavaMessage) answer = ask (fixture, "hello", NULL, &slot);
  g_assert_cmpint (allava_message_get_state (answer), ==, ALLAVA_MESSAGE_PARTIAL);
  testing_wait_until (allava_generator_get_progress (fixture->generator) > 0);
  wait_answer (fixture, &slot);
  assert_message (answer, ALLAVA_MESSAGE_COMPLETE, "answer 1 to hello");
  const AllavaMessageDetails *details = allava_message_get_details (answer);
  g_assert_cmpstr (details->model, ==, "slow");
  g_assert_cmpstr (details->finish, ==, "eos");
  g_assert_cmpint (details->n_tokens, ==, 4);
  g_assert_cmpint (details->positions_left, ==, 2038);
  g_assert_cmpfloat (details->first_token_ms, >, 0);
  g_assert_cmpint (allava_generator_get_state (fixture->generator), ==, ALLAVA_GENERATOR_READY);
  g_assert_true (allava_generator_get_loaded (fixture->generator));
  g_assert_cmpint (allava_generator_get_context_length (fixture->generator), ==, 2048);
}

/* Without a model a question waits until there is one. */
static void
test_waits_for_model (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *slot = NULL;
  g_autoptr (AllavaMessage) answer = ask (fixture, "hello", NULL, &slot);
  testing_settle ();
  assert_message (answer, ALLAVA_MESSAGE_PARTIAL, "");
  allava_generator_load (fixture->generator, "/models/good");
  wait_answer (fixture, &slot);
  assert_message (answer, ALLAVA_MESSAGE_COMPLETE, "answer 1 to hello");
}

static void
test_queue (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *slots[5] = {NULL};
  AllavaMessage *answers[5];
  allava_generator_load (fixture->generator, "/models/good");
  for (int i = 0; i < 5; i++) {
    g_autofree char *text = g_strdup_printf ("question %d", i);
    answers[i] = ask (fixture, text, NULL, &slots[i]);
  }
  for (int i = 0; i < 5; i++) {
    wait_answer (fixture, &slots[i]);
    g_autofree char *expected = g_strdup_printf ("answer 1 to question %d", i);
    assert_message (answers[i], ALLAVA_MESSAGE_COMPLETE, expected);
    g_object_unref (answers[i]);
  }
}

static void
test_cancel (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *running_slot = NULL, *waiting_slot = NULL;
  g_autoptr (GCancellable) running = g_cancellable_new ();
  g_autoptr (GCancellable) waiting = g_cancellable_new ();
  allava_generator_load (fixture->generator, "/models/good");
  g_autoptr (AllavaMessage) answer = ask (fixture, "forever", running, &running_slot);
  g_autoptr (AllavaMessage) second = ask (fixture, "hello", waiting, &waiting_slot);
  testing_wait_until (*allava_message_get_text (answer) != '\0');
  g_assert_true (allava_generator_get_answer (fixture->generator) == answer);

  /* What waits stops at once, though another is at work. */
  g_cancellable_cancel (waiting);
  wait_answer (fixture, &waiting_slot);
  assert_message (second, ALLAVA_MESSAGE_STOPPED, "");
  g_assert_cmpint (allava_generator_get_state (fixture->generator), ==, ALLAVA_GENERATOR_ANSWERING);

  g_cancellable_cancel (running);
  wait_answer (fixture, &running_slot);
  g_assert_cmpint (allava_message_get_state (answer), ==, ALLAVA_MESSAGE_STOPPED);
  g_assert_null (allava_message_get_error (answer));
  g_assert_true (g_str_has_prefix (allava_message_get_text (answer), "on "));
  g_assert_cmpstr (allava_message_get_details (answer)->finish, ==, "cancelled");
}

static void
test_failing_answer (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *slot = NULL;
  allava_generator_load (fixture->generator, "/models/good");
  g_autoptr (AllavaMessage) answer = ask (fixture, "fail", NULL, &slot);
  wait_answer (fixture, &slot);
  assert_message (answer, ALLAVA_MESSAGE_FAILED, "half");
  g_assert_cmpstr (allava_message_get_error (answer), ==, "the weights are damaged");
  /* It goes on with the next. */
  g_autoptr (AllavaMessage) next = ask (fixture, "hello", NULL, &slot);
  wait_answer (fixture, &slot);
  assert_message (next, ALLAVA_MESSAGE_COMPLETE, "answer 1 to hello");
}

/* ---- Models ---------------------------------------------------------------------------------- */

static void
test_broken_model (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *slot = NULL;
  allava_generator_load (fixture->generator, "/models/broken");
  g_autoptr (AllavaMessage) answer = ask (fixture, "hello", NULL, &slot);
  wait_answer (fixture, &slot);
  assert_message (answer, ALLAVA_MESSAGE_FAILED, "");
  g_assert_cmpstr (allava_message_get_error (answer), ==, "/models/broken is broken");
  g_assert_cmpstr (allava_generator_get_error (fixture->generator), ==, "/models/broken is broken");
  g_assert_cmpint (allava_generator_get_state (fixture->generator), ==, ALLAVA_GENERATOR_NO_MODEL);

  allava_generator_load (fixture->generator, "/models/good");
  testing_wait_until (allava_generator_get_loaded (fixture->generator));
  g_assert_null (allava_generator_get_error (fixture->generator));
}

/* A switch finishes the answer at work, cancels a load, and what waits gets the new model. */
static void
test_switch (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *slot = NULL;
  allava_generator_load (fixture->generator, "/models/slow");
  g_autoptr (AllavaMessage) answer = ask (fixture, "hello", NULL, &slot);
  allava_generator_load (fixture->generator, "/models/broken");
  allava_generator_load (fixture->generator, "/models/good");
  wait_answer (fixture, &slot);
  assert_message (answer, ALLAVA_MESSAGE_COMPLETE, "answer 1 to hello");
  g_assert_cmpstr (allava_message_get_details (answer)->model, ==, "good");

  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (AllavaMessage) second = ask (fixture, "forever", cancellable, &slot);
  testing_wait_until (*allava_message_get_text (second) != '\0');
  allava_generator_load (fixture->generator, "/models/better");
  g_assert_cmpint (allava_generator_get_state (fixture->generator), ==, ALLAVA_GENERATOR_ANSWERING);
  g_cancellable_cancel (cancellable);
  wait_answer (fixture, &slot);
  testing_wait_until (allava_generator_get_state (fixture->generator) == ALLAVA_GENERATOR_READY);
  g_assert_cmpstr (allava_generator_get_model_name (fixture->generator), ==, "better");

  allava_generator_load (fixture->generator, NULL);
  testing_wait_until (!allava_generator_get_loaded (fixture->generator));
  g_assert_cmpint (allava_generator_get_state (fixture->generator), ==, ALLAVA_GENERATOR_NO_MODEL);
  g_assert_null (allava_generator_get_model_path (fixture->generator));
}

/* What is wrong with a model that has been given up is not said of the next. */
static void
test_late_error (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *slot = NULL;
  allava_generator_load (fixture->generator, "/models/late");
  g_autoptr (AllavaMessage) answer = ask (fixture, "hello", NULL, &slot);
  testing_settle ();
  allava_generator_load (fixture->generator, "/models/good");
  wait_answer (fixture, &slot);
  assert_message (answer, ALLAVA_MESSAGE_COMPLETE, "answer 1 to hello");
  g_assert_null (allava_generator_get_error (fixture->generator));
}

/* Another device is another load of the same model. */
static void
test_device (Fixture *fixture, gconstpointer data)
{
  allava_generator_load (fixture->generator, "/models/good");
  testing_wait_until (allava_generator_get_loaded (fixture->generator));
  g_assert_cmpstr (allava_generator_get_device (fixture->generator), ==, "auto");
  g_object_set (fixture->settings, "device", "cpu", NULL);
  testing_wait_until (g_str_equal (allava_generator_get_device (fixture->generator), "cpu"));
}

/* After a GPU has failed the processor answers, and says so, until a model is chosen again. */
static void
lose_gpu (Fixture *fixture, const char *question, const char *says)
{
  GAsyncResult *slot = NULL;
  allava_generator_load (fixture->generator, "/models/good");
  g_autoptr (AllavaMessage) answer = ask (fixture, question, NULL, &slot);
  wait_answer (fixture, &slot);
  g_assert_cmpstr (allava_message_get_error (answer), ==, says);
  testing_wait_until (g_str_equal (allava_generator_get_device (fixture->generator), "cpu"));
  g_assert_cmpint (allava_generator_get_state (fixture->generator), ==, ALLAVA_GENERATOR_READY);
  g_autoptr (AllavaMessage) next = ask (fixture, "hello", NULL, &slot);
  wait_answer (fixture, &slot);
  g_assert_cmpstr (allava_message_get_details (next)->device, ==, "cpu");

  allava_generator_load (fixture->generator, "/models/good");
  testing_wait_until (g_str_equal (allava_generator_get_device (fixture->generator), "auto"));
}

static void
test_lost_gpu (Fixture *fixture, gconstpointer data)
{
  lose_gpu (fixture, "fail on a GPU", "the GPU is lost");
  lose_gpu (fixture, "fail for memory", "there is too little memory");
}

/* A model whose file was changed under it is loaded anew. */
static void
test_changed_file (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *slot = NULL;
  allava_generator_load (fixture->generator, "/models/slow");
  g_autoptr (AllavaMessage) answer = ask (fixture, "fail for a file", NULL, &slot);
  wait_answer (fixture, &slot);
  assert_message (answer, ALLAVA_MESSAGE_FAILED, "");
  g_assert_cmpstr (allava_message_get_error (answer), ==, "the file was changed");
  g_assert_cmpint (allava_generator_get_state (fixture->generator), ==, ALLAVA_GENERATOR_LOADING);
  g_autoptr (AllavaMessage) next = ask (fixture, "hello", NULL, &slot);
  wait_answer (fixture, &slot);
  assert_message (next, ALLAVA_MESSAGE_COMPLETE, "answer 1 to hello");
}

/* After the minutes set, memory is given back; the next question loads the model again. */
static void
test_idle_unload (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *slot = NULL;
  g_object_set (fixture->settings, "idle-unload", 0, NULL);
  allava_generator_load (fixture->generator, "/models/good");
  testing_wait_until (allava_generator_get_loaded (fixture->generator));
  g_assert_cmpuint (fixture->generator->idle_source, ==, 0);
  g_object_set (fixture->settings, "idle-unload", 7, NULL);
  GSource *source = g_main_context_find_source_by_id (NULL, fixture->generator->idle_source);
  gint64 minutes = (g_source_get_ready_time (source) - g_get_monotonic_time ()) / G_USEC_PER_SEC;
  g_assert_cmpint (minutes, >=, 7 * 60 - 5);
  g_assert_cmpint (minutes, <=, 7 * 60 + 5);
  g_source_set_ready_time (source, 0); /* time flies */
  testing_wait_until (!allava_generator_get_loaded (fixture->generator));
  testing_settle ();
  g_assert_cmpint (allava_generator_get_state (fixture->generator), ==, ALLAVA_GENERATOR_READY);
  g_assert_cmpstr (allava_generator_get_device (fixture->generator), ==, "auto");
  g_autoptr (AllavaMessage) answer = ask (fixture, "hello", NULL, &slot);
  wait_answer (fixture, &slot);
  assert_message (answer, ALLAVA_MESSAGE_COMPLETE, "answer 1 to hello");
}

/* Shutting while it answers, with others waiting: all are stopped, and the text that came is kept.
 */
static void
test_shut (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *slots[3] = {NULL};
  AllavaMessage *answers[3];
  allava_generator_load (fixture->generator, "/models/good");
  for (int i = 0; i < 3; i++)
    answers[i] = ask (fixture, "forever", NULL, &slots[i]);
  testing_wait_until (*allava_message_get_text (answers[0]) != '\0');
  allava_generator_shut (fixture->generator);
  for (int i = 0; i < 3; i++) {
    g_assert_cmpint (allava_message_get_state (answers[i]), ==, ALLAVA_MESSAGE_STOPPED);
    wait_answer (fixture, &slots[i]);
    g_object_unref (answers[i]);
  }
}

static void
test_shut_while_loading (Fixture *fixture, gconstpointer data)
{
  GAsyncResult *slot = NULL;
  allava_generator_load (fixture->generator, "/models/slow");
  g_autoptr (AllavaMessage) answer = ask (fixture, "hello", NULL, &slot);
  testing_wait_until (allava_generator_get_progress (fixture->generator) > 0);
  allava_generator_shut (fixture->generator);
  wait_answer (fixture, &slot);
  assert_message (answer, ALLAVA_MESSAGE_STOPPED, "");
}

/* ---- The engine ------------------------------------------------------------------------------ */

static AllavaMessage *
ask_engine (Fixture *fixture, AllavaImage *image)
{
  GAsyncResult *slot = NULL;
  g_autoptr (GPtrArray) prompt = make_prompt ("What is this?", image);
  AllavaMessage *answer = allava_message_new (2, ALLAVA_ROLE_ASSISTANT, "", NULL);
  allava_generator_answer_async (fixture->generator, prompt, answer, NULL, testing_result_cb,
                                 &slot);
  wait_answer (fixture, &slot);
  return answer;
}

/* A real model, tiny and random, answers about a real picture, twice the same; shows what it sees;
 * and says what is wrong where the picture's file is gone. */
static void
test_engine (Fixture *fixture, gconstpointer data)
{
  char *folder = testing_folder_new ();
  g_autofree char *model =
      g_test_build_filename (G_TEST_DIST, "reference", "checkpoints", "base", NULL);
  AllavaImageStore *store = allava_image_store_new (folder);
  AllavaImage *image = testing_add_image (store, 4);
  g_object_set (fixture->settings, "max-tokens", 16, "threads", 1, NULL);
  allava_generator_load (fixture->generator, model);
  AllavaMessage *first = ask_engine (fixture, image);
  AllavaMessage *second = ask_engine (fixture, image);
  g_assert_cmpstr (allava_message_get_error (first), ==, NULL);
  assert_message (second, ALLAVA_MESSAGE_COMPLETE, allava_message_get_text (first));
  g_assert_cmpint (allava_message_get_details (first)->n_tokens, >, 0);
  g_assert_cmpfloat (allava_message_get_details (first)->image_ms, >, 0);
  g_assert_cmpfloat (allava_message_get_details (second)->image_ms, ==, 0);
  g_assert_cmpstr (allava_generator_get_device (fixture->generator), ==, "cpu");

  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  allava_generator_show_async (fixture->generator, image, NULL, testing_result_cb, &slot);
  GAsyncResult *result = testing_wait_result (&slot);
  GdkPixbuf *seen = allava_generator_show_finish (fixture->generator, result, &error);
  g_assert_no_error (error);
  g_assert_cmpint (gdk_pixbuf_get_width (seen), ==, gdk_pixbuf_get_height (seen));
  g_object_unref (seen);
  g_object_unref (result);

  AllavaImage *gone = testing_add_image (store, 5);
  g_assert_cmpint (g_unlink (allava_image_get_path (gone)), ==, 0);
  AllavaMessage *third = ask_engine (fixture, gone);
  g_assert_cmpint (allava_message_get_state (third), ==, ALLAVA_MESSAGE_FAILED);
  g_assert_nonnull (strstr (allava_message_get_error (third), "picture 5.png"));
  testing_settle ();
  g_assert_finalize_object (first);
  g_assert_finalize_object (second);
  g_assert_finalize_object (third);
  g_assert_finalize_object (gone);
  g_assert_finalize_object (image);
  g_assert_finalize_object (store);
  testing_folder_free (folder);
}

static void
test_no_model_to_show (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  g_autoptr (AllavaImage) image = allava_image_new ("/nowhere", "00", 1, 1, "x");
  allava_generator_show_async (fixture->generator, image, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  g_assert_null (allava_generator_show_finish (fixture->generator, result, &error));
  g_assert_error (error, ALLAVA_ERROR, ALLAVA_ERROR_INPUT);
}

#define ADD(path, func) g_test_add (path, Fixture, &testing_backend, set_up, func, tear_down)

/* ---- The rest of the desktop ----------------------------------------------------------------- */

static void
test_spared_core (void)
{
  static const struct {
    int wanted, cores, threads;
  } cases[] = {{0, 1, 1}, {0, 2, 2}, {0, 3, 2}, {0, 16, 15}, {16, 16, 16}, {1, 8, 1}};
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpint (allava_load_job_choose_threads (cases[i].wanted, cases[i].cores), ==,
                     cases[i].threads);
}

static gpointer
get_nice_level (gpointer data)
{
  return GINT_TO_POINTER (getpriority (PRIO_PROCESS, 0));
}

/* What a thread has that the loading thread starts, as the engine's pool does. */
static gpointer
load_nicely (const char *path,
             const AllavaModelOptions *options,
             AllavaBackendInfo *info,
             GError **error)
{
  int level = GPOINTER_TO_INT (g_thread_join (g_thread_new ("pool", get_nice_level, NULL)));
  info->name = g_strdup_printf ("%d", level);
  info->device = g_strdup_printf ("%d", options->threads);
  return g_strdup (path);
}

static void
test_nice_level (void)
{
  static const AllavaGeneratorBackend backend = {.load = load_nicely, .unload = g_free};
  int level = getpriority (PRIO_PROCESS, 0);
  g_autoptr (AllavaSettings) settings = allava_settings_new ();
  g_autoptr (AllavaGenerator) generator = allava_generator_new (settings, &backend);
  allava_generator_load (generator, "/models/some");
  testing_wait_until (allava_generator_get_loaded (generator));
  g_autofree char *expected = g_strdup_printf ("%d", MAX (level, 5));
  g_autofree char *threads =
      g_strdup_printf ("%d", allava_load_job_choose_threads (0, allava_count_cores ()));
  g_assert_cmpstr (generator->info.name, ==, expected);
  g_assert_cmpstr (allava_generator_get_device (generator), ==, threads);
  /* The window's thread goes on as it was. */
  g_assert_cmpint (getpriority (PRIO_PROCESS, 0), ==, level);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/generator/answer", test_answer);
  ADD ("/generator/waits-for-model", test_waits_for_model);
  ADD ("/generator/queue", test_queue);
  ADD ("/generator/cancel", test_cancel);
  ADD ("/generator/failing-answer", test_failing_answer);
  ADD ("/generator/broken-model", test_broken_model);
  ADD ("/generator/switch", test_switch);
  ADD ("/generator/late-error", test_late_error);
  ADD ("/generator/device", test_device);
  ADD ("/generator/lost-gpu", test_lost_gpu);
  ADD ("/generator/changed-file", test_changed_file);
  ADD ("/generator/idle-unload", test_idle_unload);
  ADD ("/generator/shut", test_shut);
  ADD ("/generator/shut-while-loading", test_shut_while_loading);
  ADD ("/generator/no-model-to-show", test_no_model_to_show);
  g_test_add_func ("/generator/spared-core", test_spared_core);
  g_test_add_func ("/generator/nice-level", test_nice_level);
  g_test_add ("/generator/engine", Fixture, NULL, set_up, test_engine, tear_down);
  return g_test_run ();
}
