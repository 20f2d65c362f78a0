#include "allava-model-finder.h"

#include <string.h>
#include <sys/stat.h>

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>

#include "allava-engine.h"

#define MAX_TEXT_BYTES (1 << 20)

/* A folder's name that says nothing, as that of the bundled model in the repository. */
#define NO_NAME "model"

/* What the engine runs, by config.json's "model_type". */
static const char *const families[] = {"llava_phi", NULL};

/* ---- One folder ------------------------------------------------------------------------------ */

static gboolean
refuse (const char *folder, const char *reason, GError **error)
{
  g_autofree char *name = g_filename_display_name (folder);
  g_set_error (error, ALLAVA_ERROR, ALLAVA_ERROR_UNSUPPORTED, reason, name);
  return FALSE;
}

/* Bytes of the weight files; 0 where there are none. */
static guint64
measure (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  guint64 size = 0;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (folder, name, NULL);
    struct stat info;
    if (g_str_has_suffix (name, ".safetensors") && g_stat (path, &info) == 0)
      size += (guint64)info.st_size;
  }
  return size;
}

gboolean
allava_model_finder_check_path (const char *folder, GError **error)
{
  g_return_val_if_fail (folder != NULL, FALSE);
  return g_utf8_validate (folder, -1, NULL) ||
         refuse (folder, _ ("%s cannot be used: its name is not UTF-8; rename the folder"), error);
}

gboolean
allava_model_finder_check (const char *folder, GError **error)
{
  g_return_val_if_fail (folder != NULL, FALSE);
  if (!allava_model_finder_check_path (folder, error))
    return FALSE;
  g_autofree char *path = g_build_filename (folder, "config.json", NULL);
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return refuse (folder, _ ("%s is not a model's folder: it has no config.json"), error);
  g_autofree char *family = allava_model_read_type (folder, NULL);
  if (family == NULL || !g_strv_contains (families, family))
    return refuse (folder, _ ("%s holds a model of a kind that Allava does not run yet"), error);
  if (measure (folder) == 0)
    return refuse (folder, _ ("%s has no weights: no .safetensors file is in it"), error);
  return TRUE;
}

/* The text of a small file, or NULL. A pipe would be waited for. */
static char *
read_text (const char *path)
{
  char *text = NULL;
  struct stat info;
  if (g_stat (path, &info) == 0 && S_ISREG (info.st_mode) && info.st_size <= MAX_TEXT_BYTES)
    g_file_get_contents (path, &text, NULL, NULL);
  return text;
}

/* The first heading of the folder's model card (README.md) where it is one word, or NULL. */
static char *
read_heading (const char *folder)
{
  g_autofree char *path = g_build_filename (folder, "README.md", NULL);
  g_autofree char *text = read_text (path);
  if (text == NULL)
    return NULL;
  g_autoptr (GRegex) regex = g_regex_new ("^# ([\\w.-]{1,64})\\s*$", G_REGEX_MULTILINE, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  return g_utf8_validate (text, -1, NULL) && g_regex_match (regex, text, 0, &match)
             ? g_match_info_fetch (match, 1)
             : NULL;
}

char *
allava_model_finder_dup_name (const char *folder)
{
  g_return_val_if_fail (folder != NULL, NULL);
  g_auto (GStrv) parts = g_strsplit (folder, G_DIR_SEPARATOR_S, -1);
  for (guint i = 0; parts[i] != NULL; i++)
    if (g_str_has_prefix (parts[i], "models--") && g_strcmp0 (parts[i + 1], "snapshots") == 0) {
      const char *last = g_strrstr (parts[i], "--");
      return g_filename_display_name (last + strlen ("--"));
    }
  char *name = g_filename_display_basename (folder);
  char *heading = g_str_equal (name, NO_NAME) ? read_heading (folder) : NULL;
  if (heading == NULL)
    return name;
  g_free (name);
  return heading;
}

/* ---- Many ------------------------------------------------------------------------------------ */

typedef struct {
  char **folders;
  char *hub;
} Search;

static void
search_free (Search *search)
{
  g_strfreev (search->folders);
  g_free (search->hub);
  g_free (search);
}

static void
add_model (GHashTable *seen, GListStore *models, const char *folder, gboolean hub)
{
  g_autofree char *path = g_canonicalize_filename (folder, NULL);
  if (!allava_model_finder_check (path, NULL) || !g_hash_table_add (seen, g_strdup (path)))
    return;
  g_autofree char *name = allava_model_finder_dup_name (path);
  g_autoptr (AllavaModelEntry) entry = allava_model_entry_new (path, name, measure (path), hub);
  g_list_store_append (models, entry);
}

static int
compare_paths (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *)a, *(const char *const *)b);
}

