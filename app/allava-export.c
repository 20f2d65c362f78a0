#include "allava-export.h"

#include <errno.h>
#include <string.h>

#include <glib/gi18n-lib.h>

#define MAX_NAME_CHARACTERS 60
#define MAX_EXTENSION_BYTES 10 /* with the dot */

/* One conversation after the other: the history thread reads it, a worker writes it, so that the
 * history can do other things in between. */
typedef struct {
  GArray *ids; /* gint64; NULL until all are known */
  guint next;
  int written;
  GFile *folder;
  GFileProgressCallback progress;
  gpointer progress_data;
} Export;

static void
export_free (Export *export)
{
  g_clear_pointer (&export->ids, g_array_unref);
  g_object_unref (export->folder);
  g_free (export);
}

/* ---- Writing one ----------------------------------------------------------------------------- */

typedef struct {
  AllavaConversationContent *content;
  char *source; /* the image store's folder */
  GFile *folder;
} Page;

static void
page_free (Page *page)
{
  allava_conversation_content_free (page->content);
  g_free (page->source);
  g_object_unref (page->folder);
  g_free (page);
}

/* A file name made of TEXT: without what file systems of any kind refuse. */
static char *
make_name (const char *text)
{
  g_autoptr (GString) name = g_string_new (NULL);
  glong n = 0;
  for (const char *at = text; *at != '\0' && n < MAX_NAME_CHARACTERS; at = g_utf8_next_char (at)) {
    gunichar c = g_utf8_get_char (at);
    gboolean bad = c < 0x80 && (g_ascii_iscntrl ((char)c) || strchr ("/\\:*?\"<>|", (int)c));
    if (!bad && !(c == '.' && n == 0)) {
      g_string_append_unichar (name, c);
      n++;
    }
  }
  g_strchomp (name->str);
  return g_string_free (g_steal_pointer (&name), FALSE);
}

/* Where the extension of NAME starts, which is its end where it has none. */
static const char *
find_extension (const char *name)
{
  const char *end = name + strlen (name);
  const char *dot = strrchr (name, '.');
  if (dot == NULL || end - dot > MAX_EXTENSION_BYTES)
    return end;
  for (const char *at = dot + 1; at < end; at++)
    if (!g_ascii_isalnum (*at))
      return end;
  return dot;
}

/* FOLDER/NAME.EXTENSION that does not exist yet, with a number if need be. */
static GFile *
choose_file (GFile *folder, const char *name, const char *extension)
{
  for (int i = 1;; i++) {
    g_autofree char *number = i > 1 ? g_strdup_printf (" %d", i) : g_strdup ("");
    g_autofree char *full = g_strconcat (name, number, extension, NULL);
    GFile *file = g_file_get_child (folder, full);
    if (!g_file_query_exists (file, NULL))
      return file;
    g_object_unref (file);
  }
}

static gboolean
make_folder (GFile *folder, GError **error)
{
  g_autoptr (GError) cause = NULL;
  if (g_file_make_directory_with_parents (folder, NULL, &cause) ||
      g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_EXISTS))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

/* Copies an image and appends the link to it. A picture that is gone is named. */
static gboolean
write_image (Page *page, const AllavaImageRecord *image, GString *text, GError **error)
{
  g_autoptr (GFile) images = g_file_get_child (page->folder, "images");
  g_autofree char *path = g_build_filename (page->source, "images", image->sha256, NULL);
  const char *extension = find_extension (image->name);
  g_autofree char *stem = g_strndup (image->name, (gsize)(extension - image->name));
  g_autofree char *clean = make_name (stem);
  if (!g_file_test (path, G_FILE_TEST_EXISTS)) {
    g_string_append_printf (text, "(%s)\n\n", image->name);
    return TRUE;
  }
  if (!make_folder (images, error))
    return FALSE;
  g_autoptr (GFile) from = g_file_new_for_path (path);
  g_autoptr (GFile) to = choose_file (images, *clean != '\0' ? clean : "picture", extension);
  g_autofree char *name = g_file_get_basename (to);
  g_autofree char *link = g_uri_escape_string (name, NULL, TRUE);
  g_string_append_printf (text, "![%s](images/%s)\n\n", name, link);
  return g_file_copy (from, to, G_FILE_COPY_TARGET_DEFAULT_PERMS, NULL, NULL, NULL, error);
}

static gboolean
write_message (Page *page, const AllavaMessageRecord *message, GString *text, GError **error)
{
  g_string_append_printf (text, "## %s\n\n",
                          message->role == ALLAVA_ROLE_USER ? _ ("Question") : _ ("Answer"));
  for (guint i = 0; i < message->images->len; i++)
    if (!write_image (page, message->images->pdata[i], text, error))
      return FALSE;
  g_string_append_printf (text, "%s\n\n", message->text);
  if (message->state == ALLAVA_MESSAGE_STOPPED)
    g_string_append_printf (text, "*%s*\n\n", _ ("(stopped)"));
  if (message->error != NULL)
    g_string_append_printf (text, "*%s*\n\n", message->error);
  return TRUE;
}

static const AllavaMessageRecord *
find_record (GPtrArray *messages, gint64 id)
{
  for (guint i = 0; i < messages->len; i++)
    if (((AllavaMessageRecord *)messages->pdata[i])->id == id)
      return messages->pdata[i];
  return NULL;
}

/* From the first question to the leaf shown last; borrowed records. Messages lie by id, and a
 * parent has a smaller one, which ends the walk whatever the database holds. */
static GPtrArray *
get_branch (const AllavaConversationContent *content)
{
  GPtrArray *branch = g_ptr_array_new ();
  const AllavaMessageRecord *at =
      find_record (content->messages, content->conversation->active_leaf);
  while (at != NULL) {
    g_ptr_array_insert (branch, 0, (gpointer)at);
    at = at->parent_id < at->id ? find_record (content->messages, at->parent_id) : NULL;
  }
  return branch;
}

