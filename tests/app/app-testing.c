#include "app-testing.h"

#include "allava-database.h"

#include <glib/gstdio.h>

/* ---- Folders --------------------------------------------------------------------------------- */

char *
testing_folder_new (void)
{
  g_autoptr (GError) error = NULL;
  char *folder = g_dir_make_tmp ("allava-test-XXXXXX", &error);
  g_assert_no_error (error);
  return folder;
}

static void
remove_all (const char *path)
{
  if (g_file_test (path, G_FILE_TEST_IS_DIR) && !g_file_test (path, G_FILE_TEST_IS_SYMLINK)) {
    g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
    const char *name;
    while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
      g_autofree char *child = g_build_filename (path, name, NULL);
      remove_all (child);
    }
  }
  g_remove (path);
}

void
testing_folder_free (char *folder)
{
  remove_all (folder);
  g_free (folder);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static gboolean
wake_cb (gpointer user_data)
{
  return G_SOURCE_REMOVE;
}

void
testing_iterate (void)
{
  guint source = g_timeout_add (20, wake_cb, NULL);
  g_main_context_iteration (NULL, TRUE);
  GSource *left = g_main_context_find_source_by_id (NULL, source);
  if (left != NULL)
    g_source_destroy (left);
}

void
testing_settle (void)
{
  gint64 end = g_get_monotonic_time () + 100 * G_TIME_SPAN_MILLISECOND;
  while (g_get_monotonic_time () < end)
    testing_iterate ();
}

void
testing_result_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GAsyncResult **slot = user_data;
  g_assert_null (*slot);
  *slot = g_object_ref (result);
}

GAsyncResult *
testing_wait_result (GAsyncResult **result)
{
  testing_wait_until (*result != NULL);
  return g_steal_pointer (result);
}

/* ---- History --------------------------------------------------------------------------------- */

void
testing_history_exec (const char *folder, const char *sql)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_build_filename (folder, "history.sqlite", NULL);
  g_autoptr (AllavaDatabase) database = allava_database_open (path, &error);
  g_assert_no_error (error);
  allava_database_exec (database, sql, &error);
  g_assert_no_error (error);
}