/* Full paths of what is in FOLDER, by name. */
static GPtrArray *
list_folder (const char *folder)
{
  GPtrArray *paths = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (paths, g_build_filename (folder, name, NULL));
  g_ptr_array_sort (paths, compare_paths);
  return paths;
}

static void
add_folder (GHashTable *seen, GListStore *models, const char *folder)
{
  add_model (seen, models, folder, FALSE);
  g_autoptr (GPtrArray) paths = list_folder (folder);
  for (guint i = 0; i < paths->len; i++)
    add_model (seen, models, g_ptr_array_index (paths, i), FALSE);
}

/* The snapshot that the branch "main" stands at, or else any. */
static void
add_repository (GHashTable *seen, GListStore *models, const char *repository)
{
  g_autofree char *snapshots = g_build_filename (repository, "snapshots", NULL);
  g_autofree char *ref = g_build_filename (repository, "refs", "main", NULL);
  g_autofree char *commit = read_text (ref);
  guint before = g_list_model_get_n_items (G_LIST_MODEL (models));
  if (commit != NULL) {
    g_autofree char *snapshot = g_build_filename (snapshots, g_strstrip (commit), NULL);
    add_model (seen, models, snapshot, TRUE);
  }
  g_autoptr (GPtrArray) paths = list_folder (snapshots);
  for (guint i = 0; i < paths->len; i++)
    if (g_list_model_get_n_items (G_LIST_MODEL (models)) == before)
      add_model (seen, models, g_ptr_array_index (paths, i), TRUE);
}

static void
search_thread (GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
  Search *search = data;
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GListStore *models = g_list_store_new (ALLAVA_TYPE_MODEL_ENTRY);
  for (guint i = 0; search->folders[i] != NULL; i++)
    add_folder (seen, models, search->folders[i]);
  if (search->hub != NULL) {
    g_autoptr (GPtrArray) paths = list_folder (search->hub);
    for (guint i = 0; i < paths->len; i++) {
      g_autofree char *name = g_path_get_basename (g_ptr_array_index (paths, i));
      if (g_str_has_prefix (name, "models--"))
        add_repository (seen, models, g_ptr_array_index (paths, i));
    }
  }
  g_task_return_pointer (task, models, g_object_unref);
}

void
allava_model_finder_find_async (const char *const *folders,
                                const char *hub,
                                GCancellable *cancellable,
                                GAsyncReadyCallback callback,
                                gpointer user_data)
{
  g_return_if_fail (folders != NULL);
  Search *search = g_new (Search, 1);
  search->folders = g_strdupv ((char **)folders);
  search->hub = g_strdup (hub);
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, callback, user_data);
  g_task_set_source_tag (task, allava_model_finder_find_async);
  g_task_set_task_data (task, search, (GDestroyNotify)search_free);
  g_task_run_in_thread (task, search_thread);
}

GListModel *
allava_model_finder_find_finish (GAsyncResult *result, GError **error)
{
  g_return_val_if_fail (g_task_is_valid (result, NULL), NULL);
  return g_task_propagate_pointer (G_TASK (result), error);
}

char *
allava_model_finder_dup_hub (void)
{
  const char *cache = g_getenv ("HF_HUB_CACHE");
  const char *home = g_getenv ("HF_HOME");
  if (cache != NULL && *cache != '\0')
    return g_strdup (cache);
  if (home != NULL && *home != '\0')
    return g_build_filename (home, "hub", NULL);
  char *hub = g_build_filename (g_get_user_cache_dir (), "huggingface", "hub", NULL);
  if (g_file_test (hub, G_FILE_TEST_IS_DIR))
    return hub;
  /* A Flatpak has a cache of its own, which the tools, outside, do not know. */
  g_free (hub);
  return g_build_filename (g_get_home_dir (), ".cache", "huggingface", "hub", NULL);
}