/* The local day of TIME, or the first one where no calendar has it. */
static char *
make_date (gint64 time)
{
  g_autoptr (GDateTime) utc = g_date_time_new_from_unix_utc (time / G_USEC_PER_SEC);
  g_autoptr (GDateTime) local = utc != NULL ? g_date_time_to_local (utc) : NULL;
  return local != NULL ? g_date_time_format (local, "%Y-%m-%d") : g_strdup ("1970-01-01");
}

static gboolean
write_page (Page *page, GCancellable *cancellable, GError **error)
{
  const AllavaConversationRecord *conversation = page->content->conversation;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GPtrArray) branch = get_branch (page->content);
  g_autofree char *date = make_date (conversation->updated);
  g_autofree char *title = make_name (conversation->title);
  g_autofree char *name = g_strconcat (date, " ", title, NULL);

  if (!make_folder (page->folder, error))
    return FALSE;
  g_string_append_printf (text, "# %s\n\n", conversation->title);
  for (guint i = 0; i < branch->len; i++)
    if (!write_message (page, branch->pdata[i], text, error))
      return FALSE;
  g_autoptr (GFile) file = choose_file (page->folder, name, ".md");
  return g_file_replace_contents (file, text->str, text->len, NULL, FALSE, G_FILE_CREATE_NONE, NULL,
                                  cancellable, error);
}

static void
write_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Page *page = data;
  g_autoptr (GError) cause = NULL;
  if (write_page (page, cancellable, &cause)) {
    g_task_return_boolean (task, TRUE);
  } else if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    g_task_return_error (task, g_steal_pointer (&cause));
  } else {
    g_autofree char *folder = g_file_get_parse_name (page->folder);
    g_task_return_new_error (task, ALLAVA_HISTORY_ERROR,
                             g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_NO_SPACE)
                                 ? ALLAVA_HISTORY_ERROR_FULL
                                 : ALLAVA_HISTORY_ERROR_FAILED,
                             _ ("The export to %s failed: %s"), folder, cause->message);
  }
}

/* ---- All of them ----------------------------------------------------------------------------- */

static void export_next (GTask *task);

static void
written_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GTask *task = user_data;
  Export *export = g_task_get_task_data (task);
  GError *error = NULL;
  if (!g_task_propagate_boolean (G_TASK (result), &error)) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  export->written++;
  export_next (task);
}

static void
loaded_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GTask *task = user_data;
  Export *export = g_task_get_task_data (task);
  GError *error = NULL;
  AllavaConversationContent *content =
      allava_history_load_finish (ALLAVA_HISTORY (source), result, &error);
  if (g_error_matches (error, ALLAVA_HISTORY_ERROR, ALLAVA_HISTORY_ERROR_NOT_FOUND)) {
    g_error_free (error); /* deleted meanwhile */
    export_next (task);
    return;
  }
  if (content == NULL) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  Page *page = g_new (Page, 1);
  page->content = content;
  page->source = g_strdup (allava_history_get_folder (ALLAVA_HISTORY (source)));
  page->folder = g_object_ref (export->folder);
  g_autoptr (GTask) write = g_task_new (source, g_task_get_cancellable (task), written_cb, task);
  g_task_set_source_tag (write, write_thread);
  g_task_set_task_data (write, page, (GDestroyNotify)page_free);
  g_task_run_in_thread (write, write_thread);
}

/* TASK is taken over. */
static void
export_next (GTask *task)
{
  Export *export = g_task_get_task_data (task);
  AllavaHistory *history = g_task_get_source_object (task);
  if (export->progress != NULL)
    export->progress (export->next, export->ids->len, export->progress_data);
  if (export->next == export->ids->len) {
    g_task_return_int (task, export->written);
    g_object_unref (task);
    return;
  }
  gint64 id = g_array_index (export->ids, gint64, export->next++);
  allava_history_load_async (history, id, g_task_get_cancellable (task), loaded_cb, task);
}

static void
listed_cb (GObject *source, GAsyncResult *result, gpointer user_data)
{
  GTask *task = user_data;
  Export *export = g_task_get_task_data (task);
  GError *error = NULL;
  g_autoptr (GArray) keys = allava_history_list_finish (ALLAVA_HISTORY (source), result, &error);
  if (keys == NULL) {
    g_task_return_error (task, error);
    g_object_unref (task);
    return;
  }
  export->ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (guint i = 0; i < keys->len; i++)
    g_array_append_val (export->ids, g_array_index (keys, AllavaConversationKey, i).id);
  export_next (task);
}

void
allava_export_async (AllavaHistory *history,
                     GArray *ids,
                     GFile *folder,
                     GFileProgressCallback progress,
                     gpointer progress_data,
                     GCancellable *cancellable,
                     GAsyncReadyCallback callback,
                     gpointer user_data)
{
  g_return_if_fail (ALLAVA_IS_HISTORY (history));
  g_return_if_fail (G_IS_FILE (folder));
  GTask *task = g_task_new (history, cancellable, callback, user_data);
  g_task_set_source_tag (task, allava_export_async);
  Export *export = g_new0 (Export, 1);
  export->ids = ids != NULL ? g_array_copy (ids) : NULL;
  export->folder = g_object_ref (folder);
  export->progress = progress;
  export->progress_data = progress_data;
  g_task_set_task_data (task, export, (GDestroyNotify)export_free);
  if (ids != NULL)
    export_next (task);
  else
    allava_history_list_async (history, NULL, cancellable, listed_cb, task);
}

int
allava_export_finish (AllavaHistory *history, GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, history), -1);
  return (int)g_task_propagate_int (G_TASK (result), error);
}