AllavaHistory *
testing_history_open (const char *folder)
{
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  AllavaHistory *history = allava_history_new (folder);
  allava_history_open_async (history, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  allava_history_open_finish (history, result, &error);
  g_assert_no_error (error);
  return history;
}

void
testing_history_close (AllavaHistory *history)
{
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  allava_history_close_async (history, testing_result_cb, &slot);
  {
    g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
    g_assert_true (allava_history_finish (history, result, &error));
    g_assert_no_error (error);
  }
  g_assert_finalize_object (history);
}

void
testing_history_add (AllavaHistory *history, gint64 id, const char *title, ...)
{
  g_autoptr (GPtrArray) messages =
      g_ptr_array_new_with_free_func ((GDestroyNotify)allava_message_record_free);
  va_list args;
  va_start (args, title);
  const char *text;
  for (gint64 at = id; (text = va_arg (args, const char *)) != NULL; at++) {
    AllavaMessageRecord *record = allava_message_record_new_empty ();
    record->id = at + 1;
    record->conversation_id = id;
    record->parent_id = at == id ? 0 : at;
    record->role = (at - id) % 2 == 0 ? ALLAVA_ROLE_USER : ALLAVA_ROLE_ASSISTANT;
    record->state = ALLAVA_MESSAGE_COMPLETE;
    record->text = g_strdup (text);
    g_ptr_array_add (messages, record);
  }
  va_end (args);
  AllavaConversationRecord conversation = {
      .id = id,
      .title = (char *)title,
      .updated = id,
      .active_leaf = messages->len > 0 ? id + messages->len : 0,
  };
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  allava_history_save_async (history, &conversation, messages, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  allava_history_finish (history, result, &error);
  g_assert_no_error (error);
}

AllavaConversationContent *
testing_history_load (AllavaHistory *history, gint64 id)
{
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  allava_history_load_async (history, id, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  AllavaConversationContent *content = allava_history_load_finish (history, result, &error);
  g_assert_no_error (error);
  return content;
}

/* ---- Images ---------------------------------------------------------------------------------- */

GBytes *
testing_make_png (int width, int height, int seed)
{
  g_autoptr (GdkPixbuf) pixbuf = gdk_pixbuf_new (GDK_COLORSPACE_RGB, FALSE, 8, width, height);
  gdk_pixbuf_fill (pixbuf, (guint32)seed * 2654435761u);
  char *content;
  gsize length;
  g_assert_true (gdk_pixbuf_save_to_buffer (pixbuf, &content, &length, "png", NULL, NULL));
  return g_bytes_new_take (content, length);
}

AllavaImage *
testing_add_image (AllavaImageStore *store, int seed)
{
  g_autoptr (GError) error = NULL;
  GAsyncResult *slot = NULL;
  g_autoptr (GBytes) bytes = testing_make_png (8, 6, seed);
  g_autofree char *name = g_strdup_printf ("picture %d.png", seed);
  allava_image_store_add_bytes_async (store, bytes, name, NULL, testing_result_cb, &slot);
  g_autoptr (GAsyncResult) result = testing_wait_result (&slot);
  AllavaImage *image = allava_image_store_add_finish (store, result, &error);
  g_assert_no_error (error);
  return image;
}

/* ---- A generator without a model -------------------------------------------------------------
 *
 * Its models are folders that need not exist: one named "broken" fails to load, one named "slow"
 * loads until it is cancelled or 200 ms have gone, one named "late" breaks when it is cancelled. It
 * answers "answer N to QUESTION" in pieces, N the number of turns; asked "forever" it goes on until
 * stopped, asked "fail" it fails, asked "fail on a GPU" its device does, asked "fail for memory"
 * there is too little of it, and asked "fail for a file" the model's was changed; asked "which
 * seed" it says that. What is continued gets " and more". */

static gpointer
load (const char *path, const AllavaModelOptions *options, AllavaBackendInfo *info, GError **error)
{
  g_autofree char *name = g_path_get_basename (path);
  while (g_str_equal (name, "late") && !g_cancellable_is_cancelled (options->cancellable))
    g_usleep (1000);
  if (g_str_equal (name, "broken") || g_str_equal (name, "late")) {
    g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_FORMAT, "%s is broken", path);
    return NULL;
  }
  for (int i = 0; i < 20 && g_str_equal (name, "slow"); i++) {
    options->progress (i / 20.0, options->progress_data);
    g_usleep (10000);
    if (g_cancellable_set_error_if_cancelled (options->cancellable, error))
      return NULL;
  }
  info->name = g_strdup (name);
  info->device = g_strdup (options->device);
  info->dtype = g_strdup ("f32");
  info->context_length = 2048;
  info->image_positions = 576;
  return g_strdup (path);
}

static gboolean
say (const char *word, AllavaTextFunc func, gpointer data, AllavaGenerateResult *result)
{
  int32_t id = 0;
  g_array_append_val (result->tokens, id);
  return func (word, data);
}

static gboolean
generate (gpointer loaded,
          GPtrArray *prompt,
          const AllavaGenerateOptions *options,
          AllavaTextFunc func,
          gpointer data,
          AllavaGenerateResult *result,
          GError **error)
{
  const AllavaPromptTurn *last = prompt->pdata[prompt->len - 1];
  *result = (AllavaGenerateResult){
      .tokens = g_array_new (FALSE, FALSE, sizeof (int32_t)),
      .positions_left = 2048 - 10 * (int)prompt->len,
      .prefill_ms = 1,
  };
  gboolean going = TRUE;
  if (g_str_equal (last->text, "fail")) {
    say ("half", func, data, result);
    g_set_error_literal (error, ALLAVA_ERROR, ALLAVA_ERROR_NOT_FINITE, "the weights are damaged");
    return FALSE;
  }
  if (g_str_equal (last->text, "fail on a GPU")) {
    g_set_error_literal (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE, "the GPU is lost");
    return FALSE;
  }
  if (g_str_equal (last->text, "fail for memory")) {
    g_set_error_literal (error, ALLAVA_ERROR, ALLAVA_ERROR_DEVICE_MEMORY,
                         "there is too little memory");
    return FALSE;
  }
  if (g_str_equal (last->text, "fail for a file")) {
    g_set_error_literal (error, ALLAVA_ERROR, ALLAVA_ERROR_CHANGED, "the file was changed");
    return FALSE;
  }
  if (last->role == ALLAVA_ROLE_ASSISTANT) {
    going = say (" and more", func, data, result);
  } else if (g_str_equal (last->text, "forever")) {
    while (going && !g_cancellable_is_cancelled (options->cancellable)) {
      going = say ("on ", func, data, result);
      g_usleep (1000);
    }
    going = FALSE;
  } else if (g_str_equal (last->text, "which seed")) {
    g_autofree char *seed = g_strdup_printf ("%" G_GUINT64_FORMAT, options->seed);
    going = say (seed, func, data, result);
  } else {
    g_autofree char *number = g_strdup_printf ("%u", prompt->len);
    const char *const words[] = {"answer ", number, " to ", last->text};
    for (gsize i = 0; going && i < G_N_ELEMENTS (words); i++)
      going = say (words[i], func, data, result);
  }
  result->finish = going ? ALLAVA_FINISH_EOS : ALLAVA_FINISH_CANCELLED;
  return TRUE;
}

const AllavaGeneratorBackend testing_backend = {load, generate, g_free};
